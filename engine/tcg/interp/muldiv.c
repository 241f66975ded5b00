/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Multiplication, division and decimal adjustment. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

/* rDX:rAX (AX for bytes) as one number of twice SIZE. */
static unsigned __int128
wide_accumulator (const VmX86Env *env, unsigned size)
{
  uint64_t mask = size_mask (size);

  if (size == 1)
    return env->gpr[VM_RAX] & 0xffff;
  return (unsigned __int128) (env->gpr[VM_RDX] & mask) << (size * 8) | (env->gpr[VM_RAX] & mask);
}

static void
write_pair (VmX86Env *env, const VmInsn *insn, uint64_t low, uint64_t high, unsigned size)
{
  if (size == 1)
    gpr_write (env, insn, VM_RAX, (low & 0xff) | (high & 0xff) << 8, 2);
  else
    {
      gpr_write (env, insn, VM_RAX, low, size);
      gpr_write (env, insn, VM_RDX, high, size);
    }
}

#define WIDE(op, sfx, m)                                                                         \
  __asm__ (HOST_FLAGS_IN "movq %[a], %%rax\n\t" op sfx " %" m "[b]\n\tmovq %%rax, %[low]" HOST_FLAGS_OUT \
           : "+&a" (ax), [low] "=&r" (low), "=&d" (high) : [a] "r" (a), [b] "r" (b))

#define DEFINE_WIDE(name, op)                                                                    \
  void                                                                                           \
  vm_op_##name (VmX86Env *env, const VmInsn *insn)                                               \
  {                                                                                              \
    unsigned size = insn->opsize;                                                                \
    uint64_t a = env->gpr[VM_RAX], b = operand_read (env, insn, &row_of (insn)->operand[0], size); \
    uint64_t ax = host_flags (env->eflags), low, high;                                           \
                                                                                                 \
    switch (size)                                                                                \
      {                                                                                          \
      case 1:                                                                                    \
        WIDE (op, "b", "b");                                                                     \
        high = low >> 8;                                                                         \
        break;                                                                                   \
      case 2: WIDE (op, "w", "w"); break;                                                        \
      case 4: WIDE (op, "l", "k"); break;                                                        \
      default: WIDE (op, "q", "q"); break;                                                       \
      }                                                                                          \
    write_pair (env, insn, low, high, size);                                                     \
    set_host_flags (env, ax);                                                                    \
  }

DEFINE_WIDE (mul, "mul")
DEFINE_WIDE (imul_wide, "imul")

void
vm_op_imul (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = row_of (insn);
  const VmOperandSpec *first = &row->operand[row->n_operands == 3];
  uint64_t a = operand_read (env, insn, first, insn->opsize);
  uint64_t b = operand_read (env, insn, first + 1, insn->opsize), ax = host_flags (env->eflags);

  switch (insn->opsize)
    {
    case 2: __asm__ (HOST_FLAGS_IN "imulw %w2, %w1" HOST_FLAGS_OUT : "+&a" (ax), "+r" (a) : "r" (b)); break;
    case 4: __asm__ (HOST_FLAGS_IN "imull %k2, %k1" HOST_FLAGS_OUT : "+&a" (ax), "+r" (a) : "r" (b)); break;
    default: __asm__ (HOST_FLAGS_IN "imulq %2, %1" HOST_FLAGS_OUT : "+&a" (ax), "+r" (a) : "r" (b)); break;
    }
  gpr_write (env, insn, insn->reg, a, insn->opsize);
  set_host_flags (env, ax);
}

/* The quotient is known to fit: what the host leaves in the flags is wanted too. */
#define DIVIDE(op, sfx, m)                                                                       \
  __asm__ (HOST_FLAGS_IN "movq %[a], %%rax\n\t" op sfx " %" m "[b]\n\tmovq %%rax, %[low]" HOST_FLAGS_OUT \
           : "+&a" (ax), [low] "=&r" (low), "+d" (high) : [a] "r" (a), [b] "r" (b))

#define DIVIDE_BY_SIZE(op)                                                                       \
  switch (size)                                                                                  \
    {                                                                                            \
    case 1:                                                                                      \
      DIVIDE (op, "b", "b");                                                                     \
      high = low >> 8;                                                                           \
      break;                                                                                     \
    case 2: DIVIDE (op, "w", "w"); break;                                                        \
    case 4: DIVIDE (op, "l", "k"); break;                                                        \
    default: DIVIDE (op, "q", "q"); break;                                                       \
    }

