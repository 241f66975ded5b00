/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 8254 programmable interval timer (order number 231164): three 16-bit counters at 1.193182 MHz.
 *
 * Nothing ticks: a counter's value and output are computed from the virtual time since it was started. */
#include "devices/timer/i8254.h"

enum { CMD_READ_BACK = 3, RB_NO_STATUS = 1 << 4, RB_NO_COUNT = 1 << 5, CONTROL_PORT = 3 };
/* A counter may ask for an interrupt each 1.7 us; more often than this nobody could serve it. */
#define I8254_MIN_PERIOD_NS (10 * VM_NS_PER_US)

enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum { STATUS_NULL = 1 << 6, STATUS_OUT = 1 << 7 };

static int64_t
i8254_now (const VmI8254 *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* Clock pulses the counter has seen since it was started. */
static uint64_t
i8254_elapsed (const VmI8254Channel *ch, int64_t now)
{
  int64_t ns = ch->gate_stop >= 0 ? ch->gate_stop : now - ch->start;

  return ns <= 0 ? 0 : vm_muldiv64 ((uint64_t) ns, VM_I8254_HZ, VM_NS_PER_SEC);
}

/* The instant of pulse N: the first ns at which i8254_elapsed() gives N. */
static int64_t
i8254_pulse_time (const VmI8254Channel *ch, uint64_t n)
{
  return ch->start + (int64_t) ((unsigned __int128) n * VM_NS_PER_SEC / VM_I8254_HZ) + 1;
}

/* A count written while a rate or square wave runs takes over when its period ends. */
static void
i8254_take_next (VmI8254Channel *ch, int64_t now)
{
  if (ch->next_count == 0 || !ch->started || ch->gate_stop >= 0 || now < ch->next_start)
    return;
  ch->start = ch->next_start;
  ch->count = ch->next_count;
  ch->next_count = 0;
  ch->null_count = false;
}

static uint32_t
i8254_modulus (const VmI8254Channel *ch)
{
  return ch->bcd ? 10000 : 0x10000;
}

static uint32_t
i8254_value (VmI8254Channel *ch, int64_t now)
{
  uint64_t d, modulus = i8254_modulus (ch);
  uint32_t value;

  i8254_take_next (ch, now);
  d = i8254_elapsed (ch, now);

  if (!ch->started)
    value = ch->count % modulus;
  else if (ch->mode == 2)
    value = (uint32_t) (ch->count - d % ch->count);
  else if (ch->mode == 3)
    {
      /* Counts by twos; an odd count is high for (n + 1) / 2 pulses and low for (n - 1) / 2. */
      uint64_t t = d % ch->count, high = (ch->count + 1) / 2;
      uint32_t even = ch->count & ~1u;

      value = t < high ? even - (uint32_t) (2 * t > even ? even : 2 * t) : even - (uint32_t) (2 * (t - high));
    }
  else
    value = (uint32_t) ((ch->count + modulus - d % modulus) % modulus);
  value %= (uint32_t) modulus;
  if (ch->bcd)
    value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
  return value;
}

static bool
i8254_output_at (VmI8254Channel *ch, int64_t now)
{
  uint64_t d;

  if (!ch->started)
    return ch->mode != 0;
  i8254_take_next (ch, now);
  d = i8254_elapsed (ch, now);
  switch (ch->mode)
    {
    case 0:
      return d >= ch->count;
    case 1:
      return d >= ch->count;
    case 2:
      return !ch->gate || d % ch->count != ch->count - 1;
    case 3:
      return !ch->gate || d % ch->count < (ch->count + 1) / 2;
    default: /* 4 and 5: low for the one pulse after the count ran out */
      return d != ch->count;
    }
}

/* Pulse at which counter 0's line has something new to show, or 0 when it never has. Of the modes that
 * repeat only the rises matter, once a period. */
static uint64_t
i8254_next_event (const VmI8254Channel *ch, int64_t now)
{
  uint64_t d = i8254_elapsed (ch, now);

  if (!ch->started || ch->gate_stop >= 0)
    return 0;
  if (ch->mode == 2 || ch->mode == 3)
    return d - d % ch->count + ch->count;
  if (d < ch->count)
    return ch->count;
  return d == ch->count && ch->mode >= 4 ? ch->count + 1 : 0;
}

/* Counter 0 alone has a listener; the others are asked when needed. */
static void
i8254_arm (VmI8254 *self, int64_t now)
{
  VmI8254Channel *ch = &self->channel[0];
  uint64_t next = i8254_next_event (ch, now);

  if (next == 0 || self->irq_disabled)
    vm_timer_cancel (&self->timer);
  else
    vm_timer_set (&self->timer, MAX (i8254_pulse_time (ch, next), now + I8254_MIN_PERIOD_NS));
}

static bool
i8254_line_at (VmI8254Channel *ch, int64_t now)
{
  bool repeats = ch->started && (ch->mode == 2 || ch->mode == 3);

  return repeats || i8254_output_at (ch, now);
}

static void
i8254_update_irq (VmI8254 *self)
{
  int64_t now = i8254_now (self);

  self->output0 = i8254_line_at (&self->channel[0], now);
  if (!self->irq_disabled)
    vm_irq_set (&self->irq, self->output0);
  i8254_arm (self, now);
}

/* --- events ------------------------------------------------------------------------------------- */

static void
i8254_timer (void *opaque)
{
  VmI8254 *self = opaque;
  VmI8254Channel *ch = &self->channel[0];

  i8254_take_next (ch, i8254_now (self));
  if (self->output0 && (ch->mode == 2 || ch->mode == 3))
    vm_irq_lower (&self->irq);
  i8254_update_irq (self);
}

static void
i8254_start (VmI8254 *self, VmI8254Channel *ch)
{
  if (ch->next_count != 0)
    ch->count = ch->next_count;
  ch->next_count = 0;
  ch->start = i8254_now (self);
  ch->started = true;
  ch->null_count = false;
  ch->gate_stop = ch->gate || ch->mode == 1 || ch->mode == 5 ? -1 : 0;
}

static void
i8254_load_count (VmI8254 *self, VmI8254Channel *ch, uint16_t raw)
{
  uint32_t value = raw;

  if (ch->bcd)
    value = (raw >> 12 & 15) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
  if (value == 0)
    value = i8254_modulus (ch);
  if (value > i8254_modulus (ch))
    value = i8254_modulus (ch); /* digits above 9 */
  if (value == 1 && (ch->mode == 2 || ch->mode == 3))
    value = i8254_modulus (ch); /* not allowed by the data sheet; also spares the host a timer each 838 ns */
  if (ch->started && (ch->mode == 2 || ch->mode == 3))
    {
      int64_t now = i8254_now (self);
      uint64_t d;

      i8254_take_next (ch, now);
      d = i8254_elapsed (ch, now);
      ch->next_count = value;
      ch->next_start = i8254_pulse_time (ch, d - d % ch->count + ch->count);
      ch->null_count = true;
      return;
    }
  ch->count = value;
  /* Modes 1 and 5 wait for a rise of the gate. */
  if (ch->mode == 1 || ch->mode == 5)
    ch->null_count = !ch->started;
  else
    i8254_start (self, ch);
  i8254_update_irq (self);
}

void
vm_i8254_set_gate (VmI8254 *self, unsigned n, bool level)
{
  VmI8254Channel *ch = &self->channel[n];
  bool rise = level && !ch->gate;

  if (level == ch->gate)
    return;
  ch->gate = level;
  switch (ch->mode)
    {
    case 1:
    case 5:
      if (rise && ch->count != 0)
        i8254_start (self, ch);
      break;
    case 2:
    case 3:
      if (rise && ch->started)
        i8254_start (self, ch);
      else if (!rise)
        ch->gate_stop = MAX (i8254_now (self) - ch->start, 0);
      break;
    default: /* 0 and 4: counting is suspended */
      if (!rise)
        ch->gate_stop = MAX (i8254_now (self) - ch->start, 0);
      else if (ch->gate_stop >= 0)
        {
          ch->start = i8254_now (self) - ch->gate_stop;
          ch->gate_stop = -1;
        }
      break;
    }
  i8254_update_irq (self);
}

bool
vm_i8254_gate (const VmI8254 *self, unsigned n)
{
  return self->channel[n].gate;
}

bool
vm_i8254_output (VmI8254 *self, unsigned n)
{
  return i8254_output_at (&self->channel[n], i8254_now (self));
}

uint64_t
vm_i8254_millihertz (const VmI8254 *self, unsigned n)
{
  const VmI8254Channel *ch = &self->channel[n];

  if (!ch->started || (ch->mode != 2 && ch->mode != 3))
    return 0;
  return UINT64_C (1000) * VM_I8254_HZ / ch->count;
}

static void
i8254_set_irq_disabled (void *opaque, int n, int level)
{
  VmI8254 *self = opaque;

  if (self->irq_disabled == (level != 0))
    return;
  self->irq_disabled = level != 0;
  if (self->irq_disabled)
    vm_irq_lower (&self->irq);
  i8254_update_irq (self);
}

VmIrq
vm_i8254_irq_disable (VmI8254 *self)
{
  return (VmIrq) { .func = i8254_set_irq_disabled, .opaque = self };
}

/* --- registers ------------------------------------------------------------------------------------- */

static void
i8254_latch_count (VmI8254 *self, VmI8254Channel *ch)
{
  if (ch->latch_left != 0)
    return; /* a second latch command before the first was read is ignored */
  ch->latched_count = (uint16_t) i8254_value (ch, i8254_now (self));
  ch->latch_left = ch->access == ACCESS_BOTH ? 2 : 1;
  ch->latch_high = ch->access == ACCESS_HIGH;
}

static void
i8254_latch_status (VmI8254 *self, VmI8254Channel *ch)
{
  if (ch->status_latched)
    return;
  ch->status_latched = true;
  ch->status = (uint8_t) (ch->access << 4 | ch->mode << 1 | ch->bcd);
  if (i8254_output_at (ch, i8254_now (self)))
    ch->status |= STATUS_OUT;
  if (ch->null_count)
    ch->status |= STATUS_NULL;
}

static void
i8254_write_mode (VmI8254 *self, VmI8254Channel *ch, uint8_t value)
{
  ch->access = value >> 4 & 3;
  ch->mode = value >> 1 & 7;
  if (ch->mode > 5)
    ch->mode -= 4; /* bit 2 is don't care for modes 2 and 3 */
  ch->bcd = value & 1;
  ch->read_high = ch->write_high = false;
  ch->latch_left = 0;
  ch->next_count = 0;
  ch->status_latched = false;
  ch->started = false;
  ch->null_count = true;
  ch->gate_stop = -1;
  i8254_update_irq (self);
}

static void
i8254_write_control (VmI8254 *self, uint8_t value)
{
  unsigned n = value >> 6;

  if (n != CMD_READ_BACK)
    {
      if ((value >> 4 & 3) == 0)
        i8254_latch_count (self, &self->channel[n]);
      else
        i8254_write_mode (self, &self->channel[n], value);
      return;
    }
  for (n = 0; n < 3; n++)
    {
      if (!(value >> (n + 1) & 1))
        continue;
      if (!(value & RB_NO_COUNT))
        i8254_latch_count (self, &self->channel[n]);
      if (!(value & RB_NO_STATUS))
        i8254_latch_status (self, &self->channel[n]);
    }
}

static void
i8254_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8254 *self = opaque;
  VmI8254Channel *ch = &self->channel[offset];
  uint8_t byte = (uint8_t) value;

  if (offset == CONTROL_PORT)
    {
      i8254_write_control (self, byte);
      return;
    }
  switch (ch->access)
    {
    case ACCESS_HIGH:
      i8254_load_count (self, ch, (uint16_t) (byte << 8));
      break;
    case ACCESS_BOTH:
      if (!ch->write_high)
        {
          ch->write_latch = byte;
          /* In mode 0 the first byte stops the counting (and the output stays low). */
          if (ch->mode == 0)
            {
              ch->started = false;
              i8254_update_irq (self);
            }
        }
      else
        i8254_load_count (self, ch, (uint16_t) (byte << 8 | ch->write_latch));
      ch->write_high = !ch->write_high;
      break;
    default:
      i8254_load_count (self, ch, byte);
      break;
    }
}

