/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What encodings share, and the two plain ones: Raw (RFC 6143, 7.7.1) and Zlib. */
#include "ui/vnc/encode.h"

#define ZLIB_ROWS_MAX (1 << 22) /* bytes before compression of one rectangle */
#define HARD_LEVEL 6            /* who asks for so much may have it */

void
vnc_put_u8 (GByteArray *out, uint8_t value)
{
  g_byte_array_append (out, &value, 1);
}

void
vnc_put_u16 (GByteArray *out, uint16_t value)
{
  uint8_t bytes[2];

  vm_store_be16 (bytes, value);
  g_byte_array_append (out, bytes, 2);
}

void
vnc_put_u32 (GByteArray *out, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_be32 (bytes, value);
  g_byte_array_append (out, bytes, 4);
}

void
vnc_put_rect (GByteArray *out, unsigned x, unsigned y, unsigned width, unsigned height, int32_t encoding)
{
  uint8_t head[12];

  vm_store_be16 (head, (uint16_t) x);
  vm_store_be16 (head + 2, (uint16_t) y);
  vm_store_be16 (head + 4, (uint16_t) width);
  vm_store_be16 (head + 6, (uint16_t) height);
  vm_store_be32 (head + 8, (uint32_t) encoding);
  g_byte_array_append (out, head, sizeof head);
}

VncPicture
vnc_part (const VncPicture *pic, unsigned x, unsigned y, unsigned width, unsigned height)
{
  return (VncPicture){ pic->x + x, pic->y + y, width, height, pic->pixels + y * pic->stride + x, pic->stride };
}

bool
vnc_is_photo (const VncEncoder *e, const VncPicture *pic)
{
  unsigned differ = 0, all = 0;

  if (e->format.bytes == 1)
    return false;
  for (unsigned y = 1; y < pic->height; y += 8, all += pic->width)
    {
      const uint32_t *row = pic->pixels + y * pic->stride, *above = row - pic->stride;

      for (unsigned x = 1; x < pic->width; x++)
        differ += row[x] != row[x - 1] && row[x] != above[x];
    }
  return differ > all / 2;
}

uint8_t *
vnc_grow (GByteArray *out, size_t len)
{
  guint at = out->len;

  g_byte_array_set_size (out, at + (guint) len);
  return out->data + at;
}

/* --- the encoder ---------------------------------------------------------------------------------------- */

void
vnc_encoder_init (VncEncoder *e)
{
  *e = (VncEncoder){ .level = -1,
                     .scratch = g_byte_array_new (),
                     .inexact = g_array_new (FALSE, FALSE, sizeof (VncPicture)) };
  vnc_format_init (&e->format);
}

void
vnc_encoder_clear (VncEncoder *e)
{
  for (unsigned i = 0; i < VNC_STREAM_N; i++)
    {
      g_clear_pointer (&e->streams[i].fast, vnc_deflate_free);
      if (e->streams[i].open)
        deflateEnd (&e->streams[i].z);
    }
  g_byte_array_unref (e->scratch);
  g_array_unref (e->inexact);
}

/* By zlib, which is slow and finds more. */
static void
deflate_hard (VncDeflater *d, int level, const uint8_t *bytes, size_t len, GByteArray *out)
{
  z_stream *z = &d->z;

  if (!d->open)
    {
      int status = deflateInit2 (z, level, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY);
      g_assert (status == Z_OK); /* only memory can be what it lacks, and that ends the program elsewhere too */
      d->open = true;
      d->level = level;
    }
  else if (d->quick)
    deflateReset (z); /* it does not know what the client has read meanwhile */
  z->next_in = (Bytef *) bytes;
  z->avail_in = 0;
  if (d->level != level)
    { /* nothing is pending since the last flush, so this writes at most a few bits */
      z->next_out = vnc_grow (out, 64);
      z->avail_out = 64;
      deflateParams (z, level, Z_DEFAULT_STRATEGY);
      g_byte_array_set_size (out, out->len - z->avail_out);
      d->level = level;
    }
  z->avail_in = (uInt) len;
  size_t room = deflateBound (z, len) + 16;
  z->next_out = vnc_grow (out, room);
  z->avail_out = (uInt) room;
  while (deflate (z, Z_SYNC_FLUSH) == Z_OK && !z->avail_out)
    {
      z->next_out = vnc_grow (out, room);
      z->avail_out = (uInt) room;
    }
  g_byte_array_set_size (out, out->len - z->avail_out);
}

