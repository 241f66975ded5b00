/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The GPU device, 2D (OASIS Virtual I/O Device 1.2, 5.7): queues, commands, outputs, cursors. */
#include "devices/virtio/virtio-gpu.h"

#include "devices/display/edid.h"

enum
{
  CONTROL_SIZE = 256,
  CURSOR_SIZE = 16,
  EDID_SIZE = 256,
  HOSTMEM_MAX_GIB = 64,
  CURSOR_MAX = 512
};
#define WORK_AT_ONCE (64 * VM_MIB) /* bytes of pixels */
enum
{
  F_EDID = 1,
  F_RESOURCE_BLOB = 3
};
enum
{
  CONFIG_EVENTS_READ = 0,
  CONFIG_EVENTS_CLEAR = 4,
  CONFIG_NUM_SCANOUTS = 8,
  CONFIG_SIZE = 16
};
enum
{
  EVENT_DISPLAY = 1 << 0
};
enum
{
  FLAG_FENCE = 1 << 0,
  FLAG_INFO_RING_IDX = 1 << 1
};
enum
{
  BLOB_MEM_GUEST = 1
};
enum
{ /* commands (5.7.6.7) */
  CMD_GET_DISPLAY_INFO = 0x0100,
  CMD_RESOURCE_CREATE_2D,
  CMD_RESOURCE_UNREF,
  CMD_SET_SCANOUT,
  CMD_RESOURCE_FLUSH,
  CMD_TRANSFER_TO_HOST_2D,
  CMD_RESOURCE_ATTACH_BACKING,
  CMD_RESOURCE_DETACH_BACKING,
  CMD_GET_EDID = 0x010a,
  CMD_RESOURCE_CREATE_BLOB = 0x010c,
  CMD_SET_SCANOUT_BLOB = 0x010d,
  CMD_UPDATE_CURSOR = 0x0300,
  CMD_MOVE_CURSOR,
};
enum
{ /* sizes of what is asked and answered */
  HEADER = 24,
  RECT = 16,
  COMMAND_MAX = 96,
  DISPLAY_INFO_SIZE = HEADER + GPU_MAX_OUTPUTS * 24,
  EDID_DATA = 1024,
  EDID_ANSWER_SIZE = HEADER + 8 + EDID_DATA,
};

typedef struct Command
{
  VmVirtqElement *e;
  uint8_t in[COMMAND_MAX]; /* zeros where the driver said less */
  size_t in_size;
  uint8_t out[EDID_ANSWER_SIZE];
  size_t out_size;
} Command;

static uint32_t
arg (const Command *c, unsigned offset)
{
  return vm_load_le32 (c->in + HEADER + offset);
}

/* --- outputs ----------------------------------------------------------------------------------------------- */

static GpuFrame
output_frame (const GpuOutput *o)
{
  return (GpuFrame){ o->format, o->frame_width, o->frame_height, o->stride, o->offset };
}

/* The part of the frame at X, Y that is shown becomes pixels of the surface. */
static void
output_draw (GpuOutput *o, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
  VmSurface *surface = vm_console_surface (o->console);
  const GpuResource *r = gpu_resource_find (o->gpu, o->resource);
  GpuFrame frame = output_frame (o);
  uint32_t left = MAX (x, o->x), top = MAX (y, o->y);
  uint32_t right = (uint32_t) MIN ((uint64_t) x + width, (uint64_t) o->x + o->width);
  uint32_t bottom = (uint32_t) MIN ((uint64_t) y + height, (uint64_t) o->y + o->height);

  if (!r || !surface || right <= left || bottom <= top)
    return;
  o->gpu->work += (uint64_t) (right - left) * (bottom - top) * 4;
  vm_console_lock (o->console);
  gpu_frame_read (o->gpu, r, &frame, left, top, right - left, bottom - top,
                  surface->data + (size_t) (top - o->y) * surface->stride + (size_t) (left - o->x) * 4,
                  (size_t) surface->stride);
  vm_console_unlock (o->console);
  vm_console_damage (o->console, (int) (left - o->x), (int) (top - o->y), (int) (right - left), (int) (bottom - top));
}

