/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VHDX, Hyper-V's disk images, dynamic and fixed ([MS-VHDX]). The order of writes keeps the image whole at any time,
 * and an entry of the block table lies in one sector: they are written in place, and the log stays empty. */
#include "block/formats/vhdx-private.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  TABLE_HEADER = 16, /* of the region table */
  REGION = 32,
  MAX_REGIONS = 2047,
  META_TABLE = 64 << 10,
  META_HEADER = 32,
  META_ENTRY = 32,
  MAX_META = 2047,
  HAS_PARENT = 2,
};
#define MIN_BLOCK VM_MIB
#define MAX_BLOCK (256 * VM_MIB)
#define MAX_SIZE (64 * VM_TIB)

uint32_t
vm_vhdx_crc (const void *data, size_t len, size_t crc_at)
{
  /* CRC-32C, four bits at a time */
  static const uint32_t table[16]
      = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
          0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };
  const uint8_t *bytes = data;
  uint32_t crc = UINT32_MAX;

  for (size_t i = 0; i < len; i++)
    {
      crc ^= i - crc_at < 4 ? 0 : bytes[i];
      crc = crc >> 4 ^ table[crc & 15];
      crc = crc >> 4 ^ table[crc & 15];
    }
  return ~crc;
}

/* --- headers --------------------------------------------------------------------------------------------- */

bool
vm_vhdx_write_header (VmNode *node, GError **error)
{
  Vhdx *s = node->state;
  VmNode *file = node->file->node;

  vm_store_le64 (s->header + VHDX_AT_SEQUENCE, vm_load_le64 (s->header + VHDX_AT_SEQUENCE) + 1);
  vm_store_le32 (s->header + VHDX_AT_CRC, vm_vhdx_crc (s->header, VHDX_HEADER, VHDX_AT_CRC));
  if (!vm_file_write_header (file, s->current ? VHDX_HEADER_1 : VHDX_HEADER_2, s->header, VHDX_HEADER, error))
    return false;
  s->current = !s->current;
  int err = vm_node_flush (file);
  return err >= 0 || vm_fail (error, "Could not write the image's header: %s", g_strerror (-err));
}

static bool
header_valid (const uint8_t *h)
{
  return !memcmp (h, "head", 4) && vm_load_le32 (h + VHDX_AT_CRC) == vm_vhdx_crc (h, VHDX_HEADER, VHDX_AT_CRC)
         && vm_load_le16 (h + VHDX_AT_VERSION) == 1;
}

static bool
read_headers (VmNode *node, GError **error)
{
  Vhdx *s = node->state;
  VmNode *file = node->file->node;
  g_autofree uint8_t *h = g_malloc0 (2 * VHDX_HEADER);
  bool valid[2];

  for (unsigned i = 0; i < 2; i++)
    {
      uint8_t *one = h + i * VHDX_HEADER;
      uint64_t at = i ? VHDX_HEADER_2 : VHDX_HEADER_1;
      valid[i] = vm_map_within (at, VHDX_HEADER, file->size) && vm_node_pread (file, at, one, VHDX_HEADER) >= 0
                 && header_valid (one);
    }
  if (!valid[0] && !valid[1])
    return vm_fail (error, "No valid VHDX header found");
  uint64_t first = vm_load_le64 (h + VHDX_AT_SEQUENCE), second = vm_load_le64 (h + VHDX_HEADER + VHDX_AT_SEQUENCE);
  s->current = valid[0] && valid[1] ? second > first : valid[1];
  memcpy (s->header, h + s->current * VHDX_HEADER, VHDX_HEADER);
  s->log = vm_load_le64 (s->header + VHDX_AT_LOG);
  s->log_len = vm_load_le32 (s->header + VHDX_AT_LOG_LEN);
  if (s->log % VHDX_UNIT || s->log_len % VHDX_UNIT || s->log < VHDX_UNIT
      || !vm_map_within (s->log, s->log_len, INT64_MAX))
    return vm_fail (error, "The log of the VHDX image does not lie where one can");
  return true;
}

static bool
overlap (uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
  return a < b + b_len && b < a + a_len;
}

