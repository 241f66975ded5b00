/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives of a machine: what its settings say, and what errors of media do to it. */
#pragma once

#include "block/graph.h"
#include "engine/monitor/monitor.h"
#include "engine/options/settings.h"

/* A drive as -drive asks for it. Lock held. */
bool vm_drive_add (VmMachine *machine, const VmDriveSpec *spec, GError **error);
/* Events go to the monitors, errors stop the machine; once, with the first drive or node. */
void vm_drives_bind (VmMachine *machine);
/* -iscsi: settings of sessions that URLs name. */
bool vm_drives_add_iscsi (VmMachine *machine, const VmKeyVals *list, GError **error);
/* What clients call the device that uses DRIVE: its id, else its path; NULL: nobody. */
struct VmObject *vm_drive_user (VmMachine *machine, const VmDrive *drive);
char *vm_drive_user_name (VmObject *user);
/* What QMP calls "device" and "id"; exactly one of them is given. */
VmDrive *vm_drive_find_named (VmMachine *machine, const char *device, const char *id, GError **error);
