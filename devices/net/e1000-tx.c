/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transmission: descriptors, contexts, segmentation and check sums (8254x manual, 3.3 to 3.5; 82574 data sheet, 7.2).
 * What a packet still needs is said in its header and done by whoever can best. */
#include "devices/net/e1000.h"

#include <string.h>

/* What is done in one go: the rest of the ring follows when others have had their turn. */
#define ROUNDS 4096       /* descriptors */
#define BYTES  (8u << 20)

static uint64_t
ring_base (const E1000 *self, unsigned at)
{
  return ((uint64_t) self->regs[(E1000_TDBAH + at) / 4] << 32 | self->regs[(E1000_TDBAL + at) / 4]) & ~UINT64_C (15);
}

static void
load_context (E1000Context *c, uint64_t low, uint64_t high)
{
  *c = (E1000Context){
    .ipcss = low, .ipcso = low >> 8, .ipcse = low >> 16, .tucss = low >> 32, .tucso = low >> 40, .tucse = low >> 48,
    .paylen = high & 0xfffff, .flags = high >> 24 & 3, .hdrlen = high >> 40, .mss = high >> 48,
  };
}

static void
count_packet (E1000Tx *q, size_t len)
{
  E1000 *self = q->card;
  static const uint16_t limits[] = { 64, 127, 255, 511, 1023, 1522 };
  size_t wire = len + 4;
  unsigned i = 0;

  while (i < G_N_ELEMENTS (limits) - 1 && wire > limits[i])
    i++;
  e1000_count (self, E1000_PTC64 + i * 4, 1);
  e1000_count (self, E1000_TPT, 1);
  e1000_count (self, E1000_GPTC, 1);
  e1000_count (self, E1000_TOTL, wire);
  e1000_count (self, E1000_GOTCL, wire);
  if (vm_net_is_broadcast (q->data))
    e1000_count (self, E1000_BPTC, 1);
  else if (vm_net_is_multicast (q->data))
    e1000_count (self, E1000_MPTC, 1);
}

/* The sum of IPv4's header, over the bytes the context names. */
static void
sum_ip (E1000Tx *q, const E1000Context *c, size_t len)
{
  struct iovec iov = { q->data, len };
  size_t end = c->ipcse ? MIN (c->ipcse + 1u, len) : len;

  if (c->ipcso + 2u > len || c->ipcss >= end)
    return;
  memset (q->data + c->ipcso, 0, 2);
  uint16_t sum = vm_net_checksum (&iov, 1, c->ipcss, end - c->ipcss, 0);
  q->data[c->ipcso] = sum >> 8;
  q->data[c->ipcso + 1] = sum;
}

static void
insert_tag (E1000Tx *q)
{
  uint16_t vet = q->card->regs[E1000_VET / 4];

  if (!q->vlan || q->len < 12 || q->len + 4 > VM_NET_FRAME_MAX)
    return;
  memmove (q->data + 16, q->data + 12, q->len - 12);
  q->data[12] = vet >> 8;
  q->data[13] = vet;
  q->data[14] = q->vlan_tag >> 8;
  q->data[15] = q->vlan_tag;
  q->len += 4;
}

/* What the back end is to do, by the contexts. Segments the guest describes in a way IP does not know go out whole. */
static VmNetHeader
make_header (E1000Tx *q)
{
  const E1000Context *c = q->tse ? &q->tso : &q->csum;
  unsigned shift = q->vlan ? 4 : 0;
  VmNetHeader header = { 0 };

  if (q->tse && c->mss && c->hdrlen && q->len > c->hdrlen + shift + c->mss)
    {
      header.gso_type = !(c->flags & 1) ? VM_NET_GSO_UDP_L4 : c->flags & 2 ? VM_NET_GSO_TCPV4 : VM_NET_GSO_TCPV6;
      header.gso_size = c->mss;
      header.hdr_len = c->hdrlen + shift;
    }
  if ((header.gso_type || q->popts & TXD_POPTS_TXSM) && c->tucso >= c->tucss)
    {
      header.flags = VM_NET_NEEDS_CSUM;
      header.csum_start = c->tucss + shift;
      header.csum_offset = c->tucso - c->tucss;
    }
  return header;
}

/* IP's length is that of one segment, or nothing, when the hardware is to cut (3.5.7), and TCP's sum begins without a
 * length: of the whole, then. */
