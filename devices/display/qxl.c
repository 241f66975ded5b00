/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL as a PCI function: BARs, ports, the ROM that describes it, modes (spice/qxl_dev.h). It begins as a VGA card with
 * Bochs VBE extensions whose memory is the beginning of BAR 0, and takes commands once a driver has made the primary
 * surface. The modes of the first revision (QXL_IO_SET_MODE), which no present driver uses, are not there. */
#include "devices/display/qxl.h"

#include "engine/base/log.h"

#include <spice/enums.h>

#define IO_SIZE 32
#define ROM_SIZE 8192
#define HEADER_SIZE 8192 /* QXLRam in whole pages, at the end of BAR 0 */
#define SIDE_UNITS 2936  /* of a pixel in modes: a tenth of a micrometre */
#define RAM_MAX (UINT64_C (1) << 30)
#define CRC_POLYNOMIAL CLIENT_MONITORS_CONFIG_CRC32_POLY

/* --- what is shown ------------------------------------------------------------------------------------- */

void
qxl_dirty (Qxl *s, VmRect r)
{
  if (s->n_dirty == QXL_DIRTY_MAX)
    { /* one around all of them */
      int right = 0, bottom = 0, left = INT_MAX, top = INT_MAX;
      for (unsigned i = 0; i < s->n_dirty; i++)
        {
          left = MIN (left, s->dirty[i].x);
          top = MIN (top, s->dirty[i].y);
          right = MAX (right, s->dirty[i].x + s->dirty[i].width);
          bottom = MAX (bottom, s->dirty[i].y + s->dirty[i].height);
        }
      s->dirty[0] = (VmRect){ left, top, right - left, bottom - top };
      s->n_dirty = 1;
    }
  s->dirty[s->n_dirty++] = r;
}

static void
dirty_all (Qxl *s)
{
  s->n_dirty = 1;
  s->dirty[0] = (VmRect){ 0, 0, (int) s->surface_width[0], (int) s->surface_height[0] };
}

static void
show_primary (Qxl *s)
{
  VmConsole *console = s->vga.console;
  QxlImage primary;

  if (!qxl_open_surface (s, 0, &primary))
    return;
  if (!s->shown || s->shown->width != primary.width || s->shown->height != primary.height)
    {
      s->shown = vm_surface_new (primary.width, primary.height);
      if (!s->shown)
        return;
      vm_console_set_surface (console, s->shown);
      dirty_all (s);
    }
  for (unsigned i = 0; i < s->n_dirty; i++)
    {
      VmRect r = s->dirty[i];
      vm_console_lock (console);
      for (int y = r.y; y < r.y + r.height; y++)
        qxl_image_line (&primary, r.x, y, r.width,
                        (uint32_t *) (void *) (s->shown->data + (size_t) y * s->shown->stride) + r.x);
      vm_console_unlock (console);
      vm_console_damage (console, r.x, r.y, r.width, r.height);
    }
  s->n_dirty = 0;
}

static void
qxl_refresh (void *opaque)
{
  Qxl *s = VM_CONTAINER_OF ((VgaCore *) opaque, Qxl, vga);

  if (s->mode == QXL_IN_NATIVE)
    {
      qxl_run (s);
      show_primary (s);
    }
  else if (s->mode == QXL_IN_VGA && s->vga.memory)
    vga_refresh (&s->vga);
  else if (!vm_console_surface (s->vga.console)) /* a second card shows nothing before its driver comes */
    vm_console_set_surface (s->vga.console, vm_surface_new (640, 480));
}

static void
qxl_invalidate (void *opaque)
{
  Qxl *s = VM_CONTAINER_OF ((VgaCore *) opaque, Qxl, vga);

  vga_invalidate (opaque);
  if (s->mode == QXL_IN_NATIVE)
    dirty_all (s);
}

/* --- the monitor that viewers would like ------------------------------------------------------------------ */

