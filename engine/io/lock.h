/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine lock: protects device state. The engine loop holds it while it dispatches, a vCPU takes
 * it for a device access. Device files never name it: the loop and the memory bus take it for them. */
#pragma once

#include "engine/base/base.h"

typedef struct VmLock VmLock;

VmLock *vm_lock_new (void);
void    vm_lock_free (VmLock *lock);
/* Takes the lock unless this thread has it already; returns whether it was taken, for vm_lock_leave(). */
bool    vm_lock_enter (VmLock *lock);
/* Takes the lock when nobody has it, and never waits; whether it did. */
bool    vm_lock_try (VmLock *lock);
void    vm_lock_leave (VmLock *lock, bool taken);
bool    vm_lock_held (const VmLock *lock); /* by the calling thread */
/* Waits on COND with the lock released; the calling thread must hold it exactly once. */
void    vm_lock_wait (VmLock *lock, GCond *cond);
