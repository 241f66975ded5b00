/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tight (community protocol document, "Tight Encoding"): areas of one colour, few colours, many colours, JPEG; and its
 * relative that has PNG instead of the forms with few and many colours. */
#include "ui/vnc/encode.h"

#define WIDTH_MAX 2048 /* of a rectangle, by the protocol */
#define PART_WIDTH 512 /* of a part that is looked at on its own */
#define PART_PIXELS 65536
#define CELL 16 /* areas of one colour are found by cells */
#define SOLID_PIXELS_MIN 4096
#define PLAIN_BYTES 12 /* less is not compressed */
#define JPEG_PIXELS_MIN 4096
#define LOSSY_COLOURS 96 /* a picture with fewer is a drawing */

enum
{
  FILTER = 0x40,
  FILL = 0x80,
  JPEG = 0x90,
  PNG = 0xa0,
  FILTER_PALETTE = 1
};

typedef struct Job
{
  VncEncoder *e;
  GByteArray *out;
  bool lossy;
  unsigned n; /* rectangles so far */
} Job;

static void
put_length (GByteArray *out, size_t len)
{
  vnc_put_u8 (out, (uint8_t) ((len & 0x7f) | (len > 0x7f ? 0x80 : 0)));
  if (len > 0x7f)
    vnc_put_u8 (out, (uint8_t) ((len >> 7 & 0x7f) | (len > 0x3fff ? 0x80 : 0)));
  if (len > 0x3fff)
    vnc_put_u8 (out, (uint8_t) (len >> 14));
}

static void
begin_rect (Job *j, const VncPicture *pic)
{
  vnc_put_rect (j->out, pic->x, pic->y, pic->width, pic->height, j->e->encoding);
  j->n++;
}

static int
level_of (const VncEncoder *e)
{
  return e->level < 0 ? 5 : e->level;
}

static void
put_compressed (Job *j, VncStream stream, const uint8_t *bytes, size_t len)
{
  g_autoptr (GByteArray) packed = NULL;

  if (len < PLAIN_BYTES)
    {
      g_byte_array_append (j->out, bytes, (guint) len);
      return;
    }
  packed = g_byte_array_sized_new ((guint) len / 2 + 64);
  vnc_deflate (j->e, stream, level_of (j->e), bytes, len, packed);
  put_length (j->out, packed->len);
  g_byte_array_append (j->out, packed->data, packed->len);
}

static void
put_fill (Job *j, const VncPicture *pic)
{
  const VncFormat *f = &j->e->format;

  begin_rect (j, pic);
  vnc_put_u8 (j->out, FILL);
  vnc_format_put_tight (f, pic->pixels, 1, vnc_grow (j->out, vnc_format_tight_bytes (f)));
}

static void
put_palette_head (Job *j, VncStream stream, const VncPalette *p)
{
  const VncFormat *f = &j->e->format;

  vnc_put_u8 (j->out, (uint8_t) (stream << 4 | FILTER));
  vnc_put_u8 (j->out, FILTER_PALETTE);
  vnc_put_u8 (j->out, (uint8_t) (p->n - 1));
  vnc_format_put_tight (f, p->colours, p->n, vnc_grow (j->out, p->n * vnc_format_tight_bytes (f)));
}

static void
put_mono (Job *j, const VncPicture *pic, const VncPalette *p)
{
  unsigned row_bytes = (pic->width + 7) / 8;
  uint8_t *to;

  begin_rect (j, pic);
  put_palette_head (j, VNC_STREAM_TIGHT_MONO, p);
  g_byte_array_set_size (j->e->scratch, row_bytes * pic->height);
  to = j->e->scratch->data;
  for (unsigned y = 0; y < pic->height; y++)
    {
      const uint32_t *row = pic->pixels + y * pic->stride;
      for (unsigned x = 0; x < pic->width; x += 8)
        {
          unsigned n = MIN (8, pic->width - x), bits = 0;
          for (unsigned i = 0; i < n; i++)
            bits = bits << 1 | (row[x + i] == p->colours[1]);
          *to++ = (uint8_t) (bits << (8 - n));
        }
    }
  put_compressed (j, VNC_STREAM_TIGHT_MONO, j->e->scratch->data, j->e->scratch->len);
}

