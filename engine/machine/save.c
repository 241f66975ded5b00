/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of a whole machine as a stream: which board it is, its devices, its RAM. */
#include "engine/machine/machine-private.h"

#include "engine/state/state.h"

#define KIND_MACHINE "machine"

static bool
find_unmigratable (VmDevice *dev, void *opaque)
{
  VmDevice **found = opaque;

  for (const VmType *t = dev->parent.type; t && !*found; t = t->parent)
    if (t->klass && ((const VmDeviceClass *) t->klass)->unmigratable)
      *found = dev;
  return !*found;
}

static void
fetch_processors (VmMachine *m)
{
  for (unsigned i = 0; i < vm_vcpu_set_count (m->vcpus); i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (m->vcpus, i);
      if (vcpu->accel && vcpu->accel->ops->state_fetch)
        vcpu->accel->ops->state_fetch (vcpu);
    }
}

bool
vm_machine_save (VmMachine *m, VmStateWriteFunc write, void *opaque, GError **error)
{
  const VmStateWriter writer = { write, opaque };
  VmDevice *bad = NULL;
  g_autofree char *primaries = vm_failover_save (m);

  g_assert (m->state != VM_RUN_RUNNING && m->state != VM_RUN_SUSPENDED);
  vm_device_foreach (m->env.root, find_unmigratable, &bad);
  if (bad)
    return vm_fail (error, "State blocked by non-migratable device '%s'", vm_device_path (bad));
  fetch_processors (m);
  return vm_state_write_header (&writer, error)
         && vm_state_write_section (&writer, KIND_MACHINE, m->board->name, primaries, strlen (primaries), error)
         && vm_state_write_objects (&writer, &m->env, error) && vm_state_write_ram (&writer, m->env.memory, error)
         && vm_state_write_end (&writer, error);
}

typedef struct Load
{
  VmMachine *m;
  VmStateRam *ram; /* NULL: its first section is yet to come */
} Load;

/* What comes before RAM has been checked and is kept aside. Now the machine goes to where a new one stands, since what
 * devices keep beside their saved fields is as of the wrong time. */
static void
begin_ram (Load *load)
{
  vm_failover_load_end (load->m, true);
  vm_machine_reset_now (load->m, VM_RESET_COLD);
  vm_machine_emit (load->m, "RESET", "{\"guest\": false, \"reason\": \"%s\"}",
                   vm_shutdown_cause_names[VM_CAUSE_SNAPSHOT_LOAD]);
  load->ram = vm_state_ram_new (load->m->env.memory);
}

static bool
load_other (VmStateLoad *state, const VmStateSection *section, void *opaque, GError **error)
{
  Load *load = opaque;
  g_autofree char *name = g_strescape (section->name, NULL);

  if (!strcmp (section->kind, KIND_MACHINE))
    {
      g_autofree char *primaries = g_strndup ((const char *) section->data, section->size);
      if (strcmp (section->name, load->m->board->name) != 0)
        return vm_fail (error, "the state is that of a machine '%s', and this is '%s'", name, load->m->board->name);
      return vm_failover_load (load->m, primaries, error);
    }
  if (strcmp (section->kind, VM_STATE_KIND_RAM) != 0)
    return vm_fail (error, "%s: saved state of an unknown kind", name);
  if (!load->ram)
    begin_ram (load);
  return vm_state_ram_load (load->ram, section, error);
}

bool
vm_machine_load (VmMachine *m, VmStateReadFunc read, void *opaque, GError **error)
{
  Load load = { m, NULL };
  bool ok;

  g_assert (m->state != VM_RUN_RUNNING && m->state != VM_RUN_SUSPENDED);
  fetch_processors (m);
  ok = vm_state_load (read, opaque, &m->env, load_other, &load, error);
  if (ok && !(load.ram && vm_state_ram_complete (load.ram)))
    ok = vm_fail (error, "the saved state has no RAM");
  if (!load.ram)
    vm_failover_load_end (m, false);
  /* Half of another machine must not run on. */
  if (!ok && load.ram)
    vm_machine_stop (m, VM_RUN_INTERNAL_ERROR);
  vm_state_ram_free (load.ram);
  if (ok && m->state == VM_RUN_INTERNAL_ERROR)
    vm_machine_stop (m, VM_RUN_RESTORE_VM);
  return ok;
}
