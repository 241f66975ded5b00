/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files here: thunks, operands in memory, x87 register order. */
#pragma once

#include "engine/tcg/decode/ops.h"
#include "engine/tcg/fpu/fpu.h"
#include "engine/tcg/host-x86_64/reencode.h"
#include "engine/tcg/sys/sys.h"

enum { FSW_IE = 1, FSW_DE = 2, FSW_ZE = 4, FSW_OE = 8, FSW_UE = 16, FSW_PE = 32, FSW_SF = 64, FSW_ES = 128,
       FSW_EXCEPTIONS = 63, FSW_TOP = 7 << 11, FSW_B = 1 << 15 };
#define FSW_TOP_SHIFT 11

enum { MXCSR_EXCEPTIONS = 63, MXCSR_MASKS = 63 << 7, MXCSR_MASK_SHIFT = 7, MXCSR_UM = 1 << 11,
       MXCSR_FTZ = 1 << 15, MXCSR_DEFAULT = 0x1f80, MXCSR_VALID = 0xffff };

/* What a thunk runs on. Offsets are known to the assembly in thunk.c. */
typedef struct VmFpuCall {
  uint64_t    rax, rcx, rdx;
  uint64_t    flags;     /* arithmetic EFLAGS; in for x87 only */
  uint32_t    mxcsr, unused;
  const void *code;
  void       *mem;       /* in rsi */
  VmX86Vec   *ymm;
  uint64_t    mm[8];
  void       *image;     /* 512 bytes for FXRSTOR */
} VmFpuCall;

/* The host form of the instruction's BYTES followed by a return; valid until the next call. */
const void *vm_fpu_thunk (VmX86Env *env, const uint8_t *bytes, unsigned len);
void        vm_fpu_run_vector (VmFpuCall *call); /* loads and stores ymm and MXCSR */
void        vm_fpu_run_sse (VmFpuCall *call);    /* the same on hosts without AVX */
void        vm_fpu_run_mmx (VmFpuCall *call);    /* mm only */
void        vm_fpu_run_mmx_sse (VmFpuCall *call); /* mm, xmm and MXCSR */
void        vm_fpu_run_x87 (VmFpuCall *call);    /* the x87 part of image */

/* Bytes of a memory operand. */
unsigned vm_fpu_operand_size (const VmInsn *insn, const VmOperandSpec *spec);
/* Linear address of the memory operand, checked against segment, and alignment where the form demands it. */
uint64_t vm_fpu_linear (VmX86Env *env, const VmInsn *insn, unsigned len, unsigned access);

/* MMX registers by number. Committing makes the x87 state an MMX one; WRITTEN is a register or VM_REG_NONE. */
void vm_fpu_load_mmx (const VmX86Env *env, uint64_t mm[8]);
void vm_fpu_commit_mmx (VmX86Env *env, const uint64_t mm[8], uint8_t written);

static inline unsigned
fpu_top (const VmX86Env *env)
{
  return env->fx.fsw >> FSW_TOP_SHIFT & 7;
}
