/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documented keys and values of options. */
#include "engine/options/documented.h"

#include <errno.h>

/* VALUES up to a note: "on|off (common)", "<n>, 0 disables", "local|synth; repeatable". */
static char *
without_note (const char *values)
{
  size_t len = strlen (values);

  for (size_t i = 0; i < len; i++)
    if (values[i] == ',' || values[i] == ';' || (values[i] == ' ' && values[i + 1] == '('))
      len = i;
  return g_strndup (values, len);
}

static bool
is_word (const char *text)
{
  if (!*text || strstr (text, ".."))
    return false;
  for (; *text; text++)
    if (!g_ascii_isalnum (*text) && !strchr ("-_.+", *text))
      return false;
  return true;
}

char **
vm_documented_words (const char *values)
{
  g_autofree char *text = without_note (values);
  g_auto (GStrv) words = g_strsplit (text, "|", -1);

  if (g_strv_length (words) < 2)
    return NULL;
  for (char **w = words; *w; w++)
    if (!is_word (*w))
      return NULL;
  return g_steal_pointer (&words);
}

VmValueKind
vm_documented_kind (const char *values)
{
  static const char *const numbers[]
      = { "<n>",   "<us>",  "<ms>",    "<s>",    "<ns>",      "<Hz>",   "<uint>",     "<MiB>",    "<bytes>",
          "<u32>", "<u64>", "<req/s>", "<byte>", "<bytes/s>", "<bits>", "<tcp-port>", "<pixels>", NULL };
  g_autofree char *text = without_note (values);
  g_auto (GStrv) words = NULL;

  if (!strcmp (text, "on|off") || !strcmp (text, "yes|no"))
    return VM_VALUE_BOOL;
  if (!strcmp (text, "on|off|auto"))
    return VM_VALUE_AUTO;
  if (!strcmp (text, "<size>"))
    return VM_VALUE_SIZE;
  if (g_strv_contains (numbers, text))
    return VM_VALUE_NUMBER;
  words = vm_documented_words (values);
  return words ? VM_VALUE_ENUM : VM_VALUE_FREE;
}

/* --- which row a key has --- */

/* NAME of the table fits KEY; *REST is what a "<node>" leaves to the node. */
static bool
key_fits (const char *name, const char *values, const char *key, const char **rest)
{
  g_auto (GStrv) want = g_strsplit (name, ".", -1), have = g_strsplit (key, ".", -1);
  size_t i = 0;

  *rest = NULL;
  for (; want[i]; i++)
    {
      bool number = !strcmp (want[i], "N") || !strcmp (want[i], "M");
      if (!have[i]
          || (number ? !*have[i] || strspn (have[i], "0123456789") != strlen (have[i])
                     : strcmp (want[i], have[i]) != 0 && *want[i] != '<'))
        return false;
    }
  if (!have[i])
    return true;
  *rest = have[i];
  return g_str_has_prefix (values, "<node>") || *name == '<' || g_str_has_prefix (values, "JSON struct");
}

const VmOptionKey *
vm_documented_key (const char *const *options, const char *key)
{
  const char *rest;

  for (const VmOptionKey *k = vm_option_keys; k->option; k++)
    if (g_strv_contains (options, k->option) && *k->key != '<' && key_fits (k->key, k->values, key, &rest))
      return k;
  if (!strchr (key, '.'))
    return NULL;
  for (const VmOptionKey *k = vm_option_keys; k->option; k++)
    if (g_strv_contains (options, k->option) && key_fits (k->key, k->values, key, &rest))
      return k;
  return NULL;
}

/* --- values --- */

static bool
is_number (const char *text, bool negative_too)
{
  char *end;

  errno = 0;
  if (*text == '-')
    {
      (void) g_ascii_strtoll (text, &end, 0);
      return negative_too && !errno && end != text && !*end;
    }
  (void) g_ascii_strtoull (text, &end, 0);
  return !errno && end != text && !*end;
}

static bool
check_number (const char *key, const char *text, VmDialect dialect, GError **error)
{
  static const char *const negative[] = { "hubid", NULL }; /* the rest of that dialect's numbers are not */
  bool negative_too = g_strv_contains (negative, key);

  if (is_number (text, dialect == VM_DIALECT_SCHEMA || negative_too))
    return true;
  switch (dialect)
    {
    case VM_DIALECT_OLD:
      return vm_fail (error, "Parameter '%s' expects a number", key);
    case VM_DIALECT_VISITOR:
      return vm_fail (error, "Parameter '%s' expects %s value", key, negative_too ? "an int64" : "a uint64");
    default:
      return vm_fail (error, "Parameter '%s' expects integer", key);
    }
}

