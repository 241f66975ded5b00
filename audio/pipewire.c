/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "pipewire": streams of PipeWire's. Its own threads ask for frames; what is done here is done with the
 * lock of its loop. A server that is not there, or no longer, is looked for once a second. Streams without a chosen
 * device the session manager puts on the default one, and moves when that changes. */
#include "audio/audio-private.h"
#include "engine/schema/types.h"

#include <gmodule.h>
#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

#define RETRY_S 1
#define LATENCY_NS (40 * VM_NS_PER_MS)

typedef struct Pw
{
  struct pw_thread_loop *loop;
  struct pw_context *context;
  struct pw_core *core; /* NULL: between two tries */
  struct spa_hook core_listener;
  struct spa_source *retry;
  GPtrArray *streams; /* PwStream *, those that are started */
  struct pw_registry *registry;
  struct spa_hook registry_listener;
  GArray *nodes; /* PwNode: devices */
  int asked;     /* sequence number: when this is answered, all devices that are there have been told */
  bool known;    /* so it is */
  VmAudiodev *dev;
} Pw;

typedef struct PwNode
{
  uint32_t id;
  bool recording;
  char *name, *description;
} PwNode;

typedef struct PwStream
{
  VmAudioStream *host;
  Pw *pw;
  struct pw_stream *stream; /* NULL: not now */
  struct spa_hook listener;
  unsigned frame;
} PwStream;

static void
retry_later (Pw *pw)
{
  struct timespec when = { .tv_sec = RETRY_S };

  pw_loop_update_timer (pw_thread_loop_get_loop (pw->loop), pw->retry, &when, NULL, false);
}

/* --- streams ------------------------------------------------------------------------------------------- */

static enum spa_audio_format
sample_of (VmAudioFormat *format)
{
  static const enum spa_audio_format formats[VM_AUDIO_SAMPLE_N]
      = { SPA_AUDIO_FORMAT_U8,  SPA_AUDIO_FORMAT_S8,  SPA_AUDIO_FORMAT_U16, SPA_AUDIO_FORMAT_S16,
          SPA_AUDIO_FORMAT_U32, SPA_AUDIO_FORMAT_S32, SPA_AUDIO_FORMAT_F32 };

  return formats[format->sample];
}

static void
map_channels (uint32_t *map, unsigned channels)
{
  static const uint32_t full[]
      = { SPA_AUDIO_CHANNEL_FL, SPA_AUDIO_CHANNEL_FR, SPA_AUDIO_CHANNEL_FC, SPA_AUDIO_CHANNEL_LFE,
          SPA_AUDIO_CHANNEL_RL, SPA_AUDIO_CHANNEL_RR, SPA_AUDIO_CHANNEL_SL, SPA_AUDIO_CHANNEL_SR };

  memcpy (map, full, channels * sizeof *map);
  if (channels == 1)
    map[0] = SPA_AUDIO_CHANNEL_MONO;
  if (channels == 4 || channels == 5)
    {
      map[channels - 2] = SPA_AUDIO_CHANNEL_RL;
      map[channels - 1] = SPA_AUDIO_CHANNEL_RR;
    }
}

/* FRAMES have just been queued, or were just taken. What plays in this cycle of the graph is queued no longer, but has
 * yet to be heard. */
static void
note_delay (PwStream *s, uint64_t frames)
{
  uint32_t rate = s->host->format.rate;
  struct pw_time time;
  int64_t ns;

  if (pw_stream_get_time_n (s->stream, &time, sizeof time) < 0 || !time.rate.denom)
    return;
  ns = MAX (time.delay, 0) * VM_NS_PER_SEC * time.rate.num / time.rate.denom;
  if (s->host->recording)
    ns -= vm_muldiv64 (frames, VM_NS_PER_SEC, rate);
  else
    ns += vm_muldiv64 (frames * (time.queued_buffers + 1) + time.buffered, VM_NS_PER_SEC, rate);
  vm_audio_stream_set_host_delay (s->host, ns);
}

