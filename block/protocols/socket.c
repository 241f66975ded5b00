/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of stream sockets: what they mean, connecting, listening. */
#include "block/protocols/socket.h"

#include "engine/schema/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

struct VmSocketAddr
{
  VmAddress at;
  char *fd;   /* the descriptor that is the address instead; NULL: none */
  bool taken; /* it */
};

/* --- from the schema --------------------------------------------------------------------------------------------- */

VmSocketAddr *
vm_socket_addr_new (const VmqSocketAddress *address, GError **error)
{
  g_autoptr (VmSocketAddr) a = g_new0 (VmSocketAddr, 1);

  if (address->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    a->fd = g_strdup (address->u.fd->str);
  else if (!vm_address_read (address, &a->at, error))
    return NULL;
  return g_steal_pointer (&a);
}

VmSocketAddr *
vm_socket_addr_new_legacy (const VmqSocketAddressLegacy *address, GError **error)
{
  VmqSocketAddress plain = { .type = address->type };

  switch (address->type)
    {
    case VMQ_SOCKET_ADDRESS_TYPE_INET:
      plain.u.inet = address->u.inet->data;
      break;
    case VMQ_SOCKET_ADDRESS_TYPE_UNIX:
      plain.u.unix_ = address->u.unix_->data;
      break;
    case VMQ_SOCKET_ADDRESS_TYPE_VSOCK:
      plain.u.vsock = address->u.vsock->data;
      break;
    default:
      plain.u.fd = address->u.fd->data;
      break;
    }
  return vm_socket_addr_new (&plain, error);
}

VmSocketAddr *
vm_socket_addr_new_inet (const char *host, const char *port)
{
  VmSocketAddr *a = g_new0 (VmSocketAddr, 1);

  a->at.host = g_strdup (host);
  a->at.port = g_strdup (port);
  return a;
}

VmSocketAddr *
vm_socket_addr_new_unix (const char *path)
{
  VmSocketAddr *a = g_new0 (VmSocketAddr, 1);

  a->at.kind = VM_ADDRESS_UNIX;
  a->at.host = g_strdup (path);
  return a;
}

void
vm_socket_addr_free (VmSocketAddr *addr)
{
  if (!addr)
    return;
  vm_address_clear (&addr->at);
  g_free (addr->fd);
  g_free (addr);
}

const char *
vm_socket_addr_host (const VmSocketAddr *addr)
{
  return !addr->fd && addr->at.kind == VM_ADDRESS_INET ? addr->at.host : NULL;
}

char *
vm_socket_addr_text (const VmSocketAddr *addr)
{
  if (addr->fd)
    return g_strdup_printf ("fd:%s", addr->fd);
  if (addr->at.kind == VM_ADDRESS_UNIX)
    return g_strdup (addr->at.host);
  g_autofree char *text = vm_address_text (&addr->at);
  return g_strconcat (addr->at.kind == VM_ADDRESS_VSOCK ? "vsock:" : "", text, NULL);
}

char *
vm_socket_addr_url (const VmSocketAddr *addr, const char *scheme, const char *name)
{
  g_autofree char *text = vm_socket_addr_text (addr);

  if (addr->fd || addr->at.kind == VM_ADDRESS_VSOCK)
    return NULL;
  if (addr->at.kind == VM_ADDRESS_UNIX)
    return g_strdup_printf ("%s+unix://%s%s?socket=%s", scheme, name ? "/" : "", name ? name : "", text);
  return g_strdup_printf (name ? "%s://%s/%s" : "%s://%s", scheme, text, name);
}

/* --- what the kernel takes ---------------------------------------------------------------------------------------- */

/* The descriptor that is the address. */
static int
take_fd (VmSocketAddr *a, GError **error)
{
  guint64 number;

  if (!g_ascii_string_to_unsigned (a->fd, 10, 0, INT_MAX, &number, NULL))
    return vm_fail (error, "File descriptor named '%s' has not been found", a->fd), -1;
  if (a->taken)
    return vm_fail (error, "File descriptor '%s' has been used already", a->fd), -1;
  int flags = fcntl ((int) number, F_GETFL);
  if (flags < 0)
    return vm_fail (error, "File descriptor '%s': %s", a->fd, g_strerror (errno)), -1;
  a->taken = true;
  fcntl ((int) number, F_SETFL, flags | O_NONBLOCK);
  return (int) number;
}

typedef struct Lookup
{
  const VmAddress *address;
  bool passive;
  GArray *list;
  GError *error;
} Lookup;

static void
do_lookup (void *opaque)
{
  Lookup *l = opaque;

  l->list = vm_address_resolve (l->address, SOCK_STREAM, l->passive, &l->error);
}

static GArray *
look_up (const VmSocketAddr *a, bool passive, GError **error)
{
  Lookup l = { &a->at, passive, NULL, NULL };

  if (a->at.kind == VM_ADDRESS_INET)
    vm_fiber_work (do_lookup, &l);
  else
    do_lookup (&l);
  if (l.error)
    g_propagate_error (error, l.error);
  return l.list;
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

static bool
on_ready (int fd, GIOCondition condition, void *opaque)
{
  vm_fiber_wake (opaque);
  return false;
}

static void
wait_for (VmLoop *loop, int fd, GIOCondition condition)
{
  GSource *watch = vm_loop_watch_fd (loop, fd, condition, on_ready, vm_fiber_self ());

  vm_fiber_suspend ();
  vm_source_clear (&watch);
}

enum
{
  NOT_CONNECTING = -1,
  CANCELED = -2
};

void
vm_socket_cancel (int *pending)
{
  if (*pending >= 0)
    shutdown (*pending, SHUT_RDWR);
  *pending = CANCELED;
}

/* A connected socket or -1 with errno. */
static int
connect_to (const VmAddress *a, const VmSockaddr *name, int *pending)
{
  bool mptcp = a->kind == VM_ADDRESS_INET && a->mptcp;
  int fd = socket (name->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, mptcp ? IPPROTO_MPTCP : 0), status;
  socklen_t size = sizeof status;

  if (fd < 0)
    return -1;
  if (*pending == CANCELED)
    {
      close (fd);
      errno = ECANCELED;
      return -1;
    }
  status = connect (fd, &name->any, name->len) ? errno : 0;
  if (status == EINPROGRESS)
    {
      *pending = fd;
      wait_for (vm_fiber_loop (vm_fiber_self ()), fd, G_IO_OUT);
      if (*pending == CANCELED)
        status = ECANCELED;
      else if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &status, &size))
        status = errno;
      else
        *pending = NOT_CONNECTING;
    }
  if (!status)
    return fd;
  close (fd);
  errno = status;
  return -1;
}

