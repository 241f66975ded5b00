/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fibers: functions that wait without holding up their loop. What an image format does in ten steps, each of which
 * waits for a disk, reads as ten statements; the loop runs other fibers and sources meanwhile.
 *
 * A fiber belongs to one loop and only ever runs on the thread that runs this loop, with the loop's lock held; between
 * two waits nothing else of the loop runs. Nobody may wait in a fiber by other means than these (and those built on
 * them), nor use VLAs or deep recursion: a stack has 256 KiB. */
#pragma once

#include "engine/io/loop.h"

typedef struct VmFiber VmFiber;
typedef void (*VmFiberFunc) (void *opaque);

/* Runs FUNC in a fiber of LOOP: on the loop's thread at once, and the call returns when it first waits or ends; from
 * other threads soon. */
void vm_fiber_spawn (VmLoop *loop, VmFiberFunc func, void *opaque);
VmFiber *vm_fiber_self (void); /* NULL outside of fibers */
VmLoop *vm_fiber_loop (const VmFiber *fiber);

/* Waits for vm_fiber_wake(). A wake-up that came since the last suspend returned is not lost. */
void vm_fiber_suspend (void);
/* Any thread. The fiber goes on before the call returns when that is made on the loop's thread outside of fibers; else
 * when the present fiber waits or ends, or on the loop's next round. Each suspend wants one wake. */
void vm_fiber_wake (VmFiber *fiber);

/* Lets whatever else is ready on the loop go first. */
void vm_fiber_yield (void);
void vm_fiber_sleep (int64_t ns);
/* FUNC (OPAQUE) on a worker of the loop, where it may block; returns when it has. Outside of fibers it just runs. */
void vm_fiber_work (VmFiberFunc func, void *opaque);

/* --- between fibers of one loop; zero is the initial state ---------------------------------------- */

typedef struct VmFiberQueue
{ /* those who wait, first come first */
  GQueue fibers;
} VmFiberQueue;
void vm_fiber_queue_wait (VmFiberQueue *queue);
bool vm_fiber_queue_wake (VmFiberQueue *queue);     /* the first; false: nobody waited */
void vm_fiber_queue_wake_all (VmFiberQueue *queue); /* those who wait now */

typedef struct VmFiberMutex
{ /* handed over in the order asked for */
  VmFiber *owner;
  VmFiberQueue waiting;
} VmFiberMutex;
void vm_fiber_mutex_lock (VmFiberMutex *mutex);
void vm_fiber_mutex_unlock (VmFiberMutex *mutex);

typedef struct VmFiberRwLock
{ /* a writer who waits keeps new readers out */
  unsigned readers;
  bool writer;
  VmFiberQueue readers_waiting, writers_waiting;
} VmFiberRwLock;
void vm_fiber_rw_read (VmFiberRwLock *lock);
void vm_fiber_rw_write (VmFiberRwLock *lock);
void vm_fiber_rw_unlock (VmFiberRwLock *lock);
