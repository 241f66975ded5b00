/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The record of what changed on a surface and when: tiles with the serial of their last damage. Any number of
 * viewers can ask for "since serial N" without the console knowing them. */
#pragma once

#include "engine/display/display.h"

#define VM_DAMAGE_TILE 64 /* pixels a side: 4 KiB rows of 16 tiles at 1024 pixels */

typedef struct VmDamage {
  int       width, height; /* of the surface */
  int       columns, rows; /* of tiles */
  uint64_t *serials;
  uint64_t  serial;        /* of the newest damage */
} VmDamage;

VmRect   vm_rect_union (VmRect a, VmRect b);                         /* the smallest with both in it */
void     vm_damage_resize (VmDamage *damage, int width, int height); /* all damaged */
void     vm_damage_clear (VmDamage *damage);                         /* frees */
void     vm_damage_add (VmDamage *damage, int x, int y, int width, int height);
/* Rectangles newer than SERIAL, at most MAX, merged to fit; returns their number. */
unsigned vm_damage_since (const VmDamage *damage, uint64_t serial, VmRect *rects, unsigned max);
