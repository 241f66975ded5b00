/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Monitor commands about VNC servers. They come on the engine loop and are carried out on the VNC thread, which never
 * waits for the engine. */
#include "ui/vnc/vnc-private.h"

#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"
#include "engine/schema/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <fcntl.h>

/* What is done over there, and what came of it. */
typedef struct Errand
{
  VmVnc *vnc;
  const char *id, *text; /* TEXT: a password or a time */
  const GPtrArray *addresses;
  VncServer *server;
  GPtrArray *list;
  VmqVncInfo *info;
  int fd;
  bool skip_auth, ok;
  GError *error;
} Errand;

static bool
run (VmMonitor *mon, Errand *errand, VmPostFunc func, GError **error)
{
  errand->vnc = vm_monitor_machine (mon)->vnc_of;
  if (errand->vnc && errand->vnc->loop)
    vm_loop_call (errand->vnc->loop, func, errand);
  if (errand->error)
    g_propagate_error (error, errand->error);
  return errand->ok;
}

/* --- who is there ------------------------------------------------------------------------------------------------ */

static VmqNetworkAddressFamily
family_of (const char *name)
{
  return (VmqNetworkAddressFamily) vm_schema_enum_value (&vmq_type_networkaddressfamily, name);
}

static VmqVncVencryptSubAuth
subtype_of (const VncServer *s)
{
  bool x509 = vm_tls_creds_are_x509 (s->options.creds);

  if (s->options.sasl)
    return x509 ? VMQ_VNC_VENCRYPT_SUB_AUTH_X509_SASL : VMQ_VNC_VENCRYPT_SUB_AUTH_TLS_SASL;
  if (s->options.password)
    return x509 ? VMQ_VNC_VENCRYPT_SUB_AUTH_X509_VNC : VMQ_VNC_VENCRYPT_SUB_AUTH_TLS_VNC;
  return x509 ? VMQ_VNC_VENCRYPT_SUB_AUTH_X509_NONE : VMQ_VNC_VENCRYPT_SUB_AUTH_TLS_NONE;
}

static VmqVncPrimaryAuth
auth_of (const VncServer *s, bool websocket)
{
  const VncOptions *o = &s->options;

  if (o->creds && !websocket)
    return VMQ_VNC_PRIMARY_AUTH_VENCRYPT;
  return o->sasl ? VMQ_VNC_PRIMARY_AUTH_SASL : o->password ? VMQ_VNC_PRIMARY_AUTH_VNC : VMQ_VNC_PRIMARY_AUTH_NONE;
}

static GPtrArray *
describe_clients (const VncServer *s)
{
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; i < s->clients->len; i++)
    {
      const VncClient *c = g_ptr_array_index (s->clients, i);
      VmqVncClientInfo *info = g_new0 (VmqVncClientInfo, 1);
      info->host = g_strdup (c->host);
      info->service = g_strdup (c->service);
      info->family = family_of (c->family);
      info->websocket = c->websocket;
      info->x509_dname = g_strdup (c->dname);
      info->sasl_username = g_strdup (c->user);
      g_ptr_array_add (list, info);
    }
  return list;
}

static VmqVncServerInfo2 *
describe_listener (const VncListener *l)
{
  VmqVncServerInfo2 *info = g_new0 (VmqVncServerInfo2, 1);
  char *family;

  vnc_name_end (l->fd, false, &info->host, &info->service, &family);
  info->family = family_of (family);
  g_free (family);
  info->websocket = l->websocket;
  info->auth = auth_of (l->server, l->websocket);
  info->has_vencrypt = info->auth == VMQ_VNC_PRIMARY_AUTH_VENCRYPT;
  if (info->has_vencrypt)
    info->vencrypt = subtype_of (l->server);
  return info;
}

