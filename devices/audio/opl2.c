/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The YM3812 (OPL2), after its application manual: nine channels of two operators, each a sine with its envelope, or
 * six of them and five drums. Sines and envelopes are kept as logarithms, as the chip does: a product is a sum. */
#include "devices/audio/opl2.h"

#include <math.h>

#define CHIP_HZ 49716u /* 3.579545 MHz / 72 */
#define ENV_STEP (32768u << 16)
#define TREMOLO_PERIOD 13440u /* samples of the chip: 3.7 Hz */
#define VIBRATO_PERIOD 8192u  /* 6.1 Hz */
#define SILENT_LOG 4096u      /* attenuation of which nothing is left */

typedef enum Opl2Stage
{
  STAGE_ATTACK,
  STAGE_DECAY,
  STAGE_SUSTAIN,
  STAGE_RELEASE
} Opl2Stage;

enum
{ /* registers */
  OPL_TEST = 0x01,
  OPL_KEYBOARD = 0x08,
  OPL_MULT = 0x20,
  OPL_LEVEL = 0x40,
  OPL_ATTACK = 0x60,
  OPL_SUSTAIN = 0x80,
  OPL_FNUM = 0xa0,
  OPL_KEY = 0xb0,
  OPL_RHYTHM = 0xbd,
  OPL_CONNECT = 0xc0,
  OPL_WAVE = 0xe0,
};
enum
{
  TEST_WAVES = 1 << 5,
  KEYBOARD_SPLIT = 1 << 6,
  KEY_ON = 1 << 5,
  RHYTHM_ON = 1 << 5,
  DEEP_TREMOLO = 1 << 7,
  DEEP_VIBRATO = 1 << 6
};
enum
{
  MULT_TREMOLO = 1 << 7,
  MULT_VIBRATO = 1 << 6,
  MULT_HOLD = 1 << 5,
  MULT_KSR = 1 << 4
};
enum
{
  DRUM_HI_HAT = 1 << 0,
  DRUM_CYMBAL = 1 << 1,
  DRUM_TOM = 1 << 2,
  DRUM_SNARE = 1 << 3,
  DRUM_BASS = 1 << 4
};

/* Registers of an operator are at its offset from 20h, 40h, ... */
static unsigned
op_offset (unsigned op)
{
  return op / 6 * 8 + op % 6;
}

static unsigned
op_channel (unsigned op)
{
  return op / 6 * 3 + op % 3;
}

static unsigned
channel_op (unsigned channel, bool carrier)
{
  return channel / 3 * 6 + channel % 3 + (carrier ? 3 : 0);
}

static unsigned
channel_fnum (const Opl2 *opl, unsigned channel)
{
  return opl->regs[OPL_FNUM + channel] | (unsigned) (opl->regs[OPL_KEY + channel] & 3) << 8;
}

static unsigned
channel_block (const Opl2 *opl, unsigned channel)
{
  return opl->regs[OPL_KEY + channel] >> 2 & 7;
}

/* --- what follows from registers -------------------------------------------------------------------------------------
 */

/* Attenuation of high notes, in steps of the envelope: 6, 3 or 1.5 dB an octave. */
static unsigned
key_scale (const Opl2 *opl, unsigned channel, unsigned how)
{
  static const uint8_t shifts[4] = { 0, 1, 2, 0 }; /* 3 dB, 1.5 dB, 6 dB an octave are 16, 8 and 32 steps */
  unsigned high = channel_fnum (opl, channel) >> 6;
  int octaves = (int) channel_block (opl, channel) - 8;
  double steps = high ? 128 + 32 * log2 (high) + 32 * octaves : 0;

  return how == 0 || steps <= 0 ? 0 : (unsigned) lround (steps) >> shifts[how];
}

static uint8_t
effective_rate (unsigned rate, unsigned offset)
{
  return rate == 0 ? 0 : (uint8_t) MIN (63, rate * 4 + offset);
}

