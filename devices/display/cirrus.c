/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cards with the Cirrus Logic CL-GD5446 on PCI and ISA: memory, hardware cursor, buses. */
#include "devices/display/cirrus.h"

#include "devices/isa/isa.h"
#include "devices/pci/pci.h"

enum
{
  LINEAR_MMIO_SIZE = 0x100,
  MMIO_SIZE = 0x1000,
  MMIO_BLT = 0x100,
  MMIO_PORTS_SIZE = 0x20,
  CURSOR_AREA = 16 * 1024
};
#define LINEAR_BAR_SIZE (32 * VM_MIB)
#define BLT_DATA_OFFSET (16 * VM_MIB)
#define BLT_DATA_SIZE (4 * VM_MIB)

/* --- VRAM as the processor sees it --------------------------------------------------------------------------- */

bool
cirrus_plain_memory (const Cirrus *c)
{
  uint8_t ext = c->gr[GR_EXTENSIONS], mode = c->gr[GR_MODE_5] & 7;

  return !c->feeding && !(ext & GRB_BY8) && (ext & (GRB_WRITE_MODES | GRB_WRITE16)) != (GRB_WRITE_MODES | GRB_WRITE16)
         && !((ext & GRB_WRITE_MODES) && (mode == 4 || mode == 5));
}

/* An address may count pixels of eight or sixteen bytes. */
static uint32_t
scaled (const Cirrus *c, uint32_t at)
{
  uint8_t ext = c->gr[GR_EXTENSIONS];

  if ((ext & (GRB_WRITE_MODES | GRB_WRITE16)) == (GRB_WRITE_MODES | GRB_WRITE16))
    at <<= 4;
  else if (ext & GRB_BY8)
    at <<= 3;
  return at & (c->vga.vram_size - 1);
}

uint8_t
cirrus_linear_read (Cirrus *c, uint32_t at)
{
  const uint8_t *vram = c->vga.vram.ram->host;

  return vram[scaled (c, at)];
}

/* Write modes 4 and 5: each bit is a pixel in the foreground colour, or in the background colour, or left alone. */
static void
write_expanded (Cirrus *c, uint32_t at, uint8_t bits)
{
  uint8_t *vram = c->vga.vram.ram->host;
  bool wide = c->gr[GR_EXTENSIONS] & GRB_WRITE16, opaque = (c->gr[GR_MODE_5] & 7) == 5;
  uint32_t mask = c->vga.vram_size - 1;

  for (unsigned i = 0; i < 8; i++)
    {
      bool on = bits >> (7 - i) & 1;

      if (!on && !opaque)
        continue;
      if (wide)
        {
          vram[(at + 2 * i) & mask] = c->gr[on ? GR_FG0 : GR_BG0];
          vram[(at + 2 * i + 1) & mask] = c->gr[on ? GR_FG1 : GR_BG1];
        }
      else
        vram[(at + i) & mask] = c->gr[on ? GR_FG0 : GR_BG0];
    }
  vga_mark_written (&c->vga, at, 16);
  if (at + 16 > c->vga.vram_size)
    vga_mark_written (&c->vga, 0, 16);
}

void
cirrus_linear_write (Cirrus *c, uint32_t at, uint8_t value)
{
  uint8_t *vram = c->vga.vram.ram->host;
  unsigned mode = c->gr[GR_MODE_5] & 7;

  at = scaled (c, at);
  if ((c->gr[GR_EXTENSIONS] & GRB_WRITE_MODES) && (mode == 4 || mode == 5))
    {
      write_expanded (c, at, value);
      return;
    }
  vram[at] = value;
  vga_mark_written (&c->vga, at, 1);
}

/* The last bytes of the linear frame buffer may be registers. */
static bool
in_linear_mmio (const Cirrus *c, uint64_t offset)
{
  return (c->sr[SR_CONFIG] & (SR17_MMIO | SR17_MMIO_LINEAR)) == (SR17_MMIO | SR17_MMIO_LINEAR)
         && offset >= c->vga.vram_size - LINEAR_MMIO_SIZE;
}

static uint64_t
linear_read (void *opaque, uint64_t offset, unsigned size)
{
  Cirrus *c = opaque;

  if (in_linear_mmio (c, offset))
    return cirrus_blt_reg_read (c, (unsigned) offset & (LINEAR_MMIO_SIZE - 1));
  return cirrus_linear_read (c, (uint32_t) offset);
}

