/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Split queues (OASIS Virtual I/O Device 1.2, 2.7): a table of descriptors, a ring of the driver's, a ring of the
 * device's. */
#include "devices/virtio/virtio-private.h"

enum { AVAIL_FLAGS = 0, AVAIL_IDX = 2, AVAIL_RING = 4, USED_FLAGS = 0, USED_IDX = 2, USED_RING = 4, USED_SIZE = 8 };
enum { AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };

static uint64_t
split_area_size (const VmVirtqueue *q, unsigned area)
{
  unsigned num = q->s->num, event = vm_virtio_has (q->v, VIRTIO_F_EVENT_IDX) ? 2 : 0;

  switch (area)
    {
    case 0:
      return DESC_SIZE * (uint64_t) num;
    case 1:
      return AVAIL_RING + 2 * (uint64_t) num + event;
    default:
      return USED_RING + USED_SIZE * (uint64_t) num + event;
    }
}

static bool
split_empty (const VmVirtqueue *q)
{
  return ring_load16 (q->driver.host + AVAIL_IDX) == q->s->next_avail;
}

static bool
split_chain (VmVirtqueue *q, Gather *g, uint16_t head)
{
  unsigned num = q->s->num, i = head;

  for (unsigned steps = 0; steps < num; steps++)
    {
      uint8_t desc[DESC_SIZE];

      memcpy (desc, q->desc.host + DESC_SIZE * i, sizeof desc); /* the guest may change it while we look */
      uint64_t addr = vm_load_le64 (desc);
      uint32_t len = vm_load_le32 (desc + 8);
      uint16_t flags = vm_load_le16 (desc + 12);

      if (flags & DESC_INDIRECT)
        {
          if (flags & DESC_NEXT)
            {
              vm_virtio_break (q->v, "queue %u: an indirect table and a next descriptor", q->index);
              return false;
            }
          return virtq_gather_indirect (g, addr, len, false);
        }
      if (!virtq_gather (g, addr, len, flags & DESC_WRITE))
        return false;
      if (!(flags & DESC_NEXT))
        return true;
      i = vm_load_le16 (desc + 14);
      if (i >= num)
        break;
    }
  vm_virtio_break (q->v, "queue %u: a chain of descriptors without an end", q->index);
  return false;
}

static bool
split_take (VmVirtqueue *q, Gather *g, uint16_t *id, uint16_t *slots)
{
  VmVirtqueueState *s = q->s;
  uint16_t idx = ring_load16 (q->driver.host + AVAIL_IDX), head;

  if (idx == s->next_avail)
    return false;
  if ((uint16_t) (idx - s->next_avail) > s->num)
    {
      vm_virtio_break (q->v, "queue %u: available index %u after %u", q->index, idx, s->next_avail);
      return false;
    }
  head = ring_load16 (q->driver.host + AVAIL_RING + 2 * (s->next_avail % s->num));
  if (head >= s->num)
    {
      vm_virtio_break (q->v, "queue %u: head %u of %u descriptors", q->index, head, s->num);
      return false;
    }
  if (!split_chain (q, g, head))
    return false;
  s->next_avail++;
  *id = head;
  *slots = 1;
  return true;
}

static void
split_untake (VmVirtqueue *q, uint16_t slots)
{
  q->s->next_avail -= slots;
}

static void
split_put (VmVirtqueue *q, uint16_t id, uint16_t slots, uint32_t written)
{
  uint8_t *at = q->device.host + USED_RING + USED_SIZE * (q->s->next_used % q->s->num);

  vm_store_le32 (at, id);
  vm_store_le32 (at + 4, written);
  virtq_area_written (q, &q->device, at, USED_SIZE);
  q->s->next_used++;
}

static bool
split_publish (VmVirtqueue *q, unsigned slots)
{
  VmVirtqueueState *s = q->s;

  ring_store16 (q->device.host + USED_IDX, s->next_used);
  virtq_area_written (q, &q->device, q->device.host + USED_IDX, 2);
  __atomic_thread_fence (__ATOMIC_SEQ_CST); /* the driver writes its wish, then looks at the index */
  if (vm_virtio_has (q->v, VIRTIO_F_NOTIFY_ON_EMPTY) && q->in_flight == 0 && split_empty (q))
    return true;
  if (vm_virtio_has (q->v, VIRTIO_F_EVENT_IDX))
    return virtq_event_passed (ring_load16 (q->driver.host + AVAIL_RING + 2 * s->num), s->next_used, slots);
  return !(ring_load16 (q->driver.host + AVAIL_FLAGS) & AVAIL_F_NO_INTERRUPT);
}

static void
split_set_notification (VmVirtqueue *q, bool on)
{
  bool event = vm_virtio_has (q->v, VIRTIO_F_EVENT_IDX);
  uint8_t *at = q->device.host + (event ? USED_RING + USED_SIZE * q->s->num : USED_FLAGS);

  if (event && !on)
    return; /* the event of the last time has passed */
  ring_store16 (at, event ? q->s->next_avail : on ? 0 : USED_F_NO_NOTIFY);
  virtq_area_written (q, &q->device, at, 2);
}

const VirtqLayout virtq_split = {
  .area_size = split_area_size, .empty = split_empty, .take = split_take, .untake = split_untake, .put = split_put,
  .publish = split_publish, .set_notification = split_set_notification,
};
