/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of host ports that lead into the guest's user-mode networks. */
#pragma once

#include <gtk/gtk.h>

#include "ui/gtk/devices.h"

/* One at a time; changes take effect at once. */
void vm_forwards_show (GtkWindow *parent, VmDevices *devices);
/* Whether there is a network that ports can lead into. */
bool vm_forwards_possible (VmDevices *devices);
