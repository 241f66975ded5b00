/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the interpreter's functions share: operands by the row's description, read-modify-write of registers,
 * memory and locked memory, and flags as the host computes them.
 *
 * Flags come from the host: before an operation the arithmetic flags are put into the host's EFLAGS, after
 * it they are read back, so that bits the manuals leave undefined, and those kept by a shift count of 0,
 * are the host's, as in compiled code. */
#pragma once

#include "engine/tcg/decode/ops.h"
#include "engine/tcg/interp/interp.h"
#include "engine/tcg/sys/sys.h"

/* FLAGS as SAHF and "add al, 0x7f" want them in AX: AH the low byte, AL the overflow flag. */
static inline uint64_t
host_flags (uint64_t eflags)
{
  return (eflags & 0xff) << 8 | (eflags >> 11 & 1);
}
#define HOST_FLAGS_IN  "addb $0x7f, %%al\n\tsahf\n\t"
#define HOST_FLAGS_OUT "\n\tlahf\n\tseto %%al"

static inline void
set_host_flags (VmX86Env *env, uint64_t ax)
{
  env->eflags = (env->eflags & ~(uint64_t) VM_ARITH_FLAGS) | (ax >> 8 & 0xd5) | (ax & 1) << 11;
}

static inline uint64_t
size_mask (unsigned size)
{
  return UINT64_MAX >> (64 - size * 8);
}

static inline int64_t
sign_extend (uint64_t v, unsigned size)
{
  unsigned shift = 64 - size * 8;

  return (int64_t) (v << shift) >> shift;
}

static inline const VmInsnRow *
row_of (const VmInsn *insn)
{
  return &vm_insn_rows[insn->row];
}

/* --- registers --------------------------------------------------------------------------------- */

static inline bool
is_high_byte (const VmInsn *insn, unsigned reg)
{
  return reg - 4 < 4 && !(insn->flags & VM_INSN_REX);
}

static inline uint64_t
gpr_read (const VmX86Env *env, const VmInsn *insn, unsigned reg, unsigned size)
{
  switch (size)
    {
    case 1: return is_high_byte (insn, reg) ? (uint8_t) (env->gpr[reg - 4] >> 8) : (uint8_t) env->gpr[reg];
    case 2: return (uint16_t) env->gpr[reg];
    case 4: return (uint32_t) env->gpr[reg];
    default: return env->gpr[reg];
    }
}

static inline void
gpr_write (VmX86Env *env, const VmInsn *insn, unsigned reg, uint64_t v, unsigned size)
{
  switch (size)
    {
    case 1:
      if (is_high_byte (insn, reg))
        env->gpr[reg - 4] = (env->gpr[reg - 4] & ~UINT64_C (0xff00)) | (v & 0xff) << 8;
      else
        env->gpr[reg] = (env->gpr[reg] & ~UINT64_C (0xff)) | (v & 0xff);
      break;
    case 2: env->gpr[reg] = (env->gpr[reg] & ~UINT64_C (0xffff)) | (v & 0xffff); break;
    case 4: env->gpr[reg] = (uint32_t) v; break;
    default: env->gpr[reg] = v; break;
    }
}

/* An address register (rCX, rSI, rDI) under the address size. */
static inline void
gpr_write_address (VmX86Env *env, unsigned reg, uint64_t v, unsigned size)
{
  if (size == 2)
    env->gpr[reg] = (env->gpr[reg] & ~UINT64_C (0xffff)) | (v & 0xffff);
  else
    env->gpr[reg] = size == 4 ? (uint32_t) v : v;
}

/* --- operands ---------------------------------------------------------------------------------- */

static inline unsigned
operand_size (const VmInsn *insn, const VmOperandSpec *o)
{
  switch (o->size)
    {
    case VM_SIZE_B: return 1;
    case VM_SIZE_W: return 2;
    case VM_SIZE_D: return 4;
    case VM_SIZE_Q: return 8;
    case VM_SIZE_Z: return insn->opsize == 2 ? 2 : 4;
    default: return insn->opsize;
    }
}

static inline uint64_t
operand_read (VmX86Env *env, const VmInsn *insn, const VmOperandSpec *o, unsigned size)
{
  switch (o->kind)
    {
    case VM_OPND_E: case VM_OPND_M: case VM_OPND_O:
      if (insn->flags & VM_INSN_MEM)
        return vm_mmu_load (env, vm_insn_linear (env, insn, size, VM_ACCESS_READ), size, vm_tlb_context (env));
      return gpr_read (env, insn, insn->rm, size);
    case VM_OPND_G: case VM_OPND_Z: return gpr_read (env, insn, insn->reg, size);
    case VM_OPND_R: return gpr_read (env, insn, insn->rm, size);
    case VM_OPND_B: return gpr_read (env, insn, insn->vvvv, size);
    case VM_OPND_RAX: return env->gpr[VM_RAX] & size_mask (size);
    case VM_OPND_RCX: return env->gpr[VM_RCX] & size_mask (size);
    case VM_OPND_RDX: return env->gpr[VM_RDX] & size_mask (size);
    case VM_OPND_ONE: return 1;
    default: return insn->imm & size_mask (size);
    }
}

/* Where a written operand that is no memory lives. */
static inline unsigned
operand_register (const VmInsn *insn, const VmOperandSpec *o)
{
  switch (o->kind)
    {
    case VM_OPND_G: case VM_OPND_Z: return insn->reg;
    case VM_OPND_B: return insn->vvvv;
    case VM_OPND_RAX: return VM_RAX;
    case VM_OPND_RDX: return VM_RDX;
    default: return insn->rm;
    }
}

static inline bool
operand_is_memory (const VmInsn *insn, const VmOperandSpec *o)
{
  return (insn->flags & VM_INSN_MEM) && (o->kind == VM_OPND_E || o->kind == VM_OPND_M || o->kind == VM_OPND_O);
}

static inline void
operand_write (VmX86Env *env, const VmInsn *insn, const VmOperandSpec *o, uint64_t v, unsigned size)
{
  if (operand_is_memory (insn, o))
    vm_mmu_store (env, vm_insn_linear (env, insn, size, VM_ACCESS_WRITE), v, size, vm_tlb_context (env));
  else
    gpr_write (env, insn, operand_register (insn, o), v, size);
}

/* --- read, modify, write ----------------------------------------------------------------------- */

typedef struct Target {
  void    *host;   /* direct memory */
  uint64_t linear;
  uint64_t old;
  uint8_t  size, reg;
  bool     is_memory, locked;
} Target;

/* Opens memory at LINEAR for reading and writing; every fault is raised here. */
void     target_open_memory (VmX86Env *env, Target *t, uint64_t linear, unsigned size, bool locked);
/* Opens operand O; t->old is its value. */
void     target_open (VmX86Env *env, const VmInsn *insn, const VmOperandSpec *o, unsigned size, Target *t);
/* Writes V. False when another processor changed a locked target meanwhile: t->old is the value of
 * now, compute again. */
bool     target_close (VmX86Env *env, const VmInsn *insn, Target *t, uint64_t v);

/* --- control ----------------------------------------------------------------------------------- */

static inline uint64_t
next_rip (const VmX86Env *env, const VmInsn *insn)
{
  uint64_t rip = env->rip + insn->len;

  return env->mode & VM_MODE_CS64 ? rip : (uint32_t) rip;
}

bool vm_interp_condition (uint64_t eflags, unsigned cc);
/* Flags of A - B. */
void vm_interp_compare (VmX86Env *env, uint64_t a, uint64_t b, unsigned size);
