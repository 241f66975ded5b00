/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What cannot be done is there, off, and says why. */
#include "config.h"

#include "ui/gtk/tray.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/forwards.h"

/* --- items -------------------------------------------------------------------------------------------------------- */

/* Names are not labels: an underscore in them is no mnemonic. */
static char *
escape (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "_", -1);

  return g_strjoinv ("__", parts);
}

static void
append (GMenu *menu, const char *label, const char *action, const char *target)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);

  if (target)
    g_menu_item_set_action_and_target (item, action, "s", target);
  else
    g_menu_item_set_detailed_action (item, action);
  g_menu_append_item (menu, item);
}

static void
append_impossible (GMenu *menu, const char *label)
{
  append (menu, label, "win.impossible", NULL);
}

/* LABEL is that of the item where it can be made larger, up to its dots. */
static void
append_growth (GMenu *menu, const char *label, const VmMedium *media)
{
  g_autofree char *why = vm_medium_no_growth (media);
  /* Translators: an item of a menu that cannot be chosen, and the reason. */
  g_autofree char *text = why ? g_strdup_printf (_ ("%s (%s)"), label, why) : g_strconcat (label, "…", NULL);

  append (menu, text, why ? "win.impossible" : "win.grow", why ? NULL : media->qdev);
}

static void
fill_media (GMenu *menu, const VmMedium *media)
{
  append (menu, _ ("_Insert…"), "win.insert", media->qdev);
  if (media->file)
    {
      g_autofree char *base = g_path_get_basename (media->file), *shown = g_filename_display_name (base);
      g_autofree char *name = escape (shown);
      /* Translators: takes a file out of a drive. */
      g_autofree char *label = g_strdup_printf (_ ("_Eject “%s”"), name);
      append (menu, label, "win.eject", media->qdev);
    }
  else
    {
      append_impossible (menu, _ ("_Eject (there is nothing in it)"));
    }
  append_growth (menu, _ ("_Grow Disk"), media);
}

static void
fill_disk (GMenu *menu, const VmMedium *media)
{
  g_autofree char *what = vm_medium_describe (media), *label = escape (what);

  append_impossible (menu, label);
  if (media->folder)
    append (menu, _ ("Copy _Mount Line for Linux"), "win.copy-mount-line", media->qdev);
  else
    append_growth (menu, _ ("_Grow Disk"), media);
}

static void
fill_cable (GMenu *menu, const VmNic *nic, guint index)
{
  g_autofree char *name = escape (nic->name), *net = nic->netdev ? escape (nic->netdev) : NULL;
  g_autofree char *action = g_strdup_printf ("win.cable-%u", index);
  g_autofree char *label = NULL;

  if (!nic->netdev)
    {
      label = g_strdup_printf (_ ("%s (leads nowhere: it has no network)"), name);
      append_impossible (menu, label);
      return;
    }
  /* Translators: the number is a key to press; then a network card and the network behind it. */
  label = g_strdup_printf (_ ("_%u Cable of %s to %s"), index + 1, name, net);
  append (menu, label, action, NULL);
}

static void
fill_new_nic (GMenu *menu, VmDevices *devices)
{
  if (vm_devices_take_nics (devices))
    append (menu, _ ("_Add Network Card…"), "win.add-nic", NULL);
  else
    append_impossible (menu, _ ("_Add Network Card (no bus of this machine takes one while it is on)"));
}

/* LABEL names the card or what becomes of it. */
static void
append_removal (GMenu *menu, const char *label, const VmNic *nic)
{
  g_autofree char *text = nic->fixed
                              ? g_strdup_printf (_ ("%s (%s)"), label, _ ("this machine keeps it while it is on"))
                              : g_strdup (label);

  append (menu, text, nic->fixed ? "win.impossible" : "win.remove-nic", nic->fixed ? NULL : nic->name);
}

static void
fill_removal (GMenu *menu, VmDevices *devices)
{
  const GPtrArray *nics = vm_devices_nics (devices);
  g_autoptr (GMenu) cards = g_menu_new ();

  for (guint i = 0; i < nics->len; i++)
    {
      const VmNic *nic = nics->pdata[i];
      g_autofree char *name = escape (nic->name);
      g_autofree char *label = i < 9 ? g_strdup_printf ("_%u %s", i + 1, name) : g_strdup (name);
      append_removal (cards, label, nic);
    }
  if (nics->len)
    g_menu_append_submenu (menu, _ ("_Remove Network Card"), G_MENU_MODEL (cards));
  else
    append_impossible (menu, _ ("_Remove Network Card (this machine has none)"));
}

