/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Submission and completion queues, interrupts and asynchronous events of an NVMe controller (NVM Express 1.4, 4.1, 7.5
 * and 5.2). */
#include "devices/nvme/nvme.h"

#include "engine/base/log.h"

enum
{
  EVENT_CONFIG_NAMESPACES = 1 << 8
};

/* --- interrupts ------------------------------------------------------------------------------- */

/* The pin; messages are sent when entries are written. */
void
nvme_update_irq (VmNvme *n)
{
  bool level = false;

  for (unsigned i = 0; i < n->cq_limit && !level; i++)
    {
      const NvmeCq *cq = n->cqs[i];

      level = cq && cq->s->interrupts && cq->s->head != cq->s->tail
              && !(n->intms & UINT32_C (1) << MIN (cq->s->vector, 31));
    }
  vm_pci_set_irq (&n->parent, level && !vm_pci_msix_enabled (&n->parent));
}

/* --- doorbells that lie in memory (DBBUF) ----------------------------------------------------- */

static uint32_t
read_shadow (VmNvme *n, uint64_t addr, uint32_t old, uint32_t size)
{
  uint8_t bytes[4];
  uint32_t value;

  if (vm_pci_dma_read (&n->parent, addr, bytes, sizeof bytes) != VM_MEM_OK)
    return old;
  value = vm_load_le32 (bytes);
  return value < size ? value : old;
}

/* The guest rings when it goes beyond; it is told first and looked at afterwards, so that nothing is missed. */
static void
write_event_index (VmNvme *n, uint64_t addr, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, value);
  vm_pci_dma_write (&n->parent, addr, bytes, sizeof bytes);
}

static void
sq_update_tail (NvmeSq *sq)
{
  if (!sq->s->shadow)
    return;
  write_event_index (sq->ctrl, sq->s->event, sq->s->tail);
  sq->s->tail = read_shadow (sq->ctrl, sq->s->shadow, sq->s->tail, sq->s->size);
}

static void
cq_update_head (NvmeCq *cq)
{
  if (!cq->s->shadow)
    return;
  write_event_index (cq->ctrl, cq->s->event, cq->s->head);
  cq->s->head = read_shadow (cq->ctrl, cq->s->shadow, cq->s->head, cq->s->size);
}

static void
cq_interrupt (NvmeCq *cq)
{
  VmNvme *n = cq->ctrl;

  if (!cq->s->interrupts)
    return;
  if (vm_pci_msix_enabled (&n->parent))
    vm_pci_msix_notify (&n->parent, cq->s->vector);
  else
    {
      cq_update_head (cq);
      nvme_update_irq (n);
    }
}

/* --- completion ------------------------------------------------------------------------------- */

static unsigned
cq_used (const NvmeCq *cq)
{
  return (cq->s->tail + cq->s->size - cq->s->head) % cq->s->size;
}

/* Each command under way has its entry: a full queue stops commands, never completions. */
static bool
cq_has_room (NvmeCq *cq)
{
  if (cq_used (cq) + cq->promised < cq->s->size - 1)
    return true;
  cq_update_head (cq);
  return cq_used (cq) + cq->promised < cq->s->size - 1;
}

static void
request_free (NvmeRequest *r)
{
  nvme_request_clear (r);
  g_free (r);
}

static void
cq_put (NvmeCq *cq, const NvmeRequest *r)
{
  uint8_t entry[NVME_CQE] = { 0 };
  VmNvme *n = cq->ctrl;

  vm_store_le32 (entry, r->result);
  vm_store_le16 (entry + 8, (uint16_t) r->sq->s->head);
  vm_store_le16 (entry + 10, r->sq->id);
  vm_store_le16 (entry + 12, r->cmd.cid);
  vm_store_le16 (entry + 14, (uint16_t) (r->status << 1 | cq->s->phase));
  /* The phase makes it valid: it is written last. */
  vm_pci_dma_write (&n->parent, cq->s->base + cq->s->tail * NVME_CQE, entry, 12);
  vm_pci_dma_write (&n->parent, cq->s->base + cq->s->tail * NVME_CQE + 12, entry + 12, 4);
  if (++cq->s->tail == cq->s->size)
    {
      cq->s->tail = 0;
      cq->s->phase = !cq->s->phase;
    }
}

