/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What jobs that copy have in common. */
#pragma once

#include "block/job.h"

#define VM_JOB_CHUNK ((uint64_t) VM_MIB)

/* The bytes from one node to another: zeros as zeros. BUFFER has VM_JOB_CHUNK bytes. FLAGS of the writes. *READ: the
 * reading failed. */
int vm_job_copy (VmNode *from, VmNode *to, uint64_t offset, uint64_t len, void *buffer, unsigned flags, bool *read);
/* A job for OPTIONS; NULL with ERROR. */
VmJob *vm_job_new_for (const VmJobOptions *options, const VmJobClass *klass, size_t state_size, GError **error);
/* Whether [OFFSET, *LEN) is of this layer down to BASE, as far as *LEN says then. Negative: an error. */
int vm_job_allocated (VmNode *top, VmNode *base, uint64_t offset, uint64_t *len);
/* What lies below NODE may be written by a job, or no more. */
void vm_job_share_backing (VmNode *node, bool written);
/* A commit of OPTIONS' node, which is in use, into its base; ABOVE lies on that. */
VmJob *vm_job_active_commit (const VmJobOptions *options, VmNode *above, GError **error);
