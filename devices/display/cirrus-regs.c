/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended registers of the CL-GD5446 (Technical Reference Manual, "Extension registers"), and what they make of the
 * window at A0000h and of the picture. */
#include "devices/display/cirrus.h"

enum
{
  UNLOCK_KEY = 0x12,
  LOCKED = 0x0f,
  CHIP_ID = 0xb8,
  MCLK = 0x2d,
  DRAM_4MIB = 0x98,
  BUS_PCI = 0x20
};
enum
{
  CR_OVERFLOW = 0x1b,
  CR_OVERLAY = 0x1d,
  CR_MISC = 0x1a,
  CR_ATTRIBUTE_TOGGLE = 0x24,
  CR_ATTRIBUTE_INDEX = 0x26,
  CR_CHIP_ID = 0x27
};
enum
{
  MMIO_WINDOW = 0x18000,
  MMIO_SIZE = 0x100
};

/* --- memory-mapped BLT registers ----------------------------------------------------------------------------- */

/* The graphics controller register at each offset; 0: none (register 0 is at offset 0 alone). */
static const uint8_t blt_map[0x41] = {
  [0x00] = GR_BG0,
  GR_BG1,
  GR_BG2,
  GR_BG3,
  GR_FG0,
  GR_FG1,
  GR_FG2,
  GR_FG3,
  [0x08] = GR_BLT_WIDTH,
  GR_BLT_WIDTH + 1,
  GR_BLT_HEIGHT,
  GR_BLT_HEIGHT + 1,
  [0x0c] = GR_BLT_DST_PITCH,
  GR_BLT_DST_PITCH + 1,
  GR_BLT_SRC_PITCH,
  GR_BLT_SRC_PITCH + 1,
  [0x10] = GR_BLT_DST,
  GR_BLT_DST + 1,
  GR_BLT_DST + 2,
  [0x14] = GR_BLT_SRC,
  GR_BLT_SRC + 1,
  GR_BLT_SRC + 2,
  GR_BLT_SKIP,
  GR_BLT_MODE,
  [0x1a] = GR_BLT_ROP,
  GR_BLT_MODE_EXT,
  GR_BLT_KEY,
  GR_BLT_KEY + 1,
  [0x20] = GR_BLT_KEY_MASK,
  GR_BLT_KEY_MASK + 1,
  [0x40] = GR_BLT_STATUS,
};

uint8_t
cirrus_blt_reg_read (Cirrus *c, unsigned offset)
{
  if (offset >= G_N_ELEMENTS (blt_map) || (offset && !blt_map[offset]))
    return 0xff;
  return c->gr[blt_map[offset]];
}

void
cirrus_blt_reg_write (Cirrus *c, unsigned offset, uint8_t value)
{
  if (offset < G_N_ELEMENTS (blt_map) && (!offset || blt_map[offset]))
    cirrus_write_gr (c, blt_map[offset], value);
}

/* --- sequencer and cursor -------------------------------------------------------------------------------------- */

static uint8_t
read_sr (Cirrus *c)
{
  unsigned index = c->sr_index & 0x1f;

  switch (index)
    {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return c->vga.sr[index];
    default:
      return c->sr[index];
    }
}

static void
write_sr (Cirrus *c, uint8_t value)
{
  static const uint8_t standard_mask[] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
  unsigned index = c->sr_index & 0x1f;

  switch (index)
    {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      c->vga.sr[index] = value & standard_mask[index];
      c->vga.font_dirty |= index == 3;
      break;
    case SR_UNLOCK:
      c->sr[SR_UNLOCK] = (value & 0x17) == UNLOCK_KEY ? UNLOCK_KEY : LOCKED;
      return;
    case SR_CURSOR_X: /* the low three bits come with the index */
      c->sr[index] = value;
      c->cursor_x = (uint16_t) (value << 3 | c->sr_index >> 5);
      return;
    case SR_CURSOR_Y:
      c->sr[index] = value;
      c->cursor_y = (uint16_t) (value << 3 | c->sr_index >> 5);
      return;
    case SR_CONFIG:
      c->sr[index] = (uint8_t) ((c->sr[index] & 0x38) | (value & 0xc7));
      break;
    default:
      c->sr[index] = value;
      break;
    }
  cirrus_update_memory (c);
}

/* --- graphics controller ------------------------------------------------------------------------------------------ */

