/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input and output of a back end through descriptors that do not block. */
#include "engine/char/char-private.h"
#include "engine/base/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 4096

int
vm_char_open_path (const char *path, int flags, GError **error)
{
  int fd;

  do
    fd = vm_open (path, flags | O_NONBLOCK | O_NOCTTY, 0666);
  while (fd < 0 && errno == EINTR);
  if (fd < 0)
    vm_fail (error, "Could not open '%s': %s", path, g_strerror (errno));
  return fd;
}

static void
stream_eof (VmCharStream *s)
{
  vm_source_clear (&s->in_source);
  if (s->eof)
    s->eof (s->chr);
  else
    {
      vm_source_clear (&s->hup_source);
      if (s->in != s->out && s->in >= 0)
        close (s->in);
      s->in = -1;
    }
}

/* The other end has gone. What it sent before is read first, however long the front end takes for that. */
static bool
stream_hup (int fd, GIOCondition condition, void *opaque)
{
  VmCharStream *s = opaque;
  VmChardev *chr = s->chr;
  int left = 0;

  vm_source_clear (&s->hup_source);
  if (s->in_source || (ioctl (fd, FIONREAD, &left) == 0 && left > 0) || (s->held && s->held (chr)))
    return true;
  vm_object_ref (&chr->parent);
  stream_eof (s);
  vm_object_unref (&chr->parent);
  return true;
}

static void
watch_hup (VmCharStream *s)
{
  /* GLib hands poll's bits through: this one is a TCP peer that sends no more. */
  GIOCondition gone = G_IO_HUP | G_IO_ERR | (s->is_socket ? (GIOCondition) POLLRDHUP : 0);

  if (!s->hup_source && s->eof)
    s->hup_source = vm_loop_watch_fd (s->chr->env->loop, s->in, gone, stream_hup, s);
}

/* False: there is no room, or no more for now. */
static bool
read_some (VmCharStream *s)
{
  VmChardev *chr = s->chr;
  uint8_t buf[READ_MAX];
  bool empty = !s->deliver || s->deliver (chr);
  ssize_t n;

  if (!s->in_source) /* gone while it was delivered */
    return false;
  size_t room = !empty ? 0 : s->eager ? sizeof buf : MIN (vm_chardev_can_receive (chr), sizeof buf);
  if (!room)
    {
      vm_source_clear (&s->in_source);
      watch_hup (s);
      return false;
    }
  do
    n = s->read ? s->read (chr, s->in, buf, room) : read (s->in, buf, room);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN)
    return false;

  if (n <= 0)
    stream_eof (s);
  else if (s->data)
    s->data (chr, buf, n);
  else
    vm_chardev_receive (chr, buf, n);
  return n > 0;
}

static bool
stream_in (int fd, GIOCondition condition, void *opaque)
{
  VmCharStream *s = opaque;
  VmChardev *chr = s->chr;

  vm_object_ref (&chr->parent); /* receiving may remove the back end */
  while (read_some (s) && s->in_source && s->held && s->held (chr))
    ;
  vm_object_unref (&chr->parent);
  return true;
}

/* Input that the descriptor does not show. */
static gboolean
stream_continue (gpointer opaque)
{
  VmCharStream *s = opaque;

  vm_source_clear (&s->held_source);
  if (s->in_source && s->held (s->chr))
    stream_in (s->in, G_IO_IN, s);
  return G_SOURCE_REMOVE;
}

static bool stream_out (int fd, GIOCondition condition, void *opaque);

static void
watch_out (VmCharStream *s)
{
  if (!s->out_source && s->out >= 0)
    s->out_source
      = vm_loop_watch_fd (s->chr->env->loop, s->out, G_IO_OUT | G_IO_HUP | G_IO_ERR, stream_out, s);
}

static bool
stream_out (int fd, GIOCondition condition, void *opaque)
{
  VmCharStream *s = opaque;
  VmChardev *chr = s->chr;

  vm_source_clear (&s->out_source);
  vm_object_ref (&chr->parent);
  if (s->flush)
    s->flush (chr);
  if (s->unsent && s->out >= 0 && s->unsent (chr))
    watch_out (s);
  else
    vm_chardev_writable (chr);
  vm_object_unref (&chr->parent);
  return true;
}

void
vm_char_stream_open (VmCharStream *s, VmChardev *chr, int in, int out)
{
  s->chr = chr;
  s->in = in;
  s->out = out;
  vm_char_stream_accept_input (s);
}

void
vm_char_stream_close (VmCharStream *s)
{
  if (!s->chr)
    return;
  vm_source_clear (&s->in_source);
  vm_source_clear (&s->out_source);
  vm_source_clear (&s->hup_source);
  vm_source_clear (&s->held_source);
  if (s->out >= 0 && s->out != s->in)
    close (s->out);
  if (s->in >= 0)
    close (s->in);
  s->in = s->out = -1;
}

void
vm_char_stream_accept_input (VmCharStream *s)
{
  VmLoop *loop = s->chr ? s->chr->env->loop : NULL;

  if (!loop || s->in < 0)
    return;
  if (!s->in_source)
    s->in_source = vm_loop_watch_fd (loop, s->in, G_IO_IN | G_IO_HUP | G_IO_ERR, stream_in, s);
  if (s->held && !s->held_source && s->held (s->chr))
    {
      s->held_source = g_idle_source_new ();
      g_source_set_priority (s->held_source, G_PRIORITY_DEFAULT);
      g_source_set_callback (s->held_source, stream_continue, s, NULL);
      g_source_attach (s->held_source, vm_loop_context (loop));
    }
}

static ssize_t
write_some (VmCharStream *s, const uint8_t *buf, size_t len)
{
  if (s->write)
    return s->write (s->chr, s->out, buf, len);
  return s->is_socket ? send (s->out, buf, len, MSG_NOSIGNAL) : write (s->out, buf, len);
}

size_t
vm_char_stream_write (VmCharStream *s, const uint8_t *buf, size_t len)
{
  size_t done = 0;

  if (!s->chr || s->out < 0)
    return len;
  while (done < len)
    {
      ssize_t n = write_some (s, buf + done, len - done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno != EAGAIN)
        return len; /* the end of the connection shows on the input side */
      if (n < 0)
        {
          watch_out (s);
          break;
        }
      done += n;
    }
  if (s->unsent && s->unsent (s->chr))
    watch_out (s);
  return done;
}