void
vnc_deflate (VncEncoder *e, VncStream which, int level, const uint8_t *bytes, size_t len, GByteArray *out)
{
  static const uint8_t zlib_head[2] = { 0x78, 0x01 }; /* RFC 1950: a window of 32 KiB */
  VncDeflater *d = &e->streams[which];
  bool quick = level > 0 && level < HARD_LEVEL;

  if (!d->begun)
    g_byte_array_append (out, zlib_head, sizeof zlib_head);
  if (quick && !d->quick)
    g_clear_pointer (&d->fast, vnc_deflate_free);
  if (quick && !d->fast)
    d->fast = vnc_deflate_new ();
  if (quick)
    vnc_deflate_put (d->fast, bytes, len, out);
  else
    deflate_hard (d, level, bytes, len, out);
  d->begun = true;
  d->quick = quick;
}

/* --- palettes -------------------------------------------------------------------------------------------- */

static unsigned
slot_of (uint32_t colour)
{
  return (colour * 0x9e3779b1u) >> 22;
}

void
vnc_palette_clear (VncPalette *p)
{
  p->n = 0;
  memset (p->slots, 0, sizeof p->slots);
}

bool
vnc_palette_add (VncPalette *p, uint32_t colour, unsigned max)
{
  unsigned slot = slot_of (colour);

  while (p->slots[slot])
    {
      if (p->colours[p->slots[slot] - 1] == colour)
        return true;
      slot = (slot + 1) & 1023;
    }
  if (p->n == max)
    return false;
  p->colours[p->n++] = colour;
  p->slots[slot] = (uint16_t) p->n;
  return true;
}

bool
vnc_palette_make (VncPalette *p, const VncPicture *pic, unsigned max)
{
  uint32_t last;

  vnc_palette_clear (p);
  last = pic->pixels[0];
  vnc_palette_add (p, last, max);
  for (unsigned y = 0; y < pic->height; y++)
    {
      const uint32_t *row = pic->pixels + y * pic->stride;

      for (unsigned x = 0; x < pic->width; x++)
        if (row[x] != last)
          {
            last = row[x];
            if (!vnc_palette_add (p, last, max))
              return false;
          }
    }
  return true;
}

unsigned
vnc_palette_find (const VncPalette *p, uint32_t colour)
{
  unsigned slot = slot_of (colour);

  while (p->colours[p->slots[slot] - 1] != colour)
    slot = (slot + 1) & 1023;
  return p->slots[slot] - 1u;
}

/* --- plain encodings ------------------------------------------------------------------------------------- */

static void
put_rows (const VncFormat *f, const VncPicture *pic, uint8_t *to)
{
  for (unsigned y = 0; y < pic->height; y++)
    to = vnc_format_put (f, pic->pixels + y * pic->stride, pic->width, to);
}

static unsigned
encode_raw (VncEncoder *e, const VncPicture *pic, GByteArray *out)
{
  vnc_put_rect (out, pic->x, pic->y, pic->width, pic->height, VNC_RAW);
  put_rows (&e->format, pic, vnc_grow (out, (size_t) pic->width * pic->height * e->format.bytes));
  return 1;
}

static unsigned
encode_zlib (VncEncoder *e, const VncPicture *pic, GByteArray *out)
{
  bool photo = vnc_is_photo (e, pic);
  unsigned width = photo ? VNC_PHOTO_WIDTH : pic->width, n = 0;
  unsigned height = photo ? VNC_PHOTO_HEIGHT : MAX (ZLIB_ROWS_MAX / (pic->width * e->format.bytes), 1);

  for (unsigned y = 0; y < pic->height; y += height)
    for (unsigned x = 0; x < pic->width; x += width, n++)
      {
        VncPicture part = vnc_part (pic, x, y, MIN (width, pic->width - x), MIN (height, pic->height - y));

        vnc_put_rect (out, part.x, part.y, part.width, part.height, VNC_ZLIB);
        vnc_put_u32 (out, 0);
        guint at = out->len;
        g_byte_array_set_size (e->scratch, part.width * part.height * e->format.bytes);
        put_rows (&e->format, &part, e->scratch->data);
        vnc_deflate (e, VNC_STREAM_ZLIB, e->level < 0 ? 5 : e->level, e->scratch->data, e->scratch->len, out);
        vm_store_be32 (out->data + at - 4, out->len - at);
      }
  return n;
}

unsigned
vnc_encode (VncEncoder *e, const VncPicture *pic, bool lossy, GByteArray *out)
{
  switch (e->encoding)
    {
    case VNC_HEXTILE:
      return vnc_encode_hextile (e, pic, out);
    case VNC_ZLIB:
      return encode_zlib (e, pic, out);
    case VNC_ZRLE:
      return vnc_encode_zrle (e, pic, out);
    case VNC_TIGHT:
    case VNC_TIGHT_PNG:
      return vnc_encode_tight (e, pic, lossy, out);
    default:
      return encode_raw (e, pic, out);
    }
}
