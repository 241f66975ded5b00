/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From argv to settings: sections 1, 6 and 13 of the option rules. */
#include "engine/options/options-private.h"

#include "engine/base/log.h"

#include <stdio.h>

const VmOptionInfo *
vm_option_find (const char *name)
{
  for (const VmOptionInfo *info = vm_option_infos; info->name; info++)
    if (!strcmp (info->name, name))
      return info;
  return NULL;
}

static const VmApply *
find_apply (const char *name)
{
  const VmApply *const tables[] = { vm_apply_machine, vm_apply_backends, vm_apply_process };

  for (size_t t = 0; t < G_N_ELEMENTS (tables); t++)
    for (const VmApply *a = tables[t]; a->name; a++)
      if (!strcmp (a->name, name))
        return a;
  return NULL;
}

bool
vm_parser_list (VmParser *p, VmKeyVals *list, const char *arg, const char *implied, VmKeyValsFlags flags,
                GError **error)
{
  guint before = list->pairs->len;

  if (!vm_keyvals_parse (list, arg, implied, flags, error))
    return false;
  for (guint i = before; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      bool off = pair->flag && !strcmp (pair->value, "off");
      if (pair->flag && !vm_parser_is_help (pair->key))
        vm_report_error ("%s: warning: short-form boolean option '%s%s' deprecated\nPlease use %s=%s instead", p->typed,
                         off ? "no" : "", pair->key, pair->key, pair->value);
    }
  return true;
}

bool
vm_parser_check_keys (const VmKeyVals *list, const char *const *keys, GError **error)
{
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      if (!g_strv_contains (keys, pair->key))
        return vm_fail (error, "Invalid parameter '%s'", pair->key);
    }
  return true;
}

bool
vm_parser_is_help (const char *arg)
{
  return !strcmp (arg, "help") || !strcmp (arg, "?");
}

bool
vm_parser_want_help (VmParser *p, const char *topic, const char *argument)
{
  if (!p->s->help_topic)
    {
      p->s->help_topic = g_strdup (topic);
      p->s->help_argument = g_strdup (argument);
    }
  return true;
}

bool
vm_parser_unavailable (GError **error)
{
  g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "not available in this build");
  return false;
}

/* The name behind one or two dashes; NULL when TOKEN is none. */
static const char *
option_name (const char *token)
{
  const char *name = token + (token[1] == '-' ? 2 : 1);

  return *name && *name != '-' ? name : NULL;
}

/* First pass: every name is known and has its argument. */
static bool
check_names (int argc, char *const *argv, GError **error)
{
  for (int i = 1; i < argc; i++)
    {
      if (argv[i][0] != '-')
        continue;
      const char *name = option_name (argv[i]);
      const VmOptionInfo *info = name ? vm_option_find (name) : NULL;
      if (!info)
        return vm_fail (error, "%s: invalid option", argv[i]);
      if (info->has_arg && ++i >= argc)
        return vm_fail (error, "%s: requires an argument", argv[i - 1]);
    }
  return true;
}

static bool
apply_one (VmParser *p, const char *name, GError **error)
{
  const VmOptionInfo *info = vm_option_find (name);
  const VmApply *apply = find_apply (name);

  if (info && info->foreign)
    return vm_fail (error, "Option not supported for this target");
  if (!apply)
    return vm_parser_unavailable (error);
  return apply->func (p, p->arg, error);
}

static bool
apply_all (VmParser *p, int argc, char *const *argv, GError **error)
{
  for (int i = 1; i < argc; i++)
    {
      g_autofree char *typed = NULL;
      const char *name = "disk_image";
      p->option = argv[i];
      p->arg = argv[i];
      if (argv[i][0] == '-')
        {
          name = option_name (argv[i]);
          p->arg = vm_option_find (name)->has_arg ? argv[++i] : NULL;
        }
      typed = p->arg && p->arg != p->option ? g_strdup_printf ("%s %s", p->option, p->arg) : g_strdup (p->option);
      p->typed = typed;
      if (!apply_one (p, name, error))
        {
          g_prefix_error (error, "%s: ", typed);
          return false;
        }
    }
  return true;
}

static bool
wants_user_config (int argc, char *const *argv)
{
  for (int i = 1; i < argc; i++)
    if (!strcmp (argv[i], "-no-user-config") || !strcmp (argv[i], "--no-user-config"))
      return false;
  return true;
}

/* -h and -version win over all but unknown names. */
static bool
print_and_leave (int argc, char *const *argv)
{
  for (int i = 1; i < argc; i++)
    {
      if (argv[i][0] != '-')
        continue;
      const char *name = option_name (argv[i]);
      if (!strcmp (name, "h") || !strcmp (name, "help"))
        {
          vm_options_print_help ();
          return true;
        }
      if (!strcmp (name, "version"))
        {
          vm_options_print_version (argv[0]);
          return true;
        }
      if (vm_option_find (name)->has_arg)
        i++;
    }
  return false;
}

VmOptionsResult
vm_options_parse (int argc, char *const *argv, VmSettings *settings, GError **error)
{
  g_autoptr (VmKeyVals) memory = vm_keyvals_new ();
  g_autoptr (VmKeyVals) boot = vm_keyvals_new ();
  g_autoptr (VmKeyVals) name = vm_keyvals_new ();
  g_autoptr (VmKeyVals) rtc = vm_keyvals_new ();
  g_autoptr (VmKeyVals) action = vm_keyvals_new ();
  VmParser p = { .s = settings, .memory = memory, .boot = boot, .name = name, .rtc = rtc, .action = action };

  if (!check_names (argc, argv, error))
    return VM_OPTIONS_FAIL;
  if (print_and_leave (argc, argv))
    return VM_OPTIONS_DONE;
  settings->no_user_config = !wants_user_config (argc, argv);
  if (!apply_all (&p, argc, argv, error))
    return VM_OPTIONS_FAIL;
  if (p.process_exit)
    return VM_OPTIONS_DONE;
  if (settings->help_topic)
    return VM_OPTIONS_RUN;
  if (!vm_parser_finish_machine (&p, error) || !vm_parser_finish_backends (&p, error))
    return VM_OPTIONS_FAIL;
  return VM_OPTIONS_RUN;
}
