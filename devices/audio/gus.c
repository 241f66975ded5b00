/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gravis UltraSound (UltraSound Software Development Kit 2.22, chapters 2 and 3): registers of the GF1, memory, DMA,
 * timers, interrupts. Its voices are in gus-voice.c. The line and the channel are those of the properties, whatever
 * its latches say. */
#include "devices/audio/gus.h"

#define CHUNK 512u

enum
{ /* from the first port */
  PORT_MIXER = 0x0,
  PORT_STATUS = 0x6,
  PORT_TIMER = 0x8,
  PORT_TIMER_DATA = 0x9,
  PORT_LATCH = 0xb,
};
enum
{ /* from 100h after it */
  PORT_PAGE = 0x2,
  PORT_SELECT = 0x3,
  PORT_LOW = 0x4,
  PORT_HIGH = 0x5,
  PORT_MEMORY = 0x7,
};
enum
{ /* registers of a voice; 80h more to read them */
  REG_CONTROL,
  REG_FREQUENCY,
  REG_START_HIGH,
  REG_START_LOW,
  REG_END_HIGH,
  REG_END_LOW,
  REG_RAMP_RATE,
  REG_RAMP_START,
  REG_RAMP_END,
  REG_VOLUME,
  REG_POSITION_HIGH,
  REG_POSITION_LOW,
  REG_PAN,
  REG_RAMP_CONTROL,
  REG_ACTIVE,
  REG_IRQ_SOURCE = 0x0f,
  REG_DMA_CONTROL = 0x41,
  REG_DMA_ADDRESS,
  REG_PEEK_LOW,
  REG_PEEK_HIGH,
  REG_TIMER_CONTROL,
  REG_TIMER1,
  REG_TIMER2,
  REG_SAMPLE_RATE,
  REG_SAMPLE_CONTROL,
  REG_RESET = 0x4c,
};
enum
{
  STATUS_TIMER1 = 1 << 2,
  STATUS_TIMER2 = 1 << 3,
  STATUS_WAVE = 1 << 5,
  STATUS_RAMP = 1 << 6,
  STATUS_DMA = 1 << 7
};
enum
{
  DMA_ENABLE = 1 << 0,
  DMA_TO_HOST = 1 << 1,
  DMA_WIDE_CHANNEL = 1 << 2,
  DMA_IRQ = 1 << 5,
  DMA_WIDE_DATA = 1 << 6,
  DMA_INVERT = 1 << 7,
  DMA_PENDING = 1 << 6
};
enum
{
  SAMPLE_START = 1 << 0,
  SAMPLE_STEREO = 1 << 1,
  SAMPLE_IRQ = 1 << 5,
  SAMPLE_PENDING = 1 << 6,
  SAMPLE_INVERT = 1 << 7
};
enum
{
  RESET_RUN = 1 << 0,
  RESET_DAC = 1 << 1,
  RESET_IRQ = 1 << 2
};
enum
{
  MIXER_NO_OUTPUT = 1 << 1
};

static VmDevice *
gus_device (Gus *self)
{
  return &self->parent.parent;
}

/* --- interrupts ------------------------------------------------------------------------------- */

static uint8_t
gus_status (const Gus *self)
{
  uint8_t status = self->status;

  if (self->wave_pending)
    status |= STATUS_WAVE;
  if (self->ramp_pending)
    status |= STATUS_RAMP;
  return status;
}

void
gus_update_irq (Gus *self)
{
  vm_irq_set (&self->line, gus_status (self) && (self->reset & RESET_IRQ));
}

/* Which voice it was: the lowest of those that wait. Reading takes it away; bits that are 0 say why. */
static uint8_t
take_irq_source (Gus *self)
{
  uint32_t waiting = self->wave_pending | self->ramp_pending, bit;
  uint8_t value;

  if (!waiting)
    return 0xe0;
  value = (uint8_t) __builtin_ctz (waiting);
  bit = 1u << value;
  value |= 0x20 | (self->wave_pending & bit ? 0 : 0x80) | (self->ramp_pending & bit ? 0 : 0x40);
  self->wave_pending &= ~bit;
  self->ramp_pending &= ~bit;
  gus_update_irq (self);
  return value;
}

/* --- timers: as on an AdLib card -------------------------------------------------------------- */