static void
op_update (Opl2 *opl, unsigned n)
{
  static const uint8_t halves[16] = { 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30 };
  Opl2Operator *op = &opl->op[n];
  const uint8_t *regs = opl->regs + op_offset (n);
  unsigned channel = op_channel (n), fnum = channel_fnum (opl, channel), block = channel_block (opl, channel);
  unsigned split = opl->regs[OPL_KEYBOARD] & KEYBOARD_SPLIT ? 8 : 9, key = block << 1 | (fnum >> split & 1);
  unsigned offset = regs[OPL_MULT] & MULT_KSR ? key : key >> 2;
  uint64_t turn = (uint64_t) (fnum << block) * halves[regs[OPL_MULT] & 15] << 11; /* a sample of the chip's */

  op->step = (uint32_t) (turn * CHIP_HZ / opl->rate);
  op->level = (uint16_t) ((regs[OPL_LEVEL] & 63u) * 4 + key_scale (opl, channel, regs[OPL_LEVEL] >> 6));
  op->rates[STAGE_ATTACK] = effective_rate (regs[OPL_ATTACK] >> 4, offset);
  op->rates[STAGE_DECAY] = effective_rate (regs[OPL_ATTACK] & 15, offset);
  op->rates[STAGE_RELEASE] = effective_rate (regs[OPL_SUSTAIN] & 15, offset);
  op->rates[STAGE_SUSTAIN] = regs[OPL_MULT] & MULT_HOLD ? 0 : op->rates[STAGE_RELEASE];
}

static void
op_key (Opl2 *opl, unsigned n, bool on)
{
  Opl2Operator *op = &opl->op[n];

  if (on && op->stage == STAGE_RELEASE)
    {
      op->stage = STAGE_ATTACK;
      op->phase = 0;
      if (op->rates[STAGE_ATTACK] >= 60)
        op->env = 0;
    }
  else if (!on)
    op->stage = STAGE_RELEASE;
}

/* Keys of channels, and drums. An operator that both use is on while either is. */
static void
update_keys (Opl2 *opl)
{
  static const uint8_t drums[OPL2_OPERATORS] = {
    [12] = DRUM_BASS, [15] = DRUM_BASS, [13] = DRUM_HI_HAT, [16] = DRUM_SNARE, [14] = DRUM_TOM, [17] = DRUM_CYMBAL,
  };
  uint8_t rhythm = opl->regs[OPL_RHYTHM];

  for (unsigned n = 0; n < OPL2_OPERATORS; n++)
    op_key (opl, n, (opl->regs[OPL_KEY + op_channel (n)] & KEY_ON) || ((rhythm & RHYTHM_ON) && (rhythm & drums[n])));
}

void
opl2_write (Opl2 *opl, uint8_t reg, uint8_t value)
{
  unsigned low = reg & 0x1f;

  opl->regs[reg] = value;
  if ((reg >= OPL_MULT && reg < OPL_FNUM && low < 0x16 && low % 8 < 6))
    op_update (opl, low / 8 * 6 + low % 8);
  else if (reg >= OPL_FNUM && reg < OPL_CONNECT && (reg & 15) < OPL2_CHANNELS)
    {
      op_update (opl, channel_op (reg & 15, false));
      op_update (opl, channel_op (reg & 15, true));
      update_keys (opl);
    }
  else if (reg == OPL_RHYTHM)
    update_keys (opl);
  else if (reg == OPL_KEYBOARD)
    for (unsigned n = 0; n < OPL2_OPERATORS; n++)
      op_update (opl, n);
}

/* --- envelopes -------------------------------------------------------------------------------- */

static unsigned
sustain_level (const Opl2 *opl, unsigned n)
{
  unsigned level = opl->regs[OPL_SUSTAIN + op_offset (n)] >> 4;

  return level == 15 ? 31 * 16 : level * 16; /* 3 dB each; the last one is 93 dB */
}

static void
env_step (Opl2 *opl, unsigned n)
{
  Opl2Operator *op = &opl->op[n];

  if (op->stage == STAGE_ATTACK)
    {
      op->env = (uint16_t) (op->env > op->env / 8 + 1 ? op->env - op->env / 8 - 1 : 0);
      if (op->env == 0)
        op->stage = STAGE_DECAY;
      return;
    }
  if (op->stage == STAGE_DECAY && op->env >= sustain_level (opl, n))
    op->stage = STAGE_SUSTAIN;
  else if (op->env < OPL2_ENV_OFF)
    op->env++;
}

/* Each four rates are twice as fast. */
static void
env_run (Opl2 *opl, unsigned n)
{
  Opl2Operator *op = &opl->op[n];
  unsigned stage = op->stage, rate = op->rates[stage];
  uint64_t count;

  if (rate < 4 || (op->env == OPL2_ENV_OFF && op->stage >= STAGE_SUSTAIN))
    return;
  count = op->env_count + (uint64_t) ((4 + (rate & 3)) << (rate >> 2)) * opl->env_scale;
  for (; count >= ENV_STEP && op->stage == stage; count -= ENV_STEP)
    env_step (opl, n);
  op->env_count = op->stage == stage ? (uint32_t) count : 0; /* the next stage has a pace of its own */
}

