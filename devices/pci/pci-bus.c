/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PCI buses: addresses of functions, interrupt wiring, configuration cycles. */
#include "devices/pci/pci-private.h"

#include "engine/base/trace.h"

static void
pci_bus_init (VmPciBus *bus, VmDevice *owner, const char *name, VmRegion *memory, VmRegion *io)
{
  vm_bus_init (&bus->parent, VM_PCI_BUS_TYPE, owner, name);
  bus->parent.attach = pci_bus_attach;
  bus->parent.detach = pci_bus_detach;
  bus->parent.device_path = pci_bus_device_path;
  bus->memory = memory;
  bus->io = io;
}

void
vm_pci_bus_init_root (VmPciBus *bus, VmDevice *owner, const char *name, VmRegion *memory, VmRegion *io,
                      VmRegion *dma_memory)
{
  pci_bus_init (bus, owner, name, memory, io);
  bus->dma_memory = dma_memory;
}

void
vm_pci_bus_init_secondary (VmPciBus *bus, VmPciDevice *bridge, const char *name, VmRegion *memory,
                           VmRegion *io)
{
  pci_bus_init (bus, &bridge->parent, name, memory, io);
  bus->bridge = bridge;
  bus->up = vm_pci_bus (bridge);
  bus->dma_memory = bus->up->dma_memory;
}

void
vm_pci_bus_destroy (VmPciBus *bus)
{
  vm_bus_destroy (&bus->parent);
}

void
vm_pci_bus_set_routing (VmPciBus *bus, const VmPciRouting *routing, void *opaque)
{
  g_assert (routing->n_lines <= G_N_ELEMENTS (bus->line_count));
  bus->routing = routing;
  bus->routing_opaque = opaque;
}

const VmField vm_pci_bus_state[] = {
  VM_FIELD_ARRAY (VmPciBus, line_count),
  { 0 }
};

/* --- addresses --------------------------------------------------------------------------------- */

/* A device alone in its slot (or with function 0 marked multifunction) may have others beside it. */
static bool
pci_bus_check_multifunction (VmPciBus *bus, VmPciDevice *dev, unsigned devfn, GError **error)
{
  unsigned slot = VM_PCI_SLOT (devfn);

  if (VM_PCI_FUNC (devfn) != 0)
    {
      VmPciDevice *first = bus->devices[VM_PCI_DEVFN (slot, 0)];

      if (first && !first->multifunction)
        return vm_fail (error, "PCI: single function device can't be populated in function %x.%x", slot,
                        VM_PCI_FUNC (devfn));
      return true;
    }
  if (dev->multifunction)
    return true;
  for (unsigned func = 1; func < 8; func++)
    if (bus->devices[VM_PCI_DEVFN (slot, func)])
      return vm_fail (error, "PCI: %x.0 indicates single function, but %x.%x is already populated.", slot,
                      slot, func);
  return true;
}

#define ACPI_INDEX_MAX 16383 /* bigger ones make no network interface names */

static void
find_index (VmPciDevice *dev, void *opaque)
{
  VmPciDevice **wanted = opaque;

  if (*wanted && dev != *wanted && dev->acpi_index == (*wanted)->acpi_index)
    *wanted = NULL;
}

static bool
pci_bus_check_index (VmPciBus *bus, VmPciDevice *dev, GError **error)
{
  VmPciDevice *left = dev;

  if (dev->acpi_index == 0)
    return true;
  if (dev->acpi_index > ACPI_INDEX_MAX)
    return vm_fail (error, "acpi-index should be less or equal to %d", ACPI_INDEX_MAX);
  while (bus->up)
    bus = bus->up;
  vm_pci_foreach (bus, find_index, &left);
  return left || vm_fail (error, "a PCI device with acpi-index = %u already exist", dev->acpi_index);
}

static int
pci_bus_free_slot (const VmPciBus *bus)
{
  for (unsigned devfn = bus->devfn_min; devfn < VM_PCI_DEVFNS; devfn += 8)
    if (!bus->devices[devfn] && !(bus->slots_reserved & VM_BIT (VM_PCI_SLOT (devfn))))
      return (int) devfn;
  return -1;
}

