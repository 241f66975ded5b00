/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest's picture as a pixmap of the X server's in the very memory where the engine or the guest draws it
 * (MIT-SHM 1.2): nothing is copied on the way to the server. */
#pragma once

#include <gtk/gtk.h>

#include "engine/display/display.h"

/* NULL where there is no such thing: not X11, another host's server, a surface without a file, other pixels. */
cairo_surface_t *vm_shared_picture_new (GdkWindow *window, const VmSurface *surface);
