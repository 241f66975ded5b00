/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AC '97 audio of the 82801AA (ICH data sheet 290655, chapter 13; ICH AC '97 programmer's reference 252751) with a
 * codec of the Audio Codec '97 specification 2.1 (variable rates, no tone, no 3D). */
#include "audio/audio.h"
#include "devices/pci/pci.h"

#include <math.h>

#define NAM_SIZE 256u
#define NABM_SIZE 64u
#define LIST_MASK 31u
#define CHUNK 4096u

enum
{
  BOX_IN,
  BOX_OUT,
  BOX_MIC,
  BOXES
};
enum
{ /* of a box */
  BOX_BDBAR = 0x0,
  BOX_CIV = 0x4,
  BOX_LVI = 0x5,
  BOX_SR = 0x6,
  BOX_PICB = 0x8,
  BOX_PIV = 0xa,
  BOX_CR = 0xb,
  BOX_STEP = 0x10,
};
enum
{
  NABM_GLOB_CNT = 0x2c,
  NABM_GLOB_STA = 0x30,
  NABM_CAS = 0x34
};
enum
{
  SR_DCH = 1 << 0,
  SR_CELV = 1 << 1,
  SR_LVBCI = 1 << 2,
  SR_BCIS = 1 << 3,
  SR_FIFOE = 1 << 4
};
enum
{
  CR_RPBM = 1 << 0,
  CR_RR = 1 << 1,
  CR_LVBIE = 1 << 2,
  CR_FEIE = 1 << 3,
  CR_IOCE = 1 << 4
};
enum
{
  GLOB_CNT_COLD = 1 << 1,
  GLOB_CNT_WARM = 1 << 2,
  GLOB_CNT_WRITABLE = 0x3f
};
enum
{
  GLOB_STA_S0CR = 1 << 8,
  GLOB_STA_RCS = 1 << 15
};
enum
{
  BD_IOC = 1u << 31
};
enum
{ /* the codec's (AC '97, 5.7) */
  MIX_RESET = 0x00,
  MIX_MASTER = 0x02,
  MIX_HEADPHONE = 0x04,
  MIX_MONO = 0x06,
  MIX_BEEP = 0x0a,
  MIX_PHONE = 0x0c,
  MIX_MIC = 0x0e,
  MIX_LINE = 0x10,
  MIX_CD = 0x12,
  MIX_VIDEO = 0x14,
  MIX_AUX = 0x16,
  MIX_PCM = 0x18,
  MIX_RECORD_SELECT = 0x1a,
  MIX_RECORD_GAIN = 0x1c,
  MIX_GENERAL = 0x20,
  MIX_POWER = 0x26,
  MIX_EXT_ID = 0x28,
  MIX_EXT_STATUS = 0x2a,
  MIX_DAC_RATE = 0x2c,
  MIX_ADC_RATE = 0x32,
  MIX_MIC_RATE = 0x34,
  MIX_VENDOR1 = 0x7c,
  MIX_VENDOR2 = 0x7e,
};
enum
{
  EXT_VRA = 1 << 0,
  EXT_VRM = 1 << 3
};

typedef struct Ac97 Ac97;

typedef struct Ac97Box
{
  Ac97 *card;
  unsigned index;
  VmAudioVoice *voice;
  /* guest state */
  uint32_t bdbar, addr, flags; /* ADDR: of the next sample */
  uint16_t picb;               /* samples left there */
  uint16_t sr;
  uint8_t civ, lvi, piv, cr;
} Ac97Box;

struct Ac97
{
  VmPciDevice parent;
  VmAudioCard card;
  VmRegion nam, nabm;
  /* guest state */
  uint32_t glob_cnt;
  uint8_t cas;
  uint16_t mixer[NAM_SIZE / 2];
  Ac97Box box[BOXES];
};

/* --- interrupts ------------------------------------------------------------------------------- */

static bool
box_interrupts (const Ac97Box *b)
{
  return ((b->sr & SR_LVBCI) && (b->cr & CR_LVBIE)) || ((b->sr & SR_BCIS) && (b->cr & CR_IOCE))
         || ((b->sr & SR_FIFOE) && (b->cr & CR_FEIE));
}

static uint32_t
glob_sta (const Ac97 *self)
{
  static const uint8_t bits[BOXES] = { [BOX_IN] = 5, [BOX_OUT] = 6, [BOX_MIC] = 7 };
  uint32_t value = GLOB_STA_S0CR;

  for (unsigned i = 0; i < BOXES; i++)
    if (box_interrupts (&self->box[i]))
      value |= 1u << bits[i];
  return value;
}

