; SPDX-License-Identifier: GPL-3.0-or-later
; Starts a Multiboot 1 kernel (Multiboot Specification 0.6.96). The block of boot information begins with the
; specification's information structure, in which the loader filled all but the memory sizes and the memory map;
; room for 64 map entries stands at its mmap_addr.
%include "rom.inc"

        ROM_HEADER "Multiboot loader"

bootstrap:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov esp, 0x7c00
        sti
        ; The memory map comes first: the BIOS may use memory below the kernel.
        mov ax, 0x0800
        mov es, ax
        xor di, di                      ; 8000:0000 in bytes: 0x8000
        call read_e820
        cli
        push cx
        mov si, part_image
        call fw_cfg_load
        mov si, part_info
        call fw_cfg_load
        pop cx
        call enable_a20

        mov ax, KEY_INITRD_ADDR
        call fw_cfg_read_u32
        ; The information block lies below 1 MiB: reach it by a segment.
        mov ebx, eax
        shr eax, 4
        mov ds, ax                      ; ds:0 = information structure (16-byte aligned)
        int 0x12                        ; KiB of conventional memory
        movzx eax, ax
        mov [4], eax                    ; mem_lower
        mov dword [8], 0                ; mem_upper, found below

        mov edi, [48]                   ; mmap_addr: physical, inside the block
        sub edi, ebx
        mov ax, 0x0800
        mov es, ax
        xor si, si
        movzx edx, cx
        imul edx, edx, 24
        mov [44], edx                   ; mmap_length: 4 + 20 bytes an entry
        jcxz .mapped
.entry:
        mov dword [di], 20              ; size of what follows
        mov eax, [es:si]
        mov [di + 4], eax
        mov eax, [es:si + 4]
        mov [di + 8], eax
        mov eax, [es:si + 8]
        mov [di + 12], eax
        mov eax, [es:si + 12]
        mov [di + 16], eax
        mov eax, [es:si + 16]
        mov [di + 20], eax
        ; Available memory that begins at 1 MiB is the upper memory.
        cmp eax, 1
        jne .skip
        cmp dword [es:si], 0x100000
        jne .skip
        cmp dword [es:si + 4], 0
        jne .skip
        mov eax, [es:si + 8]
        shr eax, 10
        mov [8], eax
.skip:
        add si, 24
        add di, 24
        loop .entry
.mapped:
        mov ax, KEY_KERNEL_ENTRY
        call fw_cfg_read_u32
        mov edx, eax
        mov eax, 0x2badb002
        jmp enter_protected

part_image: dw KEY_KERNEL_ADDR, KEY_KERNEL_SIZE, KEY_KERNEL_DATA
part_info:  dw KEY_INITRD_ADDR, KEY_INITRD_SIZE, KEY_INITRD_DATA

%include "protected.inc"
        FW_CFG_ROUTINES
        ROM_END
