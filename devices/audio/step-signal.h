/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A signal that a guest makes in steps, by writing to a port at the right moments: kept with its times, and played. */
#pragma once

#include "audio/audio.h"

#define VM_STEP_SIGNAL_MAX 4096u

/* The signal's mean in FROM..TO (ns) times their distance, while the guest's value is LEVEL: -1 to 1 is full scale. */
typedef double (*VmStepArea) (void *opaque, int16_t level, int64_t from, int64_t to);

typedef struct VmStepSignal
{
  int64_t played;    /* virtual ns up to which it was */
  int64_t last;      /* of the last step */
  int16_t level;     /* at PLAYED */
  uint32_t first, n; /* of the steps after it */
  struct
  {
    int64_t at;
    int16_t level;
  } step[VM_STEP_SIGNAL_MAX];
} VmStepSignal;

void vm_step_signal_reset (VmStepSignal *signal, int64_t now, int16_t level);
/* From NOW on. Of too many steps between two times of playing the first ones are forgotten. */
void vm_step_signal_set (VmStepSignal *signal, int64_t now, int16_t level);
/* What was up to NOW, as BYTES of VOICE, which has RATE mono S16 little-endian samples a second. */
void vm_step_signal_play (VmStepSignal *signal, VmAudioVoice *voice, int64_t now, uint32_t rate, size_t bytes,
                          VmStepArea area, void *opaque);
