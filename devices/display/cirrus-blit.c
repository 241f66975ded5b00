/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The BLT engine of the CL-GD5446 (Technical Reference Manual, "BitBLT engine"): lines of bytes, one after the other.
 * Every address wraps at the end of VRAM, as the chip's counters do; so nothing a guest asks for is outside. */
#include "devices/display/cirrus.h"

typedef struct Blt
{                               /* what the registers say */
  uint32_t width, height;       /* bytes, lines */
  int32_t dst_pitch, src_pitch; /* negative when it goes backwards */
  uint32_t dst, src;
  unsigned pixel;                 /* bytes of one */
  unsigned skip_bits, skip_bytes; /* at the left of each line */
  uint8_t mode, ext, rop;
  uint8_t fg[4], bg[4];
  uint32_t key, key_mask;
} Blt;

static uint32_t
gr24 (const Cirrus *c, unsigned index)
{
  return (uint32_t) c->gr[index] | (uint32_t) c->gr[index + 1] << 8 | (uint32_t) (c->gr[index + 2] & 0x3f) << 16;
}

static Blt
blt_load (const Cirrus *c)
{
  const uint8_t *gr = c->gr;
  Blt b = {
    .width = (gr[GR_BLT_WIDTH] | (gr[GR_BLT_WIDTH + 1] & 0x1fu) << 8) + 1,
    .height = (gr[GR_BLT_HEIGHT] | (gr[GR_BLT_HEIGHT + 1] & 0x07u) << 8) + 1,
    .dst_pitch = gr[GR_BLT_DST_PITCH] | (gr[GR_BLT_DST_PITCH + 1] & 0x1f) << 8,
    .src_pitch = gr[GR_BLT_SRC_PITCH] | (gr[GR_BLT_SRC_PITCH + 1] & 0x1f) << 8,
    .dst = gr24 (c, GR_BLT_DST),
    .src = gr24 (c, GR_BLT_SRC),
    .mode = gr[GR_BLT_MODE],
    .ext = gr[GR_BLT_MODE_EXT],
    .rop = gr[GR_BLT_ROP],
    .pixel = (gr[GR_BLT_MODE] >> BLT_WIDTH_SHIFT & 3) + 1,
    .bg = { gr[GR_BG0], gr[GR_BG1], gr[GR_BG2], gr[GR_BG3] },
    .fg = { gr[GR_FG0], gr[GR_FG1], gr[GR_FG2], gr[GR_FG3] },
  };

  if (b.pixel == 3) /* of 24-bit pixels the register counts bytes */
    {
      b.skip_bytes = gr[GR_BLT_SKIP] & 0x1f;
      b.skip_bits = b.skip_bytes / 3;
    }
  else
    {
      b.skip_bits = gr[GR_BLT_SKIP] & 7;
      b.skip_bytes = b.skip_bits * b.pixel;
    }
  b.key = vm_load_le16 (gr + GR_BLT_KEY);
  b.key_mask = vm_load_le16 (gr + GR_BLT_KEY_MASK);
  if (b.mode & BLT_BACKWARDS)
    {
      b.dst_pitch = -b.dst_pitch;
      b.src_pitch = -b.src_pitch;
    }
  return b;
}

/* --- memory ------------------------------------------------------------------------------------------------ */

static void
vram_get (const Cirrus *c, uint32_t at, uint8_t *out, uint32_t len)
{
  const uint8_t *vram = c->vga.vram.ram->host;
  uint32_t size = c->vga.vram_size, first;

  at &= size - 1;
  first = MIN (len, size - at);
  memcpy (out, vram + at, first);
  memcpy (out + first, vram, len - first);
}

static void
vram_put (Cirrus *c, uint32_t at, const uint8_t *in, uint32_t len)
{
  uint8_t *vram = c->vga.vram.ram->host;
  uint32_t size = c->vga.vram_size, first;

  at &= size - 1;
  first = MIN (len, size - at);
  memcpy (vram + at, in, first);
  memcpy (vram, in + first, len - first);
  vga_mark_written (&c->vga, at, first);
  vga_mark_written (&c->vga, 0, len - first);
}

/* --- raster operations --------------------------------------------------------------------------------------- */

static void
rop_line (uint8_t rop, const uint8_t *s, uint8_t *d, uint32_t n)
{
#define EACH(expr)                                                                                                     \
  for (uint32_t i = 0; i < n; i++)                                                                                     \
    d[i] = (uint8_t) (expr);                                                                                           \
  break
  switch (rop)
    {
    case 0x00:
      EACH (0);
    case 0x05:
      EACH (s[i] & d[i]);
    case 0x09:
      EACH (s[i] & ~d[i]);
    case 0x0b:
      EACH (~d[i]);
    case 0x0d:
      EACH (s[i]);
    case 0x0e:
      EACH (0xff);
    case 0x50:
      EACH (~s[i] & d[i]);
    case 0x59:
      EACH (s[i] ^ d[i]);
    case 0x6d:
      EACH (s[i] | d[i]);
    case 0x90:
      EACH (~(s[i] | d[i]));
    case 0x95:
      EACH (~(s[i] ^ d[i]));
    case 0xad:
      EACH (s[i] | ~d[i]);
    case 0xd0:
      EACH (~s[i]);
    case 0xd6:
      EACH (~s[i] | d[i]);
    case 0xda:
      EACH (~(s[i] & d[i]));
    default: /* 06h: the destination stays; so do we with codes that there are not */
      break;
    }
#undef EACH
}

