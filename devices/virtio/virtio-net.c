/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio network device (OASIS Virtual I/O Device 1.2, 5.1): features, configuration, life. */
#include "devices/virtio/virtio-net.h"

#include "engine/machine/failover.h"

#include <string.h>

#define CONTROL_SIZE 64

/* Offsets in the configuration (5.1.4). */
enum { CFG_MAC = 0, CFG_STATUS = 6, CFG_MAX_PAIRS = 8, CFG_MTU = 10, CFG_SPEED = 12, CFG_DUPLEX = 16,
       CFG_KEY_SIZE = 17, CFG_TABLE_LENGTH = 18, CFG_HASH_TYPES = 20, CFG_END = 24 };

/* --- features ---------------------------------------------------------------------------------------------- */

static uint64_t
net_features (VmVirtio *v)
{
  const VmVirtioNet *s = (const VmVirtioNet *) v;
  const struct { bool on; unsigned bit; } all[] = {
    { s->csum, VIRTIO_NET_F_CSUM },
    { s->guest_csum, VIRTIO_NET_F_GUEST_CSUM },
    { s->ctrl_guest_offloads && s->ctrl_vq, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS },
    { s->host_mtu != 0, VIRTIO_NET_F_MTU },
    { true, VIRTIO_NET_F_MAC },
    { s->guest_csum && s->guest_tso4, VIRTIO_NET_F_GUEST_TSO4 },
    { s->guest_csum && s->guest_tso6, VIRTIO_NET_F_GUEST_TSO6 },
    { s->guest_csum && s->guest_ecn, VIRTIO_NET_F_GUEST_ECN },
    { s->guest_csum && s->guest_ufo, VIRTIO_NET_F_GUEST_UFO },
    { s->csum && s->host_tso4, VIRTIO_NET_F_HOST_TSO4 },
    { s->csum && s->host_tso6, VIRTIO_NET_F_HOST_TSO6 },
    { s->csum && s->host_ecn, VIRTIO_NET_F_HOST_ECN },
    { s->csum && s->host_ufo, VIRTIO_NET_F_HOST_UFO },
    { s->csum && s->gso, VIRTIO_NET_F_GSO },
    { s->mrg_rxbuf, VIRTIO_NET_F_MRG_RXBUF },
    { s->status, VIRTIO_NET_F_STATUS },
    { s->ctrl_vq, VIRTIO_NET_F_CTRL_VQ },
    { s->ctrl_vq && s->ctrl_rx, VIRTIO_NET_F_CTRL_RX },
    { s->ctrl_vq && s->ctrl_vlan, VIRTIO_NET_F_CTRL_VLAN },
    { s->ctrl_vq && s->ctrl_rx_extra, VIRTIO_NET_F_CTRL_RX_EXTRA },
    { s->ctrl_vq && s->status && s->guest_announce, VIRTIO_NET_F_GUEST_ANNOUNCE },
    { s->ctrl_vq && s->mq, VIRTIO_NET_F_MQ },
    { s->ctrl_vq && s->ctrl_mac_addr, VIRTIO_NET_F_CTRL_MAC_ADDR },
    { s->ctrl_vq && s->hash, VIRTIO_NET_F_HASH_REPORT },
    { s->ctrl_vq && s->rss, VIRTIO_NET_F_RSS },
    { s->failover, VIRTIO_NET_F_STANDBY },
    { s->speed != -1 || s->duplex, VIRTIO_NET_F_SPEED_DUPLEX },
  };
  uint64_t bits = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    bits |= all[i].on ? VM_BIT (all[i].bit) : 0;
  return vm_virtio_net_vhost_features (s, bits);
}

unsigned
vm_virtio_net_max_pairs (const VmVirtioNet *s)
{
  return vm_virtio_has (&s->parent, VIRTIO_NET_F_MQ) || vm_virtio_has (&s->parent, VIRTIO_NET_F_RSS) ? s->pairs : 1;
}

