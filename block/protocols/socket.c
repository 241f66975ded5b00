/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of stream sockets: what they mean, connecting, listening. */
#include "block/protocols/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct VmSocketAddr
{
  VmqSocketAddressType type;
  char *host, *port; /* host: a path or a descriptor too */
  int family, to;    /* TO: the last port to try; 0: one only */
  bool numeric, keep_alive, abstract, loose, taken;
};

/* --- from the schema --------------------------------------------------------------------------------------------- */

static VmSocketAddr *
addr_new (VmqSocketAddressType type, const char *host, const char *port)
{
  VmSocketAddr *a = g_new0 (VmSocketAddr, 1);

  a->type = type;
  a->host = g_strdup (host);
  a->port = g_strdup (port);
  return a;
}

static VmSocketAddr *
inet_new (const VmqInetSocketAddress *inet, GError **error)
{
  bool v4 = !inet->has_ipv4 || inet->ipv4, v6 = !inet->has_ipv6 || inet->ipv6;
  VmSocketAddr *a;

  /* One that is switched on alone means the other is not wanted. */
  if (inet->has_ipv4 && inet->ipv4 && !inet->has_ipv6)
    v6 = false;
  if (inet->has_ipv6 && inet->ipv6 && !inet->has_ipv4)
    v4 = false;
  if (!v4 && !v6)
    return vm_fail (error, "Cannot disable IPv4 and IPv6 at same time"), NULL;
  if (inet->has_mptcp && inet->mptcp)
    return vm_fail (error, "mptcp=on: not available in this build"), NULL;
  if (inet->has_to && (inet->to < 0 || inet->to > 65535))
    return vm_fail (error, "Invalid parameter 'to'"), NULL;
  a = addr_new (VMQ_SOCKET_ADDRESS_TYPE_INET, inet->host, inet->port);
  a->family = v4 && v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
  a->to = inet->has_to ? (int) inet->to : 0;
  a->numeric = inet->has_numeric && inet->numeric;
  a->keep_alive = inet->has_keep_alive && inet->keep_alive;
  return a;
}

static VmSocketAddr *
unix_new (const VmqUnixSocketAddress *path, GError **error)
{
  VmSocketAddr *a = addr_new (VMQ_SOCKET_ADDRESS_TYPE_UNIX, path->path, NULL);

  a->abstract = path->has_abstract && path->abstract;
  a->loose = path->has_tight && !path->tight;
  return a;
}

VmSocketAddr *
vm_socket_addr_new (const VmqSocketAddress *address, GError **error)
{
  switch (address->type)
    {
    case VMQ_SOCKET_ADDRESS_TYPE_INET:
      return inet_new (address->u.inet, error);
    case VMQ_SOCKET_ADDRESS_TYPE_UNIX:
      return unix_new (address->u.unix_, error);
    case VMQ_SOCKET_ADDRESS_TYPE_VSOCK:
      return addr_new (address->type, address->u.vsock->cid, address->u.vsock->port);
    default:
      return addr_new (address->type, address->u.fd->str, NULL);
    }
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
  return addr_new (VMQ_SOCKET_ADDRESS_TYPE_INET, host, port);
}

VmSocketAddr *
vm_socket_addr_new_unix (const char *path)
{
  return addr_new (VMQ_SOCKET_ADDRESS_TYPE_UNIX, path, NULL);
}

void
vm_socket_addr_free (VmSocketAddr *addr)
{
  if (!addr)
    return;
  g_free (addr->host);
  g_free (addr->port);
  g_free (addr);
}

const char *
vm_socket_addr_host (const VmSocketAddr *addr)
{
  return addr->type == VMQ_SOCKET_ADDRESS_TYPE_INET ? addr->host : NULL;
}

char *
vm_socket_addr_text (const VmSocketAddr *addr)
{
  switch (addr->type)
    {
    case VMQ_SOCKET_ADDRESS_TYPE_INET:
      return g_strdup_printf (strchr (addr->host, ':') ? "[%s]:%s" : "%s:%s", addr->host, addr->port);
    case VMQ_SOCKET_ADDRESS_TYPE_VSOCK:
      return g_strdup_printf ("vsock:%s:%s", addr->host, addr->port);
    case VMQ_SOCKET_ADDRESS_TYPE_FD:
      return g_strdup_printf ("fd:%s", addr->host);
    default:
      return g_strdup (addr->host);
    }
}

