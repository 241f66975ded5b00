/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bus, or the one client of a connection that was handed over, and the objects on it. */
#include "config.h"

#include "ui/dbus/ui-dbus.h"

#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "ui/dbus/dbus-private.h"

typedef struct Options
{
  const char *address;  /* NULL: the session's bus */
  const char *audiodev; /* NULL: without sound */
  bool p2p;
} Options;

/* --- calls -------------------------------------------------------------------------------------------------------- */

void
dbus_refuse (GDBusMethodInvocation *invocation, const char *kind, const char *why)
{
  g_dbus_method_invocation_return_dbus_error (invocation, kind, why);
}

int
dbus_take_fd (GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle)
{
  int index = g_variant_get_handle (handle), fd = -1;

  if (fds && index >= 0 && index < g_unix_fd_list_get_length (fds))
    fd = g_unix_fd_list_get (fds, index, NULL);
  if (fd < 0)
    dbus_refuse (invocation, DBUS_INVALID, "The call brings no file descriptor");
  return fd;
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

static void
ui_sync_consoles (DbusUi *ui)
{
  VmDisplay *display = vm_session_display (ui->session);
  GVariantBuilder ids;

  for (guint i = ui->consoles->len; i-- > 0;)
    {
      VmConsole *console = dbus_console_console (ui->consoles->pdata[i]);
      if (vm_display_console (display, vm_console_index (console)) != console)
        g_ptr_array_remove_index (ui->consoles, i);
    }
  g_variant_builder_init (&ids, G_VARIANT_TYPE ("au"));
  for (unsigned i = 0; i < vm_display_n_consoles (display); i++)
    {
      VmConsole *console = vm_display_ref_console (display, i);
      bool known = false;
      if (!console)
        continue;
      for (guint j = 0; j < ui->consoles->len && !known; j++)
        known = dbus_console_console (ui->consoles->pdata[j]) == console;
      if (!known)
        g_ptr_array_add (ui->consoles, dbus_console_new (ui, console));
      g_variant_builder_add (&ids, "u", i);
      vm_console_unref (console);
    }
  vmd_vm_set_console_ids (ui->vm, g_variant_builder_end (&ids));
}

static void
ui_sync_texts (DbusUi *ui)
{
  g_autoptr (GPtrArray) texts = vm_session_texts (ui->session);

  for (guint i = ui->chardevs->len; i-- > 0;)
    if (!g_ptr_array_find (texts, dbus_chardev_text (ui->chardevs->pdata[i]), NULL))
      g_ptr_array_remove_index (ui->chardevs, i);
  for (guint i = 0; i < texts->len; i++)
    {
      bool known = false;
      for (guint j = 0; j < ui->chardevs->len && !known; j++)
        known = dbus_chardev_text (ui->chardevs->pdata[j]) == texts->pdata[i];
      if (!known)
        g_ptr_array_add (ui->chardevs, dbus_chardev_new (ui, texts->pdata[i]));
    }
}

static gboolean
ui_input_changed (gpointer data)
{
  DbusUi *ui = data;

  g_atomic_int_set (&ui->input_woken, 0);
  for (guint i = 0; i < ui->consoles->len; i++)
    dbus_console_input_changed (ui->consoles->pdata[i]);
  return G_SOURCE_REMOVE;
}

/* Engine loop. */
static void
on_input_changed (void *opaque)
{
  DbusUi *ui = opaque;

  if (g_atomic_int_compare_and_exchange (&ui->input_woken, 0, 1))
    g_idle_add (ui_input_changed, ui);
}

static void
ui_export_vm (DbusUi *ui)
{
  static const char *const none[] = { NULL };
  const VmSettings *settings = vm_session_settings (ui->session);
  const uint8_t *u = settings->uuid;
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (DBUS_ROOT "/VM");
  g_autofree char *uuid
      = g_strdup_printf ("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
                         u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);

  ui->vm = vmd_vm_skeleton_new ();
  vmd_vm_set_name (ui->vm, settings->name ? settings->name : "Vitrine");
  vmd_vm_set_uuid (ui->vm, uuid);
  vmd_vm_set_interfaces (ui->vm, none);
  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (ui->vm));
  g_dbus_object_manager_server_export (ui->manager, object);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* The one client has gone: what it held comes up. */
static void
ui_client_gone (DbusUi *ui)
{
  dbus_clipboard_client_gone (ui->clipboard);
  vm_input_release_all (vm_session_input (ui->session));
}

static void
ui_use_connection (DbusUi *ui, GDBusConnection *connection)
{
  g_set_object (&ui->connection, connection);
  g_dbus_object_manager_server_set_connection (ui->manager, connection);
}

static void
on_client_closed (GDBusConnection *connection, gboolean vanished, GError *error, gpointer data)
{
  DbusUi *ui = data;

  if (connection != ui->connection)
    return;
  ui_client_gone (ui);
  ui_use_connection (ui, NULL);
}

static void
on_client_ready (GObject *source, GAsyncResult *result, gpointer data)
{
  DbusUi *ui = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) connection = g_dbus_connection_new_finish (result, &error);

  if (!connection)
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_printerr ("vitrine: -display dbus: a client did not log in: %s\n", error->message);
      return;
    }
  /* The newest one is the one. */
  if (ui->connection)
    {
      g_signal_handlers_disconnect_by_data (ui->connection, ui);
      ui_client_gone (ui);
      g_dbus_connection_close (ui->connection, NULL, NULL, NULL);
    }
  g_signal_connect (connection, "closed", G_CALLBACK (on_client_closed), ui);
  ui_use_connection (ui, connection);
  g_dbus_connection_start_message_processing (connection);
}

