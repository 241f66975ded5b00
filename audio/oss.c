/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "oss": /dev/dsp as the Open Sound System 4.0 has it (its Programmer's Guide), a thread for each stream.
 * Frames go by read() and write(); recorded ones from the device's buffer where that was asked for and can be had. */
#include "audio/audio-private.h"
#include "audio/host-thread.h"
#include "engine/base/log.h"
#include "engine/schema/types.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/soundcard.h>
#include <unistd.h>

#ifndef SNDCTL_DSP_POLICY
#define SNDCTL_DSP_POLICY _IOW ('P', 45, int)
#endif

#define LATENCY_NS (60 * VM_NS_PER_MS)
#define WAIT_MS 1000

typedef struct Oss
{
  char *path;
  bool recording, poll, exclusive, try_mmap;
  int policy, fragments; /* policy -1: as many fragments as that; 0 of them: four */
  int64_t buffer_ns;
  int fd;
  unsigned frame;
  uint32_t rate;
  /* The device's buffer; NULL: not mapped. Bytes that went by since it runs: through the device, and through us. */
  uint8_t *map;
  size_t map_size, fragment;
  uint32_t counter;
  uint64_t device, ours;
} Oss;

static const struct
{
  uint8_t sample;
  int format;
} formats[] = {
  { VM_AUDIO_S16, AFMT_S16_NE },
  { VM_AUDIO_U8, AFMT_U8 },
  { VM_AUDIO_S8, AFMT_S8 },
  { VM_AUDIO_U16, G_BYTE_ORDER == G_LITTLE_ENDIAN ? AFMT_U16_LE : AFMT_U16_BE },
};

static bool
choose_format (Oss *o, VmAudioFormat *format, GError **error)
{
  for (int wanted = 1; wanted >= 0; wanted--)
    for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
      {
        int value = formats[i].format;
        if ((!wanted || formats[i].sample == format->sample) && ioctl (o->fd, SNDCTL_DSP_SETFMT, &value) >= 0
            && value == formats[i].format)
          {
            format->sample = formats[i].sample;
            return true;
          }
      }
  return vm_fail (error, "OSS device '%s': none of its sample formats is known here", o->path);
}

/* Has to come first: how much the device buffers, as a number of fragments and the power of two that is their size. */
static void
set_fragments (const Oss *o, const VmAudioFormat *format)
{
  unsigned n = o->fragments > 1 ? MIN (o->fragments, 0x7fff) : 4;
  uint64_t bytes = vm_muldiv64 (o->buffer_ns, format->rate, VM_NS_PER_SEC) * vm_audio_frame_bytes (format) / n;
  int policy = o->policy;
  unsigned shift = 4;

  if (policy >= 0 && ioctl (o->fd, SNDCTL_DSP_POLICY, &policy) >= 0)
    return;
  while (shift < 16 && (UINT64_C (2) << shift) <= bytes)
    shift++;
  int value = (int) (n << 16 | shift);
  ioctl (o->fd, SNDCTL_DSP_SETFRAGMENT, &value); /* a device that cannot goes by its own */
}

/* --- the device's buffer ------------------------------------------------------------------------------- */

/* It may not be possible; then the calls do as well. */
static void
map_buffer (Oss *o, const audio_buf_info *info)
{
  int caps, off = 0, on = PCM_ENABLE_INPUT;
  size_t size = (size_t) MAX (info->fragstotal, 0) * MAX (info->fragsize, 0);
  void *map;

  if (size < 2 * o->frame || info->fragstotal < 2 || ioctl (o->fd, SNDCTL_DSP_GETCAPS, &caps) < 0
      || (caps & (DSP_CAP_MMAP | DSP_CAP_TRIGGER)) != (DSP_CAP_MMAP | DSP_CAP_TRIGGER))
    return;
  map = mmap (NULL, size, PROT_READ, MAP_SHARED, o->fd, 0);
  if (map == MAP_FAILED)
    return;
  if (ioctl (o->fd, SNDCTL_DSP_SETTRIGGER, &off) < 0 || ioctl (o->fd, SNDCTL_DSP_SETTRIGGER, &on) < 0)
    {
      munmap (map, size);
      return;
    }
  o->map = map;
  o->map_size = size;
  o->fragment = info->fragsize;
  o->counter = 0;
  o->device = o->ours = 0;
}

static bool
look_where (Oss *o)
{
  count_info info;

  if (ioctl (o->fd, SNDCTL_DSP_GETIPTR, &info) < 0)
    return false;
  o->device += (uint32_t) info.bytes - o->counter;
  o->counter = (uint32_t) info.bytes;
  return true;
}

static uint64_t
whole_frames (const Oss *o, uint64_t bytes)
{
  return bytes - bytes % o->frame;
}

/* Bytes that have come. Who was too late begins anew. */
static size_t
available (Oss *o)
{
  if (o->device - o->ours > o->map_size - o->fragment)
    o->ours = whole_frames (o, o->device - o->fragment);
  return o->device - o->ours;
}

static bool
move_mapped (Oss *o, uint8_t *bytes, size_t size)
{
  for (int64_t waited = 0; size;)
    {
      size_t n, at;
      if (!look_where (o))
        return false;
      n = MIN (available (o), size);
      at = o->ours % o->map_size;
      n = MIN (n, o->map_size - at);
      if (!n)
        {
          int64_t us
              = MAX (vm_muldiv64 (MIN (size, o->fragment), G_USEC_PER_SEC, (uint64_t) o->rate * o->frame) / 2, 500);
          if (waited > WAIT_MS * 1000)
            return false;
          g_usleep (us);
          waited += us;
          continue;
        }
      memcpy (bytes, o->map + at, n);
      bytes += n;
      size -= n;
      o->ours += n;
      waited = 0;
    }
  return true;
}

/* --- the thread's part --------------------------------------------------------------------------------- */

static bool
oss_thread_open (void *device, VmAudioFormat *format, size_t *chunk, GError **error)
{
  Oss *o = device;
  int flags = (o->recording ? O_RDONLY : O_WRONLY) | O_CLOEXEC | (o->exclusive ? O_EXCL : 0) | O_NONBLOCK;
  int channels = format->channels, rate = format->rate;
  audio_buf_info info;

  o->fd = open (o->path, flags);
  if (o->fd < 0)
    return vm_fail (error, "OSS device '%s': cannot open: %s", o->path, g_strerror (errno));
  if (!o->poll)
    fcntl (o->fd, F_SETFL, fcntl (o->fd, F_GETFL) & ~O_NONBLOCK);
  set_fragments (o, format);
  if (!choose_format (o, format, error))
    return false;
  if (ioctl (o->fd, SNDCTL_DSP_CHANNELS, &channels) < 0 || ioctl (o->fd, SNDCTL_DSP_SPEED, &rate) < 0)
    return vm_fail (error, "OSS device '%s': %s", o->path, g_strerror (errno));
  format->channels = CLAMP (channels, 0, 255);
  format->rate = rate;
  if (!vm_audio_format_ok (format))
    return vm_fail (error, "OSS device '%s': its format is not known here", o->path);
  o->frame = vm_audio_frame_bytes (format);
  o->rate = format->rate;
  *chunk = format->rate / 100;
  if (ioctl (o->fd, o->recording ? SNDCTL_DSP_GETISPACE : SNDCTL_DSP_GETOSPACE, &info) >= 0 && info.fragsize > 0)
    {
      *chunk = info.fragsize / o->frame;
      if (o->try_mmap && o->recording)
        map_buffer (o, &info);
    }
  return true;
}

static bool
oss_thread_move (void *device, void *bytes, size_t frames)
{
  Oss *o = device;
  size_t size = frames * o->frame;

  if (o->map)
    return move_mapped (o, bytes, size);
  while (size)
    {
      ssize_t n = o->recording ? read (o->fd, bytes, size) : write (o->fd, bytes, size);
      if (n < 0 && errno == EAGAIN)
        {
          struct pollfd fd = { .fd = o->fd, .events = o->recording ? POLLIN : POLLOUT };
          if (poll (&fd, 1, WAIT_MS) <= 0 || fd.revents & (POLLERR | POLLHUP | POLLNVAL))
            return false;
          continue;
        }
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return false;
      bytes = (uint8_t *) bytes + n;
      size -= n;
    }
  return true;
}

static int64_t
oss_thread_delay (void *device)
{
  Oss *o = device;
  int bytes;

  if (o->map && look_where (o))
    return vm_muldiv64 (o->device - o->ours, VM_NS_PER_SEC, (uint64_t) o->rate * o->frame);
  if (o->recording || ioctl (o->fd, SNDCTL_DSP_GETODELAY, &bytes) < 0 || bytes < 0)
    return -1;
  return vm_muldiv64 (bytes / o->frame, VM_NS_PER_SEC, o->rate);
}

static void
oss_thread_close (void *device)
{
  Oss *o = device;

  if (o->map)
    munmap (g_steal_pointer (&o->map), o->map_size);
  if (o->fd >= 0)
    close (o->fd);
  o->fd = -1;
}

static void
oss_thread_free (void *device)
{
  Oss *o = device;

  g_free (o->path);
  g_free (o);
}

static const VmHostOps thread_ops = {
  .open = oss_thread_open,
  .move = oss_thread_move,
  .delay_ns = oss_thread_delay,
  .close = oss_thread_close,
  .free = oss_thread_free,
};

/* --- the class ----------------------------------------------------------------------------------------- */

static bool
oss_open (VmAudiodev *dev, const void *options, GError **error)
{
  const VmqAudiodevOssOptions *o = options;

  if (o->has_dsp_policy && (o->dsp_policy < -1 || o->dsp_policy > 10))
    return vm_fail (error, "Parameter 'dsp-policy' expects a number from -1 to 10");
  if (o->has_try_mmap && o->try_mmap)
    vm_report_warning ("audiodev '%s': try-mmap is for recording only: what is played is written", dev->parent.id);
  vm_audiodev_set_latency (dev, false, LATENCY_NS);
  vm_audiodev_set_latency (dev, true, LATENCY_NS);
  return true;
}

static void
oss_start (VmAudioStream *stream)
{
  const VmqAudiodevOssOptions *all = stream->dev->options->u.oss;
  const VmqAudiodevOssPerDirectionOptions *side = stream->recording ? all->in : all->out;
  Oss *o = g_new0 (Oss, 1);

  o->path = g_strdup (side->dev ? side->dev : "/dev/dsp");
  o->recording = stream->recording;
  o->poll = !side->has_try_poll || side->try_poll;
  o->exclusive = all->exclusive;
  o->try_mmap = all->try_mmap;
  o->policy = all->has_dsp_policy ? (int) all->dsp_policy : 5;
  o->fragments = side->has_buffer_count ? (int) CLAMP (side->buffer_count, 0, 0x7fff) : 0;
  o->buffer_ns = stream->buffer_ns;
  o->fd = -1;
  vm_host_thread_start (stream, &thread_ops, o);
}

const VmAudioClass vm_audio_oss_class = {
  .name = "oss",
  .stream_size = sizeof (VmHostThread *),
  .open = oss_open,
  .start = oss_start,
  .stop = vm_host_thread_stop,
};
