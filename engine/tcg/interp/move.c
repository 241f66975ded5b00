/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moves, conversions, flags, no-ops and cache line operations. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

#define CACHE_LINE 64

void
vm_op_mov (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize;

  operand_write (env, insn, &row->operand[0], operand_read (env, insn, &row->operand[1], size), size);
}

void
vm_op_movnti (VmX86Env *env, const VmInsn *insn)
{
  vm_op_mov (env, insn);
}

void
vm_op_movdiri (VmX86Env *env, const VmInsn *insn)
{
  vm_op_mov (env, insn);
}

void
vm_op_movdir64b (VmX86Env *env, const VmInsn *insn)
{
  unsigned ctx = vm_tlb_context (env);
  uint64_t source = vm_seg_linear (env, insn->seg, vm_insn_offset (env, insn), 64, VM_ACCESS_READ), target;
  uint64_t line[8];

  target = vm_seg_linear (env, VM_ES, env->gpr[insn->reg] & size_mask (insn->addrsize), 64, VM_ACCESS_WRITE);
  if (target & 63)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  vm_mmu_load_bytes (env, source, line, 64, ctx);
  vm_mmu_store_bytes (env, target, line, 64, ctx);
}

static uint64_t
swap_bytes (uint64_t v, unsigned size)
{
  return GUINT64_SWAP_LE_BE (v) >> (64 - size * 8);
}

void
vm_op_movbe (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = row_of (insn);
  unsigned size = insn->opsize;
  uint64_t v = operand_read (env, insn, &row->operand[1], size);

  operand_write (env, insn, &row->operand[0], swap_bytes (v, size), size);
}

void
vm_op_movzx (VmX86Env *env, const VmInsn *insn)
{
  const VmOperandSpec *source = &row_of (insn)->operand[1];

  gpr_write (env, insn, insn->reg, operand_read (env, insn, source, operand_size (insn, source)), insn->opsize);
}

void
vm_op_movsx (VmX86Env *env, const VmInsn *insn)
{
  const VmOperandSpec *source = &row_of (insn)->operand[1];
  unsigned size = MIN (operand_size (insn, source), insn->opsize);

  gpr_write (env, insn, insn->reg, sign_extend (operand_read (env, insn, source, size), size), insn->opsize);
}

void
vm_op_movsxd (VmX86Env *env, const VmInsn *insn)
{
  vm_op_movsx (env, insn);
}

void
vm_op_lea (VmX86Env *env, const VmInsn *insn)
{
  gpr_write (env, insn, insn->reg, vm_insn_offset (env, insn), insn->opsize);
}

void
vm_op_cmovcc (VmX86Env *env, const VmInsn *insn)
{
  uint64_t v = operand_read (env, insn, &row_of (insn)->operand[1], insn->opsize);

  if (!vm_interp_condition (env->eflags, insn->opcode & 15))
    v = gpr_read (env, insn, insn->reg, insn->opsize);
  gpr_write (env, insn, insn->reg, v, insn->opsize);
}

void
vm_op_setcc (VmX86Env *env, const VmInsn *insn)
{
  operand_write (env, insn, &row_of (insn)->operand[0], vm_interp_condition (env->eflags, insn->opcode & 15), 1);
}

void
vm_op_cbw (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;

  gpr_write (env, insn, VM_RAX, sign_extend (env->gpr[VM_RAX], size / 2), size);
}

void
vm_op_cwd (VmX86Env *env, const VmInsn *insn)
{
  gpr_write (env, insn, VM_RDX, sign_extend (env->gpr[VM_RAX], insn->opsize) < 0 ? UINT64_MAX : 0, insn->opsize);
}

void
vm_op_xlat (VmX86Env *env, const VmInsn *insn)
{
  uint64_t offset = (env->gpr[VM_RBX] + (uint8_t) env->gpr[VM_RAX]) & size_mask (insn->addrsize);
  uint64_t v = vm_mmu_load (env, vm_seg_linear (env, insn->seg, offset, 1, VM_ACCESS_READ), 1,
                            vm_tlb_context (env));

  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xff)) | v;
}

/* --- flags ------------------------------------------------------------------------------------- */

#define LAHF_FLAGS (VM_SF | VM_ZF | VM_AF | VM_PF | VM_CF)

void
vm_op_sahf (VmX86Env *env, const VmInsn *insn)
{
  env->eflags = (env->eflags & ~(uint64_t) LAHF_FLAGS) | (env->gpr[VM_RAX] >> 8 & LAHF_FLAGS);
}

void
vm_op_lahf (VmX86Env *env, const VmInsn *insn)
{
  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xff00)) | (env->eflags & LAHF_FLAGS) << 8 | 0x200;
}

void
vm_op_cmc (VmX86Env *env, const VmInsn *insn)
{
  env->eflags ^= VM_CF;
}

void
vm_op_clc (VmX86Env *env, const VmInsn *insn)
{
  env->eflags &= ~(uint64_t) VM_CF;
}

void
vm_op_stc (VmX86Env *env, const VmInsn *insn)
{
  env->eflags |= VM_CF;
}

void
vm_op_cld (VmX86Env *env, const VmInsn *insn)
{
  env->eflags &= ~(uint64_t) VM_DF;
}

void
vm_op_std (VmX86Env *env, const VmInsn *insn)
{
  env->eflags |= VM_DF;
}

void
vm_op_salc (VmX86Env *env, const VmInsn *insn)
{
  env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xff)) | (env->eflags & VM_CF ? 0xff : 0);
}

/* --- no-ops and cache lines ---------------------------------------------------------------------- */

void
vm_op_nop (VmX86Env *env, const VmInsn *insn)
{
}

void
vm_op_nop_modrm (VmX86Env *env, const VmInsn *insn)
{
}

void
vm_op_endbr32 (VmX86Env *env, const VmInsn *insn)
{
}

void
vm_op_endbr64 (VmX86Env *env, const VmInsn *insn)
{
}

/* A waiting loop: the exec loop gives other virtual processors a chance because the form ends blocks. */
void
vm_op_pause (VmX86Env *env, const VmInsn *insn)
{
  __builtin_ia32_pause ();
}

void
vm_op_fence (VmX86Env *env, const VmInsn *insn)
{
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
}

/* Caches are coherent here; what remains is the check of a byte's read. */
void
vm_op_cache_line (VmX86Env *env, const VmInsn *insn)
{
  vm_mmu_load (env, vm_insn_linear (env, insn, 1, VM_ACCESS_READ), 1, vm_tlb_context (env));
}

void
vm_op_clzero (VmX86Env *env, const VmInsn *insn)
{
  static const uint8_t zeros[CACHE_LINE];
  uint64_t offset = (env->gpr[VM_RAX] & size_mask (insn->addrsize)) & ~(uint64_t) (CACHE_LINE - 1);
  uint64_t linear = vm_seg_linear (env, insn->seg, offset, CACHE_LINE, VM_ACCESS_WRITE);

  vm_mmu_store_bytes (env, linear, zeros, CACHE_LINE, vm_tlb_context (env));
}
