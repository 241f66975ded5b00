/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Codecs of High Definition Audio: their nodes and verbs (High Definition Audio Specification 1.0a, chapter 7). One
 * converter and one pin each way, amplifiers in the converters.
 *
 *   root 0 - function group 1 - DAC 2 -> pin 3,  pin 5 -> ADC 4 */
#include "devices/audio/hda-audio.h"

#include "devices/pci/pci-regs.h"

enum
{
  NODE_ROOT,
  NODE_GROUP,
  NODE_DAC,
  NODE_PIN_OUT,
  NODE_ADC,
  NODE_PIN_IN
};
enum
{ /* verbs of 12 bits (7.3.3) */
  VERB_GET_PARAMETER = 0xf00,
  VERB_GET_CONNECTION = 0xf01,
  VERB_GET_CONNECTION_LIST = 0xf02,
  VERB_GET_POWER = 0xf05,
  VERB_GET_STREAM = 0xf06,
  VERB_GET_PIN = 0xf07,
  VERB_GET_PIN_SENSE = 0xf09,
  VERB_GET_EAPD = 0xf0c,
  VERB_GET_CONFIG = 0xf1c,
  VERB_GET_SUBSYSTEM = 0xf20,
  VERB_SET_POWER = 0x705,
  VERB_SET_STREAM = 0x706,
  VERB_SET_PIN = 0x707,
  VERB_SET_CONFIG = 0x71c,
  VERB_SET_SUBSYSTEM = 0x720,
  VERB_RESET = 0x7ff,
};
enum
{ /* of 4 bits */ VERB_SET_FORMAT = 0x2,
  VERB_SET_AMP = 0x3,
  VERB_GET_FORMAT = 0xa,
  VERB_GET_AMP = 0xb };
enum
{ /* parameters (7.3.4) */
  PARAM_VENDOR = 0x00,
  PARAM_REVISION = 0x02,
  PARAM_SUBNODES = 0x04,
  PARAM_FUNCTION = 0x05,
  PARAM_WIDGET = 0x09,
  PARAM_PCM = 0x0a,
  PARAM_FORMATS = 0x0b,
  PARAM_PIN = 0x0c,
  PARAM_AMP_IN = 0x0d,
  PARAM_CONNECTIONS = 0x0e,
  PARAM_POWER = 0x0f,
  PARAM_AMP_OUT = 0x12,
};
enum
{ /* of a widget */
  WIDGET_STEREO = 1 << 0,
  WIDGET_IN_AMP = 1 << 1,
  WIDGET_OUT_AMP = 1 << 2,
  WIDGET_AMP_OVERRIDE = 1 << 3,
  WIDGET_FORMAT_OVERRIDE = 1 << 4,
  WIDGET_CONNECTIONS = 1 << 8,
  WIDGET_TYPE_SHIFT = 20,
};
enum
{
  TYPE_OUTPUT = 0,
  TYPE_INPUT = 1,
  TYPE_PIN = 4
};
enum
{
  PIN_OUTPUT = 1 << 4,
  PIN_INPUT = 1 << 5,
  CONTROL_IN = 1 << 5,
  CONTROL_OUT = 1 << 6
};

#define PCM_RATES 0x7ffu /* 8 to 192 kHz */
#define PCM_SIZES 0x1au  /* 16, 24 and 32 bits */
#define AMP_STEP_1_DB 3u /* quarters of a dB, less one */
#define AMP_CAPS (1u << 31 | AMP_STEP_1_DB << 16 | HDA_AMP_STEPS << 8 | HDA_AMP_STEPS)

typedef struct HdaAudioClass
{
  VmHdaCodecClass parent;
  uint16_t id;
  bool recording;
  uint32_t pins[2]; /* what is soldered there: configuration defaults (7.3.3.31) */
} HdaAudioClass;

static const HdaAudioClass *
audio_class (const HdaAudio *self)
{
  return (const HdaAudioClass *) vm_device_class (&self->parent.parent);
}

static HdaConverter *
node_converter (HdaAudio *self, unsigned nid)
{
  return nid == NODE_DAC ? &self->out : nid == NODE_ADC ? &self->in : NULL;
}

/* --- what it says of itself ------------------------------------------------------------------------------------------
 */

