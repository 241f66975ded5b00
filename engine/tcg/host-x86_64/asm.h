/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes x86-64 instructions (Intel SDM vol. 2). Only the forms that the translator's own code needs; guest
 * instructions go through reencode.h. */
#pragma once

#include "engine/base/base.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes. */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

/* The /n of the 80..83 and the xx+1/xx+3 groups. */
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

/* Code is written at P; it will run RX_OFFSET bytes away. */
typedef struct Asm {
  uint8_t  *p, *end;
  ptrdiff_t rx_offset;
} Asm;

static inline uint8_t *
asm_pc (const Asm *a)
{
  return a->p + a->rx_offset;
}

static inline void
asm_8 (Asm *a, uint8_t v)
{
  *a->p++ = v;
}

static inline void
asm_32 (Asm *a, uint32_t v)
{
  vm_store_le32 (a->p, v);
  a->p += 4;
}

static inline void
asm_64 (Asm *a, uint64_t v)
{
  vm_store_le64 (a->p, v);
  a->p += 8;
}

static inline void
asm_rex (Asm *a, bool w, unsigned reg, unsigned index, unsigned base, bool force)
{
  uint8_t rex = 0x40 | w << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);

  if (rex != 0x40 || force)
    asm_8 (a, rex);
}

static inline void
asm_modrm_mem (Asm *a, unsigned reg, unsigned base, int index, unsigned scale_log2, int32_t disp)
{
  unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp >= -128 && disp <= 127 ? 1 : 2;

  if (index >= 0 || (base & 7) == 4)
    {
      asm_8 (a, mod << 6 | (reg & 7) << 3 | 4);
      asm_8 (a, scale_log2 << 6 | (index >= 0 ? index & 7 : 4) << 3 | (base & 7));
    }
  else
    asm_8 (a, mod << 6 | (reg & 7) << 3 | (base & 7));
  if (mod == 1)
    asm_8 (a, disp);
  else if (mod == 2)
    asm_32 (a, disp);
}

/* SIZE is the operand size in bytes; OPCODE the one of the wide form, byte forms are it - 1 where BYTE_FORM. */
static inline void
asm_op_mem (Asm *a, unsigned size, unsigned opcode, unsigned reg, unsigned base, int index, unsigned scale_log2,
            int32_t disp)
{
  if (size == 2)
    asm_8 (a, 0x66);
  asm_rex (a, size == 8, reg, index >= 0 ? index : 0, base, size == 1 && reg >= 4);
  if (opcode >= 0x100)
    asm_8 (a, opcode >> 8);
  asm_8 (a, opcode);
  asm_modrm_mem (a, reg, base, index, scale_log2, disp);
}

