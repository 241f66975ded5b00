/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of sockets in lists of keys. */
#pragma once

#include "engine/base/base.h"
#include "engine/options/keyvals.h"

/* Address family after ipv4= and ipv6=, or -1 with ERROR set. */
int vm_char_addr_family (const VmKeyVals *options, GError **error);
