/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "-display gtk". */
#pragma once

#include "ui/ui.h"

extern G_MODULE_EXPORT const VmUiModule vm_ui_gtk;
