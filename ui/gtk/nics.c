/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What netdev_add and device_add do, and device_del and netdev_del. Which cards there are the machine says: the types
 * that have a "netdev" and for which a bus has a place now. */
#include "config.h"

#include "ui/gtk/nics.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <unistd.h>

#include "ui/gtk/bars.h"
#include "ui/gtk/form.h"
#include "ui/gtk/report.h"

#define KEY "vitrine-nics"
#define HOST_NETWORKS "/sys/class/net"
#define PATIENCE 5 /* seconds in which a guest lets go of a card */

/* --- what the host has ---------------------------------------------------------------------------------------- */

typedef struct Network
{
  const char *type; /* of the back end */
  char *name;       /* on the host; NULL: it has none */
} Network;

static void
network_free (gpointer data)
{
  g_free (((Network *) data)->name);
  g_free (data);
}

static int64_t
read_number (const char *name, const char *file)
{
  g_autofree char *path = g_build_filename (HOST_NETWORKS, name, file, NULL), *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? strtoll (text, NULL, 0) : -1;
}

/* One that was made for this user. */
static bool
is_tap (const char *name)
{
  int64_t flags = read_number (name, "tun_flags");

  return flags >= 0 && flags & 2 /* IFF_TAP */ && (!geteuid () || read_number (name, "owner") == geteuid ());
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const Network *const *) a)->name, (*(const Network *const *) b)->name);
}

/* The one that needs nothing of the host first. */
static GPtrArray *
find_networks (void)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (network_free);
  Network *user = g_new0 (Network, 1);
  g_autoptr (GDir) dir = g_dir_open (HOST_NETWORKS, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *bridge = g_build_filename (HOST_NETWORKS, name, "bridge", NULL);
      const char *type = g_file_test (bridge, G_FILE_TEST_IS_DIR) ? "bridge" : is_tap (name) ? "tap" : NULL;
      if (!type)
        continue;
      Network *network = g_new0 (Network, 1);
      *network = (Network){ type, g_strdup (name) };
      g_ptr_array_add (list, network);
    }
  g_ptr_array_sort (list, compare_names);
  user->type = "user";
  g_ptr_array_insert (list, 0, user);
  return list;
}

/* --- adding one ------------------------------------------------------------------------------------------------- */

typedef struct Kind
{
  char *driver, *text, *bus; /* BUS NULL: there is no place for it */
  bool nic;
} Kind;

typedef struct Add
{
  VmAttach *attach;
  GPtrArray *kinds;    /* Kind * */
  GPtrArray *networks; /* Network * */
  GtkWidget *kind, *network, *mac, *hint;
  /* as it was answered */
  char *netdev, *id, *driver, *address;
  const char *bus;
  const Network *chosen;
} Add;

static void
kind_free (gpointer data)
{
  Kind *kind = data;

  g_free (kind->driver);
  g_free (kind->text);
  g_free (kind->bus);
  g_free (kind);
}

static void
add_free (gpointer data)
{
  Add *add = data;

  g_ptr_array_unref (add->kinds);
  g_clear_pointer (&add->networks, g_ptr_array_unref);
  g_free (add->netdev);
  g_free (add->id);
  g_free (add->driver);
  g_free (add->address);
  g_free (add);
}

/* Frees ADD. */
static void
add_failed (Add *add, const char *cause, const char *remedy)
{
  vm_report_failure (add->attach->parent, add->attach->session, _ ("The network card was not added."), cause, remedy);
  vm_devices_refresh (add->attach->devices);
  add_free (add);
}

static void
card_added (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Add *add = data;

  if (error)
    {
      vm_call (add->attach->session, owner, "netdev_del", vm_json_dict ("id", VM_TEXT (add->netdev), NULL), NULL, NULL);
      add_failed (add, error->message, _ ("The machine is as it was."));
      return;
    }
  /* Translators: the name of a network card, its kind, and the network behind it. */
  g_autofree char *text = g_strdup_printf (_ ("Network card %s (%s) is in the machine now, at the network %s."),
                                           add->id, add->driver, add->netdev);
  vm_bars_show (add->attach->bars, "nics", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
  vm_devices_refresh (add->attach->devices);
  add_free (add);
}

static char *
network_remedy (const Network *network)
{
  if (!strcmp (network->type, "bridge"))
    /* Translators: the name of a bridge. */
    return g_strdup_printf (_ ("The helper for bridges must be installed, and allow this one: by the line “allow %s” "
                               "in /etc/qemu/bridge.conf."),
                            network->name);
  if (!strcmp (network->type, "tap"))
    /* Translators: the name of an interface. */
    return g_strdup_printf (_ ("Another machine may use “%s”: one more is made by “sudo ip tuntap add mode tap user "
                               "$USER”."),
                            network->name);
  return NULL;
}

static void
network_added (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Add *add = data;

  if (error)
    {
      g_autofree char *remedy = network_remedy (add->chosen);
      add_failed (add, error->message, remedy);
      return;
    }
  json_object *card = vm_json_dict ("driver", VM_TEXT (add->driver), "id", VM_TEXT (add->id), "bus", VM_TEXT (add->bus),
                                    "netdev", VM_TEXT (add->netdev), NULL);
  if (*add->address)
    json_object_object_add (card, "mac", VM_TEXT (add->address));
  vm_call (add->attach->session, owner, "device_add", card, card_added, add);
}

static void
add_go (Add *add)
{
  const Network *network = add->chosen;

  add->netdev = g_strdup_printf ("added-net%u", add->attach->serial);
  add->id = g_strdup_printf ("added-card%u", add->attach->serial++);
  json_object *args = vm_json_dict ("type", VM_TEXT (network->type), "id", VM_TEXT (add->netdev), NULL);
  if (network->name)
    json_object_object_add (args, strcmp (network->type, "tap") ? "br" : "ifname", VM_TEXT (network->name));
  if (!strcmp (network->type, "tap"))
    {
      /* It is set up already. */
      json_object_object_add (args, "script", VM_TEXT ("no"));
      json_object_object_add (args, "downscript", VM_TEXT ("no"));
    }
  vm_call (add->attach->session, add->attach->parent, "netdev_add", args, network_added, add);
}

static void
add_answered (GtkDialog *dialog, int response, Add *add)
{
  if (response == GTK_RESPONSE_ACCEPT && g_object_get_data (G_OBJECT (add->attach->parent), "vitrine-attach"))
    {
      const Kind *kind = add->kinds->pdata[atoi (gtk_combo_box_get_active_id (GTK_COMBO_BOX (add->kind)))];
      add->driver = g_strdup (kind->driver);
      add->bus = kind->bus;
      add->chosen = add->networks->pdata[gtk_combo_box_get_active (GTK_COMBO_BOX (add->network))];
      add->address = g_strdup (gtk_entry_get_text (GTK_ENTRY (add->mac)));
      add_go (g_object_steal_data (G_OBJECT (dialog), "add"));
    }
  gtk_widget_destroy (GTK_WIDGET (dialog));
}

/* What is wrong with it; NULL: nothing. Free the result. */
static char *
judge_mac (VmDevices *devices, const char *text)
{
  const GPtrArray *nics = vm_devices_nics (devices);

  if (!*text)
    return NULL;
  if (!g_regex_match_simple ("^([0-9a-f]{2}:){5}[0-9a-f]{2}$", text, G_REGEX_CASELESS, 0))
    return g_strdup (_ ("A MAC address is written as in 52:54:00:12:34:56."));
  if (g_ascii_xdigit_value (text[1]) & 1 || !strcmp (text, "00:00:00:00:00:00"))
    return g_strdup (
        _ ("No card can have this address: the first two digits must make an even number, and not all be 0."));
  for (guint i = 0; i < nics->len; i++)
    {
      const VmNic *nic = nics->pdata[i];
      if (!g_ascii_strcasecmp (nic->mac, text))
        /* Translators: the name of a network card. */
        return g_strdup_printf (_ ("%s has this address already."), nic->name);
    }
  return NULL;
}

static void
mac_changed (GtkEntry *entry, Add *add)
{
  g_autofree char *wrong = judge_mac (add->attach->devices, gtk_entry_get_text (entry));

  gtk_label_set_text (GTK_LABEL (add->hint), wrong ? wrong : _ ("Empty: the machine chooses one that is free."));
  gtk_entry_set_icon_from_icon_name (entry, GTK_ENTRY_ICON_SECONDARY, wrong ? "dialog-warning-symbolic" : NULL);
  atk_object_set_description (gtk_widget_get_accessible (GTK_WIDGET (entry)),
                              gtk_label_get_text (GTK_LABEL (add->hint)));
  gtk_dialog_set_response_sensitive (GTK_DIALOG (gtk_widget_get_toplevel (add->hint)), GTK_RESPONSE_ACCEPT, !wrong);
}

/* A kind that the guest uses already, else virtio's, else any. */
static GtkWidget *
make_kinds (const Add *add)
{
  const GPtrArray *nics = vm_devices_nics (add->attach->devices);
  const char *used = nics->len ? ((const VmNic *) nics->pdata[0])->model : "";
  GtkWidget *combo = gtk_combo_box_text_new ();
  unsigned best = 0;

  for (guint i = 0; i < add->kinds->len; i++)
    {
      const Kind *kind = add->kinds->pdata[i];
      g_autofree char *id = g_strdup_printf ("%u", i);
      if (!kind->nic)
        continue;
      gtk_combo_box_text_append (GTK_COMBO_BOX_TEXT (combo), id, kind->text);
      unsigned value = !strcmp (kind->driver, used) ? 3 : !strcmp (kind->driver, "virtio-net-pci") ? 2 : 1;
      if (value > best)
        gtk_combo_box_set_active_id (GTK_COMBO_BOX (combo), id);
      best = MAX (best, value);
    }
  g_autoptr (GList) cells = gtk_cell_layout_get_cells (GTK_CELL_LAYOUT (combo));
  g_object_set (cells->data, "ellipsize", PANGO_ELLIPSIZE_END, "width-chars", 45, NULL);
  atk_object_set_name (gtk_widget_get_accessible (combo), _ ("Kind of card"));
  return combo;
}

static GtkWidget *
make_networks (const Add *add)
{
  GtkWidget *combo = gtk_combo_box_text_new ();

  for (guint i = 0; i < add->networks->len; i++)
    {
      const Network *network = add->networks->pdata[i];
      g_autofree char *text = !network->name ? g_strdup (_ ("User mode (private, behind this host’s address)"))
                              : !strcmp (network->type, "bridge")
                                  ? g_strdup_printf (_ ("Bridge %s of this host"), network->name)
                                  : g_strdup_printf (_ ("TAP interface %s of this host"), network->name);
      gtk_combo_box_text_append_text (GTK_COMBO_BOX_TEXT (combo), text);
    }
  gtk_combo_box_set_active (GTK_COMBO_BOX (combo), 0);
  atk_object_set_name (gtk_widget_get_accessible (combo), _ ("Network"));
  return combo;
}

static void
add_ask (Add *add)
{
  GtkWidget *dialog = vm_form_new (add->attach->parent, _ ("Add Network Card"), _ ("_Add"));
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog)), *grid = gtk_grid_new ();

  add->networks = find_networks ();
  add->kind = make_kinds (add);
  add->network = make_networks (add);
  add->mac = gtk_entry_new ();
  add->hint = vm_form_note (NULL);
  gtk_entry_set_width_chars (GTK_ENTRY (add->mac), 22);
  gtk_entry_set_activates_default (GTK_ENTRY (add->mac), TRUE);
  atk_object_set_name (gtk_widget_get_accessible (add->mac), _ ("MAC address"));
  vm_form_add_row (GTK_GRID (grid), 0, _ ("_Kind of card:"), add->kind);
  vm_form_add_row (GTK_GRID (grid), 1, _ ("_Network:"), add->network);
  vm_form_add_row (GTK_GRID (grid), 2, _ ("_MAC address:"), add->mac);
  gtk_grid_attach (GTK_GRID (grid), add->hint, 1, 3, 1, 1);
  gtk_box_pack_start (GTK_BOX (box), grid, FALSE, FALSE, 0);
  gtk_box_pack_start (
      GTK_BOX (box),
      vm_form_note (_ ("The card is there until it is removed or the machine ends: its command line stays as it is.")),
      FALSE, FALSE, 0);
  g_object_set_data_full (G_OBJECT (dialog), "add", add, add_free);
  g_signal_connect (add->mac, "changed", G_CALLBACK (mac_changed), add);
  g_signal_connect (dialog, "response", G_CALLBACK (add_answered), add);
  mac_changed (GTK_ENTRY (add->mac), add);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
