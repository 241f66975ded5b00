/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A frame buffer in guest RAM: firmware says where by writing the fw_cfg file "etc/ramfb" (the published fw_cfg
 * interface: address, fourcc, flags, width, height and stride, most significant byte first). */
#include "devices/display/vga.h"
#include "devices/firmware/fw-cfg.h"
#include "engine/base/log.h"

enum
{
  CONFIG_SIZE = 28,
  MAX_SIDE = 16384
};
#define MAX_BYTES (256 * VM_MIB)
#define VGA_ROM "vgabios-ramfb.bin"

typedef struct RamFb
{
  VmDevice parent;
  /* wiring */
  VmConsole *console;
  uint8_t *shown; /* the lines as they were read last */
  size_t shown_size;
  bool redraw;
  /* guest state */
  uint8_t config[CONFIG_SIZE];
} RamFb;

typedef struct Picture
{ /* what CONFIG says */
  uint64_t addr;
  uint32_t fourcc, width, height, stride, line; /* LINE: bytes that are pixels */
} Picture;

#define FOURCC(a, b, c, d) ((uint32_t) (a) | (uint32_t) (b) << 8 | (uint32_t) (c) << 16 | (uint32_t) (d) << 24)
#define XRGB8888 FOURCC ('X', 'R', '2', '4')
#define ARGB8888 FOURCC ('A', 'R', '2', '4')
#define XBGR8888 FOURCC ('X', 'B', '2', '4')
#define ABGR8888 FOURCC ('A', 'B', '2', '4')
#define RGB888 FOURCC ('R', 'G', '2', '4')
#define BGR888 FOURCC ('B', 'G', '2', '4')
#define RGB565 FOURCC ('R', 'G', '1', '6')
#define XRGB1555 FOURCC ('X', 'R', '1', '5')

/* Bytes of a pixel; 0: not known. */
static unsigned
pixel_size (uint32_t fourcc)
{
  switch (fourcc)
    {
    case XRGB8888:
    case ARGB8888:
    case XBGR8888:
    case ABGR8888:
      return 4;
    case RGB888:
    case BGR888:
      return 3;
    case RGB565:
    case XRGB1555:
      return 2;
    default:
      return 0;
    }
}

/* False: none, or none that can be. */
static bool
parse_config (const RamFb *self, Picture *p)
{
  const uint8_t *c = self->config;

  *p = (Picture){ .addr = vm_load_be64 (c),
                  .fourcc = vm_load_be32 (c + 8),
                  .width = vm_load_be32 (c + 16),
                  .height = vm_load_be32 (c + 20),
                  .stride = vm_load_be32 (c + 24) };
  p->line = p->width <= MAX_SIDE ? p->width * pixel_size (p->fourcc) : 0;
  if (!p->stride)
    p->stride = p->line;
  return p->addr && p->line && p->height && p->height <= MAX_SIDE && p->stride >= p->line
         && (uint64_t) p->line * p->height <= MAX_BYTES && p->stride <= MAX_BYTES;
}

static void
convert_line (uint32_t fourcc, const uint8_t *in, uint32_t *out, uint32_t width)
{
  for (uint32_t x = 0; x < width; x++)
    switch (fourcc)
      {
      case XRGB8888:
      case ARGB8888:
        out[x] = vm_load_le32 (in + 4 * x);
        break;
      case XBGR8888:
      case ABGR8888:
        out[x] = (uint32_t) (in[4 * x] << 16 | in[4 * x + 1] << 8 | in[4 * x + 2]);
        break;
      case RGB888:
        out[x] = (uint32_t) (in[3 * x + 2] << 16 | in[3 * x + 1] << 8 | in[3 * x]);
        break;
      case BGR888:
        out[x] = (uint32_t) (in[3 * x] << 16 | in[3 * x + 1] << 8 | in[3 * x + 2]);
        break;
      case RGB565:
        out[x] = vga_rgb565 (vm_load_le16 (in + 2 * x));
        break;
      default:
        out[x] = vga_rgb555 (vm_load_le16 (in + 2 * x));
        break;
      }
}

/* Guest RAM at ADDR; what is none is black. */
static void
read_line (const RamFb *self, uint64_t addr, uint8_t *out, uint64_t len)
{
  while (len)
    {
      uint64_t n = len;
      VmRamBlock *block = NULL;
      void *host = vm_as_map (self->parent.env->memory_as, addr, &n, false, &block);

      if (!host)
        {
          memset (out, 0, len);
          return;
        }
      memcpy (out, host, n);
      vm_as_unmap (self->parent.env->memory_as, host, 0, block);
      addr += n;
      out += n;
      len -= n;
    }
}

static void
forget (RamFb *self)
{
  g_clear_pointer (&self->shown, g_free);
  self->shown_size = 0;
}

