/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's paravirtual network card: registers, commands, interrupts. */
#include "devices/net/vmxnet3.h"

#include "engine/base/log.h"

#include <string.h>

#define BAR_SIZE 0x1000
#define MSIX_SIZE 0x2000
#define LINK_UP (10000u << 16 | 1)

static uint64_t
load (Vmxnet3 *s, uint64_t addr, unsigned size)
{
  uint64_t value = 0;

  vm_pci_dma_read (&s->parent, addr, &value, size);
  return GUINT64_FROM_LE (value);
}

static void
store (Vmxnet3 *s, uint64_t addr, uint64_t value, unsigned size)
{
  value = GUINT64_TO_LE (value);
  vm_pci_dma_write (&s->parent, addr, &value, size);
}

uint64_t
vmxnet3_queue_at (const Vmxnet3 *s, bool rx, unsigned index)
{
  return s->queue_table + (uint64_t) (rx ? s->n_tx + index : index) * QUEUE_SIZE;
}

void
vmxnet3_count (uint64_t *stats, const uint8_t *mac, size_t len)
{
  unsigned which = vm_net_is_broadcast (mac)   ? STAT_BROADCAST
                   : vm_net_is_multicast (mac) ? STAT_MULTICAST
                                               : STAT_UNICAST;

  stats[which]++;
  stats[which + 1] += len;
}

void
vmxnet3_complete (Vmxnet3 *s, Vmxnet3Ring *comp, uint32_t dwords[4])
{
  uint64_t at = comp->base + comp->next * UINT64_C (16);
  uint32_t last = GUINT32_TO_LE ((dwords[3] & ~DONE_GEN) | (comp->gen ? DONE_GEN : 0));

  for (int i = 0; i < 3; i++)
    dwords[i] = GUINT32_TO_LE (dwords[i]);
  vm_pci_dma_write (&s->parent, at, dwords, 12);
  __atomic_thread_fence (__ATOMIC_RELEASE); /* the driver looks at the generation */
  vm_pci_dma_write (&s->parent, at + 12, &last, sizeof last);
  vmxnet3_ring_step (comp);
}

/* --- interrupts --------------------------------------------------------------------------------------------- */

static void
update_pin (Vmxnet3 *s)
{
  vm_pci_set_irq (&s->parent, s->asserted && !vm_pci_msix_enabled (&s->parent) && !vm_pci_msi_enabled (&s->parent));
}

static void
tell (Vmxnet3 *s, unsigned vector)
{
  uint32_t bit = 1u << vector;

  if (!(s->pending & bit) || (s->masked & bit))
    return;
  s->pending &= ~bit;
  if (s->auto_mask)
    s->masked |= bit;
  if (vm_pci_msix_enabled (&s->parent))
    vm_pci_msix_notify (&s->parent, vector);
  else if (vm_pci_msi_enabled (&s->parent))
    vm_pci_msi_notify (&s->parent, 0);
  else
    s->asserted |= bit;
  update_pin (s);
}

void
vmxnet3_interrupt (Vmxnet3 *s, unsigned vector)
{
  if (vector >= VMXNET3_INTRS)
    return;
  s->pending |= 1u << vector;
  tell (s, vector);
}

void
vmxnet3_event (Vmxnet3 *s, uint32_t event)
{
  if (!s->active)
    return;
  store (s, s->shared + SHARED_ECR, load (s, s->shared + SHARED_ECR, 4) | event, 4);
  vmxnet3_interrupt (s, s->event_intr);
}

/* --- configuration ------------------------------------------------------------------------------------------- */

static void
load_rx_mode (Vmxnet3 *s)
{
  s->rx_mode = load (s, s->shared + SHARED_RX_MODE, 4);
}

static void
load_multicast (Vmxnet3 *s)
{
  uint32_t n = load (s, s->shared + SHARED_MF_LEN, 2) / 6;

  s->all_multicast = n > VMXNET3_MULTICAST;
  s->n_multicast = MIN (n, VMXNET3_MULTICAST);
  vm_pci_dma_read (&s->parent, load (s, s->shared + SHARED_MF, 8), s->multicast, s->n_multicast * 6);
}

static void
load_vlans (Vmxnet3 *s)
{
  vm_pci_dma_read (&s->parent, s->shared + SHARED_VLANS, s->vlans, sizeof s->vlans);
  for (size_t i = 0; i < G_N_ELEMENTS (s->vlans); i++)
    s->vlans[i] = GUINT32_FROM_LE (s->vlans[i]);
}

