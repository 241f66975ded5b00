/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Port 61h: the gate of timer 2, the speaker, the refresh toggle. */
#pragma once

#include "devices/audio/step-signal.h"
#include "devices/timer/i8254.h"

typedef struct VmPcspk
{
  VmIsaDevice parent;
  /* properties */
  uint32_t iobase;
  VmAudioCard card; /* without an audiodev there is nothing to hear */
  bool migrate;
  VmObject *pit; /* a VmI8254 */
  /* wiring */
  VmAudioVoice *voice;
  VmStepSignal signal;
  double period; /* of the tone in ns, and where in it the signal is; 0: none */
  double phase;
  /* guest state */
  uint8_t data; /* bit 1: speaker */
} VmPcspk;

extern const VmType vm_pcspk_type;
