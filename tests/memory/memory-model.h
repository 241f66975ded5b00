/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random trees of regions, checked byte by byte against a naive model. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* DATA says what to do; any bytes are fine. Asserts when memory and model differ. */
void memory_model_run (const uint8_t *data, size_t len);
