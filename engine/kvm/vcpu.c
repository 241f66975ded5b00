/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A virtual processor: running it and serving its exits (KVM API, sections 4.10 and 5). */
#include "config.h"

#include "engine/kvm/kvm-private.h"
#include "engine/base/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- life -------------------------------------------------------------------------------------- */

bool
kvm_vcpu_begin (VmVcpu *vcpu, GError **error)
{
  KvmAccel *accel = (KvmAccel *) vcpu->accel;
  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;
  KvmVcpu *v = g_new0 (KvmVcpu, 1);
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGUSR1);
  pthread_sigmask (SIG_UNBLOCK, &set, NULL);
  v->accel = accel;
  v->cpu = cpu;
  v->thread = pthread_self ();
  v->fd = ioctl (accel->vm_fd, KVM_CREATE_VCPU, (unsigned long) vcpu->affinity_id);
  if (v->fd < 0)
    {
      g_free (v);
      return vm_fail (error, "kvm: could not create processor %u: %s", vcpu->index, g_strerror (errno));
    }
  v->run = mmap (NULL, accel->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
  cpu->accel_state = v;
  if (v->run == MAP_FAILED)
    {
      v->run = NULL;
      vm_fail (error, "kvm: could not map processor %u: %s", vcpu->index, g_strerror (errno));
      kvm_vcpu_end (vcpu);
      return false;
    }
  if (!kvm_cpuid_set (v, error))
    {
      kvm_vcpu_end (vcpu);
      return false;
    }
  if (accel->coalesced_page && !accel->ring)
    accel->ring = (void *) ((uint8_t *) v->run + accel->coalesced_page * VM_PAGE_SIZE);
  if (cpu->smm_as && cpu->smm_as != accel->memory.parent.as)
    kvm_memory_begin_smm (accel, cpu->smm_as);
  v->tsc_offset = cpu->env.tsc_offset - 1; /* to be set at first */
  v->env_valid = v->env_dirty = true;
  return true;
}

void
kvm_vcpu_end (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);

  if (v->run)
    {
      if (v->accel->ring == (void *) ((uint8_t *) v->run + v->accel->coalesced_page * VM_PAGE_SIZE))
        {
          kvm_memory_flush_coalesced (v->accel);
          v->accel->ring = NULL;
        }
      munmap (v->run, v->accel->run_size);
    }
  close (v->fd);
  ((VmX86Cpu *) vcpu)->accel_state = NULL;
  g_free (v);
}

/* immediate_exit makes the next KVM_RUN return at once, the signal ends a present one. */
void
kvm_vcpu_kick (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);

  if (!v)
    return;
  __atomic_store_n (&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
  if (!pthread_equal (v->thread, pthread_self ()))
    pthread_kill (v->thread, SIGUSR1);
}

bool
kvm_vcpu_has_work (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);
  uint32_t request = __atomic_load_n (&v->cpu->env.request, __ATOMIC_SEQ_CST);

  if (v->accel->irqchip != VM_IRQCHIP_OFF)
    return true; /* the kernel knows, and sleeps itself */
  if (request & (v->cpu->env.wait_for_sipi ? VM_REQ_INIT | VM_REQ_SIPI : ~(uint32_t) VM_REQ_HARD))
    return true;
  if (v->cpu->env.wait_for_sipi)
    return false;
  return request & VM_REQ_HARD && __atomic_load_n (&v->interruptible, __ATOMIC_RELAXED);
}

/* --- before running ---------------------------------------------------------------------------- */

static void
take_init (KvmVcpu *v, uint32_t request)
{
  VmX86Env *env = &v->cpu->env;

  if (!v->env_valid)
    v->env_valid = kvm_state_fetch (v);
  if (request & VM_REQ_INIT)
    {
      vm_x86_unrequest (v->cpu, VM_REQ_INIT);
      vm_x86_reset (v->cpu, true);
    }
  if (request & VM_REQ_SIPI)
    {
      vm_x86_unrequest (v->cpu, VM_REQ_SIPI);
      if (env->wait_for_sipi)
        {
          env->wait_for_sipi = env->halted = false;
          env->seg[VM_CS].selector = env->sipi_vector << 8;
          env->seg[VM_CS].base = (uint64_t) env->sipi_vector << 12;
          env->rip = 0;
          env->sipi_vector = 0;
        }
    }
  v->env_dirty = true;
}

/* With the local APIC (or its link to the 8259) outside the kernel: hands over one vector when the guest can take
 * it, else asks to be told when. */
