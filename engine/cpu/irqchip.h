/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupt controllers inside the accelerator, for boards and for devices that stand in for the chips. */
#pragma once

#include "engine/cpu/vcpu.h"

typedef enum VmIrqchipMode {
  VM_IRQCHIP_OFF,   /* all chips are devices */
  VM_IRQCHIP_SPLIT, /* local APICs inside, the rest are devices */
  VM_IRQCHIP_ON,    /* local APICs, I/O APIC and 8259 pair inside; the 8254 is always a device */
} VmIrqchipMode;

typedef enum VmIrqchipPart {
  VM_IRQCHIP_PIC_MASTER, VM_IRQCHIP_PIC_SLAVE, VM_IRQCHIP_IOAPIC,
} VmIrqchipPart;
#define VM_IRQCHIP_STATE_MAX 512 /* bytes of a part's state */

/* Machine lock held, except where said. */
struct VmIrqchipOps {
  /* What the user chose becomes so; before the first processor exists. Chips of a mode that the host cannot do
   * are an error. */
  bool (*create) (VmAccel *accel, VmIrqchipMode *mode, GError **error);
  /* ON: input of 8259 and I/O APIC (0..15) or of the I/O APIC alone (16..23). SPLIT: not used. */
  void (*set_gsi) (VmAccel *accel, unsigned gsi, int level);
  /* A message-signalled interrupt. Any thread. */
  bool (*send_msi) (VmAccel *accel, uint64_t address, uint32_t data);
  /* A number below which interrupts from file descriptors reach a message; -1: none left. */
  int  (*add_msi_route) (VmAccel *accel, uint64_t address, uint32_t data);
  void (*update_msi_route) (VmAccel *accel, int gsi, uint64_t address, uint32_t data);
  void (*remove_msi_route) (VmAccel *accel, int gsi);
  /* Events on FD become interrupts without this program. RESAMPLE_FD (-1: none) is signalled when a level
   * interrupt is served. */
  bool (*set_irqfd) (VmAccel *accel, int fd, int resample_fd, int gsi, bool on, GError **error);
  /* SPLIT: which messages the device's I/O APIC would send, so that their end is reported; N at most 24. */
  void (*set_ioapic_routes) (VmAccel *accel, const uint64_t *address, const uint32_t *data, unsigned n);
  /* SPLIT: told on a vCPU thread, lock held, when a level interrupt of the I/O APIC was served. */
  void (*set_eoi_hook) (VmAccel *accel, void (*func) (void *opaque, uint8_t vector), void *opaque);
  /* State of a part in the kernel's layout, for saving; SIZE says how much of STATE was used. */
  bool (*get_state) (VmAccel *accel, VmIrqchipPart part, void *state, size_t *size);
  bool (*set_state) (VmAccel *accel, VmIrqchipPart part, const void *state, size_t size);
  /* Registers of a processor's local APIC, 1 KiB in the layout of its page (16 bytes a register). */
  bool (*get_lapic) (VmVcpu *vcpu, uint8_t page[1024]);
  bool (*set_lapic) (VmVcpu *vcpu, const uint8_t page[1024]);
};