static bool
read_regions (VmNode *node, GError **error)
{
  Vhdx *s = node->state;
  VmNode *file = node->file->node;
  g_autofree uint8_t *t = g_malloc (VHDX_REGIONS);
  bool valid = false;

  for (unsigned i = 0; i < 2 && !valid; i++)
    {
      uint64_t at = i ? VHDX_REGIONS_2 : VHDX_REGIONS_1;
      valid = vm_map_within (at, VHDX_REGIONS, file->size) && vm_node_pread (file, at, t, VHDX_REGIONS) >= 0
              && !memcmp (t, "regi", 4) && vm_load_le32 (t + 4) == vm_vhdx_crc (t, VHDX_REGIONS, 4);
    }
  uint32_t n = vm_load_le32 (t + 8);
  if (!valid || n > MAX_REGIONS)
    return vm_fail (error, "The region table of the VHDX image is damaged");
  for (uint32_t i = 0; i < n; i++)
    {
      const uint8_t *r = t + TABLE_HEADER + i * REGION;
      uint64_t offset = vm_load_le64 (r + 16), len = vm_load_le32 (r + 24);
      bool bat = !memcmp (r, VHDX_GUID_BAT, 16), metadata = !memcmp (r, VHDX_GUID_METADATA, 16);
      if (offset < VHDX_UNIT || offset % VHDX_UNIT || len % VHDX_UNIT || !vm_map_within (offset, len, file->size)
          || overlap (offset, len, s->log, s->log_len) || (bat && s->bat) || (metadata && s->metadata))
        return vm_fail (error, "The region table of the VHDX image is damaged");
      if (!bat && !metadata && (vm_load_le32 (r + 28) & 1))
        return vm_fail (error, "The VHDX image has a region of an unknown kind that must be understood");
      if (bat)
        {
          s->bat = offset;
          s->bat_len = len;
        }
      if (metadata)
        {
          s->metadata = offset;
          s->metadata_len = len;
        }
    }
  if (!s->bat || !s->metadata || overlap (s->bat, s->bat_len, s->metadata, s->metadata_len))
    return vm_fail (error, "The region table of the VHDX image is damaged");
  return true;
}

/* The LEN bytes of metadata item GUID. */
static bool
read_item (VmNode *node, const uint8_t *table, const char *guid, void *to, size_t len, GError **error)
{
  Vhdx *s = node->state;
  unsigned n = vm_load_le16 (table + 10);

  for (unsigned i = 0; i < n; i++)
    {
      const uint8_t *e = table + META_HEADER + i * META_ENTRY;
      uint32_t offset = vm_load_le32 (e + 16);
      if (memcmp (e, guid, 16))
        continue;
      if (vm_load_le32 (e + 20) < len || offset < META_TABLE || !vm_map_within (offset, len, s->metadata_len))
        break;
      return vm_file_read_header (node->file->node, s->metadata + offset, to, len, error);
    }
  return vm_fail (error, "The metadata of the VHDX image is damaged");
}

static bool
only_known_items (const uint8_t *table)
{
  static const char *const known[]
      = { VHDX_GUID_PARAMETERS, VHDX_GUID_SIZE, VHDX_GUID_PAGE83, VHDX_GUID_LOGICAL, VHDX_GUID_PHYSICAL };
  unsigned n = vm_load_le16 (table + 10);

  for (unsigned i = 0; i < n; i++)
    {
      const uint8_t *e = table + META_HEADER + i * META_ENTRY;
      bool found = !(vm_load_le32 (e + 24) & 4); /* may be left alone */
      for (size_t k = 0; k < G_N_ELEMENTS (known); k++)
        found |= !memcmp (e, known[k], 16);
      if (!found)
        return false;
    }
  return true;
}

