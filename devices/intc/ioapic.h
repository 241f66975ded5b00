/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The I/O APIC: 24 inputs, messages to the local APICs. */
#pragma once

#include "devices/intc/lapic.h"

#define VM_IOAPIC_PINS 24
#define VM_IOAPIC_BASE UINT64_C (0xfec00000)

typedef struct VmIoapic {
  VmDevice    parent;
  uint8_t     version;    /* property: 0x11, or 0x20 with the EOI register */
  VmLapicBus *bus;        /* wiring */
  VmRegion    region;
  uint8_t     id, select; /* guest state */
  uint32_t    lines;      /* levels of the inputs */
  uint64_t    entry[VM_IOAPIC_PINS];
} VmIoapic;

extern const VmType vm_ioapic_type;

VmIrq vm_ioapic_input (VmIoapic *ioapic, unsigned n);
/* What VmLapicBus.eoi wants. */
void  vm_ioapic_eoi (void *ioapic, uint8_t vector);
void  vm_ioapic_describe (const VmIoapic *ioapic, GString *out);
