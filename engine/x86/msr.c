/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Model-specific registers (Intel SDM vol. 4, AMD APM vol. 2 appendix A) that are plain state or the APIC's. */
#include "engine/base/log.h"
#include "engine/x86/model.h"

enum {
  MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b,
  MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49, MSR_UCODE_WRITE = 0x79, MSR_UCODE_REV = 0x8b,
  MSR_SMBASE = 0x9e, MSR_CORE_CAPABILITY = 0xcf, MSR_PLATFORM_INFO = 0xce, MSR_MTRR_CAP = 0xfe,
  MSR_ARCH_CAPABILITIES = 0x10a, MSR_FLUSH_CMD = 0x10b, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP,
  MSR_SYSENTER_EIP, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS, MSR_MCG_CTL, MSR_PERF_STATUS = 0x198,
  MSR_MISC_ENABLE = 0x1a0, MSR_DEBUGCTL = 0x1d9, MSR_POWER_CTL = 0x1fc, MSR_MTRR_BASE0 = 0x200,
  MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K_0 = 0x258, MSR_MTRR_FIX16K_1, MSR_MTRR_FIX4K_0 = 0x268,
  MSR_PAT = 0x277, MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MC0_CTL = 0x400, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800,
  MSR_XSS = 0xda0,
};
enum {
  MSR_EFER = 0xc0000080, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE,
  MSR_KERNEL_GS_BASE, MSR_TSC_AUX, MSR_SYSCFG = 0xc0010010, MSR_HWCR = 0xc0010015, MSR_VIRT_SSBD = 0xc001011f,
};
enum { MCE_BANKS = 10, MTRR_VARIABLE = 8 };

/* Registers that processors of these families have, drivers poke at without asking CPUID, and that mean
 * nothing here: they read as 0 and take any value. */
static bool
is_indifferent (uint32_t msr)
{
  static const struct { uint32_t first, last; } table[] = {
    { 0x17, 0x17 },   { 0x2a, 0x2a },   { 0x2c, 0x2c },   { 0x33, 0x34 },   { 0xc1, 0xc2 },  { 0xcd, 0xcd },
    { 0xe2, 0xe2 },   { 0xe7, 0xe8 },   { 0x119, 0x119 }, { 0x11e, 0x11e }, { 0x140, 0x140 },
    { 0x186, 0x187 }, { 0x199, 0x19d }, { 0x1a2, 0x1a2 }, { 0x1ad, 0x1ad }, { 0x1b0, 0x1b2 },
    { 0x1c9, 0x1c9 }, { 0x1db, 0x1de }, { 0x280, 0x289 }, { 0x606, 0x606 }, { 0x610, 0x614 },
    { 0x619, 0x619 }, { 0x61c, 0x61c }, { 0x630, 0x632 }, { 0x639, 0x642 }, { 0x690, 0x690 },
    { 0xc0010000, 0xc001001a }, { 0xc001001f, 0xc001001f }, { 0xc0010022, 0xc0010023 },
    { 0xc0010030, 0xc0010035 }, { 0xc0010044, 0xc0010048 }, { 0xc0010054, 0xc0010056 },
    { 0xc0010058, 0xc0010058 }, { 0xc0010061, 0xc0010064 }, { 0xc0010074, 0xc0010074 },
    { 0xc0010111, 0xc0010115 }, { 0xc0010117, 0xc0010117 }, { 0xc0010140, 0xc0010141 },
    { 0xc0011004, 0xc0011005 }, { 0xc0011020, 0xc001102f },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (table); i++)
    if (msr >= table[i].first && msr <= table[i].last)
      return true;
  return false;
}

bool
vm_x86_is_canonical_base (const VmX86Cpu *cpu, uint64_t v)
{
  unsigned shift = cpu->model && vm_x86_has (cpu, VM_X86_FEATURE_LA57) ? 7 : 16;

  return (uint64_t) ((int64_t) (v << shift) >> shift) == v;
}

