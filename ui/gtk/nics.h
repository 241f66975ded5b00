/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network cards that come and go while the machine is on. */
#pragma once

#include "ui/gtk/attach.h"

/* Asks which card, in which network; puts both in. */
void vm_nics_show_add (VmAttach *attach);
/* Takes the card NAME out once the guest lets go of it, and then what it leads to. */
void vm_nics_remove (VmAttach *attach, const char *name);
/* An event of the monitor. */
void vm_nics_event (VmAttach *attach, const char *name, const char *data);
