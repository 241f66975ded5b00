; SPDX-License-Identifier: GPL-3.0-or-later
; A kernel with Xen's PVH entry note that says what it was given.
bits 32
%include "serial.inc"

section .note.pvh
  dd 4, 4, 18
  db "Xen", 0
  dd pvh_start

section .text
global start
start: ; the ELF entry: not the way in
  mov al, 1
  jmp exit

pvh_start:
  mov esp, stack_top
  mov ebp, ebx
  PRINT "magic "
  mov eax, [ebp]
  call print_hex
  PRINT 10, "cr0 "
  mov eax, cr0
  and eax, 0x80000001
  call print_hex
  PRINT 10, "command line ["
  mov esi, [ebp + 24]
  call print
  PRINT "]", 10, "modules "
  mov eax, [ebp + 12]
  call print_hex
  PRINT 10
  cmp dword [ebp + 12], 0
  je .map
  PRINT "module content "
  mov ebx, [ebp + 16]
  mov edi, [ebx]
  mov ecx, [ebx + 8]
.content:
  mov al, [edi]
  call print_character
  inc edi
  loop .content
  PRINT 10
.map:
  mov ebx, [ebp + 40]
  mov ecx, [ebp + 48]
.range:
  jecxz .end
  PRINT "range "
  mov eax, [ebx]
  call print_hex
  PRINT " + "
  mov eax, [ebx + 8]
  call print_hex
  PRINT " type "
  mov eax, [ebx + 16]
  call print_hex
  PRINT 10
  add ebx, 24
  dec ecx
  jmp .range
.end:
  PRINT "rsdp "
  mov eax, [ebp + 32]
  call print_hex
  PRINT 10, "done", 10
  mov al, 6
  jmp exit

section .bss
  resb 4096
stack_top:
