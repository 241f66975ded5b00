/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Motorola MC146818A real-time clock as in the PIIX3 (290550, section 2.5.5): time of day, alarm, periodic
 * interrupt, 114 bytes of CMOS RAM and the century byte that PCs agree on.
 *
 * The time of day is a clock with an offset; flags are made up when somebody looks, and timers run only while an
 * interrupt is wanted. */
#include "devices/timer/mc146818.h"

#include <time.h>

#include "engine/machine/machine.h"

enum {
  RTC_SECONDS, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS, RTC_HOURS_ALARM,
  RTC_DAY_OF_WEEK, RTC_DAY_OF_MONTH, RTC_MONTH, RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D,
  RTC_CENTURY = 0x32, RTC_CENTURY_PS2 = 0x37,
};
enum { A_RATE = 0x0f, A_DIVIDER = 0x70, A_DIVIDER_32K = 0x20, A_DIVIDER_RESET = 0x60, A_UIP = 0x80 };
enum {
  B_DST = 1 << 0, B_24H = 1 << 1, B_BINARY = 1 << 2, B_SQUARE = 1 << 3, B_UIE = 1 << 4, B_AIE = 1 << 5,
  B_PIE = 1 << 6, B_SET = 1 << 7,
};
enum { C_UF = 1 << 4, C_AF = 1 << 5, C_PF = 1 << 6, C_IRQF = 1 << 7 };
enum { D_VALID = 1 << 7 };

#define RTC_HZ          32768
#define RTC_UPDATE_NS   (244 * VM_NS_PER_US) /* update-in-progress rises so long before the update */
#define RTC_MAX_LOST    20
#define RTC_MIN_PERIOD_NS (100 * VM_NS_PER_US)
#define SECONDS_PER_DAY 86400
#define RTC_FAR         (INT64_C (1) << 40) /* seconds; no date of the registers is further off */

/* --- time --------------------------------------------------------------------------------------------- */

static int64_t
rtc_clock (const VmMc146818 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, self->clock);
}

