/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The devices' side, as drives and monitors of the block layer see it. */
#pragma once

#include "block/block.h"
#include "block/node.h"
#include "block/throttle.h"

typedef enum VmBlockErrorAction
{
  VM_BLOCK_ERROR_REPORT,
  VM_BLOCK_ERROR_IGNORE,
  VM_BLOCK_ERROR_STOP
} VmBlockErrorAction;

struct VmBlock
{
  int refs;
  VmLoop *loop;
  VmBlockGraph *graph;
  VmEdge *root; /* graph's thread; its node changes when jobs end */
  char *path;
  uint64_t size; /* atomic */
  bool readonly; /* atomic */
  GMutex mutex;  /* guards what follows up to SOURCE */
  GCond idle;
  VmBlockLimits limits;
  unsigned in_flight; /* until DONE has been called */
  GQueue submitted, finished;
  bool submit_posted, tell_resized;
  GSource *source; /* on the device's loop: ready when something is finished */
  /* graph's thread */
  unsigned running, quiesced;
  GQueue parked; /* came in a drained section */
  VmThrottleMember *throttle;
  VmLock *lock; /* held around what happens on the device's loop, where that holds none */
  /* device's loop */
  bool write_through;
  GQueue held; /* failed, and are tried again when the machine goes on */
  VmBlockStats stats;
  void *owner; /* VmDrive * */
  VmBlockErrorAction (*failed) (void *owner, bool read, int status);
  void (*resized) (void *owner);
};

typedef struct Request
{
  VmBlock *block;
  VmBlockRequestKind kind;
  uint64_t offset, len;
  unsigned n, flags;
  bool refused; /* before it was tried */
  bool zeroes; /* a write of LEN of them, without a vector */
  unsigned long control; /* an ioctl, with its argument; 0: none */
  void *arg;
  int status;
  gint64 begun; /* microseconds of the host */
  VmBlockDone done;
  void *opaque;
  struct iovec iov[];
} Request;

/* Out of the graph; later requests fail. After a drain. */
void vm_block_close (VmBlock *block);
void vm_block_resubmit (Request *r);
/* Where its requests come from and complete, and under which lock when LOOP has none. Waits for those under way. */
void vm_block_set_loop (VmBlock *block, VmLoop *loop, VmLock *lock);
/* Counts a request that was made beside the device's. Device's loop, or with the machine lock. */
void vm_block_account (VmBlock *block, VmBlockRequestKind kind, uint64_t len, uint64_t ns, bool refused, int status);
void vm_block_retry (VmBlock *block); /* what was held; device's loop */
