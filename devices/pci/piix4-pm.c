/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PIIX4 power management function (82371AB data sheet 290562, section 7; ACPI 1.0b). */
#include "devices/pci/piix4-pm.h"

enum { /* configuration space */
  CFG_PMBA = 0x40, CFG_DEVACTB = 0x58, CFG_DEVRESA = 0x5c, CFG_PMREGMISC = 0x80, CFG_SMBBA = 0x90,
  CFG_SMBHSTCFG = 0xd2,
};
enum { DEVACTB_APMC_EN = 1 << 1 }; /* bit 25 of the dword: in its top byte */
enum { /* I/O registers at PMBA */
  PMSTS = 0x00, PMEN = 0x02, PMCNTRL = 0x04, PMTMR = 0x08, GPSTS = 0x0c, GPEN = 0x0e, PCNTRL = 0x10,
  PLVL2 = 0x14, PLVL3 = 0x15, GLBSTS = 0x18, DEVSTS = 0x1c, GLBEN = 0x20, GLBCTL = 0x28, DEVCTL = 0x2c,
  GPIREG = 0x30, GPOREG = 0x34, PM_SIZE = 0x40,
};
enum { /* PMSTS and PMEN */
  PM_TMROF = 1 << 0, PM_GBL = 1 << 5, PM_PWRBTN = 1 << 8, PM_RTC = 1 << 10, PM_PWRBTNOR = 1 << 11,
  PM_WAK = 1 << 15,
  PM_STATUS_BITS = PM_TMROF | 1 << 4 | PM_GBL | PM_PWRBTN | PM_RTC | PM_PWRBTNOR | PM_WAK,
  PM_ENABLE_BITS = PM_TMROF | PM_GBL | PM_PWRBTN | PM_RTC,
};
enum { /* PMCNTRL */
  PM_SCI_EN = 1 << 0, PM_GBL_RLS = 1 << 2, PM_SUS_TYP_SHIFT = 10, PM_SUS_EN = 1 << 13,
};
enum { SLEEP_S5 = 0, SLEEP_S3 = 1 };

#define PM_TIMER_HZ 3579545
#define PM_TIMER_BITS 24

/* --- timer -------------------------------------------------------------------------------------------- */

