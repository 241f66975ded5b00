/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all of Intel's 8254x and 82574 gigabit Ethernet controllers share: registers, late interrupts, link, reset
 * (8254x Software Developer's Manual, 317453; 82574 data sheet, 317694). */
#include "devices/net/e1000.h"

#include "engine/base/log.h"

#include <string.h>

/* --- interrupts --------------------------------------------------------------------------------------------- */

int64_t
e1000_now (const E1000 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

uint32_t
e1000_take_late (E1000 *self)
{
  uint32_t causes = self->late_causes;

  vm_timer_cancel (&self->late_timer);
  self->late_causes = 0;
  return causes;
}

void
e1000_interrupt (E1000 *self, uint32_t causes)
{
  /* Whatever was to be told later goes along. */
  causes = (causes | e1000_take_late (self)) & self->model->causes;
  self->regs[E1000_ICR / 4] |= causes;
  self->model->update (self, causes);
}

void
e1000_interrupt_late (E1000 *self, uint32_t causes, uint32_t delay, uint32_t absolute)
{
  int64_t at = e1000_now (self) + delay * INT64_C (1024);

  if (!delay || !self->mitigation)
    {
      e1000_interrupt (self, causes);
      return;
    }
  if (!self->late_causes)
    self->late_limit = e1000_now (self) + (absolute ? absolute : delay) * INT64_C (1024);
  self->late_causes |= causes;
  vm_timer_set (&self->late_timer, MIN (at, self->late_limit));
}

static void
int_timer_fired (void *opaque)
{
  E1000 *self = opaque;

  self->model->update (self, 0);
}

static void
tx_timer_fired (void *opaque)
{
  e1000_transmit (opaque);
}

static void
late_timer_fired (void *opaque)
{
  e1000_interrupt (opaque, 0);
}

void
e1000_count (E1000 *self, uint32_t offset, uint64_t n)
{
  uint32_t *low = e1000_reg (self, offset);

  if (offset == E1000_TOTL || offset == E1000_TORL || offset == E1000_GOTCL || offset == E1000_GORCL)
    {
      uint64_t old = (uint64_t) low[1] << 32 | low[0], sum = old + n < old ? UINT64_MAX : old + n;
      low[0] = sum;
      low[1] = sum >> 32;
    }
  else
    *low = *low > UINT32_MAX - n ? UINT32_MAX : *low + n;
}

/* --- link ----------------------------------------------------------------------------------------------------------
 */

static void
negotiated (void *opaque)
{
  E1000 *self = opaque;

  if (!vm_net_card_link_up (&self->card))
    return;
  e1000_link_update (self, true);
  self->phy[PHY_STATUS] |= PHY_STATUS_AN_DONE;
  self->phy[PHY_LPA] |= PHY_LPA_ACK;
  e1000_interrupt (self, INT_LSC);
  vm_net_port_ready (&self->card.ports[0]);
}

static void
link_changed (VmObject *device, bool up)
{
  E1000 *self = (E1000 *) device;

  if (up && self->autonegotiation && (self->phy[PHY_CTRL] & PHY_CTRL_ANEN))
    {
      e1000_start_negotiation (self);
      return;
    }
  vm_timer_cancel (&self->link_timer);
  e1000_link_update (self, up);
  e1000_interrupt (self, INT_LSC);
}

/* --- reset ------------------------------------------------------------------------------------ */

/* What the MAC address registers hold after a reset comes from the EEPROM (13.5.2). */
static void
load_address (E1000 *self)
{
  const uint8_t *mac = self->card.permanent;

  self->regs[E1000_RA / 4] = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t) mac[3] << 24;
  self->regs[E1000_RA / 4 + 1] = mac[4] | mac[5] << 8 | RAH_AV;
  vm_net_card_set_mac (&self->card, mac);
}

/* Software reset keeps what stands outside of the MAC. */
void
e1000_reset_mac (E1000 *self)
{
  vm_timer_cancel (&self->link_timer);
  vm_timer_cancel (&self->int_timer);
  e1000_take_late (self);
  e1000_tx_reset (self);
  memset (self->regs, 0, sizeof self->regs);
  self->regs[E1000_RXCSUM / 4] = RXCSUM_IPOFL | RXCSUM_TUOFL;
  if (self->init_vet)
    self->regs[E1000_VET / 4] = 0x8100;
  self->model->reset_mac (self);
  load_address (self);
  e1000_link_update (self, vm_net_card_link_up (&self->card));
  vm_pci_set_irq (&self->parent, 0);
}

void
e1000_reset (VmDevice *dev, VmResetKind kind)
{
  E1000 *self = (E1000 *) dev;

  self->io_addr = 0;
  vm_eeprom93xx_reset (&self->eeprom);
  e1000_phy_reset (self);
  e1000_reset_mac (self);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

/* --- registers -------------------------------------------------------------------------------- */

/* Registers that are as they were written, as ranges of offsets and the bits kept. */
static const E1000Plain plain[] = {
  { E1000_CTRL_EXT, E1000_CTRL_EXT, 0x17ffffff },
  { E1000_FLA, E1000_FLA, 0 },
  { E1000_FCAL, E1000_VET, 0xffffffff },
  { E1000_ITR, E1000_ITR, 0xffff },
  { E1000_FCTTV, E1000_FCTTV, 0xffff },
  { E1000_TXCW, E1000_TXCW, 0xc000ffff },
  { E1000_TIPG, E1000_TIPG, 0x3fffffff },
  { E1000_AIFS, E1000_AIFS, 0xffff },
  { E1000_LEDCTL, E1000_LEDCTL, 0xcfcfcfcf },
  { E1000_PBA, E1000_PBA, 0xffff },
  { E1000_FCRTL, E1000_FCRTL, 0x8000fff8 },
  { E1000_FCRTH, E1000_FCRTH, 0xfff8 },
  { E1000_RDFH, E1000_RDFPC, 0x1fff },
  { E1000_RDBAL, E1000_RDBAL, 0xfffffff0 },
  { E1000_RDBAH, E1000_RDBAH, 0xffffffff },
  { E1000_RDLEN, E1000_RDLEN, 0xfff80 },
  { E1000_RDH, E1000_RDH, 0xffff },
  { E1000_RDTR, E1000_RDTR, 0xffff },
  { E1000_RXDCTL, E1000_RXDCTL, 0xffffffff },
  { E1000_RADV, E1000_RADV, 0xffff },
  { E1000_RSRPD, E1000_RSRPD, 0xfff },
  { E1000_TDFH, E1000_TDFPC, 0x1fff },
  { E1000_TDBAL, E1000_TDBAL, 0xfffffff0 },
  { E1000_TDBAH, E1000_TDBAH, 0xffffffff },
  { E1000_TDLEN, E1000_TDLEN, 0xfff80 },
  { E1000_TDH, E1000_TDH, 0xffff },
  { E1000_TIDV, E1000_TIDV, 0xffff },
  { E1000_TXDCTL, E1000_TXDCTL, 0xffffffff },
  { E1000_TADV, E1000_TADV, 0xffff },
  { E1000_TSPMT, E1000_TSPMT, 0xffffffff },
  { E1000_RXCSUM, E1000_RXCSUM, 0x3ff },
  { E1000_MTA, E1000_MTA + 0x1fc, 0xffffffff },
  { E1000_RA, E1000_RA + 0x7c, 0xffffffff },
  { E1000_VFTA, E1000_VFTA + 0x1fc, 0xffffffff },
  { E1000_WUC, E1000_WUC, 0xf },
  { E1000_WUFC, E1000_WUFC, 0xf80ff },
  { E1000_MANC, E1000_MANC, 0xffffffff },
  { E1000_IPAV, E1000_IPAV, 0xf000f },
  { E1000_IP4AT, E1000_IP4AT + 0x1c, 0xffffffff },
  { E1000_IP6AT, E1000_IP6AT + 0xc, 0xffffffff },
  { E1000_WUPM, E1000_WUPM + 0x7c, 0xffffffff },
  { E1000_FFLT, E1000_FFLT + 0x1c, 0x7ff },
  { 0 },
};

/* With extra_mac_registers=off, as machines up to 2.4 had it, these are not there. */
static bool
is_extra (uint32_t offset)
{
  return offset == E1000_AIFS || offset == E1000_FLA || (offset >= E1000_FCAL && offset <= E1000_FCT)
         || offset == E1000_FCTTV || (offset >= E1000_RDFH && offset <= E1000_RDFPC) || offset == E1000_FCRTL
         || offset == E1000_FCRTH || offset == E1000_RSRPD || (offset >= E1000_TDFH && offset <= E1000_TDFPC)
         || offset == E1000_TSPMT || (offset >= E1000_WUC && offset <= E1000_WUS)
         || (offset >= E1000_IPAV && offset <= E1000_FFLT + 0x1c);
}

static void
set_address (E1000 *self)
{
  uint32_t low = self->regs[E1000_RA / 4], high = self->regs[E1000_RA / 4 + 1];

  vm_net_card_set_mac (&self->card, (const uint8_t[]){ low, low >> 8, low >> 16, low >> 24, high, high >> 8 });
}

static bool
write_if_plain (E1000 *self, const E1000Plain *p, uint32_t offset, uint32_t value)
{
  for (; p && p->first; p++)
    if (offset >= p->first && offset <= p->last)
      {
        self->regs[offset / 4] = value & p->mask;
        return true;
      }
  return false;
}

static void
write_plain (E1000 *self, uint32_t offset, uint32_t value)
{
  if (!write_if_plain (self, self->model->plain, offset, value) && !write_if_plain (self, plain, offset, value))
    vm_log (VM_LOG_UNIMP, "e1000: write of 0x%x to register 0x%x\n", value, offset);
  if (offset == E1000_RA + 4)
    set_address (self);
  if ((offset >= E1000_MTA && offset <= E1000_RA + 0x7c) || (offset >= E1000_VFTA && offset < E1000_VFTA + 0x200))
    vm_net_card_rx_filter_changed (&self->card);
}

static void
write_ctrl (E1000 *self, uint32_t value)
{
  if (value & CTRL_RST)
    {
      e1000_reset_mac (self);
      return;
    }
  self->regs[E1000_CTRL / 4] = value & ~(uint32_t) (CTRL_RST | CTRL_PHY_RST);
  if (value & CTRL_PHY_RST)
    {
      e1000_phy_reset (self);
      e1000_link_update (self, false);
      e1000_start_negotiation (self);
    }
}

static void
mmio_write_reg (E1000 *self, uint32_t offset, uint32_t value)
{
  offset = self->model->true_offset ? self->model->true_offset (offset) : offset;
  /* Those of the second queues are as those of the first. */
  bool second = self->model->queues > 1
                && ((offset >= E1000_RDBAL + E1000_QUEUE && offset < E1000_RDBAL + 2 * E1000_QUEUE)
                    || (offset >= E1000_TDBAL + E1000_QUEUE && offset < E1000_TDBAL + 2 * E1000_QUEUE));

  if (self->model->write (self, offset, value))
    return;
  switch (second ? offset - E1000_QUEUE : offset)
    {
    case E1000_CTRL:
    case E1000_CTRL + 4: /* a second place of the same (13.4.1) */
      write_ctrl (self, value);
      break;
    case E1000_MDIC:
      e1000_mdic_write (self, value);
      break;
    case E1000_ICS:
      e1000_interrupt (self, value);
      break;
    case E1000_IMS:
      {
        uint32_t news = value & self->model->causes & ~self->regs[E1000_IMS / 4];
        self->regs[E1000_IMS / 4] |= news;
        self->model->update (self, news & self->regs[E1000_ICR / 4]);
        break;
      }
    case E1000_IMC:
      self->regs[E1000_IMS / 4] &= ~value;
      self->model->update (self, 0);
      break;
    case E1000_RCTL:
      self->regs[offset / 4] = value & 0x7fffffff & ~1u;
      vm_net_card_rx_filter_changed (&self->card);
      if (self->card.ports)
        vm_net_port_ready (&self->card.ports[0]);
      break;
    case E1000_TCTL:
      self->regs[offset / 4] = value;
      e1000_transmit (self);
      break;
    case E1000_TDT:
      self->regs[offset / 4] = value & 0xffff;
      e1000_transmit (self);
      break;
    case E1000_RDT:
      self->regs[offset / 4] = value & 0xffff;
      vm_net_port_ready (&self->card.ports[0]);
      break;
    case E1000_WUS:
      self->regs[offset / 4] &= ~value;
      break;
    default:
      if (self->extra_mac_registers || !is_extra (offset))
        write_plain (self, offset, value);
    }
}

static uint32_t
mmio_read_reg (E1000 *self, uint32_t offset)
{
  uint32_t value;

  offset = self->model->true_offset ? self->model->true_offset (offset) : offset;
  if (self->model->read (self, offset, &value))
    return value;
  switch (offset)
    {
    case E1000_CTRL + 4:
      return self->regs[E1000_CTRL / 4];
    case E1000_ICS:
      return self->regs[E1000_ICR / 4];
    case E1000_IMC:
      return 0;
    default:
      break;
    }
  if (offset >= E1000_STATS && offset < E1000_STATS_END)
    {
      value = self->regs[offset / 4];
      /* Reading clears; of the pairs the upper half clears both (13.7). */
      if (offset == E1000_TOTH || offset == E1000_TORH || offset == E1000_GOTCH || offset == E1000_GORCH)
        self->regs[offset / 4 - 1] = self->regs[offset / 4] = 0;
      else if (offset != E1000_TOTL && offset != E1000_TORL && offset != E1000_GOTCL && offset != E1000_GORCL)
        self->regs[offset / 4] = 0;
      return value;
    }
  if (offset / 4 >= G_N_ELEMENTS (self->regs) || (!self->extra_mac_registers && is_extra (offset)))
    return 0;
  return self->regs[offset / 4];
}

static uint64_t
mmio_read (void *opaque, uint64_t offset, unsigned size)
{
  return mmio_read_reg (opaque, offset);
}

static void
mmio_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  mmio_write_reg (opaque, offset, value);
}

static const VmRegionOps mmio_ops = {
  .read = mmio_read,
  .write = mmio_write,
  .valid = { .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

/* I/O space: an address and a data register (4.4). */
static uint64_t
io_read (void *opaque, uint64_t offset, unsigned size)
{
  E1000 *self = opaque;

  if (offset == 0)
    return self->io_addr;
  return offset == 4 && self->io_addr < E1000_MMIO_SIZE ? mmio_read_reg (self, self->io_addr & ~3u) : 0;
}

static void
io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  E1000 *self = opaque;

  if (offset == 0)
    self->io_addr = value;
  else if (offset == 4 && self->io_addr < E1000_MMIO_SIZE)
    mmio_write_reg (self, self->io_addr & ~3u, value);
}

static const VmRegionOps io_ops = {
  .read = io_read,
  .write = io_write,
  .valid = { .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------- */

static const VmNetCardOps card_ops = {
  .port = { .receive = e1000_receive },
  .rx_filter = e1000_rx_filter,
  .link_changed = link_changed,
};

bool
e1000_attach (E1000 *self, const E1000Model *model, GError **error)
{
  VmDevice *dev = &self->parent.parent;

  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  self->model = model;
  for (unsigned i = 0; i < E1000_QUEUES; i++)
    {
      E1000Tx *q = &self->tx[i];
      q->card = self;
      q->index = i;
      q->data_size = i < model->queues ? VM_NET_FRAME_MAX : 0;
      q->data = g_malloc0 (q->data_size);
    }
  vm_region_init_io (&self->mmio, dev->env->memory, &mmio_ops, self, "e1000-mmio", E1000_MMIO_SIZE);
  vm_timer_init (&self->link_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, negotiated, self);
  vm_timer_init (&self->int_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, int_timer_fired, self);
  vm_timer_init (&self->late_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, late_timer_fired, self);
  vm_timer_init (&self->tx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, tx_timer_fired, self);
  e1000_eeprom_fill (self);
  vm_pci_set_interrupt_pin (&self->parent, 1);
  self->parent.config[PCI_CACHE_LINE_SIZE] = 0x10;
  return true;
}

/* I/O space of SIZE bytes as BAR N. */
void
e1000_add_io (E1000 *self, unsigned n, uint32_t size)
{
  vm_region_init_io (&self->io, self->parent.parent.env->memory, &io_ops, self, "e1000-io", size);
  vm_pci_add_bar (&self->parent, n, PCI_BAR_IO, &self->io);
}

void
e1000_detach (E1000 *self)
{
  vm_net_card_detach (&self->card);
  vm_timer_cancel (&self->link_timer);
  vm_timer_cancel (&self->int_timer);
  vm_timer_cancel (&self->late_timer);
  vm_timer_cancel (&self->tx_timer);
  if (self->mmio.memory)
    vm_region_destroy (&self->mmio);
  if (self->io.memory)
    vm_region_destroy (&self->io);
  for (unsigned i = 0; i < E1000_QUEUES; i++)
    g_clear_pointer (&self->tx[i].data, g_free);
}

bool
e1000_post_load (VmDevice *dev, GError **error)
{
  E1000 *self = (E1000 *) dev;
  bool sound = true;

  for (unsigned i = 0; i < E1000_QUEUES; i++)
    sound = sound && self->tx[i].len <= VM_NET_FRAME_MAX - 4;
  if (!sound)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  set_address (self);
  /* The other side's link may differ from the one that was saved. */
  if (vm_net_card_link_up (&self->card) != !!(self->regs[E1000_STATUS / 4] & STATUS_LU)
      && !vm_timer_pending (&self->link_timer))
    link_changed (&dev->parent, vm_net_card_link_up (&self->card));
  /* Once the machine runs. */
  vm_timer_set (&self->tx_timer, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

static const VmField context_state[] = {
  VM_FIELD (E1000Context, ipcss),
  VM_FIELD (E1000Context, ipcso),
  VM_FIELD (E1000Context, ipcse),
  VM_FIELD (E1000Context, tucss),
  VM_FIELD (E1000Context, tucso),
  VM_FIELD (E1000Context, tucse),
  VM_FIELD (E1000Context, hdrlen),
  VM_FIELD (E1000Context, flags),
  VM_FIELD (E1000Context, mss),
  VM_FIELD (E1000Context, paylen),
  { 0 },
};

static const VmField tx_state[] = {
  VM_FIELD_EMBED (E1000Tx, tso, context_state),
  VM_FIELD_EMBED (E1000Tx, csum, context_state),
  VM_FIELD_HEAP (E1000Tx, data, data_size),
  VM_FIELD (E1000Tx, len),
  VM_FIELD (E1000Tx, tse),
  VM_FIELD (E1000Tx, started),
  VM_FIELD (E1000Tx, popts),
  VM_FIELD (E1000Tx, stamp),
  { 0 },
};

const VmField e1000_state[] = {
  VM_FIELD_ARRAY (E1000, regs),
  VM_FIELD_ARRAY (E1000, phy),
  VM_FIELD_EMBED (E1000, eeprom, vm_eeprom93xx_state),
  VM_FIELD (E1000, io_addr),
  VM_FIELD_EMBED_ARRAY (E1000, tx, tx_state),
  VM_FIELD (E1000, late_causes),
  VM_FIELD (E1000, late_limit),
  VM_FIELD_TIMER_OF (E1000, link_timer),
  VM_FIELD_TIMER_OF (E1000, int_timer),
  VM_FIELD_TIMER_OF (E1000, late_timer),
  { 0 },
};
