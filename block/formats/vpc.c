/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VHD, the disk images of Virtual PC and Hyper-V: fixed, dynamic, and differencing ones to read ("Virtual Hard Disk
 * Image Format Specification" 1.0). Numbers are big-endian. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

enum
{
  FOOTER = 512,
  F_COOKIE = 0,
  F_FEATURES = 8,
  F_VERSION = 12,
  F_DATA_OFFSET = 16,
  F_TIME = 24,
  F_CREATOR = 28,
  F_CREATOR_VERSION = 32,
  F_CREATOR_OS = 36,
  F_ORIGINAL_SIZE = 40,
  F_SIZE = 48,
  F_GEOMETRY = 56,
  F_TYPE = 60,
  F_CHECKSUM = 64,
  F_UUID = 68,

  HEADER = 1024,
  H_DATA_OFFSET = 8,
  H_TABLE = 16,
  H_VERSION = 24,
  H_ENTRIES = 28,
  H_BLOCK_SIZE = 32,
  H_CHECKSUM = 36,
  H_PARENT_NAME = 64,
  H_LOCATORS = 576,
  LOCATORS = 8,
  LOCATOR = 24,

  TYPE_FIXED = 2,
  TYPE_DYNAMIC = 3,
  TYPE_DIFFERENCING = 4,
  MAX_NAME = 4096,
};
#define COOKIE "conectix"
#define HEADER_COOKIE "cxsparse"
#define VERSION 0x10000u
#define ENTRY_NONE 0xffffffffu
#define BLOCK_SIZE (2u << 20)
#define EPOCH 946684800 /* 2000-01-01 */
#define MAX_GEOMETRY (65535ull * 16 * 255)
#define MAX_SECTORS 0xff000000ull /* 2,040 GiB */

typedef struct Vpc
{
  VmMap map;
  uint32_t type, entries, bitmap; /* bytes of a block's bitmap of sectors */
  uint64_t table, end;            /* END: where the footer may lie */
  uint8_t footer[FOOTER];
} Vpc;

typedef struct Geometry
{
  uint32_t cylinders, heads, sectors;
} Geometry;

/* The algorithm of the specification's appendix. */
static Geometry
vpc_geometry (uint64_t sectors)
{
  Geometry g;
  uint64_t tracks;

  sectors = MIN (sectors, MAX_GEOMETRY);
  if (sectors >= 65535ull * 16 * 63)
    {
      g.sectors = 255;
      g.heads = 16;
      tracks = sectors / 255;
    }
  else
    {
      g.sectors = 17;
      tracks = sectors / 17;
      g.heads = MAX ((tracks + 1023) / 1024, 4);
      if (tracks >= g.heads * 1024 || g.heads > 16)
        {
          g.sectors = 31;
          g.heads = 16;
          tracks = sectors / 31;
        }
      if (tracks >= g.heads * 1024)
        {
          g.sectors = 63;
          g.heads = 16;
          tracks = sectors / 63;
        }
    }
  g.cylinders = tracks / g.heads;
  return g;
}

static uint64_t
geometry_sectors (Geometry g)
{
  return (uint64_t) g.cylinders * g.heads * g.sectors;
}

static uint32_t
vpc_checksum (const uint8_t *data, size_t len, size_t at)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < len; i++)
    if (i < at || i >= at + 4)
      sum += data[i];
  return ~sum;
}

/* --- the table ------------------------------------------------------------------------------------------- */

static int
vpc_entry (VmNode *node, uint32_t index, uint32_t *entry)
{
  Vpc *s = node->state;
  uint8_t raw[4];
  int err = index < s->entries ? vm_meta_read (&s->map.meta, node->file->node, s->table + 4 * (uint64_t) index, raw, 4)
                               : -EIO;

  if (!err)
    *entry = vm_load_be32 (raw);
  return err;
}