static void
request_end (NvmeRequest *r)
{
  NvmeSq *sq = r->sq;

  g_queue_unlink (&sq->requests, &r->link);
  sq->cq->promised--;
  sq->ctrl->in_flight--;
  request_free (r);
}

void
nvme_complete (NvmeRequest *r, uint16_t status)
{
  NvmeSq *sq = r->sq;
  NvmeCq *cq = sq->cq;

  r->status = status;
  cq_put (cq, r);
  request_end (r);
  cq_interrupt (cq);
  if (sq->s->head != sq->s->tail && !sq->ctrl->processing)
    nvme_work (sq->ctrl);
}

void
nvme_cq_room (NvmeCq *cq)
{
  nvme_update_irq (cq->ctrl);
  nvme_tell_events (cq->ctrl);
  nvme_work (cq->ctrl);
}

/* --- submission ------------------------------------------------------------------------------- */

static void
decode (NvmeCommand *cmd, const uint8_t *b)
{
  cmd->opcode = b[0];
  cmd->flags = b[1];
  cmd->cid = vm_load_le16 (b + 2);
  cmd->nsid = vm_load_le32 (b + 4);
  cmd->mptr = vm_load_le64 (b + 16);
  cmd->prp1 = vm_load_le64 (b + 24);
  cmd->prp2 = vm_load_le64 (b + 32);
  memcpy (cmd->sgl, b + 24, sizeof cmd->sgl);
  cmd->cdw10 = vm_load_le32 (b + 40);
  cmd->cdw11 = vm_load_le32 (b + 44);
  cmd->cdw12 = vm_load_le32 (b + 48);
  cmd->cdw13 = vm_load_le32 (b + 52);
  cmd->cdw14 = vm_load_le32 (b + 56);
  cmd->cdw15 = vm_load_le32 (b + 60);
}

static NvmeRequest *
request_new (NvmeSq *sq)
{
  NvmeRequest *r = g_new0 (NvmeRequest, 1);

  r->sq = sq;
  r->link.data = r;
  sq->cq->promised++;
  sq->ctrl->in_flight++;
  g_queue_push_tail_link (&sq->requests, &r->link);
  return r;
}

/* Takes one command; false: there is none, or no place for it. */
static bool
sq_take (NvmeSq *sq)
{
  VmNvme *n = sq->ctrl;
  uint8_t bytes[NVME_SQE];
  NvmeRequest *r;
  uint16_t status;

  if (sq->s->head == sq->s->tail || n->in_flight >= NVME_IN_FLIGHT || !cq_has_room (sq->cq))
    return false;
  if (vm_pci_dma_read (&n->parent, sq->s->base + sq->s->head * NVME_SQE, bytes, sizeof bytes) != VM_MEM_OK)
    {
      vm_guest_error ("nvme", "submission queue %u is not in memory", sq->id);
      n->csts |= 2; /* fatal */
      return false;
    }
  sq->s->head = (sq->s->head + 1) % sq->s->size;
  r = request_new (sq);
  decode (&r->cmd, bytes);
  status = sq->id ? nvme_io_command (r) : nvme_admin_command (r);
  if (status != NVME_NO_COMPLETE)
    nvme_complete (r, status);
  return true;
}

/* Round robin: a command of each queue in turn. */
void
nvme_queues_process (VmNvme *n)
{
  unsigned taken = 0, idle = 0, queues = n->sq_limit;

  if (n->processing)
    return;
  n->processing = true;
  while (nvme_is_ready (n) && !(n->csts & 2) && taken < NVME_ROUND && idle < queues)
    {
      NvmeSq *sq = n->sqs[n->next_sq++ % queues];

      if (sq && sq->s->head == sq->s->tail)
        sq_update_tail (sq);
      if (sq && sq_take (sq))
        {
          taken++;
          idle = 0;
        }
      else
        idle++;
    }
  n->processing = false;
  if (taken == NVME_ROUND)
    nvme_work (n);
}

