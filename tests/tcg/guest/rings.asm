; SPDX-License-Identifier: GPL-3.0-or-later
; Privilege: call gates inward, RETF outward, INT from ring 3, IOPL, the I/O bitmap, privileged instructions.
%include "common.inc"
;= m32[500]=00000003
;= m32[504]=00000000
;= m32[508]=11111111
;= m32[50c]=22222222
;= m32[510]=00000033
;= m32[514]=0000002b
;= m32[518]=000d0000
;= m32[51c]=000d0000
;= m32[520]=ffffffff
;= m32[524]=000d0000
;= m32[528]=000d0000
;= m32[52c]=000d010a
;= m32[530]=00030000
;= m32[534]=00040000
;= m32[538]=000d0000
;= m32[53c]=000d0010
;= m32[540]=000d0000
;= m32[544]=00000000
;= m32[548]=ffffffff
;= m32[54c]=000d0000
;= m32[550]=000d0028
;= eax=600d600d
        ENTER_PM
        mov dword [tss + 4], STACK
        mov word [tss + 8], 0x10
        mov word [tss + 0x66], 0x60          ; bitmap inside the TSS
        mov dword [tss + 0x60], 0xfffffffe   ; port 0 allowed
        mov dword [tss + 0x64], 0x0060ffff
        mov ax, 0x38
        ltr ax
        ; gate 58: two parameters, to 08:gate_target, DPL 3
        mov eax, gate_target
        and eax, 0xffff
        or eax, 0x00080000
        mov [gate58], eax
        mov dword [gate58 + 4], 0x0000ec02
        ; gate 60: DPL 0, not for ring 3
        mov [gate60], eax
        mov dword [gate60 + 4], 0x00008c00
        ; INT 20 from ring 3
        mov eax, int20
        and eax, 0xffff
        or eax, 0x00080000
        mov [idt + 0x20 * 8], eax
        mov dword [idt + 0x20 * 8 + 4], 0x0000ee00
        or byte [idt + 3 * 8 + 5], 0x60
        or byte [idt + 4 * 8 + 5], 0x60
        mov dword [resume_esp], STACK
        ; to ring 3
        push dword 0x33
        push dword STACK3
        push dword 0x2b
        push dword ring3
        retf
ring3:  mov ax, 0x33
        mov ds, ax
        mov es, ax
        mov eax, cs
        and eax, 3
        NOTE eax
        push dword 0x11111111
        push dword 0x22222222
        call 0x58:0
        ; the far return gave ring 3 its stack back and dropped nothing else
        mov eax, ss
        NOTE eax
        mov eax, cs
        NOTE eax
%macro TRY3 1+
        mov dword [resume], %%f
        %1
        NOTE 0xffffffff
        jmp %%after
%%f:    push dword 0x33
        push dword STACK3
        push dword 0x2b
        push dword %%after3
        retf
%%after3: mov ax, 0x33
        mov ds, ax
        mov es, ax
%%after:
%endmacro
        TRY3 cli
        TRY3 hlt
        TRY3 in al, 0
        TRY3 in al, 1
        TRY3 in eax, 0
        TRY3 int 0x21
        TRY3 int3
        mov al, 0x7f
        add al, 1
        TRY3 into
        TRY3 mov eax, cr0
        mov ax, 0x10
        TRY3 mov ds, ax
        ; INT 20: back by IRET, IF untouched because IOPL is 0
        int 0x20
        TRY3 lgdt [gdtr]
        pushfd
        or dword [esp], 0x200
        popfd
        pushfd
        pop eax
        and eax, 0x200
        NOTE eax
        TRY3 sgdt [0x6000]
        TRY3 in al, 8
        mov dword [resume], done
        call 0x58:0
gate_target:
        cmp dword [cs:log_at], LOG + 0x4c
        jae .second
        mov eax, cs
        and eax, 3
        NOTE eax
        NOTE [ss:esp + 20]
        NOTE [ss:esp + 16]
        retf 8
.second:
        ; ring 0: a gate never leads outward
        mov dword [ss:resume], done
        mov ax, 0x10
        mov ds, ax
        mov word [gate58 + 2], 0x28
        call 0x58:0
int20:  iret
done:   mov eax, 0x600d600d
        hlt
        PM_DATA