static uint32_t
crc_of (const uint8_t *data, size_t len)
{
  uint32_t crc = 0;

  for (size_t i = 0; i < len; i++)
    {
      crc ^= data[i];
      for (unsigned bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
    }
  return crc;
}

static void
qxl_ui_info (void *opaque, const VmUiInfo *info)
{
  Qxl *s = VM_CONTAINER_OF ((VgaCore *) opaque, Qxl, vga);
  QXLRom *rom = qxl_rom (s);

  if (!info->width || !info->height
      || !(GUINT32_FROM_LE (qxl_ram (s)->int_mask) & QXL_INTERRUPT_CLIENT_MONITORS_CONFIG))
    return;
  memset (&rom->client_monitors_config, 0, sizeof rom->client_monitors_config);
  rom->client_monitors_config.count = GUINT16_TO_LE (1);
  rom->client_monitors_config.heads[0].right = GUINT32_TO_LE (info->width);
  rom->client_monitors_config.heads[0].bottom = GUINT32_TO_LE (info->height);
  rom->client_monitors_config_crc
      = GUINT32_TO_LE (crc_of ((const uint8_t *) &rom->client_monitors_config, sizeof rom->client_monitors_config));
  vm_ram_written (s->parent.parent.env->memory, s->rom.ram, 0, ROM_SIZE);
  qxl_raise (s, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG);
}

/* --- the ROM -------------------------------------------------------------------------------------------------- */

/* Each size at 16 and 32 bits, upright and turned. Those that do not fit into the frame buffer are left out; the others
 * keep their numbers. */
static void
init_modes (Qxl *s, QXLModes *modes)
{
  static const uint16_t sizes[][2] = {
    { 640, 480 },   { 800, 480 },   { 800, 600 },   { 832, 624 },   { 960, 640 },   { 1024, 600 },  { 1024, 768 },
    { 1152, 864 },  { 1152, 870 },  { 1280, 720 },  { 1280, 760 },  { 1280, 768 },  { 1280, 800 },  { 1280, 960 },
    { 1280, 1024 }, { 1360, 768 },  { 1366, 768 },  { 1400, 1050 }, { 1440, 900 },  { 1600, 900 },  { 1600, 1200 },
    { 1680, 1050 }, { 1920, 1080 }, { 1920, 1200 }, { 1920, 1440 }, { 2000, 2000 }, { 2048, 1536 }, { 2048, 2048 },
    { 2560, 1440 }, { 2560, 1600 }, { 2560, 2048 }, { 2800, 2100 }, { 3200, 2400 }, { 3840, 2160 }, { 4096, 2160 },
    { 5120, 2880 }, { 7680, 4320 },
  };
  uint32_t n = 0;

  for (unsigned i = 0; i < 4 * G_N_ELEMENTS (sizes); i++)
    {
      uint32_t x = sizes[i / 4][0], y = sizes[i / 4][1], bits = i & 1 ? 32 : 16;
      if ((uint64_t) x * y * bits / 8 > s->vga.vram_size)
        continue;
      modes->modes[n++] = (QXLMode){
        .id = GUINT32_TO_LE (i),
        .x_res = GUINT32_TO_LE (x),
        .y_res = GUINT32_TO_LE (y),
        .bits = GUINT32_TO_LE (bits),
        .stride = GUINT32_TO_LE (x * bits / 8),
        .x_mili = GUINT32_TO_LE (x * SIDE_UNITS / 10000),
        .y_mili = GUINT32_TO_LE (y * SIDE_UNITS / 10000),
        .orientation = GUINT32_TO_LE (i >> 1 & 1),
      };
    }
  modes->n_modes = GUINT32_TO_LE (n);
}

static void
init_rom (Qxl *s)
{
  QXLRom *rom = qxl_rom (s);

  memset (rom, 0, ROM_SIZE);
  rom->magic = GUINT32_TO_LE (QXL_ROM_MAGIC);
  rom->log_level = GUINT32_TO_LE (s->guestdebug);
  rom->modes_offset = GUINT32_TO_LE (sizeof *rom);
  rom->num_pages = GUINT32_TO_LE ((uint32_t) ((s->header - s->vga.vram_size) / VM_PAGE_SIZE));
  rom->pages_offset = GUINT32_TO_LE (s->vga.vram_size);
  rom->surface0_area_size = GUINT32_TO_LE (s->vga.vram_size);
  rom->ram_header_offset = GUINT32_TO_LE ((uint32_t) s->header);
  rom->n_surfaces = GUINT32_TO_LE ((uint32_t) s->surfaces);
  rom->slots_start = 1; /* slot 0 is of the first revision */
  rom->slots_end = QXL_SLOTS - 1;
  rom->slot_gen_bits = 8;
  rom->slot_id_bits = 8;
  init_modes (s, (QXLModes *) (rom + 1));
  vm_ram_written (s->parent.parent.env->memory, s->rom.ram, 0, ROM_SIZE);
}

/* --- ports ---------------------------------------------------------------------------------------------------- */

static void
create_primary (Qxl *s)
{
  QXLSurfaceCreate c;

  memcpy (&c, &qxl_ram (s)->create_surface, sizeof c);
  if (!qxl_create_surface (s, 0, c.format, c.width, c.height, c.stride, c.mem))
    return;
  if (s->debug)
    vm_report_info ("%s: primary surface of %u x %u", vm_device_path (&s->parent.parent), c.width, c.height);
  s->mode = QXL_IN_NATIVE;
  s->shown = NULL; /* the new one may look like the old one and not be it */
  s->n_dirty = 0;
  if (!(c.flags & QXL_SURF_FLAG_KEEP_DATA))
    {
      uint64_t row = (uint64_t) ABS (c.stride);
      VmRegion *region = s->surface_bar[0] ? &s->vram : &s->vga.vram;
      memset (region->ram->host + s->surface_start[0], 0, row * c.height);
      qxl_written (s, s->surface_bar[0], s->surface_start[0], row * c.height);
    }
}

static void
destroy_surfaces (Qxl *s, bool primary_too)
{
  for (uint32_t id = primary_too ? 0 : 1; id < QXL_SURFACES; id++)
    qxl_destroy_surface (s, id);
}

static void
destroy_primary (Qxl *s)
{
  if (s->debug && s->surface_format[0])
    vm_report_info ("%s: no primary surface", vm_device_path (&s->parent.parent));
  qxl_destroy_surface (s, 0);
  if (s->mode == QXL_IN_NATIVE)
    s->mode = QXL_IN_BETWEEN;
  s->n_dirty = 0;
  s->shown = NULL;
  s->cursor_visible = false;
  vm_console_move_cursor (s->vga.console, s->cursor_x, s->cursor_y, false);
}

static void
soft_reset (Qxl *s)
{
  destroy_primary (s);
  destroy_surfaces (s, true);
  for (unsigned i = 0; i < QXL_SLOTS; i++)
    qxl_remove_slot (s, i);
  s->mode = QXL_IN_VGA;
  s->free_any = false;
  s->free_first = s->free_last = 0;
  vm_timer_cancel (&s->timer);
  init_rom (s);
  qxl_init_rings (s);
  qxl_update_irq (s);
  vga_invalidate (&s->vga);
  vm_console_set_cursor (s->vga.console, NULL);
}

static void
add_memory_slot (Qxl *s, unsigned slot)
{
  QXLMemSlot m;

  memcpy (&m, &qxl_ram (s)->mem_slot, sizeof m);
  qxl_add_slot (s, slot, GUINT64_FROM_LE (m.mem_start), GUINT64_FROM_LE (m.mem_end));
}

static void
write_log (Qxl *s)
{
  char text[QXL_LOG_BUF_SIZE + 1];

  if (!s->guestdebug)
    return;
  memcpy (text, qxl_ram (s)->log_buf, QXL_LOG_BUF_SIZE);
  text[QXL_LOG_BUF_SIZE] = 0;
  g_autofree char *safe = g_strescape (g_strchomp (text), NULL);
  vm_log (VM_LOG_UNIMP, "qxl: guest: %s\n", safe);
}

/* What an asynchronous port and its older twin do. False: there is no such port. */
static bool
carry_out (Qxl *s, unsigned port, uint8_t value)
{
  switch (port)
    {
    case QXL_IO_UPDATE_AREA:
    case QXL_IO_UPDATE_AREA_ASYNC: /* all that was told before is in memory then */
    case QXL_IO_FLUSH_SURFACES_ASYNC:
      qxl_run (s);
      return true;
    case QXL_IO_MEMSLOT_ADD:
    case QXL_IO_MEMSLOT_ADD_ASYNC:
      add_memory_slot (s, value);
      return true;
    case QXL_IO_CREATE_PRIMARY:
    case QXL_IO_CREATE_PRIMARY_ASYNC:
      create_primary (s);
      return true;
    case QXL_IO_DESTROY_PRIMARY:
    case QXL_IO_DESTROY_PRIMARY_ASYNC:
      destroy_primary (s);
      return true;
    case QXL_IO_DESTROY_SURFACE_WAIT:
    case QXL_IO_DESTROY_SURFACE_ASYNC:
      qxl_run (s);
      if (value)
        qxl_destroy_surface (s, value);
      return true;
    case QXL_IO_DESTROY_ALL_SURFACES:
    case QXL_IO_DESTROY_ALL_SURFACES_ASYNC:
      destroy_primary (s);
      destroy_surfaces (s, true);
      return true;
    case QXL_IO_MONITORS_CONFIG_ASYNC: /* one monitor shows the whole primary */
      return true;
    default:
      return false;
    }
}

static void
qxl_io_write (void *opaque, uint64_t port, uint64_t value, unsigned size)
{
  Qxl *s = opaque;

  switch (port)
    {
    case QXL_IO_NOTIFY_CMD:
    case QXL_IO_NOTIFY_CURSOR:
      qxl_run (s);
      break;
    case QXL_IO_UPDATE_IRQ:
      qxl_update_irq (s);
      break;
    case QXL_IO_NOTIFY_OOM:
    case QXL_IO_FLUSH_RELEASE:
      qxl_run (s);
      qxl_flush_releases (s);
      break;
    case QXL_IO_RESET:
      soft_reset (s);
      break;
    case QXL_IO_LOG:
      write_log (s);
      break;
    case QXL_IO_MEMSLOT_DEL:
      qxl_remove_slot (s, (unsigned) value);
      break;
    case QXL_IO_SET_MODE:
      vm_guest_unimp (vm_device_path (&s->parent.parent), "modes of the first revision");
      break;
    default:
      if (carry_out (s, (unsigned) port, (uint8_t) value)
          && (port >= QXL_IO_UPDATE_AREA_ASYNC && port != QXL_IO_FLUSH_RELEASE))
        qxl_raise (s, QXL_INTERRUPT_IO_CMD);
      break;
    }
}

static uint64_t
qxl_io_read (void *opaque, uint64_t port, unsigned size)
{
  return 0xff;
}

static const VmRegionOps qxl_io_ops = {
  .read = qxl_io_read,
  .write = qxl_io_write,
  .valid = { .min = 1, .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 1 },
};

static void
on_timer (void *opaque)
{
  qxl_run (opaque);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static void
qxl_reset (VmDevice *dev, VmResetKind kind)
{
  Qxl *s = (Qxl *) dev;

  vga_core_reset (&s->vga);
  s->cursor_x = s->cursor_y = 0;
  soft_reset (s);
}

static uint64_t
round_up (uint64_t size)
{
  uint64_t power = VM_PAGE_SIZE;

  while (power < size)
    power *= 2;
  return power;
}

/* The sizes in MiB win; what is not a power of two becomes the next one. */
static bool
read_sizes (Qxl *s, uint64_t *vram32, uint64_t *vram64, GError **error)
{
  uint64_t frame = s->vga.vgamem_mb * VM_MIB;
  uint64_t ram = s->ram_size_mb != UINT32_MAX ? s->ram_size_mb * VM_MIB : s->ram_size;
  uint64_t vram = s->vram_size_mb != UINT32_MAX ? s->vram_size_mb * VM_MIB : s->vram_size;
  uint64_t more = s->vram64_size_mb != UINT32_MAX ? s->vram64_size_mb * VM_MIB : 0;

  if (!s->vga.vgamem_mb || s->vga.vgamem_mb > 512 || !vm_is_pow2 (s->vga.vgamem_mb))
    return vm_fail (error, "vgamem_mb must be a power of two from 1 to 512, not %u", s->vga.vgamem_mb);
  if (ram > RAM_MAX / 2 || vram > RAM_MAX || more > 4 * RAM_MAX)
    return vm_fail (error, "qxl: ram_size may be 512 MiB, vram_size 1 GiB, vram64_size_mb 4096 at most");
  if (s->surfaces < 1 || s->surfaces > QXL_SURFACES)
    return vm_fail (error, "qxl: surfaces must be from 1 to %u", QXL_SURFACES);
  if (s->revision < 1 || s->revision > 5)
    return vm_fail (error, "qxl: there are revisions 1 to 5, and no %u", s->revision);
  s->main_size = round_up (MAX (ram, 2 * frame));
  s->header = s->main_size - HEADER_SIZE;
  *vram32 = round_up (vram);
  *vram64 = round_up (MAX (more, *vram32));
  return true;
}

static bool
make_vga (Qxl *s, bool primary, GError **error)
{
  VmDevice *dev = &s->parent.parent;
  VmPciBus *bus = vm_pci_bus (&s->parent);
  uint32_t frame_mb = s->vga.vgamem_mb;

  s->console_ops = (VmConsoleOps){ .refresh = qxl_refresh, .invalidate = qxl_invalidate, .ui_info = qxl_ui_info };
  /* VGA's memory is the beginning of BAR 0: it is made as large as that, and told what is its own. */
  s->vga.vgamem_mb = (uint32_t) (s->main_size / VM_MIB);
  bool ok
      = vga_core_realize (&s->vga, dev, primary ? bus->memory : NULL, primary ? bus->io : NULL, &s->console_ops, error);
  s->vga.vgamem_mb = frame_mb;
  s->vga.vram_size = frame_mb * VM_MIB;
  return ok;
}

static void
drop (Qxl *s)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (s->lines); i++)
    g_clear_pointer (&s->lines[i], g_free);
  vga_core_unrealize (&s->vga);
  s->shown = NULL;
}

