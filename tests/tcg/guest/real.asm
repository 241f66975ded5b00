; SPDX-License-Identifier: GPL-3.0-or-later
; Real mode: the IVT, limits at ffff, wrap of 16-bit stacks, segment loads that keep a big limit.
%include "common.inc"
;= m32[500]=00001234
;= m32[504]=0000000d
;= m32[508]=0000000c
;= m32[50c]=00c0ffee
;= m32[510]=00006ffe
;= m32[514]=00000021
;= m32[518]=00000246
;= m32[51c]=00000046
;= m32[520]=00000008
;= m32[524]=0000fffe
;= eax=600d600d
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, STACK
        cld
        xor eax, eax
        mov word [0x21 * 4], int21
        mov word [0x21 * 4 + 2], 0
        mov word [13 * 4], gp
        mov word [13 * 4 + 2], 0
        mov word [12 * 4], ss_fault
        mov word [12 * 4 + 2], 0
        mov word [8 * 4], df
        mov word [8 * 4 + 2], 0
        ; INT pushes FLAGS, CS, IP and clears IF
        push word 0x246
        popf
        mov ax, 0x1234
        int 0x21
        mov [LOG], eax
        cli
        ; a word at ffff crosses the limit
        mov word [next], after_gp
        mov bx, 0xffff
        mov ax, [bx]
        mov byte [LOG + 4], 0xee
after_gp:
        mov word [next], after_ss
        mov bp, 0xffff
        mov ax, [bp]
        mov byte [LOG + 8], 0xee
after_ss:
        mov sp, STACK
        ; PUSH SP pushes the old value
        push sp
        pop ax
        sub ax, 2
        movzx eax, ax
        mov [LOG + 16], eax
        ; unreal mode: a limit of 4 GiB stays through real-mode loads of DS
        cli
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp short $ + 2
        mov bx, 0x10
        mov ds, bx
        and al, 0xfe
        mov cr0, eax
        xor bx, bx
        mov ds, bx
        mov esi, 0x200000
        mov dword [esi], 0xc0ffee
        mov eax, [esi]
        mov [LOG + 12], eax
        ; an IDT that is too small for the #GP of a bad INT makes #DF, which fits
        lidt [small_idt]
        mov word [next], after_df
        int 0x21
after_df:
        lidt [big_idt]
        ; a stack pointer of 0 wraps to fffe
        mov sp, 0
        push ax
        movzx eax, sp
        mov [LOG + 36], eax
        mov eax, 0x600d600d
        hlt

int21:  pushf
        pop ax
        movzx eax, ax
        mov [LOG + 28], eax          ; IF clear inside
        mov bp, sp
        mov ax, [bp + 4]
        movzx eax, ax
        mov [LOG + 24], eax          ; IF set in the image
        mov dword [LOG + 20], 0x21
        mov eax, 0x1234
        iret
gp:     mov word [cs:LOG + 4], 13
        add sp, 6
        jmp [cs:next]
ss_fault:
        mov word [cs:LOG + 8], 12
        add sp, 6
        jmp [cs:next]
df:     mov word [cs:LOG + 32], 8
        add sp, 6
        jmp [cs:next]

        align 8
gdt:    dq 0, 0
        dq 0x00cf92000000ffff
gdtr:   dw 23
        dd gdt
small_idt: dw 8 * 4 + 3
        dd 0
big_idt: dw 0x3ff
        dd 0
next:   dw 0
