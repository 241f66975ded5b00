/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest memory that a controller's tables scatter a transfer over, and its way into block requests without a copy. */
#pragma once

#include "engine/memory/memory.h"

#include <sys/uio.h>

typedef struct VmDmaPart {
  uint64_t addr, len;
} VmDmaPart;

typedef struct VmDmaSg {
  VmAddressSpace *as;
  VmMemAttrs      attrs;
  const void     *owner;  /* whose registers it does not reach */
  VmDmaPart      *parts;
  unsigned        n, room;
  uint64_t        size;   /* of all parts */
  bool            failed; /* bytes were read or written that no memory has */
} VmDmaSg;

/* Zeroed is a valid empty list; AS and ATTRS are set by who owns it. */
void     vm_dma_sg_clear (VmDmaSg *sg); /* gives its memory back */
void     vm_dma_sg_reset (VmDmaSg *sg); /* empty again */
void     vm_dma_sg_add (VmDmaSg *sg, uint64_t addr, uint64_t len);
/* Moves LEN bytes from OFFSET on, or what there is; returns how many. */
uint64_t vm_dma_sg_copy (VmDmaSg *sg, uint64_t offset, void *buf, uint64_t len, bool to_memory);

#define VM_DMA_BOUNCE (128 * 1024u) /* what is no RAM moves in such pieces */

/* A stretch of a list in the host's address space while a request is under way. */
typedef struct VmDmaMap {
  VmDmaSg      *sg;
  struct iovec *iov;
  VmRamBlock  **blocks; /* one per element of the vector */
  unsigned      n, room;
  uint8_t      *bounce; /* some of it is no RAM */
  uint64_t      offset, len;
  bool          to_memory;
} VmDmaMap;

/* Makes MAP's vector of LEN bytes at OFFSET, which must be in the list. Returns LEN, or less: at most
 * VM_DMA_BOUNCE, where not all of it is RAM. */
uint64_t vm_dma_map (VmDmaMap *map, VmDmaSg *sg, uint64_t offset, uint64_t len, bool to_memory);
void     vm_dma_unmap (VmDmaMap *map, bool written); /* WRITTEN: the vector was filled */
void     vm_dma_map_clear (VmDmaMap *map);           /* gives its memory back; nothing is mapped */
