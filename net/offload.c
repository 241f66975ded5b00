/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Check sums and segments for ends that want them ready-made: RFC 1071, RFC 9293 (TCP), RFC 768 (UDP), RFC 791 and
 * RFC 8200 (IP), and the header of OASIS virtio 1.2, 5.1.6. Payload is never copied. */
#include "net/net-private.h"

#include <string.h>

#define HEADERS_MAX 256 /* Ethernet with two tags, IP and TCP with all options */

/* --- check sums --------------------------------------------------------------------------------------------- */

/* Bytes as 16-bit words in memory order; ODD: the first byte is a second half. Folded to 32 bits. */
static uint64_t
sum_bytes (const uint8_t *p, size_t len, bool odd)
{
  uint64_t sum = 0;

  if (odd && len)
    {
      uint8_t pair[2] = { 0, *p++ };
      uint16_t word;
      memcpy (&word, pair, 2);
      sum += word;
      len--;
    }
  for (; len >= 32; p += 32, len -= 32)
    {
      uint32_t word[8];
      memcpy (word, p, 32);
      sum += (uint64_t) word[0] + word[1] + word[2] + word[3] + word[4] + word[5] + word[6] + word[7];
    }
  for (; len >= 2; p += 2, len -= 2)
    {
      uint16_t word;
      memcpy (&word, p, 2);
      sum += word;
    }
  if (len)
    {
      uint8_t pair[2] = { *p, 0 };
      uint16_t word;
      memcpy (&word, pair, 2);
      sum += word;
    }
  sum = (sum & UINT32_MAX) + (sum >> 32);
  return (sum & UINT32_MAX) + (sum >> 32);
}

uint16_t
vm_net_checksum (const struct iovec *iov, unsigned n, size_t offset, size_t len, uint32_t sum)
{
  uint64_t total = 0;
  bool odd = false;

  for (unsigned i = 0; i < n && len; i++)
    {
      size_t part = iov[i].iov_len;
      if (offset >= part)
        {
          offset -= part;
          continue;
        }
      part = MIN (part - offset, len);
      total += sum_bytes ((const uint8_t *) iov[i].iov_base + offset, part, odd);
      odd ^= part & 1;
      len -= part;
      offset = 0;
    }
  /* Sums do not depend on the order of bytes but for a swap at the end (RFC 1071, 2B). */
  total = (total & 0xffff) + (total >> 16 & 0xffff) + (total >> 32 & 0xffff) + (total >> 48);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  total = (uint64_t) GUINT16_FROM_BE ((uint16_t) total) + (sum & 0xffff) + (sum >> 16);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  return ~total;
}

uint32_t
vm_net_pseudo_sum (const uint8_t *ip, unsigned version, unsigned protocol, uint32_t len)
{
  uint32_t sum = protocol + (len >> 16) + (len & 0xffff);
  unsigned from = version == 4 ? 12 : 8, to = version == 4 ? 20 : 40;

  for (unsigned i = from; i < to; i += 2)
    sum += vm_load_be16 (ip + i);
  return sum;
}

/* --- layers ----------------------------------------------------------------------------------------------------- */

bool
vm_net_layers (const VmNetPacket *packet, VmNetLayers *layers)
{
  uint8_t h[HEADERS_MAX];
  size_t n = vm_net_packet_copy (packet, 0, h, sizeof h), at = 14;
  unsigned protocol;

  *layers = (VmNetLayers){ 0 };
  if (n < at)
    return false;
  layers->ethertype = vm_load_be16 (h + 12);
  for (int tags = 0; tags < 2 && (layers->ethertype == 0x8100 || layers->ethertype == 0x88a8); tags++, at += 4)
    {
      if (n < at + 4)
        return false;
      layers->ethertype = vm_load_be16 (h + at + 2);
    }
  layers->l2 = at;
  if (layers->ethertype == 0x0800)
    {
      if (n < at + 20 || h[at] >> 4 != 4 || (h[at] & 15) < 5)
        return false;
      layers->l3 = (h[at] & 15) * 4;
      layers->ip_len = vm_load_be16 (h + at + 2);
      if (n < at + layers->l3 || layers->ip_len < layers->l3 || at + layers->ip_len > packet->len)
        return false;
      layers->ip_version = 4;
      protocol = h[at + 9];
      layers->fragment = vm_load_be16 (h + at + 6) & 0x3fff;
    }
  else if (layers->ethertype == 0x86dd)
    {
      size_t l3 = 40;
      if (n < at + 40 || h[at] >> 4 != 6)
        return false;
      size_t total = 40 + vm_load_be16 (h + at + 4);
      if (at + total > packet->len || total > UINT16_MAX)
        return false;
      layers->ip_len = total;
      layers->ip_version = 6;
      protocol = h[at + 6];
      /* Hop-by-hop, routing, fragment, destination options. */
      while (protocol == 0 || protocol == 43 || protocol == 44 || protocol == 60)
        {
          if (n < at + l3 + 8)
            return false;
          const uint8_t *e = h + at + l3;
          if (protocol == 44)
            layers->fragment |= (vm_load_be16 (e + 2) & 0xfff9) != 0;
          l3 += protocol == 44 ? 8 : (e[1] + 1) * 8;
          protocol = e[0];
          if (l3 > total || at + l3 > n || l3 > UINT8_MAX)
            return false;
        }
      layers->l3 = l3;
    }
  else
    return true;
  layers->protocol = protocol;
  size_t l4 = at + layers->l3, left = layers->ip_len - layers->l3;
  if (layers->fragment)
    return true;
  if (protocol == 6)
    {
      if (n < l4 + 20 || (h[l4 + 12] >> 4) < 5 || (h[l4 + 12] >> 4) * 4u > left)
        return false;
      layers->l4 = (h[l4 + 12] >> 4) * 4;
    }
  else if (protocol == 17)
    {
      if (left < 8)
        return false;
      layers->l4 = 8;
    }
  return true;
}

