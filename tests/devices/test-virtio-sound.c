/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio sound device as its driver sees it. */
#include "devices/virtio/virtio-sound.h"
#include "tests/devices/audio-double.h"
#include "tests/devices/virtio-rig.h"

extern const VmType vm_virtio_sound_pci_type;

enum
{
  MESSAGE = 0x200000,
  ANSWER = 0x201000,
  HEADERS = 0x202000,
  DATA = 0x210000,
  STATUS = 0x220000
};

static void
sound_init (VirtioRig *r)
{
  virtio_rig_init (r);
  virtio_rig_add (r, &vm_virtio_sound_pci_type,
                  (const char *const[]){ "jacks", "2", "streams", "2", "chmaps", "2", NULL });
  virtio_rig_start (r, VM_BIT (VIRTIO_F_VERSION_1), 4, 16);
}

/* A request of N words; the status, and ROOM bytes of answer after it. */
static uint32_t
control (VirtioRig *r, const uint32_t *words, unsigned n, uint32_t room)
{
  VirtioRigPiece pieces[] = { { MESSAGE, n * 4, false }, { ANSWER, 4, true }, { ANSWER + 4, room, true } };

  for (unsigned i = 0; i < n; i++)
    rig_store (&r->rig, MESSAGE + 4 * i, words[i], 4);
  virtio_rig_add_chain (r, SND_CONTROL, pieces, room ? 3 : 2, false);
  virtio_rig_ring (r, SND_CONTROL);
  g_assert_cmpint (virtio_rig_take (r, SND_CONTROL), ==, 4 + room);
  return (uint32_t) rig_load (&r->rig, ANSWER, 4);
}
#define CONTROL(r, ...) control (r, (const uint32_t[]){ __VA_ARGS__ }, G_N_ELEMENTS (((uint32_t[]){ __VA_ARGS__ })), 0)

static void
test_info (void)
{
  VirtioRig rig, *r = &rig;

  sound_init (r);
  g_assert_cmpuint (virtio_rig_read (r, MODERN_CONFIG, 4), ==, 2);
  g_assert_cmpuint (virtio_rig_read (r, MODERN_CONFIG + 4, 4), ==, 2);
  g_assert_cmpuint (virtio_rig_read (r, MODERN_CONFIG + 8, 4), ==, 2);
  g_assert_cmphex (control (r, (const uint32_t[]){ SND_PCM_INFO, 0, 2, 32 }, 4, 64), ==, SND_OK);
  g_assert_cmpuint (rig_load (&r->rig, ANSWER + 4 + 24, 1), ==, SND_OUTPUT);
  g_assert_cmpuint (rig_load (&r->rig, ANSWER + 4 + 32 + 24, 1), ==, SND_INPUT);
  g_assert_true (rig_load (&r->rig, ANSWER + 4 + 8, 8) >> 5 & 1);
  g_assert_true (rig_load (&r->rig, ANSWER + 4 + 16, 8) >> 7 & 1);
  g_assert_cmphex (control (r, (const uint32_t[]){ SND_JACK_INFO, 1, 1, 24 }, 4, 24), ==, SND_OK);
  g_assert_cmphex (rig_load (&r->rig, ANSWER + 4 + 8, 4), ==, 0x01813020);
  g_assert_cmphex (control (r, (const uint32_t[]){ SND_CHMAP_INFO, 0, 1, 24 }, 4, 24), ==, SND_OK);
  g_assert_cmpuint (rig_load (&r->rig, ANSWER + 4 + 5, 1), ==, 2);
  g_assert_cmphex (CONTROL (r, SND_PCM_INFO, 0, 3, 32), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_PCM_INFO, 1, UINT32_MAX, 32), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_JACK_REMAP, 0, 0, 0), ==, SND_NOT_SUPP);
  g_assert_cmphex (CONTROL (r, 0x777), ==, SND_NOT_SUPP);
  virtio_rig_clear (r);
}

static void
put_buffer (VirtioRig *r, unsigned queue, uint32_t stream, uint32_t at, uint32_t len)
{
  VirtioRigPiece pieces[] = { { HEADERS + 8 * stream, 4, false }, { at, len, queue == SND_RX }, { STATUS, 8, true } };

  rig_store (&r->rig, HEADERS + 8 * stream, stream, 4);
  virtio_rig_add_chain (r, queue, pieces, 3, false);
  virtio_rig_ring (r, queue);
}

