/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clipboard as an object, and that of the one client that has registered: each side has the same interface and
 * calls the other's. */
#include "config.h"

#include "ui/dbus/dbus-private.h"

#include <string.h>

#include "ui/gtk/clipboard-bridge.h"

#define PATH DBUS_ROOT "/Clipboard"
#define INTERFACE "org.qemu.Display1.Clipboard"
#define ANSWER_MS 5000

struct DbusClipboard
{
  int refs; /* the owner's, and one for each call under way */
  DbusUi *ui;
  GDBusObjectSkeleton *object;
  VmdClipboard *interface;
  VmClipBridge *bridge;
  bool registered;
  char *client; /* its name on the bus; NULL: the one peer */
  guint watch;
  guint32 serial[VM_CLIP_SELECTIONS];
  unsigned offered[VM_CLIP_SELECTIONS];                            /* types, by the guest */
  GDBusMethodInvocation *asked[VM_CLIP_SELECTIONS][VM_CLIP_TYPES]; /* Request calls that wait */
};

static const char *
mime_of (VmClipType type)
{
  return type == VM_CLIP_TEXT ? "text/plain;charset=utf-8" : "image/png";
}

/* The bits of VmClipType that a list of MIME types means. */
static unsigned
types_of (const char *const *mimes)
{
  unsigned types = 0;

  for (; *mimes; mimes++)
    if (!g_ascii_strcasecmp (*mimes, "text/plain;charset=utf-8") || !strcmp (*mimes, "text/plain")
        || !strcmp (*mimes, "UTF8_STRING"))
      types |= VM_CLIP_BIT (VM_CLIP_TEXT);
    else if (!g_ascii_strcasecmp (*mimes, "image/png"))
      types |= VM_CLIP_BIT (VM_CLIP_PNG);
  return types;
}

static void
clipboard_unref (DbusClipboard *self)
{
  if (--self->refs)
    return;
  g_free (self->client);
  g_free (self);
}

/* --- calls to the client ------------------------------------------------------------------------------------------ */

static void
client_call (DbusClipboard *self, const char *method, GVariant *args)
{
  if (!self->registered || !self->ui->connection)
    {
      g_variant_unref (g_variant_ref_sink (args));
      return;
    }
  g_dbus_connection_call (self->ui->connection, self->client, PATH, INTERFACE, method, args, NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, NULL, NULL, NULL);
}

static void
tell_client (DbusClipboard *self, VmClipSelection selection)
{
  const char *mimes[VM_CLIP_TYPES + 1] = { NULL };
  unsigned n = 0;

  for (unsigned type = 0; type < VM_CLIP_TYPES; type++)
    if (self->offered[selection] & VM_CLIP_BIT (type))
      mimes[n++] = mime_of (type);
  if (n)
    client_call (self, "Grab", g_variant_new ("(uu^as)", selection, ++self->serial[selection], mimes));
  else
    client_call (self, "Release", g_variant_new ("(u)", selection));
}

typedef struct Fetch
{
  DbusClipboard *clipboard;
  VmClipSelection selection;
  VmClipType type;
} Fetch;

/* Text is UTF-8 with LF, as the contract of the clipboard has it. */
static GBytes *
checked_content (VmClipType type, GVariant *data)
{
  gsize len;
  const char *bytes = g_variant_get_fixed_array (data, &len, 1);

  if (len > VM_CLIP_MAX)
    return NULL;
  if (type != VM_CLIP_TEXT)
    return g_bytes_new (bytes, len);
  g_autoptr (GString) text = g_string_sized_new (len);
  for (gsize i = 0; i < len && bytes[i]; i++)
    if (bytes[i] != '\r' || i + 1 == len || bytes[i + 1] != '\n')
      g_string_append_c (text, bytes[i]);
  return g_utf8_validate (text->str, (gssize) text->len, NULL) ? g_bytes_new (text->str, text->len) : NULL;
}

