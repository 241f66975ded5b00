/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first qcow format: two levels of tables, clusters plain or compressed, backing files. Numbers are big-endian. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

enum
{
  HEADER = 48,
  AT_VERSION = 4,
  AT_BACKING = 8,
  AT_BACKING_LEN = 16,
  AT_TIME = 20,
  AT_SIZE = 24,
  AT_CLUSTER_BITS = 32,
  AT_L2_BITS = 33,
  AT_CRYPT = 36,
  AT_L1 = 40,
  MAX_NAME = 1023,
  DEFLATE_BITS = -12, /* a window of 4 KiB */
};
#define MAGIC 0x514649fbu
#define PACKED VM_BIT (63)

typedef struct Qcow
{
  VmMap map;
  uint32_t cluster_bits, l2_bits;
  uint64_t l1, l1_entries, end;
} Qcow;

static int
qcow_get (VmNode *node, uint64_t offset, uint64_t *value)
{
  Qcow *s = node->state;
  uint8_t raw[8] = { 0 };
  int err = vm_meta_read (&s->map.meta, node->file->node, offset, raw, 8);

  *value = vm_load_be64 (raw);
  return err;
}

static int
qcow_put (VmNode *node, uint64_t offset, uint64_t value)
{
  Qcow *s = node->state;
  uint8_t raw[8];

  vm_store_be64 (raw, value);
  return vm_meta_write (&s->map.meta, node->file->node, offset, raw, 8);
}

static uint64_t
l1_at (const Qcow *s, uint64_t offset)
{
  return s->l1 + 8 * (offset >> (s->cluster_bits + s->l2_bits));
}

static uint64_t
l2_at (const Qcow *s, uint64_t l2, uint64_t offset)
{
  return l2 + 8 * ((offset >> s->cluster_bits) & (VM_BIT (s->l2_bits) - 1));
}

static int
qcow_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Qcow *s = node->state;
  uint64_t l2, entry, in_cluster = offset & (s->map.block - 1), span = VM_BIT (s->cluster_bits + s->l2_bits);
  int err = qcow_get (node, l1_at (s, offset), &l2);

  if (err)
    return err;
  if (!l2)
    {
      m->len = span - (offset & (span - 1));
      return 0;
    }
  if (l2 < HEADER || !vm_map_within (l2, VM_BIT (s->l2_bits) * 8, MAX (s->end, node->file->node->size)))
    return -EUCLEAN;
  err = qcow_get (node, l2_at (s, l2, offset), &entry);
  m->len = s->map.block - in_cluster;
  if (err || !entry)
    return err;
  m->file = node->file->node;
  m->kind = entry & PACKED ? VM_MAP_PACKED : VM_MAP_DATA;
  m->offset = entry & PACKED ? entry : entry + in_cluster;
  return !(entry & PACKED) && (entry < HEADER || entry >= s->end) ? -EUCLEAN : 0;
}

static int
qcow_unpack (VmNode *node, uint64_t offset, const VmMapping *m, VmVec vec)
{
  Qcow *s = node->state;
  unsigned shift = 63 - s->cluster_bits;
  uint64_t at = m->offset & (VM_BIT (shift) - 1);
  size_t len = (m->offset >> shift) & (s->map.block - 1);
  g_autofree uint8_t *packed = g_malloc (s->map.block), *plain = g_malloc (s->map.block);

  if (!vm_map_within (at, len, m->file->size))
    return -EIO;
  int err = vm_node_pread (m->file, at, packed, len);
  if (err >= 0 && vm_inflate (packed, len, plain, s->map.block, DEFLATE_BITS) != (ssize_t) s->map.block)
    err = -EIO;
  if (err < 0)
    return err;
  vm_vec_write (vec, 0, plain + (offset & (s->map.block - 1)), vec.size);
  return 0;
}

static int
qcow_allocate (VmNode *node, VmPlace *place)
{
  Qcow *s = node->state;

  place->file = node->file->node;
  place->offset = VM_ALIGN_UP (s->end, s->map.block);
  place->reserve = s->map.block;
  s->end = place->offset + s->map.block;
  return s->end >> (63 - s->cluster_bits) ? -EFBIG : 0;
}

