/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AMD PCnet-PCI II, Am79C970A (data sheet 19436): registers, interrupts, address PROM and EEPROM. */
#include "devices/net/pcnet.h"

#include <string.h>

#define IO_SIZE 32
#define CHIP_ID 0x02621003u
#define EEPROM_WORDS 64
#define POLL_MIN (2 * VM_NS_PER_MS) /* 65536 clocks of 33 MHz */
#define POLL_MAX (32 * VM_NS_PER_MS)

/* --- interrupts --------------------------------------------------------------------------------------------------- */

/* Each cause of CSR4 has its mask right below it; those of CSR5 have an enable there. */
static bool
has_cause (const Pcnet *self)
{
  uint16_t csr4 = self->csr[4] & CSR4_CAUSES, csr5 = self->csr[5] & CSR5_CAUSES;

  return self->csr[0] & CSR3_MASKS & ~self->csr[3] || (csr4 & ~(self->csr[4] << 1) & ~CSR4_UINT) || csr4 & CSR4_UINT
         || csr5 & self->csr[5] << 1;
}

void
pcnet_update_pin (Pcnet *self)
{
  uint16_t *csr0 = &self->csr[0];

  *csr0 &= ~(CSR0_INTR | CSR0_ERR);
  if (*csr0 & (CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR))
    *csr0 |= CSR0_ERR;
  if (has_cause (self))
    *csr0 |= CSR0_INTR;
  vm_pci_set_irq (&self->parent, *csr0 & CSR0_INTR && *csr0 & CSR0_IENA);
}

/* --- polling --------------------------------------------------------------------------------------------------------
 */

static bool
is_running (const Pcnet *self)
{
  return self->csr[0] & CSR0_STRT && !(self->csr[0] & CSR0_STOP);
}

static void
poll_later (Pcnet *self)
{
  bool wanted = is_running (self) && !(self->csr[5] & CSR5_SPND)
                && (self->rx_stalled || (self->csr[0] & CSR0_TXON && !(self->csr[4] & CSR4_DPOLL)));

  if (wanted)
    vm_timer_set (&self->poll, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + self->poll_ns);
  else
    vm_timer_cancel (&self->poll);
}

void
pcnet_poll_soon (Pcnet *self)
{
  if (self->poll_ns != POLL_MIN || !vm_timer_pending (&self->poll))
    {
      self->poll_ns = POLL_MIN;
      poll_later (self);
    }
}

