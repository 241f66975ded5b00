/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client that sees a console: it is called over a socket of its own (interface org.qemu.Display1.Listener). It gets
 * the next news when it has answered the last: a slow one sees fewer frames. One that can map memory
 * (org.qemu.Display1.Listener.Unix.Map) is only told what changed in it. */
#include "config.h"

#include "ui/dbus/dbus-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#define PATH DBUS_ROOT "/Listener"
#define INTERFACE "org.qemu.Display1.Listener"
#define MAP INTERFACE ".Unix.Map"
#define X8R8G8B8 0x20020888u /* pixman's number of the format */
#define RECTS_MAX 32
#define INTERVAL_MS 16
#define ANSWER_MS 10000
#define PIECE_MAX (4 << 20)    /* bytes of an update */
#define PICTURE_MAX (60 << 20) /* an array of D-Bus has at most 64 MiB */

struct DbusListener
{
  int refs; /* the console's, and one for each call under way */
  bool closed;
  VmDisplay *display;
  VmConsole *console;          /* a reference */
  GDBusConnection *connection; /* NULL: not yet */
  GCancellable *cancellable;
  VmListener listener;
  bool listens;
  bool maps;
  VmSurface *shared; /* what it has mapped */
  int width, height; /* of what it has been told; 0: nothing */
  int mouse_x, mouse_y;
  bool mouse_on;
  unsigned calls; /* not answered yet */
  bool news;      /* there is something to pull */
  int woken;      /* atomic */
  void (*gone) (DbusListener *listener, void *opaque);
  void *opaque;
};

static void listener_push (DbusListener *l);

static DbusListener *
listener_ref (DbusListener *l)
{
  l->refs++;
  return l;
}

static void
listener_unref (DbusListener *l)
{
  if (--l->refs)
    return;
  g_clear_object (&l->connection);
  g_object_unref (l->cancellable);
  vm_surface_unref (l->shared);
  vm_console_unref (l->console);
  g_free (l);
}

/* The client is not there any more. */
static void
listener_end (DbusListener *l)
{
  if (!l->closed)
    l->gone (l, l->opaque);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static void
on_answer (GObject *source, GAsyncResult *result, gpointer data)
{
  DbusListener *l = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) value
      = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL, result, &error);

  l->calls--;
  /* What it does not want to hear it need not have. */
  if (!value && !g_dbus_error_is_remote_error (error))
    listener_end (l);
  else if (!l->closed && !l->calls && l->news)
    listener_push (l);
  listener_unref (l);
}

static void
listener_call (DbusListener *l, const char *interface, const char *method, GVariant *args, GUnixFDList *fds)
{
  l->calls++;
  g_dbus_connection_call_with_unix_fd_list (l->connection, NULL, PATH, interface, method, args, NULL,
                                            G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, fds, l->cancellable, on_answer,
                                            listener_ref (l));
}

/* --- pictures ----------------------------------------------------------------------------------------------------- */

