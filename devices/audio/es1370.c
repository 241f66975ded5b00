/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ensoniq AudioPCI (ES1370 specification, revision 0.93) with an AK4531 mixer (its data sheet, "register map"): two
 * players and one recorder, each with a buffer that it goes round and a count of samples to the next interrupt. */
#include "audio/audio.h"
#include "devices/pci/pci.h"

#include <math.h>

#define IO_SIZE 64u
#define CHUNK 4096u
#define PCLK 1411200u

enum
{
  CH_DAC1,
  CH_DAC2,
  CH_ADC,
  CHANNELS
};
enum
{
  ES_CONTROL = 0x00,
  ES_STATUS = 0x04,
  ES_UART = 0x08,
  ES_MEMPAGE = 0x0c,
  ES_CODEC = 0x10,
  ES_SERIAL = 0x20,
  ES_SCOUNT = 0x24, /* of DAC1, then DAC2 and ADC */
  ES_WINDOW = 0x30, /* 16 bytes of the page chosen */
};
enum
{
  CONTROL_ADC_EN = 1 << 4,
  CONTROL_DAC2_EN = 1 << 5,
  CONTROL_DAC1_EN = 1 << 6,
  CONTROL_WTSRSEL = 12,
  CONTROL_PCLKDIV = 16,
  CONTROL_ADC_STOP = 1u << 31,
};
enum
{
  STATUS_ADC = 1 << 0,
  STATUS_DAC2 = 1 << 1,
  STATUS_DAC1 = 1 << 2,
  STATUS_INTR = 1u << 31
};
enum
{
  SERIAL_P1_INT = 1 << 8,
  SERIAL_P2_INT = 1 << 9,
  SERIAL_R1_INT = 1 << 10,
  SERIAL_P1_PAUSE = 1 << 11,
  SERIAL_P2_PAUSE = 1 << 12,
  SERIAL_P1_ONCE = 1 << 13,
  SERIAL_P2_ONCE = 1 << 14,
  SERIAL_R1_ONCE = 1 << 15
};
enum
{
  PAGE_DAC = 0xc,
  PAGE_ADC = 0xd
};
enum
{
  FORMAT_STEREO = 1 << 0,
  FORMAT_16 = 1 << 1
};
enum
{
  AK_MASTER = 0,
  AK_VOICE = 2,
  AK_FM = 4,
  AK_RESET = 0x16,
  AK_REGISTERS = 0x1a,
  AK_MUTE = 0x80
};

typedef struct Es1370 Es1370;

typedef struct Es1370Channel
{
  Es1370 *card;
  unsigned index;
  VmAudioVoice *voice;
  /* guest state */
  uint32_t frame_addr;
  uint16_t frame_size;    /* longwords, less one */
  uint32_t position;      /* in bytes of the frame */
  uint16_t samples, left; /* to an interrupt, less one; of the present ones */
  bool stopped;           /* behind the last sample, when it is to play once */
} Es1370Channel;

struct Es1370
{
  VmPciDevice parent;
  VmAudioCard card;
  VmRegion io;
  /* guest state */
  uint32_t control, status, serial, mempage;
  uint8_t codec[AK_REGISTERS];
  Es1370Channel channel[CHANNELS];
};

/* What is different from channel to channel. */
static const struct
{
  uint32_t enable, status, interrupt, pause, once;
  unsigned format_shift;
} channels[CHANNELS] = {
  { CONTROL_DAC1_EN, STATUS_DAC1, SERIAL_P1_INT, SERIAL_P1_PAUSE, SERIAL_P1_ONCE, 0 },
  { CONTROL_DAC2_EN, STATUS_DAC2, SERIAL_P2_INT, SERIAL_P2_PAUSE, SERIAL_P2_ONCE, 2 },
  { CONTROL_ADC_EN, STATUS_ADC, SERIAL_R1_INT, 0, SERIAL_R1_ONCE, 4 },
};

static uint32_t
es_status (const Es1370 *self)
{
  return self->status | (self->status ? STATUS_INTR : 0);
}

static void
es_update_irq (Es1370 *self)
{
  vm_pci_set_irq (&self->parent, self->status != 0);
}

/* --- channels --------------------------------------------------------------------------------- */

static unsigned
channel_mode (const Es1370Channel *ch)
{
  return ch->card->serial >> channels[ch->index].format_shift & 3;
}

static unsigned
channel_frame (const Es1370Channel *ch)
{
  unsigned mode = channel_mode (ch);

  return (mode & FORMAT_16 ? 2u : 1u) * (mode & FORMAT_STEREO ? 2u : 1u);
}

