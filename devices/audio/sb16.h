/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound Blaster 16: the parts its files share. */
#pragma once

#include "audio/audio.h"
#include "devices/audio/compress.h"
#include "devices/audio/step-signal.h"
#include "devices/isa/isa.h"

#define SB16_NO_DMA 8u /* behind the last channel */

typedef struct Sb16 Sb16;

/* One of the two transfers that can be under way: of bytes, or of words. */
typedef struct Sb16Transfer
{
  Sb16 *card;
  unsigned index;
  VmAudioVoice *out, *in;
  unsigned dma; /* where it is attached; SB16_NO_DMA: nowhere */
  /* guest state */
  bool running, paused, input, automatic, ending; /* ENDING: with this block */
  bool sixteen, is_signed, stereo;
  uint8_t packed;       /* samples in a byte of a compressed format; 0: it is none */
  bool reference;       /* the next byte of it is a sample to begin with */
  VmCreativeAdpcm adpcm;
  uint8_t spare[3], n_spare; /* samples of it that the voice had no room for */
  uint32_t block, left;      /* bytes of a block, and of the present one */
} Sb16Transfer;

struct Sb16
{
  VmIsaDevice parent;
  /* properties */
  VmAudioCard card;
  uint32_t version, iobase, irq, dma, dma16;
  /* wiring */
  VmIrq line;
  VmTimer silence; /* for the command that is to play some */
  VmAudioVoice *direct;
  /* guest state */
  Sb16Transfer transfer[2];
  VmStepSignal signal;                      /* what the guest writes sample by sample */
  uint8_t command, args[4], n_args, wanted; /* WANTED: that the command still lacks */
  uint8_t reply[64], reply_at, n_reply, last_reply;
  uint8_t test, asp[256];
  bool in_reset, speaker;
  uint32_t rate; /* frames, or with a time constant samples, a second */
  bool time_constant;
  uint16_t block;    /* of command 48h, less one */
  bool input_stereo; /* of commands A0h and A8h */
  uint8_t status;    /* interrupts: bit 0 bytes, bit 1 words */
  uint8_t mixer_index, mixer[256];
};

enum
{
  SB_MIXER_OUTPUT = 0x0e,
  SB_MIXER_MASTER = 0x30,
  SB_MIXER_VOICE = 0x32,
  SB_MIXER_INPUT_GAIN = 0x3f,
  SB_MIXER_OUTPUT_GAIN = 0x41,
  SB_MIXER_IRQ = 0x80,
  SB_MIXER_DMA = 0x81,
  SB_MIXER_STATUS = 0x82
};

void sb16_mixer_reset (Sb16 *self);
uint8_t sb16_mixer_read (const Sb16 *self);
void sb16_mixer_write (Sb16 *self, uint8_t value);
void sb16_update_volume (Sb16 *self);
/* Lines and channels as the mixer says. */
void sb16_connect (Sb16 *self);

void sb16_raise (Sb16 *self, uint8_t bits);
void sb16_dsp_reset (Sb16 *self);
void sb16_dsp_write (Sb16 *self, uint8_t value);
uint8_t sb16_dsp_read (Sb16 *self);

void sb16_transfer_open (Sb16Transfer *t, Sb16 *card, unsigned index);
void sb16_transfer_close (Sb16Transfer *t);
/* As the fields say: format, pace. */
void sb16_transfer_update (Sb16Transfer *t);
void sb16_transfer_attach (Sb16Transfer *t, unsigned dma);
extern const VmField sb16_transfer_state[];