static void
load_hash (Vmxnet3 *s)
{
  uint8_t conf[8 + VM_NET_HASH_KEY + 128] = { 0 };
  uint32_t len = load (s, s->shared + SHARED_RSS_LEN, 4), types;

  s->hash_n = 0;
  if (!(s->features & FEATURE_RSS) || !len)
    return;
  vm_pci_dma_read (&s->parent, load (s, s->shared + SHARED_RSS, 8), conf, MIN (len, sizeof conf));
  types = vm_load_le16 (conf);
  s->hash_types = (types & 1 ? VM_NET_HASH_IPV4 : 0) | (types & 2 ? VM_NET_HASH_TCPV4 : 0)
                  | (types & 4 ? VM_NET_HASH_IPV6 : 0) | (types & 8 ? VM_NET_HASH_TCPV6 : 0);
  if (vm_load_le16 (conf + 2) != 1) /* Toeplitz */
    return;
  s->hash_n = MIN (vm_load_le16 (conf + 6), 128);
  memcpy (s->hash_key, conf + 8, sizeof s->hash_key);
  memcpy (s->hash_table, conf + 8 + VM_NET_HASH_KEY, sizeof s->hash_table);
}

static bool
load_ring (Vmxnet3 *s, Vmxnet3Ring *ring, uint64_t base, uint64_t size, uint32_t most, bool may_be_none)
{
  *ring = (Vmxnet3Ring){ .base = load (s, base, 8), .size = load (s, size, 4), .gen = 1 };
  return ring->size <= most && (ring->size || may_be_none);
}

static bool
load_queues (Vmxnet3 *s)
{
  for (unsigned i = 0; i < s->n_tx; i++)
    {
      Vmxnet3Tx *q = &s->tx[i];
      uint64_t at = vmxnet3_queue_at (s, false, i);
      if (!load_ring (s, &q->ring, at + QUEUE_RING, at + QUEUE_RING_N, 4096, false)
          || !load_ring (s, &q->comp, at + QUEUE_COMP, at + QUEUE_COMP_N, 4096, false))
        return false;
      q->intr = load (s, at + QUEUE_INTR, 1);
      q->stopped = false;
      q->error = 0;
      if (q->intr >= VMXNET3_INTRS)
        return false;
    }
  for (unsigned i = 0; i < s->n_rx; i++)
    {
      Vmxnet3Rx *q = &s->rx[i];
      uint64_t at = vmxnet3_queue_at (s, true, i);
      if (!load_ring (s, &q->ring[0], at + QUEUE_RING, at + QUEUE_RING_N, 4096, false)
          || !load_ring (s, &q->ring[1], at + QUEUE_RING2, at + QUEUE_RING2_N, 4096, true)
          || !load_ring (s, &q->comp, at + QUEUE_COMP, at + QUEUE_COMP_N, 8192, false))
        return false;
      q->intr = load (s, at + QUEUE_INTR, 1);
      q->waiting = false;
      if (q->intr >= VMXNET3_INTRS)
        return false;
    }
  return true;
}

/* With large receive offload the driver takes long segments; what they lack of check sums is added on the way. */
static void
update_takes (Vmxnet3 *s)
{
  const uint64_t wanted = FEATURE_LRO | FEATURE_RXCSUM;
  bool large = s->active && (s->features & wanted) == wanted;

  if (s->card.ports)
    vm_net_port_set_takes (&s->card.ports[0], large ? VM_NET_TAKES_CSUM | VM_NET_TAKES_TSO4 | VM_NET_TAKES_TSO6 : 0);
}

static void
quiesce (Vmxnet3 *s)
{
  s->active = false;
  update_takes (s);
  vmxnet3_tx_stop (s);
  s->pending = s->asserted = 0;
  update_pin (s);
}