got_nics (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Add *add = data;

  for (guint i = 0; i < add->kinds->len; i++)
    if (((const Kind *) add->kinds->pdata[i])->nic)
      {
        add_ask (add);
        return;
      }
  add_failed (add, _ ("No bus of this machine takes one while it is on: that of “-machine pc” does."), NULL);
}

static void
got_properties (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Kind *kind = data;

  for (size_t i = 0; i < vm_json_length (result); i++)
    kind->nic |= !strcmp (vm_json_text (json_object_array_get_idx (result, i), "name"), "netdev");
}

static void
got_places (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Add *add = data;

  for (guint i = 0; i < add->kinds->len; i++)
    {
      Kind *kind = add->kinds->pdata[i];
      if (kind->bus)
        vm_call (add->attach->session, owner, "device-list-properties",
                 vm_json_dict ("typename", VM_TEXT (kind->driver), NULL), got_properties, kind);
    }
  vm_call (add->attach->session, owner, "query-status", NULL, got_nics, add);
}

static void
got_place (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  if (result)
    ((Kind *) data)->bus = g_strdup (vm_json_text (result, "bus"));
}

/* "name "rtl8139", bus PCI, desc Realtek RTL8139C+ Fast Ethernet" */
static void
got_types (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Add *add = data;
  g_auto (GStrv) lines = g_strsplit (result ? json_object_get_string (result) : "", "\n", -1);

  for (char **line = lines; *line; line++)
    {
      g_strchomp (*line);
      const char *name = g_str_has_prefix (*line, "name \"") ? *line + strlen ("name \"") : NULL;
      const char *about = strstr (*line, ", desc ");
      if (!name)
        continue;
      Kind *kind = g_new0 (Kind, 1);
      kind->driver = g_strndup (name, strcspn (name, "\""));
      kind->text
          = about ? g_strdup_printf ("%s (%s)", kind->driver, about + strlen (", desc ")) : g_strdup (kind->driver);
      g_ptr_array_add (add->kinds, kind);
      vm_call_find_place (add->attach->session, owner, kind->driver, got_place, kind);
    }
  vm_call (add->attach->session, owner, "query-status", NULL, got_places, add);
}

