/* SPDX-License-Identifier: GPL-3.0-or-later */
/* User-mode network: a small private network behind libslirp, which turns the guest's connections into the host's
 * sockets. No privileges.
 *
 * libslirp's sockets live in an epoll set of their own. What it wants to hear of changes only when it did something, so
 * it is asked once after that, not in every round of the loop. Segments are as large as 64 KiB both ways where the card
 * can have them: the largest segment the guest names in its SYN is raised on the way, and what then is too long for
 * the wire goes to the card as one frame to be split. */
#include "net/user.h"

#include "engine/base/log.h"
#include "engine/schema/types.h"
#include "net/net-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MTU        1500
#define MTU_LARGE  65521 /* the most that libslirp knows */
#define EVENTS     64
#define CONGESTED  (256 << 10) /* bytes waiting for the guest, from which on sockets are left alone */
#define MSS_LARGE  (MTU_LARGE - 60)

/* --- what libslirp waits for ------------------------------------------------------------------------------- */

typedef struct Poll
{
  int fd;
  uint32_t wanted; /* SLIRP_POLL_* */
  uint32_t got;
} Poll;

static uint32_t
to_epoll (uint32_t events)
{
  return (events & SLIRP_POLL_IN ? EPOLLIN : 0) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0)
         | (events & SLIRP_POLL_PRI ? EPOLLPRI : 0);
}

