/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What guests can do to voices: any formats, volumes and bytes, at any moment, with a host that comes and goes and
 * somebody who listens in. */
#include "tests/audio/bench.h"
#include "tests/fuzz/fuzz.h"

#define VOICES 4

typedef struct Fuzz
{
  Bench bench;
  Input in;
  VmAudioVoice *voices[VOICES];
  VmAudioStream *streams[8];
  uint8_t bytes[4096];
} Fuzz;

typedef struct Slot
{
  Fuzz *fuzz;
  unsigned n;
} Slot;

static void
host_start (VmAudioStream *stream)
{
  Fuzz *f = vm_audiodev_opaque (stream->dev);

  for (size_t i = 0; i < G_N_ELEMENTS (f->streams); i++)
    if (!f->streams[i])
      {
        f->streams[i] = stream;
        return;
      }
}

static void
host_stop (VmAudioStream *stream)
{
  Fuzz *f = vm_audiodev_opaque (stream->dev);

  for (size_t i = 0; i < G_N_ELEMENTS (f->streams); i++)
    if (f->streams[i] == stream)
      f->streams[i] = NULL;
}

static const VmAudioClass host_class = { .name = "spice", .start = host_start, .stop = host_stop };

static void
heard (void *opaque, const void *bytes, size_t size)
{
}

static const VmAudioListenerOps ear_ops = { .sound = heard };

static VmAudioFormat
any_format (Input *in)
{
  static const uint32_t rates[] = { 0, 1000, 8000, 11025, 44100, 48000, 48001, 192000, 768000, 768001 };
  uint8_t kind = take (in, 1);
  VmAudioFormat format = { .rate = rates[kind % G_N_ELEMENTS (rates)], .channels = take (in, 1) % 10 };

  if (kind & 0x80)
    format.rate = take (in, 3);
  format.sample = take (in, 1) % (VM_AUDIO_SAMPLE_N + 1);
  format.big_endian = kind & 0x40;
  return format;
}

static size_t
some_bytes (Fuzz *f)
{
  return take (&f->in, 2) % (sizeof f->bytes + 1);
}

static void act (Fuzz *f, unsigned n);

static void
called (void *opaque, size_t bytes)
{
  const Slot *slot = opaque;
  Fuzz *f = slot->fuzz;
  VmAudioVoice *voice = f->voices[slot->n];

  if (voice && voice->recording)
    vm_audio_read (voice, f->bytes, some_bytes (f));
  else if (voice)
    vm_audio_write (voice, f->bytes, some_bytes (f));
  if (take (&f->in, 1) > 0xf0)
    act (f, slot->n);
}

static void
act (Fuzz *f, unsigned n)
{
  VmAudioVoice *voice = f->voices[n];
  uint8_t what = take (&f->in, 1);
  VmAudioFormat format;

  if (!voice)
    return;
  switch (what % 6)
    {
    case 0:
      format = any_format (&f->in);
      vm_audio_set_format (voice, &format);
      break;
    case 1:
      vm_audio_set_active (voice, what & 0x80);
      break;
    case 2:
      {
        uint32_t bits[2] = { take (&f->in, 4), take (&f->in, 4) };
        float gain[2];
        memcpy (gain, bits, sizeof gain);
        vm_audio_set_volume (voice, what & 0x80, what >> 3 & 1 ? 2 : 1, gain);
        break;
      }
    case 3:
      vm_audio_close (voice);
      f->voices[n] = NULL;
      break;
    case 4:
      vm_audio_write (voice, f->bytes, some_bytes (f));
      break;
    default:
      vm_audio_read (voice, f->bytes, some_bytes (f));
      break;
    }
  if (f->voices[n])
    vm_audio_latency_ns (voice);
}

static void
open_voice (Fuzz *f, Slot *slot)
{
  uint8_t kind = take (&f->in, 1);
  VmAudioFormat format = any_format (&f->in);

  if (f->voices[slot->n])
    return;
  f->voices[slot->n] = (kind & 1 ? vm_audio_open_in : vm_audio_open_out) (&f->bench.card, "v", &format,
                                                                          kind & 2 ? called : NULL, slot);
  vm_audio_set_active (f->voices[slot->n], kind & 4);
}

static void
host_moves (Fuzz *f)
{
  VmAudioStream *stream = f->streams[take (&f->in, 1) % G_N_ELEMENTS (f->streams)];
  size_t size = take (&f->in, 2) % sizeof f->bytes;

  if (!stream)
    return;
  size -= size % vm_audio_frame_bytes (&stream->format);
  if (stream->recording)
    vm_audio_stream_give (stream, f->bytes, size);
  else
    vm_audio_stream_take (stream, f->bytes, size);
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  static const char *const options[]
      = { "none,id=a", "spice,id=a", "spice,id=a,out.fixed-settings=off,in.fixed-settings=off,out.voices=2",
          "spice,id=a,out.mixing-engine=off,out.voices=3,in.mixing-engine=off",
          "spice,id=a,out.channels=8,out.format=u8,in.format=u32,out.frequency=8000" };
  static const VmAudioFormat ear = { .rate = 22050, .channels = 1, .sample = VM_AUDIO_U16 };
  g_autofree Fuzz *f = g_new0 (Fuzz, 1);
  Slot slots[VOICES];
  unsigned actions = 0;

  f->in = (Input){ data, size };
  for (size_t i = 0; i < sizeof f->bytes; i++)
    f->bytes[i] = i * 77;
  bench_init (&f->bench, true);
  VmAudiodev *dev = bench_add (&f->bench, options[take (&f->in, 1) % G_N_ELEMENTS (options)]);
  VmAudioListener *listener = vm_audio_listen (dev, &ear, &ear_ops, NULL);
  bool provided = false;
  for (unsigned n = 0; n < VOICES; n++)
    slots[n] = (Slot){ f, n };
  while (f->in.left && actions++ < 300)
    {
      uint8_t what = take (&f->in, 1);
      switch (what % 8)
        {
        case 0:
          open_voice (f, &slots[what >> 3 & 3]);
          break;
        case 1:
        case 2:
          bench_advance (&f->bench, (1 + take (&f->in, 1)) * VM_NS_PER_MS);
          break;
        case 3:
        case 4:
          host_moves (f);
          break;
        case 5:
          if (what > 0xe0)
            {
              if (provided)
                vm_audio_withdraw (bench_env (&f->bench), &host_class);
              else
                vm_audio_provide (bench_env (&f->bench), &host_class, f);
              provided = !provided;
            }
          else
            host_moves (f);
          break;
        default:
          act (f, what >> 3 & 3);
          break;
        }
    }
  for (unsigned n = 0; n < VOICES; n++)
    vm_audio_close (f->voices[n]);
  vm_audio_unlisten (listener);
  if (provided)
    vm_audio_withdraw (bench_env (&f->bench), &host_class);
  vm_audio_card_detach (&f->bench.card);
  vm_object_remove_child (&dev->audio->parent);
  bench_clear (&f->bench);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, 600);
  for (guint i = 0; i < input->len; i++)
    input->data[i] = (uint8_t) g_rand_int (rand);
  input->data[0] = (uint8_t) g_rand_int_range (rand, 0, 5);
  input->data[1] = 5 | 0xf8; /* the host comes */
}
