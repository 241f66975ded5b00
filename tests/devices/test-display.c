/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Display cards: what their registers and commands put on the screen. */
#include "devices/display/cirrus.h"
#include "devices/display/vmware.h"
#include "engine/display/display.h"
#include "tests/devices/disk-rig.h"
#include "tests/devices/virtio-rig.h"

extern const VmType vm_secondary_vga_type, vm_bochs_display_type, vm_cirrus_pci_type, vm_vmware_svga_type,
    vm_virtio_gpu_pci_type;

#define PORTS 0xc000u
#define VRAM DISK_RIG_BAR
#define SECOND (DISK_RIG_BAR + 128 * VM_MIB)

/* --- cards on the bench -------------------------------------------------------------------------------------- */

typedef struct Bench
{
  DiskRig r;
  VmDisplay *display;
  VmConsole *console;
} Bench;

static void
bench_init (Bench *b, const VmType *type, unsigned vram_bar, unsigned second_bar)
{
  disk_rig_init (&b->r);
  b->display = b->r.rig.env.display = vm_display_new (b->r.rig.env.loop, b->r.rig.env.clocks);
  disk_rig_add (&b->r, type, vram_bar, (const char *const[]){ "romfile", "", NULL });
  if (vram_bar)
    disk_rig_set_config (&b->r, PCI_BAR0, PORTS, 4);
  disk_rig_set_config (&b->r, PCI_BAR0 + 4 * second_bar, (uint32_t) SECOND, 4);
  b->console = vm_display_console (b->display, 0);
}

static void
bench_clear (Bench *b)
{
  rig_remove (g_steal_pointer (&b->r.dev));
  disk_rig_settle (&b->r);
  vm_display_free (b->display);
  disk_rig_clear (&b->r);
}

static void
out (Bench *b, uint16_t port, uint32_t value, unsigned size)
{
  rig_out (&b->r.rig, port, value, size);
}

static uint32_t
pixel (VmConsole *console, int x, int y)
{
  const VmSurface *surface;

  vm_console_refresh_now (console);
  surface = vm_console_surface (console);
  g_assert_nonnull (surface);
  g_assert_cmpint (x, <, surface->width);
  g_assert_cmpint (y, <, surface->height);
  return ((const uint32_t *) (surface->data + (size_t) y * surface->stride))[x] & 0xffffff;
}

static void
check_size (VmConsole *console, int width, int height)
{
  int w, h;

  vm_console_refresh_now (console);
  vm_console_size (console, &w, &h);
  g_assert_cmpint (w, ==, width);
  g_assert_cmpint (h, ==, height);
}

/* --- Bochs VBE in memory ---------------------------------------------------------------------------------------- */

static void
vbe_write (Bench *b, unsigned reg, uint16_t value)
{
  rig_store (&b->r.rig, SECOND + 0x500 + 2 * reg, value, 2);
}

static void
check_bochs (const VmType *type)
{
  VmUiInfo info = { .width = 1024, .height = 600 };
  Bench b;
  int w, h;

  bench_init (&b, type, 0, 2);
  vm_console_refresh_now (b.console);
  vm_console_size (b.console, &w, &h);
  g_assert_cmpint (w, ==, 0); /* nothing to show yet */
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 0x500, 2), ==, 0xb0c5);
  g_assert_cmphex (rig_load (&b.r.rig, SECOND, 8), ==, 0x00ffffffffffff00);
  vbe_write (&b, VBE_XRES, 800);
  vbe_write (&b, VBE_YRES, 600);
  vbe_write (&b, VBE_BPP, 32);
  vbe_write (&b, VBE_ENABLE, VBE_ENABLED | VBE_LFB);
  check_size (b.console, 800, 600);
  rig_store (&b.r.rig, VRAM + (5 * 800 + 7) * 4, 0x123456, 4);
  g_assert_cmphex (pixel (b.console, 7, 5), ==, 0x123456);
  rig_store (&b.r.rig, SECOND + 0x604, 0xbebebebe, 4);
  g_assert_cmphex (pixel (b.console, 7, 5), ==, 0x341200);
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 0x604, 4), ==, 0xbebebebe);

  /* A viewer's wish is the preferred mode. */
  g_assert_true (vm_console_wants_ui_info (b.console));
  vm_console_request_ui_info (b.console, &info);
  for (int i = 0; i < 40; i++)
    {
      g_usleep (10000);
      disk_rig_settle (&b.r);
    }
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 54 + 2, 1), ==, 1024 & 0xff);
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 54 + 5, 1), ==, 600 & 0xff);
  bench_clear (&b);
}

static void
test_bochs_display (void)
{
  check_bochs (&vm_bochs_display_type);
}

static void
test_secondary_vga (void)
{
  check_bochs (&vm_secondary_vga_type);
}

