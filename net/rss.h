/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Toeplitz hash over addresses and ports that spreads packets over queues, as virtio (1.2, 5.1.6.4.3), Intel's and
 * VMware's cards have it. */
#pragma once

#include "net/net.h"

#define VM_NET_HASH_KEY 40 /* bytes */

enum
{ /* what may be hashed */
  VM_NET_HASH_IPV4 = 1 << 0,
  VM_NET_HASH_TCPV4 = 1 << 1,
  VM_NET_HASH_UDPV4 = 1 << 2,
  VM_NET_HASH_IPV6 = 1 << 3,
  VM_NET_HASH_TCPV6 = 1 << 4,
  VM_NET_HASH_UDPV6 = 1 << 5,
};
typedef enum VmNetHashed
{ /* what was */
  VM_NET_HASHED_NOTHING,
  VM_NET_HASHED_IPV4,
  VM_NET_HASHED_TCPV4,
  VM_NET_HASHED_UDPV4,
  VM_NET_HASHED_IPV6,
  VM_NET_HASHED_TCPV6,
  VM_NET_HASHED_UDPV6,
} VmNetHashed;

uint32_t vm_net_hash (const VmNetPacket *packet, uint32_t types, const uint8_t key[VM_NET_HASH_KEY], VmNetHashed *what);
