/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adds and removes by hostfwd_add and hostfwd_remove; what is shown is what the network says that it listens on. */
#include "config.h"

#include "ui/gtk/forwards.h"

#include <gio/gio.h>
#include <glib/gi18n-lib.h>

#include "ui/gtk/list.h"
#include "ui/gtk/report.h"

#define KEY "vitrine-forwards"

enum
{
  COLUMN_NETDEV,
  COLUMN_PROTOCOL,
  COLUMN_HOST,
  COLUMN_HOST_PORT,
  COLUMN_GUEST,
  COLUMN_GUEST_PORT,
  COLUMN_ICON,
  N_COLUMNS
};
enum
{
  RESPONSE_REMOVE = 1
};

typedef struct Forwards
{
  GtkWindow *parent;
  VmDevices *devices;
  GtkWidget *dialog, *view, *netdev, *protocol, *host, *host_port, *guest, *guest_port, *add, *open;
} Forwards;

static bool
is_loopback (const char *address)
{
  g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (address);

  return inet && g_inet_address_get_is_loopback (inet);
}

bool
vm_forwards_possible (VmDevices *devices)
{
  const GPtrArray *nics = vm_devices_nics (devices);

  for (guint i = 0; i < nics->len; i++)
    if (!g_strcmp0 (((VmNic *) nics->pdata[i])->type, "user"))
      return true;
  return false;
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static void
forwards_fill (Forwards *self)
{
  GtkListStore *store = GTK_LIST_STORE (gtk_tree_view_get_model (GTK_TREE_VIEW (self->view)));
  const GPtrArray *list = vm_devices_forwards (self->devices);
  bool open = false;

  gtk_list_store_clear (store);
  for (guint i = 0; i < list->len; i++)
    {
      const VmForward *forward = list->pdata[i];
      bool loopback = is_loopback (forward->host);
      open |= !loopback;
      gtk_list_store_insert_with_values (
          store, NULL, -1, COLUMN_NETDEV, forward->netdev, COLUMN_PROTOCOL, forward->udp ? "udp" : "tcp", COLUMN_HOST,
          forward->host, COLUMN_HOST_PORT, forward->host_port, COLUMN_GUEST, forward->guest, COLUMN_GUEST_PORT,
          forward->guest_port, COLUMN_ICON, loopback ? NULL : "dialog-warning-symbolic", -1);
    }
  gtk_widget_set_visible (self->open, open);
}

static void
selection_changed (GtkTreeSelection *selection, Forwards *self)
{
  gtk_dialog_set_response_sensitive (GTK_DIALOG (self->dialog), RESPONSE_REMOVE,
                                     gtk_tree_selection_get_selected (selection, NULL, NULL));
}

/* An address as rules have it: IPv6 in brackets. */
static char *
rule_address (const char *text)
{
  return strchr (text, ':') && *text != '[' ? g_strdup_printf ("[%s]", text) : g_strdup (text);
}

static void
forward_changed (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  const char *failure = data;
  const char *said = result ? json_object_get_string (result) : "";
  VmDevices *devices = g_object_get_data (owner, KEY "-devices");

  /* Success says nothing, or that it was removed. */
  if (*said && !strstr (said, " removed"))
    {
      g_autofree char *cause = g_strstrip (g_strdup (said));
      GtkWidget *dialog = g_object_get_data (owner, KEY);
      vm_report_failure (dialog ? GTK_WINDOW (dialog) : owner, vm_devices_session (devices), _ (failure), cause,
                         _ ("Another program may use that port already."));
    }
  vm_devices_refresh (devices);
}

static void
forwards_run (Forwards *self, const char *command, const char *netdev, const char *rule, const char *failure)
{
  g_autofree char *one = vm_hmp_word (netdev), *two = vm_hmp_word (rule);
  g_autofree char *line = g_strdup_printf ("%s %s %s", command, one, two);

  vm_call_hmp (vm_devices_session (self->devices), self->parent, line, forward_changed, (gpointer) failure);
}

static void
forwards_remove (Forwards *self)
{
  GtkTreeModel *model;
  GtkTreeIter at;
  g_autofree char *netdev = NULL, *protocol = NULL, *host = NULL;
  int port;

  if (!gtk_tree_selection_get_selected (gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view)), &model, &at))
    return;
  gtk_tree_model_get (model, &at, COLUMN_NETDEV, &netdev, COLUMN_PROTOCOL, &protocol, COLUMN_HOST, &host,
                      COLUMN_HOST_PORT, &port, -1);
  g_autofree char *address = rule_address (host), *rule = g_strdup_printf ("%s:%s:%d", protocol, address, port);
  forwards_run (self, "hostfwd_remove", netdev, rule, N_ ("The forwarding was not removed."));
}

