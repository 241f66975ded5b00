/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The voices of the Gravis UltraSound (UltraSound Software Development Kit 2.22, sections 2.6 and 3.11): each walks
 * through the card's memory, with a volume that goes up or down by itself. */
#include "devices/audio/gus.h"

#include <math.h>

#define GF1_HZ 617400u /* shared by the voices: 14 of them have 44100 each */
#define VOLUME_MAX ((4096u << 16) - 1)
#define POSITION_MASK ((UINT64_C (1) << 52) - 1)

void
gus_init_gains (Gus *self)
{
  for (unsigned i = 0; i < 4096; i++)
    self->gains[i] = i ? (float) ldexp (256 + (i & 255), (int) (i >> 8) - 24) : 0;
}

/* --- positions -------------------------------------------------------------------------------- */

/* At one of its ends: an interrupt, and then it stops, begins again or turns round. OVER: how far it is past it. */
static int64_t
voice_end (Gus *self, unsigned n, int64_t low, int64_t high, int64_t over)
{
  GusVoice *v = &self->voice[n];
  bool back = v->control & GUS_BACK;

  if (v->control & GUS_IRQ)
    self->wave_pending |= 1u << n;
  if (!(v->control & GUS_LOOP))
    {
      if (v->ramp_control & GUS_ROLLOVER)
        return back ? low - over : high + over;
      v->control |= GUS_STOPPED;
      return back ? low : high;
    }
  if (v->control & GUS_BIDIR)
    {
      v->control ^= GUS_BACK;
      return back ? low : high;
    }
  over = high > low ? over % (high - low) : 0;
  return back ? high - over : low + over;
}

static void
voice_advance (Gus *self, unsigned n, uint64_t scale)
{
  GusVoice *v = &self->voice[n];
  int64_t step = (int64_t) ((v->frequency >> 1) * scale), low = (int64_t) v->start << 23;
  int64_t high = MAX (low, (int64_t) v->end << 23), position = (int64_t) v->position;

  if (v->control & (GUS_STOPPED | GUS_STOP))
    return;
  position += v->control & GUS_BACK ? -step : step;
  if ((v->control & GUS_BACK) && position < low)
    position = voice_end (self, n, low, high, low - position);
  else if (!(v->control & GUS_BACK) && position > high)
    position = voice_end (self, n, low, high, position - high);
  v->position = (uint64_t) position & POSITION_MASK;
}

/* --- ramps ------------------------------------------------------------------------------------ */

static void
ramp_end (Gus *self, unsigned n, uint32_t low, uint32_t high)
{
  GusVoice *v = &self->voice[n];
  bool back = v->ramp_control & GUS_BACK;

  if (v->ramp_control & GUS_IRQ)
    self->ramp_pending |= 1u << n;
  if (!(v->ramp_control & GUS_LOOP))
    {
      v->ramp_control |= GUS_STOPPED;
      v->volume = back ? low : high;
    }
  else if (v->ramp_control & GUS_BIDIR)
    {
      v->ramp_control ^= GUS_BACK;
      v->volume = back ? low : high;
    }
  else
    v->volume = back ? high : low;
}

/* The rate's upper bits divide it by 1, 8, 64 or 512. SCALE: native samples in one, 16.16 by 2^7. */
static void
ramp_advance (Gus *self, unsigned n, uint64_t scale)
{
  GusVoice *v = &self->voice[n];
  uint32_t low = (uint32_t) v->ramp_start << 20, high = (uint32_t) v->ramp_end << 20;
  uint64_t step = (v->ramp_rate & 63) * scale >> (7 + 3 * (v->ramp_rate >> 6));

  if (v->ramp_control & (GUS_STOPPED | GUS_STOP))
    return;
  if (v->ramp_control & GUS_BACK)
    {
      v->volume = v->volume > step ? v->volume - (uint32_t) step : 0;
      if (v->volume <= low)
        ramp_end (self, n, low, high);
    }
  else
    {
      v->volume = (uint32_t) MIN (v->volume + step, VOLUME_MAX);
      if (v->volume >= high)
        ramp_end (self, n, low, high);
    }
}

/* --- samples ---------------------------------------------------------------------------------- */

static float
memory_sample (const Gus *self, uint32_t address, bool wide)
{
  if (!wide)
    return (float) (int8_t) self->memory[address & (GUS_MEMORY - 1)] / 128;
  address = gus_wide_address (address & (GUS_MEMORY - 1)) & (GUS_MEMORY - 2);
  return (float) (int16_t) vm_load_le16 (self->memory + address) / 32768;
}

static void
voice_add (Gus *self, unsigned n, float frame[2])
{
  const GusVoice *v = &self->voice[n];
  uint32_t address = (uint32_t) (v->position >> 32);
  float part = (float) (uint32_t) v->position / 4294967296.0f, gain = self->gains[v->volume >> 16];
  float first = memory_sample (self, address, v->control & GUS_WIDE);
  float value = first + part * (memory_sample (self, address + 1, v->control & GUS_WIDE) - first);

  value *= gain;
  frame[0] += value * (float) (15 - v->pan) / 15;
  frame[1] += value * (float) v->pan / 15;
}

void
gus_render (Gus *self, float *frames, size_t n)
{
  uint64_t native = GF1_HZ / self->active;
  uint64_t step_scale = (native << 23) / self->freq, ramp_scale = (native << 23) / self->freq;

  memset (frames, 0, n * 2 * sizeof *frames);
  for (unsigned i = 0; i < self->active; i++)
    for (size_t at = 0; at < n; at++)
      {
        voice_add (self, i, frames + 2 * at);
        voice_advance (self, i, step_scale);
        ramp_advance (self, i, ramp_scale);
        if ((self->voice[i].control & GUS_STOPPED) && (self->voice[i].ramp_control & GUS_STOPPED)
            && self->voice[i].volume >> 16 == 0)
          break;
      }
}

bool
gus_is_silent (const Gus *self)
{
  for (unsigned i = 0; i < self->active; i++)
    if (!(self->voice[i].control & (GUS_STOPPED | GUS_STOP))
        || !(self->voice[i].ramp_control & (GUS_STOPPED | GUS_STOP)))
      return false;
  return true;
}
