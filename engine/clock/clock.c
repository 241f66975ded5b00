/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clocks and timers: one binary heap per clock, one or two wake-ups per set of clocks. */
#include "engine/clock/clock.h"

#include <stdatomic.h>
#include <time.h>

/* Firings at one instant of manual time before the rest of the way is skipped: a guest may have
 * programmed a period of zero. */
#define MAX_FIRINGS_PER_INSTANT 10000

typedef struct Heap {
  VmTimer **timers; /* each not later than its children at 2i+1 and 2i+2 */
  size_t    n, room;
} Heap;

struct VmClocks {
  VmLoop   *loop;
  VmWakeup *wakeup, *wall_wakeup;
  int64_t   armed, wall_armed; /* what these are set to, or earlier than needed */
  Heap      heaps[VM_CLOCK_N];
  uint64_t  next_serial;
  bool      firing;            /* arming waits until the round is over */
  bool      running, manual;
  /* Of a counted virtual clock: */
  bool      is_counted, idle;
  int64_t   idle_since;        /* host time when the clock began to stand at its present value */
  bool    (*is_idle) (void *opaque);
  void     *is_idle_opaque;
  VmCountedClock counted;
  /* Virtual time, for readers without the lock: a sequence lock, odd while it changes. */
  atomic_uint_fast32_t sequence;
  atomic_bool          ticking;
  _Atomic int64_t      base;   /* ticking: to be added to host time; standing: the time itself */
};

/* --- heap ------------------------------------------------------------------------------------- */

static bool
earlier (const VmTimer *a, const VmTimer *b)
{
  return a->expire != b->expire ? a->expire < b->expire : a->serial < b->serial;
}

static void
heap_put (Heap *heap, size_t slot, VmTimer *timer)
{
  heap->timers[slot] = timer;
  timer->slot = slot;
}

static void
heap_sift_up (Heap *heap, size_t slot, VmTimer *timer)
{
  while (slot > 0 && earlier (timer, heap->timers[(slot - 1) / 2]))
    {
      heap_put (heap, slot, heap->timers[(slot - 1) / 2]);
      slot = (slot - 1) / 2;
    }
  heap_put (heap, slot, timer);
}

static void
heap_sift_down (Heap *heap, size_t slot, VmTimer *timer)
{
  for (size_t child; (child = 2 * slot + 1) < heap->n; slot = child)
    {
      if (child + 1 < heap->n && earlier (heap->timers[child + 1], heap->timers[child]))
        child++;
      if (!earlier (heap->timers[child], timer))
        break;
      heap_put (heap, slot, heap->timers[child]);
    }
  heap_put (heap, slot, timer);
}

static void
heap_place (Heap *heap, size_t slot, VmTimer *timer)
{
  if (slot > 0 && earlier (timer, heap->timers[(slot - 1) / 2]))
    heap_sift_up (heap, slot, timer);
  else
    heap_sift_down (heap, slot, timer);
}

static void
heap_add (Heap *heap, VmTimer *timer)
{
  if (heap->n == heap->room)
    {
      heap->room = MAX (16, heap->room * 2);
      heap->timers = g_renew (VmTimer *, heap->timers, heap->room);
    }
  heap_sift_up (heap, heap->n++, timer);
}

static void
heap_remove (Heap *heap, VmTimer *timer)
{
  VmTimer *last = heap->timers[--heap->n];

  if (last != timer)
    heap_place (heap, timer->slot, last);
}

static VmTimer *
heap_first (const Heap *heap)
{
  return heap->n ? heap->timers[0] : NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int64_t
host_time (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);
  return now.tv_sec * VM_NS_PER_SEC + now.tv_nsec;
}

static int64_t
virtual_now (VmClocks *clocks)
{
  for (;;)
    {
      uint32_t before = atomic_load_explicit (&clocks->sequence, memory_order_acquire);
      bool ticking = atomic_load_explicit (&clocks->ticking, memory_order_acquire);
      int64_t now = atomic_load_explicit (&clocks->base, memory_order_acquire);

      if (ticking)
        now += host_time (CLOCK_MONOTONIC);
      if ((before & 1) == 0 &&
          atomic_load_explicit (&clocks->sequence, memory_order_acquire) == before)
        return now;
    }
}

