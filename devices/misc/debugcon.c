/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Debug console of the Bochs BIOS: a byte written to its port goes to a character back end; reading it gives a
 * fixed value, by which firmware knows that it is there. */
#include "devices/isa/isa.h"
#include "engine/char/char.h"

typedef struct Debugcon {
  VmIsaDevice parent;
  uint32_t iobase, readback; /* properties */
  VmCharFe chr;
} Debugcon;

static uint64_t
debugcon_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((Debugcon *) opaque)->readback;
}

static void
debugcon_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  uint8_t byte = (uint8_t) value;

  /* There is no way to tell the guest to wait: what the back end does not take is lost. */
  vm_char_fe_write (&((Debugcon *) opaque)->chr, &byte, 1);
}

static const VmRegionOps debugcon_ops = {
  .read = debugcon_read, .write = debugcon_write, .valid = { .min = 1, .max = 1 }, .impl = { .min = 1, .max = 1 },
};

static void
debugcon_unrealize (VmDevice *dev)
{
  vm_char_fe_detach (&((Debugcon *) dev)->chr);
}

static bool
debugcon_realize (VmDevice *dev, GError **error)
{
  Debugcon *self = (Debugcon *) dev;

  if (!self->chr.id)
    return vm_fail (error, "Can't create debugcon device, empty char device");
  if (!vm_char_fe_attach (&self->chr, dev->env->root, NULL, self, error))
    return false;
  if (vm_isa_map_io (dev, self->iobase, 1, &debugcon_ops, self, error))
    return true;
  debugcon_unrealize (dev);
  return false;
}

static const VmProp debugcon_props[] = {
  VM_PROP ("iobase", Debugcon, iobase, 0xe9, "I/O port"),
  VM_PROP_CUSTOM_KIND ("chardev", Debugcon, chr, &vm_prop_chardev, NULL, "character back end"),
  VM_PROP ("readback", Debugcon, readback, 0xe9, "what reading the port gives"),
  { 0 }
};

static const VmDeviceClass debugcon_class = {
  .realize = debugcon_realize, .unrealize = debugcon_unrealize, .bus_type = VM_ISA_BUS_TYPE,
  .category = "Misc", .user_creatable = true,
};

const VmType vm_debugcon_type = {
  .name = "isa-debugcon", .parent = &vm_isa_device_type, .size = sizeof (Debugcon),
  .help = "Debug console port", .props = debugcon_props, .klass = &debugcon_class,
};
