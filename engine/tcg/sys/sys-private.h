/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors, selectors and stack cursors, as segments, far transfers, tasks and events use them. */
#pragma once

#include "engine/tcg/decode/ops.h"
#include "engine/tcg/interp/interp.h"
#include "engine/tcg/sys/sys.h"

typedef struct Desc {
  uint32_t low, high;
  uint64_t address; /* linear, of the descriptor */
} Desc;

enum { /* system descriptor types */
  SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK = 5, SYS_INT16 = 6,
  SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
};

static inline uint16_t
desc_attr (const Desc *d)
{
  return (d->high >> 8) & 0xf0ff;
}

static inline uint32_t
desc_base (const Desc *d)
{
  return d->low >> 16 | (d->high & 0xff) << 16 | (d->high & 0xff000000);
}

static inline uint32_t
desc_limit (const Desc *d)
{
  uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);

  return desc_attr (d) & VM_SEG_G ? limit << 12 | 0xfff : limit;
}

static inline unsigned
attr_dpl (uint16_t attr)
{
  return (attr & VM_SEG_DPL) >> VM_SEG_DPL_SHIFT;
}

static inline bool
attr_is_code (uint16_t attr)
{
  return (attr & (VM_SEG_S | VM_SEG_CODE)) == (VM_SEG_S | VM_SEG_CODE);
}

static inline bool
attr_is_conforming (uint16_t attr)
{
  return (attr & (VM_SEG_S | VM_SEG_CODE | VM_SEG_DC)) == (VM_SEG_S | VM_SEG_CODE | VM_SEG_DC);
}

static inline bool
attr_is_writable_data (uint16_t attr)
{
  return (attr & (VM_SEG_S | VM_SEG_CODE | VM_SEG_RW)) == (VM_SEG_S | VM_SEG_RW);
}

static inline bool
is_null (uint16_t selector)
{
  return (selector & ~3) == 0;
}

static inline bool
is_real (const VmX86Env *env)
{
  return !(env->cr0 & VM_CR0_PE);
}

static inline bool
is_real_or_vm86 (const VmX86Env *env)
{
  return is_real (env) || (env->eflags & VM_VM);
}

static inline unsigned
iopl (const VmX86Env *env)
{
  return (env->eflags & VM_IOPL) >> 12;
}

static inline uint64_t
size_mask (unsigned size)
{
  return size >= 8 ? UINT64_MAX : VM_BIT (size * 8) - 1;
}

static inline bool
is_canonical (const VmX86Env *env, uint64_t linear)
{
  unsigned shift = env->cr4 & VM_CR4_LA57 ? 7 : 16;

  return (uint64_t) ((int64_t) (linear << shift) >> shift) == linear;
}

/* Implicit supervisor accesses: tables and task segments. */
static inline uint64_t
sys_load (VmX86Env *env, uint64_t linear, unsigned size)
{
  if (!(env->efer & VM_EFER_LMA))
    linear &= UINT32_MAX;
  return vm_mmu_load (env, linear, size, VM_TLB_SUPERVISOR);
}

static inline void
sys_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size)
{
  if (!(env->efer & VM_EFER_LMA))
    linear &= UINT32_MAX;
  vm_mmu_store (env, linear, value, size, VM_TLB_SUPERVISOR);
}

/* VECTOR with an error code that names SELECTOR (its RPL dropped), and the EXT bit of a delivery in progress. */
G_NORETURN void sys_raise_selector (VmX86Env *env, int vector, uint16_t selector);
/* The same with code 0 (or EXT). */
G_NORETURN void sys_raise_zero (VmX86Env *env, int vector);

/* Reads SELECTOR's descriptor; outside the table: VECTOR(selector). */
void sys_read_desc (VmX86Env *env, uint16_t selector, int vector, Desc *d);
bool sys_try_read_desc (VmX86Env *env, uint16_t selector, Desc *d); /* for LAR, LSL, VERR, VERW; may #PF */
void sys_mark_accessed (VmX86Env *env, Desc *d);
void sys_set_seg (VmX86Seg *seg, uint16_t selector, const Desc *d);
/* A segment register as real (KEEP_LIMIT) or virtual-8086 mode loads it. */
void sys_set_seg_real (VmX86Env *env, unsigned seg, uint16_t selector);

/* Checks and loads CS's descriptor for a transfer that stays at CPL or takes NEW_CPL. */
void sys_set_cs (VmX86Env *env, uint16_t selector, const Desc *d, unsigned cpl);
/* Target offset inside the code segment about to be loaded: #GP(0) otherwise. */
void sys_check_target (VmX86Env *env, const Desc *d, uint64_t offset);

/* A stack that is worked on before anything is committed. */
typedef struct Stack {
  VmX86Env *env;
  VmX86Seg  seg;
  uint64_t  sp, mask;
  unsigned  ctx;
  uint16_t  error; /* selector of #SS: 0 for the stack in use */
  bool      is_64;
} Stack;

void     sys_stack_current (VmX86Env *env, Stack *st);
/* A new stack of privilege CPL with its SS loaded in ST->seg. */
void     sys_stack_new (VmX86Env *env, Stack *st, const VmX86Seg *seg, uint64_t sp, unsigned cpl);
void     sys_stack_push (Stack *st, uint64_t value, unsigned size);
uint64_t sys_stack_pop (Stack *st, unsigned size);
/* Checks that LEN bytes can be pushed. */
void     sys_stack_reserve (Stack *st, unsigned len);
/* RSP under the stack's width. */
void     sys_stack_commit (Stack *st);

/* Stack pointer of privilege CPL from the TSS; protected mode. Fills SEG with the checked SS. */
uint64_t sys_tss_stack (VmX86Env *env, unsigned cpl, VmX86Seg *seg);
/* Long mode: RSP0-2 by CPL, or IST1-7. */
uint64_t sys_tss_stack_64 (VmX86Env *env, unsigned cpl, unsigned ist);

typedef enum TaskSource { TASK_JUMP, TASK_CALL, TASK_IRET } TaskSource;
/* Switches to the task of the TSS descriptor D (checked to be one of the right kind). RETURN_RIP is what the old
 * task continues at. */
void sys_switch_task (VmX86Env *env, uint16_t selector, Desc *d, TaskSource source, uint64_t return_rip);
/* From a task gate: reads and checks its TSS descriptor. */
void sys_task_gate (VmX86Env *env, const Desc *gate, TaskSource source, uint64_t return_rip);

void sys_enter_smm (VmX86Env *env);

/* #GP(0) unless PORT .. PORT + SIZE - 1 is allowed. */
void sys_check_port (VmX86Env *env, uint16_t port, unsigned size);

/* LIMIT of the access, the operand's linear address in the mode's context. */
uint64_t sys_operand_load (VmX86Env *env, const VmInsn *insn, unsigned size);
