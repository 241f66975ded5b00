/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dialogs with fields have in common. */
#pragma once

#include <gtk/gtk.h>

/* TEXT in several lines, as wide as a dialog. */
GtkWidget *vm_form_note (const char *text);
/* NAME, which may have a mnemonic, and VALUE beside it. */
void vm_form_add_row (GtkGrid *grid, int row, const char *name, GtkWidget *value);
/* A dialog that is answered with Cancel, or with ACCEPT by Return. */
GtkWidget *vm_form_new (GtkWindow *parent, const char *title, const char *accept);
