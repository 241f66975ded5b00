/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the items of the menus Devices, Snapshots and Help do, and those that type and start the machine again. */
#include "config.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "ui/gtk/bars.h"
#include "ui/gtk/forwards.h"
#include "ui/gtk/grow.h"
#include "ui/gtk/machine-window-private.h"
#include "ui/gtk/nics.h"
#include "ui/gtk/report.h"
#include "ui/gtk/size.h"
#include "ui/gtk/text-request.h"
#include "ui/gtk/tray.h"

/* --- files that are asked for ----------------------------------------------------------------------------------------
 */

typedef struct Choice
{
  VmMachineWindow *window;  /* weak */
  char *qdev;               /* drive; NULL: a disk, a folder, files */
  bool folder, files, copy; /* FILES: several; COPY: they go to the guest's agent */
} Choice;

static void
choose_answered (GtkNativeDialog *dialog, int response, Choice *choice)
{
  GtkFileChooser *chooser = GTK_FILE_CHOOSER (dialog);
  g_autofree char *path = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_filename (chooser) : NULL;
  VmMachineWindow *self = choice->window;

  if (path && self)
    {
      g_free (self->folder);
      self->folder = g_path_get_dirname (path);
      if (choice->files)
        {
          GSList *names = gtk_file_chooser_get_filenames (chooser);
          g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
          for (GSList *at = names; at; at = at->next)
            g_strv_builder_add (builder, at->data);
          g_slist_free_full (names, g_free);
          g_auto (GStrv) paths = g_strv_builder_end (builder);
          if (choice->copy)
            vm_attach_copy (&self->attach, (const char *const *) paths);
          else
            vm_attach_send (&self->attach, (const char *const *) paths);
        }
      else if (choice->folder)
        vm_attach_folder (&self->attach, path);
      else if (choice->qdev)
        vm_attach_insert (&self->attach, choice->qdev, path, NULL, false);
      else
        vm_attach_disk (&self->attach, path, NULL);
    }
  g_clear_weak_pointer (&choice->window);
  g_free (choice->qdev);
  g_free (choice);
  g_object_unref (dialog);
}

static void
choose (VmMachineWindow *self, const char *title, const char *accept, const char *qdev, bool folder, bool files,
        bool copy)
{
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      title, GTK_WINDOW (self), folder ? GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER : GTK_FILE_CHOOSER_ACTION_OPEN, accept,
      NULL);
  Choice *choice = g_new0 (Choice, 1);

  *choice = (Choice){ .qdev = g_strdup (qdev), .folder = folder, .files = files, .copy = copy };
  g_set_weak_pointer (&choice->window, self);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (dialog), self->folder ? self->folder : g_get_home_dir ());
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (dialog), files);
  g_signal_connect (dialog, "response", G_CALLBACK (choose_answered), choice);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

/* --- devices ---------------------------------------------------------------------------------------------------------
 */

static void
action_insert (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  choose (user_data, _ ("Insert Medium"), _ ("_Insert"), g_variant_get_string (parameter, NULL), false, false, false);
}

static void
action_eject (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_attach_eject (&VM_MACHINE_WINDOW (user_data)->attach, g_variant_get_string (parameter, NULL));
}

static void
action_attach_disk (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  choose (user_data, _ ("Attach Disk Image"), _ ("_Attach"), NULL, false, false, false);
}

static void
action_attach_folder (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  choose (user_data, _ ("Share Folder"), _ ("_Share"), NULL, true, false, false);
}

static void
action_send_files (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  choose (user_data, _ ("Send Files on a CD"), _ ("_Send"), NULL, false, true, false);
}

static void
action_copy_files (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  choose (user_data, _ ("Copy Files to the Guest"), _ ("_Copy"), NULL, false, true, true);
}

static void
action_grow (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_grow_show (&VM_MACHINE_WINDOW (user_data)->attach, g_variant_get_string (parameter, NULL));
}

static void
action_copy_mount_line (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  const VmMedium *media = vm_devices_find_medium (self->devices, g_variant_get_string (parameter, NULL));
  g_autofree char *line = media && media->folder ? vm_medium_mount_line (media) : NULL;

  if (line)
    gtk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self), GDK_SELECTION_CLIPBOARD), line, -1);
}

static void
action_forwards (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  vm_forwards_show (GTK_WINDOW (self), self->devices);
}

static void
action_add_nic (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_nics_show_add (&VM_MACHINE_WINDOW (user_data)->attach);
}

static void
action_remove_nic (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_nics_remove (&VM_MACHINE_WINDOW (user_data)->attach, g_variant_get_string (parameter, NULL));
}

static void
action_remote_access (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_remote_show (VM_MACHINE_WINDOW (user_data)->remote);
}

