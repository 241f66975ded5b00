/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A wire through a connected socket: "-netdev stream", and the connections of "-netdev socket". One peer at a time; the
 * card's link is up while there is one. */
#include "engine/base/log.h"
#include "engine/machine/machine.h"
#include "engine/schema/address.h"
#include "engine/schema/schema.h"
#include "net/net-sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* --- who is there ----------------------------------------------------------------------------------------------- */

/* A Unix client has no name: then it is where it came to. */
static void
name_peer (const VmNetWire *s, VmSockaddr *name)
{
  if ((!vm_sockaddr_of (name, s->frames.fd, true) || name->len <= sizeof name->un.sun_family)
      && !vm_sockaddr_of (name, s->frames.fd, false))
    name->any.sa_family = AF_UNIX;
}

static void
describe_peer (VmNetWire *s, const VmSockaddr *peer)
{
  g_autofree char *text = vm_sockaddr_text (peer);
  int family = peer->any.sa_family;

  if (s->older && !s->address.host)
    vm_netdev_set_info (s->netdev, "socket: fd=%d", s->frames.fd);
  else if (s->older)
    vm_netdev_set_info (s->netdev, "socket: %s %s", s->server ? "connection from" : "connect to", text);
  else
    vm_netdev_set_info (s->netdev, "%s:%s", family == AF_UNIX ? "unix" : family == AF_VSOCK ? "vsock" : "tcp", text);
}

static void
tell_connected (const VmNetWire *s, const VmSockaddr *peer)
{
  VmMachine *machine = s->netdev->net->machine;

  if (s->older || !machine)
    return;
  VmqSocketAddress *address = vm_address_write (peer);
  json_object *json = json_object_new_object ();
  json_object_object_add (json, "netdev-id", json_object_new_string (s->netdev->parent.id));
  json_object_object_add (json, "addr", vm_schema_write (&vmq_type_socketaddress, &address));
  g_autofree char *text = vm_json_to_string (json, false);
  vm_machine_emit (machine, "NETDEV_STREAM_CONNECTED", "%s", text);
  json_object_put (json);
  vm_schema_free (&vmq_type_socketaddress, address);
}

static void
begin (VmNetWire *s, int fd)
{
  VmSockaddr peer;
  int one = 1;

  vm_source_clear (&s->accepting); /* the next one waits in the backlog */
  vm_net_frames_begin (&s->frames, fd);
  name_peer (s, &peer);
  if (peer.any.sa_family == AF_INET || peer.any.sa_family == AF_INET6)
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  s->complained = false;
  describe_peer (s, &peer);
  vm_netdev_set_carrier (s->netdev, true);
  tell_connected (s, &peer);
}

static void
retry_later (VmNetWire *s)
{
  if (s->reconnect_ms)
    vm_timer_set (&s->retry,
                  vm_clock_now (s->retry.clocks, VM_CLOCK_REALTIME) + (int64_t) s->reconnect_ms * VM_NS_PER_MS);
}

/* The first of a row is worth a word, so that nobody fills the log. */
static void
failed (VmNetWire *s, const char *why)
{
  if (!s->complained)
    vm_report_warning ("netdev %s: %s", s->netdev->parent.id, why);
  s->complained = true;
  vm_netdev_set_info (s->netdev, "connection error");
  retry_later (s);
}

static bool accept_one (int fd, GIOCondition condition, void *opaque);

static void
accept_more (VmNetWire *s)
{
  if (s->listener >= 0 && !s->accepting)
    s->accepting = vm_loop_watch_fd (s->netdev->net->loop, s->listener, G_IO_IN, accept_one, s);
}

static void
gone (void *opaque, const char *why)
{
  VmNetWire *s = opaque;
  VmMachine *machine = s->netdev->net->machine;

  vm_netdev_set_info (s->netdev, "%s", "");
  vm_netdev_set_carrier (s->netdev, false);
  if (why)
    vm_report_warning ("netdev %s: connection closed: %s", s->netdev->parent.id, why);
  if (!s->older && machine)
    {
      json_object *id = json_object_new_string (s->netdev->parent.id);
      vm_machine_emit (machine, "NETDEV_STREAM_DISCONNECTED", "{\"netdev-id\": %s}", json_object_to_json_string (id));
      json_object_put (id);
    }
  accept_more (s);
  retry_later (s);
}

/* --- server ------------------------------------------------------------------------------------------------------ */

