/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Crystal CS4231A codec (data sheet DS139) at the place of the Windows Sound System's: playing and recording by one
 * DMA channel, its timer. */
#include "audio/audio.h"
#include "devices/audio/compress.h"
#include "devices/isa/isa.h"

#include <math.h>

#define REGISTERS 32u
#define CHUNK 4096u
#define TIMER_NS INT64_C (9969) /* with the crystal for 44.1 kHz; 9920 with the other one */

enum
{
  PORT_INDEX,
  PORT_DATA,
  PORT_STATUS,
  PORT_PIO,
  PORTS
};
enum
{
  INDEX_MCE = 1 << 6,
  INDEX_TRD = 1 << 5,
  INDEX_MASK = 0x1f
};
enum
{
  STATUS_INT = 1 << 0,
  STATUS_PRDY = 1 << 1,
  STATUS_CRDY = 1 << 5
};
enum
{ /* indirect registers */
  CS_DAC_LEFT = 6,
  CS_DAC_RIGHT = 7,
  CS_FORMAT = 8,
  CS_INTERFACE = 9,
  CS_PIN = 10,
  CS_ERROR = 11,
  CS_MODE = 12,
  CS_UPPER = 14,
  CS_LOWER = 15,
  CS_FEATURE = 16,
  CS_TIMER_LOW = 20,
  CS_TIMER_HIGH = 21,
  CS_IRQ = 24,
  CS_VERSION = 25,
  CS_CAPTURE_FORMAT = 28,
  CS_CAPTURE_UPPER = 30,
  CS_CAPTURE_LOWER = 31,
};
enum
{
  INTERFACE_PEN = 1 << 0,
  INTERFACE_CEN = 1 << 1,
  INTERFACE_SDC = 1 << 2,
  INTERFACE_ACAL = 1 << 3,
  INTERFACE_PPIO = 1 << 6,
  INTERFACE_CPIO = 1 << 7
};
enum
{
  PIN_IEN = 1 << 1,
  MODE2 = 1 << 6,
  FEATURE_TE = 1 << 6,
  DAC_MUTE = 1 << 7
};
enum
{
  IRQ_PLAY = 1 << 4,
  IRQ_CAPTURE = 1 << 5,
  IRQ_TIMER = 1 << 6
};
enum
{
  FORMAT_STEREO = 1 << 4
};
enum
{
  FORMAT_U8 = 0,
  FORMAT_ULAW = 1,
  FORMAT_S16 = 2,
  FORMAT_ALAW = 3,
  FORMAT_ADPCM = 5,
  FORMAT_S16_BE = 6
};

typedef struct Cs4231a
{
  VmIsaDevice parent;
  /* properties */
  VmAudioCard card;
  uint32_t iobase, irq, dma;
  /* wiring */
  VmIrq line;
  VmAudioVoice *out, *in;
  /* guest state */
  uint8_t index, regs[REGISTERS];
  bool interrupt;
  uint32_t left;       /* bytes of the present block */
  VmImaAdpcm adpcm[2]; /* left and right */
  /* Between two samples of one byte: the second one to play, or the code of the first one that was recorded. */
  int16_t half;
  bool has_half;
  VmTimer timer;
} Cs4231a;

static void
cs_update_irq (Cs4231a *self)
{
  vm_irq_set (&self->line, self->interrupt && (self->regs[CS_PIN] & PIN_IEN));
}

static void
cs_raise (Cs4231a *self, uint8_t why)
{
  self->regs[CS_IRQ] |= why;
  self->interrupt = true;
  cs_update_irq (self);
}

/* --- formats ---------------------------------------------------------------------------------- */

static bool
is_capture (const Cs4231a *self)
{
  return !(self->regs[CS_INTERFACE] & INTERFACE_PEN);
}

static uint8_t
format_register (const Cs4231a *self)
{
  if (is_capture (self) && (self->regs[CS_MODE] & MODE2)) /* the rate is always that of the other one */
    return (self->regs[CS_CAPTURE_FORMAT] & 0xf0) | (self->regs[CS_FORMAT] & 0x0f);
  return self->regs[CS_FORMAT];
}

static unsigned
format_kind (const Cs4231a *self)
{
  return format_register (self) >> 5;
}

