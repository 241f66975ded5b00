/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ACPI tables of the PC (ACPI 6.4), handed to firmware by fw_cfg with a linker script: firmware places the blobs,
 * then patches addresses and checksums. */
#pragma once

#include "devices/acpi/aml.h"
#include "devices/firmware/fw-cfg.h"

typedef struct VmAcpiPc { /* what the board knows */
  uint64_t low_ram_top;       /* end of RAM below 4 GiB = begin of the PCI window */
  uint64_t hole64_start, hole64_end; /* last byte; 0: none */
  uint16_t pm_base;           /* PM1a event block; control at +4, timer at +8 */
  uint16_t gpe_base;          /* 4 bytes */
  uint8_t  sci_irq;
  bool     has_hpet, has_fdc, has_lpt, has_i8042, has_pvpanic;
  unsigned n_serial;
  uint16_t pvpanic_port;
  unsigned piix3_devfn;       /* of the ISA bridge, with the PIRQ registers at 60h */
  bool     smm;               /* the SMI command port exists */
  bool     disable_s3, disable_s4;
  uint8_t  s4_value;
  const uint32_t *apic_ids;   /* of all possible processors */
  const bool *cpu_present;    /* of those */
  unsigned n_possible;
  uint32_t pci_slots;         /* a bit per slot of the root bus that can be used while the machine runs */
  bool     cpu_hotplug;
  unsigned memory_slots;
  uint16_t pci_hotplug_base, cpu_hotplug_base, memory_hotplug_base;
  uint8_t  gpe_pci, gpe_cpu, gpe_memory; /* general-purpose events */
  const struct VmNuma *numa;
  bool     hmat;
  uint64_t below_4g, above_4g; /* RAM */
  uint64_t device_memory_start, device_memory_size; /* where memory devices go; 0: nowhere */
  bool     has_generation_id;
  const GPtrArray *user_tables;
  const char *oem_id, *oem_table_id; /* at most 6 and 8 characters */
} VmAcpiPc;

/* The tables of -acpitable: GByteArray *. */
GPtrArray *vm_acpi_read_user_tables (const VmSettings *settings, GError **error);
/* Builds everything and adds the fw_cfg files, once the board is whole. */
bool vm_acpi_install (VmFwCfg *fw, const VmAcpiPc *pc, GError **error);

/* --- for the builders -------------------------------------------------------------------------------- */

typedef struct VmAcpiBlob {
  GByteArray *tables; /* "etc/acpi/tables" */
  GByteArray *script; /* "etc/table-loader" */
  GArray     *offsets; /* uint32_t: of each table the RSDT names */
} VmAcpiBlob;

/* Opens a table with its 36-byte header; returns its offset. Patch the rest by offset: pointers may move. */
/* The file with the generation identifier, as the linker script and vmgenid know it. */
#define VM_ACPI_GENERATION_FILE   "etc/vmgenid_guid"
#define VM_ACPI_GENERATION_ADDR   "etc/vmgenid_addr"
#define VM_ACPI_GENERATION_OFFSET 40

uint32_t vm_acpi_table_begin (VmAcpiBlob *blob, const VmAcpiPc *pc, const char *signature, uint8_t revision);
/* Fills in the length and orders the checksum. */
void     vm_acpi_table_end (VmAcpiBlob *blob, uint32_t offset);
/* The SIZE bytes at AT hold an offset in the tables; firmware adds their address. */
void     vm_acpi_add_pointer (VmAcpiBlob *blob, const char *in_file, uint32_t at, unsigned size);

/* Where in it the address of the generation identifier's page belongs, 4 bytes; 0: nowhere. */
unsigned vm_acpi_write_dsdt (VmAml *aml, const VmAcpiPc *pc);
