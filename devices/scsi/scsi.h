/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SCSI bus: host adapters on one side, logical units on the other, requests between them (SAM-5, SPC-4).
 *
 * An adapter makes a request from a command block, gives it guest memory and starts it; the device moves data straight
 * into or out of that memory and completes it with a status and, with CHECK CONDITION, sense data:
 *
 *   req = vm_scsi_request_new (...);           NULL: no such target (selection timeout, bad target)
 *   map guest memory after req->direction and req->length, unmapped in "released"
 *   vm_scsi_request_start (req, iov, n);       "complete" may come before this returns
 *
 * Adapters that know the place of the data only piece by piece (SCRIPTS, byte FIFOs) have "transfer" in their ops and
 * start without memory: the device asks for a window whenever it has none left, is given one of any size by
 * vm_scsi_request_continue(), fills or empties it and asks again. VmScsiStream ("stream.h") is that with a buffer, as
 * bytes to take or to put.
 *
 * Everything happens with the machine lock held, or with that of the bus on the bus's own loop. */
#pragma once

#include "engine/bus/device.h"

#include <sys/uio.h>

typedef struct VmScsiBus     VmScsiBus;
typedef struct VmScsiDevice  VmScsiDevice;
typedef struct VmScsiRequest VmScsiRequest;

#define VM_SCSI_BUS_TYPE  "SCSI"
#define VM_SCSI_CDB_MAX   32
#define VM_SCSI_SENSE_MAX 96 /* bytes of sense data at most */
#define VM_SCSI_LUN_NONE  UINT32_MAX

enum { /* status */
  VM_SCSI_GOOD = 0x00, VM_SCSI_CHECK_CONDITION = 0x02, VM_SCSI_BUSY = 0x08, VM_SCSI_RESERVATION_CONFLICT = 0x18,
  VM_SCSI_TASK_SET_FULL = 0x28, VM_SCSI_TASK_ABORTED = 0x40,
};

typedef enum VmScsiDirection { VM_SCSI_NO_DATA, VM_SCSI_FROM_DEVICE, VM_SCSI_TO_DEVICE } VmScsiDirection;

typedef struct VmScsiSense {
  uint8_t key, asc, ascq;
} VmScsiSense;

/* Named after what SPC-4 calls them. */
#define VM_SCSI_SENSE_NONE               ((VmScsiSense) { 0x0, 0x00, 0x00 })
#define VM_SCSI_SENSE_NOT_READY          ((VmScsiSense) { 0x2, 0x04, 0x02 }) /* initialising command required */
#define VM_SCSI_SENSE_NO_MEDIUM          ((VmScsiSense) { 0x2, 0x3a, 0x00 })
#define VM_SCSI_SENSE_NO_MEDIUM_CLOSED   ((VmScsiSense) { 0x2, 0x3a, 0x01 })
#define VM_SCSI_SENSE_NO_MEDIUM_OPEN     ((VmScsiSense) { 0x2, 0x3a, 0x02 })
#define VM_SCSI_SENSE_READ_ERROR         ((VmScsiSense) { 0x3, 0x11, 0x00 })
#define VM_SCSI_SENSE_WRITE_ERROR        ((VmScsiSense) { 0x3, 0x0c, 0x00 })
#define VM_SCSI_SENSE_TARGET_FAILURE     ((VmScsiSense) { 0x4, 0x44, 0x00 })
#define VM_SCSI_SENSE_LIST_LENGTH        ((VmScsiSense) { 0x5, 0x1a, 0x00 })
#define VM_SCSI_SENSE_INVALID_OPCODE     ((VmScsiSense) { 0x5, 0x20, 0x00 })
#define VM_SCSI_SENSE_LBA_RANGE          ((VmScsiSense) { 0x5, 0x21, 0x00 })
#define VM_SCSI_SENSE_INVALID_FIELD      ((VmScsiSense) { 0x5, 0x24, 0x00 }) /* in the command block */
#define VM_SCSI_SENSE_LUN_NOT_SUPPORTED  ((VmScsiSense) { 0x5, 0x25, 0x00 })
#define VM_SCSI_SENSE_INVALID_PARAM      ((VmScsiSense) { 0x5, 0x26, 0x00 }) /* in the parameter list */
#define VM_SCSI_SENSE_INCOMPATIBLE       ((VmScsiSense) { 0x5, 0x30, 0x00 })
#define VM_SCSI_SENSE_SAVING             ((VmScsiSense) { 0x5, 0x39, 0x00 })
#define VM_SCSI_SENSE_REMOVAL_PREVENTED  ((VmScsiSense) { 0x5, 0x53, 0x02 })
#define VM_SCSI_SENSE_WRITE_PROTECTED    ((VmScsiSense) { 0x7, 0x27, 0x00 })
#define VM_SCSI_SENSE_SPACE_ALLOCATION   ((VmScsiSense) { 0x7, 0x27, 0x07 })
#define VM_SCSI_SENSE_ABORTED_PHASE      ((VmScsiSense) { 0xb, 0x4b, 0x00 }) /* data phase error */
#define VM_SCSI_SENSE_OVERLAPPED         ((VmScsiSense) { 0xb, 0x4e, 0x00 })
#define VM_SCSI_SENSE_MISCOMPARE         ((VmScsiSense) { 0xe, 0x1d, 0x00 })

