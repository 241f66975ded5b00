/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VGA registers and memory paths (IBM VGA XGA Technical Reference Manual, section 2; the Bochs VBE interface). VRAM
 * byte 4 * N + P is byte N of plane P. */
#include "devices/display/vga.h"

#define WINDOW_BASE 0xa0000u
#define WINDOW_SIZE 0x20000u
#define VBE_ID_MIN  0xb0c0
#define VBE_ID_MAX  0xb0c5

enum { SR_RESET, SR_CLOCKING, SR_PLANE_WRITE, SR_CHAR_MAP, SR_MEMORY_MODE };
enum { SR4_EXTENDED = 1 << 1, SR4_SEQUENTIAL = 1 << 2, SR4_CHAIN4 = 1 << 3 };
enum { GR_SET_RESET, GR_ENABLE_SET_RESET, GR_COLOR_COMPARE, GR_ROTATE, GR_READ_PLANE, GR_MODE, GR_MISC,
       GR_COLOR_DONT_CARE, GR_BIT_MASK };
enum { GR5_READ_COMPARE = 1 << 3, GR5_ODD_EVEN = 1 << 4 };

static const uint8_t sr_mask[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
static const uint8_t gr_mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

/* --- memory window ------------------------------------------------------------------------------ */

/* Place of CPU address ADDR (from A0000) in the selected map; false: not decoded. */
static bool
vga_map_address (const VgaCore *vga, uint32_t *addr)
{
  switch (vga->gr[GR_MISC] >> 2 & 3)
    {
    case 0:
      return true;
    case 1:
      if (*addr >= 0x10000)
        return false;
      *addr += (uint32_t) vga->vbe[VBE_BANK] << 16;
      return true;
    case 2:
      *addr -= 0x10000;
      return *addr < 0x8000;
    default:
      *addr -= 0x18000;
      return *addr < 0x8000;
    }
}

static uint32_t
vga_expand (unsigned planes)
{
  static const uint32_t masks[16] = {
    0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
    0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
  };

  return masks[planes & 15];
}

static uint8_t *
vga_vram (VgaCore *vga)
{
  return vga->vram.ram->host;
}

uint8_t
vga_window_read (VgaCore *vga, uint32_t addr)
{
  const uint8_t *vram = vga_vram (vga);

  if (!vga_map_address (vga, &addr))
    return 0xff;
  if (vga->sr[SR_MEMORY_MODE] & SR4_CHAIN4)
    return vram[addr & (vga->vram_size - 1)];
  if (vga->gr[GR_MODE] & GR5_ODD_EVEN)
    {
      unsigned plane = (vga->gr[GR_READ_PLANE] & 2) | (addr & 1);

      return vram[((addr & ~1u) << 1 | plane) & (vga->vram_size - 1)];
    }

  vga->latch = vm_load_le32 (vram + ((addr << 2) & (vga->vram_size - 1)));
  if (!(vga->gr[GR_MODE] & GR5_READ_COMPARE))
    return vga->latch >> (vga->gr[GR_READ_PLANE] & 3) * 8;

  uint32_t differ = (vga->latch ^ vga_expand (vga->gr[GR_COLOR_COMPARE])) & vga_expand (vga->gr[GR_COLOR_DONT_CARE]);

  differ |= differ >> 16;
  differ |= differ >> 8;
  return ~differ;
}

/* The data path of a planar write: rotate, set/reset, logical function, bit mask (manual, "Write modes"). */
static uint32_t
vga_write_data (const VgaCore *vga, uint8_t byte)
{
  unsigned mode = vga->gr[GR_MODE] & 3, rotate = vga->gr[GR_ROTATE] & 7;
  uint8_t rotated = byte >> rotate | byte << (8 - rotate);
  uint32_t mask = vga->gr[GR_BIT_MASK] * 0x01010101u;
  uint32_t data;

  switch (mode)
    {
    case 1:
      return vga->latch;
    case 0:
      {
        uint32_t enable = vga_expand (vga->gr[GR_ENABLE_SET_RESET]);

        data = ((rotated * 0x01010101u) & ~enable) | (vga_expand (vga->gr[GR_SET_RESET]) & enable);
        break;
      }
    case 2:
      data = vga_expand (byte);
      break;
    default:
      mask = (vga->gr[GR_BIT_MASK] & rotated) * 0x01010101u;
      data = vga_expand (vga->gr[GR_SET_RESET]);
      break;
    }
  switch (vga->gr[GR_ROTATE] >> 3 & 3)
    {
    case 1:
      data &= vga->latch;
      break;
    case 2:
      data |= vga->latch;
      break;
    case 3:
      data ^= vga->latch;
      break;
    }
  return (data & mask) | (vga->latch & ~mask);
}

void
vga_window_write (VgaCore *vga, uint32_t addr, uint8_t byte)
{
  uint8_t *vram = vga_vram (vga);
  unsigned planes = vga->sr[SR_PLANE_WRITE] & 15;
  uint32_t at;

  if (!vga_map_address (vga, &addr))
    return;
  if (vga->sr[SR_MEMORY_MODE] & SR4_CHAIN4)
    {
      at = addr & (vga->vram_size - 1);
      if (!(planes & 1u << (addr & 3)))
        return;
      vram[at] = byte;
      vga_mark_written (vga, at, 1);
      return;
    }
  if (vga->gr[GR_MODE] & GR5_ODD_EVEN)
    {
      /* Even addresses go to planes 0 and 2, odd ones to 1 and 3. */
      planes &= addr & 1 ? 0xa : 0x5;
      addr &= ~1u;
      at = (addr << 1) & (vga->vram_size - 1) & ~3u;
      for (unsigned plane = 0; plane < 4; plane++)
        if (planes & 1u << plane)
          vram[at | plane] = byte;
    }
  else
    {
      uint32_t mask = vga_expand (planes);
      uint32_t data = vga_write_data (vga, byte);

      at = (addr << 2) & (vga->vram_size - 1);
      vm_store_le32 (vram + at, (vm_load_le32 (vram + at) & ~mask) | (data & mask));
    }
  if (planes & 4)
    vga->font_dirty = true;
  vga_mark_written (vga, at, 4);
}

static uint64_t
vga_mem_read (void *opaque, uint64_t offset, unsigned size)
{
  VgaCore *vga = opaque;
  uint8_t value;

  if (vga->extension && vga->extension->mem_read && vga->extension->mem_read (vga, (uint32_t) offset, &value))
    return value;
  return vga_window_read (vga, (uint32_t) offset);
}

static void
vga_mem_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VgaCore *vga = opaque;

  if (!vga->extension || !vga->extension->mem_write
      || !vga->extension->mem_write (vga, (uint32_t) offset, (uint8_t) value))
    vga_window_write (vga, (uint32_t) offset, (uint8_t) value);
}

