/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Far jumps, calls, returns and IRET (Intel SDM vol. 2 and vol. 3, 5.8), SYSCALL and SYSENTER. */
#include "engine/tcg/sys/sys-private.h"

#include "engine/tcg/logging.h"
#include "engine/x86/model.h"

/* --- jumps and calls --------------------------------------------------------------------------- */

static void
real_far (VmX86Env *env, uint16_t selector, uint64_t offset, unsigned size, bool is_call, uint64_t return_rip)
{
  offset &= size_mask (size);
  if (offset > env->seg[VM_CS].limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (is_call)
    {
      Stack st;

      sys_stack_current (env, &st);
      sys_stack_reserve (&st, size * 2);
      sys_stack_push (&st, env->seg[VM_CS].selector, size);
      sys_stack_push (&st, return_rip, size);
      sys_stack_commit (&st);
    }
  sys_set_seg_real (env, VM_CS, selector);
  env->rip = offset;
  vm_x86_update_mode (env);
}

/* A code segment descriptor as the target of a jump, call or gate. */
static void
check_code_target (VmX86Env *env, uint16_t selector, const Desc *d, unsigned rpl, bool via_gate, bool is_call)
{
  uint16_t attr = desc_attr (d);
  unsigned cpl = vm_x86_cpl (env);

  if (!attr_is_code (attr))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (attr_is_conforming (attr) || (via_gate && is_call))
    {
      if (attr_dpl (attr) > cpl)
        sys_raise_selector (env, VM_EXC_GP, selector);
    }
  else if (attr_dpl (attr) != cpl || (!via_gate && rpl > cpl))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if ((env->efer & VM_EFER_LMA) && (attr & VM_SEG_L) && (attr & VM_SEG_DB))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
}

typedef struct Gate {
  uint16_t selector;
  uint64_t offset;
  unsigned size;   /* of what is pushed: 2, 4, 8 */
  unsigned params;
} Gate;

static void
read_call_gate (VmX86Env *env, uint16_t selector, const Desc *d, Gate *gate)
{
  unsigned type = desc_attr (d) & 15;

  gate->selector = d->low >> 16;
  gate->offset = d->low & 0xffff;
  gate->params = d->high & 31;
  gate->size = type == SYS_CALL16 ? 2 : 4;
  if (gate->size == 4)
    gate->offset |= d->high & 0xffff0000;
  if (env->efer & VM_EFER_LMA)
    {
      uint64_t high = sys_load (env, d->address + 8, 8);
      uint32_t limit = selector & 4 ? env->ldt.limit : env->gdt.limit;

      if ((selector | 7u) + 8 > limit || (high >> 40 & 31))
        sys_raise_selector (env, VM_EXC_GP, selector);
      gate->offset |= high << 32;
      gate->size = 8;
      gate->params = 0;
    }
}

/* Call through a gate to a more privileged segment: new stack, parameters copied. */
static void
call_inner (VmX86Env *env, const Gate *gate, Desc *code, uint64_t return_rip)
{
  unsigned new_cpl = attr_dpl (desc_attr (code)), size = gate->size;
  VmX86Seg ss = { 0 };
  uint64_t sp;
  uint32_t params[32];
  Stack old, st;

  if (env->efer & VM_EFER_LMA)
    {
      sp = sys_tss_stack_64 (env, new_cpl, 0);
      ss.selector = new_cpl;
      ss.attr = new_cpl << VM_SEG_DPL_SHIFT;
    }
  else
    sp = sys_tss_stack (env, new_cpl, &ss);
  sys_check_target (env, code, gate->offset);
  sys_stack_current (env, &old);
  for (unsigned i = 0; i < gate->params; i++)
    params[i] = sys_stack_pop (&old, size);
  sys_stack_new (env, &st, &ss, sp, new_cpl);
  sys_stack_reserve (&st, size * (4 + gate->params));
  sys_stack_push (&st, env->seg[VM_SS].selector, size);
  sys_stack_push (&st, env->gpr[VM_RSP], size);
  for (unsigned i = gate->params; i-- > 0;)
    sys_stack_push (&st, params[i], size);
  sys_stack_push (&st, env->seg[VM_CS].selector, size);
  sys_stack_push (&st, return_rip, size);
  sys_mark_accessed (env, code);

  env->seg[VM_SS] = ss;
  sys_stack_commit (&st);
  sys_set_cs (env, gate->selector, code, new_cpl);
  env->rip = gate->offset;
  vm_x86_update_mode (env);
}

static void
call_same (VmX86Env *env, uint16_t selector, Desc *code, uint64_t offset, unsigned size, uint64_t return_rip)
{
  Stack st;

  sys_stack_current (env, &st);
  sys_stack_reserve (&st, size * 2);
  sys_check_target (env, code, offset);
  sys_stack_push (&st, env->seg[VM_CS].selector, size);
  sys_stack_push (&st, return_rip, size);
  sys_mark_accessed (env, code);
  sys_stack_commit (&st);
  sys_set_cs (env, selector, code, vm_x86_cpl (env));
  env->rip = offset;
  vm_x86_update_mode (env);
}

static void
jump_same (VmX86Env *env, uint16_t selector, Desc *code, uint64_t offset)
{
  sys_check_target (env, code, offset);
  sys_mark_accessed (env, code);
  sys_set_cs (env, selector, code, vm_x86_cpl (env));
  env->rip = offset;
  vm_x86_update_mode (env);
}

static void
through_gate (VmX86Env *env, uint16_t gate_selector, const Desc *d, bool is_call, uint64_t return_rip)
{
  Gate gate;
  Desc code;

  read_call_gate (env, gate_selector, d, &gate);
  if (is_null (gate.selector))
    sys_raise_zero (env, VM_EXC_GP);
  sys_read_desc (env, gate.selector, VM_EXC_GP, &code);
  check_code_target (env, gate.selector, &code, 0, true, is_call);
  /* A 64-bit gate leads to 64-bit code only. */
  if ((env->efer & VM_EFER_LMA) && (desc_attr (&code) & (VM_SEG_L | VM_SEG_DB)) != VM_SEG_L)
    sys_raise_selector (env, VM_EXC_GP, gate.selector);
  if (!is_call)
    jump_same (env, gate.selector, &code, gate.offset);
  else if (!attr_is_conforming (desc_attr (&code)) && attr_dpl (desc_attr (&code)) < vm_x86_cpl (env))
    call_inner (env, &gate, &code, return_rip);
  else if (gate.size == 8 && !(env->mode & VM_MODE_CS64))
    {
      /* From compatibility mode at the same level the pushes already use the 64-bit stack. */
      Stack st;

      sys_stack_new (env, &st, &env->seg[VM_SS], env->gpr[VM_RSP], vm_x86_cpl (env));
      sys_check_target (env, &code, gate.offset);
      sys_stack_push (&st, env->seg[VM_CS].selector, 8);
      sys_stack_push (&st, return_rip, 8);
      sys_mark_accessed (env, &code);
      sys_stack_commit (&st);
      sys_set_cs (env, gate.selector, &code, vm_x86_cpl (env));
      env->rip = gate.offset;
      vm_x86_update_mode (env);
    }
  else
    call_same (env, gate.selector, &code, gate.offset, gate.size, return_rip);
}

static void
far_transfer (VmX86Env *env, uint16_t selector, uint64_t offset, unsigned size, bool is_call,
              uint64_t return_rip)
{
  uint16_t attr;
  unsigned type;
  Desc d;

  if (is_real_or_vm86 (env))
    {
      real_far (env, selector, offset, size, is_call, return_rip);
      return;
    }
  if (vm_log_enabled (VM_LOG_PCALL))
    vm_tcg_log_far (env, is_call ? "far call to" : "far jump to", selector, offset);
  if (is_null (selector))
    sys_raise_zero (env, VM_EXC_GP);
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  attr = desc_attr (&d);
  if (attr & VM_SEG_S)
    {
      check_code_target (env, selector, &d, selector & 3, false, is_call);
      if (is_call)
        call_same (env, selector, &d, offset, size, return_rip);
      else
        jump_same (env, selector, &d, offset);
      return;
    }
  type = attr & 15;
  if (attr_dpl (attr) < vm_x86_cpl (env) || attr_dpl (attr) < (selector & 3u))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (env->efer & VM_EFER_LMA ? type != SYS_CALL32
                              : type != SYS_CALL16 && type != SYS_CALL32 && type != SYS_TASK &&
                                  type != SYS_TSS16 && type != SYS_TSS32)
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
  if (type == SYS_TASK)
    sys_task_gate (env, &d, is_call ? TASK_CALL : TASK_JUMP, return_rip);
  else if (type == SYS_TSS16 || type == SYS_TSS32)
    sys_switch_task (env, selector, &d, is_call ? TASK_CALL : TASK_JUMP, return_rip);
  else
    through_gate (env, selector, &d, is_call, return_rip);
}

static uint64_t
next_rip (const VmX86Env *env, const VmInsn *insn)
{
  uint64_t rip = env->rip + insn->len;

  return env->mode & VM_MODE_CS64 ? rip : (uint32_t) rip;
}

static void
far_memory (VmX86Env *env, const VmInsn *insn, bool is_call)
{
  uint64_t linear = vm_insn_linear (env, insn, insn->opsize + 2, VM_ACCESS_READ);
  unsigned ctx = vm_tlb_context (env);
  uint64_t offset = vm_mmu_load (env, linear, insn->opsize, ctx);
  uint16_t selector = vm_mmu_load (env, linear + insn->opsize, 2, ctx);

  far_transfer (env, selector, offset, insn->opsize, is_call, next_rip (env, insn));
}

void
vm_op_callf (VmX86Env *env, const VmInsn *insn)
{
  far_transfer (env, insn->imm2, insn->imm & size_mask (insn->opsize), insn->opsize, true,
                next_rip (env, insn));
}

void
vm_op_jmpf (VmX86Env *env, const VmInsn *insn)
{
  far_transfer (env, insn->imm2, insn->imm & size_mask (insn->opsize), insn->opsize, false,
                next_rip (env, insn));
}

void
vm_op_callf_mem (VmX86Env *env, const VmInsn *insn)
{
  far_memory (env, insn, true);
}

void
vm_op_jmpf_mem (VmX86Env *env, const VmInsn *insn)
{
  far_memory (env, insn, false);
}

/* --- returns ----------------------------------------------------------------------------------- */

/* The code segment that a RETF or IRET returns to. */
static void
read_return_code (VmX86Env *env, uint16_t selector, Desc *d)
{
  uint16_t attr;

  if (is_null (selector))
    sys_raise_zero (env, VM_EXC_GP);
  sys_read_desc (env, selector, VM_EXC_GP, d);
  attr = desc_attr (d);
  if (!attr_is_code (attr) || (selector & 3u) < vm_x86_cpl (env) ||
      (attr_is_conforming (attr) ? attr_dpl (attr) > (selector & 3u) : attr_dpl (attr) != (selector & 3u)) ||
      ((env->efer & VM_EFER_LMA) && (attr & VM_SEG_L) && (attr & VM_SEG_DB)))
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, selector);
}