static unsigned
channels_of (const Cs4231a *self)
{
  return format_register (self) & FORMAT_STEREO ? 2 : 1;
}

/* Bytes of a frame of the guest; ADPCM counts words of four, "8 ADPCM samples". */
static unsigned
guest_frame (const Cs4231a *self)
{
  unsigned kind = format_kind (self);

  if (kind == FORMAT_ADPCM)
    return 4;
  return (kind == FORMAT_S16 || kind == FORMAT_S16_BE ? 2 : 1) * channels_of (self);
}

static VmAudioFormat
voice_format (const Cs4231a *self)
{
  static const uint16_t rates[2][8]
      = { { 8000, 16000, 27429, 32000, 0, 0, 48000, 9600 }, { 5513, 11025, 18900, 22050, 37800, 44100, 33075, 6615 } };
  uint8_t format = format_register (self);

  return (VmAudioFormat){
    .rate = rates[format & 1][format >> 1 & 7],
    .channels = (uint8_t) channels_of (self),
    .sample = format_kind (self) == FORMAT_U8 ? VM_AUDIO_U8 : VM_AUDIO_S16,
    .big_endian = format_kind (self) == FORMAT_S16_BE,
  };
}

/* --- blocks ----------------------------------------------------------------------------------- */

static uint32_t
block_bytes (const Cs4231a *self)
{
  bool own = is_capture (self) && (self->regs[CS_MODE] & MODE2) && !(self->regs[CS_INTERFACE] & INTERFACE_SDC);
  unsigned upper = own ? CS_CAPTURE_UPPER : CS_UPPER;

  return ((uint32_t) (self->regs[upper] << 8 | self->regs[upper + 1]) + 1) * guest_frame (self);
}

/* All that there is of LEN bytes, of this block and the next ones. */
static uint32_t
move_all (Cs4231a *self, uint8_t *buf, uint32_t len)
{
  uint32_t n = 0;

  for (uint32_t step = 1; n < len && step > 0; n += step)
    {
      bool terminal = false;

      step = vm_isa_dma_move (&self->parent.parent, self->dma, buf + n, MIN (len - n, self->left), &terminal);
      self->left -= step;
      if (self->left == 0)
        {
          self->left = block_bytes (self);
          cs_raise (self, is_capture (self) ? IRQ_CAPTURE : IRQ_PLAY);
        }
    }
  return n;
}

/* --- playing ---------------------------------------------------------------------------------- */

/* The lower half of a byte is the first sample, or the left one: in the order of the other formats, but not verified
 * against the data sheet's figures 16 and 17. Returns how many of the N wanted there are. */
static uint32_t
decode_adpcm (Cs4231a *self, uint8_t *out, uint32_t n)
{
  uint8_t codes[CHUNK / 4 + 1];
  uint32_t done = 0, got;

  if (self->has_half && n > 0)
    vm_store_le16 (out + 2 * done++, (uint16_t) self->half);
  self->has_half = n == 0 && self->has_half;
  got = move_all (self, codes, (n - done + 1) / 2);
  for (uint32_t i = 0; i < 2 * got; i++)
    {
      VmImaAdpcm *side = &self->adpcm[channels_of (self) == 2 ? i & 1 : 0];
      int16_t sample = vm_ima_decode (side, codes[i / 2] >> (i & 1 ? 4 : 0) & 15);

      self->has_half = done == n;
      if (self->has_half)
        self->half = sample;
      else
        vm_store_le16 (out + 2 * done++, (uint16_t) sample);
    }
  return done;
}

static uint32_t
decode_companded (Cs4231a *self, uint8_t *out, uint32_t n)
{
  bool ulaw = format_kind (self) == FORMAT_ULAW;
  uint8_t codes[CHUNK / 2];

  n = move_all (self, codes, n);
  for (uint32_t i = 0; i < n; i++)
    vm_store_le16 (out + 2 * i, (uint16_t) (ulaw ? vm_ulaw_decode (codes[i]) : vm_alaw_decode (codes[i])));
  return n;
}

