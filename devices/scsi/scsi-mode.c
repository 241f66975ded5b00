/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MODE SENSE and MODE SELECT of disks and CD-ROM drives (SPC-4, 6.11 to 6.14, 7.5; SBC-3, 6.5; MMC-5, 7). */
#include "devices/scsi/scsi-disk.h"

enum { PAGE_VENDOR = 0x00, PAGE_RECOVERY = 0x01, PAGE_GEOMETRY = 0x04, PAGE_FLEXIBLE = 0x05, PAGE_CACHING = 0x08,
       PAGE_CONTROL = 0x0a, PAGE_AUDIO = 0x0e, PAGE_CAPABILITIES = 0x2a, PAGE_APPLE = 0x30, PAGE_ALL = 0x3f };
enum { CONTROL_CURRENT, CONTROL_CHANGEABLE, CONTROL_DEFAULT, CONTROL_SAVED };
#define WCE     (1 << 2)
#define D_SENSE (1 << 2)
#define PAGES_MAX 512

static const uint8_t disk_pages[] = { PAGE_RECOVERY, PAGE_GEOMETRY, PAGE_FLEXIBLE, PAGE_CACHING, PAGE_CONTROL };
static const uint8_t cd_pages[] = { PAGE_RECOVERY, PAGE_CACHING, PAGE_CONTROL, PAGE_AUDIO, PAGE_CAPABILITIES };

/* --- pages ----------------------------------------------------------------------------------------- */

static uint32_t
page_geometry (const VmScsiDisk *disk, uint8_t *p)
{
  p[1] = 22;
  p[2] = disk->lcyls >> 16;
  p[3] = disk->lcyls >> 8;
  p[4] = disk->lcyls;
  p[5] = disk->lheads;
  memcpy (p + 6, p + 2, 3);  /* no precompensation, */
  memcpy (p + 9, p + 2, 3);  /* no reduced current */
  vm_store_be16 (p + 12, 200); /* step rate in 100 ns */
  p[14] = p[15] = p[16] = 0xff; /* landing zone */
  vm_store_be16 (p + 20, 5400);
  return 24;
}

static uint32_t
page_flexible (const VmScsiDisk *disk, uint8_t *p)
{
  p[1] = 30;
  vm_store_be16 (p + 2, 5000); /* kbit/s */
  p[4] = disk->lheads;
  p[5] = disk->lsecs;
  vm_store_be16 (p + 6, disk->block_size);
  vm_store_be16 (p + 8, MIN (disk->lcyls, UINT16_MAX));
  vm_store_be16 (p + 10, MIN (disk->lcyls, UINT16_MAX));
  vm_store_be16 (p + 12, MIN (disk->lcyls, UINT16_MAX));
  vm_store_be16 (p + 14, 1);
  p[16] = 1;
  p[17] = 1;
  p[19] = 1;
  vm_store_be16 (p + 28, 5400);
  return 32;
}

/* As MODE SENSE shows it with zeros in what cannot be changed when CONTROL says so; 0: no such page. */
static uint32_t
put_page (const VmScsiDisk *disk, uint8_t page, unsigned control, uint8_t *p)
{
  bool mask = control == CONTROL_CHANGEABLE;
  uint32_t len;

  switch (page)
    {
    case PAGE_RECOVERY:
      p[1] = disk->is_cd ? 6 : 10;
      p[2] = disk->is_cd ? 0 : 0x80;        /* automatic write reallocation */
      p[3] = disk->is_cd ? 5 : 0;
      break;
    case PAGE_GEOMETRY:
      page_geometry (disk, p);
      break;
    case PAGE_FLEXIBLE:
      page_flexible (disk, p);
      break;
    case PAGE_CACHING:
      p[1] = 18;
      if (mask || control == CONTROL_DEFAULT ? !disk->is_cd : disk->write_cache_on)
        p[2] = WCE;
      break;
    case PAGE_CONTROL:
      p[1] = 10;
      if (mask || (control == CONTROL_CURRENT && disk->parent.descriptor_sense))
        p[2] = D_SENSE;
      p[3] = 0x10; /* unrestricted reordering */
      break;
    case PAGE_AUDIO:
      p[1] = 14;
      break;
    case PAGE_CAPABILITIES:
      {
        VmMmcDrive state = scsi_cd_state (disk);

        vm_mmc_capabilities_page (&state, p);
        break;
      }
    case PAGE_APPLE:
      p[1] = 22;
      memcpy (p + 2, "APPLE COMPUTER, INC   ", 22);
      break;
    case PAGE_VENDOR:
      p[1] = 2;
      break;
    default:
      return 0;
    }
  p[0] = page;
  len = 2 + p[1];
  if (mask)
    {
      uint8_t changeable = page == PAGE_CACHING || page == PAGE_CONTROL ? p[2] & 4 : 0;

      memset (p + 2, 0, len - 2);
      p[2] = changeable;
    }
  return len;
}

