/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Initialization block, descriptor rings, address filter of the Am79C970A (data sheet: Software Interface, Buffer
 * Management, Receive Address Match). */
#include "devices/net/frame.h"
#include "devices/net/pcnet.h"

#include <string.h>

#define ROUNDS 512     /* descriptors handled in one go; then the poll timer goes on */
#define CHAIN_MAX 64   /* descriptors of one received frame */
#define FRAME_MAX 4096 /* MCNT has twelve bits */

/* --- descriptors ------------------------------------------------------------------------------------------------ */

static bool
is_wide (const Pcnet *self)
{
  return self->bcr[20] & BCR20_SSIZE32;
}

/* Addresses of 24 bits have their upper eight from the initialization block's (CSR2). */
static uint32_t
address (const Pcnet *self, uint32_t addr)
{
  return is_wide (self) ? addr : (addr & 0xffffff) | (uint32_t) (self->csr[2] & 0xff00) << 16;
}

/* The ring's length is kept as two's complement. */
static uint32_t
ring_length (const Pcnet *self, unsigned csr)
{
  return 0x10000 - self->csr[csr];
}

static bool
fetch (Pcnet *self, uint32_t base, uint16_t index, PcnetDesc *d)
{
  bool wide = is_wide (self), swapped = (self->bcr[20] & 0xff) == 3;
  uint8_t b[12];

  d->at = address (self, base) + index * (wide ? 16u : 8u);
  if (vm_pci_dma_read (&self->parent, d->at, b, wide ? 12 : 8) != VM_MEM_OK)
    return false;
  if (wide)
    {
      d->buffer = vm_load_le32 (swapped ? b + 8 : b);
      d->flags = vm_load_le16 (b + 6);
      d->size = 4096 - (vm_load_le16 (b + 4) & 0xfff);
    }
  else
    {
      d->buffer = address (self, vm_load_le16 (b) | (uint32_t) b[2] << 16);
      d->flags = b[3] << 8;
      d->size = 4096 - (vm_load_le16 (b + 4) & 0xfff);
    }
  return true;
}

/* STATUS is the word that ends the descriptor's report: what was received, or what went wrong. */
static void
give_back (Pcnet *self, const PcnetDesc *d, uint16_t flags, uint32_t status)
{
  bool wide = is_wide (self), swapped = (self->bcr[20] & 0xff) == 3;
  uint8_t b[4];

  vm_store_le32 (b, status);
  if (wide)
    vm_pci_dma_write (&self->parent, d->at + (swapped ? 0 : 8), b, 4);
  else
    vm_pci_dma_write (&self->parent, d->at + 6, b, 2);
  vm_store_le16 (b, flags);
  if (wide)
    vm_pci_dma_write (&self->parent, d->at + 6, b, 2);
  else
    vm_pci_dma_write (&self->parent, d->at + 3, b + 1, 1);
}

/* With BSWP the words of the FIFOs cross the bus with their bytes the other way round; nothing else does (CSR3). */
static void
get_data (Pcnet *self, uint32_t addr, uint8_t *bytes, uint32_t len)
{
  uint32_t skip = addr & 3;
  uint8_t words[FRAME_MAX + 8];

  if (!(self->csr[3] & CSR3_BSWP))
    {
      vm_pci_dma_read (&self->parent, addr, bytes, len);
      return;
    }
  vm_pci_dma_read (&self->parent, addr - skip, words, (skip + len + 3) & ~3u);
  for (uint32_t i = 0; i < len; i++)
    bytes[i] = words[(skip + i) ^ 3];
}

static void
put_data (Pcnet *self, uint32_t addr, const uint8_t *bytes, uint32_t len)
{
  uint32_t skip = addr & 3, n = (skip + len + 3) & ~3u;
  uint8_t words[FRAME_MAX + 8];

  if (!(self->csr[3] & CSR3_BSWP))
    {
      vm_pci_dma_write (&self->parent, addr, bytes, len);
      return;
    }
  vm_pci_dma_read (&self->parent, addr - skip, words, n);
  for (uint32_t i = 0; i < len; i++)
    words[(skip + i) ^ 3] = bytes[i];
  vm_pci_dma_write (&self->parent, addr - skip, words, n);
}