static int64_t
pm_now (const VmPiix4Pm *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

static uint64_t
pm_ticks (const VmPiix4Pm *self)
{
  return vm_muldiv64 ((uint64_t) pm_now (self), PM_TIMER_HZ, VM_NS_PER_SEC);
}

/* Bit 23 changes each 2.3 seconds; wanted only while its event is enabled and has not come yet. */
static void
pm_arm_overflow (VmPiix4Pm *self)
{
  uint64_t next;

  if (!(self->pm_enable & PM_TMROF) || (self->pm_status & PM_TMROF))
    {
      vm_timer_cancel (&self->overflow);
      return;
    }
  next = ((pm_ticks (self) >> (PM_TIMER_BITS - 1)) + 1) << (PM_TIMER_BITS - 1);
  vm_timer_set (&self->overflow, (int64_t) vm_muldiv64 (next, VM_NS_PER_SEC, PM_TIMER_HZ) + 1);
}

/* --- derived state --------------------------------------------------------------------------------------- */

static void
pm_update_sci (VmPiix4Pm *self)
{
  bool event = (self->pm_status & self->pm_enable & PM_ENABLE_BITS) != 0
               || (self->gpe_status & self->gpe_enable) != 0 || (self->gp_status & self->gp_enable) != 0;

  vm_irq_set (&self->sci, event && (self->pm_control & PM_SCI_EN));
}

static void
pm_raise (VmPiix4Pm *self, uint16_t bits)
{
  self->pm_status |= bits;
  pm_update_sci (self);
}

static void
pm_overflow (void *opaque)
{
  VmPiix4Pm *self = opaque;

  pm_raise (self, PM_TMROF);
}

uint16_t
vm_piix4_pm_base (const VmPiix4Pm *self)
{
  const uint8_t *c = self->parent.config;

  return c[CFG_PMREGMISC] & 1 ? vm_load_le16 (c + CFG_PMBA) & 0xffc0 : 0;
}

static void
pm_place (VmRegion *region, VmRegion *io, uint16_t base)
{
  if (base == 0 && region->container)
    vm_region_remove (region);
  else if (base != 0 && !region->container)
    vm_region_add (io, base, region);
  else if (base != 0)
    vm_region_set_address (region, base);
}

static void
pm_update_mappings (VmPiix4Pm *self)
{
  const uint8_t *c = self->parent.config;
  VmEnv *env = self->parent.parent.env;
  bool smbus_on = c[CFG_SMBHSTCFG] & 1;

  vm_memory_begin (env->memory);
  pm_place (&self->pm_io, env->system_io, vm_piix4_pm_base (self));
  pm_place (&self->smb_io, env->system_io, smbus_on ? vm_load_le16 (c + CFG_SMBBA) & 0xfff0 : 0);
  vm_memory_commit (env->memory);
}

/* --- sleeping ----------------------------------------------------------------------------------------------- */

static void
pm_sleep (VmPiix4Pm *self)
{
  VmEnv *env = self->parent.parent.env;
  unsigned type = self->pm_control >> PM_SUS_TYP_SHIFT & 7;

  if (type == SLEEP_S5 || (type == self->s4_val && !self->disable_s4))
    {
      if (env->request_shutdown)
        env->request_shutdown (env->machine);
    }
  else if (type == SLEEP_S3 && !self->disable_s3 && env->request_suspend)
    env->request_suspend (env->machine);
}

static void
pm_write_control (VmPiix4Pm *self, uint16_t value)
{
  self->pm_control = value & (uint16_t) ~(PM_SUS_EN | PM_GBL_RLS);
  if (value & PM_SUS_EN)
    pm_sleep (self);
  pm_update_sci (self);
}

/* --- registers at PMBA ---------------------------------------------------------------------------------------- */

static uint32_t
pm_register (VmPiix4Pm *self, unsigned reg)
{
  switch (reg)
    {
    case PMSTS:
      return self->pm_status | (uint32_t) self->pm_enable << 16;
    case PMCNTRL:
      return self->pm_control;
    case PMTMR:
      return (uint32_t) pm_ticks (self) & ((1u << PM_TIMER_BITS) - 1);
    case GPSTS:
      return self->gp_status | (uint32_t) self->gp_enable << 16;
    case PCNTRL:
      return self->processor_control;
    case GLBSTS:
      return self->global_status;
    case DEVSTS:
      return self->device_status;
    case GLBEN:
      return self->global_enable;
    case GLBCTL:
      return self->global_control;
    case DEVCTL:
      return self->device_control;
    case GPOREG:
      return self->gpo;
    default:
      return 0; /* PLVL2 and PLVL3 read as zero; the processor halts by HLT here */
    }
}

static uint64_t
pm_read (void *opaque, uint64_t offset, unsigned size)
{
  return pm_register (opaque, (unsigned) offset & ~3u) >> (offset & 3) * 8;
}

/* Registers are kept as dwords; a write of some bytes keeps the others. MASK has ones where bytes come. */
static void
pm_write_register (VmPiix4Pm *self, unsigned reg, uint32_t value, uint32_t mask)
{
  uint32_t merged = (pm_register (self, reg) & ~mask) | (value & mask);

  switch (reg)
    {
    case PMSTS:
      self->pm_status &= (uint16_t) ~(value & mask & PM_STATUS_BITS);
      self->pm_enable = (merged >> 16) & PM_ENABLE_BITS;
      pm_arm_overflow (self);
      pm_update_sci (self);
      break;
    case PMCNTRL:
      pm_write_control (self, (uint16_t) merged);
      break;
    case GPSTS:
      self->gp_status &= (uint16_t) ~(value & mask);
      self->gp_enable = (uint16_t) (merged >> 16);
      pm_update_sci (self);
      break;
    case PCNTRL:
      self->processor_control = merged & 0x00033e1e;
      break;
    case GLBSTS:
      self->global_status &= ~(value & mask);
      break;
    case DEVSTS:
      self->device_status &= ~(value & mask);
      break;
    case GLBEN:
      self->global_enable = merged;
      break;
    case GLBCTL:
      self->global_control = merged;
      break;
    case DEVCTL:
      self->device_control = merged;
      break;
    case GPOREG:
      self->gpo = merged;
      break;
    default:
      break;
    }
}

static void
pm_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  unsigned shift = ((unsigned) offset & 3) * 8;
  uint32_t mask = size >= 4 ? UINT32_MAX : ((1u << size * 8) - 1) << shift;

  pm_write_register (opaque, (unsigned) offset & ~3u, (uint32_t) value << shift, mask);
}

