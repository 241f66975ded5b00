/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One IDE channel on the ISA bus, without DMA. */
#include "devices/isa/isa.h"
#include "devices/storage/piix3-ide.h"

typedef struct IsaIde {
  VmIsaDevice parent;
  /* properties */
  uint32_t    iobase, iobase2, irq;
  VmIdeBus    bus;
} IsaIde;

VmIdeBus *
vm_isa_ide_bus (VmDevice *dev)
{
  return &((IsaIde *) dev)->bus;
}

static bool
isa_ide_realize (VmDevice *dev, GError **error)
{
  IsaIde *self = (IsaIde *) dev;
  VmIdeBus *bus = &self->bus;

  vm_ide_bus_init (bus, dev, NULL, 0, 2);
  bus->irq = vm_isa_irq (dev, self->irq);
  vm_region_init_io (&bus->command_ports, dev->env->memory, &vm_ide_command_ops, bus, "ide", 8);
  vm_region_init_io (&bus->control_port, dev->env->memory, &vm_ide_control_ops, bus, "ide", 1);
  if (vm_isa_add_io (dev, self->iobase, &bus->command_ports, error)
      && vm_isa_add_io (dev, self->iobase2, &bus->control_port, error))
    return true;
  vm_ide_bus_destroy (bus);
  return false;
}

static void
isa_ide_unrealize (VmDevice *dev)
{
  vm_ide_bus_destroy (&((IsaIde *) dev)->bus);
}

static void
isa_ide_reset (VmDevice *dev, VmResetKind kind)
{
  vm_ide_bus_reset (&((IsaIde *) dev)->bus);
}

static const VmProp isa_ide_props[] = {
  VM_PROP ("iobase", IsaIde, iobase, 0x1f0, "first command port"),
  VM_PROP ("iobase2", IsaIde, iobase2, 0x3f6, "control port"),
  VM_PROP ("irq", IsaIde, irq, 14, "ISA interrupt line"),
  { 0 },
};

static const VmField isa_ide_state[] = {
  VM_FIELD_EMBED (IsaIde, bus, vm_ide_bus_state),
  { 0 },
};

static const VmDeviceClass isa_ide_class = {
  .realize = isa_ide_realize,
  .unrealize = isa_ide_unrealize,
  .reset = isa_ide_reset,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Storage",
  .user_creatable = true,
};

const VmType vm_isa_ide_type = {
  .name = "isa-ide",
  .parent = &vm_isa_device_type,
  .size = sizeof (IsaIde),
  .help = "IDE channel on ISA",
  .props = isa_ide_props,
  .state = isa_ide_state,
  .klass = &isa_ide_class,
};
