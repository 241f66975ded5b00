/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Zeros and nothing: writing zeroes and discarding change only L2 entries, for whole (sub)clusters. */
#include "block/qcow2/qcow2-private.h"

/* What the entry of cluster GUEST becomes; subclusters FIRST to LAST are meant. */
typedef Qcow2Entry (*Change) (Qcow2 *s, Qcow2Entry e, uint64_t subs, const void *opaque);

/* Applies CHANGE to the entries of LEN bytes at OFFSET, both multiples of subclusters, which are freed as KIND says
 * when they lose their cluster. MAKE: where there is no L2 table too. With the lock. */
static int
change_entries (Qcow2 *s, uint64_t offset, uint64_t len, bool make, Qcow2Free kind, Change change, const void *opaque)
{
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits);
  int status = 0;

  while (len && status >= 0)
    {
      uint64_t n = len, l1 = qcow2_l1_index (s, offset);
      Qcow2Cached *slice;
      unsigned index, entries;
      bool dirty = false;

      if (qcow2_wait_allocations (s, offset, &n))
        continue;
      n = MIN (n, table_bytes - (offset & (table_bytes - 1)));
      if (!make && (l1 >= s->l1_size || !(s->l1[l1] & ENTRY_OFFSET)))
        {
          offset += n;
          len -= n;
          continue;
        }
      if ((status = qcow2_usable (s, true)) < 0 || (status = qcow2_l2_get (s, offset, true, &slice, &index)) < 0)
        return status;
      entries = (unsigned) (s->l2.piece / s->entry_size);
      while (n && index < entries && status >= 0)
        {
          uint64_t in_cluster = offset & (s->cluster_size - 1), part = MIN (n, s->cluster_size - in_cluster);
          uint64_t subs = VM_MASK ((in_cluster + part - 1) >> s->sub_bits, in_cluster >> s->sub_bits);
          Qcow2Entry old = qcow2_entry_load (s, slice->data, index), e;

          if ((status = qcow2_entry_check (s, old, offset)) < 0)
            break;
          e = change (s, old, subs, opaque);
          if (e.entry != old.entry || e.bitmap != old.bitmap)
            {
              qcow2_entry_store (s, slice->data, index, e);
              dirty = true;
              if ((old.entry & (ENTRY_OFFSET | ENTRY_COMPRESSED)) && !(e.entry & (ENTRY_OFFSET | ENTRY_COMPRESSED)))
                qcow2_entry_free (s, old, kind);
            }
          index++;
          offset += part;
          len -= part;
          n -= part;
        }
      if (dirty)
        qcow2_cache_dirty (&s->l2, slice);
      qcow2_cache_put (slice);
    }
  return status;
}

static uint64_t
all_subs (const Qcow2 *s)
{
  return s->sub_n == 32 ? UINT32_MAX : 1;
}

typedef struct ZeroHow
{
  bool unmap, keep;
} ZeroHow;

static Qcow2Entry
entry_zero (Qcow2 *s, Qcow2Entry e, uint64_t subs, const void *opaque)
{
  const ZeroHow *how = opaque;
  uint64_t all = all_subs (s);

  if (e.entry & ENTRY_COMPRESSED)
    return (Qcow2Entry){ 0, all << 32 }; /* only ever asked for as a whole */
  if (!(e.entry & ENTRY_OFFSET) && !qcow2_external (s) && !qcow2_backing (s) && !(e.bitmap & UINT32_MAX))
    return e; /* unallocated and zeros anyway */
  e.bitmap = (e.bitmap | subs << 32) & ~subs;
  if (qcow2_external (s))
    return e;
  /* All zeros: the cluster itself is not needed. A shared one must not stay, since it is not ours to keep. */
  if (e.entry & ENTRY_OFFSET && !(e.bitmap & UINT32_MAX) && (e.bitmap >> 32 == all || !how->keep)
      && (!(e.entry & ENTRY_COPIED) || (how->unmap && !how->keep && e.bitmap >> 32 == all)))
    e.entry = 0;
  return e;
}

/* COMPRESSED or shared clusters of which only some subclusters become zeros cannot just be marked. */
int
qcow2_zero_at (Qcow2 *s, uint64_t offset, uint64_t len, bool unmap)
{
  ZeroHow how = { unmap, s->discard_no_unref };

  return change_entries (s, offset, len, qcow2_backing (s) || qcow2_external (s), FREE_REQUEST, entry_zero, &how);
}

typedef struct DiscardHow
{
  bool full; /* what is below shows again */
  bool keep;
} DiscardHow;

static Qcow2Entry
entry_discard (Qcow2 *s, Qcow2Entry e, uint64_t subs, const void *opaque)
{
  const DiscardHow *how = opaque;
  uint64_t all = all_subs (s);
  bool zero = !how->full && s->version >= 3 && (qcow2_backing (s) || e.bitmap >> 32);

  if (subs != all)
    return e;
  if (!(e.entry & (ENTRY_OFFSET | ENTRY_COMPRESSED)) && (!e.bitmap || (e.bitmap >> 32 == all && !how->full))
      && !(qcow2_external (s) && e.entry & ENTRY_COPIED))
    return !e.bitmap && zero ? (Qcow2Entry){ 0, all << 32 } : e;
  if (how->keep && e.entry & ENTRY_COPIED && s->version >= 3 && !how->full && !(e.entry & ENTRY_COMPRESSED))
    return (Qcow2Entry){ e.entry, all << 32 };
  return (Qcow2Entry){ 0, zero ? all << 32 : 0 };
}

