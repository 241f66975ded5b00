/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "sndio": sio_open(3), a thread for each stream. */
#include "audio/audio-private.h"
#include "audio/host-thread.h"
#include "engine/schema/types.h"

#include <gmodule.h>
#include <sndio.h>

#define LATENCY_NS (50 * VM_NS_PER_MS)

typedef struct Sndio
{
  char *name;
  bool recording;
  int64_t buffer_ns;
  struct sio_hdl *handle; /* NULL: not open */
  unsigned frame;
  uint32_t rate;
  int64_t moved, played; /* frames */
} Sndio;

static void
moved (void *opaque, int frames)
{
  Sndio *s = opaque;

  s->played += frames;
}

static bool
sndio_thread_open (void *device, VmAudioFormat *format, size_t *chunk, GError **error)
{
  Sndio *s = device;
  struct sio_par par;
  unsigned width;

  s->handle = sio_open (s->name, s->recording ? SIO_REC : SIO_PLAY, 0);
  if (!s->handle)
    return vm_fail (error, "sndio device '%s': cannot open", s->name);
  sio_initpar (&par);
  format->sample = format->sample == VM_AUDIO_F32 ? VM_AUDIO_S32 : format->sample;
  width = vm_audio_frame_bytes (format) / format->channels;
  par.bits = width * 8;
  par.bps = width;
  par.sig = format->sample == VM_AUDIO_S8 || format->sample == VM_AUDIO_S16 || format->sample == VM_AUDIO_S32;
  par.le = SIO_LE_NATIVE;
  par.rate = format->rate;
  *(s->recording ? &par.rchan : &par.pchan) = format->channels;
  par.appbufsz = vm_muldiv64 (s->buffer_ns, format->rate, VM_NS_PER_SEC);
  par.round = MAX (par.appbufsz / 4, 1);
  if (!sio_setpar (s->handle, &par) || !sio_getpar (s->handle, &par))
    return vm_fail (error, "sndio device '%s': it refuses the format", s->name);
  if (par.bps != par.bits / 8 || (par.bps != 1 && par.bps != 2 && par.bps != 4) || par.le != SIO_LE_NATIVE)
    return vm_fail (error, "sndio device '%s': its format is not known here", s->name);
  format->sample = par.bps == 1   ? par.sig ? VM_AUDIO_S8 : VM_AUDIO_U8
                   : par.bps == 2 ? par.sig ? VM_AUDIO_S16 : VM_AUDIO_U16
                   : par.sig      ? VM_AUDIO_S32
                                  : VM_AUDIO_U32;
  format->rate = par.rate;
  format->channels = MIN (s->recording ? par.rchan : par.pchan, 255);
  if (!vm_audio_format_ok (format))
    return vm_fail (error, "sndio device '%s': its format is not known here", s->name);
  s->frame = vm_audio_frame_bytes (format);
  s->rate = format->rate;
  s->moved = s->played = 0;
  sio_onmove (s->handle, moved, s);
  *chunk = par.round;
  return sio_start (s->handle) || vm_fail (error, "sndio device '%s': it does not start", s->name);
}

static bool
sndio_thread_move (void *device, void *bytes, size_t frames)
{
  Sndio *s = device;
  size_t size = frames * s->frame;

  s->moved += frames;
  while (size)
    {
      size_t n = s->recording ? sio_read (s->handle, bytes, size) : sio_write (s->handle, bytes, size);
      if (!n || sio_eof (s->handle))
        return false;
      bytes = (uint8_t *) bytes + n;
      size -= n;
    }
  return true;
}

static int64_t
sndio_thread_delay (void *device)
{
  Sndio *s = device;

  return s->recording || s->moved < s->played ? -1
                                              : (int64_t) vm_muldiv64 (s->moved - s->played, VM_NS_PER_SEC, s->rate);
}

static void
sndio_thread_close (void *device)
{
  Sndio *s = device;

  if (s->handle)
    sio_close (s->handle);
  s->handle = NULL;
}

static void
sndio_thread_free (void *device)
{
  Sndio *s = device;

  g_free (s->name);
  g_free (s);
}

static const VmHostOps thread_ops = {
  .open = sndio_thread_open,
  .move = sndio_thread_move,
  .delay_ns = sndio_thread_delay,
  .close = sndio_thread_close,
  .free = sndio_thread_free,
};

/* --- the class ----------------------------------------------------------------------------------------- */

/* "dev" and "latency" may be said of one direction, or of both. */
static bool
sndio_open (VmAudiodev *dev, const void *options, GError **error)
{
  const VmqAudiodevSndioOptions *o = options;

  for (int recording = 0; recording < 2; recording++)
    {
      const VmqAudiodevSndioPerDirectionOptions *side = recording ? o->in : o->out;
      int64_t us = side->has_latency ? side->latency : o->latency;
      vm_audiodev_set_latency (dev, recording, side->has_latency || o->has_latency ? us * VM_NS_PER_US : LATENCY_NS);
    }
  return true;
}

static void
sndio_start (VmAudioStream *stream)
{
  const VmqAudiodevSndioOptions *all = stream->dev->options->u.sndio;
  const VmqAudiodevSndioPerDirectionOptions *side = stream->recording ? all->in : all->out;
  Sndio *s = g_new0 (Sndio, 1);

  s->name = g_strdup (side->dev ? side->dev : all->dev ? all->dev : SIO_DEVANY);
  s->recording = stream->recording;
  s->buffer_ns = stream->buffer_ns;
  vm_host_thread_start (stream, &thread_ops, s);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "sndio",
  .stream_size = sizeof (VmHostThread *),
  .open = sndio_open,
  .start = sndio_start,
  .stop = vm_host_thread_stop,
};