/* On a thread for real time. */
static void
process (void *opaque)
{
  PwStream *s = opaque;
  struct pw_buffer *buffer = pw_stream_dequeue_buffer (s->stream);
  uint64_t frames = 0;

  if (!buffer)
    return;
  struct spa_data *data = &buffer->buffer->datas[0];
  if (data->data && s->host->recording)
    {
      uint32_t offset = MIN (data->chunk->offset, data->maxsize),
               size = MIN (data->chunk->size, data->maxsize - offset);
      frames = size / s->frame;
      vm_audio_stream_give (s->host, (uint8_t *) data->data + offset, frames * s->frame);
    }
  else if (data->data)
    {
      frames = data->maxsize / s->frame;
      if (buffer->requested)
        frames = MIN (frames, buffer->requested);
      vm_audio_stream_take (s->host, data->data, frames * s->frame);
      data->chunk->offset = 0;
      data->chunk->stride = s->frame;
      data->chunk->size = frames * s->frame;
    }
  pw_stream_queue_buffer (s->stream, buffer);
  note_delay (s, frames);
}

static void
stream_changed (void *opaque, enum pw_stream_state old, enum pw_stream_state now, const char *error)
{
  const PwStream *s = opaque;

  if (now == PW_STREAM_STATE_ERROR || (now == PW_STREAM_STATE_UNCONNECTED && old != now))
    retry_later (s->pw);
}

static const struct pw_stream_events stream_events
    = { PW_VERSION_STREAM_EVENTS, .state_changed = stream_changed, .process = process };

static void
close_stream (PwStream *s)
{
  if (!s->stream)
    return;
  spa_hook_remove (&s->listener);
  pw_stream_destroy (g_steal_pointer (&s->stream));
}

static void
open_stream (PwStream *s)
{
  const VmqAudiodevPipewireOptions *all = s->host->dev->options->u.pipewire;
  const VmqAudiodevPipewirePerDirectionOptions *o = s->host->recording ? all->in : all->out;
  g_autofree char *device = vm_audiodev_device (s->host->dev, s->host->recording);
  const char *label = o->stream_name ? o->stream_name : vm_audiodev_id (s->host->dev);
  VmAudioFormat *format = &s->host->format;
  struct spa_audio_info_raw info = { .format = sample_of (format), .rate = format->rate, .channels = format->channels };
  uint8_t room[1024];
  struct spa_pod_builder builder = SPA_POD_BUILDER_INIT (room, sizeof room);
  struct pw_properties *properties = pw_properties_new (
      PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, s->host->recording ? "Capture" : "Playback", PW_KEY_MEDIA_ROLE,
      "Game", PW_KEY_APP_NAME, "Vitrine", PW_KEY_NODE_NAME, label, PW_KEY_MEDIA_NAME, label, NULL);
  const struct spa_pod *params[1];

  /* A cycle of the graph is half of what it holds. */
  pw_properties_setf (properties, PW_KEY_NODE_LATENCY, "%u/%u",
                      (unsigned) MAX (vm_muldiv64 (s->host->buffer_ns / 2, format->rate, VM_NS_PER_SEC), 32),
                      format->rate);
  if (device)
    pw_properties_set (properties, PW_KEY_TARGET_OBJECT, device);
  s->frame = vm_audio_frame_bytes (format);
  s->stream = pw_stream_new (s->pw->core, label, properties);
  if (!s->stream)
    return retry_later (s->pw);
  pw_stream_add_listener (s->stream, &s->listener, &stream_events, s);
  map_channels (info.position, info.channels);
  params[0] = spa_format_audio_raw_build (&builder, SPA_PARAM_EnumFormat, &info);
  if (pw_stream_connect (s->stream, s->host->recording ? PW_DIRECTION_INPUT : PW_DIRECTION_OUTPUT, PW_ID_ANY,
                         PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS, params, 1)
      < 0)
    retry_later (s->pw);
}

/* What was under way to the old device is lost. */
static void
open_anew (const Pw *pw, bool recording)
{
  for (guint i = 0; i < pw->streams->len; i++)
    {
      PwStream *s = g_ptr_array_index (pw->streams, i);
      if (s->host->recording != recording || !s->stream)
        continue;
      close_stream (s);
      open_stream (s);
    }
}

