/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control queue of the virtio network device (OASIS virtio 1.2, 5.1.6.5) and the filters it sets. */
#include "devices/virtio/virtio-net.h"

#include <string.h>

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };
enum { MQ_PAIRS_SET, MQ_RSS_CONFIG, MQ_HASH_CONFIG };

/* What is left of a command. */
typedef struct Command
{
  const struct iovec *iov;
  unsigned n;
  size_t at, size;
} Command;

static bool
take (Command *c, void *buffer, size_t len)
{
  if (c->size - c->at < len)
    return false;
  vm_iov_get (c->iov, c->n, c->at, buffer, len);
  c->at += len;
  return true;
}

static bool
take16 (Command *c, uint16_t *value)
{
  uint8_t b[2];

  if (!take (c, b, 2))
    return false;
  *value = b[0] | b[1] << 8;
  return true;
}

static bool
take32 (Command *c, uint32_t *value)
{
  uint8_t b[4];

  if (!take (c, b, 4))
    return false;
  *value = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t) b[3] << 24;
  return true;
}

/* --- filters ------------------------------------------------------------------------------------------------ */

void
vm_virtio_net_reset_filters (VmVirtioNet *s)
{
  /* Until the driver says more, all is received. */
  s->promiscuous = true;
  s->all_multicast = s->all_unicast = s->no_multicast = s->no_unicast = s->no_broadcast = false;
  s->multicast_overflow = s->unicast_overflow = false;
  s->n_unicast = s->n_multicast = 0;
  memset (s->vlans, vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_VLAN) ? 0 : 0xff, sizeof s->vlans);
}

static bool
in_table (const VmVirtioNet *s, unsigned first, unsigned n, const uint8_t *mac)
{
  for (unsigned i = first; i < first + n; i++)
    if (!memcmp (s->macs[i], mac, 6))
      return true;
  return false;
}

bool
vm_virtio_net_passes (const VmVirtioNet *s, const uint8_t *frame)
{
  if (s->promiscuous)
    return true;
  if (frame[12] == 0x81 && frame[13] == 0x00)
    {
      unsigned vlan = (frame[14] << 8 | frame[15]) & 0xfff;
      if (!(s->vlans[vlan >> 5] >> (vlan & 31) & 1))
        return false;
    }
  if (vm_net_is_broadcast (frame))
    return !s->no_broadcast;
  if (vm_net_is_multicast (frame))
    return !s->no_multicast
           && (s->all_multicast || s->multicast_overflow || in_table (s, s->n_unicast, s->n_multicast, frame));
  return !s->no_unicast
         && (s->all_unicast || s->unicast_overflow || !memcmp (frame, s->mac, 6)
             || in_table (s, 0, s->n_unicast, frame));
}

bool
vm_virtio_net_rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  VmVirtioNet *s = (VmVirtioNet *) device;

  *filter = (VmNetRxFilter){
    .promiscuous = s->promiscuous,
    .broadcast_allowed = !s->no_broadcast,
    .multicast_overflow = s->multicast_overflow,
    .unicast_overflow = s->unicast_overflow,
    .multicast = s->no_multicast ? 1 : s->all_multicast ? 2 : 0,
    .unicast = s->no_unicast ? 1 : s->all_unicast ? 2 : 0,
    .vlan = vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_VLAN) ? 0 : 2,
    .unicast_table = (const uint8_t (*)[6]) s->macs,
    .n_unicast = s->n_unicast,
    .multicast_table = (const uint8_t (*)[6]) s->macs + s->n_unicast,
    .n_multicast = s->n_multicast,
    .vlan_bits = vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_VLAN) ? s->vlans : NULL,
  };
  return true;
}

static bool
control_rx (VmVirtioNet *s, uint8_t command, Command *c)
{
  uint8_t *const flags[] = { &s->promiscuous,  &s->all_multicast, &s->all_unicast,
                             &s->no_multicast, &s->no_unicast,    &s->no_broadcast };
  uint8_t on;

  if (!vm_virtio_has (&s->parent, command > RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX)
      || command >= G_N_ELEMENTS (flags) || !take (c, &on, 1))
    return false;
  *flags[command] = on != 0;
  vm_net_card_rx_filter_changed (&s->card);
  return true;
}

/* One table: a count, and that many addresses. More than there is room for: all of the kind are let in. */
static bool
take_table (VmVirtioNet *s, Command *c, unsigned first, uint16_t *n, uint8_t *overflow)
{
  uint32_t entries;

  if (!take32 (c, &entries) || entries > (c->size - c->at) / 6)
    return false;
  *overflow = entries > VM_VIRTIO_NET_MACS - first;
  *n = *overflow ? 0 : entries;
  if (*overflow)
    c->at += (size_t) entries * 6;
  else
    take (c, s->macs[first], (size_t) entries * 6);
  return true;
}

static bool
control_mac (VmVirtioNet *s, uint8_t command, Command *c)
{
  if (command == MAC_ADDR_SET)
    {
      if (!vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_MAC_ADDR) || c->size - c->at != 6 || !take (c, s->mac, 6))
        return false;
      vm_net_card_set_mac (&s->card, s->mac);
    }
  else if (command != MAC_TABLE_SET || !vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_RX)
           || !take_table (s, c, 0, &s->n_unicast, &s->unicast_overflow)
           || !take_table (s, c, s->n_unicast, &s->n_multicast, &s->multicast_overflow))
    return false;
  vm_net_card_rx_filter_changed (&s->card);
  return true;
}