bool
pci_bus_attach (VmBus *vmbus, VmDevice *vmdev, GError **error)
{
  VmPciBus *bus = VM_PCI_BUS (vmbus);
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);
  const char *name = vmdev->parent.type->name;

  if (dev->addr < 0)
    {
      int devfn = pci_bus_free_slot (bus);

      if (devfn < 0)
        return vm_fail (error, "PCI: no slot/function available for %s, all in use or reserved", name);
      dev->addr = devfn;
    }
  else if (dev->addr >= VM_PCI_DEVFNS)
    return vm_fail (error, "PCI: address 0x%x of %s is out of range", dev->addr, name);
  else if (bus->devices[dev->addr])
    {
      VmDevice *other = &bus->devices[dev->addr]->parent;

      return vm_fail (error, "PCI: slot %d function %d not available for %s, in use by %s,id=%s",
                      VM_PCI_SLOT (dev->addr), VM_PCI_FUNC (dev->addr), name, other->parent.type->name,
                      other->parent.id ? other->parent.id : "");
    }
  if (vmdev->hotplugged && VM_PCI_FUNC (dev->addr) != 0
      && bus->devices[VM_PCI_DEVFN (VM_PCI_SLOT (dev->addr), 0)])
    return vm_fail (error, "PCI: slot %d function 0 already occupied by %s, new func %s cannot be exposed "
                    "to guest.", VM_PCI_SLOT (dev->addr),
                    bus->devices[VM_PCI_DEVFN (VM_PCI_SLOT (dev->addr), 0)]->parent.parent.type->name, name);
  if (!pci_bus_check_multifunction (bus, dev, (unsigned) dev->addr, error) || !pci_bus_check_index (bus, dev, error))
    return false;
  bus->devices[dev->addr] = dev;
  return true;
}

void
pci_bus_detach (VmBus *vmbus, VmDevice *vmdev)
{
  VmPciBus *bus = VM_PCI_BUS (vmbus);
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);

  if (dev->addr >= 0 && dev->addr < VM_PCI_DEVFNS && bus->devices[dev->addr] == dev)
    bus->devices[dev->addr] = NULL;
}

/* Names of the PCI binding to IEEE 1275, as far as firmware looks at them. */
static const char *
pci_firmware_name (uint16_t class_id)
{
  switch (class_id)
    {
    case PCI_CLASS_STORAGE_SCSI:
      return "scsi";
    case PCI_CLASS_STORAGE_IDE:
      return "ide";
    case PCI_CLASS_NETWORK_ETHERNET:
      return "ethernet";
    case PCI_CLASS_DISPLAY_VGA:
    case PCI_CLASS_DISPLAY_OTHER:
      return "display";
    case PCI_CLASS_BRIDGE_ISA:
      return "isa";
    case PCI_CLASS_BRIDGE_PCI:
      return "pci-bridge";
    case PCI_CLASS_SERIAL_USB:
      return "usb";
    default:
      return NULL;
    }
}

char *
pci_bus_device_path (VmBus *vmbus, VmDevice *vmdev)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);
  const VmPciClass *klass = (const VmPciClass *) vm_device_class (vmdev);
  const char *name = pci_firmware_name (klass->class_id);
  GString *out = g_string_new (VM_PCI_BUS (vmbus)->up ? NULL : "pci@i0cf8/");

  if (name)
    g_string_append (out, name);
  else
    g_string_append_printf (out, "pci%04x,%04x", klass->vendor, klass->device);
  g_string_append_printf (out, "@%x", VM_PCI_SLOT (dev->addr));
  if (VM_PCI_FUNC (dev->addr) != 0)
    g_string_append_printf (out, ",%x", VM_PCI_FUNC (dev->addr));
  return g_string_free (out, FALSE);
}

unsigned
vm_pci_bus_number (const VmPciBus *bus)
{
  return bus->bridge ? bus->bridge->config[PCI_SECONDARY_BUS] : 0;
}

