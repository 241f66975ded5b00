/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of SCSI disks that touch the medium (SBC-3, chapter 5). */
#include "devices/scsi/scsi-disk.h"

#define STEP_ENTRIES 256            /* of a vector, and */
#define STEP_BYTES   (16 * VM_MIB)  /* bytes in one block request */
#define BUFFER_BYTES (256 * VM_KIB) /* of a pattern, of a comparison */

enum { AUX_FLAGS = 0, AUX_AT = 1, AUX_END = 2 }; /* VmScsiRequest.aux */

static VmScsiDisk *
request_disk (const VmScsiRequest *req)
{
  return (VmScsiDisk *) req->dev;
}

static VmBlock *
request_block (const VmScsiRequest *req)
{
  return request_disk (req)->conf.drive->block;
}

bool
scsi_disk_check_status (VmScsiRequest *req, int status)
{
  bool writing = req->direction == VM_SCSI_TO_DEVICE;

  switch (-status)
    {
    case 0:
      return true;
    case ENOMEDIUM:
      vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
      break;
    case ENOMEM:
      vm_scsi_request_check (req, VM_SCSI_SENSE_TARGET_FAILURE);
      break;
    case ENOSPC:
    case EDQUOT:
      vm_scsi_request_check (req, VM_SCSI_SENSE_SPACE_ALLOCATION);
      break;
    case EPERM:
    case EROFS:
    case EACCES:
      vm_scsi_request_check (req, VM_SCSI_SENSE_WRITE_PROTECTED);
      break;
    default:
      vm_scsi_request_check (req, writing || req->direction == VM_SCSI_NO_DATA ? VM_SCSI_SENSE_WRITE_ERROR
                                                                              : VM_SCSI_SENSE_READ_ERROR);
      break;
    }
  return false;
}

/* After a block request: false when REQ has ended by cancellation, a lost medium or an error. */
static bool
request_back (VmScsiRequest *req, int status)
{
  if (!vm_scsi_request_resume (req) || !scsi_disk_check_status (req, status))
    return false;
  if (!request_block (req))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
      return false;
    }
  return true;
}

/* Checks the range and sets OFFSET and LEFT; false: the request has ended. */
static bool
request_range (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks)
{
  uint64_t all = scsi_disk_blocks (disk);

  if (lba > all || blocks > all - lba)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_LBA_RANGE);
      return false;
    }
  req->offset = lba * disk->block_size;
  req->left = blocks * disk->block_size;
  return true;
}

/* --- READ, WRITE ----------------------------------------------------------------------------------- */

static void request_move (VmScsiRequest *req);

static void
request_moved (void *opaque, int status)
{
  VmScsiRequest *req = opaque;

  if (!request_back (req, status))
    return;
  vm_scsi_request_advance (req, req->step);
  req->offset += req->step;
  req->left -= req->step;
  if (req->left)
    vm_scsi_request_want (req, request_move);
  else
    vm_scsi_request_good (req);
}

static void
request_move (VmScsiRequest *req)
{
  struct iovec iov[STEP_ENTRIES];
  unsigned n = STEP_ENTRIES;

  if (!request_block (req)) /* gone while the adapter was looking for memory */
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
      return;
    }
  req->step = vm_scsi_request_window (req, MIN (req->left, STEP_BYTES), iov, &n);
  vm_scsi_request_hold (req);
  if (req->direction == VM_SCSI_TO_DEVICE)
    vm_block_write_flags (request_block (req), req->offset, iov, n, req->aux[AUX_FLAGS], request_moved, req);
  else
    vm_block_read (request_block (req), req->offset, iov, n, request_moved, req);
}

void
scsi_disk_read (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks)
{
  if (!request_range (disk, req, lba, blocks))
    return;
  if (req->left)
    vm_scsi_request_want (req, request_move);
  else
    vm_scsi_request_good (req);
}

void
scsi_disk_write (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks, bool fua)
{
  if (scsi_disk_readonly (disk))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_WRITE_PROTECTED);
      return;
    }
  if (!request_range (disk, req, lba, blocks))
    return;
  req->aux[AUX_FLAGS] = fua ? VM_BLOCK_FUA : 0;
  if (req->left)
    vm_scsi_request_want (req, request_move);
  else
    vm_scsi_request_good (req);
}

