/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What gen.py writes into table.c for the decoder alone. */
#pragma once

#include "engine/tcg/decode/table.h"

enum {
  MATCH_MODRM = 1 << 0,
  MATCH_BYTE  = 1 << 1, /* operand size 1 */
  MATCH_VVVV  = 1 << 2, /* VEX.vvvv names an operand; else it must be 1111 */
  MATCH_B0    = 1 << 3, /* REX.B must be clear */
  MATCH_CC    = 1 << 4, /* reads the flags of the condition in the opcode */
  MATCH_OPREG = 1 << 5, /* register in the opcode */
  MATCH_P66   = 1 << 6, /* 66 is no operand size: it selects the form, or sizes are 4 and 8 */
};

/* Immediates in the order they follow the operands. */
enum { IMM_NONE, IMM_B, IMM_BS, IMM_W, IMM_Z, IMM_V, IMM_FAR, IMM_OFFSET, IMM_IS4 };

typedef struct VmRowMatch {
  uint8_t pp;    /* mask: 1 none, 2 66, 4 F3, 8 F2 */
  uint8_t w, l;  /* 0 any, 1 clear, 2 set */
  uint8_t mod;   /* 0 any, 1 memory, 2 register */
  uint8_t rm, reg; /* 255 any */
  uint8_t asize; /* 0 any */
  uint8_t mode;  /* 0 any, 1 not 64-bit, 2 only 64-bit */
  uint8_t imm1, imm2;
  uint8_t opcode, map;
  uint8_t flags; /* MATCH_* */
} VmRowMatch;

/* COUNT 255: FIRST is an index of vm_lookup_by_reg[]; else of vm_candidates[]. */
typedef struct VmLookup {
  uint16_t first;
  uint8_t  count;
  uint8_t  modrm;
} VmLookup;

typedef struct VmLookupReg {
  uint16_t first;
  uint16_t count;
} VmLookupReg;

enum { VM_MAP_1, VM_MAP_0F, VM_MAP_0F38, VM_MAP_0F3A, VM_MAP_3DNOW, VM_MAP_VEX };

extern const VmRowMatch  vm_row_match[];
extern const VmLookup    vm_lookup[8][256];
extern const VmLookupReg vm_lookup_by_reg[][8];
extern const uint16_t    vm_candidates[];
