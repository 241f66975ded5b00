/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user-mode network: its parts, and what people change while it runs. */
#pragma once

#include "net/net.h"

#include <slirp/libslirp.h>

struct VmqNetdevUserOptions;

typedef struct VmNetUser {
  VmNetdev  *netdev;
  VmNetPort *port;
  Slirp     *slirp;
  bool       large;       /* segments beyond the MTU */
  bool       congested;
  bool       refill_posted;
  int        epoll;
  GSource   *watch;
  VmTimer    timer;
  GArray    *polls;       /* what libslirp asked for last */
  GArray    *interest, *seen; /* uint32_t by descriptor: in the epoll set, and in which round */
  uint32_t   round;
  struct in_addr net, mask, host, dhcp, dns, smb;
  GPtrArray *guest_forwards;
  GQueue     fragments;   /* of datagrams that are not whole yet */
  char      *share;       /* folder of smbd's files; NULL: none */
  uint8_t    frame[VM_NET_FRAME_MAX];
} VmNetUser;

VmNetUser *vm_net_user_of (VmNetdev *netdev); /* NULL: another kind */
/* "tcp:127.0.0.1:2222-10.0.2.15:22", "[::1]..." for IPv6. */
bool  vm_net_user_add_hostfwd (VmNetUser *user, const char *rule, GError **error);
bool  vm_net_user_remove_hostfwd (VmNetUser *user, const char *rule, GError **error);
char *vm_net_user_describe (VmNetUser *user); /* "info usernet" */

/* --- user-fragments.c ------------------------------------------------------------------------------------------ */

/* FRAME has room for the longest. False: it was a fragment, and there is nothing whole yet. */
bool vm_net_user_reassemble (VmNetUser *user, uint8_t *frame, size_t *len, const VmNetLayers *layers);
void vm_net_user_drop_fragments (VmNetUser *user);
/* --- user-options.c ------------------------------------------------------------------------------------------ */

bool vm_net_user_configure (VmNetUser *user, const struct VmqNetdevUserOptions *options, SlirpConfig *config,
                            GPtrArray *search, GError **error);
/* --- user-forward.c ------------------------------------------------------------------------------------------- */

bool vm_net_user_open_forwards (VmNetUser *user, const struct VmqNetdevUserOptions *options, GError **error);
void vm_net_user_close_forwards (VmNetUser *user);
void vm_net_user_remove_share (VmNetUser *user);
