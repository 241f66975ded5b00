/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VDI, VirtualBox's disk images, dynamic and static ("Virtual Disk Image" notes, header 1.1): a header, a table of
 * 32-bit block numbers, blocks. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  HEADER = 512,
  AT_SIGNATURE = 0x40,
  AT_VERSION = 0x44,
  AT_HEADER_SIZE = 0x48,
  AT_TYPE = 0x4c,
  AT_TABLE = 0x154,
  AT_DATA = 0x158,
  AT_SECTOR_SIZE = 0x168,
  AT_DISK_SIZE = 0x170,
  AT_BLOCK_SIZE = 0x178,
  AT_BLOCK_EXTRA = 0x17c,
  AT_BLOCKS = 0x180,
  AT_ALLOCATED = 0x184,
  AT_UUID = 0x188,
  AT_UUID_SNAPSHOT = 0x198,
  AT_UUID_LINK = 0x1a8,
  AT_UUID_PARENT = 0x1b8,
  TYPE_DYNAMIC = 1,
  TYPE_STATIC = 2,
  ONE_WRITE = 65536, /* header and table entries this near are written together */
};
#define SIGNATURE 0xbeda107fu
#define VERSION 0x00010001u
#define BLOCK_SIZE (1u << 20)
#define MAX_BLOCKS 0x1fffffffu
#define ENTRY_NONE 0xffffffffu
#define ENTRY_ZERO 0xfffffffeu

typedef struct Vdi
{
  VmMap map;
  uint32_t table, data, blocks, allocated;
  bool unsure; /* after an error nobody knows which blocks are in use */
} Vdi;

static int
vdi_entry (VmNode *node, uint32_t index, uint32_t *entry)
{
  Vdi *s = node->state;
  uint8_t raw[4];
  int err = vm_meta_read (&s->map.meta, node->file->node, s->table + 4 * (uint64_t) index, raw, 4);

  *entry = vm_load_le32 (raw);
  return err;
}

static uint64_t
vdi_offset (const Vdi *s, uint32_t entry)
{
  return s->data + entry * s->map.block;
}

static int
vdi_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Vdi *s = node->state;
  uint64_t in_block = offset % s->map.block;
  uint32_t entry;
  int err = vdi_entry (node, offset / s->map.block, &entry);

  if (err)
    return err;
  m->len = s->map.block - in_block;
  if (entry == ENTRY_NONE)
    m->kind = VM_MAP_HOLE;
  else if (entry == ENTRY_ZERO)
    m->kind = VM_MAP_ZERO;
  else if (entry >= s->allocated)
    return -EUCLEAN;
  else
    {
      m->kind = VM_MAP_DATA;
      m->file = node->file->node;
      m->offset = vdi_offset (s, entry) + in_block;
    }
  return 0;
}

/* Blocks in use, and one more than the highest of them. */
static int
vdi_scan (VmNode *node, uint32_t *used, uint32_t *end)
{
  Vdi *s = node->state;

  *used = *end = 0;
  for (uint32_t i = 0; i < s->blocks; i++)
    {
      uint32_t entry;
      int err = vdi_entry (node, i, &entry);
      if (err)
        return err;
      if (entry >= ENTRY_ZERO)
        continue;
      ++*used;
      if (entry < s->blocks)
        *end = MAX (*end, entry + 1);
    }
  return 0;
}

static int
vdi_allocate (VmNode *node, VmPlace *place)
{
  Vdi *s = node->state;

  if (s->unsure)
    { /* a block that is lost would be missing at the end: there are no more than the disk has */
      uint32_t used;
      int err = vdi_scan (node, &used, &s->allocated);
      if (err)
        return err;
      s->unsure = false;
    }
  if (s->allocated + place->index >= s->blocks)
    return -ENOSPC;
  place->file = node->file->node;
  place->offset = vdi_offset (s, s->allocated + place->index);
  place->reserve = s->map.block;
  return 0;
}

/* The entry and the count of blocks in the header: a reader finds them wrong when they do not agree, so they are
 * written with one request where the distance allows it. */
static int
vdi_link (VmNode *node, const VmPlace *place)
{
  Vdi *s = node->state;
  VmNode *file = node->file->node;
  uint64_t at = s->table + 4 * (place->start / s->map.block), span = at + 4 - AT_ALLOCATED;
  uint8_t count[4], entry[4];
  int err;

  vm_store_le32 (count, s->allocated + 1);
  vm_store_le32 (entry, s->allocated);
  if (span <= ONE_WRITE)
    {
      g_autofree uint8_t *both = g_malloc (span);
      err = vm_meta_read (&s->map.meta, file, AT_ALLOCATED, both, span);
      memcpy (both, count, 4);
      memcpy (both + span - 4, entry, 4);
      if (!err)
        err = vm_meta_write (&s->map.meta, file, AT_ALLOCATED, both, span);
    }
  else
    {
      err = vm_meta_write (&s->map.meta, file, AT_ALLOCATED, count, 4);
      if (!err)
        err = vm_meta_write (&s->map.meta, file, at, entry, 4);
    }
  s->allocated++;
  s->unsure |= err < 0; /* the entry may have been written */
  return err;
}

