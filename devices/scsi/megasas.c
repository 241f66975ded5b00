/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "megasas" and "megasas-gen2": LSI MegaRAID SAS 1078 and 2108 with the firmware interface of their drivers (MFI):
 * frames in guest memory, posted by address, answered through a reply queue. Each disk is a logical drive, or with
 * use_jbod a physical one. */
#include "devices/scsi/scsi-dma.h"

enum { REG_SCRATCH0 = 0x18, REG_DOORBELL = 0x20, REG_INTR_STATUS = 0x30, REG_INTR_MASK = 0x34, REG_QUEUE = 0x40,
       REG_DOORBELL_CLEAR = 0xa0, REG_SCRATCH = 0xb0, REG_QUEUE_LOW = 0xc0, REG_QUEUE_HIGH = 0xc4 };
enum { DOORBELL_ABORT = 0x01, DOORBELL_READY = 0x02, DOORBELL_STOP = 0x20 };
#define STATE_READY       0xb0000000u
#define STATE_OPERATIONAL 0xc0000000u
#define STATE_FAULT       0xf0000000u
#define STATE_MSIX        0x04000000u
enum { CMD_INIT = 0, CMD_LD_READ = 1, CMD_LD_WRITE = 2, CMD_LD_SCSI = 3, CMD_PD_SCSI = 4, CMD_DCMD = 5, CMD_ABORT = 6 };
enum { FLAG_NO_REPLY = 0x0001, FLAG_SGL64 = 0x0002, FLAG_SENSE64 = 0x0004, FLAG_IEEE = 0x0020 };
enum { MFI_OK = 0x00, MFI_INVALID_CMD = 0x01, MFI_INVALID_DCMD = 0x02, MFI_INVALID_PARAMETER = 0x03,
       MFI_NO_DEVICE = 0x0c, MFI_NO_MEMORY = 0x20, MFI_SCSI_ERROR = 0x2d, MFI_SCSI_FAILED = 0x2e };
enum { /* a frame, in bytes; what differs by command is named after it */
  F_CMD = 0x00, F_SENSE_LEN = 0x01, F_STATUS = 0x02, F_SCSI_STATUS = 0x03, F_TARGET = 0x04, F_LUN = 0x05,
  F_CDB_LEN = 0x06, F_SGE_COUNT = 0x07, F_CONTEXT = 0x08, F_FLAGS = 0x10, F_LENGTH = 0x14, F_OPCODE = 0x18,
  F_SENSE = 0x18, F_MAILBOX = 0x1c, F_QUEUE_INFO = 0x18, F_CDB = 0x20, F_LBA = 0x20, F_ABORT = 0x20, F_SGL = 0x28,
  F_SGL_CDB = 0x30, F_LEN = 0x40,
};
enum {
  DCMD_CTRL_INFO = 0x01010000, DCMD_GET_PROPERTIES = 0x01020100, DCMD_SET_PROPERTIES = 0x01020200,
  DCMD_EVENT_INFO = 0x01040100, DCMD_EVENT_WAIT = 0x01040500, DCMD_SHUTDOWN = 0x01050000, DCMD_HIBERNATE = 0x01060000,
  DCMD_FLUSH = 0x01101000, DCMD_PD_LIST = 0x02010000, DCMD_PD_QUERY = 0x02010100, DCMD_LD_LIST = 0x03010000,
  DCMD_LD_PROPERTIES = 0x03030000, DCMD_CLUSTER_RESET = 0x08010200,
};
enum { EVENT_PD_INSERTED = 0x5b, EVENT_PD_REMOVED = 0x70, EVENT_LD_CREATED = 0x8a, EVENT_LD_DELETED = 0x8b };
enum { LOCALE_LD = 1, LOCALE_PD = 2 };

#define INFO_LEN    2048
#define EVENT_LEN   256
#define MAX_TARGETS 64
#define QUEUE_MAX   4096u
#define REPLY_MAX   4096u
#define SECTORS_MAX 2048

