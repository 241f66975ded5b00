/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds the 64-bit host form of a decoded guest instruction: same opcode and immediate, other registers or
 * another memory operand (Intel SDM vol. 2, chapter 2). A pure function of its arguments. */
#pragma once

#include "engine/tcg/decode/insn.h"

#define VM_HOST_INSN_MAX 16

/* A byte register operand that means AH, CH, DH, BH is 0x14..0x17; such an operand cannot stand beside a
 * register that needs REX. */
#define VM_HOST_HIGH_BYTE 0x10

typedef struct VmHostOperands {
  uint8_t reg;           /* replaces VmInsn.reg; not looked at when modrm.reg extends the opcode */
  uint8_t rm;            /* replaces VmInsn.rm when !mem */
  uint8_t vvvv;
  bool    mem;           /* the rm operand is [segment: base + index * scale + disp] */
  bool    lock;
  uint8_t base, index;   /* host register numbers or VM_REG_NONE; with a vector index any of 0..15 */
  uint8_t scale;         /* 1, 2, 4, 8 */
  uint8_t segment;       /* 0, or the prefix byte 0x64 (FS) or 0x65 (GS) */
  int32_t disp;
} VmHostOperands;

/* The operands INSN itself names; a RIP-relative or 32-bit address is the caller's to replace. */
void vm_host_operands_init (VmHostOperands *ops, const VmInsn *insn);
/* Writes at most VM_HOST_INSN_MAX bytes to OUT. Returns the number, 0 when there is no such host form: a high
 * byte register next to REX, a branch, far pointer or moffs form. */
unsigned vm_emit_insn (uint8_t *out, const VmInsn *insn, const VmHostOperands *ops);
