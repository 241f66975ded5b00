/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing images of Bochs, to read ("Redolog" in the Bochs documentation): a header, a catalog of extents, and before
 * each extent a bitmap of its sectors. */
#include "block/formats/format.h"

#include <errno.h>

enum
{
  HEADER = 512,
  AT_TYPE = 32,
  AT_SUBTYPE = 48,
  AT_VERSION = 64,
  AT_HEADER = 68,
  AT_CATALOG = 72,
  AT_BITMAP = 76,
  AT_EXTENT = 80,
  AT_DISK_1 = 84,
  AT_DISK_2 = 88,
  MAX_CATALOG = 0x100000,
  MAX_EXTENT = 0x800000,
};
#define MAGIC "Bochs Virtual HD Image"
#define VERSION_1 0x00010000u
#define VERSION_2 0x00020000u
#define ENTRY_NONE 0xffffffffu

typedef struct Bochs
{
  VmMap map;
  uint32_t header, entries, bitmap; /* bytes, whole sectors */
  uint64_t data;
} Bochs;

static int
bochs_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Bochs *s = node->state;
  VmNode *file = node->file->node;
  uint64_t index = offset / s->map.block, in_extent = offset % s->map.block;
  uint8_t raw[4], bits;

  m->len = s->map.block - in_extent;
  if (index >= s->entries)
    return -EIO;
  int err = vm_meta_read (&s->map.meta, file, s->header + 4 * index, raw, 4);
  if (err || vm_load_le32 (raw) == ENTRY_NONE)
    return err;
  uint64_t extent = s->data + vm_load_le32 (raw) * (s->bitmap + VM_ALIGN_UP (s->map.block, 512));
  uint32_t sector = in_extent / 512;
  err = vm_meta_read (&s->map.meta, file, extent + sector / 8, &bits, 1);
  if (err)
    return err;
  bool set = bits >> sector % 8 & 1;
  uint32_t run = 1;
  while (sector % 8 + run < 8 && (bits >> (sector + run) % 8 & 1) == set)
    run++;
  m->len = MIN (m->len, run * UINT64_C (512) - in_extent % 512);
  if (set)
    {
      m->kind = VM_MAP_DATA;
      m->file = file;
      m->offset = extent + s->bitmap + in_extent;
    }
  return 0;
}

static const VmMapOps bochs_ops = { .lookup = bochs_lookup };

static bool
is_bochs (const uint8_t *h)
{
  return !memcmp (h, MAGIC, sizeof MAGIC) && !strncmp ((const char *) h + AT_TYPE, "Redolog", 16)
         && !strncmp ((const char *) h + AT_SUBTYPE, "Growing", 16)
         && (vm_load_le32 (h + AT_VERSION) == VERSION_1 || vm_load_le32 (h + AT_VERSION) == VERSION_2);
}

static int
bochs_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= HEADER && is_bochs (head) ? 100 : 0;
}

static bool
bochs_open_image (VmNode *node, GError **error)
{
  Bochs *s = node->state;
  uint8_t h[HEADER];

  if (!vm_format_open_file (node, error) || !vm_format_readonly (node, error))
    return false;
  if (node->file->node->size < HEADER || vm_node_pread (node->file->node, 0, h, HEADER) < 0 || !is_bochs (h))
    return vm_fail (error, "Image not in Bochs format");
  uint32_t extent = vm_load_le32 (h + AT_EXTENT), bitmap = vm_load_le32 (h + AT_BITMAP);
  node->size = vm_load_le64 (h + (vm_load_le32 (h + AT_VERSION) == VERSION_1 ? AT_DISK_1 : AT_DISK_2)) / 512 * 512;
  s->header = vm_load_le32 (h + AT_HEADER);
  s->entries = vm_load_le32 (h + AT_CATALOG);
  if (s->entries > MAX_CATALOG)
    return vm_fail (error, "Catalog size is too large");
  if (!extent || extent % 512)
    return vm_fail (error, "Extent size must be a multiple of 512");
  if (extent < 512)
    return vm_fail (error, "Extent size must be at least 512");
  if (!vm_is_pow2 (extent))
    return vm_fail (error, "Extent size %u is not a power of two", extent);
  if (extent > MAX_EXTENT)
    return vm_fail (error, "Extent size %u is too large", extent);
  if (bitmap < extent / 512 / 8 || bitmap > MAX_EXTENT)
    return vm_fail (error, "The bitmap of sectors is of a wrong size");
  if (s->header < HEADER || node->size > (uint64_t) s->entries * extent)
    return vm_fail (error, "Catalog size is too small for this disk size");
  s->map.ops = &bochs_ops;
  s->map.block = extent;
  s->bitmap = VM_ALIGN_UP (bitmap, 512);
  s->data = s->header + 4 * (uint64_t) s->entries;
  return true;
}

static bool
bochs_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, bochs_open_image (node, error));
}

const VmBlockDriver vm_bochs_driver = {
  .name = "bochs",
  .help = "growing image of Bochs, read-only",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Bochs),
  .probe = bochs_probe,
  .open = bochs_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .status = vm_map_status,
};
