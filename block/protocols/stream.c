/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stream socket in fibers: whole reads and writes, with TLS when it was asked for. */
#include "block/protocols/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum
{
  AHEAD_SIZE = 16 * 1024,
  PIECES = 64
};

void
vm_stream_init (VmStream *s, VmLoop *loop, int fd)
{
  *s = (VmStream){ .loop = loop, .fd = fd, .ahead = g_malloc (AHEAD_SIZE) };
}

void
vm_stream_clear (VmStream *s)
{
  if (s->tls)
    vm_tls_session_free (s->tls);
  if (s->fd >= 0)
    close (s->fd);
  g_free (s->ahead);
  *s = (VmStream){ .fd = -1 };
}

void
vm_stream_break (VmStream *s)
{
  if (s->fd >= 0)
    shutdown (s->fd, SHUT_RDWR);
}

/* --- waiting -------------------------------------------------------------------------------------------------------
 */

static bool
on_ready (int fd, GIOCondition condition, void *opaque)
{
  vm_fiber_wake (opaque);
  return false;
}

static void
wait_for (VmStream *s, GIOCondition condition)
{
  GSource *watch = vm_loop_watch_fd (s->loop, s->fd, condition, on_ready, vm_fiber_self ());

  vm_fiber_suspend ();
  vm_source_clear (&watch);
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */

/* Some bytes, at least one; 0: the end. */
static size_t
read_some (VmStream *s, void *buffer, size_t len)
{
  for (;;)
    {
      ssize_t n = s->tls ? vm_tls_session_read (s->tls, buffer, len) : recv (s->fd, buffer, len, MSG_DONTWAIT);
      if (n >= 0)
        return (size_t) n;
      if (errno == EAGAIN)
        wait_for (s, G_IO_IN);
      else if (errno != EINTR)
        return 0;
    }
}

bool
vm_stream_read (VmStream *s, void *buffer, size_t len)
{
  char *to = buffer;

  while (len)
    {
      size_t n;
      if (s->ahead_n)
        {
          n = MIN (len, s->ahead_n);
          memcpy (to, s->ahead + s->ahead_at, n);
          s->ahead_at += n;
          s->ahead_n -= n;
        }
      else if (len >= AHEAD_SIZE)
        {
          n = read_some (s, to, len);
          if (!n)
            return false;
        }
      else
        {
          s->ahead_at = 0;
          s->ahead_n = read_some (s, s->ahead, AHEAD_SIZE);
          if (!s->ahead_n)
            return false;
          continue;
        }
      to += n;
      len -= n;
    }
  return true;
}

bool
vm_stream_read_vec (VmStream *s, VmVec vec)
{
  struct iovec piece;

  while (vec.size)
    {
      vm_vec_take (&vec, &piece, 1);
      if (!vm_stream_read (s, piece.iov_base, piece.iov_len))
        return false;
    }
  return true;
}

bool
vm_stream_skip (VmStream *s, uint64_t len)
{
  uint8_t sink[4096];

  for (size_t n; len; len -= n)
    {
      n = MIN (len, sizeof sink);
      if (!vm_stream_read (s, sink, n))
        return false;
    }
  return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool
write_tls (VmStream *s, const void *buffer, size_t len)
{
  for (size_t at = 0; at < len;)
    {
      ssize_t n = vm_tls_session_write (s->tls, (const char *) buffer + at, len - at);
      if (n >= 0)
        at += (size_t) n;
      else if (errno == EAGAIN)
        wait_for (s, G_IO_OUT);
      else if (errno != EINTR)
        return false;
    }
  while (!vm_tls_session_flush (s->tls))
    {
      if (errno != EAGAIN)
        return false;
      wait_for (s, G_IO_OUT);
    }
  return true;
}

/* Drops the first N bytes of N_PIECES pieces; gives those left, moved to the front. */
static unsigned
drop (struct iovec *pieces, unsigned n_pieces, size_t n)
{
  unsigned first = 0;

  while (first < n_pieces && n >= pieces[first].iov_len)
    n -= pieces[first++].iov_len;
  memmove (pieces, pieces + first, (n_pieces - first) * sizeof *pieces);
  if (n)
    {
      pieces[0].iov_base = (char *) pieces[0].iov_base + n;
      pieces[0].iov_len -= n;
    }
  return n_pieces - first;
}

static bool
write_pieces (VmStream *s, struct iovec *pieces, unsigned n)
{
  while (n)
    {
      struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };
      ssize_t done = sendmsg (s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (done >= 0)
        n = drop (pieces, n, (size_t) done);
      else if (errno == EAGAIN)
        wait_for (s, G_IO_OUT);
      else if (errno != EINTR)
        return false;
    }
  return true;
}

bool
vm_stream_write_vec (VmStream *s, const void *head, size_t len, VmVec vec)
{
  struct iovec pieces[PIECES];
  unsigned n = 0;

  if (len)
    pieces[n++] = (struct iovec){ (void *) (uintptr_t) head, len };
  do
    {
      n += vm_vec_take (&vec, pieces + n, PIECES - n);
      if (!s->tls && !write_pieces (s, pieces, n))
        return false;
      for (unsigned i = 0; s->tls && i < n; i++)
        if (!write_tls (s, pieces[i].iov_base, pieces[i].iov_len))
          return false;
      n = 0;
    }
  while (vec.size);
  return true;
}

bool
vm_stream_write (VmStream *s, const void *buffer, size_t len)
{
  return vm_stream_write_vec (s, buffer, len, (VmVec){ NULL, 0, 0 });
}

/* --- TLS -------------------------------------------------------------------------------------- */

typedef struct Handshake
{
  VmFiber *fiber;
  GError *error;
} Handshake;

static void
on_hands_shaken (void *opaque, const GError *error)
{
  Handshake *h = opaque;

  h->error = error ? g_error_copy (error) : NULL;
  vm_fiber_wake (h->fiber);
}

bool
vm_stream_start_tls (VmStream *s, VmTlsCreds *creds, const char *hostname, GError **error)
{
  Handshake h = { vm_fiber_self (), NULL };
  VmTlsSession *session;

  if (s->ahead_n) /* somebody in between may have put it there */
    return vm_fail (error, "The other end sent something before TLS began");
  session = vm_tls_session_new (creds, hostname, NULL, error);
  if (!session)
    return false;
  vm_tls_session_start (session, s->loop, s->fd, on_hands_shaken, &h);
  vm_fiber_suspend ();
  if (h.error)
    {
      vm_tls_session_free (session);
      g_propagate_error (error, h.error);
      return false;
    }
  s->tls = session;
  return true;
}
