/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resources of the GPU device (OASIS Virtual I/O Device 1.2, 5.7.6): their place in the arena, the guest memory behind
 * them, pixels. */
#include "devices/virtio/virtio-gpu.h"

#include <fcntl.h>

#define ARENA_MIN (16 * VM_MIB)

enum
{ /* bytes as they lie in memory (5.7.6.8) */
  FORMAT_B8G8R8A8 = 1,
  FORMAT_B8G8R8X8 = 2,
  FORMAT_A8R8G8B8 = 3,
  FORMAT_X8R8G8B8 = 4,
  FORMAT_R8G8B8A8 = 67,
  FORMAT_X8B8G8R8 = 68,
  FORMAT_A8B8G8R8 = 121,
  FORMAT_R8G8B8X8 = 134,
};

/* --- the arena --------------------------------------------------------------------------------------------- */

bool
gpu_arena_init (VirtioGpu *g, GError **error)
{
  VmMemory *memory = g->parent.parent.env->memory;

  /* Twice as much: gaps, and lists of pages. What nothing lies in costs nothing. */
  g->arena = vm_ram_block_new (memory, "virtio-gpu.hostmem",
                               MAX (VM_ALIGN_UP (g->max_hostmem, VM_PAGE_SIZE) * 2, ARENA_MIN), error);
  if (!g->arena)
    return false;
  g->extents = g_array_new (FALSE, FALSE, sizeof (GpuExtent));
  g->ids = g_hash_table_new (NULL, NULL);
  g->resources = g_new0 (GpuResource, GPU_RESOURCES);
  g->resources_size = GPU_RESOURCES * sizeof (GpuResource);
  return true;
}

void
gpu_arena_clear (VirtioGpu *g)
{
  g_clear_pointer (&g->extents, g_array_unref);
  g_clear_pointer (&g->ids, g_hash_table_unref);
  g_clear_pointer (&g->resources, g_free);
  g_clear_pointer (&g->arena, vm_ram_block_unref);
}

/* The first gap that is big enough; GPU_NOWHERE: there is none. */
static uint64_t
arena_take (VirtioGpu *g, uint64_t size)
{
  uint64_t at = 0;
  guint i;

  if (size > g->arena->size)
    return GPU_NOWHERE;
  size = VM_ALIGN_UP (size, VM_PAGE_SIZE);
  for (i = 0; i < g->extents->len; i++)
    {
      const GpuExtent *extent = &g_array_index (g->extents, GpuExtent, i);

      if (extent->offset - at >= size)
        break;
      at = extent->offset + extent->size;
    }
  if (g->arena->size - at < size)
    return GPU_NOWHERE;
  GpuExtent extent = { at, size };
  g_array_insert_val (g->extents, i, extent);
  return at;
}

static void
arena_give_back (VirtioGpu *g, uint64_t offset)
{
  for (guint i = 0; i < g->extents->len; i++)
    {
      GpuExtent extent = g_array_index (g->extents, GpuExtent, i);

      if (extent.offset != offset)
        continue;
      /* Zeros again, which the host need not keep. */
      if (fallocate (g->arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) (g->arena->fd_offset + offset),
                     (off_t) extent.size)
          < 0)
        memset (g->arena->host + offset, 0, extent.size);
      vm_ram_written (g->parent.parent.env->memory, g->arena, offset, extent.size);
      g_array_remove_index (g->extents, i);
      return;
    }
}

