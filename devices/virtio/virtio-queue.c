/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queues of virtio devices whatever their layout: ring memory, chains as host memory, doorbells, interrupts. */
#include "devices/virtio/virtio-private.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define COPY_MAX        (64 * VM_KIB) /* of one chain: buffers that are no RAM */
#define DEVICE_COPY_MAX (4 * VM_MIB)
#define ROUND_MIN       64            /* chains a queue may take before others have their turn */

/* --- pieces of memory ------------------------------------------------------------------------------------ */

size_t
vm_iov_size (const struct iovec *iov, unsigned n)
{
  size_t size = 0;

  for (unsigned i = 0; i < n; i++)
    size += iov[i].iov_len;
  return size;
}

unsigned
vm_iov_slice (const struct iovec *iov, unsigned n, size_t offset, size_t len, struct iovec *dst)
{
  unsigned out = 0;

  for (unsigned i = 0; i < n && len; i++)
    {
      size_t part;

      if (offset >= iov[i].iov_len)
        {
          offset -= iov[i].iov_len;
          continue;
        }
      part = MIN (iov[i].iov_len - offset, len);
      dst[out++] = (struct iovec) { (uint8_t *) iov[i].iov_base + offset, part };
      len -= part;
      offset = 0;
    }
  return out;
}

static size_t
iov_copy (const struct iovec *iov, unsigned n, size_t offset, uint8_t *buf, size_t len, bool put)
{
  size_t done = 0;

  for (unsigned i = 0; i < n && done < len; i++)
    {
      size_t part;
      uint8_t *at;

      if (offset >= iov[i].iov_len)
        {
          offset -= iov[i].iov_len;
          continue;
        }
      part = MIN (iov[i].iov_len - offset, len - done);
      at = (uint8_t *) iov[i].iov_base + offset;
      if (put)
        memcpy (at, buf + done, part);
      else
        memcpy (buf + done, at, part);
      done += part;
      offset = 0;
    }
  return done;
}

size_t
vm_iov_get (const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len)
{
  return iov_copy (iov, n, offset, buf, len, false);
}

size_t
vm_iov_put (const struct iovec *iov, unsigned n, size_t offset, const void *buf, size_t len)
{
  return iov_copy (iov, n, offset, (uint8_t *) buf, len, true);
}

/* --- ring memory ----------------------------------------------------------------------------------------- */

static const VirtqLayout *
layout (const VmVirtqueue *q)
{
  return vm_virtio_has (q->v, VIRTIO_F_RING_PACKED) ? &virtq_packed : &virtq_split;
}

void
virtq_area_written (VmVirtqueue *q, const VmVirtioArea *area, const uint8_t *at, uint64_t len)
{
  vm_ram_written (vm_virtio_bus (q->v)->as->memory, area->block, (uint64_t) (at - area->block->host), len);
}

static void
area_unmap (VmVirtioArea *area)
{
  if (area->block)
    vm_ram_block_unref (area->block);
  *area = (VmVirtioArea) { 0 };
}

static void
queue_unmap (VmVirtqueue *q)
{
  area_unmap (&q->desc);
  area_unmap (&q->driver);
  area_unmap (&q->device);
  q->mapped = false;
}

static bool
area_map (VmVirtqueue *q, VmVirtioArea *area, uint64_t addr, unsigned which)
{
  static const uint8_t align[] = { 16, 2, 4 };
  uint64_t wanted = layout (q)->area_size (q, which), len = wanted;

  *area = (VmVirtioArea) { .addr = addr, .len = wanted };
  area->host = vm_as_map (vm_virtio_bus (q->v)->as, addr, &len, true, &area->block);
  return area->host && len >= wanted && ((uintptr_t) area->host & (align[which] - 1)) == 0;
}

