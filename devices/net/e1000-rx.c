/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reception: address filters, check sums, legacy descriptors (8254x manual, 3.2 and 13.4.22). */
#include "devices/net/e1000.h"

#include <string.h>

/* --- filters ------------------------------------------------------------------------------------------------ */

static bool
vlan_passes (const E1000 *self, uint16_t tag)
{
  uint32_t word = self->regs[E1000_VFTA / 4 + (tag >> 5 & 0x7f)];

  return word >> (tag & 31) & 1;
}

/* Twelve bits of the address are looked up in the multicast table (13.5.1). */
static bool
hash_passes (const E1000 *self, const uint8_t *mac)
{
  static const uint8_t shifts[] = { 4, 3, 2, 0 };
  unsigned shift = shifts[self->regs[E1000_RCTL / 4] >> 12 & 3];
  unsigned hash = ((mac[5] << 8 | mac[4]) >> shift) & 0xfff;

  return self->regs[E1000_MTA / 4 + (hash >> 5)] >> (hash & 31) & 1;
}

static bool
is_tagged (const E1000 *self, const uint8_t *frame)
{
  return (frame[12] << 8 | frame[13]) == (int) (self->regs[E1000_VET / 4] & 0xffff);
}

/* FRAME: at least 18 bytes. */
static bool
passes (const E1000 *self, const uint8_t *frame)
{
  uint32_t rctl = self->regs[E1000_RCTL / 4];

  if ((rctl & RCTL_VFE) && is_tagged (self, frame) && !vlan_passes (self, (frame[14] << 8 | frame[15]) & 0xfff))
    return false;
  if (vm_net_is_multicast (frame))
    {
      if (rctl & RCTL_MPE || (vm_net_is_broadcast (frame) && rctl & RCTL_BAM))
        return true;
    }
  else if (rctl & RCTL_UPE)
    return true;
  for (unsigned i = 0; i < 16; i++)
    {
      uint32_t low = self->regs[E1000_RA / 4 + i * 2], high = self->regs[E1000_RA / 4 + i * 2 + 1];
      uint8_t mac[6] = { low, low >> 8, low >> 16, low >> 24, high, high >> 8 };
      if (high & RAH_AV && !memcmp (mac, frame, 6))
        return true;
    }
  return vm_net_is_multicast (frame) && hash_passes (self, frame);
}

bool
e1000_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  const E1000 *self = (const E1000 *) device;
  uint32_t rctl = self->regs[E1000_RCTL / 4];

  filter->promiscuous = rctl & RCTL_UPE;
  filter->broadcast_allowed = rctl & RCTL_BAM;
  filter->multicast = rctl & RCTL_MPE ? 2 : 0;
  filter->unicast = rctl & RCTL_UPE ? 2 : 0;
  filter->vlan = rctl & RCTL_VFE ? 0 : 2;
  filter->vlan_bits = rctl & RCTL_VFE ? &self->regs[E1000_VFTA / 4] : NULL;
  return true;
}

/* --- check sums ------------------------------------------------------------------------------------------------- */

/* What the status says of the sums: those of IP and TCP or UDP that are there and were asked for. */
static void
check_sums (const E1000 *self, const VmNetPacket *packet, E1000Frame *f)
{
  uint32_t rxcsum = self->regs[E1000_RXCSUM / 4];
  bool trusted = packet->header.flags & (VM_NET_NEEDS_CSUM | VM_NET_DATA_VALID);
  const VmNetLayers *l = &f->layers;
  uint8_t head[256];

  f->status |= RXD_IXSM;
  if (!f->has_layers || !l->ip_version || l->l2 + l->l3 + 40u > sizeof head)
    return;
  vm_net_packet_copy (packet, 0, head, l->l2 + l->l3 + 40u);
  if ((rxcsum & RXCSUM_IPOFL) && l->ip_version == 4)
    {
      f->status = (f->status & ~RXD_IXSM) | RXD_IPCS;
      if (vm_net_checksum (packet->iov, packet->n, l->l2, l->l3, 0) != 0)
        f->errors |= RXE_IPE;
    }
  if ((rxcsum & RXCSUM_TUOFL) && l->l4)
    {
      const uint8_t *ip = head + l->l2;
      uint32_t len = l->ip_len - l->l3;
      if (l->protocol == 17 && !(ip[l->l3 + 6] | ip[l->l3 + 7]))
        return;
      f->status = (f->status & ~RXD_IXSM) | RXD_TCPCS;
      if (!trusted
          && vm_net_checksum (packet->iov, packet->n, l->l2 + l->l3, len,
                              vm_net_pseudo_sum (ip, l->ip_version, l->protocol, len)) != 0)
        f->errors |= RXE_TCPE;
    }
}

