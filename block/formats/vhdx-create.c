/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New VHDX images ([MS-VHDX]): identifier, headers, regions, metadata, block table. */
#include "block/formats/vhdx-private.h"

#include <inttypes.h>

enum
{
  META_TABLE = 64 << 10,
  META_HEADER = 32,
  META_ENTRY = 32,
  IS_DISK = 2,
  IS_REQUIRED = 4,
};
#define MAX_SIZE (64 * VM_TIB)
#define MAX_BLOCK (256 * VM_MIB)

const VmCreateOption vm_vhdx_create_options[] = {
  { "log_size", 'z', "1048576", "Log size; min 1MB.", false },
  { "block_size", 'z', "0", "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size.", false },
  { "subformat", 's', NULL, "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'.", false },
  { "block_state_zero", 'b', NULL,
    "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using convert "
    "with subformat=dynamic.",
    false },
  { 0 },
};

typedef struct Plan
{
  uint64_t size, block, log, log_len, bat, bat_len, metadata, end;
  bool fixed, zero;
} Plan;

static uint64_t
default_block (uint64_t size)
{
  return size > 32 * VM_TIB    ? 64 * VM_MIB
         : size > 100 * VM_GIB ? 32 * VM_MIB
         : size > VM_GIB       ? 16 * VM_MIB
                               : 8 * VM_MIB;
}

static bool
make_plan (Plan *p, uint64_t size, const VmCreateValues *values, GError **error)
{
  const char *subformat = vm_create_text (values, "subformat");

  p->fixed = subformat && !strcmp (subformat, "fixed");
  if (subformat && !p->fixed && strcmp (subformat, "dynamic"))
    return vm_fail (error, "Parameter 'subformat' does not accept value '%s'", subformat);
  if (size > MAX_SIZE)
    return vm_fail (error, "Image size too large; max of 64TB");
  p->size = VM_ALIGN_UP (size, 512);
  p->zero = !vm_create_has (values, "block_state_zero") || vm_create_bool (values, "block_state_zero");
  p->log = VHDX_UNIT;
  p->log_len = vm_create_number (values, "log_size");
  p->log_len = VM_ALIGN_UP (MAX (p->log_len, 1), VHDX_UNIT);
  if (p->log_len > UINT32_MAX - VHDX_UNIT)
    return vm_fail (error, "Log size must be smaller than 4 GB");
  p->block = vm_create_number (values, "block_size");
  p->block = p->block ? VM_ALIGN_UP (p->block, VHDX_UNIT) : default_block (size);
  p->block = MIN (p->block, MAX_BLOCK);
  if (!vm_is_pow2 (p->block))
    return vm_fail (error, "Block size must be a power of two");
  uint64_t blocks = (p->size + p->block - 1) / p->block, chunk = VM_BIT (32) / p->block;
  uint64_t entries = blocks + (blocks ? (blocks - 1) / chunk : 0);
  p->bat = p->log + p->log_len;
  p->bat_len = MAX (VM_ALIGN_UP (entries * 8, VHDX_UNIT), VHDX_UNIT);
  p->metadata = p->bat + p->bat_len;
  p->end = p->metadata + VHDX_UNIT;
  return true;
}

static void
add_item (uint8_t *metadata, const char *guid, const void *data, uint32_t len, uint32_t *offset, uint32_t flags)
{
  unsigned n = vm_load_le16 (metadata + 10);
  uint8_t *e = metadata + META_HEADER + n * META_ENTRY;

  memcpy (e, guid, 16);
  vm_store_le32 (e + 16, *offset);
  vm_store_le32 (e + 20, len);
  vm_store_le32 (e + 24, flags);
  memcpy (metadata + *offset, data, len);
  vm_store_le16 (metadata + 10, n + 1);
  *offset += len;
}

static bool
write_metadata (VmNode *file, const Plan *p, GError **error)
{
  g_autofree uint8_t *m = g_malloc0 (META_TABLE + 4096);
  uint8_t parameters[8] = { 0 }, size[8], page83[16], sector[4];
  uint32_t at = META_TABLE;

  memcpy (m, "metadata", 8);
  vm_store_le32 (parameters, p->block);
  parameters[4] = p->fixed; /* leave blocks allocated */
  vm_store_le64 (size, p->size);
  vm_format_uuid (page83);
  vm_store_le32 (sector, 512);
  add_item (m, VHDX_GUID_PARAMETERS, parameters, 8, &at, IS_REQUIRED);
  add_item (m, VHDX_GUID_SIZE, size, 8, &at, IS_REQUIRED | IS_DISK);
  add_item (m, VHDX_GUID_PAGE83, page83, 16, &at, IS_REQUIRED | IS_DISK);
  add_item (m, VHDX_GUID_LOGICAL, sector, 4, &at, IS_REQUIRED | IS_DISK);
  add_item (m, VHDX_GUID_PHYSICAL, sector, 4, &at, IS_REQUIRED | IS_DISK);
  return vm_file_write_header (file, p->metadata, m, META_TABLE + 4096, error);
}

