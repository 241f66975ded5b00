/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of cards that are reached by I/O ports and by memory: see registers.h. */
#include "devices/net/registers.h"

void
vm_net_registers_add (VmNetRegisters *r, VmPciDevice *pci, const VmRegionOps *ops, const char *name, uint64_t size)
{
  VmMemory *memory = pci->parent.env->memory;

  vm_region_init_io (&r->io, memory, ops, pci, name, size);
  vm_region_init_io (&r->memory, memory, ops, pci, name, size);
  vm_pci_add_bar (pci, 0, PCI_BAR_IO, &r->io);
  vm_pci_add_bar (pci, 1, 0, &r->memory);
  vm_pci_set_interrupt_pin (pci, 1);
}

void
vm_net_registers_destroy (VmNetRegisters *r)
{
  if (r->io.memory)
    vm_region_destroy (&r->io);
  if (r->memory.memory)
    vm_region_destroy (&r->memory);
}
