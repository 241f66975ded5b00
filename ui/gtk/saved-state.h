/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine that is closed with its state saved, and goes on from there at its next start. */
#pragma once

#include "ui/gtk/snapshots.h"

/* Ends the program once the state is in the disk images. Says why when it cannot be; then the machine goes on. */
void vm_saved_state_save (VmSnapshots *self);
/* Once the window is there: restores what was saved the last time. When images were written since, it asks. */
void vm_saved_state_restore (VmSnapshots *self, GtkWidget *bars);