static void
output_draw_all (GpuOutput *o)
{
  VmSurface *surface = vm_console_surface (o->console);

  if (o->n == 0 && o->gpu->vga)
    vm_console_set_cells (o->console, NULL); /* the VGA's text is no more */
  if (!surface || (uint32_t) surface->width != o->width || (uint32_t) surface->height != o->height)
    {
      surface = vm_surface_new ((int) o->width, (int) o->height);
      if (!surface)
        return;
      vm_console_set_surface (o->console, surface);
    }
  output_draw (o, o->x, o->y, o->width, o->height);
}

/* Nothing is shown; a VGA has its turn. */
static void
output_off (GpuOutput *o)
{
  VmSurface *surface = vm_console_surface (o->console);

  o->resource = 0;
  if (o->n == 0 && o->gpu->vga)
    {
      vga_invalidate (o->gpu->vga);
      return;
    }
  if (!surface)
    return;
  vm_console_lock (o->console);
  memset (surface->data, 0, surface->size);
  vm_console_unlock (o->console);
  vm_console_damage (o->console, 0, 0, surface->width, surface->height);
}

static void
output_cursor_off (GpuOutput *o)
{
  o->cursor = 0;
  vm_console_move_cursor (o->console, (int) o->cursor_x, (int) o->cursor_y, false);
}

static void
output_show_cursor (GpuOutput *o)
{
  const GpuResource *r = gpu_resource_find (o->gpu, o->cursor);
  GpuFrame frame;
  VmCursor *cursor;

  if (!r || !r->format || r->width > CURSOR_MAX || r->height > CURSOR_MAX)
    {
      output_cursor_off (o);
      return;
    }
  frame = (GpuFrame){ r->format, r->width, r->height, r->width * 4, 0 };
  cursor = vm_cursor_new ((int) r->width, (int) r->height);
  cursor->hot_x = (int) MIN (o->hot_x, r->width - 1);
  cursor->hot_y = (int) MIN (o->hot_y, r->height - 1);
  gpu_frame_read (o->gpu, r, &frame, 0, 0, r->width, r->height, (uint8_t *) cursor->data, (size_t) r->width * 4);
  vm_console_set_cursor (o->console, cursor);
  vm_console_move_cursor (o->console, (int) o->cursor_x, (int) o->cursor_y, true);
}

static void
output_refresh (void *opaque)
{
  GpuOutput *o = opaque;

  if (o->loaded)
    {
      o->loaded = false;
      if (o->resource)
        output_draw_all (o);
      else
        output_off (o);
      output_show_cursor (o);
    }
  if (!o->resource && o->n == 0 && o->gpu->vga)
    vga_refresh (o->gpu->vga);
}

static void
output_invalidate (void *opaque)
{
  GpuOutput *o = opaque;

  if (o->resource)
    output_draw_all (o);
  else if (o->n == 0 && o->gpu->vga)
    vga_invalidate (o->gpu->vga);
}

static void
output_ui_info (void *opaque, const VmUiInfo *info)
{
  GpuOutput *o = opaque;
  VirtioGpu *g = o->gpu;

  if (info->width > GPU_MAX_SIDE || info->height > GPU_MAX_SIDE || (o->n == 0 && (!info->width || !info->height)))
    return;
  o->wish_x = (uint32_t) MAX (info->xoff, 0);
  o->wish_y = (uint32_t) MAX (info->yoff, 0);
  o->wish_width = info->width;
  o->wish_height = info->height;
  o->wish_mm_x = info->width_mm;
  o->wish_mm_y = info->height_mm;
  o->wish_refresh = info->refresh_mhz;
  g->events |= EVENT_DISPLAY;
  vm_virtio_config_changed (&g->parent);
}

/* The size that is offered; false: no monitor is connected. */
static bool
output_wish (const GpuOutput *o, uint32_t *width, uint32_t *height)
{
  bool first = o->n == 0;

  *width = o->wish_width ? o->wish_width : first ? o->gpu->xres : 0;
  *height = o->wish_height ? o->wish_height : first ? o->gpu->yres : 0;
  return *width && *height;
}

/* --- commands ---------------------------------------------------------------------------------------------- */

static uint32_t
get_display_info (VirtioGpu *g, Command *c)
{
  for (unsigned i = 0; i < g->max_outputs; i++)
    {
      const GpuOutput *o = &g->output[i];
      uint8_t *mode = c->out + HEADER + i * 24;
      uint32_t width, height;

      if (!output_wish (o, &width, &height))
        continue;
      vm_store_le32 (mode, o->wish_x);
      vm_store_le32 (mode + 4, o->wish_y);
      vm_store_le32 (mode + 8, width);
      vm_store_le32 (mode + 12, height);
      vm_store_le32 (mode + 16, 1);
    }
  c->out_size = DISPLAY_INFO_SIZE;
  return GPU_OK_DISPLAY_INFO;
}

