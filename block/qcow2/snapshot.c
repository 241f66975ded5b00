/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Internal snapshots: a second L1 table over clusters that are shared until one side is written. After the qcow2
 * specification, "Snapshots". Each operation has the image for itself, and at each moment the file is consistent but
 * for references that are counted and not used. */
#include "block/qcow2/qcow2-private.h"

#define FREE_BATCH 65536 /* references to drop that are kept in mind */

static void
snapshot_free (gpointer data)
{
  Qcow2Snapshot *snapshot = data;

  g_free (snapshot->id);
  g_free (snapshot->name);
  g_clear_pointer (&snapshot->extra, g_bytes_unref);
  g_free (snapshot);
}

static bool
fail (GError **error, int status, const char *what)
{
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "%s: %s", what, g_strerror (-status));
  return false;
}

/* --- the table in the file ------------------------------------------------------------------------------------- */

enum
{
  SNAPSHOT_FIXED = 40,
  SNAPSHOT_EXTRA = 24,    /* what is known of the extra data */
  SNAPSHOT_EXTRA_V3 = 16, /* what version 3 must have of it */
};

/* CHECK: what is too much of it is left out, for a repair. */
static bool
snapshot_parse (Qcow2 *s, uint64_t *at, bool check, GError **error)
{
  uint8_t h[SNAPSHOT_FIXED], extra[SNAPSHOT_EXTRA] = { 0 };
  Qcow2Snapshot *snapshot = g_new0 (Qcow2Snapshot, 1);
  uint32_t extra_len, id_len, name_len;
  int status = qcow2_meta_read (s, *at, h, sizeof h);

  g_ptr_array_add (s->snapshots, snapshot);
  if (status < 0)
    return fail (error, status, "Failed to read snapshot table");
  snapshot->l1_offset = vm_load_be64 (h);
  snapshot->l1_size = vm_load_be32 (h + 8);
  id_len = vm_load_be16 (h + 12);
  name_len = vm_load_be16 (h + 14);
  snapshot->date_sec = vm_load_be32 (h + 16);
  snapshot->date_nsec = vm_load_be32 (h + 20);
  snapshot->vm_clock_ns = vm_load_be64 (h + 24);
  snapshot->vm_state_size = vm_load_be32 (h + 32);
  extra_len = vm_load_be32 (h + 36);
  snapshot->icount = UINT64_MAX;
  snapshot->disk_size = s->size;
  snapshot->id = g_malloc0 (id_len + 1);
  snapshot->name = g_malloc0 (name_len + 1);
  snapshot->extra_len = extra_len;
  if (extra_len > MAX_SNAPSHOT_EXTRA && !check)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                   "Too much extra metadata in snapshot table entry %u\n"
                   "You can force-remove this extra metadata with vitrine-img check -r all",
                   s->snapshots->len - 1);
      return false;
    }
  *at += sizeof h;
  if ((status = qcow2_meta_read (s, *at, extra, MIN (extra_len, SNAPSHOT_EXTRA))) < 0
      || (status = qcow2_meta_read (s, *at + extra_len, snapshot->id, id_len)) < 0
      || (status = qcow2_meta_read (s, *at + extra_len + id_len, snapshot->name, name_len)) < 0)
    return fail (error, status, "Failed to read snapshot table");
  if (extra_len >= 8)
    snapshot->vm_state_size = vm_load_be64 (extra);
  if (extra_len >= 16)
    snapshot->disk_size = vm_load_be64 (extra + 8);
  if (extra_len >= 24)
    snapshot->icount = vm_load_be64 (extra + 16);
  if (extra_len > SNAPSHOT_EXTRA)
    {
      uint32_t len = MIN (extra_len, MAX_SNAPSHOT_EXTRA) - SNAPSHOT_EXTRA;
      g_autofree uint8_t *rest = g_malloc (len);

      if ((status = qcow2_meta_read (s, *at + SNAPSHOT_EXTRA, rest, len)) < 0)
        return fail (error, status, "Failed to read snapshot table");
      snapshot->extra = g_bytes_new (rest, len);
    }
  *at = VM_ALIGN_UP (*at + (uint64_t) extra_len + id_len + name_len, 8);
  return true;
}

bool
qcow2_snapshots_read (Qcow2 *s, uint32_t n, uint64_t offset, bool check, GError **error)
{
  uint64_t at = offset;

  s->snapshots = g_ptr_array_new_with_free_func (snapshot_free);
  if (!n)
    return true;
  if (!qcow2_check_table (s, offset, n, SNAPSHOT_FIXED, MAX_SNAPSHOTS * SNAPSHOT_FIXED, "Snapshot table", error))
    return false;
  s->snapshots_offset = offset;
  for (uint32_t i = 0; i < n; i++)
    {
      at = VM_ALIGN_UP (at, 8);
      if (!snapshot_parse (s, &at, check, error))
        return false;
      if (at - offset > MAX_SNAPSHOT_BYTES)
        {
          g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Snapshot table is too big");
          return false;
        }
    }
  s->snapshots_len = at - offset;
  return true;
}

static void
snapshot_put (Qcow2 *s, GByteArray *out, const Qcow2Snapshot *snapshot)
{
  uint8_t h[SNAPSHOT_FIXED + SNAPSHOT_EXTRA] = { 0 }, padding[8] = { 0 };
  gsize rest = snapshot->extra ? g_bytes_get_size (snapshot->extra) : 0;

  vm_store_be64 (h, snapshot->l1_offset);
  vm_store_be32 (h + 8, snapshot->l1_size);
  vm_store_be16 (h + 12, (uint16_t) strlen (snapshot->id));
  vm_store_be16 (h + 14, (uint16_t) strlen (snapshot->name));
  vm_store_be32 (h + 16, snapshot->date_sec);
  vm_store_be32 (h + 20, snapshot->date_nsec);
  vm_store_be64 (h + 24, snapshot->vm_clock_ns);
  vm_store_be32 (h + 32, snapshot->vm_state_size > UINT32_MAX ? 0 : (uint32_t) snapshot->vm_state_size);
  vm_store_be32 (h + 36, (uint32_t) (SNAPSHOT_EXTRA + rest));
  vm_store_be64 (h + 40, snapshot->vm_state_size);
  vm_store_be64 (h + 48, snapshot->disk_size);
  vm_store_be64 (h + 56, snapshot->icount);
  g_byte_array_append (out, h, sizeof h);
  if (rest)
    g_byte_array_append (out, g_bytes_get_data (snapshot->extra, NULL), (guint) rest);
  g_byte_array_append (out, (const uint8_t *) snapshot->id, (guint) strlen (snapshot->id));
  g_byte_array_append (out, (const uint8_t *) snapshot->name, (guint) strlen (snapshot->name));
  g_byte_array_append (out, padding, -out->len & 7);
}

int
qcow2_snapshots_write (Qcow2 *s)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  uint64_t old = s->snapshots_offset, old_clusters = qcow2_clusters (s, s->snapshots_len), offset = 0, clusters, got;
  uint8_t header[12];
  int status;

  for (guint i = 0; i < s->snapshots->len; i++)
    snapshot_put (s, bytes, s->snapshots->pdata[i]);
  if (bytes->len > MAX_SNAPSHOT_BYTES || s->snapshots->len > MAX_SNAPSHOTS)
    return -EFBIG;
  clusters = qcow2_clusters (s, bytes->len);
  if (clusters
      && ((status = qcow2_allocate (s, clusters, true, &offset, &got, NULL)) < 0
          || (status = qcow2_meta_write (s, offset, bytes->data, bytes->len, 0)) < 0))
    return status;
  vm_store_be32 (header, s->snapshots->len);
  vm_store_be64 (header + 4, offset);
  if ((status = qcow2_write_back (s)) < 0 || (status = qcow2_meta_flush (s)) < 0)
    {
      if (clusters)
        qcow2_free_now (s, offset, clusters);
      return status;
    }
  /* Where that fails, the file may point to the new table all the same: it stays, as clusters that are leaked. */
  if ((status = qcow2_meta_write (s, HEADER_NB_SNAPSHOTS, header, sizeof header, OVERLAP_MAIN_HEADER)) < 0
      || (status = qcow2_meta_flush (s)) < 0)
    return status;
  s->snapshots_offset = offset;
  s->snapshots_len = bytes->len;
  qcow2_overlap_forget (s);
  if (old && old_clusters)
    qcow2_free (s, old, old_clusters, FREE_SNAPSHOT);
  return 0;
}

unsigned
qcow2_snapshots_check (Qcow2 *s, VmCheckResult *result, bool fix)
{
  unsigned found = 0;

  for (guint i = 0; i < s->snapshots->len; i++)
    {
      const Qcow2Snapshot *snapshot = s->snapshots->pdata[i];
      g_autofree char *line = NULL;

      if (snapshot->extra_len > MAX_SNAPSHOT_EXTRA)
        line = g_strdup_printf ("%s too much extra metadata in snapshot table entry %u (%u > %u)",
                                fix ? "Discarding" : "ERROR", i, snapshot->extra_len, (unsigned) MAX_SNAPSHOT_EXTRA);
      else if (s->version >= 3 && snapshot->extra_len < SNAPSHOT_EXTRA_V3)
        line = g_strdup_printf ("%s snapshot table entry %u is incomplete", fix ? "Repairing" : "ERROR", i);
      if (!line)
        continue;
      found++;
      if (result->print)
        result->print (result->opaque, line);
    }
  return found;
}

int
qcow2_snapshots_mend (Qcow2 *s)
{
  int status = qcow2_snapshots_write (s);

  for (guint i = 0; i < s->snapshots->len && status >= 0; i++)
    {
      Qcow2Snapshot *snapshot = s->snapshots->pdata[i];
      snapshot->extra_len = SNAPSHOT_EXTRA + (snapshot->extra ? (uint32_t) g_bytes_get_size (snapshot->extra) : 0);
    }
  return status < 0 ? status : qcow2_barrier (s);
}

/* --- references --------------------------------------------------------------------------------------------------- */

/* What is counted once more is in the file, or was going to be its last cluster: else the refcounts, and the file with
 * them, would grow to wherever an entry that somebody has damaged points. */
static int
inside_file (Qcow2 *s, uint64_t offset, uint64_t len)
{
  uint64_t end = MAX (s->high, qcow2_file (s)->size) + s->cluster_size;

  if (offset < end && len <= end - offset)
    return 0;
  qcow2_corrupt (s, true, (int64_t) offset, (int64_t) len, "Cluster %#" PRIx64 " is referred to behind the file's end",
                 offset);
  return -EIO;
}

/* What DELTA means for the clusters of one L2 entry; whether its COPIED flag must be set into *COPIED. */
static int
update_entry (Qcow2 *s, Qcow2Entry e, int delta, bool *copied)
{
  uint64_t offset = e.entry & ENTRY_OFFSET, len = s->cluster_size, count, first, n;
  int status;

  *copied = false;
  if (qcow2_external (s))
    {
      *copied = e.entry & ENTRY_COPIED;
      return 0;
    }
  if (e.entry & ENTRY_COMPRESSED)
    qcow2_compressed_place (s, e.entry, &offset, &len);
  else if (!offset)
    return 0;
  first = offset >> s->cluster_bits;
  n = ((offset + len - 1) >> s->cluster_bits) - first + 1;
  if (delta > 0
      && ((status = inside_file (s, offset, len)) < 0 || (status = qcow2_refcount_add (s, first, n, 1)) < 0))
    return status;
  if (delta < 0)
    qcow2_free (s, first << s->cluster_bits, n, e.entry & ENTRY_COMPRESSED ? FREE_ALWAYS : FREE_SNAPSHOT);
  if (e.entry & ENTRY_COMPRESSED || delta < 0)
    return 0;
  status = qcow2_refcount (s, first, &count);
  *copied = delta == 0 && count == 1;
  return status;
}

static int
update_table (Qcow2 *s, uint64_t table, uint64_t guest, int delta)
{
  unsigned n = (unsigned) (s->l2.piece / s->entry_size);

  for (uint64_t at = 0; at < s->cluster_size; at += s->l2.piece)
    {
      Qcow2Cached *slice;
      int status = qcow2_cache_get (&s->l2, table + at, false, &slice);

      for (unsigned i = 0; i < n && status >= 0; i++)
        {
          Qcow2Entry e = qcow2_entry_load (s, slice->data, i);
          bool copied;

          if (!e.entry && !e.bitmap)
            continue;
          if (e.entry & ENTRY_OFFSET & (s->cluster_size - 1) && !(e.entry & ENTRY_COMPRESSED))
            {
              qcow2_corrupt (s, true, -1, -1,
                             "Cluster allocation offset %#" PRIx64 " unaligned (L2 offset: %#" PRIx64
                             ", L2 index: %#x)",
                             e.entry & ENTRY_OFFSET, table, (unsigned) (at / s->entry_size) + i);
              status = -EIO;
              break;
            }
          if ((status = update_entry (s, e, delta, &copied)) < 0 || delta < 0)
            continue;
          if (!(e.entry & ENTRY_COMPRESSED) && copied != !!(e.entry & ENTRY_COPIED))
            {
              e.entry = (e.entry & ~ENTRY_COPIED) | (copied ? ENTRY_COPIED : 0);
              qcow2_entry_store (s, slice->data, i, e);
              qcow2_cache_dirty (&s->l2, slice);
            }
        }
      if (status < 0)
        {
          if (slice)
            qcow2_cache_put (slice);
          return status;
        }
      qcow2_cache_put (slice);
      if (s->freed[s->epoch]->len > FREE_BATCH && (status = qcow2_barrier (s)) < 0)
        return status;
    }
  return 0;
}