static void
inject_vector (KvmVcpu *v)
{
  VmX86Cpu *cpu = v->cpu;
  struct kvm_interrupt interrupt;
  bool taken, more;
  int vector = -1;

  if (!cpu->apic_ops)
    return;
  taken = vm_lock_enter (kvm_lock (v->accel));
  if (v->run->ready_for_interrupt_injection && cpu->apic_ops->has_vector (cpu->apic))
    vector = cpu->apic_ops->get_vector (cpu->apic);
  more = cpu->apic_ops->has_vector (cpu->apic);
  vm_lock_leave (kvm_lock (v->accel), taken);
  if (vector >= 0)
    {
      interrupt.irq = vector;
      (void) ioctl (v->fd, KVM_INTERRUPT, &interrupt);
    }
  v->run->request_interrupt_window = more;
}

static void
prepare_run (KvmVcpu *v)
{
  VmX86Cpu *cpu = v->cpu;
  uint32_t request = __atomic_load_n (&cpu->env.request, __ATOMIC_SEQ_CST);

  if (v->env_dirty)
    {
      kvm_state_store (v);
      v->env_dirty = false;
    }
  v->env_valid = false;
  if (request & VM_REQ_NMI)
    {
      vm_x86_unrequest (cpu, VM_REQ_NMI);
      (void) ioctl (v->fd, KVM_NMI);
    }
  if (request & VM_REQ_NMI_MORE)
    {
      vm_x86_unrequest (cpu, VM_REQ_NMI_MORE);
      (void) ioctl (v->fd, KVM_NMI);
    }
  if (request & VM_REQ_SMI)
    {
      vm_x86_unrequest (cpu, VM_REQ_SMI);
      (void) ioctl (v->fd, KVM_SMI);
    }
  v->run->request_interrupt_window = 0;
  if (request & VM_REQ_HARD && v->accel->irqchip != VM_IRQCHIP_ON)
    inject_vector (v);
  if (v->accel->irqchip == VM_IRQCHIP_OFF && cpu->apic_ops)
    {
      bool taken = vm_lock_enter (kvm_lock (v->accel));

      v->run->cr8 = cpu->apic_ops->get_tpr (cpu->apic) >> 4;
      vm_lock_leave (kvm_lock (v->accel), taken);
    }
}

/* Task priority and APIC base may have been changed by the guest in registers the kernel handles. */
static void
after_run (KvmVcpu *v)
{
  VmX86Cpu *cpu = v->cpu;

  __atomic_store_n (&v->interruptible, v->run->if_flag, __ATOMIC_RELAXED);
  if (v->accel->irqchip == VM_IRQCHIP_OFF && cpu->apic_ops)
    {
      bool taken = vm_lock_enter (kvm_lock (v->accel));

      if (cpu->apic_ops->get_tpr (cpu->apic) >> 4 != v->run->cr8)
        cpu->apic_ops->set_tpr (cpu->apic, v->run->cr8 << 4);
      if (cpu->env.apic_base != v->run->apic_base && cpu->apic_ops->set_base (cpu->apic, v->run->apic_base))
        cpu->env.apic_base = v->run->apic_base;
      vm_lock_leave (kvm_lock (v->accel), taken);
    }
  kvm_memory_flush_coalesced (v->accel);
}

/* --- exits ------------------------------------------------------------------------------------- */

static VmMemAttrs
attrs_of (const KvmVcpu *v)
{
  return (VmMemAttrs) { .smm = v->run->flags & KVM_RUN_X86_SMM };
}

static void
serve_port (KvmVcpu *v)
{
  struct kvm_run *run = v->run;
  uint8_t *data = (uint8_t *) run + run->io.data_offset;
  VmAddressSpace *as = v->accel->parent.env->io_as;

  for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
    if (run->io.direction == KVM_EXIT_IO_OUT)
      vm_as_store (as, run->io.port, vm_load_le (data, run->io.size), run->io.size, attrs_of (v));
    else
      vm_store_le (data, vm_as_load (as, run->io.port, run->io.size, attrs_of (v), NULL), run->io.size);
}

static void
serve_memory (KvmVcpu *v)
{
  struct kvm_run *run = v->run;
  VmAddressSpace *as = attrs_of (v).smm && v->cpu->smm_as ? v->cpu->smm_as : v->accel->parent.env->memory_as;
  unsigned len = MIN (run->mmio.len, sizeof run->mmio.data);

  if (run->mmio.is_write)
    vm_as_write (as, run->mmio.phys_addr, attrs_of (v), run->mmio.data, len);
  else
    vm_as_read (as, run->mmio.phys_addr, attrs_of (v), run->mmio.data, len);
}

