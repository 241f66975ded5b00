/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound of "-audiodev spice": the SPICE thread takes it out of the stream's ring, or puts it in, at the pace of the host's
 * clock, whether or not a client listens. */
#include "audio/audio.h"
#include "ui/spice/server-private.h"

#define TICK_MS 10
#define FRAME_BYTES 4u /* two channels of 16 bits */
#define PIECE 480u     /* frames that the library takes at a time */

static const SpicePlaybackInterface playback_interface = {
  .base = { .type = SPICE_INTERFACE_PLAYBACK,
            .description = "playback",
            .major_version = SPICE_INTERFACE_PLAYBACK_MAJOR,
            .minor_version = SPICE_INTERFACE_PLAYBACK_MINOR },
};
static const SpiceRecordInterface record_interface = {
  .base = { .type = SPICE_INTERFACE_RECORD,
            .description = "record",
            .major_version = SPICE_INTERFACE_RECORD_MAJOR,
            .minor_version = SPICE_INTERFACE_RECORD_MINOR },
};

struct SpiceSound
{
  SpiceHere *here;
  SpicePlaybackInstance playback;
  SpiceRecordInstance record;
  uint32_t playback_rate, record_rate;
};

/* Of one stream. */
typedef struct Sound
{
  VmAudioStream *stream;
  SpiceSound *sound;
  GSource *timer;
  int64_t since; /* monotonic */
  uint64_t done; /* frames since then */
} Sound;

/* What the engine wants done over there. */
typedef struct Wish
{
  VmSpice *spice;
  Sound *sound;
  VmAudioStream *stream;
  uint16_t volume[2];
  bool mute;
} Wish;

/* --- the SPICE thread ------------------------------------------------------------------------------------------- */

static void
play (Sound *s, uint64_t due)
{
  uint32_t scratch[PIECE], *samples, n;

  while (due >= PIECE)
    {
      samples = NULL;
      n = 0;
      spice_server_playback_get_buffer (&s->sound->playback, &samples, &n);
      if (samples)
        {
          vm_audio_stream_take (s->stream, samples, n * FRAME_BYTES);
          spice_server_playback_put_samples (&s->sound->playback, samples);
        }
      else
        {
          n = PIECE;
          vm_audio_stream_take (s->stream, scratch, sizeof scratch);
        }
      s->done += n;
      due -= MIN (due, MAX (n, 1));
    }
}

static void
record (Sound *s, uint64_t due)
{
  uint32_t samples[PIECE];

  while (due >= PIECE)
    {
      uint32_t n = spice_server_record_get_samples (&s->sound->record, samples, PIECE);
      if (n)
        vm_audio_stream_give (s->stream, samples, n * FRAME_BYTES);
      s->done += PIECE;
      due -= PIECE;
    }
}

static gboolean
on_tick (gpointer opaque)
{
  Sound *s = opaque;
  int64_t now = g_get_monotonic_time ();
  uint64_t so_far = (uint64_t)(now - s->since) * s->stream->format.rate / G_USEC_PER_SEC;

  if (so_far > s->done + s->stream->format.rate) /* the host slept */
    s->done = so_far - PIECE;
  if (so_far <= s->done)
    return G_SOURCE_CONTINUE;
  if (s->stream->recording)
    record (s, so_far - s->done);
  else
    play (s, so_far - s->done);
  return G_SOURCE_CONTINUE;
}

static void
do_start (void *opaque)
{
  Wish *w = opaque;
  SpiceHere *here = w->spice->server;
  Sound *s = w->sound;

  s->stream = w->stream;
  s->sound = here->sound;
  s->since = g_get_monotonic_time ();
  if (w->stream->recording)
    spice_server_record_start (&s->sound->record);
  else
    spice_server_playback_start (&s->sound->playback);
  s->timer = g_timeout_source_new (TICK_MS);
  g_source_set_callback (s->timer, on_tick, s, NULL);
  g_source_attach (s->timer, vm_loop_context (w->spice->loop));
}

