/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Realtek RTL8139C+ fast Ethernet (data sheet 1.6): registers, interrupts, timer, EEPROM, PHY. */
#include "devices/net/rtl8139.h"

#include <string.h>

#define EEPROM_WORDS 64
#define HWVERID 0x74800000u /* RTL8139C+ (6.9) */
#define TIMER_MHZ 33

/* --- interrupts and timer --------------------------------------------------------------------------------------- */

static int64_t
now (const Rtl8139 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static void
update_pin (Rtl8139 *self)
{
  vm_pci_set_irq (&self->parent, (rtl8139_reg16 (self, RTL_ISR) & rtl8139_reg16 (self, RTL_IMR)) != 0);
}

void
rtl8139_interrupt (Rtl8139 *self, uint16_t causes)
{
  vm_store_le16 (self->regs + RTL_ISR, rtl8139_reg16 (self, RTL_ISR) | causes);
  update_pin (self);
}

static uint32_t
timer_count (const Rtl8139 *self)
{
  return (uint32_t) vm_muldiv64 (now (self) - self->timer_base, TIMER_MHZ, 1000);
}

/* The interrupt comes when the counter, which goes around, is at TimerInt (6.22). */
static void
timer_update (Rtl8139 *self)
{
  uint32_t at = rtl8139_reg32 (self, RTL_TIMERINT);
  uint64_t left = (uint32_t) (at - timer_count (self));

  if (!at)
    vm_timer_cancel (&self->timer);
  else
    vm_timer_set (&self->timer,
                  now (self) + (int64_t) vm_muldiv64 (left ? left : UINT64_C (1) << 32, 1000, TIMER_MHZ) + 1);
}

static void
timer_fired (void *opaque)
{
  Rtl8139 *self = opaque;

  rtl8139_interrupt (self, ISR_TIMEOUT);
  timer_update (self);
}

static void
tx_timer_fired (void *opaque)
{
  rtl8139_transmit (opaque);
}

/* --- reset -----------------------------------------------------------------------------------------------------------
 */

static void
set_mac (Rtl8139 *self)
{
  vm_net_card_set_mac (&self->card, self->regs + RTL_IDR);
}

static void
phy_reset (Rtl8139 *self)
{
  vm_store_le16 (self->regs + RTL_BMCR, BMCR_SPEED | BMCR_ANE | BMCR_DUPLEX);
  vm_store_le16 (self->regs + RTL_ANAR, 0x01e1);
  vm_store_le16 (self->regs + RTL_ANER, 0x0001);
  vm_store_le16 (self->regs + RTL_NWAYTR, 0);
}

/* What CR.RST does: addresses, filters, EEPROM and PHY stay (6.6). */
static void
soft_reset (Rtl8139 *self)
{
  uint8_t *r = self->regs;

  r[RTL_CR] = 0;
  memset (r + RTL_TSD, 0, RTL_CR - RTL_TSD);
  vm_store_le16 (r + RTL_CAPR, 0xfff0);
  vm_store_le16 (r + RTL_CBR, 0);
  vm_store_le32 (r + RTL_IMR, 0); /* and ISR */
  vm_store_le32 (r + RTL_TCR, HWVERID);
  vm_store_le32 (r + RTL_RCR, 0);
  vm_store_le32 (r + RTL_MPC, 0);
  vm_store_le32 (r + RTL_TIMERINT, 0);
  vm_store_le16 (r + RTL_MULINT, 0);
  vm_store_le16 (r + RTL_CPCR, 0);
  vm_store_le64 (r + RTL_RDSAR, 0);
  r[RTL_TPPOLL] = r[RTL_ETTHR] = 0;
  self->rx_index = 0;
  rtl8139_tx_reset (self);
  self->timer_base = now (self);
  timer_update (self);
  update_pin (self);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

/* What the EEPROM says of the registers (5.1). */
static void
load_eeprom (Rtl8139 *self)
{
  const uint16_t *words = self->eeprom.words;

  for (int i = 0; i < 3; i++)
    vm_store_le16 (self->regs + RTL_IDR + i * 2, words[7 + i]);
  self->regs[RTL_CONFIG0] = 0;
  self->regs[RTL_CONFIG1] = (words[10] >> 8 & 0xf3) | 0x0c; /* registers in memory and in ports */
  self->regs[RTL_CONFIG3] = words[6] >> 8;
  self->regs[RTL_CONFIG4] = words[12] >> 8;
  self->regs[RTL_CONFIG5] = words[15] >> 8;
  set_mac (self);
}

static void
fill_eeprom (Rtl8139 *self)
{
  static const uint16_t words[] = { 0x8129, 0x10ec, 0x8139, 0x1af4, 0x1100, 0x4020, 0x0000, 0,
                                    0,      0,      0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000 };

  vm_eeprom93xx_init (&self->eeprom, EEPROM_WORDS);
  memcpy (self->eeprom.words, words, sizeof words);
  for (int i = 0; i < 3; i++)
    self->eeprom.words[7 + i] = vm_load_le16 (self->card.permanent + i * 2);
}

static void
rtl8139_reset (VmDevice *dev, VmResetKind kind)
{
  Rtl8139 *self = (Rtl8139 *) dev;

  vm_eeprom93xx_reset (&self->eeprom);
  memset (self->regs, 0, sizeof self->regs);
  memset (&self->tally, 0, sizeof self->tally);
  self->regs[RTL_RERID] = 0x10;
  load_eeprom (self);
  phy_reset (self);
  soft_reset (self);
}

/* --- registers that have to be worked out ------------------------------------------------------------------------- */

static uint32_t
all_descriptors (const Rtl8139 *self)
{
  uint32_t all = 0;

  for (int i = 0; i < 4; i++)
    {
      uint32_t tsd = rtl8139_reg32 (self, RTL_TSD + i * 4);
      all |= (tsd & TSD_OWN ? 1u << i : 0) | (tsd & TSD_TOK ? 0x1000u << i : 0);
    }
  return all;
}

/* The four registers at GROUP are brought up to date before they are read. */
static void
refresh (Rtl8139 *self, unsigned group)
{
  bool link = vm_net_card_link_up (&self->card);
  uint8_t *r = self->regs;

  switch (group)
    {
    case RTL_CR & ~3:
      r[RTL_CR] = (r[RTL_CR] & ~CR_BUFE) | (rtl8139_buffer_empty (self) ? CR_BUFE : 0);
      break;
    case RTL_TCTR:
      vm_store_le32 (r + RTL_TCTR, timer_count (self));
      break;
    case RTL_9346CR:
      if ((r[RTL_9346CR] & EECR_MODE) == EECR_PROGRAM)
        r[RTL_9346CR] = (r[RTL_9346CR] & ~EECR_DO) | (vm_eeprom93xx_read (&self->eeprom) ? EECR_DO : 0);
      break;
    case RTL_MSR:
      r[RTL_MSR] = (r[RTL_MSR] & 0xc0) | (link ? 0 : MSR_LINKB)
                   | (rtl8139_reg16 (self, RTL_BMCR) & BMCR_SPEED ? 0 : MSR_SPEED_10);
      break;
    case RTL_TSAD_ALL:
      vm_store_le16 (r + RTL_TSAD_ALL, all_descriptors (self));
      break;
    case RTL_BMSR:
      vm_store_le16 (r + RTL_BMSR, 0x7809 | (link ? BMSR_LINK | BMSR_AN_DONE : 0));
      break;
    case RTL_ANLPAR:
      vm_store_le16 (r + RTL_ANLPAR, link ? 0x45e1 : 0);
      break;
    case RTL_CSCR:
      vm_store_le16 (r + RTL_CSCR, link ? 0x74c8 : 0x74c0);
      break;
    default:
      break;
    }
}

static uint64_t
reg_read (void *opaque, uint64_t offset, unsigned size)
{
  Rtl8139 *self = opaque;

  refresh (self, offset & ~3u);
  return vm_load_le (self->regs + offset, size);
}

/* --- writes ----------------------------------------------------------------------------------- */

/* Bits that are as they were written, in ranges of bytes. */
static const struct
{
  uint8_t first, last, mask;
  bool locked;
} plain[] = {
  { RTL_IDR, RTL_IDR + 5, 0xff, false },
  { RTL_MAR, RTL_MAR + 7, 0xff, false },
  { RTL_TSD, RTL_RBSTART + 3, 0xff, false },
  { RTL_CAPR, RTL_CAPR + 1, 0xff, false },
  { RTL_IMR, RTL_IMR, 0xff, false },
  { RTL_IMR + 1, RTL_IMR + 1, 0xe1, false },
  { RTL_TCR, RTL_TCR, 0xf0, false },
  { RTL_TCR + 1, RTL_TCR + 1, 0x07, false },
  { RTL_TCR + 2, RTL_TCR + 2, 0x0f, false },
  { RTL_TCR + 3, RTL_TCR + 3, 0x03, false },
  { RTL_RCR, RTL_RCR + 1, 0xff, false },
  { RTL_RCR + 2, RTL_RCR + 2, 0x03, false },
  { RTL_RCR + 3, RTL_RCR + 3, 0x0f, false },
  { RTL_CONFIG0, RTL_CONFIG0, 0x00, true },
  { RTL_CONFIG1, RTL_CONFIG1, 0xf3, true },
  { RTL_TIMERINT, RTL_TIMERINT + 3, 0xff, false },
  { RTL_MSR, RTL_MSR, 0xc0, false },
  { RTL_CONFIG3, RTL_CONFIG3, 0x71, true },
  { RTL_CONFIG4, RTL_CONFIG4, 0xf5, true },
  { RTL_MULINT, RTL_MULINT, 0xff, false },
  { RTL_MULINT + 1, RTL_MULINT + 1, 0x0f, false },
  { RTL_BMCR, RTL_BMCR, 0x00, false },
  { RTL_BMCR + 1, RTL_BMCR + 1, 0x31, true }, /* speed, negotiation, duplex */
  { RTL_ANAR, RTL_ANAR + 1, 0xff, false },
  { RTL_NWAYTR, RTL_NWAYTR + 1, 0xff, false },
  { 0x78, 0x80, 0xff, false }, /* parameters of the PHY */
  { 0x84, 0xd3, 0xff, false }, /* frames that wake */
  { RTL_CONFIG5, RTL_CONFIG5, 0x73, true },
  { RTL_CPCR, RTL_CPCR, 0x7f, false },
  { RTL_CPCR + 1, RTL_CPCR + 1, 0x02, false },
  { RTL_RDSAR, RTL_RDSAR + 7, 0xff, false },
  { RTL_ETTHR, RTL_ETTHR, 0x3f, false },
};

static void
write_9346 (Rtl8139 *self, uint8_t value)
{
  bool program = (value & EECR_MODE) == EECR_PROGRAM;

  self->regs[RTL_9346CR] = value & (EECR_MODE | EECR_CS | EECR_SK | EECR_DI);
  vm_eeprom93xx_write (&self->eeprom, program && value & EECR_CS, program && value & EECR_SK, value & EECR_DI);
  if ((value & EECR_MODE) == EECR_LOAD)
    {
      load_eeprom (self);
      self->regs[RTL_9346CR] = 0;
    }
}

static void
write_cr (Rtl8139 *self, uint8_t value)
{
  bool was = self->regs[RTL_CR] & CR_RE;

  if (value & CR_RST)
    {
      soft_reset (self);
      return;
    }
  self->regs[RTL_CR] = value & (CR_TE | CR_RE);
  if (!was && value & CR_RE)
    vm_net_port_ready (&self->card.ports[0]);
  rtl8139_transmit (self);
}

static void
write_byte (Rtl8139 *self, unsigned reg, uint8_t value)
{
  uint8_t *r = self->regs;

  switch (reg)
    {
    case RTL_CR:
      write_cr (self, value);
      return;
    case RTL_ISR:
    case RTL_ISR + 1:
      r[reg] &= ~value;
      return;
    case RTL_9346CR:
      write_9346 (self, value);
      return;
    case RTL_TPPOLL:
      if (rtl8139_reg16 (self, RTL_CPCR) & CPCR_TX)
        r[RTL_TPPOLL] |= value & (TPPOLL_NORMAL | TPPOLL_HIGH);
      if (value & TPPOLL_SWINT)
        rtl8139_interrupt (self, ISR_SW);
      return;
    default:
      break;
    }
  for (size_t i = 0; i < G_N_ELEMENTS (plain); i++)
    if (reg >= plain[i].first && reg <= plain[i].last)
      {
        if (!plain[i].locked || (r[RTL_9346CR] & EECR_MODE) == EECR_CONFIG)
          r[reg] = (r[reg] & ~plain[i].mask) | (value & plain[i].mask);
        return;
      }
}

static bool
touches (unsigned first, unsigned last, unsigned reg, unsigned len)
{
  return first < reg + len && last >= reg;
}

/* C mode's transmit status: writing it takes the status away and starts the descriptor (6.3). */
static void
tsd_written (Rtl8139 *self, unsigned first, unsigned last)
{
  for (unsigned i = 0; i < 4; i++)
    if (touches (first, last, RTL_TSD + i * 4, 4))
      vm_store_le32 (self->regs + RTL_TSD + i * 4, rtl8139_reg32 (self, RTL_TSD + i * 4) & TSD_WRITABLE);
  rtl8139_transmit (self);
}

/* What follows from the bytes FIRST to LAST. */
static void
written (Rtl8139 *self, unsigned first, unsigned last, uint32_t value)
{
  bool plus = rtl8139_reg16 (self, RTL_CPCR) & CPCR_TX;
  uint8_t *r = self->regs;

  if (touches (first, last, RTL_IDR, 6))
    set_mac (self);
  if (touches (first, last, RTL_IDR, 16) || touches (first, last, RTL_RCR, 4))
    vm_net_card_rx_filter_changed (&self->card);
  if (!plus && touches (first, last, RTL_TSD, 16))
    tsd_written (self, first, last);
  if (plus && touches (first, last, RTL_DTCCR, 1) && r[RTL_DTCCR] & 8)
    {
      rtl8139_dump_tally (self);
      r[RTL_DTCCR] &= ~(8 | 1);
    }
  else if (plus && touches (first, last, RTL_DTCCR, 1) && r[RTL_DTCCR] & 1)
    {
      memset (&self->tally, 0, sizeof self->tally);
      r[RTL_DTCCR] &= ~1;
    }
  if (plus && touches (first, last, RTL_TNPDS, 4))
    self->tx_index[0] = 0;
  if (plus && touches (first, last, RTL_THPDS, 4))
    self->tx_index[1] = 0;
  if (touches (first, last, RTL_RDSAR, 4))
    self->rx_index = 0;
  if (touches (first, last, RTL_RBSTART, 4))
    {
      vm_store_le16 (r + RTL_CBR, 0);
      vm_store_le16 (r + RTL_CAPR, 0xfff0);
    }
  if (touches (first, last, RTL_IMR, 4))
    update_pin (self);
  if (touches (first, last, RTL_TCTR, 4))
    self->timer_base = now (self);
  if (touches (first, last, RTL_TCTR, 4) || touches (first, last, RTL_TIMERINT, 4))
    timer_update (self);
  if (touches (first, last, RTL_MPC, 3))
    vm_store_le32 (r + RTL_MPC, 0);
  if (touches (first, last, RTL_BMCR + 1, 1) && value >> (8 * (RTL_BMCR + 1 - first)) & BMCR_RESET >> 8)
    phy_reset (self);
  if (touches (first, last, RTL_TPPOLL, 1) && plus)
    rtl8139_transmit (self);
  /* How drivers say that there is room again; in C+ mode they only clear ISR, and set IMR when they are done. */
  if (touches (first, last, RTL_CAPR, 2) || touches (first, last, RTL_RCR, 4) || touches (first, last, RTL_IMR, 4)
      || touches (first, last, RTL_RBSTART, 4) || touches (first, last, RTL_RDSAR, 4))
    vm_net_port_ready (&self->card.ports[0]);
}

static void
reg_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Rtl8139 *self = opaque;
  unsigned last = offset + size - 1;

  for (unsigned reg = offset; reg <= last; reg++)
    write_byte (self, reg, value >> (reg - offset) * 8);
  written (self, offset, last, value);
}

static const VmRegionOps reg_ops = {
  .read = reg_read,
  .write = reg_write,
  .valid = { .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------- */

static void
link_changed (VmObject *device, bool up)
{
  Rtl8139 *self = (Rtl8139 *) device;

  rtl8139_interrupt (self, ISR_LINK);
  if (up)
    vm_net_port_ready (&self->card.ports[0]);
}

static const VmNetCardOps card_ops = {
  .port = { .receive = rtl8139_receive },
  .rx_filter = rtl8139_rx_filter,
  .link_changed = link_changed,
};

static void
rtl8139_unrealize (VmDevice *dev)
{
  Rtl8139 *self = (Rtl8139 *) dev;

  vm_net_card_detach (&self->card);
  vm_timer_cancel (&self->timer);
  vm_timer_cancel (&self->tx_timer);
  vm_net_registers_destroy (&self->registers);
  g_clear_pointer (&self->tx_data, g_free);
}

static bool
rtl8139_realize (VmDevice *dev, GError **error)
{
  Rtl8139 *self = (Rtl8139 *) dev;

  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  self->tx_data_size = VM_NET_FRAME_MAX;
  self->tx_data = g_malloc0 (self->tx_data_size);
  vm_net_registers_add (&self->registers, &self->parent, &reg_ops, "rtl8139", sizeof self->regs);
  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, timer_fired, self);
  vm_timer_init (&self->tx_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, tx_timer_fired, self);
  fill_eeprom (self);
  return true;
}

static bool
rtl8139_post_load (VmDevice *dev, GError **error)
{
  Rtl8139 *self = (Rtl8139 *) dev;

  if (self->tx_len > self->tx_data_size - 8 || self->tx_next > 3)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  set_mac (self);
  /* Once the machine runs. */
  vm_timer_set (&self->tx_timer, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

static const VmField tally_state[] = {
  VM_FIELD (Rtl8139Tally, tx_ok),          VM_FIELD (Rtl8139Tally, rx_ok),
  VM_FIELD (Rtl8139Tally, tx_errors),      VM_FIELD (Rtl8139Tally, rx_errors),
  VM_FIELD (Rtl8139Tally, tx_1_collision), VM_FIELD (Rtl8139Tally, tx_collisions),
  VM_FIELD (Rtl8139Tally, rx_multicast),   VM_FIELD (Rtl8139Tally, rx_physical),
  VM_FIELD (Rtl8139Tally, rx_broadcast),   VM_FIELD (Rtl8139Tally, rx_missed),
  VM_FIELD (Rtl8139Tally, frame_align),    VM_FIELD (Rtl8139Tally, tx_abort),
  VM_FIELD (Rtl8139Tally, tx_underrun),    { 0 },
};

static const VmField rtl8139_state[] = {
  VM_FIELD_ARRAY (Rtl8139, regs),
  VM_FIELD_EMBED (Rtl8139, eeprom, vm_eeprom93xx_state),
  VM_FIELD (Rtl8139, timer_base),
  VM_FIELD (Rtl8139, tx_next),
  VM_FIELD_ARRAY (Rtl8139, tx_index),
  VM_FIELD (Rtl8139, rx_index),
  VM_FIELD_HEAP (Rtl8139, tx_data, tx_data_size),
  VM_FIELD (Rtl8139, tx_len),
  VM_FIELD_ARRAY (Rtl8139, tx_first),
  VM_FIELD (Rtl8139, tx_started),
  VM_FIELD_EMBED (Rtl8139, tally, tally_state),
  VM_FIELD_TIMER_OF (Rtl8139, timer),
  VM_FIELD_TIMER_OF (Rtl8139, tx_timer),
  { 0 },
};

static const VmProp rtl8139_props[] = { VM_NET_CARD_PROPS (Rtl8139, card), { 0 } };

static const VmPciClass rtl8139_class = {
  .parent = { .realize = rtl8139_realize,
              .unrealize = rtl8139_unrealize,
              .reset = rtl8139_reset,
              .post_load = rtl8139_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x10ec,
  .device = 0x8139,
  .class_id = 0x0200,
  .revision = 0x20,
  .romfile = "efi-rtl8139.rom",
};

const VmType vm_rtl8139_type = {
  .name = "rtl8139",
  .parent = &vm_pci_device_type,
  .size = sizeof (Rtl8139),
  .help = "Realtek RTL8139C+ Fast Ethernet",
  .props = rtl8139_props,
  .state = rtl8139_state,
  .klass = &rtl8139_class,
};
