/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options about the process itself: start and end, logging, reactions to guest events. */
#include "engine/options/documented.h"
#include "engine/options/options-private.h"

#include "engine/base/log.h"

#include <errno.h>

static bool
apply_flag (VmParser *p, const char *arg, GError **error)
{
  const struct
  {
    const char *name;
    bool *flag;
  } flags[] = {
    { "S", &p->s->start_stopped },
    { "preconfig", &p->s->preconfig },
    { "nodefaults", &p->s->nodefaults },
    { "no-user-config", &p->s->no_user_config },
    { "daemonize", &p->s->daemonize },
    { "only-migratable", &p->s->only_migratable },
    { "async-teardown", &p->s->async_teardown },
  };
  const char *name = p->option + strspn (p->option, "-");

  for (size_t i = 0; i < G_N_ELEMENTS (flags); i++)
    if (!strcmp (name, flags[i].name))
      *flags[i].flag = true;
  return true;
}

static bool
apply_no_reboot (VmParser *p, const char *arg, GError **error)
{
  p->s->on_reboot = VM_REBOOT_SHUTDOWN;
  return true;
}

static bool
apply_no_shutdown (VmParser *p, const char *arg, GError **error)
{
  p->s->on_shutdown = VM_SHUTDOWN_PAUSE;
  return true;
}

static bool
take_actions (VmSettings *s, const VmKeyVals *list, GError **error)
{
  static const char *const reboot[] = { "reset", "shutdown", NULL };
  static const char *const shutdown[] = { "poweroff", "pause", NULL };
  static const char *const panic[] = { "pause", "shutdown", "exit-failure", "none", NULL };
  static const char *const watchdog[]
      = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL };
  int on_reboot = s->on_reboot, on_shutdown = s->on_shutdown, on_panic = s->on_panic, on_dog = s->on_watchdog;

  if (!vm_keyvals_enum (list, "reboot", reboot, &on_reboot, error)
      || !vm_keyvals_enum (list, "shutdown", shutdown, &on_shutdown, error)
      || !vm_keyvals_enum (list, "panic", panic, &on_panic, error)
      || !vm_keyvals_enum (list, "watchdog", watchdog, &on_dog, error))
    return false;
  s->on_reboot = on_reboot;
  s->on_shutdown = on_shutdown;
  s->on_panic = on_panic;
  s->on_watchdog = on_dog;
  return true;
}

static bool
apply_action (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "reboot", "shutdown", "panic", "watchdog", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "keys!", "action");
  return vm_parser_list (p, list, arg, NULL, 0, error) && vm_parser_check_keys (list, keys, error)
         && take_actions (p->s, list, error);
}

static bool
apply_watchdog_action (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  vm_keyvals_add (list, "watchdog", arg);
  return take_actions (p->s, list, error);
}

static bool
apply_pidfile (VmParser *p, const char *arg, GError **error)
{
  g_free (p->s->pidfile);
  p->s->pidfile = g_strdup (arg);
  return true;
}

static bool
apply_d (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (GPtrArray) traces = g_ptr_array_new_with_free_func (g_free);
  uint32_t items;

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "d", NULL);
  if (!vm_log_parse_items (arg, &items, traces, error))
    return false;
  for (guint i = 0; i < traces->len; i++)
    {
      if (vm_parser_is_help (g_ptr_array_index (traces, i)))
        return vm_parser_want_help (p, "trace", NULL);
      g_ptr_array_add (p->s->traces, vm_trace_spec_new ("", g_ptr_array_index (traces, i), NULL, NULL));
    }
  p->s->log_items |= items;
  return true;
}

static bool
apply_D (VmParser *p, const char *arg, GError **error)
{
  g_free (p->s->log_file);
  p->s->log_file = g_strdup (arg);
  return true;
}

static bool
apply_dfilter (VmParser *p, const char *arg, GError **error)
{
  GArray *ranges = vm_log_parse_filter (arg, error);

  if (!ranges)
    return false;
  g_clear_pointer (&p->s->log_filter, g_array_unref);
  p->s->log_filter = ranges;
  return true;
}

static bool
apply_trace (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "enable", "events", "file", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "trace", NULL);
  if (!vm_parser_list (p, list, arg, "enable", 0, error) || !vm_parser_check_keys (list, keys, error))
    return false;
  if (!g_strcmp0 (vm_keyvals_get (list, "enable"), "help"))
    return vm_parser_want_help (p, "trace", NULL);
  g_autofree char *where = g_strdup_printf ("-trace %s: ", arg);
  g_ptr_array_add (p->s->traces, vm_trace_spec_new (where, vm_keyvals_get (list, "enable"),
                                                    vm_keyvals_get (list, "events"), vm_keyvals_get (list, "file")));
  return true;
}

static bool
apply_msg (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "timestamp", "guest-name", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "keys!", "msg");
  return vm_parser_list (p, list, arg, NULL, 0, error) && vm_parser_check_keys (list, keys, error)
         && vm_keyvals_bool (list, "timestamp", &p->s->msg_timestamp, error)
         && vm_keyvals_bool (list, "guest-name", &p->s->msg_guest_name, error);
}

static bool
apply_overcommit (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "mem-lock", "cpu-pm", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  return vm_parser_list (p, list, arg, NULL, 0, error) && vm_parser_check_keys (list, keys, error)
         && vm_keyvals_bool (list, "mem-lock", &p->s->lock_memory, error)
         && vm_keyvals_bool (list, "cpu-pm", &p->s->cpu_pm, error);
}

/* --- what the process may do --- */

static bool
is_denied (const VmKeyVals *list, const char *key)
{
  return !g_strcmp0 (vm_keyvals_get (list, key), "deny");
}

