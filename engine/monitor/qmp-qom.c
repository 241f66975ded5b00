/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about types, objects and their properties. Describing a type runs none of its code. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include "engine/machine/failover.h"
#include "engine/machine/user-object.h"
#include "engine/options/settings.h"

/* --- values --- */

static json_object *
number_from_text (const char *text)
{
  char *end;

  if (*text == '-')
    return json_object_new_int64 (g_ascii_strtoll (text, &end, 0));
  return json_object_new_uint64 (g_ascii_strtoull (text, &end, 0));
}

json_object *
vm_qom_value_to_json (const VmProp *prop, const char *text)
{
  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return json_object_new_boolean (text && (!strcmp (text, "on") || !strcmp (text, "true")));
    case VM_PROP_U8:
    case VM_PROP_U16:
    case VM_PROP_U32:
    case VM_PROP_U64:
    case VM_PROP_I32:
    case VM_PROP_I64:
    case VM_PROP_SIZE:
      return number_from_text (text ? text : "0");
    default:
      if (prop->kind == VM_PROP_CUSTOM && prop->custom->json && text)
        return json_tokener_parse (text);
      return json_object_new_string (text ? text : "");
    }
}

static json_object *
default_to_json (const VmProp *prop)
{
  static const char *const auto_names[] = { "auto", "on", "off" };

  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return json_object_new_boolean (prop->def != 0);
    case VM_PROP_U8:
    case VM_PROP_U16:
    case VM_PROP_U32:
    case VM_PROP_U64:
    case VM_PROP_SIZE:
      return json_object_new_uint64 (prop->width < 8 ? prop->def & VM_MASK (prop->width * 8 - 1, 0) : prop->def);
    case VM_PROP_I32:
      return json_object_new_int64 ((int32_t) prop->def);
    case VM_PROP_I64:
      return json_object_new_int64 ((int64_t) prop->def);
    case VM_PROP_ONOFFAUTO:
      return json_object_new_string (auto_names[prop->def % 3]);
    case VM_PROP_ENUM:
      return json_object_new_string (prop->names[prop->def]);
    case VM_PROP_STR:
    case VM_PROP_CUSTOM:
      return prop->def ? json_object_new_string ((const char *) (uintptr_t) prop->def) : NULL;
    default:
      return NULL;
    }
}

static VmqObjectPropertyInfo *
new_info (const char *name, const char *type)
{
  VmqObjectPropertyInfo *info = g_new0 (VmqObjectPropertyInfo, 1);

  info->name = g_strdup (name);
  info->type = g_strdup (type);
  return info;
}

static bool
add_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  if (prop->flags & VM_PROP_HIDDEN)
    return true;
  VmqObjectPropertyInfo *info = new_info (prop->name, vm_prop_type_name (prop));
  info->description = prop->help && *prop->help ? g_strdup (prop->help) : NULL;
  info->default_value = default_to_json (prop);
  g_ptr_array_add (opaque, info);
  return true;
}

/* --- types --- */

static bool
has_ancestor_named (const VmType *type, const char *name)
{
  for (; type; type = type->parent)
    if (!strcmp (type->name, name))
      return true;
  return false;
}

typedef struct TypeQuery
{
  GPtrArray *list;
  const char *implements;
  bool abstract;
} TypeQuery;

static void
add_type (const VmType *type, void *opaque)
{
  TypeQuery *q = opaque;

  if ((type->abstract && !q->abstract) || (q->implements && !has_ancestor_named (type, q->implements)))
    return;
  VmqObjectTypeInfo *info = g_new0 (VmqObjectTypeInfo, 1);
  info->name = g_strdup (type->name);
  info->has_abstract = info->abstract = type->abstract;
  info->parent = type->parent ? g_strdup (type->parent->name) : NULL;
  g_ptr_array_add (q->list, info);
}

/* What the registry does not know: accelerators are tables of functions, their types come with their objects. */
static const VmType accel_type = { .name = "accel", .parent = &vm_object_type, .abstract = true };

static VmType
type_of_accel (const VmAccelOps *ops)
{
  return (VmType){ .parent = &accel_type, .size = ops->size, .help = ops->help, .props = ops->props };
}

GPtrArray *
vm_qmp_qom_list_types (VmMonitor *mon, const VmqQomListTypesArg *args, GError **error)
{
  TypeQuery q = { g_ptr_array_new (), args->implements, args->has_abstract && args->abstract };

  vm_type_foreach (mon->machine->types, &vm_object_type, add_type, &q);
  add_type (&accel_type, &q);
  for (const VmAccelOps *const *a = mon->machine->accels; a && *a; a++)
    {
      g_autofree char *name = g_strdup_printf ("%s-accel", (*a)->name);
      VmType type = type_of_accel (*a);
      type.name = name;
      add_type (&type, &q);
    }
  return q.list;
}