static const VmRegionOps pm_ops = {
  .read = pm_read, .write = pm_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

/* --- general-purpose events ----------------------------------------------------------------------------------- */

static uint64_t
gpe_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPiix4Pm *self = opaque;

  return (offset < 2 ? self->gpe_status : self->gpe_enable) >> (offset & 1) * 8;
}

static void
gpe_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPiix4Pm *self = opaque;
  unsigned shift = ((unsigned) offset & 1) * 8;
  uint16_t byte = (uint16_t) ((value & 0xff) << shift);

  if (offset < 2)
    self->gpe_status &= (uint16_t) ~byte;
  else
    self->gpe_enable = (uint16_t) ((self->gpe_enable & ~(0xff << shift)) | byte);
  pm_update_sci (self);
}

static const VmRegionOps gpe_ops = { .read = gpe_read, .write = gpe_write, .impl = { .min = 1, .max = 1 } };

void
vm_piix4_pm_raise_gpe (VmPiix4Pm *pm, unsigned n)
{
  pm->gpe_status |= (uint16_t) (1 << n);
  pm_update_sci (pm);
}

bool
vm_piix4_pm_power_button (VmPiix4Pm *pm)
{
  pm_raise (pm, PM_PWRBTN);
  return (pm->pm_enable & PM_PWRBTN) && (pm->pm_control & PM_SCI_EN);
}

/* --- advanced power management ports ---------------------------------------------------------------------------- */

static uint64_t
apm_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPiix4Pm *self = opaque;

  return offset == 0 ? self->apm_control : self->apm_status;
}

static void
apm_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPiix4Pm *self = opaque;

  if (offset != 0)
    {
      self->apm_status = (uint8_t) value;
      return;
    }
  self->apm_control = (uint8_t) value;
  /* What an SMI handler would do on ACPI_ENABLE and ACPI_DISABLE; firmware without SMM has none. */
  if (value == VM_PIIX4_ACPI_ENABLE)
    self->pm_control |= PM_SCI_EN;
  else if (value == VM_PIIX4_ACPI_DISABLE)
    self->pm_control &= (uint16_t) ~PM_SCI_EN;
  pm_update_sci (self);
  if (self->smm_enabled && (self->parent.config[CFG_DEVACTB + 3] & DEVACTB_APMC_EN))
    vm_irq_raise (&self->smi);
}

static const VmRegionOps apm_ops = { .read = apm_read, .write = apm_write, .impl = { .min = 1, .max = 1 } };

/* --- configuration space -------------------------------------------------------------------------------------- */

static void
pm_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  VmPiix4Pm *self = (VmPiix4Pm *) dev;

  vm_pci_default_config_write (dev, addr, value, size);
  if (vm_pci_range_touched (addr, size, CFG_PMBA, 4) || vm_pci_range_touched (addr, size, CFG_PMREGMISC, 1)
      || vm_pci_range_touched (addr, size, CFG_SMBBA, 4) || vm_pci_range_touched (addr, size, CFG_SMBHSTCFG, 1))
    pm_update_mappings (self);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void
pm_init_config (VmPiix4Pm *self)
{
  uint8_t *c = self->parent.config;

  memset (c + 0x40, 0, 0xc0);
  vm_store_le16 (c + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM | PCI_STATUS_FAST_BACK);
  c[CFG_PMBA] = 1;
  /* Where there is no SMM, firmware that looks here finds it set up already. */
  c[CFG_DEVACTB + 3] = !self->smm_enabled ? DEVACTB_APMC_EN : 0;
  if (self->smb_io_base != 0)
    {
      vm_store_le32 (c + CFG_SMBBA, (self->smb_io_base & 0xfff0) | 1);
      c[CFG_SMBHSTCFG] = 0x09; /* enabled, IRQ 9 */
    }
  else
    c[CFG_SMBBA] = 1;
}

