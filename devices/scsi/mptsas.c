/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "mptsas1068": LSI SAS1068 with the firmware interface of its drivers (Fusion-MPT Message Passing Interface 1.5):
 * messages by the doorbell until it is set up, by queues of guest addresses then. A disk at each of eight ports. */
#include "devices/scsi/mptsas.h"

#include "engine/base/log.h"

enum { REG_DOORBELL = 0x00, REG_WRITE_SEQUENCE = 0x04, REG_DIAGNOSTIC = 0x08, REG_INT_STATUS = 0x30,
       REG_INT_MASK = 0x34, REG_REQUEST = 0x40, REG_REPLY = 0x44, REG_REQUEST_HIGH = 0x48 };
enum { DOORBELL_UNIT_RESET = 0x40, DOORBELL_IO_UNIT_RESET = 0x41, DOORBELL_HANDSHAKE = 0x42,
       DOORBELL_REPLY_REMOVAL = 0x43 };
#define DOORBELL_USED (1u << 27)
enum { DIAG_RESET = 0x04, DIAG_RW_ENABLE = 0x10, DIAG_RESET_HISTORY = 0x20, DIAG_WRITE_ENABLE = 0x80 };
enum { INT_DOORBELL = 0x01, INT_REPLY = 0x08 };
enum { STATE_READY = 1, STATE_OPERATIONAL = 2, STATE_FAULT = 4 };
enum { HANDSHAKE_NONE, HANDSHAKE_TAKE, HANDSHAKE_GIVE, HANDSHAKE_N };
enum { /* SCSI I/O */
  IO_TARGET = 0x00, IO_BUS = 0x01, IO_CDB_LENGTH = 0x04, IO_SENSE_LENGTH = 0x05, IO_LUN = 0x0c, IO_CONTROL = 0x14,
  IO_CDB = 0x18, IO_DATA_LENGTH = 0x28, IO_SENSE_LOW = 0x2c, IO_SGL = 0x30,
  IO_STATUS = 0x0c, IO_STATE = 0x0d, IO_COUNT = 0x14, IO_SENSE_COUNT = 0x18, IO_REPLY = 0x24,
};
enum { IO_STATE_SENSE = 1, IO_STATE_NO_STATUS = 4, IO_STATE_TERMINATED = 8 };
enum { /* task management */
  TM_TYPE = 0x05, TM_LUN = 0x0c, TM_CONTEXT = 0x30, TM_LENGTH = 0x34, TM_CODE = 0x04, TM_COUNT = 0x14, TM_REPLY = 0x18,
  TM_ABORT_TASK = 1, TM_ABORT_TASK_SET, TM_TARGET_RESET, TM_RESET_BUS, TM_UNIT_RESET, TM_CLEAR_TASK_SET, TM_QUERY_TASK,
};
enum { EVENT_REPLY = 0x1c, EVENT_KIND = 0x14, EVENT_CONTEXT = 0x18, EVENT_SAS_DEVICE = 0x0f, EVENT_SAS_DATA = 40,
       EVENT_CONTINUES = 0x80 };
enum { REASON_ADDED = 3, REASON_GONE = 4 };
enum { SGE_LAST = 0x80, SGE_TYPE = 0x30, SGE_SIMPLE = 0x10, SGE_CHAIN = 0x30, SGE_64 = 0x02, SGE_END = 0x01 };
#define SGL_STEPS 2048 /* entries of a list, chains among them */
#define REPLY_EMPTY UINT32_MAX

typedef struct MptRequest {
  Mptsas        *owner;
  VmScsiRequest *req;
  VmScsiDma      dma;
  uint32_t       context, length, sense_low;
  uint8_t        target, sense_len;
} MptRequest;

/* --- interrupts ------------------------------------------------------------------------------------ */

static void
mpt_update_irq (Mptsas *s)
{
  bool level = s->int_status & ~s->int_mask & (INT_DOORBELL | INT_REPLY);

  if (vm_pci_msi_enabled (&s->parent))
    {
      if (level)
        vm_pci_msi_notify (&s->parent, 0);
    }
  else
    vm_pci_set_irq (&s->parent, level);
}

static void
mpt_interrupt (Mptsas *s, uint32_t bits)
{
  s->int_status |= bits;
  mpt_update_irq (s);
}