static bool
qxl_realize (VmDevice *dev, GError **error)
{
  Qxl *s = (Qxl *) dev;
  VmMemory *m = dev->env->memory;
  bool primary = ((const VmPciClass *) dev->parent.type->klass)->class_id == 0x0300;
  uint64_t vram32 = 0, vram64 = 0;

  if (!read_sizes (s, &vram32, &vram64, error) || !make_vga (s, primary, error))
    return false;
  if (!vm_region_init_ram (&s->vram, m, "qxl.vram", vram64, error))
    {
      drop (s);
      return false;
    }
  if (!vm_region_init_rom (&s->rom, m, "qxl.vrom", ROM_SIZE, error))
    {
      vm_region_destroy (&s->vram);
      drop (s);
      return false;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (s->lines); i++)
    s->lines[i] = g_new0 (uint32_t, QXL_SIDE_MAX);
  vm_region_init_io (&s->io, m, &qxl_io_ops, s, "qxl-ioports", IO_SIZE);
  vm_timer_init (&s->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, on_timer, s);
  s->parent.config[PCI_REVISION_ID] = (uint8_t) s->revision;
  vm_pci_set_interrupt_pin (&s->parent, 1);
  vm_pci_add_bar (&s->parent, 0, 0, &s->vga.vram);
  s->has_vram64 = vram64 > vram32;
  if (s->has_vram64)
    {
      vm_region_init_alias (&s->vram32, "qxl.vram32", &s->vram, 0, vram32);
      vm_pci_add_bar (&s->parent, 1, 0, &s->vram32);
      vm_pci_add_bar (&s->parent, 4, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &s->vram);
    }
  else
    vm_pci_add_bar (&s->parent, 1, 0, &s->vram);
  vm_pci_add_bar (&s->parent, 2, 0, &s->rom);
  vm_pci_add_bar (&s->parent, 3, PCI_BAR_IO, &s->io);
  return true;
}

