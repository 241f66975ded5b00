/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is wanted of the VNC servers is carried out on the engine's loop; each answer is how things stand afterwards.
 * What is opened from here listens where programs of this computer come only: others come through SSH. */
#include "config.h"

#include "ui/gtk/remote.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/options/keyvals.h"
#include "ui/gtk/bars.h"
#include "ui/gtk/call.h"
#include "ui/gtk/report.h"
#include "ui/vnc/vnc.h"

#define KEY "vitrine-remote"
#define SERVER "vitrine-window" /* what ours is called */
#define BASE_PORT 5900
#define MORE_PORTS 99     /* tried where the port is taken */
#define PASSWORD_LENGTH 8 /* more does not count: RFC 6143, 7.2.2 */

struct VmRemote
{
  GtkWindow *parent;
  VmSession *session;
  GtkWidget *bars, *button, *count;
  json_object *vncs, *spice; /* as they were when asked last; NULL: none */
  bool asking, again;
  bool opened;  /* the server is ours */
  int64_t told; /* the newest viewer that was spoken of */
  GHashTable *connections; /* of SPICE that were: ids */
  bool tcp;
  int port;
  char *password;
  /* the dialog; NULL: it is not there */
  GtkWidget *dialog, *on, *unix_socket, *loopback, *where, *port_field, *password_field, *new_password, *copy_password,
      *address, *copy, *hint, *others, *viewers;
};

/* --- servers ---------------------------------------------------------------------------------------------------- */

typedef struct Errand
{
  VmMachine *machine;
  VmKeyVals *open;    /* NULL: nothing to open */
  const char *folder; /* to be made for it; NULL: none */
  bool close;         /* what was opened */
  int64_t drop;       /* a viewer; 0: none */
  const char *failure;
} Errand;

static void
errand_free (gpointer data)
{
  Errand *errand = data;

  g_clear_pointer (&errand->open, vm_keyvals_free);
  g_free ((char *) errand->folder);
  g_free (errand);
}

/* Nobody else may connect to what is in it, or put something else there. */
static bool
make_private_folder (const char *path, GError **error)
{
  struct stat st;

  if (g_mkdir_with_parents (path, 0700) < 0 || lstat (path, &st) < 0)
    return vm_fail (error, _ ("“%s” cannot be written: %s."), path, g_strerror (errno));
  return (S_ISDIR (st.st_mode) && st.st_uid == geteuid () && !(st.st_mode & 077))
         || vm_fail (error, _ ("“%s” is not a folder that you alone may use."), path);
}

static void
list_free (gpointer list)
{
  json_object_put (list);
}

/* On the engine's loop. */
static void
errand_run (void *opaque)
{
  g_autoptr (GTask) task = opaque;
  const Errand *errand = g_task_get_task_data (task);
  VmVnc *vnc = errand->machine->vnc_of;
  GError *error = NULL;
  bool ok = true;

  if (errand->open)
    ok = (vnc || vm_fail (&error, _ ("This program has no VNC server.")))
         && (!errand->folder || make_private_folder (errand->folder, &error))
         && vm_vnc_open (vnc, errand->open, &error);
  else if (vnc && errand->close)
    vm_vnc_close (vnc, SERVER);
  else if (vnc && errand->drop)
    vm_vnc_drop (vnc, errand->drop);
  if (ok)
    g_task_return_pointer (task, vnc ? vm_vnc_describe (vnc) : NULL, list_free);
  else
    g_task_return_error (task, error);
}

static void remote_ask (VmRemote *self);
static void remote_fill (VmRemote *self);
static void remote_do (VmRemote *self, Errand errand);

static void
password_set (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmRemote *self = g_object_get_data (owner, KEY);

  if (!self || !error)
    return;
  vm_report_failure (self->parent, self->session, _ ("Nobody is let in."), error->message, NULL);
  remote_do (self, (Errand){ .close = true });
}

/* Until then nobody knows one that lets them in. */
static void
set_password (VmRemote *self)
{
  vm_call (self->session, self->parent, "set_password",
           vm_json_dict ("protocol", VM_TEXT ("vnc"), "display", VM_TEXT (SERVER), "password", VM_TEXT (self->password),
                         NULL),
           password_set, NULL);
}