static uint64_t *
mtrr_register (VmX86Env *env, uint32_t msr)
{
  if (msr >= MSR_MTRR_BASE0 && msr < MSR_MTRR_BASE0 + MTRR_VARIABLE * 2)
    return msr & 1 ? &env->mtrr_mask[(msr - MSR_MTRR_BASE0) / 2] : &env->mtrr_base[(msr - MSR_MTRR_BASE0) / 2];
  if (msr == MSR_MTRR_FIX64K)
    return &env->mtrr_fixed[0];
  if (msr == MSR_MTRR_FIX16K_0 || msr == MSR_MTRR_FIX16K_1)
    return &env->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K_0];
  if (msr >= MSR_MTRR_FIX4K_0 && msr < MSR_MTRR_FIX4K_0 + 8)
    return &env->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K_0];
  return NULL;
}

static bool
is_memory_type (unsigned type, bool is_pat)
{
  return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (is_pat && type == 7);
}

static bool
all_memory_types (uint64_t v, bool is_pat)
{
  for (unsigned i = 0; i < 64; i += 8)
    if (!is_memory_type (v >> i & 0xff, is_pat))
      return false;
  return true;
}

static bool
mtrr_valid (const VmX86Cpu *cpu, uint32_t msr, uint64_t v)
{
  if (msr >= MSR_MTRR_FIX64K)
    return all_memory_types (v, false);
  if (v & ~cpu->phys_mask & ~UINT64_C (0xfff))
    return false;
  return msr & 1 ? !(v & 0x7ff) : !(v & 0xf00) && is_memory_type (v & 0xff, false);
}

static bool
has_spec_ctrl (const VmX86Cpu *cpu)
{
  return vm_x86_has (cpu, VM_X86_FEATURE_SPEC_CTRL) || vm_x86_has (cpu, VM_X86_FEATURE_IBRS) ||
         vm_x86_has (cpu, VM_X86_FEATURE_AMD_STIBP) || vm_x86_has (cpu, VM_X86_FEATURE_SSBD) ||
         vm_x86_has (cpu, VM_X86_FEATURE_AMD_SSBD);
}

/* --- plain state --------------------------------------------------------------------------------------- */

/* Registers that hold what was written; CANONICAL: only canonical addresses. */
static uint64_t *
plain_register (VmX86Cpu *cpu, uint32_t msr, bool *canonical)
{
  VmX86Env *env = &cpu->env;

  *canonical = false;
  switch (msr)
    {
    case MSR_SYSENTER_CS: return &env->sysenter_cs;
    case MSR_STAR: return &env->star;
    case MSR_SFMASK: return &env->sfmask;
    case MSR_MCG_STATUS: return &env->mcg_status;
    case MSR_DEBUGCTL: return &env->debugctl;
    case MSR_POWER_CTL: return &env->power_ctl;
    default: break;
    }
  *canonical = true;
  switch (msr)
    {
    case MSR_SYSENTER_ESP: return &env->sysenter_esp;
    case MSR_SYSENTER_EIP: return &env->sysenter_eip;
    case MSR_LSTAR: return &env->lstar;
    case MSR_CSTAR: return &env->cstar;
    case MSR_FS_BASE: return &env->seg[VM_FS].base;
    case MSR_GS_BASE: return &env->seg[VM_GS].base;
    case MSR_KERNEL_GS_BASE: return &env->kernel_gs_base;
    default: return NULL;
    }
}

