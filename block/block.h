/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Disk images for devices: asynchronous reads and writes of a host file, and the drives that devices name by
 * id. Completions come on the engine loop, in any order. */
#pragma once

#include "engine/io/loop.h"
#include "engine/object/object.h"

#include <sys/uio.h>

typedef struct VmBlock VmBlock;
typedef struct VmDrive VmDrive;

/* STATUS 0 or a negative errno value. */
typedef void (*VmBlockDone) (void *opaque, int status);

/* --- media ------------------------------------------------------------------------------------ */

/* What stands in a drive: the top of a graph of nodes, as a device sees it. Requests are made and complete on the
 * device's loop with its lock held; the graph works on a thread of its own ("block/graph.h"), so that waiting for it
 * (vm_block_drain) is safe there. */
VmBlock *vm_block_ref (VmBlock *block);
void     vm_block_unref (VmBlock *block); /* the last one waits for what is under way */
uint64_t vm_block_size (const VmBlock *block);
bool     vm_block_readonly (const VmBlock *block);
const char *vm_block_path (const VmBlock *block);

typedef enum VmBlockRequestKind {
  VM_BLOCK_READ, VM_BLOCK_WRITE, VM_BLOCK_FLUSH, VM_BLOCK_DISCARD
} VmBlockRequestKind;
#define VM_BLOCK_REQUEST_N (VM_BLOCK_DISCARD + 1)

typedef struct VmBlockStats { /* since the medium was put in, by kind */
  uint64_t bytes[VM_BLOCK_REQUEST_N], operations[VM_BLOCK_REQUEST_N], failed[VM_BLOCK_REQUEST_N];
  uint64_t invalid[VM_BLOCK_REQUEST_N]; /* refused before they were tried */
  uint64_t time_ns[VM_BLOCK_REQUEST_N]; /* of all requests together */
  uint64_t highest;                     /* end of the last byte written */
  int64_t  last_us;                     /* when a request ended last, by the host's clock; 0: none did */
} VmBlockStats;
const VmBlockStats *vm_block_stats (const VmBlock *block); /* the device's loop */

typedef struct VmBlockLimits { /* of the medium; 0: no limit, or nothing better is known */
  uint32_t alignment;          /* offsets and sizes that are not multiples cost a read */
  uint32_t discard_alignment, zero_alignment;
  uint64_t max_transfer, max_discard, max_zero;
  uint32_t optimal_transfer;
} VmBlockLimits;
VmBlockLimits vm_block_limits (const VmBlock *block);

typedef enum VmBlockRequestFlags {
  VM_BLOCK_FUA   = 1 << 0, /* a write is on stable storage when it is done */
  VM_BLOCK_UNMAP = 1 << 1, /* write_zeroes may give the bytes back to the host */
} VmBlockRequestFlags;

/* IOV (which is copied) points to memory that stays valid until DONE. Bytes past the end read as zeros; writes there
 * fail with -ENOSPC. A request whose error the drive's policy answers with a stop of the machine does not complete: it
 * is tried again when the machine goes on. */
void vm_block_read (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done,
                    void *opaque);
void vm_block_write (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done,
                     void *opaque);
void vm_block_write_flags (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, unsigned flags,
                           VmBlockDone done, void *opaque);
void vm_block_write_zeroes (VmBlock *block, uint64_t offset, uint64_t len, unsigned flags, VmBlockDone done,
                            void *opaque);
/* All that completed before is on stable storage when DONE says 0. */
void vm_block_flush (VmBlock *block, VmBlockDone done, void *opaque);
/* The bytes may be given back to the host and then read as zeros, or keep what they held. */
void vm_block_discard (VmBlock *block, uint64_t offset, uint64_t len, VmBlockDone done, void *opaque);
/* Returns when nothing is under way; completions have been called. The device's loop's thread, or a vCPU's with the
 * lock. */
void vm_block_drain (VmBlock *block);
/* The same, but requests that wait for the machine to go on after an error stay: how many. */
unsigned vm_block_settle (VmBlock *block);
/* For pre_save: settles what is in DRIVE; DEVICE cannot be saved while requests wait. */
bool vm_drive_settle (VmDrive *drive, VmObject *device, GError **error);
/* An ioctl of the host's device below, which stays open and unchanged: -ENOTTY where the medium is none. ARG and what
 * it points to are valid until DONE. */