static void
on_fetched (GObject *source, GAsyncResult *result, gpointer data)
{
  Fetch *fetch = data;
  DbusClipboard *self = fetch->clipboard;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  g_autoptr (GVariant) content = NULL;
  g_autoptr (GBytes) bytes = NULL;

  if (reply)
    {
      g_variant_get (reply, "(&s@ay)", NULL, &content);
      bytes = checked_content (fetch->type, content);
    }
  if (self->bridge)
    vm_clip_bridge_deliver (self->bridge, fetch->selection, fetch->type, bytes);
  clipboard_unref (self);
  g_free (fetch);
}

/* --- from the guest ----------------------------------------------------------------------------------------------- */

static void
on_offered (void *opaque, VmClipSelection selection, unsigned types)
{
  DbusClipboard *self = opaque;

  self->offered[selection] = types;
  tell_client (self, selection);
}

static void
on_wanted (void *opaque, VmClipSelection selection, VmClipType type)
{
  DbusClipboard *self = opaque;
  const char *const mimes[] = { mime_of (type), NULL };

  if (!self->registered || !self->ui->connection)
    {
      vm_clip_bridge_deliver (self->bridge, selection, type, NULL);
      return;
    }
  Fetch *fetch = g_new (Fetch, 1);
  *fetch = (Fetch){ self, selection, type };
  self->refs++;
  g_dbus_connection_call (self->ui->connection, self->client, PATH, INTERFACE, "Request",
                          g_variant_new ("(u^as)", selection, mimes), G_VARIANT_TYPE ("(say)"),
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, NULL, on_fetched, fetch);
}

static void
on_received (void *opaque, VmClipSelection selection, VmClipType type, GBytes *data)
{
  DbusClipboard *self = opaque;
  GDBusMethodInvocation *invocation = g_steal_pointer (&self->asked[selection][type]);

  if (!invocation)
    return;
  if (data)
    vmd_clipboard_complete_request (self->interface, invocation, mime_of (type),
                                    g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, data, TRUE));
  else
    dbus_refuse (invocation, DBUS_FAILED, "The content did not come");
}

/* --- calls of clients --------------------------------------------------------------------------------------------- */

static bool
is_client (DbusClipboard *self, GDBusMethodInvocation *invocation)
{
  if (self->registered && !g_strcmp0 (g_dbus_method_invocation_get_sender (invocation), self->client))
    return true;
  dbus_refuse (invocation, DBUS_FAILED, "Unregistered caller");
  return false;
}

static bool
is_selection (GDBusMethodInvocation *invocation, guint selection)
{
  if (selection < VM_CLIP_SELECTIONS)
    return true;
  dbus_refuse (invocation, DBUS_FAILED, "There is no such selection");
  return false;
}

void
dbus_clipboard_client_gone (DbusClipboard *self)
{
  if (!self->registered)
    return;
  self->registered = false;
  g_clear_pointer (&self->client, g_free);
  if (self->watch)
    g_bus_unwatch_name (self->watch);
  self->watch = 0;
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    {
      vm_clip_bridge_grab (self->bridge, s, 0);
      self->serial[s] = 0;
    }
}

static void
on_vanished (GDBusConnection *connection, const char *name, gpointer data)
{
  dbus_clipboard_client_gone (data);
}

static gboolean
on_register (VmdClipboard *interface, GDBusMethodInvocation *invocation, gpointer data)
{
  DbusClipboard *self = data;
  const char *sender = g_dbus_method_invocation_get_sender (invocation);

  if (self->registered)
    {
      dbus_refuse (invocation, DBUS_FAILED, "Clipboard peer already registered");
      return TRUE;
    }
  self->registered = true;
  self->client = g_strdup (sender);
  if (sender)
    self->watch = g_bus_watch_name_on_connection (g_dbus_method_invocation_get_connection (invocation), sender,
                                                  G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, on_vanished, self, NULL);
  vmd_clipboard_complete_register (interface, invocation);
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    if (self->offered[s])
      tell_client (self, s);
  return TRUE;
}