static bool
control_vlan (VmVirtioNet *s, uint8_t command, Command *c)
{
  uint16_t id;

  if (!vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_VLAN) || command > VLAN_DEL || !take16 (c, &id)
      || id >= VM_VIRTIO_NET_VLANS)
    return false;
  if (command == VLAN_ADD)
    s->vlans[id >> 5] |= UINT32_C (1) << (id & 31);
  else
    s->vlans[id >> 5] &= ~(UINT32_C (1) << (id & 31));
  vm_net_card_rx_filter_changed (&s->card);
  return true;
}

/* --- queues and hashes ---------------------------------------------------------------------------------------- */

static bool
set_pairs (VmVirtioNet *s, uint16_t pairs)
{
  if (pairs < 1 || pairs > vm_virtio_net_max_pairs (s))
    return false;
  s->active_pairs = pairs;
  vm_virtio_net_vhost_pairs (s);
  return true;
}

static bool
control_hash (VmVirtioNet *s, bool rss, Command *c)
{
  VmVirtioNetRss r = { .enabled = rss, .report = !rss || vm_virtio_has (&s->parent, VIRTIO_NET_F_HASH_REPORT) };
  uint16_t mask, pairs = s->active_pairs, reserved;
  uint8_t key_len;

  if (!take32 (c, &r.types) || r.types & ~(uint32_t) VIRTIO_NET_HASH_ALL)
    return false;
  if (rss)
    {
      if (!take16 (c, &mask) || !take16 (c, &r.unclassified) || mask >= VM_VIRTIO_NET_TABLE || mask & (mask + 1))
        return false;
      r.n_table = mask + 1;
      for (unsigned i = 0; i < r.n_table; i++)
        if (!take16 (c, &r.table[i]))
          return false;
      if (!take16 (c, &pairs))
        return false;
    }
  else
    for (int i = 0; i < 4; i++)
      if (!take16 (c, &reserved))
        return false;
  if (!take (c, &key_len, 1) || key_len > VM_VIRTIO_NET_KEY || !take (c, r.key, key_len))
    return false;
  r.n_key = key_len;
  if (!r.types && !rss)
    r.report = false;
  else if (r.types && !key_len)
    return false;
  if (rss && !set_pairs (s, pairs))
    return false;
  s->hashing = r;
  return true;
}

static bool
control_mq (VmVirtioNet *s, uint8_t command, Command *c)
{
  uint16_t pairs;

  switch (command)
    {
    case MQ_PAIRS_SET:
      if (!vm_virtio_has (&s->parent, VIRTIO_NET_F_MQ) || !take16 (c, &pairs) || !set_pairs (s, pairs))
        return false;
      s->hashing.enabled = false;
      return true;
    case MQ_RSS_CONFIG:
      return vm_virtio_has (&s->parent, VIRTIO_NET_F_RSS) && control_hash (s, true, c);
    case MQ_HASH_CONFIG:
      return vm_virtio_has (&s->parent, VIRTIO_NET_F_HASH_REPORT) && control_hash (s, false, c);
    default:
      return false;
    }
}

static bool
control_offloads (VmVirtioNet *s, uint8_t command, Command *c)
{
  uint32_t low, high;
  uint64_t all = VM_BIT (VIRTIO_NET_F_GUEST_CSUM) | VM_BIT (VIRTIO_NET_F_GUEST_TSO4) | VM_BIT (VIRTIO_NET_F_GUEST_TSO6)
                 | VM_BIT (VIRTIO_NET_F_GUEST_ECN) | VM_BIT (VIRTIO_NET_F_GUEST_UFO);

  if (!vm_virtio_has (&s->parent, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || command != 0 || !take32 (c, &low)
      || !take32 (c, &high))
    return false;
  uint64_t wanted = low | (uint64_t) high << 32;
  if (wanted & ~(s->parent.features & all))
    return false;
  s->guest_offloads = wanted;
  vm_virtio_net_update_takes (s);
  return true;
}

static bool
carry_out (VmVirtioNet *s, Command *c)
{
  uint8_t head[2];

  if (!take (c, head, 2))
    return false;
  switch (head[0])
    {
    case CLASS_RX:
      return control_rx (s, head[1], c);
    case CLASS_MAC:
      return control_mac (s, head[1], c);
    case CLASS_VLAN:
      return control_vlan (s, head[1], c);
    case CLASS_ANNOUNCE:
      if (head[1] || !s->announce)
        return false;
      s->announce = false;
      return true;
    case CLASS_MQ:
      return control_mq (s, head[1], c);
    case CLASS_OFFLOADS:
      return control_offloads (s, head[1], c);
    default:
      return false;
    }
}

void
vm_virtio_net_control (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtqElement *e;

  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      const struct iovec *out = vm_virtq_out (e);
      Command c = { out, e->n_out, 0, vm_iov_size (out, e->n_out) };
      uint8_t ack;

      if (c.size < 2 || vm_iov_size (vm_virtq_in (e), e->n_in) < 1)
        {
          vm_virtqueue_drop (e);
          vm_virtio_break (v, "virtio-net ctrl missing headers");
          return;
        }
      ack = carry_out ((VmVirtioNet *) v, &c) ? 0 : 1;
      vm_iov_put (vm_virtq_in (e), e->n_in, 0, &ack, 1);
      vm_virtqueue_push (e, 1);
    }
}
