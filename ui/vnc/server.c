/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server: its sockets, its clients, the keys on their way to the guest. */
#include "ui/vnc/vnc-private.h"

#include <errno.h>
#include <unistd.h>

#define BACKLOG 16
#define KEYS_MAX 256

VncServer *
vnc_find_server (VmVnc *vnc, const char *id)
{
  for (guint i = 0; i < vnc->servers->len; i++)
    {
      VncServer *s = g_ptr_array_index (vnc->servers, i);
      if (!id || !strcmp (s->options.id, id))
        return s;
    }
  return NULL;
}

VncAuth
vnc_server_auth (const VncServer *s)
{
  const VncOptions *o = &s->options;

  return o->creds ? VNC_AUTH_VENCRYPT : o->sasl ? VNC_AUTH_SASL : o->password ? VNC_AUTH_VNC : VNC_AUTH_NONE;
}

char *
vnc_server_auth_name (const VncServer *s)
{
  const VncOptions *o = &s->options;
  const char *name = o->sasl ? "sasl" : o->password ? "vnc" : "none";

  if (!o->creds)
    return g_strdup (name);
  return g_strdup_printf ("vencrypt+%s+%s", vm_tls_creds_are_x509 (o->creds) ? "x509" : "tls", name);
}

/* --- clients -------------------------------------------------------------------------------------------------- */

bool
vnc_server_make_room (VncServer *s)
{
  VncClient *oldest = NULL;

  if (s->clients->len < s->options.connections)
    return true;
  for (guint i = 0; i < s->clients->len; i++)
    {
      VncClient *c = g_ptr_array_index (s->clients, i);
      if (!c->logged_in && !c->wire.over && (!oldest || c->since < oldest->since))
        oldest = c;
    }
  if (!oldest)
    return false;
  vnc_client_close (oldest);
  return true;
}

void
vnc_server_client_gone (VncServer *s)
{
  VmVnc *vnc = s->vnc;

  if (--vnc->n_clients < 2) /* nobody else wants them */
    vnc_jpegs_clear (vnc->jpegs);
  if (!vnc->n_clients && vnc->stopping)
    vm_loop_quit (vnc->loop);
  if (s->ended && !s->clients->len)
    vnc_server_free (s);
}

/* --- listening -------------------------------------------------------------------------------------------------- */

static bool
on_connect (int fd, GIOCondition condition, void *opaque)
{
  const VncListener *l = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (client < 0)
    return true;
  /* Twice the limit at most: those who make room may take a moment to be gone. */
  if (!vnc_server_make_room (l->server) || l->server->clients->len >= 2 * l->server->options.connections + 8)
    close (client);
  else
    vnc_client_start (vnc_client_new (l->server, client, l->websocket));
  return true;
}

void
vnc_listener_free (gpointer data)
{
  VncListener *l = data;

  vm_source_clear (&l->watch);
  close (l->fd);
  if (l->path)
    unlink (l->path);
  g_free (l->path);
  g_free (l);
}

static unsigned
port_of (int fd)
{
  VmSockaddr addr;

  if (!vm_sockaddr_of (&addr, fd, false))
    return 0;
  return ntohs (addr.any.sa_family == AF_INET6 ? addr.in6.sin6_port : addr.in.sin_port);
}

static void
add_listener (VncServer *s, int fd, bool websocket, const VmAddress *a)
{
  VncListener *l = g_new0 (VncListener, 1);

  *l = (VncListener){ .server = s, .fd = fd, .websocket = websocket };
  if (a->kind == VM_ADDRESS_UNIX && !a->abstract)
    l->path = g_canonicalize_filename (a->host, NULL);
  l->watch = vm_loop_watch_fd (s->vnc->loop, fd, G_IO_IN, on_connect, l);
  g_ptr_array_add (s->listeners, l);
}

