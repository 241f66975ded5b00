/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 82574L gigabit Ethernet (data sheet, 317694): registers, memory for settings, PCI Express. */
#include "devices/net/e1000e.h"

#include <string.h>

#define FLASH_SIZE 0x20000
#define MSIX_SIZE 0x4000
#define PM_AT 0xc8
#define MSI_AT 0xd0
#define EXPRESS_AT 0xe0
#define MSIX_AT 0xa0
#define AER_AT 0x100
#define SERIAL_AT 0x140

/* --- memory for settings ------------------------------------------------------------------------------------- */

/* The words that drivers look at (6.1): address, what the card is, the sum 0xbaba. */
static void
fill_nvm (E1000e *self)
{
  static const uint16_t words[E1000_EEPROM_N] = {
    [0x03] = 0x0420, [0x04] = 0xf746, [0x05] = 0x2010, [0x0a] = 0x026b, [0x0b] = 0x10d3, [0x0c] = 0x8086,
    [0x0d] = 0x10d3, [0x0f] = 0x8058, [0x11] = 0x2001, [0x12] = 0x7e7c, [0x14] = 0x1000, [0x15] = 0x00c8,
    [0x17] = 0x2704, [0x18] = 0x6cc9, [0x19] = 0x3150, [0x1a] = 0x070e, [0x1b] = 0x460b, [0x1c] = 0x2d84,
    [0x1d] = 0x0100, [0x1e] = 0xf000, [0x1f] = 0x0706, [0x20] = 0x6000, [0x21] = 0x0080, [0x22] = 0x0f04,
    [0x23] = 0x7fff, [0x24] = 0x4f01, [0x25] = 0xc600, [0x27] = 0x20ff, [0x28] = 0x0028, [0x29] = 0x0003,
    [0x2d] = 0x0003, [0x30] = 0x0100, [0x31] = 0xc000, [0x32] = 0x121c, [0x33] = 0xc007, [0x3d] = 0x0120,
  };
  E1000 *base = &self->base;
  const uint8_t *mac = base->card.mac.byte;
  uint16_t sum = 0;

  memcpy (base->eeprom.words, words, sizeof words);
  for (int i = 0; i < 3; i++)
    base->eeprom.words[i] = mac[2 * i + 1] << 8 | mac[2 * i];
  base->eeprom.words[0x0b] = self->subsys;
  base->eeprom.words[0x0c] = self->subsys_ven;
  for (int i = 0; i < E1000_EEPROM_N - 1; i++)
    sum += base->eeprom.words[i];
  base->eeprom.words[E1000_EEPROM_N - 1] = 0xbaba - sum;
}

static void
write_eerd (E1000 *base, uint32_t value)
{
  unsigned word = value >> 2 & 0x3fff;

  value &= 0xfffc;
  if (value & NVM_START || word < E1000_EEPROM_N)
    value |= (uint32_t) base->eeprom.words[word % E1000_EEPROM_N] << 16;
  base->regs[E1000_EERD / 4] = value | NVM_DONE;
}

static void
write_eewr (E1000 *base, uint32_t value)
{
  unsigned word = value >> 2 & 0x3fff;

  if (value & NVM_START && word < E1000_EEPROM_N)
    base->eeprom.words[word] = value >> 16;
  base->regs[E1000_EEWR / 4] = (value & ~(uint32_t) NVM_START) | NVM_DONE;
}

/* The wires are the driver's while it has asked for them and they were granted (5.3.1). */
static void
write_eecd (E1000e *self, uint32_t value)
{
  bool granted = value & EECD_REQ;

  self->base.regs[E1000_EECD / 4] = value & 0xc0f04f;
  vm_eeprom25xx_write (&self->spi, granted && !(value & EECD_CS), granted && value & EECD_SK, value & EECD_DI);
}

static uint32_t
read_eecd (const E1000e *self)
{
  uint32_t value = self->base.regs[E1000_EECD / 4] & ~(uint32_t) EECD_DO;

  return value | EECD_PRES | EECD_READ_DONE | (value & EECD_REQ ? EECD_GNT : 0) | (self->spi.out ? EECD_DO : 0);
}

