/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "scsi-hd" and "scsi-cd": disks and CD-ROM drives on a SCSI bus (SPC-4, SBC-3, MMC-5). */
#include "devices/scsi/scsi-disk.h"

#define VENDOR "VITRINE"

uint64_t
scsi_disk_blocks (const VmScsiDisk *disk)
{
  return scsi_disk_has_medium (disk) ? vm_block_size (disk->conf.drive->block) / disk->block_size : 0;
}

bool
scsi_disk_readonly (const VmScsiDisk *disk)
{
  const VmDrive *drive = disk->conf.drive;

  return disk->is_cd || (drive && drive->block && vm_block_readonly (drive->block));
}

bool
scsi_disk_can_unmap (const VmScsiDisk *disk)
{
  return !disk->is_cd && disk->conf.discard_granularity && disk->max_unmap_size >= disk->block_size;
}

/* --- commands -------------------------------------------------------------------------------------- */

static void
read_capacity (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint64_t last = MAX (scsi_disk_blocks (disk), 1) - 1;
  uint8_t *b = vm_scsi_request_buffer (req, 8);

  vm_store_be32 (b, MIN (last, UINT32_MAX));
  vm_store_be32 (b + 4, disk->block_size);
  vm_scsi_request_reply (req, 8);
}

static void
read_capacity_16 (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint8_t *b = vm_scsi_request_buffer (req, 32);
  unsigned exponent = 0;

  while (exponent < 15 && (uint64_t) disk->block_size << exponent < disk->conf.physical_block_size)
    exponent++;
  vm_store_be64 (b, MAX (scsi_disk_blocks (disk), 1) - 1);
  vm_store_be32 (b + 8, disk->block_size);
  b[13] = exponent;
  b[14] = scsi_disk_can_unmap (disk) ? 0x80 : 0; /* LBPME */
  vm_scsi_request_reply (req, 32);
}

/* One extent: where nothing better is known, everything may be in use. */
static void
get_lba_status (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint64_t lba = vm_load_be64 (req->cdb + 2), all = scsi_disk_blocks (disk);
  uint8_t *b;

  if (lba >= all)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_LBA_RANGE);
      return;
    }
  b = vm_scsi_request_buffer (req, 24);
  vm_store_be32 (b, 20);
  vm_store_be64 (b + 8, lba);
  vm_store_be32 (b + 16, MIN (all - lba, UINT32_MAX));
  vm_scsi_request_reply (req, 24);
}

static void
service_action_in (VmScsiDisk *disk, VmScsiRequest *req)
{
  switch (req->cdb[1] & 31)
    {
    case 0x10:
      read_capacity_16 (disk, req);
      break;
    case 0x12:
      get_lba_status (disk, req);
      break;
    default:
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      break;
    }
}

static void
start_stop (VmScsiDisk *disk, VmScsiRequest *req)
{
  bool start = req->cdb[4] & 1, eject = (req->cdb[4] & 2) && (disk->is_cd || disk->removable);
  VmDrive *drive = disk->conf.drive;

  if (req->cdb[4] >> 4) /* a power condition: there is but one */
    {
      vm_scsi_request_good (req);
      return;
    }
  if (eject)
    {
      if (!start && !drive->tray_open && disk->tray_locked)
        {
          vm_scsi_request_check (req, drive->block ? VM_SCSI_SENSE_REMOVAL_PREVENTED
                                                   : (VmScsiSense){ 0x2, 0x53, 0x02 });
          return;
        }
      if (drive->tray_open && start && drive->block)
        {
          disk->event_pending = true;
          vm_scsi_device_attention (&disk->parent, VM_SCSI_UA_MEDIUM);
        }
      vm_mmc_move_tray (&disk->parent.parent, drive, !start);
    }
  else
    disk->stopped = !start && !disk->is_cd;
  vm_scsi_request_good (req);
}

static void
prevent_allow (VmScsiDisk *disk, VmScsiRequest *req)
{
  disk->tray_locked = disk->conf.drive->locked = (req->cdb[4] & 1) && (disk->is_cd || disk->removable);
  vm_scsi_request_good (req);
}

