/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Monitors on character back ends: input, output with a bound, and running single commands. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-dispatch.h"

#include "engine/base/log.h"

#include <stdarg.h>

/* --- output --- */

static void
flush_out (VmMonitor *mon)
{
  size_t done = vm_char_fe_write (&mon->fe, mon->out->str, mon->out->len);

  g_string_erase (mon->out, 0, done);
  if (!mon->out->len)
    mon->overrun = false;
}

void
vm_monitor_write (VmMonitor *mon, const char *text, size_t len)
{
  if (mon->out->len > VM_MONITOR_OUTPUT_MAX)
    {
      mon->overrun = true;
      return;
    }
  g_string_append_len (mon->out, text, len);
  if (vm_char_fe_connected (&mon->fe) && !mon->held)
    flush_out (mon);
}

void
vm_monitor_puts (VmMonitor *mon, const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);

  for (const char *p = text; *p; p++)
    {
      if (*p == '\n')
        g_string_append_c (out, '\r');
      g_string_append_c (out, *p);
    }
  vm_monitor_write (mon, out->str, out->len);
}

void
vm_monitor_printf (VmMonitor *mon, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  vm_monitor_puts (mon, text);
}

/* --- the character back end --- */

/* A client that does not read its answers is not read either. */
static size_t
can_receive (void *opaque)
{
  VmMonitor *mon = opaque;

  return mon->out->len > VM_MIB ? 0 : 4096;
}

static void
receive (void *opaque, const uint8_t *buf, size_t len)
{
  VmMonitor *mon = opaque;

  if (mon->control)
    vm_qmp_receive (mon, buf, len);
  else
    vm_hmp_receive (mon, buf, len);
}

/* What was said while another front end had the screen, or at least a prompt. */
static void
show (VmMonitor *mon)
{
  bool quiet = mon->held && !mon->out->len;

  mon->held = false;
  if (quiet && !mon->control)
    vm_monitor_puts (mon, "\n(qemu) ");
  else
    flush_out (mon);
}

static void
on_event (void *opaque, VmCharEvent event)
{
  VmMonitor *mon = opaque;

  switch (event)
    {
    case VM_CHAR_OPENED:
      g_string_truncate (mon->out, 0);
      if (mon->control)
        vm_qmp_opened (mon);
      else
        vm_hmp_opened (mon);
      break;
    case VM_CHAR_CLOSED:
      g_string_truncate (mon->out, 0);
      if (mon->control)
        vm_qmp_closed (mon);
      break;
    case VM_CHAR_MUX_IN:
      mon->focused = true;
      if (mon->all->started)
        show (mon);
      break;
    case VM_CHAR_MUX_OUT:
      mon->focused = false;
      mon->held = true;
      break;
    default:
      break;
    }
}

static void
writable (void *opaque)
{
  VmMonitor *mon = opaque;

  if (!mon->held)
    flush_out (mon);
  vm_char_fe_accept_input (&mon->fe);
}

static const VmCharFeOps fe_ops = { can_receive, receive, on_event, writable };

/* --- life --- */

static VmMonitor *
monitor_new (VmMonitors *all)
{
  VmMonitor *mon = g_new0 (VmMonitor, 1);

  mon->all = all;
  mon->machine = all->machine;
  mon->out = g_string_new (NULL);
  mon->fe.owner = "monitor";
  return mon;
}

static void
monitor_free (gpointer data)
{
  VmMonitor *mon = data;

  if (vm_char_fe_connected (&mon->fe))
    {
      flush_out (mon);
      vm_char_fe_drain (&mon->fe); /* who says "quit" may have events to read before the answer */
      vm_char_fe_detach (&mon->fe);
    }
  if (mon->tokener)
    json_tokener_free (mon->tokener);
  vm_hmp_free (mon);
  g_string_free (mon->out, TRUE);
  g_free (mon);
}

VmMonitors *
vm_monitors_new (VmMachine *machine)
{
  VmMonitors *all = g_new0 (VmMonitors, 1);

  all->machine = machine;
  all->open = g_ptr_array_new_with_free_func (monitor_free);
  all->taps = g_array_new (FALSE, FALSE, sizeof (VmTap));
  vm_fds_init (all);
  machine->monitors_of = all;
  vm_machine_set_event_sink (machine, vm_events_sink, all);
  return all;
}

void
vm_monitors_free (VmMonitors *all)
{
  if (!all)
    return;
  bool taken = vm_lock_enter (all->machine->lock);
  vm_machine_set_event_sink (all->machine, NULL, NULL);
  all->machine->monitors_of = NULL;
  vm_events_free (all);
  g_ptr_array_unref (all->open);
  g_array_unref (all->taps);
  vm_fds_free (all);
  vm_dirty_rate_free (all);
  vm_dump_free (all);
  g_free (all->client_protocol);
  vm_lock_leave (all->machine->lock, taken);
  g_free (all);
}

bool
vm_monitors_open (VmMonitors *all, const VmMonSpec *spec, GError **error)
{
  VmChardev *chr = vm_chardev_find (all->machine->env.root, spec->chardev);
  VmMonitor *mon = monitor_new (all);

  mon->control = spec->control;
  mon->pretty = spec->pretty;
  mon->echo = true;
  if (mon->control)
    vm_qmp_attach (mon);
  g_ptr_array_add (all->open, mon);
  if (!chr)
    return vm_fail (error, "%s: chardev \"%s\" not found", spec->option, spec->chardev);
  mon->held = vm_chardev_is_mux (chr);
  if (vm_char_fe_attach_to (&mon->fe, chr, &fe_ops, mon, error))
    return true;
  g_prefix_error (error, "%s: ", spec->option);
  return false;
}

