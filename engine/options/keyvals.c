/* SPDX-License-Identifier: GPL-3.0-or-later */
/* key=value lists: sections 3 to 5 of the option rules. */
#include "engine/options/keyvals.h"

#include <errno.h>
#include <json-c/json.h>

static void
pair_free (gpointer data)
{
  VmKeyValue *pair = data;

  g_free (pair->key);
  g_free (pair->value);
  g_free (pair);
}

VmKeyVals *
vm_keyvals_new (void)
{
  VmKeyVals *list = g_new0 (VmKeyVals, 1);

  list->pairs = g_ptr_array_new_with_free_func (pair_free);
  return list;
}

void
vm_keyvals_free (VmKeyVals *list)
{
  if (!list)
    return;
  g_ptr_array_unref (list->pairs);
  g_free (list);
}

static VmKeyValue *
add_pair (VmKeyVals *list, char *key, char *value)
{
  VmKeyValue *pair = g_new0 (VmKeyValue, 1);

  pair->key = key;
  pair->value = value;
  g_ptr_array_add (list->pairs, pair);
  return pair;
}

void
vm_keyvals_add (VmKeyVals *list, const char *key, const char *value)
{
  add_pair (list, g_strdup (key), g_strdup (value));
}

void
vm_keyvals_remove (VmKeyVals *list, const char *key)
{
  for (guint i = list->pairs->len; i-- > 0;)
    if (!strcmp (((VmKeyValue *) g_ptr_array_index (list->pairs, i))->key, key))
      g_ptr_array_remove_index (list->pairs, i);
}

void
vm_keyvals_set (VmKeyVals *list, const char *key, const char *value)
{
  vm_keyvals_remove (list, key);
  vm_keyvals_add (list, key, value);
}

void
vm_keyvals_merge (VmKeyVals *list, const VmKeyVals *later)
{
  for (guint i = 0; i < later->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (later->pairs, i);
      VmKeyValue *copy = add_pair (list, g_strdup (pair->key), g_strdup (pair->value));
      copy->implied = pair->implied;
      copy->flag = pair->flag;
    }
}

VmKeyVals *
vm_keyvals_copy (const VmKeyVals *list)
{
  VmKeyVals *copy = vm_keyvals_new ();

  vm_keyvals_merge (copy, list);
  return copy;
}

/* Takes TEXT up to a single comma (",," is one in the value) or, with STOP, up to that character. */
static char *
take_item (const char **text, char stop)
{
  GString *out = g_string_new (NULL);
  const char *p = *text;

  while (*p && *p != stop)
    {
      if (*p == ',')
        {
          if (p[1] != ',')
            break;
          p++;
        }
      g_string_append_c (out, *p++);
    }
  *text = p;
  return g_string_free (out, FALSE);
}

/* A key written alone: "key" is on, "nokey" off. */
static void
add_flag (VmKeyVals *list, char *key)
{
  bool off = g_str_has_prefix (key, "no") && strcmp (key, "nodelay") != 0 && key[2];
  VmKeyValue *pair = add_pair (list, g_strdup (off ? key + 2 : key), g_strdup (off ? "off" : "on"));

  pair->flag = true;
  g_free (key);
}

bool
vm_keyvals_parse (VmKeyVals *list, const char *text, const char *implied, VmKeyValsFlags flags, GError **error)
{
  const char *p = text;
  bool first = true;

  while (*p)
    {
      /* The key ends at "=" only when that comes before the next comma. */
      const char *equals = p + strcspn (p, "=,");
      if (*equals == '=' && equals > p)
        {
          char *key = g_strndup (p, equals - p);
          p = equals + 1;
          add_pair (list, key, take_item (&p, '\0'));
        }
      else
        {
          char *word = take_item (&p, '\0');
          if (first && implied)
            {
              add_pair (list, g_strdup (implied), word)->implied = true;
            }
          else if (flags & VM_KEYVALS_STRICT)
            {
              bool help = !strcmp (word, "help") || !strcmp (word, "?");
              if (!help)
                {
                  vm_fail (error, *word ? "Expected '=' after parameter '%s'" : "Expected parameter before '%s'",
                           *word ? word : "=");
                  g_free (word);
                  return false;
                }
              add_flag (list, word);
            }
          else
            {
              add_flag (list, word);
            }
        }
      first = false;
      if (*p == ',')
        p++;
    }
  return true;
}

static bool
flatten (VmKeyVals *list, const char *path, json_object *json, GError **error)
{
  char number[32];

  switch (json_object_get_type (json))
    {
    case json_type_object:
      {
        json_object_object_foreach (json, key, value)
        {
          g_autofree char *sub = path ? g_strdup_printf ("%s.%s", path, key) : g_strdup (key);
          if (!flatten (list, sub, value, error))
            return false;
        }
        return true;
      }
    case json_type_array:
      for (size_t i = 0; i < json_object_array_length (json); i++)
        {
          g_snprintf (number, sizeof number, "%zu", i);
          g_autofree char *sub = g_strdup_printf ("%s.%s", path, number);
          if (!flatten (list, sub, json_object_array_get_idx (json, i), error))
            return false;
        }
      return true;
    case json_type_boolean:
      vm_keyvals_add (list, path, json_object_get_boolean (json) ? "on" : "off");
      return true;
    case json_type_null: /* says of a node that it has no backing file; nothing else takes it */
      return g_str_has_suffix (path, "backing") || vm_fail (error, "Parameter '%s' must not be null", path);
    default:
      vm_keyvals_add (list, path, json_object_get_string (json));
      return true;
    }
}

