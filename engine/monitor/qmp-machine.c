/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about the machine: life cycle, identity, processors, memory. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"
#include "engine/machine/memory-backend.h"
#include "engine/machine/numa.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

VmqStatusInfo *
vm_qmp_query_status (VmMonitor *mon, GError **error)
{
  VmqStatusInfo *info = g_new0 (VmqStatusInfo, 1);

  info->running = vm_machine_is_running (mon->machine);
  info->status = (VmqRunState) mon->machine->state;
  info->singlestep = mon->machine->accel && mon->machine->accel->singlestep;
  return info;
}

bool
vm_qmp_stop (VmMonitor *mon, GError **error)
{
  vm_machine_stop (mon->machine, VM_RUN_PAUSED);
  return true;
}

bool
vm_qmp_cont (VmMonitor *mon, GError **error)
{
  return vm_machine_cont (mon->machine, error);
}

bool
vm_qmp_system_reset (VmMonitor *mon, GError **error)
{
  vm_machine_request_reset (mon->machine, VM_CAUSE_HOST_QMP_SYSTEM_RESET);
  vm_machine_settle (mon->machine);
  return true;
}

bool
vm_qmp_system_powerdown (VmMonitor *mon, GError **error)
{
  vm_machine_request_powerdown (mon->machine);
  vm_machine_settle (mon->machine);
  return true;
}

bool
vm_qmp_system_wakeup (VmMonitor *mon, GError **error)
{
  if (!mon->machine->wakeup_supported)
    return vm_fail (error, "wake-up from suspend is not supported by this guest");
  if (mon->machine->state != VM_RUN_SUSPENDED)
    return vm_fail (error, "Unable to wake up: guest is not in suspended state");
  vm_machine_request_wakeup (mon->machine);
  vm_machine_settle (mon->machine);
  return true;
}

bool
vm_qmp_quit (VmMonitor *mon, GError **error)
{
  vm_machine_quit (mon->machine, 0, VM_CAUSE_HOST_QMP_QUIT);
  return true;
}

bool
vm_qmp_inject_nmi (VmMonitor *mon, GError **error)
{
  if (!mon->machine->inject_nmi)
    return vm_fail (error, "machine does not provide NMIs");
  mon->machine->inject_nmi (mon->machine);
  return true;
}

bool
vm_qmp_rtc_reset_reinjection (VmMonitor *mon, GError **error)
{
  if (mon->machine->rtc_reset_reinjection)
    mon->machine->rtc_reset_reinjection (mon->machine);
  return true;
}

bool
vm_qmp_x_exit_preconfig (VmMonitor *mon, GError **error)
{
  if (!vm_machine_in_preconfig (mon->machine))
    return vm_fail (error, "The command is permitted only before machine initialization");
  vm_machine_exit_preconfig (mon->machine);
  return true;
}

bool
vm_qmp_set_action (VmMonitor *mon, const VmqSetActionArg *args, GError **error)
{
  VmRebootAction reboot = (VmRebootAction) args->reboot;
  VmShutdownAction shutdown = (VmShutdownAction) args->shutdown;
  VmPanicAction panic = (VmPanicAction) args->panic;
  VmWatchdogAction watchdog = (VmWatchdogAction) args->watchdog;

  vm_machine_set_actions (mon->machine, args->has_reboot ? &reboot : NULL, args->has_shutdown ? &shutdown : NULL,
                          args->has_panic ? &panic : NULL, args->has_watchdog ? &watchdog : NULL);
  return true;
}

bool
vm_qmp_watchdog_set_action (VmMonitor *mon, const VmqWatchdogSetActionArg *args, GError **error)
{
  VmWatchdogAction watchdog = (VmWatchdogAction) args->action;

  vm_machine_set_actions (mon->machine, NULL, NULL, NULL, &watchdog);
  return true;
}

/* --- identity --- */

VmqNameInfo *
vm_qmp_query_name (VmMonitor *mon, GError **error)
{
  VmqNameInfo *info = g_new0 (VmqNameInfo, 1);

  info->name = g_strdup (mon->machine->settings->name);
  return info;
}

