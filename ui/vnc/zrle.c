/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ZRLE (RFC 6143, 7.7.6): tiles of 64 x 64, each in the form that takes the fewest bytes, and all of them compressed.
 */
#include "ui/vnc/encode.h"

#define TILE 64
#define PACKED_MAX 16
#define PALETTE_MAX 127
#define RLE 128
#define ENOUGH 8000 /* bytes that are compressed on their own: a tile of a photograph has its own colours */

typedef struct Tile
{
  unsigned width, height, n;
  uint32_t pixels[TILE * TILE];
  /* what it would take */
  size_t raw, plain_rle, palette_rle, packed;
  bool few; /* there is a palette */
  VncPalette palette;
} Tile;

static unsigned
bits_of_index (unsigned colours)
{
  return colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
}

static size_t
packed_bytes (const Tile *t)
{
  return (size_t) (t->width * bits_of_index (t->palette.n) + 7) / 8 * t->height;
}

static void
load_tile (Tile *t, const VncPicture *pic, unsigned x, unsigned y)
{
  t->width = MIN (TILE, pic->width - x);
  t->height = MIN (TILE, pic->height - y);
  t->n = t->width * t->height;
  for (unsigned row = 0; row < t->height; row++)
    memcpy (t->pixels + row * t->width, pic->pixels + (y + row) * pic->stride + x, t->width * 4);
}

static unsigned
run_at (const Tile *t, unsigned at)
{
  unsigned end = at + 1;

  while (end < t->n && t->pixels[end] == t->pixels[at])
    end++;
  return end - at;
}

/* Of what cannot be shorter than the tile as it is, no more is looked at. */
static void
weigh_tile (Tile *t, unsigned pixel)
{
  t->raw = (size_t) t->n * pixel;
  t->plain_rle = t->palette_rle = 0;
  t->few = true;
  vnc_palette_clear (&t->palette);
  for (unsigned at = 0, run; at < t->n && (t->few || t->plain_rle < t->raw); at += run)
    {
      run = run_at (t, at);
      unsigned length = (run - 1) / 255 + 1;
      t->plain_rle += pixel + length;
      t->palette_rle += run == 1 ? 1 : 1 + length;
      t->few = t->few && vnc_palette_add (&t->palette, t->pixels[at], PALETTE_MAX);
    }
  t->packed = SIZE_MAX;
  t->palette_rle = t->few ? t->palette_rle + (size_t) t->palette.n * pixel : SIZE_MAX;
  if (t->few && t->palette.n <= PACKED_MAX)
    t->packed = (size_t) t->palette.n * pixel + packed_bytes (t);
}

static uint8_t *
put_palette (const VncFormat *f, const Tile *t, uint8_t *out)
{
  return vnc_format_put_compact (f, t->palette.colours, t->palette.n, out);
}

static uint8_t *
put_run_length (unsigned run, uint8_t *out)
{
  for (run--; run >= 255; run -= 255)
    *out++ = 255;
  *out++ = (uint8_t) run;
  return out;
}

static uint8_t *
put_runs (const VncFormat *f, const Tile *t, bool by_palette, uint8_t *out)
{
  for (unsigned at = 0, run; at < t->n; at += run)
    {
      run = run_at (t, at);
      if (!by_palette)
        out = vnc_format_put_compact (f, &t->pixels[at], 1, out);
      else
        *out++ = (uint8_t) (vnc_palette_find (&t->palette, t->pixels[at]) | (run > 1 ? RLE : 0));
      if (!by_palette || run > 1)
        out = put_run_length (run, out);
    }
  return out;
}

static uint8_t *
put_packed (const Tile *t, uint8_t *out)
{
  unsigned bits = bits_of_index (t->palette.n), index = 0;
  const uint32_t *pixel = t->pixels;
  uint32_t last = t->palette.colours[0];

  for (unsigned y = 0; y < t->height; y++)
    {
      unsigned byte = 0, have = 0;

      for (unsigned x = 0; x < t->width; x++, pixel++)
        {
          if (*pixel != last)
            {
              last = *pixel;
              index = vnc_palette_find (&t->palette, last);
            }
          byte = byte << bits | index;
          have += bits;
          if (have == 8)
            {
              *out++ = (uint8_t) byte;
              byte = have = 0;
            }
        }
      if (have)
        *out++ = (uint8_t) (byte << (8 - have));
    }
  return out;
}

/* At most the tile as it is and one byte. */
static uint8_t *
put_tile (const VncFormat *f, Tile *t, uint8_t *out)
{
  weigh_tile (t, f->compact_bytes);
  size_t rle = MIN (t->plain_rle, t->palette_rle), other = MIN (t->raw, t->packed);

  if (t->few && t->palette.n == 1)
    {
      *out++ = 1;
      return put_palette (f, t, out);
    }
  if (rle < other)
    {
      bool by_palette = t->palette_rle < t->plain_rle;
      *out++ = (uint8_t) (RLE | (by_palette ? t->palette.n : 0));
      if (by_palette)
        out = put_palette (f, t, out);
      return put_runs (f, t, by_palette, out);
    }
  if (t->packed < t->raw)
    {
      *out++ = (uint8_t) t->palette.n;
      return put_packed (t, put_palette (f, t, out));
    }
  *out++ = 0;
  return vnc_format_put_compact (f, t->pixels, t->n, out);
}

unsigned
vnc_encode_zrle (VncEncoder *e, const VncPicture *pic, GByteArray *out)
{
  g_autofree Tile *tile = g_new (Tile, 1);

  vnc_put_rect (out, pic->x, pic->y, pic->width, pic->height, VNC_ZRLE);
  vnc_put_u32 (out, 0);
  guint at = out->len;
  g_byte_array_set_size (e->scratch, ENOUGH + 1 + TILE * TILE * e->format.compact_bytes);
  uint8_t *end = e->scratch->data;
  for (unsigned y = 0; y < pic->height; y += TILE)
    for (unsigned x = 0; x < pic->width; x += TILE)
      {
        load_tile (tile, pic, x, y);
        end = put_tile (&e->format, tile, end);
        bool last = x + TILE >= pic->width && y + TILE >= pic->height;
        if (!last && end - e->scratch->data < ENOUGH)
          continue;
        vnc_deflate (e, VNC_STREAM_ZRLE, e->level < 0 ? 5 : e->level, e->scratch->data,
                     (size_t) (end - e->scratch->data), out);
        end = e->scratch->data;
      }
  vm_store_be32 (out->data + at - 4, out->len - at);
  return 1;
}
