/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EFLAGS, control and debug registers (Intel SDM vol. 3, 2.5 and chapter 18). */
#include "engine/tcg/sys/sys-private.h"

#include "engine/x86/model.h"

G_NORETURN static void
raise_gp (VmX86Env *env)
{
  vm_x86_raise_error (env, VM_EXC_GP, 0);
}

/* --- EFLAGS -------------------------------------------------------------------------------------- */

void
vm_sys_write_eflags (VmX86Env *env, uint32_t value, uint32_t mask)
{
  env->eflags = (env->eflags & ~(uint64_t) mask) | (value & mask) | 2;
  vm_x86_update_mode (env);
}

uint64_t
vm_sys_pushf_image (VmX86Env *env, unsigned size)
{
  uint64_t flags = env->eflags & ~(uint64_t) (VM_VM | VM_RF);

  if ((env->eflags & VM_VM) && iopl (env) < 3)
    {
      if (!(env->cr4 & VM_CR4_VME) || size != 2)
        raise_gp (env);
      flags = (flags & ~(uint64_t) VM_IF) | VM_IOPL | (flags & VM_VIF ? VM_IF : 0);
    }
  return flags & size_mask (size);
}

void
vm_sys_popf_image (VmX86Env *env, uint64_t image, unsigned size)
{
  uint32_t mask = VM_ARITH_FLAGS | VM_TF | VM_DF | VM_NT;
  unsigned cpl = vm_x86_cpl (env);

  if (size > 2)
    mask |= VM_AC | VM_ID;
  if (env->eflags & VM_VM)
    {
      if (iopl (env) == 3)
        mask |= VM_IF;
      else
        {
          if (!(env->cr4 & VM_CR4_VME) || size != 2 || ((env->eflags & VM_VIP) && (image & VM_IF)) ||
              (image & VM_TF))
            raise_gp (env);
          image |= image & VM_IF ? VM_VIF : 0;
          if (!(image & VM_IF))
            image &= ~(uint64_t) VM_VIF;
          mask |= VM_VIF;
        }
    }
  else
    {
      if (cpl <= iopl (env) || is_real (env))
        mask |= VM_IF;
      if (cpl == 0)
        mask |= VM_IOPL;
    }
  if (size > 2)
    {
      image &= ~(uint64_t) VM_RF; /* POPF clears it */
      mask |= VM_RF;
    }
  vm_sys_write_eflags (env, image, mask);
}

/* VME in virtual-8086 mode, PVI at CPL 3: the virtual interrupt flag stands for IF. */
static bool
uses_vif (const VmX86Env *env)
{
  if (env->eflags & VM_VM)
    return iopl (env) < 3 && (env->cr4 & VM_CR4_VME);
  return !is_real (env) && vm_x86_cpl (env) == 3 && iopl (env) < 3 && (env->cr4 & VM_CR4_PVI);
}

void
vm_op_cli (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  if (uses_vif (env))
    env->eflags &= ~(uint64_t) VM_VIF;
  else if (env->mode & VM_MODE_IOPL_LOW)
    raise_gp (env);
  else
    env->eflags &= ~(uint64_t) VM_IF;
}

void
vm_op_sti (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  if (uses_vif (env))
    {
      if (env->eflags & VM_VIP)
        raise_gp (env);
      env->eflags |= VM_VIF;
      return;
    }
  if (env->mode & VM_MODE_IOPL_LOW)
    raise_gp (env);
  if (!(env->eflags & VM_IF))
    env->shadow = 1;
  env->eflags |= VM_IF;
}

static void
write_ac (VmX86Env *env, bool on)
{
  if (vm_x86_cpl (env) != 0) /* but with CR4.SMAP clear as well, which Xen's entries count on */
    vm_x86_raise (env, VM_EXC_UD);
  vm_sys_write_eflags (env, on ? VM_AC : 0, VM_AC);
}

void
vm_op_clac (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  write_ac (env, false);
}

void
vm_op_stac (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  write_ac (env, true);
}

/* --- CR0, CR3, CR4 --------------------------------------------------------------------------------- */

