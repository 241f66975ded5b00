/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The picture as cairo's sources. */
#include "config.h"

#include "ui/gtk/cairo-painter.h"

#include "engine/base/base.h"
#include "ui/gtk/shared-picture.h"

void
vm_cairo_painter_clear (VmCairoPainter *painter)
{
  g_clear_pointer (&painter->shared, cairo_surface_destroy);
  g_clear_pointer (&painter->image, cairo_surface_destroy);
  g_clear_pointer (&painter->surface, vm_surface_unref);
}

void
vm_cairo_painter_set_surface (VmCairoPainter *painter, GdkWindow *window, VmSurface *surface)
{
  if (painter->surface != surface)
    {
      vm_cairo_painter_clear (painter);
      painter->surface = vm_surface_ref (surface);
      painter->image = cairo_image_surface_create_for_data (surface->data, CAIRO_FORMAT_RGB24, surface->width,
                                                            surface->height, surface->stride);
      painter->shared = vm_shared_picture_new (window, surface);
    }
  cairo_surface_mark_dirty (painter->image);
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
  bool exact = vm_guest_view_is_exact (view);
  cairo_rectangle_int_t clip;

  /* The black around the picture, if there is any. */
  if (!painter->surface || !rect->width || !gdk_cairo_get_clip_rectangle (cr, &clip) || clip.x < rect->x
      || clip.y < rect->y || clip.x + clip.width > rect->x + rect->width
      || clip.y + clip.height > rect->y + rect->height)
    {
      cairo_set_source_rgb (cr, 0, 0, 0);
      cairo_paint (cr);
    }
  if (!painter->surface || !rect->width)
    return;

  cairo_rectangle (cr, rect->x, rect->y, rect->width, rect->height);
  cairo_clip (cr);
  cairo_translate (cr, rect->x, rect->y);
  cairo_scale (cr, (double) rect->width / view->guest_width, (double) rect->height / view->guest_height);
  /* What servers smooth is not as good as what cairo does. */
  cairo_set_source_surface (cr, exact && painter->shared ? painter->shared : painter->image, 0, 0);
  cairo_pattern_set_extend (cairo_get_source (cr), exact ? CAIRO_EXTEND_NONE : CAIRO_EXTEND_PAD);
  cairo_pattern_set_filter (cairo_get_source (cr), exact                            ? CAIRO_FILTER_NEAREST
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