static void
timer_set (Gus *self, unsigned n)
{
  int64_t period = (256 - self->timer_count[n]) * (n ? 320 : 80) * VM_NS_PER_US;

  vm_timer_set (&self->timer[n], vm_clock_now (gus_device (self)->env->clocks, VM_CLOCK_VIRTUAL) + period);
}

static void
timer_expired (Gus *self, unsigned n)
{
  if (!(self->timer_start >> (6 - n) & 1)) /* not masked */
    self->timer_status |= (uint8_t) (0x80 | 0x40 >> n);
  if (self->timer_control >> (2 + n) & 1)
    self->status |= (uint8_t) (STATUS_TIMER1 << n);
  timer_set (self, n);
  gus_update_irq (self);
}

static void
on_timer1 (void *opaque)
{
  timer_expired (opaque, 0);
}

static void
on_timer2 (void *opaque)
{
  timer_expired (opaque, 1);
}

static void
write_timer_start (Gus *self, uint8_t value)
{
  if (value & 0x80)
    {
      self->timer_status = 0;
      return;
    }
  for (unsigned n = 0; n < 2; n++)
    if (!(value >> n & 1))
      vm_timer_cancel (&self->timer[n]);
    else if (!vm_timer_pending (&self->timer[n]))
      timer_set (self, n);
  self->timer_start = value;
}

/* --- DMA to and from its memory --------------------------------------------------------------- */

static uint32_t
dma_memory_address (const Gus *self, uint32_t moved)
{
  uint32_t address = (uint32_t) self->dma_address << 4;

  if (self->dma_control & DMA_WIDE_CHANNEL)
    address = gus_wide_address (address);
  return (address + moved) & (GUS_MEMORY - 1);
}

static void
invert (uint8_t *bytes, uint32_t n, bool wide)
{
  for (uint32_t i = wide ? 1 : 0; i < n; i += wide ? 2 : 1)
    bytes[i] ^= 0x80;
}

/* The whole of what the controller was programmed for, up to its count's end. */
static void
on_service (void *opaque, unsigned channel)
{
  Gus *self = opaque;
  bool terminal = false, to_host = self->dma_control & DMA_TO_HOST;
  uint8_t buf[CHUNK];
  uint32_t moved = 0, n;

  if (!(self->dma_control & DMA_ENABLE))
    return;
  do
    {
      uint32_t at = dma_memory_address (self, moved), room = MIN (sizeof buf, GUS_MEMORY - at);

      if (to_host)
        memcpy (buf, self->memory + at, room);
      n = vm_isa_dma_move (gus_device (self), self->dma, buf, room, &terminal);
      if (!to_host)
        {
          if (self->dma_control & DMA_INVERT)
            invert (buf, n, self->dma_control & DMA_WIDE_DATA);
          memcpy (self->memory + at, buf, n);
        }
      moved += n;
    }
  while (n > 0 && !terminal && moved < 2 * GUS_MEMORY);
  if (!terminal)
    return;
  self->dma_control &= (uint8_t) ~DMA_ENABLE;
  vm_isa_dma_request (gus_device (self), self->dma, false);
  if (self->dma_control & DMA_IRQ)
    self->status |= STATUS_DMA;
  gus_update_irq (self);
}

/* --- recording -------------------------------------------------------------------------------- */

static VmAudioFormat
sample_format (const Gus *self)
{
  return (VmAudioFormat){
    .rate = 9878400 / (16 * (self->sample_rate + 2u)),
    .channels = self->sample_control & SAMPLE_STEREO ? 2 : 1,
    .sample = self->sample_control & SAMPLE_INVERT ? VM_AUDIO_S8 : VM_AUDIO_U8,
  };
}

static void
on_record (void *opaque, size_t bytes)
{
  Gus *self = opaque;
  uint8_t buf[CHUNK];
  bool terminal = false;
  size_t n;

  while (!terminal && (n = vm_audio_read (self->in, buf, sizeof buf)) > 0)
    for (uint32_t at = 0, step = 1; at < n && step > 0 && !terminal; at += step)
      step = vm_isa_dma_move (gus_device (self), self->dma, buf + at, (uint32_t) n - at, &terminal);
  if (!terminal)
    return;
  vm_audio_set_active (self->in, false);
  self->sample_control &= (uint8_t) ~SAMPLE_START;
  if (self->sample_control & SAMPLE_IRQ)
    {
      self->sample_control |= SAMPLE_PENDING;
      self->status |= STATUS_DMA;
    }
  gus_update_irq (self);
}

