/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs: long work on nodes, in a fiber that can be paused, slowed down, cancelled and watched. In fibers of the graph's
 * loop, unless it says otherwise.
 *
 *   created -> running <-> paused        running -> ready <-> standby        -> waiting -> pending -> concluded -> null
 *                                                                   failed, cancelled: -> aborting -^            */
#pragma once

#include "block/node.h"

typedef struct VmJob VmJob;
typedef struct VmJobs VmJobs;
typedef struct VmJobGroup VmJobGroup; /* jobs that end well together or not at all */

typedef struct VmJobClass
{
  VmqJobType type;
  bool block; /* on a node: query-block-jobs has it, and the BLOCK_JOB events are sent */
  /* All the work; false with ERROR, or without one when cancelled. Calls vm_job_point() often. */
  bool (*run) (VmJob *job, GError **error);
  /* After run went well and the user agreed: changes the graph. */
  bool (*commit) (VmJob *job, GError **error);
  void (*clean) (VmJob *job); /* in the end in any case */
  bool can_complete;          /* takes job-complete once it is ready */
  bool (*change) (VmJob *job, VmqMirrorCopyMode mode, GError **error); /* block-job-change; NULL: nothing can be */
} VmJobClass;

typedef enum VmJobOnError
{
  VM_JOB_REPORT,
  VM_JOB_IGNORE,
  VM_JOB_ENOSPC,
  VM_JOB_STOP,
  VM_JOB_AUTO
} VmJobOnError;

struct VmJob
{
  VmBlockGraph *graph;
  const VmJobClass *klass;
  char *id;
  void *state; /* of the class, freed with the job */
  VmqJobStatus status;
  uint64_t done, total, speed; /* bytes, bytes a second */
  bool auto_finalize, auto_dismiss;
  bool cancelled, forced; /* FORCED: at once, also when ready */
  bool completing;        /* job-complete came */
  bool finalizing, dismissed;
  bool user_paused;
  unsigned drains;
  bool still; /* waits where a drained section may begin */
  VmqBlockDeviceIoStatus io_status;
  char *error;
  int64_t free_at; /* when the speed allows more */
  VmFiberQueue wake;
  GPtrArray *roots; /* VmEdge * */
  VmNode *filter;   /* over what it works on, by the user's name; NULL: none */
  unsigned workers; /* fibers beside its own that make requests */
  VmJobGroup *group; /* NULL: on its own */
  bool ended;
};

/* ID NULL: not for users, no events. STATE_SIZE bytes of zeros are the class's. NULL with ERROR: the id is taken. */
VmJob *vm_job_new (VmBlockGraph *graph, const char *id, const VmJobClass *klass, size_t state_size, GError **error);
/* A root on NODE that lets drains pause the job; gone with it. */
bool vm_job_attach (VmJob *job, VmNode *node, const char *who, unsigned perm, unsigned shared, GError **error);
/* From now on the job is on its own. */
void vm_job_start (VmJob *job);
/* Before start. */
void vm_job_free (VmJob *job);
/* Before start. */
VmJobGroup *vm_job_group_new (void);
void vm_job_group_unref (VmJobGroup *group);
void vm_job_join (VmJob *job, VmJobGroup *group);
/* Puts a node called NAME, which passes all on, over NODE until the job ends. */
bool vm_job_insert_filter (VmJob *job, VmNode *node, const char *name, GError **error);
/* A fiber of the job that makes requests: drained sections wait for it. FUNC calls vm_job_worker_done() last. */
void vm_job_worker (VmJob *job, void (*func) (void *opaque), void *opaque);
void vm_job_worker_done (VmJob *job);

/* --- in its fiber -------------------------------------------------------------------------------------------- */

/* Stops here while it is paused; false: cancelled. */
bool vm_job_point (VmJob *job);
/* BYTES were done; waits as the speed demands. */
void vm_job_progress (VmJob *job, uint64_t bytes);
/* BYTES will be moved: waits until the speed allows more. */
void vm_job_slow_down (VmJob *job, uint64_t bytes);
/* Until somebody wants something of it, at most NS; false: cancelled. */
bool vm_job_sleep (VmJob *job, int64_t ns);
void vm_job_ready (VmJob *job);
/* Around changes of the graph, which drain. */
void vm_job_still (VmJob *job, bool still);
/* What the policy says to a failed request: true to go on (it was ignored, or is tried again: *RETRY). */
bool vm_job_failed (VmJob *job, VmJobOnError policy, bool read, int status, bool *retry);

/* --- for users ------------------------------------------------------------------------------------------------ */

/* Those that have an id, in the order they were made. */
const GPtrArray *vm_jobs (VmBlockGraph *graph);
VmJob *vm_job_find (VmBlockGraph *graph, const char *id);
bool vm_job_pause (VmJob *job, GError **error);
bool vm_job_resume (VmJob *job, GError **error);
bool vm_job_cancel (VmJob *job, bool force, GError **error);
bool vm_job_complete (VmJob *job, GError **error);
bool vm_job_finalize (VmJob *job, GError **error);
bool vm_job_dismiss (VmJob *job, GError **error);
bool vm_job_set_speed (VmJob *job, int64_t speed, GError **error);
bool vm_job_change (VmJob *job, VmqJobType type, VmqMirrorCopyMode mode, GError **error);
/* All are cancelled and over; before the graph goes. */
void vm_jobs_cancel_all (VmBlockGraph *graph);

/* --- kinds ------------------------------------------------------------------------------------------------------ */

typedef struct VmJobOptions
{
  const char *id;
  VmNode *node, *target;
  uint64_t speed;
  bool no_auto_finalize, no_auto_dismiss;
  VmJobOnError on_source_error, on_target_error;
  VmqMirrorSyncMode sync;
  bool compress, keep_zeroes, target_is_zero; /* KEEP_ZEROES: zeros take place in the target, too */
  bool write_blocking;      /* a mirror's writes are done in both places at once */
  const char *filter;       /* the name of a node over NODE; NULL: none */
  uint64_t granularity, buffer; /* BUFFER: bytes in flight; 0: as the job likes */
  uint64_t max_chunk;       /* of one copy; 0: as the job likes */
  unsigned max_workers;     /* copies at once; 0: as the job likes */
  bool copy_range;          /* the host may copy, where it can */
  const char *replaces;     /* node that the target of a mirror stands in for; NULL: NODE */
  const char *backing_file; /* as images name the new one; NULL: as it was found */
  VmNode *base;             /* of stream and commit: what stays; NULL: nothing */
  struct VmDirtyBitmap *bitmap;
  VmqBitmapSyncMode bitmap_mode;
} VmJobOptions;

VmJob *vm_job_stream (const VmJobOptions *options, GError **error);
/* NODE is the top that goes away; OVERLAY what lies on it, NULL: the top is in use, and is replaced when told so. */
VmJob *vm_job_commit (const VmJobOptions *options, VmNode *overlay, GError **error);
VmJob *vm_job_mirror (const VmJobOptions *options, GError **error);
VmJob *vm_job_backup (const VmJobOptions *options, GError **error);
/* OPTIONS as blockdev-create takes them. */
VmJob *vm_job_create (VmBlockGraph *graph, const char *id, json_object *options, GError **error);
/* OPTIONS as x-blockdev-amend takes them. */
VmJob *vm_job_amend (VmNode *node, const char *id, json_object *options, bool force, GError **error);
/* Writes may go to NODE from now on, and no more. Its file is opened anew as needed. */
bool vm_node_set_readonly (VmNode *node, bool readonly, GError **error);
