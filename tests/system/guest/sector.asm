; SPDX-License-Identifier: GPL-3.0-or-later
; A boot sector that reads the next sector of its disk by the BIOS and prints it on the serial port.
bits 16
org 0x7c00
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov sp, 0x7c00
  mov ax, 0x0201   ; read one sector
  mov cx, 2        ; cylinder 0, sector 2
  mov dh, 0        ; head 0, drive in DL
  mov bx, 0x8000
  int 0x13
  mov si, failed
  jc .print
  mov si, 0x8000
.print:
  lodsb
  test al, al
  jz .halt
  mov ah, 1
  xor dx, dx
  int 0x14
  jmp .print
.halt:
  hlt
  jmp .halt
failed: db "read error", 0
  times 510 - ($ - $$) db 0
  dw 0xaa55
