/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A PC without PCI: the ISA bus hangs on the processor. */
#include "devices/board/pc-i440fx.h"

#include "engine/base/log.h"

#define BIOS_FILE "bios.bin"

/* The wires between processor and ISA bus. */
typedef struct IsaBridge {
  VmDevice parent;
  VmIsaBus bus;
} IsaBridge;

static bool
isa_bridge_realize (VmDevice *dev, GError **error)
{
  vm_isa_bus_init (&((IsaBridge *) dev)->bus, dev, "isa.0", dev->env->system_memory, dev->env->system_io);
  return true;
}

static const VmDeviceClass isa_bridge_class = {
  .realize = isa_bridge_realize, .category = "Controller/Bridge/Hub",
};

const VmType vm_isa_bridge_type = {
  .name = "isabus-bridge", .parent = &vm_device_type, .size = sizeof (IsaBridge),
  .help = "ISA bus on the processor", .klass = &isa_bridge_class,
};

static bool
add_ide (VmPc *pc, GError **error)
{
  static const struct { uint32_t iobase, iobase2, irq; } ports[] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };
  const VmType *type = vm_pc_type (pc, "isa-ide");

  for (size_t i = 0; type && i < G_N_ELEMENTS (ports); i++)
    {
      VmDevice *dev = vm_machine_new_device (&pc->parent, type);
      bool ok;

      vm_object_set_uint (&dev->parent, "iobase", ports[i].iobase);
      vm_object_set_uint (&dev->parent, "iobase2", ports[i].iobase2);
      vm_object_set_uint (&dev->parent, "irq", ports[i].irq);
      ok = vm_device_realize (dev, &pc->parent.env, &pc->isa->parent, error);
      vm_object_unref (&dev->parent);
      if (!ok)
        return false;
    }
  return true;
}

static bool
add_optional (VmPc *pc, const char *name, bool wanted, GError **error)
{
  const VmType *type = vm_pc_type (pc, name);

  return !wanted || !type || vm_machine_add_device (&pc->parent, type, &pc->isa->parent, error) != NULL;
}

static void
on_ready (VmMachine *machine, void *opaque)
{
  VmPc *pc = VM_PC (machine);
  g_autoptr (GError) error = NULL;

  vm_pc_fill_cmos (pc);
  if (!vm_pc_finish_fw_cfg (pc, &error) && !machine->ready_error)
    machine->ready_error = g_steal_pointer (&error);
}

static bool
make_parts (VmPc *pc, GError **error)
{
  VmMachine *machine = &pc->parent;
  VmDevice *bridge = vm_machine_add_device (machine, &vm_isa_bridge_type, NULL, error);

  if (!bridge)
    return false;
  pc->isa = &((IsaBridge *) bridge)->bus;
  vm_pc_map_ram (pc);
  return vm_pc_make_cpus (pc, NULL, error)
         && vm_pc_map_bios (pc, machine->env.system_memory, BIOS_FILE, true, error)
         && vm_pc_make_fw_cfg (pc, error) && vm_pc_make_isa_chips (pc, error)
         && vm_pc_make_isa_ports (pc, error) && add_ide (pc, error)
         && vm_pc_add_vga (pc, &pc->isa->parent, false, error)
         && vm_pc_make_nics (pc, NULL, &pc->isa->parent, error)
         && add_optional (pc, "isa-fdc", true, error) && vm_pc_add_drives (pc, error);
}

bool
vm_isapc_init (VmMachine *machine, GError **error)
{
  VmPc *pc = VM_PC (machine);
  const VmSettings *s = machine->settings;
  const char *order = s->boot_once ? s->boot_once : s->boot_order ? s->boot_order : "cad";

  pc->hpet = false;
  if (!make_parts (pc, error) || !vm_pc_set_boot_order (machine, order, error))
    return false;
  machine->inject_nmi = vm_pc_inject_nmi;
  machine->describe_irq = vm_pc_describe_irq;
  machine->set_irq = vm_pc_set_irq;
  machine->set_boot_order = vm_pc_set_boot_order;
  vm_pc_watch_machine (pc);
  vm_machine_watch (machine, VM_MACHINE_READY, on_ready, NULL);
  return true;
}

const VmType vm_isapc_machine_type = {
  .name = "isapc-machine", .parent = &vm_pc_machine_type, .size = sizeof (VmPc), .help = "ISA-only PC",
};