static void
test_play (void)
{
  VirtioRig rig, *r = &rig;
  VmAudioVoice *voice;

  sound_init (r);
  voice = audio_double_find ("pcm0");
  g_assert_cmphex (CONTROL (r, SND_PCM_START, 0), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_PCM_SET_PARAMS, 0, 4000, 1000, 0, 2 | 5 << 8 | 99 << 16), ==, SND_NOT_SUPP);
  g_assert_cmphex (CONTROL (r, SND_PCM_SET_PARAMS, 0, 4000, 999, 0, 2 | 5 << 8 | 7 << 16), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_PCM_SET_PARAMS, 9, 4000, 1000, 0, 2 | 5 << 8 | 7 << 16), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_PCM_SET_PARAMS, 0, 4000, 1000, 0, 2 | 5 << 8 | 6 << 16), ==, SND_OK);
  g_assert_cmphex (CONTROL (r, SND_PCM_PREPARE, 0), ==, SND_OK);
  for (unsigned i = 0; i < 1000; i++)
    rig_store (&r->rig, DATA + 2 * i, i, 2);
  put_buffer (r, SND_TX, 0, DATA, 1000);
  put_buffer (r, SND_TX, 0, DATA + 1000, 1000);
  g_assert_false (voice->active);
  g_assert_cmphex (CONTROL (r, SND_PCM_START, 0), ==, SND_OK);
  g_assert_true (voice->active);
  g_assert_cmpuint (voice->format.rate, ==, 44100);
  audio_double_tick (voice, 240);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, -1);
  audio_double_tick (voice, 50);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, 8);
  g_assert_cmphex (rig_load (&r->rig, STATUS, 4), ==, SND_OK);
  g_assert_cmpuint (rig_load (&r->rig, STATUS + 4, 4), ==, 44100 / 50 * 4);
  /* A save takes nothing away. */
  g_assert_true (vm_devices_pre_save (&r->rig.env, NULL));
  audio_double_tick (voice, 1000);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, 8);
  g_assert_cmpuint (voice->bytes->len, ==, 2000);
  for (unsigned i = 0; i < 1000; i++)
    g_assert_cmpint (audio_double_sample (voice, i), ==, i);
  /* What is not played comes back when the stream is let go; a buffer for nobody does at once. */
  put_buffer (r, SND_TX, 0, DATA, 1000);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, -1);
  put_buffer (r, SND_TX, 1, DATA, 1000);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, 8);
  g_assert_cmphex (rig_load (&r->rig, STATUS, 4), ==, SND_BAD_MSG);
  g_assert_cmphex (CONTROL (r, SND_PCM_STOP, 0), ==, SND_OK);
  g_assert_false (voice->active);
  g_assert_cmphex (CONTROL (r, SND_PCM_RELEASE, 0), ==, SND_OK);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_TX), ==, 8);
  virtio_rig_clear (r);
}

static void
test_record (void)
{
  VirtioRig rig, *r = &rig;
  VmAudioVoice *voice;

  sound_init (r);
  voice = audio_double_find ("pcm1");
  g_assert_cmphex (CONTROL (r, SND_PCM_SET_PARAMS, 1, 4000, 1000, 0, 1 | 4 << 8 | 1 << 16), ==, SND_OK);
  g_assert_cmphex (CONTROL (r, SND_PCM_PREPARE, 1), ==, SND_OK);
  put_buffer (r, SND_RX, 1, DATA, 1000);
  g_assert_cmphex (CONTROL (r, SND_PCM_START, 1), ==, SND_OK);
  for (unsigned i = 0; i < 2000; i++)
    g_byte_array_append (voice->bytes, (const uint8_t[]){ (uint8_t) (i * 3) }, 1);
  audio_double_tick (voice, 999);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_RX), ==, -1);
  audio_double_tick (voice, 1);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, SND_RX), ==, 1008);
  for (unsigned i = 0; i < 1000; i++)
    g_assert_cmphex (rig_load (&r->rig, DATA + i, 1), ==, (uint8_t) (i * 3));
  virtio_rig_clear (r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtio-sound/info", test_info);
  g_test_add_func ("/virtio-sound/play", test_play);
  g_test_add_func ("/virtio-sound/record", test_record);
  return g_test_run ();
}
