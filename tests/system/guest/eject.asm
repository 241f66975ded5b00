; SPDX-License-Identifier: GPL-3.0-or-later
; For Linux: opens the tray of /dev/sr0, as eject(1) does. A whole ELF file by itself.
        bits 64
        org 0x400000
ehdr:   db 0x7f, "ELF", 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        dw 2, 62
        dd 1
        dq start, phdr - $$, 0
        dd 0
        dw 64, 56, 1, 0, 0, 0
phdr:   dd 1, 5
        dq 0, $$, $$, end - $$, end - $$, 0x1000

CDROM_LOCKDOOR equ 0x5329
CDROMEJECT     equ 0x5309

start:  mov eax, 2              ; open, O_NONBLOCK
        lea rdi, [rel name]
        mov esi, 0x800
        syscall
        mov ebx, eax
        test eax, eax
        js .out
        mov edi, ebx
        mov esi, CDROM_LOCKDOOR
        xor edx, edx
        mov eax, 16
        syscall
        mov edi, ebx
        mov esi, CDROMEJECT
        xor edx, edx
        mov eax, 16             ; ioctl
        syscall
        mov ebx, eax
        test eax, eax
        js .out
        xor ebx, ebx
.out:   mov edi, ebx
        and edi, 0x7f
        mov eax, 60             ; exit
        syscall
name:   db "/dev/sr0", 0
end:
