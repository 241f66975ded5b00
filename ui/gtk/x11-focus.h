/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the keyboard's focus goes while the keyboard is grabbed, which GDK does not tell on X11. */
#pragma once

#include <gdk/gdk.h>

typedef struct VmX11Focus VmX11Focus;

/* LOST is called when a window of ours has lost the focus while there is a grab. NULL: other displays need no watching. */
VmX11Focus *vm_x11_focus_watch (GdkDisplay *display, void (*lost) (gpointer opaque), gpointer opaque);
void vm_x11_focus_unwatch (VmX11Focus *watch); /* NULL: nothing */
