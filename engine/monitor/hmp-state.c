/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the human monitor about the state of the whole: statistics, rates, the translator, recordings. */
#include "engine/monitor/hmp.h"

#include <inttypes.h>

static int64_t
number (json_object *object, const char *key)
{
  json_object *value;

  return json_object_object_get_ex (object, key, &value) ? json_object_get_int64 (value) : 0;
}

/* Runs a command whose answer nobody needs. */
static void
run (VmMonitor *mon, const char *command)
{
  json_object_put (vm_hmp_qmp (mon, command, NULL));
}

/* --- recorded executions ------------------------------------------------------------------------------------------ */

void
vm_hmp_info_replay (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_monitor_puts (mon, "Record/replay is not active\n");
}

void
vm_hmp_replay_break (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object_put (vm_hmp_qmp (mon, "replay-break", "{\"icount\": %" PRId64 "}", vm_hmp_number (args, "icount", 0)));
}

void
vm_hmp_replay_delete_break (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "replay-delete-break");
}

void
vm_hmp_replay_seek (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object_put (vm_hmp_qmp (mon, "replay-seek", "{\"icount\": %" PRId64 "}", vm_hmp_number (args, "icount", 0)));
}

/* --- what is not there ---------------------------------------------------------------------------------------------
 */

void
vm_hmp_dumpdtb (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *name = vm_hmp_quote (vm_hmp_text (args, "filename"));

  json_object_put (vm_hmp_qmp (mon, "dumpdtb", "{\"filename\": %s}", name));
}

void
vm_hmp_x_colo_lost_heartbeat (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "x-colo-lost-heartbeat");
}

/* --- change of memory ----------------------------------------------------------------------------------------------
 */

void
vm_hmp_calc_dirty_rate (VmMonitor *mon, const VmHmpArgs *args)
{
  bool ring = vm_hmp_flag (args, "dirty_ring"), bitmap = vm_hmp_flag (args, "dirty_bitmap");
  const char *mode = ring ? "dirty-ring" : bitmap ? "dirty-bitmap" : "page-sampling";
  int64_t seconds = vm_hmp_number (args, "second", 0), pages = vm_hmp_number (args, "sample_pages_per_GB", 0);
  g_autofree char *samples = pages ? g_strdup_printf (", \"sample-pages\": %" PRId64, pages) : g_strdup ("");
  json_object *done;

  if (ring && bitmap)
    {
      vm_monitor_puts (mon, "Either dirty ring or dirty bitmap can be specified!\n");
      return;
    }
  done
      = vm_hmp_qmp (mon, "calc-dirty-rate", "{\"calc-time\": %" PRId64 ", \"mode\": \"%s\"%s}", seconds, mode, samples);
  if (done)
    vm_monitor_printf (mon,
                       "Starting dirty rate measurement with period %" PRId64 " seconds\n"
                       "[Please use 'info dirty_rate' to check results]\n",
                       seconds);
  json_object_put (done);
}

void
vm_hmp_info_dirty_rate (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-dirty-rate", NULL), *rate;

  if (!info)
    return;
  vm_monitor_printf (mon,
                     "Status: %s\nStart Time: %" PRId64 " (ms)\nSample Pages: %" PRId64 " (per GB)\n"
                     "Period: %" PRId64 " (sec)\nMode: %s\nDirty rate: ",
                     vm_hmp_member (info, "status"), number (info, "start-time") * 1000, number (info, "sample-pages"),
                     number (info, "calc-time"), vm_hmp_member (info, "mode"));
  if (json_object_object_get_ex (info, "dirty-rate", &rate))
    vm_monitor_printf (mon, "%" PRId64 " (MB/s)\n", json_object_get_int64 (rate));
  else
    vm_monitor_puts (mon, "(not ready)\n");
  json_object_put (info);
}

void
vm_hmp_set_vcpu_dirty_limit (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object_put (
      vm_hmp_qmp (mon, "set-vcpu-dirty-limit", "{\"dirty-rate\": %" PRId64 "}", vm_hmp_number (args, "dirty_rate", 0)));
}

void
vm_hmp_cancel_vcpu_dirty_limit (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "cancel-vcpu-dirty-limit");
  vm_monitor_puts (mon, "[Please use 'info vcpu_dirty_limit' to query dirty limit for virtual CPU]\n");
}

void
vm_hmp_info_vcpu_dirty_limit (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_monitor_puts (mon, "Dirty page limit not enabled!\n");
}

