/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Panic notifier; firmware tables name its port. */
#pragma once

#include "devices/isa/isa.h"

typedef struct VmPvpanic {
  VmIsaDevice parent;
  uint16_t ioport; /* properties */
  uint8_t  events;
} VmPvpanic;

extern const VmType vm_pvpanic_type;

/* A guest wrote VALUE into the byte. */
void vm_pvpanic_report (VmEnv *env, uint8_t value);