/* Of RESULT, what has the colour that is transparent is what was there before. */
static void
keep_transparent (const Blt *b, const uint8_t *before, uint8_t *result, uint32_t n)
{
  if (b->pixel == 1)
    {
      for (uint32_t i = 0; i < n; i++)
        if (!((result[i] ^ b->key) & ~b->key_mask & 0xff))
          result[i] = before[i];
      return;
    }
  for (uint32_t i = 0; i + 1 < n; i += 2)
    if (!((vm_load_le16 (result + i) ^ b->key) & ~b->key_mask & 0xffff))
      memcpy (result + i, before + i, 2);
}

/* --- lines ------------------------------------------------------------------------------------------------- */

/* LINE (all WIDTH bytes of it) onto line ROW of the destination. OPAQUE: a bit a byte, which are to be written; NULL:
 * all. */
static void
put_line (Cirrus *c, const Blt *b, uint32_t row, const uint8_t *line, const uint8_t *opaque)
{
  uint8_t before[CIRRUS_ROW_MAX], result[CIRRUS_ROW_MAX];
  uint32_t at = b->dst + row * (uint32_t) b->dst_pitch;

  if (b->skip_bytes >= b->width)
    return;
  if (b->mode & BLT_BACKWARDS)
    at -= b->width - 1;
  vram_get (c, at, before, b->width);
  memcpy (result, before, b->width);
  rop_line (b->rop, line, result, b->width);
  if (opaque)
    {
      for (uint32_t i = 0; i < b->width; i++)
        if (!(opaque[i / 8] & 1u << i % 8))
          result[i] = before[i];
    }
  else if ((b->mode & BLT_TRANSPARENT) && !(b->mode & BLT_EXPAND))
    keep_transparent (b, before, result, b->width);
  vram_put (c, at + b->skip_bytes, result + b->skip_bytes, b->width - b->skip_bytes);
}

static void
set_pixel (const Blt *b, uint8_t *line, uint32_t x, const uint8_t *color)
{
  for (unsigned i = 0; i < b->pixel && x + i < b->width; i++)
    line[x + i] = color[i];
}

/* Bits become colours. With PATTERN_BITS they begin anew every eight pixels. */
static void
put_expanded (Cirrus *c, const Blt *b, uint32_t row, const uint8_t *bits, bool pattern_bits)
{
  uint8_t line[CIRRUS_ROW_MAX], opaque[CIRRUS_ROW_MAX / 8] = { 0 };
  bool transparent = b->mode & BLT_TRANSPARENT, invert = b->ext & BLT_EXT_INVERT;
  uint32_t bit = b->skip_bits;

  memset (line, 0, b->width);
  for (uint32_t x = b->skip_bytes; x < b->width; x += b->pixel, bit++)
    {
      uint8_t byte = pattern_bits ? bits[0] : bits[bit / 8];
      bool on = (byte >> (7 - bit % 8) & 1) != invert;

      /* With transparency, inversion chooses which bits are, and the colour stays the foreground. */
      set_pixel (b, line, x, on ? b->fg : b->bg);
      if (transparent && !on)
        continue;
      if (transparent && invert)
        set_pixel (b, line, x, b->bg);
      for (unsigned i = 0; i < b->pixel && x + i < b->width; i++)
        opaque[(x + i) / 8] |= (uint8_t) (1u << (x + i) % 8);
    }
  put_line (c, b, row, line, transparent ? opaque : NULL);
}

/* --- patterns ------------------------------------------------------------------------------------------------- */

/* Bytes of one line of a pattern of eight pixels: 24-bit ones are kept as if they had 32. */
static unsigned
pattern_pitch (const Blt *b)
{
  return b->mode & BLT_EXPAND ? 1 : b->pixel == 3 ? 32 : 8 * b->pixel;
}

/* PATTERN: eight lines. */
static void
fill_pattern (Cirrus *c, const Blt *b, const uint8_t *pattern)
{
  unsigned pitch = pattern_pitch (b), period = 8 * b->pixel, first = b->src & 7;

  for (uint32_t row = 0; row < b->height; row++)
    {
      const uint8_t *from = pattern + (first + row) % 8 * pitch;
      uint8_t line[CIRRUS_ROW_MAX];

      if (b->mode & BLT_EXPAND)
        {
          put_expanded (c, b, row, from, true);
          continue;
        }
      for (uint32_t i = 0; i < b->width; i++)
        line[i] = from[i % period];
      put_line (c, b, row, line, NULL);
    }
}

