; SPDX-License-Identifier: GPL-3.0-or-later
; A Multiboot 0.6.96 kernel that says what it was given. FLAT: by the addresses in its header, else by ELF's.
bits 32
%ifdef FLAT
%define FLAGS 0x00010003
org 0x200000
section .text
%else
%define FLAGS 3
section .boot
%endif
align 4
header:
  dd 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
%ifdef FLAT
  dd header, header, 0, end + 0x10000, start
%endif

%include "serial.inc"

section .text
global start
start:
  mov esp, stack_top
  mov ebp, ebx
  push eax
  PRINT "magic "
  pop eax
  call print_hex
  PRINT 10, "flags "
  mov eax, [ebp]
  call print_hex
  PRINT 10, "upper "
  mov eax, [ebp + 8]
  call print_hex
  PRINT 10, "command line [", 0
  mov esi, [ebp + 16]
  call print
  PRINT "]", 10
  test dword [ebp], 1 << 3
  jz .map
  mov ecx, [ebp + 20]
  mov ebx, [ebp + 24]
.module:
  jecxz .map
  PRINT "module ["
  mov esi, [ebx + 8]
  call print
  PRINT "] size "
  mov eax, [ebx + 4]
  sub eax, [ebx]
  call print_hex
  PRINT " content "
  mov edi, [ebx]
.content:
  cmp edi, [ebx + 4]
  jae .next
  mov al, [edi]
  call print_character
  inc edi
  jmp .content
.next:
  PRINT 10
  add ebx, 16
  dec ecx
  jmp .module
.map:
  mov ebx, [ebp + 48]
  mov edi, ebx
  add edi, [ebp + 44]
.range:
  cmp ebx, edi
  jae .end
  PRINT "range "
  mov eax, [ebx + 4]
  call print_hex
  PRINT " + "
  mov eax, [ebx + 12]
  call print_hex
  PRINT " type "
  mov eax, [ebx + 20]
  call print_hex
  PRINT 10
  add ebx, [ebx]
  add ebx, 4
  jmp .range
.end:
  PRINT "zero "
  mov eax, [zeroed]
  call print_hex
  PRINT 10, "done", 10
  mov al, 5
  jmp exit

%ifdef FLAT
align 16
end:
%endif
section .bss
zeroed: resd 1
  resb 4096
stack_top:
