/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VNC servers of a machine (RFC 6143 and the extensions that viewers know). One thread has all their connections;
 * a few more compress pictures; none takes the machine lock. */
#pragma once

#include "engine/machine/machine.h"

typedef struct VmVnc VmVnc;

/* No server yet, no thread. QMP finds it as machine->vnc_of. */
VmVnc *vm_vnc_new (VmMachine *machine);
/* Ends all of it. The engine loop no longer runs, or this is its thread. */
void vm_vnc_free (VmVnc *vnc);
/* What one -vnc says. Listens when this returns. Machine lock held. */
bool vm_vnc_open (VmVnc *vnc, const VmKeyVals *options, GError **error);
/* Where the first server listens, "127.0.0.1:5900"; NULL: nowhere. */
char *vm_vnc_address (VmVnc *vnc);
