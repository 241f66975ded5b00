/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware SVGA II (VMware SVGA Device Developer Kit): a VGA that has modes of its own, set by registers at ports and
 * drawn in by a command FIFO. BAR 0: ports, BAR 1: VRAM, BAR 2: FIFO. */
#include "devices/display/vmware.h"

enum
{ /* registers */
  REG_ID,
  REG_ENABLE,
  REG_WIDTH,
  REG_HEIGHT,
  REG_MAX_WIDTH,
  REG_MAX_HEIGHT,
  REG_DEPTH,
  REG_BITS_PER_PIXEL,
  REG_PSEUDOCOLOR,
  REG_RED_MASK,
  REG_GREEN_MASK,
  REG_BLUE_MASK,
  REG_BYTES_PER_LINE,
  REG_FB_START,
  REG_FB_OFFSET,
  REG_VRAM_SIZE,
  REG_FB_SIZE,
  REG_CAPABILITIES,
  REG_MEM_START,
  REG_MEM_SIZE,
  REG_CONFIG_DONE,
  REG_SYNC,
  REG_BUSY,
  REG_GUEST_ID,
  REG_CURSOR_ID,
  REG_CURSOR_X,
  REG_CURSOR_Y,
  REG_CURSOR_ON,
  REG_HOST_BITS_PER_PIXEL,
  REG_SCRATCH_SIZE,
  REG_MEM_REGS,
  REG_NUM_DISPLAYS,
  REG_PITCHLOCK,
  REG_IRQMASK,
  REG_NUM_GUEST_DISPLAYS,
  REG_DISPLAY_ID,
  REG_DISPLAY_IS_PRIMARY,
  REG_DISPLAY_POSITION_X,
  REG_DISPLAY_POSITION_Y,
  REG_DISPLAY_WIDTH,
  REG_DISPLAY_HEIGHT,
  REG_PALETTE = 1024,
  REG_SCRATCH = REG_PALETTE + 768,
};
enum
{
  PORT_INDEX = 0,
  PORT_VALUE = 1,
  PORT_BIOS = 2,
  PORT_IRQ_STATUS = 8,
  PORTS_SIZE = 16
};
enum
{
  ENABLE_ON = 1 << 0,
  ENABLE_HIDE = 1 << 1
};
enum
{ /* capabilities */
  CAP_RECT_FILL = 1 << 0,
  CAP_RECT_COPY = 1 << 1,
  CAP_CURSOR = 1 << 5,
  CAP_CURSOR_BYPASS = 1 << 6,
  CAP_CURSOR_BYPASS_2 = 1 << 7,
  CAP_ALPHA_CURSOR = 1 << 9,
  CAP_EXTENDED_FIFO = 1 << 15,
  CAP_PITCHLOCK = 1 << 17,
  CAP_IRQMASK = 1 << 18,
};
enum
{
  CURSOR_HIDE = 0,
  CURSOR_SHOW = 1,
  CURSOR_REMOVE_FROM_FB = 2,
  CURSOR_RESTORE_TO_FB = 3
};
#define SVGA_ID_MAGIC 0x90000000u
#define SVGA_ID_LAST (SVGA_ID_MAGIC | 2)

static VmwareSvga *
svga_of (VgaCore *vga)
{
  return VM_CONTAINER_OF (vga, VmwareSvga, vga);
}

/* --- the mode ---------------------------------------------------------------------------------------------- */

uint32_t
svga_pitch (const VmwareSvga *s)
{
  return s->pitchlock ? s->pitchlock : s->width * 4;
}

bool
svga_active (const VmwareSvga *s)
{
  uint32_t pitch = svga_pitch (s);

  return (s->enable & ENABLE_ON) && s->width && s->height && s->width <= s->max_width && s->height <= s->max_height
         && pitch >= s->width * 4 && pitch <= s->vga.vram_size && (uint64_t) pitch * s->height <= s->vga.vram_size;
}

static void
svga_mode (const VgaCore *vga, VgaMode *mode)
{
  const VmwareSvga *s = VM_CONTAINER_OF (vga, VmwareSvga, vga);

  if (!svga_active (s))
    return;
  *mode = (VgaMode){ .width = s->width,
                     .height = s->height,
                     .depth = s->enable & ENABLE_HIDE ? 1 : 32,
                     .pitch = svga_pitch (s),
                     .line_compare = UINT32_MAX,
                     .repeat = 1,
                     .row_scan = 3 };
}