/* A table is whole before the one above names it. */
static int
set_entry (VmNode *node, uint64_t offset, uint64_t entry)
{
  Qcow *s = node->state;
  uint64_t l2, bytes = VM_BIT (s->l2_bits) * 8;
  int err = qcow_get (node, l1_at (s, offset), &l2);

  if (err)
    return err;
  bool made = !l2;
  if (made)
    {
      l2 = VM_ALIGN_UP (s->end, s->map.block);
      s->end = l2 + bytes;
      err = vm_file_zero (node->file->node, l2, bytes);
      if (err)
        return err;
      vm_meta_forget (&s->map.meta);
    }
  err = qcow_put (node, l2_at (s, l2, offset), entry);
  if (!err && made)
    err = qcow_put (node, l1_at (s, offset), l2);
  return err;
}

static int
qcow_link (VmNode *node, const VmPlace *place)
{
  return set_entry (node, place->start, place->offset);
}

static int
qcow_write_packed (VmNode *node, uint64_t offset, VmVec vec)
{
  Qcow *s = node->state;
  g_autofree uint8_t *plain = g_malloc0 (s->map.block), *packed = g_malloc (s->map.block);

  if (offset % s->map.block || (vec.size < s->map.block && offset + vec.size < node->size))
    return -EINVAL;
  vm_vec_read (vec, 0, plain, vec.size);
  ssize_t len = vm_deflate (plain, s->map.block, packed, s->map.block - 1, DEFLATE_BITS);
  if (len < 0)
    { /* does not get smaller */
      struct iovec iov;
      VmPlace place = { .start = offset, .len = s->map.block };
      int err = qcow_allocate (node, &place);
      if (!err)
        err = vm_file_grow (place.file, place.offset, s->map.block);
      if (!err)
        err = vm_node_write (place.file, place.offset, vm_vec_buffer (&iov, plain, s->map.block), 0);
      return err < 0 ? err : qcow_link (node, &place);
    }
  uint64_t at = s->end;
  if (at + len >= VM_BIT (63 - s->cluster_bits))
    return -EFBIG;
  s->end += len;
  int err = vm_file_grow (node->file->node, at, len);
  if (!err)
    err = vm_node_pwrite (node->file->node, at, packed, len);
  return err < 0 ? err : set_entry (node, offset, PACKED | (uint64_t) len << (63 - s->cluster_bits) | at);
}

static const VmMapOps qcow_ops = {
  .lookup = qcow_lookup,
  .unpack = qcow_unpack,
  .allocate = qcow_allocate,
  .link = qcow_link,
  .write_packed = qcow_write_packed,
};

static int
qcow_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= HEADER && vm_load_be32 (head) == MAGIC && vm_load_be32 (head + AT_VERSION) == 1 ? 100 : 0;
}

