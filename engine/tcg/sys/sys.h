/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What instructions do beyond arithmetic: segment loads, far transfers, interrupts, tasks, control
 * registers, system management mode (SDM vol. 3). Raises by vm_x86_raise*() with state uncommitted. */
#pragma once

#include "engine/tcg/decode/insn.h"
#include "engine/tcg/softmmu/tlb.h"

/* Checks [OFFSET, OFFSET + LEN) against segment SEG for ACCESS (VM_ACCESS_*) and returns the linear address;
 * raises #SS for SS, else #GP. In 64-bit mode: base of FS/GS only, and canonical check. OFFSET is already
 * truncated to the address size. */
uint64_t vm_seg_linear (VmX86Env *env, unsigned seg, uint64_t offset, unsigned len, unsigned access);

/* Stack of the present mode: operand SIZE 2, 4, 8; RSP/ESP/SP by VM_MODE_CS64 and VM_MODE_SS32. Commit RSP
 * only after the access succeeded. */
void     vm_push (VmX86Env *env, uint64_t value, unsigned size);
uint64_t vm_pop (VmX86Env *env, unsigned size);
/* Stack pointer arithmetic under the stack size. */
uint64_t vm_stack_pointer (const VmX86Env *env);
void     vm_set_stack_pointer (VmX86Env *env, uint64_t sp);

/* MOV/POP to a segment register other than CS. */
void vm_sys_load_segment (VmX86Env *env, unsigned seg, uint16_t selector);

typedef enum VmEventKind {
  VM_EVENT_EXTERNAL,   /* interrupt from the APIC or PIC, NMI */
  VM_EVENT_EXCEPTION,  /* fault or trap of the processor */
  VM_EVENT_SOFT_INT,   /* INT n, INT3, INTO: RETURN_RIP is after the instruction */
  VM_EVENT_ICEBP,
} VmEventKind;

/* Delivers through the IVT or IDT (gates, stack switches, IST, tasks, VM86 and its redirection). May raise: the
 * caller applies the double-fault rules by calling vm_sys_deliver_exception() for what was raised. */
void vm_sys_deliver (VmX86Env *env, VmEventKind kind, unsigned vector, uint32_t error, uint64_t return_rip);
/* INT n (CD): IOPL and redirection in virtual-8086 mode, then vm_sys_deliver(). INT3 and INTO go to
 * vm_sys_deliver() at once. Sets RIP. */
void vm_sys_int_n (VmX86Env *env, unsigned vector, uint64_t return_rip);
/* PUSHF's image and POPF's effect: IOPL, VME. SIZE 2, 4, 8; they raise, and do not touch the stack. */
uint64_t vm_sys_pushf_image (VmX86Env *env, unsigned size);
void vm_sys_popf_image (VmX86Env *env, uint64_t image, unsigned size);
/* Takes the exception noted in env->exc_* after a raise: #DF and triple fault rules, CR2, RF, DR6. Returns false
 * on a triple fault (env->shutdown is set). */
bool vm_sys_deliver_exception (VmX86Env *env);
/* Looks at env->request with its masks and priorities; delivers at most one event. Returns true when one was
 * taken. Clears env->halted when something wakes the processor. */
bool vm_sys_take_events (VmX86Env *env);
/* Is there anything for the exec loop to look at: poll bits, or a request that is not merely an interrupt held
 * off by IF? Long instructions and runs stop for it. */
static inline bool
vm_sys_has_event (const VmX86Env *env)
{
  uint32_t request = __atomic_load_n (&env->request, __ATOMIC_RELAXED);

  return __atomic_load_n (&env->poll, __ATOMIC_RELAXED) != 0 ||
         (G_UNLIKELY (request != 0) && ((request & ~(uint32_t) VM_REQ_HARD) || (env->eflags & VM_IF)));
}
/* Would vm_sys_take_events() wake a halted processor? No side effects; any thread with the lock. */
bool vm_sys_has_wakeup (VmX86Env *env);
/* #DB after an instruction completed with TF (or a pending data breakpoint). */
void vm_sys_single_step_trap (VmX86Env *env);
/* Instruction breakpoint of DR0-3 at the linear address of the next instruction: raises #DB. */
void vm_sys_check_code_breakpoint (VmX86Env *env, uint64_t linear);
/* EFLAGS written by an instruction: MASK bits of VALUE; updates the mode word. */
void vm_sys_write_eflags (VmX86Env *env, uint32_t value, uint32_t mask);
/* Control registers with all their checks and flushes. */
void vm_sys_write_cr0 (VmX86Env *env, uint64_t value);
void vm_sys_write_cr3 (VmX86Env *env, uint64_t value);
void vm_sys_write_cr4 (VmX86Env *env, uint64_t value);
/* #DB with these DR6 bits. */
G_NORETURN void vm_sys_raise_debug (VmX86Env *env, uint32_t dr6_bits);
