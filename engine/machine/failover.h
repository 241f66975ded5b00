/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pairs of network cards that a guest makes one of (net_failover): a primary, which names its standby by
 * "failover_pair_id", is plugged once the standby's driver has said that it can do with two; until then it waits. What
 * is saved of a machine says which primaries were plugged. */
#pragma once

#include "engine/machine/machine.h"

/* By the standby ID: whether its driver took VIRTIO_NET_F_STANDBY. Primaries come soon after that. */
void vm_failover_set_ready (VmMachine *machine, const char *id, bool ready);
/* device_del of a primary that waits; false: ID is none. */
bool vm_failover_forget (VmMachine *machine, const char *id);
/* Whether one that waits was given PROPERTY=VALUE. */
bool vm_failover_waits_with (const VmMachine *machine, const char *property, const char *value);
