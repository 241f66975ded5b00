/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segment registers, limit checks and stacks (Intel SDM vol. 3, chapters 3 and 5). */
#include "engine/tcg/sys/sys-private.h"

void
sys_raise_selector (VmX86Env *env, int vector, uint16_t selector)
{
  vm_x86_raise_error (env, vector, (selector & 0xfffc) | vm_tcg_cpu (env)->delivery_ext);
}

void
sys_raise_zero (VmX86Env *env, int vector)
{
  vm_x86_raise_error (env, vector, vm_tcg_cpu (env)->delivery_ext);
}

/* --- linear addresses -------------------------------------------------------------------------- */

/* Is [OFFSET, OFFSET + LEN) inside SEG and may it be accessed so? */
static bool
seg_allows (const VmX86Env *env, const VmX86Seg *seg, uint64_t offset, unsigned len, unsigned access)
{
  uint64_t last = offset + len - 1;

  if (!is_real_or_vm86 (env))
    {
      if (!(seg->attr & VM_SEG_P))
        return false;
      if (access == VM_ACCESS_WRITE ? (seg->attr & (VM_SEG_CODE | VM_SEG_RW)) != VM_SEG_RW
                                    : access == VM_ACCESS_READ &&
                                        (seg->attr & (VM_SEG_CODE | VM_SEG_RW)) == VM_SEG_CODE)
        return false;
      if ((seg->attr & (VM_SEG_CODE | VM_SEG_DC)) == VM_SEG_DC) /* expand down */
        return offset > seg->limit && last <= (seg->attr & VM_SEG_DB ? UINT32_MAX : 0xffff);
    }
  return last <= seg->limit;
}

uint64_t
vm_seg_linear (VmX86Env *env, unsigned seg, uint64_t offset, unsigned len, unsigned access)
{
  const VmX86Seg *s = &env->seg[seg];

  if (env->mode & VM_MODE_CS64)
    {
      uint64_t linear = offset + (seg >= VM_FS ? s->base : 0);

      if (G_UNLIKELY (!is_canonical (env, linear) || !is_canonical (env, linear + len - 1)))
        vm_x86_raise_error (env, seg == VM_SS ? VM_EXC_SS : VM_EXC_GP, 0);
      return linear;
    }
  if (G_UNLIKELY (!seg_allows (env, s, offset, len, access)))
    vm_x86_raise_error (env, seg == VM_SS ? VM_EXC_SS : VM_EXC_GP, 0);
  return (uint32_t) (s->base + offset);
}

/* --- stacks ------------------------------------------------------------------------------------ */

static inline uint64_t
stack_mask (const VmX86Env *env)
{
  return env->mode & VM_MODE_CS64 ? UINT64_MAX : env->mode & VM_MODE_SS32 ? UINT32_MAX : 0xffff;
}

uint64_t
vm_stack_pointer (const VmX86Env *env)
{
  return env->gpr[VM_RSP] & stack_mask (env);
}

void
vm_set_stack_pointer (VmX86Env *env, uint64_t sp)
{
  uint64_t mask = stack_mask (env);

  if (mask == UINT32_MAX)
    env->gpr[VM_RSP] = sp & mask;
  else
    env->gpr[VM_RSP] = (env->gpr[VM_RSP] & ~mask) | (sp & mask);
}

static uint64_t
check_aligned (VmX86Env *env, uint64_t linear, unsigned size)
{
  if (G_UNLIKELY (env->mode & VM_MODE_AC_CHECK) && (linear & (size - 1)))
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  return linear;
}

void
vm_push (VmX86Env *env, uint64_t value, unsigned size)
{
  uint64_t sp = (env->gpr[VM_RSP] - size) & stack_mask (env);
  uint64_t linear = check_aligned (env, vm_seg_linear (env, VM_SS, sp, size, VM_ACCESS_WRITE), size);

  vm_mmu_store (env, linear, value & size_mask (size), size, vm_tlb_context (env));
  vm_set_stack_pointer (env, sp);
}

uint64_t
vm_pop (VmX86Env *env, unsigned size)
{
  uint64_t sp = vm_stack_pointer (env);
  uint64_t linear = check_aligned (env, vm_seg_linear (env, VM_SS, sp, size, VM_ACCESS_READ), size);
  uint64_t value = vm_mmu_load (env, linear, size, vm_tlb_context (env));

  vm_set_stack_pointer (env, sp + size);
  return value;
}

