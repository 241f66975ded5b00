/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x87 control instructions and environments, MXCSR (Intel SDM vol. 1, sections 8.1.10, 8.3.11 and 10.2.3). */
#include "config.h"

#include "engine/tcg/fpu/fpu-private.h"
#include "engine/x86/xsave.h"

#define ENV_MAX 28u

static void
load_area (VmX86Env *env, uint64_t linear, uint8_t *buf, unsigned len)
{
  for (unsigned i = 0; i < len; i += 32)
    vm_mmu_load_bytes (env, linear + i, buf + i, MIN (len - i, 32), vm_tlb_context (env));
}

static void
store_area (VmX86Env *env, uint64_t linear, const uint8_t *buf, unsigned len)
{
  vm_mmu_probe_write (env, linear, len, vm_tlb_context (env));
  for (unsigned i = 0; i < len; i += 32)
    vm_mmu_store_bytes (env, linear + i, buf + i, MIN (len - i, 32), vm_tlb_context (env));
}

void
vm_op_fwait (VmX86Env *env, const VmInsn *insn)
{
  if ((env->mode & (VM_MODE_MP | VM_MODE_TS)) == (VM_MODE_MP | VM_MODE_TS))
    vm_x86_raise (env, VM_EXC_NM);
  vm_fpu_check_pending (env);
}

void
vm_op_fneni (VmX86Env *env, const VmInsn *insn)
{
}

static void
set_control_word (VmX86Env *env, uint16_t fcw)
{
  env->fx.fcw = (fcw & 0x1f3f) | 0x40;
  vm_x87_update_summary (&env->fx);
}

void
vm_op_fldcw (VmX86Env *env, const VmInsn *insn)
{
  uint64_t linear;

  vm_fpu_check_pending (env);
  linear = vm_insn_linear (env, insn, 2, VM_ACCESS_READ);
  set_control_word (env, vm_mmu_load (env, linear, 2, vm_tlb_context (env)));
  vm_fpu_update_ferr (env);
}

void
vm_op_fnstcw (VmX86Env *env, const VmInsn *insn)
{
  vm_mmu_store (env, vm_insn_linear (env, insn, 2, VM_ACCESS_WRITE), env->fx.fcw, 2, vm_tlb_context (env));
}

void
vm_op_fnstsw (VmX86Env *env, const VmInsn *insn)
{
  if (insn->flags & VM_INSN_MEM)
    vm_mmu_store (env, vm_insn_linear (env, insn, 2, VM_ACCESS_WRITE), env->fx.fsw, 2, vm_tlb_context (env));
  else
    env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~UINT64_C (0xffff)) | env->fx.fsw;
}

void
vm_op_fnclex (VmX86Env *env, const VmInsn *insn)
{
  env->fx.fsw &= ~(FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
  vm_fpu_update_ferr (env);
}

static void
initialize (VmX86Env *env)
{
  VmX86Fx *fx = &env->fx;

  vm_x87_set_top (fx, 0);
  fx->fcw = 0x37f;
  fx->fsw = fx->fop = 0;
  fx->ftw = 0;
  fx->fip = fx->fdp = 0;
  vm_fpu_update_ferr (env);
}

void
vm_op_fninit (VmX86Env *env, const VmInsn *insn)
{
  initialize (env);
}

static bool
is_real_format (const VmX86Env *env)
{
  return !(env->mode & VM_MODE_PE) || env->mode & VM_MODE_VM;
}

/* Seven words or double words: control, status, tags, instruction pointer and what shares its second word,
 * operand pointer likewise. Selectors are 0. */
static unsigned
put_environment (const VmX86Env *env, const VmInsn *insn, uint8_t *buf)
{
  const VmX86Fx *fx = &env->fx;
  bool real = is_real_format (env);
  uint32_t ip = fx->fip, dp = fx->fdp;

  if (insn->opsize == 2)
    {
      uint16_t w[7] = { fx->fcw, fx->fsw, vm_x87_full_tags (fx), ip, 0, dp, 0 };

      if (real)
        {
          w[4] = (ip >> 4 & 0xf000) | fx->fop;
          w[6] = dp >> 4 & 0xf000;
        }
      memcpy (buf, w, 14);
      return 14;
    }
  uint32_t d[7] = { 0xffff0000u | fx->fcw, 0xffff0000u | fx->fsw, 0xffff0000u | vm_x87_full_tags (fx), ip,
                    (uint32_t) fx->fop << 16, dp, 0xffff0000u };
  if (real)
    {
      d[3] = 0xffff0000u | (uint16_t) ip;
      d[4] = (ip >> 4 & 0x0ffff000) | fx->fop;
      d[5] = 0xffff0000u | (uint16_t) dp;
      d[6] = dp >> 4 & 0x0ffff000;
    }
  memcpy (buf, d, 28);
  return 28;
}

static void
get_environment (VmX86Env *env, const VmInsn *insn, const uint8_t *buf)
{
  VmX86Fx *fx = &env->fx;
  bool real = is_real_format (env);
  uint16_t tags, fsw;

  if (insn->opsize == 2)
    {
      uint16_t w[7];

      memcpy (w, buf, 14);
      fx->fcw = w[0];
      fsw = w[1];
      tags = w[2];
      fx->fip = w[3] | (real ? (w[4] & 0xf000u) << 4 : 0);
      fx->fop = real ? w[4] & 0x7ff : 0;
      fx->fdp = w[5] | (real ? (w[6] & 0xf000u) << 4 : 0);
    }
  else
    {
      uint32_t d[7];

      memcpy (d, buf, 28);
      fx->fcw = d[0];
      fsw = d[1];
      tags = d[2];
      fx->fip = real ? (d[3] & 0xffff) | (d[4] & 0x0ffff000) << 4 : d[3];
      fx->fop = (real ? d[4] : d[4] >> 16) & 0x7ff;
      fx->fdp = real ? (d[5] & 0xffff) | (d[6] & 0x0ffff000) << 4 : d[5];
    }
  vm_x87_set_top (fx, fsw >> FSW_TOP_SHIFT & 7);
  fx->fsw = fsw;
  fx->ftw = vm_x87_abridged_tags (tags);
  set_control_word (env, fx->fcw);
}

void
vm_op_fnstenv (VmX86Env *env, const VmInsn *insn)
{
  uint8_t buf[ENV_MAX];
  unsigned len = put_environment (env, insn, buf);

  store_area (env, vm_insn_linear (env, insn, len, VM_ACCESS_WRITE), buf, len);
  set_control_word (env, env->fx.fcw | 0x3f);
  vm_fpu_update_ferr (env);
}

void
vm_op_fldenv (VmX86Env *env, const VmInsn *insn)
{
  uint8_t buf[ENV_MAX];
  unsigned len = insn->opsize == 2 ? 14 : 28;

  vm_fpu_check_pending (env);
  load_area (env, vm_insn_linear (env, insn, len, VM_ACCESS_READ), buf, len);
  get_environment (env, insn, buf);
  vm_fpu_update_ferr (env);
}

void
vm_op_fnsave (VmX86Env *env, const VmInsn *insn)
{
  uint8_t buf[ENV_MAX + 80];
  unsigned len = put_environment (env, insn, buf);

  for (unsigned i = 0; i < 8; i++, len += 10)
    memcpy (buf + len, env->fx.st[i], 10);
  store_area (env, vm_insn_linear (env, insn, len, VM_ACCESS_WRITE), buf, len);
  initialize (env);
}

void
vm_op_frstor (VmX86Env *env, const VmInsn *insn)
{
  uint8_t buf[ENV_MAX + 80];
  unsigned head = insn->opsize == 2 ? 14 : 28;

  vm_fpu_check_pending (env);
  load_area (env, vm_insn_linear (env, insn, head + 80, VM_ACCESS_READ), buf, head + 80);
  get_environment (env, insn, buf);
  for (unsigned i = 0; i < 8; i++)
    memcpy (env->fx.st[i], buf + head + 10 * i, 10);
  vm_fpu_update_ferr (env);
}

void
vm_op_ldmxcsr (VmX86Env *env, const VmInsn *insn)
{
  uint32_t value = vm_mmu_load (env, vm_insn_linear (env, insn, 4, VM_ACCESS_READ), 4, vm_tlb_context (env));

  if (value & ~MXCSR_VALID)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  env->fx.mxcsr = value;
}

void
vm_op_stmxcsr (VmX86Env *env, const VmInsn *insn)
{
  vm_mmu_store (env, vm_insn_linear (env, insn, 4, VM_ACCESS_WRITE), env->fx.mxcsr, 4, vm_tlb_context (env));
}
