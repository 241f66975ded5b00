/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The standard VGA card on PCI: frame buffer in BAR 0, registers and EDID in BAR 2 (the published "standard VGA"
 * interface of stdvga.txt: EDID at 0, VGA ports at 400h, VBE registers at 500h, extended registers at 600h). */
#include "devices/display/edid.h"
#include "devices/display/vga.h"
#include "devices/pci/pci.h"

enum { MMIO_SIZE = 4096, MMIO_EDID = 0, EDID_SIZE = 256, MMIO_PORTS = 0x400, MMIO_PORTS_SIZE = 0x20, MMIO_VBE = 0x500,
       MMIO_VBE_SIZE = 2 * VBE_REGS, MMIO_EXTENDED = 0x600, MMIO_EXTENDED_SIZE = 8 };
#define ORDER_LITTLE 0x1e1e1e1eu
#define ORDER_BIG    0xbebebebeu

typedef struct VgaPci {
  VmPciDevice parent;
  /* properties */
  bool     mmio, extended_regs, edid, global_vmstate;
  uint32_t xres, yres, xmax, ymax, refresh_rate;
  /* wiring */
  VmRegion mmio_region;
  VmConsoleOps console_ops;
  uint8_t  edid_data[EDID_SIZE];
  VgaCore  vga;
} VgaPci;

static void
vga_pci_make_edid (VgaPci *self, const VmUiInfo *ui)
{
  VmEdidInfo info = {
    .width = ui && ui->width ? ui->width : self->xres ? self->xres : 1280,
    .height = ui && ui->height ? ui->height : self->yres ? self->yres : 800,
    .max_width = self->xmax,
    .max_height = self->ymax,
    .width_mm = ui ? ui->width_mm : 0,
    .height_mm = ui ? ui->height_mm : 0,
    .refresh_mhz = self->refresh_rate ? self->refresh_rate : ui ? ui->refresh_mhz : 0,
  };

  /* What does not fit into VRAM at 32 bits must not be offered. */
  if ((uint64_t) info.width * info.height * 4 > self->vga.vram_size)
    {
      info.width = 1280;
      info.height = 800;
    }
  vm_edid_make (&info, self->edid_data, sizeof self->edid_data);
}

static void
vga_pci_ui_info (void *opaque, const VmUiInfo *info)
{
  VgaCore *vga = opaque;

  if (info->width >= 64 && info->height >= 64)
    vga_pci_make_edid (VM_CONTAINER_OF (vga, VgaPci, vga), info);
}

static uint64_t
vga_pci_mmio_read (void *opaque, uint64_t offset, unsigned size)
{
  VgaPci *self = opaque;
  VgaCore *vga = &self->vga;

  if (offset < EDID_SIZE)
    return self->edid ? vm_load_le (self->edid_data + offset, MIN (size, EDID_SIZE - offset)) : 0;
  if (offset >= MMIO_PORTS && offset < MMIO_PORTS + MMIO_PORTS_SIZE)
    {
      uint64_t value = 0;

      for (unsigned i = 0; i < size && offset + i < MMIO_PORTS + MMIO_PORTS_SIZE; i++)
        value |= (uint64_t) vga_port_read (vga, 0x3c0 + (offset + i - MMIO_PORTS)) << 8 * i;
      return value;
    }
  if (offset >= MMIO_VBE && offset < MMIO_VBE + MMIO_VBE_SIZE && !(offset & 1))
    return vga_vbe_read (vga, (offset - MMIO_VBE) / 2);
  if (self->extended_regs && offset >= MMIO_EXTENDED && offset < MMIO_EXTENDED + MMIO_EXTENDED_SIZE && size == 4)
    return offset == MMIO_EXTENDED ? MMIO_EXTENDED_SIZE : vga->big_endian ? ORDER_BIG : ORDER_LITTLE;
  return 0;
}