/* The stack segment that an outward (or 64-bit) return loads. */
static void
read_return_stack (VmX86Env *env, uint16_t selector, unsigned new_cpl, bool to_64, VmX86Seg *ss)
{
  uint16_t attr;
  Desc d;

  if (is_null (selector))
    {
      if (!to_64 || new_cpl == 3 || (selector & 3u) != new_cpl)
        sys_raise_zero (env, VM_EXC_GP);
      *ss = (VmX86Seg) { .selector = selector, .attr = new_cpl << VM_SEG_DPL_SHIFT };
      return;
    }
  sys_read_desc (env, selector, VM_EXC_GP, &d);
  attr = desc_attr (&d);
  if ((selector & 3u) != new_cpl || !attr_is_writable_data (attr) || attr_dpl (attr) != new_cpl)
    sys_raise_selector (env, VM_EXC_GP, selector);
  if (!(attr & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_SS, selector);
  sys_mark_accessed (env, &d);
  sys_set_seg (ss, selector, &d);
}

/* Data segments too privileged for the new CPL become null. */
static void
drop_privileged_segments (VmX86Env *env, unsigned cpl)
{
  static const uint8_t segs[4] = { VM_ES, VM_DS, VM_FS, VM_GS };

  for (unsigned i = 0; i < 4; i++)
    {
      VmX86Seg *s = &env->seg[segs[i]];

      if (!attr_is_conforming (s->attr) && attr_dpl (s->attr) < cpl &&
          ((s->attr & VM_SEG_P) || !is_null (s->selector)))
        {
          s->selector = 0;
          s->attr = 0;
          s->limit = 0; /* the base stays: 64-bit code reaches FS and GS by it */
        }
    }
}

/* The end of RETF and IRET in protected mode; the stack cursor stands after CS (and EFLAGS). */
static void
return_to (VmX86Env *env, Stack *st, uint16_t cs, uint64_t rip, unsigned size, unsigned release, bool pops_ss)
{
  unsigned cpl = vm_x86_cpl (env), new_cpl = cs & 3;
  bool to_64;
  Desc code;

  read_return_code (env, cs, &code);
  to_64 = (env->efer & VM_EFER_LMA) && (desc_attr (&code) & VM_SEG_L);
  st->sp = (st->sp & ~st->mask) | ((st->sp + release) & st->mask);
  if (new_cpl == cpl && !pops_ss)
    {
      sys_check_target (env, &code, rip);
      sys_mark_accessed (env, &code);
      sys_stack_commit (st);
    }
  else
    {
      uint64_t sp = sys_stack_pop (st, size);
      uint16_t selector = sys_stack_pop (st, size);
      VmX86Seg ss;

      read_return_stack (env, selector, new_cpl, to_64, &ss);
      sys_check_target (env, &code, rip);
      sys_mark_accessed (env, &code);
      env->seg[VM_SS] = ss;
      if (to_64)
        env->gpr[VM_RSP] = sp + release;
      else if (ss.attr & VM_SEG_DB)
        env->gpr[VM_RSP] = (uint32_t) (sp + release);
      else
        env->gpr[VM_RSP] = (env->gpr[VM_RSP] & ~UINT64_C (0xffff)) | ((sp + release) & 0xffff);
    }
  sys_set_seg (&env->seg[VM_CS], cs, &code);
  env->rip = rip;
  if (new_cpl != cpl)
    drop_privileged_segments (env, new_cpl);
  vm_x86_update_mode (env);
}

void
vm_op_retf (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize, release = insn->opcode == 0xca ? (uint16_t) insn->imm : 0;
  uint64_t rip;
  uint16_t cs;
  Stack st;

  sys_stack_current (env, &st);
  rip = sys_stack_pop (&st, size);
  cs = sys_stack_pop (&st, size);
  if (vm_log_enabled (VM_LOG_PCALL))
    vm_tcg_log_far (env, "far return to", cs, rip);
  if (is_real_or_vm86 (env))
    {
      if (rip > env->seg[VM_CS].limit)
        vm_x86_raise_error (env, VM_EXC_GP, 0);
      st.sp = (st.sp & ~st.mask) | ((st.sp + release) & st.mask);
      sys_stack_commit (&st);
      sys_set_seg_real (env, VM_CS, cs);
      env->rip = rip;
      vm_x86_update_mode (env);
      return;
    }
  return_to (env, &st, cs, rip, size, release, false);
}

static void
iret_real (VmX86Env *env, unsigned size)
{
  uint32_t mask = VM_ARITH_FLAGS | VM_TF | VM_IF | VM_DF | VM_IOPL | VM_NT;
  uint64_t rip, flags;
  uint16_t cs;
  Stack st;

  sys_stack_current (env, &st);
  rip = sys_stack_pop (&st, size);
  cs = sys_stack_pop (&st, size);
  flags = sys_stack_pop (&st, size);
  if (size > 2)
    mask |= VM_RF | VM_AC | VM_ID | (is_real (env) ? VM_VIF | VM_VIP : 0);
  if (env->eflags & VM_VM)
    {
      mask &= ~VM_IOPL;
      if (iopl (env) < 3)
        {
          if (!(env->cr4 & VM_CR4_VME) || size != 2 ||
              ((env->eflags & VM_VIP) && (flags & VM_IF)) || (flags & VM_TF))
            vm_x86_raise_error (env, VM_EXC_GP, 0);
          flags |= flags & VM_IF ? VM_VIF : 0;
          mask = (mask & ~VM_IF) | VM_VIF;
        }
    }
  if (rip > env->seg[VM_CS].limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  sys_stack_commit (&st);
  sys_set_seg_real (env, VM_CS, cs);
  env->rip = rip;
  vm_sys_write_eflags (env, flags, mask);
}

static void
iret_to_vm86 (VmX86Env *env, Stack *st, uint16_t cs, uint64_t rip, uint64_t flags)
{
  static const uint8_t order[] = { VM_ES, VM_DS, VM_FS, VM_GS };
  uint64_t sp = sys_stack_pop (st, 4);
  uint16_t ss = sys_stack_pop (st, 4), selectors[4];

  for (unsigned i = 0; i < 4; i++)
    selectors[i] = sys_stack_pop (st, 4);
  if (rip > 0xffff)
    sys_raise_zero (env, VM_EXC_GP);
  env->eflags = (flags & 0x3f7fd5) | 2;
  sys_set_seg_real (env, VM_CS, cs);
  sys_set_seg_real (env, VM_SS, ss);
  for (unsigned i = 0; i < 4; i++)
    sys_set_seg_real (env, order[i], selectors[i]);
  env->gpr[VM_RSP] = (uint32_t) sp;
  env->rip = rip;
  vm_x86_update_mode (env);
}

static void
iret_task (VmX86Env *env, const VmInsn *insn)
{
  uint16_t link;
  Desc d;

  if (env->efer & VM_EFER_LMA)
    sys_raise_zero (env, VM_EXC_GP);
  link = sys_load (env, env->tr.base, 2);
  if (link & 4)
    sys_raise_selector (env, VM_EXC_TS, link);
  sys_read_desc (env, link, VM_EXC_TS, &d);
  if ((desc_attr (&d) & (VM_SEG_S | 15)) != SYS_TSS16_BUSY && (desc_attr (&d) & (VM_SEG_S | 15)) != SYS_TSS32_BUSY)
    sys_raise_selector (env, VM_EXC_TS, link);
  if (!(desc_attr (&d) & VM_SEG_P))
    sys_raise_selector (env, VM_EXC_NP, link);
  sys_switch_task (env, link, &d, TASK_IRET, next_rip (env, insn));
}

static void
iret_protected (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize, cpl = vm_x86_cpl (env);
  uint32_t mask = VM_ARITH_FLAGS | VM_TF | VM_DF | VM_NT;
  uint64_t rip, flags;
  uint16_t cs;
  Stack st;

  if (env->eflags & VM_NT)
    {
      iret_task (env, insn);
      return;
    }
  sys_stack_current (env, &st);
  rip = sys_stack_pop (&st, size);
  cs = sys_stack_pop (&st, size);
  flags = sys_stack_pop (&st, size);
  if (size > 2)
    mask |= VM_RF | VM_AC | VM_ID;
  if (cpl <= iopl (env))
    mask |= VM_IF;
  if (cpl == 0)
    mask |= VM_IOPL | (size > 2 ? VM_VIF | VM_VIP : 0);
  if (size == 4 && (flags & VM_VM) && cpl == 0 && !(env->efer & VM_EFER_LMA))
    {
      iret_to_vm86 (env, &st, cs, rip, flags);
      return;
    }
  return_to (env, &st, cs, rip, size, 0, (env->mode & VM_MODE_CS64) != 0);
  vm_sys_write_eflags (env, flags, mask);
}

void
vm_op_iret (VmX86Env *env, const VmInsn *insn)
{
  if (vm_log_enabled (VM_LOG_PCALL))
    vm_tcg_log_far (env, "iret from", env->seg[VM_CS].selector, env->rip);
  if (is_real_or_vm86 (env))
    iret_real (env, insn->opsize);
  else
    iret_protected (env, insn);
  env->nmi_blocked = false;
}

/* --- fast system calls ------------------------------------------------------------------------- */

static void
set_flat (VmX86Seg *s, uint16_t selector, uint16_t attr)
{
  s->selector = selector;
  s->base = 0;
  s->limit = UINT32_MAX;
  s->attr = VM_SEG_G | VM_SEG_P | VM_SEG_S | VM_SEG_ACCESSED | VM_SEG_RW | attr;
}

/* SYSCALL and SYSRET trap by the TF they leave with, not the one they began with (APM volume 2, 13.1.4). */
static void
trap_if_stepping (VmX86Env *env)
{
  if (env->eflags & VM_TF)
    vm_sys_single_step_trap (env);
}

void
vm_op_syscall (VmX86Env *env, const VmInsn *insn)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint16_t selector = env->star >> 32;
  uint64_t next = next_rip (env, insn);

  if (!(env->efer & VM_EFER_SCE) || !(env->mode & VM_MODE_PE) ||
      (!(env->mode & VM_MODE_CS64) && vm_x86_is_intel (vm_x86_cpu (env))))
    vm_x86_raise (env, VM_EXC_UD);
  set_flat (&env->seg[VM_CS], selector & 0xfffc, VM_SEG_CODE | (is_long ? VM_SEG_L : VM_SEG_DB));
  set_flat (&env->seg[VM_SS], (selector & 0xfffc) + 8, VM_SEG_DB);
  env->gpr[VM_RCX] = next;
  if (is_long)
    {
      bool from_64 = (env->mode & VM_MODE_CS64) != 0;

      env->gpr[11] = env->eflags & ~(uint64_t) VM_RF;
      env->rip = from_64 ? env->lstar : env->cstar;
      env->eflags = (env->eflags & ~env->sfmask & ~(uint64_t) VM_RF) | 2;
    }
  else
    {
      env->rip = (uint32_t) env->star;
      env->eflags &= ~(uint64_t) (VM_IF | VM_RF | VM_VM);
    }
  vm_x86_update_mode (env);
  trap_if_stepping (env);
}

void
vm_op_sysret (VmX86Env *env, const VmInsn *insn)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0, is_intel = vm_x86_is_intel (vm_x86_cpu (env));
  uint16_t selector = env->star >> 48;
  bool to_64 = insn->opsize == 8;

  if (!(env->efer & VM_EFER_SCE) || !(env->mode & VM_MODE_PE) || (is_intel && !(env->mode & VM_MODE_CS64)))
    vm_x86_raise (env, VM_EXC_UD);
  if (vm_x86_cpl (env) != 0)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (to_64 && !is_canonical (env, env->gpr[VM_RCX]) && is_intel)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (to_64)
    set_flat (&env->seg[VM_CS], (selector + 16) | 3, VM_SEG_CODE | VM_SEG_DPL | VM_SEG_L);
  else
    set_flat (&env->seg[VM_CS], selector | 3, VM_SEG_CODE | VM_SEG_DPL | VM_SEG_DB);
  if (is_intel)
    set_flat (&env->seg[VM_SS], (selector + 8) | 3, VM_SEG_DPL | VM_SEG_DB);
  else
    {
      /* AMD loads the selector only, and the privilege. */
      env->seg[VM_SS].selector = (selector + 8) | 3;
      env->seg[VM_SS].attr |= VM_SEG_DPL;
      if (!(env->seg[VM_SS].attr & VM_SEG_P))
        set_flat (&env->seg[VM_SS], (selector + 8) | 3, VM_SEG_DPL | VM_SEG_DB);
    }
  env->rip = to_64 ? env->gpr[VM_RCX] : (uint32_t) env->gpr[VM_RCX];
  if (is_long)
    env->eflags = (env->gpr[11] & 0x3c7fd7 & ~(uint64_t) (VM_RF | VM_VM)) | 2;
  else
    env->eflags |= VM_IF;
  vm_x86_update_mode (env);
  trap_if_stepping (env);
}