int
qcow2_update_references (Qcow2 *s, uint64_t *l1, uint32_t n, int delta)
{
  int status;

  for (uint32_t i = 0; i < n; i++)
    {
      uint64_t table = l1[i] & ENTRY_OFFSET, count;

      if (!table)
        continue;
      if (table & (s->cluster_size - 1))
        {
          qcow2_corrupt (s, true, -1, -1, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#x)", table, i);
          return -EIO;
        }
      if ((status = update_table (s, table, 0, delta)) < 0)
        return status;
      if (delta > 0
          && ((status = inside_file (s, table, s->cluster_size)) < 0
              || (status = qcow2_refcount_add (s, table >> s->cluster_bits, 1, 1)) < 0))
        return status;
      if (delta < 0)
        {
          qcow2_free (s, table, 1, FREE_SNAPSHOT);
          continue;
        }
      if ((status = qcow2_refcount (s, table >> s->cluster_bits, &count)) < 0)
        return status;
      l1[i] = table | (delta == 0 && count == 1 ? ENTRY_COPIED : 0);
    }
  return 0;
}

static void
l1_all_dirty (Qcow2 *s)
{
  s->l1_dirty_from = 0;
  s->l1_dirty_to = s->l1_size;
}

/* --- finding --------------------------------------------------------------------------------------------------------
 */

/* References and "copied" flags of many tables cannot change together: what is left when it is cut short is repaired by
 * whoever opens the image next, who sees that it is dirty. */
static int
begin (Qcow2 *s)
{
  int status = qcow2_usable (s, true);

  if (status < 0 || (status = qcow2_begin_changes (s)) < 0 || (status = qcow2_barrier (s)) < 0)
    return status;
  return s->version >= 3 ? qcow2_mark_dirty (s) : 0;
}

static int
end (Qcow2 *s, int status)
{
  int later = s->lazy || !s->dirty_marked || s->broken ? 0 : qcow2_mark_clean (s);

  return status < 0 ? status : later;
}

static Qcow2Snapshot *
find (Qcow2 *s, const char *id, const char *name)
{
  for (guint i = 0; i < s->snapshots->len; i++)
    {
      Qcow2Snapshot *snapshot = s->snapshots->pdata[i];

      if ((id || name) && (!id || g_str_equal (snapshot->id, id)) && (!name || g_str_equal (snapshot->name, name)))
        return snapshot;
    }
  return NULL;
}

static uint64_t *
read_l1 (Qcow2 *s, const Qcow2Snapshot *snapshot, uint32_t n, GError **error)
{
  g_autofree uint64_t *l1 = NULL;
  int status;

  if (!qcow2_check_table (s, snapshot->l1_offset, snapshot->l1_size, 8, MAX_L1_BYTES, "Snapshot L1 table", error))
    return NULL;
  l1 = g_try_malloc0_n (MAX (n, snapshot->l1_size) + 1, 8);
  status = l1 ? qcow2_meta_read (s, snapshot->l1_offset, l1, snapshot->l1_size * sizeof *l1) : -ENOMEM;
  if (status < 0)
    {
      fail (error, status, "Failed to read the snapshot's L1 table");
      return NULL;
    }
  for (uint32_t i = 0; i < snapshot->l1_size; i++)
    l1[i] = GUINT64_FROM_BE (l1[i]);
  return g_steal_pointer (&l1);
}

/* --- create ----------------------------------------------------------------------------------- */

static int
write_l1_copy (Qcow2 *s, const uint64_t *l1, uint32_t n, uint64_t *offset)
{
  uint64_t clusters = qcow2_clusters (s, n * UINT64_C (8)), got;
  g_autofree uint64_t *bytes = g_try_malloc0_n (MAX (clusters, 1), s->cluster_size);
  int status;

  *offset = 0;
  if (!bytes)
    return -ENOMEM;
  if (!clusters)
    return 0;
  for (uint32_t i = 0; i < n; i++)
    bytes[i] = GUINT64_TO_BE (l1[i] & ~ENTRY_COPIED);
  if ((status = qcow2_allocate (s, clusters, true, offset, &got, NULL)) < 0)
    return status;
  if ((status = qcow2_meta_write (s, *offset, bytes, n * sizeof *bytes, 0)) < 0)
    qcow2_free_now (s, *offset, clusters);
  return status;
}

static void
fill_in_id (Qcow2 *s, VmSnapshotInfo *info)
{
  uint64_t highest = 0;

  if (info->id && *info->id)
    return;
  for (guint i = 0; i < s->snapshots->len; i++)
    highest = MAX (highest, g_ascii_strtoull (((Qcow2Snapshot *) s->snapshots->pdata[i])->id, NULL, 10));
  g_free (info->id);
  info->id = g_strdup_printf ("%" PRIu64, highest + 1);
}

/* Shares all of the disk: nobody's clusters may be written in place any more, then they are counted once more. */
static int
share_all (Qcow2 *s)
{
  int status = qcow2_update_references (s, s->l1, s->l1_size, 1);

  l1_all_dirty (s);
  if (status < 0)
    { /* too many for the width of the refcounts: those counted already are leaks, to be found and dropped */
      VmCheckResult result = { 0 };

      qcow2_check_image (s, &result, VM_CHECK_FIX_LEAKS);
      qcow2_update_references (s, s->l1, s->l1_size, 0);
    }
  return status;
}

static int
create_locked (Qcow2 *s, VmSnapshotInfo *info)
{
  Qcow2Snapshot *snapshot;
  uint64_t l1_offset;
  int status;

  if ((status = begin (s)) < 0)
    return status;
  fill_in_id (s, info);
  if (find (s, info->id, NULL))
    return -EEXIST;
  if ((status = write_l1_copy (s, s->l1, s->l1_size, &l1_offset)) < 0)
    return status;
  if ((status = share_all (s)) < 0 || (status = qcow2_write_back (s)) < 0)
    {
      qcow2_free_now (s, l1_offset, qcow2_clusters (s, s->l1_size * UINT64_C (8)));
      return status;
    }
  snapshot = g_new0 (Qcow2Snapshot, 1);
  *snapshot = (Qcow2Snapshot){ .l1_offset = l1_offset,
                               .l1_size = s->l1_size,
                               .disk_size = s->size,
                               .vm_state_size = info->vm_state_size,
                               .vm_clock_ns = info->vm_clock_ns,
                               .icount = info->icount,
                               .date_sec = (uint32_t) info->date_sec,
                               .date_nsec = info->date_nsec,
                               .extra_len = SNAPSHOT_EXTRA,
                               .id = g_strdup (info->id),
                               .name = g_strdup (info->name ? info->name : "") };
  info->disk_size = s->size;
  g_ptr_array_add (s->snapshots, snapshot);
  if ((status = qcow2_snapshots_write (s)) < 0)
    { /* what was counted for it is leaked */
      g_ptr_array_remove (s->snapshots, snapshot);
      return status;
    }
  /* The machine's state belongs to the snapshot alone. */
  if (info->vm_state_size)
    {
      uint64_t base = (uint64_t) s->l1_vm_state << (s->cluster_bits + s->l2_bits);

      qcow2_discard_at (s, base, VM_ALIGN_UP (info->vm_state_size, s->cluster_size), FREE_ALWAYS, true);
    }
  return qcow2_barrier (s);
}

bool
qcow2_snapshot_create (VmNode *node, VmSnapshotInfo *info, GError **error)
{
  Qcow2 *s = node->state;
  int status;

  if (qcow2_external (s))
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                           "Internal snapshots are not supported with an external data file");
      return false;
    }
  if (info->id && strlen (info->id) > UINT16_MAX / 2)
    return fail (error, -EINVAL, "Snapshot id");
  if (info->name && strlen (info->name) > UINT16_MAX / 2)
    return fail (error, -EINVAL, "Snapshot name");
  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  status = end (s, create_locked (s, info));
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  return status >= 0 || fail (error, status, "Could not create snapshot");
}