static void
vga_pci_mmio_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VgaPci *self = opaque;
  VgaCore *vga = &self->vga;

  if (offset >= MMIO_PORTS && offset < MMIO_PORTS + MMIO_PORTS_SIZE)
    for (unsigned i = 0; i < size && offset + i < MMIO_PORTS + MMIO_PORTS_SIZE; i++)
      vga_port_write (vga, 0x3c0 + (offset + i - MMIO_PORTS), value >> 8 * i);
  else if (offset >= MMIO_VBE && offset < MMIO_VBE + MMIO_VBE_SIZE && !(offset & 1) && size >= 2)
    vga_vbe_write (vga, (offset - MMIO_VBE) / 2, value);
  else if (self->extended_regs && offset == MMIO_EXTENDED + 4 && size == 4)
    {
      if (value == ORDER_BIG || value == ORDER_LITTLE)
        vga->big_endian = value == ORDER_BIG;
    }
}

static const VmRegionOps vga_pci_mmio_ops = {
  .read = vga_pci_mmio_read,
  .write = vga_pci_mmio_write,
  .valid = { .min = 1, .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

static bool
vga_pci_realize (VmDevice *dev, GError **error)
{
  VgaPci *self = (VgaPci *) dev;
  VmPciBus *bus = vm_pci_bus (&self->parent);

  self->console_ops = vga_console_ops;
  if (self->edid)
    self->console_ops.ui_info = vga_pci_ui_info;
  if (!vga_core_realize (&self->vga, dev, bus->memory, bus->io, &self->console_ops, error))
    return false;
  vga_pci_make_edid (self, NULL);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_PREFETCH, &self->vga.vram);
  vm_region_init_io (&self->mmio_region, dev->env->memory, &vga_pci_mmio_ops, self, "vga.mmio", MMIO_SIZE);
  if (self->mmio)
    vm_pci_add_bar (&self->parent, 2, 0, &self->mmio_region);
  return true;
}

static void
vga_pci_unrealize (VmDevice *dev)
{
  VgaPci *self = (VgaPci *) dev;

  vm_region_destroy (&self->mmio_region);
  vga_core_unrealize (&self->vga);
}

static void
vga_pci_reset (VmDevice *dev, VmResetKind kind)
{
  vga_core_reset (&((VgaPci *) dev)->vga);
}

static bool
vga_pci_post_load (VmDevice *dev, GError **error)
{
  VgaPci *self = (VgaPci *) dev;

  vga_core_update_window (&self->vga);
  self->vga.redraw_all = self->vga.palette_dirty = self->vga.font_dirty = true;
  return true;
}

static const VmProp vga_pci_props[] = {
  VM_PROP ("vgamem_mb", VgaPci, vga.vgamem_mb, 16, "video memory in MiB"),
  VM_PROP ("mmio", VgaPci, mmio, true, "registers in BAR 2 too"),
  VM_PROP ("qemu-extended-regs", VgaPci, extended_regs, true, "frame buffer byte order register"),
  VM_PROP ("edid", VgaPci, edid, true, "describe a monitor to the guest"),
  VM_PROP ("xres", VgaPci, xres, 0, "preferred width"),
  VM_PROP ("yres", VgaPci, yres, 0, "preferred height"),
  VM_PROP ("xmax", VgaPci, xmax, 0, "largest width offered"),
  VM_PROP ("ymax", VgaPci, ymax, 0, "largest height offered"),
  VM_PROP ("refresh_rate", VgaPci, refresh_rate, 0, "in millihertz"),
  VM_PROP ("global-vmstate", VgaPci, global_vmstate, false, "accepted for old machine types"),
  { 0 },
};

static const VmField vga_pci_state[] = {
  VM_FIELD_EMBED (VgaPci, vga, vga_core_state),
  { 0 },
};

static const VmPciClass vga_pci_class = {
  .parent = {
    .realize = vga_pci_realize,
    .unrealize = vga_pci_unrealize,
    .reset = vga_pci_reset,
    .post_load = vga_pci_post_load,
    .category = "Display",
    .user_creatable = true,
  },
  .vendor = 0x1234,
  .device = 0x1111,
  .class_id = 0x0300,
  .revision = 2,
  .romfile = "vgabios-stdvga.bin",
};

const VmType vm_vga_pci_type = {
  .name = "VGA",
  .parent = &vm_pci_device_type,
  .size = sizeof (VgaPci),
  .help = "Standard VGA with Bochs VBE extensions",
  .props = vga_pci_props,
  .state = vga_pci_state,
  .klass = &vga_pci_class,
};