static void
qxl_unrealize (VmDevice *dev)
{
  Qxl *s = (Qxl *) dev;

  vm_timer_cancel (&s->timer);
  vm_region_destroy (&s->io);
  vm_region_destroy (&s->rom);
  if (s->has_vram64)
    vm_region_destroy (&s->vram32);
  vm_region_destroy (&s->vram);
  drop (s);
}

/* Places in memory are taken at their word later. */
static bool
qxl_post_load (VmDevice *dev, GError **error)
{
  Qxl *s = (Qxl *) dev;
  bool ok = s->mode <= QXL_IN_BETWEEN;

  for (unsigned i = 0; ok && i < QXL_SLOTS; i++)
    {
      uint64_t room = s->slot_bar[i] ? s->vram.size : s->main_size;
      ok = !s->slot_active[i]
           || (s->slot_bar[i] <= 1 && s->slot_start[i] <= room && s->slot_size[i] <= room - s->slot_start[i]);
    }
  for (unsigned i = 0; ok && i < QXL_SURFACES; i++)
    {
      uint64_t room = s->surface_bar[i] ? s->vram.size : s->main_size;
      uint64_t row = (uint64_t) ABS ((int64_t) (int32_t) s->surface_stride[i]);
      uint64_t bytes = qxl_bytes_of (s->surface_format[i]);
      ok = !s->surface_format[i]
           || (bytes && s->surface_bar[i] <= 1 && s->surface_width[i] <= QXL_SIDE_MAX
               && s->surface_height[i] <= QXL_SIDE_MAX && row >= s->surface_width[i] * bytes
               && s->surface_start[i] <= room && row * s->surface_height[i] <= room - s->surface_start[i]);
    }
  if (!ok || (s->mode == QXL_IN_NATIVE && !s->surface_format[0]))
    return vm_fail (error, "the state of %s makes no sense", vm_device_path (dev));
  s->shown = NULL;
  s->n_dirty = 0;
  vga_core_update_window (&s->vga);
  s->vga.redraw_all = s->vga.palette_dirty = s->vga.font_dirty = true;
  vm_console_move_cursor (s->vga.console, s->cursor_x, s->cursor_y, s->cursor_visible);
  return true;
}

