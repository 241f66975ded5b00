/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Monitor commands about the SPICE server. They come on the engine loop and are carried out on the SPICE thread, which
 * never waits for the engine. */
#include "ui/spice/spice-private.h"

#include "engine/monitor/hmp.h"
#include "engine/monitor/qmp-handlers.h"

#include <json-c/json.h>
#include <unistd.h>

/* What is done over there, and what came of it. */
typedef struct Errand
{
  VmSpice *spice;
  VmqSpiceInfo *info;
  const char *text; /* host or password */
  const VmqClientMigrateInfoArg *migrate;
  int fd, seconds;
  bool skip_auth, tls, fail, disconnect, ok;
} Errand;

/* NULL: there is none. */
static VmSpice *
spice_of (VmMonitor *mon)
{
  VmSpice *spice = vm_monitor_machine (mon)->spice_of;

  return spice && spice->loop ? spice : NULL;
}

static bool
not_active (GError **error)
{
  g_set_error_literal (error, VM_ERROR, VM_ERROR_DEVICE_NOT_ACTIVE, "SPICE is not in use");
  return false;
}

/* --- who is there ------------------------------------------------------------------------------------------------ */

static void
do_query (void *opaque)
{
  Errand *e = opaque;
  VmqSpiceInfo *info = e->info;

  info->migrated = e->spice->migrated;
  info->mouse_mode = e->spice->module->is_server_mouse (e->spice) ? VMQ_SPICE_QUERY_MOUSE_MODE_SERVER
                                                                  : VMQ_SPICE_QUERY_MOUSE_MODE_CLIENT;
  info->compiled_version = g_strdup (e->spice->module->version (e->spice));
  info->channels = g_ptr_array_new ();
  for (guint i = 0; i < e->spice->channels->len; i++)
    {
      const SpiceChannelInfo *c = g_ptr_array_index (e->spice->channels, i);
      VmqSpiceChannel *channel = g_new0 (VmqSpiceChannel, 1);
      channel->host = g_strdup (c->host);
      channel->port = g_strdup (c->port);
      channel->family = (VmqNetworkAddressFamily) vm_schema_enum_value (&vmq_type_networkaddressfamily, c->family);
      channel->connection_id = c->connection;
      channel->channel_type = c->type;
      channel->channel_id = c->id;
      channel->tls = c->tls;
      g_ptr_array_add (info->channels, channel);
    }
}

VmqSpiceInfo *
vm_qmp_query_spice (VmMonitor *mon, GError **error)
{
  VmSpice *spice = spice_of (mon);
  VmqSpiceInfo *info = g_new0 (VmqSpiceInfo, 1);
  Errand e = { .spice = spice, .info = info };

  info->mouse_mode = VMQ_SPICE_QUERY_MOUSE_MODE_CLIENT;
  if (!spice)
    return info;
  const SpiceOptions *o = &spice->options;
  info->enabled = true;
  info->host = g_strdup (o->addr ? o->addr : "*");
  info->has_port = o->port != 0;
  info->port = o->port;
  info->has_tls_port = o->tls_port != 0;
  info->tls_port = o->tls_port;
  info->auth = g_strdup (spice_options_auth (o));
  vm_loop_call (spice->loop, do_query, &e);
  return info;
}

/* --- tickets ----------------------------------------------------------------------------------------------------- */

static void
do_ticket (void *opaque)
{
  Errand *e = opaque;

  e->ok = e->spice->module->set_ticket (e->spice, e->text, e->seconds, e->fail, e->disconnect);
}

/* The library counts from now on, so that it is told again whenever either changes. */
bool
spice_apply_ticket (VmSpice *spice)
{
  int64_t left = spice->expires - g_get_real_time () / G_USEC_PER_SEC;
  Errand e = { .spice = spice, .text = spice->password, .fail = spice->fail, .disconnect = spice->disconnect };

  if (spice->expires != INT64_MAX && left <= 0)
    e.text = NULL;
  else if (spice->expires != INT64_MAX)
    e.seconds = (int) MIN (left, G_MAXINT32 / 2);
  vm_loop_call (spice->loop, do_ticket, &e);
  return e.ok;
}

bool
vm_spice_set_password (VmMonitor *mon, const char *password, bool fail, bool disconnect, GError **error)
{
  VmSpice *spice = spice_of (mon);

  if (!spice)
    return not_active (error);
  if (spice->options.disable_ticketing || spice->options.sasl)
    return vm_fail (error, "Could not set password: the SPICE server asks for none (%s)",
                    spice->options.sasl ? "sasl=on" : "disable-ticketing=on");
  char *before = spice->password;
  spice->password = g_strdup (password);
  spice->fail = fail;
  spice->disconnect = disconnect;
  bool ok = spice_apply_ticket (spice);
  spice->fail = spice->disconnect = false;
  if (!ok)
    {
      char *kept = spice->password;
      spice->password = before;
      before = kept;
    }
  if (before)
    explicit_bzero (before, strlen (before));
  g_free (before);
  return ok
         || vm_fail (error, "Could not set password: %s",
                     fail ? "somebody is connected, or it is longer than 60 characters"
                          : "it is longer than 60 characters");
}

bool
vm_spice_expire_password (VmMonitor *mon, const char *time, GError **error)
{
  VmSpice *spice = spice_of (mon);
  int64_t now = g_get_real_time () / G_USEC_PER_SEC;

  if (!spice)
    return not_active (error);
  if (!strcmp (time, "now"))
    spice->expires = 0;
  else if (!strcmp (time, "never"))
    spice->expires = INT64_MAX;
  else
    {
      gint64 seconds = g_ascii_strtoll (time + (*time == '+'), NULL, 10);
      spice->expires = *time == '+' ? now + CLAMP (seconds, 0, G_MAXINT32) : seconds;
    }
  if (!spice->options.disable_ticketing && !spice->options.sasl)
    spice_apply_ticket (spice);
  return true;
}

