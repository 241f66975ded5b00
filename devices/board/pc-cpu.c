/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The processors of a PC with their local APICs. */
#include "devices/board/pc.h"

#include "devices/intc/kvm-chips.h"

#include "engine/x86/model.h"

/* --- without a local APIC: INTR comes straight from the 8259 --------------------------------------------- */

static int
plain_get_vector (void *opaque)
{
  VmPc *pc = opaque;
  bool taken = vm_lock_enter (pc->parent.lock);
  int vector = pc->pic[0] && vm_i8259_pending (pc->pic[0]) ? vm_i8259_acknowledge (pc->pic[0]) : -1;

  vm_lock_leave (pc->parent.lock, taken);
  return vector;
}

static bool
plain_has_vector (void *opaque)
{
  VmPc *pc = opaque;

  return pc->pic[0] && vm_i8259_pending (pc->pic[0]);
}

static uint8_t
plain_get_tpr (void *opaque)
{
  return 0;
}

static void
plain_set_tpr (void *opaque, uint8_t tpr)
{
}

static bool
plain_set_base (void *opaque, uint64_t value)
{
  return false;
}

static bool
plain_msr_read (void *opaque, uint32_t msr, uint64_t *value)
{
  return false;
}

static bool
plain_msr_write (void *opaque, uint32_t msr, uint64_t value)
{
  return false;
}

static void
plain_set_deadline (void *opaque, uint64_t tsc)
{
}

static const VmX86ApicOps plain_ops = {
  .get_vector = plain_get_vector, .has_vector = plain_has_vector, .get_tpr = plain_get_tpr,
  .set_tpr = plain_set_tpr, .set_base = plain_set_base, .msr_read = plain_msr_read,
  .msr_write = plain_msr_write, .set_deadline = plain_set_deadline,
};

static void
plain_set_intr (void *opaque, int n, int level)
{
  VmVcpu *vcpu = vm_vcpu_set_get (((VmPc *) opaque)->parent.vcpus, 0);

  if (level)
    vm_x86_request ((VmX86Cpu *) vcpu, VM_REQ_HARD);
  else
    vm_x86_unrequest ((VmX86Cpu *) vcpu, VM_REQ_HARD);
}

/* --- wires to processors ------------------------------------------------------------------------------------------- */

static void
pc_set_smi (void *opaque, int n, int level)
{
  VmPc *pc = opaque;

  /* To the first processor alone: firmware for this board relocates SMBASE on that one only, the others would
   * run whatever lies at the default address. */
  if (level && vm_vcpu_set_count (pc->parent.vcpus))
    vm_x86_request ((VmX86Cpu *) vm_vcpu_set_get (pc->parent.vcpus, 0), VM_REQ_SMI);
}

VmIrq
vm_pc_smi (VmPc *pc)
{
  return (VmIrq) { .func = pc_set_smi, .opaque = pc };
}

static void
pc_set_a20 (void *opaque, int n, int level)
{
  VmPc *pc = opaque;

  for (unsigned i = 0; i < vm_vcpu_set_count (pc->parent.vcpus); i++)
    vm_x86_set_a20 ((VmX86Cpu *) vm_vcpu_set_get (pc->parent.vcpus, i), level != 0);
}

VmIrq
vm_pc_a20 (VmPc *pc)
{
  return (VmIrq) { .func = pc_set_a20, .opaque = pc };
}

/* --- topology ------------------------------------------------------------------------------------------------ */

static unsigned
bits_for (unsigned n)
{
  return n <= 1 ? 0 : g_bit_storage (n - 1);
}

/* Each level of the topology has a field of its own in the APIC id (SDM volume 3, "MP System Topology"). */
static uint32_t
pc_apic_id (const VmSmp *smp, unsigned index)
{
  unsigned sizes[] = { MAX (smp->threads, 1), MAX (smp->cores, 1), MAX (smp->modules, 1),
                       MAX (smp->clusters, 1), MAX (smp->dies, 1) };
  unsigned shift = 0;
  uint32_t id = 0;

  for (unsigned i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      id |= index % sizes[i] << shift;
      index /= sizes[i];
      shift += bits_for (sizes[i]);
    }
  return id | index << shift;
}

/* --- making them ----------------------------------------------------------------------------------------------- */

static bool
pc_make_inner_lapic (VmPc *pc, VmX86Cpu *cpu, GError **error)
{
  VmKvmApic *apic = (VmKvmApic *) vm_machine_new_device (&pc->parent, &vm_kvm_apic_type);
  bool ok;

  vm_kvm_apic_attach (apic, &pc->lapics, cpu);
  vm_object_add_child (&cpu->parent.parent.parent, "lapic", &apic->parent.parent);
  ok = vm_device_realize (&apic->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&apic->parent.parent);
  return ok;
}

