/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound cards on ISA as their programmers' guides describe them, with the DMA controllers of a PC. */
#include "devices/audio/compress.h"
#include "devices/audio/gus.h"
#include "devices/audio/opl2.h"
#include "devices/audio/pcspk.h"
#include "devices/timer/i8257.h"
#include "engine/state/state.h"
#include "tests/devices/audio-double.h"
#include "tests/devices/isa-rig.h"

#include <math.h>

extern const VmType vm_sb16_type, vm_adlib_type, vm_cs4231a_type, vm_gus_type;

#define BUFFER 0x20000u

typedef struct Bench
{
  IsaRig isa;
  VmDevice *card;
} Bench;

#define IN(port) rig_inb (&b->isa.rig, (port))
#define OUT(port, value) rig_outb (&b->isa.rig, (port), (uint8_t) (value))

static void
bench_init (Bench *b, const VmType *type)
{
  memset (b, 0, sizeof *b);
  isa_rig_init (&b->isa, 4 * VM_MIB);
  for (int i = 0; i < 2; i++)
    {
      VmI8257 *dma = (VmI8257 *) vm_device_new (&vm_i8257_type);

      dma->base = i ? 0xc0 : 0;
      dma->page_base = i ? 0x88 : 0x80;
      dma->pageh_base = -1;
      dma->dshift = i;
      rig_add (&b->isa.rig, dma, &b->isa.bus->parent);
    }
  b->card = vm_device_new (type);
  rig_add (&b->isa.rig, b->card, &b->isa.bus->parent);
}

/* Channel of bytes or of words: LEN bytes at ADDR. */
static void
program_dma (Bench *b, unsigned channel, uint32_t addr, uint32_t len, bool to_memory)
{
  static const uint8_t pages[8] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
  bool wide = channel >= 4;
  unsigned n = channel & 3, base = wide ? 0xc0 : 0, step = wide ? 2 : 1;
  uint32_t at = wide ? addr >> 1 : addr, count = (wide ? len / 2 : len) - 1;

  OUT (base + 10 * step, 4 | n);
  OUT (base + 12 * step, 0);
  OUT (base + 11 * step, 0x50 | (to_memory ? 4 : 8) | n); /* single transfers, again and again */
  OUT (base + 2 * n * step, at);
  OUT (base + 2 * n * step, at >> 8);
  OUT (base + (2 * n + 1) * step, count);
  OUT (base + (2 * n + 1) * step, count >> 8);
  OUT (pages[channel], addr >> 16);
  OUT (base + 10 * step, n);
}

static void
put_bytes (Bench *b, uint32_t addr, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    rig_store (&b->isa.rig, addr + i, (uint8_t) (i * 5 + 1), 1);
}

static void
check_bytes (const VmAudioVoice *voice, unsigned n, unsigned modulo)
{
  g_assert_cmpuint (voice->bytes->len, ==, n);
  for (unsigned i = 0; i < n; i++)
    g_assert_cmphex (voice->bytes->data[i], ==, (uint8_t) (i % modulo * 5 + 1));
}

/* What VOICE plays in 39 frames, or makes the guest have at BUFFER. */
static GByteArray *
go_on (Bench *b, VmAudioVoice *voice)
{
  GByteArray *got = g_byte_array_new ();

  g_byte_array_set_size (voice->bytes, 0);
  for (unsigned i = 0; voice->input && i < 256; i++)
    {
      rig_store (&b->isa.rig, BUFFER + i, 0, 1);
      g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) (i * 37) }, 1);
    }
  for (unsigned i = 0; i < 13; i++)
    audio_double_tick (voice, 3);
  if (!voice->input)
    g_byte_array_append (got, voice->bytes->data, voice->bytes->len);
  for (unsigned i = 0; voice->input && i < 256; i++)
    g_byte_array_append (got, (const uint8_t[]){ (uint8_t) rig_load (&b->isa.rig, BUFFER + i, 1) }, 1);
  return got;
}