static void
errand_done (GObject *window, GAsyncResult *result, gpointer data)
{
  VmRemote *self = g_object_get_data (window, KEY);
  const Errand *errand = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  json_object *list = g_task_propagate_pointer (G_TASK (result), &error);

  if (!self)
    {
      json_object_put (list);
      return;
    }
  if (error)
    vm_report_failure (self->dialog ? GTK_WINDOW (self->dialog) : self->parent, self->session, _ (errand->failure),
                       error->message, NULL);
  else
    {
      json_object_put (self->vncs);
      self->vncs = list;
      if (errand->open || errand->close)
        self->opened = errand->open != NULL;
      if (errand->open && !errand->folder)
        set_password (self);
    }
  remote_fill (self);
}

static void
remote_do (VmRemote *self, Errand errand)
{
  GTask *task = g_task_new (self->parent, NULL, errand_done, NULL);

  errand.machine = vm_session_machine (self->session);
  g_task_set_task_data (task, g_memdup2 (&errand, sizeof errand), errand_free);
  vm_loop_post (errand.machine->env.loop, errand_run, task);
}

static void
spice_told (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmRemote *self = g_object_get_data (owner, KEY);

  if (!self)
    return;
  json_object_put (self->spice);
  self->spice = json_object_get (result);
  self->asking = false;
  remote_fill (self);
  if (self->again)
    remote_ask (self);
}

/* What of both kinds is there now. */
static void
remote_ask (VmRemote *self)
{
  self->again = self->asking;
  if (self->asking)
    return;
  self->asking = true;
  remote_do (self, (Errand){ 0 });
  vm_call (self->session, self->parent, "query-spice", NULL, spice_told, NULL);
}

/* NULL: it is switched off. */
static json_object *
remote_server (VmRemote *self)
{
  for (size_t i = 0; self->opened && i < vm_json_length (self->vncs); i++)
    {
      json_object *server = json_object_array_get_idx (self->vncs, i);
      if (!strcmp (vm_json_text (server, "id"), SERVER))
        return server;
    }
  return NULL;
}

static void
remote_open (VmRemote *self)
{
  VmKeyVals *options = vm_keyvals_new ();
  char *folder = NULL;
  g_autofree char *where = NULL;

  vm_keyvals_add (options, "id", SERVER);
  if (self->tcp)
    {
      int first = self->port - BASE_PORT, last = MIN (first + MORE_PORTS, G_MAXUINT16 - BASE_PORT);
      g_autofree char *to = g_strdup_printf ("%d", last);
      where = g_strdup_printf ("127.0.0.1:%d", first);
      vm_keyvals_add (options, "to", to);
      vm_keyvals_add (options, "password", "on");
    }
  else
    {
      folder = g_build_filename (g_get_user_runtime_dir (), "vitrine", NULL);
      where = g_strdup_printf ("unix:%s/vnc-%ld", folder, (long) getpid ());
    }
  vm_keyvals_add (options, "vnc", where);
  remote_do (self, (Errand){ .open = options, .folder = folder, .failure = N_ ("Viewers are not let in.") });
}

