/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vector and MMX instructions by the host's own: memory operands through a buffer, SIMD floating-point
 * exceptions from the flags the masked host instruction leaves (Intel SDM vol. 1, sections 9.5 and 11.5). */
#include "config.h"

#include "engine/tcg/fpu/fpu-private.h"
#include "engine/x86/xsave.h"

unsigned
vm_fpu_operand_size (const VmInsn *insn, const VmOperandSpec *spec)
{
  unsigned vector = insn->flags & VM_INSN_VEX_L ? 32 : 16;

  switch (spec->size)
    {
    case VM_SIZE_B:
      return 1;
    case VM_SIZE_W:
      return 2;
    case VM_SIZE_D: case VM_SIZE_SS:
      return 4;
    case VM_SIZE_Q: case VM_SIZE_SD:
      return 8;
    case VM_SIZE_Y:
      return insn->opsize == 8 ? 8 : 4;
    case VM_SIZE_T:
      return 10;
    case VM_SIZE_DQ:
      return 16;
    case VM_SIZE_QQ:
      return 32;
    case VM_SIZE_H:
      return vector / 2;
    case VM_SIZE_F:
      return vector / 4;
    case VM_SIZE_E:
      return vector / 8;
    default:
      return vector;
    }
}

uint64_t
vm_fpu_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned access)
{
  uint64_t linear = vm_insn_linear (env, insn, len, access);

  if (vm_insn_rows[insn->row].attrs & VM_ATTR_ALIGN && linear & (len - 1))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  /* Ten bytes count as eight. */
  if (len == 10 && env->mode & VM_MODE_AC_CHECK && linear & 7)
    vm_x86_raise_error (env, VM_EXC_AC, 0);
  return linear;
}

/* What the operands of an instruction need. */
typedef struct Plan {
  const VmOperandSpec *mem;
  bool    mmx;            /* MMX registers take part */
  bool    to_mmx;         /* the x87 state becomes an MMX one */
  bool    vector;
  uint8_t gpr;            /* general register operand: env->gpr number or VM_REG_NONE */
  bool    gpr_written;
  uint8_t mm_written;     /* MMX register or VM_REG_NONE */
} Plan;

static void
plan_gpr (Plan *plan, uint8_t number, const VmOperandSpec *spec, uint8_t *host)
{
  plan->gpr = number;
  plan->gpr_written = spec->access & 2;
  *host = 0;
}

static Plan
plan_operands (const VmInsn *insn, const VmInsnRow *row, VmHostOperands *ops)
{
  Plan plan = { .gpr = VM_REG_NONE, .mm_written = VM_REG_NONE };

  for (unsigned i = 0; i < row->n_operands; i++)
    {
      const VmOperandSpec *spec = &row->operand[i];
      bool in_memory = insn->flags & VM_INSN_MEM;

      switch (spec->kind)
        {
        case VM_OPND_E: case VM_OPND_R: case VM_OPND_M: case VM_OPND_W: case VM_OPND_Q: case VM_OPND_U:
        case VM_OPND_N:
          if (in_memory)
            plan.mem = spec;
          else if (spec->kind == VM_OPND_E || spec->kind == VM_OPND_R)
            plan_gpr (&plan, insn->rm, spec, &ops->rm);
          else if (spec->kind == VM_OPND_Q || spec->kind == VM_OPND_N)
            plan.mm_written = spec->access & 2 ? insn->rm & 7 : plan.mm_written;
          break;
        case VM_OPND_G:
          plan_gpr (&plan, insn->reg, spec, &ops->reg);
          break;
        case VM_OPND_P:
          plan.mm_written = spec->access & 2 ? insn->reg & 7 : plan.mm_written;
          break;
        default:
          break;
        }
      plan.mmx |= spec->kind == VM_OPND_P || spec->kind == VM_OPND_Q || spec->kind == VM_OPND_N;
      plan.vector |= spec->kind == VM_OPND_V || spec->kind == VM_OPND_W || spec->kind == VM_OPND_U;
    }
  /* CVTPI2PS and CVTPI2PD from memory touch no MMX register. */
  plan.to_mmx = plan.mmx && !(plan.vector && insn->flags & VM_INSN_MEM && plan.mm_written == VM_REG_NONE);
  return plan;
}

