/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making devices: by the board, by -device, by device_add; the defaults they begin with; boot order; files. */
#include "config.h"

#include "engine/machine/machine-private.h"

#include "engine/base/log.h"
#include "engine/options/documented.h"
#include "engine/schema/schema.h"

/* --- defaults --- */

static bool
type_has_ancestor (const VmType *type, const char *name)
{
  for (; type; type = type->parent)
    if (!strcmp (type->name, name))
      return true;
  return false;
}

static void
apply_compat_table (VmObject *obj, const VmCompat *table)
{
  for (; table->type; table++)
    if (type_has_ancestor (obj->type, table->type) && vm_type_find_prop (obj->type, table->property, NULL))
      {
        g_autoptr (GError) error = NULL;
        bool ok = vm_object_set (obj, table->property, table->value, &error);
        g_assert (ok); /* the tables are ours */
      }
}

static void
apply_globals (VmMachine *m, VmObject *obj)
{
  for (guint i = 0; i < m->settings->globals->len; i++)
    {
      VmGlobal *g = g_ptr_array_index (m->settings->globals, i);
      g_autoptr (GError) error = NULL;
      if (!type_has_ancestor (obj->type, g->driver))
        continue;
      g->used = true;
      if (!vm_type_find_prop (obj->type, g->property, NULL))
        vm_fail (&error, "Property '%s.%s' not found", obj->type->name, g->property);
      else
        vm_object_set (obj, g->property, g->value, &error);
      if (error)
        g_ptr_array_add (m->priv->globals_bad, g_strdup_printf ("can't apply global %s.%s=%s: %s", obj->type->name,
                                                                g->property, g->value, error->message));
    }
}

void
vm_machine_apply_defaults (VmMachine *m, VmObject *obj)
{
  /* What is part of it first: the whole has those properties too, and the user means them. */
  for (guint i = 0; obj->children && i < obj->children->len; i++)
    vm_machine_apply_defaults (m, g_ptr_array_index (obj->children, i));
  for (const VmCompat *const *table = m->board->compat; table && *table; table++)
    apply_compat_table (obj, *table);
  apply_globals (m, obj);
}

VmDevice *
vm_machine_new_device (VmMachine *m, const VmType *type)
{
  VmDevice *dev = vm_device_new (type);

  dev->parent.scope = m->env.root; /* links name what is in the tree, where it is not yet itself */
  if (m->accel && m->accel->ops->prepare)
    m->accel->ops->prepare (m->accel, dev);
  vm_machine_apply_defaults (m, &dev->parent);
  return dev;
}

VmDevice *
vm_machine_add_device (VmMachine *m, const VmType *type, VmBus *bus, GError **error)
{
  VmDevice *dev = vm_machine_new_device (m, type);
  bool ok = vm_device_realize (dev, &m->env, bus, error);

  vm_object_unref (&dev->parent);
  return ok ? dev : NULL;
}

bool
vm_machine_add_cpu (VmMachine *m, VmVcpu *vcpu, GError **error)
{
  return vm_machine_add_cpu_at (m, vcpu, vm_vcpu_set_count (m->vcpus), error);
}

bool
vm_machine_add_cpu_at (VmMachine *m, VmVcpu *vcpu, unsigned index, GError **error)
{
  vcpu->index = index;
  if (!vm_device_realize (&vcpu->parent, &m->env, NULL, error))
    return false;
  if (!vm_vcpu_set_add (m->vcpus, vcpu, error))
    {
      vm_device_unrealize (&vcpu->parent);
      return false;
    }
  g_ptr_array_add (m->cpus_to_reset, vcpu);
  return true;
}

void
vm_machine_remove_cpu (VmMachine *m, VmVcpu *vcpu)
{
  g_ptr_array_remove (m->cpus_to_reset, vcpu);
  vm_vcpu_set_remove (m->vcpus, vcpu);
}

/* --- what the user plugs --- */

/* Older names that people still say. */
static const struct { const char *alias, *name; } type_aliases[] = { { "ac97", "AC97" },
                                                                      { "ahci", "ich9-ahci" },
                                                                      { "es1370", "ES1370" },
                                                                      { "virtio-gpu", "virtio-gpu-pci" } };

static const VmType *
find_pluggable (VmMachine *m, const char *driver, GError **error)
{
  for (size_t i = 0; i < G_N_ELEMENTS (type_aliases); i++)
    if (strcmp (driver, type_aliases[i].alias) == 0)
      driver = type_aliases[i].name;

  const VmType *type = vm_type_find (m->types, driver);

  if (!type || !vm_type_is_a (type, &vm_device_type))
    {
      if (vm_documented_kind_of ("device", driver))
        g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "not available in this build");
      else
        vm_fail (error, "'%s' is not a valid device model name", driver);
      return NULL;
    }
  const VmDeviceClass *klass = vm_type_klass (type);
  if (type->abstract || !klass || !klass->user_creatable)
    {
      vm_fail (error, "Parameter 'driver' expects a pluggable device type");
      return NULL;
    }
  if (m->settings->only_migratable && klass->unmigratable)
    {
      vm_fail (error, "Device %s is not migratable, but --only-migratable was specified", driver);
      return NULL;
    }
  if (m->priv->devices_made && !klass->hotpluggable)
    {
      vm_fail (error, "Device '%s' does not support hotplugging", driver);
      return NULL;
    }
  return type;
}

