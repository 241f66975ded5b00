/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a tab holds: a console's picture with scroll bars when it is bigger than the window, a sentence while there is
 * none, and a notice over it when the machine has stopped for good. */
#pragma once

#include "ui/gtk/input-controller.h"
#include "ui/gtk/page.h"

#define VM_TYPE_CONSOLE_PAGE (vm_console_page_get_type ())
G_DECLARE_FINAL_TYPE (VmConsolePage, vm_console_page, VM, CONSOLE_PAGE, VmPage)

/* CONSOLE NULL: the machine has none, or none yet. */
GtkWidget         *vm_console_page_new (VmSession *session, VmConsole *console, const VmUiOptions *options);
VmConsole         *vm_console_page_console (VmConsolePage *self);
VmDisplayWidget   *vm_console_page_display (VmConsolePage *self); /* NULL without a console */
VmInputController *vm_console_page_input (VmConsolePage *self);   /* NULL without a console */
