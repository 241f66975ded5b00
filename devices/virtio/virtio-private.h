/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two layouts of a queue (OASIS Virtual I/O Device 1.2, 2.7 and 2.8). */
#pragma once

#include "devices/virtio/virtio.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
#define DESC_SIZE 16

typedef struct Gather {
  VmVirtqueue  *q;
  unsigned      n_out, n_in;
  uint64_t      copied;      /* bytes of buffers that are no RAM */
  struct iovec  iov[VM_VIRTQUEUE_MAX];
  VmVirtqPiece  pieces[VM_VIRTQUEUE_MAX];
} Gather;

/* One buffer of a chain; false when the chain is bad, which broke the device. */
bool virtq_gather (Gather *g, uint64_t addr, uint32_t len, bool write);
/* A table of descriptors in guest memory; PACKED: in order, without links. */
bool virtq_gather_indirect (Gather *g, uint64_t addr, uint32_t len, bool packed);

typedef struct VirtqLayout {
  uint64_t (*area_size) (const VmVirtqueue *q, unsigned area); /* 0 desc, 1 driver, 2 device */
  bool     (*empty) (const VmVirtqueue *q);
  /* Fills G and what the element needs for its return. False: empty, or broken. */
  bool     (*take) (VmVirtqueue *q, Gather *g, uint16_t *id, uint16_t *slots);
  void     (*untake) (VmVirtqueue *q, uint16_t slots);
  void     (*put) (VmVirtqueue *q, uint16_t id, uint16_t slots, uint32_t written);
  bool     (*publish) (VmVirtqueue *q, unsigned slots); /* whether the driver wants an interrupt */
  void     (*set_notification) (VmVirtqueue *q, bool on);
} VirtqLayout;
extern const VirtqLayout virtq_split, virtq_packed;

/* Ring memory: shared with the guest's processors. */
static inline uint16_t
ring_load16 (const uint8_t *at)
{
  return GUINT16_FROM_LE (__atomic_load_n ((const uint16_t *) (const void *) at, __ATOMIC_ACQUIRE));
}
static inline void
ring_store16 (uint8_t *at, uint16_t value)
{
  __atomic_store_n ((uint16_t *) (void *) at, GUINT16_TO_LE (value), __ATOMIC_RELEASE);
}
/* Says that LEN bytes at AT of AREA were written. */
void virtq_area_written (VmVirtqueue *q, const VmVirtioArea *area, const uint8_t *at, uint64_t len);
/* Of virtio 1.2, 2.7.10.1: is EVENT among the SLOTS entries before NEXT? */
static inline bool
virtq_event_passed (uint16_t event, uint16_t next, unsigned slots)
{
  return (uint16_t) (next - event - 1) < slots;
}

/* Guest memory of a device: false where there is none that may be read here. */
bool virtio_read_memory (const VmVirtio *v, uint64_t addr, void *buf, uint32_t len);
/* To the engine loop: interrupts, from a thread that cannot have the machine lock now. */
struct VmVirtioLink *virtio_link_new (VmVirtio *v);
void virtio_link_cut (struct VmVirtioLink *link);
/* QUEUE's interrupt, NULL: the configuration's; at once where the machine lock is to be had. */
void virtio_interrupt (VmVirtio *v, VmVirtqueue *queue);

/* After its state was loaded. */
void virtqueue_loaded (VmVirtqueue *q);
/* The type's realize is done: the features are known. */
void virtio_realized (VmVirtio *v);
