/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine lock. Taking it free is one compare-and-swap; whoever finds it taken queues up.
 *
 * Fairness: a thread that has just left may take the lock again before the one it woke gets
 * there (vCPUs do, and forbidding it would cost a context switch per access). It may do so once:
 * a waiter that was woken in vain is handed the lock by the next who leaves, without letting go
 * of it in between. */
#include "engine/io/lock.h"

#include <pthread.h>
#include <stdatomic.h>

#ifdef __SANITIZE_THREAD__
#define VM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VM_TSAN 1
#endif
#endif
#ifdef VM_TSAN
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_acquire(p) ((void) (p))
#define __tsan_release(p) ((void) (p))
#endif

enum {
  HELD    = 1 << 0,
  WAITERS = 1 << 1, /* the queue is not empty */
  GATED   = 1 << 2, /* taking it needs the mutex: somebody is about to wait on a condition */
};

#define SPINS 64

typedef struct Waiter Waiter;
struct Waiter {
  Waiter *next;
  GCond   cond;
  bool    woken;   /* once already, in vain */
  bool    granted; /* the lock is ours */
};

struct VmLock {
  atomic_uint      state;
  atomic_uintptr_t owner; /* the thread, 0 when free */
  GMutex           mutex; /* guards the queue and GATED; innermost */
  Waiter          *first, **last;
};

static uintptr_t
this_thread (void)
{
  return (uintptr_t) pthread_self ();
}

/* GLib is not built for the thread sanitizer, which must be told what its mutexes order. */
static void
queue_lock (VmLock *lock)
{
  g_mutex_lock (&lock->mutex);
  __tsan_acquire (&lock->mutex);
}

static void
queue_unlock (VmLock *lock)
{
  __tsan_release (&lock->mutex);
  g_mutex_unlock (&lock->mutex);
}

static void
queue_wait (VmLock *lock, GCond *cond)
{
  __tsan_release (&lock->mutex);
  g_cond_wait (cond, &lock->mutex);
  __tsan_acquire (&lock->mutex);
}

static void
queue_push (VmLock *lock, Waiter *waiter)
{
  *lock->last = waiter;
  lock->last = &waiter->next;
  atomic_fetch_or (&lock->state, WAITERS);
}

static void
queue_pop (VmLock *lock)
{
  lock->first = lock->first->next;
  if (!lock->first)
    {
      lock->last = &lock->first;
      atomic_fetch_and (&lock->state, ~(unsigned) WAITERS);
    }
}

VmLock *
vm_lock_new (void)
{
  VmLock *lock = g_new0 (VmLock, 1);

  g_mutex_init (&lock->mutex);
  lock->last = &lock->first;
  return lock;
}

void
vm_lock_free (VmLock *lock)
{
  if (!lock)
    return;
  g_assert ((atomic_load (&lock->state) & (HELD | WAITERS)) == 0);
  g_mutex_clear (&lock->mutex);
  g_free (lock);
}

static bool
try_take (VmLock *lock)
{
  unsigned state = atomic_load_explicit (&lock->state, memory_order_relaxed);

  return (state & (HELD | GATED)) == 0 &&
         atomic_compare_exchange_strong (&lock->state, &state, state | HELD);
}

static bool
spin (VmLock *lock)
{
  for (unsigned i = 0; i < SPINS; i++)
    {
      if (try_take (lock))
        return true;
#ifdef __x86_64__
      __builtin_ia32_pause ();
#endif
    }
  return false;
}

/* With the mutex held: who closed the gate has opened it, by sleeping. */
static bool
try_take_gated (VmLock *lock)
{
  atomic_fetch_and (&lock->state, ~(unsigned) GATED);
  return try_take (lock);
}

static void
take_slowly (VmLock *lock)
{
  Waiter self = { 0 };

  g_cond_init (&self.cond);
  queue_lock (lock);
  if (lock->first || !try_take_gated (lock))
    {
      queue_push (lock, &self);
      /* The holder may have left before it could see us. */
      while (!self.granted && !(lock->first == &self && try_take_gated (lock)))
        queue_wait (lock, &self.cond);
      if (!self.granted)
        queue_pop (lock);
    }
  queue_unlock (lock);
  g_cond_clear (&self.cond);
}

bool
vm_lock_enter (VmLock *lock)
{
  uintptr_t self = this_thread ();

  if (atomic_load_explicit (&lock->owner, memory_order_relaxed) == self)
    return false;
  if (!try_take (lock) && !spin (lock))
    take_slowly (lock);
  atomic_store_explicit (&lock->owner, self, memory_order_relaxed);
  return true;
}

bool
vm_lock_try (VmLock *lock)
{
  if (vm_lock_held (lock) || !try_take (lock))
    return false;
  atomic_store_explicit (&lock->owner, this_thread (), memory_order_relaxed);
  return true;
}

/* Lets go and wakes or appoints the next; the mutex is held. */
static void
pass_on (VmLock *lock, unsigned gate)
{
  Waiter *next = lock->first;

  if (next && next->woken)
    {
      next->granted = true;
      queue_pop (lock);
      atomic_fetch_or (&lock->state, gate);
    }
  else
    {
      unsigned state = next ? WAITERS | gate : gate;

      if (next)
        next->woken = true;
      atomic_store (&lock->state, state);
    }
  if (next)
    g_cond_signal (&next->cond);
}

void
vm_lock_leave (VmLock *lock, bool taken)
{
  unsigned held = HELD;

  if (!taken)
    return;
  g_assert (vm_lock_held (lock));
  atomic_store_explicit (&lock->owner, 0, memory_order_relaxed);
  if (atomic_compare_exchange_strong (&lock->state, &held, 0))
    return;
  queue_lock (lock);
  pass_on (lock, 0);
  queue_unlock (lock);
}

bool
vm_lock_held (const VmLock *lock)
{
  return atomic_load_explicit (&lock->owner, memory_order_relaxed) == this_thread ();
}

void
vm_lock_wait (VmLock *lock, GCond *cond)
{
  g_assert (vm_lock_held (lock));
  queue_lock (lock);
  atomic_store_explicit (&lock->owner, 0, memory_order_relaxed);
  /* Whoever signals COND holds the lock; the gate keeps it out until this thread is truly
   * waiting. */
  pass_on (lock, GATED);
  queue_wait (lock, cond);
  queue_unlock (lock);
  vm_lock_enter (lock);
}
