/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engines there are. */
#include "config.h"

#include "tests/tcg-fuzz/engine.h"

const FuzzEngine fuzz_engine_interp = { .name = "interp", .steps = true, .run = vm_fixture_run };

const FuzzEngine *const fuzz_engines[] = { &fuzz_engine_interp, &fuzz_engine_compiler, NULL };
