/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "pvscsi", VMware's paravirtual SCSI adapter (the interface its Linux driver documents: rings of requests, completions
 * and messages in guest memory). */
#include "devices/scsi/scsi-dma.h"

enum { REG_COMMAND = 0x0000, REG_COMMAND_DATA = 0x0004, REG_COMMAND_STATUS = 0x0008, REG_INTR_STATUS = 0x100c,
       REG_INTR_MASK = 0x2010, REG_KICK_NON_RW = 0x3014, REG_KICK_RW = 0x4018 };
enum { CMD_RESET = 1, CMD_SETUP_RINGS = 3, CMD_RESET_BUS = 4, CMD_RESET_DEVICE = 5, CMD_ABORT = 6, CMD_CONFIG = 7,
       CMD_SETUP_MSG_RING = 8, CMD_MAX_TARGETS = 11 };
#define STATUS_OK      0u
#define STATUS_FAILED  UINT32_MAX
#define STATUS_PENDING (UINT32_MAX - 1)
enum { INTR_COMPLETION = 1 << 0, INTR_MESSAGE = 1 << 2, INTR_ALL = 0x0f };
enum { /* ring state page, in bytes */
  RS_REQ_PROD = 0, RS_REQ_CONS = 4, RS_REQ_LOG2 = 8, RS_CMP_PROD = 12, RS_CMP_CONS = 16, RS_CMP_LOG2 = 20,
  RS_MSG_PROD = 128, RS_MSG_CONS = 132, RS_MSG_LOG2 = 136,
};
enum { FLAG_SG = 1 << 0, FLAG_LONG_CDB = 1 << 1, FLAG_NONE = 1 << 2, FLAG_TO_HOST = 1 << 3, FLAG_TO_DEVICE = 1 << 4 };
enum { HOST_OK = 0x00, HOST_NO_TARGET = 0x11, HOST_OVERRUN = 0x12, HOST_INVALID = 0x1d, HOST_BUS_RESET = 0x25,
       HOST_ABORTED = 0x26, HOST_PARAMETER = 0x1a };
enum { CONFIG_CONTROLLER = 0x1958, CONFIG_HEADER = 16, CONFIG_PHYS = 16 + 8 + 2 * (64 + 64 + 32 + 32 + 32),
       CONFIG_LEN = CONFIG_PHYS + 8 };
enum { MSG_ADDED = 0, MSG_REMOVED = 1 };

#define RING_PAGES  32
#define MSG_PAGES   16
#define PAGE        4096u
#define REQUEST_LEN 128u
#define REPLY_LEN   32u
#define MESSAGE_LEN 128u
#define MAX_TARGETS 64
#define SG_MAX      4096u        /* elements of one request */
#define SENSE_MAX   256u
#define KICK_BUDGET 256          /* requests at a time */

typedef struct Pvscsi {
  VmPciDevice parent;
  /* properties */
  uint8_t     use_msg;
  bool        old_pci, disable_pcie;
  /* wiring */
  VmRegion    mmio;
  VmScsiBus   bus;
  VmTimer     kick_timer;    /* goes on with a full ring */
  VmTimer     reply_timer;   /* tries again to deliver */
  GQueue     *replies;       /* PvscsiReply that found the ring full */
  /* guest state */
  uint32_t    command, data_n, status;
  uint32_t    data[2 + 2 + 4 * RING_PAGES]; /* the longest command's words */
  uint32_t    intr_status, intr_mask;
  bool        rings, messages;
  uint64_t    state_page, req_page[RING_PAGES], cmp_page[RING_PAGES], msg_page[MSG_PAGES];
  uint32_t    req_log2, cmp_log2, msg_log2;
  uint32_t    req_cons, cmp_prod, msg_prod;
} Pvscsi;

typedef struct PvscsiRequest {
  Pvscsi   *owner;
  VmScsiDma dma;
  uint64_t  context, sense_addr, data_len;
  uint32_t  sense_len;
} PvscsiRequest;

typedef struct PvscsiReply {
  uint64_t context, data_len;
  uint32_t sense_len;
  uint16_t host, scsi;
} PvscsiReply;

/* --- guest memory ---------------------------------------------------------------------------------- */

static uint32_t
load32 (Pvscsi *s, uint64_t addr)
{
  uint8_t bytes[4];

  return vm_pci_dma_read (&s->parent, addr, bytes, 4) == VM_MEM_OK ? vm_load_le32 (bytes) : 0;
}

