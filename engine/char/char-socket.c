/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The socket back end: TCP and Unix streams, server or client, telnet (RFC 854, 855, 856, 857, 858). */
#include "engine/char/char-addr.h"
#include "engine/char/char-private.h"

#include "engine/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libtelnet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#define WRITE_MAX 4096 /* bytes put into telnet form at once */
#define FDS_MAX   16   /* descriptors that may come with one read */

typedef struct SocketChar {
  VmChardev    parent;
  /* options */
  char        *host, *port, *path;
  int          family;
  bool         server, wait, telnet, nodelay, abstract, tight;
  uint64_t     reconnect_ms;
  /* state */
  int          listener, connecting; /* -1: none */
  GSource     *listen_source, *connect_source;
  VmCharLookup *lookup;
  struct addrinfo *addrs, *next_addr; /* still to be tried */
  VmTimer      retry;
  VmCharStream stream;
  telnet_t    *terminal;
  GByteArray  *encoded; /* telnet bytes on their way out */
  GByteArray  *decoded; /* text of one read */
  bool         break_seen;
  GArray      *fds;     /* came in, not taken yet */
  bool         complained;
} SocketChar;

/* --- names ------------------------------------------------------------------------------------- */

static const char *
socket_kind (SocketChar *s)
{
  return s->path ? "unix" : s->telnet ? "telnet" : "tcp";
}

static void
name_disconnected (SocketChar *s)
{
  struct sockaddr_storage addr;
  socklen_t len = sizeof addr;
  g_autofree char *where = NULL;

  if (s->path)
    where = g_strdup_printf ("%s%s", s->abstract ? "@" : "", s->path);
  else if (s->listener >= 0 && getsockname (s->listener, (struct sockaddr *) &addr, &len) == 0)
    where = vm_char_addr_text (&addr, len);
  else
    where = g_strdup_printf ("%s:%s", s->host, s->port);
  vm_chardev_set_filename (&s->parent, "disconnected:%s:%s%s", socket_kind (s), where, s->server ? ",server=on" : "");
}

static void
name_connected (SocketChar *s, int fd)
{
  struct sockaddr_storage local, peer;
  socklen_t local_len = sizeof local, peer_len = sizeof peer;
  const char *server = s->server ? ",server=on" : "";

  if (s->path || getsockname (fd, (struct sockaddr *) &local, &local_len) < 0 ||
      getpeername (fd, (struct sockaddr *) &peer, &peer_len) < 0 || local.ss_family == AF_UNIX)
    {
      vm_chardev_set_filename (&s->parent, "unix:%s%s%s", s->abstract ? "@" : "", s->path ? s->path : "", server);
      return;
    }
  g_autofree char *here = vm_char_addr_text (&local, local_len);
  g_autofree char *there = vm_char_addr_text (&peer, peer_len);
  vm_chardev_set_filename (&s->parent, "%s:%s%s <-> %s", socket_kind (s), here, server, there);
}

/* --- telnet ------------------------------------------------------------------------------------ */

static const telnet_telopt_t telnet_options[] = {
  { TELNET_TELOPT_ECHO, TELNET_WILL, TELNET_DONT },
  { TELNET_TELOPT_SGA, TELNET_WILL, TELNET_DO },
  { TELNET_TELOPT_BINARY, TELNET_WILL, TELNET_DO },
  { -1, 0, 0 },
};

static void
telnet_handler (telnet_t *terminal, telnet_event_t *event, void *opaque)
{
  SocketChar *s = opaque;

  if (event->type == TELNET_EV_DATA)
    g_byte_array_append (s->decoded, (const uint8_t *) event->data.buffer, event->data.size);
  else if (event->type == TELNET_EV_SEND)
    g_byte_array_append (s->encoded, (const uint8_t *) event->data.buffer, event->data.size);
  else if (event->type == TELNET_EV_IAC && event->iac.cmd == TELNET_BREAK)
    s->break_seen = true;
}