static uint8_t
read_gr (const Cirrus *c)
{
  unsigned index = c->gr_index;

  if (index >= CIRRUS_GR_REGS)
    return 0xff;
  if (index <= 8 && index > GR_FG0 && index != GR_MODE_5)
    return c->vga.gr[index];
  return c->gr[index];
}

void
cirrus_write_gr (Cirrus *c, unsigned index, uint8_t value)
{
  static const uint8_t standard_mask[] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

  if (index >= CIRRUS_GR_REGS)
    return;
  if (index <= 8)
    {
      c->vga.gr[index] = value & standard_mask[index];
      c->gr[index] = index == GR_MODE_5 ? value & 0x7f : value; /* colours have eight bits, modes go to 5 */
      if (index == GR_MODE_5 || index == 6)
        cirrus_update_memory (c);
      return;
    }
  switch (index)
    {
    case GR_BLT_STATUS:
      cirrus_blt_write_status (c, value);
      return;
    case GR_OFFSET0:
    case GR_OFFSET1:
    case GR_EXTENSIONS:
      c->gr[index] = value;
      cirrus_update_memory (c);
      return;
    case GR_BLT_WIDTH + 1:
    case GR_BLT_DST_PITCH + 1:
    case GR_BLT_SRC_PITCH + 1:
    case GR_BLT_HEIGHT + 1:
      c->gr[index] = value & 0x1f;
      return;
    case GR_BLT_SRC + 2:
      c->gr[index] = value & 0x3f;
      return;
    case GR_BLT_DST + 2:
      c->gr[index] = value & 0x3f;
      if (c->gr[GR_BLT_STATUS] & BLT_AUTOSTART)
        {
          c->gr[GR_BLT_STATUS] &= (uint8_t) ~BLT_START;
          cirrus_blt_write_status (c, c->gr[GR_BLT_STATUS] | BLT_START);
        }
      return;
    default:
      c->gr[index] = value;
      return;
    }
}

/* --- CRT controller ---------------------------------------------------------------------------------------------- */

static bool
read_cr (const Cirrus *c, uint8_t *value)
{
  unsigned index = c->vga.cr_index;

  if (index < VGA_CRTC_REGS)
    return false;
  switch (index)
    {
    case 0x19:
    case CR_MISC:
    case CR_OVERFLOW:
    case 0x1c:
    case CR_OVERLAY:
    case 0x22:
    case 0x25:
      *value = c->cr[index];
      break;
    case CR_ATTRIBUTE_TOGGLE:
      *value = c->vga.ar_flip_flop ? 0x80 : 0;
      break;
    case CR_ATTRIBUTE_INDEX:
      *value = c->vga.ar_index & 0x3f;
      break;
    case CR_CHIP_ID:
      *value = CHIP_ID;
      break;
    default:
      *value = 0xff;
      break;
    }
  return true;
}

/* --- ports -----------------------------------------------------------------------------------------------------------
 */

/* After four reads of 3C6h, the fifth access there is to the hidden register. */
static bool
hidden_dac_read (Cirrus *c, uint8_t *value)
{
  if (++c->hidden_dac_count < 5)
    return false;
  c->hidden_dac_count = 0;
  *value = c->hidden_dac;
  return true;
}

static bool
cirrus_port_read (VgaCore *vga, unsigned port, uint8_t *value)
{
  Cirrus *c = cirrus_of (vga);

  if (port == 0x3c6)
    return hidden_dac_read (c, value);
  c->hidden_dac_count = 0;
  switch (port)
    {
    case 0x3c4:
      *value = c->sr_index;
      return true;
    case 0x3c5:
      *value = read_sr (c);
      return true;
    case 0x3c9:
      if (!(c->sr[SR_CURSOR] & SR12_CURSOR_COLORS))
        return false;
      *value = c->cursor_palette[(vga->dac_read_index & 15) * 3 + vga->dac_sub];
      if (++vga->dac_sub == 3)
        {
          vga->dac_sub = 0;
          vga->dac_read_index++;
        }
      return true;
    case 0x3ce:
      *value = c->gr_index;
      return true;
    case 0x3cf:
      *value = read_gr (c);
      return true;
    case 0x3b5:
    case 0x3d5:
      return read_cr (c, value);
    default:
      return false;
    }
}

