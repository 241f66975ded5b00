/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seSparse extents of VMDK images, VMFS 6's "space efficient" snapshots: entries of 64 bits, tables and grains by
 * number. VMware has not published the format; as its readers describe it. It can only be read. */
#include "block/formats/vmdk-private.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  /* The header that never changes; places and sizes in sectors. */
  SE_AT_MAGIC = 0,
  SE_AT_VERSION = 8,
  SE_AT_CAPACITY = 16,
  SE_AT_GRAIN = 24,
  SE_AT_TABLE = 32, /* the size of a grain table */
  SE_AT_VOLATILE = 80,
  SE_AT_DIRECTORY = 128,
  SE_AT_DIRECTORY_LEN = 136,
  SE_AT_TABLES = 144,
  SE_AT_TABLES_LEN = 152,
  SE_AT_GRAINS = 192,
  SE_AT_GRAINS_LEN = 200,
  /* The one that does. */
  SE_AT_REPLAY = 24, /* what the journal has is not in the tables */

  SE_GRAIN = 8,
  SE_TABLE = 64,
  SE_ENTRIES = SE_TABLE * 512 / 8,
  SE_MAX_TABLES = 8 << 20, /* 128 TiB */
};
#define SE_MAGIC UINT64_C (0xcafebabe)
#define SE_VOLATILE_MAGIC UINT64_C (0xcafecafe)
#define SE_VERSION UINT64_C (0x200000001)
#define SE_TABLE_THERE UINT64_C (0x10000000) /* upper half of a directory's entry; the lower is the table's number */

typedef enum SeGrain /* upper four bits of a table's entry */
{
  SE_UNALLOCATED,
  SE_UNMAPPED,
  SE_ZERO,
  SE_ALLOCATED,
} SeGrain;

static int
get (VmNode *node, const VmdkExtent *e, uint64_t at, uint64_t *value)
{
  Vmdk *s = node->state;
  uint8_t raw[8] = { 0 };
  int err = vm_meta_read (&s->map.meta, e->file, at, raw, sizeof raw);

  *value = vm_load_le64 (raw);
  return err;
}

/* The number of the table in ENTRY of the directory. -ENOENT: none; -EUCLEAN: nonsense. */
static int
table_place (const VmdkExtent *e, uint64_t entry, uint64_t *place)
{
  uint64_t number = entry & UINT32_MAX;

  if (!entry)
    return -ENOENT;
  if (entry >> 32 != SE_TABLE_THERE || number >= e->n_tables)
    return -EUCLEAN;
  *place = e->tables_at + number * (SE_ENTRIES * 8);
  return 0;
}

/* What ENTRY of a table is, in SeGrain; the grain's place into *PLACE. */
static int
grain_place (const VmdkExtent *e, uint64_t entry, uint64_t *place)
{
  /* The number's lower 12 bits stand above the upper 48. */
  uint64_t number = (entry >> 48 & 0xfff) | (entry & UINT64_C (0xffffffffffff)) << 12;

  switch (entry >> 60)
    {
    case SE_UNALLOCATED:
      return entry ? -EUCLEAN : SE_UNALLOCATED;
    case SE_UNMAPPED:
    case SE_ZERO:
      return SE_ZERO;
    case SE_ALLOCATED:
      if (number >= e->n_grains)
        return -EUCLEAN;
      *place = e->grains_at + number * e->grain;
      return *place < e->file->size ? SE_ALLOCATED : -EUCLEAN;
    default:
      return -EUCLEAN;
    }
}

int
vm_vmdk_se_lookup (VmNode *node, const VmdkExtent *e, uint64_t at, VmMapping *m)
{
  uint64_t index = at / e->grain, entry, place;
  int err = get (node, e, e->directory + 8 * (index / SE_ENTRIES), &entry);

  m->file = e->file;
  m->len = MIN (e->size - at, e->grain - at % e->grain);
  if (!err)
    err = table_place (e, entry, &place);
  if (err == -ENOENT)
    { /* nothing of what it would cover */
      m->len = MIN (e->size - at, SE_ENTRIES * e->grain - at % (SE_ENTRIES * e->grain));
      return 0;
    }
  if (!err)
    err = get (node, e, place + 8 * (index % SE_ENTRIES), &entry);
  if (!err)
    err = grain_place (e, entry, &place);
  if (err == SE_ALLOCATED)
    {
      m->kind = VM_MAP_DATA;
      m->offset = place + at % e->grain;
    }
  else if (err == SE_ZERO)
    m->kind = VM_MAP_ZERO;
  return MIN (err, 0);
}

/* --- opening ----------------------------------------------------------------------------------------------- */

/* A part of the file that the header names. */
static bool
take_part (const VmdkExtent *e, const uint8_t *h, unsigned at, uint64_t *start, uint64_t *len, GError **error)
{
  uint64_t sector = vm_load_le64 (h + at), sectors = vm_load_le64 (h + at + 8);

  if (sector > INT64_MAX / 1024 || sectors > INT64_MAX / 1024 || !sector)
    return vm_fail (error, "The header of the VMDK image is damaged");
  *start = sector * 512;
  *len = sectors * 512;
  return *start <= e->file->size || vm_fail (error, "The VMDK image is cut off");
}

