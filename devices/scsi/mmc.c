/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies of CD and DVD drives (MMC-5, INCITS 430, chapters 5 and 6). */
#include "devices/scsi/mmc.h"

#include "engine/machine/machine.h"

#define CD_MAX_BLOCKS (80 * 60 * 75)
#define LEAD_IN       150 /* blocks before the first */

enum { PROFILE_NONE = 0, PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };
enum { MEDIA_CLASS = 4, EVENT_NEW_MEDIUM = 2, EVENT_REMOVED = 3 };

bool
vm_mmc_is_dvd (const VmMmcDrive *drive)
{
  return drive->blocks > CD_MAX_BLOCKS;
}

static void
put_place (uint8_t *b, uint32_t lba, bool msf)
{
  if (!msf)
    {
      vm_store_be32 (b, lba);
      return;
    }
  lba += LEAD_IN;
  b[0] = 0;
  b[1] = lba / 75 / 60;
  b[2] = lba / 75 % 60;
  b[3] = lba % 75;
}

/* Descriptors of the first session's points, full form. */
static uint8_t *
put_full_toc (uint8_t *p, uint32_t blocks)
{
  static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };

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

          put_place (place, points[i] == 0xa2 ? blocks : 0, true);
          memcpy (p + 8, place + 1, 3);
        }
    }
  return p;
}

/* One session with one data track. */
uint32_t
vm_mmc_read_toc (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  uint8_t *p = b + 4;
  bool msf = cdb[1] & 2;
  unsigned format = cdb[9] >> 6 ? cdb[9] >> 6 : cdb[2] & 15, track = cdb[6];

  memset (b, 0, 64);
  b[2] = b[3] = 1;
  switch (format)
    {
    case 0:
      if (track > 1 && track != 0xaa)
        return 0;
      if (track <= 1)
        {
          p[1] = 0x14;
          p[2] = 1;
          put_place (p + 4, 0, msf);
          p += 8;
        }
      p[1] = 0x16;
      p[2] = 0xaa;
      put_place (p + 4, drive->blocks, msf);
      p += 8;
      break;
    case 1:
      p[1] = 0x14;
      p[2] = 1;
      put_place (p + 4, 0, msf);
      p += 8;
      break;
    case 2:
      p = put_full_toc (p, drive->blocks);
      break;
    default:
      return 0;
    }
  vm_store_be16 (b, p - b - 2);
  return p - b;
}

static uint8_t *
put_feature (uint8_t *p, uint16_t code, uint8_t flags, const uint8_t *data, uint8_t n)
{
  vm_store_be16 (p, code);
  p[2] = flags;
  p[3] = n;
  memcpy (p + 4, data, n);
  return p + 4 + n;
}

uint32_t
vm_mmc_get_configuration (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  uint8_t *p = b + 8;
  bool dvd = vm_mmc_is_dvd (drive), cd = drive->medium && !dvd;
  uint8_t profiles[8] = { 0, PROFILE_DVD_ROM, dvd, 0, 0, PROFILE_CD_ROM, cd, 0 };
  static const uint8_t core[8] = { 0, 0, 0, 2, 0, 0, 0, 0 }, removable[4] = { 0x29, 0, 0, 0 };

  if ((cdb[1] & 2) && vm_load_be16 (cdb + 2) > 3)
    return 0;
  memset (b, 0, 64);
  vm_store_be16 (b + 6, dvd ? PROFILE_DVD_ROM : cd ? PROFILE_CD_ROM : PROFILE_NONE);
  p = put_feature (p, 0, 0x03, profiles, sizeof profiles);
  p = put_feature (p, 1, 0x0b, core, sizeof core);
  p = put_feature (p, 3, 0x03, removable, sizeof removable);
  vm_store_be32 (b, p - b - 4);
  return p - b;
}

