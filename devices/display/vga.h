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

typedef struct VgaCore VgaCore;

typedef struct VgaMode { /* all that, when it changes, makes everything be drawn again */
  uint32_t width, height;  /* of the surface */
  uint32_t depth;          /* bits a pixel of VRAM: 0 text, 1 blank, 2 CGA, 4 planar, 8, 15, 16, 24, 32 */
  uint32_t start;          /* byte (linear) or plane byte of the first pixel */
  uint32_t pitch;          /* from one line to the next, in the same unit */
  uint32_t line_compare;   /* split screen; UINT32_MAX: none */
  uint32_t repeat;         /* surface lines per line of VRAM */
  uint32_t row_scan;       /* CR17 bits for CGA addressing | shift mode */
  uint32_t cell_width, cell_height;
  uint32_t pan;
  uint32_t flags;
} VgaMode;

/* What a card does otherwise. Each may be NULL, and says whether it did it; if not, it is as with a VGA. */
typedef struct VgaExtension {
  bool (*port_read) (VgaCore *vga, unsigned port, uint8_t *value);
  bool (*port_write) (VgaCore *vga, unsigned port, uint8_t value);
  /* ADDR counts from A0000h. */
  bool (*mem_read) (VgaCore *vga, uint32_t addr, uint8_t *value);
  bool (*mem_write) (VgaCore *vga, uint32_t addr, uint8_t value);
  /* Whether the window (its first SIZE bytes) is VRAM from OFFSET on, and nothing else; SIZE 0: no. */
  bool (*window) (VgaCore *vga, uint32_t *offset, uint32_t *size);
  /* MODE is what the VGA registers say. */
  void (*mode) (const VgaCore *vga, VgaMode *mode);
  bool no_vbe;             /* the card has no Bochs VBE registers */
} VgaExtension;

struct VgaCore {
  /* properties */
  uint32_t vgamem_mb;
  /* wiring */
  VmDevice  *dev;
  VmConsole *console;
  const VgaExtension *extension; /* of a card that is more than a VGA; or NULL */
  bool       own_console;
  bool       big_endian_at_reset;
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
  bool     big_endian;      /* frame buffer byte order */
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
  bool paging;              /* the guest shows now this, now that part of VRAM */
  unsigned rush, blind;     /* looks in a row that found all of the picture new; frames until the next look */
  unsigned written;         /* pages of the picture that the last look found new */
};
G_STATIC_ASSERT (sizeof (VgaMode) == sizeof ((VgaCore *) 0)->drawn);

extern const VmField vga_core_state[];

#define VGA_BIG_ENDIAN_PROP(type, core)                                                                                \
  VM_PROP_RT ("big-endian-framebuffer", type, core.big_endian, false, "pixels with their most significant byte first", \
              NULL)

/* Makes VRAM, the legacy window and ports (with MEMORY and IO), and the console: none with OPS NULL, it is the caller's
 * and there already. */
bool vga_core_realize (VgaCore *vga, VmDevice *dev, VmRegion *memory, VmRegion *io, const VmConsoleOps *ops,
                       GError **error);
void vga_core_unrealize (VgaCore *vga);
void vga_core_reset (VgaCore *vga);
/* Derives mappings from registers. */
void vga_core_update_window (VgaCore *vga);
/* After a load: all of them changed at once. False: they cannot be so. */
bool vga_core_loaded (VgaCore *vga, GError **error);

/* Register access by legacy port number 3B0..3DF, also for cards with memory-mapped twins. */
uint8_t  vga_port_read (VgaCore *vga, unsigned port);
void     vga_port_write (VgaCore *vga, unsigned port, uint8_t value);
/* A byte of the window at A0000h, through the planes. */
uint8_t  vga_window_read (VgaCore *vga, uint32_t addr);
void     vga_window_write (VgaCore *vga, uint32_t addr, uint8_t byte);
uint16_t vga_vbe_read (VgaCore *vga, unsigned index);
void     vga_vbe_write (VgaCore *vga, unsigned index, uint16_t value);

/* The drawing half: brings the console's surface up to date. OPAQUE is the VgaCore. */
void vga_refresh (void *opaque);
void vga_invalidate (void *opaque);
extern const VmConsoleOps vga_console_ops;

/* Bytes of VRAM changed other than by the guest's own stores. */
static inline void
vga_mark_written (VgaCore *vga, uint32_t offset, uint32_t len)
{
  vm_ram_written (vga->dev->env->memory, vga->vram.ram, offset, len);
}
static inline uint32_t
vga_rgb555 (unsigned v)
{
  unsigned r = v >> 10 & 31, g = v >> 5 & 31, b = v & 31;

  return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}
static inline uint32_t
vga_rgb565 (unsigned v)
{
  unsigned r = v >> 11 & 31, g = v >> 5 & 63, b = v & 31;

  return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}
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
