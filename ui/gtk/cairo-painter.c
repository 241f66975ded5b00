/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The picture as a cairo image surface. */
#include "ui/gtk/cairo-painter.h"

#include "engine/base/base.h"

void
vm_cairo_painter_clear (VmCairoPainter *painter)
{
  g_clear_pointer (&painter->copy, cairo_surface_destroy);
}

bool
vm_cairo_painter_resize (VmCairoPainter *painter, int width, int height)
{
  if (painter->copy && cairo_image_surface_get_width (painter->copy) == width
      && cairo_image_surface_get_height (painter->copy) == height)
    return true;
  vm_cairo_painter_clear (painter);
  cairo_surface_t *copy = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  if (cairo_surface_status (copy) != CAIRO_STATUS_SUCCESS)
    {
      cairo_surface_destroy (copy);
      return false;
    }
  painter->copy = copy;
  return true;
}

void
vm_cairo_painter_upload (VmCairoPainter *painter, const VmSurface *surface, const VmRect *rects, unsigned n)
{
  cairo_surface_flush (painter->copy);
  uint8_t *data = cairo_image_surface_get_data (painter->copy);
  int stride = cairo_image_surface_get_stride (painter->copy);

  for (unsigned i = 0; i < n; i++)
    {
      const VmRect *rect = &rects[i];

      for (int y = rect->y; y < rect->y + rect->height; y++)
        memcpy (data + (size_t) y * stride + rect->x * 4, surface->data + (size_t) y * surface->stride + rect->x * 4,
                rect->width * 4);
      cairo_surface_mark_dirty_rectangle (painter->copy, rect->x, rect->y, rect->width, rect->height);
    }
}

cairo_surface_t *
vm_cairo_cursor_surface (const VmCursor *cursor)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_ARGB32, cursor->width, cursor->height);

  if (cairo_surface_status (surface) == CAIRO_STATUS_SUCCESS)
    {
      uint8_t *data = cairo_image_surface_get_data (surface);
      int stride = cairo_image_surface_get_stride (surface);

      for (int y = 0; y < cursor->height; y++)
        memcpy (data + (size_t) y * stride, cursor->data + (size_t) y * cursor->width, cursor->width * 4);
      cairo_surface_mark_dirty (surface);
    }
  return surface;
}

static void
painter_draw_cursor (cairo_t *cr, const VmCursor *cursor, int x, int y)
{
  cairo_surface_t *surface = vm_cairo_cursor_surface (cursor);

  cairo_set_source_surface (cr, surface, x - cursor->hot_x, y - cursor->hot_y);
  cairo_pattern_set_filter (cairo_get_source (cr), CAIRO_FILTER_NEAREST);
  cairo_paint (cr);
  cairo_surface_destroy (surface);
}

void
vm_cairo_painter_draw (VmCairoPainter *painter, cairo_t *cr, const VmGuestView *view, double brightness,
                       const VmCursor *cursor, int x, int y)
{
  const VmRect *rect = &view->rect;

  cairo_set_source_rgb (cr, 0, 0, 0);
  cairo_paint (cr);
  if (!painter->copy || !rect->width)
    return;

  cairo_rectangle (cr, rect->x, rect->y, rect->width, rect->height);
  cairo_clip (cr);
  cairo_translate (cr, rect->x, rect->y);
  cairo_scale (cr, (double) rect->width / view->guest_width, (double) rect->height / view->guest_height);
  cairo_set_source_surface (cr, painter->copy, 0, 0);
  cairo_pattern_set_extend (cairo_get_source (cr), CAIRO_EXTEND_PAD);
  cairo_pattern_set_filter (cairo_get_source (cr), vm_guest_view_is_exact (view)    ? CAIRO_FILTER_NEAREST
                                                   : vm_guest_view_scale (view) < 1 ? CAIRO_FILTER_GOOD
                                                                                    : CAIRO_FILTER_BILINEAR);
  cairo_paint (cr);
  if (cursor)
    painter_draw_cursor (cr, cursor, x, y);
  if (brightness < 1)
    {
      cairo_set_source_rgba (cr, 0, 0, 0, 1 - brightness);
      cairo_paint (cr);
    }
}