static const VmMapOps vdi_ops = { .lookup = vdi_lookup, .allocate = vdi_allocate, .link = vdi_link };

static int
vdi_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= HEADER && vm_load_le32 (head + AT_SIGNATURE) == SIGNATURE ? 100 : 0;
}

static bool
is_null (const uint8_t *uuid)
{
  return !vm_load_le64 (uuid) && !vm_load_le64 (uuid + 8);
}

static bool
vdi_check_header (const uint8_t *h, GError **error)
{
  uint32_t version = vm_load_le32 (h + AT_VERSION), block = vm_load_le32 (h + AT_BLOCK_SIZE);
  uint64_t size = vm_load_le64 (h + AT_DISK_SIZE), blocks = vm_load_le32 (h + AT_BLOCKS);

  if (vm_load_le32 (h + AT_SIGNATURE) != SIGNATURE)
    return vm_fail (error, "Image not in VDI format (bad signature %08" PRIx32 ")", vm_load_le32 (h + AT_SIGNATURE));
  if (version != VERSION)
    return vm_fail (error, "unsupported VDI image (version %u.%u)", version >> 16, version & 0xffff);
  if (vm_load_le32 (h + AT_TABLE) % 512)
    return vm_fail (error, "unsupported VDI image (unaligned block map offset 0x%x)", vm_load_le32 (h + AT_TABLE));
  if (vm_load_le32 (h + AT_DATA) % 512)
    return vm_fail (error, "unsupported VDI image (unaligned data offset 0x%x)", vm_load_le32 (h + AT_DATA));
  if (vm_load_le32 (h + AT_SECTOR_SIZE) != 512)
    return vm_fail (error, "unsupported VDI image (sector size %u is not 512)", vm_load_le32 (h + AT_SECTOR_SIZE));
  if (!vm_is_pow2 (block) || block < 4096 || block > 64 * VM_MIB)
    return vm_fail (error, "unsupported VDI image (block size %u)", block);
  if (vm_load_le32 (h + AT_BLOCK_EXTRA))
    return vm_fail (error, "unsupported VDI image (blocks with extra data)");
  if (blocks > MAX_BLOCKS)
    return vm_fail (error, "unsupported VDI image (too many blocks %" G_GUINT64_FORMAT ", max is %u)", blocks,
                    MAX_BLOCKS);
  if (size > blocks * block)
    return vm_fail (error,
                    "unsupported VDI image (disk size %" G_GUINT64_FORMAT ", image bitmap has room for "
                    "%" G_GUINT64_FORMAT ")",
                    size, blocks * block);
  if (!is_null (h + AT_UUID_LINK))
    return vm_fail (error, "unsupported VDI image (non-NULL link UUID)");
  if (!is_null (h + AT_UUID_PARENT))
    return vm_fail (error, "unsupported VDI image (non-NULL parent UUID)");
  if (vm_load_le32 (h + AT_TABLE) < HEADER || vm_load_le32 (h + AT_TABLE) + 4 * blocks > vm_load_le32 (h + AT_DATA))
    return vm_fail (error, "unsupported VDI image (the block map does not lie between header and data)");
  return true;
}

static bool
vdi_open_image (VmNode *node, GError **error)
{
  Vdi *s = node->state;
  uint8_t h[HEADER];
  uint32_t used, end;

  if (!vm_format_open_file (node, error) || !vm_file_read_header (node->file->node, 0, h, HEADER, error)
      || !vdi_check_header (h, error))
    return false;
  s->map.ops = &vdi_ops;
  s->map.block = vm_load_le32 (h + AT_BLOCK_SIZE);
  s->table = vm_load_le32 (h + AT_TABLE);
  s->data = vm_load_le32 (h + AT_DATA);
  s->blocks = vm_load_le32 (h + AT_BLOCKS);
  node->size = VM_ALIGN_UP (vm_load_le64 (h + AT_DISK_SIZE), 512);
  if (!vm_map_within (s->table, 4 * (uint64_t) s->blocks, VM_ALIGN_UP (node->file->node->size, 512)))
    return vm_fail (error, "The image is cut off: the block map lies behind its end");
  int err = vdi_scan (node, &used, &end);
  if (err)
    return vm_fail (error, "Could not read the image's block map: %s", g_strerror (-err));
  /* What the header counts may be less, and blocks would be given away twice, or more, and some would be missing. */
  s->allocated = end;
  return true;
}

static bool
vdi_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, vdi_open_image (node, error));
}

