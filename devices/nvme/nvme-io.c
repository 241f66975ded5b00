/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I/O commands of an NVMe controller (NVM Express 1.4, chapter 6; TP 4065, Simple Copy). */
#include "devices/nvme/nvme.h"

#include <errno.h>

enum
{
  IO_FLUSH = 0x00,
  IO_WRITE = 0x01,
  IO_READ = 0x02,
  IO_COMPARE = 0x05,
  IO_WRITE_ZEROES = 0x08,
  IO_DSM = 0x09,
  IO_VERIFY = 0x0c,
  IO_COPY = 0x19
};
enum
{
  RW_FUA = 1 << 30,
  ZEROES_DEALLOCATE = 1 << 25,
  DSM_DEALLOCATE = 1 << 2
};
#define RANGE_SIZE 16u
#define COPY_RANGE_SIZE 32u
#define CHUNK (128 * 1024u)

static uint16_t
status_of (int status, bool write)
{
  switch (status)
    {
    case 0:
      return NVME_SUCCESS;
    case -EPERM:
    case -EROFS:
    case -EACCES:
      return NVME_ACCESS_DENIED;
    case -ENOSPC:
      return NVME_CAPACITY_EXCEEDED;
    default:
      return write ? NVME_WRITE_FAULT : NVME_UNRECOVERED_READ;
    }
}

void
nvme_request_clear (NvmeRequest *r)
{
  vm_dma_sg_clear (&r->sg);
  vm_dma_map_clear (&r->map);
  g_clear_pointer (&r->bounce, g_free);
}

static VmBlock *
block_of (const NvmeRequest *r)
{
  return r->ns->conf.drive->block;
}

static uint64_t
command_lba (const NvmeRequest *r)
{
  return (uint64_t) r->cmd.cdw11 << 32 | r->cmd.cdw10;
}

static uint32_t
command_blocks (const NvmeRequest *r)
{
  return (r->cmd.cdw12 & 0xffff) + 1;
}

/* Takes offset and length of the command; LIMIT: a power of two of pages, 0: none. */
static uint16_t
take_range (NvmeRequest *r, uint8_t limit)
{
  const VmNvme *n = r->sq->ctrl;
  uint64_t lba = command_lba (r), blocks = command_blocks (r), total = nvme_namespace_blocks (r->ns);

  if (lba > total || blocks > total - lba)
    return NVME_LBA_RANGE | NVME_DNR;
  r->offset = lba << r->ns->lba_shift;
  r->left = blocks << r->ns->lba_shift;
  if (limit && limit < 40 && r->left > UINT64_C (1) << (n->page_shift + limit))
    return NVME_INVALID_FIELD | NVME_DNR;
  return NVME_SUCCESS;
}

/* --- read and write --------------------------------------------------------------------------- */

static void
transfer_done (void *opaque, int status)
{
  NvmeRequest *r = opaque;
  bool write = r->cmd.opcode == IO_WRITE;

  vm_dma_unmap (&r->map, status == 0);
  if (!status && write)
    {
      r->ns->writes++;
      r->ns->bytes_written += r->left;
    }
  else if (!status)
    {
      r->ns->reads++;
      r->ns->bytes_read += r->left;
    }
  nvme_complete (r, status_of (status, write));
}

static uint16_t
transfer (NvmeRequest *r)
{
  bool write = r->cmd.opcode == IO_WRITE;
  uint16_t status = take_range (r, r->sq->ctrl->mdts);

  if (!status)
    status = nvme_map (r, r->left, &r->sg);
  if (status)
    return status;
  if (vm_dma_map (&r->map, &r->sg, 0, r->left, !write) < r->left || r->map.bounce)
    {
      vm_dma_unmap (&r->map, false); /* not all of it is memory */
      return NVME_DATA_TRANSFER_ERROR;
    }
  if (write)
    vm_block_write_flags (block_of (r), r->offset, r->map.iov, r->map.n, r->cmd.cdw12 & RW_FUA ? VM_BLOCK_FUA : 0,
                          transfer_done, r);
  else
    vm_block_read (block_of (r), r->offset, r->map.iov, r->map.n, transfer_done, r);
  return NVME_NO_COMPLETE;
}

/* --- compare and verify: piece by piece through a buffer -------------------------------------- */

static void check_next (NvmeRequest *r);

static bool
piece_is_equal (NvmeRequest *r, uint32_t len)
{
  g_autofree uint8_t *theirs = g_malloc (len);

  vm_dma_sg_copy (&r->sg, r->at, theirs, len, false);
  return memcmp (theirs, r->bounce, len) == 0;
}