/* --- devices ------------------------------------------------------------------------------------------- */

static void
node_clear (gpointer data)
{
  PwNode *node = data;

  g_free (node->name);
  g_free (node->description);
}

static void
tell_devices (Pw *pw, bool recording)
{
  GPtrArray *list;

  if (!pw->known)
    return;
  list = vm_audio_devices_new ();
  for (guint i = 0; i < pw->nodes->len; i++)
    {
      const PwNode *node = &g_array_index (pw->nodes, PwNode, i);
      if (node->recording == recording)
        vm_audio_devices_add (list, node->name, node->description);
    }
  if (vm_audiodev_found (pw->dev, recording, list))
    open_anew (pw, recording); /* the session manager has put the streams elsewhere */
}

static void
object_came (void *opaque, uint32_t id, uint32_t permissions, const char *type, uint32_t version,
             const struct spa_dict *props)
{
  Pw *pw = opaque;
  const char *kind = props ? spa_dict_lookup (props, PW_KEY_MEDIA_CLASS) : NULL;
  const char *name = props ? spa_dict_lookup (props, PW_KEY_NODE_NAME) : NULL;
  bool sink = kind && g_str_has_prefix (kind, "Audio/Sink"), source = kind && g_str_has_prefix (kind, "Audio/Source");

  if (!name || (!sink && !source) || strcmp (type, PW_TYPE_INTERFACE_Node) != 0)
    return;
  PwNode node = { id, source, g_strdup (name), g_strdup (spa_dict_lookup (props, PW_KEY_NODE_DESCRIPTION)) };
  g_array_append_val (pw->nodes, node);
  tell_devices (pw, source);
}

static void
object_went (void *opaque, uint32_t id)
{
  Pw *pw = opaque;

  for (guint i = 0; i < pw->nodes->len; i++)
    if (g_array_index (pw->nodes, PwNode, i).id == id)
      {
        bool recording = g_array_index (pw->nodes, PwNode, i).recording;
        g_array_remove_index (pw->nodes, i);
        tell_devices (pw, recording);
        return;
      }
}

static const struct pw_registry_events registry_events
    = { PW_VERSION_REGISTRY_EVENTS, .global = object_came, .global_remove = object_went };

static void
look_for_devices (Pw *pw)
{
  pw->registry = pw_core_get_registry (pw->core, PW_VERSION_REGISTRY, 0);
  if (pw->registry)
    pw_registry_add_listener (pw->registry, &pw->registry_listener, &registry_events, pw);
  pw->asked = pw_core_sync (pw->core, PW_ID_CORE, 0);
}

static void
forget_devices (Pw *pw)
{
  if (pw->registry)
    {
      spa_hook_remove (&pw->registry_listener);
      pw_proxy_destroy ((struct pw_proxy *) g_steal_pointer (&pw->registry));
    }
  g_array_set_size (pw->nodes, 0);
  pw->known = false;
  vm_audiodev_found (pw->dev, false, NULL);
  vm_audiodev_found (pw->dev, true, NULL);
}

/* --- the server ---------------------------------------------------------------------------------------- */

static void
core_error (void *opaque, uint32_t id, int seq, int result, const char *message)
{
  if (id == PW_ID_CORE)
    retry_later (opaque);
}

static void
core_done (void *opaque, uint32_t id, int seq)
{
  Pw *pw = opaque;

  if (id != PW_ID_CORE || seq != pw->asked || pw->known)
    return;
  pw->known = true;
  tell_devices (pw, false);
  tell_devices (pw, true);
}

static const struct pw_core_events core_events
    = { PW_VERSION_CORE_EVENTS, .done = core_done, .error = core_error };

static void
hang_up (Pw *pw)
{
  for (guint i = 0; i < pw->streams->len; i++)
    close_stream (g_ptr_array_index (pw->streams, i));
  if (!pw->core)
    return;
  forget_devices (pw);
  spa_hook_remove (&pw->core_listener);
  pw_core_disconnect (g_steal_pointer (&pw->core));
}

