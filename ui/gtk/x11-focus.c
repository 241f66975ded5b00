/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GDK takes the focus to be where the grab is until that ends. The server says more: XI_FocusOut, WhileGrabbed.
 * Source: the X Input Extension's protocol, version 2.3. */
#include "config.h"

#include "ui/gtk/x11-focus.h"

#ifdef VM_HAVE_XI
#include <X11/extensions/XInput2.h>
#include <gdk/gdkx.h>

struct VmX11Focus
{
  void (*lost) (gpointer opaque);
  gpointer opaque;
  int opcode;
};

static GdkFilterReturn
watch_event (GdkXEvent *event, GdkEvent *unused, gpointer user_data)
{
  const VmX11Focus *watch = user_data;
  const XGenericEventCookie *cookie = &((XEvent *) event)->xcookie;
  const XIFocusOutEvent *out = cookie->type == GenericEvent ? cookie->data : NULL;

  if (out && cookie->extension == watch->opcode && cookie->evtype == XI_FocusOut
      && out->mode == XINotifyWhileGrabbed && (out->detail == XINotifyNonlinear || out->detail == XINotifyNonlinearVirtual))
    watch->lost (watch->opaque);
  return GDK_FILTER_CONTINUE;
}

VmX11Focus *
vm_x11_focus_watch (GdkDisplay *display, void (*lost) (gpointer opaque), gpointer opaque)
{
  int opcode, event, error;

  if (!GDK_IS_X11_DISPLAY (display)
      || !XQueryExtension (gdk_x11_display_get_xdisplay (display), "XInputExtension", &opcode, &event, &error))
    return NULL;
  VmX11Focus *watch = g_new (VmX11Focus, 1);
  *watch = (VmX11Focus){ lost, opaque, opcode };
  gdk_window_add_filter (NULL, watch_event, watch);
  return watch;
}

void
vm_x11_focus_unwatch (VmX11Focus *watch)
{
  if (watch)
    gdk_window_remove_filter (NULL, watch_event, watch);
  g_free (watch);
}
#else
VmX11Focus *
vm_x11_focus_watch (GdkDisplay *display, void (*lost) (gpointer opaque), gpointer opaque)
{
  return NULL;
}

void
vm_x11_focus_unwatch (VmX11Focus *watch)
{
}
#endif