/* A picture may begin anywhere in a line, as Linux's driver puts it at any page, while all of it is in the memory. */
static void
check_offsets (const VmType *type)
{
  const uint32_t page = 4096, line = 800 * 4;
  Bench b;

  bench_init (&b, type, 0, 2);
  vbe_write (&b, VBE_XRES, 800);
  vbe_write (&b, VBE_YRES, 600);
  vbe_write (&b, VBE_BPP, 32);
  vbe_write (&b, VBE_ENABLE, VBE_ENABLED | VBE_LFB);
  rig_store (&b.r.rig, VRAM + page, 0x123456, 4);
  rig_store (&b.r.rig, VRAM + page + 799 * 4, 0x654321, 4);
  vbe_write (&b, VBE_X_OFFSET, page % line / 4);
  vbe_write (&b, VBE_Y_OFFSET, page / line);
  g_assert_cmphex (pixel (b.console, 0, 0), ==, 0x123456);
  g_assert_cmphex (pixel (b.console, 799, 0), ==, 0x654321);

  uint16_t lines = (uint16_t) rig_load (&b.r.rig, SECOND + 0x500 + 2 * VBE_VIRT_HEIGHT, 2);
  vbe_write (&b, VBE_Y_OFFSET, lines - 601); /* its last line ends in the memory's last */
  g_assert_cmpuint (rig_load (&b.r.rig, SECOND + 0x500 + 2 * VBE_X_OFFSET, 2), ==, page % line / 4);
  vbe_write (&b, VBE_Y_OFFSET, lines - 600);
  g_assert_cmpuint (rig_load (&b.r.rig, SECOND + 0x500 + 2 * VBE_X_OFFSET, 2), ==, 0);
  vbe_write (&b, VBE_Y_OFFSET, 0);
  vbe_write (&b, VBE_X_OFFSET, 800); /* that would be the next line's beginning */
  g_assert_cmpuint (rig_load (&b.r.rig, SECOND + 0x500 + 2 * VBE_X_OFFSET, 2), ==, 0);
  bench_clear (&b);
}

static void
test_offsets (void)
{
  check_offsets (&vm_bochs_display_type);
  check_offsets (&vm_secondary_vga_type);
}

/* --- Cirrus --------------------------------------------------------------------------------------------------------
 */

enum
{
  PITCH = 640,
  LINES = 480
};

static void
gr (Bench *b, uint8_t index, uint8_t value)
{
  out (b, 0x3ce, (uint32_t) (value << 8 | index), 2);
}

static void
sr (Bench *b, uint8_t index, uint8_t value)
{
  out (b, 0x3c4, (uint32_t) (value << 8 | index), 2);
}

static void
cr (Bench *b, uint8_t index, uint8_t value)
{
  out (b, 0x3d4, (uint32_t) (value << 8 | index), 2);
}

/* 640 x 480 with DEPTH as SR7 says it. */
static void
cirrus_mode (Bench *b, uint8_t depth, uint8_t hidden_dac, unsigned bytes)
{
  out (b, 0x3c2, 0xe3, 1);
  sr (b, 0x06, 0x12);
  sr (b, 0x07, depth);
  sr (b, 0x04, 0x0e);
  sr (b, 0x02, 0xff);
  gr (b, 0x05, 0x40);
  gr (b, 0x06, 0x05);
  cr (b, 0x11, 0);
  cr (b, 0x01, 79);
  cr (b, 0x07, 0x02);
  cr (b, 0x12, 0xdf);
  cr (b, 0x18, 0xff);
  cr (b, 0x07, 0x12);
  cr (b, 0x09, 0x40);
  cr (b, 0x13, (uint8_t) (PITCH * bytes / 8));
  cr (b, 0x1b, PITCH * bytes / 8 > 255 ? 0x32 : 0x22);
  out (b, 0x3c6, 0xff, 1);
  for (int i = 0; i < 4; i++)
    rig_inb (&b->r.rig, 0x3c6);
  out (b, 0x3c6, hidden_dac, 1);
  rig_inb (&b->r.rig, 0x3da);
  out (b, 0x3c0, 0x20, 1);
}

static void
blt_32 (Bench *b, unsigned reg, uint32_t value)
{
  rig_store (&b->r.rig, SECOND + 0x100 + reg, value, 4);
}

typedef struct Job
{
  unsigned width, height, dst_pitch, src_pitch;
  uint32_t dst, src;
  uint8_t mode, rop, ext, skip;
  uint32_t fg, bg, key;
} Job;

static void
blt (Bench *b, const Job *j)
{
  blt_32 (b, 0x00, j->bg);
  blt_32 (b, 0x04, j->fg);
  blt_32 (b, 0x08, (j->width - 1) | (j->height - 1) << 16);
  blt_32 (b, 0x0c, j->dst_pitch | j->src_pitch << 16);
  rig_store (&b->r.rig, SECOND + 0x110, j->dst, 2);
  rig_store (&b->r.rig, SECOND + 0x112, j->dst >> 16, 1);
  blt_32 (b, 0x14, j->src | (uint32_t) j->skip << 24);
  rig_store (&b->r.rig, SECOND + 0x118, j->mode, 1);
  rig_store (&b->r.rig, SECOND + 0x11a, j->rop, 1);
  rig_store (&b->r.rig, SECOND + 0x11b, j->ext, 1);
  rig_store (&b->r.rig, SECOND + 0x11c, j->key, 2);
  rig_store (&b->r.rig, SECOND + 0x140, BLT_START, 1);
}

