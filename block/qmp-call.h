/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands of the block layer are carried out in fibers of the graph; the monitor waits. And actions: commands that
 * can be several at one moment. */
#pragma once

#include "block/drives.h"
#include "block/job.h"
#include "block/machine.h"

typedef struct VmBlockCall
{
  VmMachine *machine;
  VmBlockGraph *graph;
  bool (*func) (struct VmBlockCall *call, GError **error);
  const void *args;
  void *result;
  GError **error;
  bool ok;
} VmBlockCall;

/* Runs FUNC with ARGS. */
bool vm_block_call (VmMonitor *mon, VmBlockCall *call, GError **error);

/* In FUNC: what "device" names, a drive's top or a node; VM_ERROR_DEVICE_NOT_FOUND. */
VmNode *vm_block_call_device (VmBlockCall *call, const char *device, GError **error);
VmNode *vm_block_call_node (VmBlockCall *call, const char *name, GError **error);
bool vm_block_call_is_drive (VmBlockCall *call, const char *device); /* with a medium in it */

/* --- actions ---------------------------------------------------------------------------------------------------- */

typedef struct VmAction
{
  const struct VmActionKind *kind;
  VmBlockCall *call;
  const void *args;   /* as the command of the same name has them */
  void *state;        /* kind->size bytes of zeros, freed with it */
  GPtrArray *drained; /* VmNode *, referenced */
  VmJobGroup *group;  /* of the jobs it starts; NULL: each for itself */
} VmAction;

typedef struct VmActionKind
{
  size_t size;
  /* All that can fail; what others could see comes with commit. */
  bool (*prepare) (VmAction *action, GError **error);
  void (*commit) (VmAction *action);
  void (*abort) (VmAction *action); /* of those whose prepare went well, the last first */
  void (*clean) (VmAction *action); /* in the end in any case */
} VmActionKind;

extern const VmActionKind vm_action_bitmap_add, vm_action_bitmap_remove, vm_action_bitmap_clear,
    vm_action_bitmap_enable, vm_action_bitmap_disable, vm_action_bitmap_merge, vm_action_blockdev_backup,
    vm_action_drive_backup, vm_action_snapshot, vm_action_snapshot_sync, vm_action_snapshot_internal;

/* Nobody uses NODE until the last action is done. */
void vm_action_drain (VmAction *action, VmNode *node);
/* A command that is one action. */
bool vm_action_run (VmMonitor *mon, const VmActionKind *kind, const void *args, GError **error);