void
vm_sys_write_cr0 (VmX86Env *env, uint64_t value)
{
  uint64_t old = env->cr0, changed;
  uint64_t known = VM_CR0_PE | VM_CR0_MP | VM_CR0_EM | VM_CR0_TS | VM_CR0_NE | VM_CR0_WP | VM_CR0_AM |
                   VM_CR0_NW | VM_CR0_CD | VM_CR0_PG;
  bool starts_paging;

  if (value >> 32 || ((value & VM_CR0_PG) && !(value & VM_CR0_PE)) ||
      ((value & VM_CR0_NW) && !(value & VM_CR0_CD)))
    raise_gp (env);
  value = (value & known) | VM_CR0_ET;
  changed = old ^ value;
  starts_paging = (changed & value & VM_CR0_PG) != 0;
  if ((changed & VM_CR0_PG) && !(value & VM_CR0_PG) &&
      ((env->mode & VM_MODE_CS64) || (env->cr4 & VM_CR4_PCIDE)))
    raise_gp (env);
  if (starts_paging && (env->efer & VM_EFER_LME))
    {
      if (!(env->cr4 & VM_CR4_PAE) || (env->seg[VM_CS].attr & VM_SEG_L))
        raise_gp (env);
    }
  else if ((value & VM_CR0_PG) && (env->cr4 & VM_CR4_PAE) && !(env->efer & VM_EFER_LMA) &&
           (changed & (VM_CR0_PG | VM_CR0_CD | VM_CR0_NW)))
    if (!vm_mmu_load_pdptrs (env, env->cr3))
      raise_gp (env);

  env->cr0 = value;
  if (starts_paging && (env->efer & VM_EFER_LME))
    env->efer |= VM_EFER_LMA;
  else if (!(value & VM_CR0_PG))
    env->efer &= ~(uint64_t) VM_EFER_LMA;
  /* A TLB that still serves the old rights would be wrong even where hardware allows it. */
  if (changed & VM_CR0_PG)
    vm_tlb_flush_all (env);
  else if (changed & VM_CR0_WP)
    vm_tlb_flush_l1 (env);
  vm_x86_update_mode (env);
}

void
vm_sys_write_cr3 (VmX86Env *env, uint64_t value)
{
  bool keep = false;

  if (env->efer & VM_EFER_LMA)
    {
      if (env->cr4 & VM_CR4_PCIDE)
        {
          keep = (value >> 63) != 0;
          value &= ~VM_BIT (63);
        }
      if (value & ~vm_x86_cpu (env)->phys_mask & ~VM_MASK (11, 0))
        raise_gp (env);
    }
  else
    {
      value &= UINT32_MAX;
      if ((env->cr0 & VM_CR0_PG) && (env->cr4 & VM_CR4_PAE) && !vm_mmu_load_pdptrs (env, value))
        raise_gp (env);
    }
  env->cr3 = value;
  if (env->cr0 & VM_CR0_PG)
    vm_tlb_switch_cr3 (env, value, keep);
}

static uint64_t
cr4_allowed (VmX86Env *env)
{
  static const struct { uint32_t bits, feature; } table[] = {
    { VM_CR4_VME | VM_CR4_PVI, VM_X86_FEATURE_VME }, { VM_CR4_TSD, VM_X86_FEATURE_TSC },
    { VM_CR4_DE, VM_X86_FEATURE_DE }, { VM_CR4_PSE, VM_X86_FEATURE_PSE }, { VM_CR4_PAE, VM_X86_FEATURE_PAE },
    { VM_CR4_MCE, VM_X86_FEATURE_MCE }, { VM_CR4_PGE, VM_X86_FEATURE_PGE },
    { VM_CR4_OSFXSR, VM_X86_FEATURE_FXSR }, { VM_CR4_OSXMMEXCPT, VM_X86_FEATURE_SSE },
    { VM_CR4_UMIP, VM_X86_FEATURE_UMIP }, { VM_CR4_LA57, VM_X86_FEATURE_LA57 },
    { VM_CR4_FSGSBASE, VM_X86_FEATURE_FSGSBASE }, { VM_CR4_PCIDE, VM_X86_FEATURE_PCID },
    { VM_CR4_OSXSAVE, VM_X86_FEATURE_XSAVE }, { VM_CR4_SMEP, VM_X86_FEATURE_SMEP },
    { VM_CR4_SMAP, VM_X86_FEATURE_SMAP }, { VM_CR4_PKE, VM_X86_FEATURE_PKU },
  };
  uint64_t allowed = VM_CR4_PCE;

  for (unsigned i = 0; i < G_N_ELEMENTS (table); i++)
    if (vm_x86_has (vm_x86_cpu (env), table[i].feature))
      allowed |= table[i].bits;
  return allowed;
}

