/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions answer with text; widgets want values, and to be there still. */
#include "ui/gtk/call.h"

typedef struct Call
{
  gpointer owner;
  VmAnswer answer;
  gpointer data;
  bool plain; /* the answer is text, not JSON */
} Call;

static Call *
call_new (gpointer owner, VmAnswer answer, gpointer data, bool plain)
{
  Call *call = g_new (Call, 1);

  *call = (Call){ g_object_ref (owner), answer, data, plain };
  return call;
}

static void
call_done (VmSession *session, const char *text, const GError *error, void *opaque)
{
  Call *call = opaque;
  json_object *result = NULL;

  if (text && !error)
    result = call->plain ? json_object_new_string (text) : json_tokener_parse (text);
  if (call->answer)
    call->answer (call->owner, result, error, call->data);
  json_object_put (result);
  g_object_unref (call->owner);
  g_free (call);
}

void
vm_call (VmSession *session, gpointer owner, const char *command, json_object *arguments, VmAnswer answer,
         gpointer data)
{
  vm_session_command (session, command, arguments ? json_object_to_json_string (arguments) : NULL, call_done,
                      call_new (owner, answer, data, false));
  json_object_put (arguments);
}

void
vm_call_hmp (VmSession *session, gpointer owner, const char *line, VmAnswer answer, gpointer data)
{
  vm_session_run_hmp (session, line, call_done, call_new (owner, answer, data, true));
}

void
vm_call_find_place (VmSession *session, gpointer owner, const char *driver, VmAnswer answer, gpointer data)
{
  vm_session_find_place (session, driver, call_done, call_new (owner, answer, data, false));
}

json_object *
vm_json_dict (const char *key, ...)
{
  json_object *object = json_object_new_object ();
  va_list args;

  va_start (args, key);
  for (; key; key = va_arg (args, const char *))
    json_object_object_add (object, key, va_arg (args, json_object *));
  va_end (args);
  return object;
}

json_object *
vm_json_get (json_object *object, const char *key)
{
  json_object *value = NULL;

  if (json_object_is_type (object, json_type_object))
    json_object_object_get_ex (object, key, &value);
  return value;
}

const char *
vm_json_text (json_object *object, const char *key)
{
  json_object *value = vm_json_get (object, key);

  return value ? json_object_get_string (value) : "";
}

int64_t
vm_json_number (json_object *object, const char *key)
{
  return json_object_get_int64 (vm_json_get (object, key));
}

bool
vm_json_flag (json_object *object, const char *key)
{
  return json_object_get_boolean (vm_json_get (object, key));
}

size_t
vm_json_length (json_object *array)
{
  return json_object_is_type (array, json_type_array) ? json_object_array_length (array) : 0;
}

char *
vm_hmp_word (const char *text)
{
  GString *out = g_string_new ("\"");

  for (const char *p = text; *p; p++)
    {
      if (*p == '"' || *p == '\\')
        g_string_append_c (out, '\\');
      if (*p == '\n')
        g_string_append (out, "\\n");
      else if (*p == '\r')
        g_string_append (out, "\\r");
      else
        g_string_append_c (out, *p);
    }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}
