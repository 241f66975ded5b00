/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing qcow2 images: in place where a cluster is ours alone, else into new clusters that are filled up with what was
 * there before. The L2 table learns of them when they hold what they must. */
#include "block/qcow2/qcow2-private.h"

#define FREED_BYTES (64 * VM_MIB) /* so much may wait to become free before we see to it */

/* --- epochs and order between requests ------------------------------------------------------------------------ */

unsigned
qcow2_enter (Qcow2 *s)
{
  s->users[s->epoch]++;
  return s->epoch;
}

void
qcow2_leave (Qcow2 *s, unsigned epoch)
{
  s->users[epoch]--;
}

int
qcow2_usable (const Qcow2 *s, bool write)
{
  return s->broken ? -EIO : write && s->incompatible & INCOMPATIBLE_CORRUPT ? -EIO : 0;
}

bool
qcow2_wait_allocations (Qcow2 *s, uint64_t offset, uint64_t *len)
{
  for (GList *l = s->allocations.head; l; l = l->next)
    {
      Qcow2Allocation *a = l->data;

      if (offset + *len <= a->offset || offset >= a->offset + a->len)
        continue;
      if (offset < a->offset)
        {
          *len = a->offset - offset;
          continue;
        }
      vm_fiber_mutex_unlock (&s->lock);
      vm_fiber_queue_wait (&a->waiting);
      vm_fiber_mutex_lock (&s->lock);
      return true;
    }
  return false;
}

/* --- the plan of a step ---------------------------------------------------------------------------------------- */

typedef struct Plan
{
  uint64_t offset, len;        /* of the guest, what this step writes */
  uint64_t host;               /* of OFFSET */
  uint64_t cow_begin, cow_end; /* around it: all that will be in the clusters; guest offsets */
  bool in_place;               /* nothing but the write */
  bool fresh;                  /* the clusters read as zeros */
  bool owned;                  /* the clusters were there, and are kept */
  Qcow2Allocation allocation;
} Plan;

/* How the cluster of entry E can be written. */
typedef enum Way
{
  WAY_IN_PLACE,
  WAY_REUSE,
  WAY_NEW
} Way;

static Way
way_of (const Qcow2 *s, Qcow2Entry e, uint64_t first_sub, uint64_t last_sub)
{
  uint64_t subs = VM_MASK (last_sub, first_sub);

  if (e.entry & ENTRY_COMPRESSED || !(e.entry & ENTRY_COPIED) || (!(e.entry & ENTRY_OFFSET) && !qcow2_external (s)))
    return WAY_NEW;
  return (e.bitmap & subs) == subs ? WAY_IN_PLACE : WAY_REUSE;
}

/* The subclusters of cluster number I of the LEN bytes at OFFSET that are touched. */
static void
touched (const Qcow2 *s, uint64_t offset, uint64_t len, uint64_t cluster, uint64_t *first, uint64_t *last)
{
  uint64_t begin = MAX (offset, cluster), end = MIN (offset + len, cluster + s->cluster_size);

  *first = (begin - cluster) >> s->sub_bits;
  *last = (end - 1 - cluster) >> s->sub_bits;
}

/* Whether subcluster SUB must be filled up when it is written in part: not when it is there already in the same place.
 */
static void
plan_cow (const Qcow2 *s, Plan *p, Qcow2Entry head, Qcow2Entry tail)
{
  uint64_t sub = VM_BIT (s->sub_bits), end = p->offset + p->len;
  uint64_t head_sub = p->offset >> s->sub_bits & (s->sub_n - 1), tail_sub = (end - 1) >> s->sub_bits & (s->sub_n - 1);
  /* Data in other subclusters moves too, when the cluster does. */
  bool head_moves = !p->owned && (head.entry & ENTRY_COMPRESSED || head.bitmap & UINT32_MAX);
  bool tail_moves = !p->owned && (tail.entry & ENTRY_COMPRESSED || tail.bitmap & UINT32_MAX);

  p->cow_begin = VM_ALIGN_DOWN (p->offset, head_moves ? s->cluster_size : sub);
  p->cow_end = VM_ALIGN_UP (end, tail_moves ? s->cluster_size : sub);
  if (p->owned && head.bitmap & VM_BIT (head_sub))
    p->cow_begin = p->offset;
  if (p->owned && tail.bitmap & VM_BIT (tail_sub))
    p->cow_end = end;
  if (qcow2_external (s)) /* that file has the size of the disk */
    p->cow_end = MIN (p->cow_end, MAX (end, s->size));
}

