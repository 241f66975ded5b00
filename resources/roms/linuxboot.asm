; SPDX-License-Identifier: GPL-3.0-or-later
; Starts a Linux bzImage after the kernel's x86 boot protocol: the loader has placed all parts and filled the
; setup header; here they are copied to their places and the real-mode entry is called.
%include "rom.inc"

        ROM_HEADER "Linux loader"

bootstrap:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov esp, 0x7c00
        mov si, part_kernel
        call fw_cfg_load
        mov si, part_initrd
        call fw_cfg_load
        mov si, part_cmdline
        call fw_cfg_load
        mov si, part_setup
        call fw_cfg_load

        mov ax, KEY_SETUP_ADDR
        call fw_cfg_read_u32
        shr eax, 4
        mov bx, ax                      ; segment of the setup code
        mov ax, KEY_CMDLINE_ADDR
        call fw_cfg_read_u32
        mov ecx, eax
        xor eax, eax
        mov ax, bx
        shl eax, 4
        sub ecx, eax                    ; the stack ends where the command line begins
        sub ecx, 16
        and ecx, 0xfff0
        mov ss, bx
        mov esp, ecx
        mov ds, bx
        mov es, bx
        mov fs, bx
        mov gs, bx
        add bx, 0x20                    ; setup entry: 512 bytes in
        push bx
        push word 0
        xor eax, eax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        retf

part_kernel:  dw KEY_KERNEL_ADDR, KEY_KERNEL_SIZE, KEY_KERNEL_DATA
part_initrd:  dw KEY_INITRD_ADDR, KEY_INITRD_SIZE, KEY_INITRD_DATA
part_cmdline: dw KEY_CMDLINE_ADDR, KEY_CMDLINE_SIZE, KEY_CMDLINE_DATA
part_setup:   dw KEY_SETUP_ADDR, KEY_SETUP_SIZE, KEY_SETUP_DATA

        FW_CFG_ROUTINES
        ROM_END
