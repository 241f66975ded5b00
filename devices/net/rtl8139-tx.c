/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transmission of the RTL8139C+: four descriptors in C mode, two rings in C+ mode with check sums, tags and large sends
 * (data sheet, 6.3 and 9.2). */
#include "devices/net/rtl8139.h"

#include <string.h>

#define RING_MAX 64
#define ROUNDS 512                    /* C+ descriptors handled in one go */
#define PAUSE_NS (100 * VM_NS_PER_US) /* then the guest has its turn */

static void
packet_sent (void *opaque)
{
  Rtl8139 *self = opaque;

  self->sending = false;
  rtl8139_transmit (self);
}

/* The first LEN bytes of tx_data; room for a tag is behind them. */
static void
send_frame (Rtl8139 *self, uint32_t len, const VmNetHeader *header)
{
  struct iovec iov = { self->tx_data, MAX (len, VM_NET_FRAME_MIN) };
  VmNetPacket packet = { &iov, 1, iov.iov_len, *header };

  if (len < VM_NET_FRAME_MIN)
    memset (self->tx_data + len, 0, VM_NET_FRAME_MIN - len);
  self->tally.tx_ok++;
  if (rtl8139_loopback (self))
    {
      vm_net_finish (self->tx_data, packet.len, header);
      packet.header = (VmNetHeader){ 0 };
      rtl8139_take (self, &packet);
    }
  else
    self->sending = !vm_net_send (&self->card.ports[0], &packet, packet_sent);
}

/* --- C mode --------------------------------------------------------------------------------------------------- */

/* In turn; one that is not filled yet holds up the rest. */
static uint16_t
transmit_c (Rtl8139 *self)
{
  uint16_t causes = 0;

  for (int i = 0; i < 4 && !self->sending; i++)
    {
      uint8_t *reg = self->regs + RTL_TSD + self->tx_next * 4;
      uint32_t tsd = vm_load_le32 (reg), len = tsd & TSD_SIZE;
      if (tsd & TSD_OWN)
        break;
      vm_pci_dma_read (&self->parent, rtl8139_reg32 (self, RTL_TSAD + self->tx_next * 4), self->tx_data, len);
      vm_store_le32 (reg, tsd | TSD_OWN | TSD_TOK);
      self->tx_next = (self->tx_next + 1) & 3;
      causes |= ISR_TOK;
      /* The driver may bring its own check sequence. */
      if (rtl8139_reg32 (self, RTL_TCR) & TCR_CRC)
        len -= MIN (len, 4);
      if (len >= 14)
        send_frame (self, len, &(VmNetHeader){ 0 });
    }
  return causes;
}

/* --- C+ mode ----------------------------------------------------------------------------------------------------- */

static VmNetHeader
make_header (Rtl8139 *self)
{
  uint32_t word = self->tx_first[0], mss = word >> 16 & 0x7ff;
  struct iovec iov = { self->tx_data, self->tx_len };
  const VmNetPacket packet = { &iov, 1, self->tx_len, { 0 } };
  VmNetHeader header = { 0 };
  VmNetLayers l;

  if (!(word & (CPTX_LGSEN | CPTX_IPCS | CPTX_UDPCS | CPTX_TCPCS)) || !vm_net_layers (&packet, &l) || !l.ip_version)
    return header;
  if (l.ip_version == 4 && word & (CPTX_LGSEN | CPTX_IPCS))
    {
      uint8_t *ip = self->tx_data + l.l2;
      vm_store_be16 (ip + 10, 0);
      vm_store_be16 (ip + 10, vm_net_checksum (&iov, 1, l.l2, l.l3, 0));
    }
  /* Of a large send the bits of the sums belong to the segments' size. */
  if (!l.l4 || l.fragment
      || !(word & CPTX_LGSEN ? l.protocol == 6 : word & (l.protocol == 6 ? CPTX_TCPCS : CPTX_UDPCS)))
    return header;
  vm_net_start_sum (self->tx_data, &l);
  header.flags = VM_NET_NEEDS_CSUM;
  header.csum_start = l.l2 + l.l3;
  header.csum_offset = l.protocol == 6 ? 16 : 6;
  if (word & CPTX_LGSEN && mss && l.ip_len > l.l3 + l.l4 + mss)
    {
      header.gso_type = l.ip_version == 4 ? VM_NET_GSO_TCPV4 : VM_NET_GSO_TCPV6;
      header.gso_size = mss;
      header.hdr_len = l.l2 + l.l3 + l.l4;
    }
  return header;
}

static void
send_packet (Rtl8139 *self)
{
  VmNetHeader header = make_header (self);
  uint8_t *data = self->tx_data;

  if (self->tx_first[1] & CPTX2_TAGC)
    {
      memmove (data + 16, data + 12, self->tx_len - 12);
      vm_store_be16 (data + 12, 0x8100);
      vm_store_le16 (data + 14, self->tx_first[1]);
      self->tx_len += 4;
      header.csum_start += header.flags ? 4 : 0;
      header.hdr_len += header.hdr_len ? 4 : 0;
    }
  send_frame (self, self->tx_len, &header);
}