static void
fill_vram (Bench *b)
{
  for (unsigned i = 0; i < 0x20000; i += 4)
    rig_store (&b->r.rig, VRAM + i, i * 2654435761u, 4);
}

static uint8_t
byte_at (Bench *b, uint32_t at)
{
  return (uint8_t) rig_load (&b->r.rig, VRAM + at, 1);
}

static uint8_t
rop_model (uint8_t rop, uint8_t s, uint8_t d)
{
  switch (rop)
    {
    case 0x00:
      return 0;
    case 0x05:
      return s & d;
    case 0x06:
      return d;
    case 0x09:
      return s & (uint8_t) ~d;
    case 0x0b:
      return (uint8_t) ~d;
    case 0x0d:
      return s;
    case 0x0e:
      return 0xff;
    case 0x50:
      return (uint8_t) ~s & d;
    case 0x59:
      return s ^ d;
    case 0x6d:
      return s | d;
    case 0x90:
      return (uint8_t) ~s & (uint8_t) ~d;
    case 0x95:
      return (uint8_t) ~(s ^ d);
    case 0xad:
      return s | (uint8_t) ~d;
    case 0xd0:
      return (uint8_t) ~s;
    case 0xd6:
      return (uint8_t) ~s | d;
    default:
      return (uint8_t) (~s | ~d);
    }
}

static void
test_cirrus_modes (void)
{
  Bench b;

  bench_init (&b, &vm_cirrus_pci_type, 0, 1);
  sr (&b, 0x06, 0x12);
  g_assert_cmphex (rig_inb (&b.r.rig, 0x3c5), ==, 0x12);
  out (&b, 0x3c2, 1, 1);
  out (&b, 0x3d4, 0x27, 1);
  g_assert_cmphex (rig_inb (&b.r.rig, 0x3d5), ==, 0xb8);

  cirrus_mode (&b, 0x11, 0, 1);
  out (&b, 0x3c8, 7, 1);
  out (&b, 0x3c9, 63, 1);
  out (&b, 0x3c9, 0, 1);
  out (&b, 0x3c9, 63, 1);
  rig_store (&b.r.rig, VRAM + 3 * PITCH + 9, 7, 1);
  check_size (b.console, 640, 480);
  g_assert_cmphex (pixel (b.console, 9, 3), ==, 0xff00ff);
  /* The same byte through the window, by its bank. */
  gr (&b, 0x09, 0);
  g_assert_cmphex (rig_load (&b.r.rig, 0xa0000 + 3 * PITCH + 9, 1), ==, 7);
  gr (&b, 0x09, 0x10);
  rig_store (&b.r.rig, 0xa0000, 0x5a, 1);
  g_assert_cmphex (byte_at (&b, 0x10000), ==, 0x5a);
  gr (&b, 0x0b, 0x01);
  gr (&b, 0x09, 1);
  gr (&b, 0x0a, 0x20);
  rig_store (&b.r.rig, 0xa8004, 0x3c, 1);
  rig_store (&b.r.rig, 0xa0004, 0x3d, 1);
  g_assert_cmphex (byte_at (&b, 0x20004), ==, 0x3c);
  g_assert_cmphex (byte_at (&b, 0x01004), ==, 0x3d);
  /* Write mode 4: bits are pixels in the foreground colour. */
  gr (&b, 0x0b, 0x06);
  gr (&b, 0x09, 0);
  gr (&b, 0x05, 0x44);
  gr (&b, 0x01, 0x99);
  rig_store (&b.r.rig, 0xa0000 + 0x800, 0x81, 1);
  gr (&b, 0x05, 0x40);
  gr (&b, 0x0b, 0x00);
  g_assert_cmphex (byte_at (&b, 0x4000), ==, 0x99);
  g_assert_cmphex (byte_at (&b, 0x4007), ==, 0x99);
  g_assert_cmphex (byte_at (&b, 0x4001), ==, 0);

  cirrus_mode (&b, 0x17, 0xc1, 2);
  rig_store (&b.r.rig, VRAM + (2 * PITCH + 4) * 2, 0xf81f, 2);
  g_assert_cmphex (pixel (b.console, 4, 2), ==, 0xff00ff);
  cirrus_mode (&b, 0x17, 0xc0, 2);
  g_assert_cmphex (pixel (b.console, 4, 2), ==, 0xf700ff);
  cirrus_mode (&b, 0x15, 0xc5, 3);
  rig_store (&b.r.rig, VRAM + (2 * PITCH + 4) * 3, 0x112233, 4);
  g_assert_cmphex (pixel (b.console, 4, 2), ==, 0x112233);
  cirrus_mode (&b, 0x19, 0xc5, 4);
  rig_store (&b.r.rig, VRAM + (2 * PITCH + 4) * 4, 0x445566, 4);
  g_assert_cmphex (pixel (b.console, 4, 2), ==, 0x445566);
  bench_clear (&b);
}