static void
store32 (Pvscsi *s, uint64_t addr, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, value);
  vm_pci_dma_write (&s->parent, addr, bytes, 4);
}

static uint64_t
ring_place (const uint64_t *pages, uint32_t index, uint32_t log2, uint32_t len)
{
  uint32_t entry = index & ((1u << log2) - 1), per_page = PAGE / len;

  return pages[entry / per_page] + entry % per_page * len;
}

/* --- interrupts ------------------------------------------------------------------------------------ */

static void
pvscsi_update_irq (Pvscsi *s)
{
  bool level = s->intr_status & s->intr_mask;

  if (vm_pci_msi_enabled (&s->parent))
    {
      if (level)
        vm_pci_msi_notify (&s->parent, 0);
    }
  else
    vm_pci_set_irq (&s->parent, level);
}

static void
pvscsi_raise (Pvscsi *s, uint32_t bits)
{
  s->intr_status |= bits;
  pvscsi_update_irq (s);
}

/* --- replies --------------------------------------------------------------------------------------- */

static bool
pvscsi_deliver (Pvscsi *s, const PvscsiReply *reply)
{
  uint8_t bytes[REPLY_LEN] = { 0 };
  uint32_t cons = load32 (s, s->state_page + RS_CMP_CONS);

  if (s->cmp_prod - cons >= 1u << s->cmp_log2)
    return false;
  vm_store_le64 (bytes, reply->context);
  vm_store_le64 (bytes + 8, reply->data_len);
  vm_store_le32 (bytes + 16, reply->sense_len);
  vm_store_le16 (bytes + 20, reply->host);
  vm_store_le16 (bytes + 22, reply->scsi);
  vm_pci_dma_write (&s->parent, ring_place (s->cmp_page, s->cmp_prod, s->cmp_log2, REPLY_LEN), bytes, REPLY_LEN);
  s->cmp_prod++;
  store32 (s, s->state_page + RS_CMP_PROD, s->cmp_prod);
  return true;
}

static void
pvscsi_deliver_waiting (void *opaque)
{
  Pvscsi *s = opaque;
  bool any = false;

  while (s->rings && !g_queue_is_empty (s->replies))
    {
      if (!pvscsi_deliver (s, g_queue_peek_head (s->replies)))
        {
          vm_timer_set (&s->reply_timer, vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + VM_NS_PER_MS);
          break;
        }
      g_free (g_queue_pop_head (s->replies));
      any = true;
    }
  if (any)
    pvscsi_raise (s, INTR_COMPLETION);
}

static void
pvscsi_reply (Pvscsi *s, const PvscsiReply *reply)
{
  g_queue_push_tail (s->replies, g_memdup2 (reply, sizeof *reply));
  pvscsi_deliver_waiting (s);
}

/* --- requests -------------------------------------------------------------------------------------- */

static void
request_free (PvscsiRequest *r)
{
  vm_scsi_dma_clear (&r->dma);
  g_free (r);
}

static void
pvscsi_transfer (VmScsiRequest *req)
{
  vm_scsi_dma_transfer (&((PvscsiRequest *) req->hba)->dma, req);
}

static void
pvscsi_complete (VmScsiRequest *req)
{
  PvscsiRequest *r = req->hba;
  Pvscsi *s = r->owner;
  PvscsiReply reply = { .context = r->context, .data_len = req->moved, .scsi = req->status };

  if (req->overrun)
    reply.host = HOST_OVERRUN;
  if (req->sense_len && r->sense_len)
    {
      reply.sense_len = MIN (req->sense_len, r->sense_len);
      vm_pci_dma_write (&s->parent, r->sense_addr, req->sense, reply.sense_len);
    }
  req->hba = NULL;
  request_free (r);
  vm_scsi_request_unref (req);
  pvscsi_reply (s, &reply);
}

/* A cancelled request answers too: its driver waits for it. */
static void
pvscsi_released (VmScsiRequest *req)
{
  PvscsiRequest *r = req->hba;
  PvscsiReply reply = { .context = r->context, .host = HOST_ABORTED };

  vm_scsi_dma_released (&r->dma, req);
  if (!req->cancelled)
    return;
  req->hba = NULL;
  if (r->owner->rings)
    pvscsi_reply (r->owner, &reply);
  request_free (r);
  vm_scsi_request_unref (req);
}

