/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Channels of clients: who is told of them, and the list of those that are open. */
#include "ui/spice/server-private.h"

#include <json-c/json.h>
#include <netdb.h>
#include <sys/un.h>

typedef struct End
{
  char host[sizeof (((struct sockaddr_un *) 0)->sun_path) + 1 > NI_MAXHOST
                ? sizeof (((struct sockaddr_un *) 0)->sun_path) + 1
                : NI_MAXHOST];
  char port[NI_MAXSERV];
  const char *family;
} End;

static void
read_end (End *end, const struct sockaddr_storage *addr, socklen_t len)
{
  *end = (End){ .family = addr->ss_family == AF_INET    ? "ipv4"
                          : addr->ss_family == AF_INET6 ? "ipv6"
                          : addr->ss_family == AF_UNIX  ? "unix"
                                                        : "unknown" };
  if (addr->ss_family == AF_UNIX)
    {
      const struct sockaddr_un *un = (const struct sockaddr_un *) addr;
      size_t room = len > offsetof (struct sockaddr_un, sun_path) ? len - offsetof (struct sockaddr_un, sun_path) : 0;
      g_strlcpy (end->host, un->sun_path, MIN (room + 1, sizeof end->host));
      return;
    }
  if (getnameinfo ((const struct sockaddr *) addr, len, end->host, sizeof end->host, end->port, sizeof end->port,
                   NI_NUMERICHOST | NI_NUMERICSERV)
      != 0)
    end->host[0] = end->port[0] = 0;
}

static json_object *
describe_end (const End *end)
{
  json_object *json = json_object_new_object ();

  json_object_object_add (json, "host", json_object_new_string (end->host));
  json_object_object_add (json, "port", json_object_new_string (end->port));
  json_object_object_add (json, "family", json_object_new_string (end->family));
  return json;
}

static void
channel_free (SpiceChannelInfo *c)
{
  g_free (c->host);
  g_free (c->port);
  g_free (c->family);
  g_free (c);
}

static void
add_channel (VmSpice *spice, const SpiceChannelEventInfo *info, const End *client)
{
  SpiceChannelInfo *c = g_new0 (SpiceChannelInfo, 1);

  *c = (SpiceChannelInfo){
    .host = g_strdup (client->host),
    .port = g_strdup (client->port),
    .family = g_strdup (client->family),
    .connection = info->connection_id,
    .type = info->type,
    .id = info->id,
    .tls = (info->flags & SPICE_CHANNEL_EVENT_FLAG_TLS) != 0,
  };
  g_ptr_array_add (spice->channels, c);
}

static void
remove_channel (VmSpice *spice, const SpiceChannelEventInfo *info)
{
  for (guint i = 0; i < spice->channels->len; i++)
    {
      SpiceChannelInfo *c = g_ptr_array_index (spice->channels, i);
      if (c->connection != info->connection_id || c->type != info->type || c->id != info->id)
        continue;
      g_ptr_array_remove_index (spice->channels, i);
      channel_free (c);
      return;
    }
}

void
spice_forget_channels (VmSpice *spice)
{
  for (guint i = 0; i < spice->channels->len; i++)
    channel_free (g_ptr_array_index (spice->channels, i));
  g_ptr_array_set_size (spice->channels, 0);
}

/* A screen that nobody looks at costs nothing. Whoever connects will look soon. */
static void
count_streams (SpiceHere *here, int event)
{
  if (event == SPICE_CHANNEL_EVENT_CONNECTED)
    here->streams++;
  else if (event == SPICE_CHANNEL_EVENT_DISCONNECTED && here->streams)
    here->streams--;
  for (guint i = 0; i < here->screens->len; i++)
    {
      SpiceScreen *screen = g_ptr_array_index (here->screens, i);
      if (here->streams)
        spice_screen_hurry (screen);
      else
        spice_screen_rest (screen);
    }
}

void
spice_channel_event (int event, SpiceChannelEventInfo *info)
{
  static const char *const names[] = {
    [SPICE_CHANNEL_EVENT_CONNECTED] = "SPICE_CONNECTED",
    [SPICE_CHANNEL_EVENT_INITIALIZED] = "SPICE_INITIALIZED",
    [SPICE_CHANNEL_EVENT_DISCONNECTED] = "SPICE_DISCONNECTED",
  };
  SpiceHere *here = spice_here ();
  End server, client;

  if (!here || event < SPICE_CHANNEL_EVENT_CONNECTED || event > SPICE_CHANNEL_EVENT_DISCONNECTED)
    return;
  if (event == SPICE_CHANNEL_EVENT_CONNECTED)
    spice_gate_introduce (here, info);
  (event == SPICE_CHANNEL_EVENT_CONNECTED ? spice_login_began : spice_login_ended) (here, info);
  if (!(info->flags & SPICE_CHANNEL_EVENT_FLAG_ADDR_EXT))
    return;
  read_end (&server, &info->laddr_ext, info->llen_ext);
  read_end (&client, &info->paddr_ext, info->plen_ext);
  json_object *data = json_object_new_object (), *its = describe_end (&client), *ours = describe_end (&server);
  if (event == SPICE_CHANNEL_EVENT_INITIALIZED)
    {
      json_object_object_add (ours, "auth", json_object_new_string (spice_options_auth (&here->spice->options)));
      json_object_object_add (its, "connection-id", json_object_new_int (info->connection_id));
      json_object_object_add (its, "channel-type", json_object_new_int (info->type));
      json_object_object_add (its, "channel-id", json_object_new_int (info->id));
      json_object_object_add (its, "tls", json_object_new_boolean (info->flags & SPICE_CHANNEL_EVENT_FLAG_TLS));
      add_channel (here->spice, info, &client);
    }
  else if (event == SPICE_CHANNEL_EVENT_DISCONNECTED)
    remove_channel (here->spice, info);
  count_streams (here, event);
  json_object_object_add (data, "server", ours);
  json_object_object_add (data, "client", its);
  vm_machine_emit (here->spice->machine, names[event], "%s", json_object_to_json_string (data));
  json_object_put (data);
}
