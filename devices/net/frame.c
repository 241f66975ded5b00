/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames as they come off the wire (IEEE 802.3, 3.1.1). */
#include "devices/net/frame.h"

#include "engine/base/base.h"

#include <string.h>

size_t
vm_net_wire_frame (const VmNetPacket *packet, uint8_t *buffer, size_t size)
{
  size_t len = MAX (packet->len, VM_NET_FRAME_MIN);

  if (len + 4 > size)
    return 0;
  vm_net_packet_copy (packet, 0, buffer, packet->len);
  if (packet->len < len)
    memset (buffer + packet->len, 0, len - packet->len);
  vm_store_le32 (buffer + len, vm_net_crc32 (buffer, len));
  return len + 4;
}
