/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DECchip 21143 Fast Ethernet (Hardware Reference Manual, EC-QWC4E): registers, interrupts, timer. */
#include "devices/net/tulip.h"

#include <string.h>

#define SIZE 0x80
#define STOP_NS (50 * VM_NS_PER_US)
#define TICK_NS 81920 /* of the timer at 100 Mb/s through MII; ten times that at 10 Mb/s */

/* --- interrupts --------------------------------------------------------------------------------------------- */

/* The summaries stay until they are cleared themselves. */
static void
update_irq (Tulip *s)
{
  uint32_t told = s->csr[5] & s->csr[7];

  s->csr[5] |= (told & CSR5_NORMAL ? CSR5_NIS : 0) | (told & CSR5_ABNORMAL ? CSR5_AIS : 0);
  vm_pci_set_irq (&s->parent, (s->csr[5] & s->csr[7] & (CSR5_NIS | CSR5_AIS)) != 0);
}

void
tulip_interrupt (Tulip *s, uint32_t causes)
{
  s->csr[5] |= causes;
  update_irq (s);
}

void
tulip_set_state (Tulip *s, uint32_t mask, uint32_t state)
{
  s->csr[5] = (s->csr[5] & ~mask) | state;
}

static void
look_again (void *card)
{
  Tulip *s = card;

  if (s->csr[6] & CSR6_SR)
    vm_net_port_ready (&s->card.ports[0]);
}

/* --- timer --------------------------------------------------------------------------------------------------- */

static int64_t
now (const Tulip *s)
{
  return vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static int64_t
tick (const Tulip *s)
{
  return s->csr[6] & CSR6_TTM ? 10 * TICK_NS : TICK_NS;
}

static void
start_timer (Tulip *s)
{
  uint32_t n = s->csr[11] & 0xffff;

  if (n)
    vm_timer_set (&s->gp_timer, now (s) + n * tick (s));
  else
    vm_timer_cancel (&s->gp_timer);
}

static void
timer_fired (void *card)
{
  Tulip *s = card;

  if (s->csr[11] & CSR11_CON)
    start_timer (s);
  else
    s->csr[11] &= 0xffff0000;
  tulip_interrupt (s, CSR5_GTE);
}

static uint32_t
timer_value (const Tulip *s)
{
  int64_t left = vm_timer_pending (&s->gp_timer) ? (s->gp_timer.expire - now (s)) / tick (s) : 0;

  return (s->csr[11] & 0xffff0000) | (uint32_t) CLAMP (left, 0, 0xffff);
}

/* --- registers ----------------------------------------------------------------------------------------------- */

static void
reset_chip (Tulip *s)
{
  tulip_tx_reset (s);
  vm_timer_cancel (&s->rx_timer);
  vm_timer_cancel (&s->gp_timer);
  vm_timer_cancel (&s->stop_timer);
  s->stopped = 0;
  memset (s->csr, 0, sizeof s->csr);
  s->csr[0] = 0xfe000000;
  s->csr[5] = 0xf0000000;
  s->csr[6] = 0x32000040;
  s->csr[7] = 0xf3fe0000;
  s->csr[8] = 0xe0000000;
  s->csr[9] = 0xfff483ff;
  s->csr[11] = 0xfffe0000;
  s->csr[12] = 0x000000c6; /* nothing hangs on the serial interface */
  s->csr[13] = 0xffff0000;
  s->csr[14] = 0xffffffff;
  s->csr[15] = 0x8ff00000;
  s->rx_at = s->tx_at = 0;
  memset (s->setup, 0, sizeof s->setup);
  update_irq (s);
}

/* That something has stopped is told a moment later, as by the chip: drivers that wait for it start it again in their
 * interrupt handlers. */
static void
stop_told (void *card)
{
  Tulip *s = card;
  uint32_t causes = s->stopped;

  s->stopped = 0;
  tulip_interrupt (s, causes);
}

static void
write_csr6 (Tulip *s, uint32_t value)
{
  const uint32_t fixed = CSR6_HP | CSR6_HO | CSR6_IF;
  uint32_t old = s->csr[6];

  s->csr[6] = (value & ~fixed) | (old & fixed);
  if (!(value & CSR6_ST))
    {
      tulip_set_state (s, CSR5_TS, 0);
      s->stopped |= old & CSR6_ST ? CSR5_TPS : 0;
    }
  if (!(value & CSR6_SR))
    {
      tulip_set_state (s, CSR5_RS, 0);
      s->stopped |= old & CSR6_SR ? CSR5_RPS : 0;
    }
  else if (!(old & CSR6_SR))
    tulip_set_state (s, CSR5_RS, CSR5_RS_RUNNING);
  if (s->stopped)
    vm_timer_set (&s->stop_timer, now (s) + STOP_NS);
  vm_net_card_rx_filter_changed (&s->card);
  tulip_transmit (s);
  vm_net_port_ready (&s->card.ports[0]);
}

static void
write_csr (Tulip *s, unsigned n, uint32_t value)
{
  switch (n)
    {
    case 0:
      if (value & CSR0_SWR)
        reset_chip (s);
      s->csr[0] = value & ~(uint32_t) CSR0_SWR;
      break;
    case 1:
      tulip_transmit (s);
      break;
    case 2:
      look_again (s);
      break;
    case 3:
      s->csr[3] = s->rx_at = value & ~3u;
      break;
    case 4:
      s->csr[4] = s->tx_at = value & ~3u;
      break;
    case 5:
      s->csr[5] &= ~(value & (CSR5_NORMAL | CSR5_ABNORMAL | CSR5_NIS | CSR5_AIS));
      update_irq (s);
      break;
    case 6:
      write_csr6 (s, value);
      break;
    case 7:
      s->csr[7] = value;
      update_irq (s);
      /* Drivers do this when they have put buffers out. */
      if ((s->csr[5] & CSR5_RS) == CSR5_RS_SUSPENDED)
        look_again (s);
      break;
    case 8:
    case 12:
      break;
    case 9:
      tulip_csr9_write (s, value);
      break;
    case 11:
      s->csr[11] = value;
      start_timer (s);
      break;
    default:
      s->csr[n] = value;
      break;
    }
}

static uint64_t
tulip_read (void *opaque, uint64_t offset, unsigned size)
{
  Tulip *s = opaque;

  if (offset % 8)
    return 0;
  switch (offset / 8)
    {
    case 1:
    case 2:
      return UINT32_MAX;
    case 9:
      return tulip_csr9_read (s);
    case 11:
      return timer_value (s);
    default:
      return s->csr[offset / 8 & 15];
    }
}

static void
tulip_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  if (offset % 8 == 0)
    write_csr (opaque, offset / 8 & 15, value);
}