/* MMX registers are the significands of the physical x87 registers; the image holds these in stack order. */
void
vm_fpu_load_mmx (const VmX86Env *env, uint64_t mm[8])
{
  unsigned top = fpu_top (env);

  for (unsigned i = 0; i < 8; i++)
    mm[i] = vm_load_le64 (env->fx.st[(i - top) & 7]);
}

void
vm_fpu_commit_mmx (VmX86Env *env, const uint64_t mm[8], uint8_t written)
{
  vm_x87_set_top (&env->fx, 0);
  for (unsigned i = 0; i < 8; i++)
    vm_store_le64 (env->fx.st[i], mm[i]);
  if (written != VM_REG_NONE)
    vm_store_le16 (env->fx.st[written] + 8, 0xffff);
  env->fx.ftw = 0xff;
}

G_NORETURN static void
raise_simd (VmX86Env *env, bool to_mmx, uint32_t flags)
{
  uint64_t mm[8];

  if (to_mmx)
    {
      vm_fpu_load_mmx (env, mm);
      vm_fpu_commit_mmx (env, mm, VM_REG_NONE);
    }
  env->fx.mxcsr |= flags;
  vm_x86_raise (env, env->cr4 & VM_CR4_OSXMMEXCPT ? VM_EXC_XM : VM_EXC_UD);
}

static void
run_vector (VmFpuCall *call)
{
  if (__builtin_cpu_supports ("avx"))
    vm_fpu_run_vector (call);
  else
    vm_fpu_run_sse (call);
}

/* VCVTPS2PH ignores flush-to-zero: whether a result of it is tiny can only be read off the result. */
static bool
has_tiny_half (const uint8_t *halves, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    {
      uint16_t half = vm_load_le16 (halves + 2 * i);

      if (half & 0x3ff && !(half & 0x7c00))
        return true;
    }
  return false;
}

/* With some exception unmasked: runs on copies, then decides. Exceptions that are found before computing
 * (invalid, denormal, divide by zero), when unmasked, keep those found after it from being noticed; unmasked
 * underflow is noticed for exact tiny results too, which flush-to-zero shows. */
static void
run_unmasked (VmX86Env *env, const VmInsn *insn, VmFpuCall *call, void (*run) (VmFpuCall *), unsigned mem_len,
              bool to_mmx)
{
  enum { PRE = 7 };
  VmX86Vec ymm[16];
  uint8_t saved[64];
  VmFpuCall first = *call;
  uint32_t guest = call->mxcsr, enabled = ~(guest >> MXCSR_MASK_SHIFT) & MXCSR_EXCEPTIONS, raised, hit;

  memcpy (saved, call->mem, mem_len);
  memcpy (ymm, env->ymm, sizeof ymm);
  call->ymm = ymm;
  call->mxcsr = (guest | MXCSR_MASKS) & ~MXCSR_EXCEPTIONS;
  run (call);
  raised = call->mxcsr & MXCSR_EXCEPTIONS;
  if (vm_insn_rows[insn->row].op == VM_OP_VCVTPS2PH)
    {
      const void *halves = insn->flags & VM_INSN_MEM ? (const void *) call->mem : &ymm[insn->rm & 15];

      if (enabled & FSW_UE && has_tiny_half (halves, insn->flags & VM_INSN_VEX_L ? 8 : 4))
        raised |= FSW_UE;
    }
  else if (enabled & FSW_UE && !(raised & FSW_UE))
    {
      VmX86Vec scratch[16];
      uint8_t result[64];

      memcpy (result, call->mem, mem_len);
      memcpy (call->mem, saved, mem_len);
      memcpy (scratch, env->ymm, sizeof scratch);
      first.ymm = scratch;
      first.mxcsr = ((guest | MXCSR_MASKS) & ~MXCSR_EXCEPTIONS) | MXCSR_FTZ;
      run (&first);
      raised |= first.mxcsr & FSW_UE;
      memcpy (call->mem, result, mem_len);
    }
  hit = raised & enabled;
  if (hit & PRE)
    raise_simd (env, to_mmx, raised & PRE);
  if (hit)
    raise_simd (env, to_mmx, raised);
  memcpy (env->ymm, ymm, sizeof ymm);
  call->mxcsr = guest | raised;
}