typedef struct Megasas {
  VmPciDevice parent;
  /* properties */
  VmOnOffAuto msi, msix;
  char       *hba_serial;
  uint64_t    sas_address;
  uint32_t    max_sge, max_cmds;
  bool        use_jbod;
  /* wiring */
  VmRegion    mmio, io, queue;
  VmScsiBus   bus;
  uint32_t    in_flight;
  /* guest state */
  uint32_t    state, intr_mask, frame_low, frame_high;
  bool        pending;        /* the reply interrupt */
  bool        wide_context;
  uint64_t    reply_queue, producer_addr;
  uint32_t    entries, producer;
  uint32_t    event_seq;      /* of the newest event */
  uint64_t    event_frame;    /* who waits for the next; 0: nobody */
} Megasas;

typedef struct MegasasClass {
  VmPciClass  parent;
  bool        gen2;
  const char *product;
} MegasasClass;

typedef struct MegaFlush { /* a command of the adapter that waits for one of each drive */
  uint64_t frame;
  unsigned left;
} MegaFlush;

typedef struct MegaRequest {
  Megasas       *owner;
  VmScsiRequest *req;
  MegaFlush     *flush;
  VmScsiDma      dma;
  uint64_t       frame, sense_addr;
  uint8_t        sense_len;
} MegaRequest;

static const MegasasClass *
mega_class (const Megasas *s)
{
  return vm_type_klass (s->parent.parent.parent.type);
}

/* --- interrupts and replies ------------------------------------------------------------------------ */

static uint32_t
reply_bit (const Megasas *s)
{
  return mega_class (s)->gen2 ? 1u : 1u << 31;
}

static void
mega_update_irq (Megasas *s)
{
  bool level = s->pending && !(s->intr_mask & reply_bit (s));

  if (vm_pci_msix_enabled (&s->parent))
    {
      if (level)
        vm_pci_msix_notify (&s->parent, 0);
    }
  else if (vm_pci_msi_enabled (&s->parent))
    {
      if (level)
        vm_pci_msi_notify (&s->parent, 0);
    }
  else
    vm_pci_set_irq (&s->parent, level);
}

static void
write_byte (Megasas *s, uint64_t addr, uint8_t value)
{
  vm_pci_dma_write (&s->parent, addr, &value, 1);
}

static void
write_word (Megasas *s, uint64_t addr, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, value);
  vm_pci_dma_write (&s->parent, addr, bytes, 4);
}

/* The frame is done: its status, and its context into the reply queue. */
static void
mega_finish (Megasas *s, uint64_t frame, uint8_t status, uint8_t scsi_status)
{
  uint8_t head[F_FLAGS + 2];

  write_byte (s, frame + F_SCSI_STATUS, scsi_status);
  write_byte (s, frame + F_STATUS, status);
  if (vm_pci_dma_read (&s->parent, frame, head, sizeof head) != VM_MEM_OK
      || vm_load_le16 (head + F_FLAGS) & FLAG_NO_REPLY || !s->entries)
    return;
  vm_pci_dma_write (&s->parent, s->reply_queue + (uint64_t) s->producer * (s->wide_context ? 8 : 4), head + F_CONTEXT,
                    s->wide_context ? 8 : 4);
  s->producer = (s->producer + 1) % s->entries;
  write_word (s, s->producer_addr, s->producer);
  s->pending = true;
  mega_update_irq (s);
}

/* --- guest memory of a frame ----------------------------------------------------------------------- */

static bool
read_sgl (Megasas *s, VmScsiDma *dma, uint64_t at, unsigned count, uint16_t flags)
{
  unsigned size = flags & FLAG_IEEE ? 16 : flags & FLAG_SGL64 ? 12 : 8;
  uint8_t entry[16];

  vm_scsi_dma_init (dma, &s->parent);
  if (count > s->max_sge)
    return false;
  for (unsigned i = 0; i < count; i++, at += size)
    {
      if (vm_pci_dma_read (&s->parent, at, entry, size) != VM_MEM_OK)
        return false;
      if (size == 8)
        vm_dma_sg_add (&dma->sg, vm_load_le32 (entry), vm_load_le32 (entry + 4));
      else
        vm_dma_sg_add (&dma->sg, vm_load_le64 (entry), vm_load_le32 (entry + 8));
    }
  return true;
}

