/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the PCI core share. */
#pragma once

#include "devices/pci/pci.h"

/* pci-bus.c */
bool     pci_bus_attach (VmBus *bus, VmDevice *dev, GError **error);
void     pci_bus_detach (VmBus *bus, VmDevice *dev);
char    *pci_bus_device_path (VmBus *bus, VmDevice *dev);
/* The level of the function's pin changed: passes it up through bridges to the root's routing. */
void     pci_bus_pin_changed (VmPciDevice *dev, int level);

/* pci-msi.c: after a write to configuration space that hit the capabilities, and at reset. */
void     pci_msi_written (VmPciDevice *dev, uint32_t addr, unsigned size);
void     pci_msix_written (VmPciDevice *dev, uint32_t addr, unsigned size, uint16_t old_flags);
uint16_t pci_msix_flags (const VmPciDevice *dev);
void     pci_msi_reset (VmPciDevice *dev);
void     pci_msix_reset (VmPciDevice *dev);
void     pci_msix_free (VmPciDevice *dev);

const char *vm_pci_class_name (uint16_t id); /* NULL: has none */