static void
pm_reset (VmDevice *dev, VmResetKind kind)
{
  VmPiix4Pm *self = (VmPiix4Pm *) dev;

  /* The resume well keeps the reason of waking. */
  self->pm_status = kind == VM_RESET_WAKEUP ? (self->pm_status & (PM_PWRBTN | PM_RTC)) | PM_WAK : 0;
  self->pm_enable = self->pm_control = 0;
  self->gp_status = self->gp_enable = self->gpe_status = self->gpe_enable = 0;
  self->processor_control = self->global_status = self->device_status = self->global_enable = 0;
  self->global_control = self->device_control = 0;
  self->gpo = 0x7fffbfff;
  self->apm_control = self->apm_status = 0;
  vm_timer_cancel (&self->overflow);
  vm_piix4_smbus_reset (&self->smbus);
  vm_acpi_pci_hotplug_reset (&self->pci_hotplug);
  vm_acpi_cpu_hotplug_reset (&self->cpu_hotplug);
  vm_acpi_memory_hotplug_reset (&self->memory_hotplug);
  pm_init_config (self);
  pm_update_mappings (self);
  pm_update_sci (self);
}

static void
pm_hotplug_event (void *opaque, int n, int level)
{
  vm_piix4_pm_raise_gpe (opaque, (unsigned) n);
}

static void
pm_make_hotplug (VmPiix4Pm *self, VmEnv *env)
{
  const VmIrq event = { .func = pm_hotplug_event, .opaque = self };

  self->pci_hotplug.event = self->cpu_hotplug.event = self->memory_hotplug.event = event;
  self->pci_hotplug.event.n = VM_PIIX4_GPE_PCI_HOTPLUG;
  self->cpu_hotplug.event.n = VM_PIIX4_GPE_CPU_HOTPLUG;
  self->memory_hotplug.event.n = VM_PIIX4_GPE_MEMORY_HOTPLUG;
  if (self->acpi_root_pci_hotplug)
    vm_acpi_pci_hotplug_serve (&self->pci_hotplug, vm_pci_bus (&self->parent));
  if (self->acpi_root_pci_hotplug || self->acpi_pci_hotplug_with_bridge_support)
    vm_acpi_pci_hotplug_init (&self->pci_hotplug, env, VM_PIIX4_PCI_HOTPLUG_BASE);
  if (self->cpu_hotplug.n)
    vm_acpi_cpu_hotplug_init (&self->cpu_hotplug, env, VM_PIIX4_CPU_HOTPLUG_BASE);
  if (self->memory_hotplug.n)
    vm_acpi_memory_hotplug_init (&self->memory_hotplug, env, VM_PIIX4_MEM_HOTPLUG_BASE);
}

static bool
pm_realize (VmDevice *dev, GError **error)
{
  VmPiix4Pm *self = (VmPiix4Pm *) dev;
  VmEnv *env = dev->env;

  vm_pci_set_interrupt_pin (&self->parent, 1);
  vm_region_init_io (&self->pm_io, env->memory, &pm_ops, self, "piix4-pm", PM_SIZE);
  vm_region_init_io (&self->gpe_io, env->memory, &gpe_ops, self, "acpi-gpe0", VM_PIIX4_GPE_LEN);
  vm_region_init_io (&self->apm_io, env->memory, &apm_ops, self, "apm-io", 2);
  vm_region_init_io (&self->smb_io, env->memory, &vm_piix4_smbus_ops, &self->smbus, "pm-smbus", VM_PIIX4_SMBUS_PORTS);
  vm_region_add (env->system_io, VM_PIIX4_GPE_BASE, &self->gpe_io);
  vm_region_add (env->system_io, VM_PIIX4_SMI_COMMAND, &self->apm_io);
  vm_timer_init (&self->overflow, env->clocks, VM_CLOCK_VIRTUAL, pm_overflow, self);
  vm_i2c_bus_init (&self->smbus.bus, dev, "i2c");
  pm_make_hotplug (self, env);
  pm_init_config (self);
  return true;
}

static void
pm_unrealize (VmDevice *dev)
{
  VmPiix4Pm *self = (VmPiix4Pm *) dev;

  vm_timer_cancel (&self->overflow);
  vm_region_destroy (&self->pm_io);
  vm_region_destroy (&self->gpe_io);
  vm_region_destroy (&self->apm_io);
  vm_region_destroy (&self->smb_io);
  if (self->pci_hotplug.io.memory)
    vm_acpi_pci_hotplug_destroy (&self->pci_hotplug);
  if (self->cpu_hotplug.n)
    vm_acpi_cpu_hotplug_destroy (&self->cpu_hotplug);
  if (self->memory_hotplug.n)
    vm_acpi_memory_hotplug_destroy (&self->memory_hotplug);
}