static GVariant *
copy_rect (DbusListener *l, const VmSurface *surface, VmRect rect)
{
  size_t stride = (size_t) rect.width * 4;
  uint8_t *pixels = g_malloc (stride * (size_t) rect.height);

  vm_console_lock (l->console);
  for (int y = 0; y < rect.height; y++)
    memcpy (pixels + stride * (size_t) y,
            surface->data + (size_t) (rect.y + y) * (size_t) surface->stride + (size_t) rect.x * 4, stride);
  vm_console_unlock (l->console);
  g_autoptr (GBytes) bytes = g_bytes_new_take (pixels, stride * (size_t) rect.height);
  return g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static void
send_update (DbusListener *l, const VmSurface *surface, VmRect rect)
{
  int rows = MAX (1, PIECE_MAX / (rect.width * 4));

  for (int y = 0; y < rect.height; y += rows)
    {
      VmRect piece = { rect.x, rect.y + y, rect.width, MIN (rows, rect.height - y) };
      listener_call (l, INTERFACE, "Update",
                     g_variant_new ("(iiiiuu@ay)", piece.x, piece.y, piece.width, piece.height, piece.width * 4,
                                    X8R8G8B8, copy_rect (l, surface, piece)),
                     NULL);
    }
}

static void
share_rect (DbusListener *l, const VmSurface *surface, VmRect rect)
{
  vm_console_lock (l->console);
  for (int y = rect.y; y < rect.y + rect.height; y++)
    memcpy (l->shared->data + (size_t) y * (size_t) l->shared->stride + (size_t) rect.x * 4,
            surface->data + (size_t) y * (size_t) surface->stride + (size_t) rect.x * 4, (size_t) rect.width * 4);
  vm_console_unlock (l->console);
}

/* A copy that others may only read: who could make the file shorter could end this program. */
static bool
send_shared (DbusListener *l, const VmSurface *surface)
{
  g_clear_pointer (&l->shared, vm_surface_unref);
  l->shared = vm_surface_new (surface->width, surface->height);
  if (!l->shared)
    return false;
  share_rect (l, surface, (VmRect){ 0, 0, surface->width, surface->height });
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", l->shared->fd);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    {
      g_clear_pointer (&l->shared, vm_surface_unref);
      return false;
    }
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new_from_array (&fd, 1);
  listener_call (l, MAP, "ScanoutMap",
                 g_variant_new ("(huuuuu)", 0, 0, surface->width, surface->height, l->shared->stride, X8R8G8B8), fds);
  return true;
}

static void
send_picture (DbusListener *l, const VmSurface *surface)
{
  VmRect all = { 0, 0, surface->width, surface->height };

  l->width = surface->width;
  l->height = surface->height;
  if (l->maps && send_shared (l, surface))
    return;
  if ((size_t) surface->width * (size_t) surface->height * 4 > PICTURE_MAX)
    {
      l->width = l->height = 0;
      listener_call (l, INTERFACE, "Disable", NULL, NULL);
      return;
    }
  listener_call (
      l, INTERFACE, "Scanout",
      g_variant_new ("(uuuu@ay)", all.width, all.height, all.width * 4, X8R8G8B8, copy_rect (l, surface, all)), NULL);
}

static void
push_picture (DbusListener *l)
{
  VmRect rects[RECTS_MAX];
  unsigned n;
  bool changed;
  VmSurface *surface = vm_listener_pull (&l->listener, l->console, rects, RECTS_MAX, &n, &changed);

  if (!surface)
    {
      if (l->width)
        listener_call (l, INTERFACE, "Disable", NULL, NULL);
      l->width = l->height = 0;
      return;
    }
  if (changed)
    send_picture (l, surface);
  for (unsigned i = 0; i < n && l->width && !changed; i++)
    {
      if (!l->shared)
        {
          send_update (l, surface, rects[i]);
          continue;
        }
      share_rect (l, surface, rects[i]);
      listener_call (l, MAP, "UpdateMap",
                     g_variant_new ("(iiii)", rects[i].x, rects[i].y, rects[i].width, rects[i].height), NULL);
    }
  vm_surface_unref (surface);
}

static void
push_cursor (DbusListener *l)
{
  int x, y;
  bool visible, changed;
  VmCursor *cursor = vm_listener_cursor (&l->listener, l->console, &x, &y, &visible, &changed);

  if (changed && cursor)
    {
      size_t size = (size_t) cursor->width * (size_t) cursor->height * 4;
      g_autoptr (GBytes) bytes = g_bytes_new (cursor->data, size);
      listener_call (l, INTERFACE, "CursorDefine",
                     g_variant_new ("(iiii@ay)", cursor->width, cursor->height, cursor->hot_x, cursor->hot_y,
                                    g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE)),
                     NULL);
    }
  visible = visible && cursor;
  if (x != l->mouse_x || y != l->mouse_y || visible != l->mouse_on)
    listener_call (l, INTERFACE, "MouseSet", g_variant_new ("(iii)", x, y, visible), NULL);
  l->mouse_x = x;
  l->mouse_y = y;
  l->mouse_on = visible;
  vm_cursor_unref (cursor);
}

