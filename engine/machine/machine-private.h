/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this folder share. */
#pragma once

#include "engine/char/text.h"
#include "engine/machine/machine.h"

typedef struct VmWatch
{
  VmMachineEvent event;
  VmMachineFunc func;
  void *opaque;
  bool gone; /* removed while being called */
} VmWatch;

typedef struct VmBootDevice
{
  int index;
  VmDevice *dev;
  char *suffix;
} VmBootDevice;

typedef enum VmRequest
{
  VM_REQUEST_RESET = 1 << 0,
  VM_REQUEST_SHUTDOWN = 1 << 1,
  VM_REQUEST_SUSPEND = 1 << 2,
  VM_REQUEST_WAKEUP = 1 << 3,
  VM_REQUEST_POWERDOWN = 1 << 4,
  VM_REQUEST_PANIC = 1 << 5,
  VM_REQUEST_DEBUG = 1 << 6,
  VM_REQUEST_ERROR = 1 << 7,
} VmRequest;

typedef struct VmMachinePrivate
{
  GPtrArray *watches;      /* VmWatch * */
  GPtrArray *boot_devices; /* VmBootDevice *, by index */
  GPtrArray *globals_bad;  /* char *: -global that a type refused */
  VmRegion ram;
  GPtrArray *node_ram; /* VmRegion *: the parts of RAM when each node has its own; NULL: it is one */
  bool ram_made;
  bool preconfig, numa_taken;
  bool devices_made;
  VmCharEnv chars;
  VmEventSink sink;
  void *sink_opaque;
  /* Requests from devices, handled on the loop. */
  unsigned requests; /* VM_REQUEST_* */
  bool posted;
  VmResetKind reset_kind;
  VmShutdownCause reset_cause, shutdown_cause;
  bool panic_crashload;
  int exit_status;
  int quit_asked; /* atomic */
  VmShutdownCause quit_cause;
  bool quitting;
  VmRebootAction on_reboot;
  VmShutdownAction on_shutdown;
  VmPanicAction on_panic;
  VmWatchdogAction on_watchdog;
  GSource *sigint, *sigterm, *sighup;
  struct VmFailover *failover; /* NULL: nobody asked for any */
  GPtrArray *text_consoles;    /* VmTextConsole *; NULL: devices come first */
} VmMachinePrivate;

void vm_machine_tell (VmMachine *machine, VmMachineEvent event);
void vm_machine_init_env (VmMachine *machine);
void vm_machine_apply_defaults (VmMachine *machine, VmObject *obj);
bool vm_machine_create_objects (VmMachine *machine, bool late, GError **error); /* see VmUserObjectClass */
void vm_machine_init_chars (VmMachine *machine);
bool vm_machine_create_chars (VmMachine *machine, GError **error);
/* text-console.c: the terminal of a text in the list of consoles. */
typedef struct VmTextConsole VmTextConsole;
VmTextConsole *vm_text_console_new (VmMachine *machine, VmText *text);
void vm_text_console_free (VmTextConsole *console);
VmText *vm_text_console_text (const VmTextConsole *console);
/* Once the consoles of devices are there, which are the first ones. */
void vm_machine_show_texts (VmMachine *machine);
/* Hooks of VmCharEnv: a pointing device on a serial line gets the events of the user's pointer. */
void *vm_machine_pointer_added (void *machine, VmChardev *chr, bool absolute);
void vm_machine_pointer_gone (void *machine, void *pointer);
bool vm_machine_take_numa (VmMachine *machine, GError **error); /* that of the settings; once */
void vm_machine_reset_now (VmMachine *machine, VmResetKind kind);
/* vm_machine_plug() of what has waited long enough. */
VmDevice *vm_machine_plug_now (VmMachine *machine, const VmDeviceSpec *spec, GError **error);
/* failover.c. A new device: whether it is a primary and *WAITS; false: it cannot be one. */
bool vm_failover_take (VmMachine *machine, VmDevice *dev, const VmBus *bus, const VmDeviceSpec *spec, bool *waits,
                       GError **error);
bool vm_failover_waits (const VmMachine *machine, const char *id);
void vm_failover_gone (VmMachine *machine, const char *id);
void vm_failover_warn (const VmMachine *machine);
char *vm_failover_save (const VmMachine *machine);
bool vm_failover_load (VmMachine *machine, const char *ids, GError **error);
void vm_failover_load_end (VmMachine *machine, bool ok);
void vm_failover_free (struct VmFailover *failover);
