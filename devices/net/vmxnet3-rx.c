/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's network card: receiving. A packet begins in a buffer of the first ring; more of it goes to the bodies that
 * follow there, then to those of the second ring. */
#include "devices/net/vmxnet3.h"

#include <string.h>

#define PIECES 32 /* buffers of one packet */
#define HEADERS (14 + 4 + UINT8_MAX + 20) /* as far as a check sum's field can be */

/* --- filters ------------------------------------------------------------------------------------------------ */

static bool
passes (const Vmxnet3 *s, const uint8_t *frame)
{
  if (s->rx_mode & MODE_PROMISC)
    return true;
  if (frame[12] == 0x81 && frame[13] == 0x00)
    {
      unsigned id = (frame[14] << 8 | frame[15]) & 0xfff;
      if (!(s->vlans[id >> 5] >> (id & 31) & 1))
        return false;
    }
  if (vm_net_is_broadcast (frame))
    return s->rx_mode & MODE_BCAST;
  if (!vm_net_is_multicast (frame))
    return s->rx_mode & MODE_UCAST && !memcmp (frame, s->mac, 6);
  if (s->rx_mode & MODE_ALL_MULTI)
    return true;
  if (!(s->rx_mode & MODE_MCAST))
    return false;
  for (unsigned i = 0; i < s->n_multicast; i++)
    if (!memcmp (s->multicast + i * 6, frame, 6))
      return true;
  return s->all_multicast;
}

bool
vmxnet3_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  const Vmxnet3 *s = (const Vmxnet3 *) device;
  bool promiscuous = s->rx_mode & MODE_PROMISC;

  filter->promiscuous = promiscuous;
  filter->broadcast_allowed = promiscuous || s->rx_mode & MODE_BCAST;
  filter->multicast_overflow = s->all_multicast;
  filter->multicast = promiscuous || s->rx_mode & MODE_ALL_MULTI ? 2 : s->rx_mode & MODE_MCAST ? 0 : 1;
  filter->unicast = promiscuous ? 2 : s->rx_mode & MODE_UCAST ? 0 : 1;
  filter->vlan = promiscuous ? 2 : 0;
  filter->multicast_table = (const uint8_t (*)[6]) s->multicast;
  filter->n_multicast = s->n_multicast;
  filter->vlan_bits = s->vlans;
  return true;
}

/* --- buffers ------------------------------------------------------------------------------------------------- */

typedef struct Piece
{
  uint64_t addr;
  uint32_t len;
  uint16_t index;
  uint8_t ring;
} Piece;

/* Whether the next descriptor of R is the device's; if so, what it is. */
static bool
look (Vmxnet3 *s, const Vmxnet3Ring *r, Piece *piece, bool *body)
{
  uint64_t at = r->base + r->next * UINT64_C (16);
  uint32_t gen = 0, desc[2] = { 0 };

  if (!r->size)
    return false;
  vm_pci_dma_read (&s->parent, at + 8, &gen, sizeof gen);
  gen = GUINT32_FROM_LE (gen);
  if (!(gen & RX_GEN) != !r->gen)
    return false;
  __atomic_thread_fence (__ATOMIC_ACQUIRE); /* the driver writes the generation last */
  vm_pci_dma_read (&s->parent, at, desc, sizeof desc);
  piece->addr = GUINT32_FROM_LE (desc[0]) | (uint64_t) GUINT32_FROM_LE (desc[1]) << 32;
  piece->len = gen & RX_LEN;
  piece->index = r->next;
  *body = gen & RX_BODY;
  return true;
}

typedef enum Found
{
  FOUND,
  NO_ROOM,
  TOO_LARGE
} Found;

/* Buffers for LEN bytes; RINGS go on by them only when they suffice. */
static Found
find_pieces (Vmxnet3 *s, Vmxnet3Rx *q, size_t len, Piece pieces[PIECES], unsigned *n)
{
  Vmxnet3Ring rings[2] = { q->ring[0], q->ring[1] };
  bool body = true;

  for (*n = 0; len > 0;)
    {
      Piece *p = &pieces[*n];
      if (*n == PIECES)
        return TOO_LARGE;
      if (*n == 0)
        {
          /* Bodies that an earlier packet did not need are passed over. */
          for (uint32_t i = 0; body; i++)
            {
              if (!look (s, &rings[0], p, &body))
                return NO_ROOM;
              if (i >= rings[0].size)
                return TOO_LARGE;
              vmxnet3_ring_step (&rings[0]);
            }
          p->ring = 0;
        }
      else if (look (s, &rings[0], p, &body) && body)
        {
          p->ring = 0;
          vmxnet3_ring_step (&rings[0]);
        }
      else if (!rings[1].size)
        return TOO_LARGE;
      else if (look (s, &rings[1], p, &body))
        {
          p->ring = 1;
          vmxnet3_ring_step (&rings[1]);
        }
      else
        return NO_ROOM;
      len -= MIN (len, p->len);
      (*n)++;
    }
  q->ring[0] = rings[0];
  q->ring[1] = rings[1];
  return FOUND;
}