/* From here to virtual_end() readers try again. Host time is read in between only, so that none
 * of them has seen a later one. */
static void
virtual_begin (VmClocks *clocks)
{
  atomic_fetch_add_explicit (&clocks->sequence, 1, memory_order_seq_cst);
}

static void
virtual_end (VmClocks *clocks, bool ticking, int64_t base)
{
  atomic_store_explicit (&clocks->ticking, ticking, memory_order_release);
  atomic_store_explicit (&clocks->base, base, memory_order_release);
  atomic_fetch_add_explicit (&clocks->sequence, 1, memory_order_release);
}

/* For a clock that stands. */
static void
virtual_set (VmClocks *clocks, int64_t now)
{
  virtual_begin (clocks);
  virtual_end (clocks, false, now);
}

int64_t
vm_clock_now (VmClocks *clocks, VmClockType type)
{
  switch (type)
    {
    case VM_CLOCK_REALTIME: return host_time (CLOCK_MONOTONIC);
    case VM_CLOCK_HOST:     return host_time (CLOCK_REALTIME);
    case VM_CLOCK_VIRTUAL:
      if (clocks->is_counted)
        return __atomic_load_n (&clocks->counted.now, __ATOMIC_RELAXED);
      return virtual_now (clocks);
    default:                return virtual_now (clocks);
    }
}

/* --- firing ----------------------------------------------------------------------------------- */

static bool
is_virtual (VmClockType type)
{
  return type == VM_CLOCK_VIRTUAL || type == VM_CLOCK_VIRTUAL_RT;
}

/* Whether its timers fire by themselves now. */
static bool
clock_is_live (const VmClocks *clocks, VmClockType type)
{
  if (clocks->is_counted && type == VM_CLOCK_VIRTUAL)
    return clocks->idle && clocks->running;
  return !is_virtual (type) || clocks->ticking;
}

/* The earliest expiry of the clocks that run by host monotonic time, in that time. */
static int64_t
next_monotonic (VmClocks *clocks)
{
  int64_t next = INT64_MAX;

  for (VmClockType type = 0; type < VM_CLOCK_N; type++)
    {
      const VmTimer *first = heap_first (&clocks->heaps[type]);
      int64_t when, shift = is_virtual (type) ? atomic_load (&clocks->base) : 0;

      if (clocks->is_counted && type == VM_CLOCK_VIRTUAL)
        shift = clocks->counted.now - clocks->idle_since;

      if (!first || type == VM_CLOCK_HOST || !clock_is_live (clocks, type))
        continue;
      if (__builtin_sub_overflow (first->expire, shift, &when))
        when = INT64_MAX;
      next = MIN (next, when);
    }
  return next;
}

/* A wake-up set too early costs one round; setting it later each time a timer moves would cost a
 * system call each. So it is only ever moved forward, until it fires. */
static void
arm (VmClocks *clocks)
{
  if (clocks->firing)
    return;
  int64_t next = next_monotonic (clocks);
  if (next < clocks->armed)
    vm_wakeup_arm (clocks->wakeup, clocks->armed = next);
  const VmTimer *first = heap_first (&clocks->heaps[VM_CLOCK_HOST]);
  if (first && first->expire < clocks->wall_armed)
    vm_wakeup_arm (clocks->wall_wakeup, clocks->wall_armed = first->expire);
}

static void
note_deadline (VmClocks *clocks, const VmTimer *changed)
{
  const VmTimer *first;

  if (changed->type != VM_CLOCK_VIRTUAL)
    return;
  first = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL]);
  __atomic_store_n (&clocks->counted.deadline, first ? first->expire : INT64_MAX, __ATOMIC_RELAXED);
}