/* Saved here, and loaded after it has gone on: it goes on from here once more. */
static void
check_state (Bench *b, VmAudioVoice *voice)
{
  g_autoptr (GByteArray) saved = g_byte_array_new (), first = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  VmStateWriter writer = { vm_state_write_array, saved };

  g_assert_true (vm_state_write_header (&writer, &error) && vm_state_write_objects (&writer, &b->isa.rig.env, &error)
                 && vm_state_write_end (&writer, &error));
  VmStateCursor cursor = { saved->data, saved->len };
  first = go_on (b, voice);
  vm_device_reset (b->card, VM_RESET_COLD);
  vm_state_load (vm_state_read_cursor, &cursor, &b->isa.rig.env, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (voice->active);
  again = go_on (b, voice);
  g_assert_cmpuint (first->len, >, 0);
  g_assert_cmpmem (first->data, first->len, again->data, again->len);
}

/* --- Sound Blaster 16 ------------------------------------------------------------------------- */

static void
dsp (Bench *b, unsigned n, const uint8_t *bytes)
{
  for (unsigned i = 0; i < n; i++)
    {
      g_assert_cmphex (IN (0x22c) & 0x80, ==, 0);
      OUT (0x22c, bytes[i]);
    }
}
#define DSP(...) dsp (b, sizeof ((uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

static void
sb16_init (Bench *b)
{
  bench_init (b, &vm_sb16_type);
  OUT (0x226, 1);
  OUT (0x226, 0);
  g_assert_cmphex (IN (0x22e) & 0x80, ==, 0x80);
  g_assert_cmphex (IN (0x22a), ==, 0xaa);
  g_assert_cmphex (IN (0x22e) & 0x80, ==, 0);
}

static void
test_sb16_dsp (void)
{
  Bench bench, *b = &bench;

  sb16_init (b);
  DSP (0xe1);
  g_assert_cmphex (IN (0x22a), ==, 4);
  g_assert_cmphex (IN (0x22a), ==, 5);
  DSP (0xe0, 0x5a);
  g_assert_cmphex (IN (0x22a), ==, 0xa5);
  DSP (0xe4, 0x77, 0xe8);
  g_assert_cmphex (IN (0x22a), ==, 0x77);
  DSP (0xd1, 0xd8);
  g_assert_cmphex (IN (0x22a), ==, 0xff);
  OUT (0x224, 0x80);
  g_assert_cmphex (IN (0x225), ==, 0xf2); /* line 5 */
  OUT (0x224, 0x81);
  g_assert_cmphex (IN (0x225), ==, 0x22); /* channels 1 and 5 */
  DSP (0xf2);
  g_assert_true (b->isa.line[5].level);
  OUT (0x224, 0x82);
  g_assert_cmphex (IN (0x225) & 3, ==, 1);
  IN (0x22e);
  g_assert_false (b->isa.line[5].level);
  OUT (0x224, 0x80); /* another line */
  OUT (0x225, 4);
  DSP (0xf3);
  g_assert_false (b->isa.line[5].level);
  g_assert_true (b->isa.line[7].level);
  IN (0x22f);
  g_assert_false (b->isa.line[7].level);
  OUT (0x224, 0x22); /* a volume of old cards is the upper bits of a new one */
  OUT (0x225, 0x84);
  OUT (0x224, 0x30);
  g_assert_cmphex (IN (0x225) & 0xf0, ==, 0x80);
  isa_rig_clear (&b->isa);
}

static void
test_sb16_bytes (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  sb16_init (b);
  voice = audio_double_find ("dac8");
  put_bytes (b, BUFFER, 1000);
  program_dma (b, 1, BUFFER, 1000, false);
  DSP (0x40, 256 - 1000000 / 20000);
  DSP (0x14, 999 & 255, 999 >> 8); /* once */
  g_assert_true (voice->active);
  g_assert_cmpuint (voice->format.rate, ==, 20000);
  g_assert_cmpuint (voice->format.sample, ==, VM_AUDIO_U8);
  audio_double_tick (voice, 600);
  g_assert_false (b->isa.line[5].level);
  audio_double_tick (voice, 600);
  g_assert_true (b->isa.line[5].level);
  audio_double_tick (voice, 600);
  g_assert_false (voice->active);
  check_bytes (voice, 1000, 1000);
  IN (0x22e);
  g_byte_array_set_size (voice->bytes, 0);
  /* Blocks of 250 until told otherwise. */
  program_dma (b, 1, BUFFER, 1000, false);
  DSP (0x48, 249, 0, 0x1c);
  audio_double_tick (voice, 200);
  g_assert_false (b->isa.line[5].level);
  audio_double_tick (voice, 100);
  g_assert_true (b->isa.line[5].level);
  IN (0x22e);
  DSP (0xd0);
  audio_double_tick (voice, 100);
  DSP (0xd4);
  audio_double_tick (voice, 1000);
  check_bytes (voice, 1300, 1000);
  DSP (0xda);
  audio_double_tick (voice, 1000);
  audio_double_tick (voice, 1000);
  g_assert_false (voice->active);
  check_bytes (voice, 1500, 1000);
  isa_rig_clear (&b->isa);
}

static void
test_sb16_words (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  sb16_init (b);
  voice = audio_double_find ("dac16");
  put_bytes (b, BUFFER, 4096);
  program_dma (b, 5, BUFFER, 4096, false);
  DSP (0x41, 44100 >> 8, 44100 & 255);
  DSP (0xb6, 0x30, 0xff, 0x03); /* 1024 samples, signed stereo, again and again */
  g_assert_cmpuint (voice->format.rate, ==, 44100);
  g_assert_cmpuint (voice->format.channels, ==, 2);
  g_assert_cmpuint (voice->format.sample, ==, VM_AUDIO_S16);
  audio_double_tick (voice, 500);
  g_assert_false (b->isa.line[5].level);
  audio_double_tick (voice, 100);
  g_assert_true (b->isa.line[5].level);
  OUT (0x224, 0x82);
  g_assert_cmphex (IN (0x225) & 3, ==, 2);
  audio_double_tick (voice, 1000);
  check_bytes (voice, 6400, 4096);
  isa_rig_clear (&b->isa);
}

static void
test_sb16_record (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  sb16_init (b);
  voice = audio_double_find ("adc8");
  program_dma (b, 1, BUFFER, 512, true);
  DSP (0x42, 11025 >> 8, 11025 & 255);
  DSP (0xc8, 0x00, 0xff, 0x01);
  g_assert_true (voice->active);
  for (unsigned i = 0; i < 600; i++)
    g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) (i * 3) }, 1);
  audio_double_tick (voice, 600);
  g_assert_true (b->isa.line[5].level);
  for (unsigned i = 0; i < 512; i++)
    g_assert_cmphex (rig_load (&b->isa.rig, BUFFER + i, 1), ==, (uint8_t) (i * 3));
  g_assert_false (voice->active);
  isa_rig_clear (&b->isa);
}

