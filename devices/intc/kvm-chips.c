/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stand-ins for interrupt controllers that work inside the accelerator. Their state of power-on is what the kernel
 * made; it is put back at each reset. */
#include "devices/intc/kvm-chips.h"

#include "engine/machine/machine.h"

/* --- 8259 and I/O APIC -------------------------------------------------------------------------- */

static void
chip_fetch (VmMachine *machine, void *opaque)
{
  VmKvmChip *self = opaque;
  size_t size = 0;

  if (vm_machine_is_running (machine))
    return;
  if (self->accel->ops->irqchip->get_state (self->accel, self->part, self->state, &size))
    self->size = (uint32_t) size;
}

static bool
chip_realize (VmDevice *dev, GError **error)
{
  VmKvmChip *self = (VmKvmChip *) dev;
  size_t size = 0;

  if (!self->accel || !self->accel->ops->irqchip->get_state (self->accel, self->part, self->initial, &size))
    return vm_fail (error, "the accelerator has no %s", dev->parent.type->name);
  self->size = (uint32_t) size;
  memcpy (self->state, self->initial, sizeof self->state);
  if (dev->env->machine)
    vm_machine_watch (dev->env->machine, VM_MACHINE_STATE, chip_fetch, self);
  return true;
}

static void
chip_unrealize (VmDevice *dev)
{
  if (dev->env->machine)
    vm_machine_unwatch (dev->env->machine, VM_MACHINE_STATE, chip_fetch, dev);
}

static void
chip_reset (VmDevice *dev, VmResetKind kind)
{
  VmKvmChip *self = (VmKvmChip *) dev;

  memcpy (self->state, self->initial, sizeof self->state);
  self->accel->ops->irqchip->set_state (self->accel, self->part, self->initial, self->size);
}

static bool
chip_post_load (VmDevice *dev, GError **error)
{
  VmKvmChip *self = (VmKvmChip *) dev;

  if (self->size > sizeof self->state
      || !self->accel->ops->irqchip->set_state (self->accel, self->part, self->state, self->size))
    return vm_fail (error, "the accelerator refuses the state of %s", dev->parent.type->name);
  return true;
}

static const VmField chip_state[] = {
  VM_FIELD (VmKvmChip, size), VM_FIELD_ARRAY (VmKvmChip, state),
  { 0 }
};

static const VmDeviceClass chip_class = {
  .realize = chip_realize, .unrealize = chip_unrealize, .reset = chip_reset, .post_load = chip_post_load,
  .category = "Misc",
};

const VmType vm_kvm_i8259_type = {
  .name = "kvm-i8259", .parent = &vm_device_type, .size = sizeof (VmKvmChip),
  .help = "8259 interrupt controller inside the accelerator", .state = chip_state, .klass = &chip_class,
};

const VmType vm_kvm_ioapic_type = {
  .name = "kvm-ioapic", .parent = &vm_device_type, .size = sizeof (VmKvmChip),
  .help = "I/O APIC inside the accelerator", .state = chip_state, .klass = &chip_class,
};

/* --- local APIC ----------------------------------------------------------------------------------- */

/* What is left for the processor to ask outside: the 8259 pair, when that is a device. */
static int
apic_get_vector (void *opaque)
{
  VmLapicBus *bus = ((VmKvmApic *) opaque)->bus;

  return bus->extint ? bus->extint (bus->extint_opaque) : -1;
}

static bool
apic_has_vector (void *opaque)
{
  VmKvmApic *self = opaque;

  return (__atomic_load_n (&self->cpu->env.request, __ATOMIC_SEQ_CST) & VM_REQ_HARD) != 0;
}

static uint8_t
apic_get_tpr (void *opaque)
{
  return ((VmKvmApic *) opaque)->registers[0x80];
}

static void
apic_set_tpr (void *opaque, uint8_t tpr)
{
}

static bool
apic_set_base (void *opaque, uint64_t value)
{
  return true;
}

static bool
apic_msr_read (void *opaque, uint32_t msr, uint64_t *value)
{
  return false;
}

static bool
apic_msr_write (void *opaque, uint32_t msr, uint64_t value)
{
  return false;
}

static void
apic_set_deadline (void *opaque, uint64_t tsc)
{
}

static const VmX86ApicOps apic_ops = {
  .get_vector = apic_get_vector, .has_vector = apic_has_vector, .get_tpr = apic_get_tpr,
  .set_tpr = apic_set_tpr, .set_base = apic_set_base, .msr_read = apic_msr_read, .msr_write = apic_msr_write,
  .set_deadline = apic_set_deadline,
};

void
vm_kvm_apic_attach (VmKvmApic *apic, VmLapicBus *bus, VmX86Cpu *cpu)
{
  apic->bus = bus;
  apic->cpu = cpu;
  cpu->apic_ops = &apic_ops;
  cpu->apic = apic;
  g_ptr_array_add (bus->apics, apic);
}

static const VmIrqchipOps *
apic_chip (const VmKvmApic *self)
{
  return self->cpu->parent.accel->ops->irqchip;
}

static void
apic_fetch (VmMachine *machine, void *opaque)
{
  VmKvmApic *self = opaque;

  if (vm_machine_is_running (machine))
    return;
  apic_chip (self)->get_lapic (&self->cpu->parent, self->registers);
}

static void
apic_reset (VmDevice *dev, VmResetKind kind)
{
  VmKvmApic *self = (VmKvmApic *) dev;

  self->cpu->env.apic_base = VM_LAPIC_DEFAULT_BASE | 1 << 11 | (self->cpu->parent.index == 0 ? 1 << 8 : 0);
  memcpy (self->registers, self->initial, sizeof self->registers);
  apic_chip (self)->set_lapic (&self->cpu->parent, self->initial);
}

static bool
apic_realize (VmDevice *dev, GError **error)
{
  VmKvmApic *self = (VmKvmApic *) dev;

  if (!self->cpu || !apic_chip (self)->get_lapic (&self->cpu->parent, self->initial))
    return vm_fail (error, "the accelerator has no local APIC");
  if (dev->env->machine)
    vm_machine_watch (dev->env->machine, VM_MACHINE_STATE, apic_fetch, self);
  apic_reset (dev, VM_RESET_COLD);
  return true;
}

static void
apic_unrealize (VmDevice *dev)
{
  VmKvmApic *self = (VmKvmApic *) dev;

  if (dev->env->machine)
    vm_machine_unwatch (dev->env->machine, VM_MACHINE_STATE, apic_fetch, self);
  if (self->bus)
    g_ptr_array_remove (self->bus->apics, self);
}

static bool
apic_post_load (VmDevice *dev, GError **error)
{
  VmKvmApic *self = (VmKvmApic *) dev;

  if (!apic_chip (self)->set_lapic (&self->cpu->parent, self->registers))
    return vm_fail (error, "the accelerator refuses the state of the local APIC");
  return true;
}

static const VmField apic_state[] = { VM_FIELD_ARRAY (VmKvmApic, registers), { 0 } };

static const VmDeviceClass apic_class = {
  .realize = apic_realize, .unrealize = apic_unrealize, .reset = apic_reset, .post_load = apic_post_load,
  .category = "Misc",
};

const VmType vm_kvm_apic_type = {
  .name = "kvm-apic", .parent = &vm_device_type, .size = sizeof (VmKvmApic),
  .help = "Local APIC inside the accelerator", .state = apic_state, .klass = &apic_class,
};
