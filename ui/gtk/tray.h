/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's devices as a menu and as a row of buttons, from the same items. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/devices.h"

/* Both use these actions of the group "win": insert(s), eject(s), cable-N, sound-N-out-mute, sound-N-out-device(s)
 * (in: the same), forwards, attach-disk, attach-folder, send-files, impossible (always off). The row follows
 * DEVICES and has its lights watched while it is seen. */
GtkWidget *vm_tray_new (VmDevices *devices);
/* With what there is now. */
void vm_tray_fill_menu (GMenu *menu, VmDevices *devices);