static uint8_t
reply_data (Megasas *s, const uint8_t *frame, uint64_t addr, void *data, uint32_t len)
{
  VmScsiDma dma = { 0 };
  bool ok = read_sgl (s, &dma, addr + F_SGL, frame[F_SGE_COUNT], vm_load_le16 (frame + F_FLAGS));

  if (ok)
    vm_dma_sg_copy (&dma.sg, 0, data, MIN (len, vm_load_le32 (frame + F_LENGTH)), true);
  vm_scsi_dma_clear (&dma);
  return ok ? MFI_OK : MFI_INVALID_PARAMETER;
}

/* --- SCSI ------------------------------------------------------------------------------------------ */

static void
request_free (MegaRequest *r)
{
  r->owner->in_flight--;
  vm_scsi_dma_clear (&r->dma);
  g_free (r);
}

/* One drive's part is done. */
static void
flush_step (Megasas *s, MegaFlush *flush)
{
  if (--flush->left)
    return;
  if (s->state == STATE_OPERATIONAL)
    mega_finish (s, flush->frame, MFI_OK, 0);
  g_free (flush);
}

static void
mega_transfer (VmScsiRequest *req)
{
  vm_scsi_dma_transfer (&((MegaRequest *) req->hba)->dma, req);
}

static void
mega_complete (VmScsiRequest *req)
{
  MegaRequest *r = req->hba;
  Megasas *s = r->owner;

  if (r->flush)
    flush_step (s, r->flush);
  else if (req->sense_len && r->sense_addr)
    vm_pci_dma_write (&s->parent, r->sense_addr, req->sense, MIN (req->sense_len, r->sense_len));
  if (!r->flush)
    mega_finish (s, r->frame, req->status == VM_SCSI_GOOD ? MFI_OK : MFI_SCSI_ERROR, req->status);
  request_free (r);
  vm_scsi_request_unref (req);
}

static void
mega_released (VmScsiRequest *req)
{
  MegaRequest *r = req->hba;

  vm_scsi_dma_released (&r->dma, req);
  if (!req->cancelled)
    return;
  if (r->flush)
    flush_step (r->owner, r->flush);
  else if (r->owner->state == STATE_OPERATIONAL)
    mega_finish (r->owner, r->frame, MFI_SCSI_FAILED, VM_SCSI_TASK_ABORTED);
  request_free (r);
  vm_scsi_request_unref (req);
}

/* Reads and writes of logical drives have no command block: they become one. */
static unsigned
make_cdb (const uint8_t *frame, uint8_t cdb[16])
{
  memset (cdb, 0, 16);
  if (frame[F_CMD] == CMD_LD_SCSI || frame[F_CMD] == CMD_PD_SCSI)
    {
      unsigned len = MIN (frame[F_CDB_LEN], 16);

      memcpy (cdb, frame + F_CDB, len);
      return len;
    }
  cdb[0] = frame[F_CMD] == CMD_LD_READ ? 0x88 : 0x8a;
  vm_store_be64 (cdb + 2, vm_load_le32 (frame + F_LBA) | (uint64_t) vm_load_le32 (frame + F_LBA + 4) << 32);
  vm_store_be32 (cdb + 10, vm_load_le32 (frame + F_LENGTH));
  return 16;
}

