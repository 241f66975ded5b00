/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The IDE channel's registers and the ATA commands of disks (ATA/ATAPI-7 volume 1). */
#include "devices/storage/ide.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

#include <errno.h>

enum { CONTROL_NIEN = 1 << 1, CONTROL_SRST = 1 << 2, CONTROL_HOB = 1 << 7 };
enum { DEVICE_LBA = 1 << 6, DEVICE_UNIT = 1 << 4 };
#define MAX_MULTIPLE 16
#define TRIM_RANGES 64

enum { /* commands */
  CMD_NOP = 0x00, CMD_DATA_SET_MANAGEMENT = 0x06, CMD_DEVICE_RESET = 0x08, CMD_READ = 0x20, CMD_READ_NORETRY = 0x21,
  CMD_READ_EXT = 0x24, CMD_READ_DMA_EXT = 0x25, CMD_READ_NATIVE_MAX_EXT = 0x27, CMD_READ_MULTIPLE_EXT = 0x29,
  CMD_WRITE = 0x30, CMD_WRITE_NORETRY = 0x31, CMD_WRITE_EXT = 0x34, CMD_WRITE_DMA_EXT = 0x35,
  CMD_WRITE_MULTIPLE_EXT = 0x39, CMD_VERIFY = 0x40, CMD_VERIFY_NORETRY = 0x41, CMD_VERIFY_EXT = 0x42, CMD_SEEK = 0x70,
  CMD_DIAGNOSTIC = 0x90, CMD_INIT_PARAMS = 0x91, CMD_PACKET = 0xa0, CMD_IDENTIFY_PACKET = 0xa1, CMD_SMART = 0xb0,
  CMD_READ_MULTIPLE = 0xc4, CMD_WRITE_MULTIPLE = 0xc5, CMD_SET_MULTIPLE = 0xc6, CMD_READ_DMA = 0xc8,
  CMD_READ_DMA_NORETRY = 0xc9, CMD_WRITE_DMA = 0xca, CMD_WRITE_DMA_NORETRY = 0xcb, CMD_STANDBY_NOW = 0xe0,
  CMD_IDLE_NOW = 0xe1, CMD_STANDBY = 0xe2, CMD_IDLE = 0xe3, CMD_CHECK_POWER = 0xe5, CMD_SLEEP = 0xe6,
  CMD_FLUSH = 0xe7, CMD_FLUSH_EXT = 0xea, CMD_IDENTIFY = 0xec, CMD_SET_FEATURES = 0xef, CMD_SECURITY_FREEZE = 0xf5,
  CMD_READ_NATIVE_MAX = 0xf8,
};

static VmIdeDevice *
ide_selected (VmIdeBus *bus)
{
  return bus->unit[bus->selected];
}

/* --- ends of commands ----------------------------------------------------------------------------- */

void
ide_raise_irq (VmIdeDevice *dev)
{
  VmIdeBus *bus = dev->bus;

  if (bus->control & CONTROL_NIEN)
    return;
  if (bus->dma)
    bus->dma->interrupt (bus->dma_opaque);
  vm_irq_raise (&bus->irq);
}

void
ide_finish (VmIdeDevice *dev, uint8_t error)
{
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | (error ? VM_IDE_ERR : 0);
  dev->error = error;
  dev->data_at = dev->data_end = 0;
  dev->sectors = 0;
  dev->dma_wanted = false;
  dev->data_done = NULL;
  ide_raise_irq (dev);
}

void
ide_abort (VmIdeDevice *dev)
{
  ide_finish (dev, VM_IDE_ABRT);
}

void
ide_start_pio (VmIdeDevice *dev, uint32_t len, void (*done) (VmIdeDevice *dev))
{
  dev->data_at = 0;
  dev->data_end = len;
  dev->data_done = done;
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | VM_IDE_DRQ;
}

void
ide_start_dma (VmIdeDevice *dev, bool to_memory, void (*step) (VmIdeDevice *dev))
{
  VmIdeBus *bus = dev->bus;

  if (!bus->dma)
    {
      ide_abort (dev);
      return;
    }
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | VM_IDE_DRQ;
  dev->dma_wanted = true;
  dev->dma_to_memory = to_memory;
  dev->dma_step = step;
  if (bus->dma->running (bus->dma_opaque))
    vm_ide_dma_started (bus);
}

