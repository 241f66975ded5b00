/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NVMe subsystems: what several controllers have in common. */
#include "devices/nvme/nvme.h"

static bool
subsys_realize (VmDevice *dev, GError **error)
{
  VmNvmeSubsystem *self = (VmNvmeSubsystem *) dev;
  const char *name = self->nqn ? self->nqn : vm_device_user_id (dev);

  if (!name)
    return vm_fail (error, "nqn: a subsystem without an id needs a name");
  if ((size_t) g_snprintf (self->subnqn, sizeof self->subnqn, "nqn.2019-08.org.qemu:%s", name)
      >= sizeof self->subnqn - 32)
    return vm_fail (error, "nqn: '%s' is too long", name);
  return true;
}

static void
subsys_unrealize (VmDevice *dev)
{
  g_clear_pointer (&((VmNvmeSubsystem *) dev)->serial, g_free);
}

static const VmProp subsys_props[] = {
  VM_PROP_STRING ("nqn", VmNvmeSubsystem, nqn, NULL, "last part of the subsystem's name; none: its id"),
  { 0 },
};

static const VmDeviceClass subsys_class = {
  .realize = subsys_realize,
  .unrealize = subsys_unrealize,
  .category = "Storage",
  .user_creatable = true,
};

const VmType vm_nvme_subsys_type = {
  .name = "nvme-subsys",
  .parent = &vm_device_type,
  .size = sizeof (VmNvmeSubsystem),
  .help = "Virtual NVMe subsystem",
  .props = subsys_props,
  .klass = &subsys_class,
};
