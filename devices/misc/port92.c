/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Port 92h (82371SB data sheet 290550, section 2.5.7). */
#include "devices/misc/port92.h"

enum { PORT92_INIT = 1 << 0, PORT92_A20 = 1 << 1 };

static uint64_t
port92_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((VmPort92 *) opaque)->value;
}

static void
port92_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPort92 *self = opaque;
  VmEnv *env = self->parent.parent.env;
  bool init = (value & PORT92_INIT) && !(self->value & PORT92_INIT);

  self->value = (uint8_t) value;
  vm_irq_set (&self->a20, (value & PORT92_A20) != 0);
  if (init && env->request_reset)
    env->request_reset (env->machine, VM_RESET_COLD);
}

static const VmRegionOps port92_ops = { .read = port92_read, .write = port92_write, .impl = { .min = 1, .max = 1 } };

static void
port92_reset (VmDevice *dev, VmResetKind kind)
{
  ((VmPort92 *) dev)->value = 0;
}

static bool
port92_realize (VmDevice *dev, GError **error)
{
  VmPort92 *self = (VmPort92 *) dev;

  vm_region_init_io (&self->io, dev->env->memory, &port92_ops, self, "port92", 1);
  return vm_isa_add_io (dev, 0x92, &self->io, error);
}

static const VmField port92_state[] = { VM_FIELD (VmPort92, value), { 0 } };

static const VmDeviceClass port92_class = {
  .realize = port92_realize, .reset = port92_reset, .bus_type = VM_ISA_BUS_TYPE, .category = "Misc",
};

const VmType vm_port92_type = {
  .name = "port92", .parent = &vm_isa_device_type, .size = sizeof (VmPort92),
  .help = "System control port A: A20 and reset", .state = port92_state, .klass = &port92_class,
};