char *
vm_socket_addr_url (const VmSocketAddr *addr, const char *scheme, const char *name)
{
  g_autofree char *text = vm_socket_addr_text (addr);

  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_UNIX)
    return g_strdup_printf ("%s+unix://%s%s?socket=%s", scheme, name ? "/" : "", name ? name : "", text);
  if (addr->type != VMQ_SOCKET_ADDRESS_TYPE_INET)
    return NULL;
  return g_strdup_printf (name ? "%s://%s/%s" : "%s://%s", scheme, text, name);
}

/* --- names that the kernel takes ------------------------------------------------------------------------------------
 */

typedef union Name
{
  struct sockaddr any;
  struct sockaddr_un un;
  struct sockaddr_vm vm;
} Name;

static bool
unix_name (const VmSocketAddr *a, Name *name, socklen_t *len, GError **error)
{
  size_t n = strlen (a->host), room = sizeof name->un.sun_path - a->abstract;

  *name = (Name){ .un = { .sun_family = AF_UNIX } };
  if (n > room || (n == room && !a->abstract))
    return vm_fail (error, "UNIX socket path '%s' is too long\nPath must be less than %zu bytes", a->host,
                    sizeof name->un.sun_path);
  memcpy (name->un.sun_path + a->abstract, a->host, n);
  *len = a->abstract && !a->loose ? (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + n) : sizeof name->un;
  return true;
}

static bool
vsock_name (const VmSocketAddr *a, Name *name, socklen_t *len, GError **error)
{
  guint64 cid, port;

  if (!g_ascii_string_to_unsigned (a->host, 10, 0, UINT32_MAX, &cid, NULL)
      || !g_ascii_string_to_unsigned (a->port, 10, 0, UINT32_MAX, &port, NULL))
    return vm_fail (error, "error parsing vsock address '%s:%s'", a->host, a->port);
  *name = (Name){ .vm = { .svm_family = AF_VSOCK, .svm_cid = (unsigned) cid, .svm_port = (unsigned) port } };
  *len = sizeof name->vm;
  return true;
}

static bool
plain_name (const VmSocketAddr *a, Name *name, socklen_t *len, GError **error)
{
  return a->type == VMQ_SOCKET_ADDRESS_TYPE_UNIX ? unix_name (a, name, len, error) : vsock_name (a, name, len, error);
}

/* The descriptor that is the address. */
static int
take_fd (VmSocketAddr *a, GError **error)
{
  guint64 number;

  if (!g_ascii_string_to_unsigned (a->host, 10, 0, INT_MAX, &number, NULL))
    return vm_fail (error, "File descriptor named '%s' has not been found", a->host), -1;
  if (a->taken)
    return vm_fail (error, "File descriptor '%s' has been used already", a->host), -1;
  int flags = fcntl ((int) number, F_GETFL);
  if (flags < 0)
    return vm_fail (error, "File descriptor '%s': %s", a->host, g_strerror (errno)), -1;
  a->taken = true;
  fcntl ((int) number, F_SETFL, flags | O_NONBLOCK);
  return (int) number;
}

typedef struct Lookup
{
  const VmSocketAddr *addr;
  bool passive;
  struct addrinfo *list;
  int status;
} Lookup;

static void
do_lookup (void *opaque)
{
  Lookup *l = opaque;
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                            .ai_family = l->addr->family,
                            .ai_flags = (l->passive ? AI_PASSIVE : 0) | (l->addr->numeric ? AI_NUMERICHOST : 0) };

  l->status = getaddrinfo (l->passive && !*l->addr->host ? NULL : l->addr->host, l->addr->port, &hints, &l->list);
}

static struct addrinfo *
look_up (const VmSocketAddr *a, bool passive, GError **error)
{
  Lookup l = { a, passive, NULL, 0 };

  vm_fiber_work (do_lookup, &l);
  if (!l.status)
    return l.list;
  vm_fail (error, "address resolution failed for %s:%s: %s", a->host, a->port, gai_strerror (l.status));
  return NULL;
}