static void
test_cirrus_rops (void)
{
  static const uint8_t rops[]
      = { 0x00, 0x05, 0x06, 0x09, 0x0b, 0x0d, 0x0e, 0x50, 0x59, 0x6d, 0x90, 0x95, 0xad, 0xd0, 0xd6, 0xda };
  Bench b;

  bench_init (&b, &vm_cirrus_pci_type, 0, 1);
  cirrus_mode (&b, 0x11, 0, 1);
  for (size_t i = 0; i < G_N_ELEMENTS (rops); i++)
    {
      uint8_t before[7 * 100], source[7 * 100];

      fill_vram (&b);
      for (unsigned y = 0; y < 7; y++)
        for (unsigned x = 0; x < 100; x++)
          {
            before[y * 100 + x] = byte_at (&b, 0x8000 + y * PITCH + x);
            source[y * 100 + x] = byte_at (&b, 0x1003 + y * 512 + x);
          }
      blt (&b, &(Job){ .width = 100,
                       .height = 7,
                       .dst_pitch = PITCH,
                       .src_pitch = 512,
                       .dst = 0x8000,
                       .src = 0x1003,
                       .rop = rops[i] });
      for (unsigned y = 0; y < 7; y++)
        for (unsigned x = 0; x < 100; x++)
          g_assert_cmphex (byte_at (&b, 0x8000 + y * PITCH + x), ==,
                           rop_model (rops[i], source[y * 100 + x], before[y * 100 + x]));
      g_assert_cmphex (rig_load (&b.r.rig, SECOND + 0x140, 1) & (BLT_BUSY | BLT_START), ==, 0);
    }
  /* Backwards onto itself, as scrolling down does it. */
  fill_vram (&b);
  uint8_t old = byte_at (&b, 0x1000 + 9 * PITCH + 49);
  blt (&b, &(Job){ .width = 50,
                   .height = 10,
                   .dst_pitch = PITCH,
                   .src_pitch = PITCH,
                   .dst = 0x1000 + 10 * PITCH + 49,
                   .src = 0x1000 + 9 * PITCH + 49,
                   .mode = BLT_BACKWARDS,
                   .rop = 0x0d });
  g_assert_cmphex (byte_at (&b, 0x1000 + 10 * PITCH + 49), ==, old);
  g_assert_cmphex (byte_at (&b, 0x1000 + 1 * PITCH), ==, byte_at (&b, 0x1000));
  bench_clear (&b);
}