void
vm_nics_show_add (VmAttach *attach)
{
  Add *add = g_new0 (Add, 1);

  *add = (Add){ .attach = attach, .kinds = g_ptr_array_new_with_free_func (kind_free) };
  vm_call_hmp (attach->session, attach->parent, "info qdm", got_types, add);
}

/* --- removing one ------------------------------------------------------------------------------------------------ */

/* Where devices are: with an id, without one, and those that the board makes. */
static const char *const folders[] = { "/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached" };

typedef struct Removal
{
  VmAttach *attach;
  char *name, *title, *model, *netdev, *mac;
  GPtrArray *found; /* char *: paths of cards of its model, to be looked at */
  unsigned folder;  /* the next one to look into */
  char *path;       /* of the card; NULL: still being looked for */
  bool asked, gone; /* the guest was; the card is */
  guint patience;   /* timer; 0: none */
} Removal;

static void
removal_free (gpointer data)
{
  Removal *removal = data;

  g_clear_handle_id (&removal->patience, g_source_remove);
  g_ptr_array_unref (removal->found);
  g_free (removal->name);
  g_free (removal->title);
  g_free (removal->model);
  g_free (removal->netdev);
  g_free (removal->mac);
  g_free (removal->path);
  g_free (removal);
}

/* Those that are under way; they go with the window. */
static GPtrArray *
removals_of (VmAttach *attach)
{
  GPtrArray *list = g_object_get_data (G_OBJECT (attach->parent), KEY);

  if (!list)
    {
      list = g_ptr_array_new_with_free_func (removal_free);
      g_object_set_data_full (G_OBJECT (attach->parent), KEY, list, (GDestroyNotify) g_ptr_array_unref);
    }
  return list;
}

/* Frees REMOVAL. */
static void
removal_failed (Removal *removal, const char *cause)
{
  g_autofree char *title = g_strdup_printf (_ ("%s was not removed."), removal->title);
  VmAttach *attach = removal->attach;

  vm_report_failure (attach->parent, attach->session, title, cause, NULL);
  g_ptr_array_remove (removals_of (attach), removal);
  vm_devices_refresh (attach->devices);
}

static void
network_removed (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmDevices *devices = data;

  /* That of -nic goes with its card: then there was none any more. */
  vm_devices_refresh (devices);
  g_object_unref (devices);
}

/* Frees REMOVAL. */
static void
removal_done (Removal *removal)
{
  VmAttach *attach = removal->attach;
  g_autofree char *text = g_strdup_printf (_ ("%s is no longer in the machine."), removal->title);

  if (removal->netdev)
    vm_call (attach->session, attach->parent, "netdev_del", vm_json_dict ("id", VM_TEXT (removal->netdev), NULL),
             network_removed, g_object_ref (attach->devices));
  vm_bars_show (attach->bars, removal->title, GTK_MESSAGE_INFO, text, NULL, 0, NULL);
  g_ptr_array_remove (removals_of (attach), removal);
}

