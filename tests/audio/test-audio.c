/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Formats, channels, pipes, rings, voices and their mix, files, clocks that drift apart, hosts that go and come. */
#include "tests/audio/bench.h"

#include <glib/gstdio.h>
#include <math.h>

#define HZ 440.0

static VmAudioFormat
format_of (uint32_t rate, unsigned channels, VmAudioSample sample)
{
  return (VmAudioFormat){ .rate = rate, .channels = channels, .sample = sample };
}

/* --- formats ------------------------------------------------------------------------------------------ */

static void
test_formats (void)
{
  uint8_t in[256 * 4], out[sizeof in];
  float floats[sizeof in];

  for (unsigned s = 0; s < VM_AUDIO_SAMPLE_N; s++)
    for (int big = 0; big < 2; big++)
      {
        VmAudioFormat f = format_of (8000, 1, s);
        unsigned width = vm_audio_frame_bytes (&f), n = sizeof in / width;
        f.big_endian = big;
        for (unsigned i = 0; i < sizeof in; i++)
          in[i] = width == 4 ? 0 : i * 37;
        for (unsigned i = 0; width == 4 && i < n; i++)
          { /* what floating point numbers hold whole */
            uint32_t v = s == VM_AUDIO_F32 ? 0 : (uint32_t) i << 24 | i << 16;
            float exact = (float) i / 64 - 2;
            if (s == VM_AUDIO_F32)
              memcpy (&v, &exact, 4);
            v = big ? GUINT32_TO_BE (v) : v;
            memcpy (in + 4 * i, &v, 4);
          }
        vm_audio_to_float (&f, in, floats, n);
        vm_audio_from_float (&f, floats, out, n);
        g_assert_cmpmem (in, sizeof in, out, sizeof in);
        vm_audio_silence (&f, out, sizeof out);
        vm_audio_to_float (&f, out, floats, n);
        for (unsigned i = 0; i < n; i++)
          g_assert_cmpfloat (floats[i], ==, 0);
      }
}

static void
test_clipping (void)
{
  static const float in[] = { 2, -2, 1, -1, 0.5f };
  int16_t words[5];
  int32_t longs[5];
  uint8_t bytes[5];
  uint32_t wild[] = { 0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff };
  float floats[4];
  VmAudioFormat f = format_of (8000, 1, VM_AUDIO_S16);

  vm_audio_from_float (&f, in, words, 5);
  g_assert_cmpint (words[0], ==, 32767);
  g_assert_cmpint (words[1], ==, -32768);
  g_assert_cmpint (words[2], ==, 32767);
  g_assert_cmpint (words[3], ==, -32768);
  g_assert_cmpint (words[4], ==, 16384);
  f.sample = VM_AUDIO_S32;
  vm_audio_from_float (&f, in, longs, 5);
  g_assert_cmpint (longs[0], ==, INT32_MAX);
  g_assert_cmpint (longs[1], ==, INT32_MIN);
  f.sample = VM_AUDIO_U8;
  vm_audio_from_float (&f, in, bytes, 5);
  g_assert_cmpint (bytes[0], ==, 255);
  g_assert_cmpint (bytes[1], ==, 0);
  f.sample = VM_AUDIO_F32;
  vm_audio_to_float (&f, wild, floats, 4); /* no numbers, or no sound */
  for (int i = 0; i < 4; i++)
    g_assert_cmpfloat (floats[i], ==, 0);
}

static void
test_channels (void)
{
  float in[8] = { 1, 0, 0, 0, 0, 0, 0, 0 }, out[8];

  for (unsigned from = 1; from <= 8; from++)
    for (unsigned to = 1; to <= 8; to++)
      {
        vm_audio_remap (in, from, out, to, 1);
        g_assert_cmpfloat (out[0], >, 0); /* what is left or alone stays so */
        if (from > 1 && to > 1)
          g_assert_cmpfloat (out[1], ==, 0);
        if (from == to)
          g_assert_cmpmem (in, from * sizeof *in, out, to * sizeof *out);
      }
  in[0] = 0.25f, in[1] = 0.75f;
  vm_audio_remap (in, 2, out, 1, 1);
  g_assert_cmpfloat (out[0], ==, 0.5f);
  in[0] = in[1] = 0, in[2] = 1; /* the centre is heard from the front */
  vm_audio_remap (in, 6, out, 2, 1);
  g_assert_cmpfloat (out[0], ==, out[1]);
  g_assert_cmpfloat (out[0], >, 0.5f);
}

/* --- pipes -------------------------------------------------------------------------------------------- */

