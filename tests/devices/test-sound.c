/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound cards on PCI as their data sheets describe them: what is in guest memory is what is played. */
#include "devices/audio/hda-audio.h"
#include "devices/audio/intel-hda.h"
#include "tests/devices/audio-double.h"
#include "tests/devices/disk-rig.h"

extern const VmType vm_intel_hda_type, vm_hda_duplex_type, vm_hda_output_type, vm_hda_micro_type, vm_ac97_type,
    vm_es1370_type;

#define LIST 0x10000u
#define CORB 0x11000u
#define RIRB 0x12000u
#define DPOS 0x13000u
#define BUFFER 0x20000u
#define OTHER 0x28000u
#define PORTS 0xc000
#define PORTS2 0xc400

/* Samples that count. */
static void
put_counter (DiskRig *r, uint32_t addr, unsigned n, unsigned first)
{
  for (unsigned i = 0; i < n; i++)
    rig_store (&r->rig, addr + 2 * i, (uint16_t) (first + i), 2);
}

static void
check_counter (const VmAudioVoice *voice, unsigned n, unsigned first, unsigned modulo)
{
  g_assert_cmpuint (voice->bytes->len, >=, 2 * n);
  for (unsigned i = 0; i < n; i++)
    g_assert_cmpint ((uint16_t) audio_double_sample (voice, i), ==, first + i % modulo);
}

/* --- High Definition Audio -------------------------------------------------------------------- */

