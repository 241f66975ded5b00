/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PIIX3 IDE with bus mastering (Intel 82371SB data sheet, function 1; Programming Interface for Bus Master IDE
 * Controller 1.0). */
#include "devices/storage/piix3-ide.h"

enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4, BM_SIZE = 8 };
enum { BM_START = 1 << 0, BM_READ = 1 << 3 };
enum { BM_ACTIVE = 1 << 0, BM_ERROR = 1 << 1, BM_INTERRUPT = 1 << 2, BM_KEPT = 0x60 };
enum { CONFIG_IDETIM = 0x40, IDETIM_ENABLE = 0x8000 };

typedef struct Channel {
  VmPiix3Ide *owner;
  VmIdeBus    bus;
  /* guest state */
  uint8_t  bm_command, bm_status;
  uint32_t table;            /* descriptor table */
  uint32_t next;             /* next descriptor */
  uint32_t address, left;    /* within the present one */
  bool     last;             /* it was the table's end */
} Channel;

struct VmPiix3Ide {
  VmPciDevice parent;
  /* wiring */
  VmIrq    irq[2];
  VmRegion bm_region;
  Channel  channel[2];
};

/* --- the DMA engine ---------------------------------------------------------------------------------- */

static bool
channel_next_descriptor (Channel *c)
{
  uint8_t prd[8];

  if (c->last || vm_pci_dma_read (&c->owner->parent, c->next, prd, sizeof prd) != VM_MEM_OK)
    return false;
  c->next += sizeof prd;
  c->address = vm_load_le32 (prd) & ~1u;
  c->left = vm_load_le16 (prd + 4) & ~1u;
  if (!c->left)
    c->left = 0x10000;
  c->last = prd[7] & 0x80;
  return true;
}

/* A table lies within 64 KiB: one that goes on for longer has no end. */
static void
channel_table (void *opaque, VmDmaSg *sg, uint64_t len)
{
  Channel *c = opaque;

  for (unsigned i = 0; i < 8192 && len; i++)
    {
      uint32_t n = MIN (len, c->left);

      vm_dma_sg_add (sg, c->address, n);
      c->address += n;
      c->left -= n;
      len -= n;
      if (len && !channel_next_descriptor (c))
        break;
    }
}

static bool
channel_running (void *opaque)
{
  return ((Channel *) opaque)->bm_status & BM_ACTIVE;
}

static void
channel_finished (void *opaque, bool error)
{
  Channel *c = opaque;

  /* Active stays while the table has room left: "interrupt and active" is how a driver sees a short transfer. */
  if (c->last && !c->left)
    c->bm_status &= ~BM_ACTIVE;
  if (error)
    c->bm_status = (c->bm_status | BM_ERROR) & ~BM_ACTIVE;
}

static void
channel_interrupt (void *opaque)
{
  ((Channel *) opaque)->bm_status |= BM_INTERRUPT;
}

static const VmIdeTransport channel_transport = {
  .running = channel_running,
  .table = channel_table,
  .finished = channel_finished,
  .interrupt = channel_interrupt,
};

static void
channel_write_command (Channel *c, uint8_t value)
{
  bool start = (value & BM_START) && !(c->bm_command & BM_START);
  bool stop = !(value & BM_START) && (c->bm_command & BM_START);

  c->bm_command = value & (BM_START | BM_READ);
  if (stop)
    c->bm_status &= ~BM_ACTIVE;
  if (start)
    {
      c->next = c->table;
      c->left = 0;
      c->last = false;
      c->bm_status |= BM_ACTIVE;
      vm_ide_dma_started (&c->bus);
    }
}

static uint64_t
piix3_ide_bm_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPiix3Ide *ide = opaque;
  Channel *c = &ide->channel[offset / BM_SIZE];
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    {
      unsigned reg = offset % BM_SIZE + i;
      uint8_t byte = 0xff;

      if (reg == BM_COMMAND)
        byte = c->bm_command;
      else if (reg == BM_STATUS)
        byte = c->bm_status;
      else if (reg >= BM_TABLE && reg < BM_SIZE)
        byte = c->table >> 8 * (reg - BM_TABLE);
      value |= (uint64_t) byte << 8 * i;
    }
  return value;
}

static void
piix3_ide_bm_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPiix3Ide *ide = opaque;
  Channel *c = &ide->channel[offset / BM_SIZE];

  for (unsigned i = 0; i < size; i++)
    {
      unsigned reg = offset % BM_SIZE + i;
      uint8_t byte = value >> 8 * i;

      if (reg == BM_COMMAND)
        channel_write_command (c, byte);
      else if (reg == BM_STATUS)
        c->bm_status = (byte & BM_KEPT) | (c->bm_status & BM_ACTIVE)
                       | (c->bm_status & ~byte & (BM_ERROR | BM_INTERRUPT));
      else if (reg >= BM_TABLE && reg < BM_SIZE)
        {
          unsigned shift = 8 * (reg - BM_TABLE);

          c->table = ((c->table & ~(0xffu << shift)) | (uint32_t) byte << shift) & ~3u;
        }
    }
}