static void
fill_forwards (GMenu *menu, VmDevices *devices)
{
  if (vm_forwards_possible (devices))
    append (menu, _ ("Port _Forwards…"), "win.forwards", NULL);
  else
    append_impossible (menu, _ ("Port _Forwards (there is no user-mode network)"));
}

static GMenu *
add_section (GMenu *menu)
{
  GMenu *section = g_menu_new ();

  g_menu_append_section (menu, NULL, G_MENU_MODEL (section));
  g_object_unref (section); /* the menu has it */
  return section;
}

/* The devices of the host, as radio items: ACTION's state is the name of the one that is chosen. */
static void
fill_sound_devices (GMenu *menu, json_object *devices, const char *action)
{
  GMenu *section = add_section (menu);

  append (section, _ ("_Follow the System’s Default"), action, "");
  section = add_section (menu);
  for (size_t i = 0; i < vm_json_length (devices); i++)
    {
      json_object *device = json_object_array_get_idx (devices, i);
      g_autofree char *name = escape (vm_json_text (device, "description"));
      g_autofree char *label = i < 9 ? g_strdup_printf ("_%zu %s", i + 1, name) : g_strdup (name);
      append (section, label, action, vm_json_text (device, "name"));
    }
}

static void
fill_sound (GMenu *menu, const VmSound *sound, guint index)
{
  for (unsigned side = 0; side < 2; side++)
    {
      GMenu *section = add_section (menu);
      g_autofree char *mute = g_strdup_printf ("win.sound-%u-%s-mute", index, side ? "in" : "out");
      g_autofree char *device = g_strdup_printf ("win.sound-%u-%s-device", index, side ? "in" : "out");
      append (section, side ? _ ("Mute What It R_ecords") : _ ("_Mute What It Plays"), mute, NULL);
      if (sound->side[side].devices)
        {
          g_autoptr (GMenu) sub = g_menu_new ();
          fill_sound_devices (sub, sound->side[side].devices, device);
          g_menu_append_submenu (section, side ? _ ("_Record From") : _ ("_Play To"), G_MENU_MODEL (sub));
          continue;
        }
      /* Translators: %s is a kind of back end, such as "alsa". */
      g_autofree char *label = g_strdup_printf (
          side ? _ ("_Record From (“%s” has no devices to choose)") : _ ("_Play To (“%s” has no devices to choose)"),
          sound->driver);
      append_impossible (section, label);
    }
}

static void
fill_audio (GMenu *menu, VmDevices *devices)
{
  const GPtrArray *sounds = vm_devices_sounds (devices);

  if (sounds->len == 1)
    {
      fill_sound (menu, sounds->pdata[0], 0);
      return;
    }
  for (guint i = 0; i < sounds->len; i++)
    {
      const VmSound *sound = sounds->pdata[i];
      g_autoptr (GMenu) sub = g_menu_new ();
      g_autofree char *id = escape (sound->id);
      g_autofree char *label = g_strdup_printf ("_%u %s (%s)", i + 1, id, sound->driver);
      fill_sound (sub, sound, i);
      g_menu_append_submenu (menu, label, G_MENU_MODEL (sub));
    }
  if (!sounds->len)
    append_impossible (menu, _ ("A_udio (this machine has no -audiodev)"));
}

static void
fill_usb (GMenu *menu)
{
  append_impossible (menu, _ ("U_SB (comes later: this build has no USB controllers)"));
}

static void
fill_network (GMenu *menu, VmDevices *devices)
{
  const GPtrArray *nics = vm_devices_nics (devices);
  GMenu *cables = add_section (menu);

  for (guint i = 0; i < nics->len; i++)
    fill_cable (cables, nics->pdata[i], i);
  if (!nics->len)
    append_impossible (cables, _ ("_Cable (this machine has no network card)"));
  GMenu *cards = add_section (menu);
  fill_new_nic (cards, devices);
  fill_removal (cards, devices);
  fill_forwards (add_section (menu), devices);
}