/* What is left of SAMPLES, which begin anywhere, without a sine of HZ: against it, in decibels. */
static double
noise_db (const float *samples, size_t n, double hz, double rate, double *amplitude)
{
  double s = 0, c = 0, rest = 0;

  for (size_t i = 0; i < n; i++)
    {
      s += samples[i] * sin (2 * G_PI * hz * i / rate);
      c += samples[i] * cos (2 * G_PI * hz * i / rate);
    }
  s *= 2.0 / n;
  c *= 2.0 / n;
  *amplitude = sqrt (s * s + c * c);
  for (size_t i = 0; i < n; i++)
    {
      double d = samples[i] - s * sin (2 * G_PI * hz * i / rate) - c * cos (2 * G_PI * hz * i / rate);
      rest += d * d;
    }
  return 10 * log10 (rest / n / (*amplitude * *amplitude / 2) + 1e-20);
}

static void
test_resampling (void)
{
  static const uint32_t rates[][2] = { { 48000, 44100 }, { 44100, 48000 }, { 8000, 48000 }, { 22050, 44100 },
                                       { 96000, 48000 }, { 11025, 44100 }, { 48000, 48000 } };

  for (size_t r = 0; r < G_N_ELEMENTS (rates); r++)
    for (int adjusted = 0; adjusted < 2; adjusted++)
      {
        VmAudioFormat in = format_of (rates[r][0], 1, VM_AUDIO_F32), out = format_of (rates[r][1], 1, VM_AUDIO_F32);
        VmAudioPipe pipe = { 0 };
        double adjust = adjusted ? 1.00037 : 1, amplitude;
        size_t seconds = 3, part = in.rate / 25, wanted = (size_t) (seconds * out.rate * adjust);
        g_autofree float *tone = g_new (float, part);
        vm_audio_pipe_setup (&pipe, &in, &out);
        if (adjusted)
          vm_audio_pipe_adjust (&pipe, adjust);
        size_t total = 0;
        g_autofree float *got = g_new (float, wanted + 4096);
        for (size_t i = 0; i < 25 * seconds; i++)
          {
            for (size_t k = 0; k < part; k++)
              tone[k] = (float) (0.5 * sin (2 * G_PI * HZ * (i * part + k) / in.rate));
            vm_audio_pipe_feed_floats (&pipe, tone, part, NULL);
            memcpy (got + total, vm_audio_pipe_out (&pipe), pipe.filled * sizeof *got);
            total += pipe.filled;
            vm_audio_pipe_taken (&pipe, pipe.filled);
          }
        g_assert_cmpint (llabs ((long long) total - (long long) wanted), <, out.rate / 200);
        double noise = noise_db (got + out.rate / 2, (size_t) out.rate * 2, HZ, out.rate * adjust, &amplitude);
        if (g_test_verbose ())
          g_test_message ("%u -> %u x %g: %.1f dB", in.rate, out.rate, adjust, noise);
        g_assert_cmpfloat (fabs (amplitude - 0.5), <, 0.01);
        g_assert_cmpfloat (noise, <, -55);
        vm_audio_pipe_clear (&pipe);
      }
}

/* --- cards that play ------------------------------------------------------------------------------------ */

typedef struct Player
{
  VmAudioVoice *voice;
  VmAudioFormat format;
  uint64_t frames, calls;
  double hz;        /* 0: counts */
  unsigned stop_at; /* frames */
} Player;

static void
player_fill (Player *p, int16_t *out, size_t frames)
{
  for (size_t i = 0; i < frames; i++, p->frames++)
    for (unsigned c = 0; c < p->format.channels; c++)
      *out++ = p->hz ? (int16_t) lrint (8000 * sin (2 * G_PI * p->hz * p->frames / p->format.rate))
                     : (int16_t) (p->frames * 2 + c);
}

static void
player_func (void *opaque, size_t bytes)
{
  Player *p = opaque;
  size_t frames = bytes / (2 * p->format.channels);
  g_autofree int16_t *out = NULL;

  g_assert_cmpuint (vm_audio_free (p->voice), ==, bytes);
  p->calls++;
  if (p->stop_at)
    frames = MIN (frames, p->stop_at - p->frames);
  out = g_new (int16_t, frames * p->format.channels + 1);
  player_fill (p, out, frames);
  g_assert_cmpuint (vm_audio_write (p->voice, out, frames * 2 * p->format.channels), ==,
                    frames * 2 * p->format.channels);
}

static void
player_open (Bench *b, Player *p, uint32_t rate, double hz)
{
  *p = (Player){ .format = format_of (rate, 2, VM_AUDIO_S16), .hz = hz };
  p->voice = vm_audio_open_out (&b->card, "dac", &p->format, player_func, p);
  vm_audio_set_active (p->voice, true);
}

static void
drop_devices (Bench *b)
{
  VmObject *audio = vm_object_child (bench_env (b)->root, "audiodevs");

  vm_audio_card_detach (&b->card);
  vm_object_remove_child (audio);
}

/* A file exactly as the guest counted. */
static void
test_wav (void)
{
  static const char *const options[]
      = { "wav,id=a,path=%/x.wav,out.frequency=48000", "wav,id=a,path=%/x.wav,out.fixed-settings=off",
          "wav,id=a,path=%/x.wav,out.mixing-engine=off" };
  Bench b;
  Player p;

  for (size_t o = 0; o < G_N_ELEMENTS (options); o++)
    {
      g_autofree char *bytes = NULL, *path = NULL;
      gsize size;
      bench_init (&b, true);
      bench_add (&b, options[o]);
      player_open (&b, &p, 48000, 0);
      bench_advance (&b, 3 * VM_NS_PER_SEC);
      g_assert_cmpuint (p.frames, ==, 3 * 48000);
      vm_audio_close (p.voice);
      path = bench_path (&b, "x.wav");
      drop_devices (&b);
      g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
      g_assert_cmpuint (size, ==, 44 + 4 * p.frames);
      g_assert_cmpmem (bytes, 4, "RIFF", 4);
      g_assert_cmpuint (vm_load_le32 (bytes + 4), ==, size - 8);
      g_assert_cmpuint (vm_load_le32 (bytes + 24), ==, 48000);
      g_assert_cmpuint (vm_load_le32 (bytes + 40), ==, size - 44);
      for (size_t i = 0; i < 2 * p.frames; i++)
        g_assert_cmpuint (vm_load_le16 (bytes + 44 + 2 * i), ==, i & 0xffff);
      g_unlink (path);
      bench_clear (&b);
    }
}

/* One that writes when it likes is as exact where there is no clock to follow. */
static void
test_own_pace (void)
{
  g_autofree char *bytes = NULL, *path = NULL;
  gsize size;
  Bench b;
  Player p = { .format = format_of (48000, 2, VM_AUDIO_S16) };
  size_t first = 0;

  bench_init (&b, true);
  bench_add (&b, "wav,id=a,path=%/x.wav,out.frequency=48000");
  p.voice = vm_audio_open_out (&b.card, "usb", &p.format, NULL, NULL);
  vm_audio_set_active (p.voice, true);
  for (int ms = 0; ms < 3000; ms++)
    {
      int16_t out[2 * 48];
      player_fill (&p, out, 48);
      g_assert_cmpuint (vm_audio_write (p.voice, out, sizeof out), ==, sizeof out);
      bench_advance (&b, VM_NS_PER_MS);
    }
  vm_audio_set_active (p.voice, false); /* the rest is played */
  bench_advance (&b, VM_NS_PER_SEC);
  vm_audio_close (p.voice);
  path = bench_path (&b, "x.wav");
  drop_devices (&b);
  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  while (vm_load_le32 (bytes + 44 + 4 * first) == 0)
    first++;
  g_assert_cmpuint (first, <, 48 * 60); /* it waits for a little reserve */
  g_assert_cmpuint (size, >=, 44 + 4 * (first + p.frames));
  for (size_t i = 0; i < 2 * p.frames; i++)
    g_assert_cmpuint (vm_load_le16 (bytes + 44 + 4 * first + 2 * i), ==, i & 0xffff);
  g_unlink (path);
  bench_clear (&b);
}

/* --- those who listen in ------------------------------------------------------------------------------------ */

typedef struct Ear
{
  GArray *heard; /* float */
  unsigned channels;
  bool playing;
  unsigned changes;
} Ear;

static void
ear_sound (void *opaque, const void *bytes, size_t size)
{
  Ear *ear = opaque;

  g_assert_true (ear->playing);
  for (size_t i = 0; i < size / 4; i += ear->channels)
    g_array_append_val (ear->heard, ((const float *) bytes)[i]);
}

static void
ear_playing (void *opaque, bool playing)
{
  Ear *ear = opaque;

  g_assert_true (ear->playing != playing);
  ear->playing = playing;
  ear->changes++;
}

static const VmAudioListenerOps ear_ops = { .playing = ear_playing, .sound = ear_sound };

static double
amplitude_of (const GArray *heard, double hz, double rate)
{
  double amplitude;

  g_assert_cmpuint (heard->len, >, rate);
  noise_db ((const float *) heard->data + (size_t) rate / 4, (size_t) rate / 2, hz, rate, &amplitude);
  return amplitude;
}