static uint32_t
get_edid (VirtioGpu *g, Command *c)
{
  uint32_t n = arg (c, 0);
  VmEdidInfo info = { 0 };

  if (!vm_virtio_has (&g->parent, F_EDID))
    return GPU_ERR_UNSPEC;
  if (n >= g->max_outputs)
    return GPU_ERR_INVALID_PARAMETER;
  if (!output_wish (&g->output[n], &info.width, &info.height))
    info.width = g->xres, info.height = g->yres;
  info.width_mm = g->output[n].wish_mm_x;
  info.height_mm = g->output[n].wish_mm_y;
  info.refresh_mhz = g->output[n].wish_refresh;
  vm_edid_make (&info, c->out + HEADER + 8, EDID_SIZE);
  vm_store_le32 (c->out + HEADER, EDID_SIZE);
  c->out_size = EDID_ANSWER_SIZE;
  return GPU_OK_EDID;
}

static uint32_t
resource_unref (VirtioGpu *g, GpuResource *r)
{
  for (unsigned i = 0; i < g->max_outputs; i++)
    if (g->output[i].resource == r->id)
      output_off (&g->output[i]);
  gpu_resource_free (g, r);
  return GPU_OK_NODATA;
}

static uint32_t
set_scanout (VirtioGpu *g, const Command *c, bool blob)
{
  uint32_t x = arg (c, 0), y = arg (c, 4), width = arg (c, 8), height = arg (c, 12), n = arg (c, 16), id = arg (c, 20);
  const GpuResource *r;
  GpuOutput *o;
  GpuFrame frame;

  if (n >= g->max_outputs)
    return GPU_ERR_INVALID_SCANOUT;
  o = &g->output[n];
  if (!id)
    {
      output_off (o);
      return GPU_OK_NODATA;
    }
  r = gpu_resource_find (g, id);
  if (!r || (blob && r->format))
    return GPU_ERR_INVALID_RESOURCE;
  if (blob)
    frame = (GpuFrame){ arg (c, 32), arg (c, 24), arg (c, 28), arg (c, 40), arg (c, 56) };
  else
    frame = (GpuFrame){ r->format, r->width, r->height, r->width * 4, 0 };
  if (!gpu_frame_fits (r, &frame, x, y, width, height))
    return GPU_ERR_INVALID_PARAMETER;
  /* Lines of a blob may lie one over the other; the picture is all of them. */
  if ((uint64_t) width * height * 4 > g->max_hostmem)
    return GPU_ERR_OUT_OF_MEMORY;
  o->resource = id;
  o->x = x;
  o->y = y;
  o->width = width;
  o->height = height;
  o->format = frame.format;
  o->frame_width = frame.width;
  o->frame_height = frame.height;
  o->stride = frame.stride;
  o->offset = frame.offset;
  output_draw_all (o);
  return GPU_OK_NODATA;
}

static uint32_t
resource_flush (VirtioGpu *g, const Command *c, const GpuResource *r)
{
  uint32_t x = arg (c, 0), y = arg (c, 4), width = arg (c, 8), height = arg (c, 12);

  if (r->format && (width > r->width || height > r->height || x > r->width - width || y > r->height - height))
    return GPU_ERR_INVALID_PARAMETER;
  for (unsigned i = 0; i < g->max_outputs; i++)
    if (g->output[i].resource == r->id)
      output_draw (&g->output[i], x, y, width, height);
  return GPU_OK_NODATA;
}

static uint32_t
transfer (VirtioGpu *g, const Command *c, GpuResource *r)
{
  VmRect rect = { (int) arg (c, 0), (int) arg (c, 4), (int) arg (c, 8), (int) arg (c, 12) };

  return gpu_resource_transfer (g, r, &rect, arg (c, 16) | (uint64_t) arg (c, 20) << 32);
}

