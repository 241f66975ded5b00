/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Native command queuing of an AHCI port (Serial ATA 3.2, 13.6; AHCI 1.3.1, 5.5): up to 32 transfers at once. */
#include "devices/storage/ahci.h"

enum
{
  CMD_READ_QUEUED = 0x60,
  CMD_WRITE_QUEUED = 0x61
};
enum
{
  FIS_SET_DEVICE_BITS = 0xa1,
  FIS_INTERRUPT = 1 << 6,
  RECEIVED_DEVICE_BITS = 0x58
};

bool
ahci_is_queued (uint8_t command)
{
  return command == CMD_READ_QUEUED || command == CMD_WRITE_QUEUED;
}

bool
ahci_queue_busy (const AhciPort *port)
{
  for (unsigned i = 0; i < AHCI_SLOTS; i++)
    if (port->queued[i].busy)
      return true;
  return false;
}

void
ahci_queue_free (AhciPort *port)
{
  for (unsigned i = 0; i < AHCI_SLOTS; i++)
    {
      vm_dma_sg_clear (&port->queued[i].sg);
      vm_dma_map_clear (&port->queued[i].map);
    }
}

static void
send_device_bits (AhciPort *port, uint32_t tags)
{
  VmIdeDevice *dev = ahci_port_device (port);
  uint8_t fis[8] = { FIS_SET_DEVICE_BITS, FIS_INTERRUPT, dev->status & 0x77, dev->error };

  vm_store_le32 (fis + 4, tags);
  ahci_post (port, RECEIVED_DEVICE_BITS, fis, sizeof fis);
  port->sact &= ~tags;
  port->tfd = dev->error << 8 | (dev->status & 0x77) | (port->tfd & 0x88);
  ahci_port_interrupt (port, (uint32_t) IS_SDBS | (dev->status & VM_IDE_ERR ? (uint32_t) IS_TFES : 0));
}

/* The log that tells the guest which one it was. */
static void
note_error (VmIdeDevice *dev, const AhciQueued *q)
{
  uint8_t *log = dev->ncq_error;

  memset (log, 0, VM_IDE_SECTOR);
  log[0] = q->tag;
  log[2] = dev->status;
  log[3] = dev->error;
  for (unsigned i = 0; i < 3; i++)
    {
      log[4 + i] = (uint8_t) (q->lba >> 8 * i);
      log[8 + i] = (uint8_t) (q->lba >> (24 + 8 * i));
    }
  log[7] = IDE_DEVICE_LBA;
  log[12] = (uint8_t) q->sectors;
  log[13] = (uint8_t) (q->sectors >> 8);
}

/* One failure ends them all: the guest reads the log, clears PxCMD.ST and begins again. */
static void
fail (AhciQueued *q, uint8_t error)
{
  AhciPort *port = q->port;
  VmIdeDevice *dev = ahci_port_device (port);

  if (port->halted)
    return;
  dev->status = VM_IDE_DRDY | VM_IDE_DSC | VM_IDE_ERR;
  dev->error = error;
  note_error (dev, q);
  port->halted = true;
  send_device_bits (port, 0);
}

static void
complete (AhciQueued *q, int status)
{
  AhciPort *port = q->port;
  VmIdeDevice *dev = ahci_port_device (port);

  q->busy = false;
  vm_dma_sg_reset (&q->sg);
  if (status)
    fail (q, ide_error_of (status));
  else if (!port->halted)
    {
      dev->status = VM_IDE_DRDY | VM_IDE_DSC;
      dev->error = 0;
      send_device_bits (port, UINT32_C (1) << q->tag);
    }
  ahci_port_run (port);
}

static void next (AhciQueued *q);

static void
done (void *opaque, int status)
{
  AhciQueued *q = opaque;

  vm_dma_unmap (&q->map, status == 0);
  if (status)
    {
      complete (q, status);
      return;
    }
  q->at += q->chunk;
  q->lba += q->chunk / VM_IDE_SECTOR;
  q->sectors -= q->chunk / VM_IDE_SECTOR;
  next (q);
}

static void
next (AhciQueued *q)
{
  VmBlock *block = ahci_port_device (q->port)->conf.drive->block;
  uint64_t len = MIN (q->sectors * (uint64_t) VM_IDE_SECTOR, VM_IDE_DMA_STEP), at = q->lba * VM_IDE_SECTOR;

  if (!q->sectors)
    {
      complete (q, 0);
      return;
    }
  q->chunk = (uint32_t) vm_dma_map (&q->map, &q->sg, q->at, len, !q->write);
  if (q->write)
    vm_block_write_flags (block, at, q->map.iov, q->map.n, q->fua ? VM_BLOCK_FUA : 0, done, q);
  else
    vm_block_read (block, at, q->map.iov, q->map.n, done, q);
}

static void
decode (AhciQueued *q, const uint8_t *fis)
{
  q->lba = vm_load_le32 (fis + 4) & 0xffffff;
  q->lba |= (uint64_t) (vm_load_le32 (fis + 8) & 0xffffff) << 24;
  q->sectors = fis[3] || fis[11] ? fis[11] << 8 | fis[3] : 65536;
  q->write = fis[2] == CMD_WRITE_QUEUED;
  q->fua = fis[7] & 0x80;
  q->at = 0;
}

void
ahci_queue (AhciPort *port, unsigned slot, const uint8_t *header, const uint8_t *fis)
{
  VmIdeDevice *dev = ahci_port_device (port);
  AhciQueued *q = &port->queued[slot];
  uint64_t total = ide_total_sectors (dev), bytes;
  uint32_t prd = 0, prd_at = 0;

  decode (q, fis);
  q->port = port;
  q->tag = fis[12] >> 3;
  /* A tag is its slot, and marked as outstanding. */
  if (q->tag != slot || q->busy || !(port->sact & UINT32_C (1) << slot))
    {
      fail (q, VM_IDE_ABRT);
      return;
    }
  if (q->lba >= total || q->sectors > total - q->lba)
    {
      fail (q, VM_IDE_IDNF);
      return;
    }
  bytes = q->sectors * (uint64_t) VM_IDE_SECTOR;
  vm_dma_sg_reset (&q->sg);
  q->sg.as = &port->hba->parent.dma_as;
  q->sg.attrs = vm_pci_attrs (&port->hba->parent);
  q->sg.owner = port->hba;
  ahci_table (port, header, &prd, &prd_at, &q->sg, bytes);
  if (q->sg.size < bytes)
    {
      ahci_port_interrupt (port, IS_OFS);
      fail (q, VM_IDE_ABRT);
      return;
    }
  ide_touch (dev);
  q->busy = true;
  port->ci &= ~(UINT32_C (1) << slot);
  dev->status = VM_IDE_DRDY | VM_IDE_DSC;
  dev->error = 0;
  ahci_send_register (port, false);
  next (q);
}