/* What the voice knows goes as it is; compressed samples become ones of 16 bits. */
static void
on_play (void *opaque, size_t bytes)
{
  Cs4231a *self = opaque;
  VmAudioFormat format = voice_format (self);
  unsigned kind = format_kind (self), frame = vm_audio_frame_bytes (&format);
  uint8_t buf[CHUNK];

  for (uint32_t n = 1; bytes > 0 && n > 0; bytes -= MIN (n, bytes))
    {
      uint32_t wanted = (uint32_t) MIN (bytes, sizeof buf);

      if (kind == FORMAT_ADPCM)
        n = 2 * decode_adpcm (self, buf, wanted / 2);
      else if (kind == FORMAT_ULAW || kind == FORMAT_ALAW)
        n = 2 * decode_companded (self, buf, wanted / 2);
      else
        n = move_all (self, buf, wanted);
      vm_audio_write (self->out, buf, n - n % frame);
    }
}

/* --- recording -------------------------------------------------------------------------------- */

static void
record_adpcm (Cs4231a *self, const uint8_t *samples, uint32_t n)
{
  uint8_t codes[CHUNK / 4 + 1];
  uint32_t done = 0;

  for (uint32_t i = 0; i < n; i++)
    {
      VmImaAdpcm *side = &self->adpcm[channels_of (self) == 2 ? i & 1 : 0];
      uint8_t code = vm_ima_encode (side, (int16_t) vm_load_le16 (samples + 2 * i));

      if (self->has_half)
        codes[done++] = (uint8_t) (self->half | code << 4);
      else
        self->half = code;
      self->has_half = !self->has_half;
    }
  move_all (self, codes, done);
}

static void
record_companded (Cs4231a *self, const uint8_t *samples, uint32_t n)
{
  bool ulaw = format_kind (self) == FORMAT_ULAW;
  uint8_t codes[CHUNK / 2];

  for (uint32_t i = 0; i < n; i++)
    {
      int16_t sample = (int16_t) vm_load_le16 (samples + 2 * i);

      codes[i] = ulaw ? vm_ulaw_encode (sample) : vm_alaw_encode (sample);
    }
  move_all (self, codes, n);
}

static void
on_record (void *opaque, size_t bytes)
{
  Cs4231a *self = opaque;
  unsigned kind = format_kind (self);
  uint8_t buf[CHUNK];
  uint32_t n;

  while ((n = (uint32_t) vm_audio_read (self->in, buf, sizeof buf)) > 0)
    if (kind == FORMAT_ADPCM)
      record_adpcm (self, buf, n / 2);
    else if (kind == FORMAT_ULAW || kind == FORMAT_ALAW)
      record_companded (self, buf, n / 2);
    else
      move_all (self, buf, n);
}

static void
cs_update_voices (Cs4231a *self)
{
  uint8_t interface = self->regs[CS_INTERFACE];
  bool play = (interface & (INTERFACE_PEN | INTERFACE_PPIO)) == INTERFACE_PEN;
  bool record = !(interface & INTERFACE_PEN) && (interface & (INTERFACE_CEN | INTERFACE_CPIO)) == INTERFACE_CEN;
  VmAudioFormat format = voice_format (self);

  if ((play && !vm_audio_is_active (self->out)) || (record && !vm_audio_is_active (self->in)))
    {
      self->left = block_bytes (self);
      memset (self->adpcm, 0, sizeof self->adpcm);
      self->has_half = false;
    }
  vm_audio_set_format (play ? self->out : self->in, &format);
  vm_audio_set_active (self->out, play);
  vm_audio_set_active (self->in, record);
  vm_isa_dma_request (&self->parent.parent, self->dma, play || record);
}

static void
cs_update_volume (Cs4231a *self)
{
  float gain[2];

  for (unsigned i = 0; i < 2; i++)
    gain[i]
        = self->regs[CS_DAC_LEFT + i] & DAC_MUTE ? 0 : (float) pow (10, -1.5 * (self->regs[CS_DAC_LEFT + i] & 63) / 20);
  vm_audio_set_volume (self->out, false, 2, gain);
}

/* --- timer ------------------------------------------------------------------------------------ */