/* Decides on as much of LEN bytes at OFFSET as can be done in one step. With the lock. */
static int
plan_make (Qcow2 *s, uint64_t offset, uint64_t len, Plan *p)
{
  uint64_t cluster = VM_ALIGN_DOWN (offset, s->cluster_size), span, n = 0, got = 0, first, last, slice_room, host = 0;
  Qcow2Cached *slice;
  Qcow2Entry e, head, tail;
  unsigned index;
  Way way;
  int status = qcow2_l2_get (s, offset, true, &slice, &index);

  if (status < 0)
    return status;
  slice_room = (s->l2.piece / s->entry_size - index) * s->cluster_size;
  len = MIN (len, cluster + slice_room - offset);
  span = qcow2_clusters (s, offset + len - cluster);
  touched (s, offset, len, cluster, &first, &last);
  head = tail = e = qcow2_entry_load (s, slice->data, index);
  if ((status = qcow2_entry_check (s, e, offset)) < 0)
    goto out;
  way = way_of (s, e, first, last);
  host = e.entry & ENTRY_OFFSET;
  for (n = 1; n < span; n++)
    {
      uint64_t at = cluster + n * s->cluster_size;

      e = qcow2_entry_load (s, slice->data, index + (unsigned) n);
      touched (s, offset, len, at, &first, &last);
      if (way_of (s, e, first, last) != way
          || (way != WAY_NEW && (e.entry & ENTRY_OFFSET) != host + n * s->cluster_size))
        break;
      tail = e;
    }
  *p = (Plan){ .offset = offset, .in_place = way == WAY_IN_PLACE, .owned = way == WAY_REUSE };
  if (way == WAY_NEW)
    {
      if (qcow2_external (s))
        host = cluster;
      else
        {
          if (s->lazy && (status = qcow2_mark_dirty (s)) < 0)
            goto out;
          if ((status = qcow2_allocate (s, n, false, &host, &got, &p->fresh)) < 0)
            goto out;
          if (!host)
            {
              qcow2_corrupt (s, true, -1, -1, "Preventing invalid allocation of data cluster at offset 0");
              status = -EIO;
              goto out;
            }
          n = MIN (n, got);
          tail = qcow2_entry_load (s, slice->data, index + (unsigned) n - 1);
        }
    }
  else if (host & (s->cluster_size - 1))
    {
      qcow2_corrupt (s, true, -1, -1, "Data cluster offset %#" PRIx64 " unaligned (guest offset: %" PRIx64 ")", host,
                     cluster);
      status = -EIO;
      goto out;
    }
  p->len = MIN (offset + len, cluster + n * s->cluster_size) - offset;
  p->host = host + (offset - cluster);
  p->allocation = (Qcow2Allocation){ .offset = cluster, .len = n * s->cluster_size };
  plan_cow (s, p, head, tail);
out:
  qcow2_cache_put (slice);
  return status;
}

/* --- data ------------------------------------------------------------------------------------------------------- */

/* What was there before, or will be zeros. */
static int
cow_read (Qcow2 *s, uint64_t from, uint64_t to, uint8_t *buffer)
{
  struct iovec iov;

  if (from < to)
    qcow2_event (s, VMQ_BLKDEBUG_EVENT_COW_READ);
  return from < to ? qcow2_read_at (s, from, vm_vec_buffer (&iov, buffer, to - from)) : 0;
}

