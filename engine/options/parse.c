/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From argv to settings: sections 1, 6 and 13 of the option rules. */
#include "engine/options/options-private.h"

#include "engine/base/log.h"
#include "engine/options/tokens.h"

#include <errno.h>

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
  const VmApply *const tables[] = { vm_apply_machine, vm_apply_backends, vm_apply_process, vm_apply_later };

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

/* Remembered, so that what is wrong elsewhere on the line is told first. */
bool
vm_parser_unavailable (VmParser *p)
{
  if (!p->unavailable)
    p->unavailable = g_strdup_printf ("%s: not available in this build", p->typed);
  return true;
}

bool
vm_parser_claim_id (VmParser *p, const char *kind, const char *id, GError **error)
{
  if (!vm_id_well_formed (id))
    return vm_fail (error, "Parameter 'id' expects an identifier\n"
                           "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
  if (!g_hash_table_add (p->ids, g_strdup_printf ("%s %s", kind, id)))
    return vm_fail (error, "Duplicate ID '%s' for %s", id, kind);
  return true;
}

static bool
apply_one (VmParser *p, const VmToken *token, GError **error)
{
  const VmOptionInfo *info = vm_option_find (token->name);
  const VmApply *apply = find_apply (token->name);

  if (token->error)
    {
      g_propagate_error (error, g_error_copy (token->error));
      return false;
    }
  if (info && info->foreign)
    return vm_fail (error, "Option not supported for this target");
  return apply ? apply->func (p, p->arg, error) : vm_parser_unavailable (p);
}

static bool
apply_all (VmParser *p, const GPtrArray *tokens, GError **error)
{
  for (guint i = 0; i < tokens->len; i++)
    {
      const VmToken *token = g_ptr_array_index (tokens, i);
      p->name_of_option = token->name;
      p->option = token->option;
      p->arg = token->arg;
      p->typed = token->typed;
      if (!apply_one (p, token, error))
        {
          g_prefix_error (error, "%s: ", token->typed);
          return false;
        }
    }
  return true;
}

static bool
wants_user_config (const GPtrArray *tokens)
{
  for (guint i = 0; i < tokens->len; i++)
    if (!strcmp (((const VmToken *) g_ptr_array_index (tokens, i))->name, "no-user-config"))
      return false;
  return true;
}

/* -h and -version win over all but unknown names. */
static bool
print_and_leave (const GPtrArray *tokens, const char *argv0)
{
  for (guint i = 0; i < tokens->len; i++)
    {
      const char *name = ((const VmToken *) g_ptr_array_index (tokens, i))->name;
      if (!strcmp (name, "h") || !strcmp (name, "help"))
        {
          vm_options_print_help ();
          return true;
        }
      if (!strcmp (name, "version"))
        {
          vm_options_print_version (argv0);
          return true;
        }
    }
  return false;
}

static bool
read_host_file (const char *path, char **text, gsize *len, GError **error)
{
  g_autoptr (GError) why = NULL;

  if (g_file_get_contents (path, text, len, &why))
    return true;
  int code = errno;
  return vm_fail (error, "Could not open '%s': %s", path, g_strerror (code));
}

/* The host's own file comes before the command line; that there is none is usual. */
static void
add_user_config (GPtrArray *tokens, VmReadFile read)
{
  g_autoptr (GPtrArray) first = g_ptr_array_new ();
  g_autofree char *text = NULL;
  gsize len;

  if (!read (VM_USER_CONFIG, &text, &len, NULL))
    return;
  vm_tokens_from_config (first, VM_USER_CONFIG, text, len);
  for (guint i = 0; i < first->len; i++)
    g_ptr_array_insert (tokens, (int) i, g_ptr_array_index (first, i));
}

static VmOptionsResult
read_tokens (VmParser *p, GPtrArray *tokens, GError **error)
{
  if (!apply_all (p, tokens, error))
    return VM_OPTIONS_FAIL;
  if (p->s->help_topic)
    return VM_OPTIONS_RUN;
  if (!vm_parser_finish_machine (p, error) || !vm_parser_finish_backends (p, error)
      || !vm_parser_finish_process (p, error))
    return VM_OPTIONS_FAIL;
  if (p->unavailable)
    {
      g_set_error_literal (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, p->unavailable);
      return VM_OPTIONS_FAIL;
    }
  return VM_OPTIONS_RUN;
}

VmOptionsResult
vm_options_parse_with (int argc, char *const *argv, VmSettings *settings, VmReadFile read, GError **error)
{
  g_autoptr (VmKeyVals) memory = vm_keyvals_new ();
  g_autoptr (VmKeyVals) boot = vm_keyvals_new ();
  g_autoptr (VmKeyVals) name = vm_keyvals_new ();
  g_autoptr (VmKeyVals) rtc = vm_keyvals_new ();
  g_autoptr (GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_token_free);
  VmParser p = { .s = settings, .memory = memory, .boot = boot, .name = name, .rtc = rtc, .ids = ids };

  if (!vm_tokens_from_argv (tokens, argc, argv, read, &settings->machine_file, error))
    return VM_OPTIONS_FAIL;
  if (print_and_leave (tokens, argv[0]))
    return VM_OPTIONS_DONE;
  settings->no_user_config = !wants_user_config (tokens);
  if (!settings->no_user_config)
    add_user_config (tokens, read);
  vm_tokens_expand (tokens, settings->machine_file, read);
  VmOptionsResult result = read_tokens (&p, tokens, error);
  g_free (p.unavailable);
  return result;
}

VmOptionsResult
vm_options_parse (int argc, char *const *argv, VmSettings *settings, GError **error)
{
  return vm_options_parse_with (argc, argv, settings, read_host_file, error);
}