/* Commands that need neither a medium nor a running motor; false: it is none of them. */
static bool
early_command (VmScsiDisk *disk, VmScsiRequest *req)
{
  switch (req->cdb[0])
    {
    case 0x12:
      scsi_disk_inquiry (disk, req);
      return true;
    case 0x1a:
    case 0x5a:
      scsi_disk_mode_sense (disk, req);
      return true;
    case 0x15:
    case 0x55:
      scsi_disk_mode_select (disk, req);
      return true;
    case 0x1b:
      start_stop (disk, req);
      return true;
    case 0x1e:
      prevent_allow (disk, req);
      return true;
    case 0x01: /* REZERO UNIT */
    case 0x16: /* RESERVE (6): there is one initiator */
    case 0x17: /* RELEASE (6) */
    case 0x56: /* RESERVE (10) */
    case 0x57: /* RELEASE (10) */
      vm_scsi_request_good (req);
      return true;
    case 0x1d: /* SEND DIAGNOSTIC: the default self-test, passed */
      if ((req->cdb[1] & 4) && req->length == 0)
        vm_scsi_request_good (req);
      else
        vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      return true;
    case 0x46:
    case 0x4a:
    case 0xbb:
    case 0xbd:
      return disk->is_cd && scsi_cd_command (disk, req);
    default:
      return false;
    }
}

static bool
check_ready (VmScsiDisk *disk, VmScsiRequest *req)
{
  if (!scsi_disk_has_medium (disk))
    vm_scsi_request_check (req, disk->conf.drive->tray_open ? VM_SCSI_SENSE_NO_MEDIUM_OPEN
                                                            : VM_SCSI_SENSE_NO_MEDIUM_CLOSED);
  else if (disk->stopped)
    vm_scsi_request_check (req, VM_SCSI_SENSE_NOT_READY);
  else
    return true;
  return false;
}

typedef struct Range {
  uint64_t lba, blocks;
} Range;

static Range
request_blocks (const VmScsiRequest *req)
{
  const uint8_t *c = req->cdb;

  switch (req->cdb_len)
    {
    case 6:
      return (Range){ (c[1] & 31u) << 16 | vm_load_be16 (c + 2), c[4] ? c[4] : 256 };
    case 10:
      return (Range){ vm_load_be32 (c + 2), vm_load_be16 (c + 7) };
    case 12:
      return (Range){ vm_load_be32 (c + 2), vm_load_be32 (c + 6) };
    default:
      return (Range){ vm_load_be64 (c + 2), vm_load_be32 (c + 10) };
    }
}

/* READ and WRITE of all lengths: protection and, unless offered, DPO and FUA are refused. */
static bool
check_transfer (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint8_t refused = 0xe0 | (disk->dpofua ? 0 : 0x18);

  if (req->cdb_len > 6 && (req->cdb[1] & refused))
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else if (req->length > disk->max_io_size)
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else
    return true;
  return false;
}

static bool
medium_command (VmScsiDisk *disk, VmScsiRequest *req)
{
  Range range = request_blocks (req);
  bool fua = req->cdb_len > 6 && (req->cdb[1] & 8);

  switch (req->cdb[0])
    {
    case 0x00: /* TEST UNIT READY */
    case 0x0b: /* SEEK (6) */
    case 0x2b: /* SEEK (10) */
      vm_scsi_request_good (req);
      return true;
    case 0x25:
      read_capacity (disk, req);
      return true;
    case 0x9e:
      service_action_in (disk, req);
      return true;
    case 0x08:
    case 0x28:
    case 0x88:
    case 0xa8:
      if (check_transfer (disk, req))
        scsi_disk_read (disk, req, range.lba, range.blocks);
      return true;
    case 0x35: /* SYNCHRONIZE CACHE (10) */
    case 0x91: /* SYNCHRONIZE CACHE (16) */
      scsi_disk_flush (disk, req);
      return true;
    case 0x2f:
    case 0xaf:
    case 0x8f:
      scsi_disk_verify (disk, req, range.lba, range.blocks);
      return true;
    }
  if (disk->is_cd)
    return false;
  switch (req->cdb[0])
    {
    case 0x0a:
    case 0x2a:
    case 0x8a:
    case 0xaa:
      if (check_transfer (disk, req))
        scsi_disk_write (disk, req, range.lba, range.blocks, fua);
      return true;
    case 0x2e: /* WRITE AND VERIFY: what is on stable storage reads back */
    case 0x8e:
    case 0xae:
      scsi_disk_write (disk, req, range.lba, range.blocks, true);
      return true;
    case 0x41:
    case 0x93:
      scsi_disk_write_same (disk, req, range.lba, range.blocks);
      return true;
    case 0x42:
      if (!scsi_disk_can_unmap (disk))
        return false;
      scsi_disk_unmap (disk, req);
      return true;
    default:
      return false;
    }
}

