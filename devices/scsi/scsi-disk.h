/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disks and CD-ROM drives on a SCSI bus: between the parts. */
#pragma once

#include "block/block.h"
#include "devices/scsi/scsi.h"
#include "devices/scsi/mmc.h"

typedef struct VmScsiDisk {
  VmScsiDevice parent;
  /* properties */
  VmBlockConf conf;
  char    *vendor, *product, *serial, *version, *device_id;
  bool     removable, dpofua;
  uint16_t rotation_rate;
  uint64_t max_unmap_size, max_io_size;
  int32_t  scsi_version;
  uint32_t cyls, heads, secs, lcyls, lheads, lsecs;
  bool     quirk_apple_vendor, quirk_rom_use_dbd, quirk_apple_specific, quirk_truncated;
  /* wiring */
  bool     is_cd;
  uint32_t block_size;
  /* guest state */
  bool     write_cache_on;
  bool     stopped;      /* START STOP UNIT */
  bool     tray_locked, tray_open; /* the latter as saved; else of the drive */
  bool     event_pending;
} VmScsiDisk;

extern const VmType vm_scsi_disk_base_type;

static inline bool
scsi_disk_has_medium (const VmScsiDisk *disk)
{
  return disk->conf.drive->block && !disk->conf.drive->tray_open;
}
uint64_t scsi_disk_blocks (const VmScsiDisk *disk);
bool     scsi_disk_readonly (const VmScsiDisk *disk);
/* Whether UNMAP and its like are offered. */
bool     scsi_disk_can_unmap (const VmScsiDisk *disk);
/* Ends REQ with what STATUS, a negative errno, means; true when STATUS is 0 and nothing was done. */
bool     scsi_disk_check_status (VmScsiRequest *req, int status);

/* Commands; each ends the request. */
void scsi_disk_command (VmScsiDevice *dev, VmScsiRequest *req);
void scsi_disk_inquiry (VmScsiDisk *disk, VmScsiRequest *req);
void scsi_disk_mode_sense (VmScsiDisk *disk, VmScsiRequest *req);
void scsi_disk_mode_select (VmScsiDisk *disk, VmScsiRequest *req);
void scsi_disk_read (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks);
void scsi_disk_write (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks, bool fua);
void scsi_disk_verify (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks);
void scsi_disk_write_same (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks);
void scsi_disk_unmap (VmScsiDisk *disk, VmScsiRequest *req);
void scsi_disk_flush (VmScsiDisk *disk, VmScsiRequest *req);
/* Of CD-ROM drives only; false: no such command. */
bool scsi_cd_command (VmScsiDisk *disk, VmScsiRequest *req);
VmMmcDrive scsi_cd_state (const VmScsiDisk *disk);