static void
ac97_update_irq (Ac97 *self)
{
  vm_pci_set_irq (&self->parent, (glob_sta (self) & 0xe0) != 0);
}

/* --- lists of buffers ------------------------------------------------------------------------- */

static void
box_next (Ac97Box *b)
{
  uint8_t raw[8];

  b->civ = b->piv;
  b->piv = (b->piv + 1) & LIST_MASK;
  vm_pci_dma_read (&b->card->parent, b->bdbar + b->civ * 8u, raw, sizeof raw);
  b->addr = vm_load_le32 (raw) & ~1u;
  b->flags = vm_load_le32 (raw + 4);
  b->picb = (uint16_t) b->flags;
}

/* The buffer is at its end: on to the next, or a halt after the last valid one. */
static void
box_complete (Ac97Box *b)
{
  if (b->flags & BD_IOC)
    b->sr |= SR_BCIS;
  if (b->civ == b->lvi)
    b->sr |= SR_LVBCI | SR_DCH | SR_CELV;
  else
    box_next (b);
}

/* Moves up to LEN bytes, whole pairs of samples; 0: halted. Empty buffers are passed over, no list has more than 32. */
static uint32_t
box_transfer (Ac97Box *b, uint8_t *buf, uint32_t len)
{
  while (b->picb == 0 && !(b->sr & SR_DCH))
    box_complete (b);
  if (b->sr & SR_DCH)
    return 0;
  len = MIN (len, b->picb * 2u);
  if (b->index == BOX_OUT)
    vm_pci_dma_read (&b->card->parent, b->addr, buf, len);
  else
    vm_pci_dma_write (&b->card->parent, b->addr, buf, len);
  b->addr += len;
  b->picb = (uint16_t) (b->picb - len / 2);
  if (b->picb == 0)
    box_complete (b);
  return len;
}

/* A buffer may end within a frame; the voice takes whole ones. */
static void
on_play (void *opaque, size_t bytes)
{
  Ac97Box *b = opaque;
  uint8_t buf[CHUNK];

  for (bool halted = false; bytes > 0 && !halted;)
    {
      uint32_t wanted = (uint32_t) MIN (bytes, sizeof buf), n = 0;

      while (n < wanted && !halted)
        {
          uint32_t step = box_transfer (b, buf + n, wanted - n);

          n += step;
          halted = step == 0;
        }
      vm_audio_write (b->voice, buf, n & ~3u);
      bytes -= n;
    }
  ac97_update_irq (b->card);
}

static void
on_record (void *opaque, size_t bytes)
{
  Ac97Box *b = opaque;
  uint8_t buf[CHUNK];
  size_t n;

  while ((n = vm_audio_read (b->voice, buf, sizeof buf)) > 0)
    for (uint32_t at = 0, step; at < n; at += step)
      if ((step = box_transfer (b, buf + at, (uint32_t) n - at)) == 0)
        {
          ac97_update_irq (b->card);
          return;
        }
  ac97_update_irq (b->card);
}

/* --- codec ------------------------------------------------------------------------------------ */

static uint16_t
mixer_get (const Ac97 *self, unsigned reg)
{
  return self->mixer[reg / 2];
}

static void
mixer_put (Ac97 *self, unsigned reg, uint16_t value)
{
  self->mixer[reg / 2] = value;
}

static void
ac97_update_formats (Ac97 *self)
{
  static const uint8_t rates[BOXES] = { [BOX_IN] = MIX_ADC_RATE, [BOX_OUT] = MIX_DAC_RATE, [BOX_MIC] = MIX_MIC_RATE };

  for (unsigned i = 0; i < BOXES; i++)
    {
      VmAudioFormat format = { .rate = mixer_get (self, rates[i]), .channels = 2, .sample = VM_AUDIO_S16 };

      vm_audio_set_format (self->box[i].voice, &format);
    }
}

static float
gain_of_db (double db)
{
  return (float) pow (10, db / 20);
}

static void
ac97_update_volume (Ac97 *self)
{
  uint16_t master = mixer_get (self, MIX_MASTER), pcm = mixer_get (self, MIX_PCM),
           record = mixer_get (self, MIX_RECORD_GAIN);
  float out[2], in[2];

  for (unsigned i = 0; i < 2; i++)
    {
      unsigned shift = i ? 0 : 8; /* left is the upper one */

      out[i] = gain_of_db (1.5 * (8 - (pcm >> shift & 31) - (master >> shift & 31)));
      in[i] = gain_of_db (1.5 * (record >> shift & 15));
    }
  vm_audio_set_volume (self->box[BOX_OUT].voice, (master | pcm) >> 15, 2, out);
  vm_audio_set_volume (self->box[BOX_IN].voice, record >> 15, 2, in);
  vm_audio_set_volume (self->box[BOX_MIC].voice, record >> 15, 2, in);
}