static const VmRegionOps vga_mem_ops = {
  .read = vga_mem_read,
  .write = vga_mem_write,
  .valid = { .min = 1, .max = 8, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

/* Where all planes are written byte by byte, the window is VRAM itself: no trap per access. */
static void
vga_direct_window (const VgaCore *vga, uint32_t *offset, uint32_t *size)
{
  unsigned map = vga->gr[GR_MISC] >> 2 & 3;
  uint32_t bank = map == 1 ? (uint32_t) vga->vbe[VBE_BANK] << 16 : 0;
  bool direct = (vga->sr[SR_MEMORY_MODE] & SR4_CHAIN4) && (vga->sr[SR_PLANE_WRITE] & 15) == 15 && map < 2
                && bank + 0x10000 <= vga->vram_size;

  *offset = bank;
  *size = !direct ? 0 : map == 0 ? WINDOW_SIZE : 0x10000;
}

void
vga_core_update_window (VgaCore *vga)
{
  uint32_t offset = 0, size = 0;

  if (!vga->memory)
    return;
  if (!vga->extension || !vga->extension->window || !vga->extension->window (vga, &offset, &size))
    vga_direct_window (vga, &offset, &size);
  if (vga->direct.enabled == (size != 0)
      && (!size || (vga->direct.alias_offset == offset && vga->direct.size == size)))
    return;
  vm_memory_begin (vga->dev->env->memory);
  if (size)
    {
      vm_region_set_alias_offset (&vga->direct, offset);
      vm_region_set_size (&vga->direct, size);
    }
  vm_region_set_enabled (&vga->direct, size != 0);
  vm_memory_commit (vga->dev->env->memory);
}

/* --- Bochs VBE ----------------------------------------------------------------------------------- */

static bool
vbe_bpp_valid (unsigned bpp)
{
  return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Keeps offsets and sizes such that every pixel of the mode lies inside VRAM. */
static void
vbe_fix (VgaCore *vga)
{
  uint16_t *r = vga->vbe;
  uint32_t pitch, lines;

  if (!vbe_bpp_valid (r[VBE_BPP]))
    r[VBE_BPP] = 8;
  r[VBE_XRES] = CLAMP (r[VBE_XRES] & ~7, 8, (int) vga->max_xres & ~7);
  r[VBE_VIRT_WIDTH] = CLAMP (r[VBE_VIRT_WIDTH] & ~7, r[VBE_XRES], 0xfff8);
  r[VBE_YRES] = CLAMP (r[VBE_YRES], 1, (int) vga->max_yres);
  pitch = vga_vbe_pitch (vga) * (r[VBE_BPP] == 4 ? 4 : 1);
  lines = vga->vram_size / pitch;
  if (lines < r[VBE_YRES])
    {
      /* Too big: first drop the virtual width, then lines. */
      r[VBE_VIRT_WIDTH] = r[VBE_XRES];
      pitch = vga_vbe_pitch (vga) * (r[VBE_BPP] == 4 ? 4 : 1);
      lines = vga->vram_size / pitch;
      r[VBE_YRES] = MIN (r[VBE_YRES], lines);
    }
  r[VBE_VIRT_HEIGHT] = MIN (lines, 0xffff);
  if (r[VBE_Y_OFFSET] + r[VBE_YRES] > lines)
    r[VBE_Y_OFFSET] = lines - r[VBE_YRES];
  /* A line that begins in the middle of one ends in the next, if there is one: Linux's driver puts pictures at any page. */
  if (r[VBE_X_OFFSET] + r[VBE_XRES] > r[VBE_VIRT_WIDTH]
      && (r[VBE_X_OFFSET] >= r[VBE_VIRT_WIDTH] || r[VBE_Y_OFFSET] + r[VBE_YRES] + 1u > lines))
    r[VBE_X_OFFSET] = r[VBE_VIRT_WIDTH] - r[VBE_XRES];
}

/* The legacy registers follow, so that the VGA BIOS and old programs find a matching mode. */
static void
vbe_update_vga (VgaCore *vga)
{
  const uint16_t *r = vga->vbe;
  unsigned height = r[VBE_YRES] - 1;

  vga->gr[GR_MISC] = (vga->gr[GR_MISC] & ~0x0c) | 0x05; /* graphics, A0000 64 KiB */
  vga->cr[0x17] |= 3;
  vga->cr[0x13] = vga_vbe_pitch (vga) / (r[VBE_BPP] == 4 ? 2 : 8);
  vga->cr[0x01] = r[VBE_XRES] / 8 - 1;
  vga->cr[0x12] = height;
  vga->cr[0x07] = (vga->cr[0x07] & ~0x42) | (height >> 7 & 0x02) | (height >> 3 & 0x40);
  vga->cr[0x18] = 0xff; /* no split screen */
  vga->cr[0x07] |= 0x10;
  vga->cr[0x09] = (vga->cr[0x09] & ~0x9f) | 0x40;
  vga->sr[SR_PLANE_WRITE] |= 0x0f;
  vga->gr[GR_MODE] &= ~0x60;
  if (r[VBE_BPP] == 4)
    vga->sr[SR_MEMORY_MODE] &= ~SR4_CHAIN4;
  else
    {
      vga->sr[SR_MEMORY_MODE] |= SR4_CHAIN4;
      vga->gr[GR_MODE] |= 0x40;
    }
}

uint16_t
vga_vbe_read (VgaCore *vga, unsigned index)
{
  if (index == VBE_MEMORY_64K)
    return vga->vram_size / 0x10000;
  if (index >= VBE_REGS)
    return 0;
  if (vga->vbe[VBE_ENABLE] & VBE_GETCAPS)
    switch (index)
      {
      case VBE_XRES:
        return vga->max_xres;
      case VBE_YRES:
        return vga->max_yres;
      case VBE_BPP:
        return 32;
      }
  return vga->vbe[index];
}

static void
vbe_write_enable (VgaCore *vga, uint16_t value)
{
  bool was = vga_vbe_enabled (vga);

  vga->vbe[VBE_ENABLE] = value;
  if ((value & VBE_ENABLED) && !was)
    {
      vga->vbe[VBE_VIRT_WIDTH] = 0;
      vga->vbe[VBE_X_OFFSET] = vga->vbe[VBE_Y_OFFSET] = 0;
      vbe_fix (vga);
      if (!(value & VBE_NOCLEARMEM))
        {
          uint64_t used = (uint64_t) vga_vbe_pitch (vga) * vga->vbe[VBE_YRES] * (vga->vbe[VBE_BPP] == 4 ? 4 : 1);

          memset (vga_vram (vga), 0, MIN (used, vga->vram_size));
          vga_mark_written (vga, 0, MIN (used, vga->vram_size));
        }
      vbe_update_vga (vga);
    }
  else if (!(value & VBE_ENABLED))
    vga->vbe[VBE_BANK] = 0;
  vga->palette_dirty = vga->redraw_all = true;
  vga_core_update_window (vga);
}

void
vga_vbe_write (VgaCore *vga, unsigned index, uint16_t value)
{
  bool enabled = vga_vbe_enabled (vga);

  switch (index)
    {
    case VBE_ID:
      if (value >= VBE_ID_MIN && value <= VBE_ID_MAX)
        vga->vbe[VBE_ID] = value;
      break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
      /* The mode changes when it is enabled. */
      if (!enabled)
        vga->vbe[index] = value;
      break;
    case VBE_ENABLE:
      vbe_write_enable (vga, value);
      break;
    case VBE_BANK:
      vga->vbe[VBE_BANK] = value & (vga->vram_size / 0x10000 - 1);
      vga_core_update_window (vga);
      break;
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
      vga->vbe[index] = value;
      if (enabled)
        {
          vbe_fix (vga);
          vbe_update_vga (vga);
        }
      break;
    }
}

static uint64_t
vga_vbe_port_read (void *opaque, uint64_t offset, unsigned size)
{
  VgaCore *vga = opaque;

  return offset == 0 ? vga->vbe_index : vga_vbe_read (vga, vga->vbe_index);
}

static void
vga_vbe_port_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VgaCore *vga = opaque;

  if (offset == 0)
    vga->vbe_index = value;
  else
    vga_vbe_write (vga, vga->vbe_index, value);
}

/* Index at 1CE, data at 1CF and, for those who need it aligned, at 1D0. */
static const VmRegionOps vga_vbe_ops = {
  .read = vga_vbe_port_read,
  .write = vga_vbe_port_write,
  .valid = { .min = 2, .max = 2, .unaligned = true },
  .impl = { .min = 2, .max = 2, .unaligned = true },
};

/* --- ports ----------------------------------------------------------------------------------------- */

static bool
vga_is_color (const VgaCore *vga)
{
  return vga->misc & 1;
}

/* Input status 1: where the beam is, from guest time and the programmed totals at 60 Hz. */
static uint8_t
vga_status1 (VgaCore *vga)
{
  const uint8_t *cr = vga->cr;
  unsigned total = (cr[6] | (cr[7] & 1) << 8 | (cr[7] & 0x20) << 4) + 2;
  unsigned retrace = cr[0x10] | (cr[7] & 4) << 6 | (cr[7] & 0x80) << 2;
  unsigned shown = (cr[0x12] | (cr[7] & 2) << 7 | (cr[7] & 0x40) << 3) + 1;
  int64_t line_ns = VM_NS_PER_SEC / 60 / total;
  int64_t now = vm_clock_now (vga->dev->env->clocks, VM_CLOCK_VIRTUAL);
  unsigned line = now / line_ns % total;
  bool blank = line >= shown || now % line_ns > line_ns * 4 / 5;
  bool in_retrace = line >= retrace && line < retrace + 1 + ((cr[0x11] - retrace) & 15);

  return (blank ? 0x01 : 0) | (in_retrace ? 0x09 : 0);
}

uint8_t
vga_port_read (VgaCore *vga, unsigned port)
{
  bool color = vga_is_color (vga);
  uint8_t value;

  if ((port >= 0x3b0 && port <= 0x3bf && color) || (port >= 0x3d0 && !color))
    return 0xff;
  if (vga->extension && vga->extension->port_read && vga->extension->port_read (vga, port, &value))
    return value;
  switch (port)
    {
    case 0x3c0:
      return vga->ar_flip_flop ? 0 : vga->ar_index;
    case 0x3c1:
      return (vga->ar_index & 0x1f) < G_N_ELEMENTS (vga->ar) ? vga->ar[vga->ar_index & 0x1f] : 0;
    case 0x3c2: /* input status 0: the monitor sense comparator says colour */
      return 0x10;
    case 0x3c4:
      return vga->sr_index;
    case 0x3c5:
      return vga->sr[vga->sr_index & 7];
    case 0x3c6:
      return vga->dac_mask;
    case 0x3c7:
      return vga->dac_state;
    case 0x3c8:
      return vga->dac_write_index;
    case 0x3c9:
      {
        value = vga->palette[vga->dac_read_index * 3 + vga->dac_sub];

        if (++vga->dac_sub == 3)
          {
            vga->dac_sub = 0;
            vga->dac_read_index++;
          }
        return value;
      }
    case 0x3ca:
      return vga->feature;
    case 0x3cc:
      return vga->misc;
    case 0x3ce:
      return vga->gr_index;
    case 0x3cf:
      return vga->gr[vga->gr_index & 15];
    case 0x3b4:
    case 0x3d4:
      return vga->cr_index;
    case 0x3b5:
    case 0x3d5:
      return vga->cr_index < VGA_CRTC_REGS ? vga->cr[vga->cr_index] : 0;
    case 0x3ba:
    case 0x3da:
      vga->ar_flip_flop = false;
      return vga_status1 (vga);
    default:
      return 0;
    }
}

static void
vga_write_attribute (VgaCore *vga, uint8_t value)
{
  unsigned index = vga->ar_index & 0x1f;

  if (!vga->ar_flip_flop)
    vga->ar_index = value & 0x3f;
  else if (index < 16)
    vga->ar[index] = value & 0x3f;
  else if (index < G_N_ELEMENTS (vga->ar))
    vga->ar[index] = value & (index == 0x10 ? 0xef : index == 0x11 ? 0xff : index == 0x12 ? 0x3f : 0x0f);
  vga->ar_flip_flop = !vga->ar_flip_flop;
  vga->palette_dirty = true;
}

static void
vga_write_crtc (VgaCore *vga, uint8_t value)
{
  unsigned index = vga->cr_index;

  if (index >= VGA_CRTC_REGS)
    return;
  if (index <= 7 && (vga->cr[0x11] & 0x80))
    {
      /* Write-protected, but for the line compare bit. */
      if (index == 7)
        vga->cr[7] = (vga->cr[7] & ~0x10) | (value & 0x10);
      return;
    }
  vga->cr[index] = value;
}

static void
vga_write_dac (VgaCore *vga, uint8_t value)
{
  vga->dac_cache[vga->dac_sub] = value;
  if (++vga->dac_sub < 3)
    return;
  memcpy (vga->palette + vga->dac_write_index * 3, vga->dac_cache, 3);
  vga->dac_sub = 0;
  vga->dac_write_index++;
  vga->palette_dirty = true;
}

void
vga_port_write (VgaCore *vga, unsigned port, uint8_t value)
{
  bool color = vga_is_color (vga);

  if ((port >= 0x3b0 && port <= 0x3bf && color) || (port >= 0x3d0 && !color))
    return;
  if (vga->extension && vga->extension->port_write && vga->extension->port_write (vga, port, value))
    return;
  switch (port)
    {
    case 0x3c0:
      vga_write_attribute (vga, value);
      break;
    case 0x3c2:
      vga->misc = value & ~0x10;
      break;
    case 0x3c4:
      vga->sr_index = value & 7;
      break;
    case 0x3c5:
      vga->sr[vga->sr_index] = value & sr_mask[vga->sr_index];
      vga->font_dirty |= vga->sr_index == SR_CHAR_MAP;
      vga_core_update_window (vga);
      break;
    case 0x3c6:
      vga->dac_mask = value;
      vga->palette_dirty = true;
      break;
    case 0x3c7:
      vga->dac_read_index = value;
      vga->dac_sub = 0;
      vga->dac_state = 3;
      break;
    case 0x3c8:
      vga->dac_write_index = value;
      vga->dac_sub = 0;
      vga->dac_state = 0;
      break;
    case 0x3c9:
      vga_write_dac (vga, value);
      break;
    case 0x3ce:
      vga->gr_index = value & 15;
      break;
    case 0x3cf:
      vga->gr[vga->gr_index] = value & gr_mask[vga->gr_index];
      if (vga->gr_index == GR_MISC)
        vga_core_update_window (vga);
      break;
    case 0x3b4:
    case 0x3d4:
      vga->cr_index = value;
      break;
    case 0x3b5:
    case 0x3d5:
      vga_write_crtc (vga, value);
      break;
    case 0x3ba:
    case 0x3da:
      vga->feature = value & 0x10;
      break;
    }
}

static uint64_t
vga_ports_read (void *opaque, uint64_t offset, unsigned size)
{
  return vga_port_read (opaque, 0x3b0 + offset);
}

static void
vga_ports_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  vga_port_write (opaque, 0x3b0 + offset, value);
}

static const VmRegionOps vga_ports_ops = {
  .read = vga_ports_read,
  .write = vga_ports_write,
  .valid = { .min = 1, .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

/* --- life ----------------------------------------------------------------------------------------- */

void
vga_core_reset (VgaCore *vga)
{
  memset (vga->sr, 0, sizeof vga->sr);
  memset (vga->gr, 0, sizeof vga->gr);
  memset (vga->cr, 0, sizeof vga->cr);
  memset (vga->ar, 0, sizeof vga->ar);
  memset (vga->palette, 0, sizeof vga->palette);
  memset (vga->vbe, 0, sizeof vga->vbe);
  vga->misc = vga->feature = 0;
  vga->sr_index = vga->gr_index = vga->cr_index = vga->ar_index = 0;
  vga->ar_flip_flop = false;
  vga->latch = 0;
  vga->dac_state = vga->dac_sub = vga->dac_write_index = vga->dac_read_index = 0;
  vga->dac_mask = 0xff;
  vga->vbe_index = 0;
  vga->vbe[VBE_ID] = VBE_ID_MAX;
  vga->vbe[VBE_BPP] = 8;
  vga->big_endian = vga->big_endian_at_reset;
  vga->palette_dirty = vga->redraw_all = vga->font_dirty = true;
  vga_core_update_window (vga);
}

bool
vga_core_loaded (VgaCore *vga, GError **error)
{
  /* What the drawing half relies on. */
  if (vga->dac_sub > 2 || vga->sr_index > 7 || vga->gr_index > 15
      || vga->vbe[VBE_BANK] >= vga->vram_size / 0x10000)
    return vm_fail (error, "%s: the saved registers cannot be right", vm_device_path (vga->dev));
  if (vga_vbe_enabled (vga))
    vbe_fix (vga);
  vga_core_update_window (vga);
  vga->redraw_all = vga->palette_dirty = vga->font_dirty = true;
  return true;
}

bool
vga_core_realize (VgaCore *vga, VmDevice *dev, VmRegion *memory, VmRegion *io, const VmConsoleOps *ops,
                  GError **error)
{
  VmMemory *m = dev->env->memory;

  if (vga->vgamem_mb < 1 || vga->vgamem_mb > 512 || !vm_is_pow2 (vga->vgamem_mb))
    return vm_fail (error, "vgamem_mb must be a power of two from 1 to 512, not %u", vga->vgamem_mb);
  vga->dev = dev;
  vga->big_endian_at_reset = vga->big_endian;
  vga->vram_size = vga->vgamem_mb * VM_MIB;
  vga->max_xres = 16000;
  vga->max_yres = 12000;
  vga->cursor_cell = -1;
  if (!vm_region_init_ram (&vga->vram, m, "vga.vram", vga->vram_size, error))
    return false;
  vm_region_set_dirty_log (&vga->vram, VM_DIRTY_VGA, true);
  vga->dirty = g_new0 (unsigned long, vga->vram_size / VM_PAGE_SIZE / (8 * sizeof (unsigned long)) + 1);

  if (memory)
    {
      vm_region_init_io (&vga->window, m, &vga_mem_ops, vga, "vga-lowmem", WINDOW_SIZE);
      vm_region_init_alias (&vga->direct, "vga.chain4", &vga->vram, 0, WINDOW_SIZE);
      vm_region_set_enabled (&vga->direct, false);
      vm_region_add_overlap (memory, WINDOW_BASE, &vga->window, 1);
      vm_region_add_overlap (memory, WINDOW_BASE, &vga->direct, 2);
      vm_region_init_io (&vga->ports, m, &vga_ports_ops, vga, "vga", 0x30);
      vm_region_add (io, 0x3b0, &vga->ports);
      if (!vga->extension || !vga->extension->no_vbe)
        {
          vm_region_init_io (&vga->vbe_ports, m, &vga_vbe_ops, vga, "vbe", 4);
          vm_region_add (io, 0x1ce, &vga->vbe_ports);
        }
    }
  vga->memory = memory;
  vga->io = io;
  vga->own_console = ops != NULL;
  if (ops)
    vga->console = vm_console_new (dev->env->display, dev, 0, ops, vga);
  return true;
}

void
vga_core_unrealize (VgaCore *vga)
{
  if (vga->own_console)
    vm_console_free (vga->console);
  if (vga->memory)
    {
      vm_region_destroy (&vga->direct);
      vm_region_destroy (&vga->window);
      vm_region_destroy (&vga->ports);
      vm_region_destroy (&vga->vbe_ports);
    }
  vm_region_destroy (&vga->vram);
  g_clear_pointer (&vga->dirty, g_free);
  g_clear_pointer (&vga->cells, g_free);
  vga->n_cells = 0;
}

const VmField vga_core_state[] = {
  VM_FIELD (VgaCore, misc),
  VM_FIELD (VgaCore, feature),
  VM_FIELD (VgaCore, sr_index),
  VM_FIELD (VgaCore, gr_index),
  VM_FIELD (VgaCore, cr_index),
  VM_FIELD (VgaCore, ar_index),
  VM_FIELD_ARRAY (VgaCore, sr),
  VM_FIELD_ARRAY (VgaCore, gr),
  VM_FIELD_ARRAY (VgaCore, cr),
  VM_FIELD_ARRAY (VgaCore, ar),
  VM_FIELD (VgaCore, ar_flip_flop),
  VM_FIELD (VgaCore, latch),
  VM_FIELD (VgaCore, dac_state),
  VM_FIELD (VgaCore, dac_sub),
  VM_FIELD (VgaCore, dac_write_index),
  VM_FIELD (VgaCore, dac_read_index),
  VM_FIELD (VgaCore, dac_mask),
  VM_FIELD_ARRAY (VgaCore, dac_cache),
  VM_FIELD_ARRAY (VgaCore, palette),
  VM_FIELD (VgaCore, vbe_index),
  VM_FIELD_ARRAY (VgaCore, vbe),
  VM_FIELD (VgaCore, big_endian),
  { 0 },
};
