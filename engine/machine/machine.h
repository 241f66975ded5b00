/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine: one board with its address spaces, clocks, processors and devices, and its life cycle.
 *
 * A VmMachine is the object "/machine". Each board family is a type whose parent is vm_machine_type and whose
 * properties are those of "-machine NAME,help"; a VmBoard names one (versioned) member of the family. */
#pragma once

#include "engine/bus/device.h"
#include "engine/cpu/arch.h"
#include "engine/options/settings.h"
#include "engine/state/state.h"

typedef struct VmMachine VmMachine;
struct VmChardev;

typedef enum VmRunState
{ /* order and names are those of the QMP RunState enum */
  VM_RUN_DEBUG,
  VM_RUN_INMIGRATE,
  VM_RUN_INTERNAL_ERROR,
  VM_RUN_IO_ERROR,
  VM_RUN_PAUSED,
  VM_RUN_POSTMIGRATE,
  VM_RUN_PRELAUNCH,
  VM_RUN_FINISH_MIGRATE,
  VM_RUN_RESTORE_VM,
  VM_RUN_RUNNING,
  VM_RUN_SAVE_VM,
  VM_RUN_SHUTDOWN,
  VM_RUN_SUSPENDED,
  VM_RUN_WATCHDOG,
  VM_RUN_GUEST_PANICKED,
  VM_RUN_COLO,
  VM_RUN_N,
} VmRunState;
extern const char *const vm_run_state_names[VM_RUN_N + 1]; /* "debug", "inmigrate", ... */

typedef enum VmShutdownCause
{ /* names are those of the QMP ShutdownCause enum */
  VM_CAUSE_NONE,
  VM_CAUSE_HOST_ERROR,
  VM_CAUSE_HOST_QMP_QUIT,
  VM_CAUSE_HOST_QMP_SYSTEM_RESET,
  VM_CAUSE_HOST_SIGNAL,
  VM_CAUSE_HOST_UI,
  VM_CAUSE_GUEST_SHUTDOWN,
  VM_CAUSE_GUEST_RESET,
  VM_CAUSE_GUEST_PANIC,
  VM_CAUSE_SUBSYSTEM_RESET,
  VM_CAUSE_SNAPSHOT_LOAD,
  VM_CAUSE_N,
} VmShutdownCause;
extern const char *const vm_shutdown_cause_names[VM_CAUSE_N + 1];

/* A default that a versioned board pins: TYPE may be abstract and covers its children. */
typedef struct VmCompat
{
  const char *type, *property, *value;
} VmCompat;

typedef struct VmBoard
{
  const char *name;   /* "pc-i440fx-9.1" */
  const char *alias;  /* "pc"; NULL: none */
  const char *desc;   /* "Standard PC (i440FX + PIIX, 1996)" */
  const VmType *type; /* the family; its instance is the VmMachine */
  bool is_default;
  bool deprecated;
  bool hotpluggable_cpus;
  unsigned max_cpus;
  const char *default_cpu;    /* "qemu64-x86_64-cpu"; NULL: without processors */
  const char *default_ram_id; /* "pc.ram" */
  uint64_t default_ram_size;  /* 0: 128 MiB */
  const char *default_vga;    /* "std"; NULL: none */
  const char *default_nic;    /* "e1000" */
  VmDriveIf default_drive_if;
  unsigned drive_units[VM_IF_N]; /* units a bus of that interface has: ide 2, floppy 2; 0: none such */
  bool numa_mem_supported;       /* -numa node,mem= */
  bool memory_slots;             /* -m slots= and maxmem= */
  bool no_serial, no_parallel, no_floppy, no_cdrom; /* not among its default devices */
  /* Tables from the newest to the oldest release this version must look like; each ends with { 0 }, the list
   * with NULL. An older release's value wins. */
  const VmCompat *const *compat;
  /* Builds it: RAM regions, chips, processors, default devices. The settings are whole, back ends exist. */
  bool (*init) (VmMachine *machine, GError **error);
} VmBoard;

/* A card of -nic, -net nic, or the board's own. NULL members: not given. */
typedef struct VmNicSpec
{
  char *model, *netdev, *mac, *addr, *vectors, *name;
  char *text; /* as typed, for messages; NULL: a default */
} VmNicSpec;
void vm_nic_spec_free (void *spec);

