/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VMware backdoor port, as far as guests' mouse drivers and clock calibration use it. */
#include "devices/input/vmport.h"

#define PORT 0x5658
#define COMMANDS 0x2f

enum { CMD_GET_VERSION = 0x0a, CMD_GET_UUID = 0x13, CMD_GET_RAM_SIZE = 0x14, CMD_GET_TIME = 0x17, CMD_GET_HZ = 0x2d,
       CMD_GET_TIME_FULL = 0x2e };

struct VmVmport {
  VmIsaDevice parent;
  /* properties */
  bool     read_set_eax, signal_unsupported, report_vmx_type, cmds_v2;
  uint32_t vmx_version;
  uint8_t  vmx_type;
  /* wiring */
  struct {
    VmVmportFunc func;
    void        *opaque;
  } commands[COMMANDS];
  uint64_t ram_size;
  uint8_t  uuid[16];
};

static uint32_t
vmport_version (void *opaque, VmX86Env *env)
{
  VmVmport *port = opaque;

  env->gpr[VM_RBX] = VM_VMPORT_MAGIC;
  if (port->report_vmx_type)
    env->gpr[VM_RCX] = port->vmx_type;
  return port->vmx_version;
}

static uint32_t
vmport_uuid (void *opaque, VmX86Env *env)
{
  VmVmport *port = opaque;

  env->gpr[VM_RBX] = vm_load_le32 (port->uuid + 4);
  env->gpr[VM_RCX] = vm_load_le32 (port->uuid + 8);
  env->gpr[VM_RDX] = vm_load_le32 (port->uuid + 12);
  return vm_load_le32 (port->uuid);
}

static uint32_t
vmport_ram_size (void *opaque, VmX86Env *env)
{
  VmVmport *port = opaque;

  env->gpr[VM_RBX] = 0x1177; /* as found: not documented, drivers ignore it */
  return MIN (port->ram_size, UINT32_MAX);
}

static uint32_t
vmport_time (void *opaque, VmX86Env *env)
{
  VmVmport *port = opaque;
  int64_t us = vm_clock_now (port->parent.parent.env->clocks, VM_CLOCK_HOST) / VM_NS_PER_US;

  env->gpr[VM_RBX] = us % 1000000;
  env->gpr[VM_RCX] = 1000000; /* largest lag of this clock, in us */
  return us / 1000000;
}

static uint32_t
vmport_time_full (void *opaque, VmX86Env *env)
{
  VmVmport *port = opaque;
  int64_t us = vm_clock_now (port->parent.parent.env->clocks, VM_CLOCK_HOST) / VM_NS_PER_US;
  int64_t seconds = us / 1000000;

  env->gpr[VM_RSI] = (uint32_t) (seconds >> 32);
  env->gpr[VM_RDX] = (uint32_t) seconds;
  env->gpr[VM_RBX] = us % 1000000;
  env->gpr[VM_RCX] = 1000000;
  return VM_VMPORT_MAGIC;
}

static uint32_t
vmport_hz (void *opaque, VmX86Env *env)
{
  uint64_t tsc = vm_x86_cpu (env)->tsc_frequency;

  if (!tsc)
    return UINT32_MAX;
  env->gpr[VM_RCX] = 1000000000; /* local APIC bus: its timer counts nanoseconds */
  env->gpr[VM_RBX] = tsc >> 32;
  return tsc;
}

static uint64_t
vmport_read (void *opaque, uint64_t offset, unsigned size)
{
  VmVmport *port = opaque;
  VmVcpu *vcpu = vm_vcpu_current ();

  if (!vcpu)
    return UINT32_MAX; /* by qtest or a monitor: no registers */

  VmX86Cpu *cpu = (VmX86Cpu *) vcpu;

  if (vcpu->accel->ops->state_fetch)
    vcpu->accel->ops->state_fetch (vcpu);

  uint32_t eax = cpu->env.gpr[VM_RAX];
  unsigned command = (uint16_t) cpu->env.gpr[VM_RCX];

  if (eax == VM_VMPORT_MAGIC)
    {
      if (command < COMMANDS && port->commands[command].func)
        eax = port->commands[command].func (port->commands[command].opaque, &cpu->env);
      else if (port->signal_unsupported)
        eax = UINT32_MAX;
    }
  if (port->read_set_eax)
    cpu->env.gpr[VM_RAX] = eax;
  if (vcpu->accel->ops->state_store)
    vcpu->accel->ops->state_store (vcpu);
  return eax;
}

static void
vmport_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmVcpu *vcpu = vm_vcpu_current ();
  uint32_t eax = vmport_read (opaque, offset, 4);

  /* OUT leaves its result in EAX as well. */
  if (vcpu && ((VmVmport *) opaque)->read_set_eax)
    ((VmX86Cpu *) vcpu)->env.gpr[VM_RAX] = eax;
}

static const VmRegionOps vmport_ops = {
  .read = vmport_read,
  .write = vmport_write,
  .valid = { .min = 1, .max = 4 },
  .impl = { .min = 4, .max = 4 },
};

void
vm_vmport_register (VmVmport *port, unsigned command, VmVmportFunc func, void *opaque)
{
  g_assert (command < COMMANDS);
  port->commands[command].func = func;
  port->commands[command].opaque = opaque;
}

void
vm_vmport_set_machine (VmVmport *port, uint64_t ram_size, const uint8_t uuid[16])
{
  port->ram_size = ram_size;
  memcpy (port->uuid, uuid, 16);
}

static bool
vmport_realize (VmDevice *dev, GError **error)
{
  VmVmport *port = (VmVmport *) dev;

  vm_vmport_register (port, CMD_GET_VERSION, vmport_version, port);
  vm_vmport_register (port, CMD_GET_RAM_SIZE, vmport_ram_size, port);
  if (port->cmds_v2)
    {
      vm_vmport_register (port, CMD_GET_UUID, vmport_uuid, port);
      vm_vmport_register (port, CMD_GET_TIME, vmport_time, port);
      vm_vmport_register (port, CMD_GET_HZ, vmport_hz, port);
      vm_vmport_register (port, CMD_GET_TIME_FULL, vmport_time_full, port);
    }
  return vm_isa_map_io (dev, PORT, 1, &vmport_ops, port, error);
}

static const VmProp vmport_props[] = {
  VM_PROP ("x-read-set-eax", VmVmport, read_set_eax, true, "set EAX on reads"),
  VM_PROP ("x-signal-unsupported-cmd", VmVmport, signal_unsupported, true, "answer unknown commands with -1"),
  VM_PROP ("x-report-vmx-type", VmVmport, report_vmx_type, true, "product type in ECX"),
  VM_PROP ("x-cmds-v2", VmVmport, cmds_v2, true, "UUID and time commands"),
  VM_PROP ("vmware-vmx-version", VmVmport, vmx_version, 6, "version in EAX"),
  VM_PROP ("vmware-vmx-type", VmVmport, vmx_type, 2, "product type"),
  { 0 },
};

static const VmDeviceClass vmport_class = {
  .realize = vmport_realize,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Misc",
};

const VmType vm_vmport_type = {
  .name = "vmport",
  .parent = &vm_isa_device_type,
  .size = sizeof (VmVmport),
  .help = "VMware backdoor port",
  .props = vmport_props,
  .klass = &vmport_class,
};
