/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to nodes: checks, alignment, the order of those that overlap, and what replaces what a driver cannot do. */
#include "block/graph-private.h"

#include "block/bitmap.h"
#include "engine/schema/types.h"

#include <errno.h>

#define MAX_SIZE ((uint64_t) INT64_MAX - VM_GIB)
#define MAX_CHUNK VM_GIB /* of one request to a driver */
#define MAX_PIECES 1024  /* of the vector of one request to a driver */

/* --- what is under way ------------------------------------------------------------------------------- */

void
vm_node_begin (VmNode *node)
{
  node->in_flight++;
}

void
vm_node_end (VmNode *node)
{
  if (--node->in_flight == 0)
    vm_fiber_queue_wake_all (&node->idle);
}

static VmTracked *
find_overlap (const VmTracked *self)
{
  for (GList *l = self->link.prev; l; l = l->prev)
    {
      VmTracked *other = l->data;
      if ((self->serialising || other->serialising) && self->start < other->end && other->start < self->end)
        return other;
    }
  return NULL;
}

void
vm_node_track (VmNode *node, VmTracked *tracked, uint64_t start, uint64_t end, bool serialising)
{
  VmNodeCore *core = node->core;
  VmTracked *other;

  *tracked = (VmTracked){ .link.data = tracked, .start = start, .end = end, .serialising = serialising };
  g_queue_push_tail_link (&core->tracked, &tracked->link);
  /* Each waits for earlier ones only: there is no circle. */
  while ((other = find_overlap (tracked)))
    vm_fiber_queue_wait (&other->waiting);
}

void
vm_node_untrack (VmNode *node, VmTracked *tracked)
{
  VmNodeCore *core = node->core;

  g_queue_unlink (&core->tracked, &tracked->link);
  vm_fiber_queue_wake_all (&tracked->waiting);
}

static int
check_range (const VmNode *node, uint64_t offset, uint64_t len)
{
  if (node->dead)
    return -EIO;
  return offset > MAX_SIZE || len > MAX_SIZE - offset ? -EIO : 0;
}

static uint64_t
alignment_of (const VmNode *node)
{
  return MAX (node->limits.alignment, 1);
}

/* What the core does in the place of a driver. */
static void
own_event (VmNode *node, VmqBlkdebugEvent event)
{
  if (node->driver->event)
    node->driver->event (node, event);
}

static bool
can_grow (const VmNode *node)
{
  if (node->driver->kind == VM_DRIVER_FILTER && node->children->len)
    return can_grow (((VmEdge *) g_ptr_array_index (node->children, 0))->node);
  return node->driver->grows;
}

/* --- reading ------------------------------------------------------------------------------------------ */

typedef int (*TransferFunc) (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);

static size_t
chunk_of (const VmNode *node)
{
  uint64_t max = node->limits.max_transfer ? node->limits.max_transfer : MAX_CHUNK;

  return MAX (MIN (max, MAX_CHUNK) / alignment_of (node) * alignment_of (node), alignment_of (node));
}

/* In pieces that the driver can take. */
static int
transfer (VmNode *node, TransferFunc func, uint64_t offset, VmVec vec, unsigned flags)
{
  size_t chunk = chunk_of (node);
  int status = 0;

  if (vec.size <= chunk)
    return func (node, offset, vec, flags);
  for (size_t done = 0; status >= 0 && done < vec.size; done += MIN (chunk, vec.size - done))
    status = func (node, offset + done, vm_vec_slice (vec, done, MIN (chunk, vec.size - done)), flags);
  return status;
}

/* A vector with buffers before and behind the parent's, so that it begins and ends as the driver wants it. */
typedef struct Padded
{
  uint64_t offset;
  size_t head, tail;
  char *buffer; /* of the head's block and the tail's */
  struct iovec *iov;
  VmVec vec;
} Padded;

