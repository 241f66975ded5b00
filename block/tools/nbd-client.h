/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What vitrine-nbd does as a client: listing what a server has, and giving an export to the kernel as a device. */
#pragma once

#include "block/export/nbd-server.h"
#include "block/tools/tool.h"

/* Prints the exports. Gives the exit status. */
int vm_nbd_list (VmTool *tool, VmSocketAddr *addr, VmTlsCreds *creds, const char *hostname);

/* The kernel as a client of SERVER at DEVICE, "/dev/nbd0"; GONE (OPAQUE) in the graph's loop when it has let go. NULL
 * when it cannot be, and it has been told why. */
typedef struct VmNbdDevice VmNbdDevice;
VmNbdDevice *vm_nbd_device_connect (VmTool *tool, VmNbdServer *server, const char *name, const char *device,
                                    VmPostFunc gone, void *opaque);
void vm_nbd_device_disconnect (VmNbdDevice *device); /* and waits */
/* Of another program's doing. Gives the exit status. */
int vm_nbd_device_clear (VmTool *tool, const char *device);
