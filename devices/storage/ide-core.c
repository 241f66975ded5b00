/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ATA commands (ATA8-ACS, clause 7): how they begin and end, and those that move the disk's data. */
#include "devices/storage/ide.h"
#include "engine/base/log.h"
#include "engine/base/trace.h"

#include <errno.h>

#define TRIM_BLOCKS (VM_IDE_BUFFER / VM_IDE_SECTOR)

enum
{ /* commands that the code below tells apart */
  CMD_NOP = 0x00,
  CMD_DATA_SET_MANAGEMENT = 0x06,
  CMD_DEVICE_RESET = 0x08,
  CMD_READ = 0x20,
  CMD_READ_NORETRY = 0x21,
  CMD_READ_EXT = 0x24,
  CMD_READ_DMA_EXT = 0x25,
  CMD_READ_NATIVE_MAX_EXT = 0x27,
  CMD_READ_MULTIPLE_EXT = 0x29,
  CMD_READ_LOG_EXT = 0x2f,
  CMD_WRITE = 0x30,
  CMD_WRITE_NORETRY = 0x31,
  CMD_WRITE_EXT = 0x34,
  CMD_WRITE_DMA_EXT = 0x35,
  CMD_SET_MAX_EXT = 0x37,
  CMD_WRITE_MULTIPLE_EXT = 0x39,
  CMD_WRITE_DMA_FUA_EXT = 0x3d,
  CMD_VERIFY = 0x40,
  CMD_VERIFY_NORETRY = 0x41,
  CMD_VERIFY_EXT = 0x42,
  CMD_READ_LOG_DMA_EXT = 0x47,
  CMD_SEEK = 0x70,
  CMD_DIAGNOSTIC = 0x90,
  CMD_INIT_PARAMS = 0x91,
  CMD_PACKET = 0xa0,
  CMD_IDENTIFY_PACKET = 0xa1,
  CMD_SMART = 0xb0,
  CMD_READ_MULTIPLE = 0xc4,
  CMD_WRITE_MULTIPLE = 0xc5,
  CMD_SET_MULTIPLE = 0xc6,
  CMD_READ_DMA = 0xc8,
  CMD_READ_DMA_NORETRY = 0xc9,
  CMD_WRITE_DMA = 0xca,
  CMD_WRITE_DMA_NORETRY = 0xcb,
  CMD_WRITE_MULTIPLE_FUA_EXT = 0xce,
  CMD_STANDBY_NOW = 0xe0,
  CMD_IDLE_NOW = 0xe1,
  CMD_STANDBY = 0xe2,
  CMD_IDLE = 0xe3,
  CMD_CHECK_POWER = 0xe5,
  CMD_SLEEP = 0xe6,
  CMD_FLUSH = 0xe7,
  CMD_FLUSH_EXT = 0xea,
  CMD_IDENTIFY = 0xec,
  CMD_SET_FEATURES = 0xef,
  CMD_SECURITY_FREEZE = 0xf5,
  CMD_READ_NATIVE_MAX = 0xf8,
  CMD_SET_MAX = 0xf9,
};

enum
{
  DISK = 1 << 0,
  CD = 1 << 1,
  EXT = 1 << 2,
  RANGE = 1 << 3,
  FUA = 1 << 4,
  MULTIPLE = 1 << 5
};
typedef struct IdeCommand
{
  void (*run) (VmIdeDevice *dev);
  uint8_t flags; /* who knows it; EXT: 48-bit address; RANGE: it must be on the disk */
} IdeCommand;
static const IdeCommand commands[256];

static VmBlock *
ide_block (const VmIdeDevice *dev)
{
  return dev->conf.drive->block;
}

/* --- ends of commands ------------------------------------------------------------------------- */

void
ide_raise_irq (VmIdeDevice *dev)
{
  VmIdeBus *bus = dev->bus;

  if (bus->control & IDE_CONTROL_NIEN)
    return;
  if (bus->transport)
    bus->transport->interrupt (bus->transport_opaque);
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

static void
ide_succeed (VmIdeDevice *dev)
{
  ide_finish (dev, 0);
}

uint8_t
ide_error_of (int status)
{
  switch (status)
    {
    case 0:
      return 0;
    case -EPERM:
    case -ENOMEDIUM:
      return VM_IDE_ABRT;
    case -ENOSPC:
      return VM_IDE_IDNF;
    default:
      return status > 0 ? VM_IDE_ABRT : VM_IDE_UNC;
    }
}

/* --- data in the buffer ----------------------------------------------------------------------- */

void
ide_start_pio (VmIdeDevice *dev, uint32_t from, uint32_t len, unsigned flags, void (*done) (VmIdeDevice *dev))
{
  VmIdeBus *bus = dev->bus;

  dev->data_at = from;
  dev->data_end = from + len;
  dev->data_out = flags & IDE_PIO_OUT;
  dev->data_done = done;
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | VM_IDE_DRQ;
  if (bus->transport && bus->transport->pio)
    bus->transport->pio (bus->transport_opaque, flags & IDE_PIO_IRQ);
  else if (flags & IDE_PIO_IRQ)
    ide_raise_irq (dev);
}

/* The last block has been announced: no other interrupt follows. */
static void
ide_pio_read_ended (VmIdeDevice *dev)
{
  dev->status = VM_IDE_DRDY | VM_IDE_DSC;
  dev->data_done = NULL;
}

static void
ide_reply_pio_next (VmIdeDevice *dev)
{
  if (dev->data_end >= dev->chunk)
    ide_pio_read_ended (dev);
  else
    ide_start_pio (dev, dev->data_end, MIN (dev->chunk - dev->data_end, VM_IDE_SECTOR), IDE_PIO_IRQ,
                   ide_reply_pio_next);
}

void
ide_reply_pio (VmIdeDevice *dev, uint32_t len)
{
  dev->chunk = len;
  ide_start_pio (dev, 0, MIN (len, VM_IDE_SECTOR), IDE_PIO_IRQ, ide_reply_pio_next);
}

/* --- DMA -------------------------------------------------------------------------------------- */

void
ide_start_dma (VmIdeDevice *dev, bool to_memory, void (*step) (VmIdeDevice *dev))
{
  VmIdeBus *bus = dev->bus;

  if (!bus->transport)
    {
      ide_abort (dev);
      return;
    }
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | VM_IDE_DRQ;
  dev->dma_wanted = true;
  dev->dma_to_memory = to_memory;
  dev->dma_step = step;
  vm_dma_sg_reset (&bus->sg);
  dev->sg_at = 0;
  if (bus->transport->running (bus->transport_opaque))
    vm_ide_dma_started (bus);
}

void
ide_dma_finished (VmIdeDevice *dev, bool error)
{
  dev->dma_wanted = false;
  dev->bus->transport->finished (dev->bus->transport_opaque, error || dev->bus->sg.failed);
}

void
vm_ide_dma_started (VmIdeBus *bus)
{
  VmIdeDevice *dev = bus->unit[bus->selected];

  if (!dev || !dev->dma_wanted || dev->busy_io)
    return;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY | VM_IDE_DSC;
  dev->dma_step (dev);
}

uint32_t
ide_dma_buffer (VmIdeDevice *dev, uint32_t len)
{
  VmIdeBus *bus = dev->bus;

  vm_dma_sg_reset (&bus->sg);
  bus->transport->table (bus->transport_opaque, &bus->sg, len);
  len = (uint32_t) vm_dma_sg_copy (&bus->sg, 0, dev->buffer, len, dev->dma_to_memory);
  dev->transferred += len;
  return len;
}

static void
ide_reply_dma_step (VmIdeDevice *dev)
{
  bool whole = ide_dma_buffer (dev, dev->chunk) == dev->chunk;

  ide_dma_finished (dev, false);
  ide_finish (dev, whole ? 0 : VM_IDE_ABRT);
}

void
ide_reply_dma (VmIdeDevice *dev, uint32_t len)
{
  dev->chunk = len;
  ide_start_dma (dev, true, ide_reply_dma_step);
}

static void ide_dma_next (VmIdeDevice *dev);

static void
ide_dma_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  vm_dma_unmap (&dev->map, status == 0);
  if (status)
    {
      dev->dma_ended (dev, status);
      return;
    }
  dev->sg_at += dev->chunk;
  dev->transferred += dev->chunk;
  dev->lba += dev->chunk / VM_IDE_SECTOR;
  dev->sectors -= dev->chunk / VM_IDE_SECTOR;
  ide_dma_next (dev);
}

/* Whole sectors that the list still has room for; the table is asked for more when it is used up. */
static uint64_t
ide_dma_room (VmIdeDevice *dev)
{
  VmIdeBus *bus = dev->bus;

  if (dev->sg_at >= bus->sg.size)
    {
      bool failed = bus->sg.failed;

      vm_dma_sg_reset (&bus->sg);
      bus->sg.failed = failed;
      dev->sg_at = 0;
      bus->transport->table (bus->transport_opaque, &bus->sg,
                             MIN (dev->sectors * (uint64_t) VM_IDE_SECTOR, VM_IDE_DMA_STEP));
    }
  return VM_ALIGN_DOWN (bus->sg.size - dev->sg_at, VM_IDE_SECTOR);
}

static void
ide_dma_next (VmIdeDevice *dev)
{
  uint64_t len;

  if (!dev->sectors || !ide_block (dev))
    {
      dev->dma_ended (dev, dev->sectors ? -ENOMEDIUM : 0);
      return;
    }
  len = ide_dma_room (dev);
  if (!len)
    {
      dev->dma_ended (dev, 1);
      return;
    }
  dev->chunk = (uint32_t) vm_dma_map (&dev->map, &dev->bus->sg, dev->sg_at, len, dev->dma_to_memory);
  dev->busy_io = true;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY | VM_IDE_DSC;
  if (dev->dma_to_memory)
    vm_block_read (ide_block (dev), dev->lba * VM_IDE_SECTOR, dev->map.iov, dev->map.n, ide_dma_done, dev);
  else
    vm_block_write_flags (ide_block (dev), dev->lba * VM_IDE_SECTOR, dev->map.iov, dev->map.n,
                          commands[dev->command].flags & FUA ? VM_BLOCK_FUA : 0, ide_dma_done, dev);
}

void
ide_transfer_dma (VmIdeDevice *dev, bool to_memory, void (*ended) (VmIdeDevice *dev, int status))
{
  dev->dma_ended = ended;
  ide_start_dma (dev, to_memory, ide_dma_next);
}

/* --- addresses -------------------------------------------------------------------------------- */

uint64_t
ide_total_sectors (const VmIdeDevice *dev)
{
  uint64_t all = ide_block (dev) ? vm_block_size (ide_block (dev)) / VM_IDE_SECTOR : 0;

  return dev->max_sectors ? MIN (dev->max_sectors, all) : all;
}

void
ide_take_lba (VmIdeDevice *dev, bool ext)
{
  const VmIdeRegs *r = &dev->regs, *p = &dev->previous;

  dev->lba = r->lba_high << 16 | r->lba_mid << 8 | r->lba_low;
  if (ext)
    dev->lba |= (uint64_t) p->lba_high << 40 | (uint64_t) p->lba_mid << 32 | (uint64_t) p->lba_low << 24;
  else
    dev->lba |= (uint32_t) (r->device & 15) << 24;
}

void
ide_put_lba (VmIdeDevice *dev, uint64_t lba, bool ext)
{
  VmIdeRegs *r = &dev->regs, *p = &dev->previous;

  r->lba_low = (uint8_t) lba;
  r->lba_mid = (uint8_t) (lba >> 8);
  r->lba_high = (uint8_t) (lba >> 16);
  if (ext)
    {
      p->lba_low = (uint8_t) (lba >> 24);
      p->lba_mid = (uint8_t) (lba >> 32);
      p->lba_high = (uint8_t) (lba >> 40);
    }
  else
    r->device = (r->device & 0xf0) | (lba >> 24 & 15);
}

/* Reads LBA and count from the task file; false: outside the disk. */
static bool
ide_take_range (VmIdeDevice *dev)
{
  const VmIdeRegs *r = &dev->regs, *p = &dev->previous;
  bool ext = commands[dev->command].flags & EXT;
  uint64_t total = ide_total_sectors (dev);

  if (ext)
    dev->sectors = p->count || r->count ? p->count << 8 | r->count : 65536;
  else
    dev->sectors = r->count ? r->count : 256;
  if (ext || (r->device & IDE_DEVICE_LBA))
    ide_take_lba (dev, ext);
  else if (r->lba_low == 0)
    return false; /* sectors count from one */
  else
    dev->lba
        = ((uint64_t) (r->lba_high << 8 | r->lba_mid) * dev->lheads + (r->device & 15)) * dev->lsecs + r->lba_low - 1;
  return dev->lba < total && dev->sectors <= total - dev->lba;
}

/* The task file follows the transfer, so that a driver can see where it failed. */
static void
ide_put_address (VmIdeDevice *dev)
{
  VmIdeRegs *r = &dev->regs;
  bool ext = commands[dev->command].flags & EXT;

  if (ext || (r->device & IDE_DEVICE_LBA))
    ide_put_lba (dev, dev->lba, ext);
  else
    {
      uint64_t track = dev->lba / dev->lsecs;

      r->lba_low = dev->lba % dev->lsecs + 1;
      r->device = (r->device & 0xf0) | track % dev->lheads;
      r->lba_mid = (uint8_t) (track / dev->lheads);
      r->lba_high = (uint8_t) (track / dev->lheads >> 8);
    }
}

/* --- transfers -------------------------------------------------------------------------------- */

static unsigned
ide_sectors_per_irq (const VmIdeDevice *dev)
{
  return commands[dev->command].flags & MULTIPLE ? dev->multiple : 1;
}

static uint32_t
ide_pio_block (const VmIdeDevice *dev)
{
  return MIN (dev->sectors, ide_sectors_per_irq (dev)) * VM_IDE_SECTOR;
}

/* Between buffer and disk. */
static void
ide_request (VmIdeDevice *dev, bool write, uint32_t len, VmBlockDone done)
{
  dev->chunk = len;
  dev->iov = (struct iovec){ dev->buffer, len };
  dev->busy_io = true;
  dev->status |= VM_IDE_BSY;
  dev->status &= ~VM_IDE_DRQ;
  if (write)
    vm_block_write_flags (ide_block (dev), dev->lba * VM_IDE_SECTOR, &dev->iov, 1,
                          commands[dev->command].flags & FUA ? VM_BLOCK_FUA : 0, done, dev);
  else
    vm_block_read (ide_block (dev), dev->lba * VM_IDE_SECTOR, &dev->iov, 1, done, dev);
}

/* The buffer's request has ended: false when it failed, and with it the command. */
static bool
ide_request_done (VmIdeDevice *dev, int status)
{
  dev->busy_io = false;
  if (!status)
    {
      dev->lba += dev->chunk / VM_IDE_SECTOR;
      dev->sectors -= dev->chunk / VM_IDE_SECTOR;
    }
  ide_put_address (dev);
  if (status)
    ide_finish (dev, ide_error_of (status));
  return !status;
}

static void ide_pio_read_next (VmIdeDevice *dev);

static void
ide_pio_read_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  if (ide_request_done (dev, status))
    ide_start_pio (dev, 0, dev->chunk, IDE_PIO_IRQ, ide_pio_read_next);
}

static void
ide_pio_read_next (VmIdeDevice *dev)
{
  if (dev->sectors)
    ide_request (dev, false, ide_pio_block (dev), ide_pio_read_done);
  else
    ide_pio_read_ended (dev);
}

static void ide_pio_write_block (VmIdeDevice *dev);

static void
ide_pio_write_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  if (!ide_request_done (dev, status))
    return;
  if (dev->sectors)
    ide_start_pio (dev, 0, ide_pio_block (dev), IDE_PIO_OUT | IDE_PIO_IRQ, ide_pio_write_block);
  else
    ide_finish (dev, 0);
}

static void
ide_pio_write_block (VmIdeDevice *dev)
{
  ide_request (dev, true, dev->data_end, ide_pio_write_done);
}

/* The first block is wanted without an interrupt. */
static void
ide_pio_write (VmIdeDevice *dev)
{
  ide_start_pio (dev, 0, ide_pio_block (dev), IDE_PIO_OUT, ide_pio_write_block);
}

static void
ide_dma_ended (VmIdeDevice *dev, int status)
{
  ide_put_address (dev);
  ide_dma_finished (dev, status < 0);
  ide_finish (dev, ide_error_of (status));
}

static void
ide_read_dma (VmIdeDevice *dev)
{
  ide_transfer_dma (dev, true, ide_dma_ended);
}

static void
ide_write_dma (VmIdeDevice *dev)
{
  ide_transfer_dma (dev, false, ide_dma_ended);
}

/* --- verify: the medium is read, the data goes nowhere ---------------------------------------- */

static void
ide_verify_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  if (!ide_request_done (dev, status))
    return;
  if (dev->sectors)
    ide_request (dev, false, MIN (dev->sectors * (uint64_t) VM_IDE_SECTOR, VM_IDE_BUFFER), ide_verify_done);
  else
    ide_finish (dev, 0);
}

static void
ide_verify (VmIdeDevice *dev)
{
  ide_request (dev, false, MIN (dev->sectors * (uint64_t) VM_IDE_SECTOR, VM_IDE_BUFFER), ide_verify_done);
}

static void
ide_plain_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;

  dev->busy_io = false;
  ide_finish (dev, status ? VM_IDE_ABRT : 0);
}

void
ide_flush (VmIdeDevice *dev)
{
  if (dev->is_cd || !ide_block (dev))
    {
      ide_finish (dev, 0);
      return;
    }
  dev->busy_io = true;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY;
  vm_block_flush (ide_block (dev), ide_plain_done, dev);
}

/* --- TRIM: 512-byte blocks of (LBA 48 bits, count 16 bits) ------------------------------------ */

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
  uint64_t total = ide_total_sectors (dev);

  while (dev->data_at + 8 <= dev->data_end)
    {
      uint64_t entry = vm_load_le64 (dev->buffer + dev->data_at);
      uint64_t lba = entry & VM_MASK (47, 0), n = entry >> 48;

      dev->data_at += 8;
      if (!n)
        continue;
      if (lba >= total || n > total - lba)
        {
          ide_finish (dev, VM_IDE_IDNF);
          return;
        }
      dev->busy_io = true;
      vm_block_discard (ide_block (dev), lba * VM_IDE_SECTOR, n * VM_IDE_SECTOR, ide_trim_done, dev);
      return;
    }
  ide_finish (dev, 0);
}

static void
ide_trim_step (VmIdeDevice *dev)
{
  uint32_t len = (dev->previous.count << 8 | dev->regs.count) * VM_IDE_SECTOR;

  len = ide_dma_buffer (dev, len);
  ide_dma_finished (dev, false);
  dev->status = VM_IDE_BSY | VM_IDE_DRDY | VM_IDE_DSC;
  dev->data_at = 0;
  dev->data_end = len;
  ide_trim_next (dev);
}

static void
ide_data_set_management (VmIdeDevice *dev)
{
  unsigned blocks = dev->previous.count << 8 | dev->regs.count;

  if (!(dev->regs.feature & 1) || !dev->conf.discard_granularity || blocks == 0 || blocks > TRIM_BLOCKS)
    ide_abort (dev);
  else
    ide_start_dma (dev, false, ide_trim_step);
}

/* --- other commands --------------------------------------------------------------------------- */

void
ide_set_signature (VmIdeDevice *dev)
{
  dev->regs.count = dev->regs.lba_low = 1;
  dev->regs.lba_mid = dev->is_cd ? 0x14 : 0;
  dev->regs.lba_high = dev->is_cd ? 0xeb : 0;
  dev->regs.device &= IDE_DEVICE_UNIT;
}

static void
ide_identify (VmIdeDevice *dev)
{
  (dev->is_cd ? atapi_fill_identify : ide_fill_identify) (dev);
  for (unsigned i = 0; i < 256; i++)
    vm_store_le16 (dev->buffer + 2 * i, dev->identify[i]);
  ide_reply_pio (dev, VM_IDE_SECTOR);
}

static void
ide_set_multiple (VmIdeDevice *dev)
{
  uint8_t n = dev->regs.count;

  if (n > IDE_MAX_MULTIPLE || (n && !vm_is_pow2 (n)))
    {
      ide_abort (dev);
      return;
    }
  dev->multiple = n;
  ide_finish (dev, 0);
}

static void
ide_init_params (VmIdeDevice *dev)
{
  if (!dev->regs.count)
    {
      ide_abort (dev);
      return;
    }
  dev->lheads = (dev->regs.device & 15) + 1;
  dev->lsecs = dev->regs.count;
  dev->lcyls = (uint32_t) CLAMP (ide_total_sectors (dev) / (dev->lheads * dev->lsecs), 1, 65535);
  ide_finish (dev, 0);
}

static void
ide_packet (VmIdeDevice *dev)
{
  dev->byte_limit = dev->regs.lba_high << 8 | dev->regs.lba_mid;
  dev->regs.count = 1; /* command, not data */
  ide_start_pio (dev, 0, sizeof dev->packet, IDE_PIO_OUT, atapi_packet);
}

static void
ide_soft_reset (VmIdeDevice *dev)
{
  ide_set_signature (dev);
  dev->status = dev->is_cd ? 0 : VM_IDE_DRDY | VM_IDE_DSC;
  dev->error = 1; /* passed */
}

static void
ide_diagnostic (VmIdeDevice *dev)
{
  for (unsigned i = 0; i < 2; i++)
    if (dev->bus->unit[i])
      ide_soft_reset (dev->bus->unit[i]);
  ide_raise_irq (dev);
}

static const IdeCommand commands[256] = {
  [CMD_DATA_SET_MANAGEMENT] = { ide_data_set_management, DISK },
  [CMD_DEVICE_RESET] = { ide_soft_reset, CD },
  [0x10 ... 0x1f] = { ide_succeed, DISK }, /* recalibrate */
  [CMD_READ... CMD_READ_NORETRY] = { ide_pio_read_next, DISK | RANGE },
  [CMD_READ_EXT] = { ide_pio_read_next, DISK | RANGE | EXT },
  [CMD_READ_DMA_EXT] = { ide_read_dma, DISK | RANGE | EXT },
  [CMD_READ_NATIVE_MAX_EXT] = { ide_read_native_max_ext, DISK },
  [CMD_READ_MULTIPLE_EXT] = { ide_pio_read_next, DISK | RANGE | EXT | MULTIPLE },
  [CMD_READ_LOG_EXT] = { ide_read_log, DISK },
  [CMD_READ_LOG_DMA_EXT] = { ide_read_log, DISK },
  [CMD_WRITE... CMD_WRITE_NORETRY] = { ide_pio_write, DISK | RANGE },
  [CMD_WRITE_EXT] = { ide_pio_write, DISK | RANGE | EXT },
  [CMD_WRITE_DMA_EXT] = { ide_write_dma, DISK | RANGE | EXT },
  [CMD_SET_MAX_EXT] = { ide_set_max_ext, DISK },
  [CMD_WRITE_MULTIPLE_EXT] = { ide_pio_write, DISK | RANGE | EXT | MULTIPLE },
  [CMD_WRITE_DMA_FUA_EXT] = { ide_write_dma, DISK | RANGE | EXT | FUA },
  [CMD_VERIFY... CMD_VERIFY_NORETRY] = { ide_verify, DISK | RANGE },
  [CMD_VERIFY_EXT] = { ide_verify, DISK | RANGE | EXT },
  [CMD_SEEK] = { ide_succeed, DISK | RANGE },
  [CMD_DIAGNOSTIC] = { ide_diagnostic, DISK | CD },
  [CMD_INIT_PARAMS] = { ide_init_params, DISK },
  [CMD_PACKET] = { ide_packet, CD },
  [CMD_IDENTIFY_PACKET] = { ide_identify, CD },
  [CMD_SMART] = { ide_smart, DISK },
  [CMD_READ_MULTIPLE] = { ide_pio_read_next, DISK | RANGE | MULTIPLE },
  [CMD_WRITE_MULTIPLE] = { ide_pio_write, DISK | RANGE | MULTIPLE },
  [CMD_SET_MULTIPLE] = { ide_set_multiple, DISK },
  [CMD_READ_DMA... CMD_READ_DMA_NORETRY] = { ide_read_dma, DISK | RANGE },
  [CMD_WRITE_DMA... CMD_WRITE_DMA_NORETRY] = { ide_write_dma, DISK | RANGE },
  [CMD_WRITE_MULTIPLE_FUA_EXT] = { ide_pio_write, DISK | RANGE | EXT | MULTIPLE | FUA },
  [CMD_STANDBY_NOW... CMD_IDLE] = { ide_power_command, DISK | CD },
  [CMD_CHECK_POWER] = { ide_check_power, DISK | CD },
  [CMD_SLEEP] = { ide_power_command, DISK | CD },
  [CMD_FLUSH] = { ide_flush, DISK | CD },
  [CMD_FLUSH_EXT] = { ide_flush, DISK | CD },
  [CMD_IDENTIFY] = { ide_identify, DISK },
  [CMD_SET_FEATURES] = { ide_set_features, DISK | CD },
  [CMD_SECURITY_FREEZE] = { ide_succeed, DISK }, /* there is nothing to freeze, and firmware always asks */
  [CMD_READ_NATIVE_MAX] = { ide_read_native_max, DISK },
  [CMD_SET_MAX] = { ide_set_max, DISK },
};

void
ide_run_command (VmIdeDevice *dev, uint8_t command)
{
  const IdeCommand *c = &commands[command];

  /* A busy device takes none but a reset. */
  if ((dev->status & VM_IDE_BSY) || dev->busy_io)
    return;
  vm_trace (IDE_EXEC_CMD, "%s cmd 0x%02x", vm_device_path (&dev->parent), command);
  dev->last_command = dev->command;
  dev->command = command;
  dev->error = 0;
  dev->dma_wanted = false;
  dev->transferred = 0;
  dev->data_done = NULL;
  if (!c->run || !(c->flags & (dev->is_cd ? CD : DISK)))
    {
      /* IDENTIFY and READ on a packet device answer with its signature. */
      if (dev->is_cd && (command == CMD_IDENTIFY || command == CMD_READ))
        ide_set_signature (dev);
      ide_abort (dev);
      return;
    }
  if ((c->flags & MULTIPLE) && !dev->multiple)
    {
      ide_abort (dev);
      return;
    }
  if (c->flags & RANGE)
    {
      ide_touch (dev);
      if (!ide_take_range (dev))
        {
          ide_finish (dev, VM_IDE_IDNF);
          return;
        }
    }
  c->run (dev);
}

/* --- saving ----------------------------------------------------------------------------------- */

static const VmIdeStep disk_steps[] = {
  ide_pio_read_next, ide_reply_pio_next, ide_pio_write_block, ide_reply_dma_step, ide_dma_next, ide_trim_step, NULL,
};

/* 0: none; a disk's begin with 1, a packet device's with 0x40. */
static uint8_t
step_number (VmIdeStep step)
{
  for (uint8_t i = 0; disk_steps[i]; i++)
    if (disk_steps[i] == step)
      return i + 1;
  for (uint8_t i = 0; atapi_steps[i]; i++)
    if (atapi_steps[i] == step)
      return i + 0x40;
  return 0;
}

static VmIdeStep
find_step (uint8_t number, bool cd)
{
  for (uint8_t i = 0; disk_steps[i]; i++)
    if (number == i + 1)
      return disk_steps[i];
  for (uint8_t i = 0; cd && atapi_steps[i]; i++)
    if (number == i + 0x40)
      return atapi_steps[i];
  return NULL;
}

void
ide_name_steps (VmIdeDevice *dev)
{
  dev->data_step_number = step_number (dev->data_done);
  dev->dma_step_number = dev->dma_wanted ? step_number (dev->dma_step) : 0;
}

bool
ide_find_steps (VmIdeDevice *dev)
{
  dev->data_done = find_step (dev->data_step_number, dev->is_cd);
  dev->dma_step = find_step (dev->dma_step_number, dev->is_cd);
  dev->dma_ended = dev->is_cd ? atapi_dma_ended : ide_dma_ended;
  dev->busy_io = false;
  dev->sg_at = 0;
  if (dev->bus->transport)
    vm_dma_sg_reset (&dev->bus->sg);
  return !dev->data_done == !dev->data_step_number && dev->dma_wanted == (dev->dma_step != NULL)
         && (!dev->dma_wanted || dev->bus->transport);
}

/* --- reset ------------------------------------------------------------------------------------ */

void
ide_device_reset (VmIdeDevice *dev)
{
  if (ide_block (dev))
    vm_block_drain (ide_block (dev)); /* nothing completes into a device that was reset */
  memset (&dev->regs, 0, sizeof dev->regs);
  memset (&dev->previous, 0, sizeof dev->previous);
  dev->data_at = dev->data_end = dev->sectors = 0;
  dev->data_done = NULL;
  dev->dma_wanted = dev->busy_io = false;
  dev->command = dev->last_command = 0;
  dev->multiple = dev->is_cd ? 0 : IDE_MAX_MULTIPLE;
  dev->standing_by = false;
  ide_soft_reset (dev);
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