bool
vm_keyvals_parse_json (VmKeyVals *list, const char *text, GError **error)
{
  enum json_tokener_error why = json_tokener_success;
  json_tokener *tokener = json_tokener_new_ex (64);
  size_t len = strlen (text);
  bool ok = false;

  json_tokener_set_flags (tokener, JSON_TOKENER_VALIDATE_UTF8 | JSON_TOKENER_STRICT);
  json_object *json = len > G_MAXINT32 ? NULL : json_tokener_parse_ex (tokener, text, len + 1);
  why = json_tokener_get_error (tokener);
  if (!json || why != json_tokener_success)
    vm_fail (error, "JSON parse error, %s", json_tokener_error_desc (why));
  else if (!json_object_is_type (json, json_type_object))
    vm_fail (error, "JSON object expected");
  else
    ok = flatten (list, NULL, json, error);
  json_object_put (json);
  json_tokener_free (tokener);
  return ok;
}

bool
vm_keyvals_has (const VmKeyVals *list, const char *key)
{
  for (guint i = 0; i < list->pairs->len; i++)
    if (!strcmp (((VmKeyValue *) g_ptr_array_index (list->pairs, i))->key, key))
      return true;
  return false;
}

const char *
vm_keyvals_get (const VmKeyVals *list, const char *key)
{
  const char *value = NULL;

  for (guint i = 0; i < list->pairs->len; i++)
    {
      VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      if (strcmp (pair->key, key) != 0)
        continue;
      pair->used = true;
      value = pair->value;
    }
  return value;
}

bool
vm_keyvals_bool (const VmKeyVals *list, const char *key, bool *value, GError **error)
{
  static const char *const yes[] = { "on", "yes", "true", "y", NULL };
  static const char *const no[] = { "off", "no", "false", "n", NULL };
  const char *text = vm_keyvals_get (list, key);

  if (!text)
    return true;
  bool on = g_strv_contains (yes, text);
  if (!on && !g_strv_contains (no, text))
    return vm_fail (error, "Parameter '%s' expects 'on' or 'off'", key);
  *value = on;
  return true;
}

bool
vm_keyvals_uint (const VmKeyVals *list, const char *key, uint64_t *value, uint64_t max, GError **error)
{
  const char *text = vm_keyvals_get (list, key);
  char *end;

  if (!text)
    return true;
  errno = 0;
  guint64 number = g_ascii_strtoull (text, &end, 0);
  if (end == text || *end || strchr (text, '-') || errno == EINVAL)
    return vm_fail (error, "Parameter '%s' expects a number", key);
  if (errno == ERANGE || number > max)
    return vm_fail (error, "Parameter '%s' expects a number of at most %" G_GUINT64_FORMAT, key, max);
  *value = number;
  return true;
}

bool
vm_keyvals_int (const VmKeyVals *list, const char *key, int64_t *value, GError **error)
{
  const char *text = vm_keyvals_get (list, key);
  char *end;

  if (!text)
    return true;
  errno = 0;
  gint64 number = g_ascii_strtoll (text, &end, 0);
  if (end == text || *end || errno)
    return vm_fail (error, "Parameter '%s' expects a number", key);
  *value = number;
  return true;
}

bool
vm_keyvals_size (const VmKeyVals *list, const char *key, char default_suffix, uint64_t *value, GError **error)
{
  const char *text = vm_keyvals_get (list, key);

  return !text || vm_parse_size_param (key, text, default_suffix, value, error);
}

bool
vm_keyvals_enum (const VmKeyVals *list, const char *key, const char *const *names, int *value, GError **error)
{
  const char *text = vm_keyvals_get (list, key);

  if (!text)
    return true;
  for (int i = 0; names[i]; i++)
    if (!strcmp (names[i], text))
      {
        *value = i;
        return true;
      }
  return vm_fail (error, "Parameter '%s' does not accept value '%s'", key, text);
}

bool
vm_keyvals_check_used (const VmKeyVals *list, GError **error)
{
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      if (!pair->used)
        return vm_fail (error, "Invalid parameter '%s'", pair->key);
    }
  return true;
}

char *
vm_keyvals_to_string (const VmKeyVals *list)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      g_string_append_printf (out, "%s%s=", i ? "," : "", pair->key);
      for (const char *p = pair->value; *p; p++)
        g_string_append (out, *p == ',' ? ",," : (char[]){ *p, 0 });
    }
  return g_string_free (out, FALSE);
}

bool
vm_id_well_formed (const char *id)
{
  if (!g_ascii_isalpha (*id))
    return false;
  for (const char *p = id; *p; p++)
    if (!g_ascii_isalnum (*p) && !strchr ("-._", *p))
      return false;
  return true;
}
