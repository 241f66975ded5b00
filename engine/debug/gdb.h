/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server of gdb's remote serial protocol (gdb manual, appendix E) on a character back end: one thread a vCPU, all
 * of them stop when one does. Engine loop, machine lock held. */
#pragma once

#include "engine/machine/machine.h"

/* Serves machine->gdb_chardev; there is no server yet. */
bool vm_gdb_start (VmMachine *machine, GError **error);
/* Lets go of the machine, which goes on as if nobody had ever debugged it. Nothing when there is no server. */
void vm_gdb_stop (VmMachine *machine);
/* The human monitor's "gdbserver": serves a new back end made of a device string; "none" ends it. */
bool vm_gdb_listen (VmMachine *machine, const char *device, GError **error);