/* One descriptor of queue Q, at AT, with the words and the address that BYTES hold. */
static void
handle (Rtl8139 *self, uint64_t at, const uint8_t *bytes)
{
  uint32_t word = vm_load_le32 (bytes), room;
  uint8_t done[4];

  if (word & CP_FS || !self->tx_started)
    {
      self->tx_started = true;
      self->tx_len = 0;
      self->tx_first[0] = word;
      self->tx_first[1] = vm_load_le32 (bytes + 4);
    }
  room = self->tx_data_size - 8 - MIN (self->tx_len, self->tx_data_size - 8);
  vm_pci_dma_read (&self->parent, vm_load_le64 (bytes + 8), self->tx_data + self->tx_len, MIN (word & 0xffff, room));
  self->tx_len += MIN (word & 0xffff, room);
  vm_store_le32 (done, word & (CP_EOR | CP_FS | CP_LS | 0xffff));
  vm_pci_dma_write (&self->parent, at, done, 4);
  if (!(word & CP_LS))
    return;
  self->tx_started = false;
  if (self->tx_len >= 14)
    send_packet (self);
}

static uint16_t
transmit_queue (Rtl8139 *self, unsigned q, unsigned *rounds)
{
  uint64_t base = vm_load_le64 (self->regs + (q ? RTL_THPDS : RTL_TNPDS)) & ~UINT64_C (255);
  uint8_t poll = q ? TPPOLL_HIGH : TPPOLL_NORMAL, bytes[16];
  uint16_t causes = 0;

  for (; self->regs[RTL_TPPOLL] & poll && !self->sending && *rounds; (*rounds)--)
    {
      uint64_t at = base + self->tx_index[q] * 16;
      if (vm_pci_dma_read (&self->parent, at, bytes, sizeof bytes) != VM_MEM_OK || !(vm_load_le32 (bytes) & CP_OWN))
        {
          self->regs[RTL_TPPOLL] &= ~poll;
          return causes | ISR_TDU;
        }
      self->tx_index[q]
          = vm_load_le32 (bytes) & CP_EOR || self->tx_index[q] + 1 >= RING_MAX ? 0 : self->tx_index[q] + 1;
      handle (self, at, bytes);
      if (vm_load_le32 (bytes) & CP_LS)
        causes |= ISR_TOK;
    }
  return causes;
}

static uint16_t
transmit_cp (Rtl8139 *self)
{
  unsigned rounds = ROUNDS;
  uint16_t causes = transmit_queue (self, 1, &rounds);

  causes |= transmit_queue (self, 0, &rounds);
  if (!rounds)
    vm_timer_set (&self->tx_timer, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + PAUSE_NS);
  return causes;
}

/* --- both ----------------------------------------------------------------------------------------------------------
 */

void
rtl8139_transmit (Rtl8139 *self)
{
  VmReentry mark;
  uint16_t causes;

  if (self->in_tx || self->sending || !(self->regs[RTL_CR] & CR_TE) || vm_timer_pending (&self->tx_timer))
    return;
  self->in_tx = true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  causes = rtl8139_reg16 (self, RTL_CPCR) & CPCR_TX ? transmit_cp (self) : transmit_c (self);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  self->in_tx = false;
  if (causes)
    rtl8139_interrupt (self, causes);
}

void
rtl8139_tx_reset (Rtl8139 *self)
{
  if (self->sending && self->card.ports)
    vm_net_port_forget (&self->card.ports[0]);
  vm_timer_cancel (&self->tx_timer);
  self->sending = self->tx_started = false;
  self->tx_next = self->tx_index[0] = self->tx_index[1] = 0;
  self->tx_len = 0;
  for (int i = 0; i < 4; i++)
    vm_store_le32 (self->regs + RTL_TSD + i * 4, TSD_OWN);
}

void
rtl8139_dump_tally (Rtl8139 *self)
{
  const Rtl8139Tally *t = &self->tally;
  uint8_t bytes[64];
  VmReentry mark;

  vm_store_le64 (bytes, t->tx_ok);
  vm_store_le64 (bytes + 8, t->rx_ok);
  vm_store_le64 (bytes + 16, t->tx_errors);
  vm_store_le32 (bytes + 24, t->rx_errors);
  vm_store_le16 (bytes + 28, t->rx_missed);
  vm_store_le16 (bytes + 30, t->frame_align);
  vm_store_le32 (bytes + 32, t->tx_1_collision);
  vm_store_le32 (bytes + 36, t->tx_collisions);
  vm_store_le64 (bytes + 40, t->rx_physical);
  vm_store_le64 (bytes + 48, t->rx_broadcast);
  vm_store_le32 (bytes + 56, t->rx_multicast);
  vm_store_le16 (bytes + 60, t->tx_abort);
  vm_store_le16 (bytes + 62, t->tx_underrun);
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  vm_pci_dma_write (&self->parent, vm_load_le64 (self->regs + RTL_DTCCR) & ~UINT64_C (63), bytes, sizeof bytes);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
}