static bool
needs_long_mode (uint32_t msr)
{
  return msr == MSR_LSTAR || msr == MSR_CSTAR || msr == MSR_SFMASK || msr == MSR_FS_BASE || msr == MSR_GS_BASE ||
         msr == MSR_KERNEL_GS_BASE;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static VmLock *
machine_lock (VmX86Cpu *cpu)
{
  VmEnv *machine = cpu->parent.parent.env;

  return machine && machine->loop ? vm_loop_lock (machine->loop) : NULL;
}

static bool
read_x2apic (VmX86Cpu *cpu, uint32_t msr, uint64_t *value)
{
  VmLock *lock = machine_lock (cpu);
  bool taken, ok;

  if (cpu->apic_ops == NULL || cpu->apic_ops->msr_read == NULL || !(cpu->env.apic_base & 0x400))
    return false;
  taken = lock && vm_lock_enter (lock);
  ok = cpu->apic_ops->msr_read (cpu->apic, msr, value);
  if (lock)
    vm_lock_leave (lock, taken);
  return ok;
}

bool
vm_x86_rdmsr (VmX86Cpu *cpu, uint32_t msr, uint64_t *value)
{
  VmX86Env *env = &cpu->env;
  bool canonical;
  uint64_t *plain = plain_register (cpu, msr, &canonical);

  *value = 0;
  if (plain && !(needs_long_mode (msr) && !vm_x86_has (cpu, VM_X86_FEATURE_LM)))
    {
      *value = *plain;
      return true;
    }
  plain = mtrr_register (env, msr);
  if (plain && vm_x86_has (cpu, VM_X86_FEATURE_MTRR))
    {
      *value = *plain;
      return true;
    }
  if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + MCE_BANKS * 4)
    {
      *value = env->mc_banks[msr - MSR_MC0_CTL];
      return true;
    }
  if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
    return read_x2apic (cpu, msr, value);
  switch (msr)
    {
    case MSR_TSC: *value = vm_x86_read_tsc (cpu); return true;
    case MSR_APIC_BASE: *value = env->apic_base; return true;
    case MSR_FEATURE_CONTROL: *value = env->feature_control; return true;
    case MSR_TSC_ADJUST: *value = env->tsc_adjust; return vm_x86_has (cpu, VM_X86_FEATURE_TSC_ADJUST);
    case MSR_SPEC_CTRL: *value = env->spec_ctrl; return has_spec_ctrl (cpu);
    case MSR_UCODE_WRITE: return true;
    case MSR_UCODE_REV: *value = env->bios_sign_id; return true;
    case MSR_SMBASE: *value = env->smbase; return env->smm;
    case MSR_PLATFORM_INFO: *value = UINT64_C (0x80000000) | (cpu->tsc_frequency / 100000000) << 8; return true;
    case MSR_CORE_CAPABILITY:
      *value = cpu->model->words[VM_X86_WORD_CORE_CAPABILITY];
      return vm_x86_has (cpu, VM_X86_FEATURE_CORE_CAPABILITY);
    case MSR_MTRR_CAP: *value = MTRR_VARIABLE | 1 << 8 | 1 << 10; return vm_x86_has (cpu, VM_X86_FEATURE_MTRR);
    case MSR_ARCH_CAPABILITIES:
      *value = cpu->model->words[VM_X86_WORD_ARCH_CAPABILITIES];
      return vm_x86_has (cpu, VM_X86_FEATURE_ARCH_CAPABILITIES);
    case MSR_MCG_CAP: *value = MCE_BANKS | 1 << 8 | 1 << 24; return true;
    case MSR_MCG_CTL: *value = env->mcg_ctl; return true;
    case MSR_PERF_STATUS: *value = 1000ull | 4ull << 40; return true;
    case MSR_MISC_ENABLE: *value = env->misc_enable; return true;
    case MSR_PAT: *value = env->pat; return vm_x86_has (cpu, VM_X86_FEATURE_PAT);
    case MSR_MTRR_DEF_TYPE: *value = env->mtrr_def_type; return vm_x86_has (cpu, VM_X86_FEATURE_MTRR);
    case MSR_TSC_DEADLINE:
      *value = env->tsc_deadline;
      return vm_x86_has (cpu, VM_X86_FEATURE_TSC_DEADLINE);
    case MSR_XSS: *value = env->xss; return vm_x86_has (cpu, VM_X86_FEATURE_XSAVES);
    case MSR_EFER: *value = env->efer; return true;
    case MSR_TSC_AUX:
      *value = env->tsc_aux;
      return vm_x86_has (cpu, VM_X86_FEATURE_RDTSCP) || vm_x86_has (cpu, VM_X86_FEATURE_RDPID);
    case MSR_HWCR: *value = 1 << 24; return true; /* the TSC runs at the P0 frequency */
    case MSR_VIRT_SSBD: *value = env->virt_ssbd; return vm_x86_has (cpu, VM_X86_FEATURE_VIRT_SSBD);
    default: break;
    }
  if (is_indifferent (msr))
    return true;
  vm_guest_unimp ("cpu", "read of MSR %#x", msr);
  return false;
}

