/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the table builders of this folder share. */
#pragma once

#include "devices/acpi/acpi-tables.h"

static inline void
put (GByteArray *bytes, uint64_t value, unsigned size)
{
  uint8_t out[8];

  vm_store_le (out, value, size);
  g_byte_array_append (bytes, out, size);
}

static inline void
put_zeros (GByteArray *bytes, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    put (bytes, 0, 1);
}

static inline void
blob_list (VmAcpiBlob *blob, uint32_t offset)
{
  g_array_append_val (blob->offsets, offset);
}

/* Parts of the DSDT: processors with all they can do; slots and modules that come and go; methods for \\_GPE. */
void vm_acpi_write_processors (VmAml *aml, const VmAcpiPc *pc);
void vm_acpi_write_hotplug (VmAml *aml, const VmAcpiPc *pc);
void vm_acpi_write_hotplug_events (VmAml *aml, const VmAcpiPc *pc);

/* SRAT, SLIT and HMAT, as far as there is something to say. */
void vm_acpi_write_numa (VmAcpiBlob *blob, const VmAcpiPc *pc);
