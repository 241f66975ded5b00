/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What jobs that copy have in common. */
#pragma once

#include "block/bitmap.h"
#include "block/job.h"

#define VM_JOB_CHUNK ((uint64_t) VM_MIB)

/* The bytes from one node to another: zeros as zeros, by ZERO_FLAGS. BUFFER has LEN bytes. FLAGS of the
 * writes. *READ: the reading failed. */
int vm_job_copy (VmNode *from, VmNode *to, uint64_t offset, uint64_t len, void *buffer, unsigned flags,
                 unsigned zero_flags, bool *read);
/* A job for OPTIONS; NULL with ERROR. */
VmJob *vm_job_new_for (const VmJobOptions *options, const VmJobClass *klass, size_t state_size, GError **error);
/* Whether [OFFSET, *LEN) is of this layer down to BASE, as far as *LEN says then. Negative: an error. */
int vm_job_allocated (VmNode *top, VmNode *base, uint64_t offset, uint64_t *len);
/* What lies below NODE may be written by a job, or no more. */
void vm_job_share_backing (VmNode *node, bool written);
/* A commit of OPTIONS' node, which is in use, into its base; ABOVE lies on that. */
VmJob *vm_job_active_commit (const VmJobOptions *options, VmNode *above, GError **error);

/* --- several pieces at once ------------------------------------------------------------------------------------ */

/* Copies what a bitmap says, by workers of JOB; those who change the source may copy, too. Nothing is copied twice
 * at once. */
typedef struct VmCopy
{
  VmJob *job;
  VmNode *from, *to;
  VmDirtyBitmap *todo;
  uint64_t chunk;
  unsigned max_workers, flags, zero_flags;
  VmJobOnError on_read_error, on_write_error;
  bool whole; /* progress counts whole granules, also of the last one */
  bool quick; /* without regard to the job's speed */
  /* its own */
  uint64_t cursor;
  GQueue ranges; /* under way */
  VmFiberQueue changed;
  int failure; /* errno value of the error that is the end of it */
} VmCopy;

/* Copies or waits for a copy; false: nothing is left and nothing under way, or there was an end of it. In the job's
 * fiber, which calls vm_job_point() between. */
bool vm_copy_step (VmCopy *copy);
/* Bytes, as the job's progress counts them. */
uint64_t vm_copy_left (const VmCopy *copy);
/* Until no worker runs. */
void vm_copy_rest (VmCopy *copy);
/* All of [OFFSET, END) that is to be copied, by this fiber, at whole granules; waits for those under way. */
int vm_copy_now (VmCopy *copy, uint64_t offset, uint64_t end, bool *read);