static void
pad (Padded *p, const VmNode *node, uint64_t offset, VmVec vec)
{
  uint64_t align = alignment_of (node);
  unsigned n = 0;

  p->head = offset % align;
  p->tail = (align - (offset + vec.size) % align) % align;
  p->offset = offset - p->head;
  p->buffer = g_malloc (2 * align);
  for (VmVec rest = vec; rest.size; n++)
    {
      struct iovec piece;
      vm_vec_take (&rest, &piece, 1);
    }
  p->iov = g_new (struct iovec, n + 2);
  p->iov[0] = (struct iovec){ p->buffer, p->head };
  VmVec rest = vec;
  vm_vec_take (&rest, p->iov + 1, n);
  p->iov[n + 1] = (struct iovec){ p->buffer + 2 * align - p->tail, p->tail };
  p->vec = vm_vec (p->iov, n + 2);
}

static void
pad_clear (Padded *p)
{
  g_free (p->buffer);
  g_free (p->iov);
}

static bool
is_aligned (const VmNode *node, uint64_t offset, uint64_t len)
{
  return ((offset | len) & (alignment_of (node) - 1)) == 0;
}

/* What lies below the end of the node. */
static int
read_inside (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Padded p;

  if (is_aligned (node, offset, vec.size))
    return transfer (node, node->driver->read, offset, vec, flags);
  pad (&p, node, offset, vec);
  int status = transfer (node, node->driver->read, p.offset, p.vec, flags);
  pad_clear (&p);
  return status;
}

int
vm_node_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = check_range (node, offset, vec.size);

  if (status < 0)
    return status;
  if (!node->driver->read)
    return -ENOTSUP;
  uint64_t inside = offset < node->size ? MIN (vec.size, node->size - offset) : 0;
  if (inside < vec.size)
    vm_vec_fill (vec, inside, 0, vec.size - inside);
  if (!inside)
    return 0;
  vm_node_begin (node);
  status = read_inside (node, offset, vm_vec_slice (vec, 0, inside), flags);
  if (status >= 0)
    {
      node->stats.bytes[VM_BLOCK_READ] += inside;
      node->stats.operations[VM_BLOCK_READ]++;
    }
  else
    node->stats.failed[VM_BLOCK_READ]++;
  vm_node_end (node);
  return MIN (status, 0);
}

int
vm_node_pread (VmNode *node, uint64_t offset, void *buffer, size_t len)
{
  struct iovec iov;

  return vm_node_read (node, offset, vm_vec_buffer (&iov, buffer, len), 0);
}

/* --- writing -------------------------------------------------------------------------------------------- */

static void
check_threshold (VmNode *node, uint64_t end)
{
  if (!node->write_threshold || end <= node->write_threshold)
    return;

  json_object *data = json_object_new_object ();

  json_object_object_add (data, "node-name", json_object_new_string (node->name));
  json_object_object_add (data, "amount-exceeded", json_object_new_uint64 (end - node->write_threshold));
  json_object_object_add (data, "write-threshold", json_object_new_uint64 (node->write_threshold));
  node->write_threshold = 0; /* told once */
  vm_graph_event (node->graph, "BLOCK_WRITE_THRESHOLD", data);
}

/* Before a change of LEN bytes: 0 when it may be. */
static int
write_begin (VmNode *node, VmTracked *tracked, uint64_t offset, uint64_t len, unsigned flags)
{
  uint64_t align = alignment_of (node);
  bool unaligned = !is_aligned (node, offset, len);
  int status = check_range (node, offset, len);

  if (status < 0)
    return status;
  if (node->readonly)
    return -EPERM;
  if (offset + len > node->size && !can_grow (node))
    return -ENOSPC;
  vm_node_begin (node);
  vm_node_track (node, tracked, VM_ALIGN_DOWN (offset, align), VM_ALIGN_UP (offset + len, align), unaligned);
  check_threshold (node, offset + len);
  if (node->before_write && !(flags & VM_REQ_UNCHANGED)
      && (status = node->before_write (node->before_write_opaque, offset, len)) < 0)
    {
      vm_node_untrack (node, tracked);
      vm_node_end (node);
    }
  return status;
}

