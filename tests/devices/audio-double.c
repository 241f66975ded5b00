/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The double of the audio core: see audio-double.h. */
#include "tests/devices/audio-double.h"

#include "engine/bus/device.h"

#include <math.h>

#define KEPT (64u << 20)

static GPtrArray *voices;

bool
vm_audio_card_attach (VmAudioCard *card, VmEnv *env, VmObject *device, const char *model, GError **error)
{
  if (card->audiodev && !strcmp (card->audiodev, "missing"))
    return vm_fail (error, "Property '%s.audiodev' can't find value 'missing'", model);
  card->name = g_strdup (model);
  return true;
}

void
vm_audio_card_detach (VmAudioCard *card)
{
  g_clear_pointer (&card->name, g_free);
}

static VmAudioVoice *
open_voice (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func, void *opaque,
            bool input)
{
  VmAudioVoice *voice = g_new0 (VmAudioVoice, 1);

  g_assert_nonnull (card->name);
  *voice
      = (VmAudioVoice){ g_strdup (name), input, false, false, *format, func, opaque, { 1, 1 }, 0, g_byte_array_new () };
  if (!voices)
    voices = g_ptr_array_new ();
  g_ptr_array_add (voices, voice);
  return voice;
}

VmAudioVoice *
vm_audio_open_out (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func, void *opaque)
{
  return open_voice (card, name, format, func, opaque, false);
}

VmAudioVoice *
vm_audio_open_in (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func, void *opaque)
{
  return open_voice (card, name, format, func, opaque, true);
}

void
vm_audio_close (VmAudioVoice *voice)
{
  if (!voice)
    return;
  g_assert_true (g_ptr_array_remove (voices, voice));
  if (voices->len == 0)
    g_clear_pointer (&voices, g_ptr_array_unref);
  g_byte_array_unref (voice->bytes);
  g_free (voice->name);
  g_free (voice);
}

bool
vm_audio_format_ok (const VmAudioFormat *format)
{
  return format->rate >= VM_AUDIO_RATE_MIN && format->rate <= VM_AUDIO_RATE_MAX && format->channels >= 1
         && format->channels <= VM_AUDIO_CHANNELS && format->sample < VM_AUDIO_SAMPLE_N;
}

unsigned
vm_audio_frame_bytes (const VmAudioFormat *format)
{
  static const uint8_t bytes[VM_AUDIO_SAMPLE_N] = { 1, 1, 2, 2, 4, 4, 4 };

  return format->sample < VM_AUDIO_SAMPLE_N ? bytes[format->sample] * format->channels : 0;
}

bool
vm_audio_format_equal (const VmAudioFormat *a, const VmAudioFormat *b)
{
  return a->rate == b->rate && a->channels == b->channels && a->sample == b->sample && a->big_endian == b->big_endian;
}

void
vm_audio_set_format (VmAudioVoice *voice, const VmAudioFormat *format)
{
  if (!vm_audio_format_equal (&voice->format, format))
    voice->room = 0;
  voice->format = *format;
}

void
vm_audio_set_active (VmAudioVoice *voice, bool active)
{
  voice->active = active;
}

void
vm_audio_set_even (VmAudioVoice *voice, bool even)
{
}

bool
vm_audio_is_active (const VmAudioVoice *voice)
{
  return voice->active;
}

void
vm_audio_set_volume (VmAudioVoice *voice, bool mute, unsigned n, const float *gain)
{
  voice->mute = mute;
  for (unsigned i = 0; i < 2; i++)
    {
      voice->gain[i] = gain[MIN (i, n - 1)];
      g_assert_true (isfinite (voice->gain[i]) && voice->gain[i] >= 0);
    }
}

size_t
vm_audio_write (VmAudioVoice *voice, const void *bytes, size_t size)
{
  size_t taken = MIN (size, voice->room);

  g_assert_false (voice->input);
  taken -= taken % MAX (1, vm_audio_frame_bytes (&voice->format));
  voice->room -= taken;
  if (voice->bytes->len < KEPT)
    g_byte_array_append (voice->bytes, bytes, (guint) taken);
  return taken;
}

size_t
vm_audio_free (const VmAudioVoice *voice)
{
  return voice->room;
}

size_t
vm_audio_available (const VmAudioVoice *voice)
{
  size_t n = MIN (voice->room, voice->bytes->len);

  return n - n % MAX (1, vm_audio_frame_bytes (&voice->format));
}

size_t
vm_audio_read (VmAudioVoice *voice, void *bytes, size_t size)
{
  size_t taken = MIN (size, vm_audio_available (voice));

  g_assert_true (voice->input);
  taken -= taken % MAX (1, vm_audio_frame_bytes (&voice->format));
  if (taken == 0)
    return 0;
  memcpy (bytes, voice->bytes->data, taken);
  g_byte_array_remove_range (voice->bytes, 0, (guint) taken);
  voice->room -= taken;
  return taken;
}

int64_t
vm_audio_latency_ns (const VmAudioVoice *voice)
{
  return 20 * VM_NS_PER_MS;
}

/* --- by hand ---------------------------------------------------------------------------------- */

VmAudioVoice *
audio_double_find (const char *name)
{
  for (guint i = 0; voices && i < voices->len; i++)
    {
      VmAudioVoice *voice = g_ptr_array_index (voices, i);

      if (!strcmp (voice->name, name))
        return voice;
    }
  g_error ("no voice %s", name);
}

void
audio_double_tick (VmAudioVoice *voice, size_t frames)
{
  if (!voice->active || !vm_audio_format_ok (&voice->format) || !voice->func)
    return;
  voice->room = frames * vm_audio_frame_bytes (&voice->format);
  voice->func (voice->opaque, voice->room);
  voice->room = 0;
}

void
audio_double_tick_all (size_t frames)
{
  for (guint i = 0; voices && i < voices->len; i++)
    {
      VmAudioVoice *voice = g_ptr_array_index (voices, i);
      size_t wanted = frames * vm_audio_frame_bytes (&voice->format);

      if (voice->input)
        while (voice->bytes->len < wanted)
          g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) voice->bytes->len }, 1);
      audio_double_tick (voice, frames);
      if (!voice->input && voice->bytes->len > VM_MIB)
        g_byte_array_set_size (voice->bytes, 0);
    }
}

int16_t
audio_double_sample (const VmAudioVoice *voice, size_t n)
{
  g_assert_cmpuint (2 * n + 2, <=, voice->bytes->len);
  return (int16_t) vm_load_le16 (voice->bytes->data + 2 * n);
}
