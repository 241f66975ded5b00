/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tier 1 as an engine of the fuzzer: every sequence is translated at first sight. */
#include "config.h"

#include "engine/tcg/exec.h"
#include "tests/tcg-fuzz/engine.h"

static bool
compiler_begin (VmFixture *f, GError **error)
{
  VmTcgAccel *accel = g_new0 (VmTcgAccel, 1);

  accel->shared = vm_code_shared_new (f->memory);
  accel->precise_flags = true;
  f->cpu->parent.accel = &accel->parent;
  vm_tlb_end (f->cpu); /* exec begins it anew */
  return vm_tcg_exec_begin (&f->cpu->parent, error);
}

static void
compiler_end (VmFixture *f)
{
  VmTcgAccel *accel = (VmTcgAccel *) f->cpu->parent.accel;

  vm_tcg_exec_end (&f->cpu->parent);
  vm_code_shared_free (accel->shared);
  g_free (accel);
  f->cpu->parent.accel = NULL;
  vm_tlb_begin (f->cpu);
}

static int
compiler_run (VmFixture *f, unsigned limit)
{
  f->env->halted = false;
  return vm_tcg_exec_trial (&f->cpu->parent, limit, true);
}

const FuzzEngine fuzz_engine_compiler = {
  .name = "compiler", .begin = compiler_begin, .end = compiler_end, .run = compiler_run,
};
