/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dotted keys, as key=value lists have them, as members of members. */
#include "engine/schema/schema.h"

#include <string.h>

/* {"0": a, "1": b} is a list. */
static json_object *
lists_of (json_object *json)
{
  json_object *out;
  int n;

  if (json_object_is_type (json, json_type_array))
    {
      out = json_object_new_array ();
      for (size_t i = 0; i < json_object_array_length (json); i++)
        json_object_array_add (out, lists_of (json_object_array_get_idx (json, i)));
      return out;
    }
  if (!json_object_is_type (json, json_type_object))
    return json_object_get (json);
  n = json_object_object_length (json);
  if (n && json_object_object_get_ex (json, "0", NULL))
    {
      out = json_object_new_array ();
      for (int i = 0; i < n; i++)
        {
          json_object *value;
          g_autofree char *key = g_strdup_printf ("%d", i);
          if (!json_object_object_get_ex (json, key, &value))
            {
              json_object_put (out);
              return json_object_get (json);
            }
          json_object_array_add (out, lists_of (value));
        }
      return out;
    }
  out = json_object_new_object ();
  json_object_object_foreach (json, key, value) json_object_object_add (out, key, lists_of (value));
  return out;
}

static bool unfold (json_object *to, json_object *from, GError **error);

static bool
put (json_object *to, const char *key, json_object *value, GError **error)
{
  const char *dot = strchr (key, '.');
  json_object *inner = NULL;

  if (!dot)
    {
      if (!json_object_is_type (value, json_type_object))
        {
          json_object_object_add (to, key, json_object_get (value));
          return true;
        }
      if (!json_object_object_get_ex (to, key, &inner))
        {
          inner = json_object_new_object ();
          json_object_object_add (to, key, inner);
        }
      if (!json_object_is_type (inner, json_type_object))
        return vm_fail (error, "Cannot mix '%s' as a value and as a group", key);
      return unfold (inner, value, error);
    }
  g_autofree char *first = g_strndup (key, dot - key);
  if (!json_object_object_get_ex (to, first, &inner))
    {
      inner = json_object_new_object ();
      json_object_object_add (to, first, inner);
    }
  if (json_object_is_type (inner, json_type_array))
    {
      json_object *as_object = json_object_new_object ();
      for (size_t i = 0; i < json_object_array_length (inner); i++)
        {
          g_autofree char *index = g_strdup_printf ("%zu", i);
          json_object_object_add (as_object, index, json_object_get (json_object_array_get_idx (inner, i)));
        }
      json_object_object_add (to, first, as_object);
      inner = as_object;
    }
  if (!json_object_is_type (inner, json_type_object))
    return vm_fail (error, "Cannot mix '%s' as a value and as a group", first);
  return put (inner, dot + 1, value, error);
}

static bool
unfold (json_object *to, json_object *from, GError **error)
{
  json_object_object_foreach (from, key, value) if (!put (to, key, value, error)) return false;
  return true;
}

json_object *
vm_json_nest (json_object *options, GError **error)
{
  json_object *nested = json_object_new_object (), *out = NULL;

  if (unfold (nested, options, error))
    out = lists_of (nested);
  json_object_put (nested);
  return out;
}