static void
put_indexed (Job *j, const VncPicture *pic, const VncPalette *p)
{
  begin_rect (j, pic);
  put_palette_head (j, VNC_STREAM_TIGHT_INDEXED, p);
  g_byte_array_set_size (j->e->scratch, pic->width * pic->height);
  uint8_t *to = j->e->scratch->data;
  uint32_t last = p->colours[0];
  unsigned index = 0;
  for (unsigned y = 0; y < pic->height; y++)
    for (unsigned x = 0; x < pic->width; x++)
      {
        uint32_t colour = pic->pixels[y * pic->stride + x];
        if (colour != last)
          {
            last = colour;
            index = vnc_palette_find (p, colour);
          }
        *to++ = (uint8_t) index;
      }
  put_compressed (j, VNC_STREAM_TIGHT_INDEXED, j->e->scratch->data, j->e->scratch->len);
}

static void
put_full (Job *j, const VncPicture *pic)
{
  const VncFormat *f = &j->e->format;

  begin_rect (j, pic);
  vnc_put_u8 (j->out, VNC_STREAM_TIGHT_FULL << 4);
  g_byte_array_set_size (j->e->scratch, pic->width * pic->height * vnc_format_tight_bytes (f));
  uint8_t *to = j->e->scratch->data;
  for (unsigned y = 0; y < pic->height; y++)
    to = vnc_format_put_tight (f, pic->pixels + y * pic->stride, pic->width, to);
  put_compressed (j, VNC_STREAM_TIGHT_FULL, j->e->scratch->data, j->e->scratch->len);
}

static bool
put_file (Job *j, const VncPicture *pic, uint8_t kind, const GByteArray *file)
{
  if (!file->len)
    return false;
  begin_rect (j, pic);
  vnc_put_u8 (j->out, kind);
  put_length (j->out, file->len);
  g_byte_array_append (j->out, file->data, file->len);
  return true;
}

static bool
put_jpeg (Job *j, const VncPicture *pic)
{
  g_autoptr (GByteArray) file = vnc_jpegs_get (j->e->jpegs, pic, j->e->quality, j->e->subsampling);

  if (!put_file (j, pic, JPEG, file))
    return false;
  g_array_append_val (j->e->inexact, *pic);
  return true;
}

/* As it is, for when PNG fails: the client must know it, as every client does. */
static void
put_raw (Job *j, const VncPicture *pic)
{
  int encoding = j->e->encoding;

  j->e->encoding = VNC_RAW;
  j->n += vnc_encode (j->e, pic, false, j->out);
  j->e->encoding = encoding;
}

static void
put_png (Job *j, const VncPicture *pic)
{
  g_autoptr (GByteArray) file = g_byte_array_new ();

  vnc_make_png (pic, level_of (j->e), file);
  if (!put_file (j, pic, PNG, file))
    put_raw (j, pic);
}

static void put_parts (Job *j, const VncPicture *pic, unsigned width, unsigned height);

/* Of at most PART_PIXELS and WIDTH_MAX. */
static void
put_part (Job *j, const VncPicture *pic)
{
  const VncFormat *f = &j->e->format;
  unsigned pixels = pic->width * pic->height;
  /* A palette must be worth its bytes; pixels of one byte are an index already. */
  unsigned most = f->bytes == 1 ? 2 : CLAMP (pixels / 8, 2, VNC_PALETTE_MAX);
  bool png = j->e->encoding == VNC_TIGHT_PNG && f->bytes == 4;
  bool jpeg = j->lossy && j->e->quality && f->bytes > 1 && pixels >= JPEG_PIXELS_MIN;
  VncPalette palette;
  bool few = vnc_palette_make (&palette, pic, most);

  if (few && palette.n == 1)
    put_fill (j, pic);
  else if (jpeg && (!few || palette.n > LOSSY_COLOURS) && put_jpeg (j, pic))
    return;
  else if (png)
    put_png (j, pic);
  else if (j->e->encoding == VNC_TIGHT_PNG)
    put_raw (j, pic); /* PNG has whole colours only */
  else if (few && palette.n == 2)
    put_mono (j, pic, &palette);
  else if (few)
    put_indexed (j, pic, &palette);
  else if (pixels > VNC_PHOTO_WIDTH * VNC_PHOTO_HEIGHT && vnc_is_photo (j->e, pic))
    put_parts (j, pic, VNC_PHOTO_WIDTH, VNC_PHOTO_HEIGHT);
  else
    put_full (j, pic);
}