/* --- apply ------------------------------------------------------------------------------------ */

/* The header points to another L1 table, of a disk of another size. */
static int
switch_header (Qcow2 *s, uint64_t size, uint32_t l1_size, uint64_t l1_offset)
{
  uint8_t h[HEADER_L1_OFFSET + 8 - HEADER_SIZE];
  int status;

  vm_store_be64 (h, size);
  vm_store_be32 (h + (HEADER_CRYPT_METHOD - HEADER_SIZE), s->crypt_method);
  vm_store_be32 (h + (HEADER_L1_SIZE - HEADER_SIZE), l1_size);
  vm_store_be64 (h + (HEADER_L1_OFFSET - HEADER_SIZE), l1_offset);
  if ((status = qcow2_write_back (s)) < 0 || (status = qcow2_meta_flush (s)) < 0
      || (status = qcow2_meta_write (s, HEADER_SIZE, h, sizeof h, OVERLAP_MAIN_HEADER)) < 0)
    return status;
  return qcow2_meta_flush (s);
}

static int
apply_locked (Qcow2 *s, const Qcow2Snapshot *snapshot, GError **error)
{
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits), old_offset = s->l1_offset, offset;
  uint64_t need = snapshot->disk_size / table_bytes + !!(snapshot->disk_size % table_bytes);
  uint32_t n, old_n = s->l1_size;
  g_autofree uint64_t *l1 = NULL, *old = NULL;
  int status;

  if (need > MAX_L1_BYTES / 8)
    return -EFBIG;
  n = MAX ((uint32_t) need, snapshot->l1_size);
  if ((status = begin (s)) < 0)
    return status;
  if (!(l1 = read_l1 (s, snapshot, n, error)))
    return -EINVAL;
  /* All of it counted once more, nothing to be written in place, then the disk is that. */
  if ((status = qcow2_update_references (s, l1, snapshot->l1_size, 1)) < 0
      || (status = write_l1_copy (s, l1, n, &offset)) < 0
      || (status = switch_header (s, snapshot->disk_size, n, offset)) < 0)
    {
      VmCheckResult result = { 0 };

      qcow2_check_image (s, &result, VM_CHECK_FIX_LEAKS);
      return status;
    }
  old = s->l1;
  s->l1 = g_steal_pointer (&l1);
  qcow2_overlap_forget (s);
  s->l1_size = n;
  s->l1_offset = offset;
  s->size = snapshot->disk_size;
  s->l1_vm_state = (uint32_t) need;
  s->l1_dirty_from = s->l1_dirty_to = 0;
  if ((status = qcow2_update_references (s, old, old_n, -1)) < 0)
    return status;
  qcow2_free (s, old_offset, qcow2_clusters (s, old_n * UINT64_C (8)), FREE_SNAPSHOT);
  if ((status = qcow2_barrier (s)) < 0 || (status = qcow2_update_references (s, s->l1, s->l1_size, 0)) < 0)
    return status;
  l1_all_dirty (s);
  return qcow2_barrier (s);
}