void
sys_stack_current (VmX86Env *env, Stack *st)
{
  st->env = env;
  st->seg = env->seg[VM_SS];
  st->mask = stack_mask (env);
  st->sp = env->gpr[VM_RSP];
  st->ctx = vm_tlb_context (env);
  st->error = 0;
  st->is_64 = (env->mode & VM_MODE_CS64) != 0;
}

void
sys_stack_new (VmX86Env *env, Stack *st, const VmX86Seg *seg, uint64_t sp, unsigned cpl)
{
  st->env = env;
  st->seg = *seg;
  st->is_64 = (env->efer & VM_EFER_LMA) != 0;
  st->mask = st->is_64 ? UINT64_MAX : seg->attr & VM_SEG_DB ? UINT32_MAX : 0xffff;
  st->sp = sp;
  st->error = seg->selector;
  if (cpl == 3)
    st->ctx = VM_TLB_USER;
  else
    st->ctx = (env->cr4 & VM_CR4_SMAP) && (env->eflags & VM_AC) ? VM_TLB_SUPERVISOR_AC : VM_TLB_SUPERVISOR;
}

static uint64_t
stack_linear (Stack *st, uint64_t sp, unsigned len, unsigned access)
{
  VmX86Env *env = st->env;

  if (st->is_64)
    {
      if (!is_canonical (env, sp) || !is_canonical (env, sp + len - 1))
        sys_raise_zero (env, VM_EXC_SS);
      return sp;
    }
  if (!seg_allows (env, &st->seg, sp, len, access))
    sys_raise_selector (env, VM_EXC_SS, st->error);
  return (uint32_t) (st->seg.base + sp);
}

void
sys_stack_push (Stack *st, uint64_t value, unsigned size)
{
  uint64_t sp = (st->sp - size) & st->mask;

  vm_mmu_store (st->env, stack_linear (st, sp, size, VM_ACCESS_WRITE), value & size_mask (size), size, st->ctx);
  st->sp = (st->sp & ~st->mask) | sp;
}

uint64_t
sys_stack_pop (Stack *st, unsigned size)
{
  uint64_t sp = st->sp & st->mask;
  uint64_t value = vm_mmu_load (st->env, stack_linear (st, sp, size, VM_ACCESS_READ), size, st->ctx);

  st->sp = (st->sp & ~st->mask) | ((sp + size) & st->mask);
  return value;
}

void
sys_stack_reserve (Stack *st, unsigned len)
{
  uint64_t sp = (st->sp - len) & st->mask;

  /* A 16-bit stack that wraps is left to the pushes one by one. */
  if (sp + len - 1 <= st->mask)
    vm_mmu_probe_write (st->env, stack_linear (st, sp, len, VM_ACCESS_WRITE), len, st->ctx);
}

void
sys_stack_commit (Stack *st)
{
  VmX86Env *env = st->env;

  if (st->mask == UINT32_MAX)
    env->gpr[VM_RSP] = (uint32_t) st->sp;
  else if (st->mask == 0xffff)
    env->gpr[VM_RSP] = (env->gpr[VM_RSP] & ~UINT64_C (0xffff)) | (st->sp & 0xffff);
  else
    env->gpr[VM_RSP] = st->sp;
}

/* --- descriptors ------------------------------------------------------------------------------- */

bool
sys_try_read_desc (VmX86Env *env, uint16_t selector, Desc *d)
{
  uint64_t base = env->gdt.base;
  uint32_t limit = env->gdt.limit;
  uint64_t raw;

  if (selector & 4)
    {
      if (!(env->ldt.attr & VM_SEG_P))
        return false;
      base = env->ldt.base;
      limit = env->ldt.limit;
    }
  if ((selector | 7u) > limit)
    return false;
  d->address = base + (selector & ~7u);
  raw = sys_load (env, d->address, 8);
  d->low = raw;
  d->high = raw >> 32;
  return true;
}

void
sys_read_desc (VmX86Env *env, uint16_t selector, int vector, Desc *d)
{
  if (!sys_try_read_desc (env, selector, d))
    sys_raise_selector (env, vector, selector);
}