void
ide_dma_finished (VmIdeDevice *dev, bool error)
{
  dev->dma_wanted = false;
  dev->bus->dma->finished (dev->bus->dma_opaque, error);
}

void
vm_ide_dma_started (VmIdeBus *bus)
{
  VmIdeDevice *dev = ide_selected (bus);

  if (!dev || !dev->dma_wanted || dev->busy_io)
    return;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY | VM_IDE_DSC;
  dev->dma_step (dev);
}

/* --- addresses -------------------------------------------------------------------------------------- */

static bool
ide_is_ext (uint8_t command)
{
  return command == CMD_READ_EXT || command == CMD_READ_DMA_EXT || command == CMD_READ_MULTIPLE_EXT
         || command == CMD_WRITE_EXT || command == CMD_WRITE_DMA_EXT || command == CMD_WRITE_MULTIPLE_EXT
         || command == CMD_VERIFY_EXT;
}

/* Reads LBA and count from the task file; false: outside the disk. */
static bool
ide_take_range (VmIdeDevice *dev)
{
  const VmIdeRegs *r = &dev->regs, *p = &dev->previous;
  uint64_t total = dev->drive->block ? vm_block_size (dev->drive->block) / VM_IDE_SECTOR : 0;

  if (ide_is_ext (dev->command))
    {
      dev->lba = (uint64_t) p->lba_high << 40 | (uint64_t) p->lba_mid << 32 | (uint64_t) p->lba_low << 24
                 | r->lba_high << 16 | r->lba_mid << 8 | r->lba_low;
      dev->sectors = p->count << 8 | r->count;
      if (!dev->sectors)
        dev->sectors = 65536;
    }
  else
    {
      dev->sectors = r->count ? r->count : 256;
      if (r->device & DEVICE_LBA)
        dev->lba = (uint32_t) (r->device & 15) << 24 | r->lba_high << 16 | r->lba_mid << 8 | r->lba_low;
      else if (r->lba_low == 0)
        return false; /* sectors count from one */
      else
        dev->lba = ((uint64_t) (r->lba_high << 8 | r->lba_mid) * dev->lheads + (r->device & 15)) * dev->lsecs
                   + r->lba_low - 1;
    }
  return dev->lba < total && dev->sectors <= total - dev->lba;
}

/* The task file follows the transfer, so that a driver can see where it failed. */
static void
ide_put_address (VmIdeDevice *dev)
{
  VmIdeRegs *r = &dev->regs, *p = &dev->previous;

  if (ide_is_ext (dev->command))
    {
      r->lba_low = dev->lba;
      r->lba_mid = dev->lba >> 8;
      r->lba_high = dev->lba >> 16;
      p->lba_low = dev->lba >> 24;
      p->lba_mid = dev->lba >> 32;
      p->lba_high = dev->lba >> 40;
    }
  else if (r->device & DEVICE_LBA)
    {
      r->lba_low = dev->lba;
      r->lba_mid = dev->lba >> 8;
      r->lba_high = dev->lba >> 16;
      r->device = (r->device & 0xf0) | (dev->lba >> 24 & 15);
    }
  else
    {
      uint64_t track = dev->lba / dev->lsecs;

      r->lba_low = dev->lba % dev->lsecs + 1;
      r->device = (r->device & 0xf0) | track % dev->lheads;
      r->lba_mid = track / dev->lheads;
      r->lba_high = track / dev->lheads >> 8;
    }
}

/* --- transfers ---------------------------------------------------------------------------------------- */

static unsigned
ide_sectors_per_irq (const VmIdeDevice *dev)
{
  switch (dev->command)
    {
    case CMD_READ_MULTIPLE:
    case CMD_READ_MULTIPLE_EXT:
    case CMD_WRITE_MULTIPLE:
    case CMD_WRITE_MULTIPLE_EXT:
      return dev->multiple;
    default:
      return 1;
    }
}

static void
ide_failed (VmIdeDevice *dev, int status)
{
  bool dma = dev->dma_wanted;

  ide_put_address (dev);
  if (dma)
    ide_dma_finished (dev, true);
  ide_finish (dev, status == -EPERM ? VM_IDE_ABRT : status == -ENOSPC ? VM_IDE_IDNF : VM_IDE_UNC);
}

/* A chunk of CHUNK bytes is done: move on. */
static void
ide_advance (VmIdeDevice *dev)
{
  unsigned n = dev->chunk / VM_IDE_SECTOR;

  dev->lba += n;
  dev->sectors -= n;
}