static inline void
asm_op_reg (Asm *a, unsigned size, unsigned opcode, unsigned reg, unsigned rm)
{
  if (size == 2)
    asm_8 (a, 0x66);
  asm_rex (a, size == 8, reg, 0, rm, size == 1 && (reg >= 4 || rm >= 4));
  if (opcode >= 0x100)
    asm_8 (a, opcode >> 8);
  asm_8 (a, opcode);
  asm_8 (a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void
asm_load (Asm *a, unsigned size, unsigned reg, unsigned base, int32_t disp)
{
  asm_op_mem (a, size, size == 1 ? 0x8a : 0x8b, reg, base, -1, 0, disp);
}

static inline void
asm_store (Asm *a, unsigned size, unsigned reg, unsigned base, int32_t disp)
{
  asm_op_mem (a, size, size == 1 ? 0x88 : 0x89, reg, base, -1, 0, disp);
}

/* Zero-extending loads of 1 and 2 bytes. */
static inline void
asm_load_zx (Asm *a, unsigned size, unsigned reg, unsigned base, int32_t disp)
{
  if (size >= 4)
    asm_load (a, size, reg, base, disp);
  else
    asm_op_mem (a, 4, size == 1 ? 0x0fb6 : 0x0fb7, reg, base, -1, 0, disp);
}

/* Immediates are sign-extended 32 bits. */
static inline void
asm_store_imm (Asm *a, unsigned size, uint32_t imm, unsigned base, int32_t disp)
{
  asm_op_mem (a, size, size == 1 ? 0xc6 : 0xc7, 0, base, -1, 0, disp);
  if (size == 1)
    asm_8 (a, imm);
  else if (size == 2)
    {
      asm_8 (a, imm);
      asm_8 (a, imm >> 8);
    }
  else
    asm_32 (a, imm);
}

static inline void
asm_mov (Asm *a, unsigned size, unsigned to, unsigned from)
{
  asm_op_reg (a, size, size == 1 ? 0x88 : 0x89, from, to);
}

static inline void
asm_movzx (Asm *a, unsigned size, unsigned to, unsigned from)
{
  if (size == 1)
    {
      asm_rex (a, false, to, 0, from, from >= 4);
      asm_8 (a, 0x0f);
      asm_8 (a, 0xb6);
      asm_8 (a, 0xc0 | (to & 7) << 3 | (from & 7));
    }
  else if (size == 2)
    asm_op_reg (a, 4, 0x0fb7, to, from);
  else
    asm_mov (a, size, to, from);
}

static inline void
asm_lea (Asm *a, unsigned size, unsigned to, unsigned base, int32_t disp)
{
  asm_op_mem (a, size, 0x8d, to, base, -1, 0, disp);
}

static inline void
asm_lea_index (Asm *a, unsigned size, unsigned to, unsigned base, unsigned index, unsigned scale_log2, int32_t disp)
{
  asm_op_mem (a, size, 0x8d, to, base, index, scale_log2, disp);
}

/* lea to,[index * scale + disp] */
static inline void
asm_lea_no_base (Asm *a, unsigned size, unsigned to, unsigned index, unsigned scale_log2, int32_t disp)
{
  if (size == 2)
    asm_8 (a, 0x66);
  asm_rex (a, size == 8, to, index, 0, false);
  asm_8 (a, 0x8d);
  asm_8 (a, (to & 7) << 3 | 4);
  asm_8 (a, scale_log2 << 6 | (index & 7) << 3 | 5);
  asm_32 (a, disp);
}

static inline void
asm_alu (Asm *a, unsigned op, unsigned size, unsigned to, unsigned from)
{
  asm_op_reg (a, size, op << 3 | (size == 1 ? 0 : 1), from, to);
}

/* op reg, [mem] */
static inline void
asm_alu_mem (Asm *a, unsigned op, unsigned size, unsigned reg, unsigned base, int32_t disp)
{
  asm_op_mem (a, size, op << 3 | (size == 1 ? 2 : 3), reg, base, -1, 0, disp);
}

static inline void
asm_alu_imm (Asm *a, unsigned op, unsigned size, unsigned reg, int32_t imm)
{
  bool is_8 = imm >= -128 && imm <= 127;

  asm_op_reg (a, size, size == 1 ? 0x80 : is_8 ? 0x83 : 0x81, op, reg);
  if (size == 1 || is_8)
    asm_8 (a, imm);
  else if (size == 2)
    {
      asm_8 (a, imm);
      asm_8 (a, imm >> 8);
    }
  else
    asm_32 (a, imm);
}

static inline void
asm_alu_mem_imm (Asm *a, unsigned op, unsigned size, unsigned base, int32_t disp, int32_t imm)
{
  bool is_8 = imm >= -128 && imm <= 127;

  asm_op_mem (a, size, size == 1 ? 0x80 : is_8 ? 0x83 : 0x81, op, base, -1, 0, disp);
  if (size == 1 || is_8)
    asm_8 (a, imm);
  else
    asm_32 (a, imm);
}

enum { SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAR = 7 };

static inline void
asm_shift (Asm *a, unsigned op, unsigned size, unsigned reg, unsigned count)
{
  asm_op_reg (a, size, 0xc1, op, reg);
  asm_8 (a, count);
}

static inline void
asm_mov_imm (Asm *a, unsigned reg, uint64_t value)
{
  if (value <= UINT32_MAX)
    {
      asm_rex (a, false, 0, 0, reg, false);
      asm_8 (a, 0xb8 | (reg & 7));
      asm_32 (a, value);
    }
  else if ((int64_t) value == (int32_t) value)
    {
      asm_op_reg (a, 8, 0xc7, 0, reg);
      asm_32 (a, value);
    }
  else
    {
      asm_rex (a, true, 0, 0, reg, false);
      asm_8 (a, 0xb8 | (reg & 7));
      asm_64 (a, value);
    }
}

/* Jumps. The forward forms return the place of the rel32 for asm_bind(). */
static inline uint8_t *
asm_jcc (Asm *a, unsigned cc)
{
  asm_8 (a, 0x0f);
  asm_8 (a, 0x80 | cc);
  asm_32 (a, 0);
  return a->p - 4;
}

static inline uint8_t *
asm_jmp (Asm *a)
{
  asm_8 (a, 0xe9);
  asm_32 (a, 0);
  return a->p - 4;
}

static inline uint8_t *
asm_call (Asm *a)
{
  asm_8 (a, 0xe8);
  asm_32 (a, 0);
  return a->p - 4;
}

/* REL32 (writable address) leads to TARGET_PC; both in the same mapping pair. */
static inline void
asm_bind_to (uint8_t *rel32, ptrdiff_t rx_offset, const uint8_t *target_pc)
{
  vm_store_le32 (rel32, target_pc - (rel32 + rx_offset + 4));
}

static inline void
asm_bind (const Asm *a, uint8_t *rel32)
{
  asm_bind_to (rel32, a->rx_offset, asm_pc (a));
}

static inline void
asm_jmp_to (Asm *a, const uint8_t *target_pc)
{
  asm_bind_to (asm_jmp (a), a->rx_offset, target_pc);
}

static inline void
asm_call_to (Asm *a, const uint8_t *target_pc)
{
  asm_bind_to (asm_call (a), a->rx_offset, target_pc);
}

/* Short forward jump: returns the place of the rel8. */
static inline uint8_t *
asm_jcc_short (Asm *a, unsigned cc)
{
  asm_8 (a, 0x70 | cc);
  asm_8 (a, 0);
  return a->p - 1;
}

static inline void
asm_bind_short (const Asm *a, uint8_t *rel8)
{
  *rel8 = a->p - (rel8 + 1);
}

static inline void
asm_jmp_reg (Asm *a, unsigned reg)
{
  asm_rex (a, false, 4, 0, reg, false);
  asm_8 (a, 0xff);
  asm_8 (a, 0xe0 | (reg & 7));
}

static inline void
asm_call_reg (Asm *a, unsigned reg)
{
  asm_rex (a, false, 2, 0, reg, false);
  asm_8 (a, 0xff);
  asm_8 (a, 0xd0 | (reg & 7));
}

static inline void
asm_push (Asm *a, unsigned reg)
{
  asm_rex (a, false, 0, 0, reg, false);
  asm_8 (a, 0x50 | (reg & 7));
}

static inline void
asm_pop (Asm *a, unsigned reg)
{
  asm_rex (a, false, 0, 0, reg, false);
  asm_8 (a, 0x58 | (reg & 7));
}

static inline void
asm_ret (Asm *a)
{
  asm_8 (a, 0xc3);
}
