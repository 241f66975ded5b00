/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IPv4 fragments that the guest sends into a user-mode network are put together here (RFC 791, 3.2; RFC 5722 for what
 * overlaps): libslirp 4.7 writes past its buffers for some, and never sees one. */
#include "net/net-private.h"
#include "net/user.h"

#include <string.h>

#define DATAGRAMS 16
#define TIME_NS (30000 * VM_NS_PER_MS)
#define PAYLOAD 65536
#define HEAD (14 + 60)

typedef struct Datagram
{
  uint8_t key[11]; /* addresses, identification, protocol */
  int64_t came;
  unsigned head_len, total, units; /* 0: not known yet; pieces of eight bytes that are there */
  uint8_t head[HEAD];
  uint8_t have[PAYLOAD / 64];
  uint8_t bytes[PAYLOAD];
} Datagram;

static unsigned
get16 (const uint8_t *p)
{
  return p[0] << 8 | p[1];
}

static void
put16 (uint8_t *p, unsigned value)
{
  p[0] = value >> 8;
  p[1] = value;
}

static void
forget (VmNetUser *user, Datagram *d)
{
  g_queue_remove (&user->fragments, d);
  g_free (d);
}

static Datagram *
find (VmNetUser *user, const uint8_t *ip)
{
  int64_t now = vm_clock_now (user->netdev->net->clocks, VM_CLOCK_REALTIME);
  uint8_t key[sizeof ((Datagram *) NULL)->key];
  Datagram *d;

  memcpy (key, ip + 12, 8);
  memcpy (key + 8, ip + 4, 2);
  key[10] = ip[9];
  while ((d = g_queue_peek_head (&user->fragments)) && now - d->came > TIME_NS)
    forget (user, d);
  for (GList *at = user->fragments.head; at; at = at->next)
    if (!memcmp (((Datagram *) at->data)->key, key, sizeof key))
      return at->data;
  if (user->fragments.length >= DATAGRAMS)
    forget (user, g_queue_peek_head (&user->fragments));
  d = g_new0 (Datagram, 1);
  memcpy (d->key, key, sizeof key);
  d->came = now;
  g_queue_push_tail (&user->fragments, d);
  return d;
}

/* Marks LEN bytes from OFFSET on; false: some were there already. */
static bool
mark (Datagram *d, unsigned offset, unsigned len)
{
  for (unsigned i = offset / 8; i < (offset + len + 7) / 8; i++)
    {
      if (d->have[i / 8] >> (i % 8) & 1)
        return false;
      d->have[i / 8] |= 1u << (i % 8);
      d->units++;
    }
  return true;
}

static bool
add (Datagram *d, const uint8_t *frame, const VmNetLayers *l)
{
  const uint8_t *ip = frame + l->l2;
  unsigned offset = (get16 (ip + 6) & 0x1fff) * 8, len = l->ip_len - l->l3;
  bool more = ip[6] & 0x20;

  if (!len || (more && len % 8) || offset + len > 65535u - l->l3 || (d->total && (!more || offset + len > d->total))
      || !mark (d, offset, len))
    return false;
  memcpy (d->bytes + offset, ip + l->l3, len);
  if (!more)
    d->total = offset + len;
  if (!offset)
    {
      d->head_len = l->l2 + l->l3;
      memcpy (d->head, frame, d->head_len);
    }
  return true;
}

bool
vm_net_user_reassemble (VmNetUser *user, uint8_t *frame, size_t *len, const VmNetLayers *l)
{
  Datagram *d;

  if (!l->fragment || l->ip_version != 4)
    return true;
  if (l->l2 != 14)
    return false;
  d = find (user, frame + l->l2);
  bool ok = add (d, frame, l);
  if (ok && (!d->total || !d->head_len || d->units < (d->total + 7) / 8))
    return false;
  /* What goes beyond the end makes more pieces than it may have; and all must fit into the length's 16 bits. */
  ok = ok && d->units == (d->total + 7) / 8 && d->head_len - 14 + d->total <= 65535;
  if (ok)
    {
      struct iovec iov = { frame, d->head_len };
      memcpy (frame, d->head, d->head_len);
      memcpy (frame + d->head_len, d->bytes, d->total);
      *len = d->head_len + d->total;
      put16 (frame + 16, *len - 14);
      put16 (frame + 20, 0);
      put16 (frame + 24, 0);
      put16 (frame + 24, vm_net_checksum (&iov, 1, 14, d->head_len - 14, 0));
    }
  forget (user, d);
  return ok;
}

void
vm_net_user_drop_fragments (VmNetUser *user)
{
  g_queue_clear_full (&user->fragments, g_free);
}