static bool
has_page (const VmScsiDisk *disk, uint8_t page)
{
  if (page == PAGE_APPLE)
    return disk->quirk_apple_vendor;
  if (page == PAGE_VENDOR)
    return disk->quirk_apple_specific;
  return disk->is_cd ? memchr (cd_pages, page, sizeof cd_pages) != NULL
                     : memchr (disk_pages, page, sizeof disk_pages) != NULL;
}

static uint32_t
put_pages (const VmScsiDisk *disk, uint8_t page, unsigned control, uint8_t *p)
{
  uint32_t at = 0;

  if (page != PAGE_ALL)
    return has_page (disk, page) ? put_page (disk, page, control, p) : 0;
  for (uint8_t each = 1; each < PAGE_ALL; each++)
    if (has_page (disk, each))
      at += put_page (disk, each, control, p + at);
  if (has_page (disk, PAGE_VENDOR)) /* last, says SPC-4 */
    at += put_page (disk, PAGE_VENDOR, control, p + at);
  return at;
}

/* --- MODE SENSE ------------------------------------------------------------------------------------ */

static uint8_t
medium_type (const VmScsiDisk *disk)
{
  if (!disk->is_cd)
    return 0;
  return disk->conf.drive->tray_open ? 0x71 : disk->conf.drive->block ? 0x01 : 0x70;
}

static uint8_t
device_specific (const VmScsiDisk *disk)
{
  if (disk->is_cd)
    return 0;
  return (scsi_disk_readonly (disk) ? 0x80 : 0) | (disk->dpofua ? 0x10 : 0);
}

/* Short or, with LONG_LBA, long form; the length. */
static uint32_t
put_block_descriptor (const VmScsiDisk *disk, bool long_lba, uint8_t *p)
{
  uint64_t blocks = scsi_disk_blocks (disk);

  if (long_lba)
    {
      vm_store_be64 (p, blocks);
      vm_store_be32 (p + 12, disk->block_size);
      return 16;
    }
  vm_store_be32 (p, blocks > 0xffffff ? 0 : (uint32_t) blocks);
  vm_store_be32 (p + 4, disk->block_size & 0xffffff);
  return 8;
}

void
scsi_disk_mode_sense (VmScsiDisk *disk, VmScsiRequest *req)
{
  bool ten = req->cdb[0] == 0x5a, no_descriptor = req->cdb[1] & 8, long_lba = ten && (req->cdb[1] & 0x10);
  uint8_t page = req->cdb[2] & 0x3f, control = req->cdb[2] >> 6, subpage = req->cdb[3];
  uint8_t *b = vm_scsi_request_buffer (req, PAGES_MAX), *p = b + (ten ? 8 : 4);
  uint32_t descriptor = 0, pages;

  if (control == CONTROL_SAVED)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_SAVING);
      return;
    }
  if (!no_descriptor && scsi_disk_has_medium (disk) && (!disk->is_cd || disk->quirk_rom_use_dbd))
    descriptor = put_block_descriptor (disk, long_lba, p);
  p += descriptor;
  pages = put_pages (disk, page, control, p);
  if (!pages || (subpage && !(page == PAGE_ALL && subpage == 0xff)))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      return;
    }
  p += pages;
  if (ten)
    {
      vm_store_be16 (b, p - b - 2);
      b[2] = medium_type (disk);
      b[3] = device_specific (disk);
      b[4] = long_lba && descriptor ? 1 : 0;
      vm_store_be16 (b + 6, descriptor);
    }
  else
    {
      b[0] = p - b - 1;
      b[1] = medium_type (disk);
      b[2] = device_specific (disk);
      b[3] = descriptor;
    }
  vm_scsi_request_reply (req, p - b);
}

