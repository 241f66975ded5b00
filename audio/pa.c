/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "pa": PulseAudio's asynchronous interface on a thread of the library's. Everything below is done with
 * that thread's lock, which it only gives up to wait. A server that is not there, or no longer, is looked for once a
 * second; it puts a stream without a chosen device on its default one and moves it when that changes. */
#include "audio/audio-private.h"
#include "engine/schema/types.h"

#include <gmodule.h>
#include <pulse/pulseaudio.h>

#define RETRY_US (1000 * 1000)
#define LATENCY_NS (40 * VM_NS_PER_MS)
#define SETTLE_US (1000 * 1000)
#define BUFFER_STEP_US (5 * 1000)
#define BUFFER_MAX_US (150 * 1000)

typedef struct Pa
{
  pa_threaded_mainloop *loop;
  pa_mainloop_api *api;
  pa_context *context; /* NULL: between two tries */
  pa_time_event *retry;
  GPtrArray *streams; /* PaStream *, those that are started */
  const char *server;
  const VmqAudiodevPaPerDirectionOptions *side[2];
  GPtrArray *found[2]; /* devices: an answer that is not whole yet */
  VmAudiodev *dev;
} Pa;

typedef struct PaStream
{
  VmAudioStream *host;
  Pa *pa;
  pa_stream *stream; /* NULL: not now */
  int64_t opened_us, buffer_us;
  GByteArray *pieces; /* of what has come at once */
} PaStream;

static void retry_later (Pa *pa);

/* --- streams ------------------------------------------------------------------------------------------- */

static pa_sample_format_t
sample_of (VmAudioFormat *format)
{
  switch (format->sample)
    {
    case VM_AUDIO_U8:
    case VM_AUDIO_S8:
      format->sample = VM_AUDIO_U8;
      return PA_SAMPLE_U8;
    case VM_AUDIO_U32:
    case VM_AUDIO_S32:
      format->sample = VM_AUDIO_S32;
      return PA_SAMPLE_S32NE;
    case VM_AUDIO_F32:
      return PA_SAMPLE_FLOAT32NE;
    default:
      format->sample = VM_AUDIO_S16;
      return PA_SAMPLE_S16NE;
    }
}

static void
map_channels (pa_channel_map *map, unsigned channels)
{
  static const pa_channel_position_t full[]
      = { PA_CHANNEL_POSITION_FRONT_LEFT, PA_CHANNEL_POSITION_FRONT_RIGHT, PA_CHANNEL_POSITION_FRONT_CENTER,
          PA_CHANNEL_POSITION_LFE,        PA_CHANNEL_POSITION_REAR_LEFT,   PA_CHANNEL_POSITION_REAR_RIGHT,
          PA_CHANNEL_POSITION_SIDE_LEFT,  PA_CHANNEL_POSITION_SIDE_RIGHT };

  map->channels = channels;
  for (unsigned i = 0; i < channels; i++)
    map->map[i] = full[i];
  if (channels == 1)
    map->map[0] = PA_CHANNEL_POSITION_MONO;
  if (channels == 4 || channels == 5)
    {
      map->map[channels - 2] = PA_CHANNEL_POSITION_REAR_LEFT;
      map->map[channels - 1] = PA_CHANNEL_POSITION_REAR_RIGHT;
    }
}

static void
note_latency (PaStream *s)
{
  pa_usec_t us;
  int negative;

  if (pa_stream_get_latency (s->stream, &us, &negative) >= 0)
    vm_audio_stream_set_host_delay (s->host, (negative ? -1 : 1) * (int64_t) us * VM_NS_PER_US);
}

static void
want_sound (pa_stream *stream, size_t bytes, void *opaque)
{
  PaStream *s = opaque;
  size_t frame = pa_frame_size (pa_stream_get_sample_spec (stream));

  bytes -= bytes % frame;
  while (bytes)
    {
      void *room;
      size_t n = bytes;
      if (pa_stream_begin_write (stream, &room, &n) < 0 || n < frame)
        return;
      n = MIN (n - n % frame, bytes);
      vm_audio_stream_take (s->host, room, n);
      if (pa_stream_write (stream, room, n, NULL, 0, PA_SEEK_RELATIVE) < 0)
        return;
      bytes -= n;
    }
  note_latency (s);
}

