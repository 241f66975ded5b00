/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The window of a machine: menu bar, a tab per console, title. Every menu item is an action of the group "win". */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/session-bus.h"
#include "ui/gtk/ui-options.h"

#define VM_TYPE_MACHINE_WINDOW (vm_machine_window_get_type ())
G_DECLARE_FINAL_TYPE (VmMachineWindow, vm_machine_window, VM, MACHINE_WINDOW, GtkWindow)

GtkWidget *vm_machine_window_new (VmSession *session, const VmUiOptions *options);
/* Where others can ask for a window that is hidden; NULL: nowhere (any more). */
void vm_machine_window_set_bus (VmMachineWindow *self, VmSessionBus *bus);
/* The engine forgets it, and GTK is not asked: the display server has gone. */
void       vm_machine_window_abandon (VmMachineWindow *self);
/* What the session told, except its end, before which the window is destroyed. */
void       vm_machine_window_session_event (VmMachineWindow *self, VmSessionEvent event, const char *name,
                                            const char *data);