static void
test_cirrus_patterns (void)
{
  Bench b;

  bench_init (&b, &vm_cirrus_pci_type, 0, 1);
  cirrus_mode (&b, 0x17, 0xc1, 2);
  /* A solid rectangle of 16-bit pixels. */
  blt (&b, &(Job){ .width = 20,
                   .height = 3,
                   .dst_pitch = PITCH * 2,
                   .dst = 0x2000,
                   .fg = 0x1234,
                   .mode = BLT_EXPAND | BLT_PATTERN | 1 << BLT_WIDTH_SHIFT,
                   .rop = 0x0d,
                   .ext = BLT_EXT_SOLID });
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x2000, 4), ==, 0x12341234);
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x2000 + 2 * PITCH * 2 + 16, 4), ==, 0x12341234);
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x2000 + 20, 2), ==, 0);
  /* A pattern of colours: line 3 first. */
  for (unsigned i = 0; i < 64; i++)
    rig_store (&b.r.rig, VRAM + 0x4000 + 2 * i, 0x100 + i, 2);
  blt (&b, &(Job){ .width = 40,
                   .height = 6,
                   .dst_pitch = PITCH * 2,
                   .dst = 0x6000,
                   .src = 0x4003,
                   .mode = BLT_PATTERN | 1 << BLT_WIDTH_SHIFT,
                   .rop = 0x0d });
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x6000 + 18, 2), ==, 0x100 + 3 * 8 + 1);
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x6000 + 5 * PITCH * 2, 2), ==, 0x100);
  /* Bits from the processor: two colours, then one with the rest left alone; three pixels skipped. */
  for (unsigned transparent = 0; transparent < 2; transparent++)
    {
      rig_store (&b.r.rig, VRAM + 0x8000, 0x77777777, 4);
      rig_store (&b.r.rig, VRAM + 0x8004, 0x77777777, 4);
      rig_store (&b.r.rig, VRAM + 0x8008, 0x77777777, 4);
      blt (&b, &(Job){ .width = 16,
                       .height = 2,
                       .dst_pitch = PITCH * 2,
                       .dst = 0x8000,
                       .fg = 0xaaaa,
                       .bg = 0xbbbb,
                       .mode = (uint8_t) (BLT_EXPAND | BLT_SRC_SYSTEM | 1 << BLT_WIDTH_SHIFT
                                          | (transparent ? BLT_TRANSPARENT : 0)),
                       .rop = 0x0d,
                       .skip = 3 });
      g_assert_cmphex (rig_load (&b.r.rig, SECOND + 0x140, 1) & BLT_BUSY, ==, BLT_BUSY);
      rig_store (&b.r.rig, VRAM + 16 * VM_MIB, 0x15, 1);
      rig_store (&b.r.rig, VRAM + 16 * VM_MIB, 0xff, 1);
      g_assert_cmphex (rig_load (&b.r.rig, SECOND + 0x140, 1) & BLT_BUSY, ==, 0);
      g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x8004, 2), ==, 0x7777);
      g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x8006, 2), ==, 0xaaaa);
      g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x8008, 2), ==, transparent ? 0x7777 : 0xbbbb);
      g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0x8000 + PITCH * 2 + 8, 2), ==, 0xaaaa);
    }
  /* Pixels from the processor, written anywhere in the frame buffer; those of the key colour are left out. */
  rig_store (&b.r.rig, VRAM + 0xa000, 0x77777777, 4);
  blt (&b, &(Job){ .width = 6,
                   .height = 1,
                   .dst_pitch = PITCH * 2,
                   .dst = 0xa000,
                   .key = 0x2222,
                   .mode = BLT_SRC_SYSTEM | BLT_TRANSPARENT | 1 << BLT_WIDTH_SHIFT,
                   .rop = 0x0d });
  rig_store (&b.r.rig, VRAM, 0x22221111, 4);
  rig_store (&b.r.rig, VRAM + 4, 0x3333, 4);
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0xa000, 4), ==, 0x77771111);
  g_assert_cmphex (rig_load (&b.r.rig, VRAM + 0xa004, 2), ==, 0x3333);
  /* Past the end of VRAM it begins anew; nothing breaks. */
  blt (&b, &(Job){ .width = 0x2000,
                   .height = 0x400,
                   .dst_pitch = 0x1fff,
                   .src_pitch = 0x1fff,
                   .dst = 0x3fffff,
                   .src = 0x3ffffe,
                   .rop = 0x59 });
  blt (&b, &(Job){ .width = 0x2000,
                   .height = 0x400,
                   .dst_pitch = 0x1fff,
                   .src_pitch = 0x1fff,
                   .dst = 0x10,
                   .src = 0x3ffffe,
                   .rop = 0x59,
                   .mode = BLT_BACKWARDS });
  bench_clear (&b);
}

static void
test_cirrus_cursor (void)
{
  VmListenerOps ops = { 0 };
  VmListener listener = { .ops = &ops };
  const uint32_t at = 4 * VM_MIB - 16 * VM_KIB + 2 * 256;
  VmCursor *cursor;
  bool visible, changed;
  int x, y;
  Bench b;

  bench_init (&b, &vm_cirrus_pci_type, 0, 1);
  cirrus_mode (&b, 0x11, 0, 1);
  rig_store (&b.r.rig, VRAM + at, 0xc0, 1);       /* plane 0 of line 0 */
  rig_store (&b.r.rig, VRAM + at + 128, 0xa0, 1); /* plane 1 */
  sr (&b, 0x12, 0x03);
  out (&b, 0x3c8, 0x0f, 1);
  out (&b, 0x3c9, 63, 1);
  out (&b, 0x3c9, 0, 1);
  out (&b, 0x3c9, 0, 1);
  sr (&b, 0x13, 2);
  sr (&b, 0x10 | 5 << 5, 10);
  sr (&b, 0x11 | 2 << 5, 20);
  vm_listener_add (b.display, &listener, b.console);
  vm_console_refresh_now (b.console);
  cursor = vm_listener_cursor (&listener, b.console, &x, &y, &visible, &changed);
  g_assert_true (visible);
  g_assert_cmpint (x, ==, 85);
  g_assert_cmpint (y, ==, 162);
  g_assert_nonnull (cursor);
  g_assert_cmpint (cursor->width, ==, 32);
  g_assert_cmphex (cursor->data[0], ==, 0xffff0000); /* both planes: colour 15 */
  g_assert_cmphex (cursor->data[3], ==, 0);
  vm_cursor_unref (cursor);
  sr (&b, 0x12, 0x02);
  vm_console_refresh_now (b.console);
  vm_cursor_unref (vm_listener_cursor (&listener, b.console, &x, &y, &visible, &changed));
  g_assert_false (visible);
  vm_listener_remove (b.display, &listener);
  bench_clear (&b);
}

/* --- VMware SVGA -----------------------------------------------------------------------------------------------------
 */