static VmAudioFormat
channel_format (const Es1370Channel *ch)
{
  static const uint16_t fixed[] = { 5512, 11025, 22050, 44100 };
  uint32_t control = ch->card->control, divider = (control >> CONTROL_PCLKDIV & 0x1fff) + 2;
  unsigned mode = channel_mode (ch);

  return (VmAudioFormat){
    .rate = ch->index == CH_DAC1 ? fixed[control >> CONTROL_WTSRSEL & 3] : (PCLK + divider / 2) / divider,
    .channels = mode & FORMAT_STEREO ? 2 : 1,
    .sample = mode & FORMAT_16 ? VM_AUDIO_S16 : VM_AUDIO_U8,
  };
}

static bool
channel_runs (const Es1370Channel *ch)
{
  const Es1370 *self = ch->card;

  return (self->control & channels[ch->index].enable) && !(self->serial & channels[ch->index].pause) && !ch->stopped
         && !(ch->index == CH_ADC && (self->control & CONTROL_ADC_STOP));
}

static void
channel_count (Es1370Channel *ch, uint32_t frames)
{
  Es1370 *self = ch->card;

  if (frames <= ch->left)
    {
      ch->left = (uint16_t) (ch->left - frames);
      return;
    }
  ch->left = ch->samples;
  if (self->serial & channels[ch->index].interrupt)
    self->status |= channels[ch->index].status;
  if (self->serial & channels[ch->index].once)
    ch->stopped = true;
}

/* Up to LEN bytes, which is a multiple of a longword or of a frame at least. */
static uint32_t
channel_transfer (Es1370Channel *ch, uint8_t *buf, uint32_t len)
{
  uint32_t size = (ch->frame_size + 1u) * 4, unit = channel_frame (ch), until = (ch->left + 1u) * unit;

  if (!channel_runs (ch))
    return 0;
  len = MIN (MIN (len, size - ch->position), until);
  if (ch->index == CH_ADC)
    vm_pci_dma_write (&ch->card->parent, ch->frame_addr + ch->position, buf, len);
  else
    vm_pci_dma_read (&ch->card->parent, ch->frame_addr + ch->position, buf, len);
  ch->position = ch->position + len >= size ? 0 : ch->position + len;
  channel_count (ch, len / unit);
  return len;
}

static void
channel_update_active (Es1370Channel *ch)
{
  vm_audio_set_active (ch->voice, channel_runs (ch));
}

/* A voice ends when it is asked again: what it was given last is still to be heard. */
static void
on_play (void *opaque, size_t bytes)
{
  Es1370Channel *ch = opaque;
  uint8_t buf[CHUNK];

  channel_update_active (ch);
  for (uint32_t n = 1; bytes > 0 && n > 0; bytes -= n)
    {
      n = channel_transfer (ch, buf, (uint32_t) MIN (bytes, sizeof buf));
      vm_audio_write (ch->voice, buf, n);
    }
  es_update_irq (ch->card);
}

static void
on_record (void *opaque, size_t bytes)
{
  Es1370Channel *ch = opaque;
  uint8_t buf[CHUNK];
  size_t n;

  while (channel_runs (ch) && (n = vm_audio_read (ch->voice, buf, sizeof buf)) > 0)
    for (uint32_t at = 0, step = 1; at < n && step > 0; at += step)
      step = channel_transfer (ch, buf + at, (uint32_t) n - at);
  channel_update_active (ch);
  es_update_irq (ch->card);
}

/* After a write to the control or the serial register. */
static void
es_update_channels (Es1370 *self)
{
  for (unsigned i = 0; i < CHANNELS; i++)
    {
      Es1370Channel *ch = &self->channel[i];
      VmAudioFormat format = channel_format (ch);
      unsigned unit = channel_frame (ch);

      ch->position -= ch->position % unit;
      vm_audio_set_format (ch->voice, &format);
      channel_update_active (ch);
    }
}

/* --- mixer ------------------------------------------------------------------------------------ */

/* Attenuations of 2 dB; the voices' sixth is 0 dB. */
static void
es_update_volume (Es1370 *self)
{
  static const uint8_t inputs[2] = { [CH_DAC1] = AK_FM, [CH_DAC2] = AK_VOICE };

  for (unsigned i = 0; i < 2; i++)
    {
      float gain[2];

      for (unsigned side = 0; side < 2; side++)
        {
          uint8_t master = self->codec[AK_MASTER + side], voice = self->codec[inputs[i] + side];

          gain[side] = (master | voice) & AK_MUTE ? 0 : (float) pow (10, 2.0 * (6 - (voice & 31) - (master & 31)) / 20);
        }
      vm_audio_set_volume (self->channel[i].voice, false, 2, gain);
    }
}

