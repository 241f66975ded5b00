/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws the guest's picture with OpenGL 3.2 or OpenGL ES 3.0: one texture that damaged rectangles are uploaded to.
 * Every call needs the context it was made in to be current. */
#pragma once

#include "ui/gtk/guest-view.h"

typedef struct VmGlPainter VmGlPainter;

VmGlPainter *vm_gl_painter_new (bool es, GError **error);
void vm_gl_painter_free (VmGlPainter *painter);
/* False: too big for this driver. What the texture shows is undefined until uploaded. */
bool vm_gl_painter_resize (VmGlPainter *painter, int width, int height);
/* The surface has the painter's size; the console is locked. */
void vm_gl_painter_upload (VmGlPainter *painter, const VmSurface *surface, const VmRect *rects, unsigned n);
/* Fills the viewport: letterbox, picture and, unless NULL, CURSOR with its hot spot at guest pixel X, Y. */
void vm_gl_painter_draw (VmGlPainter *painter, const VmGuestView *view, float brightness, const VmCursor *cursor,
                         int x, int y);