static void
write_sample_control (Gus *self, uint8_t value)
{
  VmAudioFormat format;

  self->sample_control = value & (uint8_t) ~SAMPLE_PENDING;
  format = sample_format (self);
  vm_audio_set_format (self->in, &format);
  vm_audio_set_active (self->in, value & SAMPLE_START);
}

/* --- sound ------------------------------------------------------------------------------------ */

static void
update_active (Gus *self)
{
  vm_audio_set_active (self->out, (self->reset & RESET_RUN) && !gus_is_silent (self));
}

static void
on_play (void *opaque, size_t bytes)
{
  Gus *self = opaque;
  float frames[2 * CHUNK];
  bool heard = (self->reset & (RESET_RUN | RESET_DAC)) == (RESET_RUN | RESET_DAC) && !(self->mixer & MIXER_NO_OUTPUT);

  update_active (self);
  for (size_t left = bytes / sizeof (float[2]), n; left > 0; left -= n)
    {
      n = MIN (left, CHUNK);
      gus_render (self, frames, n);
      if (!heard)
        memset (frames, 0, sizeof frames);
      vm_audio_write (self->out, frames, n * sizeof (float[2]));
    }
  gus_update_irq (self);
}

/* --- registers of voices ---------------------------------------------------------------------- */

static void
set_part (uint32_t *where, uint16_t value, bool high)
{
  if (high)
    *where = (*where & 0xffff) | (uint32_t) (value & 0x1fff) << 16;
  else
    *where = (*where & 0x1fff0000) | (value & 0xffe0); /* 20.9 with the last fraction bits away */
}

static void
voice_write (Gus *self, GusVoice *v, uint8_t reg, uint16_t value)
{
  uint8_t high = (uint8_t) (value >> 8);
  uint32_t bit = 1u << (v - self->voice), position;

  switch (reg)
    {
    case REG_CONTROL:
      v->control = high & 0x7f;
      if (!(high & GUS_IRQ))
        self->wave_pending &= ~bit;
      break;
    case REG_FREQUENCY:
      v->frequency = value;
      break;
    case REG_START_HIGH:
    case REG_START_LOW:
      set_part (&v->start, value, reg == REG_START_HIGH);
      break;
    case REG_END_HIGH:
    case REG_END_LOW:
      set_part (&v->end, value, reg == REG_END_HIGH);
      break;
    case REG_RAMP_RATE:
      v->ramp_rate = high;
      break;
    case REG_RAMP_START:
      v->ramp_start = high;
      break;
    case REG_RAMP_END:
      v->ramp_end = high;
      break;
    case REG_VOLUME:
      v->volume = (uint32_t) (value >> 4) << 16;
      break;
    case REG_POSITION_HIGH:
    case REG_POSITION_LOW: /* all nine bits of fraction */
      position = (uint32_t) (v->position >> 23);
      position = reg == REG_POSITION_HIGH ? (position & 0xffff) | (uint32_t) (value & 0x1fff) << 16
                                          : (position & 0x1fff0000) | value;
      v->position = (uint64_t) position << 23;
      break;
    case REG_PAN:
      v->pan = high & 15;
      break;
    case REG_RAMP_CONTROL:
      v->ramp_control = high & 0x7f;
      if (!(high & GUS_IRQ))
        self->ramp_pending &= ~bit;
      break;
    case REG_ACTIVE:
      self->active = (uint8_t) CLAMP ((high & 63) + 1, 14, 32);
      break;
    default:
      break;
    }
  update_active (self);
}

static uint16_t
voice_read (Gus *self, const GusVoice *v, uint8_t reg)
{
  uint32_t bit = 1u << (v - self->voice);

  switch (reg)
    {
    case REG_CONTROL:
      return (uint16_t) ((v->control | (self->wave_pending & bit ? GUS_PENDING : 0)) << 8);
    case REG_FREQUENCY:
      return v->frequency;
    case REG_START_HIGH:
      return (uint16_t) (v->start >> 16);
    case REG_START_LOW:
      return (uint16_t) v->start;
    case REG_END_HIGH:
      return (uint16_t) (v->end >> 16);
    case REG_END_LOW:
      return (uint16_t) v->end;
    case REG_RAMP_RATE:
      return (uint16_t) (v->ramp_rate << 8);
    case REG_RAMP_START:
      return (uint16_t) (v->ramp_start << 8);
    case REG_RAMP_END:
      return (uint16_t) (v->ramp_end << 8);
    case REG_VOLUME:
      return (uint16_t) (v->volume >> 16 << 4);
    case REG_POSITION_HIGH:
      return (uint16_t) (v->position >> 39);
    case REG_POSITION_LOW:
      return (uint16_t) (v->position >> 23);
    case REG_PAN:
      return (uint16_t) (v->pan << 8);
    case REG_RAMP_CONTROL:
      return (uint16_t) ((v->ramp_control | (self->ramp_pending & bit ? GUS_PENDING : 0)) << 8);
    case REG_ACTIVE:
      return (uint16_t) ((0xc0 | (self->active - 1)) << 8);
    case REG_IRQ_SOURCE:
      return (uint16_t) (take_irq_source (self) << 8);
    default:
      return 0;
    }
}

