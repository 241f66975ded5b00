/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PC of 1996: 440FX host bridge, PIIX3 with ISA bus and IDE, PIIX4 power management. */
#include "devices/board/pc-i440fx.h"

#include "devices/acpi/acpi-tables.h"
#include "devices/i2c/smbus-eeprom.h"
#include "devices/intc/kvm-chips.h"
#include "devices/isa/piix3.h"
#include "devices/misc/pvpanic.h"
#include "devices/pci/i440fx.h"
#include "devices/pci/piix4-pm.h"
#include "devices/storage/piix3-ide.h"
#include "engine/base/log.h"
#include "engine/machine/numa.h"

#define BIOS_FILE "bios-256k.bin"
#define SMBUS_BASE 0xb100
#define SMBUS_EEPROMS 8
#define SCI_IRQ 9

enum { SLOT_PIIX = 1, FUNC_ISA = 0, FUNC_IDE = 1, FUNC_USB = 2, FUNC_PM = 3 };

typedef struct PcI440fx {
  VmPc           parent;
  VmI440fxHost  *host;
  VmPiix3       *piix3;
  VmPiix4Pm     *pm;
  GPtrArray     *user_tables; /* of -acpitable; NULL until read */
} PcI440fx;

static bool
smm_is_on (const VmPc *pc)
{
  return pc->smm == VM_ONOFFAUTO_ON || (pc->smm == VM_ONOFFAUTO_AUTO && !pc->parent.accel->no_smm);
}

static bool
acpi_is_on (const VmPc *pc)
{
  return pc->acpi != VM_ONOFFAUTO_OFF;
}

/* Realizes a function at a fixed place and drops the reference that _new gave. */
static bool
add_function (PcI440fx *self, VmPciDevice *dev, unsigned slot, unsigned func, GError **error)
{
  VmMachine *machine = &self->parent.parent;
  bool ok;

  dev->addr = (int32_t) VM_PCI_DEVFN (slot, func);
  ok = vm_device_realize (&dev->parent, &machine->env, &self->host->bus.parent, error);
  vm_object_unref (&dev->parent.parent);
  return ok;
}

static VmPciDevice *
new_function (PcI440fx *self, const VmType *type)
{
  return VM_PCI_DEVICE (vm_machine_new_device (&self->parent.parent, type));
}

/* --- the chip set ------------------------------------------------------------------------------------- */

static bool
make_host (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  VmMachine *machine = &pc->parent;
  bool ok;

  self->host = (VmI440fxHost *) vm_machine_new_device (machine, &vm_i440fx_host_type);
  self->host->ram = machine->ram;
  self->host->low_ram = machine->low_ram;
  self->host->below_4g = pc->below_4g;
  if (pc->device_memory.memory)
    self->host->reserved_end = pc->device_memory_start + pc->device_memory.size;
  vm_object_add_child (&machine->parent, "i440fx", &self->host->parent.parent);
  ok = vm_device_realize (&self->host->parent, &machine->env, NULL, error);
  vm_object_unref (&self->host->parent.parent);
  return ok && add_function (self, new_function (self, &vm_i440fx_type), 0, 0, error);
}

static bool
make_piix3 (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;

  self->piix3 = (VmPiix3 *) new_function (self, &vm_piix3_type);
  self->piix3->parent.multifunction = true;
  for (unsigned n = 0; n < VM_ISA_IRQS; n++)
    self->piix3->irq[n] = vm_pc_irq (pc, n, VM_PC_IRQ_PIRQ);
  if (!add_function (self, &self->piix3->parent, SLOT_PIIX, FUNC_ISA, error))
    return false;
  pc->isa = &self->piix3->isa;
  self->host->cf9 = &vm_piix3_rst_cnt_ops;
  self->host->cf9_opaque = self->piix3;
  return true;
}

/* Where it is inside the accelerator. */
static bool
make_inner_ioapic (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  VmKvmChip *chip = (VmKvmChip *) vm_machine_new_device (&pc->parent, &vm_kvm_ioapic_type);
  bool ok;

  chip->accel = pc->parent.accel;
  chip->part = VM_IRQCHIP_IOAPIC;
  vm_object_add_child (&self->host->parent.parent, "ioapic", &chip->parent.parent);
  ok = vm_device_realize (&chip->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&chip->parent.parent);
  return ok;
}