static uint32_t
create_blob (VirtioGpu *g, const Command *c)
{
  uint32_t id = arg (c, 0), answer;

  if (!vm_virtio_has (&g->parent, F_RESOURCE_BLOB))
    return GPU_ERR_UNSPEC;
  if (arg (c, 4) != BLOB_MEM_GUEST)
    return GPU_ERR_INVALID_PARAMETER;
  answer = gpu_resource_create_blob (g, id, arg (c, 24) | (uint64_t) arg (c, 28) << 32);
  if (answer != GPU_OK_NODATA)
    return answer;
  answer = gpu_resource_attach (g, gpu_resource_find (g, id), c->e, HEADER + 32, arg (c, 12));
  if (answer != GPU_OK_NODATA)
    gpu_resource_free (g, gpu_resource_find (g, id));
  return answer;
}

/* Those about a resource that must be there. */
static uint32_t
resource_command (VirtioGpu *g, Command *c, uint32_t type)
{
  bool rect_first = type == CMD_RESOURCE_FLUSH, far = type == CMD_TRANSFER_TO_HOST_2D;
  GpuResource *r = gpu_resource_find (g, arg (c, rect_first ? RECT : far ? RECT + 8 : 0));

  if (!r)
    return GPU_ERR_INVALID_RESOURCE;
  switch (type)
    {
    case CMD_RESOURCE_UNREF:
      return resource_unref (g, r);
    case CMD_RESOURCE_FLUSH:
      return resource_flush (g, c, r);
    case CMD_TRANSFER_TO_HOST_2D:
      return transfer (g, c, r);
    case CMD_RESOURCE_ATTACH_BACKING:
      return gpu_resource_attach (g, r, c->e, HEADER + 8, arg (c, 4));
    default:
      if (r->entries == GPU_NOWHERE || !r->format)
        return GPU_ERR_UNSPEC;
      gpu_resource_detach (g, r);
      return GPU_OK_NODATA;
    }
}

static uint32_t
control_command (VirtioGpu *g, Command *c)
{
  uint32_t type = vm_load_le32 (c->in);

  switch (type)
    {
    case CMD_GET_DISPLAY_INFO:
      return get_display_info (g, c);
    case CMD_GET_EDID:
      return get_edid (g, c);
    case CMD_RESOURCE_CREATE_2D:
      return gpu_resource_create (g, arg (c, 0), arg (c, 4), arg (c, 8), arg (c, 12));
    case CMD_SET_SCANOUT:
      return set_scanout (g, c, false);
    case CMD_SET_SCANOUT_BLOB:
      return vm_virtio_has (&g->parent, F_RESOURCE_BLOB) ? set_scanout (g, c, true) : (uint32_t) GPU_ERR_UNSPEC;
    case CMD_RESOURCE_CREATE_BLOB:
      return create_blob (g, c);
    case CMD_RESOURCE_UNREF:
    case CMD_RESOURCE_FLUSH:
    case CMD_TRANSFER_TO_HOST_2D:
    case CMD_RESOURCE_ATTACH_BACKING:
    case CMD_RESOURCE_DETACH_BACKING:
      return resource_command (g, c, type);
    default:
      return GPU_ERR_UNSPEC;
    }
}

static uint32_t
cursor_command (VirtioGpu *g, Command *c)
{
  uint32_t type = vm_load_le32 (c->in), n = arg (c, 0);
  GpuOutput *o = &g->output[MIN (n, GPU_MAX_OUTPUTS - 1)];

  if (type != CMD_UPDATE_CURSOR && type != CMD_MOVE_CURSOR)
    return GPU_ERR_UNSPEC;
  if (n >= g->max_outputs)
    return GPU_ERR_INVALID_SCANOUT;
  o->cursor_x = arg (c, 4);
  o->cursor_y = arg (c, 8);
  if (type == CMD_MOVE_CURSOR)
    {
      vm_console_move_cursor (o->console, (int) o->cursor_x, (int) o->cursor_y, o->cursor != 0);
      return GPU_OK_NODATA;
    }
  o->cursor = arg (c, 16);
  o->hot_x = arg (c, 20);
  o->hot_y = arg (c, 24);
  output_show_cursor (o);
  return GPU_OK_NODATA;
}

/* --- queues ------------------------------------------------------------------------------------------------ */

