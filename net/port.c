/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports: delivery, and what waits while a port has no room. */
#include "net/net-private.h"

#include <string.h>

/* Of copies, at one port. A back end that cannot stop its senders loses packets then, as a switch does. */
#define HELD_BYTES_MAX (4 << 20)
#define HELD_MAX       4096

typedef struct VmNetHeld
{
  struct VmNetHeld *next;
  VmNetPort *from;   /* with SENT; NULL: a copy */
  VmNetSent sent;
  VmNetPacket packet; /* iov is below */
  unsigned segments;  /* of it that have gone already */
  bool dropped;       /* while it was being delivered */
  struct iovec iov[];
} VmNetHeld;

size_t
vm_net_packet_copy (const VmNetPacket *packet, size_t offset, void *buffer, size_t size)
{
  uint8_t *to = buffer;
  size_t done = 0;

  for (unsigned i = 0; i < packet->n && done < size; i++)
    {
      const struct iovec *v = &packet->iov[i];
      if (offset >= v->iov_len)
        {
          offset -= v->iov_len;
          continue;
        }
      size_t part = MIN (v->iov_len - offset, size - done);
      memcpy (to + done, (const uint8_t *) v->iov_base + offset, part);
      done += part;
      offset = 0;
    }
  return done;
}

/* --- connections -------------------------------------------------------------------------------------------- */

void
vm_net_port_init (VmNetPort *port, const VmNetPortOps *ops, void *opaque)
{
  *port = (VmNetPort){ .ops = ops, .opaque = opaque };
  port->held_tail = &port->held;
}

static void
drop_held (VmNetPort *port, const VmNetPort *only_from)
{
  VmNetHeld **at = &port->held;

  while (*at)
    {
      VmNetHeld *held = *at;
      if (only_from && held->from != only_from)
        {
          at = &held->next;
          continue;
        }
      *at = held->next;
      if (!held->from)
        port->held_bytes -= held->packet.len;
      port->held_n--;
      /* Without ONLY_FROM the sender stays and is to go on. */
      if (!only_from && held->from)
        held->sent (held->from->opaque);
      if (held == port->current)
        held->dropped = true;
      else
        g_free (held);
    }
  port->held_tail = at;
}

bool
vm_net_port_link_up (const VmNetPort *port)
{
  return port->peer && !port->link_down && !port->peer->link_down;
}

static void
tell_link (VmNetPort *port)
{
  if (port->ops->link_changed)
    port->ops->link_changed (port->opaque, vm_net_port_link_up (port));
}

static void
tell_offload (VmNetPort *port)
{
  if (port->ops->offload_changed)
    port->ops->offload_changed (port->opaque, vm_net_port_peer_takes (port));
}

void
vm_net_port_connect (VmNetPort *a, VmNetPort *b)
{
  g_assert (!a->peer && !b->peer);
  a->peer = b;
  b->peer = a;
  tell_offload (a);
  tell_offload (b);
  tell_link (a);
  tell_link (b);
}

void
vm_net_port_disconnect (VmNetPort *port)
{
  VmNetPort *peer = port->peer;

  if (!peer)
    return;
  port->peer = peer->peer = NULL;
  drop_held (port, NULL);
  drop_held (peer, NULL);
  port->stalled = peer->stalled = false;
  tell_link (port);
  tell_link (peer);
}

void
vm_net_port_close (VmNetPort *port)
{
  if (!port->ops)
    return;
  if (port->peer)
    vm_net_port_forget (port);
  vm_net_port_disconnect (port);
  drop_held (port, NULL);
  port->ops = NULL;
}

void
vm_net_port_forget (VmNetPort *port)
{
  if (port->peer)
    drop_held (port->peer, port);
}

void
vm_net_port_set_takes (VmNetPort *port, unsigned takes)
{
  if (port->takes == takes)
    return;
  port->takes = takes;
  if (port->peer)
    tell_offload (port->peer);
}

unsigned
vm_net_port_peer_takes (const VmNetPort *port)
{
  return port->peer ? port->peer->takes : 0;
}

/* --- delivery ------------------------------------------------------------------------------------------------ */

static bool
emit_to (void *opaque, const VmNetPacket *packet)
{
  VmNetPort *to = opaque;

  return to->ops->receive (to->opaque, packet);
}