/* Sample by sample: what is heard is as long as it was held. */
static void
test_sb16_direct (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  sb16_init (b);
  voice = audio_double_find ("direct");
  for (unsigned i = 0; i < 10; i++)
    {
      DSP (0x10, i & 1 ? 0xff : 0x01);
      rig_advance (&b->isa.rig, VM_NS_PER_MS);
    }
  g_assert_true (voice->active);
  audio_double_tick (voice, 441);
  for (unsigned ms = 0; ms < 10; ms++)
    g_assert_cmpint (audio_double_sample (voice, (ms * 441 + 220) / 10), ==, ms & 1 ? 32511 : -32511);
  isa_rig_clear (&b->isa);
}

/* Three formats: what is in the voice is what the bytes say, whatever the voice asks for at a time. */
static void
test_sb16_packed (void)
{
  static const struct
  {
    uint8_t command, codes[8];
    unsigned n_codes, n;
    uint8_t samples[12];
  } formats[] = {
    /* A reference; steps that grow; down again; the limits. */
    { 0x75, { 0x80, 0x71, 0x10, 0x0f, 0xf7 }, 5, 8, { 135, 137, 139, 139, 139, 132, 118, 146 } },
    { 0x77, { 0x10, 0x3d, 0x7f }, 3, 6, { 17, 14, 16, 28, 4, 0 } },
    { 0x17, { 0x40, 0x5b, 0xf0 }, 3, 8, { 68, 76, 76, 68, 52, 20, 20, 20 } },
  };

  for (size_t f = 0; f < G_N_ELEMENTS (formats); f++)
    for (unsigned step = 1; step < 12; step += 3)
      {
        Bench bench, *b = &bench;
        VmAudioVoice *voice;
        sb16_init (b);
        voice = audio_double_find ("dac8");
        for (unsigned i = 0; i < formats[f].n_codes; i++)
          rig_store (&b->isa.rig, BUFFER + i, formats[f].codes[i], 1);
        program_dma (b, 1, BUFFER, formats[f].n_codes, false);
        DSP (0x40, 256 - 1000000 / 11111, formats[f].command, (uint8_t) (formats[f].n_codes - 1), 0);
        g_assert_cmpuint (voice->format.rate, ==, 11111);
        g_assert_cmpuint (voice->format.channels, ==, 1);
        for (unsigned i = 0; i < 12; i += step)
          audio_double_tick (voice, step);
        g_assert_true (b->isa.line[5].level);
        g_assert_cmpmem (voice->bytes->data, voice->bytes->len, formats[f].samples, formats[f].n);
        /* Without a reference it goes on from there. */
        IN (0x22e);
        rig_store (&b->isa.rig, BUFFER, 0, 1);
        program_dma (b, 1, BUFFER, 1, false);
        DSP ((uint8_t) (formats[f].command - 1), 0, 0);
        audio_double_tick (voice, 12);
        g_assert_cmphex (voice->bytes->data[formats[f].n], ==, formats[f].samples[formats[f].n - 1]);
        isa_rig_clear (&b->isa);
      }
}