void
vm_op_sysenter (VmX86Env *env, const VmInsn *insn)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint16_t selector = env->sysenter_cs & 0xfffc;

  (void) insn;
  if (!(env->mode & VM_MODE_PE) || selector == 0)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (is_long && !vm_x86_is_intel (vm_x86_cpu (env)))
    vm_x86_raise (env, VM_EXC_UD);
  env->eflags &= ~(uint64_t) (VM_VM | VM_IF | VM_RF);
  set_flat (&env->seg[VM_CS], selector, VM_SEG_CODE | (is_long ? VM_SEG_L : VM_SEG_DB));
  set_flat (&env->seg[VM_SS], selector + 8, VM_SEG_DB);
  env->gpr[VM_RSP] = is_long ? env->sysenter_esp : (uint32_t) env->sysenter_esp;
  env->rip = is_long ? env->sysenter_eip : (uint32_t) env->sysenter_eip;
  vm_x86_update_mode (env);
}

void
vm_op_sysexit (VmX86Env *env, const VmInsn *insn)
{
  bool is_long = (env->efer & VM_EFER_LMA) != 0;
  uint16_t selector = env->sysenter_cs & 0xfffc;
  bool to_64 = insn->opsize == 8;

  if (!(env->mode & VM_MODE_PE) || selector == 0 || vm_x86_cpl (env) != 0)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (is_long && !vm_x86_is_intel (vm_x86_cpu (env)))
    vm_x86_raise (env, VM_EXC_UD);
  if (to_64 && (!is_canonical (env, env->gpr[VM_RCX]) || !is_canonical (env, env->gpr[VM_RDX])))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  set_flat (&env->seg[VM_CS], (selector + (to_64 ? 32 : 16)) | 3,
            VM_SEG_CODE | VM_SEG_DPL | (to_64 ? VM_SEG_L : VM_SEG_DB));
  set_flat (&env->seg[VM_SS], (selector + (to_64 ? 40 : 24)) | 3, VM_SEG_DPL | VM_SEG_DB);
  env->gpr[VM_RSP] = to_64 ? env->gpr[VM_RCX] : (uint32_t) env->gpr[VM_RCX];
  env->rip = to_64 ? env->gpr[VM_RDX] : (uint32_t) env->gpr[VM_RDX];
  vm_x86_update_mode (env);
}

void
vm_op_swapgs (VmX86Env *env, const VmInsn *insn)
{
  uint64_t base = env->seg[VM_GS].base;

  (void) insn;
  env->seg[VM_GS].base = env->kernel_gs_base;
  env->kernel_gs_base = base;
}