static const VgaExtension svga_extension = { .mode = svga_mode };

/* --- interrupts and cursor ------------------------------------------------------------------------------------ */

static void
update_irq (VmwareSvga *s)
{
  vm_pci_set_irq (&s->parent, (s->irq_status & s->irq_mask) != 0);
}

void
svga_raise (VmwareSvga *s, uint32_t irq)
{
  s->irq_status |= irq & s->irq_mask;
  update_irq (s);
}

void
svga_move_cursor (VmwareSvga *s, uint32_t x, uint32_t y, bool on)
{
  s->cursor_x = x;
  s->cursor_y = y;
  s->cursor_on = on;
  vm_console_move_cursor (s->vga.console, (int) x, (int) y, on);
}

void
svga_show_cursor (VmwareSvga *s)
{
  VmCursor *cursor = s->cursor_width ? vm_cursor_new ((int) s->cursor_width, (int) s->cursor_height) : NULL;

  if (cursor)
    {
      cursor->hot_x = (int) MIN (s->hot_x, s->cursor_width - 1);
      cursor->hot_y = (int) MIN (s->hot_y, s->cursor_height - 1);
      for (uint32_t i = 0; i < s->cursor_width * s->cursor_height; i++)
        cursor->data[i] = vm_load_le32 (s->cursor_data + 4 * i);
    }
  vm_console_set_cursor (s->vga.console, cursor);
}

/* --- FIFO ------------------------------------------------------------------------------------------------------- */

static void
run_fifo (VmwareSvga *s)
{
  VmClocks *clocks = s->vga.dev->env->clocks;

  if (svga_fifo_run (s) && !vm_timer_pending (&s->again))
    vm_timer_set (&s->again, vm_clock_now (clocks, VM_CLOCK_VIRTUAL) + VM_NS_PER_MS);
}

static void
on_again (void *opaque)
{
  run_fifo (opaque);
}

/* The cursor may be moved by words in the FIFO alone, which are looked at now and then. */
static void
follow_cursor (VmwareSvga *s)
{
  uint32_t count;

  if (!s->config_done || svga_fifo_read (s, FIFO_MIN) <= 4 * FIFO_CURSOR_LAST_UPDATED)
    return;
  count = svga_fifo_read (s, FIFO_CURSOR_COUNT);
  if (count == s->cursor_count)
    return;
  s->cursor_count = count;
  svga_move_cursor (s, svga_fifo_read (s, FIFO_CURSOR_X), svga_fifo_read (s, FIFO_CURSOR_Y),
                    svga_fifo_read (s, FIFO_CURSOR_ON) & 1);
}

/* The FIFO may have it too; the register is what counts otherwise. */
static void
take_pitchlock (VmwareSvga *s)
{
  if (s->config_done && svga_fifo_read (s, FIFO_MIN) > 4 * FIFO_PITCHLOCK && svga_fifo_read (s, FIFO_PITCHLOCK))
    s->pitchlock = svga_fifo_read (s, FIFO_PITCHLOCK);
}

static void
svga_refresh (void *opaque)
{
  VmwareSvga *s = svga_of (opaque);

  /* Old drivers write commands and tell nobody. Not from here, though: the machine may be stopped. */
  if (s->config_done && svga_fifo_read (s, FIFO_NEXT_CMD) != svga_fifo_read (s, FIFO_STOP)
      && !vm_timer_pending (&s->again))
    vm_timer_set (&s->again, vm_clock_now (s->vga.dev->env->clocks, VM_CLOCK_VIRTUAL));
  follow_cursor (s);
  vga_refresh (opaque);
}

/* --- registers -------------------------------------------------------------------------------------------------- */

static uint32_t
size_now (const VmwareSvga *s, bool height)
{
  const VmSurface *surface = vm_console_surface (s->vga.console);
  uint32_t set = height ? s->height : s->width;

  if (set)
    return set;
  return surface ? (uint32_t) (height ? surface->height : surface->width) : height ? 480 : 640;
}

static uint32_t
bar_address (const VmwareSvga *s, unsigned bar)
{
  uint64_t address = vm_pci_bar_address (&s->parent, bar);

  return address == UINT64_MAX ? 0 : (uint32_t) address;
}

