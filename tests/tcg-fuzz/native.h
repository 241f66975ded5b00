/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs code on the host with a given register state in 64-, 32- or 16-bit segments, and says how it ended. */
#pragma once

#include "engine/base/base.h"

/* Where both the host process and the guest have their memory. */
#define FUZZ_CODE       UINT64_C (0x20000000)
#define FUZZ_CODE_SIZE  0x2000u
#define FUZZ_DATA       UINT64_C (0x10000000)
#define FUZZ_DATA_SIZE  0x10000u
#define FUZZ_READ_ONLY  0xc000u /* offset in the data of a page that cannot be written */
#define FUZZ_HOLE       0xd000u /* and of one that is not there */
#define FUZZ_HIGH       UINT64_C (0x600000000000)
#define FUZZ_HIGH_SIZE  0x4000u

#define FUZZ_XSAVE 832 /* standard format: legacy area, header, upper halves of ymm */

typedef struct FuzzState {
  uint64_t gpr[16];
  uint64_t rip;
  uint64_t eflags;
  uint8_t  xsave[FUZZ_XSAVE] __attribute__ ((aligned (64)));
} FuzzState;

#define NATIVE_ENDLESS 999

typedef struct FuzzOutcome {
  int       vector; /* -1: one instruction was completed; NATIVE_ENDLESS: it did not end in seconds */
  uint32_t  error;
  uint64_t  address; /* of a page fault */
  FuzzState state;
} FuzzOutcome;

/* Maps the memory and installs signal handlers: once in a process, which then must not rely on SIGSEGV, SIGILL,
 * SIGFPE, SIGBUS and SIGTRAP. */
bool     native_begin (GError **error);
/* Code bytes as the harness writes them. */
uint8_t *native_code (void);
/* Runs from STATE; with STEP, one instruction (all its repetitions up to LIMIT), else until an exception. */
void     native_run (unsigned bits, const FuzzState *state, bool step, unsigned limit, FuzzOutcome *out);
/* Sets BITS in WORD after 20 ms, unless called with NULL before: stops what might run for ever. */
void     native_alarm (uint32_t *word, uint32_t bits);
