/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a client wants its pixels. Ours are 0x00RRGGBB. */
#pragma once

#include "engine/base/base.h"

#define VNC_FORMAT_SIZE 16 /* PIXEL_FORMAT on the wire */

typedef struct VncFormat
{
  uint8_t bits, depth;
  bool big_endian, mapped; /* MAPPED: a colour map; we fill it with 3:3:2 */
  uint16_t max[3];
  uint8_t shift[3]; /* red, green, blue */
  /* worked out */
  bool native;                       /* our words as they are */
  uint8_t bytes;                     /* of a pixel */
  uint8_t compact_bytes, compact_at; /* ZRLE: of a CPIXEL; where it begins in the pixel */
  bool rgb;                          /* Tight: a TPIXEL is three bytes R, G, B */
  uint32_t table[3][256];            /* a channel's bits as they are stored */
} VncFormat;

void vnc_format_init (VncFormat *format); /* ours */
/* False: nobody could want that. */
bool vnc_format_read (VncFormat *format, const uint8_t *wire);
void vnc_format_write (const VncFormat *format, uint8_t *wire);
/* N pixels to OUT, which has room for them; returns its end. */
uint8_t *vnc_format_put (const VncFormat *format, const uint32_t *pixels, size_t n, uint8_t *out);
/* As CPIXELs, as TPIXELs. */
uint8_t *vnc_format_put_compact (const VncFormat *format, const uint32_t *pixels, size_t n, uint8_t *out);
uint8_t *vnc_format_put_tight (const VncFormat *format, const uint32_t *pixels, size_t n, uint8_t *out);
/* SetColourMapEntries for a MAPPED format. */
void vnc_format_put_map (GByteArray *out);

static inline unsigned
vnc_format_tight_bytes (const VncFormat *f)
{
  return f->rgb ? 3 : f->bytes;
}