/* There is no flash: it reads as an empty one. */
static uint64_t
flash_read (void *opaque, uint64_t offset, unsigned size)
{
  return UINT64_MAX;
}

static void
flash_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const VmRegionOps flash_ops = { .read = flash_read, .write = flash_write, .valid = { .max = 4 } };

/* --- clock ------------------------------------------------------------------------------------------------------- */

#define TIME(reg) (self->time[((reg) -E1000E_TIME) / 4])

/* TIMINCA: so much is added each so many ticks of 40 ns (10.2.10). */
uint64_t
e1000e_clock (const E1000e *self)
{
  uint32_t timinca = TIME (E1000_TIMINCA), period = timinca >> 24;
  int64_t ticks = (e1000_now (&self->base) - self->clock_at) / 40;

  return self->clock_value + (period ? (uint64_t) ticks / period * (timinca & 0xffffff) : 0);
}

static void
set_clock (E1000e *self, uint64_t value)
{
  self->clock_at = e1000_now (&self->base);
  self->clock_value = value;
}

static void
write_time (E1000e *self, uint32_t offset, uint32_t value)
{
  uint64_t clock = e1000e_clock (self);

  switch (offset)
    {
    case E1000_SYSTIML:
      set_clock (self, (clock & 0xffffffff00000000) | value);
      break;
    case E1000_SYSTIMH:
      set_clock (self, (uint64_t) value << 32 | (uint32_t) clock);
      break;
    case E1000_TIMINCA:
      set_clock (self, clock);
      TIME (offset) = value;
      break;
    case E1000_TIMADJH:
      {
        uint64_t by = (uint64_t) (value & 0x7fffffff) << 32 | TIME (E1000_TIMADJL);
        set_clock (self, value >> 31 ? clock - by : clock + by);
        break;
      }
    case E1000_TSYNCTXCTL:
    case E1000_TSYNCRXCTL:
      TIME (offset) = (TIME (offset) & TSYNC_VALID) | (value & ~(uint32_t) TSYNC_VALID);
      break;
    case E1000_TIMADJL:
    case E1000_RXCFG:
    case E1000_RXUDP:
      TIME (offset) = value;
      break;
    default:
      break;
    }
}

static uint32_t
read_time (E1000e *self, uint32_t offset)
{
  switch (offset)
    {
    case E1000_SYSTIML:
      {
        /* The upper half is that of this instant when it is read later. */
        uint64_t clock = e1000e_clock (self);
        TIME (E1000_SYSTIMH) = clock >> 32;
        return clock;
      }
    case E1000_TXSTMPH:
      TIME (E1000_TSYNCTXCTL) &= ~(uint32_t) TSYNC_VALID;
      break;
    case E1000_RXSTMPH:
      TIME (E1000_TSYNCRXCTL) &= ~(uint32_t) TSYNC_VALID;
      break;
    default:
      break;
    }
  return TIME (offset);
}

static void
packet_stamped (E1000 *base, E1000Tx *q)
{
  E1000e *self = (E1000e *) base;
  uint64_t clock = e1000e_clock (self);

  if (!(TIME (E1000_TSYNCTXCTL) & TSYNC_ENABLE) || (TIME (E1000_TSYNCTXCTL) & TSYNC_VALID))
    return;
  TIME (E1000_TXSTMPL) = clock;
  TIME (E1000_TXSTMPH) = clock >> 32;
  TIME (E1000_TSYNCTXCTL) |= TSYNC_VALID;
}

/* --- registers ----------------------------------------------------------------------------------------------- */

