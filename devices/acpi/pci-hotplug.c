/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hot-plug of PCI slots by ACPI: who comes, who is to go, eject. */
#include "devices/acpi/hotplug.h"

#include "engine/machine/machine.h"

static uint32_t
slot_bit (const VmPciDevice *dev)
{
  return UINT32_C (1) << VM_PCI_SLOT (dev->addr);
}

/* The devices of a slot go together; function 0 last. */
static void
hotplug_eject (VmAcpiPciHotplug *self, unsigned slot)
{
  for (unsigned func = 8; func-- > 0;)
    {
      VmPciDevice *dev = self->bus->devices[VM_PCI_DEVFN (slot, func)];

      if (dev && vm_device_class (&dev->parent)->hotpluggable)
        vm_machine_unplug (dev->parent.env->machine, &dev->parent);
    }
  self->down &= ~(UINT32_C (1) << slot);
}

static uint32_t
hotplug_removable (const VmAcpiPciHotplug *self)
{
  uint32_t bits = 0;

  for (unsigned slot = 0; self->bus && slot < VM_PCI_SLOTS; slot++)
    {
      const VmPciDevice *dev = self->bus->devices[VM_PCI_DEVFN (slot, 0)];

      if (!dev || vm_device_class (&dev->parent)->hotpluggable)
        bits |= UINT32_C (1) << slot;
    }
  return bits;
}

/* The index that the guest is to name the selected slot's device by. */
static uint32_t
hotplug_index (const VmAcpiPciHotplug *self)
{
  const VmPciDevice *dev = self->bus && self->index
                             ? self->bus->devices[VM_PCI_DEVFN (g_bit_nth_lsf (self->index, -1), 0)] : NULL;

  return dev ? dev->acpi_index : 0;
}

static uint64_t
hotplug_read (void *opaque, uint64_t offset, unsigned size)
{
  VmAcpiPciHotplug *self = opaque;
  uint32_t value = 0;

  if (self->select != 0)
    return 0;
  switch (offset)
    {
    case VM_ACPI_PCI_UP:
      value = self->up;
      self->up = 0;
      break;
    case VM_ACPI_PCI_DOWN:
      value = self->down;
      self->down = 0;
      break;
    case VM_ACPI_PCI_REMOVABLE:
      value = hotplug_removable (self);
      break;
    case VM_ACPI_PCI_INDEX:
      value = hotplug_index (self);
      break;
    }
  return value;
}

static void
hotplug_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmAcpiPciHotplug *self = opaque;

  switch (offset)
    {
    case VM_ACPI_PCI_EJECT:
      for (unsigned slot = 0; self->bus && self->select == 0 && slot < VM_PCI_SLOTS; slot++)
        if (value >> slot & 1)
          hotplug_eject (self, slot);
      break;
    case VM_ACPI_PCI_SELECT:
      self->select = (uint32_t) value;
      break;
    case VM_ACPI_PCI_INDEX:
      self->index = (uint32_t) value;
      break;
    }
}

static const VmRegionOps hotplug_ops = {
  .read = hotplug_read, .write = hotplug_write, .valid = { .min = 4, .max = 4 }, .impl = { .min = 4, .max = 4 },
};

/* --- what the user does ----------------------------------------------------------------------------------- */

/* Functions other than 0 wait for it: a slot is looked at once. */
static void
bus_plugged (VmBus *bus, VmDevice *dev)
{
  VmAcpiPciHotplug *self = VM_PCI_BUS (bus)->hotplug_opaque;

  if (VM_PCI_FUNC (VM_PCI_DEVICE (dev)->addr) != 0)
    return;
  self->up |= slot_bit (VM_PCI_DEVICE (dev));
  vm_irq_raise (&self->event);
}

static void
bus_request_unplug (VmBus *bus, VmDevice *dev)
{
  VmAcpiPciHotplug *self = VM_PCI_BUS (bus)->hotplug_opaque;

  self->down |= slot_bit (VM_PCI_DEVICE (dev));
  vm_irq_raise (&self->event);
}

void
vm_acpi_pci_hotplug_serve (VmAcpiPciHotplug *self, VmPciBus *bus)
{
  self->bus = bus;
  bus->hotplug_opaque = self;
  bus->parent.hotplug = true;
  bus->parent.plugged = bus_plugged;
  bus->parent.request_unplug = bus_request_unplug;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

/* A guest that starts anew will not answer to what was asked of it before: what was to go is gone. */
void
vm_acpi_pci_hotplug_reset (VmAcpiPciHotplug *self)
{
  self->up = self->down = self->select = self->index = 0;
  for (unsigned devfn = VM_PCI_DEVFNS; self->bus && devfn-- > 0;)
    {
      VmPciDevice *dev = self->bus->devices[devfn];

      if (dev && dev->parent.pending_unplug)
        vm_machine_unplug (dev->parent.env->machine, &dev->parent);
    }
}

void
vm_acpi_pci_hotplug_init (VmAcpiPciHotplug *self, VmEnv *env, uint16_t base)
{
  vm_region_init_io (&self->io, env->memory, &hotplug_ops, self, "acpi-pci-hotplug", VM_ACPI_PCI_LENGTH);
  vm_region_add (env->system_io, base, &self->io);
}

void
vm_acpi_pci_hotplug_destroy (VmAcpiPciHotplug *self)
{
  vm_region_destroy (&self->io);
}

const VmField vm_acpi_pci_hotplug_state[] = {
  VM_FIELD (VmAcpiPciHotplug, up), VM_FIELD (VmAcpiPciHotplug, down), VM_FIELD (VmAcpiPciHotplug, select),
  VM_FIELD (VmAcpiPciHotplug, index),
  { 0 }
};
