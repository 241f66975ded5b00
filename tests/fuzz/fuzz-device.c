/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One ISA device on the bench under random accesses: FUZZ_DEVICE says which. */
#include "block/block.h"
#include "devices/firmware/fw-cfg.h"
#include "devices/input/i8042.h"
#include "devices/storage/fdc.h"
#include "devices/storage/piix3-ide.h"
#include "devices/timer/i8257.h"
#include "engine/display/display.h"
#include "engine/input/input.h"
#include "tests/devices/isa-rig.h"
#include "tests/fuzz/fuzz.h"

#include <glib/gstdio.h>

#define RAM_SIZE (2 * VM_MIB)

extern const VmType vm_isa_serial_type, vm_isa_parallel_type, vm_isa_vga_type;

typedef struct Bench {
  IsaRig     isa;
  VmDisplay *display;
  VmInput   *input;
  VmDrive   *drives[2];
  VmDevice  *loose; /* on no bus */
} Bench;

typedef struct Target {
  const char *name;
  void      (*set_up) (Bench *b);
  struct { uint16_t first, count; } ports[4];
  struct { uint32_t first, size; } memory;
} Target;

static VmDevice *
add (Bench *b, const VmType *type, VmBus *bus)
{
  VmDevice *dev = vm_device_new (type);

  rig_add (&b->isa.rig, dev, bus);
  return dev;
}

static void
add_isa (Bench *b, const VmType *type)
{
  add (b, type, &b->isa.bus->parent);
}

static VmDrive *
make_drive (Bench *b, const char *id, uint64_t size, bool cdrom)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("vitrine-fuzz-XXXXXX", &path, NULL);
  VmDrive *drive;

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  g_close (fd, NULL);
  VmDriveOptions options = { .id = id, .file = path, .format = "raw", .cdrom = cdrom, .readonly = cdrom };
  drive = vm_drive_new (b->isa.rig.env.root, b->isa.rig.env.loop, &options, &error);
  g_assert_no_error (error);
  g_unlink (path);
  return drive;
}

static void
set_up_serial (Bench *b)
{
  add_isa (b, &vm_isa_serial_type);
}

static void
set_up_parallel (Bench *b)
{
  add_isa (b, &vm_isa_parallel_type);
}

static void
set_up_i8042 (Bench *b)
{
  add_isa (b, &vm_i8042_type);
}

static void
set_up_vga (Bench *b)
{
  add_isa (b, &vm_isa_vga_type);
}

static void
set_up_fw_cfg (Bench *b)
{
  b->loose = add (b, &vm_fw_cfg_io_type, NULL);
  vm_fw_cfg_add_file ((VmFwCfg *) b->loose, "opt/fuzz", "0123456789", 10, NULL);
}

static void
set_up_dma (Bench *b)
{
  for (int i = 0; i < 2; i++)
    {
      VmI8257 *dma = (VmI8257 *) vm_device_new (&vm_i8257_type);

      dma->base = i ? 0xc0 : 0;
      dma->page_base = i ? 0x88 : 0x80;
      dma->pageh_base = -1;
      dma->dshift = i;
      rig_add (&b->isa.rig, dma, &b->isa.bus->parent);
    }
}

static void
set_up_fdc (Bench *b)
{
  VmDevice *dev, *floppy;

  set_up_dma (b);
  dev = add (b, &vm_isa_fdc_type, &b->isa.bus->parent);
  b->drives[0] = make_drive (b, "floppy", 1474560, false);
  floppy = vm_device_new (&vm_floppy_type);
  ((VmFloppy *) floppy)->conf.drive = b->drives[0];
  rig_add (&b->isa.rig, floppy, g_ptr_array_index (dev->buses, 0));
}

static void
set_up_ide (Bench *b)
{
  VmDevice *dev = add (b, &vm_isa_ide_type, &b->isa.bus->parent);

  for (int i = 0; i < 2; i++)
    {
      VmIdeDevice *disk = (VmIdeDevice *) vm_device_new (i ? &vm_ide_cd_type : &vm_ide_hd_type);

      b->drives[i] = make_drive (b, i ? "cd" : "disk", (i ? 3 : 5) * VM_MIB + 2048, i == 1);
      disk->conf.drive = b->drives[i];
      disk->unit_number = (uint32_t) i;
      rig_add (&b->isa.rig, disk, g_ptr_array_index (dev->buses, 0));
    }
}

