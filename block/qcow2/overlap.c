/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last look before a write: it must not go where metadata of another kind lies. What a damaged image says is free
 * may be anything but that.
 *
 * Tables that lie in one place each are compared with. Those that tables name are too many for that at each write: a
 * set says which of their kinds are in a cluster. It may have too many in it, never too few. */
#include "block/qcow2/qcow2-private.h"

enum
{
  NAMED = OVERLAP_ACTIVE_L2 | OVERLAP_REFCOUNT_BLOCK | OVERLAP_INACTIVE_L2
};
#define REFCOUNT_OFFSET (~UINT64_C (0x1ff))

static bool
overlaps (uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
  return b && a_len && b_len && a < b + b_len && b < a + a_len;
}

/* --- what tables name -------------------------------------------------------------------------------------------- */

static void
named_add (GHashTable *named, const Qcow2 *s, uint64_t offset, unsigned kind)
{
  uint64_t first = offset >> s->cluster_bits, last = (offset + s->cluster_size - 1) >> s->cluster_bits;

  for (uint64_t cluster = first; offset && cluster <= last; cluster++)
    {
      gpointer key = GSIZE_TO_POINTER (cluster);
      guint kinds = GPOINTER_TO_UINT (g_hash_table_lookup (named, key));
      g_hash_table_insert (named, key, GUINT_TO_POINTER (kinds | kind));
    }
}

static void
named_add_inactive (GHashTable *named, Qcow2 *s, const Qcow2Snapshot *snapshot)
{
  size_t size = snapshot->l1_size * sizeof (uint64_t);
  g_autofree uint64_t *table = g_try_malloc (size);

  if (!table || qcow2_meta_read (s, snapshot->l1_offset, table, size) < 0)
    return; /* the write itself will say what is wrong */
  for (uint32_t i = 0; i < snapshot->l1_size; i++)
    named_add (named, s, GUINT64_FROM_BE (table[i]) & ENTRY_OFFSET, OVERLAP_INACTIVE_L2);
}

/* A reference to the set, made when there is none. Reading tables of snapshots may wait; what changes meanwhile makes
 * the set void for others. */
static GHashTable *
named_get (Qcow2 *s)
{
  if (s->named)
    return g_hash_table_ref (s->named);
  GHashTable *named = g_hash_table_new (g_direct_hash, g_direct_equal);
  unsigned changes = s->named_changes;
  for (guint i = 0; s->overlap & OVERLAP_INACTIVE_L2 && s->snapshots && i < s->snapshots->len; i++)
    named_add_inactive (named, s, s->snapshots->pdata[i]);
  for (uint32_t i = 0; i < s->l1_size; i++)
    named_add (named, s, s->l1[i] & ENTRY_OFFSET, OVERLAP_ACTIVE_L2);
  for (uint32_t i = 0; i < s->refcount_used; i++)
    named_add (named, s, s->refcounts[i] & REFCOUNT_OFFSET, OVERLAP_REFCOUNT_BLOCK);
  if (changes == s->named_changes && !s->named)
    s->named = g_hash_table_ref (named);
  return named;
}

void
qcow2_overlap_named (Qcow2 *s, unsigned kind, uint64_t offset)
{
  s->named_changes++;
  if (s->named)
    named_add (s->named, s, offset, kind);
}

void
qcow2_overlap_forget (Qcow2 *s)
{
  s->named_changes++;
  g_clear_pointer (&s->named, g_hash_table_unref);
}

static unsigned
named_look_up (Qcow2 *s, GHashTable *named, uint64_t offset, uint64_t len)
{
  uint64_t first = offset >> s->cluster_bits, last = (offset + len - 1) >> s->cluster_bits;
  unsigned kinds = 0;

  if (last - first < g_hash_table_size (named))
    {
      for (uint64_t cluster = first; cluster <= last; cluster++)
        kinds |= GPOINTER_TO_UINT (g_hash_table_lookup (named, GSIZE_TO_POINTER (cluster)));
      return kinds;
    }
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, named);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (GPOINTER_TO_SIZE (key) >= first && GPOINTER_TO_SIZE (key) <= last)
      kinds |= GPOINTER_TO_UINT (value);
  return kinds;
}

