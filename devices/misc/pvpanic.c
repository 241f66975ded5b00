/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Panic notifier on the ISA bus (the published "pvpanic" interface): reading the port tells which events are
 * understood, writing one reports it. */
#include "devices/isa/isa.h"
#include "devices/misc/pvpanic.h"

enum { PVPANIC_PANICKED = 1 << 0, PVPANIC_CRASH_LOADED = 1 << 1 };

static uint64_t
pvpanic_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((VmPvpanic *) opaque)->events;
}

void
vm_pvpanic_report (VmEnv *env, uint8_t value)
{
  if (!env->request_panic || !(value & (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)))
    return;
  env->request_panic (env->machine, !(value & PVPANIC_PANICKED));
}

static void
pvpanic_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  vm_pvpanic_report (((VmPvpanic *) opaque)->parent.parent.env, (uint8_t) value);
}

static const VmRegionOps pvpanic_ops = {
  .read = pvpanic_read, .write = pvpanic_write, .impl = { .min = 1, .max = 1 },
};

static bool
pvpanic_realize (VmDevice *dev, GError **error)
{
  VmPvpanic *self = (VmPvpanic *) dev;

  return vm_isa_map_io (dev, self->ioport, 1, &pvpanic_ops, self, error);
}

static const VmProp pvpanic_props[] = {
  VM_PROP ("ioport", VmPvpanic, ioport, 0x505, "I/O port"),
  VM_PROP ("events", VmPvpanic, events, 3, "events it offers, a bit each"),
  { 0 }
};

static const VmDeviceClass pvpanic_class = {
  .realize = pvpanic_realize, .bus_type = VM_ISA_BUS_TYPE, .category = "Misc", .user_creatable = true,
};

const VmType vm_pvpanic_type = {
  .name = "pvpanic", .parent = &vm_isa_device_type, .size = sizeof (VmPvpanic),
  .help = "Panic notifier", .props = pvpanic_props, .klass = &pvpanic_class,
};
