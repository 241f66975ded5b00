/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Long work of the engine, a row each: what, how far, how fast, how long yet, and a button that ends it. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/call.h"

/* Signal "ended", of what took long: title, and what went wrong (NULL: nothing that is known of). */
#define VM_TYPE_JOBS (vm_jobs_get_type ())
G_DECLARE_FINAL_TYPE (VmJobs, vm_jobs, VM, JOBS, GtkBox)

GtkWidget *vm_jobs_new (VmSession *session);
/* ERROR NULL: it went well. */
typedef void (*VmJobEnded) (gpointer owner, const char *error);
/* Our own job, by the command that starts it; its arguments have "job-id": vm_jobs_new_id(). Takes ARGUMENTS. ENDED is
 * told once, also when it does not begin. OWNER is an object that stays until then. */
void vm_jobs_start (VmJobs *self, const char *command, json_object *arguments, const char *title, gpointer owner,
                    VmJobEnded ended);
char *vm_jobs_new_id (VmJobs *self);
/* An event of the monitor; those about jobs are taken note of. */
void vm_jobs_event (VmJobs *self, const char *name, const char *data);