static uint16_t
after (uint32_t index, uint32_t length)
{
  return index + 1 >= length ? 0 : index + 1;
}

/* --- initialization --------------------------------------------------------------------------------------------------
 */

static uint16_t
encoded_length (unsigned n)
{
  return 0x10000 - (1u << MIN (n, 9));
}

bool
pcnet_init_block (Pcnet *self)
{
  uint32_t at = pcnet_csr32 (self, 1), rx, tx;
  bool wide = is_wide (self);
  const uint8_t *address_at, *filter_at;
  uint8_t b[28];
  VmMemResult got;
  VmReentry mark;

  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  got = vm_pci_dma_read (&self->parent, at, b, wide ? 28 : 24);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  if (got != VM_MEM_OK)
    return false;
  if (wide)
    {
      address_at = b + 4;
      filter_at = b + 12;
      rx = vm_load_le32 (b + 20);
      tx = vm_load_le32 (b + 24);
      self->csr[76] = encoded_length (b[2] >> 4);
      self->csr[78] = encoded_length (b[3] >> 4);
    }
  else
    {
      address_at = b + 2;
      filter_at = b + 8;
      rx = vm_load_le32 (b + 16) & 0xffffff;
      tx = vm_load_le32 (b + 20) & 0xffffff;
      self->csr[76] = encoded_length (b[19] >> 5);
      self->csr[78] = encoded_length (b[23] >> 5);
    }
  self->csr[15] = vm_load_le16 (b);
  for (int i = 0; i < 3; i++)
    self->csr[12 + i] = vm_load_le16 (address_at + 2 * i);
  for (int i = 0; i < 4; i++)
    self->csr[8 + i] = vm_load_le16 (filter_at + 2 * i);
  self->csr[24] = rx;
  self->csr[25] = rx >> 16;
  self->csr[30] = tx;
  self->csr[31] = tx >> 16;
  self->rx_index = 0;
  self->rx_at = 0;
  pcnet_tx_reset (self);
  return true;
}

/* --- transmission ----------------------------------------------------------------------------- */

static void
packet_sent (void *opaque)
{
  Pcnet *self = opaque;

  self->sending = false;
  pcnet_transmit (self);
}

static bool receive (Pcnet *self, const VmNetPacket *packet);

static void
send_packet (Pcnet *self)
{
  uint32_t len = self->tx_len - (self->tx_fcs ? MIN (self->tx_len, 4) : 0);
  struct iovec iov = { self->tx_data, MAX (len, VM_NET_FRAME_MIN) };
  VmNetPacket packet = { &iov, 1, iov.iov_len, { 0 } };

  self->csr[4] |= CSR4_TXSTRT;
  if (len < 14)
    return;
  if (len < VM_NET_FRAME_MIN)
    memset (self->tx_data + len, 0, VM_NET_FRAME_MIN - len);
  if (self->csr[15] & MODE_LOOP)
    receive (self, &packet);
  else
    self->sending = !vm_net_send (&self->card.ports[0], &packet, packet_sent);
}

static void
add_buffer (Pcnet *self, const PcnetDesc *d)
{
  uint32_t part;

  if (d->flags & MD_STP)
    {
      self->tx_started = true;
      self->tx_fcs = self->csr[15] & MODE_DXMTFCS && !(d->flags & TMD_ADD_FCS);
      self->tx_len = 0;
    }
  /* Without a start there is nothing to add it to: the descriptor is passed over. */
  if (!self->tx_started)
    return;
  part = MIN (d->size, self->tx_data_size - self->tx_len);
  get_data (self, d->buffer, self->tx_data + self->tx_len, part);
  self->tx_len += part;
}

static bool
may_transmit (const Pcnet *self)
{
  return !self->sending && self->csr[0] & CSR0_TXON && !(self->csr[5] & CSR5_SPND);
}

