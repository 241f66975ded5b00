/* SPDX-License-Identifier: GPL-3.0-or-later */
/* X11: Xlib since 1.7 asks before it exits. Wayland: GDK exits wherever it reads or flushes, but says so first. */
#include "config.h"

#include "ui/gtk/lost-display.h"

#include <gtk/gtk.h>
#include <poll.h>
#ifdef VM_HAVE_X11
#include <gdk/gdkx.h>
#endif
#ifdef VM_HAVE_WAYLAND
#include <gdk/gdkwayland.h>
#include <wayland-client-core.h>
#endif

typedef struct Watch
{
  void (*lost) (void *opaque);
  void *opaque;
  GThread *thread; /* GDK's */
} Watch;

#ifdef VM_HAVE_X11
static int
x11_failed (Display *display)
{
  return 0; /* the other handler follows */
}

static void
x11_lost (Display *display, void *data)
{
  Watch *watch = data;

  watch->lost (watch->opaque);
}
#endif

#ifdef VM_HAVE_WAYLAND
/* A message of GDK's over a connection that is no more is its last word. */
static GLogWriterOutput
wayland_said (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
  struct wl_display *display = gdk_wayland_display_get_wl_display (gdk_display_get_default ());
  struct pollfd fd = { .fd = wl_display_get_fd (display) };
  Watch *watch = data;

  /* POLLHUP and POLLERR: for nothing else is asked. */
  if (level == G_LOG_LEVEL_MESSAGE && g_thread_self () == watch->thread
      && (wl_display_get_error (display) || poll (&fd, 1, 0) > 0))
    watch->lost (watch->opaque);
  return g_log_writer_default (level, fields, n_fields, NULL);
}
#endif

bool
vm_lost_display_watch (void (*lost) (void *opaque), void *opaque)
{
  GdkDisplay *display = gdk_display_get_default ();

  Watch *watch = g_new0 (Watch, 1); /* as long as the connection */

  watch->lost = lost;
  watch->opaque = opaque;
#ifdef VM_HAVE_X11
  if (GDK_IS_X11_DISPLAY (display))
    {
      XSetIOErrorHandler (x11_failed);
      XSetIOErrorExitHandler (GDK_DISPLAY_XDISPLAY (display), x11_lost, watch);
      return true;
    }
#endif
#ifdef VM_HAVE_WAYLAND
  if (GDK_IS_WAYLAND_DISPLAY (display))
    {
      watch->thread = g_thread_self ();
      g_log_set_writer_func (wayland_said, watch, NULL); /* GDK's messages are structured */
      return true;
    }
#endif
  g_free (watch);
  return display == NULL;
}
