/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The session bus. Sources: XDG Desktop Portal documentation (Inhibit, Settings), org.gnome.SessionManager, and
 * systemd-logind's inhibitor locks, tried in this order for the one that says that the host stays awake. */
#include "config.h"

#include "ui/gtk/session-bus.h"

#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>
#include <unistd.h>

#define APP_ID "org.vitrine.Vitrine"
#define WINDOW_PATH "/org/vitrine/Vitrine/window/1"
#define PORTAL "org.freedesktop.portal.Desktop"
#define PORTAL_PATH "/org/freedesktop/portal/desktop"
#define MANAGER "org.gnome.SessionManager"
#define MANAGER_PATH "/org/gnome/SessionManager"
#define APPEARANCE "org.freedesktop.appearance"
#define NOTIFICATIONS "org.freedesktop.Notifications"
#define NOTIFICATIONS_PATH "/org/freedesktop/Notifications"
#define SUSPEND 4u /* of both services' flags */

typedef enum Keeper
{ /* who keeps the host awake */
  KEEPER_PORTAL,
  KEEPER_MANAGER,
  KEEPER_LOGIND,
  N_KEEPERS, /* nobody can */
} Keeper;

typedef struct Note
{
  VmSessionBus *bus;
  gboolean shown; /* it shall be */
  guint32 id;     /* 0: it is not (yet) */
} Note;

struct VmSessionBus
{
  GActionGroup *actions;
  GDBusConnection *bus; /* NULL: not there (yet) */
  GCancellable *cancel; /* of all that is under way */
  guint exported, name, scheme, invoked;
  Note hidden, news;       /* that the window is hidden; what happened behind a person's back */
  gboolean wanted, asking; /* awake; a question is under way */
  char *machine;
  Keeper keeper;
  char *request; /* KEEPER_PORTAL: the path of what we have; NULL: nothing */
  guint cookie;  /* KEEPER_MANAGER; 0: nothing */
  int lock;      /* KEEPER_LOGIND; -1: nothing */
};

/* --- the host stays awake -------------------------------------------------------------------------- */

static void bus_settle (VmSessionBus *self);

static gboolean
bus_is_kept (const VmSessionBus *self)
{
  return self->request || self->cookie || self->lock >= 0;
}

static void
bus_let_go (VmSessionBus *self)
{
  if (self->request)
    g_dbus_connection_call (self->bus, PORTAL, self->request, "org.freedesktop.portal.Request", "Close", NULL, NULL,
                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  g_clear_pointer (&self->request, g_free);
  if (self->cookie)
    g_dbus_connection_call (self->bus, MANAGER, MANAGER_PATH, MANAGER, "Uninhibit", g_variant_new ("(u)", self->cookie),
                            NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  self->cookie = 0;
  if (self->lock >= 0)
    close (self->lock);
  self->lock = -1;
}

/* ANSWER (or NULL) of the keeper that was asked; takes it. */
static void
bus_take_answer (VmSessionBus *self, GVariant *answer, GUnixFDList *fds)
{
  gint32 handle;

  self->asking = FALSE;
  if (!answer)
    self->keeper++; /* the next one, or nobody */
  else if (self->keeper == KEEPER_PORTAL)
    g_variant_get (answer, "(o)", &self->request);
  else if (self->keeper == KEEPER_MANAGER)
    g_variant_get (answer, "(u)", &self->cookie);
  else
    {
      g_variant_get (answer, "(h)", &handle);
      self->lock = fds ? g_unix_fd_list_get (fds, handle, NULL) : -1;
      if (self->lock < 0)
        self->keeper++;
    }
  g_clear_pointer (&answer, g_variant_unref);
  bus_settle (self);
}

static void
bus_asked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  GVariant *answer = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), &fds, result, &error);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    bus_take_answer (user_data, answer, fds);
  else
    g_clear_pointer (&answer, g_variant_unref);
}

