/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound Blaster 16 with DSP 4.05 (Sound Blaster Series Hardware Programming Guide): ports, interrupts, life. FM music
 * is the business of another card ("adlib"). */
#include "devices/audio/sb16.h"

enum
{
  PORT_MIXER_INDEX = 0x4,
  PORT_MIXER_DATA = 0x5,
  PORT_RESET = 0x6,
  PORT_READ = 0xa,
  PORT_WRITE = 0xc,
  PORT_STATUS = 0xe,
  PORT_ACK16 = 0xf
};

#define DIRECT_RATE 44100u

void
sb16_raise (Sb16 *self, uint8_t bits)
{
  self->status |= bits;
  vm_irq_raise (&self->line);
}

static void
sb16_acknowledge (Sb16 *self, uint8_t bits)
{
  self->status &= (uint8_t) ~bits;
  vm_irq_set (&self->line, self->status != 0);
}

static void
on_silence (void *opaque)
{
  sb16_raise (opaque, 1);
}

static double
direct_area (void *opaque, int16_t level, int64_t from, int64_t to)
{
  return level / 32768.0 * (double) (to - from);
}

/* Samples one by one go on being heard for a while after the last one. */
static void
on_direct (void *opaque, size_t bytes)
{
  Sb16 *self = opaque;
  int64_t now = vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);

  vm_step_signal_play (&self->signal, self->direct, now, DIRECT_RATE, bytes, direct_area, NULL);
  if (now - self->signal.last > VM_NS_PER_SEC)
    vm_audio_set_active (self->direct, false);
}

/* --- ports ------------------------------------------------------------------------------------ */

static uint8_t
port_read (Sb16 *self, unsigned port)
{
  switch (port)
    {
    case PORT_MIXER_INDEX:
      return self->mixer_index;
    case PORT_MIXER_DATA:
      return sb16_mixer_read (self);
    case PORT_READ:
      return sb16_dsp_read (self);
    case PORT_WRITE: /* always ready */
      return 0x7f;
    case PORT_STATUS:
      sb16_acknowledge (self, 1);
      return self->n_reply ? 0xff : 0x7f;
    case PORT_ACK16:
      sb16_acknowledge (self, 2);
      return 0xff;
    default:
      return 0xff;
    }
}

static void
port_write (Sb16 *self, unsigned port, uint8_t value)
{
  switch (port)
    {
    case PORT_MIXER_INDEX:
      self->mixer_index = value;
      break;
    case PORT_MIXER_DATA:
      sb16_mixer_write (self, value);
      break;
    case PORT_RESET:
      if (self->in_reset && !(value & 1))
        {
          sb16_dsp_reset (self);
          self->reply[0] = 0xaa;
          self->n_reply = 1;
        }
      self->in_reset = value & 1;
      break;
    case PORT_WRITE:
      sb16_dsp_write (self, value);
      break;
    default:
      break;
    }
}

/* Ports 4 to 6 and A to F; what is in between belongs to FM music. */
static uint64_t
low_read (void *opaque, uint64_t offset, unsigned size)
{
  return port_read (opaque, (unsigned) offset + PORT_MIXER_INDEX);
}

static void
low_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  port_write (opaque, (unsigned) offset + PORT_MIXER_INDEX, (uint8_t) value);
}

static uint64_t
high_read (void *opaque, uint64_t offset, unsigned size)
{
  return port_read (opaque, (unsigned) offset + PORT_READ);
}

static void
high_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  port_write (opaque, (unsigned) offset + PORT_READ, (uint8_t) value);
}

static const VmRegionOps low_ops = { .read = low_read, .write = low_write, .impl = { .min = 1, .max = 1 } };
static const VmRegionOps high_ops = { .read = high_read, .write = high_write, .impl = { .min = 1, .max = 1 } };

/* --- life ------------------------------------------------------------------------------------- */

static const struct
{
  uint8_t irq, bit;
} irq_bits[] = { { 2, 0 }, { 9, 0 }, { 5, 1 }, { 7, 2 }, { 10, 3 } };

static void
sb16_reset (VmDevice *dev, VmResetKind kind)
{
  Sb16 *self = (Sb16 *) dev;

  self->mixer[SB_MIXER_IRQ] = 0;
  for (size_t i = 0; i < G_N_ELEMENTS (irq_bits); i++)
    if (irq_bits[i].irq == self->irq)
      self->mixer[SB_MIXER_IRQ] = (uint8_t) (1 << irq_bits[i].bit);
  self->mixer[SB_MIXER_DMA] = (uint8_t) (1 << self->dma | 1 << self->dma16);
  self->mixer_index = 0;
  self->in_reset = false;
  self->test = 0;
  memset (self->asp, 0, sizeof self->asp);
  vm_audio_set_active (self->direct, false);
  vm_step_signal_reset (&self->signal, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL), 0);
  sb16_dsp_reset (self);
  sb16_mixer_reset (self);
  sb16_connect (self);
}