/* --- writing -------------------------------------------------------------------------------------------- */

static bool
write_efer (VmX86Cpu *cpu, uint64_t value)
{
  VmX86Env *env = &cpu->env;
  uint64_t allowed = 0;

  if (vm_x86_has (cpu, VM_X86_FEATURE_SYSCALL))
    allowed |= VM_EFER_SCE;
  if (vm_x86_has (cpu, VM_X86_FEATURE_LM))
    allowed |= VM_EFER_LME | VM_EFER_LMA;
  if (vm_x86_has (cpu, VM_X86_FEATURE_NX))
    allowed |= VM_EFER_NXE;
  if (vm_x86_has (cpu, VM_X86_FEATURE_FXSR_OPT))
    allowed |= VM_EFER_FFXSR;
  if (vm_x86_has (cpu, VM_X86_FEATURE_AUTO_IBRS))
    allowed |= VM_EFER_AIBRSE;
  if (value & ~allowed)
    return false;
  if (((value ^ env->efer) & VM_EFER_LME) && (env->cr0 & VM_CR0_PG))
    return false;
  env->efer = (value & ~(uint64_t) VM_EFER_LMA) | (env->efer & VM_EFER_LMA); /* LMA is read-only */
  vm_x86_update_mode (env);
  return true;
}

/* Calls into the APIC under the machine's lock. */
static bool
write_apic (VmX86Cpu *cpu, uint32_t msr, uint64_t value)
{
  VmLock *lock = machine_lock (cpu);
  const VmX86ApicOps *ops = cpu->apic_ops;
  bool taken, ok = false;

  if (ops == NULL)
    return false;
  taken = lock && vm_lock_enter (lock);
  if (msr == MSR_APIC_BASE)
    {
      ok = ops->set_base && ops->set_base (cpu->apic, value);
      if (ok)
        cpu->env.apic_base = value;
    }
  else if (msr == MSR_TSC_DEADLINE)
    {
      ok = true;
      cpu->env.tsc_deadline = value;
      if (ops->set_deadline)
        ops->set_deadline (cpu->apic, value);
    }
  else if (cpu->env.apic_base & 0x400)
    ok = ops->msr_write && ops->msr_write (cpu->apic, msr, value);
  if (lock)
    vm_lock_leave (lock, taken);
  return ok;
}

/* A move of the TSC moves the deadline's moment too. */
static void
rearm_deadline (VmX86Cpu *cpu)
{
  if (cpu->env.tsc_deadline && vm_x86_has (cpu, VM_X86_FEATURE_TSC_DEADLINE))
    write_apic (cpu, MSR_TSC_DEADLINE, cpu->env.tsc_deadline);
}

static bool
write_apic_base (VmX86Cpu *cpu, uint64_t value)
{
  uint64_t reserved = ~cpu->phys_mask | 0x2ff;

  if (vm_x86_has (cpu, VM_X86_FEATURE_X2APIC))
    reserved &= ~UINT64_C (0x400);
  else
    reserved |= 0x400;
  return !(value & reserved) && write_apic (cpu, MSR_APIC_BASE, value);
}

static bool
write_machine_check (VmX86Env *env, uint32_t msr, uint64_t value)
{
  unsigned n = msr - MSR_MC0_CTL;

  /* Control: any mask (Intel's P6 knows all or none, AMD's processors each bit, and Xen and Linux clear single ones);
   * status, address, misc: only 0 by software. */
  if (n % 4 != 0 && value != 0)
    return false;
  env->mc_banks[n] = value;
  return true;
}