static void
have_sound (pa_stream *stream, size_t bytes, void *opaque)
{
  PaStream *s = opaque;
  const void *data;
  size_t n;

  g_byte_array_set_size (s->pieces, 0);
  while (pa_stream_peek (stream, &data, &n) >= 0 && n)
    {
      if (data) /* else a hole: the ring's level makes up for it */
        g_byte_array_append (s->pieces, data, n);
      pa_stream_drop (stream);
    }
  vm_audio_stream_give (s->host, s->pieces->data, s->pieces->len);
  note_latency (s);
}

static void
set_length (PaStream *s, pa_buffer_attr *attr, const pa_sample_spec *spec)
{
  size_t frame = pa_frame_size (spec), bytes = pa_usec_to_bytes (s->buffer_us, spec);

  *attr = (pa_buffer_attr){ (uint32_t) -1, (uint32_t) -1, (uint32_t) -1, (uint32_t) -1, (uint32_t) -1 };
  if (s->host->recording)
    {
      attr->fragsize = MAX (bytes, frame);
      return;
    }
  attr->tlength = bytes;
  attr->minreq = MAX (bytes / 4 - bytes / 4 % frame, frame);
  attr->prebuf = 0; /* silence is sound */
}

static void
forget_operation (pa_operation *operation)
{
  if (operation)
    pa_operation_unref (operation);
}

/* The server was too late for what was asked of it: then it may have more. Not in the first moments, when it still
 * finds its pace. */
static void
went_short (pa_stream *stream, void *opaque)
{
  PaStream *s = opaque;
  pa_buffer_attr attr;

  if (g_get_monotonic_time () - s->opened_us < SETTLE_US || s->buffer_us > BUFFER_MAX_US)
    return;
  s->buffer_us += BUFFER_STEP_US;
  set_length (s, &attr, pa_stream_get_sample_spec (stream));
  forget_operation (pa_stream_set_buffer_attr (stream, &attr, NULL, NULL));
}

static void
close_stream (PaStream *s)
{
  if (!s->stream)
    return;
  pa_stream_set_state_callback (s->stream, NULL, NULL);
  pa_stream_set_write_callback (s->stream, NULL, NULL);
  pa_stream_set_read_callback (s->stream, NULL, NULL);
  pa_stream_set_underflow_callback (s->stream, NULL, NULL);
  pa_stream_disconnect (s->stream);
  pa_stream_unref (s->stream);
  s->stream = NULL;
}

static void
stream_changed (pa_stream *stream, void *opaque)
{
  const PaStream *s = opaque;

  if (!PA_STREAM_IS_GOOD (pa_stream_get_state (stream)))
    retry_later (s->pa);
}

static void
open_stream (PaStream *s)
{
  const Pa *pa = s->pa;
  const VmqAudiodevPaPerDirectionOptions *o = pa->side[s->host->recording];
  pa_sample_spec spec = { .rate = s->host->format.rate, .channels = s->host->format.channels };
  pa_stream_flags_t flags = PA_STREAM_ADJUST_LATENCY | PA_STREAM_INTERPOLATE_TIMING | PA_STREAM_AUTO_TIMING_UPDATE;
  pa_channel_map map = { 0 };
  g_autofree char *device = vm_audiodev_device (s->host->dev, s->host->recording);
  pa_buffer_attr attr;
  int error;

  spec.format = sample_of (&s->host->format); /* which it has already */
  map_channels (&map, spec.channels);
  s->stream = pa_stream_new (pa->context, o->stream_name ? o->stream_name : vm_audiodev_id (s->host->dev), &spec, &map);
  if (!s->stream)
    return retry_later (s->pa);
  s->opened_us = g_get_monotonic_time ();
  s->buffer_us = s->host->buffer_ns / VM_NS_PER_US;
  set_length (s, &attr, &spec);
  pa_stream_set_state_callback (s->stream, stream_changed, s);
  if (s->host->recording)
    {
      pa_stream_set_read_callback (s->stream, have_sound, s);
      error = pa_stream_connect_record (s->stream, device, &attr, flags);
    }
  else
    {
      pa_stream_set_write_callback (s->stream, want_sound, s);
      pa_stream_set_underflow_callback (s->stream, went_short, s);
      error = pa_stream_connect_playback (s->stream, device, &attr, flags, NULL, NULL);
    }
  if (error < 0)
    retry_later (s->pa);
}

