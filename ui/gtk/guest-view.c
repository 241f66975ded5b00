/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Letterboxing arithmetic. */
#include "ui/gtk/guest-view.h"

#include <math.h>

void
vm_guest_view_wanted (const VmGuestView *view, int *width, int *height)
{
  *width = MAX (1, (int) ((int64_t) view->guest_width * view->zoom.percent * view->unit / 100));
  *height = MAX (1, (int) ((int64_t) view->guest_height * view->zoom.percent * view->unit / 100));
}

void
vm_guest_view_layout (VmGuestView *view)
{
  int width, height;

  view->rect = (VmRect) { 0 };
  if (!view->guest_width || !view->guest_height)
    return;
  if (view->zoom.mode != VM_ZOOM_FIXED)
    {
      double scale = MIN ((double) view->area_width / view->guest_width,
                          (double) view->area_height / view->guest_height);
      if (view->zoom.mode == VM_ZOOM_INTEGER && scale > 1)
        scale = floor (scale);
      width = MAX (1, (int) lround (view->guest_width * scale));
      height = MAX (1, (int) lround (view->guest_height * scale));
    }
  else
    {
      vm_guest_view_wanted (view, &width, &height);
    }
  view->rect = (VmRect) { MAX (0, (view->area_width - width) / 2), MAX (0, (view->area_height - height) / 2),
                          width, height };
}

bool
vm_guest_view_is_exact (const VmGuestView *view)
{
  return view->guest_width && view->rect.width % view->guest_width == 0
         && view->rect.height % view->guest_height == 0;
}

double
vm_guest_view_scale (const VmGuestView *view)
{
  return view->guest_width ? (double) view->rect.width / view->guest_width : 1;
}

bool
vm_guest_view_to_guest (const VmGuestView *view, double x, double y, int *guest_x, int *guest_y)
{
  const VmRect *rect = &view->rect;

  *guest_x = *guest_y = 0;
  if (!rect->width || !rect->height)
    return false;
  double gx = floor ((x - rect->x) * view->guest_width / rect->width);
  double gy = floor ((y - rect->y) * view->guest_height / rect->height);
  *guest_x = CLAMP (gx, 0, view->guest_width - 1);
  *guest_y = CLAMP (gy, 0, view->guest_height - 1);
  return *guest_x == gx && *guest_y == gy;
}

VmRect
vm_guest_view_from_guest (const VmGuestView *view, VmRect rect)
{
  const VmRect *to = &view->rect;
  int margin = vm_guest_view_is_exact (view) ? 0 : 1;

  if (!to->width || !to->height)
    return (VmRect) { 0 };
  double sx = (double) to->width / view->guest_width;
  double sy = (double) to->height / view->guest_height;
  int x = floor ((rect.x - margin) * sx);
  int y = floor ((rect.y - margin) * sy);
  int right = ceil ((rect.x + rect.width + margin) * sx);
  int bottom = ceil ((rect.y + rect.height + margin) * sy);

  /* One more host pixel where the neighbours are averaged when the picture shrinks. */
  return (VmRect) { to->x + x - margin, to->y + y - margin, right - x + 2 * margin, bottom - y + 2 * margin };
}
