/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMware SVGA II without 3D, guest memory regions and screen objects (VMware SVGA Device Developer Kit: registers,
 * FIFO, commands). */
#pragma once

#include "devices/display/vga.h"
#include "devices/pci/pci.h"

#define SVGA_FIFO_SIZE (64 * VM_KIB)
#define SVGA_SCRATCH_REGS 64
#define SVGA_MAX_CURSOR 256

enum
{ /* FIFO registers, in words */
  FIFO_MIN,
  FIFO_MAX,
  FIFO_NEXT_CMD,
  FIFO_STOP,
  FIFO_CAPABILITIES,
  FIFO_FLAGS,
  FIFO_FENCE,
  FIFO_3D_HWVERSION,
  FIFO_PITCHLOCK,
  FIFO_CURSOR_ON,
  FIFO_CURSOR_X,
  FIFO_CURSOR_Y,
  FIFO_CURSOR_COUNT,
  FIFO_CURSOR_LAST_UPDATED,
  FIFO_FENCE_GOAL = 289,
  FIFO_BUSY = 290,
  FIFO_NUM_REGS = 291,
};
enum
{ /* FIFO capabilities */
  FIFO_CAP_FENCE = 1 << 0,
  FIFO_CAP_PITCHLOCK = 1 << 2,
  FIFO_CAP_CURSOR_BYPASS_3 = 1 << 4,
  FIFO_CAP_RESERVE = 1 << 6,
};
enum
{
  SVGA_IRQ_ANY_FENCE = 1 << 0,
  SVGA_IRQ_PROGRESS = 1 << 1,
  SVGA_IRQ_FENCE_GOAL = 1 << 2
};

typedef struct VmwareSvga
{
  VmPciDevice parent;
  /* properties */
  bool global_vmstate;
  /* wiring */
  VmConsoleOps console_ops;
  VmRegion ports, fifo;
  VgaCore vga;
  uint32_t max_width, max_height;
  uint32_t cursor_count; /* as it was in the FIFO */
  /* guest state */
  uint32_t index, id, enable, config_done, width, height, guest_id, pitchlock;
  uint32_t cursor_id, cursor_x, cursor_y, cursor_on;
  uint32_t cursor_width, cursor_height, hot_x, hot_y; /* width 0: none was defined */
  uint8_t *cursor_data;                               /* words of premultiplied colours */
  uint32_t cursor_size;
  uint32_t irq_mask, irq_status;
  uint32_t scratch[SVGA_SCRATCH_REGS];
  VmTimer again; /* more in the FIFO than could be done at once */
} VmwareSvga;

/* vmware-svga.c */
bool svga_active (const VmwareSvga *s);    /* its own modes, not the VGA's */
uint32_t svga_pitch (const VmwareSvga *s); /* bytes */
void svga_raise (VmwareSvga *s, uint32_t irq);
void svga_move_cursor (VmwareSvga *s, uint32_t x, uint32_t y, bool on);
void svga_show_cursor (VmwareSvga *s); /* the one that was defined */

/* vmware-fifo.c */
uint32_t svga_fifo_read (const VmwareSvga *s, unsigned index);
void svga_fifo_write (VmwareSvga *s, unsigned index, uint32_t value);
/* Obeys what is in it; true: there is more, later. */
bool svga_fifo_run (VmwareSvga *s);