/* --- operators -------------------------------------------------------------------------------- */

/* The logarithm of the wave at TURN (of 1024) and its sign. */
static unsigned
wave_log (const Opl2 *opl, unsigned wave, unsigned turn, bool *negative)
{
  unsigned at = turn & 255;
  bool second = turn >> 8 & 1, lower = turn >> 9 & 1;

  *negative = wave == 0 && lower;
  if ((wave == 1 && lower) || (wave == 3 && second))
    return SILENT_LOG;
  return opl->log_sine[second ? 255 - at : at];
}

static int
op_sample (Opl2 *opl, unsigned n, unsigned turn, unsigned tremolo)
{
  Opl2Operator *op = &opl->op[n];
  const uint8_t *regs = opl->regs + op_offset (n);
  unsigned wave = opl->regs[OPL_TEST] & TEST_WAVES ? regs[OPL_WAVE] & 3 : 0, log, value;
  unsigned env = op->env + op->level + (regs[OPL_MULT] & MULT_TREMOLO ? tremolo : 0);
  bool negative;

  if (env >= OPL2_ENV_OFF)
    return 0;
  log = wave_log (opl, wave, turn & 1023, &negative) + env * 8;
  if (log >= SILENT_LOG)
    return 0;
  value = opl->power[log & 255] >> (log >> 8);
  return negative ? -(int) value : (int) value;
}

static unsigned
op_turn (const Opl2 *opl, unsigned n)
{
  return opl->op[n].phase >> 22;
}

/* Seven or fourteen hundredths of a semitone up and down, in eight steps. */
static void
op_advance (Opl2 *opl, unsigned n, unsigned vibrato)
{
  static const int8_t shape[8] = { 0, 1, 2, 1, 0, -1, -2, -1 };
  Opl2Operator *op = &opl->op[n];
  int64_t step = op->step;

  if (opl->regs[OPL_MULT + op_offset (n)] & MULT_VIBRATO)
    step += step * shape[vibrato] / (opl->regs[OPL_RHYTHM] & DEEP_VIBRATO ? 256 : 512);
  op->phase += (uint32_t) step;
  env_run (opl, n);
}

static int
op_feedback (Opl2 *opl, unsigned channel, unsigned tremolo)
{
  unsigned n = channel_op (channel, false), how = opl->regs[OPL_CONNECT + channel] >> 1 & 7;
  Opl2Operator *op = &opl->op[n];
  int back = how ? (op->out[0] + op->out[1]) >> (9 - how) : 0;
  int out = op_sample (opl, n, op_turn (opl, n) + (unsigned) back, tremolo);

  op->out[1] = op->out[0];
  op->out[0] = (int16_t) out;
  return out;
}

static int
channel_sample (Opl2 *opl, unsigned channel, unsigned tremolo)
{
  unsigned carrier = channel_op (channel, true);
  int first = op_feedback (opl, channel, tremolo);
  bool parallel = opl->regs[OPL_CONNECT + channel] & 1;
  int second = op_sample (opl, carrier, op_turn (opl, carrier) + (parallel ? 0 : (unsigned) first), tremolo);

  return parallel ? first + second : second;
}

/* Drums come from channels 6 to 8: a bass drum of two operators, a tom of one; the rest mix the overtones of two
 * operators or noise into theirs. */
static int
drums_sample (Opl2 *opl, unsigned tremolo)
{
  bool noise = opl->noise & 1, ring = ((op_turn (opl, 13) >> 3) ^ (op_turn (opl, 17) >> 5)) & 1;
  int sum = 0, bass_modulator = op_feedback (opl, 6, tremolo);

  sum += op_sample (opl, 15, op_turn (opl, 15) + (opl->regs[OPL_CONNECT + 6] & 1 ? 0 : (unsigned) bass_modulator),
                    tremolo);
  sum += op_sample (opl, 14, op_turn (opl, 14), tremolo);
  sum += op_sample (opl, 13, (ring ? 512 : 0) + (noise ? 208 : 48), tremolo);
  sum += op_sample (opl, 16, (op_turn (opl, 16) & 512) ^ (noise ? 256 : 0), tremolo);
  sum += op_sample (opl, 17, ring ? 768 : 256, tremolo);
  return 2 * sum;
}