static uint64_t
i8254_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8254 *self = opaque;
  VmI8254Channel *ch = &self->channel[offset];
  uint16_t value;
  bool high;

  if (offset == CONTROL_PORT)
    return 0;
  if (ch->status_latched)
    {
      ch->status_latched = false;
      return ch->status;
    }
  if (ch->latch_left != 0)
    {
      value = ch->latched_count;
      high = ch->latch_high;
      ch->latch_high = true;
      ch->latch_left--;
    }
  else
    {
      value = (uint16_t) i8254_value (ch, i8254_now (self));
      high = ch->access == ACCESS_HIGH || (ch->access == ACCESS_BOTH && ch->read_high);
      if (ch->access == ACCESS_BOTH)
        ch->read_high = !ch->read_high;
    }
  return high ? value >> 8 : value & 0xff;
}

static const VmRegionOps i8254_ops = {
  .read = i8254_read, .write = i8254_write, .impl = { .min = 1, .max = 1 },
};

/* --- life ---------------------------------------------------------------------------------------------- */

static void
i8254_reset (VmDevice *dev, VmResetKind kind)
{
  VmI8254 *self = (VmI8254 *) dev;

  self->irq_disabled = false;
  for (unsigned n = 0; n < 3; n++)
    self->channel[n] = (VmI8254Channel) {
      .count = 0x10000, .access = ACCESS_BOTH, .mode = 3, .gate = n != 2, .gate_stop = -1,
      .null_count = true,
    };
  vm_irq_lower (&self->irq);
  vm_timer_cancel (&self->timer);
}

