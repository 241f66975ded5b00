/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of the PCI transport. */
#pragma once

#include "devices/virtio/virtio-pci.h"

enum { MODERN_COMMON = 0, MODERN_ISR = 0x1000, MODERN_DEVICE = 0x2000, MODERN_NOTIFY = 0x3000, MODERN_PART = 0x1000 };
enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_PIO = 2, BAR_MODERN = 4 };
enum { LEGACY_NOTIFY = 16 };

extern const VmRegionOps virtio_pci_legacy_ops, virtio_pci_modern_ops, virtio_pci_pio_ops;

uint8_t      virtio_pci_read_isr (VmVirtioPci *p);
void         virtio_pci_write_status (VmVirtioPci *p, uint8_t status);
uint16_t     virtio_pci_vector (const VmVirtioPci *p, uint64_t value);
VmVirtqueue *virtio_pci_selected (const VmVirtioPci *p); /* NULL: there is none */
void         virtio_pci_ring (VmVirtioPci *p, unsigned queue);
uint64_t     virtio_pci_modern_read (void *opaque, uint64_t offset, unsigned size);
void         virtio_pci_modern_write (void *opaque, uint64_t offset, uint64_t value, unsigned size);
