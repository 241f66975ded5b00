/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of the machine's devices a person changes while it runs: media, disks, cables, forwarded ports. A picture of
 * what the engine has, made anew after events and actions. */
#pragma once

#include "ui/gtk/call.h"

typedef enum VmMediumKind
{
  VM_MEDIUM_CD,
  VM_MEDIUM_FLOPPY,
  VM_MEDIUM_DISK
} VmMediumKind;
enum
{
  VM_ACTIVITY_READ = 1,
  VM_ACTIVITY_WRITE = 2
};

typedef struct VmMedium
{
  VmMediumKind kind;
  char *qdev; /* what commands call the device: their "id" */
  char *name; /* what people call it */
  char *file; /* path or URL of what is in it; NULL: nothing */
  char *format, *node;
  char *folder; /* that a FAT disk shows; NULL: another file */
  char *label;  /* of its file system */
  bool locked; /* by the guest */
  bool open;   /* the tray */
  bool readonly;
  bool busy;             /* a job works on disks */
  unsigned activity;     /* in the last moment */
  int64_t read, written; /* bytes so far */
} VmMedium;

typedef struct VmNic
{
  char *name, *model, *netdev, *type; /* TYPE of the back end: "user"; NETDEV NULL: not plugged in */
  char *mac;
  bool link;                          /* the cable is in */
  bool fixed;                         /* stays while the machine is on */
  unsigned activity;                  /* VM_ACTIVITY_*: the guest receives, sends */
  int64_t received, sent;             /* bytes so far */
} VmNic;

typedef struct VmForward
{
  char *netdev;
  bool udp;
  char *host, *guest; /* addresses */
  int host_port, guest_port;
} VmForward;

typedef struct VmSound
{
  char *id, *driver;
  struct
  {
    bool mute;
    char *device;         /* of the host: its name; "": the default one */
    json_object *devices; /* [{"name": ..., "description": ...}] to choose from; NULL: there is no choice */
  } side[2];              /* playing, recording */
  int64_t underruns;      /* so far */
} VmSound;

/* Signals "changed", and "activity" when only that did. */
#define VM_TYPE_DEVICES (vm_devices_get_type ())
G_DECLARE_FINAL_TYPE (VmDevices, vm_devices, VM, DEVICES, GObject)

VmDevices *vm_devices_new (VmSession *session);
/* While the session is there still; others may keep the object longer. */
void vm_devices_close (VmDevices *self);
VmSession *vm_devices_session (VmDevices *self);
/* Asks the engine; "changed" follows if anything has. */
void vm_devices_refresh (VmDevices *self);
/* Looks a few times a second at what is read and written, while somebody sees it. */
void vm_devices_watch_activity (VmDevices *self, bool watch);

/* Elements: VmMedium *, VmNic *, VmForward *, VmSound *. Until the next "changed". */
const GPtrArray *vm_devices_media (VmDevices *self);
const GPtrArray *vm_devices_nics (VmDevices *self);
const GPtrArray *vm_devices_forwards (VmDevices *self);
const GPtrArray *vm_devices_sounds (VmDevices *self); /* a -audiodev each */
VmMedium *vm_devices_find_medium (VmDevices *self, const char *qdev);
VmMedium *vm_devices_first_medium (VmDevices *self, VmMediumKind kind);
/* The type of disk that can be plugged in while the machine runs, and the bus; NULL: none can. */
const char *vm_devices_disk_driver (VmDevices *self, const char **bus);
/* The same for a CD drive with a medium. */
const char *vm_devices_cd_driver (VmDevices *self, const char **bus);
/* Whether network cards can be plugged in while the machine runs. */
bool vm_devices_take_nics (VmDevices *self);
const VmNic *vm_devices_find_nic (VmDevices *self, const char *name);
/* Whether the guest has an agent that takes files. */
bool vm_devices_agent_takes_files (VmDevices *self);
/* Whether one of those that query-block-jobs has told of is not over. */
bool vm_jobs_work (json_object *jobs);
/* "CD drive ide1-cd0"; "debian.iso, reading". Free the results. */
char *vm_medium_title (const VmMedium *media);
char *vm_medium_describe (const VmMedium *media);
/* Why it cannot be made larger, as part of a sentence; NULL: it can. Free the result. */
char *vm_medium_no_growth (const VmMedium *media);
/* What is typed in a Linux guest to get at a shared folder. */
char *vm_medium_mount_line (const VmMedium *media);
/* "Network card e1000.0"; "cable in, sending". */
char *vm_nic_title (const VmNic *nic);
char *vm_nic_describe (const VmNic *nic);
/* "pa, plays to Headphones, 2 underruns". */
char *vm_sound_describe (const VmSound *sound);