static VmVcpuExit
serve_system_event (KvmVcpu *v)
{
  VmEnv *env = v->accel->parent.env;
  bool taken = vm_lock_enter (kvm_lock (v->accel));

  if (v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
    env->request_shutdown (env->machine);
  else if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET)
    env->request_reset (env->machine, VM_RESET_COLD);
  else
    env->request_panic (env->machine, false);
  vm_lock_leave (kvm_lock (v->accel), taken);
  return VM_VCPU_EXIT_KICKED;
}

static void
serve_eoi (KvmVcpu *v)
{
  bool taken = vm_lock_enter (kvm_lock (v->accel));

  if (v->accel->eoi_hook)
    v->accel->eoi_hook (v->accel->eoi_opaque, v->run->eoi.vector);
  vm_lock_leave (kvm_lock (v->accel), taken);
}

static VmVcpuExit
give_up (KvmVcpu *v, const char *what, uint64_t detail)
{
  if (!v->env_valid)
    v->env_valid = kvm_state_fetch (v);
  vm_report_error ("kvm: %s (0x%" G_GINT64_MODIFIER "x) at %04x:%" G_GINT64_MODIFIER "x", what, detail,
                   v->cpu->env.seg[VM_CS].selector, v->cpu->env.rip);
  return VM_VCPU_EXIT_ERROR;
}

/* Whether exec goes on; else *RESULT says how it ends. */
static bool
serve_exit (KvmVcpu *v, VmVcpuExit *result)
{
  struct kvm_run *run = v->run;

  switch (run->exit_reason)
    {
    case KVM_EXIT_IO:
      serve_port (v);
      return true;
    case KVM_EXIT_MMIO:
      serve_memory (v);
      return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN: case KVM_EXIT_SET_TPR: case KVM_EXIT_NMI:
      return true;
    case KVM_EXIT_IOAPIC_EOI:
      serve_eoi (v);
      return true;
    case KVM_EXIT_HLT:
      v->cpu->env.halted = true;
      *result = VM_VCPU_EXIT_HALTED;
      return false;
    case KVM_EXIT_SHUTDOWN:
      *result = VM_VCPU_EXIT_SHUTDOWN;
      return false;
    case KVM_EXIT_DEBUG:
      if (!kvm_debug_stops (v))
        return true;
      *result = VM_VCPU_EXIT_DEBUG;
      return false;
    case KVM_EXIT_SYSTEM_EVENT:
      *result = serve_system_event (v);
      return false;
    case KVM_EXIT_INTR:
      *result = VM_VCPU_EXIT_KICKED;
      return false;
    case KVM_EXIT_INTERNAL_ERROR:
      *result = give_up (v, run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                              ? "an instruction could not be emulated" : "internal error", run->internal.suberror);
      return false;
    case KVM_EXIT_FAIL_ENTRY:
      *result = give_up (v, "the host's processor refused the state", run->fail_entry.hardware_entry_failure_reason);
      return false;
    default:
      *result = give_up (v, "unknown exit", run->exit_reason);
      return false;
    }
}

/* With the local APIC outside, halting and waiting for the start-up message are done here. */
static bool
sleeps (KvmVcpu *v)
{
  VmX86Env *env = &v->cpu->env;
  uint32_t request = __atomic_load_n (&env->request, __ATOMIC_SEQ_CST);

  if (request & (VM_REQ_INIT | VM_REQ_SIPI))
    take_init (v, request);
  if (v->accel->irqchip != VM_IRQCHIP_OFF || !(env->halted || env->wait_for_sipi))
    return false;
  if (!env->wait_for_sipi && kvm_vcpu_has_work (&v->cpu->parent))
    env->halted = false;
  return env->halted || env->wait_for_sipi;
}

/* A device access is completed by the next KVM_RUN, which immediate_exit then ends: exec never returns in the
 * middle of one. */
VmVcpuExit
kvm_vcpu_exec (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);
  VmVcpuExit result = VM_VCPU_EXIT_KICKED;
  bool more = true;

  kvm_debug_prepare (v);
  while (more)
    {
      int error;

      if (sleeps (v))
        {
          result = VM_VCPU_EXIT_HALTED;
          break;
        }
      prepare_run (v);
      error = ioctl (v->fd, KVM_RUN, 0) < 0 ? errno : 0;
      after_run (v);
      if (error == EINTR || error == EAGAIN)
        break;
      if (error)
        {
          result = give_up (v, "running the processor failed", error);
          break;
        }
      more = serve_exit (v, &result);
    }
  __atomic_store_n (&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
  return result;
}
