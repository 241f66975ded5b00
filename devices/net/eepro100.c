/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 8255x fast Ethernet (8255x Open Source Software Developer Manual): registers, interrupts, EEPROM, PHY, and the
 * members of the family. */
#include "devices/net/eepro100.h"

#include <string.h>

#define FLASH_SIZE (128 * 1024)
#define PHY 1 /* its address */

enum
{
  PHY_CONTROL,
  PHY_STATUS,
  PHY_ID1,
  PHY_ID2,
  PHY_ANA,
  PHY_LPA,
  PHY_EXPANSION,
  PHY_82555_STATUS = 16
};

/* --- interrupts ------------------------------------------------------------------------------------------------- */

static void
update_pin (Eepro100 *self)
{
  uint8_t mask = self->csr[CSR_MASK], causes = self->csr[CSR_ACK];

  /* Upper bits are masked one by one, flow control by bit 2. */
  causes &= ~(mask & 0xf0) & ~(mask & 4 ? ACK_FCP : 0);
  vm_pci_set_irq (&self->parent, causes && !(mask & MASK_ALL));
}

void
eepro100_interrupt (Eepro100 *self, uint8_t causes)
{
  self->csr[CSR_ACK] |= causes;
  update_pin (self);
}

static void
timer_fired (void *opaque)
{
  eepro100_cu_run (opaque);
}

/* --- EEPROM and PHY ------------------------------------------------------------------------------------------------
 */

/* Words that drivers look at (manual, 3.4): address, what it is, its PHY, identity; all of them have the sum 0xbaba. */
static void
fill_eeprom (Eepro100 *self)
{
  const Eepro100Class *klass = vm_type_klass (self->parent.parent.parent.type);
  uint16_t *words = self->eeprom.words, sum = 0;

  vm_eeprom93xx_init (&self->eeprom, klass->eeprom_words);
  memset (words, 0, klass->eeprom_words * sizeof words[0]);
  for (int i = 0; i < 3; i++)
    words[i] = vm_load_le16 (self->card.permanent + 2 * i);
  words[3] = 0x0003;                            /* works around nothing: compatible with 10 and 100 Mb/s */
  words[5] = klass->is_82557 ? 0x0100 : 0x0201; /* controller; RJ-45 */
  words[6] = 0x4700 | PHY;                      /* an 82555 */
  words[10] = 0x4000;
  words[11] = vm_load_le16 (self->parent.config + PCI_SUBSYSTEM_ID);
  words[12] = vm_load_le16 (self->parent.config + PCI_SUBSYSTEM_VENDOR_ID);
  for (unsigned i = 0; i < klass->eeprom_words - 1u; i++)
    sum += words[i];
  words[klass->eeprom_words - 1] = 0xbaba - sum;
}

static void
phy_reset (Eepro100 *self)
{
  memset (self->phy, 0, sizeof self->phy);
  self->phy[PHY_CONTROL] = 0x3100; /* full duplex, 100 Mb/s, negotiates */
  self->phy[PHY_ID1] = 0x02a8;
  self->phy[PHY_ID2] = 0x0154;
  self->phy[PHY_ANA] = 0x05e1;
  self->phy[PHY_EXPANSION] = 0x0001;
}

static uint16_t
phy_read (const Eepro100 *self, unsigned reg)
{
  bool link = vm_net_card_link_up (&self->card);

  switch (reg)
    {
    case PHY_STATUS:
      return 0x7809 | (link ? 0x0024 : 0);
    case PHY_LPA:
      return link ? 0x41e1 : 0;
    case PHY_82555_STATUS:
      return link ? 0x0003 : 0;
    default:
      return self->phy[reg];
    }
}

static void
phy_write (Eepro100 *self, unsigned reg, uint16_t value)
{
  switch (reg)
    {
    case PHY_CONTROL:
      if (value & 0x8000)
        phy_reset (self);
      else
        self->phy[reg] = value & 0x7d80; /* starting to negotiate is over at once */
      break;
    case PHY_ANA:
    case 17: /* special control and others of the 82555 */
    case 27:
    case 28:
      self->phy[reg] = value;
      break;
    default:
      break;
    }
}

static void
write_mdi (Eepro100 *self)
{
  uint8_t *at = self->csr + CSR_MDI;
  uint32_t mdi = vm_load_le32 (at);
  unsigned reg = mdi >> 16 & 31, phy = mdi >> 21 & 31, op = mdi >> 26 & 3;

  if (op == 2)
    mdi = (mdi & 0xffff0000) | (phy == PHY ? phy_read (self, reg) : 0xffff);
  else if (op == 1 && phy == PHY)
    phy_write (self, reg, mdi);
  vm_store_le32 (at, (mdi & 0x2fffffff) | MDI_READY);
  if (mdi & MDI_IE)
    eepro100_interrupt (self, ACK_MDI);
}

