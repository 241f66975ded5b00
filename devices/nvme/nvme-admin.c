/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Admin commands of an NVMe controller: queues, aborts, event requests, formats, attachment, doorbell buffers (NVM
 * Express 1.4, chapter 5). */
#include "devices/nvme/nvme.h"

enum
{
  ADM_DELETE_SQ = 0x00,
  ADM_CREATE_SQ = 0x01,
  ADM_GET_LOG = 0x02,
  ADM_DELETE_CQ = 0x04,
  ADM_CREATE_CQ = 0x05,
  ADM_IDENTIFY = 0x06,
  ADM_ABORT = 0x08,
  ADM_SET_FEATURES = 0x09,
  ADM_GET_FEATURES = 0x0a,
  ADM_EVENT_REQUEST = 0x0c,
  ADM_ATTACHMENT = 0x15,
  ADM_DOORBELLS = 0x7c,
  ADM_FORMAT = 0x80
};
enum
{
  QUEUE_CONTIGUOUS = 1 << 0,
  QUEUE_INTERRUPTS = 1 << 1
};
#define FORMAT_STEP (1 * VM_GIB)

/* --- queues ----------------------------------------------------------------------------------- */

static uint16_t
check_queue (const VmNvme *n, const NvmeRequest *r, bool exists)
{
  uint32_t size = (r->cmd.cdw10 >> 16) + 1;

  if (exists)
    return NVME_INVALID_QID | NVME_DNR;
  if (size < 2 || size > NVME_MAX_QUEUE)
    return NVME_INVALID_QUEUE_SIZE | NVME_DNR;
  if (!(r->cmd.cdw11 & QUEUE_CONTIGUOUS))
    return NVME_INVALID_FIELD | NVME_DNR;
  return r->cmd.prp1 & ((UINT64_C (1) << n->page_shift) - 1) ? NVME_INVALID_PRP_OFFSET | NVME_DNR : NVME_SUCCESS;
}

static uint16_t
create_cq (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint16_t id = (uint16_t) r->cmd.cdw10, vector = r->cmd.cdw11 >> 16;
  uint16_t status = check_queue (n, r, id == 0 || id > n->max_ioqpairs || n->cqs[id]);

  if (status)
    return status;
  if (vector >= n->msix_qsize || (vector && !vm_pci_msix_enabled (&n->parent)))
    return NVME_INVALID_VECTOR | NVME_DNR;
  nvme_cq_new (n, id, r->cmd.prp1, (r->cmd.cdw10 >> 16) + 1, vector, r->cmd.cdw11 & QUEUE_INTERRUPTS);
  return NVME_SUCCESS;
}

static uint16_t
create_sq (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint16_t id = (uint16_t) r->cmd.cdw10, cqid = r->cmd.cdw11 >> 16, status;

  if (cqid == 0 || cqid > n->max_ioqpairs || !n->cqs[cqid])
    return NVME_INVALID_CQ | NVME_DNR;
  status = check_queue (n, r, id == 0 || id > n->max_ioqpairs || n->sqs[id]);
  if (!status)
    nvme_sq_new (n, id, cqid, r->cmd.prp1, (r->cmd.cdw10 >> 16) + 1);
  return status;
}

static uint16_t
delete_cq (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint16_t id = (uint16_t) r->cmd.cdw10;

  if (id == 0 || id > n->max_ioqpairs || !n->cqs[id])
    return NVME_INVALID_CQ | NVME_DNR;
  if (n->cqs[id]->n_sqs)
    return NVME_INVALID_QUEUE_DELETION;
  nvme_cq_free (n->cqs[id]);
  nvme_update_irq (n);
  return NVME_SUCCESS;
}

static uint16_t
delete_sq (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint16_t id = (uint16_t) r->cmd.cdw10;

  if (id == 0 || id > n->max_ioqpairs || !n->sqs[id])
    return NVME_INVALID_QID | NVME_DNR;
  nvme_drain (n);
  nvme_sq_free (n->sqs[id]);
  return NVME_SUCCESS;
}

