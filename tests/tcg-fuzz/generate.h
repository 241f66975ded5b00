/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random instructions from the decode table, and register states that make them do something. */
#pragma once

#include "engine/tcg/decode/table.h"
#include "tests/tcg-fuzz/native.h"

typedef struct FuzzRandom {
  uint64_t s[2];
} FuzzRandom;

void     fuzz_random_seed (FuzzRandom *r, uint64_t seed);
uint64_t fuzz_random (FuzzRandom *r);
unsigned fuzz_below (FuzzRandom *r, unsigned n); /* 0..n-1 */
bool     fuzz_chance (FuzzRandom *r, unsigned percent);
uint64_t fuzz_value (FuzzRandom *r);             /* edges more often than not */
uint64_t fuzz_address (FuzzRandom *r, unsigned bits); /* offset in a data segment, mostly valid */

/* An instruction of form ROW for code of BITS; returns its length (at most 15), 0 when the form does not exist
 * there. */
unsigned fuzz_make_insn (FuzzRandom *r, unsigned row, unsigned bits, uint8_t bytes[16]);
void     fuzz_make_state (FuzzRandom *r, unsigned bits, FuzzState *s);
/* Bends S and, where an address has no register, BYTES so that INSN's memory operands and branch targets are likely
 * to be valid. WRITE puts bytes into the memory of both sides. */
void     fuzz_aim (FuzzRandom *r, const VmInsn *insn, unsigned bits, uint8_t *bytes, FuzzState *s, bool step,
                   void (*write) (uint64_t linear, const void *data, unsigned len));
