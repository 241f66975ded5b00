; SPDX-License-Identifier: GPL-3.0-or-later
; Starts an ELF kernel by its PVH entry (Xen's x86/HVM direct boot ABI). The block of boot information begins with
; struct hvm_start_info version 1, in which the loader filled all but the RSDP and the memory map; room for 64
; entries stands at its memmap_paddr. The initial RAM disk and the command line have items of their own.
%include "rom.inc"

        ROM_HEADER "PVH loader"

bootstrap:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov esp, 0x7c00
        sti
        mov ax, 0x0800
        mov es, ax
        xor di, di
        call read_e820
        cli
        push cx
        mov si, part_image
        call fw_cfg_load
        mov si, part_initrd
        call fw_cfg_load
        mov si, part_info
        call fw_cfg_load
        pop cx
        call enable_a20

        mov ax, KEY_SETUP_ADDR
        call fw_cfg_read_u32
        mov ebx, eax
        shr eax, 4
        mov ds, ax                      ; ds:0 = start info (16-byte aligned)

        mov edi, [40]                   ; memmap_paddr
        sub edi, ebx
        movzx eax, cx
        mov [48], eax                   ; memmap_entries
        mov ax, 0x0800
        mov es, ax
        xor si, si
        jcxz .mapped
.entry:                                 ; base 8, size 8, type 4, reserved 4: as E820 gives them
        push cx
        mov cx, 6
.copy:
        mov eax, [es:si]
        mov [di], eax
        add si, 4
        add di, 4
        loop .copy
        mov dword [di - 4], 0
        pop cx
        loop .entry
.mapped:
        call find_rsdp
        mov [32], eax                   ; rsdp_paddr
        mov dword [36], 0
        mov ax, KEY_KERNEL_ENTRY
        call fw_cfg_read_u32
        mov edx, eax
        xor eax, eax
        jmp enter_protected

; Out: eax physical address of "RSD PTR " on a 16-byte boundary in E0000..FFFFF, else in the EBDA's first KiB, else 0.
find_rsdp:
        push es
        push si
        mov ax, 0xe000
.scan:
        mov es, ax
        call is_rsdp
        je .found
        inc ax
        jnz .scan
        push ds
        mov ax, 0x40
        mov ds, ax
        mov ax, [0x0e]
        pop ds
        mov si, 64
.ebda:
        mov es, ax
        call is_rsdp
        je .found
        inc ax
        dec si
        jnz .ebda
        xor eax, eax
        jmp .out
.found:
        xor eax, eax
        mov ax, es
        shl eax, 4
.out:
        pop si
        pop es
        ret

is_rsdp:
        cmp dword [es:0], 'RSD '
        jne .no
        cmp dword [es:4], 'PTR '
.no:
        ret

part_image:  dw KEY_KERNEL_ADDR, KEY_KERNEL_SIZE, KEY_KERNEL_DATA
part_initrd: dw KEY_INITRD_ADDR, KEY_INITRD_SIZE, KEY_INITRD_DATA
part_info:   dw KEY_SETUP_ADDR, KEY_SETUP_SIZE, KEY_SETUP_DATA

%include "protected.inc"
        FW_CFG_ROUTINES
        ROM_END
