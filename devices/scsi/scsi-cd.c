/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of CD-ROM drives on a SCSI bus (MMC-5, chapter 6). */
#include "devices/scsi/scsi-disk.h"

enum { AUX_LBA, AUX_BLOCKS, AUX_AT };
#define RAW_STEP 32u /* blocks read at a time that become raw ones */

VmMmcDrive
scsi_cd_state (const VmScsiDisk *disk)
{
  return (VmMmcDrive){
    .blocks = scsi_disk_blocks (disk),
    .medium = scsi_disk_has_medium (disk),
    .tray_open = disk->conf.drive->tray_open,
    .locked = disk->tray_locked,
    .event_pending = disk->event_pending,
  };
}

/* --- READ CD --------------------------------------------------------------------------------------- */

static void raw_next (VmScsiRequest *req);

/* The user data of the step lies at the start of the buffer; the last block moves first. */
static void
raw_done (void *opaque, int status)
{
  VmScsiRequest *req = opaque;
  uint32_t n = req->step;

  if (!vm_scsi_request_resume (req) || !scsi_disk_check_status (req, status))
    return;
  for (uint32_t i = n; i-- > 0;)
    vm_mmc_make_raw (req->buffer + i * VM_MMC_RAW_BLOCK, req->buffer + i * VM_MMC_BLOCK, req->aux[AUX_LBA] + i);
  req->aux[AUX_LBA] += n;
  req->aux[AUX_BLOCKS] -= n;
  req->buffer_len = n * VM_MMC_RAW_BLOCK;
  req->buffer_at = 0;
  raw_next (req);
}

static void
raw_next (VmScsiRequest *req)
{
  VmBlock *block = ((VmScsiDisk *) req->dev)->conf.drive->block;

  while (req->buffer_at < req->buffer_len)
    {
      struct iovec iov;
      unsigned n = 1;
      uint64_t len = vm_scsi_request_window (req, req->buffer_len - req->buffer_at, &iov, &n);

      if (!len)
        {
          vm_scsi_request_want (req, raw_next);
          return;
        }
      memcpy (iov.iov_base, req->buffer + req->buffer_at, len);
      req->buffer_at += len;
      vm_scsi_request_advance (req, len);
    }
  if (!req->aux[AUX_BLOCKS])
    vm_scsi_request_good (req);
  else if (!block)
    vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
  else
    {
      req->step = MIN (req->aux[AUX_BLOCKS], RAW_STEP);
      vm_scsi_request_hold (req);
      vm_block_read (block, req->aux[AUX_LBA] * VM_MMC_BLOCK,
                     &(struct iovec){ req->buffer, req->step * VM_MMC_BLOCK }, 1, raw_done, req);
    }
}

static void
read_cd (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint64_t lba = vm_load_be32 (req->cdb + 2), all = scsi_disk_blocks (disk);
  uint32_t blocks = (uint32_t) req->cdb[6] << 16 | req->cdb[7] << 8 | req->cdb[8];

  switch (vm_mmc_read_cd_size (req->cdb))
    {
    case 0:
      vm_scsi_request_good (req);
      break;
    case VM_MMC_BLOCK:
      scsi_disk_read (disk, req, lba, blocks);
      break;
    case VM_MMC_RAW_BLOCK:
      if (lba > all || blocks > all - lba)
        {
          vm_scsi_request_check (req, VM_SCSI_SENSE_LBA_RANGE);
          break;
        }
      vm_scsi_request_buffer (req, RAW_STEP * VM_MMC_RAW_BLOCK);
      req->buffer_len = 0;
      req->aux[AUX_LBA] = lba;
      req->aux[AUX_BLOCKS] = blocks;
      raw_next (req);
      break;
    default:
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      break;
    }
}

/* --- replies --------------------------------------------------------------------------------------- */

static uint32_t
put_reply (VmScsiDisk *disk, const uint8_t *cdb, uint8_t *b)
{
  VmMmcDrive drive = scsi_cd_state (disk);
  uint32_t len;

  switch (cdb[0])
    {
    case 0x43:
      return vm_mmc_read_toc (&drive, cdb, b);
    case 0x46:
      return vm_mmc_get_configuration (&drive, cdb, b);
    case 0x4a:
      len = vm_mmc_get_event_status (&drive, cdb, b);
      disk->event_pending = drive.event_pending;
      return len;
    case 0x51:
      return vm_mmc_read_disc_information (&drive, cdb, b);
    case 0xad:
      return vm_mmc_read_disc_structure (&drive, cdb, b);
    default:
      return vm_mmc_mechanism_status (&drive, cdb, b);
    }
}

bool
scsi_cd_command (VmScsiDisk *disk, VmScsiRequest *req)
{
  VmMmcDrive drive = scsi_cd_state (disk);
  uint32_t len;
  uint8_t *b;

  switch (req->cdb[0])
    {
    case 0x43: /* READ TOC/PMA/ATIP */
    case 0x46: /* GET CONFIGURATION */
    case 0x4a: /* GET EVENT STATUS NOTIFICATION */
    case 0x51: /* READ DISC INFORMATION */
    case 0xad: /* READ DISC STRUCTURE */
    case 0xbd: /* MECHANISM STATUS */
      if (req->cdb[0] == 0xad && !vm_mmc_is_dvd (&drive))
        {
          vm_scsi_request_check (req, VM_SCSI_SENSE_INCOMPATIBLE);
          return true;
        }
      b = vm_scsi_request_buffer (req, VM_MMC_REPLY_MAX);
      len = put_reply (disk, req->cdb, b);
      if (len)
        vm_scsi_request_reply (req, len);
      else
        vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      return true;
    case 0xbb: /* SET CD SPEED */
    case 0xb6: /* SET STREAMING */
      vm_scsi_request_good (req);
      return true;
    case 0xbe:
      read_cd (disk, req);
      return true;
    default:
      return false;
    }
}
