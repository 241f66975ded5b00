/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of VGA cards in memory (the published "standard VGA" interface): EDID at 0, VGA ports at 400h, VBE
 * registers at 500h, extended registers at 600h. */
#pragma once

#include "devices/display/vga.h"

#define VGA_EDID_SIZE 256

typedef struct VgaMmio
{
  /* properties */
  bool edid, extended_regs;
  uint32_t xres, yres, xmax, ymax, refresh_rate;
  /* wiring */
  bool no_ports; /* a card without a VGA: VBE registers only */
  VmRegion region;
  VmConsoleOps console_ops;
  uint8_t edid_data[VGA_EDID_SIZE];
  VgaCore vga;
} VgaMmio;

extern const VmProp vga_mmio_edid_props[]; /* edid, xres, yres, xmax, ymax, refresh_rate */

/* The region, and the console's operations: with EDID, viewers' wishes go there. */
void vga_mmio_init (VgaMmio *mmio, VmMemory *memory, const char *name);
/* Once VRAM has its size: what it says of the monitor. */
void vga_mmio_make_edid (VgaMmio *mmio, const VmUiInfo *ui);
