/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Monitor commands about the log and about trace events. */
#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"

/* --- the log --- */

static void
kick (VmVcpu *vcpu, void *opaque)
{
}

/* The translator looks at the items when it begins to run. */
static void
tell_vcpus (VmMonitor *mon)
{
  VmVcpuSet *set = mon->machine->vcpus;

  for (unsigned i = 0; set && i < vm_vcpu_set_count (set); i++)
    vm_vcpu_post (vm_vcpu_set_get (set, i), kick, NULL);
}

static void
print_events (VmMonitor *mon)
{
  for (unsigned i = 0; i < VM_TRACE_N; i++)
    vm_monitor_printf (mon, "%s\n", vm_trace_name (i));
}

void
vm_hmp_log (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GPtrArray) traces = g_ptr_array_new_with_free_func (g_free);
  const char *items = vm_hmp_text (args, "items");
  uint32_t mask = 0;

  if (!strcmp (items, "trace:help"))
    {
      print_events (mon);
      return;
    }
  if (strcmp (items, "none") != 0 && !vm_log_parse_items (items, &mask, traces, NULL))
    {
      g_autofree char *text = vm_log_describe_items ("log");
      const char *first = strchr (text, '\n') + 1;
      vm_monitor_printf (mon, "%.*snone            remove all logs\n%s", (int) (first - text), text, first);
      return;
    }
  for (guint i = 0; i < traces->len; i++)
    vm_trace_enable ("", g_ptr_array_index (traces, i));
  vm_log_set_mask (mask);
  tell_vcpus (mon);
}

void
vm_hmp_logfile (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;

  if (!vm_log_set_file (vm_hmp_text (args, "filename"), &error))
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}

/* --- trace events --- */

/* Whether PATTERN, when it is a plain name, names an event. */
static bool
check_event (const char *pattern, bool vcpu, GError **error)
{
  unsigned i;

  if (vm_trace_is_pattern (pattern))
    return true;
  for (i = 0; i < VM_TRACE_N && !vm_trace_matches (i, pattern); i++)
    ;
  if (i == VM_TRACE_N)
    return vm_fail (error, "unknown event \"%s\"", pattern);
  return !vcpu || vm_fail (error, "event \"%s\" is not vCPU-specific", pattern);
}

static void
report_event (VmMonitor *mon, const GError *error)
{
  if (error)
    vm_monitor_printf (mon, "%s\n", error->message);
}

void
vm_hmp_trace_event (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *name = vm_hmp_text (args, "name");
  g_autoptr (GError) error = NULL;

  if (check_event (name, vm_hmp_arg (args, "vcpu") != NULL, &error))
    vm_trace_set (name, vm_hmp_flag (args, "option"));
  report_event (mon, error);
}

void
vm_hmp_info_trace_events (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *name = vm_hmp_text (args, "name");
  g_autoptr (GError) error = NULL;

  if (check_event (name ? name : "*", vm_hmp_arg (args, "vcpu") != NULL, &error))
    for (unsigned i = 0; i < VM_TRACE_N; i++)
      if (vm_trace_matches (i, name ? name : "*"))
        vm_monitor_printf (mon, "%s : state %u\n", vm_trace_name (i), vm_trace_states[i]);
  report_event (mon, error);
}

GPtrArray *
vm_qmp_trace_event_get_state (VmMonitor *mon, const VmqTraceEventGetStateArg *args, GError **error)
{
  if (!check_event (args->name, args->has_vcpu, error))
    return NULL;
  GPtrArray *list = g_ptr_array_new ();
  for (unsigned i = 0; i < VM_TRACE_N; i++)
    if (vm_trace_matches (i, args->name))
      {
        VmqTraceEventInfo *info = g_new0 (VmqTraceEventInfo, 1);

        info->name = g_strdup (vm_trace_name (i));
        info->state = vm_trace_states[i] ? VMQ_TRACE_EVENT_STATE_ENABLED : VMQ_TRACE_EVENT_STATE_DISABLED;
        g_ptr_array_add (list, info);
      }
  return list;
}

bool
vm_qmp_trace_event_set_state (VmMonitor *mon, const VmqTraceEventSetStateArg *args, GError **error)
{
  if (!check_event (args->name, args->has_vcpu, error))
    return false;
  vm_trace_set (args->name, args->enable);
  return true;
}