/* Goes on in the loop's next round. */
void
nvme_work (VmNvme *n)
{
  if (nvme_is_ready (n) && !vm_timer_pending (&n->work))
    vm_timer_set (&n->work, vm_clock_now (n->parent.parent.env->clocks, VM_CLOCK_VIRTUAL));
}

void
nvme_work_fired (void *opaque)
{
  VmReentry mark;
  VmNvme *n = opaque;

  vm_memory_owner_enter (n->parent.parent.env->memory, &mark, n);
  nvme_queues_process (n);
  vm_memory_owner_leave (n->parent.parent.env->memory, &mark);
}

/* --- life of queues --------------------------------------------------------------------------- */

void
nvme_shadow_queues (VmNvme *n, unsigned id)
{
  if (!n->doorbells || id == 0) /* drivers ring for the admin queues as ever */
    return;
  if (n->sqs[id])
    {
      n->sqs[id]->s->shadow = n->doorbells + 8 * id;
      n->sqs[id]->s->event = n->event_indexes + 8 * id;
    }
  if (n->cqs[id])
    {
      n->cqs[id]->s->shadow = n->doorbells + 8 * id + 4;
      n->cqs[id]->s->event = n->event_indexes + 8 * id + 4;
    }
}

static NvmeCq *
cq_make (VmNvme *n, uint16_t id)
{
  NvmeCq *cq = g_new0 (NvmeCq, 1);

  *cq = (NvmeCq){ .ctrl = n, .id = id, .s = &n->queue_states[n->max_ioqpairs + 1 + id] };
  n->cqs[id] = cq;
  n->cq_limit = MAX (n->cq_limit, id + 1u);
  return cq;
}

static NvmeSq *
sq_make (VmNvme *n, uint16_t id)
{
  NvmeSq *sq = g_new0 (NvmeSq, 1);

  *sq = (NvmeSq){ .ctrl = n, .id = id, .s = &n->queue_states[id] };
  sq->cq = n->cqs[sq->s->cqid];
  g_queue_init (&sq->requests);
  sq->cq->n_sqs++;
  n->sqs[id] = sq;
  n->sq_limit = MAX (n->sq_limit, id + 1u);
  return sq;
}

NvmeCq *
nvme_cq_new (VmNvme *n, uint16_t id, uint64_t base, uint32_t size, uint16_t vector, bool interrupts)
{
  n->queue_states[n->max_ioqpairs + 1 + id]
      = (NvmeQueueState){ .base = base, .size = size, .vector = vector, .interrupts = interrupts, .phase = 1 };

  NvmeCq *cq = cq_make (n, id);

  nvme_shadow_queues (n, id);
  return cq;
}

NvmeSq *
nvme_sq_new (VmNvme *n, uint16_t id, uint16_t cqid, uint64_t base, uint32_t size)
{
  n->queue_states[id] = (NvmeQueueState){ .base = base, .size = size, .cqid = cqid };

  NvmeSq *sq = sq_make (n, id);

  nvme_shadow_queues (n, id);
  return sq;
}

void
nvme_sq_free (NvmeSq *sq)
{
  VmNvme *n = sq->ctrl;

  if (sq->id == 0)
    {
      sq->cq->promised += n->n_aers;
      n->n_aers = 0;
    }
  while (!g_queue_is_empty (&sq->requests))
    request_end (((GList *) sq->requests.head)->data);
  sq->cq->n_sqs--;
  n->sqs[sq->id] = NULL;
  sq->s->size = 0;
  g_free (sq);
}

void
nvme_cq_free (NvmeCq *cq)
{
  cq->ctrl->cqs[cq->id] = NULL;
  cq->s->size = 0;
  g_free (cq);
}

