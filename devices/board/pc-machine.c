/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine object of all PC boards: its properties. */
#include "devices/board/pc.h"

static const VmProp pc_props[] = {
  VM_PROP_AUTO ("acpi", VmPc, acpi, VM_ONOFFAUTO_AUTO, "Enable ACPI"),
  VM_PROP ("default-bus-bypass-iommu", VmPc, bus_bypass_iommu, false, "An IOMMU, when there is one, leaves the root bus alone"),
  VM_PROP ("fd-bootchk", VmPc, fd_bootchk, true, "Firmware checks the signature of floppy boot sectors"),
  VM_PROP ("hpet", VmPc, hpet, true, "Enable/disable high precision event timer emulation"),
  VM_PROP ("i8042", VmPc, i8042_wanted, true, "Enable/disable the keyboard controller"),
  VM_PROP_BYTES ("max-fw-size", VmPc, max_fw_size, 8 * VM_MIB, "Maximum combined firmware size"),
  VM_PROP_BYTES ("max-ram-below-4g", VmPc, max_ram_below_4g, 0, "Maximum ram below the 4G boundary"),
  VM_PROP_STRING ("pcspk-audiodev", VmPc, pcspk_audiodev, NULL, "Sound back end of the PC speaker"),
  VM_PROP_STRING ("pflash0", VmPc, pflash[0], NULL, "Block node or drive with the firmware"),
  VM_PROP_STRING ("pflash1", VmPc, pflash[1], NULL, "Block node or drive with the firmware's variables"),
  VM_PROP_AUTO ("pic", VmPc, pic_wanted, VM_ONOFFAUTO_AUTO, "Enable i8259 PIC"),
  VM_PROP_AUTO ("pit", VmPc, pit_wanted, VM_ONOFFAUTO_AUTO, "Enable i8254 PIT"),
  VM_PROP ("sata", VmPc, sata, true, "Serial ATA controller of boards that have one (q35)"),
  VM_PROP_STRING ("smbios-entry-point-type", VmPc, smbios_entry_point, "32", "SMBIOS Entry Point type [32, 64]"),
  VM_PROP ("smbus", VmPc, smbus, true, "Enable/disable system management bus"),
  VM_PROP_AUTO ("smm", VmPc, smm, VM_ONOFFAUTO_AUTO, "Enable SMM"),
  VM_PROP_AUTO ("vmport", VmPc, vmport, VM_ONOFFAUTO_AUTO, "Enable vmport (pc & q35)"),
  VM_PROP_STRING ("x-oem-id", VmPc, oem_id, NULL, "OEMID of the ACPI tables, up to 6 characters"),
  VM_PROP_STRING ("x-oem-table-id", VmPc, oem_table_id, NULL, "OEM table id of the ACPI tables, up to 8 characters"),
  { 0 }
};

static void
pc_destroy_region (VmRegion *region)
{
  if (region->memory)
    vm_region_destroy (region);
}

/* All devices have gone. */
static void
pc_finalize (VmObject *obj)
{
  VmPc *pc = (VmPc *) obj;

  vm_lapic_bus_destroy (&pc->lapics);
  pc_destroy_region (&pc->ferr_port);
  pc_destroy_region (&pc->bios_low);
  pc_destroy_region (&pc->bios);
  pc_destroy_region (&pc->device_memory);
  pc_destroy_region (&pc->ram_high);
  pc_destroy_region (&pc->ram_low);
  g_free (pc->bios_data);
}

const VmType vm_pc_machine_type = {
  .name = "generic-pc-machine", .parent = &vm_machine_type, .size = sizeof (VmPc), .abstract = true,
  .help = "A PC", .props = pc_props, .finalize = pc_finalize,
};
