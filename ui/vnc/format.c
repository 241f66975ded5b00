/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pixel formats (RFC 6143, 7.4, 7.5.1, 7.6.2). */
#include "ui/vnc/format.h"

enum
{
  RED,
  GREEN,
  BLUE
};

/* The value as its bytes lie in memory, read by this machine. */
static uint32_t
stored (const VncFormat *f, uint32_t value)
{
  if (f->bits == 32)
    return f->big_endian ? GUINT32_TO_BE (value) : GUINT32_TO_LE (value);
  if (f->bits == 16)
    return f->big_endian ? GUINT16_TO_BE ((uint16_t) value) : GUINT16_TO_LE ((uint16_t) value);
  return value & 0xff;
}

static void
work_out (VncFormat *f)
{
  uint32_t all = 0;

  for (unsigned c = 0; c < 3; c++)
    {
      all |= (uint32_t) f->max[c] << f->shift[c];
      for (uint32_t v = 0; v < 256; v++)
        f->table[c][v] = stored (f, (v * f->max[c] + 127) / 255 << f->shift[c]);
    }
  f->bytes = f->bits / 8;
  bool full = f->max[RED] == 255 && f->max[GREEN] == 255 && f->max[BLUE] == 255;
  f->native = f->bits == 32 && !f->big_endian && G_BYTE_ORDER == G_LITTLE_ENDIAN && full && f->shift[RED] == 16
              && f->shift[GREEN] == 8 && f->shift[BLUE] == 0;
  f->rgb = f->bits == 32 && f->depth == 24 && full && !f->mapped;
  f->compact_bytes = f->bytes;
  f->compact_at = 0;
  if (f->bits == 32 && f->depth <= 24 && !f->mapped && (!(all & 0xff000000) || !(all & 0xff)))
    {
      bool low = !(all & 0xff000000);
      f->compact_bytes = 3;
      f->compact_at = low == f->big_endian ? 1 : 0;
    }
}

void
vnc_format_init (VncFormat *f)
{
  *f = (VncFormat){ .bits = 32, .depth = 24, .max = { 255, 255, 255 }, .shift = { 16, 8, 0 } };
  work_out (f);
}

bool
vnc_format_read (VncFormat *f, const uint8_t *wire)
{
  VncFormat n = { .bits = wire[0], .depth = wire[1], .big_endian = wire[2] != 0, .mapped = wire[3] == 0 };

  if (n.bits != 8 && n.bits != 16 && n.bits != 32)
    return false;
  if (n.mapped)
    { /* an index of more bits than our map has entries for would be a waste of both our time */
      if (n.bits != 8)
        return false;
      n.max[RED] = n.max[GREEN] = 7;
      n.max[BLUE] = 3;
      n.shift[RED] = 5;
      n.shift[GREEN] = 2;
      n.depth = 8;
    }
  for (unsigned c = 0; c < 3 && !n.mapped; c++)
    {
      n.max[c] = vm_load_be16 (wire + 4 + 2 * c);
      n.shift[c] = wire[10 + c];
      if (n.shift[c] >= n.bits || (n.max[c] & (n.max[c] + 1u)) || ((uint64_t) n.max[c] << n.shift[c]) >> n.bits)
        return false;
    }
  if (n.depth > n.bits || !n.depth)
    n.depth = n.bits == 32 ? 24 : n.bits;
  work_out (&n);
  *f = n;
  return true;
}

void
vnc_format_write (const VncFormat *f, uint8_t *wire)
{
  memset (wire, 0, VNC_FORMAT_SIZE);
  wire[0] = f->bits;
  wire[1] = f->depth;
  wire[2] = f->big_endian;
  wire[3] = !f->mapped;
  for (unsigned c = 0; c < 3; c++)
    {
      vm_store_be16 (wire + 4 + 2 * c, f->max[c]);
      wire[10 + c] = f->shift[c];
    }
}

static inline uint32_t
convert (const VncFormat *f, uint32_t pixel)
{
  return f->table[RED][pixel >> 16 & 0xff] | f->table[GREEN][pixel >> 8 & 0xff] | f->table[BLUE][pixel & 0xff];
}

uint8_t *
vnc_format_put (const VncFormat *f, const uint32_t *pixels, size_t n, uint8_t *out)
{
  if (f->native)
    {
      memcpy (out, pixels, n * 4);
      return out + n * 4;
    }
  switch (f->bytes)
    {
    case 1:
      for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t) convert (f, pixels[i]);
      break;
    case 2:
      for (size_t i = 0; i < n; i++)
        {
          uint16_t v = (uint16_t) convert (f, pixels[i]);
          memcpy (out + 2 * i, &v, 2);
        }
      break;
    default:
      for (size_t i = 0; i < n; i++)
        {
          uint32_t v = convert (f, pixels[i]);
          memcpy (out + 4 * i, &v, 4);
        }
    }
  return out + n * f->bytes;
}

/* The three bytes of each pixel, blue first or red first. */
static inline uint8_t *
put_threes (const uint32_t *pixels, size_t n, bool red_first, uint8_t *out)
{
  for (; n >= 4; n -= 4, pixels += 4, out += 12)
    {
      uint32_t four[4], words[3];
      for (unsigned i = 0; i < 4; i++)
        four[i] = red_first ? GUINT32_SWAP_LE_BE (pixels[i]) >> 8 : pixels[i];
      words[0] = GUINT32_TO_LE (four[0] | four[1] << 24);
      words[1] = GUINT32_TO_LE (four[1] >> 8 | four[2] << 16);
      words[2] = GUINT32_TO_LE (four[2] >> 16 | four[3] << 8);
      memcpy (out, words, sizeof words);
    }
  for (; n; n--, pixels++, out += 3)
    {
      out[red_first ? 2 : 0] = *pixels & 0xff;
      out[1] = *pixels >> 8 & 0xff;
      out[red_first ? 0 : 2] = *pixels >> 16 & 0xff;
    }
  return out;
}

uint8_t *
vnc_format_put_compact (const VncFormat *f, const uint32_t *pixels, size_t n, uint8_t *out)
{
  if (f->compact_bytes == f->bytes)
    return vnc_format_put (f, pixels, n, out);
  if (f->native)
    return put_threes (pixels, n, false, out);
  for (size_t i = 0; i < n; i++)
    {
      uint32_t v = convert (f, pixels[i]);
      uint8_t bytes[4];
      memcpy (bytes, &v, 4);
      memcpy (out + 3 * i, bytes + f->compact_at, 3);
    }
  return out + 3 * n;
}

uint8_t *
vnc_format_put_tight (const VncFormat *f, const uint32_t *pixels, size_t n, uint8_t *out)
{
  if (!f->rgb)
    return vnc_format_put (f, pixels, n, out);
  return put_threes (pixels, n, true, out);
}

void
vnc_format_put_map (GByteArray *out)
{
  uint8_t head[6] = { 1, 0, 0, 0, 1, 0 }, entry[6];

  g_byte_array_append (out, head, sizeof head);
  for (unsigned i = 0; i < 256; i++)
    {
      vm_store_be16 (entry, (uint16_t) ((i >> 5) * 65535 / 7));
      vm_store_be16 (entry + 2, (uint16_t) ((i >> 2 & 7) * 65535 / 7));
      vm_store_be16 (entry + 4, (uint16_t) ((i & 3) * 65535 / 3));
      g_byte_array_append (out, entry, sizeof entry);
    }
}
