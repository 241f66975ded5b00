/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connecting stream sockets without holding up a loop: looks the name up, then tries what was found, one by one. */
#pragma once

#include "engine/io/address.h"

typedef struct VmConnect VmConnect;
/* FD is the callee's and does not block; -1: failed, as ERROR says. */
typedef void (*VmConnectFunc) (void *opaque, int fd, const GError *error);

/* FUNC is called from the loop, maybe before this returns; the attempt is over then and *CONNECT, where it is kept
 * meanwhile, is NULL. */
void vm_connect_start (VmConnect **connect, VmLoop *loop, const VmAddress *address, VmConnectFunc func, void *opaque);
void vm_connect_cancel (VmConnect **connect); /* FUNC will not be called */
