/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A wire through datagrams: "-netdev dgram", and what "-netdev socket" has of them: one peer, or a multicast group in
 * which all hear all. */
#include "engine/schema/address.h"
#include "net/net-sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- sockets ------------------------------------------------------------------------------------------------------ */

static bool
bind_path (VmNetDgram *d, int fd, const VmSockaddr *name, GError **error)
{
  g_autofree char *text = vm_sockaddr_text (name);
  bool file = name->un.sun_path[0];

  if (file && unlink (text) < 0 && errno != ENOENT && errno != ENOTDIR)
    return vm_fail (error, "failed to unlink socket %s: %s", text, g_strerror (errno));
  if (bind (fd, &name->any, name->len) < 0)
    return vm_fail (error, "can't bind unix=%s to socket: %s", text, g_strerror (errno));
  d->bound_path = file ? g_canonicalize_filename (text, NULL) : NULL;
  return true;
}

static bool
bind_to (int fd, const VmSockaddr *name, GError **error)
{
  g_autofree char *text = vm_sockaddr_text (name);
  int one = 1;

  if (setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
    return vm_fail (error, "can't set socket option SO_REUSEADDR: %s", g_strerror (errno));
  return bind (fd, &name->any, name->len) == 0
         || vm_fail (error, "can't bind ip=%s to socket: %s", text, g_strerror (errno));
}

static int
new_socket (int family, GError **error)
{
  int fd = socket (family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0)
    vm_fail (error, "can't create datagram socket: %s", g_strerror (errno));
  return fd;
}

static bool
join (int fd, const VmSockaddr *group, struct in_addr interface, GError **error)
{
  struct ip_mreq request = { group->in.sin_addr, interface };
  g_autofree char *text = vm_sockaddr_text (group);
  int none = 0;

  if (setsockopt (fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) < 0)
    return vm_fail (error, "can't add socket to multicast group %s: %s", text, g_strerror (errno));
  /* Groups that others on this host have joined are not ours. */
  setsockopt (fd, IPPROTO_IP, IP_MULTICAST_ALL, &none, sizeof none);
  return true;
}

/* The one we send from has a port of its own: so what comes back of ours is known. */
static int
group_sender (const VmSockaddr *group, struct in_addr interface, GError **error)
{
  int fd = new_socket (AF_INET, error), on = 1;

  if (fd < 0)
    return -1;
  setsockopt (fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on); /* for other machines on this host */
  if (interface.s_addr && setsockopt (fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) < 0)
    vm_fail (error, "can't set the interface that multicast leaves by: %s", g_strerror (errno));
  else if (connect (fd, &group->any, group->len) < 0)
    vm_fail (error, "can't send to the multicast group: %s", g_strerror (errno));
  else
    return fd;
  close (fd);
  return -1;
}

static bool
open_group (VmNetDgram *d, const VmSockaddr *group, const VmSockaddr *local, GError **error)
{
  struct in_addr interface = { local && local->any.sa_family == AF_INET ? local->in.sin_addr.s_addr : INADDR_ANY };
  VmSockaddr own;
  int out, in;

  if (d->fd >= 0)
    {
      if (!join (d->fd, group, interface, error))
        return false;
      vm_net_datagrams_begin (&d->link, d->fd, d->fd, group, NULL);
      d->fd = -1;
      return true;
    }
  out = group_sender (group, interface, error);
  if (out < 0)
    return false;
  in = new_socket (AF_INET, error);
  if (in >= 0 && bind_to (in, group, error) && join (in, group, interface, error))
    {
      bool known = vm_sockaddr_of (&own, out, false);
      vm_net_datagrams_begin (&d->link, in, out, NULL, known ? &own : NULL);
      return true;
    }
  if (in >= 0)
    close (in);
  close (out);
  return false;
}

static bool
open_pair (VmNetDgram *d, const VmSockaddr *remote, const VmSockaddr *local, GError **error)
{
  int fd;

  if (local->any.sa_family != remote->any.sa_family)
    return vm_fail (error, "remote and local addresses must be of the same family");
  fd = new_socket (remote->any.sa_family, error);
  if (fd < 0)
    return false;
  if (!(local->any.sa_family == AF_UNIX ? bind_path (d, fd, local, error) : bind_to (fd, local, error)))
    {
      close (fd);
      return false;
    }
  vm_net_datagrams_begin (&d->link, fd, fd, remote, NULL);
  return true;
}

/* The names are known. */
static bool
open_sockets (VmNetdev *netdev, GError **error)
{
  VmNetDgram *d = VM_CONTAINER_OF (((VmNetPort *) netdev->ports->pdata[0])->opaque, VmNetDgram, link);
  const VmSockaddr *remote = vm_net_names_get (&d->names, VM_NET_REMOTE);
  const VmSockaddr *local = vm_net_names_get (&d->names, VM_NET_LOCAL);
  g_autofree char *there = vm_sockaddr_text (remote), *here = local ? vm_sockaddr_text (local) : NULL;
  bool group = vm_net_is_group (remote);

  if (!(group ? open_group (d, remote, local, error) : open_pair (d, remote, local, error)))
    return false;
  if (group)
    vm_netdev_set_info (netdev, "%smcast=%s", d->older ? "socket: " : "", there);
  else if (d->older)
    vm_netdev_set_info (netdev, "socket: udp=%s", there);
  else
    vm_netdev_set_info (netdev, remote->any.sa_family == AF_UNIX ? "udp=%s:%s" : "udp=%s/%s", here, there);
  return true;
}

/* --- beginning and end ---------------------------------------------------------------------------------------------
 */

void
vm_net_dgram_init (VmNetDgram *d, VmNetdev *netdev)
{
  vm_net_datagrams_init (&d->link, netdev);
  d->names = (VmNetNames){ .netdev = netdev, .socket_type = SOCK_DGRAM, .ready = open_sockets };
  d->fd = -1;
  vm_netdev_set_info (netdev, "%s", "");
}

bool
vm_net_dgram_start (VmNetDgram *d, GError **error)
{
  return vm_net_names_resolve (&d->names, error);
}

bool
vm_net_dgram_adopt (VmNetDgram *d, int fd, GError **error)
{
  VmSockaddr own;
  bool unix_one = vm_sockaddr_of (&own, fd, false) && own.any.sa_family == AF_UNIX;

  vm_netdev_set_info (d->names.netdev, "%sfd=%d %s", d->older ? "socket: " : "", fd, unix_one ? "unix" : "inet");
  vm_net_datagrams_begin (&d->link, fd, fd, NULL, NULL);
  return true;
}

void
vm_net_dgram_close (VmNetDgram *d)
{
  if (!d->names.netdev)
    return;
  if (d->bound_path)
    unlink (d->bound_path);
  g_clear_pointer (&d->bound_path, g_free);
  vm_net_datagrams_end (&d->link);
  vm_net_names_clear (&d->names);
  if (d->fd >= 0)
    close (d->fd);
  d->names.netdev = NULL;
}

/* --- the type -------------------------------------------------------------------------------------------------------
 */

static bool
want (VmNetDgram *d, unsigned i, const VmqSocketAddress *address, GError **error)
{
  d->names.name[i].wanted = true;
  d->names.name[i].passive = i == VM_NET_LOCAL;
  if (!vm_address_read (address, &d->names.name[i].address, error))
    return false;
  vm_net_default_host (&d->names.name[i].address, i == VM_NET_LOCAL);
  return true;
}

static bool
is_group (const VmqSocketAddress *address)
{
  VmSockaddr name = { .in = { .sin_family = AF_INET } };

  return address && address->type == VMQ_SOCKET_ADDRESS_TYPE_INET
         && inet_pton (AF_INET, address->u.inet->host, &name.in.sin_addr) == 1 && vm_net_is_group (&name);
}

static bool
check_types (const VmqNetdevDgramOptions *o, GError **error)
{
  if (is_group (o->remote))
    {
      if (o->local && o->local->type != VMQ_SOCKET_ADDRESS_TYPE_INET && o->local->type != VMQ_SOCKET_ADDRESS_TYPE_FD)
        return vm_fail (error, "only support inet or fd type for local");
      return true;
    }
  if (!o->local)
    return vm_fail (error, "dgram requires local= parameter");
  if (o->local->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    return !o->remote || vm_fail (error, "don't set remote with local.fd");
  if (!o->remote)
    return vm_fail (error, "type=inet or type=unix requires remote parameter");
  if (o->remote->type != o->local->type)
    return vm_fail (error, "remote and local types must be the same");
  if (o->local->type == VMQ_SOCKET_ADDRESS_TYPE_VSOCK)
    return vm_fail (error, "only inet, unix and fd addresses carry datagrams");
  return true;
}

static bool
dgram_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevDgramOptions *o = options;
  VmNetDgram *d = netdev->state;

  vm_net_dgram_init (d, netdev);
  if (!check_types (o, error))
    return false;
  if (o->local && o->local->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    {
      d->fd = vm_net_take_socket (netdev, o->local->u.fd->str, SOCK_DGRAM, error);
      if (d->fd < 0)
        return false;
      if (!o->remote)
        return vm_net_dgram_adopt (d, g_steal_fd (&d->fd), error);
    }
  else if (o->local && !want (d, VM_NET_LOCAL, o->local, error))
    return false;
  return want (d, VM_NET_REMOTE, o->remote, error) && vm_net_dgram_start (d, error);
}

static void
dgram_close (VmNetdev *netdev)
{
  vm_net_dgram_close (netdev->state);
}

const VmNetdevClass vm_netdev_dgram_class = {
  .name = "dgram",
  .help = "frames in datagrams, to one peer or a multicast group",
  .state_size = sizeof (VmNetDgram),
  .open = dgram_open,
  .close = dgram_close,
};
