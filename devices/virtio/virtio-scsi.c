/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SCSI host device (OASIS Virtual I/O Device 1.2, 5.6), with its front on PCI. */
#include "devices/scsi/scsi.h"
#include "devices/virtio/virtio-pci.h"
#include "engine/machine/iothread.h"

#define QUEUES_AUTO UINT32_MAX
#define QUEUES_MAX  (VM_VIRTIO_QUEUES - 2)

enum { F_HOTPLUG = 1, F_CHANGE = 2 };
enum { /* configuration */
  CFG_NUM_QUEUES = 0, CFG_SEG_MAX = 4, CFG_MAX_SECTORS = 8, CFG_CMD_PER_LUN = 12, CFG_EVENT_SIZE = 16,
  CFG_SENSE_SIZE = 20, CFG_CDB_SIZE = 24, CFG_MAX_CHANNEL = 28, CFG_MAX_TARGET = 30, CFG_MAX_LUN = 32, CFG_SIZE = 36,
};
enum { /* command requests: head before the command block, answer before the sense data */
  REQ_LUN = 0, REQ_TAG = 8, REQ_CDB = 19,
  RESP_SENSE_LEN = 0, RESP_RESIDUAL = 4, RESP_STATUS = 10, RESP_RESPONSE = 11, RESP_SENSE = 12,
};
enum { /* responses */
  S_OK = 0, S_OVERRUN = 1, S_ABORTED = 2, S_BAD_TARGET = 3, S_RESET = 4, S_SUCCEEDED = 10, S_REJECTED = 11,
  S_INCORRECT_LUN = 12,
};
enum { /* control requests */
  CTRL_TMF = 0, CTRL_AN_QUERY = 1, CTRL_AN_SUBSCRIBE = 2,
  TMF_SUBTYPE = 4, TMF_LUN = 8, TMF_TAG = 16, TMF_SIZE = 24, AN_SIZE = 20, AN_RESP_SIZE = 5,
  TMF_ABORT_TASK = 0, TMF_ABORT_TASK_SET, TMF_CLEAR_ACA, TMF_CLEAR_TASK_SET, TMF_I_T_NEXUS_RESET,
  TMF_LOGICAL_UNIT_RESET, TMF_QUERY_TASK, TMF_QUERY_TASK_SET,
};
enum { /* events */
  EVENT_NONE = 0, EVENT_TRANSPORT_RESET = 1, EVENT_PARAM_CHANGE = 3, EVENT_SIZE = 16,
  REASON_RESCAN = 1, REASON_REMOVED = 2,
};
#define EVENTS_MISSED (1u << 31)
enum { MAX_TARGET = 255, MAX_LUN = 16383, SENSE_DEFAULT = 96, CDB_DEFAULT = 32 };

typedef struct VirtioScsi {
  VmVirtio parent;
  /* properties */
  uint32_t num_queues, virtqueue_size, max_sectors, cmd_per_lun;
  bool     seg_max_adjust, hotplug, param_change;
  VmIothread *iothread;
  /* wiring */
  VmScsiBus    bus;
  VmVirtqueue *events;
  GQueue       requests;     /* of Request */
  uint8_t      cancel_response; /* to commands that are cancelled now */
  bool         dropping;     /* the queues are given up: no answers */
  VmVirtqueue *dropping_queue; /* only this one's; NULL: all */
  /* guest state */
  uint32_t sense_size, cdb_size;
  bool     missed;           /* an event without a buffer */
} VirtioScsi;

/* A task management function that waits for what it cancelled. */
typedef struct Tmf {
  VmVirtqElement e;
  unsigned waiting;
} Tmf;

typedef struct Request {
  VmVirtqElement e;
  VirtioScsi    *s;
  VmScsiRequest *req;
  Tmf           *tmf;
  GList          link;
  uint8_t        cancelled;  /* response when it was */
  uint64_t       size;       /* of the data */
  uint32_t       sense_size;
  struct iovec  *data;       /* as the SCSI layer has it */
} Request;

