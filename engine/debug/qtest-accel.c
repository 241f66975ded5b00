/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The accelerator of register-level tests: processors exist and never run. */
#include "engine/debug/qtest.h"

static VmVcpuExit
qtest_exec (VmVcpu *vcpu)
{
  return VM_VCPU_EXIT_HALTED;
}

static void
qtest_kick (VmVcpu *vcpu)
{
}

static bool
qtest_has_work (VmVcpu *vcpu)
{
  return false;
}

const VmAccelOps vm_qtest_accel_ops = {
  .name = "qtest",
  .help = "runs no guest code: devices are driven by -qtest",
  .exec = qtest_exec,
  .kick = qtest_kick,
  .has_work = qtest_has_work,
};
