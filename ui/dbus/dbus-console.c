/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A console as an object: its facts, a keyboard, a mouse and a touch screen for it, and the clients that see it. */
#include "config.h"

#include "ui/dbus/dbus-private.h"

#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "engine/display/address.h"

#define LISTENERS_MAX 32

struct DbusConsole
{
  DbusUi *ui;
  VmConsole *console; /* a reference */
  GDBusObjectSkeleton *object;
  VmdConsole *interface;
  VmdKeyboard *keyboard;
  VmdMouse *mouse;
  VmdMultiTouch *touch;
  VmListener size; /* hears of another size */
  int woken;       /* atomic */
  GPtrArray *listeners;
};

/* --- facts -------------------------------------------------------------------------------------------------------- */

static gboolean
console_tell_size (gpointer data)
{
  DbusConsole *self = data;
  int width, height;
  unsigned n;
  bool changed;
  VmRect rect;

  g_atomic_int_set (&self->woken, 0);
  vm_surface_unref (vm_listener_pull (&self->size, self->console, &rect, 1, &n, &changed));
  vm_console_size (self->console, &width, &height);
  vmd_console_set_width (self->interface, (guint) width);
  vmd_console_set_height (self->interface, (guint) height);
  return G_SOURCE_REMOVE;
}

static void
on_damaged (VmListener *listener, VmConsole *console)
{
  DbusConsole *self = VM_CONTAINER_OF (listener, DbusConsole, size);

  if (g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    g_idle_add (console_tell_size, self);
}

static const VmListenerOps size_ops = { .damaged = on_damaged };

/* Engine loop: a picture to begin with, also while nobody looks. */
static void
refresh_once (void *opaque)
{
  VmConsole *console = opaque;

  vm_console_refresh_if_there (console);
  vm_console_unref (console);
}

void
dbus_console_input_changed (DbusConsole *self)
{
  VmInput *input = vm_session_input (self->ui->session);

  vmd_keyboard_set_modifiers (self->keyboard, vm_input_leds (input));
  vmd_mouse_set_is_absolute (self->mouse, vm_input_is_absolute (input, self->console));
}

VmConsole *
dbus_console_console (const DbusConsole *self)
{
  return self->console;
}

/* --- console ------------------------------------------------------------------------------------------------------ */

static void
listener_gone (DbusListener *listener, void *opaque)
{
  DbusConsole *self = opaque;

  g_ptr_array_remove (self->listeners, listener);
}

static gboolean
on_register_listener (VmdConsole *interface, GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle,
                      gpointer data)
{
  DbusConsole *self = data;

  if (self->listeners->len == LISTENERS_MAX)
    {
      dbus_refuse (invocation, DBUS_FAILED, "There are too many listeners");
      return TRUE;
    }
  int fd = dbus_take_fd (invocation, fds, handle);
  if (fd < 0)
    return TRUE;
  DbusListener *listener
      = dbus_listener_new (vm_session_display (self->ui->session), self->console, fd, listener_gone, self);
  if (!listener)
    {
      dbus_refuse (invocation, DBUS_FAILED, "The listener is not a socket");
      return TRUE;
    }
  g_ptr_array_add (self->listeners, listener);
  vmd_console_complete_register_listener (interface, invocation, NULL);
  return TRUE;
}

static gboolean
on_set_ui_info (VmdConsole *interface, GDBusMethodInvocation *invocation, guint16 width_mm, guint16 height_mm,
                gint xoff, gint yoff, guint width, guint height, gpointer data)
{
  DbusConsole *self = data;
  const VmUiInfo info
      = { .width = width, .height = height, .width_mm = width_mm, .height_mm = height_mm, .xoff = xoff, .yoff = yoff };

  if (!vm_console_wants_ui_info (self->console))
    dbus_refuse (invocation, DBUS_UNSUPPORTED, "SetUIInfo is not supported");
  else
    {
      vm_console_request_ui_info (self->console, &info);
      vmd_console_complete_set_uiinfo (interface, invocation);
    }
  return TRUE;
}

/* --- keyboard ----------------------------------------------------------------------------------------------------- */

static void
press_key (DbusConsole *self, guint number, bool down)
{
  uint16_t key = vm_key_from_number (number);

  if (key)
    vm_input_key (vm_session_input (self->ui->session), self->console, key, down);
}

static gboolean
on_key_press (VmdKeyboard *keyboard, GDBusMethodInvocation *invocation, guint number, gpointer data)
{
  press_key (data, number, true);
  vmd_keyboard_complete_press (keyboard, invocation);
  return TRUE;
}

static gboolean
on_key_release (VmdKeyboard *keyboard, GDBusMethodInvocation *invocation, guint number, gpointer data)
{
  press_key (data, number, false);
  vmd_keyboard_complete_release (keyboard, invocation);
  return TRUE;
}

/* --- mouse -------------------------------------------------------------------------------------------------------- */

/* Their numbers are those of VmButton. */
static bool
press_button (DbusConsole *self, GDBusMethodInvocation *invocation, guint button, bool down)
{
  if (button >= VM_BUTTON_N)
    {
      dbus_refuse (invocation, DBUS_INVALID, "There is no such button");
      return false;
    }
  vm_input_button (vm_session_input (self->ui->session), self->console, (VmButton) button, down);
  return true;
}

static gboolean
on_button_press (VmdMouse *mouse, GDBusMethodInvocation *invocation, guint button, gpointer data)
{
  if (press_button (data, invocation, button, true))
    vmd_mouse_complete_press (mouse, invocation);
  return TRUE;
}

static gboolean
on_button_release (VmdMouse *mouse, GDBusMethodInvocation *invocation, guint button, gpointer data)
{
  if (press_button (data, invocation, button, false))
    vmd_mouse_complete_release (mouse, invocation);
  return TRUE;
}

static gboolean
on_position (VmdMouse *mouse, GDBusMethodInvocation *invocation, guint x, guint y, gpointer data)
{
  DbusConsole *self = data;
  VmInput *input = vm_session_input (self->ui->session);
  int width, height;

  vm_console_size (self->console, &width, &height);
  if (!vm_input_is_absolute (input, self->console))
    dbus_refuse (invocation, DBUS_INVALID, "Mouse is not absolute");
  else if (x >= (guint) width || y >= (guint) height)
    dbus_refuse (invocation, DBUS_INVALID, "Invalid mouse position");
  else
    {
      vm_input_position (input, self->console, (int) x, (int) y, width, height);
      vmd_mouse_complete_set_abs_position (mouse, invocation);
    }
  return TRUE;
}

static gboolean
on_motion (VmdMouse *mouse, GDBusMethodInvocation *invocation, gint dx, gint dy, gpointer data)
{
  DbusConsole *self = data;
  VmInput *input = vm_session_input (self->ui->session);

  if (vm_input_is_absolute (input, self->console))
    dbus_refuse (invocation, DBUS_INVALID, "Mouse is not relative");
  else
    {
      vm_input_motion (input, self->console, dx, dy);
      vmd_mouse_complete_rel_motion (mouse, invocation);
    }
  return TRUE;
}

/* --- touch -------------------------------------------------------------------------------------------------------- */

enum
{
  TOUCH_BEGIN,
  TOUCH_UPDATE,
  TOUCH_END,
  TOUCH_CANCEL,
  TOUCH_KINDS
};

/* Of a place that a client gave, which may be any number or none. */
static int
pixel (double at, int size)
{
  return at > 0 ? (int) MIN (at, size - 1) : 0;
}

static gboolean
on_touch (VmdMultiTouch *touch, GDBusMethodInvocation *invocation, guint kind, guint64 slot, gdouble x, gdouble y,
          gpointer data)
{
  DbusConsole *self = data;
  int width, height;

  vm_console_size (self->console, &width, &height);
  if (kind >= TOUCH_KINDS)
    dbus_refuse (invocation, DBUS_INVALID, "Invalid touch event kind");
  else if (slot >= VM_TOUCH_SLOTS)
    dbus_refuse (invocation, DBUS_INVALID, "Unexpected touch slot number");
  else
    {
      vm_input_touch (vm_session_input (self->ui->session), self->console, (unsigned) slot, kind == TOUCH_BEGIN,
                      kind >= TOUCH_END, pixel (x, MAX (width, 1)), pixel (y, MAX (height, 1)), width, height);
      vmd_multi_touch_complete_send_event (touch, invocation);
    }
  return TRUE;
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

DbusConsole *
dbus_console_new (DbusUi *ui, VmConsole *console)
{
  static const char *const interfaces[]
      = { "org.qemu.Display1.Keyboard", "org.qemu.Display1.Mouse", "org.qemu.Display1.MultiTouch", NULL };
  g_autofree char *path = g_strdup_printf (DBUS_ROOT "/Console_%u", vm_console_index (console));
  DbusConsole *self = g_new0 (DbusConsole, 1);

  self->ui = ui;
  self->console = vm_console_ref (console);
  self->listeners = g_ptr_array_new_with_free_func ((GDestroyNotify) dbus_listener_free);
  self->object = g_dbus_object_skeleton_new (path);
  self->interface = vmd_console_skeleton_new ();
  self->keyboard = vmd_keyboard_skeleton_new ();
  self->mouse = vmd_mouse_skeleton_new ();
  self->touch = vmd_multi_touch_skeleton_new ();

  vmd_console_set_label (self->interface, vm_console_name (console));
  vmd_console_set_head (self->interface, vm_console_head (console));
  vmd_console_set_type_ (self->interface, vm_console_is_text (console) ? "Text" : "Graphic");
  vmd_console_set_device_address (self->interface, vm_console_address (console));
  vmd_console_set_interfaces (self->interface, interfaces);
  g_signal_connect (self->interface, "handle-register-listener", G_CALLBACK (on_register_listener), self);
  g_signal_connect (self->interface, "handle-set-uiinfo", G_CALLBACK (on_set_ui_info), self);
  g_signal_connect (self->keyboard, "handle-press", G_CALLBACK (on_key_press), self);
  g_signal_connect (self->keyboard, "handle-release", G_CALLBACK (on_key_release), self);
  g_signal_connect (self->mouse, "handle-press", G_CALLBACK (on_button_press), self);
  g_signal_connect (self->mouse, "handle-release", G_CALLBACK (on_button_release), self);
  g_signal_connect (self->mouse, "handle-set-abs-position", G_CALLBACK (on_position), self);
  g_signal_connect (self->mouse, "handle-rel-motion", G_CALLBACK (on_motion), self);
  g_signal_connect (self->touch, "handle-send-event", G_CALLBACK (on_touch), self);
  vmd_multi_touch_set_max_slots (self->touch, VM_TOUCH_SLOTS);
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->interface));
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->keyboard));
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->mouse));
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->touch));
  dbus_console_input_changed (self);

  self->size.ops = &size_ops;
  vm_listener_add (vm_session_display (ui->session), &self->size, console);
  console_tell_size (self);
  vm_loop_post (vm_display_loop (vm_session_display (ui->session)), refresh_once, vm_console_ref (console));
  g_dbus_object_manager_server_export (ui->manager, self->object);
  return self;
}

void
dbus_console_free (DbusConsole *self)
{
  g_dbus_object_manager_server_unexport (self->ui->manager,
                                         g_dbus_object_get_object_path (G_DBUS_OBJECT (self->object)));
  g_ptr_array_unref (self->listeners);
  vm_listener_remove (vm_session_display (self->ui->session), &self->size);
  while (g_idle_remove_by_data (self))
    ;
  GObject *const interfaces[]
      = { G_OBJECT (self->interface), G_OBJECT (self->keyboard), G_OBJECT (self->mouse), G_OBJECT (self->touch) };
  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    {
      g_signal_handlers_disconnect_by_data (interfaces[i], self);
      g_object_unref (interfaces[i]);
    }
  g_object_unref (self->object);
  vm_console_unref (self->console);
  g_free (self);
}