static void
forwards_answered (GtkDialog *dialog, int response, Forwards *self)
{
  if (response == RESPONSE_REMOVE)
    forwards_remove (self);
  else
    gtk_widget_destroy (GTK_WIDGET (dialog));
}

/* --- adding one --------------------------------------------------------------------------------------------------- */

static bool
is_address (GtkWidget *entry, bool may_be_empty)
{
  const char *text = gtk_entry_get_text (GTK_ENTRY (entry));

  return *text ? g_hostname_is_ip_address (text) : may_be_empty;
}

static void
entry_changed (GtkEditable *entry, Forwards *self)
{
  gtk_widget_set_sensitive (self->add, is_address (self->host, false) && is_address (self->guest, true));
}

static void
forwards_add (GtkButton *button, Forwards *self)
{
  g_autofree char *netdev = gtk_combo_box_text_get_active_text (GTK_COMBO_BOX_TEXT (self->netdev));
  g_autofree char *host = rule_address (gtk_entry_get_text (GTK_ENTRY (self->host)));
  g_autofree char *guest = rule_address (gtk_entry_get_text (GTK_ENTRY (self->guest)));
  g_autofree char *protocol = gtk_combo_box_text_get_active_text (GTK_COMBO_BOX_TEXT (self->protocol));
  g_autofree char *rule = g_strdup_printf ("%s:%s:%d-%s:%d", protocol, host,
                                           gtk_spin_button_get_value_as_int (GTK_SPIN_BUTTON (self->host_port)), guest,
                                           gtk_spin_button_get_value_as_int (GTK_SPIN_BUTTON (self->guest_port)));

  forwards_run (self, "hostfwd_add", netdev ? netdev : "", rule, N_ ("The port was not forwarded."));
}

static GtkWidget *
add_field (GtkGrid *grid, int column, const char *label, GtkWidget *field)
{
  GtkWidget *name = gtk_label_new_with_mnemonic (label);

  gtk_label_set_mnemonic_widget (GTK_LABEL (name), field);
  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_grid_attach (grid, name, column, 0, 1, 1);
  gtk_grid_attach (grid, field, column, 1, 1, 1);
  return field;
}

static GtkWidget *
make_form (Forwards *self)
{
  GtkWidget *grid = gtk_grid_new ();
  const GPtrArray *nics = vm_devices_nics (self->devices);

  gtk_grid_set_column_spacing (GTK_GRID (grid), 6);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 3);
  self->netdev = add_field (GTK_GRID (grid), 0, _ ("Net_work"), gtk_combo_box_text_new ());
  for (guint i = 0; i < nics->len; i++)
    if (!g_strcmp0 (((VmNic *) nics->pdata[i])->type, "user"))
      gtk_combo_box_text_append_text (GTK_COMBO_BOX_TEXT (self->netdev), ((VmNic *) nics->pdata[i])->netdev);
  gtk_combo_box_set_active (GTK_COMBO_BOX (self->netdev), 0);
  self->protocol = add_field (GTK_GRID (grid), 1, _ ("_Protocol"), gtk_combo_box_text_new ());
  gtk_combo_box_text_append_text (GTK_COMBO_BOX_TEXT (self->protocol), "tcp");
  gtk_combo_box_text_append_text (GTK_COMBO_BOX_TEXT (self->protocol), "udp");
  gtk_combo_box_set_active (GTK_COMBO_BOX (self->protocol), 0);
  self->host = add_field (GTK_GRID (grid), 2, _ ("_Host address"), gtk_entry_new ());
  gtk_entry_set_text (GTK_ENTRY (self->host), "127.0.0.1");
  gtk_widget_set_tooltip_text (self->host,
                               _ ("127.0.0.1: only programs of this host. 0.0.0.0: everyone who reaches it."));
  self->host_port = add_field (GTK_GRID (grid), 3, _ ("H_ost port"), gtk_spin_button_new_with_range (0, 65535, 1));
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->host_port), 2222);
  gtk_widget_set_tooltip_text (self->host_port, _ ("0: one that is free"));
  self->guest = add_field (GTK_GRID (grid), 4, _ ("_Guest address"), gtk_entry_new ());
  gtk_widget_set_tooltip_text (self->guest, _ ("Empty: the first that the network gives out"));
  self->guest_port = add_field (GTK_GRID (grid), 5, _ ("G_uest port"), gtk_spin_button_new_with_range (1, 65535, 1));
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (self->guest_port), 22);
  gtk_entry_set_width_chars (GTK_ENTRY (self->host), 12);
  gtk_entry_set_width_chars (GTK_ENTRY (self->guest), 12);
  self->add = gtk_button_new_with_mnemonic (_ ("_Add"));
  gtk_grid_attach (GTK_GRID (grid), self->add, 6, 1, 1, 1);
  g_signal_connect (self->add, "clicked", G_CALLBACK (forwards_add), self);
  g_signal_connect (self->host, "changed", G_CALLBACK (entry_changed), self);
  g_signal_connect (self->guest, "changed", G_CALLBACK (entry_changed), self);
  return grid;
}

