/* SPDX-License-Identifier: GPL-3.0-or-later */
/* INQUIRY of disks and CD-ROM drives, with their vital product data (SPC-4, 6.6 and 7.8; SBC-3, 6.6). */
#include "devices/scsi/scsi-disk.h"

enum { PAGE_SUPPORTED = 0x00, PAGE_SERIAL = 0x80, PAGE_IDENTIFICATION = 0x83, PAGE_LIMITS = 0xb0,
       PAGE_CHARACTERISTICS = 0xb1, PAGE_PROVISIONING = 0xb2 };
enum { CODE_BINARY = 1, CODE_ASCII = 2 };
enum { DESIGNATOR_VENDOR = 0, DESIGNATOR_NAA = 3, DESIGNATOR_PORT = 4 };
enum { OF_PORT = 1 << 4, HAS_PROTOCOL = 1 << 7, PROTOCOL_SAS = 6 << 4 };
enum { PROVISIONING_FULL = 0, PROVISIONING_THIN = 2 };
#define UNMAP_DESCRIPTORS 255
#define MAX_ID            (255 - 8)

static void
put_text (uint8_t *at, const char *text, size_t width)
{
  size_t len = MIN (strlen (text), width);

  memset (at, ' ', width);
  memcpy (at, text, len);
}

static uint8_t *
put_designator (uint8_t *p, uint8_t code, uint8_t type, const void *data, uint8_t len)
{
  p[0] = code;
  p[1] = type;
  p[3] = len;
  memcpy (p + 4, data, len);
  return p + 4 + len;
}

static uint8_t *
page_identification (VmScsiDisk *disk, uint8_t *p)
{
  const VmScsiDevice *dev = &disk->parent;
  uint8_t number[8];

  if (disk->device_id)
    p = put_designator (p, CODE_ASCII, DESIGNATOR_VENDOR, disk->device_id, MIN (strlen (disk->device_id), MAX_ID));
  if (dev->wwn)
    {
      vm_store_be64 (number, dev->wwn);
      p = put_designator (p, CODE_BINARY, DESIGNATOR_NAA, number, 8);
    }
  if (dev->port_wwn)
    {
      vm_store_be64 (number, dev->port_wwn);
      p = put_designator (p, PROTOCOL_SAS | CODE_BINARY, HAS_PROTOCOL | OF_PORT | DESIGNATOR_NAA, number, 8);
    }
  if (dev->port_index)
    {
      vm_store_be32 (number, dev->port_index);
      p = put_designator (p, PROTOCOL_SAS | CODE_BINARY, HAS_PROTOCOL | OF_PORT | DESIGNATOR_PORT, number, 4);
    }
  return p;
}

static uint32_t
in_blocks (const VmScsiDisk *disk, uint64_t bytes)
{
  return MIN (bytes / disk->block_size, UINT32_MAX);
}

static uint8_t *
page_limits (VmScsiDisk *disk, uint8_t *p)
{
  const VmBlockConf *conf = &disk->conf;

  p[0] = 1; /* WSNZ */
  vm_store_be16 (p + 2, MIN (in_blocks (disk, conf->min_io_size), UINT16_MAX));
  vm_store_be32 (p + 4, in_blocks (disk, disk->max_io_size));
  vm_store_be32 (p + 8, in_blocks (disk, conf->opt_io_size));
  if (scsi_disk_can_unmap (disk))
    {
      vm_store_be32 (p + 16, in_blocks (disk, disk->max_unmap_size));
      vm_store_be32 (p + 20, UNMAP_DESCRIPTORS);
      vm_store_be32 (p + 24, in_blocks (disk, conf->discard_granularity));
      p[28] = 0x80; /* alignment: 0 */
    }
  vm_store_be64 (p + 32, disk->max_unmap_size / disk->block_size); /* of WRITE SAME */
  return p + 60;
}

static uint8_t *
page_provisioning (VmScsiDisk *disk, uint8_t *p)
{
  if (scsi_disk_can_unmap (disk))
    {
      p[1] = 0xe0; /* UNMAP, WRITE SAME (16) and (10) */
      p[2] = PROVISIONING_THIN;
    }
  else
    p[2] = PROVISIONING_FULL;
  return p + 4;
}

static uint8_t *
page_supported (VmScsiDisk *disk, uint8_t *p)
{
  *p++ = PAGE_SUPPORTED;
  if (disk->serial)
    *p++ = PAGE_SERIAL;
  *p++ = PAGE_IDENTIFICATION;
  if (!disk->is_cd)
    {
      *p++ = PAGE_LIMITS;
      *p++ = PAGE_CHARACTERISTICS;
      *p++ = PAGE_PROVISIONING;
    }
  return p;
}

/* From its fifth byte on; NULL: no such page. */
static uint8_t *
put_page (VmScsiDisk *disk, uint8_t page, uint8_t *p)
{
  switch (page)
    {
    case PAGE_SUPPORTED:
      return page_supported (disk, p);
    case PAGE_SERIAL:
      if (!disk->serial)
        return NULL;
      put_text (p, disk->serial, MIN (strlen (disk->serial), MAX_ID));
      return p + MIN (strlen (disk->serial), MAX_ID);
    case PAGE_IDENTIFICATION:
      return page_identification (disk, p);
    }
  if (disk->is_cd)
    return NULL;
  switch (page)
    {
    case PAGE_LIMITS:
      return page_limits (disk, p);
    case PAGE_CHARACTERISTICS:
      vm_store_be16 (p, disk->rotation_rate);
      return p + 60;
    case PAGE_PROVISIONING:
      return page_provisioning (disk, p);
    default:
      return NULL;
    }
}

void
scsi_disk_inquiry (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint8_t page = req->cdb[2], *b = vm_scsi_request_buffer (req, 512), *end;
  bool vital = req->cdb[1] & 1;

  if (req->cdb[1] & 2 || (!vital && page))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      return;
    }
  b[0] = disk->parent.peripheral;
  if (vital)
    {
      b[1] = page;
      end = put_page (disk, page, b + 4);
      if (!end)
        {
          vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
          return;
        }
      vm_store_be16 (b + 2, end - b - 4);
      vm_scsi_request_reply (req, end - b);
      return;
    }
  b[1] = disk->is_cd || disk->removable ? 0x80 : 0;
  b[2] = disk->scsi_version;
  b[3] = 0x12; /* HISUP, response data format 2 */
  b[4] = 36 - 5;
  b[7] = 0x10 | (req->bus->ops->tcq ? 2 : 0); /* SYNC, CMDQUE */
  put_text (b + 8, disk->vendor, 8);
  put_text (b + 16, disk->product, 16);
  put_text (b + 32, disk->version, 4);
  vm_scsi_request_reply (req, 36);
}
