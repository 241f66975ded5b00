/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PC's keyboard controller with its keyboard and mouse. */
#pragma once

#include "devices/input/ps2.h"
#include "devices/isa/isa.h"

typedef struct VmI8042 VmI8042;
extern const VmType vm_i8042_type; /* "i8042" */

/* Where its A20 output goes; before realize. */
void vm_i8042_set_a20 (VmI8042 *kbc, VmIrq a20);
VmPs2Mouse *vm_i8042_mouse (VmI8042 *kbc);
