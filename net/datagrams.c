/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames in datagrams, one in each, with or without something in front.
 *
 * Several are read with one call and handed over where they lie. Going out a frame is written from where the card has
 * it. When there is no room the card waits, where the kernel says when there will be; what it refuses is lost, as on a
 * wire. */
#include "net/frames.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define COUNT 32 /* datagrams of one read */
#define ROUNDS 4 /* reads in one round of the loop */
#define SIZE (VM_NET_FRAME_MAX + VM_NET_WRAPPING_MAX)

typedef struct VmNetDatagramRoom
{
  unsigned at, n; /* the next one, and how many have come */
  struct mmsghdr messages[COUNT];
  struct iovec iov[COUNT];
  struct sockaddr_storage from[COUNT];
  uint8_t bytes[COUNT][SIZE];
} VmNetDatagramRoom;

/* --- out --------------------------------------------------------------------------------------------------------- */

static bool
writable_again (int fd, GIOCondition condition, void *opaque)
{
  VmNetDatagrams *d = opaque;

  vm_source_clear (&d->writable);
  vm_net_port_ready (d->port);
  return true;
}

/* Which socket tells when there is room. A Unix socket that is not connected counts as writable although its peer's
 * queue is full: one that is connected tells the truth. Where the peer takes from nobody but us, it is ours that must
 * be. */
static int
full_one (VmNetDatagrams *d)
{
  struct pollfd own = { d->out, POLLOUT, 0 };

  if (!d->remote.len || d->remote.any.sa_family != AF_UNIX || (poll (&own, 1, 0) == 0))
    return d->out;
  if (d->probe < 0)
    d->probe = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (d->probe >= 0 && connect (d->probe, &d->remote.any, d->remote.len) == 0)
    return d->probe;
  return errno == EPERM && connect (d->out, &d->remote.any, d->remote.len) == 0 ? d->out : -1;
}

static bool
receive (void *opaque, const VmNetPacket *packet)
{
  VmNetDatagrams *d = opaque;
  struct iovec iov[VM_NET_IOV_MAX];
  uint8_t head[VM_NET_WRAPPING_MAX];
  struct msghdr msg = { .msg_iov = iov };
  ssize_t sent;

  if (d->out < 0 || packet->n + 1 > VM_NET_IOV_MAX)
    return true;
  if (d->remote.len)
    {
      msg.msg_name = &d->remote.any;
      msg.msg_namelen = d->remote.len;
    }
  if (d->wrapping)
    {
      d->wrapping->put (d->opaque, head);
      iov[msg.msg_iovlen++] = (struct iovec){ head, d->wrapping->size };
    }
  memcpy (iov + msg.msg_iovlen, packet->iov, packet->n * sizeof *iov);
  msg.msg_iovlen += packet->n;
  do
    sent = sendmsg (d->out, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0 || errno != EAGAIN)
    return true;
  int full = full_one (d);
  if (full < 0)
    return true;
  if (!d->writable)
    d->writable = vm_loop_watch_fd (d->loop, full, G_IO_OUT, writable_again, d);
  return false;
}

/* --- in ------------------------------------------------------------------------------------------------------------
 */

static bool readable_again (int fd, GIOCondition condition, void *opaque);

static void
watch (VmNetDatagrams *d)
{
  if (!d->readable)
    d->readable = vm_loop_watch_fd (d->loop, d->in, G_IO_IN | G_IO_ERR, readable_again, d);
}

static gboolean resume (void *opaque);

/* Not at once: the card is in the middle of something. */
static void
frame_taken (void *opaque)
{
  VmNetDatagrams *d = opaque;

  d->held = false;
  d->resume = vm_net_soon (d->loop, resume, d);
}

static bool
is_own (const VmNetDatagrams *d, const struct msghdr *msg)
{
  const struct sockaddr_in *from = msg->msg_name, *own = &d->own.in;

  return d->own.len && msg->msg_namelen == sizeof *from && from->sin_family == AF_INET && own->sin_family == AF_INET
         && from->sin_port == own->sin_port && from->sin_addr.s_addr == own->sin_addr.s_addr;
}

/* What has come, until one has to wait. */
static void
deliver (VmNetDatagrams *d)
{
  VmNetDatagramRoom *room = d->room;

  while (!d->held && d->in >= 0 && room->at < room->n)
    {
      const struct mmsghdr *m = &room->messages[room->at];
      const uint8_t *bytes = room->bytes[room->at++];
      ssize_t start = 0;

      if (m->msg_hdr.msg_flags & MSG_TRUNC || is_own (d, &m->msg_hdr))
        continue;
      if (d->wrapping)
        start = d->wrapping->check (d->opaque, bytes, m->msg_len);
      if (start >= 0 && (size_t) start < m->msg_len)
        d->held = !vm_net_send_bytes (d->port, bytes + start, m->msg_len - (size_t) start, frame_taken);
    }
}

static gboolean
resume (void *opaque)
{
  VmNetDatagrams *d = opaque;

  vm_source_clear (&d->resume);
  deliver (d);
  if (d->in >= 0 && !d->held)
    watch (d);
  return G_SOURCE_REMOVE;
}

static bool
readable_again (int fd, GIOCondition condition, void *opaque)
{
  VmNetDatagrams *d = opaque;
  VmNetDatagramRoom *room = d->room;

  for (int i = 0; i < ROUNDS && !d->held; i++)
    {
      for (unsigned j = 0; j < COUNT; j++)
        {
          room->iov[j] = (struct iovec){ room->bytes[j], SIZE };
          room->messages[j].msg_hdr = (struct msghdr){
            .msg_name = &room->from[j], .msg_namelen = sizeof room->from[j], .msg_iov = &room->iov[j], .msg_iovlen = 1
          };
        }
      int n = recvmmsg (fd, room->messages, COUNT, MSG_DONTWAIT, NULL);
      /* An error is that of a datagram sent before, and gone with this. */
      if (n <= 0)
        break;
      room->at = 0;
      room->n = (unsigned) n;
      deliver (d);
      if (d->in != fd)
        return true;
      if (n < COUNT)
        break;
    }
  if (d->held)
    vm_source_clear (&d->readable);
  return true;
}

/* --- beginning and end ----------------------------------------------------------------------------------------- */

static const VmNetPortOps ops = { .receive = receive };

void
vm_net_datagrams_init (VmNetDatagrams *d, VmNetdev *netdev)
{
  *d = (VmNetDatagrams){ .loop = netdev->net->loop, .in = -1, .out = -1, .probe = -1 };
  d->port = vm_netdev_add_port (netdev, &ops, d);
}

void
vm_net_datagrams_begin (VmNetDatagrams *d, int in, int out, const VmSockaddr *remote, const VmSockaddr *own)
{
  d->in = in;
  d->out = out;
  if (remote)
    d->remote = *remote;
  if (own)
    d->own = *own;
  d->room = g_new0 (VmNetDatagramRoom, 1);
  watch (d);
}

void
vm_net_datagrams_end (VmNetDatagrams *d)
{
  if (d->in < 0)
    return;
  vm_net_port_forget (d->port);
  vm_source_clear (&d->readable);
  vm_source_clear (&d->writable);
  vm_source_clear (&d->resume);
  if (d->probe >= 0)
    close (d->probe);
  if (d->out != d->in)
    close (d->out);
  close (d->in);
  d->in = d->out = d->probe = -1;
  d->held = false;
  g_clear_pointer (&d->room, g_free);
}
