/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cirrus Logic CL-GD5446: a VGA with packed-pixel modes, a linear frame buffer, a BLT engine and a hardware cursor
 * (CL-GD5446 Technical Reference Manual). */
#pragma once

#include "devices/display/vga.h"

#define CIRRUS_ROW_MAX 0x2000 /* bytes of a line of a BLT */
#define CIRRUS_CURSOR_SIZE 1024

enum
{ /* extended graphics controller registers */
  GR_BG0 = 0x00,
  GR_FG0 = 0x01,
  GR_MODE_5 = 0x05,
  GR_OFFSET0 = 0x09,
  GR_OFFSET1 = 0x0a,
  GR_EXTENSIONS = 0x0b,
  GR_BG1 = 0x10,
  GR_FG1 = 0x11,
  GR_BG2 = 0x12,
  GR_FG2 = 0x13,
  GR_BG3 = 0x14,
  GR_FG3 = 0x15,
  GR_BLT_WIDTH = 0x20,
  GR_BLT_HEIGHT = 0x22,
  GR_BLT_DST_PITCH = 0x24,
  GR_BLT_SRC_PITCH = 0x26,
  GR_BLT_DST = 0x28,
  GR_BLT_SRC = 0x2c,
  GR_BLT_SKIP = 0x2f,
  GR_BLT_MODE = 0x30,
  GR_BLT_STATUS = 0x31,
  GR_BLT_ROP = 0x32,
  GR_BLT_MODE_EXT = 0x33,
  GR_BLT_KEY = 0x34,
  GR_BLT_KEY_MASK = 0x38,
  CIRRUS_GR_REGS = 0x40,
};
enum
{ /* GRB */
  GRB_DUAL_BANK = 1 << 0,
  GRB_BY8 = 1 << 1,
  GRB_WRITE_MODES = 1 << 2,
  GRB_LATCH8 = 1 << 3,
  GRB_WRITE16 = 1 << 4,
  GRB_BANK_16K = 1 << 5,
};
enum
{ /* GR30 */
  BLT_BACKWARDS = 1 << 0,
  BLT_DST_SYSTEM = 1 << 1,
  BLT_SRC_SYSTEM = 1 << 2,
  BLT_TRANSPARENT = 1 << 3,
  BLT_WIDTH_SHIFT = 4,
  BLT_PATTERN = 1 << 6,
  BLT_EXPAND = 1 << 7,
};
enum
{
  BLT_EXT_DWORDS = 1 << 0,
  BLT_EXT_INVERT = 1 << 1,
  BLT_EXT_SOLID = 1 << 2
}; /* GR33 */
enum
{ /* GR31 */
  BLT_BUSY = 1 << 0,
  BLT_START = 1 << 1,
  BLT_RESET = 1 << 2,
  BLT_PROGRESS = 1 << 3,
  BLT_BUFFERED = 1 << 4,
  BLT_AUTOSTART = 1 << 7,
};
enum
{
  SR_UNLOCK = 0x06,
  SR_EXTENDED = 0x07,
  SR_CURSOR_X = 0x10,
  SR_CURSOR_Y = 0x11,
  SR_CURSOR = 0x12,
  SR_CURSOR_PATTERN = 0x13,
  SR_CONFIG = 0x17,
  CIRRUS_SR_REGS = 0x20
};
enum
{
  SR12_CURSOR_ON = 1 << 0,
  SR12_CURSOR_COLORS = 1 << 1,
  SR12_CURSOR_64 = 1 << 2
};
enum
{
  SR17_MMIO = 1 << 2,
  SR17_MMIO_LINEAR = 1 << 6
};

typedef struct Cirrus
{
  /* properties */
  bool blitter;
  /* wiring */
  VmConsoleOps console_ops;
  VmRegion linear_window; /* BAR 0: all of it */
  VmRegion linear;        /* VRAM with what registers make of it */
  VmRegion linear_direct; /* VRAM itself, while they make nothing of it */
  VmRegion blt_data;      /* what is written there feeds a BLT */
  VmRegion mmio;
  VgaCore vga;
  uint8_t cursor_shown[CIRRUS_CURSOR_SIZE + 16];
  /* guest state */
  uint8_t sr_index, gr_index;
  uint8_t sr[CIRRUS_SR_REGS], gr[CIRRUS_GR_REGS], cr[0x40]; /* those that a VGA has not */
  uint8_t hidden_dac, hidden_dac_count;
  uint8_t cursor_palette[48];
  uint16_t cursor_x, cursor_y;
  /* a BLT from system memory under way */
  bool feeding;
  uint32_t feed_have, feed_need; /* bytes of FEED */
  uint32_t feed_row;
  uint8_t feed[CIRRUS_ROW_MAX + 4];
} Cirrus;

extern const VgaExtension cirrus_extension;
extern const VmField cirrus_state[];

static inline Cirrus *
cirrus_of (VgaCore *vga)
{
  return VM_CONTAINER_OF (vga, Cirrus, vga);
}
/* Packed pixels, which a VGA has not. */
static inline bool
cirrus_packed (const Cirrus *c)
{
  return c->sr[SR_EXTENDED] & 1;
}

/* cirrus-regs.c */
uint8_t cirrus_blt_reg_read (Cirrus *c, unsigned offset); /* as they lie in memory */
void cirrus_blt_reg_write (Cirrus *c, unsigned offset, uint8_t value);
void cirrus_write_gr (Cirrus *c, unsigned index, uint8_t value);
void cirrus_regs_reset (Cirrus *c);

/* cirrus.c: registers that say what memory is have changed. */
void cirrus_update_memory (Cirrus *c);
/* Are bytes of VRAM just that for the processor now? */
bool cirrus_plain_memory (const Cirrus *c);
uint8_t cirrus_linear_read (Cirrus *c, uint32_t at);
void cirrus_linear_write (Cirrus *c, uint32_t at, uint8_t value);

/* cirrus-blit.c */
void cirrus_blt_write_status (Cirrus *c, uint8_t value);
void cirrus_blt_reset (Cirrus *c);
void cirrus_blt_feed (Cirrus *c, uint8_t byte);
bool cirrus_blt_loaded (const Cirrus *c);
