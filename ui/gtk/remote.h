/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who else sees the machine: a VNC server of the window's own, for this computer only, and the viewers of all servers.
 */
#pragma once

#include <gtk/gtk.h>

#include "engine/machine/session.h"

typedef struct VmRemote VmRemote;

/* BARS: where it is said that somebody looks on. */
VmRemote *vm_remote_new (GtkWindow *parent, VmSession *session, GtkWidget *bars);
void vm_remote_free (VmRemote *self);
/* For the strip: there while somebody looks on. */
GtkWidget *vm_remote_button (VmRemote *self);
/* The dialog. */
void vm_remote_show (VmRemote *self);
/* An event of the monitor. */
void vm_remote_event (VmRemote *self, const char *name);
