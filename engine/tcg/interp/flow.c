/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stack, near control transfers and software interrupts. */
#include "config.h"

#include "engine/tcg/interp/interp-private.h"

/* --- stack ------------------------------------------------------------------------------------- */

static unsigned
stack_size (const VmX86Env *env)
{
  return env->mode & VM_MODE_CS64 ? 8 : env->mode & VM_MODE_SS32 ? 4 : 2;
}

/* Linear address of SIZE bytes of stack at pointer SP. */
static uint64_t
stack_linear (VmX86Env *env, uint64_t sp, unsigned size, unsigned access)
{
  uint64_t linear = vm_seg_linear (env, VM_SS, sp & size_mask (stack_size (env)), size, access);

  if (G_UNLIKELY (env->mode & VM_MODE_AC_CHECK) && (linear & (size - 1)))
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  return linear;
}

static uint64_t
stack_load (VmX86Env *env, uint64_t sp, unsigned size)
{
  return vm_mmu_load (env, stack_linear (env, sp, size, VM_ACCESS_READ), size, vm_tlb_context (env));
}

static void
stack_store (VmX86Env *env, uint64_t sp, uint64_t v, unsigned size)
{
  vm_mmu_store (env, stack_linear (env, sp, size, VM_ACCESS_WRITE), v, size, vm_tlb_context (env));
}

void
vm_op_push (VmX86Env *env, const VmInsn *insn)
{
  vm_push (env, operand_read (env, insn, &row_of (insn)->operand[0], insn->opsize), insn->opsize);
}

void
vm_op_pop (VmX86Env *env, const VmInsn *insn)
{
  const VmOperandSpec *o = &row_of (insn)->operand[0];
  unsigned size = insn->opsize;
  uint64_t old = env->gpr[VM_RSP], sp = vm_stack_pointer (env), v = stack_load (env, sp, size);

  if (!operand_is_memory (insn, o))
    {
      vm_set_stack_pointer (env, sp + size);
      gpr_write (env, insn, operand_register (insn, o), v, size);
      return;
    }
  /* An address based on the stack pointer counts from its new value. */
  vm_set_stack_pointer (env, sp + size);
  {
    uint64_t offset = vm_insn_offset (env, insn), linear;

    env->gpr[VM_RSP] = old;
    linear = vm_seg_linear (env, insn->seg, offset, size, VM_ACCESS_WRITE);
    if ((env->mode & VM_MODE_AC_CHECK) && (linear & (size - 1)))
      vm_x86_raise_error (env, VM_EXC_AC, 0);
    vm_mmu_store (env, linear, v, size, vm_tlb_context (env));
  }
  vm_set_stack_pointer (env, sp + size);
}

void
vm_op_pusha (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize, ctx = vm_tlb_context (env);
  uint64_t sp = vm_stack_pointer (env), linear[8];

  for (unsigned i = 0; i < 8; i++)
    {
      linear[i] = stack_linear (env, sp - (i + 1) * size, size, VM_ACCESS_WRITE);
      vm_mmu_probe_write (env, linear[i], size, ctx);
    }
  for (unsigned i = 0; i < 8; i++)
    vm_mmu_store (env, linear[i], env->gpr[i] & size_mask (size), size, ctx);
  vm_set_stack_pointer (env, sp - 8 * size);
}

void
vm_op_popa (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  uint64_t sp = vm_stack_pointer (env), v[8];

  for (unsigned i = 0; i < 8; i++)
    v[i] = stack_load (env, sp + i * size, size);
  for (unsigned i = 0; i < 8; i++)
    if (7 - i != VM_RSP)
      gpr_write (env, insn, 7 - i, v[i], size);
  vm_set_stack_pointer (env, sp + 8 * size);
}

void
vm_op_enter (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize, level = insn->imm2 & 31;
  uint64_t sp = vm_stack_pointer (env), bp = env->gpr[VM_RBP], frame;

  sp -= size;
  stack_store (env, sp, bp & size_mask (size), size);
  /* Of a 16-bit stack pointer's register the upper half comes along. */
  frame = (env->gpr[VM_RSP] & ~size_mask (stack_size (env))) | (sp & size_mask (stack_size (env)));
  for (unsigned i = 1; i < level; i++)
    {
      bp -= size;
      sp -= size;
      stack_store (env, sp, stack_load (env, bp, size), size);
    }
  if (level)
    {
      sp -= size;
      stack_store (env, sp, frame & size_mask (size), size);
    }
  sp -= insn->imm;
  /* The new top of the stack must be writable. */
  vm_mmu_probe_write (env, stack_linear (env, sp, size, VM_ACCESS_WRITE), size, vm_tlb_context (env));
  gpr_write (env, insn, VM_RBP, frame, size);
  vm_set_stack_pointer (env, sp);
}

void
vm_op_leave (VmX86Env *env, const VmInsn *insn)
{
  uint64_t sp = env->gpr[VM_RBP] & size_mask (stack_size (env)), v = stack_load (env, sp, insn->opsize);

  vm_set_stack_pointer (env, sp + insn->opsize);
  gpr_write (env, insn, VM_RBP, v, insn->opsize);
}

void
vm_op_pushf (VmX86Env *env, const VmInsn *insn)
{
  vm_push (env, vm_sys_pushf_image (env, insn->opsize), insn->opsize);
}

void
vm_op_popf (VmX86Env *env, const VmInsn *insn)
{
  uint64_t sp = vm_stack_pointer (env), v = stack_load (env, sp, insn->opsize);

  vm_sys_popf_image (env, v, insn->opsize);
  vm_set_stack_pointer (env, sp + insn->opsize);
}