static void
fire_timer (VmClocks *clocks, VmTimer *timer)
{
  heap_remove (&clocks->heaps[timer->type], timer);
  note_deadline (clocks, timer);
  timer->expire = -1;
  timer->func (timer->opaque);
}

/* Timers set by callbacks wait for the next round, so that none can keep the loop here. */
static void
fire_expired (VmClocks *clocks, VmClockType type)
{
  int64_t now = vm_clock_now (clocks, type);
  uint64_t limit = clocks->next_serial;
  VmTimer *first;

  while (clock_is_live (clocks, type) && (first = heap_first (&clocks->heaps[type])) &&
         first->expire <= now && first->serial < limit)
    fire_timer (clocks, first);
}

/* An idle guest's next deadline, and no more before it has run in between. */
static void
fire_idle (VmClocks *clocks)
{
  int64_t host = host_time (CLOCK_MONOTONIC);
  const VmTimer *first = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL]);

  if (!clock_is_live (clocks, VM_CLOCK_VIRTUAL) || !first ||
      first->expire - clocks->counted.now > host - clocks->idle_since)
    return;
  vm_clocks_fire_counted (clocks, true);
  clocks->idle = clocks->is_idle (clocks->is_idle_opaque);
}

static void
fire_round (VmClocks *clocks)
{
  clocks->firing = true;
  for (VmClockType type = 0; type < VM_CLOCK_N; type++)
    if (clocks->is_counted && type == VM_CLOCK_VIRTUAL)
      fire_idle (clocks);
    else
      fire_expired (clocks, type);
  clocks->firing = false;
  arm (clocks);
}

static void
wakeup_fired (void *opaque)
{
  VmClocks *clocks = opaque;

  clocks->armed = INT64_MAX;
  fire_round (clocks);
}

static void
wall_wakeup_fired (void *opaque)
{
  VmClocks *clocks = opaque;

  clocks->wall_armed = INT64_MAX;
  fire_round (clocks);
}

/* --- life ------------------------------------------------------------------------------------- */

VmClocks *
vm_clocks_new (VmLoop *loop)
{
  VmClocks *clocks = g_new0 (VmClocks, 1);

  clocks->loop = loop;
  clocks->armed = clocks->wall_armed = INT64_MAX;
  clocks->wakeup = vm_wakeup_new (loop, wakeup_fired, clocks);
  clocks->wall_wakeup = vm_wakeup_new_wall (loop, wall_wakeup_fired, clocks);
  return clocks;
}

void
vm_clocks_free (VmClocks *clocks)
{
  if (!clocks)
    return;
  vm_wakeup_free (clocks->wakeup);
  vm_wakeup_free (clocks->wall_wakeup);
  for (VmClockType type = 0; type < VM_CLOCK_N; type++)
    {
      Heap *heap = &clocks->heaps[type];

      /* Cancelling one later must not reach for us. */
      for (size_t i = 0; i < heap->n; i++)
        heap->timers[i]->expire = -1;
      g_free (heap->timers);
    }
  g_free (clocks);
}

/* Virtual time goes on from where it is, ticking or not as the two switches say. */
static void
virtual_switch (VmClocks *clocks)
{
  bool ticking = clocks->running && !clocks->manual;

  if (ticking != clocks->ticking)
    {
      virtual_begin (clocks);
      int64_t host = host_time (CLOCK_MONOTONIC);
      virtual_end (clocks, ticking, ticking ? clocks->base - host : clocks->base + host);
    }
  arm (clocks);
}

void
vm_clocks_set_running (VmClocks *clocks, bool running)
{
  clocks->running = running;
  virtual_switch (clocks);
}

void
vm_clocks_set_manual (VmClocks *clocks, bool manual)
{
  clocks->manual = manual;
  virtual_switch (clocks);
}

VmCountedClock *
vm_clocks_set_counted (VmClocks *clocks, bool (*is_idle) (void *opaque), void *opaque)
{
  const VmTimer *first = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL]);

  clocks->counted = (VmCountedClock) { .now = virtual_now (clocks), .deadline = first ? first->expire : INT64_MAX };
  clocks->is_idle = is_idle;
  clocks->is_idle_opaque = opaque;
  clocks->is_counted = true;
  return &clocks->counted;
}

