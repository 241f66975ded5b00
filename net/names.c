/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of hosts and numbers of descriptors, as the back ends that use sockets take them. */
#include "engine/base/log.h"
#include "net/net-sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool
vm_net_split (const char *text, VmAddress *address, GError **error)
{
  const char *colon = strrchr (text, ':'), *start = text, *end = colon;
  guint64 port;

  memset (address, 0, sizeof *address);
  if (!colon)
    return vm_fail (error, "host address '%s' doesn't contain ':' separating host from port", text);
  if (*start == '[' && end > start && end[-1] == ']')
    {
      start++;
      end--;
      address->family = AF_INET6;
    }
  else
    address->family = AF_INET;
  if (!g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &port, NULL))
    return vm_fail (error, "port number '%s' is invalid", colon + 1);
  address->host = g_strndup (start, end - start);
  address->port = g_strdup (colon + 1);
  return true;
}

void
vm_net_default_host (VmAddress *address, bool passive)
{
  if (address->kind != VM_ADDRESS_INET || *address->host)
    return;
  g_free (address->host);
  address->host = g_strdup (address->family == AF_INET6 ? "::1" : "127.0.0.1");
}

bool
vm_net_is_group (const VmSockaddr *name)
{
  return name->any.sa_family == AF_INET && IN_MULTICAST (ntohl (name->in.sin_addr.s_addr));
}

/* --- looking up ---------------------------------------------------------------------------------------------- */

static bool
not_found (VmNetNames *n, unsigned i, const GError *why, GError **error)
{
  const VmAddress *a = &n->name[i].address;

  if (a->kind != VM_ADDRESS_INET)
    return vm_fail (error, "%s", why->message);
  if (n->name[i].what)
    return vm_fail (error, "could not resolve %s '%s'", n->name[i].what, a->host);
  return vm_fail (error, "can't resolve host address '%s'", a->host);
}

static bool
is_complete (const VmNetNames *n)
{
  for (unsigned i = 0; i < 2; i++)
    if (n->name[i].wanted && !n->name[i].found.len)
      return false;
  return true;
}

static void
looked_up (VmNetNames *n, unsigned i, GArray *list, const GError *why)
{
  g_autoptr (GError) error = NULL;

  n->name[i].lookup = NULL;
  if (!list)
    not_found (n, i, why, &error);
  else
    {
      n->name[i].found = g_array_index (list, VmSockaddr, 0);
      g_array_unref (list);
      if (is_complete (n))
        n->ready (n->netdev, &error);
    }
  if (!error)
    return;
  vm_report_warning ("netdev %s: %s", n->netdev->parent.id, error->message);
  vm_netdev_set_info (n->netdev, "connection error");
}

static void
looked_up_first (void *opaque, GArray *list, const GError *why)
{
  looked_up (opaque, 0, list, why);
}

static void
looked_up_second (void *opaque, GArray *list, const GError *why)
{
  looked_up (opaque, 1, list, why);
}

bool
vm_net_names_resolve (VmNetNames *n, GError **error)
{
  for (unsigned i = 0; i < 2; i++)
    {
      g_autoptr (GError) why = NULL;
      g_autoptr (GArray) list = NULL;
      const VmAddress *a = &n->name[i].address;

      if (!n->name[i].wanted)
        continue;
      list = vm_address_resolve_now (a, n->socket_type, n->name[i].passive, &why);
      if (!list && !why && n->netdev->net->monitor)
        {
          n->name[i].lookup = vm_lookup_start (n->netdev->net->loop, a, n->socket_type, n->name[i].passive,
                                               i ? looked_up_second : looked_up_first, n);
          continue;
        }
      if (!list && !why)
        list = vm_address_resolve (a, n->socket_type, n->name[i].passive, &why);
      if (!list)
        return not_found (n, i, why, error);
      n->name[i].found = g_array_index (list, VmSockaddr, 0);
    }
  return !is_complete (n) || n->ready (n->netdev, error);
}

void
vm_net_names_clear (VmNetNames *n)
{
  for (unsigned i = 0; i < 2; i++)
    {
      vm_lookup_cancel (n->name[i].lookup);
      n->name[i].lookup = NULL;
      vm_address_clear (&n->name[i].address);
    }
}

const VmSockaddr *
vm_net_names_get (const VmNetNames *n, unsigned i)
{
  return n->name[i].wanted ? &n->name[i].found : NULL;
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

int
vm_net_take_socket (VmNetdev *netdev, const char *name, int type, GError **error)
{
  int is = 0, fd = vm_net_take_fd (netdev->net, name, error);
  socklen_t len = sizeof is;

  if (fd < 0)
    return -1;
  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &is, &len) < 0)
    vm_fail (error, "can't get socket option SO_TYPE of descriptor '%s': %s", name, g_strerror (errno));
  else if (type && is != type)
    vm_fail (error, "descriptor '%s' is no %s socket", name, type == SOCK_STREAM ? "stream" : "datagram");
  else if (fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK) < 0)
    vm_fail (error, "%s: Can't use file descriptor %d: %s", netdev->parent.id, fd, g_strerror (errno));
  else
    return fd;
  close (fd);
  return -1;
}
