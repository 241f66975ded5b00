/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of engine/memory share. */
#pragma once

#include "engine/memory/memory.h"

#include <pthread.h>

struct VmMemory {
  VmLock     *lock;
  pthread_mutex_t view_mutex; /* between taking as->view and referencing it, and replacing it; held briefly */
  GPtrArray  *spaces;     /* VmAddressSpace *, by age */
  GPtrArray  *listeners;  /* VmMemoryListener *, by rising priority */
  unsigned    depth;      /* of transactions */
  bool        changed;
  uint64_t    next_page;  /* atomic */
  pthread_mutex_t ram_mutex;
  GPtrArray  *ram;        /* VmRamBlock *, by age; under ram_mutex */
  VmReentry   active;     /* ring of running device callbacks */
  VmCodeWrittenFunc code_hook;
  void       *code_opaque;
  void      (*flush_hook) (void *opaque);
  void       *flush_opaque;
  bool        flushing;   /* the hook's own accesses do not call it again */
};

typedef struct VmEventfd {
  uint64_t addr; /* in the region, or in the address space */
  uint64_t data;
  uint32_t size;
  int      fd;
  bool     match;
} VmEventfd;

typedef struct VmCoalesced {
  uint64_t addr, len;
} VmCoalesced;

/* Size with 0 as 2^64. */
static inline unsigned __int128
vm_region_span (const VmRegion *r)
{
  return r->size ? r->size : (unsigned __int128) 1 << 64;
}

static inline uint64_t
vm_region_last (const VmRegion *r)
{
  return r->size - 1; /* size 0 wraps to the last address */
}

VmFlatView *vm_flat_view_new (VmRegion *root);
/* Index of the range that holds ADDR or else of the first one after it; n when there is none. */
size_t      vm_flat_view_index (const VmFlatView *view, uint64_t addr);
/* Tells the listeners of AS what changes and puts VIEW (a reference it takes over) in place. */
void        vm_address_space_update (VmAddressSpace *as, VmFlatView *view);
/* One access inside a leaf, the lock held: bytes in memory order, at most 8. */
VmMemResult vm_region_access (VmRegion *r, uint64_t offset, uint8_t *bytes, unsigned size, VmMemAttrs attrs,
                              bool is_write);
void        vm_memory_changed (VmMemory *m);
const char *vm_region_kind_name (const VmRegion *r);