static void
timer_start (Cs4231a *self)
{
  uint32_t count = (uint32_t) (self->regs[CS_TIMER_HIGH] << 8 | self->regs[CS_TIMER_LOW]);

  if ((self->regs[CS_FEATURE] & FEATURE_TE) && count)
    vm_timer_set (&self->timer,
                  vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) + (int64_t) count * TIMER_NS);
  else
    vm_timer_cancel (&self->timer);
}

static void
on_timer (void *opaque)
{
  cs_raise (opaque, IRQ_TIMER);
  timer_start (opaque);
}

/* --- registers -------------------------------------------------------------------------------- */

/* Which bits a driver can change; registers above 15 are there in mode 2. */
static uint8_t
writable_bits (const Cs4231a *self, unsigned reg)
{
  switch (reg)
    {
    case CS_INTERFACE: /* transfers start and end at any time, the rest needs the mode change bit */
      return self->index & INDEX_MCE ? 0xcf : INTERFACE_PEN | INTERFACE_CEN;
    case CS_FORMAT:
    case CS_CAPTURE_FORMAT:
      return self->index & INDEX_MCE ? 0xff : 0xf0;
    case CS_ERROR:
    case CS_VERSION:
      return 0;
    case CS_MODE:
      return MODE2;
    default:
      return 0xff;
    }
}

static void
cs_write_data (Cs4231a *self, uint8_t value)
{
  unsigned reg = self->index & INDEX_MASK & (self->regs[CS_MODE] & MODE2 ? 31 : 15);
  uint8_t mask = writable_bits (self, reg);

  if (reg == CS_IRQ) /* zeros acknowledge */
    {
      self->regs[CS_IRQ] &= value;
      self->interrupt = self->regs[CS_IRQ] & (IRQ_PLAY | IRQ_CAPTURE | IRQ_TIMER);
    }
  else
    self->regs[reg] = (uint8_t) ((self->regs[reg] & ~mask) | (value & mask));
  if (reg == CS_DAC_LEFT || reg == CS_DAC_RIGHT)
    cs_update_volume (self);
  else if (reg == CS_FORMAT || reg == CS_CAPTURE_FORMAT || reg == CS_INTERFACE)
    cs_update_voices (self);
  if (reg == CS_UPPER || reg == CS_CAPTURE_UPPER || reg == CS_FORMAT || reg == CS_CAPTURE_FORMAT)
    self->left = block_bytes (self);
  else if (reg == CS_FEATURE || reg == CS_TIMER_HIGH)
    timer_start (self);
  cs_update_irq (self);
}

static uint64_t
cs_read (void *opaque, uint64_t offset, unsigned size)
{
  Cs4231a *self = opaque;

  switch (offset)
    {
    case PORT_INDEX:
      return self->index;
    case PORT_DATA:
      return self->regs[self->index & INDEX_MASK & (self->regs[CS_MODE] & MODE2 ? 31 : 15)];
    case PORT_STATUS:
      return STATUS_PRDY | STATUS_CRDY | (self->interrupt ? STATUS_INT : 0);
    default:
      return 0x80;
    }
}

static void
cs_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Cs4231a *self = opaque;

  switch (offset)
    {
    case PORT_INDEX:
      self->index = value & (INDEX_MCE | INDEX_TRD | INDEX_MASK);
      break;
    case PORT_DATA:
      cs_write_data (self, (uint8_t) value);
      break;
    case PORT_STATUS: /* any write */
      self->interrupt = false;
      self->regs[CS_IRQ] &= (uint8_t) ~(IRQ_PLAY | IRQ_CAPTURE | IRQ_TIMER);
      cs_update_irq (self);
      break;
    default:
      break;
    }
}

static const VmRegionOps cs_ops = { .read = cs_read, .write = cs_write, .impl = { .min = 1, .max = 1 } };

/* --- life ------------------------------------------------------------------------------------- */

static void
cs_reset (VmDevice *dev, VmResetKind kind)
{
  Cs4231a *self = (Cs4231a *) dev;

  memset (self->regs, 0, sizeof self->regs);
  for (unsigned reg = 2; reg <= 5; reg++)
    self->regs[reg] = 0x88;
  self->regs[CS_DAC_LEFT] = self->regs[CS_DAC_RIGHT] = DAC_MUTE;
  self->regs[CS_INTERFACE] = INTERFACE_ACAL;
  self->regs[CS_MODE] = 0x8a;
  self->regs[18] = self->regs[19] = 0x88;
  self->regs[CS_VERSION] = 0xa0;
  self->index = INDEX_MCE;
  self->interrupt = false;
  self->left = 1;
  vm_timer_cancel (&self->timer);
  cs_update_voices (self);
  cs_update_volume (self);
  cs_update_irq (self);
}

