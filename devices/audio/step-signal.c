/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signals made in steps: see step-signal.h. A sample is the mean of its time, which keeps most of what is too high for
 * it out. */
#include "devices/audio/step-signal.h"

#define CHUNK 512u

void
vm_step_signal_reset (VmStepSignal *signal, int64_t now, int16_t level)
{
  signal->played = signal->last = now;
  signal->level = level;
  signal->first = signal->n = 0;
}

static void
take_step (VmStepSignal *signal)
{
  signal->level = signal->step[signal->first].level;
  signal->first = (signal->first + 1) % VM_STEP_SIGNAL_MAX;
  signal->n--;
}

void
vm_step_signal_set (VmStepSignal *signal, int64_t now, int16_t level)
{
  uint32_t at;

  if (signal->n == VM_STEP_SIGNAL_MAX)
    take_step (signal);
  at = (signal->first + signal->n++) % VM_STEP_SIGNAL_MAX;
  signal->step[at].at = now;
  signal->step[at].level = level;
  signal->last = now;
}

/* The area from PLAYED to UNTIL. */
static double
signal_area (VmStepSignal *signal, int64_t until, VmStepArea area, void *opaque)
{
  double sum = 0;

  while (signal->n > 0 && signal->step[signal->first].at < until)
    {
      int64_t at = signal->step[signal->first].at;

      if (at > signal->played)
        {
          sum += area (opaque, signal->level, signal->played, at);
          signal->played = at;
        }
      take_step (signal);
    }
  sum += area (opaque, signal->level, signal->played, until);
  signal->played = until;
  return sum;
}

void
vm_step_signal_play (VmStepSignal *signal, VmAudioVoice *voice, int64_t now, uint32_t rate, size_t bytes,
                     VmStepArea area, void *opaque)
{
  size_t frames = bytes / 2;
  int64_t span = (int64_t) vm_muldiv64 (frames, VM_NS_PER_SEC, rate), start = signal->played;
  uint8_t buf[2 * CHUNK];

  /* Of a long time nobody listened only the end is played. */
  if (now - start > 2 * span || now < start)
    start = now - span;
  if (start > signal->played)
    signal_area (signal, start, area, opaque);
  signal->played = start;
  for (size_t i = 0; i < frames; i++)
    {
      int64_t from = signal->played, to = start + (int64_t) vm_muldiv64 ((uint64_t) (now - start), i + 1, frames);
      double mean = to > from ? signal_area (signal, to, area, opaque) / (double) (to - from) : 0;

      vm_store_le16 (buf + i % CHUNK * 2, (uint16_t) (int16_t) (CLAMP (mean, -1, 1) * INT16_MAX));
      if (i % CHUNK == CHUNK - 1 || i + 1 == frames)
        vm_audio_write (voice, buf, (i % CHUNK + 1) * 2);
    }
}