bool
qcow2_snapshot_apply (VmNode *node, const char *id_or_name, GError **error)
{
  Qcow2 *s = node->state;
  Qcow2Snapshot *snapshot;
  uint64_t size = s->size;
  int status;

  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  snapshot = find (s, id_or_name, NULL);
  if (!snapshot)
    snapshot = find (s, NULL, id_or_name);
  status = snapshot ? end (s, apply_locked (s, snapshot, error)) : -ENOENT;
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  if (s->size != size)
    {
      node->size = s->size;
      vm_node_resized (node);
    }
  return status >= 0 || (error && *error) || fail (error, status, "Failed to load snapshot");
}

/* --- delete ----------------------------------------------------------------------------------- */

static int
delete_locked (Qcow2 *s, guint index, GError **error)
{
  Qcow2Snapshot *snapshot = s->snapshots->pdata[index];
  g_autofree uint64_t *l1 = NULL;
  uint64_t l1_offset = snapshot->l1_offset;
  uint32_t l1_size = snapshot->l1_size;
  int status;

  if ((status = begin (s)) < 0)
    return status;
  if (!(l1 = read_l1 (s, snapshot, l1_size, error)))
    return -EINVAL;
  snapshot = g_ptr_array_steal_index (s->snapshots, index);
  if ((status = qcow2_snapshots_write (s)) < 0)
    {
      g_ptr_array_insert (s->snapshots, (gint) index, snapshot);
      return status;
    }
  snapshot_free (snapshot);
  if ((status = qcow2_update_references (s, l1, l1_size, -1)) < 0)
    return status;
  if (l1_offset)
    qcow2_free (s, l1_offset, qcow2_clusters (s, l1_size * UINT64_C (8)), FREE_SNAPSHOT);
  /* What is left of it alone may be written in place again. */
  if ((status = qcow2_barrier (s)) < 0 || (status = qcow2_update_references (s, s->l1, s->l1_size, 0)) < 0)
    return status;
  l1_all_dirty (s);
  return qcow2_barrier (s);
}

