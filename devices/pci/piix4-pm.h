/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Function 3 of the PIIX4: ACPI registers, SMI command port, SMBus host. */
#pragma once

#include "devices/acpi/hotplug.h"
#include "devices/i2c/piix4-smbus.h"
#include "devices/pci/pci.h"

/* Fixed places that firmware tables name; they are not configurable on this chip. */
#define VM_PIIX4_GPE_BASE         0xafe0
#define VM_PIIX4_GPE_LEN          4      /* two bytes of status, two of enables */
#define VM_PIIX4_PCI_HOTPLUG_BASE 0xae00
#define VM_PIIX4_CPU_HOTPLUG_BASE 0xaf00
#define VM_PIIX4_MEM_HOTPLUG_BASE 0x0a00
#define VM_PIIX4_SMI_COMMAND      0xb2
#define VM_PIIX4_ACPI_ENABLE      0xf1   /* values for the SMI command port */
#define VM_PIIX4_ACPI_DISABLE     0xf0
enum { VM_PIIX4_GPE_PCI_HOTPLUG = 1, VM_PIIX4_GPE_CPU_HOTPLUG = 2, VM_PIIX4_GPE_MEMORY_HOTPLUG = 3 };

typedef struct VmPiix4Pm {
  VmPciDevice parent;
  /* properties */
  uint32_t smb_io_base;
  uint8_t  disable_s3, disable_s4, s4_val;
  bool     acpi_pci_hotplug_with_bridge_support, acpi_root_pci_hotplug, memory_hotplug_support;
  bool     smm_enabled, smm_compat, x_not_migrate_acpi_index;
  /* wiring */
  VmIrq    sci, smi;
  VmRegion pm_io, gpe_io, apm_io, smb_io;
  VmPiix4Smbus smbus;
  /* Served here because their events are; the board wires their other ends before realize. */
  VmAcpiPciHotplug    pci_hotplug;
  VmAcpiCpuHotplug    cpu_hotplug;
  VmAcpiMemoryHotplug memory_hotplug;
  /* guest state */
  uint16_t pm_status, pm_enable, pm_control;
  uint16_t gp_status, gp_enable;      /* of the chip itself, PMBA + C */
  uint16_t gpe_status, gpe_enable;    /* the ACPI block at VM_PIIX4_GPE_BASE */
  uint32_t processor_control, global_status, device_status, global_enable, global_control, device_control;
  uint32_t gpo;
  uint8_t  apm_control, apm_status;
  VmTimer  overflow;
} VmPiix4Pm;

extern const VmType vm_piix4_pm_type;

/* The power button is pressed. False: the guest has not asked to hear of it. */
bool vm_piix4_pm_power_button (VmPiix4Pm *pm);
/* General-purpose event N happened. */
void vm_piix4_pm_raise_gpe (VmPiix4Pm *pm, unsigned n);
/* I/O base of the ACPI block as programmed; 0: not enabled. */
uint16_t vm_piix4_pm_base (const VmPiix4Pm *pm);