static uint32_t
widget_caps (const HdaAudio *self, unsigned nid)
{
  switch (nid)
    {
    case NODE_DAC:
      return TYPE_OUTPUT << WIDGET_TYPE_SHIFT | WIDGET_STEREO | WIDGET_FORMAT_OVERRIDE
             | (self->mixer ? WIDGET_OUT_AMP | WIDGET_AMP_OVERRIDE : 0);
    case NODE_ADC:
      return TYPE_INPUT << WIDGET_TYPE_SHIFT | WIDGET_STEREO | WIDGET_FORMAT_OVERRIDE | WIDGET_CONNECTIONS
             | (self->mixer ? WIDGET_IN_AMP | WIDGET_AMP_OVERRIDE : 0);
    case NODE_PIN_OUT:
      return (uint32_t) TYPE_PIN << WIDGET_TYPE_SHIFT | WIDGET_STEREO | WIDGET_CONNECTIONS;
    case NODE_PIN_IN:
      return (uint32_t) TYPE_PIN << WIDGET_TYPE_SHIFT | WIDGET_STEREO;
    default:
      return 0;
    }
}

static uint32_t
get_parameter (const HdaAudio *self, unsigned nid, unsigned param)
{
  const HdaAudioClass *klass = audio_class (self);
  bool converter = nid == NODE_DAC || nid == NODE_ADC, group = nid == NODE_GROUP;

  switch (param)
    {
    case PARAM_VENDOR:
      return nid == NODE_ROOT ? (uint32_t) PCI_VENDOR_REDHAT_QUMRANET << 16 | (klass->id + (self->mixer ? 2u : 1u)) : 0;
    case PARAM_REVISION:
      return nid == NODE_ROOT ? 0x00100101 : 0;
    case PARAM_SUBNODES:
      return nid == NODE_ROOT ? NODE_GROUP << 16 | 1 : group ? NODE_DAC << 16 | (klass->recording ? 4 : 2) : 0;
    case PARAM_FUNCTION:
      return group ? 1 : 0; /* audio */
    case PARAM_WIDGET:
      return widget_caps (self, nid);
    case PARAM_PCM:
      return converter || group ? PCM_SIZES << 16 | PCM_RATES : 0;
    case PARAM_FORMATS:
      return converter || group ? 1 : 0; /* PCM */
    case PARAM_PIN:
      return nid == NODE_PIN_OUT ? PIN_OUTPUT : nid == NODE_PIN_IN ? PIN_INPUT : 0;
    case PARAM_AMP_IN:
      return nid == NODE_ADC && self->mixer ? AMP_CAPS : 0;
    case PARAM_AMP_OUT:
      return nid == NODE_DAC && self->mixer ? AMP_CAPS : 0;
    case PARAM_CONNECTIONS:
      return nid == NODE_PIN_OUT || nid == NODE_ADC ? 1 : 0;
    case PARAM_POWER:
      return group ? 0x9 : 0; /* D0 and D3 */
    default:
      return 0;
    }
}

/* --- verbs -----------------------------------------------------------------------------------------------------------
 */

static uint32_t
get_amp (HdaAudio *self, unsigned nid, uint32_t which)
{
  const HdaConverter *c = node_converter (self, nid);

  /* Bit 15 asks for an output amplifier, bit 13 for the left side. */
  if (!c || !self->mixer || c->output != (which >> 15 & 1))
    return 0;
  return c->amp[which >> 13 & 1 ? 0 : 1];
}

static void
set_amp (HdaAudio *self, unsigned nid, uint32_t value)
{
  HdaConverter *c = node_converter (self, nid);
  uint8_t amp = (uint8_t) (MIN (value & 0x7f, HDA_AMP_STEPS) | (value & HDA_AMP_MUTE));

  if (!c || !self->mixer || !(value >> (c->output ? 15 : 14) & 1))
    return;
  if (value >> 13 & 1)
    c->amp[0] = amp;
  if (value >> 12 & 1)
    c->amp[1] = amp;
  hda_converter_update_volume (c);
}

static void
set_stream (HdaAudio *self, unsigned nid, uint32_t value)
{
  HdaConverter *c = node_converter (self, nid);

  if (!c)
    return;
  if (c->tag != value >> 4)
    {
      c->tag = 0;
      hda_converter_update_running (c);
    }
  c->tag = (uint8_t) (value >> 4);
  c->channel = value & 15;
  hda_converter_update_running (c);
}

static uint32_t *
node_config (HdaAudio *self, unsigned nid)
{
  return nid == NODE_PIN_OUT ? &self->config[0] : nid == NODE_PIN_IN ? &self->config[1] : NULL;
}

