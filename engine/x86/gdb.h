/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An x86 processor's registers as gdb sees them. */
#pragma once

#include "engine/cpu/arch.h"

extern const VmGdbArch vm_x86_gdb;
