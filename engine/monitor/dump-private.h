/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about dump-guest-memory share. */
#pragma once

#include "engine/monitor/monitor-private.h"
#include "engine/schema/types.h"

typedef struct DumpSegment
{
  uint64_t addr, size;
  const uint8_t *host;
} DumpSegment;

typedef struct VmKdump VmKdump;

typedef struct VmDump
{
  VmMonitors *all;
  int fd;
  VmqDumpGuestMemoryFormat format;
  GArray *segments; /* DumpSegment */
  GArray *mappings; /* VmMapping: virtual addresses, when they are wanted */
  VmFlatView *view; /* keeps the memory alive */
  guint at;         /* the segment that is written, and how much of it is */
  uint64_t done;
  uint64_t completed, total;
  VmqDumpStatus status;
  GError *error;
  bool detached, stopped; /* stopped the machine itself */
  GSource *idle;
  VmKdump *kdump; /* the compressed formats; NULL: an ELF file */
} VmDump;

bool dump_write (VmDump *d, const void *data, size_t len);
/* ELF notes of the processors. */
GByteArray *dump_notes (VmDump *d);

/* Headers and bitmaps. */
bool kdump_begin (VmDump *d);
/* Some pages more; false: nothing is left to do, well or badly. */
bool kdump_piece (VmDump *d);
void kdump_free (VmKdump *k);

/* One page of VM_PAGE_SIZE bytes into OUT, which has room for DUMP_PACKED_MAX; the length. */
#define DUMP_PACKED_MAX (2 * VM_PAGE_SIZE)
size_t dump_pack_lzo (const uint8_t *page, uint8_t *out);
size_t dump_pack_snappy (const uint8_t *page, uint8_t *out);