/* --- addresses ------------------------------------------------------------------------------------------- */

static bool
lun_parse (const uint8_t lun[8], unsigned *target, uint32_t *number)
{
  uint8_t flat[8] = { lun[2], lun[3] };

  *target = lun[1];
  *number = vm_scsi_lun_decode (flat);
  return lun[0] == 1 && vm_load_le32 (lun + 4) == 0 && *number <= MAX_LUN;
}

static void
lun_make (const VmScsiDevice *dev, uint8_t lun[8])
{
  memset (lun, 0, 8);
  lun[0] = 1;
  lun[1] = (uint8_t) dev->scsi_id;
  /* Flat space where the number does not fit one byte (SAM-5, 4.7.7.3), as drivers expect it. */
  lun[2] = (uint8_t) (dev->lun >= 256 ? dev->lun >> 8 | 0x40 : 0);
  lun[3] = (uint8_t) dev->lun;
}

/* --- commands -------------------------------------------------------------------------------------------- */

static void
tmf_done (Tmf *tmf, uint8_t response)
{
  vm_iov_put (vm_virtq_in (&tmf->e), tmf->e.n_in, 0, &response, 1);
  vm_virtqueue_push (tmf, 1);
}

static void
request_answer (Request *r, uint8_t response, const VmScsiRequest *req)
{
  uint8_t resp[RESP_SENSE] = { 0 };
  const struct iovec *in = vm_virtq_in (&r->e);
  uint64_t moved = req ? MIN (req->moved, r->size) : 0;
  uint32_t sense = req ? MIN (req->sense_len, r->sense_size) : 0;
  bool reads = req && req->direction == VM_SCSI_FROM_DEVICE;

  vm_store_le32 (resp + RESP_SENSE_LEN, sense);
  vm_store_le32 (resp + RESP_RESIDUAL, (uint32_t) MIN (r->size - moved, UINT32_MAX));
  resp[RESP_STATUS] = req ? req->status : 0;
  resp[RESP_RESPONSE] = response;
  vm_iov_put (in, r->e.n_in, 0, resp, sizeof resp);
  if (sense)
    vm_iov_put (in, r->e.n_in, RESP_SENSE, req->sense, sense);
  vm_virtqueue_push (r, (uint32_t) MIN (RESP_SENSE + r->sense_size + (reads ? moved : 0), UINT32_MAX));
}

static bool
is_dropping (const VirtioScsi *s, const VmVirtqElement *e)
{
  return s->dropping && (!s->dropping_queue || s->dropping_queue == e->q);
}

static void
on_complete (VmScsiRequest *req)
{
  Request *r = req->hba;

  g_queue_unlink (&r->s->requests, &r->link);
  request_answer (r, S_OK, req);
  vm_scsi_request_unref (req);
}

/* The command's answer comes before that of the function that cancelled it. */
static void
on_released (VmScsiRequest *req)
{
  Request *r = req->hba;
  VirtioScsi *s = r->s;
  Tmf *tmf = r->tmf;

  g_clear_pointer (&r->data, g_free);
  if (!req->cancelled)
    return;
  g_queue_unlink (&s->requests, &r->link);
  if (is_dropping (s, &r->e))
    vm_virtqueue_drop (r);
  else
    request_answer (r, r->cancelled ? r->cancelled : s->cancel_response, NULL);
  if (tmf && --tmf->waiting == 0)
    {
      if (is_dropping (s, &tmf->e))
        vm_virtqueue_drop (tmf);
      else
        tmf_done (tmf, S_OK);
    }
  vm_scsi_request_unref (req);
}