static const Target targets[] = {
  { "serial", set_up_serial, { { 0x3f8, 8 } }, { 0 } },
  { "parallel", set_up_parallel, { { 0x378, 8 } }, { 0 } },
  { "i8042", set_up_i8042, { { 0x60, 1 }, { 0x64, 1 } }, { 0 } },
  { "vga", set_up_vga, { { 0x3b0, 0x30 }, { 0x1ce, 3 } }, { 0xa0000, 0x20000 } },
  { "fdc", set_up_fdc, { { 0x3f0, 8 }, { 0, 16 }, { 0x80, 16 }, { 0xc0, 32 } }, { 0, RAM_SIZE } },
  { "ide", set_up_ide, { { 0x1f0, 8 }, { 0x3f6, 1 } }, { 0 } },
  { "fw-cfg", set_up_fw_cfg, { { 0x510, 12 } }, { 0, RAM_SIZE } },
};

static const Target *
find_target (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (targets); i++)
    if (!strcmp (targets[i].name, FUZZ_DEVICE))
      return &targets[i];
  g_assert_not_reached ();
}

/* Completions of disks are real, and come when the loop runs. */
static void
settle (Bench *b)
{
  for (size_t i = 0; i < G_N_ELEMENTS (b->drives); i++)
    if (b->drives[i] && b->drives[i]->block)
      vm_block_drain (b->drives[i]->block);
  while (vm_loop_iterate (b->isa.rig.env.loop, false))
    ;
}

static unsigned
count_ports (const Target *target)
{
  unsigned n = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (target->ports); i++)
    n += target->ports[i].count;
  return n;
}

static uint16_t
nth_port (const Target *target, unsigned n)
{
  size_t i = 0;

  for (; n >= target->ports[i].count; i++)
    n -= target->ports[i].count;
  return (uint16_t) (target->ports[i].first + n);
}

enum { OP_OUT, OP_OUT_AGAIN, OP_IN, OP_MEMORY, OP_WAIT, OP_BURST, OP_INPUT, OP_SETTLE };

static void
step (Bench *b, const Target *target, Input *in)
{
  Rig *rig = &b->isa.rig;
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << (op >> 3 & 3) % 3;
  uint16_t port = nth_port (target, take (in, 1) % count_ports (target));

  switch (op & 7)
    {
    case OP_OUT: case OP_OUT_AGAIN:
      rig_out (rig, port, take (in, size), size);
      break;
    case OP_IN:
      rig_in (rig, port, size);
      break;
    case OP_MEMORY:
      if (target->memory.size)
        {
          uint64_t addr = target->memory.first + take (in, 3) % target->memory.size;

          if (op & 0x80)
            rig_store (rig, addr, take (in, size), size);
          else
            rig_load (rig, addr, size);
        }
      break;
    case OP_WAIT:
      rig_advance (rig, (int64_t) take (in, 2) * ((op & 0x80) ? VM_NS_PER_US : 100));
      break;
    case OP_BURST: /* data registers want many */
      for (unsigned n = take (in, 1) * 4; n; n--)
        if (op & 0x80)
          rig_out (rig, port, n * 0x1010101u, size);
        else
          rig_in (rig, port, size);
      break;
    case OP_INPUT:
      vm_input_key (b->input, NULL, (uint16_t) take (in, 1), op & 0x80);
      vm_input_motion (b->input, NULL, (int8_t) take (in, 1), (int8_t) op);
      break;
    case OP_SETTLE:
      settle (b);
      break;
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const Target *target = find_target ();
  Input in = { data, size };
  Bench bench = { 0 }, *b = &bench;
  VmEnv *env = &b->isa.rig.env;

  isa_rig_init (&b->isa, RAM_SIZE);
  env->display = b->display = vm_display_new (env->loop, env->clocks);
  env->input = b->input = vm_input_new (env->loop);
  target->set_up (b);
  while (in.left)
    step (b, target, &in);
  settle (b);
  if (b->loose)
    rig_remove (b->loose);
  rig_remove (b->isa.bridge);
  vm_input_free (b->input);
  vm_display_free (b->display);
  rig_clear (&b->isa.rig);
}
