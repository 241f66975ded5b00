/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a command's data lies in guest memory: physical region pages and scatter gather lists (NVM Express 1.4, 4.3 and
 * 4.4). */
#include "devices/nvme/nvme.h"

enum
{
  PSDT_PRP = 0,
  PSDT_SGL_BUFFER = 1,
  PSDT_SGL_SEGMENT = 2
};
enum
{
  SGL_DATA_BLOCK = 0,
  SGL_BIT_BUCKET = 1,
  SGL_SEGMENT = 2,
  SGL_LAST_SEGMENT = 3
};
#define SGL_DESCRIPTORS 256u /* read at once */
#define SGL_MAX 4096u        /* of one command */

/* --- PRPs: the first may begin inside a page, the others are whole pages; what needs more than two has a list ------
 */

static uint16_t
map_prp_list (VmNvme *n, VmDmaSg *sg, uint64_t list, uint64_t left)
{
  uint64_t page = UINT64_C (1) << n->page_shift;

  if (list & 7)
    return NVME_INVALID_PRP_OFFSET | NVME_DNR;
  while (left)
    {
      uint64_t room = (page - (list & (page - 1))) / 8, pages = (left + page - 1) >> n->page_shift;
      uint64_t count = MIN (room, pages);
      uint64_t entries[512];

      count = MIN (count, G_N_ELEMENTS (entries));
      if (vm_pci_dma_read (&n->parent, list, entries, count * 8) != VM_MEM_OK)
        return NVME_DATA_TRANSFER_ERROR;
      for (uint64_t i = 0; i < count; i++)
        {
          uint64_t entry = GUINT64_FROM_LE (entries[i]), len = MIN (left, page);

          /* A page's last entry leads on to the next page of the list, unless it is the last of all. */
          if (i + 1 == room && left > page)
            {
              if (entry & (page - 1))
                return NVME_INVALID_PRP_OFFSET | NVME_DNR;
              list = entry;
              goto next;
            }
          if (entry & (page - 1))
            return NVME_INVALID_PRP_OFFSET | NVME_DNR;
          vm_dma_sg_add (sg, entry, len);
          left -= len;
        }
      list += count * 8;
    next:;
    }
  return NVME_SUCCESS;
}

static uint16_t
map_prp (VmNvme *n, const NvmeCommand *cmd, VmDmaSg *sg, uint64_t len)
{
  uint64_t page = UINT64_C (1) << n->page_shift;
  uint64_t first = MIN (len, page - (cmd->prp1 & (page - 1)));

  vm_dma_sg_add (sg, cmd->prp1, first);
  len -= first;
  if (!len)
    return NVME_SUCCESS;
  if (len > page)
    return map_prp_list (n, sg, cmd->prp2, len);
  if (cmd->prp2 & (page - 1))
    return NVME_INVALID_PRP_OFFSET | NVME_DNR;
  vm_dma_sg_add (sg, cmd->prp2, len);
  return NVME_SUCCESS;
}

/* --- SGLs ------------------------------------------------------------------------------------- */

static uint16_t
map_sgl_descriptor (VmDmaSg *sg, const uint8_t *d, uint64_t *left)
{
  uint64_t addr = vm_load_le64 (d);
  uint32_t len = vm_load_le32 (d + 8);

  if (d[15] & 15)
    return NVME_SGL_TYPE | NVME_DNR; /* only addresses */
  if (d[15] >> 4 != SGL_DATA_BLOCK)
    return NVME_SGL_TYPE | NVME_DNR;
  if (UINT64_MAX - addr < len)
    return NVME_DATA_TRANSFER_ERROR | NVME_DNR;
  if (len > *left)
    return NVME_SGL_LENGTH | NVME_DNR;
  vm_dma_sg_add (sg, addr, len);
  *left -= len;
  return NVME_SUCCESS;
}

