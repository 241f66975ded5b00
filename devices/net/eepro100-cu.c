/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command unit of the 8255x: its list of commands, transmission, counters (manual, 6.3 and 6.4). */
#include "devices/net/eepro100.h"

#include <string.h>

#define ROUNDS 256                    /* commands carried out in one go */
#define ADDRESSES 64                  /* of a multicast command, read together */
#define ADDRESSES_ROUNDS 8            /* what they count for */
#define ROUND_NS 2000                 /* what a round takes on the bus; after a batch the guest has its turn */
#define DUMP_BYTES 596

/* --- transmission ---------------------------------------------------------------------------------------------- */

static void
packet_sent (void *opaque)
{
  Eepro100 *self = opaque;

  self->sending = false;
  eepro100_cu_run (self);
}

static uint32_t
add_bytes (Eepro100 *self, uint32_t len, uint32_t at, uint32_t n)
{
  n = MIN (n, self->tx_data_size - len);
  vm_pci_dma_read (&self->parent, at, self->tx_data + len, n);
  return len + n;
}

/* Buffers of flexible mode from number FIRST on. Extended command blocks hold the first two of them. */
static uint32_t
add_buffers (Eepro100 *self, uint32_t len, uint32_t cb, const uint8_t *head, unsigned first, unsigned number)
{
  unsigned inside = self->config[6] & 0x10 && !first ? 0 : 2;
  uint32_t array = vm_load_le32 (head + 8);
  uint8_t tbd[8];

  for (unsigned i = first; i < number && len < self->tx_data_size; i++)
    {
      uint32_t at = i < inside ? cb + 16 + i * 8 : array + (i - inside) * 8;
      if (vm_pci_dma_read (&self->parent, at, tbd, sizeof tbd) != VM_MEM_OK)
        break;
      len = add_bytes (self, len, vm_load_le32 (tbd), vm_load_le16 (tbd + 4) & 0x3fff);
      /* The end of a list without a number; in blocks of IP its place is that of another number. */
      if (first ? tbd[5] & 0x80 : tbd[6] & 1)
        break;
    }
  return len;
}

static void
send_frame (Eepro100 *self, uint32_t len, const VmNetHeader *header)
{
  struct iovec iov = { self->tx_data, MAX (len, VM_NET_FRAME_MIN) };
  VmNetPacket packet = { &iov, 1, iov.iov_len, *header };

  if (len < VM_NET_FRAME_MIN)
    memset (self->tx_data + len, 0, VM_NET_FRAME_MIN - len);
  self->stats[STAT_TX_GOOD]++;
  if (eepro100_loops (self))
    {
      vm_net_finish (self->tx_data, packet.len, header);
      packet.header = (VmNetHeader){ 0 };
      eepro100_take (self, &packet);
    }
  else
    self->sending = !vm_net_send (&self->card.ports[0], &packet, packet_sent);
}

static void
add_source (Eepro100 *self)
{
  if (!(self->config[10] & 8))
    memcpy (self->tx_data + 6, self->ia, 6);
}

static void
transmit (Eepro100 *self, uint32_t cb, const uint8_t *head, uint16_t command)
{
  uint32_t len = add_bytes (self, 0, cb + 16, vm_load_le16 (head + 12) & 0x3fff);

  if (command & CB_SF)
    len = add_buffers (self, len, cb, head, 0, head[15]);
  if (len < 14)
    return;
  add_source (self);
  send_frame (self, len, &(VmNetHeader){ 0 });
}

/* --- IP of the 82550 and 82551 (appendix B) --------------------------------------------------------------------- */

static uint32_t
add_tag (Eepro100 *self, uint32_t len, const uint8_t *tag)
{
  uint8_t *frame = self->tx_data;

  if (len + 4 > self->tx_data_size)
    return len;
  memmove (frame + 16, frame + 12, len - 12);
  frame[12] = 0x81;
  frame[13] = 0;
  memcpy (frame + 14, tag, 2);
  return len + 4;
}

static bool
look (const Eepro100 *self, uint32_t len, VmNetLayers *l)
{
  struct iovec iov = { self->tx_data, len };

  return vm_net_layers (&(VmNetPacket){ &iov, 1, len, { 0 } }, l) && l->ip_version == 4;
}

