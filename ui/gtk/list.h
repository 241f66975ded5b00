/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What lists in dialogs have in common. */
#pragma once

#include <gtk/gtk.h>
#include <stdbool.h>

/* COLUMN of VIEW's model as text. EXPAND: it takes the room that is left. */
void vm_list_add_column (GtkWidget *view, const char *title, int column, bool expand);