/* --- MODE SELECT ----------------------------------------------------------------------------------- */

static void
apply_page (VmScsiDisk *disk, const uint8_t *p)
{
  if (p[0] == PAGE_CACHING && !disk->is_cd && disk->write_cache_on != !!(p[2] & WCE))
    {
      disk->write_cache_on = p[2] & WCE;
      if (disk->conf.drive->block)
        vm_block_set_write_cache (disk->conf.drive->block, disk->write_cache_on);
    }
  else if (p[0] == PAGE_CONTROL)
    disk->parent.descriptor_sense = p[2] & D_SENSE;
}

/* Only what MODE SENSE calls changeable may differ from what it says is current. */
static bool
check_page (const VmScsiDisk *disk, const uint8_t *p, uint32_t len)
{
  uint8_t page = p[0] & 0x3f, current[PAGES_MAX] = { 0 }, mask[PAGES_MAX] = { 0 };

  if (p[0] & 0x40 || !has_page (disk, page))
    return false;
  if (page == PAGE_VENDOR || page == PAGE_APPLE)
    return true; /* whatever it may be */
  if (put_page (disk, page, CONTROL_CURRENT, current) != len)
    return false;
  put_page (disk, page, CONTROL_CHANGEABLE, mask);
  if (page == PAGE_CAPABILITIES)
    return true; /* its speeds are set in vain by some */
  for (uint32_t i = 2; i < len; i++)
    if ((p[i] ^ current[i]) & ~mask[i])
      return false;
  return true;
}

/* The pages in LEN bytes at P, of which all are checked before the first is put to use. */
static bool
walk_pages (VmScsiDisk *disk, const uint8_t *p, uint32_t len, bool apply, VmScsiSense *sense)
{
  while (len)
    {
      uint32_t size = len >= 2 ? 2u + p[1] : 0;

      if (!size || size > len)
        {
          *sense = VM_SCSI_SENSE_LIST_LENGTH;
          return disk->quirk_truncated;
        }
      if (apply)
        apply_page (disk, p);
      else if (!check_page (disk, p, size))
        {
          *sense = VM_SCSI_SENSE_INVALID_PARAM;
          return false;
        }
      p += size;
      len -= size;
    }
  return true;
}

/* Other block sizes are not to be had. */
static bool
check_descriptor (const VmScsiDisk *disk, const uint8_t *p, uint32_t len, bool long_lba)
{
  uint32_t size;

  if (len == 0)
    return true;
  if (len != (long_lba ? 16 : 8))
    return false;
  size = long_lba ? vm_load_be32 (p + 12) : vm_load_be32 (p + 4) & 0xffffff;
  return size == 0 || size == disk->block_size;
}

static void
mode_select_got (VmScsiRequest *req)
{
  VmScsiDisk *disk = (VmScsiDisk *) req->dev;
  bool ten = req->cdb[0] == 0x55;
  uint32_t header = ten ? 8 : 4, descriptor;
  const uint8_t *b = req->buffer, *end = b + req->buffer_len;
  VmScsiSense sense = VM_SCSI_SENSE_LIST_LENGTH;

  if (req->buffer_len < header)
    {
      vm_scsi_request_check (req, sense);
      return;
    }
  descriptor = ten ? vm_load_be16 (b + 6) : b[3];
  if (descriptor > req->buffer_len - header)
    {
      vm_scsi_request_check (req, sense);
      return;
    }
  if (!check_descriptor (disk, b + header, descriptor, ten && (b[4] & 1)))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_PARAM);
      return;
    }
  b += header + descriptor;
  if (!walk_pages (disk, b, end - b, false, &sense))
    {
      vm_scsi_request_check (req, sense);
      return;
    }
  walk_pages (disk, b, end - b, true, &sense);
  vm_scsi_request_good (req);
}

void
scsi_disk_mode_select (VmScsiDisk *disk, VmScsiRequest *req)
{
  /* Nothing can be saved, and pages have the standard's format; vendors' own is a quirk. */
  if (req->cdb[1] & 1 || (!(req->cdb[1] & 0x10) && !disk->quirk_apple_specific))
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else if (req->length == 0)
    vm_scsi_request_good (req);
  else
    vm_scsi_request_collect (req, req->length, mode_select_got);
}
