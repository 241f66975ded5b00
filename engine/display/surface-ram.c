/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Surfaces in the guest's own memory; apart from the others, which need no memory of a machine. */
#include "engine/display/display.h"

static void
surface_release (VmSurface *surface)
{
  vm_ram_block_unref (surface->ram);
}

VmSurface *
vm_surface_new_ram (VmRamBlock *ram, uint64_t offset, int width, int height, int stride)
{
  if (width < 1 || height < 1 || width > VM_SURFACE_MAX || height > VM_SURFACE_MAX || stride < width * 4 || stride % 4
      || offset % 4)
    return NULL;

  size_t size = (size_t) stride * height;
  if (offset > ram->size || size > ram->size - offset)
    return NULL;

  VmSurface *surface = g_new0 (VmSurface, 1);

  surface->refs = 1;
  surface->width = width;
  surface->height = height;
  surface->stride = stride;
  surface->data = ram->host + offset;
  surface->size = size;
  surface->fd = ram->fd;
  surface->fd_offset = ram->fd_offset + offset;
  surface->ram = vm_ram_block_ref (ram);
  surface->release = surface_release;
  return surface;
}