static const VmRegionOps tulip_ops = {
  .read = tulip_read,
  .write = tulip_write,
  .valid = { .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------- */

static void
link_changed (VmObject *device, bool up)
{
  /* Behind MII the chip itself sees nothing of it: the driver asks the PHY. */
  tulip_phy_link ((Tulip *) device, up);
}

static const VmNetCardOps card_ops = {
  .port = { .receive = tulip_receive },
  .rx_filter = tulip_rx_filter,
  .link_changed = link_changed,
};

static void
tulip_reset (VmDevice *dev, VmResetKind kind)
{
  Tulip *s = (Tulip *) dev;

  vm_eeprom93xx_reset (&s->srom);
  s->mdio = (TulipMdio){ .out = true };
  tulip_phy_reset (s);
  reset_chip (s);
  if (s->card.ports)
    vm_net_port_ready (&s->card.ports[0]);
}

static void
tulip_unrealize (VmDevice *dev)
{
  Tulip *s = (Tulip *) dev;

  vm_net_card_detach (&s->card);
  vm_timer_cancel (&s->tx_timer);
  vm_timer_cancel (&s->rx_timer);
  vm_timer_cancel (&s->gp_timer);
  vm_timer_cancel (&s->stop_timer);
  vm_net_registers_destroy (&s->registers);
  g_clear_pointer (&s->tx_data, g_free);
}

static bool
tulip_realize (VmDevice *dev, GError **error)
{
  Tulip *s = (Tulip *) dev;
  VmPciDevice *pci = &s->parent;

  if (!vm_net_card_attach (&s->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  s->tx_data_size = TULIP_FRAME;
  s->tx_data = g_malloc0 (s->tx_data_size);
  vm_timer_init (&s->tx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, tulip_transmit, s);
  vm_timer_init (&s->rx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, look_again, s);
  vm_timer_init (&s->gp_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, timer_fired, s);
  vm_timer_init (&s->stop_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, stop_told, s);
  vm_net_registers_add (&s->registers, pci, &tulip_ops, "tulip", SIZE);
  vm_store_le32 (pci->wmask + 0x40, 0xc000ff00); /* sleep, snooze, and a place for the driver */
  tulip_srom_fill (s);
  return true;
}

static bool
tulip_post_load (VmDevice *dev, GError **error)
{
  Tulip *s = (Tulip *) dev;

  if (s->tx_len > s->tx_data_size)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  tulip_phy_link (s, vm_net_card_link_up (&s->card));
  /* Once the machine runs. */
  vm_timer_set (&s->tx_timer, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

static const VmField mdio_state[] = {
  VM_FIELD (TulipMdio, phase),
  VM_FIELD (TulipMdio, bits),
  VM_FIELD (TulipMdio, clock),
  VM_FIELD (TulipMdio, out),
  VM_FIELD (TulipMdio, command),
  VM_FIELD (TulipMdio, data),
  { 0 },
};

static const VmField tulip_state[] = {
  VM_FIELD_ARRAY (Tulip, csr),
  VM_FIELD (Tulip, rx_at),
  VM_FIELD (Tulip, tx_at),
  VM_FIELD (Tulip, tx_len),
  VM_FIELD (Tulip, tx_how),
  VM_FIELD_ARRAY (Tulip, setup),
  VM_FIELD_EMBED (Tulip, srom, vm_eeprom93xx_state),
  VM_FIELD_EMBED (Tulip, mdio, mdio_state),
  VM_FIELD_ARRAY (Tulip, phy),
  VM_FIELD_HEAP (Tulip, tx_data, tx_data_size),
  VM_FIELD_TIMER_OF (Tulip, tx_timer),
  VM_FIELD_TIMER_OF (Tulip, rx_timer),
  VM_FIELD_TIMER_OF (Tulip, gp_timer),
  VM_FIELD_TIMER_OF (Tulip, stop_timer),
  VM_FIELD (Tulip, stopped),
  { 0 },
};

static const VmProp tulip_props[] = { VM_NET_CARD_PROPS (Tulip, card), { 0 } };

static const VmPciClass tulip_class = {
  .parent = { .realize = tulip_realize,
              .unrealize = tulip_unrealize,
              .reset = tulip_reset,
              .post_load = tulip_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x1011,
  .device = 0x0019,
  .class_id = 0x0200,
  .subsystem_vendor = 0x103c,
  .subsystem = 0x104f,
};

const VmType vm_tulip_type = {
  .name = "tulip",
  .parent = &vm_pci_device_type,
  .size = sizeof (Tulip),
  .help = "DEC 21143 Fast Ethernet",
  .props = tulip_props,
  .state = tulip_state,
  .klass = &tulip_class,
};