static void
rings_changed (Pcnet *self)
{
  pcnet_transmit (self);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

static void
poll_fired (void *opaque)
{
  Pcnet *self = opaque;

  self->poll_ns = MIN (self->poll_ns * 2, POLL_MAX);
  rings_changed (self);
  if (!vm_timer_pending (&self->poll))
    poll_later (self);
}

/* --- reset ------------------------------------------------------------------------------------ */

static void
stop (Pcnet *self)
{
  self->csr[0] = CSR0_STOP;
  self->csr[4] &= ~CSR4_CAUSES;
  self->csr[5] &= ~(CSR5_SPND | CSR5_CAUSES);
  self->csr[112] = self->csr[114] = 0;
  self->rx_stalled = false;
  self->rx_at = 0;
  if (self->sending)
    vm_net_port_forget (&self->card.ports[0]);
  self->sending = self->tx_started = false;
  vm_timer_cancel (&self->poll);
  pcnet_update_pin (self);
}

static void
soft_reset (Pcnet *self)
{
  memset (self->csr, 0, sizeof self->csr);
  self->rap = 0;
  self->csr[4] = 0x0115;
  self->csr[80] = 0x1410;
  self->csr[100] = 0x0200;
  self->rx_index = 0;
  pcnet_tx_reset (self);
  stop (self);
  for (int i = 0; i < 3; i++)
    self->csr[12 + i] = vm_load_le16 (self->aprom + 2 * i);
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

/* The address PROM's bytes are the EEPROM's first (table of the EEPROM's contents). */
static void
load_eeprom (Pcnet *self)
{
  for (int i = 0; i < 8; i++)
    vm_store_le16 (self->aprom + 2 * i, self->eeprom.words[i]);
}

static void
fill_eeprom (Pcnet *self)
{
  uint8_t bytes[16] = { [9] = 0x11, [14] = 0x57, [15] = 0x57 };
  uint16_t sum = 0;

  vm_eeprom93xx_init (&self->eeprom, EEPROM_WORDS);
  memcpy (bytes, self->card.permanent, 6);
  for (int i = 0; i < 16; i++)
    sum += bytes[i];
  vm_store_le16 (bytes + 12, sum);
  for (int i = 0; i < 8; i++)
    self->eeprom.words[i] = vm_load_le16 (bytes + 2 * i);
}

static void
pcnet_reset (VmDevice *dev, VmResetKind kind)
{
  Pcnet *self = (Pcnet *) dev;

  vm_eeprom93xx_reset (&self->eeprom);
  load_eeprom (self);
  memset (self->bcr, 0, sizeof self->bcr);
  self->bcr[0] = self->bcr[1] = 0x0005;
  self->bcr[2] = 0x0002;
  self->bcr[4] = 0x00c0;
  self->bcr[5] = 0x0084;
  self->bcr[6] = 0x0088;
  self->bcr[7] = 0x0090;
  self->bcr[18] = 0x9001;
  self->bcr[19] = BCR19_PVALID | BCR19_EEDET;
  self->bcr[20] = BCR20_CSRPCNET;
  self->bcr[22] = 0xff06;
  soft_reset (self);
  vm_net_card_set_mac (&self->card, self->aprom);
}

/* --- control and status registers ------------------------------------------------------------- */

static void
filter_changed (Pcnet *self)
{
  uint8_t mac[6];

  for (int i = 0; i < 3; i++)
    vm_store_le16 (mac + 2 * i, self->csr[12 + i]);
  vm_net_card_set_mac (&self->card, mac);
  vm_net_card_rx_filter_changed (&self->card);
}

static void
write_csr0 (Pcnet *self, uint16_t value)
{
  uint16_t *csr0 = &self->csr[0];

  *csr0 &= ~(value & CSR0_CAUSES);
  if (value & CSR0_STOP)
    {
      stop (self);
      return;
    }
  *csr0 = (*csr0 & ~CSR0_IENA) | (value & CSR0_IENA);
  if (value & CSR0_INIT && !(*csr0 & CSR0_INIT))
    {
      *csr0 = (*csr0 & ~CSR0_STOP) | CSR0_INIT | (pcnet_init_block (self) ? CSR0_IDON : CSR0_MERR);
      filter_changed (self);
    }
  if (value & CSR0_STRT && !(*csr0 & CSR0_STRT))
    *csr0 = (*csr0 & ~CSR0_STOP) | CSR0_STRT | (self->csr[15] & MODE_DTX ? 0 : CSR0_TXON)
            | (self->csr[15] & MODE_DRX ? 0 : CSR0_RXON);
  pcnet_update_pin (self);
  /* Also without a demand: the chip would look at its rings within two milliseconds. */
  if (is_running (self))
    {
      rings_changed (self);
      pcnet_poll_soon (self);
    }
}

/* As the initialization block has it. */
static uint16_t
log2_length (const Pcnet *self, unsigned csr)
{
  return g_bit_nth_lsf (0x10000 - self->csr[csr], -1) & 15;
}

static uint16_t
read_csr (Pcnet *self, unsigned n)
{
  switch (n)
    {
    case 6:
      return log2_length (self, 78) << 12 | log2_length (self, 76) << 8;
    case 16:
    case 17:
      return self->csr[n - 15];
    case 58:
      return self->bcr[20];
    case 72:
      return 0x10000 - self->csr[76] - self->rx_index;
    case 74:
      return 0x10000 - self->csr[78] - self->tx_index;
    case 88:
      return CHIP_ID & 0xffff;
    case 89:
      return CHIP_ID >> 16;
    default:
      return self->csr[n];
    }
}

static void
write_style (Pcnet *self, uint16_t value)
{
  static const uint16_t follows[]
      = { BCR20_CSRPCNET, BCR20_SSIZE32, BCR20_SSIZE32 | BCR20_CSRPCNET, BCR20_SSIZE32 | BCR20_CSRPCNET };

  /* The flags follow from the style; reserved ones change nothing. */
  if ((value & 0xff) < G_N_ELEMENTS (follows))
    self->bcr[20] = (value & 0x04ff) | follows[value & 0xff];
}

/* Registers that may be written only while the chip stands still, as they are. */
static bool
is_plain (unsigned n)
{
  return (n >= 8 && n <= 15) || (n >= 18 && n <= 47) || (n >= 60 && n <= 70) || n == 72 || n == 74 || n == 76 || n == 78
         || n == 80 || n == 82 || n == 84 || n == 85 || n == 86 || n == 100 || n == 122 || n == 124;
}

static void
write_csr (Pcnet *self, unsigned n, uint16_t value)
{
  bool still = self->csr[0] & CSR0_STOP || self->csr[5] & CSR5_SPND;

  switch (n)
    {
    case 0:
      write_csr0 (self, value);
      return;
    case 1:
    case 2:
    case 16:
    case 17:
      if (still)
        self->csr[n > 2 ? n - 15 : n] = value;
      return;
    case 3:
      self->csr[3] = value & 0x5f7c;
      break;
    case 4:
      /* Causes are cleared by ones, but for the command that makes one. */
      self->csr[4] = (value & ~CSR4_CAUSES & ~CSR4_UINTCMD) | (self->csr[4] & CSR4_CAUSES & ~value);
      if (value & CSR4_UINTCMD)
        self->csr[4] |= CSR4_UINT;
      break;
    case 5:
      self->csr[5] = (value & ~CSR5_CAUSES) | (self->csr[5] & CSR5_CAUSES & ~value);
      if (is_running (self))
        {
          rings_changed (self);
          pcnet_poll_soon (self);
        }
      break;
    case 58:
      if (still)
        write_style (self, value);
      return;
    case 112:
    case 114:
      return;
    default:
      if (still && is_plain (n))
        self->csr[n] = value;
      if (still && n >= 8 && n <= 15)
        filter_changed (self);
      return;
    }
  pcnet_update_pin (self);
}

/* --- bus configuration registers -------------------------------------------------------------- */

static uint16_t
read_bcr (Pcnet *self, unsigned n)
{
  if (n >= PCNET_N_BCRS)
    return 0;
  if (n == 4)
    return self->bcr[4] | (vm_net_card_link_up (&self->card) ? 0x8000 : 0);
  if (n == 19 && self->bcr[19] & BCR19_EEN)
    return (self->bcr[19] & ~BCR19_DATA) | vm_eeprom93xx_read (&self->eeprom);
  return self->bcr[n];
}

static void
write_bcr19 (Pcnet *self, uint16_t value)
{
  bool wires = value & BCR19_EEN;

  self->bcr[19]
      = (value & (BCR19_EEN | BCR19_CS | BCR19_SK | BCR19_DATA)) | (self->bcr[19] & BCR19_PVALID) | BCR19_EEDET;
  vm_eeprom93xx_write (&self->eeprom, wires && value & BCR19_CS, wires && value & BCR19_SK, value & BCR19_DATA);
  if (value & BCR19_PREAD)
    {
      uint8_t sum = 0;
      for (int i = 0; i < 8; i++)
        sum |= self->eeprom.words[i] != 0xffff;
      self->bcr[19] = BCR19_EEDET | (sum ? BCR19_PVALID : 0);
      load_eeprom (self);
    }
}

static void
write_bcr (Pcnet *self, unsigned n, uint16_t value)
{
  switch (n)
    {
    case 2:
    case 5:
    case 6:
    case 7:
    case 9:
    case 16:
    case 17:
    case 21:
    case 22:
      self->bcr[n] = value;
      break;
    case 4:
      self->bcr[4] = value & 0x7fff;
      break;
    case 18:
      self->bcr[18] = (value & ~BCR18_DWIO) | (self->bcr[18] & BCR18_DWIO);
      break;
    case 19:
      write_bcr19 (self, value);
      break;
    case 20:
      if (self->csr[0] & CSR0_STOP || self->csr[5] & CSR5_SPND)
        write_style (self, value);
      break;
    default:
      break;
    }
}

/* --- I/O space -------------------------------------------------------------------------------- */

enum
{
  REG_RDP,
  REG_RAP,
  REG_RESET,
  REG_BDP
};

static uint32_t
read_reg (Pcnet *self, unsigned reg)
{
  switch (reg)
    {
    case REG_RDP:
      return read_csr (self, self->rap & (PCNET_N_CSRS - 1));
    case REG_RAP:
      return self->rap;
    case REG_RESET:
      soft_reset (self);
      return 0;
    default:
      return read_bcr (self, self->rap & (PCNET_N_CSRS - 1));
    }
}

static void
write_reg (Pcnet *self, unsigned reg, uint16_t value)
{
  if (reg == REG_RDP)
    write_csr (self, self->rap & (PCNET_N_CSRS - 1), value);
  else if (reg == REG_RAP)
    self->rap = value & (PCNET_N_CSRS - 1);
  else if (reg == REG_BDP)
    write_bcr (self, self->rap & (PCNET_N_CSRS - 1), value);
}

/* Registers are two bytes apart until the first write of four bytes to the first: then four (I/O Resources). */
static uint64_t
io_read (void *opaque, uint64_t offset, unsigned size)
{
  Pcnet *self = opaque;

  if (offset < 16)
    return vm_load_le (self->aprom + offset, size);
  if (self->bcr[18] & BCR18_DWIO)
    return offset & 3 || size == 1 ? UINT32_MAX : read_reg (self, (offset - 16) / 4);
  if (offset >= 24 || size == 1 || offset & 1)
    return UINT32_MAX;
  uint32_t value = read_reg (self, (offset - 16) / 2);
  if (size == 4)
    value = (value & 0xffff) | read_reg (self, (offset - 16) / 2 + 1) << 16;
  return value;
}

static void
io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Pcnet *self = opaque;

  if (offset < 16)
    {
      if (self->bcr[2] & BCR2_APROMWE)
        vm_store_le (self->aprom + offset, value, size);
      return;
    }
  if (size == 4 && offset == 16)
    self->bcr[18] |= BCR18_DWIO;
  if (self->bcr[18] & BCR18_DWIO)
    {
      if (!(offset & 3) && size != 1)
        write_reg (self, (offset - 16) / 4, value);
    }
  else if (offset < 24 && size != 1 && !(offset & 1))
    write_reg (self, (offset - 16) / 2, value);
}

static const VmRegionOps io_ops = {
  .read = io_read,
  .write = io_write,
  .valid = { .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

/* --- device ----------------------------------------------------------------------------------- */

static void
link_changed (VmObject *device, bool up)
{
  Pcnet *self = (Pcnet *) device;

  if (up)
    vm_net_port_ready (&self->card.ports[0]);
}

static const VmNetCardOps card_ops = {
  .port = { .receive = pcnet_receive },
  .rx_filter = pcnet_rx_filter,
  .link_changed = link_changed,
};

static void
pcnet_unrealize (VmDevice *dev)
{
  Pcnet *self = (Pcnet *) dev;

  vm_net_card_detach (&self->card);
  vm_timer_cancel (&self->poll);
  vm_net_registers_destroy (&self->registers);
  g_clear_pointer (&self->tx_data, g_free);
}

static bool
pcnet_realize (VmDevice *dev, GError **error)
{
  Pcnet *self = (Pcnet *) dev;
  VmPciDevice *pci = &self->parent;

  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, &card_ops, 1, NULL, error))
    return false;
  self->tx_data_size = 16384;
  self->tx_data = g_malloc0 (self->tx_data_size);
  vm_net_registers_add (&self->registers, pci, &io_ops, "pcnet", IO_SIZE);
  /* No subsystem; medium DEVSEL, fast back-to-back; 1.5 us at the bus, four times a second at least. */
  vm_store_le32 (pci->config + PCI_SUBSYSTEM_VENDOR_ID, 0);
  vm_store_le16 (pci->config + PCI_STATUS, vm_load_le16 (pci->config + PCI_STATUS) | 0x0280);
  pci->config[PCI_MIN_GNT] = 0x06;
  pci->config[PCI_MAX_LAT] = 0xff;
  vm_timer_init (&self->poll, dev->env->clocks, VM_CLOCK_VIRTUAL, poll_fired, self);
  self->poll_ns = POLL_MIN;
  fill_eeprom (self);
  return true;
}

static bool
pcnet_post_load (VmDevice *dev, GError **error)
{
  Pcnet *self = (Pcnet *) dev;

  if (self->tx_len > self->tx_data_size || self->rap >= PCNET_N_CSRS)
    return vm_fail (error, "the state of %s makes no sense", dev->parent.type->name);
  filter_changed (self);
  if (is_running (self))
    pcnet_poll_soon (self);
  return true;
}

static const VmField pcnet_state[] = {
  VM_FIELD_ARRAY (Pcnet, csr),
  VM_FIELD_ARRAY (Pcnet, bcr),
  VM_FIELD (Pcnet, rap),
  VM_FIELD_ARRAY (Pcnet, aprom),
  VM_FIELD_EMBED (Pcnet, eeprom, vm_eeprom93xx_state),
  VM_FIELD (Pcnet, tx_index),
  VM_FIELD (Pcnet, rx_index),
  VM_FIELD_SINCE (Pcnet, rx_at, 2),
  VM_FIELD_HEAP (Pcnet, tx_data, tx_data_size),
  VM_FIELD (Pcnet, tx_len),
  VM_FIELD (Pcnet, tx_started),
  VM_FIELD (Pcnet, tx_fcs),
  VM_FIELD_TIMER_OF (Pcnet, poll),
  { 0 },
};

static const VmProp pcnet_props[] = { VM_NET_CARD_PROPS (Pcnet, card), { 0 } };

static const VmPciClass pcnet_class = {
  .parent = { .realize = pcnet_realize,
              .unrealize = pcnet_unrealize,
              .reset = pcnet_reset,
              .post_load = pcnet_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x1022,
  .device = 0x2000,
  .class_id = 0x0200,
  .revision = 0x10,
  .romfile = "efi-pcnet.rom",
};

const VmType vm_pcnet_type = {
  .name = "pcnet",
  .parent = &vm_pci_device_type,
  .size = sizeof (Pcnet),
  .version = 2,
  .help = "AMD PCnet-PCI II (Am79C970A)",
  .props = pcnet_props,
  .state = pcnet_state,
  .klass = &pcnet_class,
};