static uint16_t
map_sgl_segment (VmNvme *n, VmDmaSg *sg, const uint8_t *segment, uint64_t *left)
{
  uint8_t descriptors[SGL_DESCRIPTORS * 16], d[16];
  unsigned seen = 0;

  memcpy (d, segment, sizeof d);
  for (;;)
    {
      bool last = d[15] >> 4 == SGL_LAST_SEGMENT, chained = false;
      uint64_t addr = vm_load_le64 (d);
      uint32_t count = vm_load_le32 (d + 8) / 16;

      if ((d[15] & 15) || !count || vm_load_le32 (d + 8) % 16)
        return NVME_INVALID_SGL_SEGMENT | NVME_DNR;
      while (count)
        {
          uint32_t part = MIN (count, SGL_DESCRIPTORS);

          seen += part;
          if (seen > SGL_MAX)
            return NVME_INVALID_SGL_COUNT | NVME_DNR;
          if (vm_pci_dma_read (&n->parent, addr, descriptors, part * 16) != VM_MEM_OK)
            return NVME_DATA_TRANSFER_ERROR;
          for (uint32_t i = 0; i < part; i++)
            {
              const uint8_t *next = descriptors + 16 * i;
              uint16_t status;

              /* Only a segment's last descriptor leads to another one. */
              if (!last && count == part && i + 1 == part
                  && (next[15] >> 4 == SGL_SEGMENT || next[15] >> 4 == SGL_LAST_SEGMENT))
                {
                  memcpy (d, next, sizeof d);
                  chained = true;
                  break;
                }
              status = map_sgl_descriptor (sg, next, left);
              if (status)
                return status;
            }
          count -= part;
          addr += part * 16;
        }
      if (!chained)
        return last ? NVME_SUCCESS : NVME_INVALID_SGL_SEGMENT | NVME_DNR;
    }
}

static uint16_t
map_sgl (VmNvme *n, const NvmeCommand *cmd, VmDmaSg *sg, uint64_t len)
{
  uint64_t left = len;
  uint16_t status;

  switch (cmd->sgl[15] >> 4)
    {
    case SGL_DATA_BLOCK:
      status = map_sgl_descriptor (sg, cmd->sgl, &left);
      break;
    case SGL_SEGMENT:
    case SGL_LAST_SEGMENT:
      status = map_sgl_segment (n, sg, cmd->sgl, &left);
      break;
    default:
      status = NVME_SGL_TYPE | NVME_DNR;
      break;
    }
  return status ? status : left ? NVME_SGL_LENGTH | NVME_DNR : NVME_SUCCESS;
}

uint16_t
nvme_map (NvmeRequest *r, uint64_t len, VmDmaSg *sg)
{
  VmNvme *n = r->sq->ctrl;

  vm_dma_sg_reset (sg);
  sg->as = &n->parent.dma_as;
  sg->attrs = vm_pci_attrs (&n->parent);
  sg->owner = n;
  if (!len)
    return NVME_SUCCESS;
  switch (r->cmd.flags >> 6)
    {
    case PSDT_PRP:
      return map_prp (n, &r->cmd, sg, len);
    case PSDT_SGL_BUFFER:
    case PSDT_SGL_SEGMENT:
      /* Admin commands of a PCI Express controller take no lists of this kind. */
      return r->sq->id == 0 ? NVME_INVALID_FIELD | NVME_DNR : map_sgl (n, &r->cmd, sg, len);
    default:
      return NVME_INVALID_FIELD | NVME_DNR;
    }
}

static uint16_t
copy (NvmeRequest *r, void *data, uint32_t len, bool to_memory)
{
  VmDmaSg sg = { 0 };
  uint16_t status = nvme_map (r, len, &sg);

  if (!status && (vm_dma_sg_copy (&sg, 0, data, len, to_memory) < len || sg.failed))
    status = NVME_DATA_TRANSFER_ERROR;
  vm_dma_sg_clear (&sg);
  return status;
}

uint16_t
nvme_to_host (NvmeRequest *r, const void *data, uint32_t len)
{
  return copy (r, (void *) data, len, true);
}

uint16_t
nvme_from_host (NvmeRequest *r, void *data, uint32_t len)
{
  return copy (r, data, len, false);
}