static void
hda_init (DiskRig *r, const VmType *codec, const char *const *props)
{
  disk_rig_init (r);
  disk_rig_add (r, &vm_intel_hda_type, 0, (const char *const[]){ "romfile", "", NULL });
  disk_rig_plug (r, codec, 0, props);
  vm_device_reset (&r->dev->parent, VM_RESET_COLD);
  disk_rig_set_config (r, PCI_BAR0, (uint32_t) DISK_RIG_BAR, 4);
  disk_rig_set_config (r, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
  g_assert_cmphex (disk_rig_read (r, HDA_GCTL), ==, 0);
  disk_rig_write (r, HDA_GCTL, GCTL_CRST);
  g_assert_cmphex (disk_rig_read (r, HDA_WAKEEN) >> 16, ==, 1);
}

static uint32_t
immediate (DiskRig *r, unsigned nid, uint32_t verb)
{
  disk_rig_write (r, HDA_ICOI, nid << 20 | verb);
  disk_rig_write (r, HDA_ICIS, ICIS_IRV);
  disk_rig_write (r, HDA_ICIS, ICIS_ICB);
  g_assert_cmphex (disk_rig_read (r, HDA_ICIS), ==, ICIS_IRV);
  return disk_rig_read (r, HDA_ICII);
}

static void
test_hda_nodes (void)
{
  DiskRig rig, *r = &rig;

  hda_init (r, &vm_hda_duplex_type, NULL);
  g_assert_cmphex (disk_rig_read (r, HDA_GCAP), ==, 0x01004401);
  g_assert_cmphex (immediate (r, 0, 0xf0000), ==, 0x1af40022);
  g_assert_cmphex (immediate (r, 0, 0xf0004), ==, 0x00010001);
  g_assert_cmphex (immediate (r, 1, 0xf0005), ==, 1);
  g_assert_cmphex (immediate (r, 1, 0xf0004), ==, 0x00020004);
  g_assert_cmphex (immediate (r, 3, 0xf0200), ==, 2);
  g_assert_cmphex (immediate (r, 3, 0xf1c00), ==, 0x01014010);
  g_assert_cmphex (immediate (r, 4, 0xf0200), ==, 5);
  /* Gain and mute of the left side only. */
  immediate (r, 2, 0x3a080 | 10);
  g_assert_cmphex (immediate (r, 2, 0xba000), ==, 0x80 | 10);
  g_assert_cmphex (immediate (r, 2, 0xb8000), ==, HDA_AMP_STEPS);
  g_assert_cmpfloat (audio_double_find ("dac")->gain[0], ==, 0);
  g_assert_cmpfloat (audio_double_find ("dac")->gain[1], ==, 1);
  immediate (r, 2, 0x3b000 | (HDA_AMP_STEPS - 20));
  g_assert_cmpfloat_with_epsilon (audio_double_find ("dac")->gain[0], 0.1, 1e-6);
  disk_rig_clear (r);
}

static void
test_hda_rings (void)
{
  DiskRig rig, *r = &rig;

  hda_init (r, &vm_hda_output_type, (const char *const[]){ "mixer", "off", NULL });
  disk_rig_write (r, HDA_CORBLBASE, CORB);
  disk_rig_write (r, HDA_RIRBLBASE, RIRB);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_CORBRP, CORBRP_RST, 2);
  g_assert_cmphex (rig_load (&r->rig, DISK_RIG_BAR + HDA_CORBRP, 2), ==, CORBRP_RST);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_CORBRP, 0, 2);
  g_assert_cmphex (rig_load (&r->rig, DISK_RIG_BAR + HDA_CORBRP, 2), ==, 0);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_RIRBWP, RIRBWP_RST, 2);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_RINTCNT, 2, 2);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_RIRBCTL, RIRBCTL_RUN | RIRBCTL_INT, 1);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_CORBCTL, CORBCTL_RUN, 1);
  disk_rig_write (r, HDA_INTCTL, 1u << INT_GLOBAL | 1u << INT_CONTROLLER);
  rig_store (&r->rig, CORB + 4, 0xf0000, 4);            /* the codec's id */
  rig_store (&r->rig, CORB + 8, 5u << 28 | 0xf0000, 4); /* nobody's */
  rig_store (&r->rig, CORB + 12, 2u << 20 | 0xf0009, 4);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_CORBWP, 3, 2);
  g_assert_cmphex (rig_load (&r->rig, DISK_RIG_BAR + HDA_CORBRP, 2), ==, 3);
  g_assert_cmphex (rig_load (&r->rig, DISK_RIG_BAR + HDA_RIRBWP, 2), ==, 2);
  g_assert_cmphex (rig_load (&r->rig, RIRB + 8, 4), ==, 0x1af40011);
  g_assert_cmphex (rig_load (&r->rig, RIRB + 16, 4), ==, 0x11); /* stereo, formats of its own, no amplifier */
  g_assert_true (r->dev->irq_level);
  g_assert_cmphex (disk_rig_read (r, HDA_INTSTS), ==, 1u << INT_GLOBAL | 1u << INT_CONTROLLER);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_RIRBSTS, RIRBSTS_INT, 1);
  g_assert_false (r->dev->irq_level);
  disk_rig_clear (r);
}

/* Two buffers of 4 KiB in stream N, whose converter is node NID. */
static void
hda_start (DiskRig *r, unsigned n, unsigned nid, uint16_t format)
{
  uint32_t sd = HDA_SD + n * HDA_SD_STEP;

  for (unsigned i = 0; i < 2; i++)
    {
      rig_store (&r->rig, LIST + 16 * i, BUFFER + 0x2000 * i, 8);
      rig_store (&r->rig, LIST + 16 * i + 8, 0x1000, 4);
      rig_store (&r->rig, LIST + 16 * i + 12, i, 4); /* an interrupt after the second */
    }
  disk_rig_write (r, sd, SDCTL_SRST);
  disk_rig_write (r, sd, 0);
  disk_rig_write (r, sd + HDA_SD_BDPL, LIST);
  disk_rig_write (r, sd + HDA_SD_CBL, 0x2000);
  rig_store (&r->rig, DISK_RIG_BAR + sd + HDA_SD_LVI, 1, 2);
  rig_store (&r->rig, DISK_RIG_BAR + sd + HDA_SD_FMT, format, 2);
  disk_rig_write (r, HDA_DPLBASE, DPOS | 1);
  disk_rig_write (r, HDA_INTCTL, 1u << INT_GLOBAL | 1u << n);
  immediate (r, nid, 0x20000 | format);
  immediate (r, nid, 0x70630);
  disk_rig_write (r, sd, 3u << SDCTL_TAG_SHIFT | SDCTL_IOCE | SDCTL_RUN);
}