static void
fill_growth (GMenu *menu, VmDevices *devices)
{
  const GPtrArray *media = vm_devices_media (devices);
  g_autoptr (GMenu) disks = g_menu_new ();
  unsigned n = 0;

  for (guint i = 0; i < media->len; i++)
    {
      const VmMedium *one = media->pdata[i];
      if (one->kind != VM_MEDIUM_DISK)
        continue;
      g_autofree char *title = vm_medium_title (one), *name = escape (title);
      g_autofree char *label = ++n < 10 ? g_strdup_printf ("_%u %s", n, name) : g_strdup (name);
      append_growth (disks, label, one);
    }
  if (n)
    g_menu_append_submenu (menu, _ ("_Grow Disk"), G_MENU_MODEL (disks));
  else
    append_impossible (menu, _ ("_Grow Disk (this machine has no disk)"));
}

void
vm_tray_fill_menu (GMenu *menu, VmDevices *devices)
{
  const GPtrArray *media = vm_devices_media (devices);
  const char *bus;
  unsigned drives = 0;

  g_menu_remove_all (menu);
  GMenu *section = add_section (menu);
  for (guint i = 0; i < media->len; i++)
    {
      const VmMedium *one = media->pdata[i];
      g_autoptr (GMenu) sub = g_menu_new ();
      if (one->kind == VM_MEDIUM_DISK && !one->folder)
        continue;
      g_autofree char *title = vm_medium_title (one), *name = escape (title);
      g_autofree char *label = g_strdup_printf ("_%u %s", ++drives, name);
      if (one->folder)
        fill_disk (sub, one);
      else
        fill_media (sub, one);
      g_menu_append_submenu (section, label, G_MENU_MODEL (sub));
    }
  if (!drives)
    append_impossible (section, _ ("_Media (this machine has no drive for them)"));

  section = add_section (menu);
  bool disk = vm_devices_disk_driver (devices, &bus) != NULL;
  bool cd = vm_devices_first_medium (devices, VM_MEDIUM_CD) || vm_devices_cd_driver (devices, &bus);
  if (disk)
    {
      append (section, _ ("_Attach Disk Image…"), "win.attach-disk", NULL);
      append (section, _ ("Share F_older…"), "win.attach-folder", NULL);
    }
  else
    {
      append_impossible (section, _ ("_Attach Disk Image (no bus of this machine takes one while it is on)"));
      append_impossible (section, _ ("Share F_older (no bus of this machine takes a disk while it is on)"));
    }
  if (cd)
    append (section, _ ("Send _Files on a CD…"), "win.send-files", NULL);
  else
    append_impossible (section, _ ("Send _Files on a CD (this machine has no CD drive)"));

  if (vm_devices_agent_takes_files (devices))
    append (section, _ ("_Copy Files to the Guest…"), "win.copy-files", NULL);
  else
    append_impossible (section, _ ("_Copy Files to the Guest (it has no agent that takes them)"));
  fill_growth (section, devices);

  section = add_section (menu);
  g_autoptr (GMenu) network = g_menu_new ();
  fill_network (network, devices);
  g_menu_append_submenu (section, _ ("_Network"), G_MENU_MODEL (network));
  if (vm_devices_sounds (devices)->len)
    {
      g_autoptr (GMenu) audio = g_menu_new ();
      fill_audio (audio, devices);
      g_menu_append_submenu (section, _ ("A_udio"), G_MENU_MODEL (audio));
    }
  else
    {
      fill_audio (section, devices);
    }
  fill_usb (section);
}

/* --- buttons ------------------------------------------------------------------------------------------------------ */

typedef struct Button
{
  char *qdev; /* of media; NULL: another */
  char *nic;  /* of a network card; NULL: another */
  GtkWidget *button, *light;
} Button;

typedef struct Tray
{
  VmDevices *devices;
  GtkWidget *box, *audio; /* AUDIO: its button */
  GArray *buttons; /* Button */
} Tray;

static void
button_clear (gpointer data)
{
  g_free (((Button *) data)->qdev);
  g_free (((Button *) data)->nic);
}

