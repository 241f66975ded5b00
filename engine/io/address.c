/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets: see address.h. */
#include "engine/io/address.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

void
vm_address_clear (VmAddress *a)
{
  g_clear_pointer (&a->host, g_free);
  g_clear_pointer (&a->port, g_free);
}

void
vm_address_copy (VmAddress *to, const VmAddress *from)
{
  *to = *from;
  to->host = g_strdup (from->host);
  to->port = g_strdup (from->port);
}

char *
vm_address_text (const VmAddress *a)
{
  if (a->kind == VM_ADDRESS_UNIX)
    return g_strconcat (a->abstract ? "@" : "", a->host, NULL);
  return g_strdup_printf (strchr (a->host, ':') ? "[%s]:%s" : "%s:%s", a->host, a->port);
}

char *
vm_sockaddr_text (const VmSockaddr *addr)
{
  char host[NI_MAXHOST], port[NI_MAXSERV];

  if (addr->any.sa_family == AF_UNIX)
    {
      size_t start = offsetof (struct sockaddr_un, sun_path), n = addr->len > start ? addr->len - start : 0;

      if (!n || addr->un.sun_path[0])
        return g_strndup (addr->un.sun_path, n);
      g_autofree char *name = g_strndup (addr->un.sun_path + 1, n - 1);
      return g_strconcat ("@", name, NULL);
    }
  if (addr->any.sa_family == AF_VSOCK)
    {
      const struct sockaddr_vm *vm = (const struct sockaddr_vm *) (const void *) &addr->any;
      return g_strdup_printf ("%u:%u", vm->svm_cid, vm->svm_port);
    }
  if (getnameinfo (&addr->any, addr->len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return g_strdup ("?");
  return g_strdup_printf (addr->any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

bool
vm_sockaddr_of (VmSockaddr *addr, int fd, bool peer)
{
  memset (addr, 0, sizeof *addr);
  addr->len = sizeof addr->storage;
  return (peer ? getpeername : getsockname) (fd, &addr->any, &addr->len) == 0;
}

/* --- resolving ---------------------------------------------------------------------------------- */

static bool
unix_name (const VmAddress *a, VmSockaddr *name, GError **error)
{
  size_t n = strlen (a->host), room = sizeof name->un.sun_path - a->abstract;

  if (n > room || (n == room && !a->abstract))
    return vm_fail (error, "UNIX socket path '%s' is too long\nPath must be less than %zu bytes", a->host,
                    sizeof name->un.sun_path);
  name->un.sun_family = AF_UNIX;
  memcpy (name->un.sun_path + a->abstract, a->host, n);
  name->len
      = a->abstract && !a->loose ? (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + n) : sizeof name->un;
  return true;
}

static bool
vsock_name (const VmAddress *a, VmSockaddr *name, GError **error)
{
  struct sockaddr_vm *vm = (struct sockaddr_vm *) (void *) &name->any;
  guint64 cid, port;

  if (!g_ascii_string_to_unsigned (a->host, 10, 0, UINT32_MAX, &cid, NULL)
      || !g_ascii_string_to_unsigned (a->port, 10, 0, UINT32_MAX, &port, NULL))
    return vm_fail (error, "error parsing vsock address '%s:%s'", a->host, a->port);
  vm->svm_family = AF_VSOCK;
  vm->svm_cid = (unsigned) cid;
  vm->svm_port = (unsigned) port;
  name->len = sizeof *vm;
  return true;
}

static GArray *
resolve (const VmAddress *a, int type, int flags, int *status, GError **error)
{
  GArray *list = g_array_new (FALSE, TRUE, sizeof (VmSockaddr));
  struct addrinfo hints = { .ai_family = a->family, .ai_socktype = type }, *found = NULL;
  VmSockaddr name = { 0 };

  *status = 0;
  if (a->kind != VM_ADDRESS_INET)
    {
      if (a->kind == VM_ADDRESS_UNIX ? unix_name (a, &name, error) : vsock_name (a, &name, error))
        return g_array_append_val (list, name);
      g_array_unref (list);
      return NULL;
    }
  hints.ai_flags = flags | (a->numeric ? AI_NUMERICHOST : 0);
  bool too_big = strspn (a->port, "0123456789") == strlen (a->port) && g_ascii_strtoull (a->port, NULL, 10) > 65535;
  *status = too_big ? EAI_SERVICE : getaddrinfo (*a->host ? a->host : NULL, a->port, &hints, &found);
  if (*status)
    vm_fail (error, "address resolution failed for %s:%s: %s", a->host, a->port, gai_strerror (*status));
  for (const struct addrinfo *i = found; i; i = i->ai_next)
    if (i->ai_addrlen <= sizeof name.storage)
      {
        name.len = i->ai_addrlen;
        memcpy (&name.storage, i->ai_addr, i->ai_addrlen);
        g_array_append_val (list, name);
      }
  if (found)
    freeaddrinfo (found);
  if (list->len)
    return list;
  g_array_unref (list);
  return NULL;
}

GArray *
vm_address_resolve (const VmAddress *a, int type, bool passive, GError **error)
{
  int status;

  return resolve (a, type, passive ? AI_PASSIVE : 0, &status, error);
}

GArray *
vm_address_resolve_now (const VmAddress *a, int type, bool passive, GError **error)
{
  g_autoptr (GError) why = NULL;
  int status;
  GArray *list = resolve (a, type, (passive ? AI_PASSIVE : 0) | AI_NUMERICHOST, &status, &why);

  if (!list && (status != EAI_NONAME || a->numeric))
    g_propagate_error (error, g_steal_pointer (&why));
  return list;
}

/* --- on a thread of its own ---------------------------------------------------------------------- */

/* Shared by the thread that asks the name server and whoever waits; the last one frees it. */
struct VmLookup
{
  int refs; /* atomic */
  pthread_mutex_t mutex;
  VmLoop *loop; /* NULL: cancelled. Under the mutex */
  VmAddress address;
  int type;
  bool passive;
  GArray *list;
  GError *error;
  VmLookupFunc func;
  void *opaque;
};

static void
lookup_unref (VmLookup *l)
{
  if (!g_atomic_int_dec_and_test (&l->refs))
    return;
  g_clear_pointer (&l->list, g_array_unref);
  g_clear_error (&l->error);
  pthread_mutex_destroy (&l->mutex);
  vm_address_clear (&l->address);
  g_free (l);
}

static void
lookup_answered (void *opaque)
{
  VmLookup *l = opaque;

  if (l->loop)
    {
      l->loop = NULL;
      l->func (l->opaque, g_steal_pointer (&l->list), l->error);
      lookup_unref (l);
    }
  lookup_unref (l);
}

static void *
lookup_main (void *opaque)
{
  VmLookup *l = opaque;

  l->list = vm_address_resolve (&l->address, l->type, l->passive, &l->error);
  pthread_mutex_lock (&l->mutex);
  VmLoop *loop = l->loop;
  if (loop)
    {
      g_atomic_int_inc (&l->refs); /* this thread's own lasts until the mutex is unlocked */
      vm_loop_post (loop, lookup_answered, l);
    }
  pthread_mutex_unlock (&l->mutex);
  lookup_unref (l);
  return NULL;
}

VmLookup *
vm_lookup_start (VmLoop *loop, const VmAddress *address, int type, bool passive, VmLookupFunc func, void *opaque)
{
  VmLookup *l = g_new0 (VmLookup, 1);

  l->refs = 2;
  pthread_mutex_init (&l->mutex, NULL);
  l->loop = loop;
  vm_address_copy (&l->address, address);
  l->type = type;
  l->passive = passive;
  l->func = func;
  l->opaque = opaque;
  g_thread_unref (g_thread_new (NULL, lookup_main, l));
  return l;
}

void
vm_lookup_cancel (VmLookup *l)
{
  if (!l)
    return;
  pthread_mutex_lock (&l->mutex);
  l->loop = NULL;
  pthread_mutex_unlock (&l->mutex);
  lookup_unref (l);
}

/* --- listening --------------------------------------------------------------------------------------- */

static in_port_t *
port_of (VmSockaddr *name)
{
  return name->any.sa_family == AF_INET6 ? &name->in6.sin6_port : &name->in.sin_port;
}

/* -1 with errno. */
static int
listen_at (const VmAddress *a, const VmSockaddr *name, int backlog)
{
  bool mptcp = a->kind == VM_ADDRESS_INET && a->mptcp;
  int fd = socket (name->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, mptcp ? IPPROTO_MPTCP : 0);
  int one = 1, only_six = a->family == AF_INET6;

  if (fd < 0)
    return -1;
  if (a->kind == VM_ADDRESS_INET)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (name->any.sa_family == AF_INET6)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof only_six);
  if (bind (fd, &name->any, name->len) == 0 && listen (fd, backlog) == 0)
    return fd;
  int why = errno;
  close (fd);
  errno = why;
  return -1;
}

int
vm_address_listen (const VmAddress *a, const GArray *list, int backlog, GError **error)
{
  int fd = -1, why = EADDRNOTAVAIL;

  if (a->kind != VM_ADDRESS_INET)
    {
      if (a->kind == VM_ADDRESS_UNIX && !a->abstract && unlink (a->host) < 0 && errno != ENOENT && errno != ENOTDIR)
        return vm_fail (error, "Failed to unlink socket %s: %s", a->host, g_strerror (errno)), -1;
      fd = listen_at (a, &g_array_index (list, VmSockaddr, 0), backlog);
      if (fd < 0)
        vm_fail (error, "Failed to bind socket to %s: %s", a->host, g_strerror (errno));
      return fd;
    }
  for (guint i = 0; i < list->len && fd < 0; i++)
    {
      VmSockaddr name = g_array_index (list, VmSockaddr, i);
      in_port_t *port = port_of (&name);

      for (unsigned p = ntohs (*port); fd < 0; *port = htons (++p))
        {
          fd = listen_at (a, &name, backlog);
          why = errno;
          if (p >= a->to)
            break;
        }
    }
  if (fd < 0)
    vm_fail (error, "Failed to find an available port: %s", g_strerror (why));
  return fd;
}