static void
mixer_reset (Ac97 *self)
{
  static const uint16_t defaults[][2] = {
    { MIX_MASTER, 0x8000 },
    { MIX_HEADPHONE, 0x8000 },
    { MIX_MONO, 0x8000 },
    { MIX_PHONE, 0x8008 },
    { MIX_MIC, 0x8008 },
    { MIX_LINE, 0x8808 },
    { MIX_CD, 0x8808 },
    { MIX_VIDEO, 0x8808 },
    { MIX_AUX, 0x8808 },
    { MIX_PCM, 0x8808 },
    { MIX_RECORD_GAIN, 0x8000 },
    { MIX_POWER, 0x000f },
    { MIX_EXT_ID, EXT_VRA | EXT_VRM },
    { MIX_DAC_RATE, 48000 },
    { MIX_ADC_RATE, 48000 },
    { MIX_MIC_RATE, 48000 },
    { MIX_VENDOR1, 0x8384 },
    { MIX_VENDOR2, 0x7600 },
  };

  memset (self->mixer, 0, sizeof self->mixer);
  for (size_t i = 0; i < G_N_ELEMENTS (defaults); i++)
    mixer_put (self, defaults[i][0], defaults[i][1]);
}

/* An attenuation of 5 bits each side: one that does not fit is as low as it gets. */
static uint16_t
five_bits (uint16_t value, uint16_t mask)
{
  if (value & 0x2000)
    value |= 0x1f00;
  if (value & 0x20)
    value |= 0x1f;
  return value & mask;
}

/* Rates stand at 48 kHz unless variable ones were asked for. */
static void
mixer_write_rate (Ac97 *self, unsigned reg, uint16_t value)
{
  uint16_t enable = reg == MIX_MIC_RATE ? EXT_VRM : EXT_VRA;

  if (mixer_get (self, MIX_EXT_STATUS) & enable)
    mixer_put (self, reg, CLAMP (value, 8000, 48000));
}

static void
mixer_write_ext_status (Ac97 *self, uint16_t value)
{
  mixer_put (self, MIX_EXT_STATUS, value & (EXT_VRA | EXT_VRM));
  if (!(value & EXT_VRA))
    {
      mixer_put (self, MIX_DAC_RATE, 48000);
      mixer_put (self, MIX_ADC_RATE, 48000);
    }
  if (!(value & EXT_VRM))
    mixer_put (self, MIX_MIC_RATE, 48000);
}

static void
mixer_write (Ac97 *self, unsigned reg, uint16_t value)
{
  switch (reg)
    {
    case MIX_RESET:
      mixer_reset (self);
      break;
    case MIX_MASTER:
    case MIX_HEADPHONE:
      mixer_put (self, reg, five_bits (value, 0x9f1f));
      break;
    case MIX_MONO:
      mixer_put (self, reg, five_bits (value & 0x803f, 0x801f));
      break;
    case MIX_BEEP:
      mixer_put (self, reg, value & 0x801e);
      break;
    case MIX_PHONE:
      mixer_put (self, reg, value & 0x801f);
      break;
    case MIX_MIC:
      mixer_put (self, reg, value & 0x805f);
      break;
    case MIX_LINE:
    case MIX_CD:
    case MIX_VIDEO:
    case MIX_AUX:
    case MIX_PCM:
      mixer_put (self, reg, value & 0x9f1f);
      break;
    case MIX_RECORD_SELECT:
      mixer_put (self, reg, value & 0x0707);
      break;
    case MIX_RECORD_GAIN:
      mixer_put (self, reg, value & 0x8f0f);
      break;
    case MIX_GENERAL:
      mixer_put (self, reg, value & 0x0380);
      break;
    case MIX_POWER: /* what is on is ready */
      mixer_put (self, reg, (value & 0xff00) | 0x000f);
      break;
    case MIX_EXT_STATUS:
      mixer_write_ext_status (self, value);
      break;
    case MIX_DAC_RATE:
    case MIX_ADC_RATE:
    case MIX_MIC_RATE:
      mixer_write_rate (self, reg, value);
      break;
    default:
      return;
    }
  ac97_update_formats (self);
  ac97_update_volume (self);
}

static uint64_t
nam_read (void *opaque, uint64_t offset, unsigned size)
{
  Ac97 *self = opaque;

  self->cas = 0;
  return self->mixer[offset / 2];
}

static void
nam_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Ac97 *self = opaque;

  self->cas = 0;
  mixer_write (self, (unsigned) offset, (uint16_t) value);
}