static gboolean
on_unregister (VmdClipboard *interface, GDBusMethodInvocation *invocation, gpointer data)
{
  DbusClipboard *self = data;

  if (!is_client (self, invocation))
    return TRUE;
  dbus_clipboard_client_gone (self);
  vmd_clipboard_complete_unregister (interface, invocation);
  return TRUE;
}

static gboolean
on_grab (VmdClipboard *interface, GDBusMethodInvocation *invocation, guint selection, guint serial,
         const char *const *mimes, gpointer data)
{
  DbusClipboard *self = data;

  if (!is_client (self, invocation) || !is_selection (invocation, selection))
    return TRUE;
  /* One that has not heard of the newest grab yet comes too late. */
  if (serial >= self->serial[selection])
    {
      self->serial[selection] = serial;
      vm_clip_bridge_grab (self->bridge, selection, types_of (mimes));
    }
  vmd_clipboard_complete_grab (interface, invocation);
  return TRUE;
}

static gboolean
on_release (VmdClipboard *interface, GDBusMethodInvocation *invocation, guint selection, gpointer data)
{
  DbusClipboard *self = data;

  if (!is_client (self, invocation) || !is_selection (invocation, selection))
    return TRUE;
  vm_clip_bridge_grab (self->bridge, selection, 0);
  vmd_clipboard_complete_release (interface, invocation);
  return TRUE;
}

static gboolean
on_request (VmdClipboard *interface, GDBusMethodInvocation *invocation, guint selection, const char *const *mimes,
            gpointer data)
{
  DbusClipboard *self = data;

  if (!is_client (self, invocation) || !is_selection (invocation, selection))
    return TRUE;
  unsigned types = types_of (mimes) & self->offered[selection];
  unsigned type = types & VM_CLIP_BIT (VM_CLIP_TEXT) ? VM_CLIP_TEXT : VM_CLIP_PNG;
  if (!types)
    dbus_refuse (invocation, DBUS_FAILED, "Empty clipboard");
  else if (self->asked[selection][type])
    dbus_refuse (invocation, DBUS_FAILED, "Pending request");
  else
    {
      self->asked[selection][type] = invocation;
      vm_clip_bridge_request (self->bridge, selection, type);
    }
  return TRUE;
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

DbusClipboard *
dbus_clipboard_new (DbusUi *ui)
{
  static const VmClipBridgeOps ops = { on_offered, on_wanted, on_received, NULL };
  static const char *const none[] = { NULL };
  DbusClipboard *self = g_new0 (DbusClipboard, 1);

  self->refs = 1;
  self->ui = ui;
  self->object = g_dbus_object_skeleton_new (PATH);
  self->interface = vmd_clipboard_skeleton_new ();
  vmd_clipboard_set_interfaces (self->interface, none);
  g_signal_connect (self->interface, "handle-register", G_CALLBACK (on_register), self);
  g_signal_connect (self->interface, "handle-unregister", G_CALLBACK (on_unregister), self);
  g_signal_connect (self->interface, "handle-grab", G_CALLBACK (on_grab), self);
  g_signal_connect (self->interface, "handle-release", G_CALLBACK (on_release), self);
  g_signal_connect (self->interface, "handle-request", G_CALLBACK (on_request), self);
  g_dbus_object_skeleton_add_interface (self->object, G_DBUS_INTERFACE_SKELETON (self->interface));
  self->bridge = vm_clip_bridge_new (vm_session_display (ui->session), &ops, self);
  g_dbus_object_manager_server_export (ui->manager, self->object);
  return self;
}

void
dbus_clipboard_free (DbusClipboard *self)
{
  dbus_clipboard_client_gone (self);
  g_dbus_object_manager_server_unexport (self->ui->manager, PATH);
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
      if (self->asked[s][t])
        on_received (self, s, t, NULL);
  g_clear_pointer (&self->bridge, vm_clip_bridge_free);
  g_signal_handlers_disconnect_by_data (self->interface, self);
  g_object_unref (self->interface);
  g_object_unref (self->object);
  clipboard_unref (self);
}
