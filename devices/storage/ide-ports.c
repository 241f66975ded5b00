/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The registers of a parallel channel (ATA8-APT, T13/1698-D): the task file of two devices and their control register.
 */
#include "devices/storage/ide.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

static VmIdeDevice *
ide_selected (VmIdeBus *bus)
{
  return bus->unit[bus->selected];
}

static void
ide_data_step (VmIdeDevice *dev)
{
  if (dev->data_at < dev->data_end)
    return;
  dev->status &= ~VM_IDE_DRQ;
  if (dev->data_done)
    dev->data_done (dev);
}

static uint64_t
ide_read_data (VmIdeDevice *dev, unsigned size)
{
  uint64_t value;

  if (!(dev->status & VM_IDE_DRQ) || dev->dma_wanted || dev->data_at + size > dev->buffer_size)
    return 0;
  value = vm_load_le (dev->buffer + dev->data_at, size);
  dev->data_at += size;
  ide_data_step (dev);
  return value;
}

static void
ide_write_data (VmIdeDevice *dev, uint64_t value, unsigned size)
{
  if (!(dev->status & VM_IDE_DRQ) || dev->dma_wanted || dev->data_at + size > dev->buffer_size)
    return;
  vm_store_le (dev->buffer + dev->data_at, value, size);
  dev->data_at += size;
  ide_data_step (dev);
}

static uint64_t
ide_command_read (void *opaque, uint64_t offset, unsigned size)
{
  VmIdeBus *bus = opaque;
  VmIdeDevice *dev = ide_selected (bus);

  if (!bus->unit[0] && !bus->unit[1])
    return offset == 7 ? 0 : 0xff; /* nothing pulls the bus */
  if (!dev)
    return 0;

  const VmIdeRegs *r = bus->control & IDE_CONTROL_HOB ? &dev->previous : &dev->regs;

  switch (offset)
    {
    case 0:
      return ide_read_data (dev, size);
    case 1:
      return bus->control & IDE_CONTROL_HOB ? dev->previous.feature : dev->error;
    case 2:
      return r->count;
    case 3:
      return r->lba_low;
    case 4:
      return r->lba_mid;
    case 5:
      return r->lba_high;
    case 6:
      return dev->regs.device | 0xa0;
    default:
      vm_trace (IDE_STATUS_READ, "%s status 0x%02x", vm_device_path (&dev->parent), dev->status);
      vm_irq_lower (&bus->irq);
      return dev->status;
    }
}

/* Writes reach both devices; only the selected one runs a command. */
static void
ide_write_register (VmIdeBus *bus, unsigned offset, uint8_t value)
{
  bus->control &= ~IDE_CONTROL_HOB;
  for (unsigned i = 0; i < 2; i++)
    {
      VmIdeDevice *dev = bus->unit[i];

      if (!dev)
        continue;
      switch (offset)
        {
        case 1:
          dev->previous.feature = dev->regs.feature;
          dev->regs.feature = value;
          break;
        case 2:
          dev->previous.count = dev->regs.count;
          dev->regs.count = value;
          break;
        case 3:
          dev->previous.lba_low = dev->regs.lba_low;
          dev->regs.lba_low = value;
          break;
        case 4:
          dev->previous.lba_mid = dev->regs.lba_mid;
          dev->regs.lba_mid = value;
          break;
        case 5:
          dev->previous.lba_high = dev->regs.lba_high;
          dev->regs.lba_high = value;
          break;
        case 6:
          dev->regs.device = value;
          break;
        }
    }
  if (offset == 6)
    bus->selected = value & IDE_DEVICE_UNIT ? 1 : 0;
}

static void
ide_command_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmIdeBus *bus = opaque;
  VmIdeDevice *dev = ide_selected (bus);

  if (offset == 0)
    {
      if (dev)
        ide_write_data (dev, value, size);
    }
  else if (offset < 7)
    ide_write_register (bus, offset, value);
  else if (dev)
    {
      vm_irq_lower (&bus->irq);
      ide_run_command (dev, value);
    }
}

/* The data register takes words and double words, the others bytes. */
const VmRegionOps vm_ide_command_ops = {
  .read = ide_command_read,
  .write = ide_command_write,
  .valid = { .min = 1, .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 4, .unaligned = true },
};

static uint64_t
ide_control_read (void *opaque, uint64_t offset, unsigned size)
{
  VmIdeBus *bus = opaque;
  VmIdeDevice *dev = ide_selected (bus);

  return dev ? dev->status : 0; /* alternate status leaves the interrupt alone */
}
static void
ide_control_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmIdeBus *bus = opaque;
  uint8_t old = bus->control;

  bus->control = value;
  if (!(old & IDE_CONTROL_SRST) && (value & IDE_CONTROL_SRST))
    {
      for (unsigned i = 0; i < 2; i++)
        if (bus->unit[i])
          {
            ide_device_reset (bus->unit[i]);
            bus->unit[i]->status = VM_IDE_BSY;
          }
      bus->selected = 0;
    }
  else if ((old & IDE_CONTROL_SRST) && !(value & IDE_CONTROL_SRST))
    for (unsigned i = 0; i < 2; i++)
      if (bus->unit[i])
        bus->unit[i]->status = bus->unit[i]->is_cd ? 0 : VM_IDE_DRDY | VM_IDE_DSC;
}

const VmRegionOps vm_ide_control_ops = {
  .read = ide_control_read,
  .write = ide_control_write,
  .impl = { .min = 1, .max = 1 },
};

const VmField vm_ide_bus_state[] = {
  VM_FIELD (VmIdeBus, selected),
  VM_FIELD (VmIdeBus, control),
  { 0 },
};