/* True when nothing is left over. */
static bool
telnet_flush (SocketChar *s)
{
  size_t n = vm_char_stream_write (&s->stream, s->encoded->data, s->encoded->len);

  g_byte_array_remove_range (s->encoded, 0, n);
  return s->encoded->len == 0;
}

static void
telnet_writable (VmChardev *chr)
{
  telnet_flush ((SocketChar *) chr);
}

static void
telnet_data (VmChardev *chr, const uint8_t *buf, size_t len)
{
  SocketChar *s = (SocketChar *) chr;

  telnet_recv (s->terminal, (const char *) buf, len);
  telnet_flush (s); /* answers to what the client negotiates */

  /* Only now: whoever receives may end the connection. */
  g_autoptr (GByteArray) text = g_steal_pointer (&s->decoded);
  bool break_seen = s->break_seen;
  s->decoded = g_byte_array_new ();
  s->break_seen = false;
  vm_chardev_receive (chr, text->data, text->len);
  if (break_seen)
    vm_chardev_event (chr, VM_CHAR_BREAK);
}

static void
telnet_begin (SocketChar *s)
{
  s->terminal = telnet_init (telnet_options, telnet_handler, 0, s);
  telnet_negotiate (s->terminal, TELNET_WILL, TELNET_TELOPT_ECHO);
  telnet_negotiate (s->terminal, TELNET_WILL, TELNET_TELOPT_SGA);
  telnet_negotiate (s->terminal, TELNET_WILL, TELNET_TELOPT_BINARY);
  telnet_negotiate (s->terminal, TELNET_DO, TELNET_TELOPT_BINARY);
  telnet_flush (s);
}

/* --- a connection ------------------------------------------------------------------------------ */

static ssize_t
socket_read (VmChardev *chr, int fd, void *buf, size_t len)
{
  SocketChar *s = (SocketChar *) chr;
  char control[CMSG_SPACE (FDS_MAX * sizeof (int))];
  struct iovec iov = { .iov_base = buf, .iov_len = len };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  ssize_t n = recvmsg (fd, &msg, MSG_CMSG_CLOEXEC);

  for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR (&msg) : NULL; c; c = CMSG_NXTHDR (&msg, c))
    {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        continue;
      size_t count = (c->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      for (size_t i = 0; i < count; i++)
        {
          int got;

          memcpy (&got, CMSG_DATA (c) + i * sizeof (int), sizeof got);
          if (s->fds->len < FDS_MAX)
            g_array_append_val (s->fds, got);
          else
            close (got);
        }
    }
  return n;
}

static int
socket_take_fd (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  if (s->fds->len == 0)
    return -1;
  int fd = g_array_index (s->fds, int, 0);
  g_array_remove_index (s->fds, 0);
  return fd;
}

static void
drop_connection (SocketChar *s)
{
  vm_char_stream_close (&s->stream);
  s->stream.chr = NULL;
  g_clear_pointer (&s->terminal, telnet_free);
  g_byte_array_set_size (s->encoded, 0);
  for (unsigned i = 0; i < s->fds->len; i++)
    close (g_array_index (s->fds, int, i));
  g_array_set_size (s->fds, 0);
}

static bool socket_accept (int fd, GIOCondition condition, void *opaque);

static void
listen_on (SocketChar *s)
{
  if (s->listener >= 0 && !s->listen_source)
    s->listen_source = vm_loop_watch_fd (s->parent.env->loop, s->listener, G_IO_IN, socket_accept, s);
}

static void
retry_later (SocketChar *s)
{
  if (s->reconnect_ms && s->retry.clocks)
    vm_timer_set (&s->retry,
                  vm_clock_now (s->retry.clocks, VM_CLOCK_REALTIME) + (int64_t) s->reconnect_ms * VM_NS_PER_MS);
}

