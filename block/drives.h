/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The folder of drives: their graph, and who is told of errors. */
#pragma once

#include "block/front.h"

typedef struct VmDrives
{
  VmObject parent;
  VmLoop *loop;
  VmBlockGraph *graph;
  /* STATUS a negative errno value. Device's loop. NULL: nobody is told, and nothing stops. */
  void (*failed) (void *opaque, VmDrive *drive, bool read, VmBlockErrorAction action, int status);
  void *opaque;
  GAsyncQueue *events; /* of the graph, on their way to monitors */
} VmDrives;

VmDrives *vm_drives_find (VmObject *root); /* NULL: no drive and no node yet */
VmDrives *vm_drives_get (VmObject *root, VmLoop *loop);
/* What -drive means by its keys; TO borrows of SPEC, its options are new. */
struct VmDriveSpec;
bool vm_drive_options_of (const struct VmDriveSpec *spec, VmDriveOptions *to, VmThrottleConfig *throttle,
                          GError **error);
/* An overlay in a temporary file over BASE; the reference is the caller's. In a fiber. */
VmNode *vm_drive_overlay (VmNode *base, GError **error);
/* The medium on terms of OPTIONS over a node that is open; takes no reference. */
VmBlock *vm_drive_block_of (VmDrive *drive, VmNode *node);
/* Puts BLOCK into DRIVE, whose user may have it; takes the reference when it says true. */
bool vm_drive_insert (VmDrive *drive, VmBlock *block, GError **error);
