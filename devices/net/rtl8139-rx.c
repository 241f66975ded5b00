/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reception of the RTL8139C+: filters, the ring of C mode, the descriptors of C+ mode (data sheet, 6.10 and 9.3). */
#include "devices/net/frame.h"
#include "devices/net/rtl8139.h"

#include <string.h>

/* The longest frames, with check sequence: in C mode what drivers leave room for behind the ring's end. */
#define C_FRAME_MAX 1792
#define CP_FRAME_MAX 4096
#define RING_MAX 64 /* descriptors, when none says that it is the last */

/* --- filters ------------------------------------------------------------------------------------------------ */

/* How the frame got through, as the header in C mode has it; 0: it did not. */
static uint16_t
passes (const Rtl8139 *self, const uint8_t *mac)
{
  uint32_t rcr = rtl8139_reg32 (self, RTL_RCR);

  if (vm_net_is_broadcast (mac))
    return rcr & (RCR_AB | RCR_AAP) ? RXH_BAR : 0;
  if (vm_net_is_multicast (mac))
    {
      uint32_t hash = vm_net_crc32_be (mac, 6) >> 26;
      bool hit = self->regs[RTL_MAR + hash / 8] >> (hash & 7) & 1;
      return rcr & RCR_AAP || (rcr & RCR_AM && hit) ? RXH_MAR : 0;
    }
  if (!memcmp (mac, self->regs + RTL_IDR, 6) && rcr & (RCR_APM | RCR_AAP))
    return RXH_PAM;
  return rcr & RCR_AAP ? RXH_ROK : 0;
}

bool
rtl8139_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  const Rtl8139 *self = (const Rtl8139 *) device;
  uint32_t rcr = rtl8139_reg32 (self, RTL_RCR);
  bool every = vm_load_le64 (self->regs + RTL_MAR) == UINT64_MAX;

  filter->promiscuous = rcr & RCR_AAP;
  filter->broadcast_allowed = rcr & RCR_AB;
  filter->multicast = rcr & RCR_AAP || (rcr & RCR_AM && every) ? 2 : rcr & RCR_AM ? 0 : 1;
  filter->unicast = rcr & RCR_AAP ? 2 : rcr & RCR_APM ? 0 : 1;
  filter->vlan = 2;
  return true;
}

/* --- C mode: one ring of bytes ------------------------------------------------------------------------------------ */

static uint32_t
ring_size (const Rtl8139 *self)
{
  return 8192u << (rtl8139_reg32 (self, RTL_RCR) >> 11 & 3);
}

/* CAPR is 16 behind what the driver has read. */
static uint32_t
ring_used (const Rtl8139 *self)
{
  return (rtl8139_reg16 (self, RTL_CBR) - (rtl8139_reg16 (self, RTL_CAPR) + 16u)) & (ring_size (self) - 1);
}

bool
rtl8139_buffer_empty (const Rtl8139 *self)
{
  return ring_used (self) == 0;
}

/* LEN bytes at offset AT of the ring; what is behind its end goes to its start, or on when the guest wants that. */
static void
ring_write (Rtl8139 *self, uint32_t at, const uint8_t *bytes, uint32_t len)
{
  uint32_t base = rtl8139_reg32 (self, RTL_RBSTART), size = ring_size (self), first = MIN (len, size - at);

  if (rtl8139_reg32 (self, RTL_RCR) & RCR_WRAP && size < 65536)
    first = len;
  vm_pci_dma_write (&self->parent, base + at, bytes, first);
  if (first < len)
    vm_pci_dma_write (&self->parent, base, bytes + first, len - first);
}