/* --- the translator ------------------------------------------------------------------------------------------------
 */

void
vm_hmp_info_jit (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *text = vm_hmp_qmp (mon, "x-query-jit", NULL);

  if (text)
    vm_monitor_puts (mon, vm_hmp_member (text, "human-readable-text"));
  json_object_put (text);
}

void
vm_hmp_singlestep (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *option = vm_hmp_text (args, "option");
  VmAccel *accel = mon->machine->accel;

  if (option && strcmp (option, "on") != 0 && strcmp (option, "off") != 0)
    vm_monitor_printf (mon, "unexpected option %s\n", option);
  else if (!accel->ops->set_singlestep)
    vm_monitor_puts (mon, "This is a TCG-only feature\n");
  else
    accel->ops->set_singlestep (accel, mon->machine->vcpus, !option || !strcmp (option, "on"));
}

/* --- machine checks -------------------------------------------------------------------------------------------------
 */

typedef struct Check
{
  const VmArchOps *arch;
  VmMachineCheck check;
  VmMachineCheckResult result;
  char *text;
} Check;

static void
check_now (VmVcpu *vcpu, void *opaque)
{
  Check *c = opaque;

  c->result = c->arch->machine_check (vcpu, &c->check, &c->text);
}

static VmMachineCheckResult
send_check (VmMonitor *mon, VmVcpu *vcpu, Check *c)
{
  static const char *const actions[] = { NULL, "inject", "reset" };

  vm_vcpu_run (vcpu, check_now, c);
  if (c->text)
    vm_monitor_puts (mon, c->text);
  g_clear_pointer (&c->text, g_free);
  if (actions[c->result])
    vm_machine_emit (mon->machine, "MEMORY_FAILURE",
                     "{\"recipient\": \"guest\", \"action\": \"%s\", "
                     "\"flags\": {\"action-required\": %s, \"recursive\": false}}",
                     actions[c->result], c->check.status >> 56 & 1 ? "true" : "false");
  if (c->result == VM_MACHINE_CHECK_FATAL)
    {
      vm_machine_request_reset (mon->machine, VM_CAUSE_GUEST_RESET);
      vm_machine_settle (mon->machine);
    }
  return c->result;
}

void
vm_hmp_mce (VmMonitor *mon, const VmHmpArgs *args)
{
  unsigned n = vm_vcpu_set_count (mon->machine->vcpus), index = (unsigned) vm_hmp_number (args, "cpu_index", 0);
  Check c = { .arch = mon->machine->arch,
              .check = { .bank = (unsigned) vm_hmp_number (args, "bank", 0),
                         .status = (uint64_t) vm_hmp_number (args, "status", 0),
                         .mcg_status = (uint64_t) vm_hmp_number (args, "mcg_status", 0),
                         .address = (uint64_t) vm_hmp_number (args, "addr", 0),
                         .misc = (uint64_t) vm_hmp_number (args, "misc", 0) } };

  if (!c.arch || !c.arch->machine_check)
    vm_monitor_puts (mon, "This machine's processors have no machine checks\n");
  else if (index >= n)
    vm_monitor_puts (mon, "invalid CPU index\n");
  else if (send_check (mon, vm_vcpu_set_get (mon->machine->vcpus, index), &c) == VM_MACHINE_CHECK_RECORDED
           && vm_hmp_flag (args, "broadcast"))
    {
      /* The others hear of an error that is none of theirs: bank 1, uncorrected, no address. */
      c.check
          = (VmMachineCheck){ .bank = 1, .status = VM_BIT (63) | VM_BIT (61), .mcg_status = VM_BIT (2) | VM_BIT (0) };
      for (unsigned i = 0; i < n; i++)
        if (i != index)
          send_check (mon, vm_vcpu_set_get (mon->machine->vcpus, i), &c);
    }
}

/* --- statistics ------------------------------------------------------------------------------------------------------
 */

/* "1.5 MiB", "3 us": what VALUE counts by its SCHEMA. */
static void
print_unit (VmMonitor *mon, json_object *schema)
{
  static const char *const si[] = { "n", "u", "m", "" };
  const char *unit = vm_hmp_member (schema, "unit");
  int64_t base = number (schema, "base"), exponent = number (schema, "exponent");

  if (!*unit || !strcmp (unit, "boolean"))
    return;
  if (!strcmp (unit, "seconds") && base == 10 && exponent <= 0 && exponent >= -9 && exponent % 3 == 0)
    vm_monitor_printf (mon, " %ss", si[3 + exponent / 3]);
  else if (base && exponent)
    vm_monitor_printf (mon, " * %" PRId64 "^%" PRId64 " %s", base, exponent, unit);
  else
    vm_monitor_printf (mon, " %s", unit);
}