static void
do_stop (void *opaque)
{
  Wish *w = opaque;
  Sound *s = w->sound;

  vm_source_clear (&s->timer);
  if (w->stream->recording)
    spice_server_record_stop (&s->sound->record);
  else
    spice_server_playback_stop (&s->sound->playback);
}

static void
do_volume (void *opaque)
{
  Wish *w = opaque;
  SpiceSound *sound = ((SpiceHere *) w->spice->server)->sound;

  if (w->stream->recording)
    {
      spice_server_record_set_volume (&sound->record, 2, w->volume);
      spice_server_record_set_mute (&sound->record, w->mute);
    }
  else
    {
      spice_server_playback_set_volume (&sound->playback, 2, w->volume);
      spice_server_playback_set_mute (&sound->playback, w->mute);
    }
}

static void
do_open (void *opaque)
{
  SpiceHere *here = ((Wish *) opaque)->spice->server;
  SpiceSound *s = here->sound;

  if (s)
    return;
  s = here->sound = g_new0 (SpiceSound, 1);
  s->here = here;
  s->playback.base.sif = &playback_interface.base;
  s->record.base.sif = &record_interface.base;
  spice_server_add_interface (here->server, &s->playback.base);
  spice_server_add_interface (here->server, &s->record.base);
  s->playback_rate = spice_server_get_best_playback_rate (&s->playback);
  s->record_rate = spice_server_get_best_record_rate (&s->record);
  spice_server_set_playback_rate (&s->playback, s->playback_rate);
  spice_server_set_record_rate (&s->record, s->record_rate);
}

void
spice_sound_stop (SpiceHere *here)
{
  if (!here->sound)
    return;
  spice_server_remove_interface (&here->sound->playback.base);
  spice_server_remove_interface (&here->sound->record.base);
  g_clear_pointer (&here->sound, g_free);
}

/* --- the engine -------------------------------------------------------------------------------------------------- */

static VmSpice *
spice_of (const VmAudiodev *dev)
{
  return vm_audiodev_opaque (dev);
}

static bool
sound_open (VmAudiodev *dev, const void *options, GError **error)
{
  Wish w = { .spice = spice_of (dev) };

  vm_loop_call (w.spice->loop, do_open, &w);
  return true;
}

static void
sound_settle (VmAudioStream *stream, VmAudioFormat *format)
{
  const SpiceSound *s = ((SpiceHere *) spice_of (stream->dev)->server)->sound;

  *format = (VmAudioFormat){ .rate = stream->recording ? s->record_rate : s->playback_rate,
                             .channels = 2,
                             .sample = VM_AUDIO_S16,
                             .big_endian = G_BYTE_ORDER == G_BIG_ENDIAN };
}

static void
sound_start (VmAudioStream *stream)
{
  Wish w = { .spice = spice_of (stream->dev), .sound = stream->state, .stream = stream };

  *w.sound = (Sound){ 0 };
  vm_loop_call (w.spice->loop, do_start, &w);
}

static void
sound_stop (VmAudioStream *stream)
{
  Wish w = { .spice = spice_of (stream->dev), .sound = stream->state, .stream = stream };

  vm_loop_call (w.spice->loop, do_stop, &w);
}

static void
sound_volume (VmAudioStream *stream, bool mute, unsigned n, const float *gain)
{
  Wish w = { .spice = spice_of (stream->dev), .stream = stream, .mute = mute };

  for (unsigned i = 0; i < G_N_ELEMENTS (w.volume); i++)
    w.volume[i] = (uint16_t)(CLAMP (n ? gain[MIN (i, n - 1)] : 1.0f, 0.0f, 1.0f) * UINT16_MAX);
  vm_loop_call (w.spice->loop, do_volume, &w);
}

const VmAudioClass *
spice_sound_class (void)
{
  static const VmAudioClass sound_class = {
    .name = "spice",
    .stream_size = sizeof (Sound),
    .single = true,
    .open = sound_open,
    .settle = sound_settle,
    .start = sound_start,
    .stop = sound_stop,
    .volume = sound_volume,
  };

  return &sound_class;
}