int
qcow2_discard_at (Qcow2 *s, uint64_t offset, uint64_t len, Qcow2Free kind, bool full)
{
  DiscardHow how = { full, s->discard_no_unref };

  /* What the backing file holds must not show where something was discarded. */
  return change_entries (s, offset, len, !full && s->version >= 3 && qcow2_backing (s), kind, entry_discard, &how);
}

/* --- requests --------------------------------------------------------------------------------------------------------
 */

static int
write_zero_bytes (Qcow2 *s, uint64_t offset, uint64_t len)
{
  int status = 0;

  if (!len || qcow2_reads_zero (s, offset, len))
    return 0;
  for (uint64_t done = 0; status >= 0 && done < len; done += VM_ZEROS_SIZE)
    {
      struct iovec iov;
      status = qcow2_write_at (s, offset + done, vm_vec_buffer (&iov, vm_zeros, MIN (len - done, VM_ZEROS_SIZE)));
    }
  return status;
}

/* Whether single subclusters can be marked at OFFSET: not in compressed clusters, nor where others share it. */
static bool
can_mark_part (Qcow2 *s, uint64_t offset)
{
  Qcow2Map map;

  return qcow2_map (s, offset, 1, &map) >= 0 && map.kind != KIND_COMPRESSED;
}

static int
zero_middle (Qcow2 *s, uint64_t offset, uint64_t len, unsigned flags)
{
  int status;

  vm_fiber_mutex_lock (&s->lock);
  if ((status = qcow2_begin_changes (s)) >= 0)
    status = qcow2_zero_at (s, offset, len, flags & VM_REQ_UNMAP);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

static int
zero_guarded (Qcow2 *s, uint64_t offset, uint64_t len, unsigned flags)
{
  uint64_t end = offset + len, granule = VM_BIT (s->sub_bits), begin = VM_ALIGN_UP (offset, granule), stop;
  int status;

  /* What lies behind the end of the disk may be zeros too. */
  stop = end >= s->size ? VM_ALIGN_UP (end, granule) : VM_ALIGN_DOWN (end, granule);
  if (s->autoclear & AUTOCLEAR_RAW
      && (status = vm_node_write_zeroes (qcow2_data (s), offset, len, flags & VM_REQ_UNMAP)) < 0)
    return status;
  if (s->sub_n > 1 && begin < stop)
    { /* parts of compressed clusters are written as data, up to the next cluster */
      if (begin & (s->cluster_size - 1) && !can_mark_part (s, begin))
        begin = MIN (VM_ALIGN_UP (begin, s->cluster_size), stop);
      if (begin < stop && stop & (s->cluster_size - 1) && !can_mark_part (s, stop - 1))
        stop = MAX (VM_ALIGN_DOWN (stop, s->cluster_size), begin);
    }
  if (begin >= stop)
    return write_zero_bytes (s, offset, len);
  if ((status = write_zero_bytes (s, offset, begin - offset)) < 0)
    return status;
  if (end > stop && (status = write_zero_bytes (s, stop, end - stop)) < 0)
    return status;
  return zero_middle (s, begin, stop - begin, flags);
}

int
qcow2_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  Qcow2 *s = node->state;
  int status = qcow2_usable (s, true);
  unsigned epoch;

  if (status < 0)
    return status;
  vm_fiber_rw_read (&s->gate);
  epoch = qcow2_enter (s);
  if (s->version >= 3)
    status = zero_guarded (s, offset, len, flags);
  else if (qcow2_backing (s) || !qcow2_reads_zero (s, offset, len)) /* zeros of the backing file are not ours */
    status = -ENOTSUP;
  qcow2_leave (s, epoch);
  qcow2_reclaim (s);
  vm_fiber_rw_unlock (&s->gate);
  return status;
}

int
qcow2_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  Qcow2 *s = node->state;
  uint64_t end = offset + len, begin = VM_ALIGN_UP (offset, s->cluster_size);
  int status = qcow2_usable (s, true);
  unsigned epoch;

  end = end >= s->size ? VM_ALIGN_UP (end, s->cluster_size) : VM_ALIGN_DOWN (end, s->cluster_size);
  if (status < 0 || begin >= end)
    return status;
  /* In version 2 nothing can hide what the backing file holds. */
  if (s->version < 3 && qcow2_backing (s))
    return 0;
  vm_fiber_rw_read (&s->gate);
  epoch = qcow2_enter (s);
  if (s->autoclear & AUTOCLEAR_RAW) /* the disk reads as zeros there, and so must the file alone */
    status = vm_node_write_zeroes (qcow2_data (s), begin, MIN (end, s->size) - begin, VM_REQ_UNMAP);
  vm_fiber_mutex_lock (&s->lock);
  if (status >= 0 && (status = qcow2_begin_changes (s)) >= 0)
    status = qcow2_discard_at (s, begin, end - begin, FREE_REQUEST, false);
  vm_fiber_mutex_unlock (&s->lock);
  if (status >= 0 && qcow2_external (s) && s->pass_discard[FREE_REQUEST] && !(s->autoclear & AUTOCLEAR_RAW))
    status = vm_node_discard (qcow2_data (s), begin, MIN (end, s->size) - begin);
  qcow2_leave (s, epoch);
  qcow2_reclaim (s);
  vm_fiber_rw_unlock (&s->gate);
  return status;
}

/* All of this layer: what is below shows again. */
int
qcow2_make_empty (VmNode *node)
{
  Qcow2 *s = node->state;
  int status;

  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_EMPTY_IMAGE_PREPARE);
  if ((status = qcow2_usable (s, true)) >= 0 && (status = qcow2_begin_changes (s)) >= 0
      && (status = qcow2_discard_at (s, 0, VM_ALIGN_UP (s->size, s->cluster_size), FREE_SNAPSHOT, true)) >= 0)
    status = qcow2_barrier (s);
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  return status;
}
