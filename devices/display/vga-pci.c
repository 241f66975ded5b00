/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cards with the Bochs VBE interface on PCI: the standard VGA, the same without legacy addresses, and one without a
 * VGA. Frame buffer in BAR 0, registers and EDID in BAR 2. */
#include "devices/display/vga-mmio.h"
#include "devices/pci/pci.h"

typedef struct VgaPci
{
  VmPciDevice parent;
  /* properties */
  bool mmio_bar, global_vmstate;
  uint64_t vgamem; /* bochs-display says it in bytes */
  VgaMmio mmio;
} VgaPci;

/* MEMORY and IO NULL: not at legacy addresses. */
static bool
card_realize (VgaPci *self, VmRegion *memory, VmRegion *io, GError **error)
{
  VgaMmio *mmio = &self->mmio;
  VmDevice *dev = &self->parent.parent;

  vga_mmio_init (mmio, dev->env->memory, "vga.mmio");
  if (!vga_core_realize (&mmio->vga, dev, memory, io, &mmio->console_ops, error))
    {
      vm_region_destroy (&mmio->region);
      return false;
    }
  vga_mmio_make_edid (mmio, NULL);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_PREFETCH, &mmio->vga.vram);
  if (self->mmio_bar)
    vm_pci_add_bar (&self->parent, 2, 0, &mmio->region);
  return true;
}

static bool
vga_pci_realize (VmDevice *dev, GError **error)
{
  VgaPci *self = (VgaPci *) dev;
  VmPciBus *bus = vm_pci_bus (&self->parent);

  return card_realize (self, bus->memory, bus->io, error);
}

static bool
secondary_vga_realize (VmDevice *dev, GError **error)
{
  VgaPci *self = (VgaPci *) dev;

  self->mmio_bar = true;
  return card_realize (self, NULL, NULL, error);
}

static bool
bochs_display_realize (VmDevice *dev, GError **error)
{
  VgaPci *self = (VgaPci *) dev;

  if (self->vgamem < 4 * VM_MIB || self->vgamem > 256 * VM_MIB)
    return vm_fail (error, "vgamem must be from 4M to 256M");
  self->mmio_bar = true;
  self->mmio.extended_regs = true;
  self->mmio.no_ports = true;
  self->mmio.vga.vgamem_mb = 4;
  while (self->mmio.vga.vgamem_mb * VM_MIB < self->vgamem)
    self->mmio.vga.vgamem_mb *= 2;
  return card_realize (self, NULL, NULL, error);
}

static void
card_unrealize (VmDevice *dev)
{
  VgaPci *self = (VgaPci *) dev;

  vm_region_destroy (&self->mmio.region);
  vga_core_unrealize (&self->mmio.vga);
}

static void
card_reset (VmDevice *dev, VmResetKind kind)
{
  vga_core_reset (&((VgaPci *) dev)->mmio.vga);
}

static bool
card_post_load (VmDevice *dev, GError **error)
{
  return vga_core_loaded (&((VgaPci *) dev)->mmio.vga, error);
}

#define VGA_COMMON_PROPS                                                                                               \
  VM_PROP ("vgamem_mb", VgaPci, mmio.vga.vgamem_mb, 16, "video memory in MiB"),                                        \
      VM_PROP ("qemu-extended-regs", VgaPci, mmio.extended_regs, true, "frame buffer byte order register"),            \
      VGA_BIG_ENDIAN_PROP (VgaPci, mmio.vga), VM_PROP_EMBED (VgaPci, mmio, vga_mmio_edid_props)

static const VmProp vga_pci_props[] = {
  VGA_COMMON_PROPS,
  VM_PROP ("mmio", VgaPci, mmio_bar, true, "registers in BAR 2 too"),
  VM_PROP ("global-vmstate", VgaPci, global_vmstate, false, "accepted for old machine types"),
  { 0 },
};

static const VmProp secondary_vga_props[] = {
  VGA_COMMON_PROPS,
  { 0 },
};

static const VmProp bochs_display_props[] = {
  VM_PROP_BYTES ("vgamem", VgaPci, vgamem, 16 * VM_MIB, "video memory"),
  VGA_BIG_ENDIAN_PROP (VgaPci, mmio.vga),
  VM_PROP_EMBED (VgaPci, mmio, vga_mmio_edid_props),
  { 0 },
};

static const VmField vga_pci_state[] = {
  { .name = "vga",
    .kind = VM_FIELD_STRUCT,
    .offset = offsetof (VgaPci, mmio.vga),
    .size = sizeof (VgaCore),
    .count = 1,
    .fields = vga_core_state },
  { 0 },
};

#define VGA_PCI_CLASS(realize_func, class, rom, plug)                                                                  \
  {                                                                                                                    \
    .parent = { .realize = (realize_func),                                                                             \
                .unrealize = card_unrealize,                                                                           \
                .reset = card_reset,                                                                                   \
                .post_load = card_post_load,                                                                           \
                .category = "Display",                                                                                 \
                .user_creatable = true,                                                                                \
                .hotpluggable = (plug) },                                                                              \
    .vendor = 0x1234, .device = 0x1111, .class_id = (class), .revision = 2, .romfile = (rom)                           \
  }

static const VmPciClass vga_pci_class = VGA_PCI_CLASS (vga_pci_realize, 0x0300, "vgabios-stdvga.bin", false);
static const VmPciClass secondary_vga_class = VGA_PCI_CLASS (secondary_vga_realize, 0x0380, NULL, true);
static const VmPciClass bochs_display_class
    = VGA_PCI_CLASS (bochs_display_realize, 0x0380, "vgabios-bochs-display.bin", true);

const VmType vm_vga_pci_type = {
  .name = "VGA",
  .parent = &vm_pci_device_type,
  .size = sizeof (VgaPci),
  .help = "Standard VGA with Bochs VBE extensions",
  .props = vga_pci_props,
  .state = vga_pci_state,
  .klass = &vga_pci_class,
};
const VmType vm_secondary_vga_type = {
  .name = "secondary-vga",
  .parent = &vm_pci_device_type,
  .size = sizeof (VgaPci),
  .help = "Standard VGA without legacy addresses, beside another card",
  .props = secondary_vga_props,
  .state = vga_pci_state,
  .klass = &secondary_vga_class,
};
const VmType vm_bochs_display_type = {
  .name = "bochs-display",
  .parent = &vm_pci_device_type,
  .size = sizeof (VgaPci),
  .help = "Frame buffer with Bochs VBE registers",
  .props = bochs_display_props,
  .state = vga_pci_state,
  .klass = &bochs_display_class,
};
