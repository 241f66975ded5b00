/* SPDX-License-Identifier: GPL-3.0-or-later */
/* WAV files ("Multimedia Programming Interface and Data Specifications 1.0", RIFF WAVE; WAVEFORMATEXTENSIBLE for more
 * than two channels). The lengths in the header are right about once a second, so that a file whose writer is killed
 * is whole up to then. */
#include "audio/wav-file.h"

#include "engine/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define WAITING_MAX (64 * VM_MIB) /* of sound for a disk that is too slow */

enum
{
  FORMAT_PCM = 1,
  FORMAT_FLOAT = 3,
  FORMAT_EXTENSIBLE = 0xfffe
};

struct VmWavFile
{
  int fd;
  char *path;
  VmAudioFormat format; /* rate 0: none yet */
  GThread *thread;      /* NULL: no sound yet */
  GAsyncQueue *queue;   /* GBytes *; an empty one ends it */
  uint64_t bytes;       /* given */
  size_t waiting;       /* atomic: bytes */
  bool failed;          /* atomic */
  bool dropped;
  /* the thread's */
  uint64_t written, told; /* bytes; those that the header knows of */
};

static const uint8_t guid_tail[14]
    = { 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71 };

static size_t
make_header (const VmWavFile *file, uint64_t size, uint8_t out[68])
{
  const VmAudioFormat *f = &file->format;
  unsigned frame = vm_audio_frame_bytes (f), width = frame / f->channels;
  uint16_t kind = f->sample == VM_AUDIO_F32 ? FORMAT_FLOAT : FORMAT_PCM;
  bool extensible = f->channels > 2;
  uint32_t fmt = extensible ? 40 : 16, rest = 4 + 8 + fmt + 8;

  memcpy (out, "RIFF", 4);
  vm_store_le32 (out + 4, MIN (rest + size, UINT32_MAX));
  memcpy (out + 8, "WAVEfmt ", 8);
  vm_store_le32 (out + 16, fmt);
  vm_store_le16 (out + 20, extensible ? FORMAT_EXTENSIBLE : kind);
  vm_store_le16 (out + 22, f->channels);
  vm_store_le32 (out + 24, f->rate);
  vm_store_le32 (out + 28, f->rate * frame);
  vm_store_le16 (out + 32, frame);
  vm_store_le16 (out + 34, width * 8);
  if (extensible)
    {
      static const uint32_t speakers[] = { 0x4, 0x3, 0x7, 0x33, 0x37, 0x3f, 0x13f, 0x63f };
      vm_store_le16 (out + 36, 22);
      vm_store_le16 (out + 38, width * 8);
      vm_store_le32 (out + 40, speakers[f->channels - 1]);
      vm_store_le16 (out + 44, kind);
      memcpy (out + 46, guid_tail, sizeof guid_tail);
    }
  memcpy (out + 20 + fmt, "data", 4);
  vm_store_le32 (out + 24 + fmt, MIN (size, UINT32_MAX));
  return 28 + fmt;
}

static bool
write_all (VmWavFile *file, const void *bytes, size_t size, off_t at)
{
  while (size)
    {
      ssize_t n = pwrite (file->fd, bytes, size, at);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          if (!__atomic_exchange_n (&file->failed, true, __ATOMIC_RELAXED))
            vm_report_warning ("wav: cannot write '%s': %s", file->path, g_strerror (errno));
          return false;
        }
      bytes = (const uint8_t *) bytes + n;
      size -= n;
      at += n;
    }
  return true;
}

static void
tell_length (VmWavFile *file)
{
  uint8_t header[68];
  size_t n = make_header (file, file->written, header);

  write_all (file, header, n, 0);
  file->told = file->written;
}

static void *
run (void *opaque)
{
  VmWavFile *file = opaque;
  uint8_t header[68];
  size_t start = make_header (file, 0, header);

  tell_length (file);
  for (;;)
    {
      g_autoptr (GBytes) bytes = g_async_queue_pop (file->queue);
      size_t size = g_bytes_get_size (bytes);
      if (!size)
        break;
      if (!__atomic_load_n (&file->failed, __ATOMIC_RELAXED)
          && write_all (file, g_bytes_get_data (bytes, NULL), size, start + file->written))
        file->written += size;
      __atomic_fetch_sub (&file->waiting, size, __ATOMIC_RELAXED);
      if (file->written - file->told >= (uint64_t) file->format.rate * vm_audio_frame_bytes (&file->format))
        tell_length (file);
    }
  tell_length (file);
  return NULL;
}

VmWavFile *
vm_wav_file_new (const char *path, GError **error)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  VmWavFile *file;

  if (fd < 0)
    {
      vm_fail (error, "Failed to open wave file `%s': %s", path, g_strerror (errno));
      return NULL;
    }
  file = g_new0 (VmWavFile, 1);
  file->fd = fd;
  file->path = g_strdup (path);
  file->queue = g_async_queue_new_full ((GDestroyNotify) g_bytes_unref);
  return file;
}

void
vm_wav_file_set_format (VmWavFile *file, VmAudioFormat *format)
{
  static const uint8_t nearest[VM_AUDIO_SAMPLE_N]
      = { VM_AUDIO_U8, VM_AUDIO_U8, VM_AUDIO_S16, VM_AUDIO_S16, VM_AUDIO_S32, VM_AUDIO_S32, VM_AUDIO_F32 };

  if (!file->thread)
    {
      file->format = *format;
      file->format.sample = nearest[format->sample];
      file->format.big_endian = false;
      file->thread = g_thread_new ("wav", run, file);
    }
  *format = file->format;
}

void
vm_wav_file_write (VmWavFile *file, const void *bytes, size_t size)
{
  if (!size || !file->thread)
    return;
  if (__atomic_load_n (&file->waiting, __ATOMIC_RELAXED) + size > WAITING_MAX)
    {
      if (!file->dropped)
        vm_report_warning ("wav: the disk is too slow for '%s': sound is missing there", file->path);
      file->dropped = true;
      return;
    }
  __atomic_fetch_add (&file->waiting, size, __ATOMIC_RELAXED);
  file->bytes += size;
  g_async_queue_push (file->queue, g_bytes_new (bytes, size));
}

uint64_t
vm_wav_file_bytes (const VmWavFile *file)
{
  return file->bytes;
}

void
vm_wav_file_close (VmWavFile *file)
{
  if (!file)
    return;
  if (file->thread)
    {
      g_async_queue_push (file->queue, g_bytes_new (NULL, 0));
      g_thread_join (file->thread);
    }
  g_async_queue_unref (file->queue);
  close (file->fd);
  g_free (file->path);
  g_free (file);
}
