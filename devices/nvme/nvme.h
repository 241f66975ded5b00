/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NVM Express 1.4: controller, namespaces and subsystems, as their parts know each other. */
#pragma once

#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/storage/dma-sg.h"
#include "engine/clock/clock.h"

#define VM_NVME_BUS_TYPE "nvme-bus"
#define NVME_NAMESPACES 256
#define NVME_CONTROLLERS 32
#define NVME_ALL 0xffffffffu  /* namespace id of all of them */
#define NVME_MAX_QUEUE 2048u
#define NVME_MAX_ADMIN_QUEUE 4096u
#define NVME_IN_FLIGHT 1024u  /* commands at once; the others wait in their queues */
#define NVME_ROUND 64u        /* commands taken in one round of the loop */
#define NVME_MAX_PARTS 65538u /* of one transfer's guest memory */
#define NVME_AERL 255u

typedef struct VmNvme          VmNvme;
typedef struct VmNvmeSubsystem VmNvmeSubsystem;
typedef struct NvmeNamespace   NvmeNamespace;
typedef struct NvmeSq          NvmeSq;
typedef struct NvmeCq          NvmeCq;
typedef struct NvmeRequest     NvmeRequest;

enum { /* status, as in a completion without its phase; generic ... */
  NVME_SUCCESS = 0x000, NVME_INVALID_OPCODE = 0x001, NVME_INVALID_FIELD = 0x002, NVME_ID_CONFLICT = 0x003,
  NVME_DATA_TRANSFER_ERROR = 0x004, NVME_INTERNAL_ERROR = 0x006, NVME_ABORTED = 0x007, NVME_ABORTED_SQ_DELETED = 0x008,
  NVME_INVALID_NAMESPACE = 0x00b, NVME_SEQUENCE_ERROR = 0x00c, NVME_INVALID_SGL_SEGMENT = 0x00d,
  NVME_INVALID_SGL_COUNT = 0x00e, NVME_SGL_LENGTH = 0x00f, NVME_SGL_TYPE = 0x011, NVME_INVALID_CMB = 0x012,
  NVME_INVALID_PRP_OFFSET = 0x013, NVME_LBA_RANGE = 0x080,
  NVME_CAPACITY_EXCEEDED = 0x081, NVME_FORMAT_IN_PROGRESS = 0x084, NVME_WRITE_PROTECTED = 0x020,
  /* ... of commands ... */
  NVME_INVALID_CQ = 0x100, NVME_INVALID_QID = 0x101, NVME_INVALID_QUEUE_SIZE = 0x102, NVME_AER_LIMIT = 0x105,
  NVME_INVALID_VECTOR = 0x108, NVME_INVALID_LOG = 0x109, NVME_INVALID_FORMAT = 0x10a,
  NVME_INVALID_QUEUE_DELETION = 0x10c,
  NVME_NOT_SAVEABLE = 0x10d, NVME_NOT_CHANGEABLE = 0x10e, NVME_NOT_PER_NAMESPACE = 0x10f,
  NVME_NS_ATTACHED = 0x118, NVME_NS_PRIVATE = 0x119, NVME_NS_NOT_ATTACHED = 0x11a, NVME_INVALID_CTRL_LIST = 0x11c,
  NVME_INVALID_COMMAND_SET = 0x12b,
  NVME_CMD_SIZE_LIMIT = 0x183,
  /* ... of media */
  NVME_WRITE_FAULT = 0x280, NVME_UNRECOVERED_READ = 0x281, NVME_COMPARE_FAILURE = 0x285, NVME_ACCESS_DENIED = 0x286,
  NVME_MORE = 0x2000, NVME_DNR = 0x4000, /* more in the error log; do not retry */
  NVME_NO_COMPLETE = 0xffff,             /* not a status: the command goes on */
};

typedef struct NvmeCommand { /* a submission queue entry */
  uint8_t  opcode, flags;
  uint16_t cid;
  uint32_t nsid;
  uint64_t mptr, prp1, prp2;
  uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
  uint8_t  sgl[16];
} NvmeCommand;
#define NVME_SQE 64u
#define NVME_CQE 16u

/* What is saved of a queue. */
typedef struct NvmeQueueState {
  uint64_t base, shadow, event; /* guest memory: entries; doorbell and event index of DBBUF (0: none) */
  uint32_t size, head, tail;    /* SIZE 0: there is no such queue */
  uint16_t cqid, vector;
  uint8_t  phase, interrupts, reserved[2];
} NvmeQueueState;