/* --- window ------------------------------------------------------------------------------------------------------- */

static void
forwards_gone (GtkWidget *dialog, Forwards *self)
{
  g_signal_handlers_disconnect_by_data (self->devices, self);
  g_object_set_data (G_OBJECT (self->parent), KEY, NULL);
  g_object_unref (self->devices);
  g_free (self);
}

void
vm_forwards_show (GtkWindow *parent, VmDevices *devices)
{
  GtkWidget *dialog = g_object_get_data (G_OBJECT (parent), KEY);

  if (dialog)
    {
      gtk_window_present (GTK_WINDOW (dialog));
      return;
    }
  Forwards *self = g_new0 (Forwards, 1);
  self->parent = parent;
  self->devices = g_object_ref (devices);
  self->dialog = dialog
      = gtk_dialog_new_with_buttons (_ ("Port Forwards"), parent, GTK_DIALOG_DESTROY_WITH_PARENT, _ ("_Remove"),
                                     RESPONSE_REMOVE, _ ("_Close"), GTK_RESPONSE_CLOSE, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog)), *scrolled = gtk_scrolled_window_new (NULL, NULL);
  g_autoptr (GtkListStore) store = gtk_list_store_new (N_COLUMNS, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING,
                                                       G_TYPE_INT, G_TYPE_STRING, G_TYPE_INT, G_TYPE_STRING);
  self->view = gtk_tree_view_new_with_model (GTK_TREE_MODEL (store));
  atk_object_set_name (gtk_widget_get_accessible (self->view), _ ("Port forwards"));
  gtk_tree_view_append_column (
      GTK_TREE_VIEW (self->view),
      gtk_tree_view_column_new_with_attributes (NULL, gtk_cell_renderer_pixbuf_new (), "icon-name", COLUMN_ICON, NULL));
  vm_list_add_column (self->view, _ ("Network"), COLUMN_NETDEV, false);
  vm_list_add_column (self->view, _ ("Protocol"), COLUMN_PROTOCOL, false);
  vm_list_add_column (self->view, _ ("Host address"), COLUMN_HOST, true);
  vm_list_add_column (self->view, _ ("Port"), COLUMN_HOST_PORT, false);
  vm_list_add_column (self->view, _ ("Guest address"), COLUMN_GUEST, true);
  vm_list_add_column (self->view, _ ("Port"), COLUMN_GUEST_PORT, false);
  g_signal_connect (gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view)), "changed", G_CALLBACK (selection_changed),
                    self);
  gtk_scrolled_window_set_shadow_type (GTK_SCROLLED_WINDOW (scrolled), GTK_SHADOW_IN);
  gtk_container_add (GTK_CONTAINER (scrolled), self->view);
  self->open = gtk_label_new (_ ("Warning: ports marked so can be reached from outside this host."));
  gtk_label_set_xalign (GTK_LABEL (self->open), 0);
  gtk_widget_set_no_show_all (self->open, TRUE);
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_box_set_spacing (GTK_BOX (box), 6);
  gtk_box_pack_start (GTK_BOX (box), scrolled, TRUE, TRUE, 0);
  gtk_box_pack_start (GTK_BOX (box), self->open, FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (box), make_form (self), FALSE, FALSE, 0);
  gtk_window_set_default_size (GTK_WINDOW (dialog), 680, 300);
  g_object_set_data (G_OBJECT (parent), KEY, dialog);
  g_object_set_data (G_OBJECT (parent), KEY "-devices", devices);
  g_signal_connect (dialog, "response", G_CALLBACK (forwards_answered), self);
  g_signal_connect (dialog, "destroy", G_CALLBACK (forwards_gone), self);
  g_signal_connect_swapped (devices, "changed", G_CALLBACK (forwards_fill), self);
  forwards_fill (self);
  selection_changed (gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view)), self);
  vm_devices_refresh (devices);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (dialog));
}
