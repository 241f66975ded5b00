/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions before something that cannot be undone. */
#pragma once

#include <gtk/gtk.h>

typedef struct VmChoice {
  const char *label;
  void (*chosen) (gpointer opaque);
  const char *id; /* where there are several, as settings name it */
} VmChoice;

/* Asks TITLE and TEXT with "Cancel", which Return and Escape mean, and the N choices, of which the last is the one that
 * destroys something. ACTION names the question for "Do not ask again": the choice it was said with is carried out at
 * once from then on, where it is among the choices. PREFERENCES NULL: it cannot be said. One question of an action at a
 * time. OPAQUE is an object that the dialog goes with. */
void vm_ask (GtkWindow *parent, GSettings *preferences, const char *action, const char *title, const char *text,
             const VmChoice *choices, unsigned n, GObject *opaque);