static bool
i8254_realize (VmDevice *dev, GError **error)
{
  VmI8254 *self = (VmI8254 *) dev;

  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, i8254_timer, self);
  vm_region_init_io (&self->io, dev->env->memory, &i8254_ops, self, "pit", 4);
  if (!vm_isa_add_io (dev, self->iobase, &self->io, error))
    return false;
  i8254_reset (dev, VM_RESET_COLD);
  return true;
}

static void
i8254_unrealize (VmDevice *dev)
{
  vm_timer_cancel (&((VmI8254 *) dev)->timer);
}

static bool
i8254_post_load (VmDevice *dev, GError **error)
{
  VmI8254 *self = (VmI8254 *) dev;

  for (unsigned n = 0; n < 3; n++)
    {
      const VmI8254Channel *ch = &self->channel[n];

      if (ch->count < 1 || ch->next_count > 0x10000 || ch->count > 0x10000 || ch->mode > 5
          || (ch->count == 1 && (ch->mode == 2 || ch->mode == 3)))
        return vm_fail (error, "%s: counter %u has an impossible count or mode", vm_device_path (dev), n);
    }
  return true;
}

static const VmProp i8254_props[] = {
  VM_PROP ("iobase", VmI8254, iobase, UINT32_MAX, "first I/O port"),
  { 0 }
};