static void
describe_button (GtkWidget *button, const char *name, const char *what)
{
  AtkObject *accessible = gtk_widget_get_accessible (button);
  g_autofree char *tip = *what ? g_strdup_printf ("%s: %s", name, what) : g_strdup (name);

  atk_object_set_name (accessible, name);
  atk_object_set_description (accessible, what);
  gtk_widget_set_tooltip_text (button, tip);
}

static GtkWidget *
add_button (Tray *tray, const char *icon, GMenu *menu, const char *qdev, const char *nic)
{
  GtkWidget *button = gtk_menu_button_new (), *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 2);

  gtk_container_add (GTK_CONTAINER (box), gtk_image_new_from_icon_name (icon, GTK_ICON_SIZE_MENU));
  GtkWidget *light = gtk_label_new (NULL);
  gtk_label_set_width_chars (GTK_LABEL (light), qdev || nic ? 1 : 0);
  gtk_style_context_add_class (gtk_widget_get_style_context (light), "vitrine-light");
  gtk_container_add (GTK_CONTAINER (box), light);
  gtk_container_add (GTK_CONTAINER (button), box);
  gtk_button_set_relief (GTK_BUTTON (button), GTK_RELIEF_NONE);
  gtk_menu_button_set_direction (GTK_MENU_BUTTON (button), GTK_ARROW_UP);
  gtk_menu_button_set_use_popover (GTK_MENU_BUTTON (button), FALSE);
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (button), G_MENU_MODEL (menu));
  gtk_widget_set_focus_on_click (button, FALSE);
  gtk_container_add (GTK_CONTAINER (tray->box), button);
  Button kept = { g_strdup (qdev), g_strdup (nic), button, light };
  g_array_append_val (tray->buttons, kept);
  return button;
}

/* Signs as well as colour. */
static void
set_light (const Button *button, unsigned activity, const char *sign, const char *name, const char *what)
{
  GtkStyleContext *style = gtk_widget_get_style_context (button->button);

  gtk_label_set_text (GTK_LABEL (button->light), activity ? sign : "");
  if (activity)
    gtk_style_context_add_class (style, "active");
  else
    gtk_style_context_remove_class (style, "active");
  describe_button (button->button, name, what);
}

static void
describe_audio (const Tray *tray)
{
  const GPtrArray *sounds = vm_devices_sounds (tray->devices);
  g_autoptr (GStrvBuilder) parts = g_strv_builder_new ();

  for (guint i = 0; i < sounds->len; i++)
    {
      g_autofree char *what = vm_sound_describe (sounds->pdata[i]);
      g_strv_builder_add (parts, what);
    }
  g_auto (GStrv) list = g_strv_builder_end (parts);
  g_autofree char *all = g_strjoinv ("; ", list);
  describe_button (tray->audio, _ ("Audio"), *all ? all : _ ("none"));
}

static void
tray_light (VmDevices *devices, Tray *tray)
{
  static const char *const ways[] = { "", "↓", "↑", "↕" };

  for (guint i = 0; i < tray->buttons->len; i++)
    {
      const Button *button = &g_array_index (tray->buttons, Button, i);
      const VmMedium *media = button->qdev ? vm_devices_find_medium (devices, button->qdev) : NULL;
      const VmNic *nic = button->nic ? vm_devices_find_nic (devices, button->nic) : NULL;
      if (media)
        {
          g_autofree char *name = vm_medium_title (media), *what = vm_medium_describe (media);
          /* Translators: initials of "writes" and "reads". */
          set_light (button, media->activity,
                     media->activity & VM_ACTIVITY_WRITE ? C_ ("activity", "W") : C_ ("activity", "R"), name, what);
        }
      else if (nic)
        {
          g_autofree char *name = vm_nic_title (nic), *what = vm_nic_describe (nic);
          set_light (button, nic->activity,
                     ways[(nic->activity & VM_ACTIVITY_READ ? 1 : 0) + (nic->activity & VM_ACTIVITY_WRITE ? 2 : 0)],
                     name, what);
        }
    }
  describe_audio (tray);
}

static void
destroy_child (GtkWidget *widget, gpointer data)
{
  gtk_widget_destroy (widget);
}