/* What the block's SCHEDULE asks for; MSS: of a large one, whose length says as much as one segment has. */
static VmNetHeader
schedule (Eepro100 *self, uint32_t len, uint8_t schedule, uint16_t mss)
{
  VmNetHeader header = { 0 };
  uint8_t *ip = self->tx_data;
  VmNetLayers l;

  if (!look (self, len, &l))
    return header;
  ip += l.l2;
  bool large = schedule & SCHEDULE_LARGE && mss && l.protocol == 6 && l.l4 && len - l.l2 <= UINT16_MAX;
  if (large)
    {
      vm_store_be16 (ip + 2, len - l.l2);
      if (!look (self, len, &l))
        return header;
    }
  if (large || schedule & SCHEDULE_IP_SUM)
    {
      struct iovec iov = { ip, l.l3 };
      vm_store_be16 (ip + 10, 0);
      vm_store_be16 (ip + 10, vm_net_checksum (&iov, 1, 0, l.l3, 0));
    }
  if (!(large || schedule & SCHEDULE_SUM) || !l.l4)
    return header;
  /* The sum of the pseudo header is there already, but that of a segment is not that of all. */
  if (large)
    vm_net_start_sum (self->tx_data, &l);
  return (VmNetHeader){
    .flags = VM_NET_NEEDS_CSUM,
    .gso_type = large ? VM_NET_GSO_TCPV4 : VM_NET_GSO_NONE,
    .hdr_len = large ? l.l2 + l.l3 + l.l4 : 0,
    .gso_size = large ? mss : 0,
    .csum_start = l.l2 + l.l3,
    .csum_offset = l.protocol == 6 ? 16 : 6,
  };
}

static void
ip_transmit (Eepro100 *self, uint32_t cb, const uint8_t *head)
{
  uint8_t block[8];
  VmNetHeader header;
  uint32_t len;

  if (vm_pci_dma_read (&self->parent, cb + 16, block, sizeof block) != VM_MEM_OK)
    return;
  bool large = block[IPCB_SCHEDULE] & SCHEDULE_LARGE;
  len = add_buffers (self, 0, cb, head, 1, large ? 255 : head[15]);
  if (len < 14)
    return;
  add_source (self);
  if (block[IPCB_ACTIVATION] & ACTIVATION_VLAN)
    len = add_tag (self, len, block + IPCB_VLAN);
  header = schedule (self, len, block[IPCB_SCHEDULE], vm_load_le16 (head + 14));
  send_frame (self, len, &header);
}

/* --- the other commands ---------------------------------------------------------------------------------------------
 */

void
eepro100_configure_defaults (Eepro100 *self)
{
  static const uint8_t defaults[] = { 0x16, 0x08, 0x00, 0x00, 0x00, 0x00, 0x32, 0x03, 0x01, 0x00, 0x2e,
                                      0x00, 0x60, 0x00, 0xf2, 0x48, 0x00, 0x40, 0xf2, 0x80, 0x3f, 0x05 };

  memset (self->config, 0, sizeof self->config);
  memcpy (self->config, defaults, sizeof defaults);
}

static void
configure (Eepro100 *self, uint32_t cb)
{
  uint8_t bytes[EEPRO_CONFIG_SIZE];
  unsigned n;

  vm_pci_dma_read (&self->parent, cb + 8, bytes, sizeof bytes);
  n = bytes[0] & 0x3f;
  memcpy (self->config, bytes, MIN (n, sizeof bytes));
  vm_net_card_rx_filter_changed (&self->card);
}

/* Returns the rounds that it counts for. */
static unsigned
set_multicast (Eepro100 *self, uint32_t cb)
{
  uint8_t bytes[6 * ADDRESSES];
  unsigned n, part;

  memset (self->hash, 0, sizeof self->hash);
  vm_pci_dma_read (&self->parent, cb + 8, bytes, 2);
  n = (vm_load_le16 (bytes) & 0x3fff) / 6;
  for (unsigned at = 0; at < n; at += part)
    {
      part = MIN (n - at, ADDRESSES);
      if (vm_pci_dma_read (&self->parent, cb + 10 + at * 6, bytes, part * 6) != VM_MEM_OK)
        break;
      for (unsigned i = 0; i < part; i++)
        {
          uint32_t hash = vm_net_crc32_be (bytes + i * 6, 6) >> 26;
          self->hash[hash / 8] |= 1u << (hash & 7);
        }
    }
  vm_net_card_rx_filter_changed (&self->card);
  return 1 + n * ADDRESSES_ROUNDS / ADDRESSES;
}

static void
set_address (Eepro100 *self, uint32_t cb)
{
  vm_pci_dma_read (&self->parent, cb + 8, self->ia, 6);
  vm_net_card_set_mac (&self->card, self->ia);
  vm_net_card_rx_filter_changed (&self->card);
}

void
eepro100_dump (Eepro100 *self, uint32_t address)
{
  uint8_t bytes[DUMP_BYTES] = { 0 };
  VmReentry mark;

  memcpy (bytes, self->config, 22);
  memcpy (bytes + 22, self->ia, 6);
  memcpy (bytes + 28, self->hash, 8);
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  vm_pci_dma_write (&self->parent, address, bytes, sizeof bytes);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
}

