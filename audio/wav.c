/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "wav": what the guest plays goes into a file. */
#include "audio/audio-private.h"
#include "audio/wav-file.h"

#include "engine/schema/types.h"

typedef struct Wav
{
  VmWavFile *file;
} Wav;

static bool
wav_open (VmAudiodev *dev, const void *options, GError **error)
{
  const VmqAudiodevWavOptions *o = options;
  Wav *wav = vm_audiodev_state (dev);

  wav->file = vm_wav_file_new (o->path ? o->path : "qemu.wav", error);
  return wav->file != NULL;
}

static void
wav_close (VmAudiodev *dev)
{
  Wav *wav = vm_audiodev_state (dev);

  if (dev->side[0].fixed) /* a file without sound is one, too */
    {
      VmAudioFormat format = dev->side[0].format;
      vm_wav_file_set_format (wav->file, &format);
    }
  vm_wav_file_close (wav->file);
}

static void
wav_settle (VmAudioStream *stream, VmAudioFormat *format)
{
  const Wav *wav = vm_audiodev_state (stream->dev);

  vm_wav_file_set_format (wav->file, format);
}

static void
wav_start (VmAudioStream *stream)
{
}

static void
wav_stop (VmAudioStream *stream)
{
}

static void
wav_pump (VmAudioStream *stream)
{
  const Wav *wav = vm_audiodev_state (stream->dev);
  uint8_t bytes[4096];
  size_t n;

  while ((n = vm_audio_stream_drain (stream, bytes, sizeof bytes)))
    vm_wav_file_write (wav->file, bytes, n);
}

const VmAudioClass vm_audio_wav_class = {
  .name = "wav",
  .state_size = sizeof (Wav),
  .no_recording = true,
  .no_clock = true,
  .single = true,
  .open = wav_open,
  .close = wav_close,
  .settle = wav_settle,
  .start = wav_start,
  .stop = wav_stop,
  .pump = wav_pump,
};