/* What was under way to the old device is lost. */
static void
open_anew (const Pa *pa, bool recording)
{
  for (guint i = 0; i < pa->streams->len; i++)
    {
      PaStream *s = g_ptr_array_index (pa->streams, i);
      if (s->host->recording != recording || !s->stream)
        continue;
      close_stream (s);
      open_stream (s);
    }
}

/* --- devices ------------------------------------------------------------------------------------------- */

/* Answers come one after the other, each whole: END after the last of one. */
static void
have_device (Pa *pa, bool recording, int end, const char *name, const char *description)
{
  if (!pa->found[recording])
    pa->found[recording] = vm_audio_devices_new ();
  if (!end)
    vm_audio_devices_add (pa->found[recording], name, description);
  else if (vm_audiodev_found (pa->dev, recording, g_steal_pointer (&pa->found[recording])))
    open_anew (pa, recording); /* the server has put the streams elsewhere */
}

static void
have_sink (pa_context *context, const pa_sink_info *info, int end, void *opaque)
{
  have_device (opaque, false, end, info ? info->name : NULL, info ? info->description : NULL);
}

static void
have_source (pa_context *context, const pa_source_info *info, int end, void *opaque)
{
  have_device (opaque, true, end, info ? info->name : NULL, info ? info->description : NULL);
}

static void
devices_changed (pa_context *context, pa_subscription_event_type_t event, uint32_t index, void *opaque)
{
  if ((event & PA_SUBSCRIPTION_EVENT_TYPE_MASK) == PA_SUBSCRIPTION_EVENT_CHANGE)
    return; /* its volume */
  if ((event & PA_SUBSCRIPTION_EVENT_FACILITY_MASK) == PA_SUBSCRIPTION_EVENT_SINK)
    forget_operation (pa_context_get_sink_info_list (context, have_sink, opaque));
  else
    forget_operation (pa_context_get_source_info_list (context, have_source, opaque));
}

static void
look_for_devices (Pa *pa)
{
  pa_context_set_subscribe_callback (pa->context, devices_changed, pa);
  forget_operation (
      pa_context_subscribe (pa->context, PA_SUBSCRIPTION_MASK_SINK | PA_SUBSCRIPTION_MASK_SOURCE, NULL, NULL));
  forget_operation (pa_context_get_sink_info_list (pa->context, have_sink, pa));
  forget_operation (pa_context_get_source_info_list (pa->context, have_source, pa));
}

static void
forget_devices (Pa *pa)
{
  for (int side = 0; side < 2; side++)
    {
      g_clear_pointer (&pa->found[side], g_ptr_array_unref);
      vm_audiodev_found (pa->dev, side, NULL);
    }
}

/* --- the server ---------------------------------------------------------------------------------------- */

static void
context_changed (pa_context *context, void *opaque)
{
  Pa *pa = opaque;

  switch (pa_context_get_state (context))
    {
    case PA_CONTEXT_READY:
      look_for_devices (pa);
      for (guint i = 0; i < pa->streams->len; i++)
        open_stream (g_ptr_array_index (pa->streams, i));
      break;
    case PA_CONTEXT_FAILED:
    case PA_CONTEXT_TERMINATED:
      retry_later (pa);
      break;
    default:
      break;
    }
}

static void
hang_up (Pa *pa)
{
  for (guint i = 0; i < pa->streams->len; i++)
    close_stream (g_ptr_array_index (pa->streams, i));
  if (!pa->context)
    return;
  forget_devices (pa);
  pa_context_set_state_callback (pa->context, NULL, NULL);
  pa_context_set_subscribe_callback (pa->context, NULL, NULL);
  pa_context_disconnect (pa->context);
  g_clear_pointer (&pa->context, pa_context_unref);
}