static void
codec_reset (Es1370 *self)
{
  memset (self->codec, 0, sizeof self->codec);
  for (unsigned i = 0; i <= 0xf; i++)
    self->codec[i] = i < AK_VOICE ? AK_MUTE : AK_MUTE | 6;
  es_update_volume (self);
}

static void
codec_write (Es1370 *self, uint16_t value)
{
  unsigned reg = value >> 8;

  if (reg == AK_RESET && !(value & 1))
    codec_reset (self);
  if (reg < AK_REGISTERS)
    self->codec[reg] = (uint8_t) value;
  es_update_volume (self);
}

/* --- registers -------------------------------------------------------------------------------- */

/* The channel whose address (even) or size (odd) REG of the window is, or NULL. */
static Es1370Channel *
window_channel (Es1370 *self, unsigned reg)
{
  unsigned slot = (reg - ES_WINDOW) / 8;

  if (self->mempage == PAGE_DAC)
    return &self->channel[slot];
  return self->mempage == PAGE_ADC && slot == 0 ? &self->channel[CH_ADC] : NULL;
}

static uint32_t
es_read_dword (Es1370 *self, unsigned reg)
{
  Es1370Channel *ch;

  switch (reg)
    {
    case ES_CONTROL:
      return self->control;
    case ES_STATUS:
      return es_status (self);
    case ES_UART: /* nothing received, room to send */
      return 0x02 << 8;
    case ES_MEMPAGE:
      return self->mempage;
    case ES_SERIAL:
      return self->serial;
    case ES_SCOUNT:
    case ES_SCOUNT + 4:
    case ES_SCOUNT + 8:
      ch = &self->channel[(reg - ES_SCOUNT) / 4];
      return (uint32_t) ch->left << 16 | ch->samples;
    default:
      break;
    }
  if (reg < ES_WINDOW || !(ch = window_channel (self, reg)))
    return 0;
  return reg & 4 ? (ch->position / 4) << 16 | ch->frame_size : ch->frame_addr;
}

static void
es_write_control (Es1370 *self, uint32_t value)
{
  for (unsigned i = 0; i < CHANNELS; i++)
    if (!(value & channels[i].enable))
      self->channel[i].stopped = false;
    else if (!(self->control & channels[i].enable))
      self->channel[i].left = self->channel[i].samples;
  self->control = value;
  es_update_channels (self);
}

/* Taking back an interrupt's enable bit acknowledges it. */
static void
es_write_serial (Es1370 *self, uint32_t value)
{
  self->serial = value;
  for (unsigned i = 0; i < CHANNELS; i++)
    if (!(value & channels[i].interrupt))
      self->status &= ~channels[i].status;
  es_update_channels (self);
}

static void
window_write (Es1370Channel *ch, unsigned reg, uint32_t value)
{
  if (!(reg & 4))
    {
      ch->frame_addr = value;
      return;
    }
  ch->frame_size = (uint16_t) value;
  ch->position = (value >> 16) * 4;
  if (ch->position > ch->frame_size * 4u)
    ch->position = 0;
}

static void
es_write_dword (Es1370 *self, unsigned reg, uint32_t value)
{
  Es1370Channel *ch;

  switch (reg)
    {
    case ES_CONTROL:
      es_write_control (self, value);
      break;
    case ES_MEMPAGE:
      self->mempage = value & 0xf;
      break;
    case ES_CODEC:
      codec_write (self, (uint16_t) value);
      break;
    case ES_SERIAL:
      es_write_serial (self, value);
      break;
    case ES_SCOUNT:
    case ES_SCOUNT + 4:
    case ES_SCOUNT + 8:
      ch = &self->channel[(reg - ES_SCOUNT) / 4];
      ch->samples = ch->left = (uint16_t) value;
      break;
    default:
      if (reg >= ES_WINDOW && (ch = window_channel (self, reg)))
        window_write (ch, reg, value);
      break;
    }
}

static uint64_t
es_read (void *opaque, uint64_t offset, unsigned size)
{
  return es_read_dword (opaque, (unsigned) offset & ~3u) >> (offset & 3) * 8;
}

