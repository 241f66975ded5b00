/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mode word, reset and INIT (Intel SDM vol. 3, table 9-1), requests, the time-stamp counter. */
#include "engine/x86/model.h"

/* --- mode ---------------------------------------------------------------------------------------- */

static bool
is_flat (const VmX86Seg *s)
{
  return s->base == 0 && s->limit == UINT32_MAX;
}

static bool
is_flat_data (const VmX86Seg *s)
{
  return is_flat (s) && (s->attr & (VM_SEG_P | VM_SEG_S | VM_SEG_CODE | VM_SEG_DC | VM_SEG_RW)) ==
                          (VM_SEG_P | VM_SEG_S | VM_SEG_RW);
}

static uint32_t
segment_mode (const VmX86Env *env, bool is_protected)
{
  const VmX86Seg *cs = &env->seg[VM_CS], *ss = &env->seg[VM_SS], *ds = &env->seg[VM_DS], *es = &env->seg[VM_ES];
  uint32_t mode = 0;

  if ((env->efer & VM_EFER_LMA) && (cs->attr & VM_SEG_L))
    return VM_MODE_CS64;
  if (cs->attr & VM_SEG_DB)
    mode |= VM_MODE_CS32;
  if (ss->attr & VM_SEG_DB)
    mode |= VM_MODE_SS32;
  if (is_flat (cs) && (!is_protected || (cs->attr & VM_SEG_RW)))
    mode |= VM_MODE_FLAT_CS;
  if (is_flat_data (ss) && is_flat_data (ds) && is_flat_data (es))
    mode |= VM_MODE_FLAT_DATA;
  if (ss->base == 0 && ds->base == 0 && es->base == 0)
    mode |= VM_MODE_DS_ES_ZERO;
  return mode;
}

static unsigned
current_cpl (const VmX86Env *env)
{
  if (!(env->cr0 & VM_CR0_PE))
    return 0;
  if (env->eflags & VM_VM)
    return 3;
  return (env->seg[VM_SS].attr & VM_SEG_DPL) >> VM_SEG_DPL_SHIFT;
}

void
vm_x86_update_mode (VmX86Env *env)
{
  bool is_protected = (env->cr0 & VM_CR0_PE) && !(env->eflags & VM_VM);
  unsigned cpl = current_cpl (env), iopl = (env->eflags & VM_IOPL) >> 12;
  uint32_t mode = segment_mode (env, is_protected) | cpl << VM_MODE_CPL_SHIFT;

  if (env->efer & VM_EFER_LMA)
    mode |= VM_MODE_LMA;
  if (env->cr0 & VM_CR0_PE)
    mode |= VM_MODE_PE;
  if (env->eflags & VM_VM)
    mode |= VM_MODE_VM;
  if (env->eflags & VM_TF)
    mode |= VM_MODE_TF;
  if (env->eflags & VM_RF)
    mode |= VM_MODE_RF;
  if (cpl == 3 && (env->cr0 & VM_CR0_AM) && (env->eflags & VM_AC))
    mode |= VM_MODE_AC_CHECK;
  if (cpl < 3 && (env->cr4 & VM_CR4_SMAP) && (env->eflags & VM_AC))
    mode |= VM_MODE_SMAP_AC;
  if ((env->cr0 & VM_CR0_PE) && cpl > iopl)
    mode |= VM_MODE_IOPL_LOW;
  if (env->cr0 & VM_CR0_EM)
    mode |= VM_MODE_EM;
  if (env->cr0 & VM_CR0_TS)
    mode |= VM_MODE_TS;
  if (env->cr0 & VM_CR0_MP)
    mode |= VM_MODE_MP;
  if (env->cr4 & VM_CR4_OSFXSR)
    mode |= VM_MODE_OSFXSR;
  if ((env->cr4 & VM_CR4_OSXSAVE) && (env->xcr0 & 6) == 6)
    mode |= VM_MODE_AVX;
  if (env->smm)
    mode |= VM_MODE_SMM;
  if (env->dr[7] & 0xff)
    mode |= VM_MODE_BP;
  if (env->cr0 & VM_CR0_PG)
    mode |= VM_MODE_PG;
  env->mode = mode | (env->mode & VM_MODE_ICOUNT);
}