static void
test_hda_play (bool timer)
{
  DiskRig rig, *r = &rig;
  const unsigned n = HDA_STREAMS_IN;
  VmAudioVoice *voice;

  hda_init (r, &vm_hda_duplex_type, (const char *const[]){ "use-timer", timer ? "on" : "off", NULL });
  put_counter (r, BUFFER, 2048, 100);
  put_counter (r, BUFFER + 0x2000, 2048, 2148);
  hda_start (r, n, 2, 0x0011);
  voice = audio_double_find ("dac");
  g_assert_true (voice->active);
  g_assert_cmpuint (voice->format.rate, ==, 48000);
  g_assert_cmpuint (voice->format.channels, ==, 2);
  for (unsigned i = 0; i < 10; i++)
    {
      uint32_t before = disk_rig_read (r, HDA_SD + n * HDA_SD_STEP + HDA_SD_LPIB);

      rig_advance (&r->rig, 5 * VM_NS_PER_MS);
      if (timer) /* it moves before the host asks */
        g_assert_cmpuint (disk_rig_read (r, HDA_SD + n * HDA_SD_STEP + HDA_SD_LPIB), !=, before);
      rig_advance (&r->rig, 5 * VM_NS_PER_MS);
      audio_double_tick (voice, 480);
      if (i == 3)
        g_assert_false (r->dev->irq_level);
    }
  check_counter (voice, 480 * 2 * 10, 100, 4096);
  g_assert_true (r->dev->irq_level);
  g_assert_cmphex (disk_rig_read (r, HDA_SD + n * HDA_SD_STEP) >> 24, ==, SDSTS_BCIS | SDSTS_FIFORDY);
  uint32_t lpib = disk_rig_read (r, HDA_SD + n * HDA_SD_STEP + HDA_SD_LPIB);
  g_assert_cmpuint (rig_load (&r->rig, DPOS + 8 * n, 4), ==, lpib);
  if (!timer)
    g_assert_cmpuint (lpib, ==, 480 * 4 * 10 % 0x2000);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_SD + n * HDA_SD_STEP + HDA_SD_STS, SDSTS_BCIS, 1);
  g_assert_false (r->dev->irq_level);
  /* What the card has taken is heard after the end. */
  disk_rig_write (r, HDA_SD + n * HDA_SD_STEP, 3u << SDCTL_TAG_SHIFT);
  audio_double_tick (voice, 4800);
  audio_double_tick (voice, 4800);
  g_assert_false (voice->active);
  check_counter (voice, voice->bytes->len / 2, 100, 4096);
  disk_rig_clear (r);
}

static void
test_hda_timer (void)
{
  test_hda_play (true);
}

static void
test_hda_burst (void)
{
  test_hda_play (false);
}

/* Several streams stand until they are let go together; a list of nothing stops. */
static void
test_hda_stops (void)
{
  DiskRig rig, *r = &rig;
  const unsigned n = HDA_STREAMS_IN;
  VmAudioVoice *voice;

  hda_init (r, &vm_hda_duplex_type, NULL);
  voice = audio_double_find ("dac");
  disk_rig_write (r, HDA_SSYNC, 1u << n);
  hda_start (r, n, 2, 0x0011);
  g_assert_false (voice->active);
  disk_rig_write (r, HDA_SSYNC, 0);
  g_assert_true (voice->active);
  disk_rig_write (r, HDA_SD + n * HDA_SD_STEP, 0);
  rig_store (&r->rig, LIST + 8, 0, 4);
  rig_store (&r->rig, LIST + 24, 0, 4);
  hda_start (r, n, 2, 0x0011);
  rig_store (&r->rig, LIST + 8, 0, 4);
  rig_store (&r->rig, LIST + 24, 0, 4);
  audio_double_tick (voice, 480);
  g_assert_cmphex (disk_rig_read (r, HDA_SD + n * HDA_SD_STEP) >> 24, ==, SDSTS_DESE);
  g_assert_cmphex (disk_rig_read (r, HDA_SD + n * HDA_SD_STEP) & SDCTL_RUN, ==, 0);
  disk_rig_clear (r);
}

