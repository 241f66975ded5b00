/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transmission: descriptors, contexts, segmentation and check sums (8254x manual, 3.3 to 3.5). What a packet still needs
 * is said in its header and done by whoever can best. */
#include "devices/net/e1000.h"

#include <string.h>

#define ROUNDS 4096 /* descriptors handled in one go; a ring that never ends is gone on with later */

static uint64_t
ring_base (const E1000 *self)
{
  return ((uint64_t) self->regs[E1000_TDBAH / 4] << 32 | self->regs[E1000_TDBAL / 4]) & ~UINT64_C (15);
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
count_packet (E1000 *self, size_t len)
{
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
  if (vm_net_is_broadcast (self->tx_data))
    e1000_count (self, E1000_BPTC, 1);
  else if (vm_net_is_multicast (self->tx_data))
    e1000_count (self, E1000_MPTC, 1);
}

/* The sum of IPv4's header, over the bytes the context names. */
static void
sum_ip (E1000 *self, const E1000Context *c, size_t len)
{
  struct iovec iov = { self->tx_data, len };
  size_t end = c->ipcse ? MIN (c->ipcse + 1u, len) : len;

  if (c->ipcso + 2u > len || c->ipcss >= end)
    return;
  memset (self->tx_data + c->ipcso, 0, 2);
  uint16_t sum = vm_net_checksum (&iov, 1, c->ipcss, end - c->ipcss, 0);
  self->tx_data[c->ipcso] = sum >> 8;
  self->tx_data[c->ipcso + 1] = sum;
}

static void
insert_tag (E1000 *self)
{
  uint16_t vet = self->regs[E1000_VET / 4];

  if (!self->tx_vlan || self->tx_len < 12 || self->tx_len + 4 > VM_NET_FRAME_MAX)
    return;
  memmove (self->tx_data + 16, self->tx_data + 12, self->tx_len - 12);
  self->tx_data[12] = vet >> 8;
  self->tx_data[13] = vet;
  self->tx_data[14] = self->tx_vlan_tag >> 8;
  self->tx_data[15] = self->tx_vlan_tag;
  self->tx_len += 4;
}

/* What the back end is to do, by the contexts. Segments the guest describes in a way IP does not know go out whole. */
static VmNetHeader
make_header (E1000 *self)
{
  const E1000Context *c = self->tx_tse ? &self->tso : &self->csum;
  unsigned shift = self->tx_vlan ? 4 : 0;
  VmNetHeader header = { 0 };

  if (self->tx_tse && c->mss && c->hdrlen && self->tx_len > c->hdrlen + shift + c->mss)
    {
      header.gso_type = !(c->flags & 1) ? VM_NET_GSO_UDP_L4 : c->flags & 2 ? VM_NET_GSO_TCPV4 : VM_NET_GSO_TCPV6;
      header.gso_size = c->mss;
      header.hdr_len = c->hdrlen + shift;
    }
  if ((header.gso_type || self->tx_popts & TXD_POPTS_TXSM) && c->tucso >= c->tucss)
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
fix_lengths (E1000 *self)
{
  const E1000Context *c = &self->tso;
  unsigned at = c->ipcss, len = self->tx_len - at;
  struct iovec iov = { self->tx_data, self->tx_len };
  const VmNetPacket packet = { &iov, 1, self->tx_len, { 0 } };
  VmNetLayers layers;

  if (at + 20 > self->tx_len || len > UINT16_MAX)
    return;
  if (c->flags & 2)
    {
      self->tx_data[at + 2] = len >> 8;
      self->tx_data[at + 3] = len;
    }
  else
    {
      len -= 40;
      self->tx_data[at + 4] = len >> 8;
      self->tx_data[at + 5] = len;
    }
  if (vm_net_layers (&packet, &layers) && layers.ip_version && layers.l4 && !layers.fragment)
    vm_net_start_sum (self->tx_data, &layers);
}

/* False: the back end has no room, e1000_packet_sent() will come. */
static bool
send_packet (E1000 *self)
{
  struct iovec iov;
  VmNetPacket packet;
  bool loopback = (self->regs[E1000_RCTL / 4] & RCTL_LBM) || (self->phy[PHY_CTRL] & PHY_CTRL_LOOPBACK);
  size_t segments = 1;

  if (self->tx_tse)
    fix_lengths (self);
  if (self->tx_popts & TXD_POPTS_IXSM)
    sum_ip (self, self->tx_tse ? &self->tso : &self->csum, self->tx_len);
  packet.header = make_header (self);
  insert_tag (self);
  if (self->tx_len < VM_NET_FRAME_MIN && (self->regs[E1000_TCTL / 4] & TCTL_PSP))
    {
      memset (self->tx_data + self->tx_len, 0, VM_NET_FRAME_MIN - self->tx_len);
      self->tx_len = VM_NET_FRAME_MIN;
    }
  if (packet.header.gso_size)
    {
      segments = (self->tx_len - packet.header.hdr_len + packet.header.gso_size - 1) / packet.header.gso_size;
      e1000_count (self, E1000_TSCTC, 1);
    }
  for (size_t i = 0; i < segments; i++)
    count_packet (self, segments == 1 ? self->tx_len : MIN (self->tx_len, packet.header.gso_size + 54u));
  iov = (struct iovec){ self->tx_data, self->tx_len };
  packet.iov = &iov;
  packet.n = 1;
  packet.len = self->tx_len;
  if (loopback)
    {
      vm_net_finish (self->tx_data, self->tx_len, &packet.header);
      packet.header = (VmNetHeader){ 0 };
      e1000_receive (self, &packet);
      return true;
    }
  return vm_net_send (&self->card.ports[0], &packet, e1000_packet_sent);
}

static void
start_packet (E1000 *self)
{
  self->tx_len = 0;
  self->tx_started = false;
  self->tx_tse = false;
  self->tx_popts = 0;
  self->tx_vlan = false;
}

/* Its bytes join the packet; more than a frame can have are lost, as are packets of that length. */
static void
add_data (E1000 *self, uint64_t addr, uint32_t len)
{
  uint32_t room = VM_NET_FRAME_MAX - 4 - MIN (self->tx_len, VM_NET_FRAME_MAX - 4), part = MIN (len, room);

  vm_pci_dma_read (&self->parent, addr, self->tx_data + self->tx_len, part);
  self->tx_len += part;
}

/* One descriptor; returns false when the packet it ends waits for room. */
static bool
handle (E1000 *self, uint64_t low, uint64_t high)
{
  uint32_t lower = high, upper = high >> 32;
  bool sent = true;

  if ((lower & TXD_DEXT) && !(lower & TXD_DTYP_DATA))
    {
      load_context (lower & TXD_TSE ? &self->tso : &self->csum, low, high);
      return true;
    }
  if (lower & TXD_DEXT)
    {
      if (!self->tx_started)
        {
          self->tx_popts = upper >> 8;
          self->tx_tse = lower & TXD_TSE;
        }
      add_data (self, low, lower & 0xfffff);
    }
  else
    {
      add_data (self, low, lower & 0xffff);
      /* The legacy form names a field and where summing starts (3.3.3). */
      if (lower & TXD_IC && lower & TXD_EOP)
        {
          unsigned cso = lower >> 16 & 0xff, css = upper >> 8 & 0xff;
          struct iovec iov = { self->tx_data, self->tx_len };
          if (cso + 2u <= self->tx_len && css < self->tx_len)
            {
              uint16_t sum = vm_net_checksum (&iov, 1, css, self->tx_len - css, 0);
              self->tx_data[cso] = sum >> 8;
              self->tx_data[cso + 1] = sum;
            }
        }
    }
  self->tx_started = true;
  if ((lower & TXD_VLE) && (self->regs[E1000_CTRL / 4] & CTRL_VME) && (lower & TXD_EOP))
    {
      self->tx_vlan = true;
      self->tx_vlan_tag = upper >> 16;
    }
  if (lower & TXD_EOP)
    {
      if (self->tx_len >= 14)
        sent = send_packet (self);
      if (sent)
        start_packet (self);
      else
        self->tx_started = false;
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

void
e1000_transmit (E1000 *self)
{
  uint32_t *tdh = e1000_reg (self, E1000_TDH), *tdt = e1000_reg (self, E1000_TDT);
  uint32_t n = (self->regs[E1000_TDLEN / 4] & 0xfff80) / 16, causes = 0, late = 0;
  VmReentry mark;

  if (self->in_tx || self->sending || !n || !(self->regs[E1000_TCTL / 4] & TCTL_EN)
      || !vm_net_card_link_up (&self->card))
    return;
  self->in_tx = true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  /* A tail outside of the ring is never reached: one time around is all. */
  for (uint32_t rounds = 0; *tdh != *tdt && !self->sending && rounds < MIN (n, ROUNDS); rounds++)
    {
      uint64_t addr = ring_base (self) + (uint64_t) *tdh * 16, desc[2];
      if (vm_pci_dma_read (&self->parent, addr, desc, sizeof desc) != VM_MEM_OK)
        break;
      self->sending = !handle (self, GUINT64_FROM_LE (desc[0]), GUINT64_FROM_LE (desc[1]));
      write_back (self, addr, GUINT64_FROM_LE (desc[1]), &causes, &late);
      *tdh = *tdh + 1 >= n ? 0 : *tdh + 1;
    }
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  self->in_tx = false;
  if (*tdh == *tdt)
    causes |= INT_TXQE;
  if (late)
    e1000_interrupt_late (self, late, self->regs[E1000_TIDV / 4] & 0xffff, self->regs[E1000_TADV / 4] & 0xffff);
  if (causes)
    e1000_interrupt (self, causes);
}

void
e1000_packet_sent (void *opaque)
{
  E1000 *self = opaque;

  self->sending = false;
  start_packet (self);
  e1000_transmit (self);
}

void
e1000_tx_reset (E1000 *self)
{
  if (self->sending && self->card.ports)
    vm_net_port_forget (&self->card.ports[0]);
  self->sending = false;
  start_packet (self);
  self->tso = self->csum = (E1000Context){ 0 };
}
