/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The AdLib card: a YM3812 at its two ports (AdLib Programming Guide; YM3812 application manual for the timers). */
#include "devices/audio/opl2.h"

#include "audio/audio.h"
#include "devices/isa/isa.h"

#define FIFO 4096u /* samples made before the host asks for them */
#define CHUNK 512u

enum
{
  ADLIB_PORT = 0x388,
  ADLIB_SECOND = 8 /* the chip once more, behind the first port */
};
enum
{
  REG_TIMER1 = 0x02,
  REG_TIMER2 = 0x03,
  REG_TIMERS = 0x04
};
enum
{
  TIMERS_RESET = 1 << 7,
  STATUS_IRQ = 1 << 7,
  STATUS_TIMER1 = 1 << 6,
  STATUS_TIMER2 = 1 << 5,
  STATUS_OPL2 = 0x06
};

typedef struct Adlib
{
  VmIsaDevice parent;
  /* properties */
  VmAudioCard card;
  uint32_t iobase, freq;
  /* wiring */
  VmAudioVoice *voice;
  int64_t start; /* of counting samples */
  uint64_t made;
  uint32_t read, filled, burst;
  int16_t fifo[FIFO];
  /* guest state */
  Opl2 opl;
  uint8_t index, status;
  int64_t due[2]; /* virtual ns at which a timer overflows; 0: it stands */
} Adlib;

static int64_t
adlib_now (const Adlib *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* --- sound ------------------------------------------------------------------------------------ */

/* Makes what is due before a register changes, but not much more than the host takes at a time. */
static void
catch_up (Adlib *self)
{
  uint64_t due = vm_muldiv64 ((uint64_t) (adlib_now (self) - self->start), self->freq, VM_NS_PER_SEC);
  uint32_t limit = MIN (FIFO, 2 * self->burst), room = limit > self->filled ? limit - self->filled : 0;
  uint64_t missing = due > self->made ? MIN (due - self->made, room) : 0;

  self->made = due;
  while (missing > 0)
    {
      uint32_t at = (self->read + self->filled) % FIFO, n = (uint32_t) MIN (missing, FIFO - at);

      opl2_render (&self->opl, self->fifo + at, n);
      self->filled += n;
      missing -= n;
    }
}

static void
write_samples (Adlib *self, const int16_t *samples, size_t n)
{
  uint8_t buf[2 * CHUNK];

  for (size_t i = 0; i < n; i++)
    vm_store_le16 (buf + 2 * i, (uint16_t) samples[i]);
  vm_audio_write (self->voice, buf, 2 * n);
}

static void
on_play (void *opaque, size_t bytes)
{
  Adlib *self = opaque;
  size_t frames = bytes / 2;
  int16_t fresh[CHUNK];

  self->burst = (uint32_t) MIN (frames, FIFO / 2);
  if (opl2_is_silent (&self->opl) && self->filled == 0)
    vm_audio_set_active (self->voice, false);
  while (frames > 0)
    {
      uint32_t n = (uint32_t) MIN (frames, CHUNK), old = MIN (MIN (n, self->filled), FIFO - self->read);

      if (old > 0)
        {
          n = old;
          write_samples (self, self->fifo + self->read, n);
          self->read = (self->read + n) % FIFO;
          self->filled -= n;
        }
      else
        {
          opl2_render (&self->opl, fresh, n);
          write_samples (self, fresh, n);
        }
      frames -= n;
    }
  self->start = adlib_now (self);
  self->made = 0;
}

static void
adlib_write_chip (Adlib *self, uint8_t reg, uint8_t value)
{
  if (vm_audio_is_active (self->voice))
    catch_up (self);
  opl2_write (&self->opl, reg, value);
  if (!opl2_is_silent (&self->opl) && !vm_audio_is_active (self->voice))
    {
      self->start = adlib_now (self);
      self->made = self->read = self->filled = 0;
      vm_audio_set_active (self->voice, true);
    }
}

/* --- timers ----------------------------------------------------------------------------------- */

static int64_t
timer_period (const Adlib *self, unsigned n)
{
  return (256 - self->opl.regs[REG_TIMER1 + n]) * (n ? 320 : 80) * VM_NS_PER_US;
}

/* They overflow again and again; the flags stay until they are reset. */
static void
timers_update (Adlib *self)
{
  int64_t now = adlib_now (self);

  for (unsigned n = 0; n < 2; n++)
    if (self->due[n] && now >= self->due[n])
      {
        int64_t period = timer_period (self, n);

        self->due[n] += ((now - self->due[n]) / period + 1) * period;
        if (!(self->opl.regs[REG_TIMERS] >> (6 - n) & 1)) /* not masked */
          self->status |= (uint8_t) (STATUS_IRQ | STATUS_TIMER1 >> n);
      }
}

static void
timers_control (Adlib *self, uint8_t value)
{
  timers_update (self);
  if (value & TIMERS_RESET)
    {
      self->status = 0;
      return;
    }
  for (unsigned n = 0; n < 2; n++)
    if (!(value >> n & 1))
      self->due[n] = 0;
    else if (self->due[n] == 0)
      self->due[n] = adlib_now (self) + timer_period (self, n);
  self->opl.regs[REG_TIMERS] = value;
}

/* --- ports ------------------------------------------------------------------------------------ */

static uint64_t
adlib_read (void *opaque, uint64_t offset, unsigned size)
{
  Adlib *self = opaque;

  if (offset & 1)
    return 0xff;
  timers_update (self);
  return self->status | STATUS_OPL2;
}

static void
adlib_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Adlib *self = opaque;

  if (!(offset & 1))
    self->index = (uint8_t) value;
  else if (self->index == REG_TIMERS)
    timers_control (self, (uint8_t) value);
  else
    adlib_write_chip (self, self->index, (uint8_t) value);
}

