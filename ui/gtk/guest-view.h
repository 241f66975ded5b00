/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where on a widget the guest's picture lies. Everything is in device pixels of the host's screen, so that 100 %
 * is one guest pixel per host pixel at any desktop scale. */
#pragma once

#include "engine/display/display.h"

#define VM_ZOOM_MIN  25 /* per cent */
#define VM_ZOOM_MAX  400
#define VM_ZOOM_STEP 25

typedef enum VmZoomMode {
  VM_ZOOM_FIXED,   /* so many per cent */
  VM_ZOOM_FIT,     /* as big as fits, aspect kept */
  VM_ZOOM_INTEGER, /* the greatest whole multiple that fits; smaller than once: as FIT */
} VmZoomMode;

/* How pictures are shown, as the user chose. */
typedef struct VmZoom {
  VmZoomMode mode;
  unsigned   percent; /* of VM_ZOOM_FIXED */
  bool       logical; /* 100 % is a pixel of the desktop, which may be some of the screen's */
  bool       hints;   /* the guest is told how big its picture would best be */
} VmZoom;

typedef struct VmGuestView {
  int    guest_width, guest_height; /* 0: no picture */
  int    area_width, area_height;   /* of the widget */
  int    unit;                      /* device pixels of 100 % */
  VmZoom zoom;
  VmRect rect;                      /* the outcome: the picture on the area */
} VmGuestView;

void vm_guest_view_layout (VmGuestView *view); /* sets rect */
/* The size of the picture at the fixed zoom, whatever the area. */
void vm_guest_view_wanted (const VmGuestView *view, int *width, int *height);
/* Whether a guest pixel is a whole number of host pixels: drawn without smoothing. */
bool vm_guest_view_is_exact (const VmGuestView *view);
double vm_guest_view_scale (const VmGuestView *view);
/* A place on the area as a guest pixel, clamped to the picture; false when it was outside or there is no picture. */
bool vm_guest_view_to_guest (const VmGuestView *view, double x, double y, int *guest_x, int *guest_y);
/* The part of the area that shows guest rectangle RECT, with what smoothing drags along. */
VmRect vm_guest_view_from_guest (const VmGuestView *view, VmRect rect);
