/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the human monitor about the NBD server. */
#include "engine/monitor/hmp.h"

static bool
run (VmMonitor *mon, const char *command, const char *arguments)
{
  json_object *answer = vm_hmp_qmp (mon, command, "%s", arguments);

  json_object_put (answer);
  return answer != NULL;
}

static bool
add_device (VmMonitor *mon, const char *device, const char *name, bool writable)
{
  g_autofree char *quoted = vm_hmp_quote (device), *quoted_name = vm_hmp_quote (name ? name : device);
  g_autofree char *arguments = g_strdup_printf ("{\"device\": %s, \"name\": %s, \"writable\": %s}", quoted, quoted_name,
                                                writable ? "true" : "false");

  return run (mon, "nbd-server-add", arguments);
}

/* Every drive with a medium. */
static bool
add_all (VmMonitor *mon, bool writable)
{
  json_object *list = vm_hmp_qmp (mon, "query-block", NULL);
  bool ok = list != NULL;

  for (size_t i = 0; ok && i < json_object_array_length (list); i++)
    {
      json_object *item = json_object_array_get_idx (list, i);
      const char *device = vm_hmp_member (item, "device");
      if (*device && json_object_object_get_ex (item, "inserted", NULL))
        ok = add_device (mon, device, NULL, writable);
    }
  json_object_put (list);
  return ok;
}

void
vm_hmp_nbd_server_start (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *uri = vm_hmp_text (args, "uri"), *colon = strrchr (uri, ':');
  bool all = vm_hmp_flag (args, "all"), writable = vm_hmp_flag (args, "writable");
  g_autofree char *arguments = NULL;

  if (writable && !all)
    {
      vm_monitor_printf (mon, "Error: -w only valid together with -a\n");
      return;
    }
  if (g_str_has_prefix (uri, "unix:"))
    {
      g_autofree char *path = vm_hmp_quote (uri + strlen ("unix:"));
      arguments = g_strdup_printf ("{\"addr\": {\"type\": \"unix\", \"data\": {\"path\": %s}}}", path);
    }
  else if (colon && colon[1])
    {
      bool bracketed = *uri == '[' && colon > uri && colon[-1] == ']';
      g_autofree char *name = g_strndup (uri + bracketed, colon - uri - 2 * bracketed);
      g_autofree char *host = vm_hmp_quote (name), *port = vm_hmp_quote (colon + 1);
      arguments
          = g_strdup_printf ("{\"addr\": {\"type\": \"inet\", \"data\": {\"host\": %s, \"port\": %s}}}", host, port);
    }
  else
    {
      vm_monitor_printf (mon, "Error: error parsing address '%s'\n", uri);
      return;
    }
  if (run (mon, "nbd-server-start", arguments) && all && !add_all (mon, writable))
    json_object_put (vm_hmp_qmp (mon, "nbd-server-stop", NULL));
}

void
vm_hmp_nbd_server_add (VmMonitor *mon, const VmHmpArgs *args)
{
  add_device (mon, vm_hmp_text (args, "device"), vm_hmp_text (args, "name"), vm_hmp_flag (args, "writable"));
}

void
vm_hmp_nbd_server_remove (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *name = vm_hmp_quote (vm_hmp_text (args, "name"));
  g_autofree char *arguments
      = g_strdup_printf ("{\"name\": %s, \"mode\": \"%s\"}", name, vm_hmp_flag (args, "force") ? "hard" : "safe");

  run (mon, "nbd-server-remove", arguments);
}

void
vm_hmp_nbd_server_stop (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object_put (vm_hmp_qmp (mon, "nbd-server-stop", NULL));
}
