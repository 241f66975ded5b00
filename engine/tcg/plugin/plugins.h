/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plugins of a machine, as the exec loop sees them. */
#pragma once

#include "engine/tcg/exec.h"

/* Loads FILE and installs it; MAX_VCPUS bounds the indices of processors. Before the first processor begins. */
bool vm_tcg_add_plugin (VmAccel *accel, const char *file, char **args, unsigned vcpus, unsigned max_vcpus,
                        GError **error);
void vm_plugins_free (VmPlugins *plugins); /* tells them, too */

void vm_plugins_begin (VmTcgExec *x);
void vm_plugins_end (VmTcgExec *x);
/* Does anybody want to see code as it is executed? */
bool vm_plugins_want_code (const VmPlugins *plugins);
bool vm_plugins_want_blocks (const VmPlugins *plugins);
bool vm_plugins_want_accesses (const VmPlugins *plugins);

/* On the vCPU's thread. */
void vm_plugins_insn (VmTcgExec *x, uint64_t address, const VmInsn *insn, const uint8_t *bytes);
void vm_plugins_block (VmTcgExec *x, uint64_t address, unsigned instructions, unsigned bytes);
/* For VmTcgCpu.access_hook. */
void vm_plugins_access (VmX86Env *env, uint64_t linear, unsigned len, bool is_write);
