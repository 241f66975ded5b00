/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options about the process itself: start and end, logging, reactions to guest events. */
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
    { "nodefaults", &p->s->nodefaults },
    { "no-user-config", &p->s->no_user_config },
    { "daemonize", &p->s->daemonize },
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
  uint32_t items;

  if (vm_parser_is_help (arg))
    return vm_parser_want_help (p, "d", NULL);
  if (!vm_log_parse_items (arg, &items, error))
    return false;
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

/* "START+SIZE", "START-SIZE" or "START..END". */
static bool
check_range (const char *range, GError **error)
{
  char *end;
  const char *op = strpbrk (range, "-+.");

  if (!op || (*op == '.' && op[1] != '.'))
    return vm_fail (error, "Bad range specifier");
  errno = 0;
  g_ascii_strtoull (range, &end, 0);
  if (errno || end != op || end == range)
    return vm_fail (error, "Invalid number to the left of %.*s", *op == '.' ? 2 : 1, op);
  const char *right = op + (*op == '.' ? 2 : 1);
  g_ascii_strtoull (right, &end, 0);
  if (errno || end == right || *end)
    return vm_fail (error, "Invalid number to the right of %.*s", *op == '.' ? 2 : 1, op);
  return true;
}

static bool
apply_dfilter (VmParser *p, const char *arg, GError **error)
{
  g_auto (GStrv) ranges = g_strsplit (arg, ",", -1);

  for (char **r = ranges; *r; r++)
    if (!check_range (*r, error))
      return false;
  return vm_parser_unavailable (error); /* the log has no filter yet */
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
         && vm_keyvals_bool (list, "guest-name", &p->s->msg_guest_name, error)
         && (!(p->s->msg_timestamp || p->s->msg_guest_name) || vm_parser_unavailable (error));
}

/* Accepted where it asks for what is so anyway. */
static bool
apply_overcommit (VmParser *p, const char *arg, GError **error)
{
  static const char *const keys[] = { "mem-lock", "cpu-pm", NULL };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  bool lock = false, pm = false;

  if (!vm_parser_list (p, list, arg, NULL, 0, error) || !vm_parser_check_keys (list, keys, error)
      || !vm_keyvals_bool (list, "mem-lock", &lock, error) || !vm_keyvals_bool (list, "cpu-pm", &pm, error))
    return false;
  return lock || pm ? vm_parser_unavailable (error) : true;
}

static bool
apply_sandbox (VmParser *p, const char *arg, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  bool enable = false;

  if (!vm_parser_list (p, list, arg, "enable", 0, error) || !vm_keyvals_bool (list, "enable", &enable, error))
    return false;
  return enable ? vm_parser_unavailable (error) : true;
}

static bool
apply_none_only (VmParser *p, const char *arg, GError **error)
{
  return !strcmp (arg, "none") || vm_parser_unavailable (error);
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
                                     { "msg", apply_msg },
                                     { "overcommit", apply_overcommit },
                                     { "sandbox", apply_sandbox },
                                     { "gdb", apply_none_only },
                                     { 0 } };
