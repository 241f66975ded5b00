/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Get Features and Set Features of an NVMe controller (NVM Express 1.4, 5.14 and 5.21). */
#include "devices/nvme/nvme.h"

enum
{
  FID_ARBITRATION = 0x01,
  FID_POWER = 0x02,
  FID_TEMPERATURE = 0x04,
  FID_ERROR_RECOVERY = 0x05,
  FID_CACHE = 0x06,
  FID_QUEUES = 0x07,
  FID_COALESCING = 0x08,
  FID_VECTOR = 0x09,
  FID_ATOMICITY = 0x0a,
  FID_EVENTS = 0x0b,
  FID_TIMESTAMP = 0x0e,
  FID_HOST_BEHAVIOUR = 0x16,
  FID_COMMAND_SET = 0x19
};
enum
{
  SELECT_CURRENT,
  SELECT_DEFAULT,
  SELECT_SAVED,
  SELECT_CAPABILITIES
};
enum
{
  CAN_SAVE = 1,
  PER_NAMESPACE = 2,
  CAN_CHANGE = 4
};
enum
{
  EVENT_TEMPERATURE = 1
};
#define DEFAULT_THRESHOLD 0x157
#define ARBITRATION 7 /* no limit to a burst */

/* -1: no such feature. */
static int
capabilities (uint8_t fid)
{
  switch (fid)
    {
    case FID_ARBITRATION:
    case FID_POWER:
    case FID_COALESCING:
    case FID_VECTOR:
    case FID_ATOMICITY:
      return 0;
    case FID_ERROR_RECOVERY:
      return CAN_CHANGE | PER_NAMESPACE;
    case FID_TEMPERATURE:
    case FID_CACHE:
    case FID_QUEUES:
    case FID_EVENTS:
    case FID_TIMESTAMP:
    case FID_HOST_BEHAVIOUR:
    case FID_COMMAND_SET:
      return CAN_CHANGE;
    default:
      return -1;
    }
}

static bool
cache_is_on (const VmNvme *n)
{
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && n->namespaces[i]->conf.write_cache != VM_ONOFFAUTO_OFF)
      return true;
  return false;
}

static uint16_t
temperature_threshold (const VmNvme *n, const NvmeRequest *r, bool standard, uint32_t *value)
{
  unsigned sensor = r->cmd.cdw11 >> 16 & 15, kind = r->cmd.cdw11 >> 20 & 3;

  if (sensor > 0)
    return NVME_SUCCESS; /* not there: zero */
  if (kind > 1)
    return NVME_INVALID_FIELD | NVME_DNR;
  *value = kind ? (standard ? 0 : n->temperature_under) : standard ? DEFAULT_THRESHOLD : n->temperature_over;
  return NVME_SUCCESS;
}

static uint16_t
get_timestamp (NvmeRequest *r, bool standard)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t bytes[8] = { 0 };

  if (!standard)
    {
      vm_store_le64 (bytes, (n->timestamp + (uint64_t) (nvme_now_ms (n) - n->timestamp_at)) & VM_MASK (47, 0));
      bytes[6] = n->timestamp_origin << 1;
    }
  return nvme_to_host (r, bytes, sizeof bytes);
}

uint16_t
nvme_get_features (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t fid = (uint8_t) r->cmd.cdw10;
  unsigned select = r->cmd.cdw10 >> 8 & 7;
  bool standard = select == SELECT_DEFAULT || select == SELECT_SAVED;
  int can = capabilities (fid);
  uint32_t nsid = r->cmd.nsid;

  if (can < 0 || select > SELECT_CAPABILITIES)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (can & PER_NAMESPACE)
    {
      if (nsid == 0 || nsid > NVME_NAMESPACES)
        return NVME_INVALID_NAMESPACE | NVME_DNR;
      if (!n->namespaces[nsid])
        return NVME_INVALID_FIELD | NVME_DNR;
    }
  if (select == SELECT_CAPABILITIES)
    {
      r->result = (uint32_t) can;
      return NVME_SUCCESS;
    }
  switch (fid)
    {
    case FID_ARBITRATION:
      r->result = ARBITRATION;
      break;
    case FID_TEMPERATURE:
      return temperature_threshold (n, r, standard, &r->result);
    case FID_ERROR_RECOVERY:
      r->result = standard ? 0 : n->namespaces[nsid]->error_recovery;
      break;
    case FID_CACHE:
      r->result = standard || cache_is_on (n);
      break;
    case FID_QUEUES:
      r->result = (n->max_ioqpairs - 1) | (n->max_ioqpairs - 1) << 16;
      break;
    case FID_VECTOR:
      if ((r->cmd.cdw11 & 0xffff) >= n->msix_qsize)
        return NVME_INVALID_FIELD | NVME_DNR;
      r->result = (r->cmd.cdw11 & 0xffff) | 1 << 16; /* never coalesced */
      break;
    case FID_EVENTS:
      r->result = standard ? 0 : n->event_config;
      break;
    case FID_TIMESTAMP:
      return get_timestamp (r, standard);
    case FID_HOST_BEHAVIOUR:
      {
        static const uint8_t none[sizeof n->host_behaviour];

        return nvme_to_host (r, standard ? none : n->host_behaviour, sizeof none);
      }
    }
  return NVME_SUCCESS;
}

