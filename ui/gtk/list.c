/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Columns of text. */
#include "ui/gtk/list.h"

void
vm_list_add_column (GtkWidget *view, const char *title, int column, bool expand)
{
  GtkTreeViewColumn *at
      = gtk_tree_view_column_new_with_attributes (title, gtk_cell_renderer_text_new (), "text", column, NULL);

  gtk_tree_view_column_set_expand (at, expand);
  gtk_tree_view_append_column (GTK_TREE_VIEW (view), at);
}
