/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes from outside: SMI, INIT, SIPI, NMI, interrupts, and the states that wait for them (Intel SDM vol. 3,
 * table 6-2). */
#include "engine/tcg/sys/sys-private.h"

static bool
take_request (VmX86Env *env, uint32_t bit)
{
  return (__atomic_fetch_and (&env->request, ~bit, __ATOMIC_ACQ_REL) & bit) != 0;
}

static VmLock *
machine_lock (VmX86Env *env)
{
  VmEnv *machine = vm_x86_cpu (env)->parent.parent.env;

  return machine && machine->loop ? vm_loop_lock (machine->loop) : NULL;
}

static int
acknowledge (VmX86Env *env)
{
  VmX86Cpu *cpu = vm_x86_cpu (env);
  VmLock *lock = machine_lock (env);
  bool taken = lock && vm_lock_enter (lock);
  int vector = cpu->apic_ops && cpu->apic_ops->get_vector ? cpu->apic_ops->get_vector (cpu->apic) : -1;

  if (lock)
    vm_lock_leave (lock, taken);
  return vector;
}

static void
start_from_sipi (VmX86Env *env)
{
  env->wait_for_sipi = false;
  env->halted = false;
  sys_set_seg_real (env, VM_CS, env->sipi_vector << 8);
  env->seg[VM_CS].limit = 0xffff;
  env->rip = 0;
  vm_x86_update_mode (env);
}

bool
vm_sys_take_events (VmX86Env *env)
{
  uint32_t request = __atomic_load_n (&env->request, __ATOMIC_ACQUIRE);
  int vector;

  if (G_LIKELY (request == 0))
    return false;
  if (env->wait_for_sipi)
    {
      if (request & VM_REQ_INIT)
        take_request (env, VM_REQ_INIT); /* again: still waiting */
      if (!take_request (env, VM_REQ_SIPI))
        return false;
      start_from_sipi (env);
      return true;
    }
  /* Only a processor that waits takes it, which this one will when the INIT before it is still to come. */
  if ((request & VM_REQ_SIPI) && !(request & VM_REQ_INIT))
    take_request (env, VM_REQ_SIPI);
  if ((request & VM_REQ_SMI) && !env->smm)
    {
      vm_tcg_leave_guest_fpu (env);
      take_request (env, VM_REQ_SMI);
      sys_enter_smm (env);
      return true;
    }
  if ((request & VM_REQ_INIT) && !env->smm)
    {
      vm_tcg_leave_guest_fpu (env);
      take_request (env, VM_REQ_INIT);
      vm_x86_reset (vm_x86_cpu (env), true);
      vm_tlb_update_watches (env);
      vm_tlb_flush_all (env);
      return true;
    }
  if (request & VM_REQ_MCE)
    {
      take_request (env, VM_REQ_MCE);
      if (!(env->cr4 & VM_CR4_MCE))
        {
          env->shutdown = true;
          return true;
        }
      env->halted = false;
      vm_sys_deliver (env, VM_EVENT_EXCEPTION, VM_EXC_MC, 0, env->rip);
      return true;
    }
  if (env->shadow == 2)
    return false;
  if (env->nmi_blocked && (request & VM_REQ_NMI) && (request & VM_REQ_NMI_MORE))
    take_request (env, VM_REQ_NMI_MORE); /* behind the one that runs only one waits */
  if ((request & (VM_REQ_NMI | VM_REQ_NMI_MORE)) && !env->nmi_blocked)
    {
      if (!take_request (env, VM_REQ_NMI_MORE)) /* of two, one keeps waiting */
        take_request (env, VM_REQ_NMI);
      env->nmi_blocked = true;
      env->halted = false;
      vm_sys_deliver (env, VM_EVENT_EXTERNAL, VM_EXC_NMI, 0, env->rip);
      return true;
    }
  if (!(request & VM_REQ_HARD) || !(env->eflags & VM_IF) || env->shadow)
    return false;
  vm_tcg_leave_guest_fpu (env);
  vector = acknowledge (env);
  if (vector < 0)
    return false;
  env->halted = false;
  vm_sys_deliver (env, VM_EVENT_EXTERNAL, vector, 0, env->rip);
  return true;
}

bool
vm_sys_has_wakeup (VmX86Env *env)
{
  uint32_t request = __atomic_load_n (&env->request, __ATOMIC_ACQUIRE);

  if (env->wait_for_sipi)
    return (request & VM_REQ_SIPI) != 0;
  if (!env->halted)
    return true;
  return ((request & VM_REQ_HARD) && (env->eflags & VM_IF)) ||
         ((request & (VM_REQ_NMI | VM_REQ_NMI_MORE)) && !env->nmi_blocked) ||
         ((request & (VM_REQ_SMI | VM_REQ_INIT)) && !env->smm) || (request & VM_REQ_MCE);
}

/* --- HLT, MONITOR, MWAIT ------------------------------------------------------------------------ */

void
vm_op_hlt (VmX86Env *env, const VmInsn *insn)
{
  (void) insn;
  env->halted = true;
}

/* The contents of the 64 bytes at LINE, condensed; 0 when they cannot be read. */
static uint64_t
line_sum (VmX86Env *env, uint64_t line)
{
  uint64_t sum = 1, value;

  for (unsigned i = 0; i < 64; i += 8)
    {
      if (!vm_mmu_try_load (env, line + i, 8, vm_tlb_context (env), &value))
        return 0;
      sum = (sum ^ value) * UINT64_C (0x9e3779b97f4a7c15);
      sum ^= sum >> 29;
    }
  return sum;
}

void
vm_op_monitor (VmX86Env *env, const VmInsn *insn)
{
  uint64_t mask = insn->addrsize == 8 ? UINT64_MAX : insn->addrsize == 4 ? UINT32_MAX : 0xffff;
  VmTcgCpu *tcg = vm_tcg_cpu (env);
  uint64_t linear;

  if (vm_x86_cpl (env) != 0)
    vm_x86_raise (env, VM_EXC_UD);
  if ((uint32_t) env->gpr[VM_RCX] != 0)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  linear = vm_seg_linear (env, insn->flags & VM_INSN_SEGOV ? insn->seg : VM_DS, env->gpr[VM_RAX] & mask, 1,
                          VM_ACCESS_READ);
  vm_mmu_load (env, linear, 1, vm_tlb_context (env));
  tcg->monitor_line = linear & ~UINT64_C (63);
  tcg->monitor_sum = line_sum (env, tcg->monitor_line);
}

/* Waits until the line has changed, whoever wrote it, or something wants attention; wakes for nothing after a
 * while, as the manuals allow. */
void
vm_op_mwait (VmX86Env *env, const VmInsn *insn)
{
  VmTcgCpu *tcg = vm_tcg_cpu (env);

  (void) insn;
  if (vm_x86_cpl (env) != 0)
    vm_x86_raise (env, VM_EXC_UD);
  if ((uint32_t) env->gpr[VM_RCX] & ~1u)
    vm_x86_raise_error (env, VM_EXC_GP, 0);
  if (tcg->monitor_line & 63)
    return; /* no MONITOR before */
  vm_tcg_leave_guest_fpu (env);
  for (unsigned i = 0; i < 40; i++)
    {
      if (__atomic_load_n (&env->poll, __ATOMIC_ACQUIRE) || __atomic_load_n (&env->request, __ATOMIC_ACQUIRE) ||
          tcg->monitor_sum == 0 || line_sum (env, tcg->monitor_line) != tcg->monitor_sum)
        break;
      g_usleep (25);
    }
  env->exc_vector = -1;
  tcg->monitor_line = 1;
}
