/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QED, the enhanced disk format ("QED Image Format"): two levels of tables, zero clusters, backing files. */
#include "block/formats/format.h"

#include <errno.h>
#include <inttypes.h>

enum
{
  HEADER = 64,
  AT_MAGIC = 0,
  AT_CLUSTER = 4,
  AT_TABLE = 8,
  AT_HEADER_CLUSTERS = 12,
  AT_FEATURES = 16,
  AT_COMPATIBLE = 24,
  AT_AUTOCLEAR = 32,
  AT_L1 = 40,
  AT_SIZE = 48,
  AT_BACKING = 56,
  AT_BACKING_LEN = 60,
  FEATURE_BACKING = 1,
  FEATURE_CHECK = 2, /* was not closed: a check is due */
  FEATURE_RAW_BACKING = 4,
  FEATURES = 7,
  MIN_CLUSTER = 4096,
  MAX_CLUSTER = 64 << 20,
  MAX_TABLE = 16,
  MAX_NAME = 1023,
  DEFAULT_CLUSTER = 65536,
  DEFAULT_TABLE = 4,
};
#define MAGIC 0x00444551u /* "QED\0" */
#define ENTRY_ZERO 1

typedef struct Qed
{
  VmMap map;
  uint32_t table;   /* clusters */
  uint64_t entries; /* of a table */
  uint64_t l1;
  uint64_t end; /* where the next cluster comes */
  uint32_t header_clusters;
  bool check_due; /* as the header says */
  uint8_t header[HEADER];
} Qed;

static uint64_t
qed_max_size (uint64_t cluster, uint64_t table)
{
  uint64_t entries = table * cluster / 8, l2;

  return __builtin_mul_overflow (entries * cluster, entries, &l2) || l2 > INT64_MAX ? INT64_MAX : l2;
}

/* Whether a cluster or table may lie there. */
static bool
qed_valid (const Qed *s, uint64_t offset, uint64_t clusters)
{
  return offset % s->map.block == 0 && offset >= s->header_clusters * s->map.block
         && vm_map_within (offset, clusters * s->map.block, s->end);
}

static int
qed_get (VmNode *node, uint64_t offset, uint64_t *value)
{
  Qed *s = node->state;
  uint8_t raw[8] = { 0 };
  int err = vm_meta_read (&s->map.meta, node->file->node, offset, raw, 8);

  *value = vm_load_le64 (raw);
  return err;
}

static int
qed_put (VmNode *node, uint64_t offset, uint64_t value)
{
  Qed *s = node->state;
  uint8_t raw[8];

  vm_store_le64 (raw, value);
  return vm_meta_write (&s->map.meta, node->file->node, offset, raw, 8);
}

static uint64_t
l1_at (const Qed *s, uint64_t offset)
{
  return s->l1 + offset / (s->entries * s->map.block) * 8;
}

static uint64_t
l2_at (const Qed *s, uint64_t l2, uint64_t offset)
{
  return l2 + offset / s->map.block % s->entries * 8;
}

static int
qed_lookup (VmNode *node, uint64_t offset, VmMapping *m)
{
  Qed *s = node->state;
  uint64_t l2, entry, in_cluster = offset % s->map.block, span = s->entries * s->map.block;
  int err = qed_get (node, l1_at (s, offset), &l2);

  if (err)
    return err;
  if (!l2)
    {
      m->len = span - offset % span;
      return 0;
    }
  if (!qed_valid (s, l2, s->table))
    return -EUCLEAN;
  err = qed_get (node, l2_at (s, l2, offset), &entry);
  m->len = s->map.block - in_cluster;
  if (err || !entry)
    return err;
  if (entry == ENTRY_ZERO)
    {
      m->kind = VM_MAP_ZERO;
      return 0;
    }
  if (!qed_valid (s, entry, 1))
    return -EUCLEAN;
  m->kind = VM_MAP_DATA;
  m->file = node->file->node;
  m->offset = entry + in_cluster;
  return 0;
}

