/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A debugger's points and steps under KVM (KVM API, 4.87 and the debug exit; debug registers: Intel SDM vol. 3,
 * 18.2). Software breakpoints are INT3s that the debugger has put into memory. */
#include "config.h"

#include "engine/kvm/kvm-private.h"

#include <sys/ioctl.h>

/* Bits of DR7 for slot I; 0: the processor has no such thing. */
static uint64_t
slot_bits (unsigned i, const VmDebugPoint *p)
{
  uint64_t type = p->kind == VM_DEBUG_WRITE ? 1 : p->kind == VM_DEBUG_ACCESS ? 3 : 0, length = 0;

  if (p->kind == VM_DEBUG_READ)
    return 0;
  if (type)
    {
      if ((p->length != 1 && p->length != 2 && p->length != 4 && p->length != 8) || p->address & (p->length - 1))
        return 0;
      length = p->length == 8 ? 2 : p->length - 1;
    }
  return (type | length << 2) << (16 + 4 * i) | UINT64_C (2) << (2 * i);
}

bool
kvm_debug_update (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);
  struct kvm_guest_debug debug = { 0 };
  unsigned slot = 0;
  bool all = true;

  for (unsigned i = 0; i < vcpu->n_points; i++)
    {
      const VmDebugPoint *p = &vcpu->points[i];
      uint64_t bits;

      if (p->kind == VM_DEBUG_SOFT)
        {
          debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
          continue;
        }
      bits = slot < 4 ? slot_bits (slot, p) : 0;
      if (bits == 0)
        {
          all = false;
          continue;
        }
      debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
      debug.arch.debugreg[slot++] = p->address;
      debug.arch.debugreg[7] |= bits | 0x600; /* exact, and the bit that is always set */
    }
  v->debug = debug;
  return all;
}

/* The kernel marks the instruction at the present RIP for a step: each time anew, and with the registers known. */
void
kvm_debug_prepare (KvmVcpu *v)
{
  const VmVcpu *vcpu = &v->cpu->parent;
  struct kvm_guest_debug debug = v->debug;

  if (!vcpu->singlestep && !debug.control && !v->debugging)
    return;
  if (v->env_dirty)
    {
      kvm_state_store (v);
      v->env_dirty = false;
    }
  if (vcpu->singlestep)
    debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
#ifdef KVM_GUESTDBG_BLOCKIRQ
  if (vcpu->singlestep && vcpu->step_masked)
    debug.control |= v->accel->debug_flags & KVM_GUESTDBG_BLOCKIRQ;
#endif
  v->debugging = debug.control != 0;
  (void) ioctl (v->fd, KVM_SET_GUEST_DEBUG, &debug);
}

/* An exception that was caught for us but is the guest's. */
static void
give_back (KvmVcpu *v, unsigned vector)
{
  struct kvm_vcpu_events events;

  if (ioctl (v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
    return;
  events.exception.injected = 1;
  events.exception.nr = vector;
  events.exception.has_error_code = 0;
  (void) ioctl (v->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* The point that the debug register SLOT stands for. */
static const VmDebugPoint *
point_of_slot (const VmVcpu *vcpu, unsigned slot)
{
  unsigned n = 0;

  for (unsigned i = 0; i < vcpu->n_points; i++)
    {
      const VmDebugPoint *p = &vcpu->points[i];
      if (p->kind != VM_DEBUG_SOFT && slot_bits (n, p) && n++ == slot)
        return p;
    }
  return NULL;
}

bool
kvm_debug_stops (KvmVcpu *v)
{
  VmVcpu *vcpu = &v->cpu->parent;
  const struct kvm_debug_exit_arch *arch = &v->run->debug.arch;
  const VmDebugPoint *point = NULL;

  if (arch->exception == VM_EXC_BP)
    point = vm_vcpu_break_at (vcpu, arch->pc);
  for (unsigned i = 0; arch->exception == VM_EXC_DB && i < 4 && !point; i++)
    if (arch->dr6 >> i & 1)
      point = point_of_slot (vcpu, i);
  if (point)
    vcpu->debug_stop = *point;
  else if (arch->exception == VM_EXC_DB && vcpu->singlestep)
    vcpu->debug_stop = (VmDebugPoint) { .address = arch->pc, .length = 1, .kind = VM_DEBUG_STEP };
  else
    {
      give_back (v, arch->exception);
      return false;
    }
  return true;
}