static void
tray_fill (VmDevices *devices, Tray *tray)
{
  static const char *const icons[] = { "media-optical-symbolic", "media-floppy-symbolic", "drive-harddisk-symbolic" };
  const GPtrArray *media = vm_devices_media (devices), *nics = vm_devices_nics (devices);

  g_array_set_size (tray->buttons, 0);
  gtk_container_foreach (GTK_CONTAINER (tray->box), destroy_child, NULL);
  for (guint i = 0; i < media->len; i++)
    {
      const VmMedium *one = media->pdata[i];
      g_autoptr (GMenu) menu = g_menu_new ();
      if (one->kind == VM_MEDIUM_DISK)
        fill_disk (menu, one);
      else
        fill_media (menu, one);
      add_button (tray, one->folder ? "folder-symbolic" : icons[one->kind], menu, one->qdev, NULL);
    }
  for (guint i = 0; i < nics->len; i++)
    {
      const VmNic *nic = nics->pdata[i];
      g_autoptr (GMenu) menu = g_menu_new ();
      bool on = nic->link && nic->netdev;
      fill_cable (menu, nic, i);
      fill_new_nic (menu, devices);
      append_removal (menu, _ ("_Remove Network Card"), nic);
      fill_forwards (menu, devices);
      add_button (tray, on ? "network-wired-symbolic" : "network-offline-symbolic", menu, NULL, nic->name);
    }
  g_autoptr (GMenu) audio = g_menu_new (), usb = g_menu_new ();
  fill_audio (audio, devices);
  fill_usb (usb);
  const GPtrArray *sounds = vm_devices_sounds (devices);
  bool heard = false;
  for (guint i = 0; i < sounds->len; i++)
    heard |= !((const VmSound *) sounds->pdata[i])->side[0].mute;
  tray->audio = add_button (tray, heard ? "audio-volume-high-symbolic" : "audio-volume-muted-symbolic", audio, NULL, NULL);
  describe_button (add_button (tray, "drive-removable-media-symbolic", usb, NULL, NULL), _ ("USB"),
                   _ ("not in this build"));
  gtk_widget_show_all (tray->box);
  tray_light (devices, tray);
}

static void
tray_mapped (GtkWidget *widget, Tray *tray)
{
  vm_devices_watch_activity (tray->devices, gtk_widget_get_mapped (widget));
}

static void
tray_gone (GtkWidget *widget, Tray *tray)
{
  if (!tray->devices)
    return;
  g_signal_handlers_disconnect_by_data (tray->devices, tray);
  vm_devices_watch_activity (tray->devices, false);
  g_clear_object (&tray->devices);
}

static void
tray_free (gpointer data)
{
  Tray *tray = data;

  g_array_unref (tray->buttons);
  g_free (tray);
}

GtkWidget *
vm_tray_new (VmDevices *devices)
{
  Tray *tray = g_new0 (Tray, 1);
  GtkWidget *scrolled = gtk_scrolled_window_new (NULL, NULL);

  tray->devices = g_object_ref (devices);
  tray->buttons = g_array_new (FALSE, FALSE, sizeof (Button));
  g_array_set_clear_func (tray->buttons, button_clear);
  tray->box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  gtk_style_context_add_class (gtk_widget_get_style_context (tray->box), "vitrine-tray");
  /* A small guest's window stays small: then the row scrolls. */
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scrolled), GTK_POLICY_EXTERNAL, GTK_POLICY_NEVER);
  gtk_scrolled_window_set_propagate_natural_width (GTK_SCROLLED_WINDOW (scrolled), TRUE);
  gtk_container_add (GTK_CONTAINER (scrolled), tray->box);
  atk_object_set_name (gtk_widget_get_accessible (tray->box), _ ("Devices"));
  g_object_set_data_full (G_OBJECT (scrolled), "vitrine-tray", tray, tray_free);
  g_signal_connect (devices, "changed", G_CALLBACK (tray_fill), tray);
  g_signal_connect (devices, "activity", G_CALLBACK (tray_light), tray);
  g_signal_connect_after (scrolled, "map", G_CALLBACK (tray_mapped), tray);
  g_signal_connect_after (scrolled, "unmap", G_CALLBACK (tray_mapped), tray);
  g_signal_connect (scrolled, "destroy", G_CALLBACK (tray_gone), tray);
  tray_fill (devices, tray);
  gtk_widget_show_all (scrolled);
  return scrolled;
}
