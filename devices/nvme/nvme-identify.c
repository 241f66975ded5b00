/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Identify command of an NVMe controller (NVM Express 1.4, 5.15). */
#include "devices/nvme/nvme.h"

enum
{
  CNS_NAMESPACE = 0x00,
  CNS_CONTROLLER = 0x01,
  CNS_ACTIVE_LIST = 0x02,
  CNS_DESCRIPTORS = 0x03,
  CNS_SET_NAMESPACE = 0x05,
  CNS_SET_CONTROLLER = 0x06,
  CNS_SET_ACTIVE_LIST = 0x07,
  CNS_ALLOCATED_LIST = 0x10,
  CNS_ALLOCATED_NAMESPACE = 0x11,
  CNS_NAMESPACE_CONTROLLERS = 0x12,
  CNS_CONTROLLERS = 0x13,
  CNS_SET_ALLOCATED_LIST = 0x1a,
  CNS_COMMAND_SETS = 0x1c
};
#define PAGE 4096u
#define VERSION 0x00010400

static void
put_text (uint8_t *at, unsigned size, const char *text)
{
  memset (at, ' ', size);
  memcpy (at, text, MIN (strlen (text), size));
}

/* --- the controller --------------------------------------------------------------------------- */

static void
fill_controller (const VmNvme *n, uint8_t *b)
{
  static const uint8_t intel[3] = { 0xb3, 0x02, 0x00 }, other[3] = { 0x00, 0x54, 0x52 };
  const uint8_t *config = n->parent.config;
  g_autofree char *nqn = n->subsys ? NULL : g_strdup_printf ("nqn.2019-08.org.qemu:%s", n->serial);

  memcpy (b, config + PCI_VENDOR_ID, 2);
  memcpy (b + 2, config + PCI_SUBSYSTEM_VENDOR_ID, 2);
  put_text (b + 4, 20, n->serial);
  put_text (b + 24, 40, "VITRINE NVMe Ctrl");
  put_text (b + 64, 8, "1.0");
  b[72] = 6; /* arbitration burst */
  memcpy (b + 73, n->use_intel_id ? intel : other, 3);
  b[76] = n->subsys ? 1 << 1 : 0; /* more than one controller */
  b[77] = n->mdts;
  vm_store_le16 (b + 78, n->id);
  vm_store_le32 (b + 80, VERSION);
  vm_store_le32 (b + 92, 1 << 8);                                      /* tells of changed namespaces */
  b[111] = 1;                                                          /* an I/O controller */
  vm_store_le16 (b + 256, 1 << 1 | (n->subsys ? 1 << 3 : 0) | 1 << 8); /* format, attachment, doorbell buffers */
  b[258] = 3;                                                          /* aborts at once, less one */
  b[259] = n->aerl;
  b[260] = 1 | 1 << 1;            /* one firmware slot, read-only */
  b[261] = 1 | 1 << 1 | 1 << 2;   /* logs: SMART of namespaces, effects, long ones */
  vm_store_le16 (b + 266, 0x157); /* temperatures that warn and that are critical, in K */
  vm_store_le16 (b + 268, 0x175);
  b[512] = 0x66; /* sizes of entries */
  b[513] = 0x44;
  vm_store_le32 (b + 516, NVME_NAMESPACES);
  /* compare, dataset management, write zeroes, select, timestamp, verify, copy */
  vm_store_le16 (b + 520, 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8);
  b[525] = 1 | 3 << 1;        /* a volatile cache; flush takes all namespaces */
  vm_store_le16 (b + 534, 1); /* copy descriptors of format 0 */
  vm_store_le32 (b + 536, 1); /* SGLs of any alignment */
  g_strlcpy ((char *) b + 768, n->subsys ? n->subsys->subnqn : nqn, 256);
  vm_store_le16 (b + 2048, 0x9c4); /* 25 W; in and out in microseconds */
  vm_store_le32 (b + 2052, 16);
  vm_store_le32 (b + 2056, 4);
}

/* --- namespaces ------------------------------------------------------------------------------- */

static void
fill_namespace (const NvmeNamespace *ns, uint8_t *b)
{
  uint64_t blocks = nvme_namespace_blocks (ns), block = UINT64_C (1) << ns->lba_shift;
  uint8_t shifts[NVME_LBA_FORMATS + 1];
  unsigned formats = nvme_namespace_formats (ns, shifts);
  uint64_t granularity = MAX (ns->conf.discard_granularity / block, 1);

  vm_store_le64 (b, blocks);
  vm_store_le64 (b + 8, blocks);
  vm_store_le64 (b + 16, blocks);
  b[24] = 1 << 4; /* sizes that suit it are given */
  b[25] = (uint8_t) (formats - 1);
  b[26] = ns->lba_format;
  b[30] = ns->shared;
  b[33] = 1 | 1 << 3; /* deallocated blocks read as zeros; so does Write Zeroes deallocate */
  vm_store_le16 (b + 64, (uint16_t) (MAX (ns->conf.min_io_size / block, 1) - 1));
  vm_store_le16 (b + 68, (uint16_t) (MIN (granularity, 65536) - 1));
  vm_store_le16 (b + 70, (uint16_t) (MIN (granularity, 65536) - 1));
  vm_store_le16 (b + 72, (uint16_t) (ns->conf.opt_io_size ? MIN (ns->conf.opt_io_size / block, 65536) - 1 : 0));
  vm_store_le16 (b + 74, ns->mssrl);
  vm_store_le32 (b + 76, ns->mcl);
  b[80] = ns->msrc;
  b[99] = vm_block_readonly (ns->conf.drive->block);
  vm_store_be64 (b + 120, ns->eui64);
  for (unsigned i = 0; i < formats; i++)
    b[128 + 4 * i + 2] = shifts[i];
}

