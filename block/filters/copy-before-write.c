/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Before a part of the disk below is changed for the first time, what it holds is copied to the target: both together
 * have the disk as it was when this node was put in. */
#include "block/filters/cbw.h"

#include "block/bitmap.h"
#include "block/graph-private.h"
#include "engine/schema/types.h"

#include <errno.h>

#define CLUSTER 65536
#define CHUNK ((uint64_t) VM_MIB)

/* Bytes that are read for the snapshot, or copied: others wait. */
typedef struct Range
{
  GList link; /* data is this */
  uint64_t start, end;
  bool reading;
  VmFiberQueue waiting;
} Range;

typedef struct Cbw
{
  VmEdge *target;
  VmDirtyBitmap *todo;  /* not copied yet, and still wanted */
  VmDirtyBitmap *known; /* what the snapshot has at all */
  VmqOnCbwError on_error;
  int64_t timeout; /* seconds; 0: none */
  int broken;      /* the first error of a copy, when guests go on all the same */
  GQueue ranges;
} Cbw;

/* --- ranges ------------------------------------------------------------------------------------------------- */

/* Reads do not disturb each other. */
static Range *
find_overlap (const Cbw *s, const Range *self)
{
  for (GList *l = s->ranges.head; l; l = l->next)
    {
      Range *other = l->data;
      if (!(self->reading && other->reading) && self->start < other->end && other->start < self->end)
        return other;
    }
  return NULL;
}

static void
range_enter (Cbw *s, Range *range, uint64_t start, uint64_t end, bool reading)
{
  Range *other;

  *range = (Range){ .link.data = range, .start = start, .end = end, .reading = reading };
  while ((other = find_overlap (s, range)))
    vm_fiber_queue_wait (&other->waiting);
  g_queue_push_tail_link (&s->ranges, &range->link);
}

static void
range_leave (Cbw *s, Range *range)
{
  g_queue_unlink (&s->ranges, &range->link);
  vm_fiber_queue_wake_all (&range->waiting);
}

/* --- copying ------------------------------------------------------------------------------------------------ */

typedef struct Copy
{
  VmNode *node;
  uint64_t offset, len;
  int status;
  bool done, left; /* LEFT: who asked for it waits no more */
  VmFiberQueue waiting;
  Range range;
} Copy;

static int
copy_bytes (VmNode *node, uint64_t offset, uint64_t len)
{
  Cbw *s = node->state;
  g_autofree void *buffer = g_try_malloc (MIN (len, CHUNK));
  VmNode *from = node->file->node, *to = s->target->node;
  VmExtent extent;
  struct iovec iov;
  int status = buffer ? 0 : -ENOMEM;

  for (uint64_t n; status >= 0 && len; offset += n, len -= n)
    {
      n = MIN (len, CHUNK);
      status = vm_node_status_above (from, NULL, offset, n, &extent);
      if (status < 0)
        break;
      n = MIN (n, extent.len);
      if (extent.flags & VM_EXTENT_ZERO)
        status = vm_node_write_zeroes (to, offset, n, VM_REQ_UNMAP);
      else if ((status = vm_node_pread (from, offset, buffer, n)) >= 0)
        status = vm_node_write (to, offset, vm_vec_buffer (&iov, buffer, n), 0);
    }
  return status;
}

static int
copy_todo (Copy *copy)
{
  Cbw *s = copy->node->state;
  uint64_t end = copy->offset + copy->len, at = copy->offset, len;
  int status = 0;

  while (status >= 0 && !s->broken && vm_bitmap_next_dirty (s->todo, &at, end, CHUNK, &len))
    if ((status = copy_bytes (copy->node, at, len)) >= 0)
      vm_bitmap_clear (s->todo, at, len);
  return status;
}

static void
copy_free (Copy *copy)
{
  range_leave (copy->node->state, &copy->range);
  vm_node_end (copy->node);
  g_free (copy);
}

static void
copy_run (void *opaque)
{
  Copy *copy = opaque;

  copy->status = copy_todo (copy);
  copy->done = true;
  if (copy->left)
    copy_free (copy);
  else
    vm_fiber_queue_wake_all (&copy->waiting);
}

static void
copy_alarm (void *opaque)
{
  vm_fiber_queue_wake_all (&((Copy *) opaque)->waiting);
}