void
vm_sys_write_cr4 (VmX86Env *env, uint64_t value)
{
  uint64_t changed = env->cr4 ^ value;

  if (value & ~cr4_allowed (env))
    raise_gp (env);
  if ((env->efer & VM_EFER_LMA) && (!(value & VM_CR4_PAE) || (changed & VM_CR4_LA57)))
    raise_gp (env);
  if ((changed & value & VM_CR4_PCIDE) && (!(env->efer & VM_EFER_LMA) || (env->cr3 & 0xfff)))
    raise_gp (env);
  if ((env->cr0 & VM_CR0_PG) && (value & VM_CR4_PAE) && !(env->efer & VM_EFER_LMA) &&
      (changed & (VM_CR4_PAE | VM_CR4_PGE | VM_CR4_PSE | VM_CR4_SMEP)) && !vm_mmu_load_pdptrs (env, env->cr3))
    raise_gp (env);
  env->cr4 = value;
  if (changed & (VM_CR4_PAE | VM_CR4_PGE | VM_CR4_PSE | VM_CR4_LA57 | VM_CR4_PCIDE))
    vm_tlb_flush_all (env);
  else if (changed & (VM_CR4_SMEP | VM_CR4_SMAP | VM_CR4_PKE))
    vm_tlb_flush_l1 (env);
  vm_x86_update_mode (env);
}

static VmLock *
apic_lock (VmX86Env *env)
{
  VmEnv *machine = vm_x86_cpu (env)->parent.parent.env;

  return machine && machine->loop ? vm_loop_lock (machine->loop) : NULL;
}

static uint64_t
read_cr8 (VmX86Env *env)
{
  VmX86Cpu *cpu = vm_x86_cpu (env);
  VmLock *lock = apic_lock (env);
  uint64_t tpr = 0;
  bool taken;

  if (cpu->apic_ops == NULL || cpu->apic_ops->get_tpr == NULL)
    return 0;
  vm_tcg_leave_guest_fpu (env);
  taken = lock && vm_lock_enter (lock);
  tpr = cpu->apic_ops->get_tpr (cpu->apic);
  if (lock)
    vm_lock_leave (lock, taken);
  return tpr >> 4;
}

static void
write_cr8 (VmX86Env *env, uint64_t value)
{
  VmX86Cpu *cpu = vm_x86_cpu (env);
  VmLock *lock = apic_lock (env);
  bool taken;

  if (value & ~UINT64_C (15))
    raise_gp (env);
  if (cpu->apic_ops == NULL || cpu->apic_ops->set_tpr == NULL)
    return;
  vm_tcg_leave_guest_fpu (env);
  taken = lock && vm_lock_enter (lock);
  cpu->apic_ops->set_tpr (cpu->apic, value << 4);
  if (lock)
    vm_lock_leave (lock, taken);
}

void
vm_op_mov_from_cr (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value;

  switch (insn->reg)
    {
    case 0: value = env->cr0; break;
    case 2: value = env->cr2; break;
    case 3: value = env->cr3; break;
    case 4: value = env->cr4; break;
    case 8: value = read_cr8 (env); break;
    default: vm_x86_raise (env, VM_EXC_UD);
    }
  env->gpr[insn->rm] = value & size_mask (insn->opsize);
}

void
vm_op_mov_to_cr (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value = env->gpr[insn->rm] & size_mask (insn->opsize);

  switch (insn->reg)
    {
    case 0: vm_sys_write_cr0 (env, value); break;
    case 2: env->cr2 = value; break;
    case 3: vm_sys_write_cr3 (env, value); break;
    case 4: vm_sys_write_cr4 (env, value); break;
    case 8: write_cr8 (env, value); break;
    default: vm_x86_raise (env, VM_EXC_UD);
    }
}

void
vm_op_clts (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  env->cr0 &= ~(uint64_t) VM_CR0_TS;
  vm_x86_update_mode (env);
}

void
vm_op_lmsw (VmX86Env *env, const VmInsn *insn)
{
  uint64_t value = sys_operand_load (env, insn, 2) & 15;

  /* It cannot leave protected mode. */
  vm_sys_write_cr0 (env, (env->cr0 & ~UINT64_C (14)) | value);
}

static void
check_umip (VmX86Env *env)
{
  if ((env->cr4 & VM_CR4_UMIP) && vm_x86_cpl (env) > 0)
    raise_gp (env);
}

void
vm_op_smsw (VmX86Env *env, const VmInsn *insn)
{
  check_umip (env);
  if (insn->flags & VM_INSN_MEM)
    vm_mmu_store (env, vm_insn_linear (env, insn, 2, VM_ACCESS_WRITE), env->cr0 & 0xffff, 2,
                  vm_tlb_context (env));
  else if (insn->opsize == 2)
    env->gpr[insn->rm] = (env->gpr[insn->rm] & ~UINT64_C (0xffff)) | (env->cr0 & 0xffff);
  else
    env->gpr[insn->rm] = env->cr0 & size_mask (insn->opsize);
}

/* --- debug registers --------------------------------------------------------------------------------- */

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; every access traps under DR7.GD. */
static unsigned
debug_register (VmX86Env *env, const VmInsn *insn)
{
  unsigned n = insn->reg;

  if (n > 7 || ((n == 4 || n == 5) && (env->cr4 & VM_CR4_DE)))
    vm_x86_raise (env, VM_EXC_UD);
  if (env->dr[7] & 0x2000)
    vm_sys_raise_debug (env, 1u << 13);
  return n == 4 || n == 5 ? n + 2 : n;
}