/* A chain of tables; false: it has no end. */
static bool
read_sg (Pvscsi *s, PvscsiRequest *r, uint64_t addr)
{
  uint8_t entry[16];

  for (uint32_t n = 0; n < SG_MAX && r->dma.sg.size < r->data_len; n++, addr += sizeof entry)
    {
      uint32_t len, flags;

      if (vm_pci_dma_read (&s->parent, addr, entry, sizeof entry) != VM_MEM_OK)
        return false;
      len = vm_load_le32 (entry + 8);
      flags = vm_load_le32 (entry + 12);
      if (flags & 1) /* goes on elsewhere */
        addr = vm_load_le64 (entry) - sizeof entry;
      else
        vm_dma_sg_add (&r->dma.sg, vm_load_le64 (entry), MIN (len, r->data_len - r->dma.sg.size));
    }
  return r->dma.sg.size >= r->data_len;
}

static void
pvscsi_process (Pvscsi *s, const uint8_t *desc)
{
  PvscsiRequest *r = g_new0 (PvscsiRequest, 1);
  PvscsiReply reply = { .context = vm_load_le64 (desc) };
  uint32_t flags = vm_load_le32 (desc + 36), lun = vm_scsi_lun_decode (desc + 57);
  VmScsiRequest *req = NULL;
  bool ok = true;

  r->owner = s;
  r->context = reply.context;
  r->data_len = vm_load_le64 (desc + 16);
  r->sense_addr = vm_load_le64 (desc + 24);
  r->sense_len = MIN (vm_load_le32 (desc + 32), SENSE_MAX);
  vm_scsi_dma_init (&r->dma, &s->parent);
  if (flags & FLAG_LONG_CDB || desc[56] > 16)
    reply.host = HOST_INVALID;
  else if (desc[66] || !(req = vm_scsi_request_new (&s->bus, 0, desc[67], lun, r->context, desc + 40, desc[56], r)))
    reply.host = HOST_NO_TARGET;
  else if (req->direction != VM_SCSI_NO_DATA
           && (flags & (req->direction == VM_SCSI_FROM_DEVICE ? FLAG_TO_DEVICE : FLAG_TO_HOST)))
    reply.host = HOST_INVALID;
  else if (flags & FLAG_SG)
    ok = read_sg (s, r, vm_load_le64 (desc + 8));
  else
    vm_dma_sg_add (&r->dma.sg, vm_load_le64 (desc + 8), r->data_len);
  if (reply.host || !ok)
    {
      reply.host = reply.host ? reply.host : HOST_INVALID;
      vm_scsi_request_unref (req);
      request_free (r);
      pvscsi_reply (s, &reply);
      return;
    }
  vm_scsi_request_start (req, NULL, 0);
}