static bool
write_regions (VmNode *file, const Plan *p, GError **error)
{
  g_autofree uint8_t *t = g_malloc0 (VHDX_REGIONS);

  memcpy (t, "regi", 4);
  vm_store_le32 (t + 8, 2);
  memcpy (t + 16, VHDX_GUID_BAT, 16);
  vm_store_le64 (t + 32, p->bat);
  vm_store_le32 (t + 40, p->bat_len);
  vm_store_le32 (t + 44, 1);
  memcpy (t + 48, VHDX_GUID_METADATA, 16);
  vm_store_le64 (t + 64, p->metadata);
  vm_store_le32 (t + 72, VHDX_UNIT);
  vm_store_le32 (t + 76, 1);
  vm_store_le32 (t + 4, vm_vhdx_crc (t, VHDX_REGIONS, 4));
  return vm_file_write_header (file, VHDX_REGIONS_1, t, VHDX_REGIONS, error)
         && vm_file_write_header (file, VHDX_REGIONS_2, t, VHDX_REGIONS, error);
}

static bool
write_headers (VmNode *file, const Plan *p, GError **error)
{
  g_autofree uint8_t *h = g_malloc0 (VHDX_HEADER);

  memcpy (h, "head", 4);
  vm_format_uuid (h + VHDX_AT_FILE_GUID);
  vm_format_uuid (h + VHDX_AT_DATA_GUID);
  vm_store_le16 (h + VHDX_AT_VERSION, 1);
  vm_store_le32 (h + VHDX_AT_LOG_LEN, p->log_len);
  vm_store_le64 (h + VHDX_AT_LOG, p->log);
  for (unsigned i = 0; i < 2; i++)
    {
      vm_store_le64 (h + VHDX_AT_SEQUENCE, 1 + i);
      vm_store_le32 (h + VHDX_AT_CRC, vm_vhdx_crc (h, VHDX_HEADER, VHDX_AT_CRC));
      if (!vm_file_write_header (file, i ? VHDX_HEADER_2 : VHDX_HEADER_1, h, VHDX_HEADER, error))
        return false;
    }
  return true;
}

static bool
write_table (VmNode *file, const Plan *p, GError **error)
{
  uint64_t blocks = (p->size + p->block - 1) / p->block, chunk = VM_BIT (32) / p->block, entry = 0, place = p->end;
  const size_t piece = VM_MIB / 8;
  g_autofree uint64_t *table = g_new0 (uint64_t, piece);

  if (!p->fixed && !p->zero)
    return true; /* all are zeros: not present */
  for (uint64_t block = 0; block < blocks;)
    {
      size_t n = 0;
      for (; n < piece && block < blocks; n++)
        if ((entry + n) % (chunk + 1) == chunk)
          table[n] = 0; /* of sector bitmaps */
        else
          {
            table[n] = GUINT64_TO_LE (p->fixed ? place | VHDX_PRESENT : VHDX_ZERO);
            place += p->block;
            block++;
          }
      if (!vm_file_write_header (file, p->bat + entry * 8, table, n * 8, error))
        return false;
      entry += n;
    }
  return true;
}

bool
vm_vhdx_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                GError **error)
{
  Plan p = { 0 };
  uint8_t identifier[8 + 512] = "vhdxfile";
  static const char creator[] = "Vitrine";
  (void) graph;
  (void) name;

  if (!make_plan (&p, size, values, error))
    return false;
  if (!file)
    return true;
  uint64_t blocks = (p.size + p.block - 1) / p.block, end = p.end + (p.fixed ? blocks * p.block : 0);
  if (vm_file_grow (file, 0, end))
    return vm_fail (error, "Could not make a file of %" PRIu64 " bytes", end);
  for (size_t i = 0; creator[i]; i++)
    identifier[8 + 2 * i] = creator[i];
  return write_metadata (file, &p, error) && write_table (file, &p, error) && write_regions (file, &p, error)
         && write_headers (file, &p, error) && vm_file_write_header (file, 0, identifier, sizeof identifier, error);
}
