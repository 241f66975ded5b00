/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots of the machine: taking one, and the list of those there are. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/jobs.h"

typedef struct VmSnapshots VmSnapshots;

VmSnapshots *vm_snapshots_new (GtkWindow *parent, VmSession *session, VmJobs *jobs, GSettings *preferences);
void vm_snapshots_free (VmSnapshots *self);
void vm_snapshots_take (VmSnapshots *self);        /* asks for a name */
void vm_snapshots_manage (VmSnapshots *self);      /* the list */
void vm_snapshots_revert_last (VmSnapshots *self); /* asks first */