/* --- reset ------------------------------------------------------------------------------------ */

/* A selective one leaves the configuration, the addresses and the bases. */
static void
selective_reset (Eepro100 *self)
{
  uint32_t base = self->cu_base;

  eepro100_cu_reset (self);
  self->cu_base = base;
  self->ru = RU_IDLE;
  vm_net_port_ready (&self->card.ports[0]);
}

static void
software_reset (Eepro100 *self)
{
  eepro100_cu_reset (self);
  memset (self->csr, 0, sizeof self->csr);
  vm_store_le32 (self->csr + CSR_MDI, MDI_READY);
  self->ru = RU_IDLE;
  self->ru_base = self->ru_at = self->stat_address = 0;
  memset (self->stats, 0, sizeof self->stats);
  memset (self->hash, 0, sizeof self->hash);
  memcpy (self->ia, self->card.permanent, 6);
  eepro100_configure_defaults (self);
  vm_net_card_set_mac (&self->card, self->ia);
  update_pin (self);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

static void
eepro100_reset (VmDevice *dev, VmResetKind kind)
{
  Eepro100 *self = (Eepro100 *) dev;

  vm_eeprom93xx_reset (&self->eeprom);
  phy_reset (self);
  software_reset (self);
}

/* --- registers -------------------------------------------------------------------------------- */

static void
write_port (Eepro100 *self)
{
  uint32_t value = vm_load_le32 (self->csr + CSR_PORT), address = value & ~15u;
  uint8_t result[8];
  VmReentry mark;

  vm_store_le32 (self->csr + CSR_PORT, 0);
  switch (value & 15)
    {
    case PORT_RESET:
      software_reset (self);
      break;
    case PORT_SELF_TEST:
      vm_store_le32 (result, 0x12340120); /* the ROM's sum: anything but zero */
      vm_store_le32 (result + 4, 0);      /* nothing failed */
      vm_memory_owner_enter (self->parent.parent.env->memory, &mark, self);
      vm_pci_dma_write (&self->parent, address, result, sizeof result);
      vm_memory_owner_leave (self->parent.parent.env->memory, &mark);
      software_reset (self);
      break;
    case PORT_SELECTIVE_RESET:
      selective_reset (self);
      break;
    case PORT_DUMP:
      eepro100_dump (self, address);
      break;
    default:
      break;
    }
}

static void
write_command (Eepro100 *self, uint8_t value)
{
  uint32_t pointer = vm_load_le32 (self->csr + CSR_POINTER);

  /* It reads as zero: taken. */
  if (value & 7)
    eepro100_ru_command (self, value & 7, pointer);
  if (value >> 4)
    eepro100_cu_command (self, value >> 4, pointer);
}

static void
write_byte (Eepro100 *self, unsigned reg, uint8_t value)
{
  switch (reg)
    {
    case CSR_ACK:
      self->csr[reg] &= ~value;
      break;
    case CSR_MASK:
      self->csr[reg] = value & ~MASK_SI;
      if (value & MASK_SI)
        self->csr[CSR_ACK] |= ACK_SWI;
      break;
    case CSR_EEPROM:
      self->csr[reg] = value & (EE_SK | EE_CS | EE_DI);
      vm_eeprom93xx_write (&self->eeprom, value & EE_CS, value & EE_SK, value & EE_DI);
      break;
    case CSR_PMDR:
      self->csr[reg] &= ~value;
      break;
    case CSR_STATUS:
    case CSR_COMMAND:
    case CSR_GENERAL_STATUS:
      break;
    default:
      if ((reg >= CSR_POINTER && reg < CSR_RX_COUNT) || (reg >= CSR_FLOW && reg <= CSR_GENERAL))
        self->csr[reg] = value;
      break;
    }
}

static uint64_t
csr_read (void *opaque, uint64_t offset, unsigned size)
{
  Eepro100 *self = opaque;
  bool link = vm_net_card_link_up (&self->card);

  if (offset >= EEPRO_CSR_SIZE)
    return 0;
  self->csr[CSR_STATUS] = self->cu << 6 | self->ru << 2;
  self->csr[CSR_EEPROM] = (self->csr[CSR_EEPROM] & ~EE_DO) | (vm_eeprom93xx_read (&self->eeprom) ? EE_DO : 0);
  self->csr[CSR_GENERAL_STATUS] = link ? 0x07 : 0; /* full duplex, 100 Mb/s, link */
  return vm_load_le (self->csr + offset, size);
}

static void
csr_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Eepro100 *self = opaque;
  unsigned last = offset + size - 1;

  if (offset >= EEPRO_CSR_SIZE)
    return;
  for (unsigned reg = offset; reg <= last; reg++)
    write_byte (self, reg, value >> (reg - offset) * 8);
  if (offset <= CSR_MASK)
    update_pin (self);
  /* What does something does it when its last byte is there. */
  if (offset <= CSR_PORT + 3 && last >= CSR_PORT + 3)
    write_port (self);
  if (offset <= CSR_MDI + 3 && last >= CSR_MDI + 3)
    write_mdi (self);
  if (offset <= CSR_COMMAND && last >= CSR_COMMAND)
    write_command (self, value >> (CSR_COMMAND - offset) * 8);
}

