/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The "kvm" accelerator: opening the kernel's device, what it must be able to do, options. */
#include "config.h"

#include "engine/kvm/kvm-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_DEVICE "/dev/kvm"
/* Three pages that processors without unrestricted guest mode need; below the BIOS, where no RAM is. */
#define TSS_ADDRESS      UINT64_C (0xfffbd000)
#define IDENTITY_ADDRESS UINT64_C (0xfffbc000)

static const char *const irqchip_names[] = { "off", "split", "on", NULL };

static const VmProp kvm_props[] = {
  VM_PROP_ENUMERATED ("kernel-irqchip", KvmAccel, irqchip_choice, VM_IRQCHIP_ON, irqchip_names,
                      "interrupt controllers in the kernel: on, off, split"),
  VM_PROP_BYTES ("kvm-shadow-mem", KvmAccel, shadow_mem, 0, "memory for shadow page tables"),
  VM_PROP ("dirty-ring-size", KvmAccel, dirty_ring_size, 0, "entries of a dirty page ring per vCPU (0: bitmaps)"),
  VM_PROP_STRING ("device", KvmAccel, device, DEFAULT_DEVICE, "the kernel's device"),
  { 0 }
};

static int
kvm_open (const char *path, GError **error)
{
  static const struct { int cap; const char *name; } needed[] = {
    { KVM_CAP_USER_MEMORY, "user memory" }, { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removal of memory" },
    { KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "adjacent memory" }, { KVM_CAP_VCPU_EVENTS, "events" },
    { KVM_CAP_XSAVE, "XSAVE state" }, { KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
    { KVM_CAP_EXT_CPUID, "CPUID" }, { KVM_CAP_MP_STATE, "processor states" },
  };
  int fd = open (path, O_RDWR | O_CLOEXEC), version;

  if (fd < 0)
    {
      vm_fail (error, "could not open %s: %s", path, g_strerror (errno));
      return -1;
    }
  version = ioctl (fd, KVM_GET_API_VERSION, 0);
  if (version != KVM_API_VERSION)
    {
      vm_fail (error, version < 0 ? "%s is not a KVM device" : "%s speaks another version of KVM", path);
      close (fd);
      return -1;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (needed); i++)
    if (ioctl (fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
      {
        g_set_error (error, VM_ERROR, VM_ERROR_KVM_MISSING_CAP, "this kernel's KVM lacks %s", needed[i].name);
        close (fd);
        return -1;
      }
  return fd;
}

static bool
kvm_probe (GError **error)
{
  int fd = kvm_open (DEFAULT_DEVICE, error);

  if (fd < 0)
    return false;
  close (fd);
  return true;
}

static int
check (KvmAccel *accel, int cap)
{
  return MAX (ioctl (accel->vm_fd >= 0 ? accel->vm_fd : accel->fd, KVM_CHECK_EXTENSION, cap), 0);
}

static void
nothing (int number)
{
}

static bool
create_vm (KvmAccel *accel, GError **error)
{
  uint64_t identity = IDENTITY_ADDRESS;

  do
    accel->vm_fd = ioctl (accel->fd, KVM_CREATE_VM, 0);
  while (accel->vm_fd < 0 && errno == EINTR);
  if (accel->vm_fd < 0)
    return vm_fail (error, "could not create a virtual machine: %s", g_strerror (errno));
  accel->run_size = ioctl (accel->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
  accel->max_slots = check (accel, KVM_CAP_NR_MEMSLOTS);
  if (accel->max_slots == 0)
    accel->max_slots = 32;
  accel->has_readonly = check (accel, KVM_CAP_READONLY_MEM);
  accel->has_smm = check (accel, KVM_CAP_X86_SMM) && check (accel, KVM_CAP_MULTI_ADDRESS_SPACE) > 1;
  accel->parent.no_smm = !accel->has_smm;
  accel->has_xsave2 = check (accel, KVM_CAP_XSAVE2) > (int) sizeof (struct kvm_xsave);
  accel->has_any_length_eventfd = check (accel, KVM_CAP_IOEVENTFD_ANY_LENGTH);
  accel->coalesced_page = check (accel, KVM_CAP_COALESCED_MMIO);
  accel->has_coalesced_ports = check (accel, KVM_CAP_COALESCED_PIO);
  accel->debug_flags = check (accel, KVM_CAP_SET_GUEST_DEBUG2);
  if (check (accel, KVM_CAP_SET_IDENTITY_MAP_ADDR) && ioctl (accel->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
    return vm_fail (error, "could not place the identity map: %s", g_strerror (errno));
  if (check (accel, KVM_CAP_SET_TSS_ADDR) && ioctl (accel->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0)
    return vm_fail (error, "could not place the task state segment: %s", g_strerror (errno));
  if (accel->shadow_mem && ioctl (accel->vm_fd, KVM_SET_NR_MMU_PAGES, accel->shadow_mem / VM_PAGE_SIZE) < 0)
    return vm_fail (error, "could not set the shadow page table memory: %s", g_strerror (errno));
  return true;
}

/* MWAIT, HLT, PAUSE and deep sleep do not leave the guest any more, as far as this kernel can. */
static bool
leave_power (KvmAccel *accel, GError **error)
{
  struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS };

  cap.args[0] = check (accel, KVM_CAP_X86_DISABLE_EXITS) & KVM_X86_DISABLE_VALID_EXITS;
  return ioctl (accel->vm_fd, KVM_ENABLE_CAP, &cap) == 0
         || vm_fail (error, "guest power management is not to be had: %s", g_strerror (errno));
}

static void
kvm_finish (VmAccel *base)
{
  KvmAccel *accel = (KvmAccel *) base;

  if (accel->slot_ids)
    kvm_memory_end (accel);
  g_clear_pointer (&accel->routing, g_free);
  if (accel->vm_fd >= 0)
    close (accel->vm_fd);
  if (accel->fd >= 0)
    close (accel->fd);
  accel->fd = accel->vm_fd = -1;
}

static bool
kvm_init (VmAccel *base, VmEnv *env, GError **error)
{
  KvmAccel *accel = (KvmAccel *) base;
  struct sigaction action = { .sa_handler = nothing };

  accel->vm_fd = -1;
  accel->fd = kvm_open (accel->device, error);
  if (accel->fd < 0)
    return false;
  if (accel->dirty_ring_size)
    {
      close (accel->fd);
      return vm_fail (error, "dirty-ring-size=%u: not available in this build", (unsigned) accel->dirty_ring_size);
    }
  base->env = env;
  if (!create_vm (accel, error) || !kvm_cpuid_words (accel, error) || (env->cpu_pm && !leave_power (accel, error)))
    {
      kvm_finish (base);
      base->env = NULL;
      return false;
    }
  /* It only has to interrupt KVM_RUN. */
  sigaction (SIGUSR1, &action, NULL);
  kvm_memory_begin (accel, env);
  return true;
}

static void
kvm_fetch (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);

  if (!v->env_valid)
    v->env_valid = kvm_state_fetch (v);
}

static void
kvm_store (VmVcpu *vcpu)
{
  KvmVcpu *v = kvm_vcpu (vcpu);

  v->env_valid = v->env_dirty = true;
}

static void
kvm_prepare (VmAccel *base, VmDevice *dev)
{
  if (vm_object_is_a (&dev->parent, &vm_x86_cpu_type))
    vm_x86_cpu_offer ((VmX86Cpu *) dev, ((KvmAccel *) base)->words, "host");
}

const VmAccelOps vm_kvm_accel_ops = {
  .name = "kvm", .help = "runs guest code on the host's processor", .probe = kvm_probe, .init = kvm_init,
  .finish = kvm_finish, .vcpu_begin = kvm_vcpu_begin, .vcpu_end = kvm_vcpu_end, .exec = kvm_vcpu_exec,
  .kick = kvm_vcpu_kick, .state_fetch = kvm_fetch, .state_store = kvm_store, .has_work = kvm_vcpu_has_work,
  .prepare = kvm_prepare, .foreach_stat = kvm_foreach_stat,
  .debug_update = kvm_debug_update, .debug_patches = true, .irqchip = &kvm_irqchip_ops, .props = kvm_props, .size = sizeof (KvmAccel),
};
