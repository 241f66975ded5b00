/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The few key chords that the window keeps from the guest: all begin with Ctrl+Alt, but the one that grabs and releases
 * may be chosen. */
#pragma once

#include <gtk/gtk.h>

/* The chord that grabs and releases: KEYS as GTK writes accelerators; what is none means VM_GRAB_KEYS. */
typedef struct VmGrabKeys
{
  guint keyval;
  GdkModifierType modifiers;
} VmGrabKeys;
#define VM_GRAB_KEYS "<Control><Alt>g"

VmGrabKeys vm_grab_keys_parse (const char *keys);
/* For people: "Ctrl+Alt+G". */
char *vm_grab_keys_label (const VmGrabKeys *keys);
char *vm_grab_keys_accelerator (const VmGrabKeys *keys);

/* Activates the window action that EVENT is the chord of; false if it is none. */
gboolean vm_shortcuts_activate (GtkWidget *window, const GdkEventKey *event, const VmGrabKeys *grab);