static void
test_hda_record (void)
{
  DiskRig rig, *r = &rig;
  VmAudioVoice *voice;

  hda_init (r, &vm_hda_micro_type, NULL);
  voice = audio_double_find ("adc");
  hda_start (r, 0, 4, 0x4011); /* 44.1 kHz */
  g_assert_cmpuint (voice->format.rate, ==, 44100);
  for (unsigned i = 0; i < 2048; i++)
    g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) i, (uint8_t) (i >> 8) }, 2);
  audio_double_tick (voice, 441);
  for (int i = 0; i < 11; i++)
    rig_advance (&r->rig, VM_NS_PER_MS);
  for (unsigned i = 0; i < 2 * 400; i++)
    g_assert_cmpuint (rig_load (&r->rig, BUFFER + 2 * i, 2), ==, i);
  g_assert_cmpuint (disk_rig_read (r, HDA_SD + HDA_SD_LPIB), >, 400 * 4);
  disk_rig_clear (r);
}

/* The voice is a little faster or slower than the timer, all the time: when it takes some, nothing is left that was
 * fetched for it, and when it brings some, the guest has all that came before. */
static void
test_hda_pace (void)
{
  static const unsigned paces[] = { 478, 480, 482 }; /* frames in ten milliseconds */

  for (unsigned p = 0; p < G_N_ELEMENTS (paces); p++)
    for (unsigned output = 0; output < 2; output++)
      {
        DiskRig rig, *r = &rig;
        const unsigned n = output ? HDA_STREAMS_IN : 0;
        const uint32_t lpib = HDA_SD + n * HDA_SD_STEP + HDA_SD_LPIB;
        VmAudioVoice *voice;

        hda_init (r, &vm_hda_duplex_type, NULL);
        voice = audio_double_find (output ? "dac" : "adc");
        hda_start (r, n, output ? 2 : 4, 0x0011);
        g_byte_array_set_size (voice->bytes, output ? 0 : 300 * 4 * paces[p]);
        for (unsigned i = 0; i < 300; i++)
          {
            uint32_t before = disk_rig_read (r, lpib), moved;

            rig_advance (&r->rig, 5 * VM_NS_PER_MS);
            moved = (disk_rig_read (r, lpib) - before) % 0x2000; /* between two bursts half of one, or at first none */
            g_assert_cmpuint (moved, <=, 4 * 288);
            if (output || i > 0)
              g_assert_cmpuint (moved, >=, 4 * 192);
            rig_advance (&r->rig, 5 * VM_NS_PER_MS);
            audio_double_tick (voice, paces[p]);
            if (i > 0) /* the timer only knows now how much it is */
              g_assert_cmpuint (disk_rig_read (r, lpib), ==, 4 * paces[p] * (i + output) % 0x2000);
          }
        disk_rig_clear (r);
      }
}

/* Codecs have the addresses they ask for, or the next free one; two of one address are refused. */
static void
test_hda_addresses (void)
{
  DiskRig rig, *r = &rig;
  g_autoptr (GError) error = NULL;
  VmHdaCodec *next, *same;

  hda_init (r, &vm_hda_output_type, (const char *const[]){ "cad", "0", NULL });
  next = (VmHdaCodec *) disk_rig_plug (r, &vm_hda_micro_type, 0, NULL);
  g_assert_cmpuint (next->cad, ==, 1);
  same = (VmHdaCodec *) vm_device_new (&vm_hda_output_type);
  same->cad = 1;
  g_assert_false (vm_device_realize (&same->parent, &r->rig.env, g_ptr_array_index (r->dev->parent.buses, 0), &error));
  g_assert_nonnull (strstr (error->message, "in use"));
  vm_object_unref (&same->parent.parent);
  disk_rig_clear (r);
}

