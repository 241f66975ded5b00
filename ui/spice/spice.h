/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SPICE server of a machine. Its library is mapped with the module "vitrine-spice" alone, which is loaded for
 * "-spice"; what is here are options, monitor commands, and the queues of character back ends. One thread has the
 * library's connections, and more of the library's own its pictures; none takes the machine lock. */
#pragma once

#include "engine/machine/machine.h"

typedef struct VmSpice VmSpice;

/* No server yet, no thread. QMP finds it as machine->spice_of. */
VmSpice *vm_spice_new (VmMachine *machine);
/* What settings->spice says. Listens when this returns. Machine lock held. */
bool vm_spice_open (VmSpice *spice, GError **error);
/* Ends the server. The engine loop no longer runs, or this is its thread. */
void vm_spice_close (VmSpice *spice);
/* After the machine's back ends have gone. */
void vm_spice_free (VmSpice *spice);
/* -display spice-app: SETTINGS ask for a server then, which listens where only this user comes and starts the viewer
 * that the desktop has for it. */
bool vm_spice_prepare_app (VmSettings *settings, GError **error);
