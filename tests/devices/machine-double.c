/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What devices ask of the machine, for a bench without one. */
#include "engine/machine/machine.h"

char *
vm_machine_find_file (VmMachine *machine, const char *name)
{
  return g_strdup (name);
}

void
vm_machine_unplug (VmMachine *machine, VmDevice *dev)
{
  vm_device_unrealize (dev);
}

void
vm_machine_emit (VmMachine *machine, const char *name, const char *format, ...)
{
}