static void
linear_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Cirrus *c = opaque;

  if (in_linear_mmio (c, offset))
    cirrus_blt_reg_write (c, (unsigned) offset & (LINEAR_MMIO_SIZE - 1), (uint8_t) value);
  else if (c->feeding)
    cirrus_blt_feed (c, (uint8_t) value);
  else
    cirrus_linear_write (c, (uint32_t) offset, (uint8_t) value);
}

static const VmRegionOps linear_ops = {
  .read = linear_read,
  .write = linear_write,
  .valid = { .min = 1, .max = 8, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

static uint64_t
blt_data_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0xff;
}

static void
blt_data_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  cirrus_blt_feed (opaque, (uint8_t) value);
}

static const VmRegionOps blt_data_ops = {
  .read = blt_data_read,
  .write = blt_data_write,
  .valid = { .min = 1, .max = 8, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

/* BAR 1: the VGA's ports from 3C0h on, then the BLT registers. */
static uint64_t
mmio_read (void *opaque, uint64_t offset, unsigned size)
{
  Cirrus *c = opaque;

  if (offset >= MMIO_BLT)
    return cirrus_blt_reg_read (c, (unsigned) offset - MMIO_BLT);
  return offset < MMIO_PORTS_SIZE ? vga_port_read (&c->vga, 0x3c0 + (unsigned) offset) : 0xff;
}

static void
mmio_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Cirrus *c = opaque;

  if (offset >= MMIO_BLT)
    cirrus_blt_reg_write (c, (unsigned) offset - MMIO_BLT, (uint8_t) value);
  else if (offset < MMIO_PORTS_SIZE)
    vga_port_write (&c->vga, 0x3c0 + (unsigned) offset, (uint8_t) value);
}

static const VmRegionOps mmio_ops = {
  .read = mmio_read,
  .write = mmio_write,
  .valid = { .min = 1, .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

void
cirrus_update_memory (Cirrus *c)
{
  bool direct = cirrus_plain_memory (c);
  uint64_t size = c->vga.vram_size;

  if ((c->sr[SR_CONFIG] & (SR17_MMIO | SR17_MMIO_LINEAR)) == (SR17_MMIO | SR17_MMIO_LINEAR))
    size -= VM_PAGE_SIZE; /* registers, and what shares their page */
  vm_memory_begin (c->vga.dev->env->memory);
  if (c->linear_direct.memory)
    {
      if (c->linear_direct.size != size)
        vm_region_set_size (&c->linear_direct, size);
      if (c->linear_direct.enabled != direct)
        vm_region_set_enabled (&c->linear_direct, direct);
    }
  vga_core_update_window (&c->vga);
  vm_memory_commit (c->vga.dev->env->memory);
}

/* --- cursor ---------------------------------------------------------------------------------------------------- */

static uint32_t
cursor_color (const Cirrus *c, unsigned entry)
{
  const uint8_t *rgb = c->cursor_palette + entry * 3;

  return 0xff000000 | ((rgb[0] & 63u) * 255 / 63) << 16 | ((rgb[1] & 63u) * 255 / 63) << 8 | (rgb[2] & 63u) * 255 / 63;
}

/* Two planes; a pattern of 32 lines has one after the other, one of 64 has them line by line. */
static void
cursor_draw (const Cirrus *c, const uint8_t *pattern, unsigned side, VmCursor *cursor)
{
  /* Screen, screen inverted (grey does on any), colours. */
  uint32_t colors[4] = { 0, 0xff808080, cursor_color (c, 0), cursor_color (c, 15) };
  unsigned pitch = side == 64 ? 16 : 4, plane = side == 64 ? 8 : 128;

  for (unsigned y = 0; y < side; y++)
    for (unsigned x = 0; x < side; x++)
      {
        const uint8_t *at = pattern + y * pitch + x / 8;
        unsigned shift = 7 - x % 8;

        cursor->data[y * side + x] = colors[(at[0] >> shift & 1) | (at[plane] >> shift & 1) << 1];
      }
}

/* The pattern lies in VRAM, where the guest changes it unseen. */
static void
cursor_refresh (Cirrus *c)
{
  bool on = c->sr[SR_CURSOR] & SR12_CURSOR_ON, big = c->sr[SR_CURSOR] & SR12_CURSOR_64;
  unsigned side = big ? 64 : 32, select = c->sr[SR_CURSOR_PATTERN] & (big ? 0x3c : 0x3f);
  const uint8_t *pattern = (uint8_t *) c->vga.vram.ram->host + c->vga.vram_size - CURSOR_AREA + select * 256;
  uint8_t now[sizeof c->cursor_shown] = { 0 };

  now[CIRRUS_CURSOR_SIZE] = on;
  if (on)
    {
      memcpy (now, pattern, big ? 1024 : 256);
      now[CIRRUS_CURSOR_SIZE + 1] = (uint8_t) side;
      memcpy (now + CIRRUS_CURSOR_SIZE + 2, c->cursor_palette, 3);
      memcpy (now + CIRRUS_CURSOR_SIZE + 5, c->cursor_palette + 45, 3);
    }
  vm_store_le16 (now + CIRRUS_CURSOR_SIZE + 8, c->cursor_x);
  vm_store_le16 (now + CIRRUS_CURSOR_SIZE + 10, c->cursor_y);
  if (memcmp (now, c->cursor_shown, sizeof now) == 0)
    return;
  if (on && memcmp (now, c->cursor_shown, CIRRUS_CURSOR_SIZE + 8) != 0)
    {
      VmCursor *cursor = vm_cursor_new ((int) side, (int) side);

      cursor_draw (c, now, side, cursor);
      vm_console_set_cursor (c->vga.console, cursor);
    }
  vm_console_move_cursor (c->vga.console, c->cursor_x, c->cursor_y, on);
  memcpy (c->cursor_shown, now, sizeof now);
}

static void
cirrus_refresh (void *opaque)
{
  vga_refresh (opaque);
  cursor_refresh (cirrus_of (opaque));
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static bool
cirrus_init (Cirrus *c, VmDevice *dev, VmRegion *memory, VmRegion *io, GError **error)
{
  if (c->vga.vgamem_mb != 4 && c->vga.vgamem_mb != 8 && c->vga.vgamem_mb != 16)
    return vm_fail (error, "Invalid cirrus_vga ram size '%u'", c->vga.vgamem_mb);
  c->vga.extension = &cirrus_extension;
  c->console_ops = (VmConsoleOps){ .refresh = cirrus_refresh, .invalidate = vga_invalidate };
  return vga_core_realize (&c->vga, dev, memory, io, &c->console_ops, error);
}

static void
cirrus_reset (Cirrus *c)
{
  vga_core_reset (&c->vga);
  cirrus_regs_reset (c);
  memset (c->cursor_shown, 0, sizeof c->cursor_shown);
  vm_console_move_cursor (c->vga.console, 0, 0, false);
  cirrus_update_memory (c);
}

static bool
cirrus_loaded (Cirrus *c, GError **error)
{
  if (!cirrus_blt_loaded (c) || c->hidden_dac_count > 4)
    return vm_fail (error, "%s: the saved registers cannot be right", vm_device_path (c->vga.dev));
  memset (c->cursor_shown, 0xff, sizeof c->cursor_shown);
  if (!vga_core_loaded (&c->vga, error))
    return false;
  cirrus_update_memory (c);
  return true;
}

/* --- PCI ------------------------------------------------------------------------------------------------------------
 */

typedef struct CirrusPci
{
  VmPciDevice parent;
  bool global_vmstate;
  Cirrus cirrus;
} CirrusPci;

static bool
cirrus_pci_realize (VmDevice *dev, GError **error)
{
  CirrusPci *self = (CirrusPci *) dev;
  Cirrus *c = &self->cirrus;
  VmPciBus *bus = vm_pci_bus (&self->parent);
  VmMemory *memory = dev->env->memory;

  if (!cirrus_init (c, dev, bus->memory, bus->io, error))
    return false;
  vm_region_init (&c->linear_window, memory, "cirrus-pci-bar0", LINEAR_BAR_SIZE);
  vm_region_init_io (&c->linear, memory, &linear_ops, c, "cirrus-linear-io", c->vga.vram_size);
  vm_region_init_alias (&c->linear_direct, "cirrus-linear", &c->vga.vram, 0, c->vga.vram_size);
  vm_region_init_io (&c->blt_data, memory, &blt_data_ops, c, "cirrus-bitblt-mmio", BLT_DATA_SIZE);
  vm_region_init_io (&c->mmio, memory, &mmio_ops, c, "cirrus-mmio", MMIO_SIZE);
  vm_region_add (&c->linear_window, 0, &c->linear);
  vm_region_add_overlap (&c->linear_window, 0, &c->linear_direct, 1);
  vm_region_add (&c->linear_window, BLT_DATA_OFFSET, &c->blt_data);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_PREFETCH, &c->linear_window);
  vm_pci_add_bar (&self->parent, 1, 0, &c->mmio);
  return true;
}

static void
cirrus_pci_unrealize (VmDevice *dev)
{
  Cirrus *c = &((CirrusPci *) dev)->cirrus;

  vm_region_destroy (&c->linear_window);
  vm_region_destroy (&c->linear_direct);
  vm_region_destroy (&c->linear);
  vm_region_destroy (&c->blt_data);
  vm_region_destroy (&c->mmio);
  vga_core_unrealize (&c->vga);
}

static void
cirrus_pci_reset (VmDevice *dev, VmResetKind kind)
{
  cirrus_reset (&((CirrusPci *) dev)->cirrus);
}

static bool
cirrus_pci_post_load (VmDevice *dev, GError **error)
{
  return cirrus_loaded (&((CirrusPci *) dev)->cirrus, error);
}

static const VmProp cirrus_pci_props[] = {
  VM_PROP ("vgamem_mb", CirrusPci, cirrus.vga.vgamem_mb, 4, "video memory in MiB: 4, 8 or 16"),
  VM_PROP ("blitter", CirrusPci, cirrus.blitter, true, "the BLT engine works"),
  VM_PROP ("global-vmstate", CirrusPci, global_vmstate, false, "accepted for old machine types"),
  { 0 },
};

static const VmField cirrus_pci_state[] = {
  VM_FIELD_EMBED (CirrusPci, cirrus, cirrus_state),
  { 0 },
};

static const VmPciClass cirrus_pci_class = {
  .parent = { .realize = cirrus_pci_realize,
              .unrealize = cirrus_pci_unrealize,
              .reset = cirrus_pci_reset,
              .post_load = cirrus_pci_post_load,
              .category = "Display",
              .user_creatable = true },
  .vendor = 0x1013,
  .device = 0x00b8,
  .class_id = 0x0300,
  .romfile = "vgabios-cirrus.bin",
};

const VmType vm_cirrus_pci_type = {
  .name = "cirrus-vga",
  .parent = &vm_pci_device_type,
  .size = sizeof (CirrusPci),
  .help = "Cirrus CLGD 54xx VGA",
  .props = cirrus_pci_props,
  .state = cirrus_pci_state,
  .klass = &cirrus_pci_class,
};

/* --- ISA ------------------------------------------------------------------------------------------------------------
 */

typedef struct CirrusIsa
{
  VmIsaDevice parent;
  Cirrus cirrus;
} CirrusIsa;

static bool
cirrus_isa_realize (VmDevice *dev, GError **error)
{
  VmIsaBus *bus = vm_isa_bus (dev);

  return cirrus_init (&((CirrusIsa *) dev)->cirrus, dev, bus->memory, bus->io, error);
}

static void
cirrus_isa_unrealize (VmDevice *dev)
{
  vga_core_unrealize (&((CirrusIsa *) dev)->cirrus.vga);
}

static void
cirrus_isa_reset (VmDevice *dev, VmResetKind kind)
{
  cirrus_reset (&((CirrusIsa *) dev)->cirrus);
}

static bool
cirrus_isa_post_load (VmDevice *dev, GError **error)
{
  return cirrus_loaded (&((CirrusIsa *) dev)->cirrus, error);
}

static const VmProp cirrus_isa_props[] = {
  VM_PROP ("vgamem_mb", CirrusIsa, cirrus.vga.vgamem_mb, 4, "video memory in MiB: 4, 8 or 16"),
  VM_PROP ("blitter", CirrusIsa, cirrus.blitter, true, "the BLT engine works"),
  { 0 },
};

static const VmField cirrus_isa_state[] = {
  VM_FIELD_EMBED (CirrusIsa, cirrus, cirrus_state),
  { 0 },
};

static const VmDeviceClass cirrus_isa_class = {
  .realize = cirrus_isa_realize,
  .unrealize = cirrus_isa_unrealize,
  .reset = cirrus_isa_reset,
  .post_load = cirrus_isa_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Display",
  .user_creatable = true,
};

const VmType vm_cirrus_isa_type = {
  .name = "isa-cirrus-vga",
  .parent = &vm_isa_device_type,
  .size = sizeof (CirrusIsa),
  .help = "Cirrus CLGD 54xx VGA on ISA",
  .props = cirrus_isa_props,
  .state = cirrus_isa_state,
  .klass = &cirrus_isa_class,
};
