/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sample formats: to and from floating point numbers, and channels to other channels. */
#include "audio/audio-private.h"

#include <math.h>

static const uint8_t sample_bytes[VM_AUDIO_SAMPLE_N] = { 1, 1, 2, 2, 4, 4, 4 };

bool
vm_audio_format_ok (const VmAudioFormat *format)
{
  return format->rate >= VM_AUDIO_RATE_MIN && format->rate <= VM_AUDIO_RATE_MAX && format->channels >= 1
         && format->channels <= VM_AUDIO_CHANNELS && format->sample < VM_AUDIO_SAMPLE_N;
}

unsigned
vm_audio_frame_bytes (const VmAudioFormat *format)
{
  return format->sample < VM_AUDIO_SAMPLE_N ? format->channels * sample_bytes[format->sample] : 0;
}

/* Byte order says nothing about single bytes. */
static bool
swapped (const VmAudioFormat *format)
{
  return format->big_endian != (G_BYTE_ORDER == G_BIG_ENDIAN) && sample_bytes[format->sample] > 1;
}

bool
vm_audio_format_equal (const VmAudioFormat *a, const VmAudioFormat *b)
{
  return a->rate == b->rate && a->channels == b->channels && a->sample == b->sample && swapped (a) == swapped (b);
}

/* --- to floating point --------------------------------------------------------------------------------- */

static void
words_to_float (const VmAudioFormat *format, const uint8_t *in, float *out, size_t n)
{
  uint16_t flip = format->sample == VM_AUDIO_U16 ? 0x8000 : 0;

  if (swapped (format))
    for (size_t i = 0; i < n; i++)
      {
        uint16_t v;
        memcpy (&v, in + 2 * i, sizeof v);
        out[i] = (int16_t) (GUINT16_SWAP_LE_BE (v) ^ flip) * (1.0f / 32768);
      }
  else
    for (size_t i = 0; i < n; i++)
      {
        uint16_t v;
        memcpy (&v, in + 2 * i, sizeof v);
        out[i] = (int16_t) (v ^ flip) * (1.0f / 32768);
      }
}

static uint32_t
load_long (const uint8_t *in, bool swap)
{
  uint32_t v;

  memcpy (&v, in, sizeof v);
  return swap ? GUINT32_SWAP_LE_BE (v) : v;
}

/* What a guest calls a number need not be one. */
static float
tame (float v)
{
  return v >= -16.0f && v <= 16.0f ? v : 0.0f;
}

void
vm_audio_to_float (const VmAudioFormat *format, const void *bytes, float *out, size_t samples)
{
  const uint8_t *in = bytes;
  bool swap = swapped (format);

  switch (format->sample)
    {
    case VM_AUDIO_U8:
      for (size_t i = 0; i < samples; i++)
        out[i] = (in[i] - 128) * (1.0f / 128);
      break;
    case VM_AUDIO_S8:
      for (size_t i = 0; i < samples; i++)
        out[i] = (int8_t) in[i] * (1.0f / 128);
      break;
    case VM_AUDIO_U16:
    case VM_AUDIO_S16:
      words_to_float (format, in, out, samples);
      break;
    case VM_AUDIO_U32:
      for (size_t i = 0; i < samples; i++)
        out[i] = (float) (int32_t) (load_long (in + 4 * i, swap) ^ 0x80000000u) * (1.0f / 2147483648.0f);
      break;
    case VM_AUDIO_S32:
      for (size_t i = 0; i < samples; i++)
        out[i] = (float) (int32_t) load_long (in + 4 * i, swap) * (1.0f / 2147483648.0f);
      break;
    case VM_AUDIO_F32:
      for (size_t i = 0; i < samples; i++)
        {
          uint32_t v = load_long (in + 4 * i, swap);
          memcpy (out + i, &v, sizeof v);
          out[i] = tame (out[i]);
        }
      break;
    }
}

/* --- from floating point ------------------------------------------------------------------------------- */

static int32_t
scaled (float v, float scale, int32_t min, int32_t max)
{
  v *= scale;
  return v <= (float) min ? min : v >= (float) max ? max : (int32_t) lrintf (v);
}

static void
store_long (uint8_t *out, uint32_t v, bool swap)
{
  v = swap ? GUINT32_SWAP_LE_BE (v) : v;
  memcpy (out, &v, sizeof v);
}