static void
write_end (VmNode *node, VmTracked *tracked, VmBlockRequestKind kind, uint64_t offset, uint64_t len, int status)
{
  VmNodeCore *core = node->core;

  core->write_generation++;
  if (status >= 0)
    {
      node->stats.bytes[kind] += len;
      node->stats.operations[kind]++;
      if (kind == VM_BLOCK_WRITE)
        node->stats.highest = MAX (node->stats.highest, offset + len);
      if (kind == VM_BLOCK_WRITE && offset + len > node->size)
        {
          node->size = offset + len;
          vm_node_resized (node);
        }
    }
  else
    node->stats.failed[kind]++;
  /* Also after a failure: part of it may be there. */
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (bitmap->recording)
        vm_bitmap_set (bitmap, offset, len);
    }
  if (node->after_write)
    node->after_write (node->after_write_opaque, offset, len);
  vm_node_untrack (node, tracked);
  vm_node_end (node);
}

static int
driver_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return transfer (node, node->driver->write, offset, vec, flags);
}

/* Reads the blocks that the ends of the request share with other data, and writes all of it. */
static int
write_padded (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  uint64_t align = alignment_of (node), end = offset + vec.size;
  Padded p;
  int status = 0;

  pad (&p, node, offset, vec);
  if (p.head)
    {
      own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_RMW_HEAD);
      status = vm_node_pread (node, p.offset, p.buffer, p.head);
      own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_HEAD);
    }
  if (status >= 0 && p.tail)
    {
      own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_RMW_TAIL);
      status = vm_node_pread (node, end, p.buffer + 2 * align - p.tail, p.tail);
      own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_RMW_AFTER_TAIL);
    }
  if (status >= 0)
    status = driver_write (node, p.offset, p.vec, flags);
  pad_clear (&p);
  return status;
}

static bool
wants_storage (const VmNode *node, unsigned flags)
{
  return (flags & VM_REQ_FUA) && !node->cache_no_flush && !(node->open_flags & VM_OPEN_UNSAFE);
}

static int zero_range (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);

static int
write_data (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  bool fua = wants_storage (node, flags);
  unsigned passed = flags & ~(unsigned) VM_REQ_FUA;
  int status;

  if (fua && (node->write_flags & VM_REQ_FUA))
    {
      passed |= VM_REQ_FUA;
      fua = false;
    }
  own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV);
  if (is_aligned (node, offset, vec.size))
    status = driver_write (node, offset, vec, passed);
  else if (flags & VM_REQ_COMPRESSED)
    status = -ENOTSUP;
  else
    status = write_padded (node, offset, vec, passed);
  own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_DONE);
  if (status >= 0 && fua)
    {
      ((VmNodeCore *) node->core)->write_generation++;
      status = vm_node_flush (node);
    }
  return status;
}

int
vm_node_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  VmTracked tracked;
  int status;

  if (!node->driver->write)
    return -ENOTSUP;
  if (!vec.size)
    return node->readonly ? -EPERM : 0;
  status = write_begin (node, &tracked, offset, vec.size, flags);
  if (status < 0)
    return status;
  if (node->detect_zeroes && !(flags & VM_REQ_COMPRESSED) && vm_vec_is_zero (vec, 0, vec.size))
    {
      bool unmap = node->detect_zeroes == VMQ_BLOCKDEV_DETECT_ZEROES_OPTIONS_UNMAP;
      status = zero_range (node, offset, vec.size, flags | (unmap ? VM_REQ_UNMAP : 0));
    }
  else
    status = write_data (node, offset, vec, flags);
  write_end (node, &tracked, VM_BLOCK_WRITE, offset, vec.size, status);
  return MIN (status, 0);
}

int
vm_node_pwrite (VmNode *node, uint64_t offset, const void *buffer, size_t len)
{
  struct iovec iov;

  return vm_node_write (node, offset, vm_vec_buffer (&iov, buffer, len), 0);
}

/* --- zeros ------------------------------------------------------------------------------------------------ */

/* In .bss, which nobody writes to. */
static _Alignas (VM_PAGE_SIZE) uint8_t zeros[VM_ZEROS_SIZE];
const uint8_t *const vm_zeros = zeros;