uint32_t
vm_mmc_get_event_status (VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  if (!(cdb[1] & 1))
    return 0; /* only polled operation */
  memset (b, 0, 8);
  b[3] = 1 << MEDIA_CLASS;
  if (!(cdb[4] & 1 << MEDIA_CLASS))
    {
      vm_store_be16 (b, 2);
      b[2] = 0x80; /* no event available */
      return 4;
    }
  vm_store_be16 (b, 6);
  b[2] = MEDIA_CLASS;
  b[4] = !drive->event_pending ? 0 : drive->medium ? EVENT_NEW_MEDIUM : EVENT_REMOVED;
  b[5] = (drive->tray_open ? 1 : 0) | (drive->medium ? 2 : 0);
  drive->event_pending = false;
  return 8;
}

uint32_t
vm_mmc_read_disc_information (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  if (cdb[1] & 7)
    return 0; /* standard information only */
  memset (b, 0, 34);
  vm_store_be16 (b, 32);
  b[2] = 0x0e; /* last session complete, disc finalised */
  b[3] = b[4] = b[5] = b[6] = 1;
  b[7] = 0x20;
  return 34;
}

uint32_t
vm_mmc_read_disc_structure (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  if (cdb[6] || cdb[7])
    return 0; /* one layer, physical format only */
  memset (b, 0, 2052);
  vm_store_be16 (b, 2050);
  b[4] = 1;    /* DVD-ROM, part version 1 */
  b[5] = 0x0f; /* 120 mm, no maximum rate */
  b[6] = 1;    /* one layer */
  vm_store_be32 (b + 8, 0x30000);
  vm_store_be32 (b + 12, 0x30000 + (uint32_t) drive->blocks - 1);
  return 2052;
}

uint32_t
vm_mmc_mechanism_status (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b)
{
  memset (b, 0, 8);
  b[1] = drive->tray_open ? 0x10 : 0;
  b[5] = 1;
  return 8;
}

uint32_t
vm_mmc_capabilities_page (const VmMmcDrive *drive, uint8_t *p)
{
  memset (p, 0, 22);
  p[0] = 0x2a;
  p[1] = 20;
  p[2] = 0x3b; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
  p[4] = 0x70;
  p[6] = 0x2d | (drive->locked ? 2 : 0); /* tray loader, ejects, can lock */
  vm_store_be16 (p + 8, 706);
  vm_store_be16 (p + 10, 2);
  vm_store_be16 (p + 12, 512);
  vm_store_be16 (p + 14, 706);
  return 22;
}

static uint8_t
to_bcd (unsigned n)
{
  return n / 10 % 10 << 4 | n % 10;
}

void
vm_mmc_make_raw (uint8_t raw[VM_MMC_RAW_BLOCK], const uint8_t *data, uint32_t lba)
{
  uint32_t place = lba + LEAD_IN;

  memmove (raw + 16, data, VM_MMC_BLOCK);
  memset (raw, 0xff, 12);
  raw[0] = raw[11] = 0;
  raw[12] = to_bcd (place / 75 / 60);
  raw[13] = to_bcd (place / 75 % 60);
  raw[14] = to_bcd (place % 75);
  raw[15] = 1; /* mode 1 */
  memset (raw + 16 + VM_MMC_BLOCK, 0, VM_MMC_RAW_BLOCK - 16 - VM_MMC_BLOCK);
}

int
vm_mmc_read_cd_size (const uint8_t *cdb)
{
  switch (cdb[9] & 0xf8)
    {
    case 0x00:
      return 0;
    case 0x10:
      return VM_MMC_BLOCK;
    case 0xf8:
      return VM_MMC_RAW_BLOCK;
    default:
      return -1;
    }
}

void
vm_mmc_move_tray (VmDevice *dev, VmDrive *drive, bool open)
{
  const char *id = vm_device_user_id (dev);
  g_autofree char *path = vm_object_path (&dev->parent);

  if (drive->tray_open == open)
    return;
  drive->tray_open = open;
  if (dev->env->machine)
    vm_machine_emit (dev->env->machine, "DEVICE_TRAY_MOVED", "{\"device\": \"%s\", \"id\": \"%s\", \"tray-open\": %s}",
                     drive->anonymous ? "" : drive->parent.id, id ? id : path, open ? "true" : "false");
}
