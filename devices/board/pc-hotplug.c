/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processors that come and go, and what the user plugs into the board itself. */
#include "devices/board/pc.h"

#include "devices/board/pc-dimm.h"
#include "engine/x86/model.h"

/* --- the place a processor names ---------------------------------------------------------------------------- */

static bool
check_place_id (const char *name, uint32_t value, unsigned n, bool optional, GError **error)
{
  if (value == UINT32_MAX)
    return optional || vm_fail (error, "CPU %s is not set", name);
  return value < MAX (n, 1) || vm_fail (error, "Invalid CPU %s: %u must be in range 0:%u", name, value, MAX (n, 1) - 1);
}

/* By APIC id when that is given, else by its place in the topology. */
static bool
find_place (VmPc *pc, const VmX86Model *m, unsigned *index, GError **error)
{
  const VmSmp *smp = &pc->parent.settings->smp;
  unsigned cores = smp->cores * smp->modules * smp->clusters;

  if (m->apic_id != UINT32_MAX)
    {
      for (*index = 0; *index < pc->n_possible; ++*index)
        if (pc->apic_ids[*index] == m->apic_id)
          return true;
      return vm_fail (error, "Invalid CPU with APIC ID %u, valid index range 0:%u", m->apic_id, pc->n_possible - 1);
    }
  if (!check_place_id ("socket-id", m->socket_id, smp->sockets, false, error)
      || !check_place_id ("die-id", m->die_id, smp->dies, smp->dies <= 1, error)
      || !check_place_id ("core-id", m->core_id, cores, false, error)
      || !check_place_id ("thread-id", m->thread_id, smp->threads, false, error))
    return false;
  unsigned die = m->die_id == UINT32_MAX ? 0 : m->die_id;
  *index = ((m->socket_id * smp->dies + die) * cores + m->core_id) * smp->threads + m->thread_id;
  return *index < pc->n_possible || vm_fail (error, "no such place for a CPU");
}

static bool
plug_cpu (VmPc *pc, VmDevice *dev, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) dev;
  const VmX86Cpu *first = (VmX86Cpu *) vm_vcpu_set_get (pc->parent.vcpus, 0);
  unsigned index;

  if (first && first->parent.parent.parent.type != dev->parent.type)
    return vm_fail (error, "Invalid CPU type, expected cpu type: '%s'", first->parent.parent.parent.type->name);
  if (!find_place (pc, cpu->model, &index, error))
    return false;
  if (pc->cpus[index])
    return vm_fail (error, "CPU[%u] with APIC ID %u exists", index, pc->apic_ids[index]);
  if (dev->hotplugged && !pc->cpu_hotplug)
    return vm_fail (error, "CPU hotplug is not enabled: missing acpi device or acpi disabled");
  if (!vm_pc_attach_cpu (pc, cpu, index, error))
    return false;
  if (pc->cpu_hotplug)
    vm_acpi_place_insert (&pc->cpu_hotplug->places[index], dev, &pc->cpu_hotplug->event);
  if (dev->hotplugged)
    vm_pc_count_cpus (pc);
  return true;
}

/* --- going ------------------------------------------------------------------------------------------------------- */

static void
eject_pending (void *opaque)
{
  VmPc *pc = opaque;

  for (unsigned i = 0; i < pc->n_possible; i++)
    {
      VmX86Cpu *cpu = pc->cpus[i];
      if (!cpu || !pc->cpu_ejected[i])
        continue;
      pc->cpu_ejected[i] = false;
      pc->cpus[i] = NULL;
      vm_object_ref (&cpu->parent.parent.parent);
      vm_machine_remove_cpu (&pc->parent, &cpu->parent);
      vm_pc_detach_cpu (pc, cpu);
      vm_machine_unplug (&pc->parent, &cpu->parent.parent);
      vm_object_unref (&cpu->parent.parent.parent);
    }
  vm_pc_count_cpus (pc);
}

/* Its thread may be the one that asks: the loop takes it away. */
static void
eject_cpu (void *opaque, VmDevice *dev)
{
  VmPc *pc = opaque;
  unsigned index = ((VmX86Cpu *) dev)->parent.index;

  if (index == 0 || pc->cpus[index] != (VmX86Cpu *) dev)
    return;
  pc->cpu_hotplug->places[index].dev = NULL;
  pc->cpu_ejected[index] = true;
  vm_loop_post (pc->parent.env.loop, eject_pending, pc);
}

static bool
request_unplug (VmMachine *machine, VmDevice *dev, GError **error)
{
  VmPc *pc = VM_PC (machine);

  if (dev->parent.type == &vm_pc_dimm_type)
    return vm_pc_request_dimm_unplug (pc, dev, error);
  if (!vm_type_is_a (dev->parent.type, &vm_x86_cpu_type))
    return vm_fail (error, "Bus 'main-system-bus' does not support hotplugging");
  unsigned index = ((VmX86Cpu *) dev)->parent.index;
  if (!pc->cpu_hotplug)
    return vm_fail (error, "CPU hot unplug not supported without ACPI");
  if (index == 0)
    return vm_fail (error, "Boot CPU is unpluggable");
  return vm_acpi_place_request_removal (&pc->cpu_hotplug->places[index], &pc->cpu_hotplug->event, error);
}

/* --- the board's side ---------------------------------------------------------------------------------------------- */

static bool
plug (VmMachine *machine, VmDevice *dev, bool *mine, GError **error)
{
  *mine = true;
  if (dev->parent.type == &vm_pc_dimm_type)
    return vm_pc_plug_dimm (VM_PC (machine), dev, error);
  if (vm_type_is_a (dev->parent.type, &vm_x86_cpu_type))
    return plug_cpu (VM_PC (machine), dev, error);
  *mine = false;
  return true;
}

static void
foreach_slot (VmMachine *machine, void (*func) (const VmHotplugSlotInfo *info, void *opaque), void *opaque)
{
  const VmPc *pc = VM_PC (machine);
  const struct { const VmAcpiPlace *places; unsigned n; bool cpu; } kinds[] = {
    { pc->cpu_hotplug ? pc->cpu_hotplug->places : NULL, pc->cpu_hotplug ? pc->cpu_hotplug->n : 0, true },
    { pc->memory_hotplug ? pc->memory_hotplug->places : NULL, pc->memory_hotplug ? pc->memory_hotplug->n : 0, false },
  };

  for (size_t k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (unsigned i = 0; i < kinds[k].n; i++)
      {
        const VmAcpiPlace *p = &kinds[k].places[i];
        VmHotplugSlotInfo info = { .dev = p->dev, .cpu = kinds[k].cpu, .slot = i, .source = p->ost_source,
                                   .status = p->ost_status };
        func (&info, opaque);
      }
}

void
vm_pc_serve_hotplug (VmPc *pc, VmAcpiCpuHotplug *cpus, VmAcpiMemoryHotplug *memory)
{
  VmMachine *machine = &pc->parent;

  machine->plug = plug;
  machine->request_unplug = request_unplug;
  machine->foreach_hotplug_slot = foreach_slot;
  if (memory)
    vm_pc_serve_dimms (pc, memory);
  if (!cpus)
    return;
  pc->cpu_hotplug = cpus;
  cpus->n = pc->n_possible;
  cpus->apic_ids = pc->apic_ids;
  cpus->eject = eject_cpu;
  cpus->opaque = pc;
  for (unsigned i = 0; i < pc->n_possible; i++)
    if (pc->cpus[i])
      cpus->places[i].dev = &pc->cpus[i]->parent.parent;
}