void
vm_audio_from_float (const VmAudioFormat *format, const float *in, void *bytes, size_t samples)
{
  uint8_t *out = bytes;
  bool swap = swapped (format);
  uint16_t flip = format->sample == VM_AUDIO_U16 ? 0x8000 : 0;
  uint32_t flip_long = format->sample == VM_AUDIO_U32 ? 0x80000000u : 0;

  switch (format->sample)
    {
    case VM_AUDIO_U8:
    case VM_AUDIO_S8:
      for (size_t i = 0; i < samples; i++)
        out[i] = scaled (in[i], 128, -128, 127) ^ (format->sample == VM_AUDIO_U8 ? 0x80 : 0);
      break;
    case VM_AUDIO_U16:
    case VM_AUDIO_S16:
      for (size_t i = 0; i < samples; i++)
        {
          uint16_t v = scaled (in[i], 32768, -32768, 32767) ^ flip;
          v = swap ? GUINT16_SWAP_LE_BE (v) : v;
          memcpy (out + 2 * i, &v, sizeof v);
        }
      break;
    case VM_AUDIO_U32:
    case VM_AUDIO_S32:
      for (size_t i = 0; i < samples; i++)
        store_long (out + 4 * i, (uint32_t) scaled (in[i], 2147483648.0f, INT32_MIN, INT32_MAX) ^ flip_long, swap);
      break;
    case VM_AUDIO_F32:
      for (size_t i = 0; i < samples; i++)
        {
          uint32_t v;
          memcpy (&v, in + i, sizeof v);
          store_long (out + 4 * i, v, swap);
        }
      break;
    }
}

void
vm_audio_silence (const VmAudioFormat *format, void *bytes, size_t size)
{
  uint8_t *out = bytes;
  unsigned width = sample_bytes[format->sample];

  memset (out, format->sample == VM_AUDIO_U8 ? 0x80 : 0, size);
  if (format->sample == VM_AUDIO_U16 || format->sample == VM_AUDIO_U32)
    for (size_t i = swapped (format) == (G_BYTE_ORDER == G_BIG_ENDIAN) ? width - 1 : 0; i < size; i += width)
      out[i] = 0x80;
}

/* --- channels ------------------------------------------------------------------------------------------ */

enum
{
  FRONT_LEFT,
  FRONT_RIGHT,
  CENTRE,
  LFE,
  REAR_LEFT,
  REAR_RIGHT,
  SIDE_LEFT,
  SIDE_RIGHT
};

/* Where the channels of a frame of so many are. */
static const uint8_t places[VM_AUDIO_CHANNELS + 1][VM_AUDIO_CHANNELS] = {
  [1] = { CENTRE },
  [2] = { FRONT_LEFT, FRONT_RIGHT },
  [3] = { FRONT_LEFT, FRONT_RIGHT, CENTRE },
  [4] = { FRONT_LEFT, FRONT_RIGHT, REAR_LEFT, REAR_RIGHT },
  [5] = { FRONT_LEFT, FRONT_RIGHT, CENTRE, REAR_LEFT, REAR_RIGHT },
  [6] = { FRONT_LEFT, FRONT_RIGHT, CENTRE, LFE, REAR_LEFT, REAR_RIGHT },
  [7] = { FRONT_LEFT, FRONT_RIGHT, CENTRE, LFE, REAR_LEFT, REAR_RIGHT, SIDE_LEFT },
  [8] = { FRONT_LEFT, FRONT_RIGHT, CENTRE, LFE, REAR_LEFT, REAR_RIGHT, SIDE_LEFT, SIDE_RIGHT },
};

static int
place_among (unsigned channels, unsigned place)
{
  for (unsigned i = 0; i < channels; i++)
    if (places[channels][i] == place)
      return (int) i;
  return -1;
}

/* What channel IN of FROM adds to channel OUT of TO. A channel without a place of its own goes, softer, to the front;
 * so does what would be lost. */
static float
share (unsigned from, unsigned in, unsigned to, unsigned out)
{
  unsigned place = places[from][in], there = places[to][out];
  bool left = place == FRONT_LEFT || place == REAR_LEFT || place == SIDE_LEFT;

  if (to == 1)
    return place == LFE ? 0 : 1.0f / (from > 5 ? from - 1 : from);
  if (from == 1)
    return there == FRONT_LEFT || there == FRONT_RIGHT;
  if (place_among (to, place) >= 0)
    return place == there;
  if (place == LFE)
    return 0;
  if (place == CENTRE)
    return there == FRONT_LEFT || there == FRONT_RIGHT ? 0.7071f : 0;
  if (place >= SIDE_LEFT && place_among (to, REAR_LEFT) >= 0)
    return there == (left ? REAR_LEFT : REAR_RIGHT) ? 0.7071f : 0;
  return there == (left ? FRONT_LEFT : FRONT_RIGHT) ? 0.7071f : 0;
}

void
vm_audio_remap (const float *in, unsigned from, float *out, unsigned to, size_t frames)
{
  float matrix[VM_AUDIO_CHANNELS][VM_AUDIO_CHANNELS];

  if (from == 1 && to == 2)
    {
      for (size_t i = 0; i < frames; i++)
        out[2 * i] = out[2 * i + 1] = in[i];
      return;
    }
  for (unsigned o = 0; o < to; o++)
    for (unsigned i = 0; i < from; i++)
      matrix[o][i] = share (from, i, to, o);
  for (size_t f = 0; f < frames; f++, in += from, out += to)
    for (unsigned o = 0; o < to; o++)
      {
        float sum = 0;
        for (unsigned i = 0; i < from; i++)
          sum += matrix[o][i] * in[i];
        out[o] = sum;
      }
}
