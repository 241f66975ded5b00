/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The receive unit of the 8255x: address filter, receive frame descriptors (manual, 6.4 and 8.3). */
#include "devices/net/eepro100.h"
#include "devices/net/frame.h"

#include <string.h>

#define FRAME_MAX 4096

/* --- filter -------------------------------------------------------------------------------------------------- */

static bool
is_promiscuous (const Eepro100 *self)
{
  return self->config[15] & 1;
}

static bool
hash_passes (const Eepro100 *self, const uint8_t *mac)
{
  uint32_t hash = vm_net_crc32_be (mac, 6) >> 26;

  return self->hash[hash / 8] >> (hash & 7) & 1;
}

/* The bits of the status that tell how it got through. */
static bool
passes (const Eepro100 *self, const uint8_t *mac, uint16_t *status)
{
  *status = RFD_NOT_IA;
  if (vm_net_is_broadcast (mac))
    {
      if (!(self->config[15] & 2))
        return true;
    }
  else if (vm_net_is_multicast (mac))
    {
      if (self->config[21] & 8 || hash_passes (self, mac))
        return true;
    }
  else if (!memcmp (mac, self->ia, 6))
    {
      *status = 0;
      return true;
    }
  else if (self->config[20] & 0x40 && hash_passes (self, mac)) /* several individual addresses */
    return true;
  *status |= RFD_NO_MATCH;
  return is_promiscuous (self);
}

bool
eepro100_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  const Eepro100 *self = (const Eepro100 *) device;
  bool all = is_promiscuous (self);

  filter->promiscuous = all;
  filter->broadcast_allowed = all || !(self->config[15] & 2);
  filter->multicast = all || self->config[21] & 8 ? 2 : vm_load_le64 (self->hash) ? 0 : 1;
  filter->unicast = all ? 2 : 0;
  filter->vlan = 2;
  return true;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

static bool
run_out (Eepro100 *self)
{
  self->ru = RU_NO_RESOURCES;
  eepro100_interrupt (self, ACK_RNR);
  return false;
}

/* --- IP of the 82550 and 82551 (appendix B) ---------------------------------------------------------------------- */

static bool
is_extended (const Eepro100 *self)
{
  return eepro100_parses (self) && self->config[7] & 0x20;
}

static uint8_t
check_sums (const uint8_t *frame, const struct iovec *iov, const VmNetLayers *l)
{
  uint32_t len = l->ip_len - l->l3;
  const uint8_t *ip = frame + l->l2;
  uint8_t say = SUMS_IP_CHECKED;

  if (vm_net_checksum (iov, 1, l->l2, l->l3, 0) == 0)
    say |= SUMS_IP_GOOD;
  if (!l->l4 || (l->protocol == 17 && !vm_load_be16 (ip + l->l3 + 6)))
    return say;
  say |= SUMS_CHECKED;
  if (vm_net_checksum (iov, 1, l->l2 + l->l3, len, vm_net_pseudo_sum (ip, 4, l->protocol, len)) == 0)
    say |= SUMS_GOOD;
  return say;
}

/* Fills the descriptor's second half, and takes the tag out where it is to be told there. */
static void
parse (const Eepro100 *self, uint8_t *frame, size_t *len, uint16_t *status, uint8_t *more)
{
  struct iovec iov = { frame, *len };
  VmNetLayers l;

  if (vm_net_layers (&(VmNetPacket){ &iov, 1, *len, { 0 } }, &l) && l.ip_version == 4)
    {
      *status |= RFD_PARSED;
      more[RFDX_PARSER] = PARSER_DONE | (!l.l4 ? PARSER_IP : l.protocol == 6 ? PARSER_TCP : PARSER_UDP);
      more[RFDX_SUMS] = check_sums (frame, &iov, &l);
    }
  if (vm_load_be16 (frame + 12) != 0x8100 || *len < 18)
    return;
  *status |= RFD_VLAN;
  memcpy (more + RFDX_VLAN, frame + 14, 2);
  if (self->config[22] & 2)
    {
      memmove (frame + 12, frame + 16, *len - 16);
      *len -= 4;
    }
}

