/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tier 0: one instruction at a time, each by a function of its own. It is the oracle for the compiler, the
 * single-stepper and the home of rare instructions. */
#pragma once

#include "engine/tcg/decode/insn.h"
#include "engine/tcg/softmmu/tlb.h"

/* Every VM_OP_* of the decode table has a function "vm_op_MNEMONIC" of this type (declared in the generated
 * decode/ops.h). On entry env->rip is the address of the instruction. It commits nothing before its last
 * possible fault. The caller advances env->rip by insn->len afterwards, unless the row has attribute "ip": then
 * the function sets env->rip itself (branches, far transfers, repeated strings that stop half way). */
typedef void (*VmOpFunc) (VmX86Env *env, const VmInsn *insn);

/* Linear address of the memory operand, LEN bytes, checked for ACCESS. */
uint64_t vm_insn_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned access);
/* The offset alone (LEA), truncated to the address size. */
uint64_t vm_insn_offset (const VmX86Env *env, const VmInsn *insn);

/* Executes INSN at env->rip completely: operation, RIP, interrupt shadow, RF, TF trap. Raises on faults. */
void vm_interp_insn (VmX86Env *env, const VmInsn *insn);
/* Fetches and decodes the instruction at CS:RIP (uncached); raises #PF, #GP; #UD comes from executing it. */
void vm_interp_fetch (VmX86Env *env, VmInsn *insn);

/* VmTcgCpu.interp: what the vCPU's model has, by VM_FEATURE_*. NULL there means everything. */
typedef struct VmInterp {
  uint64_t features[4];
} VmInterp;

/* HAS_FEATURE is asked for each name of vm_feature_names[]: CPUID features, and "amd-insns", "intel-insns" and
 * "amd-branch" (66 on near branches is honoured) by vendor. */
VmInterp *vm_interp_new (bool (*has_feature) (void *opaque, const char *name), void *opaque);
void      vm_interp_free (VmInterp *interp);
