/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupt lines of a PC: sources or-ed into lines, lines to the 8259 pair and the I/O APIC. */
#include "devices/board/pc.h"

#include "devices/intc/kvm-chips.h"

#define SOURCE_SHIFT 8

static bool
pc_line (const VmPc *pc, unsigned gsi)
{
  return pc->irq_levels[gsi] != 0;
}

/* Line 0, the timer, is input 2 of the I/O APIC: input 0 there is where the 8259 would be. */
static void
pc_set_line (VmPc *pc, unsigned gsi)
{
  unsigned input = gsi == 0 ? 2 : gsi;
  bool level = pc_line (pc, gsi);

  if (level)
    pc->irq_count[gsi]++;
  if (pc->parent.irq_tap)
    pc->parent.irq_tap (pc->parent.irq_tap_opaque, gsi, level);
  if (pc->irqchip == VM_IRQCHIP_ON)
    {
      VmAccel *accel = pc->parent.accel;

      accel->ops->irqchip->set_gsi (accel, gsi, level);
      return;
    }
  if (gsi < 16 && gsi != 2 && pc->pic[gsi / 8])
    {
      VmIrq irq = vm_i8259_input (pc->pic[gsi / 8], gsi & 7);

      vm_irq_set (&irq, level);
    }
  if (pc->ioapic)
    {
      VmIrq irq = vm_ioapic_input (pc->ioapic, input);

      vm_irq_set (&irq, input == 2 ? pc_line (pc, 0) || pc_line (pc, 2) : level);
    }
}

static void
pc_set_source (void *opaque, int n, int level)
{
  VmPc *pc = opaque;
  unsigned gsi = (unsigned) n & ((1 << SOURCE_SHIFT) - 1);
  uint32_t bit = 1u << (n >> SOURCE_SHIFT);
  bool was = pc_line (pc, gsi);

  if (pc->closing)
    return;
  if (level)
    pc->irq_levels[gsi] |= bit;
  else
    pc->irq_levels[gsi] &= ~bit;
  if (was != pc_line (pc, gsi))
    pc_set_line (pc, gsi);
}

void
vm_pc_set_irq (VmMachine *machine, unsigned n, int level)
{
  if (n < VM_PC_GSIS)
    pc_set_source (machine, (int) (n | VM_PC_IRQ_ISA << SOURCE_SHIFT), level);
}

VmIrq
vm_pc_irq (VmPc *pc, unsigned gsi, unsigned source)
{
  g_assert (gsi < VM_PC_GSIS);
  return (VmIrq) { .func = pc_set_source, .opaque = pc, .n = (int) (gsi | source << SOURCE_SHIFT) };
}

static int
pc_extint (void *opaque)
{
  VmPc *pc = opaque;

  return pc->pic[0] ? vm_i8259_acknowledge (pc->pic[0]) : -1;
}

static VmI8259 *
pc_make_pic (VmPc *pc, bool master, GError **error)
{
  VmI8259 *pic = (VmI8259 *) vm_machine_new_device (&pc->parent, &vm_i8259_type);
  bool ok;

  pic->iobase = master ? 0x20 : 0xa0;
  pic->elcr_addr = master ? 0x4d0 : 0x4d1;
  pic->elcr_mask = master ? 0xf8 : 0xde; /* 0, 1, 2, 8 and 13 are edges for ever */
  pic->master = master;
  ok = vm_device_realize (&pic->parent.parent, &pc->parent.env, &pc->isa->parent, error);
  vm_object_unref (&pic->parent.parent.parent);
  return ok ? pic : NULL;
}

/* Where the 8259 pair is inside the accelerator. */
static bool
pc_make_inner_pic (VmPc *pc, VmIrqchipPart part, GError **error)
{
  VmKvmChip *chip = (VmKvmChip *) vm_machine_new_device (&pc->parent, &vm_kvm_i8259_type);
  bool ok;

  chip->accel = pc->parent.accel;
  chip->part = part;
  ok = vm_device_realize (&chip->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&chip->parent.parent);
  return ok;
}

/* The processors exist, and so does the ISA bus. */
bool
vm_pc_make_pics (VmPc *pc, GError **error)
{
  VmIrq lines[VM_ISA_IRQS];

  for (unsigned n = 0; n < VM_ISA_IRQS; n++)
    lines[n] = vm_pc_irq (pc, n, VM_PC_IRQ_ISA);
  vm_isa_bus_set_irqs (pc->isa, lines);
  if (pc->irqchip == VM_IRQCHIP_ON)
    return pc_make_inner_pic (pc, VM_IRQCHIP_PIC_MASTER, error)
           && pc_make_inner_pic (pc, VM_IRQCHIP_PIC_SLAVE, error);
  if (pc->pic_wanted == VM_ONOFFAUTO_OFF)
    return true;
  pc->pic[0] = pc_make_pic (pc, true, error);
  pc->pic[1] = pc->pic[0] ? pc_make_pic (pc, false, error) : NULL;
  if (!pc->pic[1])
    return false;
  pc->pic[0]->slave = pc->pic[1];
  pc->pic[0]->intr = pc->lapics.apics->len ? vm_lapic_bus_lint (&pc->lapics, 0) : vm_pc_plain_intr (pc);
  pc->pic[1]->intr = vm_i8259_input (pc->pic[0], 2);
  pc->lapics.extint = pc_extint;
  pc->lapics.extint_opaque = pc;
  return true;
}

char *
vm_pc_describe_irq (VmMachine *machine, bool pic)
{
  VmPc *pc = VM_PC (machine);
  GString *out = g_string_new (NULL);

  if (!pic)
    {
      g_string_append (out, "IRQ statistics:\n");
      for (unsigned n = 0; n < VM_PC_GSIS; n++)
        if (pc->irq_count[n] != 0)
          g_string_append_printf (out, "%2u: %" G_GUINT64_FORMAT "\n", n, pc->irq_count[n]);
      return g_string_free (out, FALSE);
    }
  if (pc->ioapic)
    vm_ioapic_describe (pc->ioapic, out);
  for (unsigned n = 2; n-- > 0;)
    if (pc->pic[n])
      vm_i8259_describe (pc->pic[n], n, out);
  return g_string_free (out, FALSE);
}

void
vm_pc_inject_nmi (VmMachine *machine)
{
  VmIrq nmi = vm_lapic_bus_lint (&VM_PC (machine)->lapics, 1);

  vm_irq_pulse (&nmi);
}