/* --- packets ------------------------------------------------------------------------------------------------- */

/* Dword 3 of the last completion. */
static uint32_t
check_sums (const Vmxnet3 *s, const VmNetPacket *packet, uint32_t *dword0)
{
  uint32_t say = DONE_FCS;
  uint8_t head[64 + 40];
  VmNetLayers l;

  *dword0 |= DONE_CNC;
  if (!vm_net_layers (packet, &l) || !l.ip_version || l.l2 + 40u > sizeof head)
    return say;
  say |= l.ip_version == 4 ? DONE_V4 : DONE_V6;
  if (l.fragment)
    return say | DONE_FRAGMENT;
  if (!(s->features & FEATURE_RXCSUM) || !l.l4 || (l.protocol != 6 && l.protocol != 17))
    return say;
  say |= l.protocol == 6 ? DONE_TCP : DONE_UDP;
  vm_net_packet_copy (packet, 0, head, l.l2 + 40u);
  uint8_t udp_sum[2] = { 1 };
  if (l.protocol == 17)
    vm_net_packet_copy (packet, l.l2 + l.l3 + 6u, udp_sum, 2);
  if (!(udp_sum[0] | udp_sum[1]))
    return say;
  *dword0 &= ~(uint32_t) DONE_CNC;
  if (l.ip_version == 4 && vm_net_checksum (packet->iov, packet->n, l.l2, l.l3, 0) == 0)
    say |= DONE_IPC;
  uint32_t len = l.ip_len - l.l3;
  if (packet->header.flags & (VM_NET_NEEDS_CSUM | VM_NET_DATA_VALID)
      || vm_net_checksum (packet->iov, packet->n, l.l2 + l.l3, len,
                          vm_net_pseudo_sum (head + l.l2, l.ip_version, l.protocol, len))
             == 0)
    say |= DONE_TUC;
  return say;
}

static unsigned
pick_queue (const Vmxnet3 *s, const VmNetPacket *packet, uint32_t *hash, uint32_t *type)
{
  static const uint8_t types[] = {
    [VM_NET_HASHED_IPV4] = 1,  [VM_NET_HASHED_TCPV4] = 2, [VM_NET_HASHED_IPV6] = 3,
    [VM_NET_HASHED_TCPV6] = 4, [VM_NET_HASHED_UDPV6] = 0,
  };
  VmNetHashed what = VM_NET_HASHED_NOTHING;

  *hash = *type = 0;
  if (!(s->features & FEATURE_RSS) || !s->hash_n)
    return 0;
  *hash = vm_net_hash (packet, s->hash_types, s->hash_key, &what);
  *type = types[what];
  return *type ? s->hash_table[*hash % s->hash_n] % s->n_rx : 0;
}

/* The driver's shared word of queue Q says whether it is to ring when it has put buffers out. */
static void
ask_for_bell (Vmxnet3 *s, unsigned queue, bool on)
{
  uint8_t word = on;

  s->rx[queue].waiting = on;
  vm_pci_dma_write (&s->parent, vmxnet3_queue_at (s, true, queue) + QUEUE_UPDATE, &word, 1);
}

static bool
store (Vmxnet3 *s, unsigned queue, const VmNetPacket *packet, uint32_t dword0, uint32_t hash, uint32_t dword2,
       uint32_t dword3)
{
  Vmxnet3Rx *q = &s->rx[queue];
  Piece pieces[PIECES];
  unsigned n;
  Found found = find_pieces (s, q, packet->len, pieces, &n);

  if (found == NO_ROOM)
    {
      q->stats[STAT_RX_NO_BUFFER]++;
      ask_for_bell (s, queue, true);
      __atomic_thread_fence (__ATOMIC_SEQ_CST); /* the driver adds, then looks whether to ring */
      found = find_pieces (s, q, packet->len, pieces, &n);
    }
  if (found == NO_ROOM)
    return false;
  if (q->waiting)
    ask_for_bell (s, queue, false);
  if (found == TOO_LARGE)
    {
      q->stats[STAT_RX_ERROR]++;
      return true;
    }
  size_t at = 0;
  for (unsigned i = 0; i < n; i++)
    {
      size_t part = MIN (pieces[i].len, packet->len - at);
      bool last = i == n - 1;
      uint32_t done[4] = { pieces[i].index | (i == 0 ? DONE_SOP : 0) | (queue + (pieces[i].ring ? s->n_rx : 0)) << 16,
                           0, part, DONE_RX };

      vm_pci_dma_write_iov (&s->parent, pieces[i].addr, packet->iov, packet->n, at, part);
      at += part;
      if (last)
        {
          done[0] |= DONE_EOP | dword0;
          done[1] = hash;
          done[2] |= dword2;
          done[3] |= dword3;
        }
      vmxnet3_complete (s, &q->comp, done);
    }
  return true;
}