static void
fill_descriptors (const NvmeNamespace *ns, uint8_t *b)
{
  if (ns->has_uuid)
    {
      b[0] = 3;
      b[1] = 16;
      memcpy (b + 4, ns->uuid, 16);
      b += 20;
    }
  if (ns->eui64)
    {
      b[0] = 1;
      b[1] = 8;
      vm_store_be64 (b + 4, ns->eui64);
      b += 12;
    }
  b[0] = 4; /* the command set: NVM */
  b[1] = 1;
}

/* Ids above the one that is given, of the first 1024. */
static void
fill_list (NvmeNamespace *const *namespaces, uint32_t above, uint8_t *b)
{
  unsigned at = 0;

  for (uint32_t id = above + 1; id <= NVME_NAMESPACES; id++)
    if (namespaces[id])
      vm_store_le32 (b + 4 * at++, id);
}

static void
fill_controllers (const VmNvmeSubsystem *subsys, uint32_t nsid, unsigned from, uint8_t *b)
{
  unsigned count = 0;

  for (unsigned i = from; i < NVME_CONTROLLERS; i++)
    if (subsys->controllers[i] && (!nsid || subsys->controllers[i]->namespaces[nsid]))
      vm_store_le16 (b + 2 * ++count, (uint16_t) i);
  vm_store_le16 (b, (uint16_t) count);
}

static NvmeNamespace *const *
allocated (const VmNvme *n)
{
  return n->subsys ? n->subsys->namespaces : n->namespaces;
}

static uint16_t
fill (NvmeRequest *r, uint8_t *b)
{
  VmNvme *n = r->sq->ctrl;
  uint32_t nsid = r->cmd.nsid;
  uint8_t cns = (uint8_t) r->cmd.cdw10, set = r->cmd.cdw11 >> 24;
  bool named
      = cns == CNS_NAMESPACE || cns == CNS_DESCRIPTORS || cns == CNS_SET_NAMESPACE || cns == CNS_ALLOCATED_NAMESPACE;

  if (named && (nsid == 0 || nsid > NVME_NAMESPACES))
    return NVME_INVALID_NAMESPACE | NVME_DNR;
  if (set
      && (cns == CNS_SET_NAMESPACE || cns == CNS_SET_CONTROLLER || cns == CNS_SET_ACTIVE_LIST
          || cns == CNS_SET_ALLOCATED_LIST))
    return NVME_INVALID_FIELD | NVME_DNR;
  switch (cns)
    {
    case CNS_NAMESPACE:
    case CNS_ALLOCATED_NAMESPACE:
      {
        const NvmeNamespace *ns = cns == CNS_NAMESPACE ? n->namespaces[nsid] : allocated (n)[nsid];

        if (ns)
          fill_namespace (ns, b);
        return NVME_SUCCESS;
      }
    case CNS_CONTROLLER:
      fill_controller (n, b);
      return NVME_SUCCESS;
    case CNS_ACTIVE_LIST:
    case CNS_SET_ACTIVE_LIST:
    case CNS_ALLOCATED_LIST:
    case CNS_SET_ALLOCATED_LIST:
      if (nsid >= NVME_ALL - 1)
        return NVME_INVALID_NAMESPACE | NVME_DNR;
      fill_list (cns == CNS_ACTIVE_LIST || cns == CNS_SET_ACTIVE_LIST ? n->namespaces : allocated (n), nsid, b);
      return NVME_SUCCESS;
    case CNS_DESCRIPTORS:
      if (!n->namespaces[nsid])
        return NVME_INVALID_FIELD | NVME_DNR;
      fill_descriptors (n->namespaces[nsid], b);
      return NVME_SUCCESS;
    case CNS_SET_NAMESPACE:
      return n->namespaces[nsid] ? NVME_SUCCESS : NVME_INVALID_FIELD | NVME_DNR;
    case CNS_SET_CONTROLLER:
      b[0] = n->vsl;
      vm_store_le32 (b + 4, UINT32_MAX >> 10); /* blocks of one deallocated range */
      return NVME_SUCCESS;
    case CNS_NAMESPACE_CONTROLLERS:
    case CNS_CONTROLLERS:
      if (!n->subsys)
        return NVME_INVALID_FIELD | NVME_DNR;
      if (cns == CNS_NAMESPACE_CONTROLLERS && (nsid == 0 || nsid > NVME_NAMESPACES))
        return NVME_INVALID_NAMESPACE | NVME_DNR;
      fill_controllers (n->subsys, cns == CNS_CONTROLLERS ? 0 : nsid, r->cmd.cdw10 >> 16, b);
      return NVME_SUCCESS;
    case CNS_COMMAND_SETS:
      b[0] = 1;
      return NVME_SUCCESS;
    default:
      return NVME_INVALID_FIELD | NVME_DNR;
    }
}

uint16_t
nvme_identify (NvmeRequest *r)
{
  g_autofree uint8_t *page = g_malloc0 (PAGE);
  uint16_t status = fill (r, page);

  return status ? status : nvme_to_host (r, page, PAGE);
}