static void
test_codes (void)
{
  VmImaAdpcm in = { 0 }, out = { 0 };
  double error = 0;

  for (unsigned code = 0; code < 256; code++)
    { /* as near as the code allows; two codes are zero */
      if (code != 0x7f)
        g_assert_cmphex (vm_ulaw_encode (vm_ulaw_decode ((uint8_t) code)), ==, code);
      g_assert_cmphex (vm_alaw_encode (vm_alaw_decode ((uint8_t) code)), ==, code);
    }
  g_assert_cmpint (vm_ulaw_decode (vm_ulaw_encode (INT16_MIN)), ==, -32124);
  g_assert_cmpint (vm_alaw_decode (vm_alaw_encode (INT16_MIN)), ==, -32256);
  g_assert_cmpint (vm_alaw_decode (vm_alaw_encode (INT16_MAX)), ==, 32256);
  for (int i = -32768; i < 32768; i += 7)
    {
      g_assert_cmpint (ABS (vm_ulaw_decode (vm_ulaw_encode ((int16_t) i)) - i), <=, MAX (ABS (i) / 16, 650));
      g_assert_cmpint (ABS (vm_alaw_decode (vm_alaw_encode ((int16_t) i)) - i), <=, MAX (ABS (i) / 16, 8));
    }
  for (unsigned i = 0; i < 8000; i++)
    {
      int16_t sample = (int16_t) lrint (12000 * sin (2 * G_PI * 440 * i / 44100)), got;
      got = vm_ima_decode (&out, vm_ima_encode (&in, sample));
      g_assert_cmpint (got, ==, in.sample);
      if (i > 100)
        error += (double) (got - sample) * (got - sample) / 7899;
    }
  g_assert_cmpfloat (sqrt (error), <, 12000 * 0.02);
}

/* --- AdLib ------------------------------------------------------------------------------------ */

static void
opl (Bench *b, uint8_t reg, uint8_t value)
{
  OUT (0x388, reg);
  OUT (0x389, value);
}

/* How often a wave goes up through zero. */
static unsigned
rises (const VmAudioVoice *voice, size_t first, size_t n)
{
  unsigned count = 0;

  for (size_t i = first + 1; i < first + n; i++)
    count += audio_double_sample (voice, i - 1) < 0 && audio_double_sample (voice, i) >= 0;
  return count;
}

static int
peak (const VmAudioVoice *voice, size_t first, size_t n)
{
  int most = 0;

  for (size_t i = first; i < first + n; i++)
    most = MAX (most, ABS (audio_double_sample (voice, i)));
  return most;
}

static void
test_adlib_timers (void)
{
  Bench bench, *b = &bench;

  bench_init (b, &vm_adlib_type);
  opl (b, 4, 0x60);
  opl (b, 4, 0x80);
  g_assert_cmphex (IN (0x388) & 0xe0, ==, 0);
  opl (b, 2, 0xff);
  opl (b, 4, 0x21);
  rig_advance (&b->isa.rig, 79 * VM_NS_PER_US);
  g_assert_cmphex (IN (0x388) & 0xe0, ==, 0);
  rig_advance (&b->isa.rig, VM_NS_PER_US);
  g_assert_cmphex (IN (0x228), ==, 0xc6);
  opl (b, 4, 0x80);
  g_assert_cmphex (IN (0x388) & 0xe0, ==, 0);
  isa_rig_clear (&b->isa);
}

static void
test_adlib_tone (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  bench_init (b, &vm_adlib_type);
  voice = audio_double_find ("fm");
  /* A pure tone: the modulator silent, the carrier loud, held while the key is down. */
  opl (b, 0x20, 0x21);
  opl (b, 0x23, 0x21);
  opl (b, 0x40, 0x3f);
  opl (b, 0x43, 0x00);
  opl (b, 0x60, 0xf0);
  opl (b, 0x63, 0xf0);
  opl (b, 0x83, 0x0f);
  opl (b, 0xa0, 0x44); /* 580, block 4: 440 Hz */
  opl (b, 0xb0, 0x32);
  g_assert_true (voice->active);
  for (unsigned i = 0; i < 100; i++)
    {
      rig_advance (&b->isa.rig, 10 * VM_NS_PER_MS);
      audio_double_tick (voice, 441);
    }
  g_assert_cmpuint (voice->bytes->len, ==, 2 * 44100);
  g_assert_cmpint (rises (voice, 0, 44100), >=, 439);
  g_assert_cmpint (rises (voice, 0, 44100), <=, 441);
  g_assert_cmpint (peak (voice, 0, 44100), >, 4000);
  opl (b, 0x43, 16); /* 12 dB less */
  audio_double_tick (voice, 4410);
  g_assert_cmpint (peak (voice, 44100, 4000), <, 1100);
  g_assert_cmpint (peak (voice, 44100, 4000), >, 950);
  opl (b, 0xb0, 0x12); /* the key is up */
  for (unsigned i = 0; i < 10; i++)
    audio_double_tick (voice, 4410);
  g_assert_false (voice->active);
  isa_rig_clear (&b->isa);
}

