/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integer arithmetic, logic and shifts. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

/* A kernel computes the new value of A from A and B and passes the flags through AX (host_flags()). */
typedef uint64_t (*Kernel) (unsigned size, uint64_t a, uint64_t b, uint64_t *ax);

#define BINARY_CASE(n, op, sfx, m)                                                               \
  case n:                                                                                        \
    __asm__ (HOST_FLAGS_IN op sfx " %" m "2, %" m "1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a) : "r" (b)); \
    break;
#define DEFINE_BINARY(name, op)                                                                  \
  static inline uint64_t                                                                         \
  kernel_##name (unsigned size, uint64_t a, uint64_t b, uint64_t *ax)                            \
  {                                                                                              \
    uint64_t f = *ax;                                                                            \
    switch (size)                                                                                \
      {                                                                                          \
        BINARY_CASE (1, op, "b", "b")                                                            \
        BINARY_CASE (2, op, "w", "w")                                                            \
        BINARY_CASE (4, op, "l", "k")                                                            \
      default:                                                                                   \
        __asm__ (HOST_FLAGS_IN op "q %2, %1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a) : "r" (b));     \
        break;                                                                                   \
      }                                                                                          \
    *ax = f;                                                                                     \
    return a;                                                                                    \
  }

#define UNARY_CASE(n, op, sfx, m)                                                                \
  case n:                                                                                        \
    __asm__ (HOST_FLAGS_IN op sfx " %" m "1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a));               \
    break;
#define DEFINE_UNARY(name, op)                                                                   \
  static inline uint64_t                                                                         \
  kernel_##name (unsigned size, uint64_t a, uint64_t b, uint64_t *ax)                            \
  {                                                                                              \
    uint64_t f = *ax;                                                                            \
    switch (size)                                                                                \
      {                                                                                          \
        UNARY_CASE (1, op, "b", "b")                                                             \
        UNARY_CASE (2, op, "w", "w")                                                             \
        UNARY_CASE (4, op, "l", "k")                                                             \
      default:                                                                                   \
        __asm__ (HOST_FLAGS_IN op "q %1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a));                   \
        break;                                                                                   \
      }                                                                                          \
    *ax = f;                                                                                     \
    return a;                                                                                    \
  }

#define SHIFT_CASE(n, op, sfx, m)                                                                \
  case n:                                                                                        \
    __asm__ (HOST_FLAGS_IN op sfx " %%cl, %" m "1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a) : "c" (b)); \
    break;
#define DEFINE_SHIFT(name, op)                                                                   \
  static inline uint64_t                                                                         \
  kernel_##name (unsigned size, uint64_t a, uint64_t b, uint64_t *ax)                            \
  {                                                                                              \
    uint64_t f = *ax;                                                                            \
    switch (size)                                                                                \
      {                                                                                          \
        SHIFT_CASE (1, op, "b", "b")                                                             \
        SHIFT_CASE (2, op, "w", "w")                                                             \
        SHIFT_CASE (4, op, "l", "k")                                                             \
      default:                                                                                   \
        __asm__ (HOST_FLAGS_IN op "q %%cl, %1" HOST_FLAGS_OUT : "+&a" (f), "+r" (a) : "c" (b));   \
        break;                                                                                   \
      }                                                                                          \
    *ax = f;                                                                                     \
    return a;                                                                                    \
  }

DEFINE_BINARY (add, "add")
DEFINE_BINARY (or, "or")
DEFINE_BINARY (adc, "adc")
DEFINE_BINARY (sbb, "sbb")
DEFINE_BINARY (and, "and")
DEFINE_BINARY (sub, "sub")
DEFINE_BINARY (xor, "xor")
DEFINE_UNARY (inc, "inc")
DEFINE_UNARY (dec, "dec")
DEFINE_UNARY (neg, "neg")
DEFINE_UNARY (not, "not")
DEFINE_SHIFT (rol, "rol")
DEFINE_SHIFT (ror, "ror")
DEFINE_SHIFT (rcl, "rcl")
DEFINE_SHIFT (rcr, "rcr")
DEFINE_SHIFT (shl, "shl")
DEFINE_SHIFT (shr, "shr")
DEFINE_SHIFT (sar, "sar")

/* The kernel is a constant, so that this inlines into one function for each operation. */
static inline __attribute__ ((always_inline)) void
modify (VmX86Env *env, const VmInsn *insn, Kernel kernel)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize;
  uint64_t b = 0, ax, v;
  Target t;

  if (row->n_operands > 1)
    b = operand_read (env, insn, &row->operand[1], row->operand[1].kind == VM_OPND_RCX ? 1 : size);
  target_open (env, insn, &row->operand[0], size, &t);
  do
    {
      ax = host_flags (env->eflags);
      v = kernel (size, t.old, b, &ax);
    }
  while (!target_close (env, insn, &t, v));
  set_host_flags (env, ax);
}

#define DEFINE_MODIFY(name)                                                                      \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    modify (env, insn, kernel_##name);                                                           \
  }

DEFINE_MODIFY (add)
DEFINE_MODIFY (or)
DEFINE_MODIFY (adc)
DEFINE_MODIFY (sbb)
DEFINE_MODIFY (and)
DEFINE_MODIFY (sub)
DEFINE_MODIFY (xor)
DEFINE_MODIFY (inc)
DEFINE_MODIFY (dec)
DEFINE_MODIFY (neg)
DEFINE_MODIFY (not)
DEFINE_MODIFY (rol)
DEFINE_MODIFY (ror)
DEFINE_MODIFY (rcl)
DEFINE_MODIFY (rcr)
DEFINE_MODIFY (shl)
DEFINE_MODIFY (shr)
DEFINE_MODIFY (sar)

static inline __attribute__ ((always_inline)) void
compare (VmX86Env *env, const VmInsn *insn, Kernel kernel)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize;
  uint64_t a = operand_read (env, insn, &row->operand[0], size);
  uint64_t b = operand_read (env, insn, &row->operand[1], size);
  uint64_t ax = host_flags (env->eflags);

  kernel (size, a, b, &ax);
  set_host_flags (env, ax);
}

void
vm_op_cmp (VmX86Env *env, const VmInsn *insn)
{
  compare (env, insn, kernel_sub);
}

void
vm_op_test (VmX86Env *env, const VmInsn *insn)
{
  compare (env, insn, kernel_and);
}

void
vm_interp_compare (VmX86Env *env, uint64_t a, uint64_t b, unsigned size)
{
  uint64_t ax = host_flags (env->eflags);

  kernel_sub (size, a, b, &ax);
  set_host_flags (env, ax);
}

/* --- double shifts ----------------------------------------------------------------------------- */

#define DOUBLE_CASE(n, op, sfx, m)                                                               \
  case n:                                                                                        \
    __asm__ (HOST_FLAGS_IN op sfx " %%cl, %" m "2, %" m "1" HOST_FLAGS_OUT                       \
             : "+&a" (ax), "+r" (v) : "r" (b), "c" (count));                                      \
    break;
#define DEFINE_DOUBLE_SHIFT(name)                                                                \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    const VmInsnRow *row = row_of (insn);                                                        \
    uint64_t b = gpr_read (env, insn, insn->reg, insn->opsize), ax = host_flags (env->eflags), v; \
    uint64_t count = operand_read (env, insn, &row->operand[2], 1);                              \
    Target t;                                                                                    \
                                                                                                 \
    target_open (env, insn, &row->operand[0], insn->opsize, &t);                                 \
    v = t.old;                                                                                   \
    switch (insn->opsize)                                                                        \
      {                                                                                          \
        DOUBLE_CASE (2, #name, "w", "w")                                                         \
        DOUBLE_CASE (4, #name, "l", "k")                                                         \
      default:                                                                                   \
        __asm__ (HOST_FLAGS_IN #name "q %%cl, %2, %1" HOST_FLAGS_OUT                             \
                 : "+&a" (ax), "+r" (v) : "r" (b), "c" (count));                                  \
        break;                                                                                   \
      }                                                                                          \
    target_close (env, insn, &t, v);                                                             \
    set_host_flags (env, ax);                                                                    \
  }

DEFINE_DOUBLE_SHIFT (shld)
DEFINE_DOUBLE_SHIFT (shrd)

/* --- exchange ---------------------------------------------------------------------------------- */

void
vm_op_xadd (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  uint64_t b = gpr_read (env, insn, insn->reg, size), ax, v;
  Target t;

  target_open (env, insn, &row_of (insn)->operand[0], size, &t);
  do
    {
      ax = host_flags (env->eflags);
      v = kernel_add (size, t.old, b, &ax);
      /* The sum wins when both operands are one register. */
      if (!t.is_memory)
        gpr_write (env, insn, insn->reg, t.old, size);
    }
  while (!target_close (env, insn, &t, v));
  if (t.is_memory)
    gpr_write (env, insn, insn->reg, t.old, size);
  set_host_flags (env, ax);
}

void
vm_op_xchg (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize, other = operand_register (insn, &row->operand[1]);
  uint64_t b = gpr_read (env, insn, other, size);
  Target t;

  target_open (env, insn, &row->operand[0], size, &t);
  t.locked = t.is_memory; /* always */
  while (!target_close (env, insn, &t, b))
    ;
  gpr_write (env, insn, other, t.old, size);
}

/* Whether a failing comparison clears the upper half of a 32-bit register is the host's business. */
static void
cmpxchg_registers (VmX86Env *env, const VmInsn *insn)
{
  uint64_t a = env->gpr[VM_RAX], b = gpr_read (env, insn, insn->reg, insn->opsize);
  uint64_t v = insn->opsize == 1 ? gpr_read (env, insn, insn->rm, 1) : env->gpr[insn->rm];

#define CMPXCHG(sfx, m)                                                                          \
  __asm__ ("cmpxchg" sfx " %" m "2, %" m "0" : "+&r" (v), "+&a" (a) : "r" (b) : "cc")
  uint64_t old = a, compared = v & size_mask (insn->opsize);

  switch (insn->opsize)
    {
    case 1: CMPXCHG ("b", "b"); break;
    case 2: CMPXCHG ("w", "w"); break;
    case 4: CMPXCHG ("l", "k"); break;
    default: CMPXCHG ("q", "q"); break;
    }
#undef CMPXCHG
  vm_interp_compare (env, old & size_mask (insn->opsize), compared, insn->opsize);
  if (insn->opsize == 1)
    gpr_write (env, insn, insn->rm, v, 1);
  else
    env->gpr[insn->rm] = v;
  if ((old & size_mask (insn->opsize)) != compared)
    env->gpr[VM_RAX] = a;
}

void
vm_op_cmpxchg (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  uint64_t a = env->gpr[VM_RAX] & size_mask (size), b = gpr_read (env, insn, insn->reg, size);
  bool equal;
  Target t;

  if (!(insn->flags & VM_INSN_MEM))
    {
      cmpxchg_registers (env, insn);
      return;
    }
  target_open (env, insn, &row_of (insn)->operand[0], size, &t);
  do
    equal = t.old == a;
  while (!target_close (env, insn, &t, equal ? b : t.old));
  vm_interp_compare (env, a, t.old, size);
  if (!equal)
    gpr_write (env, insn, VM_RAX, t.old, size);
}

void
vm_op_cmpxchg8b (VmX86Env *env, const VmInsn *insn)
{
  uint64_t a = (uint32_t) env->gpr[VM_RAX] | env->gpr[VM_RDX] << 32;
  uint64_t b = (uint32_t) env->gpr[VM_RBX] | env->gpr[VM_RCX] << 32;
  bool equal;
  Target t;

  target_open_memory (env, &t, vm_insn_linear (env, insn, 8, VM_ACCESS_WRITE), 8, insn->flags & VM_INSN_LOCK);
  do
    equal = t.old == a;
  while (!target_close (env, insn, &t, equal ? b : t.old));
  env->eflags = (env->eflags & ~(uint64_t) VM_ZF) | (equal ? VM_ZF : 0);
  if (!equal)
    {
      env->gpr[VM_RAX] = (uint32_t) t.old;
      env->gpr[VM_RDX] = t.old >> 32;
    }
}

void
vm_op_cmpxchg16b (VmX86Env *env, const VmInsn *insn)
{
  uint64_t base = insn->seg >= VM_FS ? env->seg[insn->seg].base : 0, linear;
  const uint64_t wanted[2] = { env->gpr[VM_RAX], env->gpr[VM_RDX] };
  const uint64_t replacement[2] = { env->gpr[VM_RBX], env->gpr[VM_RCX] };
  unsigned ctx = vm_tlb_context (env);
  uint64_t found[2];
  bool equal;

  /* Alignment comes before everything else about the address. */
  if ((vm_insn_offset (env, insn) + base) & 15)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  linear = vm_insn_linear (env, insn, 16, VM_ACCESS_WRITE);
  vm_mmu_probe_write (env, linear, 16, ctx);
  vm_mmu_load_bytes (env, linear, found, 16, ctx);
  do
    equal = found[0] == wanted[0] && found[1] == wanted[1];
  while (!vm_mmu_cmpxchg (env, linear, found, equal ? replacement : (const uint64_t[2]) { found[0], found[1] },
                          16, ctx));
  env->eflags = (env->eflags & ~(uint64_t) VM_ZF) | (equal ? VM_ZF : 0);
  if (!equal)
    {
      env->gpr[VM_RAX] = found[0];
      env->gpr[VM_RDX] = found[1];
    }
}