static void
fix_lengths (E1000Tx *q)
{
  const E1000Context *c = &q->tso;
  unsigned at = c->ipcss, len = q->len - at;
  struct iovec iov = { q->data, q->len };
  const VmNetPacket packet = { &iov, 1, q->len, { 0 } };
  VmNetLayers layers;

  if (at + 20 > q->len || len > UINT16_MAX)
    return;
  if (c->flags & 2)
    {
      q->data[at + 2] = len >> 8;
      q->data[at + 3] = len;
    }
  else
    {
      len -= 40;
      q->data[at + 4] = len >> 8;
      q->data[at + 5] = len;
    }
  if (vm_net_layers (&packet, &layers) && layers.ip_version && layers.l4 && !layers.fragment)
    vm_net_start_sum (q->data, &layers);
}

/* False: the back end has no room, e1000_packet_sent() will come. */
static bool
send_packet (E1000Tx *q)
{
  E1000 *self = q->card;
  struct iovec iov;
  VmNetPacket packet;
  bool loopback = (self->regs[E1000_RCTL / 4] & RCTL_LBM) || (self->phy[PHY_CTRL] & PHY_CTRL_LOOPBACK);
  size_t segments = 1;

  if (q->tse)
    fix_lengths (q);
  if (q->popts & TXD_POPTS_IXSM)
    sum_ip (q, q->tse ? &q->tso : &q->csum, q->len);
  packet.header = make_header (q);
  insert_tag (q);
  if (q->len < VM_NET_FRAME_MIN && (self->regs[E1000_TCTL / 4] & TCTL_PSP))
    {
      memset (q->data + q->len, 0, VM_NET_FRAME_MIN - q->len);
      q->len = VM_NET_FRAME_MIN;
    }
  if (packet.header.gso_size)
    {
      segments = (q->len - packet.header.hdr_len + packet.header.gso_size - 1) / packet.header.gso_size;
      e1000_count (self, E1000_TSCTC, 1);
    }
  for (size_t i = 0; i < segments; i++)
    count_packet (q, segments == 1 ? q->len : MIN (q->len, packet.header.gso_size + 54u));
  iov = (struct iovec){ q->data, q->len };
  packet.iov = &iov;
  packet.n = 1;
  packet.len = q->len;
  if (loopback)
    {
      vm_net_finish (q->data, q->len, &packet.header);
      packet.header = (VmNetHeader){ 0 };
      e1000_receive (self, &packet);
      return true;
    }
  return vm_net_send (&self->card.ports[0], &packet, e1000_packet_sent);
}

static void
start_packet (E1000Tx *q)
{
  q->len = 0;
  q->started = false;
  q->tse = false;
  q->popts = 0;
  q->vlan = false;
  q->stamp = false;
}

/* Its bytes join the packet; more than a frame can have are lost, as are packets of that length. */
static void
add_data (E1000Tx *q, uint64_t addr, uint32_t len)
{
  uint32_t room = VM_NET_FRAME_MAX - 4 - MIN (q->len, VM_NET_FRAME_MAX - 4), part = MIN (len, room);

  vm_pci_dma_read (&q->card->parent, addr, q->data + q->len, part);
  q->len += part;
}

/* One descriptor; returns false when the packet it ends waits for room. */
static bool
handle (E1000Tx *q, uint64_t low, uint64_t high)
{
  E1000 *self = q->card;
  uint32_t lower = high, upper = high >> 32;
  bool sent = true;

  if ((lower & TXD_DEXT) && !(lower & TXD_DTYP_DATA))
    {
      load_context (lower & TXD_TSE ? &q->tso : &q->csum, low, high);
      return true;
    }
  if (lower & TXD_DEXT)
    {
      if (!q->started)
        {
          q->popts = upper >> 8;
          q->tse = lower & TXD_TSE;
        }
      add_data (q, low, lower & 0xfffff);
    }
  else
    {
      add_data (q, low, lower & 0xffff);
      /* The legacy form names a field and where summing starts (3.3.3). */
      if (lower & TXD_IC && lower & TXD_EOP)
        {
          unsigned cso = lower >> 16 & 0xff, css = upper >> 8 & 0xff;
          struct iovec iov = { q->data, q->len };
          if (cso + 2u <= q->len && css < q->len)
            {
              uint16_t sum = vm_net_checksum (&iov, 1, css, q->len - css, 0);
              q->data[cso] = sum >> 8;
              q->data[cso + 1] = sum;
            }
        }
    }
  q->started = true;
  if ((lower & TXD_VLE) && (self->regs[E1000_CTRL / 4] & CTRL_VME) && (lower & TXD_EOP))
    {
      q->vlan = true;
      q->vlan_tag = upper >> 16;
    }
  if (lower & TXD_DEXT && upper & TXD_TSTAMP)
    q->stamp = true;
  if (lower & TXD_EOP)
    {
      if (q->stamp && self->model->sent)
        self->model->sent (self, q);
      if (q->len >= 14)
        sent = send_packet (q);
      if (sent)
        start_packet (q);
      else
        q->started = false;
    }
  return sent;
}

