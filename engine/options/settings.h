/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the command line asks for, after shorthands are rewritten and values are checked: plain data that
 * the machine and the boards read. Strings may be NULL where a thing was not given. */
#pragma once

#include "engine/options/keyvals.h"
#include "engine/schema/policy.h"

typedef struct VmSmp
{ /* all set and consistent once parsed */
  unsigned cpus, max_cpus;
  unsigned sockets, dies, clusters, modules, cores, threads; /* per the next bigger unit */
} VmSmp;

typedef enum VmDriveIf
{
  VM_IF_NONE,
  VM_IF_IDE,
  VM_IF_SCSI,
  VM_IF_FLOPPY,
  VM_IF_PFLASH,
  VM_IF_MTD,
  VM_IF_SD,
  VM_IF_VIRTIO,
  VM_IF_N
} VmDriveIf;
typedef enum VmMedia
{
  VM_MEDIA_DISK,
  VM_MEDIA_CDROM
} VmMedia;

typedef struct VmDriveSpec
{
  char *id;            /* given, or "ide0-hd0", "ide1-cd0", "floppy0", "pflash0" */
  VmDriveIf interface; /* VM_IF_N as parsed: the board's default */
  int bus, unit;       /* ide: bus 0..1, unit 0..1; floppy, pflash: bus 0. -1 as parsed: not given */
  int index;           /* -1: not given */
  VmMedia media;
  char *file;   /* NULL: an empty drive */
  char *format; /* NULL: probe */
  bool readonly;
  bool snapshot;      /* writes go to a temporary overlay */
  bool is_default;    /* not asked for by the user: the empty CD-ROM, the floppy drive */
  VmKeyVals *options; /* the rest: cache.*, aio, throttling.*, werror ... */
  char *text;         /* "-hda FILE" as typed, for messages; NULL for defaults */
  bool claimed;       /* a device took it */
} VmDriveSpec;

typedef struct VmDeviceSpec
{ /* -device, -object */
  char *driver;
  char *id;         /* NULL: none */
  char *bus;        /* NULL: the first with room of the family */
  VmKeyVals *props; /* everything else */
  char *text;       /* as typed, for messages */
} VmDeviceSpec;

typedef struct VmGlobal
{
  char *driver, *property, *value;
  bool used;
} VmGlobal;

typedef struct VmFwCfgSpec
{ /* -fw_cfg: exactly one of the last three */
  char *name, *file, *string, *gen_id;
  char *text; /* as typed, for messages */
} VmFwCfgSpec;

typedef struct VmNumaSpec
{ /* -numa */
  VmKeyVals *options;
  char *text; /* as typed, for messages */
} VmNumaSpec;

typedef struct VmBlockdevSpec
{ /* -blockdev */
  VmKeyVals *options;
  char *json; /* as typed when it was JSON; NULL: the list is all */
  char *text; /* as typed, for messages */
} VmBlockdevSpec;

typedef struct VmNetSpec
{ /* -netdev, -nic, -net */
  enum { VM_NET_SPEC_NETDEV, VM_NET_SPEC_NIC, VM_NET_SPEC_NET } option;
  VmKeyVals *options; /* "type" among them */
  char *json; /* as typed when it was JSON; NULL: the list is all */
  char *text; /* as typed, for messages */
} VmNetSpec;

/* The names that -audio has for cards. */
typedef struct VmSoundModel
{
  const char *name, *driver, *codec, *help; /* codec: a second device, on the first one's bus; NULL: none */
} VmSoundModel;
extern const VmSoundModel vm_sound_models[]; /* ends with a NULL name */

typedef struct VmAudioSpec
{ /* -audiodev, -audio */
  bool shorthand;     /* -audio */
  VmKeyVals *options; /* "driver" and "id" among them */
  char *json; /* as typed when it was JSON; NULL: the list is all */
  char *text; /* as typed, for messages */
} VmAudioSpec;

typedef struct VmVncSpec
{ /* -vnc, -display vnc= */
  VmKeyVals *options; /* "vnc": where */
  char *text; /* as typed, for messages; NULL: a default */
} VmVncSpec;

typedef struct VmOptionRom
{
  char *file;
  int bootindex; /* -1: none */
} VmOptionRom;

typedef enum VmRtcBase
{
  VM_RTC_UTC,
  VM_RTC_LOCALTIME,
  VM_RTC_DATETIME
} VmRtcBase;
typedef enum VmRtcClock
{
  VM_RTC_CLOCK_HOST,
  VM_RTC_CLOCK_RT,
  VM_RTC_CLOCK_VM
} VmRtcClock;