static int
set_check_due (VmNode *node, bool due)
{
  Qed *s = node->state;

  if (s->check_due == due)
    return 0;
  uint64_t features = vm_load_le64 (s->header + AT_FEATURES);
  vm_store_le64 (s->header + AT_FEATURES, due ? features | FEATURE_CHECK : features & ~(uint64_t) FEATURE_CHECK);
  int err = qed_put (node, AT_FEATURES, vm_load_le64 (s->header + AT_FEATURES));
  /* Known to all before the first table changes, and after the last one has. */
  if (!err)
    err = vm_node_flush (node->file->node);
  if (err >= 0)
    s->check_due = due;
  return MIN (err, 0);
}

static int
qed_allocate (VmNode *node, VmPlace *place)
{
  Qed *s = node->state;
  int err = set_check_due (node, true);

  if (err)
    return err;
  place->file = node->file->node;
  place->offset = s->end;
  place->reserve = s->map.block;
  s->end += s->map.block;
  return 0;
}

/* A table is whole before the one above names it. */
static int
qed_link (VmNode *node, const VmPlace *place)
{
  Qed *s = node->state;
  uint64_t l2;
  int err = qed_get (node, l1_at (s, place->start), &l2);

  if (!err)
    err = set_check_due (node, true);
  if (err)
    return err;
  bool made = !l2;
  if (made)
    {
      l2 = s->end;
      s->end += s->table * s->map.block;
      err = vm_file_zero (node->file->node, l2, s->table * s->map.block);
      if (err)
        return err;
      vm_meta_forget (&s->map.meta);
    }
  err = qed_put (node, l2_at (s, l2, place->start), place->zero ? ENTRY_ZERO : place->offset);
  if (!err && made)
    err = qed_put (node, l1_at (s, place->start), l2);
  return err;
}

static const VmMapOps qed_ops = { .lookup = qed_lookup, .allocate = qed_allocate, .link = qed_link, .can_zero = true };

/* --- checking -------------------------------------------------------------------------------------------- */

typedef struct QedCheck
{
  VmNode *node;
  VmCheckResult *result;
  unsigned fix;
  VmUnitMap units;
  uint64_t used, last;
} QedCheck;

static bool
check_use (QedCheck *c, uint64_t offset, uint64_t clusters)
{
  Qed *s = c->node->state;
  bool ok = true;

  for (uint64_t i = 0; i < clusters; i++)
    ok &= vm_units_add (&c->units, offset / s->map.block + i);
  c->used += clusters;
  return ok;
}

static int
check_bad (QedCheck *c, const char *what, uint64_t value, uint64_t at)
{
  bool fix = c->fix & VM_CHECK_FIX_ERRORS;

  vm_check_say (c->result, "%s %s 0x%" PRIx64, fix ? "Repairing" : "ERROR", what, value);
  int err = fix ? qed_put (c->node, at, 0) : 0;
  if (fix && !err)
    c->result->corruptions_fixed++;
  else
    c->result->corruptions++;
  return err;
}

static int
check_l2 (QedCheck *c, uint64_t l2)
{
  Qed *s = c->node->state;

  for (uint64_t i = 0; i < s->entries; i++)
    {
      uint64_t entry;
      int err = qed_get (c->node, l2 + i * 8, &entry);
      if (err)
        return err;
      if (entry <= ENTRY_ZERO)
        continue;
      c->result->allocated_clusters++;
      c->result->fragmented_clusters += c->last && entry != c->last + s->map.block;
      c->last = entry;
      if (!qed_valid (s, entry, 1))
        err = check_bad (c, "invalid cluster offset", entry, l2 + i * 8);
      else if (!check_use (c, entry, 1))
        {
          vm_check_say (c->result, "ERROR cluster 0x%" PRIx64 " is used twice", entry);
          c->result->corruptions++;
        }
      if (err)
        return err;
    }
  return 0;
}