/* Makes the ring's memory accessible; where that cannot be, the device is broken. */
static bool
queue_map (VmVirtqueue *q)
{
  unsigned generation = __atomic_load_n (&vm_virtio_bus (q->v)->as->generation, __ATOMIC_ACQUIRE);

  if (q->mapped && q->generation == generation)
    return true;
  queue_unmap (q);
  if (!area_map (q, &q->desc, q->s->desc, 0) || !area_map (q, &q->driver, q->s->driver, 1)
      || !area_map (q, &q->device, q->s->device, 2))
    {
      queue_unmap (q);
      vm_virtio_break (q->v, "queue %u is not in memory", q->index);
      return false;
    }
  q->mapped = true;
  q->generation = generation;
  return true;
}

bool
vm_virtqueue_ready (const VmVirtqueue *q)
{
  const VmVirtio *v = q->v;
  const VmVirtioBus *bus = vm_virtio_bus (v);
  /* Drivers of the legacy interface ring before they say that they are ready. */
  bool started = (v->status & VIRTIO_STATUS_DRIVER_OK) || (v->use_started && !vm_virtio_has (v, VIRTIO_F_VERSION_1));

  return bus && q->s->enabled && q->s->num && started && !v->broken && !(v->use_disabled_flag && bus->disabled);
}

/* --- chains ---------------------------------------------------------------------------------------------- */

static bool
gather_add (Gather *g, void *base, uint64_t len, VmVirtqPiece piece, bool write)
{
  unsigned n = g->n_out + g->n_in;

  g->iov[n] = (struct iovec) { base, len };
  g->pieces[n] = piece;
  if (write)
    g->n_in++;
  else
    g->n_out++;
  return true;
}

/* Memory that is no RAM is somebody's registers; the card's own do not answer, whoever it is that made it come here
 * (a device that is being unplugged, say). Machine lock held. */
static VmMemResult
access_memory (const VmVirtioBus *bus, uint64_t addr, void *buf, uint64_t len, bool write)
{
  VmMemResult result;
  VmReentry mark;

  vm_memory_owner_enter (bus->as->memory, &mark, bus->owner);
  result = write ? vm_as_write (bus->as, addr, bus->attrs, buf, len) : vm_as_read (bus->as, addr, bus->attrs, buf, len);
  vm_memory_owner_leave (bus->as->memory, &mark);
  return result;
}

/* A buffer that is no RAM is copied. */
static bool
gather_copy (Gather *g, uint64_t addr, uint64_t len, bool write)
{
  VmVirtio *v = g->q->v;
  const VmVirtioBus *bus = vm_virtio_bus (v);
  void *copy;

  if (v->lock || len > COPY_MAX - g->copied || len > DEVICE_COPY_MAX - v->copied)
    {
      vm_virtio_break (v, "queue %u: a buffer is not in memory", g->q->index);
      return false;
    }
  copy = g_malloc0 (len);
  g->copied += len;
  v->copied += len;
  if (!write)
    access_memory (bus, addr, copy, len, false);
  return gather_add (g, copy, len, (VmVirtqPiece) { NULL, addr }, write);
}

bool
virtq_gather (Gather *g, uint64_t addr, uint32_t len, bool write)
{
  VmVirtio *v = g->q->v;
  uint64_t left = len;

  if (!len || (!write && g->n_in) || addr + len < addr)
    {
      vm_virtio_break (v, "queue %u: %s", g->q->index,
                       !len                  ? "an empty buffer"
                       : !write && g->n_in ? "data out after data in"
                                           : "a buffer past the end");
      return false;
    }
  while (left)
    {
      VmRamBlock *block;
      uint64_t part = left;
      void *host;

      if (g->n_out + g->n_in == VM_VIRTQUEUE_MAX)
        {
          vm_virtio_break (v, "queue %u: a chain of more than %u pieces", g->q->index, VM_VIRTQUEUE_MAX);
          return false;
        }
      host = vm_as_map (vm_virtio_bus (v)->as, addr, &part, write, &block);
      if (!host)
        return gather_copy (g, addr, left, write);
      gather_add (g, host, part, (VmVirtqPiece) { block, addr }, write);
      addr += part;
      left -= part;
    }
  return true;
}

