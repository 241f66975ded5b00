/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking qcow2 images: counts the references that are there and compares them with the refcounts and COPIED flags.
 * What it finds wrong it can mend, see "block/qcow2/repair.c". */
#include "block/qcow2/check-private.h"

void
qcow2_check_say (Qcow2Check *c, const char *format, ...)
{
  va_list args;
  g_autofree char *line = NULL;

  if (!c->result->print)
    return;
  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  c->result->print (c->result->opaque, line);
}

/* --- references ---------------------------------------------------------------------------------------------- */

/* Something takes LEN bytes at OFFSET. */
static void
refer (Qcow2Check *c, uint64_t offset, uint64_t len)
{
  uint64_t first, last;

  if (!len)
    return;
  if (offset > c->file_size || len > c->file_size - offset)
    {
      uint64_t over = offset > UINT64_MAX - len ? UINT64_MAX : offset + len - c->file_size;

      if (over >= c->s->cluster_size)
        {
          qcow2_check_say (c,
                           "ERROR: counting reference for region exceeding the end of the file by one cluster or more: "
                           "offset 0x%" PRIx64 " size 0x%" PRIx64,
                           offset, len);
          c->result->corruptions++;
          return;
        }
    }
  first = offset >> c->s->cluster_bits;
  last = (offset + len - 1) >> c->s->cluster_bits;
  for (uint64_t i = first; i <= last && i < c->n; i++)
    c->count[i] += MIN (c->times, UINT32_MAX - c->count[i]);
}

/* Is a table of LEN bytes to be looked through? An image whose tables lie on each other would take for ever. */
static bool
believe (Qcow2Check *c, uint64_t len)
{
  if (len > c->left)
    {
      qcow2_check_say (c, "ERROR tables overlap: there is no room for all of them in the file");
      c->result->check_errors++;
      return false;
    }
  c->left -= len;
  return true;
}

static void
count_compressed (Qcow2Check *c, uint64_t entry, bool statistics)
{
  uint64_t offset, len;

  qcow2_compressed_place (c->s, entry, &offset, &len);
  if (entry & ENTRY_COPIED)
    {
      qcow2_check_say (c, "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for compressed clusters",
                       offset);
      c->result->corruptions++;
    }
  if (qcow2_external (c->s))
    {
      qcow2_check_say (c, "ERROR compressed cluster %" PRIu64 " with data file, entry=0x%" PRIx64,
                       offset >> c->s->cluster_bits, entry);
      c->result->corruptions++;
      return;
    }
  refer (c, VM_ALIGN_DOWN (offset, 512), len + (offset & 511));
  if (statistics)
    {
      c->result->allocated_clusters++;
      c->result->compressed_clusters++;
      c->result->fragmented_clusters++; /* always, as reading goes */
    }
}

/* Preallocated and not aligned: forgotten when that is allowed. */
static bool
mend_zero (Qcow2Check *c, uint64_t at, Qcow2Entry *e)
{
  uint8_t bytes[16];

  if (!(c->fix & VM_CHECK_FIX_ERRORS))
    return false;
  *e = (Qcow2Entry){ 0, (c->s->sub_n == 32 ? (uint64_t) UINT32_MAX : 1) << 32 };
  qcow2_entry_store (c->s, bytes, 0, *e);
  if (qcow2_meta_write (c->s, at, bytes, c->s->entry_size, OVERLAP_ACTIVE_L2 | OVERLAP_INACTIVE_L2) < 0)
    {
      c->result->check_errors++;
      return false;
    }
  c->result->corruptions--;
  c->result->corruptions_fixed++;
  return true;
}