static void
on_service (void *opaque, unsigned channel)
{
}

static bool
cs_realize (VmDevice *dev, GError **error)
{
  static const VmAudioFormat format = { 8000, 1, VM_AUDIO_U8, false };
  Cs4231a *self = (Cs4231a *) dev;

  if (self->dma > 3 || self->dma == 2)
    return vm_fail (error, "cs4231a: dma must be 0, 1 or 3");
  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  if (!vm_isa_map_io (dev, self->iobase, PORTS, &cs_ops, self, error)
      || !vm_isa_dma_attach (dev, self->dma, (VmIsaDmaClient){ on_service, self }, error))
    {
      vm_audio_card_detach (&self->card);
      return false;
    }
  self->line = vm_isa_irq (dev, self->irq);
  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, on_timer, self);
  self->out = vm_audio_open_out (&self->card, "dac", &format, on_play, self);
  self->in = vm_audio_open_in (&self->card, "adc", &format, on_record, self);
  return true;
}

static void
cs_unrealize (VmDevice *dev)
{
  Cs4231a *self = (Cs4231a *) dev;

  vm_timer_cancel (&self->timer);
  vm_isa_dma_detach (dev, self->dma);
  vm_audio_close (g_steal_pointer (&self->out));
  vm_audio_close (g_steal_pointer (&self->in));
  vm_audio_card_detach (&self->card);
}

static bool
cs_post_load (VmDevice *dev, GError **error)
{
  Cs4231a *self = (Cs4231a *) dev;
  uint32_t left = self->left;
  int16_t half = self->half;
  bool has_half = self->has_half;
  VmImaAdpcm adpcm[2];

  if (left == 0 || left > 0x40000 || (is_capture (self) && (half & ~15) && has_half))
    return vm_fail (error, "a block is out of bounds");
  memcpy (adpcm, self->adpcm, sizeof adpcm);
  cs_update_voices (self); /* which begins anew */
  cs_update_volume (self);
  memcpy (self->adpcm, adpcm, sizeof adpcm);
  self->left = left;
  self->half = half;
  self->has_half = has_half;
  return true;
}

static const VmProp cs_props[] = { VM_AUDIO_CARD_PROPS (Cs4231a, card),
                                   VM_PROP ("iobase", Cs4231a, iobase, 0x534, "first I/O port"),
                                   VM_PROP ("irq", Cs4231a, irq, 9, "ISA interrupt line"),
                                   VM_PROP ("dma", Cs4231a, dma, 3, "DMA channel"),
                                   { 0 } };

static const VmField cs_state[] = { VM_FIELD (Cs4231a, index),
                                    VM_FIELD_ARRAY (Cs4231a, regs),
                                    VM_FIELD (Cs4231a, interrupt),
                                    VM_FIELD (Cs4231a, left),
                                    VM_FIELD (Cs4231a, adpcm[0].sample),
                                    VM_FIELD (Cs4231a, adpcm[0].step),
                                    VM_FIELD (Cs4231a, adpcm[1].sample),
                                    VM_FIELD (Cs4231a, adpcm[1].step),
                                    VM_FIELD (Cs4231a, half),
                                    VM_FIELD (Cs4231a, has_half),
                                    VM_FIELD_TIMER_OF (Cs4231a, timer),
                                    { 0 } };

static const VmDeviceClass cs_class = {
  .realize = cs_realize,
  .unrealize = cs_unrealize,
  .reset = cs_reset,
  .post_load = cs_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Sound",
  .user_creatable = true,
};

const VmType vm_cs4231a_type = {
  .name = "cs4231a",
  .parent = &vm_isa_device_type,
  .size = sizeof (Cs4231a),
  .help = "Crystal Semiconductor CS4231A",
  .props = cs_props,
  .state = cs_state,
  .klass = &cs_class,
};
