/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See host-thread.h. */
#include "audio/host-thread.h"

#include "engine/base/log.h"

#include <errno.h>
#include <time.h>

#define RETRY_US (1000 * 1000)
#define SILENT_S 2 /* without a call back: the server hangs */

struct VmHostThread
{
  gint refs;    /* atomic: the stream's, the thread's, and that of a post under way */
  GMutex mutex; /* held while the ring is used, and for what follows; never for long */
  GCond cond;
  VmAudioStream *stream; /* NULL: stopped */
  bool ready;            /* the stream has FORMAT */
  VmLoop *loop;
  const VmHostOps *ops;
  void *device;
  bool recording;
  char *name; /* for messages */
  VmAudioFormat wanted, format;
};

static void
thread_unref (VmHostThread *t)
{
  if (!g_atomic_int_dec_and_test (&t->refs))
    return;
  t->ops->free (t->device);
  g_mutex_clear (&t->mutex);
  g_cond_clear (&t->cond);
  g_free (t->name);
  g_free (t);
}

/* On the engine loop: the host has another format than the stream. */
static void
take_format (void *opaque)
{
  VmHostThread *t = opaque;

  if (t->stream) /* only the loop itself stops it */
    {
      vm_audio_stream_reformat (t->stream, &t->format);
      g_mutex_lock (&t->mutex);
      t->ready = true;
      g_cond_signal (&t->cond);
      g_mutex_unlock (&t->mutex);
    }
  thread_unref (t);
}

/* Returns false when the stream was stopped meanwhile. */
static bool
settle_format (VmHostThread *t)
{
  bool going;

  g_mutex_lock (&t->mutex);
  if (t->stream && !vm_audio_format_equal (&t->stream->format, &t->format))
    {
      t->ready = false;
      g_atomic_int_inc (&t->refs);
      vm_loop_post (t->loop, take_format, t);
      while (t->stream && !t->ready)
        g_cond_wait (&t->cond, &t->mutex);
    }
  going = t->stream != NULL;
  g_mutex_unlock (&t->mutex);
  return going;
}

static bool
move_once (VmHostThread *t, uint8_t *bytes, size_t frames)
{
  size_t size = frames * vm_audio_frame_bytes (&t->format);
  int64_t delay = t->ops->delay_ns ? t->ops->delay_ns (t->device) : -1;
  bool going;

  if (t->recording && !t->ops->move (t->device, bytes, frames))
    return false;
  g_mutex_lock (&t->mutex);
  going = t->stream != NULL;
  if (going && t->recording)
    vm_audio_stream_give (t->stream, bytes, size);
  else if (going)
    vm_audio_stream_take (t->stream, bytes, size);
  if (going && delay >= 0) /* and of what is to be played, what is in our hands */
    vm_audio_stream_set_host_delay (t->stream,
                                    delay + (t->recording ? 0 : vm_muldiv64 (frames, VM_NS_PER_SEC, t->format.rate)));
  g_mutex_unlock (&t->mutex);
  return going && (t->recording || t->ops->move (t->device, bytes, frames));
}

/* Waits a while before the next try; returns false when there is to be none. */
static bool
wait_for_retry (VmHostThread *t)
{
  int64_t until = g_get_monotonic_time () + RETRY_US;
  bool going;

  g_mutex_lock (&t->mutex);
  while (t->stream && g_cond_wait_until (&t->cond, &t->mutex, until))
    ;
  going = t->stream != NULL;
  g_mutex_unlock (&t->mutex);
  return going;
}

static void *
run (void *opaque)
{
  VmHostThread *t = opaque;
  g_autofree char *said = NULL; /* the same trouble is told once */

  do
    {
      g_autoptr (GError) error = NULL;
      size_t chunk = 0;
      t->format = t->wanted;
      if (t->ops->open (t->device, &t->format, &chunk, &error))
        {
          chunk = CLAMP (chunk, 32, t->format.rate / 4);
          g_autofree uint8_t *bytes = g_malloc (chunk * vm_audio_frame_bytes (&t->format));
          g_clear_pointer (&said, g_free);
          if (settle_format (t))
            while (move_once (t, bytes, chunk))
              ;
        }
      else if (g_strcmp0 (said, error->message) != 0)
        {
          vm_report_warning ("%s: %s", t->name, error->message);
          g_free (said);
          said = g_strdup (error->message);
        }
      t->ops->close (t->device);
    }
  while (wait_for_retry (t));
  thread_unref (t);
  return NULL;
}

