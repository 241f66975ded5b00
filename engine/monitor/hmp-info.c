/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sub-commands of "info". */
#include "config.h"

#include "engine/monitor/hmp.h"

#include "engine/input/input.h"
#include "engine/machine/numa.h"

#include <glib/gstdio.h>

const char *
vm_hmp_member (json_object *object, const char *key)
{
  json_object *value = NULL;

  return json_object_object_get_ex (object, key, &value) ? json_object_get_string (value) : "";
}

void
vm_hmp_each (VmMonitor *mon, const char *command, void (*func) (VmMonitor *mon, json_object *item))
{
  json_object *list = vm_hmp_qmp (mon, command, NULL);

  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    func (mon, json_object_array_get_idx (list, i));
  json_object_put (list);
}

void
vm_hmp_info_status (VmMonitor *mon, const VmHmpArgs *args)
{
  VmRunState state = mon->machine->state;
  bool running = state == VM_RUN_RUNNING;

  vm_monitor_printf (mon, "VM status: %s%s", running ? "running" : "paused",
                     mon->machine->accel && mon->machine->accel->singlestep ? " (single step mode)" : "");
  if (!running && state != VM_RUN_PAUSED)
    vm_monitor_printf (mon, " (%s)", vm_run_state_names[state]);
  vm_monitor_puts (mon, "\n");
}

void
vm_hmp_info_version (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_monitor_printf (mon, "9.1.50Vitrine %s\n", VM_VERSION);
}

void
vm_hmp_info_name (VmMonitor *mon, const VmHmpArgs *args)
{
  if (mon->machine->settings->name)
    vm_monitor_printf (mon, "%s\n", mon->machine->settings->name);
}

void
vm_hmp_info_uuid (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-uuid", NULL);

  vm_monitor_printf (mon, "%s\n", vm_hmp_member (info, "UUID"));
  json_object_put (info);
}

void
vm_hmp_info_kvm (VmMonitor *mon, const VmHmpArgs *args)
{
  bool enabled = !strcmp (mon->machine->accel->ops->name, "kvm");

  vm_monitor_printf (mon, "kvm support: %s\n",
                     enabled                     ? "enabled"
                     : mon->machine->kvm_present ? "disabled"
                                                 : "not compiled");
}

void
vm_hmp_info_cpus (VmMonitor *mon, const VmHmpArgs *args)
{
  for (unsigned i = 0; i < vm_vcpu_set_count (mon->machine->vcpus); i++)
    {
      const VmVcpu *vcpu = vm_vcpu_set_get (mon->machine->vcpus, i);
      vm_monitor_printf (mon, "%c CPU #%u: thread_id=%u\n", (int) i == mon->cpu_index ? '*' : ' ', vcpu->index,
                         vcpu->thread_id);
    }
}

void
vm_hmp_info_chardev (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *text = vm_chardev_describe (mon->machine->env.root);

  vm_monitor_puts (mon, text);
}

void
vm_hmp_info_history (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_line_print_history (mon->line, mon);
}

static void
print_place (VmMonitor *mon, json_object *item)
{
  json_object *props = json_object_object_get (item, "props");

  vm_monitor_printf (mon, "  type: \"%s\"\n  vcpus_count: \"%s\"\n", vm_hmp_member (item, "type"),
                     vm_hmp_member (item, "vcpus-count"));
  if (*vm_hmp_member (item, "qom-path"))
    vm_monitor_printf (mon, "  qom_path: \"%s\"\n", vm_hmp_member (item, "qom-path"));
  vm_monitor_puts (mon, "  CPUInstance Properties:\n");
  for (int i = 0; i < 5; i++)
    {
      static const char *const keys[] = { "socket-id", "die-id", "module-id", "core-id", "thread-id" };
      if (*vm_hmp_member (props, keys[i]))
        vm_monitor_printf (mon, "    %s: \"%s\"\n", keys[i], vm_hmp_member (props, keys[i]));
    }
}

void
vm_hmp_info_hotpluggable (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_monitor_puts (mon, "Hotpluggable CPUs:\n");
  vm_hmp_each (mon, "query-hotpluggable-cpus", print_place);
}

static void
print_iothread (VmMonitor *mon, json_object *item)
{
  static const char *const keys[] = { "thread_id", "poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch" };

  vm_monitor_printf (mon, "%s:\n", vm_hmp_member (item, "id"));
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    vm_monitor_printf (mon, "  %s=%s\n", keys[i], vm_hmp_member (item, i ? keys[i] : "thread-id"));
}

void
vm_hmp_info_iothreads (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_hmp_each (mon, "query-iothreads", print_iothread);
}

static void
print_irq (VmMonitor *mon, bool pic)
{
  if (!mon->machine->describe_irq)
    {
      vm_monitor_puts (mon, "the board keeps no such record\n");
      return;
    }
  g_autofree char *text = mon->machine->describe_irq (mon->machine, pic);
  vm_monitor_puts (mon, text);
}