static bool
apply_sandbox (VmParser *p, const char *arg, GError **error)
{
  static const char *const options[] = { "sandbox", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  VmSandbox sandbox = { 0 };

  if (!vm_parser_list (p, list, arg, "enable", 0, error)
      || !vm_documented_check (list, options, VM_DIALECT_OLD, "invalid argument for %k", error)
      || !vm_keyvals_bool (list, "enable", &sandbox.enable, error))
    return false;
  const char *elevate = vm_keyvals_get (list, "elevateprivileges");
  sandbox.obsolete_allowed = !g_strcmp0 (vm_keyvals_get (list, "obsolete"), "allow");
  sandbox.no_elevation = is_denied (list, "elevateprivileges");
  sandbox.no_elevation_of_children = sandbox.no_elevation || !g_strcmp0 (elevate, "children");
  sandbox.no_spawn = is_denied (list, "spawn");
  sandbox.no_resource_control = is_denied (list, "resourcecontrol");
  p->s->sandbox = sandbox;
  return true;
}

static void
set_string (char **slot, const char *value)
{
  g_free (*slot);
  *slot = g_strdup (value);
}

static bool
apply_runas (VmParser *p, const char *arg, GError **error)
{
  set_string (&p->s->run_as, arg);
  set_string (&p->s->run_as_option, p->typed);
  return true;
}

static bool
apply_chroot (VmParser *p, const char *arg, GError **error)
{
  set_string (&p->s->chroot, arg);
  return true;
}

static bool
apply_run_with (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "async-teardown", "chroot", "user", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!vm_parser_list (p, list, arg, NULL, 0, error) || !vm_parser_check_keys (list, keys, error)
      || !vm_keyvals_bool (list, "async-teardown", &p->s->async_teardown, error))
    return false;
  if (vm_keyvals_has (list, "chroot"))
    apply_chroot (p, vm_keyvals_get (list, "chroot"), NULL);
  if (vm_keyvals_has (list, "user"))
    apply_runas (p, vm_keyvals_get (list, "user"), NULL);
  return true;
}

static bool
apply_add_fd (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "fd", "set", "opaque", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  int64_t fd = -1, set = -1;

  if (!vm_parser_list (p, list, arg, NULL, 0, error) || !vm_parser_check_keys (list, keys, error)
      || !vm_keyvals_int (list, "fd", &fd, error) || !vm_keyvals_int (list, "set", &set, error))
    return false;
  if (fd < 0 || fd > G_MAXINT)
    return vm_fail (error, "fd option is required and must be non-negative");
  if (fd < 3)
    return vm_fail (error, "fd cannot be a standard I/O stream");
  if (set < 0)
    return vm_fail (error, "set option is required and must be non-negative");
  VmFdSpec *spec = g_new0 (VmFdSpec, 1);
  *spec = (VmFdSpec){ (int) fd, set, g_strdup (vm_keyvals_get (list, "opaque")), g_strdup (p->typed) };
  g_ptr_array_add (p->s->fds, spec);
  return true;
}

static bool
apply_compat (VmParser *p, const char *arg, GError **error)
{
  static const char *const options[] = { "compat", NULL };
  static const char *const inputs[] = { "accept", "reject", "crash", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  int deprecated = p->s->compat.deprecated_input, unstable = p->s->compat.unstable_input;

  if (*arg == '{' ? !vm_keyvals_parse_json (list, arg, error)
                  : !vm_parser_list (p, list, arg, NULL, VM_KEYVALS_STRICT, error))
    return false;
  if (!vm_documented_check (list, options, VM_DIALECT_SCHEMA, NULL, error)
      || !vm_keyvals_enum (list, "deprecated-input", inputs, &deprecated, error)
      || !vm_keyvals_enum (list, "unstable-input", inputs, &unstable, error))
    return false;
  p->s->compat.deprecated_input = deprecated;
  p->s->compat.unstable_input = unstable;
  p->s->compat.hide_deprecated = !g_strcmp0 (vm_keyvals_get (list, "deprecated-output"), "hide");
  p->s->compat.hide_unstable = !g_strcmp0 (vm_keyvals_get (list, "unstable-output"), "hide");
  return true;
}

/* Carried out when the options were listed. */
static bool
apply_done (VmParser *p, const char *arg, GError **error)
{
  return true;
}

bool
vm_parser_finish_process (VmParser *p, GError **error)
{
  if (p->incoming && p->s->loadvm)
    return vm_fail (error, "'incoming' and 'loadvm' options are mutually exclusive");
  if (p->s->preconfig && p->s->daemonize)
    return vm_fail (error, "'preconfig' and 'daemonize' options are mutually exclusive");
  return true;
}

const VmApply vm_apply_process[] = { { "S", apply_flag },
                                     { "nodefaults", apply_flag },
                                     { "no-user-config", apply_flag },
                                     { "daemonize", apply_flag },
                                     { "no-reboot", apply_no_reboot },
                                     { "no-shutdown", apply_no_shutdown },
                                     { "action", apply_action },
                                     { "watchdog-action", apply_watchdog_action },
                                     { "pidfile", apply_pidfile },
                                     { "d", apply_d },
                                     { "D", apply_D },
                                     { "dfilter", apply_dfilter },
                                     { "trace", apply_trace },
                                     { "msg", apply_msg },
                                     { "overcommit", apply_overcommit },
                                     { "sandbox", apply_sandbox },
                                     { "preconfig", apply_flag },
                                     { "only-migratable", apply_flag },
                                     { "async-teardown", apply_flag },
                                     { "run-with", apply_run_with },
                                     { "runas", apply_runas },
                                     { "chroot", apply_chroot },
                                     { "add-fd", apply_add_fd },
                                     { "compat", apply_compat },
                                     { "set", apply_done },
                                     { "readconfig", apply_done },
                                     { 0 } };
