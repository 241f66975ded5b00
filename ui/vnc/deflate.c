/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DEFLATE (RFC 1951) by ISA-L's igzip at its level 1: four times as fast as zlib's, for a tenth more bytes. */
#include "ui/vnc/deflate.h"

#include <isa-l/igzip_lib.h>

/* Words of a block, each of two literals or a match: shorter ones, with codes of their own, are shorter where pictures
 * change from place to place. */
#define BLOCK 4096

struct VncDeflate
{
  struct isal_zstream stream; /* its window is in it */
  uint8_t level[ISAL_DEF_LVL1_REQ + BLOCK * ISAL_DEF_LVL1_TOKEN_SIZE];
};

VncDeflate *
vnc_deflate_new (void)
{
  VncDeflate *d = g_new0 (VncDeflate, 1);

  isal_deflate_init (&d->stream);
  d->stream.level = 1;
  d->stream.level_buf = d->level;
  d->stream.level_buf_size = sizeof d->level;
  d->stream.flush = SYNC_FLUSH;
  return d;
}

void
vnc_deflate_free (VncDeflate *d)
{
  g_free (d);
}

void
vnc_deflate_put (VncDeflate *d, const uint8_t *bytes, size_t len, GByteArray *out)
{
  guint have = out->len, room = (guint) (len / 2) + 256;

  d->stream.next_in = (uint8_t *) (uintptr_t) bytes; /* only read */
  d->stream.avail_in = (uint32_t) len;
  do
    {
      g_byte_array_set_size (out, have + room);
      d->stream.next_out = out->data + have;
      d->stream.avail_out = room;
      int status = isal_deflate (&d->stream);
      g_assert (status == COMP_OK);
      have += room - d->stream.avail_out;
    }
  while (!d->stream.avail_out);
  g_byte_array_set_size (out, have);
}