/* Letters and digits that nobody takes for one another. */
static char *
make_password (void)
{
  static const char signs[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  const unsigned n = sizeof signs - 1, limit = 256 - 256 % n;
  char *password = g_malloc0 (PASSWORD_LENGTH + 1);
  uint8_t byte;

  for (unsigned i = 0; i < PASSWORD_LENGTH;)
    if (getrandom (&byte, 1, 0) == 1 && byte < limit)
      password[i++] = signs[byte % n];
  return password;
}

/* --- words ------------------------------------------------------------------------------------------------------ */

static char *
words_of_auth (const char *auth)
{
  if (!strcmp (auth, "none"))
    return g_strdup (_ ("without a password"));
  if (!strcmp (auth, "vnc") || !strcmp (auth, "spice"))
    return g_strdup (_ ("with a password"));
  /* Translators: a way to log in, such as "sasl". */
  return g_strdup_printf (_ ("by %s"), auth);
}

/* "unix:123": a process of this host. */
static char *
words_of_address (const char *address)
{
  if (!g_str_has_prefix (address, "unix:"))
    return g_strdup (address);
  /* Translators: %s is a number. */
  return address[5] ? g_strdup_printf (_ ("Process %s of this computer"), address + 5) : g_strdup (_ ("This computer"));
}

static char *
words_of_viewer (json_object *viewer, const char *auth)
{
  g_autofree char *where = words_of_address (vm_json_text (viewer, "address")), *how = words_of_auth (auth);
  g_autoptr (GDateTime) since = g_date_time_new_from_unix_local (vm_json_number (viewer, "since"));
  g_autofree char *time = since ? g_date_time_format (since, "%X") : g_strdup ("");
  const char *user = vm_json_text (viewer, "user");

  if (!vm_json_flag (viewer, "looks"))
    return g_strdup_printf (_ ("%s, has not logged in yet"), where);
  if (*user)
    /* Translators: a user's name, an address, a time, a way to log in. */
    return g_strdup_printf (_ ("%s from %s, since %s, %s"), user, where, time, how);
  /* Translators: an address, a time, "with a password". */
  return g_strdup_printf (_ ("%s, since %s, %s"), where, time, how);
}

typedef struct SpiceViewer
{
  int connection;
  char *address;
} SpiceViewer;

static void
spice_viewer_free (gpointer data)
{
  g_free (((SpiceViewer *) data)->address);
  g_free (data);
}

/* SpiceViewer *: one for each connection of several channels. */
static GPtrArray *
spice_viewers (VmRemote *self)
{
  json_object *channels = vm_json_get (self->spice, "channels");
  GPtrArray *list = g_ptr_array_new_with_free_func (spice_viewer_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  for (size_t i = 0; i < vm_json_length (channels); i++)
    {
      json_object *channel = json_object_array_get_idx (channels, i);
      const char *host = vm_json_text (channel, "host"), *port = vm_json_text (channel, "port");
      int connection = (int) vm_json_number (channel, "connection-id");
      if (!g_hash_table_add (seen, GINT_TO_POINTER (connection)))
        continue;
      SpiceViewer *viewer = g_new (SpiceViewer, 1);
      *viewer = (SpiceViewer){ connection, *port ? g_strdup_printf ("%s:%s", host, port) : g_strdup ("unix:") };
      g_ptr_array_add (list, viewer);
    }
  return list;
}

/* --- somebody looks on -------------------------------------------------------------------------------------------- */

/* What one sees without looking for it. */
static void
remote_tell (VmRemote *self)
{
  g_autoptr (GPtrArray) by_spice = spice_viewers (self);
  GHashTable *connections = g_hash_table_new (NULL, NULL);
  int64_t newest = self->told;
  const char *newcomer = NULL;
  guint n = by_spice->len;

  for (guint i = 0; i < by_spice->len; i++)
    {
      const SpiceViewer *viewer = by_spice->pdata[i];
      g_hash_table_add (connections, GINT_TO_POINTER (viewer->connection));
      if (!g_hash_table_contains (self->connections, GINT_TO_POINTER (viewer->connection)))
        newcomer = viewer->address;
    }
  g_hash_table_unref (self->connections);
  self->connections = connections;
  for (size_t i = 0; i < vm_json_length (self->vncs); i++)
    {
      json_object *viewers = vm_json_get (json_object_array_get_idx (self->vncs, i), "viewers");
      for (size_t k = 0; k < vm_json_length (viewers); k++)
        {
          json_object *viewer = json_object_array_get_idx (viewers, k);
          if (!vm_json_flag (viewer, "looks"))
            continue;
          n++;
          if (vm_json_number (viewer, "number") <= newest)
            continue;
          newest = vm_json_number (viewer, "number");
          newcomer = vm_json_text (viewer, "address");
        }
    }
  if (newcomer)
    {
      g_autofree char *who = words_of_address (newcomer);
      /* Translators: %s is an address. */
      g_autofree char *text = g_strdup_printf (_ ("%s sees and operates this machine."), who);
      vm_bars_show (self->bars, "viewers", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
      self->told = newest;
    }
  g_autofree char *count = g_strdup_printf ("%u", n);
  g_autofree char *text = g_strdup_printf (ngettext ("%u viewer looks on", "%u viewers look on", n), n);
  gtk_label_set_text (GTK_LABEL (self->count), count);
  gtk_widget_set_tooltip_text (self->button, text);
  atk_object_set_description (gtk_widget_get_accessible (self->button), text);
  gtk_widget_set_visible (self->button, n > 0);
}

/* --- the dialog -----------------------------------------------------------------------------------------------------
 */

static void
disconnect_clicked (GtkButton *button, VmRemote *self)
{
  const int64_t *number = g_object_get_data (G_OBJECT (button), "number");

  remote_do (self, (Errand){ .drop = *number });
}

/* NUMBER 0: it cannot be sent away. */
static void
add_viewer (VmRemote *self, const char *text, int64_t number)
{
  GtkWidget *row = gtk_list_box_row_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  GtkWidget *label = gtk_label_new (text), *button = gtk_button_new_with_label (_ ("Disconnect"));
  g_autofree char *name = g_strdup_printf (_ ("Disconnect %s"), text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_widget_set_sensitive (button, number != 0);
  if (!number)
    gtk_widget_set_tooltip_text (button, _ ("Viewers by SPICE go when they are closed, or when the machine ends."));
  atk_object_set_name (gtk_widget_get_accessible (row), text);
  atk_object_set_name (gtk_widget_get_accessible (button), name);
  g_object_set_data_full (G_OBJECT (button), "number", g_memdup2 (&number, sizeof number), g_free);
  g_signal_connect (button, "clicked", G_CALLBACK (disconnect_clicked), self);
  gtk_widget_set_valign (button, GTK_ALIGN_CENTER);
  g_object_set (box, "margin", 6, NULL);
  gtk_box_pack_start (GTK_BOX (box), label, TRUE, TRUE, 0);
  gtk_box_pack_end (GTK_BOX (box), button, FALSE, FALSE, 0);
  gtk_container_add (GTK_CONTAINER (row), box);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  gtk_container_add (GTK_CONTAINER (self->viewers), row);
}

static void
add_viewers (VmRemote *self, json_object *server)
{
  json_object *viewers = vm_json_get (server, "viewers");

  for (size_t i = 0; i < vm_json_length (viewers); i++)
    {
      json_object *viewer = json_object_array_get_idx (viewers, i);
      g_autofree char *text = words_of_viewer (viewer, vm_json_text (server, "auth"));
      add_viewer (self, text, vm_json_number (viewer, "number"));
    }
}

static void
fill_viewers (VmRemote *self)
{
  g_autoptr (GPtrArray) by_spice = spice_viewers (self);

  for (GtkListBoxRow *row; (row = gtk_list_box_get_row_at_index (GTK_LIST_BOX (self->viewers), 0));)
    gtk_widget_destroy (GTK_WIDGET (row));
  for (size_t i = 0; i < vm_json_length (self->vncs); i++)
    add_viewers (self, json_object_array_get_idx (self->vncs, i));
  for (guint i = 0; i < by_spice->len; i++)
    {
      g_autofree char *where = words_of_address (((const SpiceViewer *) by_spice->pdata[i])->address);
      g_autofree char *text = g_strdup_printf ("SPICE: %s", where);
      add_viewer (self, text, 0);
    }
  gtk_widget_show_all (self->viewers);
}

static void
add_line (GString *lines, const char *kind, const char *address, const char *auth)
{
  g_autofree char *how = words_of_auth (auth);

  /* Translators: "VNC" or "SPICE", an address, "with a password". */
  g_string_append_printf (lines, _ ("%s at %s, %s"), kind, address, how);
  g_string_append_c (lines, '\n');
}

/* Those that were asked for when the machine was started. */
static char *
describe_others (VmRemote *self)
{
  GString *lines = g_string_new (NULL);

  for (size_t i = 0; i < vm_json_length (self->vncs); i++)
    {
      json_object *server = json_object_array_get_idx (self->vncs, i), *addresses = vm_json_get (server, "addresses");
      for (size_t k = 0; server != remote_server (self) && k < vm_json_length (addresses); k++)
        add_line (lines, "VNC", json_object_get_string (json_object_array_get_idx (addresses, k)),
                  vm_json_text (server, "auth"));
    }
  static const char *const ports[] = { "port", "tls-port" };
  for (unsigned i = 0; i < G_N_ELEMENTS (ports) && vm_json_flag (self->spice, "enabled"); i++)
    if (vm_json_get (self->spice, ports[i]))
      {
        g_autofree char *address = g_strdup_printf ("%s:%d", vm_json_text (self->spice, "host"),
                                                    (int) vm_json_number (self->spice, ports[i]));
        add_line (lines, "SPICE", address, vm_json_text (self->spice, "auth"));
      }
  g_string_truncate (lines, lines->len ? lines->len - 1 : 0);
  return g_string_free (lines, FALSE);
}

/* A viewer elsewhere comes through SSH to what only this computer reaches. */
static char *
describe_way (const char *address)
{
  const char *colon = *address == '/' ? NULL : strrchr (address, ':');
  const char *port = colon ? colon + 1 : G_STRINGIFY (BASE_PORT);
  g_autofree char *command
      = g_strdup_printf ("ssh -L %s:%s %s@%s", port, address, g_get_user_name (), g_get_host_name ());

  /* Translators: a command line; then the number of a port. */
  return g_strdup_printf (_ ("From another computer: run “%s” there, then a viewer at 127.0.0.1:%s."), command, port);
}

static void
sync_fields (VmRemote *self)
{
  bool off = !remote_server (self);

  gtk_widget_set_sensitive (self->where, off);
  gtk_widget_set_sensitive (self->port_field, off && self->tcp);
  gtk_widget_set_sensitive (self->password_field, self->tcp);
  gtk_editable_set_editable (GTK_EDITABLE (self->password_field), off);
  gtk_widget_set_sensitive (self->new_password, off && self->tcp);
  gtk_widget_set_sensitive (self->copy_password, self->tcp);
  gtk_widget_set_sensitive (self->on, !off || !self->tcp || *self->password);
}

/* The engine may have said no. */
static void
sync_switch (VmRemote *self)
{
  bool on = remote_server (self) != NULL;

  gtk_switch_set_state (GTK_SWITCH (self->on), on);
  gtk_switch_set_active (GTK_SWITCH (self->on), on);
}

static void
remote_fill (VmRemote *self)
{
  json_object *server = remote_server (self);

  remote_tell (self);
  if (!self->dialog)
    return;
  json_object *addresses = vm_json_get (server, "addresses");
  const char *address
      = vm_json_length (addresses) ? json_object_get_string (json_object_array_get_idx (addresses, 0)) : "";
  g_autofree char *others = describe_others (self);
  g_autofree char *way
      = *address ? describe_way (address)
                 : g_strdup (_ ("Viewers on other computers come through SSH. How is said here when they are let in."));
  gtk_entry_set_text (GTK_ENTRY (self->address), address);
  gtk_widget_set_sensitive (self->copy, *address != 0);
  gtk_label_set_text (GTK_LABEL (self->hint), way);
  gtk_label_set_text (GTK_LABEL (self->others), *others ? others : _ ("none"));
  sync_switch (self);
  sync_fields (self);
  fill_viewers (self);
}

static gboolean
switched (GtkSwitch *on, gboolean wanted, VmRemote *self)
{
  if (wanted == (remote_server (self) != NULL))
    return FALSE;
  if (wanted)
    remote_open (self);
  else
    remote_do (self, (Errand){ .close = true });
  return TRUE; /* the state follows when it is so */
}

static void
field_changed (VmRemote *self)
{
  self->tcp = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (self->loopback));
  self->port = gtk_spin_button_get_value_as_int (GTK_SPIN_BUTTON (self->port_field));
  g_free (self->password);
  self->password = g_strdup (gtk_entry_get_text (GTK_ENTRY (self->password_field)));
  sync_fields (self);
}

static void
copy_clicked (GtkButton *button, GtkEntry *entry)
{
  gtk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (entry), GDK_SELECTION_CLIPBOARD),
                          gtk_entry_get_text (entry), -1);
}

static void
new_password_clicked (GtkButton *button, GtkEntry *entry)
{
  g_autofree char *password = make_password ();

  gtk_entry_set_text (entry, password);
}

static GtkWidget *
add_label (GtkWidget *grid, int row, const char *text, GtkWidget *field)
{
  GtkWidget *label = gtk_label_new_with_mnemonic (text);

  gtk_label_set_xalign (GTK_LABEL (label), 1);
  gtk_style_context_add_class (gtk_widget_get_style_context (label), GTK_STYLE_CLASS_DIM_LABEL);
  if (field)
    {
      gtk_label_set_mnemonic_widget (GTK_LABEL (label), field);
      atk_object_set_name (gtk_widget_get_accessible (field), gtk_label_get_text (GTK_LABEL (label)));
    }
  gtk_grid_attach (GTK_GRID (grid), label, 0, row, 1, 1);
  return label;
}

static GtkWidget *
make_text (GtkWidget *grid, int row)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_line_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 50);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_grid_attach (GTK_GRID (grid), label, 1, row, 2, 1);
  return label;
}