void
sys_mark_accessed (VmX86Env *env, Desc *d)
{
  if (d->high & 0x100)
    return;
  d->high |= 0x100;
  sys_store (env, d->address + 5, d->high >> 8 & 0xff, 1);
}

void
sys_set_seg (VmX86Seg *seg, uint16_t selector, const Desc *d)
{
  seg->selector = selector;
  seg->base = desc_base (d);
  seg->limit = desc_limit (d);
  seg->attr = desc_attr (d);
}

void
sys_set_seg_real (VmX86Env *env, unsigned seg, uint16_t selector)
{
  VmX86Seg *s = &env->seg[seg];

  s->selector = selector;
  s->base = (uint32_t) selector << 4;
  if (env->eflags & VM_VM)
    {
      s->limit = 0xffff;
      s->attr = VM_SEG_P | VM_SEG_DPL | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED;
    }
  else /* limit and size stay: "unreal" mode */
    s->attr = (s->attr & (VM_SEG_DB | VM_SEG_G)) | VM_SEG_P | VM_SEG_S | VM_SEG_RW | VM_SEG_ACCESSED;
}

static void
set_null (VmX86Env *env, unsigned seg, uint16_t selector)
{
  VmX86Seg *s = &env->seg[seg];

  s->selector = selector;
  s->base = 0;
  s->limit = 0;
  s->attr = seg == VM_SS ? (selector & 3) << VM_SEG_DPL_SHIFT : 0;
}

static void
load_ss (VmX86Env *env, uint16_t selector)
{
  unsigned cpl = vm_x86_cpl (env), rpl = selector & 3;
  uint16_t attr;
  Desc d;

  if (is_null (selector))
    {
      if (!(env->mode & VM_MODE_CS64) || cpl == 3 || rpl != cpl)
        sys_raise_zero (env, VM_EXC_GP);
      set_null (env, VM_SS, selector);
      return;
    }
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  attr = desc_attr (&d);
  if (rpl != cpl || !attr_is_writable_data (attr) || attr_dpl (attr) != cpl)
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_SS, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (&env->seg[VM_SS], selector, &d);
}

void
vm_sys_load_segment (VmX86Env *env, unsigned seg, uint16_t selector)
{
  unsigned cpl = vm_x86_cpl (env), rpl = selector & 3;
  uint16_t attr;
  Desc d;

  if (is_real_or_vm86 (env))
    sys_set_seg_real (env, seg, selector);
  else if (seg == VM_SS)
    load_ss (env, selector);
  else if (is_null (selector))
    set_null (env, seg, selector);
  else
    {
      sys_read_desc (env, selector, VM_EXC_GP, &d);
      attr = desc_attr (&d);
      if (!(attr & VM_SEG_S) || (attr & (VM_SEG_CODE | VM_SEG_RW)) == VM_SEG_CODE ||
          (!attr_is_conforming (attr) && (rpl > attr_dpl (attr) || cpl > attr_dpl (attr))))
        sys_raise_selector (env, VM_EXC_GP, selector);
      if (!(attr & VM_SEG_P))
        sys_raise_selector (env, VM_EXC_NP, selector);
      sys_mark_accessed (env, &d);
      sys_set_seg (&env->seg[seg], selector, &d);
    }
  vm_x86_update_mode (env);
}

void
sys_set_cs (VmX86Env *env, uint16_t selector, const Desc *d, unsigned cpl)
{
  sys_set_seg (&env->seg[VM_CS], (selector & ~3) | cpl, d);
}

void
sys_check_target (VmX86Env *env, const Desc *d, uint64_t offset)
{
  if ((env->efer & VM_EFER_LMA) && (desc_attr (d) & VM_SEG_L))
    {
      if (!is_canonical (env, offset))
        sys_raise_zero (env, VM_EXC_GP);
    }
  else if (offset > desc_limit (d))
    sys_raise_zero (env, VM_EXC_GP);
}

/* --- instructions ------------------------------------------------------------------------------ */

uint64_t
sys_operand_load (VmX86Env *env, const VmInsn *insn, unsigned size)
{
  if (insn->flags & VM_INSN_MEM)
    return vm_mmu_load (env, vm_insn_linear (env, insn, size, VM_ACCESS_READ), size, vm_tlb_context (env));
  return env->gpr[insn->rm] & size_mask (size);
}

