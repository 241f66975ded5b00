/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See qxl-bench.h. */
#include "tests/devices/qxl-bench.h"

void
qxl_bench_init (QxlBench *b)
{
  DiskRig *r = &b->rig;

  *b = (QxlBench){ .next = VM_MIB };
  disk_rig_init (r);
  r->rig.env.display = vm_display_new (r->rig.env.loop, r->rig.env.clocks);
  disk_rig_add (
      r, &vm_qxl_type, 0,
      (const char *const[]){ "romfile", "", "ram_size_mb", "8", "vram_size_mb", "4", "vgamem_mb", "4", NULL });
  disk_rig_set_config (r, PCI_BAR0 + 4, QXL_BENCH_VRAM, 4);
  disk_rig_set_config (r, PCI_BAR0 + 8, QXL_BENCH_ROM, 4);
  disk_rig_set_config (r, PCI_BAR0 + 12, QXL_BENCH_PORTS, 4);
  disk_rig_set_config (r, PCI_COMMAND, 7, 2);
  b->card = (Qxl *) r->dev;
  b->ram = b->card->vga.vram.ram->host;
  b->vram = b->card->vram.ram->host;
  b->header = (QXLRam *) (b->ram + b->card->header);
  b->header->int_mask = UINT32_MAX;
  b->header->mem_slot = (QXLMemSlot){ DISK_RIG_BAR, DISK_RIG_BAR + b->card->header };
  qxl_bench_out (b, QXL_IO_MEMSLOT_ADD, 1);
  b->header->mem_slot = (QXLMemSlot){ QXL_BENCH_VRAM, QXL_BENCH_VRAM + 4 * VM_MIB };
  qxl_bench_out (b, QXL_IO_MEMSLOT_ADD_ASYNC, 2);
  b->header->create_surface = (QXLSurfaceCreate){
    .width = QXL_BENCH_WIDTH,
    .height = QXL_BENCH_HEIGHT,
    .stride = QXL_BENCH_WIDTH * 4,
    .format = SPICE_SURFACE_FMT_32_xRGB,
    .mem = QXL_BENCH_AT (1, 0),
  };
  qxl_bench_out (b, QXL_IO_CREATE_PRIMARY, 0);
}

void
qxl_bench_clear (QxlBench *b)
{
  DiskRig *r = &b->rig;

  rig_remove (r->dev);
  r->dev = NULL;
  vm_display_free (r->rig.env.display);
  disk_rig_clear (r);
}

void *
qxl_bench_alloc (QxlBench *b, size_t size, QXLPHYSICAL *at)
{
  uint64_t offset = b->next;

  b->next += (size + 15) & ~(uint64_t) 15;
  *at = QXL_BENCH_AT (1, offset);
  memset (b->ram + offset, 0, size);
  return b->ram + offset;
}

void
qxl_bench_push (QxlBench *b, uint32_t type, QXLPHYSICAL data)
{
  QXLCommandRing *ring = &b->header->cmd_ring;

  ring->items[ring->prod % QXL_COMMAND_RING_SIZE].el = (QXLCommand){ .data = data, .type = type };
  ring->prod++;
  qxl_bench_out (b, QXL_IO_NOTIFY_CMD, 0);
}

void
qxl_bench_push_cursor (QxlBench *b, QXLPHYSICAL data)
{
  QXLCursorRing *ring = &b->header->cursor_ring;

  ring->items[ring->prod % QXL_CURSOR_RING_SIZE].el = (QXLCommand){ .data = data, .type = QXL_CMD_CURSOR };
  ring->prod++;
  qxl_bench_out (b, QXL_IO_NOTIFY_CURSOR, 0);
}

uint32_t
qxl_bench_pixel (QxlBench *b, int x, int y)
{
  vm_console_refresh_now (b->card->vga.console);
  const VmSurface *surface = vm_console_surface (b->card->vga.console);
  return *(const uint32_t *) (const void *) (surface->data + (size_t) y * surface->stride + 4 * x) & 0xffffff;
}