static void
serve (VirtioGpu *g, VmVirtqueue *q, uint32_t (*run) (VirtioGpu *g, Command *c))
{
  VmVirtqElement *e;

  g->work = 0;
  vm_virtqueue_set_notification (q, false);
  while (g->work < WORK_AT_ONCE && (e = vm_virtqueue_next (q, sizeof *e)))
    {
      Command c = { .e = e, .out_size = HEADER };
      uint32_t answer, flags;
      size_t n;

      c.in_size = vm_iov_get (vm_virtq_out (e), e->n_out, 0, c.in, sizeof c.in);
      answer = c.in_size < HEADER ? (uint32_t) GPU_ERR_UNSPEC : run (g, &c);
      flags = vm_load_le32 (c.in + 4) & (FLAG_FENCE | FLAG_INFO_RING_IDX);
      vm_store_le32 (c.out, answer);
      if (flags & FLAG_FENCE) /* all work is done at once: the fence has passed */
        {
          vm_store_le32 (c.out + 4, flags);
          memcpy (c.out + 8, c.in + 8, HEADER - 8);
        }
      n = vm_iov_put (vm_virtq_in (e), e->n_in, 0, c.out, c.out_size);
      vm_virtqueue_push (e, (uint32_t) n);
    }
  if (g->work >= WORK_AT_ONCE) /* others want the machine too */
    vm_virtqueue_kick (q);
}

static void
handle_control (VmVirtio *v, VmVirtqueue *q)
{
  serve ((VirtioGpu *) v, q, control_command);
}

static void
handle_cursor (VmVirtio *v, VmVirtqueue *q)
{
  serve ((VirtioGpu *) v, q, cursor_command);
}

/* --- device ------------------------------------------------------------------------------------------------ */

static uint64_t
gpu_features (VmVirtio *v)
{
  const VirtioGpu *g = (const VirtioGpu *) v;

  return (uint64_t) g->edid << F_EDID | (uint64_t) g->blob << F_RESOURCE_BLOB;
}

static void
gpu_config_get (VmVirtio *v, uint8_t *config)
{
  const VirtioGpu *g = (const VirtioGpu *) v;

  memset (config, 0, CONFIG_SIZE);
  vm_store_le32 (config + CONFIG_EVENTS_READ, g->events);
  vm_store_le32 (config + CONFIG_NUM_SCANOUTS, g->max_outputs);
}

static void
gpu_config_set (VmVirtio *v, const uint8_t *config, uint32_t offset, uint32_t size)
{
  ((VirtioGpu *) v)->events &= ~vm_load_le32 (config + CONFIG_EVENTS_CLEAR);
}

static void
gpu_status_set (VmVirtio *v, uint8_t old)
{
  VirtioGpu *g = (VirtioGpu *) v;

  if (v->status || !g->resources)
    return;
  for (unsigned i = 0; i < g->max_outputs; i++)
    {
      GpuOutput *o = &g->output[i];

      if (o->resource)
        output_off (o);
      output_cursor_off (o);
    }
  gpu_resource_free_all (g);
}

static void
gpu_unrealize (VmDevice *dev)
{
  VirtioGpu *g = (VirtioGpu *) dev;

  vm_virtio_shut_down (&g->parent);
  for (unsigned i = 0; i < g->max_outputs; i++)
    g_clear_pointer (&g->output[i].console, vm_console_free);
  gpu_arena_clear (g);
}

static bool
gpu_realize (VmDevice *dev, GError **error)
{
  VirtioGpu *g = (VirtioGpu *) dev;

  if (g->max_outputs < 1 || g->max_outputs > GPU_MAX_OUTPUTS)
    return vm_fail (error, "invalid max_outputs > %d", GPU_MAX_OUTPUTS);
  if (!g->xres || !g->yres || g->xres > GPU_MAX_SIDE || g->yres > GPU_MAX_SIDE)
    return vm_fail (error, "xres and yres must be from 1 to %d, not %u and %u", GPU_MAX_SIDE, g->xres, g->yres);
  if (!g->max_hostmem || g->max_hostmem > HOSTMEM_MAX_GIB * 1024 * VM_MIB)
    return vm_fail (error, "max_hostmem must be from 1 byte to %d GiB", HOSTMEM_MAX_GIB);
  if (!gpu_arena_init (g, error))
    return false;
  g->parent.config_size = CONFIG_SIZE;
  vm_virtio_add_queue (&g->parent, CONTROL_SIZE, handle_control);
  vm_virtio_add_queue (&g->parent, CURSOR_SIZE, handle_cursor);
  g->console_ops = (VmConsoleOps){ output_refresh, output_invalidate, output_ui_info };
  for (unsigned i = 0; i < g->max_outputs; i++)
    {
      GpuOutput *o = &g->output[i];

      o->gpu = g;
      o->n = i;
      /* People know the transport: "virtio-gpu-pci", or its id. */
      o->console = vm_console_new (dev->env->display, dev->bus->owner, i, &g->console_ops, o);
    }
  return true;
}

