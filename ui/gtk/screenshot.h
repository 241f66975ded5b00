/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest's picture, at its own size, into a PNG file. */
#pragma once

#include <gtk/gtk.h>

#include "engine/machine/session.h"

void vm_screenshot_ask (GtkWindow *parent, VmSession *session, VmConsole *console); /* asks where */
void vm_screenshot_save (GtkWindow *parent, VmSession *session, VmConsole *console, const char *path);
/* Into the clipboard, in the guest's resolution. */
void vm_screenshot_copy (GtkWindow *parent, VmSession *session, VmConsole *console);
