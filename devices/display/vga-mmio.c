/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of VGA cards in memory, after the published "standard VGA" interface. */
#include "devices/display/vga-mmio.h"

#include "devices/display/edid.h"

enum
{
  MMIO_SIZE = 4096,
  MMIO_PORTS = 0x400,
  MMIO_PORTS_SIZE = 0x20,
  MMIO_VBE = 0x500,
  MMIO_VBE_SIZE = 2 * VBE_REGS,
  MMIO_EXTENDED = 0x600,
  MMIO_EXTENDED_SIZE = 8
};
#define ORDER_LITTLE 0x1e1e1e1eu
#define ORDER_BIG 0xbebebebeu

void
vga_mmio_make_edid (VgaMmio *mmio, const VmUiInfo *ui)
{
  VmEdidInfo info = {
    .width = ui && ui->width ? ui->width
             : mmio->xres    ? mmio->xres
                             : 1280,
    .height = ui && ui->height ? ui->height
              : mmio->yres     ? mmio->yres
                               : 800,
    .max_width = mmio->xmax,
    .max_height = mmio->ymax,
    .width_mm = ui ? ui->width_mm : 0,
    .height_mm = ui ? ui->height_mm : 0,
    .refresh_mhz = mmio->refresh_rate ? mmio->refresh_rate
                   : ui               ? ui->refresh_mhz
                                      : 0,
  };

  /* What does not fit into VRAM at 32 bits must not be offered. */
  if ((uint64_t) info.width * info.height * 4 > mmio->vga.vram_size)
    {
      info.width = 1280;
      info.height = 800;
    }
  vm_edid_make (&info, mmio->edid_data, sizeof mmio->edid_data);
}

static void
mmio_ui_info (void *opaque, const VmUiInfo *info)
{
  VgaCore *vga = opaque;

  if (info->width >= 64 && info->height >= 64)
    vga_mmio_make_edid (VM_CONTAINER_OF (vga, VgaMmio, vga), info);
}

static bool
in_ports (const VgaMmio *mmio, uint64_t offset)
{
  return !mmio->no_ports && offset >= MMIO_PORTS && offset < MMIO_PORTS + MMIO_PORTS_SIZE;
}

static bool
in_vbe (uint64_t offset)
{
  return offset >= MMIO_VBE && offset < MMIO_VBE + MMIO_VBE_SIZE && !(offset & 1);
}

static uint64_t
mmio_read (void *opaque, uint64_t offset, unsigned size)
{
  VgaMmio *mmio = opaque;
  VgaCore *vga = &mmio->vga;

  if (offset < VGA_EDID_SIZE)
    return mmio->edid ? vm_load_le (mmio->edid_data + offset, MIN (size, VGA_EDID_SIZE - offset)) : 0;
  if (in_ports (mmio, offset))
    {
      uint64_t value = 0;

      for (unsigned i = 0; i < size && in_ports (mmio, offset + i); i++)
        value |= (uint64_t) vga_port_read (vga, 0x3c0 + (unsigned) (offset + i - MMIO_PORTS)) << 8 * i;
      return value;
    }
  if (in_vbe (offset))
    return vga_vbe_read (vga, (unsigned) (offset - MMIO_VBE) / 2);
  if (mmio->extended_regs && offset >= MMIO_EXTENDED && offset < MMIO_EXTENDED + MMIO_EXTENDED_SIZE && size == 4)
    return offset == MMIO_EXTENDED ? MMIO_EXTENDED_SIZE : vga->big_endian ? ORDER_BIG : ORDER_LITTLE;
  return 0;
}

static void
mmio_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VgaMmio *mmio = opaque;
  VgaCore *vga = &mmio->vga;

  if (in_ports (mmio, offset))
    for (unsigned i = 0; i < size && in_ports (mmio, offset + i); i++)
      vga_port_write (vga, 0x3c0 + (unsigned) (offset + i - MMIO_PORTS), (uint8_t) (value >> 8 * i));
  else if (in_vbe (offset) && size >= 2)
    vga_vbe_write (vga, (unsigned) (offset - MMIO_VBE) / 2, (uint16_t) value);
  else if (mmio->extended_regs && offset == MMIO_EXTENDED + 4 && size == 4
           && (value == ORDER_BIG || value == ORDER_LITTLE))
    vga->big_endian = value == ORDER_BIG;
}

static const VmRegionOps mmio_ops = {
  .read = mmio_read,
  .write = mmio_write,
  .valid = { .min = 1, .max = 4 },
  .impl = { .min = 1, .max = 4 },
};

void
vga_mmio_init (VgaMmio *mmio, VmMemory *memory, const char *name)
{
  vm_region_init_io (&mmio->region, memory, &mmio_ops, mmio, name, MMIO_SIZE);
  mmio->console_ops = vga_console_ops;
  if (mmio->edid)
    mmio->console_ops.ui_info = mmio_ui_info;
}

const VmProp vga_mmio_edid_props[] = {
  VM_PROP ("edid", VgaMmio, edid, true, "describe a monitor to the guest"),
  VM_PROP ("xres", VgaMmio, xres, 0, "preferred width"),
  VM_PROP ("yres", VgaMmio, yres, 0, "preferred height"),
  VM_PROP ("xmax", VgaMmio, xmax, 0, "largest width offered"),
  VM_PROP ("ymax", VgaMmio, ymax, 0, "largest height offered"),
  VM_PROP ("refresh_rate", VgaMmio, refresh_rate, 0, "in millihertz"),
  { 0 },
};