static GPtrArray *
list_type (VmMonitor *mon, const char *name, const VmType *family, GError **error)
{
  const VmType *type = vm_type_find (mon->machine->types, name);
  VmType accel;

  if (!strcmp (name, accel_type.name))
    type = &accel_type;
  for (const VmAccelOps *const *a = mon->machine->accels; !type && a && *a; a++)
    if (g_str_has_suffix (name, "-accel") && strlen ((*a)->name) == strlen (name) - strlen ("-accel")
        && g_str_has_prefix (name, (*a)->name))
      {
        accel = type_of_accel (*a);
        type = &accel;
      }
  if (!type)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "%s '%s' not found",
                   family == &vm_device_type ? "Device" : "Class", name);
      return NULL;
    }
  if (!vm_type_is_a (type, family) || (family == &vm_device_type && type->abstract))
    {
      vm_fail (error, "Parameter 'typename' expects a non-abstract device type");
      return NULL;
    }
  GPtrArray *list = g_ptr_array_new ();
  if (family != &vm_device_type)
    g_ptr_array_add (list, new_info ("type", "string"));
  vm_type_foreach_prop (type, add_prop, list);
  return list;
}

GPtrArray *
vm_qmp_device_list_properties (VmMonitor *mon, const VmqDeviceListPropertiesArg *args, GError **error)
{
  return list_type (mon, args->typename_, &vm_device_type, error);
}

GPtrArray *
vm_qmp_qom_list_properties (VmMonitor *mon, const VmqQomListPropertiesArg *args, GError **error)
{
  return list_type (mon, args->typename_, &vm_object_type, error);
}

/* --- objects --- */

static VmObject *
find_object (VmMonitor *mon, const char *path, GError **error)
{
  VmObject *obj = vm_object_resolve (mon->machine->env.root, path);

  if (!obj)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
  return obj;
}

/* The machine is known by its board's name, not by its family's. */
static char *
type_name_of (VmMonitor *mon, const VmObject *obj)
{
  if (obj == &mon->machine->parent)
    return g_strdup_printf ("%s-machine", mon->machine->board->name);
  return g_strdup (obj->type->name);
}

static bool
add_object_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  VmqObjectPropertyInfo *info = new_info (prop->name, vm_prop_type_name (prop));

  info->description = prop->help && *prop->help ? g_strdup (prop->help) : NULL;
  g_ptr_array_add (opaque, info);
  return true;
}

GPtrArray *
vm_qmp_qom_list (VmMonitor *mon, const VmqQomListArg *args, GError **error)
{
  VmObject *obj = find_object (mon, args->path, error);

  if (!obj)
    return NULL;
  GPtrArray *list = g_ptr_array_new ();
  g_ptr_array_add (list, new_info ("type", "string"));
  vm_type_foreach_prop (obj->type, add_object_prop, list);
  for (guint i = 0; obj->children && i < obj->children->len; i++)
    {
      const VmObject *child = g_ptr_array_index (obj->children, i);
      g_autofree char *name = type_name_of (mon, child);
      g_autofree char *type = g_strdup_printf ("child<%s>", name);
      g_ptr_array_add (list, new_info (child->id, type));
    }
  return list;
}

static const VmProp *
find_prop (VmMonitor *mon, VmObject *obj, const char *name, GError **error)
{
  const VmProp *prop = vm_type_find_prop (obj->type, name, NULL);
  g_autofree char *type = type_name_of (mon, obj);

  if (!prop)
    vm_fail (error, vm_object_child (obj, name) || !strcmp (name, "type") ? "Property '%s.%s' is not writable"
                                                                          : "Property '%s.%s' not found",
             type, name);
  return prop;
}

json_object *
vm_qmp_qom_get (VmMonitor *mon, const VmqQomGetArg *args, GError **error)
{
  VmObject *obj = find_object (mon, args->path, error);

  if (!obj)
    return NULL;
  if (!strcmp (args->property, "type"))
    {
      g_autofree char *type = type_name_of (mon, obj);
      return json_object_new_string (type);
    }
  VmObject *child = vm_object_child (obj, args->property);
  if (child)
    {
      g_autofree char *path = vm_object_path (child);
      return json_object_new_string (path);
    }
  const VmProp *prop = find_prop (mon, obj, args->property, error);
  if (!prop)
    return NULL;
  g_autoptr (GError) why = NULL;
  g_autofree char *text = vm_object_get (obj, args->property, &why);
  if (why)
    {
      g_propagate_error (error, g_steal_pointer (&why));
      return NULL;
    }
  return vm_qom_value_to_json (prop, text);
}

