; SPDX-License-Identifier: GPL-3.0-or-later
; Hardware tasks: CALL and JMP to a TSS, IRET back, busy bits, NT and link, task gate, T bit, 16-bit TSS, faults of
; the new task.
%include "common.inc"
;= m32[500]=0000aaaa
;= m32[504]=00004000
;= m32[508]=00000038
;= m32[50c]=0000008b
;= m32[510]=0000008b
;= m32[514]=00000008
;= m32[518]=0000bbbb
;= m32[51c]=00000089
;= m32[520]=0000008b
;= m32[524]=0000cccc
;= m32[528]=000d0040
;= m32[52c]=00001616
;= m32[530]=00000000
;= m32[534]=000b0068
;= m32[538]=0000008b
;= m32[600]=00000e19
;= eax=600d600d
        ENTER_PM
        mov ax, 0x38
        ltr ax
        call setup_tss2
        call 0x40:0
        ; IRET saved the address after itself (SDM volume 3, 8.3)
        mov eax, [tss2 + 0x20]
        sub eax, jumped - 0xe19
        mov [0x600], eax
        ; back by IRET: TS set, old task busy, other one free
        NOTE 0xbbbb
        movzx eax, byte [gdt + 0x40 + 5]
        NOTE eax
        movzx eax, byte [gdt + 0x38 + 5]
        NOTE eax
        clts
        ; JMP and JMP back: through the task gate
        mov dword [tss2 + 0x20], jumped
        jmp 0x98:0
        NOTE 0xcccc
        ; a busy TSS is refused
        or byte [gdt + 0x40 + 5], 2
        TRY call 0x40:0
        and byte [gdt + 0x40 + 5], 0xfd
        ; 16-bit task
        mov word [tss16 + 0x0e], task16
        mov word [tss16 + 0x10], 2
        mov word [tss16 + 0x1a], 0x6800
        mov word [tss16 + 0x22], 0x10
        mov word [tss16 + 0x24], 0x08
        mov word [tss16 + 0x26], 0x10
        mov word [tss16 + 0x28], 0x10
        call 0x90:0
        clts
        ; a DS that is not present faults in the new task
        mov word [tss2 + 0x54], 0x68
        mov dword [tss2 + 0x20], bad
        mov dword [resume], .in_new
        mov dword [resume_esp], 0x6800
        call 0x40:0
        hlt
.in_new:
        movzx eax, byte [gdt + 0x40 + 5]
        NOTE eax
        mov eax, 0x600d600d
        hlt
bad:    hlt

setup_tss2:
        mov dword [tss2 + 0x1c], 0
        mov dword [tss2 + 0x20], called
        mov dword [tss2 + 0x24], 2
        mov dword [tss2 + 0x38], 0x6800
        mov dword [tss2 + 0x48], 0x10
        mov dword [tss2 + 0x4c], 0x08
        mov dword [tss2 + 0x50], 0x10
        mov dword [tss2 + 0x54], 0x10
        mov dword [tss2 + 0x58], 0x10
        mov dword [tss2 + 0x5c], 0x10
        mov dword [tss2 + 0x60], 0
        mov dword [tss2 + 0x64], 0
        ret
called: NOTE 0xaaaa
        pushfd
        pop eax
        and eax, 0x4000
        NOTE eax
        movzx eax, word [tss2]
        NOTE eax
        movzx eax, byte [gdt + 0x38 + 5]
        NOTE eax
        movzx eax, byte [gdt + 0x40 + 5]
        NOTE eax
        mov eax, cr0
        and eax, 8
        NOTE eax
        iret
jumped: clts
        jmp 0x38:0
task16: clts
        NOTE 0x1616
        mov eax, [tss16 + 0]
        and eax, 0xffff
        sub eax, 0x38
        NOTE eax
        iret
        PM_DATA