/* Unit attentions that wait for the next command, one bit each; a lower bit is told first. */
typedef enum VmScsiAttention {
  VM_SCSI_UA_POWER_ON     = 1 << 0, /* 29/00 */
  VM_SCSI_UA_BUS_RESET    = 1 << 1, /* 29/02 */
  VM_SCSI_UA_DEVICE_RESET = 1 << 2, /* 29/03 */
  VM_SCSI_UA_MEDIUM       = 1 << 3, /* 28/00 */
  VM_SCSI_UA_MODE         = 1 << 4, /* 2a/01 */
  VM_SCSI_UA_CAPACITY     = 1 << 5, /* 2a/09 */
  VM_SCSI_UA_LUNS         = 1 << 6, /* 3f/0e */
} VmScsiAttention;
VmScsiSense vm_scsi_attention_sense (VmScsiAttention bit);

/* --- the bus, for adapters ------------------------------------------------------------------------- */

typedef struct VmScsiBusOps {
  bool     tcq;         /* commands are tagged: several at a time per unit */
  bool     autosense;   /* sense data goes with the status, REQUEST SENSE need not find it again */
  unsigned max_channel; /* highest valid numbers */
  unsigned max_target;
  unsigned max_lun;
  unsigned host_id;     /* the adapter's own target number, when it takes one; UINT_MAX: none */
  /* The request waits for vm_scsi_request_continue(): the window given last is used up. NULL: all memory is given at
   * the start, what does not fit is not transferred. */
  void (*transfer) (VmScsiRequest *req);
  /* Done: req->status, req->moved, sense. The adapter answers the guest and drops its reference. Not called for
   * requests that were cancelled. */
  void (*complete) (VmScsiRequest *req);
  /* The device does not touch the request's memory any more: always called, once, before "complete" or, when it was
   * cancelled, by itself, at once or later. May be NULL. */
  void (*released) (VmScsiRequest *req);
  /* A device has come (and is ready) or is about to go while the machine runs; may be NULL. */
  void (*changed) (VmScsiBus *bus, VmScsiDevice *dev, bool here);
  /* Something changed that a guest would learn with its next command only; may be NULL. */
  void (*attention) (VmScsiBus *bus, VmScsiDevice *dev, VmScsiSense sense);
} VmScsiBusOps;

struct VmScsiBus {
  VmBus               parent;
  const VmScsiBusOps *ops;
  void               *opaque; /* the adapter's */
  VmLoop             *loop;   /* where the adapter works without the machine lock, under parent.lock; or NULL */
};
#define VM_SCSI_BUS(bus) ((VmScsiBus *) (bus))

/* Devices may be hot-plugged. NAME NULL: "scsi.0" of the family's numbering. */
void vm_scsi_bus_init (VmScsiBus *bus, VmDevice *owner, const char *name, const VmScsiBusOps *ops, void *opaque);
void vm_scsi_bus_destroy (VmScsiBus *bus);
/* Makes scsi-hd and scsi-cd for the machine's "-drive if=scsi,bus=BUS_NUMBER" (-1: the lowest whose drives nobody has
 * taken); nothing without a machine. At the end of the adapter's realize, unless it is hot-plugged. */
bool vm_scsi_create_drives (VmScsiBus *bus, int bus_number, GError **error);

