/* SPDX-License-Identifier: GPL-3.0-or-later */
/* System management mode: entry, the saved-state map and RSM. 64-bit processors use the map of the AMD APM vol. 2,
 * table 10-1 (revision 0x20064), others that of the Intel SDM vol. 3, table 31-1 (revision 0x20000). */
#include "engine/tcg/sys/sys-private.h"

#include "engine/x86/model.h"

enum { REVISION_32 = 0x20000, REVISION_64 = 0x20064 };

static void
put (VmX86Env *env, uint64_t base, unsigned offset, uint64_t value, unsigned size)
{
  vm_mmu_phys_store (env, base + offset, value, size);
}

static uint64_t
get (VmX86Env *env, uint64_t base, unsigned offset, unsigned size)
{
  return vm_mmu_phys_load (env, base + offset, size);
}

/* Attributes as the maps hold them: without the gap of the limit's nibble. */
static uint16_t
pack_attr (uint16_t attr)
{
  return (attr & 0xff) | (attr >> 4 & 0xf00);
}

static uint16_t
unpack_attr (uint16_t packed)
{
  return (packed & 0xff) | (packed & 0xf00) << 4;
}

/* --- 64-bit map, offsets from SMBASE + 0xfe00 ---------------------------------------------------- */

static void
put_seg_64 (VmX86Env *env, uint64_t map, unsigned offset, const VmX86Seg *s)
{
  put (env, map, offset, s->selector, 2);
  put (env, map, offset + 2, pack_attr (s->attr), 2);
  put (env, map, offset + 4, s->limit, 4);
  put (env, map, offset + 8, s->base, 8);
}

static void
get_seg_64 (VmX86Env *env, uint64_t map, unsigned offset, VmX86Seg *s)
{
  s->selector = get (env, map, offset, 2);
  s->attr = unpack_attr (get (env, map, offset + 2, 2));
  s->limit = get (env, map, offset + 4, 4);
  s->base = get (env, map, offset + 8, 8);
}

static void
save_64 (VmX86Env *env)
{
  uint64_t map = env->smbase + 0xfe00;

  for (unsigned i = 0; i < VM_SEG_N; i++)
    put_seg_64 (env, map, i * 16, &env->seg[i]);
  put (env, map, 0x64, env->gdt.limit, 2);
  put (env, map, 0x68, env->gdt.base, 8);
  put_seg_64 (env, map, 0x70, &env->ldt);
  put (env, map, 0x84, env->idt.limit, 2);
  put (env, map, 0x88, env->idt.base, 8);
  put_seg_64 (env, map, 0x90, &env->tr);
  put (env, map, 0xc0, 0, 4);
  put (env, map, 0xc8, 0, 1);
  put (env, map, 0xc9, env->halted, 1);
  put (env, map, 0xd0, env->efer, 8);
  put (env, map, 0xfc, REVISION_64, 4);
  put (env, map, 0x100, env->smbase, 4);
  put (env, map, 0x148, env->cr4, 8);
  put (env, map, 0x150, env->cr3, 8);
  put (env, map, 0x158, env->cr0, 8);
  put (env, map, 0x160, env->dr[7], 8);
  put (env, map, 0x168, env->dr[6], 8);
  put (env, map, 0x170, env->eflags, 8);
  put (env, map, 0x178, env->rip, 8);
  for (unsigned i = 0; i < 16; i++)
    put (env, map, 0x1f8 - i * 8, env->gpr[i], 8);
}