/* --- AC '97 ----------------------------------------------------------------------------------- */

static void
ports_init (DiskRig *r, const VmType *type)
{
  disk_rig_init (r);
  disk_rig_add (r, type, 0, (const char *const[]){ "romfile", "", NULL });
  disk_rig_set_config (r, PCI_BAR0, PORTS, 4);
  disk_rig_set_config (r, PCI_BAR0 + 4, PORTS2, 4);
}

static void
ac97_list (DiskRig *r, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    {
      rig_store (&r->rig, LIST + 8 * i, BUFFER + 0x1000 * i, 4);
      rig_store (&r->rig, LIST + 8 * i + 4, 0x400 | (i & 1 ? 1u << 31 : 0), 4); /* samples */
      put_counter (r, BUFFER + 0x1000 * i, 0x400, 0x400 * i);
    }
}

static void
test_ac97_play (void)
{
  DiskRig rig, *r = &rig;
  VmAudioVoice *voice;

  ports_init (r, &vm_ac97_type);
  voice = audio_double_find ("po");
  ac97_list (r, 4);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x7c, 2), ==, 0x8384);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x26, 2), ==, 0x000f);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x30, 4), ==, 0x100);
  rig_out (&r->rig, PORTS2 + 0x2c, 2, 4);
  rig_out (&r->rig, PORTS + 0x02, 0x0004, 2); /* 6 dB down on the right */
  rig_out (&r->rig, PORTS + 0x18, 0x0808, 2);
  g_assert_false (voice->mute);
  g_assert_cmpfloat_with_epsilon (voice->gain[0], 1, 1e-6);
  g_assert_cmpfloat_with_epsilon (voice->gain[1], 0.501187, 1e-5);
  rig_out (&r->rig, PORTS + 0x2c, 22050, 2); /* not yet */
  g_assert_cmpuint (rig_in (&r->rig, PORTS + 0x2c, 2), ==, 48000);
  rig_out (&r->rig, PORTS + 0x2a, 1, 2);
  rig_out (&r->rig, PORTS + 0x2c, 22050, 2);
  g_assert_cmpuint (voice->format.rate, ==, 22050);
  rig_out (&r->rig, PORTS2 + 0x10, LIST, 4);
  rig_out (&r->rig, PORTS2 + 0x15, 3, 1);
  rig_out (&r->rig, PORTS2 + 0x1b, 0x1d, 1); /* run, with all interrupts */
  audio_double_tick (voice, 300);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x14, 1), ==, 0);
  g_assert_cmpuint (rig_in (&r->rig, PORTS2 + 0x18, 2), ==, 0x400 - 600);
  g_assert_false (r->dev->irq_level);
  audio_double_tick (voice, 800);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x14, 1), ==, 2);
  g_assert_true (r->dev->irq_level);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x30, 4), ==, 0x140);
  rig_out (&r->rig, PORTS2 + 0x16, 8, 2);
  g_assert_false (r->dev->irq_level);
  audio_double_tick (voice, 4000); /* more than there is */
  check_counter (voice, 4096, 0, 4096);
  g_assert_cmpuint (voice->bytes->len, ==, 8192);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x16, 2), ==, 0x0f);
  rig_out (&r->rig, PORTS2 + 0x15, 5, 1); /* goes on */
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x14, 1), ==, 4);
  rig_out (&r->rig, PORTS2 + 0x1b, 0, 1);
  rig_out (&r->rig, PORTS2 + 0x1b, 2, 1);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x10, 4), ==, 0);
  g_assert_false (voice->active);
  disk_rig_clear (r);
}

