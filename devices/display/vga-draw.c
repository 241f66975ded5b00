/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From VGA registers and VRAM to the console's surface. Text is compared cell by cell with what was drawn before;
 * graphics lines are drawn again when a page they come from was written. */
#include "devices/display/vga.h"
#include "engine/display/cells.h"

#define MAX_CELLS (256 * 256)
#define BLINK_NS (VM_NS_PER_SEC * 16 / 60) /* 16 frames on, 16 off */
#define RUSH_LOOKS 4                       /* after so many looks that found all new */
#define BLIND_FRAMES 14                    /* as many are drawn without looking */

/* --- palette ------------------------------------------------------------------------------------ */

static uint32_t
vga_dac_color (const VgaCore *vga, unsigned index)
{
  const uint8_t *rgb = vga->palette + (index & vga->dac_mask) * 3;

  if (vga->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2];
  return ((rgb[0] & 63) * 255 / 63) << 16 | ((rgb[1] & 63) * 255 / 63) << 8 | (rgb[2] & 63) * 255 / 63;
}

/* COLORS become pixels: of the 256 DAC entries, or of the 16 attribute palette entries. */
static bool
vga_update_palette (VgaCore *vga, bool direct)
{
  bool changed = false;

  for (unsigned i = 0; i < 256; i++)
    {
      unsigned index = i;

      if (!direct)
        {
          if (i >= 16)
            break;
          /* P54S takes bits 5-4 from the colour select register, which always gives 7-6. */
          index = vga->ar[0x10] & 0x80 ? (vga->ar[i] & 15) | (vga->ar[0x14] & 15) << 4
                                       : (vga->ar[i] & 63) | (vga->ar[0x14] & 12) << 4;
        }
      uint32_t color = vga_dac_color (vga, index);

      changed |= vga->colors[i] != color;
      vga->colors[i] = color;
    }
  return changed;
}

/* --- which mode ------------------------------------------------------------------------------------ */

static void
vga_mode_vbe (const VgaCore *vga, VgaMode *mode)
{
  const uint16_t *r = vga->vbe;

  mode->width = r[VBE_XRES];
  mode->height = r[VBE_YRES];
  mode->depth = r[VBE_BPP];
  mode->pitch = vga_vbe_pitch (vga);
  mode->start = r[VBE_Y_OFFSET] * mode->pitch
                + (r[VBE_BPP] == 4 ? r[VBE_X_OFFSET] / 8 : r[VBE_X_OFFSET] * ((r[VBE_BPP] + 7) / 8u));
  mode->line_compare = UINT32_MAX;
  mode->repeat = 1;
  mode->row_scan = 3;
}

static void
vga_mode_legacy (const VgaCore *vga, VgaMode *mode)
{
  const uint8_t *cr = vga->cr;
  unsigned lines = (cr[0x12] | (cr[7] & 2) << 7 | (cr[7] & 0x40) << 3) + 1;
  unsigned scan = (cr[9] & 0x1f) + 1, doubled = cr[9] & 0x80 ? 2 : 1;
  unsigned columns = cr[1] + 1;

  mode->line_compare = cr[0x18] | (cr[7] & 0x10) << 4 | (cr[9] & 0x40) << 3;
  mode->start = cr[0x0c] << 8 | cr[0x0d];
  mode->pitch = cr[0x13] * 2;
  mode->row_scan = cr[0x17] & 3;
  mode->pan = vga->ar[0x13] & 15;

  if (!(vga->gr[6] & 1))
    {
      mode->depth = 0;
      mode->cell_width = vga->sr[1] & 1 ? 8 : 9;
      mode->cell_height = scan;
      mode->width = columns * mode->cell_width;
      mode->height = MAX (lines / doubled / scan, 1) * scan;
      mode->repeat = 1;
      mode->flags = vga->ar[0x10];
      return;
    }

  mode->repeat = scan * doubled;
  mode->height = lines;
  if (vga->gr[5] & 0x40)
    {
      /* 256 colours: each pixel takes two dot clocks. */
      mode->depth = 8;
      mode->width = columns * 4;
      mode->start *= 4;
      mode->pitch *= 4;
      mode->pan = 0;
    }
  else
    {
      mode->depth = vga->gr[5] & 0x20 ? 2 : 4;
      mode->width = columns * 8;
    }
  /* Low modes are shown as they are, not with each line twice. */
  if (mode->repeat == 2 && (mode->depth == 8 || mode->width <= 320))
    {
      mode->height = lines / 2;
      mode->line_compare /= 2;
      mode->repeat = 1;
    }
}