/* --- registers of the chip -------------------------------------------------------------------- */

/* Up to bit 0 of register 4Ch the whole chip stands still. */
static void
gus_write_reset (Gus *self, uint8_t value)
{
  if (!(value & RESET_RUN))
    {
      for (unsigned i = 0; i < GUS_VOICES; i++)
        self->voice[i]
            = (GusVoice){ .control = GUS_STOPPED | GUS_STOP, .ramp_control = GUS_STOPPED | GUS_STOP, .pan = 7 };
      self->active = 14;
      self->status = self->timer_control = self->dma_control = 0;
      self->wave_pending = self->ramp_pending = 0;
      vm_isa_dma_request (gus_device (self), self->dma, false);
      write_sample_control (self, 0);
    }
  self->reset = value & (RESET_RUN | RESET_DAC | RESET_IRQ);
  update_active (self);
}

static void
write_dma_control (Gus *self, uint8_t value)
{
  self->dma_control = value;
  vm_isa_dma_request (gus_device (self), self->dma, value & DMA_ENABLE);
}

static void
write_timer_control (Gus *self, uint8_t value)
{
  self->timer_control = value;
  for (unsigned n = 0; n < 2; n++)
    if (!(value >> (2 + n) & 1))
      self->status &= (uint8_t) ~(STATUS_TIMER1 << n);
}

static void
gus_write_register (Gus *self)
{
  uint8_t high = (uint8_t) (self->data >> 8);

  switch (self->reg)
    {
    case REG_DMA_CONTROL:
      write_dma_control (self, high);
      break;
    case REG_DMA_ADDRESS:
      self->dma_address = self->data;
      break;
    case REG_PEEK_LOW:
      self->peek = (self->peek & 0xf0000) | self->data;
      break;
    case REG_PEEK_HIGH:
      self->peek = (self->peek & 0xffff) | (uint32_t) (high & 15) << 16;
      break;
    case REG_TIMER_CONTROL:
      write_timer_control (self, high);
      break;
    case REG_TIMER1:
    case REG_TIMER2:
      self->timer_count[self->reg - REG_TIMER1] = high;
      break;
    case REG_SAMPLE_RATE:
      self->sample_rate = high;
      break;
    case REG_SAMPLE_CONTROL:
      write_sample_control (self, high);
      break;
    case REG_RESET:
      gus_write_reset (self, high);
      break;
    default:
      if (self->reg <= REG_ACTIVE)
        voice_write (self, &self->voice[self->page], self->reg, self->data);
      break;
    }
  gus_update_irq (self);
}

/* Reading the control registers of DMA acknowledges. */
static uint16_t
gus_read_register (Gus *self)
{
  uint8_t value;

  switch (self->reg)
    {
    case REG_DMA_CONTROL:
      value = (uint8_t) ((self->dma_control & ~DMA_PENDING) | (self->status & STATUS_DMA ? DMA_PENDING : 0));
      self->status &= (uint8_t) ~STATUS_DMA;
      break;
    case REG_DMA_ADDRESS:
      return self->dma_address;
    case REG_TIMER_CONTROL:
      value = self->timer_control;
      break;
    case REG_SAMPLE_CONTROL:
      value = self->sample_control;
      self->sample_control &= (uint8_t) ~SAMPLE_PENDING;
      self->status &= (uint8_t) ~STATUS_DMA;
      break;
    case REG_RESET:
      value = self->reset;
      break;
    default:
      return self->reg >= 0x80 && self->reg <= 0x8f ? voice_read (self, &self->voice[self->page], self->reg & 0xf) : 0;
    }
  gus_update_irq (self);
  return (uint16_t) (value << 8);
}

/* --- ports ------------------------------------------------------------------------------------ */