static int
check_tables (QedCheck *c)
{
  Qed *s = c->node->state;

  check_use (c, 0, s->header_clusters);
  check_use (c, s->l1, s->table);
  uint64_t span = s->entries * s->map.block;
  for (uint64_t i = 0; i < s->entries; i++)
    {
      uint64_t l2;
      int err = qed_get (c->node, s->l1 + i * 8, &l2);
      if (err)
        return err;
      if (!l2)
        continue;
      if (i > c->node->size / span || !qed_valid (s, l2, s->table))
        err = check_bad (c, "invalid L2 table offset", l2, s->l1 + i * 8);
      else if (!check_use (c, l2, s->table))
        {
          vm_check_say (c->result, "ERROR L2 table 0x%" PRIx64 " is used twice", l2);
          c->result->corruptions++;
        }
      else
        err = check_l2 (c, l2);
      if (err)
        return err;
    }
  return 0;
}

static int
qed_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Qed *s = node->state;
  QedCheck c = { .node = node, .result = result, .fix = fix };

  int err = check_tables (&c);
  vm_units_free (&c.units);
  if (err)
    result->check_errors++;
  result->total_clusters = (node->size + s->map.block - 1) / s->map.block;
  result->image_end = s->end;
  uint64_t clusters = s->end / s->map.block;
  if (!err && clusters > c.used && !result->corruptions)
    {
      vm_check_say (result, "%" PRIu64 " clusters are used by nobody", clusters - c.used);
      result->leaks += clusters - c.used;
    }
  if (!err && (fix & VM_CHECK_FIX_ERRORS) && !result->corruptions)
    err = set_check_due (node, false);
  return err;
}

/* --- opening --------------------------------------------------------------------------------------------- */

static int
qed_probe (const uint8_t *head, size_t n, VmNode *file)
{
  (void) file;
  return n >= HEADER && vm_load_le32 (head) == MAGIC ? 100 : 0;
}

static bool
check_header (VmNode *node, const uint8_t *h, GError **error)
{
  uint32_t cluster = vm_load_le32 (h + AT_CLUSTER), table = vm_load_le32 (h + AT_TABLE);
  uint64_t features = vm_load_le64 (h + AT_FEATURES), size = vm_load_le64 (h + AT_SIZE);

  if (vm_load_le32 (h) != MAGIC)
    return vm_fail (error, "Image not in QED format");
  if (features & ~(uint64_t) FEATURES)
    return vm_fail (error, "Unsupported QED features: %" PRIx64, features & ~(uint64_t) FEATURES);
  if (!vm_is_pow2 (cluster) || cluster < MIN_CLUSTER || cluster > MAX_CLUSTER)
    return vm_fail (error, "QED cluster size is invalid");
  if (!vm_is_pow2 (table) || table > MAX_TABLE)
    return vm_fail (error, "QED table size is invalid");
  if (size % 512 || size > qed_max_size (cluster, table))
    return vm_fail (error, "QED image size is invalid");
  Qed *s = node->state;
  s->map.block = cluster;
  s->table = table;
  s->entries = table * (uint64_t) cluster / 8;
  s->header_clusters = vm_load_le32 (h + AT_HEADER_CLUSTERS);
  s->l1 = vm_load_le64 (h + AT_L1);
  s->end = VM_ALIGN_UP (node->file->node->size, cluster);
  node->size = size;
  if (!s->header_clusters || !qed_valid (s, s->l1, table))
    return vm_fail (error, "QED table offset is invalid");
  return true;
}

static bool
read_backing_name (VmNode *node, const uint8_t *h, GError **error)
{
  Qed *s = node->state;
  uint64_t features = vm_load_le64 (h + AT_FEATURES);
  uint32_t at = vm_load_le32 (h + AT_BACKING), len = vm_load_le32 (h + AT_BACKING_LEN);

  if (!(features & FEATURE_BACKING))
    return true;
  if (len > MAX_NAME || !vm_map_within (at, len, s->header_clusters * s->map.block))
    return vm_fail (error, "QED backing filename offset is invalid");
  g_autofree char *name = g_malloc0 (len + 1);
  if (!vm_file_read_header (node->file->node, at, name, len, error))
    return false;
  node->backing_name = g_steal_pointer (&name);
  if (features & FEATURE_RAW_BACKING)
    node->backing_format = g_strdup ("raw");
  return true;
}

