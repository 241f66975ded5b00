/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs one instruction on the host with a given register state, and says what came out or which signal. */
#pragma once

#include "engine/base/base.h"

#define NATIVE_XSAVE 832

typedef struct NativeState {
  uint64_t gpr[16];
  uint64_t flags;
  uint8_t  image[NATIVE_XSAVE] __attribute__ ((aligned (64))); /* standard format: x87, SSE, AVX */
} NativeState;

typedef struct Native Native;

/* Of DATA_PAGES pages at a low address, with a hole behind them. */
Native  *native_new (unsigned data_pages);
void     native_free (Native *n);
uint8_t *native_data (Native *n);
/* Executes BYTES (which must leave RSP alone); STATE becomes the state after it, or at the fault. Returns 0 or the
 * signal's number. */
int      native_run (Native *n, const uint8_t *bytes, unsigned len, NativeState *state);