typedef struct Waiting
{
  DbusUi *ui;
  GCancellable *cancellable;
} Waiting;

static void
ui_take_client (VmSession *session, int fd, void *opaque)
{
  const Waiting *waiting = opaque;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);
  g_autofree char *guid = g_dbus_generate_guid ();

  if (!socket)
    {
      close (fd);
      g_printerr ("vitrine: -display dbus: a client is not on a socket: %s\n", error->message);
      return;
    }
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  g_dbus_connection_new (G_IO_STREAM (stream), guid,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER
                             | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, waiting->cancellable, on_client_ready, waiting->ui);
}

static GDBusConnection *
connect_to_bus (const Options *options, GError **error)
{
  g_autofree char *session
      = options->address ? NULL : g_dbus_address_get_for_bus_sync (G_BUS_TYPE_SESSION, NULL, error);
  GDBusConnection *bus = NULL;

  if (options->address || session)
    bus = g_dbus_connection_new_for_address_sync (options->address ? options->address : session,
                                                  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
                                                      | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                  NULL, NULL, error);
  if (!bus && error)
    g_prefix_error (error, "failed to connect to DBus: ");
  return bus;
}

/* --- start and end ------------------------------------------------------------------------------------------------ */

static bool
audiodev_is_there (const VmSettings *settings, const char *id, GError **error)
{
  for (guint i = 0; i < settings->audios->len; i++)
    {
      const VmKeyVals *audio = ((const VmAudioSpec *) g_ptr_array_index (settings->audios, i))->options;
      if (g_strcmp0 (vm_keyvals_get (audio, "id"), id) != 0)
        continue;
      return !g_strcmp0 (vm_keyvals_get (audio, "driver"), "dbus")
             || vm_fail (error, "Audiodev '%s' is not compatible with DBus", id);
    }
  return vm_fail (error, "Audiodev '%s' not found", id);
}

static bool
options_read (Options *options, const VmSettings *settings, GError **error)
{
  static const char *const gl_names[] = { "off", "on", "core", "es", NULL };
  const VmKeyVals *list = settings->display_opts;
  int gl = 0;

  *options = (Options){ .address = vm_keyvals_get (list, "addr") };
  vm_keyvals_get (list, "type");
  if (!vm_keyvals_bool (list, "p2p", &options->p2p, error) || !vm_keyvals_enum (list, "gl", gl_names, &gl, error))
    return false;
  if (options->address && options->p2p)
    return vm_fail (error, "dbus: can't accept both addr=X and p2p=yes options");
  if (gl || vm_keyvals_get (list, "rendernode"))
    return vm_fail (error, "-display dbus,%s=: not available in this build: no card here draws with OpenGL",
                    gl ? "gl" : "rendernode");
  options->audiodev = vm_keyvals_get (list, "audiodev");
  if (options->audiodev && !audiodev_is_there (settings, options->audiodev, error))
    return false;
  return vm_keyvals_check_used (list, error);
}