static const VmRegionOps nam_ops = {
  .read = nam_read,
  .write = nam_write,
  .impl = { .min = 2, .max = 2 },
};

/* --- bus master registers --------------------------------------------------------------------- */

static void
box_reset (Ac97Box *b)
{
  b->bdbar = b->addr = b->flags = 0;
  b->picb = 0;
  b->sr = SR_DCH;
  b->civ = b->lvi = b->piv = b->cr = 0;
  vm_audio_set_active (b->voice, false);
}

static void
box_write_cr (Ac97Box *b, uint8_t value)
{
  bool ran = b->cr & CR_RPBM;

  if ((value & CR_RR) && !(value & CR_RPBM))
    {
      box_reset (b);
      return;
    }
  b->cr = value & (CR_RPBM | CR_LVBIE | CR_FEIE | CR_IOCE);
  if (!(b->cr & CR_RPBM))
    b->sr |= SR_DCH;
  else if (!ran)
    {
      b->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
      if (b->picb == 0)
        box_next (b);
    }
  vm_audio_set_active (b->voice, b->cr & CR_RPBM);
}

/* More buffers are valid: a box that had halted behind the last one goes on. */
static void
box_write_lvi (Ac97Box *b, uint8_t value)
{
  b->lvi = value & LIST_MASK;
  if ((b->cr & CR_RPBM) && (b->sr & SR_CELV))
    {
      b->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
      box_next (b);
    }
}

static uint8_t
box_read (const Ac97Box *b, unsigned reg)
{
  switch (reg)
    {
    case BOX_CIV:
      return b->civ;
    case BOX_LVI:
      return b->lvi;
    case BOX_SR:
      return (uint8_t) b->sr;
    case BOX_PICB:
    case BOX_PICB + 1:
      return (uint8_t) (b->picb >> (reg - BOX_PICB) * 8);
    case BOX_PIV:
      return b->piv;
    case BOX_CR:
      return b->cr;
    default:
      return reg < BOX_CIV ? (uint8_t) (b->bdbar >> reg * 8) : 0;
    }
}

static void
box_write (Ac97Box *b, unsigned reg, uint8_t value)
{
  switch (reg)
    {
    case BOX_LVI:
      box_write_lvi (b, value);
      break;
    case BOX_SR:
      b->sr &= (uint16_t) ~(value & (SR_LVBCI | SR_BCIS | SR_FIFOE));
      break;
    case BOX_CR:
      box_write_cr (b, value);
      break;
    default:
      if (reg < BOX_CIV)
        b->bdbar = ((b->bdbar & ~(0xffu << reg * 8)) | (uint32_t) value << reg * 8) & ~7u;
      break;
    }
}

static uint8_t
nabm_read_byte (Ac97 *self, unsigned reg)
{
  uint8_t cas;

  if (reg < BOXES * BOX_STEP && reg % BOX_STEP <= BOX_CR)
    return box_read (&self->box[reg / BOX_STEP], reg % BOX_STEP);
  if (reg >= NABM_GLOB_CNT && reg < NABM_GLOB_CNT + 4)
    return (uint8_t) (self->glob_cnt >> (reg - NABM_GLOB_CNT) * 8);
  if (reg >= NABM_GLOB_STA && reg < NABM_GLOB_STA + 4)
    return (uint8_t) (glob_sta (self) >> (reg - NABM_GLOB_STA) * 8);
  if (reg != NABM_CAS)
    return 0;
  cas = self->cas; /* a semaphore: whoever reads 0 has it */
  self->cas = 1;
  return cas;
}

static void
ac97_cold_reset (Ac97 *self)
{
  for (unsigned i = 0; i < BOXES; i++)
    box_reset (&self->box[i]);
  mixer_reset (self);
  ac97_update_formats (self);
  ac97_update_volume (self);
}

static void
nabm_write_byte (Ac97 *self, unsigned reg, uint8_t value)
{
  if (reg < BOXES * BOX_STEP && reg % BOX_STEP <= BOX_CR)
    box_write (&self->box[reg / BOX_STEP], reg % BOX_STEP, value);
  else if (reg == NABM_GLOB_CNT)
    {
      if (!(value & GLOB_CNT_COLD) && (self->glob_cnt & GLOB_CNT_COLD))
        ac97_cold_reset (self);
      self->glob_cnt = value & GLOB_CNT_WRITABLE & ~GLOB_CNT_WARM;
    }
}

static uint64_t
nabm_read (void *opaque, uint64_t offset, unsigned size)
{
  uint64_t value = 0;

  for (unsigned i = 0; i < size; i++)
    value |= (uint64_t) nabm_read_byte (opaque, (unsigned) offset + i) << i * 8;
  return value;
}

