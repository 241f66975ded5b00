/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object iothread: a loop on a thread of its own, for the queues of devices.
 *
 * The loop holds no lock. What runs on it never waits for the machine lock (vm_lock_try), so that whoever has that one
 * may wait for the thread. */
#pragma once

#include "engine/machine/machine.h"

typedef struct VmIothread
{
  VmObject parent;
  /* properties */
  int64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch, thread_pool_min, thread_pool_max;
  /* wiring */
  VmLoop *loop;
  GThread *thread;
  int64_t thread_id;
  unsigned users;
} VmIothread;
extern const VmType vm_iothread_type;

VmLoop *vm_iothread_loop (VmIothread *thread);
/* Requests that a device should take from one queue in a row; 0: as it likes. */
unsigned vm_iothread_max_batch (const VmIothread *thread);
/* Whoever uses it keeps it from being deleted. */
VmIothread *vm_iothread_use (VmIothread *thread);
void        vm_iothread_unuse (VmIothread *thread);