typedef enum VmRebootAction
{
  VM_REBOOT_RESET,
  VM_REBOOT_SHUTDOWN
} VmRebootAction;
typedef enum VmShutdownAction
{
  VM_SHUTDOWN_POWEROFF,
  VM_SHUTDOWN_PAUSE
} VmShutdownAction;
typedef enum VmPanicAction
{
  VM_PANIC_PAUSE,
  VM_PANIC_SHUTDOWN,
  VM_PANIC_EXIT_FAILURE,
  VM_PANIC_NONE
} VmPanicAction;
typedef enum VmWatchdogAction
{
  VM_WATCHDOG_RESET,
  VM_WATCHDOG_SHUTDOWN,
  VM_WATCHDOG_POWEROFF,
  VM_WATCHDOG_PAUSE,
  VM_WATCHDOG_DEBUG,
  VM_WATCHDOG_NONE,
  VM_WATCHDOG_INJECT_NMI
} VmWatchdogAction;

/* Who a character back end is for. Its text is the argument of -chardev, else a device string ("mon:stdio",
 * "chardev:ID", "none") after section 9 of the option rules. */
typedef enum VmCharUse
{
  VM_CHAR_USE_ID,
  VM_CHAR_USE_SERIAL,
  VM_CHAR_USE_PARALLEL,
  VM_CHAR_USE_MONITOR,
  VM_CHAR_USE_QMP,
  VM_CHAR_USE_QMP_PRETTY,
  VM_CHAR_USE_DEBUGCON,
  VM_CHAR_USE_GDB,
  VM_CHAR_USE_QTEST
} VmCharUse;
typedef struct VmCharSpec
{
  VmCharUse use;
  char *text;
  char *option;    /* "-serial TEXT" as typed, for messages; NULL for defaults */
  bool is_default; /* not asked for by the user */
} VmCharSpec;

typedef struct VmMonSpec
{
  char *chardev;
  char *option; /* as typed, for messages */
  bool control; /* QMP, else the human monitor */
  bool pretty;
} VmMonSpec;

typedef struct VmFdSpec
{ /* -add-fd */
  int fd;
  int64_t set;
  char *opaque; /* NULL: none */
  char *text;   /* as typed, for messages */
} VmFdSpec;

typedef struct VmSandbox
{ /* -sandbox: what is forbidden */
  bool enable;
  bool obsolete_allowed;
  bool no_elevation, no_elevation_of_children;
  bool no_spawn, no_resource_control;
} VmSandbox;

/* One -trace, or one trace:PATTERN of -d. */
typedef struct VmTraceSpec
{
  char *where; /* what warnings begin with: "-trace foo: ", or "" */
  char *enable, *events, *file;
} VmTraceSpec;
VmTraceSpec *vm_trace_spec_new (const char *where, const char *enable, const char *events, const char *file);

typedef struct VmPluginSpec
{
  char *file;
  char **args; /* "name=value"; ends with NULL */
} VmPluginSpec;

