/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The i440FX board for the table of boards. */
#pragma once

#include "devices/board/pc.h"

extern const VmType vm_pc_i440fx_machine_type, vm_isapc_machine_type;
bool vm_pc_i440fx_init (VmMachine *machine, GError **error);
bool vm_isapc_init (VmMachine *machine, GError **error);
