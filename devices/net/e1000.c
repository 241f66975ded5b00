/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 82540EM, 82544GC and 82545EM gigabit Ethernet (8254x Software Developer's Manual, 317453): registers,
 * interrupts, link. */
#include "devices/net/e1000.h"

#include "engine/base/log.h"

#include <string.h>

/* --- interrupts --------------------------------------------------------------------------------------------- */

static int64_t
now (const E1000 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* ITR is the least time between two interrupts, in units of 256 ns (13.4.18). */
static void
update_pin (E1000 *self)
{
  uint32_t itr = self->regs[E1000_ITR / 4] & 0xffff;
  bool pending = (self->regs[E1000_ICR / 4] & self->regs[E1000_IMS / 4] & INT_ALL) != 0;

  if (!pending)
    vm_pci_set_irq (&self->parent, 0);
  else if (!self->parent.irq_level && !vm_timer_pending (&self->int_timer))
    {
      vm_pci_set_irq (&self->parent, 1);
      if (self->mitigation && itr)
        vm_timer_set (&self->int_timer, now (self) + itr * INT64_C (256));
    }
}

void
e1000_interrupt (E1000 *self, uint32_t causes)
{
  self->regs[E1000_ICR / 4] |= causes & INT_ALL;
  /* Whatever was to be told later goes along. */
  if (self->late_causes && vm_timer_pending (&self->late_timer))
    {
      vm_timer_cancel (&self->late_timer);
      self->regs[E1000_ICR / 4] |= self->late_causes;
      self->late_causes = 0;
    }
  update_pin (self);
}

void
e1000_interrupt_late (E1000 *self, uint32_t causes, uint32_t delay, uint32_t absolute)
{
  int64_t at = now (self) + delay * INT64_C (1024);

  if (!delay || !self->mitigation)
    {
      e1000_interrupt (self, causes);
      return;
    }
  if (!self->late_causes)
    self->late_limit = now (self) + (absolute ? absolute : delay) * INT64_C (1024);
  self->late_causes |= causes;
  vm_timer_set (&self->late_timer, MIN (at, self->late_limit));
}

static void
int_timer_fired (void *opaque)
{
  update_pin (opaque);
}

static void
late_timer_fired (void *opaque)
{
  E1000 *self = opaque;

  self->regs[E1000_ICR / 4] |= self->late_causes;
  self->late_causes = 0;
  update_pin (self);
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

/* --- link ---------------------------------------------------------------------------------------------------------- */

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

/* --- reset ------------------------------------------------------------------------------------------------------------ */

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
static void
reset_mac (E1000 *self)
{
  vm_timer_cancel (&self->link_timer);
  vm_timer_cancel (&self->int_timer);
  vm_timer_cancel (&self->late_timer);
  self->late_causes = 0;
  e1000_tx_reset (self);
  memset (self->regs, 0, sizeof self->regs);
  self->regs[E1000_CTRL / 4] = CTRL_FD | CTRL_SPD_1000 | CTRL_SLU | CTRL_SWDPIN0 | CTRL_SWDPIN2;
  self->regs[E1000_STATUS / 4] = STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 | STATUS_MTXCKOK | 1u << 31;
  self->regs[E1000_LEDCTL / 4] = 0x0602;
  self->regs[E1000_PBA / 4] = 0x00100030;
  self->regs[E1000_MANC / 4] = 0x0000e200 | MANC_EN_MNG2HOST;
  self->regs[E1000_RXCSUM / 4] = RXCSUM_IPOFL | RXCSUM_TUOFL;
  if (self->init_vet)
    self->regs[E1000_VET / 4] = 0x8100;
  load_address (self);
  e1000_link_update (self, vm_net_card_link_up (&self->card));
  vm_pci_set_irq (&self->parent, 0);
}

static void
e1000_reset (VmDevice *dev, VmResetKind kind)
{
  E1000 *self = (E1000 *) dev;

  self->io_addr = 0;
  vm_eeprom93xx_reset (&self->eeprom);
  e1000_phy_reset (self);
  reset_mac (self);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

/* --- registers --------------------------------------------------------------------------------------------------------- */

static uint32_t
read_icr (E1000 *self)
{
  uint32_t value = self->regs[E1000_ICR / 4] & INT_ALL;

  if (value & self->regs[E1000_IMS / 4])
    value |= INT_ASSERTED;
  /* Reading clears (13.4.17). */
  self->regs[E1000_ICR / 4] = 0;
  update_pin (self);
  return value;
}

/* Registers that are as they were written, as ranges of offsets and the bits kept. */
static const struct { uint16_t first, last; uint32_t mask; } plain[] = {
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

static void
write_plain (E1000 *self, uint32_t offset, uint32_t value)
{
  for (size_t i = 0; i < G_N_ELEMENTS (plain); i++)
    if (offset >= plain[i].first && offset <= plain[i].last)
      {
        self->regs[offset / 4] = value & plain[i].mask;
        if (offset == E1000_RA + 4)
          set_address (self);
        if ((offset >= E1000_MTA && offset <= E1000_RA + 0x7c) || (offset >= E1000_VFTA && offset < E1000_VFTA + 0x200))
          vm_net_card_rx_filter_changed (&self->card);
        return;
      }
  vm_log (VM_LOG_UNIMP, "e1000: write of 0x%x to register 0x%x\n", value, offset);
}

static void
write_ctrl (E1000 *self, uint32_t value)
{
  if (value & CTRL_RST)
    {
      reset_mac (self);
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
  switch (offset)
    {
    case E1000_CTRL:
    case E1000_CTRL + 4: /* a second place of the same (13.4.1) */
      write_ctrl (self, value);
      break;
    case E1000_EECD:
      e1000_eecd_write (self, value);
      break;
    case E1000_EERD:
      self->regs[offset / 4] = value & EERD_START
                                 ? (uint32_t) self->eeprom.words[value >> 8 & (E1000_EEPROM_N - 1)] << 16
                                     | (value & 0xff00) | EERD_DONE
                                 : value & 0xff00;
      break;
    case E1000_MDIC:
      e1000_mdic_write (self, value);
      break;
    case E1000_ICR:
      self->regs[E1000_ICR / 4] &= ~value;
      update_pin (self);
      break;
    case E1000_ICS:
      e1000_interrupt (self, value);
      break;
    case E1000_IMS:
      self->regs[E1000_IMS / 4] |= value & INT_ALL;
      update_pin (self);
      break;
    case E1000_IMC:
      self->regs[E1000_IMS / 4] &= ~value;
      update_pin (self);
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
      if (!self->extra_mac_registers && is_extra (offset))
        return;
      write_plain (self, offset, value);
    }
}

static uint32_t
mmio_read_reg (E1000 *self, uint32_t offset)
{
  switch (offset)
    {
    case E1000_CTRL + 4:
      return self->regs[E1000_CTRL / 4];
    case E1000_EECD:
      return e1000_eecd_read (self);
    case E1000_ICR:
      return read_icr (self);
    case E1000_ICS:
      return self->regs[E1000_ICR / 4] & INT_ALL;
    case E1000_IMC:
      return 0;
    default:
      break;
    }
  if (offset >= E1000_STATS && offset < E1000_STATS_END)
    {
      uint32_t value = self->regs[offset / 4];
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
  .read = mmio_read, .write = mmio_write, .valid = { .max = 4 }, .impl = { .min = 4, .max = 4 },
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
  .read = io_read, .write = io_write, .valid = { .max = 4 }, .impl = { .min = 4, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------------------------------- */

static const VmNetCardOps card_ops = {
  .port = { .receive = e1000_receive },
  .rx_filter = e1000_rx_filter,
  .link_changed = link_changed,
};

static void
e1000_unrealize (VmDevice *dev)
{
  E1000 *self = (E1000 *) dev;

  vm_net_card_detach (&self->card);
  vm_timer_cancel (&self->link_timer);
  vm_timer_cancel (&self->int_timer);
  vm_timer_cancel (&self->late_timer);
  if (self->mmio.memory)
    vm_region_destroy (&self->mmio);
  if (self->io.memory)
    vm_region_destroy (&self->io);
  g_clear_pointer (&self->tx_data, g_free);
}

static bool
e1000_realize (VmDevice *dev, GError **error)
{
  E1000 *self = (E1000 *) dev;
  VmPciDevice *pci = &self->parent;

  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  self->tx_data_size = VM_NET_FRAME_MAX;
  self->tx_data = g_malloc0 (self->tx_data_size);
  vm_region_init_io (&self->mmio, dev->env->memory, &mmio_ops, self, "e1000-mmio", E1000_MMIO_SIZE);
  vm_region_init_io (&self->io, dev->env->memory, &io_ops, self, "e1000-io", 64);
  vm_pci_add_bar (pci, 0, 0, &self->mmio);
  vm_pci_add_bar (pci, 1, PCI_BAR_IO, &self->io);
  vm_pci_set_interrupt_pin (pci, 1);
  pci->config[PCI_CACHE_LINE_SIZE] = 0x10;
  vm_timer_init (&self->link_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, negotiated, self);
  vm_timer_init (&self->int_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, int_timer_fired, self);
  vm_timer_init (&self->late_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, late_timer_fired, self);
  e1000_eeprom_fill (self);
  return true;
}

static bool
e1000_post_load (VmDevice *dev, GError **error)
{
  E1000 *self = (E1000 *) dev;

  if (self->tx_len > VM_NET_FRAME_MAX - 4)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  set_address (self);
  /* The other side's link may differ from the one that was saved. */
  if (vm_net_card_link_up (&self->card) != !!(self->regs[E1000_STATUS / 4] & STATUS_LU)
      && !vm_timer_pending (&self->link_timer))
    link_changed (&dev->parent, vm_net_card_link_up (&self->card));
  e1000_transmit (self);
  return true;
}

static const VmField context_state[] = {
  VM_FIELD (E1000Context, ipcss), VM_FIELD (E1000Context, ipcso), VM_FIELD (E1000Context, ipcse),
  VM_FIELD (E1000Context, tucss), VM_FIELD (E1000Context, tucso), VM_FIELD (E1000Context, tucse),
  VM_FIELD (E1000Context, hdrlen), VM_FIELD (E1000Context, flags), VM_FIELD (E1000Context, mss),
  VM_FIELD (E1000Context, paylen), { 0 },
};

static const VmField e1000_state[] = {
  VM_FIELD_ARRAY (E1000, regs),
  VM_FIELD_ARRAY (E1000, phy),
  VM_FIELD_EMBED (E1000, eeprom, vm_eeprom93xx_state),
  VM_FIELD (E1000, io_addr),
  VM_FIELD_EMBED (E1000, tso, context_state),
  VM_FIELD_EMBED (E1000, csum, context_state),
  VM_FIELD_HEAP (E1000, tx_data, tx_data_size),
  VM_FIELD (E1000, tx_len),
  VM_FIELD (E1000, tx_tse),
  VM_FIELD (E1000, tx_started),
  VM_FIELD (E1000, tx_popts),
  VM_FIELD (E1000, late_causes),
  VM_FIELD (E1000, late_limit),
  VM_FIELD_TIMER_OF (E1000, link_timer),
  VM_FIELD_TIMER_OF (E1000, int_timer),
  VM_FIELD_TIMER_OF (E1000, late_timer),
  { 0 },
};

static const VmProp e1000_props[] = {
  VM_NET_CARD_PROPS (E1000, card),
  VM_PROP ("autonegotiation", E1000, autonegotiation, true, "the link comes up half a second after it was asked for"),
  VM_PROP ("mitigation", E1000, mitigation, true, "interrupts keep their distance (ITR, RDTR, TIDV)"),
  VM_PROP ("extra_mac_registers", E1000, extra_mac_registers, true, "registers that machines up to 2.4 had not"),
  VM_PROP ("migrate_tso_props", E1000, migrate_tso_props, true, "both contexts are part of the saved state"),
  VM_PROP ("init-vet", E1000, init_vet, true, "VET holds 0x8100 after a reset"),
  { 0 },
};

#define E1000_CLASS(device_id)                                                                                         \
  {                                                                                                                    \
    .parent = { .realize = e1000_realize, .unrealize = e1000_unrealize, .reset = e1000_reset,                          \
                .post_load = e1000_post_load, .bus_type = VM_PCI_BUS_TYPE, .category = "Network",                      \
                .user_creatable = true, .hotpluggable = true },                                                        \
    .vendor = 0x8086, .device = (device_id), .class_id = 0x0200, .revision = 3, .romfile = "efi-e1000.rom",            \
  }
static const VmPciClass e1000_82540em_class = E1000_CLASS (0x100e);
static const VmPciClass e1000_82544gc_class = E1000_CLASS (0x1008);
static const VmPciClass e1000_82545em_class = E1000_CLASS (0x100f);

const VmType vm_e1000_base_type = {
  .name = "e1000-base", .parent = &vm_pci_device_type, .size = sizeof (E1000), .abstract = true,
  .help = "Intel 8254x gigabit Ethernet", .props = e1000_props, .state = e1000_state, .klass = &e1000_82540em_class,
};

const VmType vm_e1000_type = {
  .name = "e1000", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82540EM)", .klass = &e1000_82540em_class,
};

const VmType vm_e1000_82544gc_type = {
  .name = "e1000-82544gc", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82544GC)", .klass = &e1000_82544gc_class,
};

const VmType vm_e1000_82545em_type = {
  .name = "e1000-82545em", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82545EM)", .klass = &e1000_82545em_class,
};