static void
socket_gone (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  drop_connection (s);
  name_disconnected (s);
  vm_chardev_event (chr, VM_CHAR_CLOSED);
  if (chr->closed || s->stream.chr) /* removed, or connected again, by whoever was told */
    return;
  listen_on (s);
  retry_later (s);
}

static void
connection_begin (SocketChar *s, int fd)
{
  VmChardev *chr = &s->parent;
  int one = 1;

  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  if (!s->path && s->nodelay)
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  vm_source_clear (&s->listen_source); /* one at a time: the next waits in the backlog */
  name_connected (s, fd);
  s->complained = false;
  s->stream = (VmCharStream) { .is_socket = true, .read = socket_read, .eof = socket_gone };
  if (s->telnet)
    {
      s->stream.data = telnet_data;
      s->stream.flush = telnet_writable;
    }
  vm_char_stream_open (&s->stream, chr, fd, fd);
  if (s->telnet)
    telnet_begin (s);
  vm_chardev_event (chr, VM_CHAR_OPENED);
}

/* --- server ------------------------------------------------------------------------------------ */

static bool
socket_accept (int fd, GIOCondition condition, void *opaque)
{
  SocketChar *s = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (client < 0)
    return true;
  vm_object_ref (&s->parent.parent);
  connection_begin (s, client);
  vm_object_unref (&s->parent.parent);
  return true;
}

static bool
unix_address (SocketChar *s, struct sockaddr_un *addr, socklen_t *len, GError **error)
{
  size_t n = strlen (s->path);
  bool bound = n + s->abstract < sizeof addr->sun_path;

  if (!bound)
    return vm_fail (error, "UNIX socket path '%s' is too long", s->path);
  *addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
  memcpy (addr->sun_path + s->abstract, s->path, n);
  *len = s->abstract && s->tight ? offsetof (struct sockaddr_un, sun_path) + 1 + n : sizeof *addr;
  return true;
}

static bool
unix_listen (SocketChar *s, GError **error)
{
  struct sockaddr_un addr;
  socklen_t len;

  if (!unix_address (s, &addr, &len, error))
    return false;
  if (!s->abstract && unlink (s->path) < 0 && errno != ENOENT)
    return vm_fail (error, "Failed to unlink socket %s: %s", s->path, g_strerror (errno));
  s->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->listener < 0 || bind (s->listener, (struct sockaddr *) &addr, len) < 0)
    {
      vm_fail (error, "Failed to bind socket to %s: %s", s->path, g_strerror (errno));
      if (s->listener >= 0)
        close (s->listener);
      s->listener = -1; /* so that nobody removes a path that is not ours */
      return false;
    }
  return listen (s->listener, 1) == 0 || vm_fail (error, "Failed to listen on socket: %s", g_strerror (errno));
}

/* Tries ADDR with each port up to TO; 0 or the last error. */
static int
tcp_listen_at (SocketChar *s, const struct addrinfo *addr, unsigned to)
{
  struct sockaddr_storage where;
  in_port_t *port = addr->ai_family == AF_INET6 ? &((struct sockaddr_in6 *) &where)->sin6_port
                                                : &((struct sockaddr_in *) &where)->sin_port;
  int one = 1, off = 0, err = 0;

  memcpy (&where, addr->ai_addr, addr->ai_addrlen);
  for (unsigned p = ntohs (*port);; p++)
    {
      int fd = socket (addr->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

      if (fd < 0)
        return errno;
      *port = htons (p);
      setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      if (addr->ai_family == AF_INET6)
        setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, s->family == AF_INET6 ? &one : &off, sizeof one);
      if (bind (fd, (struct sockaddr *) &where, addr->ai_addrlen) == 0 && listen (fd, 1) == 0)
        {
          s->listener = fd;
          return 0;
        }
      err = errno;
      close (fd);
      if (p >= to)
        return err;
    }
}