void
vm_virtio_net_update_takes (VmVirtioNet *s)
{
  static const struct { unsigned bit, takes; } all[] = {
    { VIRTIO_NET_F_GUEST_CSUM, VM_NET_TAKES_CSUM }, { VIRTIO_NET_F_GUEST_TSO4, VM_NET_TAKES_TSO4 },
    { VIRTIO_NET_F_GUEST_TSO6, VM_NET_TAKES_TSO6 }, { VIRTIO_NET_F_GUEST_ECN, VM_NET_TAKES_ECN },
    { VIRTIO_NET_F_GUEST_UFO, VM_NET_TAKES_UFO },
  };
  unsigned takes = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    if (s->guest_offloads & VM_BIT (all[i].bit))
      takes |= all[i].takes;
  for (unsigned i = 0; i < s->pairs; i++)
    vm_net_port_set_takes (&s->card.ports[i], takes);
}

/* The driver makes one card of this one and its primary, which may come now; or it has gone. */
static void
stand_by (VmVirtioNet *s, bool ready)
{
  VmMachine *machine = s->parent.parent.env->machine;

  if (s->failover && machine)
    vm_failover_set_ready (machine, s->card.name, ready);
}

static void
net_features_set (VmVirtio *v)
{
  VmVirtioNet *s = (VmVirtioNet *) v;

  s->guest_offloads = v->features
                      & (VM_BIT (VIRTIO_NET_F_GUEST_CSUM) | VM_BIT (VIRTIO_NET_F_GUEST_TSO4)
                         | VM_BIT (VIRTIO_NET_F_GUEST_TSO6) | VM_BIT (VIRTIO_NET_F_GUEST_ECN)
                         | VM_BIT (VIRTIO_NET_F_GUEST_UFO));
  s->active_pairs = 1;
  vm_virtio_net_update_takes (s);
  vm_virtio_net_reset_filters (s);
  stand_by (s, vm_virtio_has (v, VIRTIO_NET_F_STANDBY));
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static void
put16 (uint8_t *p, unsigned value)
{
  p[0] = value;
  p[1] = value >> 8;
}

static void
net_config_get (VmVirtio *v, uint8_t *config)
{
  const VmVirtioNet *s = (const VmVirtioNet *) v;
  uint8_t all[CFG_END] = { 0 };

  memcpy (all + CFG_MAC, s->mac, 6);
  put16 (all + CFG_STATUS, (vm_net_card_link_up (&s->card) ? VIRTIO_NET_S_LINK_UP : 0)
                             | (s->announce ? VIRTIO_NET_S_ANNOUNCE : 0));
  put16 (all + CFG_MAX_PAIRS, s->pairs);
  put16 (all + CFG_MTU, s->host_mtu);
  put16 (all + CFG_SPEED, s->speed);
  put16 (all + CFG_SPEED + 2, (uint32_t) s->speed >> 16);
  all[CFG_DUPLEX] = !g_strcmp0 (s->duplex, "half") ? 0 : !g_strcmp0 (s->duplex, "full") ? 1 : 0xff;
  all[CFG_KEY_SIZE] = VM_VIRTIO_NET_KEY;
  put16 (all + CFG_TABLE_LENGTH, s->rss ? VM_VIRTIO_NET_TABLE : 1);
  put16 (all + CFG_HASH_TYPES, VIRTIO_NET_HASH_ALL);
  memcpy (config, all, MIN (v->config_size, sizeof all));
}

/* The legacy interface sets the address so, where there is no command for it. */
static void
net_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  VmVirtioNet *s = (VmVirtioNet *) v;

  if (vm_virtio_has (v, VIRTIO_F_VERSION_1) || vm_virtio_has (v, VIRTIO_NET_F_CTRL_MAC_ADDR) || offset >= 6)
    return;
  memcpy (s->mac, config, 6);
  vm_net_card_set_mac (&s->card, s->mac);
}

