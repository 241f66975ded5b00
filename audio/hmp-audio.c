/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The human monitor's captures: what a back end plays goes into a file as well. */
#include "audio/audio-private.h"
#include "audio/wav-file.h"

#include "engine/machine/machine.h"
#include "engine/monitor/hmp.h"

typedef struct VmAudioCapture
{
  VmWavFile *file;
  VmAudioListener *listener;
  VmAudioFormat format;
  char *path;
} VmAudioCapture;

static void
capture_free (VmAudioCapture *capture)
{
  vm_audio_unlisten (capture->listener);
  vm_wav_file_close (capture->file);
  g_free (capture->path);
  g_free (capture);
}

void
vm_audio_stop_captures (VmAudio *audio)
{
  for (guint i = 0; i < audio->captures->len; i++)
    capture_free (g_ptr_array_index (audio->captures, i));
  g_ptr_array_set_size (audio->captures, 0);
}

static void
capture_sound (void *opaque, const void *bytes, size_t size)
{
  const VmAudioCapture *capture = opaque;

  vm_wav_file_write (capture->file, bytes, size);
}

static const VmAudioListenerOps capture_ops = { .sound = capture_sound };

static VmAudio *
audio_of (VmMonitor *mon)
{
  return vm_audio_get (&vm_monitor_machine (mon)->env);
}

static bool
start_capture (VmMonitor *mon, const VmHmpArgs *args, GError **error)
{
  VmAudio *audio = audio_of (mon);
  const char *path = vm_hmp_text (args, "path"), *id = vm_hmp_text (args, "audiodev");
  int64_t rate = vm_hmp_number (args, "freq", 44100), bits = vm_hmp_number (args, "bits", 16);
  int64_t channels = vm_hmp_number (args, "nchannels", 2);
  VmAudiodev *dev = vm_audiodev_find (audio->env, id);
  VmAudioFormat format = { .sample = bits == 8 ? VM_AUDIO_U8 : VM_AUDIO_S16 };

  if (!dev)
    return vm_fail (error, "Audiodev '%s' not found", id);
  if (bits != 8 && bits != 16)
    return vm_fail (error, "incorrect bit count %" PRId64 ", must be 8 or 16\nFailed to add wave capture", bits);
  if (channels != 1 && channels != 2)
    return vm_fail (error, "incorrect channel count %" PRId64 ", must be 1 or 2\nFailed to add wave capture", channels);
  if (rate < VM_AUDIO_RATE_MIN || rate > VM_AUDIO_RATE_MAX)
    return vm_fail (error, "incorrect frequency %" PRId64 ", must be from %d to %d\nFailed to add wave capture", rate,
                    VM_AUDIO_RATE_MIN, VM_AUDIO_RATE_MAX);
  format.rate = rate;
  format.channels = channels;
  VmWavFile *file = vm_wav_file_new (path, error);
  if (!file)
    {
      if (error && *error)
        {
          g_autofree char *text = g_strconcat ((*error)->message, "\nFailed to add wave capture", NULL);
          g_clear_error (error);
          vm_fail (error, "%s", text);
        }
      return false;
    }
  vm_wav_file_set_format (file, &format);
  VmAudioCapture *capture = g_new0 (VmAudioCapture, 1);
  capture->file = file;
  capture->format = format;
  capture->path = g_strdup (path);
  capture->listener = vm_audio_listen (dev, &format, &capture_ops, capture);
  g_ptr_array_add (audio->captures, capture);
  return true;
}

void
vm_hmp_wavcapture (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;

  if (!start_capture (mon, args, &error))
    vm_monitor_printf (mon, "%s\n", error->message);
}

void
vm_hmp_stopcapture (VmMonitor *mon, const VmHmpArgs *args)
{
  const VmAudio *audio = audio_of (mon);
  int64_t n = vm_hmp_number (args, "n", -1);

  if (n >= 0 && n < audio->captures->len)
    capture_free (g_ptr_array_remove_index (audio->captures, n));
}

void
vm_hmp_info_capture (VmMonitor *mon, const VmHmpArgs *args)
{
  const VmAudio *audio = audio_of (mon);

  for (guint i = 0; i < audio->captures->len; i++)
    {
      const VmAudioCapture *capture = g_ptr_array_index (audio->captures, i);
      vm_monitor_printf (mon, "[%u]: Capturing audio(%u,%u,%u) to %s: %" PRIu64 " bytes\n", i, capture->format.rate,
                         capture->format.sample == VM_AUDIO_U8 ? 8 : 16, capture->format.channels, capture->path,
                         vm_wav_file_bytes (capture->file));
    }
}
