/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Voices: what a card plays or records. */
#include "audio/audio-private.h"

#include <math.h>

#define QUEUE_MS 200 /* of a voice that plays at its own pace */
#define GAIN_MAX 16.0f

/* --- the queue of frames in the card's format ---------------------------------------------------------- */

void
vm_voice_drop (VmAudioVoice *voice, size_t bytes)
{
  voice->raw_start += bytes;
  voice->raw_filled -= bytes;
  if (!voice->raw_filled)
    voice->raw_start = 0;
}

uint8_t *
vm_voice_room (VmAudioVoice *voice, size_t bytes)
{
  if (!voice->raw || voice->raw_start + voice->raw_filled + bytes > voice->raw_size)
    {
      if (voice->raw_start)
        memmove (voice->raw, voice->raw + voice->raw_start, voice->raw_filled);
      voice->raw_start = 0;
      if (!voice->raw || voice->raw_filled + bytes > voice->raw_size)
        {
          voice->raw_size = MAX (voice->raw_filled + bytes, 1);
          voice->raw = g_realloc (voice->raw, voice->raw_size);
        }
    }
  return voice->raw + voice->raw_start + voice->raw_filled;
}

size_t
vm_voice_queue_limit (const VmAudioVoice *voice)
{
  int64_t ns = MAX (QUEUE_MS * VM_NS_PER_MS, 4 * voice->dev->period_ns);

  return (size_t) vm_muldiv64 (voice->format.rate, ns, VM_NS_PER_SEC) * voice->frame;
}

size_t
vm_voice_collect (VmAudioVoice *voice, size_t frames)
{
  size_t bytes = frames * voice->frame;

  if (voice->func && voice->active)
    {
      unsigned serial = voice->serial;
      vm_voice_drop (voice, voice->raw_filled);
      vm_voice_room (voice, bytes);
      voice->wanted = bytes;
      voice->func (voice->opaque, bytes);
      voice->wanted = 0;
      if (voice->closed || serial != voice->serial)
        return 0;
    }
  return MIN (bytes, voice->raw_filled) / voice->frame;
}

size_t
vm_audio_free (const VmAudioVoice *voice)
{
  size_t limit;

  if (!voice->valid || !voice->active || voice->recording)
    return 0;
  if (voice->func)
    return voice->wanted;
  limit = vm_voice_queue_limit (voice);
  return limit > voice->raw_filled ? limit - voice->raw_filled : 0;
}

size_t
vm_audio_write (VmAudioVoice *voice, const void *bytes, size_t size)
{
  size = MIN (size, vm_audio_free (voice));
  if (!size)
    return 0;
  size -= size % voice->frame;
  memcpy (vm_voice_room (voice, size), bytes, size);
  voice->raw_filled += size;
  voice->wanted -= voice->func ? size : 0;
  return size;
}

size_t
vm_audio_available (const VmAudioVoice *voice)
{
  return voice->recording && voice->valid && voice->active ? voice->raw_filled : 0;
}

size_t
vm_audio_read (VmAudioVoice *voice, void *bytes, size_t size)
{
  size = MIN (size, vm_audio_available (voice));
  if (!size)
    return 0;
  size -= size % voice->frame;
  memcpy (bytes, voice->raw + voice->raw_start, size);
  vm_voice_drop (voice, size);
  return size;
}

/* --- what a card sets ---------------------------------------------------------------------------------- */

void
vm_voice_connect (VmAudioVoice *voice)
{
  if (!voice->stream || !voice->valid)
    vm_audio_pipe_clear (&voice->pipe);
  else if (voice->recording)
    vm_audio_pipe_setup (&voice->pipe, &voice->stream->host.format, &voice->format);
  else
    vm_audio_pipe_setup (&voice->pipe, &voice->format, &voice->stream->host.format);
}

void
vm_audio_set_format (VmAudioVoice *voice, const VmAudioFormat *format)
{
  bool active = voice->active;

  if (vm_audio_format_equal (&voice->format, format) && voice->valid)
    return;
  vm_audio_set_active (voice, false);
  vm_stream_leave (voice);
  voice->raw_start = voice->raw_filled = voice->wanted = 0;
  voice->serial++;
  voice->format = *format;
  voice->valid = vm_audio_format_ok (format);
  voice->frame = voice->valid ? vm_audio_frame_bytes (format) : 0;
  vm_audio_set_active (voice, active);
}

