/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parallels' expanding images ("Parallels Expandable Image File Format", version 2: "WithoutFreeSpace" and
 * "WithouFreSpacExt"): a header, the block allocation table, clusters. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  HEADER = 64,
  AT_VERSION = 16,
  AT_HEADS = 20,
  AT_CYLINDERS = 24,
  AT_TRACKS = 28, /* sectors in a cluster */
  AT_ENTRIES = 32,
  AT_SECTORS = 36,
  AT_IN_USE = 44,
  AT_DATA = 48,
  AT_FLAGS = 52,
  AT_EXTENSION = 56,
  VERSION = 2,
  TABLE = HEADER,
};
#define MAGIC "WithoutFreeSpace"
#define MAGIC_EXT "WithouFreSpacExt"
#define IN_USE 0x746f6e59u
#define DEFAULT_CLUSTER VM_MIB
#define MAX_ENTRIES (0x7fffffffu / 4)

typedef struct Parallels
{
  VmMap map;
  bool in_clusters; /* entries count clusters, not sectors */
  bool damaged;     /* entries point behind the end */
  uint32_t entries;
  uint64_t data, end; /* END: where the next cluster comes */
} Parallels;

static uint64_t
entry_offset (const Parallels *s, uint32_t entry)
{
  return s->in_clusters ? entry * s->map.block : entry * UINT64_C (512);
}

static int
parallels_entry (VmNode *node, uint32_t index, uint32_t *entry)
{
  Parallels *s = node->state;
  uint8_t raw[4] = { 0 };
  int err = vm_meta_read (&s->map.meta, node->file->node, TABLE + 4 * (uint64_t) index, raw, 4);

  *entry = vm_load_le32 (raw);
  return err;
}

static int
parallels_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Parallels *s = node->state;
  uint64_t in_block = offset % s->map.block, index = offset / s->map.block;
  uint32_t entry = 0;
  int err = index < s->entries ? parallels_entry (node, index, &entry) : 0;

  m->len = s->map.block - in_block;
  if (err || !entry)
    return err;
  uint64_t at = entry_offset (s, entry);
  if (at < s->data || at >= s->end)
    return -EUCLEAN;
  m->kind = VM_MAP_DATA;
  m->file = node->file->node;
  m->offset = at + in_block;
  return 0;
}

static int
parallels_allocate (VmNode *node, VmPlace *place)
{
  Parallels *s = node->state;
  uint64_t unit = s->in_clusters ? s->map.block : 512;

  if (s->end / unit > UINT32_MAX || place->start / s->map.block >= s->entries)
    return -ENOSPC;
  place->file = node->file->node;
  place->offset = s->end;
  place->cookie = s->end / unit;
  place->reserve = s->map.block;
  s->end += s->map.block;
  return 0;
}

static int
parallels_link (VmNode *node, const VmPlace *place)
{
  Parallels *s = node->state;
  uint8_t raw[4];

  vm_store_le32 (raw, place->cookie);
  return vm_meta_write (&s->map.meta, node->file->node, TABLE + 4 * (place->start / s->map.block), raw, 4);
}

/* The mark "in use" is not set: the order of writes keeps the image whole at any time. */
static const VmMapOps parallels_ops
    = { .lookup = parallels_lookup, .allocate = parallels_allocate, .link = parallels_link };

static int
parallels_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= HEADER && (!memcmp (head, MAGIC, 16) || !memcmp (head, MAGIC_EXT, 16))
                 && vm_load_le32 (head + AT_VERSION) == VERSION
             ? 100
             : 0;
}

/* Where the clusters in use end, rounded up to whole ones from the first. */
static int
find_end (VmNode *node)
{
  Parallels *s = node->state;

  s->end = s->data;
  for (uint32_t i = 0; i < s->entries; i++)
    {
      uint32_t entry;
      int err = parallels_entry (node, i, &entry);
      if (err)
        return err;
      if (entry && entry_offset (s, entry) >= node->file->node->size)
        s->damaged = true;
      else if (entry)
        s->end = MAX (s->end, entry_offset (s, entry) + s->map.block);
    }
  if (s->in_clusters)
    s->end = (s->end + s->map.block - 1) / s->map.block * s->map.block;
  return 0;
}