static void
request_start (VirtioScsi *s, Request *r, VmScsiRequest *req)
{
  size_t head = req->direction == VM_SCSI_TO_DEVICE ? REQ_CDB + s->cdb_size : RESP_SENSE + s->sense_size;
  const struct iovec *iov = req->direction == VM_SCSI_TO_DEVICE ? vm_virtq_out (&r->e) : vm_virtq_in (&r->e);
  unsigned n = req->direction == VM_SCSI_TO_DEVICE ? r->e.n_out : r->e.n_in;

  r->req = req;
  if (req->direction == VM_SCSI_NO_DATA)
    n = 0;
  r->size = n ? vm_iov_size (iov, n) - head : 0;
  if (req->direction != VM_SCSI_NO_DATA && req->length > r->size)
    {
      request_answer (r, S_OVERRUN, NULL);
      vm_scsi_request_unref (req);
      return;
    }
  if (n)
    {
      r->data = g_new (struct iovec, n);
      n = vm_iov_slice (iov, n, head, r->size, r->data);
    }
  r->link.data = r;
  g_queue_push_tail_link (&s->requests, &r->link);
  vm_scsi_request_start (req, r->data, n);
}

static void
handle_command (VirtioScsi *s, Request *r)
{
  uint8_t head[REQ_CDB + UINT8_MAX];
  size_t size = REQ_CDB + s->cdb_size;
  VmScsiRequest *req;
  unsigned target;
  uint32_t lun;

  r->s = s;
  r->sense_size = s->sense_size;
  if (vm_iov_get (vm_virtq_out (&r->e), r->e.n_out, 0, head, size) != size
      || vm_iov_size (vm_virtq_in (&r->e), r->e.n_in) < RESP_SENSE + s->sense_size)
    {
      vm_virtio_break (&s->parent, "a command without room for its answer");
      vm_virtqueue_drop (r);
      return;
    }
  req = lun_parse (head + REQ_LUN, &target, &lun)
          ? vm_scsi_request_new (&s->bus, 0, target, lun, vm_load_le64 (head + REQ_TAG), head + REQ_CDB,
                                 MIN (s->cdb_size, VM_SCSI_CDB_MAX), r)
          : NULL;
  if (req)
    request_start (s, r, req);
  else
    request_answer (r, S_BAD_TARGET, NULL);
}

static void
handle_commands (VmVirtio *v, VmVirtqueue *q)
{
  Request *r;

  vm_virtqueue_set_notification (q, false);
  while ((r = vm_virtqueue_next (q, sizeof *r)))
    handle_command ((VirtioScsi *) v, r);
}

/* --- control --------------------------------------------------------------------------------------------- */

/* What was cancelled and is not free yet is waited for. */
static void
tmf_wait (VirtioScsi *s, Tmf *tmf)
{
  for (GList *at = s->requests.head; at; at = at->next)
    {
      Request *r = at->data;

      if (r->req->cancelled && !r->tmf)
        {
          r->tmf = tmf;
          r->cancelled = s->cancel_response;
          tmf->waiting++;
        }
    }
  if (!tmf->waiting)
    tmf_done (tmf, S_OK);
}

static void
tmf_for_unit (VirtioScsi *s, Tmf *tmf, VmScsiDevice *dev, uint32_t subtype, uint64_t tag)
{
  VmScsiRequest *req;

  switch (subtype)
    {
    case TMF_ABORT_TASK: case TMF_QUERY_TASK:
      req = vm_scsi_device_find_request (dev, tag);
      if (req && subtype == TMF_QUERY_TASK)
        {
          tmf_done (tmf, S_SUCCEEDED);
          return;
        }
      if (req)
        vm_scsi_request_cancel (req);
      break;
    case TMF_QUERY_TASK_SET:
      if (dev->requests && dev->requests->len)
        {
          tmf_done (tmf, S_SUCCEEDED);
          return;
        }
      break;
    case TMF_LOGICAL_UNIT_RESET:
      s->cancel_response = S_RESET;
      vm_scsi_device_reset (dev, VM_SCSI_UA_DEVICE_RESET);
      break;
    default: /* ABORT TASK SET, CLEAR TASK SET */
      vm_scsi_device_abort_all (dev);
      break;
    }
  tmf_wait (s, tmf);
}

