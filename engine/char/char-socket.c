/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The socket back end: TCP and Unix streams, server or client. */
#include "engine/char/char-addr.h"
#include "engine/char/char-link.h"
#include "engine/io/connect.h"

#include "engine/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

typedef struct SocketChar {
  VmLinkChar    base;
  /* options */
  VmAddress     address;
  VmCharWireKind wire;
  bool          server, wait, nodelay, inherited;
  uint64_t      reconnect_ms;
  VmTlsCreds   *creds; /* NULL: no TLS */
  char         *authz;
  /* state */
  int           listener; /* -1: none */
  char         *bound_path; /* to be removed; a daemon's working folder changes */
  GSource      *listen_source;
  VmConnect    *connect;  /* NULL: none under way */
  VmTimer       retry;
  bool          complained;
} SocketChar;

static VmChardev *
socket_chr (SocketChar *s)
{
  return &s->base.parent;
}

static bool
is_unix (const SocketChar *s)
{
  return s->address.kind == VM_ADDRESS_UNIX;
}

/* --- names ------------------------------------------------------------------------------------- */

static const char *
socket_kind (SocketChar *s)
{
  static const char *const kinds[] = {
    [VM_CHAR_WIRE_PLAIN] = "tcp", [VM_CHAR_WIRE_TELNET] = "telnet", [VM_CHAR_WIRE_TN3270] = "tn3270",
    [VM_CHAR_WIRE_WEBSOCKET] = "websocket",
  };

  return is_unix (s) ? "unix" : kinds[s->wire];
}

static void
name_disconnected (SocketChar *s)
{
  VmSockaddr addr;
  g_autofree char *where = NULL;

  if (!is_unix (s) && s->listener >= 0 && vm_sockaddr_of (&addr, s->listener, false))
    where = vm_sockaddr_text (&addr);
  else
    where = vm_address_text (&s->address);
  vm_chardev_set_filename (socket_chr (s), "disconnected:%s:%s%s", socket_kind (s), where, s->server ? ",server=on" : "");
}

static void
name_connected (SocketChar *s, int fd)
{
  VmSockaddr local, peer;
  const char *server = s->server ? ",server=on" : "";

  if (is_unix (s) || !vm_sockaddr_of (&local, fd, false) || !vm_sockaddr_of (&peer, fd, true)
      || local.any.sa_family == AF_UNIX)
    {
      g_autofree char *path = is_unix (s) ? vm_address_text (&s->address) : g_strdup ("");
      vm_chardev_set_filename (socket_chr (s), "unix:%s%s", path, server);
      return;
    }
  g_autofree char *here = vm_sockaddr_text (&local);
  g_autofree char *there = vm_sockaddr_text (&peer);
  vm_chardev_set_filename (socket_chr (s), "%s:%s%s <-> %s", socket_kind (s), here, server, there);
}

/* --- a connection ------------------------------------------------------------------------------ */

static bool socket_accept (int fd, GIOCondition condition, void *opaque);

static void
listen_on (SocketChar *s)
{
  if (s->listener >= 0 && !s->listen_source)
    s->listen_source = vm_loop_watch_fd (socket_chr (s)->env->loop, s->listener, G_IO_IN, socket_accept, s);
}

static void
retry_later (SocketChar *s)
{
  if (s->reconnect_ms && s->retry.clocks)
    vm_timer_set (&s->retry,
                  vm_clock_now (s->retry.clocks, VM_CLOCK_REALTIME) + (int64_t) s->reconnect_ms * VM_NS_PER_MS);
}

static void connect_failed (SocketChar *s, const char *message);

/* A server says why it refused the first of a row of clients, so that strangers cannot fill the log. */
static void
socket_gone (VmChardev *chr, const char *why)
{
  SocketChar *s = (SocketChar *) chr;

  name_disconnected (s);
  vm_chardev_event (chr, VM_CHAR_CLOSED);
  if (chr->closed || s->base.link.fd >= 0) /* removed, or connected again, by whoever was told */
    return;
  listen_on (s);
  if (why && s->server)
    {
      if (!s->complained)
        vm_report_warning ("character device %s: %s", chr->parent.id ? chr->parent.id : "", why);
      s->complained = true;
    }
  else if (why)
    connect_failed (s, why);
  else
    retry_later (s);
}

static void
socket_opened (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  s->complained = false;
  name_connected (s, s->base.link.fd);
  vm_chardev_event (chr, VM_CHAR_OPENED);
}

static void
connection_begin (SocketChar *s, int fd)
{
  int one = 1;
  g_autoptr (GError) error = NULL;
  const char *hostname = s->server || s->inherited ? NULL : s->address.host;
  VmTlsSession *tls = s->creds ? vm_tls_session_new (s->creds, hostname, s->authz, &error) : NULL;

  if (error)
    {
      close (fd);
      socket_gone (socket_chr (s), error->message);
      return;
    }
  if (!is_unix (s) && s->nodelay)
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  vm_source_clear (&s->listen_source); /* one at a time: the next waits in the backlog */
  vm_char_link_begin (&s->base.link, fd, s->wire, tls);
}