void
pcnet_transmit (Pcnet *self)
{
  uint32_t base = pcnet_csr32 (self, 30), rounds;
  PcnetDesc d;
  VmReentry mark;

  if (self->in_tx)
    return;
  self->in_tx = true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  for (rounds = 0; rounds < ROUNDS && may_transmit (self); rounds++)
    {
      if (!fetch (self, base, self->tx_index, &d) || !(d.flags & MD_OWN))
        break;
      add_buffer (self, &d);
      give_back (self, &d, d.flags & (MD_STP | MD_ENP | TMD_ADD_FCS | TMD_LTINT | 0xff), 0);
      self->tx_index = after (self->tx_index, ring_length (self, 78));
      if (!(d.flags & MD_ENP) || !self->tx_started)
        continue;
      self->tx_started = false;
      send_packet (self);
      if (!(self->csr[5] & CSR5_TOKINTD) || (self->csr[5] & CSR5_LTINTEN && d.flags & TMD_LTINT))
        self->csr[0] |= CSR0_TINT;
    }
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  self->in_tx = false;
  if (rounds)
    pcnet_poll_soon (self);
  pcnet_update_pin (self);
}

void
pcnet_tx_reset (Pcnet *self)
{
  if (self->sending && self->card.ports)
    vm_net_port_forget (&self->card.ports[0]);
  self->sending = self->tx_started = false;
  self->tx_index = 0;
  self->tx_len = 0;
}

/* --- reception -------------------------------------------------------------------------------- */

/* The flag that tells why the frame got through; MD_ENP alone when it is for none of its reasons, 0: it did not. */
static uint16_t
passes (const Pcnet *self, const uint8_t *mac)
{
  uint16_t mode = self->csr[15], other = mode & MODE_PROM ? MD_ENP : 0;

  if (vm_net_is_broadcast (mac))
    return mode & MODE_DRCVBC ? other : RMD_BAM;
  if (vm_net_is_multicast (mac))
    {
      unsigned hash = ~vm_net_crc32 (mac, 6) >> 26;
      return self->csr[8 + hash / 16] >> (hash & 15) & 1 ? RMD_LAFM : other;
    }
  for (int i = 0; i < 3; i++)
    if (vm_load_le16 (mac + 2 * i) != self->csr[12 + i])
      return other;
  return mode & MODE_DRCVPA ? other : RMD_PAM;
}

bool
pcnet_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  const Pcnet *self = (const Pcnet *) device;
  uint16_t mode = self->csr[15];
  bool promiscuous = mode & MODE_PROM;
  uint16_t none = self->csr[8] | self->csr[9] | self->csr[10] | self->csr[11];
  uint16_t every = self->csr[8] & self->csr[9] & self->csr[10] & self->csr[11];

  filter->promiscuous = promiscuous;
  filter->broadcast_allowed = !(mode & MODE_DRCVBC);
  filter->multicast = promiscuous || every == 0xffff ? 2 : none ? 0 : 1;
  filter->unicast = promiscuous ? 2 : mode & MODE_DRCVPA ? 1 : 0;
  filter->vlan = 2;
  return true;
}

static void
miss (Pcnet *self)
{
  self->csr[0] |= CSR0_MISS;
  if (!++self->csr[112])
    self->csr[4] |= CSR4_MFCO;
}

/* False: the driver has not given enough descriptors yet. */
static bool
fill_ring (Pcnet *self, const uint8_t *frame, uint32_t len, uint16_t how)
{
  uint32_t base = pcnet_csr32 (self, 24), length = ring_length (self, 76), room = 0, at = 0;
  uint16_t index = self->rx_index;
  PcnetDesc d[CHAIN_MAX];
  unsigned n = 0;

  for (; room < len && n < MIN (CHAIN_MAX, length); n++)
    {
      if (!fetch (self, base, index, &d[n]) || !(d[n].flags & MD_OWN))
        return false;
      room += d[n].size;
      index = after (index, length);
    }
  if (room < len)
    {
      /* All there are cannot hold it. */
      miss (self);
      return true;
    }
  for (unsigned i = 0; i < n; i++)
    {
      uint32_t part = MIN (d[i].size, len - at);
      put_data (self, d[i].buffer, frame + at, part);
      at += part;
    }
  /* The first goes back last: the driver sees whole frames. */
  for (unsigned i = n; i-- > 0;)
    {
      bool last = i == n - 1;
      uint16_t flags = (i == 0 ? MD_STP : 0) | (last ? MD_ENP | (is_wide (self) ? how & 0xff : 0) : 0);
      give_back (self, &d[i], flags, last ? len : 0);
    }
  self->rx_index = index;
  self->csr[0] |= CSR0_RINT;
  return true;
}