static bool
pm_post_load (VmDevice *dev, GError **error)
{
  VmPiix4Pm *self = (VmPiix4Pm *) dev;

  self->smbus.index &= 31;
  pm_update_mappings (self);
  return true;
}

static const VmProp pm_props[] = {
  VM_PROP ("smb_io_base", VmPiix4Pm, smb_io_base, 0, "I/O base of the SMBus host at reset"),
  VM_PROP ("disable_s3", VmPiix4Pm, disable_s3, 0, "1: no suspend to RAM"),
  VM_PROP ("disable_s4", VmPiix4Pm, disable_s4, 0, "1: no suspend to disk"),
  VM_PROP ("s4_val", VmPiix4Pm, s4_val, 2, "sleep type that stands for S4"),
  VM_PROP ("acpi-pci-hotplug-with-bridge-support", VmPiix4Pm, acpi_pci_hotplug_with_bridge_support, true,
           "the hot-plug registers are there even without slots on the root bus"),
  VM_PROP ("acpi-root-pci-hotplug", VmPiix4Pm, acpi_root_pci_hotplug, true, "devices of the root bus may come and go"),
  VM_PROP ("memory-hotplug-support", VmPiix4Pm, memory_hotplug_support, true, "memory modules may come and go"),
  VM_PROP ("smm-compat", VmPiix4Pm, smm_compat, false, "what older machine types are told from; nothing else differs"),
  VM_PROP ("smm-enabled", VmPiix4Pm, smm_enabled, false, "the processors have system management mode"),
  VM_PROP ("x-not-migrate-acpi-index", VmPiix4Pm, x_not_migrate_acpi_index, false,
           "no acpi-index in saved states; they never hold one here"),
  { 0 }
};

static const VmField pm_state[] = {
  VM_FIELD (VmPiix4Pm, pm_status), VM_FIELD (VmPiix4Pm, pm_enable), VM_FIELD (VmPiix4Pm, pm_control),
  VM_FIELD (VmPiix4Pm, gp_status), VM_FIELD (VmPiix4Pm, gp_enable), VM_FIELD (VmPiix4Pm, gpe_status),
  VM_FIELD (VmPiix4Pm, gpe_enable), VM_FIELD (VmPiix4Pm, processor_control),
  VM_FIELD (VmPiix4Pm, global_status), VM_FIELD (VmPiix4Pm, device_status),
  VM_FIELD (VmPiix4Pm, global_enable), VM_FIELD (VmPiix4Pm, global_control),
  VM_FIELD (VmPiix4Pm, device_control), VM_FIELD (VmPiix4Pm, gpo), VM_FIELD (VmPiix4Pm, apm_control),
  VM_FIELD (VmPiix4Pm, apm_status), VM_FIELD_EMBED (VmPiix4Pm, smbus, vm_piix4_smbus_state),
  VM_FIELD_EMBED (VmPiix4Pm, pci_hotplug, vm_acpi_pci_hotplug_state),
  VM_FIELD_EMBED (VmPiix4Pm, cpu_hotplug, vm_acpi_cpu_hotplug_state),
  VM_FIELD_EMBED (VmPiix4Pm, memory_hotplug, vm_acpi_memory_hotplug_state),
  VM_FIELD_TIMER_OF (VmPiix4Pm, overflow),
  { 0 }
};

static const VmPciClass pm_class = {
  .parent = {
    .realize = pm_realize, .unrealize = pm_unrealize, .reset = pm_reset, .post_load = pm_post_load,
    .category = "Controller/Bridge/Hub",
  },
  .vendor = PCI_VENDOR_INTEL, .device = 0x7113, .revision = 0x03, .class_id = PCI_CLASS_BRIDGE_OTHER,
  .config_write = pm_config_write,
};

const VmType vm_piix4_pm_type = {
  .name = "PIIX4_PM", .parent = &vm_pci_device_type, .size = sizeof (VmPiix4Pm),
  .help = "Power management of the PIIX4", .props = pm_props, .state = pm_state, .klass = &pm_class,
};
