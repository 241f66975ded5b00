/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reception of the 82574: queues by hash, extended and packet split descriptors (data sheet, 7.1). */
#include "devices/net/e1000e.h"

/* --- queues ------------------------------------------------------------------------------------------------------- */

typedef struct Hashed
{
  unsigned queue;
  uint32_t mrq, hash; /* of the descriptor */
} Hashed;

static Hashed
hash_packet (const E1000 *self, const VmNetPacket *packet)
{
  static const uint8_t types[] = {
    [VM_NET_HASHED_TCPV4] = 1, [VM_NET_HASHED_IPV4] = 2,  [VM_NET_HASHED_TCPV6] = 3,
    [VM_NET_HASHED_IPV6] = 5,  [VM_NET_HASHED_UDPV6] = 0,
  };
  uint32_t mrqc = self->regs[E1000_MRQC / 4], reta;
  uint8_t key[VM_NET_HASH_KEY];
  Hashed h = { 0 };
  VmNetHashed what;

  if ((mrqc & 3) != 1)
    return h;
  for (unsigned i = 0; i < sizeof key; i += 4)
    vm_store_le32 (key + i, self->regs[E1000_RSSRK / 4 + i / 4]);
  h.hash = vm_net_hash (packet,
                        (mrqc >> 16 & 1 ? VM_NET_HASH_TCPV4 : 0) | (mrqc >> 17 & 1 ? VM_NET_HASH_IPV4 : 0)
                            | (mrqc >> 19 & 3 ? VM_NET_HASH_IPV6 : 0) | (mrqc & 0x240000 ? VM_NET_HASH_TCPV6 : 0),
                        key, &what);
  if (!types[what])
    return (Hashed){ 0 };
  reta = self->regs[E1000_RETA / 4 + (h.hash >> 2 & 31)] >> (h.hash & 3) * 8;
  h.queue = reta >> 7 & 1;
  h.mrq = types[what] | h.queue << 8;
  return h;
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

/* Without a hash the second dword has IP's identification and a sum: that of the packet from RXCSUM.PCSS on, or of the
 * payload of a fragment (7.1.10). */
static uint32_t
id_and_sum (const E1000 *self, const VmNetPacket *packet, const E1000Frame *f, uint32_t *status)
{
  uint32_t rxcsum = self->regs[E1000_RXCSUM / 4];
  size_t from = rxcsum & 0xff, len = packet->len;
  uint8_t id[2] = { 0 };

  if (f->has_layers && f->layers.ip_version == 4)
    {
      vm_net_packet_copy (packet, f->layers.l2 + 4, id, 2);
      *status |= RXX_IPIDV;
    }
  if (rxcsum & RXCSUM_IPPCSE)
    {
      if (!f->has_layers || f->layers.ip_version != 4 || !f->layers.fragment)
        return id[0] << 8 | id[1];
      from = f->layers.l2 + f->layers.l3;
      len = MIN (len, (size_t) f->layers.l2 + f->layers.ip_len);
      if (f->layers.protocol == 17)
        *status |= RXX_UDPV;
    }
  uint16_t sum = from < len ? ~vm_net_checksum (packet->iov, packet->n, from, len - from, 0) : 0;
  return (uint32_t) sum << 16 | id[0] << 8 | id[1];
}

/* What the last descriptor says of the frame. */
static E1000RxExtended
describe (E1000 *self, const VmNetPacket *packet, const E1000Frame *f, const Hashed *h)
{
  E1000RxExtended d = { .mrq = GUINT32_TO_LE (h->mrq), .vlan = GUINT16_TO_LE (f->tag) };
  uint32_t status = RXD_DD | RXD_EOP | f->status | (uint32_t) f->errors << 24;

  if (f->status & RXD_TCPCS && f->layers.protocol == 17)
    status |= RXX_UDPCS;
  d.hash = self->regs[E1000_RXCSUM / 4] & RXCSUM_PCSD ? h->hash : id_and_sum (self, packet, f, &status);
  d.hash = GUINT32_TO_LE (d.hash);
  d.status = GUINT32_TO_LE (status);
  return d;
}

/* The status last: the driver looks at it. */
static void
write_back (E1000 *self, uint64_t addr, E1000RxExtended *d, size_t size)
{
  uint32_t status = d->status;

  d->status = 0;
  vm_pci_dma_write (&self->parent, addr, d, size);
  vm_pci_dma_write (&self->parent, addr + offsetof (E1000RxExtended, status), &status, sizeof status);
}

static bool
store_extended (E1000 *self, uint32_t size, const Hashed *h, const E1000Frame *f, const E1000RxExtended *last)
{
  uint32_t *rdh = e1000_reg (self, E1000_RDH + h->queue * E1000_QUEUE), n = e1000_rx_ring_size (self, h->queue);
  const VmNetPacket *packet = &f->packet;

  if ((uint64_t) e1000_rx_free (self, h->queue) * size < packet->len)
    return false;
  for (size_t at = 0; at < packet->len;)
    {
      uint64_t addr = e1000_rx_base (self, h->queue) + (uint64_t) *rdh * 16, buffer = 0;
      size_t part = MIN (size, packet->len - at);
      E1000RxExtended d = { .mrq = last->mrq, .status = GUINT32_TO_LE (RXD_DD) };

      vm_pci_dma_read (&self->parent, addr, &buffer, sizeof buffer);
      if (buffer)
        vm_pci_dma_write_iov (&self->parent, GUINT64_FROM_LE (buffer), packet->iov, packet->n, at, part);
      at += part;
      if (at == packet->len)
        d = *last;
      d.length = buffer ? GUINT16_TO_LE (part) : 0;
      write_back (self, addr, &d, sizeof d);
      *rdh = *rdh + 1 >= n ? 0 : *rdh + 1;
    }
  return true;
}

/* --- packet split ------------------------------------------------------------------------------------------------ */

/* Bytes of the headers, where they are known and wanted (7.1.9); 0: all is one. */
static unsigned
header_len (const E1000 *self, const E1000Frame *f)
{
  uint32_t rfctl = self->regs[E1000_RFCTL / 4];
  const VmNetLayers *l = &f->layers;

  if (!f->has_layers || !l->ip_version || (l->ip_version == 6 && rfctl & RFCTL_IPV6_DIS)
      || (l->fragment && rfctl & RFCTL_IPFRSP_DIS))
    return 0;
  return l->l2 + l->l3 + l->l4 - f->stripped;
}

/* A descriptor takes two places of the ring. One of no use at all (its buffers have no size) drops the packet. */
static bool
store_split (E1000 *self, const Hashed *h, const E1000Frame *f, const E1000RxExtended *last)
{
  uint32_t psrctl = self->regs[E1000_PSRCTL / 4], n = e1000_rx_ring_size (self, h->queue) & ~1u;
  uint32_t *rdh = e1000_reg (self, E1000_RDH + h->queue * E1000_QUEUE);
  uint32_t sizes[4]
      = { (psrctl & 0x7f) * 128, (psrctl >> 8 & 63) * 1024, (psrctl >> 16 & 63) * 1024, (psrctl >> 24 & 63) * 1024 };
  uint32_t rest = sizes[1] + sizes[2] + sizes[3], header = header_len (self, f);
  const VmNetPacket *packet = &f->packet;
  bool split = header && header <= sizes[0] && header < packet->len;
  size_t first = (split ? header : sizes[0]) + rest, at = 0;
  uint64_t needed = packet->len <= first ? 1 : rest ? 1 + (packet->len - first + rest - 1) / rest : 0;

  if (!needed)
    return true;
  if (e1000_rx_free (self, h->queue) / 2 < needed)
    return false;
  while (at < packet->len)
    {
      uint64_t addr = e1000_rx_base (self, h->queue) + (uint64_t) *rdh * 16, buffers[4] = { 0 };
      E1000RxSplit d = { .first = { .mrq = last->mrq, .status = GUINT32_TO_LE (RXD_DD) } };
      uint16_t lengths[4] = { 0 };

      vm_pci_dma_read (&self->parent, addr, buffers, sizeof buffers);
      if (!at)
        d.header = GUINT16_TO_LE ((header & 0x3ff) | (split ? RXX_HEADER_SPLIT : 0));
      for (unsigned i = at ? 1 : 0; i < 4 && at < packet->len; i++)
        {
          size_t part = MIN (i == 0 && split ? header : sizes[i], packet->len - at);
          vm_pci_dma_write_iov (&self->parent, GUINT64_FROM_LE (buffers[i]), packet->iov, packet->n, at, part);
          lengths[i] = part;
          at += part;
        }
      if (at == packet->len)
        d.first = *last;
      d.first.length = GUINT16_TO_LE (lengths[0]);
      for (unsigned i = 0; i < 3; i++)
        d.lengths[i] = GUINT16_TO_LE (lengths[i + 1]);
      write_back (self, addr, &d.first, sizeof d);
      *rdh = *rdh + 2 >= n ? 0 : *rdh + 2;
    }
  return true;
}

/* --- time stamps ----------------------------------------------------------------------------------------------------
 */

/* Whether PACKET is one of those that get a stamp: a message of IEEE 1588 in Ethernet, in UDP, or just any. */
static bool
wants_stamp (const E1000e *self, const VmNetPacket *packet, const E1000Frame *f)
{
  uint32_t control = self->time[(E1000_TSYNCRXCTL - E1000E_TIME) / 4], type = control >> 1 & 7;
  uint8_t port[2] = { 0 };

  if (!(control & TSYNC_ENABLE) || (control & TSYNC_VALID) || !f->has_layers)
    return false;
  if (type == 4)
    return true;
  if (type != 1 && f->layers.ethertype == (self->time[(E1000_RXCFG - E1000E_TIME) / 4] & 0xffff))
    return true;
  if (type == 0 || f->layers.protocol != 17 || !f->layers.l4)
    return false;
  vm_net_packet_copy (packet, f->layers.l2 + f->layers.l3 + 2u, port, 2);
  return (port[0] << 8 | port[1]) == 319;
}

static void
stamp (E1000e *self)
{
  uint64_t clock = e1000e_clock (self);

  self->time[(E1000_RXSTMPL - E1000E_TIME) / 4] = clock;
  self->time[(E1000_RXSTMPH - E1000E_TIME) / 4] = clock >> 32;
  self->time[(E1000_TSYNCRXCTL - E1000E_TIME) / 4] |= TSYNC_VALID;
}

/* --- acknowledgements --------------------------------------------------------------------------------------------- */

/* With ACKD_DIS only those without data. */
static bool
is_ack (const E1000 *base, const VmNetPacket *packet, const E1000Frame *f)
{
  uint32_t rfctl = base->regs[E1000_RFCTL / 4];
  const VmNetLayers *l = &f->layers;
  uint8_t flags = 0;

  if (!(base->regs[E1000_IMS / 4] & INT_ACK) || rfctl & RFCTL_ACKDIS || !f->has_layers || l->protocol != 6 || !l->l4)
    return false;
  vm_net_packet_copy (packet, l->l2 + l->l3 + 13u, &flags, 1);
  return flags & 0x10 && (!(rfctl & RFCTL_ACKD_DIS) || l->ip_len == l->l3 + l->l4);
}

static void
tell_ack (E1000e *self)
{
  uint32_t delay = self->base.regs[E1000_RAID / 4];

  if (!delay)
    e1000e_ack_told (self);
  else if (!vm_timer_pending (&self->ack_timer))
    vm_timer_set (&self->ack_timer, e1000_now (&self->base) + delay * INT64_C (1024));
}

uint32_t
e1000e_store (E1000 *base, const VmNetPacket *packet, E1000Frame *frame)
{
  E1000e *self = (E1000e *) base;
  uint32_t rctl = base->regs[E1000_RCTL / 4],
           size = rctl >> 27 & 15 ? (rctl >> 27 & 15) * 1024 : e1000_rx_buffer_size (base);
  Hashed h = hash_packet (base, packet);
  bool stored;

  if (!(base->regs[E1000_RFCTL / 4] & RFCTL_EXSTEN))
    stored = e1000_rx_store (base, h.queue, size, frame);
  else
    {
      E1000RxExtended last = describe (base, packet, frame, &h);
      bool stamped = wants_stamp (self, packet, frame);

      if (stamped)
        last.status |= GUINT32_TO_LE (RXX_TST);
      stored = (rctl & RCTL_DTYP) == RCTL_DTYP_SPLIT ? store_split (base, &h, frame, &last)
                                                     : store_extended (base, size, &h, frame, &last);
      if (stored && stamped)
        stamp (self);
    }
  if (stored && is_ack (base, packet, frame))
    tell_ack (self);
  return stored ? INT_RXT0 | INT_RXQ0 << h.queue : 0;
}
