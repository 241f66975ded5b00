/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The YM3812 (OPL2) FM synthesiser: registers in, samples out. */
#pragma once

#include "engine/object/object.h"

#define OPL2_OPERATORS 18u
#define OPL2_CHANNELS 9u
#define OPL2_ENV_OFF 511u /* attenuation in steps of 0.1875 dB */

typedef struct Opl2Operator
{
  /* guest state */
  uint32_t phase;     /* a turn is 2^32 */
  uint32_t env_count; /* towards its next step */
  uint16_t env;
  uint8_t stage;  /* Opl2Stage */
  int16_t out[2]; /* the last two samples, for feedback */
  /* derived from registers */
  uint32_t step;
  uint8_t rates[4]; /* by stage, 0..63 */
  uint16_t level;   /* total level and key scaling, as attenuation */
} Opl2Operator;

typedef struct Opl2
{
  uint32_t rate;          /* of samples */
  uint32_t env_scale;     /* envelope steps a sample: 16.16 */
  uint16_t log_sine[256]; /* of a quarter: attenuation in 1/256 of 6 dB */
  uint16_t power[256];    /* its inverse, of a fraction */
  /* guest state */
  uint8_t regs[256];
  Opl2Operator op[OPL2_OPERATORS];
  uint64_t samples; /* for tremolo and vibrato */
  uint32_t noise;
} Opl2;

extern const VmField opl2_state[];

void opl2_init (Opl2 *opl, uint32_t rate);
void opl2_reset (Opl2 *opl);
void opl2_write (Opl2 *opl, uint8_t reg, uint8_t value);
/* Mono. */
void opl2_render (Opl2 *opl, int16_t *samples, size_t n);
bool opl2_is_silent (const Opl2 *opl);
bool opl2_loaded (Opl2 *opl, GError **error);