static GtkWidget *
make_button (const char *text, GCallback clicked, GtkWidget *entry)
{
  GtkWidget *button = gtk_button_new_with_mnemonic (text);

  g_signal_connect (button, "clicked", clicked, entry);
  return button;
}

static GtkWidget *
make_form (VmRemote *self)
{
  GtkWidget *grid = gtk_grid_new (), *port = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  int row = 0;

  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  self->on = gtk_switch_new ();
  gtk_widget_set_halign (self->on, GTK_ALIGN_START);
  add_label (grid, row, _ ("_Let viewers in"), self->on);
  gtk_grid_attach (GTK_GRID (grid), self->on, 1, row++, 2, 1);

  self->where = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  self->unix_socket = gtk_radio_button_new_with_mnemonic (NULL, _ ("_Me alone, on this computer (Unix socket)"));
  self->loopback = gtk_radio_button_new_with_mnemonic_from_widget (
      GTK_RADIO_BUTTON (self->unix_socket), _ ("Anyone on this computer _with the password, port"));
  self->port_field = gtk_spin_button_new_with_range (BASE_PORT, G_MAXUINT16, 1);
  gtk_widget_set_tooltip_text (self->port_field, _ ("Where it is taken, the next that is free"));
  atk_object_set_name (gtk_widget_get_accessible (self->port_field), _ ("Port"));
  gtk_container_add (GTK_CONTAINER (port), self->loopback);
  gtk_container_add (GTK_CONTAINER (port), self->port_field);
  gtk_container_add (GTK_CONTAINER (self->where), self->unix_socket);
  gtk_container_add (GTK_CONTAINER (self->where), port);
  GtkWidget *who = add_label (grid, row, _ ("Who"), NULL);
  gtk_label_set_yalign (GTK_LABEL (who), 0);
  gtk_widget_set_margin_top (who, 3);
  gtk_grid_attach (GTK_GRID (grid), self->where, 1, row++, 2, 1);

  GtkWidget *password = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  self->password_field = gtk_entry_new ();
  gtk_entry_set_max_length (GTK_ENTRY (self->password_field), PASSWORD_LENGTH);
  gtk_widget_set_tooltip_text (self->password_field, _ ("Eight characters: more of them do not count in VNC"));
  gtk_widget_set_hexpand (self->password_field, TRUE);
  self->new_password = make_button (_ ("_New"), G_CALLBACK (new_password_clicked), self->password_field);
  gtk_container_add (GTK_CONTAINER (password), self->password_field);
  gtk_container_add (GTK_CONTAINER (password), self->new_password);
  add_label (grid, row, _ ("_Password"), self->password_field);
  gtk_grid_attach (GTK_GRID (grid), password, 1, row, 1, 1);
  self->copy_password = make_button (_ ("C_opy Password"), G_CALLBACK (copy_clicked), self->password_field);
  gtk_grid_attach (GTK_GRID (grid), self->copy_password, 2, row++, 1, 1);

  self->address = gtk_entry_new ();
  gtk_editable_set_editable (GTK_EDITABLE (self->address), FALSE);
  gtk_entry_set_placeholder_text (GTK_ENTRY (self->address), _ ("Nobody is let in."));
  self->copy = make_button (_ ("Copy _Address"), G_CALLBACK (copy_clicked), self->address);
  add_label (grid, row, _ ("VNC a_ddress"), self->address);
  gtk_grid_attach (GTK_GRID (grid), self->address, 1, row, 1, 1);
  gtk_grid_attach (GTK_GRID (grid), self->copy, 2, row++, 1, 1);
  self->hint = make_text (grid, row++);
  gtk_label_set_yalign (GTK_LABEL (add_label (grid, row, _ ("Other servers"), NULL)), 0);
  self->others = make_text (grid, row++);
  gtk_widget_set_tooltip_text (self->others, _ ("Those that the command line asks for (-vnc, -spice)"));
  return grid;
}

