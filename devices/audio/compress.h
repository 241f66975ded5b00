/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compressed samples: companded (ITU-T G.711), ADPCM of the IMA's and of Creative's. */
#pragma once

#include "engine/base/base.h"

int16_t vm_ulaw_decode (uint8_t code);
int16_t vm_alaw_decode (uint8_t code);
uint8_t vm_ulaw_encode (int16_t sample);
uint8_t vm_alaw_encode (int16_t sample);

/* Four bits a sample; begins with zeros. */
typedef struct VmImaAdpcm
{
  int16_t sample;
  uint8_t step; /* below VM_IMA_STEPS */
} VmImaAdpcm;

#define VM_IMA_STEPS 89u

int16_t vm_ima_decode (VmImaAdpcm *state, uint8_t code);
uint8_t vm_ima_encode (VmImaAdpcm *state, int16_t sample);

/* Two, three or four samples of eight bits in a byte; begins with a reference and a step of zero. */
typedef struct VmCreativeAdpcm
{
  uint8_t sample, step;
} VmCreativeAdpcm;

/* What CODES holds goes to OUT: PACKED samples. */
void vm_creative_decode (VmCreativeAdpcm *state, unsigned packed, uint8_t codes, uint8_t *out);