/* --- replies --------------------------------------------------------------------------------------- */

static void
mpt_fault (Mptsas *s, const char *why)
{
  vm_guest_error ("mptsas1068", "%s", why);
  s->state = STATE_FAULT;
}

/* To the queue of answers: an address halved with bit 31 set, or a context as it is. */
static void
mpt_post (Mptsas *s, uint32_t value)
{
  if (s->post_tail - s->post_head >= MPT_POST_DEPTH)
    {
      mpt_fault (s, "nobody takes the answers");
      return;
    }
  s->post_list[s->post_tail++ % MPT_POST_DEPTH] = value;
  mpt_interrupt (s, INT_REPLY);
}

/* A reply frame, for which the guest has given memory. */
static void
mpt_reply (Mptsas *s, uint8_t *reply, unsigned len)
{
  uint32_t addr;

  reply[M_LENGTH] = (uint8_t) (len / 4);
  if (s->free_tail == s->free_head)
    {
      mpt_fault (s, "no reply frames");
      return;
    }
  addr = s->free_list[s->free_head++ % MPT_QUEUE_DEPTH];
  vm_pci_dma_write (&s->parent, s->high_addr | addr, reply, MIN (len, MAX (s->reply_size, 20)));
  mpt_post (s, addr >> 1 | 1u << 31);
}

static void
make_head (uint8_t *reply, const uint8_t *request, uint16_t status)
{
  memcpy (reply, request, 12); /* most replies repeat what they answer */
  vm_store_le32 (reply + 12, 0);
  vm_store_le16 (reply + M_IOC_STATUS, status);
}

/* --- guest memory ---------------------------------------------------------------------------------- */

/* SIZE bytes at AT of the list that begins in the request, or in guest memory after a chain. */
typedef struct Place {
  const uint8_t *local; /* NULL: guest memory at ADDR */
  uint64_t addr;
  uint32_t at, end;
} Place;

static bool
place_read (Mptsas *s, const Place *p, void *bytes, unsigned size)
{
  if (p->at + size > p->end)
    return false;
  if (p->local)
    memcpy (bytes, p->local + p->at, size);
  else if (vm_pci_dma_read (&s->parent, p->addr + p->at, bytes, size) != VM_MEM_OK)
    return false;
  return true;
}

bool
mptsas_read_sgl (Mptsas *s, VmDmaSg *sg, const uint8_t *request, unsigned at, uint64_t addr)
{
  Place place = { .local = addr ? NULL : request, .addr = addr, .at = at, .end = MPT_FRAME_MAX };
  uint32_t chain = request[M_CHAIN_OFFSET] * 4u;
  uint8_t entry[12];

  for (unsigned steps = 0; steps < SGL_STEPS; steps++)
    {
      if (!place_read (s, &place, entry, 8))
        return false;
      uint32_t word = vm_load_le32 (entry);
      uint8_t flags = (uint8_t) (word >> 24);
      unsigned size = flags & SGE_64 ? 12 : 8;
      if (size == 12 && !place_read (s, &place, entry, 12))
        return false;
      uint64_t where = size == 12 ? vm_load_le64 (entry + 4) : vm_load_le32 (entry + 4);
      if ((flags & SGE_TYPE) == SGE_CHAIN)
        {
          place = (Place) { .addr = where, .end = word & 0xffff };
          chain = (word >> 16 & 0xff) * 4;
          continue;
        }
      if ((flags & SGE_TYPE) != SGE_SIMPLE)
        return false;
      if (word & 0xffffff)
        vm_dma_sg_add (sg, where, word & 0xffffff);
      if (flags & SGE_END)
        return true;
      place.at += size;
      if (flags & SGE_LAST) /* the chain element stands behind the last of its segment */
        {
          if (!chain)
            return true;
          place.at = chain;
        }
    }
  return false;
}

/* --- SCSI ------------------------------------------------------------------------------------------ */

static void
request_free (MptRequest *r)
{
  r->owner->in_flight--;
  vm_scsi_dma_clear (&r->dma);
  g_free (r);
}

static void
mpt_transfer (VmScsiRequest *req)
{
  vm_scsi_dma_transfer (&((MptRequest *) req->hba)->dma, req);
}