static bool
pc_make_lapic (VmPc *pc, VmX86Cpu *cpu, uint32_t id, GError **error)
{
  VmLapic *apic = (VmLapic *) vm_machine_new_device (&pc->parent, &vm_lapic_type);
  bool ok;

  apic->initial_id = id;
  vm_lapic_attach (apic, &pc->lapics, cpu);
  vm_object_add_child (&cpu->parent.parent.parent, "lapic", &apic->parent.parent);
  ok = vm_device_realize (&apic->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&apic->parent.parent);
  return ok;
}

static void
pc_set_topology (VmPc *pc, VmX86Cpu *cpu, uint32_t id)
{
  const VmSmp *smp = &pc->parent.settings->smp;
  VmX86Model *model = cpu->model;

  if (model->apic_id == UINT32_MAX)
    model->apic_id = id;
  model->threads = MAX (smp->threads, 1);
  model->cores = MAX (smp->cores, 1) * MAX (smp->modules, 1) * MAX (smp->clusters, 1);
  model->dies = MAX (smp->dies, 1);
  cpu->parent.affinity_id = model->apic_id;
}

static bool
pc_make_apic (VmPc *pc, VmX86Cpu *cpu, GError **error)
{
  if (vm_x86_has (cpu, VM_X86_FEATURE_APIC) || pc->parent.settings->smp.max_cpus > 1)
    return pc->irqchip == VM_IRQCHIP_OFF ? pc_make_lapic (pc, cpu, cpu->model->apic_id, error)
                                         : pc_make_inner_lapic (pc, cpu, error);
  cpu->apic_ops = &plain_ops;
  cpu->apic = pc;
  return true;
}

bool
vm_pc_attach_cpu (VmPc *pc, VmX86Cpu *cpu, unsigned index, GError **error)
{
  VmMachine *machine = &pc->parent;

  pc_set_topology (pc, cpu, pc->apic_ids[index]);
  cpu->memory_as = machine->env.memory_as;
  cpu->smm_as = pc->smm_as;
  cpu->ferr_irq = vm_pc_irq (pc, 13, VM_PC_IRQ_FERR);
  /* Others than the first wait for a start-up message, which comes by the APIC. */
  if (!vm_machine_add_cpu_at (machine, &cpu->parent, index, error) || !pc_make_apic (pc, cpu, error))
    return false;
  pc->cpus[index] = cpu;
  if (vm_machine_is_running (machine))
    vm_vcpu_set_resume (machine->vcpus);
  return true;
}

void
vm_pc_detach_cpu (VmPc *pc, VmX86Cpu *cpu)
{
  VmObject *apic = vm_object_child (&cpu->parent.parent.parent, "lapic");

  if (apic)
    vm_device_unrealize (VM_DEVICE (apic));
}

static bool
pc_make_cpu (VmPc *pc, const VmX86CpuOption *option, unsigned index, GError **error)
{
  VmX86Cpu *cpu = (VmX86Cpu *) vm_machine_new_device (&pc->parent, option->type);
  bool ok = true;

  for (guint i = 0; ok && i < option->names->len; i++)
    ok = vm_object_set (&cpu->parent.parent.parent, g_ptr_array_index (option->names, i),
                        g_ptr_array_index (option->values, i), error);
  ok = ok && vm_pc_attach_cpu (pc, cpu, index, error);
  vm_object_unref (&cpu->parent.parent.parent);
  return ok;
}

bool
vm_pc_make_cpus (VmPc *pc, VmAddressSpace *smm_as, GError **error)
{
  const VmSmp *smp = &pc->parent.settings->smp;
  const char *text = pc->parent.settings->cpu;
  VmAccel *accel = pc->parent.accel;
  g_autoptr (VmX86CpuOption) option =
    vm_x86_cpu_parse (pc->parent.types, text ? text : pc->parent.board->default_cpu, error);

  if (!option)
    return false;
  pc->smm_as = smm_as;
  vm_lapic_bus_init (&pc->lapics, &pc->parent.env);
  if (accel->ops->irqchip && !accel->ops->irqchip->create (accel, &pc->irqchip, error))
    return false;
  pc->lapics.accel = pc->irqchip == VM_IRQCHIP_OFF ? NULL : accel;
  pc->n_possible = MIN (MAX (smp->max_cpus, 1), G_N_ELEMENTS (pc->apic_ids));
  for (unsigned i = 0; i < pc->n_possible; i++)
    pc->apic_ids[i] = pc_apic_id (smp, i);
  for (unsigned i = 0; i < MAX (smp->cpus, 1); i++)
    if (!pc_make_cpu (pc, option, i, error))
      return false;
  return true;
}

/* Where the 8259 pair's output goes when no processor has an APIC. */
VmIrq
vm_pc_plain_intr (VmPc *pc)
{
  return (VmIrq) { .func = plain_set_intr, .opaque = pc };
}