static void
link_changed (VmObject *device, bool up)
{
  VmVirtioNet *s = (VmVirtioNet *) device;

  vm_virtio_net_vhost_update (s);
  vm_virtio_config_changed (&s->parent);
}

/* The guest is asked to make itself known: it knows its addresses. */
static void
announce (VmObject *device)
{
  VmVirtioNet *s = (VmVirtioNet *) device;

  if (!vm_virtio_has (&s->parent, VIRTIO_NET_F_GUEST_ANNOUNCE) || !vm_virtio_running (&s->parent))
    {
      if (s->vhost && s->card.netdev)
        s->card.netdev->vhost->announce (s->card.netdev, s->mac);
      return;
    }
  s->announce = true;
  vm_virtio_config_changed (&s->parent);
}

/* --- queues --------------------------------------------------------------------------------------------------------- */

/* Which queue is the control queue depends on what the driver took (5.1.2). */
static void
handle_queue (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtioNet *s = (VmVirtioNet *) v;
  unsigned pairs = vm_virtio_net_max_pairs (s);

  if (vm_virtio_net_vhost_kick (s, q))
    return;
  if (q->index == 2 * pairs)
    vm_virtio_net_control (v, q);
  else if (q->index > 2 * pairs)
    return;
  else if (q->index % 2 == 0)
    vm_net_port_ready (&s->card.ports[q->index / 2]);
  else if (!s->tx_timed)
    vm_virtio_net_transmit (v, q);
  else if (!vm_timer_pending (&s->tx_timer))
    {
      vm_virtqueue_set_notification (q, false);
      vm_timer_set (&s->tx_timer, vm_clock_now (v->parent.env->clocks, VM_CLOCK_VIRTUAL) + s->x_txtimer);
    }
}

static void
tx_timer_fired (void *opaque)
{
  VmVirtioNet *s = opaque;

  for (unsigned i = 0; i < vm_virtio_net_max_pairs (s) && vm_virtio_running (&s->parent); i++)
    vm_virtio_net_transmit (&s->parent, s->parent.queues[2 * i + 1]);
}

static void
net_stop (VmVirtio *v)
{
  VmVirtioNet *s = (VmVirtioNet *) v;

  vm_virtio_net_vhost_stop (s);
  vm_timer_cancel (&s->tx_timer);
  vm_virtio_net_give_up (s);
}