/* 0: it works. */
static uint32_t
activate (Vmxnet3 *s)
{
  quiesce (s);
  if (load (s, s->shared + SHARED_MAGIC, 4) != VMXNET3_MAGIC)
    return 1;
  s->features = load (s, s->shared + SHARED_FEATURES, 8);
  s->queue_table = load (s, s->shared + SHARED_QUEUES, 8);
  s->n_tx = load (s, s->shared + SHARED_N_TX, 1);
  s->n_rx = load (s, s->shared + SHARED_N_RX, 1);
  s->auto_mask = load (s, s->shared + SHARED_AUTO_MASK, 1);
  s->event_intr = load (s, s->shared + SHARED_EVENT_INTR, 1);
  if (!s->n_tx || s->n_tx > VMXNET3_TX_QUEUES || !s->n_rx || s->n_rx > VMXNET3_RX_QUEUES
      || s->event_intr >= VMXNET3_INTRS || load (s, s->shared + SHARED_N_INTRS, 1) > VMXNET3_INTRS || !load_queues (s))
    {
      s->n_tx = s->n_rx = 0;
      return 1;
    }
  load_rx_mode (s);
  load_multicast (s);
  load_vlans (s);
  load_hash (s);
  s->active = true;
  update_takes (s);
  vm_net_card_rx_filter_changed (&s->card);
  vm_net_port_ready (&s->card.ports[0]);
  return 0;
}

static void
write_status (Vmxnet3 *s, bool with_stats)
{
  for (unsigned i = 0; i < s->n_tx + s->n_rx; i++)
    {
      bool rx = i >= s->n_tx;
      uint64_t at = s->queue_table + (uint64_t) i * QUEUE_SIZE;
      const uint64_t *stats = rx ? s->rx[i - s->n_tx].stats : s->tx[i].stats;

      store (s, at + QUEUE_STOPPED, !rx && s->tx[i].stopped, 1);
      store (s, at + QUEUE_ERROR, rx ? 0 : s->tx[i].error, 4);
      for (unsigned k = 0; with_stats && k < STATS_N; k++)
        store (s, at + QUEUE_STATS + k * 8, stats[k], 8);
    }
}

static void
reset_card (Vmxnet3 *s)
{
  quiesce (s);
  s->auto_mask = false;
  s->shared = s->queue_table = s->features = 0;
  s->dsal = s->result = 0;
  s->n_tx = s->n_rx = s->event_intr = 0;
  s->masked = (1u << VMXNET3_INTRS) - 1;
  s->rx_mode = s->n_multicast = s->hash_n = s->hash_types = 0;
  s->all_multicast = false;
  memset (s->vlans, 0, sizeof s->vlans);
  memcpy (s->mac, s->card.permanent, 6);
  vm_net_card_set_mac (&s->card, s->mac);
  for (unsigned i = 0; i < VMXNET3_TX_QUEUES; i++)
    {
      Vmxnet3Tx *q = &s->tx[i];
      memset (q->stats, 0, sizeof q->stats);
      q->ring = q->comp = (Vmxnet3Ring){ 0 };
      q->intr = 0;
      q->stopped = false;
      q->error = q->how[0] = q->how[1] = 0;
    }
  memset (s->rx, 0, sizeof s->rx);
}

/* --- registers -------------------------------------------------------------------------------- */

static uint32_t
run_get (Vmxnet3 *s, uint32_t command)
{
  const uint8_t *mac = s->card.permanent;

  switch (command)
    {
    case CMD_QUEUE_STATUS:
      write_status (s, false);
      return 0;
    case CMD_STATS:
      write_status (s, true);
      return 0;
    case CMD_LINK:
      return vm_net_card_link_up (&s->card) ? LINK_UP : 0;
    case CMD_MAC_LOW:
      return vm_load_le32 (mac);
    case CMD_MAC_HIGH:
      return mac[4] | mac[5] << 8;
    case CMD_DID_LOW:
      return 0x07b0;
    case CMD_DID_HIGH:
      return 1;
    case CMD_EXTRA_INFO:
    case CMD_CONF_INTR: /* kind and mask as the driver likes */
      return 0;
    case CMD_RING_INFO:
      return 1; /* rings keep their sizes */
    default:
      vm_log (VM_LOG_UNIMP, "vmxnet3: command 0x%x\n", command);
      return UINT32_MAX;
    }
}

static uint32_t
run_set (Vmxnet3 *s, uint32_t command)
{
  switch (command)
    {
    case CMD_ACTIVATE:
      return activate (s);
    case CMD_QUIESCE:
      quiesce (s);
      return 0;
    case CMD_RESET:
      reset_card (s);
      return 0;
    default:
      break;
    }
  if (!s->active)
    return 1;
  switch (command)
    {
    case CMD_RX_MODE:
      load_rx_mode (s);
      break;
    case CMD_MAC_FILTERS:
      load_multicast (s);
      break;
    case CMD_VLAN_FILTERS:
      load_vlans (s);
      break;
    case CMD_FEATURE:
      s->features = load (s, s->shared + SHARED_FEATURES, 8);
      load_hash (s);
      update_takes (s);
      break;
    case CMD_RSS:
      load_hash (s);
      break;
    case CMD_IML:   /* interrupts are not held back */
    case CMD_PMCFG: /* the machine is not woken by packets */
      return 0;
    default:
      vm_log (VM_LOG_UNIMP, "vmxnet3: command 0x%x\n", command);
      return UINT32_MAX;
    }
  vm_net_card_rx_filter_changed (&s->card);
  return 0;
}