static void
mega_scsi (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint16_t flags = vm_load_le16 (frame + F_FLAGS);
  bool pass = frame[F_CMD] == CMD_LD_SCSI || frame[F_CMD] == CMD_PD_SCSI;
  MegaRequest *r;
  uint8_t cdb[16];
  unsigned len = make_cdb (frame, cdb);

  if ((frame[F_CMD] == CMD_PD_SCSI) != s->use_jbod)
    {
      mega_finish (s, addr, MFI_NO_DEVICE, 0);
      return;
    }
  if (s->in_flight >= s->max_cmds)
    {
      mega_finish (s, addr, MFI_NO_MEMORY, 0);
      return;
    }
  r = g_new0 (MegaRequest, 1);
  s->in_flight++;
  r->owner = s;
  r->frame = addr;
  r->sense_len = frame[F_SENSE_LEN];
  r->sense_addr = vm_load_le32 (frame + F_SENSE);
  if (flags & FLAG_SENSE64)
    r->sense_addr |= (uint64_t) vm_load_le32 (frame + F_SENSE + 4) << 32;
  if (!read_sgl (s, &r->dma, addr + (pass ? F_SGL_CDB : F_SGL), frame[F_SGE_COUNT], flags))
    {
      request_free (r);
      mega_finish (s, addr, MFI_INVALID_PARAMETER, 0);
      return;
    }
  r->req = vm_scsi_request_new (&s->bus, 0, frame[F_TARGET], pass ? frame[F_LUN] : 0, addr, cdb, len, r);
  if (!r->req)
    {
      request_free (r);
      mega_finish (s, addr, MFI_NO_DEVICE, 0);
      return;
    }
  vm_scsi_request_start (r->req, NULL, 0);
}

/* --- direct commands ------------------------------------------------------------------------------- */

static uint8_t
report_info (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  g_autofree uint8_t *b = g_malloc0 (INFO_LEN);
  const MegasasClass *klass = mega_class (s);
  unsigned disks = s->bus.parent.devices->len;

  vm_store_le16 (b, klass->parent.vendor);
  vm_store_le16 (b + 2, klass->parent.device);
  vm_store_le16 (b + 4, klass->parent.subsystem_vendor);
  vm_store_le16 (b + 6, klass->parent.subsystem);
  b[32] = 2;    /* host: PCI Express */
  b[104] = 0xe; /* drives: SAS, SATA */
  b[111] = 8;   /* ports */
  for (unsigned i = 0; i < 8; i++)
    vm_store_le64 (b + 112 + 8 * i, s->sas_address + i);
  vm_store_le32 (b + 180, 1); /* one component: */
  memcpy (b + 184, "APP", 3);
  g_strlcpy ((char *) b + 192, "1.0", 32);
  b[1340] = 32;
  b[1341] = 8;
  b[1342] = b[1343] = MAX_TARGETS;
  g_strlcpy ((char *) b + 1344, klass->product, 80);
  g_strlcpy ((char *) b + 1424, s->hba_serial, 32);
  vm_store_le16 (b + 1464, s->max_cmds);
  vm_store_le16 (b + 1466, s->max_sge);
  vm_store_le32 (b + 1468, SECTORS_MAX);
  vm_store_le16 (b + 1472, s->use_jbod ? 0 : disks);
  vm_store_le16 (b + 1478, disks);
  vm_store_le16 (b + 1480, disks);
  vm_store_le16 (b + 1488, 512);
  vm_store_le16 (b + 1498, SECTORS_MAX >> 3);
  vm_store_le32 (b + 1500, 1); /* RAID level 0 */
  b[1512] = b[1513] = 3;       /* stripes of 8 sectors */
  vm_store_le32 (b + 1520, 3);
  g_strlcpy ((char *) b + 1600, "1.0-vitrine", 96);
  return reply_data (s, frame, addr, b, INFO_LEN);
}

static uint8_t
report_drives (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint8_t b[8 + 16 * MAX_TARGETS] = { 0 };
  uint32_t n = 0;

  for (unsigned id = 0; id < MAX_TARGETS && !s->use_jbod; id++)
    {
      VmScsiDevice *dev = vm_scsi_bus_find (&s->bus, 0, id, 0);
      uint8_t *p = b + 8 + 16 * n;

      if (!dev)
        continue;
      p[0] = id;
      vm_store_le16 (p + 2, 1);
      p[4] = 3; /* optimal */
      vm_store_le64 (p + 8, 1);
      n++;
    }
  vm_store_le32 (b, n);
  return reply_data (s, frame, addr, b, 8 + 16 * n);
}

