/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fetching an instruction and running it: what happens around every operation (SDM vol. 3, 6.8 and 18.3). */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

#define MAX_LEN 15

uint64_t
vm_insn_offset (const VmX86Env *env, const VmInsn *insn)
{
  uint64_t offset = (int64_t) insn->disp;

  if (insn->base == VM_REG_RIP)
    offset += next_rip (env, insn);
  else if (insn->base != VM_REG_NONE)
    offset += env->gpr[insn->base];
  if (insn->index != VM_REG_NONE)
    offset += env->gpr[insn->index] * insn->scale;
  if (row_of (insn)->imm == VM_IMM_MOFFS)
    offset = insn->imm;
  return offset & size_mask (insn->addrsize);
}

uint64_t
vm_insn_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned access)
{
  uint64_t linear = vm_seg_linear (env, insn->seg, vm_insn_offset (env, insn), len, access);

  if (G_UNLIKELY (env->mode & VM_MODE_AC_CHECK) && len <= 8 && (linear & (len - 1)) && vm_is_pow2 (len))
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  return linear;
}

bool
vm_interp_condition (uint64_t eflags, unsigned cc)
{
  bool less = !(eflags & VM_SF) != !(eflags & VM_OF), result;

  switch (cc >> 1 & 7)
    {
    case 0: result = eflags & VM_OF; break;
    case 1: result = eflags & VM_CF; break;
    case 2: result = eflags & VM_ZF; break;
    case 3: result = eflags & (VM_CF | VM_ZF); break;
    case 4: result = eflags & VM_SF; break;
    case 5: result = eflags & VM_PF; break;
    case 6: result = less; break;
    default: result = less || (eflags & VM_ZF); break;
    }
  return result != (cc & 1);
}

void
vm_op_undefined (VmX86Env *env, const VmInsn *insn)
{
  vm_x86_raise (env, VM_EXC_UD);
}

/* --- one instruction --------------------------------------------------------------------------- */

/* RF lasts for one instruction, unless that is a repeated string that goes on, or sets RF itself. */
static void
after_flags (VmX86Env *env, const VmInsnRow *row, uint32_t mode, uint64_t rip)
{
  if ((mode & VM_MODE_RF) && !(row->attrs & VM_ATTR_RF) && !((row->attrs & VM_ATTR_REP) && env->rip == rip))
    {
      env->eflags &= ~(uint64_t) VM_RF;
      vm_x86_update_mode (env);
    }
  /* After MOV SS the single step is lost and a data breakpoint waits for the next instruction (SDM volume 3, 6.8.3). */
  if (env->shadow != 2 && (((mode & VM_MODE_TF) && !(row->attrs & VM_ATTR_NOTRAP)) || vm_tcg_cpu (env)->watch_hit))
    vm_sys_single_step_trap (env);
}

void
vm_interp_insn (VmX86Env *env, const VmInsn *original)
{
  /* A store may drop the page's decoded instructions, and this one with them. */
  VmInsn insn = *original;
  const VmInsnRow *row = row_of (&insn);
  uint32_t mode = env->mode;
  uint64_t rip = env->rip;
  int fault = vm_insn_static_fault (&insn, mode);

  if (G_UNLIKELY (fault >= 0))
    {
      env->shadow = 0;
      if (fault == VM_EXC_GP)
        vm_x86_raise_error (env, fault, 0);
      vm_x86_raise (env, fault);
    }
  env->shadow = 0;
  vm_op_functions[row->op] (env, &insn);
  if (!(row->attrs & VM_ATTR_IP))
    env->rip = mode & VM_MODE_CS64 ? rip + insn.len : (uint32_t) (rip + insn.len);
  if (G_UNLIKELY ((mode & (VM_MODE_TF | VM_MODE_RF)) || vm_tcg_cpu (env)->watch_hit))
    after_flags (env, row, mode, rip);
}

/* --- fetching ---------------------------------------------------------------------------------- */

/* Copies up to WANT bytes at LINEAR, all within its page. */
static void
fetch_bytes (VmX86Env *env, uint64_t linear, uint8_t *buf, unsigned want)
{
  VmRamBlock *block;
  uint64_t offset, phys;
  const uint8_t *page = vm_mmu_fetch_page (env, linear, &block, &offset, &phys);

  if (page)
    memcpy (buf, page + (linear & ~VM_PAGE_MASK), want);
  else
    for (unsigned i = 0; i < want; i++)
      buf[i] = vm_mmu_fetch_byte (env, linear + i);
}

/* How many bytes from RIP on lie within the code segment; at least 1, else #GP. */
static unsigned
room_in_segment (VmX86Env *env)
{
  uint64_t rip = env->rip;

  if (env->mode & VM_MODE_CS64)
    {
      unsigned top = env->cr4 & VM_CR4_LA57 ? 56 : 47;

      if (((int64_t) (rip << (63 - top)) >> (63 - top)) != (int64_t) rip)
        vm_x86_raise_error (env, VM_EXC_GP, 0);
      return MAX_LEN;
    }
  if (rip > env->seg[VM_CS].limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  return MIN (env->seg[VM_CS].limit - rip + 1, MAX_LEN);
}

void
vm_interp_fetch (VmX86Env *env, VmInsn *insn)
{
  const VmInterp *interp = vm_tcg_cpu (env)->interp;
  const uint64_t *features = interp ? interp->features : NULL;
  unsigned bits = env->mode & VM_MODE_CS64 ? 64 : env->mode & VM_MODE_CS32 ? 32 : 16;
  unsigned limit = room_in_segment (env), have, need;
  uint64_t linear = env->rip + (env->mode & VM_MODE_CS64 ? 0 : env->seg[VM_CS].base);
  uint8_t buf[MAX_LEN];

  if (!(env->mode & VM_MODE_CS64))
    linear = (uint32_t) linear;
  if ((env->mode & (VM_MODE_BP | VM_MODE_RF)) == VM_MODE_BP)
    vm_sys_check_code_breakpoint (env, linear);
  have = MIN (limit, VM_PAGE_SIZE - (linear & ~VM_PAGE_MASK));
  fetch_bytes (env, linear, buf, have);
  need = vm_insn_decode (buf, have, bits, features, insn);
  if (need <= have)
    return;
  /* The rest lies on the next page or beyond the segment. */
  if (need > limit && limit < MAX_LEN)
    {
      if (have < limit)
        fetch_bytes (env, bits == 64 ? linear + have : (uint32_t) (linear + have), buf + have, limit - have);
      vm_x86_raise_error (env, VM_EXC_GP, 0);
    }
  fetch_bytes (env, bits == 64 ? linear + have : (uint32_t) (linear + have), buf + have, limit - have);
  need = vm_insn_decode (buf, limit, bits, features, insn);
  if (need > limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
}

/* --- life -------------------------------------------------------------------------------------- */

VmInterp *
vm_interp_new (bool (*has_feature) (void *opaque, const char *name), void *opaque)
{
  VmInterp *interp = g_new0 (VmInterp, 1);

  for (unsigned f = 1; f < VM_FEATURE_N; f++)
    if (has_feature (opaque, vm_feature_names[f]))
      interp->features[f / 64] |= VM_BIT (f % 64);
  return interp;
}

void
vm_interp_free (VmInterp *interp)
{
  g_free (interp);
}
