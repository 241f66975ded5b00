/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound Blaster 16: blocks of samples by DMA (Sound Blaster Series Hardware Programming Guide, chapter 3). */
#include "devices/audio/sb16.h"

#define CHUNK 4096u

static VmDevice *
transfer_device (const Sb16Transfer *t)
{
  return &t->card->parent.parent;
}

static VmAudioFormat
transfer_format (const Sb16Transfer *t)
{
  uint32_t rate = t->card->rate;

  if (t->card->time_constant && t->stereo)
    rate /= 2; /* the constant counts both sides */
  return (VmAudioFormat){
    .rate = rate,
    .channels = t->stereo ? 2 : 1,
    .sample = t->sixteen ? (t->is_signed ? VM_AUDIO_S16 : VM_AUDIO_U16) : (t->is_signed ? VM_AUDIO_S8 : VM_AUDIO_U8),
  };
}

void
sb16_transfer_update (Sb16Transfer *t)
{
  VmAudioFormat format = transfer_format (t);
  bool moves = t->running && !t->paused;

  vm_audio_set_format (t->input ? t->in : t->out, &format);
  vm_audio_set_active (t->out, moves && !t->input);
  vm_audio_set_active (t->in, moves && t->input);
  if (t->dma < SB16_NO_DMA)
    vm_isa_dma_request (transfer_device (t), t->dma, moves);
}

static void
block_complete (Sb16Transfer *t)
{
  t->left = t->block;
  if (!t->automatic || t->ending)
    t->running = t->ending = false;
  sb16_raise (t->card, (uint8_t) (1 << t->index));
}

/* Moves up to LEN bytes of the present block; 0: the controller has none, or it is over. */
static uint32_t
transfer_some (Sb16Transfer *t, uint8_t *buf, uint32_t len)
{
  bool terminal = false;
  uint32_t n;

  if (!t->running || t->paused || t->dma >= SB16_NO_DMA)
    return 0;
  n = vm_isa_dma_move (transfer_device (t), t->dma, buf, MIN (len, t->left), &terminal);
  t->left -= n;
  if (t->left == 0)
    block_complete (t);
  return n;
}

/* All that there is of LEN bytes, of this block and the next ones. */
static uint32_t
transfer_all (Sb16Transfer *t, uint8_t *buf, uint32_t len)
{
  uint32_t n = 0, step = 1;

  for (; n < len && step > 0; n += step)
    step = transfer_some (t, buf + n, len - n);
  return n;
}

static void
play_packed (Sb16Transfer *t, size_t samples)
{
  uint8_t codes[CHUNK / 4], out[CHUNK + sizeof t->spare];

  for (bool over = false; samples > 0 && !over;)
    {
      size_t n = t->n_spare, most = MIN (samples, CHUNK - CHUNK % t->packed), played;
      size_t wanted = most > n ? (most - n + t->packed - 1) / t->packed + t->reference : 0;
      uint32_t got = transfer_all (t, codes, (uint32_t) MIN (wanted, sizeof codes));

      over = wanted > 0 && got == 0;
      memcpy (out, t->spare, n);
      for (uint32_t i = 0; i < got; i++)
        if (t->reference)
          {
            t->adpcm = (VmCreativeAdpcm){ .sample = codes[i] };
            t->reference = false;
          }
        else
          {
            vm_creative_decode (&t->adpcm, t->packed, codes[i], out + n);
            n += t->packed;
          }
      played = MIN (n, samples);
      vm_audio_write (t->out, out, played);
      samples -= played;
      t->n_spare = (uint8_t) (n - played);
      memcpy (t->spare, out + played, t->n_spare);
    }
}

/* A voice ends when it is asked again: until then the driver may go on with another block. */
static void
on_play (void *opaque, size_t bytes)
{
  Sb16Transfer *t = opaque;
  unsigned frame = (t->sixteen ? 2u : 1u) * (t->stereo ? 2u : 1u);
  uint8_t buf[CHUNK];

  if (!t->running && !(t->packed && t->n_spare))
    sb16_transfer_update (t);
  else if (t->packed)
    {
      play_packed (t, bytes);
      return;
    }
  for (bool over = !t->running; bytes > 0 && !over;)
    {
      uint32_t wanted = (uint32_t) MIN (bytes, sizeof buf), n = transfer_all (t, buf, wanted);

      over = n < wanted;
      vm_audio_write (t->out, buf, n - n % frame);
      bytes -= n;
    }
}

static void
on_record (void *opaque, size_t bytes)
{
  Sb16Transfer *t = opaque;
  uint8_t buf[CHUNK];
  size_t n;

  while (t->running && (n = vm_audio_read (t->in, buf, sizeof buf)) > 0)
    for (uint32_t at = 0, step = 1; at < n && step > 0; at += step)
      step = transfer_some (t, buf + at, (uint32_t) n - at);
  if (!t->running)
    sb16_transfer_update (t);
}

/* The voice asks for data, not the controller. */
static void
on_service (void *opaque, unsigned channel)
{
}

void
sb16_transfer_attach (Sb16Transfer *t, unsigned dma)
{
  VmIsaDmaClient client = { on_service, t };

  if (t->dma == dma)
    return;
  if (t->dma < SB16_NO_DMA)
    vm_isa_dma_detach (transfer_device (t), t->dma);
  /* Another card has it, or there is no controller: then nothing moves. */
  t->dma = dma < SB16_NO_DMA && vm_isa_dma_attach (transfer_device (t), dma, client, NULL) ? dma : SB16_NO_DMA;
}

void
sb16_transfer_open (Sb16Transfer *t, Sb16 *card, unsigned index)
{
  static const VmAudioFormat format = { 11025, 1, VM_AUDIO_U8, false };

  t->card = card;
  t->index = index;
  t->dma = SB16_NO_DMA;
  t->out = vm_audio_open_out (&card->card, index ? "dac16" : "dac8", &format, on_play, t);
  t->in = vm_audio_open_in (&card->card, index ? "adc16" : "adc8", &format, on_record, t);
}

void
sb16_transfer_close (Sb16Transfer *t)
{
  sb16_transfer_attach (t, SB16_NO_DMA);
  vm_audio_close (g_steal_pointer (&t->out));
  vm_audio_close (g_steal_pointer (&t->in));
}

const VmField sb16_transfer_state[] = { VM_FIELD (Sb16Transfer, running),
                                        VM_FIELD (Sb16Transfer, paused),
                                        VM_FIELD (Sb16Transfer, input),
                                        VM_FIELD (Sb16Transfer, automatic),
                                        VM_FIELD (Sb16Transfer, ending),
                                        VM_FIELD (Sb16Transfer, sixteen),
                                        VM_FIELD (Sb16Transfer, is_signed),
                                        VM_FIELD (Sb16Transfer, stereo),
                                        VM_FIELD (Sb16Transfer, packed),
                                        VM_FIELD (Sb16Transfer, reference),
                                        VM_FIELD (Sb16Transfer, adpcm.sample),
                                        VM_FIELD (Sb16Transfer, adpcm.step),
                                        VM_FIELD_ARRAY (Sb16Transfer, spare),
                                        VM_FIELD (Sb16Transfer, n_spare),
                                        VM_FIELD (Sb16Transfer, block),
                                        VM_FIELD (Sb16Transfer, left),
                                        { 0 } };