static bool
returns_index (const VmInsnRow *row)
{
  return row->op == VM_OP_PCMPESTRI || row->op == VM_OP_PCMPISTRI || row->op == VM_OP_VPCMPESTRI ||
         row->op == VM_OP_VPCMPISTRI;
}

void
vm_fpu_vector (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  uint8_t bytes[VM_HOST_INSN_MAX], buffer[64] __attribute__ ((aligned (64))) = { 0 };
  VmHostOperands ops;
  uint64_t linear = 0;
  unsigned mem_len = 0;
  Plan plan;
  void (*run) (VmFpuCall *);
  VmFpuCall call = {
    .rax = env->gpr[VM_RAX], .rcx = env->gpr[VM_RCX], .rdx = env->gpr[VM_RDX],
    .mxcsr = env->fx.mxcsr, .mem = buffer, .ymm = env->ymm,
  };

  vm_host_operands_init (&ops, insn);
  plan = plan_operands (insn, row, &ops);
  if (plan.to_mmx)
    {
      vm_fpu_check_pending (env);
      vm_fpu_load_mmx (env, call.mm);
    }
  if (plan.mem)
    {
      mem_len = vm_fpu_operand_size (insn, plan.mem);
      linear = vm_fpu_linear (env, insn, mem_len,
                              plan.mem->access & 2 ? VM_ACCESS_WRITE : VM_ACCESS_READ);
      if (plan.mem->access & 1)
        vm_mmu_load_bytes (env, linear, buffer, mem_len, vm_tlb_context (env));
      ops.base = VM_RSI;
      ops.index = VM_REG_NONE;
      ops.disp = 0;
    }
  if (plan.gpr != VM_REG_NONE)
    call.rax = env->gpr[plan.gpr];
  call.code = vm_fpu_thunk (env, bytes, vm_emit_insn (bytes, insn, &ops));

  run = plan.mmx && !plan.vector ? vm_fpu_run_mmx : plan.mmx ? vm_fpu_run_mmx_sse : run_vector;
  if ((call.mxcsr & MXCSR_MASKS) != MXCSR_MASKS && plan.mem && plan.mem->access & 2)
    vm_mmu_probe_write (env, linear, mem_len, vm_tlb_context (env));
  if ((call.mxcsr & MXCSR_MASKS) != MXCSR_MASKS && plan.vector)
    run_unmasked (env, insn, &call, run, mem_len, plan.to_mmx);
  else
    run (&call);

  if (plan.mem && plan.mem->access & 2)
    vm_mmu_store_bytes (env, linear, buffer, mem_len, vm_tlb_context (env));
  env->fx.mxcsr = call.mxcsr;
  if (plan.to_mmx)
    vm_fpu_commit_mmx (env, call.mm, plan.mm_written);
  if (plan.gpr != VM_REG_NONE && plan.gpr_written)
    env->gpr[plan.gpr] = call.rax;
  if (returns_index (row))
    env->gpr[VM_RCX] = call.rcx;
  if (row->flags_written)
    env->eflags = (env->eflags & ~(uint64_t) row->flags_written) | (call.flags & row->flags_written);
}

/* VZEROUPPER and VZEROALL of the registers that the mode has. */
void
vm_fpu_zero (VmX86Env *env, const VmInsn *insn)
{
  unsigned n = env->mode & VM_MODE_CS64 ? 16 : 8, from = insn->flags & VM_INSN_VEX_L ? 0 : 2;

  for (unsigned i = 0; i < n; i++)
    memset (&env->ymm[i].q[from], 0, sizeof env->ymm[i] - from * 8);
}