static void
do_query_servers (void *opaque)
{
  Errand *e = opaque;

  for (guint i = 0; i < e->vnc->servers->len; i++)
    {
      const VncServer *s = g_ptr_array_index (e->vnc->servers, i);
      VmqVncInfo2 *info = g_new0 (VmqVncInfo2, 1);
      info->id = g_strdup (s->options.id);
      info->server = g_ptr_array_new ();
      for (guint k = 0; k < s->listeners->len; k++)
        g_ptr_array_add (info->server, describe_listener (g_ptr_array_index (s->listeners, k)));
      info->clients = describe_clients (s);
      info->auth = auth_of (s, false);
      info->has_vencrypt = info->auth == VMQ_VNC_PRIMARY_AUTH_VENCRYPT;
      if (info->has_vencrypt)
        info->vencrypt = subtype_of (s);
      info->display = g_strdup (s->options.display);
      g_ptr_array_add (e->list, info);
    }
}

GPtrArray *
vm_qmp_query_vnc_servers (VmMonitor *mon, GError **error)
{
  Errand e = { .list = g_ptr_array_new () };

  run (mon, &e, do_query_servers, error);
  return e.list;
}

static void
do_query (void *opaque)
{
  Errand *e = opaque;
  const VncServer *s = vnc_find_server (e->vnc, NULL);
  char *family;

  for (guint i = 0; s && i < s->listeners->len && !e->info->enabled; i++)
    {
      const VncListener *l = g_ptr_array_index (s->listeners, i);
      if (l->websocket)
        continue;
      e->info->enabled = true;
      vnc_name_end (l->fd, false, &e->info->host, &e->info->service, &family);
      e->info->has_family = true;
      e->info->family = family_of (family);
      g_free (family);
      e->info->auth = vnc_server_auth_name (s);
      e->info->clients = describe_clients (s);
    }
}

VmqVncInfo *
vm_qmp_query_vnc (VmMonitor *mon, GError **error)
{
  Errand e = { .info = g_new0 (VmqVncInfo, 1) };

  run (mon, &e, do_query, error);
  return e.info;
}

/* --- passwords ------------------------------------------------------------------------------------------------------
 */

static void
do_set_password (void *opaque)
{
  Errand *e = opaque;
  VncServer *s = vnc_find_server (e->vnc, e->id);

  if (!s || !s->options.password)
    return;
  vnc_server_set_password (s, e->text);
  e->ok = true;
}

static bool
set_password (VmMonitor *mon, const char *id, const char *password, GError **error)
{
  Errand e = { .id = id, .text = password };

  return run (mon, &e, do_set_password, error)
         || vm_fail (error, "Could not set password: %s",
                     id ? "there is no such VNC server, or it was not started with password=on"
                        : "the VNC server was not started with password=on");
}

bool
vm_qmp_change_vnc_password (VmMonitor *mon, const VmqChangeVncPasswordArg *args, GError **error)
{
  return set_password (mon, NULL, args->password, error);
}

bool
vm_qmp_set_password (VmMonitor *mon, const VmqSetPasswordArg *args, GError **error)
{
  VmqSetPasswordAction connected = args->has_connected ? args->connected : VMQ_SET_PASSWORD_ACTION_KEEP;

  if (args->protocol != VMQ_DISPLAY_PROTOCOL_VNC)
    return vm_spice_set_password (mon, args->password, connected == VMQ_SET_PASSWORD_ACTION_FAIL,
                                  connected == VMQ_SET_PASSWORD_ACTION_DISCONNECT, error);
  if (connected != VMQ_SET_PASSWORD_ACTION_KEEP)
    return vm_fail (error, "parameter 'connected' must be 'keep' when 'protocol' is 'vnc'");
  return set_password (mon, args->u.vnc->display, args->password, error);
}

static void
do_expire (void *opaque)
{
  Errand *e = opaque;
  VncServer *s = vnc_find_server (e->vnc, e->id);
  int64_t now = g_get_real_time () / G_USEC_PER_SEC;

  if (!s)
    return;
  if (!strcmp (e->text, "now"))
    s->expires = 0;
  else if (!strcmp (e->text, "never"))
    s->expires = INT64_MAX;
  else
    {
      gint64 seconds = g_ascii_strtoll (e->text + (*e->text == '+'), NULL, 10);
      s->expires = *e->text == '+' ? now + CLAMP (seconds, 0, G_MAXINT32) : seconds;
    }
  e->ok = true;
}