static bool
qed_open_image (VmNode *node, GError **error)
{
  Qed *s = node->state;

  s->map.ops = &qed_ops;
  s->map.layered = true;
  if (!vm_format_open_file (node, error) || !vm_file_read_header (node->file->node, 0, s->header, HEADER, error)
      || !check_header (node, s->header, error) || !read_backing_name (node, s->header, error))
    return false;
  s->check_due = vm_load_le64 (s->header + AT_FEATURES) & FEATURE_CHECK;
  if (node->readonly || (node->open_flags & (VM_OPEN_READONLY | VM_OPEN_CHECK | VM_OPEN_INACTIVE)))
    return true;
  if (vm_load_le64 (s->header + AT_AUTOCLEAR))
    { /* features that do not survive a writer who does not know them */
      vm_store_le64 (s->header + AT_AUTOCLEAR, 0);
      if (!vm_file_write_header (node->file->node, 0, s->header, HEADER, error))
        return false;
    }
  if (s->check_due)
    {
      VmCheckResult result = { 0 };
      int err = qed_check (node, &result, VM_CHECK_FIX_ERRORS);
      if (err || result.corruptions)
        return vm_fail (error, "The QED image was not closed and is damaged; it can be opened read-only");
    }
  return true;
}

static bool
qed_open (VmNode *node, const void *options, GError **error)
{
  (void) options;
  return vm_map_opened (node, qed_open_image (node, error));
}

static void
qed_close (VmNode *node)
{
  Qed *s = node->state;

  if (s->check_due && !node->readonly && vm_node_flush (node->file->node) >= 0)
    set_check_due (node, false);
  vm_meta_free (&s->map.meta);
}

static bool
qed_is_dirty (VmNode *node)
{
  const Qed *s = node->state;

  return s->check_due;
}

static bool
qed_change_backing (VmNode *node, const char *name, const char *format, GError **error)
{
  Qed *s = node->state;
  uint8_t h[HEADER];
  size_t len = name ? strlen (name) : 0, room = s->header_clusters * s->map.block - HEADER;
  uint64_t features = vm_load_le64 (s->header + AT_FEATURES) & ~(uint64_t) (FEATURE_BACKING | FEATURE_RAW_BACKING);

  if (len > MAX_NAME || len > room)
    return vm_fail (error, "Backing file name is too long");
  if (len)
    features |= FEATURE_BACKING | (format && !strcmp (format, "raw") ? FEATURE_RAW_BACKING : 0);
  memcpy (h, s->header, HEADER);
  vm_store_le64 (h + AT_FEATURES, features);
  vm_store_le32 (h + AT_BACKING, len ? HEADER : 0);
  vm_store_le32 (h + AT_BACKING_LEN, len);
  g_autofree uint8_t *both = g_malloc (HEADER + len);
  memcpy (both, h, HEADER);
  if (len)
    memcpy (both + HEADER, name, len);
  int err = vm_meta_write (&s->map.meta, node->file->node, 0, both, HEADER + len);
  if (err)
    return vm_fail (error, "Could not write the image's header: %s", g_strerror (-err));
  memcpy (s->header, h, HEADER);
  return true;
}

static int
qed_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  Qed *s = node->state;
  (void) exact;
  (void) flags;

  if (prealloc != VM_PREALLOC_OFF)
    return vm_fail (error, "Unsupported preallocation mode for format 'qed'"), -ENOTSUP;
  if (size % 512 || size > qed_max_size (s->map.block, s->table))
    return vm_fail (error, "Invalid image size specified"), -EINVAL;
  if (size < node->size)
    return vm_fail (error, "Shrinking images is currently not supported"), -ENOTSUP;
  int err = qed_put (node, AT_SIZE, size);
  if (err)
    return vm_fail (error, "Failed to update the image size: %s", g_strerror (-err)), err;
  vm_store_le64 (s->header + AT_SIZE, size);
  node->size = size;
  return 0;
}

