/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "scsi-generic" and "scsi-block": SCSI devices of the host, whose commands go through SG_IO (the Linux SCSI Generic
 * driver, version 3). Of "scsi-block", which is a disk, reads and writes go the way of all images. */
#include "devices/scsi/scsi-disk.h"

#include <errno.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#define DATA_MAX   (16 * VM_MIB) /* of one command */
#define SG_OLDEST  30000
enum { HOST_OK = 0x00, HOST_NO_CONNECT = 0x01, HOST_BUS_BUSY = 0x02, HOST_TIME_OUT = 0x03, HOST_ABORT = 0x05,
       HOST_RESET = 0x08, HOST_TRANSPORT_DISRUPTED = 0x0e };

typedef struct ScsiHost {
  VmScsiDisk disk; /* what they have in common with a disk of ours; PARENT first of all */
  uint32_t   io_timeout; /* seconds */
  bool       is_block;
} ScsiHost;

extern const VmType vm_scsi_generic_type, vm_scsi_block_type;

/* --- commands -------------------------------------------------------------------------------------- */

typedef struct SgCommand {
  sg_io_hdr_t    hdr;
  uint8_t        sense[VM_SCSI_SENSE_MAX];
  uint8_t        cdb[VM_SCSI_CDB_MAX];
  VmScsiRequest *req;
} SgCommand;

static ScsiHost *
host_of (const VmScsiRequest *req)
{
  return (ScsiHost *) req->dev;
}

static void
sg_prepare (SgCommand *g, const uint8_t *cdb, unsigned cdb_len, void *data, uint32_t len, VmScsiDirection direction,
            uint32_t seconds)
{
  memcpy (g->cdb, cdb, cdb_len);
  g->hdr = (sg_io_hdr_t) {
    .interface_id = 'S', .cmdp = g->cdb, .cmd_len = (uint8_t) cdb_len, .sbp = g->sense,
    .mx_sb_len = sizeof g->sense, .dxferp = data, .dxfer_len = len,
    .timeout = (unsigned) MIN ((uint64_t) seconds * 1000, G_MAXUINT),
    .dxfer_direction = !len ? SG_DXFER_NONE : direction == VM_SCSI_TO_DEVICE ? SG_DXFER_TO_DEV : SG_DXFER_FROM_DEV,
  };
}

static uint8_t
status_of_host (unsigned host)
{
  switch (host)
    {
    case HOST_TIME_OUT: case HOST_ABORT: case HOST_RESET:
      return VM_SCSI_TASK_ABORTED;
    default: /* busy, or the way to it is interrupted: the guest tries again */
      return VM_SCSI_BUSY;
    }
}

/* What the guest was told of the device that the user wants it to see otherwise. */
static void
edit_inquiry (const ScsiHost *host, VmScsiRequest *req, uint32_t len)
{
  const VmScsiDisk *disk = &host->disk;
  uint8_t *b = req->buffer;

  if (!host->is_block || req->cdb[0] != 0x12)
    return;
  if (!(req->cdb[1] & 1))
    {
      if (len > 2 && disk->scsi_version >= 0)
        b[2] = (uint8_t) disk->scsi_version;
    }
  else if (req->cdb[2] == 0xb0 && len >= 12)
    {
      uint32_t most = (uint32_t) MIN (disk->max_io_size / disk->block_size, UINT32_MAX), theirs = vm_load_be32 (b + 8);

      vm_store_be32 (b + 8, theirs ? MIN (theirs, most) : most);
      if (len >= 24)
        vm_store_be32 (b + 20, (uint32_t) MIN (vm_load_be32 (b + 20), disk->max_unmap_size / disk->block_size));
    }
  else if (req->cdb[2] == 0xb1 && len >= 6 && disk->rotation_rate)
    vm_store_be16 (b + 4, disk->rotation_rate);
}

static void
sg_done (void *opaque, int status)
{
  g_autofree SgCommand *g = opaque;
  VmScsiRequest *req = g->req;
  uint32_t len = g->hdr.dxfer_len - (uint32_t) CLAMP (g->hdr.resid, 0, (int) g->hdr.dxfer_len);

  if (!vm_scsi_request_resume (req))
    return;
  if (status < 0)
    vm_scsi_request_check (req, VM_SCSI_SENSE_TARGET_FAILURE);
  else if (g->hdr.host_status != HOST_OK)
    vm_scsi_request_finish (req, status_of_host (g->hdr.host_status), NULL, 0);
  else if (g->hdr.status != VM_SCSI_GOOD)
    vm_scsi_request_finish (req, g->hdr.status, g->sense, g->hdr.sb_len_wr);
  else if (req->direction == VM_SCSI_FROM_DEVICE && len)
    {
      edit_inquiry (host_of (req), req, len);
      vm_scsi_request_reply (req, len);
    }
  else
    vm_scsi_request_good (req);
}

