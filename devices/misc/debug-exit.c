/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A port that ends the machine with an exit status of the guest's choice: for test programs. */
#include "devices/isa/isa.h"

typedef struct DebugExit {
  VmIsaDevice parent;
  uint32_t iobase, iosize; /* properties */
} DebugExit;

static uint64_t
debug_exit_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

static void
debug_exit_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmEnv *env = ((DebugExit *) opaque)->parent.parent.env;

  /* Odd, so that no guest can claim success. */
  if (env->request_exit)
    env->request_exit (env->machine, (int) ((uint32_t) value << 1 | 1));
}

static const VmRegionOps debug_exit_ops = {
  .read = debug_exit_read, .write = debug_exit_write, .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

static bool
debug_exit_realize (VmDevice *dev, GError **error)
{
  DebugExit *self = (DebugExit *) dev;

  return vm_isa_map_io (dev, self->iobase, self->iosize, &debug_exit_ops, self, error);
}

static const VmProp debug_exit_props[] = {
  VM_PROP ("iobase", DebugExit, iobase, 0x501, "first I/O port"),
  VM_PROP ("iosize", DebugExit, iosize, 2, "number of ports"),
  { 0 }
};

static const VmDeviceClass debug_exit_class = {
  .realize = debug_exit_realize, .bus_type = VM_ISA_BUS_TYPE, .category = "Misc", .user_creatable = true,
};

const VmType vm_debug_exit_type = {
  .name = "isa-debug-exit", .parent = &vm_isa_device_type, .size = sizeof (DebugExit),
  .help = "Port that ends the machine", .props = debug_exit_props, .klass = &debug_exit_class,
};
