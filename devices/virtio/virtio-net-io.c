/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets of the virtio network device: out of guest memory without a copy, into it with the only one. */
#include "devices/virtio/virtio-net.h"

#include "net/rss.h"

#include <string.h>

#define HEADER_LEGACY 10 /* without num_buffers */
#define HEADER        12
#define HEADER_HASH   20 /* with hash_value and hash_report */
#define MERGED_MAX    256 /* buffers of one packet */

static size_t
header_size (const VmVirtio *v)
{
  if (vm_virtio_has (v, VIRTIO_NET_F_HASH_REPORT))
    return HEADER_HASH;
  return vm_virtio_has (v, VIRTIO_F_VERSION_1) || vm_virtio_has (v, VIRTIO_NET_F_MRG_RXBUF) ? HEADER : HEADER_LEGACY;
}

/* --- transmit ----------------------------------------------------------------------------------------------- */

static VmVirtioNetPair *
pair_of (VmVirtioNet *s, const VmVirtqueue *q)
{
  return &s->pair[q->index / 2];
}

static void
packet_sent (void *opaque)
{
  VmVirtioNetPair *p = opaque;
  VmVirtqElement *e = g_steal_pointer (&p->held);

  if (!e)
    return;
  VmVirtqueue *q = e->q;
  vm_virtqueue_push (e, 0);
  vm_virtqueue_kick (q);
}

/* What the driver leaves to others (5.1.6.2). Fields are the guest's: the core checks them. */
static VmNetHeader
read_header (const VmVirtio *v, const uint8_t *raw)
{
  VmNetHeader h = {
    .flags = raw[0] & VM_NET_NEEDS_CSUM,
    .gso_type = raw[1],
    .hdr_len = raw[2] | raw[3] << 8,
    .gso_size = raw[4] | raw[5] << 8,
    .csum_start = raw[6] | raw[7] << 8,
    .csum_offset = raw[8] | raw[9] << 8,
  };

  if (!vm_virtio_has (v, VIRTIO_NET_F_CSUM))
    h = (VmNetHeader){ 0 };
  return h;
}

void
vm_virtio_net_transmit (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioNet *s = (VmVirtioNet *) v;
  VmVirtioNetPair *p = pair_of (s, q);
  size_t skip = header_size (v);
  int32_t budget = s->x_txburst;
  VmVirtqElement *e;

  while (!p->held && (e = vm_virtqueue_next (q, sizeof *e)))
    {
      const struct iovec *out = vm_virtq_out (e);
      size_t size = vm_iov_size (out, e->n_out);
      uint8_t raw[HEADER_LEGACY];
      VmNetPacket packet = { .iov = s->slice };

      if (e->n_in || size < skip || vm_iov_get (out, e->n_out, 0, raw, sizeof raw) < sizeof raw)
        {
          vm_virtqueue_drop (e);
          vm_virtio_break (v, "virtio-net header not in first element");
          return;
        }
      packet.header = read_header (v, raw);
      packet.len = size - skip;
      packet.n = vm_iov_slice (out, e->n_out, skip, packet.len, s->slice);
      if (packet.len < 14 || packet.len > VM_NET_FRAME_MAX
          || vm_net_send (&s->card.ports[p->index], &packet, packet_sent))
        vm_virtqueue_push (e, 0);
      else
        p->held = e;
      if (--budget == 0)
        {
          vm_virtqueue_kick (q);
          return;
        }
    }
}

void
vm_virtio_net_give_up (VmVirtioNet *s)
{
  for (unsigned i = 0; i < s->pairs; i++)
    if (s->pair[i].held)
      {
        vm_net_port_forget (&s->card.ports[i]);
        vm_virtqueue_drop (g_steal_pointer (&s->pair[i].held));
      }
}

/* --- receive --------------------------------------------------------------------------------------------------------- */

/* The queue for a packet that came by P's port. */
static VmVirtqueue *
pick_queue (VmVirtioNet *s, const VmVirtioNetPair *p, uint32_t hash, uint16_t type)
{
  const VmVirtioNetRss *r = &s->hashing;
  unsigned index = p->index;

  if (r->enabled)
    index = type && r->n_table ? r->table[hash & (r->n_table - 1u)] : r->unclassified;
  if (index >= MAX (s->active_pairs, 1))
    index = 0;
  return s->parent.queues[index * 2];
}

