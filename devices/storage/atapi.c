/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packet commands of a CD or DVD drive (MMC-5, SPC-3; ATA8-ACS, 7.21, "PACKET"). */
#include "devices/storage/ide.h"

#include "devices/scsi/mmc.h"

#include <errno.h>

#define LEAD_IN 150 /* blocks before the first, in places by time */

enum { REASON_COMMAND = 1, REASON_TO_HOST = 2, REASON_DONE = 3 };
enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM_ERROR = 3, SENSE_ILLEGAL_REQUEST = 5,
       SENSE_UNIT_ATTENTION = 6 };
enum { ASC_INVALID_OPCODE = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24, ASC_MEDIUM_CHANGED = 0x28,
       ASC_NO_MEDIUM = 0x3a, ASC_SAVING_NOT_SUPPORTED = 0x39, ASC_REMOVAL_PREVENTED = 0x53, ASC_READ_ERROR = 0x11,
       ASC_INCOMPATIBLE_MEDIUM = 0x30 };
#define RAW_BLOCK VM_MMC_RAW_BLOCK
#define SECTORS_PER_BLOCK (VM_IDE_CD_BLOCK / VM_IDE_SECTOR)
#define BLOCKS_PER_STEP (VM_IDE_BUFFER / RAW_BLOCK)

static uint64_t
cd_blocks (const VmIdeDevice *dev)
{
  return dev->conf.drive->block && !dev->conf.drive->tray_open
             ? vm_block_size (dev->conf.drive->block) / VM_IDE_CD_BLOCK
             : 0;
}

static bool
cd_has_medium (const VmIdeDevice *dev)
{
  return dev->conf.drive->block && !dev->conf.drive->tray_open;
}

/* --- ends ------------------------------------------------------------------------------------- */

static void
cd_ok (VmIdeDevice *dev)
{
  dev->sense_key = dev->asc = dev->ascq = 0;
  dev->regs.count = REASON_DONE;
  ide_finish (dev, 0);
}

static void
cd_check_condition (VmIdeDevice *dev, uint8_t key, uint8_t asc, uint8_t ascq)
{
  dev->sense_key = key;
  dev->asc = asc;
  dev->ascq = ascq;
  dev->regs.count = REASON_DONE;
  if (dev->dma_wanted)
    ide_dma_finished (dev, false);
  ide_finish (dev, key << 4 | VM_IDE_ABRT);
}

static void
cd_invalid_field (VmIdeDevice *dev)
{
  cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

/* --- replies ---------------------------------------------------------------------------------- */

/* The next piece of what the buffer holds, of at most as many bytes as the host takes at once; then NEXT. */
static void
cd_offer (VmIdeDevice *dev, void (*next) (VmIdeDevice *dev))
{
  uint32_t len = MIN (dev->cd_left, dev->byte_limit), from = dev->chunk - dev->cd_left;

  if (len < dev->cd_left)
    len &= ~1u; /* only the last piece may be odd */
  dev->cd_left -= len;
  dev->regs.count = REASON_TO_HOST;
  dev->regs.lba_mid = (uint8_t) len;
  dev->regs.lba_high = (uint8_t) (len >> 8);
  ide_start_pio (dev, from, len, IDE_PIO_IRQ, next);
}

static void
cd_take_byte_limit (VmIdeDevice *dev)
{
  if (dev->byte_limit == 0 || dev->byte_limit == 0xffff)
    dev->byte_limit = 0xfffe;
  if (dev->byte_limit < 2)
    dev->byte_limit = 2;
}

static void
cd_reply_pio_next (VmIdeDevice *dev)
{
  if (dev->cd_left)
    cd_offer (dev, cd_reply_pio_next);
  else
    cd_ok (dev);
}

static void
cd_reply_dma (VmIdeDevice *dev)
{
  ide_dma_buffer (dev, dev->chunk);
  ide_dma_finished (dev, false);
  cd_ok (dev);
}

/* LEN bytes of the buffer, of which the host allowed ALLOWED. */
static void
cd_reply (VmIdeDevice *dev, uint32_t len, uint32_t allowed)
{
  dev->chunk = dev->cd_left = MIN (len, allowed);
  if (!dev->chunk)
    cd_ok (dev);
  else if (dev->regs.feature & 1)
    ide_start_dma (dev, true, cd_reply_dma);
  else
    {
      cd_take_byte_limit (dev);
      cd_reply_pio_next (dev);
    }
}

/* --- reading blocks --------------------------------------------------------------------------- */

static void cd_read_next (VmIdeDevice *dev);

static void
cd_read_pio_next (VmIdeDevice *dev)
{
  if (dev->cd_left)
    cd_offer (dev, cd_read_pio_next);
  else
    cd_read_next (dev);
}

static void
cd_read_done (void *opaque, int status)
{
  VmIdeDevice *dev = opaque;
  unsigned n = dev->iov.iov_len / VM_IDE_CD_BLOCK;

  dev->busy_io = false;
  if (status)
    {
      cd_check_condition (dev, SENSE_MEDIUM_ERROR, ASC_READ_ERROR, 0);
      return;
    }
  if (dev->cd_block == RAW_BLOCK)
    for (unsigned i = n; i-- > 0;) /* in place: the last one moves first */
      vm_mmc_make_raw (dev->buffer + i * RAW_BLOCK, dev->buffer + i * VM_IDE_CD_BLOCK, (uint32_t) dev->lba + i);
  dev->chunk = dev->cd_left = n * dev->cd_block;
  dev->lba += n;
  dev->sectors -= n;
  if (!dev->dma_wanted)
    {
      cd_read_pio_next (dev);
      return;
    }
  if (ide_dma_buffer (dev, dev->chunk) < dev->chunk)
    dev->sectors = 0; /* the host wanted no more */
  dev->cd_left = 0;
  cd_read_next (dev);
}

static void
cd_read_next (VmIdeDevice *dev)
{
  unsigned n = MIN (dev->sectors, BLOCKS_PER_STEP);

  if (!n)
    {
      if (dev->dma_wanted)
        ide_dma_finished (dev, false);
      cd_ok (dev);
      return;
    }
  if (!cd_has_medium (dev))
    {
      cd_check_condition (dev, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
      return;
    }
  dev->iov = (struct iovec) { dev->buffer, n * VM_IDE_CD_BLOCK };
  dev->busy_io = true;
  dev->status = VM_IDE_BSY | VM_IDE_DRDY | VM_IDE_DSC;
  vm_block_read (dev->conf.drive->block, dev->lba * VM_IDE_CD_BLOCK, &dev->iov, 1, cd_read_done, dev);
}

/* A host whose table is shorter wanted no more. */
void
atapi_dma_ended (VmIdeDevice *dev, int status)
{
  if (status < 0)
    cd_check_condition (dev, status == -ENOMEDIUM ? SENSE_NOT_READY : SENSE_MEDIUM_ERROR,
                        status == -ENOMEDIUM ? ASC_NO_MEDIUM : ASC_READ_ERROR, 0);
  else
    {
      ide_dma_finished (dev, false);
      cd_ok (dev);
    }
}

static void
cd_read (VmIdeDevice *dev, uint64_t lba, uint32_t blocks, uint32_t block_size)
{
  if (lba > cd_blocks (dev) || blocks > cd_blocks (dev) - lba)
    {
      cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
      return;
    }
  if (!blocks)
    {
      cd_ok (dev);
      return;
    }
  dev->lba = lba;
  dev->sectors = blocks;
  dev->cd_block = block_size;
  cd_take_byte_limit (dev);
  if ((dev->regs.feature & 1) && block_size == VM_IDE_CD_BLOCK)
    {
      dev->lba = lba * SECTORS_PER_BLOCK;
      dev->sectors = blocks * SECTORS_PER_BLOCK;
      ide_transfer_dma (dev, true, atapi_dma_ended);
    }
  else if (dev->regs.feature & 1)
    ide_start_dma (dev, true, cd_read_next);
  else
    cd_read_next (dev);
}

/* --- commands --------------------------------------------------------------------------------- */

/* Identification: maker, model and serial number as text, and the world wide name. */
static uint32_t
cd_put_identification (const VmIdeDevice *dev, uint8_t *b)
{
  uint8_t *p = b + 4;

  memset (b, 0, 4 + 4 + 68 + 12);
  b[0] = 5;
  b[1] = 0x83;
  p[0] = 2; /* ASCII */
  p[1] = 1; /* that of a vendor of T10 */
  p[3] = 68;
  memset (p + 4, ' ', 68);
  memcpy (p + 4, "ATA", 3);
  memcpy (p + 12, dev->model, MIN (strlen (dev->model), 40));
  memcpy (p + 52, dev->serial, MIN (strlen (dev->serial), 20));
  p += 4 + 68;
  if (dev->wwn)
    {
      p[0] = 1; /* binary */
      p[1] = 3; /* NAA */
      p[3] = 8;
      vm_store_be64 (p + 4, dev->wwn);
      p += 12;
    }
  b[3] = (uint8_t) (p - b - 4);
  return (uint32_t) (p - b);
}

static void
cd_inquiry (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;
  uint32_t allowed = vm_load_be16 (dev->packet + 3);

  if (dev->packet[1] & 1)
    {
      static const uint8_t pages[] = { 5, 0, 0, 2, 0x00, 0x83 };

      memcpy (b, pages, sizeof pages);
      if (dev->packet[2] == 0)
        cd_reply (dev, sizeof pages, allowed);
      else if (dev->packet[2] == 0x83)
        cd_reply (dev, cd_put_identification (dev, b), allowed);
      else
        cd_invalid_field (dev);
      return;
    }
  if (dev->packet[2])
    {
      cd_invalid_field (dev);
      return;
    }
  memset (b, 0, 36);
  b[0] = 5;    /* CD/DVD */
  b[1] = 0x80; /* removable */
  b[2] = 5;    /* SPC-3 */
  b[3] = 0x21; /* ATAPI, response format */
  b[4] = 31;
  memset (b + 8, ' ', 28);
  memcpy (b + 8, "VITRINE", 7);
  memcpy (b + 16, "DVD-ROM", 7);
  memcpy (b + 32, dev->version, MIN (strlen (dev->version), 4));
  cd_reply (dev, 36, allowed);
}

static void
cd_request_sense (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  memset (b, 0, 18);
  b[0] = 0x70;
  b[2] = dev->sense_key;
  b[7] = 10;
  b[12] = dev->asc;
  b[13] = dev->ascq;
  cd_reply (dev, 18, dev->packet[4]);
}

static void
cd_start_stop (VmIdeDevice *dev)
{
  bool start = dev->packet[4] & 1, eject = dev->packet[4] & 2;
  VmDrive *drive = dev->conf.drive;

  if (eject && !(dev->packet[4] >> 4)) /* no power condition */
    {
      if (!start && !drive->tray_open && dev->tray_locked)
        {
          cd_check_condition (dev, drive->block ? SENSE_ILLEGAL_REQUEST : SENSE_NOT_READY, ASC_REMOVAL_PREVENTED, 2);
          return;
        }
      if (drive->tray_open == start)
        {
          dev->medium_changed = start && drive->block;
          dev->event_pending = true;
        }
      vm_mmc_move_tray (&dev->parent, drive, !start);
    }
  cd_ok (dev);
}

static void
cd_mode_sense (VmIdeDevice *dev, const VmMmcDrive *drive)
{
  uint8_t *b = dev->buffer, *p = b + 8;
  unsigned page = dev->packet[2] & 0x3f;
  bool changeable = dev->packet[2] >> 6 == 1;

  memset (b, 0, 64);
  if (dev->packet[2] >> 6 == 3)
    {
      cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED, 0);
      return;
    }
  if (page == 0x01 || page == 0x3f) /* error recovery */
    {
      p[0] = 0x01;
      p[1] = 6;
      p[3] = changeable ? 0 : 5;
      p += 8;
    }
  if (page == 0x0e || page == 0x3f) /* audio control */
    {
      p[0] = 0x0e;
      p[1] = 14;
      p += 16;
    }
  if (page == 0x2a || page == 0x3f)
    {
      uint32_t n = vm_mmc_capabilities_page (drive, p);

      if (changeable)
        memset (p + 2, 0, n - 2);
      p += n;
    }
  if (p == b + 8)
    {
      cd_invalid_field (dev);
      return;
    }
  vm_store_be16 (b, p - b - 2);
  b[2] = drive->tray_open ? 0x71 : !drive->medium ? 0x70 : vm_mmc_is_dvd (drive) ? 0x41 : 0x01;
  cd_reply (dev, (uint32_t) (p - b), vm_load_be16 (dev->packet + 7));
}

static void
cd_read_capacity (VmIdeDevice *dev)
{
  vm_store_be32 (dev->buffer, cd_blocks (dev) ? (uint32_t) cd_blocks (dev) - 1 : 0);
  vm_store_be32 (dev->buffer + 4, VM_IDE_CD_BLOCK);
  cd_reply (dev, 8, 8);
}

static void
cd_read_cd (VmIdeDevice *dev, uint64_t lba, uint32_t blocks)
{
  int size = vm_mmc_read_cd_size (dev->packet);

  if (size > 0)
    cd_read (dev, lba, blocks, (uint32_t) size);
  else if (size == 0)
    cd_ok (dev);
  else
    cd_invalid_field (dev);
}

/* READ CD with places in minutes, seconds and frames. */
static void
cd_read_cd_msf (VmIdeDevice *dev)
{
  const uint8_t *p = dev->packet;
  uint32_t first = (p[3] * 60u + p[4]) * 75 + p[5], end = (p[6] * 60u + p[7]) * 75 + p[8];

  if (first < LEAD_IN || end < first)
    cd_invalid_field (dev);
  else
    cd_read_cd (dev, first - LEAD_IN, end - first);
}

static void
cd_seek (VmIdeDevice *dev)
{
  if (vm_load_be32 (dev->packet + 2) >= cd_blocks (dev))
    cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
  else
    cd_ok (dev);
}

/* READ SUB-CHANNEL: nothing is played. */
static void
cd_read_subchannel (VmIdeDevice *dev)
{
  memset (dev->buffer, 0, 4);
  dev->buffer[1] = 0x15;
  cd_reply (dev, 4, vm_load_be16 (dev->packet + 7));
}

/* INQUIRY, REQUEST SENSE, GET CONFIGURATION and GET EVENT STATUS work whatever is in the tray. */
static bool
cd_ready (VmIdeDevice *dev)
{
  static const uint8_t always[] = { 0x03, 0x12, 0x46, 0x4a }, without_medium[] = { 0x1b, 0x1e, 0x5a, 0xbd, 0xbb };
  uint8_t command = dev->packet[0];

  if (memchr (always, command, sizeof always))
    return true;
  if (dev->medium_changed)
    {
      dev->medium_changed = false;
      cd_check_condition (dev, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
      return false;
    }
  if (!cd_has_medium (dev) && !memchr (without_medium, command, sizeof without_medium))
    {
      cd_check_condition (dev, SENSE_NOT_READY, ASC_NO_MEDIUM, dev->conf.drive->tray_open ? 2 : 1);
      return false;
    }
  return true;
}

/* Those whose answer depends on the medium only; LENGTH_AT: where the command block has the host's limit. */
static void
cd_answer (VmIdeDevice *dev, VmMmcDrive *drive, unsigned length_at)
{
  uint32_t len = 0;

  switch (dev->packet[0])
    {
    case 0x43:
      len = vm_mmc_read_toc (drive, dev->packet, dev->buffer);
      break;
    case 0x46:
      len = vm_mmc_get_configuration (drive, dev->packet, dev->buffer);
      break;
    case 0x4a:
      len = vm_mmc_get_event_status (drive, dev->packet, dev->buffer);
      dev->event_pending = drive->event_pending;
      break;
    case 0x51:
      len = vm_mmc_read_disc_information (drive, dev->packet, dev->buffer);
      break;
    case 0xad:
      len = vm_mmc_read_disc_structure (drive, dev->packet, dev->buffer);
      break;
    case 0xbd:
      len = vm_mmc_mechanism_status (drive, dev->packet, dev->buffer);
      break;
    }
  if (len)
    cd_reply (dev, len, vm_load_be16 (dev->packet + length_at));
  else
    cd_invalid_field (dev);
}

void
atapi_packet (VmIdeDevice *dev)
{
  const uint8_t *p = dev->packet;
  VmMmcDrive drive = { .blocks = cd_blocks (dev),
                       .medium = cd_has_medium (dev),
                       .tray_open = dev->conf.drive->tray_open,
                       .locked = dev->tray_locked,
                       .event_pending = dev->event_pending };

  memcpy (dev->packet, dev->buffer, sizeof dev->packet);
  if (!cd_ready (dev))
    return;
  switch (p[0])
    {
    case 0x00: /* TEST UNIT READY */
    case 0x35: /* SYNCHRONIZE CACHE */
    case 0xbb: /* SET CD SPEED */
      cd_ok (dev);
      break;
    case 0x03:
      cd_request_sense (dev);
      break;
    case 0x12:
      cd_inquiry (dev);
      break;
    case 0x1b:
      cd_start_stop (dev);
      break;
    case 0x1e: /* PREVENT ALLOW MEDIUM REMOVAL */
      dev->tray_locked = dev->conf.drive->locked = p[4] & 1;
      cd_ok (dev);
      break;
    case 0x25:
      cd_read_capacity (dev);
      break;
    case 0x28:
      cd_read (dev, vm_load_be32 (p + 2), vm_load_be16 (p + 7), VM_IDE_CD_BLOCK);
      break;
    case 0x2b:
      cd_seek (dev);
      break;
    case 0x42:
      cd_read_subchannel (dev);
      break;
    case 0x43: /* READ TOC/PMA/ATIP */
    case 0x46: /* GET CONFIGURATION */
    case 0x4a: /* GET EVENT STATUS NOTIFICATION */
    case 0x51: /* READ DISC INFORMATION */
      cd_answer (dev, &drive, 7);
      break;
    case 0x5a:
      cd_mode_sense (dev, &drive);
      break;
    case 0xa8:
      cd_read (dev, vm_load_be32 (p + 2), vm_load_be32 (p + 6), VM_IDE_CD_BLOCK);
      break;
    case 0xad: /* READ DISC STRUCTURE */
      if (vm_mmc_is_dvd (&drive))
        cd_answer (dev, &drive, 8);
      else
        cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM, 2);
      break;
    case 0xb9:
      cd_read_cd_msf (dev);
      break;
    case 0xbd: /* MECHANISM STATUS */
      cd_answer (dev, &drive, 8);
      break;
    case 0xbe:
      cd_read_cd (dev, vm_load_be32 (p + 2), p[6] << 16 | p[7] << 8 | p[8]);
      break;
    default:
      cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE, 0);
      break;
    }
}

void
atapi_reset (VmIdeDevice *dev)
{
  dev->sense_key = dev->asc = dev->ascq = 0;
  dev->tray_locked = dev->conf.drive->locked = false;
  dev->medium_changed = dev->event_pending = false;
}

/* The medium was changed from outside: the guest is told at its next command. */
void
atapi_medium_changed (void *opaque)
{
  VmIdeDevice *dev = opaque;

  dev->medium_changed = dev->conf.drive->block != NULL;
  dev->event_pending = true;
}

/* --- saving ----------------------------------------------------------------------------------- */

const VmIdeStep atapi_steps[] = { atapi_packet, cd_reply_pio_next, cd_read_pio_next, cd_reply_dma, cd_read_next, NULL };
