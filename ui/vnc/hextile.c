/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hextile (RFC 6143, 7.7.4): tiles of 16 x 16, each a background and rectangles on it, or as it is. */
#include "ui/vnc/encode.h"

#define TILE 16

enum
{
  RAW = 1,
  BACKGROUND = 2,
  FOREGROUND = 4,
  ANY_SUBRECTS = 8,
  COLOURED = 16
};

typedef struct Tile
{
  unsigned width, height;
  uint32_t pixels[TILE * TILE];
} Tile;

/* What the client remembers from one tile to the next. */
typedef struct Carried
{
  bool has_background, has_foreground;
  uint32_t background, foreground;
} Carried;

static void
load_tile (Tile *t, const VncPicture *pic, unsigned x, unsigned y)
{
  t->width = MIN (TILE, pic->width - x);
  t->height = MIN (TILE, pic->height - y);
  for (unsigned row = 0; row < t->height; row++)
    memcpy (t->pixels + row * t->width, pic->pixels + (y + row) * pic->stride + x, t->width * 4);
}

/* The commonest of the first colours; *OTHER another one; how many there are: 1, 2, or 3 for more. */
static unsigned
choose_colours (const Tile *t, uint32_t *background, uint32_t *other)
{
  unsigned n = t->width * t->height, counts[2] = { 0, 0 }, kinds = 1;
  uint32_t colours[2] = { t->pixels[0], t->pixels[0] };

  for (unsigned i = 0; i < n; i++)
    if (t->pixels[i] == colours[0])
      counts[0]++;
    else if (kinds == 1)
      {
        kinds = 2;
        colours[1] = t->pixels[i];
        counts[1]++;
      }
    else if (t->pixels[i] == colours[1])
      counts[1]++;
    else
      kinds = 3;
  bool swap = counts[1] > counts[0];
  *background = colours[swap];
  *other = colours[!swap];
  return kinds;
}

/* Appends rectangles of what is not BACKGROUND; false when more than LIMIT bytes would be needed. */
static bool
put_subrects (const VncFormat *f, Tile *t, uint32_t background, bool coloured, size_t limit, GByteArray *out)
{
  guint count_at = out->len, begin = out->len;
  unsigned n = 0;

  vnc_put_u8 (out, 0);
  for (unsigned y = 0; y < t->height; y++)
    for (unsigned x = 0; x < t->width; x++)
      {
        uint32_t colour = t->pixels[y * t->width + x];
        unsigned w = 1, h = 1;

        if (colour == background)
          continue;
        while (x + w < t->width && t->pixels[y * t->width + x + w] == colour)
          w++;
        for (bool same = true; y + h < t->height; h++)
          {
            for (unsigned i = 0; i < w && same; i++)
              same = t->pixels[(y + h) * t->width + x + i] == colour;
            if (!same)
              break;
          }
        for (unsigned row = y; row < y + h; row++)
          for (unsigned i = x; i < x + w; i++)
            t->pixels[row * t->width + i] = background;
        if (coloured)
          vnc_format_put (f, &colour, 1, vnc_grow (out, f->bytes));
        vnc_put_u8 (out, (uint8_t) (x << 4 | y));
        vnc_put_u8 (out, (uint8_t) ((w - 1) << 4 | (h - 1)));
        if (++n > 255 || out->len - begin > limit)
          return false;
      }
  out->data[count_at] = (uint8_t) n;
  return true;
}

static void
put_tile (const VncFormat *f, Tile *t, Carried *c, GByteArray *out)
{
  Tile kept = *t;
  uint32_t background, other;
  unsigned kinds = choose_colours (t, &background, &other);
  guint at = out->len;
  size_t raw = (size_t) t->width * t->height * f->bytes;
  uint8_t mask = 0;

  vnc_put_u8 (out, 0);
  if (!c->has_background || c->background != background)
    {
      mask |= BACKGROUND;
      vnc_format_put (f, &background, 1, vnc_grow (out, f->bytes));
    }
  if (kinds == 2 && (!c->has_foreground || c->foreground != other))
    {
      mask |= FOREGROUND;
      vnc_format_put (f, &other, 1, vnc_grow (out, f->bytes));
    }
  if (kinds > 1)
    mask |= ANY_SUBRECTS | (kinds > 2 ? COLOURED : 0);
  if (kinds > 1 && !put_subrects (f, t, background, kinds > 2, raw, out))
    {
      g_byte_array_set_size (out, at);
      vnc_put_u8 (out, RAW);
      vnc_format_put (f, kept.pixels, kept.width * kept.height, vnc_grow (out, raw));
      c->has_background = c->has_foreground = false;
      return;
    }
  out->data[at] = mask;
  c->has_background = true;
  c->background = background;
  if (kinds == 2)
    {
      c->has_foreground = true;
      c->foreground = other;
    }
  else if (kinds > 2)
    c->has_foreground = false;
}

unsigned
vnc_encode_hextile (VncEncoder *e, const VncPicture *pic, GByteArray *out)
{
  Carried carried = { 0 };
  Tile tile;

  vnc_put_rect (out, pic->x, pic->y, pic->width, pic->height, VNC_HEXTILE);
  for (unsigned y = 0; y < pic->height; y += TILE)
    for (unsigned x = 0; x < pic->width; x += TILE)
      {
        load_tile (&tile, pic, x, y);
        put_tile (&e->format, &tile, &carried, out);
      }
  return 1;
}
