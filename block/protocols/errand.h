/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Protocols whose library waits: its calls are made on workers, one at a time for each connection. Linked into each of
 * their modules. */
#pragma once

#include "block/node.h"

/* What is asked of a worker. */
typedef struct VmErrand
{
  void *state;         /* the driver's */
  const void *options; /* of opening: the member of VmqBlockdevOptions */
  int flags;           /* of opening, as open(2) takes them */
  bool cache_direct;
  uint64_t offset, size; /* SIZE: of a new file, of one that was opened, or to be */
  VmVec vec;
  int status;
  GError **error; /* of opening */
} VmErrand;

typedef void (*VmErrandFunc) (VmErrand *errand);

typedef struct VmErrandOps
{
  VmErrandFunc open; /* with O_CREAT a file of SIZE bytes is made; what is half done when it fails is closed */
  void (*close) (void *state);
  VmErrandFunc read, write, flush;
} VmErrandOps;

typedef struct VmErrands
{ /* the driver's state begins with it */
  const VmErrandOps *ops;
  VmFiberMutex mutex;
} VmErrands;

bool vm_errands_open (VmNode *node, const VmErrandOps *ops, const void *options, GError **error);
int vm_errands_run (VmNode *node, VmErrandFunc func, VmErrand *errand);
/* These serve as the driver's own. */
void vm_errands_close (VmNode *node);
int vm_errands_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_errands_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int vm_errands_flush (VmNode *node);
/* A file NAME of SIZE bytes, with a state of STATE_SIZE bytes in the meantime; FLAGS: more than O_RDWR and O_CREAT. */
bool vm_errands_create (VmBlockGraph *graph, const VmErrandOps *ops, size_t state_size, const char *name, uint64_t size,
                        int flags, GError **error);