static void
handle_tmf (VirtioScsi *s, Tmf *tmf, const uint8_t *request)
{
  uint32_t subtype = vm_load_le32 (request + TMF_SUBTYPE), lun;
  VmScsiDevice *dev;
  unsigned target;
  bool fits = lun_parse (request + TMF_LUN, &target, &lun);

  s->cancel_response = S_ABORTED;
  if (subtype == TMF_CLEAR_ACA || subtype > TMF_QUERY_TASK_SET)
    {
      tmf_done (tmf, S_REJECTED);
      return;
    }
  if (!fits || !vm_scsi_bus_find (&s->bus, 0, target, VM_SCSI_LUN_NONE))
    {
      tmf_done (tmf, S_BAD_TARGET);
      return;
    }
  if (subtype == TMF_I_T_NEXUS_RESET)
    {
      s->cancel_response = S_RESET;
      vm_scsi_target_reset (&s->bus, 0, target);
      tmf_wait (s, tmf);
      return;
    }
  dev = vm_scsi_bus_find (&s->bus, 0, target, lun);
  if (dev)
    tmf_for_unit (s, tmf, dev, subtype, vm_load_le64 (request + TMF_TAG));
  else
    tmf_done (tmf, S_INCORRECT_LUN);
}

static void
handle_control (VmVirtio *v, VmVirtqueue *q)
{
  VirtioScsi *s = (VirtioScsi *) v;
  Tmf *tmf;

  vm_virtqueue_set_notification (q, false);
  while ((tmf = vm_virtqueue_next (q, sizeof *tmf)))
    {
      uint8_t request[TMF_SIZE] = { 0 }, none[AN_RESP_SIZE] = { 0 };
      size_t size = vm_iov_get (vm_virtq_out (&tmf->e), tmf->e.n_out, 0, request, sizeof request);
      size_t room = vm_iov_size (vm_virtq_in (&tmf->e), tmf->e.n_in);
      uint32_t type = vm_load_le32 (request);

      if (type == CTRL_TMF && size == TMF_SIZE && room >= 1)
        handle_tmf (s, tmf, request);
      else if ((type == CTRL_AN_QUERY || type == CTRL_AN_SUBSCRIBE) && size >= AN_SIZE - 4 && room >= AN_RESP_SIZE)
        {
          vm_iov_put (vm_virtq_in (&tmf->e), tmf->e.n_in, 0, none, sizeof none);
          vm_virtqueue_push (tmf, sizeof none);
        }
      else
        {
          vm_virtio_break (v, "a control request of type %u, %zu and %zu bytes", type, size, room);
          vm_virtqueue_drop (tmf);
          return;
        }
    }
}

/* --- events ---------------------------------------------------------------------------------------------- */

static void
send_event (VirtioScsi *s, uint32_t event, const VmScsiDevice *dev, uint32_t reason)
{
  uint8_t bytes[EVENT_SIZE] = { 0 };
  VmVirtqElement *e;

  if (!vm_virtio_running (&s->parent))
    return;
  e = vm_virtqueue_pop (s->events, sizeof *e);
  if (!e)
    {
      s->missed = true;
      return;
    }
  vm_store_le32 (bytes, event | (s->missed ? EVENTS_MISSED : 0));
  if (dev)
    lun_make (dev, bytes + 4);
  vm_store_le32 (bytes + 12, reason);
  s->missed = false;
  vm_virtqueue_push (e, (uint32_t) vm_iov_put (vm_virtq_in (e), e->n_in, 0, bytes, sizeof bytes));
}

static void
handle_events (VmVirtio *v, VmVirtqueue *q)
{
  VirtioScsi *s = (VirtioScsi *) v;

  if (s->missed && !vm_virtqueue_empty (q))
    send_event (s, EVENT_NONE, NULL, 0);
}

static void
on_changed (VmScsiBus *bus, VmScsiDevice *dev, bool here)
{
  VirtioScsi *s = bus->opaque;

  if (vm_virtio_has (&s->parent, F_HOTPLUG))
    send_event (s, EVENT_TRANSPORT_RESET, dev, here ? REASON_RESCAN : REASON_REMOVED);
}

