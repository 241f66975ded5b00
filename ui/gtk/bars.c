/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GtkInfoBars in a box. */
#include "config.h"

#include "ui/gtk/bars.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/call.h"

#define INFO_SECONDS 12 /* that a bar stays which only says what was done */

typedef struct Choices {
  void (*chosen[4]) (gpointer opaque);
  unsigned n;
  gpointer opaque;
} Choices;

GtkWidget *
vm_bars_new (void)
{
  GtkWidget *bars = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  gtk_widget_show (bars);
  return bars;
}

static void
choices_free (gpointer data, GClosure *closure)
{
  g_free (data);
}

static gboolean
bar_has_been_read (gpointer bar)
{
  g_object_set_data (G_OBJECT (bar), "vitrine-timer", NULL);
  gtk_widget_destroy (bar);
  return G_SOURCE_REMOVE;
}

static void
bar_gone (GtkWidget *bar)
{
  guint timer = GPOINTER_TO_UINT (g_object_steal_data (G_OBJECT (bar), "vitrine-timer"));

  if (timer)
    g_source_remove (timer);
}

static void
bar_answered (GtkInfoBar *bar, int response, Choices *choices)
{
  void (*chosen) (gpointer) = response >= 0 && (unsigned) response < choices->n ? choices->chosen[response] : NULL;
  gpointer opaque = choices->opaque;

  gtk_widget_destroy (GTK_WIDGET (bar)); /* and CHOICES */
  if (chosen)
    chosen (opaque);
}

void
vm_bars_hide (GtkWidget *bars, const char *id)
{
  g_autoptr (GList) list = gtk_container_get_children (GTK_CONTAINER (bars));

  for (GList *at = list; at; at = at->next)
    if (!g_strcmp0 (gtk_widget_get_name (at->data), id))
      gtk_widget_destroy (at->data);
}

/* GTK gives its cross no name. */
static void
name_close_button (GtkWidget *widget, gpointer data)
{
  if (GTK_IS_BUTTON (widget) && !gtk_button_get_label (GTK_BUTTON (widget)))
    {
      gtk_widget_set_tooltip_text (widget, _ ("Close"));
      atk_object_set_name (gtk_widget_get_accessible (widget), _ ("Close"));
    }
  else if (GTK_IS_CONTAINER (widget))
    gtk_container_forall (GTK_CONTAINER (widget), name_close_button, data);
}

void
vm_bars_show (GtkWidget *bars, const char *id, GtkMessageType type, const char *text, const VmChoice *choices, unsigned n,
              gpointer opaque)
{
  GtkWidget *bar = gtk_info_bar_new (), *label = gtk_label_new (text);
  Choices *kept = g_new0 (Choices, 1);

  g_return_if_fail (n <= G_N_ELEMENTS (kept->chosen));
  vm_bars_hide (bars, id);
  gtk_widget_set_name (bar, id);
  gtk_info_bar_set_message_type (GTK_INFO_BAR (bar), type);
  gtk_info_bar_set_show_close_button (GTK_INFO_BAR (bar), TRUE);
  name_close_button (bar, NULL);
  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_container_add (GTK_CONTAINER (gtk_info_bar_get_content_area (GTK_INFO_BAR (bar))), label);
  for (unsigned i = 0; i < n; i++)
    {
      gtk_info_bar_add_button (GTK_INFO_BAR (bar), choices[i].label, (int) i);
      kept->chosen[i] = choices[i].chosen;
    }
  kept->n = n;
  kept->opaque = opaque;
  g_signal_connect_data (bar, "response", G_CALLBACK (bar_answered), kept, choices_free, 0);
  if (type == GTK_MESSAGE_INFO)
    g_object_set_data (G_OBJECT (bar), "vitrine-timer",
                       GUINT_TO_POINTER (g_timeout_add_seconds (INFO_SECONDS, bar_has_been_read, bar)));
  g_signal_connect (bar, "destroy", G_CALLBACK (bar_gone), NULL);
  gtk_widget_show_all (bar);
  gtk_box_pack_end (GTK_BOX (bars), bar, FALSE, FALSE, 0);
}

char *
vm_bars_text_of_event (const char *name, const char *data, bool *stopped)
{
  json_object *event = data ? json_tokener_parse (data) : NULL;
  const char *disk = *vm_json_text (event, "device") ? vm_json_text (event, "device") : vm_json_text (event, "node-name");
  char *text = NULL;

  *stopped = false;
  if (!g_strcmp0 (name, "BLOCK_IO_ERROR") && !g_strcmp0 (vm_json_text (event, "action"), "stop"))
    {
      *stopped = true;
      if (vm_json_flag (event, "nospace"))
        /* Translators: %s is the name of a disk. */
        text = g_strdup_printf (_("The host has no room left for disk “%s”. The machine waits: make room, then retry."), disk);
      else
        /* Translators: the name of a disk, and the error. */
        text = g_strdup_printf (_("Disk “%s” could not be used: %s. The machine waits: see to it, then retry."), disk,
                                vm_json_text (event, "reason"));
    }
  else if (!g_strcmp0 (name, "BLOCK_IMAGE_CORRUPTED"))
    text = g_strdup_printf (_("The image of disk “%s” is damaged: %s. Shut the machine down and repair the image by "
                              "“vitrine-img check -r all”."), disk, vm_json_text (event, "msg"));
  json_object_put (event);
  return text;
}
