; SPDX-License-Identifier: GPL-3.0-or-later
; Control registers, MSRs and the instructions that CR4 switches: what is refused and what is not.
%include "common.inc"
;= m32[500]=000d0000
;= m32[504]=000d0000
;= m32[508]=000d0000
;= m32[50c]=000d0000
;= m32[510]=000d0000
;= m32[514]=00060000
;= m32[518]=ffffffff
;= m32[51c]=00000031
;= m32[520]=0000003b
;= m32[524]=000d0000
;= m32[528]=000d0000
;= m32[52c]=000d0000
;= m32[530]=ffffffff
;= m32[534]=00060000
;= m32[538]=ffffffff
;= m32[53c]=000d0000
;= m32[540]=00000003
;= m32[544]=00060000
;= m32[548]=ffffffff
;= m32[54c]=00000001
;= m32[550]=000d0000
;= m32[554]=00060000
;= m32[558]=00060000
;= m32[55c]=00060000
;= m32[560]=00060000
;= m32[564]=000d0000
;= m32[568]=ffffffff
;= eax=600d600d
        ENTER_PM
        ; PG without PE, NW without CD, unknown CR4 bits, VMXE, PCIDE outside long mode
        mov eax, 0x80000010
        TRY mov cr0, eax
        mov eax, 0x20000011
        TRY mov cr0, eax
        mov eax, 1 << 15
        TRY mov cr4, eax
        mov eax, 1 << 13
        TRY mov cr4, eax
        mov eax, 1 << 17
        TRY mov cr4, eax
        ; CR1 does not exist; CR2 takes anything
        TRY db 0x0f, 0x22, 0xc8
        TRY mov cr2, eax
        ; LMSW sets bits 0-3 and cannot clear PE
        mov eax, cr0
        or eax, 0x20
        and eax, ~0x4000000e
        and eax, 0xffff
        NOTE eax
        mov eax, 0x31
        mov cr0, eax
        mov ax, 0xfffa
        lmsw ax
        smsw eax
        and eax, 0xffff
        NOTE eax
        mov eax, 0x11
        mov cr0, eax
        ; MSRs: unknown, reserved EFER bits, PAT type 2
        mov ecx, 0x12345678
        TRY rdmsr
        mov ecx, 0xc0000080
        mov eax, 4
        xor edx, edx
        TRY wrmsr
        mov ecx, 0x277
        mov eax, 2
        TRY wrmsr
        mov eax, 0x00070406
        mov edx, eax
        TRY wrmsr
        ; XSETBV: #UD without OSXSAVE; bad values after
        xor ecx, ecx
        mov eax, 3
        xor edx, edx
        TRY xsetbv
        mov eax, 1 << 18
        mov cr4, eax
        mov eax, 3
        TRY xsetbv
        mov eax, 5
        TRY xsetbv
        xgetbv
        NOTE eax
        ; RDPKRU without its CR4 bit; STAC, which needs none
        TRY db 0x0f, 0x01, 0xee
        TRY stac
        mov eax, (1 << 18) | (1 << 21)
        mov cr4, eax
        stac
        pushfd
        pop eax
        shr eax, 18
        and eax, 1
        NOTE eax
        clac
        ; INVPCID of an unknown type; UD0, UD1, UD2; SYSCALL without SCE
        mov eax, 4
        TRY invpcid eax, [0x6000]
        TRY ud0 eax, ebx
        TRY ud1 eax, ebx
        TRY ud2
        TRY db 0x0f, 0x05
        ; RDPMC has no counters; WBINVD is there
        TRY rdpmc
        TRY wbinvd
        mov eax, 0x600d600d
        hlt
        PM_DATA
