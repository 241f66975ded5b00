/* SPDX-License-Identifier: GPL-3.0-or-later */
/* High precision event timer (IA-PC HPET specification 1.0a): 64-bit counter at 100 MHz, up to 32 comparators. */
#include "devices/timer/hpet.h"

#define HPET_PERIOD_FS 10000000u /* 10 ns */
#define HPET_TICK_NS   10
/* Bounds what a guest can ask of the host, and how far ahead a timer needs to be set. */
#define HPET_MIN_NS    (10 * VM_NS_PER_US)
#define HPET_MAX_TICKS (UINT64_C (1) << 40)
/* How long a comparator sleeps whose matches nobody sees; what it missed must be told from what is to come in 32 bits. */
#define HPET_SLEEP     (UINT64_C (1) << 30)

enum { REG_CAPABILITY = 0x000, REG_CONFIG = 0x010, REG_STATUS = 0x020, REG_COUNTER = 0x0f0, REG_TIMERS = 0x100 };
enum { TN_CONFIG = 0x00, TN_COMPARATOR = 0x08, TN_FSB = 0x10, TN_STRIDE = 0x20 };
enum { CONFIG_ENABLE = 1 << 0, CONFIG_LEGACY = 1 << 1 };
enum {
  TN_LEVEL = 1 << 1, TN_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_PERIODIC_CAP = 1 << 4,
  TN_SIZE_CAP = 1 << 5, TN_VAL_SET = 1 << 6, TN_32MODE = 1 << 8, TN_FSB_ENABLE = 1 << 14,
  TN_FSB_CAP = 1 << 15, TN_WRITABLE = 0x7f4e,
};

/* --- counter -------------------------------------------------------------------------------------- */