static uint32_t
read_reg (VmwareSvga *s)
{
  uint32_t index = s->index;

  if (index >= REG_SCRATCH && index < REG_SCRATCH + SVGA_SCRATCH_REGS)
    return s->scratch[index - REG_SCRATCH];
  switch (index)
    {
    case REG_ID:
      return s->id;
    case REG_ENABLE:
      return s->enable;
    case REG_WIDTH:
    case REG_DISPLAY_WIDTH:
      return size_now (s, false);
    case REG_HEIGHT:
    case REG_DISPLAY_HEIGHT:
      return size_now (s, true);
    case REG_MAX_WIDTH:
      return s->max_width;
    case REG_MAX_HEIGHT:
      return s->max_height;
    case REG_DEPTH:
      return 24;
    case REG_BITS_PER_PIXEL:
    case REG_HOST_BITS_PER_PIXEL:
      return 32;
    case REG_RED_MASK:
      return 0xff0000;
    case REG_GREEN_MASK:
      return 0x00ff00;
    case REG_BLUE_MASK:
      return 0x0000ff;
    case REG_BYTES_PER_LINE:
      return s->pitchlock ? s->pitchlock : size_now (s, false) * 4;
    case REG_FB_START:
      return bar_address (s, 1);
    case REG_VRAM_SIZE:
    case REG_FB_SIZE:
      return s->vga.vram_size;
    case REG_CAPABILITIES:
      return CAP_RECT_FILL | CAP_RECT_COPY | CAP_CURSOR | CAP_CURSOR_BYPASS | CAP_CURSOR_BYPASS_2 | CAP_ALPHA_CURSOR
             | CAP_EXTENDED_FIFO | CAP_PITCHLOCK | CAP_IRQMASK;
    case REG_MEM_START:
      return bar_address (s, 2);
    case REG_MEM_SIZE:
      return SVGA_FIFO_SIZE;
    case REG_CONFIG_DONE:
      return s->config_done;
    case REG_SYNC:
    case REG_BUSY:
      vm_timer_cancel (&s->again);
      run_fifo (s);
      return vm_timer_pending (&s->again);
    case REG_GUEST_ID:
      return s->guest_id;
    case REG_CURSOR_ID:
      return s->cursor_id;
    case REG_CURSOR_X:
      return s->cursor_x;
    case REG_CURSOR_Y:
      return s->cursor_y;
    case REG_CURSOR_ON:
      return s->cursor_on;
    case REG_SCRATCH_SIZE:
      return SVGA_SCRATCH_REGS;
    case REG_MEM_REGS:
      return FIFO_NUM_REGS;
    case REG_NUM_DISPLAYS:
    case REG_NUM_GUEST_DISPLAYS:
    case REG_DISPLAY_IS_PRIMARY:
      return 1;
    case REG_PITCHLOCK:
      return s->pitchlock;
    case REG_IRQMASK:
      return s->irq_mask;
    default:
      return 0;
    }
}

static void
write_cursor_on (VmwareSvga *s, uint32_t value)
{
  /* A cursor that is no part of the frame buffer need not leave it. */
  if (value == CURSOR_HIDE || value == CURSOR_SHOW)
    svga_move_cursor (s, s->cursor_x, s->cursor_y, value == CURSOR_SHOW);
}

static void
write_config_done (VmwareSvga *s, uint32_t value)
{
  s->config_done = value & 1;
  if (s->config_done)
    run_fifo (s);
}

static void
write_reg (VmwareSvga *s, uint32_t value)
{
  uint32_t index = s->index;

  if (index >= REG_SCRATCH && index < REG_SCRATCH + SVGA_SCRATCH_REGS)
    {
      s->scratch[index - REG_SCRATCH] = value;
      return;
    }
  switch (index)
    {
    case REG_ID:
      if (value >= SVGA_ID_MAGIC && value <= SVGA_ID_LAST)
        s->id = value;
      break;
    case REG_ENABLE:
      s->enable = value & (ENABLE_ON | ENABLE_HIDE);
      s->vga.redraw_all = true;
      break;
    case REG_WIDTH:
      s->width = MIN (value, s->max_width);
      take_pitchlock (s);
      break;
    case REG_HEIGHT:
      s->height = MIN (value, s->max_height);
      take_pitchlock (s);
      break;
    case REG_PITCHLOCK:
      s->pitchlock = value;
      break;
    case REG_CONFIG_DONE:
      write_config_done (s, value);
      break;
    case REG_SYNC:
      run_fifo (s);
      break;
    case REG_GUEST_ID:
      s->guest_id = value;
      break;
    case REG_CURSOR_ID:
      s->cursor_id = value;
      break;
    case REG_CURSOR_X:
      s->cursor_x = value;
      break;
    case REG_CURSOR_Y:
      s->cursor_y = value;
      break;
    case REG_CURSOR_ON:
      write_cursor_on (s, value);
      break;
    case REG_IRQMASK:
      s->irq_mask = value & (SVGA_IRQ_ANY_FENCE | SVGA_IRQ_PROGRESS | SVGA_IRQ_FENCE_GOAL);
      update_irq (s);
      break;
    default:
      break;
    }
}