static void
write_header (const VmVirtioNet *s, const VmNetPacket *packet, uint32_t hash, uint16_t type, uint8_t *raw)
{
  const VmNetHeader *h = &packet->header;

  memset (raw, 0, HEADER_HASH);
  if (vm_virtio_has (&s->parent, VIRTIO_NET_F_GUEST_CSUM) && s->guest_offloads & VM_BIT (VIRTIO_NET_F_GUEST_CSUM))
    {
      raw[0] = h->flags;
      raw[1] = h->gso_type;
      memcpy (raw + 2, (const uint8_t[]){ h->hdr_len, h->hdr_len >> 8, h->gso_size, h->gso_size >> 8, h->csum_start,
                                          h->csum_start >> 8, h->csum_offset, h->csum_offset >> 8 }, 8);
    }
  memcpy (raw + 12, (const uint8_t[]){ hash, hash >> 8, hash >> 16, hash >> 24, type, type >> 8 }, 6);
}

/* PACKET from OFFSET on into the element's buffers behind SKIP bytes; returns how much. */
static size_t
fill (const VmVirtqElement *e, size_t skip, const VmNetPacket *packet, size_t offset)
{
  const struct iovec *in = vm_virtq_in (e);
  size_t done = 0;

  for (unsigned i = 0; i < e->n_in && offset < packet->len; i++)
    {
      if (skip >= in[i].iov_len)
        {
          skip -= in[i].iov_len;
          continue;
        }
      size_t part = vm_net_packet_copy (packet, offset, (uint8_t *) in[i].iov_base + skip, in[i].iov_len - skip);
      offset += part;
      done += part;
      skip = 0;
    }
  return done;
}

/* The driver's next buffer; without one, its doorbell is wanted. */
static VmVirtqElement *
pop_buffer (VmVirtqueue *q)
{
  VmVirtqElement *e = vm_virtqueue_pop (q, sizeof *e);

  if (e || q->v->broken)
    return e;
  vm_virtqueue_set_notification (q, true);
  return vm_virtqueue_empty (q) ? NULL : vm_virtqueue_pop (q, sizeof *e);
}

static void
put_back (VmVirtqElement **taken, unsigned n)
{
  while (n)
    vm_virtqueue_unpop (taken[--n]);
}

/* True when the packet was dealt with. */
static bool
deliver (VmVirtioNet *s, VmVirtqueue *q, const VmNetPacket *packet, uint32_t hash, uint16_t type)
{
  VmVirtio *v = &s->parent;
  size_t header = header_size (v), at = 0;
  bool merge = vm_virtio_has (v, VIRTIO_NET_F_MRG_RXBUF);
  VmVirtqElement *taken[MERGED_MAX];
  uint32_t written[MERGED_MAX];
  unsigned n = 0;
  uint8_t raw[HEADER_HASH];

  while (at < packet->len)
    {
      VmVirtqElement *e = n < MERGED_MAX ? pop_buffer (q) : NULL;
      size_t skip = n ? 0 : header;
      if (!e)
        {
          /* As if nothing had happened: the driver's next buffers bring the packet back. One that will never fit is
           * lost. */
          put_back (taken, n);
          return v->broken || n == MERGED_MAX;
        }
      size_t room = vm_iov_size (vm_virtq_in (e), e->n_in);
      if (e->n_out || room <= skip || (!merge && room - skip < packet->len))
        {
          bool useless = e->n_out || room <= skip;
          vm_virtqueue_unpop (e);
          put_back (taken, n);
          if (useless)
            vm_virtio_break (v, "virtio-net receive queue contains no in buffers");
          return true; /* longer than what the driver has buffers for: lost */
        }
      size_t part = fill (e, skip, packet, at);
      at += part;
      taken[n] = e;
      written[n++] = skip + part;
    }
  write_header (s, packet, hash, type, raw);
  raw[10] = n;
  raw[11] = n >> 8;
  vm_iov_put (vm_virtq_in (taken[0]), taken[0]->n_in, 0, raw, header);
  for (unsigned i = 0; i < n; i++)
    vm_virtqueue_push (taken[i], written[i]);
  return true;
}

bool
vm_virtio_net_receive (void *opaque, const VmNetPacket *packet)
{
  VmVirtioNetPair *p = opaque;
  VmVirtioNet *s = p->s;
  uint8_t head[18] = { 0 };
  uint32_t hash = 0;
  VmNetHashed type = VM_NET_HASHED_NOTHING;

  vm_net_packet_copy (packet, 0, head, sizeof head);
  if (!vm_virtio_running (&s->parent) || packet->len < 14 || !vm_virtio_net_passes (s, head))
    return true;
  if (s->hashing.enabled || s->hashing.report)
    hash = vm_net_hash (packet, s->hashing.types, s->hashing.key, &type);
  VmVirtqueue *q = pick_queue (s, p, hash, type);
  if (!vm_virtqueue_ready (q))
    return true;
  return deliver (s, q, packet, hash, type);
}
