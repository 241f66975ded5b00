/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hextile (RFC 6143, 7.7.4): tiles of 16 x 16, each a background and rectangles on it, or as it is. */
#include "ui/vnc/encode.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TILE 16

enum
{
  RAW = 1,
  BACKGROUND = 2,
  FOREGROUND = 4,
  ANY_SUBRECTS = 8,
  COLOURED = 16
};

/* A bit for each pixel of a row, the first one lowest. */
typedef uint16_t Row;

typedef struct Tile
{
  unsigned width, height;
  uint32_t pixels[4 + TILE * TILE]; /* rows of 16, after four that are nothing; a narrow tile ends in more of its last
                                       column */
  Row left[TILE], above[TILE];      /* equal to that neighbour, of the tile */
  Row first[TILE], second[TILE];    /* of that colour */
} Tile;

/* What the client remembers from one tile to the next. */
typedef struct Carried
{
  bool has_background, has_foreground;
  uint32_t background, foreground;
} Carried;

static const uint32_t *
row_of (const Tile *t, unsigned y)
{
  return t->pixels + 4 + y * TILE;
}

static void
load_tile (Tile *t, const VncPicture *part)
{
  t->width = part->width;
  t->height = part->height;
  for (unsigned y = 0; y < t->height; y++)
    {
      uint32_t *row = t->pixels + 4 + y * TILE;
      const uint32_t *from = part->pixels + y * part->stride;
      if (t->width == TILE) /* a size that compilers know how to do at once */
        memcpy (row, from, TILE * sizeof *row);
      else
        memcpy (row, from, t->width * sizeof *row);
      for (unsigned x = t->width; x < TILE; x++)
        row[x] = row[t->width - 1];
    }
}

/* --- which pixels are alike ------------------------------------------------------------------------------------ */

#ifdef __SSE2__
static inline __m128i
same_eight (const uint32_t *a, const uint32_t *b)
{
  const __m128i *x = (const __m128i *) a, *y = (const __m128i *) b;

  return _mm_packs_epi32 (_mm_cmpeq_epi32 (_mm_loadu_si128 (x), _mm_loadu_si128 (y)),
                          _mm_cmpeq_epi32 (_mm_loadu_si128 (x + 1), _mm_loadu_si128 (y + 1)));
}

static inline Row
same (const uint32_t *a, const uint32_t *b)
{
  return (Row) _mm_movemask_epi8 (_mm_packs_epi16 (same_eight (a, b), same_eight (a + 8, b + 8)));
}
#else
static inline Row
same (const uint32_t *a, const uint32_t *b)
{
  unsigned bits = 0;

  for (unsigned i = 0; i < TILE; i++)
    bits |= (unsigned) (a[i] == b[i]) << i;
  return (Row) bits;
}
#endif

/* Whether some pixels have another colour; ROWS: those that have this one. */
static bool
find_colour (const Tile *t, uint32_t colour, Row *rows)
{
  uint32_t plain[TILE];
  Row every = 0xffff;

  for (unsigned i = 0; i < TILE; i++)
    plain[i] = colour;
  for (unsigned y = 0; y < t->height; y++)
    {
      rows[y] = same (row_of (t, y), plain);
      every &= rows[y];
    }
  for (unsigned y = t->height; y < TILE; y++) /* a higher tile's */
    rows[y] = 0;
  return every != 0xffff;
}

/* Of four rows at once, without an instruction for it, which not every processor has. */
static unsigned
ones (const Row *rows)
{
  uint64_t bits;

  memcpy (&bits, rows, sizeof bits);
  bits -= bits >> 1 & 0x5555555555555555;
  bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
  bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return (unsigned) (bits * 0x0101010101010101 >> 56);
}

static unsigned
count (const Row *rows)
{
  unsigned sum = 0;

  for (unsigned y = 0; y < TILE; y += 4)
    sum += ones (rows + y);
  return sum;
}

/* The commoner of the first two colours; *OTHER the other one; *ROWS where the background is; how many there are: 1, 2,
 * or 3 for more. */
static unsigned
choose_colours (Tile *t, uint32_t *background, uint32_t *other, const Row **rows)
{
  unsigned y = 0, more = 0;
  uint32_t first = row_of (t, 0)[0];

  *background = *other = first;
  *rows = t->first;
  if (!find_colour (t, first, t->first))
    return 1;
  while (t->first[y] == 0xffff)
    y++;
  uint32_t second = row_of (t, y)[__builtin_ctz (~(unsigned) t->first[y])];
  find_colour (t, second, t->second);
  for (y = 0; y < t->height; y++)
    more |= (t->first[y] | t->second[y]) ^ 0xffffu;
  if (count (t->second) > count (t->first))
    {
      *background = second;
      *rows = t->second;
    }
  else
    *other = second;
  return more ? 3 : 2;
}

