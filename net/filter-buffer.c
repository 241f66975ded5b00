/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object filter-buffer: packets wait and go on together, every so many microseconds. */
#include "engine/machine/machine.h"
#include "net/filter.h"

#define WAITING_MAX (16u << 20) /* bytes; what comes when that is reached is lost */

typedef struct Waiting
{
  VmNetPort *port; /* of the netdev; a card may be gone when its packets' time has come */
  bool sent;       /* by the netdev */
  VmNetHeader header;
  size_t len;
  uint8_t bytes[];
} Waiting;

typedef struct FilterBuffer
{
  VmNetFilter parent;
  uint32_t interval; /* property: us */
  GQueue waiting;
  size_t bytes;
  VmTimer timer;
  bool started;
} FilterBuffer;

static void
release (FilterBuffer *self)
{
  Waiting *w;

  while ((w = g_queue_pop_head (&self->waiting)))
    {
      struct iovec iov = { w->bytes, w->len };
      self->bytes -= w->len;
      if (w->port->peer)
        vm_net_filter_pass (&self->parent, w->sent ? w->port : w->port->peer,
                            &(VmNetPacket){ &iov, 1, w->len, w->header });
      g_free (w);
    }
}

static void
set_timer (FilterBuffer *self)
{
  VmClocks *clocks = self->parent.netdev->net->clocks;

  vm_timer_set (&self->timer, vm_clock_now (clocks, VM_CLOCK_VIRTUAL) + self->interval * VM_NS_PER_US);
}

static void
time_is_up (void *opaque)
{
  FilterBuffer *self = opaque;

  release (self);
  set_timer (self);
}

static bool
buffer_start (VmNetFilter *filter, GError **error)
{
  FilterBuffer *self = (FilterBuffer *) filter;

  if (!self->interval)
    return vm_fail (error, "Property 'filter-buffer.interval' requires a positive value");
  g_queue_init (&self->waiting);
  vm_timer_init (&self->timer, filter->netdev->net->clocks, VM_CLOCK_VIRTUAL, time_is_up, self);
  self->started = true;
  if (filter->on)
    set_timer (self);
  return true;
}

static void
buffer_stop (VmNetFilter *filter)
{
  FilterBuffer *self = (FilterBuffer *) filter;

  vm_timer_cancel (&self->timer);
  g_queue_clear_full (&self->waiting, g_free);
  self->bytes = 0;
}

static void
buffer_switched (VmNetFilter *filter)
{
  FilterBuffer *self = (FilterBuffer *) filter;

  if (!self->started)
    return;
  if (filter->on)
    set_timer (self);
  else
    {
      vm_timer_cancel (&self->timer);
      release (self);
    }
}

static bool
buffer_receive (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  FilterBuffer *self = (FilterBuffer *) filter;

  if (self->bytes + packet->len > WAITING_MAX)
    return true;
  Waiting *w = g_malloc (sizeof *w + packet->len);
  w->sent = from->netdev != NULL;
  w->port = w->sent ? from : from->peer;
  w->header = packet->header;
  w->len = packet->len;
  vm_net_packet_copy (packet, 0, w->bytes, w->len);
  self->bytes += w->len;
  g_queue_push_tail (&self->waiting, w);
  return true;
}

static const VmProp buffer_props[] = {
  VM_PROP ("interval", FilterBuffer, interval, 0, "microseconds between two releases"),
  { 0 },
};

static const VmNetFilterClass buffer_class = {
  VM_NET_FILTER_USER,
  .start = buffer_start,
  .stop = buffer_stop,
  .receive = buffer_receive,
  .switched = buffer_switched,
};

const VmType vm_net_filter_buffer_type = {
  .name = "filter-buffer",
  .parent = &vm_net_filter_type,
  .size = sizeof (FilterBuffer),
  .help = "Keeps packets and lets them go together",
  .props = buffer_props,
  .klass = &buffer_class,
};
