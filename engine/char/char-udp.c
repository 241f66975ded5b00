/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The udp back end: each write is a datagram, each datagram that comes is input. */
#include "engine/char/char-addr.h"
#include "engine/char/char-private.h"
#include "engine/io/address.h"

#include <errno.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536

typedef struct UdpChar {
  VmChardev parent;
  int       fd; /* -1: none */
  GSource  *source;
  uint8_t  *datagram; /* the last one, as far as the front end has not taken it */
  size_t    len, at;
} UdpChar;

static void
udp_deliver (UdpChar *s)
{
  VmChardev *chr = &s->parent;

  for (size_t n; s->at < s->len && (n = MIN (vm_chardev_can_receive (chr), s->len - s->at)) > 0;)
    {
      s->at += n;
      vm_chardev_receive (chr, s->datagram + s->at - n, n);
    }
}

static bool
udp_in (int fd, GIOCondition condition, void *opaque)
{
  UdpChar *s = opaque;

  vm_object_ref (&s->parent.parent);
  udp_deliver (s);
  if (s->fd >= 0 && s->at == s->len && vm_chardev_can_receive (&s->parent))
    {
      ssize_t n = recv (fd, s->datagram, DATAGRAM_MAX, MSG_DONTWAIT);

      s->at = 0;
      s->len = MAX (n, 0); /* nobody there: the error of an earlier datagram, of no interest */
      udp_deliver (s);
    }
  if (!vm_chardev_can_receive (&s->parent))
    vm_source_clear (&s->source);
  vm_object_unref (&s->parent.parent);
  return true;
}

/* The rest of a datagram that was taken in part. */
static void
udp_continue (void *opaque)
{
  UdpChar *s = opaque;

  if (s->fd >= 0)
    udp_deliver (s);
  vm_object_unref (&s->parent.parent);
}

static void
udp_accept_input (VmChardev *chr)
{
  UdpChar *s = (UdpChar *) chr;

  if (s->fd < 0)
    return;
  if (s->at < s->len)
    {
      vm_object_ref (&chr->parent);
      vm_loop_post (chr->env->loop, udp_continue, s);
    }
  if (!s->source)
    s->source = vm_loop_watch_fd (chr->env->loop, s->fd, G_IO_IN | G_IO_ERR, udp_in, s);
}

static size_t
udp_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  send (((UdpChar *) chr)->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL); /* a datagram may be lost */
  return len;
}

static int
udp_bind_and_connect (const VmSockaddr *local, const VmSockaddr *remote)
{
  int one = 1, fd = socket (remote->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0)
    return -1;
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if ((local && bind (fd, &local->any, local->len) < 0) || connect (fd, &remote->any, remote->len) < 0)
    {
      int err = errno;
      close (fd);
      errno = err;
      return -1;
    }
  return fd;
}

static GArray *
udp_resolve (const char *host, const char *port, int family, bool passive, GError **error)
{
  VmAddress address = { .host = (char *) host, .port = (char *) port, .family = family };

  return vm_address_resolve (&address, SOCK_DGRAM, passive, error);
}

static bool
udp_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  UdpChar *s = (UdpChar *) chr;
  const char *host = vm_keyvals_get (options, "host"), *port = vm_keyvals_get (options, "port");
  const char *local_host = vm_keyvals_get (options, "localaddr"), *local_port = vm_keyvals_get (options, "localport");
  g_autoptr (GArray) local = NULL, remote = NULL;
  int family = vm_char_addr_family (options, error);

  if (family < 0)
    return false;
  if (!port || !*port)
    return vm_fail (error, "chardev: udp: remote port not specified");
  remote = udp_resolve (host && *host ? host : "localhost", port, family, false, error);
  if (!remote)
    return false;
  const VmSockaddr *there = &g_array_index (remote, VmSockaddr, 0);
  if (local_host || local_port)
    {
      local = udp_resolve (local_host ? local_host : "", local_port ? local_port : "0", there->any.sa_family, true, error);
      if (!local)
        return false;
    }
  s->fd = udp_bind_and_connect (local ? &g_array_index (local, VmSockaddr, 0) : NULL, there);
  if (s->fd < 0)
    return vm_fail (error, "Failed to bind socket: %s", g_strerror (errno));
  s->datagram = g_malloc (DATAGRAM_MAX);
  chr->open = true;
  vm_chardev_set_filename (chr, "udp");
  udp_accept_input (chr);
  return true;
}

static void
udp_init (VmObject *obj)
{
  ((UdpChar *) obj)->fd = -1;
}

static void
udp_close (VmChardev *chr)
{
  UdpChar *s = (UdpChar *) chr;

  vm_source_clear (&s->source);
  if (s->fd >= 0)
    close (s->fd);
  s->fd = -1;
  s->at = s->len = 0;
  g_clear_pointer (&s->datagram, g_free);
}

static const VmChardevClass udp_class = {
  .backend = "udp", .open = udp_open, .close = udp_close, .write = udp_write, .accept_input = udp_accept_input,
};

const VmType vm_chardev_udp_type = {
  .name = "chardev-udp", .parent = &vm_chardev_type, .size = sizeof (UdpChar), .help = "UDP datagrams",
  .init = udp_init, .klass = &udp_class,
};
