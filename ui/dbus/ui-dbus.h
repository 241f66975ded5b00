/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-display dbus": consoles, text consoles and the clipboard on D-Bus, for viewers that are programs of their own. */
#pragma once

#include "ui/ui.h"

extern G_MODULE_EXPORT const VmUiModule vm_ui_dbus;