/* Two cards and three voices of different rates; volume; a listener at a rate of its own. */
static void
test_mix (void)
{
  static const char *const drivers[]
      = { "none,id=a", "none,id=a,out.voices=3", "none,id=a,out.mixing-engine=off,out.voices=3" };

  for (size_t d = 0; d < G_N_ELEMENTS (drivers); d++)
    {
      VmAudioFormat format = format_of (32000, 2, VM_AUDIO_F32);
      Ear ear = { .heard = g_array_new (FALSE, FALSE, sizeof (float)), .channels = 2 };
      VmAudioCard other = { .audiodev = (char *) "a" };
      Player p[3];
      Bench b;
      bench_init (&b, true);
      VmAudiodev *dev = bench_add (&b, drivers[d]);
      g_assert_true (vm_audio_card_attach (&other, bench_env (&b), bench_env (&b)->root, "other", NULL));
      VmAudioListener *listener = vm_audio_listen (dev, &format, &ear_ops, &ear);
      g_assert_cmpuint (ear.changes, ==, 0);
      player_open (&b, &p[0], 48000, 440);
      player_open (&b, &p[1], 22050, 1000);
      p[2] = (Player){ .format = format_of (44100, 2, VM_AUDIO_S16), .hz = 3000 };
      p[2].voice = vm_audio_open_out (&other, "dac", &p[2].format, player_func, &p[2]);
      vm_audio_set_active (p[2].voice, true);
      vm_audio_set_volume (p[1].voice, false, 1, (const float[]){ 0.5f });
      bench_advance (&b, 2 * VM_NS_PER_SEC);
      g_assert_true (ear.playing);
      g_assert_cmpint (abs ((int) ear.heard->len - 64000), <, 1000);
      g_assert_cmpfloat (fabs (amplitude_of (ear.heard, 440, 32000) - 8000 / 32768.0), <, 0.01);
      g_assert_cmpfloat (fabs (amplitude_of (ear.heard, 1000, 32000) - 4000 / 32768.0), <, 0.01);
      g_assert_cmpfloat (fabs (amplitude_of (ear.heard, 3000, 32000) - 8000 / 32768.0), <, 0.01);
      g_assert_cmpfloat (amplitude_of (ear.heard, 700, 32000), <, 0.001);
      vm_audio_set_volume (p[0].voice, true, 0, NULL);
      vm_audio_set_active (p[2].voice, false);
      bench_advance (&b, VM_NS_PER_SEC / 10);
      g_array_set_size (ear.heard, 0);
      bench_advance (&b, 2 * VM_NS_PER_SEC);
      g_assert_cmpfloat (amplitude_of (ear.heard, 440, 32000), <, 0.001);
      g_assert_cmpfloat (amplitude_of (ear.heard, 3000, 32000), <, 0.001);
      g_assert_cmpfloat (fabs (amplitude_of (ear.heard, 1000, 32000) - 4000 / 32768.0), <, 0.01);
      for (int i = 0; i < 3; i++)
        vm_audio_close (p[i].voice);
      g_assert_false (ear.playing);
      g_assert_cmpuint (ear.changes, ==, 2);
      vm_audio_unlisten (listener);
      vm_audio_card_detach (&other);
      g_array_unref (ear.heard);
      drop_devices (&b);
      bench_clear (&b);
    }
}

/* Formats that a guest changes while it plays, or that are none. */
static void
test_changes (void)
{
  Bench b;
  Player p;

  bench_init (&b, true);
  bench_add (&b, "none,id=a");
  player_open (&b, &p, 48000, 0);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.frames, ==, 48000);
  p.format = format_of (0, 0, 0);
  vm_audio_set_format (p.voice, &p.format);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.frames, ==, 48000);
  g_assert_cmpuint (vm_audio_write (p.voice, &p, 4), ==, 0);
  p.format = format_of (11025, 1, VM_AUDIO_S16);
  vm_audio_set_format (p.voice, &p.format);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpint (llabs ((int64_t) p.frames - 48000 - 11025), <, 120);
  vm_audio_close (p.voice);
  vm_audio_close (NULL);
  drop_devices (&b);
  bench_clear (&b);
}

static void
closing_func (void *opaque, size_t bytes)
{
  Player *p = opaque;

  if (++p->calls == 3)
    vm_audio_close (p->voice);
}

static void
test_close_within (void)
{
  Bench b;
  Player p = { .format = format_of (48000, 2, VM_AUDIO_S16) };

  bench_init (&b, true);
  VmAudiodev *dev = bench_add (&b, "none,id=a");
  p.voice = vm_audio_open_out (&b.card, "dac", &p.format, closing_func, &p);
  vm_audio_set_active (p.voice, true);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.calls, ==, 3);
  g_assert_cmpuint (dev->voices->len, ==, 0);
  p.calls = 0;
  p.voice = vm_audio_open_in (&b.card, "adc", &p.format, closing_func, &p);
  vm_audio_set_active (p.voice, true);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.calls, ==, 3);
  g_assert_cmpuint (dev->voices->len, ==, 0);
  drop_devices (&b);
  bench_clear (&b);
}

static void
stopping_func (void *opaque, size_t bytes)
{
  Player *p = opaque;

  player_func (p, bytes);
  if (p->calls == 3)
    vm_audio_set_active (p->voice, false);
}

