/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Screenshots: the engine writes them, this asks where to and says what went wrong. */
#include "config.h"

#include "ui/gtk/screenshot.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

typedef struct Screenshot {
  GtkWindow *parent; /* weak */
  VmSession *session;
  VmConsole *console;
} Screenshot;

static Screenshot *
screenshot_new (GtkWindow *parent, VmSession *session, VmConsole *console)
{
  Screenshot *shot = g_new0 (Screenshot, 1);

  g_set_weak_pointer (&shot->parent, parent);
  shot->session = session;
  shot->console = console;
  return shot;
}

static void
screenshot_free (Screenshot *shot)
{
  g_clear_weak_pointer (&shot->parent);
  g_free (shot);
}

static void
screenshot_done (VmSession *session, const char *result, const GError *error, void *opaque)
{
  Screenshot *shot = opaque;

  if (error && shot->parent)
    {
      GtkWidget *dialog
        = gtk_message_dialog_new (shot->parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT, GTK_MESSAGE_ERROR,
                                  GTK_BUTTONS_CLOSE, _("The screenshot was not taken."));
      gtk_message_dialog_format_secondary_text (GTK_MESSAGE_DIALOG (dialog), "%s", error->message);
      g_signal_connect (dialog, "response", G_CALLBACK (gtk_widget_destroy), NULL);
      gtk_window_present (GTK_WINDOW (dialog));
    }
  screenshot_free (shot);
}

void
vm_screenshot_save (GtkWindow *parent, VmSession *session, VmConsole *console, const char *path)
{
  vm_session_screendump (session, console, path, "png", screenshot_done, screenshot_new (parent, session, console));
}

/* --- to the clipboard -------------------------------------------------------------------------------- */

typedef struct Copy {
  Screenshot *shot;
  char *path;
} Copy;

static void
copy_end (Copy *copy, const GError *error)
{
  unlink (copy->path);
  screenshot_done (copy->shot->session, NULL, error, copy->shot);
  g_free (copy->path);
  g_free (copy);
}

static void
copy_give (GtkClipboard *clipboard, GtkSelectionData *data, guint info, gpointer png)
{
  gsize size;
  const guchar *bytes = g_bytes_get_data (png, &size);

  gtk_selection_data_set (data, gtk_selection_data_get_target (data), 8, bytes, (gint) size);
}

static void
copy_clear (GtkClipboard *clipboard, gpointer png)
{
  g_bytes_unref (png);
}

/* The file's bytes are what is pasted: a picture that GTK has to read and write again would hold the window up. */
static void
copy_read (GObject *file, GAsyncResult *result, gpointer user_data)
{
  static const GtkTargetEntry target = { (char *) "image/png", 0, 0 };
  Copy *copy = user_data;
  g_autoptr (GError) error = NULL;
  char *bytes;
  gsize size;

  if (g_file_load_contents_finish (G_FILE (file), result, &bytes, &size, NULL, &error))
    {
      GBytes *png = g_bytes_new_take (bytes, size);
      GtkWidget *parent = (GtkWidget *) copy->shot->parent;
      GtkClipboard *clipboard = parent ? gtk_widget_get_clipboard (parent, GDK_SELECTION_CLIPBOARD) : NULL;
      if (!parent || !gtk_clipboard_set_with_data (clipboard, &target, 1, copy_give, copy_clear, png))
        g_bytes_unref (png);
    }
  copy_end (copy, error);
}

static void
copy_done (VmSession *session, const char *result, const GError *error, void *opaque)
{
  Copy *copy = opaque;
  g_autoptr (GFile) file = g_file_new_for_path (copy->path);

  if (error)
    copy_end (copy, error);
  else
    g_file_load_contents_async (file, NULL, copy_read, copy);
}

void
vm_screenshot_copy (GtkWindow *parent, VmSession *session, VmConsole *console)
{
  Screenshot *shot = screenshot_new (parent, session, console);
  g_autoptr (GError) error = NULL;
  char *path = NULL;
  int fd = g_file_open_tmp ("vitrine-XXXXXX.png", &path, &error); /* 0600 */

  if (fd < 0)
    {
      screenshot_done (session, NULL, error, shot);
      return;
    }
  close (fd);
  Copy *copy = g_new (Copy, 1);
  *copy = (Copy) { shot, path };
  vm_session_screendump (session, console, path, "png", copy_done, copy);
}

/* --- to a file ----------------------------------------------------------------------------------------- */

static void
screenshot_chosen (GtkNativeDialog *dialog, int response, Screenshot *shot)
{
  g_autofree char *path
    = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_filename (GTK_FILE_CHOOSER (dialog)) : NULL;

  /* The machine may have ended meanwhile, and the window with it. */
  if (path && shot->parent)
    vm_screenshot_save (shot->parent, shot->session, shot->console, path);
  screenshot_free (shot);
  g_object_unref (dialog);
}

void
vm_screenshot_ask (GtkWindow *parent, VmSession *session, VmConsole *console)
{
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (_("Take Screenshot"), parent, GTK_FILE_CHOOSER_ACTION_SAVE,
                                                              NULL, NULL);
  const char *pictures = g_get_user_special_dir (G_USER_DIRECTORY_PICTURES);
  const char *machine = vm_session_name (session);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *time = g_date_time_format (now, "%Y-%m-%d %H-%M-%S");
  /* Translators: a file's name: the machine, the time. */
  g_autofree char *name = g_strdup_printf (_("%s %s.png"), machine ? machine : _("Vitrine"), time);

  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  gtk_file_chooser_set_do_overwrite_confirmation (GTK_FILE_CHOOSER (dialog), TRUE);
  if (pictures)
    gtk_file_chooser_set_current_folder (GTK_FILE_CHOOSER (dialog), pictures);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (dialog), g_strdelimit (name, "/", '-'));
  g_signal_connect (dialog, "response", G_CALLBACK (screenshot_chosen), screenshot_new (parent, session, console));
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}
