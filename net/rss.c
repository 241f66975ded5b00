/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Toeplitz hash over addresses and ports (OASIS virtio 1.2, 5.1.6.4.3), which spreads packets over queues. */
#include "net/rss.h"

static uint32_t
toeplitz (const uint8_t *key, const uint8_t *input, size_t len)
{
  uint32_t window = (uint32_t) key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3], hash = 0;

  for (size_t i = 0; i < len; i++)
    for (int bit = 7; bit >= 0; bit--)
      {
        if (input[i] >> bit & 1)
          hash ^= window;
        /* The key is long enough for the longest input. */
        window = window << 1 | (i + 4 < VM_NET_HASH_KEY ? key[i + 4] >> bit & 1 : 0);
      }
  return hash;
}

uint32_t
vm_net_hash (const VmNetPacket *packet, uint32_t types, const uint8_t key[VM_NET_HASH_KEY], VmNetHashed *what)
{
  uint8_t input[36];
  VmNetLayers l;
  size_t n;

  *what = VM_NET_HASHED_NOTHING;
  if (!vm_net_layers (packet, &l) || !l.ip_version)
    return 0;
  bool v4 = l.ip_version == 4;
  uint32_t tcp = v4 ? VM_NET_HASH_TCPV4 : VM_NET_HASH_TCPV6;
  uint32_t udp = v4 ? VM_NET_HASH_UDPV4 : VM_NET_HASH_UDPV6;
  n = v4 ? 8 : 32;
  vm_net_packet_copy (packet, l.l2 + (v4 ? 12u : 8u), input, n);
  bool ports = l.l4 && !l.fragment && ((l.protocol == 6 && types & tcp) || (l.protocol == 17 && types & udp));
  if (ports)
    {
      n += vm_net_packet_copy (packet, l.l2 + l.l3, input + n, 4);
      *what = (l.protocol == 6 ? 2 : 3) + (v4 ? 0 : 3);
    }
  else if (types & (v4 ? VM_NET_HASH_IPV4 : VM_NET_HASH_IPV6))
    *what = v4 ? 1 : 4;
  else
    return 0;
  return toeplitz (key, input, n);
}