/* Moments others may want to hear of; always on the engine loop (or start-up) with the machine lock held. */
typedef enum VmMachineEvent
{
  VM_MACHINE_READY,     /* all devices of board and command line exist; firmware tables are made now */
  VM_MACHINE_RESET,     /* after all devices and processors were reset */
  VM_MACHINE_POWERDOWN, /* somebody pressed the power button */
  VM_MACHINE_SUSPEND,   /* entered S3 */
  VM_MACHINE_WAKEUP,    /* left S3; after the wake-up reset */
  VM_MACHINE_STATE,     /* run state changed */
  VM_MACHINE_STOPPED,   /* after the event STOP: whoever asked is answered when those told are done */
  VM_MACHINE_TEXTS,     /* a "vc" back end came or went */
  VM_MACHINE_QUIT,      /* the loop is about to end */
  VM_MACHINE_EXIT,      /* before anything is torn down */
  VM_MACHINE_EVENT_N,
} VmMachineEvent;
typedef void (*VmMachineFunc) (VmMachine *machine, void *opaque);

/* What the machine tells the monitor: QMP events. DATA_JSON is an object's text or NULL. */
typedef void (*VmEventSink) (void *opaque, const char *name, const char *data_json);

/* A memory module, and what the guest's ACPI code said about a place for one or for a processor. */
typedef struct VmMemoryDeviceInfo
{
  VmDevice *dev;
  uint64_t addr, size;
  int slot;
  unsigned node;
  const VmObject *memdev;
} VmMemoryDeviceInfo;
typedef struct VmHotplugSlotInfo
{
  VmDevice *dev; /* NULL: empty */
  bool cpu;      /* else a memory module's */
  unsigned slot;
  uint32_t source, status; /* of the last _OST */
} VmHotplugSlotInfo;

struct VmMachine
{
  VmObject parent;
  VmEnv env; /* handed to every device; env.machine is this */
  VmLock *lock;
  VmRegion system_memory, system_io;
  VmAddressSpace memory_as, io_as;
  const VmBoard *board;
  const VmSettings *settings;
  const VmTypeList *types;
  const VmBoard *const *boards; /* all there are; ends with NULL */
  VmAccel *accel;
  const VmAccelOps *const *accels; /* all there are; ends with NULL */
  VmVcpuSet *vcpus;
  const VmArchOps *arch; /* of its processors; set by app; NULL: without */
  VmRegion *ram;         /* main memory, made before the board's init, not mapped; NULL when size is 0 */
  VmRegion *low_ram;     /* the RAM that holds its first MiB: main memory itself, or the first node's */
  uint64_t ram_size;
  struct VmNuma *numa;   /* numa.h */
  VmObject *peripheral, *peripheral_anon, *unattached, *objects, *chardevs; /* parts of the tree */
  VmRunState state;
  GPtrArray *serials, *parallels, *debugcons; /* char *: chardev ids in order; a NULL element: no port */
  GPtrArray *monitors;                        /* VmMonSpec *: those to open, from all options */
  char *qtest_chardev;                        /* id; NULL: none */
  char *gdb_chardev;                          /* id; NULL: none */
  bool gdb_chardev_own;                       /* made for it, no -chardev */
  GPtrArray *texts;                           /* VmText *: those of "vc" back ends in order */
  GPtrArray *cpus_to_reset;                   /* VmVcpu *, in order of arrival */
  bool dump_guest_core, mem_merge, hmat;            /* properties every board has */
  char *memory_backend;

  /* Set by the board. */
  void (*inject_nmi) (VmMachine *machine);              /* NULL: cannot */
  char *(*describe_irq) (VmMachine *machine, bool pic); /* "info irq" and "info pic" */
  char *(*describe_lapic) (VmVcpu *vcpu);               /* "info lapic"; NULL: has none */
  void (*rtc_reset_reinjection) (VmMachine *machine);
  bool (*set_boot_order) (VmMachine *machine, const char *order, GError **error);
  void (*set_irq) (VmMachine *machine, unsigned n, int level); /* drives a line as an ISA device would */
  uint64_t (*plugged_memory) (VmMachine *machine, int node); /* bytes in memory devices; NODE -1: all. NULL: none */
  /* Realizes a device without a bus that the user plugs; *MINE: whether the board has a place for such. NULL: none. */
  bool (*plug) (VmMachine *machine, VmDevice *dev, bool *mine, GError **error);
  /* Asks the guest to let such a device go. NULL: none can. */
  bool (*request_unplug) (VmMachine *machine, VmDevice *dev, GError **error);
  void (*foreach_memory_device) (VmMachine *machine, void (*func) (const VmMemoryDeviceInfo *info, void *opaque),
                                 void *opaque);
  void (*foreach_hotplug_slot) (VmMachine *machine, void (*func) (const VmHotplugSlotInfo *info, void *opaque),
                                void *opaque);
  void *board_data;

