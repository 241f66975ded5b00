/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NMI status and control register (82371SB data sheet 290550, section 2.5.3), which has the PC speaker's gate; and the
 * speaker: counter 2 of the timer AND a bit that programs toggle themselves. */
#include "devices/audio/pcspk.h"

#include <math.h>

enum
{
  P61_GATE2 = 1 << 0,
  P61_SPEAKER = 1 << 1,
  P61_NMI_ENABLES = 3 << 2,
  P61_REFRESH = 1 << 4,
  P61_OUT2 = 1 << 5
};
enum
{
  LEVEL_LOW,
  LEVEL_HIGH,
  LEVEL_TONE
};

/* Counter 1 of a PC/AT starts a refresh each 18 pulses of its clock; the bit toggles with it. */
#define REFRESH_NS 15085
#define RATE 48000u
#define AMPLITUDE 0.25

/* --- the speaker -----------------------------------------------------------------------------------------------------
 */

/* Area under a square wave from its beginning on: up for half of its period, down for the other. */
static double
square_area (double phase)
{
  double part = phase - floor (phase);

  return part < 0.5 ? part : 1 - part;
}

static double
speaker_area (void *opaque, int16_t level, int64_t from, int64_t to)
{
  VmPcspk *self = opaque;
  double before = self->phase, length = (double) (to - from);

  if (level == LEVEL_LOW)
    return 0;
  if (level == LEVEL_HIGH || self->period <= 0)
    return AMPLITUDE * length;
  self->phase += length / self->period;
  double area = square_area (self->phase) - square_area (before);
  self->phase -= floor (self->phase);
  return AMPLITUDE * area * self->period;
}

static int64_t
pcspk_now (const VmPcspk *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* A program that changes the tone while it sounds writes to the timer alone: that is seen here. */
static void
on_play (void *opaque, size_t bytes)
{
  VmPcspk *self = opaque;
  uint64_t millihertz = vm_i8254_millihertz ((VmI8254 *) self->pit, 2);
  int64_t now = pcspk_now (self);

  self->period = millihertz ? 1e12 / (double) millihertz : 0;
  vm_step_signal_play (&self->signal, self->voice, now, RATE, bytes, speaker_area, self);
  if (self->signal.level == LEVEL_LOW && now - self->signal.last > VM_NS_PER_SEC)
    vm_audio_set_active (self->voice, false);
}

static void
pcspk_update_level (VmPcspk *self)
{
  bool gate = vm_i8254_gate ((VmI8254 *) self->pit, 2);
  int16_t level = !(self->data & P61_SPEAKER) ? LEVEL_LOW : gate ? LEVEL_TONE : LEVEL_HIGH;

  if (!self->voice || (level == LEVEL_LOW && !vm_audio_is_active (self->voice)))
    return;
  vm_step_signal_set (&self->signal, pcspk_now (self), level);
  vm_audio_set_active (self->voice, true);
}

/* --- the port --------------------------------------------------------------------------------- */

static uint64_t
pcspk_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPcspk *self = opaque;
  VmI8254 *pit = (VmI8254 *) self->pit;

  return self->data | (pcspk_now (self) / REFRESH_NS & 1 ? P61_REFRESH : 0) | (vm_i8254_gate (pit, 2) ? P61_GATE2 : 0)
         | (vm_i8254_output (pit, 2) ? P61_OUT2 : 0);
}

static void
pcspk_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPcspk *self = opaque;

  self->data = value & (P61_SPEAKER | P61_NMI_ENABLES);
  vm_i8254_set_gate ((VmI8254 *) self->pit, 2, value & P61_GATE2);
  pcspk_update_level (self);
}

static const VmRegionOps pcspk_ops = { .read = pcspk_read, .write = pcspk_write, .impl = { .min = 1, .max = 1 } };

/* --- life ------------------------------------------------------------------------------------- */

static void
pcspk_reset (VmDevice *dev, VmResetKind kind)
{
  VmPcspk *self = (VmPcspk *) dev;

  self->data = 0;
  vm_step_signal_reset (&self->signal, pcspk_now (self), LEVEL_LOW);
  if (self->voice)
    vm_audio_set_active (self->voice, false);
}

static bool
pcspk_realize (VmDevice *dev, GError **error)
{
  static const VmAudioFormat format = { RATE, 1, VM_AUDIO_S16, false };
  VmPcspk *self = (VmPcspk *) dev;

  if (!self->pit)
    return vm_fail (error, "pcspk: No \"pit\" set or available");
  if (!vm_isa_map_io (dev, self->iobase, 1, &pcspk_ops, self, error))
    return false;
  if (!self->card.audiodev || !*self->card.audiodev)
    return true;
  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, "pcspk", error))
    return false;
  self->voice = vm_audio_open_out (&self->card, "speaker", &format, on_play, self);
  return true;
}

static void
pcspk_unrealize (VmDevice *dev)
{
  VmPcspk *self = (VmPcspk *) dev;

  vm_audio_close (g_steal_pointer (&self->voice));
  vm_audio_card_detach (&self->card);
}

static bool
pcspk_post_load (VmDevice *dev, GError **error)
{
  VmPcspk *self = (VmPcspk *) dev;

  vm_step_signal_reset (&self->signal, pcspk_now (self), LEVEL_LOW);
  pcspk_update_level (self);
  return true;
}

static const VmProp pcspk_props[]
    = { VM_PROP ("iobase", VmPcspk, iobase, 0x61, "I/O port"),
        VM_AUDIO_CARD_PROPS (VmPcspk, card),
        VM_PROP ("migrate", VmPcspk, migrate, true, "on/off"),
        VM_PROP_LINK_TO ("pit", VmPcspk, pit, &vm_i8254_type, "the timer whose counter 2 drives the speaker"),
        { 0 } };

static const VmField pcspk_state[] = { VM_FIELD (VmPcspk, data), { 0 } };

static const VmDeviceClass pcspk_class = {
  .realize = pcspk_realize,
  .unrealize = pcspk_unrealize,
  .reset = pcspk_reset,
  .post_load = pcspk_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Sound",
};

const VmType vm_pcspk_type = {
  .name = "isa-pcspk",
  .parent = &vm_isa_device_type,
  .size = sizeof (VmPcspk),
  .help = "PC speaker",
  .props = pcspk_props,
  .state = pcspk_state,
  .klass = &pcspk_class,
};