/* --- the work ----------------------------------------------------------------------------------------------------- */

static unsigned
gso_needs (const VmNetHeader *header)
{
  unsigned ecn = header->gso_type & VM_NET_GSO_ECN ? VM_NET_TAKES_ECN : 0;

  switch (header->gso_type & ~VM_NET_GSO_ECN)
    {
    case VM_NET_GSO_TCPV4:
      return VM_NET_TAKES_TSO4 | ecn;
    case VM_NET_GSO_TCPV6:
      return VM_NET_TAKES_TSO6 | ecn;
    case VM_NET_GSO_UDP:
      return VM_NET_TAKES_UFO;
    case VM_NET_GSO_UDP_L4:
      return VM_NET_TAKES_USO;
    default:
      return 0;
    }
}

bool
vm_net_needs_work (const VmNetPacket *packet, unsigned takes)
{
  unsigned needs = gso_needs (&packet->header);

  if (packet->header.flags & VM_NET_NEEDS_CSUM)
    needs |= VM_NET_TAKES_CSUM;
  return (needs & ~takes) != 0;
}

/* A frame whose first HEAD_LEN bytes are those of HEAD instead. */
typedef struct Frame
{
  struct iovec iov[VM_NET_IOV_MAX + 1];
  unsigned n;
} Frame;

static void
add_slice (Frame *frame, const VmNetPacket *packet, size_t offset, size_t len)
{
  for (unsigned i = 0; i < packet->n && len && frame->n < G_N_ELEMENTS (frame->iov); i++)
    {
      size_t part = packet->iov[i].iov_len;
      if (offset >= part)
        {
          offset -= part;
          continue;
        }
      part = MIN (part - offset, len);
      frame->iov[frame->n++] = (struct iovec){ (uint8_t *) packet->iov[i].iov_base + offset, part };
      len -= part;
      offset = 0;
    }
}

/* The check sum alone: what lies from csum_start to the end is summed up with what the field holds. */
static bool
emit_summed (const VmNetPacket *packet, VmNetEmit emit, void *opaque)
{
  size_t start = packet->header.csum_start, field = start + packet->header.csum_offset;
  uint8_t head[HEADERS_MAX];
  Frame frame;

  if (field + 2 > packet->len || field + 2 > sizeof head)
    return emit (opaque, &(VmNetPacket){ packet->iov, packet->n, packet->len, { 0 } });
  vm_net_packet_copy (packet, 0, head, field + 2);
  unsigned sum = vm_net_checksum (packet->iov, packet->n, start, packet->len - start, 0);
  /* A UDP sum of zero would say "none" (RFC 768); for TCP both are the same number. */
  vm_store_be16 (head + field, sum ? sum : 0xffff);
  frame.iov[0] = (struct iovec){ head, field + 2 };
  frame.n = 1;
  add_slice (&frame, packet, field + 2, packet->len - field - 2);
  return emit (opaque, &(VmNetPacket){ frame.iov, frame.n, packet->len, { 0 } });
}

