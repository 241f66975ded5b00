/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SATA controller of Intel's ICH9 in AHCI mode (AHCI 1.3.1, chapters 2 and 3; Intel I/O Controller Hub 9 data
 * sheet, 15.1): six ports, 32 commands each, queued or not. */
#include "devices/storage/ahci.h"

enum
{
  HBA_CAP = 0x00,
  HBA_GHC = 0x04,
  HBA_IS = 0x08,
  HBA_PI = 0x0c,
  HBA_VS = 0x10
};
enum
{
  GHC_HR = 1 << 0,
  GHC_IE = 1 << 1,
  GHC_WRITABLE = GHC_IE
};
#define GHC_AE 0x80000000u
/* 64-bit addresses, queuing, generation 1, AHCI only, 32 slots, six ports */
#define CAP_VALUE (0x80000000u | 1 << 30 | 1 << 20 | 1 << 18 | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define VERSION 0x00010000
#define PORTS_OFFSET 0x100
#define PORT_SIZE 0x80
#define REGISTERS_SIZE 0x1000
#define INDEX_DATA_SIZE 32
enum
{
  INDEX = 0x10,
  DATA = 0x14
};
#define CMD_WRITABLE 0x0f80001fu /* ICC is done at once: it reads as zero */
enum
{
  SERR_N = 1 << 16,
  SERR_X = 1 << 26
};
enum
{
  SATA_CAPABILITY = 0x12,
  SATA_CAPABILITY_AT = 0xa8,
  MSI_AT = 0x80,
  ADDRESS_MAP = 0x90,
  ADDRESS_MAP_AHCI = 1 << 6
};

/* --- interrupts ------------------------------------------------------------------------------- */

/* NEWS: there is something that the last message has not told of. */
static void
ahci_update_irq (VmAhci *hba, bool news)
{
  bool level = (hba->ghc & GHC_IE) && hba->is;

  if (!vm_pci_msi_enabled (&hba->parent))
    vm_pci_set_irq (&hba->parent, level);
  else if (level && news)
    vm_pci_msi_notify (&hba->parent, 0);
}

void
ahci_port_interrupt (AhciPort *port, uint32_t bits)
{
  port->is |= bits;
  if (port->is & port->ie)
    {
      port->hba->is |= 1u << port->n;
      ahci_update_irq (port->hba, bits != 0);
    }
}

/* --- registers of a port ---------------------------------------------------------------------- */

static uint32_t
port_command (const AhciPort *port)
{
  const VmIdeDevice *dev = ahci_port_device (port);
  uint32_t value = port->cmd | CMD_SUD | CMD_POD;

  value |= port->cmd & CMD_FRE ? CMD_FR : 0;
  value |= port->cmd & CMD_ST ? CMD_CR | (uint32_t) port->slot << CMD_CCS_SHIFT : 0;
  return value | (dev && dev->is_cd ? CMD_ATAPI : 0);
}

static uint32_t
port_read (const AhciPort *port, unsigned offset)
{
  switch (offset)
    {
    case PORT_CLB:
      return (uint32_t) port->clb;
    case PORT_CLBU:
      return port->clb >> 32;
    case PORT_FB:
      return (uint32_t) port->fb;
    case PORT_FBU:
      return port->fb >> 32;
    case PORT_IS:
      return port->is;
    case PORT_IE:
      return port->ie;
    case PORT_CMD:
      return port_command (port);
    case PORT_TFD:
      return port->tfd;
    case PORT_SIG:
      return port->sig;
    case PORT_SSTS:
      return port->ssts;
    case PORT_SCTL:
      return port->sctl;
    case PORT_SERR:
      return port->serr;
    case PORT_SACT:
      return port->sact;
    case PORT_CI:
      return port->ci;
    default:
      return 0;
    }
}

static void
port_write_command (AhciPort *port, uint32_t value)
{
  uint32_t old = port->cmd;

  if (!(value & CMD_ST) && (old & CMD_ST))
    ahci_port_stop (port);
  port->cmd = value & CMD_WRITABLE & ~(uint32_t) CMD_CLO;
  if ((value & CMD_CLO) && !(old & CMD_ST))
    port->tfd &= ~(uint32_t) (VM_IDE_BSY | VM_IDE_DRQ);
  if ((value & CMD_FRE) && !(old & CMD_FRE))
    ahci_port_receive (port);
  if ((value & CMD_ST) && !(old & CMD_ST))
    port->slot = AHCI_SLOTS - 1; /* the first slot is the next one */
}

/* COMRESET lasts from the moment DET says so until it no longer does. */
static void
port_write_control (AhciPort *port, uint32_t value)
{
  unsigned old = port->sctl & 15, det = value & 15;

  port->sctl = value & 0xfff;
  if (det == old)
    return;
  if (det == 1 || det == 4)
    {
      ahci_port_reset (port);
      port->ssts = det == 4 ? 4 : 0;
    }
  else if (old == 1 || old == 4)
    {
      ahci_port_reset (port);
      if (ahci_port_device (port))
        {
          port->serr |= SERR_X | SERR_N;
          ahci_port_interrupt (port, (uint32_t) IS_PCS | IS_PRCS);
        }
    }
}

