/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clocks and timers. All time below app/ comes from here, in nanoseconds.
 *   realtime    host monotonic time; runs while the machine is stopped
 *   virtual     guest time: stands still while the machine is stopped
 *   host        host wall clock, in ns since 1970
 *   virtual-rt  like virtual, but never driven by an instruction count */
#pragma once

#include "engine/io/loop.h"

typedef enum VmClockType {
  VM_CLOCK_REALTIME,
  VM_CLOCK_VIRTUAL,
  VM_CLOCK_HOST,
  VM_CLOCK_VIRTUAL_RT,
  VM_CLOCK_N,
} VmClockType;

#define VM_NS_PER_SEC INT64_C (1000000000)
#define VM_NS_PER_MS  INT64_C (1000000)
#define VM_NS_PER_US  INT64_C (1000)

typedef struct VmClocks VmClocks;
typedef void (*VmTimerFunc) (void *opaque);

/* -icount. */
typedef struct VmIcountOptions {
  bool     enabled;
  bool     automatic; /* the shift follows the host's speed */
  bool     align;     /* hold the guest back to host time */
  bool     sleep;     /* idle time takes as long as it would; else it is skipped */
  unsigned shift;     /* an instruction takes 2^shift ns */
} VmIcountOptions;

/* A virtual clock that counts instructions: whoever runs the guest moves NOW forward, and calls
 * vm_clocks_fire_counted() when it has reached DEADLINE. */
typedef struct VmCountedClock {
  int64_t now, deadline; /* atomic; deadline INT64_MAX: none */
} VmCountedClock;

typedef struct VmTimer {
  VmClocks   *clocks;
  VmTimerFunc func;
  void       *opaque;
  int64_t     expire; /* ns on its clock, -1 when not pending */
  size_t      slot;   /* place in the clock's heap */
  uint64_t    serial; /* of those that expire together, the one set first fires first */
  VmClockType type;
} VmTimer;

/* Timers fire on LOOP, under its lock. A new set of clocks is stopped (virtual stands at 0). */
VmClocks *vm_clocks_new (VmLoop *loop);
void      vm_clocks_free (VmClocks *clocks);
int64_t   vm_clock_now (VmClocks *clocks, VmClockType type);       /* any thread, lock-free */
void      vm_clocks_set_running (VmClocks *clocks, bool running);  /* virtual clocks run or stand */
/* Tests and -accel qtest: virtual time advances only by these, firing timers on the way. */
void      vm_clocks_set_manual (VmClocks *clocks, bool manual);
int64_t   vm_clocks_advance_to (VmClocks *clocks, int64_t virtual_ns);
/* Loading a saved machine: virtual time is this now, forward or back; nothing fires on the way. */
void      vm_clocks_set_virtual (VmClocks *clocks, int64_t virtual_ns);
/* From now on the virtual clock is driven by a count; virtual-rt is not. While nothing runs, as IS_IDLE says (asked
 * with the machine lock held), it goes from deadline to deadline, at the pace of host time. */
VmCountedClock *vm_clocks_set_counted (VmClocks *clocks, bool (*is_idle) (void *opaque), void *opaque);
/* With the machine lock held: fires what is due by NOW; SKIP: by the next deadline, which it then is. */
void      vm_clocks_fire_counted (VmClocks *clocks, bool skip);
/* With the machine lock held: whether the guest is idle may have changed. */
void      vm_clocks_counted_idle (VmClocks *clocks);
int64_t   vm_clocks_next_deadline (VmClocks *clocks, VmClockType type); /* -1: none */

/* The machine lock must be held for these (device code always has it). */
void vm_timer_init (VmTimer *timer, VmClocks *clocks, VmClockType type, VmTimerFunc func, void *opaque);
void vm_timer_set (VmTimer *timer, int64_t expire_ns);
void vm_timer_cancel (VmTimer *timer); /* also undoes init: nothing else to free */
static inline bool
vm_timer_pending (const VmTimer *timer)
{
  return timer->expire >= 0;
}

/* a * b / c without overflow in between. */
static inline uint64_t
vm_muldiv64 (uint64_t a, uint64_t b, uint64_t c)
{
  return (uint64_t) ((unsigned __int128) a * b / c);
}
