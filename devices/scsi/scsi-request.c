/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests on the SCSI bus: their life, their memory, and the commands every target knows (SPC-4; SAM-5). */
#include "devices/scsi/scsi.h"

enum { CMD_REQUEST_SENSE = 0x03, CMD_INQUIRY = 0x12, CMD_GET_CONFIGURATION = 0x46, CMD_GET_EVENT_STATUS = 0x4a,
       CMD_REPORT_LUNS = 0xa0 };
#define PERIPHERAL_ABSENT 0x7f /* no such unit, and none can be there */

static const VmScsiClass *
request_class (const VmScsiRequest *req)
{
  return vm_type_klass (req->dev->parent.parent.type);
}

/* --- life ------------------------------------------------------------------------------------------ */

VmScsiRequest *
vm_scsi_request_new (VmScsiBus *bus, unsigned channel, unsigned target, unsigned lun, uint64_t tag, const uint8_t *cdb,
                     unsigned len, void *hba)
{
  VmScsiDevice *dev = vm_scsi_bus_find (bus, channel, target, lun);

  if (!dev && !(dev = vm_scsi_bus_find (bus, channel, target, VM_SCSI_LUN_NONE)))
    return NULL;

  VmScsiRequest *req = g_new0 (VmScsiRequest, 1);
  const VmScsiClass *klass;

  req->refs = 1;
  req->bus = bus;
  req->dev = VM_SCSI_DEVICE (vm_object_ref (&dev->parent.parent));
  req->lun = lun;
  req->tag = tag;
  req->hba = hba;
  memcpy (req->cdb, cdb, MIN (len, VM_SCSI_CDB_MAX));
  req->cdb_len = MIN (vm_scsi_cdb_length (req->cdb), VM_SCSI_CDB_MAX);
  klass = request_class (req);
  if (klass->parse && dev->lun == lun)
    klass->parse (dev, req);
  else
    vm_scsi_request_parse (req, 512);
  return req;
}

VmScsiRequest *
vm_scsi_request_ref (VmScsiRequest *req)
{
  req->refs++;
  return req;
}

void
vm_scsi_request_unref (VmScsiRequest *req)
{
  if (!req || --req->refs)
    return;
  g_free (req->buffer);
  vm_object_unref (&req->dev->parent.parent);
  g_free (req);
}

/* The device is through with it. */
static void
request_end (VmScsiRequest *req)
{
  const VmScsiBusOps *ops = req->bus->ops;

  if (req->done)
    return;
  vm_scsi_request_ref (req);
  req->done = true;
  req->waiting = false;
  if (req->dev->requests)
    g_ptr_array_remove (req->dev->requests, req);
  req->iov_n = 0;
  req->window = 0;
  if (ops->released)
    ops->released (req);
  if (!req->cancelled)
    ops->complete (req);
  vm_scsi_request_unref (req);
}

void
vm_scsi_request_cancel (VmScsiRequest *req)
{
  if (req->done || req->cancelled)
    return;
  req->cancelled = true;
  if (req->started && !req->busy)
    request_end (req);
}

void
vm_scsi_request_hold (VmScsiRequest *req)
{
  req->busy = true;
}

bool
vm_scsi_request_resume (VmScsiRequest *req)
{
  req->busy = false;
  if (!req->cancelled)
    return true;
  request_end (req);
  return false;
}

/* --- outcome --------------------------------------------------------------------------------------- */

void
vm_scsi_request_finish (VmScsiRequest *req, uint8_t status, const uint8_t *sense, unsigned sense_len)
{
  req->status = status;
  req->sense_len = MIN (sense_len, VM_SCSI_SENSE_MAX);
  if (req->sense_len)
    memcpy (req->sense, sense, req->sense_len);
  if (!req->bus->ops->autosense && req->dev->lun == req->lun)
    {
      memcpy (req->dev->sense, req->sense, req->sense_len);
      req->dev->sense_len = req->sense_len;
    }
  request_end (req);
}

void
vm_scsi_request_good (VmScsiRequest *req)
{
  vm_scsi_request_finish (req, VM_SCSI_GOOD, NULL, 0);
}

static unsigned
put_sense (const VmScsiDevice *dev, uint8_t buf[18], VmScsiSense sense)
{
  return dev->descriptor_sense ? vm_scsi_sense_descriptor (buf, sense) : vm_scsi_sense_fixed (buf, sense);
}

void
vm_scsi_request_check (VmScsiRequest *req, VmScsiSense sense)
{
  uint8_t buf[18];

  vm_scsi_request_finish (req, VM_SCSI_CHECK_CONDITION, buf, put_sense (req->dev, buf, sense));
}