static void
svga_write (Bench *b, uint32_t reg, uint32_t value)
{
  out (b, PORTS, reg, 4);
  out (b, PORTS + 1, value, 4);
}

static uint32_t
svga_read (Bench *b, uint32_t reg)
{
  out (b, PORTS, reg, 4);
  return rig_in (&b->r.rig, PORTS + 1, 4);
}

static void
push (Bench *b, const uint32_t *words, unsigned n)
{
  uint32_t next = (uint32_t) rig_load (&b->r.rig, SECOND + 8, 4);

  for (unsigned i = 0; i < n; i++)
    {
      rig_store (&b->r.rig, SECOND + next, words[i], 4);
      next = next + 4 == 0x2000 ? 0x1000 : next + 4;
    }
  rig_store (&b->r.rig, SECOND + 8, next, 4);
}
#define PUSH(b, ...) push ((b), (const uint32_t[]){ __VA_ARGS__ }, sizeof ((uint32_t[]){ __VA_ARGS__ }) / 4)

static void
test_vmware (void)
{
  VmListenerOps ops = { 0 };
  VmListener listener = { .ops = &ops };
  VmCursor *cursor;
  bool visible, changed;
  int x, y;
  Bench b;

  bench_init (&b, &vm_vmware_svga_type, 1, 2);
  svga_write (&b, 0, 0x90000002);
  g_assert_cmphex (svga_read (&b, 0), ==, 0x90000002);
  svga_write (&b, 2, 640);
  svga_write (&b, 3, 400);
  svga_write (&b, 1, 1);
  check_size (b.console, 640, 400);
  g_assert_cmpuint (svga_read (&b, 12), ==, 640 * 4);
  rig_store (&b.r.rig, VRAM + (10 * 640 + 20) * 4, 0xabcdef, 4);
  g_assert_cmphex (pixel (b.console, 20, 10), ==, 0xabcdef);

  rig_store (&b.r.rig, SECOND, 0x1000, 4);
  rig_store (&b.r.rig, SECOND + 4, 0x2000, 4);
  rig_store (&b.r.rig, SECOND + 8, 0x1000, 4);
  rig_store (&b.r.rig, SECOND + 12, 0x1000, 4);
  svga_write (&b, 20, 1);
  PUSH (&b, 3, 20, 10, 100, 50, 4, 4);    /* RECT_COPY */
  PUSH (&b, 2, 0x112233, 638, 398, 9, 9); /* RECT_FILL, over the edge */
  PUSH (&b, 1, 0, 0, 640, 400);           /* UPDATE */
  PUSH (&b, 30, 77);                      /* FENCE */
  svga_write (&b, 33, 1);
  svga_write (&b, 21, 1);
  g_assert_cmpuint (svga_read (&b, 22), ==, 0);
  g_assert_cmpuint (rig_load (&b.r.rig, SECOND + 4 * FIFO_FENCE, 4), ==, 77);
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 12, 4), ==, rig_load (&b.r.rig, SECOND + 8, 4));
  g_assert_cmphex (rig_in (&b.r.rig, PORTS + 8, 4), ==, SVGA_IRQ_ANY_FENCE);
  out (&b, PORTS + 8, SVGA_IRQ_ANY_FENCE, 4);
  g_assert_cmphex (rig_in (&b.r.rig, PORTS + 8, 4), ==, 0);
  g_assert_cmphex (pixel (b.console, 100, 50), ==, 0xabcdef);
  g_assert_cmphex (pixel (b.console, 639, 399), ==, 0x112233);

  /* Half a command waits for the other half. */
  PUSH (&b, 2, 0x445566, 0);
  svga_write (&b, 21, 1);
  g_assert_cmphex (pixel (b.console, 0, 0), ==, 0);
  PUSH (&b, 0, 1, 1);
  svga_write (&b, 21, 1);
  g_assert_cmphex (pixel (b.console, 0, 0), ==, 0x445566);

  vm_listener_add (b.display, &listener, b.console);
  PUSH (&b, 22, 1, 1, 0, 2, 2, 0xff112233, 0, 0x80402010, 0xffffffff); /* DEFINE_ALPHA_CURSOR */
  PUSH (&b, 21, 30, 40);
  PUSH (&b, 20, 1, 1);
  svga_write (&b, 21, 1);
  cursor = vm_listener_cursor (&listener, b.console, &x, &y, &visible, &changed);
  g_assert_true (visible);
  g_assert_cmpint (x, ==, 30);
  g_assert_cmpint (cursor->hot_x, ==, 1);
  g_assert_cmphex (cursor->data[2], ==, 0x80402010);
  vm_cursor_unref (cursor);
  PUSH (&b, 19, 2, 0, 0, 8, 1, 1, 1, 0xf0, 0x30); /* DEFINE_CURSOR: masks of one bit */
  svga_write (&b, 21, 1);
  cursor = vm_listener_cursor (&listener, b.console, &x, &y, &visible, &changed);
  g_assert_cmphex (cursor->data[0], ==, 0);
  g_assert_cmphex (cursor->data[2], ==, 0xff808080);
  g_assert_cmphex (cursor->data[4], ==, 0xff000000);
  vm_cursor_unref (cursor);
  vm_listener_remove (b.display, &listener);

  /* Many big copies take their time, and the guest may wait for them. */
  svga_write (&b, 2, 2560);
  svga_write (&b, 3, 1600);
  for (int i = 0; i < 20; i++)
    PUSH (&b, 3, 0, 0, 0, 1, 2560, 1599);
  svga_write (&b, 21, 1);
  g_assert_cmphex (rig_load (&b.r.rig, SECOND + 12, 4), !=, rig_load (&b.r.rig, SECOND + 8, 4));
  for (int i = 0; i < 20 && svga_read (&b, 22); i++)
    ;
  g_assert_cmpuint (svga_read (&b, 22), ==, 0);
  svga_write (&b, 1, 0); /* a VGA again */
  vm_console_refresh_now (b.console);
  bench_clear (&b);
}

