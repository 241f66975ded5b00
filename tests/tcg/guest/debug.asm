; SPDX-License-Identifier: GPL-3.0-or-later
; Debug: single step, instruction and data breakpoints, RF, general detect, INT1, MOV SS shadow.
%include "common.inc"
;= m32[500]=00004ff0
;= m32[504]=00000001
;= m32[508]=00000ff1
;= m32[50c]=00000000
;= m32[510]=00000ff2
;= m32[514]=00000004
;= m32[518]=00002ff0
;= m32[51c]=00010000
;= m32[520]=00000ff0
;= m32[524]=00004ff0
;= m32[528]=00000007
;= eax=600d600d
        ENTER_PM
        mov eax, on_debug
        and eax, 0xffff
        or eax, 0x00080000
        mov [idt + 8], eax
        ; single step: the trap comes after the instruction
        xor ecx, ecx
        pushfd
        or dword [esp], 0x100
        popfd
        inc ecx
        nop                                     ; the handler cleared TF before this one
        NOTE ecx
        ; instruction breakpoint: a fault before the instruction; RF lets it run
        mov eax, .here
        mov dr0, eax
        mov eax, 0x401
        mov dr7, eax
        xor ecx, ecx
.here:  inc ecx
        xor eax, eax
        mov dr7, eax
        dec ecx
        NOTE ecx
        ; data breakpoint on writes: a trap after the store
        mov eax, 0x6004
        mov dr1, eax
        mov eax, 0x00d00408                     ; G1, write, 4 bytes
        mov dr7, eax
        mov ecx, [0x6004]
        mov dword [0x6006], 4
        xor eax, eax
        mov dr7, eax
        movzx ecx, word [0x6006]
        NOTE ecx
        ; general detect
        mov eax, 0x2400
        mov dr7, eax
        mov dword [gd_resume], .gd
        mov eax, dr0
.gd:    mov dword [gd_resume], 0
        mov dword eax, [fault_flags]
        NOTE eax
        ; INT1 sets no DR6 bit
        int1
        ; MOV SS puts the trap off by one instruction
        mov ax, 0x10
        pushfd
        or dword [esp], 0x100
        xor ecx, ecx
        popfd
        mov ss, ax
        add ecx, 7
        nop
        NOTE ecx
        mov eax, 0x600d600d
        hlt
on_debug:
        push eax
        mov eax, dr6
        and eax, 0xffff
        NOTE eax
        mov eax, 0xffff0ff0
        mov dr6, eax
        mov eax, [esp + 12]
        mov [fault_flags], eax
        and dword [esp + 12], ~0x100            ; no more single steps
        test dword [log_at], 0
        mov eax, [esp + 4]
        cmp eax, before
        je .rf
        or dword [esp + 12], 0x10000            ; RF
.rf:    and dword [fault_flags], 0x10000
        mov eax, [gd_resume]
        test eax, eax
        jz .go
        mov [esp + 4], eax
.go:    pop eax
        iretd
before:
gd_resume: dd 0
        PM_DATA
