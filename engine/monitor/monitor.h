/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The monitors of a machine: QMP and the human one, each on a character back end. All on the engine loop. */
#pragma once

#include "engine/machine/machine.h"
#include "engine/schema/schema.h"

typedef struct VmMonitors VmMonitors; /* all of a machine */
typedef struct VmMonitor VmMonitor;   /* one, or the caller of one command */

/* Takes the machine's events from now on. */
VmMonitors *vm_monitors_new (VmMachine *machine);
void vm_monitors_free (VmMonitors *monitors);
/* Opens a monitor on a back end that exists. Before the devices are made, so that a serial port that shares a
 * terminal with it takes the keyboard. */
bool vm_monitors_open (VmMonitors *monitors, const VmMonSpec *spec, GError **error);
/* All front ends are there: a monitor that has a shared terminal to itself may show its prompt. */
void vm_monitors_start (VmMonitors *monitors);

/* Carries out one command as a client would; what it returns, or NULL with ERROR set. ARGUMENTS may be NULL. */
json_object *vm_monitors_execute (VmMonitors *monitors, const char *command, json_object *arguments, GError **error);
/* A line of the human monitor; what it prints. */
char *vm_monitors_run_hmp (VmMonitors *monitors, const char *line, int cpu_index);
/* The answer of query-command-line-options and the class names of QMP errors come from here too. */
const char *vm_qmp_error_class (const GError *error);

/* Sees every event before the clients do: the session API. */
typedef void (*VmMonitorsTap) (void *opaque, const char *name, const char *data_json);
void vm_monitors_add_tap (VmMonitors *monitors, VmMonitorsTap tap, void *opaque);
void vm_monitors_remove_tap (VmMonitors *monitors, VmMonitorsTap tap, void *opaque);
/* Connections that add_client hands over for PROTOCOL go to FUNC, which owns them. Engine loop or lock; FUNC NULL: no more. */
void vm_monitors_set_client_taker (VmMonitors *monitors, const char *protocol, void (*func) (void *opaque, int fd), void *opaque);
VmMonitors *vm_monitors_of (VmMachine *machine); /* NULL: none were made */
VmMachine *vm_monitors_machine (VmMonitors *monitors);
/* Takes the descriptor NAME that "getfd" kept; -1 with ERROR set: there is none. */
int vm_monitor_take_fd (VmMonitor *mon, const char *name, GError **error);
VmMachine *vm_monitor_machine (VmMonitor *monitor);
/* ui/vnc's part of "add_client": takes FD when it succeeds. */
bool vm_vnc_add_client (VmMonitor *monitor, int fd, bool skip_auth, GError **error);
/* ui/spice's parts of commands that are about VNC, too. */
bool vm_spice_add_client (VmMonitor *monitor, int fd, bool skip_auth, bool tls, GError **error);
bool vm_spice_set_password (VmMonitor *monitor, const char *password, bool fail, bool disconnect, GError **error);
bool vm_spice_expire_password (VmMonitor *monitor, const char *time, GError **error);
