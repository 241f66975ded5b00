/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers through which ACPI code learns of devices that come and go, and lets them go. What each register does
 * is the interface that ACPI hot-plug of virtual machines has used for long; our own AML is its only user. */
#pragma once

#include "devices/pci/pci.h"

#define VM_ACPI_MAX_CPUS         512
#define VM_ACPI_MAX_MEMORY_SLOTS 256

/* --- PCI slots of the root bus ------------------------------------------------------------------------ */

enum { /* registers; all are dwords */
  VM_ACPI_PCI_UP = 0x00,     /* a bit per slot with a new device; reading clears */
  VM_ACPI_PCI_DOWN = 0x04,   /* a bit per slot whose device is to go; reading clears */
  VM_ACPI_PCI_EJECT = 0x08,  /* writing a bit takes the devices of that slot away */
  VM_ACPI_PCI_REMOVABLE = 0x0c, /* a bit per slot whose device may go */
  VM_ACPI_PCI_SELECT = 0x10, /* bus; only 0 is there */
  VM_ACPI_PCI_INDEX = 0x14,  /* written: a bit per slot; read: acpi-index of its function 0 */
  VM_ACPI_PCI_LENGTH = 0x18,
};

typedef struct VmAcpiPciHotplug {
  VmPciBus *bus;  /* wiring; NULL: no slot can be used while the machine runs */
  VmIrq     event;
  VmRegion  io;
  uint32_t  up, down, select, index; /* guest state */
} VmAcpiPciHotplug;

void vm_acpi_pci_hotplug_init (VmAcpiPciHotplug *self, VmEnv *env, uint16_t base);
void vm_acpi_pci_hotplug_destroy (VmAcpiPciHotplug *self);
void vm_acpi_pci_hotplug_reset (VmAcpiPciHotplug *self);
/* From now on devices of BUS come and go this way. */
void vm_acpi_pci_hotplug_serve (VmAcpiPciHotplug *self, VmPciBus *bus);
extern const VmField vm_acpi_pci_hotplug_state[];

/* --- places for processors and memory modules ----------------------------------------------------------- */

typedef struct VmAcpiPlace {
  VmDevice *dev;                /* wiring; NULL: empty */
  bool      inserting, removing; /* guest state: events that it has not seen */
  uint32_t  ost_source, ost_status;
} VmAcpiPlace;

enum { /* control and status bits of a place */
  VM_ACPI_PLACE_ENABLED = 1 << 0, VM_ACPI_PLACE_INSERTING = 1 << 1, VM_ACPI_PLACE_REMOVING = 1 << 2,
  VM_ACPI_PLACE_EJECT = 1 << 3,
};

enum {
  VM_ACPI_CPU_DATA2 = 0x00,   /* read: upper half of the data */
  VM_ACPI_CPU_SELECTOR = 0x00, /* write */
  VM_ACPI_CPU_CONTROL = 0x04, /* a byte */
  VM_ACPI_CPU_COMMAND = 0x05, /* a byte */
  VM_ACPI_CPU_DATA = 0x08,
  VM_ACPI_CPU_LENGTH = 0x0c,
};
enum { VM_ACPI_CPU_NEXT_EVENT = 0, VM_ACPI_CPU_OST_SOURCE = 1, VM_ACPI_CPU_OST_STATUS = 2, VM_ACPI_CPU_ARCH_ID = 3 };

typedef struct VmAcpiCpuHotplug {
  unsigned        n;           /* wiring: places */
  const uint32_t *apic_ids;
  VmIrq           event;
  void          (*eject) (void *opaque, VmDevice *dev);
  void           *opaque;
  VmEnv          *env;
  VmRegion        io;
  uint32_t        selector;    /* guest state */
  uint8_t         command;
  VmAcpiPlace     places[VM_ACPI_MAX_CPUS];
} VmAcpiCpuHotplug;

void vm_acpi_cpu_hotplug_init (VmAcpiCpuHotplug *self, VmEnv *env, uint16_t base);
void vm_acpi_cpu_hotplug_destroy (VmAcpiCpuHotplug *self);
void vm_acpi_cpu_hotplug_reset (VmAcpiCpuHotplug *self);
extern const VmField vm_acpi_cpu_hotplug_state[];

enum {
  VM_ACPI_MEMORY_SELECTOR = 0x00,    /* write; reads from here on describe the module: */
  VM_ACPI_MEMORY_ADDR_LOW = 0x00, VM_ACPI_MEMORY_ADDR_HIGH = 0x04,
  VM_ACPI_MEMORY_SIZE_LOW = 0x08, VM_ACPI_MEMORY_SIZE_HIGH = 0x0c, VM_ACPI_MEMORY_NODE = 0x10,
  VM_ACPI_MEMORY_OST_SOURCE = 0x04, VM_ACPI_MEMORY_OST_STATUS = 0x08, /* write */
  VM_ACPI_MEMORY_CONTROL = 0x14,     /* a byte */
  VM_ACPI_MEMORY_LENGTH = 0x18,
};

typedef struct VmAcpiMemoryHotplug {
  unsigned    n; /* wiring: slots */
  VmIrq       event;
  void      (*describe) (VmDevice *dev, uint64_t *addr, uint64_t *size, uint32_t *node);
  bool      (*eject) (void *opaque, VmDevice *dev, GError **error);
  void       *opaque;
  VmEnv      *env;
  VmRegion    io;
  uint32_t    selector; /* guest state */
  VmAcpiPlace places[VM_ACPI_MAX_MEMORY_SLOTS];
} VmAcpiMemoryHotplug;

void vm_acpi_memory_hotplug_init (VmAcpiMemoryHotplug *self, VmEnv *env, uint16_t base);
void vm_acpi_memory_hotplug_destroy (VmAcpiMemoryHotplug *self);
void vm_acpi_memory_hotplug_reset (VmAcpiMemoryHotplug *self);
extern const VmField vm_acpi_memory_hotplug_state[];

/* A device came into a place while the guest runs, or is to leave it. */
void vm_acpi_place_insert (VmAcpiPlace *place, VmDevice *dev, const VmIrq *event);
bool vm_acpi_place_request_removal (VmAcpiPlace *place, const VmIrq *event, GError **error);