static int64_t
hpet_now (const VmHpet *self)
{
  return vm_clock_now (self->parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static uint64_t
hpet_counter (const VmHpet *self)
{
  if (!(self->config & CONFIG_ENABLE))
    return self->counter;
  return (uint64_t) hpet_now (self) / HPET_TICK_NS + self->offset;
}

/* --- interrupts ------------------------------------------------------------------------------------ */

static unsigned
hpet_route (const VmHpetTimer *t)
{
  if ((t->hpet->config & CONFIG_LEGACY) && t->n < 2)
    return t->n == 0 ? 0 : 8;
  return t->config >> 9 & 31;
}

static void
hpet_set_irq (VmHpetTimer *t, bool level)
{
  VmHpet *self = t->hpet;
  VmIrq *irq = &self->irq[hpet_route (t)];
  uint64_t bit = UINT64_C (1) << t->n;

  if (!level)
    {
      self->status &= ~bit;
      if (t->config & TN_LEVEL)
        vm_irq_lower (irq);
      return;
    }
  if (t->config & TN_LEVEL)
    self->status |= bit;
  if (!(t->config & TN_ENABLE) || !(self->config & CONFIG_ENABLE))
    return;
  if (t->config & TN_FSB_ENABLE)
    vm_as_store (self->parent.env->memory_as, t->fsb >> 32, (uint32_t) t->fsb, 4, (VmMemAttrs) { .dma = true });
  else if (t->config & TN_LEVEL)
    vm_irq_raise (irq);
  else
    vm_irq_pulse (irq);
}

/* --- comparators -------------------------------------------------------------------------------------- */

static bool
hpet_is_32 (const VmHpetTimer *t)
{
  return (t->config & TN_32MODE) != 0;
}

/* Ticks from NOW until the comparator matches. */
static uint64_t
hpet_distance (const VmHpetTimer *t, uint64_t now)
{
  if (hpet_is_32 (t))
    {
      uint32_t d = (uint32_t) t->comparator - (uint32_t) now;

      return d ? d : UINT64_C (1) << 32;
    }
  return t->comparator - now ? t->comparator - now : UINT64_MAX;
}

/* To the next match after now, in phase. */
static void
hpet_advance (VmHpetTimer *t)
{
  uint64_t now = hpet_counter (t->hpet), behind;

  behind = hpet_is_32 (t) ? (uint32_t) now - (uint32_t) t->comparator : now - t->comparator;
  t->comparator += (behind / t->period + 1) * t->period;
  if (hpet_is_32 (t))
    t->comparator = (uint32_t) t->comparator;
}

/* Matches do nothing but move the comparator: so Linux leaves the one it booted with. */
static bool
hpet_is_silent (const VmHpetTimer *t)
{
  return (t->config & (TN_ENABLE | TN_LEVEL | TN_PERIODIC)) == TN_PERIODIC && t->period != 0 && t->period <= HPET_SLEEP;
}

static void
hpet_arm (VmHpetTimer *t)
{
  VmHpet *self = t->hpet;
  uint64_t distance;

  if (!(self->config & CONFIG_ENABLE))
    {
      vm_timer_cancel (&t->timer);
      return;
    }
  distance = hpet_distance (t, hpet_counter (self));
  if (hpet_is_silent (t) && distance <= HPET_SLEEP)
    distance += HPET_SLEEP / t->period * t->period;
  if (distance > HPET_MAX_TICKS)
    vm_timer_cancel (&t->timer); /* hours away: a comparator in the past, waiting for the counter to wrap */
  else
    vm_timer_set (&t->timer, hpet_now (self) + MAX ((int64_t) distance * HPET_TICK_NS, HPET_MIN_NS));
}

static void
hpet_fire (void *opaque)
{
  VmHpetTimer *t = opaque;

  if ((t->config & TN_PERIODIC) && t->period != 0)
    hpet_advance (t);
  hpet_set_irq (t, true);
  hpet_arm (t);
}

/* Before the guest sees or changes what sleeps. That it missed a match shows in that its timer is set for before the next
 * one, which is a turn of the counter away. */
static void
hpet_catch_up (VmHpetTimer *t)
{
  uint64_t distance = hpet_distance (t, hpet_counter (t->hpet));

  if (!hpet_is_silent (t) || !vm_timer_pending (&t->timer) ||
      (t->timer.expire - hpet_now (t->hpet)) / HPET_TICK_NS >= (int64_t) (distance / 2))
    return;
  hpet_advance (t);
  hpet_arm (t);
}

static void
hpet_arm_all (VmHpet *self)
{
  for (unsigned n = 0; n < self->timers; n++)
    hpet_arm (&self->timer[n]);
}

/* --- registers ---------------------------------------------------------------------------------------------- */

static uint64_t
hpet_capability (const VmHpet *self)
{
  return (uint64_t) HPET_PERIOD_FS << 32 | UINT64_C (0x8086a001) | (uint64_t) (self->timers - 1u) << 8;
}

static uint64_t
hpet_register (VmHpet *self, unsigned reg)
{
  VmHpetTimer *t;

  switch (reg)
    {
    case REG_CAPABILITY:
      return hpet_capability (self);
    case REG_CONFIG:
      return self->config;
    case REG_STATUS:
      return self->status;
    case REG_COUNTER:
      return hpet_counter (self);
    default:
      if (reg < REG_TIMERS || (reg - REG_TIMERS) / TN_STRIDE >= self->timers)
        return 0;
      t = &self->timer[(reg - REG_TIMERS) / TN_STRIDE];
      hpet_catch_up (t);
      switch (reg % TN_STRIDE)
        {
        case TN_CONFIG:
          return t->config;
        case TN_COMPARATOR:
          return hpet_is_32 (t) ? (uint32_t) t->comparator : t->comparator;
        case TN_FSB:
          return t->fsb;
        default:
          return 0;
        }
    }
}

static void
hpet_write_config (VmHpet *self, uint64_t value)
{
  uint64_t old = self->config;

  value &= CONFIG_ENABLE | CONFIG_LEGACY;
  for (unsigned n = 0; n < self->timers; n++)
    hpet_catch_up (&self->timer[n]);
  if (!(old & CONFIG_ENABLE) && (value & CONFIG_ENABLE))
    self->offset = self->counter - (uint64_t) hpet_now (self) / HPET_TICK_NS;
  else if ((old & CONFIG_ENABLE) && !(value & CONFIG_ENABLE))
    self->counter = hpet_counter (self);
  self->config = value;
  if ((old ^ value) & CONFIG_LEGACY)
    {
      vm_irq_set (&self->pit_disable, (value & CONFIG_LEGACY) != 0);
      vm_irq_set (&self->rtc_disable, (value & CONFIG_LEGACY) != 0);
    }
  hpet_arm_all (self);
  if ((old & ~value) & CONFIG_ENABLE)
    for (unsigned n = 0; n < self->timers; n++)
      if (self->timer[n].config & TN_LEVEL)
        vm_irq_lower (&self->irq[hpet_route (&self->timer[n])]);
}

static void
hpet_write_timer_config (VmHpetTimer *t, uint64_t value)
{
  uint64_t writable = TN_WRITABLE;

  if (!t->hpet->msi)
    writable &= ~(uint64_t) TN_FSB_ENABLE;
  if ((t->config & TN_LEVEL) && !(value & TN_LEVEL))
    hpet_set_irq (t, false);
  t->config = (t->config & ~writable) | (value & writable);
  if (hpet_is_32 (t))
    {
      t->comparator = (uint32_t) t->comparator;
      t->period = (uint32_t) t->period;
    }
  if ((t->config & TN_ENABLE) && (t->config & TN_LEVEL) && (t->hpet->status >> t->n & 1))
    hpet_set_irq (t, true);
  hpet_arm (t);
}

/* In periodic mode a plain write sets the period; after VAL_SET it sets the next match too. */
static void
hpet_write_comparator (VmHpetTimer *t, uint64_t value, uint64_t mask)
{
  uint64_t merged;

  if (hpet_is_32 (t))
    {
      mask &= UINT32_MAX;
      if (mask == 0)
        return;
    }
  merged = (t->comparator & ~mask) | (value & mask);
  if (hpet_is_32 (t))
    merged = (uint32_t) merged;
  if (t->config & TN_PERIODIC)
    t->period = (t->period & ~mask) | (value & mask);
  if (!(t->config & TN_PERIODIC) || (t->config & TN_VAL_SET))
    t->comparator = merged;
  if (mask & (hpet_is_32 (t) || mask == UINT64_MAX ? UINT64_MAX : UINT64_C (0xffffffff00000000)))
    t->config &= ~(uint64_t) TN_VAL_SET;
  hpet_arm (t);
}

static void
hpet_write_register (VmHpet *self, unsigned reg, uint64_t value, uint64_t mask)
{
  uint64_t merged = (hpet_register (self, reg) & ~mask) | (value & mask);
  VmHpetTimer *t;

  switch (reg)
    {
    case REG_CONFIG:
      hpet_write_config (self, merged);
      return;
    case REG_STATUS:
      for (unsigned n = 0; n < self->timers; n++)
        if ((value & mask & self->status) >> n & 1)
          hpet_set_irq (&self->timer[n], false);
      return;
    case REG_COUNTER: /* only while halted */
      if (!(self->config & CONFIG_ENABLE))
        self->counter = merged;
      return;
    default:
      if (reg < REG_TIMERS || (reg - REG_TIMERS) / TN_STRIDE >= self->timers)
        return;
    }
  t = &self->timer[(reg - REG_TIMERS) / TN_STRIDE];
  switch (reg % TN_STRIDE)
    {
    case TN_CONFIG:
      hpet_write_timer_config (t, merged);
      break;
    case TN_COMPARATOR:
      hpet_write_comparator (t, value, mask);
      break;
    case TN_FSB:
      t->fsb = merged;
      break;
    default:
      break;
    }
}

static uint64_t
hpet_read (void *opaque, uint64_t offset, unsigned size)
{
  return hpet_register (opaque, (unsigned) offset & ~7u) >> (offset & 7) * 8;
}

static void
hpet_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  unsigned shift = ((unsigned) offset & 7) * 8;
  uint64_t mask = size >= 8 ? UINT64_MAX : ((UINT64_C (1) << size * 8) - 1) << shift;

  hpet_write_register (opaque, (unsigned) offset & ~7u, value << shift, mask);
}

static const VmRegionOps hpet_ops = {
  .read = hpet_read, .write = hpet_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 1, .max = 8 },
};