  /* Set by a memory balloon; NULL: there is none. */
  VmDevice *balloon;
  uint64_t (*balloon_actual) (VmDevice *balloon);             /* bytes the guest has now */
  void (*balloon_set) (VmDevice *balloon, uint64_t target);   /* is to have */

  /* Hears of every change of the board's interrupt lines, when set: qtest. */
  void (*irq_tap) (void *opaque, unsigned n, int level);
  void *irq_tap_opaque;
  GError *ready_error; /* set by who hears VM_MACHINE_READY and finds that it cannot be */
  bool wakeup_supported;
  bool kvm_present; /* this build can use KVM; set by app */

  GPtrArray *nics; /* VmNicSpec *: cards the board is to make; set by open_networks */
  /* Network back ends of the settings; after the character back ends, before the filters. Set by app; NULL: none. */
  bool (*open_networks) (VmMachine *machine, GError **error);
  bool (*open_sound) (VmMachine *machine, GError **error); /* the same for sound, after those */

  void *monitors_of; /* VmMonitors *, which engine/monitor/monitor.h opens */
  void *gdb_of;      /* VmGdb *: engine/debug/gdb.h */
  void *vnc_of;      /* VmVnc *: ui/vnc/vnc.h; NULL: this program has none */
  void *spice_of;    /* VmSpice *: ui/spice/spice.h; NULL: this program has none */
  /* A back end for viewers of SPICE was made; set by ui/spice. */
  bool (*spice_added) (VmMachine *machine, struct VmChardev *chr, bool port, const char *name, GError **error);
  struct VmMachinePrivate *priv;
};

extern const VmType vm_machine_type; /* abstract: the properties every board has */
#define VM_MACHINE(obj) ((VmMachine *) (obj))

/* --- start-up, in this order (app) ----------------------------------------------------------------- */

/* By name or alias; NULL: the default one. */
const VmBoard *vm_board_find (const VmBoard *const *boards, const char *name);
/* What depends on the board: topology, places of drives, default drives, the VGA card. */
bool vm_settings_complete (VmSettings *settings, const VmBoard *board, const VmTypeList *types, GError **error);

/* Settings are borrowed and must outlive the machine. The engine loop is not running yet. */
VmMachine *vm_machine_new (const VmBoard *board, const VmSettings *settings, const VmTypeList *types,
                           const VmBoard *const *boards, GError **error);
/* Picks the first accelerator of the settings that works, out of a NULL-terminated list. */
bool vm_machine_init_accel (VmMachine *machine, const VmAccelOps *const *accels, GError **error);
/* -object and then the character back ends. */
bool vm_machine_create_backends (VmMachine *machine, GError **error);
/* With --preconfig: answers monitors until somebody leaves that state. The board is made afterwards, unless FALSE
 * without an error says that it was "quit". */
bool vm_machine_preconfig (VmMachine *machine, GError **error);
bool vm_machine_in_preconfig (const VmMachine *machine);
void vm_machine_exit_preconfig (VmMachine *machine);
int vm_machine_exit_status (const VmMachine *machine);
bool vm_machine_create_ram (VmMachine *machine, GError **error);
bool vm_machine_init_board (VmMachine *machine, GError **error);
/* -device in the order given, then READY, first reset. The state is prelaunch afterwards. */
bool vm_machine_create_devices (VmMachine *machine, GError **error);
/* Turns the calling thread into the engine thread until the process should end; returns the exit status.
 * Starts the processors unless -S was given. */
int vm_machine_run (VmMachine *machine);
void vm_machine_free (VmMachine *machine); /* unplugs all; nothing is left behind */

/* --- for boards and devices ------------------------------------------------------------------------- */

