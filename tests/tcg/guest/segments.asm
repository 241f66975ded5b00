; SPDX-License-Identifier: GPL-3.0-or-later
; Protected-mode segments: limits, expand-down, types, presence, null, LAR, LSL, VERR, ARPL.
%include "common.inc"
;= m32[500]=000d0000
;= m32[504]=000d0000
;= m32[508]=ffffffff
;= m32[50c]=000d0000
;= m32[510]=ffffffff
;= m32[514]=000b0068
;= m32[518]=000d00f8
;= m32[51c]=000d0008
;= m32[520]=000d0000
;= m32[524]=000d0000
;= m32[528]=000c0068
;= m32[52c]=000d0028
;= m32[530]=000d0000
;= m32[534]=000d0000
;= m32[538]=00001111
;= m32[53c]=004f9300
;= m32[540]=ffffffff
;= m32[544]=00000fff
;= m32[548]=00000000
;= m32[54c]=00000001
;= m32[550]=00000000
;= m32[554]=00000001
;= m32[558]=00000033
;= m32[55c]=000c0000
;= m32[560]=000d0000
;= m32[564]=ffffffff
;= m32[568]=000d0070
;= m32[56c]=000d0000
;= eax=600d600d
        ENTER_PM
        ; null DS; expand-down: 0..fff are outside, 1000 is inside
        xor ax, ax
        mov ds, ax
        mov dword [es:resume], .n1
        mov [es:resume_esp], esp
        mov eax, [0]
.n1:    mov ax, 0x48
        mov fs, ax
        TRY mov eax, [fs:0xffc]
        TRY mov eax, [fs:0x1000]
        TRY mov eax, [fs:0xfff]
        TRY mov al, [fs:0xffffffff]
        ; not present, outside the GDT, code into SS, a null SS
        mov ax, 0x68
        TRY mov gs, ax
        mov ax, 0xfb
        TRY mov gs, ax
        mov ax, 0x08
        TRY mov ss, ax
        xor ax, ax
        TRY mov ss, ax
        ; write to read-only data and to code
        mov ax, 0x88
        mov fs, ax
        TRY mov [fs:0], al
        mov ax, 0x68
        TRY mov ss, ax
        mov ax, 0x28
        TRY mov ss, ax
        ; reading an execute-only code segment; writing to CS
        mov ax, 0x10
        mov fs, ax
        TRY mov byte [cs:0x6000], 1
        mov dword [resume_esp], esp
        mov dword [resume], .xo
        jmp 0x78:.in_xo
.in_xo: mov eax, [cs:0]
.xo:    jmp 0x08:.back
.back:  NOTE 0x1111
        ; LAR and LSL
        mov eax, 0x10
        xor ebx, ebx
        lar ebx, ax
        and ebx, 0xf0ff00
        or ebx, 0xf0000
        and ebx, 0x4fff00
        NOTE ebx
        mov ax, 0x10
        lsl ebx, eax
        NOTE ebx
        mov ax, 0x48
        lsl ebx, eax
        NOTE ebx
        ; VERR of execute-only code, of data; VERW of read-only data, of data
        xor ebx, ebx
        mov ax, 0x78
        verr ax
        setz bl
        NOTE ebx
        mov ax, 0x88
        verr ax
        setz bl
        NOTE ebx
        verw ax
        setz bl
        NOTE ebx
        mov ax, 0x10
        verw ax
        setz bl
        NOTE ebx
        ; ARPL raises the RPL
        mov eax, 0x30
        mov ecx, 3
        arpl ax, cx
        NOTE eax
        ; stack segment limit: expand-down SS
        mov ax, 0x48
        mov ss, ax
        mov esp, 0x6f00
        TRY mov eax, [ss:0xffe]
        mov ax, 0x10
        mov ss, ax
        mov esp, STACK
        ; jumps: null selector, beyond the limit, conforming
        TRY jmp 0:0
        mov dword [resume], .c1
        mov [resume_esp], esp
        jmp 0x80:.conf
.conf:  NOTE 0xffffffff
        jmp 0x08:.c1
.c1:    TRY jmp 0x73:0x500
        TRY jmp 0x70:0x1000
        mov eax, 0x600d600d
        hlt
        PM_DATA
