/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a machine's window was shown when it was closed: on this host, for this person, not in the machine, which travels.
 * Machines are told apart by -uuid, else by -name; of those that have neither nothing is kept. */
#pragma once

#include "engine/machine/session.h"
#include "ui/gtk/guest-view.h"

typedef struct VmKept
{
  int width, height; /* of the window; 0: not known */
  VmZoom zoom;
} VmKept;

/* What is not known, or makes no sense, stays as it is. */
void vm_kept_load (const VmSettings *settings, VmKept *kept);
void vm_kept_save (const VmSettings *settings, const VmKept *kept);