void
vm_host_thread_start (VmAudioStream *stream, const VmHostOps *ops, void *device)
{
  VmHostThread *t = g_new0 (VmHostThread, 1);

  t->refs = 2;
  g_mutex_init (&t->mutex);
  g_cond_init (&t->cond);
  t->stream = stream;
  t->loop = vm_audiodev_loop (stream->dev);
  t->ops = ops;
  t->device = device;
  t->recording = stream->recording;
  t->name = g_strdup_printf ("audiodev '%s' (%s)", vm_audiodev_id (stream->dev), stream->recording ? "in" : "out");
  t->wanted = stream->format;
  *(VmHostThread **) stream->state = t;
  g_thread_unref (g_thread_new ("sound", run, t));
}

void
vm_host_thread_stop (VmAudioStream *stream)
{
  VmHostThread *t = *(VmHostThread **) stream->state;

  g_mutex_lock (&t->mutex);
  t->stream = NULL;
  g_cond_signal (&t->cond);
  g_mutex_unlock (&t->mutex);
  thread_unref (t);
}

/* --- bridges ------------------------------------------------------------------------------------------- */

void
vm_host_bridge_open (VmHostBridge *bridge, const VmAudioFormat *format, size_t limit)
{
  bridge->ring = vm_audio_ring_new (format);
  bridge->limit = MIN (limit, bridge->ring->size);
  bridge->gone = false;
  sem_init (&bridge->moved, 0, 0);
}

void
vm_host_bridge_close (VmHostBridge *bridge)
{
  if (!bridge->ring)
    return;
  g_clear_pointer (&bridge->ring, vm_audio_ring_free);
  sem_destroy (&bridge->moved);
}

static bool
wait_for_call (VmHostBridge *bridge)
{
  struct timespec until;

  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += SILENT_S;
  while (sem_timedwait (&bridge->moved, &until) < 0)
    if (errno != EINTR)
      return false;
  return !__atomic_load_n (&bridge->gone, __ATOMIC_ACQUIRE);
}

bool
vm_host_bridge_play (VmHostBridge *bridge, const void *bytes, size_t frames)
{
  while (vm_audio_ring_filled (bridge->ring) + frames > MAX (bridge->limit, frames))
    if (!wait_for_call (bridge))
      return false;
  vm_audio_ring_write (bridge->ring, bytes, frames);
  return !__atomic_load_n (&bridge->gone, __ATOMIC_ACQUIRE);
}

bool
vm_host_bridge_record (VmHostBridge *bridge, void *bytes, size_t frames)
{
  while (vm_audio_ring_filled (bridge->ring) < frames)
    if (!wait_for_call (bridge))
      return false;
  vm_audio_ring_read (bridge->ring, bytes, frames);
  return true;
}

void
vm_host_bridge_take (VmHostBridge *bridge, void *bytes, size_t frames)
{
  VmAudioRing *ring = bridge->ring;
  size_t n = vm_audio_ring_read (ring, bytes, frames);

  vm_audio_silence (&ring->format, (uint8_t *) bytes + n * ring->frame, (frames - n) * ring->frame);
  sem_post (&bridge->moved);
}

void
vm_host_bridge_give (VmHostBridge *bridge, const void *bytes, size_t frames)
{
  vm_audio_ring_write (bridge->ring, bytes, frames);
  sem_post (&bridge->moved);
}

void
vm_host_bridge_gone (VmHostBridge *bridge)
{
  __atomic_store_n (&bridge->gone, true, __ATOMIC_RELEASE);
  sem_post (&bridge->moved);
}