/* What a voice wrote before it stopped itself is heard, mixed or straight. */
static void
test_stop_within (void)
{
  static const uint32_t rates[] = { 48000, 24000 };

  for (size_t r = 0; r < G_N_ELEMENTS (rates); r++)
    {
      g_autofree char *bytes = NULL, *path = NULL;
      gsize size;
      size_t last = 0;
      Bench b;
      Player p = { .format = format_of (rates[r], 2, VM_AUDIO_S16) };
      bench_init (&b, true);
      VmAudiodev *dev = bench_add (&b, "wav,id=a,path=%/x.wav,out.frequency=48000,timer-period=10000");
      p.voice = vm_audio_open_out (&b.card, "dac", &p.format, stopping_func, &p);
      vm_audio_set_active (p.voice, true);
      bench_advance (&b, VM_NS_PER_SEC);
      g_assert_cmpuint (p.calls, ==, 3);
      g_assert_cmpuint (p.frames, ==, rates[r] * 3 / 100);
      g_assert_null (p.voice->stream);
      g_assert_false (dev->playing);
      p.calls = p.frames = 0; /* and again */
      vm_audio_set_active (p.voice, true);
      bench_advance (&b, VM_NS_PER_SEC);
      g_assert_cmpuint (p.calls, ==, 3);
      vm_audio_close (p.voice);
      path = bench_path (&b, "x.wav");
      drop_devices (&b);
      g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
      g_assert_cmpuint (size, >=, 44 + 4 * 1440);
      for (size_t i = 0; i < 1440; i++)
        if (vm_load_le32 (bytes + 44 + 4 * i))
          last = i;
      if (r == 0)
        for (size_t i = 0; i < 2 * 1440; i++)
          g_assert_cmpuint (vm_load_le16 (bytes + 44 + 2 * i), ==, i & 0xffff);
      g_assert_cmpuint (last, >, 1440 - 100); /* a resampler keeps some */
      g_unlink (path);
      bench_clear (&b);
    }
}

/* --- a host whose clock is another ------------------------------------------------------------------------ */

/* It takes (or gives) CHUNK frames whenever its clock says so. Its time is the virtual one, stretched. */
typedef struct Host
{
  VmAudioStream *stream;
  double rate_error; /* a part */
  double due;
  int64_t last;
  size_t chunk;
  GArray *heard; /* int16_t, of the left */
  uint64_t sound, silence, given, starts;
  bool dead;
} Host;

static void
host_start (VmAudioStream *stream)
{
  Host *host = vm_audiodev_opaque (stream->dev);

  host->stream = stream;
  host->starts++;
  host->last = vm_clock_now (stream->dev->audio->env->clocks, VM_CLOCK_VIRTUAL);
}

static void
host_stop (VmAudioStream *stream)
{
  ((Host *) vm_audiodev_opaque (stream->dev))->stream = NULL;
}

static const VmAudioClass host_class = { .name = "spice", .start = host_start, .stop = host_stop };

static void
host_move (Host *host, Bench *b)
{
  int64_t now = vm_clock_now (bench_env (b)->clocks, VM_CLOCK_VIRTUAL);
  g_autofree int16_t *frames = NULL;

  if (!host->stream || host->dead)
    {
      host->last = now;
      return;
    }
  host->due += (double) (now - host->last) * host->stream->format.rate * (1 + host->rate_error) / VM_NS_PER_SEC;
  host->last = now;
  frames = g_new (int16_t, 2 * host->chunk);
  for (; host->due >= host->chunk; host->due -= host->chunk)
    {
      if (host->stream->recording)
        {
          for (size_t i = 0; i < host->chunk; i++, host->given++)
            frames[2 * i] = frames[2 * i + 1]
                = (int16_t) lrint (8000 * sin (2 * G_PI * HZ * host->given / host->stream->format.rate));
          vm_audio_stream_give (host->stream, frames, 4 * host->chunk);
          continue;
        }
      size_t n = vm_audio_stream_take (host->stream, frames, 4 * host->chunk) / 4;
      host->sound += n;
      host->silence += host->chunk - n;
      for (size_t i = 0; i < host->chunk; i++)
        g_array_append_val (host->heard, frames[2 * i]);
    }
  /* It was in the midst of the step. */
  host->stream->ring->moved_ns = now - (int64_t) (host->due * VM_NS_PER_SEC / host->stream->format.rate);
}

/* Minutes pass in a moment. */
static void
host_run (Host *host, Bench *b, double seconds)
{
  for (int i = 0; i < (int) (seconds * 500); i++)
    {
      bench_advance (b, 2 * VM_NS_PER_MS);
      host_move (host, b);
    }
}

static void
check_tone (const Host *host, double from, double seconds, double hz)
{
  size_t n = (size_t) (seconds * 44100), start = (size_t) (from * 44100);
  g_autofree float *floats = g_new (float, n);
  double amplitude, noise;

  g_assert_cmpuint (host->heard->len, >=, start + n);
  for (size_t i = 0; i < n; i++)
    floats[i] = g_array_index (host->heard, int16_t, start + i) / 32768.0f;
  noise = noise_db (floats, n, hz, 44100, &amplitude);
  if (g_test_verbose ())
    g_test_message ("%g Hz: amplitude %.4f, noise %.1f dB", hz, amplitude, noise);
  g_assert_cmpfloat (fabs (amplitude - 8000 / 32768.0), <, 0.005);
  g_assert_cmpfloat (noise, <, -50);
}