static void
sg_start (VmScsiRequest *req)
{
  ScsiHost *host = host_of (req);
  SgCommand *g = g_new0 (SgCommand, 1);

  g->req = req;
  sg_prepare (g, req->cdb, req->cdb_len, req->buffer, req->direction ? req->buffer_len : 0, req->direction,
              host->io_timeout);
  vm_scsi_request_hold (req);
  vm_block_control (host->disk.conf.drive->block, SG_IO, &g->hdr, sg_done, g);
}

static void
host_command (VmScsiDevice *dev, VmScsiRequest *req)
{
  ScsiHost *host = (ScsiHost *) dev;

  if (req->cdb_len == 0 || req->length > DATA_MAX)
    {
      vm_scsi_request_check (req, req->cdb_len ? VM_SCSI_SENSE_INVALID_FIELD : VM_SCSI_SENSE_INVALID_OPCODE);
      return;
    }
  if (!host->disk.conf.drive->block)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
      return;
    }
  if (req->direction == VM_SCSI_TO_DEVICE)
    vm_scsi_request_collect (req, (uint32_t) req->length, sg_start);
  else
    {
      vm_scsi_request_buffer (req, (uint32_t) req->length);
      sg_start (req);
    }
}

static void
block_command (VmScsiDevice *dev, VmScsiRequest *req)
{
  switch (req->cdb[0])
    {
    case 0x08: case 0x28: case 0xa8: case 0x88: /* READ */
    case 0x0a: case 0x2a: case 0xaa: case 0x8a: /* WRITE */
      scsi_disk_command (dev, req);
      break;
    default:
      host_command (dev, req);
      break;
    }
}

/* --- life ------------------------------------------------------------------------------------------ */

typedef struct Wait {
  bool done;
  int  status;
} Wait;

static void
wait_done (void *opaque, int status)
{
  *(Wait *) opaque = (Wait) { true, status };
}

static int
control_now (VmBlock *block, unsigned long request, void *arg)
{
  Wait wait = { 0 };

  vm_block_control (block, request, arg, wait_done, &wait);
  vm_block_drain (block);
  return wait.status;
}

/* Runs a command that reads LEN bytes; false: there is no answer. */
static bool
ask (ScsiHost *host, const uint8_t *cdb, unsigned cdb_len, void *data, uint32_t len)
{
  SgCommand g = { 0 };

  memset (data, 0, len);
  sg_prepare (&g, cdb, cdb_len, data, len, VM_SCSI_FROM_DEVICE, host->io_timeout);
  return control_now (host->disk.conf.drive->block, SG_IO, &g.hdr) == 0 && g.hdr.status == VM_SCSI_GOOD
         && g.hdr.host_status == HOST_OK;
}

/* Blocks are what lengths of commands count; devices without have characters, or take them one by one. */
static uint32_t
find_block_size (ScsiHost *host, uint8_t kind)
{
  const uint8_t capacity[10] = { 0x25 }, sense[6] = { 0x1a, 0, 0, 0, 12 };
  uint8_t b[12];
  uint32_t size = 0;

  if (kind == 1) /* tape: its block descriptor */
    {
      if (ask (host, sense, sizeof sense, b, sizeof b) && b[3] >= 8)
        size = (uint32_t) vm_load_be16 (b + 10) | (uint32_t) b[9] << 16;
      return size ? size : 1;
    }
  if (ask (host, capacity, sizeof capacity, b, 8))
    size = vm_load_be32 (b + 4);
  return size && size <= 65536 ? size : kind == 5 ? 2048 : 512;
}

static bool
host_open (ScsiHost *host, GError **error)
{
  const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36 };
  VmBlock *block = host->disk.conf.drive->block;
  VmScsiDevice *dev = &host->disk.parent;
  int version = 0, status = control_now (block, SG_GET_VERSION_NUM, &version);
  uint8_t b[36];

  if (status < 0)
    return vm_fail (error, "cannot get SG_IO version number: %s.  Is this a SCSI device?", g_strerror (-status));
  if (version < SG_OLDEST)
    return vm_fail (error, "scsi generic interface too old");
  if (!ask (host, inquiry, sizeof inquiry, b, sizeof b))
    return vm_fail (error, "%s: the device does not answer INQUIRY", vm_block_path (block));
  if (host->is_block && (b[0] & 31) != 0 && (b[0] & 31) != 5)
    return vm_fail (error, "%s is no disk: scsi-generic is for other devices", vm_block_path (block));
  dev->peripheral = b[0] & 31;
  host->disk.is_cd = host->is_block && dev->peripheral == 5;
  host->disk.block_size = find_block_size (host, dev->peripheral);
  if (host->is_block && vm_block_size (block) == 0)
    return vm_fail (error, "%s has no size: scsi-generic is for character devices", vm_block_path (block));
  return true;
}