static void
test_ac97_record (void)
{
  DiskRig rig, *r = &rig;
  VmAudioVoice *voice;

  ports_init (r, &vm_ac97_type);
  voice = audio_double_find ("pi");
  ac97_list (r, 2);
  for (unsigned i = 0; i < 4096; i++)
    g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) (i * 7) }, 1);
  rig_out (&r->rig, PORTS2 + 0x00, LIST, 4);
  rig_out (&r->rig, PORTS2 + 0x05, 1, 1);
  rig_out (&r->rig, PORTS2 + 0x0b, 0x11, 1);
  audio_double_tick (voice, 900);
  for (unsigned i = 0; i < 3600; i++)
    g_assert_cmphex (rig_load (&r->rig, BUFFER + (i < 0x800 ? 0 : 0x800) + i, 1), ==, (uint8_t) (i * 7));
  audio_double_tick (voice, 900);
  g_assert_true (r->dev->irq_level);
  g_assert_cmphex (rig_in (&r->rig, PORTS2 + 0x06, 2), ==, 0x0f);
  disk_rig_clear (r);
}

/* --- ES1370 ----------------------------------------------------------------------------------- */

static void
test_es1370 (void)
{
  DiskRig rig, *r = &rig;
  VmAudioVoice *voice;

  ports_init (r, &vm_es1370_type);
  voice = audio_double_find ("dac2");
  put_counter (r, BUFFER, 2048, 0);
  rig_out (&r->rig, PORTS + 0x0c, 0xc, 4);
  rig_out (&r->rig, PORTS + 0x38, BUFFER, 4);
  rig_out (&r->rig, PORTS + 0x3c, 1023, 4);
  rig_out (&r->rig, PORTS + 0x28, 255, 2); /* an interrupt each 256 frames */
  rig_out (&r->rig, PORTS + 0x20, 3 << 2 | 1 << 9, 4);
  rig_out (&r->rig, PORTS + 0x00, 30 << 16 | 1 << 5, 4);
  g_assert_true (voice->active);
  g_assert_cmpuint (voice->format.rate, ==, 44100);
  g_assert_cmpfloat (voice->gain[0], ==, 0);
  for (unsigned reg = 0; reg < 4; reg++)
    rig_out (&r->rig, PORTS + 0x10, reg << 8 | (reg < 2 ? 0 : 6), 2);
  g_assert_cmpfloat_with_epsilon (voice->gain[0], 1, 1e-6);
  audio_double_tick (voice, 200);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x04, 4), ==, 0);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x3c, 4), ==, 200 << 16 | 1023);
  audio_double_tick (voice, 100);
  g_assert_true (r->dev->irq_level);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x04, 4), ==, 1u << 31 | 2);
  g_assert_cmphex (rig_in (&r->rig, PORTS + 0x2a, 2), ==, 255 - 44);
  rig_out (&r->rig, PORTS + 0x20, 3 << 2, 4);
  g_assert_false (r->dev->irq_level);
  audio_double_tick (voice, 1000);
  check_counter (voice, 2600, 0, 2048);
  rig_out (&r->rig, PORTS + 0x20, 3 << 2 | 1 << 12, 4);
  g_assert_false (voice->active);
  rig_out (&r->rig, PORTS + 0x20, 3 << 2 | 1 << 14, 4); /* up to the count's end only */
  g_assert_true (voice->active);
  audio_double_tick (voice, 1000);
  audio_double_tick (voice, 1000);
  g_assert_false (voice->active);
  disk_rig_clear (r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sound/hda/nodes", test_hda_nodes);
  g_test_add_func ("/sound/hda/rings", test_hda_rings);
  g_test_add_func ("/sound/hda/timer", test_hda_timer);
  g_test_add_func ("/sound/hda/burst", test_hda_burst);
  g_test_add_func ("/sound/hda/stops", test_hda_stops);
  g_test_add_func ("/sound/hda/record", test_hda_record);
  g_test_add_func ("/sound/hda/pace", test_hda_pace);
  g_test_add_func ("/sound/hda/addresses", test_hda_addresses);
  g_test_add_func ("/sound/ac97/play", test_ac97_play);
  g_test_add_func ("/sound/ac97/record", test_ac97_record);
  g_test_add_func ("/sound/es1370", test_es1370);
  return g_test_run ();
}