/* --- near transfers ------------------------------------------------------------------------------ */

/* TARGET under operand SIZE, checked against the code segment. */
static uint64_t
check_target (VmX86Env *env, uint64_t target, unsigned size)
{
  unsigned top = env->cr4 & VM_CR4_LA57 ? 56 : 47;

  target &= size_mask (size);
  if (env->mode & VM_MODE_CS64)
    {
      if (((int64_t) (target << (63 - top)) >> (63 - top)) != (int64_t) target)
        vm_x86_raise_error (env, VM_EXC_GP, 0);
    }
  else if (target > env->seg[VM_CS].limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  return target;
}

static void
branch (VmX86Env *env, const VmInsn *insn)
{
  env->rip = check_target (env, env->rip + insn->len + insn->imm, insn->opsize);
}

void
vm_op_jmp (VmX86Env *env, const VmInsn *insn)
{
  branch (env, insn);
}

void
vm_op_jmp_ind (VmX86Env *env, const VmInsn *insn)
{
  env->rip = check_target (env, operand_read (env, insn, &row_of (insn)->operand[0], insn->opsize), insn->opsize);
}

void
vm_op_jcc (VmX86Env *env, const VmInsn *insn)
{
  if (vm_interp_condition (env->eflags, insn->opcode & 15))
    branch (env, insn);
  else
    env->rip = next_rip (env, insn);
}

static void
call (VmX86Env *env, const VmInsn *insn, uint64_t target)
{
  target = check_target (env, target, insn->opsize);
  vm_push (env, next_rip (env, insn), insn->opsize);
  env->rip = target;
}

void
vm_op_call (VmX86Env *env, const VmInsn *insn)
{
  call (env, insn, env->rip + insn->len + insn->imm);
}

void
vm_op_call_ind (VmX86Env *env, const VmInsn *insn)
{
  call (env, insn, operand_read (env, insn, &row_of (insn)->operand[0], insn->opsize));
}

void
vm_op_ret (VmX86Env *env, const VmInsn *insn)
{
  uint64_t sp = vm_stack_pointer (env);
  uint64_t target = check_target (env, stack_load (env, sp, insn->opsize), insn->opsize);

  vm_set_stack_pointer (env, sp + insn->opsize + (row_of (insn)->n_operands ? insn->imm : 0));
  env->rip = target;
}

static void
loop (VmX86Env *env, const VmInsn *insn, bool condition)
{
  uint64_t count = (env->gpr[VM_RCX] - 1) & size_mask (insn->addrsize);
  uint64_t target = next_rip (env, insn);

  if (count && condition)
    target = check_target (env, env->rip + insn->len + insn->imm, insn->opsize);
  gpr_write_address (env, VM_RCX, count, insn->addrsize);
  env->rip = target;
}

void
vm_op_loop (VmX86Env *env, const VmInsn *insn)
{
  loop (env, insn, true);
}

void
vm_op_loope (VmX86Env *env, const VmInsn *insn)
{
  loop (env, insn, env->eflags & VM_ZF);
}

void
vm_op_loopne (VmX86Env *env, const VmInsn *insn)
{
  loop (env, insn, !(env->eflags & VM_ZF));
}

void
vm_op_jcxz (VmX86Env *env, const VmInsn *insn)
{
  if (env->gpr[VM_RCX] & size_mask (insn->addrsize))
    env->rip = next_rip (env, insn);
  else
    branch (env, insn);
}

/* --- interrupts -------------------------------------------------------------------------------- */

void
vm_op_int (VmX86Env *env, const VmInsn *insn)
{
  vm_sys_int_n (env, insn->imm, next_rip (env, insn));
}

void
vm_op_int3 (VmX86Env *env, const VmInsn *insn)
{
  vm_sys_deliver (env, VM_EVENT_SOFT_INT, VM_EXC_BP, 0, next_rip (env, insn));
}

void
vm_op_into (VmX86Env *env, const VmInsn *insn)
{
  if (env->eflags & VM_OF)
    vm_sys_deliver (env, VM_EVENT_SOFT_INT, VM_EXC_OF, 0, next_rip (env, insn));
  else
    env->rip = next_rip (env, insn);
}

void
vm_op_int1 (VmX86Env *env, const VmInsn *insn)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);

  /* a data breakpoint that waited after MOV SS is told by the same exception */
  env->dr[6] |= tcg->watch_hit;
  tcg->watch_hit = 0;
  vm_sys_deliver (env, VM_EVENT_ICEBP, VM_EXC_DB, 0, next_rip (env, insn));
}

static int64_t
bound_at (VmX86Env *env, const VmInsn *insn, unsigned at)
{
  uint64_t offset = (vm_insn_offset (env, insn) + at) & size_mask (insn->addrsize);
  uint64_t linear = vm_seg_linear (env, insn->seg, offset, insn->opsize, VM_ACCESS_READ);

  if ((env->mode & VM_MODE_AC_CHECK) && (linear & (insn->opsize - 1)))
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  return sign_extend (vm_mmu_load (env, linear, insn->opsize, vm_tlb_context (env)), insn->opsize);
}

void
vm_op_bound (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = insn->opsize;
  int64_t index = sign_extend (gpr_read (env, insn, insn->reg, size), size);
  int64_t lower = bound_at (env, insn, 0), upper = bound_at (env, insn, size);

  if (index < lower || index > upper)
    vm_x86_raise (env, VM_EXC_BR);
}
