/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about processor models: what there is, and what a guest would get of one. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

typedef struct ModelList
{
  VmMonitor *mon;
  GPtrArray *list;
} ModelList;

/* What NAME with PROPS gives on this host; a new object that is not realized. */
static VmVcpu *
new_model (VmMonitor *mon, const char *name, char ***missing)
{
  const VmArchOps *arch = mon->machine->arch;
  const VmType *type = vm_type_find (mon->machine->types, name);

  if (!arch || !type || type->abstract || !vm_type_is_a (type, &vm_device_type))
    return NULL;
  VmVcpu *model = (VmVcpu *) vm_machine_new_device (mon->machine, type);
  if (missing)
    *missing = arch->limit_model (model, mon->machine->accel);
  return model;
}

static void
add_model (const VmCpuModelInfo *model, void *opaque)
{
  const ModelList *m = opaque;
  VmqCpuDefinitionInfo *info = g_new0 (VmqCpuDefinitionInfo, 1);
  g_auto (GStrv) missing = NULL;
  VmVcpu *cpu = new_model (m->mon, model->type_name, &missing);

  info->name = g_strdup (model->name);
  info->typename_ = g_strdup (model->type_name);
  info->alias_of = g_strdup (model->alias_of);
  info->has_migration_safe = true;
  info->migration_safe = model->migration_safe;
  info->static_ = model->is_static;
  info->deprecated = model->deprecated;
  info->unavailable_features = g_ptr_array_new ();
  for (char **name = missing; name && *name; name++)
    g_ptr_array_add (info->unavailable_features, g_strdup (*name));
  if (cpu)
    vm_object_unref (&cpu->parent.parent);
  g_ptr_array_add (m->list, info);
}

GPtrArray *
vm_qmp_query_cpu_definitions (VmMonitor *mon, GError **error)
{
  ModelList m = { mon, g_ptr_array_new () };

  if (mon->machine->arch)
    mon->machine->arch->foreach_model (add_model, &m);
  return m.list;
}

/* --- expansion --- */

typedef struct FindModel
{
  const char *name;
  char *type_name;
} FindModel;

static void
match_model (const VmCpuModelInfo *model, void *opaque)
{
  FindModel *f = opaque;

  if (!strcmp (model->name, f->name))
    f->type_name = g_strdup (model->type_name);
}

static bool
set_props (VmVcpu *model, json_object *props, GError **error)
{
  VmObject *obj = &model->parent.parent;

  if (!json_object_is_type (props, json_type_object))
    return vm_fail (error, "Invalid parameter type for 'model.props', expected: object");
  json_object_object_foreach (props, key, value)
  {
    const char *text = json_object_get_string (value);
    if (!vm_type_find_prop (obj->type, key, NULL))
      return vm_fail (error, "Property '%s.%s' not found", obj->type->name, key);
    if (json_object_is_type (value, json_type_boolean))
      text = json_object_get_boolean (value) ? "on" : "off";
    if (!vm_object_set (obj, key, text ? text : "", error))
      return false;
  }
  return true;
}

typedef struct Expansion
{
  VmObject *model;
  json_object *props;
  bool is_static;
} Expansion;

/* A static expansion says what the guest's CPUID shows: features, and who made it. */
static bool
is_static_prop (const VmProp *prop)
{
  static const char *const names[]
      = { "family", "model", "stepping", "vendor", "model-id", "min-level", "min-xlevel", NULL };

  return prop->kind == VM_PROP_BIT || g_strv_contains (names, prop->name);
}

static bool
add_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  const Expansion *e = opaque;

  if ((prop->flags & VM_PROP_HIDDEN) || (e->is_static && !is_static_prop (prop)))
    return true;
  g_autofree char *text = vm_object_get (e->model, prop->name, NULL);
  json_object_object_add (e->props, prop->name, vm_qom_value_to_json (prop, text));
  return true;
}

VmqCpuModelExpansionInfo *
vm_qmp_query_cpu_model_expansion (VmMonitor *mon, const VmqQueryCpuModelExpansionArg *args, GError **error)
{
  const VmArchOps *arch = mon->machine->arch;
  FindModel f = { args->model->name, NULL };
  bool is_static = args->type == VMQ_CPU_MODEL_EXPANSION_TYPE_STATIC;

  if (arch)
    arch->foreach_model (match_model, &f);
  g_autofree char *type_name = f.type_name;
  VmVcpu *model = type_name ? new_model (mon, type_name, NULL) : NULL;
  if (!model)
    {
      vm_fail (error, "CPU model '%s' not found", args->model->name);
      return NULL;
    }
  VmqCpuModelExpansionInfo *info = NULL;
  if (!args->model->props || set_props (model, args->model->props, error))
    {
      g_strfreev (arch->limit_model (model, mon->machine->accel));
      info = g_new0 (VmqCpuModelExpansionInfo, 1);
      info->model = g_new0 (VmqCpuModelInfo, 1);
      info->model->name = g_strdup (is_static ? "base" : args->model->name);
      info->model->props = json_object_new_object ();
      Expansion e = { &model->parent.parent, info->model->props, is_static };
      vm_type_foreach_prop (model->parent.parent.type, add_prop, &e);
    }
  vm_object_unref (&model->parent.parent);
  return info;
}