/* The pieces of PACKET without their first SKIP bytes. */
static unsigned
slice (const VmNetPacket *packet, size_t skip, struct iovec *iov)
{
  unsigned n = 0;

  for (unsigned i = 0; i < packet->n; i++)
    {
      size_t part = MIN (skip, packet->iov[i].iov_len);
      skip -= part;
      if (part < packet->iov[i].iov_len)
        iov[n++] = (struct iovec){ (uint8_t *) packet->iov[i].iov_base + part, packet->iov[i].iov_len - part };
    }
  return n;
}

/* The packet's pieces, with its check sum where it was left to us. HEAD: HEADERS bytes. */
static unsigned
add_sum (const VmNetPacket *packet, uint8_t *head, struct iovec *iov)
{
  const VmNetHeader *h = &packet->header;
  size_t field = (size_t) h->csum_start + h->csum_offset;
  unsigned sum;

  if (!(h->flags & VM_NET_NEEDS_CSUM) || field + 2 > HEADERS || field + 2 > packet->len)
    return slice (packet, 0, iov);
  sum = vm_net_checksum (packet->iov, packet->n, h->csum_start, packet->len - h->csum_start, 0);
  vm_net_packet_copy (packet, 0, head, field);
  vm_store_be16 (head + field, sum ? sum : 0xffff);
  iov[0] = (struct iovec){ head, field + 2 };
  return 1 + slice (packet, field + 2, iov + 1);
}

bool
vmxnet3_receive (void *card, const VmNetPacket *packet)
{
  Vmxnet3 *s = card;
  struct iovec iov[VM_NET_IOV_MAX + 3];
  uint8_t head[18] = { 0 }, padding[VM_NET_FRAME_MIN] = { 0 }, headers[HEADERS];
  VmNetPacket wire = *packet;
  uint32_t hash, type, dword0, dword2 = 0;
  VmReentry mark;

  if (!s->active || packet->len < 14 || packet->n > VM_NET_IOV_MAX)
    return true;
  vm_net_packet_copy (packet, 0, head, sizeof head);
  if (!passes (s, head))
    return true;
  unsigned queue = pick_queue (s, packet, &hash, &type);
  dword0 = type << 26;
  uint32_t dword3 = check_sums (s, packet, &dword0);

  wire.n = add_sum (packet, headers, iov);
  wire.iov = iov;
  if (s->features & FEATURE_RXVLAN && head[12] == 0x81 && !head[13] && packet->len >= 18)
    {
      size_t skip = 16;
      unsigned i = 0;
      dword2 = DONE_TS | (uint32_t) (head[14] << 8 | head[15]) << 16;
      while (i < wire.n && skip >= iov[i].iov_len)
        skip -= iov[i++].iov_len;
      memmove (iov + 1, iov + i, (wire.n - i) * sizeof iov[0]);
      wire.n = wire.n - i + 1;
      iov[0] = (struct iovec){ head, 12 };
      iov[1].iov_base = (uint8_t *) iov[1].iov_base + skip;
      iov[1].iov_len -= skip;
      wire.len -= 4;
    }
  if (wire.len < VM_NET_FRAME_MIN)
    {
      iov[wire.n++] = (struct iovec){ padding, VM_NET_FRAME_MIN - wire.len };
      wire.len = VM_NET_FRAME_MIN;
    }
  vm_memory_owner_enter (s->parent.parent.env->memory, &mark, s);
  bool taken = store (s, queue, &wire, dword0, hash, dword2, dword3);
  vm_memory_owner_leave (s->parent.parent.env->memory, &mark);
  if (taken)
    {
      vmxnet3_count (s->rx[queue].stats, head, wire.len);
      vmxnet3_interrupt (s, s->rx[queue].intr);
    }
  return taken;
}

void
vmxnet3_rx_ready (Vmxnet3 *s, unsigned queue)
{
  if (s->active && queue < s->n_rx)
    vm_net_port_ready (&s->card.ports[0]);
}
