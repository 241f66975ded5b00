/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Virtio devices (OASIS Virtual I/O Device 1.2): what is common to them, their queues, and what a transport does.
 *
 * A device type has vm_virtio_type as parent and a VmVirtioClass as klass. Its realize sets config_size and adds its
 * queues; a transport ("virtio-blk-pci") has the device as its child "virtio-backend" on its VmVirtioBus.
 *
 * Queues are served on the engine loop, or on that of an iothread: a doorbell is an eventfd, or a post. A handler takes
 * elements by vm_virtqueue_next() until that says NULL, works on guest memory in place (element->iov), and gives each
 * back by vm_virtqueue_push(), at once or later. What is pushed in one round of the loop is made visible together, with
 * one interrupt. A driver that breaks the rules finds its device in the state "needs reset": no queue moves any more.
 *
 * On an iothread there is no machine lock: handlers, and whatever completes requests there, run under the device's own
 * lock, which comes after the machine lock where both are held. Buffers must be RAM then. */
#pragma once

#include "engine/bus/device.h"
#include "engine/clock/clock.h"

#include <sys/uio.h>

typedef struct VmVirtio    VmVirtio;
typedef struct VmVirtqueue VmVirtqueue;
typedef struct VmVirtioBus VmVirtioBus;

#define VM_VIRTIO_BUS_TYPE  "virtio-bus"
#define VM_VIRTQUEUE_MAX    1024   /* entries of a queue; also pieces of a chain */
#define VM_VIRTIO_QUEUES    1024
#define VM_VIRTIO_NO_VECTOR 0xffff
#define VM_VIRTIO_CONFIG_MAX 256

enum { /* device types (chapter 5) */
  VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5,
  VIRTIO_ID_SCSI = 8, VIRTIO_ID_9P = 9, VIRTIO_ID_GPU = 16, VIRTIO_ID_INPUT = 18, VIRTIO_ID_CRYPTO = 20,
  VIRTIO_ID_SOUND = 25,
};
enum { /* device status (2.1) */
  VIRTIO_STATUS_ACKNOWLEDGE = 1, VIRTIO_STATUS_DRIVER = 2, VIRTIO_STATUS_DRIVER_OK = 4, VIRTIO_STATUS_FEATURES_OK = 8,
  VIRTIO_STATUS_NEEDS_RESET = 64, VIRTIO_STATUS_FAILED = 128,
};
enum { /* feature bits of all types (chapter 6 and 6.3) */
  VIRTIO_F_NOTIFY_ON_EMPTY = 24, VIRTIO_F_ANY_LAYOUT = 27, VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29,
  VIRTIO_F_BAD_FEATURE = 30, VIRTIO_F_VERSION_1 = 32, VIRTIO_F_ACCESS_PLATFORM = 33, VIRTIO_F_RING_PACKED = 34,
  VIRTIO_F_IN_ORDER = 35, VIRTIO_F_ORDER_PLATFORM = 36, VIRTIO_F_SR_IOV = 37, VIRTIO_F_NOTIFICATION_DATA = 38,
  VIRTIO_F_RING_RESET = 40,
};

/* --- the transport's side ------------------------------------------------------------------------------ */

typedef struct VmVirtioBusOps {
  void (*notify) (void *opaque, uint16_t vector); /* a queue's interrupt */
  void (*config_changed) (void *opaque);          /* the configuration's */
  void (*shut_down) (void *opaque);               /* the device goes: no doorbells any more */
} VmVirtioBusOps;

struct VmVirtioBus {
  VmBus           parent; /* named VM_VIRTIO_BUS_TYPE; one device */
  const VmVirtioBusOps *ops;
  void           *opaque;
  VmAddressSpace *as;     /* guest memory as the device sees it */
  VmMemAttrs      attrs;
  const void     *owner;  /* of the registers: DMA into them is refused */
  bool            legacy, modern; /* interfaces it has */
  bool            disabled;       /* it may not access memory now */
};

void vm_virtio_bus_init (VmVirtioBus *bus, VmDevice *owner, const VmVirtioBusOps *ops, void *opaque);

/* --- devices ------------------------------------------------------------------------------------------- */