static uint8_t
report_disks (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint8_t b[8 + 24 * MAX_TARGETS] = { 0 };
  bool exposed = vm_load_le32 (frame + F_OPCODE) == DCMD_PD_QUERY && frame[F_MAILBOX] == 5;
  uint32_t n = 0;

  for (unsigned id = 0; id < MAX_TARGETS && (s->use_jbod || !exposed); id++)
    {
      VmScsiDevice *dev = vm_scsi_bus_find (&s->bus, 0, id, 0);
      uint8_t *p = b + 8 + 24 * n;

      if (!dev)
        continue;
      vm_store_le16 (p, id);
      vm_store_le16 (p + 2, 0xffff); /* no enclosure */
      p[5] = id;
      p[6] = dev->peripheral;
      p[7] = 1;
      vm_store_le64 (p + 8, dev->port_wwn ? dev->port_wwn : s->sas_address + 256 + id);
      n++;
    }
  vm_store_le32 (b, 8 + 24 * n);
  vm_store_le32 (b + 4, n);
  return reply_data (s, frame, addr, b, 8 + 24 * n);
}

static uint8_t
report_event_info (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint8_t b[20] = { 0 };

  vm_store_le32 (b, s->event_seq);
  return reply_data (s, frame, addr, b, sizeof b);
}

/* The adapter has no cache, but the drives have: SYNCHRONIZE CACHE for each. */
static void
flush_all (Megasas *s, uint64_t addr)
{
  const uint8_t cdb[16] = { 0x35 };
  MegaFlush *flush = g_new0 (MegaFlush, 1);

  flush->frame = addr;
  flush->left = 1;
  for (guint i = 0; i < s->bus.parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (s->bus.parent.devices, i);
      MegaRequest *r = g_new0 (MegaRequest, 1);

      s->in_flight++;
      r->owner = s;
      r->flush = flush;
      r->req = vm_scsi_request_new (&s->bus, 0, dev->scsi_id, dev->lun, addr, cdb, sizeof cdb, r);
      if (!r->req)
        {
          request_free (r);
          continue;
        }
      flush->left++;
      vm_scsi_request_start (r->req, NULL, 0);
    }
  flush_step (s, flush);
}

static void
mega_dcmd (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint8_t status = MFI_OK, zeros[64] = { 0 };

  switch (vm_load_le32 (frame + F_OPCODE))
    {
    case DCMD_CTRL_INFO:
      status = report_info (s, frame, addr);
      break;
    case DCMD_GET_PROPERTIES:
      status = reply_data (s, frame, addr, zeros, sizeof zeros);
      break;
    case DCMD_SET_PROPERTIES:
    case DCMD_SHUTDOWN:
    case DCMD_HIBERNATE:
      break;
    case DCMD_FLUSH:
      flush_all (s, addr);
      return;
    case DCMD_EVENT_INFO:
      status = report_event_info (s, frame, addr);
      break;
    case DCMD_EVENT_WAIT:
      if (!s->event_frame)
        {
          s->event_frame = addr;
          return; /* until there is one */
        }
      status = MFI_INVALID_PARAMETER;
      break;
    case DCMD_PD_LIST:
    case DCMD_PD_QUERY:
      status = report_disks (s, frame, addr);
      break;
    case DCMD_LD_LIST:
      status = report_drives (s, frame, addr);
      break;
    case DCMD_CLUSTER_RESET:
      vm_scsi_target_reset (&s->bus, 0, vm_load_le16 (frame + F_MAILBOX));
      break;
    default:
      status = MFI_INVALID_DCMD;
      break;
    }
  mega_finish (s, addr, status, 0);
}

/* --- events: drives come and go -------------------------------------------------------------------- */

static void
mega_event (Megasas *s, VmScsiDevice *dev, uint32_t code)
{
  uint8_t b[EVENT_LEN] = { 0 }, frame[F_LEN];
  uint64_t addr = s->event_frame;

  s->event_seq++;
  if (!addr || vm_pci_dma_read (&s->parent, addr, frame, sizeof frame) != VM_MEM_OK)
    return;
  s->event_frame = 0;
  vm_store_le32 (b, s->event_seq);
  vm_store_le32 (b + 8, code);
  vm_store_le16 (b + 12, s->use_jbod ? LOCALE_PD : LOCALE_LD);
  b[16] = s->use_jbod ? 14 : 2; /* what the arguments are: a physical disk, a logical drive */
  vm_store_le16 (b + 32, dev->scsi_id);
  mega_finish (s, addr, reply_data (s, frame, addr, b, sizeof b), 0);
}

