/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Function 0 of the 440FX (82441FX data sheet 290549, section 3.2): the attributes of the memory between
 * 640 KiB and 1 MiB, and SMRAM. */
#include "devices/pci/i440fx.h"

enum { PAM0 = 0x59, DRB0 = 0x60, SMRAM = 0x72 };
enum { PAM_READ = 1, PAM_WRITE = 2 };
enum { SMRAM_ENABLE = 1 << 3, SMRAM_LOCK = 1 << 4, SMRAM_CLOSED = 1 << 5, SMRAM_OPEN = 1 << 6 };
enum { SMRAM_BASE_SEGMENT = 2 };

static uint32_t
pam_size (const VmI440fxPam *pam)
{
  return pam->start == 0xf0000 ? 0x10000 : 0x4000;
}

/* --- reading ROM while writing RAM ----------------------------------------------------------------- */

static uint64_t
pam_shadow_read (void *opaque, uint64_t offset, unsigned size)
{
  return ~UINT64_C (0); /* it always is in ROM mode */
}

static void
pam_shadow_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI440fxPam *pam = opaque;
  VmRegion *ram = pam->owner->host->low_ram;
  uint64_t at = pam->start + offset;

  vm_store_le ((uint8_t *) vm_region_ram_ptr (ram) + at, value, size);
  vm_ram_written (ram->memory, ram->ram, ram->ram_offset + at, size);
}

static const VmRegionOps pam_shadow_ops = {
  .read = pam_shadow_read, .write = pam_shadow_write,
  .valid = { .min = 1, .max = 8, .unaligned = true }, .impl = { .min = 1, .max = 8, .unaligned = true },
};

/* The copy of what the bus shows makes instructions run from there, which is where firmware runs when it
 * copies itself. It is taken when the mode is set. */
static bool
pam_make_shadow (VmI440fxPam *pam)
{
  VmI440fx *self = pam->owner;
  VmEnv *env = self->parent.parent.env;

  if (!pam->has_shadow)
    {
      g_autoptr (GError) error = NULL;

      /* Out of host memory: the segment then shows the ROM and drops writes. */
      if (!vm_region_init_rom_device (&pam->shadow, env->memory, &pam_shadow_ops, pam, "pam-shadow",
                                      pam_size (pam), &error))
        return false;
      pam->has_shadow = true;
      vm_region_set_romd (&pam->shadow, true);
      vm_region_set_enabled (&pam->shadow, false);
      vm_region_add_overlap (env->system_memory, pam->start, &pam->shadow, 1);
    }
  vm_as_read (&self->pci_as, pam->start, VM_MEM_ATTRS_NONE, vm_region_ram_ptr (&pam->shadow), pam_size (pam));
  vm_ram_written (env->memory, pam->shadow.ram, pam->shadow.ram_offset, pam_size (pam));
  return true;
}

static void
pam_update (VmI440fxPam *pam, unsigned mode)
{
  bool shadow = mode == PAM_WRITE, has_ram = pam->read_only.memory != NULL;

  if (shadow && pam->has_shadow && pam->shadow.enabled)
    return;
  if (shadow)
    shadow = has_ram && pam_make_shadow (pam);
  if (pam->has_shadow)
    vm_region_set_enabled (&pam->shadow, shadow);
  if (has_ram)
    vm_region_set_enabled (&pam->read_only, mode == PAM_READ);
  vm_region_set_enabled (&pam->to_pci, !(mode & PAM_READ) && !shadow);
}

/* --- registers --------------------------------------------------------------------------------------- */

static void
i440fx_update_memory (VmI440fx *self)
{
  VmMemory *memory = self->parent.parent.env->memory;
  const uint8_t *c = self->parent.config;
  uint8_t smram = c[SMRAM];
  bool enabled = (smram & SMRAM_ENABLE) != 0, open = enabled && (smram & SMRAM_OPEN);

  vm_memory_begin (memory);
  for (unsigned i = 0; i < VM_I440FX_PAM_REGIONS; i++)
    {
      /* 0x59: F0000 in its upper nibble; then two 16 KiB segments a register from C0000 on. */
      unsigned nibble = i == 0 ? 1 : i + 1;

      pam_update (&self->pam[i], c[PAM0 + nibble / 2] >> (nibble & 1 ? 4 : 0) & 3);
    }
  vm_region_set_enabled (&self->smram_window, !open);
  if (self->host->smram.memory)
    vm_region_set_enabled (&self->host->smram, enabled);
  vm_memory_commit (memory);
}

/* Once locked, the register stays as it is (but for D_CLS) until reset. */
static uint8_t
i440fx_smram_filter (uint8_t old, uint8_t value)
{
  if (old & SMRAM_LOCK)
    return (uint8_t) ((old & ~SMRAM_CLOSED) | (value & SMRAM_CLOSED));
  value = (uint8_t) ((value & 0x78) | SMRAM_BASE_SEGMENT);
  return value & SMRAM_LOCK ? (uint8_t) (value & ~SMRAM_OPEN) : value;
}