/* The unit, or NULL; with LUN VM_SCSI_LUN_NONE any unit of the target. */
VmScsiDevice *vm_scsi_bus_find (VmScsiBus *bus, unsigned channel, unsigned target, unsigned lun);
/* The flat number in an 8-byte LUN of SAM-5 (peripheral or flat space addressing); VM_SCSI_LUN_NONE when it is none. */
uint32_t vm_scsi_lun_decode (const uint8_t lun[8]);
void     vm_scsi_lun_encode (uint8_t lun[8], uint32_t number);

/* Task management. Requests are cancelled; what the devices keep about the initiator is forgotten. */
void vm_scsi_bus_reset (VmScsiBus *bus);                                          /* RST line, power on of a link */
void vm_scsi_target_reset (VmScsiBus *bus, unsigned channel, unsigned target);    /* every unit of it */
void vm_scsi_device_reset (VmScsiDevice *dev, VmScsiAttention why);               /* LOGICAL UNIT RESET */
void vm_scsi_device_abort_all (VmScsiDevice *dev);                                /* ABORT TASK SET, CLEAR TASK SET */
VmScsiRequest *vm_scsi_device_find_request (VmScsiDevice *dev, uint64_t tag);     /* not a reference */

/* --- requests, for adapters ------------------------------------------------------------------------ */

struct VmScsiRequest {
  unsigned        refs;
  VmScsiBus      *bus;
  VmScsiDevice   *dev;       /* the unit, or one of its target when there is no such unit */
  uint32_t        lun;       /* as addressed */
  uint64_t        tag;
  void           *hba;       /* the adapter's */
  uint8_t         cdb[VM_SCSI_CDB_MAX];
  uint8_t         cdb_len;   /* of the command, after its operation code */
  VmScsiDirection direction; /* after the command; known from the start */
  uint64_t        length;    /* bytes the command may move at most; the same */
  /* outcome */
  uint8_t         status;
  uint8_t         sense_len;
  uint8_t         sense[VM_SCSI_SENSE_MAX];
  uint64_t        moved;     /* bytes; the residual is what was given less this */
  bool            overrun;   /* the device had (or wanted) more than the memory given */
  bool            started, done, cancelled, waiting;
  /* memory: the window */
  const struct iovec *iov;
  unsigned        iov_n;     /* entries left, the first of them from SKIP on */
  size_t          iov_skip;
  uint64_t        window;    /* bytes left */
  /* for the device */
  const struct VmScsiHandler *handler;
  void          (*resume) (VmScsiRequest *req); /* there is a window again */
  void          (*collected) (VmScsiRequest *req);
  uint8_t        *buffer;    /* replies and parameter lists; freed with the request */
  uint32_t        buffer_len, buffer_at;
  uint64_t        offset, left; /* medium transfers */
  uint64_t        step;         /* bytes of the block request under way */
  uint64_t        aux[4];
  bool            busy;      /* something outside (a block request, a thread) holds the memory */
  int64_t         begun;
};

/* A command for CHANNEL:TARGET:LUN; LEN bytes of CDB are known (fewer than the command needs are followed by zeros).
 * NULL when nothing answers at that target. The reference is the caller's. */
VmScsiRequest *vm_scsi_request_new (VmScsiBus *bus, unsigned channel, unsigned target, unsigned lun, uint64_t tag,
                                    const uint8_t *cdb, unsigned len, void *hba);
VmScsiRequest *vm_scsi_request_ref (VmScsiRequest *req);
void           vm_scsi_request_unref (VmScsiRequest *req);
/* IOV (not copied) stays valid until "released". N 0 with "transfer": memory comes later. */
void vm_scsi_request_start (VmScsiRequest *req, const struct iovec *iov, unsigned n);
/* Answers "transfer" with the next window, N 0: there is none, the transfer ends here. IOV stays valid until the next
 * "transfer" or "released". */
void vm_scsi_request_continue (VmScsiRequest *req, const struct iovec *iov, unsigned n);
/* ABORT TASK. No "complete" any more; "released" comes when the memory is free. */
void vm_scsi_request_cancel (VmScsiRequest *req);

/* --- requests, for devices ------------------------------------------------------------------------- */