/* SIZE bytes to the register or memory operand; 4 zero-extend. */
static void
operand_store (VmX86Env *env, const VmInsn *insn, uint64_t value, unsigned size)
{
  if (insn->flags & VM_INSN_MEM)
    vm_mmu_store (env, vm_insn_linear (env, insn, size, VM_ACCESS_WRITE), value, size, vm_tlb_context (env));
  else if (size == 2)
    env->gpr[insn->rm] = (env->gpr[insn->rm] & ~UINT64_C (0xffff)) | (value & 0xffff);
  else
    env->gpr[insn->rm] = value & size_mask (size);
}

static void
set_reg (VmX86Env *env, unsigned reg, uint64_t value, unsigned size)
{
  if (size == 2)
    env->gpr[reg] = (env->gpr[reg] & ~UINT64_C (0xffff)) | (value & 0xffff);
  else
    env->gpr[reg] = value & size_mask (size);
}

void
vm_op_mov_to_sreg (VmX86Env *env, const VmInsn *insn)
{
  unsigned seg = insn->reg & 7;

  if (seg == VM_CS || seg >= VM_SEG_N)
    vm_x86_raise (env, VM_EXC_UD);
  vm_sys_load_segment (env, seg, sys_operand_load (env, insn, 2));
  if (seg == VM_SS)
    env->shadow = 2;
}

void
vm_op_mov_from_sreg (VmX86Env *env, const VmInsn *insn)
{
  unsigned seg = insn->reg & 7;

  if (seg >= VM_SEG_N)
    vm_x86_raise (env, VM_EXC_UD);
  operand_store (env, insn, env->seg[seg].selector, insn->flags & VM_INSN_MEM ? 2 : insn->opsize);
}

void
vm_op_push_sreg (VmX86Env *env, const VmInsn *insn)
{
  uint16_t selector = env->seg[insn->opcode >> 3 & 7].selector;
  Stack st;

  /* With 32 and 64-bit operands only the low half word is written on processors since the P6; the rest of
   * the slot keeps its bytes. */
  if (insn->opsize == 2 || (env->mode & VM_MODE_CS64))
    {
      vm_push (env, selector, insn->opsize);
      return;
    }
  sys_stack_current (env, &st);
  sys_stack_reserve (&st, insn->opsize);
  st.sp -= insn->opsize - 2;
  sys_stack_push (&st, selector, 2);
  sys_stack_commit (&st);
}

void
vm_op_pop_sreg (VmX86Env *env, const VmInsn *insn)
{
  unsigned seg = insn->opcode >> 3 & 7;
  uint64_t mask = stack_mask (env);
  uint64_t sp = vm_stack_pointer (env);
  uint16_t selector = vm_mmu_load (env, vm_seg_linear (env, VM_SS, sp, insn->opsize, VM_ACCESS_READ),
                                   2, vm_tlb_context (env));

  vm_sys_load_segment (env, seg, selector);
  /* The pointer moves under the width of the old stack. */
  sp += insn->opsize;
  env->gpr[VM_RSP] = mask == UINT32_MAX ? (uint32_t) sp : (env->gpr[VM_RSP] & ~mask) | (sp & mask);
  if (seg == VM_SS)
    env->shadow = 2;
}

static void
load_far_pointer (VmX86Env *env, const VmInsn *insn, unsigned seg)
{
  uint64_t linear = vm_insn_linear (env, insn, insn->opsize + 2, VM_ACCESS_READ);
  unsigned ctx = vm_tlb_context (env);
  uint64_t offset = vm_mmu_load (env, linear, insn->opsize, ctx);
  uint16_t selector = vm_mmu_load (env, linear + insn->opsize, 2, ctx);

  vm_sys_load_segment (env, seg, selector);
  set_reg (env, insn->reg, offset, insn->opsize);
}

#define DEFINE_LOAD_FAR_POINTER(name, seg)                                                       \
  void vm_op_##name (VmX86Env *env, const VmInsn *insn) { load_far_pointer (env, insn, seg); }
