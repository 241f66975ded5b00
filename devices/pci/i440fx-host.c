/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration mechanism #1 and the root bus of the 440FX (82441FX data sheet 290549, sections 3.1, 4.1). */
#include "devices/pci/i440fx.h"

#define CONFADD_ENABLE (1u << 31)

/* CONFADD takes dwords only; other accesses go to what else is there (section 3.1.1). */
static uint64_t
host_address_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI440fxHost *self = opaque;

  if (size == 4)
    return self->address;
  return offset == 1 && size == 1 && self->cf9 ? self->cf9->read (self->cf9_opaque, 0, 1) : ~UINT64_C (0);
}

static void
host_address_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI440fxHost *self = opaque;

  if (size == 4 && offset == 0)
    self->address = (uint32_t) value;
  else if (offset == 1 && size == 1 && self->cf9)
    self->cf9->write (self->cf9_opaque, 0, value, 1);
}

static uint64_t
host_data_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI440fxHost *self = opaque;
  uint32_t a = self->address;

  if (!(a & CONFADD_ENABLE))
    return ~UINT64_C (0);
  return vm_pci_config_cycle_read (&self->bus, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) | (uint32_t) offset, size);
}

static void
host_data_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI440fxHost *self = opaque;
  uint32_t a = self->address;

  if (a & CONFADD_ENABLE)
    vm_pci_config_cycle_write (&self->bus, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) | (uint32_t) offset,
                               (uint32_t) value, size);
}

static const VmRegionOps host_address_ops = {
  .read = host_address_read, .write = host_address_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};
static const VmRegionOps host_data_ops = {
  .read = host_data_read, .write = host_data_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

static uint64_t
host_abort_read (void *opaque, uint64_t offset, unsigned size)
{
  return ~UINT64_C (0);
}

static void
host_abort_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const VmRegionOps host_abort_ops = {
  .read = host_abort_read, .write = host_abort_write,
  .valid = { .min = 1, .max = 8, .unaligned = true }, .impl = { .min = 1, .max = 8, .unaligned = true },
};

/* Of machine types before 2.11: just what the firmware has given to BARs above 4 GiB; START beyond END: nothing. */
static void
host_used_hole64 (VmI440fxHost *host, uint64_t *start, uint64_t *end)
{
  *start = UINT64_MAX;
  *end = 0;
  for (unsigned devfn = 0; devfn < VM_PCI_DEVFNS; devfn++)
    for (unsigned n = 0; host->bus.devices[devfn] && n < VM_PCI_ROM_BAR; n++)
      {
        const VmPciBar *bar = &host->bus.devices[devfn]->bar[n];
        if (!bar->region || bar->addr == UINT64_MAX || bar->addr < 4 * VM_GIB)
          continue;
        *start = MIN (*start, bar->addr);
        *end = MAX (*end, bar->addr + bar->size - 1);
      }
}

void
vm_i440fx_hole64 (VmI440fxHost *host, uint64_t *start, uint64_t *end)
{
  if (!host->x_pci_hole64_fix)
    {
      host_used_hole64 (host, start, end);
      return;
    }
  uint64_t ram = host->ram ? host->ram->size : 0;
  uint64_t above = ram > host->below_4g ? ram - host->below_4g : 0;

  *start = VM_ALIGN_UP (MAX (4 * VM_GIB + above, host->reserved_end), VM_GIB);
  *end = *start + MAX (host->pci_hole64_size, VM_GIB) - 1;
}

static void
host_reset (VmDevice *dev, VmResetKind kind)
{
  ((VmI440fxHost *) dev)->address = 0;
}

/* SMM sees the machine's memory with RAM where others see the graphics adapter. */
static void
host_make_smm_view (VmI440fxHost *self, VmEnv *env)
{
  vm_region_init (&self->smm_memory, env->memory, "smm memory", 0);
  vm_region_init_alias (&self->smm_system, "memory", env->system_memory, 0, 0);
  vm_region_add (&self->smm_memory, 0, &self->smm_system);
  if (self->ram && self->ram->size >= 0xc0000)
    {
      vm_region_init_alias (&self->smram, "smram-low", self->ram, 0xa0000, 0x20000);
      vm_region_set_enabled (&self->smram, false);
      vm_region_add_overlap (&self->smm_memory, 0xa0000, &self->smram, 1);
    }
  vm_address_space_init (&self->smm_as, env->memory, &self->smm_memory, "smm");
}

static bool
host_realize (VmDevice *dev, GError **error)
{
  VmI440fxHost *self = (VmI440fxHost *) dev;
  VmEnv *env = dev->env;

  if (!self->low_ram)
    self->low_ram = self->ram;
  vm_memory_begin (env->memory);
  vm_region_init (&self->pci_memory, env->memory, "pci", 0);
  vm_region_add_overlap (env->system_memory, 0, &self->pci_memory, -1);
  vm_region_init_io (&self->master_abort, env->memory, &host_abort_ops, self, "pci-abort", VM_MIB - 0xa0000);
  vm_region_add_overlap (&self->pci_memory, 0xa0000, &self->master_abort, -1);
  vm_region_init_io (&self->config_address, env->memory, &host_address_ops, self, "pci-conf-idx", 4);
  vm_region_init_io (&self->config_data, env->memory, &host_data_ops, self, "pci-conf-data", 4);
  vm_region_add (env->system_io, 0xcf8, &self->config_address);
  vm_region_add (env->system_io, 0xcfc, &self->config_data);
  host_make_smm_view (self, env);
  vm_memory_commit (env->memory);
  vm_pci_bus_init_root (&self->bus, dev, "pci.0", &self->pci_memory, env->system_io, env->system_memory);
  return true;
}

static void
host_unrealize (VmDevice *dev)
{
  VmI440fxHost *self = (VmI440fxHost *) dev;

  vm_address_space_destroy (&self->smm_as);
  if (self->smram.memory)
    vm_region_destroy (&self->smram);
  vm_region_destroy (&self->smm_system);
  vm_region_destroy (&self->smm_memory);
  vm_region_destroy (&self->config_data);
  vm_region_destroy (&self->config_address);
  vm_region_destroy (&self->master_abort);
  vm_region_destroy (&self->pci_memory);
}

static const VmProp host_props[] = {
  VM_PROP_BYTES ("pci-hole64-size", VmI440fxHost, pci_hole64_size, 2 * VM_GIB, "room for 64-bit BARs above memory"),
  VM_PROP ("short_root_bus", VmI440fxHost, short_root_bus, 0, "number of the root bus in firmware paths is left out"),
  VM_PROP ("x-pci-hole64-fix", VmI440fxHost, x_pci_hole64_fix, true,
           "off: the hole above memory is what BARs use now"),
  VM_PROP ("x-config-reg-migration-enabled", VmI440fxHost, x_config_reg_migration_enabled, true,
           "CONFADD is in saved states"),
  VM_PROP ("bypass-iommu", VmI440fxHost, bypass_iommu, false, "an IOMMU, when there is one, leaves this bus alone"),
  { 0 }
};

static const VmField host_state[] = {
  VM_FIELD (VmI440fxHost, address),
  VM_FIELD_EMBED (VmI440fxHost, bus, vm_pci_bus_state),
  { 0 }
};

static const VmDeviceClass host_class = {
  .realize = host_realize, .unrealize = host_unrealize, .reset = host_reset,
  .category = "Controller/Bridge/Hub",
};

const VmType vm_i440fx_host_type = {
  .name = "i440FX-pcihost", .parent = &vm_device_type, .size = sizeof (VmI440fxHost),
  .help = "440FX host bridge", .props = host_props, .state = host_state, .klass = &host_class,
};
