/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The standard VGA on the ISA bus; the frame buffer of VBE modes lies at E0000000h. */
#include "devices/display/vga.h"
#include "devices/isa/isa.h"

#define LFB_ADDRESS 0xe0000000u

typedef struct IsaVga {
  VmIsaDevice parent;
  VgaCore     vga;
} IsaVga;

static bool
isa_vga_realize (VmDevice *dev, GError **error)
{
  IsaVga *self = (IsaVga *) dev;
  VmIsaBus *bus = vm_isa_bus (dev);

  if (!vga_core_realize (&self->vga, dev, bus->memory, bus->io, &vga_console_ops, error))
    return false;
  vm_region_add_overlap (dev->env->system_memory, LFB_ADDRESS, &self->vga.vram, 1);
  return true;
}

static void
isa_vga_unrealize (VmDevice *dev)
{
  vga_core_unrealize (&((IsaVga *) dev)->vga);
}

static void
isa_vga_reset (VmDevice *dev, VmResetKind kind)
{
  vga_core_reset (&((IsaVga *) dev)->vga);
}

static bool
isa_vga_post_load (VmDevice *dev, GError **error)
{
  return vga_core_loaded (&((IsaVga *) dev)->vga, error);
}

static const VmProp isa_vga_props[] = {
  VM_PROP ("vgamem_mb", IsaVga, vga.vgamem_mb, 8, "video memory in MiB"),
  { 0 },
};

static const VmField isa_vga_state[] = {
  VM_FIELD_EMBED (IsaVga, vga, vga_core_state),
  { 0 },
};

static const VmDeviceClass isa_vga_class = {
  .realize = isa_vga_realize,
  .unrealize = isa_vga_unrealize,
  .reset = isa_vga_reset,
  .post_load = isa_vga_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Display",
  .user_creatable = true,
};

const VmType vm_isa_vga_type = {
  .name = "isa-vga",
  .parent = &vm_isa_device_type,
  .size = sizeof (IsaVga),
  .help = "Standard VGA on ISA",
  .props = isa_vga_props,
  .state = isa_vga_state,
  .klass = &isa_vga_class,
};