/* What differs from one segment to the next. */
typedef struct Split
{
  const VmNetPacket *packet;
  VmNetLayers layers;
  uint8_t head[HEADERS_MAX];
  size_t head_len;    /* copied to each segment */
  size_t payload;     /* bytes of all segments */
  size_t size;        /* of one */
  bool fragments;     /* of IPv4 or IPv6 (UFO) rather than segments */
} Split;

static bool
split_start (Split *s, const VmNetPacket *packet)
{
  unsigned type = packet->header.gso_type & ~VM_NET_GSO_ECN, version, protocol;
  VmNetLayers *l = &s->layers;

  s->packet = packet;
  s->size = packet->header.gso_size;
  s->fragments = type == VM_NET_GSO_UDP;
  if (!s->size || !vm_net_layers (packet, l) || !l->ip_version || l->fragment || !l->l4)
    return false;
  version = type == VM_NET_GSO_TCPV4 ? 4 : type == VM_NET_GSO_TCPV6 ? 6 : l->ip_version;
  protocol = type == VM_NET_GSO_TCPV4 || type == VM_NET_GSO_TCPV6 ? 6 : 17;
  if (l->ip_version != version || l->protocol != protocol)
    return false;
  s->head_len = l->l2 + l->l3 + (s->fragments ? 0u : l->l4);
  /* Bytes behind the IP packet are padding. */
  if (s->head_len > sizeof s->head || l->l2 + (size_t) l->ip_len < s->head_len)
    return false;
  s->payload = l->l2 + (size_t) l->ip_len - s->head_len;
  if (s->fragments)
    s->size &= ~(size_t) 7;
  /* IPv6 fragments want a header more, which nobody sends any longer: as it is. */
  if (!s->size || (s->fragments && l->ip_version == 6))
    return false;
  vm_net_packet_copy (packet, 0, s->head, s->head_len);
  return true;
}

static void
ip4_sum (uint8_t *ip, unsigned len)
{
  struct iovec v = { ip, len };

  vm_store_be16 (ip + 10, 0);
  vm_store_be16 (ip + 10, vm_net_checksum (&v, 1, 0, len, 0));
}

static bool
split_emit (const Split *s, unsigned index, VmNetEmit emit, void *opaque)
{
  const VmNetLayers *l = &s->layers;
  size_t from = (size_t) index * s->size, len = MIN (s->size, s->payload - from);
  bool last = from + len == s->payload;
  uint8_t head[HEADERS_MAX], udp_sum[8];
  uint8_t *ip = head + l->l2, *l4 = ip + l->l3;
  Frame frame;

  memcpy (head, s->head, s->head_len);
  frame.iov[0] = (struct iovec){ head, s->head_len };
  frame.n = 1;
  if (s->fragments && index == 0)
    {
      /* The sum covers the whole datagram. */
      vm_net_packet_copy (s->packet, s->head_len, udp_sum, 8);
      vm_store_be16 (udp_sum + 6, 0);
      uint32_t sum = vm_net_pseudo_sum (ip, 4, 17, s->payload);
      sum += vm_load_be16 (udp_sum) + vm_load_be16 (udp_sum + 2) + vm_load_be16 (udp_sum + 4);
      unsigned folded = vm_net_checksum (s->packet->iov, s->packet->n, s->head_len + 8, s->payload - 8, sum);
      vm_store_be16 (udp_sum + 6, folded ? folded : 0xffff);
      frame.iov[frame.n++] = (struct iovec){ udp_sum, 8 };
      add_slice (&frame, s->packet, s->head_len + 8, len - 8);
    }
  else
    add_slice (&frame, s->packet, s->head_len + from, len);

  if (l->ip_version == 4)
    {
      vm_store_be16 (ip + 2, s->head_len - l->l2 + len);
      if (s->fragments)
        vm_store_be16 (ip + 6, from / 8 | (last ? 0 : 0x2000));
      else
        vm_store_be16 (ip + 4, vm_load_be16 (ip + 4) + index);
      ip4_sum (ip, l->l3);
    }
  else
    vm_store_be16 (ip + 4, s->head_len - l->l2 - 40 + len);
  if (!s->fragments)
    {
      uint32_t sum = vm_net_pseudo_sum (ip, l->ip_version, l->protocol, l->l4 + len);
      if (l->protocol == 6)
        {
          vm_store_be32 (l4 + 4, vm_load_be32 (l4 + 4) + from);
          if (!last)
            l4[13] &= ~(1 | 8); /* FIN and PSH: of the last; CWR: of the first */
          if (index)
            l4[13] &= ~0x80;
          vm_store_be16 (l4 + 16, 0);
        }
      else
        {
          vm_store_be16 (l4 + 4, 8 + len);
          vm_store_be16 (l4 + 6, 0);
        }
      unsigned folded = vm_net_checksum (frame.iov, frame.n, l->l2 + l->l3, l->l4 + len, sum);
      vm_store_be16 (l4 + (l->protocol == 6 ? 16 : 6), folded || l->protocol == 6 ? folded : 0xffff);
    }
  return emit (opaque, &(VmNetPacket){ frame.iov, frame.n, s->head_len + len, { 0 } });
}

