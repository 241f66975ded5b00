/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gravis UltraSound: the GF1 and what its files share. */
#pragma once

#include "audio/audio.h"
#include "devices/isa/isa.h"

#define GUS_VOICES 32u
#define GUS_MEMORY (1u << 20)

enum
{ /* of a voice, and with other words of its volume ramp */
  GUS_STOPPED = 1 << 0,
  GUS_STOP = 1 << 1,
  GUS_WIDE = 1 << 2,
  GUS_LOOP = 1 << 3,
  GUS_BIDIR = 1 << 4,
  GUS_IRQ = 1 << 5,
  GUS_BACK = 1 << 6,
  GUS_PENDING = 1 << 7,
  GUS_ROLLOVER = 1 << 2, /* of a ramp: the voice's end interrupts, but does not end it */
};

/* Addresses have 20 bits and 9 of fraction; they are kept with 32 of fraction. */
typedef struct GusVoice
{
  uint8_t control, ramp_control, ramp_rate, ramp_start, ramp_end, pan;
  uint16_t frequency;
  uint32_t start, end; /* 20.9 */
  uint64_t position;   /* 20.32 */
  uint32_t volume;     /* 12.16: 4 bits of exponent, 8 of mantissa */
} GusVoice;

typedef struct Gus
{
  VmIsaDevice parent;
  /* properties */
  VmAudioCard card;
  uint32_t iobase, irq, dma, freq;
  /* wiring */
  VmIrq line;
  VmAudioVoice *out, *in;
  uint8_t *memory;
  uint32_t memory_size;
  float gains[4096]; /* by volume */
  VmTimer timer[2];
  /* guest state */
  GusVoice voice[GUS_VOICES];
  uint8_t active;    /* voices that run, 14 to 32 */
  uint8_t page, reg; /* voice and register selected */
  uint16_t data;     /* of it, written in two halves */
  uint8_t dma_control, sample_rate, sample_control, timer_control, timer_count[2], reset;
  uint16_t dma_address;
  uint32_t peek; /* address of the port to its memory */
  uint8_t mixer, status, timer_index, timer_start, timer_status;
  uint32_t wave_pending, ramp_pending; /* a bit for each voice */
} Gus;

/* N frames of left and right, from all voices. */
void gus_render (Gus *self, float *frames, size_t n);
bool gus_is_silent (const Gus *self);
void gus_update_irq (Gus *self);
void gus_init_gains (Gus *self);
/* Where a 16-bit sample is: within 256 KiB addresses count words. */
static inline uint32_t
gus_wide_address (uint32_t address)
{
  return (address & 0xc0000) | (address & 0x1ffff) << 1;
}