static bool
accept_one (int fd, GIOCondition condition, void *opaque)
{
  VmNetWire *s = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

  if (client < 0)
    return true;
  if (s->address.host && s->address.kind == VM_ADDRESS_INET && s->address.keep_alive)
    setsockopt (client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  begin (s, client);
  return true;
}

static bool
listen_at (VmNetWire *s, const GArray *list, GError **error)
{
  s->listener = vm_address_listen (&s->address, list, 1, error);
  if (s->listener < 0)
    return false;
  if (s->address.kind == VM_ADDRESS_UNIX && !s->address.abstract)
    s->bound_path = g_canonicalize_filename (s->address.host, NULL);
  accept_more (s);
  return true;
}

static void
listen_found (void *opaque, GArray *list, const GError *why)
{
  VmNetWire *s = opaque;
  g_autoptr (GError) error = NULL;

  s->lookup = NULL;
  if (!list)
    failed (s, why->message);
  else if (!listen_at (s, list, &error))
    failed (s, error->message);
  g_clear_pointer (&list, g_array_unref);
}

static bool
not_found (const VmNetWire *s, const GError *why, GError **error)
{
  return s->older ? vm_fail (error, "can't resolve host address '%s'", s->address.host)
                  : vm_fail (error, "%s", why->message);
}

static bool
start_listening (VmNetWire *s, GError **error)
{
  VmNet *net = s->netdev->net;
  g_autoptr (GError) why = NULL;
  g_autoptr (GArray) list = vm_address_resolve_now (&s->address, SOCK_STREAM, true, &why);

  if (!list && !why && net->monitor)
    {
      s->lookup = vm_lookup_start (net->loop, &s->address, SOCK_STREAM, true, listen_found, s);
      return true;
    }
  if (!list && !why)
    list = vm_address_resolve (&s->address, SOCK_STREAM, true, &why);
  return list ? listen_at (s, list, error) : not_found (s, why, error);
}

/* --- client ------------------------------------------------------------------------------------------------------ */

static void
connected (void *opaque, int fd, const GError *why)
{
  VmNetWire *s = opaque;

  if (fd >= 0)
    begin (s, fd);
  else
    failed (s, why->message);
}

static void
try_connect (void *opaque)
{
  VmNetWire *s = opaque;

  vm_connect_start (&s->connect, s->netdev->net->loop, &s->address, connected, s);
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

void
vm_net_wire_init (VmNetWire *s, VmNetdev *netdev)
{
  s->netdev = netdev;
  s->listener = -1;
  vm_net_frames_init (&s->frames, netdev, gone, s);
  vm_timer_init (&s->retry, netdev->net->clocks, VM_CLOCK_REALTIME, try_connect, s);
  vm_netdev_set_info (netdev, "%s", "");
  vm_netdev_set_carrier (netdev, false);
}

bool
vm_net_wire_start (VmNetWire *s, GError **error)
{
  g_autoptr (GError) why = NULL;

  if (s->server)
    return start_listening (s, error);
  /* What can never be is said at once. That nobody is there is not: somebody may come. */
  g_autoptr (GArray) list = vm_address_resolve_now (&s->address, SOCK_STREAM, false, &why);
  if (!list && !why && s->older && !s->netdev->net->monitor)
    list = vm_address_resolve (&s->address, SOCK_STREAM, false, &why);
  if (why)
    return not_found (s, why, error);
  try_connect (s);
  return true;
}

bool
vm_net_wire_adopt (VmNetWire *s, int fd, GError **error)
{
  int listening = 0;
  socklen_t len = sizeof listening;
  VmSockaddr peer;

  getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
  if (s->older)
    s->server = listening;
  if (s->server && listening)
    {
      s->listener = fd;
      accept_more (s);
      return true;
    }
  if (!s->server && vm_sockaddr_of (&peer, fd, true))
    {
      begin (s, fd);
      return true;
    }
  vm_fail (error, "descriptor %d is %s", fd,
           s->server   ? "no listening socket"
           : listening ? "a listening socket"
                       : "no connected socket");
  close (fd);
  return false;
}

void
vm_net_wire_close (VmNetWire *s)
{
  if (!s->netdev)
    return;
  vm_timer_cancel (&s->retry);
  vm_connect_cancel (&s->connect);
  vm_lookup_cancel (s->lookup);
  vm_net_frames_end (&s->frames);
  vm_source_clear (&s->accepting);
  if (s->listener >= 0)
    close (s->listener);
  if (s->bound_path)
    unlink (s->bound_path);
  g_free (s->bound_path);
  vm_address_clear (&s->address);
  *s = (VmNetWire){ 0 };
}

/* --- the type ----------------------------------------------------------------------------------------------------- */

static bool
stream_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevStreamOptions *o = options;
  VmNetWire *s = netdev->state;
  int64_t seconds = o->has_reconnect ? o->reconnect : 0, ms = o->has_reconnect_ms ? o->reconnect_ms : 0;

  vm_net_wire_init (s, netdev);
  s->server = o->has_server && o->server;
  if (seconds < 0 || seconds > UINT32_MAX)
    return vm_fail (error, "Parameter 'reconnect' expects uint32_t");
  if (ms < 0 || ms > UINT32_MAX)
    return vm_fail (error, "Parameter 'reconnect-ms' expects uint32_t");
  if (o->has_reconnect && o->has_reconnect_ms)
    return vm_fail (error, "'reconnect' and 'reconnect-ms' are mutually exclusive");
  if (s->server && (o->has_reconnect || o->has_reconnect_ms))
    return vm_fail (error, "'%s' option is incompatible with socket in server listen mode",
                    o->has_reconnect ? "reconnect" : "reconnect-ms");
  s->reconnect_ms = (uint64_t) seconds * 1000 + (uint64_t) ms;
  if (o->addr->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    {
      int fd = vm_net_take_socket (netdev, o->addr->u.fd->str, SOCK_STREAM, error);
      s->reconnect_ms = 0;
      return fd >= 0 && vm_net_wire_adopt (s, fd, error);
    }
  if (!vm_address_read (o->addr, &s->address, error))
    return false;
  vm_net_default_host (&s->address, s->server);
  return vm_net_wire_start (s, error);
}

static void
stream_close (VmNetdev *netdev)
{
  vm_net_wire_close (netdev->state);
}

const VmNetdevClass vm_netdev_stream_class = {
  .name = "stream",
  .help = "frames over a connected socket, each behind its length; passt speaks it",
  .state_size = sizeof (VmNetWire),
  .open = stream_open,
  .close = stream_close,
};
