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

/* --- images ------------------------------------------------------------------------------------ */

typedef enum VmBlockFlags {
  VM_BLOCK_READONLY      = 1 << 0,
  VM_BLOCK_PROTECT_FIRST = 1 << 1, /* format was guessed: block 0 must not become another format's header */
} VmBlockFlags;

VmBlock *vm_block_open (VmLoop *loop, const char *path, unsigned flags, GError **error);
VmBlock *vm_block_ref (VmBlock *block);
void     vm_block_unref (VmBlock *block); /* the last one waits for what is under way */
uint64_t vm_block_size (const VmBlock *block);
bool     vm_block_readonly (const VmBlock *block);
const char *vm_block_path (const VmBlock *block);
uint64_t vm_block_allocated (const VmBlock *block); /* bytes the host keeps for it */

typedef enum VmBlockRequestKind {
  VM_BLOCK_READ, VM_BLOCK_WRITE, VM_BLOCK_FLUSH, VM_BLOCK_DISCARD
} VmBlockRequestKind;
#define VM_BLOCK_REQUEST_N (VM_BLOCK_DISCARD + 1)

typedef struct VmBlockStats { /* since the image was opened, by kind */
  uint64_t bytes[VM_BLOCK_REQUEST_N], operations[VM_BLOCK_REQUEST_N], failed[VM_BLOCK_REQUEST_N];
  uint64_t time_ns[VM_BLOCK_REQUEST_N]; /* of all requests together */
  uint64_t highest;                     /* end of the last byte written */
} VmBlockStats;
const VmBlockStats *vm_block_stats (const VmBlock *block); /* engine loop */

/* IOV stays valid until DONE. Bytes past the end read as zeros; writes there fail with -ENOSPC. */
void vm_block_read (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done,
                    void *opaque);
void vm_block_write (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done,
                     void *opaque);
/* All that completed before is on stable storage when DONE says 0. */
void vm_block_flush (VmBlock *block, VmBlockDone done, void *opaque);
/* The bytes may be given back to the host and then read as zeros. */
void vm_block_discard (VmBlock *block, uint64_t offset, uint64_t len, VmBlockDone done, void *opaque);
/* Returns when nothing is under way; completions have been called. Engine loop thread. */
void vm_block_drain (VmBlock *block);

/* --- drives: the place a medium is put in ---------------------------------------------------------- */

typedef struct VmDriveOptions {
  const char *id;
  const char *file;   /* NULL: empty */
  const char *format; /* NULL: probe */
  bool        readonly, cdrom;
} VmDriveOptions;

struct VmDrive {
  VmObject parent;
  VmLoop  *loop;
  VmBlock *block;     /* NULL: no medium */
  bool     cdrom, readonly;
  bool     locked;    /* the device holds the tray shut */
  bool     tray_open;
  void    *device;    /* who claimed it */
  void   (*changed) (void *device); /* another medium, or none */
};

extern const VmType vm_drive_type;

/* Opens the file and puts the drive into /drives below ROOT. */
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