/* Doorbells in memory: a page for what the guest writes, another one for how far it need not ring. */
static uint16_t
configure_doorbells (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint64_t page = (UINT64_C (1) << n->page_shift) - 1;

  if ((r->cmd.prp1 | r->cmd.prp2) & page || !r->cmd.prp1 || !r->cmd.prp2)
    return NVME_INVALID_FIELD | NVME_DNR;
  n->doorbells = r->cmd.prp1;
  n->event_indexes = r->cmd.prp2;
  for (unsigned i = 0; i <= n->max_ioqpairs; i++)
    nvme_shadow_queues (n, i);
  return NVME_SUCCESS;
}

/* --- commands about commands ------------------------------------------------------------------ */

static uint16_t
abort_command (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint16_t sqid = (uint16_t) r->cmd.cdw10, cid = r->cmd.cdw10 >> 16;

  r->result = 1; /* not aborted: what has reached the medium goes on */
  if (sqid > n->max_ioqpairs || !n->sqs[sqid])
    return NVME_INVALID_FIELD | NVME_DNR;
  if (sqid == 0 && nvme_abort_aer (n, cid))
    r->result = 0;
  return NVME_SUCCESS;
}

static uint16_t
event_request (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  if (n->n_aers > n->aerl)
    return NVME_AER_LIMIT | NVME_DNR;
  nvme_keep_aer (r);
  nvme_tell_events (n);
  return NVME_NO_COMPLETE;
}

/* --- formats ---------------------------------------------------------------------------------- */

static void
format_done (NvmeRequest *r, uint16_t status)
{
  NvmeNamespace *ns = r->ns;
  uint8_t shifts[NVME_LBA_FORMATS + 1];

  if (!status)
    {
      nvme_namespace_formats (ns, shifts);
      ns->lba_format = r->cmd.cdw10 & 15;
      ns->lba_shift = shifts[ns->lba_format];
    }
  ns->formatting = false;
}

static void format_next (NvmeRequest *r);

static void
format_zeroed (void *opaque, int status)
{
  NvmeRequest *r = opaque;

  if (status)
    {
      format_done (r, NVME_INTERNAL_ERROR);
      nvme_complete (r, NVME_INTERNAL_ERROR);
      return;
    }
  r->offset += r->left;
  format_next (r);
}

/* The namespace's next stretch, or the next namespace. */
static void
format_next (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  for (;;)
    {
      if (r->ns)
        {
          uint64_t size = vm_block_size (r->ns->conf.drive->block);

          if (r->offset < size)
            {
              r->left = MIN (size - r->offset, FORMAT_STEP);
              vm_block_write_zeroes (r->ns->conf.drive->block, r->offset, r->left, VM_BLOCK_UNMAP, format_zeroed, r);
              return;
            }
          format_done (r, NVME_SUCCESS);
          r->ns = NULL;
        }
      if (r->cmd.nsid != NVME_ALL && r->index >= 1)
        break;
      for (r->index++; r->cmd.nsid == NVME_ALL && r->index <= NVME_NAMESPACES && !n->namespaces[r->index]; r->index++)
        ;
      if (r->cmd.nsid == NVME_ALL && r->index > NVME_NAMESPACES)
        break;
      r->ns = n->namespaces[r->cmd.nsid == NVME_ALL ? r->index : r->cmd.nsid];
      r->ns->formatting = true;
      r->offset = 0;
    }
  nvme_complete (r, NVME_SUCCESS);
}

static uint16_t
check_format (const NvmeNamespace *ns, uint32_t how)
{
  uint8_t shifts[NVME_LBA_FORMATS + 1];

  if ((how & 15) >= nvme_namespace_formats (ns, shifts) || (how & 0xf0) || ((how >> 9) & 7) > 1
      || vm_block_readonly (ns->conf.drive->block))
    return NVME_INVALID_FORMAT | NVME_DNR;
  return ns->formatting ? NVME_FORMAT_IN_PROGRESS : NVME_SUCCESS;
}

