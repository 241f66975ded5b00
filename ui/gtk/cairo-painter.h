/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws the guest's picture with cairo, for hosts without OpenGL: a copy of the picture that damaged rectangles are
 * written to. */
#pragma once

#include <cairo.h>

#include "ui/gtk/guest-view.h"

typedef struct VmCairoPainter {
  cairo_surface_t *copy; /* NULL: no picture */
} VmCairoPainter;

void vm_cairo_painter_clear (VmCairoPainter *painter);
/* False: no memory. */
bool vm_cairo_painter_resize (VmCairoPainter *painter, int width, int height);
/* The surface has the painter's size; the console is locked. */
void vm_cairo_painter_upload (VmCairoPainter *painter, const VmSurface *surface, const VmRect *rects, unsigned n);
/* CR is in device pixels. As vm_gl_painter_draw(). */
void vm_cairo_painter_draw (VmCairoPainter *painter, cairo_t *cr, const VmGuestView *view, double brightness,
                            const VmCursor *cursor, int x, int y);
/* A cursor's picture as a surface of its own. */
cairo_surface_t *vm_cairo_cursor_surface (const VmCursor *cursor);
