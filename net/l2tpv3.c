/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A static L2TPv3 pseudowire (RFC 3931, 4.1; Ethernet: RFC 4719), over UDP or IP, as routers and Linux' own l2tp speak
 * it. There is no control connection: both ends are told the sessions' numbers and cookies. */
#include "net/l2tpv3.h"

#include "engine/schema/types.h"
#include "net/net-sockets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DATA_OVER_UDP 0x00030000u /* T, L and S clear, version 3; 4.1.2.1 */
#define CONTROL_BIT 0x80000000u
#define VERSION_MASK 0x000f0000u
#define IPPROTO_L2TP_ 115
#define STALE_MAX 8 /* after that many in a row the sender has begun anew */
#define OFFSET_MAX 256

/* --- headers -------------------------------------------------------------------------------------------------- */

size_t
vm_net_l2tp_size (const VmNetL2tp *s)
{
  return (s->udp ? 4u : 0u) + 4u + (s->has_cookie ? s->wide_cookie ? 8u : 4u : 0u) + (s->counter ? 4u : 0u) + s->offset;
}

void
vm_net_l2tp_put (void *session, uint8_t *head)
{
  VmNetL2tp *s = session;

  if (s->udp)
    {
      vm_store_be32 (head, DATA_OVER_UDP);
      head += 4;
    }
  vm_store_be32 (head, s->tx_session);
  head += 4;
  if (s->has_cookie && s->wide_cookie)
    {
      vm_store_be64 (head, s->tx_cookie);
      head += 8;
    }
  else if (s->has_cookie)
    {
      vm_store_be32 (head, (uint32_t) s->tx_cookie);
      head += 4;
    }
  if (s->counter)
    {
      vm_store_be32 (head, s->pinned ? 0 : ++s->tx_count);
      head += 4;
    }
  memset (head, 0, s->offset);
}

/* What is older than the newest is late or was there before (4.6.1); one that keeps coming with older ones has begun to
 * count anew. */
static bool
in_order (VmNetL2tp *s, uint32_t count)
{
  if (s->pinned || !s->heard || (int32_t) (count - s->rx_count) > 0 || ++s->stale > STALE_MAX)
    {
      s->heard = true;
      s->stale = 0;
      s->rx_count = count;
      return true;
    }
  return false;
}

ssize_t
vm_net_l2tp_check (void *session, const uint8_t *datagram, size_t len)
{
  VmNetL2tp *s = session;
  const uint8_t *p = datagram;
  size_t ip = s->ip4_header && len ? (*datagram & 15u) * 4u : 0;

  if (len <= ip + vm_net_l2tp_size (s))
    return -1;
  p += ip;
  if (s->udp)
    {
      if ((vm_load_be32 (p) & (CONTROL_BIT | VERSION_MASK)) != DATA_OVER_UDP)
        return -1;
      p += 4;
    }
  if (vm_load_be32 (p) != s->rx_session)
    return -1;
  p += 4;
  if (s->has_cookie)
    {
      if (s->wide_cookie ? vm_load_be64 (p) != s->rx_cookie : vm_load_be32 (p) != (uint32_t) s->rx_cookie)
        return -1;
      p += s->wide_cookie ? 8 : 4;
    }
  if (s->counter)
    {
      if (!in_order (s, vm_load_be32 (p)))
        return -1;
      p += 4;
    }
  return p + s->offset - datagram;
}

/* --- the type ---------------------------------------------------------------------------------------------------- */

typedef struct L2tp
{
  VmNetDatagrams link;
  VmNetNames names;
  VmNetL2tp session;
  VmNetWrapping wrapping;
} L2tp;

/* The names are known. Others than the peer are not heard. */
static bool
open_socket (VmNetdev *netdev, GError **error)
{
  L2tp *l = netdev->state;
  const VmSockaddr *there = vm_net_names_get (&l->names, VM_NET_REMOTE),
                   *here = vm_net_names_get (&l->names, VM_NET_LOCAL);
  bool udp = l->session.udp;
  int one = 1, fd = socket (there->any.sa_family, (udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            udp ? 0 : IPPROTO_L2TP_);

  if (fd < 0)
    return vm_fail (error, "could not open socket: %s%s", g_strerror (errno),
                    errno == EPERM ? "; L2TPv3 over IP needs privileges, udp=on does not" : "");
  if (udp)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, &here->any, here->len) < 0)
    vm_fail (error, "could not bind socket: %s", g_strerror (errno));
  else if (connect (fd, &there->any, there->len) < 0)
    vm_fail (error, "could not connect socket: %s", g_strerror (errno));
  else
    {
      l->session.ip4_header = !udp && there->any.sa_family == AF_INET;
      vm_net_datagrams_begin (&l->link, fd, fd, NULL, NULL);
      vm_netdev_set_info (netdev, "l2tpv3: connected");
      return true;
    }
  close (fd);
  return false;
}

