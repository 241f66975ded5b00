/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "alsa": PCM devices of alsa-lib, a thread for each stream. */
#include "audio/audio-private.h"
#include "audio/host-thread.h"
#include "engine/schema/types.h"

#include <alsa/asoundlib.h>
#include <gmodule.h>

#define LATENCY_NS (40 * VM_NS_PER_MS)
#define WAIT_MS 2000 /* for room: servers behind alsa-lib may have other things to do for a while */

typedef struct Alsa
{
  char *name;
  bool recording, poll;
  unsigned buffer_us, period_us, threshold_us;
  snd_pcm_t *pcm; /* NULL: not open */
  snd_pcm_uframes_t size, start; /* of its buffer, and what has to be in it before it plays */
  uint32_t rate;
  unsigned frame;
} Alsa;

static const struct
{
  uint8_t sample;
  snd_pcm_format_t format;
} formats[] = {
  { VM_AUDIO_S16, SND_PCM_FORMAT_S16 }, { VM_AUDIO_S32, SND_PCM_FORMAT_S32 }, { VM_AUDIO_F32, SND_PCM_FORMAT_FLOAT },
  { VM_AUDIO_U8, SND_PCM_FORMAT_U8 },   { VM_AUDIO_U16, SND_PCM_FORMAT_U16 }, { VM_AUDIO_U32, SND_PCM_FORMAT_U32 },
  { VM_AUDIO_S8, SND_PCM_FORMAT_S8 },
};

static bool
took (int result, const char *what, const Alsa *a, GError **error)
{
  return result >= 0 || vm_fail (error, "ALSA device '%s': %s: %s", a->name, what, snd_strerror (result));
}

/* The sample format that is wanted, else the first of ours that the device has. */
static bool
choose_format (Alsa *a, snd_pcm_hw_params_t *hw, VmAudioFormat *format, GError **error)
{
  for (int wanted = 1; wanted >= 0; wanted--)
    for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
      if ((!wanted || formats[i].sample == format->sample)
          && snd_pcm_hw_params_set_format (a->pcm, hw, formats[i].format) >= 0)
        {
          format->sample = formats[i].sample;
          return true;
        }
  return vm_fail (error, "ALSA device '%s': none of its sample formats is known here", a->name);
}

static bool
set_hardware (Alsa *a, VmAudioFormat *format, size_t *chunk, GError **error)
{
  snd_pcm_hw_params_t *hw;
  unsigned rate = format->rate, channels = format->channels, buffer = MAX (a->buffer_us, 2000);
  unsigned period = a->period_us ? a->period_us : buffer / 4;
  snd_pcm_uframes_t frames;

  snd_pcm_hw_params_alloca (&hw);
  if (!took (snd_pcm_hw_params_any (a->pcm, hw), "no configuration", a, error)
      || !took (snd_pcm_hw_params_set_access (a->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED), "no interleaved access", a,
                error)
      || !choose_format (a, hw, format, error)
      || !took (snd_pcm_hw_params_set_channels_near (a->pcm, hw, &channels), "channels", a, error)
      || !took (snd_pcm_hw_params_set_rate_near (a->pcm, hw, &rate, NULL), "rate", a, error))
    return false;
  /* Devices that know neither go by their own. */
  snd_pcm_hw_params_set_period_time_near (a->pcm, hw, &period, NULL);
  snd_pcm_hw_params_set_buffer_time_near (a->pcm, hw, &buffer, NULL);
  if (!took (snd_pcm_hw_params (a->pcm, hw), "parameters", a, error)
      || !took (snd_pcm_hw_params_get_period_size (hw, &frames, NULL), "period", a, error)
      || !took (snd_pcm_hw_params_get_buffer_size (hw, &a->size), "buffer", a, error))
    return false;
  *chunk = frames;
  format->rate = rate;
  format->channels = channels;
  return true;
}

static void
set_start (Alsa *a, snd_pcm_uframes_t frames)
{
  snd_pcm_sw_params_t *sw;

  a->start = CLAMP (frames, 1, a->size);
  snd_pcm_sw_params_alloca (&sw);
  if (snd_pcm_sw_params_current (a->pcm, sw) >= 0 && snd_pcm_sw_params_set_start_threshold (a->pcm, sw, a->start) >= 0)
    snd_pcm_sw_params (a->pcm, sw);
}