static void
pvscsi_kick (void *opaque)
{
  Pvscsi *s = opaque;
  unsigned budget = KICK_BUDGET;

  while (s->rings && load32 (s, s->state_page + RS_REQ_PROD) != s->req_cons)
    {
      uint8_t desc[REQUEST_LEN];

      if (!budget--)
        {
          vm_timer_set (&s->kick_timer,
                        vm_clock_now (s->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + VM_NS_PER_US * 50);
          return;
        }
      if (vm_pci_dma_read (&s->parent, ring_place (s->req_page, s->req_cons, s->req_log2, REQUEST_LEN), desc,
                           REQUEST_LEN) != VM_MEM_OK)
        return;
      s->req_cons++;
      store32 (s, s->state_page + RS_REQ_CONS, s->req_cons);
      pvscsi_process (s, desc);
    }
}

/* --- messages: devices come and go ----------------------------------------------------------------- */

static void
pvscsi_say (Pvscsi *s, uint32_t type, const VmScsiDevice *dev)
{
  uint8_t bytes[MESSAGE_LEN] = { 0 };

  if (!s->messages || !s->use_msg
      || s->msg_prod - load32 (s, s->state_page + RS_MSG_CONS) >= 1u << s->msg_log2)
    return; /* a full ring loses news, as the interface has it */
  vm_store_le32 (bytes, type);
  vm_store_le32 (bytes + 4, dev->channel);
  vm_store_le32 (bytes + 8, dev->scsi_id);
  bytes[13] = dev->lun;
  vm_pci_dma_write (&s->parent, ring_place (s->msg_page, s->msg_prod, s->msg_log2, MESSAGE_LEN), bytes, sizeof bytes);
  s->msg_prod++;
  store32 (s, s->state_page + RS_MSG_PROD, s->msg_prod);
  pvscsi_raise (s, INTR_MESSAGE);
}

static void
pvscsi_changed (VmScsiBus *bus, VmScsiDevice *dev, bool here)
{
  pvscsi_say (bus->opaque, here ? MSG_ADDED : MSG_REMOVED, dev);
}

static const VmScsiBusOps pvscsi_bus_ops = {
  .tcq = true,
  .autosense = true,
  .max_target = MAX_TARGETS - 1,
  .max_lun = 0,
  .host_id = UINT_MAX,
  .transfer = pvscsi_transfer,
  .complete = pvscsi_complete,
  .released = pvscsi_released,
  .changed = pvscsi_changed,
};

/* --- commands -------------------------------------------------------------------------------------- */

static void
pvscsi_reset_adapter (Pvscsi *s)
{
  s->rings = s->messages = false; /* what is cancelled answers no more */
  vm_scsi_bus_reset (&s->bus);
  g_queue_clear_full (s->replies, g_free);
  vm_timer_cancel (&s->kick_timer);
  vm_timer_cancel (&s->reply_timer);
  s->command = s->data_n = 0;
  s->status = STATUS_OK;
  s->intr_status = s->intr_mask = 0;
  vm_pci_set_irq (&s->parent, 0);
}

static uint64_t
data64 (const Pvscsi *s, unsigned word)
{
  return s->data[word] | (uint64_t) s->data[word + 1] << 32;
}

static unsigned
floor_log2 (uint32_t n)
{
  return 31 - __builtin_clz (n);
}

static uint32_t
setup_rings (Pvscsi *s)
{
  uint32_t req_pages = s->data[0], cmp_pages = s->data[1];

  if (!req_pages || req_pages > RING_PAGES || !cmp_pages || cmp_pages > RING_PAGES)
    return STATUS_FAILED;
  s->state_page = data64 (s, 2) * PAGE;
  for (unsigned i = 0; i < RING_PAGES; i++)
    {
      s->req_page[i] = data64 (s, 4 + 2 * i) * PAGE;
      s->cmp_page[i] = data64 (s, 4 + 2 * (RING_PAGES + i)) * PAGE;
    }
  s->req_log2 = floor_log2 (req_pages * (PAGE / REQUEST_LEN));
  s->cmp_log2 = floor_log2 (cmp_pages * (PAGE / REPLY_LEN));
  s->req_cons = s->cmp_prod = 0;
  store32 (s, s->state_page + RS_REQ_PROD, 0);
  store32 (s, s->state_page + RS_REQ_CONS, 0);
  store32 (s, s->state_page + RS_REQ_LOG2, s->req_log2);
  store32 (s, s->state_page + RS_CMP_PROD, 0);
  store32 (s, s->state_page + RS_CMP_CONS, 0);
  store32 (s, s->state_page + RS_CMP_LOG2, s->cmp_log2);
  s->rings = true;
  return STATUS_OK;
}

static uint32_t
setup_messages (Pvscsi *s)
{
  uint32_t pages = s->data[0];

  if (!s->rings || !pages || pages > MSG_PAGES)
    return STATUS_FAILED;
  for (unsigned i = 0; i < MSG_PAGES; i++)
    s->msg_page[i] = data64 (s, 2 + 2 * i) * PAGE;
  s->msg_log2 = floor_log2 (pages * (PAGE / MESSAGE_LEN));
  s->msg_prod = 0;
  store32 (s, s->state_page + RS_MSG_PROD, 0);
  store32 (s, s->state_page + RS_MSG_CONS, 0);
  store32 (s, s->state_page + RS_MSG_LOG2, s->msg_log2);
  s->messages = true;
  return STATUS_OK;
}

static uint32_t
abort_command (Pvscsi *s)
{
  VmScsiDevice *dev = vm_scsi_bus_find (&s->bus, 0, s->data[2], VM_SCSI_LUN_NONE);
  VmScsiRequest *req = dev ? vm_scsi_device_find_request (dev, data64 (s, 0)) : NULL;

  if (req)
    vm_scsi_request_cancel (req);
  return STATUS_OK;
}

/* The controller's page says how many targets there are; strings are left empty. */
static uint32_t
report_config (Pvscsi *s)
{
  uint8_t page[CONFIG_LEN] = { 0 };
  bool known = s->data[4] == CONFIG_CONTROLLER;

  vm_store_le32 (page, s->data[4]);
  vm_store_le16 (page + 4, known ? CONFIG_LEN / 4 : 0);
  vm_store_le16 (page + 6, known ? HOST_OK : HOST_PARAMETER);
  vm_store_le16 (page + 8, known ? VM_SCSI_GOOD : VM_SCSI_CHECK_CONDITION);
  vm_store_le32 (page + CONFIG_PHYS, MAX_TARGETS);
  vm_pci_dma_write (&s->parent, data64 (s, 0), page, known ? CONFIG_LEN : CONFIG_HEADER);
  return STATUS_OK;
}

/* Words of data each command takes; -1: there is no such command. */
static int
command_words (const Pvscsi *s)
{
  switch (s->command)
    {
    case CMD_RESET:
    case CMD_RESET_BUS:
    case CMD_MAX_TARGETS:
      return 0;
    case CMD_SETUP_RINGS:
      return 4 + 4 * RING_PAGES;
    case CMD_RESET_DEVICE:
      return 3;
    case CMD_ABORT:
      return 4;
    case CMD_CONFIG:
      return 6;
    case CMD_SETUP_MSG_RING:
      return s->use_msg ? 2 + 2 * MSG_PAGES : -1;
    default:
      return -1;
    }
}

static void
run_command (Pvscsi *s)
{
  switch (s->command)
    {
    case CMD_RESET:
      pvscsi_reset_adapter (s);
      break;
    case CMD_RESET_BUS:
      vm_scsi_bus_reset (&s->bus);
      s->status = STATUS_OK;
      break;
    case CMD_MAX_TARGETS:
      s->status = MAX_TARGETS;
      break;
    case CMD_SETUP_RINGS:
      s->status = setup_rings (s);
      break;
    case CMD_RESET_DEVICE:
      vm_scsi_target_reset (&s->bus, 0, s->data[0]);
      s->status = STATUS_OK;
      break;
    case CMD_ABORT:
      s->status = abort_command (s);
      break;
    case CMD_CONFIG:
      s->status = report_config (s);
      break;
    case CMD_SETUP_MSG_RING:
      s->status = setup_messages (s);
      break;
    }
}

static void
write_command (Pvscsi *s, uint32_t value)
{
  int words;

  s->command = value;
  s->data_n = 0;
  words = command_words (s);
  s->status = words < 0 ? STATUS_FAILED : STATUS_PENDING;
  if (words == 0)
    run_command (s);
}

static void
write_data (Pvscsi *s, uint32_t value)
{
  int words = command_words (s);

  if (words <= 0 || s->data_n >= (uint32_t) words)
    return;
  s->data[s->data_n++] = value;
  if (s->data_n == (uint32_t) words)
    run_command (s);
}

/* --- registers ------------------------------------------------------------------------------------- */

static uint64_t
pvscsi_read (void *opaque, uint64_t offset, unsigned size)
{
  Pvscsi *s = opaque;

  switch (offset)
    {
    case REG_COMMAND_STATUS:
      return s->status;
    case REG_INTR_STATUS:
      return s->intr_status;
    case REG_INTR_MASK:
      return s->intr_mask;
    default:
      return 0;
    }
}

static void
pvscsi_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Pvscsi *s = opaque;

  switch (offset)
    {
    case REG_COMMAND:
      write_command (s, (uint32_t) value);
      break;
    case REG_COMMAND_DATA:
      write_data (s, (uint32_t) value);
      break;
    case REG_INTR_STATUS:
      s->intr_status &= ~(uint32_t) value;
      pvscsi_update_irq (s);
      break;
    case REG_INTR_MASK:
      s->intr_mask = value & INTR_ALL;
      pvscsi_update_irq (s);
      break;
    case REG_KICK_NON_RW:
    case REG_KICK_RW:
      pvscsi_kick (s);
      break;
    default:
      break;
    }
}

