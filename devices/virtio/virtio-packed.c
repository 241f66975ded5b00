/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packed queues (OASIS Virtual I/O Device 1.2, 2.8): one ring of descriptors that both sides write, and a word for
 * each side's wish to be notified. */
#include "devices/virtio/virtio-private.h"

enum { EVENT_OFF_WRAP = 0, EVENT_FLAGS = 2, EVENT_SIZE = 4 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };
enum { DESC_ID = 12, DESC_FLAGS = 14 };

static uint64_t
packed_area_size (const VmVirtqueue *q, unsigned area)
{
  return area == 0 ? DESC_SIZE * (uint64_t) q->s->num : EVENT_SIZE;
}

static bool
packed_empty (const VmVirtqueue *q)
{
  uint16_t flags = ring_load16 (q->desc.host + DESC_SIZE * q->s->next_avail + DESC_FLAGS);
  bool avail = flags & DESC_AVAIL, used = flags & DESC_USED;

  return avail != q->s->avail_wrap || used == q->s->avail_wrap;
}

static void
advance (const VmVirtqueue *q, uint16_t *index, uint8_t *wrap, unsigned slots)
{
  unsigned next = *index + slots;

  if (next >= q->s->num)
    {
      next -= q->s->num;
      *wrap ^= 1;
    }
  *index = (uint16_t) next;
}

static bool
packed_take (VmVirtqueue *q, Gather *g, uint16_t *id, uint16_t *slots)
{
  VmVirtqueueState *s = q->s;
  unsigned i = s->next_avail;

  if (packed_empty (q))
    return false;
  for (unsigned n = 1; n <= s->num; n++, i = i + 1 == s->num ? 0 : i + 1)
    {
      uint8_t desc[DESC_SIZE];

      memcpy (desc, q->desc.host + DESC_SIZE * i, sizeof desc);
      uint64_t addr = vm_load_le64 (desc);
      uint32_t len = vm_load_le32 (desc + 8);
      uint16_t flags = vm_load_le16 (desc + DESC_FLAGS);

      if (flags & DESC_INDIRECT)
        {
          if (n > 1 || (flags & DESC_NEXT))
            {
              vm_virtio_break (q->v, "queue %u: an indirect table inside a chain", q->index);
              return false;
            }
          if (!virtq_gather_indirect (g, addr, len, true))
            return false;
        }
      else if (!virtq_gather (g, addr, len, flags & DESC_WRITE))
        return false;
      if (flags & DESC_NEXT)
        continue;
      *id = vm_load_le16 (desc + DESC_ID);
      *slots = (uint16_t) n;
      advance (q, &s->next_avail, &s->avail_wrap, n);
      return true;
    }
  vm_virtio_break (q->v, "queue %u: a chain of descriptors without an end", q->index);
  return false;
}

static void
packed_untake (VmVirtqueue *q, uint16_t slots)
{
  VmVirtqueueState *s = q->s;

  if (s->next_avail < slots)
    {
      s->next_avail += s->num;
      s->avail_wrap ^= 1;
    }
  s->next_avail -= slots;
}

static void
packed_put (VmVirtqueue *q, uint16_t id, uint16_t slots, uint32_t written)
{
  VmVirtqueueState *s = q->s;
  uint8_t *at = q->desc.host + DESC_SIZE * s->next_used;

  vm_store_le32 (at + 8, written);
  vm_store_le16 (at + DESC_ID, id);
  ring_store16 (at + DESC_FLAGS,
                (uint16_t) ((s->used_wrap ? DESC_AVAIL | DESC_USED : 0) | (written ? DESC_WRITE : 0)));
  virtq_area_written (q, &q->desc, at, DESC_SIZE);
  advance (q, &s->next_used, &s->used_wrap, slots);
}

static bool
packed_publish (VmVirtqueue *q, unsigned slots)
{
  uint16_t flags, off_wrap, event;

  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  flags = ring_load16 (q->driver.host + EVENT_FLAGS) & 3;
  if (flags != EVENT_DESC || !vm_virtio_has (q->v, VIRTIO_F_EVENT_IDX))
    return flags != EVENT_DISABLE;
  off_wrap = ring_load16 (q->driver.host + EVENT_OFF_WRAP);
  event = off_wrap & 0x7fff;
  if (off_wrap >> 15 != q->s->used_wrap)
    event -= q->s->num;
  return virtq_event_passed (event, q->s->next_used, slots);
}

static void
packed_set_notification (VmVirtqueue *q, bool on)
{
  bool event = vm_virtio_has (q->v, VIRTIO_F_EVENT_IDX);

  if (on && event)
    ring_store16 (q->device.host + EVENT_OFF_WRAP, (uint16_t) (q->s->next_avail | q->s->avail_wrap << 15));
  ring_store16 (q->device.host + EVENT_FLAGS, !on ? EVENT_DISABLE : event ? EVENT_DESC : EVENT_ENABLE);
  virtq_area_written (q, &q->device, q->device.host, EVENT_SIZE);
}

const VirtqLayout virtq_packed = {
  .area_size = packed_area_size, .empty = packed_empty, .take = packed_take, .untake = packed_untake,
  .put = packed_put, .publish = packed_publish, .set_notification = packed_set_notification,
};