int
vm_socket_connect (VmSocketAddr *addr, int *pending, GError **error)
{
  g_autoptr (GArray) list = NULL;
  int fd = -1, one = 1, why = 0;

  if (addr->fd)
    return take_fd (addr, error);
  list = look_up (addr, false, error);
  if (!list)
    return -1;
  for (guint i = 0; i < list->len && fd < 0; i++)
    if ((fd = connect_to (&addr->at, &g_array_index (list, VmSockaddr, i), pending)) < 0)
      why = errno;
  if (fd < 0)
    {
      g_autofree char *text = addr->at.kind == VM_ADDRESS_INET ? g_strdup_printf ("%s:%s", addr->at.host, addr->at.port)
                                                               : g_strdup (addr->at.host);
      return vm_fail (error, "Failed to connect to '%s': %s", text, g_strerror (why)), -1;
    }
  if (addr->at.kind == VM_ADDRESS_INET)
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (addr->at.kind == VM_ADDRESS_INET && addr->at.keep_alive)
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  return fd;
}

/* --- listening ---------------------------------------------------------------------------------------------------- */

int
vm_socket_listen (VmSocketAddr *addr, GError **error)
{
  g_autoptr (GArray) list = NULL;

  if (addr->fd)
    return take_fd (addr, error);
  list = look_up (addr, true, error);
  return list ? vm_address_listen (&addr->at, list, SOMAXCONN, error) : -1;
}

void
vm_socket_unlink (const VmSocketAddr *addr)
{
  if (!addr->fd && addr->at.kind == VM_ADDRESS_UNIX && !addr->at.abstract)
    unlink (addr->at.host);
}
