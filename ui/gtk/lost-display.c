/* SPDX-License-Identifier: GPL-3.0-or-later */
/* X11: Xlib since 1.7 asks before it exits. Wayland: GDK exits when it reads; the hangup is seen first. */
#include "config.h"

#include "ui/gtk/lost-display.h"

#include <gtk/gtk.h>
#ifdef VM_HAVE_X11
#include <gdk/gdkx.h>
#endif
#ifdef VM_HAVE_WAYLAND
#include <gdk/gdkwayland.h>
#include <wayland-client-core.h>
#endif

typedef struct Watch
{
  GSource source;
  void (*lost) (void *opaque);
  void *opaque;
  gpointer tag; /* of the connection */
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
static gboolean
watch_check (GSource *source)
{
  Watch *watch = (Watch *) source;

  return (g_source_query_unix_fd (source, watch->tag) & (G_IO_HUP | G_IO_ERR)) != 0;
}

static gboolean
watch_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  Watch *watch = (Watch *) source;

  watch->lost (watch->opaque);
  return G_SOURCE_REMOVE;
}

static const GSourceFuncs watch_funcs = { .check = watch_check, .dispatch = watch_dispatch };
#endif

bool
vm_lost_display_watch (void (*lost) (void *opaque), void *opaque)
{
  GdkDisplay *display = gdk_display_get_default ();

#ifdef VM_HAVE_X11
  if (GDK_IS_X11_DISPLAY (display))
    {
      Watch *watch = g_new0 (Watch, 1); /* as long as the connection */
      watch->lost = lost;
      watch->opaque = opaque;
      XSetIOErrorHandler (x11_failed);
      XSetIOErrorExitHandler (GDK_DISPLAY_XDISPLAY (display), x11_lost, watch);
      return true;
    }
#endif
#ifdef VM_HAVE_WAYLAND
  if (GDK_IS_WAYLAND_DISPLAY (display))
    {
      Watch *watch = (Watch *) g_source_new ((GSourceFuncs *) &watch_funcs, sizeof (Watch));
      watch->lost = lost;
      watch->opaque = opaque;
      watch->tag = g_source_add_unix_fd (
          &watch->source, wl_display_get_fd (gdk_wayland_display_get_wl_display (display)), G_IO_HUP | G_IO_ERR);
      g_source_set_priority (&watch->source, G_PRIORITY_HIGH); /* before GDK */
      g_source_attach (&watch->source, NULL);
      return true;
    }
#endif
  return display == NULL;
}