void
vm_op_mov_from_dr (VmX86Env *env, const VmInsn *insn)
{
  unsigned n = debug_register (env, insn);

  env->gpr[insn->rm] = env->dr[n] & size_mask (insn->opsize);
}

void
vm_op_mov_to_dr (VmX86Env *env, const VmInsn *insn)
{
  unsigned n = debug_register (env, insn);
  uint64_t value = env->gpr[insn->rm] & size_mask (insn->opsize);

  if (n >= 6 && value >> 32)
    raise_gp (env);
  if (n == 6)
    env->dr[6] = (value & 0xe00f) | 0xffff0ff0;
  else if (n == 7)
    env->dr[7] = (value & 0xffff2bff) | 0x400;
  else
    env->dr[n] = value;
  if (n != 6)
    vm_tlb_update_watches (env);
  vm_x86_update_mode (env);
}

/* --- descriptor tables ---------------------------------------------------------------------------------- */

static void
store_table (VmX86Env *env, const VmInsn *insn, const VmX86Table *table)
{
  bool is_64 = (env->mode & VM_MODE_CS64) != 0;
  unsigned size = is_64 ? 8 : 4;
  uint64_t linear;

  check_umip (env);
  linear = vm_insn_linear (env, insn, 2 + size, VM_ACCESS_WRITE);
  vm_mmu_probe_write (env, linear, 2 + size, vm_tlb_context (env));
  vm_mmu_store (env, linear, table->limit, 2, vm_tlb_context (env));
  vm_mmu_store (env, linear + 2, table->base & size_mask (size), size, vm_tlb_context (env));
}

static void
load_table (VmX86Env *env, const VmInsn *insn, VmX86Table *table)
{
  bool is_64 = (env->mode & VM_MODE_CS64) != 0;
  unsigned size = is_64 ? 8 : 4;
  uint64_t linear = vm_insn_linear (env, insn, 2 + size, VM_ACCESS_READ);
  uint16_t limit = vm_mmu_load (env, linear, 2, vm_tlb_context (env));
  uint64_t base = vm_mmu_load (env, linear + 2, size, vm_tlb_context (env));

  if (is_64 && !vm_x86_is_canonical_base (vm_x86_cpu (env), base))
    raise_gp (env);
  if (!is_64 && insn->opsize == 2)
    base &= 0xffffff;
  table->limit = limit;
  table->base = base;
}

void
vm_op_sgdt (VmX86Env *env, const VmInsn *insn)
{
  store_table (env, insn, &env->gdt);
}

void
vm_op_sidt (VmX86Env *env, const VmInsn *insn)
{
  store_table (env, insn, &env->idt);
}

void
vm_op_lgdt (VmX86Env *env, const VmInsn *insn)
{
  load_table (env, insn, &env->gdt);
}

void
vm_op_lidt (VmX86Env *env, const VmInsn *insn)
{
  load_table (env, insn, &env->idt);
}

/* --- TLB and caches -------------------------------------------------------------------------------------- */

void
vm_op_invlpg (VmX86Env *env, const VmInsn *insn)
{
  uint64_t linear = vm_insn_offset (env, insn);

  if (!(env->mode & VM_MODE_CS64))
    linear = (uint32_t) (linear + env->seg[insn->seg].base);
  else if (insn->seg >= VM_FS)
    linear += env->seg[insn->seg].base;
  if (is_canonical (env, linear))
    vm_tlb_flush_page (env, linear);
}

void
vm_op_invpcid (VmX86Env *env, const VmInsn *insn)
{
  uint64_t type = env->gpr[insn->reg] & size_mask (insn->opsize);
  uint64_t linear = vm_insn_linear (env, insn, 16, VM_ACCESS_READ);
  uint64_t pcid = vm_mmu_load (env, linear, 8, vm_tlb_context (env));
  uint64_t address = vm_mmu_load (env, linear + 8, 8, vm_tlb_context (env));

  if (type > 3 || pcid >> 12 || (type < 2 && !(env->cr4 & VM_CR4_PCIDE) && pcid != 0) ||
      (type == 0 && !vm_x86_is_canonical_base (vm_x86_cpu (env), address)))
    raise_gp (env);
  vm_tlb_invpcid (env, type, pcid, address);
}

void
vm_op_invd (VmX86Env *env, const VmInsn *insn)
{
  (void) env;
  (void) insn; /* memory is always coherent */
}

void
vm_op_wbinvd (VmX86Env *env, const VmInsn *insn)
{
  (void) env;
  (void) insn;
}
