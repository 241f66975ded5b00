/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files dragged onto the window: labelled zones say what may become of them. */
#pragma once

#include "ui/gtk/attach.h"

/* Lays the zones over what OVERLAY shows and makes it a place to drop on. Gone with OVERLAY. */
void vm_drop_set_up (GtkOverlay *overlay, VmAttach *attach);