VmqUuidInfo *
vm_qmp_query_uuid (VmMonitor *mon, GError **error)
{
  VmqUuidInfo *info = g_new0 (VmqUuidInfo, 1);
  const uint8_t *u = mon->machine->settings->uuid;

  info->uuid
      = g_strdup_printf ("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
                         u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
  return info;
}

VmqKvmInfo *
vm_qmp_query_kvm (VmMonitor *mon, GError **error)
{
  VmqKvmInfo *info = g_new0 (VmqKvmInfo, 1);

  info->enabled = !strcmp (mon->machine->accel->ops->name, "kvm");
  info->present = mon->machine->kvm_present;
  return info;
}

VmqTargetInfo *
vm_qmp_query_target (VmMonitor *mon, GError **error)
{
  VmqTargetInfo *info = g_new0 (VmqTargetInfo, 1);

  info->arch = VMQ_SYS_EMU_TARGET_X86_64;
  return info;
}

VmqCurrentMachineParams *
vm_qmp_query_current_machine (VmMonitor *mon, GError **error)
{
  VmqCurrentMachineParams *info = g_new0 (VmqCurrentMachineParams, 1);

  info->wakeup_suspend_support = mon->machine->wakeup_supported;
  return info;
}

GPtrArray *
vm_qmp_query_machines (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (const VmBoard *const *b = mon->machine->boards; *b; b++)
    {
      VmqMachineInfo *info = g_new0 (VmqMachineInfo, 1);
      info->name = g_strdup ((*b)->name);
      info->alias = g_strdup ((*b)->alias);
      info->has_is_default = info->is_default = (*b)->is_default;
      info->cpu_max = (*b)->max_cpus;
      info->hotpluggable_cpus = (*b)->hotpluggable_cpus;
      info->numa_mem_supported = (*b)->numa_mem_supported;
      info->deprecated = (*b)->deprecated;
      info->default_cpu_type = g_strdup ((*b)->default_cpu);
      info->default_ram_id = g_strdup ((*b)->default_ram_id);
      info->acpi = vm_type_find_prop ((*b)->type, "acpi", NULL) != NULL;
      g_ptr_array_add (list, info);
    }
  return list;
}

/* --- processors --- */

static VmqCpuInstanceProperties *
place_of (const VmMachine *machine, unsigned index)
{
  const VmSmp *smp = &machine->settings->smp;
  VmqCpuInstanceProperties *props = g_new0 (VmqCpuInstanceProperties, 1);

  props->has_node_id = vm_numa_cpu_is_assigned (machine->numa, index);
  props->node_id = vm_numa_cpu_node (machine->numa, index);
  props->has_thread_id = props->has_core_id = props->has_socket_id = true;
  props->thread_id = index % smp->threads;
  index /= smp->threads;
  props->core_id = index % smp->cores;
  index /= smp->cores;
  props->has_module_id = smp->modules > 1;
  props->module_id = index % smp->modules;
  index /= smp->modules;
  props->has_die_id = smp->dies > 1;
  props->die_id = index % smp->dies;
  props->socket_id = index / smp->dies;
  return props;
}

GPtrArray *
vm_qmp_query_cpus_fast (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned i = 0; i < vm_vcpu_set_count (mon->machine->vcpus); i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (mon->machine->vcpus, i);
      VmqCpuInfoFast *info = g_new0 (VmqCpuInfoFast, 1);
      info->cpu_index = vcpu->index;
      info->qom_path = vm_object_path (&vcpu->parent.parent);
      info->thread_id = vcpu->thread_id;
      info->props = place_of (mon->machine, vcpu->index);
      info->target = VMQ_SYS_EMU_TARGET_X86_64;
      g_ptr_array_add (list, info);
    }
  return list;
}

/* In the place of that number, which others that came and went do not change. */
static VmVcpu *
vcpu_in_place (const VmMachine *m, unsigned place)
{
  for (unsigned i = 0; i < vm_vcpu_set_count (m->vcpus); i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (m->vcpus, i);
      if (vcpu->index == place)
        return vcpu;
    }
  return NULL;
}

GPtrArray *
vm_qmp_query_hotpluggable_cpus (VmMonitor *mon, GError **error)
{
  const VmSmp *smp = &mon->machine->settings->smp;
  const VmVcpu *first = vm_vcpu_set_get (mon->machine->vcpus, 0);
  GPtrArray *list = g_ptr_array_new ();

  if (!mon->machine->board->hotpluggable_cpus)
    {
      vm_fail (error, "machine does not support hot-plugging CPUs");
      g_ptr_array_unref (list);
      return NULL;
    }
  for (unsigned i = smp->max_cpus; i-- > 0;)
    {
      VmqHotpluggableCPU *info = g_new0 (VmqHotpluggableCPU, 1);
      VmVcpu *vcpu = vcpu_in_place (mon->machine, i);
      info->type = g_strdup (first ? first->parent.parent.type->name : mon->machine->board->default_cpu);
      info->vcpus_count = 1;
      info->props = place_of (mon->machine, i);
      info->qom_path = vcpu ? vm_object_path (&vcpu->parent.parent) : NULL;
      g_ptr_array_add (list, info);
    }
  return list;
}

/* --- memory --- */