static bool
gpu_post_load (VmDevice *dev, GError **error)
{
  VirtioGpu *g = (VirtioGpu *) dev;

  if (!gpu_arena_loaded (g))
    return vm_fail (error, "%s: the saved resources cannot be right", vm_device_path (dev));
  for (unsigned i = 0; i < g->max_outputs; i++)
    {
      GpuOutput *o = &g->output[i];
      const GpuResource *r = gpu_resource_find (g, o->resource);
      GpuFrame frame = output_frame (o);

      o->loaded = true; /* drawn when all of the machine is there */
      if (!o->resource)
        continue;
      if (!r || o->width > GPU_MAX_SIDE || o->height > GPU_MAX_SIDE
          || (uint64_t) o->width * o->height * 4 > g->max_hostmem
          || (r->format
              && (frame.format != r->format || frame.width != r->width || frame.height != r->height
                  || frame.stride != r->width * 4 || frame.offset))
          || !gpu_frame_fits (r, &frame, o->x, o->y, o->width, o->height))
        return vm_fail (error, "%s: output %u cannot show what it is said to", vm_device_path (dev), i);
    }
  return true;
}

static const VmField output_state[] = { VM_FIELD (GpuOutput, wish_x),
                                        VM_FIELD (GpuOutput, wish_y),
                                        VM_FIELD (GpuOutput, wish_width),
                                        VM_FIELD (GpuOutput, wish_height),
                                        VM_FIELD (GpuOutput, wish_mm_x),
                                        VM_FIELD (GpuOutput, wish_mm_y),
                                        VM_FIELD (GpuOutput, wish_refresh),
                                        VM_FIELD (GpuOutput, resource),
                                        VM_FIELD (GpuOutput, x),
                                        VM_FIELD (GpuOutput, y),
                                        VM_FIELD (GpuOutput, width),
                                        VM_FIELD (GpuOutput, height),
                                        VM_FIELD (GpuOutput, format),
                                        VM_FIELD (GpuOutput, frame_width),
                                        VM_FIELD (GpuOutput, frame_height),
                                        VM_FIELD (GpuOutput, stride),
                                        VM_FIELD (GpuOutput, offset),
                                        VM_FIELD (GpuOutput, cursor),
                                        VM_FIELD (GpuOutput, cursor_x),
                                        VM_FIELD (GpuOutput, cursor_y),
                                        VM_FIELD (GpuOutput, hot_x),
                                        VM_FIELD (GpuOutput, hot_y),
                                        { 0 } };

static const VmField gpu_state[] = { VM_FIELD_EMBED_ARRAY (VirtioGpu, output, output_state),
                                     VM_FIELD_HEAP (VirtioGpu, resources, resources_size),
                                     VM_FIELD (VirtioGpu, events),
                                     { 0 } };

const VmProp virtio_gpu_props[]
    = { VM_PROP ("max_outputs", VirtioGpu, max_outputs, 1, "monitors that can be connected"),
        VM_PROP ("xres", VirtioGpu, xres, 1280, "width that is offered until a viewer wants another"),
        VM_PROP ("yres", VirtioGpu, yres, 800, "height that is offered until a viewer wants another"),
        VM_PROP ("edid", VirtioGpu, edid, true, "describe monitors to the guest"),
        VM_PROP ("blob", VirtioGpu, blob, false, "pictures may stay in guest memory"),
        VM_PROP_BYTES ("max_hostmem", VirtioGpu, max_hostmem, 256 * VM_MIB, "host memory for all pictures"),
        { 0 } };

static const VmVirtioClass gpu_class = {
  .parent = { .realize = gpu_realize,
              .unrealize = gpu_unrealize,
              .post_load = gpu_post_load,
              .category = "Display",
              .user_creatable = true,
              .hotpluggable = false },
  .id = VIRTIO_ID_GPU,
  .modern_only = true,
  .features = gpu_features,
  .config_get = gpu_config_get,
  .config_set = gpu_config_set,
  .status_set = gpu_status_set,
};

const VmType vm_virtio_gpu_type = {
  .name = "virtio-gpu-device",
  .parent = &vm_virtio_type,
  .size = sizeof (VirtioGpu),
  .help = "Virtio GPU, 2D",
  .props = virtio_gpu_props,
  .state = gpu_state,
  .klass = &gpu_class,
};
