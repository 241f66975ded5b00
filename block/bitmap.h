/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dirty bitmaps: which parts of a disk were written since some point in time. One bit stands for a granule of bytes;
 * an upper level says which words have any bit, so that a big clean disk is walked quickly. Fibers of the graph's loop.
 */
#pragma once

#include "engine/base/base.h"

#define VM_BITMAP_MAX_BITS (UINT64_C (1) << 36)
#define VM_BITMAP_MAX_NAME 1023

typedef struct VmDirtyBitmap
{
  char *name;        /* NULL: a job's own */
  uint64_t size;     /* of the disk */
  uint8_t shift;     /* a granule has 1 << SHIFT bytes */
  bool recording;    /* writes set bits */
  bool persistent;   /* is stored in the image when that is closed */
  bool inconsistent; /* was not stored when its image was last written: may only be removed */
  bool modified;     /* any bit has changed since somebody set this to false */
  bool readonly;     /* of an image that cannot be written: its copy there stays true */
  unsigned busy;     /* in use by a job or an export */
  uint64_t n_dirty;  /* granules */
  uint64_t *words, *summary;
} VmDirtyBitmap;

/* GRANULARITY is a power of two. NULL: too big for the memory. Recording. */
VmDirtyBitmap *vm_bitmap_new (const char *name, uint64_t size, uint64_t granularity);
void vm_bitmap_free (VmDirtyBitmap *bitmap);
bool vm_bitmap_resize (VmDirtyBitmap *bitmap, uint64_t size);

/* All granules that the bytes touch. Beyond the size nothing happens. */
void vm_bitmap_set (VmDirtyBitmap *bitmap, uint64_t offset, uint64_t len);
void vm_bitmap_clear (VmDirtyBitmap *bitmap, uint64_t offset, uint64_t len);
bool vm_bitmap_get (const VmDirtyBitmap *bitmap, uint64_t offset);
/* The next dirty bytes from *OFFSET on, below END and at most MAX of them; false: none. */
bool vm_bitmap_next_dirty (const VmDirtyBitmap *bitmap, uint64_t *offset, uint64_t end, uint64_t max, uint64_t *len);
/* The first dirty (clean) byte from OFFSET on, below END; END: none. */
uint64_t vm_bitmap_next (const VmDirtyBitmap *bitmap, uint64_t offset, uint64_t end, bool dirty);
/* INTO |= FROM, whatever their granularities. */
void vm_bitmap_merge (VmDirtyBitmap *into, const VmDirtyBitmap *from);

static inline uint64_t
vm_bitmap_granularity (const VmDirtyBitmap *bitmap)
{
  return UINT64_C (1) << bitmap->shift;
}

static inline uint64_t
vm_bitmap_bits (const VmDirtyBitmap *bitmap)
{
  return bitmap->size ? ((bitmap->size - 1) >> bitmap->shift) + 1 : 0;
}

/* Dirty bytes, by whole granules. */
static inline uint64_t
vm_bitmap_count (const VmDirtyBitmap *bitmap)
{
  return bitmap->n_dirty << bitmap->shift;
}

/* The bits as bytes, the first granule in bit 0 of the first: LEN bytes from byte FIRST. Bits behind the end are
 * ignored and 0. */
void vm_bitmap_save (const VmDirtyBitmap *bitmap, uint64_t first, uint8_t *to, size_t len);
void vm_bitmap_restore (VmDirtyBitmap *bitmap, uint64_t first, const uint8_t *from, size_t len);
