/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disks that become larger while the machine runs. */
#pragma once

#include "ui/gtk/attach.h"

/* Asks for the new size of the disk that QDEV has, and gives it to it. */
void vm_grow_show (VmAttach *attach, const char *qdev);
