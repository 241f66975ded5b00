/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frame of fuzz targets. With -Dfuzzing=true libFuzzer drives them; else they drive themselves:
 * "PROGRAM [ROUNDS [SEED]]" makes input up, "PROGRAM FILE..." runs what a fuzzer has found. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The target: any bytes at all. */
void fuzz_one (const uint8_t *data, size_t size);
/* Input that gets somewhere, for the target that drives itself. Without one: 4 KiB of anything. */
void fuzz_make (GRand *rand, GByteArray *input);

/* For fuzz_make() of targets that eat text (fuzz-words.c): what they know; ends with NULL. */
extern const char *const fuzz_words[];

/* Input as targets of devices eat it: numbers of 1 to 4 bytes, zeros in place of what is missing. */
typedef struct Input
{
  const uint8_t *data;
  size_t left;
} Input;

static inline uint32_t
take (Input *in, unsigned bytes)
{
  uint32_t value = 0;

  for (; bytes && in->left; bytes--, in->left--)
    value = value << 8 | *in->data++;
  return value;
}
