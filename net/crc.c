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
  uint32_t crc = UINT32_MAX;

  for (size_t i = 0; i < len; i++)
    for (int bit = 0; bit < 8; bit++)
      crc = crc << 1 ^ (((crc >> 31) ^ (bytes[i] >> bit & 1)) ? 0x04c11db7 : 0);
  return crc;
}