static void
port_write_error (AhciPort *port, uint32_t value)
{
  port->serr &= ~value;
  if (!(port->serr & SERR_X))
    port->is &= ~(uint32_t) IS_PCS;
  if (!(port->serr & SERR_N))
    port->is &= ~(uint32_t) IS_PRCS;
}

static void
port_write (AhciPort *port, unsigned offset, uint32_t value)
{
  switch (offset)
    {
    case PORT_CLB:
      port->clb = (port->clb & VM_MASK (63, 32)) | (value & ~0x3ffu);
      break;
    case PORT_CLBU:
      port->clb = (uint32_t) port->clb | (uint64_t) value << 32;
      break;
    case PORT_FB:
      port->fb = (port->fb & VM_MASK (63, 32)) | (value & ~0xffu);
      break;
    case PORT_FBU:
      port->fb = (uint32_t) port->fb | (uint64_t) value << 32;
      break;
    case PORT_IS:
      port->is &= ~(value & ~(uint32_t) IS_OF_SERR);
      break;
    case PORT_IE:
      port->ie = value & IS_WRITABLE;
      ahci_port_interrupt (port, 0);
      if (port->is & port->ie)
        ahci_update_irq (port->hba, true);
      break;
    case PORT_CMD:
      port_write_command (port, value);
      break;
    case PORT_SCTL:
      port_write_control (port, value);
      break;
    case PORT_SERR:
      port_write_error (port, value);
      break;
    case PORT_SACT:
      if (port->cmd & CMD_ST)
        port->sact |= value;
      break;
    case PORT_CI:
      if (port->cmd & CMD_ST)
        {
          port->ci |= value;
          ahci_port_run (port);
        }
      break;
    }
}

/* --- registers of the controller -----------------------------------------------------------------------------------
 */

static void
ahci_reset_all (VmAhci *hba)
{
  hba->ghc = GHC_AE;
  hba->is = 0;
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      AhciPort *port = &hba->port[i];

      port->cmd = 0;
      ahci_port_reset (port);
      port->clb = port->fb = 0;
      port->is = port->ie = port->sctl = port->serr = 0;
    }
  vm_pci_set_irq (&hba->parent, 0);
}

static uint64_t
ahci_read (void *opaque, uint64_t offset, unsigned size)
{
  VmAhci *hba = opaque;
  unsigned port = (offset - PORTS_OFFSET) / PORT_SIZE;

  if (offset >= PORTS_OFFSET)
    return port < AHCI_PORTS ? port_read (&hba->port[port], offset % PORT_SIZE) : 0;
  switch (offset)
    {
    case HBA_CAP:
      return CAP_VALUE;
    case HBA_GHC:
      return hba->ghc;
    case HBA_IS:
      return hba->is;
    case HBA_PI:
      return (1 << AHCI_PORTS) - 1;
    case HBA_VS:
      return VERSION;
    default:
      return 0;
    }
}

static void
ahci_write_is (VmAhci *hba, uint32_t value)
{
  hba->is &= ~value;
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (hba->port[i].is & hba->port[i].ie)
      hba->is |= 1u << i;
  ahci_update_irq (hba, true);
}

static void
ahci_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmAhci *hba = opaque;
  unsigned port = (offset - PORTS_OFFSET) / PORT_SIZE;

  if (offset >= PORTS_OFFSET)
    {
      if (port < AHCI_PORTS)
        port_write (&hba->port[port], offset % PORT_SIZE, (uint32_t) value);
    }
  else if (offset == HBA_GHC && (value & GHC_HR))
    ahci_reset_all (hba);
  else if (offset == HBA_GHC)
    {
      hba->ghc = GHC_AE | (value & GHC_WRITABLE);
      ahci_update_irq (hba, true);
    }
  else if (offset == HBA_IS)
    ahci_write_is (hba, (uint32_t) value);
}

static const VmRegionOps ahci_ops = {
  .read = ahci_read,
  .write = ahci_write,
  .valid = { .min = 1, .max = 8 },
  .impl = { .min = 4, .max = 4 },
};

/* The same registers through a window of ports. */
static uint64_t
index_data_read (void *opaque, uint64_t offset, unsigned size)
{
  VmAhci *hba = opaque;

  return offset == INDEX ? hba->index : offset == DATA ? ahci_read (hba, hba->index, 4) : 0;
}

static void
index_data_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmAhci *hba = opaque;

  if (offset == INDEX)
    hba->index = value & (REGISTERS_SIZE - 4);
  else if (offset == DATA)
    ahci_write (hba, hba->index, value, 4);
}