/* --- tiles ----------------------------------------------------------------------------------------------------- */

/* False: more than MOST rectangles are needed, as in noise: each pixel unlike those left of it and above begins one. */
static bool
find_neighbours (Tile *t, const Row *background, size_t most)
{
  Row corners[TILE] = { 0 };
  size_t n = 0;

  for (unsigned top = 0; top < t->height && n <= most; top += 4)
    {
      for (unsigned y = top; y < MIN (top + 4, t->height); y++)
        {
          t->left[y] = same (row_of (t, y), row_of (t, y) - 1) & 0xfffe;
          t->above[y] = y ? same (row_of (t, y), row_of (t, y - 1)) : 0;
          corners[y] = (Row) ~(t->left[y] | t->above[y] | background[y]);
        }
      n += ones (corners + top);
    }
  return n <= most;
}

static inline uint8_t *
put_pixel (const VncFormat *f, uint32_t pixel, uint8_t *out)
{
  if (!f->native)
    return vnc_format_put (f, &pixel, 1, out);
  memcpy (out, &pixel, 4);
  return out + 4;
}

/* Rectangles of what is not background, to OUT; NULL when they would go beyond END. */
static uint8_t *
put_subrects (const VncFormat *f, const Tile *t, const Row *background, bool coloured, uint8_t *out, const uint8_t *end)
{
  Row rest[TILE];
  uint8_t *number = out++;
  unsigned n = 0, size = coloured ? f->bytes + 2u : 2;

  for (unsigned y = 0; y < t->height; y++)
    rest[y] = (Row) (~background[y] & ((1u << t->width) - 1));
  for (unsigned y = 0; y < t->height; y++)
    while (rest[y])
      {
        unsigned x = (unsigned) __builtin_ctz (rest[y]), h = 1;
        unsigned w = 1 + (unsigned) __builtin_ctz (~((unsigned) (rest[y] & t->left[y]) >> (x + 1)));
        Row run = (Row) (((1u << w) - 1) << x);

        while (y + h < t->height && (rest[y + h] & t->above[y + h] & run) == run)
          rest[y + h++] ^= run;
        rest[y] ^= run;
        if (n == 255 || (size_t) (end - out) < size)
          return NULL;
        if (coloured)
          out = put_pixel (f, row_of (t, y)[x], out);
        *out++ = (uint8_t) (x << 4 | y);
        *out++ = (uint8_t) ((w - 1) << 4 | (h - 1));
        n++;
      }
  *number = (uint8_t) n;
  return out;
}

static uint8_t *
put_raw (const VncFormat *f, const VncPicture *part, uint8_t *out)
{
  for (unsigned y = 0; y < part->height; y++)
    if (f->native && part->width == TILE) /* as above */
      out = mempcpy (out, part->pixels + y * part->stride, TILE * 4);
    else
      out = vnc_format_put (f, part->pixels + y * part->stride, part->width, out);
  return out;
}

/* Returns the end of what it writes to OUT: at most the tile as it is and one byte. */
static uint8_t *
put_tile (const VncFormat *f, Tile *t, const VncPicture *part, Carried *c, uint8_t *out)
{
  uint32_t background, other;
  const Row *rows;
  unsigned kinds = choose_colours (t, &background, &other, &rows);
  uint8_t *mask = out, *at = out + 1, *end = at + (size_t) t->width * t->height * f->bytes;

  *mask = 0;
  if (!c->has_background || c->background != background)
    {
      *mask |= BACKGROUND;
      at = put_pixel (f, background, at);
    }
  if (kinds == 2 && (!c->has_foreground || c->foreground != other))
    {
      *mask |= FOREGROUND;
      at = put_pixel (f, other, at);
    }
  if (kinds > 1)
    {
      bool coloured = kinds > 2;
      *mask |= ANY_SUBRECTS | (coloured ? COLOURED : 0);
      at = at < end && find_neighbours (t, rows, (size_t) (end - at - 1) / (coloured ? f->bytes + 2u : 2))
               ? put_subrects (f, t, rows, coloured, at, end)
               : NULL;
    }
  if (!at)
    {
      *mask = RAW;
      c->has_background = c->has_foreground = false;
      return put_raw (f, part, mask + 1);
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
  Tile tile = { 0 };

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