static int
write_host (Qcow2 *s, uint64_t host, uint64_t guest, VmVec vec)
{
  g_autofree uint8_t *buffer = NULL;
  struct iovec iov;
  int status;

  if (!qcow2_external (s) && (status = qcow2_check_overlap (s, 0, host, vec.size)) < 0)
    return status;
  vm_node_event (qcow2_data (s), VMQ_BLKDEBUG_EVENT_WRITE_AIO);
  if (!s->crypt)
    return vm_node_write (qcow2_data (s), host, vec, 0);
  if (!(buffer = g_try_malloc (vec.size)))
    return -ENOMEM;
  vm_vec_read (vec, 0, buffer, vec.size);
  if ((status = qcow2_encrypt (s, host, guest, buffer, vec.size)) < 0)
    return status;
  return vm_node_write (qcow2_data (s), host, vm_vec_buffer (&iov, buffer, vec.size), 0);
}

/* VEC between HEAD and TAIL bytes, one write. */
static int
write_joined (Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *head, size_t head_len, VmVec vec, uint8_t *tail,
              size_t tail_len)
{
  g_autoptr (GArray) iov = g_array_new (FALSE, FALSE, sizeof (struct iovec));
  struct iovec some[16];

  if (head_len)
    g_array_append_vals (iov, &(struct iovec){ head, head_len }, 1);
  while (vec.size)
    g_array_append_vals (iov, some, vm_vec_take (&vec, some, G_N_ELEMENTS (some)));
  if (tail_len)
    g_array_append_vals (iov, &(struct iovec){ tail, tail_len }, 1);
  return write_host (s, host, guest, vm_vec ((struct iovec *) iov->data, iov->len));
}

static int
plan_write (Qcow2 *s, const Plan *p, VmVec vec)
{
  size_t head_len = p->offset - p->cow_begin, tail_len = p->cow_end - p->offset - p->len;
  g_autofree uint8_t *head = NULL, *tail = NULL;
  int status;

  if (!head_len && !tail_len)
    return write_host (s, p->host, p->offset, vec);
  /* Nothing was ever written there: what surrounds the data is zeros by itself. */
  if (p->fresh && !s->crypt)
    {
      if (head_len && qcow2_reads_zero (s, p->cow_begin, head_len))
        head_len = 0;
      if (tail_len && qcow2_reads_zero (s, p->offset + p->len, tail_len))
        tail_len = 0;
    }
  if (!(head = g_try_malloc (head_len + 1)) || !(tail = g_try_malloc (tail_len + 1)))
    return -ENOMEM;
  if ((status = cow_read (s, p->offset - head_len, p->offset, head)) < 0
      || (status = cow_read (s, p->offset + p->len, p->offset + p->len + tail_len, tail)) < 0)
    return status;
  if (head_len || tail_len)
    qcow2_event (s, VMQ_BLKDEBUG_EVENT_COW_WRITE);
  return write_joined (s, p->host - head_len, p->offset - head_len, head, head_len, vec, tail, tail_len);
}

/* --- L2 --------------------------------------------------------------------------------------------------------- */

static int
plan_link (Qcow2 *s, const Plan *p)
{
  uint64_t n = p->allocation.len >> s->cluster_bits, first, last;
  Qcow2Cached *slice;
  unsigned index;
  int status = qcow2_l2_get (s, p->offset, true, &slice, &index);

  if (status < 0)
    return status;
  for (uint64_t i = 0; i < n; i++)
    {
      uint64_t cluster = p->allocation.offset + i * s->cluster_size;
      uint64_t host = p->host - (p->offset - p->allocation.offset) + i * s->cluster_size, subs;
      Qcow2Entry old = qcow2_entry_load (s, slice->data, index + (unsigned) i), e = { host | ENTRY_COPIED, old.bitmap };

      touched (s, p->cow_begin, p->cow_end - p->cow_begin, cluster, &first, &last);
      subs = VM_MASK (last, first);
      if (!p->owned)
        { /* no data of the old one that is not in the new one */
          qcow2_entry_free (s, old, FREE_OTHER);
          e.bitmap &= ~(uint64_t) UINT32_MAX;
          if (old.entry & ENTRY_COMPRESSED)
            e.bitmap = 0;
        }
      e.bitmap = (e.bitmap & ~(subs << 32)) | subs;
      qcow2_entry_store (s, slice->data, index + (unsigned) i, e);
    }
  qcow2_cache_dirty (&s->l2, slice);
  s->unflushed = true;
  qcow2_cache_put (slice);
  return 0;
}

