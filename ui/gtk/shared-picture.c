/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A shared pixmap, made by XCB on Xlib's connection: only XCB passes file descriptors. */
#include "config.h"

#include "ui/gtk/shared-picture.h"

#ifdef VM_HAVE_SHM
#include <X11/Xlib-xcb.h>
#include <cairo-xlib.h>
#include <fcntl.h>
#include <gdk/gdkx.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xcb/shm.h>

typedef struct Share
{
  xcb_connection_t *xcb;
  xcb_shm_seg_t segment;
  xcb_pixmap_t pixmap;
} Share;

static void
share_free (void *data)
{
  Share *share = data;

  xcb_free_pixmap (share->xcb, share->pixmap);
  xcb_shm_detach (share->xcb, share->segment);
  g_free (share);
}

/* Whether the server is at the other end of a socket that file descriptors go through, and knows what to do with them.
 */
static bool
server_is_here (xcb_connection_t *xcb)
{
  struct sockaddr address;
  socklen_t len = sizeof address;

  if (getsockname (xcb_get_file_descriptor (xcb), &address, &len) < 0 || address.sa_family != AF_UNIX)
    return false;
  const xcb_query_extension_reply_t *extension = xcb_get_extension_data (xcb, &xcb_shm_id);
  if (!extension || !extension->present)
    return false;
  g_autofree xcb_shm_query_version_reply_t *version
      = xcb_shm_query_version_reply (xcb, xcb_shm_query_version (xcb), NULL);
  return version && version->shared_pixmaps && version->pixmap_format == XCB_IMAGE_FORMAT_Z_PIXMAP
         && (version->major_version > 1 || version->minor_version >= 2);
}

/* Whether VISUAL has pixels of 32 bits as surfaces have. */
static bool
visual_fits (xcb_connection_t *xcb, const Visual *visual, int depth)
{
  const xcb_setup_t *setup = xcb_get_setup (xcb);
  bool wide = false;

  for (xcb_format_iterator_t at = xcb_setup_pixmap_formats_iterator (setup); at.rem; xcb_format_next (&at))
    wide |= at.data->depth == depth && at.data->bits_per_pixel == 32 && at.data->scanline_pad == 32;
  return wide && depth == 24 && visual->red_mask == 0xff0000 && visual->green_mask == 0xff00
         && visual->blue_mask == 0xff && G_BYTE_ORDER == G_LITTLE_ENDIAN
         && setup->image_byte_order == XCB_IMAGE_ORDER_LSB_FIRST;
}

static bool
succeeds (xcb_connection_t *xcb, xcb_void_cookie_t cookie)
{
  g_autofree xcb_generic_error_t *error = xcb_request_check (xcb, cookie);

  return !error;
}

cairo_surface_t *
vm_shared_picture_new (GdkWindow *window, const VmSurface *surface)
{
  static const cairo_user_data_key_t key;
  GdkDisplay *display = gdk_window_get_display (window);
  uint64_t end = surface->fd_offset + surface->size;

  if (!GDK_IS_X11_DISPLAY (display) || surface->fd < 0 || end > UINT32_MAX || surface->stride / 4 > G_MAXINT16)
    return NULL;
  GdkVisual *chosen = gdk_screen_get_system_visual (gdk_window_get_screen (window));
  Display *xlib = GDK_DISPLAY_XDISPLAY (display);
  Visual *visual = gdk_x11_visual_get_xvisual (chosen);
  xcb_connection_t *xcb = XGetXCBConnection (xlib);
  int depth = gdk_visual_get_depth (chosen);

  if (!visual_fits (xcb, visual, depth) || !server_is_here (xcb))
    return NULL;
  int fd = fcntl (surface->fd, F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    return NULL;
  Share share = { xcb, xcb_generate_id (xcb), xcb_generate_id (xcb) };
  if (!succeeds (xcb, xcb_shm_attach_fd_checked (xcb, share.segment, fd, false))) /* and closes it */
    return NULL;
  /* A pixmap has no stride: its lines are as long as the surface's. */
  if (!succeeds (xcb, xcb_shm_create_pixmap_checked (
                          xcb, share.pixmap, GDK_WINDOW_XID (gdk_window_get_toplevel (window)), surface->stride / 4,
                          surface->height, depth, share.segment, surface->fd_offset)))
    {
      xcb_shm_detach (xcb, share.segment);
      return NULL;
    }
  cairo_surface_t *picture
      = cairo_xlib_surface_create (xlib, share.pixmap, visual, surface->stride / 4, surface->height);
  cairo_surface_set_user_data (picture, &key, g_memdup2 (&share, sizeof share), share_free);
  return picture;
}
#else
cairo_surface_t *
vm_shared_picture_new (GdkWindow *window, const VmSurface *surface)
{
  return NULL;
}
#endif