static uint16_t
format (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  if (r->cmd.nsid != NVME_ALL && (r->cmd.nsid == 0 || r->cmd.nsid > NVME_NAMESPACES))
    return NVME_INVALID_NAMESPACE | NVME_DNR;
  if (r->cmd.nsid != NVME_ALL && !n->namespaces[r->cmd.nsid])
    return NVME_INVALID_FIELD | NVME_DNR;
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && (r->cmd.nsid == NVME_ALL || r->cmd.nsid == i))
      {
        uint16_t status = check_format (n->namespaces[i], r->cmd.cdw10);

        if (status)
          return status;
      }
  format_next (r);
  return NVME_NO_COMPLETE;
}

/* --- attachment of namespaces to the controllers of a subsystem ------------------------------- */

static bool
namespace_has_controller (const VmNvmeSubsystem *subsys, const NvmeNamespace *ns)
{
  for (unsigned i = 0; i < NVME_CONTROLLERS; i++)
    if (subsys->controllers[i] && subsys->controllers[i]->namespaces[ns->nsid] == ns)
      return true;
  return false;
}

static uint16_t
attach_one (VmNvme *ctrl, NvmeNamespace *ns, bool attach)
{
  bool attached = ctrl->namespaces[ns->nsid] == ns;

  if (attach && attached)
    return NVME_NS_ATTACHED | NVME_DNR;
  if (attach && !ns->shared && namespace_has_controller (ctrl->subsys, ns))
    return NVME_NS_PRIVATE | NVME_DNR;
  if (!attach && !attached)
    return NVME_NS_NOT_ATTACHED | NVME_DNR;
  if (attach)
    nvme_attach (ctrl, ns);
  else
    nvme_detach (ctrl, ns);
  return NVME_SUCCESS;
}

static uint16_t
attachment (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;
  uint8_t list[4096];
  uint16_t count, status;

  if (!n->subsys || (r->cmd.cdw10 & 15) > 1)
    return NVME_INVALID_FIELD | NVME_DNR;
  if (r->cmd.nsid == 0 || r->cmd.nsid > NVME_NAMESPACES)
    return NVME_INVALID_NAMESPACE | NVME_DNR;
  if (!n->subsys->namespaces[r->cmd.nsid])
    return NVME_INVALID_FIELD | NVME_DNR;
  status = nvme_from_host (r, list, sizeof list);
  count = vm_load_le16 (list);
  if (!status && (!count || count > NVME_CONTROLLERS))
    status = NVME_INVALID_CTRL_LIST | NVME_DNR;
  for (unsigned i = 1; i <= count && !status; i++)
    {
      uint16_t id = vm_load_le16 (list + 2 * i);
      VmNvme *ctrl = id < NVME_CONTROLLERS ? n->subsys->controllers[id] : NULL;

      status = ctrl ? attach_one (ctrl, n->subsys->namespaces[r->cmd.nsid], !(r->cmd.cdw10 & 1))
                    : NVME_INVALID_CTRL_LIST | NVME_DNR;
    }
  return status;
}

uint16_t
nvme_admin_command (NvmeRequest *r)
{
  if (r->cmd.flags & 3) /* fused operations */
    return NVME_INVALID_FIELD | NVME_DNR;
  switch (r->cmd.opcode)
    {
    case ADM_DELETE_SQ:
      return delete_sq (r);
    case ADM_CREATE_SQ:
      return create_sq (r);
    case ADM_GET_LOG:
      return nvme_get_log (r);
    case ADM_DELETE_CQ:
      return delete_cq (r);
    case ADM_CREATE_CQ:
      return create_cq (r);
    case ADM_IDENTIFY:
      return nvme_identify (r);
    case ADM_ABORT:
      return abort_command (r);
    case ADM_SET_FEATURES:
      return nvme_set_features (r);
    case ADM_GET_FEATURES:
      return nvme_get_features (r);
    case ADM_EVENT_REQUEST:
      return event_request (r);
    case ADM_ATTACHMENT:
      return attachment (r);
    case ADM_DOORBELLS:
      return configure_doorbells (r);
    case ADM_FORMAT:
      return format (r);
    default:
      return NVME_INVALID_OPCODE | NVME_DNR;
    }
}