static void
net_status_set (VmVirtio *v, uint8_t old)
{
  VmVirtioNet *s = (VmVirtioNet *) v;

  if (!v->status)
    {
      memcpy (s->mac, s->card.permanent, 6);
      vm_net_card_set_mac (&s->card, s->mac);
      s->announce = false;
      s->active_pairs = 1;
      s->guest_offloads = 0;
      s->hashing = (VmVirtioNetRss){ 0 };
      vm_virtio_net_reset_filters (s);
      vm_virtio_net_update_takes (s);
      stand_by (s, false);
    }
  vm_virtio_net_vhost_update (s);
  /* What came meanwhile can be dealt with now, or thrown away. */
  for (unsigned i = 0; i < s->pairs; i++)
    vm_net_port_ready (&s->card.ports[i]);
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

static const VmNetCardOps card_ops = {
  .port = { .receive = vm_virtio_net_receive },
  .rx_filter = vm_virtio_net_rx_filter,
  .link_changed = link_changed,
  .announce = announce,
  .vhost = true,
};

static bool
check_size (const char *name, unsigned size, unsigned max, GError **error)
{
  return (size >= 256 && size <= max && vm_is_pow2 (size))
         || vm_fail (error, "Invalid %s (= %u), must be a power of 2 between 256 and %u.", name, size, max);
}

static bool
net_check (VmVirtioNet *s, GError **error)
{
  if (s->guest_rsc_ext)
    return vm_fail (error, "guest_rsc_ext=on: not available in this build");
  if (s->duplex && strcmp (s->duplex, "half") != 0 && strcmp (s->duplex, "full") != 0)
    return vm_fail (error, "'duplex' must be 'half' or 'full'");
  if (s->speed < -1)
    return vm_fail (error, "'speed' must be between 0 and INT_MAX");
  if (s->tx && *s->tx && strcmp (s->tx, "timer") != 0 && strcmp (s->tx, "bh") != 0)
    return vm_fail (error, "Unknown option tx=%s, valid options: \"timer\" \"bh\"", s->tx);
  if (s->host_mtu && s->host_mtu < 68)
    return vm_fail (error, "host_mtu must be at least 68");
  if (s->x_txburst <= 0)
    return vm_fail (error, "x-txburst must be greater than 0");
  return check_size ("rx_queue_size", s->rx_queue_size, VM_VIRTQUEUE_MAX, error)
         && check_size ("tx_queue_size", s->tx_queue_size, VM_VIRTQUEUE_MAX, error);
}

static unsigned
queues_of_netdev (const VmVirtioNet *s)
{
  const VmNetdev *netdev = s->card.netdev_id ? vm_netdev_find (s->parent.parent.env->root, s->card.netdev_id) : NULL;

  return netdev ? MAX (netdev->ports->len, 1) : 1;
}

static bool
net_realize (VmDevice *dev, GError **error)
{
  VmVirtioNet *s = (VmVirtioNet *) dev;
  g_autofree void **opaques = NULL;

  if (!net_check (s, error))
    return false;
  s->pairs = s->mq || s->rss ? MIN (queues_of_netdev (s), (VM_VIRTIO_QUEUES - 1) / 2) : 1;
  s->pair = g_new0 (VmVirtioNetPair, s->pairs);
  opaques = g_new (void *, s->pairs);
  for (unsigned i = 0; i < s->pairs; i++)
    {
      s->pair[i] = (VmVirtioNetPair){ s, i, NULL };
      opaques[i] = &s->pair[i];
    }
  if (!vm_net_card_attach (&s->card, &dev->parent, "virtio-net-pci", &card_ops, s->pairs, opaques, error))
    {
      g_clear_pointer (&s->pair, g_free);
      return false;
    }
  if (!vm_virtio_net_vhost_attach (s, error))
    {
      vm_net_card_detach (&s->card);
      g_clear_pointer (&s->pair, g_free);
      return false;
    }
  s->slice = g_new (struct iovec, VM_VIRTQUEUE_MAX);
  s->tx_timed = !g_strcmp0 (s->tx, "timer");
  memcpy (s->mac, s->card.permanent, 6);
  vm_timer_init (&s->tx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, tx_timer_fired, s);
  s->parent.config_size = s->rss || s->hash                      ? CFG_END
                          : s->speed != -1 || s->duplex          ? CFG_KEY_SIZE
                          : s->host_mtu                          ? CFG_SPEED
                          : s->mq                                ? CFG_MTU
                                                                 : CFG_MAX_PAIRS;
  for (unsigned i = 0; i < s->pairs; i++)
    {
      vm_virtio_add_queue (&s->parent, s->rx_queue_size, handle_queue);
      vm_virtio_add_queue (&s->parent, s->tx_queue_size, handle_queue);
    }
  vm_virtio_add_queue (&s->parent, CONTROL_SIZE, handle_queue);
  s->active_pairs = 1;
  vm_virtio_net_reset_filters (s);
  return true;
}

static void
net_unrealize (VmDevice *dev)
{
  VmVirtioNet *s = (VmVirtioNet *) dev;

  vm_virtio_shut_down (&s->parent);
  stand_by (s, false);
  vm_timer_cancel (&s->tx_timer);
  vm_virtio_net_vhost_detach (s);
  vm_net_card_detach (&s->card);
  g_clear_pointer (&s->pair, g_free);
  g_clear_pointer (&s->slice, g_free);
}

static bool
net_post_load (VmDevice *dev, GError **error)
{
  VmVirtioNet *s = (VmVirtioNet *) dev;

  if (s->n_unicast + s->n_multicast > VM_VIRTIO_NET_MACS || s->active_pairs < 1 || s->active_pairs > s->pairs
      || s->hashing.n_table > VM_VIRTIO_NET_TABLE || (s->hashing.n_table & (s->hashing.n_table - 1))
      || s->hashing.n_key > VM_VIRTIO_NET_KEY)
    return vm_fail (error, "the state of virtio-net makes no sense");
  vm_net_card_set_mac (&s->card, s->mac);
  vm_virtio_net_update_takes (s);
  announce (&dev->parent);
  return true;
}

const VmProp vm_virtio_net_props[] = {
  VM_NET_CARD_PROPS (VmVirtioNet, card),
  VM_PROP ("csum", VmVirtioNet, csum, true, "the driver may leave check sums to others"),
  VM_PROP ("guest_csum", VmVirtioNet, guest_csum, true, "the driver takes packets without"),
  VM_PROP ("gso", VmVirtioNet, gso, true, "legacy: the driver may leave all kinds of segmentation to others"),
  VM_PROP ("guest_tso4", VmVirtioNet, guest_tso4, true, "the driver takes long TCP segments"),
  VM_PROP ("guest_tso6", VmVirtioNet, guest_tso6, true, "the same of IPv6"),
  VM_PROP ("guest_ecn", VmVirtioNet, guest_ecn, true, "the same with ECN"),
  VM_PROP ("guest_ufo", VmVirtioNet, guest_ufo, true, "the driver takes long UDP datagrams"),
  VM_PROP ("guest_announce", VmVirtioNet, guest_announce, true, "the guest makes its place known after a move"),
  VM_PROP ("host_tso4", VmVirtioNet, host_tso4, true, "the driver may send long TCP segments"),
  VM_PROP ("host_tso6", VmVirtioNet, host_tso6, true, "the same of IPv6"),
  VM_PROP ("host_ecn", VmVirtioNet, host_ecn, true, "the same with ECN"),
  VM_PROP ("host_ufo", VmVirtioNet, host_ufo, true, "the driver may send long UDP datagrams"),
  VM_PROP ("mrg_rxbuf", VmVirtioNet, mrg_rxbuf, true, "a packet may lie in several buffers"),
  VM_PROP ("status", VmVirtioNet, status, true, "the driver hears of the link"),
  VM_PROP ("ctrl_vq", VmVirtioNet, ctrl_vq, true, "control queue"),
  VM_PROP ("ctrl_rx", VmVirtioNet, ctrl_rx, true, "filters by it"),
  VM_PROP ("ctrl_vlan", VmVirtioNet, ctrl_vlan, true, "VLAN filters by it"),
  VM_PROP ("ctrl_rx_extra", VmVirtioNet, ctrl_rx_extra, true, "more filters by it"),
  VM_PROP ("ctrl_mac_addr", VmVirtioNet, ctrl_mac_addr, true, "the address by it"),
  VM_PROP ("ctrl_guest_offloads", VmVirtioNet, ctrl_guest_offloads, true, "offloads by it"),
  VM_PROP ("mq", VmVirtioNet, mq, false, "as many queues as the back end has"),
  VM_PROP ("rss", VmVirtioNet, rss, false, "packets are spread over queues by a hash"),
  VM_PROP ("hash", VmVirtioNet, hash, false, "the hash is told"),
  VM_PROP ("guest_rsc_ext", VmVirtioNet, guest_rsc_ext, false, "segments are joined"),
  VM_PROP ("rsc_interval", VmVirtioNet, rsc_interval, 300000, "ns that they wait for each other"),
  VM_PROP ("failover", VmVirtioNet, failover, false, "stands by for a passed-through card"),
  VM_PROP ("x-mtu-bypass-backend", VmVirtioNet, x_mtu_bypass_backend, true, "the MTU is told whatever the back end is"),
  VM_PROP ("host_mtu", VmVirtioNet, host_mtu, 0, "MTU that the driver is told; 0: none"),
  VM_PROP ("x-txtimer", VmVirtioNet, x_txtimer, 150000, "ns between rounds of sending with tx=timer"),
  VM_PROP ("x-txburst", VmVirtioNet, x_txburst, 256, "packets of a round of sending"),
  VM_PROP_STRING ("tx", VmVirtioNet, tx, NULL, "bh: packets go at once; timer: they are collected"),
  VM_PROP ("rx_queue_size", VmVirtioNet, rx_queue_size, 256, "entries"),
  VM_PROP ("tx_queue_size", VmVirtioNet, tx_queue_size, 256, "entries"),
  VM_PROP ("speed", VmVirtioNet, speed, -1, "Mbit/s that the driver is told; -1: nothing"),
  VM_PROP_STRING ("duplex", VmVirtioNet, duplex, NULL, "half or full, told likewise"),
  { 0 },
};

static const VmField rss_state[] = {
  VM_FIELD (VmVirtioNetRss, enabled), VM_FIELD (VmVirtioNetRss, report), VM_FIELD (VmVirtioNetRss, unclassified),
  VM_FIELD (VmVirtioNetRss, n_table), VM_FIELD (VmVirtioNetRss, n_key), VM_FIELD (VmVirtioNetRss, types),
  VM_FIELD_ARRAY (VmVirtioNetRss, table), VM_FIELD_ARRAY (VmVirtioNetRss, key), { 0 },
};

static const VmField mac_state[] = { { .name = "bytes", .kind = VM_FIELD_NUMBER, .size = 1, .count = 6 }, { 0 } };

static const VmField net_state[] = {
  VM_FIELD_ARRAY (VmVirtioNet, mac),
  VM_FIELD (VmVirtioNet, promiscuous),
  VM_FIELD (VmVirtioNet, all_multicast),
  VM_FIELD (VmVirtioNet, all_unicast),
  VM_FIELD (VmVirtioNet, no_multicast),
  VM_FIELD (VmVirtioNet, no_unicast),
  VM_FIELD (VmVirtioNet, no_broadcast),
  VM_FIELD (VmVirtioNet, multicast_overflow),
  VM_FIELD (VmVirtioNet, unicast_overflow),
  VM_FIELD (VmVirtioNet, announce),
  VM_FIELD (VmVirtioNet, active_pairs),
  VM_FIELD (VmVirtioNet, n_unicast),
  VM_FIELD (VmVirtioNet, n_multicast),
  VM_FIELD_EMBED_ARRAY (VmVirtioNet, macs, mac_state),
  VM_FIELD_ARRAY (VmVirtioNet, vlans),
  VM_FIELD (VmVirtioNet, guest_offloads),
  VM_FIELD_EMBED (VmVirtioNet, hashing, rss_state),
  VM_FIELD_TIMER_OF (VmVirtioNet, tx_timer),
  { 0 },
};

static const VmVirtioClass net_class = {
  .parent = {
    .realize = net_realize, .unrealize = net_unrealize, .post_load = net_post_load, .category = "Network",
    .user_creatable = true, .hotpluggable = true,
  },
  .id = VIRTIO_ID_NET, .legacy_features = VM_BIT (VIRTIO_NET_F_GSO), .features = net_features,
  .features_set = net_features_set, .config_get = net_config_get, .config_set = net_config_set,
  .status_set = net_status_set, .stop = net_stop,
};

const VmType vm_virtio_net_type = {
  .name = "virtio-net-device", .parent = &vm_virtio_type, .size = sizeof (VmVirtioNet),
  .help = "Virtio network device", .props = vm_virtio_net_props, .state = net_state, .klass = &net_class,
};