bool
qcow2_snapshot_delete (VmNode *node, const char *id, const char *name, GError **error)
{
  Qcow2 *s = node->state;
  Qcow2Snapshot *snapshot;
  guint index;
  int status = -ENOENT;

  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  if ((snapshot = find (s, id, name)) && g_ptr_array_find (s->snapshots, snapshot, &index))
    status = end (s, delete_locked (s, index, error));
  else
    g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "Can't find the snapshot");
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  return status >= 0 || (error && *error) || fail (error, status, "Failed to remove snapshot");
}

/* --- rename ----------------------------------------------------------------------------------- */

/* The header points to the table of before or to the new one, and no reference but those to the tables changes: so the
 * image need not be marked meanwhile. */
static int
rename_locked (Qcow2 *s, Qcow2Snapshot *snapshot, const char *name)
{
  char *before = snapshot->name;
  int status;

  if ((status = qcow2_usable (s, true)) < 0 || (status = qcow2_begin_changes (s)) < 0)
    return status;
  snapshot->name = g_strdup (name);
  if ((status = qcow2_snapshots_write (s)) < 0)
    { /* the header may point there all the same: it is to name the old ones again */
      g_free (snapshot->name);
      snapshot->name = before;
      qcow2_snapshots_write (s);
      return status;
    }
  g_free (before);
  return qcow2_barrier (s);
}

bool
qcow2_snapshot_rename (VmNode *node, const char *id, const char *name, GError **error)
{
  Qcow2 *s = node->state;
  Qcow2Snapshot *snapshot;
  int status;

  if (strlen (name) > UINT16_MAX / 2)
    return fail (error, -EINVAL, "Snapshot name");
  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  snapshot = find (s, id, NULL);
  status = snapshot ? rename_locked (s, snapshot, name) : -ENOENT;
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  return status >= 0 || fail (error, status, "Failed to rename snapshot");
}

/* --- list and load ---------------------------------------------------------------------------- */

GPtrArray *
qcow2_snapshot_list (VmNode *node)
{
  Qcow2 *s = node->state;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_snapshot_info_free);

  for (guint i = 0; i < s->snapshots->len; i++)
    {
      const Qcow2Snapshot *from = s->snapshots->pdata[i];
      VmSnapshotInfo *info = g_new0 (VmSnapshotInfo, 1);

      *info = (VmSnapshotInfo){ .id = g_strdup (from->id),
                                .name = g_strdup (from->name),
                                .vm_state_size = from->vm_state_size,
                                .disk_size = from->disk_size,
                                .date_sec = from->date_sec,
                                .date_nsec = from->date_nsec,
                                .vm_clock_ns = from->vm_clock_ns,
                                .icount = from->icount };
      g_ptr_array_add (list, info);
    }
  return list;
}

bool
qcow2_snapshot_load (VmNode *node, const char *id, const char *name, GError **error)
{
  Qcow2 *s = node->state;
  const Qcow2Snapshot *snapshot = find (s, id, name);
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits), need;
  uint64_t *l1;

  if (!snapshot)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "Can't find snapshot");
      return false;
    }
  need = snapshot->disk_size / table_bytes + !!(snapshot->disk_size % table_bytes);
  if (!s->opened_readonly || need > MAX_L1_BYTES / 8)
    return fail (error, s->opened_readonly ? -EFBIG : -EINVAL, "Could not load snapshot");
  if (!(l1 = read_l1 (s, snapshot, (uint32_t) need, error)))
    return false;
  vm_fiber_rw_write (&s->gate);
  g_free (s->l1);
  s->l1 = l1;
  qcow2_overlap_forget (s);
  s->l1_size = MAX (snapshot->l1_size, (uint32_t) need);
  s->l1_offset = snapshot->l1_offset;
  s->l1_vm_state = (uint32_t) need;
  s->size = node->size = snapshot->disk_size;
  vm_fiber_rw_unlock (&s->gate);
  vm_node_resized (node);
  return true;
}
