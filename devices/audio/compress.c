/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See compress.h. Creative's as MultimediaWiki describes it ("Creative 8 bits ADPCM"). */
#include "devices/audio/compress.h"

#define ULAW_BIAS 132

/* --- G.711 ------------------------------------------------------------------------------------ */

int16_t
vm_ulaw_decode (uint8_t code)
{
  int value;

  code = (uint8_t) ~code;
  value = (((code & 15) << 3) + ULAW_BIAS) << (code >> 4 & 7);
  return (int16_t) (code & 0x80 ? ULAW_BIAS - value : value - ULAW_BIAS);
}

int16_t
vm_alaw_decode (uint8_t code)
{
  unsigned exponent;
  int value;

  code ^= 0x55;
  exponent = code >> 4 & 7;
  value = (code & 15) << 4 | 8;
  if (exponent)
    value = (value + 256) << (exponent - 1);
  return (int16_t) (code & 0x80 ? value : -value);
}

/* Position of the highest bit of VALUE above bit 7; VALUE has at most 15. */
static unsigned
exponent_of (unsigned value)
{
  return value < 256 ? 0 : 24u - (unsigned) __builtin_clz (value);
}

uint8_t
vm_ulaw_encode (int16_t sample)
{
  unsigned value = (unsigned) MIN (sample < 0 ? -sample : sample, 32767 - ULAW_BIAS) + ULAW_BIAS;
  unsigned exponent = exponent_of (value);

  return (uint8_t) ~((sample < 0 ? 0x80u : 0) | exponent << 4 | (value >> (exponent + 3) & 15));
}

uint8_t
vm_alaw_encode (int16_t sample)
{
  unsigned value = (unsigned) (sample < 0 ? -1 - sample : sample), exponent = exponent_of (value);

  return (uint8_t) (((sample < 0 ? 0 : 0x80u) | exponent << 4 | (value >> (exponent ? exponent + 3 : 4) & 15)) ^ 0x55);
}

/* --- IMA -------------------------------------------------------------------------------------- */

static const int16_t ima_steps[VM_IMA_STEPS]
    = { 7,    8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,   28,
        31,   34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,  118,
        130,  143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,  494,
        544,  598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878, 2066,
        2272, 2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845, 8630,
        9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767 };

int16_t
vm_ima_decode (VmImaAdpcm *state, uint8_t code)
{
  static const int8_t moves[8] = { -1, -1, -1, -1, 2, 4, 6, 8 };
  int step = ima_steps[MIN (state->step, VM_IMA_STEPS - 1)], by = step >> 3;

  by += (code & 4 ? step : 0) + (code & 2 ? step >> 1 : 0) + (code & 1 ? step >> 2 : 0);
  state->sample = (int16_t) CLAMP (state->sample + (code & 8 ? -by : by), INT16_MIN, INT16_MAX);
  state->step = (uint8_t) CLAMP (state->step + moves[code & 7], 0, (int) VM_IMA_STEPS - 1);
  return state->sample;
}

uint8_t
vm_ima_encode (VmImaAdpcm *state, int16_t sample)
{
  int step = ima_steps[MIN (state->step, VM_IMA_STEPS - 1)], away = sample - state->sample;
  uint8_t code = away < 0 ? 8 : 0;

  away = ABS (away);
  for (uint8_t bit = 4; bit; bit >>= 1, step >>= 1)
    if (away >= step)
      {
        code |= bit;
        away -= step;
      }
  vm_ima_decode (state, code);
  return code;
}

/* --- Creative --------------------------------------------------------------------------------- */

static uint8_t
creative_next (VmCreativeAdpcm *state, unsigned code, unsigned bits, unsigned shift)
{
  unsigned value = code & ((1u << (bits - 1)) - 1), most = bits == 4 ? 5 : bits == 3 ? 3 : 1;
  int by = (int) (value << (MIN (state->step, 3u) + shift));

  state->sample = (uint8_t) CLAMP (state->sample + (code >> (bits - 1) & 1 ? -by : by), 0, 255);
  if (value >= most)
    state->step = (uint8_t) MIN (state->step + 1u, 3u);
  else if (value == 0 && state->step > 0)
    state->step--;
  return state->sample;
}

void
vm_creative_decode (VmCreativeAdpcm *state, unsigned packed, uint8_t codes, uint8_t *out)
{
  switch (packed)
    {
    case 2:
      out[0] = creative_next (state, codes >> 4, 4, 0);
      out[1] = creative_next (state, codes & 15, 4, 0);
      break;
    case 3: /* the last one is short */
      out[0] = creative_next (state, codes >> 5, 3, 0);
      out[1] = creative_next (state, codes >> 2 & 7, 3, 0);
      out[2] = creative_next (state, codes & 3, 2, 0);
      break;
    default:
      for (unsigned i = 0; i < 4; i++)
        out[i] = creative_next (state, codes >> (6 - 2 * i) & 3, 2, 2);
      break;
    }
}