static void
fill_solid (Cirrus *c, const Blt *b)
{
  uint8_t line[CIRRUS_ROW_MAX];

  for (uint32_t x = 0; x < b->width; x += b->pixel)
    set_pixel (b, line, x, b->fg);
  for (uint32_t row = 0; row < b->height; row++)
    put_line (c, b, row, line, NULL);
}

/* --- from VRAM ------------------------------------------------------------------------------------------------ */

static uint32_t
bits_bytes (const Blt *b)
{
  uint32_t pixels = (b->width + b->pixel - 1) / b->pixel;

  return b->ext & BLT_EXT_DWORDS ? (pixels + 31) / 32 * 4 : (pixels + 7) / 8;
}

static void
copy_screen (Cirrus *c, const Blt *b)
{
  uint8_t line[CIRRUS_ROW_MAX + 4];
  uint32_t bits = bits_bytes (b);

  for (uint32_t row = 0; row < b->height; row++)
    if (b->mode & BLT_EXPAND)
      {
        vram_get (c, b->src + row * bits, line, bits);
        put_expanded (c, b, row, line, false);
      }
    else
      {
        uint32_t at = b->src + row * (uint32_t) b->src_pitch;

        vram_get (c, b->mode & BLT_BACKWARDS ? at - (b->width - 1) : at, line, b->width);
        put_line (c, b, row, line, NULL);
      }
}

/* --- from the processor --------------------------------------------------------------------------------------- */

static void
finish (Cirrus *c)
{
  bool was_feeding = c->feeding;

  c->feeding = false;
  c->feed_have = c->feed_need = c->feed_row = 0;
  c->gr[GR_BLT_STATUS] &= (uint8_t) ~(BLT_BUSY | BLT_START | BLT_PROGRESS | BLT_BUFFERED);
  if (was_feeding)
    cirrus_update_memory (c);
}

static uint32_t
feed_bytes (const Blt *b)
{
  if (b->mode & BLT_PATTERN)
    return 8 * pattern_pitch (b);
  return b->mode & BLT_EXPAND ? bits_bytes (b) : (b->width + 3) & ~3u;
}

static void
begin_feeding (Cirrus *c, const Blt *b)
{
  c->feeding = true;
  c->feed_have = c->feed_row = 0;
  c->feed_need = feed_bytes (b);
  c->gr[GR_BLT_STATUS] |= BLT_BUSY | BLT_PROGRESS | BLT_BUFFERED;
  cirrus_update_memory (c);
}

void
cirrus_blt_feed (Cirrus *c, uint8_t byte)
{
  Blt b;

  if (!c->feeding)
    return;
  c->feed[c->feed_have++] = byte;
  if (c->feed_have < c->feed_need)
    return;
  c->feed_have = 0;
  b = blt_load (c);
  if (feed_bytes (&b) != c->feed_need) /* registers were changed under it */
    {
      finish (c);
      return;
    }
  if (b.mode & BLT_PATTERN)
    {
      fill_pattern (c, &b, c->feed);
      finish (c);
      return;
    }
  if (b.mode & BLT_EXPAND)
    put_expanded (c, &b, c->feed_row, c->feed, false);
  else
    put_line (c, &b, c->feed_row, c->feed, NULL);
  if (++c->feed_row >= b.height)
    finish (c);
}

bool
cirrus_blt_loaded (const Cirrus *c)
{
  return c->feeding ? c->feed_need <= sizeof c->feed && c->feed_have < c->feed_need : true;
}

/* --- starting ------------------------------------------------------------------------------------------------- */

static void
start (Cirrus *c)
{
  Blt b = blt_load (c);

  if (!c->blitter || (b.mode & BLT_DST_SYSTEM))
    {
      finish (c);
      return;
    }
  c->gr[GR_BLT_STATUS] |= BLT_BUSY;
  if ((b.ext & BLT_EXT_SOLID) && (b.mode & BLT_PATTERN))
    fill_solid (c, &b);
  else if (b.mode & BLT_SRC_SYSTEM)
    {
      begin_feeding (c, &b);
      return;
    }
  else if (b.mode & BLT_PATTERN)
    {
      uint8_t pattern[8 * 32];
      unsigned size = 8 * pattern_pitch (&b);

      vram_get (c, b.src & ~(size - 1), pattern, size);
      fill_pattern (c, &b, pattern);
    }
  else
    copy_screen (c, &b);
  finish (c);
}

void
cirrus_blt_reset (Cirrus *c)
{
  finish (c);
}

void
cirrus_blt_write_status (Cirrus *c, uint8_t value)
{
  uint8_t old = c->gr[GR_BLT_STATUS];

  c->gr[GR_BLT_STATUS]
      = (uint8_t) ((value & (BLT_START | BLT_RESET | 0xe0)) | (old & (BLT_BUSY | BLT_PROGRESS | BLT_BUFFERED)));
  if ((old & BLT_RESET) && !(value & BLT_RESET))
    finish (c);
  else if (!(old & BLT_START) && (value & BLT_START))
    start (c);
}
