/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots of a whole machine in its disk images: the state of devices and RAM in one of them, the disks in each. */
#pragma once

#include "block/machine.h"
#include "block/node.h"

/* Which images are meant. NULL for both: all that the machine may write. Strings are names of nodes. */
typedef struct VmSnapshotPlace
{
  const char *vmstate;      /* has the machine's state */
  const GPtrArray *devices; /* char * */
} VmSnapshotPlace;

/* Engine loop. A machine that runs stands still meanwhile, and goes on. TAG NULL: made from the date. REPLACE: one of
 * this name goes first; else it is an error. */
bool vm_snapshot_save (VmMachine *machine, const char *tag, bool replace, const VmSnapshotPlace *place, GError **error);
/* By its tag, else (loadvm) by its id. */
bool vm_snapshot_load (VmMachine *machine, const char *tag, const VmSnapshotPlace *place, GError **error);
bool vm_snapshot_delete (VmMachine *machine, const char *tag, const VmSnapshotPlace *place, GError **error);
/* NAME instead of TAG, on all images that have it or on none; ERROR says so where that did not go well. */
bool vm_snapshot_rename (VmMachine *machine, const char *tag, const char *name, const VmSnapshotPlace *place,
                         GError **error);
/* Names of those there are, for completion; ends with NULL. */
char **vm_snapshot_tags (VmMachine *machine);
/* As "info snapshots" shows them; NULL with ERROR: no image can have one. */
char *vm_snapshot_describe (VmMachine *machine, GError **error);