/* With a timeout somebody else copies while we look at the clock. */
static int
copy_in_time (VmNode *node, Copy *copy)
{
  const Cbw *s = node->state;
  VmLoop *loop = vm_graph_loop (node->graph);
  VmWakeup *wakeup = vm_wakeup_new (loop, copy_alarm, copy);
  int64_t end = g_get_monotonic_time () + s->timeout * G_USEC_PER_SEC;

  vm_wakeup_arm (wakeup, end * 1000);
  vm_fiber_spawn (loop, copy_run, copy);
  while (!copy->done && g_get_monotonic_time () < end)
    vm_fiber_queue_wait (&copy->waiting);
  vm_wakeup_free (wakeup);
  return copy->done ? copy->status : -ETIMEDOUT;
}

static int
before_change (VmNode *node, uint64_t offset, uint64_t len)
{
  Cbw *s = node->state;
  uint64_t granule = vm_bitmap_granularity (s->todo), start = VM_ALIGN_DOWN (offset, granule);
  uint64_t end = MIN (VM_ALIGN_UP (offset + len, granule), s->todo->size), first;
  Copy *copy;
  int status;

  if (s->broken || start >= end)
    return 0;
  copy = g_new0 (Copy, 1);
  copy->node = node;
  vm_node_begin (node); /* whoever closes it waits */
  range_enter (s, &copy->range, start, end, false);
  first = vm_bitmap_next (s->todo, start, end, true);
  copy->offset = first;
  copy->len = end - first;
  status = s->broken || first == end ? 0 : s->timeout ? copy_in_time (node, copy) : copy_todo (copy);
  if (status == -ETIMEDOUT && !copy->done && s->timeout)
    copy->left = true; /* it holds its range until it ends */
  else
    copy_free (copy);
  if (status < 0 && s->on_error == VMQ_ON_CBW_ERROR_BREAK_SNAPSHOT)
    {
      if (!s->broken)
        s->broken = status;
      return 0;
    }
  return status;
}

/* --- the snapshot --------------------------------------------------------------------------------------------- */

extern const VmBlockDriver vm_copy_before_write_driver;

bool
vm_cbw_is (const VmNode *node)
{
  return node->driver == &vm_copy_before_write_driver;
}

/* How far all bytes from OFFSET are alike; *FROM the node that has them. */
static int
look (VmNode *node, uint64_t offset, uint64_t *len, VmNode **from)
{
  Cbw *s = node->state;
  uint64_t end = offset + *len;
  bool todo = vm_bitmap_get (s->todo, offset);

  if (s->broken)
    return s->broken;
  if (!vm_bitmap_get (s->known, offset))
    return -EACCES;
  end = MIN (vm_bitmap_next (s->known, offset, end, false), vm_bitmap_next (s->todo, offset, end, !todo));
  *len = end - offset;
  *from = todo ? node->file->node : s->target->node;
  return 0;
}

int
vm_cbw_snapshot_read (VmNode *node, uint64_t offset, VmVec vec)
{
  Cbw *s = node->state;
  int status = 0;

  for (uint64_t at = 0, len; status >= 0 && at < vec.size; at += len)
    {
      Range range;
      VmNode *from;
      len = vec.size - at;
      range_enter (s, &range, offset + at, offset + at + len, true);
      if ((status = look (node, offset + at, &len, &from)) >= 0)
        status = vm_node_read (from, offset + at, vm_vec_slice (vec, at, len), 0);
      range_leave (s, &range);
    }
  return status;
}

int
vm_cbw_snapshot_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  Cbw *s = node->state;
  Range range;
  VmNode *from;
  int status;

  range_enter (s, &range, offset, offset + len, true);
  if ((status = look (node, offset, &len, &from)) >= 0)
    status = vm_node_status_above (from, NULL, offset, len, extent);
  range_leave (s, &range);
  if (status < 0)
    return status;
  extent->len = MIN (extent->len, len);
  extent->flags = (extent->flags & (VM_EXTENT_ZERO | VM_EXTENT_DATA)) | VM_EXTENT_ALLOCATED;
  return 0;
}

int
vm_cbw_snapshot_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  Cbw *s = node->state;
  uint64_t granule = vm_bitmap_granularity (s->todo), end = offset + len;
  Range range;
  int status;

  offset = VM_ALIGN_UP (offset, granule);
  end = end >= s->todo->size ? end : VM_ALIGN_DOWN (end, granule);
  if (offset >= end)
    return 0;
  range_enter (s, &range, offset, end, false);
  vm_bitmap_clear (s->todo, offset, end - offset);
  vm_bitmap_clear (s->known, offset, end - offset);
  status = vm_node_discard (s->target->node, offset, MIN (end, s->target->node->size) - offset);
  range_leave (s, &range);
  return status;
}

/* --- node ------------------------------------------------------------------------------------------------------- */

