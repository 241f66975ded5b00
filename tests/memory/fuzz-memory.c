/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory core against a simple model. */
#include "tests/fuzz/fuzz.h"
#include "tests/memory/memory-model.h"

void
fuzz_one (const uint8_t *data, size_t len)
{
  memory_model_run (data, len);
}