/* Room for PICTURE on the console and for comparing; false: the host has none. */
static bool
make_room (RamFb *self, const Picture *p, VmSurface **surface)
{
  size_t size = (size_t) p->line * p->height;

  *surface = vm_console_surface (self->console);
  if (!*surface || (uint32_t) (*surface)->width != p->width || (uint32_t) (*surface)->height != p->height)
    {
      *surface = vm_surface_new ((int) p->width, (int) p->height);
      if (!*surface)
        return false;
      vm_console_set_surface (self->console, *surface);
      self->redraw = true;
    }
  if (size != self->shown_size)
    {
      forget (self);
      self->shown = g_try_malloc (size);
      self->shown_size = self->shown ? size : 0;
      self->redraw = true;
    }
  return self->shown != NULL;
}

static void
ramfb_refresh (void *opaque)
{
  RamFb *self = opaque;
  g_autofree uint8_t *line = NULL;
  VmSurface *surface;
  Picture p;

  if (!parse_config (self, &p) || !make_room (self, &p, &surface))
    return;
  line = g_malloc (p.line);
  vm_console_lock (self->console);
  for (uint32_t y = 0; y < p.height; y++)
    {
      uint8_t *before = self->shown + (size_t) y * p.line;

      read_line (self, p.addr + (uint64_t) y * p.stride, line, p.line);
      if (!self->redraw && memcmp (before, line, p.line) == 0)
        continue;
      memcpy (before, line, p.line);
      convert_line (p.fourcc, line, (uint32_t *) (surface->data + (size_t) y * surface->stride), p.width);
      vm_console_damage (self->console, 0, (int) y, (int) p.width, 1);
    }
  vm_console_unlock (self->console);
  self->redraw = false;
}

static void
ramfb_invalidate (void *opaque)
{
  ((RamFb *) opaque)->redraw = true;
}

static const VmConsoleOps ramfb_console_ops = { .refresh = ramfb_refresh, .invalidate = ramfb_invalidate };

static void
config_written (void *opaque, const uint8_t *data, size_t size)
{
  RamFb *self = opaque;
  Picture p;

  memcpy (self->config, data, MIN (size, CONFIG_SIZE));
  self->redraw = true;
  if (!parse_config (self, &p))
    vm_guest_error (vm_device_path (&self->parent), "the frame buffer that was asked for cannot be");
}

/* SeaBIOS finds there what makes it a VGA BIOS; other firmware does without. */
static bool
add_vga_rom (VmDevice *dev, VmFwCfg *fw, GError **error)
{
  g_autofree char *path = vm_machine_find_file (dev->env->machine, VGA_ROM);
  g_autofree char *data = NULL;
  size_t size;

  if (!path || vm_fw_cfg_has_file (fw, "vgaroms/" VGA_ROM) || !g_file_get_contents (path, &data, &size, NULL))
    return true; /* nothing but SeaBIOS misses it */
  return vm_fw_cfg_add_file (fw, "vgaroms/" VGA_ROM, data, size, error);
}

static bool
ramfb_realize (VmDevice *dev, GError **error)
{
  RamFb *self = (RamFb *) dev;
  VmFwCfg *fw = vm_fw_cfg_find (dev->env->machine);
  uint8_t none[CONFIG_SIZE] = { 0 };

  if (!fw)
    return vm_fail (error, "ramfb needs a machine with fw_cfg");
  if (vm_fw_cfg_has_file (fw, "etc/ramfb"))
    return vm_fail (error, "at most one ramfb device is permitted");
  if (!vm_fw_cfg_add_writable_file (fw, "etc/ramfb", none, sizeof none, config_written, self, error)
      || !add_vga_rom (dev, fw, error))
    return false;
  self->console = vm_console_new (dev->env->display, dev, 0, &ramfb_console_ops, self);
  return true;
}

static void
ramfb_unrealize (VmDevice *dev)
{
  RamFb *self = (RamFb *) dev;

  g_clear_pointer (&self->console, vm_console_free);
  forget (self);
}

static void
ramfb_reset (VmDevice *dev, VmResetKind kind)
{
  RamFb *self = (RamFb *) dev;

  memset (self->config, 0, sizeof self->config);
  self->redraw = true;
}

static bool
ramfb_post_load (VmDevice *dev, GError **error)
{
  ((RamFb *) dev)->redraw = true;
  return true;
}

static const VmField ramfb_state[] = { VM_FIELD_ARRAY (RamFb, config), { 0 } };

static const VmDeviceClass ramfb_class = {
  .realize = ramfb_realize,
  .unrealize = ramfb_unrealize,
  .reset = ramfb_reset,
  .post_load = ramfb_post_load,
  .category = "Display",
  .user_creatable = true,
};

const VmType vm_ramfb_type = {
  .name = "ramfb",
  .parent = &vm_device_type,
  .size = sizeof (RamFb),
  .help = "Frame buffer in guest RAM, set up by firmware",
  .state = ramfb_state,
  .klass = &ramfb_class,
};