/* A modulator as fast as its carrier makes overtones; feedback and drums stay in bounds. */
static void
test_adlib_voices (void)
{
  g_autofree Opl2 *chip = g_new0 (Opl2, 1);
  int16_t samples[4410];
  int64_t power = 0;

  opl2_init (chip, 44100);
  opl2_reset (chip);
  opl2_render (chip, samples, 100);
  for (unsigned i = 0; i < 100; i++)
    g_assert_cmpint (samples[i], ==, 0);
  for (unsigned op = 0; op < 0x16; op++)
    {
      opl2_write (chip, (uint8_t) (0x20 + op), 0xe1);
      opl2_write (chip, (uint8_t) (0x60 + op), 0xf4);
      opl2_write (chip, (uint8_t) (0x80 + op), 0x24);
      opl2_write (chip, (uint8_t) (0xe0 + op), (uint8_t) (op & 3));
    }
  opl2_write (chip, 1, 0x20);
  for (unsigned channel = 0; channel < 9; channel++)
    {
      opl2_write (chip, (uint8_t) (0xc0 + channel), 0x0e);
      opl2_write (chip, (uint8_t) (0xa0 + channel), 0x80);
      opl2_write (chip, (uint8_t) (0xb0 + channel), 0x31);
    }
  opl2_write (chip, 0xbd, 0xff);
  opl2_render (chip, samples, 4410);
  for (unsigned i = 0; i < 4410; i++)
    power += samples[i] * samples[i];
  g_assert_cmpint (power / 4410, >, 100000);
  g_assert_false (opl2_is_silent (chip));
  for (unsigned channel = 0; channel < 9; channel++)
    opl2_write (chip, (uint8_t) (0xb0 + channel), 0x11);
  opl2_write (chip, 0xbd, 0);
  for (unsigned i = 0; i < 400 && !opl2_is_silent (chip); i++)
    opl2_render (chip, samples, 4410);
  g_assert_true (opl2_is_silent (chip));
}

/* --- CS4231A ---------------------------------------------------------------------------------- */

static void
cs (Bench *b, uint8_t reg, uint8_t value)
{
  OUT (0x534, reg);
  OUT (0x535, value);
}

/* Eight samples in a word of four bytes, or of each side four; and back again. */
static void
test_cs4231a_adpcm (Bench *b)
{
  VmAudioVoice *dac = audio_double_find ("dac"), *adc = audio_double_find ("adc");

  for (unsigned channels = 1; channels <= 2; channels++)
    {
      VmImaAdpcm state[2] = { 0 };
      unsigned n = 0;
      cs (b, 0x40 | 12, 0x40);
      cs (b, 0x40 | 8, channels == 2 ? 0xb1 : 0xa1);
      cs (b, 15, 63);
      cs (b, 14, 0); /* 64 words */
      for (unsigned i = 0; i < 256; i++)
        rig_store (&b->isa.rig, BUFFER + i, i * 7, 1);
      program_dma (b, 3, BUFFER, 256, false);
      g_byte_array_set_size (dac->bytes, 0);
      OUT (0x536, 0);
      cs (b, 9, 0x05);
      g_assert_cmpuint (dac->format.channels, ==, channels);
      for (unsigned step = 1; n < 500 / channels; n += step, step = step % 5 + 1)
        {
          g_assert_false (b->isa.line[9].level);
          audio_double_tick (dac, step);
        }
      audio_double_tick (dac, 512 / channels - n);
      g_assert_true (b->isa.line[9].level);
      cs (b, 9, 0x04);
      g_assert_cmpuint (dac->bytes->len, ==, 1024);
      for (unsigned i = 0; i < 512; i++)
        g_assert_cmpint (
            audio_double_sample (dac, i), ==,
            vm_ima_decode (&state[channels == 2 ? i & 1 : 0], (uint8_t) (i / 2 * 7) >> (i & 1 ? 4 : 0) & 15));
      /* What is recorded is what was played, but for what the code itself loses. */
      cs (b, 28, channels == 2 ? 0xb0 : 0xa0);
      cs (b, 31, 63);
      cs (b, 30, 0);
      program_dma (b, 3, BUFFER + 0x1000, 256, true);
      g_byte_array_set_size (adc->bytes, 0);
      g_byte_array_append (adc->bytes, dac->bytes->data, 1024);
      memset (state, 0, sizeof state);
      OUT (0x536, 0);
      cs (b, 9, 0x02);
      g_assert_true (adc->active);
      for (n = 0; n + 7 < 512 / channels; n += 7)
        audio_double_tick (adc, 7);
      audio_double_tick (adc, 512 / channels - n);
      g_assert_true (b->isa.line[9].level);
      cs (b, 9, 0);
      for (unsigned i = 0; i < 512; i++)
        g_assert_cmphex (rig_load (&b->isa.rig, BUFFER + 0x1000 + i / 2, 1) >> (i & 1 ? 4 : 0) & 15, ==,
                         vm_ima_encode (&state[channels == 2 ? i & 1 : 0], audio_double_sample (dac, i)));
    }
}

