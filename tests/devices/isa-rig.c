/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ISA bench: see isa-rig.h. */
#include "tests/devices/isa-rig.h"

typedef struct TestBridge {
  VmDevice parent;
  VmIsaBus bus;
} TestBridge;

static const VmDeviceClass test_bridge_class = { 0 };
static const VmType test_bridge_type = {
  .name = "test-isa-bridge", .parent = &vm_device_type, .size = sizeof (TestBridge), .klass = &test_bridge_class,
};

void
isa_rig_init (IsaRig *isa, uint64_t ram_size)
{
  VmIrq lines[VM_ISA_IRQS];

  memset (isa, 0, sizeof *isa);
  rig_init (&isa->rig, ram_size);
  isa->bridge = vm_device_new (&test_bridge_type);
  rig_add (&isa->rig, isa->bridge, NULL);
  isa->bus = &((TestBridge *) isa->bridge)->bus;
  vm_isa_bus_init (isa->bus, isa->bridge, "isa.0", &isa->rig.system_memory, &isa->rig.system_io);
  for (int n = 0; n < VM_ISA_IRQS; n++)
    lines[n] = probe_irq (&isa->line[n]);
  vm_isa_bus_set_irqs (isa->bus, lines);
}

void
isa_rig_clear (IsaRig *isa)
{
  rig_remove (isa->bridge);
  rig_clear (&isa->rig);
}