static bool
check_journal (VmNode *file, uint64_t sector, GError **error)
{
  uint8_t h[VMDK_HEADER];

  if (sector > INT64_MAX / 512)
    return vm_fail (error, "The header of the VMDK image is damaged");
  if (!vm_file_read_header (file, sector * 512, h, sizeof h, error))
    return false;
  if (vm_load_le64 (h) != SE_VOLATILE_MAGIC)
    return vm_fail (error, "The second header of the VMDK image is damaged");
  if (vm_load_le64 (h + SE_AT_REPLAY))
    return vm_fail (error, "The journal of the VMDK image has changes that have to be replayed, which only VMware can");
  return true;
}

static bool
take_header (VmdkExtent *e, const uint8_t *h, GError **error)
{
  uint64_t version = vm_load_le64 (h + SE_AT_VERSION), grain = vm_load_le64 (h + SE_AT_GRAIN);
  uint64_t capacity = vm_load_le64 (h + SE_AT_CAPACITY), table = vm_load_le64 (h + SE_AT_TABLE);
  uint64_t directory_len, tables_len, grains_len;

  if (vm_load_le64 (h + SE_AT_MAGIC) != SE_MAGIC)
    return vm_fail (error, "Image not in VMDK format");
  if (version != SE_VERSION)
    return vm_fail (error, "Unsupported version of seSparse VMDK images: 0x%" PRIx64, version);
  if (grain != SE_GRAIN || table != SE_TABLE)
    return vm_fail (error, "Unsupported size of grains or tables of a seSparse VMDK image: %" PRIu64 ", %" PRIu64,
                    grain, table);
  e->grain = SE_GRAIN * 512;
  e->entries = SE_ENTRIES;
  if (capacity > (uint64_t) SE_MAX_TABLES * SE_ENTRIES * SE_GRAIN)
    return vm_fail (error, "The VMDK image is too big");
  e->size = capacity * 512;
  if (!take_part (e, h, SE_AT_DIRECTORY, &e->directory, &directory_len, error)
      || !take_part (e, h, SE_AT_TABLES, &e->tables_at, &tables_len, error)
      || !take_part (e, h, SE_AT_GRAINS, &e->grains_at, &grains_len, error))
    return false;
  e->tables = (e->size + SE_ENTRIES * e->grain - 1) / (SE_ENTRIES * e->grain);
  e->n_tables = tables_len / (SE_TABLE * 512);
  e->n_grains = grains_len / e->grain;
  if (directory_len / 8 < e->tables || !vm_map_within (e->directory, e->tables * 8, e->file->size))
    return vm_fail (error, "The grain directory of the VMDK image lies behind its end");
  return check_journal (e->file, vm_load_le64 (h + SE_AT_VOLATILE), error);
}

bool
vm_vmdk_add_se (VmNode *node, VmNode *file, const char *filename, uint64_t size, GError **error)
{
  Vmdk *s = node->state;
  uint8_t h[VMDK_HEADER];
  VmdkExtent e = { .kind = VMDK_SE, .file = file, .start = node->size };

  if (!vm_file_read_header (file, 0, h, sizeof h, error) || !take_header (&e, h, error))
    return false;
  if (size > e.size)
    return vm_fail (error, "The extent '%s' of the VMDK image is smaller than its descriptor says", filename);
  e.size = size;
  e.filename = g_strdup (filename);
  e.type = g_strdup ("SESPARSE");
  g_array_append_val (s->extents, e);
  node->size += size;
  s->map.block = e.grain;
  s->readonly_extents = s->se_sparse = true;
  return true;
}

/* --- checking ---------------------------------------------------------------------------------------------- */

static int
check_table (VmNode *node, const VmdkExtent *e, uint64_t table, uint64_t at, VmUnitMap *units, VmCheckResult *result)
{
  int err = 0;

  for (unsigned i = 0; i < SE_ENTRIES && !err && at < e->size; i++, at += e->grain)
    {
      uint64_t entry, place, sector = (e->start + at) / 512;
      err = get (node, e, table + 8 * i, &entry);
      if (err)
        break;
      int kind = grain_place (e, entry, &place);
      if (kind < 0)
        vm_check_say (result, "ERROR: the entry of sector %" PRIu64 " points to where no grain is", sector);
      else if (kind == SE_ALLOCATED && !vm_units_add (units, place / e->grain))
        vm_check_say (result, "ERROR: the grain of sector %" PRIu64 " is used twice", sector);
      else
        continue;
      result->corruptions++;
    }
  return err;
}

int
vm_vmdk_se_check (VmNode *node, const VmdkExtent *e, VmCheckResult *result)
{
  VmUnitMap units = { 0 };
  int err = 0;

  for (uint64_t i = 0; i < e->tables && !err; i++)
    {
      uint64_t entry, place, at = i * SE_ENTRIES * e->grain;
      err = get (node, e, e->directory + 8 * i, &entry);
      int found = err ? -ENOENT : table_place (e, entry, &place);
      if (found == -EUCLEAN)
        {
          vm_check_say (result, "ERROR: grain table for sector %" PRIu64 " is not there", (e->start + at) / 512);
          result->corruptions++;
        }
      if (!found)
        err = check_table (node, e, place, at, &units, result);
    }
  vm_units_free (&units);
  return err;
}