static void
on_attention (VmScsiBus *bus, VmScsiDevice *dev, VmScsiSense sense)
{
  VirtioScsi *s = bus->opaque;

  if (vm_virtio_has (&s->parent, F_CHANGE))
    send_event (s, EVENT_PARAM_CHANGE, dev, sense.asc | (uint32_t) sense.ascq << 8);
}

static const VmScsiBusOps scsi_bus_ops = {
  .tcq = true,
  .autosense = true,
  .max_channel = 0,
  .max_target = MAX_TARGET,
  .max_lun = MAX_LUN,
  .host_id = UINT_MAX,
  .complete = on_complete,
  .released = on_released,
  .changed = on_changed,
  .attention = on_attention,
};

/* --- configuration --------------------------------------------------------------------------------------- */

static uint64_t
scsi_features (VmVirtio *v)
{
  const VirtioScsi *s = (const VirtioScsi *) v;

  return (s->hotplug ? VM_BIT (F_HOTPLUG) : 0) | (s->param_change ? VM_BIT (F_CHANGE) : 0);
}

static void
scsi_config_get (VmVirtio *v, uint8_t *config)
{
  const VirtioScsi *s = (const VirtioScsi *) v;

  vm_store_le32 (config + CFG_NUM_QUEUES, s->num_queues);
  vm_store_le32 (config + CFG_SEG_MAX, s->seg_max_adjust ? s->virtqueue_size - 2 : 128 - 2);
  vm_store_le32 (config + CFG_MAX_SECTORS, s->max_sectors);
  vm_store_le32 (config + CFG_CMD_PER_LUN, s->cmd_per_lun);
  vm_store_le32 (config + CFG_EVENT_SIZE, EVENT_SIZE);
  vm_store_le32 (config + CFG_SENSE_SIZE, s->sense_size);
  vm_store_le32 (config + CFG_CDB_SIZE, s->cdb_size);
  vm_store_le16 (config + CFG_MAX_TARGET, MAX_TARGET);
  vm_store_le32 (config + CFG_MAX_LUN, MAX_LUN);
}

static bool
sizes_fit (const VirtioScsi *s)
{
  return s->sense_size <= UINT16_MAX && s->cdb_size <= UINT8_MAX;
}

static void
scsi_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  VirtioScsi *s = (VirtioScsi *) v;
  uint32_t sense_size = s->sense_size, cdb_size = s->cdb_size;

  s->sense_size = vm_load_le32 (config + CFG_SENSE_SIZE);
  s->cdb_size = vm_load_le32 (config + CFG_CDB_SIZE);
  if (sizes_fit (s))
    return;
  vm_virtio_break (v, "sense size %u, command size %u", s->sense_size, s->cdb_size);
  s->sense_size = sense_size;
  s->cdb_size = cdb_size;
}

static void
scsi_status_set (VmVirtio *v, uint8_t old)
{
  VirtioScsi *s = (VirtioScsi *) v;

  if (v->status)
    return;
  s->sense_size = SENSE_DEFAULT;
  s->cdb_size = CDB_DEFAULT;
  s->missed = false;
}

/* Cancels everything on the bus, and waits for what holds guest memory. */
static void
give_up (VirtioScsi *s, VmVirtqueue *q)
{
  s->dropping = true;
  s->dropping_queue = q;
  s->cancel_response = S_RESET;
  vm_scsi_bus_reset (&s->bus);
  for (guint i = 0; i < s->bus.parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (s->bus.parent.devices, i);
      const VmScsiClass *klass = vm_type_klass (dev->parent.parent.type);

      if (klass->drain)
        klass->drain (dev);
    }
  s->dropping = false;
  s->cancel_response = S_ABORTED;
}

static void
scsi_stop (VmVirtio *v)
{
  give_up ((VirtioScsi *) v, NULL);
}

