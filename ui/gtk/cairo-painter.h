/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws the guest's picture with cairo, for hosts without OpenGL, right out of the console's surface. The engine and
 * the guest may draw there meanwhile: what is torn by that is damaged again right after. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/guest-view.h"

typedef struct VmCairoPainter {
  VmSurface *surface;      /* NULL: no picture */
  cairo_surface_t *image;  /* its pixels */
  cairo_surface_t *shared; /* its pixels for the display server; NULL: it cannot look there */
} VmCairoPainter;

void vm_cairo_painter_clear (VmCairoPainter *painter);
/* WINDOW: what will be drawn on. */
void vm_cairo_painter_set_surface (VmCairoPainter *painter, GdkWindow *window, VmSurface *surface);
/* CR is in device pixels. As vm_gl_painter_draw(). */
void vm_cairo_painter_draw (VmCairoPainter *painter, cairo_t *cr, const VmGuestView *view, double brightness,
                            const VmCursor *cursor, int x, int y);
/* A cursor's picture as a surface of its own. */
cairo_surface_t *vm_cairo_cursor_surface (const VmCursor *cursor);
