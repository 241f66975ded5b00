/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Read-modify-write of registers and memory, locked or not. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

typedef uint16_t U16 __attribute__ ((aligned (1), may_alias));
typedef uint32_t U32 __attribute__ ((aligned (1), may_alias));
typedef uint64_t U64 __attribute__ ((aligned (1), may_alias));

static uint64_t
host_load (const void *p, unsigned size)
{
  switch (size)
    {
    case 1: return *(const volatile uint8_t *) p;
    case 2: return *(const volatile U16 *) p;
    case 4: return *(const volatile U32 *) p;
    default: return *(const volatile U64 *) p;
    }
}

static void
host_store (void *p, uint64_t v, unsigned size)
{
  switch (size)
    {
    case 1: *(volatile uint8_t *) p = v; break;
    case 2: *(volatile U16 *) p = v; break;
    case 4: *(volatile U32 *) p = v; break;
    default: *(volatile U64 *) p = v; break;
    }
}

/* Inline assembly because the address may be unaligned, which the processor allows and C does not. */
#define CMPXCHG(suffix, m, type)                                                                 \
  __asm__ volatile ("lock cmpxchg" suffix " %" m "3, %1"                                         \
                    : "=@ccz" (done), "+m" (*(type *) p), "+a" (old) : "r" (v) : "memory")

static bool
host_cmpxchg (void *p, uint64_t *expected, uint64_t v, unsigned size)
{
  uint64_t old = *expected;
  bool done;

  switch (size)
    {
    case 1: CMPXCHG ("b", "b", uint8_t); break;
    case 2: CMPXCHG ("w", "w", U16); break;
    case 4: CMPXCHG ("l", "k", U32); break;
    default: CMPXCHG ("q", "q", U64); break;
    }
  *expected = old & size_mask (size);
  return done;
}

void
target_open_memory (VmX86Env *env, Target *t, uint64_t linear, unsigned size, bool locked)
{
  unsigned ctx = vm_tlb_context (env);

  t->is_memory = true;
  t->locked = locked;
  t->size = size;
  t->linear = linear;
  t->host = vm_mmu_host (env, linear, size, VM_ACCESS_WRITE, ctx);
  if (t->host)
    {
      t->old = host_load (t->host, size);
      return;
    }
  vm_mmu_probe_write (env, linear, size, ctx);
  t->old = vm_mmu_load (env, linear, size, ctx);
}

void
target_open (VmX86Env *env, const VmInsn *insn, const VmOperandSpec *o, unsigned size, Target *t)
{
  if (operand_is_memory (insn, o))
    {
      target_open_memory (env, t, vm_insn_linear (env, insn, size, VM_ACCESS_WRITE), size,
                          insn->flags & VM_INSN_LOCK);
      return;
    }
  t->is_memory = false;
  t->size = size;
  t->reg = operand_register (insn, o);
  t->old = gpr_read (env, insn, t->reg, size);
}

bool
target_close (VmX86Env *env, const VmInsn *insn, Target *t, uint64_t v)
{
  if (!t->is_memory)
    gpr_write (env, insn, t->reg, v, t->size);
  else if (t->host && t->locked)
    return host_cmpxchg (t->host, &t->old, v, t->size);
  else if (t->host)
    host_store (t->host, v, t->size);
  else if (t->locked)
    {
      uint64_t expected[2] = { t->old, 0 }, desired[2] = { v, 0 };
      bool done = vm_mmu_cmpxchg (env, t->linear, expected, desired, t->size, vm_tlb_context (env));

      t->old = expected[0];
      return done;
    }
  else
    vm_mmu_store (env, t->linear, v, t->size, vm_tlb_context (env));
  return true;
}
