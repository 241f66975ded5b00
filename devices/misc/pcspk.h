/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Port 61h: the gate of timer 2, the speaker, the refresh toggle. */
#pragma once

#include "devices/timer/i8254.h"

typedef struct VmPcspk {
  VmIsaDevice parent;
  /* properties */
  uint32_t  iobase;
  char     *audiodev;
  bool      migrate;
  VmObject *pit;      /* a VmI8254 */
  /* guest state */
  uint8_t   data;     /* bit 1: speaker */
} VmPcspk;

extern const VmType vm_pcspk_type;
