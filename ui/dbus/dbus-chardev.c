/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A text console as a stream: a client gives a socket and gets what is said from then on. One client at a time. */
#include "config.h"

#include "ui/dbus/dbus-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

struct DbusChardev
{
  DbusUi *ui;
  VmText *text; /* a reference */
  GDBusObjectSkeleton *object;
  VmdChardev *interface;
  int fd; /* the client's; -1: none */
  guint in, out;
  uint64_t position;     /* in the text */
  uint8_t waiting[4096]; /* what has not gone out yet */
  size_t n_waiting;
  int woken; /* atomic */
};

static void chardev_send (DbusChardev *self);

static gboolean
on_news (gpointer data)
{
  DbusChardev *self = data;

  g_atomic_int_set (&self->woken, 0);
  chardev_send (self);
  return G_SOURCE_REMOVE;
}

/* Engine loop. */
static void
on_said (VmText *text, void *opaque)
{
  DbusChardev *self = opaque;

  if (g_atomic_int_compare_and_exchange (&self->woken, 0, 1))
    g_idle_add (on_news, self);
}

static void
chardev_drop (DbusChardev *self)
{
  g_clear_handle_id (&self->in, g_source_remove);
  g_clear_handle_id (&self->out, g_source_remove);
  if (self->fd >= 0)
    {
      vm_text_unwatch (self->text, on_said, self);
      close (self->fd);
    }
  self->fd = -1;
  self->n_waiting = 0;
  vmd_chardev_set_owner (self->interface, "");
}

/* --- to the client ------------------------------------------------------------------------------------------------ */

static gboolean on_writable (int fd, GIOCondition condition, gpointer data);

static void
chardev_send (DbusChardev *self)
{
  while (self->fd >= 0 && !self->out)
    {
      if (!self->n_waiting)
        self->n_waiting = vm_text_read (self->text, &self->position, self->waiting, sizeof self->waiting, NULL);
      if (!self->n_waiting)
        return;
      ssize_t n = send (self->fd, self->waiting, self->n_waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0)
        {
          self->n_waiting -= (size_t) n;
          memmove (self->waiting, self->waiting + n, self->n_waiting);
        }
      else if (n < 0 && errno == EAGAIN)
        self->out = g_unix_fd_add (self->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable, self);
      else if (n == 0 || errno != EINTR)
        chardev_drop (self);
    }
}

static gboolean
on_writable (int fd, GIOCondition condition, gpointer data)
{
  DbusChardev *self = data;

  self->out = 0;
  chardev_send (self);
  return G_SOURCE_REMOVE;
}

/* --- from the client ---------------------------------------------------------------------------------------------- */

static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
  DbusChardev *self = data;
  uint8_t bytes[4096];
  ssize_t n = recv (fd, bytes, sizeof bytes, MSG_DONTWAIT);

  if (n > 0)
    vm_text_write (self->text, bytes, (size_t) n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    {
      self->in = 0;
      chardev_drop (self);
      return G_SOURCE_REMOVE;
    }
  return G_SOURCE_CONTINUE;
}

static bool
is_socket (int fd)
{
  int type;
  socklen_t len = sizeof type;

  return getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static gboolean
on_register (VmdChardev *interface, GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle,
             gpointer data)
{
  DbusChardev *self = data;
  int fd = dbus_take_fd (invocation, fds, handle);
  const char *sender = g_dbus_method_invocation_get_sender (invocation);

  if (fd < 0)
    return TRUE;
  if (!is_socket (fd))
    {
      close (fd);
      dbus_refuse (invocation, DBUS_INVALID, "The stream is not a stream socket");
      return TRUE;
    }
  chardev_drop (self);
  while (vm_text_read (self->text, &self->position, self->waiting, sizeof self->waiting, NULL))
    ; /* it was said to others */
  self->fd = fd;
  vm_text_watch (self->text, on_said, self); /* from here on the client's terminal answers the guest's questions */
  self->in = g_unix_fd_add (fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, self);
  vmd_chardev_set_owner (interface, sender ? sender : "peer");
  vmd_chardev_complete_register (interface, invocation, NULL);
  return TRUE;
}

static gboolean
on_send_break (VmdChardev *interface, GDBusMethodInvocation *invocation, gpointer data)
{
  vm_text_send_break (((DbusChardev *) data)->text);
  vmd_chardev_complete_send_break (interface, invocation);
  return TRUE;
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

/* Names that say what it is, for those that the machine made itself. */
static char *
fqdn_of (const VmText *text)
{
  const char *id = vm_text_id (text);

  if (vm_text_stream (text))
    return g_strdup (vm_text_stream (text));
  if (g_str_has_prefix (id, "serial") && g_ascii_isdigit (id[6]))
    return g_strconcat ("org.qemu.console.serial.", id + 6, NULL);
  if (g_str_has_prefix (id, "compat_monitor"))
    return g_strconcat ("org.qemu.monitor.hmp.", id + 14, NULL);
  return g_strdup ("");
}

DbusChardev *
dbus_chardev_new (DbusUi *ui, VmText *text)
{
  static const char *const none[] = { NULL };
  g_autofree char *name = fqdn_of (text), *part = g_strdup (vm_text_id (text));
  g_autofree char *path
      = g_strconcat (DBUS_ROOT "/Chardev_", g_strcanon (part, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_", '_'), NULL);
  DbusChardev *self = g_new0 (DbusChardev, 1);

  self->ui = ui;
  self->text = vm_text_ref (text);
  self->fd = -1;
  self->object = g_dbus_object_skeleton_new (path);
  self->interface = vmd_chardev_skeleton_new ();
  vmd_chardev_set_name (self->interface, name);
  vmd_chardev_set_owner (self->interface, "");
  vmd_chardev_set_feopened (self->interface, TRUE);
  vmd_chardev_set_interfaces (self->interface, none);
  g_signal_connect (self->interface, "handle-register", G_CALLBACK (on_register), self);
  g_signal_connect (self->interface, "handle-send-break", G_CALLBACK (on_send_break), self);
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->interface));
  g_dbus_object_manager_server_export_uniquely (ui->manager, self->object);
  return self;
}

void
dbus_chardev_free (DbusChardev *self)
{
  chardev_drop (self);
  while (g_idle_remove_by_data (self))
    ;
  g_dbus_object_manager_server_unexport (self->ui->manager,
                                         g_dbus_object_get_object_path (G_DBUS_OBJECT (self->object)));
  g_signal_handlers_disconnect_by_data (self->interface, self);
  g_object_unref (self->interface);
  g_object_unref (self->object);
  vm_text_unref (self->text);
  g_free (self);
}

VmText *
dbus_chardev_text (const DbusChardev *self)
{
  return self->text;
}