/* A minute each: nothing is lost, and what waits in the ring stays the same. */
static void
test_drift (void)
{
  static const double errors[] = { 0, 0.0003, -0.0003 };
  static const struct
  {
    uint32_t rate;
    bool own_pace;
  } kinds[] = { { 44100, false }, { 48000, false }, { 44100, true } };

  for (size_t k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (size_t e = 0; e < G_N_ELEMENTS (errors); e++)
      {
        Host host = { .rate_error = errors[e], .chunk = 441, .heard = g_array_new (FALSE, FALSE, 2) };
        Player p;
        Bench b;
        bench_init (&b, true);
        vm_audio_provide (bench_env (&b), &host_class, &host);
        bench_add (&b, "spice,id=a");
        player_open (&b, &p, kinds[k].rate, HZ);
        p.voice->own_pace = kinds[k].own_pace; /* as with counted time */
        host_run (&host, &b, 20);
        uint64_t before = host.silence, played = p.frames;
        double level = ((VmStream *) p.voice->stream)->average;
        g_array_set_size (host.heard, 0);
        host_run (&host, &b, 60);
        g_assert_cmpuint (host.silence, ==, before);
        g_assert_cmpfloat (fabs (((VmStream *) p.voice->stream)->average - level), <, 100);
        /* The card went as the host's clock did, or as its own. */
        double wanted = 60.0 * kinds[k].rate * (kinds[k].own_pace ? 1 : 1 + errors[e]);
        g_assert_cmpfloat (fabs (p.frames - played - wanted), <, kinds[k].rate / 200.0);
        check_tone (&host, 40, kinds[k].own_pace ? 0.1 : 2, kinds[k].own_pace ? HZ / (1 + errors[e]) : HZ);
        vm_audio_close (p.voice);
        drop_devices (&b);
        g_array_unref (host.heard);
        bench_clear (&b);
      }
}

/* The server dies and comes back, or another provider comes: the card goes on all the time. */
static void
test_host_gone (void)
{
  Host host = { .chunk = 441, .heard = g_array_new (FALSE, FALSE, 2) };
  Player p;
  Bench b;

  bench_init (&b, true);
  bench_add (&b, "spice,id=a");
  player_open (&b, &p, 44100, HZ);
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.frames, ==, 44100); /* nobody is there */
  vm_audio_provide (bench_env (&b), &host_class, &host);
  g_assert_cmpuint (host.starts, ==, 1);
  host_run (&host, &b, 3);
  check_tone (&host, 1, 1, HZ);
  host.dead = true;
  uint64_t before = p.frames;
  host_run (&host, &b, 5);
  g_assert_cmpint (llabs ((int64_t) (p.frames - before) - 5 * 44100), <, 2000);
  host.dead = false;
  g_array_set_size (host.heard, 0);
  host_run (&host, &b, 3);
  check_tone (&host, 1, 1, HZ);
  vm_audio_withdraw (bench_env (&b), &host_class);
  g_assert_null (host.stream);
  before = p.frames;
  bench_advance (&b, VM_NS_PER_SEC);
  g_assert_cmpuint (p.frames - before, >, 44000);
  vm_audio_close (p.voice);
  drop_devices (&b);
  g_array_unref (host.heard);
  bench_clear (&b);
}

/* --- recording ----------------------------------------------------------------------------------------------- */

typedef struct Recorder
{
  VmAudioVoice *voice;
  GArray *heard; /* int16_t */
} Recorder;

static void
recorder_func (void *opaque, size_t bytes)
{
  Recorder *r = opaque;
  g_autofree int16_t *in = g_malloc (bytes);

  g_assert_cmpuint (vm_audio_available (r->voice), ==, bytes);
  g_assert_cmpuint (vm_audio_read (r->voice, in, bytes), ==, bytes);
  g_array_append_vals (r->heard, in, bytes / 2);
}

static void
test_recording (void)
{
  static const double errors[] = { 0, 0.0003, -0.0003 };

  for (size_t e = 0; e < G_N_ELEMENTS (errors); e++)
    {
      Host host = { .rate_error = errors[e], .chunk = 441 };
      Recorder r = { .heard = g_array_new (FALSE, FALSE, 2) };
      VmAudioFormat format = format_of (44100, 1, VM_AUDIO_S16);
      Bench b;
      bench_init (&b, true);
      vm_audio_provide (bench_env (&b), &host_class, &host);
      bench_add (&b, "spice,id=a");
      r.voice = vm_audio_open_in (&b.card, "adc", &format, recorder_func, &r);
      vm_audio_set_active (r.voice, true);
      host_run (&host, &b, 20);
      g_array_set_size (r.heard, 0);
      host_run (&host, &b, 60);
      g_assert_cmpfloat (fabs (r.heard->len - 60 * 44100 * (1 + errors[e])), <, 200);
      Host checked = { .heard = r.heard };
      check_tone (&checked, 40, 2, HZ);
      vm_audio_set_active (r.voice, false);
      vm_audio_close (r.voice);
      drop_devices (&b);
      g_array_unref (r.heard);
      bench_clear (&b);
    }
}

