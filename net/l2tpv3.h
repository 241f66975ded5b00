/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Headers of an L2TPv3 session's data messages. */
#pragma once

#include "net/frames.h"

typedef struct VmNetL2tp
{
  bool udp, ip4_header; /* the kernel leaves the IPv4 header of what it has for raw sockets */
  bool has_cookie, wide_cookie, counter, pinned;
  uint32_t tx_session, rx_session;
  uint64_t tx_cookie, rx_cookie;
  unsigned offset; /* bytes between the header and the frame */
  uint32_t tx_count;
  bool heard;
  uint32_t rx_count; /* the newest that came, once one was heard */
  unsigned stale;    /* how many older ones have come in a row */
} VmNetL2tp;

size_t vm_net_l2tp_size (const VmNetL2tp *s);
void vm_net_l2tp_put (void *session, uint8_t *head);
ssize_t vm_net_l2tp_check (void *session, const uint8_t *datagram, size_t len);