/* AT: where the entry lies. */
static void
count_entry (Qcow2Check *c, Qcow2Entry e, uint64_t at, uint64_t guest, bool statistics)
{
  Qcow2 *s = c->s;
  uint64_t offset = e.entry & ENTRY_OFFSET, reserved = ENTRY_L2_RESERVED & ~ENTRY_ZERO;
  bool zero = e.bitmap >> 32 && !(e.bitmap & UINT32_MAX);

  if (e.entry & ENTRY_COMPRESSED)
    {
      count_compressed (c, e.entry, statistics);
      return;
    }
  if (e.entry & reserved)
    {
      qcow2_check_say (c, "ERROR found l2 entry with reserved bits set: %" PRIx64, e.entry);
      c->result->corruptions++;
    }
  if (s->sub_n == 32 && (e.bitmap & e.bitmap >> 32 & UINT32_MAX))
    {
      qcow2_check_say (c, "ERROR offset=%" PRIx64 ": Allocated cluster has corrupted subcluster allocation bitmap",
                       offset);
      c->result->corruptions++;
    }
  if (!offset && !(qcow2_external (s) && e.entry & ENTRY_COPIED))
    return;
  if (offset & (s->cluster_size - 1))
    {
      bool can = zero && c->fix & VM_CHECK_FIX_ERRORS;

      qcow2_check_say (c, "%s offset=%" PRIx64 ": %s cluster is not properly aligned; L2 entry corrupted.",
                       can ? "Repairing" : "ERROR", offset, zero ? "Preallocated" : "Data");
      c->result->corruptions++;
      if (can && mend_zero (c, at, &e))
        return;
    }
  if (qcow2_external (s))
    {
      if (offset != guest)
        {
          qcow2_check_say (c, "ERROR coffset=0x%" PRIx64 ": guest offset does not match in image with data file",
                           offset);
          c->result->corruptions++;
        }
      if (statistics)
        c->result->allocated_clusters++;
      return;
    }
  if (statistics)
    {
      c->result->allocated_clusters++;
      if (c->next_host && offset != c->next_host)
        c->result->fragmented_clusters++;
      c->next_host = offset + s->cluster_size;
    }
  refer (c, offset, s->cluster_size);
}

static int
count_l2 (Qcow2Check *c, uint64_t table, uint64_t guest, bool statistics)
{
  Qcow2 *s = c->s;
  int status = qcow2_meta_read (s, table, c->table, s->cluster_size);

  if (status < 0)
    {
      qcow2_check_say (c, "ERROR: I/O error in check_refcounts_l2");
      c->result->check_errors++;
      return status;
    }
  for (unsigned i = 0; i < VM_BIT (s->l2_bits); i++)
    {
      Qcow2Entry e = qcow2_entry_load (s, c->table, i);

      if (e.entry || e.bitmap)
        count_entry (c, e, table + (uint64_t) i * s->entry_size, guest + (uint64_t) i * s->cluster_size, statistics);
    }
  return 0;
}

/* The first time at once; what snapshots share is looked through once more, for all of them. */
static int
count_table (Qcow2Check *c, uint64_t table, uint64_t guest, bool statistics)
{
  gsize times = GPOINTER_TO_SIZE (g_hash_table_lookup (c->tables, GSIZE_TO_POINTER (table)));

  g_hash_table_insert (c->tables, GSIZE_TO_POINTER (table), GSIZE_TO_POINTER (times + 1));
  if (times)
    return 0;
  return believe (c, c->s->cluster_size) ? count_l2 (c, table, guest, statistics) : -EIO;
}

static int
count_shared (Qcow2Check *c)
{
  GHashTableIter iter;
  gpointer table, times;
  int status = 0;

  if (qcow2_external (c->s))
    return 0; /* nothing in there refers to this file */
  g_hash_table_iter_init (&iter, c->tables);
  while (status >= 0 && g_hash_table_iter_next (&iter, &table, &times))
    {
      c->times = (uint32_t) MIN (GPOINTER_TO_SIZE (times) - 1, UINT32_MAX);
      if (c->times)
        status = count_l2 (c, GPOINTER_TO_SIZE (table), 0, false);
    }
  c->times = 1;
  return status;
}

