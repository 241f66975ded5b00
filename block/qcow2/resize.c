/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other sizes of qcow2 disks, and preallocation. */
#include "block/qcow2/qcow2-private.h"

static bool
fail (GError **error, int status, const char *what)
{
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "%s: %s", what, g_strerror (-status));
  return false;
}

static uint64_t
tables_for (const Qcow2 *s, uint64_t size)
{
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits);

  return size / table_bytes + !!(size % table_bytes);
}

/* --- preallocation --------------------------------------------------------------------------------------------- */

/* Clusters for the disk from FROM to TO, which read as what is there now. */
static int
allocate_range (Qcow2 *s, uint64_t from, uint64_t to)
{
  uint64_t at = VM_ALIGN_UP (from, s->cluster_size), end = VM_ALIGN_UP (to, s->cluster_size);
  int status = 0;

  while (at < end && status >= 0)
    {
      Qcow2Cached *slice;
      unsigned index, n;
      uint64_t host, got, want;
      bool fresh;

      if ((status = qcow2_l2_get (s, at, true, &slice, &index)) < 0)
        break;
      n = (unsigned) (s->l2.piece / s->entry_size) - index;
      want = MIN (n, (end - at) >> s->cluster_bits);
      if (qcow2_external (s))
        {
          host = at;
          got = want;
          fresh = true;
        }
      else
        status = qcow2_allocate (s, want, false, &host, &got, &fresh);
      for (uint64_t i = 0; i < got && status >= 0; i++)
        {
          Qcow2Entry e = { (host + i * s->cluster_size) | ENTRY_COPIED, s->sub_n == 32 ? UINT32_MAX : 1 };

          if (qcow2_backing (s) || s->backing_name)
            e.bitmap = 0; /* with subclusters only: what is below shows */
          else if (!fresh || s->crypt)
            e.bitmap <<= 32; /* reads as zeros, whatever is in the clusters */
          qcow2_entry_store (s, slice->data, index + (unsigned) i, e);
        }
      qcow2_cache_dirty (&s->l2, slice);
      qcow2_cache_put (slice);
      s->unflushed = true;
      at += got << s->cluster_bits;
    }
  return status;
}

static int
preallocate (Qcow2 *s, uint64_t from, uint64_t to, VmPreallocation mode, GError **error)
{
  VmNode *file = qcow2_file (s), *data = qcow2_data (s);
  uint64_t clusters = qcow2_clusters (s, to) - from / s->cluster_size;
  uint64_t per_block = VM_BIT (s->cluster_bits + 3 - s->refcount_order), more;
  int status;

  if (mode == VM_PREALLOC_OFF)
    return 0;
  if (data != file)
    {
      if ((status = vm_node_truncate (data, to, false, mode == VM_PREALLOC_METADATA ? VM_PREALLOC_OFF : mode, 0, error))
          < 0)
        return status;
    }
  else if (mode != VM_PREALLOC_METADATA)
    { /* room for all of it at once; what is new in the file reads as zeros */
      more = clusters + tables_for (s, to) - tables_for (s, from) + 1;
      more += more / per_block + 1 + qcow2_clusters (s, tables_for (s, to) * 8);
      if ((status = vm_node_truncate (file, s->high + (more << s->cluster_bits), false, mode, 0, error)) < 0)
        return status;
    }
  if ((status = allocate_range (s, from, to)) < 0)
    {
      fail (error, status, "Could not preallocate");
      return status;
    }
  if (data == file && file->size < s->high
      && (status = vm_node_truncate (file, s->high, false, VM_PREALLOC_OFF, 0, error)) < 0)
    return status;
  return 0;
}

/* --- grow and shrink ---------------------------------------------------------------------------------------------- */

static int
header_set_size (Qcow2 *s, uint64_t size)
{
  uint8_t bytes[8];

  vm_store_be64 (bytes, size);
  return qcow2_meta_write (s, HEADER_SIZE, bytes, 8, OVERLAP_MAIN_HEADER);
}

