/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VGA core with Bochs VBE extensions, for the cards built on it: a plain struct without a bus. */
#pragma once

#include "engine/display/display.h"

#define VGA_CRTC_REGS 25
#define VBE_REGS 11

enum { /* VBE DISPI registers, after the Bochs VBE documentation */
  VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET,
  VBE_Y_OFFSET, VBE_MEMORY_64K,
};
enum { VBE_ENABLED = 1 << 0, VBE_GETCAPS = 1 << 1, VBE_8BIT_DAC = 1 << 5, VBE_LFB = 1 << 6, VBE_NOCLEARMEM = 1 << 7 };

typedef struct VgaCore {
  /* properties */
  uint32_t vgamem_mb;
  /* wiring */
  VmDevice  *dev;
  VmConsole *console;
  VmRegion   vram;          /* RAM */
  VmRegion   window;        /* A0000..BFFFF: the planar path */
  VmRegion   direct;        /* alias over the window where guest bytes are VRAM bytes */
  VmRegion   ports, vbe_ports;
  VmRegion  *memory, *io;   /* of the bus */
  uint32_t   vram_size;     /* power of two */
  uint32_t   max_xres, max_yres; /* of VBE modes; GETCAPS */
  /* guest state */
  uint8_t  misc, feature;
  uint8_t  sr_index, gr_index, cr_index, ar_index;
  uint8_t  sr[8], gr[16], cr[VGA_CRTC_REGS], ar[21];
  bool     ar_flip_flop;    /* the next write to 3C0 is data */
  uint32_t latch;
  uint8_t  dac_state, dac_sub, dac_write_index, dac_read_index, dac_mask, dac_cache[3];
  uint8_t  palette[768];
  uint16_t vbe_index, vbe[VBE_REGS];
  uint8_t  big_endian;      /* frame buffer byte order */
  /* what the picture was drawn with */
  uint32_t drawn[12];
  uint32_t colors[256];     /* palette as pixels */
  bool     palette_dirty, redraw_all, font_dirty;
  uint16_t *cells;          /* text mode: last character and attribute of each cell */
  size_t   n_cells;
  int      cursor_cell;     /* where the text cursor was drawn, -1: nowhere */
  bool     cells_told;      /* the console has them, with the cursor at: */
  int      cursor_told;
  unsigned long *dirty;     /* a bit a VRAM page */
} VgaCore;

extern const VmField vga_core_state[];

/* Makes VRAM, the legacy window and ports, and the console. UI_INFO: optional, for cards with EDID. */
bool vga_core_realize (VgaCore *vga, VmDevice *dev, VmRegion *memory, VmRegion *io, const VmConsoleOps *ops,
                       GError **error);
void vga_core_unrealize (VgaCore *vga);
void vga_core_reset (VgaCore *vga);
/* Derives mappings after registers changed at once (load of state). */
void vga_core_update_window (VgaCore *vga);

/* Register access by legacy port number 3B0..3DF, also for cards with memory-mapped twins. */
uint8_t  vga_port_read (VgaCore *vga, unsigned port);
void     vga_port_write (VgaCore *vga, unsigned port, uint8_t value);
uint16_t vga_vbe_read (VgaCore *vga, unsigned index);
void     vga_vbe_write (VgaCore *vga, unsigned index, uint16_t value);

/* The drawing half: brings the console's surface up to date. OPAQUE is the VgaCore. */
void vga_refresh (void *opaque);
void vga_invalidate (void *opaque);
extern const VmConsoleOps vga_console_ops;

static inline bool
vga_vbe_enabled (const VgaCore *vga)
{
  return vga->vbe[VBE_ENABLE] & VBE_ENABLED;
}
/* Bytes from one line of the VBE mode to the next. */
static inline uint32_t
vga_vbe_pitch (const VgaCore *vga)
{
  uint32_t width = vga->vbe[VBE_VIRT_WIDTH];

  return vga->vbe[VBE_BPP] == 4 ? width / 8 : width * ((vga->vbe[VBE_BPP] + 7) / 8);
}