static bool
tcp_listen (SocketChar *s, unsigned to, GError **error)
{
  struct addrinfo *list = vm_char_addr_resolve (s->host, s->port, s->family, SOCK_STREAM, true, error);
  int err = EADDRNOTAVAIL;

  if (!list)
    return false;
  for (struct addrinfo *a = list; a && s->listener < 0; a = a->ai_next)
    err = tcp_listen_at (s, a, to);
  freeaddrinfo (list);
  return s->listener >= 0 || vm_fail (error, "Failed to find an available port: %s", g_strerror (err));
}

/* --- client ------------------------------------------------------------------------------------ */

static void
connect_failed (SocketChar *s, const char *message)
{
  VmChardev *chr = &s->parent;

  if (s->reconnect_ms)
    {
      if (!s->complained)
        vm_report_error ("Unable to connect character device %s: %s", chr->parent.id ? chr->parent.id : "", message);
      s->complained = true;
      retry_later (s);
    }
  else if (!chr->failed)
    chr->failed = g_error_new_literal (VM_ERROR, VM_ERROR_FAILED, message);
}

static void
connect_end (SocketChar *s)
{
  vm_source_clear (&s->connect_source);
  if (s->connecting >= 0)
    close (s->connecting);
  s->connecting = -1;
  if (s->addrs)
    freeaddrinfo (s->addrs);
  s->addrs = s->next_addr = NULL;
}

static void
connect_error (SocketChar *s, int err)
{
  g_autofree char *where = s->path ? g_strdup (s->path) : g_strdup_printf ("%s:%s", s->host, s->port);
  g_autofree char *message = g_strdup_printf ("Failed to connect to '%s': %s", where, g_strerror (err));

  connect_end (s);
  connect_failed (s, message);
}

static void
connect_done (SocketChar *s)
{
  int fd = s->connecting;

  s->connecting = -1;
  connect_end (s);
  connection_begin (s, fd);
}

static void connect_next (SocketChar *s, int err);

static bool
connect_settled (int fd, GIOCondition condition, void *opaque)
{
  SocketChar *s = opaque;
  int err = 0;
  socklen_t len = sizeof err;

  vm_object_ref (&s->parent.parent);
  vm_source_clear (&s->connect_source);
  getsockopt (fd, SOL_SOCKET, SO_ERROR, &err, &len);
  if (err)
    connect_next (s, err);
  else
    connect_done (s);
  vm_object_unref (&s->parent.parent);
  return true;
}

/* The next address that was found for the name; ERR is why the one before failed. */
static void
connect_next (SocketChar *s, int err)
{
  while (s->next_addr)
    {
      struct addrinfo *a = s->next_addr;

      s->next_addr = a->ai_next;
      if (s->connecting >= 0)
        close (s->connecting);
      s->connecting = socket (a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (s->connecting >= 0 && connect (s->connecting, a->ai_addr, a->ai_addrlen) == 0)
        {
          connect_done (s);
          return;
        }
      err = errno;
      if (s->connecting >= 0 && err == EINPROGRESS)
        {
          s->connect_source = vm_loop_watch_fd (s->parent.env->loop, s->connecting, G_IO_OUT | G_IO_ERR | G_IO_HUP,
                                                connect_settled, s);
          return;
        }
    }
  connect_error (s, err);
}

static void
looked_up (void *opaque, struct addrinfo *list, const GError *error)
{
  SocketChar *s = opaque;

  vm_char_lookup_cancel (g_steal_pointer (&s->lookup));
  s->addrs = s->next_addr = list;
  if (list)
    connect_next (s, 0);
  else
    connect_failed (s, error->message);
}

static void
unix_connect (SocketChar *s)
{
  struct sockaddr_un addr;
  socklen_t len;
  g_autoptr (GError) error = NULL;

  if (!unix_address (s, &addr, &len, &error))
    {
      connect_failed (s, error->message);
      return;
    }
  s->connecting = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->connecting < 0 || connect (s->connecting, (struct sockaddr *) &addr, len) < 0)
    connect_error (s, errno);
  else
    connect_done (s);
}

