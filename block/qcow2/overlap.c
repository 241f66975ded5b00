/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last look before a write: it must not go where metadata of another kind lies. What a damaged image says is free
 * may be anything but that. */
#include "block/qcow2/qcow2-private.h"

static bool
overlaps (uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
  return b && a_len && b_len && a < b + b_len && b < a + a_len;
}

static bool
overlaps_table (const Qcow2 *s, const uint64_t *table, uint32_t n, uint64_t mask, uint64_t offset, uint64_t len)
{
  uint64_t end = offset + len;

  for (uint32_t i = 0; i < n; i++)
    {
      uint64_t at = table[i] & mask;

      if (at && at < end && offset < at + s->cluster_size)
        return true;
    }
  return false;
}

static bool
overlaps_inactive_l2 (Qcow2 *s, const Qcow2Snapshot *snapshot, uint64_t offset, uint64_t len)
{
  size_t size = snapshot->l1_size * sizeof (uint64_t);
  g_autofree uint64_t *table = g_try_malloc (size);

  if (!table || qcow2_meta_read (s, snapshot->l1_offset, table, size) < 0)
    return false; /* the write itself will say what is wrong */
  for (uint32_t i = 0; i < snapshot->l1_size; i++)
    table[i] = GUINT64_FROM_BE (table[i]);
  return overlaps_table (s, table, snapshot->l1_size, ENTRY_OFFSET, offset, len);
}

/* The kind of what lies there, or 0. */
static unsigned
find (Qcow2 *s, unsigned kinds, uint64_t offset, uint64_t len)
{
  if ((kinds & OVERLAP_MAIN_HEADER) && offset < s->cluster_size)
    return OVERLAP_MAIN_HEADER;
  if ((kinds & OVERLAP_ACTIVE_L1) && overlaps (offset, len, s->l1_offset, s->l1_size * UINT64_C (8)))
    return OVERLAP_ACTIVE_L1;
  if ((kinds & OVERLAP_ACTIVE_L2) && overlaps_table (s, s->l1, s->l1_size, ENTRY_OFFSET, offset, len))
    return OVERLAP_ACTIVE_L2;
  if ((kinds & OVERLAP_REFCOUNT_TABLE) && overlaps (offset, len, s->refcount_table, s->refcount_n * UINT64_C (8)))
    return OVERLAP_REFCOUNT_TABLE;
  if ((kinds & OVERLAP_REFCOUNT_BLOCK)
      && overlaps_table (s, s->refcounts, s->refcount_used, ~UINT64_C (0x1ff), offset, len))
    return OVERLAP_REFCOUNT_BLOCK;
  if ((kinds & OVERLAP_SNAPSHOT_TABLE) && overlaps (offset, len, s->snapshots_offset, s->snapshots_len))
    return OVERLAP_SNAPSHOT_TABLE;
  if ((kinds & OVERLAP_BITMAP_DIRECTORY) && (s->autoclear & AUTOCLEAR_BITMAPS)
      && overlaps (offset, len, s->bitmap_directory, s->bitmap_directory_len))
    return OVERLAP_BITMAP_DIRECTORY;
  for (guint i = 0; s->snapshots && i < s->snapshots->len; i++)
    {
      const Qcow2Snapshot *snapshot = s->snapshots->pdata[i];

      if ((kinds & OVERLAP_INACTIVE_L1)
          && overlaps (offset, len, snapshot->l1_offset, snapshot->l1_size * UINT64_C (8)))
        return OVERLAP_INACTIVE_L1;
      if ((kinds & OVERLAP_INACTIVE_L2) && overlaps_inactive_l2 (s, snapshot, offset, len))
        return OVERLAP_INACTIVE_L2;
    }
  return 0;
}

int
qcow2_check_overlap (Qcow2 *s, unsigned kind, uint64_t offset, uint64_t len)
{
  static const char *const names[]
      = { "qcow2_header",   "active L1 table",   "active L2 table",   "refcount table",  "refcount block",
          "snapshot table", "inactive L1 table", "inactive L2 table", "bitmap directory" };
  unsigned found = s->overlap & ~kind ? find (s, s->overlap & ~kind, offset, len) : 0;

  if (!found)
    return 0;
  qcow2_corrupt (s, true, (int64_t) offset, (int64_t) len, "Preventing invalid write on metadata (overlaps with %s)",
                 names[__builtin_ctz (found)]);
  return -EIO;
}
