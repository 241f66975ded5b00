/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NMI status and control register (82371SB data sheet 290550, section 2.5.3), which has the PC speaker's gate. */
#include "devices/misc/pcspk.h"

enum { P61_GATE2 = 1 << 0, P61_SPEAKER = 1 << 1, P61_NMI_ENABLES = 3 << 2, P61_REFRESH = 1 << 4, P61_OUT2 = 1 << 5 };

/* Counter 1 of a PC/AT starts a refresh each 18 pulses of its clock; the bit toggles with it. */
#define REFRESH_NS 15085

static uint64_t
pcspk_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPcspk *self = opaque;
  VmI8254 *pit = (VmI8254 *) self->pit;
  int64_t now = vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);

  return self->data | (now / REFRESH_NS & 1 ? P61_REFRESH : 0) | (vm_i8254_gate (pit, 2) ? P61_GATE2 : 0)
         | (vm_i8254_output (pit, 2) ? P61_OUT2 : 0);
}

static void
pcspk_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPcspk *self = opaque;

  self->data = value & (P61_SPEAKER | P61_NMI_ENABLES);
  vm_i8254_set_gate ((VmI8254 *) self->pit, 2, value & P61_GATE2);
}

static const VmRegionOps pcspk_ops = { .read = pcspk_read, .write = pcspk_write, .impl = { .min = 1, .max = 1 } };

static void
pcspk_reset (VmDevice *dev, VmResetKind kind)
{
  ((VmPcspk *) dev)->data = 0;
}

static bool
pcspk_realize (VmDevice *dev, GError **error)
{
  VmPcspk *self = (VmPcspk *) dev;

  if (!self->pit)
    return vm_fail (error, "pcspk: No \"pit\" set or available");
  return vm_isa_map_io (dev, self->iobase, 1, &pcspk_ops, self, error);
}

static const VmProp pcspk_props[] = {
  VM_PROP ("iobase", VmPcspk, iobase, 0x61, "I/O port"),
  VM_PROP_STRING ("audiodev", VmPcspk, audiodev, NULL, "audio back end for the speaker"),
  VM_PROP ("migrate", VmPcspk, migrate, true, "on/off"),
  VM_PROP_LINK_TO ("pit", VmPcspk, pit, &vm_i8254_type, "the timer whose counter 2 drives the speaker"),
  { 0 }
};

static const VmField pcspk_state[] = { VM_FIELD (VmPcspk, data), { 0 } };

static const VmDeviceClass pcspk_class = {
  .realize = pcspk_realize, .reset = pcspk_reset, .bus_type = VM_ISA_BUS_TYPE, .category = "Sound",
};

const VmType vm_pcspk_type = {
  .name = "isa-pcspk", .parent = &vm_isa_device_type, .size = sizeof (VmPcspk),
  .help = "PC speaker", .props = pcspk_props, .state = pcspk_state, .klass = &pcspk_class,
};