typedef struct VmVirtioClass {
  VmDeviceClass parent;
  uint16_t id;
  bool     modern_only;  /* no legacy interface, ever */
  uint64_t legacy_features; /* offered by the legacy interface only */
  uint64_t (*features) (VmVirtio *v);               /* of the type, beyond the common ones; NULL: none */
  void     (*features_set) (VmVirtio *v);           /* v->features is final; may be NULL */
  void     (*config_get) (VmVirtio *v, uint8_t *config); /* fills config_size bytes */
  /* The driver wrote SIZE bytes at OFFSET of CONFIG, which else is what config_get() said. */
  void     (*config_set) (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size);
  void     (*status_set) (VmVirtio *v, uint8_t old); /* v->status is the new one */
  /* All elements are given up: cancel or wait for what is under way, then vm_virtqueue_drop() the rest. */
  void     (*stop) (VmVirtio *v);
  void     (*stop_queue) (VmVirtio *v, VmVirtqueue *q); /* the same for one (2.6.1); NULL: as stop */
  /* Before saving: waits for what is under way; false: some of it cannot end. NULL: nothing ever is. */
  bool     (*settle) (VmVirtio *v, GError **error);
} VmVirtioClass;

/* What a queue keeps between calls, saved as it is. */
typedef struct VmVirtqueueState {
  uint64_t desc, driver, device; /* guest addresses of the three areas */
  uint16_t num;                  /* entries; 0: not there */
  uint16_t vector;
  uint16_t next_avail, next_used;
  uint8_t  enabled, avail_wrap, used_wrap; /* 0 or 1 */
  uint8_t  unused[13];
} VmVirtqueueState;
G_STATIC_ASSERT (sizeof (VmVirtqueueState) == 48);

typedef struct VmVirtioArea { /* one area of a ring in host memory */
  uint8_t    *host;
  VmRamBlock *block;
  uint64_t    addr, len;
} VmVirtioArea;

struct VmVirtqueue {
  VmVirtio *v;
  VmVirtqueueState *s;
  uint16_t  index, max;        /* of entries */
  void    (*handle) (VmVirtio *v, VmVirtqueue *q); /* there may be something new */
  VmVirtioArea desc, driver, device;
  bool      mapped;
  unsigned  generation;        /* of the address space when it was */
  unsigned  in_flight;         /* elements taken and not given back */
  unsigned  pushed;            /* ring entries of those given back since the last flush */
  unsigned  budget;            /* elements left in this round */
  int       eventfd;           /* -1: none */
  GSource  *watch;
  VmLoop   *loop;              /* that serves it */
  unsigned  batch;             /* elements in a row; 0: any */
  bool      posted;            /* to look after it */
  VmObject *held;              /* by the post */
  bool      kicked;            /* a handler is posted */
  bool      quiet;             /* no doorbells wanted for now */
};

struct VmVirtio {
  VmDevice parent;
  /* properties */
  bool indirect_desc, event_idx, notify_on_empty, any_layout, iommu_platform, packed, queue_reset;
  bool use_started, use_disabled_flag, x_disable_legacy_check;
  /* wiring */
  VmVirtqueue **queues;
  unsigned      n_queues;
  uint32_t     config_size;
  VmLock      *lock;          /* of the queues, when iothreads serve them; else NULL */
  struct VmVirtioLink *link;  /* for posts to the engine */
  VmTimer      loaded;        /* when time goes on after a state was loaded */
  uint64_t     copied;        /* bytes of copies that elements hold */
  uint64_t     host_features;
  /* guest state */
  uint64_t     features;      /* what the driver took */
  uint8_t      status;
  uint32_t     generation;    /* of the configuration */
  bool         broken;        /* stopped until reset */
  VmVirtqueueState *queue_state;
  uint32_t     queue_state_size;
};

extern const VmType vm_virtio_type; /* "virtio-device", abstract */
extern const VmProp vm_virtio_props[]; /* of every device, for the transports' tables */
#define VM_VIRTIO(obj) ((VmVirtio *) (obj))

static inline VmVirtioBus *
vm_virtio_bus (const VmVirtio *v)
{
  return (VmVirtioBus *) v->parent.bus;
}
/* The device behind OBJ, which is one or the transport of one: for setters that serve both. */
VmVirtio *vm_virtio_of (VmObject *obj);

static inline bool
vm_virtio_has (const VmVirtio *v, unsigned feature)
{
  return v->features >> feature & 1;
}
static inline bool
vm_virtio_running (const VmVirtio *v)
{
  return (v->status & VIRTIO_STATUS_DRIVER_OK) && !v->broken;
}

