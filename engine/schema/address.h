/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets: those of the schema, and those that engine/io works with. */
#pragma once

#include "engine/io/address.h"
#include "engine/schema/types.h"

/* Not for descriptors. ADDRESS is to be cleared in any case. */
bool vm_address_read (const VmqSocketAddress *from, VmAddress *address, GError **error);
/* The other way, of what a socket is bound or connected to; newly allocated, for vm_schema_free(). */
VmqSocketAddress *vm_address_write (const VmSockaddr *name);