static bool
make_ioapic (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  VmAccel *accel = pc->parent.accel;
  bool ok;

  if (pc->irqchip == VM_IRQCHIP_ON)
    return make_inner_ioapic (self, error);
  if (pc->lapics.apics->len == 0)
    return true;
  pc->ioapic = (VmIoapic *) vm_machine_new_device (&pc->parent, &vm_ioapic_type);
  pc->ioapic->bus = &pc->lapics;
  pc->lapics.eoi = vm_ioapic_eoi;
  pc->lapics.eoi_opaque = pc->ioapic;
  if (pc->irqchip == VM_IRQCHIP_SPLIT)
    accel->ops->irqchip->set_eoi_hook (accel, vm_ioapic_eoi, pc->ioapic);
  vm_object_add_child (&self->host->parent.parent, "ioapic", &pc->ioapic->parent.parent);
  ok = vm_device_realize (&pc->ioapic->parent, &pc->parent.env, NULL, error);
  vm_object_unref (&pc->ioapic->parent.parent);
  return ok;
}

static bool
make_ide_and_usb (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  const VmType *usb = vm_pc_type (pc, "piix3-usb-uhci");
  VmPciDevice *ide = new_function (self, &vm_piix3_ide_type);

  vm_piix3_ide_set_irqs ((VmPiix3Ide *) ide, vm_pc_irq (pc, 14, VM_PC_IRQ_IDE), vm_pc_irq (pc, 15, VM_PC_IRQ_IDE));
  if (!add_function (self, ide, SLOT_PIIX, FUNC_IDE, error))
    return false;
  if (!pc->parent.settings->usb)
    return true;
  if (!usb)
    return vm_fail (error, "usb=on: USB is not available in this build");
  return add_function (self, new_function (self, usb), SLOT_PIIX, FUNC_USB, error);
}

static bool
make_smbus_eeproms (PcI440fx *self, GError **error)
{
  VmMachine *machine = &self->parent.parent;

  for (unsigned i = 0; i < SMBUS_EEPROMS; i++)
    {
      VmSmbusEeprom *eeprom = (VmSmbusEeprom *) vm_machine_new_device (machine, &vm_smbus_eeprom_type);
      bool ok;

      eeprom->parent.address = (uint8_t) (0x50 + i);
      if (i == 0)
        vm_spd_fill_sdr (eeprom->initial, machine->ram_size);
      ok = vm_device_realize (&eeprom->parent.parent, &machine->env, &self->pm->smbus.bus.parent, error);
      vm_object_unref (&eeprom->parent.parent.parent);
      if (!ok)
        return false;
    }
  return true;
}

static void
on_power_button (VmMachine *machine, void *opaque)
{
  vm_piix4_pm_power_button (((PcI440fx *) machine)->pm);
}

static bool
make_power_management (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;

  if (!acpi_is_on (pc))
    {
      vm_pc_serve_hotplug (pc, NULL, NULL);
      return true;
    }
  self->pm = (VmPiix4Pm *) new_function (self, &vm_piix4_pm_type);
  self->pm->smb_io_base = SMBUS_BASE;
  self->pm->smm_enabled = smm_is_on (pc);
  self->pm->sci = vm_pc_irq (pc, SCI_IRQ, VM_PC_IRQ_SCI);
  self->pm->smbus.irq = vm_pc_irq (pc, SCI_IRQ, VM_PC_IRQ_SMBUS);
  self->pm->smi = vm_pc_smi (pc);
  vm_pc_serve_hotplug (pc, &self->pm->cpu_hotplug, self->pm->memory_hotplug_support ? &self->pm->memory_hotplug : NULL);
  if (!add_function (self, &self->pm->parent, SLOT_PIIX, FUNC_PM, error))
    return false;
  pc->parent.wakeup_supported = true;
  vm_machine_watch (&pc->parent, VM_MACHINE_POWERDOWN, on_power_button, NULL);
  return !pc->smbus || make_smbus_eeproms (self, error);
}