static int
count_l1 (Qcow2Check *c, const uint64_t *l1, uint64_t offset, uint32_t n, bool active)
{
  Qcow2 *s = c->s;
  int status = 0;

  refer (c, offset, n * UINT64_C (8));
  for (uint32_t i = 0; i < n && status >= 0; i++)
    {
      uint64_t table = l1[i] & ENTRY_OFFSET;

      if (!l1[i])
        continue;
      if (l1[i] & ENTRY_L1_RESERVED)
        {
          qcow2_check_say (c, "ERROR found L1 entry with reserved bits set: %" PRIx64, l1[i]);
          c->result->corruptions++;
        }
      if (!table)
        continue;
      refer (c, table, s->cluster_size);
      if (table & (s->cluster_size - 1))
        {
          qcow2_check_say (c, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted", table);
          c->result->corruptions++;
        }
      status = count_table (c, table, (uint64_t) i << (s->cluster_bits + s->l2_bits), active);
    }
  return status;
}

static int
count_snapshots (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  int status = 0;

  for (guint i = 0; i < s->snapshots->len && status >= 0; i++)
    {
      const Qcow2Snapshot *snapshot = s->snapshots->pdata[i];
      g_autofree uint64_t *l1 = NULL;

      if (snapshot->l1_offset & (s->cluster_size - 1))
        {
          qcow2_check_say (c,
                           "ERROR snapshot %s (%s) l1_offset=%#" PRIx64
                           ": L1 table is not cluster aligned; snapshot table "
                           "entry corrupted",
                           snapshot->id, snapshot->name, snapshot->l1_offset);
          c->result->corruptions++;
          continue;
        }
      if (snapshot->l1_size > MAX_L1_BYTES / 8 || snapshot->l1_offset > c->file_size)
        {
          qcow2_check_say (c,
                           "ERROR snapshot %s (%s) l1_size=%#" PRIx32 ": L1 table is too large; snapshot table entry "
                           "corrupted",
                           snapshot->id, snapshot->name, snapshot->l1_size);
          c->result->corruptions++;
          continue;
        }
      if (!believe (c, snapshot->l1_size * UINT64_C (8)))
        return -EIO;
      l1 = g_try_malloc0_n (snapshot->l1_size + 1, 8);
      status = l1 ? qcow2_meta_read (s, snapshot->l1_offset, l1, snapshot->l1_size * sizeof *l1) : -ENOMEM;
      for (uint32_t k = 0; k < snapshot->l1_size && status >= 0; k++)
        l1[k] = GUINT64_FROM_BE (l1[k]);
      if (status >= 0)
        status = count_l1 (c, l1, snapshot->l1_offset, snapshot->l1_size, false);
    }
  refer (c, s->snapshots_offset, s->snapshots_len);
  return status;
}

static int
count_bitmaps (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  int status = 0;

  if (!s->bitmaps)
    return 0;
  refer (c, s->bitmap_directory, s->bitmap_directory_len);
  for (guint i = 0; i < s->bitmaps->len && status >= 0; i++)
    {
      const Qcow2Bitmap *b = s->bitmaps->pdata[i];
      g_autofree uint64_t *table = NULL;

      if (!believe (c, b->table_size * UINT64_C (8)))
        return -EIO;
      table = g_try_malloc0_n (b->table_size + 1, 8);
      refer (c, b->table_offset, b->table_size * UINT64_C (8));
      status = table ? qcow2_meta_read (s, b->table_offset, table, b->table_size * sizeof *table) : -ENOMEM;
      for (uint32_t k = 0; k < b->table_size && status >= 0; k++)
        {
          uint64_t entry = GUINT64_FROM_BE (table[k]), offset = entry & ENTRY_OFFSET;

          if (entry & ~(ENTRY_OFFSET | 1) || (offset && entry & 1) || offset & (s->cluster_size - 1))
            {
              qcow2_check_say (c, "ERROR bitmap table entry %" PRIx64 " is invalid", entry);
              c->result->corruptions++;
            }
          else if (offset)
            refer (c, offset, s->cluster_size);
        }
    }
  return status;
}

/* Refcount blocks; those that cannot be used make it necessary to start over. */
static void
count_refcounts (Qcow2Check *c)
{
  Qcow2 *s = c->s;

  refer (c, s->refcount_table, s->refcount_clusters * s->cluster_size);
  for (uint32_t i = 0; i < s->refcount_n; i++)
    {
      uint64_t offset = s->refcounts[i] & ~UINT64_C (0x1ff), cluster = offset >> s->cluster_bits;

      if (s->refcounts[i] & 0x1ff)
        {
          qcow2_check_say (c, "ERROR refcount table entry %" PRIu32 " has reserved bits set", i);
          c->result->corruptions++;
          c->rebuild = true;
        }
      if (!offset)
        continue;
      if (offset & (s->cluster_size - 1))
        {
          qcow2_check_say (c, "ERROR refcount block %" PRIu32 " is not cluster aligned; refcount table entry corrupted",
                           i);
          c->result->corruptions++;
          c->rebuild = true;
          continue;
        }
      if (cluster >= qcow2_clusters (s, c->file_size))
        {
          qcow2_check_say (c, "ERROR refcount block %" PRIu32 " is outside image", i);
          c->result->corruptions++;
          c->rebuild = true;
          continue;
        }
      refer (c, offset, s->cluster_size);
      if (c->count[cluster] != 1)
        {
          qcow2_check_say (c, "ERROR refcount block %" PRIu32 " refcount=%" PRIu32, i, c->count[cluster]);
          c->result->corruptions++;
          c->rebuild = true;
        }
    }
}

static int
count_all (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  int status;

  refer (c, 0, s->cluster_size);
  if ((status = count_l1 (c, s->l1, s->l1_offset, s->l1_size, true)) < 0 || (status = count_snapshots (c)) < 0
      || (status = count_shared (c)) < 0)
    return status;
  if (s->crypt_method == CRYPT_LUKS)
    refer (c, s->crypt_offset, s->crypt_len);
  if ((status = count_bitmaps (c)) < 0)
    return status;
  count_refcounts (c);
  return 0;
}

/* --- comparison ------------------------------------------------------------------------------------------------ */

/* REFCOUNTS were COUNT, is the image's for CLUSTER. */
static void
compare_one (Qcow2Check *c, uint64_t cluster, uint64_t refcount, uint64_t count)
{
  bool leak = refcount > count, fix = c->fix & (leak ? VM_CHECK_FIX_LEAKS : VM_CHECK_FIX_ERRORS);

  if (!c->repairing)
    {
      qcow2_check_say (c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, leak ? "Leaked" : "ERROR",
                       cluster, refcount, count);
      if (!refcount)
        c->rebuild = true;
      c->found = true;
      if (leak)
        c->result->leaks++;
      else
        c->result->corruptions++;
      return;
    }
  if (!fix)
    {
      qcow2_check_say (c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, leak ? "Leaked" : "ERROR",
                       cluster, refcount, count);
      return;
    }
  qcow2_check_say (c, "Repairing cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, cluster, refcount,
                   count);
  if (qcow2_check_set (c, cluster, count) < 0)
    {
      c->result->check_errors++;
      return;
    }
  if (c->rebuilt)
    return; /* not one of those found */
  if (leak)
    {
      c->result->leaks--;
      c->result->leaks_fixed++;
    }
  else
    {
      c->result->corruptions--;
      c->result->corruptions_fixed++;
    }
}

static void
compare (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  uint64_t highest = 0;

  for (uint64_t i = 0; i < c->n; i++)
    {
      uint64_t refcount;

      /* Files may be very long and nearly empty. */
      if (!c->count[i] && !qcow2_has_refcounts (s, i))
        continue;
      int status = qcow2_refcount (s, i, &refcount);
      if (status < 0)
        {
          if (i < qcow2_clusters (s, c->file_size))
            {
              qcow2_check_say (c, "Can't get refcount for cluster %" PRIu64 ": %s", i, g_strerror (-status));
              if (!c->repairing)
                c->result->check_errors++;
            }
          continue;
        }
      if (refcount || c->count[i])
        highest = i;
      if (refcount != c->count[i])
        compare_one (c, i, refcount, c->count[i]);
    }
  c->result->image_end = (highest + 1) << s->cluster_bits;
}

/* --- COPIED flags ------------------------------------------------------------------------------------------------- */

static bool
flag_wrong (Qcow2Check *c, const char *what, uint64_t refcount)
{
  /* Where there are worse things, what the refcount is does not say what the flag must be. */
  bool fix = c->fix & VM_CHECK_FIX_ERRORS || (c->fix && !c->result->corruptions && !c->result->check_errors);

  qcow2_check_say (c, "%s OFLAG_COPIED %s refcount=%" PRIu64, fix ? "Repairing" : "ERROR", what, refcount);
  if (fix)
    c->result->corruptions_fixed++;
  else
    c->result->corruptions++;
  return fix;
}

static int
check_flags_l2 (Qcow2Check *c, uint64_t table)
{
  Qcow2 *s = c->s;
  bool dirty = false;
  int status = qcow2_meta_read (s, table, c->table, s->cluster_size);

  for (unsigned i = 0; i < VM_BIT (s->l2_bits) && status >= 0; i++)
    {
      Qcow2Entry e = qcow2_entry_load (s, c->table, i);
      uint64_t raw = vm_load_be64 (c->table + (size_t) i * s->entry_size), refcount;
      g_autofree char *what = NULL;

      if (e.entry & ENTRY_COMPRESSED || !(e.entry & ENTRY_OFFSET) || qcow2_external (s)
          || qcow2_refcount (s, (e.entry & ENTRY_OFFSET) >> s->cluster_bits, &refcount) < 0
          || (refcount == 1) == !!(e.entry & ENTRY_COPIED))
        continue;
      what = g_strdup_printf ("data cluster: l2_entry=%" PRIx64, raw);
      if (!flag_wrong (c, what, refcount))
        continue;
      e.entry = (e.entry & ~ENTRY_COPIED) | (refcount == 1 ? ENTRY_COPIED : 0);
      qcow2_entry_store (s, c->table, i, e);
      dirty = true;
    }
  if (dirty && status >= 0)
    {
      qcow2_cache_drop (&s->l2, table, s->cluster_size);
      status = qcow2_meta_write (s, table, c->table, s->cluster_size, OVERLAP_ACTIVE_L2);
    }
  return status;
}

static int
check_flags (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  int status = 0;

  for (uint32_t i = 0; i < s->l1_size && status >= 0; i++)
    {
      uint64_t table = s->l1[i] & ENTRY_OFFSET, refcount;
      g_autofree char *what = NULL;

      if (!table)
        continue;
      if (qcow2_refcount (s, table >> s->cluster_bits, &refcount) < 0)
        continue; /* said before */
      if ((refcount == 1) != !!(s->l1[i] & ENTRY_COPIED))
        {
          what = g_strdup_printf ("L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64, i, s->l1[i]);
          if (flag_wrong (c, what, refcount))
            {
              s->l1[i] = (s->l1[i] & ~ENTRY_COPIED) | (refcount == 1 ? ENTRY_COPIED : 0);
              s->l1_dirty_from = 0;
              s->l1_dirty_to = s->l1_size;
            }
        }
      if (g_hash_table_add (seen, GSIZE_TO_POINTER (table)))
        status = check_flags_l2 (c, table);
    }
  return status < 0 || !c->fix ? status : qcow2_write_back (s);
}

/* --- all -------------------------------------------------------------------------------------- */

static int
run (Qcow2Check *c)
{
  unsigned entries = qcow2_snapshots_check (c->s, c->result, c->fix & VM_CHECK_FIX_ERRORS);
  int status = count_all (c);

  c->result->corruptions += entries;
  if (status < 0)
    return status;
  compare (c);
  if (c->fix && (c->rebuild || c->found))
    {
      if (c->rebuild && !(c->fix & VM_CHECK_FIX_ERRORS))
        {
          qcow2_check_say (c, "ERROR need to rebuild refcount structures");
          return -EIO;
        }
      if (c->rebuild)
        {
          uint64_t corruptions = c->result->corruptions, leaks = c->result->leaks;

          qcow2_check_say (c, "Rebuilding refcount structure");
          if ((status = qcow2_check_rebuild (c)) < 0)
            return status;
          c->result->corruptions = c->result->leaks = 0;
          c->result->corruptions_fixed += corruptions;
          c->result->leaks_fixed += leaks;
        }
      c->repairing = true;
      compare (c);
      if ((status = qcow2_write_back (c->s)) < 0 || (status = qcow2_meta_flush (c->s)) < 0)
        return status;
    }
  status = check_flags (c);
  /* A new table takes a place: only where it is known what is free. */
  unsigned left = c->rebuilt ? 0 : entries; /* of those counted */
  if (status >= 0 && entries && c->fix & VM_CHECK_FIX_ERRORS && c->result->corruptions == left
      && !c->result->check_errors && (status = qcow2_snapshots_mend (c->s)) >= 0)
    {
      c->result->corruptions -= left;
      c->result->corruptions_fixed += left;
    }
  return status;
}

/* False: there is no memory. check_end () either way. */
static bool
check_begin (Qcow2Check *c, uint64_t file_size)
{
  c->file_size = file_size;
  c->n = qcow2_clusters (c->s, file_size) + 1;
  c->left = c->n << c->s->cluster_bits;
  c->times = 1;
  c->tables = g_hash_table_new (NULL, NULL);
  c->count = g_try_malloc0_n (c->n, sizeof *c->count);
  c->table = g_try_malloc (c->s->cluster_size);
  return c->count && c->table;
}

static void
check_end (Qcow2Check *c)
{
  g_hash_table_unref (c->tables);
  g_free (c->count);
  g_free (c->table);
}

/* With the image for itself. */
int
qcow2_check_image (Qcow2 *s, VmCheckResult *result, unsigned fix)
{
  Qcow2Check c = { .s = s, .result = result, .fix = fix };
  bool locked = s->lock.owner && s->lock.owner == vm_fiber_self ();
  int status = -ENOMEM;

  result->total_clusters = qcow2_clusters (s, s->size);
  if (!locked)
    vm_fiber_mutex_lock (&s->lock);
  if (check_begin (&c, qcow2_file (s)->size))
    status = s->opened_readonly ? 0 : qcow2_barrier (s);
  if (status >= 0)
    status = run (&c);
  if (!locked)
    vm_fiber_mutex_unlock (&s->lock);
  check_end (&c);
  return status;
}

int
qcow2_check (VmNode *node, VmCheckResult *result, unsigned fix)
{
  Qcow2 *s = node->state;
  int status;

  vm_fiber_rw_write (&s->gate);
  status = qcow2_check_image (s, result, fix);
  if (status >= 0 && fix && !result->corruptions && !result->check_errors)
    {
      vm_fiber_mutex_lock (&s->lock);
      status = qcow2_mark_clean (s);
      if (status >= 0 && s->incompatible & INCOMPATIBLE_CORRUPT)
        {
          s->incompatible &= ~(uint64_t) INCOMPATIBLE_CORRUPT;
          s->broken = false;
          status = qcow2_header_write (s);
        }
      vm_fiber_mutex_unlock (&s->lock);
    }
  vm_fiber_rw_unlock (&s->gate);
  return status;
}

/* Refcounts of another width: all of them anew, in new blocks. With the image for itself. */
bool
qcow2_change_refcount_width (Qcow2 *s, unsigned order, GError **error)
{
  VmCheckResult result = { 0 };
  Qcow2Check c = { .s = s, .result = &result, .fix = VM_CHECK_FIX_LEAKS | VM_CHECK_FIX_ERRORS };
  unsigned old = s->refcount_order;
  uint64_t highest = 0;
  int status;

  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_barrier (s);
  if (!check_begin (&c, MAX (qcow2_file (s)->size, s->high)))
    status = -ENOMEM;
  if (status >= 0)
    status = count_all (&c);
  if (status >= 0 && result.corruptions)
    status = -EIO;
  for (uint64_t i = 0; i < c.n && status >= 0; i++)
    highest = MAX (highest, c.count[i]);
  s->refcount_order = order;
  if (status >= 0 && highest > qcow2_refcount_max (s))
    status = -EOVERFLOW;
  if (status >= 0)
    {
      c.new_width = true;
      status = qcow2_check_rebuild (&c);
    }
  if (status < 0)
    s->refcount_order = old;
  else
    {
      c.repairing = true;
      compare (&c);
      if ((status = qcow2_write_back (s)) >= 0)
        status = qcow2_meta_flush (s);
    }
  vm_fiber_mutex_unlock (&s->lock);
  check_end (&c);
  if (status == -EOVERFLOW)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                 "Cannot decrease refcount entry width to %u bits: a cluster has a refcount of "
                 "%" PRIu64,
                 1u << order, highest);
  else if (status < 0)
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "Failed to change the refcount width: %s",
                 g_strerror (-status));
  return status >= 0;
}
