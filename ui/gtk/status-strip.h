/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The line below the tabs: what the machine does, how it is run, how big its picture is and who has the keyboard. */
#pragma once

#include "ui/gtk/display-widget.h"

#define VM_TYPE_STATUS_STRIP (vm_status_strip_get_type ())
G_DECLARE_FINAL_TYPE (VmStatusStrip, vm_status_strip, VM, STATUS_STRIP, GtkBox)

GtkWidget *vm_status_strip_new (VmSession *session);
void       vm_status_strip_add_tray (VmStatusStrip *self, GtkWidget *tray);
/* DISPLAY NULL: the tab has no picture. RELEASE: the keys that end the grab; NULL: there is none. */
void vm_status_strip_update (VmStatusStrip *self, VmDisplayWidget *display, const char *release);
