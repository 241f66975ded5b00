/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The desktop's clipboard as a peer of the machine's (engine/display/clipboard.h). What the desktop has is offered only
 * while a window of ours is active, what the guest has is taken only then; contents go over when somebody pastes.
 *
 * Actions: "clipboard" with the states "off", "to-guest", "to-host", "both"; "clipboard-primary". */
#pragma once

#include <gtk/gtk.h>

#include "engine/machine/session.h"

typedef struct VmUiClipboard VmUiClipboard;

/* Adds its actions to ACTIONS. PREFERENCES may be NULL. */
VmUiClipboard *vm_ui_clipboard_new (VmSession *session, GActionMap *actions, GSettings *preferences);
void vm_ui_clipboard_free (VmUiClipboard *self); /* before the session */
/* A window has become active or has ceased to be. */
void vm_ui_clipboard_focus_changed (VmUiClipboard *self);
/* A button that says how things are and has the menu; seen when the machine has a channel for an agent. */
GtkWidget *vm_ui_clipboard_button (VmUiClipboard *self);
/* The items of its menu. */
void vm_ui_clipboard_fill (GMenu *menu);