static const VmProp qxl_props[] = {
  VM_PROP ("ram_size", Qxl, ram_size, 64 * VM_MIB, "bytes of BAR 0: frame buffer and commands"),
  VM_PROP ("vram_size", Qxl, vram_size, 64 * VM_MIB, "bytes of BAR 1: surfaces"),
  VM_PROP ("revision", Qxl, revision, 5, "of the PCI function"),
  VM_PROP ("debug", Qxl, debug, 0, "tells of primary surfaces"),
  VM_PROP ("guestdebug", Qxl, guestdebug, 0, "what the driver has to say goes to the log"),
  VM_PROP ("cmdlog", Qxl, cmdlog, 0, "tells of each command"),
  VM_PROP ("ram_size_mb", Qxl, ram_size_mb, UINT32_MAX, "the same as ram_size in MiB"),
  VM_PROP ("vram_size_mb", Qxl, vram_size_mb, UINT32_MAX, "the same as vram_size in MiB"),
  VM_PROP ("vram64_size_mb", Qxl, vram64_size_mb, UINT32_MAX, "MiB of surfaces in a 64-bit BAR"),
  VM_PROP ("vgamem_mb", Qxl, vga.vgamem_mb, 16, "MiB of frame buffer"),
  VM_PROP ("surfaces", Qxl, surfaces, QXL_SURFACES, "how many there may be"),
  VM_PROP ("max_outputs", Qxl, max_outputs, 0, "most monitors there may be; the card has one"),
  VM_PROP ("xres", Qxl, xres, 0, "has no effect: the driver asks the viewer"),
  VM_PROP ("yres", Qxl, yres, 0, "has no effect: the driver asks the viewer"),
  VM_PROP ("global-vmstate", Qxl, global_vmstate, false, "accepted for old machine types"),
  { 0 },
};

