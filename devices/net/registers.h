/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of cards on PCI that are reached both ways: by I/O ports (BAR 0) and by memory (BAR 1). */
#pragma once

#include "devices/pci/pci.h"

typedef struct VmNetRegisters {
  VmRegion io, memory;
} VmNetRegisters;

/* In realize: SIZE bytes, and interrupt pin A. NAME outlives the device. */
void vm_net_registers_add (VmNetRegisters *r, VmPciDevice *pci, const VmRegionOps *ops, const char *name, uint64_t size);
void vm_net_registers_destroy (VmNetRegisters *r);
