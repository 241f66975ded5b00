; SPDX-License-Identifier: GPL-3.0-or-later
; A boot sector that prints each key of INT 16h, as <scan code and character> on the serial port, and on the screen.
bits 16
org 0x7c00
  xor ax, ax
  mov ds, ax
  mov ss, ax
  mov sp, 0x7c00
  mov si, ready
  call print
.loop:
  xor ax, ax
  int 0x16
  push ax
  mov bx, ax
  mov al, '<'
  call put
  mov cx, 4
.digit:
  rol bx, 4
  mov al, bl
  and al, 15
  cmp al, 10
  sbb al, 0x69
  das
  call put
  loop .digit
  mov al, '>'
  call put
  pop ax
  jmp .loop

print:
  lodsb
  test al, al
  jz .done
  call put
  jmp print
.done:
  ret

put:
  pusha
  push ax
  mov ah, 0x0e
  mov bx, 7
  int 0x10
  pop ax
  mov ah, 1
  xor dx, dx
  int 0x14
  popa
  ret

ready: db "ready", 13, 10, 0
  times 510 - ($ - $$) db 0
  dw 0xaa55