static void
write_back (E1000 *self, uint64_t addr, uint64_t high, uint32_t *causes, uint32_t *late)
{
  uint8_t status;

  if (!((uint32_t) high & (TXD_RS | TXD_RPS)))
    return;
  status = (high >> 32 & 0xf0) | TXD_STAT_DD;
  vm_pci_dma_write (&self->parent, addr + 12, &status, 1);
  if ((uint32_t) high & TXD_IDE)
    *late |= INT_TXDW;
  else
    *causes |= INT_TXDW;
}

/* What queue Q has, as far as its packets find room and it is not too much. */
static void
run_queue (E1000Tx *q)
{
  E1000 *self = q->card;
  unsigned at = q->index * E1000_QUEUE;
  uint32_t *tdh = e1000_reg (self, E1000_TDH + at), *tdt = e1000_reg (self, E1000_TDT + at);
  uint32_t n = (self->regs[(E1000_TDLEN + at) / 4] & 0xfff80) / 16, causes = 0, late = 0, bytes = 0, rounds;
  VmReentry mark;

  if (q->running || self->sending || !n || !(self->regs[E1000_TCTL / 4] & TCTL_EN)
      || !vm_net_card_link_up (&self->card)
      || (self->model->queues > 1 && !(self->regs[(E1000_TARC + at) / 4] & TARC_ENABLE)))
    return;
  q->running = true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  /* A tail outside of the ring is never reached: one time around is all. */
  for (rounds = 0; *tdh != *tdt && !self->sending && rounds < MIN (n, ROUNDS) && bytes < BYTES; rounds++)
    {
      uint64_t addr = ring_base (self, at) + (uint64_t) *tdh * 16, desc[2];
      if (vm_pci_dma_read (&self->parent, addr, desc, sizeof desc) != VM_MEM_OK)
        break;
      if (!handle (q, GUINT64_FROM_LE (desc[0]), GUINT64_FROM_LE (desc[1])))
        self->sending = q;
      bytes += MIN (GUINT64_FROM_LE (desc[1]) & 0xfffff, VM_NET_FRAME_MAX);
      write_back (self, addr, GUINT64_FROM_LE (desc[1]), &causes, &late);
      *tdh = *tdh + 1 >= n ? 0 : *tdh + 1;
    }
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  q->running = false;
  if (*tdh == *tdt)
    causes |= INT_TXQE;
  else if (*tdt < n && !self->sending && (rounds == ROUNDS || bytes >= BYTES))
    vm_timer_set (&self->tx_timer, e1000_now (self));
  if (late)
    e1000_interrupt_late (self, late | INT_TXQ0 << q->index, self->regs[E1000_TIDV / 4] & 0xffff,
                          self->regs[E1000_TADV / 4] & 0xffff);
  if (causes)
    e1000_interrupt (self, causes | (causes & INT_TXDW ? INT_TXQ0 << q->index : 0));
}

void
e1000_transmit (E1000 *self)
{
  for (unsigned i = 0; i < self->model->queues; i++)
    run_queue (&self->tx[i]);
}

void
e1000_packet_sent (void *opaque)
{
  E1000 *self = opaque;
  E1000Tx *q = self->sending;

  self->sending = NULL;
  if (q)
    start_packet (q);
  e1000_transmit (self);
}

void
e1000_tx_reset (E1000 *self)
{
  if (self->sending && self->card.ports)
    vm_net_port_forget (&self->card.ports[0]);
  self->sending = NULL;
  vm_timer_cancel (&self->tx_timer);
  for (unsigned i = 0; i < E1000_QUEUES; i++)
    {
      start_packet (&self->tx[i]);
      self->tx[i].tso = self->tx[i].csum = (E1000Context){ 0 };
    }
}