void
vm_hmp_info_irq (VmMonitor *mon, const VmHmpArgs *args)
{
  print_irq (mon, false);
}

void
vm_hmp_info_pic (VmMonitor *mon, const VmHmpArgs *args)
{
  print_irq (mon, true);
}

/* --- processors --- */

typedef struct Describe
{
  char *(*func) (VmVcpu *vcpu);
  char *(*registers) (VmVcpu *vcpu, bool with_fpu);
  char *text;
} Describe;

static void
describe (VmVcpu *vcpu, void *opaque)
{
  Describe *d = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  d->text = d->func ? d->func (vcpu) : d->registers (vcpu, true);
}

static void
print_cpu (VmMonitor *mon, VmVcpu *vcpu, Describe d)
{
  if (!d.func && !d.registers)
    {
      vm_monitor_puts (mon, "not available for this processor\n");
      return;
    }
  vm_vcpu_run (vcpu, describe, &d);
  vm_monitor_puts (mon, d.text);
  g_free (d.text);
}

void
vm_hmp_info_registers (VmMonitor *mon, const VmHmpArgs *args)
{
  const VmArchOps *arch = mon->machine->arch;
  unsigned n = vm_vcpu_set_count (mon->machine->vcpus);
  int64_t index = vm_hmp_number (args, "vcpu", MIN (mon->cpu_index, (int) n - 1));
  bool all = vm_hmp_flag (args, "cpustate_all");

  if (!arch || index < 0 || index >= n)
    {
      if (arch && n)
        vm_monitor_printf (mon, "CPU#%d not available\n", (int) index);
      else
        vm_monitor_puts (mon, "No CPU available\n");
      return;
    }
  for (unsigned i = all ? 0 : index; i < (all ? n : index + 1); i++)
    {
      vm_monitor_printf (mon, "\nCPU#%u\n", i);
      print_cpu (mon, vm_vcpu_set_get (mon->machine->vcpus, i), (Describe){ .registers = arch->describe_registers });
    }
}

static void
print_current (VmMonitor *mon, char *(*func) (VmVcpu *vcpu))
{
  VmVcpu *vcpu = vm_monitor_cpu (mon);

  if (vcpu && mon->machine->arch)
    print_cpu (mon, vcpu, (Describe){ .func = func });
  else
    vm_monitor_puts (mon, "No CPU available\n");
}

void
vm_hmp_info_mem (VmMonitor *mon, const VmHmpArgs *args)
{
  print_current (mon, mon->machine->arch ? mon->machine->arch->describe_mem : NULL);
}

void
vm_hmp_info_tlb (VmMonitor *mon, const VmHmpArgs *args)
{
  print_current (mon, mon->machine->arch ? mon->machine->arch->describe_tlb : NULL);
}

void
vm_hmp_info_lapic (VmMonitor *mon, const VmHmpArgs *args)
{
  int64_t id = vm_hmp_number (args, "apic-id", -1);

  if (id < 0)
    {
      print_current (mon, mon->machine->describe_lapic);
      return;
    }
  for (unsigned i = 0; i < vm_vcpu_set_count (mon->machine->vcpus); i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (mon->machine->vcpus, i);
      if (vcpu->affinity_id == (uint64_t) id)
        {
          print_cpu (mon, vcpu, (Describe){ .func = mon->machine->describe_lapic });
          return;
        }
    }
  vm_monitor_puts (mon, "No local APIC has this id\n");
}

/* --- memory --- */

void
vm_hmp_info_mtree (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *text = vm_memory_describe (mon->machine->env.memory, vm_hmp_flag (args, "flatview"));

  vm_monitor_puts (mon, text);
}

void
vm_hmp_info_memory_size (VmMonitor *mon, const VmHmpArgs *args)
{
  VmMachine *m = mon->machine;
  vm_monitor_printf (mon, "base memory: %" G_GUINT64_FORMAT "\nplugged memory: %" G_GUINT64_FORMAT "\n", m->ram_size,
                     m->plugged_memory ? m->plugged_memory (m, -1) : 0);
}

static void
print_memdev (VmMonitor *mon, json_object *item)
{
  vm_monitor_printf (mon, "memory backend: %s\n", vm_hmp_member (item, "id"));
  for (int i = 0; i < 7; i++)
    {
      static const char *const keys[] = { "size", "merge", "dump", "prealloc", "share", "reserve", "policy" };
      vm_monitor_printf (mon, "  %s: %s%s\n", keys[i], i == 0 ? " " : "", vm_hmp_member (item, keys[i]));
    }
  vm_monitor_puts (mon, "  host nodes: \n");
}

void
vm_hmp_info_memdev (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_hmp_each (mon, "query-memdev", print_memdev);
  vm_monitor_puts (mon, "\n");
}

