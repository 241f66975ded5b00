/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Panic notifier on PCI: the byte of pvpanic.c in a memory BAR. */
#include "devices/misc/pvpanic.h"
#include "devices/pci/pci.h"

typedef struct PvpanicPci {
  VmPciDevice parent;
  uint8_t     events; /* property */
  VmRegion    mmio;
} PvpanicPci;

static uint64_t
pvpanic_pci_read (void *opaque, uint64_t offset, unsigned size)
{
  return offset == 0 ? ((PvpanicPci *) opaque)->events : 0;
}

static void
pvpanic_pci_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  if (offset == 0)
    vm_pvpanic_report (((PvpanicPci *) opaque)->parent.parent.env, (uint8_t) value);
}

static const VmRegionOps pvpanic_pci_ops = {
  .read = pvpanic_pci_read, .write = pvpanic_pci_write, .impl = { .min = 1, .max = 1 },
};

static bool
pvpanic_pci_realize (VmDevice *dev, GError **error)
{
  PvpanicPci *self = (PvpanicPci *) dev;

  vm_region_init_io (&self->mmio, dev->env->memory, &pvpanic_pci_ops, self, "pvpanic-pci", 16);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_MEM, &self->mmio);
  return true;
}

static void
pvpanic_pci_unrealize (VmDevice *dev)
{
  vm_region_destroy (&((PvpanicPci *) dev)->mmio);
}

static const VmProp pvpanic_pci_props[] = {
  VM_PROP ("events", PvpanicPci, events, 3, "events it offers, a bit each"),
  { 0 }
};

static const VmPciClass pvpanic_pci_class = {
  .parent = {
    .realize = pvpanic_pci_realize, .unrealize = pvpanic_pci_unrealize, .category = "Misc",
    .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_REDHAT, .device = 0x0011, .revision = 1, .class_id = PCI_CLASS_SYSTEM_OTHER,
};

const VmType vm_pvpanic_pci_type = {
  .name = "pvpanic-pci", .parent = &vm_pci_device_type, .size = sizeof (PvpanicPci),
  .help = "Panic notifier on PCI", .props = pvpanic_pci_props, .klass = &pvpanic_pci_class,
};
