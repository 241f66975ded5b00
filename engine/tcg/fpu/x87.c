/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x87 instructions by the host's own, and the reporting of their errors (Intel SDM vol. 1, chapter 8; vol. 3,
 * section 13.2 and appendix D of vol. 1 for FERR# and IGNNE#). */
#include "config.h"

#include "engine/io/loop.h"
#include "engine/tcg/fpu/fpu-private.h"
#include "engine/x86/xsave.h"

static void
set_ferr (VmX86Env *env, bool level)
{
  VmX86Cpu *cpu = vm_x86_cpu (env);
  VmLock *lock;
  bool taken;

  if (env->ferr == level)
    return;
  env->ferr = level;
  if (!cpu->ferr_irq.func)
    return;
  lock = vm_loop_lock (cpu->parent.parent.env->loop);
  taken = vm_lock_enter (lock);
  vm_irq_set (&cpu->ferr_irq, level);
  vm_lock_leave (lock, taken);
}

void
vm_fpu_update_ferr (VmX86Env *env)
{
  bool error = env->fx.fsw & FSW_ES;

  if (!error)
    env->ignne = false;
  set_ferr (env, error && !(env->cr0 & VM_CR0_NE) && !env->ignne);
}

void
vm_fpu_check_pending (VmX86Env *env)
{
  if (!(env->fx.fsw & FSW_ES))
    return;
  if (env->cr0 & VM_CR0_NE)
    vm_x86_raise (env, VM_EXC_MF);
  vm_fpu_update_ferr (env);
}

static const VmOperandSpec *
memory_operand (const VmInsnRow *row)
{
  for (unsigned i = 0; i < row->n_operands; i++)
    if (row->operand[i].kind == VM_OPND_M)
      return &row->operand[i];
  return NULL;
}

/* Addresses are kept without selectors; where segments are paragraphs, linear ones say more. */
static void
note_pointers (VmX86Env *env, const VmInsn *insn)
{
  bool real = !(env->mode & VM_MODE_PE) || env->mode & VM_MODE_VM;

  env->fx.fop = (insn->opcode & 7) << 8 | insn->modrm;
  env->fx.fip = env->rip + (real ? env->seg[VM_CS].base : 0);
  if (insn->flags & VM_INSN_MEM)
    env->fx.fdp = vm_insn_offset (env, insn) + (real ? env->seg[insn->seg].base : 0);
}

/* The instruction runs with its true masks: an unmasked error makes the host leave operands alone as it
 * should, and nothing there waits for it. Flags are cleared before, to see which are new. */
void
vm_fpu_x87 (VmX86Env *env, const VmInsn *insn)
{
  const VmInsnRow *row = &vm_insn_rows[insn->row];
  const VmOperandSpec *mem = insn->flags & VM_INSN_MEM ? memory_operand (row) : NULL;
  uint8_t bytes[VM_HOST_INSN_MAX], buffer[16] __attribute__ ((aligned (16))) = { 0 };
  uint8_t image[512] __attribute__ ((aligned (64))) = { 0 };
  VmX86Fx *in = &env->fx;
  uint16_t sticky = in->fsw & (FSW_EXCEPTIONS | FSW_SF), fsw;
  uint64_t linear = 0;
  unsigned len = 0;
  VmHostOperands ops;
  VmFpuCall call = {
    .mem = buffer, .image = image, .flags = (env->eflags & VM_ARITH_FLAGS) | 0x202,
  };

  vm_fpu_check_pending (env);
  vm_host_operands_init (&ops, insn);
  if (mem)
    {
      len = vm_fpu_operand_size (insn, mem);
      linear = vm_fpu_linear (env, insn, len, mem->access & 2 ? VM_ACCESS_WRITE : VM_ACCESS_READ);
      if (mem->access & 1)
        vm_mmu_load_bytes (env, linear, buffer, len, vm_tlb_context (env));
      ops.base = VM_RSI;
      ops.index = VM_REG_NONE;
      ops.disp = 0;
    }
  call.code = vm_fpu_thunk (env, bytes, vm_emit_insn (bytes, insn, &ops));
  memcpy (image, in, 8);
  memcpy (image + 32, in->st, sizeof in->st);
  vm_store_le16 (image + 2, in->fsw & ~(sticky | FSW_ES | FSW_B));
  vm_store_le32 (image + 24, MXCSR_DEFAULT);
  vm_fpu_run_x87 (&call);

  fsw = vm_load_le16 (image + 2);
  /* An unmasked error other than precision keeps a store from happening. */
  if (mem && mem->access & 2)
    {
      if (fsw & ~in->fcw & (FSW_IE | FSW_DE | FSW_OE | FSW_UE))
        vm_mmu_probe_write (env, linear, len, vm_tlb_context (env));
      else
        vm_mmu_store_bytes (env, linear, buffer, len, vm_tlb_context (env));
    }
  in->fsw = fsw | sticky;
  in->ftw = image[4];
  memcpy (in->st, image + 32, sizeof in->st);
  vm_x87_update_summary (in);
  note_pointers (env, insn);
  if (row->flags_written)
    env->eflags = (env->eflags & ~(uint64_t) row->flags_written) | (call.flags & row->flags_written);
  vm_fpu_update_ferr (env);
}