static void
write_cursor_color (Cirrus *c, uint8_t value)
{
  VgaCore *vga = &c->vga;

  vga->dac_cache[vga->dac_sub] = value;
  if (++vga->dac_sub < 3)
    return;
  memcpy (c->cursor_palette + (vga->dac_write_index & 15) * 3, vga->dac_cache, 3);
  vga->dac_sub = 0;
  vga->dac_write_index++;
}

static bool
cirrus_port_write (VgaCore *vga, unsigned port, uint8_t value)
{
  Cirrus *c = cirrus_of (vga);
  unsigned count = c->hidden_dac_count;

  c->hidden_dac_count = 0;
  switch (port)
    {
    case 0x3c4:
      c->sr_index = value;
      vga->sr_index = value & 7;
      return true;
    case 0x3c5:
      write_sr (c, value);
      return true;
    case 0x3c6:
      if (count == 4)
        c->hidden_dac = value;
      return count == 4;
    case 0x3c9:
      if (c->sr[SR_CURSOR] & SR12_CURSOR_COLORS)
        write_cursor_color (c, value);
      return c->sr[SR_CURSOR] & SR12_CURSOR_COLORS;
    case 0x3ce:
      c->gr_index = value;
      vga->gr_index = value & 15;
      return true;
    case 0x3cf:
      cirrus_write_gr (c, c->gr_index, value);
      return true;
    case 0x3b5:
    case 0x3d5:
      if (vga->cr_index < VGA_CRTC_REGS)
        return false;
      if (vga->cr_index < sizeof c->cr)
        c->cr[vga->cr_index] = value;
      return true;
    default:
      return false;
    }
}

/* --- window at A0000h ------------------------------------------------------------------------------------------------
 */

/* The byte of VRAM behind ADDR; false: as with a VGA, or nothing. */
static bool
banked (const Cirrus *c, uint32_t addr, uint32_t *at)
{
  unsigned bank = (c->gr[GR_EXTENSIONS] & GRB_DUAL_BANK) && (addr & 0x8000) ? GR_OFFSET1 : GR_OFFSET0;
  unsigned shift = c->gr[GR_EXTENSIONS] & GRB_BANK_16K ? 14 : 12;

  if (!cirrus_packed (c) || addr >= 0x10000)
    return false;
  if (c->gr[GR_EXTENSIONS] & GRB_DUAL_BANK)
    addr &= 0x7fff;
  *at = ((uint32_t) c->gr[bank] << shift) + addr;
  return true;
}

static bool
in_mmio_window (const Cirrus *c, uint32_t addr)
{
  return (c->sr[SR_CONFIG] & (SR17_MMIO | SR17_MMIO_LINEAR)) == SR17_MMIO && addr >= MMIO_WINDOW
         && addr < MMIO_WINDOW + MMIO_SIZE;
}

static bool
cirrus_mem_read (VgaCore *vga, uint32_t addr, uint8_t *value)
{
  Cirrus *c = cirrus_of (vga);
  uint32_t at;

  if (in_mmio_window (c, addr))
    *value = cirrus_blt_reg_read (c, addr - MMIO_WINDOW);
  else if (banked (c, addr, &at))
    *value = cirrus_linear_read (c, at);
  else
    return false;
  return true;
}

static bool
cirrus_mem_write (VgaCore *vga, uint32_t addr, uint8_t value)
{
  Cirrus *c = cirrus_of (vga);
  uint32_t at;

  if (in_mmio_window (c, addr))
    cirrus_blt_reg_write (c, addr - MMIO_WINDOW, value);
  else if (c->feeding)
    cirrus_blt_feed (c, value);
  else if (banked (c, addr, &at))
    cirrus_linear_write (c, at, value);
  else
    return false;
  return true;
}

static bool
cirrus_window (VgaCore *vga, uint32_t *offset, uint32_t *size)
{
  Cirrus *c = cirrus_of (vga);
  uint32_t first = 0, second = 0;

  *offset = *size = 0;
  if (!cirrus_packed (c))
    return c->feeding;
  banked (c, 0, &first);
  banked (c, 0x8000, &second);
  if (!cirrus_plain_memory (c) || (vga->gr[6] >> 2 & 3) > 1 || second != first + 0x8000
      || first + 0x10000 > vga->vram_size)
    return true;
  *offset = first;
  *size = 0x10000;
  return true;
}

/* --- the picture ------------------------------------------------------------------------------ */