static bool
receive_c (Rtl8139 *self, const VmNetPacket *packet, uint16_t how)
{
  uint32_t size = ring_size (self), cbr = rtl8139_reg16 (self, RTL_CBR) & (size - 1), need;
  uint8_t bytes[4 + C_FRAME_MAX];
  size_t len = vm_net_wire_frame (packet, bytes + 4, C_FRAME_MAX);

  if (!len)
    {
      self->tally.rx_errors++;
      rtl8139_interrupt (self, ISR_RER);
      return true;
    }
  need = (4 + len + 3) & ~3u;
  /* A ring that is full to the last byte would look empty. */
  if (need >= size - ring_used (self))
    {
      rtl8139_interrupt (self, ISR_RXOVW);
      return false;
    }
  vm_store_le16 (bytes, how | RXH_ROK);
  vm_store_le16 (bytes + 2, len);
  ring_write (self, cbr, bytes, 4 + len);
  vm_store_le16 (self->regs + RTL_CBR, (cbr + need) & (size - 1));
  return true;
}

/* --- C+ mode: descriptors -------------------------------------------------------------------------------------------
 */

/* What the first word says of the protocols, and of their sums when those are to be looked at. */
static uint32_t
check_sums (const Rtl8139 *self, const VmNetPacket *packet)
{
  bool trusted = packet->header.flags & (VM_NET_NEEDS_CSUM | VM_NET_DATA_VALID);
  uint8_t ip[60];
  uint32_t word;
  VmNetLayers l;

  if (!(rtl8139_reg16 (self, RTL_CPCR) & CPCR_RXCHKSUM) || !vm_net_layers (packet, &l) || l.ip_version != 4
      || l.l3 > sizeof ip)
    return 0;
  vm_net_packet_copy (packet, l.l2, ip, l.l3);
  word = vm_net_checksum (packet->iov, packet->n, l.l2, l.l3, 0) ? CPRX_IPF : 0;
  if (!l.l4 || (l.protocol != 6 && l.protocol != 17))
    return word | CPRX_PID_IP << CPRX_PID_SHIFT;
  word |= (l.protocol == 6 ? CPRX_PID_TCP : CPRX_PID_UDP) << CPRX_PID_SHIFT;
  if (!trusted)
    {
      uint32_t len = l.ip_len - l.l3;
      uint8_t sum[2] = { 0 };
      vm_net_packet_copy (packet, l.l2 + l.l3 + 6, sum, 2);
      /* UDP may do without. */
      if ((l.protocol == 6 || sum[0] || sum[1])
          && vm_net_checksum (packet->iov, packet->n, l.l2 + l.l3, len, vm_net_pseudo_sum (ip, 4, l.protocol, len)))
        word |= l.protocol == 6 ? CPRX_TCPF : CPRX_UDPF;
    }
  return word;
}

typedef struct RxDesc
{
  uint64_t at;
  uint32_t word, size;
  uint64_t buffer;
} RxDesc;

static uint64_t
rx_ring (const Rtl8139 *self)
{
  return vm_load_le64 (self->regs + RTL_RDSAR) & ~UINT64_C (255);
}

/* The descriptor that is INDEX; false: it is the driver's. */
static bool
fetch (Rtl8139 *self, unsigned index, RxDesc *desc)
{
  uint8_t bytes[16];

  desc->at = rx_ring (self) + index * 16;
  if (vm_pci_dma_read (&self->parent, desc->at, bytes, sizeof bytes) != VM_MEM_OK)
    return false;
  desc->word = vm_load_le32 (bytes);
  desc->size = desc->word & CPRX_SIZE;
  desc->buffer = vm_load_le64 (bytes + 8);
  return desc->word & CP_OWN;
}

static void
put_back (Rtl8139 *self, const RxDesc *desc, uint32_t word, uint32_t second)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, second);
  vm_pci_dma_write (&self->parent, desc->at + 4, bytes, 4);
  vm_store_le32 (bytes, word | (desc->word & CP_EOR));
  vm_pci_dma_write (&self->parent, desc->at, bytes, 4);
}

static unsigned
after (unsigned index, uint32_t word)
{
  return word & CP_EOR || index + 1 >= RING_MAX ? 0 : index + 1;
}