bool
virtio_read_memory (const VmVirtio *v, uint64_t addr, void *buf, uint32_t len)
{
  const VmVirtioBus *bus = vm_virtio_bus (v);

  if (!v->lock)
    return access_memory (bus, addr, buf, len, false) == VM_MEM_OK;
  for (uint64_t part = len; len; len -= part, part = len)
    {
      VmRamBlock *block;
      const void *host = vm_as_map (bus->as, addr, &part, false, &block);

      if (!host)
        return false;
      memcpy (buf, host, part);
      vm_as_unmap (bus->as, (void *) (uintptr_t) host, 0, block);
      addr += part;
      buf = (uint8_t *) buf + part;
    }
  return true;
}

bool
virtq_gather_indirect (Gather *g, uint64_t addr, uint32_t len, bool packed)
{
  VmVirtio *v = g->q->v;
  unsigned n = len / DESC_SIZE, i = 0;

  if (!vm_virtio_has (v, VIRTIO_F_INDIRECT_DESC) || !len || len % DESC_SIZE)
    {
      vm_virtio_break (v, "queue %u: an indirect table of %u bytes", g->q->index, len);
      return false;
    }
  for (unsigned steps = 0; steps < MIN (n, VM_VIRTQUEUE_MAX); steps++)
    {
      uint8_t desc[DESC_SIZE];
      uint16_t flags;

      if (!virtio_read_memory (v, addr + DESC_SIZE * (uint64_t) i, desc, sizeof desc))
        break;
      flags = vm_load_le16 (desc + (packed ? 14 : 12));
      if (!packed && (flags & DESC_INDIRECT))
        break;
      if (!virtq_gather (g, vm_load_le64 (desc), vm_load_le32 (desc + 8), flags & DESC_WRITE))
        return false;
      if (packed ? i + 1 == n : !(flags & DESC_NEXT))
        return true;
      i = packed ? i + 1 : vm_load_le16 (desc + 14);
      if (i >= n)
        break;
    }
  vm_virtio_break (v, "queue %u: a bad indirect table", g->q->index);
  return false;
}

/* Lets go of the memory; the first WRITTEN bytes for writing were written. */
static void
pieces_release (VmVirtio *v, const struct iovec *iov, const VmVirtqPiece *pieces, unsigned n_out, unsigned n_in,
                uint64_t written)
{
  const VmVirtioBus *bus = vm_virtio_bus (v);

  for (unsigned i = 0; i < n_out + n_in; i++)
    {
      uint64_t len = iov[i].iov_len, part = i < n_out ? 0 : MIN (len, written);

      if (i >= n_out)
        written -= part;
      if (pieces[i].block)
        {
          if (bus)
            vm_as_unmap (bus->as, iov[i].iov_base, part, pieces[i].block);
          else
            vm_ram_block_unref (pieces[i].block);
          continue;
        }
      if (part && bus)
        access_memory (bus, pieces[i].addr, iov[i].iov_base, part, true);
      v->copied -= len;
      g_free (iov[i].iov_base);
    }
}

void *
vm_virtqueue_pop (VmVirtqueue *q, size_t size)
{
  VmVirtio *v = q->v;
  VmVirtqElement *e;
  Gather g;
  uint16_t id, slots;
  unsigned n;

  g_assert (size >= sizeof *e);
  if (!vm_virtqueue_ready (q) || !queue_map (q))
    return NULL;
  if (q->in_flight >= q->s->num)
    {
      if (!layout (q)->empty (q))
        vm_virtio_break (v, "queue %u: more chains than entries", q->index);
      return NULL;
    }
  g.q = q;
  g.n_out = g.n_in = 0;
  g.copied = 0;
  if (!layout (q)->take (q, &g, &id, &slots))
    {
      pieces_release (v, g.iov, g.pieces, g.n_out, g.n_in, 0);
      return NULL;
    }
  size = VM_ALIGN_UP (size, 16);
  n = g.n_out + g.n_in;
  e = g_malloc (size + n * (sizeof *e->iov + sizeof *e->pieces));
  memset (e, 0, size);
  *e = (VmVirtqElement) { .q = q, .n_out = g.n_out, .n_in = g.n_in, .id = id, .slots = slots };
  e->iov = (struct iovec *) (void *) ((uint8_t *) e + size);
  e->pieces = (VmVirtqPiece *) (void *) (e->iov + n);
  memcpy (e->iov, g.iov, n * sizeof *e->iov);
  memcpy (e->pieces, g.pieces, n * sizeof *e->pieces);
  q->in_flight++;
  if (!q->quiet && vm_virtio_has (v, VIRTIO_F_EVENT_IDX)) /* the wish for doorbells moves along */
    layout (q)->set_notification (q, true);
  return e;
}