static int
vdi_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Vdi *s = node->state;
  VmUnitMap units = { 0 };
  uint8_t raw[4];
  int err = vm_meta_read (&s->map.meta, node->file->node, AT_ALLOCATED, raw, 4);
  uint32_t used = 0, said = vm_load_le32 (raw), highest = 0;

  for (uint32_t i = 0; i < s->blocks && !err; i++)
    {
      uint32_t entry;
      err = vdi_entry (node, i, &entry);
      if (err || entry >= ENTRY_ZERO)
        continue;
      if (entry >= s->blocks)
        {
          vm_check_say (result, "ERROR: block index %u too large, is %u", i, entry);
          result->corruptions++;
          continue;
        }
      used++;
      highest = MAX (highest, entry + 1);
      if (!vm_units_add (&units, entry))
        {
          vm_check_say (result, "ERROR: block index %u also used by another block", entry);
          result->corruptions++;
        }
    }
  vm_units_free (&units);
  if (!err && used != said)
    {
      vm_check_say (result, "ERROR: allocated blocks mismatch, is %u, should be %u", used, said);
      result->corruptions++;
      if ((fix & VM_CHECK_FIX_ERRORS) && used == highest)
        {
          vm_store_le32 (raw, used);
          err = vm_meta_write (&s->map.meta, node->file->node, AT_ALLOCATED, raw, 4);
          result->corruptions_fixed += !err;
          result->corruptions -= !err;
        }
    }
  if (err)
    result->check_errors++;
  return err;
}

static const VmCreateOption vdi_create_options[] = {
  { "static", 'b', "off", "VDI static (pre-allocated) image", false },
  { 0 },
};

static void
vdi_make_header (uint8_t *h, uint64_t size, uint64_t blocks, uint64_t table_bytes, bool fixed)
{
  memcpy (h, "<<< Vitrine Virtual Disk Image >>>\n", 35);
  vm_store_le32 (h + AT_SIGNATURE, SIGNATURE);
  vm_store_le32 (h + AT_VERSION, VERSION);
  vm_store_le32 (h + AT_HEADER_SIZE, 0x180);
  vm_store_le32 (h + AT_TYPE, fixed ? TYPE_STATIC : TYPE_DYNAMIC);
  vm_store_le32 (h + AT_TABLE, HEADER);
  vm_store_le32 (h + AT_DATA, HEADER + table_bytes);
  vm_store_le32 (h + AT_SECTOR_SIZE, 512);
  vm_store_le64 (h + AT_DISK_SIZE, size);
  vm_store_le32 (h + AT_BLOCK_SIZE, BLOCK_SIZE);
  vm_store_le32 (h + AT_BLOCKS, blocks);
  vm_store_le32 (h + AT_ALLOCATED, fixed ? blocks : 0);
  vm_format_uuid (h + AT_UUID);
  vm_format_uuid (h + AT_UUID_SNAPSHOT);
}

static bool
vdi_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
            GError **error)
{
  bool fixed = vm_create_bool (values, "static");
  uint64_t max = (uint64_t) MAX_BLOCKS * BLOCK_SIZE;
  (void) graph;
  (void) name;

  if (size > max)
    return vm_fail (error,
                    "Unsupported VDI image size (size is 0x%" G_GINT64_MODIFIER "x, max supported is "
                    "0x%" G_GINT64_MODIFIER "x)",
                    size, max);
  if (!file)
    return true;
  uint64_t blocks = (size + BLOCK_SIZE - 1) / BLOCK_SIZE, table_bytes = VM_ALIGN_UP (4 * blocks, 512);
  g_autofree uint8_t *head = g_malloc0 (HEADER + VM_MIB);
  vdi_make_header (head, size, blocks, table_bytes, fixed);
  uint32_t *piece = (uint32_t *) (void *) (head + HEADER);
  const uint32_t per_piece = VM_MIB / 4;
  for (uint64_t first = 0; first < blocks; first += per_piece)
    {
      uint32_t n = MIN (per_piece, blocks - first);
      for (uint32_t i = 0; i < n; i++)
        piece[i] = GUINT32_TO_LE (fixed ? first + i : ENTRY_NONE);
      uint64_t bytes = VM_ALIGN_UP (4 * (uint64_t) n, 512);
      memset (piece + n, 0, bytes - 4 * n);
      if (!vm_file_write_header (file, HEADER + 4 * first, piece, bytes, error))
        return false;
    }
  if (fixed)
    {
      int err = vm_file_grow (file, HEADER + table_bytes, blocks * BLOCK_SIZE);
      if (err)
        return vm_fail (error, "Failed to statically allocate file: %s", g_strerror (-err));
    }
  return vm_file_write_header (file, 0, head, HEADER, error); /* last: until now it is no VDI image */
}

const VmBlockDriver vm_vdi_driver = {
  .name = "vdi",
  .help = "VirtualBox disk image",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Vdi),
  .probe = vdi_probe,
  .open = vdi_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .write = vm_map_write,
  .write_zeroes = vm_map_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = vdi_create,
  .create_options = vdi_create_options,
  .check = vdi_check,
  .cluster_size = vm_map_cluster_size,
};