static const VmField i8254_channel_state[] = {
  VM_FIELD (VmI8254Channel, count), VM_FIELD (VmI8254Channel, next_count),
  VM_FIELD (VmI8254Channel, next_start), VM_FIELD (VmI8254Channel, latched_count),
  VM_FIELD (VmI8254Channel, latch_left), VM_FIELD (VmI8254Channel, latch_high),
  VM_FIELD (VmI8254Channel, status_latched), VM_FIELD (VmI8254Channel, status),
  VM_FIELD (VmI8254Channel, read_high), VM_FIELD (VmI8254Channel, write_high),
  VM_FIELD (VmI8254Channel, write_latch), VM_FIELD (VmI8254Channel, access),
  VM_FIELD (VmI8254Channel, mode), VM_FIELD (VmI8254Channel, bcd), VM_FIELD (VmI8254Channel, gate),
  VM_FIELD (VmI8254Channel, null_count), VM_FIELD (VmI8254Channel, started),
  VM_FIELD (VmI8254Channel, start), VM_FIELD (VmI8254Channel, gate_stop),
  { 0 }
};

static const VmField i8254_state[] = {
  VM_FIELD (VmI8254, irq_disabled), VM_FIELD (VmI8254, output0),
  VM_FIELD_EMBED_ARRAY (VmI8254, channel, i8254_channel_state),
  VM_FIELD_TIMER_OF (VmI8254, timer),
  { 0 }
};

static const VmDeviceClass i8254_class = {
  .realize = i8254_realize, .unrealize = i8254_unrealize, .reset = i8254_reset, .post_load = i8254_post_load,
  .bus_type = VM_ISA_BUS_TYPE, .category = "Misc",
};

const VmType vm_i8254_type = {
  .name = "isa-pit", .parent = &vm_isa_device_type, .size = sizeof (VmI8254),
  .help = "8254 programmable interval timer", .props = i8254_props, .state = i8254_state,
  .klass = &i8254_class,
};