/* How many sectors from SECTOR on are like it, in the bitmap at OFFSET of the file. */
static int
bitmap_run (VmNode *node, uint64_t offset, uint32_t sector, uint32_t sectors, bool *set, uint32_t *run)
{
  Vpc *s = node->state;
  uint8_t bytes[64];
  uint32_t first = sector / 8;
  size_t n = MIN (sizeof bytes, s->bitmap - first);
  int err = vm_meta_read (&s->map.meta, node->file->node, offset + first, bytes, n);

  if (err)
    return err;
  uint32_t end = MIN (sectors, (uint32_t) (first + n) * 8), i = sector;
  *set = bytes[0] & (0x80 >> sector % 8);
  while (i < end && *set == (bool) (bytes[i / 8 - first] & (0x80 >> i % 8)))
    i++;
  *run = i - sector;
  return 0;
}

static int
vpc_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Vpc *s = node->state;
  VmNode *file = node->file->node;
  uint64_t in_block = offset % s->map.block;
  uint32_t entry;

  if (s->type == TYPE_FIXED)
    {
      *m = (VmMapping){ VM_MAP_DATA, file, offset, node->size - offset };
      return 0;
    }
  int err = vpc_entry (node, offset / s->map.block, &entry);
  if (err)
    return err;
  m->len = s->map.block - in_block;
  if (entry == ENTRY_NONE)
    return 0;
  uint64_t block = (uint64_t) entry * 512;
  if (block < FOOTER + HEADER || block >= s->end)
    return -EUCLEAN;
  m->kind = VM_MAP_DATA;
  m->file = file;
  m->offset = block + s->bitmap + in_block;
  if (s->type == TYPE_DIFFERENCING)
    {
      bool set;
      uint32_t run;
      err = bitmap_run (node, block, in_block / 512, s->map.block / 512, &set, &run);
      m->kind = set ? VM_MAP_DATA : VM_MAP_HOLE;
      m->len = run * 512ull - in_block % 512;
    }
  return err;
}

/* The last sector of the file is a copy of the footer at any time. */
static int
vpc_allocate (VmNode *node, VmPlace *place)
{
  Vpc *s = node->state;
  uint64_t block = VM_ALIGN_UP (s->end, 512), after = block + s->bitmap + s->map.block;

  if (block / 512 >= ENTRY_NONE)
    return -ENOSPC;
  place->file = node->file->node;
  place->offset = block + s->bitmap;
  place->cookie = block / 512;
  place->fresh = place->offset >= place->file->size;
  int err = vm_meta_write (&s->map.meta, place->file, after, s->footer, FOOTER);
  if (!err)
    {
      g_autofree uint8_t *ones = g_malloc (s->bitmap);
      memset (ones, 0xff, s->bitmap);
      err = vm_meta_write (&s->map.meta, place->file, block, ones, s->bitmap);
    }
  if (!err)
    s->end = after;
  return err;
}

static int
vpc_link (VmNode *node, const VmPlace *place)
{
  Vpc *s = node->state;
  uint8_t raw[4];

  vm_store_be32 (raw, place->cookie);
  return vm_meta_write (&s->map.meta, node->file->node, s->table + 4 * (place->start / s->map.block), raw, 4);
}

static const VmMapOps vpc_ops = { .lookup = vpc_lookup, .allocate = vpc_allocate, .link = vpc_link };

/* Other programs leave bits of sectors that were never written at 0. */
static int
mark_written (VmNode *node, uint64_t offset, uint64_t len)
{
  Vpc *s = node->state;

  while (len)
    {
      uint64_t in_block = offset % s->map.block, n = MIN (len, s->map.block - in_block);
      uint32_t entry, sector = in_block / 512, end = (in_block + n + 511) / 512;
      int err = vpc_entry (node, offset / s->map.block, &entry);
      while (!err && entry != ENTRY_NONE && sector < end)
        {
          bool set;
          uint32_t run;
          err = bitmap_run (node, entry * 512ull, sector, end, &set, &run);
          for (uint32_t i = sector; !err && !set && i < sector + run; i++)
            {
              uint8_t byte;
              uint64_t at = entry * 512ull + i / 8;
              err = vm_meta_read (&s->map.meta, node->file->node, at, &byte, 1);
              byte |= 0x80 >> i % 8;
              if (!err)
                err = vm_meta_write (&s->map.meta, node->file->node, at, &byte, 1);
            }
          sector += run;
        }
      if (err)
        return err;
      offset += n;
      len -= n;
    }
  return 0;
}

