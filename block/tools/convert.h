/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying images into one, by several requests at a time. */
#pragma once

#include "block/tools/tool.h"

typedef struct VmConvertSource
{
  VmToolImage image;
  uint64_t start, size; /* in the target */
} VmConvertSource;

typedef struct VmConvert
{
  VmTool *tool;
  VmConvertSource *sources;
  unsigned n_sources;
  VmToolImage target;
  uint64_t total;
  /* what the user said */
  unsigned depth;  /* requests at a time */
  uint64_t sparse; /* this many zero bytes in a row are not written; 0: all is */
  bool compressed, any_order, salvage, quiet;
  bool offload;        /* the host copies what it can, without its bytes being looked at for zeros */
  bool over_backing;   /* the target's backing file has what the top layer of the source lacks */
  bool target_is_zero; /* by the user's word */
  bool created;        /* nobody else has written to the target */
  uint64_t rate;       /* bytes a second; 0: no limit */
  /* how it stands; zero at the beginning */
  uint64_t unit, chunk, backing_size;
  bool has_zeros; /* what is not written reads as zeros */
  uint64_t cursor, extent_end;
  int extent_kind;
  VmFiberMutex lock;
  uint64_t next_number, turn; /* writes start in the order of their chunks */
  VmFiberQueue waiting;
  int64_t free_at; /* when the rate allows the next write */
  bool failed;
} VmConvert;

/* False: told why. */
bool vm_convert_run (VmConvert *convert);
