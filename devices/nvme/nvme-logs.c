/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log pages of an NVMe controller (NVM Express 1.4, 5.14.1). */
#include "devices/nvme/nvme.h"

enum
{
  LOG_ERRORS = 0x01,
  LOG_SMART = 0x02,
  LOG_FIRMWARE = 0x03,
  LOG_CHANGED = 0x04,
  LOG_EFFECTS = 0x05
};
enum
{
  EFFECT_SUPPORTED = 1 << 0,
  EFFECT_CONTENT = 1 << 1,
  EFFECT_ATTRIBUTES = 1 << 3,
  EFFECT_INVENTORY = 1 << 4
};
#define LOG_MAX 4096u

static void
add_use (const NvmeNamespace *ns, uint64_t *units_read, uint64_t *units_written, uint64_t *reads, uint64_t *writes)
{
  *units_read += ns->bytes_read;
  *units_written += ns->bytes_written;
  *reads += ns->reads;
  *writes += ns->writes;
}

static uint16_t
fill_smart (NvmeRequest *r, uint8_t *b)
{
  VmNvme *n = r->sq->ctrl;
  uint32_t nsid = r->cmd.nsid;
  uint64_t bytes_read = 0, bytes_written = 0, reads = 0, writes = 0;

  if (nsid && nsid != NVME_ALL && (nsid > NVME_NAMESPACES || !n->namespaces[nsid]))
    return NVME_INVALID_NAMESPACE | NVME_DNR;
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && (nsid == i || nsid == 0 || nsid == NVME_ALL))
      add_use (n->namespaces[i], &bytes_read, &bytes_written, &reads, &writes);
  b[0] = n->critical_warning
         | (n->temperature >= n->temperature_over || n->temperature <= n->temperature_under ? 1 << 1 : 0);
  vm_store_le16 (b + 1, n->temperature);
  b[3] = 100; /* spare, and when there is too little of it, in per cent */
  b[4] = 10;
  vm_store_le64 (b + 32, (bytes_read + 511999) / 512000); /* thousands of 512 bytes */
  vm_store_le64 (b + 48, (bytes_written + 511999) / 512000);
  vm_store_le64 (b + 64, reads);
  vm_store_le64 (b + 80, writes);
  vm_store_le64 (b + 112, n->starts);
  vm_store_le64 (b + 128, (uint64_t) nvme_now_ms (n) / 3600000);
  return NVME_SUCCESS;
}

/* Ids of namespaces whose attributes are others than before the last time it was read. */
static void
fill_changed (VmNvme *n, uint8_t *b)
{
  unsigned at = 0;

  for (unsigned id = 1; id <= NVME_NAMESPACES; id++)
    if (n->changed[(id - 1) / 32] & UINT32_C (1) << (id - 1) % 32)
      vm_store_le32 (b + 4 * at++, id);
}

static void
fill_effects (const VmNvme *n, uint8_t set, uint8_t *b)
{
  static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x7c };
  static const uint8_t reading[] = { 0x02, 0x05, 0x0c }, writing[] = { 0x00, 0x01, 0x08, 0x09, 0x19 };

  for (size_t i = 0; i < sizeof admin; i++)
    vm_store_le32 (b + 4 * admin[i], EFFECT_SUPPORTED);
  if (n->subsys)
    vm_store_le32 (b + 4 * 0x15, EFFECT_SUPPORTED | EFFECT_INVENTORY);
  vm_store_le32 (b + 4 * 0x80, EFFECT_SUPPORTED | EFFECT_CONTENT | EFFECT_ATTRIBUTES);
  if (set)
    return;
  for (size_t i = 0; i < sizeof reading; i++)
    vm_store_le32 (b + 1024 + 4 * reading[i], EFFECT_SUPPORTED);
  for (size_t i = 0; i < sizeof writing; i++)
    vm_store_le32 (b + 1024 + 4 * writing[i], EFFECT_SUPPORTED | EFFECT_CONTENT);
}

/* What the guest has seen of a page may be told again. */
static void
unmask (VmNvme *n, uint8_t type)
{
  n->events_masked &= ~(1u << type);
  nvme_tell_events (n);
}

uint16_t
nvme_get_log (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t page = (uint8_t) r->cmd.cdw10, set = r->cmd.cdw14 >> 24, data[LOG_MAX] = { 0 };
  uint64_t len = ((uint64_t) (r->cmd.cdw11 & 0xffff) << 16 | r->cmd.cdw10 >> 16) * 4 + 4;
  uint64_t offset = (uint64_t) r->cmd.cdw13 << 32 | r->cmd.cdw12, size = 0;
  bool retain = r->cmd.cdw10 & 1 << 15;
  uint16_t status = NVME_SUCCESS;

  if (offset & 3)
    return NVME_INVALID_FIELD | NVME_DNR;
  switch (page)
    {
    case LOG_ERRORS: /* commands tell of their errors themselves: there are no entries */
      size = 64;
      break;
    case LOG_SMART:
      size = 512;
      status = fill_smart (r, data);
      break;
    case LOG_FIRMWARE:
      size = 512;
      data[0] = 1;
      memcpy (data + 8, "1.0     ", 8);
      break;
    case LOG_CHANGED:
      size = 4096;
      fill_changed (n, data);
      break;
    case LOG_EFFECTS:
      size = 2048;
      fill_effects (n, set, data);
      break;
    default:
      return NVME_INVALID_FIELD | NVME_DNR;
    }
  if (!status && offset >= size)
    status = NVME_INVALID_FIELD | NVME_DNR;
  if (!status)
    status = nvme_to_host (r, data + offset, (uint32_t) MIN (len, size - offset));
  if (status || retain)
    return status;
  if (page == LOG_CHANGED)
    {
      memset (n->changed, 0, sizeof n->changed);
      unmask (n, NVME_EVENT_NOTICE);
    }
  else if (page == LOG_SMART)
    unmask (n, NVME_EVENT_SMART);
  else if (page == LOG_ERRORS)
    unmask (n, NVME_EVENT_ERROR);
  return NVME_SUCCESS;
}
