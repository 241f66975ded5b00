; SPDX-License-Identifier: GPL-3.0-or-later
; A Multiboot kernel that writes and reads random values at random ports and device addresses, without end. A mark goes
; to port E9h every 4096 accesses.
bits 32
org 0x200000
section .text
header:
  dd 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
  dd header, header, 0, end + 0x10000, start

start:
  mov esp, stack_top
  lidt [no_idt]
  rdtsc
  or eax, 1
  mov [seed], eax

.again:
  mov ebp, 4096
.access:
  call random
  mov edi, eax        ; what to do
  call random
  mov ebx, eax        ; with which value
  call random
  mov esi, eax        ; where
  mov eax, edi
  shr eax, 8
  and eax, 15
  jmp [actions + eax * 4]

.next:
  dec ebp
  jnz .access
  mov al, '.'
  out 0xe9, al
  jmp .again

; --- ports
.any_port:
  mov edx, esi
  jmp .port
.low_port: ; where ISA devices are
  mov edx, esi
  and edx, 0x3ff
  jmp .port
.pci_port: ; where BARs and power management are
  mov edx, esi
  and edx, 0xfff
  or edx, 0xc000
  jmp .port
.listed_port:
  mov eax, esi
  and eax, 15
  movzx edx, word [ports + eax * 2]
  shr esi, 8
  and esi, 7
  add edx, esi
.port:
  and edx, 0xffff
  cmp edx, 0xe9
  je .next
  mov eax, ebx
  ; What resets is done now and then only: CF9h, port 92h, pulses of the keyboard controller.
  test edi, 0xff0000
  jz .allowed
  lea ecx, [edx - 0xcf6]
  cmp ecx, 3
  jbe .next
  lea ecx, [edx - 0x8f]
  cmp ecx, 3
  jbe .next
  lea ecx, [edx - 0x61]
  cmp ecx, 2
  jbe .next
  cmp edx, 0x60
  je .keyboard
  cmp edx, 0x64
  jne .allowed
.keyboard:
  and edi, ~0x1f
  or edi, 1 ; a byte, out
  cmp al, 0xf0
  jb .allowed
  or al, 1
.allowed:
  test edi, 3
  jz .in_byte
  test edi, 4
  jz .out_byte
  test edi, 8
  jz .out_word
  test edi, 16
  jz .in_long
  out dx, eax
  jmp .next
.out_byte:
  out dx, al
  jmp .next
.out_word:
  out dx, ax
  jmp .next
.in_byte:
  in al, dx
  jmp .next
.in_long:
  in eax, dx
  jmp .next

; --- PCI configuration of bus 0
.config:
  mov eax, esi
  and eax, 0x00003ffc
  or eax, 0x80000000
  mov edx, 0xcf8
  out dx, eax
  mov edx, 0xcfc
  mov eax, ebx
  test edi, 1
  jz .config_read
  out dx, eax
  jmp .next
.config_read:
  in eax, dx
  jmp .next

; --- memory of devices
.vga:
  and esi, 0x1ffff
  add esi, 0xa0000
  jmp .memory
.bars:
  and esi, 0x01ffffff
  add esi, 0xfd000000
  jmp .memory
.listed_memory:
  mov eax, esi
  shr eax, 16
  and eax, 7
  and esi, 0xfff
  add esi, [places + eax * 4]
.memory:
  test edi, 3
  jz .load
  test edi, 4
  jz .store_byte
  test edi, 8
  jz .store_word
  mov [esi], ebx
  jmp .next
.store_byte:
  mov [esi], bl
  jmp .next
.store_word:
  mov [esi], bx
  jmp .next
.load:
  mov eax, [esi]
  jmp .next

; --- a string of bytes to a port: data registers want many
.string:
  and esi, 0xfffc
  mov eax, esi
  and eax, 15
  cmp eax, 6
  je .next
  movzx edx, word [ports + eax * 2]
  mov esi, header
  mov ecx, ebx
  and ecx, 0x3ff
  test edi, 1
  jz .string_words
  rep outsb
  jmp .next
.string_words:
  shr ecx, 1
  rep outsw
  jmp .next

random: ; xorshift32
  mov eax, [seed]
  mov ecx, eax
  shl ecx, 13
  xor eax, ecx
  mov ecx, eax
  shr ecx, 17
  xor eax, ecx
  mov ecx, eax
  shl ecx, 5
  xor eax, ecx
  mov [seed], eax
  ret

align 4
actions:
  dd start.any_port, start.low_port, start.low_port, start.low_port, start.low_port, start.pci_port
  dd start.listed_port, start.listed_port, start.listed_port, start.config, start.config, start.vga
  dd start.bars, start.listed_memory, start.listed_memory, start.string
places:
  dd 0xfec00000, 0xfed00000, 0xfee00000, 0xfebf0000, 0xfebf1000, 0xfe000000, 0xfeb00000, 0xfd000000
ports:
  dw 0x1f0, 0x170, 0x3f0, 0x3f6, 0x3c0, 0x3d0, 0x60, 0x510, 0x1ce, 0x3f8, 0x378, 0x70, 0x20, 0x40, 0x00, 0xcf8
no_idt: ; a fault is a reset
  dw 0
  dd 0
align 16
end:
section .bss
seed: resd 1
  resb 1024
stack_top:
