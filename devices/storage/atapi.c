/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packet commands of a CD or DVD drive (MMC-5, SPC-3; ATA/ATAPI-7, "PACKET"). */
#include "devices/storage/ide.h"

#include <errno.h>

enum { REASON_COMMAND = 1, REASON_TO_HOST = 2, REASON_DONE = 3 };
enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM_ERROR = 3, SENSE_ILLEGAL_REQUEST = 5, SENSE_UNIT_ATTENTION = 6 };
enum { ASC_INVALID_OPCODE = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24, ASC_MEDIUM_CHANGED = 0x28,
       ASC_NO_MEDIUM = 0x3a, ASC_SAVING_NOT_SUPPORTED = 0x39, ASC_REMOVAL_PREVENTED = 0x53, ASC_READ_ERROR = 0x11,
       ASC_INCOMPATIBLE_MEDIUM = 0x30 };
#define RAW_BLOCK 2352u
#define SECTORS_PER_BLOCK (VM_IDE_CD_BLOCK / VM_IDE_SECTOR)
#define BLOCKS_PER_STEP (VM_IDE_BUFFER / RAW_BLOCK)
/* More blocks than the largest CD has: it is a DVD. */
#define CD_MAX_BLOCKS (80 * 60 * 75)

static uint64_t
cd_blocks (const VmIdeDevice *dev)
{
  return dev->conf.drive->block && !dev->conf.drive->tray_open ? vm_block_size (dev->conf.drive->block) / VM_IDE_CD_BLOCK : 0;
}

static bool
cd_has_medium (const VmIdeDevice *dev)
{
  return dev->conf.drive->block && !dev->conf.drive->tray_open;
}

/* --- ends ------------------------------------------------------------------------------------------ */

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

/* --- replies ------------------------------------------------------------------------------------------- */

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

/* --- reading blocks ------------------------------------------------------------------------------------- */

static void cd_read_next (VmIdeDevice *dev);

/* The user data of N blocks becomes raw blocks in place: sync, header, data, no error correction bytes. */
static void
cd_make_raw (VmIdeDevice *dev, unsigned n)
{
  for (unsigned i = n; i-- > 0;)
    {
      uint8_t *raw = dev->buffer + i * RAW_BLOCK;
      uint32_t msf = dev->lba + i + 150;

      memmove (raw + 16, dev->buffer + i * VM_IDE_CD_BLOCK, VM_IDE_CD_BLOCK);
      memset (raw, 0xff, 12);
      raw[0] = raw[11] = 0;
      raw[12] = msf / 75 / 60 % 10 | msf / 75 / 60 / 10 << 4;
      raw[13] = msf / 75 % 60 % 10 | msf / 75 % 60 / 10 << 4;
      raw[14] = msf % 75 % 10 | msf % 75 / 10 << 4;
      raw[15] = 1; /* mode 1 */
      memset (raw + 16 + VM_IDE_CD_BLOCK, 0, RAW_BLOCK - 16 - VM_IDE_CD_BLOCK);
    }
}

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
    cd_make_raw (dev, n);
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
static void
cd_dma_ended (VmIdeDevice *dev, int status)
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
      ide_transfer_dma (dev, true, cd_dma_ended);
    }
  else if (dev->regs.feature & 1)
    ide_start_dma (dev, true, cd_read_next);
  else
    cd_read_next (dev);
}

/* --- commands --------------------------------------------------------------------------------------------- */

static void
cd_inquiry (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  if (dev->packet[1] & 1)
    {
      cd_invalid_field (dev); /* no vital product data */
      return;
    }
  memset (b, 0, 36);
  b[0] = 5;    /* CD/DVD */
  b[1] = 0x80; /* removable */
  b[3] = 0x21; /* ATAPI, response format */
  b[4] = 31;
  memset (b + 8, ' ', 28);
  memcpy (b + 8, "VITRINE", 7);
  memcpy (b + 16, "DVD-ROM", 7);
  memcpy (b + 32, dev->version, MIN (strlen (dev->version), 4));
  cd_reply (dev, 36, vm_load_be16 (dev->packet + 3));
}

static void
cd_request_sense (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  memset (b, 0, 18);
  b[0] = 0xf0;
  b[2] = dev->sense_key;
  b[7] = 10;
  b[12] = dev->asc;
  b[13] = dev->ascq;
  if (dev->sense_key == SENSE_UNIT_ATTENTION)
    dev->sense_key = SENSE_NONE;
  cd_reply (dev, 18, dev->packet[4]);
}

static void
cd_start_stop (VmIdeDevice *dev)
{
  bool start = dev->packet[4] & 1, eject = dev->packet[4] & 2;

  if (eject)
    {
      if (!start && !dev->conf.drive->tray_open && dev->tray_locked)
        {
          cd_check_condition (dev, dev->conf.drive->block ? SENSE_ILLEGAL_REQUEST : SENSE_NOT_READY,
                              ASC_REMOVAL_PREVENTED, 2);
          return;
        }
      if (dev->conf.drive->tray_open == start)
        dev->medium_changed = start && dev->conf.drive->block;
      dev->conf.drive->tray_open = !start;
    }
  cd_ok (dev);
}

static void
cd_put_msf (uint8_t *b, uint32_t lba, bool msf)
{
  lba += msf ? 150 : 0;
  if (msf)
    {
      b[0] = 0;
      b[1] = lba / 75 / 60;
      b[2] = lba / 75 % 60;
      b[3] = lba % 75;
    }
  else
    vm_store_be32 (b, lba);
}

/* One session with one data track. */
static void
cd_read_toc (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer, *p = b + 4;
  bool msf = dev->packet[1] & 2;
  unsigned format = dev->packet[9] >> 6 ? dev->packet[9] >> 6 : dev->packet[2] & 15;
  unsigned track = dev->packet[6];
  uint32_t blocks = cd_blocks (dev);

  memset (b, 0, 64);
  switch (format)
    {
    case 0:
      if (track > 1 && track != 0xaa)
        {
          cd_invalid_field (dev);
          return;
        }
      b[2] = b[3] = 1;
      if (track <= 1)
        {
          p[1] = 0x14;
          p[2] = 1;
          cd_put_msf (p + 4, 0, msf);
          p += 8;
        }
      p[1] = 0x16;
      p[2] = 0xaa;
      cd_put_msf (p + 4, blocks, msf);
      p += 8;
      break;
    case 1:
      b[2] = b[3] = 1;
      p += 8;
      break;
    case 2:
      {
        static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };

        b[2] = b[3] = 1;
        for (unsigned i = 0; i < G_N_ELEMENTS (points); i++, p += 11)
          {
            p[0] = 1;
            p[1] = 0x14;
            p[3] = points[i];
            if (points[i] == 0xa0 || points[i] == 0xa1)
              p[8] = 1;
            else
              {
                uint8_t place[4];

                cd_put_msf (place, points[i] == 0xa2 ? blocks : 0, true);
                memcpy (p + 8, place + 1, 3);
              }
          }
        break;
      }
    default:
      cd_invalid_field (dev);
      return;
    }
  vm_store_be16 (b, p - b - 2);
  cd_reply (dev, p - b, vm_load_be16 (dev->packet + 7));
}

static uint8_t *
cd_put_feature (uint8_t *p, uint16_t code, uint8_t flags, const uint8_t *data, uint8_t n)
{
  vm_store_be16 (p, code);
  p[2] = flags;
  p[3] = n;
  memcpy (p + 4, data, n);
  return p + 4 + n;
}

static void
cd_get_configuration (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer, *p = b + 8;
  bool dvd = cd_blocks (dev) > CD_MAX_BLOCKS, cd = cd_has_medium (dev) && !dvd;
  uint8_t profiles[8] = { 0, 0x10, dvd, 0, 0, 0x08, cd, 0 };
  static const uint8_t core[8] = { 0, 0, 0, 2, 0, 0, 0, 0 }, removable[4] = { 0x29, 0, 0, 0 };

  if (dev->packet[1] & 2 && vm_load_be16 (dev->packet + 2) > 3)
    {
      cd_invalid_field (dev);
      return;
    }
  memset (b, 0, 64);
  vm_store_be16 (b + 6, dvd ? 0x10 : cd ? 0x08 : 0);
  p = cd_put_feature (p, 0, 0x03, profiles, sizeof profiles);
  p = cd_put_feature (p, 1, 0x0b, core, sizeof core);
  p = cd_put_feature (p, 3, 0x03, removable, sizeof removable);
  vm_store_be32 (b, p - b - 4);
  cd_reply (dev, p - b, vm_load_be16 (dev->packet + 7));
}

static void
cd_get_event_status (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  if (!(dev->packet[1] & 1))
    {
      cd_invalid_field (dev); /* only polled operation */
      return;
    }
  memset (b, 0, 8);
  b[3] = 1 << 4; /* classes: media */
  if (!(dev->packet[4] & 1 << 4))
    {
      vm_store_be16 (b, 2);
      b[2] = 0x80; /* no event available */
      cd_reply (dev, 4, vm_load_be16 (dev->packet + 7));
      return;
    }
  vm_store_be16 (b, 6);
  b[2] = 4;
  b[4] = dev->event_pending ? (cd_has_medium (dev) ? 2 : 3) : 0; /* new medium, removed */
  b[5] = (dev->conf.drive->tray_open ? 1 : 0) | (cd_has_medium (dev) ? 2 : 0);
  dev->event_pending = false;
  cd_reply (dev, 8, vm_load_be16 (dev->packet + 7));
}

static void
cd_mode_sense (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer, *p = b + 8;
  unsigned page = dev->packet[2] & 0x3f;
  uint32_t allowed = vm_load_be16 (dev->packet + 7);

  memset (b, 0, 64);
  if (dev->packet[2] >> 6 == 3)
    {
      cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED, 0);
      return;
    }
  switch (page)
    {
    case 0x01: /* error recovery */
      p[0] = 0x01;
      p[1] = 6;
      p[3] = 5;
      p += 8;
      break;
    case 0x0e: /* audio control */
      p[0] = 0x0e;
      p[1] = 14;
      p += 16;
      break;
    case 0x2a: /* capabilities */
      p[0] = 0x2a;
      p[1] = 20;
      p[2] = 0x3b; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
      p[4] = 0x70;
      p[6] = 0x2d | (dev->tray_locked ? 2 : 0); /* tray loader, ejects, can lock */
      vm_store_be16 (p + 8, 706);
      vm_store_be16 (p + 10, 2);
      vm_store_be16 (p + 12, 512);
      vm_store_be16 (p + 14, 706);
      p += 22;
      break;
    default:
      cd_invalid_field (dev);
      return;
    }
  vm_store_be16 (b, p - b - 2);
  b[2] = dev->conf.drive->tray_open ? 0x71 : dev->conf.drive->block ? 0x01 : 0x70;
  cd_reply (dev, p - b, allowed);
}

static void
cd_read_capacity (VmIdeDevice *dev)
{
  vm_store_be32 (dev->buffer, cd_blocks (dev) ? cd_blocks (dev) - 1 : 0);
  vm_store_be32 (dev->buffer + 4, VM_IDE_CD_BLOCK);
  cd_reply (dev, 8, 8);
}

static void
cd_read_disc_information (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;

  memset (b, 0, 34);
  vm_store_be16 (b, 32);
  b[2] = 0x0e; /* last session complete, disc finalised */
  b[3] = b[4] = b[5] = b[6] = 1;
  b[7] = 0x20;
  cd_reply (dev, 34, vm_load_be16 (dev->packet + 7));
}

static void
cd_read_dvd_structure (VmIdeDevice *dev)
{
  uint8_t *b = dev->buffer;
  uint32_t blocks = cd_blocks (dev);

  if (blocks <= CD_MAX_BLOCKS)
    {
      cd_check_condition (dev, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM, 2);
      return;
    }
  if (dev->packet[6] || dev->packet[7])
    {
      cd_invalid_field (dev); /* one layer, physical format only */
      return;
    }
  memset (b, 0, 2052);
  vm_store_be16 (b, 2050);
  b[4] = 1;    /* DVD-ROM, part version 1 */
  b[5] = 0x0f; /* 120 mm, no maximum rate */
  b[6] = 1;    /* one layer */
  vm_store_be32 (b + 8, 0x30000);
  vm_store_be32 (b + 12, 0x30000 + blocks - 1);
  cd_reply (dev, 2052, vm_load_be16 (dev->packet + 8));
}

static void
cd_read_cd (VmIdeDevice *dev)
{
  const uint8_t *p = dev->packet;
  uint32_t blocks = p[6] << 16 | p[7] << 8 | p[8];

  switch (p[9] & 0xf8)
    {
    case 0x00:
      cd_ok (dev);
      break;
    case 0x10:
      cd_read (dev, vm_load_be32 (p + 2), blocks, VM_IDE_CD_BLOCK);
      break;
    case 0xf8:
      cd_read (dev, vm_load_be32 (p + 2), blocks, RAW_BLOCK);
      break;
    default:
      cd_invalid_field (dev);
      break;
    }
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

void
atapi_packet (VmIdeDevice *dev)
{
  const uint8_t *p = dev->packet;

  memcpy (dev->packet, dev->buffer, sizeof dev->packet);
  if (!cd_ready (dev))
    return;
  switch (p[0])
    {
    case 0x00: /* TEST UNIT READY */
    case 0x2b: /* SEEK (10) */
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
    case 0xa8:
      cd_read (dev, vm_load_be32 (p + 2), vm_load_be32 (p + 6), VM_IDE_CD_BLOCK);
      break;
    case 0xbe:
      cd_read_cd (dev);
      break;
    case 0x43:
      cd_read_toc (dev);
      break;
    case 0x46:
      cd_get_configuration (dev);
      break;
    case 0x4a:
      cd_get_event_status (dev);
      break;
    case 0x51:
      cd_read_disc_information (dev);
      break;
    case 0x5a:
      cd_mode_sense (dev);
      break;
    case 0xad:
      cd_read_dvd_structure (dev);
      break;
    case 0xbd: /* MECHANISM STATUS */
      memset (dev->buffer, 0, 8);
      dev->buffer[5] = 1;
      cd_reply (dev, 8, vm_load_be16 (p + 8));
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
