/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VNC servers of a machine (RFC 6143 and the extensions that viewers know). One thread has all their connections;
 * a few more compress pictures; none takes the machine lock. */
#pragma once

#include "engine/machine/machine.h"

#include <json-c/json.h>

typedef struct VmVnc VmVnc;

/* No server yet, no thread. QMP finds it as machine->vnc_of. */
VmVnc *vm_vnc_new (VmMachine *machine);
/* Ends all of it. The engine loop no longer runs, or this is its thread. */
void vm_vnc_free (VmVnc *vnc);
/* What one -vnc says. Listens when this returns. Machine lock held. */
bool vm_vnc_open (VmVnc *vnc, const VmKeyVals *options, GError **error);
/* Where the first server listens, "127.0.0.1:5900"; NULL: nowhere. */
char *vm_vnc_address (VmVnc *vnc);

/* --- while the machine runs: the engine loop, machine lock held ----------------------------------------------------
 */

/* Ends server ID, whose viewers go. False: there is none. */
bool vm_vnc_close (VmVnc *vnc, const char *id);
/* Hangs up on viewer NUMBER. False: it has gone. */
bool vm_vnc_drop (VmVnc *vnc, int64_t number);
/* [{"id", "auth" (as "info vnc" has it), "addresses": [...], "viewers": [{"number", "address", "user" (by SASL or
 * certificate; may be missing), "since" (seconds since 1970), "looks" (it has logged in)}]}] */
json_object *vm_vnc_describe (VmVnc *vnc);