static bool
parallels_open_image (VmNode *node, GError **error)
{
  Parallels *s = node->state;
  uint8_t h[HEADER];

  if (!vm_format_open_file (node, error))
    return false;
  VmNode *file = node->file->node;
  if (file->size < HEADER || vm_node_pread (file, 0, h, HEADER) < 0
      || (memcmp (h, MAGIC, 16) && memcmp (h, MAGIC_EXT, 16)) || vm_load_le32 (h + AT_VERSION) != VERSION)
    return vm_fail (error, "Image not in Parallels format");
  s->in_clusters = !memcmp (h, MAGIC_EXT, 16);
  uint32_t tracks = vm_load_le32 (h + AT_TRACKS);
  uint64_t sectors = vm_load_le64 (h + AT_SECTORS);
  if (!s->in_clusters)
    sectors &= UINT32_MAX;
  if (!tracks)
    return vm_fail (error, "Invalid image: Zero sectors per track");
  if (tracks > INT32_MAX / 513)
    return vm_fail (error, "Invalid image: Too big cluster");
  s->entries = vm_load_le32 (h + AT_ENTRIES);
  if (s->entries > MAX_ENTRIES)
    return vm_fail (error, "Catalog too large");
  if (vm_load_le64 (h + AT_EXTENSION) && s->in_clusters)
    return vm_fail (error, "Invalid image: the format extension is not supported");
  s->map.ops = &parallels_ops;
  s->map.layered = true;
  s->map.block = tracks * UINT64_C (512);
  if (sectors > (INT64_MAX >> 9))
    return vm_fail (error, "Invalid image: Too big disk");
  node->size = sectors * 512;
  uint64_t table_end = VM_ALIGN_UP (TABLE + 4 * (uint64_t) s->entries, 512);
  if (TABLE + 4 * (uint64_t) s->entries > file->size)
    return vm_fail (error, "Could not read the image's metadata: the table lies behind the end of the file");
  s->data = vm_load_le32 (h + AT_DATA) * UINT64_C (512);
  if (!s->data)
    s->data = table_end;
  if (s->data < TABLE + 4 * (uint64_t) s->entries)
    return vm_fail (error, "data_off is invalid");
  if (vm_load_le32 (h + AT_IN_USE) == IN_USE && !(node->open_flags & (VM_OPEN_CHECK | VM_OPEN_READONLY))
      && !node->readonly)
    return vm_fail (error, "parallels: Image was not closed correctly; cannot be opened read/write");
  int err = find_end (node);
  if (err)
    return vm_fail (error, "Could not read the image's table: %s", g_strerror (-err));
  if (s->damaged && !(node->open_flags & (VM_OPEN_CHECK | VM_OPEN_READONLY)) && !node->readonly)
    return vm_fail (error, "The image is damaged (clusters are outside of it); cannot be opened read/write");
  return true;
}

static bool
parallels_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, parallels_open_image (node, error));
}

/* --- checking -------------------------------------------------------------------------------------------- */

static int
clear_entry (VmNode *node, uint32_t index)
{
  Parallels *s = node->state;

  return vm_meta_write (&s->map.meta, node->file->node, TABLE + 4 * (uint64_t) index, "\0\0\0", 4);
}

static int
check_in_use (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Parallels *s = node->state;
  uint8_t raw[4];
  int err = vm_meta_read (&s->map.meta, node->file->node, AT_IN_USE, raw, 4);

  if (err || vm_load_le32 (raw) != IN_USE)
    return err;
  vm_check_say (result, "%s image was not closed correctly", fix & VM_CHECK_FIX_ERRORS ? "Repairing" : "ERROR");
  if (!(fix & VM_CHECK_FIX_ERRORS))
    {
      result->corruptions++;
      return 0;
    }
  vm_store_le32 (raw, 0);
  err = vm_meta_write (&s->map.meta, node->file->node, AT_IN_USE, raw, 4);
  result->corruptions_fixed += !err;
  return err;
}