static int
write_zero_buffer (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int status = 0;

  for (uint64_t done = 0; status >= 0 && done < len;)
    {
      uint64_t part = MIN (len - done, VM_ZEROS_SIZE);
      struct iovec iov;
      status = write_data (node, offset + done, vm_vec_buffer (&iov, vm_zeros, part), flags & VM_REQ_UNCHANGED);
      done += part;
    }
  return status;
}

/* As the driver has it, LEN at most what it takes at once; ends that it cannot are written. */
static int
zero_piece (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  int status = -ENOTSUP;

  own_event (node, VMQ_BLKDEBUG_EVENT_PWRITEV_ZERO);
  if (node->driver->write_zeroes && is_aligned (node, offset, len))
    status = node->driver->write_zeroes (node, offset, len, flags);
  if (status != -ENOTSUP && status != -EOPNOTSUPP)
    return status;
  if (flags & VM_REQ_NO_FALLBACK)
    return -ENOTSUP;
  return node->driver->write ? write_zero_buffer (node, offset, len, flags) : -ENOTSUP;
}

static int
zero_range (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  uint64_t align = MAX (alignment_of (node), node->limits.zero_alignment), end = offset + len;
  uint64_t max = node->limits.max_zero ? MAX (VM_ALIGN_DOWN (node->limits.max_zero, align), align)
                                       : VM_ALIGN_DOWN (INT64_MAX, align);
  bool fua = wants_storage (node, flags);
  unsigned passed = flags & ~(unsigned) VM_REQ_FUA;
  int status = 0;

  if (!node->discard_unmap)
    passed &= ~(unsigned) VM_REQ_UNMAP;
  /* First up to a multiple, then whole ones, then the rest. */
  for (uint64_t part; status >= 0 && offset < end; offset += part)
    {
      part = end - offset;
      if (offset % align)
        part = MIN (part, align - offset % align);
      else if (part > align)
        part = MIN (part - part % align, max);
      status = zero_piece (node, offset, part, passed);
    }
  if (status >= 0 && fua)
    {
      ((VmNodeCore *) node->core)->write_generation++;
      status = vm_node_flush (node);
    }
  return status;
}

int
vm_node_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  VmTracked tracked;
  int status;

  if (!node->driver->write && !node->driver->write_zeroes)
    return -ENOTSUP;
  status = write_begin (node, &tracked, offset, len, flags);
  if (status < 0)
    return status;
  status = zero_range (node, offset, len, flags);
  write_end (node, &tracked, VM_BLOCK_WRITE, offset, len, status);
  return MIN (status, 0);
}

/* --- discards --------------------------------------------------------------------------------------------- */

static int
discard_range (VmNode *node, uint64_t offset, uint64_t len)
{
  uint64_t align = MAX (alignment_of (node), node->limits.discard_alignment);
  uint64_t max = node->limits.max_discard ? MAX (VM_ALIGN_DOWN (node->limits.max_discard, align), align)
                                          : VM_ALIGN_DOWN (INT64_MAX, align);
  uint64_t end = offset + len;
  int status = 0;

  /* Blocks that are not whole keep what they have: a discard is a hint. The last one may end where the image does. */
  offset = VM_ALIGN_UP (offset, align);
  if (end < node->size)
    end = VM_ALIGN_DOWN (end, align);
  for (uint64_t part; status >= 0 && offset < end; offset += part)
    {
      part = MIN (end - offset, max);
      status = node->driver->discard (node, offset, part);
      if (status == -ENOTSUP || status == -EOPNOTSUPP)
        status = 0;
    }
  return status;
}

int
vm_node_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  VmTracked tracked;
  int status;

  if (offset > node->size || len > node->size - offset)
    return -EIO;
  if (!node->discard_unmap || !node->driver->discard)
    return node->readonly ? -EPERM : 0;
  status = write_begin (node, &tracked, offset, len, 0);
  if (status < 0)
    return status;
  status = discard_range (node, offset, len);
  write_end (node, &tracked, VM_BLOCK_DISCARD, offset, len, status);
  return MIN (status, 0);
}