static void
mega_changed (VmScsiBus *bus, VmScsiDevice *dev, bool here)
{
  Megasas *s = bus->opaque;

  if (s->use_jbod)
    mega_event (s, dev, here ? EVENT_PD_INSERTED : EVENT_PD_REMOVED);
  else
    mega_event (s, dev, here ? EVENT_LD_CREATED : EVENT_LD_DELETED);
}

static const VmScsiBusOps mega_bus_ops = {
  .tcq = true,
  .autosense = true,
  .max_target = MAX_TARGETS - 1,
  .max_lun = 255,
  .host_id = UINT_MAX,
  .transfer = mega_transfer,
  .complete = mega_complete,
  .released = mega_released,
  .changed = mega_changed,
};

/* --- frames ---------------------------------------------------------------------------------------- */

static void
mega_init (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint8_t info[32];
  uint64_t info_addr = vm_load_le64 (frame + F_QUEUE_INFO);
  uint32_t entries;

  if (vm_pci_dma_read (&s->parent, info_addr, info, sizeof info) != VM_MEM_OK
      || !(entries = vm_load_le32 (info + 4)) || entries > QUEUE_MAX)
    {
      mega_finish (s, addr, MFI_INVALID_PARAMETER, 0);
      return;
    }
  s->wide_context = vm_load_le32 (info) & 2;
  s->entries = entries;
  s->reply_queue = vm_load_le64 (info + 8);
  s->producer_addr = vm_load_le64 (info + 16);
  s->producer = 0;
  s->state = STATE_OPERATIONAL;
  mega_finish (s, addr, MFI_OK, 0);
}

static void
mega_abort (Megasas *s, const uint8_t *frame, uint64_t addr)
{
  uint64_t what = vm_load_le64 (frame + F_ABORT);

  if (what && what == s->event_frame)
    {
      s->event_frame = 0;
      mega_finish (s, what, MFI_OK, 0);
    }
  else
    for (guint i = 0; i < s->bus.parent.devices->len; i++)
      {
        VmScsiRequest *req = vm_scsi_device_find_request (g_ptr_array_index (s->bus.parent.devices, i), what);

        if (req)
          {
            vm_scsi_request_cancel (req);
            break;
          }
      }
  mega_finish (s, addr, MFI_OK, 0);
}

static void
mega_post (Megasas *s, uint64_t addr)
{
  uint8_t frame[F_LEN];

  if (s->state == STATE_FAULT || vm_pci_dma_read (&s->parent, addr, frame, sizeof frame) != VM_MEM_OK)
    return;
  switch (frame[F_CMD])
    {
    case CMD_INIT:
      mega_init (s, frame, addr);
      break;
    case CMD_LD_READ:
    case CMD_LD_WRITE:
    case CMD_LD_SCSI:
    case CMD_PD_SCSI:
      mega_scsi (s, frame, addr);
      break;
    case CMD_DCMD:
      mega_dcmd (s, frame, addr);
      break;
    case CMD_ABORT:
      mega_abort (s, frame, addr);
      break;
    default:
      mega_finish (s, addr, MFI_INVALID_CMD, 0);
      break;
    }
}

/* --- registers ------------------------------------------------------------------------------------- */

static void
mega_reset_firmware (Megasas *s)
{
  s->state = STATE_READY; /* what is cancelled answers no more */
  s->entries = 0;
  s->event_frame = 0;
  vm_scsi_bus_reset (&s->bus);
  s->pending = false;
  mega_update_irq (s);
}

static void
mega_write_doorbell (Megasas *s, uint32_t value)
{
  if (value & (DOORBELL_ABORT | DOORBELL_READY))
    mega_reset_firmware (s);
  if (value & DOORBELL_STOP)
    {
      mega_reset_firmware (s);
      s->state = STATE_FAULT;
    }
}

