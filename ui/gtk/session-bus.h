/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a machine's window and the desktop tell each other over the session bus: the window's actions
 * (org.gtk.Actions), that the host may not suspend itself, and whether the person likes it dark. Nothing waits; without
 * a bus, or without the services, nothing happens. */
#pragma once

#include <gtk/gtk.h>

typedef struct VmSessionBus VmSessionBus;

/* ACTIONS are found as /org/vitrine/Vitrine/window/1 of the name org.vitrine.Vitrine.pPID. */
VmSessionBus *vm_session_bus_new (GActionGroup *actions);
/* MACHINE (for people) runs: the host does not fall asleep by itself; it may be sent to sleep. */
void vm_session_bus_set_running (VmSessionBus *bus, const char *machine, gboolean running);
/* Whether others of the session can ask for a window that is hidden, by its action "present". */
gboolean vm_session_bus_is_connected (VmSessionBus *bus);
/* Says that MACHINE runs on without a window, with a way to bring that back; HIDDEN false takes it back. */
void vm_session_bus_set_hidden (VmSessionBus *bus, const char *machine, gboolean hidden);
/* TEXT (for people) is news of MACHINE: a notification that brings its window, in the place of the last one. NULL takes it
 * back. */
void vm_session_bus_tell (VmSessionBus *bus, const char *machine, const char *text);
void vm_session_bus_free (VmSessionBus *bus);
