/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hears what a sink plays, and when: two channels of 16 bits at 48 kHz go to a file, and each time some come a line to
 * standard output, "FRAME NANOSECONDS": that frame of the file, the next one, is heard at that time of CLOCK_MONOTONIC,
 * as far as the server knows. It ends with SIGTERM.
 *
 *   ear SINK FILE              built with EAR_PULSE for PulseAudio, else for PipeWire
 *   ear SOURCE FILE source     what the source records */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RATE 48000u
#define FRAME 4u

static FILE *file;
static const char *device;
static int is_source;
static uint64_t frames;

static int64_t
monotonic_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C (1000000000) + now.tv_nsec;
}

static void
note (int64_t ns)
{
  printf ("%llu %lld\n", (unsigned long long) frames, (long long) ns);
  fflush (stdout);
}

static void
give_up (const char *what)
{
  fprintf (stderr, "ear: %s\n", what);
  exit (1);
}

#ifdef EAR_PULSE
#include <pulse/pulseaudio.h>

static void
have_sound (pa_stream *stream, size_t bytes, void *opaque)
{
  int64_t now = monotonic_ns ();
  pa_usec_t latency;
  int negative;
  const void *data;
  size_t n;

  if (pa_stream_get_latency (stream, &latency, &negative) >= 0)
    note (now - (negative ? -1 : 1) * (int64_t) latency * 1000);
  while (pa_stream_peek (stream, &data, &n) >= 0 && n)
    {
      if (data)
        fwrite (data, 1, n, file);
      else
        for (size_t i = 0; i < n; i++)
          fputc (0, file);
      frames += n / FRAME;
      pa_stream_drop (stream);
    }
}

static void
stream_changed (pa_stream *stream, void *opaque)
{
  if (!PA_STREAM_IS_GOOD (pa_stream_get_state (stream)))
    give_up ("the stream has failed");
}

static void
context_changed (pa_context *context, void *opaque)
{
  static const pa_sample_spec spec = { .format = PA_SAMPLE_S16LE, .rate = RATE, .channels = 2 };
  pa_buffer_attr attr = { (uint32_t) -1, (uint32_t) -1, (uint32_t) -1, (uint32_t) -1, RATE / 50 * FRAME };
  char monitor[256];
  pa_stream *stream;

  if (!PA_CONTEXT_IS_GOOD (pa_context_get_state (context)))
    give_up ("the server has gone");
  if (pa_context_get_state (context) != PA_CONTEXT_READY)
    return;
  snprintf (monitor, sizeof monitor, "%s%s", device, is_source ? "" : ".monitor");
  stream = pa_stream_new (context, "ear", &spec, NULL);
  pa_stream_set_read_callback (stream, have_sound, NULL);
  pa_stream_set_state_callback (stream, stream_changed, NULL);
  /* Without PA_STREAM_ADJUST_LATENCY: the sink is to work as if nobody listened. */
  if (pa_stream_connect_record (stream, monitor, &attr, PA_STREAM_INTERPOLATE_TIMING | PA_STREAM_AUTO_TIMING_UPDATE)
      < 0)
    give_up ("no such sink");
}

static void
stop (pa_mainloop_api *api, pa_signal_event *event, int number, void *opaque)
{
  api->quit (api, 0);
}

static void
hear (void)
{
  pa_mainloop *loop = pa_mainloop_new ();
  pa_mainloop_api *api = pa_mainloop_get_api (loop);
  pa_context *context = pa_context_new (api, "ear");

  pa_signal_init (api);
  pa_signal_new (SIGTERM, stop, NULL);
  pa_context_set_state_callback (context, context_changed, NULL);
  if (pa_context_connect (context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0 || pa_mainloop_run (loop, NULL) < 0)
    give_up ("no server");
}
#else
#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

static struct pw_stream *stream;

static void
process (void *opaque)
{
  struct pw_buffer *buffer = pw_stream_dequeue_buffer (stream);
  struct pw_time time;

  if (!buffer)
    return;
  struct spa_data *data = &buffer->buffer->datas[0];
  if (data->data && pw_stream_get_time_n (stream, &time, sizeof time) >= 0 && time.rate.denom)
    {
      note (time.now - time.delay * 1000000000 * time.rate.num / time.rate.denom);
      fwrite ((char *) data->data + data->chunk->offset, 1, data->chunk->size, file);
      frames += data->chunk->size / FRAME;
    }
  pw_stream_queue_buffer (stream, buffer);
}

static void
stream_changed (void *opaque, enum pw_stream_state old, enum pw_stream_state now, const char *error)
{
  if (now == PW_STREAM_STATE_ERROR)
    give_up (error ? error : "the stream has failed");
}

static const struct pw_stream_events events
    = { PW_VERSION_STREAM_EVENTS, .state_changed = stream_changed, .process = process };

static void
stop (void *opaque, int number)
{
  pw_main_loop_quit (opaque);
}

static void
hear (void)
{
  struct spa_audio_info_raw info = { .format = SPA_AUDIO_FORMAT_S16_LE,
                                     .rate = RATE,
                                     .channels = 2,
                                     .position = { SPA_AUDIO_CHANNEL_FL, SPA_AUDIO_CHANNEL_FR } };
  uint8_t room[1024];
  struct spa_pod_builder builder = SPA_POD_BUILDER_INIT (room, sizeof room);
  const struct spa_pod *params[1] = { spa_format_audio_raw_build (&builder, SPA_PARAM_EnumFormat, &info) };
  struct pw_main_loop *loop;

  pw_init (NULL, NULL);
  loop = pw_main_loop_new (NULL);
  pw_loop_add_signal (pw_main_loop_get_loop (loop), SIGTERM, stop, loop);
  stream = pw_stream_new_simple (pw_main_loop_get_loop (loop), "ear",
                                 pw_properties_new (PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, "Capture",
                                                    PW_KEY_MEDIA_ROLE, "Test", PW_KEY_STREAM_CAPTURE_SINK,
                                                    is_source ? "false" : "true", PW_KEY_TARGET_OBJECT, device, NULL),
                                 &events, NULL);
  if (!stream
      || pw_stream_connect (stream, PW_DIRECTION_INPUT, PW_ID_ANY,
                            PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS, params,
                            1)
             < 0)
    give_up ("no server");
  pw_main_loop_run (loop);
}
#endif

int
main (int argc, char **argv)
{
  if (argc < 3 || !(file = fopen (argv[2], "wb")))
    return 2;
  device = argv[1];
  is_source = argc > 3;
  hear ();
  return fclose (file) != 0;
}