/* --- default devices -------------------------------------------------------------------------------------- */

static bool
make_floppy (PcI440fx *self, GError **error)
{
  const VmType *type = vm_pc_type (&self->parent, "isa-fdc");

  return !type || vm_machine_add_device (&self->parent.parent, type, &self->parent.isa->parent, error) != NULL;
}

/* --- firmware tables, once all devices are there ----------------------------------------------------------------- */

typedef struct Search {
  const char *type;
  VmDevice   *found;
} Search;

static bool
match_device (VmDevice *dev, void *opaque)
{
  Search *search = opaque;

  if (strcmp (dev->parent.type->name, search->type) == 0)
    search->found = dev;
  return search->found == NULL;
}

static VmDevice *
find_device (VmMachine *machine, const char *type)
{
  Search search = { .type = type };

  vm_device_foreach (machine->env.root, match_device, &search);
  return search.found;
}

/* Those that hold nothing, or something that may go. */
static uint32_t
hotplug_slots (const VmPciBus *bus)
{
  uint32_t slots = 0;

  for (unsigned slot = 0; slot < VM_PCI_SLOTS; slot++)
    {
      const VmPciDevice *dev = bus->devices[VM_PCI_DEVFN (slot, 0)];

      if (!dev || vm_device_class (&dev->parent)->hotpluggable)
        slots |= UINT32_C (1) << slot;
    }
  return slots;
}

static bool
install_acpi (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  VmMachine *machine = &pc->parent;
  const VmPvpanic *panic = (const VmPvpanic *) find_device (machine, "pvpanic");
  bool present[G_N_ELEMENTS (pc->cpus)];
  VmAcpiPc acpi = {
    .low_ram_top = pc->below_4g, .pm_base = 0x600, .gpe_base = VM_PIIX4_GPE_BASE, .sci_irq = SCI_IRQ,
    .has_hpet = pc->hpet, .has_fdc = find_device (machine, "isa-fdc") != NULL, .has_lpt = find_device (machine, "isa-parallel") != NULL,
    .has_i8042 = pc->i8042_wanted, .has_pvpanic = panic != NULL, .pvpanic_port = panic ? panic->ioport : 0,
    .piix3_devfn = VM_PCI_DEVFN (SLOT_PIIX, FUNC_ISA), .smm = smm_is_on (pc),
    .disable_s3 = self->pm->disable_s3, .disable_s4 = self->pm->disable_s4, .s4_value = self->pm->s4_val,
    .apic_ids = pc->apic_ids, .cpu_present = present, .user_tables = self->user_tables,
    .has_generation_id = find_device (machine, "vmgenid") != NULL, .n_possible = pc->n_possible,
    .pci_slots = self->pm->pci_hotplug.bus ? hotplug_slots (self->pm->pci_hotplug.bus) : 0,
    .cpu_hotplug = pc->cpu_hotplug != NULL, .memory_slots = pc->memory_hotplug ? pc->memory_hotplug->n : 0,
    .pci_hotplug_base = VM_PIIX4_PCI_HOTPLUG_BASE, .cpu_hotplug_base = VM_PIIX4_CPU_HOTPLUG_BASE,
    .memory_hotplug_base = VM_PIIX4_MEM_HOTPLUG_BASE, .gpe_pci = VM_PIIX4_GPE_PCI_HOTPLUG,
    .gpe_cpu = VM_PIIX4_GPE_CPU_HOTPLUG, .gpe_memory = VM_PIIX4_GPE_MEMORY_HOTPLUG,
    .device_memory_start = pc->device_memory_start,
    .device_memory_size = pc->device_memory.memory ? pc->device_memory.size : 0,
    .numa = machine->numa, .hmat = machine->hmat && machine->numa->n, .below_4g = pc->below_4g, .above_4g = pc->above_4g,
    .oem_id = pc->oem_id, .oem_table_id = pc->oem_table_id,
  };

  for (unsigned i = 0; i < pc->n_possible; i++)
    present[i] = pc->cpus[i] != NULL;
  for (guint i = 0; i < machine->serials->len; i++)
    acpi.n_serial += g_ptr_array_index (machine->serials, i) != NULL;
  vm_i440fx_hole64 (self->host, &acpi.hole64_start, &acpi.hole64_end);
  return vm_acpi_install (pc->fw_cfg, &acpi, error);
}

