/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-display sdl": a window for each graphic console and nothing around it. */
#pragma once

#include "ui/ui.h"

extern G_MODULE_EXPORT const VmUiModule vm_ui_sdl;
