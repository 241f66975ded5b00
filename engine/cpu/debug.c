/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The debugger's break and watch points of a vCPU. */
#include "engine/cpu/vcpu.h"

typedef struct NewPoints {
  const VmDebugPoint *points;
  unsigned n;
  bool ok;
} NewPoints;

static void
replace_points (VmVcpu *vcpu, void *opaque)
{
  NewPoints *new = opaque;
  const VmAccelOps *ops = vcpu->accel->ops;

  g_free (vcpu->points);
  vcpu->points = new->n ? g_memdup2 (new->points, new->n * sizeof *new->points) : NULL;
  vcpu->n_points = new->n;
  new->ok = ops->debug_update ? ops->debug_update (vcpu) : new->n == 0;
}

bool
vm_vcpu_set_points (VmVcpu *vcpu, const VmDebugPoint *points, unsigned n)
{
  NewPoints new = { points, n, false };

  vm_vcpu_run (vcpu, replace_points, &new);
  return new.ok;
}

const VmDebugPoint *
vm_vcpu_break_at (const VmVcpu *vcpu, uint64_t pc)
{
  for (unsigned i = 0; i < vcpu->n_points; i++)
    {
      const VmDebugPoint *p = &vcpu->points[i];
      if (p->address == pc && (p->kind == VM_DEBUG_SOFT || p->kind == VM_DEBUG_HARD))
        return p;
    }
  return NULL;
}