static bool
check_kind (const VmProp *prop, const char *name, json_object *value, GError **error)
{
  json_type type = json_object_get_type (value);
  bool number = type == json_type_int, string = type == json_type_string;

  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:
      return type == json_type_boolean || vm_fail (error, "Invalid parameter type for '%s', expected: boolean", name);
    case VM_PROP_U8:
    case VM_PROP_U16:
    case VM_PROP_U32:
    case VM_PROP_U64:
    case VM_PROP_I32:
    case VM_PROP_I64:
    case VM_PROP_SIZE:
      return number || vm_fail (error, "Invalid parameter type for '%s', expected: integer", name);
    default:
      if (prop->kind == VM_PROP_CUSTOM && prop->custom->json) /* its setter knows */
        return true;
      return string || vm_fail (error, "Invalid parameter type for '%s', expected: string", name);
    }
}

bool
vm_qmp_qom_set (VmMonitor *mon, const VmqQomSetArg *args, GError **error)
{
  VmObject *obj = find_object (mon, args->path, error);
  const VmProp *prop = obj ? find_prop (mon, obj, args->property, error) : NULL;

  if (!prop || !check_kind (prop, args->property, args->value, error))
    return false;
  const char *text = json_object_is_type (args->value, json_type_boolean)
                         ? (json_object_get_boolean (args->value) ? "on" : "off")
                         : json_object_get_string (args->value);
  return vm_object_set (obj, args->property, text, error);
}

/* --- objects of users --- */

bool
vm_qmp_object_add (VmMonitor *mon, const VmqObjectAddArg *args, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (args->rest && !vm_keyvals_parse_json (list, json_object_to_json_string (args->rest), error))
    return false;
  if (!vm_id_well_formed (args->id))
    return vm_fail (error, "Parameter 'id' expects an identifier");
  vm_keyvals_set (list, "qom-type", args->qom_type);
  vm_keyvals_set (list, "id", args->id);
  VmDeviceSpec *spec = vm_device_spec_new (list, "qom-type", NULL);
  VmObject *obj = vm_machine_add_object (mon->machine, spec, error);
  vm_device_spec_free (spec);
  return obj != NULL;
}

bool
vm_qmp_object_del (VmMonitor *mon, const VmqObjectDelArg *args, GError **error)
{
  VmObject *obj = vm_object_child (mon->machine->objects, args->id);

  if (!obj)
    return vm_fail (error, "object '%s' not found", args->id);
  const VmUserObjectClass *klass = vm_type_klass (obj->type);
  if (klass && klass->can_go && !klass->can_go (obj))
    return vm_fail (error, "object '%s' is in use, can not be deleted", args->id);
  vm_object_remove_child (obj);
  return true;
}

/* --- hot-plug --- */

bool
vm_qmp_device_add (VmMonitor *mon, const VmqDeviceAddArg *args, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (args->rest && !vm_keyvals_parse_json (list, json_object_to_json_string (args->rest), error))
    return false;
  vm_keyvals_set (list, "driver", args->driver);
  if (args->id)
    vm_keyvals_set (list, "id", args->id);
  if (args->bus)
    vm_keyvals_set (list, "bus", args->bus);
  if (args->id && !vm_id_well_formed (args->id))
    return vm_fail (error, "Invalid qdev ID '%s'", args->id);
  VmDeviceSpec *spec = vm_device_spec_new (list, "driver", NULL);
  VmDevice *dev = vm_machine_plug (mon->machine, spec, error);
  vm_device_spec_free (spec);
  return dev != NULL;
}

bool
vm_qmp_device_del (VmMonitor *mon, const VmqDeviceDelArg *args, GError **error)
{
  VmObject *obj = *args->id == '/' ? vm_object_resolve (mon->machine->env.root, args->id)
                                   : vm_object_child (mon->machine->peripheral, args->id);

  if (!obj && vm_failover_forget (mon->machine, args->id))
    return true;
  if (!obj || !vm_object_is_a (obj, &vm_device_type))
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", args->id);
      return false;
    }
  VmDevice *dev = (VmDevice *) obj;
  const VmDeviceClass *klass = vm_device_class (dev);
  if (!klass || !klass->hotpluggable)
    return vm_fail (error, "Device '%s' does not support hotplugging", obj->type->name);
  if (!dev->bus && mon->machine->request_unplug)
    return mon->machine->request_unplug (mon->machine, dev, error);
  if (!dev->bus || !dev->bus->hotplug)
    return vm_fail (error, "Bus '%s' does not support hotplugging", dev->bus ? dev->bus->name : "main-system-bus");
  if (dev->bus->request_unplug)
    {
      if (dev->pending_unplug)
        return vm_fail (error, "Device %s is already in the process of unplug", args->id);
      dev->pending_unplug = true;
      dev->bus->request_unplug (dev->bus, dev);
      return true;
    }
  vm_machine_unplug (mon->machine, dev);
  return true;
}