void vm_block_control (VmBlock *block, unsigned long request, void *arg, VmBlockDone done, void *opaque);
/* Whether the device promises the guest a volatile cache; without, each write is on stable storage when done. */
void vm_block_set_write_cache (VmBlock *block, bool on);

typedef struct VmHistogram { /* of the times that requests take */
  GArray   *bounds; /* int64_t, nanoseconds, ascending; NULL: nobody asked */
  uint64_t *bins;   /* one more than bounds */
} VmHistogram;

typedef struct VmTimedStats VmTimedStats; /* of the last so many seconds */

/* --- drives: the place a medium is put in ---------------------------------------------------------- */

typedef struct VmDriveOptions {
  const char *id;
  const char *file;   /* NULL: empty, unless OPTIONS say more */
  const char *format; /* NULL: probe */
  bool        readonly, cdrom;
  struct json_object *options; /* or NULL: members of the node, scalars as text */
  bool        snapshot;        /* writes go to a file of their own, which ends with the program */
  bool        write_through;
  bool        copy_on_read;
  bool        ignore_invalid, ignore_failed; /* requests that are not accounted */
  int         rerror, werror;  /* VmBlockOnError: for devices that leave it open */
  const struct VmThrottleConfig *throttle; /* or NULL */
  const char *throttle_group;  /* NULL: of its own */
  GArray *stats_intervals;     /* uint32_t, seconds; NULL: none */
} VmDriveOptions;

struct VmDrive {
  VmObject parent;
  VmLoop  *loop;
  VmBlock *block;     /* NULL: no medium */
  bool     cdrom, readonly;
  bool     locked;    /* the device holds the tray shut */
  bool     tray_open;
  VmLoop  *served_loop; /* where the device works, if not on LOOP; and its lock */
  VmLock  *served_lock;
  void    *device;    /* who claimed it */
  void   (*changed) (void *device); /* another medium, or none */
  void   (*resized) (void *device); /* the medium has another size; may be set by who claimed it */
  /* of block/drive*.c */
  struct VmDrives *drives;
  bool     anonymous;      /* made for a device that named a node */
  bool     write_through;  /* what the user said of the cache, for devices that leave it open */
  bool     share_rw, only_reads; /* of the device */
  int      rerror, werror; /* VmBlockOnError in force */
  int      spec_rerror, spec_werror; /* what -drive said */
  int      io_status;      /* VmqBlockDeviceIoStatus */
  bool     account_invalid, account_failed;
  bool     spec_account_invalid, spec_account_failed; /* what -drive said */
  VmHistogram histograms[VM_BLOCK_REQUEST_N];
  GPtrArray *timed, *spec_timed; /* VmTimedStats *, and those of -drive while the device has OWN_TIMED; NULL: none */
  bool own_timed;
};

extern const VmType vm_drive_type;

/* Opens the file and puts the drive into /drives below ROOT, and the graph with the first one. */
VmDrive *vm_drive_new (VmObject *root, VmLoop *loop, const VmDriveOptions *options, GError **error);
VmDrive *vm_drive_find (VmObject *root, const char *id);
/* An image on the terms of OPTIONS, not yet in the drive. */
VmBlock *vm_drive_open (VmDrive *drive, const VmDriveOptions *options, GError **error);
/* Exchanges the medium; BLOCK NULL ejects. The reference is taken. */
void     vm_drive_set_block (VmDrive *drive, VmBlock *block);

/* The property kind "drive" of devices: the field is a VmDrive *, by id. The device claims it in realize. */
extern const VmPropCustom vm_prop_drive;
bool     vm_drive_claim (VmDrive *drive, void *device, void (*changed) (void *device), GError **error);
void     vm_drive_release (VmDrive *drive);
void     vm_drive_remove (VmDrive *drive); /* nobody has claimed it: out of /drives */

/* --- what the user can say of every disk device -------------------------------------------------------- */