static const VmRegionOps adlib_ops = { .read = adlib_read, .write = adlib_write, .impl = { .min = 1, .max = 1 } };

/* --- life ------------------------------------------------------------------------------------- */

static void
adlib_reset (VmDevice *dev, VmResetKind kind)
{
  Adlib *self = (Adlib *) dev;

  opl2_reset (&self->opl);
  self->index = self->status = 0;
  self->due[0] = self->due[1] = 0;
  self->read = self->filled = 0;
  vm_audio_set_active (self->voice, false);
}

static bool
adlib_realize (VmDevice *dev, GError **error)
{
  Adlib *self = (Adlib *) dev;
  VmAudioFormat format = { self->freq, 1, VM_AUDIO_S16, false };

  if (self->freq < 8000 || self->freq > 192000)
    return vm_fail (error, "adlib: freq must be from 8000 to 192000");
  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  if (!vm_isa_map_io (dev, self->iobase, 4, &adlib_ops, self, error)
      || !vm_isa_map_io (dev, self->iobase + ADLIB_SECOND, 2, &adlib_ops, self, error)
      || !vm_isa_map_io (dev, ADLIB_PORT, 4, &adlib_ops, self, error))
    {
      vm_audio_card_detach (&self->card);
      return false;
    }
  opl2_init (&self->opl, self->freq);
  self->burst = self->freq / 100;
  self->voice = vm_audio_open_out (&self->card, "fm", &format, on_play, self);
  return true;
}

static void
adlib_unrealize (VmDevice *dev)
{
  Adlib *self = (Adlib *) dev;

  vm_audio_close (g_steal_pointer (&self->voice));
  vm_audio_card_detach (&self->card);
}

static bool
adlib_post_load (VmDevice *dev, GError **error)
{
  Adlib *self = (Adlib *) dev;

  if (!opl2_loaded (&self->opl, error))
    return false;
  if (self->due[0] < 0 || self->due[1] < 0)
    return vm_fail (error, "a timer is out of bounds");
  self->read = self->filled = 0;
  self->start = adlib_now (self);
  self->made = 0;
  vm_audio_set_active (self->voice, !opl2_is_silent (&self->opl));
  return true;
}

static const VmProp adlib_props[] = { VM_AUDIO_CARD_PROPS (Adlib, card),
                                      VM_PROP ("iobase", Adlib, iobase, 0x220, "first I/O port"),
                                      VM_PROP ("freq", Adlib, freq, 44100, "samples a second"),
                                      { 0 } };

static const VmField adlib_state[] = { VM_FIELD_EMBED (Adlib, opl, opl2_state),
                                       VM_FIELD (Adlib, index),
                                       VM_FIELD (Adlib, status),
                                       VM_FIELD_ARRAY (Adlib, due),
                                       { 0 } };

static const VmDeviceClass adlib_class = {
  .realize = adlib_realize,
  .unrealize = adlib_unrealize,
  .reset = adlib_reset,
  .post_load = adlib_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Sound",
  .user_creatable = true,
};

const VmType vm_adlib_type = {
  .name = "adlib",
  .parent = &vm_isa_device_type,
  .size = sizeof (Adlib),
  .help = "Yamaha YM3812 (OPL2)",
  .props = adlib_props,
  .state = adlib_state,
  .klass = &adlib_class,
};
