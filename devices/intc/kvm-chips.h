/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stand-ins for interrupt controllers that work inside the accelerator (engine/cpu/irqchip.h): they reset them
 * and carry their state when the machine is saved. */
#pragma once

#include "devices/intc/lapic.h"
#include "engine/cpu/irqchip.h"

typedef struct VmKvmChip { /* "kvm-i8259" and "kvm-ioapic" */
  VmDevice      parent;
  VmAccel      *accel;      /* wiring */
  VmIrqchipPart part;
  uint8_t       initial[VM_IRQCHIP_STATE_MAX];
  uint32_t      size;
  uint8_t       state[VM_IRQCHIP_STATE_MAX]; /* while the machine is stopped */
} VmKvmChip;

typedef struct VmKvmApic {
  VmDevice    parent;
  VmX86Cpu   *cpu;          /* wiring */
  VmLapicBus *bus;
  uint8_t     initial[1024];
  uint8_t     registers[1024]; /* while the machine is stopped */
} VmKvmApic;

extern const VmType vm_kvm_i8259_type, vm_kvm_ioapic_type, vm_kvm_apic_type;

/* Wires APIC to its processor and the bus; before realize. */
void vm_kvm_apic_attach (VmKvmApic *apic, VmLapicBus *bus, VmX86Cpu *cpu);