static void
socket_connect (SocketChar *s)
{
  if (s->path)
    {
      unix_connect (s);
      return;
    }
  VmCharLookup *lookup = vm_char_lookup (s->parent.env->loop, s->host, s->port, s->family, looked_up, s);
  if (lookup)
    s->lookup = lookup;
}

static void
retry_now (void *opaque)
{
  SocketChar *s = opaque;

  vm_object_ref (&s->parent.parent);
  socket_connect (s);
  vm_object_unref (&s->parent.parent);
}

/* --- options ----------------------------------------------------------------------------------- */

static bool
refuse_unavailable (const VmCharOptions *options, GError **error)
{
  static const char *const flags[] = { "websocket", "tn3270" };

  if (vm_keyvals_get (options, "tls-creds") || vm_keyvals_get (options, "tls-authz"))
    {
      g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "TLS of character devices is not available in this build");
      return false;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      bool on = false;

      if (!vm_keyvals_bool (options, flags[i], &on, error))
        return false;
      if (on)
        {
          g_set_error (error, VM_ERROR, VM_ERROR_NOT_AVAILABLE, "'%s' is not available in this build", flags[i]);
          return false;
        }
    }
  return true;
}

static bool
read_options (SocketChar *s, const VmCharOptions *options, GError **error)
{
  uint64_t seconds = 0;
  bool delay = true;

  s->tight = true;
  s->wait = true;
  if (!refuse_unavailable (options, error) || !vm_keyvals_bool (options, "server", &s->server, error) ||
      !vm_keyvals_bool (options, "wait", &s->wait, error) || !vm_keyvals_bool (options, "telnet", &s->telnet, error) ||
      !vm_keyvals_bool (options, "delay", &delay, error) ||
      !vm_keyvals_bool (options, "nodelay", &s->nodelay, error) ||
      !vm_keyvals_bool (options, "abstract", &s->abstract, error) ||
      !vm_keyvals_bool (options, "tight", &s->tight, error) ||
      !vm_keyvals_uint (options, "reconnect", &seconds, UINT32_MAX, error) ||
      !vm_keyvals_uint (options, "reconnect-ms", &s->reconnect_ms, UINT32_MAX, error))
    return false;
  s->nodelay |= !delay;
  if (seconds && s->reconnect_ms)
    return vm_fail (error, "'reconnect' and 'reconnect-ms' are mutually exclusive");
  s->reconnect_ms += seconds * 1000;
  if (s->server && s->reconnect_ms)
    return vm_fail (error, "'reconnect' option is incompatible with socket in server listen mode");
  if (!s->server && vm_keyvals_has (options, "wait"))
    return vm_fail (error, "'wait' option is incompatible with socket in client connect mode");
  s->family = vm_char_addr_family (options, error);
  return s->family >= 0;
}

static bool
read_address (SocketChar *s, const VmCharOptions *options, GError **error)
{
  const char *host = vm_keyvals_get (options, "host");

  s->path = g_strdup (vm_keyvals_get (options, "path"));
  if (s->path && *s->path)
    return true;
  g_clear_pointer (&s->path, g_free);
  const char *port = vm_char_require (options, "port", "socket", "no port given", error);
  if (!port)
    return false;
  s->host = g_strdup (host && *host ? host : s->server ? "" : "localhost");
  s->port = g_strdup (port);
  return true;
}

