/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections that "yank" can end. Those of character devices are known to the monitor; others have their own in the
 * folder /yank of the object tree. */
#pragma once

#include "engine/object/object.h"
#include "engine/schema/types.h"

typedef struct VmYankSource
{
  VmObject parent;
  void (*list) (void *opaque, GPtrArray *instances); /* VmqYankInstance * */
  /* False: INSTANCE is none of these. END false: only asks. */
  bool (*yank) (void *opaque, const VmqYankInstance *instance, bool end);
  void *opaque;
} VmYankSource;

/* ROOT keeps it; NAME in the folder. */
VmYankSource *vm_yank_source_add (VmObject *root, const char *name);