bool
vm_x86_wrmsr (VmX86Cpu *cpu, uint32_t msr, uint64_t value)
{
  VmX86Env *env = &cpu->env;
  bool canonical;
  uint64_t *plain = plain_register (cpu, msr, &canonical);

  if (plain && !(needs_long_mode (msr) && !vm_x86_has (cpu, VM_X86_FEATURE_LM)))
    {
      if (canonical && !vm_x86_is_canonical_base (cpu, value))
        return false;
      *plain = value;
      return true;
    }
  plain = mtrr_register (env, msr);
  if (plain && vm_x86_has (cpu, VM_X86_FEATURE_MTRR))
    {
      if (!mtrr_valid (cpu, msr, value))
        return false;
      *plain = value;
      return true;
    }
  if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + MCE_BANKS * 4)
    return write_machine_check (env, msr, value);
  if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
    return write_apic (cpu, msr, value);
  switch (msr)
    {
    case MSR_TSC:
      vm_x86_write_tsc (cpu, value);
      rearm_deadline (cpu);
      return true;
    case MSR_TSC_ADJUST:
      if (!vm_x86_has (cpu, VM_X86_FEATURE_TSC_ADJUST))
        return false;
      env->tsc_offset += value - env->tsc_adjust;
      env->tsc_adjust = value;
      rearm_deadline (cpu);
      return true;
    case MSR_APIC_BASE: return write_apic_base (cpu, value);
    case MSR_FEATURE_CONTROL:
      if (env->feature_control & 1) /* locked */
        return false;
      env->feature_control = value;
      return true;
    case MSR_SPEC_CTRL:
      if (!has_spec_ctrl (cpu) || (value & ~UINT64_C (7)))
        return false;
      env->spec_ctrl = value;
      return true;
    case MSR_PRED_CMD: return !(value & ~UINT64_C (1)) && (has_spec_ctrl (cpu) || vm_x86_has (cpu, VM_X86_FEATURE_IBPB));
    case MSR_FLUSH_CMD: return !(value & ~UINT64_C (1));
    case MSR_UCODE_WRITE: case MSR_UCODE_REV: return true;
    case MSR_MCG_CTL: env->mcg_ctl = value; return value == 0 || value == UINT64_MAX;
    case MSR_MISC_ENABLE: env->misc_enable = value; return true;
    case MSR_PAT:
      if (!vm_x86_has (cpu, VM_X86_FEATURE_PAT) || !all_memory_types (value, true))
        return false;
      env->pat = value;
      return true;
    case MSR_MTRR_DEF_TYPE:
      if (!vm_x86_has (cpu, VM_X86_FEATURE_MTRR) || (value & ~UINT64_C (0xcff)) || !is_memory_type (value & 0xff, false))
        return false;
      env->mtrr_def_type = value;
      return true;
    case MSR_TSC_DEADLINE:
      return vm_x86_has (cpu, VM_X86_FEATURE_TSC_DEADLINE) && write_apic (cpu, msr, value);
    case MSR_XSS: return vm_x86_has (cpu, VM_X86_FEATURE_XSAVES) && value == 0;
    case MSR_EFER: return write_efer (cpu, value);
    case MSR_TSC_AUX:
      if (value >> 32 || !(vm_x86_has (cpu, VM_X86_FEATURE_RDTSCP) || vm_x86_has (cpu, VM_X86_FEATURE_RDPID)))
        return false;
      env->tsc_aux = value;
      return true;
    case MSR_VIRT_SSBD:
      env->virt_ssbd = value & 4;
      return vm_x86_has (cpu, VM_X86_FEATURE_VIRT_SSBD);
    default: break;
    }
  if (is_indifferent (msr))
    return true;
  vm_guest_unimp ("cpu", "write of %#" G_GINT64_MODIFIER "x to MSR %#x", value, msr);
  return false;
}