VmqMemoryInfo *
vm_qmp_query_memory_size_summary (VmMonitor *mon, GError **error)
{
  VmqMemoryInfo *info = g_new0 (VmqMemoryInfo, 1);

  info->base_memory = mon->machine->ram_size;
  info->has_plugged_memory = true;
  info->plugged_memory = mon->machine->plugged_memory ? mon->machine->plugged_memory (mon->machine, -1) : 0;
  return info;
}

GPtrArray *
vm_qmp_query_memdev (VmMonitor *mon, GError **error)
{
  const GPtrArray *objects = mon->machine->objects->children;
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; objects && i < objects->len; i++)
    {
      VmObject *obj = g_ptr_array_index (objects, i);
      if (!vm_object_is_a (obj, &vm_memory_backend_type))
        continue;
      const VmMemoryBackend *backend = (VmMemoryBackend *) obj;
      VmqMemdev *info = g_new0 (VmqMemdev, 1);
      info->id = g_strdup (obj->id);
      info->size = backend->size;
      info->merge = backend->merge;
      info->dump = backend->dump;
      info->prealloc = backend->prealloc;
      info->share = backend->share;
      info->has_reserve = true;
      info->reserve = backend->reserve;
      info->policy = (VmqHostMemPolicy) backend->policy;
      info->host_nodes = g_array_new (FALSE, FALSE, sizeof (int64_t));
      for (int64_t n = 0; n < VM_HOST_NODES; n++)
        if (backend->host_nodes[n / 64] >> n % 64 & 1)
          g_array_append_val (info->host_nodes, n);
      g_ptr_array_add (list, info);
    }
  return list;
}

typedef bool (*ReadFunc) (VmMonitor *mon, VmVcpu *cpu, uint64_t addr, uint8_t *buf, size_t len);

static bool
save_memory (VmMonitor *mon, VmVcpu *cpu, ReadFunc read, int64_t addr, int64_t size, const char *filename,
             GError **error)
{
  FILE *file = fopen (filename, "wbe");
  uint8_t buf[VM_PAGE_SIZE];
  bool ok = true;

  if (!file)
    return vm_fail (error, "Could not open '%s': %s", filename, g_strerror (errno));
  for (uint64_t at = addr, left = size; ok && left;)
    {
      size_t part = MIN (left, VM_PAGE_SIZE - (at & (VM_PAGE_SIZE - 1)));
      if (!read (mon, cpu, at, buf, part))
        ok = vm_fail (error, "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GINT64_FORMAT " specified",
                      (uint64_t) addr, (gint64) size);
      else if (fwrite (buf, 1, part, file) != part)
        ok = vm_fail (error, "Could not write '%s': %s", filename, g_strerror (errno));
      at += part;
      left -= part;
    }
  if (fclose (file) != 0 && ok)
    ok = vm_fail (error, "Could not write '%s': %s", filename, g_strerror (errno));
  return ok;
}

static bool
read_phys (VmMonitor *mon, VmVcpu *cpu, uint64_t addr, uint8_t *buf, size_t len)
{
  return vm_as_read (mon->machine->env.memory_as, addr, VM_MEM_ATTRS_NONE, buf, len) != VM_MEM_DEVICE_ERROR;
}

typedef struct Translate
{
  const VmArchOps *arch;
  uint64_t virt, phys;
  bool mapped;
} Translate;

static void
translate (VmVcpu *vcpu, void *opaque)
{
  Translate *t = opaque;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);
  t->mapped = t->arch->translate (vcpu, t->virt, &t->phys);
}

static bool
read_virt (VmMonitor *mon, VmVcpu *cpu, uint64_t addr, uint8_t *buf, size_t len)
{
  Translate t = { mon->machine->arch, addr, 0, false };

  vm_vcpu_run (cpu, translate, &t);
  return t.mapped && read_phys (mon, cpu, t.phys, buf, len);
}

bool
vm_qmp_memsave (VmMonitor *mon, const VmqMemsaveArg *args, GError **error)
{
  VmVcpu *cpu = NULL;
  int64_t index = args->has_cpu_index ? args->cpu_index : mon->cpu_index;

  if (index >= 0 && index < vm_vcpu_set_count (mon->machine->vcpus))
    cpu = vm_vcpu_set_get (mon->machine->vcpus, index);
  if (!cpu || !mon->machine->arch)
    return vm_fail (error, "Parameter 'cpu-index' expects a CPU number");
  if (args->size < 0)
    return vm_fail (error, "Parameter 'size' expects a positive number");
  return save_memory (mon, cpu, read_virt, args->val, args->size, args->filename, error);
}

bool
vm_qmp_pmemsave (VmMonitor *mon, const VmqPmemsaveArg *args, GError **error)
{
  if (args->size < 0)
    return vm_fail (error, "Parameter 'size' expects a positive number");
  return save_memory (mon, NULL, read_phys, args->val, args->size, args->filename, error);
}
