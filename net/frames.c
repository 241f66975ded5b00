/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames in a stream, each behind its length: what "-netdev stream" and "-netdev socket" speak, and passt with them.
 *
 * Many frames come with one read and are handed over where they lie. Of what goes out only the rest of a frame that did
 * not fit into the socket is copied; until it is gone the port has no room, so one peer that does not read holds one
 * frame, not a queue. */
#include "net/frames.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD 4
#define FRAMES_IN (256 << 10) /* bytes of one read */
#define ROUNDS 4              /* reads in one round of the loop */
G_STATIC_ASSERT (FRAMES_IN > HEAD + VM_NET_FRAME_MAX);

GSource *
vm_net_soon (VmLoop *loop, GSourceFunc func, void *opaque)
{
  GSource *source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, opaque, NULL);
  g_source_attach (source, vm_loop_context (loop));
  return source;
}

void
vm_net_frames_end (VmNetFrames *f)
{
  if (f->fd < 0)
    return;
  vm_net_port_forget (f->port);
  vm_source_clear (&f->readable);
  vm_source_clear (&f->writable);
  vm_source_clear (&f->resume);
  close (f->fd);
  f->fd = -1;
  g_clear_pointer (&f->in, g_free);
  g_clear_pointer (&f->out, g_free);
  f->at = f->end = f->out_at = f->out_n = f->out_size = 0;
  f->held = false;
  /* What was kept back goes nowhere now. */
  if (f->stalled)
    {
      f->stalled = false;
      vm_net_port_ready (f->port);
    }
}

static void
over (VmNetFrames *f, const char *why)
{
  vm_net_frames_end (f);
  f->gone (f->opaque, why);
}

/* --- out ----------------------------------------------------------------------------------------------------- */

static bool
writable_again (int fd, GIOCondition condition, void *opaque)
{
  VmNetFrames *f = opaque;
  ssize_t n = send (fd, f->out + f->out_at, f->out_n - f->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

  if (n < 0 && errno != EAGAIN && errno != EINTR)
    {
      over (f, NULL);
      return true;
    }
  f->out_at += n > 0 ? n : 0;
  if (f->out_at < f->out_n)
    return true;
  f->out_at = f->out_n = 0;
  vm_source_clear (&f->writable);
  f->stalled = false;
  vm_net_port_ready (f->port);
  return true;
}

/* Of HEADER and PACKET what has not gone out. */
static void
keep_rest (VmNetFrames *f, const uint8_t *header, const VmNetPacket *packet, size_t gone)
{
  size_t total = HEAD + packet->len;

  if (f->out_size < total)
    {
      g_free (f->out);
      f->out = g_malloc (total);
      f->out_size = total;
    }
  f->out_at = 0;
  f->out_n = total - gone;
  if (gone < HEAD)
    {
      memcpy (f->out, header + gone, HEAD - gone);
      vm_net_packet_copy (packet, 0, f->out + (HEAD - gone), packet->len);
    }
  else
    vm_net_packet_copy (packet, gone - HEAD, f->out, f->out_n);
  f->writable = vm_loop_watch_fd (f->loop, f->fd, G_IO_OUT, writable_again, f);
}

static bool
receive (void *opaque, const VmNetPacket *packet)
{
  VmNetFrames *f = opaque;
  struct iovec iov[VM_NET_IOV_MAX];
  uint8_t header[HEAD];
  struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 + packet->n };
  ssize_t n;

  if (f->fd < 0)
    return true;
  if (f->out_n)
    {
      f->stalled = true;
      return false;
    }
  if (packet->n + 1 > VM_NET_IOV_MAX)
    return true;
  vm_store_be32 (header, (uint32_t) packet->len);
  iov[0] = (struct iovec){ header, HEAD };
  memcpy (iov + 1, packet->iov, packet->n * sizeof *iov);
  do
    n = sendmsg (f->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  /* When the peer has gone, reading says so. */
  if (n < 0 && errno != EAGAIN)
    return true;
  if (n < 0 || (size_t) n < HEAD + packet->len)
    keep_rest (f, header, packet, n < 0 ? 0 : n);
  return true;
}

/* --- in ------------------------------------------------------------------------------------------------------ */

static bool readable_again (int fd, GIOCondition condition, void *opaque);

static void
watch (VmNetFrames *f)
{
  if (!f->readable)
    f->readable = vm_loop_watch_fd (f->loop, f->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, readable_again, f);
}

static gboolean resume (void *opaque);

/* Not at once: the card is in the middle of something. */
static void
frame_taken (void *opaque)
{
  VmNetFrames *f = opaque;

  f->held = false;
  f->resume = vm_net_soon (f->loop, resume, f);
}

/* What has come, frame by frame, until one has to wait or is not whole. */
static void
deliver (VmNetFrames *f)
{
  while (!f->held && f->end - f->at >= HEAD)
    {
      const uint8_t *p = f->in + f->at;
      uint32_t len = vm_load_be32 (p);

      if (len > VM_NET_FRAME_MAX)
        {
          over (f, "a frame is longer than any can be");
          return;
        }
      if (f->end - f->at - HEAD < len)
        return;
      f->at += HEAD + len;
      f->held = len && !vm_net_send_bytes (f->port, p + HEAD, len, frame_taken);
      if (f->fd < 0) /* whoever received it has ended the connection */
        return;
    }
}

static gboolean
resume (void *opaque)
{
  VmNetFrames *f = opaque;

  vm_source_clear (&f->resume);
  deliver (f);
  if (f->fd >= 0 && !f->held)
    watch (f);
  return G_SOURCE_REMOVE;
}

static bool
readable_again (int fd, GIOCondition condition, void *opaque)
{
  VmNetFrames *f = opaque;

  for (int i = 0; i < ROUNDS && !f->held; i++)
    {
      /* The piece of a frame goes to the front: it is all that is left. */
      memmove (f->in, f->in + f->at, f->end - f->at);
      f->end -= f->at;
      f->at = 0;
      size_t room = FRAMES_IN - f->end;
      ssize_t n = recv (fd, f->in + f->end, room, MSG_DONTWAIT);

      if (n < 0 && (errno == EINTR || errno == EAGAIN))
        break;
      if (n <= 0)
        {
          over (f, NULL);
          return true;
        }
      f->end += n;
      deliver (f);
      if (f->fd != fd)
        return true;
      if ((size_t) n < room)
        break;
    }
  if (f->held)
    vm_source_clear (&f->readable);
  return true;
}

/* --- beginning ----------------------------------------------------------------------------------------------- */

static const VmNetPortOps ops = { .receive = receive };

void
vm_net_frames_init (VmNetFrames *f, VmNetdev *netdev, void (*gone) (void *opaque, const char *why), void *opaque)
{
  *f = (VmNetFrames){ .loop = netdev->net->loop, .fd = -1, .gone = gone, .opaque = opaque };
  f->port = vm_netdev_add_port (netdev, &ops, f);
}

void
vm_net_frames_begin (VmNetFrames *f, int fd)
{
  f->fd = fd;
  f->in = g_malloc (FRAMES_IN);
  watch (f);
}