static int
vpc_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Vpc *s = node->state;
  int err = vm_map_write (node, offset, vec, flags);

  return err < 0 || s->type == TYPE_FIXED ? err : mark_written (node, offset, vec.size);
}

/* --- opening --------------------------------------------------------------------------------------------- */

static int
vpc_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= FOOTER && !memcmp (head, COOKIE, 8) ? 100 : 0;
}

/* Some programs keep to the geometry in the footer and some to the size. */
static uint64_t
footer_size (const uint8_t *f)
{
  Geometry g = { vm_load_be16 (f + F_GEOMETRY), f[F_GEOMETRY + 2], f[F_GEOMETRY + 3] };
  static const char by_size[][5] = { "win ", "d2v ", "CTXS", "qem2", "tap" }; /* with its 0 */
  uint64_t sectors = geometry_sectors (g);
  bool use_size = sectors >= MAX_GEOMETRY;

  for (size_t i = 0; i < G_N_ELEMENTS (by_size); i++)
    use_size |= !memcmp (f + F_CREATOR, by_size[i], 4);
  return use_size ? vm_load_be64 (f + F_SIZE) / 512 * 512 : sectors * 512;
}

static bool
read_footer (VmNode *node, GError **error)
{
  Vpc *s = node->state;
  VmNode *file = node->file->node;

  if (file->size < FOOTER)
    return vm_fail (error, "Invalid header magic");
  if (!vm_file_read_header (file, 0, s->footer, FOOTER, error))
    return false;
  bool at_start = !memcmp (s->footer, COOKIE, 8);
  if (!at_start)
    { /* a fixed image, or a dynamic one whose copy of the footer is damaged */
      if (!vm_file_read_header (file, file->size - FOOTER, s->footer, FOOTER, error))
        return false;
      if (memcmp (s->footer, COOKIE, 8))
        return vm_fail (error, "invalid VPC image");
    }
  if (vm_load_be32 (s->footer + F_CHECKSUM) != vpc_checksum (s->footer, FOOTER, F_CHECKSUM))
    return vm_fail (error, "Incorrect header checksum");
  s->type = vm_load_be32 (s->footer + F_TYPE);
  if (vm_load_be32 (s->footer + F_VERSION) >> 16 != VERSION >> 16)
    return vm_fail (error, "unsupported VPC image (version 0x%" PRIx32 ")", vm_load_be32 (s->footer + F_VERSION));
  if (s->type == TYPE_FIXED && at_start)
    return vm_fail (error, "invalid VPC image");
  if (s->type < TYPE_FIXED || s->type > TYPE_DIFFERENCING)
    return vm_fail (error, "unsupported VPC image (type %u)", s->type);
  return true;
}

/* The relative name of the parent that Windows notes, or what the header says. */
static bool
read_parent (VmNode *node, const uint8_t *h, GError **error)
{
  g_autofree char *name = NULL;

  for (unsigned i = 0; i < LOCATORS && !name; i++)
    {
      const uint8_t *l = h + H_LOCATORS + i * LOCATOR;
      uint32_t len = vm_load_be32 (l + 8);
      if (memcmp (l, "W2ru", 4) || !len || len > MAX_NAME || len % 2)
        continue;
      g_autofree uint8_t *text = g_malloc (len);
      if (!vm_file_read_header (node->file->node, vm_load_be64 (l + 16), text, len, error))
        return false;
      name = g_convert ((char *) text, len, "UTF-8", "UTF-16LE", NULL, NULL, NULL);
    }
  if (!name)
    name = g_convert ((const char *) h + H_PARENT_NAME, 512, "UTF-8", "UTF-16BE", NULL, NULL, NULL);
  if (!name || !*name)
    return vm_fail (error, "The VPC image does not name its parent");
  g_strdelimit (name, "\\", '/');
  node->backing_name = g_strdup (g_str_has_prefix (name, "./") ? name + 2 : name);
  node->backing_format = g_strdup ("vpc");
  return true;
}