static bool
read_metadata (VmNode *node, GError **error)
{
  Vhdx *s = node->state;
  g_autofree uint8_t *t = g_malloc (META_TABLE);
  uint8_t parameters[8], size[8], logical[4];

  if (!vm_file_read_header (node->file->node, s->metadata, t, META_TABLE, error))
    return false;
  if (memcmp (t, "metadata", 8) || vm_load_le16 (t + 10) > MAX_META)
    return vm_fail (error, "The metadata of the VHDX image is damaged");
  if (!read_item (node, t, VHDX_GUID_PARAMETERS, parameters, 8, error)
      || !read_item (node, t, VHDX_GUID_SIZE, size, 8, error)
      || !read_item (node, t, VHDX_GUID_LOGICAL, logical, 4, error))
    return false;
  if (vm_load_le32 (parameters + 4) & HAS_PARENT)
    return vm_fail (error, "Differencing VHDX images are not supported");
  if (!only_known_items (t))
    return vm_fail (error, "The VHDX image has metadata of an unknown kind that must be understood");
  s->map.block = vm_load_le32 (parameters);
  s->logical_sector = vm_load_le32 (logical);
  node->size = vm_load_le64 (size);
  if (s->logical_sector != 512 && s->logical_sector != 4096)
    return vm_fail (error, "The VHDX image has sectors of %u bytes, which is not supported", s->logical_sector);
  if (!vm_is_pow2 (s->map.block) || s->map.block < MIN_BLOCK || s->map.block > MAX_BLOCK)
    return vm_fail (error, "Invalid block size %" PRIu64, s->map.block);
  if (node->size % s->logical_sector || node->size > MAX_SIZE)
    return vm_fail (error, "Invalid virtual disk size %" PRIu64, node->size);
  s->chunk = VM_BIT (23) * s->logical_sector / s->map.block;
  uint64_t blocks = (node->size + s->map.block - 1) / s->map.block,
           entries = blocks + (blocks ? (blocks - 1) / s->chunk : 0);
  if (entries > s->bat_len / 8)
    return vm_fail (error, "The block table of the VHDX image is too small for its disk");
  return true;
}

/* --- the block table -------------------------------------------------------------------------------------- */

static uint64_t
entry_at (const Vhdx *s, uint64_t block)
{
  return s->bat + 8 * (block + block / s->chunk);
}

static int
get_entry (VmNode *node, uint64_t block, unsigned *state, uint64_t *offset)
{
  Vhdx *s = node->state;
  uint8_t raw[8] = { 0 };
  int err = vm_meta_read (&s->map.meta, node->file->node, entry_at (s, block), raw, 8);

  *state = raw[0] & 7;
  *offset = vm_load_le64 (raw) & ~(uint64_t) (VHDX_UNIT - 1);
  return err;
}

static int
vhdx_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Vhdx *s = node->state;
  unsigned state;
  uint64_t at, in_block = offset % s->map.block;
  int err = get_entry (node, offset / s->map.block, &state, &at);

  if (err)
    return err;
  m->len = s->map.block - in_block;
  switch (state)
    {
    case VHDX_PRESENT:
      if (!vm_map_within (at, s->map.block, s->end) || at < VHDX_UNIT)
        return -EUCLEAN;
      *m = (VmMapping){ VM_MAP_DATA, node->file->node, at + in_block, m->len };
      return 0;
    case VHDX_NOT_PRESENT:
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED:
    case VHDX_UNMAPPED_OLD:
      m->kind = VM_MAP_ZERO;
      return 0;
    default:
      return -EUCLEAN;
    }
}

/* Before anything changes, both headers say that something will. */
static int
begin_writing (VmNode *node)
{
  Vhdx *s = node->state;

  if (s->written)
    return 0;
  s->written = true;
  vm_format_uuid (s->header + VHDX_AT_FILE_GUID);
  vm_format_uuid (s->header + VHDX_AT_DATA_GUID);
  if (vm_vhdx_write_header (node, NULL) && vm_vhdx_write_header (node, NULL))
    return 0;
  s->written = false;
  return -EIO;
}

static int
vhdx_allocate (VmNode *node, VmPlace *place)
{
  Vhdx *s = node->state;

  place->file = node->file->node;
  place->offset = VM_ALIGN_UP (s->end, VHDX_UNIT);
  place->reserve = s->map.block;
  s->end = place->offset + s->map.block;
  return 0;
}

static int
vhdx_link (VmNode *node, const VmPlace *place)
{
  Vhdx *s = node->state;
  uint8_t raw[8];

  vm_store_le64 (raw, place->offset | VHDX_PRESENT);
  return vm_meta_write (&s->map.meta, node->file->node, entry_at (s, place->start / s->map.block), raw, 8);
}

static const VmMapOps vhdx_ops = { .lookup = vhdx_lookup, .allocate = vhdx_allocate, .link = vhdx_link };