/* --- server ------------------------------------------------------------------------------------ */

static bool
socket_accept (int fd, GIOCondition condition, void *opaque)
{
  SocketChar *s = opaque;
  int client = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (client < 0)
    return true;
  vm_object_ref (&socket_chr (s)->parent);
  connection_begin (s, client);
  vm_object_unref (&socket_chr (s)->parent);
  return true;
}

static bool
start_listening (SocketChar *s, GError **error)
{
  g_autoptr (GArray) list = vm_address_resolve (&s->address, SOCK_STREAM, true, error);

  s->listener = list ? vm_address_listen (&s->address, list, 1, error) : -1;
  if (s->listener >= 0 && is_unix (s) && !s->address.abstract)
    s->bound_path = g_canonicalize_filename (s->address.host, NULL);
  return s->listener >= 0;
}

/* --- client ------------------------------------------------------------------------------------ */

static void
connect_failed (SocketChar *s, const char *message)
{
  VmChardev *chr = socket_chr (s);

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
connected (void *opaque, int fd, const GError *error)
{
  SocketChar *s = opaque;

  vm_object_ref (&socket_chr (s)->parent);
  if (fd >= 0)
    connection_begin (s, fd);
  else
    connect_failed (s, error->message);
  vm_object_unref (&socket_chr (s)->parent);
}

static void
socket_connect (SocketChar *s)
{
  vm_connect_start (&s->connect, socket_chr (s)->env->loop, &s->address, connected, s);
}

static void
retry_now (void *opaque)
{
  socket_connect (opaque);
}

/* --- options ----------------------------------------------------------------------------------- */

static bool
read_wire (SocketChar *s, const VmCharOptions *options, GError **error)
{
  static const struct {
    const char    *key;
    VmCharWireKind kind;
  } wires[] = { /* the last one that is on counts */
    { "websocket", VM_CHAR_WIRE_WEBSOCKET }, { "tn3270", VM_CHAR_WIRE_TN3270 }, { "telnet", VM_CHAR_WIRE_TELNET },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (wires); i++)
    {
      bool on = false;

      if (!vm_keyvals_bool (options, wires[i].key, &on, error))
        return false;
      if (on)
        s->wire = wires[i].kind;
    }
  if (s->wire == VM_CHAR_WIRE_WEBSOCKET && !s->server)
    return vm_fail (error, "Websocket client is not implemented");
  return true;
}

static bool
read_tls (SocketChar *s, const VmCharOptions *options, GError **error)
{
  const char *creds = vm_keyvals_get (options, "tls-creds"), *authz = vm_keyvals_get (options, "tls-authz");

  if (!creds)
    return !authz || vm_fail (error, "'tls_authz' option requires 'tls_creds' option");
  if (vm_keyvals_get (options, "path"))
    return vm_fail (error, "'tls_creds' option is incompatible with 'unix' address type");
  s->creds = vm_tls_creds_find (socket_chr (s)->env->root, creds, s->server ? VM_TLS_SERVER : VM_TLS_CLIENT, error);
  if (!s->creds)
    return false;
  vm_object_ref ((VmObject *) s->creds);
  s->authz = g_strdup (authz);
  return true;
}

static bool
read_options (SocketChar *s, const VmCharOptions *options, GError **error)
{
  uint64_t seconds = 0;
  bool delay = true, tight = true;

  s->wait = true;
  if (!vm_keyvals_bool (options, "server", &s->server, error) || !vm_keyvals_bool (options, "wait", &s->wait, error)
      || !vm_keyvals_bool (options, "delay", &delay, error) || !vm_keyvals_bool (options, "nodelay", &s->nodelay, error)
      || !vm_keyvals_bool (options, "abstract", &s->address.abstract, error)
      || !vm_keyvals_bool (options, "tight", &tight, error)
      || !vm_keyvals_uint (options, "reconnect", &seconds, UINT32_MAX, error)
      || !vm_keyvals_uint (options, "reconnect-ms", &s->reconnect_ms, UINT32_MAX, error)
      || !read_wire (s, options, error) || !read_tls (s, options, error))
    return false;
  s->nodelay |= !delay;
  s->address.loose = !tight;
  if (seconds && s->reconnect_ms)
    return vm_fail (error, "'reconnect' and 'reconnect-ms' are mutually exclusive");
  s->reconnect_ms += seconds * 1000;
  if (s->server && s->reconnect_ms)
    return vm_fail (error, "'reconnect' option is incompatible with socket in server listen mode");
  if (!s->server && vm_keyvals_has (options, "wait"))
    return vm_fail (error, "'wait' option is incompatible with socket in client connect mode");
  if (!!vm_keyvals_get (options, "path") + !!vm_keyvals_get (options, "fd") + !!vm_keyvals_get (options, "host") > 1)
    return vm_fail (error, "None or one of 'path', 'fd' or 'host' option required.");
  s->address.family = vm_char_addr_family (options, error);
  return s->address.family >= 0;
}

static bool
read_address (SocketChar *s, const VmCharOptions *options, GError **error)
{
  const char *host = vm_keyvals_get (options, "host"), *path = vm_keyvals_get (options, "path");

  if (path && *path)
    {
      s->address.kind = VM_ADDRESS_UNIX;
      s->address.host = g_strdup (path);
      return true;
    }
  const char *port = vm_char_require (options, "port", "socket", "no port given", error);
  if (!port)
    return false;
  s->address.host = g_strdup (host && *host ? host : s->server ? "" : "localhost");
  s->address.port = g_strdup (port);
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

  s->listener = -1;
  vm_char_link_init (&s->base.link, &s->base.parent);
  s->base.link.opened = socket_opened;
  s->base.link.gone = socket_gone;
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
      s->inherited = true;
      s->address.host = g_strdup ("fd");
      s->address.port = g_strdup (fd);
      if (!use_inherited (s, fd, error))
        return false;
    }
  else if (!read_address (s, options, error))
    return false;
  s->address.to = (unsigned) to;
  if (!fd && s->server && !start_listening (s, error))
    return false;

  if (!chr->open)
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
  vm_connect_cancel (&s->connect);
  vm_char_link_drop (&s->base.link);
  vm_source_clear (&s->listen_source);
  if (s->listener >= 0)
    {
      close (s->listener);
      if (s->bound_path)
        unlink (s->bound_path);
    }
  s->listener = -1;
}

