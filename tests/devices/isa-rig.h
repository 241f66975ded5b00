/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench with an ISA bus whose lines are watched. */
#pragma once

#include "devices/isa/isa.h"
#include "tests/devices/rig.h"

typedef struct IsaRig {
  Rig       rig;
  VmDevice *bridge;
  VmIsaBus *bus;
  Probe     line[VM_ISA_IRQS];
} IsaRig;

void isa_rig_init (IsaRig *isa, uint64_t ram_size);
void isa_rig_clear (IsaRig *isa); /* removes the devices too */