static void
check_read (void *opaque, int status)
{
  NvmeRequest *r = opaque;
  uint32_t len = (uint32_t) r->iov.iov_len;

  if (status)
    nvme_complete (r, status_of (status, false));
  else if (r->cmd.opcode == IO_COMPARE && !piece_is_equal (r, len))
    nvme_complete (r, NVME_COMPARE_FAILURE | NVME_DNR);
  else
    {
      r->at += len;
      r->left -= len;
      check_next (r);
    }
}

static void
check_next (NvmeRequest *r)
{
  if (!r->left)
    {
      nvme_complete (r, NVME_SUCCESS);
      return;
    }
  r->iov = (struct iovec){ r->bounce, MIN (r->left, CHUNK) };
  vm_block_read (block_of (r), r->offset + r->at, &r->iov, 1, check_read, r);
}

static uint16_t
check (NvmeRequest *r)
{
  const VmNvme *n = r->sq->ctrl;
  bool compare = r->cmd.opcode == IO_COMPARE;
  uint16_t status = take_range (r, compare ? n->mdts : n->vsl);

  if (!status && compare)
    status = nvme_map (r, r->left, &r->sg);
  if (status)
    return status;
  r->bounce = g_malloc (MIN (r->left, CHUNK));
  r->at = 0;
  check_next (r);
  return NVME_NO_COMPLETE;
}

/* --- without data ----------------------------------------------------------------------------- */

static void
plain_done (void *opaque, int status)
{
  nvme_complete (opaque, status_of (status, true));
}

static uint16_t
write_zeroes (NvmeRequest *r)
{
  uint16_t status = take_range (r, 0);

  if (status)
    return status;
  vm_block_write_zeroes (block_of (r), r->offset, r->left,
                         (r->cmd.cdw12 & ZEROES_DEALLOCATE ? VM_BLOCK_UNMAP : 0)
                             | (r->cmd.cdw12 & RW_FUA ? VM_BLOCK_FUA : 0),
                         plain_done, r);
  return NVME_NO_COMPLETE;
}

static void flush_next (void *opaque, int status);

/* All namespaces in turn, or the one that is named. */
static void
flush_next (void *opaque, int status)
{
  NvmeRequest *r = opaque;
  VmNvme *n = r->sq->ctrl;

  if (status || r->cmd.nsid != NVME_ALL)
    {
      nvme_complete (r, status_of (status, true));
      return;
    }
  for (r->index++; r->index <= NVME_NAMESPACES; r->index++)
    if (n->namespaces[r->index])
      {
        vm_block_flush (n->namespaces[r->index]->conf.drive->block, flush_next, r);
        return;
      }
  nvme_complete (r, NVME_SUCCESS);
}

static uint16_t
flush (NvmeRequest *r)
{
  if (r->cmd.nsid == NVME_ALL)
    flush_next (r, 0);
  else
    vm_block_flush (block_of (r), flush_next, r);
  return NVME_NO_COMPLETE;
}

/* --- dataset management: a list of ranges ----------------------------------------------------- */

static void
deallocate_next (void *opaque, int status)
{
  NvmeRequest *r = opaque;

  while (!status && r->index < r->count)
    {
      const uint8_t *range = r->bounce + RANGE_SIZE * r->index++;
      uint64_t lba = vm_load_le64 (range + 8), blocks = vm_load_le32 (range + 4), total = nvme_namespace_blocks (r->ns);

      if (!blocks)
        continue;
      if (lba > total || blocks > total - lba)
        {
          nvme_complete (r, NVME_LBA_RANGE | NVME_DNR);
          return;
        }
      vm_block_discard (block_of (r), lba << r->ns->lba_shift, blocks << r->ns->lba_shift, deallocate_next, r);
      return;
    }
  nvme_complete (r, status_of (status, true));
}

static uint16_t
manage_dataset (NvmeRequest *r)
{
  uint16_t status;

  r->count = (r->cmd.cdw10 & 0xff) + 1;
  r->bounce = g_malloc (r->count * RANGE_SIZE);
  status = nvme_from_host (r, r->bounce, r->count * RANGE_SIZE);
  if (status || !(r->cmd.cdw11 & DSM_DEALLOCATE))
    return status; /* hints about use are not needed */
  deallocate_next (r, 0);
  return NVME_NO_COMPLETE;
}

/* --- copy: ranges of the namespace go one after another to one place -------------------------- */

static void copy_next (NvmeRequest *r);

