/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check sequence of Ethernet (IEEE 802.3, 3.2.9). */
#include "net/net.h"

#include <zlib.h>

uint32_t
vm_net_crc32 (const uint8_t *bytes, size_t len)
{
  return crc32 (0, bytes, len);
}

uint32_t
vm_net_frame_crc (const VmNetPacket *packet)
{
  uint32_t crc = 0;

  for (unsigned i = 0; i < packet->n; i++)
    crc = crc32 (crc, packet->iov[i].iov_base, packet->iov[i].iov_len);
  return crc;
}

uint32_t
vm_net_crc32_be (const uint8_t *bytes, size_t len)
{
  uint32_t crc = ~vm_net_crc32 (bytes, len);

  /* The same register, seen from its other end. */
  crc = (crc >> 1 & 0x55555555) | (crc & 0x55555555) << 1;
  crc = (crc >> 2 & 0x33333333) | (crc & 0x33333333) << 2;
  crc = (crc >> 4 & 0x0f0f0f0f) | (crc & 0x0f0f0f0f) << 4;
  return GUINT32_SWAP_LE_BE (crc);
}