/* Where the last block ends. */
static bool
scan_table (VmNode *node, GError **error)
{
  Vpc *s = node->state;

  s->end = VM_ALIGN_UP (s->table + 4 * (uint64_t) s->entries, 512);
  for (uint32_t i = 0; i < s->entries; i++)
    {
      uint32_t entry;
      int err = vpc_entry (node, i, &entry);
      if (err)
        return vm_fail (error, "Could not read the image's block table: %s", g_strerror (-err));
      if (entry != ENTRY_NONE)
        s->end = MAX (s->end, entry * 512ull + s->bitmap + s->map.block);
    }
  if (s->end > VM_ALIGN_UP (node->file->node->size, 512) && !(node->open_flags & VM_OPEN_CHECK))
    return vm_fail (error, "invalid VPC image: a block lies behind the end of the file");
  return true;
}

static bool
open_dynamic (VmNode *node, GError **error)
{
  Vpc *s = node->state;
  VmNode *file = node->file->node;
  uint8_t h[HEADER];

  if (!vm_file_read_header (file, vm_load_be64 (s->footer + F_DATA_OFFSET), h, HEADER, error))
    return false;
  if (memcmp (h, HEADER_COOKIE, 8))
    return vm_fail (error, "Invalid header magic");
  if (vm_load_be32 (h + H_CHECKSUM) != vpc_checksum (h, HEADER, H_CHECKSUM))
    return vm_fail (error, "Incorrect header checksum");
  uint32_t block = vm_load_be32 (h + H_BLOCK_SIZE);
  if (!vm_is_pow2 (block) || block < 512)
    return vm_fail (error, "Invalid block size %" PRIu32, block);
  s->map.block = block;
  s->bitmap = VM_ALIGN_UP ((block / 512 + 7) / 8, 512);
  s->entries = vm_load_be32 (h + H_ENTRIES);
  s->table = vm_load_be64 (h + H_TABLE);
  if ((uint64_t) s->entries * block < node->size)
    return vm_fail (error, "Page Table too small");
  /* As many as are needed: a hostile count costs nothing. */
  s->entries = (node->size + block - 1) / block;
  if (!vm_map_within (s->table, 4 * (uint64_t) s->entries, file->size))
    return vm_fail (error, "invalid VPC image: the block table lies behind the end of the file");
  if (s->type == TYPE_DIFFERENCING)
    {
      if (!node->readonly && !node->auto_readonly)
        return vm_fail (error, "Differencing VPC images can only be opened read-only");
      node->readonly = true;
      s->map.layered = true;
      if (!read_parent (node, h, error))
        return false;
    }
  return scan_table (node, error);
}

static bool
vpc_open_image (VmNode *node, GError **error)
{
  Vpc *s = node->state;

  if (!vm_format_open_file (node, error) || !read_footer (node, error))
    return false;
  s->map.ops = &vpc_ops;
  node->size = footer_size (s->footer);
  if (node->size / 512 > MAX_SECTORS)
    return vm_fail (error, "The image size is too large for file format 'vpc'");
  if (s->type != TYPE_FIXED)
    return open_dynamic (node, error);
  if (node->size > node->file->node->size - FOOTER)
    return vm_fail (error, "invalid VPC image: the file is smaller than the disk");
  s->map.block = BLOCK_SIZE;
  s->map.flat = true;
  return true;
}

static bool
vpc_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, vpc_open_image (node, error));
}

static uint32_t
vpc_cluster_size (VmNode *node)
{
  const Vpc *s = node->state;

  return s->type == TYPE_FIXED ? 0 : s->map.block;
}

/* --- creating -------------------------------------------------------------------------------------------- */

static const VmCreateOption vpc_create_options[] = {
  { "subformat", 's', NULL, "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} ",
    false },
  { "force_size", 'b', NULL,
    "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based calculation",
    false },
  { 0 },
};

