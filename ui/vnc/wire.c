/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections: see wire.h. */
#include "ui/vnc/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILL 16384
#define FILLS_IN_A_ROW 4       /* then others have their turn */
#define EXTRA_MAX (512 * 1024) /* unread by the client, pictures apart */
#define BUFFER_KEPT (256 * 1024)
#define UNSENT_KEPT (128 * 1024) /* in the kernel: what lies there is old when it arrives */

void
vnc_wire_init (VncWire *w, VmLoop *loop, int fd)
{
  int one = 1, unsent = UNSENT_KEPT;

  *w = (VncWire){ .loop = loop, .fd = fd, .in = g_byte_array_new (), .out = g_byte_array_new () };
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* of a Unix socket these fail */
  setsockopt (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

void
vnc_wire_clear (VncWire *w)
{
  vm_source_clear (&w->read_watch);
  vm_source_clear (&w->write_watch);
  vm_source_clear (&w->poke);
  g_clear_pointer (&w->tls, vm_tls_session_free);
  g_clear_pointer (&w->websocket, vm_websocket_free);
  g_byte_array_unref (w->in);
  g_byte_array_unref (w->out);
  close (w->fd);
}

static void
wake (VncWire *w)
{
  VmFiber *waiting = g_steal_pointer (&w->waiting);

  if (waiting)
    vm_fiber_wake (waiting);
}

static gboolean
on_poke (gpointer opaque)
{
  VncWire *w = opaque;

  vm_source_clear (&w->poke);
  wake (w);
  return G_SOURCE_REMOVE;
}

/* Not at once: the connection may be gone when a woken fiber waits again, and callers still have it in their hands. */
void
vnc_wire_poke (VncWire *w)
{
  if (w->poke)
    return;
  w->poke = g_idle_source_new ();
  g_source_set_priority (w->poke, G_PRIORITY_DEFAULT);
  g_source_set_callback (w->poke, on_poke, w, NULL);
  g_source_attach (w->poke, vm_loop_context (w->loop));
}

void
vnc_wire_wait (VncWire *w)
{
  w->waiting = vm_fiber_self ();
  vm_fiber_suspend ();
  w->waiting = NULL;
}

void
vnc_wire_break (VncWire *w)
{
  if (w->over)
    return;
  w->over = true;
  if (w->tls)
    vm_tls_session_bye (w->tls);
  shutdown (w->fd, SHUT_RDWR);
  vm_source_clear (&w->write_watch);
  vnc_wire_poke (w);
}

/* --- writing -------------------------------------------------------------------------------------------- */

static bool on_writable (int fd, GIOCondition condition, void *opaque);

static ssize_t
write_some (VncWire *w)
{
  const uint8_t *bytes = w->out->data + w->out_at;
  size_t len = vnc_wire_pending (w);

  return w->tls ? vm_tls_session_write (w->tls, bytes, len) : send (w->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
all_written (VncWire *w)
{
  w->out_at = 0;
  w->extra = 0;
  if (w->out->len > BUFFER_KEPT)
    {
      g_byte_array_unref (w->out);
      w->out = g_byte_array_new ();
    }
  else
    g_byte_array_set_size (w->out, 0);
  if (w->drained)
    w->drained (w->opaque);
}

static void
write_out (VncWire *w)
{
  bool had = w->out->len > 0; /* nobody has been told that it has gone, as TLS may still hold some */
  while (vnc_wire_pending (w))
    {
      ssize_t n = write_some (w);
      if (n > 0)
        {
          w->out_at += (guint) n;
          continue;
        }
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN)
        break;
      vnc_wire_break (w);
      return;
    }
  bool unsent = w->tls && !vm_tls_session_flush (w->tls);
  if (!vnc_wire_pending (w) && !unsent)
    {
      vm_source_clear (&w->write_watch);
      if (had)
        all_written (w);
    }
  else if (!w->write_watch)
    w->write_watch = vm_loop_watch_fd (w->loop, w->fd, G_IO_OUT, on_writable, w);
}

static bool
on_writable (int fd, GIOCondition condition, void *opaque)
{
  write_out (opaque);
  return true;
}

static void
flush (VncWire *w)
{
  if (!w->over && !w->write_watch)
    write_out (w);
}

static void
put (VncWire *w, const void *buf, size_t len)
{
  g_autofree uint8_t *sealed = NULL;

  if (w->over || !len)
    return;
  if (w->sasl)
    {
      size_t sealed_len;
      sealed = vnc_sasl_seal (w->sasl, buf, len, &sealed_len);
      if (!sealed)
        {
          vnc_wire_break (w);
          return;
        }
      buf = sealed;
      len = sealed_len;
    }
  if (w->websocket)
    vm_websocket_send (buf, len, w->out);
  else
    g_byte_array_append (w->out, buf, (guint) len);
  flush (w);
}

static void
count_extra (VncWire *w, size_t len)
{
  w->extra += len;
  if (w->extra > EXTRA_MAX)
    vnc_wire_break (w);
}

void
vnc_wire_write (VncWire *w, const void *buf, size_t len)
{
  count_extra (w, len);
  put (w, buf, len);
}

void
vnc_wire_write_picture (VncWire *w, const void *buf, size_t len)
{
  put (w, buf, len);
}

void
vnc_wire_give_picture (VncWire *w, GByteArray **bytes)
{
  GByteArray *given = *bytes;

  if (w->over || w->sasl || w->websocket || vnc_wire_pending (w))
    {
      put (w, given->data, given->len);
      return;
    }
  *bytes = w->out;
  g_byte_array_set_size (*bytes, 0);
  w->out = given;
  w->out_at = 0;
  flush (w);
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* The watch stays from one message to the next, but where the fiber does other things meanwhile. */
static bool
on_readable (int fd, GIOCondition condition, void *opaque)
{
  VncWire *w = opaque;

  if (w->reading)
    wake (w);
  else
    vm_source_clear (&w->read_watch);
  return true;
}

static void
wait_readable (VncWire *w)
{
  if (!w->read_watch)
    w->read_watch = vm_loop_watch_fd (w->loop, w->fd, G_IO_IN, on_readable, w);
  w->reading = true;
  vnc_wire_wait (w);
  w->reading = false;
}

/* What came from the socket, on its way through the layers. */
static bool
take (VncWire *w, const uint8_t *buf, size_t len)
{
  g_autoptr (GByteArray) payload = NULL;

  if (w->websocket)
    {
      guint before = w->out->len;
      payload = g_byte_array_new ();
      bool goes_on = vm_websocket_receive (w->websocket, buf, len, payload, w->out);
      count_extra (w, w->out->len - before);
      flush (w);
      if (!goes_on)
        return false;
      buf = payload->data;
      len = payload->len;
    }
  if (!w->sasl)
    {
      g_byte_array_append (w->in, buf, (guint) len);
      return true;
    }
  return vnc_sasl_open (w->sasl, buf, len, w->in);
}

/* More bytes, now or later. */
static bool
fill (VncWire *w)
{
  uint8_t buf[FILL];

  if (w->in_at)
    {
      g_byte_array_remove_range (w->in, 0, w->in_at);
      w->in_at = 0;
    }
  while (!w->over)
    {
      ssize_t n = w->tls ? vm_tls_session_read (w->tls, buf, sizeof buf) : recv (w->fd, buf, sizeof buf, MSG_DONTWAIT);
      if (n > 0)
        {
          if (!take (w, buf, (size_t) n))
            break;
          if (++w->fills % FILLS_IN_A_ROW == 0)
            vm_fiber_yield ();
          return !w->over;
        }
      if (n < 0 && errno == EINTR)
        continue;
      if (n == 0 || errno != EAGAIN)
        break;
      wait_readable (w);
    }
  vnc_wire_break (w);
  return false;
}

bool
vnc_wire_read (VncWire *w, void *buf, size_t len)
{
  while (w->in->len - w->in_at < len)
    if (!fill (w))
      return false;
  if (w->over)
    return false;
  if (len)
    memcpy (buf, w->in->data + w->in_at, len);
  w->in_at += (guint) len;
  return true;
}

bool
vnc_wire_skip (VncWire *w, uint64_t len)
{
  while (len)
    {
      guint n = (guint) MIN (len, w->in->len - w->in_at);
      w->in_at += n;
      len -= n;
      if (len && !fill (w))
        return false;
    }
  return !w->over;
}

/* --- layers --------------------------------------------------------------------------------------------- */

typedef struct Shake
{
  VncWire *wire;
  bool done;
  GError *error;
} Shake;

static void
shaken (void *opaque, const GError *error)
{
  Shake *s = opaque;

  s->done = true;
  s->error = error ? g_error_copy (error) : NULL;
  wake (s->wire);
}

bool
vnc_wire_start_tls (VncWire *w, VmTlsCreds *creds, GError **error)
{
  Shake shake = { .wire = w };

  if (w->in->len > w->in_at) /* said in the clear, to be taken for said under TLS */
    return vm_fail (error, "the client spoke before TLS began");
  w->tls = vm_tls_session_new (creds, NULL, NULL, error);
  if (!w->tls)
    return false;
  /* Who is there is asked later, where the objects are. */
  vm_tls_session_start (w->tls, w->loop, w->fd, shaken, &shake);
  while (!shake.done && !w->over)
    vnc_wire_wait (w);
  if (!shake.done)
    g_clear_pointer (&w->tls, vm_tls_session_free); /* which forgets the callback */
  if (shake.error)
    {
      g_propagate_error (error, shake.error);
      return false;
    }
  return !w->over;
}

bool
vnc_wire_start_websocket (VncWire *w)
{
  w->websocket = vm_websocket_new ();
  while (!vm_websocket_is_open (w->websocket))
    if (!fill (w))
      return false;
  return true;
}
