/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ISA bus: 16 interrupt lines, 8 DMA channels, I/O ports and memory below 16 MiB. */
#pragma once

#include "engine/bus/device.h"

#define VM_ISA_BUS_TYPE "ISA"
#define VM_ISA_IRQS 16

typedef struct VmIsaBus VmIsaBus;

typedef enum VmIsaDmaMode { /* bits 3-2 of the 8237's mode register */
  VM_ISA_DMA_VERIFY,        /* counts, moves nothing */
  VM_ISA_DMA_TO_MEMORY,
  VM_ISA_DMA_FROM_MEMORY,
  VM_ISA_DMA_ILLEGAL,
} VmIsaDmaMode;

/* The device behind a channel. SERVICE is called whenever the controller could start moving data: the
 * channel is unmasked and its DREQ is high. It moves what it has by vm_isa_dma_move(). It may be called from
 * within vm_isa_dma_request(). */
typedef struct VmIsaDmaClient {
  void (*service) (void *opaque, unsigned channel);
  void *opaque;
} VmIsaDmaClient;

/* What a DMA controller offers; one serves channels 0-3, one 4-7. CHANNEL is 0..7. */
typedef struct VmIsaDmaOps {
  bool (*attach) (void *dma, unsigned channel, VmIsaDmaClient client); /* a NULL service detaches */
  void (*request) (void *dma, unsigned channel, bool dreq);
  /* Moves up to LEN bytes between BUF and memory as the channel is programmed; returns how many, and in
   * TERMINAL whether the count ran out (then the channel masks or reloads itself). */
  uint32_t (*move) (void *dma, unsigned channel, void *buf, uint32_t len, bool *terminal);
  VmIsaDmaMode (*mode) (void *dma, unsigned channel);
  bool (*autoinit) (void *dma, unsigned channel);
} VmIsaDmaOps;

struct VmIsaBus {
  VmBus     parent;
  VmIrq     irq[VM_ISA_IRQS]; /* to the interrupt controllers */
  VmRegion *memory, *io;
  const VmIsaDmaOps *dma_ops[2];
  void     *dma[2];
};
#define VM_ISA_BUS(bus) ((VmIsaBus *) (bus))

typedef struct VmIsaDevice {
  VmDevice   parent;
  GPtrArray *owned;      /* regions made by vm_isa_map_io() */
  GPtrArray *mapped;     /* those and the ones of vm_isa_add_io() */
  uint16_t   irq_levels; /* lines it holds up */
} VmIsaDevice;

extern const VmType vm_isa_device_type;

void vm_isa_bus_init (VmIsaBus *bus, VmDevice *owner, const char *name, VmRegion *memory, VmRegion *io);
void vm_isa_bus_destroy (VmIsaBus *bus);
void vm_isa_bus_set_irqs (VmIsaBus *bus, const VmIrq irqs[VM_ISA_IRQS]);
void vm_isa_bus_set_dma (VmIsaBus *bus, unsigned controller, const VmIsaDmaOps *ops, void *dma);

static inline VmIsaBus *
vm_isa_bus (const VmDevice *dev)
{
  return (VmIsaBus *) dev->bus;
}

/* Interrupt line N of the bus, shared with others by wired-or; not connected when N is 16 or more. */
VmIrq vm_isa_irq (VmDevice *dev, unsigned n);
/* LEN ports at PORT; made and unmapped by the device's family. Fails when they lie above 0xffff. */
bool  vm_isa_map_io (VmDevice *dev, uint32_t port, uint32_t len, const VmRegionOps *ops, void *opaque, GError **error);
/* A region of the device's own, which it may move and disable; removed and destroyed with the device. */
bool  vm_isa_add_io (VmDevice *dev, uint32_t port, VmRegion *region, GError **error);

/* DMA. Without a controller, attach fails and the rest does nothing. */
bool         vm_isa_dma_attach (VmDevice *dev, unsigned channel, VmIsaDmaClient client, GError **error);
void         vm_isa_dma_detach (VmDevice *dev, unsigned channel);
void         vm_isa_dma_request (VmDevice *dev, unsigned channel, bool dreq);
uint32_t     vm_isa_dma_move (VmDevice *dev, unsigned channel, void *buf, uint32_t len, bool *terminal);
VmIsaDmaMode vm_isa_dma_mode (VmDevice *dev, unsigned channel);
bool         vm_isa_dma_autoinit (VmDevice *dev, unsigned channel);