/* All went as asked for: the context alone says so. Else, a frame. */
static void
io_answer (Mptsas *s, const MptRequest *r, uint16_t status, uint8_t state)
{
  uint8_t reply[IO_REPLY] = { r->target };
  const VmScsiRequest *req = r->req;

  if (s->state != STATE_OPERATIONAL)
    return;
  if (status == MPT_OK && req->status == VM_SCSI_GOOD)
    {
      mpt_post (s, r->context);
      return;
    }
  reply[M_FUNCTION] = MPT_SCSI_IO;
  reply[IO_CDB_LENGTH] = req->cdb_len;
  reply[IO_SENSE_LENGTH] = r->sense_len;
  vm_store_le32 (reply + M_CONTEXT, r->context);
  reply[IO_STATUS] = req->status;
  reply[IO_STATE] = state;
  vm_store_le16 (reply + M_IOC_STATUS, status);
  vm_store_le32 (reply + IO_COUNT, (uint32_t) MIN (req->moved, UINT32_MAX));
  vm_store_le32 (reply + IO_SENSE_COUNT, req->sense_len);
  mpt_reply (s, reply, sizeof reply);
}

static void
mpt_complete (VmScsiRequest *req)
{
  MptRequest *r = req->hba;
  Mptsas *s = r->owner;
  uint16_t status = MPT_OK;
  uint8_t state = 0;

  if (req->sense_len && r->sense_len)
    {
      vm_pci_dma_write (&s->parent, s->sense_high | r->sense_low, req->sense, MIN (req->sense_len, r->sense_len));
      state |= IO_STATE_SENSE;
    }
  if (req->overrun)
    status = MPT_DATA_OVERRUN;
  else if (req->moved < r->length)
    status = MPT_DATA_UNDERRUN;
  io_answer (s, r, status, state);
  request_free (r);
  vm_scsi_request_unref (req);
}

static void
mpt_released (VmScsiRequest *req)
{
  MptRequest *r = req->hba;

  vm_scsi_dma_released (&r->dma, req);
  if (!req->cancelled)
    return;
  io_answer (r->owner, r, MPT_TASK_TERMINATED, IO_STATE_NO_STATUS | IO_STATE_TERMINATED);
  request_free (r);
  vm_scsi_request_unref (req);
}

static void
refuse (Mptsas *s, const uint8_t *request, uint16_t status)
{
  uint8_t reply[IO_REPLY] = { 0 };

  make_head (reply, request, status);
  mpt_reply (s, reply, sizeof reply);
}

static void
mpt_scsi_io (Mptsas *s, const uint8_t *request, uint64_t addr)
{
  uint32_t lun = vm_scsi_lun_decode (request + IO_LUN);
  MptRequest *r;

  if (request[IO_BUS] || request[IO_TARGET] >= MPT_PORTS || request[IO_CDB_LENGTH] > 16 || lun == VM_SCSI_LUN_NONE)
    {
      refuse (s, request, request[IO_BUS] ? MPT_INVALID_BUS
                          : request[IO_TARGET] >= MPT_PORTS ? MPT_INVALID_TARGET : MPT_INVALID_FIELD);
      return;
    }
  if (s->in_flight >= MPT_QUEUE_DEPTH)
    {
      refuse (s, request, MPT_NO_RESOURCES);
      return;
    }
  r = g_new0 (MptRequest, 1);
  s->in_flight++;
  r->owner = s;
  r->context = vm_load_le32 (request + M_CONTEXT);
  r->target = request[IO_TARGET];
  r->length = vm_load_le32 (request + IO_DATA_LENGTH);
  r->sense_low = vm_load_le32 (request + IO_SENSE_LOW);
  r->sense_len = request[IO_SENSE_LENGTH];
  vm_scsi_dma_init (&r->dma, &s->parent);
  if (r->length && !mptsas_read_sgl (s, &r->dma.sg, request, IO_SGL, 0))
    {
      request_free (r);
      refuse (s, request, MPT_INVALID_SGL);
      return;
    }
  r->req = vm_scsi_request_new (&s->bus, 0, r->target, lun, r->context, request + IO_CDB, request[IO_CDB_LENGTH], r);
  if (!r->req)
    {
      request_free (r);
      refuse (s, request, MPT_DEVICE_NOT_THERE);
      return;
    }
  vm_scsi_request_start (r->req, NULL, 0);
}

