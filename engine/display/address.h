/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the device behind a console is, for viewers that tell a guest's screens apart by it. */
#pragma once

#include "engine/display/display.h"

/* "pci/0000/02.0", behind bridges "pci/0000/02.0/01.0"; "": the console has no PCI device. Any thread. */
const char *vm_console_address (VmConsole *console);