/* --- virtio-gpu ------------------------------------------------------------------------------- */

#define REQUEST 0x200000u
#define ANSWER 0x201000u
#define ENTRIES 0x202000u
#define PICTURE 0x300000u

/* A command of N words on QUEUE, and N_ENTRIES at ENTRIES; the answer's type. */
static uint32_t
command (VirtioRig *r, unsigned queue, const uint32_t *words, unsigned n, unsigned n_entries)
{
  VirtioRigPiece pieces[3] = { { REQUEST, n * 4, false }, { ENTRIES, n_entries * 16, false }, { ANSWER, 2048, true } };

  for (unsigned i = 0; i < n; i++)
    rig_store (&r->rig, REQUEST + 4 * i, words[i], 4);
  if (!n_entries)
    pieces[1] = pieces[2];
  virtio_rig_add_chain (r, queue, pieces, n_entries ? 3 : 2, false);
  virtio_rig_ring (r, queue);
  virtio_rig_settle (r);
  g_assert_cmpint (virtio_rig_take (r, queue), >=, 24);
  return (uint32_t) rig_load (&r->rig, ANSWER, 4);
}
#define COMMAND(r, q, n_entries, ...)                                                                                  \
  command ((r), (q), (const uint32_t[]){ __VA_ARGS__ }, sizeof ((uint32_t[]){ __VA_ARGS__ }) / 4, (n_entries))
#define HEAD(type) (type), 0, 0, 0, 0, 0

static uint32_t
answer (VirtioRig *r, unsigned offset)
{
  return (uint32_t) rig_load (&r->rig, ANSWER + offset, 4);
}

static void
add_entry (VirtioRig *r, unsigned n, uint32_t addr, uint32_t len)
{
  rig_store (&r->rig, ENTRIES + 16 * n, addr, 8);
  rig_store (&r->rig, ENTRIES + 16 * n + 8, len, 8);
}