static void
count_missed (Rtl8139 *self)
{
  uint32_t missed = rtl8139_reg32 (self, RTL_MPC) & 0xffffff;

  vm_store_le32 (self->regs + RTL_MPC, MIN (missed + 1, 0xffffffu));
  self->tally.rx_missed++;
}

static bool
receive_cp (Rtl8139 *self, const VmNetPacket *packet, uint16_t how)
{
  uint8_t bytes[CP_FRAME_MAX], *frame = bytes;
  size_t len = vm_net_wire_frame (packet, bytes, sizeof bytes);
  uint32_t word = check_sums (self, packet), second = 0, room = 0;
  unsigned n = 0, index = self->rx_index;
  bool around = false;
  RxDesc descs[RING_MAX];

  if (!len)
    {
      self->tally.rx_errors++;
      rtl8139_interrupt (self, ISR_RER);
      return true;
    }
  if (rtl8139_reg16 (self, RTL_CPCR) & CPCR_RXVLAN && vm_load_be16 (frame + 12) == 0x8100)
    {
      /* As it lay on the wire, the upper byte first. */
      second = CPRX2_TAVA | vm_load_le16 (frame + 14);
      memmove (frame + 4, frame, 12);
      frame += 4;
      len -= 4;
    }
  for (; room < len && !around && n < RING_MAX && fetch (self, index, &descs[n]); n++)
    {
      room += descs[n].size;
      index = after (index, descs[n].word);
      around = index == self->rx_index;
    }
  if (room < len)
    {
      rtl8139_interrupt (self, ISR_RXOVW);
      if (!around && n < RING_MAX)
        return false;
      /* All there are cannot hold it. */
      count_missed (self);
      return true;
    }
  word |= (how & RXH_MAR ? CPRX_MAR : 0) | (how & RXH_PAM ? CPRX_PAM : 0) | (how & RXH_BAR ? CPRX_BAR : 0);
  for (unsigned i = 0; i < n; i++)
    {
      uint32_t part = MIN (descs[i].size, len);
      vm_pci_dma_write (&self->parent, descs[i].buffer, frame, part);
      frame += part;
      len -= part;
      descs[i].size = part;
    }
  /* The first goes back last: the driver sees whole frames. */
  for (unsigned i = n; i-- > 0;)
    {
      uint32_t total = frame - bytes - (second ? 4 : 0);
      put_back (self, &descs[i],
                word | (i == 0 ? CP_FS : 0) | (i == n - 1 ? CP_LS | (total & CPRX_SIZE) : descs[i].size),
                i == n - 1 ? second : 0);
    }
  self->rx_index = index;
  return true;
}

/* --- both ------------------------------------------------------------------------------------- */

bool
rtl8139_take (Rtl8139 *self, const VmNetPacket *packet)
{
  bool plus = rtl8139_reg16 (self, RTL_CPCR) & CPCR_RX, taken;
  uint8_t mac[6];
  uint16_t how;
  VmReentry mark;

  if (!(self->regs[RTL_CR] & CR_RE) || packet->len < 14)
    return true;
  vm_net_packet_copy (packet, 0, mac, 6);
  how = passes (self, mac);
  if (!how)
    return true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  taken = plus ? receive_cp (self, packet, how) : receive_c (self, packet, how);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  if (!taken)
    return false;
  self->tally.rx_ok++;
  self->tally.rx_physical += !!(how & RXH_PAM);
  self->tally.rx_broadcast += !!(how & RXH_BAR);
  self->tally.rx_multicast += !!(how & RXH_MAR);
  rtl8139_interrupt (self, ISR_ROK);
  return true;
}

bool
rtl8139_receive (void *opaque, const VmNetPacket *packet)
{
  Rtl8139 *self = opaque;

  return rtl8139_loopback (self) || rtl8139_take (self, packet);
}