static void
mpt_task_mgmt (Mptsas *s, const uint8_t *request)
{
  uint8_t reply[TM_REPLY] = { 0 };
  uint32_t lun = vm_scsi_lun_decode (request + TM_LUN), before = s->in_flight;
  VmScsiDevice *dev = lun == VM_SCSI_LUN_NONE ? NULL : vm_scsi_bus_find (&s->bus, 0, request[IO_TARGET], lun);
  VmScsiRequest *req;
  uint8_t type = request[TM_TYPE];

  make_head (reply, request, MPT_OK);
  if (request[IO_TARGET] >= MPT_PORTS)
    vm_store_le16 (reply + M_IOC_STATUS, MPT_INVALID_TARGET);
  else if (type == TM_TARGET_RESET)
    vm_scsi_target_reset (&s->bus, 0, request[IO_TARGET]);
  else if (type == TM_RESET_BUS)
    vm_scsi_bus_reset (&s->bus);
  else if (type < TM_ABORT_TASK || type > TM_QUERY_TASK)
    vm_store_le16 (reply + M_IOC_STATUS, MPT_INVALID_FIELD);
  else if (!dev)
    reply[TM_CODE] = 9; /* no such unit */
  else
    switch (type)
      {
      case TM_ABORT_TASK: case TM_QUERY_TASK:
        req = vm_scsi_device_find_request (dev, vm_load_le32 (request + TM_CONTEXT));
        if (req && type == TM_ABORT_TASK)
          vm_scsi_request_cancel (req);
        else if (req)
          reply[TM_CODE] = 8; /* it is there */
        break;
      case TM_UNIT_RESET:
        vm_scsi_device_reset (dev, VM_SCSI_UA_DEVICE_RESET);
        break;
      default:
        vm_scsi_device_abort_all (dev);
        break;
      }
  vm_store_le32 (reply + TM_COUNT, before - MIN (before, s->in_flight));
  mpt_reply (s, reply, sizeof reply);
}

/* --- messages about the adapter -------------------------------------------------------------------- */

static unsigned
ioc_facts (Mptsas *s, const uint8_t *request, uint8_t *reply)
{
  make_head (reply, request, MPT_OK);
  vm_store_le16 (reply, 0x0105);        /* of messages */
  vm_store_le16 (reply + 0x04, 0x1300); /* of headers */
  reply[0x14] = 13;                     /* chains in a row */
  reply[0x15] = (uint8_t) s->who_init;
  reply[0x16] = 8;                      /* block size */
  vm_store_le16 (reply + 0x18, MPT_QUEUE_DEPTH);
  vm_store_le16 (reply + 0x1a, MPT_FRAME_MAX / 4);
  vm_store_le16 (reply + 0x1e, 0x2704); /* SAS, 1068 */
  vm_store_le32 (reply + 0x20, (uint32_t) (s->high_addr >> 32));
  vm_store_le16 (reply + 0x24, MPT_QUEUE_DEPTH - 1);
  reply[0x26] = 1;                      /* ports */
  reply[0x27] = s->events_on;
  vm_store_le32 (reply + 0x28, (uint32_t) (s->sense_high >> 32));
  vm_store_le16 (reply + 0x2c, MPT_REPLY_MAX);
  reply[0x2e] = MPT_PORTS;
  reply[0x2f] = 1;
  vm_store_le32 (reply + 0x38, 0x01320000); /* firmware 1.50.0.0 */
  vm_store_le16 (reply + 0x3c, MPT_QUEUE_DEPTH);
  return 80;
}

static unsigned
port_facts (const uint8_t *request, uint8_t *reply)
{
  make_head (reply, request, request[6] ? MPT_INVALID_FIELD : MPT_OK);
  vm_store_le32 (reply, 0);
  reply[M_FUNCTION] = MPT_PORT_FACTS;
  if (!request[6])
    {
      reply[0x15] = 0x30;                      /* SAS */
      vm_store_le16 (reply + 0x16, MPT_PORTS);
      vm_store_le16 (reply + 0x18, MPT_PORTS); /* its own number */
      vm_store_le16 (reply + 0x1a, 0x08);      /* initiator */
    }
  return 40;
}

