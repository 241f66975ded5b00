/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio block device on PCI. */
#include "devices/virtio/virtio-blk.h"
#include "devices/virtio/virtio-pci.h"

typedef struct BlkPci {
  VmVirtioPci parent;
  VmVirtioBlk blk;
} BlkPci;

static void
blk_pci_init (VmObject *obj)
{
  BlkPci *self = (BlkPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->blk.parent, &vm_virtio_blk_type);
}

static void
blk_pci_prepare (VmVirtioPci *p)
{
  BlkPci *self = (BlkPci *) p;

  if (self->blk.num_queues == VM_VIRTIO_BLK_QUEUES_AUTO)
    self->blk.num_queues = (uint16_t) vm_virtio_pci_processors (p, VM_VIRTIO_QUEUES - 1);
  if (p->vectors == UINT32_MAX)
    p->vectors = self->blk.num_queues + 1u;
}

static const VmProp blk_pci_props[] = {
  VM_VIRTIO_PCI_CLASS_PROP,
  VM_VIRTIO_PCI_IOEVENTFD_PROP,
  VM_VIRTIO_PCI_VECTORS_PROP (UINT32_MAX),
  VM_PROP_EMBED (BlkPci, blk, vm_virtio_props),
  VM_PROP_EMBED (BlkPci, blk, vm_virtio_blk_props),
  { 0 }
};

const VmType vm_virtio_blk_pci_base_type = {
  .name = "virtio-blk-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (BlkPci), .abstract = true,
  .help = "Virtio block device on PCI", .props = blk_pci_props, .init = blk_pci_init,
};

static const VmVirtioPciClass generic_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_GENERIC, blk_pci_prepare, "Storage");
static const VmVirtioPciClass transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_TRANSITIONAL, blk_pci_prepare, "Storage");
static const VmVirtioPciClass non_transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_STORAGE_SCSI, VM_VIRTIO_PCI_NON_TRANSITIONAL, blk_pci_prepare, "Storage");

const VmType vm_virtio_blk_pci_type = {
  .name = "virtio-blk-pci", .parent = &vm_virtio_blk_pci_base_type, .size = sizeof (BlkPci),
  .help = "Virtio block device on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_blk_pci_transitional_type = {
  .name = "virtio-blk-pci-transitional", .parent = &vm_virtio_blk_pci_base_type, .size = sizeof (BlkPci),
  .help = "Virtio block device on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_blk_pci_non_transitional_type = {
  .name = "virtio-blk-pci-non-transitional", .parent = &vm_virtio_blk_pci_base_type, .size = sizeof (BlkPci),
  .help = "Virtio block device on PCI, modern interface only", .klass = &non_transitional_class,
};