static void
socket_finalize (VmObject *obj)
{
  SocketChar *s = (SocketChar *) obj;

  vm_chardev_ensure_closed (&s->base.parent);
  vm_char_link_clear (&s->base.link);
  if (s->creds)
    vm_object_unref ((VmObject *) s->creds);
  g_free (s->authz);
  vm_address_clear (&s->address);
  g_free (s->bound_path);
}

static bool
socket_pending (VmChardev *chr)
{
  SocketChar *s = (SocketChar *) chr;

  return !chr->open && (s->server ? s->wait : s->connect || s->base.link.fd >= 0);
}

static size_t
socket_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return vm_char_link_write (&((VmLinkChar *) chr)->link, buf, len);
}

static int
socket_take_fd (VmChardev *chr)
{
  return vm_char_link_take_fd (&((VmLinkChar *) chr)->link);
}

static void
socket_accept_input (VmChardev *chr)
{
  vm_char_stream_accept_input (&((VmLinkChar *) chr)->link.stream);
}

/* Ends the connection as if the peer had: it shows on the input side. */
static bool
socket_add_client (VmChardev *chr, int fd, GError **error)
{
  SocketChar *s = (SocketChar *) chr;
  int kind = 0;
  socklen_t len = sizeof kind;

  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &kind, &len) < 0 || kind != SOCK_STREAM)
    return vm_fail (error, "add_client expects a stream socket");
  if (!s->server || s->base.link.fd >= 0)
    return vm_fail (error, "Chardev '%s' %s", chr->parent.id, s->server ? "has a client already" : "is no server");
  fcntl (fd, F_SETFD, FD_CLOEXEC);
  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  vm_object_ref (&chr->parent);
  connection_begin (s, fd);
  vm_object_unref (&chr->parent);
  return true;
}

static void
socket_yank (VmChardev *chr)
{
  int fd = ((VmLinkChar *) chr)->link.fd;

  if (fd >= 0)
    shutdown (fd, SHUT_RDWR);
}

static bool
socket_passes_fds (VmChardev *chr, int *fd)
{
  SocketChar *s = (SocketChar *) chr;
  struct sockaddr_storage addr;
  socklen_t len = sizeof addr;

  *fd = s->base.link.fd;
  if (s->wire != VM_CHAR_WIRE_PLAIN || s->creds)
    return false;
  if (*fd < 0)
    return s->address.kind == VM_ADDRESS_UNIX;
  return getsockname (*fd, (struct sockaddr *) &addr, &len) == 0 && addr.ss_family == AF_UNIX;
}

static const VmChardevClass socket_class = {
  .backend = "socket", .open = socket_open, .close = socket_close, .write = socket_write,
  .accept_input = socket_accept_input, .pending = socket_pending, .take_fd = socket_take_fd,
  .yank = socket_yank, .passes_fds = socket_passes_fds, .add_client = socket_add_client,
};

const VmType vm_chardev_socket_type = {
  .name = "chardev-socket", .parent = &vm_chardev_type, .size = sizeof (SocketChar),
  .help = "a TCP or Unix stream", .init = socket_init, .finalize = socket_finalize, .klass = &socket_class,
};