static void
test_cs4231a (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;

  bench_init (b, &vm_cs4231a_type);
  voice = audio_double_find ("dac");
  OUT (0x534, 12);
  g_assert_cmphex (IN (0x535), ==, 0x8a);
  put_bytes (b, BUFFER, 4096);
  program_dma (b, 3, BUFFER, 4096, false);
  cs (b, 0x40 | 8, 0x5b); /* 16 bits, stereo, 44.1 kHz */
  cs (b, 0x40 | 9, 0x04);
  cs (b, 10, 2);
  cs (b, 6, 0);
  cs (b, 7, 4);
  g_assert_cmpfloat (voice->gain[0], ==, 1);
  g_assert_cmpfloat_with_epsilon (voice->gain[1], 0.501187, 1e-5);
  cs (b, 15, 255);
  cs (b, 14, 1); /* 512 frames */
  cs (b, 9, 0x05);
  g_assert_true (voice->active);
  g_assert_cmpuint (voice->format.rate, ==, 44100);
  g_assert_cmpuint (voice->format.channels, ==, 2);
  audio_double_tick (voice, 500);
  g_assert_false (b->isa.line[9].level);
  audio_double_tick (voice, 100);
  g_assert_true (b->isa.line[9].level);
  g_assert_cmphex (IN (0x536) & 1, ==, 1);
  OUT (0x536, 0);
  g_assert_false (b->isa.line[9].level);
  audio_double_tick (voice, 1000);
  check_bytes (voice, 6400, 4096);
  cs (b, 9, 0x04);
  g_assert_false (voice->active);
  /* Compressed samples. */
  g_byte_array_set_size (voice->bytes, 0);
  cs (b, 0x40 | 8, 0x20);
  program_dma (b, 3, BUFFER, 256, false);
  for (unsigned i = 0; i < 256; i++)
    rig_store (&b->isa.rig, BUFFER + i, i, 1);
  cs (b, 9, 0x05);
  audio_double_tick (voice, 256);
  g_assert_cmpint (audio_double_sample (voice, 0), ==, -32124);
  g_assert_cmpint (audio_double_sample (voice, 0x80), ==, 32124);
  g_assert_cmpint (audio_double_sample (voice, 0xff), ==, 0);
  cs (b, 9, 0x04);
  test_cs4231a_adpcm (b);
  /* The timer. */
  cs (b, 0x40 | 12, 0x40);
  cs (b, 20, 100);
  cs (b, 21, 0);
  cs (b, 16, 0x40);
  OUT (0x536, 0);
  rig_advance (&b->isa.rig, 990 * VM_NS_PER_US);
  g_assert_false (b->isa.line[9].level);
  rig_advance (&b->isa.rig, 10 * VM_NS_PER_US);
  g_assert_true (b->isa.line[9].level);
  OUT (0x534, 24);
  g_assert_cmphex (IN (0x535), ==, 0x40);
  isa_rig_clear (&b->isa);
}

/* --- Gravis UltraSound ------------------------------------------------------------------------ */

static void
gus8 (Bench *b, uint8_t reg, uint8_t value)
{
  OUT (0x343, reg);
  OUT (0x345, value);
}

static void
gus16 (Bench *b, uint8_t reg, uint16_t value)
{
  OUT (0x343, reg);
  rig_out (&b->isa.rig, 0x344, value, 2);
}

static uint8_t
gus_read (Bench *b, uint8_t reg)
{
  OUT (0x343, reg);
  return IN (0x345);
}

static void
gus_start (Bench *b)
{
  bench_init (b, &vm_gus_type);
  gus8 (b, 0x4c, 0);
  gus8 (b, 0x4c, 7);
  OUT (0x240, 8); /* the output is not switched off */
}