static bool
find_bus (VmMachine *m, const VmType *type, const char *name, VmBus **bus, GError **error)
{
  const char *family = vm_device_bus_type (type);

  *bus = NULL;
  if (name)
    {
      *bus = vm_bus_find (&m->env, name);
      return *bus || vm_fail (error, "Bus '%s' not found", name);
    }
  if (!family)
    return true;
  *bus = vm_bus_find_type (&m->env, family);
  return *bus || vm_fail (error, "No '%s' bus found for device '%s'", family, type->name);
}

/* What "NAME.0.x", "NAME.1.x" ... are parts of: a property whose value is JSON. NULL: none. */
static char *
list_property (const VmDevice *dev, const char *key)
{
  const char *dot = strchr (key, '.');
  g_autofree char *name = dot ? g_strndup (key, dot - key) : NULL;
  const VmProp *prop = dot ? vm_type_find_prop (dev->parent.type, name, NULL) : NULL;

  return prop && prop->kind == VM_PROP_CUSTOM && prop->custom->json ? g_steal_pointer (&name) : NULL;
}

static bool
set_list (VmDevice *dev, const VmKeyVals *props, const char *name, GError **error)
{
  json_object *flat = json_object_new_object (), *nested, *value;
  size_t len = strlen (name);

  for (guint i = 0; i < props->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (props->pairs, i);
      if (!strncmp (pair->key, name, len) && pair->key[len] == '.')
        json_object_object_add (flat, pair->key, json_object_new_string (pair->value));
    }
  nested = vm_json_nest (flat, error);
  json_object_put (flat);
  bool ok = nested && json_object_object_get_ex (nested, name, &value)
            && vm_object_set (&dev->parent, name, json_object_to_json_string (value), error);
  json_object_put (nested);
  return ok;
}

static bool
set_props (VmDevice *dev, const VmKeyVals *props, GError **error)
{
  const char *type_name = dev->parent.type->name;
  g_autofree char *done = NULL; /* a list that has been set */

  for (guint i = 0; i < props->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (props->pairs, i);
      g_autofree char *list = list_property (dev, pair->key);
      if (list)
        {
          if (g_strcmp0 (done, list) && !set_list (dev, props, list, error))
            return false;
          g_free (done);
          done = g_steal_pointer (&list);
          continue;
        }
      if (!vm_type_find_prop (dev->parent.type, pair->key, NULL))
        return vm_fail (error, "Property '%s.%s' not found", type_name, pair->key);
      if (!vm_object_set (&dev->parent, pair->key, pair->value, error))
        return false;
    }
  return true;
}

/* Devices without an id of the user's are numbered in a folder of their own. */
static void
join_peripherals (VmMachine *m, VmDevice *dev, const char *id)
{
  if (id)
    {
      vm_object_add_child (m->peripheral, id, &dev->parent);
      return;
    }
  for (unsigned n = 0;; n++)
    {
      g_autofree char *name = g_strdup_printf ("device[%u]", n);
      if (vm_object_child (m->peripheral_anon, name))
        continue;
      vm_object_add_child (m->peripheral_anon, name, &dev->parent);
      return;
    }
}

static bool
realize_plugged (VmMachine *m, VmDevice *dev, VmBus *bus, GError **error)
{
  bool mine = false, ok = !bus && m->plug && m->plug (m, dev, &mine, error);

  return mine ? ok : vm_device_realize (dev, &m->env, bus, error);
}

void
vm_machine_unplug (VmMachine *m, VmDevice *dev)
{
  g_autofree char *path = vm_object_path (&dev->parent);
  g_autofree char *id = g_strdup (vm_device_user_id (dev));

  vm_device_unrealize (dev);
  vm_failover_gone (m, id);
  if (id)
    vm_machine_emit (m, "DEVICE_DELETED", "{\"device\": \"%s\", \"path\": \"%s\"}", id, path);
  else
    vm_machine_emit (m, "DEVICE_DELETED", "{\"path\": \"%s\"}", path);
}