static GtkWidget *
make_list (VmRemote *self)
{
  GtkWidget *scrolled = gtk_scrolled_window_new (NULL, NULL), *nobody = gtk_label_new (_ ("Nobody looks on."));

  self->viewers = gtk_list_box_new ();
  atk_object_set_name (gtk_widget_get_accessible (self->viewers), _ ("Viewers"));
  gtk_list_box_set_selection_mode (GTK_LIST_BOX (self->viewers), GTK_SELECTION_NONE);
  g_object_set (nobody, "margin", 12, NULL);
  gtk_style_context_add_class (gtk_widget_get_style_context (nobody), GTK_STYLE_CLASS_DIM_LABEL);
  gtk_widget_show (nobody);
  gtk_list_box_set_placeholder (GTK_LIST_BOX (self->viewers), nobody);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scrolled), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_shadow_type (GTK_SCROLLED_WINDOW (scrolled), GTK_SHADOW_IN);
  gtk_scrolled_window_set_min_content_height (GTK_SCROLLED_WINDOW (scrolled), 110);
  gtk_container_add (GTK_CONTAINER (scrolled), self->viewers);
  return scrolled;
}

static void
dialog_gone (GtkWidget *dialog, VmRemote *self)
{
  self->dialog = NULL;
}

void
vm_remote_show (VmRemote *self)
{
  if (self->dialog)
    {
      gtk_window_present (GTK_WINDOW (self->dialog));
      return;
    }
  self->dialog = gtk_dialog_new_with_buttons (_ ("Remote Access"), self->parent, GTK_DIALOG_DESTROY_WITH_PARENT,
                                              _ ("_Close"), GTK_RESPONSE_CLOSE, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (self->dialog));
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_box_set_spacing (GTK_BOX (box), 12);
  gtk_box_pack_start (GTK_BOX (box), make_form (self), FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (box), make_list (self), TRUE, TRUE, 0);
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->tcp ? self->loopback : self->unix_socket), TRUE);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->port_field), self->port);
  gtk_entry_set_text (GTK_ENTRY (self->password_field), self->password);
  g_signal_connect_swapped (self->loopback, "toggled", G_CALLBACK (field_changed), self);
  g_signal_connect_swapped (self->port_field, "value-changed", G_CALLBACK (field_changed), self);
  g_signal_connect_swapped (self->password_field, "changed", G_CALLBACK (field_changed), self);
  g_signal_connect (self->on, "state-set", G_CALLBACK (switched), self);
  g_signal_connect (self->dialog, "response", G_CALLBACK (gtk_widget_destroy), NULL);
  g_signal_connect (self->dialog, "destroy", G_CALLBACK (dialog_gone), self);
  remote_fill (self);
  remote_ask (self);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (self->dialog));
}

