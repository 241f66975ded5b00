/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IN, OUT, INS, OUTS (Intel SDM vol. 1, chapter 19): privilege, the I/O bitmap, the port bus. */
#include "engine/tcg/sys/sys-private.h"

void
sys_check_port (VmX86Env *env, uint16_t port, unsigned size)
{
  uint32_t map, bits;

  if (!(env->mode & VM_MODE_PE) || (!(env->eflags & VM_VM) && vm_x86_cpl (env) <= iopl (env)))
    return;
  if (!(env->tr.attr & VM_SEG_P) || !(env->tr.attr & 8) || env->tr.limit < 103)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  map = sys_load (env, env->tr.base + 0x66, 2);
  map += port / 8;
  /* Two bytes are always read, so the second must lie inside as well. */
  if (map + 1 > env->tr.limit)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  bits = sys_load (env, env->tr.base + map, 2);
  if (bits >> (port % 8) & (VM_BIT (size) - 1))
    vm_x86_raise_error (env, VM_EXC_GP, 0);
}

static VmAddressSpace *
ports (VmX86Env *env)
{
  VmEnv *machine = vm_x86_cpu (env)->parent.parent.env;

  return machine ? machine->io_as : NULL;
}

static uint64_t
port_in (VmX86Env *env, uint16_t port, unsigned size)
{
  VmAddressSpace *as = ports (env);
  uint64_t value;

  if (as == NULL)
    return size_mask (size);
  vm_tcg_leave_guest_fpu (env);
  value = vm_as_load (as, port, size, (VmMemAttrs) { .smm = env->smm }, NULL);
  vm_tlb_safe_point (env);
  return value & size_mask (size);
}

static void
port_out (VmX86Env *env, uint16_t port, uint64_t value, unsigned size)
{
  VmAddressSpace *as = ports (env);

  if (as == NULL)
    return;
  vm_tcg_leave_guest_fpu (env);
  vm_as_store (as, port, value & size_mask (size), size, (VmMemAttrs) { .smm = env->smm });
  vm_tlb_safe_point (env);
}

/* AL, AX or EAX. */
static void
set_accumulator (VmX86Env *env, uint64_t value, unsigned size)
{
  if (size == 4)
    env->gpr[VM_RAX] = value;
  else
    env->gpr[VM_RAX] = (env->gpr[VM_RAX] & ~size_mask (size)) | value;
}

static unsigned
port_size (const VmInsn *insn)
{
  return insn->opcode & 1 ? MIN (insn->opsize, 4) : 1;
}

static uint16_t
port_number (const VmX86Env *env, const VmInsn *insn)
{
  return insn->opcode & 8 ? env->gpr[VM_RDX] & 0xffff : insn->imm & 0xff;
}

void
vm_op_in (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = port_size (insn);
  uint16_t port = port_number (env, insn);

  sys_check_port (env, port, size);
  set_accumulator (env, port_in (env, port, size), size);
}

void
vm_op_out (VmX86Env *env, const VmInsn *insn)
{
  unsigned size = port_size (insn);
  uint16_t port = port_number (env, insn);

  sys_check_port (env, port, size);
  port_out (env, port, env->gpr[VM_RAX], size);
}

/* --- strings ------------------------------------------------------------------------------------------ */

static uint64_t
get_masked (const VmX86Env *env, unsigned reg, uint64_t mask)
{
  return env->gpr[reg] & mask;
}

static void
set_masked (VmX86Env *env, unsigned reg, uint64_t value, uint64_t mask)
{
  env->gpr[reg] = mask == UINT32_MAX ? value & mask : (env->gpr[reg] & ~mask) | (value & mask);
}

static void
advance (VmX86Env *env, unsigned reg, uint64_t mask, unsigned size)
{
  int64_t step = env->eflags & VM_DF ? -(int64_t) size : (int64_t) size;

  set_masked (env, reg, get_masked (env, reg, mask) + step, mask);
}

static void
one_in (VmX86Env *env, const VmInsn *insn, uint64_t mask, unsigned size)
{
  uint64_t linear = vm_seg_linear (env, VM_ES, get_masked (env, VM_RDI, mask), size, VM_ACCESS_WRITE);
  unsigned ctx = vm_tlb_context (env);

  (void) insn;
  /* The port must not be read for nothing. */
  vm_mmu_probe_write (env, linear, size, ctx);
  vm_mmu_store (env, linear, port_in (env, env->gpr[VM_RDX], size), size, ctx);
  advance (env, VM_RDI, mask, size);
}

static void
one_out (VmX86Env *env, const VmInsn *insn, uint64_t mask, unsigned size)
{
  uint64_t linear = vm_seg_linear (env, insn->seg, get_masked (env, VM_RSI, mask), size, VM_ACCESS_READ);

  port_out (env, env->gpr[VM_RDX], vm_mmu_load (env, linear, size, vm_tlb_context (env)), size);
  advance (env, VM_RSI, mask, size);
}

static void
repeat (VmX86Env *env, const VmInsn *insn,
        void (*one) (VmX86Env *env, const VmInsn *insn, uint64_t mask, unsigned size))
{
  unsigned size = port_size (insn);
  uint64_t mask = size_mask (insn->addrsize), next = env->rip + insn->len;

  if (!(env->mode & VM_MODE_CS64))
    next = (uint32_t) next;
  sys_check_port (env, env->gpr[VM_RDX], size);
  if (!(insn->flags & (VM_INSN_REP | VM_INSN_REPNE)))
    {
      one (env, insn, mask, size);
      env->rip = next;
      return;
    }
  while (get_masked (env, VM_RCX, mask) != 0)
    {
      one (env, insn, mask, size);
      set_masked (env, VM_RCX, get_masked (env, VM_RCX, mask) - 1, mask);
      if (get_masked (env, VM_RCX, mask) == 0)
        break;
      /* RIP still is at the instruction: it goes on after whatever wants attention. */
      if (vm_sys_has_event (env) || (env->mode & (VM_MODE_TF | VM_MODE_BP)))
        return;
    }
  env->rip = next;
}

void
vm_op_ins (VmX86Env *env, const VmInsn *insn)
{
  repeat (env, insn, one_in);
}

void
vm_op_outs (VmX86Env *env, const VmInsn *insn)
{
  repeat (env, insn, one_out);
}