/* In realize. */
VmVirtqueue *vm_virtio_add_queue (VmVirtio *v, unsigned max, void (*handle) (VmVirtio *v, VmVirtqueue *q));
/* In realize, after the queues: iothreads serve them, LOOPS[n % N_LOOPS] queue n; BATCH elements in a row at most. */
void vm_virtio_set_loops (VmVirtio *v, VmLoop *const *loops, unsigned n_loops, unsigned batch);
/* First of all in unrealize: nothing is under way any more. */
void vm_virtio_shut_down (VmVirtio *v);
/* And then, when nobody else has the lock: what is posted there runs into nothing, and is waited for. */
void vm_virtio_leave_loops (VmVirtio *v);
/* The configuration is another: its generation grows, the driver is told. */
void vm_virtio_config_changed (VmVirtio *v);
/* The driver broke a rule: nothing moves until it resets the device. */
void vm_virtio_break (VmVirtio *v, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* For who comes with the machine lock to what queues may be using. */
static inline bool
vm_virtio_enter (const VmVirtio *v)
{
  return v->lock && vm_lock_enter (v->lock);
}
static inline void
vm_virtio_leave (const VmVirtio *v, bool taken)
{
  if (v->lock)
    vm_lock_leave (v->lock, taken);
}

/* For transports. */
void     vm_virtio_reset (VmVirtio *v);
void     vm_virtio_set_status (VmVirtio *v, uint8_t status);
uint64_t vm_virtio_offered (const VmVirtio *v, bool legacy);
void     vm_virtio_set_features (VmVirtio *v, uint64_t features, bool legacy);
uint64_t vm_virtio_config_read (VmVirtio *v, uint32_t offset, unsigned size); /* ones past the end */
void     vm_virtio_config_write (VmVirtio *v, uint32_t offset, uint64_t value, unsigned size);
void     vm_virtqueue_enable (VmVirtqueue *q);
void     vm_virtqueue_reset (VmVirtqueue *q);
void     vm_virtqueue_restart (VmVirtqueue *q); /* of a running device (2.6.1) */
/* Legacy layout (2.7.2): one page number for all three; 0: off. */
void     vm_virtqueue_set_pfn (VmVirtqueue *q, uint32_t pfn);
/* The doorbell. */
void     vm_virtqueue_kick (VmVirtqueue *q);
/* An eventfd whose signal is a kick, watched on the device's loop; -1 when the host has no more. */
int      vm_virtqueue_doorbell (VmVirtqueue *q);
void     vm_virtqueue_close_doorbell (VmVirtqueue *q);

/* --- queues, for devices ------------------------------------------------------------------------------- */

typedef struct VmVirtqPiece { /* how one entry of iov came about */
  VmRamBlock *block; /* NULL: a copy of what is at ADDR */
  uint64_t    addr;
} VmVirtqPiece;

/* The start of what vm_virtqueue_next() allocates. The first N_OUT entries are for reading, then N_IN for writing. */
typedef struct VmVirtqElement {
  VmVirtqueue  *q;
  unsigned      n_out, n_in;
  struct iovec *iov;
  VmVirtqPiece *pieces;
  uint16_t      id;        /* head, or buffer id */
  uint16_t      slots;     /* ring entries it takes */
} VmVirtqElement;

/* The next chain, in a zeroed struct of SIZE bytes that begins with a VmVirtqElement. NULL: no more for now; the
 * handler is called again when there is. */
void *vm_virtqueue_next (VmVirtqueue *q, size_t size);
/* The same for queues whose buffers are taken when the device has something for them. */
void *vm_virtqueue_pop (VmVirtqueue *q, size_t size);
bool  vm_virtqueue_ready (const VmVirtqueue *q);  /* may be used at all */
bool  vm_virtqueue_empty (VmVirtqueue *q);
/* Whether the device wants doorbells. next() does this by itself. */
void  vm_virtqueue_set_notification (VmVirtqueue *q, bool on);
/* Gives it back: WRITTEN bytes, counted over the entries for writing. ELEMENT is freed. */
void  vm_virtqueue_push (void *element, uint32_t written);
/* Publishes what was pushed and interrupts when the driver wants that. Pushing posts one. */
void  vm_virtqueue_flush (VmVirtqueue *q);
/* As if it had never been taken: only the last one popped. */
void  vm_virtqueue_unpop (void *element);
/* Frees it without giving it back: the queue is being reset. */
void  vm_virtqueue_drop (void *element);

static inline const struct iovec *
vm_virtq_out (const VmVirtqElement *e)
{
  return e->iov;
}
static inline const struct iovec *
vm_virtq_in (const VmVirtqElement *e)
{
  return e->iov + e->n_out;
}

/* Bytes of the entries; copies of a part of them, whose length is returned. */
size_t vm_iov_size (const struct iovec *iov, unsigned n);
size_t vm_iov_get (const struct iovec *iov, unsigned n, size_t offset, void *buf, size_t len);
size_t vm_iov_put (const struct iovec *iov, unsigned n, size_t offset, const void *buf, size_t len);
/* The LEN bytes from OFFSET on as entries of DST (room for N); how many. */
unsigned vm_iov_slice (const struct iovec *iov, unsigned n, size_t offset, size_t len, struct iovec *dst);
