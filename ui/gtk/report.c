/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Message dialogs with an expander, and windows with text. */
#include "config.h"

#include "ui/gtk/report.h"

#include <glib/gi18n-lib.h>
#include <stdbool.h>
#include <sys/utsname.h>

#include "engine/base/recent.h"

/* --- texts ---------------------------------------------------------------------------------------------------- */

/* As one would type it. */
static char *
command_line (void)
{
  g_autofree char *bytes = NULL;
  gsize len = 0;
  GString *out = g_string_new (NULL);

  if (!g_file_get_contents ("/proc/self/cmdline", &bytes, &len, NULL))
    return g_string_free (out, FALSE);
  for (const char *p = bytes; p < bytes + len; p += strlen (p) + 1)
    {
      bool plain = *p && !strpbrk (p, " \t\n\"'\\$`*?[](){}<>|&;#~!");
      g_autofree char *quoted = plain ? g_strdup (p) : g_shell_quote (p);
      g_string_append_printf (out, "%s%s", out->len ? " " : "", quoted);
    }
  g_autofree char *valid = g_utf8_make_valid (out->str, (gssize) out->len);
  g_string_assign (out, valid);
  return g_string_free (out, FALSE);
}

char *
vm_report_diagnostics (VmSession *session)
{
  g_autofree char *line = command_line (), *recent = vm_log_recent ();
  g_autofree char *log = g_utf8_make_valid (recent, -1);
  struct utsname host;

  if (uname (&host) < 0)
    host = (struct utsname){ 0 };
  /* Translators: names of programs and their versions, and how the guest's processor is run. */
  return g_strdup_printf (_ ("Command line:\n%s\n\nVersions:\nVitrine %s\nGTK %u.%u.%u, GLib %u.%u.%u\n%s %s, %s\n"
                             "Processor of the guest: %s\nState: %s\n\nLog:\n%s"),
                          line, VM_VERSION, gtk_get_major_version (), gtk_get_minor_version (),
                          gtk_get_micro_version (), glib_major_version, glib_minor_version, glib_micro_version,
                          host.sysname, host.release, host.machine, vm_session_accel (session),
                          vm_run_state_names[vm_session_state (session)], *log ? log : _ ("(nothing was said)\n"));
}

static void
copy_text (GtkWidget *widget, const char *text)
{
  gtk_clipboard_set_text (gtk_widget_get_clipboard (widget, GDK_SELECTION_CLIPBOARD), text, -1);
}

static GtkWidget *
text_view (const char *text, const char *name)
{
  GtkWidget *scrolled = gtk_scrolled_window_new (NULL, NULL), *view = gtk_text_view_new ();

  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), text, -1);
  gtk_text_view_set_editable (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_cursor_visible (GTK_TEXT_VIEW (view), FALSE);
  gtk_text_view_set_monospace (GTK_TEXT_VIEW (view), TRUE);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (view), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_left_margin (GTK_TEXT_VIEW (view), 6);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (view), FALSE);
  atk_object_set_name (gtk_widget_get_accessible (view), name);
  gtk_container_add (GTK_CONTAINER (scrolled), view);
  gtk_scrolled_window_set_shadow_type (GTK_SCROLLED_WINDOW (scrolled), GTK_SHADOW_IN);
  return scrolled;
}

/* --- failures -------------------------------------------------------------------------------------------------- */

enum
{
  RESPONSE_COPY = 1
};

static void
failure_answered (GtkDialog *dialog, int response, gpointer user_data)
{
  if (response == RESPONSE_COPY)
    copy_text (GTK_WIDGET (dialog), g_object_get_data (G_OBJECT (dialog), "text"));
  else
    gtk_widget_destroy (GTK_WIDGET (dialog));
}

