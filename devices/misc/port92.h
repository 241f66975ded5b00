/* SPDX-License-Identifier: GPL-3.0-or-later */
/* System control port A of the PS/2: A20 and a fast reset. */
#pragma once

#include "devices/isa/isa.h"

typedef struct VmPort92 {
  VmIsaDevice parent;
  VmIrq    a20;   /* wiring */
  VmRegion io;
  uint8_t  value; /* guest state */
} VmPort92;

extern const VmType vm_port92_type;
