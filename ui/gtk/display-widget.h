/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A widget that shows one console: pulls what the guest changed on its own frame tick and draws it with OpenGL or
 * cairo. What the user does on it is the input controller's affair. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/guest-view.h"
#include "ui/gtk/ui-options.h"

/* What the host's pointer looks like over the picture. */
typedef enum VmPointerLook {
  VM_POINTER_HOST,  /* the host's own */
  VM_POINTER_GUEST, /* the guest's cursor; none if the guest draws it into the picture */
  VM_POINTER_DRAWN, /* none: it is captured, and the guest's cursor is drawn where the guest wants it */
} VmPointerLook;

#define VM_TYPE_DISPLAY_WIDGET (vm_display_widget_get_type ())
G_DECLARE_FINAL_TYPE (VmDisplayWidget, vm_display_widget, VM, DISPLAY_WIDGET, GtkEventBox)

GtkWidget *vm_display_widget_new (VmSession *session, VmConsole *console, const VmUiOptions *options);
VmConsole *vm_display_widget_console (VmDisplayWidget *self);
VmSession *vm_display_widget_session (VmDisplayWidget *self);
/* False until the guest has set a mode. Signal "resized" tells of this and of every new size. */
bool       vm_display_widget_has_picture (VmDisplayWidget *self);
void       vm_display_widget_guest_size (VmDisplayWidget *self, int *width, int *height);
void       vm_display_widget_set_zoom (VmDisplayWidget *self, const VmZoom *zoom);
void       vm_display_widget_set_dimmed (VmDisplayWidget *self, bool dimmed);
void       vm_display_widget_set_pointer (VmDisplayWidget *self, VmPointerLook look);
/* Widget coordinates (logical) to a guest pixel, clamped; false outside the picture. */
bool       vm_display_widget_to_guest (VmDisplayWidget *self, double x, double y, int *guest_x, int *guest_y);
/* Guest pixels per logical pixel. */
double     vm_display_widget_pixel_ratio (VmDisplayWidget *self);
/* The engine forgets it, and GTK is not asked: the display server has gone. */
void       vm_display_widget_abandon (VmDisplayWidget *self);
/* Says to screen readers what is shown: "1280 by 800, running". */
void       vm_display_widget_describe (VmDisplayWidget *self, const char *state);