static bool
qcow_open_image (VmNode *node, GError **error)
{
  Qcow *s = node->state;
  uint8_t h[HEADER];

  if (!vm_format_open_file (node, error) || !vm_file_read_header (node->file->node, 0, h, HEADER, error))
    return false;
  VmNode *file = node->file->node;
  if (vm_load_be32 (h) != MAGIC)
    return vm_fail (error, "Image not in qcow format");
  if (vm_load_be32 (h + AT_VERSION) != 1)
    return vm_fail (error, "qcow (v1) does not support qcow version %" PRIu32, vm_load_be32 (h + AT_VERSION));
  node->size = vm_load_be64 (h + AT_SIZE);
  s->cluster_bits = h[AT_CLUSTER_BITS];
  s->l2_bits = h[AT_L2_BITS];
  if (node->size <= 1)
    return vm_fail (error, "Image size is too small (must be at least 2 bytes)");
  if (s->cluster_bits < 9 || s->cluster_bits > 16)
    return vm_fail (error, "Cluster size must be between 512 and 64k");
  if (s->l2_bits < 9 - 3 || s->l2_bits > 16 - 3)
    return vm_fail (error, "L2 table size must be between 512 and 64k");
  if (vm_load_be32 (h + AT_CRYPT))
    return vm_fail (error, "Encrypted images of format 'qcow': not available in this build");
  uint64_t span = VM_BIT (s->cluster_bits + s->l2_bits);
  if (node->size > INT64_MAX - span)
    return vm_fail (error, "Image too large");
  s->l1_entries = (node->size + span - 1) / span;
  s->l1 = vm_load_be64 (h + AT_L1);
  if (s->l1_entries > INT32_MAX / 8)
    return vm_fail (error, "Image too large");
  if (s->l1 < HEADER || !vm_map_within (s->l1, s->l1_entries * 8, MAX (file->size, s->l1 + s->l1_entries * 8))
      || s->l1 > file->size)
    return vm_fail (error, "L1 table offset is invalid");
  s->map.ops = &qcow_ops;
  s->map.layered = true;
  s->map.block = VM_BIT (s->cluster_bits);
  s->end = MAX (file->size, s->l1 + s->l1_entries * 8);
  uint64_t backing = vm_load_be64 (h + AT_BACKING);
  uint32_t len = vm_load_be32 (h + AT_BACKING_LEN);
  if (!backing)
    return true;
  if (len > MAX_NAME)
    return vm_fail (error, "Backing file name too long");
  g_autofree char *name = g_malloc0 (len + 1);
  if (!vm_file_read_header (file, backing, name, len, error))
    return false;
  node->backing_name = g_steal_pointer (&name);
  return true;
}

static bool
qcow_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, qcow_open_image (node, error));
}

static const VmCreateOption qcow_create_options[] = {
  { "backing_file", 's', NULL, "File name of a base image", false },
  { "backing_fmt", 's', NULL, "Format of the backing image", false },
  { 0 },
};

static bool
qcow_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
             GError **error)
{
  const char *backing = vm_create_text (values, "backing_file");
  size_t len = backing ? strlen (backing) : 0;
  /* Over a backing file small clusters save copying. */
  unsigned cluster_bits = len ? 9 : 12, l2_bits = len ? 12 : 9;
  (void) graph;
  (void) name;

  if (!size)
    return vm_fail (error, "Image size is too small, cannot be zero length");
  if (len > MAX_NAME)
    return vm_fail (error, "Backing file name too long");
  size = VM_ALIGN_UP (size, 512);
  uint64_t span = VM_BIT (cluster_bits + l2_bits), l1 = VM_ALIGN_UP (HEADER + len, 8);
  uint64_t l1_bytes = (size + span - 1) / span * 8;
  if (size > INT64_MAX - span || l1_bytes > INT32_MAX)
    return vm_fail (error, "Image too large");
  if (!file)
    return true;
  g_autofree uint8_t *h = g_malloc0 (HEADER + len);
  vm_store_be32 (h, MAGIC);
  vm_store_be32 (h + AT_VERSION, 1);
  if (len)
    {
      vm_store_be64 (h + AT_BACKING, HEADER);
      vm_store_be32 (h + AT_BACKING_LEN, len);
      memcpy (h + HEADER, backing, len);
    }
  vm_store_be64 (h + AT_SIZE, size);
  h[AT_CLUSTER_BITS] = cluster_bits;
  h[AT_L2_BITS] = l2_bits;
  vm_store_be64 (h + AT_L1, l1);
  int err = vm_file_zero (file, 0, l1 + l1_bytes);
  if (err)
    return vm_fail (error, "Could not write the image: %s", g_strerror (-err));
  return vm_file_write_header (file, 0, h, HEADER + len, error);
}

const VmBlockDriver vm_qcow_driver = {
  .name = "qcow",
  .help = "the first qcow format",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Qcow),
  .has_backing = true,
  .can_compress = true,
  .probe = qcow_probe,
  .open = qcow_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .write = vm_map_write,
  .write_zeroes = vm_map_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = qcow_create,
  .create_options = qcow_create_options,
  .cluster_size = vm_map_cluster_size,
};
