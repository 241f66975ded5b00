/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pixels to bytes of a FramebufferUpdate: one encoder for each client, used by one thread at a time. */
#pragma once

#include "ui/vnc/deflate.h"
#include "ui/vnc/format.h"

#include <zlib.h>

enum
{
  VNC_RAW = 0,
  VNC_COPY_RECT = 1,
  VNC_HEXTILE = 5,
  VNC_ZLIB = 6,
  VNC_TIGHT = 7,
  VNC_ZRLE = 16,
  VNC_TIGHT_PNG = -260,
};

/* Compressors keep their dictionary as long as the connection lasts. */
typedef enum VncStream
{
  VNC_STREAM_TIGHT_FULL, /* the first three have the numbers that Tight gives them */
  VNC_STREAM_TIGHT_MONO,
  VNC_STREAM_TIGHT_INDEXED,
  VNC_STREAM_ZLIB,
  VNC_STREAM_ZRLE,
  VNC_STREAM_N
} VncStream;

typedef struct VncDeflater
{
  bool begun, quick;  /* QUICK: the last was by FAST */
  VncDeflate *fast;   /* NULL: not made yet */
  bool open;
  int level;
  z_stream z;
} VncDeflater;

typedef struct VncJpegs VncJpegs;

typedef struct VncEncoder
{
  VncFormat format;
  int encoding;
  int level;       /* of compression, 0 to 9; -1: the client did not say */
  int quality;     /* of JPEG, 1 to 100; 0: the client did not say */
  int subsampling; /* of JPEG: 1, 2, 4; 0: as the quality asks */
  VncDeflater streams[VNC_STREAM_N];
  VncJpegs *jpegs;     /* NULL: no other viewer could want the same */
  GByteArray *scratch; /* before it is compressed */
  GArray *inexact;     /* VncPicture: what was sent as JPEG since somebody emptied this */
} VncEncoder;

/* Pixels of a rectangle; rows follow one another STRIDE pixels apart. */
typedef struct VncPicture
{
  unsigned x, y, width, height; /* where on the screen; at least 1 x 1 */
  const uint32_t *pixels;
  size_t stride;
} VncPicture;

void vnc_encoder_init (VncEncoder *encoder);
void vnc_encoder_clear (VncEncoder *encoder);
/* Appends rectangles; returns how many. LOSSY: need not be exact. */
unsigned vnc_encode (VncEncoder *encoder, const VncPicture *picture, bool lossy, GByteArray *out);

/* JPEG files that are made once for all viewers; for any thread. */
VncJpegs *vnc_jpegs_new (void);
void vnc_jpegs_free (VncJpegs *jpegs);
void vnc_jpegs_clear (VncJpegs *jpegs);
/* To be unreferenced, and not changed; empty when it failed. JPEGS may be NULL. */
GByteArray *vnc_jpegs_get (VncJpegs *jpegs, const VncPicture *picture, int quality, int subsampling);

void vnc_put_rect (GByteArray *out, unsigned x, unsigned y, unsigned width, unsigned height, int32_t encoding);
void vnc_put_u8 (GByteArray *out, uint8_t value);
void vnc_put_u16 (GByteArray *out, uint16_t value);
void vnc_put_u32 (GByteArray *out, uint32_t value);

/* --- for the files of encodings ------------------------------------------------------------------------- */

/* Whether most pixels differ from those beside and above them, and the client sees more than a byte of each. */
bool vnc_is_photo (const VncEncoder *encoder, const VncPicture *picture);
/* A photograph is sent in parts of this size: codes of their own are shorter, as what is near has the same colours, and
 * what matches is within reach. */
#define VNC_PHOTO_WIDTH 64
#define VNC_PHOTO_HEIGHT 32
VncPicture vnc_part (const VncPicture *picture, unsigned x, unsigned y, unsigned width, unsigned height);
/* LEN more bytes at the end of OUT, to be filled. */
uint8_t *vnc_grow (GByteArray *out, size_t len);
/* Compresses BYTES so that the client can read all of it; appends. */
void vnc_deflate (VncEncoder *encoder, VncStream stream, int level, const uint8_t *bytes, size_t len, GByteArray *out);
unsigned vnc_encode_hextile (VncEncoder *encoder, const VncPicture *picture, GByteArray *out);
unsigned vnc_encode_zrle (VncEncoder *encoder, const VncPicture *picture, GByteArray *out);
unsigned vnc_encode_tight (VncEncoder *encoder, const VncPicture *picture, bool lossy, GByteArray *out);
/* Files of pictures; empty when it failed. */
void vnc_make_jpeg (const VncPicture *picture, int quality, int subsampling, GByteArray *out);
void vnc_make_png (const VncPicture *picture, int level, GByteArray *out);

/* The colours of a picture, in the order they are met; few. */
#define VNC_PALETTE_MAX 256
typedef struct VncPalette
{
  unsigned n;
  uint32_t colours[VNC_PALETTE_MAX];
  uint16_t slots[1024]; /* hash: place in COLOURS + 1 */
} VncPalette;
void vnc_palette_clear (VncPalette *palette);
/* False: there would be more than MAX. */
bool vnc_palette_add (VncPalette *palette, uint32_t colour, unsigned max);
/* False: there are more than MAX. */
bool vnc_palette_make (VncPalette *palette, const VncPicture *picture, unsigned max);
unsigned vnc_palette_find (const VncPalette *palette, uint32_t colour); /* which must be there */
