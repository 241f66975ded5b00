/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The timer of the local APIC (Intel SDM volume 3, "APIC Timer"): one-shot, periodic, TSC deadline. Its input
 * clock is 1 GHz. */
#include "devices/intc/lapic-private.h"

/* Nobody can serve periodic interrupts closer than this; it also bounds what a guest can ask of the host. */
#define LAPIC_MIN_PERIOD_NS (20 * VM_NS_PER_US)

/* As count_start: a one-shot count that had ended when the mode became periodic. It stays at 0 until the initial
 * count is written. */
#define COUNT_ENDED INT64_MIN

static int64_t
lapic_now (const VmLapic *self)
{
  return vm_clock_now (self->parent.env->clocks, VM_CLOCK_VIRTUAL);
}

unsigned
lapic_timer_shift (const VmLapic *self)
{
  unsigned value = (self->divide & 3) | (self->divide >> 1 & 4);

  return (value + 1) & 7; /* 0b111 divides by one */
}

static uint32_t
lapic_timer_mode (const VmLapic *self)
{
  return self->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static uint64_t
lapic_timer_period (const VmLapic *self)
{
  return (uint64_t) self->initial_count << lapic_timer_shift (self);
}

uint32_t
lapic_timer_count (VmLapic *self)
{
  uint64_t elapsed;

  if (self->initial_count == 0 || self->count_start == COUNT_ENDED || lapic_timer_mode (self) >= LVT_TIMER_DEADLINE)
    return 0;
  elapsed = (uint64_t) MAX (lapic_now (self) - self->count_start, 0) >> lapic_timer_shift (self);
  if (lapic_timer_mode (self) == LVT_TIMER_PERIODIC)
    return self->initial_count - (uint32_t) (elapsed % self->initial_count);
  return elapsed >= self->initial_count ? 0 : self->initial_count - (uint32_t) elapsed;
}

/* The next end of the count after NOW; a masked timer still counts but need not wake us. */
static void
lapic_timer_arm (VmLapic *self, int64_t now)
{
  uint64_t period = lapic_timer_period (self);
  int64_t next;

  if (period == 0 || self->count_start == COUNT_ENDED || (self->lvt[LVT_TIMER] & LVT_MASKED) || lapic_timer_mode (self) >= LVT_TIMER_DEADLINE)
    {
      vm_timer_cancel (&self->timer);
      return;
    }
  if (lapic_timer_mode (self) == LVT_TIMER_PERIODIC)
    {
      uint64_t gone = (uint64_t) MAX (now - self->count_start, 0) / period;

      next = self->count_start + (int64_t) ((gone + 1) * period);
      next = MAX (next, now + LAPIC_MIN_PERIOD_NS);
    }
  else
    next = self->count_start + (int64_t) period;
  if (lapic_timer_mode (self) == LVT_TIMER_PERIODIC || next > now)
    vm_timer_set (&self->timer, next);
  else
    vm_timer_cancel (&self->timer);
}

void
lapic_timer_restart (VmLapic *self)
{
  if (lapic_timer_mode (self) >= LVT_TIMER_DEADLINE)
    return;
  self->count_start = lapic_now (self);
  lapic_timer_arm (self, self->count_start);
}

/* The count goes on from where it is, at the new pace. */
void
lapic_timer_set_divide (VmLapic *self, uint32_t divide)
{
  uint64_t gone = self->initial_count - lapic_timer_count (self);

  self->divide = divide;
  if (lapic_timer_mode (self) >= LVT_TIMER_DEADLINE)
    return;
  if (self->count_start != COUNT_ENDED)
    self->count_start = lapic_now (self) - (int64_t) (gone << lapic_timer_shift (self));
  lapic_timer_arm (self, lapic_now (self));
}

/* One-shot and periodic change into each other without touching the count. */
static void
lapic_timer_keep_count (VmLapic *self, bool was_periodic)
{
  uint64_t period = lapic_timer_period (self), elapsed;

  if (period == 0 || self->count_start == COUNT_ENDED)
    return;
  elapsed = (uint64_t) MAX (lapic_now (self) - self->count_start, 0);
  if (was_periodic)
    self->count_start += (int64_t) (elapsed / period * period);
  else if (elapsed >= period)
    self->count_start = COUNT_ENDED;
}

void
lapic_timer_mode_changed (VmLapic *self, uint32_t old_lvt)
{
  bool was = (old_lvt & LVT_TIMER_MODE) == LVT_TIMER_DEADLINE;
  bool is = lapic_timer_mode (self) == LVT_TIMER_DEADLINE;

  if (was != is)
    {
      /* Going in or out disarms the timer. */
      self->initial_count = 0;
      self->cpu->env.tsc_deadline = 0;
      vm_timer_cancel (&self->timer);
    }
  else if (!is)
    {
      if ((old_lvt & LVT_TIMER_MODE) != lapic_timer_mode (self))
        lapic_timer_keep_count (self, (old_lvt & LVT_TIMER_MODE) == LVT_TIMER_PERIODIC);
      lapic_timer_arm (self, lapic_now (self));
    }
}

void
lapic_timer_set_deadline (VmLapic *self, uint64_t tsc)
{
  if (lapic_timer_mode (self) != LVT_TIMER_DEADLINE)
    return; /* the MSR does nothing outside its mode */
  self->cpu->env.tsc_deadline = tsc;
  if (tsc == 0 || vm_x86_read_tsc (self->cpu) >= tsc)
    {
      vm_timer_cancel (&self->timer);
      self->cpu->env.tsc_deadline = 0;
      if (tsc != 0)
        lapic_local (self, LVT_TIMER); /* past already: at once */
      return;
    }
  vm_timer_set (&self->timer, MAX (vm_x86_tsc_to_ns (self->cpu, tsc), lapic_now (self)));
}

static void
lapic_timer_fire (void *opaque)
{
  VmLapic *self = opaque;

  if (lapic_timer_mode (self) == LVT_TIMER_DEADLINE)
    {
      uint64_t deadline = self->cpu->env.tsc_deadline;

      /* The clocks may differ by rounding: never early. */
      if (deadline != 0 && vm_x86_read_tsc (self->cpu) < deadline)
        {
          lapic_timer_set_deadline (self, deadline);
          return;
        }
      self->cpu->env.tsc_deadline = 0;
    }
  lapic_local (self, LVT_TIMER);
  if (lapic_timer_mode (self) == LVT_TIMER_PERIODIC)
    lapic_timer_arm (self, lapic_now (self));
}

void
lapic_timer_init (VmLapic *self)
{
  vm_timer_init (&self->timer, self->parent.env->clocks, VM_CLOCK_VIRTUAL, lapic_timer_fire, self);
}