static uint8_t *
node_pin (HdaAudio *self, unsigned nid)
{
  return nid == NODE_PIN_OUT ? &self->pin_control[0] : nid == NODE_PIN_IN ? &self->pin_control[1] : NULL;
}

/* What a reset of the function group does; the link's reset does more (7.3.3.33). */
static void
group_reset (HdaAudio *self)
{
  hda_converter_reset (&self->out);
  hda_converter_reset (&self->in);
  self->pin_control[0] = CONTROL_OUT;
  self->pin_control[1] = CONTROL_IN;
  self->connection_power = 0;
}

static uint32_t
get_verb (HdaAudio *self, unsigned nid, unsigned verb, unsigned data)
{
  const HdaConverter *c = node_converter (self, nid);
  const uint32_t *config = node_config (self, nid);
  const uint8_t *pin = node_pin (self, nid);

  switch (verb)
    {
    case VERB_GET_PARAMETER:
      return get_parameter (self, nid, data);
    case VERB_GET_CONNECTION_LIST:
      return data >= 4 ? 0 : nid == NODE_PIN_OUT ? NODE_DAC : nid == NODE_ADC ? NODE_PIN_IN : 0;
    case VERB_GET_POWER:
      return nid == NODE_GROUP ? self->connection_power * 0x11u : 0;
    case VERB_GET_STREAM:
      return c ? (uint32_t) (c->tag << 4 | c->channel) : 0;
    case VERB_GET_PIN:
      return pin ? *pin : 0;
    case VERB_GET_PIN_SENSE:
      return pin ? 1u << 31 : 0;
    case VERB_GET_CONFIG:
      return config ? *config : 0;
    case VERB_GET_SUBSYSTEM:
      return nid == NODE_GROUP ? self->subsystem : 0;
    default:
      return 0;
    }
}

static void
set_byte (uint32_t *word, unsigned n, unsigned value)
{
  *word = (*word & ~(0xffu << n * 8)) | value << n * 8;
}

static void
set_verb (HdaAudio *self, unsigned nid, unsigned verb, unsigned data)
{
  uint32_t *config = node_config (self, nid);
  uint8_t *pin = node_pin (self, nid);

  if (verb == VERB_SET_STREAM)
    set_stream (self, nid, data);
  else if (verb == VERB_SET_PIN && pin)
    *pin = (uint8_t) data;
  else if (verb == VERB_SET_POWER && nid == NODE_GROUP)
    self->connection_power = data & 3;
  else if (verb >= VERB_SET_CONFIG && verb < VERB_SET_CONFIG + 4 && config)
    set_byte (config, verb - VERB_SET_CONFIG, data);
  else if (verb >= VERB_SET_SUBSYSTEM && verb < VERB_SET_SUBSYSTEM + 4 && nid == NODE_GROUP)
    set_byte (&self->subsystem, verb - VERB_SET_SUBSYSTEM, data);
  else if (verb == VERB_RESET && nid == NODE_GROUP)
    group_reset (self);
}

static uint32_t
audio_command (VmHdaCodec *codec, unsigned nid, uint32_t verb)
{
  HdaAudio *self = (HdaAudio *) codec;
  HdaConverter *c = node_converter (self, nid);

  if (nid > NODE_PIN_IN || (nid > NODE_PIN_OUT && !audio_class (self)->recording))
    return 0;
  switch (verb >> 16)
    {
    case VERB_SET_FORMAT:
      if (c)
        hda_converter_set_format (c, (uint16_t) verb);
      return 0;
    case VERB_SET_AMP:
      set_amp (self, nid, verb);
      return 0;
    case VERB_GET_FORMAT:
      return c ? c->format : 0;
    case VERB_GET_AMP:
      return get_amp (self, nid, verb);
    case 0xf:
      return get_verb (self, nid, verb >> 8, verb & 0xff);
    case 0x7:
      set_verb (self, nid, verb >> 8, verb & 0xff);
      return 0;
    default:
      return 0;
    }
}