static const VmRegionOps pvscsi_ops = {
  .read = pvscsi_read, .write = pvscsi_write, .impl = { .min = 4, .max = 4 },
};

/* --- life ------------------------------------------------------------------------------------------ */

static void
pvscsi_reset (VmDevice *dev, VmResetKind kind)
{
  pvscsi_reset_adapter ((Pvscsi *) dev);
}

static bool
pvscsi_realize (VmDevice *dev, GError **error)
{
  Pvscsi *s = (Pvscsi *) dev;

  vm_pci_set_interrupt_pin (&s->parent, 1);
  if (!vm_pci_msi_init (&s->parent, s->old_pci ? 0x50 : 0x7c, 1, true, false, error))
    return false;
  vm_region_init_io (&s->mmio, dev->env->memory, &pvscsi_ops, s, "pvscsi", 8 * PAGE);
  vm_pci_add_bar (&s->parent, 0, PCI_BAR_MEM, &s->mmio);
  vm_timer_init (&s->kick_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, pvscsi_kick, s);
  vm_timer_init (&s->reply_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, pvscsi_deliver_waiting, s);
  s->replies = g_queue_new ();
  vm_scsi_bus_init (&s->bus, dev, NULL, &pvscsi_bus_ops, s);
  return true;
}

static void
pvscsi_unrealize (VmDevice *dev)
{
  Pvscsi *s = (Pvscsi *) dev;

  vm_timer_cancel (&s->kick_timer);
  vm_timer_cancel (&s->reply_timer);
  g_queue_free_full (s->replies, g_free);
  vm_region_destroy (&s->mmio);
}

