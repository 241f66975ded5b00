; SPDX-License-Identifier: GPL-3.0-or-later
; Virtual-8086 mode: entry by IRET, IOPL-sensitive instructions, VME: redirection bitmap, VIF and VIP; PVI.
%include "common.inc"
;= m32[500]=00001001
;= m32[504]=000d0000
;= m32[508]=000d0000
;= m32[50c]=000d0000
;= m32[510]=000d0000
;= m32[514]=00000021
;= m32[518]=00003202
;= m32[51c]=00003002
;= m32[520]=00000007
;= m32[524]=000d0000
;= m32[528]=000d0000
;= m32[52c]=00080202
;= m32[530]=000d0000
;= eax=600d600d
%define V86STACK 0x6f00
        ENTER_PM
        mov dword [tss + 4], STACK
        mov word [tss + 8], 0x10
        mov word [tss + 0x66], 0x60
        mov ax, 0x38
        ltr ax
        mov word [0x21 * 4], v_int21
        mov word [0x21 * 4 + 2], 0
        ; INT3 ends each part: it does not depend on IOPL
        mov eax, part_end
        and eax, 0xffff
        or eax, 0x00080000
        mov [idt + 3 * 8], eax
        mov dword [idt + 3 * 8 + 4], 0x0000ee00

%macro V86 2            ; code, EFLAGS beside VM
        mov dword [part], %%done
        mov [part_esp], esp
        push dword 0            ; GS FS DS ES
        push dword 0
        push dword 0
        push dword 0
        push dword 0            ; SS
        push dword V86STACK
        push dword 0x20002 | (%2)
        push dword 0
        push dword %1
        iretd
%%done:
%endmacro
        ; IOPL 0, no VME: CLI, PUSHF, INT n, IRET fault; segment loads are real-mode ones
        V86 v_first, 0
        mov dword [resume], .f1
        mov [resume_esp], esp
        V86 v_cli, 0
.f1:    mov dword [resume], .f2
        V86 v_pushf, 0
.f2:    mov dword [resume], .f3
        V86 v_int, 0
.f3:    mov dword [resume], .f4
        V86 v_iret, 0
.f4:    ; VME: INT 21 redirected to the IVT; IF follows VIF, IOPL shows as 3
        mov eax, cr4
        or eax, 3
        mov cr4, eax
        mov word [tss + 0x66], 0x68              ; the redirection map lies at 48: all zero
        mov dword [resume], .f5
        V86 v_vme, 1 << 19
.f5:    ; STI with VIP pending, POPF with TF
        mov dword [resume], .f6
        V86 v_sti, 1 << 20
.f6:    mov dword [resume], .f7
        V86 v_popf_tf, 0
.f7:    ; PVI at CPL 3
        mov dword [part], .p1
        push dword 0x33
        push dword STACK3
        push dword 2
        push dword 0x2b
        push dword pvi
        iretd
.p1:    mov dword [resume], .p2
        mov [resume_esp], esp
        V86 v_hlt, 0
.p2:    mov eax, 0x600d600d
        hlt

pvi:    sti
        pushfd
        pop eax
        mov bx, 0x33
        mov ds, bx
        or eax, 0x200
        and eax, 0x80202
        NOTE eax
        int3
part_end:
        mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov esp, [part_esp]
        jmp [part]
part:     dd 0
part_esp: dd 0

        bits 16
v_first:
        mov ax, 0x40
        mov ds, ax
        mov dword [LOG - 0x400], 0x1001
        xor ax, ax
        mov ds, ax
        add dword [log_at], 4
        jmp v_end
v_cli:  cli
v_pushf: pushf
v_int:  int 0x21
v_iret: iret
v_hlt:  hlt
v_sti:  sti
v_popf_tf:
        push word 0x102
        popf
        jmp v_end
v_vme:  int 0x21
        mov dword [LOG + 0x20], 7
        add dword [log_at], 4
        jmp v_end
v_int21:
        pushf
        pop ax
        movzx eax, ax
        mov [LOG + 0x1c], eax                   ; VIF clear: IF reads 0
        mov dword [LOG + 0x14], 0x21
        mov bp, sp
        movzx eax, word [bp + 4]
        mov [LOG + 0x18], eax
        add dword [log_at], 12
        iret
v_end:  int3
        bits 32
        PM_DATA