static void
cable_set (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmMachineWindow *self = owner;

  if (error && self->devices)
    vm_report_failure (GTK_WINDOW (self), self->session, _ ("The cable was not moved."), error->message, NULL);
  if (self->devices)
    vm_devices_refresh (self->devices);
}

static void
action_cable (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  const GPtrArray *nics = vm_devices_nics (self->devices);
  guint index = (guint) g_ascii_strtoull (g_action_get_name (G_ACTION (action)) + strlen ("cable-"), NULL, 10);

  if (index >= nics->len)
    return;
  /* The check mark follows when it is so. Both ends, whoever pulled it. */
  const VmNic *nic = nics->pdata[index];
  const char *names[] = { nic->name, nic->netdev };
  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    if (names[i] && (g_variant_get_boolean (state) || i == 1))
      vm_call (self->session, self, "set_link",
               vm_json_dict ("name", VM_TEXT (names[i]), "up", VM_FLAG (g_variant_get_boolean (state)), NULL),
               cable_set, NULL);
}

static void
action_impossible (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
}

/* An action for each cable there is now. */
static void
sync_cables (VmMachineWindow *self)
{
  const GPtrArray *nics = vm_devices_nics (self->devices);

  for (guint i = 0; i < MAX (nics->len, self->cables); i++)
    {
      g_autofree char *name = g_strdup_printf ("cable-%u", i);
      GAction *action = g_action_map_lookup_action (G_ACTION_MAP (self->actions), name);
      if (i >= nics->len)
        {
          g_action_map_remove_action (G_ACTION_MAP (self->actions), name);
          continue;
        }
      GVariant *state = g_variant_new_boolean (((VmNic *) nics->pdata[i])->link);
      if (action)
        {
          g_simple_action_set_state (G_SIMPLE_ACTION (action), state);
          continue;
        }
      g_autoptr (GSimpleAction) made = g_simple_action_new_stateful (name, NULL, state);
      g_signal_connect (made, "change-state", G_CALLBACK (action_cable), self);
      g_action_map_add_action (G_ACTION_MAP (self->actions), G_ACTION (made));
    }
  self->cables = nics->len;
}

static void
sound_set (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmMachineWindow *self = owner;

  if (error && self->devices)
    vm_report_failure (GTK_WINDOW (self), self->session, _ ("The sound stays as it was."), error->message, NULL);
  if (self->devices)
    vm_devices_refresh (self->devices);
}

/* "sound-N-PROPERTY"; the check mark follows when it is so. */
static void
action_sound (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  const GPtrArray *sounds = vm_devices_sounds (self->devices);
  char *property;
  guint64 index = g_ascii_strtoull (g_action_get_name (G_ACTION (action)) + strlen ("sound-"), &property, 10);

  if (index >= sounds->len)
    return;
  g_autofree char *path = g_strconcat ("/audiodevs/", ((const VmSound *) sounds->pdata[index])->id, NULL);
  bool mute = g_variant_is_of_type (state, G_VARIANT_TYPE_BOOLEAN);
  vm_call (self->session, self, "qom-set",
           vm_json_dict ("path", VM_TEXT (path), "property", VM_TEXT (property + 1), "value",
                         mute ? VM_FLAG (g_variant_get_boolean (state)) : VM_TEXT (g_variant_get_string (state, NULL)),
                         NULL),
           sound_set, NULL);
}

static void
sync_sound (VmMachineWindow *self, guint index, const char *property, const GVariantType *parameter, GVariant *state)
{
  g_autofree char *name = g_strdup_printf ("sound-%u-%s", index, property);
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (self->actions), name);

  if (!state)
    g_action_map_remove_action (G_ACTION_MAP (self->actions), name);
  else if (action)
    g_simple_action_set_state (G_SIMPLE_ACTION (action), state);
  else
    {
      g_autoptr (GSimpleAction) made = g_simple_action_new_stateful (name, parameter, state);
      g_signal_connect (made, "change-state", G_CALLBACK (action_sound), self);
      g_action_map_add_action (G_ACTION_MAP (self->actions), G_ACTION (made));
    }
}

/* Four actions for each -audiodev there is now. */
static void
sync_sounds (VmMachineWindow *self)
{
  const GPtrArray *sounds = vm_devices_sounds (self->devices);
  static const char *const mutes[] = { "out-mute", "in-mute" }, *const devices[] = { "out-device", "in-device" };

  for (guint i = 0; i < MAX (sounds->len, self->sounds); i++)
    for (unsigned side = 0; side < 2; side++)
      {
        const VmSound *sound = i < sounds->len ? sounds->pdata[i] : NULL;
        sync_sound (self, i, mutes[side], NULL, sound ? g_variant_new_boolean (sound->side[side].mute) : NULL);
        sync_sound (self, i, devices[side], G_VARIANT_TYPE_STRING,
                    sound ? g_variant_new_string (sound->side[side].device) : NULL);
      }
  self->sounds = sounds->len;
}