static void
bus_ask_logind (GObject *source, GAsyncResult *result, gpointer user_data)
{
  VmSessionBus *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) system = g_bus_get_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (system)
    g_dbus_connection_call_with_unix_fd_list (
        system, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "Inhibit",
        g_variant_new ("(ssss)", "idle", "Vitrine", self->machine, "block"), G_VARIANT_TYPE ("(h)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, self->cancel, bus_asked, self);
  else
    bus_take_answer (self, NULL, NULL);
}

static void
bus_ask (VmSessionBus *self)
{
  GVariantBuilder options;

  self->asking = TRUE;
  switch (self->keeper)
    {
    case KEEPER_PORTAL:
      g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&options, "{sv}", "reason", g_variant_new_string (self->machine));
      g_dbus_connection_call_with_unix_fd_list (
          self->bus, PORTAL, PORTAL_PATH, "org.freedesktop.portal.Inhibit", "Inhibit",
          g_variant_new ("(su@a{sv})", "", SUSPEND, g_variant_builder_end (&options)), G_VARIANT_TYPE ("(o)"),
          G_DBUS_CALL_FLAGS_NONE, -1, NULL, self->cancel, bus_asked, self);
      break;
    case KEEPER_MANAGER:
      g_dbus_connection_call_with_unix_fd_list (self->bus, MANAGER, MANAGER_PATH, MANAGER, "Inhibit",
                                                g_variant_new ("(susu)", APP_ID, 0, self->machine, SUSPEND),
                                                G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, self->cancel,
                                                bus_asked, self);
      break;
    default:
      g_bus_get (G_BUS_TYPE_SYSTEM, self->cancel, bus_ask_logind, self);
      break;
    }
}

/* Towards what is wanted. */
static void
bus_settle (VmSessionBus *self)
{
  if (!self->bus || self->asking)
    return;
  if (!self->wanted)
    bus_let_go (self);
  else if (!bus_is_kept (self) && self->keeper < N_KEEPERS)
    bus_ask (self);
}

/* --- dark or light --------------------------------------------------------------------------------- */

/* VALUE: 0 no preference, 1 dark, 2 light. */
static void
bus_take_scheme (GVariant *value)
{
  GtkSettings *settings = gtk_settings_get_default ();
  g_autoptr (GVariant) plain = g_variant_ref (value);

  while (g_variant_is_of_type (plain, G_VARIANT_TYPE_VARIANT))
    {
      GVariant *inner = g_variant_get_variant (plain);
      g_variant_unref (plain);
      plain = inner;
    }
  if (!settings || !g_variant_is_of_type (plain, G_VARIANT_TYPE_UINT32))
    return;
  if (g_variant_get_uint32 (plain) == 0)
    gtk_settings_reset_property (settings, "gtk-application-prefer-dark-theme");
  else
    g_object_set (settings, "gtk-application-prefer-dark-theme", g_variant_get_uint32 (plain) == 1, NULL);
}

static void
bus_scheme_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GVariant) answer = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);

  if (answer)
    {
      g_autoptr (GVariant) value = g_variant_get_child_value (answer, 0);
      bus_take_scheme (value);
    }
}

static void
bus_scheme_changed (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                    const char *signal, GVariant *parameters, gpointer user_data)
{
  const char *space, *key;
  g_autoptr (GVariant) value = NULL;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(ssv)")))
    return;
  g_variant_get (parameters, "(&s&sv)", &space, &key, &value);
  if (g_str_equal (space, APPEARANCE) && g_str_equal (key, "color-scheme"))
    bus_take_scheme (value);
}

/* --- a machine without its window ------------------------------------------------------------------ */

static void
bus_take_back (Note *note)
{
  note->shown = FALSE;
  if (note->id)
    g_dbus_connection_call (note->bus->bus, NOTIFICATIONS, NOTIFICATIONS_PATH, NOTIFICATIONS, "CloseNotification",
                            g_variant_new ("(u)", note->id), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  note->id = 0;
}

static void
bus_noted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Note *note = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || !answer)
    return;
  g_variant_get (answer, "(u)", &note->id);
  if (!note->shown)
    bus_take_back (note);
}

/* In the place of what NOTE was. */
static void
bus_note (Note *note, const char *machine, const char *text, gboolean resident)
{
  const char *actions[] = { "default", _ ("Show"), "show", _ ("Show"), NULL };
  VmSessionBus *self = note->bus;
  GVariantBuilder hints;

  note->shown = TRUE;
  g_variant_builder_init (&hints, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&hints, "{sv}", "desktop-entry", g_variant_new_string (APP_ID));
  g_variant_builder_add (&hints, "{sv}", "resident", g_variant_new_boolean (resident));
  g_dbus_connection_call (self->bus, NOTIFICATIONS, NOTIFICATIONS_PATH, NOTIFICATIONS, "Notify",
                          g_variant_new ("(susss^as@a{sv}i)", "Vitrine", note->id, APP_ID, machine, text, actions,
                                         g_variant_builder_end (&hints), resident ? 0 : -1),
                          G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, self->cancel, bus_noted, note);
}

