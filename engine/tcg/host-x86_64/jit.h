/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tier 1 as the exec loop sees it. */
#pragma once

#include "engine/tcg/exec.h"

VmJit *vm_jit_new (VmX86Env *env, const VmTcgAccel *accel, GError **error);
void   vm_jit_free (VmJit *jit);
/* Runs generated code from PC, which lies in VIEW; may translate first. False: there is none (yet) and nothing
 * was done. Returns with the state in the struct; raises like the interpreter. */
bool   vm_jit_run (VmJit *jit, VmCodeView *view, uint64_t pc);
/* The same with translation at the first sight: for tests. */
void   vm_jit_set_eager (VmJit *jit, bool eager);
/* The log's items may have changed: -d nochain. */
void vm_jit_follow_log (VmJit *jit);