static void
devices_changed (VmMachineWindow *self)
{
  sync_cables (self);
  sync_sounds (self);
  vm_tray_fill_menu (self->devices_menu, self->devices);
}

/* --- snapshots -------------------------------------------------------------------------------------------------------
 */

static void
action_take_snapshot (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_snapshots_take (VM_MACHINE_WINDOW (user_data)->snapshots);
}

static void
action_manage_snapshots (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_snapshots_manage (VM_MACHINE_WINDOW (user_data)->snapshots);
}

static void
action_revert_last (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_snapshots_revert_last (VM_MACHINE_WINDOW (user_data)->snapshots);
}

/* --- starting again --------------------------------------------------------------------------------------------------
 */

static void
started (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmMachineWindow *self = owner;

  if (error && self->devices)
    vm_report_failure (GTK_WINDOW (self), self->session, _ ("The machine was not started."), error->message, NULL);
}

static void
action_start (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  VmRunState state = vm_session_state (self->session);

  if (state == VM_RUN_RUNNING)
    return;
  /* One that waits for a disk, or for a person, goes on where it is. */
  if (state != VM_RUN_IO_ERROR && state != VM_RUN_PAUSED && state != VM_RUN_PRELAUNCH)
    vm_call (self->session, self, "system_reset", NULL, NULL, NULL);
  vm_call (self->session, self, "cont", NULL, started, NULL);
}

/* --- typing ----------------------------------------------------------------------------------------------------------
 */

