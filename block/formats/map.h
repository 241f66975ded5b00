/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all formats with a table of blocks have in common: a driver says where bytes lie and finds places for new
 * blocks; the rest is here. A VmMap is the first member of the driver's state, and the functions below serve as the
 * driver's own. */
#pragma once

#include "block/formats/meta.h"

typedef enum VmMapKind
{
  VM_MAP_HOLE, /* zeros, or what the backing file has */
  VM_MAP_ZERO,
  VM_MAP_DATA,
  VM_MAP_PACKED /* by ops->unpack() */
} VmMapKind;

#define VM_MAP_PACK 1

typedef struct VmMapping
{
  VmMapKind kind;
  VmNode *file;
  uint64_t offset; /* in FILE, of the byte asked about */
  uint64_t len;    /* for so many bytes from there it holds, > 0 */
} VmMapping;

typedef struct VmPlace
{
  uint64_t start, len; /* the block in the image: the caller's */
  VmNode *file;        /* the place found for it */
  uint64_t offset;
  uint64_t reserve; /* the file grows by so much, when that is more than LEN */
  uint64_t cookie;  /* the driver's */
  unsigned index;   /* so many have been allocated before and are not linked yet */
  bool fresh;       /* it lies past the end of the file: reads as zeros */
  bool zero;        /* no place is needed: the block shall read as zeros */
} VmPlace;

typedef struct VmMapOps
{
  /* -EUCLEAN: the tables are damaged there. */
  int (*lookup) (VmNode *node, uint64_t offset, VmMapping *mapping);
  int (*unpack) (VmNode *node, uint64_t offset, const VmMapping *mapping, VmVec vec);
  /* Both with the map's lock held, for one whole block at a time: a place (not for place->zero), and when the data is
   * there, the entry in the table. Several may be allocated before they are linked in the same order. A place that is
   * never linked is a leak, nothing worse. VM_MAP_PACK instead of 0: the block can only be written packed. */
  int (*allocate) (VmNode *node, VmPlace *place);
  int (*link) (VmNode *node, const VmPlace *place);
  bool can_zero; /* link takes place->zero */
  /* Takes a whole block, the last of the image may be shorter. NULL: not packed when a writer asks for it. */
  int (*write_packed) (VmNode *node, uint64_t offset, VmVec vec);
} VmMapOps;

typedef struct VmMap
{
  const VmMapOps *ops;
  uint64_t block; /* bytes */
  bool flat;      /* data may well be zeros: what lies below knows more */
  bool damaged;   /* and everybody has been told */
  bool layered;   /* holes show what is in a backing file, or would be */
  VmMeta meta;
  VmFiberMutex lock;
} VmMap;

int vm_map_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_map_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_map_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);
int vm_map_discard (VmNode *node, uint64_t offset, uint64_t len);
int vm_map_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent);
uint32_t vm_map_cluster_size (VmNode *node);
bool vm_map_opened (VmNode *node, bool ok); /* OK; frees the map when opening has failed */
void vm_map_close (VmNode *node);

/* Whether [OFFSET, OFFSET + LEN) lies below LIMIT. */
static inline bool
vm_map_within (uint64_t offset, uint64_t len, uint64_t limit)
{
  return len <= limit && offset <= limit - len;
}