static int64_t
floor_div (int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

int64_t
vm_mc146818_time (VmMc146818 *self)
{
  if (self->frozen)
    return self->frozen_seconds;
  return self->offset_seconds + floor_div (rtc_clock (self) + self->offset_ns, VM_NS_PER_SEC);
}

/* Nanoseconds into the present second. */
static int64_t
rtc_fraction (const VmMc146818 *self)
{
  int64_t ns = self->frozen ? self->frozen_ns : rtc_clock (self) + self->offset_ns;

  return ns - floor_div (ns, VM_NS_PER_SEC) * VM_NS_PER_SEC;
}

/* Puts the running clock to SECONDS and NS. */
static void
rtc_set_time (VmMc146818 *self, int64_t seconds, int64_t ns)
{
  int64_t clock = rtc_clock (self);

  self->offset_ns = ns - (clock - floor_div (clock, VM_NS_PER_SEC) * VM_NS_PER_SEC);
  self->offset_seconds = seconds - floor_div (clock + self->offset_ns, VM_NS_PER_SEC);
}

/* Days since 1970 of a date in the Gregorian calendar; any day number works. */
static int64_t
days_of_date (int64_t year, int month, int day)
{
  int64_t era, of_era;

  year -= month <= 2;
  era = floor_div (year, 400);
  of_era = year - era * 400;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5
         + day - 1 - 719468;
}

static void
date_of_days (int64_t days, int64_t *year, int *month, int *day)
{
  int64_t era = floor_div (days + 719468, 146097), doe = days + 719468 - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;

  *day = (int) (doy - (153 * m + 2) / 5 + 1);
  *month = (int) (m < 10 ? m + 3 : m - 9);
  *year = yoe + era * 400 + (*month <= 2);
}

static uint8_t
rtc_encode (const VmMc146818 *self, unsigned value)
{
  return (uint8_t) (self->cmos[RTC_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static int
rtc_decode (const VmMc146818 *self, uint8_t value)
{
  return self->cmos[RTC_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static int
rtc_decode_hour (const VmMc146818 *self, uint8_t value)
{
  int hour;

  if (self->cmos[RTC_B] & B_24H)
    return rtc_decode (self, value);
  hour = rtc_decode (self, value & 0x7f) % 12;
  return value & 0x80 ? hour + 12 : hour;
}

static uint8_t
rtc_encode_hour (const VmMc146818 *self, unsigned hour)
{
  if (self->cmos[RTC_B] & B_24H)
    return rtc_encode (self, hour);
  return (uint8_t) (rtc_encode (self, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0));
}

/* The registers of time and date from the time of day. */
static void
rtc_store_time (VmMc146818 *self)
{
  int64_t now = vm_mc146818_time (self), days = floor_div (now, SECONDS_PER_DAY), year;
  unsigned second = (unsigned) (now - days * SECONDS_PER_DAY);
  int month, day;

  date_of_days (days, &year, &month, &day);
  self->cmos[RTC_SECONDS] = rtc_encode (self, second % 60);
  self->cmos[RTC_MINUTES] = rtc_encode (self, second / 60 % 60);
  self->cmos[RTC_HOURS] = rtc_encode_hour (self, second / 3600);
  self->cmos[RTC_DAY_OF_WEEK] = rtc_encode (self, (unsigned) ((days % 7 + 11) % 7 + 1));
  self->cmos[RTC_DAY_OF_MONTH] = rtc_encode (self, (unsigned) day);
  self->cmos[RTC_MONTH] = rtc_encode (self, (unsigned) month);
  year = MAX (year - self->base_year, 0);
  self->cmos[RTC_YEAR] = rtc_encode (self, (unsigned) (year % 100));
  self->cmos[RTC_CENTURY] = rtc_encode (self, (unsigned) (year / 100 % 100));
  self->cmos[RTC_CENTURY_PS2] = self->cmos[RTC_CENTURY];
}

/* Seconds since 1970 the registers say; out-of-range digits carry over. */
static int64_t
rtc_registers_time (const VmMc146818 *self)
{
  int64_t year = self->base_year + rtc_decode (self, self->cmos[RTC_YEAR])
                 + 100 * rtc_decode (self, self->cmos[RTC_CENTURY]);
  int month = CLAMP (rtc_decode (self, self->cmos[RTC_MONTH]), 1, 12);
  int64_t days = days_of_date (year, month, rtc_decode (self, self->cmos[RTC_DAY_OF_MONTH]));

  return days * SECONDS_PER_DAY + rtc_decode_hour (self, self->cmos[RTC_HOURS]) * 3600
         + rtc_decode (self, self->cmos[RTC_MINUTES]) * 60 + rtc_decode (self, self->cmos[RTC_SECONDS]);
}

static bool
rtc_is_halted (const VmMc146818 *self)
{
  return (self->cmos[RTC_B] & B_SET) || (self->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* --- alarm --------------------------------------------------------------------------------------------- */

static bool
rtc_alarm_matches (uint8_t alarm, int decoded, int value)
{
  return (alarm & 0xc0) == 0xc0 || decoded == value; /* 11xxxxxx: don't care */
}

/* The first second after AFTER at which the alarm goes off; -1: never. A day holds all there is to match. */
static int64_t
rtc_next_alarm (const VmMc146818 *self, int64_t after)
{
  const uint8_t *c = self->cmos;
  int hour = rtc_decode_hour (self, c[RTC_HOURS_ALARM]), minute = rtc_decode (self, c[RTC_MINUTES_ALARM]);
  int second = rtc_decode (self, c[RTC_SECONDS_ALARM]);
  int64_t t = after + 1, end = after + SECONDS_PER_DAY;

  while (t <= end)
    {
      int of_day = (int) (t - floor_div (t, SECONDS_PER_DAY) * SECONDS_PER_DAY);

      if (!rtc_alarm_matches (c[RTC_HOURS_ALARM], hour, of_day / 3600))
        t += 3600 - of_day % 3600;
      else if (!rtc_alarm_matches (c[RTC_MINUTES_ALARM], minute, of_day / 60 % 60))
        t += 60 - of_day % 60;
      else if (!rtc_alarm_matches (c[RTC_SECONDS_ALARM], second, of_day % 60))
        t++;
      else
        return t;
    }
  return -1;
}

/* --- periodic interrupt ------------------------------------------------------------------------------- */

/* In periods of the 32.768 kHz clock; 0: off. */
static uint32_t
rtc_period_clocks (const VmMc146818 *self)
{
  unsigned rate = self->cmos[RTC_A] & A_RATE;

  if (rate == 0 || (self->cmos[RTC_A] & A_DIVIDER) > A_DIVIDER_32K)
    return 0;
  return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t
rtc_virtual (const VmMc146818 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static int64_t
rtc_tick_of (const VmMc146818 *self, int64_t ns)
{
  uint64_t gone = (uint64_t) MAX (ns - self->periodic_start, 0);

  return (int64_t) (vm_muldiv64 (gone, RTC_HZ, VM_NS_PER_SEC) / rtc_period_clocks (self));
}

static void
rtc_arm_periodic (VmMc146818 *self)
{
  uint32_t period = rtc_period_clocks (self);
  int64_t now = rtc_virtual (self), next;

  if (period == 0 || !(self->cmos[RTC_B] & B_PIE))
    {
      vm_timer_cancel (&self->periodic_timer);
      return;
    }
  next = self->periodic_start
         + (int64_t) vm_muldiv64 ((uint64_t) (rtc_tick_of (self, now) + 1) * period, VM_NS_PER_SEC, RTC_HZ) + 1;
  vm_timer_set (&self->periodic_timer, MAX (next, now + RTC_MIN_PERIOD_NS));
}

static void
rtc_restart_periodic (VmMc146818 *self)
{
  self->periodic_start = self->periodic_seen = rtc_virtual (self);
  self->lost_ticks = 0;
  rtc_arm_periodic (self);
}

/* --- flags and interrupts -------------------------------------------------------------------------------- */

static void
rtc_update_irq (VmMc146818 *self)
{
  uint8_t asking = self->cmos[RTC_C] & self->cmos[RTC_B] & (C_UF | C_AF | C_PF);

  if (asking)
    self->cmos[RTC_C] |= C_IRQF;
  else
    self->cmos[RTC_C] &= (uint8_t) ~C_IRQF;
  vm_irq_set (&self->irq_line, asking && !self->irq_disabled);
}

static void
rtc_set_irq_disabled (void *opaque, int n, int level)
{
  VmMc146818 *self = opaque;

  self->irq_disabled = level != 0;
  rtc_update_irq (self);
}

VmIrq
vm_mc146818_irq_disable (VmMc146818 *rtc)
{
  return (VmIrq) { .func = rtc_set_irq_disabled, .opaque = rtc };
}

/* Sets what has happened since it was last looked at. */
static void
rtc_make_flags (VmMc146818 *self)
{
  int64_t second = vm_mc146818_time (self), now = rtc_virtual (self);

  if (!rtc_is_halted (self) && second > self->last_second)
    {
      int64_t alarm = rtc_next_alarm (self, self->last_second);

      self->cmos[RTC_C] |= C_UF;
      if (alarm >= 0 && alarm <= second)
        self->cmos[RTC_C] |= C_AF;
    }
  self->last_second = second;
  if (rtc_period_clocks (self) != 0)
    {
      int64_t ticks = rtc_tick_of (self, now) - rtc_tick_of (self, self->periodic_seen);

      if (ticks > 0)
        {
          /* Only those that nobody acknowledged in time are lost. */
          uint64_t lost = (uint64_t) ticks - (self->cmos[RTC_C] & C_PF ? 0 : 1);

          if (self->cmos[RTC_B] & B_PIE)
            self->lost_ticks = (uint32_t) MIN (self->lost_ticks + lost, RTC_MAX_LOST);
          self->cmos[RTC_C] |= C_PF;
        }
    }
  self->periodic_seen = now;
}

/* Wakes at the next second that sets a flag whose interrupt is enabled. */
static void
rtc_arm_update (VmMc146818 *self)
{
  uint8_t b = self->cmos[RTC_B], c = self->cmos[RTC_C];
  int64_t next = -1, second = vm_mc146818_time (self);

  if (!rtc_is_halted (self))
    {
      if ((b & B_AIE) && !(c & C_AF))
        next = rtc_next_alarm (self, second);
      if ((b & B_UIE) && !(c & C_UF))
        next = second + 1;
    }
  if (next < 0)
    vm_timer_cancel (&self->update_timer);
  else
    vm_timer_set (&self->update_timer,
                  MAX ((next - self->offset_seconds) * VM_NS_PER_SEC - self->offset_ns, 0));
}

static void
rtc_refresh (VmMc146818 *self)
{
  rtc_make_flags (self);
  rtc_update_irq (self);
  rtc_arm_update (self);
}

static void
rtc_update_timer (void *opaque)
{
  VmMc146818 *self = opaque;
  VmEnv *env = self->parent.parent.env;

  rtc_refresh (self);
  if ((self->cmos[RTC_C] & self->cmos[RTC_B] & C_AF) && env->request_wakeup)
    env->request_wakeup (env->machine);
}

static void
rtc_periodic_timer (void *opaque)
{
  VmMc146818 *self = opaque;

  rtc_make_flags (self);
  rtc_update_irq (self);
  rtc_arm_periodic (self);
}

/* --- registers -------------------------------------------------------------------------------------------- */

/* Stops or starts the clock after SET or the divider changed. */
static void
rtc_update_halt (VmMc146818 *self, uint8_t old_a)
{
  bool halt = rtc_is_halted (self), was_reset = (old_a & A_DIVIDER_RESET) == A_DIVIDER_RESET;

  if (halt == self->frozen)
    return;
  if (halt)
    {
      int64_t seconds = vm_mc146818_time (self), ns = rtc_fraction (self);

      self->frozen_seconds = seconds;
      self->frozen_ns = ns;
      self->frozen = true;
      rtc_store_time (self);
      return;
    }
  self->frozen = false;
  /* The first update comes half a second after the divider starts. */
  rtc_set_time (self, rtc_registers_time (self), was_reset ? VM_NS_PER_SEC / 2 : self->frozen_ns);
  self->last_second = vm_mc146818_time (self);
}

static bool
rtc_is_time_register (uint8_t index)
{
  switch (index)
    {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY_OF_MONTH:
    case RTC_MONTH:
    case RTC_YEAR:
    case RTC_CENTURY:
    case RTC_CENTURY_PS2:
      return true;
    default:
      return false;
    }
}

static void
rtc_write_time (VmMc146818 *self, uint8_t index, uint8_t value)
{
  if (!self->frozen)
    rtc_store_time (self);
  self->cmos[index == RTC_CENTURY_PS2 ? RTC_CENTURY : index] = value;
  self->cmos[RTC_CENTURY_PS2] = self->cmos[RTC_CENTURY];
  if (self->frozen)
    return;
  rtc_set_time (self, rtc_registers_time (self), rtc_fraction (self));
  self->last_second = vm_mc146818_time (self);
}

static void
rtc_write_data (VmMc146818 *self, uint8_t value)
{
  uint8_t old_a = self->cmos[RTC_A], old;

  rtc_make_flags (self);
  switch (self->index)
    {
    case RTC_A:
      self->cmos[RTC_A] = value & (uint8_t) ~A_UIP;
      rtc_update_halt (self, old_a);
      if ((old_a ^ value) & (A_RATE | A_DIVIDER))
        rtc_restart_periodic (self);
      break;
    case RTC_B:
      old = self->cmos[RTC_B];
      if (value & B_SET)
        value &= (uint8_t) ~B_UIE;
      /* The registers keep their meaning when their format changes while the clock runs. */
      if (!self->frozen && ((old ^ value) & (B_BINARY | B_24H)))
        {
          self->cmos[RTC_B] = value & (uint8_t) ~B_SET;
          rtc_store_time (self);
        }
      self->cmos[RTC_B] = value;
      rtc_update_halt (self, old_a);
      if ((old ^ value) & B_PIE)
        {
          self->periodic_seen = rtc_virtual (self);
          self->lost_ticks = 0;
          rtc_arm_periodic (self);
        }
      break;
    case RTC_C:
    case RTC_D:
      return; /* read-only */
    default:
      if (rtc_is_time_register (self->index))
        rtc_write_time (self, self->index, value);
      else
        self->cmos[self->index] = value;
      break;
    }
  rtc_update_irq (self);
  rtc_arm_update (self);
}

static uint8_t
rtc_read_a (VmMc146818 *self)
{
  bool updating = !rtc_is_halted (self) && rtc_fraction (self) >= VM_NS_PER_SEC - RTC_UPDATE_NS;

  return (uint8_t) (self->cmos[RTC_A] | (updating ? A_UIP : 0));
}

static uint8_t
rtc_read_c (VmMc146818 *self)
{
  uint8_t value;

  rtc_make_flags (self);
  rtc_update_irq (self);
  value = self->cmos[RTC_C];
  self->cmos[RTC_C] = 0;
  rtc_update_irq (self);
  rtc_arm_update (self);
  if (self->lost_tick_policy == VM_LOST_TICK_SLEW && self->lost_ticks > 0 && (self->cmos[RTC_B] & B_PIE))
    {
      self->lost_ticks--;
      self->cmos[RTC_C] |= C_PF;
      rtc_update_irq (self);
    }
  return value;
}

static uint8_t
rtc_read_data (VmMc146818 *self)
{
  if (rtc_is_time_register (self->index))
    {
      if (!self->frozen)
        rtc_store_time (self);
      return self->cmos[self->index];
    }
  switch (self->index)
    {
    case RTC_A:
      return rtc_read_a (self);
    case RTC_C:
      return rtc_read_c (self);
    default:
      return self->cmos[self->index];
    }
}

static void
rtc_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmMc146818 *self = opaque;

  if (offset == 0)
    self->index = value & 0x7f;
  else
    rtc_write_data (self, (uint8_t) value);
}

static uint64_t
rtc_read (void *opaque, uint64_t offset, unsigned size)
{
  return offset == 0 ? 0xff : rtc_read_data (opaque);
}

static const VmRegionOps rtc_ops = {
  .read = rtc_read, .write = rtc_write, .impl = { .min = 1, .max = 1 },
};

/* --- for boards ---------------------------------------------------------------------------------------------- */

void
vm_mc146818_set_cmos (VmMc146818 *rtc, unsigned addr, uint8_t value)
{
  if (addr < VM_RTC_CMOS_SIZE)
    rtc->cmos[addr] = value;
}

uint8_t
vm_mc146818_get_cmos (const VmMc146818 *rtc, unsigned addr)
{
  return addr < VM_RTC_CMOS_SIZE ? rtc->cmos[addr] : 0xff;
}

/* --- life ------------------------------------------------------------------------------------------------------ */

/* The chip is on a battery: only the interrupts and their flags know of a reset (data sheet, RESET pin). */
static void
rtc_reset (VmDevice *dev, VmResetKind kind)
{
  VmMc146818 *self = (VmMc146818 *) dev;
  uint8_t old_a = self->cmos[RTC_A];

  self->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQUARE);
  self->cmos[RTC_C] = 0;
  self->lost_ticks = 0;
  self->irq_disabled = false;
  rtc_update_halt (self, old_a);
  rtc_arm_periodic (self);
  rtc_refresh (self);
  self->cmos[RTC_C] = 0;
}

/* Seconds between the zone's time and UTC, for -rtc base=localtime. */
static int64_t
rtc_zone_offset (int64_t utc)
{
  time_t t = (time_t) utc;
  struct tm local;

  return localtime_r (&t, &local) ? local.tm_gmtoff : 0;
}

static void
rtc_set_start (VmMc146818 *self, const VmSettings *settings)
{
  static const VmClockType clocks[] = {
    [VM_RTC_CLOCK_HOST] = VM_CLOCK_HOST, [VM_RTC_CLOCK_RT] = VM_CLOCK_REALTIME,
    [VM_RTC_CLOCK_VM] = VM_CLOCK_VIRTUAL,
  };
  VmClocks *all = self->parent.parent.env->clocks;
  int64_t host = vm_clock_now (all, VM_CLOCK_HOST), start = host / VM_NS_PER_SEC;

  self->clock = clocks[settings ? settings->rtc_clock : VM_RTC_CLOCK_HOST];
  if (settings && settings->rtc_base == VM_RTC_LOCALTIME)
    start += rtc_zone_offset (start);
  else if (settings && settings->rtc_base == VM_RTC_DATETIME)
    start = settings->rtc_start;
  rtc_set_time (self, start, host % VM_NS_PER_SEC);
  if (settings && settings->rtc_slew)
    self->lost_tick_policy = VM_LOST_TICK_SLEW;
}

static bool
rtc_realize (VmDevice *dev, GError **error)
{
  VmMc146818 *self = (VmMc146818 *) dev;
  VmEnv *env = dev->env;

  if (self->irq >= VM_ISA_IRQS)
    return vm_fail (error, "Maximum value for \"irq\" is: %d", VM_ISA_IRQS - 1);
  if (self->lost_tick_policy == VM_LOST_TICK_DELAY)
    return vm_fail (error, "Invalid lost tick policy.");
  vm_region_init_io (&self->io, env->memory, &rtc_ops, self, "rtc", 2);
  if (!vm_isa_add_io (dev, self->iobase, &self->io, error))
    return false;
  rtc_set_start (self, env->machine ? VM_MACHINE (env->machine)->settings : NULL);
  vm_timer_init (&self->update_timer, env->clocks, self->clock, rtc_update_timer, self);
  vm_timer_init (&self->periodic_timer, env->clocks, VM_CLOCK_VIRTUAL, rtc_periodic_timer, self);
  self->irq_line = vm_isa_irq (dev, self->irq);
  self->cmos[RTC_A] = 0x26;
  self->cmos[RTC_B] = B_24H;
  self->cmos[RTC_D] = D_VALID;
  self->last_second = vm_mc146818_time (self);
  self->periodic_start = self->periodic_seen = rtc_virtual (self);
  rtc_store_time (self);
  return true;
}

static void
rtc_unrealize (VmDevice *dev)
{
  VmMc146818 *self = (VmMc146818 *) dev;

  vm_timer_cancel (&self->update_timer);
  vm_timer_cancel (&self->periodic_timer);
}

static bool
rtc_post_load (VmDevice *dev, GError **error)
{
  VmMc146818 *self = (VmMc146818 *) dev;

  if (self->index >= VM_RTC_CMOS_SIZE)
    return vm_fail (error, "%s: the saved CMOS address is out of range", vm_device_path (dev));
  if (ABS (self->offset_ns) > VM_NS_PER_SEC || self->frozen_ns < 0 || self->frozen_ns >= VM_NS_PER_SEC
      || self->offset_seconds < -RTC_FAR || self->offset_seconds > RTC_FAR
      || self->frozen_seconds < -RTC_FAR || self->frozen_seconds > RTC_FAR
      || self->last_second < -RTC_FAR || self->last_second > RTC_FAR || self->periodic_start < 0)
    return vm_fail (error, "%s: the saved time is out of range", vm_device_path (dev));
  self->lost_ticks = MIN (self->lost_ticks, RTC_MAX_LOST);
  rtc_arm_periodic (self);
  rtc_arm_update (self);
  return true;
}

static const char *const lost_tick_names[] = { "discard", "delay", "slew", NULL };

static const VmProp rtc_props[] = {
  VM_PROP ("base_year", VmMc146818, base_year, 1980, "year that year 0 of century 0 stands for"),
  VM_PROP ("iobase", VmMc146818, iobase, 0x70, "first I/O port"),
  VM_PROP ("irq", VmMc146818, irq, 8, "ISA interrupt line"),
  VM_PROP_ENUMERATED ("lost_tick_policy", VmMc146818, lost_tick_policy, VM_LOST_TICK_DISCARD, lost_tick_names,
                      "periodic interrupts the guest did not take"),
  { 0 }
};

static const VmField rtc_state[] = {
  VM_FIELD_ARRAY (VmMc146818, cmos), VM_FIELD (VmMc146818, index),
  VM_FIELD (VmMc146818, offset_seconds), VM_FIELD (VmMc146818, offset_ns),
  VM_FIELD (VmMc146818, frozen_seconds), VM_FIELD (VmMc146818, frozen_ns), VM_FIELD (VmMc146818, frozen), VM_FIELD (VmMc146818, last_second),
  VM_FIELD (VmMc146818, periodic_start), VM_FIELD (VmMc146818, periodic_seen),
  VM_FIELD (VmMc146818, lost_ticks), VM_FIELD (VmMc146818, irq_disabled),
  VM_FIELD_TIMER_OF (VmMc146818, update_timer), VM_FIELD_TIMER_OF (VmMc146818, periodic_timer),
  { 0 }
};

static const VmDeviceClass rtc_class = {
  .realize = rtc_realize, .unrealize = rtc_unrealize, .reset = rtc_reset, .post_load = rtc_post_load,
  .bus_type = VM_ISA_BUS_TYPE, .category = "Misc",
};

const VmType vm_mc146818_type = {
  .name = "mc146818rtc", .parent = &vm_isa_device_type, .size = sizeof (VmMc146818),
  .help = "MC146818 real-time clock", .props = rtc_props, .state = rtc_state, .klass = &rtc_class,
};