static unsigned
ioc_init (Mptsas *s, const uint8_t *request, uint8_t *reply)
{
  bool fits = s->state == STATE_READY && request[5] <= MPT_PORTS && request[6] <= 1;

  make_head (reply, request, s->state != STATE_READY ? MPT_INVALID_STATE : fits ? MPT_OK : MPT_INVALID_FIELD);
  if (!fits)
    return 20;
  s->who_init = request[0];
  s->max_devices = request[5] ? request[5] : MPT_PORTS;
  s->max_buses = request[6] ? request[6] : 1;
  s->reply_size = vm_load_le16 (request + 0x0c);
  s->high_addr = (uint64_t) vm_load_le32 (request + 0x10) << 32;
  s->sense_high = (uint64_t) vm_load_le32 (request + 0x14) << 32;
  s->state = STATE_OPERATIONAL;
  return 20;
}

static unsigned
event_notification (Mptsas *s, const uint8_t *request, uint8_t *reply)
{
  make_head (reply, request, MPT_OK);
  vm_store_le32 (reply, 0);
  reply[M_FUNCTION] = MPT_EVENT_NOTIFICATION;
  vm_store_le16 (reply, 1); /* words of data */
  s->events_on = request[0];
  s->event_message = vm_load_le32 (request + M_CONTEXT);
  if (s->events_on) /* all events answer this request, which the guest keeps for them */
    reply[M_FLAGS] |= EVENT_CONTINUES;
  vm_store_le32 (reply + EVENT_KIND, 0x0a); /* notification changed */
  reply[EVENT_REPLY] = s->events_on;
  return EVENT_REPLY + 4;
}

/* Other than SCSI; how many bytes of REPLY (MPT_REPLY_MAX) there are. */
static unsigned
mpt_message (Mptsas *s, const uint8_t *request, uint8_t *reply)
{
  memset (reply, 0, MPT_REPLY_MAX);
  switch (request[M_FUNCTION])
    {
    case MPT_IOC_FACTS:
      return ioc_facts (s, request, reply);
    case MPT_PORT_FACTS:
      return port_facts (request, reply);
    case MPT_IOC_INIT:
      return ioc_init (s, request, reply);
    case MPT_CONFIG:
      make_head (reply, request, MPT_OK);
      mptsas_config (s, request, reply);
      return CONFIG_REPLY;
    case MPT_EVENT_NOTIFICATION:
      return event_notification (s, request, reply);
    case MPT_PORT_ENABLE: case MPT_EVENT_ACK: case MPT_SAS_IO_UNIT_CONTROL:
      make_head (reply, request, MPT_OK);
      return 20;
    default:
      make_head (reply, request, MPT_INVALID_FUNCTION);
      return 20;
    }
}

static void
mpt_request (Mptsas *s, uint64_t addr)
{
  uint8_t request[MPT_FRAME_MAX], reply[MPT_REPLY_MAX];
  unsigned len;

  if (s->state != STATE_OPERATIONAL)
    {
      mpt_fault (s, "a request before the queues are there");
      return;
    }
  if (vm_pci_dma_read (&s->parent, addr, request, sizeof request) != VM_MEM_OK)
    {
      mpt_fault (s, "a request that is not in memory");
      return;
    }
  switch (request[M_FUNCTION])
    {
    case MPT_SCSI_IO:
      mpt_scsi_io (s, request, addr);
      break;
    case MPT_TASK_MGMT:
      mpt_task_mgmt (s, request);
      break;
    default:
      len = mpt_message (s, request, reply);
      mpt_reply (s, reply, len);
      break;
    }
}

/* --- events: disks come and go --------------------------------------------------------------------- */

static void
mpt_event (Mptsas *s, VmScsiDevice *dev, uint8_t reason)
{
  uint8_t reply[EVENT_REPLY + EVENT_SAS_DATA] = { 0 }, *data = reply + EVENT_REPLY;

  if (!s->events_on || s->state != STATE_OPERATIONAL || s->free_head == s->free_tail)
    return;
  vm_store_le16 (reply, EVENT_SAS_DATA / 4);
  reply[M_FUNCTION] = MPT_EVENT_NOTIFICATION;
  reply[M_FLAGS] = EVENT_CONTINUES;
  vm_store_le32 (reply + M_CONTEXT, s->event_message);
  vm_store_le32 (reply + EVENT_KIND, EVENT_SAS_DEVICE);
  vm_store_le32 (reply + EVENT_CONTEXT, s->event_context++);
  data[0] = (uint8_t) dev->scsi_id;
  data[2] = reason;
  vm_store_le16 (data + 6, mptsas_handle (dev->scsi_id));
  vm_store_le32 (data + 8, mptsas_device_info (dev));
  vm_store_le16 (data + 12, (uint16_t) (1 + dev->scsi_id));
  data[14] = (uint8_t) dev->scsi_id;
  vm_store_le64 (data + 16, mptsas_device_address (s, dev->scsi_id));
  mpt_reply (s, reply, sizeof reply);
}

