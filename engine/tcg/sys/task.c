/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Task state segments: stacks, the I/O bitmap's segment, hardware task switches (Intel SDM vol. 3, chapter 8). */
#include "engine/tcg/sys/sys-private.h"

static bool
tss_is_32 (const VmX86Env *env)
{
  return (env->tr.attr & 8) != 0;
}

uint64_t
sys_tss_stack (VmX86Env *env, unsigned cpl, VmX86Seg *seg)
{
  bool is_32 = tss_is_32 (env);
  uint32_t offset = is_32 ? 4 + cpl * 8 : 2 + cpl * 4;
  uint64_t sp;
  uint16_t selector, attr;
  Desc d;

  if (offset + (is_32 ? 5u : 3u) > env->tr.limit)
    sys_raise_selector (env, VM_EXC_TS, env->tr.selector);
  sp = sys_load (env, env->tr.base + offset, is_32 ? 4 : 2);
  selector = sys_load (env, env->tr.base + offset + (is_32 ? 4 : 2), 2);
  if (is_null (selector))
    sys_raise_selector (env, VM_EXC_TS, selector);
  sys_read_desc (env, selector, VM_EXC_TS, &d);
  attr = desc_attr (&d);
  if ((selector & 3u) != cpl || attr_dpl (attr) != cpl || !attr_is_writable_data (attr))
    sys_raise_selector (env, VM_EXC_TS, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_SS, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (seg, selector, &d);
  return sp;
}

uint64_t
sys_tss_stack_64 (VmX86Env *env, unsigned cpl, unsigned ist)
{
  uint32_t offset = ist ? 0x24 + (ist - 1) * 8 : 4 + cpl * 8;
  uint64_t sp;

  if (offset + 7 > env->tr.limit)
    sys_raise_selector (env, VM_EXC_TS, env->tr.selector);
  sp = sys_load (env, env->tr.base + offset, 8);
  if (!is_canonical (env, sp))
    sys_raise_zero (env, VM_EXC_SS);
  return sp;
}

/* --- the image --------------------------------------------------------------------------------- */

typedef struct Image {
  uint32_t eip, eflags, gpr[8], cr3;
  uint16_t seg[VM_SEG_N], ldt, trap;
} Image;

static void
load_image (VmX86Env *env, uint64_t base, bool is_32, Image *m)
{
  if (is_32)
    {
      m->cr3 = sys_load (env, base + 0x1c, 4);
      m->eip = sys_load (env, base + 0x20, 4);
      m->eflags = sys_load (env, base + 0x24, 4);
      for (unsigned i = 0; i < 8; i++)
        m->gpr[i] = sys_load (env, base + 0x28 + i * 4, 4);
      for (unsigned i = 0; i < VM_SEG_N; i++)
        m->seg[i] = sys_load (env, base + 0x48 + i * 4, 2);
      m->ldt = sys_load (env, base + 0x60, 2);
      m->trap = sys_load (env, base + 0x64, 2);
    }
  else
    {
      m->cr3 = 0;
      m->eip = sys_load (env, base + 0x0e, 2);
      m->eflags = sys_load (env, base + 0x10, 2);
      for (unsigned i = 0; i < 8; i++)
        m->gpr[i] = sys_load (env, base + 0x12 + i * 2, 2) | 0xffff0000;
      for (unsigned i = 0; i < 4; i++)
        m->seg[i] = sys_load (env, base + 0x22 + i * 2, 2);
      m->seg[VM_FS] = m->seg[VM_GS] = 0;
      m->ldt = sys_load (env, base + 0x2a, 2);
      m->trap = 0;
    }
}

static void
save_image (VmX86Env *env, uint64_t base, bool is_32, uint32_t eip, uint32_t eflags)
{
  if (is_32)
    {
      sys_store (env, base + 0x20, eip, 4);
      sys_store (env, base + 0x24, eflags, 4);
      for (unsigned i = 0; i < 8; i++)
        sys_store (env, base + 0x28 + i * 4, (uint32_t) env->gpr[i], 4);
      for (unsigned i = 0; i < VM_SEG_N; i++)
        sys_store (env, base + 0x48 + i * 4, env->seg[i].selector, 2);
    }
  else
    {
      sys_store (env, base + 0x0e, (uint16_t) eip, 2);
      sys_store (env, base + 0x10, (uint16_t) eflags, 2);
      for (unsigned i = 0; i < 8; i++)
        sys_store (env, base + 0x12 + i * 2, (uint16_t) env->gpr[i], 2);
      for (unsigned i = 0; i < 4; i++)
        sys_store (env, base + 0x22 + i * 2, env->seg[i].selector, 2);
    }
}

/* --- loading the new task: faults from here on belong to it -------------------------------------- */

static void
load_ldt (VmX86Env *env, uint16_t selector)
{
  Desc d;

  env->ldt = (VmX86Seg) { .selector = selector };
  if (is_null (selector))
    return;
  if (selector & 4)
    sys_raise_selector (env, VM_EXC_TS, selector);
  sys_read_desc (env, selector, VM_EXC_TS, &d);
  if ((desc_attr (&d) & (VM_SEG_S | 15)) != SYS_LDT || !(desc_attr (&d) & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_TS, selector);
  sys_set_seg (&env->ldt, selector, &d);
}

static void
load_task_cs (VmX86Env *env, uint16_t selector)
{
  unsigned cpl = selector & 3;
  uint16_t attr;
  Desc d;

  if (is_null (selector))
    sys_raise_selector (env, VM_EXC_TS, selector);
  sys_read_desc (env, selector, VM_EXC_TS, &d);
  attr = desc_attr (&d);
  if (!attr_is_code (attr) || (attr_is_conforming (attr) ? attr_dpl (attr) > cpl : attr_dpl (attr) != cpl))
    sys_raise_selector (env, VM_EXC_TS, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (&env->seg[VM_CS], selector, &d);
}

static void
load_task_ss (VmX86Env *env, uint16_t selector, unsigned cpl)
{
  uint16_t attr;
  Desc d;

  if (is_null (selector))
    sys_raise_selector (env, VM_EXC_TS, selector);
  sys_read_desc (env, selector, VM_EXC_TS, &d);
  attr = desc_attr (&d);
  if (!attr_is_writable_data (attr) || attr_dpl (attr) != cpl || (selector & 3u) != cpl)
    sys_raise_selector (env, VM_EXC_TS, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_SS, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (&env->seg[VM_SS], selector, &d);
}

static void
load_task_data (VmX86Env *env, unsigned seg, uint16_t selector, unsigned cpl)
{
  uint16_t attr;
  Desc d;

  if (is_null (selector))
    return;
  sys_read_desc (env, selector, VM_EXC_TS, &d);
  attr = desc_attr (&d);
  if (!(attr & VM_SEG_S) || (attr & (VM_SEG_CODE | VM_SEG_RW)) == VM_SEG_CODE ||
      (!attr_is_conforming (attr) && ((selector & 3u) > attr_dpl (attr) || cpl > attr_dpl (attr))))
    sys_raise_selector (env, VM_EXC_TS, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (&env->seg[seg], selector, &d);
}

static void
load_task_segments (VmX86Env *env, const Image *m)
{
  unsigned cpl = m->seg[VM_CS] & 3;

  load_ldt (env, m->ldt);
  if (env->eflags & VM_VM)
    {
      for (unsigned i = 0; i < VM_SEG_N; i++)
        sys_set_seg_real (env, i, m->seg[i]);
      return;
    }
  load_task_cs (env, m->seg[VM_CS]);
  vm_x86_update_mode (env);
  load_task_ss (env, m->seg[VM_SS], cpl);
  load_task_data (env, VM_DS, m->seg[VM_DS], cpl);
  load_task_data (env, VM_ES, m->seg[VM_ES], cpl);
  load_task_data (env, VM_FS, m->seg[VM_FS], cpl);
  load_task_data (env, VM_GS, m->seg[VM_GS], cpl);
}

/* Busy bit of a TSS descriptor. */
static void
set_busy (VmX86Env *env, uint64_t address, bool busy)
{
  uint8_t byte = sys_load (env, address + 5, 1);

  sys_store (env, address + 5, busy ? byte | 2 : byte & ~2, 1);
}

void
sys_switch_task (VmX86Env *env, uint16_t selector, Desc *d, TaskSource source, uint64_t return_rip)
{
  bool new_is_32 = (desc_attr (d) & 8) != 0, old_is_32 = tss_is_32 (env);
  uint16_t old_selector = env->tr.selector;
  uint64_t old_base = env->tr.base, new_base = desc_base (d);
  uint32_t old_flags = env->eflags;
  Image m;

  if (desc_limit (d) < (new_is_32 ? 103u : 43u))
    sys_raise_selector (env, VM_EXC_TS, selector);
  /* All pages that are needed, before anything changes. */
  load_image (env, new_base, new_is_32, &m);
  vm_mmu_probe_write (env, old_base, old_is_32 ? 104 : 44, VM_TLB_SUPERVISOR);
  vm_mmu_probe_write (env, new_base, new_is_32 ? 104 : 44, VM_TLB_SUPERVISOR);
  if (source == TASK_IRET)
    old_flags &= ~VM_NT;
  save_image (env, old_base, old_is_32, return_rip, old_flags);
  if (source != TASK_CALL)
    set_busy (env, env->gdt.base + (old_selector & 0xfff8), false);
  if (source == TASK_CALL)
    {
      sys_store (env, new_base, old_selector, 2);
      m.eflags |= VM_NT;
    }
  if (source != TASK_IRET)
    {
      set_busy (env, d->address, true);
      d->high |= 0x200;
    }

  env->cr0 |= VM_CR0_TS;
  sys_set_seg (&env->tr, selector, d);
  if (new_is_32 && (env->cr0 & VM_CR0_PG))
    {
      env->cr3 = m.cr3;
      if ((env->cr4 & VM_CR4_PAE) && !vm_mmu_load_pdptrs (env, m.cr3))
        env->pdpte[0] = env->pdpte[1] = env->pdpte[2] = env->pdpte[3] = 0;
      vm_tlb_switch_cr3 (env, env->cr3, false);
    }
  env->rip = m.eip;
  env->eflags = (m.eflags & (new_is_32 ? 0x3f7fd5 : 0x7fd5)) | 2;
  for (unsigned i = 0; i < 8; i++)
    env->gpr[i] = m.gpr[i];
  env->dr[7] &= ~UINT64_C (0x155); /* local breakpoints */
  vm_tlb_update_watches (env);
  for (unsigned i = 0; i < VM_SEG_N; i++)
    env->seg[i] = (VmX86Seg) { .selector = m.seg[i] };
  env->seg[VM_SS].attr = (m.seg[VM_CS] & 3) << VM_SEG_DPL_SHIFT; /* CPL, even if SS fails */
  vm_x86_update_mode (env);
  load_task_segments (env, &m);
  vm_x86_update_mode (env);
  if (env->rip > env->seg[VM_CS].limit)
    sys_raise_zero (env, VM_EXC_GP);
  if (m.trap & 1)
    vm_sys_raise_debug (env, 1u << 15);
}

void
sys_task_gate (VmX86Env *env, const Desc *gate, TaskSource source, uint64_t return_rip)
{
  uint16_t selector = gate->low >> 16;
  unsigned type;
  Desc d;

  if (selector & 4)
    sys_raise_selector (env, VM_EXC_GP, selector);
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  type = desc_attr (&d) & (VM_SEG_S | 15);
  if (type != SYS_TSS16 && type != SYS_TSS32)
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(desc_attr (&d) & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  sys_switch_task (env, selector, &d, source, return_rip);
}

/* --- LTR, LLDT, STR, SLDT ----------------------------------------------------------------------- */

static void
check_umip (VmX86Env *env)
{
  if ((env->cr4 & VM_CR4_UMIP) && vm_x86_cpl (env) > 0)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
}

static void
store_selector (VmX86Env *env, const VmInsn *insn, uint16_t selector)
{
  check_umip (env);
  if (insn->flags & VM_INSN_MEM)
    vm_mmu_store (env, vm_insn_linear (env, insn, 2, VM_ACCESS_WRITE), selector, 2, vm_tlb_context (env));
  else if (insn->opsize == 2)
    env->gpr[insn->rm] = (env->gpr[insn->rm] & ~UINT64_C (0xffff)) | selector;
  else
    env->gpr[insn->rm] = selector;
}

void
vm_op_str (VmX86Env *env, const VmInsn *insn)
{
  store_selector (env, insn, env->tr.selector);
}

void
vm_op_sldt (VmX86Env *env, const VmInsn *insn)
{
  store_selector (env, insn, env->ldt.selector);
}

/* In long mode LDT and TSS descriptors are 16 bytes. */
static void
set_system_seg (VmX86Env *env, VmX86Seg *seg, uint16_t selector, const Desc *d)
{
  uint64_t base = desc_base (d);

  if (env->efer & VM_EFER_LMA)
    {
      uint64_t high;

      if ((selector | 7u) + 8 > env->gdt.limit)
        sys_raise_selector (env, VM_EXC_GP, selector);
      high = sys_load (env, d->address + 8, 8);
      base |= high << 32;
      if ((high >> 40 & 31) || !vm_x86_is_canonical_base (vm_x86_cpu (env), base))
        sys_raise_selector (env, VM_EXC_GP, selector);
    }
  sys_set_seg (seg, selector, d);
  seg->base = base;
}

void
vm_op_lldt (VmX86Env *env, const VmInsn *insn)
{
  uint16_t selector = sys_operand_load (env, insn, 2);
  Desc d;

  if (is_null (selector))
    {
      env->ldt = (VmX86Seg) { .selector = selector };
      return;
    }
  if (selector & 4)
    sys_raise_selector (env, VM_EXC_GP, selector);
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  if ((desc_attr (&d) & (VM_SEG_S | 15)) != SYS_LDT)
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(desc_attr (&d) & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  set_system_seg (env, &env->ldt, selector, &d);
}

void
vm_op_ltr (VmX86Env *env, const VmInsn *insn)
{
  uint16_t selector = sys_operand_load (env, insn, 2);
  unsigned type;
  VmX86Seg tr;
  Desc d;

  if (is_null (selector))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (selector & 4)
    sys_raise_selector (env, VM_EXC_GP, selector);
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  type = desc_attr (&d) & (VM_SEG_S | 15);
  if (type != SYS_TSS32 && (type != SYS_TSS16 || (env->efer & VM_EFER_LMA)))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(desc_attr (&d) & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  set_system_seg (env, &tr, selector, &d);
  set_busy (env, d.address, true);
  env->tr = tr;
  env->tr.attr |= 2;
}
