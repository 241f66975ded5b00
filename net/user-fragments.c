/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fragments that the guest sends into a user-mode network are put together here (RFC 791, 3.2; RFC 8200, 4.5; RFC 5722
 * for what overlaps): libslirp 4.7 writes past its buffers for some of IPv4 and drops those of IPv6, and never sees
 * one. */
#include "net/net-private.h"
#include "net/user.h"

#include <string.h>

#define DATAGRAMS 16
#define TIME_NS (30000 * VM_NS_PER_MS)
#define PAYLOAD 65536
#define HEAD (14 + UINT8_MAX)
#define HEADER_SIX 40
#define FRAGMENT_HEADER 8

/* Addresses, identification, version, and the protocol of IPv4. */
typedef struct Key
{
  uint8_t bytes[38];
} Key;

typedef struct Datagram
{
  Key key;
  int64_t came;
  unsigned head_len, total, units; /* 0: not known yet; pieces of eight bytes that are there */
  uint8_t head[HEAD];              /* what stands before the data, without a word about fragments */
  uint8_t have[PAYLOAD / 64];
  uint8_t bytes[PAYLOAD];
} Datagram;

typedef struct Fragment
{
  Key key;
  const uint8_t *data;
  unsigned head_len, next_at, next; /* of the frame's head; the byte in it that becomes NEXT; 0: none does */
  unsigned offset, len, most;       /* MOST: bytes that the datagram may have */
  bool more;
} Fragment;

static void
forget (VmNetUser *user, Datagram *d)
{
  g_queue_remove (&user->fragments, d);
  g_free (d);
}

static Datagram *
find (VmNetUser *user, const Key *key)
{
  int64_t now = vm_clock_now (user->netdev->net->clocks, VM_CLOCK_REALTIME);
  Datagram *d;

  while ((d = g_queue_peek_head (&user->fragments)) && now - d->came > TIME_NS)
    forget (user, d);
  for (GList *at = user->fragments.head; at; at = at->next)
    if (!memcmp (&((Datagram *) at->data)->key, key, sizeof *key))
      return at->data;
  if (user->fragments.length >= DATAGRAMS)
    forget (user, g_queue_peek_head (&user->fragments));
  d = g_new0 (Datagram, 1);
  d->key = *key;
  d->came = now;
  g_queue_push_tail (&user->fragments, d);
  return d;
}

/* --- what a frame brings ------------------------------------------------------------------------------------ */

static void
parse_four (const uint8_t *frame, const VmNetLayers *l, Fragment *f)
{
  const uint8_t *ip = frame + l->l2;

  f->key.bytes[0] = 4;
  f->key.bytes[1] = ip[9];
  memcpy (f->key.bytes + 2, ip + 12, 8);
  memcpy (f->key.bytes + 10, ip + 4, 2);
  f->offset = (vm_load_be16 (ip + 6) & 0x1fff) * 8;
  f->more = ip[6] & 0x20;
  f->head_len = l->l2 + l->l3;
  f->data = ip + l->l3;
  f->len = l->ip_len - l->l3;
  f->most = 65535 - l->l3;
}

/* vm_net_layers() went through these headers and found them whole. What lies behind the fragment's is data here. */
static void
parse_six (const uint8_t *frame, const VmNetLayers *l, Fragment *f)
{
  const uint8_t *ip = frame + l->l2, *fragment;
  unsigned next_at = 6, at = HEADER_SIX;

  for (; ip[next_at] != 44; at += (ip[at + 1] + 1) * 8)
    next_at = at;
  fragment = ip + at;
  f->key.bytes[0] = 6;
  memcpy (f->key.bytes + 2, ip + 8, 32);
  memcpy (f->key.bytes + 34, fragment + 4, 4);
  f->offset = vm_load_be16 (fragment + 2) & 0xfff8;
  f->more = fragment[3] & 1;
  f->head_len = l->l2 + at;
  f->next_at = l->l2 + next_at;
  f->next = fragment[0];
  f->data = fragment + FRAGMENT_HEADER;
  f->len = l->ip_len - at - FRAGMENT_HEADER;
  f->most = 65535 - at; /* what frames have room for: a header less than IPv6 can */
}

/* --- putting together ----------------------------------------------------------------------------------------- */

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
add (Datagram *d, const uint8_t *frame, const Fragment *f)
{
  if (!f->len || (f->more && f->len % 8) || f->offset + f->len > f->most
      || (d->total && (!f->more || f->offset + f->len > d->total)) || !mark (d, f->offset, f->len))
    return false;
  memcpy (d->bytes + f->offset, f->data, f->len);
  if (!f->more)
    d->total = f->offset + f->len;
  if (!f->offset)
    {
      d->head_len = f->head_len;
      memcpy (d->head, frame, d->head_len);
      if (f->next_at)
        d->head[f->next_at] = f->next;
    }
  return true;
}

static size_t
write_whole (const Datagram *d, uint8_t *frame)
{
  struct iovec iov = { frame, d->head_len };
  size_t len = d->head_len + d->total;

  memcpy (frame, d->head, d->head_len);
  memcpy (frame + d->head_len, d->bytes, d->total);
  if (d->key.bytes[0] == 6)
    {
      vm_store_be16 (frame + 18, len - 14 - HEADER_SIX);
      return len;
    }
  vm_store_be16 (frame + 16, len - 14);
  vm_store_be16 (frame + 20, 0);
  vm_store_be16 (frame + 24, 0);
  vm_store_be16 (frame + 24, vm_net_checksum (&iov, 1, 14, d->head_len - 14, 0));
  return len;
}

bool
vm_net_user_reassemble (VmNetUser *user, uint8_t *frame, size_t *len, const VmNetLayers *l)
{
  Fragment f = { 0 };
  Datagram *d;

  if (!l->fragment || !l->ip_version)
    return true;
  if (l->l2 != 14)
    return false;
  if (l->ip_version == 4)
    parse_four (frame, l, &f);
  else
    parse_six (frame, l, &f);
  d = find (user, &f.key);
  bool ok = add (d, frame, &f);
  if (ok && (!d->total || !d->head_len || d->units < (d->total + 7) / 8))
    return false;
  /* What goes beyond the end makes more pieces than it may have; and all must fit into the length's 16 bits. */
  ok = ok && d->units == (d->total + 7) / 8 && d->head_len - 14 + d->total <= 65535;
  if (ok)
    *len = write_whole (d, frame);
  forget (user, d);
  return ok;
}

void
vm_net_user_drop_fragments (VmNetUser *user)
{
  g_queue_clear_full (&user->fragments, g_free);
}