static VgaMode
vga_mode (const VgaCore *vga)
{
  VgaMode mode = { 0 };

  if (vga_vbe_enabled (vga))
    vga_mode_vbe (vga, &mode);
  else
    vga_mode_legacy (vga, &mode);
  /* Palette address source off, or screen off. */
  if (!vga_vbe_enabled (vga) && (!(vga->ar_index & 0x20) || (vga->sr[1] & 0x20)))
    mode.depth = 1;
  if (vga->extension && vga->extension->mode)
    vga->extension->mode (vga, &mode);
  mode.width = CLAMP (mode.width, 1, 16384);
  mode.height = CLAMP (mode.height, 1, 16384);
  mode.flags |= (uint32_t) vga->big_endian << 16;
  return mode;
}

/* --- lines of graphics ------------------------------------------------------------------------------ */

static uint16_t
vga_load16 (const VgaCore *vga, const uint8_t *p)
{
  return vga->big_endian ? vm_load_be16 (p) : vm_load_le16 (p);
}

static uint32_t
vga_load32 (const VgaCore *vga, const uint8_t *p)
{
  return vga->big_endian ? vm_load_be32 (p) : vm_load_le32 (p);
}

/* One line of WIDTH pixels of a linear mode from SRC. */
static void
draw_linear (const VgaCore *vga, unsigned depth, const uint8_t *src, uint32_t *out, unsigned width)
{
  switch (depth)
    {
    case 8:
      for (unsigned x = 0; x < width; x++)
        out[x] = vga->colors[src[x]];
      break;
    case 15:
      for (unsigned x = 0; x < width; x++)
        out[x] = vga_rgb555 (vga_load16 (vga, src + 2 * x));
      break;
    case 16:
      for (unsigned x = 0; x < width; x++)
        out[x] = vga_rgb565 (vga_load16 (vga, src + 2 * x));
      break;
    case 24:
      for (unsigned x = 0; x < width; x++, src += 3)
        out[x] = vga->big_endian ? src[0] << 16 | src[1] << 8 | src[2] : src[2] << 16 | src[1] << 8 | src[0];
      break;
    default:
      if (!vga->big_endian)
        memcpy (out, src, width * 4);
      else
        for (unsigned x = 0; x < width; x++)
          out[x] = vga_load32 (vga, src + 4 * x);
      break;
    }
}

/* One line of 16 colours from plane byte ADDR on; PAN pixels are skipped. */
static void
draw_planar (const VgaCore *vga, const uint8_t *vram, uint32_t addr, uint32_t *out, unsigned width, unsigned pan)
{
  unsigned enable = vga->ar[0x12] & 15;

  for (unsigned x = 0; x < width;)
    {
      uint32_t planes = vm_load_le32 (vram + ((addr++ << 2) & (vga->vram_size - 1)));

      for (int bit = 7 - (int) pan; bit >= 0 && x < width; bit--)
        {
          unsigned color = (planes >> bit & 1) | (planes >> (bit + 7) & 2) | (planes >> (bit + 14) & 4)
                           | (planes >> (bit + 21) & 8);

          out[x++] = vga->colors[color & enable];
        }
      pan = 0;
    }
}