/* --- flushes ----------------------------------------------------------------------------------------------- */

static int
flush_all (VmNode *node)
{
  bool to_storage = !node->cache_no_flush && !(node->open_flags & VM_OPEN_UNSAFE);
  int status = 0;

  if (node->file)
    vm_node_event (node->file->node, VMQ_BLKDEBUG_EVENT_FLUSH_TO_OS);
  if (node->driver->flush && (to_storage || node->driver->kind != VM_DRIVER_PROTOCOL))
    status = node->driver->flush (node);
  if (node->driver->flushes_children)
    return status;
  if (node->file && to_storage)
    vm_node_event (node->file->node, VMQ_BLKDEBUG_EVENT_FLUSH_TO_DISK);
  for (guint i = 0; status >= 0 && to_storage && i < node->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->children, i);
      if (!edge->node->readonly && !(edge->role & VM_ROLE_COW))
        status = vm_node_flush (edge->node);
    }
  return status;
}

int
vm_node_control (VmNode *node, unsigned long request, void *arg)
{
  /* What changes nothing about the data is looked through. */
  while (!node->driver->control && node->file
         && (node->driver->kind == VM_DRIVER_FILTER || !strcmp (node->driver->name, "raw")))
    node = node->file->node;
  return node->driver->control ? node->driver->control (node, request, arg) : -ENOTTY;
}

int
vm_node_flush (VmNode *node)
{
  VmNodeCore *core = node->core;
  int status = 0;

  if (node->dead)
    return -EIO;
  if (node->readonly)
    return 0;
  vm_node_begin (node);
  uint64_t generation = core->write_generation;
  while (core->flushing)
    vm_fiber_queue_wait (&core->flush_waiting);
  /* What formats keep to themselves changes by other ways than writes, too. */
  if (core->flushed_generation < generation || node->driver->kind == VM_DRIVER_FORMAT)
    {
      core->flushing = true;
      generation = core->write_generation;
      status = flush_all (node);
      if (status >= 0)
        core->flushed_generation = generation;
      node->stats.operations[VM_BLOCK_FLUSH]++;
      node->stats.failed[VM_BLOCK_FLUSH] += status < 0;
      core->flushing = false;
      vm_fiber_queue_wake_all (&core->flush_waiting);
    }
  vm_node_end (node);
  return MIN (status, 0);
}

/* --- what is where ------------------------------------------------------------------------------------------ */

static int
ask_filtered (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  VmEdge *below = g_ptr_array_index (node->children, 0);
  int status = vm_node_status (below->node, offset, len, extent);

  return status;
}

/* Zeros that a driver does not know of, but what it lies on does. */
static void
ask_file (VmExtent *extent)
{
  VmExtent below;
  VmNode *file = extent->file;

  if (extent->file_offset >= file->size)
    {
      extent->flags |= VM_EXTENT_ZERO;
      return;
    }
  if (vm_node_status (file, extent->file_offset, extent->len, &below) < 0)
    return; /* it is an improvement only */
  extent->len = MIN (extent->len, below.len);
  if (below.flags & VM_EXTENT_ZERO)
    extent->flags = (extent->flags | VM_EXTENT_ZERO) & ~(below.flags & VM_EXTENT_DATA ? 0u : VM_EXTENT_DATA);
}