static bool
ui_probe (const VmSettings *settings, GError **error)
{
  Options options;

  if (!options_read (&options, settings, error))
    return false;
  if (options.p2p)
    return true;
  g_autoptr (GDBusConnection) bus = connect_to_bus (&options, error);
  return bus && (g_dbus_connection_close_sync (bus, NULL, NULL), true);
}

static void
ui_session_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  DbusUi *ui = opaque;

  if (event == VM_SESSION_QUIT)
    g_main_loop_quit (ui->loop);
  else if (event == VM_SESSION_CONSOLES)
    ui_sync_consoles (ui);
  else if (event == VM_SESSION_TEXTS)
    ui_sync_texts (ui);
}

static void
ui_run (VmMachine *machine, void (*started) (void *opaque), void *opaque)
{
  DbusUi ui = { .loop = g_main_loop_new (NULL, FALSE) };
  Waiting waiting = { &ui, g_cancellable_new () };
  Options options;
  guint name = 0;

  ui.session = vm_session_new (machine, NULL, ui_session_event, &ui);
  options_read (&options, vm_session_settings (ui.session), NULL); /* said and checked by probe */
  ui.manager = g_dbus_object_manager_server_new (DBUS_ROOT);
  ui.consoles = g_ptr_array_new_with_free_func ((GDestroyNotify) dbus_console_free);
  ui.chardevs = g_ptr_array_new_with_free_func ((GDestroyNotify) dbus_chardev_free);
  ui_export_vm (&ui);
  ui.clipboard = dbus_clipboard_new (&ui);
  if (options.audiodev)
    ui.audio = dbus_audio_new (machine, ui.manager);
  vm_input_watch (vm_session_input (ui.session), on_input_changed, &ui);
  ui_sync_consoles (&ui);
  ui_sync_texts (&ui);
  if (options.p2p)
    vm_session_take_clients (ui.session, "@dbus-display", ui_take_client, &waiting);
  else
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GDBusConnection) bus = connect_to_bus (&options, &error);
      if (bus)
        {
          ui_use_connection (&ui, bus);
          /* Several machines wait in a line for the name, and can be found in it. */
          name = g_bus_own_name_on_connection (bus, "org.qemu", G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
        }
      else
        g_printerr ("vitrine: -display dbus: %s\n", error->message); /* it was there a moment ago */
    }

  if (started)
    started (opaque);
  g_main_loop_run (ui.loop);

  if (name)
    g_bus_unown_name (name);
  g_cancellable_cancel (waiting.cancellable);
  vm_input_unwatch (vm_session_input (ui.session), on_input_changed, &ui);
  while (g_idle_remove_by_data (&ui))
    ;
  g_ptr_array_unref (ui.chardevs);
  g_ptr_array_unref (ui.consoles);
  dbus_clipboard_free (ui.clipboard);
  g_clear_pointer (&ui.audio, dbus_audio_free);
  if (ui.connection)
    g_signal_handlers_disconnect_by_data (ui.connection, &ui);
  g_object_unref (ui.manager);
  g_object_unref (ui.vm);
  if (ui.connection)
    g_dbus_connection_close_sync (ui.connection, NULL, NULL);
  g_clear_object (&ui.connection);
  while (g_main_context_iteration (NULL, FALSE))
    ; /* what was cancelled is told so */
  vm_session_free (ui.session);
  g_object_unref (waiting.cancellable);
  g_main_loop_unref (ui.loop);
}

const VmUiModule vm_ui_dbus = { .probe = ui_probe, .run = ui_run };