static void
scsi_stop_queue (VmVirtio *v, VmVirtqueue *q)
{
  give_up ((VirtioScsi *) v, q);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
scsi_check (const VirtioScsi *s, GError **error)
{
  if (s->num_queues == 0 || s->num_queues > QUEUES_MAX)
    return vm_fail (error, "Invalid number of queues (= %u), must be a positive integer less than %d.", s->num_queues,
                    QUEUES_MAX);
  if (s->virtqueue_size <= 2)
    return vm_fail (error, "invalid virtqueue_size property (= %u), must be > 2", s->virtqueue_size);
  if (!vm_is_pow2 (s->virtqueue_size) || s->virtqueue_size > VM_VIRTQUEUE_MAX)
    return vm_fail (error, "invalid virtqueue_size property (= %u), must be a power of 2 (max %d)", s->virtqueue_size,
                    VM_VIRTQUEUE_MAX);
  return true;
}

static bool
scsi_realize (VmDevice *dev, GError **error)
{
  VirtioScsi *s = (VirtioScsi *) dev;
  const char *id = vm_device_user_id (dev->bus->owner);
  g_autofree char *name = id ? g_strdup_printf ("%s.0", id) : NULL;

  if (s->num_queues == QUEUES_AUTO)
    s->num_queues = 1;
  if (!scsi_check (s, error))
    return false;
  s->parent.config_size = CFG_SIZE;
  s->sense_size = SENSE_DEFAULT;
  s->cdb_size = CDB_DEFAULT;
  g_queue_init (&s->requests);
  s->cancel_response = S_ABORTED;
  vm_virtio_add_queue (&s->parent, s->virtqueue_size, handle_control);
  s->events = vm_virtio_add_queue (&s->parent, s->virtqueue_size, handle_events);
  for (unsigned i = 0; i < s->num_queues; i++)
    vm_virtio_add_queue (&s->parent, s->virtqueue_size, handle_commands);
  vm_scsi_bus_init (&s->bus, dev, name, &scsi_bus_ops, s);
  if (s->iothread)
    {
      s->bus.loop = vm_iothread_loop (vm_iothread_use (s->iothread));
      vm_virtio_set_loops (&s->parent, &s->bus.loop, 1, vm_iothread_max_batch (s->iothread));
      s->bus.parent.lock = s->parent.lock;
    }
  return true;
}

static void
scsi_unrealize (VmDevice *dev)
{
  VirtioScsi *s = (VirtioScsi *) dev;

  vm_virtio_shut_down (&s->parent);
  vm_scsi_bus_destroy (&s->bus);
  vm_virtio_leave_loops (&s->parent);
  if (s->iothread)
    vm_iothread_unuse (s->iothread);
}

static bool
scsi_settle (VmVirtio *v, GError **error)
{
  const VmScsiBus *bus = &((VirtioScsi *) v)->bus;

  for (guint i = 0; i < bus->parent.devices->len; i++)
    if (!vm_device_pre_save (g_ptr_array_index (bus->parent.devices, i), error))
      return false;
  return true;
}

static bool
scsi_post_load (VmDevice *dev, GError **error)
{
  return sizes_fit ((VirtioScsi *) dev) || vm_fail (error, "%s: impossible state", vm_device_path (dev));
}

static const VmProp scsi_props[] = {
  VM_PROP ("num_queues", VirtioScsi, num_queues, QUEUES_AUTO, "request queues; 4294967295: a processor each"),
  VM_PROP ("virtqueue_size", VirtioScsi, virtqueue_size, 256, "entries of a queue"),
  VM_PROP ("seg_max_adjust", VirtioScsi, seg_max_adjust, true, "segments of a request follow the queue's size"),
  VM_PROP ("max_sectors", VirtioScsi, max_sectors, 0xffff, "of 512 bytes in a request, reported to the guest"),
  VM_PROP ("cmd_per_lun", VirtioScsi, cmd_per_lun, 128, "commands for one unit at a time, reported to the guest"),
  VM_PROP ("hotplug", VirtioScsi, hotplug, true, "the driver hears of units that come and go"),
  VM_PROP ("param_change", VirtioScsi, param_change, true, "and of units that change"),
  VM_PROP_LINK_TO ("iothread", VirtioScsi, iothread, &vm_iothread_type, "thread that serves it"),
  { 0 }
};

static const VmField scsi_state[] = {
  VM_FIELD (VirtioScsi, sense_size),
  VM_FIELD (VirtioScsi, cdb_size),
  VM_FIELD (VirtioScsi, missed),
  { 0 }
};

static const VmVirtioClass scsi_class = {
  .parent = { .realize = scsi_realize, .unrealize = scsi_unrealize, .post_load = scsi_post_load,
              .category = "Storage", .user_creatable = true, .hotpluggable = true },
  .id = VIRTIO_ID_SCSI, .features = scsi_features, .config_get = scsi_config_get, .config_set = scsi_config_set,
  .status_set = scsi_status_set, .stop = scsi_stop, .stop_queue = scsi_stop_queue,
  .settle = scsi_settle,
};

const VmType vm_virtio_scsi_type = {
  .name = "virtio-scsi-device", .parent = &vm_virtio_type, .size = sizeof (VirtioScsi),
  .help = "Virtio SCSI host adapter", .props = scsi_props, .state = scsi_state, .klass = &scsi_class,
};

/* --- on PCI ---------------------------------------------------------------------------------------------- */

typedef struct ScsiPci {
  VmVirtioPci parent;
  VirtioScsi  scsi;
} ScsiPci;

static void
scsi_pci_init (VmObject *obj)
{
  ScsiPci *self = (ScsiPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->scsi.parent, &vm_virtio_scsi_type);
}

static void
scsi_pci_prepare (VmVirtioPci *p)
{
  ScsiPci *self = (ScsiPci *) p;

  if (self->scsi.num_queues == QUEUES_AUTO)
    self->scsi.num_queues = vm_virtio_pci_processors (p, QUEUES_MAX);
  if (p->vectors == UINT32_MAX)
    p->vectors = self->scsi.num_queues + 3;
}

static const VmProp scsi_pci_props[] = {
  VM_VIRTIO_PCI_IOEVENTFD_PROP,
  VM_VIRTIO_PCI_VECTORS_PROP (UINT32_MAX),
  VM_PROP_EMBED (ScsiPci, scsi, vm_virtio_props),
  VM_PROP_EMBED (ScsiPci, scsi, scsi_props),
  { 0 }
};

const VmType vm_virtio_scsi_pci_base_type = {
  .name = "virtio-scsi-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (ScsiPci), .abstract = true,
  .help = "Virtio SCSI host adapter on PCI", .props = scsi_pci_props, .init = scsi_pci_init,
};

static const VmVirtioPciClass generic_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_GENERIC, scsi_pci_prepare, "Storage");
static const VmVirtioPciClass transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_TRANSITIONAL, scsi_pci_prepare, "Storage");
static const VmVirtioPciClass non_transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_NON_TRANSITIONAL, scsi_pci_prepare, "Storage");

const VmType vm_virtio_scsi_pci_type = {
  .name = "virtio-scsi-pci", .parent = &vm_virtio_scsi_pci_base_type, .size = sizeof (ScsiPci),
  .help = "Virtio SCSI host adapter on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_scsi_pci_transitional_type = {
  .name = "virtio-scsi-pci-transitional", .parent = &vm_virtio_scsi_pci_base_type, .size = sizeof (ScsiPci),
  .help = "Virtio SCSI host adapter on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_scsi_pci_non_transitional_type = {
  .name = "virtio-scsi-pci-non-transitional", .parent = &vm_virtio_scsi_pci_base_type, .size = sizeof (ScsiPci),
  .help = "Virtio SCSI host adapter on PCI, modern interface only", .klass = &non_transitional_class,
};