static void
es_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Es1370 *self = opaque;
  unsigned reg = (unsigned) offset & ~3u, shift = (offset & 3) * 8;
  uint32_t lanes = (uint32_t) VM_MASK (size * 8 - 1, 0) << shift;

  es_write_dword (self, reg, (es_read_dword (self, reg) & ~lanes) | ((uint32_t) value << shift & lanes));
  es_update_irq (self);
}

static const VmRegionOps es_ops = { .read = es_read, .write = es_write, .impl = { .min = 1, .max = 4 } };

/* --- life ------------------------------------------------------------------------------------- */

static void
es_reset (VmDevice *dev, VmResetKind kind)
{
  Es1370 *self = (Es1370 *) dev;

  self->control = 1;
  self->status = self->mempage = self->serial = 0;
  for (unsigned i = 0; i < CHANNELS; i++)
    {
      Es1370Channel *ch = &self->channel[i];

      ch->frame_addr = ch->position = 0;
      ch->frame_size = ch->samples = ch->left = 0;
      ch->stopped = false;
    }
  codec_reset (self);
  es_update_channels (self);
  es_update_irq (self);
}

static bool
es_realize (VmDevice *dev, GError **error)
{
  static const char *const names[CHANNELS] = { "dac1", "dac2", "adc" };
  Es1370 *self = (Es1370 *) dev;

  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  vm_pci_set_interrupt_pin (&self->parent, 1);
  self->parent.config[PCI_MIN_GNT] = 0x0c;
  self->parent.config[PCI_MAX_LAT] = 0x80;
  for (unsigned i = 0; i < CHANNELS; i++)
    {
      Es1370Channel *ch = &self->channel[i];

      ch->card = self;
      ch->index = i;
      VmAudioFormat format = channel_format (ch);
      ch->voice = i == CH_ADC ? vm_audio_open_in (&self->card, names[i], &format, on_record, ch)
                              : vm_audio_open_out (&self->card, names[i], &format, on_play, ch);
    }
  vm_region_init_io (&self->io, dev->env->memory, &es_ops, self, "es1370", IO_SIZE);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_IO, &self->io);
  return true;
}

static void
es_unrealize (VmDevice *dev)
{
  Es1370 *self = (Es1370 *) dev;

  for (unsigned i = 0; i < CHANNELS; i++)
    vm_audio_close (g_steal_pointer (&self->channel[i].voice));
  vm_audio_card_detach (&self->card);
  vm_region_destroy (&self->io);
}

static bool
es_post_load (VmDevice *dev, GError **error)
{
  Es1370 *self = (Es1370 *) dev;

  for (unsigned i = 0; i < CHANNELS; i++)
    if (self->channel[i].position >= (self->channel[i].frame_size + 1u) * 4)
      return vm_fail (error, "a position is behind the end of its buffer");
  es_update_volume (self);
  es_update_channels (self);
  return true;
}

static const VmProp es_props[] = { VM_AUDIO_CARD_PROPS (Es1370, card), { 0 } };

static const VmField channel_state[] = { VM_FIELD (Es1370Channel, frame_addr),
                                         VM_FIELD (Es1370Channel, frame_size),
                                         VM_FIELD (Es1370Channel, position),
                                         VM_FIELD (Es1370Channel, samples),
                                         VM_FIELD (Es1370Channel, left),
                                         VM_FIELD (Es1370Channel, stopped),
                                         { 0 } };

static const VmField es_state[] = { VM_FIELD (Es1370, control),
                                    VM_FIELD (Es1370, status),
                                    VM_FIELD (Es1370, serial),
                                    VM_FIELD (Es1370, mempage),
                                    VM_FIELD_ARRAY (Es1370, codec),
                                    VM_FIELD_EMBED_ARRAY (Es1370, channel, channel_state),
                                    { 0 } };

static const VmPciClass es_class = {
  .parent = {
    .realize = es_realize, .unrealize = es_unrealize, .reset = es_reset, .post_load = es_post_load,
    .category = "Sound", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = 0x1274, .device = 0x5000, .class_id = PCI_CLASS_MULTIMEDIA_AUDIO,
  .subsystem_vendor = 0x4942, .subsystem = 0x4c4c,
};

const VmType vm_es1370_type = {
  .name = "ES1370",
  .parent = &vm_pci_device_type,
  .size = sizeof (Es1370),
  .help = "ENSONIQ AudioPCI ES1370",
  .props = es_props,
  .state = es_state,
  .klass = &es_class,
};