static bool
state_is_possible (const VmNvme *n, const NvmeQueueState *s, bool completion)
{
  const NvmeQueueState *cqs = n->queue_states + n->max_ioqpairs + 1;

  if (s->size == 1 || s->size > NVME_MAX_ADMIN_QUEUE || s->head >= s->size || s->tail >= s->size)
    return false;
  return completion ? s->vector < n->msix_qsize && s->phase <= 1 : s->cqid <= n->max_ioqpairs && cqs[s->cqid].size;
}

bool
nvme_queues_load (VmNvme *n, GError **error)
{
  unsigned count = n->max_ioqpairs + 1;

  for (unsigned i = 0; i < 2 * count; i++)
    if (n->queue_states[i].size && !state_is_possible (n, &n->queue_states[i], i >= count))
      return vm_fail (error, "%s: impossible queue %u", vm_device_path (&n->parent.parent), i % count);
  if (n->n_aers > NVME_AERL + 1u || (n->n_aers && !n->queue_states[0].size))
    return vm_fail (error, "%s: impossible event requests", vm_device_path (&n->parent.parent));
  for (unsigned i = 0; i < count; i++)
    if (n->queue_states[count + i].size)
      cq_make (n, (uint16_t) i);
  for (unsigned i = 0; i < count; i++)
    if (n->queue_states[i].size)
      sq_make (n, (uint16_t) i);
  for (unsigned i = 0; i < n->n_aers; i++)
    {
      NvmeRequest *r = request_new (n->sqs[0]);

      r->cmd.cid = n->aer_cids[i];
      n->aers[i] = r;
      n->cqs[0]->promised--;
    }
  return true;
}

void
nvme_drain (VmNvme *n)
{
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i])
      vm_block_drain (n->namespaces[i]->conf.drive->block);
}

/* --- events ----------------------------------------------------------------------------------- */

static bool
event_is_wanted (const VmNvme *n, const NvmeEvent *event)
{
  if (event->type == NVME_EVENT_NOTICE)
    return n->event_config & EVENT_CONFIG_NAMESPACES;
  if (event->type == NVME_EVENT_SMART)
    return n->event_config & n->critical_warning & 0x1f;
  return true;
}

/* One more that waits for something to tell. */
void
nvme_keep_aer (NvmeRequest *r)
{
  VmNvme *n = r->sq->ctrl;

  r->sq->cq->promised--; /* nobody knows when it will take its entry */
  n->aer_cids[n->n_aers] = r->cmd.cid;
  n->aers[n->n_aers++] = r;
}

bool
nvme_abort_aer (VmNvme *n, uint16_t cid)
{
  for (unsigned i = 0; i < n->n_aers && cq_has_room (n->cqs[0]); i++)
    if (n->aer_cids[i] == cid)
      {
        NvmeRequest *r = n->aers[i];

        n->n_aers--;
        n->aers[i] = n->aers[n->n_aers];
        n->aer_cids[i] = n->aer_cids[n->n_aers];
        r->sq->cq->promised++;
        nvme_complete (r, NVME_ABORTED);
        return true;
      }
  return false;
}

void
nvme_tell_events (VmNvme *n)
{
  for (guint i = 0; i < n->events->len && n->n_aers && cq_has_room (n->cqs[0]);)
    {
      NvmeEvent event = g_array_index (n->events, NvmeEvent, i);
      NvmeRequest *r;

      if (n->events_masked & 1u << event.type)
        {
          i++;
          continue;
        }
      g_array_remove_index (n->events, i);
      n->events_masked |= 1u << event.type;
      r = n->aers[--n->n_aers];
      r->sq->cq->promised++;
      r->result = (uint32_t) event.page << 16 | event.info << 8 | event.type;
      nvme_complete (r, NVME_SUCCESS);
    }
}

void
nvme_event (VmNvme *n, uint8_t type, uint8_t info, uint8_t page)
{
  NvmeEvent event = { type, info, page };

  if (!nvme_is_ready (n) || !event_is_wanted (n, &event) || n->events->len >= n->aer_max_queued)
    return;
  g_array_append_val (n->events, event);
  nvme_tell_events (n);
}
