/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The empty machine for the table of boards. */
#pragma once

#include "engine/machine/machine.h"

extern const VmType vm_none_machine_type;
bool vm_none_init (VmMachine *machine, GError **error);