static void
copy_written (void *opaque, int status)
{
  NvmeRequest *r = opaque;

  if (status)
    {
      nvme_complete (r, status_of (status, true));
      return;
    }
  r->offset += r->iov.iov_len;
  r->at += r->iov.iov_len;
  r->left -= r->iov.iov_len;
  copy_next (r);
}

static void
copy_read (void *opaque, int status)
{
  NvmeRequest *r = opaque;

  if (status)
    nvme_complete (r, status_of (status, false));
  else
    vm_block_write_flags (block_of (r), r->offset, &r->iov, 1, r->cmd.cdw12 & RW_FUA ? VM_BLOCK_FUA : 0, copy_written,
                          r);
}

static const uint8_t *
copy_range (const NvmeRequest *r, unsigned i)
{
  return r->bounce + CHUNK + COPY_RANGE_SIZE * i;
}

static void
copy_next (NvmeRequest *r)
{
  while (!r->left)
    {
      const uint8_t *range = copy_range (r, r->index);

      if (r->index++ == r->count)
        {
          nvme_complete (r, NVME_SUCCESS);
          return;
        }
      r->at = vm_load_le64 (range + 8) << r->ns->lba_shift;
      r->left = (uint64_t) (vm_load_le16 (range + 16) + 1) << r->ns->lba_shift;
    }
  r->iov = (struct iovec){ r->bounce, MIN (r->left, CHUNK) };
  vm_block_read (block_of (r), r->at, &r->iov, 1, copy_read, r);
}

static uint16_t
check_copy (NvmeRequest *r)
{
  const NvmeNamespace *ns = r->ns;
  uint64_t blocks = 0, total = nvme_namespace_blocks (ns), lba = command_lba (r);

  for (unsigned i = 0; i < r->count; i++)
    {
      const uint8_t *range = copy_range (r, i);
      uint64_t from = vm_load_le64 (range + 8);
      uint32_t len = vm_load_le16 (range + 16) + 1;

      if (len > ns->mssrl)
        return NVME_CMD_SIZE_LIMIT | NVME_DNR;
      if (from > total || len > total - from)
        return NVME_LBA_RANGE | NVME_DNR;
      blocks += len;
    }
  if (blocks > ns->mcl)
    return NVME_CMD_SIZE_LIMIT | NVME_DNR;
  return lba > total || blocks > total - lba ? NVME_LBA_RANGE | NVME_DNR : NVME_SUCCESS;
}

static uint16_t
copy (NvmeRequest *r)
{
  uint16_t status;

  r->count = (r->cmd.cdw12 & 0xff) + 1;
  if (r->cmd.cdw12 >> 8 & 15) /* descriptor format */
    return NVME_INVALID_FIELD | NVME_DNR;
  if (r->count > r->ns->msrc + 1u)
    return NVME_CMD_SIZE_LIMIT | NVME_DNR;
  r->bounce = g_malloc0 (CHUNK + COPY_RANGE_SIZE * (r->count + 1));
  status = nvme_from_host (r, r->bounce + CHUNK, COPY_RANGE_SIZE * r->count);
  if (!status)
    status = check_copy (r);
  if (status)
    return status;
  r->offset = command_lba (r) << r->ns->lba_shift;
  copy_next (r);
  return NVME_NO_COMPLETE;
}

/* --- which one -------------------------------------------------------------------------------- */

static bool
writes (uint8_t opcode)
{
  return opcode == IO_WRITE || opcode == IO_WRITE_ZEROES || opcode == IO_DSM || opcode == IO_COPY;
}

uint16_t
nvme_io_command (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint32_t nsid = r->cmd.nsid;

  if (r->cmd.flags & 3)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (nsid == NVME_ALL && r->cmd.opcode == IO_FLUSH)
    return flush (r);
  if (nsid == 0 || nsid > NVME_NAMESPACES)
    return NVME_INVALID_NAMESPACE | NVME_DNR;
  r->ns = n->namespaces[nsid];
  if (!r->ns)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (r->ns->formatting)
    return NVME_FORMAT_IN_PROGRESS;
  if (writes (r->cmd.opcode) && vm_block_readonly (block_of (r)))
    return NVME_WRITE_PROTECTED | NVME_DNR;
  switch (r->cmd.opcode)
    {
    case IO_FLUSH:
      return flush (r);
    case IO_WRITE:
    case IO_READ:
      return transfer (r);
    case IO_COMPARE:
    case IO_VERIFY:
      return check (r);
    case IO_WRITE_ZEROES:
      return write_zeroes (r);
    case IO_DSM:
      return manage_dataset (r);
    case IO_COPY:
      return copy (r);
    default:
      return NVME_INVALID_OPCODE | NVME_DNR;
    }
}