static void
ide_request (VmIdeDevice *dev, bool write, uint32_t len, VmBlockDone done)
{
  dev->chunk = len;
  dev->iov = (struct iovec) { dev->buffer, len };
  dev->busy_io = true;
  dev->status |= VM_IDE_BSY;
  dev->status &= ~VM_IDE_DRQ;
  (write ? vm_block_write : vm_block_read) (dev->drive->block, dev->lba * VM_IDE_SECTOR, &dev->iov, 1, done, dev);
}

static void ide_pio_read_next (VmIdeDevice *dev);

static void
ide_pio_read_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  if (status)
    {
      ide_failed (dev, status);
      return;
    }
  ide_advance (dev);
  ide_put_address (dev);
  ide_start_pio (dev, dev->chunk, ide_pio_read_next);
  ide_raise_irq (dev);
}

static void
ide_pio_read_next (VmIdeDevice *dev)
{
  if (!dev->sectors)
    {
      /* The last block's interrupt has been: no other one follows. */
      dev->status = VM_IDE_DRDY | VM_IDE_DSC;
      dev->data_done = NULL;
      return;
    }
  ide_request (dev, false, MIN (dev->sectors, ide_sectors_per_irq (dev)) * VM_IDE_SECTOR, ide_pio_read_done);
}

static void ide_pio_write_block (VmIdeDevice *dev);

static void
ide_pio_write_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  if (status)
    {
      ide_failed (dev, status);
      return;
    }
  ide_advance (dev);
  ide_put_address (dev);
  if (!dev->sectors)
    {
      ide_finish (dev, 0);
      return;
    }
  ide_start_pio (dev, MIN (dev->sectors, ide_sectors_per_irq (dev)) * VM_IDE_SECTOR, ide_pio_write_block);
  ide_raise_irq (dev);
}

static void
ide_pio_write_block (VmIdeDevice *dev)
{
  ide_request (dev, true, dev->data_end, ide_pio_write_done);
}

static void ide_dma_next (VmIdeDevice *dev);

static void
ide_dma_read_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;
  VmIdeBus *bus = dev->bus;

  dev->busy_io = false;
  if (status)
    {
      ide_failed (dev, status);
      return;
    }
  if (bus->dma->move (bus->dma_opaque, dev->buffer, dev->chunk, true) < dev->chunk)
    {
      /* The table was too short: the engine stops, the device would wait for ever. */
      ide_put_address (dev);
      ide_dma_finished (dev, false);
      ide_finish (dev, VM_IDE_ABRT);
      return;
    }
  ide_advance (dev);
  ide_dma_next (dev);
}

static void
ide_dma_write_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  if (status)
    {
      ide_failed (dev, status);
      return;
    }
  ide_advance (dev);
  ide_dma_next (dev);
}

static void
ide_dma_next (VmIdeDevice *dev)
{
  VmIdeBus *bus = dev->bus;
  uint32_t len = MIN (dev->sectors * (uint64_t) VM_IDE_SECTOR, VM_IDE_BUFFER);

  if (!dev->sectors)
    {
      ide_put_address (dev);
      ide_dma_finished (dev, false);
      ide_finish (dev, 0);
      return;
    }
  if (dev->dma_to_memory)
    ide_request (dev, false, len, ide_dma_read_done);
  else if (bus->dma->move (bus->dma_opaque, dev->buffer, len, false) < len)
    {
      ide_put_address (dev);
      ide_dma_finished (dev, false);
      ide_finish (dev, VM_IDE_ABRT);
    }
  else
    ide_request (dev, true, len, ide_dma_write_done);
}

static void
ide_plain_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  ide_finish (dev, status ? VM_IDE_ABRT : 0);
}

static void
ide_flush (VmIdeDevice *dev)
{
  dev->busy_io = true;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY;
  vm_block_flush (dev->drive->block, ide_plain_done, dev);
}

/* --- TRIM: 512-byte blocks of (LBA 48 bits, count 16 bits) --------------------------------------------- */

static void ide_trim_next (VmIdeDevice *dev);

static void
ide_trim_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  if (status)
    ide_finish (dev, VM_IDE_ABRT);
  else
    ide_trim_next (dev);
}