/* --- connections, migration ----------------------------------------------------------------------------------------
 */

static void
do_add_client (void *opaque)
{
  Errand *e = opaque;

  e->ok = e->spice->module->add_client (e->spice, e->fd, e->skip_auth, e->tls);
}

bool
vm_spice_add_client (VmMonitor *mon, int fd, bool skip_auth, bool tls, GError **error)
{
  Errand e = { .spice = spice_of (mon), .fd = fd, .skip_auth = skip_auth, .tls = tls };

  if (!e.spice)
    return not_active (error);
  if (tls && !e.spice->options.tls_port)
    return vm_fail (error, "the SPICE server has no certificate: it was started without tls-port");
  vm_loop_call (e.spice->loop, do_add_client, &e);
  return e.ok || vm_fail (error, "spice failed to add client");
}

static void
do_migrate_to (void *opaque)
{
  Errand *e = opaque;
  const VmqClientMigrateInfoArg *m = e->migrate;

  e->ok = e->spice->module->migrate_to (e->spice, m->hostname, m->has_port ? (int) m->port : -1,
                                        m->has_tls_port ? (int) m->tls_port : -1, m->cert_subject);
}

bool
vm_qmp_client_migrate_info (VmMonitor *mon, const VmqClientMigrateInfoArg *args, GError **error)
{
  Errand e = { .spice = spice_of (mon), .migrate = args };

  if (strcmp (args->protocol, "spice") != 0)
    return vm_fail (error, "Parameter 'protocol' expects 'spice'");
  if (!e.spice)
    return not_active (error);
  if (!args->has_port && !args->has_tls_port)
    return vm_fail (error, "Parameter 'port/tls-port' is missing");
  if ((args->has_port && (args->port < 1 || args->port > 65535))
      || (args->has_tls_port && (args->tls_port < 1 || args->tls_port > 65535)))
    return vm_fail (error, "a port is a number from 1 to 65535");
  vm_loop_call (e.spice->loop, do_migrate_to, &e);
  return e.ok || vm_fail (error, "Could not set up display for migration");
}

/* --- the human monitor ---------------------------------------------------------------------------------------------
 */

static void
print_address (VmMonitor *mon, json_object *info, const char *key, const char *what, const char *note)
{
  json_object *port = json_object_object_get (info, key);

  if (port)
    vm_monitor_printf (mon, "     %s: %s:%d%s\n", what, vm_hmp_member (info, "host"), json_object_get_int (port), note);
}

static void
print_channel (VmMonitor *mon, json_object *c)
{
  static const char *const names[] = { "unknown", "main",   "display",   "inputs",   "cursor", "playback",
                                       "record",  "tunnel", "smartcard", "usbredir", "port",   "webdav" };
  int type = json_object_get_int (json_object_object_get (c, "channel-type"));

  vm_monitor_printf (mon,
                     "Channel:\n     address: %s:%s%s\n     session: %d\n     channel: %d:%d\n     channel name: %s\n",
                     vm_hmp_member (c, "host"), vm_hmp_member (c, "port"),
                     json_object_get_boolean (json_object_object_get (c, "tls")) ? " [tls]" : "",
                     json_object_get_int (json_object_object_get (c, "connection-id")), type,
                     json_object_get_int (json_object_object_get (c, "channel-id")),
                     type > 0 && type < (int) G_N_ELEMENTS (names) ? names[type] : "unknown");
}

void
vm_hmp_info_spice (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-spice", NULL), *channels = json_object_object_get (info, "channels");
  size_t n = channels ? json_object_array_length (channels) : 0;

  if (!info)
    return;
  if (!json_object_get_boolean (json_object_object_get (info, "enabled")))
    {
      vm_monitor_puts (mon, "Server: disabled\n");
      json_object_put (info);
      return;
    }
  vm_monitor_puts (mon, "Server:\n");
  print_address (mon, info, "port", "address", "");
  print_address (mon, info, "tls-port", "address", " [tls]");
  vm_monitor_printf (mon, "    migrated: %s\n        auth: %s\n    compiled: %s\n  mouse-mode: %s\n",
                     json_object_get_boolean (json_object_object_get (info, "migrated")) ? "true" : "false",
                     vm_hmp_member (info, "auth"), vm_hmp_member (info, "compiled-version"),
                     vm_hmp_member (info, "mouse-mode"));
  if (!n)
    vm_monitor_puts (mon, "Channels: none\n");
  for (size_t i = 0; i < n; i++)
    print_channel (mon, json_object_array_get_idx (channels, i));
  json_object_put (info);
}

void
vm_hmp_client_migrate_info (VmMonitor *mon, const VmHmpArgs *args)
{
  static const char *const texts[] = { "protocol", "hostname", "cert-subject" }, *const numbers[]
                                                                                 = { "port", "tls-port" };
  json_object *arguments = json_object_new_object ();

  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
    if (vm_hmp_text (args, texts[i]))
      json_object_object_add (arguments, texts[i], json_object_new_string (vm_hmp_text (args, texts[i])));
  for (size_t i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (vm_hmp_number (args, numbers[i], -1) >= 0)
      json_object_object_add (arguments, numbers[i], json_object_new_int64 (vm_hmp_number (args, numbers[i], -1)));
  json_object_put (vm_hmp_qmp (mon, "client_migrate_info", "%s", json_object_to_json_string (arguments)));
  json_object_put (arguments);
}
