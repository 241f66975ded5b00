/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Surfaces and cursors: counted pixel memory that may outlive the device that drew it. */
#include "engine/display/display.h"

#include <sys/mman.h>
#include <unistd.h>

#define MAX_CURSOR 512

VmSurface *
vm_surface_new (int width, int height)
{
  if (width < 1 || height < 1 || width > VM_SURFACE_MAX || height > VM_SURFACE_MAX)
    return NULL;

  size_t stride = (size_t) width * 4;
  size_t size = stride * height;
  /* A memfd, so that a viewer in another process (D-Bus, X shared memory) can map it. */
  int fd = memfd_create ("surface", MFD_CLOEXEC);
  void *data = MAP_FAILED;

  if (fd >= 0 && ftruncate (fd, size) == 0)
    data = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED)
    {
      if (fd >= 0)
        close (fd);
      return NULL;
    }

  VmSurface *surface = g_new0 (VmSurface, 1);

  surface->refs = 1;
  surface->width = width;
  surface->height = height;
  surface->stride = stride;
  surface->data = data;
  surface->size = size;
  surface->fd = fd;
  return surface;
}

VmSurface *
vm_surface_ref (VmSurface *surface)
{
  g_atomic_int_inc (&surface->refs);
  return surface;
}

void
vm_surface_unref (VmSurface *surface)
{
  if (!surface || !g_atomic_int_dec_and_test (&surface->refs))
    return;
  if (surface->release)
    {
      surface->release (surface);
    }
  else
    {
      munmap (surface->data, surface->size);
      close (surface->fd);
    }
  g_free (surface);
}

VmCursor *
vm_cursor_new (int width, int height)
{
  if (width < 1 || height < 1 || width > MAX_CURSOR || height > MAX_CURSOR)
    return NULL;

  VmCursor *cursor = g_malloc0 (sizeof *cursor + (size_t) width * height * sizeof cursor->data[0]);

  cursor->refs = 1;
  cursor->width = width;
  cursor->height = height;
  return cursor;
}

void
vm_cursor_unref (VmCursor *cursor)
{
  if (cursor && g_atomic_int_dec_and_test (&cursor->refs))
    g_free (cursor);
}