/* --- connecting
 * --------------------------------------------------------------------------------------------------------- */

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
connect_to (const struct sockaddr *name, socklen_t len, int *pending)
{
  int fd = socket (name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), status;
  socklen_t size = sizeof status;

  if (fd < 0)
    return -1;
  if (*pending == CANCELED)
    {
      close (fd);
      errno = ECANCELED;
      return -1;
    }
  status = connect (fd, name, len) ? errno : 0;
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

static int
connect_inet (VmSocketAddr *a, int *pending, GError **error)
{
  struct addrinfo *list = look_up (a, false, error);
  int fd = -1, one = 1, why = 0;

  if (!list)
    return -1;
  for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
    if ((fd = connect_to (i->ai_addr, i->ai_addrlen, pending)) < 0)
      why = errno;
  freeaddrinfo (list);
  if (fd < 0)
    return vm_fail (error, "Failed to connect to '%s:%s': %s", a->host, a->port, g_strerror (why)), -1;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (a->keep_alive)
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  return fd;
}

int
vm_socket_connect (VmSocketAddr *addr, int *pending, GError **error)
{
  socklen_t len;
  Name name;
  int fd;

  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    return take_fd (addr, error);
  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_INET)
    return connect_inet (addr, pending, error);
  if (!plain_name (addr, &name, &len, error))
    return -1;
  fd = connect_to (&name.any, len, pending);
  if (fd < 0)
    vm_fail (error, "Failed to connect to '%s': %s", addr->host, g_strerror (errno));
  return fd;
}

/* --- listening
 * ------------------------------------------------------------------------------------------------------------ */

static int
listen_on (const struct sockaddr *name, socklen_t len)
{
  int fd = socket (name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

  if (fd < 0)
    return -1;
  if (name->sa_family == AF_INET || name->sa_family == AF_INET6)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (!bind (fd, name, len) && !listen (fd, SOMAXCONN))
    return fd;
  int why = errno;
  close (fd);
  errno = why;
  return -1;
}

static void
set_port (struct sockaddr *name, unsigned port)
{
  if (name->sa_family == AF_INET)
    ((struct sockaddr_in *) (void *) name)->sin_port = htons ((uint16_t) port);
  else
    ((struct sockaddr_in6 *) (void *) name)->sin6_port = htons ((uint16_t) port);
}

static int
listen_inet (VmSocketAddr *a, GError **error)
{
  struct addrinfo *list = look_up (a, true, error);
  guint64 first = 0;
  int fd = -1, why = EADDRINUSE;

  if (!list)
    return -1;
  if (a->to && !g_ascii_string_to_unsigned (a->port, 10, 0, 65535, &first, NULL))
    a->to = 0;
  for (unsigned port = (unsigned) first; fd < 0 && port <= MAX (first, (unsigned) a->to); port++)
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next)
      {
        if (a->to)
          set_port (i->ai_addr, port);
        if ((fd = listen_on (i->ai_addr, i->ai_addrlen)) < 0)
          why = errno;
      }
  freeaddrinfo (list);
  if (fd < 0)
    vm_fail (error, "Failed to find an available port: %s", g_strerror (why));
  return fd;
}

int
vm_socket_listen (VmSocketAddr *addr, GError **error)
{
  socklen_t len;
  Name name;
  int fd;

  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_FD)
    return take_fd (addr, error);
  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_INET)
    return listen_inet (addr, error);
  if (!plain_name (addr, &name, &len, error))
    return -1;
  vm_socket_unlink (addr); /* left by one that has gone */
  fd = listen_on (&name.any, len);
  if (fd < 0)
    vm_fail (error, "Failed to bind socket to %s: %s", addr->host, g_strerror (errno));
  return fd;
}

void
vm_socket_unlink (const VmSocketAddr *addr)
{
  if (addr->type == VMQ_SOCKET_ADDRESS_TYPE_UNIX && !addr->abstract)
    unlink (addr->host);
}
