/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-display curses": text modes and text consoles in the terminal that the program was started in. */
#pragma once

#include "ui/ui.h"

extern G_MODULE_EXPORT const VmUiModule vm_ui_curses;