void
vm_op_div (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  uint64_t b = operand_read (env, insn, &row_of (insn)->operand[0], size);
  unsigned __int128 n = wide_accumulator (env, size);
  uint64_t a = env->gpr[VM_RAX], high = env->gpr[VM_RDX], low, ax = host_flags (env->eflags);

  if (b == 0 || (uint64_t) (n >> (size * 8)) >= b)
    vm_x86_raise (env, VM_EXC_DE);
  DIVIDE_BY_SIZE ("div")
  write_pair (env, insn, low, high, size);
  set_host_flags (env, ax);
}

static bool
idiv_fits (unsigned __int128 n, uint64_t b, unsigned size)
{
  unsigned shift = 128 - size * 16;
  __int128 dividend = (__int128) (n << shift) >> shift;
  int64_t divisor = sign_extend (b, size), limit = (int64_t) (UINT64_C (1) << (size * 8 - 1));
  unsigned __int128 magnitude = dividend < 0 ? -(unsigned __int128) dividend : (unsigned __int128) dividend;
  uint64_t unit = divisor < 0 ? -(uint64_t) divisor : (uint64_t) divisor;
  uint64_t quotient;

  if (unit == 0 || (magnitude >> (size * 8)) >= unit)
    return false;
  quotient = magnitude / unit;
  return (dividend < 0) != (divisor < 0) ? quotient <= (uint64_t) limit : quotient < (uint64_t) limit;
}

void
vm_op_idiv (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  uint64_t b = operand_read (env, insn, &row_of (insn)->operand[0], size);
  uint64_t a = env->gpr[VM_RAX], high = env->gpr[VM_RDX], low, ax = host_flags (env->eflags);

  if (!idiv_fits (wide_accumulator (env, size), b, size))
    vm_x86_raise (env, VM_EXC_DE);
  DIVIDE_BY_SIZE ("idiv")
  write_pair (env, insn, low, high, size);
  set_host_flags (env, ax);
}

/* --- decimal ----------------------------------------------------------------------------------- */

/* SF, ZF and PF of byte V, the other bits of FLAGS kept. */
static uint64_t
with_result_flags (uint64_t flags, uint8_t v)
{
  flags &= ~(uint64_t) (VM_SF | VM_ZF | VM_PF);
  return flags | (v & 0x80 ? VM_SF : 0) | (v == 0 ? VM_ZF : 0) | (__builtin_parity (v) ? 0 : VM_PF);
}

static void
decimal_adjust (VmX86Env *env, int sign)
{
  uint8_t al = env->gpr[VM_RAX], old = al;
  bool cf = env->eflags & VM_CF, af = env->eflags & VM_AF, carry = false;

  if ((al & 15) > 9 || af)
    {
      carry = cf || (sign < 0 ? al < 6 : al > 0xf9);
      al += sign * 6;
      af = true;
    }
  if (old > 0x99 || cf)
    {
      al += sign * 0x60;
      carry = true;
    }
  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xff)) | al;
  env->eflags = with_result_flags (env->eflags & ~(uint64_t) (VM_CF | VM_AF | VM_OF), al) |
                (carry ? VM_CF : 0) | (af ? VM_AF : 0);
}

void
vm_op_daa (VmX86Env *env, const VmInsn *insn)
{
  decimal_adjust (env, 1);
}

void
vm_op_das (VmX86Env *env, const VmInsn *insn)
{
  decimal_adjust (env, -1);
}

static void
ascii_adjust (VmX86Env *env, int sign)
{
  uint16_t ax = env->gpr[VM_RAX];
  bool adjust = (ax & 15) > 9 || (env->eflags & VM_AF);

  if (adjust)
    ax += sign * 0x106;
  ax &= 0xff0f;
  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xffff)) | ax;
  env->eflags = with_result_flags (env->eflags & ~(uint64_t) (VM_CF | VM_AF | VM_OF), ax) |
                (adjust ? VM_CF | VM_AF : 0);
}

void
vm_op_aaa (VmX86Env *env, const VmInsn *insn)
{
  ascii_adjust (env, 1);
}

void
vm_op_aas (VmX86Env *env, const VmInsn *insn)
{
  ascii_adjust (env, -1);
}

void
vm_op_aam (VmX86Env *env, const VmInsn *insn)
{
  uint8_t al = env->gpr[VM_RAX], base = insn->imm;

  if (base == 0)
    vm_x86_raise (env, VM_EXC_DE);
  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xffff)) | (al / base) << 8 | al % base;
  env->eflags = with_result_flags (env->eflags & ~(uint64_t) (VM_CF | VM_AF | VM_OF), al % base);
}

void
vm_op_aad (VmX86Env *env, const VmInsn *insn)
{
  uint8_t al = env->gpr[VM_RAX] + (uint8_t) (env->gpr[VM_RAX] >> 8) * (uint8_t) insn->imm;

  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xffff)) | al;
  env->eflags = with_result_flags (env->eflags & ~(uint64_t) (VM_CF | VM_AF | VM_OF), al);
}