/* -1 with errno. */
static int
bind_one (const VmSockaddr *wanted, unsigned port)
{
  VmSockaddr addr = *wanted;
  bool six = addr.any.sa_family == AF_INET6;
  int fd = socket (addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

  if (fd < 0)
    return -1;
  *(six ? &addr.in6.sin6_port : &addr.in.sin_port) = htons ((uint16_t) port);
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (six) /* IPv4 has a socket of its own */
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (bind (fd, &addr.any, addr.len) == 0 && listen (fd, BACKLOG) == 0)
    return fd;
  int why = errno;
  close (fd);
  errno = why;
  return -1;
}

/* All of LIST at PORT, or, with *WHY set, none; what this host does not have at all is left out. */
static bool
bind_all (VncServer *s, const GArray *list, unsigned port, bool websocket, const VmAddress *a, int *why)
{
  guint before = s->listeners->len;

  for (guint i = 0; i < list->len; i++)
    {
      int fd = bind_one (&g_array_index (list, VmSockaddr, i), port);
      if (fd >= 0)
        {
          add_listener (s, fd, websocket, a);
          port = port_of (fd);
          continue;
        }
      *why = errno;
      if (errno == EADDRINUSE || errno == EACCES)
        {
          g_ptr_array_set_size (s->listeners, (gint) before);
          return false;
        }
    }
  return s->listeners->len > before;
}

/* On each family that the name stands for, at the same port. */
bool
vnc_server_listen_at (VncServer *s, const VmAddress *a, bool websocket, GError **error)
{
  g_autoptr (GArray) list = vm_address_resolve (a, SOCK_STREAM, true, error);
  int why = EADDRNOTAVAIL;

  if (!list)
    return false;
  if (a->kind != VM_ADDRESS_INET)
    {
      int fd = vm_address_listen (a, list, BACKLOG, error);
      if (fd >= 0)
        add_listener (s, fd, websocket, a);
      return fd >= 0;
    }
  unsigned port = (unsigned) g_ascii_strtoull (a->port, NULL, 10);
  for (unsigned p = port; p <= MAX (a->to, port) && p <= 65535; p++)
    if (bind_all (s, list, p, websocket, a, &why))
      return true;
  return vm_fail (error, "Failed to find an available port: %s", g_strerror (why));
}

bool
vnc_server_listen (VncServer *s, GError **error)
{
  const VncOptions *o = &s->options;

  if (o->none || o->reverse)
    return true;
  if (vnc_server_listen_at (s, &o->address, false, error)
      && (!o->has_websocket || vnc_server_listen_at (s, &o->websocket, true, error)))
    return true;
  vnc_server_stop_listening (s);
  return false;
}

void
vnc_server_stop_listening (VncServer *s)
{
  g_ptr_array_set_size (s->listeners, 0);
}

/* --- keys -----------------------------------------------------------------------------------------------------------
 */

static void send_keys (VncServer *s);

static gboolean
on_key_timer (gpointer opaque)
{
  VncServer *s = opaque;

  vm_source_clear (&s->key_timer);
  send_keys (s);
  return G_SOURCE_REMOVE;
}

static void
send_keys (VncServer *s)
{
  VmInput *input = s->vnc->machine->env.input;

  while (s->keys.length && !s->key_timer)
    {
      int64_t now = g_get_monotonic_time ();
      if (now < s->key_free_at)
        {
          s->key_timer = g_timeout_source_new ((guint) ((s->key_free_at - now) / 1000) + 1);
          g_source_set_callback (s->key_timer, on_key_timer, s, NULL);
          g_source_attach (s->key_timer, vm_loop_context (s->vnc->loop));
          return;
        }
      g_autofree VmInputEvent *event = g_queue_pop_head (&s->keys);
      vm_input_events (input, s->console, event, 1);
      s->key_free_at = now + (int64_t) s->options.key_delay_ms * 1000;
    }
}

void
vnc_server_key (VncServer *s, uint16_t key, bool down)
{
  VmInputEvent *event;

  /* Releases always find room: a key must not be stuck. */
  if (s->keys.length >= KEYS_MAX && down)
    return;
  event = g_new (VmInputEvent, 1);
  *event = (VmInputEvent){ .kind = VM_INPUT_KEY, .code = key, .down = down };
  g_queue_push_tail (&s->keys, event);
  send_keys (s);
}
