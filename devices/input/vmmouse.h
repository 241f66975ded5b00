/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware's absolute pointer, reached through the backdoor port and announced by the PS/2 mouse. */
#pragma once

#include "devices/input/i8042.h"
#include "devices/input/vmport.h"

typedef struct VmVmmouse VmVmmouse;
extern const VmType vm_vmmouse_type; /* "vmmouse" */

/* Whom it works with; before realize. */
void vm_vmmouse_connect (VmVmmouse *mouse, VmVmport *port, VmI8042 *kbc);