static bool
pvscsi_post_load (VmDevice *dev, GError **error)
{
  Pvscsi *s = (Pvscsi *) dev;

  if (s->data_n > G_N_ELEMENTS (s->data) || s->req_log2 > 10 || s->cmp_log2 > 12 || s->msg_log2 > 9)
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  return true;
}

static const VmProp pvscsi_props[] = {
  VM_PROP ("use_msg", Pvscsi, use_msg, 1, "offer the ring of hot-plug messages"),
  VM_PROP ("x-old-pci-configuration", Pvscsi, old_pci, false, "MSI capability at 50 instead of 7c"),
  VM_PROP ("x-disable-pcie", Pvscsi, disable_pcie, false, "conventional PCI also on PCI Express"),
  { 0 },
};

static const VmField pvscsi_state[] = {
  VM_FIELD (Pvscsi, command),
  VM_FIELD (Pvscsi, data_n),
  VM_FIELD (Pvscsi, status),
  VM_FIELD_ARRAY (Pvscsi, data),
  VM_FIELD (Pvscsi, intr_status),
  VM_FIELD (Pvscsi, intr_mask),
  VM_FIELD (Pvscsi, rings),
  VM_FIELD (Pvscsi, messages),
  VM_FIELD (Pvscsi, state_page),
  VM_FIELD_ARRAY (Pvscsi, req_page),
  VM_FIELD_ARRAY (Pvscsi, cmp_page),
  VM_FIELD_ARRAY (Pvscsi, msg_page),
  VM_FIELD (Pvscsi, req_log2),
  VM_FIELD (Pvscsi, cmp_log2),
  VM_FIELD (Pvscsi, msg_log2),
  VM_FIELD (Pvscsi, req_cons),
  VM_FIELD (Pvscsi, cmp_prod),
  VM_FIELD (Pvscsi, msg_prod),
  VM_FIELD_TIMER_OF (Pvscsi, kick_timer),
  VM_FIELD_TIMER_OF (Pvscsi, reply_timer),
  { 0 },
};

static const VmPciClass pvscsi_class = {
  .parent = {
    .realize = pvscsi_realize, .unrealize = pvscsi_unrealize, .reset = pvscsi_reset, .post_load = pvscsi_post_load,
    .category = "Storage", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = 0x15ad, .device = 0x07c0, .class_id = PCI_CLASS_STORAGE_SCSI, .revision = 2,
  .subsystem_vendor = 0x15ad, .subsystem = 0x07c0,
};

const VmType vm_pvscsi_type = {
  .name = "pvscsi", .parent = &vm_pci_device_type, .size = sizeof (Pvscsi),
  .help = "VMware paravirtual SCSI adapter", .props = pvscsi_props, .state = pvscsi_state, .klass = &pvscsi_class,
};
