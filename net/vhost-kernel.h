/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /dev/vhost-net: the kernel serves the rings of a virtio card in front of a TAP interface (Linux' linux/vhost.h). */
#pragma once

#include "net/net.h"

typedef struct VmVhostKernel VmVhostKernel;

/* FDS: of /dev/vhost-net, one for each of the N queues, taken; TAPS: the queues' own. POLL_US: how long the kernel may
 * look for work before it sleeps. */
VmVhostKernel *vm_vhost_kernel_new (GArray *fds, const int *taps, unsigned n, unsigned poll_us, GError **error);
void vm_vhost_kernel_free (VmVhostKernel *self);
uint64_t vm_vhost_kernel_features (const VmVhostKernel *self);
bool vm_vhost_kernel_start (VmVhostKernel *self, uint64_t features, const VmVhostRegion *regions, unsigned n_regions,
                            const VmVhostRing *rings, unsigned n_rings, GError **error);
bool vm_vhost_kernel_set_memory (VmVhostKernel *self, const VmVhostRegion *regions, unsigned n, GError **error);
void vm_vhost_kernel_enable (VmVhostKernel *self, unsigned ring, bool on);
void vm_vhost_kernel_stop (VmVhostKernel *self, VmVhostRing *rings, unsigned n_rings);