/* --- life -------------------------------------------------------------------------------------------------------- */

static void
hpet_reset (VmDevice *dev, VmResetKind kind)
{
  VmHpet *self = (VmHpet *) dev;

  for (unsigned n = 0; n < self->timers; n++)
    {
      VmHpetTimer *t = &self->timer[n];

      hpet_set_irq (t, false);
      vm_timer_cancel (&t->timer);
      t->comparator = UINT64_MAX;
      t->config = (uint64_t) self->intcap << 32 | TN_PERIODIC_CAP | TN_SIZE_CAP | (self->msi ? TN_FSB_CAP : 0);
      t->period = t->fsb = 0;
    }
  self->config = self->status = self->counter = 0;
  self->offset = 0;
  vm_irq_lower (&self->pit_disable);
  vm_irq_lower (&self->rtc_disable);
}

static bool
hpet_realize (VmDevice *dev, GError **error)
{
  VmHpet *self = (VmHpet *) dev;

  if (self->intcap == 0)
    return vm_fail (error, "Hpet's intcap not initialized");
  self->timers = CLAMP (self->timers, 3, VM_HPET_MAX_TIMERS);
  for (unsigned n = 0; n < self->timers; n++)
    {
      self->timer[n].hpet = self;
      self->timer[n].n = n;
      vm_timer_init (&self->timer[n].timer, dev->env->clocks, VM_CLOCK_VIRTUAL, hpet_fire, &self->timer[n]);
    }
  vm_region_init_io (&self->region, dev->env->memory, &hpet_ops, self, "hpet", VM_HPET_SIZE);
  return true;
}

