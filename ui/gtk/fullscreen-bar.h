/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bar of a full screen: it comes when the pointer touches the top edge and goes when that has left it. */
#pragma once

#include <gtk/gtk.h>
#include <stdbool.h>

/* Over what OVERLAY shows; actions of the group "win". SEND_KEYS and POWER are its menus. */
GtkWidget *vm_fullscreen_bar_new (GtkOverlay *overlay, GMenuModel *send_keys, GMenuModel *power);
/* With full screen, which it shows for a moment, and without. */
void vm_fullscreen_bar_set_active (GtkWidget *bar, bool active);
void vm_fullscreen_bar_set_title (GtkWidget *bar, const char *title);
