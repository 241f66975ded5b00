/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A processor without the rest of the translator: flat memory at host addresses, exceptions caught. */
#pragma once

#include "engine/tcg/interp/interp.h"

VmX86Cpu *fake_cpu_new (void); /* 64-bit user mode, everything enabled */
void      fake_cpu_free (VmX86Cpu *cpu);
/* The host addresses that linear addresses may touch; the rest raises #PF. */
void      fake_set_memory (uint64_t start, uint64_t size);
/* Runs the instruction's function. Returns -1 or the vector it raised. */
int       fake_run (VmX86Env *env, const VmInsn *insn);
bool      fake_host_has (unsigned feature);
