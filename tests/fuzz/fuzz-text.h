/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frame of fuzz targets that eat text: libFuzzer drives with -Dfuzzing=true; else "PROGRAM [ROUNDS [SEED]]" makes
 * up text from the words of the target. */
#pragma once

#include <stddef.h>
#include <stdint.h>

extern const char *const fuzz_words[]; /* ends with NULL */
void fuzz_one (const char *text, size_t len);