static uint64_t
low_read (void *opaque, uint64_t offset, unsigned size)
{
  Gus *self = opaque;

  switch (offset)
    {
    case PORT_MIXER:
      return self->mixer;
    case PORT_STATUS:
      return gus_status (self);
    case PORT_TIMER:
      return self->timer_status | (self->status & (STATUS_TIMER1 | STATUS_TIMER2)) >> 1;
    default:
      return 0xff;
    }
}

static void
low_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Gus *self = opaque;

  if (offset == PORT_MIXER)
    self->mixer = (uint8_t) value;
  else if (offset == PORT_TIMER)
    self->timer_index = (uint8_t) value;
  else if (offset == PORT_TIMER_DATA && self->timer_index == 4)
    write_timer_start (self, (uint8_t) value);
}

static uint64_t
high_read (void *opaque, uint64_t offset, unsigned size)
{
  Gus *self = opaque;

  switch (offset)
    {
    case PORT_PAGE:
      return self->page;
    case PORT_SELECT:
      return self->reg;
    case PORT_LOW:
      return size == 2 ? gus_read_register (self) : gus_read_register (self) & 0xff;
    case PORT_HIGH:
      return gus_read_register (self) >> 8;
    case PORT_MEMORY:
      return self->memory[self->peek];
    default:
      return 0xff;
    }
}

/* A register is written when its upper byte, or all of it, is. */
static void
high_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Gus *self = opaque;

  switch (offset)
    {
    case PORT_PAGE:
      self->page = value & (GUS_VOICES - 1);
      break;
    case PORT_SELECT:
      self->reg = (uint8_t) value;
      self->data = 0;
      break;
    case PORT_LOW:
      self->data = size == 2 ? (uint16_t) value : (uint16_t) ((self->data & 0xff00) | (value & 0xff));
      if (size == 2)
        gus_write_register (self);
      break;
    case PORT_HIGH:
      self->data = (uint16_t) ((self->data & 0xff) | (value & 0xff) << 8);
      gus_write_register (self);
      break;
    case PORT_MEMORY:
      self->memory[self->peek] = (uint8_t) value;
      break;
    default:
      break;
    }
}

static const VmRegionOps low_ops = { .read = low_read, .write = low_write, .impl = { .min = 1, .max = 1 } };
static const VmRegionOps high_ops = { .read = high_read, .write = high_write, .impl = { .min = 1, .max = 2 } };

/* --- life ------------------------------------------------------------------------------------- */

static void
gus_reset (VmDevice *dev, VmResetKind kind)
{
  Gus *self = (Gus *) dev;

  vm_timer_cancel (&self->timer[0]);
  vm_timer_cancel (&self->timer[1]);
  memset (self->memory, 0, self->memory_size);
  self->page = self->reg = self->sample_rate = self->timer_count[0] = self->timer_count[1] = 0;
  self->data = self->dma_address = 0;
  self->peek = 0;
  self->mixer = 3;
  self->timer_index = self->timer_start = self->timer_status = 0;
  gus_write_reset (self, 0);
  gus_update_irq (self);
}

static bool
gus_realize (VmDevice *dev, GError **error)
{
  Gus *self = (Gus *) dev;
  VmAudioFormat format = { self->freq, 2, VM_AUDIO_F32, false };

  if (self->freq < 8000 || self->freq > 192000)
    return vm_fail (error, "gus: freq must be from 8000 to 192000");
  if (self->dma > 7 || self->dma == 4)
    return vm_fail (error, "gus: there is no DMA channel %u", self->dma);
  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  if (!vm_isa_map_io (dev, self->iobase, 16, &low_ops, self, error)
      || !vm_isa_map_io (dev, self->iobase + 0x100, 8, &high_ops, self, error)
      || !vm_isa_dma_attach (dev, self->dma, (VmIsaDmaClient){ on_service, self }, error))
    {
      vm_audio_card_detach (&self->card);
      return false;
    }
  self->memory_size = GUS_MEMORY;
  self->memory = g_malloc0 (self->memory_size);
  gus_init_gains (self);
  self->active = 14;
  self->line = vm_isa_irq (dev, self->irq);
  vm_timer_init (&self->timer[0], dev->env->clocks, VM_CLOCK_VIRTUAL, on_timer1, self);
  vm_timer_init (&self->timer[1], dev->env->clocks, VM_CLOCK_VIRTUAL, on_timer2, self);
  self->out = vm_audio_open_out (&self->card, "gf1", &format, on_play, self);
  format = sample_format (self);
  self->in = vm_audio_open_in (&self->card, "adc", &format, on_record, self);
  return true;
}