/* With LAPPEN frames begin where the driver has marked descriptors. Those that the last frame did not need are passed
 * over, and are the driver's again. */
static bool
find_start (Pcnet *self, PcnetDesc *d)
{
  uint32_t length = ring_length (self, 76);

  for (uint32_t i = 0; i < MIN (length, ROUNDS); i++)
    {
      if (!fetch (self, pcnet_csr32 (self, 24), self->rx_index, d))
        return false;
      if (d->flags & MD_STP)
        return d->flags & MD_OWN;
      if (d->flags & MD_OWN)
        give_back (self, d, d->flags & ~MD_OWN, 0);
      self->rx_index = after (self->rx_index, length);
    }
  return false;
}

/* The driver hears of a frame's first buffer at once, and may say only then where the rest is to go. False: it has not
 * said so yet. */
static bool
fill_ahead (Pcnet *self, const uint8_t *frame, uint32_t len, uint16_t how)
{
  uint32_t base = pcnet_csr32 (self, 24), length = ring_length (self, 76);
  PcnetDesc d;

  if (self->rx_at >= len)
    self->rx_at = 0; /* the one it began with never came back */
  while (self->rx_at < len)
    {
      bool first = !self->rx_at;
      if (first ? !find_start (self, &d) : !fetch (self, base, self->rx_index, &d))
        return false;
      /* The next frame's place: the driver has none for the rest of this one. */
      if (!first && d.flags & MD_STP)
        {
          miss (self);
          break;
        }
      if (!(d.flags & MD_OWN))
        return false;
      uint32_t part = MIN (d.size, len - self->rx_at);
      bool last = self->rx_at + part == len;
      put_data (self, d.buffer, frame + self->rx_at, part);
      self->rx_at += part;
      self->rx_index = after (self->rx_index, length);
      give_back (self, &d, (first ? MD_STP : 0) | (last ? MD_ENP | (is_wide (self) ? how & 0xff : 0) : 0),
                 last ? len : 0);
      if (first || last)
        self->csr[0] |= CSR0_RINT;
    }
  self->rx_at = 0;
  return true;
}

static bool
receive (Pcnet *self, const VmNetPacket *packet)
{
  uint8_t frame[FRAME_MAX];
  VmReentry mark;
  uint16_t how;
  bool taken;

  if (!(self->csr[0] & CSR0_RXON) || packet->len < 14)
    return true;
  if (self->csr[5] & CSR5_SPND)
    return false;
  size_t len = vm_net_wire_frame (packet, frame, sizeof frame);
  if (!len || !(how = passes (self, frame)))
    return true;
  /* Of frames with a length the padding goes, and the check sequence. */
  if (self->csr[4] & CSR4_ASTRP_RCV && vm_load_be16 (frame + 12) < 46)
    len = 14 + vm_load_be16 (frame + 12);
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  taken = self->csr[3] & CSR3_LAPPEN ? fill_ahead (self, frame, len, how) : fill_ring (self, frame, len, how);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  self->rx_stalled = !taken;
  if (!taken)
    pcnet_poll_soon (self);
  pcnet_update_pin (self);
  return taken;
}

bool
pcnet_receive (void *opaque, const VmNetPacket *packet)
{
  Pcnet *self = opaque;

  return self->csr[15] & MODE_LOOP || receive (self, packet);
}