/* What is between the old end and the end of its cluster, and what the backing file has behind it, must not show. */
static int
clear_behind (Qcow2 *s, uint64_t from, uint64_t to)
{
  VmNode *backing = qcow2_backing (s);
  uint64_t edge = MIN (VM_ALIGN_UP (from, s->cluster_size), to), granule = VM_BIT (s->sub_bits);
  uint64_t end = backing ? MIN (to, VM_ALIGN_UP (backing->size, granule)) : 0;
  int status = 0;

  if (edge > from && !qcow2_reads_zero (s, from, edge - from))
    {
      g_autofree uint8_t *zeros = g_malloc0 (edge - from);
      struct iovec iov;

      status = qcow2_write_at (s, from, vm_vec_buffer (&iov, zeros, edge - from));
    }
  if (status < 0 || end <= edge)
    return status;
  if (s->version < 3)
    { /* no zero clusters there */
      g_autofree uint8_t *zeros = g_malloc0 (s->cluster_size);

      for (uint64_t at = edge; at < end && status >= 0; at += s->cluster_size)
        {
          struct iovec iov;

          status = qcow2_write_at (s, at, vm_vec_buffer (&iov, zeros, MIN (s->cluster_size, end - at)));
        }
      return status;
    }
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_zero_at (s, edge, VM_ALIGN_UP (end - edge, granule), true);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

static bool
grow (Qcow2 *s, uint64_t size, VmPreallocation prealloc, GError **error)
{
  uint64_t old = s->size, tables = tables_for (s, size);
  VmNode *data = qcow2_data (s);
  int status;

  if (tables > MAX_L1_BYTES / 8)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                           "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
      return false;
    }
  if (prealloc != VM_PREALLOC_OFF && prealloc != VM_PREALLOC_METADATA && data != qcow2_file (s) && data->size > size)
    prealloc = VM_PREALLOC_METADATA;
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_begin_changes (s);
  if (status >= 0)
    status = qcow2_l1_grow (s, tables);
  if (status >= 0 && data != qcow2_file (s) && data->size < size)
    status = vm_node_truncate (data, size, false, VM_PREALLOC_OFF, 0, NULL);
  if (status >= 0)
    s->l1_vm_state = (uint32_t) tables;
  vm_fiber_mutex_unlock (&s->lock);
  if (status < 0 || (status = clear_behind (s, old, size)) < 0)
    return fail (error, status, "Failed to grow the image");
  vm_fiber_mutex_lock (&s->lock);
  status = preallocate (s, old, size, prealloc, error);
  if (status >= 0 && (status = qcow2_write_back (s)) >= 0 && (status = header_set_size (s, size)) >= 0)
    s->size = size;
  vm_fiber_mutex_unlock (&s->lock);
  return status >= 0 || (error && *error) || fail (error, status, "Failed to grow the image");
}

/* The last cluster in use, to cut the file off behind it. */
static uint64_t
last_used (Qcow2 *s, uint64_t clusters)
{
  uint64_t count;

  while (clusters > 1 && qcow2_refcount (s, clusters - 1, &count) >= 0 && !count)
    clusters--;
  return clusters;
}

static int
shrink_locked (Qcow2 *s, uint64_t size)
{
  uint64_t begin = VM_ALIGN_UP (size, s->cluster_size), end = VM_ALIGN_UP (s->size, s->cluster_size),
           tables = tables_for (s, size);
  VmNode *file = qcow2_file (s);
  int status;

  if ((status = qcow2_begin_changes (s)) < 0 || (status = header_set_size (s, size)) < 0
      || (status = qcow2_meta_flush (s)) < 0)
    return status;
  s->size = size;
  if ((status = qcow2_discard_at (s, begin, end - begin, FREE_ALWAYS, true)) < 0)
    return status;
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_SHRINK_FREE_L2_CLUSTERS);
  /* Tables that describe nothing of the disk; those behind are the machines' states. */
  for (uint64_t i = tables; i < MIN (s->l1_vm_state, s->l1_size); i++)
    if (s->l1[i] & ENTRY_OFFSET)
      {
        qcow2_free (s, s->l1[i] & ENTRY_OFFSET, 1, FREE_ALWAYS);
        s->l1[i] = 0;
        s->l1_dirty_from = 0;
        s->l1_dirty_to = s->l1_size;
      }
  s->l1_vm_state = (uint32_t) tables;
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_SHRINK_WRITE_TABLE);
  if ((status = qcow2_barrier (s)) < 0)
    return status;
  if (qcow2_external (s))
    return vm_node_truncate (qcow2_data (s), size, false, VM_PREALLOC_OFF, 0, NULL);
  if ((status = qcow2_write_back (s)) >= 0)
    {
      uint64_t used = last_used (s, qcow2_clusters (s, file->size)) << s->cluster_bits;

      if (used < file->size) /* a file that cannot be cut is only too long */
        vm_node_truncate (file, used, false, VM_PREALLOC_OFF, 0, NULL);
    }
  return status;
}

bool
qcow2_resize (Qcow2 *s, uint64_t size, VmPreallocation prealloc, GError **error)
{
  int status;

  if (size >= s->size)
    return grow (s, size, prealloc, error);
  if (prealloc != VM_PREALLOC_OFF)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                           "Preallocation can't be used for shrinking an image");
      return false;
    }
  vm_fiber_mutex_lock (&s->lock);
  status = shrink_locked (s, size);
  vm_fiber_mutex_unlock (&s->lock);
  return status >= 0 || fail (error, status, "Failed to shrink the image");
}

int
qcow2_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  Qcow2 *s = node->state;
  bool ok;
  int status = qcow2_usable (s, true);

  if (status < 0 || size > INT64_MAX - s->cluster_size)
    {
      fail (error, status < 0 ? status : -EFBIG, "Failed to resize the image");
      return status < 0 ? status : -EFBIG;
    }
  if (size & 511)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "The new size must be a multiple of 512");
      return -EINVAL;
    }
  if (s->version < 3 && s->snapshots->len)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Can't resize a v2 image which has snapshots");
      return -ENOTSUP;
    }
  vm_fiber_rw_write (&s->gate);
  ok = qcow2_resize (s, size, prealloc, error);
  node->size = s->size;
  vm_fiber_rw_unlock (&s->gate);
  return ok ? 0 : -EIO;
}