/* Processors that came or went are in the tables of the next start. */
static void
on_reset (VmMachine *machine, void *opaque)
{
  PcI440fx *self = (PcI440fx *) machine;
  g_autoptr (GError) error = NULL;

  if (self->user_tables && self->pm && !install_acpi (self, &error))
    vm_report_warning ("firmware tables are incomplete: %s", error->message);
}

static void
pc_i440fx_finalize (VmObject *obj)
{
  g_clear_pointer (&((PcI440fx *) obj)->user_tables, g_ptr_array_unref);
}

static void
on_ready (VmMachine *machine, void *opaque)
{
  PcI440fx *self = (PcI440fx *) machine;
  g_autoptr (GError) error = NULL;

  vm_pc_fill_cmos (&self->parent);
  if ((!vm_pc_finish_fw_cfg (&self->parent, &error) || (self->pm && !install_acpi (self, &error)))
      && !machine->ready_error)
    machine->ready_error = g_steal_pointer (&error);
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static bool
map_firmware (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;
  bool in_flash;

  return vm_pc_map_flash (pc, &self->host->pci_memory, &in_flash, error)
         && (in_flash || vm_pc_map_bios (pc, &self->host->pci_memory, BIOS_FILE, false, error));
}

static bool
make_parts (PcI440fx *self, GError **error)
{
  VmPc *pc = &self->parent;

  vm_pc_map_ram (pc);
  return vm_pc_make_device_memory (pc, error) && make_host (self, error)
         && vm_pc_make_cpus (pc, smm_is_on (pc) ? &self->host->smm_as : NULL, error)
         && make_piix3 (self, error) && make_ioapic (self, error)
         && map_firmware (self, error)
         && vm_pc_make_fw_cfg (pc, error) && vm_pc_make_isa_chips (pc, error)
         && vm_pc_make_isa_ports (pc, error) && make_ide_and_usb (self, error)
         && make_power_management (self, error)
         && vm_pc_add_vga (pc, &self->host->bus.parent, true, error) && vm_pc_make_nics (pc, &self->host->bus.parent, &pc->isa->parent, error)
         && make_floppy (self, error) && vm_pc_add_drives (pc, error);
}

bool
vm_pc_i440fx_init (VmMachine *machine, GError **error)
{
  PcI440fx *self = (PcI440fx *) machine;
  const VmSettings *s = machine->settings;
  const char *order = s->boot_once ? s->boot_once : s->boot_order ? s->boot_order : "cad";

  if (self->parent.smm == VM_ONOFFAUTO_ON && machine->accel->no_smm)
    return vm_fail (error, "System Management Mode not supported by this hypervisor.");
  if (!(self->user_tables = vm_acpi_read_user_tables (s, error)))
    return false;
  if (!make_parts (self, error) || !vm_pc_set_boot_order (machine, order, error))
    return false;
  machine->inject_nmi = vm_pc_inject_nmi;
  machine->describe_irq = vm_pc_describe_irq;
  machine->set_irq = vm_pc_set_irq;
  machine->set_boot_order = vm_pc_set_boot_order;
  vm_pc_watch_machine (&self->parent);
  vm_machine_watch (machine, VM_MACHINE_READY, on_ready, NULL);
  vm_machine_watch (machine, VM_MACHINE_RESET, on_reset, NULL);
  return true;
}

const VmType vm_pc_i440fx_machine_type = {
  .name = "pc-i440fx-machine", .parent = &vm_pc_machine_type, .size = sizeof (PcI440fx),
  .help = "Standard PC (i440FX + PIIX, 1996)", .finalize = pc_i440fx_finalize,
};