static uint64_t
ports_read (void *opaque, uint64_t offset, unsigned size)
{
  VmwareSvga *s = opaque;

  switch (offset)
    {
    case PORT_INDEX:
      return s->index;
    case PORT_VALUE:
      return read_reg (s);
    case PORT_IRQ_STATUS:
      return s->irq_status;
    default:
      return 0;
    }
}

static void
ports_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmwareSvga *s = opaque;

  switch (offset)
    {
    case PORT_INDEX:
      s->index = (uint32_t) value;
      break;
    case PORT_VALUE:
      write_reg (s, (uint32_t) value);
      break;
    case PORT_IRQ_STATUS:
      s->irq_status &= ~(uint32_t) value;
      update_irq (s);
      break;
    default:
      break;
    }
}

/* All registers have four bytes, wherever they are. */
static const VmRegionOps ports_ops = {
  .read = ports_read,
  .write = ports_write,
  .valid = { .min = 4, .max = 4, .unaligned = true },
  .impl = { .min = 4, .max = 4, .unaligned = true },
};

/* --- life ------------------------------------------------------------------------------------------------------- */

/* The largest picture that fits into VRAM. */
static void
set_max_size (VmwareSvga *s)
{
  static const struct
  {
    uint32_t width, height;
  } sizes[] = { { 4096, 4096 }, { 4096, 2048 }, { 2560, 1600 }, { 1920, 1080 }, { 1152, 864 } };
  for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      s->max_width = sizes[i].width;
      s->max_height = sizes[i].height;
      if (s->max_width * s->max_height * 4 <= s->vga.vram_size)
        return;
    }
}

static void
svga_unrealize (VmDevice *dev)
{
  VmwareSvga *s = (VmwareSvga *) dev;

  vm_timer_cancel (&s->again);
  vm_region_destroy (&s->ports);
  vm_region_destroy (&s->fifo);
  g_clear_pointer (&s->cursor_data, g_free);
  vga_core_unrealize (&s->vga);
}

static bool
svga_realize (VmDevice *dev, GError **error)
{
  VmwareSvga *s = (VmwareSvga *) dev;
  VmPciBus *bus = vm_pci_bus (&s->parent);
  VmMemory *memory = dev->env->memory;

  if (s->vga.vgamem_mb < 4)
    return vm_fail (error, "vgamem_mb must be a power of two from 4 to 512, not %u", s->vga.vgamem_mb);
  s->vga.extension = &svga_extension;
  s->console_ops = (VmConsoleOps){ .refresh = svga_refresh, .invalidate = vga_invalidate };
  if (!vga_core_realize (&s->vga, dev, bus->memory, bus->io, &s->console_ops, error))
    return false;
  if (!vm_region_init_ram (&s->fifo, memory, "vmsvga.fifo", SVGA_FIFO_SIZE, error))
    {
      vga_core_unrealize (&s->vga);
      return false;
    }
  set_max_size (s);
  s->cursor_size = SVGA_MAX_CURSOR * SVGA_MAX_CURSOR * 4;
  s->cursor_data = g_malloc0 (s->cursor_size);
  vm_timer_init (&s->again, dev->env->clocks, VM_CLOCK_VIRTUAL, on_again, s);
  vm_region_init_io (&s->ports, memory, &ports_ops, s, "vmsvga-io", PORTS_SIZE);
  vm_pci_add_bar (&s->parent, 0, PCI_BAR_IO, &s->ports);
  vm_pci_add_bar (&s->parent, 1, PCI_BAR_PREFETCH, &s->vga.vram);
  vm_pci_add_bar (&s->parent, 2, PCI_BAR_PREFETCH, &s->fifo);
  vm_pci_set_interrupt_pin (&s->parent, 1);
  return true;
}

