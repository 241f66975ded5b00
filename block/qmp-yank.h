/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes of a graph as what "yank" can end. */
#pragma once

#include "engine/object/object.h"

struct VmDrives;
void vm_drives_bind_yank (VmObject *root, struct VmDrives *drives);