static void
dial (Pa *pa)
{
  pa->context = pa_context_new (pa->api, "Vitrine");
  if (!pa->context)
    return retry_later (pa);
  pa_context_set_state_callback (pa->context, context_changed, pa);
  if (pa_context_connect (pa->context, pa->server, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0)
    retry_later (pa);
}

/* All streams are opened anew when one has failed, or when the server has. */
static void
try_again (pa_mainloop_api *api, pa_time_event *event, const struct timeval *when, void *opaque)
{
  Pa *pa = opaque;

  api->time_free (event);
  pa->retry = NULL;
  if (pa->context && pa_context_get_state (pa->context) == PA_CONTEXT_READY)
    for (guint i = 0; i < pa->streams->len; i++)
      {
        PaStream *s = g_ptr_array_index (pa->streams, i);
        if (s->stream && PA_STREAM_IS_GOOD (pa_stream_get_state (s->stream)))
          continue;
        close_stream (s);
        open_stream (s);
      }
  else
    {
      hang_up (pa);
      dial (pa);
    }
}

static void
retry_later (Pa *pa)
{
  struct timeval when;

  if (pa->retry)
    return;
  pa_timeval_add (pa_gettimeofday (&when), RETRY_US);
  pa->retry = pa->api->time_new (pa->api, &when, try_again, pa);
}

/* --- the class ----------------------------------------------------------------------------------------- */

static bool
pa_open (VmAudiodev *dev, const void *options, GError **error)
{
  const VmqAudiodevPaOptions *o = options;
  Pa *pa = vm_audiodev_state (dev);

  pa->dev = dev;
  pa->server = o->server;
  pa->side[0] = o->out;
  pa->side[1] = o->in;
  vm_audiodev_set_latency (dev, false, o->out->has_latency ? o->out->latency * VM_NS_PER_US : LATENCY_NS);
  vm_audiodev_set_latency (dev, true, o->in->has_latency ? o->in->latency * VM_NS_PER_US : LATENCY_NS);
  vm_audiodev_set_device (dev, false, o->out->name);
  vm_audiodev_set_device (dev, true, o->in->name);
  pa->loop = pa_threaded_mainloop_new ();
  if (!pa->loop)
    return vm_fail (error, "cannot make PulseAudio's main loop");
  pa->streams = g_ptr_array_new ();
  pa->api = pa_threaded_mainloop_get_api (pa->loop);
  dial (pa);
  if (pa_threaded_mainloop_start (pa->loop) >= 0)
    return true;
  hang_up (pa);
  pa_threaded_mainloop_free (pa->loop);
  g_ptr_array_unref (pa->streams);
  return vm_fail (error, "cannot start PulseAudio's thread");
}

static void
pa_close (VmAudiodev *dev)
{
  Pa *pa = vm_audiodev_state (dev);

  pa_threaded_mainloop_stop (pa->loop);
  hang_up (pa);
  if (pa->retry)
    pa->api->time_free (pa->retry);
  pa_threaded_mainloop_free (pa->loop);
  g_ptr_array_unref (pa->streams);
}

static void
pa_settle (VmAudioStream *stream, VmAudioFormat *format)
{
  sample_of (format);
  format->rate = MIN (format->rate, PA_RATE_MAX);
}

static void
pa_start (VmAudioStream *stream)
{
  Pa *pa = vm_audiodev_state (stream->dev);
  PaStream *s = stream->state;

  s->host = stream;
  s->pa = pa;
  s->pieces = g_byte_array_new ();
  pa_threaded_mainloop_lock (pa->loop);
  g_ptr_array_add (pa->streams, s);
  if (pa->context && pa_context_get_state (pa->context) == PA_CONTEXT_READY)
    open_stream (s);
  pa_threaded_mainloop_unlock (pa->loop);
}

static void
pa_stop (VmAudioStream *stream)
{
  Pa *pa = vm_audiodev_state (stream->dev);
  PaStream *s = stream->state;

  pa_threaded_mainloop_lock (pa->loop);
  close_stream (s);
  g_ptr_array_remove (pa->streams, s);
  pa_threaded_mainloop_unlock (pa->loop);
  g_byte_array_unref (s->pieces);
}

static void
pa_choose (VmAudiodev *dev, bool recording)
{
  Pa *pa = vm_audiodev_state (dev);

  pa_threaded_mainloop_lock (pa->loop);
  open_anew (pa, recording);
  pa_threaded_mainloop_unlock (pa->loop);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "pa",
  .state_size = sizeof (Pa),
  .stream_size = sizeof (PaStream),
  .open = pa_open,
  .close = pa_close,
  .settle = pa_settle,
  .start = pa_start,
  .stop = pa_stop,
  .choose = pa_choose,
};
