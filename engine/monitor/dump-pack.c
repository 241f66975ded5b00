/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compressors for pages of dumps: the streams of LZO1X ("LZO stream format as understood by Linux", Linux
 * documentation) and of Snappy ("Snappy compressed format description"). One page is small: a table of where four bytes
 * were last, and the first match is taken. */
#include "engine/monitor/dump-private.h"

#define HASH_BITS 10

typedef struct Search
{
  const uint8_t *page;
  uint16_t last[1 << HASH_BITS]; /* position + 1 */
} Search;

static unsigned
hash_at (const uint8_t *at)
{
  return vm_load_le32 (at) * 2654435761u >> (32 - HASH_BITS);
}

/* Length of a match for POS, at least 4, and its DISTANCE back; 0: none. */
static unsigned
find_match (Search *s, unsigned pos, unsigned *distance)
{
  const unsigned size = VM_PAGE_SIZE;
  unsigned n = 0, from;

  if (pos + 4 > size)
    return 0;
  uint16_t *slot = &s->last[hash_at (s->page + pos)];
  from = *slot;
  *slot = (uint16_t) (pos + 1);
  if (!from)
    return 0;
  from--;
  while (pos + n < size && s->page[from + n] == s->page[pos + n])
    n++;
  *distance = pos - from;
  return n >= 4 ? n : 0;
}

/* --- LZO1X ------------------------------------------------------------------------------------------------------- */

/* What a length has beyond its field: a zero for each 255, then the rest, at least 1. */
static uint8_t *
put_length (uint8_t *out, unsigned n)
{
  for (; n > 255; n -= 255)
    *out++ = 0;
  *out++ = (uint8_t) n;
  return out;
}

/* N literals; LAST is the first distance byte of the match before, NULL at the beginning. */
static uint8_t *
lzo_literals (uint8_t *out, const uint8_t *from, unsigned n, uint8_t *last)
{
  if (n == 0)
    return out;
  if (last && n < 4)
    *last |= (uint8_t) n;
  else if (!last && n <= 238)
    *out++ = (uint8_t) (17 + n);
  else if (n <= 18)
    *out++ = (uint8_t) (n - 3);
  else
    {
      *out++ = 0;
      out = put_length (out, n - 18);
    }
  memcpy (out, from, n);
  return out + n;
}

size_t
dump_pack_lzo (const uint8_t *page, uint8_t *out)
{
  Search s = { .page = page };
  uint8_t *begin = out, *last = NULL;
  unsigned pos = 0, literals = 0, distance = 0;

  while (pos < VM_PAGE_SIZE)
    {
      unsigned n = find_match (&s, pos, &distance);
      if (!n)
        {
          pos++;
          continue;
        }
      out = lzo_literals (out, page + literals, pos - literals, last);
      *out++ = (uint8_t) (32 | (n <= 33 ? n - 2 : 0));
      if (n > 33)
        out = put_length (out, n - 33);
      last = out;
      vm_store_le16 (out, (uint16_t) ((distance - 1) << 2));
      out += 2;
      pos += n;
      literals = pos;
    }
  out = lzo_literals (out, page + literals, pos - literals, last);
  *out++ = 0x11; /* the end of the stream */
  *out++ = 0;
  *out++ = 0;
  return (size_t) (out - begin);
}

/* --- Snappy ------------------------------------------------------------------------------------------------------ */

static uint8_t *
snappy_literals (uint8_t *out, const uint8_t *from, unsigned n)
{
  if (n == 0)
    return out;
  if (n <= 60)
    *out++ = (uint8_t) ((n - 1) << 2);
  else
    {
      *out++ = 61 << 2;
      vm_store_le16 (out, (uint16_t) (n - 1));
      out += 2;
    }
  memcpy (out, from, n);
  return out + n;
}

size_t
dump_pack_snappy (const uint8_t *page, uint8_t *out)
{
  Search s = { .page = page };
  uint8_t *begin = out;
  unsigned pos = 0, literals = 0, distance = 0;

  *out++ = (VM_PAGE_SIZE & 0x7f) | 0x80; /* the length, seven bits at a time */
  *out++ = VM_PAGE_SIZE >> 7;
  while (pos < VM_PAGE_SIZE)
    {
      unsigned n = find_match (&s, pos, &distance);
      if (!n)
        {
          pos++;
          continue;
        }
      out = snappy_literals (out, page + literals, pos - literals);
      n = MIN (n, 64);
      *out++ = (uint8_t) ((n - 1) << 2 | 2);
      vm_store_le16 (out, (uint16_t) distance);
      out += 2;
      pos += n;
      literals = pos;
    }
  out = snappy_literals (out, page + literals, pos - literals);
  return (size_t) (out - begin);
}
