/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and devices of the host: what the parts of this driver share. */
#pragma once

#include "block/node.h"
#include "block/protocols/write-behind.h"

typedef enum FileAio
{
  FILE_AIO_THREADS,
  FILE_AIO_NATIVE,
  FILE_AIO_URING
} FileAio;

typedef struct FileState
{
  char *path;
  int fd;        /* of the data */
  int lock_fd;   /* the first one opened: locks stay with it; may be the same */
  bool writable; /* FD is */
  bool is_device, is_block, locking;
  bool nowait_read, nowait_write; /* the file system can say that it would wait */
  bool no_punch, no_zero;         /* it cannot do these */
  bool sync_failed;               /* what is on storage is unknown from then on */
  bool writing;                   /* a worker writes through the page cache, and then what is in */
  GAsyncQueue *writes;            /* this: Transfer * of "block/protocols/file-io.c"; NULL: none yet */
  size_t memory_align;            /* of buffers, with cache.direct=on */
  FileAio aio;
  VmWriteBehind *behind;            /* NULL: what is written may stay in the host's memory */
  unsigned locked, locked_unshared; /* VmPerm: bytes we hold */
  uint64_t data_start, data_end;    /* known to be data */
} FileState;

/* "file", "host_device" ... all set perms by this. */
bool file_set_perms (VmNode *node, unsigned perm, unsigned shared, bool commit, GError **error);
/* Whether LOCKING (VmqOnOffAuto) can be had on FD. */
bool file_choose_locking (FileState *s, int choice, GError **error);
/* For creating: nobody else uses FD of PATH now. */
bool file_check_unused (int fd, const char *path, GError **error);
int file_open_fd (const VmNode *node, const char *path, bool writable);

int file_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int file_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags);
int file_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags);
int file_discard (VmNode *node, uint64_t offset, uint64_t len);
int file_copy_from (VmNode *node, uint64_t offset, VmNode *source, uint64_t source_offset, uint64_t len);
int file_bulk (VmNode *node, bool begin);
int file_flush (VmNode *node);
int file_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent);
int file_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error);
/* From OLD_SIZE on, after the end was set. Blocks. */
int file_preallocate (int fd, uint64_t old_size, uint64_t size, VmPreallocation prealloc);
uint64_t file_allocated (VmNode *node);
void file_refresh_size (VmNode *node);
bool file_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
                  GError **error);
extern const VmCreateOption file_create_options[];