static unsigned
carry_out (Eepro100 *self, uint32_t cb, const uint8_t *head, uint16_t command)
{
  if ((command & (CB_COMMAND | CB_SF)) == CB_IP_TRANSMIT && eepro100_parses (self))
    {
      ip_transmit (self, cb, head);
      return 1 + 255 / 16;
    }
  switch (command & CB_COMMAND)
    {
    case CB_ADDRESS:
      set_address (self, cb);
      break;
    case CB_CONFIGURE:
      configure (self, cb);
      break;
    case CB_MULTICAST:
      return set_multicast (self, cb);
    case CB_TRANSMIT:
      transmit (self, cb, head, command);
      return 1 + (command & CB_SF ? head[15] / 16 : 0);
    case CB_DUMP:
      eepro100_dump (self, vm_load_le32 (head + 8));
      break;
    default: /* nothing to do; microcode that would not run; diagnoses pass */
      break;
    }
  return 1;
}

/* --- the list --------------------------------------------------------------------------------- */

static void
leave_active (Eepro100 *self, uint8_t state, uint8_t *causes)
{
  self->cu = state;
  /* As configured, only the end of the list is told, or every stop. */
  if (state == CU_IDLE || !(self->config[6] & 8))
    *causes |= ACK_CNA;
}

/* One command, which counts for as many rounds as are added; false: the list cannot be read. */
static bool
step (Eepro100 *self, uint8_t *causes, unsigned *rounds)
{
  uint32_t cb = self->cu_base + self->cu_at;
  uint16_t command, status = CB_C | CB_OK;
  uint8_t head[16], done[2];

  if (vm_pci_dma_read (&self->parent, cb, head, sizeof head) != VM_MEM_OK)
    return false;
  command = vm_load_le16 (head + 2);
  *rounds += carry_out (self, cb, head, command);
  /* Of a reset in between nothing is reported. */
  if (self->cu != CU_ACTIVE)
    return true;
  vm_store_le16 (done, status);
  vm_pci_dma_write (&self->parent, cb, done, 2);
  if (command & CB_I)
    *causes |= ACK_CX;
  if (command & CB_EL)
    leave_active (self, CU_IDLE, causes);
  else if (command & CB_S)
    leave_active (self, CU_SUSPENDED, causes);
  else
    self->cu_at = vm_load_le32 (head + 4);
  return true;
}

void
eepro100_cu_run (Eepro100 *self)
{
  uint8_t causes = 0;
  unsigned rounds = 0;
  VmReentry mark;

  if (self->in_cu || vm_timer_pending (&self->timer))
    return;
  self->in_cu = true;
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  while (rounds < ROUNDS && self->cu == CU_ACTIVE && !self->sending)
    if (!step (self, &causes, &rounds))
      leave_active (self, CU_IDLE, &causes);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  self->in_cu = false;
  if (self->cu == CU_ACTIVE && !self->sending)
    vm_timer_set (&self->timer, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + (int64_t) rounds * ROUND_NS);
  if (causes)
    eepro100_interrupt (self, causes);
}

/* The one it stands at is done: on with the next, as its link says now. */
static void
resume (Eepro100 *self)
{
  uint8_t link[4];

  if (self->cu != CU_SUSPENDED
      || vm_pci_dma_read (&self->parent, self->cu_base + self->cu_at + 4, link, sizeof link) != VM_MEM_OK)
    return;
  self->cu_at = vm_load_le32 (link);
  self->cu = CU_ACTIVE;
}

/* As many counters as configured: those of the 82557, of the 82558, of the 82559; then a mark. */
static void
dump_counters (Eepro100 *self, uint32_t mark_value)
{
  unsigned n = self->config[6] & 4 ? 20 : self->config[6] & 0x20 ? 16 : 19;
  uint8_t bytes[84];
  VmReentry mark;

  for (unsigned i = 0; i < n; i++)
    vm_store_le32 (bytes + i * 4, self->stats[i]);
  vm_store_le32 (bytes + n * 4, mark_value);
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  vm_pci_dma_write (&self->parent, self->stat_address, bytes, n * 4 + 4);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
}

void
eepro100_cu_command (Eepro100 *self, unsigned command, uint32_t pointer)
{
  switch (command)
    {
    case CUC_START:
      if (self->cu == CU_ACTIVE)
        break;
      self->cu_at = pointer;
      self->cu = CU_ACTIVE;
      break;
    case CUC_RESUME:
    case CUC_STATIC_RESUME:
      resume (self);
      break;
    case CUC_DUMP_ADDRESS:
      self->stat_address = pointer;
      break;
    case CUC_DUMP:
      dump_counters (self, 0xa005);
      break;
    case CUC_DUMP_RESET:
      dump_counters (self, 0xa007);
      memset (self->stats, 0, sizeof self->stats);
      break;
    case CUC_BASE:
      self->cu_base = pointer;
      break;
    default:
      break;
    }
  eepro100_cu_run (self);
}

void
eepro100_cu_reset (Eepro100 *self)
{
  if (self->sending && self->card.ports)
    vm_net_port_forget (&self->card.ports[0]);
  vm_timer_cancel (&self->timer);
  self->sending = false;
  self->cu = CU_IDLE;
  self->cu_base = self->cu_at = 0;
}
