; SPDX-License-Identifier: GPL-3.0-or-later
; Long mode: entry, IST, stack alignment, IRETQ, SYSCALL and SYSRET, canonical checks, compatibility mode, SWAPGS, TSC.
%include "common.inc"
;= m64[500]=000000000000000d
;= m64[508]=0000000000000000
;= m64[510]=000000000000000c
;= m64[518]=0000000000000000
;= m64[520]=0000000000000003
;= m64[528]=0000000000006fb8
;= m64[530]=0000000000006fa8
;= m64[538]=0000000000005fd8
;= m64[540]=0000000000000a02
;= m64[548]=0000000000000002
;= m64[550]=0000000000004004
;= m64[558]=00000000ffffffff
;= m64[560]=000000000000000d
;= m64[568]=0000000000000000
;= m64[570]=000000000000000e
;= m64[578]=0000000000000006
;= m64[580]=1234567890abcdef
;= m64[588]=0000000000000001
;= m64[590]=000000000000000d
;= m64[598]=0000000000000000
;= cr2=400000
;= rax=600d600d
%define PT 0x20000
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, STACK
        ; identity map of 4 MiB: PML4 at 20000, PDPT, PD, two PTs
        mov ax, 0x2000
        mov es, ax
        xor di, di
        xor eax, eax
        mov cx, 0x5000 / 4
        rep stosd
        mov dword [es:0], PT + 0x1007
        mov dword [es:0x1000], PT + 0x2007
        mov dword [es:0x2000], PT + 0x3007
        mov dword [es:0x2008], PT + 0x4007
        mov di, 0x3000
        mov eax, 7
.fill:  mov [es:di], eax
        mov dword [es:di + 4], 0
        add eax, 0x1000
        add di, 8
        cmp di, 0x5000
        jb .fill
        mov eax, 0x20
        mov cr4, eax
        mov eax, PT
        mov cr3, eax
        mov ecx, 0xc0000080
        mov eax, 0x901                  ; NXE LME SCE
        xor edx, edx
        wrmsr
        lgdt [gdtr]
        mov eax, 0x80000001
        mov cr0, eax
        jmp 0x08:start64
        bits 64
start64: mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov rsp, STACK
        mov rdi, idt
        mov rbx, stubs
        mov ecx, 34
.gate:  mov [rdi], bx
        mov word [rdi + 2], 0x08
        mov word [rdi + 4], 0x8e00
        mov word [rdi + 6], 0
        mov qword [rdi + 8], 0
        add rbx, 16
        add rdi, 16
        loop .gate
        mov byte [idt + 33 * 16 + 4], 1           ; INT 21h on IST1
        or byte [idt + 32 * 16 + 5], 0x60         ; INT 20h for everybody
        lidt [idtr]
        mov ax, 0x38
        ltr ax
%macro LOG64 1
        push rbx
        mov rbx, [log_at]
        mov [rbx], %1
        add qword [log_at], 8
        pop rbx
%endmacro
%macro TRY64 1+
        mov qword [resume], %%after
        mov [resume_rsp], rsp
        %1
        mov rax, 0xffffffff
        LOG64 rax
%%after:
%endmacro
        ; non-canonical addresses: #GP, #SS through RSP
        mov rsi, 0x0000800000000000
        TRY64 mov rax, [rsi]
        mov rbp, rsi
        TRY64 mov rax, [rbp]
        ; to ring 3 by IRETQ and back by INT 20
        mov qword [user_end], .u1
        push qword 0x33
        push qword STACK3
        push qword 0x202
        push qword 0x2b
        push qword user
        iretq
.u1:    mov rsp, STACK - 0x20 - 8
        ; an interrupt at the same level: RSP is aligned before the pushes: 6fd8 - 28h would be 6fb0, aligned first 6fa8
        mov qword [user_end], .u2
        int 0x20
.u2:    ; IST1
        mov qword [user_end], .u3
        int 0x21
.u3:    mov rsp, STACK
        ; SYSCALL from ring 3, SYSRET
        mov ecx, 0xc0000081
        mov edx, 0x00230008
        xor eax, eax
        wrmsr
        inc ecx
        mov eax, syscall_entry
        xor edx, edx
        wrmsr
        mov ecx, 0xc0000084
        mov eax, 0x700
        wrmsr
        push qword 0x33
        push qword STACK3
        push qword 0xa02                          ; OF and IF
        push qword 0x2b
        push qword user_syscall
        iretq