static void
test_virtio_gpu (void)
{
  static const char *const props[]
      = { "max_outputs", "2", "xres", "1024", "yres", "768", "max_hostmem", "1M", "blob", "on", NULL };
  VmUiInfo info = { .width = 500, .height = 300 };
  VmConsole *first, *second;
  VirtioRig rig, *r = &rig;

  virtio_rig_init (r);
  virtio_rig_add (r, &vm_virtio_gpu_pci_type, props);
  first = vm_display_console (r->rig.env.display, 0);
  second = vm_display_console (r->rig.env.display, 1);
  g_assert_cmpstr (vm_console_name (second), ==, "virtio-gpu-pci.1");
  virtio_rig_start (r, UINT64_MAX, 2, 16);
  g_assert_cmpuint (virtio_rig_read (r, MODERN_CONFIG + 8, 4), ==, 2);

  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x100)), ==, 0x1101);
  g_assert_cmpuint (answer (r, 24 + 8), ==, 1024);
  g_assert_cmpuint (answer (r, 24 + 16), ==, 1);
  g_assert_cmpuint (answer (r, 24 + 24 + 16), ==, 0);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x10a), 0, 0), ==, 0x1104);
  g_assert_cmpuint (answer (r, 24), ==, 256);
  g_assert_cmphex (answer (r, 32), ==, 0xffffff00);

  /* 100 x 50 of R8G8B8X8, its memory in two pieces. */
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x101), 5, 134, 100, 50), ==, 0x1100);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x101), 5, 134, 100, 50), ==, 0x1203);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x101), 6, 134, 10000, 5000), ==, 0x1201);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x101), 6, 5, 10, 10), ==, 0x1205);
  add_entry (r, 0, PICTURE, 4000);
  add_entry (r, 1, PICTURE + 0x10000, 20000);
  g_assert_cmphex (COMMAND (r, 0, 2, HEAD (0x106), 5, 2), ==, 0x1100);
  rig_store (&r->rig, PICTURE + (3 * 100 + 4) * 4, 0x332211, 4);
  rig_store (&r->rig, PICTURE + 0x10000 + (20 * 100 + 4) * 4 - 4000, 0x665544, 4);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x105), 0, 0, 100, 50, 0, 0, 5, 0), ==, 0x1100);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x105), 1, 0, 100, 50, 0, 0, 5, 0), ==, 0x1205);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x103), 0, 0, 100, 50, 0, 5), ==, 0x1100);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x103), 0, 0, 100, 50, 2, 5), ==, 0x1202);
  check_size (first, 100, 50);
  g_assert_cmphex (pixel (first, 4, 3), ==, 0x112233);
  g_assert_cmphex (pixel (first, 4, 20), ==, 0x445566);
  /* Part of it on the second output; a change shows when it is flushed. */
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x103), 4, 3, 20, 20, 1, 5), ==, 0x1100);
  check_size (second, 20, 20);
  g_assert_cmphex (pixel (second, 0, 0), ==, 0x112233);
  rig_store (&r->rig, PICTURE + (3 * 100 + 4) * 4, 0x998877, 4);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x105), 4, 3, 1, 1, (3 * 100 + 4) * 4, 0, 5, 0), ==, 0x1100);
  g_assert_cmphex (pixel (second, 0, 0), ==, 0x112233);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x104), 0, 0, 100, 50, 5, 0), ==, 0x1100);
  g_assert_cmphex (pixel (second, 0, 0), ==, 0x778899);
  g_assert_cmphex (pixel (first, 4, 3), ==, 0x778899);
  /* A fence comes back with its number. */
  g_assert_cmphex (COMMAND (r, 0, 0, 0x104, 1, 0x1234, 0x5678, 0, 0, 0, 0, 100, 50, 5, 0), ==, 0x1100);
  g_assert_cmphex (answer (r, 4), ==, 1);
  g_assert_cmphex (answer (r, 8), ==, 0x1234);

  /* A blob: guest memory itself. */
  add_entry (r, 0, PICTURE + 0x20000, 8192);
  g_assert_cmphex (COMMAND (r, 0, 1, HEAD (0x10c), 9, 1, 0, 1, 0, 0, 8192, 0), ==, 0x1100);
  rig_store (&r->rig, PICTURE + 0x20000 + 256 + 4, 0x0badc0, 4);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x10d), 0, 0, 30, 31, 1, 9, 30, 31, 2, 0, 256, 0, 0, 0, 0, 0, 0, 0), ==,
                   0x1100);
  g_assert_cmphex (pixel (second, 1, 1), ==, 0x0badc0);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x10d), 0, 0, 30, 33, 1, 9, 30, 33, 2, 0, 256, 0, 0, 0, 0, 0, 0, 0), ==,
                   0x1205);

  g_assert_cmphex (COMMAND (r, 1, 0, HEAD (0x300), 0, 7, 8, 0, 5, 1, 2, 0), ==, 0x1100);
  g_assert_cmphex (COMMAND (r, 1, 0, HEAD (0x301), 5, 7, 8, 0, 0, 0, 0, 0), ==, 0x1202);

  /* A viewer of the second output comes. */
  g_assert_true (vm_console_wants_ui_info (second));
  vm_console_request_ui_info (second, &info);
  for (int i = 0; i < 40; i++)
    {
      g_usleep (10000);
      virtio_rig_settle (r);
      rig_advance (&r->rig, VM_NS_PER_MS);
    }
  g_assert_cmphex (virtio_rig_read (r, MODERN_CONFIG, 4), ==, 1);
  virtio_rig_write (r, MODERN_CONFIG + 4, 1, 4);
  g_assert_cmphex (virtio_rig_read (r, MODERN_CONFIG, 4), ==, 0);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x100)), ==, 0x1101);
  g_assert_cmpuint (answer (r, 24 + 24 + 8), ==, 500);
  g_assert_cmpuint (answer (r, 24 + 24 + 16), ==, 1);

  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x102), 5, 0), ==, 0x1100);
  g_assert_cmphex (COMMAND (r, 0, 0, HEAD (0x102), 5, 0), ==, 0x1203);
  g_assert_cmphex (pixel (first, 4, 3), ==, 0);
  virtio_rig_clear (r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/display/bochs-display", test_bochs_display);
  g_test_add_func ("/display/secondary-vga", test_secondary_vga);
  g_test_add_func ("/display/offsets", test_offsets);
  g_test_add_func ("/display/cirrus/modes", test_cirrus_modes);
  g_test_add_func ("/display/cirrus/rops", test_cirrus_rops);
  g_test_add_func ("/display/cirrus/patterns", test_cirrus_patterns);
  g_test_add_func ("/display/cirrus/cursor", test_cirrus_cursor);
  g_test_add_func ("/display/vmware", test_vmware);
  g_test_add_func ("/display/virtio-gpu", test_virtio_gpu);
  return g_test_run ();
}