typedef struct VmSettings
{
  /* board and processors */
  char *machine;            /* type name; NULL: the default board */
  VmKeyVals *machine_props; /* -machine and what is rewritten to it */
  GPtrArray *accels;        /* VmKeyVals *, each with "accel"; tried in order */
  bool accel_given;
  char *cpu;            /* -cpu as typed; NULL: the board's default */
  VmKeyVals *smp_props; /* -smp, not yet checked against the board ... */
  VmSmp smp;            /* ... and the outcome */
  uint64_t ram_size;    /* bytes; 0: the board's default */
  bool ram_size_given;
  uint64_t max_ram_size;
  unsigned ram_slots;
  char *mem_path;
  bool mem_prealloc;
  GPtrArray *numa;    /* VmNumaSpec * */
  GPtrArray *iscsi;   /* VmKeyVals *: -iscsi */
  GPtrArray *globals; /* VmGlobal * */

  /* start */
  char *kernel, *initrd, *append, *dtb, *firmware;
  char *boot_order, *boot_once, *boot_splash; /* letters */
  bool boot_menu, boot_menu_given, boot_strict;
  int boot_splash_time, boot_reboot_timeout; /* ms; -1: not given */
  GPtrArray *fw_cfg;                         /* VmFwCfgSpec * */
  GPtrArray *option_roms;                    /* VmOptionRom * */
  GPtrArray *smbios;                         /* VmKeyVals * */
  GPtrArray *acpi_tables;                    /* VmKeyVals * */
  GPtrArray *data_dirs;                      /* char *, -L in order */
  char *name, *process_name;
  bool debug_threads;
  uint8_t uuid[16];
  bool uuid_given;

  /* devices and back ends */
  GPtrArray *drives;     /* VmDriveSpec * */
  GPtrArray *blockdevs;  /* VmBlockdevSpec *, in order */
  GPtrArray *nets;       /* VmNetSpec *, in order */
  GPtrArray *audios;     /* VmAudioSpec *, in order */
  GPtrArray *devices;    /* VmDeviceSpec * */
  GPtrArray *objects;    /* VmDeviceSpec * */
  GPtrArray *char_specs; /* VmCharSpec *: the machine makes back ends of them (VmMachine.serials ...) */
  GPtrArray *monitors;   /* VmMonSpec *: those of -mon */
  char *qtest_log;       /* file; NULL: standard error, "none": nowhere */
  char *vga;             /* "std", "cirrus", "none" ...; NULL: the board's default */
  bool default_nic;      /* nothing was said about the network */
  bool default_vga;      /* neither -vga nor a VGA device nor -nodefaults */
  bool usb;
  char *keyboard_layout;

  /* display */
  char *display; /* type: "gtk", "none" ...; NULL: choose */
  VmKeyVals *display_opts;
  bool nographic, full_screen, display_given;
  GPtrArray *vncs; /* VmVncSpec *, in order */
  VmKeyVals *spice; /* all that -spice said; NULL: nothing */

  /* time and behaviour */
  VmRtcBase rtc_base;
  int64_t rtc_start; /* VM_RTC_DATETIME: seconds since 1970, UTC */
  VmRtcClock rtc_clock;
  bool rtc_slew;
  VmRebootAction on_reboot;
  VmShutdownAction on_shutdown;
  VmPanicAction on_panic;
  VmWatchdogAction on_watchdog;
  bool start_stopped; /* -S */
  char *loadvm;       /* tag or id of the snapshot to start from; NULL: none */
  GPtrArray *plugins; /* VmPluginSpec * */
  bool preconfig;
  bool nodefaults, no_user_config, only_migratable;
  uint64_t seed;
  bool seed_given;
  int escape_char; /* -echr: of multiplexed consoles, default 1 (Ctrl-A) */

  /* process */
  char *pidfile;
  bool daemonize;
  char *machine_file;  /* --machine FILE: paths are relative to its folder; NULL: none */
  char *run_as;        /* "user" or "uid:gid" */
  char *run_as_option; /* as typed, for messages */
  char *chroot;
  bool async_teardown;
  bool lock_memory, cpu_pm; /* -overcommit */
  VmSandbox sandbox;
  GPtrArray *fds; /* VmFdSpec * */
  VmCompatPolicy compat;
  bool icount, icount_auto, icount_align, icount_sleep;
  unsigned icount_shift;
  uint32_t log_items;
  GArray *log_filter;     /* VmLogRange; NULL: everything */
  GPtrArray *traces;      /* VmTraceSpec *, in order */
  char *log_file;
  bool msg_timestamp, msg_guest_name;

  /* A list was asked for ("-machine help"): print it and exit. */
  char *help_topic;    /* option name: "machine", "cpu", "device" ... */
  char *help_argument; /* "isa-serial" of "-device isa-serial,help" */
} VmSettings;

VmSettings *vm_settings_new (void); /* documented defaults */
void vm_settings_free (VmSettings *settings);
/* By interface, bus and unit; NULL when there is none. */
VmDriveSpec *vm_settings_find_drive (const VmSettings *settings, VmDriveIf interface, int bus, int unit);
VmDriveSpec *vm_settings_find_drive_id (const VmSettings *settings, const char *id);
extern const char *const vm_drive_if_names[VM_IF_N + 1];

VmDeviceSpec *vm_device_spec_new (const VmKeyVals *list, const char *type_key,
                                  const char *text); /* takes id and bus out */
void vm_drive_spec_free (VmDriveSpec *spec);
VmVncSpec *vm_vnc_spec_new (const VmKeyVals *options, const char *text);
void vm_device_spec_free (VmDeviceSpec *spec);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSettings, vm_settings_free)