/* --- SYNCHRONIZE CACHE ----------------------------------------------------------------------------- */

static void
flush_done (void *opaque, int status)
{
  VmScsiRequest *req = opaque;

  if (request_back (req, status))
    vm_scsi_request_good (req);
}

void
scsi_disk_flush (VmScsiDisk *disk, VmScsiRequest *req)
{
  vm_scsi_request_hold (req);
  vm_block_flush (disk->conf.drive->block, flush_done, req);
}

/* --- VERIFY ---------------------------------------------------------------------------------------- */

static void verify_step (VmScsiRequest *req);

static bool
verify_equal (VmScsiRequest *req)
{
  uint64_t at = 0;

  while (at < req->step)
    {
      struct iovec iov;
      unsigned n = 1;
      uint64_t len = vm_scsi_request_window (req, req->step - at, &iov, &n);

      if (memcmp (req->buffer + at, iov.iov_base, len) != 0)
        return false;
      vm_scsi_request_advance (req, len);
      at += len;
    }
  return true;
}

static void
verify_read_done (void *opaque, int status)
{
  VmScsiRequest *req = opaque;

  if (!request_back (req, status))
    return;
  if (!verify_equal (req))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_MISCOMPARE);
      return;
    }
  req->offset += req->step;
  req->left -= req->step;
  if (req->left)
    vm_scsi_request_want (req, verify_step);
  else
    vm_scsi_request_good (req);
}

static void
verify_step (VmScsiRequest *req)
{
  if (!request_block (req))
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
      return;
    }
  req->step = MIN (MIN (req->window, req->left), req->buffer_len);
  vm_scsi_request_hold (req);
  vm_block_read (request_block (req), req->offset, &(struct iovec){ req->buffer, req->step }, 1, verify_read_done, req);
}

void
scsi_disk_verify (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks)
{
  unsigned bytchk = req->cdb[1] >> 1 & 3;

  if (bytchk > 1)
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD); /* one block against many: optional */
  else if (request_range (disk, req, lba, blocks))
    {
      if (!bytchk || !req->left)
        vm_scsi_request_good (req);
      else
        {
          vm_scsi_request_buffer (req, MIN (req->left, BUFFER_BYTES));
          vm_scsi_request_want (req, verify_step);
        }
    }
}

/* --- WRITE SAME ------------------------------------------------------------------------------------ */

static void write_same_step (VmScsiRequest *req);

static void
write_same_done (void *opaque, int status)
{
  VmScsiRequest *req = opaque;

  if (!request_back (req, status))
    return;
  req->offset += req->step;
  req->left -= req->step;
  if (req->left)
    write_same_step (req);
  else
    vm_scsi_request_good (req);
}

static void
write_same_step (VmScsiRequest *req)
{
  req->step = MIN (req->left, req->buffer_len);
  vm_scsi_request_hold (req);
  vm_block_write (request_block (req), req->offset, &(struct iovec){ req->buffer, req->step }, 1, write_same_done, req);
}

static void
write_same_zeroes (VmScsiRequest *req)
{
  req->step = req->left;
  vm_scsi_request_hold (req);
  vm_block_write_zeroes (request_block (req), req->offset, req->left, req->cdb[1] & 8 ? VM_BLOCK_UNMAP : 0,
                         write_same_done, req);
}

static void
write_same_got (VmScsiRequest *req)
{
  uint32_t block = request_disk (req)->block_size;
  uint32_t repeated = MIN (req->left, MAX (BUFFER_BYTES, block));

  if (!request_block (req))
    vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
  else if (!req->left)
    vm_scsi_request_good (req);
  else if (req->buffer[0] == 0 && memcmp (req->buffer, req->buffer + 1, block - 1) == 0)
    write_same_zeroes (req);
  else
    {
      req->buffer = g_realloc (req->buffer, repeated);
      req->buffer_len = repeated;
      for (uint32_t at = block; at < repeated; at += block)
        memcpy (req->buffer + at, req->buffer, block);
      write_same_step (req);
    }
}