static void
test_gus_memory (void)
{
  Bench bench, *b = &bench;

  gus_start (b);
  for (unsigned i = 0; i < 2; i++)
    {
      gus16 (b, 0x43, 0x1234);
      gus8 (b, 0x44, (uint8_t) i);
      OUT (0x347, 0x55 + i);
    }
  gus8 (b, 0x44, 0);
  g_assert_cmphex (IN (0x347), ==, 0x55);
  put_bytes (b, BUFFER, 1000);
  program_dma (b, 3, BUFFER, 1000, false);
  gus16 (b, 0x42, 0x100);
  gus8 (b, 0x41, 0x21 | 0x80); /* with the sign turned */
  g_assert_true (b->isa.line[7].level);
  g_assert_cmphex (IN (0x246), ==, 0x80);
  g_assert_cmphex (gus_read (b, 0x41) & 0x40, ==, 0x40);
  g_assert_false (b->isa.line[7].level);
  for (unsigned i = 0; i < 1000; i += 37)
    {
      gus16 (b, 0x43, (uint16_t) (0x1000 + i));
      g_assert_cmphex (IN (0x347), ==, (uint8_t) (i * 5 + 1) ^ 0x80);
    }
  OUT (0x248, 4);
  gus8 (b, 0x46, 0xff);
  gus8 (b, 0x45, 4);
  OUT (0x249, 1);
  rig_advance (&b->isa.rig, 81 * VM_NS_PER_US);
  g_assert_cmphex (IN (0x246), ==, 4);
  g_assert_true (b->isa.line[7].level);
  gus8 (b, 0x45, 0);
  g_assert_false (b->isa.line[7].level);
  isa_rig_clear (&b->isa);
}

/* A square wave of 100 bytes goes round at the pace of the card: 441 Hz. Then its end interrupts. */
static void
test_gus_voice (void)
{
  Bench bench, *b = &bench;
  VmAudioVoice *voice;
  unsigned count = 0;

  gus_start (b);
  voice = audio_double_find ("gf1");
  for (unsigned i = 0; i < 101; i++)
    {
      gus16 (b, 0x43, (uint16_t) (0x200 + i));
      OUT (0x347, i % 100 < 50 ? 127 : -128);
    }
  OUT (0x342, 3);
  gus8 (b, 0x0e, 0xc0 | 13);
  g_assert_cmphex (gus_read (b, 0x8e), ==, 0xcd);
  gus16 (b, 0x01, 0x400);
  gus16 (b, 0x02, 0x200 >> 7);
  gus16 (b, 0x03, 0);
  gus16 (b, 0x04, 0x264 >> 7);
  gus16 (b, 0x05, (uint16_t) (0x264 << 9));
  gus16 (b, 0x0a, 0x200 >> 7);
  gus16 (b, 0x0b, 0);
  gus8 (b, 0x0c, 15); /* all right */
  gus16 (b, 0x09, 0xfff0);
  gus8 (b, 0x0d, 3);
  gus8 (b, 0x00, 8);
  g_assert_true (voice->active);
  audio_double_tick (voice, 44100);
  const float *frames = (const float *) (const void *) voice->bytes->data;
  for (unsigned i = 1; i < 44100; i++)
    {
      g_assert_cmpfloat (frames[2 * i], ==, 0);
      count += frames[2 * i - 1] < 0 && frames[2 * i + 1] >= 0;
    }
  g_assert_cmpuint (count, >=, 440);
  g_assert_cmpuint (count, <=, 442);
  gus8 (b, 0x00, 0x20);
  audio_double_tick (voice, 200);
  g_assert_true (b->isa.line[7].level);
  g_assert_cmphex (IN (0x246), ==, 0x20);
  g_assert_cmphex (gus_read (b, 0x8f), ==, 0x63);
  g_assert_cmphex (gus_read (b, 0x8f), ==, 0xe0);
  g_assert_false (b->isa.line[7].level);
  g_assert_cmphex (gus_read (b, 0x80) & 1, ==, 1);
  isa_rig_clear (&b->isa);
}

/* --- the PC's speaker ------------------------------------------------------------------------- */

