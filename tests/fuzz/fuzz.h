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
