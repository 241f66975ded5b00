/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The GPU device, 2D (OASIS Virtual I/O Device 1.2, 5.7).
 *
 * Pixels of resources and the lists of guest pages behind them lie in one RAM block of the device's own, the arena,
 * which is saved as RAM is. What is where in it is in a table of fixed size. */
#pragma once

#include "devices/display/vga.h"
#include "devices/virtio/virtio.h"

#define GPU_MAX_OUTPUTS 16
#define GPU_RESOURCES 4096
#define GPU_MAX_SIDE 16384
#define GPU_MAX_ENTRIES 16384 /* of a list of guest pages */
#define GPU_NOWHERE UINT64_MAX

enum
{ /* answers (5.7.6.7) */
  GPU_OK_NODATA = 0x1100,
  GPU_OK_DISPLAY_INFO = 0x1101,
  GPU_OK_EDID = 0x1104,
  GPU_ERR_UNSPEC = 0x1200,
  GPU_ERR_OUT_OF_MEMORY = 0x1201,
  GPU_ERR_INVALID_SCANOUT = 0x1202,
  GPU_ERR_INVALID_RESOURCE = 0x1203,
  GPU_ERR_INVALID_PARAMETER = 0x1205,
};

/* Saved as they are. */
typedef struct GpuResource
{
  uint32_t id;     /* 0: the slot is free */
  uint32_t format; /* 0: a blob */
  uint32_t width, height;
  uint64_t pixels, size; /* in the arena: WIDTH * HEIGHT words; of a blob, SIZE alone */
  uint64_t entries;      /* in the arena: GpuEntry; GPU_NOWHERE: none */
  uint32_t n_entries, unused;
} GpuResource;
G_STATIC_ASSERT (sizeof (GpuResource) == 48);

typedef struct GpuEntry
{ /* guest memory */
  uint64_t addr;
  uint32_t len, unused;
} GpuEntry;
G_STATIC_ASSERT (sizeof (GpuEntry) == 16);

typedef struct GpuExtent
{ /* taken, in the arena */
  uint64_t offset, size;
} GpuExtent;

typedef struct GpuFrame
{ /* how pixels lie in a resource */
  uint32_t format, width, height, stride;
  uint64_t offset;
} GpuFrame;

typedef struct VirtioGpu VirtioGpu;

typedef struct GpuOutput
{
  VirtioGpu *gpu;
  unsigned n;
  VmConsole *console;
  bool loaded; /* a state was: draw all */
  /* what the viewer wants */
  uint32_t wish_x, wish_y, wish_width, wish_height, wish_mm_x, wish_mm_y, wish_refresh; /* width 0: nothing */
  /* guest state */
  uint32_t resource;            /* 0: off */
  uint32_t x, y, width, height; /* what of it is shown */
  uint32_t format, frame_width, frame_height, stride;
  uint64_t offset;
  uint32_t cursor, cursor_x, cursor_y, hot_x, hot_y; /* a resource; 0: hidden */
} GpuOutput;

struct VirtioGpu
{
  VmVirtio parent;
  /* properties */
  uint32_t max_outputs, xres, yres;
  uint64_t max_hostmem;
  bool edid, blob;
  /* wiring */
  VgaCore *vga; /* of virtio-vga: has output 0 while the driver does not */
  VmConsoleOps console_ops;
  VmRamBlock *arena;
  GArray *extents; /* GpuExtent, in order */
  GHashTable *ids; /* id -> slot + 1 */
  uint64_t work;   /* bytes of pixels moved in this round */
  /* guest state */
  GpuOutput output[GPU_MAX_OUTPUTS];
  GpuResource *resources;
  uint32_t resources_size;
  uint64_t hostmem; /* bytes of pixels */
  uint32_t events;  /* events_read */
};

extern const VmType vm_virtio_gpu_type;
extern const VmProp virtio_gpu_props[];

/* --- virtio-gpu-resource.c --------------------------------------------------------------------------------- */

bool gpu_arena_init (VirtioGpu *g, GError **error);
void gpu_arena_clear (VirtioGpu *g);
/* Derives extents and ids from the table; false: it cannot be right. */
bool gpu_arena_loaded (VirtioGpu *g);
GpuResource *gpu_resource_find (const VirtioGpu *g, uint32_t id); /* NULL: there is none */
/* These say GPU_OK_NODATA or why not. */
uint32_t gpu_resource_create (VirtioGpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
uint32_t gpu_resource_create_blob (VirtioGpu *g, uint32_t id, uint64_t size);
/* N entries of 16 bytes as the driver wrote them, from OFFSET of what is for reading. */
uint32_t gpu_resource_attach (VirtioGpu *g, GpuResource *r, const VmVirtqElement *e, size_t offset, uint32_t n);
void gpu_resource_detach (VirtioGpu *g, GpuResource *r);
void gpu_resource_free (VirtioGpu *g, GpuResource *r);
void gpu_resource_free_all (VirtioGpu *g);
uint32_t gpu_resource_transfer (VirtioGpu *g, GpuResource *r, const VmRect *rect, uint64_t offset);
bool gpu_format_valid (uint32_t format);
/* Does RECT of FRAME lie inside R? */
bool gpu_frame_fits (const GpuResource *r, const GpuFrame *frame, uint32_t x, uint32_t y, uint32_t width,
                     uint32_t height);
/* WIDTH x HEIGHT pixels at X, Y of FRAME become words 0xAARRGGBB at OUT, whose lines are STRIDE bytes. */
void gpu_frame_read (VirtioGpu *g, const GpuResource *r, const GpuFrame *frame, uint32_t x, uint32_t y, uint32_t width,
                     uint32_t height, uint8_t *out, size_t stride);
