/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of NBD exports: "nbd://host:port/export", "nbd+unix:///export?socket=path", and the old "nbd:host:port",
 * "nbd:unix:path", each with ":exportname=export" behind it. */
#include "block/protocols/nbd-private.h"
#include "block/protocols/url.h"

static void
add (json_object *to, const char *key, const char *value)
{
  json_object_object_add (to, key, json_object_new_string (value));
}

static void
add_unix (json_object *options, const char *path)
{
  json_object *server = json_object_new_object ();

  add (server, "type", "unix");
  add (server, "path", path);
  json_object_object_add (options, "server", server);
}

static void
add_inet (json_object *options, const char *host, const char *port)
{
  json_object *server = json_object_new_object ();

  add (server, "type", "inet");
  add (server, "host", host);
  add (server, "port", port);
  json_object_object_add (options, "server", server);
}

static bool
parse_url (const char *name, json_object *options, GError **error)
{
  g_autoptr (VmUrl) url = vm_url_parse (name);
  bool is_unix = url && g_str_has_suffix (url->scheme, "+unix");

  if (!url
      || (is_unix ? *url->host || !vm_url_param (url, "socket") || g_hash_table_size (url->params) != 1
                  : !*url->host || g_hash_table_size (url->params)))
    return vm_fail (error, "No valid URL specified");
  if (is_unix)
    add_unix (options, vm_url_param (url, "socket"));
  else
    {
      g_autofree char *port = url->port > 0 ? g_strdup_printf ("%d", url->port) : g_strdup (NBD_PORT);
      add_inet (options, url->host, port);
    }
  if (url->path[0] == '/' && url->path[1])
    add (options, "export", url->path + 1);
  return true;
}

bool
nbd_parse_name (const char *name, json_object *options, GError **error)
{
  const char *rest = name + strlen ("nbd:"), *export, *colon;

  if (strstr (name, "://"))
    return parse_url (name, options, error);
  export = strstr (rest, ":exportname=");
  g_autofree char *address = export ? g_strndup (rest, export - rest) : g_strdup (rest);
  if (export && export[strlen (":exportname=")])
    add (options, "export", export + strlen (":exportname="));
  if (g_str_has_prefix (address, "unix:"))
    {
      add_unix (options, address + strlen ("unix:"));
      return true;
    }
  colon = strrchr (address, ':');
  if (!colon || colon == address || !colon[1])
    return vm_fail (error, "error parsing address '%s'", address);
  g_autofree char *host = *address == '[' && colon[-1] == ']' ? g_strndup (address + 1, colon - address - 2)
                                                              : g_strndup (address, colon - address);
  add_inet (options, host, colon + 1);
  return true;
}
