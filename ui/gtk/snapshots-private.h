/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What snapshots that people take and the state that is saved when the window closes have in common. */
#pragma once

#include "ui/gtk/snapshots.h"

typedef struct Snapshot
{
  char *name;
  int64_t date, size; /* SIZE of the machine's state; 0: of disks only */
  guint n;            /* disks that have it */
} Snapshot;

struct VmSnapshots
{
  GtkWindow *parent;
  VmSession *session;
  VmJobs *jobs;
  GSettings *preferences;
  GPtrArray *nodes; /* char *: of disks that the machine may write */
  GPtrArray *files; /* char *: their images */
  char *reason;     /* why there can be no snapshots; NULL: there can */
  char *vmstate;
  GPtrArray *list;                                          /* Snapshot *, the oldest first */
  char *chosen;                                             /* what a question is about */
  char *doing;                                              /* what the job does, for the message when it fails */
  GtkWidget *dialog, *view, *note, *revert, *remove, *take; /* the list; NULL: not shown */
  void (*then) (VmSnapshots *self);                         /* once the engine has said what there is */
  GtkWidget *bars;                                          /* where it is said what was restored; NULL: nowhere */
  bool saving;                                              /* the machine's state, to end with it */
  bool was_running;                                         /* before it was stopped to be saved or restored */
};

/* Of a machine's window; NULL: it goes. */
VmSnapshots *vm_snapshots_of (gpointer window);
/* Fills in what there is. */
void vm_snapshots_ask (VmSnapshots *self, void (*then) (VmSnapshots *self));
/* The job COMMAND for snapshot TAG on all disks. TITLE: what is said meanwhile. ENDED's owner is the window. */
void vm_snapshots_start (VmSnapshots *self, const char *command, const char *tag, const char *title, VmJobEnded ended);