unsigned
vm_net_do_work (const VmNetPacket *packet, unsigned first, VmNetEmit emit, void *opaque, bool *done)
{
  Split split;
  unsigned n, i;

  if (!gso_needs (&packet->header) || !split_start (&split, packet))
    {
      *done = packet->header.flags & VM_NET_NEEDS_CSUM
                ? emit_summed (packet, emit, opaque)
                : emit (opaque, &(VmNetPacket){ packet->iov, packet->n, packet->len, { 0 } });
      return *done;
    }
  n = MAX ((split.payload + split.size - 1) / split.size, 1);
  for (i = first; i < n; i++)
    if (!split_emit (&split, i, emit, opaque))
      break;
  *done = i == n;
  return i - first;
}

/* --- for back ends -------------------------------------------------------------------------------------------- */

void
vm_net_start_sum (uint8_t *frame, const VmNetLayers *l)
{
  uint8_t *ip = frame + l->l2;
  uint32_t sum = vm_net_pseudo_sum (ip, l->ip_version, l->protocol, l->ip_len - l->l3);

  sum = (sum & 0xffff) + (sum >> 16);
  vm_store_be16 (ip + l->l3 + (l->protocol == 6 ? 16 : 6), (sum & 0xffff) + (sum >> 16));
}

void
vm_net_finish (uint8_t *frame, size_t len, const VmNetHeader *header)
{
  struct iovec iov = { frame, len };
  const VmNetPacket packet = { &iov, 1, len, *header };
  size_t start = header->csum_start, field = start + header->csum_offset;
  VmNetLayers l;

  if (gso_needs (header) && vm_net_layers (&packet, &l) && l.ip_version && l.l4 && !l.fragment)
    {
      /* Cards differ in what they leave in the field, and IPv4's own sum may be wanted too. */
      if (l.ip_version == 4)
        ip4_sum (frame + l.l2, l.l3);
      start = l.l2 + l.l3;
      field = start + (l.protocol == 6 ? 16 : 6);
      vm_net_start_sum (frame, &l);
      len = l.l2 + l.ip_len;
    }
  else if (!(header->flags & VM_NET_NEEDS_CSUM) || field + 2 > len)
    return;
  unsigned sum = vm_net_checksum (&iov, 1, start, len - start, 0);
  vm_store_be16 (frame + field, sum ? sum : 0xffff);
}

void
vm_net_fragment (const VmNetPacket *packet, const VmNetLayers *l, unsigned mtu, VmNetPort *from)
{
  bool six = l->ip_version == 6;
  size_t l3 = six ? 40 : l->l3, data = l->l2 + l3, head_len = data + (six ? 8 : 0), payload = l->ip_len - l3;
  size_t size = (mtu - (head_len - l->l2)) & ~(size_t) 7;
  uint8_t head[HEADERS_MAX], *ip = head + l->l2, *fragment = head + data;
  unsigned flags;

  if (head_len > sizeof head)
    return;
  vm_net_packet_copy (packet, 0, head, data);
  flags = six ? 0 : vm_load_be16 (ip + 6);
  if (six)
    {
      fragment[0] = ip[6];
      fragment[1] = 0;
      vm_store_be32 (fragment + 4, g_random_int ());
      ip[6] = 44;
    }
  for (size_t at = 0; at < payload; at += size)
    {
      size_t len = MIN (size, payload - at);
      bool more = at + len < payload;
      Frame frame = { .n = 1 };
      frame.iov[0] = (struct iovec){ head, head_len };
      add_slice (&frame, packet, data + at, len);
      if (six)
        {
          vm_store_be16 (ip + 4, 8 + len);
          vm_store_be16 (fragment + 2, at | more);
        }
      else
        {
          vm_store_be16 (ip + 2, l3 + len);
          vm_store_be16 (ip + 6, (flags & 0x1fff) + at / 8 + (more || (flags & 0x2000) ? 0x2000 : 0));
          ip4_sum (ip, l3);
        }
      vm_net_send (from, &(VmNetPacket){ frame.iov, frame.n, head_len + len, { 0 } }, NULL);
    }
}
