/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The codecs: one converter each way between the link and a voice of the host. */
#pragma once

#include "audio/audio.h"
#include "devices/audio/hda.h"

#define HDA_FIFO 0x8000u

typedef struct HdaAudio HdaAudio;

/* A converter with what it has between the link and the voice. */
typedef struct HdaConverter
{
  HdaAudio *codec;
  bool output;
  VmAudioVoice *voice;
  VmTimer timer;
  uint32_t burst; /* bytes of the stream that the voice takes to play at a time */
  /* guest state */
  uint16_t format;      /* 3.7.1 */
  uint8_t tag, channel; /* stream, and the first of its channels */
  uint8_t amp[2];       /* left and right: mute in bit 7, gain */
  bool running;
  uint32_t read, filled; /* of the FIFO */
  int64_t start;         /* virtual ns when it began to run, and the frames that have passed by the timer since */
  uint64_t frames;
  uint8_t fifo[HDA_FIFO];
} HdaConverter;

struct HdaAudio
{
  VmHdaCodec parent;
  /* properties */
  VmAudioCard card;
  uint32_t debug;
  bool mixer, use_timer;
  /* wiring and guest state */
  HdaConverter out, in;
  uint32_t config[2]; /* configuration defaults of the pins, output first */
  uint32_t subsystem;
  uint8_t pin_control[2], connection_power; /* POWER: state of the function group */
};

extern const VmField hda_converter_state[];

#define HDA_AMP_STEPS 74u /* of 1 dB; the last one is 0 dB */
#define HDA_AMP_MUTE 0x80u

void hda_converter_init (HdaConverter *c, HdaAudio *codec, bool output);
void hda_converter_close (HdaConverter *c);
void hda_converter_reset (HdaConverter *c);
bool hda_converter_loaded (HdaConverter *c, GError **error);
/* After a change of format; of the amplifier; of the tag, or of what runs on the link. */
void hda_converter_set_format (HdaConverter *c, uint16_t format);
void hda_converter_update_volume (HdaConverter *c);
void hda_converter_update_running (HdaConverter *c);
