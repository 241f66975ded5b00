/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a command's place in vm_schema_commands to the function that carries it out. */
#pragma once

#include "engine/monitor/monitor.h"

/* Fills *RESULT when the command returns something. */
typedef bool (*VmQmpCall) (VmMonitor *mon, const void *args, void **result, GError **error);
extern const VmQmpCall vm_qmp_calls[]; /* parallel to vm_schema_commands */