static const VmRegionOps csr_ops = {
  .read = csr_read,
  .write = csr_write,
  .valid = { .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

/* No flash chip is on the card. */
static uint64_t
flash_read (void *opaque, uint64_t offset, unsigned size)
{
  return UINT32_MAX;
}

static void
flash_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const VmRegionOps flash_ops = { .read = flash_read, .write = flash_write, .valid = { .max = 4 } };

/* --- device ----------------------------------------------------------------------------------- */

static void
link_changed (VmObject *device, bool up)
{
  Eepro100 *self = (Eepro100 *) device;

  if (up)
    vm_net_port_ready (&self->card.ports[0]);
}

static const VmNetCardOps card_ops = {
  .port = { .receive = eepro100_receive },
  .rx_filter = eepro100_rx_filter,
  .link_changed = link_changed,
};

static void
eepro100_unrealize (VmDevice *dev)
{
  Eepro100 *self = (Eepro100 *) dev;

  vm_net_card_detach (&self->card);
  vm_timer_cancel (&self->timer);
  if (self->mmio.memory)
    vm_region_destroy (&self->mmio);
  if (self->io.memory)
    vm_region_destroy (&self->io);
  if (self->flash.memory)
    vm_region_destroy (&self->flash);
  g_clear_pointer (&self->tx_data, g_free);
}

static bool
add_power_management (VmPciDevice *pci, GError **error)
{
  uint8_t at = vm_pci_add_pm_capability (pci, 0xdc, error);

  if (at)
    vm_store_le16 (pci->config + at + 2, 0x7e21); /* all states, wakes from most */
  return at != 0;
}

static bool
eepro100_realize (VmDevice *dev, GError **error)
{
  Eepro100 *self = (Eepro100 *) dev;
  const Eepro100Class *klass = vm_type_klass (dev->parent.type);
  VmPciDevice *pci = &self->parent;

  if (!klass->is_82557 && !add_power_management (pci, error))
    return false;
  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  self->tx_data_size = VM_NET_FRAME_MAX;
  self->tx_data = g_malloc0 (self->tx_data_size);
  vm_region_init_io (&self->mmio, dev->env->memory, &csr_ops, self, "eepro100-mmio", 4096);
  vm_region_init_io (&self->io, dev->env->memory, &csr_ops, self, "eepro100-io", EEPRO_CSR_SIZE);
  vm_region_init_io (&self->flash, dev->env->memory, &flash_ops, self, "eepro100-flash", FLASH_SIZE);
  vm_pci_add_bar (pci, 0, PCI_BAR_PREFETCH, &self->mmio);
  vm_pci_add_bar (pci, 1, PCI_BAR_IO, &self->io);
  vm_pci_add_bar (pci, 2, 0, &self->flash);
  vm_pci_set_interrupt_pin (pci, 1);
  vm_store_le16 (pci->config + PCI_STATUS, vm_load_le16 (pci->config + PCI_STATUS) | 0x0280);
  pci->config[PCI_LATENCY_TIMER] = 0x20;
  pci->config[PCI_MIN_GNT] = 0x08;
  pci->config[PCI_MAX_LAT] = 0x18;
  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, timer_fired, self);
  fill_eeprom (self);
  return true;
}

static bool
eepro100_post_load (VmDevice *dev, GError **error)
{
  Eepro100 *self = (Eepro100 *) dev;

  if (self->cu > CU_ACTIVE || self->ru > RU_READY)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  vm_net_card_set_mac (&self->card, self->ia);
  /* Once the machine runs. */
  vm_timer_set (&self->timer, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

static const VmField eepro100_state[] = {
  VM_FIELD_ARRAY (Eepro100, csr),
  VM_FIELD (Eepro100, cu),
  VM_FIELD (Eepro100, ru),
  VM_FIELD (Eepro100, cu_base),
  VM_FIELD (Eepro100, cu_at),
  VM_FIELD (Eepro100, ru_base),
  VM_FIELD (Eepro100, ru_at),
  VM_FIELD (Eepro100, stat_address),
  VM_FIELD_ARRAY (Eepro100, config),
  VM_FIELD_ARRAY (Eepro100, ia),
  VM_FIELD_ARRAY (Eepro100, hash),
  VM_FIELD_ARRAY (Eepro100, stats),
  VM_FIELD_ARRAY (Eepro100, phy),
  VM_FIELD_EMBED (Eepro100, eeprom, vm_eeprom93xx_state),
  VM_FIELD_TIMER_OF (Eepro100, timer),
  { 0 },
};

static const VmProp eepro100_props[] = { VM_NET_CARD_PROPS (Eepro100, card), { 0 } };

/* --- the family ------------------------------------------------------------------------------- */

#define FAMILY(device_id, rev, words, old, knows_ip, ...)                                                                        \
  {                                                                                                                    \
    .parent = { .parent = { .realize = eepro100_realize,                                                               \
                            .unrealize = eepro100_unrealize,                                                           \
                            .reset = eepro100_reset,                                                                   \
                            .post_load = eepro100_post_load,                                                           \
                            .bus_type = VM_PCI_BUS_TYPE,                                                               \
                            .category = "Network",                                                                     \
                            .user_creatable = true,                                                                    \
                            .hotpluggable = true },                                                                    \
                .vendor = 0x8086,                                                                                      \
                .device = (device_id),                                                                                 \
                .class_id = 0x0200,                                                                                    \
                .revision = (rev),                                                                                     \
                .romfile = "efi-eepro100.rom",                                                                         \
                __VA_ARGS__ },                                                                                         \
    .eeprom_words = (words), .is_82557 = (old), .parses = (knows_ip),                                                                        \
  }
static const Eepro100Class i82550_class = FAMILY (0x1209, 0x0e, 256, false, true);
static const Eepro100Class i82551_class = FAMILY (0x1209, 0x0f, 256, false, true);
static const Eepro100Class i82557a_class = FAMILY (0x1229, 0x01, 64, true, false);
static const Eepro100Class i82557b_class = FAMILY (0x1229, 0x02, 64, true, false);
static const Eepro100Class i82557c_class = FAMILY (0x1229, 0x03, 64, true, false);
static const Eepro100Class i82558a_class = FAMILY (0x1229, 0x04, 64, false, false);
static const Eepro100Class i82558b_class = FAMILY (0x1229, 0x05, 64, false, false);
static const Eepro100Class i82559a_class = FAMILY (0x1229, 0x06, 256, false, false);
static const Eepro100Class i82559b_class = FAMILY (0x1229, 0x07, 256, false, false);
static const Eepro100Class i82559c_class
    = FAMILY (0x1229, 0x0c, 256, false, false, .subsystem_vendor = 0x8086, .subsystem = 0x0040);
static const Eepro100Class i82559er_class = FAMILY (0x1209, 0x09, 256, false, false);
static const Eepro100Class i82562_class = FAMILY (0x1209, 0x0e, 256, false, false);
static const Eepro100Class i82801_class = FAMILY (0x2449, 0x03, 256, false, false);

const VmType vm_eepro100_base_type = {
  .name = "eepro100-base",
  .parent = &vm_pci_device_type,
  .size = sizeof (Eepro100),
  .abstract = true,
  .help = "Intel 8255x fast Ethernet",
  .props = eepro100_props,
  .state = eepro100_state,
  .klass = &i82550_class,
};

const VmType vm_i82550_type = {
  .name = "i82550",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82550 Ethernet",
  .klass = &i82550_class,
};

const VmType vm_i82551_type = {
  .name = "i82551",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82551 Ethernet",
  .klass = &i82551_class,
};

const VmType vm_i82557a_type = {
  .name = "i82557a",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82557A Ethernet",
  .klass = &i82557a_class,
};

const VmType vm_i82557b_type = {
  .name = "i82557b",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82557B Ethernet",
  .klass = &i82557b_class,
};

const VmType vm_i82557c_type = {
  .name = "i82557c",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82557C Ethernet",
  .klass = &i82557c_class,
};

const VmType vm_i82558a_type = {
  .name = "i82558a",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82558A Ethernet",
  .klass = &i82558a_class,
};

const VmType vm_i82558b_type = {
  .name = "i82558b",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82558B Ethernet",
  .klass = &i82558b_class,
};

const VmType vm_i82559a_type = {
  .name = "i82559a",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82559A Ethernet",
  .klass = &i82559a_class,
};

const VmType vm_i82559b_type = {
  .name = "i82559b",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82559B Ethernet",
  .klass = &i82559b_class,
};

const VmType vm_i82559c_type = {
  .name = "i82559c",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82559C Ethernet",
  .klass = &i82559c_class,
};

const VmType vm_i82559er_type = {
  .name = "i82559er",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82559ER Ethernet",
  .klass = &i82559er_class,
};

const VmType vm_i82562_type = {
  .name = "i82562",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82562 Ethernet",
  .klass = &i82562_class,
};

const VmType vm_i82801_type = {
  .name = "i82801",
  .parent = &vm_eepro100_base_type,
  .size = sizeof (Eepro100),
  .help = "Intel i82801 Ethernet",
  .klass = &i82801_class,
};