/* --- descriptors ---------------------------------------------------------------------------------------------------- */

uint32_t
e1000_rx_buffer_size (const E1000 *self)
{
  uint32_t rctl = self->regs[E1000_RCTL / 4], size = 2048 >> (rctl >> 16 & 3);

  return rctl & RCTL_BSEX && (rctl >> 16 & 3) ? size * 16 : size;
}

uint32_t
e1000_rx_ring_size (const E1000 *self, unsigned queue)
{
  return (self->regs[(E1000_RDLEN + queue * E1000_QUEUE) / 4] & 0xfff80) / 16;
}

uint64_t
e1000_rx_base (const E1000 *self, unsigned queue)
{
  unsigned at = queue * E1000_QUEUE;

  return ((uint64_t) self->regs[(E1000_RDBAH + at) / 4] << 32 | self->regs[(E1000_RDBAL + at) / 4]) & ~UINT64_C (15);
}

/* A descriptor counts as 16 bytes here. */
uint32_t
e1000_rx_free (const E1000 *self, unsigned queue)
{
  unsigned at = queue * E1000_QUEUE;
  uint32_t n = e1000_rx_ring_size (self, queue);
  uint32_t rdh = self->regs[(E1000_RDH + at) / 4], rdt = self->regs[(E1000_RDT + at) / 4];

  /* A tail outside of the ring leaves all of it to the card. */
  if (!n || rdh == rdt)
    return 0;
  return rdt >= n ? n : rdh < rdt ? rdt - rdh : n - rdh + rdt;
}

/* Tag and status go into the last descriptor. */
bool
e1000_rx_store (E1000 *self, unsigned queue, uint32_t size, const E1000Frame *frame)
{
  const VmNetPacket *packet = &frame->packet;
  uint64_t base = e1000_rx_base (self, queue);
  uint32_t *rdh = e1000_reg (self, E1000_RDH + queue * E1000_QUEUE), n = e1000_rx_ring_size (self, queue);

  if ((uint64_t) e1000_rx_free (self, queue) * size < packet->len)
    return false;
  for (size_t at = 0; at < packet->len;)
    {
      uint64_t addr = base + (uint64_t) *rdh * 16;
      size_t part = MIN (size, packet->len - at);
      E1000RxDesc desc;

      vm_pci_dma_read (&self->parent, addr, &desc, sizeof desc);
      /* A null buffer is passed over (3.2.1). */
      if (desc.addr)
        vm_pci_dma_write_iov (&self->parent, GUINT64_FROM_LE (desc.addr), packet->iov, packet->n, at, part);
      at += part;
      desc.length = desc.addr ? GUINT16_TO_LE (part) : 0;
      desc.checksum = 0;
      desc.special = at < packet->len ? 0 : GUINT16_TO_LE (frame->tag);
      desc.errors = at < packet->len ? 0 : frame->errors;
      desc.status = 0;
      /* The status last: the driver looks at it. */
      vm_pci_dma_write (&self->parent, addr, &desc, sizeof desc);
      desc.status = RXD_DD | (at < packet->len ? 0 : RXD_EOP | frame->status);
      vm_pci_dma_write (&self->parent, addr + 12, &desc.status, 1);
      *rdh = *rdh + 1 >= n ? 0 : *rdh + 1;
    }
  return true;
}

static void
count_packet (E1000 *self, size_t len, const uint8_t *head)
{
  static const uint16_t limits[] = { 64, 127, 255, 511, 1023, 1522 };
  unsigned i = 0;

  while (i < G_N_ELEMENTS (limits) - 1 && len > limits[i])
    i++;
  e1000_count (self, E1000_PRC64 + i * 4, 1);
  e1000_count (self, E1000_TPR, 1);
  e1000_count (self, E1000_GPRC, 1);
  e1000_count (self, E1000_TORL, len);
  e1000_count (self, E1000_GORCL, len);
  if (vm_net_is_broadcast (head))
    e1000_count (self, E1000_BPRC, 1);
  else if (vm_net_is_multicast (head))
    e1000_count (self, E1000_MPRC, 1);
}

