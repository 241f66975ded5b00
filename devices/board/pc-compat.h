/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values that versions of the pc machine type up to the one in the name have; those of later versions come first. */
#pragma once

#include "engine/machine/machine.h"

extern const VmCompat vm_pc_compat_7_1[];
extern const VmCompat vm_pc_compat_6_2[];
extern const VmCompat vm_pc_compat_6_0[];
extern const VmCompat vm_pc_compat_5_2[];
extern const VmCompat vm_pc_compat_5_1[];
extern const VmCompat vm_pc_compat_5_0[];
extern const VmCompat vm_pc_compat_4_2[];
extern const VmCompat vm_pc_compat_4_1[];
extern const VmCompat vm_pc_compat_4_0[];
extern const VmCompat vm_pc_compat_3_1[];
extern const VmCompat vm_pc_compat_2_12[];
extern const VmCompat vm_pc_compat_2_11[];
extern const VmCompat vm_pc_compat_2_10[];
extern const VmCompat vm_pc_compat_2_9[];
extern const VmCompat vm_pc_compat_2_8[];
extern const VmCompat vm_pc_compat_2_7[];
extern const VmCompat vm_pc_compat_2_6[];
extern const VmCompat vm_pc_compat_2_5[];
extern const VmCompat vm_pc_compat_2_4[];
extern const VmCompat vm_pc_compat_2_3[];
extern const VmCompat vm_pc_compat_2_2[];
extern const VmCompat vm_pc_compat_2_1[];
extern const VmCompat vm_pc_compat_2_0[];
extern const VmCompat vm_pc_compat_1_7[];
extern const VmCompat vm_pc_compat_1_6[];
extern const VmCompat vm_pc_compat_1_5[];
extern const VmCompat vm_pc_compat_1_4[];

/* What a board of that version is given. */
#define VM_PC_UP_TO_7_1 vm_pc_compat_7_1
#define VM_PC_UP_TO_7_0 VM_PC_UP_TO_7_1
#define VM_PC_UP_TO_6_2 VM_PC_UP_TO_7_0, vm_pc_compat_6_2
#define VM_PC_UP_TO_6_1 VM_PC_UP_TO_6_2
#define VM_PC_UP_TO_6_0 VM_PC_UP_TO_6_1, vm_pc_compat_6_0
#define VM_PC_UP_TO_5_2 VM_PC_UP_TO_6_0, vm_pc_compat_5_2
#define VM_PC_UP_TO_5_1 VM_PC_UP_TO_5_2, vm_pc_compat_5_1
#define VM_PC_UP_TO_5_0 VM_PC_UP_TO_5_1, vm_pc_compat_5_0
#define VM_PC_UP_TO_4_2 VM_PC_UP_TO_5_0, vm_pc_compat_4_2
#define VM_PC_UP_TO_4_1 VM_PC_UP_TO_4_2, vm_pc_compat_4_1
#define VM_PC_UP_TO_4_0 VM_PC_UP_TO_4_1, vm_pc_compat_4_0
#define VM_PC_UP_TO_3_1 VM_PC_UP_TO_4_0, vm_pc_compat_3_1
#define VM_PC_UP_TO_3_0 VM_PC_UP_TO_3_1
#define VM_PC_UP_TO_2_12 VM_PC_UP_TO_3_0, vm_pc_compat_2_12
#define VM_PC_UP_TO_2_11 VM_PC_UP_TO_2_12, vm_pc_compat_2_11
#define VM_PC_UP_TO_2_10 VM_PC_UP_TO_2_11, vm_pc_compat_2_10
#define VM_PC_UP_TO_2_9 VM_PC_UP_TO_2_10, vm_pc_compat_2_9
#define VM_PC_UP_TO_2_8 VM_PC_UP_TO_2_9, vm_pc_compat_2_8
#define VM_PC_UP_TO_2_7 VM_PC_UP_TO_2_8, vm_pc_compat_2_7
#define VM_PC_UP_TO_2_6 VM_PC_UP_TO_2_7, vm_pc_compat_2_6
#define VM_PC_UP_TO_2_5 VM_PC_UP_TO_2_6, vm_pc_compat_2_5
#define VM_PC_UP_TO_2_4 VM_PC_UP_TO_2_5, vm_pc_compat_2_4
#define VM_PC_UP_TO_2_3 VM_PC_UP_TO_2_4, vm_pc_compat_2_3
#define VM_PC_UP_TO_2_2 VM_PC_UP_TO_2_3, vm_pc_compat_2_2
#define VM_PC_UP_TO_2_1 VM_PC_UP_TO_2_2, vm_pc_compat_2_1
#define VM_PC_UP_TO_2_0 VM_PC_UP_TO_2_1, vm_pc_compat_2_0
#define VM_PC_UP_TO_1_7 VM_PC_UP_TO_2_0, vm_pc_compat_1_7
#define VM_PC_UP_TO_1_6 VM_PC_UP_TO_1_7, vm_pc_compat_1_6
#define VM_PC_UP_TO_1_5 VM_PC_UP_TO_1_6, vm_pc_compat_1_5
#define VM_PC_UP_TO_1_4 VM_PC_UP_TO_1_5, vm_pc_compat_1_4