/* CGA's four colours: planes 0 and 1 hold even and odd bytes of two-bit pixels, planes 2 and 3 the upper bits. */
static void
draw_cga (const VgaCore *vga, const uint8_t *vram, uint32_t addr, uint32_t *out, unsigned width)
{
  unsigned enable = vga->ar[0x12] & 15;

  for (unsigned x = 0; x < width;)
    {
      uint32_t planes = vm_load_le32 (vram + ((addr++ << 2) & (vga->vram_size - 1)));

      for (unsigned byte = 0; byte < 2; byte++)
        for (int shift = 6; shift >= 0 && x < width; shift -= 2)
          {
            unsigned color = (planes >> (8 * byte + shift) & 3) | (planes >> (16 + 8 * byte + shift) & 3) << 2;

            out[x++] = vga->colors[color & enable];
          }
    }
}

static bool
vga_pages_dirty (const VgaCore *vga, uint32_t from, uint32_t len)
{
  uint32_t pages = vga->vram_size / VM_PAGE_SIZE;
  uint32_t first = from / VM_PAGE_SIZE, last = (from + MAX (len, 1) - 1) / VM_PAGE_SIZE;

  for (uint32_t page = first; page <= last; page++)
    {
      uint32_t p = page & (pages - 1);

      if (vga->dirty[p / (8 * sizeof (long))] >> (p % (8 * sizeof (long))) & 1)
        return true;
    }
  return false;
}

typedef struct LineSource { /* where a surface line comes from */
  uint32_t addr;        /* in the mode's unit */
  uint32_t first, len;  /* bytes of VRAM it depends on */
} LineSource;

static LineSource
vga_line_source (const VgaCore *vga, const VgaMode *mode, uint32_t y)
{
  bool split = y > mode->line_compare;
  uint32_t line = split ? y - mode->line_compare - 1 : y;
  uint32_t row = line / mode->repeat;
  uint32_t addr = (split ? 0 : mode->start) + row * mode->pitch;
  LineSource source = { .addr = addr };

  /* CGA and Hercules keep every second (or fourth) line elsewhere: row scan bits replace address bits 13 and 14. */
  if (!(mode->row_scan & 1))
    source.addr = (source.addr & ~(1u << 13)) | (line & 1) << 13;
  if (!(mode->row_scan & 2))
    source.addr = (source.addr & ~(1u << 14)) | (line >> 1 & 1) << 14;

  if (mode->depth == 4 || mode->depth == 2)
    {
      source.first = source.addr << 2;
      source.len = (mode->width / 8 + 2) * 4;
    }
  else
    {
      source.first = source.addr;
      source.len = mode->width * ((mode->depth + 7) / 8);
    }
  return source;
}

static void
vga_draw_line (VgaCore *vga, const VgaMode *mode, const LineSource *source, uint32_t *out)
{
  const uint8_t *vram = vga->vram.ram->host;

  if (mode->depth == 4)
    draw_planar (vga, vram, source->addr, out, mode->width, mode->pan & 7);
  else if (mode->depth == 2)
    draw_cga (vga, vram, source->addr, out, mode->width);
  else if ((uint64_t) source->first + source->len <= vga->vram_size)
    draw_linear (vga, mode->depth, vram + source->first, out, mode->width);
  else
    memset (out, 0, mode->width * 4); /* legacy registers can point anywhere */
}

/* Finding out which pages were written costs the guest a fault for each. A picture that is new all the time is drawn
 * all the time, and only now and then asked, twice in a row, whether it still is. */
static bool
vga_all_written (VgaCore *vga, const VgaMode *mode)
{
  uint64_t begin = vga_line_source (vga, mode, 0).first, first = begin / VM_PAGE_SIZE * VM_PAGE_SIZE, pages = 0;
  uint64_t end = MIN (begin + (uint64_t) mode->pitch * mode->height, vga->vram_size);

  if (vga->blind)
    {
      vga->blind--;
      return true;
    }
  if (vm_console_surface (vga->console)->ram) /* what viewers look at is in one piece */
    vm_region_take_dirty (&vga->vram, VM_DIRTY_VGA, first, end - first, vga->dirty);
  else
    vm_region_take_dirty (&vga->vram, VM_DIRTY_VGA, 0, vga->vram_size, vga->dirty);
  vga->written = 0;
  for (uint64_t at = first; at < end; at += VM_PAGE_SIZE, pages++)
    vga->written += vga_pages_dirty (vga, at, 1);
  vga->rush = mode->depth >= 8 && vga->written > pages * 7 / 8 ? vga->rush + 1 : 0;
  if (vga->rush == RUSH_LOOKS)
    {
      vga->rush = RUSH_LOOKS - 2;
      vga->blind = BLIND_FRAMES;
    }
  return false;
}

