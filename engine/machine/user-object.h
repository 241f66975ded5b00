/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "-object" makes: things that are no devices. */
#pragma once

#include "engine/machine/machine.h"
#include "engine/object/user-object.h"

/* By -object or object-add: makes it, sets its properties, completes it, puts it under /objects. */
VmObject *vm_machine_add_object (VmMachine *machine, const VmDeviceSpec *spec, GError **error);