/* fd=: a socket that was inherited, listening or connected. */
static bool
use_inherited (SocketChar *s, const char *text, GError **error)
{
  char *end;
  gint64 fd = g_ascii_strtoll (text, &end, 10);
  int listening = 0;
  socklen_t len = sizeof listening;

  if (end == text || *end || fd < 0 || fd > INT_MAX)
    return vm_fail (error, "Unable to parse FD number %s", text);
  if (getsockopt ((int) fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
    return vm_fail (error, "File descriptor '%s' is not a socket", text);
  if (s->server != (listening != 0))
    return vm_fail (error, "File descriptor '%s' is%s a listening socket", text, listening ? "" : " not");
  fcntl ((int) fd, F_SETFD, FD_CLOEXEC);
  fcntl ((int) fd, F_SETFL, fcntl ((int) fd, F_GETFL) | O_NONBLOCK);
  if (s->server)
    s->listener = (int) fd;
  else
    connection_begin (s, (int) fd);
  return true;
}

static void
socket_init (VmObject *obj)
{
  SocketChar *s = (SocketChar *) obj;

  s->listener = s->connecting = -1;
  s->encoded = g_byte_array_new ();
  s->decoded = g_byte_array_new ();
  s->fds = g_array_new (FALSE, FALSE, sizeof (int));
}

static bool
socket_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  SocketChar *s = (SocketChar *) chr;
  const char *fd = vm_keyvals_get (options, "fd");
  uint64_t to = 0;

  if (!read_options (s, options, error) || !vm_keyvals_uint (options, "to", &to, 65535, error))
    return false;
  if (chr->env->clocks)
    vm_timer_init (&s->retry, chr->env->clocks, VM_CLOCK_REALTIME, retry_now, s);
  if (fd)
    {
      s->host = g_strdup ("fd");
      s->port = g_strdup (fd);
      if (!use_inherited (s, fd, error))
        return false;
    }
  else if (!read_address (s, options, error))
    return false;
  else if (s->server && !(s->path ? unix_listen (s, error) : tcp_listen (s, (unsigned) to, error)))
    return false;

  if (!s->stream.chr)
    name_disconnected (s);
  listen_on (s);
  if (!s->server && !fd)
    socket_connect (s);
  if (!chr->failed)
    return true;
  g_propagate_error (error, g_steal_pointer (&chr->failed));
  return false;
}

static void
socket_close (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  if (s->retry.clocks)
    vm_timer_cancel (&s->retry);
  vm_char_lookup_cancel (g_steal_pointer (&s->lookup));
  connect_end (s);
  drop_connection (s);
  vm_source_clear (&s->listen_source);
  if (s->listener >= 0)
    {
      close (s->listener);
      if (s->path && !s->abstract)
        unlink (s->path);
    }
  s->listener = -1;
}

static void
socket_finalize (VmObject *obj)
{
  SocketChar *s = (SocketChar *) obj;

  vm_chardev_ensure_closed (&s->parent);
  g_byte_array_unref (s->encoded);
  g_byte_array_unref (s->decoded);
  g_array_unref (s->fds);
  g_free (s->host);
  g_free (s->port);
  g_free (s->path);
}

static bool
socket_pending (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  return !chr->open && (s->server ? s->wait : s->lookup || s->connecting >= 0);
}

static size_t
socket_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  SocketChar *s = (SocketChar *) chr;
  size_t done = 0;

  if (!s->telnet)
    return vm_char_stream_write (&s->stream, buf, len);
  while (done < len && telnet_flush (s))
    {
      size_t n = MIN (len - done, WRITE_MAX);

      telnet_send (s->terminal, (const char *) buf + done, n);
      done += n;
    }
  telnet_flush (s);
  return done;
}

static void
socket_accept_input (VmChardev *chr)
{
  vm_char_stream_accept_input (&((SocketChar *) chr)->stream);
}

static const VmChardevClass socket_class = {
  .backend = "socket", .open = socket_open, .close = socket_close, .write = socket_write,
  .accept_input = socket_accept_input, .pending = socket_pending, .take_fd = socket_take_fd,
};

const VmType vm_chardev_socket_type = {
  .name = "chardev-socket", .parent = &vm_chardev_type, .size = sizeof (SocketChar),
  .help = "a TCP or Unix stream", .init = socket_init, .finalize = socket_finalize, .klass = &socket_class,
};
