/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The QMP server: greeting, negotiation, one JSON value after the other, answers. */
#include "config.h"

#include "engine/base/trace.h"

#include "engine/monitor/monitor-private.h"

#define MAX_DEPTH 1024

void
vm_qmp_send (VmMonitor *mon, json_object *message)
{
  g_autofree char *text = vm_json_to_string (message, mon->pretty);
  g_autofree char *line = g_strconcat (text, "\n", NULL);

  vm_monitor_puts (mon, line);
  json_object_put (message);
}

json_object *
vm_qmp_version (void)
{
  json_object *triple = json_object_new_object (), *version = json_object_new_object ();

  json_object_object_add (triple, "micro", json_object_new_int (50));
  json_object_object_add (triple, "minor", json_object_new_int (1));
  json_object_object_add (triple, "major", json_object_new_int (9));
  json_object_object_add (version, "qemu", triple);
  json_object_object_add (version, "package", json_object_new_string ("Vitrine " VM_VERSION));
  return version;
}

static void
new_tokener (VmMonitor *mon)
{
  if (mon->tokener)
    json_tokener_free (mon->tokener);
  mon->tokener = json_tokener_new_ex (MAX_DEPTH);
  json_tokener_set_flags (mon->tokener, JSON_TOKENER_VALIDATE_UTF8);
  mon->message_len = 0;
}

void
vm_qmp_attach (VmMonitor *mon)
{
  new_tokener (mon);
}

void
vm_qmp_opened (VmMonitor *mon)
{
  json_object *greeting = json_object_new_object (), *qmp = json_object_new_object ();
  json_object *capabilities = json_object_new_array ();

  new_tokener (mon);
  mon->negotiated = mon->oob = mon->skipping = false;
  json_object_array_add (capabilities, json_object_new_string ("oob"));
  json_object_object_add (qmp, "version", vm_qmp_version ());
  json_object_object_add (qmp, "capabilities", capabilities);
  json_object_object_add (greeting, "QMP", qmp);
  vm_qmp_send (mon, greeting);
}

void
vm_qmp_closed (VmMonitor *mon)
{
  mon->negotiated = false;
  g_hash_table_remove_all (mon->all->fds);
}

/* --- answers --- */

static void
answer (VmMonitor *mon, json_object *id, json_object *result, const GError *error)
{
  json_object *message = json_object_new_object ();

  /* The id comes first, so that a client that reads a broken line still sees whose it is. */
  if (id)
    json_object_object_add (message, "id", json_object_get (id));
  if (error)
    {
      json_object *body = json_object_new_object ();
      json_object_object_add (body, "class", json_object_new_string (vm_qmp_error_class (error)));
      json_object_object_add (body, "desc", json_object_new_string (error->message));
      json_object_object_add (message, "error", body);
    }
  else
    {
      json_object_object_add (message, "return", result);
    }
  vm_qmp_send (mon, message);
}

/* --- requests --- */

static bool
check_request (VmMonitor *mon, json_object *request, const char **name, bool *oob, GError **error)
{
  *name = NULL;
  if (!json_object_is_type (request, json_type_object))
    return vm_fail (error, "QMP input must be a JSON object");
  json_object_object_foreach (request, key, value)
  {
    bool run = !strcmp (key, "execute") || (mon->oob && !strcmp (key, "exec-oob"));
    if (run)
      {
        if (*name)
          return vm_fail (error, "QMP input must not have both 'execute' and 'exec-oob'");
        if (!json_object_is_type (value, json_type_string))
          return vm_fail (error, "QMP input member '%s' must be a string", key);
        *name = json_object_get_string (value);
        *oob = !strcmp (key, "exec-oob");
      }
    else if (!strcmp (key, "arguments"))
      {
        if (!json_object_is_type (value, json_type_object))
          return vm_fail (error, "QMP input member 'arguments' must be an object");
      }
    else if (strcmp (key, "id") != 0)
      {
        return vm_fail (error, "QMP input member '%s' is unexpected", key);
      }
  }
  return *name || vm_fail (error, "QMP input lacks member 'execute'");
}

static bool
check_phase (VmMonitor *mon, const char *name, bool oob, GError **error)
{
  bool negotiating = !strcmp (name, "qmp_capabilities");
  const VmSchemaCommand *command = vm_schema_find_command (name);

  if (!mon->negotiated && !negotiating)
    {
      g_set_error_literal (error, VM_ERROR, VM_ERROR_COMMAND_NOT_FOUND,
                           "Expecting capabilities negotiation with 'qmp_capabilities'");
      return false;
    }
  if (mon->negotiated && negotiating)
    {
      g_set_error_literal (error, VM_ERROR, VM_ERROR_COMMAND_NOT_FOUND,
                           "Capabilities negotiation is already complete, command ignored");
      return false;
    }
  if (oob && command && !(command->flags & VM_SCHEMA_OOB))
    return vm_fail (error, "The command %s does not support OOB", name);
  return true;
}

static void
handle_request (VmMonitor *mon, json_object *request)
{
  g_autoptr (GError) error = NULL;
  json_object *id = NULL, *arguments = NULL, *result = NULL;
  const char *name;
  bool oob = false;

  if (json_object_is_type (request, json_type_object))
    json_object_object_get_ex (request, "id", &id);
  if (check_request (mon, request, &name, &oob, &error) && check_phase (mon, name, oob, &error))
    {
      json_object_object_get_ex (request, "arguments", &arguments);
      vm_trace (QMP_COMMAND, "%s", json_object_to_json_string (request));
      result = vm_monitor_execute (mon, name, arguments, &error);
    }
  answer (mon, id, result, error);
}

static void
complain (VmMonitor *mon, const char *why)
{
  g_autoptr (GError) error = NULL;

  vm_fail (&error, "JSON parse error, %s", why);
  answer (mon, NULL, NULL, error);
  new_tokener (mon);
  mon->skipping = true; /* the rest of the line belongs to the broken value */
}

void
vm_qmp_receive (VmMonitor *mon, const uint8_t *buf, size_t len)
{
  const char *p = (const char *) buf, *end = p + len;

  while (p < end)
    {
      if (mon->skipping)
        {
          const char *newline = memchr (p, '\n', end - p);
          if (!newline)
            return;
          mon->skipping = false;
          p = newline + 1;
          continue;
        }
      json_object *json = json_tokener_parse_ex (mon->tokener, p, end - p);
      enum json_tokener_error state = json_tokener_get_error (mon->tokener);
      size_t used = json_tokener_get_parse_end (mon->tokener);
      if (state == json_tokener_continue)
        {
          /* Only white space so far: no message has begun. */
          bool blank = mon->message_len == 0;
          for (const char *c = p; blank && c < end; c++)
            blank = g_ascii_isspace (*c);
          mon->message_len += blank ? 0 : end - p;
          if (mon->message_len > VM_MONITOR_INPUT_MAX)
            complain (mon, "message is too long");
          return;
        }
      if (state != json_tokener_success)
        {
          p += used;
          complain (mon, json_tokener_error_desc (state));
          continue;
        }
      p += used;
      mon->message_len = 0;
      json_tokener_reset (mon->tokener);
      handle_request (mon, json);
      json_object_put (json);
    }
}
