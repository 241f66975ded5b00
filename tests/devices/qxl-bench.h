/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A QXL card on the bench, and the driver's half of the protocol. */
#pragma once

#include "devices/display/qxl.h"
#include "tests/devices/disk-rig.h"

#include <spice/enums.h>

#define QXL_BENCH_PORTS 0xc000
#define QXL_BENCH_VRAM 0xe8000000u
#define QXL_BENCH_ROM 0xf0000000u
#define QXL_BENCH_WIDTH 64
#define QXL_BENCH_HEIGHT 48
#define QXL_BENCH_AT(slot, offset) ((QXLPHYSICAL) (slot) << 56 | (offset))

extern const VmType vm_qxl_type, vm_qxl_vga_type;

typedef struct QxlBench
{
  DiskRig rig;
  Qxl *card;
  uint8_t *ram, *vram;
  QXLRam *header;
  uint64_t next; /* free place in RAM */
} QxlBench;

/* With slots 1 (all of BAR 0 but its end) and 2 (all of BAR 1), and a primary surface of 32 bits at the beginning. */
void qxl_bench_init (QxlBench *b);
void qxl_bench_clear (QxlBench *b);
static inline void
qxl_bench_out (QxlBench *b, unsigned port, uint8_t value)
{
  rig_outb (&b->rig.rig, (uint16_t) (QXL_BENCH_PORTS + port), value);
}
/* SIZE bytes of the guest's memory, zeroed; *AT is their address. */
void *qxl_bench_alloc (QxlBench *b, size_t size, QXLPHYSICAL *at);
void qxl_bench_push (QxlBench *b, uint32_t type, QXLPHYSICAL data);
void qxl_bench_push_cursor (QxlBench *b, QXLPHYSICAL data);
/* What the console shows. */
uint32_t qxl_bench_pixel (QxlBench *b, int x, int y);