static void
print_stat (VmMonitor *mon, json_object *schema, json_object *stat)
{
  json_object *value = NULL;

  json_object_object_get_ex (stat, "value", &value);
  vm_monitor_printf (mon, "    %s (%s", vm_hmp_member (stat, "name"), vm_hmp_member (schema, "type"));
  print_unit (mon, schema);
  if (number (schema, "bucket-size"))
    vm_monitor_printf (mon, ", bucket size=%" PRId64, number (schema, "bucket-size"));
  vm_monitor_puts (mon, "):");
  if (json_object_is_type (value, json_type_array))
    for (size_t i = 0; i < json_object_array_length (value); i++)
      vm_monitor_printf (mon, " [%zu]=%s", i + 1, json_object_get_string (json_object_array_get_idx (value, i)));
  else if (json_object_is_type (value, json_type_boolean))
    vm_monitor_puts (mon, json_object_get_boolean (value) ? " yes" : " no");
  else
    vm_monitor_printf (mon, " %s", json_object_get_string (value));
  vm_monitor_puts (mon, "\n");
}

static json_object *
find_by (json_object *list, const char *key, const char *value)
{
  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    {
      json_object *item = json_object_array_get_idx (list, i);
      if (!strcmp (vm_hmp_member (item, key), value))
        return item;
    }
  return NULL;
}

static void
print_result (VmMonitor *mon, json_object *schemas, json_object *result)
{
  json_object *stats = NULL, *described = NULL, *schema = NULL;

  if (schemas && json_object_object_get_ex (schemas, "stats", &described))
    schema = described;
  json_object_object_get_ex (result, "stats", &stats);
  vm_monitor_printf (mon, "provider: %s\n", vm_hmp_member (result, "provider"));
  for (size_t i = 0; stats && i < json_object_array_length (stats); i++)
    {
      json_object *stat = json_object_array_get_idx (stats, i);
      json_object *known = find_by (schema, "name", vm_hmp_member (stat, "name"));
      if (known)
        print_stat (mon, known, stat);
    }
}

/* The arguments of query-stats for what was typed. */
static char *
stats_query (VmMonitor *mon, const char *target, const char *names, const char *provider)
{
  g_autoptr (GString) query = g_string_new (NULL);
  g_auto (GStrv) list = names && strcmp (names, "*") != 0 ? g_strsplit (names, ",", -1) : NULL;

  g_string_append_printf (query, "{\"target\": \"%s\"", target);
  if (!strcmp (target, "vcpu") && vm_monitor_cpu (mon))
    {
      g_autofree char *path = vm_object_path (&vm_monitor_cpu (mon)->parent.parent);
      g_autofree char *quoted = vm_hmp_quote (path);
      g_string_append_printf (query, ", \"vcpus\": [%s]", quoted);
    }
  if (list || provider)
    {
      g_autofree char *quoted = vm_hmp_quote (provider ? provider : "kvm");
      g_string_append_printf (query, ", \"providers\": [{\"provider\": %s", quoted);
      for (guint i = 0; list && list[i]; i++)
        {
          g_autofree char *name = vm_hmp_quote (list[i]);
          g_string_append_printf (query, "%s%s", i ? ", " : ", \"names\": [", name);
        }
      g_string_append (query, list ? "]}]" : "}]");
    }
  g_string_append_c (query, '}');
  return g_strdup (query->str);
}

void
vm_hmp_info_stats (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *target = vm_hmp_text (args, "target");
  json_object *schemas, *results;

  if (strcmp (target, "vm") != 0 && strcmp (target, "vcpu") != 0)
    {
      vm_monitor_printf (mon, "invalid stats target %s\n", target);
      return;
    }
  g_autofree char *query = stats_query (mon, target, vm_hmp_text (args, "names"), vm_hmp_text (args, "provider"));
  results = vm_hmp_qmp (mon, "query-stats", "%s", query);
  schemas = results ? vm_hmp_qmp (mon, "query-stats-schemas", NULL) : NULL;
  for (size_t i = 0; schemas && i < json_object_array_length (results); i++)
    print_result (mon, find_by (schemas, "target", target), json_object_array_get_idx (results, i));
  json_object_put (results);
  json_object_put (schemas);
}