static void
make_footer (uint8_t *f, uint64_t sectors, Geometry g, bool fixed, bool force)
{
  memcpy (f + F_COOKIE, COOKIE, 8);
  vm_store_be32 (f + F_FEATURES, 2);
  vm_store_be32 (f + F_VERSION, VERSION);
  vm_store_be64 (f + F_DATA_OFFSET, fixed ? UINT64_MAX : FOOTER);
  vm_store_be32 (f + F_TIME, time (NULL) - EPOCH);
  memcpy (f + F_CREATOR, force ? "win " : "vpc ", 4); /* by size, by geometry */
  vm_store_be32 (f + F_CREATOR_VERSION, 0x00050003);
  memcpy (f + F_CREATOR_OS, "Wi2k", 4);
  vm_store_be64 (f + F_ORIGINAL_SIZE, sectors * 512);
  vm_store_be64 (f + F_SIZE, sectors * 512);
  vm_store_be16 (f + F_GEOMETRY, g.cylinders);
  f[F_GEOMETRY + 2] = g.heads;
  f[F_GEOMETRY + 3] = g.sectors;
  vm_store_be32 (f + F_TYPE, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
  vm_format_uuid (f + F_UUID);
  vm_store_be32 (f + F_CHECKSUM, vpc_checksum (f, FOOTER, F_CHECKSUM));
}

static bool
create_dynamic (VmNode *file, const uint8_t *footer, uint64_t sectors, GError **error)
{
  uint8_t h[HEADER] = { 0 };
  uint64_t table = FOOTER + HEADER, entries = (sectors + BLOCK_SIZE / 512 - 1) / (BLOCK_SIZE / 512);
  uint64_t bytes = VM_ALIGN_UP (4 * entries, 512);

  memcpy (h, HEADER_COOKIE, 8);
  vm_store_be64 (h + H_DATA_OFFSET, UINT64_MAX);
  vm_store_be64 (h + H_TABLE, table);
  vm_store_be32 (h + H_VERSION, VERSION);
  vm_store_be32 (h + H_ENTRIES, entries);
  vm_store_be32 (h + H_BLOCK_SIZE, BLOCK_SIZE);
  vm_store_be32 (h + H_CHECKSUM, vpc_checksum (h, HEADER, H_CHECKSUM));
  g_autofree uint8_t *none = g_malloc (bytes); /* at most 4 MiB */
  memset (none, 0xff, bytes);
  return vm_file_write_header (file, FOOTER, h, HEADER, error) && vm_file_write_header (file, table, none, bytes, error)
         && vm_file_write_header (file, table + bytes, footer, FOOTER, error)
         && vm_file_write_header (file, 0, footer, FOOTER, error);
}

static bool
vpc_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
            GError **error)
{
  const char *subformat = vm_create_text (values, "subformat");
  bool fixed = subformat && !strcmp (subformat, "fixed"), force = vm_create_bool (values, "force_size");
  (void) graph;
  (void) name;

  if (subformat && !fixed && strcmp (subformat, "dynamic"))
    return vm_fail (error, "Parameter 'subformat' does not accept value '%s'", subformat);
  if (size > MAX_SECTORS * 512)
    return vm_fail (error, "The image size is too large for file format 'vpc'");
  if (!file)
    return true;
  uint64_t sectors = (size + 511) / 512;
  /* A geometry of at least that size; images that it cannot describe have the size they have. */
  Geometry g = vpc_geometry (sectors);
  for (uint64_t i = sectors; !force && geometry_sectors (g) < sectors && i <= MAX_GEOMETRY; i++)
    g = vpc_geometry (i + 1);
  if (force)
    g = (Geometry){ 65535, 16, 255 };
  else if (sectors <= MAX_GEOMETRY)
    sectors = geometry_sectors (g);
  uint8_t footer[FOOTER] = { 0 };
  make_footer (footer, sectors, g, fixed, force);
  if (!fixed)
    return create_dynamic (file, footer, sectors, error);
  return vm_file_write_header (file, sectors * 512, footer, FOOTER, error);
}

const VmBlockDriver vm_vpc_driver = {
  .name = "vpc",
  .help = "VHD image of Virtual PC and Hyper-V",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Vpc),
  .has_backing = true,
  .probe = vpc_probe,
  .open = vpc_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .write = vpc_write,
  .write_zeroes = vm_map_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = vpc_create,
  .create_options = vpc_create_options,
  .cluster_size = vpc_cluster_size,
};