/* --- its life -------------------------------------------------------------------------------------------------------
 */

void
vm_remote_event (VmRemote *self, const char *name)
{
  if (g_str_has_prefix (name, "VNC_") || g_str_has_prefix (name, "SPICE_"))
    remote_ask (self);
}

static GtkWidget *
make_status (VmRemote *self)
{
  GtkWidget *button = gtk_button_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 3);

  self->count = gtk_label_new (NULL);
  gtk_container_add (GTK_CONTAINER (box), gtk_image_new_from_icon_name ("system-users-symbolic", GTK_ICON_SIZE_MENU));
  gtk_container_add (GTK_CONTAINER (box), self->count);
  gtk_container_add (GTK_CONTAINER (button), box);
  gtk_widget_show_all (box);
  atk_object_set_name (gtk_widget_get_accessible (button), _ ("Viewers"));
  gtk_widget_set_no_show_all (button, TRUE);
  gtk_button_set_relief (GTK_BUTTON (button), GTK_RELIEF_NONE);
  gtk_widget_set_focus_on_click (button, FALSE);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), "win.remote-access");
  return button;
}

VmRemote *
vm_remote_new (GtkWindow *parent, VmSession *session, GtkWidget *bars)
{
  VmRemote *self = g_new0 (VmRemote, 1);

  *self = (VmRemote){ .parent = parent, .session = session, .bars = bars, .port = BASE_PORT };
  self->password = make_password ();
  self->connections = g_hash_table_new (NULL, NULL);
  self->button = g_object_ref_sink (make_status (self));
  g_object_set_data (G_OBJECT (parent), KEY, self);
  return self;
}

GtkWidget *
vm_remote_button (VmRemote *self)
{
  return self->button;
}

void
vm_remote_free (VmRemote *self)
{
  g_object_set_data (G_OBJECT (self->parent), KEY, NULL);
  if (self->dialog)
    gtk_widget_destroy (self->dialog);
  g_object_unref (self->button);
  json_object_put (self->vncs);
  json_object_put (self->spice);
  g_hash_table_unref (self->connections);
  g_free (self->password);
  g_free (self);
}