void
vm_monitors_start (VmMonitors *all)
{
  if (all->started)
    return;
  all->started = true;
  for (guint i = 0; i < all->open->len; i++)
    {
      VmMonitor *mon = g_ptr_array_index (all->open, i);
      if (mon->focused)
        show (mon);
    }
}

VmMonitors *
vm_monitors_of (VmMachine *machine)
{
  return machine->monitors_of;
}

VmMachine *
vm_monitors_machine (VmMonitors *all)
{
  return all->machine;
}

VmMachine *
vm_monitor_machine (VmMonitor *mon)
{
  return mon->machine;
}

void
vm_monitors_add_tap (VmMonitors *all, VmMonitorsTap tap, void *opaque)
{
  VmTap entry = { tap, opaque };

  g_array_append_val (all->taps, entry);
}

void
vm_monitors_remove_tap (VmMonitors *all, VmMonitorsTap tap, void *opaque)
{
  for (guint i = all->taps->len; i-- > 0;)
    {
      const VmTap *entry = &g_array_index (all->taps, VmTap, i);
      if (entry->func == tap && entry->opaque == opaque)
        g_array_remove_index (all->taps, i);
    }
}

void
vm_monitors_set_client_taker (VmMonitors *all, const char *protocol, void (*func) (void *opaque, int fd), void *opaque)
{
  g_free (all->client_protocol);
  all->client_protocol = func ? g_strdup (protocol) : NULL;
  all->client_func = func;
  all->client_opaque = opaque;
}

VmVcpu *
vm_monitor_cpu (VmMonitor *mon)
{
  VmVcpuSet *set = mon->machine->vcpus;
  unsigned n = set ? vm_vcpu_set_count (set) : 0;

  return n ? vm_vcpu_set_get (set, (unsigned) mon->cpu_index < n ? mon->cpu_index : 0) : NULL;
}

/* --- single commands --- */

const char *
vm_qmp_error_class (const GError *error)
{
  if (error->domain == VM_ERROR)
    switch (error->code)
      {
      case VM_ERROR_COMMAND_NOT_FOUND:
        return "CommandNotFound";
      case VM_ERROR_DEVICE_NOT_FOUND:
        return "DeviceNotFound";
      case VM_ERROR_DEVICE_NOT_ACTIVE:
        return "DeviceNotActive";
      case VM_ERROR_KVM_MISSING_CAP:
        return "KVMMissingCap";
      default:
        break;
      }
  return "GenericError";
}

const VmCompatPolicy *
vm_monitor_policy (const VmMonitor *mon)
{
  return mon->control ? &mon->machine->settings->compat : NULL;
}

/* Whether the command may run at all, now and for this client. */
static bool
may_run (VmMonitor *mon, const VmSchemaCommand *command, const char *name, GError **error)
{
  if (!command)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
      return false;
    }
  if (!vm_schema_admit (vm_monitor_policy (mon), command->flags, "command", name, error))
    return false;
  return !vm_machine_in_preconfig (mon->machine) || (command->flags & VM_SCHEMA_PRECONFIG)
         || vm_fail (error, "The command '%s' is permitted only after machine initialization has completed", name);
}

json_object *
vm_monitor_execute (VmMonitor *mon, const char *name, json_object *arguments, GError **error)
{
  const VmSchemaCommand *command = vm_schema_find_command (name);
  void *args = NULL, *result = NULL;
  json_object *answer = NULL;

  if (!may_run (mon, command, name, error))
    return NULL;
  json_object *given = arguments ? json_object_get (arguments) : json_object_new_object ();
  bool ok = true;
  if (command->arguments)
    {
      ok = (args = vm_schema_read_policed (command->arguments, given, vm_monitor_policy (mon), error)) != NULL;
    }
  else
    {
      json_object_object_foreach (given, key, value)
      {
        (void) value;
        ok = vm_fail (error, "Parameter '%s' is unexpected", key);
        break;
      }
    }
  if (ok && vm_qmp_calls[command - vm_schema_commands](mon, args, &result, error))
    answer = command->returns ? vm_schema_write_policed (command->returns, &result, vm_monitor_policy (mon)) : json_object_new_object ();
  if (result)
    vm_schema_free (command->returns, result);
  if (args)
    vm_schema_free (command->arguments, args);
  json_object_put (given);
  return answer;
}

json_object *
vm_monitors_execute (VmMonitors *all, const char *command, json_object *arguments, GError **error)
{
  VmMonitor *mon = monitor_new (all);

  json_object *answer = vm_monitor_execute (mon, command, arguments, error);
  monitor_free (mon);
  return answer;
}

char *
vm_monitors_run_hmp (VmMonitors *all, const char *line, int cpu_index)
{
  VmMonitor *mon = monitor_new (all);

  mon->cpu_index = cpu_index;
  vm_hmp_run (mon, line);
  char *text = g_strndup (mon->out->str, mon->out->len);
  monitor_free (mon);
  return text;
}