struct NvmeCq {
  VmNvme         *ctrl;
  NvmeQueueState *s;
  uint16_t        id;
  unsigned        promised; /* entries that commands under way will take */
  unsigned        n_sqs;
};

struct NvmeSq {
  VmNvme         *ctrl;
  NvmeQueueState *s;
  NvmeCq         *cq;
  uint16_t        id;
  GQueue          requests; /* NvmeRequest: under way */
};

struct NvmeRequest {
  NvmeSq        *sq;
  NvmeNamespace *ns;
  NvmeCommand    cmd;
  GList          link;     /* in SQ's requests */
  uint16_t       status;
  uint32_t       result;   /* dword 0 of the completion */
  /* what I/O commands need on their way */
  VmDmaSg        sg;
  VmDmaMap       map;
  uint8_t       *bounce;   /* compare, verify and copy: what was read; the ranges of others */
  struct iovec   iov;
  uint64_t       offset, left, at;
  unsigned       index, count;
  bool           mapped, to_memory;
};

/* --- namespaces ------------------------------------------------------------------------------- */

struct NvmeNamespace {
  /* properties; those of a controller's own namespace come from the controller */
  VmBlockConf conf;
  uint32_t    nsid;
  bool        shared, detached, eui64_default, zoned, cross_read;
  uint64_t    zone_size, zone_capacity, zrwas, zrwafg;
  uint32_t    descr_ext_size, max_open, max_active, numzrwa;
  char       *uuid_text;
  uint64_t    eui64;
  uint16_t    mssrl, ms;
  uint32_t    mcl;
  uint8_t     msrc, mset, pi, pil, pif;
  /* wiring */
  VmDevice   *owner;
  uint8_t     uuid[16];
  bool        has_uuid;
  /* guest state */
  uint8_t     lba_shift;      /* of the format in use */
  uint8_t     lba_format;
  uint32_t    error_recovery; /* features of its own */
  uint64_t    bytes_read, bytes_written, reads, writes;
  bool        formatting;
};

#define NVME_LBA_FORMATS 2 /* 512 and 4096 bytes; one more for a size of the user's */
extern const VmProp nvme_namespace_props[];
extern const VmField nvme_namespace_state[];
bool     nvme_namespace_open (NvmeNamespace *ns, VmDevice *owner, GError **error);
void     nvme_namespace_close (NvmeNamespace *ns);
void     nvme_namespace_reset (NvmeNamespace *ns);
unsigned nvme_namespace_formats (const NvmeNamespace *ns, uint8_t *shifts); /* at most NVME_LBA_FORMATS + 1 */
static inline uint64_t
nvme_namespace_blocks (const NvmeNamespace *ns)
{
  return vm_block_size (ns->conf.drive->block) >> ns->lba_shift;
}

typedef struct VmNvmeNs {
  VmDevice      parent;
  NvmeNamespace ns;
  int32_t       bootindex;
} VmNvmeNs;
extern const VmType vm_nvme_ns_type;

/* --- subsystems ------------------------------------------------------------------------------- */

struct VmNvmeSubsystem {
  VmDevice       parent;
  char          *nqn;
  char           subnqn[256];
  char          *serial;      /* its controllers share it */
  VmNvme        *controllers[NVME_CONTROLLERS];
  NvmeNamespace *namespaces[NVME_NAMESPACES + 1]; /* all that exist, attached or not */
};
extern const VmType vm_nvme_subsys_type;

/* --- controllers ------------------------------------------------------------------------------ */

typedef struct NvmeEvent {
  uint8_t type, info, page;
} NvmeEvent;