static void
gus_unrealize (VmDevice *dev)
{
  Gus *self = (Gus *) dev;

  vm_timer_cancel (&self->timer[0]);
  vm_timer_cancel (&self->timer[1]);
  vm_isa_dma_detach (dev, self->dma);
  vm_audio_close (g_steal_pointer (&self->out));
  vm_audio_close (g_steal_pointer (&self->in));
  vm_audio_card_detach (&self->card);
  g_clear_pointer (&self->memory, g_free);
}

static bool
gus_post_load (VmDevice *dev, GError **error)
{
  Gus *self = (Gus *) dev;

  if (self->active < 14 || self->active > GUS_VOICES || self->page >= GUS_VOICES || self->peek >= GUS_MEMORY)
    return vm_fail (error, "a register is out of bounds");
  for (unsigned i = 0; i < GUS_VOICES; i++)
    {
      const GusVoice *v = &self->voice[i];

      if (v->volume >> 28 || v->position >> 52 || v->pan > 15 || (v->start | v->end) >> 29)
        return vm_fail (error, "voice %u is out of bounds", i);
    }
  VmAudioFormat format = sample_format (self);
  vm_audio_set_format (self->in, &format);
  vm_audio_set_active (self->in, self->sample_control & SAMPLE_START);
  update_active (self);
  return true;
}

static const VmProp gus_props[] = { VM_AUDIO_CARD_PROPS (Gus, card),
                                    VM_PROP ("freq", Gus, freq, 44100, "samples a second"),
                                    VM_PROP ("iobase", Gus, iobase, 0x240, "first I/O port"),
                                    VM_PROP ("irq", Gus, irq, 7, "ISA interrupt line"),
                                    VM_PROP ("dma", Gus, dma, 3, "DMA channel"),
                                    { 0 } };

static const VmField voice_state[]
    = { VM_FIELD (GusVoice, control),    VM_FIELD (GusVoice, ramp_control), VM_FIELD (GusVoice, ramp_rate),
        VM_FIELD (GusVoice, ramp_start), VM_FIELD (GusVoice, ramp_end),     VM_FIELD (GusVoice, pan),
        VM_FIELD (GusVoice, frequency),  VM_FIELD (GusVoice, start),        VM_FIELD (GusVoice, end),
        VM_FIELD (GusVoice, position),   VM_FIELD (GusVoice, volume),       { 0 } };

static const VmField gus_state[]
    = { VM_FIELD_HEAP (Gus, memory, memory_size),
        VM_FIELD_EMBED_ARRAY (Gus, voice, voice_state),
        VM_FIELD (Gus, active),
        VM_FIELD (Gus, page),
        VM_FIELD (Gus, reg),
        VM_FIELD (Gus, data),
        VM_FIELD (Gus, dma_control),
        VM_FIELD (Gus, sample_rate),
        VM_FIELD (Gus, sample_control),
        VM_FIELD (Gus, timer_control),
        VM_FIELD_ARRAY (Gus, timer_count),
        VM_FIELD (Gus, reset),
        VM_FIELD (Gus, dma_address),
        VM_FIELD (Gus, peek),
        VM_FIELD (Gus, mixer),
        VM_FIELD (Gus, status),
        VM_FIELD (Gus, timer_index),
        VM_FIELD (Gus, timer_start),
        VM_FIELD (Gus, timer_status),
        VM_FIELD (Gus, wave_pending),
        VM_FIELD (Gus, ramp_pending),
        { .name = "timer1", .kind = VM_FIELD_TIMER, .offset = offsetof (Gus, timer[0]), .count = 1 },
        { .name = "timer2", .kind = VM_FIELD_TIMER, .offset = offsetof (Gus, timer[1]), .count = 1 },
        { 0 } };

static const VmDeviceClass gus_class = {
  .realize = gus_realize,
  .unrealize = gus_unrealize,
  .reset = gus_reset,
  .post_load = gus_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Sound",
  .user_creatable = true,
};

const VmType vm_gus_type = {
  .name = "gus",
  .parent = &vm_isa_device_type,
  .size = sizeof (Gus),
  .help = "Gravis Ultrasound GF1",
  .props = gus_props,
  .state = gus_state,
  .klass = &gus_class,
};