static void
ide_trim_next (VmIdeDevice *dev)
{
  uint64_t total = vm_block_size (dev->drive->block) / VM_IDE_SECTOR;

  for (; dev->data_at + 8 <= dev->data_end; )
    {
      uint64_t entry = vm_load_le64 (dev->buffer + dev->data_at);
      uint64_t lba = entry & VM_MASK (47, 0), n = entry >> 48;

      dev->data_at += 8;
      if (!n)
        continue;
      if (lba >= total || n > total - lba)
        {
          ide_abort (dev);
          return;
        }
      dev->busy_io = true;
      vm_block_discard (dev->drive->block, lba * VM_IDE_SECTOR, n * VM_IDE_SECTOR, ide_trim_done, dev);
      return;
    }
  ide_finish (dev, 0);
}

static void
ide_trim_dma (VmIdeDevice *dev)
{
  VmIdeBus *bus = dev->bus;
  uint32_t len = MIN (dev->regs.count, TRIM_RANGES) * VM_IDE_SECTOR;

  len = bus->dma->move (bus->dma_opaque, dev->buffer, len, false);
  ide_dma_finished (dev, false);
  dev->data_at = 0;
  dev->data_end = len;
  ide_trim_next (dev);
}

/* --- commands ------------------------------------------------------------------------------------------- */

static void
ide_set_signature (VmIdeDevice *dev)
{
  dev->regs.count = dev->regs.lba_low = 1;
  dev->regs.lba_mid = dev->is_cd ? 0x14 : 0;
  dev->regs.lba_high = dev->is_cd ? 0xeb : 0;
  dev->regs.device &= DEVICE_UNIT;
}

static void
ide_identify_done (VmIdeDevice *dev)
{
  dev->status = VM_IDE_DRDY | VM_IDE_DSC;
}

static void
ide_identify (VmIdeDevice *dev)
{
  (dev->is_cd ? atapi_fill_identify : ide_fill_identify) (dev);
  for (unsigned i = 0; i < 256; i++)
    vm_store_le16 (dev->buffer + 2 * i, dev->identify[i]);
  ide_start_pio (dev, VM_IDE_SECTOR, ide_identify_done);
  ide_raise_irq (dev);
}

static void
ide_set_features (VmIdeDevice *dev)
{
  switch (dev->regs.feature)
    {
    case 0x02:
      dev->write_cache_on = true;
      ide_finish (dev, 0);
      break;
    case 0x82:
      dev->write_cache_on = false;
      ide_flush (dev);
      break;
    case 0x03:
      dev->xfer_mode = dev->regs.count;
      ide_finish (dev, 0);
      break;
    case 0x05: /* advanced power management, acoustic, read look-ahead, reverting: accepted by real disks */
    case 0x42:
    case 0x55:
    case 0x66:
    case 0x67:
    case 0x85:
    case 0xaa:
    case 0xc2:
    case 0xcc:
      ide_finish (dev, 0);
      break;
    default:
      ide_abort (dev);
      break;
    }
}

/* SMART: a disk that is always well. */
static void
ide_smart (VmIdeDevice *dev)
{
  if (dev->regs.lba_high != 0xc2 || dev->regs.lba_mid != 0x4f)
    {
      ide_abort (dev);
      return;
    }
  switch (dev->regs.feature)
    {
    case 0xd8: /* enable */
    case 0xd9: /* disable */
    case 0xd2: /* attribute autosave */
    case 0xda: /* status: the signature unchanged says healthy */
      ide_finish (dev, 0);
      break;
    default:
      ide_abort (dev);
      break;
    }
}

static void
ide_read_native_max (VmIdeDevice *dev)
{
  uint64_t last = vm_block_size (dev->drive->block) / VM_IDE_SECTOR;
  uint8_t command = dev->command;

  last = last ? last - 1 : 0;
  dev->lba = command == CMD_READ_NATIVE_MAX ? MIN (last, 0x0fffffff) : last;
  if (command == CMD_READ_NATIVE_MAX_EXT)
    dev->command = CMD_READ_EXT; /* 48-bit form of the task file */
  ide_put_address (dev);
  dev->command = command;
  ide_finish (dev, 0);
}

static void
ide_transfer_command (VmIdeDevice *dev)
{
  bool multiple = dev->command == CMD_READ_MULTIPLE || dev->command == CMD_READ_MULTIPLE_EXT
                  || dev->command == CMD_WRITE_MULTIPLE || dev->command == CMD_WRITE_MULTIPLE_EXT;

  if (multiple && !dev->multiple)
    {
      ide_abort (dev);
      return;
    }
  if (!ide_take_range (dev))
    {
      ide_finish (dev, VM_IDE_IDNF);
      return;
    }
  switch (dev->command)
    {
    case CMD_READ:
    case CMD_READ_NORETRY:
    case CMD_READ_EXT:
    case CMD_READ_MULTIPLE:
    case CMD_READ_MULTIPLE_EXT:
      ide_pio_read_next (dev);
      break;
    case CMD_READ_DMA:
    case CMD_READ_DMA_NORETRY:
    case CMD_READ_DMA_EXT:
      ide_start_dma (dev, true, ide_dma_next);
      break;
    case CMD_WRITE_DMA:
    case CMD_WRITE_DMA_NORETRY:
    case CMD_WRITE_DMA_EXT:
      ide_start_dma (dev, false, ide_dma_next);
      break;
    case CMD_VERIFY:
    case CMD_VERIFY_NORETRY:
    case CMD_VERIFY_EXT:
    case CMD_SEEK:
      ide_finish (dev, 0);
      break;
    default: /* PIO writes: the first block is wanted without an interrupt */
      ide_start_pio (dev, MIN (dev->sectors, ide_sectors_per_irq (dev)) * VM_IDE_SECTOR, ide_pio_write_block);
      break;
    }
}

static void
ide_disk_command (VmIdeDevice *dev)
{
  switch (dev->command)
    {
    case CMD_READ:
    case CMD_READ_NORETRY:
    case CMD_READ_EXT:
    case CMD_READ_DMA:
    case CMD_READ_DMA_NORETRY:
    case CMD_READ_DMA_EXT:
    case CMD_READ_MULTIPLE:
    case CMD_READ_MULTIPLE_EXT:
    case CMD_WRITE:
    case CMD_WRITE_NORETRY:
    case CMD_WRITE_EXT:
    case CMD_WRITE_DMA:
    case CMD_WRITE_DMA_NORETRY:
    case CMD_WRITE_DMA_EXT:
    case CMD_WRITE_MULTIPLE:
    case CMD_WRITE_MULTIPLE_EXT:
    case CMD_VERIFY:
    case CMD_VERIFY_NORETRY:
    case CMD_VERIFY_EXT:
    case CMD_SEEK:
      ide_transfer_command (dev);
      break;
    case CMD_IDENTIFY:
      ide_identify (dev);
      break;
    case CMD_SET_MULTIPLE:
      if (dev->regs.count > MAX_MULTIPLE || (dev->regs.count && !vm_is_pow2 (dev->regs.count)))
        ide_abort (dev);
      else
        {
          dev->multiple = dev->regs.count;
          ide_finish (dev, 0);
        }
      break;
    case CMD_INIT_PARAMS:
      if (!dev->regs.count)
        ide_abort (dev);
      else
        {
          dev->lheads = (dev->regs.device & 15) + 1;
          dev->lsecs = dev->regs.count;
          ide_finish (dev, 0);
        }
      break;
    case CMD_DATA_SET_MANAGEMENT:
      if (dev->regs.feature & 1)
        ide_start_dma (dev, false, ide_trim_dma);
      else
        ide_abort (dev);
      break;
    case CMD_READ_NATIVE_MAX:
    case CMD_READ_NATIVE_MAX_EXT:
      ide_read_native_max (dev);
      break;
    case CMD_SMART:
      ide_smart (dev);
      break;
    case CMD_SECURITY_FREEZE:
    case 0x10 ... 0x1f: /* recalibrate */
      ide_finish (dev, 0);
      break;
    default:
      ide_abort (dev);
      break;
    }
}

static void
ide_run_command (VmIdeDevice *dev, uint8_t command)
{
  /* A busy device takes none but a reset. */
  if ((dev->status & VM_IDE_BSY) || dev->busy_io)
    return;
  vm_trace (IDE_EXEC_CMD, "%s cmd 0x%02x", vm_device_path (&dev->parent), command);
  dev->command = command;
  dev->error = 0;
  dev->dma_wanted = false;
  switch (command)
    {
    case CMD_PACKET:
      if (!dev->is_cd)
        {
          ide_abort (dev);
          break;
        }
      dev->byte_limit = dev->regs.lba_high << 8 | dev->regs.lba_mid;
      dev->regs.count = 1; /* command, not data */
      ide_start_pio (dev, sizeof dev->packet, atapi_packet);
      break;
    case CMD_IDENTIFY_PACKET:
      if (dev->is_cd)
        ide_identify (dev);
      else
        ide_abort (dev);
      break;
    case CMD_DEVICE_RESET:
      if (!dev->is_cd)
        {
          ide_abort (dev);
          break;
        }
      ide_set_signature (dev);
      dev->status = 0;
      dev->error = 1;
      break;
    case CMD_DIAGNOSTIC:
      for (unsigned i = 0; i < 2; i++)
        if (dev->bus->unit[i])
          {
            VmIdeDevice *unit = dev->bus->unit[i];

            ide_set_signature (unit);
            unit->status = unit->is_cd ? 0 : VM_IDE_DRDY | VM_IDE_DSC;
            unit->error = 1; /* passed */
          }
      ide_raise_irq (dev);
      break;
    case CMD_SET_FEATURES:
      if (dev->is_cd && dev->regs.feature != 0x03)
        ide_abort (dev);
      else
        ide_set_features (dev);
      break;
    case CMD_FLUSH:
    case CMD_FLUSH_EXT:
      if (dev->is_cd || !dev->drive->block)
        ide_finish (dev, 0);
      else
        ide_flush (dev);
      break;
    case CMD_CHECK_POWER:
      dev->regs.count = 0xff; /* active or idle */
      ide_finish (dev, 0);
      break;
    case CMD_STANDBY_NOW:
    case CMD_IDLE_NOW:
    case CMD_STANDBY:
    case CMD_IDLE:
    case CMD_SLEEP:
      ide_finish (dev, 0);
      break;
    default:
      if (!dev->is_cd && dev->drive->block)
        ide_disk_command (dev);
      else
        {
          /* IDENTIFY and READ on a packet device answer with its signature. */
          if (dev->is_cd && (command == CMD_IDENTIFY || command == CMD_READ))
            ide_set_signature (dev);
          ide_abort (dev);
        }
      break;
    }
}

/* --- registers -------------------------------------------------------------------------------------------- */

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

  const VmIdeRegs *r = bus->control & CONTROL_HOB ? &dev->previous : &dev->regs;

  switch (offset)
    {
    case 0:
      return ide_read_data (dev, size);
    case 1:
      return bus->control & CONTROL_HOB ? dev->previous.feature : dev->error;
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
  bus->control &= ~CONTROL_HOB;
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
    bus->selected = value & DEVICE_UNIT ? 1 : 0;
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
ide_device_reset (VmIdeDevice *dev)
{
  if (dev->drive->block)
    vm_block_drain (dev->drive->block); /* nothing completes into a device that was reset */
  memset (&dev->regs, 0, sizeof dev->regs);
  memset (&dev->previous, 0, sizeof dev->previous);
  dev->data_at = dev->data_end = dev->sectors = 0;
  dev->data_done = NULL;
  dev->dma_wanted = dev->busy_io = false;
  dev->command = 0;
  dev->multiple = dev->is_cd ? 0 : MAX_MULTIPLE;
  dev->status = dev->is_cd ? 0 : VM_IDE_DRDY | VM_IDE_DSC;
  dev->error = 1;
  ide_set_signature (dev);
  if (dev->is_cd)
    atapi_reset (dev);
}

void
vm_ide_bus_reset (VmIdeBus *bus)
{
  vm_trace (IDE_RESET, "%s", bus->parent.name);
  for (unsigned i = 0; i < 2; i++)
    if (bus->unit[i])
      ide_device_reset (bus->unit[i]);
  bus->selected = 0;
  bus->control = 0;
  vm_irq_lower (&bus->irq);
}

static void
ide_control_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmIdeBus *bus = opaque;
  uint8_t old = bus->control;

  bus->control = value;
  if (!(old & CONTROL_SRST) && (value & CONTROL_SRST))
    {
      for (unsigned i = 0; i < 2; i++)
        if (bus->unit[i])
          {
            ide_device_reset (bus->unit[i]);
            bus->unit[i]->status = VM_IDE_BSY;
          }
      bus->selected = 0;
    }
  else if ((old & CONTROL_SRST) && !(value & CONTROL_SRST))
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
