/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program that makes a TAP interface on a bridge for somebody without privileges. */
#pragma once

#include "engine/base/base.h"

/* HELPER NULL: our own, or the distribution's. A command line when it has spaces. Runs it with "--fd=N --br=BRIDGE" and
 * "--use-vnet", and takes the descriptor it sends over N. -1 with ERROR set on failure. */
int vm_net_bridge_helper (const char *helper, const char *bridge, bool vnet_hdr, GError **error);
