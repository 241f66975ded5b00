/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What making and freeing objects needs to know about the values of properties. */
#pragma once

#include "engine/object/object.h"

void vm_prop_set_default (VmObject *obj, const VmProp *prop, void *field);
void vm_prop_clear (VmObject *obj, const VmProp *prop, void *field);
