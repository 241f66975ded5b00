/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EDID of an emulated monitor (VESA E-EDID 1.4 with one CTA-861 extension block). */
#pragma once

#include "engine/base/base.h"

typedef struct VmEdidInfo {
  const char *vendor;   /* three letters; NULL: our own */
  const char *name;     /* at most 13 characters; NULL: our own */
  const char *serial;
  uint32_t    width, height;     /* preferred mode */
  uint32_t    max_width, max_height; /* no mode beyond is listed; 0: no limit */
  uint32_t    width_mm, height_mm;   /* 0: as for 100 dots an inch */
  uint32_t    refresh_mhz;       /* millihertz; 0: 75 Hz */
} VmEdidInfo;

/* Fills OUT (at most SIZE bytes, a multiple of 128; needs at least 128). */
void vm_edid_make (const VmEdidInfo *info, uint8_t *out, size_t size);
