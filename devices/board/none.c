/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The empty machine: memory at most, and a processor when one is asked for by name. */
#include "devices/board/none.h"

#include "engine/x86/model.h"

bool
vm_none_init (VmMachine *machine, GError **error)
{
  const VmSettings *s = machine->settings;
  bool ok = true;

  if (s->cpu)
    {
      g_autoptr (VmX86CpuOption) option = vm_x86_cpu_parse (machine->types, s->cpu, error);
      VmX86Cpu *cpu = option ? vm_x86_cpu_new (option, error) : NULL;

      if (!cpu)
        return false;
      cpu->memory_as = machine->env.memory_as;
      ok = vm_machine_add_cpu (machine, &cpu->parent, error);
      vm_object_unref (&cpu->parent.parent.parent);
    }
  if (machine->ram)
    vm_region_add (machine->env.system_memory, 0, machine->ram);
  if (ok && s->fw_cfg->len)
    return vm_fail (error, "%s: fw_cfg device not available", ((VmFwCfgSpec *) s->fw_cfg->pdata[0])->text);
  if (ok && s->firmware)
    return vm_fail (error, "The '%s' machine has no firmware", machine->board->name);
  return ok;
}

const VmType vm_none_machine_type = {
  .name = "none-machine", .parent = &vm_machine_type, .size = sizeof (VmMachine), .help = "empty machine",
};
