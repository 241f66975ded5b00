/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets: those of the schema, and those that engine/io works with. */
#include "engine/schema/address.h"

#include <linux/vm_sockets.h>
#include <netdb.h>

static bool
read_inet (const VmqInetSocketAddress *from, VmAddress *a, GError **error)
{
  bool v4 = !from->has_ipv4 || from->ipv4, v6 = !from->has_ipv6 || from->ipv6;

  /* One that is switched on alone means the other is not wanted. */
  if (from->has_ipv4 && from->ipv4 && !from->has_ipv6)
    v6 = false;
  if (from->has_ipv6 && from->ipv6 && !from->has_ipv4)
    v4 = false;
  if (!v4 && !v6)
    return vm_fail (error, "Cannot disable IPv4 and IPv6 at same time");
  if (from->has_to && (from->to < 0 || from->to > 65535))
    return vm_fail (error, "Invalid parameter 'to'");
  a->kind = VM_ADDRESS_INET;
  a->host = g_strdup (from->host);
  a->port = g_strdup (from->port);
  a->family = v4 && v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
  a->to = from->has_to ? (unsigned) from->to : 0;
  a->numeric = from->has_numeric && from->numeric;
  a->keep_alive = from->has_keep_alive && from->keep_alive;
  a->mptcp = from->has_mptcp && from->mptcp;
  return true;
}

bool
vm_address_read (const VmqSocketAddress *from, VmAddress *a, GError **error)
{
  memset (a, 0, sizeof *a);
  switch (from->type)
    {
    case VMQ_SOCKET_ADDRESS_TYPE_INET:
      return read_inet (from->u.inet, a, error);
    case VMQ_SOCKET_ADDRESS_TYPE_UNIX:
      a->kind = VM_ADDRESS_UNIX;
      a->host = g_strdup (from->u.unix_->path);
      a->abstract = from->u.unix_->has_abstract && from->u.unix_->abstract;
      a->loose = from->u.unix_->has_tight && !from->u.unix_->tight;
      return true;
    case VMQ_SOCKET_ADDRESS_TYPE_VSOCK:
      a->kind = VM_ADDRESS_VSOCK;
      a->host = g_strdup (from->u.vsock->cid);
      a->port = g_strdup (from->u.vsock->port);
      return true;
    default:
      return vm_fail (error, "a descriptor is no address");
    }
}

static void
write_inet (const VmSockaddr *name, VmqSocketAddress *to)
{
  VmqInetSocketAddress *inet = to->u.inet = g_new0 (VmqInetSocketAddress, 1);
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

  getnameinfo (&name->any, name->len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  to->type = VMQ_SOCKET_ADDRESS_TYPE_INET;
  inet->host = g_strdup (host);
  inet->port = g_strdup (port);
  inet->has_ipv4 = inet->ipv4 = name->any.sa_family == AF_INET;
  inet->has_ipv6 = inet->ipv6 = name->any.sa_family == AF_INET6;
}

VmqSocketAddress *
vm_address_write (const VmSockaddr *name)
{
  VmqSocketAddress *to = g_new0 (VmqSocketAddress, 1);
  const struct sockaddr_vm *vm = (const struct sockaddr_vm *) (const void *) &name->any;

  switch (name->any.sa_family)
    {
    case AF_INET:
    case AF_INET6:
      write_inet (name, to);
      break;
    case AF_VSOCK:
      to->type = VMQ_SOCKET_ADDRESS_TYPE_VSOCK;
      to->u.vsock = g_new0 (VmqVsockSocketAddress, 1);
      to->u.vsock->cid = g_strdup_printf ("%u", vm->svm_cid);
      to->u.vsock->port = g_strdup_printf ("%u", vm->svm_port);
      break;
    default:
      {
        g_autofree char *path = vm_sockaddr_text (name);
        bool abstract = *path == '@';
        to->type = VMQ_SOCKET_ADDRESS_TYPE_UNIX;
        to->u.unix_ = g_new0 (VmqUnixSocketAddress, 1);
        to->u.unix_->path = g_strdup (path + abstract);
        to->u.unix_->has_abstract = to->u.unix_->abstract = abstract;
        break;
      }
    }
  return to;
}