static int
vhdx_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int err = begin_writing (node);

  return err ? err : vm_map_write (node, offset, vec, flags);
}

static int
vhdx_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int err = begin_writing (node);

  return err ? err : vm_map_write_zeroes (node, offset, len, flags);
}

/* Each block of the table lies where one may; END is behind the last. BAD (or NULL) is called for the others. */
static int
scan_table (VmNode *node, VmUnitMap *units, uint64_t *allocated, void (*bad) (void *opaque, uint64_t block),
            void *opaque)
{
  Vhdx *s = node->state;
  uint64_t blocks = (node->size + s->map.block - 1) / s->map.block, file_end = node->file->node->size;

  s->end = MAX (MAX (s->bat + s->bat_len, s->metadata + s->metadata_len), s->log + s->log_len);
  for (uint64_t i = 0; i < blocks; i++)
    {
      unsigned state;
      uint64_t at;
      int err = get_entry (node, i, &state, &at);
      if (err)
        return err;
      if (state < VHDX_PRESENT && state != 4)
        continue;
      ++*allocated;
      /* The last block may end with the disk. */
      uint64_t needed = MIN (s->map.block, node->size - i * s->map.block);
      bool ok = state == VHDX_PRESENT && at >= VHDX_UNIT && vm_map_within (at, needed, file_end)
                && !overlap (at, s->map.block, s->bat, s->bat_len) && !overlap (at, s->map.block, s->log, s->log_len)
                && !overlap (at, s->map.block, s->metadata, s->metadata_len);
      for (uint64_t unit = 0; ok && units && unit < s->map.block / VHDX_UNIT; unit++)
        ok = vm_units_add (units, at / VHDX_UNIT + unit);
      if (ok)
        s->end = MAX (s->end, at + s->map.block);
      else
        bad (opaque, i);
    }
  return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static int
vhdx_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= 8 && !memcmp (head, "vhdxfile", 8) ? 100 : 0;
}

static void
count_bad (void *opaque, uint64_t block)
{
  (void) block;
  ++*(uint64_t *) opaque;
}

static bool
vhdx_open_image (VmNode *node, GError **error)
{
  Vhdx *s = node->state;
  char magic[8];
  bool replayed;
  uint64_t allocated = 0, bad = 0;

  if (!vm_format_open_file (node, error) || !vm_file_read_header (node->file->node, 0, magic, 8, error))
    return false;
  if (memcmp (magic, "vhdxfile", 8))
    return vm_fail (error, "Image not in VHDX format");
  s->map.ops = &vhdx_ops;
  if (!read_headers (node, error) || !vm_vhdx_replay (node, &replayed, error) || !read_regions (node, error)
      || !read_metadata (node, error))
    return false;
  int err = scan_table (node, NULL, &allocated, count_bad, &bad);
  if (err)
    return vm_fail (error, "Could not read the image's block table: %s", g_strerror (-err));
  if (bad && !(node->open_flags & VM_OPEN_CHECK))
    return vm_fail (error, "VHDX image is damaged: %" PRIu64 " blocks lie outside of it or over its metadata", bad);
  return true;
}

static bool
vhdx_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, vhdx_open_image (node, error));
}

static void
say_bad (void *opaque, uint64_t block)
{
  VmCheckResult *result = opaque;

  vm_check_say (result, "ERROR: block %" PRIu64 " lies outside of the image or shares its place", block);
  result->corruptions++;
}

static int
vhdx_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  VmUnitMap units = { 0 };
  uint64_t allocated = 0;
  (void) fix;

  int err = scan_table (node, &units, &allocated, say_bad, result);
  vm_units_free (&units);
  if (err)
    result->check_errors++;
  return err;
}

const VmBlockDriver vm_vhdx_driver = {
  .name = "vhdx",
  .help = "VHDX image of Hyper-V",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Vhdx),
  .probe = vhdx_probe,
  .open = vhdx_open,
  .close = vm_map_close,
  .read = vm_map_read,
  .write = vhdx_write,
  .write_zeroes = vhdx_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .create = vm_vhdx_create,
  .create_options = vm_vhdx_create_options,
  .check = vhdx_check,
  .cluster_size = vm_map_cluster_size,
};