static bool
alsa_thread_open (void *device, VmAudioFormat *format, size_t *chunk, GError **error)
{
  Alsa *a = device;
  snd_pcm_stream_t direction = a->recording ? SND_PCM_STREAM_CAPTURE : SND_PCM_STREAM_PLAYBACK;

  if (!took (snd_pcm_open (&a->pcm, a->name, direction, a->poll ? SND_PCM_NONBLOCK : 0), "cannot open", a, error))
    {
      a->pcm = NULL;
      return false;
    }
  if (!set_hardware (a, format, chunk, error))
    return false;
  a->rate = format->rate;
  a->frame = vm_audio_frame_bytes (format);
  set_start (a, (snd_pcm_uframes_t) a->threshold_us * a->rate / 1000000);
  return vm_audio_format_ok (format) || vm_fail (error, "ALSA device '%s': its format is not known here", a->name);
}

static bool
alsa_thread_move (void *device, void *bytes, size_t frames)
{
  Alsa *a = device;

  while (frames)
    {
      snd_pcm_sframes_t n
          = a->recording ? snd_pcm_readi (a->pcm, bytes, frames) : snd_pcm_writei (a->pcm, bytes, frames);
      if (n == -EAGAIN)
        {
          int ready = snd_pcm_wait (a->pcm, WAIT_MS);
          n = ready > 0 ? 0 : ready == 0 ? -EIO : ready;
          if (n == 0)
            continue;
        }
      if (n < 0 && snd_pcm_recover (a->pcm, n, 1) < 0)
        return false;
      if (n == -EPIPE && !a->recording) /* it ran dry: it begins with more */
        set_start (a, MAX (2 * a->start, frames));
      if (n <= 0)
        {
          if (a->recording)
            snd_pcm_start (a->pcm);
          continue;
        }
      bytes = (uint8_t *) bytes + n * a->frame;
      frames -= n;
    }
  return true;
}

static int64_t
alsa_thread_delay (void *device)
{
  Alsa *a = device;
  snd_pcm_sframes_t frames;

  if (snd_pcm_delay (a->pcm, &frames) < 0 || frames < 0)
    return -1;
  return vm_muldiv64 (frames, VM_NS_PER_SEC, a->rate);
}

static void
alsa_thread_close (void *device)
{
  Alsa *a = device;

  if (a->pcm)
    snd_pcm_close (a->pcm);
  a->pcm = NULL;
}

static void
alsa_thread_free (void *device)
{
  Alsa *a = device;

  g_free (a->name);
  g_free (a);
}

static const VmHostOps thread_ops = {
  .open = alsa_thread_open,
  .move = alsa_thread_move,
  .delay_ns = alsa_thread_delay,
  .close = alsa_thread_close,
  .free = alsa_thread_free,
};

/* --- the class ----------------------------------------------------------------------------------------- */

/* It would write to standard error. */
static void
say_nothing (const char *file, int line, const char *function, int error, const char *format, ...)
{
}

static bool
alsa_open (VmAudiodev *dev, const void *options, GError **error)
{
  snd_lib_error_set_handler (say_nothing);
  vm_audiodev_set_latency (dev, false, LATENCY_NS);
  vm_audiodev_set_latency (dev, true, LATENCY_NS);
  return true;
}

static void
alsa_start (VmAudioStream *stream)
{
  const VmqAudiodevAlsaOptions *all = stream->dev->options->u.alsa;
  const VmqAudiodevAlsaPerDirectionOptions *o = stream->recording ? all->in : all->out;
  Alsa *a = g_new0 (Alsa, 1);

  a->name = g_strdup (o->dev ? o->dev : "default");
  a->recording = stream->recording;
  a->poll = !o->has_try_poll || o->try_poll;
  a->buffer_us = stream->buffer_ns / VM_NS_PER_US;
  a->period_us = o->has_period_length ? CLAMP (o->period_length, 0, 1000000) : 0;
  a->threshold_us = all->has_threshold ? CLAMP (all->threshold, 0, 1000000) : 0;
  vm_host_thread_start (stream, &thread_ops, a);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "alsa",
  .stream_size = sizeof (VmHostThread *),
  .open = alsa_open,
  .start = alsa_start,
  .stop = vm_host_thread_stop,
};