static bool
sb16_check (const Sb16 *self, GError **error)
{
  bool known = false;

  for (size_t i = 0; i < G_N_ELEMENTS (irq_bits); i++)
    known |= irq_bits[i].irq == self->irq;
  if (!known)
    return vm_fail (error, "sb16: irq must be 2, 5, 7, 9 or 10");
  if (self->dma > 3 || self->dma == 2)
    return vm_fail (error, "sb16: dma must be 0, 1 or 3");
  if (self->dma16 > 7 || self->dma16 == 2 || self->dma16 == 4)
    return vm_fail (error, "sb16: dma16 must be 5, 6, 7 or a channel of bytes");
  return true;
}

static bool
sb16_realize (VmDevice *dev, GError **error)
{
  static const VmAudioFormat direct = { DIRECT_RATE, 1, VM_AUDIO_S16, false };
  Sb16 *self = (Sb16 *) dev;

  if (!sb16_check (self, error)
      || !vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  if (!vm_isa_map_io (dev, self->iobase + PORT_MIXER_INDEX, 3, &low_ops, self, error)
      || !vm_isa_map_io (dev, self->iobase + PORT_READ, 6, &high_ops, self, error))
    {
      vm_audio_card_detach (&self->card);
      return false;
    }
  vm_timer_init (&self->silence, dev->env->clocks, VM_CLOCK_VIRTUAL, on_silence, self);
  for (unsigned i = 0; i < 2; i++)
    sb16_transfer_open (&self->transfer[i], self, i);
  self->direct = vm_audio_open_out (&self->card, "direct", &direct, on_direct, self);
  return true;
}

static void
sb16_unrealize (VmDevice *dev)
{
  Sb16 *self = (Sb16 *) dev;

  vm_timer_cancel (&self->silence);
  for (unsigned i = 0; i < 2; i++)
    sb16_transfer_close (&self->transfer[i]);
  vm_audio_close (g_steal_pointer (&self->direct));
  vm_audio_card_detach (&self->card);
}

static bool
sb16_post_load (VmDevice *dev, GError **error)
{
  Sb16 *self = (Sb16 *) dev;

  if (self->reply_at >= sizeof self->reply || self->n_reply > sizeof self->reply || self->wanted > 3)
    return vm_fail (error, "the DSP's queue is out of bounds");
  for (unsigned i = 0; i < 2; i++)
    {
      const Sb16Transfer *t = &self->transfer[i];

      if (t->left > t->block || t->block > 0x20000 || (t->running && t->left == 0))
        return vm_fail (error, "a block is out of bounds");
      if (t->packed == 1 || t->packed > 4 || t->n_spare > sizeof t->spare || (t->packed && t->stereo))
        return vm_fail (error, "a compressed format is out of bounds");
    }
  vm_step_signal_reset (&self->signal, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL), 0);
  sb16_connect (self);
  sb16_update_volume (self);
  for (unsigned i = 0; i < 2; i++)
    sb16_transfer_update (&self->transfer[i]);
  return true;
}

static const VmProp sb16_props[] = { VM_AUDIO_CARD_PROPS (Sb16, card),
                                     VM_PROP ("version", Sb16, version, 0x0405, "of the DSP"),
                                     VM_PROP ("iobase", Sb16, iobase, 0x220, "first I/O port"),
                                     VM_PROP ("irq", Sb16, irq, 5, "ISA interrupt line"),
                                     VM_PROP ("dma", Sb16, dma, 1, "DMA channel for bytes"),
                                     VM_PROP ("dma16", Sb16, dma16, 5, "DMA channel for words"),
                                     { 0 } };

static const VmField sb16_state[] = { VM_FIELD_EMBED_ARRAY (Sb16, transfer, sb16_transfer_state),
                                      VM_FIELD (Sb16, command),
                                      VM_FIELD_ARRAY (Sb16, args),
                                      VM_FIELD (Sb16, n_args),
                                      VM_FIELD (Sb16, wanted),
                                      VM_FIELD_ARRAY (Sb16, reply),
                                      VM_FIELD (Sb16, reply_at),
                                      VM_FIELD (Sb16, n_reply),
                                      VM_FIELD (Sb16, last_reply),
                                      VM_FIELD (Sb16, test),
                                      VM_FIELD_ARRAY (Sb16, asp),
                                      VM_FIELD (Sb16, in_reset),
                                      VM_FIELD (Sb16, speaker),
                                      VM_FIELD (Sb16, rate),
                                      VM_FIELD (Sb16, time_constant),
                                      VM_FIELD (Sb16, block),
                                      VM_FIELD (Sb16, input_stereo),
                                      VM_FIELD (Sb16, status),
                                      VM_FIELD (Sb16, mixer_index),
                                      VM_FIELD_ARRAY (Sb16, mixer),
                                      VM_FIELD_TIMER_OF (Sb16, silence),
                                      { 0 } };

static const VmDeviceClass sb16_class = {
  .realize = sb16_realize,
  .unrealize = sb16_unrealize,
  .reset = sb16_reset,
  .post_load = sb16_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Sound",
  .user_creatable = true,
};

const VmType vm_sb16_type = {
  .name = "sb16",
  .parent = &vm_isa_device_type,
  .size = sizeof (Sb16),
  .help = "Creative Sound Blaster 16",
  .props = sb16_props,
  .state = sb16_state,
  .klass = &sb16_class,
};