static void
put_parts (Job *j, const VncPicture *pic, unsigned width, unsigned height)
{
  for (unsigned y = 0; y < pic->height; y += height)
    for (unsigned x = 0; x < pic->width; x += width)
      {
        VncPicture part = vnc_part (pic, x, y, MIN (width, pic->width - x), MIN (height, pic->height - y));
        put_part (j, &part);
      }
}

static void
put_rest (Job *j, const VncPicture *pic)
{
  unsigned width = MIN (pic->width, PART_WIDTH);

  put_parts (j, pic, width, PART_PIXELS / width);
}

/* --- areas of one colour ---------------------------------------------------------------------------------- */

static bool
is_solid (const VncPicture *pic, unsigned x, unsigned y, unsigned width, unsigned height, uint32_t colour)
{
  for (unsigned row = y; row < y + height; row++)
    {
      const uint32_t *p = pic->pixels + row * pic->stride + x;
      uint32_t differ = 0;

      for (unsigned i = 0; i < width; i++)
        differ |= p[i] ^ colour;
      if (differ)
        return false;
    }
  return true;
}

/* From the cell at X, Y, which has one colour: how far that goes on, first to the right, then down. */
static void
grow_solid (const VncPicture *pic, unsigned x, unsigned y, unsigned *width, unsigned *height)
{
  uint32_t colour = pic->pixels[y * pic->stride + x];
  unsigned right = x + CELL, bottom = y + CELL;

  while (right + CELL <= pic->width && is_solid (pic, right, y, CELL, CELL, colour))
    right += CELL;
  if (right + CELL > pic->width && is_solid (pic, right, y, pic->width - right, CELL, colour))
    right = pic->width;
  while (bottom < pic->height && is_solid (pic, x, bottom, right - x, 1, colour))
    bottom++;
  *width = right - x;
  *height = bottom - y;
}

/* Takes out the first big area of one colour; what is above and beside it comes before, what is below after it. */
static bool
split_at_solid (Job *j, const VncPicture *pic, VncPicture *below)
{
  for (unsigned y = 0; y + CELL <= pic->height; y += CELL)
    for (unsigned x = 0; x + CELL <= pic->width; x += CELL)
      {
        unsigned width, height;
        if (!is_solid (pic, x, y, CELL, CELL, pic->pixels[y * pic->stride + x]))
          continue;
        grow_solid (pic, x, y, &width, &height);
        if (width * height < SOLID_PIXELS_MIN)
          {
            x += width / CELL * CELL - CELL;
            continue;
          }
        VncPicture above = vnc_part (pic, 0, 0, pic->width, y);
        VncPicture left = vnc_part (pic, 0, y, x, height);
        VncPicture right = vnc_part (pic, x + width, y, pic->width - x - width, height);
        VncPicture solid = vnc_part (pic, x, y, width, height);
        *below = vnc_part (pic, 0, y + height, pic->width, pic->height - y - height);
        if (y)
          put_rest (j, &above);
        if (left.width)
          put_rest (j, &left);
        put_fill (j, &solid);
        if (right.width)
          {
            /* Beside a window there is often more of the same. */
            VncPicture rest = right;
            while (rest.height && split_at_solid (j, &rest, &right))
              rest = right;
            if (rest.height)
              put_rest (j, &rest);
          }
        return true;
      }
  return false;
}

unsigned
vnc_encode_tight (VncEncoder *e, const VncPicture *pic, bool lossy, GByteArray *out)
{
  Job job = { .e = e, .out = out, .lossy = lossy };

  for (unsigned x = 0; x < pic->width; x += WIDTH_MAX)
    {
      VncPicture rest = vnc_part (pic, x, 0, MIN (WIDTH_MAX, pic->width - x), pic->height), below;

      while (rest.height && split_at_solid (&job, &rest, &below))
        rest = below;
      if (rest.height)
        put_rest (&job, &rest);
    }
  return job.n;
}