void
scsi_disk_command (VmScsiDevice *dev, VmScsiRequest *req)
{
  VmScsiDisk *disk = (VmScsiDisk *) dev;

  if (early_command (disk, req))
    return;
  if (vm_scsi_cdb_length (req->cdb) == 0)
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_OPCODE);
  else if (check_ready (disk, req) && !medium_command (disk, req) && !(disk->is_cd && scsi_cd_command (disk, req)))
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_OPCODE);
}

static void
scsi_disk_parse (VmScsiDevice *dev, VmScsiRequest *req)
{
  vm_scsi_request_parse (req, ((VmScsiDisk *) dev)->block_size);
}

/* --- life ------------------------------------------------------------------------------------------ */

static void
scsi_disk_drain (VmScsiDevice *dev)
{
  VmDrive *drive = ((VmScsiDisk *) dev)->conf.drive;

  if (drive->block)
    vm_block_drain (drive->block);
}

static void
scsi_disk_unit_reset (VmScsiDevice *dev)
{
  VmScsiDisk *disk = (VmScsiDisk *) dev;

  disk->stopped = false;
  disk->tray_locked = disk->conf.drive->locked = false;
  disk->write_cache_on = !disk->is_cd && disk->conf.write_cache != VM_ONOFFAUTO_OFF;
  if (disk->conf.drive->block && !disk->is_cd)
    vm_block_set_write_cache (disk->conf.drive->block, disk->write_cache_on);
}

static void
scsi_disk_medium_changed (void *opaque)
{
  VmScsiDisk *disk = opaque;

  disk->event_pending = true;
  if (!disk->conf.drive->block)
    return;
  if (!disk->is_cd)
    vm_block_set_write_cache (disk->conf.drive->block, disk->write_cache_on);
  vm_scsi_device_attention (&disk->parent, VM_SCSI_UA_MEDIUM);
}

static void
scsi_disk_resized (void *opaque)
{
  vm_scsi_device_attention (opaque, VM_SCSI_UA_CAPACITY);
}

static bool
check_geometry (VmScsiDisk *disk, GError **error)
{
  uint64_t sectors = vm_block_size (disk->conf.drive->block) / 512;

  if (disk->cyls || disk->heads || disk->secs)
    {
      if (disk->cyls < 1 || disk->cyls > 65535)
        return vm_fail (error, "cyls must be between 1 and 65535");
      if (disk->heads < 1 || disk->heads > 255)
        return vm_fail (error, "heads must be between 1 and 255");
      if (disk->secs < 1 || disk->secs > 255)
        return vm_fail (error, "secs must be between 1 and 255");
    }
  else
    {
      disk->heads = 16;
      disk->secs = 63;
      disk->cyls = CLAMP (sectors / (16 * 63), 2, 16383);
    }
  if (disk->lheads > 255 || disk->lsecs > 255 || disk->lcyls > 0xffffff)
    return vm_fail (error, "lcyls, lheads and lsecs must be at most 16777215, 255 and 255");
  if (!disk->lcyls)
    disk->lcyls = disk->cyls;
  if (!disk->lheads)
    disk->lheads = disk->heads;
  if (!disk->lsecs)
    disk->lsecs = disk->secs;
  return true;
}

static bool
check_strings (const VmScsiDisk *disk, GError **error)
{
  if (disk->scsi_version < 0 || disk->scsi_version > 7)
    return vm_fail (error, "scsi_version must be between 0 and 7");
  if (disk->max_io_size < disk->block_size)
    return vm_fail (error, "max_io_size must be at least one logical block");
  return true;
}