/* All of PACKET from its segment *SEGMENTS on; false: there is no room for the rest. FROM may be NULL: gone. */
static bool
offer (VmNetPort *to, const VmNetPort *from, const VmNetPacket *packet, unsigned *segments)
{
  bool done;

  to->delivering = true;
  if (vm_net_needs_work (packet, from && from->plain ? 0 : to->takes))
    *segments += vm_net_do_work (packet, *segments, emit_to, to, &done);
  else
    done = to->ops->receive (to->opaque, packet);
  to->delivering = false;
  if (!done)
    to->stalled = true;
  return done;
}

static void
hold (VmNetPort *to, VmNetPort *from, const VmNetPacket *packet, unsigned segments, VmNetSent sent)
{
  VmNetHeld *held;

  if (sent)
    {
      held = g_malloc (sizeof *held + packet->n * sizeof (struct iovec));
      memcpy (held->iov, packet->iov, packet->n * sizeof (struct iovec));
      held->packet = (VmNetPacket){ held->iov, packet->n, packet->len, packet->header };
    }
  else
    {
      if (to->held_n >= HELD_MAX || to->held_bytes + packet->len > HELD_BYTES_MAX)
        {
          to->dropped++;
          return;
        }
      held = g_malloc (sizeof *held + sizeof (struct iovec) + packet->len);
      held->iov[0] = (struct iovec){ &held->iov[1], packet->len };
      vm_net_packet_copy (packet, 0, held->iov[0].iov_base, packet->len);
      held->packet = (VmNetPacket){ held->iov, 1, packet->len, packet->header };
      to->held_bytes += packet->len;
    }
  held->next = NULL;
  held->dropped = false;
  held->from = sent ? from : NULL;
  held->sent = sent;
  held->segments = segments;
  *to->held_tail = held;
  to->held_tail = &held->next;
  to->held_n++;
}

/* What waits for PORT, as far as there is room. */
static void
flush (VmNetPort *port)
{
  while (port->held && !port->stalled)
    {
      VmNetHeld *held = port->held;

      port->current = held;
      bool taken = !vm_net_port_link_up (port) || offer (port, held->from, &held->packet, &held->segments);
      port->current = NULL;
      if (held->dropped)
        {
          g_free (held);
          continue;
        }
      if (!taken)
        break;
      port->held = held->next;
      if (!port->held)
        port->held_tail = &port->held;
      port->held_n--;
      if (held->from)
        held->sent (held->from->opaque);
      else
        port->held_bytes -= held->packet.len;
      g_free (held);
      if (!port->held && port->peer && port->peer->ops->drained)
        port->peer->ops->drained (port->peer->opaque);
    }
}

bool
vm_net_deliver (VmNetPort *from, const VmNetPacket *packet, VmNetSent sent)
{
  VmNetPort *to = from->peer;
  unsigned segments = 0;

  if (!vm_net_port_link_up (from) || !packet->len || packet->len > VM_NET_FRAME_MAX)
    return true;
  from->sent += packet->len;
  /* A port that sends while it receives may get an answer before it has returned: that waits for its turn. */
  if (!to->stalled && !to->held && !to->delivering && offer (to, from, packet, &segments))
    {
      flush (to);
      return true;
    }
  hold (to, from, packet, segments, sent);
  return !sent;
}

bool
vm_net_send (VmNetPort *from, const VmNetPacket *packet, VmNetSent sent)
{
  if (!vm_net_port_link_up (from) || vm_net_filter (from, packet))
    return true;
  return vm_net_deliver (from, packet, sent);
}

bool
vm_net_send_bytes (VmNetPort *from, const void *frame, size_t len, VmNetSent sent)
{
  struct iovec iov = { (void *) frame, len };

  return vm_net_send (from, &(VmNetPacket){ .iov = &iov, .n = 1, .len = len }, sent);
}

bool
vm_net_can_send (const VmNetPort *from)
{
  return !from->peer || (!from->peer->stalled && !from->peer->held);
}

void
vm_net_port_ready (VmNetPort *port)
{
  port->stalled = false;
  if (!port->delivering)
    flush (port);
}

/* --- windows --------------------------------------------------------------------------------------------------- */

unsigned
vm_net_window (VmNetPort *from, struct iovec *iov, unsigned max, size_t size)
{
  VmNetPort *to = from->peer;

  if (!vm_net_port_link_up (from) || !to->ops->window || to->stalled || to->held || to->delivering
      || vm_net_filtered (from))
    return 0;
  return to->ops->window (to->opaque, iov, max, size);
}

void
vm_net_window_done (VmNetPort *from, const VmNetHeader *header, size_t len)
{
  from->sent += len;
  from->peer->ops->window_done (from->peer->opaque, header, len);
}