/* vm_device_new() with the board's compat values and -global applied: boards use this for every device. */
VmDevice *vm_machine_new_device (VmMachine *machine, const VmType *type);
/* new, realize on BUS (NULL: none) and drop the reference; NULL with ERROR set on failure. */
VmDevice *vm_machine_add_device (VmMachine *machine, const VmType *type, VmBus *bus, GError **error);
/* What -device and device_add do: type by name, bus by name or family, properties, realize. */
VmDevice *vm_machine_plug (VmMachine *machine, const VmDeviceSpec *spec, GError **error);
/* Takes a plugged device away at once and says so: DEVICE_DELETED. */
void vm_machine_unplug (VmMachine *machine, VmDevice *dev);
/* The same for a processor; INDEX is its place, which others that came and went do not change. */
bool vm_machine_add_cpu_at (VmMachine *machine, VmVcpu *vcpu, unsigned index, GError **error);
void vm_machine_remove_cpu (VmMachine *machine, VmVcpu *vcpu); /* engine loop only: waits for its thread */
/* Realizes the processor, adds it to the set and to those that are reset. */
bool vm_machine_add_cpu (VmMachine *machine, VmVcpu *vcpu, GError **error);

void vm_machine_watch (VmMachine *machine, VmMachineEvent event, VmMachineFunc func, void *opaque);
void vm_machine_unwatch (VmMachine *machine, VmMachineEvent event, VmMachineFunc func, void *opaque);

/* A file of firmware or key maps: absolute or relative path as is, else along -L and the built-in folders.
 * NULL: not found. */
char *vm_machine_find_file (VmMachine *machine, const char *name);
/* Devices that can boot say so when realized; SUFFIX is the path below the device, "/disk@0". */
bool vm_machine_add_boot_device (VmMachine *machine, int bootindex, VmDevice *dev, const char *suffix, GError **error);
void vm_machine_remove_boot_device (VmMachine *machine, VmDevice *dev);
/* Lines of open-firmware style paths by rising index: the contents of fw_cfg "bootorder". */
char *vm_machine_boot_order (VmMachine *machine);

/* --- life cycle (engine loop, lock held; requests also from devices on vCPU threads) ----------------- */

bool vm_machine_is_running (const VmMachine *machine);
void vm_machine_stop (VmMachine *machine, VmRunState state); /* VM_RUN_PAUSED for a person's "stop" */
bool vm_machine_cont (VmMachine *machine, GError **error);
/* The same, but no time passes for the guest until the next stop: a debugger's steps. */
bool vm_machine_cont_frozen (VmMachine *machine, GError **error);
void vm_machine_request_reset (VmMachine *machine, VmShutdownCause cause);
void vm_machine_request_shutdown (VmMachine *machine, VmShutdownCause cause);
void vm_machine_request_powerdown (VmMachine *machine);
void vm_machine_request_wakeup (VmMachine *machine);
/* Carries out what was requested now instead of on the loop's next round: for people's commands, whose answer
 * comes after the event. Engine loop, never from a device callback. */
void vm_machine_settle (VmMachine *machine);
void vm_machine_quit (VmMachine *machine, int status, VmShutdownCause cause); /* any thread */
void vm_machine_watchdog_expired (VmMachine *machine);
VmWatchdogAction vm_machine_watchdog_action (const VmMachine *machine);
/* What guest events lead to, from now on. NULL members stay as they are. */
void vm_machine_set_actions (VmMachine *machine, const VmRebootAction *reboot, const VmShutdownAction *shutdown,
                             const VmPanicAction *panic, const VmWatchdogAction *watchdog);
struct VmCharEnv;
struct VmCharEnv *vm_machine_char_env (VmMachine *machine);
/* Makes a back end of a device string for gdb: gdb_chardev, NULL for "none". Who had the one before has let go. */
bool vm_machine_open_gdb_chardev (VmMachine *machine, const char *device, GError **error);

/* All of it as a stream. The machine stands, no request to a disk is under way. A load that fails before it came to RAM
 * changes nothing; after that the machine is in the state internal-error. */
bool vm_machine_save (VmMachine *machine, VmStateWriteFunc write, void *opaque, GError **error);
bool vm_machine_load (VmMachine *machine, VmStateReadFunc read, void *opaque, GError **error);

void vm_machine_set_event_sink (VmMachine *machine, VmEventSink sink, void *opaque);
/* Sends a QMP event. FORMAT makes the JSON text of its data, NULL for none. At once with the lock held, else soon. */
void vm_machine_emit (VmMachine *machine, const char *name, const char *format, ...) G_GNUC_PRINTF (3, 4);
