/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-netdev socket": the older way to ask for what "stream" and "dgram" do, IPv4 unless an address stands in brackets.
 */
#include "engine/schema/types.h"
#include "net/net-sockets.h"

#include <arpa/inet.h>
#include <unistd.h>

typedef struct Socket
{
  VmNetWire stream; /* one of the two is in use */
  VmNetDgram dgram;
} Socket;

static VmNetDgram *
use_dgram (Socket *s, VmNetdev *netdev)
{
  vm_net_dgram_init (&s->dgram, netdev);
  s->dgram.older = true;
  return &s->dgram;
}

static VmNetWire *
use_stream (Socket *s, VmNetdev *netdev)
{
  vm_net_wire_init (&s->stream, netdev);
  s->stream.older = true;
  return &s->stream;
}

static bool
open_fd (Socket *s, VmNetdev *netdev, const char *name, GError **error)
{
  int type = 0, fd = vm_net_take_socket (netdev, name, 0, error);
  socklen_t len = sizeof type;

  if (fd < 0)
    return false;
  getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &len);
  if (type == SOCK_STREAM)
    return vm_net_wire_adopt (use_stream (s, netdev), fd, error);
  if (type == SOCK_DGRAM)
    return vm_net_dgram_adopt (use_dgram (s, netdev), fd, error);
  vm_fail (error, "socket type=%d for fd=%d must be either SOCK_DGRAM or SOCK_STREAM", type, fd);
  close (fd);
  return false;
}

static bool
open_stream (Socket *s, VmNetdev *netdev, const char *text, bool server, GError **error)
{
  VmNetWire *stream = use_stream (s, netdev);

  stream->server = server;
  if (!vm_net_split (text, &stream->address, error))
    return false;
  vm_net_default_host (&stream->address, server);
  return vm_net_wire_start (stream, error);
}

static bool
want (VmNetDgram *d, unsigned i, const char *text, GError **error)
{
  VmAddress *a = &d->names.name[i].address;

  d->names.name[i].wanted = true;
  d->names.name[i].passive = i == VM_NET_LOCAL;
  if (!vm_net_split (text, a, error))
    return false;
  vm_net_default_host (a, i == VM_NET_LOCAL);
  return true;
}

static bool
open_group (Socket *s, VmNetdev *netdev, const VmqNetdevSocketOptions *o, GError **error)
{
  VmNetDgram *d = use_dgram (s, netdev);
  struct in_addr group;

  if (!want (d, VM_NET_REMOTE, o->mcast, error))
    return false;
  if (inet_pton (AF_INET, d->names.name[VM_NET_REMOTE].address.host, &group) != 1)
    return vm_fail (error, "can't resolve host address '%s'", d->names.name[VM_NET_REMOTE].address.host);
  if (!IN_MULTICAST (ntohl (group.s_addr)))
    return vm_fail (error, "specified mcastaddr %s (0x%08x) does not contain a multicast address",
                    d->names.name[VM_NET_REMOTE].address.host, ntohl (group.s_addr));
  if (o->localaddr)
    {
      VmAddress *a = &d->names.name[VM_NET_LOCAL].address;
      struct in_addr local;
      if (inet_pton (AF_INET, o->localaddr, &local) != 1)
        return vm_fail (error, "localaddr '%s' is not a valid IPv4 address", o->localaddr);
      d->names.name[VM_NET_LOCAL].wanted = true;
      *a = (VmAddress){ .family = AF_INET, .host = g_strdup (o->localaddr), .port = g_strdup ("0") };
    }
  return vm_net_dgram_start (d, error);
}

static bool
open_udp (Socket *s, VmNetdev *netdev, const VmqNetdevSocketOptions *o, GError **error)
{
  VmNetDgram *d = use_dgram (s, netdev);

  if (!o->localaddr)
    return vm_fail (error, "localaddr= is mandatory with udp=");
  return want (d, VM_NET_LOCAL, o->localaddr, error) && want (d, VM_NET_REMOTE, o->udp, error)
         && vm_net_dgram_start (d, error);
}

static bool
socket_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevSocketOptions *o = options;
  Socket *s = netdev->state;

  if (!!o->fd + !!o->listen + !!o->connect + !!o->mcast + !!o->udp != 1)
    return vm_fail (error, "exactly one of listen=, connect=, mcast= or udp= is required");
  if (o->localaddr && !o->mcast && !o->udp)
    return vm_fail (error, "localaddr= is only valid with mcast= or udp=");
  if (o->fd)
    return open_fd (s, netdev, o->fd, error);
  if (o->mcast)
    return open_group (s, netdev, o, error);
  if (o->udp)
    return open_udp (s, netdev, o, error);
  return open_stream (s, netdev, o->listen ? o->listen : o->connect, o->listen != NULL, error);
}

static void
socket_close (VmNetdev *netdev)
{
  Socket *s = netdev->state;

  vm_net_wire_close (&s->stream);
  vm_net_dgram_close (&s->dgram);
}

const VmNetdevClass vm_netdev_socket_class = {
  .name = "socket",
  .help = "the older spelling of stream and dgram",
  .state_size = sizeof (Socket),
  .open = socket_open,
  .close = socket_close,
};
