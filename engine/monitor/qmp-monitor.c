/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands about the monitor itself and about this program. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include "engine/base/log.h"
#include "engine/machine/iothread.h"
#include "engine/options/options.h"

bool
vm_qmp_qmp_capabilities (VmMonitor *mon, const VmqQmpCapabilitiesArg *args, GError **error)
{
  for (guint i = 0; args->enable && i < args->enable->len; i++)
    if (g_array_index (args->enable, int, i) == VMQ_QMP_CAPABILITY_OOB)
      mon->oob = true;
  mon->negotiated = true;
  return true;
}

VmqVersionInfo *
vm_qmp_query_version (VmMonitor *mon, GError **error)
{
  json_object *json = vm_qmp_version ();
  VmqVersionInfo *info = vm_schema_read (&vmq_type_versioninfo, json, VM_SCHEMA_JSON, NULL, error);

  json_object_put (json);
  return info;
}

GPtrArray *
vm_qmp_query_commands (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (const VmSchemaCommand *c = vm_schema_commands; c->name; c++)
    {
      VmqCommandInfo *info = g_new0 (VmqCommandInfo, 1);
      info->name = g_strdup (c->name);
      g_ptr_array_add (list, info);
    }
  return list;
}

json_object *
vm_qmp_query_qmp_schema (VmMonitor *mon, GError **error)
{
  return vm_schema_introspect (mon->machine->types, vm_monitor_policy (mon));
}

/* --- options --- */

static const char *
group_name (const char *option)
{
  static const struct
  {
    const char *option, *group;
  } names[] = { { "m", "memory" }, { "smp", "smp-opts" }, { "boot", "boot-opts" } };

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (!strcmp (option, names[i].option))
      return names[i].group;
  return option;
}

static VmqCommandLineParameterType
parameter_type (const char *values)
{
  if (g_str_has_prefix (values, "on|off") && !strstr (values, "auto"))
    return VMQ_COMMAND_LINE_PARAMETER_TYPE_BOOLEAN;
  if (g_str_has_prefix (values, "<size>"))
    return VMQ_COMMAND_LINE_PARAMETER_TYPE_SIZE;
  if (g_str_has_prefix (values, "<n>") || g_str_has_prefix (values, "<ms>") || g_str_has_prefix (values, "<s>")
      || g_str_has_prefix (values, "<uint>") || strstr (values, "/s>"))
    return VMQ_COMMAND_LINE_PARAMETER_TYPE_NUMBER;
  return VMQ_COMMAND_LINE_PARAMETER_TYPE_STRING;
}

static VmqCommandLineOptionInfo *
find_or_add (GPtrArray *list, const char *group)
{
  for (guint i = 0; i < list->len; i++)
    {
      VmqCommandLineOptionInfo *info = g_ptr_array_index (list, i);
      if (!strcmp (info->option, group))
        return info;
    }
  VmqCommandLineOptionInfo *info = g_new0 (VmqCommandLineOptionInfo, 1);
  info->option = g_strdup (group);
  info->parameters = g_ptr_array_new ();
  g_ptr_array_add (list, info);
  return info;
}

GPtrArray *
vm_qmp_query_command_line_options (VmMonitor *mon, const VmqQueryCommandLineOptionsArg *args, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();

  for (const VmOptionKey *k = vm_option_keys; k->option; k++)
    {
      g_autofree char *option = g_strndup (k->option, strcspn (k->option, " "));
      const char *group = group_name (option);
      if (args->option && strcmp (args->option, group) != 0)
        continue;
      VmqCommandLineOptionInfo *info = find_or_add (list, group);
      VmqCommandLineParameterInfo *p = g_new0 (VmqCommandLineParameterInfo, 1);
      p->name = g_strdup (k->key);
      p->type = parameter_type (k->values);
      p->help = *k->help ? g_strdup (k->help) : NULL;
      p->default_ = *k->def ? g_strdup (k->def) : NULL;
      g_ptr_array_add (info->parameters, p);
    }
  if (args->option && !list->len)
    {
      g_ptr_array_unref (list);
      vm_fail (error, "invalid option name: %s", args->option);
      return NULL;
    }
  return list;
}

/* --- the human monitor, and its texts --- */

char *
vm_qmp_human_monitor_command (VmMonitor *mon, const VmqHumanMonitorCommandArg *args, GError **error)
{
  if (args->has_cpu_index && (args->cpu_index < 0 || args->cpu_index >= vm_vcpu_set_count (mon->machine->vcpus)))
    {
      vm_fail (error, "Parameter 'cpu-index' expects a CPU number");
      return NULL;
    }
  return vm_monitors_run_hmp (mon->all, args->command_line, args->has_cpu_index ? args->cpu_index : 0);
}

static VmqHumanReadableText *
text_of (VmMonitor *mon, const char *command)
{
  VmqHumanReadableText *text = g_new0 (VmqHumanReadableText, 1);
  g_autofree char *printed = vm_monitors_run_hmp (mon->all, command, mon->cpu_index);
  g_auto (GStrv) lines = g_strsplit (printed, "\r\n", -1);

  text->human_readable_text = g_strjoinv ("\n", lines);
  return text;
}

VmqHumanReadableText *
vm_qmp_x_query_irq (VmMonitor *mon, GError **error)
{
  return text_of (mon, "info irq");
}

VmqHumanReadableText *
vm_qmp_x_query_ramblock (VmMonitor *mon, GError **error)
{
  return text_of (mon, "info ramblock");
}

VmqHumanReadableText *
vm_qmp_x_query_numa (VmMonitor *mon, GError **error)
{
  return text_of (mon, "info numa");
}

VmqHumanReadableText *
vm_qmp_x_query_roms (VmMonitor *mon, GError **error)
{
  return text_of (mon, "info roms");
}

VmqHumanReadableText *
vm_qmp_x_query_interrupt_controllers (VmMonitor *mon, GError **error)
{
  return text_of (mon, "info pic");
}

GPtrArray *
vm_qmp_query_iothreads (VmMonitor *mon, GError **error)
{
  const GPtrArray *objects = mon->machine->objects->children;
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; objects && i < objects->len; i++)
    {
      VmObject *obj = g_ptr_array_index (objects, i);
      const VmIothread *thread = (const VmIothread *) obj;

      if (obj->type != &vm_iothread_type)
        continue;
      VmqIOThreadInfo *info = g_new0 (VmqIOThreadInfo, 1);
      info->id = g_strdup (obj->id);
      info->thread_id = thread->thread_id;
      info->poll_max_ns = thread->poll_max_ns;
      info->poll_grow = thread->poll_grow;
      info->poll_shrink = thread->poll_shrink;
      info->aio_max_batch = thread->aio_max_batch;
      g_ptr_array_add (list, info);
    }
  return list;
}