static unsigned
depth_of (const Cirrus *c)
{
  switch (c->sr[SR_EXTENDED] & 0x0e)
    {
    case 0x02:
    case 0x06:
      return c->hidden_dac & 0x0f ? 16 : 15; /* 5-6-5, or the 5-5-5 of the Sierra DAC */
    case 0x04:
      return 24;
    case 0x08:
      return 32;
    default:
      return 8;
    }
}

static void
cirrus_mode (const VgaCore *vga, VgaMode *mode)
{
  const Cirrus *c = VM_CONTAINER_OF (vga, Cirrus, vga);
  const uint8_t *cr = vga->cr;
  uint8_t overflow = c->cr[CR_OVERFLOW];
  uint32_t start = (uint32_t) (cr[0x0c] << 8 | cr[0x0d] | (overflow & 1) << 16 | (overflow & 0x0c) << 15
                               | (c->cr[CR_OVERLAY] & 0x80) << 12);
  uint32_t pitch = (uint32_t) (cr[0x13] | (overflow & 0x10) << 4) * 8;
  unsigned lines = (cr[0x12] | (cr[7] & 2) << 7 | (cr[7] & 0x40) << 3) + 1u;
  unsigned repeat = ((cr[9] & 0x1f) + 1u) * (cr[9] & 0x80 ? 2 : 1);

  if (!cirrus_packed (c) || !(vga->gr[6] & 1))
    {
      mode->start += (start & ~0xffffu) * (mode->depth == 8 ? 4 : 1);
      return;
    }
  if (c->cr[CR_MISC] & 1) /* interlaced: the registers count one field */
    lines *= 2;
  if (mode->depth != 1) /* not blank */
    mode->depth = depth_of (c);
  mode->width = (cr[1] + 1u) * 8;
  mode->height = MAX (lines / repeat, 1);
  mode->start = start * 4;
  mode->pitch = pitch;
  mode->repeat = 1;
  mode->row_scan = 3;
  mode->pan = 0;
}

const VgaExtension cirrus_extension = {
  .port_read = cirrus_port_read,
  .port_write = cirrus_port_write,
  .mem_read = cirrus_mem_read,
  .mem_write = cirrus_mem_write,
  .window = cirrus_window,
  .mode = cirrus_mode,
  .no_vbe = true,
};

/* --- life ------------------------------------------------------------------------------------- */

void
cirrus_regs_reset (Cirrus *c)
{
  memset (c->sr, 0, sizeof c->sr);
  memset (c->gr, 0, sizeof c->gr);
  memset (c->cr, 0, sizeof c->cr);
  memset (c->cursor_palette, 0, sizeof c->cursor_palette);
  c->sr_index = c->gr_index = 0;
  c->hidden_dac = c->hidden_dac_count = 0;
  c->cursor_x = c->cursor_y = 0;
  c->feeding = false;
  c->feed_have = c->feed_need = c->feed_row = 0;
  memset (c->feed, 0, sizeof c->feed);
  c->sr[SR_UNLOCK] = LOCKED;
  c->sr[0x0f] = DRAM_4MIB;
  c->sr[0x15] = 0x04;
  c->sr[SR_CONFIG] = BUS_PCI;
  c->sr[0x1f] = MCLK;
  c->gr[0x18] = 0x0f;
}

const VmField cirrus_state[] = { VM_FIELD_EMBED (Cirrus, vga, vga_core_state),
                                 VM_FIELD (Cirrus, sr_index),
                                 VM_FIELD (Cirrus, gr_index),
                                 VM_FIELD_ARRAY (Cirrus, sr),
                                 VM_FIELD_ARRAY (Cirrus, gr),
                                 VM_FIELD_ARRAY (Cirrus, cr),
                                 VM_FIELD (Cirrus, hidden_dac),
                                 VM_FIELD (Cirrus, hidden_dac_count),
                                 VM_FIELD_ARRAY (Cirrus, cursor_palette),
                                 VM_FIELD (Cirrus, cursor_x),
                                 VM_FIELD (Cirrus, cursor_y),
                                 VM_FIELD (Cirrus, feeding),
                                 VM_FIELD (Cirrus, feed_have),
                                 VM_FIELD (Cirrus, feed_need),
                                 VM_FIELD (Cirrus, feed_row),
                                 VM_FIELD_ARRAY (Cirrus, feed),
                                 { 0 } };
