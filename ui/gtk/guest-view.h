/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where on a widget the guest's picture lies. Everything is in device pixels of the host's screen, so that 100 %
 * is one guest pixel per host pixel at any desktop scale. */
#pragma once

#include "engine/display/display.h"

#define VM_ZOOM_MIN  25 /* per cent */
#define VM_ZOOM_MAX  400
#define VM_ZOOM_STEP 25

typedef struct VmGuestView {
  int      guest_width, guest_height; /* 0: no picture */
  int      area_width, area_height;   /* of the widget */
  bool     fit;                       /* as big as fits, aspect kept; else ZOOM */
  unsigned zoom;                      /* per cent */
  VmRect   rect;                      /* the outcome: the picture on the area */
} VmGuestView;

void vm_guest_view_layout (VmGuestView *view); /* sets rect */
/* The size of the picture at ZOOM, whatever the area. */
void vm_guest_view_wanted (const VmGuestView *view, int *width, int *height);
/* Whether a guest pixel is a whole number of host pixels: drawn without smoothing. */
bool vm_guest_view_is_exact (const VmGuestView *view);
double vm_guest_view_scale (const VmGuestView *view);
/* A place on the area as a guest pixel, clamped to the picture; false when it was outside or there is no picture. */
bool vm_guest_view_to_guest (const VmGuestView *view, double x, double y, int *guest_x, int *guest_y);
/* The part of the area that shows guest rectangle RECT, with what smoothing drags along. */
VmRect vm_guest_view_from_guest (const VmGuestView *view, VmRect rect);
