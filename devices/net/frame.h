/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames as they come off the wire, for cards that look at whole ones. */
#pragma once

#include "net/net.h"

/* Copies PACKET, padded to the least length, and with its check sequence behind; returns the bytes of both, 0 when that
 * is more than SIZE. */
size_t vm_net_wire_frame (const VmNetPacket *packet, uint8_t *buffer, size_t size);