static const VmField qxl_state[] = {
  VM_FIELD_EMBED (Qxl, vga, vga_core_state),
  VM_FIELD (Qxl, mode),
  VM_FIELD_ARRAY (Qxl, slot_active),
  VM_FIELD_ARRAY (Qxl, slot_bar),
  VM_FIELD_ARRAY (Qxl, slot_start),
  VM_FIELD_ARRAY (Qxl, slot_size),
  VM_FIELD_ARRAY (Qxl, surface_format),
  VM_FIELD_ARRAY (Qxl, surface_width),
  VM_FIELD_ARRAY (Qxl, surface_height),
  VM_FIELD_ARRAY (Qxl, surface_stride),
  VM_FIELD_ARRAY (Qxl, surface_bar),
  VM_FIELD_ARRAY (Qxl, surface_start),
  VM_FIELD (Qxl, free_first),
  VM_FIELD (Qxl, free_last),
  VM_FIELD (Qxl, free_any),
  VM_FIELD (Qxl, cursor_x),
  VM_FIELD (Qxl, cursor_y),
  VM_FIELD (Qxl, cursor_visible),
  VM_FIELD_TIMER_OF (Qxl, timer),
  { 0 },
};

/* What both have. */
#define QXL_CLASS                                                                                                      \
  .parent = { .realize = qxl_realize,                                                                                  \
              .unrealize = qxl_unrealize,                                                                              \
              .reset = qxl_reset,                                                                                      \
              .post_load = qxl_post_load,                                                                              \
              .category = "Display",                                                                                   \
              .user_creatable = true },                                                                                \
  .vendor = REDHAT_PCI_VENDOR_ID, .device = QXL_DEVICE_ID_STABLE

static const VmPciClass qxl_class = {
  QXL_CLASS,
  .class_id = 0x0380,
};

const VmType vm_qxl_type = {
  .name = "qxl",
  .parent = &vm_pci_device_type,
  .size = sizeof (Qxl),
  .help = "QXL 2D card, a second one",
  .props = qxl_props,
  .state = qxl_state,
  .klass = &qxl_class,
};

static const VmPciClass qxl_vga_class = {
  QXL_CLASS,
  .class_id = 0x0300,
  .romfile = "vgabios-qxl.bin",
};

const VmType vm_qxl_vga_type = {
  .name = "qxl-vga",
  .parent = &vm_pci_device_type,
  .size = sizeof (Qxl),
  .help = "QXL 2D card with VGA",
  .props = qxl_props,
  .state = qxl_state,
  .klass = &qxl_vga_class,
};