syscall_entry:
        pushfq
        pop rax
        and eax, 0xfff
        cmp qword [sysret_done], 0
        jne .finish
        inc qword [sysret_done]
        mov rdx, cs
        LOG64 r11
        o64 sysret
.finish:
        mov rsp, STACK
        mov rax, [log_at]
        ; flags inside: SFMASK cleared IF, TF and DF
        pushfq
        pop rax
        and eax, 0x702
        LOG64 rax
        ; compatibility mode: 32-bit addresses wrap at 4 GiB
        mov qword [resume], .c
        mov [resume_rsp], rsp
        push qword 0x18
        push qword compat
        retfq
.c:     mov rax, 0x4004
        LOG64 rax
        mov eax, 0xffffffff
        LOG64 rax
        ; a non-canonical RIP from IRETQ faults in IRETQ itself
        mov qword [resume], .i
        mov [resume_rsp], rsp
        push qword 0x10
        push qword STACK
        push qword 2
        push qword 0x08
        mov rax, 0x0000800000000000
        push rax
        iretq
.i:     ; page fault: not present, user write
        mov qword [PT + 0x4000 - 8 + 0x1000 - 0xff8], 0
        mov qword [user_end], .pf
        mov qword [PT + 0x2010], 0
        mov qword [resume], .pf
        mov [resume_rsp], rsp
        push qword 0x33
        push qword STACK3
        push qword 2
        push qword 0x2b
        push qword user_fault
        iretq
.pf:    ; SWAPGS
        mov ecx, 0xc0000102
        mov eax, 0x90abcdef
        mov edx, 0x00000000
        wrmsr
        swapgs
        mov ecx, 0xc0000101
        rdmsr
        mov rax, 0x1234567890abcdef
        LOG64 rax
        ; the TSC goes forward
        rdtsc
        mov esi, eax
        mov edi, edx
        rdtsc
        sub eax, esi
        sbb edx, edi
        setns al
        movzx eax, al
        LOG64 rax
        ; clearing CR0.PG in 64-bit code
        mov rax, cr0
        btr rax, 31
        TRY64 mov cr0, rax
        mov rax, 0x600d600d
        hlt

user:   mov rax, cs
        and eax, 3
        push rbx
        mov rbx, [log_at]
        mov [rbx], rax
        add qword [log_at], 8
        pop rbx
        int 0x20
user_syscall:
        syscall
        ; back: CS and flags as before
        mov rax, cs
        syscall
user_fault:
        mov dword [0x400000], 1

int20:  ; log the stack pointer inside, then go on at ring 0
        mov rax, rsp
        LOG64 rax
        cmp qword [stage], 0
        jne .second
        inc qword [stage]
        jmp [user_end]
.second:
        jmp [user_end]

        bits 32
compat: mov eax, 0x10
        jmp 0x08:syscall_entry.c
        bits 64

        align 16
stubs:
%assign v 0
%rep 32
s%[v]:
  %if !(v == 8 || (v >= 10 && v <= 14) || v == 17)
        push qword 0
  %endif
        push qword v
        jmp strict near handler
        times 16 - ($ - s%[v]) nop
  %assign v v + 1
%endrep
s32:    jmp strict near int20
        times 16 - ($ - s32) nop
s33:    jmp strict near int20
        times 16 - ($ - s33) nop
handler:
        mov rax, [rsp]
        LOG64 rax
        mov rax, [rsp + 8]
        LOG64 rax
        mov ax, 0x10
        mov ss, ax
        mov rsp, [resume_rsp]
        jmp [resume]

        align 8
gdt:    dq 0
        dq 0x00209a0000000000        ; 08 code64
        dq 0x0000920000000000        ; 10 data
        dq 0x00cf9a000000ffff        ; 18 code32
        dq 0x00cffa000000ffff        ; 20 code32, DPL 3
        dq 0x0020fa0000000000        ; 28 code64, DPL 3
        dq 0x0000f20000000000        ; 30 data, DPL 3
        dw 0x67, tss64, 0x8900, 0    ; 38 TSS
        dq 0
gdt_end:
gdtr:   dw gdt_end - gdt - 1
        dd gdt
idtr:   dw 34 * 16 - 1
        dq idt
        align 8
log_at:      dq LOG
resume:      dq 0
resume_rsp:  dq 0
user_end:    dq 0
stage:       dq 0
sysret_done: dq 0
        align 16
tss64:  dd 0
        dq 0x6fe0, 0, 0, 0            ; RSP0
        dq 0x6008                     ; IST1, not aligned
        times 104 - ($ - tss64) db 0
        align 16
idt:    times 34 * 16 db 0
