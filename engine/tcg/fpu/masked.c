/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vector instructions that touch memory element by element: masked moves and gathers (Intel SDM vol. 2,
 * MASKMOVDQU, VMASKMOV, VPMASKMOV, VPGATHER). Elements that are not selected cannot fault. */
#include "config.h"

#include "engine/tcg/fpu/fpu-private.h"
#include "engine/x86/xsave.h"

static uint64_t
truncate_offset (const VmInsn *insn, uint64_t offset)
{
  return insn->addrsize == 8 ? offset : insn->addrsize == 4 ? (uint32_t) offset : (uint16_t) offset;
}

typedef struct Elements {
  unsigned size, n;
  bool     selected[8];
  uint64_t linear[8];
} Elements;

/* Opcodes 2C..2F come as ps and pd, 8C and 8E as d and q by VEX.W. */
static Elements
select_elements (VmX86Env *env, const VmInsn *insn, unsigned access)
{
  const VmX86Vec *mask = &env->ymm[insn->vvvv];
  uint64_t offset = vm_insn_offset (env, insn);
  bool wide = insn->opcode < 0x80 ? insn->opcode & 1 : insn->flags & VM_INSN_REXW;
  Elements e = { .size = wide ? 8 : 4 };

  e.n = (insn->flags & VM_INSN_VEX_L ? 32 : 16) / e.size;
  for (unsigned i = 0; i < e.n; i++)
    {
      e.selected[i] = mask->b[(i + 1) * e.size - 1] & 0x80;
      if (e.selected[i])
        e.linear[i] = vm_seg_linear (env, insn->seg, truncate_offset (insn, offset + i * e.size), e.size, access);
    }
  return e;
}

void
vm_fpu_mask_load (VmX86Env *env, const VmInsn *insn)
{
  Elements e = select_elements (env, insn, VM_ACCESS_READ);
  VmX86Vec result = { 0 };

  for (unsigned i = 0; i < e.n; i++)
    if (e.selected[i])
      vm_mmu_load_bytes (env, e.linear[i], result.b + i * e.size, e.size, vm_tlb_context (env));
  env->ymm[insn->reg] = result;
}

void
vm_fpu_mask_store (VmX86Env *env, const VmInsn *insn)
{
  Elements e = select_elements (env, insn, VM_ACCESS_WRITE);
  const VmX86Vec *data = &env->ymm[insn->reg];

  for (unsigned i = 0; i < e.n; i++)
    if (e.selected[i])
      vm_mmu_probe_write (env, e.linear[i], e.size, vm_tlb_context (env));
  for (unsigned i = 0; i < e.n; i++)
    if (e.selected[i])
      vm_mmu_store_bytes (env, e.linear[i], data->b + i * e.size, e.size, vm_tlb_context (env));
}

/* MASKMOVQ, MASKMOVDQU: bytes of DATA whose mask byte is negative go to seg:rDI. */
static void
store_by_byte_mask (VmX86Env *env, const VmInsn *insn, const uint8_t *data, const uint8_t *mask, unsigned n)
{
  unsigned seg = insn->flags & VM_INSN_SEGOV ? insn->seg : VM_DS;
  uint64_t offset = truncate_offset (insn, env->gpr[VM_RDI]), linear[16];

  for (unsigned i = 0; i < n; i++)
    if (mask[i] & 0x80)
      {
        linear[i] = vm_seg_linear (env, seg, truncate_offset (insn, offset + i), 1, VM_ACCESS_WRITE);
        vm_mmu_probe_write (env, linear[i], 1, vm_tlb_context (env));
      }
  for (unsigned i = 0; i < n; i++)
    if (mask[i] & 0x80)
      vm_mmu_store (env, linear[i], data[i], 1, vm_tlb_context (env));
}

void
vm_op_maskmovdqu (VmX86Env *env, const VmInsn *insn)
{
  store_by_byte_mask (env, insn, env->ymm[insn->reg].b, env->ymm[insn->rm].b, 16);
}

void
vm_op_maskmovq (VmX86Env *env, const VmInsn *insn)
{
  uint64_t mm[8];

  vm_fpu_check_pending (env);
  vm_fpu_load_mmx (env, mm);
  vm_fpu_commit_mmx (env, mm, VM_REG_NONE); /* before a fault, too */
  store_by_byte_mask (env, insn, (uint8_t *) &mm[insn->reg & 7], (uint8_t *) &mm[insn->rm & 7], 8);
}

void
vm_op_emms (VmX86Env *env, const VmInsn *insn)
{
  vm_fpu_check_pending (env);
  vm_x87_set_top (&env->fx, 0);
  env->fx.ftw = 0;
}

/* Elements are done from the lowest up; a fault leaves those before it done, with their mask cleared, so that
 * the instruction continues where it stopped. */
void
vm_fpu_gather (VmX86Env *env, const VmInsn *insn)
{
  unsigned index_number = insn->index == VM_REG_NONE ? 4 : insn->index;
  unsigned data_size = insn->flags & VM_INSN_REXW ? 8 : 4, index_size = insn->opcode & 1 ? 8 : 4;
  unsigned n = (insn->flags & VM_INSN_VEX_L ? 32 : 16) / MAX (data_size, index_size);
  VmX86Vec *dest = &env->ymm[insn->reg], *mask = &env->ymm[insn->vvvv];
  VmX86Vec index = env->ymm[index_number];
  VmInsn base = *insn;
  uint64_t offset;

  if ((insn->modrm & 7) != 4 || insn->addrsize == 2 || insn->reg == index_number || insn->reg == insn->vvvv ||
      insn->vvvv == index_number)
    vm_x86_raise (env, VM_EXC_UD);
  base.index = VM_REG_NONE;
  offset = vm_insn_offset (env, &base);
  for (unsigned i = 0; i < n; i++)
    {
      int64_t element = index_size == 8 ? (int64_t) index.q[i] : (int32_t) index.d[i];
      uint64_t linear;

      if (mask->b[(i + 1) * data_size - 1] & 0x80)
        {
          linear = vm_seg_linear (env, insn->seg, truncate_offset (insn, offset + element * insn->scale),
                                  data_size, VM_ACCESS_READ);
          vm_mmu_load_bytes (env, linear, dest->b + i * data_size, data_size, vm_tlb_context (env));
        }
      memset (mask->b + i * data_size, 0, data_size);
    }
  memset (dest->b + n * data_size, 0, 32 - n * data_size);
  memset (mask, 0, sizeof *mask);
}