static uint64_t
mega_read (void *opaque, uint64_t offset, unsigned size)
{
  Megasas *s = opaque;

  switch (offset)
    {
    case REG_SCRATCH0:
    case REG_SCRATCH:
      return s->state | (s->parent.msix_cap ? STATE_MSIX : 0) | s->max_sge << 16 | s->max_cmds;
    case REG_INTR_STATUS:
      return s->pending ? reply_bit (s) : 0;
    case REG_INTR_MASK:
      return s->intr_mask;
    default:
      return 0;
    }
}

/* Bits 0 to 4 tell how many frames follow, which nobody needs to know. */
static uint64_t
frame_address (uint32_t value)
{
  return value & ~31u;
}

static void
mega_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Megasas *s = opaque;

  switch (offset)
    {
    case REG_DOORBELL:
      mega_write_doorbell (s, (uint32_t) value);
      break;
    case REG_INTR_MASK:
      s->intr_mask = (uint32_t) value;
      mega_update_irq (s);
      break;
    case REG_DOORBELL_CLEAR:
      s->pending = false;
      mega_update_irq (s);
      break;
    case REG_QUEUE:
      mega_post (s, frame_address ((uint32_t) value));
      break;
    case REG_QUEUE_LOW: /* the high half comes second */
      s->frame_low = (uint32_t) value;
      break;
    case REG_QUEUE_HIGH:
      mega_post (s, frame_address (s->frame_low) | value << 32);
      break;
    default:
      break;
    }
}

static const VmRegionOps mega_ops = { .read = mega_read, .write = mega_write, .impl = { .min = 4, .max = 4 } };

static uint64_t
mega_queue_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

static void
mega_queue_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const VmRegionOps mega_queue_ops = { .read = mega_queue_read, .write = mega_queue_write };

/* --- life ------------------------------------------------------------------------------------------ */

static void
mega_reset (VmDevice *dev, VmResetKind kind)
{
  Megasas *s = (Megasas *) dev;

  s->intr_mask = UINT32_MAX;
  s->frame_low = s->frame_high = 0;
  s->event_seq = 0;
  mega_reset_firmware (s);
}

static bool
mega_check (const Megasas *s, GError **error)
{
  if (s->max_sge < 1 || s->max_sge > 128)
    return vm_fail (error, "max_sge must be between 1 and 128");
  if (s->max_cmds < 1 || s->max_cmds > 2048)
    return vm_fail (error, "max_cmds must be between 1 and 2048");
  return true;
}

static bool
mega_realize (VmDevice *dev, GError **error)
{
  Megasas *s = (Megasas *) dev;
  bool gen2 = mega_class (s)->gen2;
  VmMemory *memory = dev->env->memory;

  if (!mega_check (s, error))
    return false;
  if (!s->hba_serial)
    s->hba_serial = g_strdup ("VM00000001");
  if (!s->sas_address) /* locally made; unique within the machine */
    s->sas_address = UINT64_C (0x5525400000000000) | (uint64_t) s->parent.addr << 12;
  vm_pci_set_interrupt_pin (&s->parent, 1);
  if (s->msi != VM_ONOFFAUTO_OFF && !vm_pci_msi_init (&s->parent, 0, 1, true, false, error))
    return false;
  if (s->msix == VM_ONOFFAUTO_ON && !vm_pci_msix_init_exclusive_bar (&s->parent, 1, 5, error))
    return false;
  vm_region_init_io (&s->mmio, memory, &mega_ops, s, "megasas-mmio", 0x4000);
  vm_region_init_io (&s->io, memory, &mega_ops, s, "megasas-io", 256);
  vm_region_init_io (&s->queue, memory, &mega_queue_ops, s, "megasas-queue", 0x40000);
  vm_pci_add_bar (&s->parent, gen2 ? 1 : 0, PCI_BAR_MEM64, &s->mmio);
  vm_pci_add_bar (&s->parent, gen2 ? 0 : 2, PCI_BAR_IO, &s->io);
  vm_pci_add_bar (&s->parent, 3, PCI_BAR_MEM64, &s->queue);
  vm_scsi_bus_init (&s->bus, dev, NULL, &mega_bus_ops, s);
  return true;
}