void
vm_audio_set_active (VmAudioVoice *voice, bool active)
{
  if (voice->active == active)
    return;
  voice->active = active;
  if (!active)
    {
      voice->wanted = 0;
      if (voice->recording || (!voice->raw_filled && !voice->pipe.filled))
        vm_stream_leave (voice); /* else when all of it was played */
    }
  else if (voice->valid)
    {
      if (voice->recording)
        voice->raw_start = voice->raw_filled = 0;
      voice->waiting = true;
      voice->due = 0;
      vm_stream_join (voice);
    }
  vm_audio_listeners_playing (voice->dev);
}

void
vm_audio_set_even (VmAudioVoice *voice, bool even)
{
  voice->even = even;
}

bool
vm_audio_is_active (const VmAudioVoice *voice)
{
  return voice->active;
}

void
vm_audio_set_volume (VmAudioVoice *voice, bool mute, unsigned n, const float *gain)
{
  bool plain = !mute;

  for (unsigned i = 0; i < VM_AUDIO_CHANNELS; i++)
    {
      float g = n ? gain[MIN (i, n - 1)] : 1;
      voice->gain[i] = g >= 0 && g <= GAIN_MAX ? g : isnan (g) || g < 0 ? 0 : GAIN_MAX;
      plain = plain && voice->gain[i] == 1;
    }
  voice->mute = mute;
  voice->plain = plain;
  if (voice->stream)
    vm_stream_tell_volume (voice->stream);
}

int64_t
vm_audio_latency_ns (const VmAudioVoice *voice)
{
  const VmStream *stream = voice->stream;
  int64_t ns = 0;

  if (voice->frame)
    ns += vm_muldiv64 (voice->raw_filled / voice->frame, VM_NS_PER_SEC, voice->format.rate);
  if (!stream)
    return ns;
  if (voice->pipe.rate_out)
    ns += vm_muldiv64 (voice->pipe.filled, VM_NS_PER_SEC, voice->pipe.rate_out);
  if (stream->host.ring)
    ns += vm_muldiv64 (vm_audio_ring_filled (stream->host.ring), VM_NS_PER_SEC, stream->host.format.rate)
          + __atomic_load_n (&stream->host.ring->host_delay, __ATOMIC_RELAXED);
  return ns;
}

/* --- coming and going ---------------------------------------------------------------------------------- */

static VmAudioVoice *
open_voice (VmAudioCard *card, bool recording, const char *name, const VmAudioFormat *format, VmAudioFunc func,
            void *opaque)
{
  VmAudioVoice *voice = g_new0 (VmAudioVoice, 1);

  voice->dev = card->dev;
  voice->name = g_strdup_printf ("%s.%s", card->name, name);
  voice->recording = recording;
  voice->func = func;
  voice->opaque = opaque;
  /* Counted time must not depend on the host's. */
  voice->own_pace = !func || card->dev->audio->env->icount.enabled;
  vm_audio_set_volume (voice, false, 0, NULL);
  g_ptr_array_add (card->dev->voices, voice);
  vm_audio_set_format (voice, format);
  return voice;
}

VmAudioVoice *
vm_audio_open_out (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func, void *opaque)
{
  return open_voice (card, false, name, format, func, opaque);
}

VmAudioVoice *
vm_audio_open_in (VmAudioCard *card, const char *name, const VmAudioFormat *format, VmAudioFunc func, void *opaque)
{
  return open_voice (card, true, name, format, func, opaque);
}

void
vm_voice_free (VmAudioVoice *voice)
{
  g_ptr_array_remove (voice->dev->voices, voice);
  g_free (voice->name);
  g_free (voice->raw);
  g_free (voice);
}

void
vm_audio_close (VmAudioVoice *voice)
{
  if (!voice || voice->closed)
    return;
  vm_audio_set_active (voice, false);
  vm_stream_leave (voice);
  voice->closed = true;
  vm_audio_listeners_playing (voice->dev);
  if (!voice->dev->ticking) /* else at the end of the tick */
    vm_voice_free (voice);
}

/* --- cards --------------------------------------------------------------------------------------------- */

bool
vm_audio_card_attach (VmAudioCard *card, VmEnv *env, VmObject *device, const char *model, GError **error)
{
  VmAudiodev *dev = vm_audiodev_find (env, card->audiodev);

  if (!dev && card->audiodev)
    return vm_fail (error, "Property '%s.audiodev' can't find value '%s'", model, card->audiodev);
  if (!dev)
    dev = vm_audiodev_make_standard (env, error);
  if (!dev)
    return false;
  card->dev = dev;
  card->name = g_strdup (device->id ? device->id : model);
  dev->cards++;
  return true;
}

void
vm_audio_card_detach (VmAudioCard *card)
{
  if (card->dev)
    card->dev->cards--;
  card->dev = NULL;
  g_clear_pointer (&card->name, g_free);
}
