/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The "kvm" accelerator. */
#pragma once

#include "engine/cpu/vcpu.h"

extern const VmAccelOps vm_kvm_accel_ops;
