/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names beside fields, and notes below. */
#include "config.h"

#include "ui/gtk/form.h"

#include <glib/gi18n-lib.h>

GtkWidget *
vm_form_note (const char *text)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 60);
  return label;
}

void
vm_form_add_row (GtkGrid *grid, int row, const char *name, GtkWidget *value)
{
  GtkWidget *label = gtk_label_new_with_mnemonic (name);

  gtk_label_set_mnemonic_widget (GTK_LABEL (label), value);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_set_halign (value, GTK_ALIGN_START);
  gtk_grid_set_column_spacing (grid, 12);
  gtk_grid_set_row_spacing (grid, 6);
  gtk_grid_attach (grid, label, 0, row, 1, 1);
  gtk_grid_attach (grid, value, 1, row, 1, 1);
}

GtkWidget *
vm_form_new (GtkWindow *parent, const char *title, const char *accept)
{
  GtkWidget *dialog
      = gtk_dialog_new_with_buttons (title, parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT, _ ("_Cancel"),
                                     GTK_RESPONSE_CANCEL, accept, GTK_RESPONSE_ACCEPT, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog));

  gtk_box_set_spacing (GTK_BOX (box), 9);
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_window_set_resizable (GTK_WINDOW (dialog), FALSE);
  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_ACCEPT);
  return dialog;
}
