/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who listens in on what a back end plays. */
#include "audio/audio-private.h"

/* A listener's ear at one stream. */
typedef struct VmTap
{
  const VmStream *stream;
  VmAudioPipe pipe;
} VmTap;

static void
tap_free (void *data)
{
  VmTap *tap = data;

  vm_audio_pipe_clear (&tap->pipe);
  g_free (tap);
}

static VmTap *
tap_of (VmAudioListener *listener, const VmStream *stream)
{
  for (guint i = 0; i < listener->taps->len; i++)
    {
      VmTap *tap = g_ptr_array_index (listener->taps, i);
      if (tap->stream == stream)
        return tap;
    }
  VmTap *tap = g_new0 (VmTap, 1);
  tap->stream = stream;
  vm_audio_pipe_setup (&tap->pipe, &stream->host.format, &listener->format);
  g_ptr_array_add (listener->taps, tap);
  return tap;
}

void
vm_audio_listeners_feed (VmAudiodev *dev, const VmStream *stream, const float *mix, const void *bytes, size_t frames)
{
  for (guint i = 0; i < dev->listeners->len; i++)
    {
      VmAudioListener *listener = g_ptr_array_index (dev->listeners, i);
      VmTap *tap = tap_of (listener, stream);
      if (mix)
        vm_audio_pipe_feed_floats (&tap->pipe, mix, frames, NULL);
      else
        vm_audio_pipe_feed (&tap->pipe, &stream->host.format, bytes, frames, NULL);
    }
}

void
vm_audio_listeners_forget (VmAudiodev *dev, const VmStream *stream)
{
  for (guint i = 0; i < dev->listeners->len; i++)
    {
      VmAudioListener *listener = g_ptr_array_index (dev->listeners, i);
      for (guint t = listener->taps->len; t-- > 0;)
        if (((VmTap *) g_ptr_array_index (listener->taps, t))->stream == stream)
          g_ptr_array_remove_index (listener->taps, t);
    }
}

/* As much as the stream that has most; where another has less, that one is silent. */
static void
deliver (VmAudioListener *listener)
{
  unsigned channels = listener->format.channels, frame = vm_audio_frame_bytes (&listener->format);
  size_t frames = 0;

  for (guint i = 0; i < listener->taps->len; i++)
    frames = MAX (frames, ((VmTap *) g_ptr_array_index (listener->taps, i))->pipe.filled);
  if (!frames)
    return;
  if (listener->size < frames)
    {
      listener->size = frames;
      listener->mix = g_renew (float, listener->mix, frames *channels);
      listener->bytes = g_realloc (listener->bytes, frames * frame);
    }
  memset (listener->mix, 0, frames * channels * sizeof *listener->mix);
  for (guint i = 0; i < listener->taps->len; i++)
    {
      VmTap *tap = g_ptr_array_index (listener->taps, i);
      const float *from = vm_audio_pipe_out (&tap->pipe);
      size_t n = tap->pipe.filled;
      for (size_t s = 0; s < n * channels; s++)
        listener->mix[s] += from[s];
      vm_audio_pipe_taken (&tap->pipe, n);
    }
  vm_audio_from_float (&listener->format, listener->mix, listener->bytes, frames * channels);
  listener->ops->sound (listener->opaque, listener->bytes, frames * frame);
}

static void
listener_free (VmAudioListener *listener)
{
  g_ptr_array_remove (listener->dev->listeners, listener);
  g_ptr_array_unref (listener->taps);
  g_free (listener->mix);
  g_free (listener->bytes);
  g_free (listener);
}

void
vm_audio_listeners_deliver (VmAudiodev *dev)
{
  for (guint i = 0; i < dev->listeners->len; i++)
    {
      VmAudioListener *listener = g_ptr_array_index (dev->listeners, i);
      if (!listener->gone && dev->playing)
        deliver (listener);
    }
  for (guint i = dev->listeners->len; i-- > 0;)
    {
      VmAudioListener *listener = g_ptr_array_index (dev->listeners, i);
      if (listener->gone)
        listener_free (listener);
    }
}

/* After a voice came or went. */
void
vm_audio_listeners_playing (VmAudiodev *dev)
{
  bool playing = false;

  for (guint i = 0; i < dev->voices->len; i++)
    {
      const VmAudioVoice *voice = g_ptr_array_index (dev->voices, i);
      playing = playing || (!voice->recording && voice->stream && !voice->closed);
    }
  if (playing == dev->playing || dev->ticking)
    return;
  dev->playing = playing;
  for (guint i = dev->listeners->len; i-- > 0;) /* one may leave on hearing of it */
    {
      VmAudioListener *listener = g_ptr_array_index (dev->listeners, i);
      if (listener->ops->playing && !listener->gone)
        listener->ops->playing (listener->opaque, playing);
    }
}

VmAudioListener *
vm_audio_listen (VmAudiodev *dev, const VmAudioFormat *format, const VmAudioListenerOps *ops, void *opaque)
{
  VmAudioListener *listener = g_new0 (VmAudioListener, 1);

  g_assert (vm_audio_format_ok (format));
  listener->dev = dev;
  listener->format = *format;
  listener->ops = ops;
  listener->opaque = opaque;
  listener->taps = g_ptr_array_new_with_free_func (tap_free);
  g_ptr_array_add (dev->listeners, listener);
  if (dev->playing && ops->playing)
    ops->playing (opaque, true);
  return listener;
}

void
vm_audio_unlisten (VmAudioListener *listener)
{
  if (!listener)
    return;
  if (listener->dev->ticking)
    listener->gone = true;
  else
    listener_free (listener);
}
