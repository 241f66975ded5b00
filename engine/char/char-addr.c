/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets: looking names up without blocking, and writing them down. */
#include "engine/char/char-addr.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/un.h>

/* Shared by the thread that asks the name server and whoever waits; the last one frees it. */
struct VmCharLookup {
  int              refs; /* atomic */
  pthread_mutex_t  mutex;
  VmLoop          *loop; /* NULL: cancelled. Under the mutex */
  char            *host, *port;
  int              family;
  struct addrinfo *list;
  GError          *error;
  VmCharLookupFunc func;
  void            *opaque;
};

int
vm_char_addr_family (const VmKeyVals *options, GError **error)
{
  bool v4 = true, v6 = true;

  if (vm_keyvals_has (options, "ipv4") != vm_keyvals_has (options, "ipv6"))
    {
      /* ipv4=on alone means only that one. */
      bool *other = vm_keyvals_has (options, "ipv4") ? &v6 : &v4, *given = other == &v6 ? &v4 : &v6;
      if (!vm_keyvals_bool (options, given == &v4 ? "ipv4" : "ipv6", given, error))
        return -1;
      *other = !*given;
    }
  else if (!vm_keyvals_bool (options, "ipv4", &v4, error) || !vm_keyvals_bool (options, "ipv6", &v6, error))
    return -1;
  if (!v4 && !v6)
    {
      vm_fail (error, "neither IPv4 nor IPv6 is allowed");
      return -1;
    }
  return v4 && v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

static struct addrinfo *
ask (const char *host, const char *port, int family, int type, int flags, GError **error)
{
  const struct addrinfo hints = { .ai_family = family, .ai_socktype = type, .ai_flags = flags };
  struct addrinfo *list = NULL;
  bool too_big = strspn (port, "0123456789") == strlen (port) && g_ascii_strtoull (port, NULL, 10) > 65535;
  int err = too_big ? EAI_SERVICE : getaddrinfo (host && *host ? host : NULL, port, &hints, &list);

  if (!err)
    return list;
  vm_fail (error, "address resolution failed for %s:%s: %s", host ? host : "", port, gai_strerror (err));
  return NULL;
}

struct addrinfo *
vm_char_addr_resolve (const char *host, const char *port, int family, int type, bool passive, GError **error)
{
  return ask (host, port, family, type, passive ? AI_PASSIVE : 0, error);
}

static void
lookup_unref (VmCharLookup *l)
{
  if (!g_atomic_int_dec_and_test (&l->refs))
    return;
  if (l->list)
    freeaddrinfo (l->list);
  g_clear_error (&l->error);
  pthread_mutex_destroy (&l->mutex);
  g_free (l->host);
  g_free (l->port);
  g_free (l);
}

static void
lookup_answered (void *opaque)
{
  VmCharLookup *l = opaque;

  if (l->loop)
    l->func (l->opaque, g_steal_pointer (&l->list), l->error);
  lookup_unref (l);
}

static void *
lookup_main (void *opaque)
{
  VmCharLookup *l = opaque;

  l->list = ask (l->host, l->port, l->family, SOCK_STREAM, 0, &l->error);
  pthread_mutex_lock (&l->mutex);
  VmLoop *loop = l->loop;
  if (loop)
    vm_loop_post (loop, lookup_answered, l); /* hands over the reference */
  pthread_mutex_unlock (&l->mutex);
  if (!loop)
    lookup_unref (l);
  return NULL;
}

VmCharLookup *
vm_char_lookup (VmLoop *loop, const char *host, const char *port, int family, VmCharLookupFunc func, void *opaque)
{
  struct addrinfo *list = ask (host, port, family, SOCK_STREAM, AI_NUMERICHOST, NULL);

  if (list) /* an address: nothing to ask */
    {
      func (opaque, list, NULL);
      return NULL;
    }
  VmCharLookup *l = g_new0 (VmCharLookup, 1);
  l->refs = 2;
  pthread_mutex_init (&l->mutex, NULL);
  l->loop = loop;
  l->host = g_strdup (host);
  l->port = g_strdup (port);
  l->family = family;
  l->func = func;
  l->opaque = opaque;
  g_thread_unref (g_thread_new (NULL, lookup_main, l));
  return l;
}

void
vm_char_lookup_cancel (VmCharLookup *l)
{
  if (!l)
    return;
  pthread_mutex_lock (&l->mutex);
  l->loop = NULL;
  pthread_mutex_unlock (&l->mutex);
  lookup_unref (l);
}

char *
vm_char_addr_text (const struct sockaddr_storage *addr, socklen_t len)
{
  char host[NI_MAXHOST], port[NI_MAXSERV];

  if (addr->ss_family == AF_UNIX)
    {
      const struct sockaddr_un *un = (const struct sockaddr_un *) addr;
      size_t n = len > offsetof (struct sockaddr_un, sun_path) ? len - offsetof (struct sockaddr_un, sun_path) : 0;

      if (n && un->sun_path[0] == 0)
        {
          g_autofree char *name = g_strndup (un->sun_path + 1, n - 1);
          return g_strconcat ("@", name, NULL);
        }
      return g_strndup (un->sun_path, n);
    }
  if (getnameinfo ((const struct sockaddr *) addr, len, host, sizeof host, port, sizeof port,
                   NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return g_strdup ("?");
  return g_strdup_printf (addr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}