void
vm_hmp_info_numa (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *text = vm_numa_describe (mon->machine);

  vm_monitor_puts (mon, text);
}

static void
collect_block (GHashTable *seen, GPtrArray *blocks, VmAddressSpace *as)
{
  VmFlatView *view = vm_address_space_view (as);

  for (size_t i = 0; i < view->n; i++)
    {
      VmRamBlock *block = view->ranges[i].region->ram;
      if (block && g_hash_table_add (seen, block))
        g_ptr_array_add (blocks, block);
    }
  vm_flat_view_unref (view);
}

void
vm_hmp_info_ramblock (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GPtrArray) blocks = g_ptr_array_new ();

  collect_block (seen, blocks, mon->machine->env.memory_as);
  vm_monitor_printf (mon, "%24s %8s  %18s %18s %18s\n", "Block Name", "PSize", "Offset", "Used", "Total");
  for (guint i = 0; i < blocks->len; i++)
    {
      const VmRamBlock *b = g_ptr_array_index (blocks, i);
      vm_monitor_printf (
          mon, "%24s %8s  0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER "x\n",
          b->name, "4 KiB", b->page_base * VM_PAGE_SIZE, b->size, b->size);
    }
}

/* Those that the machine sees at an address, and those that the firmware fetches by name. */
void
vm_hmp_info_roms (VmMonitor *mon, const VmHmpArgs *args)
{
  VmFlatView *view = vm_address_space_view (mon->machine->env.memory_as);
  const GPtrArray *files = mon->machine->settings->option_roms;
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < files->len; i++)
    {
      const VmOptionRom *rom = g_ptr_array_index (files, i);
      g_autofree char *path = vm_machine_find_file (mon->machine, rom->file);
      g_autofree char *name = g_path_get_basename (rom->file);
      GStatBuf status;
      if (path && g_stat (path, &status) == 0)
        vm_monitor_printf (mon, "fw=genroms/%s size=0x%06" G_GINT64_MODIFIER "x name=\"%s\"\n", name,
                           (uint64_t) status.st_size, name);
    }
  for (size_t i = view->n; i-- > 0;) /* the last holds what is shown of it below */
    {
      const VmFlatRange *r = &view->ranges[i];
      if (r->block && r->readonly && g_hash_table_add (seen, r->block))
        vm_monitor_printf (mon, "addr=%016" G_GINT64_MODIFIER "x size=0x%06" G_GINT64_MODIFIER "x mem=rom name=\"%s\"\n",
                           r->start - r->offset, r->block->size, r->block->name);
    }
  vm_flat_view_unref (view);
}

/* --- devices --- */

void
vm_hmp_info_mice (VmMonitor *mon, const VmHmpArgs *args)
{
  VmInput *input = mon->machine->env.input;
  bool any = false;

  for (unsigned i = 0; i < vm_input_n_pointers (input); i++)
    {
      bool current, absolute;
      const char *name = vm_input_pointer (input, i, &current, &absolute);
      vm_monitor_printf (mon, "%c Mouse #%u: %s%s\n", current ? '*' : ' ', i, name, absolute ? " (absolute)" : "");
      any = true;
    }
  if (!any)
    vm_monitor_puts (mon, "No mouse devices connected\n");
}

void
vm_hmp_info_qtree (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *text = vm_device_describe_tree (&mon->machine->env);

  vm_monitor_puts (mon, text);
}

static void
print_type (const VmType *type, void *opaque)
{
  const VmDeviceClass *klass = vm_type_klass (type);

  if (type->abstract || !klass || !klass->user_creatable)
    return;
  const char *bus = vm_device_bus_type (type);
  vm_monitor_printf (opaque, "name \"%s\"%s%s%s%s\n", type->name, bus ? ", bus " : "", bus ? bus : "",
                     type->help ? ", desc " : "", type->help ? type->help : "");
}

void
vm_hmp_info_qdm (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_type_foreach (mon->machine->types, &vm_device_type, print_type, mon);
}

static void
print_tree (VmMonitor *mon, const VmObject *obj, unsigned depth)
{
  bool machine = obj == &mon->machine->parent;

  vm_monitor_printf (mon, "%*s/%s (%s%s)\n", (int) depth * 2, "", obj->id ? obj->id : "",
                     machine ? mon->machine->board->name : obj->type->name, machine ? "-machine" : "");
  for (guint i = 0; obj->children && i < obj->children->len; i++)
    print_tree (mon, g_ptr_array_index (obj->children, i), depth + 1);
}

void
vm_hmp_info_qom_tree (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *path = vm_hmp_text (args, "path");
  VmObject *obj = path ? vm_object_resolve (mon->machine->env.root, path) : &mon->machine->parent;

  if (obj)
    print_tree (mon, obj, 0);
  else
    vm_monitor_printf (mon, "Path '%s' could not be resolved.\n", path);
}