/* Pieces that come together count as one; the largest so far counts at once, and pieces in a row are no endless one. */
static void
test_bursts (void)
{
  Host host = { .chunk = 441 };
  Recorder r = { .heard = g_array_new (FALSE, FALSE, 2) };
  VmAudioFormat format = format_of (44100, 1, VM_AUDIO_S16);
  static const int16_t frames[2 * 441];
  Bench b;

  bench_init (&b, true);
  vm_audio_provide (bench_env (&b), &host_class, &host);
  bench_add (&b, "spice,id=a");
  r.voice = vm_audio_open_in (&b.card, "adc", &format, recorder_func, &r);
  vm_audio_set_active (r.voice, true);
  for (int i = 0; i < 20; i++)
    {
      bench_advance (&b, 10 * VM_NS_PER_MS);
      vm_audio_stream_give (host.stream, frames, 4 * 300);
      vm_audio_stream_give (host.stream, frames, 4 * 141);
      g_assert_cmpuint (host.stream->ring->chunk, ==, 441);
    }
  bench_advance (&b, 10 * VM_NS_PER_MS);
  vm_audio_stream_give (host.stream, frames, 4 * 441);
  vm_audio_stream_give (host.stream, frames, 4 * 441);
  g_assert_cmpuint (host.stream->ring->chunk, ==, 882);
  for (int i = 0; i < 400; i++)
    {
      bench_advance (&b, VM_NS_PER_MS);
      vm_audio_stream_give (host.stream, frames, 4 * 44);
    }
  g_assert_cmpuint (host.stream->ring->chunk, <=, 120);
  vm_audio_close (r.voice);
  drop_devices (&b);
  g_array_unref (r.heard);
  bench_clear (&b);
}

/* Frames that a recording waits between the host and a card. */
static double
waiting (bool even)
{
  Host host = { .chunk = 441 };
  Recorder r = { .heard = g_array_new (FALSE, FALSE, 2) };
  VmAudioFormat format = format_of (44100, 1, VM_AUDIO_S16);
  double frames;
  Bench b;

  bench_init (&b, true);
  vm_audio_provide (bench_env (&b), &host_class, &host);
  bench_add (&b, "spice,id=a,in.buffer-length=100000,timer-period=10000");
  r.voice = vm_audio_open_in (&b.card, "adc", &format, recorder_func, &r);
  vm_audio_set_even (r.voice, even);
  vm_audio_set_active (r.voice, true);
  host_run (&host, &b, 20);
  frames = ((VmStream *) r.voice->stream)->average;
  vm_audio_close (r.voice);
  drop_devices (&b);
  g_array_unref (r.heard);
  bench_clear (&b);
  return frames;
}

/* A card that hands frames on until the next tick has them a tick earlier. */
static void
test_even (void)
{
  g_assert_cmpfloat_with_epsilon (waiting (false) - waiting (true), 441, 20);
}

static int
loudest (const GArray *heard, unsigned seconds)
{
  int most = 0;

  for (guint i = heard->len - seconds * 44100; i < heard->len; i++)
    most = MAX (most, abs (g_array_index (heard, int16_t, i)));
  return most;
}

static void
set_property (VmAudiodev *dev, const char *name, const char *value)
{
  g_autoptr (GError) error = NULL;

  vm_object_set (&dev->parent, name, value, &error);
  g_assert_no_error (error);
}

/* Whoever has the machine silences it, each direction by itself; the card goes on. A class without a choice says so. */
static void
test_mute (void)
{
  Host playing = { .chunk = 441, .heard = g_array_new (FALSE, FALSE, 2) }, recording = { .chunk = 441 };
  Recorder r = { .heard = g_array_new (FALSE, FALSE, 2) };
  VmAudioFormat format = format_of (44100, 1, VM_AUDIO_S16);
  g_autoptr (GError) error = NULL;
  Player p;
  Bench b;

  bench_init (&b, true);
  vm_audio_provide (bench_env (&b), &host_class, &playing);
  VmAudiodev *dev = bench_add (&b, "spice,id=a");
  player_open (&b, &p, 44100, HZ);
  host_run (&playing, &b, 3);
  g_assert_cmpint (loudest (playing.heard, 1), >, 7000);
  set_property (dev, "in-mute", "on");
  host_run (&playing, &b, 3);
  g_assert_cmpint (loudest (playing.heard, 1), >, 7000);
  set_property (dev, "out-mute", "on");
  uint64_t before = p.frames;
  host_run (&playing, &b, 3);
  g_assert_cmpint (loudest (playing.heard, 1), ==, 0);
  g_assert_cmpint (llabs ((int64_t) (p.frames - before) - 3 * 44100), <, 2000);
  vm_audio_close (p.voice);
  g_assert_false (vm_object_set (&dev->parent, "out-device", "x", &error));
  g_assert_cmpstr (error->message, ==, "audiodev 'a': driver 'spice' cannot choose a device");
  drop_devices (&b);
  bench_clear (&b);

  bench_init (&b, true);
  vm_audio_provide (bench_env (&b), &host_class, &recording);
  dev = bench_add (&b, "spice,id=a");
  set_property (dev, "in-mute", "on");
  r.voice = vm_audio_open_in (&b.card, "adc", &format, recorder_func, &r);
  vm_audio_set_active (r.voice, true);
  host_run (&recording, &b, 3);
  g_assert_cmpint (loudest (r.heard, 1), ==, 0);
  set_property (dev, "in-mute", "off");
  host_run (&recording, &b, 3);
  g_assert_cmpint (loudest (r.heard, 1), >, 7000);
  vm_audio_close (r.voice);
  drop_devices (&b);
  g_array_unref (playing.heard);
  g_array_unref (r.heard);
  bench_clear (&b);
}