static bool
time_is_one (const char *text)
{
  const char *digits = text + (*text == '+');

  return !strcmp (text, "now") || !strcmp (text, "never")
         || (*digits && strspn (digits, "0123456789") == strlen (digits));
}

bool
vm_qmp_expire_password (VmMonitor *mon, const VmqExpirePasswordArg *args, GError **error)
{
  Errand e = { .text = args->time };

  if (!time_is_one (args->time)) /* else it would be in 1970, and nobody could say why */
    return vm_fail (error, "Parameter 'time' expects 'now', 'never', '+SECONDS' or seconds since 1970");
  if (args->protocol != VMQ_DISPLAY_PROTOCOL_VNC)
    return vm_spice_expire_password (mon, args->time, error);
  e.id = args->u.vnc->display;
  return run (mon, &e, do_expire, error) || vm_fail (error, "Could not set password expire time");
}

/* --- certificates, addresses ------------------------------------------------------------------ */

bool
vm_qmp_display_reload (VmMonitor *mon, const VmqDisplayReloadArg *args, GError **error)
{
  const VmqDisplayReloadOptionsVNC *options = args->u.vnc;
  VmVnc *vnc = vm_monitor_machine (mon)->vnc_of;
  const VncServer *s = vnc ? vnc_find_server (vnc, NULL) : NULL;

  if (!options->has_tls_certs || !options->tls_certs)
    return true;
  if (!s || !s->options.creds)
    return vm_fail (error, "vnc tls is not enabled");
  /* Sessions hold what they were made with; the next are made with what is read now. */
  return vm_tls_creds_reload (s->options.creds, error);
}

static bool
take_addresses (VncServer *s, const GPtrArray *list, GError **error)
{
  g_autoptr (GPtrArray) before = s->listeners;
  VmAddress kept = s->options.address;
  bool ok = true;

  s->listeners = g_ptr_array_new_with_free_func (vnc_listener_free);
  for (guint i = 0; ok && i < list->len; i++)
    {
      s->options.address = (VmAddress){ 0 };
      ok = vm_address_read (g_ptr_array_index (list, i), &s->options.address, error)
           && vnc_server_listen_at (s, &s->options.address, false, error);
      vm_address_clear (&s->options.address);
    }
  s->options.address = kept;
  if (!ok)
    { /* as it was */
      g_ptr_array_unref (s->listeners);
      s->listeners = g_steal_pointer (&before);
      return false;
    }
  for (guint i = 0; i < before->len;)
    { /* those of WebSocket stay */
      VncListener *l = g_ptr_array_index (before, i);
      if (l->websocket)
        g_ptr_array_add (s->listeners, g_ptr_array_steal_index (before, i));
      else
        i++;
    }
  return true;
}

static void
do_update (void *opaque)
{
  Errand *e = opaque;
  VncServer *s = vnc_find_server (e->vnc, NULL);

  e->ok = s ? take_addresses (s, e->addresses, &e->error) : vm_fail (&e->error, "there is no VNC server");
}

bool
vm_qmp_display_update (VmMonitor *mon, const VmqDisplayUpdateArg *args, GError **error)
{
  Errand e = { .addresses = args->u.vnc->addresses };

  if (!e.addresses)
    return true;
  return run (mon, &e, do_update, error) || (error && *error) || vm_fail (error, "there is no VNC server");
}

/* --- connections of others -------------------------------------------------------------------- */

static void
do_add_client (void *opaque)
{
  Errand *e = opaque;
  VncServer *s = vnc_find_server (e->vnc, NULL);

  if (!s)
    return;
  if (!vnc_server_make_room (s))
    {
      vm_fail (&e->error, "the VNC server has as many clients as it may have");
      return;
    }
  fcntl (e->fd, F_SETFD, FD_CLOEXEC);
  fcntl (e->fd, F_SETFL, fcntl (e->fd, F_GETFL) | O_NONBLOCK);
  VncClient *c = vnc_client_new (s, e->fd, false);
  c->skip_auth = e->skip_auth;
  vnc_client_start (c);
  e->ok = true;
}