static void
element_free (VmVirtqElement *e, uint64_t written)
{
  e->q->in_flight--;
  pieces_release (e->q->v, e->iov, e->pieces, e->n_out, e->n_in, written);
  g_free (e);
}

void
vm_virtqueue_drop (void *element)
{
  element_free (element, 0);
}

void
vm_virtqueue_unpop (void *element)
{
  VmVirtqElement *e = element;

  layout (e->q)->untake (e->q, e->slots);
  element_free (e, 0);
}

/* --- the other way --------------------------------------------------------------------------------------- */

static void post (VmVirtqueue *q);

void
vm_virtqueue_push (void *element, uint32_t written)
{
  VmVirtqElement *e = element;
  VmVirtqueue *q = e->q;
  uint16_t id = e->id, slots = e->slots;

  element_free (e, written);
  if (!vm_virtqueue_ready (q) || !queue_map (q))
    return;
  layout (q)->put (q, id, slots, written);
  q->pushed += slots;
  post (q);
}

void
vm_virtqueue_flush (VmVirtqueue *q)
{
  bool taken = vm_virtio_enter (q->v);
  unsigned slots = q->pushed;

  q->pushed = 0;
  if (slots && vm_virtqueue_ready (q) && queue_map (q) && layout (q)->publish (q, slots))
    virtio_interrupt (q->v, q);
  vm_virtio_leave (q->v, taken);
}

bool
vm_virtqueue_empty (VmVirtqueue *q)
{
  return !vm_virtqueue_ready (q) || !queue_map (q) || layout (q)->empty (q);
}

void
vm_virtqueue_set_notification (VmVirtqueue *q, bool on)
{
  if (!vm_virtqueue_ready (q) || !queue_map (q))
    return;
  q->quiet = !on;
  layout (q)->set_notification (q, on);
  if (on)
    __atomic_thread_fence (__ATOMIC_SEQ_CST); /* the driver adds, then looks whether to ring */
}

void *
vm_virtqueue_next (VmVirtqueue *q, size_t size)
{
  void *e;

  if (!q->budget)
    {
      vm_virtqueue_kick (q);
      return NULL;
    }
  e = vm_virtqueue_pop (q, size);
  if (!e && !q->v->broken)
    {
      vm_virtqueue_set_notification (q, true);
      if (vm_virtqueue_empty (q))
        return NULL;
      vm_virtqueue_set_notification (q, false);
      e = vm_virtqueue_pop (q, size);
    }
  if (e)
    q->budget--;
  return e;
}

/* --- on the loop ----------------------------------------------------------------------------------------- */

static void
queue_serve (VmVirtqueue *q)
{
  const VmVirtioBus *bus = vm_virtio_bus (q->v);
  VmReentry mark;

  q->kicked = false;
  if (!vm_virtqueue_ready (q) || !q->handle)
    return;
  q->budget = q->batch ? q->batch : MAX (q->s->num, ROUND_MIN);
  if (q->v->lock) /* no registers are within reach */
    {
      q->handle (q->v, q);
      return;
    }
  vm_memory_owner_enter (bus->as->memory, &mark, bus->owner);
  q->handle (q->v, q);
  vm_memory_owner_leave (bus->as->memory, &mark);
}

