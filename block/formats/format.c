/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small things all image formats need. */
#include "block/formats/format.h"

#include <errno.h>
#include <sys/random.h>
#include <zlib.h>

bool
vm_format_open_file (VmNode *node, GError **error)
{
  return vm_node_open_child (node, "file", VM_ROLE_DATA | VM_ROLE_METADATA | VM_ROLE_PRIMARY, true, error) != NULL;
}

bool
vm_format_readonly (VmNode *node, GError **error)
{
  if (node->readonly || (node->open_flags & VM_OPEN_READONLY))
    return true;
  if (node->auto_readonly)
    return node->readonly = true;
  return vm_fail (error, "Block format '%s' is read-only: open it with read-only=on", node->driver->name);
}

void
vm_format_uuid (uint8_t uuid[16])
{
  if (getrandom (uuid, 16, 0) != 16)
    for (unsigned i = 0; i < 16; i++)
      uuid[i] = g_random_int ();
  uuid[6] = (uuid[6] & 0x0f) | 0x40;
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

void
vm_check_say (VmCheckResult *result, const char *format, ...)
{
  if (!result->print)
    return;
  va_list args;
  va_start (args, format);
  g_autofree char *line = g_strdup_vprintf (format, args);
  va_end (args);
  result->print (result->opaque, line);
}

typedef struct Packing
{
  const void *from;
  void *to;
  size_t from_len, to_len;
  int bits;
  ssize_t result;
} Packing;

static void
inflate_work (void *opaque)
{
  Packing *p = opaque;
  z_stream z = { .next_in = (Bytef *) p->from, .avail_in = p->from_len, .next_out = p->to, .avail_out = p->to_len };

  p->result = -EIO;
  if (inflateInit2 (&z, p->bits) != Z_OK)
    return;
  int ret = inflate (&z, Z_FINISH);
  /* Full output is all that is asked for: some writers leave no proper end. */
  if (ret == Z_STREAM_END || ((ret == Z_BUF_ERROR || ret == Z_OK) && !z.avail_out))
    p->result = p->to_len - z.avail_out;
  inflateEnd (&z);
}

static void
deflate_work (void *opaque)
{
  Packing *p = opaque;
  z_stream z = { .next_in = (Bytef *) p->from, .avail_in = p->from_len, .next_out = p->to, .avail_out = p->to_len };

  p->result = -ENOSPC;
  if (deflateInit2 (&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, p->bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return;
  if (deflate (&z, Z_FINISH) == Z_STREAM_END)
    p->result = p->to_len - z.avail_out;
  deflateEnd (&z);
}

ssize_t
vm_inflate (const void *from, size_t from_len, void *to, size_t to_len, int bits)
{
  Packing p = { from, to, from_len, to_len, bits, -EIO };

  vm_fiber_work (inflate_work, &p);
  return p.result;
}

ssize_t
vm_deflate (const void *from, size_t from_len, void *to, size_t to_len, int bits)
{
  Packing p = { from, to, from_len, to_len, bits, -ENOSPC };

  vm_fiber_work (deflate_work, &p);
  return p.result;
}

enum
{
  UNITS = 32768 /* per piece of the bitmap */
};

bool
vm_units_add (VmUnitMap *map, uint64_t unit)
{
  if (!map->seen)
    map->seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  int64_t key = unit / UNITS;
  uint64_t *bits = g_hash_table_lookup (map->seen, &key);
  if (!bits)
    {
      bits = g_new0 (uint64_t, UNITS / 64);
      g_hash_table_insert (map->seen, g_memdup2 (&key, sizeof key), bits);
    }
  uint64_t *word = &bits[unit % UNITS / 64], bit = VM_BIT (unit % 64);
  bool fresh = !(*word & bit);
  *word |= bit;
  return fresh;
}

void
vm_units_free (VmUnitMap *map)
{
  g_clear_pointer (&map->seen, g_hash_table_unref);
}