/* Those that were elsewhere in the 82542 are found there, too (10.2). */
static uint32_t
true_offset (uint32_t offset)
{
  static const struct
  {
    uint16_t alias, bytes, offset;
  } all[] = {
    { 0x0040, 0x80, E1000_RA },    { 0x0108, 4, E1000_RDTR },    { 0x0110, 12, E1000_RDBAL },
    { 0x0120, 4, E1000_RDH },      { 0x0128, 4, E1000_RDT },     { 0x0160, 4, E1000_FCRTL },
    { 0x0168, 4, E1000_FCRTH },    { 0x0200, 0x200, E1000_MTA }, { 0x0420, 12, E1000_TDBAL },
    { 0x0430, 4, E1000_TDH },      { 0x0438, 4, E1000_TDT },     { 0x0440, 4, E1000_TIDV },
    { 0x0600, 0x200, E1000_VFTA }, { 0x8000, 4, E1000_RDFH },    { 0x8008, 4, E1000_RDFT },
    { 0x8010, 4, E1000_TDFH },     { 0x8018, 4, E1000_TDFT },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    if (offset >= all[i].alias && offset < (uint32_t) all[i].alias + all[i].bytes)
      return offset - all[i].alias + all[i].offset;
  return offset;
}

static const E1000Plain plain[] = {
  { E1000_CTRL_EXT, E1000_CTRL_EXT, 0xffffdfff },
  { E1000_EIAC, E1000_EIAC, 0x01f00000 },
  { E1000_IAM, E1000_IAM, INT_ALL_82574 },
  { E1000_IVAR, E1000_IVAR, 0x800fffff },
  { E1000_EITR, E1000_EITR + 4 * (E1000E_VECTORS - 1), 0xffff },
  { E1000_TCTL_EXT, E1000_TCTL_EXT, 0xffffffff },
  { E1000_EXTCNF_CTRL, E1000_EXTCNF_CTRL, 0x0fff00ef },
  { E1000_EXTCNF_SIZE, E1000_EXTCNF_SIZE, 0xff },
  { E1000_POEMB, E1000_POEMB, 0xffffffff },
  { E1000_PBA, E1000_PBA, 0x003f003f },
  { E1000_PBS, E1000_PBECCSTS, 0xffffffff },
  { E1000_FLASHT, E1000_FLASHT, 0xffff },
  { E1000_FLSWDATA, E1000_FLSWCNT, 0xffffffff },
  { E1000_PBA_ECC, E1000_PBA_ECC, 0xffffffff },
  { E1000_ERT, E1000_ERT, 0x3fff },
  { E1000_PSRCTL, E1000_PSRCTL, 0x3f3f3f7f },
  { E1000_RDBAL + E1000_QUEUE, E1000_RDBAL + E1000_QUEUE, 0xfffffff0 },
  { E1000_RDBAH + E1000_QUEUE, E1000_RDBAH + E1000_QUEUE, 0xffffffff },
  { E1000_RDLEN + E1000_QUEUE, E1000_RDLEN + E1000_QUEUE, 0xfff80 },
  { E1000_RDH + E1000_QUEUE, E1000_RDH + E1000_QUEUE, 0xffff },
  { E1000_RXDCTL + E1000_QUEUE, E1000_RXDCTL + E1000_QUEUE, 0xffffffff },
  { E1000_TDBAL + E1000_QUEUE, E1000_TDBAL + E1000_QUEUE, 0xfffffff0 },
  { E1000_TDBAH + E1000_QUEUE, E1000_TDBAH + E1000_QUEUE, 0xffffffff },
  { E1000_TDLEN + E1000_QUEUE, E1000_TDLEN + E1000_QUEUE, 0xfff80 },
  { E1000_TDH + E1000_QUEUE, E1000_TDH + E1000_QUEUE, 0xffff },
  { E1000_TXDCTL + E1000_QUEUE, E1000_TXDCTL + E1000_QUEUE, 0xffffffff },
  { E1000_TARC, E1000_TARC, 0xffffffff },
  { E1000_TARC + E1000_QUEUE, E1000_TARC + E1000_QUEUE, 0xffffffff },
  { E1000_RXCSUM, E1000_RXCSUM, 0xffff },
  { E1000_RFCTL, E1000_RFCTL, 0xffffffff },
  { E1000_RAID, E1000_RAID, 0xffff },
  { E1000_MRQC, E1000_MRQC, 0x003f0003 },
  { E1000_WUC, E1000_WUC, 0x10f },
  { E1000_WUFC, E1000_WUFC, 0x800f80ff },
  { E1000_MANC2H, E1000_MANC2H, 0xff },
  { E1000_MDEF, E1000_MDEF + 0x1c, 0xffffffff },
  { E1000_RETA, E1000_RETA + 0x7c, 0xffffffff },
  { E1000_RSSRK, E1000_RSSRK + 0x24, 0xffffffff },
  { E1000_GCR, E1000_FUNCTAG, 0xffffffff },
  { E1000_GSCL, E1000_GSCN + 0xc, 0xffffffff },
  { E1000_SWSM, E1000_SWSM, 0xf },
  { E1000_SWSM2, E1000_SWSM2 + 4, 0xffffffff },
  { E1000_GCR2, E1000_GCR2, 0xffffffff },
  { 0 },
};

static bool
write_own (E1000 *base, uint32_t offset, uint32_t value)
{
  E1000e *self = (E1000e *) base;

  if (offset >= E1000E_TIME && offset < E1000E_TIME + 4 * E1000E_TIME_N)
    {
      write_time (self, offset, value);
      return true;
    }
  switch (offset)
    {
    case E1000_CTRL:
      /* The driver waits until the card has stopped asking for the bus. */
      if (value & CTRL_NO_MASTER)
        base->regs[E1000_STATUS / 4] &= ~(uint32_t) STATUS_MASTER;
      else
        base->regs[E1000_STATUS / 4] |= STATUS_MASTER;
      return false;
    case E1000_EECD:
      write_eecd (self, value);
      return true;
    case E1000_EERD:
      write_eerd (base, value);
      return true;
    case E1000_EEWR:
      write_eewr (base, value);
      return true;
    case E1000_ICR:
      e1000e_write_icr (base, value);
      return true;
    case E1000_RDTR:
    case E1000_TIDV:
      /* The uppermost bit ends the wait. */
      base->regs[offset / 4] = value & 0xffff;
      if (value >> 31)
        e1000_interrupt (base, 0);
      return true;
    case E1000_TARC:
    case E1000_TARC + E1000_QUEUE:
      base->regs[offset / 4] = value;
      e1000_transmit (base);
      return true;
    default:
      return false;
    }
}

static bool
read_own (E1000 *base, uint32_t offset, uint32_t *value)
{
  E1000e *self = (E1000e *) base;

  if (offset >= E1000E_TIME && offset < E1000E_TIME + 4 * E1000E_TIME_N)
    {
      *value = read_time (self, offset);
      return true;
    }
  switch (offset)
    {
    case E1000_EECD:
      *value = read_eecd (self);
      return true;
    case E1000_ICR:
      *value = e1000e_read_icr (base);
      return true;
    case E1000_SWSM:
      /* Who reads it free has it. */
      *value = base->regs[offset / 4];
      base->regs[offset / 4] |= SWSM_SMBI;
      return true;
    default:
      return false;
    }
}

static void
reset_own (E1000 *base)
{
  E1000e *self = (E1000e *) base;
  uint32_t *regs = base->regs;

  regs[E1000_CTRL / 4] = CTRL_FD | CTRL_SLU | CTRL_SPD_1000 | CTRL_SWDPIN0 | CTRL_SWDPIN2;
  regs[E1000_STATUS / 4] = STATUS_FD | STATUS_SPEED_1000 | STATUS_INIT_DONE | STATUS_MASTER;
  regs[E1000_EERD / 4] = NVM_DONE;
  regs[E1000_TIPG / 4] = 0x00602008;
  regs[E1000_LEDCTL / 4] = 0x00068302;
  regs[E1000_EXTCNF_CTRL / 4] = 0x8;
  regs[E1000_POEMB / 4] = 0x30d;
  regs[E1000_PBA / 4] = 0x00140014;
  regs[E1000_PBS / 4] = 0x28;
  regs[E1000_EEMNGCTL / 4] = 1u << 31 | 1 << 18;
  regs[E1000_FLASHT / 4] = 2;
  regs[E1000_EEWR / 4] = NVM_DONE;
  regs[E1000_FLSWCTL / 4] = 3u << 30;
  regs[E1000_PSRCTL / 4] = 0x00040402;
  regs[E1000_TARC / 4] = regs[(E1000_TARC + E1000_QUEUE) / 4] = 0x403;
  regs[E1000_RXDCTL / 4] = regs[(E1000_RXDCTL + E1000_QUEUE) / 4] = 1 << 16;
  regs[E1000_TDFH / 4] = regs[E1000_TDFT / 4] = regs[E1000_TDFHS / 4] = regs[E1000_TDFTS / 4] = 0x600;
  regs[E1000_MANC / 4] = 1 << 28;
  regs[E1000_GCR / 4] = 0x06800200;
  regs[E1000_FACTPS / 4] = 0x20000004;
  for (unsigned i = 0; i < E1000E_VECTORS; i++)
    vm_timer_cancel (&self->vectors[i].timer);
  vm_timer_cancel (&self->ack_timer);
  self->owed = 0;
  memset (self->time, 0, sizeof self->time);
  TIME (E1000_RXCFG) = 0x88f7;
  TIME (E1000_RXUDP) = 0x319;
  set_clock (self, 0);
}

static const E1000Model model = {
  .causes = INT_ALL_82574,
  .queues = 2,
  .plain = plain,
  .true_offset = true_offset,
  .update = e1000e_update,
  .reset_mac = reset_own,
  .write = write_own,
  .read = read_own,
  .store = e1000e_store,
  .sent = packet_stamped,
};

/* --- PCI Express -----------------------------------------------------------------------------------------------------
 */

static bool
add_capabilities (E1000e *self, GError **error)
{
  VmPciDevice *pci = &self->base.parent;
  const uint8_t *mac = self->base.card.mac.byte;

  if (!vm_pci_msix_init (pci, E1000E_VECTORS, &self->msix, 3, 0, &self->msix, 3, 0x2000, MSIX_AT, error)
      || !vm_pci_add_capability (pci, PCI_CAP_EXPRESS, EXPRESS_AT, 0x14, error)
      || !vm_pci_msi_init (pci, MSI_AT, 1, true, false, error) || !vm_pci_add_pm_capability (pci, PM_AT, error))
    return false;
  vm_store_le16 (pci->config + PM_AT + 2, 0x22);         /* version 1.1, wants its own setting up */
  vm_store_le16 (pci->config + EXPRESS_AT + 2, 1);       /* an endpoint, version 1 */
  vm_store_le32 (pci->config + EXPRESS_AT + 4, 1 << 15); /* tells errors by role */
  vm_store_le16 (pci->wmask + EXPRESS_AT + 8, 0x7fff);
  vm_store_le16 (pci->w1cmask + EXPRESS_AT + 10, 0xf);
  vm_store_le32 (pci->config + EXPRESS_AT + 12, 0x411); /* a link of 2.5 GT/s, one lane */
  vm_store_le16 (pci->wmask + EXPRESS_AT + 16, 0x1c3);
  vm_store_le16 (pci->config + EXPRESS_AT + 18, 0x11);
  /* Errors in detail (3.1.3 of PCI Express 1.1), none of which will happen. */
  vm_store_le32 (pci->config + AER_AT, 0x0001 | 1 << 16 | (uint32_t) SERIAL_AT << 20);
  vm_store_le32 (pci->wmask + AER_AT + 8, 0x001ff010);
  vm_store_le32 (pci->config + AER_AT + 12, 0x00062010);
  vm_store_le32 (pci->wmask + AER_AT + 12, 0x001ff010);
  vm_store_le32 (pci->config + AER_AT + 20, 0x2000);
  vm_store_le32 (pci->wmask + AER_AT + 20, 0x31c1);
  vm_store_le32 (pci->config + SERIAL_AT, 0x0003 | 1 << 16);
  vm_store_le32 (pci->config + SERIAL_AT + 4, 0xff000000 | mac[3] << 16 | mac[4] << 8 | mac[5]);
  vm_store_le32 (pci->config + SERIAL_AT + 8, (uint32_t) mac[0] << 24 | mac[1] << 16 | mac[2] << 8 | 0xff);
  vm_store_le16 (pci->config + PCI_SUBSYSTEM_VENDOR_ID, self->subsys_ven);
  vm_store_le16 (pci->config + PCI_SUBSYSTEM_ID, self->subsys);
  return true;
}

static void
e1000e_unrealize (VmDevice *dev)
{
  E1000e *self = (E1000e *) dev;

  e1000_detach (&self->base);
  for (unsigned i = 0; i < E1000E_VECTORS; i++)
    vm_timer_cancel (&self->vectors[i].timer);
  vm_timer_cancel (&self->ack_timer);
  vm_region_destroy (&self->flash);
  vm_region_destroy (&self->msix);
}

static bool
e1000e_realize (VmDevice *dev, GError **error)
{
  E1000e *self = (E1000e *) dev;
  E1000 *base = &self->base;

  base->autonegotiation = base->mitigation = base->extra_mac_registers = true;
  if (!e1000_attach (base, &model, error))
    return false;
  base->card.ports[0].plain = self->disable_vnet_hdr != 0;
  fill_nvm (self);
  vm_eeprom25xx_init (&self->spi, base->eeprom.words, 2 * E1000_EEPROM_N);
  vm_timer_init (&self->ack_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, e1000e_ack_told, self);
  for (unsigned i = 0; i < E1000E_VECTORS; i++)
    {
      self->vectors[i].card = self;
      vm_timer_init (&self->vectors[i].timer, dev->env->clocks, VM_CLOCK_VIRTUAL, e1000e_vector_ready,
                     &self->vectors[i]);
    }
  vm_region_init_io (&self->flash, dev->env->memory, &flash_ops, self, "e1000e-flash", FLASH_SIZE);
  vm_region_init (&self->msix, dev->env->memory, "e1000e-msix", MSIX_SIZE);
  vm_pci_add_bar (&base->parent, 0, 0, &base->mmio);
  vm_pci_add_bar (&base->parent, 1, 0, &self->flash);
  e1000_add_io (base, 2, 32);
  vm_pci_add_bar (&base->parent, 3, 0, &self->msix);
  if (add_capabilities (self, error))
    return true;
  e1000e_unrealize (dev);
  return false;
}

static bool
e1000e_post_load (VmDevice *dev, GError **error)
{
  E1000e *self = (E1000e *) dev;

  if (self->clock_at > e1000_now (&self->base))
    self->clock_at = e1000_now (&self->base);
  return e1000_post_load (dev, error);
}

static const VmField vector_state[] = { VM_FIELD_TIMER_OF (E1000eVector, timer), { 0 } };

static const VmField e1000e_state[] = {
  VM_FIELD_EMBED (E1000e, base, e1000_state),
  VM_FIELD_EMBED_ARRAY (E1000e, vectors, vector_state),
  VM_FIELD (E1000e, owed),
  VM_FIELD_ARRAY (E1000e, time),
  VM_FIELD (E1000e, clock_value),
  VM_FIELD (E1000e, clock_at),
  { .name = "spi", .kind = VM_FIELD_STRUCT, .since = 2, .offset = offsetof (E1000e, spi), .size = sizeof (VmEeprom25xx),
    .count = 1, .fields = vm_eeprom25xx_state },
  { .name = "ack_timer", .kind = VM_FIELD_TIMER, .since = 2, .offset = offsetof (E1000e, ack_timer), .count = 1 },
  { 0 },
};

static const VmProp e1000e_props[] = {
  VM_NET_CARD_PROPS (E1000e, base.card),
  VM_PROP ("subsys_ven", E1000e, subsys_ven, 0x8086, "PCI subsystem vendor"),
  VM_PROP ("subsys", E1000e, subsys, 0, "PCI subsystem"),
  VM_PROP ("disable_vnet_hdr", E1000e, disable_vnet_hdr, 0,
           "1: check sums and segments are done before a packet leaves"),
  VM_PROP ("init-vet", E1000e, base.init_vet, true, "VET holds 0x8100 after a reset"),
  { 0 },
};

static const VmPciClass e1000e_class = {
  .parent = { .realize = e1000e_realize,
              .unrealize = e1000e_unrealize,
              .reset = e1000_reset,
              .post_load = e1000e_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x8086,
  .device = 0x10d3,
  .class_id = 0x0200,
  .express = true,
  .romfile = "efi-e1000e.rom",
};

const VmType vm_e1000e_type = {
  .name = "e1000e",
  .parent = &vm_pci_device_type,
  .size = sizeof (E1000e),
  .version = 2,
  .help = "Intel 82574L gigabit Ethernet",
  .props = e1000e_props,
  .state = e1000e_state,
  .klass = &e1000e_class,
};
