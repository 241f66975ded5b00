/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fuzzer compares with the host. */
#pragma once

#include "tests/tcg/fixture.h"

typedef struct FuzzEngine {
  const char *name;
  bool        steps; /* honours EFLAGS.TF */
  bool      (*begin) (VmFixture *f, GError **error);
  void      (*end) (VmFixture *f);
  /* Runs from the state in f->env until an exception is raised, whose vector it returns; -1 after about LIMIT
   * instructions. */
  int       (*run) (VmFixture *f, unsigned limit);
} FuzzEngine;

extern const FuzzEngine fuzz_engine_interp, fuzz_engine_compiler;
/* Ends with NULL. */
extern const FuzzEngine *const fuzz_engines[];