static void
vga_draw_graphics (VgaCore *vga, const VgaMode *mode, VmSurface *surface, bool all)
{
  uint32_t from = UINT32_MAX;

  if (surface->ram && all)
    {
      vm_console_damage (vga->console, 0, 0, mode->width, mode->height);
      return;
    }
  if (surface->ram && !vga->written)
    return;

  vm_console_lock (vga->console);
  for (uint32_t y = 0; y < mode->height; y++)
    {
      LineSource source = vga_line_source (vga, mode, y);
      bool draw = all || vga_pages_dirty (vga, source.first, source.len);

      if (draw)
        {
          if (!surface->ram)
            vga_draw_line (vga, mode, &source, (uint32_t *) (surface->data + (size_t) y * surface->stride));
          from = MIN (from, y);
        }
      else if (from != UINT32_MAX)
        {
          vm_console_damage (vga->console, 0, from, mode->width, y - from);
          from = UINT32_MAX;
        }
    }
  if (from != UINT32_MAX)
    vm_console_damage (vga->console, 0, from, mode->width, mode->height - from);
  vm_console_unlock (vga->console);
}

/* --- text ----------------------------------------------------------------------------------------- */

static void
vga_draw_cell (VgaCore *vga, const VgaMode *mode, VmSurface *surface, unsigned column, unsigned row, uint16_t cell,
               bool blink_off, int cursor_from, int cursor_to)
{
  const uint8_t *vram = vga->vram.ram->host;
  uint8_t attribute = cell >> 8, code = cell & 0xff;
  unsigned foreground = attribute & 15, background = attribute >> 4;
  /* Attribute bit 3 selects between two fonts of 8 KiB, whose places the map select register gives. */
  unsigned select = vga->sr[3];
  unsigned map = attribute & 8 ? (select >> 2 & 3) | (select >> 3 & 4) : (select & 3) | (select >> 2 & 4);
  uint32_t font = ((map & 3) * 0x4000 + (map & 4 ? 0x2000 : 0)) + code * 32u;
  bool extend = mode->cell_width == 9 && (mode->flags & 4) && code >= 0xc0 && code <= 0xdf;
  bool underline = (attribute & 7) == 1 && (mode->flags & 2); /* monochrome attributes */

  if (mode->flags & 8)
    {
      if ((attribute & 0x80) && blink_off)
        foreground = background & 7;
      background &= 7;
    }
  for (unsigned y = 0; y < mode->cell_height; y++)
    {
      uint32_t *out = (uint32_t *) (surface->data + (size_t) (row * mode->cell_height + y) * surface->stride)
                      + column * mode->cell_width;
      unsigned bits = vram[((font + y) << 2 | 2) & (vga->vram_size - 1)] << 1;

      if (extend)
        bits |= bits >> 1 & 1;
      if (mode->cell_width == 8)
        bits >>= 1;
      if (underline && y == (vga->cr[0x14] & 0x1fu))
        bits = 0x1ff;
      if ((int) y >= cursor_from && (int) y <= cursor_to)
        bits = 0x1ff;
      for (unsigned x = 0; x < mode->cell_width; x++)
        out[x] = vga->colors[bits >> (mode->cell_width - 1 - x) & 1 ? foreground : background];
    }
}