static int
check_entries (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Parallels *s = node->state;
  VmUnitMap units = { 0 };
  uint64_t last = 0;
  int err = 0;

  result->image_end = s->data;
  for (uint32_t i = 0; i < s->entries && !err; i++)
    {
      uint32_t entry;
      err = parallels_entry (node, i, &entry);
      if (err || !entry)
        continue;
      uint64_t at = entry_offset (s, entry);
      bool outside = at < s->data || !vm_map_within (at, 512, node->file->node->size);
      if (outside || !vm_units_add (&units, (at - s->data) / s->map.block))
        {
          vm_check_say (result, "%s cluster %u %s", fix & VM_CHECK_FIX_ERRORS ? "Repairing" : "ERROR", i,
                        outside ? "is outside image" : "shares its place with another");
          if (outside && (fix & VM_CHECK_FIX_ERRORS) && !(err = clear_entry (node, i)))
            result->corruptions_fixed++;
          else
            result->corruptions++;
          continue;
        }
      result->allocated_clusters++;
      result->fragmented_clusters += last && at != last + s->map.block;
      last = at;
      result->image_end = MAX (result->image_end, at + s->map.block);
    }
  vm_units_free (&units);
  return err;
}

static int
check_leaks (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Parallels *s = node->state;
  VmNode *file = node->file->node;

  if (file->size <= result->image_end)
    return 0;
  uint64_t leaked = file->size - result->image_end, n = (leaked + s->map.block - 1) / s->map.block;
  vm_check_say (result, "%s space leaked at the end of the image %" PRIu64,
                fix & VM_CHECK_FIX_LEAKS ? "Repairing" : "ERROR", leaked);
  if (!(fix & VM_CHECK_FIX_LEAKS))
    {
      result->leaks += n;
      return 0;
    }
  int err = vm_node_truncate (file, result->image_end, true, VM_PREALLOC_OFF, 0, NULL);
  if (err >= 0)
    {
      vm_meta_forget (&s->map.meta);
      s->end = result->image_end;
      result->leaks_fixed += n;
    }
  return MIN (err, 0);
}

static int
parallels_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Parallels *s = node->state;

  result->total_clusters = (node->size + s->map.block - 1) / s->map.block;
  int err = check_in_use (node, result, fix);
  if (!err)
    err = check_entries (node, result, fix);
  if (!err)
    err = check_leaks (node, result, fix);
  if (err)
    result->check_errors++;
  return err;
}

/* --- creating -------------------------------------------------------------------------------------------- */

static const VmCreateOption parallels_create_options[] = {
  { "cluster_size", 'z', "1048576", "Parallels image cluster size", false },
  { 0 },
};

static bool
parallels_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                  GError **error)
{
  uint64_t cluster = vm_create_number (values, "cluster_size");
  (void) graph;
  (void) name;

  cluster = VM_ALIGN_UP (cluster ? cluster : DEFAULT_CLUSTER, 512);
  if (cluster > INT32_MAX / 513 * UINT64_C (512))
    return vm_fail (error, "Cluster size is too large");
  if (size / cluster >= MAX_ENTRIES)
    return vm_fail (error, "Image size is too large for this cluster size");
  if (!file)
    return true;
  uint64_t entries = (size + cluster - 1) / cluster;
  uint64_t data = (TABLE + 4 * entries + cluster - 1) / cluster * cluster;
  uint8_t h[HEADER] = MAGIC_EXT;
  vm_store_le32 (h + AT_VERSION, VERSION);
  vm_store_le32 (h + AT_HEADS, 16);
  vm_store_le32 (h + AT_CYLINDERS, MIN (size / 512 / 16 / 32, UINT32_MAX));
  vm_store_le32 (h + AT_TRACKS, cluster / 512);
  vm_store_le32 (h + AT_ENTRIES, entries);
  vm_store_le64 (h + AT_SECTORS, (size + 511) / 512);
  vm_store_le32 (h + AT_DATA, data / 512);
  int err = vm_file_zero (file, 0, data);
  if (err)
    return vm_fail (error, "Failed to create Parallels image: %s", g_strerror (-err));
  return vm_file_write_header (file, 0, h, HEADER, error);
}

const VmBlockDriver vm_parallels_driver = {
  .name = "parallels",
  .help = "Parallels Desktop disk image",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Parallels),
  .probe = parallels_probe,
  .open = parallels_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .write = vm_map_write,
  .write_zeroes = vm_map_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = parallels_create,
  .create_options = parallels_create_options,
  .check = parallels_check,
  .cluster_size = vm_map_cluster_size,
};