static void
bus_note_invoked (GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
                  GVariant *parameters, gpointer user_data)
{
  VmSessionBus *self = user_data;
  guint32 id;
  const char *action;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(us)")))
    return;
  g_variant_get (parameters, "(u&s)", &id, &action);
  if (id && (id == self->hidden.id || id == self->news.id))
    g_action_group_activate_action (self->actions, "present", NULL);
}

gboolean
vm_session_bus_is_connected (VmSessionBus *self)
{
  return self->bus && !g_dbus_connection_is_closed (self->bus);
}

void
vm_session_bus_set_hidden (VmSessionBus *self, const char *machine, gboolean hidden)
{
  if (self->hidden.shown == hidden || !vm_session_bus_is_connected (self))
    return;
  bus_take_back (&self->hidden);
  if (hidden)
    bus_note (&self->hidden, machine, _ ("The machine runs on without its window."), TRUE);
}

void
vm_session_bus_tell (VmSessionBus *self, const char *machine, const char *text)
{
  if (!vm_session_bus_is_connected (self))
    return;
  if (text)
    bus_note (&self->news, machine, text, FALSE);
  else
    bus_take_back (&self->news);
}

/* --- life ------------------------------------------------------------------------------------------ */

static void
bus_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  VmSessionBus *self = user_data;
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus = g_bus_get_finish (result, &error);

  if (!bus) /* cancelled: SELF is gone */
    return;
  self->bus = bus;
  g_dbus_connection_set_exit_on_close (bus, FALSE); /* the machine outlives its desktop */
  self->exported = g_dbus_connection_export_action_group (bus, WINDOW_PATH, self->actions, NULL);
  g_autofree char *name = g_strdup_printf (APP_ID ".p%d", (int) getpid ());
  self->name = g_bus_own_name_on_connection (bus, name, G_BUS_NAME_OWNER_FLAGS_NONE, NULL, NULL, NULL, NULL);
  self->scheme = g_dbus_connection_signal_subscribe (bus, PORTAL, "org.freedesktop.portal.Settings", "SettingChanged",
                                                     PORTAL_PATH, APPEARANCE, G_DBUS_SIGNAL_FLAGS_NONE,
                                                     bus_scheme_changed, self, NULL);
  self->invoked
      = g_dbus_connection_signal_subscribe (bus, NOTIFICATIONS, NOTIFICATIONS, "ActionInvoked", NOTIFICATIONS_PATH,
                                            NULL, G_DBUS_SIGNAL_FLAGS_NONE, bus_note_invoked, self, NULL);
  g_dbus_connection_call (bus, PORTAL, PORTAL_PATH, "org.freedesktop.portal.Settings", "Read",
                          g_variant_new ("(ss)", APPEARANCE, "color-scheme"), G_VARIANT_TYPE ("(v)"),
                          G_DBUS_CALL_FLAGS_NONE, -1, self->cancel, bus_scheme_read, self);
  bus_settle (self);
}

VmSessionBus *
vm_session_bus_new (GActionGroup *actions)
{
  VmSessionBus *self = g_new0 (VmSessionBus, 1);

  self->actions = g_object_ref (actions);
  self->cancel = g_cancellable_new ();
  self->hidden.bus = self->news.bus = self;
  self->lock = -1;
  g_bus_get (G_BUS_TYPE_SESSION, self->cancel, bus_connected, self);
  return self;
}

void
vm_session_bus_set_running (VmSessionBus *self, const char *machine, gboolean running)
{
  if (!self->machine)
    self->machine = g_strdup_printf (_ ("%s is running"), machine);
  self->wanted = running;
  bus_settle (self);
}

void
vm_session_bus_free (VmSessionBus *self)
{
  g_cancellable_cancel (self->cancel);
  if (self->bus)
    {
      bus_let_go (self);
      bus_take_back (&self->hidden);
      bus_take_back (&self->news);
      g_dbus_connection_signal_unsubscribe (self->bus, self->invoked);
      g_dbus_connection_signal_unsubscribe (self->bus, self->scheme);
      if (!g_dbus_connection_is_closed (self->bus)) /* else it is nobody's already */
        g_bus_unown_name (self->name);
      if (self->exported)
        g_dbus_connection_unexport_action_group (self->bus, self->exported);
    }
  g_clear_object (&self->bus);
  g_object_unref (self->cancel);
  g_object_unref (self->actions);
  g_free (self->machine);
  g_free (self);
}