static void
audio_stream (VmHdaCodec *codec, unsigned tag, bool output)
{
  HdaAudio *self = (HdaAudio *) codec;
  HdaConverter *c = output ? &self->out : &self->in;

  if (c->tag == tag && (output || audio_class (self)->recording))
    hda_converter_update_running (c);
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */

static void
audio_reset (VmDevice *dev, VmResetKind kind)
{
  HdaAudio *self = (HdaAudio *) dev;

  memcpy (self->config, audio_class (self)->pins, sizeof self->config);
  self->subsystem = (uint32_t) PCI_VENDOR_REDHAT_QUMRANET << 16 | (audio_class (self)->id + (self->mixer ? 2u : 1u));
  group_reset (self);
}

static bool
audio_realize (VmDevice *dev, GError **error)
{
  HdaAudio *self = (HdaAudio *) dev;

  if (!vm_audio_card_attach (&self->card, dev->env, &dev->parent, dev->parent.type->name, error))
    return false;
  hda_converter_init (&self->out, self, true);
  hda_converter_init (&self->in, self, false);
  return true;
}

static void
audio_unrealize (VmDevice *dev)
{
  HdaAudio *self = (HdaAudio *) dev;

  hda_converter_close (&self->out);
  hda_converter_close (&self->in);
  vm_audio_card_detach (&self->card);
}

static bool
audio_post_load (VmDevice *dev, GError **error)
{
  HdaAudio *self = (HdaAudio *) dev;

  return hda_converter_loaded (&self->out, error) && hda_converter_loaded (&self->in, error);
}

static const VmProp audio_props[]
    = { VM_AUDIO_CARD_PROPS (HdaAudio, card),
        VM_PROP ("mixer", HdaAudio, mixer, true, "amplifiers for volume and mute"),
        VM_PROP ("use-timer", HdaAudio, use_timer, true, "positions move between the bursts of the host"),
        VM_PROP ("debug", HdaAudio, debug, 0, "1: log what is played and recorded"),
        { 0 } };

static const VmField audio_state[] = { VM_FIELD_EMBED (HdaAudio, out, hda_converter_state),
                                       VM_FIELD_EMBED (HdaAudio, in, hda_converter_state),
                                       VM_FIELD_ARRAY (HdaAudio, config),
                                       VM_FIELD (HdaAudio, subsystem),
                                       VM_FIELD_ARRAY (HdaAudio, pin_control),
                                       VM_FIELD (HdaAudio, connection_power),
                                       { 0 } };

#define AUDIO_CLASS(codec_id, with_recording, output_pin, input_pin)                                                   \
  {                                                                                                                    \
    .parent = { .parent = { .realize = audio_realize,                                                                  \
                            .unrealize = audio_unrealize,                                                              \
                            .reset = audio_reset,                                                                      \
                            .post_load = audio_post_load,                                                              \
                            .bus_type = VM_HDA_BUS_TYPE,                                                               \
                            .category = "Sound",                                                                       \
                            .user_creatable = true },                                                                  \
                .command = audio_command,                                                                              \
                .stream = audio_stream },                                                                              \
    .id = (codec_id), .recording = (with_recording),                                                                   \
    .pins                                                                                                              \
        = {(output_pin),                                                                                               \
           (input_pin) }                                                                                               \
  }

/* Green and blue jacks at the back; or what is built in. */
static const HdaAudioClass output_class = AUDIO_CLASS (0x10, false, 0x01014010, 0);
static const HdaAudioClass duplex_class = AUDIO_CLASS (0x20, true, 0x01014010, 0x01813020);
static const HdaAudioClass micro_class = AUDIO_CLASS (0x30, true, 0x90170110, 0x90a70120);

const VmType vm_hda_audio_type = {
  .name = "hda-audio",
  .parent = &vm_hda_codec_type,
  .size = sizeof (HdaAudio),
  .abstract = true,
  .help = "HDA Audio Codec",
  .props = audio_props,
  .state = audio_state,
  .klass = &output_class,
};

const VmType vm_hda_output_type = {
  .name = "hda-output",
  .parent = &vm_hda_audio_type,
  .size = sizeof (HdaAudio),
  .help = "HDA Audio Codec, output-only (line-out)",
  .klass = &output_class,
};

const VmType vm_hda_duplex_type = {
  .name = "hda-duplex",
  .parent = &vm_hda_audio_type,
  .size = sizeof (HdaAudio),
  .help = "HDA Audio Codec, duplex (line-out, line-in)",
  .klass = &duplex_class,
};

const VmType vm_hda_micro_type = {
  .name = "hda-micro",
  .parent = &vm_hda_audio_type,
  .size = sizeof (HdaAudio),
  .help = "HDA Audio Codec, duplex (speaker, microphone)",
  .klass = &micro_class,
};
