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
load_tile (Tile *t, const VncPicture *part)
{
  t->width = part->width;
  t->height = part->height;
  for (unsigned row = 0; row < t->height; row++)
    memcpy (t->pixels + row * t->width, part->pixels + row * part->stride, t->width * 4);
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

/* At least so many rectangles are needed: each pixel unlike those left of it and above begins one. */
static unsigned
count_corners (const Tile *t)
{
  unsigned n = 0, width = t->width;

  for (unsigned y = 1; y < t->height; y++)
    {
      const uint32_t *above = t->pixels + (y - 1) * width, *row = above + width;
      for (unsigned x = 1; x < width; x++)
        n += row[x] != row[x - 1] && row[x] != above[x];
    }
  return n;
}

/* Rectangles of what is not BACKGROUND, to OUT; NULL when they would go beyond END. The tile is used up. */
static uint8_t *
put_subrects (const VncFormat *f, Tile *t, uint32_t background, bool coloured, uint8_t *out, const uint8_t *end)
{
  uint8_t *count = out++;
  unsigned n = 0, width = t->width;

  for (unsigned y = 0; y < t->height; y++)
    for (unsigned x = 0; x < width; x++)
      {
        uint32_t *from = t->pixels + y * width + x, colour = *from;
        unsigned w = 1, h = 1;

        if (colour == background)
          continue;
        while (x + w < width && from[w] == colour)
          w++;
        for (bool same = true; y + h < t->height; h++)
          {
            for (unsigned i = 0; i < w && same; i++)
              same = from[h * width + i] == colour;
            if (!same)
              break;
          }
        for (unsigned row = 1; row < h; row++)
          for (unsigned i = 0; i < w; i++)
            from[row * width + i] = background;
        if (n == 255 || end - out < f->bytes + 2)
          return NULL;
        if (coloured)
          out = vnc_format_put (f, &colour, 1, out);
        *out++ = (uint8_t) (x << 4 | y);
        *out++ = (uint8_t) ((w - 1) << 4 | (h - 1));
        x += w - 1;
        n++;
      }
  *count = (uint8_t) n;
  return out;
}

/* Returns the end of what it writes to OUT: at most the tile as it is and one byte. */
static uint8_t *
put_tile (const VncFormat *f, Tile *t, const VncPicture *part, Carried *c, uint8_t *out)
{
  uint32_t background, other;
  unsigned kinds = choose_colours (t, &background, &other);
  uint8_t *mask = out, *at = out + 1, *end = at + (size_t) t->width * t->height * f->bytes;

  *mask = 0;
  if (!c->has_background || c->background != background)
    {
      *mask |= BACKGROUND;
      at = vnc_format_put (f, &background, 1, at);
    }
  if (kinds == 2 && (!c->has_foreground || c->foreground != other) && at < end)
    {
      *mask |= FOREGROUND;
      at = vnc_format_put (f, &other, 1, at);
    }
  if (kinds > 1)
    {
      *mask |= ANY_SUBRECTS | (kinds > 2 ? COLOURED : 0);
      /* Noise is seen at a glance; corners of the background are not rectangles, but hardly half of them. */
      bool hopeless = kinds > 2 && count_corners (t) / 2 * (f->bytes + 2u) > (size_t) (end - at);
      at = at < end && !hopeless ? put_subrects (f, t, background, kinds > 2, at, end) : NULL;
    }
  if (!at)
    {
      *mask = RAW;
      at = mask + 1;
      for (unsigned y = 0; y < part->height; y++)
        at = vnc_format_put (f, part->pixels + y * part->stride, part->width, at);
      c->has_background = c->has_foreground = false;
      return at;
    }
  c->has_background = true;
  c->background = background;
  if (kinds == 2)
    {
      c->has_foreground = true;
      c->foreground = other;
    }
  else if (kinds > 2)
    c->has_foreground = false;
  return at;
}

unsigned
vnc_encode_hextile (VncEncoder *e, const VncPicture *pic, GByteArray *out)
{
  Carried carried = { 0 };
  Tile tile;

  vnc_put_rect (out, pic->x, pic->y, pic->width, pic->height, VNC_HEXTILE);
  for (unsigned y = 0; y < pic->height; y += TILE)
    {
      unsigned height = MIN (TILE, pic->height - y);
      /* The most that a row of tiles can take. */
      uint8_t *at = vnc_grow (out, (pic->width + TILE - 1) / TILE + (size_t) pic->width * height * e->format.bytes);
      for (unsigned x = 0; x < pic->width; x += TILE)
        {
          VncPicture part = { .width = MIN (TILE, pic->width - x),
                              .height = height,
                              .pixels = pic->pixels + y * pic->stride + x,
                              .stride = pic->stride };
          load_tile (&tile, &part);
          at = put_tile (&e->format, &tile, &part, &carried, at);
        }
      g_byte_array_set_size (out, (guint) (at - out->data));
    }
  return 1;
}