static void
load_64 (VmX86Env *env)
{
  uint64_t map = env->smbase + 0xfe00;

  env->efer = get (env, map, 0xd0, 8) & (VM_EFER_SCE | VM_EFER_LME | VM_EFER_LMA | VM_EFER_NXE | VM_EFER_FFXSR |
                                               VM_EFER_AIBRSE);
  env->cr4 = get (env, map, 0x148, 8);
  env->cr3 = get (env, map, 0x150, 8);
  env->cr0 = get (env, map, 0x158, 8);
  env->dr[7] = get (env, map, 0x160, 4) | 0x400;
  env->dr[6] = get (env, map, 0x168, 4);
  env->eflags = (get (env, map, 0x170, 4) & 0x3f7fd5) | 2;
  env->rip = get (env, map, 0x178, 8);
  for (unsigned i = 0; i < 16; i++)
    env->gpr[i] = get (env, map, 0x1f8 - i * 8, 8);
  for (unsigned i = 0; i < VM_SEG_N; i++)
    get_seg_64 (env, map, i * 16, &env->seg[i]);
  env->gdt.limit = get (env, map, 0x64, 2);
  env->gdt.base = get (env, map, 0x68, 8);
  get_seg_64 (env, map, 0x70, &env->ldt);
  env->idt.limit = get (env, map, 0x84, 2);
  env->idt.base = get (env, map, 0x88, 8);
  get_seg_64 (env, map, 0x90, &env->tr);
  env->halted = get (env, map, 0xc9, 1) & 1;
  if (get (env, map, 0xfc, 4) & 0x20000)
    env->smbase = get (env, map, 0x100, 4);
}

/* --- 32-bit map, offsets from SMBASE + 0x8000 ----------------------------------------------------- */

static const uint16_t selectors_32[VM_SEG_N] = {
  [VM_ES] = 0x7fa8, [VM_CS] = 0x7fac, [VM_SS] = 0x7fb0, [VM_DS] = 0x7fb4, [VM_FS] = 0x7fb8, [VM_GS] = 0x7fbc,
};
static const uint16_t gprs_32[8] = { 0x7fd0, 0x7fd4, 0x7fd8, 0x7fdc, 0x7fe0, 0x7fe4, 0x7fe8, 0x7fec };
enum { HIDDEN_32 = 0x7f10 }; /* reserved area: 12 bytes for each of ES..GS, LDT, TR */

static void
put_hidden_32 (VmX86Env *env, uint64_t map, unsigned i, const VmX86Seg *s)
{
  put (env, map, HIDDEN_32 + i * 12, s->base, 4);
  put (env, map, HIDDEN_32 + i * 12 + 4, s->limit, 4);
  put (env, map, HIDDEN_32 + i * 12 + 8, pack_attr (s->attr), 2);
}

static void
get_hidden_32 (VmX86Env *env, uint64_t map, unsigned i, VmX86Seg *s)
{
  s->base = get (env, map, HIDDEN_32 + i * 12, 4);
  s->limit = get (env, map, HIDDEN_32 + i * 12 + 4, 4);
  s->attr = unpack_attr (get (env, map, HIDDEN_32 + i * 12 + 8, 2));
}

static void
save_32 (VmX86Env *env)
{
  uint64_t map = env->smbase + 0x8000;

  put (env, map, 0x7ffc, env->cr0, 4);
  put (env, map, 0x7ff8, env->cr3, 4);
  put (env, map, 0x7ff4, env->eflags, 4);
  put (env, map, 0x7ff0, env->rip, 4);
  for (unsigned i = 0; i < 8; i++)
    put (env, map, gprs_32[i], env->gpr[i], 4);
  put (env, map, 0x7fcc, env->dr[6], 4);
  put (env, map, 0x7fc8, env->dr[7], 4);
  put (env, map, 0x7fc4, env->tr.selector, 4);
  put (env, map, 0x7fc0, env->ldt.selector, 4);
  for (unsigned i = 0; i < VM_SEG_N; i++)
    {
      put (env, map, selectors_32[i], env->seg[i].selector, 4);
      put_hidden_32 (env, map, i, &env->seg[i]);
    }
  put_hidden_32 (env, map, 6, &env->ldt);
  put_hidden_32 (env, map, 7, &env->tr);
  put (env, map, 0x7f70, env->gdt.base, 4);
  put (env, map, 0x7f74, env->gdt.limit, 4);
  put (env, map, 0x7f78, env->idt.base, 4);
  put (env, map, 0x7f7c, env->idt.limit, 4);
  put (env, map, 0x7f80, env->cr4, 4);
  put (env, map, 0x7f02, env->halted, 2);
  put (env, map, 0x7f00, 0, 2);
  put (env, map, 0x7efc, REVISION_32, 4);
  put (env, map, 0x7ef8, env->smbase, 4);
}