static void
run_command (Vmxnet3 *s, uint32_t command)
{
  VmReentry mark;

  vm_memory_owner_enter (s->parent.parent.env->memory, &mark, s);
  s->result = command >> 16 == 0xf00d ? run_get (s, command) : run_set (s, command);
  vm_memory_owner_leave (s->parent.parent.env->memory, &mark);
}

static uint64_t
registers_read (void *opaque, uint64_t offset, unsigned size)
{
  Vmxnet3 *s = opaque;
  uint32_t value;

  switch (offset)
    {
    case VMXNET3_VRRS:
    case VMXNET3_UVRS:
      return 1;
    case VMXNET3_DSAL:
      return s->dsal;
    case VMXNET3_DSAH:
      return s->shared >> 32;
    case VMXNET3_CMD:
      return s->result;
    case VMXNET3_MACL:
      return vm_load_le32 (s->mac);
    case VMXNET3_MACH:
      return s->mac[4] | s->mac[5] << 8;
    case VMXNET3_ICR:
      /* Who looks has heard. */
      value = s->asserted != 0;
      s->asserted = 0;
      update_pin (s);
      return value;
    case VMXNET3_ECR:
      return s->active ? load (s, s->shared + SHARED_ECR, 4) : 0;
    default:
      return 0;
    }
}

static void
registers_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Vmxnet3 *s = opaque;

  switch (offset)
    {
    case VMXNET3_DSAL:
      /* With zero the driver lets go of it. */
      s->dsal = value;
      if (!value)
        quiesce (s);
      break;
    case VMXNET3_DSAH:
      if (!s->active)
        s->shared = (value << 32 | s->dsal) & ~UINT64_C (7);
      break;
    case VMXNET3_CMD:
      run_command (s, value);
      break;
    case VMXNET3_MACL:
      vm_store_le32 (s->mac, value);
      vm_net_card_set_mac (&s->card, s->mac);
      break;
    case VMXNET3_MACH:
      s->mac[4] = value;
      s->mac[5] = value >> 8;
      vm_net_card_set_mac (&s->card, s->mac);
      vm_net_card_rx_filter_changed (&s->card);
      break;
    case VMXNET3_ECR:
      if (s->active)
        store (s, s->shared + SHARED_ECR, load (s, s->shared + SHARED_ECR, 4) & ~value, 4);
      break;
    default:
      break;
    }
}

