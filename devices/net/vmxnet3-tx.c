/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's network card: sending. */
#include "devices/net/vmxnet3.h"

#include <string.h>

/* What is done in one go: the rest of the ring follows when others have had their turn. */
#define ROUNDS 2048 /* descriptors */
#define BYTES (8u << 20)
#define ROOM (VM_NET_FRAME_MAX - 4) /* for a packet without the tag to come */

static void
start_packet (Vmxnet3Tx *q)
{
  q->started = q->told = false;
  q->len = q->pieces = 0;
}

static void
stop_queue (Vmxnet3Tx *q, uint32_t error)
{
  q->stopped = true;
  q->error = error;
  q->stats[STAT_TX_ERROR]++;
  start_packet (q);
  vmxnet3_event (q->card, EVENT_TQERR);
}

static void
insert_tag (Vmxnet3Tx *q, uint16_t tag)
{
  memmove (q->data + 16, q->data + 12, q->len - 12);
  memcpy (q->data + 12, (const uint8_t[]){ 0x81, 0x00, tag >> 8, tag }, 4);
  q->len += 4;
}

/* A packet to cut has lengths and sums of the whole: drivers leave them out. */
static bool
prepare_segments (Vmxnet3Tx *q, VmNetHeader *header, unsigned mss)
{
  struct iovec iov = { q->data, q->len };
  const VmNetPacket packet = { &iov, 1, q->len, { 0 } };
  unsigned at = 12;
  VmNetLayers l;

  while (at + 6 < q->len
         && ((q->data[at] == 0x81 && !q->data[at + 1]) || (q->data[at] == 0x88 && q->data[at + 1] == 0xa8)))
    at += 4;
  at += 2;
  if (at + 40 > q->len || q->len - at > UINT16_MAX)
    return false;
  uint8_t *ip = q->data + at;
  unsigned version = ip[0] >> 4, len = q->len - at - (version == 6 ? 40 : 0), field = version == 6 ? 4 : 2;
  ip[field] = len >> 8;
  ip[field + 1] = len;
  if (!vm_net_layers (&packet, &l) || !l.ip_version || l.protocol != 6 || !l.l4 || l.fragment
      || q->len <= (size_t) l.l2 + l.l3 + l.l4 + mss)
    return false;
  if (version == 4)
    {
      ip[10] = ip[11] = 0;
      uint16_t sum = vm_net_checksum (&iov, 1, at, l.l3, 0);
      ip[10] = sum >> 8;
      ip[11] = sum;
    }
  vm_net_start_sum (q->data, &l);
  *header = (VmNetHeader){
    .flags = VM_NET_NEEDS_CSUM,
    .gso_type = version == 4 ? VM_NET_GSO_TCPV4 : VM_NET_GSO_TCPV6,
    .hdr_len = l.l2 + l.l3 + l.l4,
    .gso_size = mss,
    .csum_start = l.l2 + l.l3,
    .csum_offset = 16,
  };
  return true;
}

static void
packet_sent (void *card)
{
  Vmxnet3 *s = card;
  Vmxnet3Tx *q = s->sending;

  s->sending = NULL;
  if (q)
    start_packet (q);
  for (unsigned i = 0; s->active && i < s->n_tx; i++)
    vmxnet3_transmit (&s->tx[i]);
}

/* False: there is no room now, packet_sent() will come. */
static bool
send_packet (Vmxnet3Tx *q)
{
  unsigned hlen = q->how[1] & TX_HLEN, offset = q->how[0] >> 18;
  struct iovec iov = { q->data, 0 };
  VmNetPacket packet = { .iov = &iov, .n = 1 };
  size_t segments = 1;

  if (q->how[1] & TX_TI)
    {
      insert_tag (q, q->how[1] >> 16);
      hlen += 4;
    }
  if ((q->how[1] & TX_OM) == TX_OM_TSO)
    {
      if (offset && prepare_segments (q, &packet.header, offset))
        segments = (q->len - packet.header.hdr_len + offset - 1) / offset;
    }
  else if ((q->how[1] & TX_OM) == TX_OM_CSUM)
    {
      offset += q->how[1] & TX_TI ? 4 : 0;
      if (offset >= hlen && offset + 2 <= q->len)
        packet.header = (VmNetHeader){ .flags = VM_NET_NEEDS_CSUM, .csum_start = hlen, .csum_offset = offset - hlen };
    }
  if (segments > 1)
    {
      q->stats[STAT_LARGE] += segments;
      q->stats[STAT_LARGE + 1] += q->len;
    }
  vmxnet3_count (q->stats, q->data, q->len);
  iov.iov_len = packet.len = q->len;
  return vm_net_send (&q->card->card.ports[0], &packet, packet_sent);
}