/* --- reset ----------------------------------------------------------------------------------------- */

static void
reset_segments (VmX86Env *env)
{
  uint16_t data = VM_SEG_P | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED;

  for (unsigned i = 0; i < VM_SEG_N; i++)
    env->seg[i] = (VmX86Seg) { .limit = 0xffff, .attr = data };
  env->seg[VM_CS] = (VmX86Seg) { .selector = 0xf000, .base = 0xffff0000, .limit = 0xffff,
                                 .attr = data | VM_SEG_CODE };
  env->ldt = (VmX86Seg) { .limit = 0xffff, .attr = VM_SEG_P | 2 };
  env->tr = (VmX86Seg) { .limit = 0xffff, .attr = VM_SEG_P | 11 };
  env->gdt = env->idt = (VmX86Table) { .limit = 0xffff };
}

static void
reset_fpu (VmX86Env *env)
{
  memset (&env->fx, 0, sizeof env->fx);
  memset (env->ymm, 0, sizeof env->ymm);
  env->fx.fcw = 0x40;
  env->fx.ftw = 0xff; /* as FXSAVE has it: all used, all zero */
  env->fx.mxcsr = 0x1f80;
  env->fx.mxcsr_mask = 0xffff;
  env->xcr0 = 1;
  env->xss = 0;
}

static void
reset_msrs (VmX86Cpu *cpu)
{
  VmX86Env *env = &cpu->env;
  bool is_bsp = cpu->model->apic_id == 0 || cpu->model->apic_id == UINT32_MAX;

  env->star = env->lstar = env->cstar = env->sfmask = env->kernel_gs_base = 0;
  env->sysenter_cs = env->sysenter_esp = env->sysenter_eip = 0;
  env->apic_base = 0xfee00000 | 0x800 | (is_bsp ? 0x100 : 0);
  env->tsc_adjust = env->tsc_deadline = 0;
  env->pat = UINT64_C (0x0007040600070406);
  env->mtrr_def_type = 0;
  memset (env->mtrr_fixed, 0, sizeof env->mtrr_fixed);
  memset (env->mtrr_base, 0, sizeof env->mtrr_base);
  memset (env->mtrr_mask, 0, sizeof env->mtrr_mask);
  env->misc_enable = 1; /* fast strings */
  env->feature_control = 0;
  env->debugctl = env->spec_ctrl = env->virt_ssbd = 0;
  env->smbase = 0x30000;
  env->mcg_status = 0;
  env->mcg_ctl = UINT64_MAX;
  memset (env->mc_banks, 0, sizeof env->mc_banks);
  for (unsigned bank = 0; bank < 10; bank++)
    env->mc_banks[bank * 4] = UINT64_MAX;
  env->bios_sign_id = cpu->model->ucode_rev ? cpu->model->ucode_rev : UINT64_C (0x100000000);
  env->tsc_aux = 0;
  env->pkru = 0;
  env->tsc_offset = 0; /* not TSC = 0: processors reset one after the other must agree */
}

void
vm_x86_reset (VmX86Cpu *cpu, bool is_init)
{
  VmX86Env *env = &cpu->env;
  uint32_t signature[4];

  memset (env->gpr, 0, sizeof env->gpr);
  vm_x86_cpuid (cpu, 1, 0, signature);
  env->gpr[VM_RDX] = signature[0];
  env->rip = 0xfff0;
  env->eflags = 2;
  /* INIT leaves caching as it was. */
  env->cr0 = VM_CR0_ET | (is_init ? env->cr0 & (VM_CR0_CD | VM_CR0_NW) : VM_CR0_CD | VM_CR0_NW);
  env->cr2 = env->cr3 = env->cr4 = 0;
  env->efer = 0;
  memset (env->dr, 0, sizeof env->dr);
  env->dr[6] = 0xffff0ff0;
  env->dr[7] = 0x400;
  memset (env->pdpte, 0, sizeof env->pdpte);
  reset_segments (env);
  if (!is_init)
    {
      reset_fpu (env);
      reset_msrs (cpu);
      env->smm = false;
      env->a20_masked = false;
      env->ferr = env->ignne = false;
    }
  env->wait_for_sipi = !(env->apic_base & 0x100);
  env->halted = env->shutdown = false;
  env->nmi_blocked = env->smm_inhibits_nmi = false;
  env->shadow = 0;
  env->exc_vector = -1;
  __atomic_and_fetch (&env->request, is_init ? VM_REQ_HARD | VM_REQ_SIPI : 0, __ATOMIC_ACQ_REL);
  vm_x86_update_mode (env);
}