static const VmRegionOps piix3_ide_bm_ops = {
  .read = piix3_ide_bm_read,
  .write = piix3_ide_bm_write,
  .valid = { .min = 1, .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

/* --- life ---------------------------------------------------------------------------------------------- */

void
vm_piix3_ide_set_irqs (VmPiix3Ide *ide, VmIrq irq14, VmIrq irq15)
{
  ide->irq[0] = irq14;
  ide->irq[1] = irq15;
}

VmIdeBus *
vm_piix3_ide_bus (VmPiix3Ide *ide, unsigned channel)
{
  return &ide->channel[channel].bus;
}

static void
piix3_ide_reset (VmDevice *dev, VmResetKind kind)
{
  VmPiix3Ide *ide = (VmPiix3Ide *) dev;
  uint8_t *config = ide->parent.config;

  for (unsigned i = 0; i < 2; i++)
    {
      Channel *c = &ide->channel[i];

      vm_ide_bus_reset (&c->bus);
      c->bm_command = c->bm_status = 0;
      c->table = c->next = c->address = c->left = 0;
      c->last = false;
    }
  config[PCI_STATUS] = 0x80; /* fast back-to-back */
  config[PCI_STATUS + 1] = 0x02;
  memset (config + CONFIG_IDETIM, 0, 4);
}

static bool
piix3_ide_realize (VmDevice *dev, GError **error)
{
  static const uint16_t command_port[2] = { 0x1f0, 0x170 }, control_port[2] = { 0x3f6, 0x376 };
  static const char *const names[2] = { "ide.0", "ide.1" };
  VmPiix3Ide *ide = (VmPiix3Ide *) dev;
  VmEnv *env = dev->env;

  vm_region_init_io (&ide->bm_region, env->memory, &piix3_ide_bm_ops, ide, "piix-bmdma", 2 * BM_SIZE);
  vm_pci_add_bar (&ide->parent, 4, PCI_BAR_IO, &ide->bm_region);
  memset (ide->parent.wmask + CONFIG_IDETIM, 0xff, 8);
  for (unsigned i = 0; i < 2; i++)
    {
      Channel *c = &ide->channel[i];
      VmIdeBus *bus = &c->bus;

      c->owner = ide;
      vm_ide_bus_init (bus, dev, names[i], i, 2);
      bus->irq = ide->irq[i];
      bus->transport = &channel_transport;
      bus->transport_opaque = c;
      bus->sg.as = &ide->parent.dma_as;
      bus->sg.attrs = vm_pci_attrs (&ide->parent);
      bus->sg.owner = ide;
      vm_region_init_io (&bus->command_ports, env->memory, &vm_ide_command_ops, bus, "ide", 8);
      vm_region_init_io (&bus->control_port, env->memory, &vm_ide_control_ops, bus, "ide", 1);
      vm_region_add (env->system_io, command_port[i], &bus->command_ports);
      vm_region_add (env->system_io, control_port[i], &bus->control_port);
    }
  return true;
}

static void
piix3_ide_unrealize (VmDevice *dev)
{
  VmPiix3Ide *ide = (VmPiix3Ide *) dev;

  for (unsigned i = 0; i < 2; i++)
    {
      vm_region_destroy (&ide->channel[i].bus.command_ports);
      vm_region_destroy (&ide->channel[i].bus.control_port);
      vm_ide_bus_destroy (&ide->channel[i].bus);
    }
}

static const VmField channel_state[] = {
  VM_FIELD_EMBED (Channel, bus, vm_ide_bus_state),
  VM_FIELD (Channel, bm_command),
  VM_FIELD (Channel, bm_status),
  VM_FIELD (Channel, table),
  VM_FIELD (Channel, next),
  VM_FIELD (Channel, address),
  VM_FIELD (Channel, left),
  VM_FIELD (Channel, last),
  { 0 },
};

static const VmField piix3_ide_state[] = {
  VM_FIELD_EMBED_ARRAY (VmPiix3Ide, channel, channel_state),
  { 0 },
};

static const VmPciClass piix3_ide_class = {
  .parent = {
    .realize = piix3_ide_realize,
    .unrealize = piix3_ide_unrealize,
    .reset = piix3_ide_reset,
    .category = "Storage",
  },
  .vendor = 0x8086,
  .device = 0x7010,
  .class_id = 0x0101,
  .prog_if = 0x80,
};

const VmType vm_piix3_ide_type = {
  .name = "piix3-ide",
  .parent = &vm_pci_device_type,
  .size = sizeof (VmPiix3Ide),
  .help = "IDE function of the PIIX3",
  .state = piix3_ide_state,
  .klass = &piix3_ide_class,
};
