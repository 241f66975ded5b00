/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A processor without the rest of the translator. */
#include "config.h"

#include "engine/io/loop.h"
#include "engine/tcg/decode/ops.h"
#include "engine/tcg/fpu/fpu.h"
#include "engine/tcg/sys/sys.h"
#include "tests/tcg-fpu/fake.h"

#include <setjmp.h>

static uint64_t memory_start, memory_size;

void
fake_set_memory (uint64_t start, uint64_t size)
{
  memory_start = start;
  memory_size = size;
}

VmX86Cpu *
fake_cpu_new (void)
{
  VmX86Cpu *cpu = g_aligned_alloc0 (1, sizeof *cpu, 64);
  VmX86Env *env = &cpu->env;

  env->mode = VM_MODE_CS64 | VM_MODE_LMA | VM_MODE_PE | VM_MODE_CPL | VM_MODE_OSFXSR | VM_MODE_AVX | VM_MODE_PG;
  env->cr0 = VM_CR0_PE | VM_CR0_NE | VM_CR0_MP | VM_CR0_PG;
  env->cr4 = VM_CR4_OSFXSR | VM_CR4_OSXMMEXCPT | VM_CR4_OSXSAVE;
  env->xcr0 = 7;
  env->fx.fcw = 0x37f;
  env->fx.mxcsr = 0x1f80;
  return cpu;
}

void
fake_cpu_free (VmX86Cpu *cpu)
{
  vm_fpu_end (vm_tcg_cpu (&cpu->env));
  g_aligned_free (cpu);
}

/* vm_op_functions[] would need the whole interpreter. */
static VmOpFunc
function_of (const VmInsnRow *row)
{
  static const struct { uint16_t op; VmOpFunc func; } special[] = {
    { VM_OP_FWAIT, vm_op_fwait }, { VM_OP_FLDCW, vm_op_fldcw }, { VM_OP_FNSTCW, vm_op_fnstcw },
    { VM_OP_FNSTSW, vm_op_fnstsw }, { VM_OP_FLDENV, vm_op_fldenv }, { VM_OP_FNSTENV, vm_op_fnstenv },
    { VM_OP_FRSTOR, vm_op_frstor }, { VM_OP_FNSAVE, vm_op_fnsave }, { VM_OP_FNCLEX, vm_op_fnclex },
    { VM_OP_FNINIT, vm_op_fninit }, { VM_OP_FNENI, vm_op_fneni }, { VM_OP_FXSAVE, vm_op_fxsave },
    { VM_OP_FXRSTOR, vm_op_fxrstor }, { VM_OP_XSAVE, vm_op_xsave }, { VM_OP_XRSTOR, vm_op_xrstor },
    { VM_OP_XSAVEOPT, vm_op_xsaveopt }, { VM_OP_XSAVEC, vm_op_xsavec }, { VM_OP_XSAVES, vm_op_xsaves },
    { VM_OP_XRSTORS, vm_op_xrstors }, { VM_OP_EMMS, vm_op_emms }, { VM_OP_MASKMOVQ, vm_op_maskmovq },
    { VM_OP_MASKMOVDQU, vm_op_maskmovdqu }, { VM_OP_VMASKMOVDQU, vm_op_maskmovdqu },
    { VM_OP_LDMXCSR, vm_op_ldmxcsr }, { VM_OP_VLDMXCSR, vm_op_ldmxcsr }, { VM_OP_STMXCSR, vm_op_stmxcsr },
    { VM_OP_VSTMXCSR, vm_op_stmxcsr },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (special); i++)
    if (special[i].op == row->op)
      return special[i].func;
  if (row->attrs & VM_ATTR_VSIB)
    return vm_fpu_gather;
  if (strstr (row->mnemonic, "maskmov"))
    return row->operand[0].kind == VM_OPND_M ? vm_fpu_mask_store : vm_fpu_mask_load;
  return row->attrs & VM_ATTR_STATE_X87 ? vm_fpu_x87 : vm_fpu_vector;
}

int
fake_run (VmX86Env *env, const VmInsn *insn)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  sigjmp_buf buf;

  tcg->fault_env = &buf;
  env->exc_vector = -1;
  if (sigsetjmp (buf, 0) == 0)
    function_of (&vm_insn_rows[insn->row]) (env, insn);
  return env->exc_vector;
}

bool
fake_host_has (unsigned feature)
{
  return !strstr ("gfni xop fma4 3dnow", vm_feature_names[feature] ? vm_feature_names[feature] : "none");
}

void
vm_x86_raise (VmX86Env *env, int vector)
{
  env->exc_vector = vector;
  siglongjmp (*vm_tcg_cpu (env)->fault_env, 1);
}

void
vm_x86_raise_error (VmX86Env *env, int vector, uint32_t error)
{
  env->exc_error = error;
  vm_x86_raise (env, vector);
}

static void
check (VmX86Env *env, uint64_t linear, unsigned len)
{
  if (linear < memory_start || linear + len > memory_start + memory_size)
    {
      env->exc_addr = linear;
      vm_x86_raise (env, VM_EXC_PF);
    }
}

uint64_t
vm_mmu_load (VmX86Env *env, uint64_t linear, unsigned size, unsigned ctx)
{
  check (env, linear, size);
  return vm_load_le ((void *) (uintptr_t) linear, size);
}

void
vm_mmu_store (VmX86Env *env, uint64_t linear, uint64_t value, unsigned size, unsigned ctx)
{
  check (env, linear, size);
  vm_store_le ((void *) (uintptr_t) linear, value, size);
}

void
vm_mmu_load_bytes (VmX86Env *env, uint64_t linear, void *buf, unsigned len, unsigned ctx)
{
  check (env, linear, len);
  memcpy (buf, (void *) (uintptr_t) linear, len);
}

void
vm_mmu_store_bytes (VmX86Env *env, uint64_t linear, const void *buf, unsigned len, unsigned ctx)
{
  check (env, linear, len);
  memcpy ((void *) (uintptr_t) linear, buf, len);
}

void
vm_mmu_probe_write (VmX86Env *env, uint64_t linear, unsigned len, unsigned ctx)
{
  check (env, linear, len);
}

void
vm_tlb_flush_l1 (VmX86Env *env)
{
}

uint64_t
vm_insn_offset (const VmX86Env *env, const VmInsn *insn)
{
  uint64_t offset = insn->disp;

  if (insn->base == VM_REG_RIP)
    offset += env->rip + insn->len;
  else if (insn->base != VM_REG_NONE)
    offset += env->gpr[insn->base];
  if (insn->index != VM_REG_NONE)
    offset += env->gpr[insn->index] * insn->scale;
  return insn->addrsize == 8 ? offset : (uint32_t) offset;
}

uint64_t
vm_seg_linear (VmX86Env *env, unsigned seg, uint64_t offset, unsigned len, unsigned access)
{
  return offset;
}

uint64_t
vm_insn_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned access)
{
  return vm_seg_linear (env, insn->seg, vm_insn_offset (env, insn), len, access);
}

VmLock *
vm_loop_lock (VmLoop *loop)
{
  return NULL;
}

bool
vm_lock_enter (VmLock *lock)
{
  return false;
}

void
vm_lock_leave (VmLock *lock, bool taken)
{
}