/* The descriptor's bytes join the packet, which ends with it or not. */
static void
take_descriptor (Vmxnet3Tx *q, uint64_t addr, uint32_t dword2, uint32_t dword3)
{
  Vmxnet3 *s = q->card;
  uint32_t len = dword2 & TX_LEN ? dword2 & TX_LEN : TX_LEN + 1;

  if (!q->started)
    {
      start_packet (q);
      q->started = true;
      q->how[0] = dword2;
      q->how[1] = dword3;
    }
  q->told |= (dword3 & TX_CQ) != 0;
  q->pieces++;
  /* One byte more than fits tells that it was too much. */
  if (q->len + len <= ROOM)
    vm_pci_dma_read (&s->parent, addr, q->data + q->len, len);
  q->len = MIN (q->len + len, ROOM + 1);
}

/* True: go on. */
static bool
end_packet (Vmxnet3Tx *q, uint32_t index, bool *interrupt)
{
  Vmxnet3 *s = q->card;
  uint32_t done[4] = { index };
  bool sent = true;

  if (q->told)
    {
      vmxnet3_complete (s, &q->comp, done);
      *interrupt = true;
    }
  if (q->len > ROOM)
    q->stats[STAT_TX_ERROR]++;
  else if (q->len < 14)
    q->stats[STAT_TX_DISCARD]++;
  else
    sent = send_packet (q);
  if (!sent)
    s->sending = q;
  q->started = false;
  return sent;
}

void
vmxnet3_transmit (Vmxnet3Tx *q)
{
  Vmxnet3 *s = q->card;
  uint32_t bytes = 0, rounds;
  bool interrupt = false;
  VmReentry mark;

  if (q->running || q->stopped || !s->active || q->index >= s->n_tx)
    return;
  q->running = true;
  vm_memory_owner_enter (s->parent.parent.env->memory, &mark, s);
  for (rounds = 0; !s->sending && rounds < ROUNDS && bytes < BYTES; rounds++)
    {
      uint64_t at = q->ring.base + q->ring.next * UINT64_C (16);
      uint32_t gen = 0, desc[4] = { 0 }, index = q->ring.next;

      vm_pci_dma_read (&s->parent, at + 8, &gen, sizeof gen);
      if (!(GUINT32_FROM_LE (gen) & TX_GEN) != !q->ring.gen)
        break;
      __atomic_thread_fence (__ATOMIC_ACQUIRE); /* the driver writes the generation last */
      vm_pci_dma_read (&s->parent, at, desc, sizeof desc);
      vmxnet3_ring_step (&q->ring);
      take_descriptor (q, GUINT32_FROM_LE (desc[0]) | (uint64_t) GUINT32_FROM_LE (desc[1]) << 32,
                       GUINT32_FROM_LE (desc[2]), GUINT32_FROM_LE (desc[3]));
      bytes += TX_LEN + 1;
      if (GUINT32_FROM_LE (desc[3]) & TX_EOP)
        end_packet (q, index, &interrupt);
      else if (q->pieces >= q->ring.size)
        {
          stop_queue (q, ERROR_NOEOP);
          break;
        }
    }
  vm_memory_owner_leave (s->parent.parent.env->memory, &mark);
  q->running = false;
  if (!s->sending && (rounds == ROUNDS || bytes >= BYTES))
    vm_timer_set (&s->tx_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL));
  if (interrupt)
    vmxnet3_interrupt (s, q->intr);
}

void
vmxnet3_tx_timer (void *card)
{
  Vmxnet3 *s = card;

  for (unsigned i = 0; i < s->n_tx; i++)
    vmxnet3_transmit (&s->tx[i]);
}

void
vmxnet3_tx_stop (Vmxnet3 *s)
{
  if (s->sending && s->card.ports)
    vm_net_port_forget (&s->card.ports[0]);
  s->sending = NULL;
  vm_timer_cancel (&s->tx_timer);
  for (unsigned i = 0; i < VMXNET3_TX_QUEUES; i++)
    start_packet (&s->tx[i]);
}
