/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Watchdog of the iBASE IB700 board: writing one port starts it with a time, writing another stops it. */
#include "devices/isa/isa.h"
#include "engine/machine/machine.h"

enum { PORT_STOP = 0x441, PORT_START = 0x443 };

typedef struct Ib700 {
  VmIsaDevice parent;
  VmTimer     timer;
} Ib700;

static void
ib700_expired (void *opaque)
{
  vm_machine_watchdog_expired (((Ib700 *) opaque)->parent.parent.env->machine);
}

static uint64_t
ib700_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0xff;
}

/* Steps of two seconds, downwards: 0 is 30 s, 15 at once. */
static void
ib700_start (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Ib700 *self = opaque;
  int64_t seconds = 30 - 2 * (int64_t) (value & 15);

  vm_timer_set (&self->timer, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL)
                                + seconds * VM_NS_PER_SEC);
}

static void
ib700_stop (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  vm_timer_cancel (&((Ib700 *) opaque)->timer);
}

static const VmRegionOps start_ops = { .read = ib700_read, .write = ib700_start, .impl = { .min = 1, .max = 1 } };
static const VmRegionOps stop_ops = { .read = ib700_read, .write = ib700_stop, .impl = { .min = 1, .max = 1 } };

static void
ib700_reset (VmDevice *dev, VmResetKind kind)
{
  vm_timer_cancel (&((Ib700 *) dev)->timer);
}

static bool
ib700_realize (VmDevice *dev, GError **error)
{
  Ib700 *self = (Ib700 *) dev;

  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, ib700_expired, self);
  return vm_isa_map_io (dev, PORT_STOP, 1, &stop_ops, self, error)
         && vm_isa_map_io (dev, PORT_START, 1, &start_ops, self, error);
}

static void
ib700_unrealize (VmDevice *dev)
{
  vm_timer_cancel (&((Ib700 *) dev)->timer);
}

static const VmField ib700_state[] = { VM_FIELD_TIMER_OF (Ib700, timer), { 0 } };

static const VmDeviceClass ib700_class = {
  .realize = ib700_realize, .unrealize = ib700_unrealize, .reset = ib700_reset, .category = "Watchdog",
  .bus_type = VM_ISA_BUS_TYPE, .user_creatable = true,
};

const VmType vm_ib700_type = {
  .name = "ib700", .parent = &vm_isa_device_type, .size = sizeof (Ib700), .help = "iBASE 700 watchdog",
  .state = ib700_state, .klass = &ib700_class,
};