static void
dial (Pw *pw)
{
  pw->core = pw_context_connect (pw->context, NULL, 0);
  if (!pw->core)
    return retry_later (pw);
  pw_core_add_listener (pw->core, &pw->core_listener, &core_events, pw);
  look_for_devices (pw);
  for (guint i = 0; i < pw->streams->len; i++)
    open_stream (g_ptr_array_index (pw->streams, i));
}

static void
try_again (void *opaque, uint64_t expirations)
{
  hang_up (opaque);
  dial (opaque);
}

/* --- the class ----------------------------------------------------------------------------------------- */

static bool
pipewire_open (VmAudiodev *dev, const void *options, GError **error)
{
  const VmqAudiodevPipewireOptions *o = options;
  Pw *pw = vm_audiodev_state (dev);

  vm_audiodev_set_latency (dev, false, o->out->has_latency ? o->out->latency * VM_NS_PER_US : LATENCY_NS);
  vm_audiodev_set_latency (dev, true, o->in->has_latency ? o->in->latency * VM_NS_PER_US : LATENCY_NS);
  vm_audiodev_set_device (dev, false, o->out->name);
  vm_audiodev_set_device (dev, true, o->in->name);
  pw_init (NULL, NULL);
  pw->dev = dev;
  pw->streams = g_ptr_array_new ();
  pw->nodes = g_array_new (FALSE, FALSE, sizeof (PwNode));
  g_array_set_clear_func (pw->nodes, node_clear);
  pw->loop = pw_thread_loop_new ("sound", NULL);
  pw->context = pw->loop ? pw_context_new (pw_thread_loop_get_loop (pw->loop), NULL, 0) : NULL;
  if (pw->context)
    {
      pw->retry = pw_loop_add_timer (pw_thread_loop_get_loop (pw->loop), try_again, pw);
      dial (pw);
      if (pw_thread_loop_start (pw->loop) >= 0)
        return true;
      hang_up (pw);
      pw_context_destroy (pw->context);
    }
  if (pw->loop)
    pw_thread_loop_destroy (pw->loop);
  g_ptr_array_unref (pw->streams);
  g_array_unref (pw->nodes);
  return vm_fail (error, "cannot start PipeWire's thread");
}

static void
pipewire_close (VmAudiodev *dev)
{
  Pw *pw = vm_audiodev_state (dev);

  pw_thread_loop_stop (pw->loop);
  hang_up (pw);
  pw_loop_destroy_source (pw_thread_loop_get_loop (pw->loop), pw->retry);
  pw_context_destroy (pw->context);
  pw_thread_loop_destroy (pw->loop);
  g_ptr_array_unref (pw->streams);
  g_array_unref (pw->nodes);
}

static void
pipewire_start (VmAudioStream *stream)
{
  Pw *pw = vm_audiodev_state (stream->dev);
  PwStream *s = stream->state;

  s->host = stream;
  s->pw = pw;
  pw_thread_loop_lock (pw->loop);
  g_ptr_array_add (pw->streams, s);
  if (pw->core)
    open_stream (s);
  pw_thread_loop_unlock (pw->loop);
}

static void
pipewire_stop (VmAudioStream *stream)
{
  Pw *pw = vm_audiodev_state (stream->dev);
  PwStream *s = stream->state;

  pw_thread_loop_lock (pw->loop);
  close_stream (s);
  g_ptr_array_remove (pw->streams, s);
  pw_thread_loop_unlock (pw->loop);
}

static void
pipewire_choose (VmAudiodev *dev, bool recording)
{
  Pw *pw = vm_audiodev_state (dev);

  pw_thread_loop_lock (pw->loop);
  open_anew (pw, recording);
  pw_thread_loop_unlock (pw->loop);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "pipewire",
  .state_size = sizeof (Pw),
  .stream_size = sizeof (PwStream),
  .open = pipewire_open,
  .close = pipewire_close,
  .start = pipewire_start,
  .stop = pipewire_stop,
  .choose = pipewire_choose,
};