void
scsi_disk_write_same (VmScsiDisk *disk, VmScsiRequest *req, uint64_t lba, uint64_t blocks)
{
  bool ndob = req->cdb[0] == 0x93 && (req->cdb[1] & 1), unmap = req->cdb[1] & 8;

  if (req->cdb[1] & 0x10 || (unmap && !scsi_disk_can_unmap (disk))) /* no anchoring */
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else if (!blocks || blocks > disk->max_unmap_size / disk->block_size) /* WSNZ, MAXIMUM WRITE SAME LENGTH of page B0 */
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else if (scsi_disk_readonly (disk))
    vm_scsi_request_check (req, VM_SCSI_SENSE_WRITE_PROTECTED);
  else if (request_range (disk, req, lba, blocks))
    {
      if (ndob)
        write_same_zeroes (req);
      else
        vm_scsi_request_collect (req, disk->block_size, write_same_got);
    }
}

/* --- UNMAP ----------------------------------------------------------------------------------------- */

#define UNMAP_HEADER     8
#define UNMAP_DESCRIPTOR 16

static void unmap_next (VmScsiRequest *req);

static void
unmap_done (void *opaque, int status)
{
  VmScsiRequest *req = opaque;

  if (request_back (req, status))
    unmap_next (req);
}

static void
unmap_next (VmScsiRequest *req)
{
  uint32_t block = request_disk (req)->block_size;

  while (req->aux[AUX_AT] < req->aux[AUX_END])
    {
      const uint8_t *d = req->buffer + req->aux[AUX_AT];
      uint64_t blocks = vm_load_be32 (d + 8);

      req->aux[AUX_AT] += UNMAP_DESCRIPTOR;
      if (!blocks)
        continue;
      vm_scsi_request_hold (req);
      vm_block_discard (request_block (req), vm_load_be64 (d) * block, blocks * block, unmap_done, req);
      return;
    }
  vm_scsi_request_good (req);
}

/* All of the list is checked before any of it is done. */
static bool
unmap_check (VmScsiDisk *disk, VmScsiRequest *req)
{
  uint64_t all = scsi_disk_blocks (disk), total = 0;

  for (uint64_t at = UNMAP_HEADER; at < req->aux[AUX_END]; at += UNMAP_DESCRIPTOR)
    {
      uint64_t lba = vm_load_be64 (req->buffer + at), blocks = vm_load_be32 (req->buffer + at + 8);

      total += blocks;
      if (lba > all || blocks > all - lba)
        {
          vm_scsi_request_check (req, VM_SCSI_SENSE_LBA_RANGE);
          return false;
        }
    }
  if (total > disk->max_unmap_size / disk->block_size)
    {
      vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_PARAM);
      return false;
    }
  return true;
}

static void
unmap_got (VmScsiRequest *req)
{
  VmScsiDisk *disk = request_disk (req);
  uint32_t described = vm_load_be16 (req->buffer + 2) & ~(UNMAP_DESCRIPTOR - 1u);

  if (!request_block (req))
    vm_scsi_request_check (req, VM_SCSI_SENSE_NO_MEDIUM);
  else if (described > req->buffer_len - UNMAP_HEADER)
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_PARAM);
  else
    {
      req->aux[AUX_AT] = UNMAP_HEADER;
      req->aux[AUX_END] = UNMAP_HEADER + described;
      if (unmap_check (disk, req))
        unmap_next (req);
    }
}

void
scsi_disk_unmap (VmScsiDisk *disk, VmScsiRequest *req)
{
  if (req->cdb[1] & 1) /* no anchoring */
    vm_scsi_request_check (req, VM_SCSI_SENSE_INVALID_FIELD);
  else if (scsi_disk_readonly (disk))
    vm_scsi_request_check (req, VM_SCSI_SENSE_WRITE_PROTECTED);
  else if (req->length == 0)
    vm_scsi_request_good (req);
  else if (req->length < UNMAP_HEADER)
    vm_scsi_request_check (req, VM_SCSI_SENSE_LIST_LENGTH);
  else
    vm_scsi_request_collect (req, req->length, unmap_got);
}