/* --- set -------------------------------------------------------------------------------------- */

static void
flushed (void *opaque, int status)
{
  nvme_complete (opaque, status ? NVME_INTERNAL_ERROR : NVME_SUCCESS);
}

/* What was promised to the cache is written down when there is none any more. */
static uint16_t
set_cache (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  bool on = r->cmd.cdw11 & 1;
  NvmeNamespace *last = NULL;

  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i])
      {
        last = n->namespaces[i];
        last->conf.write_cache = on ? VM_ONOFFAUTO_ON : VM_ONOFFAUTO_OFF;
        vm_block_set_write_cache (last->conf.drive->block, on);
        if (!on && i > 1 && n->namespaces[1] && last != n->namespaces[1])
          vm_block_drain (last->conf.drive->block);
      }
  if (on || !last)
    return NVME_SUCCESS;
  vm_block_flush (last->conf.drive->block, flushed, r);
  return NVME_NO_COMPLETE;
}

static uint16_t
set_temperature (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  unsigned sensor = r->cmd.cdw11 >> 16 & 15, kind = r->cmd.cdw11 >> 20 & 3;

  if (sensor > 0)
    return NVME_SUCCESS;
  if (kind > 1)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (kind)
    n->temperature_under = (uint16_t) r->cmd.cdw11;
  else
    n->temperature_over = (uint16_t) r->cmd.cdw11;
  if (n->temperature >= n->temperature_over || n->temperature <= n->temperature_under)
    nvme_event (n, NVME_EVENT_SMART, EVENT_TEMPERATURE, 2);
  return NVME_SUCCESS;
}

static uint16_t
set_error_recovery (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && (r->cmd.nsid == NVME_ALL || r->cmd.nsid == i))
      n->namespaces[i]->error_recovery = r->cmd.cdw11 & 0xffff;
  return NVME_SUCCESS;
}

static uint16_t
set_queues (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  for (unsigned i = 1; i <= n->max_ioqpairs; i++)
    if (n->sqs[i] || n->cqs[i])
      return NVME_SEQUENCE_ERROR | NVME_DNR;
  if ((r->cmd.cdw11 & 0xffff) == 0xffff || r->cmd.cdw11 >> 16 == 0xffff)
    return NVME_INVALID_FIELD | NVME_DNR;
  r->result = (n->max_ioqpairs - 1) | (n->max_ioqpairs - 1) << 16;
  return NVME_SUCCESS;
}

static uint16_t
set_timestamp (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t bytes[8];
  uint16_t status = nvme_from_host (r, bytes, sizeof bytes);

  if (status)
    return status;
  n->timestamp = vm_load_le64 (bytes) & VM_MASK (47, 0);
  n->timestamp_at = nvme_now_ms (n);
  n->timestamp_origin = 1;
  return NVME_SUCCESS;
}

uint16_t
nvme_set_features (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t fid = (uint8_t) r->cmd.cdw10;
  int can = capabilities (fid);
  uint32_t nsid = r->cmd.nsid;

  if (r->cmd.cdw10 >> 31)
    return NVME_NOT_SAVEABLE | NVME_DNR;
  if (can < 0)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (can & PER_NAMESPACE)
    {
      if (nsid != NVME_ALL && (nsid == 0 || nsid > NVME_NAMESPACES))
        return NVME_INVALID_NAMESPACE | NVME_DNR;
      if (nsid != NVME_ALL && !n->namespaces[nsid])
        return NVME_INVALID_FIELD | NVME_DNR;
    }
  else if (nsid && nsid != NVME_ALL)
    return (nsid > NVME_NAMESPACES ? NVME_INVALID_NAMESPACE : NVME_NOT_PER_NAMESPACE) | NVME_DNR;
  if (!(can & CAN_CHANGE))
    return NVME_NOT_CHANGEABLE | NVME_DNR;
  switch (fid)
    {
    case FID_TEMPERATURE:
      return set_temperature (r);
    case FID_ERROR_RECOVERY:
      return set_error_recovery (r);
    case FID_CACHE:
      return set_cache (r);
    case FID_QUEUES:
      return set_queues (r);
    case FID_EVENTS:
      n->event_config = r->cmd.cdw11;
      return NVME_SUCCESS;
    case FID_TIMESTAMP:
      return set_timestamp (r);
    case FID_HOST_BEHAVIOUR:
      return nvme_from_host (r, n->host_behaviour, sizeof n->host_behaviour);
    default: /* the command set: there is one combination of them */
      return r->cmd.cdw11 & 0x1ff ? NVME_INVALID_COMMAND_SET | NVME_DNR : NVME_SUCCESS;
    }
}
