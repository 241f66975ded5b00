/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a tab holds: a graphic console or a terminal. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/guest-view.h"

#define VM_TYPE_PAGE (vm_page_get_type ())
G_DECLARE_DERIVABLE_TYPE (VmPage, vm_page, VM, PAGE, GtkOverlay)

struct _VmPageClass {
  GtkOverlayClass parent_class;
  void (*set_zoom) (VmPage *self, const VmZoom *zoom);
  void (*set_notice) (VmPage *self, const char *text, const char *start); /* NULL: cannot show one */
  void (*wanted_size) (VmPage *self, int *width, int *height);
  void (*focus) (VmPage *self);
};

const char *vm_page_title (VmPage *self);
void        vm_page_set_title (VmPage *self, const char *title);
void        vm_page_set_zoom (VmPage *self, const VmZoom *zoom);
/* Dims the picture and says TEXT over it; NULL: back to normal. START: what the button says that starts the machine again
 * (the action "win.start"), beside one for the log; NULL: no buttons. */
void        vm_page_set_notice (VmPage *self, const char *text, const char *start);
/* The room it takes to show all there is, in logical pixels. */
void        vm_page_wanted_size (VmPage *self, int *width, int *height);
void        vm_page_focus (VmPage *self); /* keys go to what it shows */