int
vm_node_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  int status = 0;

  *extent = (VmExtent){ .len = len };
  if (node->dead)
    return -EIO;
  if (offset >= node->size || !len)
    return -EINVAL;
  len = extent->len = MIN (len, node->size - offset);
  vm_node_begin (node);
  if (node->driver->status)
    status = node->driver->status (node, offset, len, extent);
  else if (node->driver->kind == VM_DRIVER_FILTER && node->children->len)
    status = ask_filtered (node, offset, len, extent);
  else
    {
      extent->flags = VM_EXTENT_DATA | VM_EXTENT_ALLOCATED;
      if (node->driver->kind == VM_DRIVER_PROTOCOL)
        *extent = (VmExtent){
          .len = len, .flags = extent->flags | VM_EXTENT_HAS_OFFSET, .file_offset = offset, .file = node
        };
    }
  if (status >= 0)
    {
      extent->len = MIN (extent->len, node->size - offset);
      if ((extent->flags & VM_EXTENT_RECURSE) && (extent->flags & VM_EXTENT_HAS_OFFSET)
          && !(extent->flags & VM_EXTENT_ZERO) && extent->file != node)
        ask_file (extent);
      extent->flags &= ~(unsigned) VM_EXTENT_RECURSE;
      if (!extent->len)
        status = -EIO;
    }
  vm_node_end (node);
  return MIN (status, 0);
}

int
vm_node_status_above (VmNode *top, VmNode *base, uint64_t offset, uint64_t len, VmExtent *extent)
{
  VmNode *node = vm_node_skip_filters (top);
  int status;

  base = base ? vm_node_skip_filters (base) : NULL;
  status = vm_node_status (node, offset, len, extent);
  while (status >= 0 && !(extent->flags & VM_EXTENT_ALLOCATED))
    {
      uint64_t clipped = MIN (extent->len, len);
      node = vm_node_backing (node);
      if (node == base || !node)
        {
          /* Nothing is below: zeros are read. What BASE has is not asked. */
          extent->flags = node ? 0 : VM_EXTENT_ZERO;
          return 0;
        }
      if (offset >= node->size)
        {
          /* Behind the end of this layer nothing further down is seen. */
          *extent = (VmExtent){ .len = clipped, .flags = VM_EXTENT_ZERO | VM_EXTENT_ALLOCATED };
          return 0;
        }
      status = vm_node_status (node, offset, clipped, extent);
      extent->len = MIN (extent->len, clipped);
    }
  return status;
}

/* --- size ---------------------------------------------------------------------------------------------------- */

/* Growing an image must not let data of a longer backing file shine through. */
static int
hide_backing (VmNode *node, uint64_t old_size, uint64_t size)
{
  VmNode *backing = vm_node_backing (node);

  if (!backing || backing->size <= old_size || size <= old_size)
    return 0;
  return vm_node_write_zeroes (node, old_size, MIN (size, backing->size) - old_size, 0);
}

int
vm_node_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  uint64_t old_size = node->size;
  VmTracked tracked;
  int status;

  if (node->dead || node->readonly)
    {
      vm_fail (error, node->dead ? "Image is damaged" : "Image is read-only");
      return -EACCES;
    }
  if (size > MAX_SIZE)
    {
      vm_fail (error, "Required too big image size, it must be not greater than %" G_GUINT64_FORMAT, MAX_SIZE);
      return -EFBIG;
    }
  if (!node->driver->truncate && node->driver->kind == VM_DRIVER_FILTER && node->children->len)
    {
      status = vm_node_truncate (((VmEdge *) g_ptr_array_index (node->children, 0))->node, size, exact, prealloc, flags,
                                 error);
      return status;
    }
  if (!node->driver->truncate)
    {
      vm_fail (error, "Image format driver does not support resize");
      return -ENOTSUP;
    }
  vm_node_begin (node);
  /* Nothing runs beside it where the image ends. */
  vm_node_track (node, &tracked, MIN (size, old_size), UINT64_MAX, true);
  status = node->driver->truncate (node, size, exact, prealloc, flags, error);
  ((VmNodeCore *) node->core)->write_generation++;
  vm_node_untrack (node, &tracked);
  if (status >= 0 && (status = hide_backing (node, old_size, size)) < 0)
    vm_fail (error, "Could not hide data of the backing file: %s", g_strerror (-status));
  for (guint i = 0; status >= 0 && node->bitmaps && i < node->bitmaps->len; i++)
    if (!vm_bitmap_resize (g_ptr_array_index (node->bitmaps, i), node->size))
      status = -ENOMEM;
  if (node->size != old_size)
    vm_node_resized (node);
  vm_node_end (node);
  return MIN (status, 0);
}