static VmDevice *
plug (VmMachine *m, const VmDeviceSpec *spec, bool now, GError **error)
{
  const VmType *type = find_pluggable (m, spec->driver, error);
  VmBus *bus;
  bool waits = false;

  if (!type || !find_bus (m, type, spec->bus, &bus, error))
    return NULL;
  if (spec->id && (vm_object_child (m->peripheral, spec->id) || vm_failover_waits (m, spec->id)))
    {
      vm_fail (error, "Duplicate device ID '%s'", spec->id);
      return NULL;
    }
  VmDevice *dev = vm_machine_new_device (m, type);
  dev->hotplugged = m->priv->devices_made;
  join_peripherals (m, dev, spec->id);
  bool ok = (!m->priv->globals_bad->len || vm_fail (error, "%s", (char *) g_ptr_array_index (m->priv->globals_bad, 0)))
            && set_props (dev, spec->props, error)
            && (now || vm_failover_take (m, dev, bus, spec, &waits, error));
  if (ok && !waits && !(ok = realize_plugged (m, dev, bus, error)) && !now)
    vm_failover_gone (m, spec->id);
  g_ptr_array_set_size (m->priv->globals_bad, 0);
  if ((!ok || waits) && dev->parent.parent)
    vm_object_remove_child (&dev->parent);
  vm_object_unref (&dev->parent);
  return ok ? dev : NULL;
}

VmDevice *
vm_machine_plug (VmMachine *m, const VmDeviceSpec *spec, GError **error)
{
  return plug (m, spec, false, error);
}

VmDevice *
vm_machine_plug_now (VmMachine *m, const VmDeviceSpec *spec, GError **error)
{
  return plug (m, spec, true, error);
}

/* --- boot order --- */

static gint
compare_boot_devices (gconstpointer a, gconstpointer b)
{
  return (*(VmBootDevice *const *) a)->index - (*(VmBootDevice *const *) b)->index;
}

bool
vm_machine_add_boot_device (VmMachine *m, int bootindex, VmDevice *dev, const char *suffix, GError **error)
{
  GPtrArray *list = m->priv->boot_devices;

  if (bootindex < 0)
    return true;
  for (guint i = 0; i < list->len; i++)
    if (((VmBootDevice *) g_ptr_array_index (list, i))->index == bootindex)
      return vm_fail (error, "The bootindex %d has already been used", bootindex);
  VmBootDevice *boot = g_new0 (VmBootDevice, 1);
  *boot = (VmBootDevice){ bootindex, dev, g_strdup (suffix) };
  g_ptr_array_add (list, boot);
  g_ptr_array_sort (list, compare_boot_devices);
  return true;
}

void
vm_machine_remove_boot_device (VmMachine *m, VmDevice *dev)
{
  for (guint i = m->priv->boot_devices->len; i-- > 0;)
    if (((VmBootDevice *) g_ptr_array_index (m->priv->boot_devices, i))->dev == dev)
      g_ptr_array_remove_index (m->priv->boot_devices, i);
}

/* "/pci@i0cf8/ide@1,1/drive@0": each bus names the device on it. */
static void
append_path (GString *out, VmDevice *dev)
{
  if (!dev->bus)
    return;
  append_path (out, dev->bus->owner);
  if (!dev->bus->device_path)
    return;
  g_autofree char *name = dev->bus->device_path (dev->bus, dev);
  if (name)
    g_string_append_printf (out, "/%s", name);
}

char *
vm_machine_boot_order (VmMachine *m)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < m->priv->boot_devices->len; i++)
    {
      const VmBootDevice *boot = g_ptr_array_index (m->priv->boot_devices, i);
      if (out->len)
        g_string_append_c (out, '\n');
      if (boot->dev)
        append_path (out, boot->dev);
      g_string_append (out, boot->suffix ? boot->suffix : "");
    }
  if (m->settings->boot_strict) /* nothing else is tried */
    g_string_append (out, out->len ? "\nHALT" : "HALT");
  return g_string_free (out, FALSE);
}

/* --- files --- */

static char *
in_folder (const char *folder, const char *name)
{
  char *path = g_build_filename (folder, name, NULL);

  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    g_clear_pointer (&path, g_free);
  return path;
}

char *
vm_machine_find_file (VmMachine *m, const char *name)
{
  static const char *const folders[]
      = { VM_DATADIR,           VM_BUILDDIR "/resources", "/usr/share/qemu", "/usr/share/seabios",
          "/usr/share/vgabios", "/usr/lib/ipxe/qemu",     "/usr/share/OVMF", "/usr/share/ovmf" };
  char *path = NULL;

  if (g_file_test (name, G_FILE_TEST_EXISTS))
    return g_strdup (name);
  for (guint i = 0; i < m->settings->data_dirs->len && !path; i++)
    path = in_folder (g_ptr_array_index (m->settings->data_dirs, i), name);
  for (size_t i = 0; i < G_N_ELEMENTS (folders) && !path; i++)
    path = in_folder (folders[i], name);
  return path;
}