static bool
host_realize (VmDevice *device, GError **error)
{
  ScsiHost *host = (ScsiHost *) device;
  VmScsiDisk *disk = &host->disk;
  bool readonly = disk->conf.drive && disk->conf.drive->block && vm_block_readonly (disk->conf.drive->block);

  host->is_block = vm_object_is_a (&device->parent, &vm_scsi_block_type);
  if (!disk->conf.drive)
    return vm_fail (error, "drive property not set");
  if (!host->is_block && (disk->conf.rerror != VM_ON_ERROR_AUTO || disk->conf.werror != VM_ON_ERROR_AUTO))
    return vm_fail (error, "Device doesn't support drive option rerror, werror");
  if (!vm_block_conf_claim (&disk->conf, &device->parent, readonly, NULL, error))
    return false;
  if (!host_open (host, error))
    {
      vm_drive_release (disk->conf.drive);
      return false;
    }
  disk->dpofua = true;
  disk->conf.drive->tray_open = false;
  if (vm_scsi_device_bus (&disk->parent)->loop)
    vm_drive_set_loop (disk->conf.drive, vm_scsi_device_bus (&disk->parent)->loop, device->bus->lock);
  return true;
}

static void
host_unrealize (VmDevice *device)
{
  VmScsiDisk *disk = &((ScsiHost *) device)->disk;

  vm_block_drain (disk->conf.drive->block);
  vm_scsi_device_abort_all (&disk->parent);
  vm_drive_release (disk->conf.drive);
}

static void
host_drain (VmScsiDevice *dev)
{
  vm_block_drain (((ScsiHost *) dev)->disk.conf.drive->block);
}

static void
host_parse (VmScsiDevice *dev, VmScsiRequest *req)
{
  vm_scsi_request_parse (req, ((ScsiHost *) dev)->disk.block_size);
}

#define COMMON_PROPS                                                                                                   \
  VM_PROP_CUSTOM_KIND ("drive", ScsiHost, disk.conf.drive, &vm_prop_drive, NULL, "drive or block node of the device"), \
    VM_PROP ("share-rw", ScsiHost, disk.conf.share_rw, false, "others may write it too"),                              \
    VM_PROP ("io_timeout", ScsiHost, io_timeout, 30, "seconds until the host gives a command up")

static const VmProp generic_props[] = { COMMON_PROPS, { 0 } };

static const VmProp block_props[] = {
  COMMON_PROPS,
  VM_BLOCK_ERROR_PROPS (ScsiHost, disk.conf),
  VM_PROP ("rotation_rate", ScsiHost, disk.rotation_rate, 0, "1: solid state; 0: as the device says"),
  VM_PROP_BYTES ("max_unmap_size", ScsiHost, disk.max_unmap_size, VM_GIB, "most that one UNMAP takes"),
  VM_PROP_BYTES ("max_io_size", ScsiHost, disk.max_io_size, INT32_MAX, "longest transfer of a command"),
  VM_PROP ("scsi_version", ScsiHost, disk.scsi_version, -1, "standard claimed by INQUIRY; -1: as the device says"),
  { 0 },
};

/* What the device keeps about its initiator cannot be carried to another. */
#define HOST_CLASS(run)                                                                                                \
  {                                                                                                                    \
    .parent = { .realize = host_realize, .unrealize = host_unrealize, .bus_type = VM_SCSI_BUS_TYPE,                    \
                .category = "Storage", .user_creatable = true, .hotpluggable = true, .unmigratable = true },           \
    .parse = host_parse, .command = run, .drain = host_drain, .passthrough = true,                                     \
  }

static const VmScsiClass generic_class = HOST_CLASS (host_command);
static const VmScsiClass block_class = HOST_CLASS (block_command);

const VmType vm_scsi_generic_type = {
  .name = "scsi-generic", .parent = &vm_scsi_device_type, .size = sizeof (ScsiHost),
  .help = "pass through generic scsi device (/dev/sg*)", .props = generic_props, .klass = &generic_class,
};

const VmType vm_scsi_block_type = {
  .name = "scsi-block", .parent = &vm_scsi_device_type, .size = sizeof (ScsiHost),
  .help = "SCSI block device passthrough", .props = block_props, .klass = &block_class,
};