/* --- requests ---------------------------------------------------------------------------------------- */

void
vm_x86_request (VmX86Cpu *cpu, uint32_t bits)
{
  uint32_t old = __atomic_fetch_or (&cpu->env.request, bits, __ATOMIC_ACQ_REL);

  /* One NMI runs and one waits; what we take at one boundary a processor had taken apart. */
  if (bits & old & VM_REQ_NMI)
    __atomic_fetch_or (&cpu->env.request, VM_REQ_NMI_MORE, __ATOMIC_ACQ_REL);
  __atomic_fetch_or (&cpu->env.poll, VM_POLL_IRQ, __ATOMIC_ACQ_REL);
  if (cpu->parent.set)
    vm_vcpu_kick (&cpu->parent);
}

void
vm_x86_unrequest (VmX86Cpu *cpu, uint32_t bits)
{
  __atomic_fetch_and (&cpu->env.request, ~bits, __ATOMIC_ACQ_REL);
}

void
vm_x86_send_sipi (VmX86Cpu *cpu, uint8_t vector)
{
  if (!(__atomic_load_n (&cpu->env.request, __ATOMIC_ACQUIRE) & VM_REQ_SIPI))
    cpu->env.sipi_vector = vector;
  vm_x86_request (cpu, VM_REQ_SIPI);
}

static void
apply_a20 (VmVcpu *vcpu, void *opaque)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;

  if (vcpu->accel && vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  cpu->env.a20_masked = opaque == NULL;
  if (vcpu->accel && vcpu->accel->ops->state_store)
    vcpu->accel->ops->state_store (vcpu);
}

void
vm_x86_set_a20 (VmX86Cpu *cpu, bool enabled)
{
  if (cpu->parent.set == NULL || vm_vcpu_current () == &cpu->parent)
    apply_a20 (&cpu->parent, enabled ? cpu : NULL);
  else
    vm_vcpu_post (&cpu->parent, apply_a20, enabled ? cpu : NULL);
}

/* --- time-stamp counter -------------------------------------------------------------------------------- */

static int64_t
clock_ns (VmX86Cpu *cpu)
{
  VmEnv *machine = cpu->parent.parent.env;

  return machine && machine->clocks ? vm_clock_now (machine->clocks, VM_CLOCK_VIRTUAL)
                                    : g_get_monotonic_time () * 1000;
}

/* All processors count the same clock, so they never disagree. */
static uint64_t
base_tsc (VmX86Cpu *cpu)
{
  uint64_t frequency = cpu->tsc_frequency ? cpu->tsc_frequency : VM_NS_PER_SEC;

  return frequency == VM_NS_PER_SEC ? (uint64_t) clock_ns (cpu) : vm_muldiv64 (clock_ns (cpu), frequency, VM_NS_PER_SEC);
}

uint64_t
vm_x86_read_tsc (VmX86Cpu *cpu)
{
  return base_tsc (cpu) + cpu->env.tsc_offset;
}

void
vm_x86_write_tsc (VmX86Cpu *cpu, uint64_t value)
{
  int64_t offset = value - base_tsc (cpu);

  cpu->env.tsc_adjust += offset - cpu->env.tsc_offset;
  cpu->env.tsc_offset = offset;
}

int64_t
vm_x86_tsc_to_ns (VmX86Cpu *cpu, uint64_t tsc)
{
  uint64_t base = tsc - cpu->env.tsc_offset;
  uint64_t frequency = cpu->tsc_frequency ? cpu->tsc_frequency : VM_NS_PER_SEC;
  unsigned __int128 ns;

  if ((int64_t) base < 0)
    return 0;
  ns = ((unsigned __int128) base * VM_NS_PER_SEC + frequency - 1) / frequency;
  return ns > INT64_MAX ? INT64_MAX : (int64_t) ns;
}
