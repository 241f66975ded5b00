/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the files of net/. */
#pragma once

#include "net/net.h"

/* --- offload.c: what the other end does not take ---------------------------------------------------------- */

/* What of PACKET's header an end that takes TAKES could not carry out. False: it takes it as it is. */
bool vm_net_needs_work (const VmNetPacket *packet, unsigned takes);
/* Gives PACKET to EMIT as frames with nothing left to do, from the FIRST on, until EMIT says false; returns how many
 * were taken, and in *DONE whether that was all. A header that makes no sense counts as nothing to do. */
typedef bool (*VmNetEmit) (void *opaque, const VmNetPacket *packet);
unsigned vm_net_do_work (const VmNetPacket *packet, unsigned first, VmNetEmit emit, void *opaque, bool *done);

/* --- filter.c ------------------------------------------------------------------------------------------------ */

/* The filters of the netdev between FROM and its peer; true: one of them has taken the packet. */
bool vm_net_filter (VmNetPort *from, const VmNetPacket *packet);
/* Whether one of them may want to see packets. */
bool vm_net_filtered (const VmNetPort *from);
void vm_net_filters_drop (VmNetdev *netdev); /* it goes away */

/* --- port.c ---------------------------------------------------------------------------------------------------- */

/* Past the filters. */
bool vm_net_deliver (VmNetPort *from, const VmNetPacket *packet, VmNetSent sent);

/* --- card.c and netdev.c -------------------------------------------------------------------------------------- */

bool vm_net_card_is_model (const VmNetCard *card, const char *model);
void vm_net_card_link_told (VmNetCard *card, bool was); /* something changed: the device hears of it if it matters */
void vm_net_describe_hubs (const VmNet *net, GString *out); /* hub.c */
void vm_net_warn_hubs (const VmNet *net);
int vm_net_hub_of (const VmNetPort *port); /* the number of the hub that PORT belongs to; -1: none */
void vm_netdev_close (VmNetdev *netdev);
void vm_netdev_remove (VmNetdev *netdev);
/* A descriptor that was inherited (a number) or given by "getfd" (a name); -1 with ERROR set. It is the caller's. */
int vm_net_take_fd (VmNet *net, const char *name, GError **error);

extern const VmType vm_net_type;
extern const VmNetdevClass vm_netdev_bridge_class, vm_netdev_dgram_class, vm_netdev_hubport_class, vm_netdev_l2tpv3_class,
  vm_netdev_socket_class, vm_netdev_stream_class, vm_netdev_tap_class, vm_netdev_user_class, vm_netdev_vde_class,
  vm_netdev_vhost_user_class;