static void
hpet_unrealize (VmDevice *dev)
{
  VmHpet *self = (VmHpet *) dev;

  for (unsigned n = 0; n < self->timers; n++)
    vm_timer_cancel (&self->timer[n].timer);
  vm_region_destroy (&self->region);
}

static const VmProp hpet_props[] = {
  VM_PROP ("timers", VmHpet, timers, 3, "comparators, 3 to 32"),
  VM_PROP ("msi", VmHpet, msi, false, "interrupts by message"),
  VM_PROP ("hpet-intcap", VmHpet, intcap, 0, "I/O APIC inputs the timers can use, a bit each"),
  VM_PROP ("hpet-offset-saved", VmHpet, hpet_offset_saved, true, "on/off"),
  { 0 }
};

static const VmField hpet_timer_state[] = {
  VM_FIELD (VmHpetTimer, config), VM_FIELD (VmHpetTimer, comparator), VM_FIELD (VmHpetTimer, period),
  VM_FIELD (VmHpetTimer, fsb), VM_FIELD_TIMER_OF (VmHpetTimer, timer),
  { 0 }
};

static const VmField hpet_state[] = {
  VM_FIELD (VmHpet, config), VM_FIELD (VmHpet, status), VM_FIELD (VmHpet, counter), VM_FIELD (VmHpet, offset),
  VM_FIELD_EMBED_ARRAY (VmHpet, timer, hpet_timer_state),
  { 0 }
};

static const VmDeviceClass hpet_class = {
  .realize = hpet_realize, .unrealize = hpet_unrealize, .reset = hpet_reset, .category = "Misc",
};

const VmType vm_hpet_type = {
  .name = "hpet", .parent = &vm_device_type, .size = sizeof (VmHpet),
  .help = "High precision event timer", .props = hpet_props, .state = hpet_state, .klass = &hpet_class,
};