/* --- memory ---------------------------------------------------------------------------------------- */

static void
request_set_window (VmScsiRequest *req, const struct iovec *iov, unsigned n)
{
  req->iov = iov;
  req->iov_n = n;
  req->iov_skip = 0;
  req->window = 0;
  for (unsigned i = 0; i < n; i++)
    req->window += iov[i].iov_len;
}

void
vm_scsi_request_want (VmScsiRequest *req, void (*resume) (VmScsiRequest *req))
{
  if (req->window)
    resume (req);
  else if (req->bus->ops->transfer)
    {
      req->resume = resume;
      req->waiting = true;
      req->bus->ops->transfer (req);
    }
  else
    {
      req->overrun = true;
      vm_scsi_request_good (req);
    }
}

void
vm_scsi_request_continue (VmScsiRequest *req, const struct iovec *iov, unsigned n)
{
  if (!req->waiting || req->done)
    return;
  req->waiting = false;
  request_set_window (req, iov, n);
  if (req->window)
    req->resume (req);
  else
    {
      req->overrun = true;
      vm_scsi_request_good (req);
    }
}

uint64_t
vm_scsi_request_window (const VmScsiRequest *req, uint64_t max, struct iovec *iov, unsigned *n)
{
  uint64_t len = 0;
  size_t skip = req->iov_skip;
  unsigned used = 0;

  for (unsigned i = 0; i < req->iov_n && used < *n && len < max; i++, skip = 0)
    {
      size_t part = MIN (req->iov[i].iov_len - skip, max - len);

      if (!part)
        continue;
      iov[used++] = (struct iovec){ (char *) req->iov[i].iov_base + skip, part };
      len += part;
    }
  *n = used;
  return len;
}

void
vm_scsi_request_advance (VmScsiRequest *req, uint64_t bytes)
{
  req->moved += bytes;
  req->window -= bytes;
  while (bytes)
    {
      size_t part = MIN (req->iov->iov_len - req->iov_skip, bytes);

      bytes -= part;
      req->iov_skip += part;
      if (req->iov_skip == req->iov->iov_len)
        {
          req->iov++;
          req->iov_n--;
          req->iov_skip = 0;
        }
    }
}

/* Between the window and the buffer; whether the buffer is through. */
static bool
request_copy (VmScsiRequest *req)
{
  while (req->window && req->buffer_at < req->buffer_len)
    {
      struct iovec iov;
      unsigned n = 1;
      uint64_t len = vm_scsi_request_window (req, req->buffer_len - req->buffer_at, &iov, &n);

      if (req->direction == VM_SCSI_TO_DEVICE)
        memcpy (req->buffer + req->buffer_at, iov.iov_base, len);
      else
        memcpy (iov.iov_base, req->buffer + req->buffer_at, len);
      req->buffer_at += len;
      vm_scsi_request_advance (req, len);
    }
  return req->buffer_at == req->buffer_len;
}

uint8_t *
vm_scsi_request_buffer (VmScsiRequest *req, uint32_t len)
{
  g_free (req->buffer);
  req->buffer = g_malloc0 (MAX (len, 1));
  req->buffer_len = len;
  req->buffer_at = 0;
  return req->buffer;
}

static void
request_reply_step (VmScsiRequest *req)
{
  if (request_copy (req))
    vm_scsi_request_good (req);
  else
    vm_scsi_request_want (req, request_reply_step);
}

void
vm_scsi_request_reply (VmScsiRequest *req, uint32_t len)
{
  req->buffer_at = 0;
  req->buffer_len = MIN (MIN (len, req->buffer_len), req->length);
  if (req->buffer_len == 0)
    vm_scsi_request_good (req);
  else
    vm_scsi_request_want (req, request_reply_step);
}

static void
request_collect_step (VmScsiRequest *req)
{
  if (request_copy (req))
    req->collected (req);
  else if (req->bus->ops->transfer)
    vm_scsi_request_want (req, request_collect_step);
  else
    vm_scsi_request_check (req, VM_SCSI_SENSE_LIST_LENGTH);
}

void
vm_scsi_request_collect (VmScsiRequest *req, uint32_t len, void (*got) (VmScsiRequest *req))
{
  vm_scsi_request_buffer (req, len);
  req->collected = got;
  if (len == 0 || req->window)
    request_collect_step (req);
  else if (req->bus->ops->transfer)
    vm_scsi_request_want (req, request_collect_step);
  else
    vm_scsi_request_check (req, VM_SCSI_SENSE_LIST_LENGTH);
}

