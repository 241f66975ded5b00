/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Virtio over PCI (OASIS Virtual I/O Device 1.2, 4.1): the function whose child "virtio-backend" is the device.
 *
 * A front is a struct of a VmVirtioPci and then its device, an abstract type with their properties and an init
 * that calls vm_virtio_pci_init(), and a type for each kind. */
#pragma once

#include "devices/pci/pci.h"
#include "devices/virtio/virtio.h"

typedef struct VmVirtioPci VmVirtioPci;

typedef enum VmVirtioPciKind {
  VM_VIRTIO_PCI_GENERIC,          /* as the user says */
  VM_VIRTIO_PCI_TRANSITIONAL,     /* both interfaces */
  VM_VIRTIO_PCI_NON_TRANSITIONAL, /* the modern one */
} VmVirtioPciKind;

typedef struct VmVirtioPciClass {
  VmPciClass      pci;
  VmVirtioPciKind kind;
  /* Before the device is realized: what the machine decides, like the number of queues. Sets vectors where they are
   * UINT32_MAX. May be NULL: two vectors. */
  void (*prepare) (VmVirtioPci *p);
} VmVirtioPciClass;

struct VmVirtioPci {
  VmPciDevice parent;
  /* properties */
  VmOnOffAuto disable_legacy;
  bool     disable_modern, modern_pio_notify, page_per_vq, ioeventfd, bus_master_bug;
  bool     ats, aer, x_disable_pcie, migrate_extra, x_ignore_backend_features, x_ats_page_aligned;
  bool     x_pcie_deverr_init, x_pcie_lnkctl_init, x_pcie_pm_init, x_pcie_flr_init;
  uint32_t vectors, class_code;
  /* wiring */
  VmVirtioBus bus;
  VmVirtio   *vdev;
  VmRegion    legacy, modern, pio;
  uint8_t     cfg_cap;      /* of the window into the BARs */
  uint8_t     modern_bar, msix_bar, pio_bar; /* a front may move them in its prepare() ... */
  VmRegion   *beside;       /* ... and have registers of its own at the start of the modern BAR */
  VmRegion    shared;       /* then: both */
  uint32_t    modern_offset; /* in the BAR */
  uint32_t    notify_step;  /* bytes between doorbells */
  bool        doorbells;    /* eventfds stand in for them */
  unsigned    n_vectors;
  /* guest state */
  uint16_t config_vector, queue_select;
  uint32_t device_feature_select, driver_feature_select, driver_features[2];
  uint8_t  isr;
};

extern const VmType vm_virtio_pci_type; /* "virtio-pci", abstract */

/* In a front's init: makes VDEV, which is part of it, of TYPE. */
void vm_virtio_pci_init (VmVirtioPci *p, VmVirtio *vdev, const VmType *type);
/* Queues and vectors for each processor: at most MAX. */
unsigned vm_virtio_pci_processors (const VmVirtioPci *p, unsigned max);

#define VM_VIRTIO_PCI_IOEVENTFD_PROP VM_PROP ("ioeventfd", VmVirtioPci, ioeventfd, true, "doorbells by eventfd")
#define VM_VIRTIO_PCI_VECTORS_PROP(n) VM_PROP ("vectors", VmVirtioPci, vectors, n, "MSI-X vectors")
#define VM_VIRTIO_PCI_CLASS_PROP VM_PROP ("class", VmVirtioPci, class_code, 0, "PCI class code; 0: the usual one")
#define VM_VIRTIO_PCI_GENERIC_PROPS                                                                                   \
  VM_PROP_AUTO ("disable-legacy", VmVirtioPci, disable_legacy, VM_ONOFFAUTO_AUTO, "without the legacy interface"),    \
    VM_PROP ("disable-modern", VmVirtioPci, disable_modern, false, "without the modern interface")
extern const VmProp vm_virtio_pci_generic_props[]; /* those two */

uint32_t vm_virtio_pci_config_read (VmPciDevice *dev, uint32_t addr, unsigned size);
void     vm_virtio_pci_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size);

/* The class of a front of kind KIND. */
#define VM_VIRTIO_PCI_CLASS(pci_class_id, kind_of, prepare_func, heading)                                             \
  { .pci = { .parent = { .category = (heading), .user_creatable = true, .hotpluggable = true },                       \
             .vendor = PCI_VENDOR_REDHAT_QUMRANET, .class_id = (pci_class_id),                                        \
             .config_read = vm_virtio_pci_config_read, .config_write = vm_virtio_pci_config_write },              \
    .kind = (kind_of), .prepare = (prepare_func) }