void vm_scsi_request_good (VmScsiRequest *req);
void vm_scsi_request_check (VmScsiRequest *req, VmScsiSense sense);
/* With sense data of the device's own making. */
void vm_scsi_request_finish (VmScsiRequest *req, uint8_t status, const uint8_t *sense, unsigned sense_len);
/* A buffer of LEN zeroed bytes, freed with the request. */
uint8_t *vm_scsi_request_buffer (VmScsiRequest *req, uint32_t len);
/* Sends the first LEN bytes of the buffer, cut to req->length, then ends with GOOD. */
void vm_scsi_request_reply (VmScsiRequest *req, uint32_t len);
/* Takes LEN bytes of data out into a new buffer, then calls GOT; a short transfer is a CHECK CONDITION. */
void vm_scsi_request_collect (VmScsiRequest *req, uint32_t len, void (*got) (VmScsiRequest *req));
/* Calls RESUME when there is a window: at once if there is, after the adapter gave one if not. When there will be
 * none, the request ends with GOOD and "overrun". */
void vm_scsi_request_want (VmScsiRequest *req, void (*resume) (VmScsiRequest *req));
/* The window's next bytes, at most MAX and at most N entries, in IOV (N entries); how many bytes. */
uint64_t vm_scsi_request_window (const VmScsiRequest *req, uint64_t max, struct iovec *iov, unsigned *n);
void     vm_scsi_request_advance (VmScsiRequest *req, uint64_t bytes);
/* Something outside takes hold of the memory, and lets go: vm_scsi_request_resume() says whether to go on (false: it
 * was cancelled meanwhile, and is not to be touched any more). */
void vm_scsi_request_hold (VmScsiRequest *req);
bool vm_scsi_request_resume (VmScsiRequest *req);

/* --- logical units --------------------------------------------------------------------------------- */

typedef struct VmScsiClass {
  VmDeviceClass parent;
  uint8_t       peripheral; /* device type of INQUIRY; may be changed in the device */
  /* Fills direction and length of a new request; NULL: after the operation code alone. */
  void (*parse) (VmScsiDevice *dev, VmScsiRequest *req);
  /* Runs it. INQUIRY of absent units, REPORT LUNS, REQUEST SENSE and unit attentions were dealt with before. */
  void (*command) (VmScsiDevice *dev, VmScsiRequest *req);
  /* After requests were cancelled: back to the state of power on (mode pages, locks). May be NULL. */
  void (*unit_reset) (VmScsiDevice *dev);
  /* Waits for what is under way outside; may be NULL. */
  void (*drain) (VmScsiDevice *dev);
  /* The device answers REQUEST SENSE and unit attentions itself (passed through). */
  bool passthrough;
} VmScsiClass;

struct VmScsiDevice {
  VmDevice parent;
  /* properties */
  uint32_t channel, scsi_id, lun; /* the latter UINT32_MAX until the bus chose one */
  int32_t  bootindex;
  /* wiring */
  GPtrArray *requests;    /* under way; references */
  uint64_t   wwn, port_wwn; /* for adapters that tell addresses; 0: none */
  uint16_t   port_index;
  uint8_t    peripheral;
  /* guest state */
  bool     descriptor_sense; /* D_SENSE of the control mode page */
  uint32_t attentions;    /* VmScsiAttention */
  uint8_t  sense[VM_SCSI_SENSE_MAX];
  uint32_t sense_len;     /* kept for REQUEST SENSE */
};
#define VM_SCSI_DEVICE(obj) ((VmScsiDevice *) (obj))

extern const VmType vm_scsi_device_type; /* "scsi-device" */
extern const VmType vm_scsi_hd_type, vm_scsi_cd_type;

static inline VmScsiBus *
vm_scsi_device_bus (const VmScsiDevice *dev)
{
  return (VmScsiBus *) dev->parent.bus;
}

/* The device found that WHY: the next command is answered with it, adapters that can say so do. */
void vm_scsi_device_attention (VmScsiDevice *dev, VmScsiAttention why);
/* Fixed format sense data (SPC-4, 4.5.3); 18 bytes. */
unsigned vm_scsi_sense_fixed (uint8_t buf[18], VmScsiSense sense);
/* What either format says. */
VmScsiSense vm_scsi_sense_parse (const uint8_t *sense, unsigned len);
/* Descriptor format of the same for D_SENSE; 8 bytes. */
unsigned vm_scsi_sense_descriptor (uint8_t buf[8], VmScsiSense sense);
/* Direction and length of a command after SPC-4, SBC-3, SSC-3 and MMC-6; BLOCK_SIZE for those that count blocks. */
void vm_scsi_request_parse (VmScsiRequest *req, uint32_t block_size);
/* Length of a command block after its operation code; 0: none of the groups. */
unsigned vm_scsi_cdb_length (const uint8_t *cdb);