void
vm_clocks_fire_counted (VmClocks *clocks, bool skip)
{
  VmCountedClock *c = &clocks->counted;
  uint64_t limit = clocks->next_serial;
  VmTimer *first = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL]);

  if (skip && first && first->expire > c->now)
    {
      clocks->idle_since += first->expire - c->now;
      __atomic_store_n (&c->now, first->expire, __ATOMIC_RELAXED);
    }
  /* Those set meanwhile wait for the next instruction, so that none can keep us here. */
  while ((first = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL])) && first->expire <= c->now && first->serial < limit)
    fire_timer (clocks, first);
}

void
vm_clocks_counted_idle (VmClocks *clocks)
{
  bool idle = clocks->is_idle (clocks->is_idle_opaque);

  if (idle && !clocks->idle)
    clocks->idle_since = host_time (CLOCK_MONOTONIC);
  clocks->idle = idle;
  arm (clocks);
}

/* Of both virtual clocks. */
static VmTimer *
first_virtual (VmClocks *clocks)
{
  VmTimer *a = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL]);
  VmTimer *b = heap_first (&clocks->heaps[VM_CLOCK_VIRTUAL_RT]);

  return !a || (b && earlier (b, a)) ? b : a;
}

int64_t
vm_clocks_advance_to (VmClocks *clocks, int64_t virtual_ns)
{
  unsigned firings = 0;
  VmTimer *first;

  g_return_val_if_fail (!clocks->ticking, virtual_now (clocks));
  while ((first = first_virtual (clocks)) && first->expire <= virtual_ns &&
         firings < MAX_FIRINGS_PER_INSTANT)
    {
      if (first->expire > virtual_now (clocks))
        {
          virtual_set (clocks, first->expire);
          firings = 0;
        }
      firings++;
      fire_timer (clocks, first);
    }
  if (virtual_ns > virtual_now (clocks))
    virtual_set (clocks, virtual_ns);
  return virtual_now (clocks);
}

void
vm_clocks_set_virtual (VmClocks *clocks, int64_t virtual_ns)
{
  if (clocks->is_counted)
    __atomic_store_n (&clocks->counted.now, virtual_ns, __ATOMIC_RELAXED);
  virtual_begin (clocks);
  virtual_end (clocks, clocks->ticking,
               clocks->ticking ? virtual_ns - host_time (CLOCK_MONOTONIC) : virtual_ns);
  arm (clocks);
}

int64_t
vm_clocks_next_deadline (VmClocks *clocks, VmClockType type)
{
  const VmTimer *first = heap_first (&clocks->heaps[type]);

  return first ? first->expire : -1;
}

/* --- timers ----------------------------------------------------------------------------------- */

void
vm_timer_init (VmTimer *timer, VmClocks *clocks, VmClockType type, VmTimerFunc func, void *opaque)
{
  *timer = (VmTimer) { .clocks = clocks, .func = func, .opaque = opaque, .expire = -1, .type = type };
}

void
vm_timer_set (VmTimer *timer, int64_t expire_ns)
{
  VmClocks *clocks = timer->clocks;
  Heap *heap = &clocks->heaps[timer->type];
  bool pending = vm_timer_pending (timer);

  timer->expire = MAX (expire_ns, 0);
  timer->serial = clocks->next_serial++;
  if (pending)
    heap_place (heap, timer->slot, timer);
  else
    heap_add (heap, timer);
  note_deadline (clocks, timer);
  if (timer->slot == 0)
    arm (clocks);
}

void
vm_timer_cancel (VmTimer *timer)
{
  /* One that was never initialised is all zeroes. */
  if (!timer->clocks || !vm_timer_pending (timer))
    return;
  heap_remove (&timer->clocks->heaps[timer->type], timer);
  note_deadline (timer->clocks, timer);
  timer->expire = -1;
}
