/* SPDX-License-Identifier: GPL-3.0-or-later */
/* query-pci: buses, functions, what their registers say. PCI-to-PCI Bridge 1.2, 3.2.5 for the windows. */
#include "devices/pci/pci-private.h"

#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"

static VmqPciMemoryRange *
pci_range (uint64_t base, uint64_t limit)
{
  VmqPciMemoryRange *range = g_new0 (VmqPciMemoryRange, 1);

  range->base = (int64_t) base;
  range->limit = (int64_t) limit;
  return range;
}

static GPtrArray *
pci_regions (const VmPciDevice *dev)
{
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned n = 0; n < VM_PCI_N_BARS; n++)
    {
      const VmPciBar *bar = &dev->bar[n];
      bool is_io = bar->flags & PCI_BAR_IO;

      if (!bar->region)
        continue;
      VmqPciMemoryRegion *region = g_new0 (VmqPciMemoryRegion, 1);
      region->bar = n;
      region->type = g_strdup (is_io ? "io" : "memory");
      region->address = (int64_t) bar->addr;
      region->size = (int64_t) bar->size;
      region->has_prefetch = region->has_mem_type_64 = !is_io;
      region->prefetch = bar->flags & PCI_BAR_PREFETCH;
      region->mem_type_64 = bar->flags & PCI_BAR_MEM64;
      g_ptr_array_add (list, region);
    }
  return list;
}

static GPtrArray *pci_devices (VmPciBus *bus);

static VmqPciBridgeInfo *
pci_bridge (VmPciBus *bus, const VmPciDevice *dev)
{
  VmqPciBridgeInfo *bridge = g_new0 (VmqPciBridgeInfo, 1);
  VmqPciBusInfo *info = bridge->bus = g_new0 (VmqPciBusInfo, 1);
  const uint8_t *c = dev->config;
  VmPciBus *root = bus;

  while (root->up)
    root = root->up;
  info->number = c[PCI_PRIMARY_BUS];
  info->secondary = c[PCI_SECONDARY_BUS];
  info->subordinate = c[PCI_SUBORDINATE_BUS];
  info->io_range = pci_range ((c[PCI_IO_BASE] & 0xf0u) << 8, (c[PCI_IO_LIMIT] & 0xf0u) << 8 | 0xfff);
  info->memory_range = pci_range ((uint64_t) (vm_load_le16 (c + PCI_MEMORY_BASE) & 0xfff0u) << 16,
                                  (uint64_t) (vm_load_le16 (c + PCI_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffff);
  info->prefetchable_range
      = pci_range ((uint64_t) (vm_load_le16 (c + PCI_PREF_MEMORY_BASE) & 0xfff0u) << 16,
                   (uint64_t) (vm_load_le16 (c + PCI_PREF_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffff);
  VmPciBus *below = info->secondary ? vm_pci_bus_find (root, info->secondary) : NULL;
  if (below && below != bus && below->bridge == dev)
    bridge->devices = pci_devices (below);
  return bridge;
}

static VmqPciDeviceInfo *
pci_device (VmPciBus *bus, VmPciDevice *dev)
{
  VmqPciDeviceInfo *info = g_new0 (VmqPciDeviceInfo, 1);
  const uint8_t *c = dev->config;
  const VmPciClass *klass = vm_type_klass (dev->parent.parent.type);
  const char *id = vm_device_user_id (&dev->parent);

  info->bus = vm_pci_bus_number (bus);
  info->slot = VM_PCI_SLOT (dev->addr);
  info->function = VM_PCI_FUNC (dev->addr);
  info->class_info = g_new0 (VmqPciDeviceClass, 1);
  info->class_info->class = vm_load_le16 (c + PCI_CLASS_DEVICE);
  info->class_info->desc = g_strdup (vm_pci_class_name (info->class_info->class));
  info->id = g_new0 (VmqPciDeviceId, 1);
  info->id->vendor = vm_load_le16 (c + PCI_VENDOR_ID);
  info->id->device = vm_load_le16 (c + PCI_DEVICE_ID);
  if (!klass->is_bridge)
    {
      info->id->has_subsystem = info->id->has_subsystem_vendor = true;
      info->id->subsystem = vm_load_le16 (c + PCI_SUBSYSTEM_ID);
      info->id->subsystem_vendor = vm_load_le16 (c + PCI_SUBSYSTEM_VENDOR_ID);
    }
  info->irq_pin = c[PCI_INTERRUPT_PIN];
  info->has_irq = info->irq_pin != 0;
  info->irq = c[PCI_INTERRUPT_LINE];
  info->qdev_id = g_strdup (id ? id : "");
  info->pci_bridge = klass->is_bridge ? pci_bridge (bus, dev) : NULL;
  info->regions = pci_regions (dev);
  return info;
}

static GPtrArray *
pci_devices (VmPciBus *bus)
{
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned devfn = 0; devfn < VM_PCI_DEVFNS; devfn++)
    if (bus->devices[devfn])
      g_ptr_array_add (list, pci_device (bus, bus->devices[devfn]));
  return list;
}

static VmPciBus *
pci_root (VmMonitor *mon)
{
  VmPciBus *bus = (VmPciBus *) vm_bus_find_type (&vm_monitor_machine (mon)->env, VM_PCI_BUS_TYPE);

  while (bus && bus->up)
    bus = bus->up;
  return bus;
}

void
vm_hmp_info_pci (VmMonitor *mon, const VmHmpArgs *args)
{
  VmPciBus *root = pci_root (mon);
  g_autofree char *text = root ? vm_pci_describe (root) : g_strdup ("PCI devices not supported\n");

  vm_monitor_puts (mon, text);
}

GPtrArray *
vm_qmp_query_pci (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();
  VmPciBus *bus = pci_root (mon);

  if (!bus)
    return list;
  VmqPciInfo *info = g_new0 (VmqPciInfo, 1);
  info->bus = vm_pci_bus_number (bus);
  info->devices = pci_devices (bus);
  g_ptr_array_add (list, info);
  return list;
}