static void
typing_done (gpointer opaque, unsigned missing)
{
  VmMachineWindow *self = opaque;

  self->typing = NULL;
  vm_bars_hide (self->bars, "typing");
  if (!missing)
    return;
  g_autofree char *text
      = g_strdup_printf (ngettext ("%u character is on no key of this keyboard layout and was left out.",
                                   "%u characters are on no key of this keyboard layout and were left out.", missing),
                         missing);
  vm_bars_show (self->bars, "typing", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
}

static void
typing_stop (gpointer opaque)
{
  VmMachineWindow *self = opaque;

  if (self->typing)
    vm_typing_stop (self->typing);
}

static void
typing_got_text (const char *bytes, gsize len, gsize left_out, gpointer data)
{
  VmMachineWindow *self = data;
  g_autofree char *text = bytes ? g_utf8_make_valid (bytes, (gssize) len) : NULL;
  const VmChoice stop = { _ ("_Stop"), typing_stop };
  VmPage *page = self->devices ? vm_window_current_page (self) : NULL;

  if (page && vm_page_console (page) && text && *text && !self->typing)
    {
      vm_window_release_all (self);
      vm_bars_show (self->bars, "typing", GTK_MESSAGE_OTHER, _ ("Typing what is in the clipboard…"), &stop, 1, self);
      self->typing = vm_typing_start (self->session, vm_page_console (page), text, typing_done, self);
    }
  else if (self->devices && !(text && *text))
    {
      vm_bars_show (self->bars, "typing", GTK_MESSAGE_INFO, _ ("There is no text in the clipboard."), NULL, 0, NULL);
    }
  g_object_unref (self);
}

/* --- pasting into terminals ------------------------------------------------------------------------------------------
 */

static void
pasting_stop (gpointer page)
{
  vm_terminal_page_stop_pasting (page);
}

void
vm_window_show_pasting (VmMachineWindow *self, VmTerminalPage *page)
{
  const VmChoice stop = { _ ("_Stop"), pasting_stop };
  gsize pasted, left_out = vm_terminal_page_left_out (page, &pasted);

  if (vm_terminal_page_is_pasting (page))
    {
      vm_bars_show (self->bars, "pasting", GTK_MESSAGE_OTHER, _ ("Pasting what is in the clipboard…"), &stop, 1, page);
      return;
    }
  vm_bars_hide (self->bars, "pasting");
  if (!left_out)
    return;
  g_autofree char *first = vm_format_size (pasted), *all = vm_format_size (pasted + left_out);
  /* Translators: both are sizes, such as "16.0 MiB". */
  g_autofree char *text = g_strdup_printf (_ ("Only the first %s of the %s in the clipboard were pasted."), first, all);
  vm_bars_show (self->bars, "pasting", GTK_MESSAGE_WARNING, text, NULL, 0, NULL);
}

static void
action_type_clipboard (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  vm_request_text (gtk_widget_get_clipboard (GTK_WIDGET (self), GDK_SELECTION_CLIPBOARD), 4 * VM_TYPE_CHARS_MAX,
                   typing_got_text, g_object_ref (self));
}

/* --- help ------------------------------------------------------------------------------------------------------------
 */

static void
action_shortcuts (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  g_autoptr (GtkBuilder) builder = gtk_builder_new_from_resource ("/vitrine/ui/shortcuts.ui");
  GtkWindow *window = GTK_WINDOW (gtk_builder_get_object (builder, "shortcuts"));
  g_autofree char *grab = vm_grab_keys_accelerator (&VM_MACHINE_WINDOW (user_data)->grab_keys);

  g_object_set (gtk_builder_get_object (builder, "grab"), "accelerator", grab, NULL);

  gtk_window_set_transient_for (window, user_data);
  gtk_window_set_destroy_with_parent (window, TRUE);
  gtk_window_present (window);
}

static void
action_log (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_report_show_log (user_data, VM_MACHINE_WINDOW (user_data)->session);
}

static void
action_diagnostics (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_report_show_diagnostics (user_data, VM_MACHINE_WINDOW (user_data)->session);
}

static void
action_about (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  gtk_show_about_dialog (user_data, "program-name", _ ("Vitrine"), "version", VM_VERSION, "license-type",
                         GTK_LICENSE_GPL_3_0, "comments", _ ("Runs whole operating systems in windows."),
                         "logo-icon-name", "computer", NULL);
}

static void
action_minimise (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  gtk_window_iconify (user_data);
}

/* --- set up ----------------------------------------------------------------------------------------------------------
 */

static const GActionEntry action_entries[] = {
  { .name = "insert", .parameter_type = "s", .activate = action_insert },
  { .name = "eject", .parameter_type = "s", .activate = action_eject },
  { .name = "attach-disk", .activate = action_attach_disk },
  { .name = "attach-folder", .activate = action_attach_folder },
  { .name = "copy-mount-line", .parameter_type = "s", .activate = action_copy_mount_line },
  { .name = "send-files", .activate = action_send_files },
  { .name = "copy-files", .activate = action_copy_files },
  { .name = "grow", .parameter_type = "s", .activate = action_grow },
  { .name = "forwards", .activate = action_forwards },
  { .name = "add-nic", .activate = action_add_nic },
  { .name = "remove-nic", .parameter_type = "s", .activate = action_remove_nic },
  { .name = "remote-access", .activate = action_remote_access },
  { .name = "impossible", .activate = action_impossible },
  { .name = "take-snapshot", .activate = action_take_snapshot },
  { .name = "manage-snapshots", .activate = action_manage_snapshots },
  { .name = "revert-last", .activate = action_revert_last },
  { .name = "start", .activate = action_start },
  { .name = "type-clipboard", .activate = action_type_clipboard },
  { .name = "shortcuts", .activate = action_shortcuts },
  { .name = "log", .activate = action_log },
  { .name = "diagnostics", .activate = action_diagnostics },
  { .name = "about", .activate = action_about },
  { .name = "minimise", .activate = action_minimise },
};

void
vm_window_add_device_actions (VmMachineWindow *self)
{
  g_action_map_add_action_entries (G_ACTION_MAP (self->actions), action_entries, G_N_ELEMENTS (action_entries), self);
  GAction *impossible = g_action_map_lookup_action (G_ACTION_MAP (self->actions), "impossible");
  g_simple_action_set_enabled (G_SIMPLE_ACTION (impossible), FALSE);
}

void
vm_window_set_up_devices (VmMachineWindow *self)
{
  self->devices = vm_devices_new (self->session);
  self->attach = (VmAttach){ .parent = GTK_WINDOW (self),
                             .session = self->session,
                             .devices = self->devices,
                             .preferences = self->preferences,
                             .bars = self->bars,
                             .made = g_ptr_array_new_with_free_func (g_free) };
  g_object_set_data (G_OBJECT (self), "vitrine-attach", &self->attach);
  g_signal_connect_object (self->devices, "changed", G_CALLBACK (devices_changed), self, G_CONNECT_SWAPPED);
  devices_changed (self);
  vm_devices_refresh (self->devices);
}

void
vm_window_drop_devices (VmMachineWindow *self)
{
  if (!self->devices)
    return;
  if (self->typing)
    vm_typing_stop (self->typing);
  g_object_set_data (G_OBJECT (self), "vitrine-attach", NULL);
  g_object_set_data (G_OBJECT (self), "vitrine-copy", NULL);
  for (guint i = 0; i < self->attach.made->len; i++)
    g_unlink (self->attach.made->pdata[i]);
  g_clear_pointer (&self->attach.made, g_ptr_array_unref);
  g_clear_pointer (&self->snapshots, vm_snapshots_free);
  g_clear_pointer (&self->remote, vm_remote_free);
  vm_devices_close (self->devices);
  g_clear_object (&self->devices);
}
