/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bench for virtio devices: a PCI bus with one function, and a driver that keeps its queues in guest memory. */
#pragma once

#include "block/block.h"
#include "devices/isa/piix3.h"
#include "devices/pci/i440fx.h"
#include "devices/virtio/virtio-pci.h"
#include "tests/devices/rig.h"

#define VIRTIO_RIG_RAM    (16 * VM_MIB)
#define VIRTIO_RIG_DEVFN  VM_PCI_DEVFN (4, 0)
#define VIRTIO_RIG_MODERN UINT64_C (0xe0000000) /* where the BARs are */
#define VIRTIO_RIG_LEGACY 0xc000
#define VIRTIO_RIG_QUEUE(n) (0x100000u + 0x10000u * (n)) /* where queue N is */

enum { /* registers of the modern BAR */
  MODERN_DF_SELECT = 0x00, MODERN_DF = 0x04, MODERN_GF_SELECT = 0x08, MODERN_GF = 0x0c, MODERN_NUM_QUEUES = 0x12,
  MODERN_STATUS = 0x14, MODERN_Q_SELECT = 0x16, MODERN_Q_SIZE = 0x18, MODERN_Q_ENABLE = 0x1c, MODERN_Q_DESC = 0x20,
  MODERN_Q_DRIVER = 0x28, MODERN_Q_DEVICE = 0x30, MODERN_Q_RESET = 0x3a, MODERN_ISR = 0x1000,
  MODERN_CONFIG = 0x2000, MODERN_NOTIFY = 0x3000,
};

typedef struct VirtioRigQueue {
  uint32_t base;
  uint16_t num, next, used; /* descriptor to use, used ones seen */
  bool     wrap, used_wrap;
  uint8_t  chains[256];     /* packed: entries of those on their way, in order */
  uint8_t  first, last;
} VirtioRigQueue;

typedef struct VirtioRig {
  Rig           rig;
  VmI440fxHost *host;
  VmI440fx     *bridge;
  VmPiix3      *piix3;
  VmVirtioPci  *dev;
  char         *path;    /* of the disk image */
  VmDrive      *drive;
  bool          legacy;
  uint64_t      features;
  VirtioRigQueue queue[8];
} VirtioRig;

typedef struct VirtioRigPiece {
  uint32_t addr, len;
  bool     write; /* by the device */
} VirtioRigPiece;

void     virtio_rig_init (VirtioRig *r);
void     virtio_rig_make_drive (VirtioRig *r, uint64_t size); /* "d" */
/* PROPS: name, value, ..., NULL. */
void     virtio_rig_add (VirtioRig *r, const VmType *type, const char *const *props);
void     virtio_rig_clear (VirtioRig *r);
uint32_t virtio_rig_config (VirtioRig *r, unsigned reg, unsigned size);
void     virtio_rig_set_config (VirtioRig *r, unsigned reg, uint32_t value, unsigned size);
uint32_t virtio_rig_read (VirtioRig *r, unsigned reg, unsigned size);
void     virtio_rig_write (VirtioRig *r, unsigned reg, uint32_t value, unsigned size);
/* Until nothing moves. */
void     virtio_rig_settle (VirtioRig *r);
/* From reset to DRIVER_OK with WANTED of what is offered; the first N queues have NUM entries. */
void     virtio_rig_start (VirtioRig *r, uint64_t wanted, unsigned n, uint16_t num);
void     virtio_rig_set_queue (VirtioRig *r, unsigned n, uint16_t num);
/* A chain, in the layout negotiated (INDIRECT: in a table of its own), and the doorbell. */
void     virtio_rig_add_chain (VirtioRig *r, unsigned queue, const VirtioRigPiece *pieces, unsigned n, bool indirect);
void     virtio_rig_ring (VirtioRig *r, unsigned queue);
/* The next chain that came back: its length; -1: none. */
int64_t  virtio_rig_take (VirtioRig *r, unsigned queue);