static bool
host_has (VmAudiodev *dev, const char *names)
{
  GPtrArray *devices = vm_audio_devices_new ();

  for (; *names; names++)
    vm_audio_devices_add (devices, (char[]){ *names, 0 }, NULL);
  return vm_audiodev_found (dev, false, devices);
}

/* The device that the options name goes away, and is told of when it is back; a choice is dropped. */
static void
test_devices (void)
{
  Bench b;

  bench_init (&b, true);
  VmAudiodev *dev = bench_add (&b, "none,id=a");
  g_assert_false (host_has (dev, "x"));
  vm_audiodev_set_device (dev, false, "y");
  g_assert_false (host_has (dev, "xy"));
  g_assert_false (host_has (dev, "x"));
  g_assert_false (host_has (dev, ""));
  g_assert_true (host_has (dev, "xy"));
  g_assert_false (host_has (dev, "xyz"));
  g_free (dev->side[0].hosts.wanted);
  dev->side[0].hosts.wanted = g_strdup ("z");
  g_assert_false (host_has (dev, "y"));
  g_assert_cmpstr (dev->side[0].hosts.wanted, ==, "y");
  g_assert_false (host_has (dev, "x"));
  g_assert_false (vm_audiodev_found (dev, false, NULL)); /* the server has gone, too: then all begins anew */
  g_assert_false (host_has (dev, "xy"));
  drop_devices (&b);
  bench_clear (&b);
}

/* --- what is refused ------------------------------------------------------------------------------------------ */

static void
test_options (void)
{
  Bench b;
  VmAudioCard card = { .audiodev = (char *) "zz" };
  g_autoptr (GError) error = NULL;

  bench_init (&b, true);
  bench_add (&b, "none,id=a");
  bench_refuse (&b, "none,id=a", "Duplicate ID 'a' for audiodev");
  bench_refuse (&b, "none,id=b,out.fixed-settings=off,out.frequency=8000",
                "You can't use frequency, channels or format with fixed-settings=off");
  bench_refuse (&b, "none,id=b,in.mixing-engine=off,in.fixed-settings=on",
                "You can't use fixed-settings without mixeng");
  bench_refuse (&b, "none,id=b,out.channels=9", "out.channels");
  bench_refuse (&b, "none,id=b,in.frequency=1", "in.frequency");
  bench_refuse (&b, "wav,id=b,path=/nowhere/x", "Failed to open wave file `/nowhere/x': No such file or directory");
  bench_refuse (&b, "oss,id=b,dsp-policy=11", "dsp-policy");
  bench_refuse (&b, "oss,id=b,dsp-policy=-2", "dsp-policy");
  bench_refuse (&b, "none,id=b,timer-period=-1", "Parameter 'timer-period' expects uint32_t");
  bench_refuse (&b, "oss,id=b,in.buffer-count=-1", "Parameter 'buffer-count' expects uint32_t");
  bench_refuse (&b, "none,id=b,out.buffer-length=4294967296", "Parameter 'buffer-length' expects uint32_t");
  g_assert_false (vm_audio_card_attach (&card, bench_env (&b), bench_env (&b)->root, "AC97", &error));
  g_assert_cmpstr (error->message, ==, "Property 'AC97.audiodev' can't find value 'zz'");
  vm_audio_card_detach (&card);
  drop_devices (&b);
  bench_clear (&b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/audio/formats", test_formats);
  g_test_add_func ("/audio/clipping", test_clipping);
  g_test_add_func ("/audio/channels", test_channels);
  g_test_add_func ("/audio/resampling", test_resampling);
  g_test_add_func ("/audio/wav", test_wav);
  g_test_add_func ("/audio/own-pace", test_own_pace);
  g_test_add_func ("/audio/mix", test_mix);
  g_test_add_func ("/audio/changes", test_changes);
  g_test_add_func ("/audio/close-within", test_close_within);
  g_test_add_func ("/audio/stop-within", test_stop_within);
  g_test_add_func ("/audio/drift", test_drift);
  g_test_add_func ("/audio/host-gone", test_host_gone);
  g_test_add_func ("/audio/recording", test_recording);
  g_test_add_func ("/audio/bursts", test_bursts);
  g_test_add_func ("/audio/even", test_even);
  g_test_add_func ("/audio/mute", test_mute);
  g_test_add_func ("/audio/devices", test_devices);
  g_test_add_func ("/audio/options", test_options);
  return g_test_run ();
}