static const VmPciClass *
pci_class (const VmPciDevice *dev)
{
  return (const VmPciClass *) vm_device_class (&dev->parent);
}

/* The bus behind a bridge function, or NULL. */
static VmPciBus *
pci_bridge_bus (VmPciDevice *dev)
{
  GPtrArray *buses = dev->parent.buses;

  if (!buses || !pci_class (dev)->is_bridge)
    return NULL;
  for (guint i = 0; i < buses->len; i++)
    {
      VmBus *bus = g_ptr_array_index (buses, i);

      if (strcmp (bus->type_name, VM_PCI_BUS_TYPE) == 0)
        return VM_PCI_BUS (bus);
    }
  return NULL;
}

VmPciBus *
vm_pci_bus_find (VmPciBus *root, unsigned number)
{
  if (number == vm_pci_bus_number (root))
    return root;
  for (unsigned i = 0; i < VM_PCI_DEVFNS; i++)
    {
      VmPciDevice *dev = root->devices[i];
      VmPciBus *below = dev && dev->config ? pci_bridge_bus (dev) : NULL;

      /* A bridge that firmware has not numbered yet forwards nothing. */
      if (below && dev->config[PCI_SECONDARY_BUS] != 0 && number >= dev->config[PCI_SECONDARY_BUS]
          && number <= dev->config[PCI_SUBORDINATE_BUS])
        return vm_pci_bus_find (below, number);
    }
  return NULL;
}

VmPciDevice *
vm_pci_bus_device (VmPciBus *root, unsigned bus_number, unsigned devfn)
{
  VmPciBus *bus = vm_pci_bus_find (root, bus_number);
  VmPciDevice *dev = bus && devfn < VM_PCI_DEVFNS ? bus->devices[devfn] : NULL;

  /* Functions of a slot being filled show up together, when function 0 has come. */
  if (!dev || !dev->parent.realized || !bus->devices[devfn & ~7u])
    return NULL;
  return dev;
}

void
vm_pci_foreach (VmPciBus *root, void (*func) (VmPciDevice *dev, void *opaque), void *opaque)
{
  for (unsigned i = 0; i < VM_PCI_DEVFNS; i++)
    {
      VmPciDevice *dev = root->devices[i];
      VmPciBus *below = dev ? pci_bridge_bus (dev) : NULL;

      if (dev)
        func (dev, opaque);
      if (below)
        vm_pci_foreach (below, func, opaque);
    }
}

/* --- configuration cycles ------------------------------------------------------------------------ */