static void
mpt_changed (VmScsiBus *bus, VmScsiDevice *dev, bool here)
{
  mpt_event (bus->opaque, dev, here ? REASON_ADDED : REASON_GONE);
}

static const VmScsiBusOps mpt_bus_ops = {
  .tcq = true,
  .autosense = true,
  .max_target = MPT_PORTS - 1,
  .max_lun = 255,
  .host_id = UINT_MAX,
  .transfer = mpt_transfer,
  .complete = mpt_complete,
  .released = mpt_released,
  .changed = mpt_changed,
};

/* --- registers ------------------------------------------------------------------------------------- */

static void
mpt_reset_unit (Mptsas *s)
{
  s->state = STATE_READY; /* what is cancelled answers no more */
  vm_scsi_bus_reset (&s->bus);
  s->handshake = HANDSHAKE_NONE;
  s->message_at = s->message_n = 0;
  s->who_init = s->max_devices = s->max_buses = s->reply_size = 0;
  s->high_addr = s->sense_high = 0;
  s->events_on = false;
  s->free_head = s->free_tail = s->post_head = s->post_tail = 0;
  s->int_status = 0;
  mpt_update_irq (s);
}

/* All words of a message have come; what is not there counts as zeros. */
static void
mpt_handshake_run (Mptsas *s)
{
  uint8_t reply[MPT_REPLY_MAX];

  memset (s->message + s->message_n, 0, sizeof s->message - s->message_n);
  s->message_n = mpt_message (s, s->message, reply);
  reply[M_LENGTH] = (uint8_t) (s->message_n / 4);
  memcpy (s->message, reply, s->message_n);
  s->message_at = 0;
  s->handshake = HANDSHAKE_GIVE;
}

static void
mpt_write_doorbell (Mptsas *s, uint32_t value)
{
  if (s->handshake == HANDSHAKE_TAKE)
    {
      vm_store_le32 (s->message + s->message_at, value);
      s->message_at += 4;
      if (s->message_at >= s->message_n)
        {
          mpt_handshake_run (s);
          mpt_interrupt (s, INT_DOORBELL);
        }
      return;
    }
  switch (value >> 24)
    {
    case DOORBELL_UNIT_RESET:
    case DOORBELL_IO_UNIT_RESET:
      mpt_reset_unit (s);
      break;
    case DOORBELL_HANDSHAKE:
      s->message_n = MIN (value >> 16 & 0xff, MPT_FRAME_MAX / 4) * 4;
      s->message_at = 0;
      s->handshake = s->message_n ? HANDSHAKE_TAKE : HANDSHAKE_NONE;
      mpt_interrupt (s, INT_DOORBELL);
      break;
    case DOORBELL_REPLY_REMOVAL:
      while (s->free_head != s->free_tail && s->post_tail - s->post_head < MPT_POST_DEPTH)
        mpt_post (s, s->free_list[s->free_head++ % MPT_QUEUE_DEPTH] >> 1 | 1u << 31);
      break;
    default:
      break;
    }
}

/* Half words of the answer, the next when the interrupt of this one is cleared. */
static uint32_t
mpt_read_doorbell (const Mptsas *s)
{
  uint32_t value = s->state << 28 | (s->handshake ? DOORBELL_USED : 0) | (s->who_init & 7) << 24;

  if (s->handshake == HANDSHAKE_GIVE && s->message_at < s->message_n)
    value |= vm_load_le16 (s->message + s->message_at);
  return value;
}

static void
mpt_clear_interrupt (Mptsas *s)
{
  s->int_status &= ~(uint32_t) INT_DOORBELL;
  if (s->handshake == HANDSHAKE_GIVE)
    {
      if (s->message_at < s->message_n)
        {
          s->message_at += 2;
          s->int_status |= INT_DOORBELL; /* the next, or the end */
        }
      else
        s->handshake = HANDSHAKE_NONE;
    }
  mpt_update_irq (s);
}