static void
mega_unrealize (VmDevice *dev)
{
  Megasas *s = (Megasas *) dev;

  vm_region_destroy (&s->mmio);
  vm_region_destroy (&s->io);
  vm_region_destroy (&s->queue);
}

static bool
mega_post_load (VmDevice *dev, GError **error)
{
  Megasas *s = (Megasas *) dev;

  if (s->entries > QUEUE_MAX || (s->entries && s->producer >= s->entries))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  return true;
}

#define COMMON_PROPS                                                                                                   \
  VM_PROP_AUTO ("msi", Megasas, msi, VM_ONOFFAUTO_AUTO, "message-signalled interrupts"),                               \
    VM_PROP_AUTO ("msix", Megasas, msix, VM_ONOFFAUTO_AUTO, "MSI-X; auto: off"),                                       \
    VM_PROP_STRING ("hba_serial", Megasas, hba_serial, NULL, "serial number of the adapter"),                          \
    VM_PROP ("sas_address", Megasas, sas_address, 0, "SAS address; 0: made up"),                                       \
    VM_PROP ("max_sge", Megasas, max_sge, 80, "pieces of memory a command may have"),                                  \
    VM_PROP ("use_jbod", Megasas, use_jbod, false, "disks are physical, not logical drives")

static const VmProp megasas_props[] = {
  COMMON_PROPS,
  VM_PROP ("max_cmds", Megasas, max_cmds, 1000, "commands at a time"),
  { 0 },
};

static const VmProp megasas_gen2_props[] = {
  COMMON_PROPS,
  VM_PROP ("max_cmds", Megasas, max_cmds, 1008, "commands at a time"),
  { 0 },
};

static const VmField megasas_state[] = {
  VM_FIELD (Megasas, state),
  VM_FIELD (Megasas, intr_mask),
  VM_FIELD (Megasas, frame_low),
  VM_FIELD (Megasas, frame_high),
  VM_FIELD (Megasas, pending),
  VM_FIELD (Megasas, wide_context),
  VM_FIELD (Megasas, reply_queue),
  VM_FIELD (Megasas, producer_addr),
  VM_FIELD (Megasas, entries),
  VM_FIELD (Megasas, producer),
  VM_FIELD (Megasas, event_seq),
  VM_FIELD (Megasas, event_frame),
  { 0 },
};

#define MEGA_DEVICE_CLASS                                                                                              \
  {                                                                                                                    \
    .realize = mega_realize, .unrealize = mega_unrealize, .reset = mega_reset, .post_load = mega_post_load,            \
    .category = "Storage", .user_creatable = true, .hotpluggable = true,                                               \
  }

static const MegasasClass megasas_class = {
  .parent = {
    .parent = MEGA_DEVICE_CLASS, .vendor = 0x1000, .device = 0x0060, .class_id = 0x0104, .subsystem_vendor = 0x1000,
    .subsystem = 0x1013,
  },
  .product = "LSI MegaRAID SAS 8708EM2",
};

static const MegasasClass megasas_gen2_class = {
  .parent = {
    .parent = MEGA_DEVICE_CLASS, .vendor = 0x1000, .device = 0x0079, .class_id = 0x0104, .subsystem_vendor = 0x1000,
    .subsystem = 0x9261,
  },
  .gen2 = true, .product = "LSI MegaRAID SAS 9260-8i",
};

const VmType vm_megasas_base_type = {
  .name = "megasas-base", .parent = &vm_pci_device_type, .size = sizeof (Megasas),
  .help = "LSI MegaRAID SAS adapter", .abstract = true, .state = megasas_state, .klass = &megasas_class,
};

const VmType vm_megasas_type = {
  .name = "megasas", .parent = &vm_megasas_base_type, .size = sizeof (Megasas),
  .help = "LSI MegaRAID SAS 1078", .props = megasas_props, .klass = &megasas_class,
};

const VmType vm_megasas_gen2_type = {
  .name = "megasas-gen2", .parent = &vm_megasas_base_type, .size = sizeof (Megasas),
  .help = "LSI MegaRAID SAS 2108", .props = megasas_gen2_props, .klass = &megasas_gen2_class,
};