static void
i440fx_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  VmI440fx *self = (VmI440fx *) dev;
  uint8_t smram = dev->config[SMRAM];

  vm_pci_default_config_write (dev, addr, value, size);
  dev->config[SMRAM] = i440fx_smram_filter (smram, dev->config[SMRAM]);
  if (vm_pci_range_touched (addr, size, PAM0, 7) || vm_pci_range_touched (addr, size, SMRAM, 1))
    i440fx_update_memory (self);
}

/* DRAM row boundaries in units of 8 MiB: software that sizes memory by them sees what fits into a byte. */
static void
i440fx_set_rows (VmI440fx *self)
{
  uint64_t units = self->host->ram ? self->host->ram->size / (8 * VM_MIB) : 0;

  for (unsigned i = 0; i < 8; i++)
    self->parent.config[DRB0 + i] = (uint8_t) MIN (units, 0xff);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void
i440fx_reset (VmDevice *dev, VmResetKind kind)
{
  VmI440fx *self = (VmI440fx *) dev;
  uint8_t *c = self->parent.config;

  /* What holds DRAM through suspend holds the map of it too: the firmware finds its resume vector in shadow RAM. */
  if (kind == VM_RESET_WAKEUP)
    return;
  memset (c + 0x50, 0, 0x100 - 0x50);
  vm_store_le16 (c + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  vm_store_le16 (c + PCI_STATUS, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
  c[0x57] = 0x01;
  c[SMRAM] = SMRAM_BASE_SEGMENT;
  i440fx_set_rows (self);
  vm_pci_update_mappings (&self->parent);
  i440fx_update_memory (self);
}

static void
i440fx_make_pam (VmI440fx *self, unsigned i)
{
  VmI440fxPam *pam = &self->pam[i];
  VmEnv *env = self->parent.parent.env;
  VmRegion *ram = self->host->ram;

  pam->owner = self;
  pam->start = i == 0 ? 0xf0000 : 0xc0000 + (i - 1) * 0x4000;
  vm_region_init_alias (&pam->to_pci, "pam-pci", &self->host->pci_memory, pam->start, pam_size (pam));
  vm_region_add_overlap (env->system_memory, pam->start, &pam->to_pci, 1);
  if (!ram || ram->size < pam->start + pam_size (pam))
    return;
  vm_region_init_alias (&pam->read_only, "pam-rom", ram, pam->start, pam_size (pam));
  vm_region_set_readonly (&pam->read_only, true);
  vm_region_set_enabled (&pam->read_only, false);
  vm_region_add_overlap (env->system_memory, pam->start, &pam->read_only, 1);
}

static bool
i440fx_realize (VmDevice *dev, GError **error)
{
  VmI440fx *self = (VmI440fx *) dev;
  VmEnv *env = dev->env;

  self->host = (VmI440fxHost *) dev->bus->owner;
  if (!vm_object_is_a (&dev->bus->owner->parent, &vm_i440fx_host_type))
    return vm_fail (error, "i440FX needs the bus of an i440FX-pcihost");
  vm_memory_begin (env->memory);
  vm_address_space_init (&self->pci_as, env->memory, &self->host->pci_memory, "pci");
  for (unsigned i = 0; i < VM_I440FX_PAM_REGIONS; i++)
    i440fx_make_pam (self, i);
  vm_region_init_alias (&self->smram_window, "smram-region", &self->host->pci_memory, 0xa0000, 0x20000);
  vm_region_add_overlap (env->system_memory, 0xa0000, &self->smram_window, 1);
  vm_memory_commit (env->memory);
  return true;
}

static void
i440fx_unrealize (VmDevice *dev)
{
  VmI440fx *self = (VmI440fx *) dev;

  for (unsigned i = 0; i < VM_I440FX_PAM_REGIONS; i++)
    {
      VmI440fxPam *pam = &self->pam[i];

      vm_region_destroy (&pam->to_pci);
      if (pam->read_only.memory)
        vm_region_destroy (&pam->read_only);
      if (pam->has_shadow)
        vm_region_destroy (&pam->shadow);
      pam->has_shadow = false;
    }
  vm_region_destroy (&self->smram_window);
  vm_address_space_destroy (&self->pci_as);
}

static bool
i440fx_post_load (VmDevice *dev, GError **error)
{
  i440fx_update_memory ((VmI440fx *) dev);
  return true;
}

static const VmPciClass i440fx_class = {
  .parent = {
    .realize = i440fx_realize, .unrealize = i440fx_unrealize, .reset = i440fx_reset,
    .post_load = i440fx_post_load, .category = "Controller/Bridge/Hub",
  },
  .vendor = PCI_VENDOR_INTEL, .device = 0x1237, .revision = 0x02, .class_id = PCI_CLASS_BRIDGE_HOST,
  .config_write = i440fx_config_write,
};

const VmType vm_i440fx_type = {
  .name = "i440FX", .parent = &vm_pci_device_type, .size = sizeof (VmI440fx),
  .help = "Host bridge", .klass = &i440fx_class,
};