static void
mpt_write_sequence (Mptsas *s, uint8_t key)
{
  static const uint8_t keys[] = { 0x04, 0x0b, 0x02, 0x07, 0x0d };

  key &= 15;
  if (key == 0x0f || s->sequence >= sizeof keys || key != keys[s->sequence])
    {
      s->sequence = key == keys[0];
      s->diagnostic &= ~(uint32_t) DIAG_WRITE_ENABLE;
    }
  else if (++s->sequence == sizeof keys)
    {
      s->diagnostic |= DIAG_WRITE_ENABLE;
      s->sequence = 0;
    }
}

static void
mpt_write_diagnostic (Mptsas *s, uint32_t value)
{
  if (!(s->diagnostic & DIAG_WRITE_ENABLE))
    return;
  if (value & DIAG_RESET)
    {
      mpt_reset_unit (s);
      s->diagnostic = DIAG_RESET_HISTORY;
      s->sequence = 0;
    }
  else
    s->diagnostic = (s->diagnostic & DIAG_WRITE_ENABLE) | (value & (DIAG_RW_ENABLE | DIAG_RESET_HISTORY));
}

static uint32_t
mpt_read_reply (Mptsas *s)
{
  uint32_t value = REPLY_EMPTY;

  if (s->post_head != s->post_tail)
    value = s->post_list[s->post_head++ % MPT_POST_DEPTH];
  if (s->post_head == s->post_tail)
    {
      s->int_status &= ~(uint32_t) INT_REPLY;
      mpt_update_irq (s);
    }
  return value;
}

static uint64_t
mpt_read (void *opaque, uint64_t offset, unsigned size)
{
  Mptsas *s = opaque;

  switch (offset)
    {
    case REG_DOORBELL:
      return mpt_read_doorbell (s);
    case REG_DIAGNOSTIC:
      return s->diagnostic;
    case REG_INT_STATUS:
      return s->int_status;
    case REG_INT_MASK:
      return s->int_mask;
    case REG_REPLY:
      return mpt_read_reply (s);
    default:
      return 0;
    }
}

static void
mpt_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Mptsas *s = opaque;

  switch (offset)
    {
    case REG_DOORBELL:
      mpt_write_doorbell (s, (uint32_t) value);
      break;
    case REG_WRITE_SEQUENCE:
      mpt_write_sequence (s, (uint8_t) value);
      break;
    case REG_DIAGNOSTIC:
      mpt_write_diagnostic (s, (uint32_t) value);
      break;
    case REG_INT_STATUS:
      mpt_clear_interrupt (s);
      break;
    case REG_INT_MASK:
      s->int_mask = (uint32_t) value & (INT_DOORBELL | INT_REPLY);
      mpt_update_irq (s);
      break;
    case REG_REQUEST: case REG_REQUEST_HIGH:
      mpt_request (s, s->high_addr | ((uint32_t) value & ~7u));
      break;
    case REG_REPLY:
      if (s->free_tail - s->free_head >= MPT_QUEUE_DEPTH)
        mpt_fault (s, "too many reply frames");
      else
        s->free_list[s->free_tail++ % MPT_QUEUE_DEPTH] = (uint32_t) value;
      break;
    default:
      break;
    }
}

static const VmRegionOps mpt_ops = { .read = mpt_read, .write = mpt_write, .impl = { .min = 4, .max = 4 } };

static uint64_t
mpt_diag_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

static void
mpt_diag_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const VmRegionOps mpt_diag_ops = { .read = mpt_diag_read, .write = mpt_diag_write };

/* --- life ------------------------------------------------------------------------------------------ */

static void
mpt_reset (VmDevice *dev, VmResetKind kind)
{
  Mptsas *s = (Mptsas *) dev;

  s->int_mask = INT_DOORBELL | INT_REPLY;
  s->sequence = s->diagnostic = s->event_context = 0;
  mpt_reset_unit (s);
}

