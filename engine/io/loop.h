/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An event loop: a GMainContext that dispatches under a lock and wakes with nanosecond precision.
 * The engine loop, each iothread and each test has one. */
#pragma once

#include "engine/io/lock.h"

typedef struct VmLoop VmLoop;
typedef void (*VmPostFunc) (void *opaque);

/* LOCK, when not NULL, is held while sources and posts are dispatched and released while waiting. */
VmLoop       *vm_loop_new (const char *name, VmLock *lock);
void          vm_loop_free (VmLoop *loop);
GMainContext *vm_loop_context (VmLoop *loop);
VmLock       *vm_loop_lock (VmLoop *loop);
/* Runs until vm_loop_quit(), and then what was posted before that; the context becomes the thread's default. */
void          vm_loop_run (VmLoop *loop);
void          vm_loop_quit (VmLoop *loop); /* any thread */
/* One round: dispatches what is ready, waiting for it when MAY_BLOCK. For tests and nested start-up only. */
bool          vm_loop_iterate (VmLoop *loop, bool may_block);
bool          vm_loop_is_current (const VmLoop *loop);

/* Before it sleeps, the loop looks again and again for up to MAX_NS (0: not at all). How long it really does so follows
 * what it finds: times GROW when a little longer would have been enough, through SHRINK when it was in vain; 0: twice,
 * and back to nothing. Any thread. */
typedef struct VmLoopPolling {
  int64_t max_ns, grow, shrink;
} VmLoopPolling;
void vm_loop_set_polling (VmLoop *loop, VmLoopPolling polling);

/* FUNC (OPAQUE) runs on the loop's thread, in the order posted. Any thread. */
void vm_loop_post (VmLoop *loop, VmPostFunc func, void *opaque);
/* The same, and waits until it has run. Never from a thread that holds the loop's lock, unless it is
 * the loop's own thread, where FUNC runs at once. */
void vm_loop_call (VmLoop *loop, VmPostFunc func, void *opaque);

/* Runs what has been posted by now, and what that posts: for who needs the devices to have settled. The loop's
 * thread, its lock held. */
void vm_loop_run_posted (VmLoop *loop);

/* FUNC (OPAQUE) on a worker thread, where it may block, then DONE (OPAQUE) on the loop. Any thread. */
void vm_loop_work (VmLoop *loop, VmPostFunc func, VmPostFunc done, void *opaque);

/* The time source wake-up: EXPIRE_NS is CLOCK_MONOTONIC; INT64_MAX disarms. Loop thread or lock held. */
typedef struct VmWakeup VmWakeup;
VmWakeup *vm_wakeup_new (VmLoop *loop, VmPostFunc func, void *opaque); /* a timerfd */
/* The same, by the wall clock: EXPIRE_NS is CLOCK_REALTIME. */
VmWakeup *vm_wakeup_new_wall (VmLoop *loop, VmPostFunc func, void *opaque);
void      vm_wakeup_free (VmWakeup *wakeup);
void      vm_wakeup_arm (VmWakeup *wakeup, int64_t expire_ns);

/* Watches FD for G_IO_IN/OUT/HUP; FUNC returns false to remove the watch. */
typedef bool (*VmFdFunc) (int fd, GIOCondition condition, void *opaque);
GSource *vm_loop_watch_fd (VmLoop *loop, int fd, GIOCondition condition, VmFdFunc func, void *opaque);
void     vm_source_clear (GSource **source); /* destroy, unref, NULL */