static int
plan_run (Qcow2 *s, Plan *p, VmVec vec)
{
  Qcow2Allocation *a = &p->allocation;
  int status;

  if (p->in_place)
    {
      vm_fiber_mutex_unlock (&s->lock);
      status = write_host (s, p->host, p->offset, vec);
      vm_fiber_mutex_lock (&s->lock);
      return status;
    }
  a->link.data = a;
  g_queue_push_tail_link (&s->allocations, &a->link);
  vm_fiber_mutex_unlock (&s->lock);
  status = plan_write (s, p, vec);
  vm_fiber_mutex_lock (&s->lock);
  if (status >= 0)
    status = plan_link (s, p);
  if (status < 0 && !p->owned && !qcow2_external (s))
    qcow2_free_now (s, p->host - (p->offset - a->offset), a->len >> s->cluster_bits);
  g_queue_unlink (&s->allocations, &a->link);
  vm_fiber_queue_wake_all (&a->waiting);
  return status;
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */

int
qcow2_write_at (Qcow2 *s, uint64_t offset, VmVec vec)
{
  size_t done = 0;
  int status = 0;

  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_begin_changes (s);
  while (done < vec.size && status >= 0)
    {
      uint64_t len = vec.size - done;
      Plan p;

      if (qcow2_wait_allocations (s, offset + done, &len))
        continue;
      if ((status = qcow2_usable (s, true)) < 0 || (status = plan_make (s, offset + done, len, &p)) < 0)
        break;
      status = plan_run (s, &p, vm_vec_slice (vec, done, p.len));
      done += p.len;
    }
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

/* What was set free is given back now and then. */
void
qcow2_reclaim (Qcow2 *s)
{
  if (s->freed_clusters << s->cluster_bits < FREED_BYTES)
    return;
  vm_fiber_mutex_lock (&s->lock);
  if (s->freed_clusters << s->cluster_bits >= FREED_BYTES && qcow2_barrier (s) < 0)
    s->freed_clusters = 0; /* counts anew; the next flush reports what is wrong */
  vm_fiber_mutex_unlock (&s->lock);
}

static int
write_guarded (Qcow2 *s, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = qcow2_usable (s, true);
  unsigned epoch;

  if (status < 0)
    return status;
  vm_fiber_rw_read (&s->gate);
  epoch = qcow2_enter (s);
  status = flags & VM_REQ_COMPRESSED ? qcow2_write_compressed (s, offset, vec) : qcow2_write_at (s, offset, vec);
  qcow2_leave (s, epoch);
  qcow2_reclaim (s);
  vm_fiber_rw_unlock (&s->gate);
  return status;
}

int
qcow2_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return write_guarded (node->state, offset, vec, flags);
}

int
qcow2_vmstate_write (VmNode *node, uint64_t offset, VmVec vec)
{
  Qcow2 *s = node->state;
  uint64_t base = (uint64_t) s->l1_vm_state << (s->cluster_bits + s->l2_bits);

  qcow2_event (s, VMQ_BLKDEBUG_EVENT_VMSTATE_SAVE);
  return offset > INT64_MAX - base - vec.size ? -EFBIG : write_guarded (s, base + offset, vec, 0);
}