static bool
mpt_realize (VmDevice *dev, GError **error)
{
  Mptsas *s = (Mptsas *) dev;
  VmMemory *memory = dev->env->memory;

  if (!s->sas_address) /* locally made; unique within the machine */
    s->sas_address = UINT64_C (0x5525400000000000) | (uint64_t) s->parent.addr << 12;
  vm_pci_set_interrupt_pin (&s->parent, 1);
  if (s->msi != VM_ONOFFAUTO_OFF && !vm_pci_msi_init (&s->parent, 0, 1, true, false, error))
    return false;
  vm_region_init_io (&s->io, memory, &mpt_ops, s, "mptsas-io", 256);
  vm_region_init_io (&s->mmio, memory, &mpt_ops, s, "mptsas-mmio", 0x4000);
  vm_region_init_io (&s->diag, memory, &mpt_diag_ops, s, "mptsas-diag", 0x10000);
  vm_pci_add_bar (&s->parent, 0, PCI_BAR_IO, &s->io);
  vm_pci_add_bar (&s->parent, 1, 0, &s->mmio);
  vm_pci_add_bar (&s->parent, 2, 0, &s->diag);
  vm_scsi_bus_init (&s->bus, dev, NULL, &mpt_bus_ops, s);
  return true;
}

static void
mpt_unrealize (VmDevice *dev)
{
  Mptsas *s = (Mptsas *) dev;

  vm_region_destroy (&s->io);
  vm_region_destroy (&s->mmio);
  vm_region_destroy (&s->diag);
}

static bool
mpt_post_load (VmDevice *dev, GError **error)
{
  Mptsas *s = (Mptsas *) dev;

  if ((s->state != STATE_READY && s->state != STATE_OPERATIONAL && s->state != STATE_FAULT)
      || s->handshake >= HANDSHAKE_N || s->message_n > sizeof s->message || s->message_n & 3
      || s->message_at > s->message_n || s->message_at & (s->handshake == HANDSHAKE_TAKE ? 3 : 1)
      || (s->handshake == HANDSHAKE_TAKE && s->message_at == s->message_n)
      || s->free_tail - s->free_head > MPT_QUEUE_DEPTH || s->post_tail - s->post_head > MPT_POST_DEPTH)
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  return true;
}

static const VmProp mpt_props[] = {
  VM_PROP ("sas_address", Mptsas, sas_address, 0, "SAS address; 0: made up"),
  VM_PROP_AUTO ("msi", Mptsas, msi, VM_ONOFFAUTO_AUTO, "message-signalled interrupts"),
  { 0 },
};

static const VmField mpt_state[] = {
  VM_FIELD (Mptsas, state), VM_FIELD (Mptsas, int_status), VM_FIELD (Mptsas, int_mask), VM_FIELD (Mptsas, sequence),
  VM_FIELD (Mptsas, diagnostic), VM_FIELD (Mptsas, who_init), VM_FIELD (Mptsas, max_devices),
  VM_FIELD (Mptsas, max_buses), VM_FIELD (Mptsas, reply_size), VM_FIELD (Mptsas, high_addr),
  VM_FIELD (Mptsas, sense_high), VM_FIELD (Mptsas, events_on), VM_FIELD (Mptsas, event_message),
  VM_FIELD (Mptsas, event_context),
  VM_FIELD (Mptsas, handshake), VM_FIELD (Mptsas, message_at), VM_FIELD (Mptsas, message_n),
  VM_FIELD_ARRAY (Mptsas, message), VM_FIELD (Mptsas, free_head), VM_FIELD (Mptsas, free_tail),
  VM_FIELD (Mptsas, post_head), VM_FIELD (Mptsas, post_tail), VM_FIELD_ARRAY (Mptsas, free_list),
  VM_FIELD_ARRAY (Mptsas, post_list), { 0 },
};

static const VmPciClass mpt_class = {
  .parent = {
    .realize = mpt_realize, .unrealize = mpt_unrealize, .reset = mpt_reset, .post_load = mpt_post_load,
    .category = "Storage", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = 0x1000, .device = 0x0054, .class_id = PCI_CLASS_STORAGE_SCSI, .revision = 1, .subsystem_vendor = 0x1000,
  .subsystem = 0x8000,
};

const VmType vm_mptsas1068_type = {
  .name = "mptsas1068", .parent = &vm_pci_device_type, .size = sizeof (Mptsas),
  .help = "LSI SAS1068", .props = mpt_props, .state = mpt_state, .klass = &mpt_class,
};