/* --- creating -------------------------------------------------------------------------------------------- */

static const VmCreateOption qed_create_options[] = {
  { "backing_file", 's', NULL, "File name of a base image", false },
  { "backing_fmt", 's', NULL, "Image format of the base image", false },
  { "cluster_size", 'z', "65536", "Cluster size (in bytes)", false },
  { "table_size", 'z', NULL, "L1/L2 table size (in clusters)", false },
  { 0 },
};

static bool
qed_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
            GError **error)
{
  uint64_t cluster = vm_create_number (values, "cluster_size"), table = DEFAULT_TABLE;
  const char *backing = vm_create_text (values, "backing_file"), *format = vm_create_text (values, "backing_fmt");
  size_t len = backing ? strlen (backing) : 0;
  (void) graph;
  (void) name;

  if (vm_create_has (values, "table_size"))
    table = vm_create_number (values, "table_size");
  if (!cluster)
    cluster = DEFAULT_CLUSTER;
  if (!vm_is_pow2 (cluster) || cluster < MIN_CLUSTER || cluster > MAX_CLUSTER)
    return vm_fail (error, "QED cluster size must be within range [%u, %u] and power of 2", MIN_CLUSTER, MAX_CLUSTER);
  if (!vm_is_pow2 (table) || table > MAX_TABLE)
    return vm_fail (error, "QED table size must be within range [1, %u] and power of 2", MAX_TABLE);
  size = VM_ALIGN_UP (size, 512);
  if (size > qed_max_size (cluster, table))
    return vm_fail (error, "QED image size must be a non-zero multiple of cluster size and less than %" PRIu64 " bytes",
                    qed_max_size (cluster, table));
  if (len > MAX_NAME || HEADER + len > cluster)
    return vm_fail (error, "Backing file name is too long");
  if (!file)
    return true;
  g_autofree uint8_t *h = g_malloc0 (HEADER + len);
  vm_store_le32 (h + AT_MAGIC, MAGIC);
  vm_store_le32 (h + AT_CLUSTER, cluster);
  vm_store_le32 (h + AT_TABLE, table);
  vm_store_le32 (h + AT_HEADER_CLUSTERS, 1);
  vm_store_le64 (h + AT_L1, cluster);
  vm_store_le64 (h + AT_SIZE, size);
  if (len)
    {
      vm_store_le64 (h + AT_FEATURES, FEATURE_BACKING | (format && !strcmp (format, "raw") ? FEATURE_RAW_BACKING : 0));
      vm_store_le32 (h + AT_BACKING, HEADER);
      vm_store_le32 (h + AT_BACKING_LEN, len);
      memcpy (h + HEADER, backing, len);
    }
  int err = vm_file_zero (file, 0, cluster * (1 + table));
  if (err)
    return vm_fail (error, "Could not write the image: %s", g_strerror (-err));
  return vm_file_write_header (file, 0, h, HEADER + len, error);
}

const VmBlockDriver vm_qed_driver = {
  .name = "qed",
  .help = "QED image",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Qed),
  .has_backing = true,
  .probe = qed_probe,
  .open = qed_open,
  .close = qed_close,
  .read = vm_map_read,
  .write = vm_map_write,
  .write_zeroes = vm_map_write_zeroes,
  .discard = vm_map_discard,
  .status = vm_map_status,
  .truncate = qed_truncate,
  .create = qed_create,
  .create_options = qed_create_options,
  .change_backing = qed_change_backing,
  .check = qed_check,
  .cluster_size = vm_map_cluster_size,
  .is_dirty = qed_is_dirty,
};
