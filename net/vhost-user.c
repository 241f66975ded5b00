/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -netdev vhost-user: another process serves the rings of a virtio card (Vhost-user Protocol, the front end's side). It
 * is at the other end of a Unix socket, over which guest memory and eventfds are handed to it.
 *
 * Who connects is asked on a worker what it can do. Later questions are answered at once by partners that mean well; one
 * that takes longer than an operation's time is given up, and the card has no link until somebody else connects. Nothing
 * that a partner says is believed beyond its form. */
#include "engine/base/log.h"
#include "engine/char/char.h"
#include "engine/machine/machine.h"
#include "engine/schema/types.h"
#include "net/net-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIME_MS 2000 /* of one operation: all its messages */
#define REGIONS_MAX 8
#define FDS_MAX REGIONS_MAX
#define VERSION 1u
#define NO_FD 0x100u

enum
{
  FLAG_VERSION = 3,
  FLAG_REPLY = 4,
  FLAG_NEED_REPLY = 8
};
enum
{
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_OWNER = 3,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  GET_VRING_BASE = 11,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  SET_VRING_ERR = 14,
  GET_PROTOCOL_FEATURES = 15,
  SET_PROTOCOL_FEATURES = 16,
  GET_QUEUE_NUM = 17,
  SET_VRING_ENABLE = 18,
  SEND_RARP = 19,
};
enum
{
  PROTOCOL_MQ = 0,
  PROTOCOL_RARP = 2,
  PROTOCOL_REPLY_ACK = 3
};
#define FEATURE_PROTOCOL (1ull << 30)
#define FEATURE_VERSION_1 (1ull << 32)
/* Of a partner that has not been here yet: what each can. */
#define FEATURES_UNKNOWN (FEATURE_VERSION_1 | 1ull << 15 /* mergeable buffers */)

typedef struct Header
{
  uint32_t request, flags, size;
} Header;
typedef struct VringState
{
  uint32_t index, num;
} VringState;
typedef struct VringAddr
{
  uint32_t index, flags;
  uint64_t desc, used, avail, log;
} VringAddr;
typedef struct MemRegion
{
  uint64_t guest, size, user, offset;
} MemRegion;
typedef struct MemTable
{
  uint32_t n, unused;
  MemRegion region[REGIONS_MAX];
} MemTable;

/* The connection, for the time of an operation. */
typedef struct Link
{
  int fd;
  int64_t deadline; /* monotonic us */
  uint64_t protocol;
} Link;

typedef struct VhostUser VhostUser;

/* What a worker does without the machine lock; SELF is the loop's, and NULL when nobody waits for it any longer. */
typedef struct Handshake
{
  VhostUser *self;
  Link link; /* with a descriptor of its own */
  unsigned queues;
  uint64_t acked, features;
  GError *error;
} Handshake;

struct VhostUser
{
  VmNetdev *netdev;
  VmCharFe fe;
  unsigned queues;
  bool known, ready, started; /* features; hands were shaken; rings run */
  uint64_t features, acked;
  Link link;
  Handshake *handshake; /* under way; NULL: none */
};

/* --- messages ------------------------------------------------------------------------------------------------ */

/* Until FD can be used for EVENTS. */
static bool
wait_for (const Link *link, int fd, short events, GError **error)
{
  struct pollfd p = { fd, events, 0 };
  int64_t left = (link->deadline - g_get_monotonic_time ()) / 1000;
  int n = left > 0 ? poll (&p, 1, (int) left) : 0;

  if (n > 0 || (n < 0 && errno == EINTR))
    return true;
  return vm_fail (error, n < 0 ? "the connection failed" : "the back end does not answer");
}

static bool
put (Link *link, const void *bytes, size_t len, const int *fds, unsigned n_fds, GError **error)
{
  int fd = link->fd;
  char control[CMSG_SPACE (FDS_MAX * sizeof (int))] = { 0 };

  if (fd < 0)
    return vm_fail (error, "the back end is not connected");
  while (len)
    {
      struct iovec iov = { (void *) bytes, len };
      struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
      if (n_fds)
        {
          msg.msg_control = control;
          msg.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
          struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
          c->cmsg_level = SOL_SOCKET;
          c->cmsg_type = SCM_RIGHTS;
          c->cmsg_len = CMSG_LEN (n_fds * sizeof (int));
          memcpy (CMSG_DATA (c), fds, n_fds * sizeof (int));
        }
      ssize_t n = sendmsg (fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        return vm_fail (error, "the connection failed: %s", g_strerror (errno));
      if (n < 0 && !wait_for (link, fd, POLLOUT, error))
        return false;
      if (n > 0)
        {
          bytes = (const char *) bytes + n;
          len -= n;
          n_fds = 0;
        }
    }
  return true;
}

/* Descriptors that come along are nothing we asked for. */
static void
close_fds (struct msghdr *msg)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (msg); c; c = CMSG_NXTHDR (msg, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++)
        {
          int fd;
          memcpy (&fd, CMSG_DATA (c) + i * sizeof fd, sizeof fd);
          close (fd);
        }
}

static bool
get (Link *link, void *bytes, size_t len, GError **error)
{
  int fd = link->fd;

  if (fd < 0)
    return vm_fail (error, "the back end is not connected");
  while (len)
    {
      char control[CMSG_SPACE (16 * sizeof (int))];
      struct iovec iov = { bytes, len };
      struct msghdr msg
          = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
      ssize_t n = recvmsg (fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
      if (n == 0)
        return vm_fail (error, "the back end has gone");
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        return vm_fail (error, "the connection failed: %s", g_strerror (errno));
      if (n < 0 && !wait_for (link, fd, POLLIN, error))
        return false;
      if (n > 0)
        {
          close_fds (&msg);
          bytes = (char *) bytes + n;
          len -= n;
        }
    }
  return true;
}

static bool
get_reply (Link *link, uint32_t request, void *payload, uint32_t size, GError **error)
{
  Header h;

  if (!get (link, &h, sizeof h, error))
    return false;
  if (h.request != request || (h.flags & FLAG_VERSION) != VERSION || !(h.flags & FLAG_REPLY) || h.size != size)
    return vm_fail (error, "request %u was answered by nonsense (request %u, flags %#x, %u bytes)", request, h.request,
                    h.flags, h.size);
  return get (link, payload, size, error);
}

/* Sends; where both sides agreed on acknowledgements, waits for that. */
static bool
tell_fds (Link *link, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned n_fds,
          GError **error)
{
  uint8_t message[sizeof (Header) + sizeof (MemTable)];
  bool ack = link->protocol >> PROTOCOL_REPLY_ACK & 1;
  Header h = { request, VERSION | (ack ? FLAG_NEED_REPLY : 0), size };
  uint64_t result = 0;

  g_assert (size <= sizeof (MemTable) && n_fds <= FDS_MAX);
  memcpy (message, &h, sizeof h);
  if (size)
    memcpy (message + sizeof h, payload, size);
  if (!put (link, message, sizeof h + size, fds, n_fds, error)
      || (ack && !get_reply (link, request, &result, sizeof result, error)))
    return false;
  return !result || vm_fail (error, "the back end refused request %u", request);
}

static bool
tell (Link *link, uint32_t request, const void *payload, uint32_t size, GError **error)
{
  return tell_fds (link, request, payload, size, NULL, 0, error);
}

static bool
tell_u64 (Link *link, uint32_t request, uint64_t value, GError **error)
{
  return tell (link, request, &value, sizeof value, error);
}

static bool
tell_state (Link *link, uint32_t request, unsigned ring, uint32_t num, GError **error)
{
  return tell (link, request, &(VringState){ ring, num }, sizeof (VringState), error);
}

static bool
ask_u64 (Link *link, uint32_t request, uint64_t *value, GError **error)
{
  return put (link, &(Header){ request, VERSION, 0 }, sizeof (Header), NULL, 0, error)
         && get_reply (link, request, value, sizeof *value, error);
}

/* --- coming and going ------------------------------------------------------------------------------------------ */

/* The time of an operation begins. */
static Link *
begin (VhostUser *self)
{
  self->link.fd = vm_char_fe_socket (&self->fe);
  self->link.deadline = g_get_monotonic_time () + TIME_MS * 1000;
  return &self->link;
}

/* It shows as a connection that ended. */
static void
give_up (VhostUser *self, const GError *why)
{
  int fd = vm_char_fe_socket (&self->fe);

  vm_report_warning ("vhost-user %s: %s", self->netdev->parent.id, why->message);
  self->ready = self->started = false;
  if (fd >= 0)
    shutdown (fd, SHUT_RDWR);
}

/* On any thread. */
static bool
shake_hands (Handshake *h, GError **error)
{
  const uint64_t ours = 1u << PROTOCOL_MQ | 1u << PROTOCOL_RARP | 1u << PROTOCOL_REPLY_ACK;
  uint64_t protocol = 0, queues = 1;
  Link *link = &h->link;

  if (!ask_u64 (link, GET_FEATURES, &h->features, error))
    return false;
  if (h->features & FEATURE_PROTOCOL
      && (!ask_u64 (link, GET_PROTOCOL_FEATURES, &protocol, error)
          || !tell_u64 (link, SET_PROTOCOL_FEATURES, protocol & ours, error)))
    return false;
  link->protocol = protocol & ours;
  if (link->protocol >> PROTOCOL_MQ & 1 && !ask_u64 (link, GET_QUEUE_NUM, &queues, error))
    return false;
  if (h->queues > queues)
    return vm_fail (error, "you are asking more queues than supported: %" G_GUINT64_FORMAT, queues);
  if (!(h->features & FEATURE_VERSION_1))
    return vm_fail (error, "the back end knows only legacy devices");
  if (h->acked & ~h->features)
    return vm_fail (error, "the back end lacks features that the driver uses: %#" G_GINT64_MODIFIER "x",
                    h->acked & ~h->features);
  return tell (link, SET_OWNER, NULL, 0, error);
}

static void
shaken (VhostUser *self, const Handshake *h)
{
  self->link.protocol = h->link.protocol;
  /* A driver may have seen what the first one could. */
  if (!self->known)
    self->features = h->features & ~FEATURE_PROTOCOL;
  self->known = self->ready = true;
  vm_netdev_set_carrier (self->netdev, true);
}

/* Who connects later is met on a worker: nothing waits for it. */
static void
meet (void *opaque)
{
  Handshake *h = opaque;

  h->link.deadline = g_get_monotonic_time () + TIME_MS * 1000;
  shake_hands (h, &h->error);
}

static void
met (void *opaque)
{
  Handshake *h = opaque;
  VhostUser *self = h->self;

  if (self)
    {
      self->handshake = NULL;
      if (h->error)
        give_up (self, h->error);
      else
        shaken (self, h);
    }
  close (h->link.fd);
  g_clear_error (&h->error);
  g_free (h);
}

/* What is under way ends soon, and nobody hears of it. */
static void
leave (VhostUser *self)
{
  if (self->handshake)
    {
      shutdown (self->handshake->link.fd, SHUT_RDWR);
      self->handshake->self = NULL;
    }
  self->handshake = NULL;
  self->ready = self->started = false;
}

static void
char_event (void *opaque, VmCharEvent event)
{
  VhostUser *self = opaque;

  if (event == VM_CHAR_OPENED && !self->ready)
    {
      int fd = fcntl (vm_char_fe_socket (&self->fe), F_DUPFD_CLOEXEC, 0);
      leave (self);
      if (fd < 0)
        return;
      self->handshake = g_new0 (Handshake, 1);
      *self->handshake = (Handshake){ self, { .fd = fd }, self->queues, self->acked, 0, NULL };
      vm_loop_work (self->netdev->net->loop, meet, met, self->handshake);
    }
  else if (event == VM_CHAR_CLOSED)
    {
      leave (self);
      vm_netdev_set_carrier (self->netdev, false);
    }
}

/* --- rings ------------------------------------------------------------------------------------------------------- */

static uint64_t
vhost_features (VmNetdev *netdev)
{
  const VhostUser *self = netdev->state;

  return self->known ? self->features : FEATURES_UNKNOWN;
}

static bool
send_memory (Link *link, const VmVhostRegion *regions, unsigned n, GError **error)
{
  MemTable table = { .n = n };
  int fds[REGIONS_MAX];

  if (n > REGIONS_MAX)
    return vm_fail (error, "guest memory has %u parts, and the protocol carries %u", n, REGIONS_MAX);
  for (unsigned i = 0; i < table.n; i++)
    {
      table.region[i]
          = (MemRegion){ regions[i].guest, regions[i].size, (uintptr_t) regions[i].host, regions[i].offset };
      fds[i] = regions[i].fd;
    }
  return tell_fds (link, SET_MEM_TABLE, &table, 8 + table.n * sizeof (MemRegion), fds, table.n, error);
}

static bool
start_ring (Link *link, unsigned index, const VmVhostRing *ring, GError **error)
{
  const VringAddr addr = { index, 0, (uintptr_t) ring->desc, (uintptr_t) ring->device, (uintptr_t) ring->driver, 0 };
  uint64_t with_fd = index, without = index | NO_FD;

  return tell_state (link, SET_VRING_NUM, index, ring->num, error)
         && tell_state (link, SET_VRING_BASE, index, ring->base, error)
         && tell (link, SET_VRING_ADDR, &addr, sizeof addr, error)
         && tell (link, SET_VRING_ERR, &without, sizeof without, error)
         && tell_fds (link, SET_VRING_CALL, &with_fd, sizeof with_fd, &ring->call, 1, error)
         && tell_fds (link, SET_VRING_KICK, &with_fd, sizeof with_fd, &ring->kick, 1, error);
}

static bool
vhost_start (VmNetdev *netdev, uint64_t features, const VmVhostRegion *regions, unsigned n_regions,
             const VmVhostRing *rings, unsigned n_rings, GError **error)
{
  VhostUser *self = netdev->state;
  g_autoptr (GError) why = NULL;
  bool ok;

  if (!self->ready)
    return vm_fail (error, "nobody is there");
  Link *link = begin (self);
  self->acked = features & self->features;
  ok = tell_u64 (link, SET_FEATURES, self->acked | (link->protocol ? FEATURE_PROTOCOL : 0), &why)
       && send_memory (link, regions, n_regions, &why);
  for (unsigned i = 0; ok && i < n_rings; i++)
    ok = !rings[i].num || start_ring (link, i, &rings[i], &why);
  /* Without protocol features rings are on from the start. */
  for (unsigned i = 0; ok && link->protocol && i < n_rings; i++)
    ok = !rings[i].num || tell_state (link, SET_VRING_ENABLE, i, rings[i].enabled, &why);
  self->started = ok;
  if (!ok)
    {
      give_up (self, why);
      return vm_fail (error, "the back end was given up");
    }
  return true;
}

static bool
vhost_set_memory (VmNetdev *netdev, const VmVhostRegion *regions, unsigned n, GError **error)
{
  VhostUser *self = netdev->state;
  g_autoptr (GError) why = NULL;

  if (!self->started)
    return true;
  if (send_memory (begin (self), regions, n, &why))
    return true;
  give_up (self, why);
  return vm_fail (error, "the back end was given up");
}

static void
vhost_enable (VmNetdev *netdev, unsigned ring, bool on)
{
  VhostUser *self = netdev->state;
  g_autoptr (GError) why = NULL;

  if (!self->started || !self->link.protocol)
    return;
  if (!tell_state (begin (self), SET_VRING_ENABLE, ring, on, &why))
    give_up (self, why);
}

static void
vhost_announce (VmNetdev *netdev, const uint8_t mac[6])
{
  VhostUser *self = netdev->state;
  g_autoptr (GError) why = NULL;
  uint64_t value = 0;

  if (!self->ready || !(self->link.protocol >> PROTOCOL_RARP & 1))
    return;
  memcpy (&value, mac, 6);
  if (!tell_u64 (begin (self), SEND_RARP, value, &why))
    give_up (self, why);
}

static bool
vhost_stop (VmNetdev *netdev, VmVhostRing *rings, unsigned n_rings)
{
  VhostUser *self = netdev->state;
  g_autoptr (GError) why = NULL;
  bool ok = self->started;

  if (!ok)
    return false;
  Link *link = begin (self);
  for (unsigned i = 0; ok && i < n_rings; i++)
    {
      VringState state = { i, 0 };
      if (!rings[i].num)
        continue;
      ok = put (link, &(struct {
                  Header h;
                  VringState s;
                }){ { GET_VRING_BASE, VERSION, sizeof state }, state },
                sizeof (Header) + sizeof state, NULL, 0, &why)
           && get_reply (link, GET_VRING_BASE, &state, sizeof state, &why);
      if (ok && state.index != i)
        ok = vm_fail (&why, "the state of another ring came");
      rings[i].base = state.num;
    }
  self->started = false;
  if (!ok)
    give_up (self, why);
  return ok;
}

static const VmVhostOps vhost_ops = {
  .features = vhost_features,
  .start = vhost_start,
  .set_memory = vhost_set_memory,
  .enable = vhost_enable,
  .announce = vhost_announce,
  .stop = vhost_stop,
};

/* --- open and close --------------------------------------------------------------------------------------------------
 */

/* Our own announcements and what a card sends while nobody serves it. */
static bool
vhost_receive (void *opaque, const VmNetPacket *packet)
{
  return true;
}

static const VmNetPortOps port_ops = { .receive = vhost_receive };
static const VmCharFeOps char_ops = { .event = char_event };

static bool
vhost_user_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevVhostUserOptions *o = options;
  VhostUser *self = netdev->state;
  VmChardev *chr = vm_chardev_find (netdev->net->root, o->chardev);

  self->netdev = netdev;
  self->queues = o->has_queues ? o->queues : 1;
  if (o->has_queues && (o->queues < 1 || o->queues > VM_NET_QUEUES))
    return vm_fail (error, "vhost-user number of queues must be in range [1, %d]", VM_NET_QUEUES);
  if (!chr)
    return vm_fail (error, "chardev \"%s\" not found", o->chardev);
  if (!vm_char_fe_attach_to (&self->fe, chr, &char_ops, self, error))
    return false;
  if (!vm_char_fe_passes_fds (&self->fe))
    return vm_fail (error, "chardev \"%s\" does not support FD passing", o->chardev);
  netdev->vhost = &vhost_ops;
  for (unsigned i = 0; i < self->queues; i++)
    vm_net_port_set_takes (vm_netdev_add_port (netdev, &port_ops, self), VM_NET_TAKES_ALL);
  vm_netdev_set_info (netdev, "vhost-user%u to %s", 0, o->chardev);
  vm_netdev_set_carrier (netdev, false);
  if (vm_char_fe_is_open (&self->fe))
    {
      Handshake h = { self, *begin (self), self->queues, 0, 0, NULL };
      if (!shake_hands (&h, error))
        return false;
      shaken (self, &h);
    }
  return true;
}

static void
vhost_user_close (VmNetdev *netdev)
{
  VhostUser *self = netdev->state;

  leave (self);
  vm_char_fe_detach (&self->fe);
}

const VmNetdevClass vm_netdev_vhost_user_class = {
  .name = "vhost-user",
  .help = "another process serves the rings of a virtio card",
  .state_size = sizeof (VhostUser),
  .open = vhost_user_open,
  .close = vhost_user_close,
  .vhost = true,
};