/* The transport is what holds the memory of both. */
static VmObject *
holder (VmVirtio *v)
{
  return v->parent.parent.embedded ? v->parent.parent.parent : &v->parent.parent;
}

static void
look_after (void *opaque)
{
  VmVirtqueue *q = opaque;
  VmVirtio *v = q->v;
  VmObject *held = q->held;

  if (!v)
    {
      g_free (q); /* the device has gone */
      vm_object_unref (held);
      return;
    }
  bool taken = vm_virtio_enter (v);
  q->posted = false;
  q->held = NULL;
  if (q->kicked && vm_virtio_bus (v))
    queue_serve (q);
  if (q->pushed && vm_virtio_bus (v))
    vm_virtqueue_flush (q);
  vm_virtio_leave (v, taken);
  if (held)
    vm_object_unref (held);
}

/* Devices on iothreads wait for their posts when they go; others are held. */
static void
post (VmVirtqueue *q)
{
  if (q->posted)
    return;
  q->posted = true;
  if (!q->v->lock)
    q->held = vm_object_ref (holder (q->v));
  vm_loop_post (q->loop, look_after, q);
}

void
vm_virtqueue_kick (VmVirtqueue *q)
{
  bool taken = vm_virtio_enter (q->v);

  if (vm_virtqueue_ready (q))
    {
      q->kicked = true;
      post (q);
    }
  vm_virtio_leave (q->v, taken);
}

static bool
on_doorbell (int fd, GIOCondition condition, void *opaque)
{
  VmVirtqueue *q = opaque;
  VmVirtio *v = q->v;
  bool taken = vm_virtio_enter (v);
  uint64_t count;

  if (q->eventfd == fd && read (fd, &count, sizeof count) == sizeof count)
    {
      queue_serve (q);
      vm_virtqueue_flush (q);
    }
  vm_virtio_leave (v, taken);
  return true;
}

int
vm_virtqueue_doorbell (VmVirtqueue *q)
{
  if (q->eventfd < 0)
    {
      q->eventfd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (q->eventfd >= 0)
        q->watch = vm_loop_watch_fd (q->loop, q->eventfd, G_IO_IN, on_doorbell, q);
    }
  return q->eventfd;
}

void
vm_virtqueue_close_doorbell (VmVirtqueue *q)
{
  bool taken = vm_virtio_enter (q->v);

  vm_source_clear (&q->watch);
  if (q->eventfd >= 0)
    close (q->eventfd);
  q->eventfd = -1;
  vm_virtio_leave (q->v, taken);
}

/* --- set-up ---------------------------------------------------------------------------------------------- */

void
vm_virtqueue_enable (VmVirtqueue *q)
{
  bool taken = vm_virtio_enter (q->v);

  queue_unmap (q);
  q->s->enabled = q->s->num != 0;
  q->s->next_avail = q->s->next_used = 0;
  q->s->avail_wrap = q->s->used_wrap = 1;
  vm_virtio_leave (q->v, taken);
}

void
vm_virtqueue_reset (VmVirtqueue *q)
{
  bool taken = vm_virtio_enter (q->v);

  queue_unmap (q);
  q->pushed = 0;
  q->kicked = q->quiet = false;
  *q->s = (VmVirtqueueState) { .num = q->max, .vector = VM_VIRTIO_NO_VECTOR };
  vm_virtio_leave (q->v, taken);
}

void
virtqueue_loaded (VmVirtqueue *q)
{
  queue_unmap (q);
  q->pushed = 0;
  q->quiet = false;
}

void
vm_virtqueue_set_pfn (VmVirtqueue *q, uint32_t pfn)
{
  VmVirtqueueState *s = q->s;

  s->desc = (uint64_t) pfn << VM_PAGE_SHIFT;
  s->driver = s->desc + DESC_SIZE * (uint64_t) s->num;
  s->device = VM_ALIGN_UP (s->driver + 6 + 2 * (uint64_t) s->num, VM_PAGE_SIZE);
  vm_virtqueue_enable (q);
  s->enabled = pfn != 0 && s->num != 0;
}