static const VmRegionOps index_data_ops = {
  .read = index_data_read,
  .write = index_data_write,
  .impl = { .min = 4, .max = 4 },
};

/* --- life ------------------------------------------------------------------------------------- */

static void
ahci_reset (VmDevice *dev, VmResetKind kind)
{
  VmAhci *hba = (VmAhci *) dev;

  hba->index = 0;
  ahci_reset_all (hba);
}

static bool
ahci_add_capabilities (VmAhci *hba, GError **error)
{
  uint8_t *config = hba->parent.config;

  vm_pci_set_interrupt_pin (&hba->parent, 1);
  if (!vm_pci_add_capability (&hba->parent, SATA_CAPABILITY, SATA_CAPABILITY_AT, 8, error))
    return false;
  config[ADDRESS_MAP] = ADDRESS_MAP_AHCI;
  hba->parent.wmask[ADDRESS_MAP] = 0;
  config[SATA_CAPABILITY_AT + 2] = 0x10;                                 /* revision 1.0 */
  vm_store_le32 (config + SATA_CAPABILITY_AT + 4, (INDEX / 4) << 4 | 8); /* index and data in BAR 4 */
  return vm_pci_msi_init (&hba->parent, MSI_AT, 1, true, false, error);
}

static bool
ahci_realize (VmDevice *dev, GError **error)
{
  VmAhci *hba = (VmAhci *) dev;

  if (!ahci_add_capabilities (hba, error))
    return false;
  vm_region_init_io (&hba->registers, dev->env->memory, &ahci_ops, hba, "ahci", REGISTERS_SIZE);
  vm_region_init_io (&hba->index_data, dev->env->memory, &index_data_ops, hba, "ahci-idp", INDEX_DATA_SIZE);
  vm_pci_add_bar (&hba->parent, 4, PCI_BAR_IO, &hba->index_data);
  vm_pci_add_bar (&hba->parent, 5, PCI_BAR_MEM, &hba->registers);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      AhciPort *port = &hba->port[i];

      port->hba = hba;
      port->n = i;
      vm_ide_bus_init (&port->bus, dev, NULL, i, 1);
      port->bus.transport = &ahci_transport;
      port->bus.transport_opaque = port;
      port->bus.sg.as = &hba->parent.dma_as;
      port->bus.sg.owner = hba;
    }
  return true;
}

static void
ahci_unrealize (VmDevice *dev)
{
  VmAhci *hba = (VmAhci *) dev;

  for (unsigned i = 0; i < AHCI_PORTS; i++)
    {
      vm_ide_bus_destroy (&hba->port[i].bus);
      ahci_queue_free (&hba->port[i]);
    }
  vm_region_destroy (&hba->registers);
  vm_region_destroy (&hba->index_data);
}

static bool
ahci_post_load (VmDevice *dev, GError **error)
{
  VmAhci *hba = (VmAhci *) dev;

  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (hba->port[i].slot >= AHCI_SLOTS || hba->port[i].active)
      return vm_fail (error, "%s: impossible state of port %u", vm_device_path (dev), i);
  return true;
}

static const VmField port_state[] = {
  VM_FIELD (AhciPort, clb),
  VM_FIELD (AhciPort, fb),
  VM_FIELD (AhciPort, is),
  VM_FIELD (AhciPort, ie),
  VM_FIELD (AhciPort, cmd),
  VM_FIELD (AhciPort, tfd),
  VM_FIELD (AhciPort, sig),
  VM_FIELD (AhciPort, ssts),
  VM_FIELD (AhciPort, sctl),
  VM_FIELD (AhciPort, serr),
  VM_FIELD (AhciPort, sact),
  VM_FIELD (AhciPort, ci),
  VM_FIELD (AhciPort, signature_due),
  VM_FIELD (AhciPort, soft_reset),
  VM_FIELD (AhciPort, halted),
  VM_FIELD (AhciPort, active),
  VM_FIELD (AhciPort, slot),
  { 0 },
};

static const VmField ahci_state[] = {
  VM_FIELD_EMBED_ARRAY (VmAhci, port, port_state),
  VM_FIELD (VmAhci, ghc),
  VM_FIELD (VmAhci, is),
  VM_FIELD (VmAhci, index),
  { 0 },
};

static const VmPciClass ahci_class = {
  .parent = {
    .realize = ahci_realize,
    .unrealize = ahci_unrealize,
    .reset = ahci_reset,
    .post_load = ahci_post_load,
    .category = "Storage",
    .user_creatable = true,
    .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_INTEL,
  .device = 0x2922,
  .class_id = PCI_CLASS_STORAGE_SATA,
  .prog_if = 1,
  .revision = 2,
};

const VmType vm_ich9_ahci_type = {
  .name = "ich9-ahci",
  .parent = &vm_pci_device_type,
  .size = sizeof (VmAhci),
  .help = "SATA controller of the ICH9, in AHCI mode",
  .state = ahci_state,
  .klass = &ahci_class,
};