static bool
scsi_disk_realize (VmDevice *device, GError **error)
{
  VmScsiDisk *disk = (VmScsiDisk *) device;
  bool can_change = disk->is_cd || disk->removable;
  bool readonly = can_change ? disk->is_cd : scsi_disk_readonly (disk); /* other media may be written */

  if (disk->is_cd && !disk->conf.logical_block_size)
    disk->conf.logical_block_size = VM_MMC_BLOCK;
  if (!vm_block_conf_claim (&disk->conf, &device->parent, readonly, can_change ? scsi_disk_medium_changed : NULL,
                            error))
    return false;
  disk->conf.drive->cdrom |= disk->is_cd; /* it has a tray */
  disk->conf.drive->resized = scsi_disk_resized;
  if (vm_scsi_device_bus (&disk->parent)->loop)
    vm_drive_set_loop (disk->conf.drive, vm_scsi_device_bus (&disk->parent)->loop, device->bus->lock);
  disk->block_size = disk->conf.logical_block_size;
  if (!check_strings (disk, error) || (!disk->is_cd && disk->conf.drive->block && !check_geometry (disk, error)))
    {
      vm_drive_release (disk->conf.drive);
      return false;
    }
  if (!disk->vendor)
    disk->vendor = g_strdup (VENDOR);
  if (!disk->product)
    disk->product = g_strdup (disk->is_cd ? VENDOR " CD-ROM" : VENDOR " HARDDISK");
  if (!disk->version)
    disk->version = g_strdup ("2.5+");
  if (!disk->device_id)
    disk->device_id = g_strdup (disk->serial ? disk->serial : disk->conf.drive->parent.id);
  disk->event_pending = false;
  scsi_disk_unit_reset (&disk->parent);
  return true;
}

static void
scsi_disk_unrealize (VmDevice *device)
{
  VmScsiDisk *disk = (VmScsiDisk *) device;

  scsi_disk_drain (&disk->parent);
  vm_scsi_device_abort_all (&disk->parent);
  vm_drive_release (disk->conf.drive);
}

static void
scsi_cd_init (VmObject *obj)
{
  ((VmScsiDisk *) obj)->is_cd = true;
}

static bool
scsi_disk_pre_save (VmDevice *device, GError **error)
{
  VmScsiDisk *disk = (VmScsiDisk *) device;

  disk->tray_open = disk->conf.drive->tray_open;
  return vm_drive_settle (disk->conf.drive, &device->parent, error);
}

static bool
scsi_disk_post_load (VmDevice *device, GError **error)
{
  VmScsiDisk *disk = (VmScsiDisk *) device;

  disk->conf.drive->locked = disk->tray_locked;
  disk->conf.drive->tray_open = disk->is_cd && disk->tray_open;
  if (disk->conf.drive->block && !disk->is_cd)
    vm_block_set_write_cache (disk->conf.drive->block, disk->write_cache_on);
  return true;
}

/* --- types ----------------------------------------------------------------------------------------- */

static const VmProp scsi_disk_base_props[] = {
  VM_BLOCK_CONF_PROPS (VmScsiDisk, conf),
  VM_BLOCK_ERROR_PROPS (VmScsiDisk, conf),
  VM_PROP_STRING ("vendor", VmScsiDisk, vendor, NULL, "of INQUIRY, 8 characters"),
  VM_PROP_STRING ("product", VmScsiDisk, product, NULL, "of INQUIRY, 16 characters"),
  VM_PROP_STRING ("ver", VmScsiDisk, version, NULL, "of INQUIRY, 4 characters"),
  VM_PROP_STRING ("serial", VmScsiDisk, serial, NULL, "serial number"),
  VM_PROP_STRING ("device_id", VmScsiDisk, device_id, NULL, "name of the unit, unique in the world"),
  VM_PROP ("wwn", VmScsiDisk, parent.wwn, 0, "world wide name"),
  VM_PROP ("port_wwn", VmScsiDisk, parent.port_wwn, 0, "world wide name of the port"),
  VM_PROP ("port_index", VmScsiDisk, parent.port_index, 0, "relative target port"),
  VM_PROP_BYTES ("max_io_size", VmScsiDisk, max_io_size, INT32_MAX, "longest transfer of a command"),
  VM_PROP ("scsi_version", VmScsiDisk, scsi_version, 5, "standard claimed by INQUIRY; 5: SPC-3"),
  VM_PROP ("quirk_mode_page_vendor_specific_apple", VmScsiDisk, quirk_apple_specific, false,
           "mode page 0 and MODE SELECT without page format"),
  { 0 },
};