/* Wakes the driver when few descriptors are left, as RCTL.RDMTS says. */
static uint32_t
causes_of (E1000 *self)
{
  for (unsigned i = 0; i < self->model->queues; i++)
    {
      uint32_t n = e1000_rx_ring_size (self, i);
      if (n && e1000_rx_free (self, i) <= n >> (1 + (self->regs[E1000_RCTL / 4] >> 8 & 3)))
        return INT_RXDMT0;
    }
  return 0;
}

/* The tag of a frame with HEAD is taken out. IOV: the frame's, and room for one more. */
static void
strip_tag (E1000Frame *f, struct iovec *iov, uint8_t *head)
{
  VmNetPacket *p = &f->packet;
  size_t skip = 16;
  unsigned i = 0;

  f->tag = head[14] << 8 | head[15];
  f->status |= RXD_VP;
  f->stripped = 4;
  while (i < p->n && skip >= iov[i].iov_len)
    skip -= iov[i++].iov_len;
  memmove (iov + 1, iov + i, (p->n - i) * sizeof iov[0]);
  p->n = p->n - i + 1;
  iov[0] = (struct iovec){ head, 12 };
  if (p->n > 1)
    {
      iov[1].iov_base = (uint8_t *) iov[1].iov_base + skip;
      iov[1].iov_len -= skip;
    }
  p->len -= 4;
}

bool
e1000_receive (void *opaque, const VmNetPacket *packet)
{
  E1000 *self = opaque;
  uint32_t rctl = self->regs[E1000_RCTL / 4];
  struct iovec iov[VM_NET_IOV_MAX + 3];
  uint8_t head[18] = { 0 }, padding[VM_NET_FRAME_MIN] = { 0 }, fcs[4];
  E1000Frame f = { .packet = *packet };
  VmReentry mark;

  if (!(rctl & RCTL_EN) || !vm_net_card_link_up (&self->card) || packet->len < 14 || packet->n > VM_NET_IOV_MAX)
    return true;
  vm_net_packet_copy (packet, 0, head, sizeof head);
  if (packet->len + 4 > 16384 || (packet->len > 1518 && !(rctl & (RCTL_LPE | RCTL_SBP))))
    {
      e1000_count (self, E1000_ROC, 1);
      return true;
    }
  if (!passes (self, head))
    return true;
  f.has_layers = vm_net_layers (packet, &f.layers);
  check_sums (self, packet, &f);

  /* From here on the frame as it comes off the wire. */
  memcpy (iov, packet->iov, packet->n * sizeof iov[0]);
  f.packet.iov = iov;
  if (self->regs[E1000_CTRL / 4] & CTRL_VME && is_tagged (self, head) && packet->len >= 18)
    strip_tag (&f, iov, head);
  if (f.packet.len < VM_NET_FRAME_MIN)
    {
      iov[f.packet.n++] = (struct iovec){ padding, VM_NET_FRAME_MIN - f.packet.len };
      f.packet.len = VM_NET_FRAME_MIN;
    }
  if (!(rctl & RCTL_SECRC))
    {
      uint32_t crc = vm_net_frame_crc (&f.packet);
      memcpy (fcs, (const uint8_t[]){ crc, crc >> 8, crc >> 16, crc >> 24 }, 4);
      iov[f.packet.n++] = (struct iovec){ fcs, 4 };
      f.packet.len += 4;
    }
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  uint32_t stored = self->model->store (self, packet, &f);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  if (!stored)
    {
      e1000_count (self, E1000_RNBC, 1);
      e1000_interrupt (self, INT_RXO);
      return false;
    }
  count_packet (self, f.packet.len, head);
  uint32_t causes = causes_of (self);
  if (causes)
    e1000_interrupt (self, causes);
  e1000_interrupt_late (self, stored, self->regs[E1000_RDTR / 4] & 0xffff, self->regs[E1000_RADV / 4] & 0xffff);
  return true;
}