static void
svga_reset (VmDevice *dev, VmResetKind kind)
{
  VmwareSvga *s = (VmwareSvga *) dev;

  vm_timer_cancel (&s->again);
  s->index = s->enable = s->config_done = s->width = s->height = s->guest_id = s->pitchlock = 0;
  s->id = SVGA_ID_LAST;
  s->cursor_id = s->cursor_count = 0;
  s->cursor_width = s->cursor_height = s->hot_x = s->hot_y = 0;
  memset (s->cursor_data, 0, s->cursor_size);
  s->irq_mask = s->irq_status = 0;
  memset (s->scratch, 0, sizeof s->scratch);
  memset (s->fifo.ram->host, 0, SVGA_FIFO_SIZE);
  vm_ram_written (dev->env->memory, s->fifo.ram, 0, SVGA_FIFO_SIZE);
  svga_fifo_write (s, FIFO_CAPABILITIES,
                   FIFO_CAP_FENCE | FIFO_CAP_PITCHLOCK | FIFO_CAP_CURSOR_BYPASS_3 | FIFO_CAP_RESERVE);
  svga_move_cursor (s, 0, 0, false);
  vga_core_reset (&s->vga);
}

static bool
svga_post_load (VmDevice *dev, GError **error)
{
  VmwareSvga *s = (VmwareSvga *) dev;

  if (s->width > s->max_width || s->height > s->max_height || s->cursor_width > SVGA_MAX_CURSOR
      || s->cursor_height > SVGA_MAX_CURSOR || !s->cursor_width != !s->cursor_height)
    return vm_fail (error, "%s: the saved mode does not fit", vm_device_path (dev));
  s->cursor_count = 0;
  svga_show_cursor (s);
  svga_move_cursor (s, s->cursor_x, s->cursor_y, s->cursor_on & 1);
  return vga_core_loaded (&s->vga, error);
}

static const VmProp svga_props[] = {
  VM_PROP ("vgamem_mb", VmwareSvga, vga.vgamem_mb, 16, "video memory in MiB"),
  VM_PROP ("global-vmstate", VmwareSvga, global_vmstate, false, "accepted for old machine types"),
  { 0 },
};

static const VmField svga_state[] = {
  VM_FIELD_EMBED (VmwareSvga, vga, vga_core_state),
  VM_FIELD (VmwareSvga, index),
  VM_FIELD (VmwareSvga, id),
  VM_FIELD (VmwareSvga, enable),
  VM_FIELD (VmwareSvga, config_done),
  VM_FIELD (VmwareSvga, width),
  VM_FIELD (VmwareSvga, height),
  VM_FIELD (VmwareSvga, guest_id),
  VM_FIELD (VmwareSvga, pitchlock),
  VM_FIELD (VmwareSvga, cursor_id),
  VM_FIELD (VmwareSvga, cursor_x),
  VM_FIELD (VmwareSvga, cursor_y),
  VM_FIELD (VmwareSvga, cursor_on),
  VM_FIELD (VmwareSvga, cursor_width),
  VM_FIELD (VmwareSvga, cursor_height),
  VM_FIELD (VmwareSvga, hot_x),
  VM_FIELD (VmwareSvga, hot_y),
  VM_FIELD_HEAP (VmwareSvga, cursor_data, cursor_size),
  VM_FIELD (VmwareSvga, irq_mask),
  VM_FIELD (VmwareSvga, irq_status),
  VM_FIELD_ARRAY (VmwareSvga, scratch),
  VM_FIELD_TIMER_OF (VmwareSvga, again),
  { 0 },
};

static const VmPciClass svga_class = {
  .parent = { .realize = svga_realize,
              .unrealize = svga_unrealize,
              .reset = svga_reset,
              .post_load = svga_post_load,
              .category = "Display",
              .user_creatable = true },
  .vendor = 0x15ad,
  .device = 0x0405,
  .class_id = 0x0300,
  .subsystem_vendor = 0x15ad,
  .subsystem = 0x0405,
  .romfile = "vgabios-vmware.bin",
};

const VmType vm_vmware_svga_type = {
  .name = "vmware-svga",
  .parent = &vm_pci_device_type,
  .size = sizeof (VmwareSvga),
  .help = "VMware SVGA II, 2D",
  .props = svga_props,
  .state = svga_state,
  .klass = &svga_class,
};
