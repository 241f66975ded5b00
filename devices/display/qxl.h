/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL, a 2D card that takes drawing commands (spice/qxl_dev.h of the SPICE protocol headers): what its files share.
 *
 * All that the guest points to is in one of two BARs, found through memory slots; every reach is checked against its
 * slot, and every structure is copied before it is looked into. Commands are carried out here, into the surfaces in the
 * guest's memory, whether or not somebody looks by SPICE: no library sees what a guest wrote. */
#pragma once

#include "devices/display/vga.h"
#include "devices/pci/pci.h"

#include <spice/qxl_dev.h>

#define QXL_SLOTS 8
#define QXL_SURFACES 1024
#define QXL_SIDE_MAX 16384 /* pixels of a surface */
#define QXL_DIRTY_MAX 64
#define QXL_CHUNKS_MAX 65536

typedef enum QxlMode
{
  QXL_IN_VGA,
  QXL_IN_NATIVE,
  QXL_IN_BETWEEN
} QxlMode;

typedef struct Qxl
{
  VmPciDevice parent;
  /* properties */
  uint32_t ram_size, revision, debug, guestdebug, cmdlog, ram_size_mb, vram_size_mb, vram64_size_mb, xres, yres;
  uint64_t vram_size;
  int32_t surfaces;
  uint16_t max_outputs;
  bool global_vmstate;
  /* wiring */
  VmConsoleOps console_ops;
  VmRegion vram, rom, io; /* BARs 1 to 3; BAR 0 is the memory of VGA */
  VmRegion vram32;        /* BAR 1, when BAR 4 has more of the same memory */
  bool has_vram64;
  uint64_t main_size, header;  /* bytes of BAR 0, and where QXLRam is in it */
  VmTimer timer;               /* commands that one round left over */
  uint32_t *lines[4];          /* QXL_SIDE_MAX pixels each: what is drawn with */
  VmRect dirty[QXL_DIRTY_MAX]; /* of the primary: drawn, not yet shown */
  unsigned n_dirty;
  VmSurface *shown; /* borrowed: the surface of the console that is the primary's; NULL: none */
  VgaCore vga;
  /* guest state */
  uint32_t mode; /* QxlMode */
  uint8_t slot_active[QXL_SLOTS], slot_bar[QXL_SLOTS];
  uint64_t slot_start[QXL_SLOTS], slot_size[QXL_SLOTS]; /* in its BAR's memory */
  uint32_t surface_format[QXL_SURFACES];                /* 0: there is none */
  uint32_t surface_width[QXL_SURFACES], surface_height[QXL_SURFACES], surface_stride[QXL_SURFACES];
  uint8_t surface_bar[QXL_SURFACES];
  uint64_t surface_start[QXL_SURFACES]; /* of its lowest byte */
  uint64_t free_first, free_last;       /* the id of the first of those to be given back, and where the last is */
  bool free_any;
  int32_t cursor_x, cursor_y;
  bool cursor_visible;
} Qxl;

/* Memory with a BAR behind it. */
typedef struct QxlMem
{
  uint8_t *at;
  unsigned bar;
  uint64_t offset;
} QxlMem;

/* qxl-memory.c */
static inline QXLRam *
qxl_ram (const Qxl *s)
{
  return (QXLRam *) (s->vga.vram.ram->host + s->header);
}
static inline QXLRom *
qxl_rom (const Qxl *s)
{
  return (QXLRom *) s->rom.ram->host;
}
void qxl_complain (Qxl *s, const char *what, uint64_t value);
/* SIZE bytes at a guest's address; false: not all of them are in one slot. */
bool qxl_find (Qxl *s, QXLPHYSICAL addr, uint64_t size, QxlMem *mem);
bool qxl_read (Qxl *s, QXLPHYSICAL addr, void *buf, uint64_t size);
/* Tells who tracks writes. */
void qxl_written (Qxl *s, unsigned bar, uint64_t offset, uint64_t size);
/* Bytes of a chain of chunks whose first header is at ADDR: *SIZE of them, or fewer when there are no more. NULL: it
 * makes no sense, or there is no memory. */
uint8_t *qxl_gather (Qxl *s, QXLPHYSICAL addr, uint64_t *size);
bool qxl_add_slot (Qxl *s, unsigned slot, uint64_t start, uint64_t end);
void qxl_remove_slot (Qxl *s, unsigned slot);

/* qxl-ring.c */
void qxl_raise (Qxl *s, uint32_t events);
void qxl_update_irq (Qxl *s);
void qxl_init_rings (Qxl *s);
/* Carries out what is in the rings, up to a limit; the rest later. */
void qxl_run (Qxl *s);
void qxl_flush_releases (Qxl *s);
bool qxl_create_surface (Qxl *s, uint32_t id, uint32_t format, uint32_t width, uint32_t height, int32_t stride,
                         QXLPHYSICAL data);
void qxl_destroy_surface (Qxl *s, uint32_t id);

/* qxl-image.c */
typedef struct QxlImage
{
  int width, height;
  const uint8_t *rows; /* the top one */
  ptrdiff_t stride;
  uint8_t format; /* SPICE_BITMAP_FMT_* */
  bool alpha;     /* its pixels have one */
  uint32_t palette[256];
  uint8_t *own; /* NULL: the rows are the guest's */
} QxlImage;
bool qxl_open_image (Qxl *s, QXLPHYSICAL addr, QxlImage *image);
bool qxl_open_surface (Qxl *s, uint32_t id, QxlImage *image);
void qxl_close_image (QxlImage *image);
/* N pixels from X on; those outside are 0. Without alpha it is opaque. */
void qxl_image_line (const QxlImage *image, int x, int y, int n, uint32_t *out);
bool qxl_image_bit (const QxlImage *image, int x, int y); /* of a mask */
void qxl_store_line (uint32_t format, uint8_t *row, int x, int n, const uint32_t *pixels);
unsigned qxl_bytes_of (uint32_t surface_format); /* a pixel; 0: unknown format */

/* qxl-draw.c: returns about how many pixels that were */
uint64_t qxl_draw (Qxl *s, QXLPHYSICAL addr);

/* qxl-cursor.c */
void qxl_cursor_command (Qxl *s, QXLPHYSICAL addr);

/* qxl.c */
void qxl_dirty (Qxl *s, VmRect rect); /* of the primary */