static VmDirtyBitmap *
find_bitmap (VmNode *node, const VmqBlockDirtyBitmap *name, GError **error)
{
  VmNode *owner = vm_node_find (node->graph, name->node);

  if (!owner)
    {
      vm_fail (error, "Cannot find device='%s' nor node-name='%s'", name->node, name->node);
      return NULL;
    }
  for (guint i = 0; owner->bitmaps && i < owner->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (owner->bitmaps, i);
      if (!g_strcmp0 (bitmap->name, name->name))
        return bitmap;
    }
  vm_fail (error, "Dirty bitmap '%s' not found", name->name);
  return NULL;
}

static void
cbw_close (VmNode *node)
{
  Cbw *s = node->state;

  vm_bitmap_free (s->todo);
  vm_bitmap_free (s->known);
}

static bool
make_bitmaps (VmNode *node, const VmqBlockdevOptionsCbw *o, GError **error)
{
  Cbw *s = node->state;
  const VmNode *target = s->target->node;
  uint64_t cluster = target->driver->cluster_size ? target->driver->cluster_size (s->target->node) : 0;
  VmDirtyBitmap *given = NULL;

  if (o->bitmap && !(given = find_bitmap (node, o->bitmap, error)))
    return false;
  if (given && (given->inconsistent || given->busy))
    return vm_fail (error, "Bitmap '%s' is %s and cannot be used", given->name,
                    given->busy ? "currently in use by another operation" : "inconsistent");
  s->todo = vm_bitmap_new (NULL, node->size, MIN (MAX (CLUSTER, cluster), CHUNK));
  s->known = s->todo ? vm_bitmap_new (NULL, node->size, vm_bitmap_granularity (s->todo)) : NULL;
  if (!s->known)
    return vm_fail (error, "The bitmap is too big for the memory");
  if (given)
    vm_bitmap_merge (s->todo, given);
  else
    vm_bitmap_set (s->todo, 0, node->size);
  vm_bitmap_merge (s->known, s->todo);
  return true;
}

static bool
cbw_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsCbw *o = opaque;
  Cbw *s = node->state;

  if (o->has_cbw_timeout && (o->cbw_timeout < 0 || o->cbw_timeout > UINT32_MAX))
    return vm_fail (error, "cbw-timeout must be from 0 to %u", UINT32_MAX);
  s->timeout = o->has_cbw_timeout ? o->cbw_timeout : 0;
  s->on_error = o->has_on_cbw_error ? o->on_cbw_error : VMQ_ON_CBW_ERROR_BREAK_GUEST_WRITE;
  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error)
      || !(s->target = vm_node_open_child (node, "target", VM_ROLE_DATA, true, error)))
    return false;
  node->size = node->file->node->size;
  node->limits = node->file->node->limits;
  node->write_flags = VM_REQ_FUA;
  if (s->target->node->size < node->size)
    return vm_fail (error, "The target is smaller than '%s'", node->file->node->filename);
  if (make_bitmaps (node, o, error))
    return true;
  cbw_close (node);
  return false;
}

/* Copies need to read below also for those who only write. The target is the snapshot's: others may read it. */
static void
cbw_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                 unsigned *child_shared)
{
  if (edge->role & VM_ROLE_FILTERED)
    {
      *child_perm = perm | (perm & VM_PERM_WRITE ? VM_PERM_READ : 0);
      /* Who writes beside this node is not seen by it. */
      *child_shared = perm ? shared & ~(unsigned) (VM_PERM_WRITE | VM_PERM_RESIZE) : shared;
      return;
    }
  *child_perm = VM_PERM_READ | (edge->node->readonly ? 0 : VM_PERM_WRITE);
  *child_shared = VM_PERM_ALL;
}

static int
cbw_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
cbw_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = before_change (node, offset, vec.size);

  return status < 0 ? status : vm_node_write (node->file->node, offset, vec, flags);
}

static int
cbw_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int status = before_change (node, offset, len);

  return status < 0 ? status : vm_node_write_zeroes (node->file->node, offset, len, flags);
}

static int
cbw_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  int status = before_change (node, offset, len);

  return status < 0 ? status : vm_node_discard (node->file->node, offset, len);
}

const VmBlockDriver vm_copy_before_write_driver = {
  .name = "copy-before-write",
  .help = "Copies what is about to be changed",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (Cbw),
  .open = cbw_open,
  .close = cbw_close,
  .child_perms = cbw_child_perms,
  .read = cbw_read,
  .write = cbw_write,
  .write_zeroes = cbw_write_zeroes,
  .discard = cbw_discard,
};