static const VmProp scsi_hd_props[] = {
  VM_PROP ("removable", VmScsiDisk, removable, false, "the medium can be taken out"),
  VM_PROP ("dpofua", VmScsiDisk, dpofua, false, "DPO and FUA bits are honoured"),
  VM_PROP ("rotation_rate", VmScsiDisk, rotation_rate, 0, "1: solid state"),
  VM_PROP_BYTES ("max_unmap_size", VmScsiDisk, max_unmap_size, VM_GIB, "most that one UNMAP or WRITE SAME takes"),
  VM_PROP ("cyls", VmScsiDisk, cyls, 0, "cylinders"),
  VM_PROP ("heads", VmScsiDisk, heads, 0, "heads"),
  VM_PROP ("secs", VmScsiDisk, secs, 0, "sectors a track"),
  VM_PROP ("lcyls", VmScsiDisk, lcyls, 0, "logical cylinders"),
  VM_PROP ("lheads", VmScsiDisk, lheads, 0, "logical heads"),
  VM_PROP ("lsecs", VmScsiDisk, lsecs, 0, "logical sectors a track"),
  { 0 },
};

static const VmProp scsi_cd_props[] = {
  VM_PROP ("quirk_mode_page_apple_vendor", VmScsiDisk, quirk_apple_vendor, false, "mode page 30 with Apple's name"),
  VM_PROP ("quirk_mode_sense_rom_use_dbd", VmScsiDisk, quirk_rom_use_dbd, false, "MODE SENSE has a block descriptor"),
  VM_PROP ("quirk_mode_page_truncated", VmScsiDisk, quirk_truncated, false, "MODE SELECT may end inside a page"),
  { 0 },
};

static const VmField scsi_disk_state[] = {
  VM_FIELD (VmScsiDisk, write_cache_on),
  VM_FIELD (VmScsiDisk, stopped),
  VM_FIELD (VmScsiDisk, tray_locked),
  VM_FIELD (VmScsiDisk, tray_open),
  VM_FIELD (VmScsiDisk, event_pending),
  { 0 },
};

static const VmScsiClass scsi_disk_class = {
  .parent = {
    .realize = scsi_disk_realize, .unrealize = scsi_disk_unrealize, .pre_save = scsi_disk_pre_save,
    .post_load = scsi_disk_post_load, .bus_type = VM_SCSI_BUS_TYPE, .category = "Storage", .hotpluggable = true,
  },
  .parse = scsi_disk_parse, .command = scsi_disk_command, .unit_reset = scsi_disk_unit_reset,
  .drain = scsi_disk_drain,
};

static const VmScsiClass scsi_hd_class = {
  .parent = { .bus_type = VM_SCSI_BUS_TYPE, .category = "Storage", .user_creatable = true, .hotpluggable = true },
  .parse = scsi_disk_parse, .command = scsi_disk_command, .unit_reset = scsi_disk_unit_reset,
  .drain = scsi_disk_drain,
};

static const VmScsiClass scsi_cd_class = {
  .parent = { .bus_type = VM_SCSI_BUS_TYPE, .category = "Storage", .user_creatable = true, .hotpluggable = true },
  .peripheral = 5,
  .parse = scsi_disk_parse, .command = scsi_disk_command, .unit_reset = scsi_disk_unit_reset,
  .drain = scsi_disk_drain,
};

const VmType vm_scsi_disk_base_type = {
  .name = "scsi-disk-base", .parent = &vm_scsi_device_type, .size = sizeof (VmScsiDisk),
  .help = "Disk on a SCSI bus", .abstract = true, .props = scsi_disk_base_props, .state = scsi_disk_state,
  .klass = &scsi_disk_class,
};

const VmType vm_scsi_hd_type = {
  .name = "scsi-hd", .parent = &vm_scsi_disk_base_type, .size = sizeof (VmScsiDisk),
  .help = "virtual SCSI disk", .props = scsi_hd_props, .klass = &scsi_hd_class,
};

const VmType vm_scsi_cd_type = {
  .name = "scsi-cd", .parent = &vm_scsi_disk_base_type, .size = sizeof (VmScsiDisk), .init = scsi_cd_init,
  .help = "virtual SCSI CD-ROM", .props = scsi_cd_props, .klass = &scsi_cd_class,
};