static void
load_32 (VmX86Env *env)
{
  uint64_t map = env->smbase + 0x8000;

  env->efer = 0;
  env->cr0 = get (env, map, 0x7ffc, 4);
  env->cr3 = get (env, map, 0x7ff8, 4);
  env->cr4 = get (env, map, 0x7f80, 4);
  env->eflags = (get (env, map, 0x7ff4, 4) & 0x3f7fd5) | 2;
  env->rip = get (env, map, 0x7ff0, 4);
  for (unsigned i = 0; i < 8; i++)
    env->gpr[i] = get (env, map, gprs_32[i], 4);
  env->dr[6] = get (env, map, 0x7fcc, 4);
  env->dr[7] = get (env, map, 0x7fc8, 4) | 0x400;
  env->tr.selector = get (env, map, 0x7fc4, 2);
  env->ldt.selector = get (env, map, 0x7fc0, 2);
  for (unsigned i = 0; i < VM_SEG_N; i++)
    {
      env->seg[i].selector = get (env, map, selectors_32[i], 2);
      get_hidden_32 (env, map, i, &env->seg[i]);
    }
  get_hidden_32 (env, map, 6, &env->ldt);
  get_hidden_32 (env, map, 7, &env->tr);
  env->gdt.base = get (env, map, 0x7f70, 4);
  env->gdt.limit = get (env, map, 0x7f74, 2);
  env->idt.base = get (env, map, 0x7f78, 4);
  env->idt.limit = get (env, map, 0x7f7c, 2);
  env->halted = get (env, map, 0x7f02, 2) & 1;
  if (get (env, map, 0x7efc, 4) & 0x20000)
    env->smbase = get (env, map, 0x7ef8, 4);
}

/* --- entry and exit ------------------------------------------------------------------------------- */

static bool
is_64_bit (VmX86Env *env)
{
  return vm_x86_has (vm_x86_cpu (env), VM_X86_FEATURE_LM);
}

void
sys_enter_smm (VmX86Env *env)
{
  env->smm_inhibits_nmi = env->nmi_blocked;
  env->nmi_blocked = true;
  env->smm = true;
  vm_tlb_flush_all (env); /* now with SMRAM open */
  if (is_64_bit (env))
    save_64 (env);
  else
    save_32 (env);
  env->halted = false;
  env->shadow = 0;
  env->efer = 0;
  env->cr0 &= ~(uint64_t) (VM_CR0_PE | VM_CR0_EM | VM_CR0_TS | VM_CR0_PG);
  env->cr4 = 0;
  env->dr[7] = 0x400;
  env->eflags = 2;
  env->rip = 0x8000;
  for (unsigned i = 0; i < VM_SEG_N; i++)
    env->seg[i] = (VmX86Seg) { .limit = UINT32_MAX,
                               .attr = VM_SEG_G | VM_SEG_P | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED };
  env->seg[VM_CS].selector = env->smbase >> 4;
  env->seg[VM_CS].base = env->smbase;
  vm_tlb_update_watches (env);
  vm_tlb_flush_all (env);
  vm_x86_update_mode (env);
}

void
vm_op_rsm (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  if (!env->smm)
    vm_x86_raise (env, VM_EXC_UD);
  vm_tcg_leave_guest_fpu (env);
  if (is_64_bit (env))
    load_64 (env);
  else
    load_32 (env);
  env->smm = false;
  env->nmi_blocked = env->smm_inhibits_nmi;
  if (((env->cr0 & VM_CR0_PG) && !(env->cr0 & VM_CR0_PE)) ||
      ((env->cr0 & VM_CR0_NW) && !(env->cr0 & VM_CR0_CD)) ||
      ((env->efer & VM_EFER_LMA) && !(env->cr4 & VM_CR4_PAE)))
    {
      env->shutdown = true;
      __atomic_fetch_or (&env->poll, VM_POLL_FLUSH, __ATOMIC_RELAXED);
    }
  vm_tlb_update_watches (env);
  vm_tlb_flush_all (env);
  if ((env->cr0 & VM_CR0_PG) && (env->cr4 & VM_CR4_PAE) && !(env->efer & VM_EFER_LMA))
    vm_mmu_load_pdptrs (env, env->cr3);
  vm_x86_update_mode (env);
}