static void
want (L2tp *l, unsigned i, const char *what, const char *host, const char *port, bool six)
{
  l->names.name[i].wanted = true;
  l->names.name[i].passive = i == VM_NET_LOCAL;
  l->names.name[i].what = what;
  l->names.name[i].address = (VmAddress){ .host = g_strdup (host),
                                          .port = g_strdup (port ? port : "0"),
                                          .family = six ? AF_INET6 : AF_INET };
}

static bool
number (const char *name, int64_t value, uint32_t *to, GError **error)
{
  if (value < 0 || value > UINT32_MAX)
    return vm_fail (error, "Parameter '%s' expects uint32_t", name);
  *to = (uint32_t) value;
  return true;
}

static bool
read_options (VmNetL2tp *s, const VmqNetdevL2TPv3Options *o, GError **error)
{
  uint32_t offset = 0;

  s->udp = o->has_udp && o->udp;
  s->has_cookie = o->has_txcookie || o->has_rxcookie;
  s->wide_cookie = o->has_cookie64 && o->cookie64;
  s->pinned = o->has_pincounter && o->pincounter;
  s->counter = s->pinned || (o->has_counter && o->counter);
  s->tx_cookie = o->has_txcookie ? o->txcookie : 0;
  s->rx_cookie = o->has_rxcookie ? o->rxcookie : 0;
  if (!number ("txsession", o->txsession, &s->tx_session, error)
      || !number ("rxsession", o->has_rxsession ? o->rxsession : o->txsession, &s->rx_session, error)
      || (o->has_offset && !number ("offset", o->offset, &offset, error)))
    return false;
  if (offset >= OFFSET_MAX)
    return vm_fail (error, "offset must be less than %u bytes", OFFSET_MAX);
  s->offset = offset;
  if (o->has_txcookie != o->has_rxcookie)
    return vm_fail (error, "require both 'rxcookie' and 'txcookie' or neither");
  if (!s->wide_cookie && (s->tx_cookie > UINT32_MAX || s->rx_cookie > UINT32_MAX))
    return vm_fail (error, "cookies of more than 32 bits need cookie64=on");
  if (s->udp && (!o->srcport || !o->dstport))
    return vm_fail (error, "need both src and dst port for udp");
  return true;
}

static bool
l2tpv3_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevL2TPv3Options *o = options;
  L2tp *l = netdev->state;
  bool six = o->has_ipv6 && o->ipv6;

  vm_net_datagrams_init (&l->link, netdev);
  vm_netdev_set_info (netdev, "%s", "");
  if (!read_options (&l->session, o, error))
    return false;
  l->wrapping = (VmNetWrapping){ vm_net_l2tp_size (&l->session), vm_net_l2tp_put, vm_net_l2tp_check };
  l->link.wrapping = &l->wrapping;
  l->link.opaque = &l->session;
  l->names = (VmNetNames){ .netdev = netdev, .socket_type = l->session.udp ? SOCK_DGRAM : 0, .ready = open_socket };
  want (l, VM_NET_LOCAL, "src", o->src, l->session.udp ? o->srcport : NULL, six);
  want (l, VM_NET_REMOTE, "dst", o->dst, l->session.udp ? o->dstport : NULL, six);
  return vm_net_names_resolve (&l->names, error);
}

static void
l2tpv3_close (VmNetdev *netdev)
{
  L2tp *l = netdev->state;

  if (!l->link.loop)
    return;
  vm_net_datagrams_end (&l->link);
  vm_net_names_clear (&l->names);
}

const VmNetdevClass vm_netdev_l2tpv3_class = {
  .name = "l2tpv3",
  .help = "L2TPv3 pseudowire over UDP or IP",
  .state_size = sizeof (L2tp),
  .open = l2tpv3_open,
  .close = l2tpv3_close,
};
