/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters of the accelerator: what there is, and what they say now. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

typedef struct Collect
{
  GPtrArray *list;        /* Stats *, or StatsSchemaValue * */
  const GPtrArray *names; /* char *: those wanted; NULL: all */
} Collect;

static bool
is_wanted (const Collect *c, const char *name)
{
  for (guint i = 0; c->names && i < c->names->len; i++)
    if (!strcmp (g_ptr_array_index (c->names, i), name))
      return true;
  return !c->names;
}

static void
add_value (const VmAccelStat *stat, void *opaque)
{
  Collect *c = opaque;

  if (!is_wanted (c, stat->name))
    return;
  VmqStats *entry = g_new0 (VmqStats, 1);
  entry->name = g_strdup (stat->name);
  if (stat->unit == VM_ACCEL_STAT_BOOLEAN)
    entry->value = json_object_new_boolean (stat->values[0] != 0);
  else if (stat->n == 1)
    entry->value = json_object_new_uint64 (stat->values[0]);
  else
    {
      entry->value = json_object_new_array ();
      for (unsigned i = 0; i < stat->n; i++)
        json_object_array_add (entry->value, json_object_new_uint64 (stat->values[i]));
    }
  g_ptr_array_add (c->list, entry);
}

static void
add_description (const VmAccelStat *stat, void *opaque)
{
  Collect *c = opaque;
  VmqStatsSchemaValue *entry = g_new0 (VmqStatsSchemaValue, 1);

  entry->name = g_strdup (stat->name);
  entry->type = (VmqStatsType) stat->type;
  entry->has_unit = stat->unit != VM_ACCEL_STAT_NO_UNIT;
  entry->unit = entry->has_unit ? (VmqStatsUnit) (stat->unit - VM_ACCEL_STAT_BYTES) : 0;
  entry->has_base = stat->exponent != 0;
  entry->base = stat->base;
  entry->exponent = stat->exponent;
  entry->has_bucket_size = stat->bucket_size != 0;
  entry->bucket_size = stat->bucket_size;
  g_ptr_array_add (c->list, entry);
}

/* What the requests say of the one provider there is: false: it is not asked. */
static bool
asked_names (const VmqQueryStatsArg *args, const GPtrArray **names)
{
  *names = NULL;
  for (guint i = 0; args->providers && i < args->providers->len; i++)
    {
      const VmqStatsRequest *request = g_ptr_array_index (args->providers, i);
      *names = request->names;
      return true;
    }
  return !args->providers;
}

static void
add_result (GPtrArray *list, VmAccel *accel, VmVcpu *vcpu, const GPtrArray *names)
{
  Collect c = { g_ptr_array_new (), names };

  accel->ops->foreach_stat (accel, vcpu, add_value, &c);
  if (!c.list->len)
    {
      g_ptr_array_unref (c.list);
      return;
    }
  VmqStatsResult *result = g_new0 (VmqStatsResult, 1);
  result->provider = VMQ_STATS_PROVIDER_KVM;
  result->qom_path = vcpu ? vm_object_path (&vcpu->parent.parent) : NULL;
  result->stats = c.list;
  g_ptr_array_add (list, result);
}

static bool
is_chosen (const VmqQueryStatsArg *args, VmVcpu *vcpu)
{
  const GPtrArray *paths = args->u.vcpu ? args->u.vcpu->vcpus : NULL;
  g_autofree char *path = vm_object_path (&vcpu->parent.parent);

  for (guint i = 0; paths && i < paths->len; i++)
    if (!strcmp (g_ptr_array_index (paths, i), path))
      return true;
  return !paths;
}

GPtrArray *
vm_qmp_query_stats (VmMonitor *mon, const VmqQueryStatsArg *args, GError **error)
{
  VmAccel *accel = mon->machine->accel;
  GPtrArray *list = g_ptr_array_new ();
  const GPtrArray *names;

  if (!accel->ops->foreach_stat || !asked_names (args, &names))
    return list;
  if (args->target == VMQ_STATS_TARGET_VM)
    add_result (list, accel, NULL, names);
  for (unsigned i = 0; args->target == VMQ_STATS_TARGET_VCPU && i < vm_vcpu_set_count (mon->machine->vcpus); i++)
    {
      VmVcpu *vcpu = vm_vcpu_set_get (mon->machine->vcpus, i);
      if (is_chosen (args, vcpu))
        add_result (list, accel, vcpu, names);
    }
  return list;
}

static void
add_schema (GPtrArray *list, VmqStatsTarget target, VmAccel *accel, VmVcpu *vcpu)
{
  Collect c = { g_ptr_array_new (), NULL };
  VmqStatsSchema *schema = g_new0 (VmqStatsSchema, 1);

  accel->ops->foreach_stat (accel, vcpu, add_description, &c);
  schema->provider = VMQ_STATS_PROVIDER_KVM;
  schema->target = target;
  schema->stats = c.list;
  g_ptr_array_add (list, schema);
}

GPtrArray *
vm_qmp_query_stats_schemas (VmMonitor *mon, const VmqQueryStatsSchemasArg *args, GError **error)
{
  VmAccel *accel = mon->machine->accel;
  GPtrArray *list = g_ptr_array_new ();

  if (!accel->ops->foreach_stat)
    return list;
  add_schema (list, VMQ_STATS_TARGET_VM, accel, NULL);
  if (vm_vcpu_set_count (mon->machine->vcpus))
    add_schema (list, VMQ_STATS_TARGET_VCPU, accel, vm_vcpu_set_get (mon->machine->vcpus, 0));
  return list;
}
