/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The virtio network device on PCI. */
#include "devices/virtio/virtio-net.h"
#include "devices/virtio/virtio-pci.h"

typedef struct NetPci {
  VmVirtioPci parent;
  VmVirtioNet net;
} NetPci;

static void
net_pci_init (VmObject *obj)
{
  NetPci *self = (NetPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->net.parent, &vm_virtio_net_type);
}

/* A vector per queue, and one for the configuration. */
static void
net_pci_prepare (VmVirtioPci *p)
{
  NetPci *self = (NetPci *) p;
  VmObject *root = p->parent.parent.env->root;
  const char *id = self->net.card.netdev_id;
  const VmNetdev *netdev = id ? vm_netdev_find (root, id) : NULL;

  if (p->vectors == UINT32_MAX)
    p->vectors = self->net.mq && netdev ? 2 * netdev->ports->len + 2 : 4;
}

static const VmProp net_pci_props[] = {
  VM_VIRTIO_PCI_IOEVENTFD_PROP,
  VM_VIRTIO_PCI_VECTORS_PROP (UINT32_MAX),
  VM_PROP_EMBED (NetPci, net, vm_virtio_props),
  VM_PROP_EMBED (NetPci, net, vm_virtio_net_props),
  { 0 }
};

const VmType vm_virtio_net_pci_base_type = {
  .name = "virtio-net-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (NetPci), .abstract = true,
  .help = "Virtio network device on PCI", .props = net_pci_props, .init = net_pci_init,
};

#define NET_CLASS(kind_of)                                                                                             \
  {                                                                                                                    \
    .pci = { .parent = { .category = "Network", .user_creatable = true, .hotpluggable = true },                        \
             .vendor = PCI_VENDOR_REDHAT_QUMRANET, .class_id = PCI_CLASS_NETWORK_ETHERNET,                             \
             .romfile = "efi-virtio.rom", .config_read = vm_virtio_pci_config_read,                                    \
             .config_write = vm_virtio_pci_config_write },                                                             \
    .kind = (kind_of), .prepare = net_pci_prepare                                                                      \
  }
static const VmVirtioPciClass generic_class = NET_CLASS (VM_VIRTIO_PCI_GENERIC);
static const VmVirtioPciClass transitional_class = NET_CLASS (VM_VIRTIO_PCI_TRANSITIONAL);
static const VmVirtioPciClass non_transitional_class = NET_CLASS (VM_VIRTIO_PCI_NON_TRANSITIONAL);

const VmType vm_virtio_net_pci_type = {
  .name = "virtio-net-pci", .parent = &vm_virtio_net_pci_base_type, .size = sizeof (NetPci),
  .help = "Virtio network device on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_net_pci_transitional_type = {
  .name = "virtio-net-pci-transitional", .parent = &vm_virtio_net_pci_base_type, .size = sizeof (NetPci),
  .help = "Virtio network device on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_net_pci_non_transitional_type = {
  .name = "virtio-net-pci-non-transitional", .parent = &vm_virtio_net_pci_base_type, .size = sizeof (NetPci),
  .help = "Virtio network device on PCI, modern interface only", .klass = &non_transitional_class,
};