/* --- the sum ---------------------------------------------------------------------------------- */

void
opl2_render (Opl2 *opl, int16_t *samples, size_t n)
{
  unsigned melodic = opl->regs[OPL_RHYTHM] & RHYTHM_ON ? 6 : OPL2_CHANNELS;

  for (size_t i = 0; i < n; i++)
    {
      uint64_t time = opl->samples++ * CHIP_HZ / opl->rate;
      unsigned at = (unsigned) (time % TREMOLO_PERIOD) * 52 / TREMOLO_PERIOD; /* 0 to 4.8 dB and back */
      unsigned tremolo = (at < 26 ? at : 51 - at) >> (opl->regs[OPL_RHYTHM] & DEEP_TREMOLO ? 0 : 2);
      int sum = 0;

      for (unsigned channel = 0; channel < melodic; channel++)
        sum += channel_sample (opl, channel, tremolo);
      if (melodic < OPL2_CHANNELS)
        sum += drums_sample (opl, tremolo);
      for (unsigned op = 0; op < OPL2_OPERATORS; op++)
        op_advance (opl, op, (unsigned) (time * 8 / VIBRATO_PERIOD) & 7);
      opl->noise = opl->noise >> 1 ^ (opl->noise & 1 ? 0x400181u : 0); /* 23 bits, of full length */
      samples[i] = (int16_t) CLAMP (sum, INT16_MIN, INT16_MAX);
    }
}

static bool
op_is_off (const Opl2 *opl, unsigned n)
{
  return opl->op[n].env == OPL2_ENV_OFF && opl->op[n].stage == STAGE_RELEASE;
}

/* A modulator may go on for ever: without its carrier nobody hears it. */
bool
opl2_is_silent (const Opl2 *opl)
{
  for (unsigned channel = 0; channel < OPL2_CHANNELS; channel++)
    {
      bool both = (opl->regs[OPL_CONNECT + channel] & 1) || (channel >= 6 && (opl->regs[OPL_RHYTHM] & RHYTHM_ON));

      if (!op_is_off (opl, channel_op (channel, true)) || (both && !op_is_off (opl, channel_op (channel, false))))
        return false;
    }
  return true;
}

/* --- life ------------------------------------------------------------------------------------- */

void
opl2_init (Opl2 *opl, uint32_t rate)
{
  opl->rate = rate;
  opl->env_scale = (uint32_t) (((uint64_t) CHIP_HZ << 16) / rate);
  for (unsigned i = 0; i < 256; i++)
    {
      opl->log_sine[i] = (uint16_t) lround (-256 * log2 (sin ((i + 0.5) * G_PI / 512)));
      opl->power[i] = (uint16_t) lround (4084 * exp2 (-(int) i / 256.0));
    }
}

void
opl2_reset (Opl2 *opl)
{
  memset (opl->regs, 0, sizeof opl->regs);
  memset (opl->op, 0, sizeof opl->op);
  for (unsigned n = 0; n < OPL2_OPERATORS; n++)
    {
      opl->op[n].env = OPL2_ENV_OFF;
      opl->op[n].stage = STAGE_RELEASE;
      op_update (opl, n);
    }
  opl->samples = 0;
  opl->noise = 1;
}

bool
opl2_loaded (Opl2 *opl, GError **error)
{
  for (unsigned n = 0; n < OPL2_OPERATORS; n++)
    {
      if (opl->op[n].env > OPL2_ENV_OFF || opl->op[n].stage > STAGE_RELEASE)
        return vm_fail (error, "an envelope is out of bounds");
      op_update (opl, n);
    }
  return true;
}

static const VmField operator_state[]
    = { VM_FIELD (Opl2Operator, phase), VM_FIELD (Opl2Operator, env_count), VM_FIELD (Opl2Operator, env),
        VM_FIELD (Opl2Operator, stage), VM_FIELD_ARRAY (Opl2Operator, out), { 0 } };

const VmField opl2_state[] = { VM_FIELD_ARRAY (Opl2, regs),
                               VM_FIELD_EMBED_ARRAY (Opl2, op, operator_state),
                               VM_FIELD (Opl2, samples),
                               VM_FIELD (Opl2, noise),
                               { 0 } };
