/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A card without a machine, for tests with real sound servers: plays a tone through a back end for some seconds, or
 * records into a file, and says how it went. Lines of its input are properties of the back end: "out-mute=on".
 *
 *   play AUDIODEV SECONDS HZ [RATE]         play AUDIODEV SECONDS FILE.raw [RATE] */
#include "engine/machine/machine.h"
#include "tests/audio/bench.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct Card
{
  VmAudioVoice *voice;
  double hz;
  uint32_t rate;
  uint64_t frames, calls;
  FILE *file;
  double latency;
} Card;

static void
play (void *opaque, size_t bytes)
{
  Card *card = opaque;
  size_t frames = bytes / 4;
  g_autofree int16_t *out = g_malloc (bytes);

  for (size_t i = 0; i < frames; i++, card->frames++)
    out[2 * i] = out[2 * i + 1] = (int16_t) lrint (8000 * sin (2 * G_PI * card->hz * card->frames / card->rate));
  vm_audio_write (card->voice, out, bytes);
  card->latency += vm_audio_latency_ns (card->voice) / 1e6;
  card->calls++;
}

static void
record (void *opaque, size_t bytes)
{
  Card *card = opaque;
  g_autofree int16_t *in = g_malloc (bytes);

  card->latency += vm_audio_latency_ns (card->voice) / 1e6;
  card->calls++;
  vm_audio_read (card->voice, in, bytes);
  fwrite (in, 1, bytes, card->file);
  card->frames += bytes / 4;
}

/* What has been said meanwhile. */
static void
obey (VmAudiodev *dev)
{
  struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
  char line[200];

  while (poll (&in, 1, 0) > 0 && fgets (line, sizeof line, stdin))
    {
      g_auto (GStrv) words = g_strsplit (g_strchomp (line), "=", 2);
      g_autoptr (GError) error = NULL;
      bool ok = vm_object_set (&dev->parent, words[0], words[1] ? words[1] : "", &error);
      g_autofree char *all = vm_object_get (&dev->parent, "out-devices", NULL);
      printf ("set %s: %s; %s\n", words[0], ok ? "done" : error->message, all);
    }
}

int
main (int argc, char **argv)
{
  Card card = { .rate = argc > 4 ? (uint32_t) atoi (argv[4]) : 48000 };
  VmAudioFormat format = { .rate = card.rate, .channels = 2, .sample = VM_AUDIO_S16 };
  struct rusage usage;
  double seconds;
  Bench b;

  if (argc < 4)
    return 2;
  setvbuf (stdin, NULL, _IONBF, 0);
  seconds = atof (argv[2]);
  card.hz = atof (argv[3]);
  bench_init (&b, false);
  VmAudiodev *dev = bench_add (&b, argv[1]);
  if (card.hz > 0)
    card.voice = vm_audio_open_out (&b.card, "play", &format, play, &card);
  else
    {
      card.file = fopen (argv[3], "wb");
      card.voice = vm_audio_open_in (&b.card, "record", &format, record, &card);
    }
  vm_audio_set_active (card.voice, true);
  for (double t = 0; t < seconds; t++)
    {
      VmStream *stream = card.voice->stream;
      bench_run (&b, VM_NS_PER_SEC);
      printf ("frames %" PRIu64 " at %.4f s underruns %" PRIu64 " missing %" PRIu64
              " level %.2f ms pull %.1f ppm latency %.1f ms rate %u chunk %zu\n",
              card.frames, g_get_monotonic_time () / 1e6, stream->underruns, stream->host.ring->missing,
              stream->average * 1e3 / stream->host.format.rate, stream->pull * 1e6, card.latency / MAX (card.calls, 1),
              stream->host.format.rate, stream->host.ring->chunk);
      obey (dev);
      fflush (stdout);
      card.latency = card.calls = 0;
    }
  getrusage (RUSAGE_SELF, &usage);
  printf ("cpu %.3f s\n",
          usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
  vm_audio_close (card.voice);
  vm_audio_card_detach (&b.card);
  vm_object_remove_child (&dev->audio->parent);
  bench_clear (&b);
  if (card.file)
    fclose (card.file);
  return 0;
}