static void
tell_waiting (const Removal *removal)
{
  g_autofree char *text
      = g_strdup_printf (_ ("%s is still in use: the guest has been asked to let go of it and has not answered. "
                            "The card goes when it does, or when the machine is reset."),
                         removal->title);

  vm_bars_show (removal->attach->bars, removal->title, GTK_MESSAGE_WARNING, text, NULL, 0, NULL);
}

static gboolean
lost_patience (gpointer data)
{
  Removal *removal = data;

  removal->patience = 0;
  if (g_object_get_data (G_OBJECT (removal->attach->parent), "vitrine-attach"))
    tell_waiting (removal);
  return G_SOURCE_REMOVE;
}

static void
guest_asked (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Removal *removal = data;

  removal->asked = true;
  if (error)
    removal_failed (removal, error->message);
  else if (removal->gone)
    removal_done (removal);
  else
    removal->patience = g_timeout_add_seconds (PATIENCE, lost_patience, removal);
}

static void look_on (Removal *removal);

static void
got_property (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Removal *removal = data;
  g_autofree char *path = g_ptr_array_steal_index (removal->found, removal->found->len - 1);

  if (result && !strcmp (json_object_get_string (result), removal->netdev ? removal->netdev : removal->mac))
    removal->path = g_steal_pointer (&path);
  look_on (removal);
}

static void
got_folder (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Removal *removal = data;
  /* "virtio-net-pci-transitional" is a virtio-net-pci, too. */
  g_autofree char *type = g_strconcat ("child<", removal->model, NULL);

  for (size_t i = 0; i < vm_json_length (result); i++)
    {
      json_object *child = json_object_array_get_idx (result, i);
      if (g_str_has_prefix (vm_json_text (child, "type"), type))
        g_ptr_array_add (removal->found,
                         g_strdup_printf ("%s/%s", folders[removal->folder], vm_json_text (child, "name")));
    }
  removal->folder++;
  look_on (removal);
}

/* Cards without an id are known by their paths alone, and which that is by what they lead to. */
static void
look_on (Removal *removal)
{
  VmSession *session = removal->attach->session;
  GtkWindow *parent = removal->attach->parent;

  if (removal->path)
    vm_call (session, parent, "device_del", vm_json_dict ("id", VM_TEXT (removal->path), NULL), guest_asked, removal);
  else if (removal->found->len)
    vm_call (session, parent, "qom-get",
             vm_json_dict ("path", VM_TEXT (removal->found->pdata[removal->found->len - 1]), "property",
                           VM_TEXT (removal->netdev ? "netdev" : "mac"), NULL),
             got_property, removal);
  else if (removal->folder < G_N_ELEMENTS (folders))
    vm_call (session, parent, "qom-list", vm_json_dict ("path", VM_TEXT (folders[removal->folder]), NULL), got_folder,
             removal);
  else
    removal_failed (removal, _ ("The machine does not have this card any more."));
}

void
vm_nics_remove (VmAttach *attach, const char *name)
{
  const VmNic *nic = vm_devices_find_nic (attach->devices, name);
  GPtrArray *list = removals_of (attach);

  for (guint i = 0; i < list->len; i++)
    {
      const Removal *removal = list->pdata[i];
      if (strcmp (removal->name, name))
        continue;
      if (removal->asked)
        tell_waiting (removal);
      return;
    }
  Removal *removal = g_new0 (Removal, 1);
  *removal = (Removal){ .attach = attach, .name = g_strdup (name), .found = g_ptr_array_new_with_free_func (g_free) };
  removal->title = nic ? vm_nic_title (nic) : g_strdup (name);
  g_ptr_array_add (list, removal);
  if (!nic || nic->fixed)
    {
      removal_failed (removal,
                      nic ? _ ("No bus of this machine lets a card go while it is on: that of “-machine pc” does.")
                          : _ ("The machine does not have this card any more."));
      return;
    }
  removal->model = g_strdup (nic->model);
  removal->netdev = g_strdup (nic->netdev);
  removal->mac = g_strdup (nic->mac);
  look_on (removal);
}

void
vm_nics_event (VmAttach *attach, const char *name, const char *data)
{
  if (strcmp (name, "DEVICE_DELETED"))
    return;
  GPtrArray *list = removals_of (attach);
  json_object *event = data ? json_tokener_parse (data) : NULL;

  for (guint i = list->len; i-- > 0;)
    {
      Removal *removal = list->pdata[i];
      if (g_strcmp0 (removal->path, vm_json_text (event, "path")))
        continue;
      removal->gone = true;
      if (removal->asked)
        removal_done (removal);
    }
  json_object_put (event);
}
