/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of sockets. */
#include "engine/char/char-link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITE_MAX 4096      /* bytes put into their form at once */
#define OUT_MAX (64 * 1024) /* whoever makes us talk beyond this and does not listen is let go */
#define FDS_MAX 16          /* descriptors that may come with one read */

static VmCharLink *
link_of (VmChardev *chr)
{
  return &((VmLinkChar *) chr)->link;
}

void
vm_char_link_init (VmCharLink *l, VmChardev *chr)
{
  l->chr = chr;
  l->fd = -1;
  l->out = g_byte_array_new ();
  l->text = g_byte_array_new ();
  l->fds = g_array_new (FALSE, FALSE, sizeof (int));
}

void
vm_char_link_clear (VmCharLink *l)
{
  vm_char_link_drop (l);
  g_byte_array_unref (l->out);
  g_byte_array_unref (l->text);
  g_array_unref (l->fds);
}

/* --- the system's calls, and TLS instead --------------------------------------------------------- */

static void
keep_fds (VmCharLink *l, const struct cmsghdr *c)
{
  size_t count = (c->cmsg_len - CMSG_LEN (0)) / sizeof (int);

  for (size_t i = 0; i < count; i++)
    {
      int got;

      memcpy (&got, CMSG_DATA (c) + i * sizeof (int), sizeof got);
      if (l->fds->len < FDS_MAX)
        g_array_append_val (l->fds, got);
      else
        close (got);
    }
}

