/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In place of the audio core: voices that are played and fed by hand, and hold cards to the contract. */
#pragma once

#include "audio/audio.h"

struct VmAudioVoice
{
  char *name;
  bool input, active, mute;
  VmAudioFormat format;
  VmAudioFunc func;
  void *opaque;
  float gain[2];
  size_t room;       /* while FUNC of an output runs */
  GByteArray *bytes; /* what was played, or is to be recorded */
};

/* The open voice of that name. */
VmAudioVoice *audio_double_find (const char *name);
/* Asks for FRAMES as the core does each tick; nothing when it is not active. */
void audio_double_tick (VmAudioVoice *voice, size_t frames);
/* All open voices: FRAMES each. Recordings hear a ramp of bytes. */
void audio_double_tick_all (size_t frames);
/* Little-endian 16-bit sample N of what was played. */
int16_t audio_double_sample (const VmAudioVoice *voice, size_t n);
