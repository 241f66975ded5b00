/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine checks on demand, and page tables as lists, for VmArchOps. */
#pragma once

#include "engine/cpu/arch.h"

/* VmArchOps.machine_check. On the vCPU's thread outside exec, or while it stands. */
VmMachineCheckResult vm_x86_machine_check (VmVcpu *vcpu, const VmMachineCheck *check, char **text);
/* VmArchOps.list_mappings; the same. */
void vm_x86_list_mappings (VmVcpu *vcpu, GArray *mappings);