DEFINE_LOAD_FAR_POINTER (les, VM_ES)
DEFINE_LOAD_FAR_POINTER (lds, VM_DS)
DEFINE_LOAD_FAR_POINTER (lfs, VM_FS)
DEFINE_LOAD_FAR_POINTER (lgs, VM_GS)

void
vm_op_lss (VmX86Env *env, const VmInsn *insn)
{
  load_far_pointer (env, insn, VM_SS); /* no shadow: SS and the pointer come together */
}

static void
set_zf (VmX86Env *env, bool on)
{
  env->eflags = on ? env->eflags | VM_ZF : env->eflags & ~(uint64_t) VM_ZF;
}

/* The descriptor that LAR, LSL, VERR and VERW may look at; false clears ZF. */
static bool
visible_desc (VmX86Env *env, uint16_t selector, Desc *d)
{
  uint16_t attr;

  if (is_null (selector) || !sys_try_read_desc (env, selector, d))
    return false;
  attr = desc_attr (d);
  return attr_is_conforming (attr) ||
         (vm_x86_cpl (env) <= attr_dpl (attr) && (selector & 3) <= attr_dpl (attr));
}

void
vm_op_verr (VmX86Env *env, const VmInsn *insn)
{
  Desc d;
  bool ok = visible_desc (env, sys_operand_load (env, insn, 2), &d);

  set_zf (env, ok && (desc_attr (&d) & VM_SEG_S) &&
               (desc_attr (&d) & (VM_SEG_CODE | VM_SEG_RW)) != VM_SEG_CODE);
}

void
vm_op_verw (VmX86Env *env, const VmInsn *insn)
{
  Desc d;
  bool ok = visible_desc (env, sys_operand_load (env, insn, 2), &d);

  set_zf (env, ok && attr_is_writable_data (desc_attr (&d)));
}

void
vm_op_lar (VmX86Env *env, const VmInsn *insn)
{
  uint16_t selector = sys_operand_load (env, insn, 2);
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint32_t types = is_long ? VM_BIT (SYS_LDT) | VM_BIT (SYS_TSS32) | VM_BIT (SYS_TSS32_BUSY) |
                             VM_BIT (SYS_CALL32)
                           : 0x1a3e; /* TSS16, LDT, busy, call gates, task gate, TSS32 */
  Desc d;

  if (!visible_desc (env, selector, &d) ||
      (!(desc_attr (&d) & VM_SEG_S) && !(types >> (desc_attr (&d) & 15) & 1)))
    {
      set_zf (env, false);
      return;
    }
  set_zf (env, true);
  set_reg (env, insn->reg, d.high & 0x00f0ff00, insn->opsize);
}

void
vm_op_lsl (VmX86Env *env, const VmInsn *insn)
{
  uint16_t selector = sys_operand_load (env, insn, 2);
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint32_t types = VM_BIT (SYS_LDT) | VM_BIT (SYS_TSS32) | VM_BIT (SYS_TSS32_BUSY) |
                   (is_long ? 0 : VM_BIT (SYS_TSS16) | VM_BIT (SYS_TSS16_BUSY));
  Desc d;

  if (!visible_desc (env, selector, &d) ||
      (!(desc_attr (&d) & VM_SEG_S) && !(types >> (desc_attr (&d) & 15) & 1)))
    {
      set_zf (env, false);
      return;
    }
  set_zf (env, true);
  set_reg (env, insn->reg, desc_limit (&d), insn->opsize);
}

void
vm_op_arpl (VmX86Env *env, const VmInsn *insn)
{
  uint64_t linear = 0;
  uint16_t dst, src = env->gpr[insn->reg];

  if (insn->flags & VM_INSN_MEM)
    {
      linear = vm_insn_linear (env, insn, 2, VM_ACCESS_WRITE);
      vm_mmu_probe_write (env, linear, 2, vm_tlb_context (env));
      dst = vm_mmu_load (env, linear, 2, vm_tlb_context (env));
    }
  else
    dst = env->gpr[insn->rm];
  if ((dst & 3) >= (src & 3))
    {
      set_zf (env, false);
      return;
    }
  dst = (dst & ~3) | (src & 3);
  if (insn->flags & VM_INSN_MEM)
    vm_mmu_store (env, linear, dst, 2, vm_tlb_context (env));
  else
    set_reg (env, insn->rm, dst, 2);
  set_zf (env, true);
}