static uint32_t
pci_ones (unsigned size)
{
  return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

uint32_t
vm_pci_config_cycle_read (VmPciBus *root, unsigned bus_number, unsigned devfn, uint32_t reg, unsigned size)
{
  VmPciDevice *dev = vm_pci_bus_device (root, bus_number, devfn);

  if (!dev || reg + size > dev->config_size)
    return pci_ones (size);
  uint32_t value = (pci_class (dev)->config_read ? pci_class (dev)->config_read (dev, reg, size)
                                                 : vm_pci_default_config_read (dev, reg, size)) & pci_ones (size);
  vm_trace (PCI_CFG_READ, "%s %02x:%02x.%x @0x%x -> 0x%x", dev->parent.parent.type->name, bus_number, devfn >> 3,
            devfn & 7, reg, value);
  return value;
}

void
vm_pci_config_cycle_write (VmPciBus *root, unsigned bus_number, unsigned devfn, uint32_t reg, uint32_t value,
                           unsigned size)
{
  VmPciDevice *dev = vm_pci_bus_device (root, bus_number, devfn);

  if (!dev || reg + size > dev->config_size)
    return;
  vm_trace (PCI_CFG_WRITE, "%s %02x:%02x.%x @0x%x <- 0x%x", dev->parent.parent.type->name, bus_number, devfn >> 3,
            devfn & 7, reg, value);
  if (pci_class (dev)->config_write)
    pci_class (dev)->config_write (dev, reg, value, size);
  else
    vm_pci_default_config_write (dev, reg, value, size);
}

/* --- interrupts ---------------------------------------------------------------------------------- */

void
pci_bus_pin_changed (VmPciDevice *dev, int level)
{
  VmPciBus *bus = vm_pci_bus (dev);
  unsigned pin = dev->config[PCI_INTERRUPT_PIN] - 1u;
  unsigned devfn = (unsigned) dev->addr;

  if (pin > 3)
    return;
  for (; bus->up; devfn = (unsigned) bus->bridge->addr, bus = bus->up)
    pin = (pin + VM_PCI_SLOT (devfn)) & 3; /* PCI-to-PCI Bridge 1.2, 9.1 */
  if (!bus->routing)
    return;

  unsigned line = bus->routing->map (bus->routing_opaque, devfn, pin);

  if (line >= bus->routing->n_lines)
    return;
  if (level)
    bus->line_count[line]++;
  else if (bus->line_count[line] > 0)
    bus->line_count[line]--;
  bus->routing->set (bus->routing_opaque, line, bus->line_count[line] != 0);
}

bool
vm_pci_bus_line_level (const VmPciBus *bus, unsigned line)
{
  return line < G_N_ELEMENTS (bus->line_count) && bus->line_count[line] != 0;
}

/* --- info pci -------------------------------------------------------------------------------------- */

static const struct { uint16_t id; const char *name; } pci_class_names[] = {
  { 0x0001, "VGA controller" }, { 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" },
  { 0x0102, "Floppy controller" }, { 0x0103, "IPI controller" }, { 0x0104, "RAID controller" },
  { 0x0106, "SATA controller" }, { 0x0108, "NVMe controller" }, { 0x0180, "Storage controller" },
  { 0x0200, "Ethernet controller" }, { 0x0201, "Token Ring controller" }, { 0x0202, "FDDI controller" },
  { 0x0203, "ATM controller" }, { 0x0280, "Network controller" }, { 0x0300, "VGA controller" },
  { 0x0301, "XGA controller" }, { 0x0302, "3D controller" }, { 0x0380, "Display controller" },
  { 0x0400, "Video controller" }, { 0x0401, "Audio controller" }, { 0x0402, "Phone" },
  { 0x0403, "Audio controller" }, { 0x0480, "Multimedia controller" }, { 0x0500, "RAM controller" },
  { 0x0501, "Flash controller" }, { 0x0580, "Memory controller" }, { 0x0600, "Host bridge" },
  { 0x0601, "ISA bridge" }, { 0x0602, "EISA bridge" }, { 0x0603, "MC bridge" }, { 0x0604, "PCI bridge" },
  { 0x0605, "PCMCIA bridge" }, { 0x0606, "NUBUS bridge" }, { 0x0607, "CARDBUS bridge" },
  { 0x0608, "RACEWAY bridge" }, { 0x0680, "Bridge" }, { 0x0700, "Serial port" },
  { 0x0701, "Parallel port" }, { 0x0800, "Interrupt controller" }, { 0x0801, "DMA controller" },
  { 0x0802, "Timer" }, { 0x0803, "RTC" }, { 0x0900, "Keyboard" }, { 0x0901, "Pen" }, { 0x0902, "Mouse" },
  { 0x0a00, "Dock station" }, { 0x0b00, "i386 cpu" }, { 0x0c00, "Firewire controller" },
  { 0x0c01, "Access bus controller" }, { 0x0c02, "SSA controller" }, { 0x0c03, "USB controller" },
  { 0x0c04, "Fibre channel controller" }, { 0x0c05, "SMBus" },
};

const char *
vm_pci_class_name (uint16_t id)
{
  for (size_t i = 0; i < G_N_ELEMENTS (pci_class_names); i++)
    if (pci_class_names[i].id == id)
      return pci_class_names[i].name;
  return NULL;
}

static void
pci_describe_bars (const VmPciDevice *dev, GString *out)
{
  for (unsigned n = 0; n < VM_PCI_N_BARS; n++)
    {
      const VmPciBar *bar = &dev->bar[n];
      uint64_t last = bar->addr + bar->size - 1;

      if (!bar->region)
        continue;
      if (bar->flags & PCI_BAR_IO)
        g_string_append_printf (out, "      BAR%u: I/O at 0x%04" G_GINT64_MODIFIER "x [0x%04"
                                G_GINT64_MODIFIER "x].\n", n, bar->addr, last);
      else
        g_string_append_printf (out, "      BAR%u: %d bit%s memory at 0x%08" G_GINT64_MODIFIER "x [0x%08"
                                G_GINT64_MODIFIER "x].\n", n, bar->flags & PCI_BAR_MEM64 ? 64 : 32,
                                bar->flags & PCI_BAR_PREFETCH ? " prefetchable" : "", bar->addr, last);
    }
}

static void
pci_describe_bridge (const VmPciDevice *dev, GString *out)
{
  const uint8_t *c = dev->config;

  g_string_append_printf (out, "      BUS %u.\n      secondary bus %u.\n      subordinate bus %u.\n",
                          c[PCI_PRIMARY_BUS], c[PCI_SECONDARY_BUS], c[PCI_SUBORDINATE_BUS]);
  g_string_append_printf (out, "      IO range [0x%04x, 0x%04x]\n",
                          (c[PCI_IO_BASE] & 0xf0u) << 8, (c[PCI_IO_LIMIT] & 0xf0u) << 8 | 0xfff);
  g_string_append_printf (out, "      memory range [0x%08x, 0x%08x]\n",
                          (vm_load_le16 (c + PCI_MEMORY_BASE) & 0xfff0u) << 16,
                          (vm_load_le16 (c + PCI_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffff);
  g_string_append_printf (out, "      prefetchable memory range [0x%08x, 0x%08x]\n",
                          (vm_load_le16 (c + PCI_PREF_MEMORY_BASE) & 0xfff0u) << 16,
                          (vm_load_le16 (c + PCI_PREF_MEMORY_LIMIT) & 0xfff0u) << 16 | 0xfffff);
}

static void
pci_describe_device (VmPciDevice *dev, void *opaque)
{
  GString *out = opaque;
  const uint8_t *c = dev->config;
  uint16_t id = vm_load_le16 (c + PCI_CLASS_DEVICE);
  const char *name = vm_pci_class_name (id), *user_id = vm_device_user_id (&dev->parent);

  g_string_append_printf (out, "  Bus %2u, device %3d, function %d:\n    ",
                          vm_pci_bus_number (vm_pci_bus (dev)), VM_PCI_SLOT (dev->addr),
                          VM_PCI_FUNC (dev->addr));
  if (name)
    g_string_append (out, name);
  else
    g_string_append_printf (out, "Class %04x", id);
  g_string_append_printf (out, ": PCI device %04x:%04x\n", vm_load_le16 (c + PCI_VENDOR_ID),
                          vm_load_le16 (c + PCI_DEVICE_ID));
  if (!pci_class (dev)->is_bridge && vm_load_le16 (c + PCI_SUBSYSTEM_VENDOR_ID) != 0)
    g_string_append_printf (out, "      PCI subsystem %04x:%04x\n",
                            vm_load_le16 (c + PCI_SUBSYSTEM_VENDOR_ID), vm_load_le16 (c + PCI_SUBSYSTEM_ID));
  if (c[PCI_INTERRUPT_PIN] != 0)
    g_string_append_printf (out, "      IRQ %u, pin %c\n", c[PCI_INTERRUPT_LINE],
                            'A' + c[PCI_INTERRUPT_PIN] - 1);
  if (pci_class (dev)->is_bridge)
    pci_describe_bridge (dev, out);
  pci_describe_bars (dev, out);
  g_string_append_printf (out, "      id \"%s\"\n", user_id ? user_id : "");
}

char *
vm_pci_describe (VmPciBus *root)
{
  GString *out = g_string_new (NULL);

  vm_pci_foreach (root, pci_describe_device, out);
  return g_string_free (out, FALSE);
}