static bool
overlaps_table (const Qcow2 *s, const uint64_t *table, uint32_t n, uint64_t mask, uint64_t offset, uint64_t len)
{
  for (uint32_t i = 0; i < n; i++)
    if (overlaps (offset, len, table[i] & mask, s->cluster_size))
      return true;
  return false;
}

/* What of KINDS, which the set has, is there still. */
static unsigned
still_there (Qcow2 *s, unsigned kinds, uint64_t offset, uint64_t len)
{
  if (kinds & OVERLAP_ACTIVE_L2 && !overlaps_table (s, s->l1, s->l1_size, ENTRY_OFFSET, offset, len))
    kinds &= ~(unsigned) OVERLAP_ACTIVE_L2;
  if (kinds & OVERLAP_REFCOUNT_BLOCK
      && !overlaps_table (s, s->refcounts, s->refcount_used, REFCOUNT_OFFSET, offset, len))
    kinds &= ~(unsigned) OVERLAP_REFCOUNT_BLOCK;
  return kinds; /* snapshots that change void the set */
}

static unsigned
find_named (Qcow2 *s, unsigned kinds, uint64_t offset, uint64_t len)
{
  GHashTable *named = named_get (s);
  unsigned found = named_look_up (s, named, offset, len) & kinds;
  unsigned there = found ? still_there (s, found, offset, len) : 0;

  if (there != found)
    qcow2_overlap_forget (s);
  g_hash_table_unref (named);
  return there;
}

/* --- all of it -----------------------------------------------------------------------------------------------------
 */

/* The kinds of what lies there: all of them that are named by tables, of others one; or 0. */
static unsigned
find (Qcow2 *s, unsigned kinds, uint64_t offset, uint64_t len)
{
  if ((kinds & OVERLAP_MAIN_HEADER) && offset < s->cluster_size)
    return OVERLAP_MAIN_HEADER;
  if ((kinds & OVERLAP_ACTIVE_L1) && overlaps (offset, len, s->l1_offset, s->l1_size * UINT64_C (8)))
    return OVERLAP_ACTIVE_L1;
  if ((kinds & OVERLAP_REFCOUNT_TABLE) && overlaps (offset, len, s->refcount_table, s->refcount_n * UINT64_C (8)))
    return OVERLAP_REFCOUNT_TABLE;
  if ((kinds & OVERLAP_SNAPSHOT_TABLE) && overlaps (offset, len, s->snapshots_offset, s->snapshots_len))
    return OVERLAP_SNAPSHOT_TABLE;
  if ((kinds & OVERLAP_BITMAP_DIRECTORY) && (s->autoclear & AUTOCLEAR_BITMAPS)
      && overlaps (offset, len, s->bitmap_directory, s->bitmap_directory_len))
    return OVERLAP_BITMAP_DIRECTORY;
  for (guint i = 0; (kinds & OVERLAP_INACTIVE_L1) && s->snapshots && i < s->snapshots->len; i++)
    {
      const Qcow2Snapshot *snapshot = s->snapshots->pdata[i];

      if (overlaps (offset, len, snapshot->l1_offset, snapshot->l1_size * UINT64_C (8)))
        return OVERLAP_INACTIVE_L1;
    }
  return kinds & NAMED ? find_named (s, kinds & NAMED, offset, len) : 0;
}

int
qcow2_check_overlap (Qcow2 *s, unsigned kind, uint64_t offset, uint64_t len)
{
  static const char *const names[]
      = { "qcow2_header",   "active L1 table",   "active L2 table",   "refcount table",  "refcount block",
          "snapshot table", "inactive L1 table", "inactive L2 table", "bitmap directory" };
  unsigned kinds = s->overlap & ~kind, found = kinds && len ? find (s, kinds, offset, len) : 0;

  if (!found)
    return 0;
  qcow2_corrupt (s, true, (int64_t) offset, (int64_t) len, "Preventing invalid write on metadata (overlaps with %s)",
                 names[__builtin_ctz (found)]);
  return -EIO;
}
