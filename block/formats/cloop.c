/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compressed loop images of Knoppix, to read: a script, sizes, a table of offsets, zlib streams. Big-endian. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  AT_BLOCK_SIZE = 128,
  AT_BLOCKS = 132,
  AT_TABLE = 136,
  MAX_BLOCK = 64 << 20,
  MAX_BLOCKS = 0x1fffffff / 8,
};
#define SCRIPT "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"

typedef struct Cloop
{
  VmMap map;
  uint32_t blocks;
  VmFiberMutex lock; /* of the block that was unpacked last */
  uint64_t current;
  uint8_t *plain;
} Cloop;

static int
cloop_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Cloop *s = node->state;

  m->kind = VM_MAP_PACKED;
  m->len = s->map.block - offset % s->map.block;
  return 0;
}

static int
unpack_block (VmNode *node, uint64_t index)
{
  Cloop *s = node->state;
  VmNode *file = node->file->node;
  uint8_t raw[16];

  if (s->current == index)
    return 0;
  s->current = UINT64_MAX;
  int err = vm_meta_read (&s->map.meta, file, AT_TABLE + 8 * index, raw, 16);
  if (err)
    return err;
  uint64_t from = vm_load_be64 (raw), to = vm_load_be64 (raw + 8);
  /* zlib never makes more than this of what does not pack */
  if (to < from || to - from > s->map.block + s->map.block / 1000 + 64 || !vm_map_within (from, to - from, file->size))
    return -EIO;
  g_autofree uint8_t *packed = g_try_malloc (to - from + 1);
  if (!s->plain)
    s->plain = g_try_malloc (s->map.block);
  if (!packed || !s->plain)
    return -ENOMEM;
  err = vm_node_pread (file, from, packed, to - from);
  if (err < 0)
    return err;
  if (vm_inflate (packed, to - from, s->plain, s->map.block, 15) != (ssize_t) s->map.block)
    return -EIO;
  s->current = index;
  return 0;
}

static int
cloop_unpack (VmNode *node, uint64_t offset, const VmMapping *m, VmVec vec)
{
  Cloop *s = node->state;
  (void) m;

  vm_fiber_mutex_lock (&s->lock);
  int err = unpack_block (node, offset / s->map.block);
  if (!err)
    vm_vec_write (vec, 0, s->plain + offset % s->map.block, vec.size);
  vm_fiber_mutex_unlock (&s->lock);
  return err;
}

static const VmMapOps cloop_ops = { .lookup = cloop_lookup, .unpack = cloop_unpack };

static int
cloop_probe (const uint8_t *head, size_t n, VmNode *file)
{
  size_t len = MIN (n, sizeof SCRIPT - 1);
  (void) file;

  return len && !memcmp (head, SCRIPT, len) ? 2 : 0;
}

static bool
cloop_open_image (VmNode *node, GError **error)
{
  Cloop *s = node->state;
  uint8_t raw[8];

  if (!vm_format_open_file (node, error) || !vm_format_readonly (node, error)
      || !vm_file_read_header (node->file->node, AT_BLOCK_SIZE, raw, 8, error))
    return false;
  uint32_t block = vm_load_be32 (raw);
  s->blocks = vm_load_be32 (raw + 4);
  if (!block)
    return vm_fail (error, "block_size cannot be zero");
  if (block % 512)
    return vm_fail (error, "block_size %u must be a multiple of 512", block);
  if (block > MAX_BLOCK)
    return vm_fail (error, "block_size %u must be 64 MB or less", block);
  if (s->blocks > MAX_BLOCKS)
    return vm_fail (error, "n_blocks %u must be %u or less", s->blocks, MAX_BLOCKS);
  if (!vm_map_within (AT_TABLE, 8 * (s->blocks + UINT64_C (1)), node->file->node->size))
    return vm_fail (error, "The table of offsets lies behind the end of the image");
  s->map.ops = &cloop_ops;
  s->map.block = block;
  s->current = UINT64_MAX;
  node->size = (uint64_t) s->blocks * block;
  uint64_t last = 0;
  for (uint32_t i = 0; i <= s->blocks; i++)
    {
      int err = vm_meta_read (&s->map.meta, node->file->node, AT_TABLE + 8 * (uint64_t) i, raw, 8);
      if (err)
        return vm_fail (error, "Could not read the table of offsets: %s", g_strerror (-err));
      uint64_t offset = vm_load_be64 (raw);
      if (offset < last)
        return vm_fail (error, "offsets not monotonically increasing at index %u, image file is corrupt", i);
      if (i && offset - last > 2 * (uint64_t) MAX_BLOCK)
        return vm_fail (error, "invalid compressed block size at index %u, image file is corrupt", i);
      last = offset;
    }
  return true;
}

static bool
cloop_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, cloop_open_image (node, error));
}

static void
cloop_close (VmNode *node)
{
  Cloop *s = node->state;

  g_free (s->plain);
  vm_meta_free (&s->map.meta);
}

const VmBlockDriver vm_cloop_driver = {
  .name = "cloop",
  .help = "compressed loop image, read-only",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Cloop),
  .probe = cloop_probe,
  .open = cloop_open,
  .close = cloop_close,
  .read = vm_map_read,
  .status = vm_map_status,
};