/* For viewers of characters. CURSOR: whether it blinks off just now is theirs to decide. */
static void
vga_tell_cells (VgaCore *vga, const VgaMode *mode, unsigned columns, unsigned rows, int cursor)
{
  static const uint8_t ansi[] = { 0, 4, 2, 6, 1, 5, 3, 7 };
  bool blinks = mode->flags & 8;
  VmCells *cells = vm_cells_new (columns, rows);

  cells->code_page = true;
  for (size_t i = 0; i < (size_t) columns * rows; i++)
    {
      uint8_t attribute = vga->cells[i] >> 8;

      cells->cells[i] = (VmCell) {
        .c = vga->cells[i] & 0xff,
        .foreground = ansi[attribute & 7] | (attribute & 8),
        .background = ansi[attribute >> 4 & 7] | (blinks ? 0 : attribute >> 4 & 8),
        .attributes = (blinks && attribute & 0x80 ? VM_CELL_BLINK : 0)
                      | ((attribute & 7) == 1 && (mode->flags & 2) ? VM_CELL_UNDERLINE : 0),
      };
    }
  if (cursor >= 0)
    {
      cells->cursor_x = cursor % columns;
      cells->cursor_y = cursor / columns;
    }
  vm_console_set_cells (vga->console, cells);
  vga->cells_told = true;
  vga->cursor_told = cursor;
}

static void
vga_draw_text (VgaCore *vga, const VgaMode *mode, VmSurface *surface, bool all)
{
  const uint8_t *vram = vga->vram.ram->host;
  unsigned columns = mode->width / mode->cell_width, rows = mode->height / mode->cell_height;
  size_t n = MIN ((size_t) columns * rows, MAX_CELLS);
  int64_t phase = vm_clock_now (vga->dev->env->clocks, VM_CLOCK_VIRTUAL) / BLINK_NS;
  bool cursor_on = !(vga->cr[0x0a] & 0x20) && !(phase & 1);
  uint32_t cursor_address = vga->cr[0x0e] << 8 | vga->cr[0x0f];
  int cursor = -1, cursor_place = -1;
  bool changed = all;

  if (n != vga->n_cells)
    {
      g_free (vga->cells);
      vga->cells = g_new (uint16_t, n);
      vga->n_cells = n;
      all = true;
    }

  vm_console_lock (vga->console);
  for (size_t i = 0; i < n; i++)
    {
      unsigned row = i / columns, column = i % columns;
      uint32_t address = mode->start + row * mode->pitch + column;
      const uint8_t *at = vram + ((address << 2) & (vga->vram_size - 1));
      uint16_t cell = at[0] | at[1] << 8;
      bool here = cursor_on && address == cursor_address;
      bool blinks = (mode->flags & 8) && (cell & 0x8000);

      if (here)
        cursor = i;
      if (address == cursor_address && !(vga->cr[0x0a] & 0x20))
        cursor_place = i;
      if (!all && cell == vga->cells[i] && !blinks && !here && (int) i != vga->cursor_cell)
        continue;
      if (!all && here && (int) i == vga->cursor_cell && cell == vga->cells[i] && !blinks)
        continue;
      changed |= cell != vga->cells[i];
      vga->cells[i] = cell;
      vga_draw_cell (vga, mode, surface, column, row, cell, phase & 2, here ? vga->cr[0x0a] & 0x1f : 99,
                     here ? vga->cr[0x0b] & 0x1f : -1);
      vm_console_damage (vga->console, column * mode->cell_width, row * mode->cell_height, mode->cell_width,
                         mode->cell_height);
    }
  vm_console_unlock (vga->console);
  vga->cursor_cell = cursor;
  if (n && (changed || !vga->cells_told || cursor_place != vga->cursor_told))
    vga_tell_cells (vga, mode, columns, n / columns, cursor_place);
}

/* --- entry -------------------------------------------------------------------------------------------- */

/* Whether viewers can look into VRAM themselves. A guest that turns pages would give them another place each time. */
static bool
vga_is_direct (const VgaCore *vga, const VgaMode *mode)
{
  return G_BYTE_ORDER == G_LITTLE_ENDIAN && vga_vbe_enabled (vga) && mode->depth == 32 && !vga->big_endian
         && !vga->paging;
}

