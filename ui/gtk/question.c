/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message dialog with a box to tick. */
#include "config.h"

#include "ui/gtk/question.h"

#include <glib/gi18n-lib.h>
#include <stdbool.h>

#include "ui/gtk/preferences.h"

#define CHOICES_MAX 4

typedef struct Question {
  char      *action, *key;
  GSettings *preferences;
  GtkWidget *box;  /* "Do not ask again" */
  VmChoice   choices[CHOICES_MAX];
  unsigned   n;
  GObject   *opaque;
} Question;

static void
question_free (gpointer data, GClosure *closure)
{
  Question *question = data;

  g_object_set_data (question->opaque, question->key, NULL);
  g_free (question->action);
  g_free (question->key);
  g_object_unref (question->opaque);
  g_clear_object (&question->preferences);
  g_free (question);
}

/* What the settings have of CHOICE. */
static char *
unasked_name (const char *action, const VmChoice *choice)
{
  return choice->id ? g_strconcat (action, "/", choice->id, NULL) : g_strdup (action);
}

static void
question_answered (GtkDialog *dialog, int response, Question *question)
{
  void (*chosen) (gpointer) = NULL;
  g_autoptr (GObject) opaque = g_object_ref (question->opaque);

  if (response >= 0 && (unsigned) response < question->n)
    {
      g_autofree char *name = unasked_name (question->action, &question->choices[response]);
      chosen = question->choices[response].chosen;
      if (gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (question->box)))
        vm_preferences_set_unasked (question->preferences, name);
    }
  gtk_widget_destroy (GTK_WIDGET (dialog));
  if (chosen)
    chosen (opaque);
}

void
vm_ask (GtkWindow *parent, GSettings *preferences, const char *action, const char *title, const char *text,
        const VmChoice *choices, unsigned n, GObject *opaque)
{
  g_autofree char *key = g_strconcat ("vitrine-question-", action, NULL);
  GtkWidget *dialog = g_object_get_data (opaque, key);

  g_return_if_fail (n > 0 && n <= CHOICES_MAX);
  for (unsigned i = 0; i < n; i++)
    {
      g_autofree char *name = unasked_name (action, &choices[i]);
      if (!vm_preferences_unasked (preferences, name))
        continue;
      choices[i].chosen (opaque);
      return;
    }
  if (dialog)
    {
      gtk_window_present (GTK_WINDOW (dialog));
      return;
    }
  dialog = gtk_message_dialog_new (parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT, GTK_MESSAGE_QUESTION,
                                   GTK_BUTTONS_NONE, "%s", title);
  gtk_message_dialog_format_secondary_text (GTK_MESSAGE_DIALOG (dialog), "%s", text);
  gtk_dialog_add_button (GTK_DIALOG (dialog), _("_Cancel"), GTK_RESPONSE_CANCEL);
  Question *question = g_new0 (Question, 1);
  question->action = g_strdup (action);
  question->key = g_strdup (key);
  question->n = n;
  question->preferences = preferences ? g_object_ref (preferences) : NULL;
  question->opaque = g_object_ref (opaque);
  for (unsigned i = 0; i < n; i++)
    {
      GtkWidget *button = gtk_dialog_add_button (GTK_DIALOG (dialog), choices[i].label, i);
      question->choices[i] = choices[i];
      if (i == n - 1)
        gtk_style_context_add_class (gtk_widget_get_style_context (button), GTK_STYLE_CLASS_DESTRUCTIVE_ACTION);
    }
  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_CANCEL);
  question->box = gtk_check_button_new_with_mnemonic (_("_Do not ask again"));
  gtk_container_add (GTK_CONTAINER (gtk_message_dialog_get_message_area (GTK_MESSAGE_DIALOG (dialog))), question->box);
  gtk_widget_set_visible (question->box, preferences != NULL);
  g_signal_connect_data (dialog, "response", G_CALLBACK (question_answered), question, question_free, 0);
  g_object_set_data (opaque, key, dialog);
  gtk_window_present (GTK_WINDOW (dialog));
  gtk_widget_grab_focus (gtk_dialog_get_widget_for_response (GTK_DIALOG (dialog), GTK_RESPONSE_CANCEL));
}
