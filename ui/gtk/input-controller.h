/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns what the user does on a display widget into the guest's input: keys by their place on the keyboard, buttons,
 * wheel, motion by position or relative; grabs of keyboard and pointer. */
#pragma once

#include "ui/gtk/display-widget.h"

#define VM_TYPE_INPUT_CONTROLLER (vm_input_controller_get_type ())
G_DECLARE_FINAL_TYPE (VmInputController, vm_input_controller, VM, INPUT_CONTROLLER, GObject)

/* Lives as long as the caller's reference; WIDGET must outlive it. */
VmInputController *vm_input_controller_new (VmDisplayWidget *widget, const VmUiOptions *options);
/* The user's grab: keyboard, and the pointer unless the guest takes positions. Signal "changed" tells of it. */
void vm_input_controller_set_grab (VmInputController *self, bool grab);
bool vm_input_controller_has_grab (VmInputController *self); /* which that or HOLD below made */
bool vm_input_controller_has_pointer (VmInputController *self); /* the pointer is captured */
/* The keyboard is grabbed while the pointer is over the picture. */
void vm_input_controller_set_grab_on_hover (VmInputController *self, bool grab);
/* The keyboard alone is grabbed whenever it is here, until it is let go by set_grab(); then again when it comes back. */
void vm_input_controller_set_hold (VmInputController *self, bool hold);
/* Lifts what is held down: nothing may stick when the guest stops listening. */
void vm_input_controller_release_keys (VmInputController *self);
/* Signal "tapped": Ctrl and Alt were pressed and let go, and nothing else meanwhile. This says that something was. */
void vm_input_controller_spoil_tap (VmInputController *self);