static ssize_t
socket_read (VmChardev *chr, int fd, void *buf, size_t len)
{
  char control[CMSG_SPACE (FDS_MAX * sizeof (int))];
  struct iovec iov = { .iov_base = buf, .iov_len = len };
  struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  ssize_t n = recvmsg (fd, &msg, MSG_CMSG_CLOEXEC);

  for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR (&msg) : NULL; c; c = CMSG_NXTHDR (&msg, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      keep_fds (link_of (chr), c);
  return n;
}

int
vm_char_link_take_fd (VmCharLink *l)
{
  if (l->fds->len == 0)
    return -1;
  int fd = g_array_index (l->fds, int, 0);
  g_array_remove_index (l->fds, 0);
  return fd;
}

static ssize_t
tls_read (VmChardev *chr, int fd, void *buf, size_t len)
{
  return vm_tls_session_read (link_of (chr)->tls, buf, len);
}

static ssize_t
tls_write (VmChardev *chr, int fd, const void *buf, size_t len)
{
  return vm_tls_session_write (link_of (chr)->tls, buf, len);
}

static bool
link_unsent (VmChardev *chr)
{
  VmCharLink *l = link_of (chr);

  return l->tls && !vm_tls_session_flush (l->tls);
}

/* --- bytes --------------------------------------------------------------------------------------- */

/* True when nothing is left over. */
static bool
flush (VmCharLink *l)
{
  size_t n = vm_char_stream_write (&l->stream, l->out->data, l->out->len);

  g_byte_array_remove_range (l->out, 0, n);
  return l->out->len == 0;
}

static void
link_flush (VmChardev *chr)
{
  flush (link_of (chr));
}

static bool
link_held (VmChardev *chr)
{
  VmCharLink *l = link_of (chr);

  return l->text->len || (l->tls && vm_tls_session_pending (l->tls));
}

static bool
link_deliver (VmChardev *chr)
{
  VmCharLink *l = link_of (chr);
  uint8_t buf[WRITE_MAX];

  for (size_t n; chr->open && l->text->len && (n = MIN (vm_chardev_can_receive (chr), l->text->len)) > 0;)
    {
      n = MIN (n, sizeof buf);
      memcpy (buf, l->text->data, n);
      g_byte_array_remove_range (l->text, 0, n); /* first: whoever receives may end the connection */
      vm_chardev_receive (chr, buf, n);
    }
  return l->text->len == 0;
}

static void
link_over (VmCharLink *l, const char *why)
{
  VmChardev *chr = l->chr;

  vm_char_link_drop (l);
  l->gone (chr, why);
}

static void
link_data (VmChardev *chr, const uint8_t *buf, size_t len)
{
  VmCharLink *l = link_of (chr);
  unsigned breaks = 0;
  bool fine = vm_char_wire_decode (l->wire, buf, len, l->text, l->out, &breaks);

  flush (l);
  if (l->stream.eager && vm_char_wire_is_open (l->wire))
    {
      l->stream.eager = false;
      l->opened (chr);
    }
  int fd = l->fd;
  link_deliver (chr);
  if (l->fd != fd || fd < 0) /* who received has ended it */
    return;
  if (breaks)
    vm_chardev_event (chr, VM_CHAR_BREAK);
  if (l->fd == fd && (!fine || l->out->len > OUT_MAX))
    link_over (l, NULL);
}

static void
link_eof (VmChardev *chr)
{
  link_over (link_of (chr), NULL);
}

size_t
vm_char_link_write (VmCharLink *l, const uint8_t *buf, size_t len)
{
  size_t done = 0;

  if (!l->wire)
    return len;
  if (l->kind == VM_CHAR_WIRE_PLAIN)
    return vm_char_stream_write (&l->stream, buf, len);
  while (done < len && flush (l))
    {
      size_t n = MIN (len - done, WRITE_MAX);

      vm_char_wire_encode (l->wire, buf + done, n, l->out);
      done += n;
    }
  flush (l);
  return done;
}

/* --- beginning and end --------------------------------------------------------------------------- */

static void
link_open (VmCharLink *l)
{
  l->wire = vm_char_wire_new (l->kind, l->out);
  bool open = vm_char_wire_is_open (l->wire);
  l->stream = (VmCharStream){
    .is_socket = true,
    .eager = !open,
    .read = l->tls ? tls_read : socket_read,
    .write = l->tls ? tls_write : NULL,
    .unsent = link_unsent,
    .eof = link_eof,
  };
  if (l->kind != VM_CHAR_WIRE_PLAIN)
    {
      l->stream.data = link_data;
      l->stream.deliver = link_deliver;
      l->stream.flush = link_flush;
    }
  if (l->tls || l->kind != VM_CHAR_WIRE_PLAIN)
    l->stream.held = link_held;
  vm_char_stream_open (&l->stream, l->chr, l->fd, l->fd);
  flush (l);
  if (open)
    l->opened (l->chr);
}

static void
link_shaken (void *opaque, const GError *error)
{
  VmCharLink *l = opaque;
  VmChardev *chr = l->chr;

  vm_object_ref (&chr->parent);
  if (error)
    link_over (l, error->message);
  else
    link_open (l);
  vm_object_unref (&chr->parent);
}

void
vm_char_link_begin (VmCharLink *l, int fd, VmCharWireKind kind, VmTlsSession *tls)
{
  l->fd = fd;
  l->kind = kind;
  l->tls = tls;
  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  if (tls)
    vm_tls_session_start (tls, l->chr->env->loop, fd, link_shaken, l);
  else
    link_open (l);
}

void
vm_char_link_drop (VmCharLink *l)
{
  if (l->fd < 0)
    return;
  if (l->wire)
    {
      vm_char_wire_end (l->wire, l->out);
      flush (l);
      if (l->tls)
        vm_tls_session_bye (l->tls);
    }
  vm_char_stream_close (&l->stream);
  if (!l->stream.chr)
    close (l->fd);
  l->fd = -1;
  l->stream.chr = NULL;
  g_clear_pointer (&l->tls, vm_tls_session_free);
  g_clear_pointer (&l->wire, vm_char_wire_free);
  g_byte_array_set_size (l->out, 0);
  g_byte_array_set_size (l->text, 0);
  for (unsigned i = 0; i < l->fds->len; i++)
    close (g_array_index (l->fds, int, i));
  g_array_set_size (l->fds, 0);
}