static void
listener_push (DbusListener *l)
{
  l->news = false;
  push_picture (l);
  push_cursor (l);
}

static gboolean
on_news (gpointer data)
{
  DbusListener *l = data;

  g_atomic_int_set (&l->woken, 0);
  l->news = true;
  if (!l->calls)
    listener_push (l);
  return G_SOURCE_REMOVE;
}

/* From the engine's threads. */
static void
on_changed (VmListener *listener, VmConsole *console)
{
  DbusListener *l = VM_CONTAINER_OF (listener, DbusListener, listener);

  if (g_atomic_int_compare_and_exchange (&l->woken, 0, 1))
    g_idle_add (on_news, l);
}

static const VmListenerOps listener_ops = { .damaged = on_changed, .cursor_changed = on_changed };

/* --- coming and going --------------------------------------------------------------------------------------------- */

static void
on_interfaces (GObject *source, GAsyncResult *result, gpointer data)
{
  DbusListener *l = data;
  g_autoptr (GVariant) value = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  g_autoptr (GVariant) list = NULL;

  if (value)
    g_variant_get (value, "(v)", &list);
  if (list && g_variant_is_of_type (list, G_VARIANT_TYPE_STRING_ARRAY))
    {
      g_autofree const char **names = g_variant_get_strv (list, NULL);
      l->maps = g_strv_contains (names, MAP);
    }
  if (!l->closed)
    {
      l->listener.ops = &listener_ops;
      l->listens = true;
      vm_listener_add (l->display, &l->listener, l->console);
      vm_listener_set_interval (l->display, &l->listener, INTERVAL_MS * 1000);
      listener_push (l);
    }
  listener_unref (l);
}

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, gpointer data)
{
  listener_end (data);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  DbusListener *l = data;

  l->connection = g_dbus_connection_new_finish (result, NULL);
  if (l->connection && !l->closed)
    {
      g_signal_connect (l->connection, "closed", G_CALLBACK (on_closed), l);
      g_dbus_connection_start_message_processing (l->connection);
      g_dbus_connection_call (l->connection, NULL, PATH, "org.freedesktop.DBus.Properties", "Get",
                              g_variant_new ("(ss)", INTERFACE, "Interfaces"), G_VARIANT_TYPE ("(v)"),
                              G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, l->cancellable, on_interfaces,
                              listener_ref (l));
    }
  else
    listener_end (l);
  listener_unref (l);
}

DbusListener *
dbus_listener_new (VmDisplay *display, VmConsole *console, int fd, void (*gone) (DbusListener *listener, void *opaque),
                   void *opaque)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autofree char *guid = g_dbus_generate_guid ();

  if (!socket)
    {
      close (fd);
      return NULL;
    }
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  DbusListener *l = g_new0 (DbusListener, 1);
  l->refs = 1;
  l->display = display;
  l->console = vm_console_ref (console);
  l->cancellable = g_cancellable_new ();
  l->gone = gone;
  l->opaque = opaque;
  g_dbus_connection_new (G_IO_STREAM (stream), guid,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER
                             | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, l->cancellable, on_connected, listener_ref (l));
  return l;
}

void
dbus_listener_free (DbusListener *l)
{
  l->closed = true;
  if (l->listens)
    vm_listener_remove (l->display, &l->listener);
  while (g_idle_remove_by_data (l))
    ;
  g_cancellable_cancel (l->cancellable);
  if (l->connection)
    {
      g_signal_handlers_disconnect_by_data (l->connection, l);
      g_dbus_connection_close (l->connection, NULL, NULL, NULL);
    }
  listener_unref (l);
}