/* A surface of the mode's size, black or VRAM itself; the one there is if that will do. ALL: the mode is new; set when
 * the surface is. */
static VmSurface *
vga_surface (VgaCore *vga, const VgaMode *mode, bool *all)
{
  VmSurface *surface = vm_console_surface (vga->console), *fresh = NULL;
  bool direct = vga_is_direct (vga, mode);

  if (surface && (uint32_t) surface->width == mode->width && (uint32_t) surface->height == mode->height
      && (surface->ram ? direct && !*all : !direct))
    return surface;
  if (direct)
    fresh = vm_surface_new_ram (vga->vram.ram, vga->vram.ram_offset + mode->start, mode->width, mode->height,
                                mode->pitch);
  if (!fresh && surface && !surface->ram && (uint32_t) surface->width == mode->width
      && (uint32_t) surface->height == mode->height)
    return surface; /* VRAM does not have all of it */
  if (!fresh)
    fresh = vm_surface_new (mode->width, mode->height);
  if (fresh)
    vm_console_set_surface (vga->console, fresh);
  *all = true;
  return fresh;
}

static void
vga_draw_blank (VgaCore *vga, const VgaMode *mode)
{
  VmSurface *surface = vm_console_surface (vga->console);
  VgaMode same = *mode;

  /* A blank screen keeps its size: viewers need not resize twice during a mode change. */
  same.width = surface->width;
  same.height = surface->height;
  if (surface->ram)
    {
      bool all = true;

      vga_surface (vga, &same, &all); /* black as it comes */
      return;
    }
  vm_console_lock (vga->console);
  memset (surface->data, 0, surface->size);
  vm_console_unlock (vga->console);
  vm_console_damage (vga->console, 0, 0, surface->width, surface->height);
}

static bool
mode_turns_page (const VgaMode *before, const VgaMode *now)
{
  VgaMode moved = *before;

  moved.start = now->start;
  return before->start != now->start && memcmp (&moved, now, sizeof moved) == 0;
}

void
vga_refresh (void *opaque)
{
  VgaCore *vga = opaque;
  VgaMode mode = vga_mode (vga), before;

  memcpy (&before, vga->drawn, sizeof before);
  bool changed = memcmp (&mode, &before, sizeof mode) != 0, all = vga->redraw_all || changed;
  if (mode_turns_page (&before, &mode))
    vga->paging = true;
  else if (changed)
    vga->paging = false;
  if (all)
    vga->rush = vga->blind = 0;

  if (mode.depth == 1 && vm_console_surface (vga->console))
    {
      if (all)
        vga_draw_blank (vga, &mode);
      memcpy (vga->drawn, &mode, sizeof mode);
      vga->redraw_all = false;
      return;
    }
  if (mode.depth == 1 && !vga->memory)
    return; /* a card without legacy modes has nothing to show yet */
  VmSurface *surface = vga_surface (vga, &mode, &all);
  if (!surface)
    return;
  if (vga->palette_dirty || all)
    {
      all |= vga_update_palette (vga, mode.depth == 8);
      vga->palette_dirty = false;
    }
  if (mode.depth == 0 && vga->font_dirty)
    all = true;
  memcpy (vga->drawn, &mode, sizeof mode);
  vga->redraw_all = vga->font_dirty = false;
  if (mode.depth > 1 && vga->cells_told)
    {
      vm_console_set_cells (vga->console, NULL);
      vga->cells_told = false;
    }

  all |= vga_all_written (vga, &mode);
  if (mode.depth == 0)
    vga_draw_text (vga, &mode, surface, all);
  else if (mode.depth != 1)
    vga_draw_graphics (vga, &mode, surface, all);
}

void
vga_invalidate (void *opaque)
{
  VgaCore *vga = opaque;

  vga->redraw_all = true;
}

const VmConsoleOps vga_console_ops = { .refresh = vga_refresh, .invalidate = vga_invalidate };