static uint32_t
from_epoll (uint32_t events)
{
  return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0)
         | (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0)
         | (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static int
add_poll (int fd, int events, void *opaque)
{
  VmNetUser *user = opaque;
  /* Nothing is read for a guest that does not keep up. */
  uint32_t wanted = user->congested ? (uint32_t) events & ~(uint32_t) SLIRP_POLL_IN : (uint32_t) events;

  g_array_append_val (user->polls, ((Poll){ fd, wanted, 0 }));
  return user->polls->len - 1;
}

static int
get_events (int index, void *opaque)
{
  VmNetUser *user = opaque;

  return index >= 0 && (guint) index < user->polls->len ? g_array_index (user->polls, Poll, index).got : 0;
}

static void
set_interest (VmNetUser *user, int fd, uint32_t events)
{
  struct epoll_event event = { .events = events, .data.fd = fd };

  /* A number may have been closed and given to another socket since. */
  if (epoll_ctl (user->epoll, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
    epoll_ctl (user->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
forget_fd (int fd, void *opaque)
{
  VmNetUser *user = opaque;

  if ((guint) fd < user->interest->len && g_array_index (user->interest, uint32_t, fd))
    {
      epoll_ctl (user->epoll, EPOLL_CTL_DEL, fd, NULL);
      g_array_index (user->interest, uint32_t, fd) = 0;
    }
}

/* Interest is kept as events << 1 | 1, by descriptor; the lowest bit alone: in the set, for nothing. */
static void
refill (VmNetUser *user)
{
  uint32_t timeout = UINT32_MAX;
  GArray *seen = user->seen;

  user->refill_posted = false;
  user->congested = user->port->peer && user->port->peer->held_bytes > CONGESTED;
  g_array_set_size (user->polls, 0);
  slirp_pollfds_fill (user->slirp, &timeout, add_poll, user);
  user->round++;
  for (guint i = 0; i < user->polls->len; i++)
    {
      const Poll *poll = &g_array_index (user->polls, Poll, i);
      uint32_t events = to_epoll (poll->wanted), *kept;

      if (poll->fd < 0)
        continue;
      if ((guint) poll->fd >= user->interest->len)
        {
          g_array_set_size (user->interest, poll->fd + 1);
          g_array_set_size (seen, poll->fd + 1);
        }
      kept = &g_array_index (user->interest, uint32_t, poll->fd);
      g_array_index (seen, uint32_t, poll->fd) = user->round;
      if (*kept == (events << 1 | 1))
        continue;
      set_interest (user, poll->fd, events);
      *kept = events << 1 | 1;
    }
  for (guint fd = 0; fd < user->interest->len; fd++)
    if (g_array_index (user->interest, uint32_t, fd) && g_array_index (seen, uint32_t, fd) != user->round)
      forget_fd (fd, user);
  if (timeout == UINT32_MAX)
    vm_timer_cancel (&user->timer);
  else
    vm_timer_set (&user->timer, vm_clock_now (user->netdev->net->clocks, VM_CLOCK_REALTIME) + timeout * VM_NS_PER_MS);
}

static void
refill_now (void *opaque)
{
  VmNetdev *netdev = opaque;
  VmNetUser *user = netdev->state; /* NULL: it was closed meanwhile */

  if (user && user->slirp && user->refill_posted)
    refill (user);
  vm_object_unref (&netdev->parent);
}

static void
refill_soon (VmNetUser *user)
{
  if (user->refill_posted || !user->slirp)
    return;
  user->refill_posted = true;
  vm_object_ref (&user->netdev->parent);
  vm_loop_post (user->netdev->net->loop, refill_now, user->netdev);
}

static bool
sockets_ready (int fd, GIOCondition condition, void *opaque)
{
  VmNetUser *user = opaque;
  struct epoll_event events[EVENTS];
  int n = epoll_wait (user->epoll, events, EVENTS, 0);

  for (int i = 0; i < n; i++)
    for (guint j = 0; j < user->polls->len; j++)
      {
        Poll *poll = &g_array_index (user->polls, Poll, j);
        if (poll->fd == events[i].data.fd)
          poll->got = from_epoll (events[i].events);
      }
  slirp_pollfds_poll (user->slirp, n < 0, get_events, user);
  refill (user);
  return true;
}

/* libslirp's own clocks: retransmission and the like. */
static void
timed_out (void *opaque)
{
  VmNetUser *user = opaque;

  slirp_pollfds_poll (user->slirp, 0, get_events, user);
  refill (user);
}

/* --- from the guest ------------------------------------------------------------------------------------------ */

/* Raises the largest segment that a SYN names (RFC 9293, 3.2), so that libslirp sends long ones. A guest that names
 * another than its wire's has its reasons: that stays. FRAME is whole, with its check sum. */
static void
raise_mss (VmNetUser *user, uint8_t *frame, const VmNetLayers *l)
{
  uint8_t *tcp = frame + l->l2 + l->l3;
  unsigned takes = l->ip_version == 4 ? VM_NET_TAKES_TSO4 : VM_NET_TAKES_TSO6;

  if (l->protocol != 6 || !(tcp[13] & 2) || !(vm_net_port_peer_takes (user->port) & takes))
    return;
  for (unsigned at = 20; at + 1 < l->l4 && tcp[at] != 0;)
    {
      unsigned len = tcp[at] == 1 ? 1 : tcp[at + 1];
      if (len == 0 || at + len > l->l4)
        return;
      if (tcp[at] == 2 && len == 4)
        {
          unsigned was = tcp[at + 2] << 8 | tcp[at + 3], sum = tcp[16] << 8 | tcp[17];
          uint32_t total;

          if (was != MTU - l->l3 - 20u || at % 2 != 0)
            return;
          /* The check sum without adding it all up again (RFC 1624). */
          total = (~sum & 0xffff) + (~was & 0xffff) + MSS_LARGE;
          total = (total & 0xffff) + (total >> 16);
          total = (total & 0xffff) + (total >> 16);
          tcp[at + 2] = MSS_LARGE >> 8;
          tcp[at + 3] = MSS_LARGE & 0xff;
          tcp[16] = (~total & 0xffff) >> 8;
          tcp[17] = ~total & 0xff;
          return;
        }
      at += len;
    }
}

static bool
look (uint8_t *frame, size_t len, VmNetLayers *layers)
{
  return vm_net_layers (&(VmNetPacket){ &(struct iovec){ frame, len }, 1, len, { 0 } }, layers);
}

static bool
user_receive (void *opaque, const VmNetPacket *packet)
{
  VmNetUser *user = opaque;
  size_t len = packet->len;
  VmNetLayers layers;

  if (packet->len > sizeof user->frame)
    return true;
  vm_net_packet_copy (packet, 0, user->frame, packet->len);
  vm_net_finish (user->frame, packet->len, &packet->header);
  /* What is too short for what it says is nobody's. */
  if (!look (user->frame, len, &layers))
    return true;
  if (layers.fragment && (!vm_net_user_reassemble (user, user->frame, &len, &layers) || !look (user->frame, len, &layers)))
    return true;
  if (user->large && layers.ip_version)
    raise_mss (user, user->frame, &layers);
  slirp_input (user->slirp, user->frame, len);
  refill_soon (user);
  return true;
}

/* --- to the guest -------------------------------------------------------------------------------------------- */

/* Longer than the wire carries: TCP is left to the card, or to the core, to be split; other kinds are cut into
 * fragments here. */
static void
send_long (VmNetUser *user, uint8_t *frame, size_t len)
{
  struct iovec iov = { frame, len };
  VmNetPacket packet = { &iov, 1, len, { 0 } };
  VmNetLayers l;

  if (!vm_net_layers (&packet, &l) || !l.ip_version)
    return;
  if (l.protocol == 6 && l.l4)
    {
      packet.header = (VmNetHeader){
        .flags = VM_NET_NEEDS_CSUM,
        .gso_type = l.ip_version == 4 ? VM_NET_GSO_TCPV4 : VM_NET_GSO_TCPV6,
        .hdr_len = l.l2 + l.l3 + l.l4,
        .gso_size = MTU - l.l3 - l.l4,
        .csum_start = l.l2 + l.l3,
        .csum_offset = 16,
      };
      vm_net_start_sum (frame, &l);
      vm_net_send (user->port, &packet, NULL);
    }
  else if (l.ip_version == 4 || !l.fragment)
    vm_net_fragment (&packet, &l, MTU, user->port);
  else
    vm_net_send (user->port, &packet, NULL);
}

/* A router advertisement names our large MTU (RFC 4861, 4.6.4): the guest's wire has the usual one. */
static void
fix_advertisement (uint8_t *frame, size_t len)
{
  uint8_t *icmp = frame + 54;
  struct iovec iov = { frame, len };
  VmNetLayers l;

  if (len < 54 + 16 || frame[12] != 0x86 || frame[13] != 0xdd || frame[20] != 58 || icmp[0] != 134
      || !vm_net_layers (&(VmNetPacket){ &iov, 1, len, { 0 } }, &l) || l.l2 != 14 || l.l3 != 40)
    return;
  for (size_t at = 16; 54 + at + 8 <= len && icmp[at + 1]; at += icmp[at + 1] * 8)
    if (icmp[at] == 5 && icmp[at + 1] == 1)
      {
        memcpy (icmp + at + 4, (const uint8_t[]){ 0, 0, MTU >> 8, MTU & 0xff }, 4);
        icmp[2] = icmp[3] = 0;
        uint16_t sum = vm_net_checksum (&iov, 1, 54, l.ip_len - 40u, vm_net_pseudo_sum (frame + 14, 6, 58, l.ip_len - 40u));
        icmp[2] = sum >> 8;
        icmp[3] = sum;
      }
}

static ssize_t
send_packet (const void *buf, size_t len, void *opaque)
{
  VmNetUser *user = opaque;

  /* The buffer is libslirp's own, made for this packet. */
  if (user->large)
    fix_advertisement ((uint8_t *) buf, len);
  if (len > MTU + 14)
    send_long (user, (uint8_t *) buf, len);
  else
    vm_net_send_bytes (user->port, buf, len, NULL);
  return len;
}

/* --- what else libslirp asks for --------------------------------------------------------------------------------- */

static void
guest_error (const char *message, void *opaque)
{
  vm_log (VM_LOG_GUEST_ERROR, "user network: %s\n", message);
}

static int64_t
clock_ns (void *opaque)
{
  VmNetUser *user = opaque;

  return vm_clock_now (user->netdev->net->clocks, VM_CLOCK_VIRTUAL);
}

typedef struct UserTimer
{
  VmTimer timer;
  VmNetUser *user;
  SlirpTimerId id;
  void *opaque;
} UserTimer;

static void
timer_fired (void *opaque)
{
  UserTimer *t = opaque;

  slirp_handle_timer (t->user->slirp, t->id, t->opaque);
  refill_soon (t->user);
}

static void *
timer_new (SlirpTimerId id, void *timer_opaque, void *opaque)
{
  VmNetUser *user = opaque;
  UserTimer *t = g_new0 (UserTimer, 1);

  t->user = user;
  t->id = id;
  t->opaque = timer_opaque;
  vm_timer_init (&t->timer, user->netdev->net->clocks, VM_CLOCK_VIRTUAL, timer_fired, t);
  return t;
}

static void
timer_free (void *timer, void *opaque)
{
  vm_timer_cancel (&((UserTimer *) timer)->timer);
  g_free (timer);
}

static void
timer_mod (void *timer, int64_t expire_ms, void *opaque)
{
  vm_timer_set (&((UserTimer *) timer)->timer, expire_ms * VM_NS_PER_MS);
}

static void
register_fd (int fd, void *opaque)
{
}

static void
notify (void *opaque)
{
  refill_soon (opaque);
}

static const SlirpCb callbacks = {
  .send_packet = send_packet,
  .guest_error = guest_error,
  .clock_get_ns = clock_ns,
  .timer_new_opaque = timer_new,
  .timer_free = timer_free,
  .timer_mod = timer_mod,
  .register_poll_fd = register_fd,
  .unregister_poll_fd = forget_fd,
  .notify = notify,
};

/* --- open and close -------------------------------------------------------------------------------------------------- */

static void
user_drained (void *opaque)
{
  VmNetUser *user = opaque;

  if (user->congested)
    refill_soon (user);
}

static const VmNetPortOps user_ops = { .receive = user_receive, .drained = user_drained };

static void
user_close (VmNetdev *netdev)
{
  VmNetUser *user = netdev->state;

  vm_source_clear (&user->watch);
  vm_net_user_close_forwards (user);
  if (user->slirp)
    slirp_cleanup (user->slirp);
  user->slirp = NULL;
  vm_net_user_drop_fragments (user);
  if (user->polls)
    {
      vm_timer_cancel (&user->timer);
      close (user->epoll);
      g_array_unref (user->polls);
      g_array_unref (user->interest);
      g_array_unref (user->seen);
    }
  vm_net_user_remove_share (user);
}

static bool
user_open (VmNetdev *netdev, const void *options, GError **error)
{
  VmNetUser *user = netdev->state;
  SlirpConfig config = { .version = 4 };
  g_autoptr (GPtrArray) search = g_ptr_array_new ();

  user->netdev = netdev;
  if (!vm_net_user_configure (user, options, &config, search, error))
    return false;
  user->large = true;
  config.if_mtu = config.if_mru = user->large ? MTU_LARGE : MTU;
  user->port = vm_netdev_add_port (netdev, &user_ops, user);
  vm_net_port_set_takes (user->port, VM_NET_TAKES_CSUM | VM_NET_TAKES_TSO4 | VM_NET_TAKES_TSO6 | VM_NET_TAKES_ECN);
  user->polls = g_array_new (false, false, sizeof (Poll));
  user->interest = g_array_new (false, true, sizeof (uint32_t));
  user->seen = g_array_new (false, true, sizeof (uint32_t));
  vm_timer_init (&user->timer, netdev->net->clocks, VM_CLOCK_REALTIME, timed_out, user);
  user->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (user->epoll < 0)
    return vm_fail (error, "cannot make an epoll set: %s", g_strerror (errno));
  user->slirp = slirp_new (&config, &callbacks, user);
  if (!user->slirp)
    return vm_fail (error, "libslirp refused these settings");
  if (!vm_net_user_open_forwards (user, options, error))
    return false;
  user->watch = vm_loop_watch_fd (netdev->net->loop, user->epoll, G_IO_IN, sockets_ready, user);
  refill_soon (user);
  return true;
}

const VmNetdevClass vm_netdev_user_class = {
  .name = "user",
  .help = "private network with address translation; needs no privileges",
  .state_size = sizeof (VmNetUser),
  .open = user_open,
  .close = user_close,
};