/* --- what every target answers --------------------------------------------------------------------- */

static void
target_report_luns (VmScsiRequest *req)
{
  VmBus *bus = &req->bus->parent;
  uint8_t select = req->cdb[2], *b;
  uint32_t at = 8;

  if (req->length < 16 || select > 2)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
      return;
    }
  b = vm_scsi_request_buffer (req, 8 + 8 * bus->devices->len);
  for (guint i = 0; i < bus->devices->len && select != 1; i++) /* 1: well known units, of which there are none */
    {
      const VmScsiDevice *dev = g_ptr_array_index (bus->devices, i);

      if (dev->channel != req->dev->channel || dev->scsi_id != req->dev->scsi_id)
        continue;
      vm_scsi_lun_encode (b + at, dev->lun);
      at += 8;
    }
  vm_store_be32 (b, at - 8);
  req->dev->attentions &= ~(uint32_t) VM_SCSI_UA_LUNS;
  vm_scsi_request_reply (req, at);
}

static void
absent_command (VmScsiRequest *req)
{
  uint8_t *b;

  switch (req->cdb[0])
    {
    case CMD_INQUIRY:
      if (req->cdb[1] & 3)
        {
          vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
          break;
        }
      b = vm_scsi_request_buffer (req, 36);
      b[0] = PERIPHERAL_ABSENT;
      b[2] = 5;
      b[3] = 2;
      b[4] = 31;
      vm_scsi_request_reply (req, 36);
      break;
    case CMD_REQUEST_SENSE:
      b = vm_scsi_request_buffer (req, 18);
      vm_scsi_request_reply (req, vm_scsi_sense_fixed (b, VM_SCSI_SENSE_LUN_NOT_SUPPORTED));
      break;
    default:
      vm_scsi_request_check (req, VM_SCSI_SENSE_LUN_NOT_SUPPORTED);
      break;
    }
}

/* The pending attention that is told first, which is then no longer pending; false: none is. */
static bool
take_attention (VmScsiDevice *dev, VmScsiSense *sense)
{
  uint32_t first = dev->attentions & -dev->attentions;

  if (!first)
    return false;
  *sense = vm_scsi_attention_sense (first);
  /* A reset says that everything may be different. */
  if (first & (VM_SCSI_UA_POWER_ON | VM_SCSI_UA_BUS_RESET | VM_SCSI_UA_DEVICE_RESET))
    dev->attentions &= (uint32_t) VM_SCSI_UA_MEDIUM;
  else
    dev->attentions &= ~first;
  return true;
}

static void
unit_request_sense (VmScsiRequest *req)
{
  VmScsiDevice *dev = req->dev;
  uint8_t *b = vm_scsi_request_buffer (req, VM_SCSI_SENSE_MAX);
  VmScsiSense sense = VM_SCSI_SENSE_NONE;
  uint32_t len = dev->sense_len;
  bool descriptor = req->cdb[1] & 1;

  if (len)
    sense = vm_scsi_sense_parse (dev->sense, len);
  else
    take_attention (dev, &sense);
  dev->sense_len = 0;
  len = descriptor ? vm_scsi_sense_descriptor (b, sense) : vm_scsi_sense_fixed (b, sense);
  vm_scsi_request_reply (req, len);
}

static void
request_dispatch (VmScsiRequest *req)
{
  VmScsiDevice *dev = req->dev;
  const VmScsiClass *klass = request_class (req);
  uint8_t command = req->cdb[0];
  VmScsiSense sense;

  if (command == CMD_REPORT_LUNS)
    target_report_luns (req);
  else if (dev->lun != req->lun)
    absent_command (req);
  else if (klass->passthrough)
    klass->command (dev, req);
  else if (command == CMD_REQUEST_SENSE)
    unit_request_sense (req);
  else
    {
      dev->sense_len = 0;
      if (command != CMD_INQUIRY && command != CMD_GET_CONFIGURATION && command != CMD_GET_EVENT_STATUS
          && take_attention (dev, &sense))
        vm_scsi_request_check (req, sense);
      else
        klass->command (dev, req);
    }
}

void
vm_scsi_request_start (VmScsiRequest *req, const struct iovec *iov, unsigned n)
{
  req->started = true;
  if (!req->dev->parent.realized) /* unplugged since */
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_LUN_NOT_SUPPORTED);
      return;
    }
  g_ptr_array_add (req->dev->requests, vm_scsi_request_ref (req));
  request_set_window (req, iov, n);
  request_dispatch (req);
}
