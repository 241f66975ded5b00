/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The few key chords that the window keeps from the guest: all begin with Ctrl+Alt. */
#pragma once

#include <gtk/gtk.h>

/* Activates the window action that EVENT is the chord of; false if it is none. */
gboolean vm_shortcuts_activate (GtkWidget *window, const GdkEventKey *event);