/* The current index, the last valid one and the status are often written as one: the index first, as the bytes lie. */
static void
nabm_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  for (unsigned i = 0; i < size; i++)
    nabm_write_byte (opaque, (unsigned) offset + i, (uint8_t) (value >> i * 8));
  ac97_update_irq (opaque);
}

static const VmRegionOps nabm_ops = {
  .read = nabm_read,
  .write = nabm_write,
  .impl = { .min = 1, .max = 4 },
};

/* --- life ------------------------------------------------------------------------------------- */

static void
ac97_reset (VmDevice *dev, VmResetKind kind)
{
  Ac97 *self = (Ac97 *) dev;

  ac97_cold_reset (self);
  self->glob_cnt = 0;
  self->cas = 0;
  ac97_update_irq (self);
}

static bool
ac97_realize (VmDevice *dev, GError **error)
{
  static const char *const names[BOXES] = { "pi", "po", "mc" };
  static const VmAudioFormat format = { 48000, 2, VM_AUDIO_S16, false };
  Ac97 *self = (Ac97 *) dev;

  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  vm_pci_set_interrupt_pin (&self->parent, 1);
  for (unsigned i = 0; i < BOXES; i++)
    {
      Ac97Box *b = &self->box[i];

      b->card = self;
      b->index = i;
      b->voice = i == BOX_OUT ? vm_audio_open_out (&self->card, names[i], &format, on_play, b)
                              : vm_audio_open_in (&self->card, names[i], &format, on_record, b);
    }
  vm_region_init_io (&self->nam, dev->env->memory, &nam_ops, self, "ac97-nam", NAM_SIZE);
  vm_region_init_io (&self->nabm, dev->env->memory, &nabm_ops, self, "ac97-nabm", NABM_SIZE);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_IO, &self->nam);
  vm_pci_add_bar (&self->parent, 1, PCI_BAR_IO, &self->nabm);
  return true;
}

static void
ac97_unrealize (VmDevice *dev)
{
  Ac97 *self = (Ac97 *) dev;

  for (unsigned i = 0; i < BOXES; i++)
    vm_audio_close (g_steal_pointer (&self->box[i].voice));
  vm_audio_card_detach (&self->card);
  vm_region_destroy (&self->nam);
  vm_region_destroy (&self->nabm);
}

static bool
ac97_post_load (VmDevice *dev, GError **error)
{
  Ac97 *self = (Ac97 *) dev;

  for (unsigned i = 0; i < BOXES; i++)
    {
      Ac97Box *b = &self->box[i];

      if ((b->civ | b->lvi | b->piv) > LIST_MASK)
        return vm_fail (error, "an index is behind the end of its list");
    }
  ac97_update_formats (self);
  ac97_update_volume (self);
  for (unsigned i = 0; i < BOXES; i++)
    vm_audio_set_active (self->box[i].voice, self->box[i].cr & CR_RPBM);
  return true;
}

static const VmProp ac97_props[] = { VM_AUDIO_CARD_PROPS (Ac97, card), { 0 } };

static const VmField box_state[] = { VM_FIELD (Ac97Box, bdbar), VM_FIELD (Ac97Box, addr),
                                     VM_FIELD (Ac97Box, flags), VM_FIELD (Ac97Box, picb),
                                     VM_FIELD (Ac97Box, sr),    VM_FIELD (Ac97Box, civ),
                                     VM_FIELD (Ac97Box, lvi),   VM_FIELD (Ac97Box, piv),
                                     VM_FIELD (Ac97Box, cr),    { 0 } };

static const VmField ac97_state[] = { VM_FIELD (Ac97, glob_cnt),
                                      VM_FIELD (Ac97, cas),
                                      VM_FIELD_ARRAY (Ac97, mixer),
                                      VM_FIELD_EMBED_ARRAY (Ac97, box, box_state),
                                      { 0 } };

static const VmPciClass ac97_class = {
  .parent = {
    .realize = ac97_realize, .unrealize = ac97_unrealize, .reset = ac97_reset, .post_load = ac97_post_load,
    .category = "Sound", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_INTEL, .device = 0x2415, .revision = 1, .class_id = PCI_CLASS_MULTIMEDIA_AUDIO,
};

const VmType vm_ac97_type = {
  .name = "AC97",
  .parent = &vm_pci_device_type,
  .size = sizeof (Ac97),
  .help = "Intel 82801AA AC97 Audio",
  .props = ac97_props,
  .state = ac97_state,
  .klass = &ac97_class,
};