static bool
check_size (const VmKeyVals *list, const char *key, const char *text, VmDialect dialect, GError **error)
{
  uint64_t bytes;

  if (dialect == VM_DIALECT_OLD)
    return vm_keyvals_size (list, key, 'B', &bytes, error);
  return vm_parse_size (text, 'B', &bytes, NULL) /* the sentence is the dialect's own */
         || vm_fail (error, "Parameter '%s' expects a size value", key);
}

static bool
check_enum (const char *key, const char *text, const VmOptionKey *row, const char *enum_error, GError **error)
{
  g_auto (GStrv) words = vm_documented_words (row->values);

  if ((enum_error && !*enum_error) || g_strv_contains ((const char *const *) words, text))
    return true;
  if (!enum_error)
    {
      const char *last = strrchr (key, '.');
      return vm_fail (error, "Parameter '%s' does not accept value '%s'", last ? last + 1 : key, text);
    }
  g_autoptr (GString) text_of_error = g_string_new (NULL);
  for (const char *c = enum_error; *c; c++)
    {
      bool mark = *c == '%' && (c[1] == 'k' || c[1] == 'v');
      if (!mark)
        g_string_append_c (text_of_error, *c);
      else
        g_string_append (text_of_error, *++c == 'k' ? key : text);
    }
  return vm_fail (error, "%s", text_of_error->str);
}

static bool
check_value (const VmKeyVals *list, const VmKeyValue *pair, const VmOptionKey *row, VmDialect dialect,
             const char *enum_error, GError **error)
{
  static const char *const truth[] = { "on", "yes", "true", "y", "off", "no", "false", "n", NULL };
  static const char *const three[] = { "on", "off", "auto", NULL };

  switch (vm_documented_kind (row->values))
    {
    case VM_VALUE_BOOL:
      return g_strv_contains (truth, pair->value) || vm_fail (error, "Parameter '%s' expects 'on' or 'off'", pair->key);
    case VM_VALUE_AUTO:
      return g_strv_contains (three, pair->value)
             || vm_fail (error, "Parameter '%s' does not accept value '%s'", pair->key, pair->value);
    case VM_VALUE_NUMBER:
      return check_number (pair->key, pair->value, dialect, error);
    case VM_VALUE_SIZE:
      return check_size (list, pair->key, pair->value, dialect, error);
    case VM_VALUE_ENUM:
      return check_enum (pair->key, pair->value, row, enum_error, error);
    default:
      return true;
    }
}

bool
vm_documented_check (const VmKeyVals *list, const char *const *options, VmDialect dialect, const char *enum_error,
                     GError **error)
{
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      const VmOptionKey *row = vm_documented_key (options, pair->key);
      if (!row)
        return vm_fail (error, dialect == VM_DIALECT_SCHEMA ? "Parameter '%s' is unexpected" : "Invalid parameter '%s'",
                        pair->key);
      bool whole = !g_str_has_prefix (row->values, "<node>");
      if (whole && !check_value (list, pair, row, dialect, enum_error, error))
        return false;
    }
  return true;
}

bool
vm_documented_check_required (const VmKeyVals *list, const char *option, bool id_too, GError **error)
{
  for (const VmOptionKey *k = vm_option_rows; k->option; k++)
    {
      if (strcmp (k->option, option) != 0)
        continue;
      g_autofree char *text = g_strndup (k->values, strcspn (k->values, "["));
      g_auto (GStrv) items = g_strsplit (text, ",", -1);
      for (char **item = items; *item; item++)
        {
          size_t len = strlen (*item);
          if (len < 2 || (*item)[len - 1] != '=' || strpbrk (*item, "(|*") || strstr (*item, ".N"))
            continue;
          g_autofree char *key = g_strndup (*item, len - 1), *prefix = g_strconcat (key, ".", NULL);
          bool given = false;
          for (guint i = 0; i < list->pairs->len && !given; i++)
            {
              const char *have = ((const VmKeyValue *) g_ptr_array_index (list->pairs, i))->key;
              given = !strcmp (have, key) || g_str_has_prefix (have, prefix);
            }
          if (!given && (id_too || strcmp (key, "id") != 0))
            return vm_fail (error, "Parameter '%s' is missing", key);
        }
    }
  return true;
}

bool
vm_documented_kind_of (const char *option, const char *kind)
{
  g_autofree char *name = g_strdup_printf ("%s %s", option, kind);

  for (const VmOptionKey *k = vm_option_rows; k->option; k++)
    if (!strcmp (k->option, name))
      return !k->foreign;
  return false;
}

bool
vm_documented_explain (const char *option, const char *key, const char *value, GError **error)
{
  const char *const options[] = { option, NULL };
  const VmOptionKey *row = vm_documented_key (options, key);
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();

  if (!row || row->foreign)
    return false;
  vm_keyvals_add (list, key, value);
  if (vm_documented_check (list, options, VM_DIALECT_VISITOR, NULL, error))
    g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "%s=%s: not available in this build", key, value);
  return true;
}