struct VmNvme {
  VmPciDevice parent;
  /* properties */
  NvmeNamespace    own;            /* of the drive given to the controller */
  VmNvmeSubsystem *subsys;
  VmObject        *pmrdev;
  char            *serial;
  uint32_t         max_ioqpairs, num_queues, cmb_size_mb, aer_max_queued;
  uint16_t         msix_qsize, sriov_vq_flexible, sriov_vi_flexible;
  uint8_t          mdts, vsl, aerl, zasl, critical_warning, sriov_max_vfs, sriov_max_vq_per_vf, sriov_max_vi_per_vf;
  bool             use_intel_id, ioeventfd, msix_exclusive_bar, auto_transition;
  int32_t          bootindex;
  /* wiring */
  VmBus            bus;
  VmRegion         bar, registers, msix_table, msix_pba, cmb, cmb_window;
  bool             has_bus, cmb_mapped;
  uint16_t         id;
  NvmeNamespace   *namespaces[NVME_NAMESPACES + 1]; /* attached ones */
  VmTimer          work;           /* what one round left over */
  NvmeSq         **sqs;            /* MAX_IOQPAIRS + 1 of each */
  NvmeCq         **cqs;
  NvmeQueueState  *queue_states;   /* first of all submission, then of all completion queues */
  uint32_t         queue_states_size;
  unsigned         in_flight, next_sq, sq_limit, cq_limit; /* LIMIT: ids in use lie below */
  unsigned         flushing;       /* namespaces that a shutdown waits for */
  bool             processing;
  /* guest state */
  uint64_t         asq, acq, cmbmsc;
  uint64_t         doorbells, event_indexes; /* in memory; 0: not */
  uint32_t         cc, csts, aqa, intms;
  uint8_t          page_shift;
  NvmeRequest     *aers[NVME_AERL + 1]; /* outstanding event requests */
  uint32_t         n_aers;
  uint16_t         aer_cids[NVME_AERL + 1];
  GArray          *events;         /* NvmeEvent, not yet told */
  uint32_t         events_masked;  /* a bit per type */
  uint32_t         changed[8];     /* namespaces whose attributes changed; a bit each */
  uint16_t         temperature_over, temperature_under, temperature;
  uint32_t         event_config;
  uint8_t          host_behaviour[512];
  uint64_t         timestamp;
  int64_t          timestamp_at;
  uint8_t          timestamp_origin;
  uint64_t         starts;         /* of the controller: power cycles */
};
extern const VmType vm_nvme_type;

/* nvme-queue.c */
void     nvme_queues_process (VmNvme *n);  /* one round */
void     nvme_work (VmNvme *n);            /* another one, soon */
void     nvme_work_fired (void *opaque);
void     nvme_complete (NvmeRequest *r, uint16_t status);
void     nvme_cq_room (NvmeCq *cq);        /* the guest took entries */
NvmeSq  *nvme_sq_new (VmNvme *n, uint16_t id, uint16_t cqid, uint64_t base, uint32_t size);
void     nvme_sq_free (NvmeSq *sq);        /* no I/O may be under way */
NvmeCq  *nvme_cq_new (VmNvme *n, uint16_t id, uint64_t base, uint32_t size, uint16_t vector, bool interrupts);
bool     nvme_queues_load (VmNvme *n, GError **error); /* from their saved states */
void     nvme_cq_free (NvmeCq *cq);
void     nvme_drain (VmNvme *n);           /* all I/O is done */
void     nvme_shadow_queues (VmNvme *n, unsigned id); /* its doorbells are in memory now */
void     nvme_keep_aer (NvmeRequest *r);
bool     nvme_abort_aer (VmNvme *n, uint16_t cid);
void     nvme_update_irq (VmNvme *n);
void     nvme_event (VmNvme *n, uint8_t type, uint8_t info, uint8_t page);
void     nvme_tell_events (VmNvme *n);
enum { NVME_EVENT_ERROR = 0, NVME_EVENT_SMART = 1, NVME_EVENT_NOTICE = 2 };

/* nvme-dma.c */
/* Guest memory of LEN bytes as the command's PRPs or SGL say; a status. */
uint16_t nvme_map (NvmeRequest *r, uint64_t len, VmDmaSg *sg);
/* Between a buffer and the command's memory. */
uint16_t nvme_to_host (NvmeRequest *r, const void *data, uint32_t len);
uint16_t nvme_from_host (NvmeRequest *r, void *data, uint32_t len);

/* nvme-admin.c, nvme-identify.c, nvme-features.c, nvme-logs.c, nvme-io.c */
uint16_t nvme_admin_command (NvmeRequest *r);
uint16_t nvme_identify (NvmeRequest *r);
uint16_t nvme_get_features (NvmeRequest *r);
uint16_t nvme_set_features (NvmeRequest *r);
uint16_t nvme_get_log (NvmeRequest *r);
uint16_t nvme_format (NvmeRequest *r);
uint16_t nvme_io_command (NvmeRequest *r);
void     nvme_request_clear (NvmeRequest *r); /* what I/O left in it */

/* nvme.c */
static inline bool
nvme_is_ready (const VmNvme *n)
{
  return n->csts & 1;
}
bool nvme_attach (VmNvme *n, NvmeNamespace *ns); /* it is told when it runs */
void nvme_detach (VmNvme *n, NvmeNamespace *ns);
int64_t nvme_now_ms (VmNvme *n);
