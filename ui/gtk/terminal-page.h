/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A text console as a terminal with scrollback: monitors, serial and parallel ports, virtio consoles. */
#pragma once

#include "engine/char/text.h"
#include "ui/gtk/page.h"

#define VM_TYPE_TERMINAL_PAGE (vm_terminal_page_get_type ())
G_DECLARE_FINAL_TYPE (VmTerminalPage, vm_terminal_page, VM, TERMINAL_PAGE, VmPage)

GtkWidget *vm_terminal_page_new (VmText *text); /* takes a reference of its own */
VmText    *vm_terminal_page_text (VmTerminalPage *self);
/* Signal "selection-changed" tells when this may have changed. */
bool       vm_terminal_page_has_selection (VmTerminalPage *self);
void       vm_terminal_page_copy (VmTerminalPage *self);
void       vm_terminal_page_paste (VmTerminalPage *self);
/* Signal "pasting" tells when these change. Much text goes piece by piece, as the guest reads. */
bool vm_terminal_page_is_pasting (VmTerminalPage *self);
void vm_terminal_page_stop_pasting (VmTerminalPage *self);
gsize vm_terminal_page_left_out (VmTerminalPage *self, gsize *pasted); /* of the clipboard's bytes, the last time */
void       vm_terminal_page_select_all (VmTerminalPage *self);
void       vm_terminal_page_find (VmTerminalPage *self); /* opens the search bar */