static const VmRegionOps registers_ops = {
  .read = registers_read,
  .write = registers_write,
  .valid = { .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

static uint64_t
queues_read (void *opaque, uint64_t offset, unsigned size)
{
  Vmxnet3 *s = opaque;

  return offset % 8 == 0 && offset / 8 < VMXNET3_INTRS ? s->masked >> offset / 8 & 1 : 0;
}

static void
queues_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Vmxnet3 *s = opaque;
  unsigned n = offset % VMXNET3_RXPROD / 8;

  if (offset % 8)
    return;
  if (offset < 8 * VMXNET3_INTRS)
    {
      n = offset / 8;
      if (value & 1)
        s->masked |= 1u << n;
      else
        {
          s->masked &= ~(1u << n);
          tell (s, n);
        }
    }
  else if (offset >= VMXNET3_TXPROD && offset < VMXNET3_TXPROD + 8 * VMXNET3_TX_QUEUES)
    vmxnet3_transmit (&s->tx[(offset - VMXNET3_TXPROD) / 8]);
  else if (offset >= VMXNET3_RXPROD && offset < VMXNET3_RXPROD2 + 8 * VMXNET3_RX_QUEUES)
    vmxnet3_rx_ready (s, (offset & 0x1ff) / 8);
}

static const VmRegionOps queues_ops = {
  .read = queues_read,
  .write = queues_write,
  .valid = { .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------- */

static void
link_changed (VmObject *device, bool up)
{
  vmxnet3_event ((Vmxnet3 *) device, EVENT_LINK);
}

static const VmNetCardOps card_ops = {
  .port = { .receive = vmxnet3_receive },
  .rx_filter = vmxnet3_rx_filter,
  .link_changed = link_changed,
};

static void
vmxnet3_reset (VmDevice *dev, VmResetKind kind)
{
  reset_card ((Vmxnet3 *) dev);
}

static void
vmxnet3_unrealize (VmDevice *dev)
{
  Vmxnet3 *s = (Vmxnet3 *) dev;

  vm_net_card_detach (&s->card);
  vm_timer_cancel (&s->tx_timer);
  vm_region_destroy (&s->queues);
  vm_region_destroy (&s->registers);
  vm_region_destroy (&s->msix);
  for (unsigned i = 0; i < VMXNET3_TX_QUEUES; i++)
    g_clear_pointer (&s->tx[i].data, g_free);
}

static bool
vmxnet3_realize (VmDevice *dev, GError **error)
{
  Vmxnet3 *s = (Vmxnet3 *) dev;
  VmPciDevice *pci = &s->parent;
  bool old = s->old_msi_offsets;

  if (!vm_net_card_attach (&s->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  for (unsigned i = 0; i < VMXNET3_TX_QUEUES; i++)
    {
      s->tx[i].card = s;
      s->tx[i].index = i;
      s->tx[i].data_size = VM_NET_FRAME_MAX;
      s->tx[i].data = g_malloc0 (VM_NET_FRAME_MAX);
    }
  vm_timer_init (&s->tx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, vmxnet3_tx_timer, s);
  vm_region_init_io (&s->queues, dev->env->memory, &queues_ops, s, "vmxnet3-queues", BAR_SIZE);
  vm_region_init_io (&s->registers, dev->env->memory, &registers_ops, s, "vmxnet3-registers", BAR_SIZE);
  vm_region_init (&s->msix, dev->env->memory, "vmxnet3-msix", MSIX_SIZE);
  vm_pci_add_bar (pci, 0, 0, &s->queues);
  vm_pci_add_bar (pci, 1, 0, &s->registers);
  vm_pci_add_bar (pci, 2, 0, &s->msix);
  vm_pci_set_interrupt_pin (pci, 1);
  if (vm_pci_msi_init (pci, old ? 0x50 : 0x84, 1, true, false, error)
      && vm_pci_msix_init (pci, VMXNET3_INTRS, &s->msix, 2, 0, &s->msix, 2, old ? 0x800 : 0x1000, old ? 0x40 : 0x9c,
                           error))
    return true;
  vmxnet3_unrealize (dev);
  return false;
}

static bool
sound (const Vmxnet3Ring *r, uint32_t most)
{
  return r->size <= most && r->next <= (r->size ? r->size - 1 : 0) && r->gen <= 1;
}

static bool
vmxnet3_post_load (VmDevice *dev, GError **error)
{
  Vmxnet3 *s = (Vmxnet3 *) dev;
  bool ok = s->n_tx <= VMXNET3_TX_QUEUES && s->n_rx <= VMXNET3_RX_QUEUES && (!s->active || (s->n_rx && s->n_tx))
            && s->event_intr < VMXNET3_INTRS && s->n_multicast <= VMXNET3_MULTICAST && s->hash_n <= 128
            && !((s->masked | s->pending | s->asserted) >> VMXNET3_INTRS);

  for (unsigned i = 0; i < VMXNET3_TX_QUEUES; i++)
    ok = ok && sound (&s->tx[i].ring, 4096) && sound (&s->tx[i].comp, 4096) && s->tx[i].intr < VMXNET3_INTRS
         && s->tx[i].len < VM_NET_FRAME_MAX
         && (!s->active || i >= s->n_tx || (s->tx[i].ring.size && s->tx[i].comp.size));
  for (unsigned i = 0; i < VMXNET3_RX_QUEUES; i++)
    ok = ok && sound (&s->rx[i].ring[0], 4096) && sound (&s->rx[i].ring[1], 4096) && sound (&s->rx[i].comp, 8192)
         && s->rx[i].intr < VMXNET3_INTRS
         && (!s->active || i >= s->n_rx || (s->rx[i].ring[0].size && s->rx[i].comp.size));
  if (!ok)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  vm_net_card_set_mac (&s->card, s->mac);
  update_pin (s);
  update_takes (s);
  /* Once the machine runs. */
  vm_timer_set (&s->tx_timer, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

static const VmField ring_state[] = {
  VM_FIELD (Vmxnet3Ring, base),
  VM_FIELD (Vmxnet3Ring, size),
  VM_FIELD (Vmxnet3Ring, next),
  VM_FIELD (Vmxnet3Ring, gen),
  { 0 },
};

static const VmField tx_state[] = {
  VM_FIELD_EMBED (Vmxnet3Tx, ring, ring_state),
  VM_FIELD_EMBED (Vmxnet3Tx, comp, ring_state),
  VM_FIELD (Vmxnet3Tx, intr),
  VM_FIELD (Vmxnet3Tx, started),
  VM_FIELD (Vmxnet3Tx, told),
  VM_FIELD (Vmxnet3Tx, stopped),
  VM_FIELD (Vmxnet3Tx, len),
  VM_FIELD (Vmxnet3Tx, pieces),
  VM_FIELD_ARRAY (Vmxnet3Tx, how),
  VM_FIELD (Vmxnet3Tx, error),
  VM_FIELD_ARRAY (Vmxnet3Tx, stats),
  VM_FIELD_HEAP (Vmxnet3Tx, data, data_size),
  { 0 },
};

static const VmField rx_state[] = {
  VM_FIELD_EMBED_ARRAY (Vmxnet3Rx, ring, ring_state),
  VM_FIELD_EMBED (Vmxnet3Rx, comp, ring_state),
  VM_FIELD (Vmxnet3Rx, intr),
  VM_FIELD (Vmxnet3Rx, waiting),
  VM_FIELD_ARRAY (Vmxnet3Rx, stats),
  { 0 },
};

static const VmField vmxnet3_state[] = {
  VM_FIELD (Vmxnet3, active),
  VM_FIELD (Vmxnet3, auto_mask),
  VM_FIELD (Vmxnet3, result),
  VM_FIELD (Vmxnet3, dsal),
  VM_FIELD (Vmxnet3, shared),
  VM_FIELD (Vmxnet3, queue_table),
  VM_FIELD (Vmxnet3, features),
  VM_FIELD_ARRAY (Vmxnet3, mac),
  VM_FIELD (Vmxnet3, n_tx),
  VM_FIELD (Vmxnet3, n_rx),
  VM_FIELD (Vmxnet3, event_intr),
  VM_FIELD (Vmxnet3, masked),
  VM_FIELD (Vmxnet3, pending),
  VM_FIELD (Vmxnet3, asserted),
  VM_FIELD (Vmxnet3, rx_mode),
  VM_FIELD_ARRAY (Vmxnet3, vlans),
  VM_FIELD_ARRAY (Vmxnet3, multicast),
  VM_FIELD (Vmxnet3, n_multicast),
  VM_FIELD (Vmxnet3, all_multicast),
  VM_FIELD (Vmxnet3, hash_types),
  VM_FIELD (Vmxnet3, hash_n),
  VM_FIELD_ARRAY (Vmxnet3, hash_key),
  VM_FIELD_ARRAY (Vmxnet3, hash_table),
  VM_FIELD_EMBED_ARRAY (Vmxnet3, tx, tx_state),
  VM_FIELD_EMBED_ARRAY (Vmxnet3, rx, rx_state),
  VM_FIELD_TIMER_OF (Vmxnet3, tx_timer),
  { 0 },
};

static const VmProp vmxnet3_props[] = {
  VM_NET_CARD_PROPS (Vmxnet3, card),
  VM_PROP ("x-old-msi-offsets", Vmxnet3, old_msi_offsets, false, "capabilities at 40 and 50 instead of 84 and 9c"),
  VM_PROP ("x-disable-pcie", Vmxnet3, disable_pcie, false, "conventional PCI also on PCI Express"),
  { 0 },
};

static const VmPciClass vmxnet3_class = {
  .parent = { .realize = vmxnet3_realize,
              .unrealize = vmxnet3_unrealize,
              .reset = vmxnet3_reset,
              .post_load = vmxnet3_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x15ad,
  .device = 0x07b0,
  .class_id = 0x0200,
  .revision = 1,
  .subsystem_vendor = 0x15ad,
  .subsystem = 0x07b0,
  .romfile = "efi-vmxnet3.rom",
};

const VmType vm_vmxnet3_type = {
  .name = "vmxnet3",
  .parent = &vm_pci_device_type,
  .size = sizeof (Vmxnet3),
  .help = "VMware paravirtual Ethernet, v3",
  .props = vmxnet3_props,
  .state = vmxnet3_state,
  .klass = &vmxnet3_class,
};