/* --- descriptors -------------------------------------------------------------------------------------------------- */

/* The descriptor's report; its first word last. */
static void
report (Eepro100 *self, uint32_t at, uint16_t count, uint16_t status)
{
  uint8_t bytes[2];

  vm_store_le16 (bytes, count | RFD_EOF | RFD_F);
  vm_pci_dma_write (&self->parent, at + 12, bytes, 2);
  vm_store_le16 (bytes, status | CB_C);
  vm_pci_dma_write (&self->parent, at, bytes, 2);
}

static bool
fill_descriptor (Eepro100 *self, uint8_t *frame, size_t len, uint16_t status)
{
  uint32_t at = self->ru_base + self->ru_at, more_size = is_extended (self) ? RFDX_SIZE : 0;
  uint8_t more[RFDX_SIZE] = { 0 };
  uint16_t command, size;
  uint8_t rfd[16];

  if (vm_pci_dma_read (&self->parent, at, rfd, sizeof rfd) != VM_MEM_OK)
    return run_out (self);
  command = vm_load_le16 (rfd + 2);
  size = vm_load_le16 (rfd + 14) & 0x3fff;
  /* Drivers end their list with one that has no room: it stays untouched. */
  if (!size)
    return run_out (self);
  if (vm_load_be16 (frame + 12) > 1500)
    status |= RFD_TYPE;
  if (more_size)
    parse (self, frame, &len, &status, more);
  if (len > size)
    {
      len = size;
      status |= RFD_NO_SPACE;
      self->stats[STAT_RX_NO_RESOURCES]++;
    }
  else
    {
      status |= CB_OK;
      self->stats[STAT_RX_GOOD]++;
    }
  vm_pci_dma_write (&self->parent, at + 16, more, more_size);
  vm_pci_dma_write (&self->parent, at + 16 + more_size, frame, len);
  report (self, at, len, status);
  self->ru_at = vm_load_le32 (rfd + 4);
  if (command & (CB_EL | CB_S))
    self->ru = command & CB_EL ? RU_NO_RESOURCES : RU_SUSPENDED;
  eepro100_interrupt (self, ACK_FR | (command & (CB_EL | CB_S) ? ACK_RNR : 0));
  return true;
}

bool
eepro100_take (Eepro100 *self, const VmNetPacket *packet)
{
  uint8_t frame[FRAME_MAX];
  uint16_t status;
  VmReentry mark;
  bool taken;
  size_t len;

  if (self->ru == RU_IDLE || packet->len < 14 || !(len = vm_net_wire_frame (packet, frame, sizeof frame))
      || (len > 1518 + 4 && !(self->config[18] & 8)) || !passes (self, frame, &status))
    return true;
  if (self->ru != RU_READY)
    return false;
  if (!(self->config[18] & 4))
    len -= 4;
  /* Stripping takes the padding away that the frame's length shows. */
  if (self->config[18] & 1 && vm_load_be16 (frame + 12) < 46)
    len = 14 + vm_load_be16 (frame + 12);
  vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
  taken = fill_descriptor (self, frame, len, status);
  vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
  return taken;
}

bool
eepro100_receive (void *opaque, const VmNetPacket *packet)
{
  Eepro100 *self = opaque;

  return eepro100_loops (self) || eepro100_take (self, packet);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

void
eepro100_ru_command (Eepro100 *self, unsigned command, uint32_t pointer)
{
  switch (command)
    {
    case RUC_START:
      self->ru = RU_READY;
      self->ru_at = pointer;
      break;
    case RUC_RESUME:
      if (self->ru == RU_SUSPENDED)
        self->ru = RU_READY;
      break;
    case RUC_ABORT:
      self->ru = RU_IDLE;
      break;
    case RUC_BASE:
      self->ru_base = pointer;
      break;
    default: /* the rest belongs to the flexible mode, which receiving does not have */
      break;
    }
  vm_net_port_ready (&self->card.ports[0]);
}
