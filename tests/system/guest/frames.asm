; SPDX-License-Identifier: GPL-3.0-or-later
; A Multiboot kernel that shows 1920 x 1080 pixels of 32 bits on the standard VGA. Each frame, 60 a second, fills all but the
; top 64 lines with another colour; each key press fills the top left 64 x 64 pixels with another colour, at once. With a
; command line that ends with 0 nothing but keys draws.
bits 32
%define WIDTH 1920
%define HEIGHT 1080
%define TOP 64
section .boot
align 4
  dd 0x1badb002, 3, -(0x1badb002 + 3)

%macro OUTB 2
  mov al, %2
  out %1, al
%endmacro

%macro VBE 2 ; register, value
  mov dx, 0x1ce
  mov ax, %1
  out dx, ax
  inc dx
  mov ax, %2
  out dx, ax
%endmacro

section .text
global start
start:
  mov esp, stack_top
  ; the last character of the command line
  mov byte [draws], 1
  test dword [ebx], 1 << 2
  jz .tables
  mov esi, [ebx + 16]
.character:
  lodsb
  test al, al
  jnz .character
  cmp byte [esi - 2], '0'
  jne .tables
  mov byte [draws], 0

.tables:
  lgdt [gdt_pointer]
  jmp 8:.flat
.flat:
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov fs, ax
  mov gs, ax
  mov ss, ax
  mov eax, on_timer
  mov edi, idt + 0x20 * 8
  call gate
  mov eax, on_key
  mov edi, idt + 0x21 * 8
  call gate
  lidt [idt_pointer]

  ; the display controller: class 03.00 on bus 0
  mov ebx, 0x80000000
.slot:
  mov eax, ebx
  mov al, 8
  call config
  shr eax, 16
  cmp eax, 0x0300
  je .card
  add ebx, 1 << 11
  cmp ebx, 0x80010000
  jb .slot
  hlt
.card:
  mov eax, ebx
  mov al, 0x10
  call config
  and eax, ~15
  mov [frame_buffer], eax
  VBE 4, 0
  VBE 1, WIDTH
  VBE 2, HEIGHT
  VBE 3, 32
  VBE 4, 0x41

  ; interrupts 20h and 21h: timer and keyboard
  OUTB 0x20, 0x11
  OUTB 0x21, 0x20
  OUTB 0x21, 4
  OUTB 0x21, 1
  OUTB 0x21, 0xfc
  OUTB 0x43, 0x34
  OUTB 0x40, 19886 & 0xff
  OUTB 0x40, 19886 >> 8
  OUTB 0x64, 0x60
  OUTB 0x60, 0x61
  sti

.wait:
  hlt
  cmp byte [due], 0
  je .wait
  mov byte [due], 0
  cmp byte [draws], 0
  je .wait
  inc dword [frame]
  imul eax, [frame], 0x654321
  and eax, 0xffffff
  mov edi, [frame_buffer]
  add edi, WIDTH * TOP * 4
  mov ecx, WIDTH * (HEIGHT - TOP)
  cld
  rep stosd
  jmp .wait

; EAX: of a register of a device's configuration -> what it holds
config:
  mov edx, 0xcf8
  out dx, eax
  mov edx, 0xcfc
  in eax, dx
  ret

; An interrupt gate at EDI to EAX.
gate:
  mov [edi], ax
  mov word [edi + 2], 8
  mov word [edi + 4], 0x8e00
  shr eax, 16
  mov [edi + 6], ax
  ret

on_timer:
  push eax
  mov byte [due], 1
  OUTB 0x20, 0x20
  pop eax
  iretd

on_key:
  pushad
  in al, 0x60
  test al, 0x80
  jnz .done
  inc dword [keys]
  imul eax, [keys], 0x356789
  and eax, 0xffffff
  mov edi, [frame_buffer]
  mov edx, TOP
.line:
  mov ecx, TOP
  cld
  rep stosd
  add edi, (WIDTH - TOP) * 4
  dec edx
  jnz .line
.done:
  OUTB 0x20, 0x20
  popad
  iretd

section .data
align 8
gdt:
  dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
  dw 23
  dd gdt
idt_pointer:
  dw 0x22 * 8 - 1
  dd idt

section .bss
alignb 8
idt: resb 0x22 * 8
frame_buffer: resd 1
frame: resd 1
keys: resd 1
due: resb 1
draws: resb 1
alignb 16
  resb 4096
stack_top:
