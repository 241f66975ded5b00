/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Instructions that read and write model-specific state: MSRs, CPUID, time stamps, XCR0, PKRU, segment bases. */
#include "engine/tcg/sys/sys-private.h"

#include "engine/x86/model.h"

enum { MSR_EFER = 0xc0000080, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE, MSR_PAT = 0x277, MSR_APIC_BASE = 0x1b };

G_NORETURN static void
raise_gp (VmX86Env *env)
{
  vm_x86_raise_error (env, VM_EXC_GP, 0);
}

void
vm_op_rdmsr (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value;

  (void) insn;
  vm_tcg_leave_guest_fpu (env);
  if (!vm_x86_rdmsr (vm_x86_cpu (env), env->gpr[VM_RCX], &value))
    raise_gp (env);
  env->gpr[VM_RAX] = (uint32_t) value;
  env->gpr[VM_RDX] = value >> 32;
}

void
vm_op_wrmsr (VmX86Env *env, const VmInsn *insn)
{
  uint32_t msr = env->gpr[VM_RCX];
  uint64_t value = (uint32_t) env->gpr[VM_RAX] | env->gpr[VM_RDX] << 32, old_efer = env->efer;

  (void) insn;
  vm_tcg_leave_guest_fpu (env);
  if (!vm_x86_wrmsr (vm_x86_cpu (env), msr, value))
    raise_gp (env);
  if (msr == MSR_EFER && ((old_efer ^ env->efer) & VM_EFER_NXE))
    vm_tlb_flush_all (env);
  if (msr == MSR_APIC_BASE)
    vm_tlb_safe_point (env);
  vm_x86_update_mode (env);
}

void
vm_op_cpuid (VmX86Env *env, const VmInsn *insn)
{
  uint32_t out[4];

  (void) insn;
  vm_tcg_leave_guest_fpu (env);
  vm_x86_cpuid (vm_x86_cpu (env), env->gpr[VM_RAX], env->gpr[VM_RCX], out);
  env->gpr[VM_RAX] = out[0];
  env->gpr[VM_RBX] = out[1];
  env->gpr[VM_RCX] = out[2];
  env->gpr[VM_RDX] = out[3];
}

static void
check_tsd (VmX86Env *env)
{
  if ((env->cr4 & VM_CR4_TSD) && vm_x86_cpl (env) > 0)
    raise_gp (env);
}

static void
read_tsc (VmX86Env *env)
{
  uint64_t tsc;

  check_tsd (env);
  vm_tcg_leave_guest_fpu (env);
  tsc = vm_x86_read_tsc (vm_x86_cpu (env));
  env->gpr[VM_RAX] = (uint32_t) tsc;
  env->gpr[VM_RDX] = tsc >> 32;
}

void
vm_op_rdtsc (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  read_tsc (env);
}

void
vm_op_rdtscp (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  read_tsc (env);
  env->gpr[VM_RCX] = env->tsc_aux;
}

void
vm_op_rdpid (VmX86Env *env, const VmInsn *insn)
{
  env->gpr[insn->rm] = env->tsc_aux;
}

/* No counters are offered: every index is out of range, except that PCE decides first. */
void
vm_op_rdpmc (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  raise_gp (env);
}

/* --- extended state --------------------------------------------------------------------------------- */

void
vm_op_xgetbv (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value;

  (void) insn;
  if (!(env->cr4 & VM_CR4_OSXSAVE))
    vm_x86_raise (env, VM_EXC_UD);
  if ((uint32_t) env->gpr[VM_RCX] == 0)
    value = env->xcr0;
  else if ((uint32_t) env->gpr[VM_RCX] == 1 && vm_x86_has (vm_x86_cpu (env), VM_X86_FEATURE_XGETBV1))
    value = env->xcr0; /* every component may be in use */
  else
    raise_gp (env);
  env->gpr[VM_RAX] = (uint32_t) value;
  env->gpr[VM_RDX] = value >> 32;
}

void
vm_op_xsetbv (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value = (uint32_t) env->gpr[VM_RAX] | env->gpr[VM_RDX] << 32;

  (void) insn;
  if (!(env->cr4 & VM_CR4_OSXSAVE))
    vm_x86_raise (env, VM_EXC_UD);
  if (vm_x86_cpl (env) != 0 || (uint32_t) env->gpr[VM_RCX] != 0 ||
      !vm_x86_xcr0_valid (vm_x86_cpu (env), value))
    raise_gp (env);
  env->xcr0 = value;
  vm_x86_update_mode (env);
}

void
vm_op_rdpkru (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  if (!(env->cr4 & VM_CR4_PKE))
    vm_x86_raise (env, VM_EXC_UD);
  if ((uint32_t) env->gpr[VM_RCX] != 0)
    raise_gp (env);
  env->gpr[VM_RAX] = env->pkru;
  env->gpr[VM_RDX] = 0;
}

void
vm_op_wrpkru (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  if (!(env->cr4 & VM_CR4_PKE))
    vm_x86_raise (env, VM_EXC_UD);
  if ((uint32_t) env->gpr[VM_RCX] != 0 || (uint32_t) env->gpr[VM_RDX] != 0)
    raise_gp (env);
  if (env->pkru == (uint32_t) env->gpr[VM_RAX])
    return;
  env->pkru = env->gpr[VM_RAX];
  vm_tlb_flush_l1 (env);
}

/* Every instruction here is complete before the next begins; ending the block is all that is left. */
void
vm_op_serialize (VmX86Env *env, const VmInsn *insn)
{
  (void) env;
  (void) insn;
}

/* --- segment bases ------------------------------------------------------------------------------------ */

static void
check_fsgsbase (VmX86Env *env)
{
  if (!(env->cr4 & VM_CR4_FSGSBASE))
    vm_x86_raise (env, VM_EXC_UD);
}

static void
read_base (VmX86Env *env, const VmInsn *insn, unsigned seg)
{
  check_fsgsbase (env);
  env->gpr[insn->rm] = env->seg[seg].base & size_mask (insn->opsize);
}

static void
write_base (VmX86Env *env, const VmInsn *insn, unsigned seg)
{
  uint64_t base = env->gpr[insn->rm] & size_mask (insn->opsize);

  check_fsgsbase (env);
  if (!vm_x86_is_canonical_base (vm_x86_cpu (env), base))
    raise_gp (env);
  env->seg[seg].base = base;
}

void
vm_op_rdfsbase (VmX86Env *env, const VmInsn *insn)
{
  read_base (env, insn, VM_FS);
}

void
vm_op_rdgsbase (VmX86Env *env, const VmInsn *insn)
{
  read_base (env, insn, VM_GS);
}

void
vm_op_wrfsbase (VmX86Env *env, const VmInsn *insn)
{
  write_base (env, insn, VM_FS);
}

void
vm_op_wrgsbase (VmX86Env *env, const VmInsn *insn)
{
  write_base (env, insn, VM_GS);
}

/* --- undefined ------------------------------------------------------------------------------------------ */

#define DEFINE_UNDEFINED(name)                                                                   \
  void vm_op_##name (VmX86Env *env, const VmInsn *insn)                                          \
  {                                                                                              \
    (void) insn;                                                                                 \
    vm_x86_raise (env, VM_EXC_UD);                                                               \
  }
DEFINE_UNDEFINED (ud0)
DEFINE_UNDEFINED (ud1)
DEFINE_UNDEFINED (ud2)