bool
vm_vnc_add_client (VmMonitor *mon, int fd, bool skip_auth, GError **error)
{
  Errand e = { .fd = fd, .skip_auth = skip_auth };

  if (run (mon, &e, do_add_client, error))
    return true;
  if (!e.error)
    vm_fail (error, "there is no VNC server");
  return false;
}

/* --- the human monitor ------------------------------------------------------------------------ */

static void
print_end (VmMonitor *mon, const char *kind, json_object *end)
{
  bool websocket = json_object_get_boolean (json_object_object_get (end, "websocket"));

  vm_monitor_printf (mon, "  %s: %s:%s (%s%s)\n", kind, vm_hmp_member (end, "host"), vm_hmp_member (end, "service"),
                     vm_hmp_member (end, "family"), websocket ? " (Websocket)" : "");
}

static void
print_auth (VmMonitor *mon, const char *indent, json_object *of)
{
  const char *sub = vm_hmp_member (of, "vencrypt");

  vm_monitor_printf (mon, "%sAuth: %s (Sub: %s)\n", indent, vm_hmp_member (of, "auth"), *sub ? sub : "none");
}

static void
print_server (VmMonitor *mon, json_object *item)
{
  json_object *ends = json_object_object_get (item, "server"), *clients = json_object_object_get (item, "clients");

  vm_monitor_printf (mon, "%s:\n", vm_hmp_member (item, "id"));
  for (size_t i = 0; i < json_object_array_length (ends); i++)
    {
      json_object *end = json_object_array_get_idx (ends, i);
      print_end (mon, "Server", end);
      print_auth (mon, "    ", end);
    }
  for (size_t i = 0; i < json_object_array_length (clients); i++)
    {
      json_object *end = json_object_array_get_idx (clients, i);
      const char *dname = vm_hmp_member (end, "x509_dname"), *user = vm_hmp_member (end, "sasl_username");
      print_end (mon, "Client", end);
      vm_monitor_printf (mon, "    x509_dname: %s\n    sasl_username: %s\n", *dname ? dname : "none",
                         *user ? user : "none");
    }
  if (!json_object_array_length (ends))
    print_auth (mon, "  ", item);
}

void
vm_hmp_info_vnc (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *list = vm_hmp_qmp (mon, "query-vnc-servers", NULL);

  if (list && !json_object_array_length (list))
    vm_monitor_puts (mon, "None\n");
  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    print_server (mon, json_object_array_get_idx (list, i));
  json_object_put (list);
}

static json_object *
protocol_arguments (const VmHmpArgs *args)
{
  json_object *arguments = json_object_new_object ();
  const char *display = vm_hmp_text (args, "display");

  json_object_object_add (arguments, "protocol", json_object_new_string (vm_hmp_text (args, "protocol")));
  if (display)
    json_object_object_add (arguments, "display", json_object_new_string (display));
  return arguments;
}

static void
execute (VmMonitor *mon, const char *command, json_object *arguments)
{
  json_object_put (vm_hmp_qmp (mon, command, "%s", json_object_to_json_string (arguments)));
  json_object_put (arguments);
}

void
vm_hmp_set_password (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = protocol_arguments (args);
  const char *connected = vm_hmp_text (args, "connected");

  json_object_object_add (arguments, "password", json_object_new_string (vm_hmp_text (args, "password")));
  if (connected)
    json_object_object_add (arguments, "connected", json_object_new_string (connected));
  execute (mon, "set_password", arguments);
}

void
vm_hmp_expire_password (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = protocol_arguments (args);

  json_object_object_add (arguments, "time", json_object_new_string (vm_hmp_text (args, "time")));
  execute (mon, "expire_password", arguments);
}

void
vm_hmp_change_vnc (VmMonitor *mon, const char *target, const char *password)
{
  if (strcmp (target, "password") != 0 && strcmp (target, "passwd") != 0)
    vm_monitor_puts (mon, "Expected 'password' after 'vnc'\n");
  else if (!password)
    vm_monitor_puts (mon, "Write the password after 'change vnc password'\n");
  else
    {
      json_object *arguments = json_object_new_object ();
      json_object_object_add (arguments, "password", json_object_new_string (password));
      execute (mon, "change-vnc-password", arguments);
    }
}
