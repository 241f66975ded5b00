/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about what a machine may be fitted with: memory modules, a balloon, a generation identifier, a TPM,
 * encrypted memory, enclaves. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"
#include "engine/machine/numa.h"

/* --- before the machine is made --- */

static void
add_option (VmKeyVals *list, const char *key, json_object *value)
{
  if (json_object_is_type (value, json_type_array))
    for (size_t i = 0; i < json_object_array_length (value); i++)
      add_option (list, key, json_object_array_get_idx (value, i));
  else
    vm_keyvals_add (list, key, json_object_get_string (value));
}

bool
vm_qmp_set_numa_node (VmMonitor *mon, const VmqSetNumaNodeArg *args, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_machine_in_preconfig (mon->machine))
    return vm_fail (error, "The command is permitted only before the machine has been created");
  json_object *json = vm_schema_write (&vmq_type_set_numa_node_arg, &args);
  json_object_object_foreach (json, key, value)
  {
    add_option (list, key, value);
  }
  json_object_put (json);
  return vm_numa_add (mon->machine, list, error);
}

/* --- memory modules and the places they go to --- */

static void
add_memory_device (const VmMemoryDeviceInfo *info, void *opaque)
{
  VmqMemoryDeviceInfo *entry = g_new0 (VmqMemoryDeviceInfo, 1);
  VmqPCDIMMDeviceInfoWrapper *wrapper = g_new0 (VmqPCDIMMDeviceInfoWrapper, 1);
  VmqPCDIMMDeviceInfo *data = g_new0 (VmqPCDIMMDeviceInfo, 1);

  data->id = g_strdup (vm_device_user_id (info->dev));
  data->addr = (int64_t) info->addr;
  data->size = (int64_t) info->size;
  data->slot = info->slot;
  data->node = info->node;
  data->memdev = vm_object_path (info->memdev);
  data->hotplugged = info->dev->hotplugged;
  data->hotpluggable = true;
  wrapper->data = data;
  entry->type = VMQ_MEMORY_DEVICE_INFO_KIND_DIMM;
  entry->u.dimm = wrapper;
  g_ptr_array_add (opaque, entry);
}

static void
add_slot (const VmHotplugSlotInfo *info, void *opaque)
{
  VmqACPIOSTInfo *entry = g_new0 (VmqACPIOSTInfo, 1);

  entry->device = info->dev ? g_strdup (vm_device_user_id (info->dev)) : NULL;
  entry->slot = g_strdup_printf ("%u", info->slot);
  entry->slot_type = info->cpu ? VMQ_ACPI_SLOT_TYPE_CPU : VMQ_ACPI_SLOT_TYPE_DIMM;
  entry->source = info->source;
  entry->status = info->status;
  g_ptr_array_add (opaque, entry);
}

GPtrArray *
vm_qmp_query_memory_devices (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  if (mon->machine->foreach_memory_device)
    mon->machine->foreach_memory_device (mon->machine, add_memory_device, list);
  return list;
}

GPtrArray *
vm_qmp_query_acpi_ospm_status (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  if (mon->machine->foreach_hotplug_slot)
    mon->machine->foreach_hotplug_slot (mon->machine, add_slot, list);
  return list;
}

static bool
no_balloon (GError **error)
{
  g_set_error_literal (error, VM_ERROR, VM_ERROR_DEVICE_NOT_ACTIVE, "No balloon device has been activated");
  return false;
}

VmqBalloonInfo *
vm_qmp_query_balloon (VmMonitor *mon, GError **error)
{
  VmMachine *machine = mon->machine;
  VmqBalloonInfo *info;

  if (!machine->balloon)
    {
      no_balloon (error);
      return NULL;
    }
  info = g_new0 (VmqBalloonInfo, 1);
  info->actual = (int64_t) machine->balloon_actual (machine->balloon);
  return info;
}

bool
vm_qmp_balloon (VmMonitor *mon, const VmqBalloonArg *args, GError **error)
{
  VmMachine *machine = mon->machine;

  if (!machine->balloon)
    return no_balloon (error);
  if (args->value <= 0)
    return vm_fail (error, "Parameter 'target' expects a size");
  machine->balloon_set (machine->balloon, (uint64_t) args->value);
  return true;
}

/* --- identity of the guest's state --- */

static VmObject *
find_of_type (VmObject *obj, const char *type)
{
  VmObject *found = !strcmp (obj->type->name, type) ? obj : NULL;

  for (guint i = 0; obj->children && i < obj->children->len && !found; i++)
    found = find_of_type (g_ptr_array_index (obj->children, i), type);
  return found;
}

VmqGuidInfo *
vm_qmp_query_vm_generation_id (VmMonitor *mon, GError **error)
{
  VmObject *device = find_of_type (mon->machine->env.root, "vmgenid");

  if (!device)
    {
      vm_fail (error, "VM Generation ID device not found");
      return NULL;
    }
  VmqGuidInfo *info = g_new0 (VmqGuidInfo, 1);
  info->guid = vm_object_get (device, "guid", NULL);
  return info;
}

/* --- TPM: by the types of this build --- */

static GArray *
existing_types (VmMonitor *mon, const VmSchemaType *names, const char *suffix)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (int));

  for (int i = 0; names->names[i]; i++)
    {
      g_autofree char *type = g_strconcat (names->names[i], suffix, NULL);
      if (vm_type_find (mon->machine->types, type))
        g_array_append_val (list, i);
    }
  return list;
}

GArray *
vm_qmp_query_tpm_models (VmMonitor *mon, GError **error)
{
  return existing_types (mon, &vmq_type_tpmmodel, "");
}

GArray *
vm_qmp_query_tpm_types (VmMonitor *mon, GError **error)
{
  return existing_types (mon, &vmq_type_tpmtype, "-tpm");
}

/* --- encrypted memory, enclaves: not without the objects that ask for them --- */

static const char *
accel_lacks (VmMonitor *mon, const char *what)
{
  return strcmp (mon->machine->accel->ops->name, "kvm") != 0 ? "KVM not enabled" : what;
}

VmqSevInfo *
vm_qmp_query_sev (VmMonitor *mon, GError **error)
{
  VmqSevInfo *info = g_new0 (VmqSevInfo, 1);

  info->state = VMQ_SEV_STATE_UNINIT;
  return info;
}

VmqSevCapability *
vm_qmp_query_sev_capabilities (VmMonitor *mon, GError **error)
{
  vm_fail (error, "%s", accel_lacks (mon, "SEV is not available in this build"));
  return NULL;
}

VmqSGXInfo *
vm_qmp_query_sgx (VmMonitor *mon, GError **error)
{
  vm_fail (error, "No EPC regions defined, SGX not available");
  return NULL;
}

VmqSGXInfo *
vm_qmp_query_sgx_capabilities (VmMonitor *mon, GError **error)
{
  vm_fail (error, "SGX is not enabled in KVM");
  return NULL;
}
