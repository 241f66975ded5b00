/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far the saving or loading of a machine has come, while the engine loop is busy with nothing else. Whoever does it
 * writes on the engine loop; sessions read on any thread and may ask for an end. */
#pragma once

#include "engine/machine/machine.h"

/* TOTAL: bytes at most. CANCELLABLE: stopping in the middle leaves all as it was. */
void vm_progress_begin (VmMachine *machine, uint64_t total, bool cancellable);
/* False: somebody wants it to end. */
bool vm_progress_step (VmMachine *machine, uint64_t done);
void vm_progress_end (VmMachine *machine);

/* --- any thread ------------------------------------------------------------------------------------------------ */

/* False: nothing is under way. */
bool vm_progress_get (VmMachine *machine, uint64_t *done, uint64_t *total, bool *cancellable);
void vm_progress_cancel (VmMachine *machine);