typedef struct VmBlockConf {
  VmDrive *drive;
  uint64_t logical_block_size, physical_block_size; /* bytes; 0 until vm_block_conf_claim(): then never */
  uint64_t min_io_size, opt_io_size;
  uint64_t discard_granularity;                     /* UINT32_MAX until vm_block_conf_claim(): 0 is no discard */
  VmOnOffAuto write_cache, backend_defaults, account_invalid, account_failed;
  int      rerror, werror;                          /* VmBlockOnError */
  bool     share_rw;
  GArray *stats_intervals; /* uint32_t, seconds; NULL: those of -drive */
} VmBlockConf;

typedef enum VmBlockOnError {
  VM_ON_ERROR_AUTO, VM_ON_ERROR_REPORT, VM_ON_ERROR_IGNORE, VM_ON_ERROR_ENOSPC, VM_ON_ERROR_STOP
} VmBlockOnError;
extern const char *const vm_on_error_names[];

extern const VmPropCustom vm_prop_stats_intervals; /* the field is a GArray * of uint32_t */

/* The properties; FIELD is a VmBlockConf in TYPE. Floppies, NVMe and others have no ERRORS. */
#define VM_BLOCK_CONF_PROPS(Type, field)                                                                              \
  VM_PROP_CUSTOM_KIND ("drive", Type, field.drive, &vm_prop_drive, NULL, "drive or block node"),                      \
    VM_PROP_BYTES ("logical_block_size", Type, field.logical_block_size, 0, "the unit of addresses"),                 \
    VM_PROP_BYTES ("physical_block_size", Type, field.physical_block_size, 0, "reported to the guest"),               \
    VM_PROP_BYTES ("min_io_size", Type, field.min_io_size, 0, "smallest efficient request, reported to the guest"),   \
    VM_PROP_BYTES ("opt_io_size", Type, field.opt_io_size, 0, "best request, reported to the guest"),                 \
    VM_PROP_BYTES ("discard_granularity", Type, field.discard_granularity, UINT32_MAX, "of discards; 0: none"),       \
    VM_PROP_AUTO ("write-cache", Type, field.write_cache, VM_ONOFFAUTO_AUTO, "volatile write cache"),                 \
    VM_PROP ("share-rw", Type, field.share_rw, false, "others may write the image too"),                              \
    VM_PROP_AUTO ("backend_defaults", Type, field.backend_defaults, VM_ONOFFAUTO_AUTO, "take sizes of the host"),     \
    VM_PROP_AUTO ("account-invalid", Type, field.account_invalid, VM_ONOFFAUTO_AUTO, "count invalid requests"),       \
    VM_PROP_AUTO ("account-failed", Type, field.account_failed, VM_ONOFFAUTO_AUTO, "count failed requests"),          \
    VM_PROP_CUSTOM_KIND ("stats-intervals", Type, field.stats_intervals, &vm_prop_stats_intervals, NULL,              \
                         "list of seconds: statistics of so long")
#define VM_BLOCK_ERROR_PROPS(Type, field)                                                                             \
  VM_PROP_ENUMERATED ("rerror", Type, field.rerror, 0, vm_on_error_names, "on read errors"),                          \
    VM_PROP_ENUMERATED ("werror", Type, field.werror, 0, vm_on_error_names, "on write errors")

/* For a device that is served elsewhere, after it has claimed DRIVE: requests come from LOOP, which holds no lock, and
 * complete there with LOCK held; so do "changed" and "resized". LOOP NULL: as it was. */
void vm_drive_set_loop (VmDrive *drive, VmLoop *loop, VmLock *lock);

/* In realize: checks what the user said (sizes: powers of two, 512 to 2 MiB, logical at most physical ...), claims the
 * drive for DEVICE with the permissions of a disk (READONLY: of a CD-ROM), and fills in what was left open. A drive
 * without medium is an error unless CHANGED is given. The words are those users know ("Device needs media, but drive
 * is empty"). Undone by vm_drive_release(). */
bool vm_block_conf_claim (VmBlockConf *conf, VmObject *device, bool readonly, void (*changed) (void *device),
                          GError **error);