void
vm_report_failure (GtkWindow *parent, VmSession *session, const char *title, const char *cause, const char *remedy)
{
  g_autofree char *said = cause ? g_strdup_printf ("%s %s", title, cause) : g_strdup (title);
  g_autofree char *body = remedy ? g_strdup_printf ("%s%s%s", cause ? cause : "", cause ? "\n\n" : "", remedy)
                                 : g_strdup (cause ? cause : "");

  vm_log_remember (said);
  if (!parent || !gtk_widget_get_visible (GTK_WIDGET (parent)))
    return;
  GtkWidget *dialog = gtk_message_dialog_new (parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
                                              GTK_MESSAGE_ERROR, GTK_BUTTONS_NONE, "%s", title);
  gtk_window_set_title (GTK_WINDOW (dialog), _ ("Problem"));
  gtk_message_dialog_format_secondary_text (GTK_MESSAGE_DIALOG (dialog), "%s", body);
  gtk_dialog_add_button (GTK_DIALOG (dialog), _ ("C_opy"), RESPONSE_COPY);
  gtk_dialog_add_button (GTK_DIALOG (dialog), _ ("_Close"), GTK_RESPONSE_CLOSE);
  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_CLOSE);

  g_autofree char *details = vm_report_diagnostics (session);
  GtkWidget *expander = gtk_expander_new_with_mnemonic (_ ("_Details")), *view = text_view (details, _ ("Details"));
  gtk_widget_set_size_request (view, 480, 180);
  gtk_container_add (GTK_CONTAINER (expander), view);
  gtk_widget_show_all (expander);
  gtk_container_add (GTK_CONTAINER (gtk_message_dialog_get_message_area (GTK_MESSAGE_DIALOG (dialog))), expander);
  g_object_set_data_full (G_OBJECT (dialog), "text", g_strdup_printf ("%s\n%s\n\n%s", title, body, details), g_free);
  g_signal_connect (dialog, "response", G_CALLBACK (failure_answered), NULL);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* --- windows with text --------------------------------------------------------------------------------------- */

static void
text_gone (GtkWidget *dialog, GObject *parent)
{
  g_object_set_data (parent, g_object_get_data (G_OBJECT (dialog), "key"), NULL);
}

static void
show_text (GtkWindow *parent, const char *key, const char *title, const char *text)
{
  GtkWidget *dialog = g_object_get_data (G_OBJECT (parent), key);

  if (dialog)
    gtk_widget_destroy (dialog); /* the text is of another time */
  dialog = gtk_dialog_new_with_buttons (title, parent, GTK_DIALOG_DESTROY_WITH_PARENT, _ ("C_opy"), RESPONSE_COPY,
                                        _ ("_Close"), GTK_RESPONSE_CLOSE, NULL);
  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_CLOSE);
  gtk_window_set_default_size (GTK_WINDOW (dialog), 640, 420);
  GtkWidget *view = text_view (text, title);
  gtk_container_set_border_width (GTK_CONTAINER (view), 6);
  gtk_box_pack_start (GTK_BOX (gtk_dialog_get_content_area (GTK_DIALOG (dialog))), view, TRUE, TRUE, 0);
  gtk_widget_show_all (view);
  g_object_set_data_full (G_OBJECT (dialog), "text", g_strdup (text), g_free);
  g_signal_connect (dialog, "response", G_CALLBACK (failure_answered), NULL);
  g_object_set_data (G_OBJECT (parent), key, dialog);
  g_object_set_data (G_OBJECT (dialog), "key", (gpointer) key);
  g_signal_connect_object (dialog, "destroy", G_CALLBACK (text_gone), parent, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

void
vm_report_show_diagnostics (GtkWindow *parent, VmSession *session)
{
  g_autofree char *text = vm_report_diagnostics (session);

  show_text (parent, "vitrine-diagnostics", _ ("Diagnostics"), text);
}

void
vm_report_show_log (GtkWindow *parent, VmSession *session)
{
  g_autofree char *recent = vm_log_recent (), *text = g_utf8_make_valid (recent, -1);

  show_text (parent, "vitrine-log", _ ("Log"), *text ? text : _ ("(nothing was said)\n"));
}
