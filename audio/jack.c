/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "jack": a client of JACK for each stream, with a port for each channel. The server has floating point
 * samples at one rate, which the stream takes over. */
#include "audio/audio-private.h"
#include "audio/host-thread.h"
#include "engine/schema/types.h"

#include <gmodule.h>
#include <jack/jack.h>

#define LATENCY_NS (40 * VM_NS_PER_MS)

typedef struct Jack
{
  char *server, *client_name, *connect;
  bool recording, start_server, exact_name;
  unsigned channels;
  jack_client_t *client; /* NULL: not open */
  jack_port_t *ports[VM_AUDIO_CHANNELS];
  jack_nframes_t room; /* frames that fit into SCRATCH */
  float *scratch;
  VmHostBridge bridge;
} Jack;

static int
process (jack_nframes_t frames, void *opaque)
{
  Jack *j = opaque;
  float *buffers[VM_AUDIO_CHANNELS];

  for (unsigned c = 0; c < j->channels; c++)
    buffers[c] = jack_port_get_buffer (j->ports[c], frames);
  for (jack_nframes_t start = 0; start < frames;)
    {
      jack_nframes_t n = MIN (frames - start, j->room);
      if (j->recording)
        {
          for (unsigned c = 0; c < j->channels; c++)
            for (jack_nframes_t i = 0; i < n; i++)
              j->scratch[i * j->channels + c] = buffers[c][start + i];
          vm_host_bridge_give (&j->bridge, j->scratch, n);
        }
      else
        {
          vm_host_bridge_take (&j->bridge, j->scratch, n);
          for (unsigned c = 0; c < j->channels; c++)
            for (jack_nframes_t i = 0; i < n; i++)
              buffers[c][start + i] = j->scratch[i * j->channels + c];
        }
      start += n;
    }
  return 0;
}

static void
gone (void *opaque)
{
  Jack *j = opaque;

  vm_host_bridge_gone (&j->bridge);
}

static void
say_nothing (const char *text)
{
}

static bool
register_ports (Jack *j)
{
  for (unsigned c = 0; c < j->channels; c++)
    {
      g_autofree char *name = g_strdup_printf (j->recording ? "input %u" : "output %u", c);
      j->ports[c] = jack_port_register (j->client, name, JACK_DEFAULT_AUDIO_TYPE,
                                        j->recording ? JackPortIsInput : JackPortIsOutput, 0);
      if (!j->ports[c])
        return false;
    }
  return true;
}

/* The first port goes to the first that matches, and so on. */
static void
connect_ports (Jack *j)
{
  const char **others;

  if (!j->connect)
    return;
  others = jack_get_ports (j->client, j->connect, JACK_DEFAULT_AUDIO_TYPE,
                           j->recording ? JackPortIsOutput : JackPortIsInput);
  for (unsigned c = 0; others && others[c] && c < j->channels; c++)
    if (j->recording)
      jack_connect (j->client, others[c], jack_port_name (j->ports[c]));
    else
      jack_connect (j->client, jack_port_name (j->ports[c]), others[c]);
  jack_free (others);
}

static bool
jack_thread_open (void *device, VmAudioFormat *format, size_t *chunk, GError **error)
{
  Jack *j = device;
  jack_options_t options = (j->start_server ? JackNullOption : JackNoStartServer)
                           | (j->exact_name ? JackUseExactName : JackNullOption)
                           | (j->server ? JackServerName : JackNullOption);
  jack_status_t status = 0;

  jack_set_error_function (say_nothing); /* it would write to standard error */
  jack_set_info_function (say_nothing);
  j->client = jack_client_open (j->client_name, options, &status, j->server);
  /* Some libraries tell no more of it than that a server which is there has failed us. */
  if (!j->client && (status & JackNameNotUnique || (j->exact_name && !(status & JackServerFailed))))
    return vm_fail (error, "JACK: the client name '%s' is in use", j->client_name);
  if (!j->client)
    return vm_fail (error, "JACK: the server '%s' cannot be reached", j->server ? j->server : "default");
  format->sample = VM_AUDIO_F32;
  format->rate = jack_get_sample_rate (j->client);
  j->channels = format->channels;
  j->room = jack_get_buffer_size (j->client);
  if (!vm_audio_format_ok (format))
    return vm_fail (error, "JACK: a rate of %u Hz is not known here", format->rate);
  j->scratch = g_new (float, (size_t) j->room * j->channels);
  *chunk = j->room;
  vm_host_bridge_open (&j->bridge, format, 2 * (size_t) j->room);
  jack_set_process_callback (j->client, process, j);
  jack_on_shutdown (j->client, gone, j);
  if (!register_ports (j) || jack_activate (j->client))
    return vm_fail (error, "JACK: the server '%s' has no place for us", j->server ? j->server : "default");
  connect_ports (j);
  return true;
}

static bool
jack_thread_move (void *device, void *bytes, size_t frames)
{
  Jack *j = device;

  return j->recording ? vm_host_bridge_record (&j->bridge, bytes, frames)
                      : vm_host_bridge_play (&j->bridge, bytes, frames);
}

static int64_t
jack_thread_delay (void *device)
{
  Jack *j = device;
  jack_latency_range_t range = { 0 };

  jack_port_get_latency_range (j->ports[0], j->recording ? JackCaptureLatency : JackPlaybackLatency, &range);
  return vm_muldiv64 (range.max + vm_audio_ring_filled (j->bridge.ring), VM_NS_PER_SEC, j->bridge.ring->format.rate);
}

static void
jack_thread_close (void *device)
{
  Jack *j = device;

  if (j->client)
    jack_client_close (j->client);
  j->client = NULL;
  vm_host_bridge_close (&j->bridge);
  g_clear_pointer (&j->scratch, g_free);
}

static void
jack_thread_free (void *device)
{
  Jack *j = device;

  g_free (j->server);
  g_free (j->client_name);
  g_free (j->connect);
  g_free (j);
}

static const VmHostOps thread_ops = {
  .open = jack_thread_open,
  .move = jack_thread_move,
  .delay_ns = jack_thread_delay,
  .close = jack_thread_close,
  .free = jack_thread_free,
};

/* --- the class ----------------------------------------------------------------------------------------- */

static bool
jack_open (VmAudiodev *dev, const void *options, GError **error)
{
  vm_audiodev_set_latency (dev, false, LATENCY_NS);
  vm_audiodev_set_latency (dev, true, LATENCY_NS);
  return true;
}

static void
jack_settle (VmAudioStream *stream, VmAudioFormat *format)
{
  format->sample = VM_AUDIO_F32;
}

static void
jack_start (VmAudioStream *stream)
{
  const VmqAudiodevJackOptions *all = stream->dev->options->u.jack;
  const VmqAudiodevJackPerDirectionOptions *o = stream->recording ? all->in : all->out;
  Jack *j = g_new0 (Jack, 1);

  j->server = g_strdup (o->server_name);
  j->client_name
      = o->client_name ? g_strdup (o->client_name) : g_strdup_printf ("vitrine-%s", stream->recording ? "in" : "out");
  j->connect = g_strdup (o->connect_ports);
  j->recording = stream->recording;
  j->start_server = o->start_server;
  j->exact_name = o->exact_name;
  vm_host_thread_start (stream, &thread_ops, j);
}

G_MODULE_EXPORT const VmAudioClass vm_audio_class = {
  .name = "jack",
  .stream_size = sizeof (VmHostThread *),
  .open = jack_open,
  .settle = jack_settle,
  .start = jack_start,
  .stop = vm_host_thread_stop,
};