static gint
compare_extents (gconstpointer a, gconstpointer b)
{
  const GpuExtent *x = a, *y = b;

  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool
note_extent (VirtioGpu *g, uint64_t offset, uint64_t size)
{
  GpuExtent extent = { offset, size };

  if (offset % VM_PAGE_SIZE || !size || size > g->arena->size)
    return false;
  extent.size = VM_ALIGN_UP (size, VM_PAGE_SIZE);
  if (offset > g->arena->size - extent.size)
    return false;
  g_array_append_val (g->extents, extent);
  return true;
}

static bool
resource_loaded (VirtioGpu *g, uint32_t slot)
{
  const GpuResource *r = &g->resources[slot];

  if (!r->id)
    return true;
  if (g_hash_table_contains (g->ids, GUINT_TO_POINTER (r->id)) || r->n_entries > GPU_MAX_ENTRIES)
    return false;
  g_hash_table_insert (g->ids, GUINT_TO_POINTER (r->id), GUINT_TO_POINTER (slot + 1));
  if (r->format)
    {
      if (!gpu_format_valid (r->format) || r->width - 1 >= GPU_MAX_SIDE || r->height - 1 >= GPU_MAX_SIDE
          || r->size != (uint64_t) r->width * r->height * 4 || !note_extent (g, r->pixels, r->size))
        return false;
      g->hostmem += r->size;
    }
  else if (r->pixels != GPU_NOWHERE || !g->blob)
    return false;
  return r->entries == GPU_NOWHERE ? !r->n_entries
                                   : note_extent (g, r->entries, (uint64_t) r->n_entries * sizeof (GpuEntry));
}

bool
gpu_arena_loaded (VirtioGpu *g)
{
  g_hash_table_remove_all (g->ids);
  g_array_set_size (g->extents, 0);
  g->hostmem = 0;
  for (uint32_t slot = 0; slot < GPU_RESOURCES; slot++)
    if (!resource_loaded (g, slot))
      return false;
  g_array_sort (g->extents, compare_extents);
  for (guint i = 1; i < g->extents->len; i++)
    {
      const GpuExtent *extent = &g_array_index (g->extents, GpuExtent, i);

      if (extent[-1].offset + extent[-1].size > extent->offset)
        return false;
    }
  return g->hostmem <= g->max_hostmem;
}

/* --- resources --------------------------------------------------------------------------------------------- */

bool
gpu_format_valid (uint32_t format)
{
  switch (format)
    {
    case FORMAT_B8G8R8A8:
    case FORMAT_B8G8R8X8:
    case FORMAT_A8R8G8B8:
    case FORMAT_X8R8G8B8:
    case FORMAT_R8G8B8A8:
    case FORMAT_X8B8G8R8:
    case FORMAT_A8B8G8R8:
    case FORMAT_R8G8B8X8:
      return true;
    default:
      return false;
    }
}

GpuResource *
gpu_resource_find (const VirtioGpu *g, uint32_t id)
{
  uint32_t slot = GPOINTER_TO_UINT (g_hash_table_lookup (g->ids, GUINT_TO_POINTER (id)));

  return slot ? &g->resources[slot - 1] : NULL;
}

static uint32_t
resource_new (VirtioGpu *g, uint32_t id, GpuResource **r)
{
  uint32_t slot = 0;

  if (!id || gpu_resource_find (g, id))
    return GPU_ERR_INVALID_RESOURCE;
  while (slot < GPU_RESOURCES && g->resources[slot].id)
    slot++;
  if (slot == GPU_RESOURCES)
    return GPU_ERR_OUT_OF_MEMORY;
  *r = &g->resources[slot];
  **r = (GpuResource){ .id = id, .pixels = GPU_NOWHERE, .entries = GPU_NOWHERE };
  g_hash_table_insert (g->ids, GUINT_TO_POINTER (id), GUINT_TO_POINTER (slot + 1));
  return GPU_OK_NODATA;
}

uint32_t
gpu_resource_create (VirtioGpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
  uint64_t size = (uint64_t) width * height * 4;
  GpuResource *r;
  uint32_t answer;

  if (!gpu_format_valid (format) || width - 1 >= GPU_MAX_SIDE || height - 1 >= GPU_MAX_SIDE)
    return GPU_ERR_INVALID_PARAMETER;
  if (size > g->max_hostmem - g->hostmem)
    return GPU_ERR_OUT_OF_MEMORY;
  answer = resource_new (g, id, &r);
  if (answer != GPU_OK_NODATA)
    return answer;
  r->pixels = arena_take (g, size);
  if (r->pixels == GPU_NOWHERE)
    {
      gpu_resource_free (g, r);
      return GPU_ERR_OUT_OF_MEMORY;
    }
  r->format = format;
  r->width = width;
  r->height = height;
  r->size = size;
  g->hostmem += size;
  return GPU_OK_NODATA;
}

uint32_t
gpu_resource_create_blob (VirtioGpu *g, uint32_t id, uint64_t size)
{
  GpuResource *r;
  uint32_t answer = resource_new (g, id, &r);

  if (answer == GPU_OK_NODATA)
    r->size = size;
  return answer;
}

uint32_t
gpu_resource_attach (VirtioGpu *g, GpuResource *r, const VmVirtqElement *e, size_t offset, uint32_t n)
{
  size_t size = n * sizeof (GpuEntry);

  if (r->entries != GPU_NOWHERE || n > GPU_MAX_ENTRIES)
    return GPU_ERR_UNSPEC;
  if (!n)
    return GPU_OK_NODATA;
  if (vm_iov_size (vm_virtq_out (e), e->n_out) < offset + size)
    return GPU_ERR_INVALID_PARAMETER;
  r->entries = arena_take (g, size);
  if (r->entries == GPU_NOWHERE)
    return GPU_ERR_OUT_OF_MEMORY;
  r->n_entries = n;
  vm_iov_get (vm_virtq_out (e), e->n_out, offset, g->arena->host + r->entries, size);
  vm_ram_written (g->parent.parent.env->memory, g->arena, r->entries, size);
  return GPU_OK_NODATA;
}

void
gpu_resource_detach (VirtioGpu *g, GpuResource *r)
{
  if (r->entries != GPU_NOWHERE)
    arena_give_back (g, r->entries);
  r->entries = GPU_NOWHERE;
  r->n_entries = 0;
}

void
gpu_resource_free (VirtioGpu *g, GpuResource *r)
{
  gpu_resource_detach (g, r);
  if (r->pixels != GPU_NOWHERE)
    {
      arena_give_back (g, r->pixels);
      g->hostmem -= r->size;
    }
  g_hash_table_remove (g->ids, GUINT_TO_POINTER (r->id));
  memset (r, 0, sizeof *r);
}

void
gpu_resource_free_all (VirtioGpu *g)
{
  for (uint32_t slot = 0; slot < GPU_RESOURCES; slot++)
    if (g->resources[slot].id)
      gpu_resource_free (g, &g->resources[slot]);
}

/* --- guest memory behind them ------------------------------------------------------------------------------ */

typedef struct Cursor
{ /* goes forward through a list of pages */
  VirtioGpu *g;
  const GpuResource *r;
  uint32_t index;
  uint64_t start; /* of that entry */
} Cursor;

static GpuEntry
entry_at (const Cursor *c, uint32_t index)
{
  const uint8_t *at = c->g->arena->host + c->r->entries + index * sizeof (GpuEntry);

  return (GpuEntry){ .addr = vm_load_le64 (at), .len = vm_load_le32 (at + 8) };
}

/* LEN bytes of guest RAM; zeros for what is none. */
static void
read_ram (VirtioGpu *g, uint64_t addr, uint8_t *out, uint64_t len)
{
  VmVirtioBus *bus = vm_virtio_bus (&g->parent);

  while (len)
    {
      uint64_t n = len;
      VmRamBlock *block = NULL;
      void *host = vm_as_map (bus->as, addr, &n, false, &block);

      if (!host)
        {
          memset (out, 0, len);
          return;
        }
      memcpy (out, host, n);
      vm_as_unmap (bus->as, host, 0, block);
      addr += n;
      out += n;
      len -= n;
    }
}

static void
cursor_read (Cursor *c, uint64_t offset, uint8_t *out, uint64_t len)
{
  if (offset < c->start)
    c->index = 0, c->start = 0;
  while (len && c->index < c->r->n_entries)
    {
      GpuEntry entry = entry_at (c, c->index);
      uint64_t n;

      if (offset >= c->start + entry.len)
        {
          c->start += entry.len;
          c->index++;
          continue;
        }
      n = MIN (len, c->start + entry.len - offset);
      read_ram (c->g, entry.addr + (offset - c->start), out, n);
      offset += n;
      out += n;
      len -= n;
    }
  memset (out, 0, len);
}

uint32_t
gpu_resource_transfer (VirtioGpu *g, GpuResource *r, const VmRect *rect, uint64_t offset)
{
  uint32_t x = (uint32_t) rect->x, y = (uint32_t) rect->y, width = (uint32_t) rect->width,
           height = (uint32_t) rect->height, stride = r->width * 4;
  Cursor cursor = { g, r, 0, 0 };
  uint64_t at;

  if (!r->format || r->entries == GPU_NOWHERE)
    return GPU_ERR_UNSPEC;
  if (width > r->width || height > r->height || x > r->width - width || y > r->height - height
      || offset > UINT64_MAX / 2)
    return GPU_ERR_INVALID_PARAMETER;
  if (!width || !height)
    return GPU_OK_NODATA;
  g->work += (uint64_t) width * height * 4;
  at = r->pixels + (uint64_t) y * stride + x * 4;
  if (width == r->width)
    cursor_read (&cursor, offset, g->arena->host + at, (uint64_t) stride * height);
  else
    for (uint32_t i = 0; i < height; i++)
      cursor_read (&cursor, offset + (uint64_t) i * stride, g->arena->host + at + (uint64_t) i * stride, width * 4);
  vm_ram_written (g->parent.parent.env->memory, g->arena, at, (uint64_t) stride * (height - 1) + width * 4);
  return GPU_OK_NODATA;
}

/* --- pixels ------------------------------------------------------------------------------------------------ */

bool
gpu_frame_fits (const GpuResource *r, const GpuFrame *frame, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  if (!gpu_format_valid (frame->format) || !width || !height || frame->width > GPU_MAX_SIDE
      || frame->height > GPU_MAX_SIDE || width > frame->width || height > frame->height || x > frame->width - width
      || y > frame->height - height || frame->offset > r->size)
    return false;
  return (uint64_t) (y + height - 1) * frame->stride + (uint64_t) (x + width) * 4 <= r->size - frame->offset;
}

static void
convert (uint32_t format, uint32_t *pixels, uint32_t n)
{
  switch (format)
    {
    case FORMAT_A8R8G8B8:
    case FORMAT_X8R8G8B8:
      for (uint32_t i = 0; i < n; i++)
        pixels[i] = GUINT32_SWAP_LE_BE (pixels[i]);
      break;
    case FORMAT_R8G8B8A8:
    case FORMAT_R8G8B8X8:
      for (uint32_t i = 0; i < n; i++)
        pixels[i] = (pixels[i] & 0xff00ff00) | (pixels[i] >> 16 & 0xff) | (pixels[i] & 0xff) << 16;
      break;
    case FORMAT_X8B8G8R8:
    case FORMAT_A8B8G8R8:
      for (uint32_t i = 0; i < n; i++)
        pixels[i] = pixels[i] >> 8 | pixels[i] << 24;
      break;
    default:
      break;
    }
}

void
gpu_frame_read (VirtioGpu *g, const GpuResource *r, const GpuFrame *frame, uint32_t x, uint32_t y, uint32_t width,
                uint32_t height, uint8_t *out, size_t stride)
{
  Cursor cursor = { g, r, 0, 0 };

  for (uint32_t i = 0; i < height; i++, out += stride)
    {
      uint64_t at = frame->offset + (uint64_t) (y + i) * frame->stride + (uint64_t) x * 4;

      if (r->format)
        memcpy (out, g->arena->host + r->pixels + at, (size_t) width * 4);
      else
        cursor_read (&cursor, at, out, (uint64_t) width * 4);
      convert (frame->format, (uint32_t *) out, width);
    }
}