static void
test_speaker (void)
{
  Bench bench, *b = &bench;
  VmPcspk *speaker;
  VmI8254 *pit;
  VmAudioVoice *voice;

  bench_init (b, &vm_adlib_type);
  pit = (VmI8254 *) vm_device_new (&vm_i8254_type);
  pit->iobase = 0x40;
  rig_add (&b->isa.rig, pit, &b->isa.bus->parent);
  speaker = (VmPcspk *) vm_device_new (&vm_pcspk_type);
  speaker->pit = vm_object_ref (&pit->parent.parent.parent);
  speaker->card.audiodev = g_strdup ("s");
  rig_add (&b->isa.rig, speaker, &b->isa.bus->parent);
  voice = audio_double_find ("speaker");
  OUT (0x43, 0xb6);
  OUT (0x42, 1193 & 255); /* 1 kHz */
  OUT (0x42, 1193 >> 8);
  g_assert_false (voice->active);
  OUT (0x61, 3);
  g_assert_true (voice->active);
  for (unsigned i = 0; i < 50; i++)
    {
      rig_advance (&b->isa.rig, 10 * VM_NS_PER_MS);
      audio_double_tick (voice, 480);
    }
  g_assert_cmpuint (rises (voice, 0, 24000), >=, 499);
  g_assert_cmpuint (rises (voice, 0, 24000), <=, 501);
  g_assert_cmpint (peak (voice, 0, 24000), ==, 8191);
  OUT (0x61, 0);
  for (unsigned i = 0; i < 120; i++)
    {
      rig_advance (&b->isa.rig, 10 * VM_NS_PER_MS);
      audio_double_tick (voice, 480);
    }
  g_assert_false (voice->active);
  g_assert_cmpint (peak (voice, 25000, 20000), ==, 0);
  isa_rig_clear (&b->isa);
}

/* --- in the middle of a byte ------------------------------------------------------------------ */

/* Of compressed samples several are in one. */
static void
test_state_sb16 (void)
{
  static const uint8_t commands[] = { 0x75, 0x77, 0x17 };

  for (size_t c = 0; c < G_N_ELEMENTS (commands); c++)
    for (unsigned at = 0; at < 8; at++)
      {
        Bench bench, *b = &bench;

        sb16_init (b);
        for (unsigned i = 0; i < 64; i++)
          rig_store (&b->isa.rig, BUFFER + i, i * 41 + 128, 1);
        program_dma (b, 1, BUFFER, 64, false);
        DSP (0x40, 256 - 1000000 / 11111, commands[c], 63, 0);
        for (unsigned i = 0; i < at; i++)
          audio_double_tick (audio_double_find ("dac8"), 1);
        check_state (b, audio_double_find ("dac8"));
        isa_rig_clear (&b->isa);
      }
}

static void
test_state_cs4231a (void)
{
  for (unsigned input = 0; input < 2; input++)
    for (unsigned channels = 1; channels <= 2; channels++)
      for (unsigned at = 0; at < 8; at++)
        {
          Bench bench, *b = &bench;
          VmAudioVoice *voice;

          bench_init (b, &vm_cs4231a_type);
          voice = audio_double_find (input ? "adc" : "dac");
          cs (b, 0x40 | 12, 0x40);
          cs (b, 0x40 | 8, channels == 2 ? 0xb1 : 0xa1);
          cs (b, 0x40 | 28, channels == 2 ? 0xb0 : 0xa0);
          for (unsigned reg = 14; reg < 32; reg += 16) /* 64 words */
            {
              cs (b, (uint8_t) (reg + 1), 63);
              cs (b, (uint8_t) reg, 0);
            }
          for (unsigned i = 0; i < 256; i++)
            rig_store (&b->isa.rig, BUFFER + i, i * 7, 1);
          program_dma (b, 3, BUFFER, 256, input);
          cs (b, 9, input ? 2 : 1);
          for (unsigned i = 0; i < at; i++)
            {
              g_byte_array_append (voice->bytes, (const uint8_t[]){ 99, 77, (uint8_t) i, 55 }, input ? 4 : 0);
              audio_double_tick (voice, 1);
            }
          check_state (b, voice);
          isa_rig_clear (&b->isa);
        }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sound/sb16/dsp", test_sb16_dsp);
  g_test_add_func ("/sound/sb16/bytes", test_sb16_bytes);
  g_test_add_func ("/sound/sb16/words", test_sb16_words);
  g_test_add_func ("/sound/sb16/record", test_sb16_record);
  g_test_add_func ("/sound/sb16/direct", test_sb16_direct);
  g_test_add_func ("/sound/sb16/packed", test_sb16_packed);
  g_test_add_func ("/sound/codes", test_codes);
  g_test_add_func ("/sound/adlib/timers", test_adlib_timers);
  g_test_add_func ("/sound/adlib/tone", test_adlib_tone);
  g_test_add_func ("/sound/adlib/voices", test_adlib_voices);
  g_test_add_func ("/sound/cs4231a", test_cs4231a);
  g_test_add_func ("/sound/state/sb16", test_state_sb16);
  g_test_add_func ("/sound/state/cs4231a", test_state_cs4231a);
  g_test_add_func ("/sound/gus/memory", test_gus_memory);
  g_test_add_func ("/sound/gus/voice", test_gus_voice);
  g_test_add_func ("/sound/speaker", test_speaker);
  return g_test_run ();
}
