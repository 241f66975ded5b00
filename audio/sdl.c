/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "sdl": SDL's default audio device, whatever SDL takes for it. */
#include "audio/audio-private.h"
#include "audio/host-thread.h"
#include "engine/schema/types.h"

#include <SDL.h>
#include <gmodule.h>

#define LATENCY_NS (50 * VM_NS_PER_MS)
#define BUFFERS 4

typedef struct Sdl
{
  bool recording;
  unsigned buffers;
  int64_t buffer_ns;
  SDL_AudioDeviceID id; /* 0: not open */
  unsigned frame;
  VmHostBridge bridge;
} Sdl;

static const struct
{
  uint8_t sample;
  SDL_AudioFormat format;
} formats[] = {
  { VM_AUDIO_S16, AUDIO_S16SYS }, { VM_AUDIO_U8, AUDIO_U8 },      { VM_AUDIO_S8, AUDIO_S8 },
  { VM_AUDIO_U16, AUDIO_U16SYS }, { VM_AUDIO_S32, AUDIO_S32SYS }, { VM_AUDIO_U32, AUDIO_S32SYS },
  { VM_AUDIO_F32, AUDIO_F32SYS },
};

static void SDLCALL
called (void *opaque, Uint8 *bytes, int size)
{
  Sdl *s = opaque;

  if (s->recording)
    vm_host_bridge_give (&s->bridge, bytes, size / s->frame);
  else
    vm_host_bridge_take (&s->bridge, bytes, size / s->frame);
}

static bool
sdl_thread_open (void *device, VmAudioFormat *format, size_t *chunk, GError **error)
{
  Sdl *s = device;
  uint64_t frames = vm_muldiv64 (s->buffer_ns, format->rate, VM_NS_PER_SEC) / s->buffers;
  SDL_AudioSpec want = { .freq = (int) format->rate, .channels = format->channels, .callback = called, .userdata = s };
  SDL_AudioSpec have;

  if (!SDL_WasInit (SDL_INIT_AUDIO) && SDL_InitSubSystem (SDL_INIT_AUDIO) < 0)
    return vm_fail (error, "SDL has no sound: %s", SDL_GetError ());
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].sample == format->sample)
      want.format = formats[i].format;
  for (want.samples = 64; want.samples < 16384 && want.samples < frames; want.samples *= 2)
    ;
  /* What the device cannot do SDL converts. */
  vm_host_bridge_open (&s->bridge, format, 2 * (size_t) want.samples);
  s->frame = vm_audio_frame_bytes (format);
  s->id = SDL_OpenAudioDevice (NULL, s->recording, &want, &have, 0);
  if (!s->id)
    return vm_fail (error, "SDL: %s", SDL_GetError ());
  *chunk = have.samples;
  SDL_PauseAudioDevice (s->id, 0);
  return true;
}

static bool
sdl_thread_move (void *device, void *bytes, size_t frames)
{
  Sdl *s = device;

  if (SDL_GetAudioDeviceStatus (s->id) == SDL_AUDIO_STOPPED)
    return false;
  return s->recording ? vm_host_bridge_record (&s->bridge, bytes, frames)
                      : vm_host_bridge_play (&s->bridge, bytes, frames);
}

static void
sdl_thread_close (void *device)
{
  Sdl *s = device;

  if (s->id)
    SDL_CloseAudioDevice (s->id);
  s->id = 0;
  vm_host_bridge_close (&s->bridge);
}

static const VmHostOps thread_ops = {
  .open = sdl_thread_open,
  .move = sdl_thread_move,
  .close = sdl_thread_close,
  .free = g_free,
};

/* --- the class ----------------------------------------------------------------------------------------- */

static bool
sdl_open (VmAudiodev *dev, const void *options, GError **error)
{
  SDL_InitSubSystem (SDL_INIT_AUDIO); /* here, before others use SDL; what fails is tried again when sound comes */
  vm_audiodev_set_latency (dev, false, LATENCY_NS);
  vm_audiodev_set_latency (dev, true, LATENCY_NS);
  return true;
}

static void
sdl_settle (VmAudioStream *stream, VmAudioFormat *format)
{
  if (format->sample == VM_AUDIO_U32)
    format->sample = VM_AUDIO_S32;
  format->rate = MIN (format->rate, 192000);
}

static void
sdl_start (VmAudioStream *stream)
{
  const VmqAudiodevSdlOptions *all = stream->dev->options->u.sdl;
  const VmqAudiodevSdlPerDirectionOptions *o = stream->recording ? all->in : all->out;
  Sdl *s = g_new0 (Sdl, 1);

  s->recording = stream->recording;
  s->buffers = o->has_buffer_count ? (unsigned) CLAMP (o->buffer_count, 1, 64) : BUFFERS;
  s->buffer_ns = stream->buffer_ns;
  vm_host_thread_start (stream, &thread_ops, s);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "sdl",
  .stream_size = sizeof (VmHostThread *),
  .open = sdl_open,
  .settle = sdl_settle,
  .start = sdl_start,
  .stop = vm_host_thread_stop,
};
