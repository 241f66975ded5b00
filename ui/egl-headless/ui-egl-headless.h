/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-display egl-headless": OpenGL without a screen, for machines that are seen from afar. */
#pragma once

#include "ui/ui.h"

extern G_MODULE_EXPORT const VmUiModule vm_ui_egl_headless;
