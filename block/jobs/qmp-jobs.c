/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands that start jobs, and those about jobs. */
#include "block/bitmap.h"
#include "block/create.h"
#include "block/drives.h"
#include "block/job.h"
#include "block/machine.h"
#include "engine/monitor/qmp-handlers.h"

#include <inttypes.h>

/* Each command is carried out in a fiber of the graph. */
typedef struct Call
{
  VmMachine *machine;
  VmBlockGraph *graph;
  bool (*func) (struct Call *call, GError **error);
  const void *args;
  const char *verb;
  VmBlock *block; /* of the drive that is named, if it is one */
  const char *device;
  const char *filter; /* what a job cannot do yet, if it is asked to: a filter node of this name */
  int64_t buffer;     /* another size of its buffer than its own */
  bool keep_zeroes;   /* zeros that take place */
  GPtrArray *list; /* what queries find */
  bool block_list, ok;
  GError **error;
} Call;

static void
enter (void *opaque)
{
  Call *call = opaque;

  call->ok = call->func (call, call->error);
}

static bool
call_graph (VmMonitor *mon, Call *call, GError **error)
{
  VmObject *root;
  VmDrives *drives;
  VmDrive *drive;

  if (call->filter)
    return vm_fail (error, "filter-node-name=%s: not available in this build", call->filter);
  if (call->buffer)
    return vm_fail (error, "buf-size=%" PRId64 ": not available in this build", call->buffer);
  if (call->keep_zeroes)
    return vm_fail (error, "unmap=off: not available in this build");
  call->machine = vm_monitor_machine (mon);
  root = call->machine->env.root;
  vm_drives_bind (call->machine);
  drives = vm_drives_find (root);
  call->graph = drives->graph;
  call->error = error;
  drive = call->device ? vm_drive_find (root, call->device) : NULL;
  call->block = drive ? drive->block : NULL;
  vm_graph_call (call->graph, enter, call);
  return call->ok;
}

/* The node at the root of what "device" names. */
static VmNode *
find_device (Call *call, GError **error)
{
  VmNode *node = call->block ? vm_block_node (call->block) : vm_node_find (call->graph, call->device);

  if (!node)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'", call->device,
                 call->device);
  return node;
}

static VmNode *
find_node (Call *call, const char *name, GError **error)
{
  VmNode *node = vm_node_find (call->graph, name);

  if (!node)
    vm_fail (error, "Cannot find device='' nor node-name='%s'", name);
  return node;
}

/* The image of the chain below TOP that was opened by FILENAME. */
static VmNode *
find_in_chain (VmNode *top, const char *filename)
{
  VmNode *node = top, *above = NULL;

  while (node)
    {
      if (!strcmp (node->filename, filename)
          || (above && above->backing_name && !strcmp (above->backing_name, filename)))
        return node;
      above = vm_node_skip_filters (node);
      node = vm_node_backing (node);
    }
  return NULL;
}

/* --- jobs as such --------------------------------------------------------------------------------------------------
 */

static bool
list_jobs (Call *call, GError **error)
{
  const GPtrArray *jobs = vm_jobs (call->graph);

  for (guint i = 0; i < jobs->len; i++)
    {
      const VmJob *job = g_ptr_array_index (jobs, i);
      if (call->block_list && job->klass->block)
        {
          VmqBlockJobInfo *info = g_new0 (VmqBlockJobInfo, 1);
          info->type = g_strdup (vmq_type_jobtype.names[job->klass->type]);
          info->device = g_strdup (job->id);
          info->len = (int64_t) job->total;
          info->offset = (int64_t) job->done;
          info->busy = !job->still;
          info->paused = job->user_paused;
          info->speed = (int64_t) job->speed;
          info->io_status = job->io_status;
          info->ready = job->status == VMQ_JOB_STATUS_READY || job->status == VMQ_JOB_STATUS_STANDBY;
          info->status = job->status;
          info->auto_finalize = job->auto_finalize;
          info->auto_dismiss = job->auto_dismiss;
          info->error = g_strdup (job->error);
          g_ptr_array_add (call->list, info);
        }
      else if (!call->block_list)
        {
          VmqJobInfo *info = g_new0 (VmqJobInfo, 1);
          info->id = g_strdup (job->id);
          info->type = job->klass->type;
          info->status = job->status;
          info->current_progress = (int64_t) job->done;
          info->total_progress = (int64_t) job->total;
          info->error = g_strdup (job->error);
          g_ptr_array_add (call->list, info);
        }
    }
  return true;
}

static GPtrArray *
query (VmMonitor *mon, bool block)
{
  Call call = { .func = list_jobs, .list = g_ptr_array_new (), .block_list = block };

  if (vm_drives_find (vm_monitor_machine (mon)->env.root)) /* else there is no disk yet */
    call_graph (mon, &call, NULL);
  return call.list;
}

GPtrArray *
vm_qmp_query_jobs (VmMonitor *mon, GError **error)
{
  return query (mon, false);
}

GPtrArray *
vm_qmp_query_block_jobs (VmMonitor *mon, GError **error)
{
  return query (mon, true);
}

typedef struct Verb
{
  const char *name;
  bool (*func) (VmJob *job, GError **error);
} Verb;

static bool
cancel_now (VmJob *job, GError **error)
{
  return vm_job_cancel (job, true, error);
}

static bool
cancel_gently (VmJob *job, GError **error)
{
  return vm_job_cancel (job, false, error);
}

typedef struct VerbArgs
{
  const char *id;
  bool block;
  bool (*func) (VmJob *job, GError **error);
} VerbArgs;

static VmJob *
find_job (Call *call, const char *id, bool block, GError **error)
{
  VmJob *job = vm_job_find (call->graph, id);

  if (job && (!block || job->klass->block))
    return job;
  if (block)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_ACTIVE, "Block job '%s' not found", id);
  else
    vm_fail (error, "Job not found");
  return NULL;
}

static bool
do_verb (Call *call, GError **error)
{
  const VerbArgs *v = call->args;
  VmJob *job = find_job (call, v->id, v->block, error);

  return job && v->func (job, error);
}

static bool
verb (VmMonitor *mon, const char *id, bool block, bool (*func) (VmJob *job, GError **error), GError **error)
{
  VerbArgs args = { id, block, func };
  Call call = { .func = do_verb, .args = &args };

  return call_graph (mon, &call, error);
}

bool
vm_qmp_job_pause (VmMonitor *mon, const VmqJobPauseArg *args, GError **error)
{
  return verb (mon, args->id, false, vm_job_pause, error);
}

bool
vm_qmp_job_resume (VmMonitor *mon, const VmqJobResumeArg *args, GError **error)
{
  return verb (mon, args->id, false, vm_job_resume, error);
}

bool
vm_qmp_job_cancel (VmMonitor *mon, const VmqJobCancelArg *args, GError **error)
{
  return verb (mon, args->id, false, cancel_now, error);
}

bool
vm_qmp_job_complete (VmMonitor *mon, const VmqJobCompleteArg *args, GError **error)
{
  return verb (mon, args->id, false, vm_job_complete, error);
}

bool
vm_qmp_job_dismiss (VmMonitor *mon, const VmqJobDismissArg *args, GError **error)
{
  return verb (mon, args->id, false, vm_job_dismiss, error);
}

bool
vm_qmp_job_finalize (VmMonitor *mon, const VmqJobFinalizeArg *args, GError **error)
{
  return verb (mon, args->id, false, vm_job_finalize, error);
}

bool
vm_qmp_block_job_pause (VmMonitor *mon, const VmqBlockJobPauseArg *args, GError **error)
{
  return verb (mon, args->device, true, vm_job_pause, error);
}

bool
vm_qmp_block_job_resume (VmMonitor *mon, const VmqBlockJobResumeArg *args, GError **error)
{
  return verb (mon, args->device, true, vm_job_resume, error);
}

bool
vm_qmp_block_job_cancel (VmMonitor *mon, const VmqBlockJobCancelArg *args, GError **error)
{
  return verb (mon, args->device, true, args->has_force && args->force ? cancel_now : cancel_gently, error);
}

bool
vm_qmp_block_job_complete (VmMonitor *mon, const VmqBlockJobCompleteArg *args, GError **error)
{
  return verb (mon, args->device, true, vm_job_complete, error);
}

bool
vm_qmp_block_job_dismiss (VmMonitor *mon, const VmqBlockJobDismissArg *args, GError **error)
{
  return verb (mon, args->id, true, vm_job_dismiss, error);
}

bool
vm_qmp_block_job_finalize (VmMonitor *mon, const VmqBlockJobFinalizeArg *args, GError **error)
{
  return verb (mon, args->id, true, vm_job_finalize, error);
}

static bool
do_set_speed (Call *call, GError **error)
{
  const VmqBlockJobSetSpeedArg *args = call->args;
  VmJob *job = find_job (call, args->device, true, error);

  return job && vm_job_set_speed (job, args->speed, error);
}

bool
vm_qmp_block_job_set_speed (VmMonitor *mon, const VmqBlockJobSetSpeedArg *args, GError **error)
{
  Call call = { .func = do_set_speed, .args = args };

  return call_graph (mon, &call, error);
}

/* --- starting ------------------------------------------------------------------------------------------------------
 */

/* What all commands that start jobs have. */
typedef struct Common
{
  const char *id;
  bool has_speed, has_finalize, finalize, has_dismiss, dismiss;
  int64_t speed;
} Common;
#define COMMON(a)                                                                                                      \
  (Common)                                                                                                             \
  {                                                                                                                    \
    (a)->job_id, (a)->has_speed, (a)->has_auto_finalize, (a)->auto_finalize, (a)->has_auto_dismiss, (a)->auto_dismiss, \
        (a)->speed                                                                                                     \
  }
#define POLICY(a, which) ((a)->has_##which ? (VmJobOnError) (a)->which : VM_JOB_REPORT)

static bool
take_common (Call *call, VmJobOptions *o, Common c, GError **error)
{
  o->id = c.id ? c.id : call->block ? call->device : NULL;
  o->no_auto_finalize = c.has_finalize && !c.finalize;
  o->no_auto_dismiss = c.has_dismiss && !c.dismiss;
  if (c.has_speed && c.speed < 0)
    return vm_fail (error, "Parameter 'speed' expects a non-negative value");
  o->speed = c.has_speed ? (uint64_t) c.speed : 0;
  if (!o->id)
    return vm_fail (error, "An explicit job ID is required for this node");
  return true;
}

static bool
start (VmJob *job)
{
  if (job)
    vm_job_start (job);
  return job != NULL;
}

static bool
do_stream (Call *call, GError **error)
{
  const VmqBlockStreamArg *a = call->args;
  VmNode *node = find_device (call, error);
  VmJobOptions o = { .node = node ? vm_node_skip_filters (node) : NULL,
                     .backing_file = a->backing_file,
                     .on_source_error = POLICY (a, on_error) };

  if (!node || !take_common (call, &o, COMMON (a), error))
    return false;
  if ((a->base != NULL) + (a->base_node != NULL) + (a->bottom != NULL) > 1)
    return vm_fail (error, "'base' and 'base-node' cannot be specified at the same time");
  if (a->base && !(o.base = find_in_chain (vm_node_backing (o.node), a->base)))
    return vm_fail (error, "Can't find '%s' in the backing chain", a->base);
  if (a->base_node && !(o.base = find_node (call, a->base_node, error)))
    return false;
  if (a->bottom)
    {
      VmNode *bottom = find_node (call, a->bottom, error);
      if (!bottom)
        return false;
      o.base = vm_node_backing (bottom);
    }
  if (o.base && (o.base == o.node || !vm_node_chain_contains (o.node, o.base)))
    return vm_fail (error, "Node '%s' is not a backing image of '%s'", o.base->name, call->device);
  return start (vm_job_stream (&o, error));
}

bool
vm_qmp_block_stream (VmMonitor *mon, const VmqBlockStreamArg *args, GError **error)
{
  Call call = { .func = do_stream, .args = args, .device = args->device, .filter = args->filter_node_name };

  return call_graph (mon, &call, error);
}

static VmNode *
lowest (VmNode *node)
{
  VmNode *below;

  while ((below = vm_node_backing (node)))
    node = below;
  return node;
}

static VmNode *
overlay_of (VmNode *active, VmNode *top)
{
  VmNode *node = vm_node_skip_filters (active), *below;

  while ((below = vm_node_backing (node)) && below != top)
    node = vm_node_skip_filters (below);
  return below ? node : NULL;
}

static bool
do_commit (Call *call, GError **error)
{
  const VmqBlockCommitArg *a = call->args;
  VmNode *device = find_device (call, error), *active = device ? vm_node_skip_filters (device) : NULL, *top = active;
  VmJobOptions o = { .backing_file = a->backing_file,
                     .on_source_error = POLICY (a, on_error),
                     .on_target_error = POLICY (a, on_error) };
  VmNode *overlay;

  if (!device || !take_common (call, &o, COMMON (a), error))
    return false;
  if (a->top_node ? !(top = find_node (call, a->top_node, error)) : false)
    return false;
  if (a->top && !(top = find_in_chain (active, a->top)))
    return vm_fail (error, "Top image file %s not found", a->top);
  if (top != active && !vm_node_chain_contains (active, top))
    return vm_fail (error, "'%s' is not in this backing file chain", top->name);
  o.base = a->base_node ? find_node (call, a->base_node, error) : a->base ? find_in_chain (top, a->base) : lowest (top);
  if (!o.base)
    return a->base_node ? false : vm_fail (error, "Can't find '%s' in the backing chain", a->base);
  if (o.base == top)
    return vm_fail (error, "Cannot commit an image into itself");
  if (!vm_node_chain_contains (top, o.base))
    return vm_fail (error, "'%s' is not in this backing file chain", o.base->name);
  overlay = top == active ? NULL : overlay_of (active, top);
  if (!overlay && a->backing_file)
    return vm_fail (error, "'backing-file' specified, but 'top' is the active layer");
  o.node = top;
  return start (vm_job_commit (&o, overlay, error));
}

bool
vm_qmp_block_commit (VmMonitor *mon, const VmqBlockCommitArg *args, GError **error)
{
  Call call = { .func = do_commit, .args = args, .device = args->device, .filter = args->filter_node_name };

  return call_graph (mon, &call, error);
}

/* --- targets that are made for it -----------------------------------------------------------------------------------
 */

typedef struct Target
{
  const char *name, *format, *node_name;
  bool existing, top;
} Target;

static bool
make_target (Call *call, const Target *t, const char *format, VmNode *source, VmNode *below, GError **error)
{
  VmImageCreate create = { .name = t->name,
                           .format = format,
                           .size = source->size,
                           .has_size = true,
                           .backing = below ? below->filename : NULL,
                           .backing_format = below ? below->driver->name : NULL };

  return vm_image_create (call->graph, &create, error);
}

static VmNode *
open_target (Call *call, const Target *t, VmNode *source, GError **error)
{
  VmNode *below = t->top ? vm_node_backing (source) : NULL, *node;
  const char *format = t->format ? t->format : t->existing ? NULL : vm_node_skip_filters (source)->driver->name;
  json_object *options = NULL;

  if (!t->existing && !make_target (call, t, format, source, below, error))
    return NULL;
  if (t->node_name)
    {
      options = json_object_new_object ();
      json_object_object_add (options, "node-name", json_object_new_string (t->node_name));
    }
  node = vm_node_open_name (call->graph, t->name, format, options,
                            (below ? VM_OPEN_NO_BACKING : 0) | (format ? 0 : VM_OPEN_PROBE), error);
  json_object_put (options);
  if (node && below && !vm_node_set_backing (node, below, error))
    g_clear_pointer (&node, vm_node_unref);
  return node;
}

static bool
take_mirror_sync (VmJobOptions *o, VmqMirrorSyncMode sync, bool has_mode, VmqMirrorCopyMode mode, GError **error)
{
  o->sync = sync;
  if (sync == VMQ_MIRROR_SYNC_MODE_INCREMENTAL || sync == VMQ_MIRROR_SYNC_MODE_BITMAP)
    return vm_fail (error, "Sync mode '%s' not supported", vmq_type_mirrorsyncmode.names[sync]);
  if (has_mode && mode == VMQ_MIRROR_COPY_MODE_WRITE_BLOCKING)
    return vm_fail (error, "Parameter 'copy-mode': 'write-blocking' is not available in this build");
  if (sync == VMQ_MIRROR_SYNC_MODE_TOP && !vm_node_backing (o->node))
    o->sync = VMQ_MIRROR_SYNC_MODE_FULL;
  return true;
}

static bool
do_blockdev_mirror (Call *call, GError **error)
{
  const VmqBlockdevMirrorArg *a = call->args;
  VmNode *node = find_device (call, error);
  VmJobOptions o = { .node = node,
                     .replaces = a->replaces,
                     .granularity = a->has_granularity ? (uint64_t) a->granularity : 0,
                     .on_source_error = POLICY (a, on_source_error),
                     .on_target_error = POLICY (a, on_target_error) };

  return node && (o.target = find_node (call, a->target, error)) && take_common (call, &o, COMMON (a), error)
         && take_mirror_sync (&o, a->sync, a->has_copy_mode, a->copy_mode, error) && start (vm_job_mirror (&o, error));
}

bool
vm_qmp_blockdev_mirror (VmMonitor *mon, const VmqBlockdevMirrorArg *args, GError **error)
{
  Call call = { .func = do_blockdev_mirror, .args = args, .device = args->device,
               .filter = args->filter_node_name,
               .buffer = args->has_buf_size ? args->buf_size : 0 };

  return call_graph (mon, &call, error);
}

static bool
do_drive_mirror (Call *call, GError **error)
{
  const VmqDriveMirrorArg *a = call->args;
  VmNode *node = find_device (call, error);
  VmJobOptions o = { .node = node,
                     .replaces = a->replaces,
                     .granularity = a->has_granularity ? (uint64_t) a->granularity : 0,
                     .on_source_error = POLICY (a, on_source_error),
                     .on_target_error = POLICY (a, on_target_error) };
  Target t = { a->target, a->format, a->node_name, a->has_mode && a->mode == VMQ_NEW_IMAGE_MODE_EXISTING, false };
  bool ok;

  if (!node || !take_common (call, &o, COMMON (a), error)
      || !take_mirror_sync (&o, a->sync, a->has_copy_mode, a->copy_mode, error))
    return false;
  t.top = o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !t.existing;
  o.target = open_target (call, &t, node, error);
  if (!o.target)
    return false;
  o.target_is_zero = !t.existing;
  ok = start (vm_job_mirror (&o, error));
  vm_node_unref (o.target); /* the job has it */
  return ok;
}

bool
vm_qmp_drive_mirror (VmMonitor *mon, const VmqDriveMirrorArg *args, GError **error)
{
  Call call = { .func = do_drive_mirror, .args = args, .device = args->device,
               .buffer = args->has_buf_size ? args->buf_size : 0,
               .keep_zeroes = args->has_unmap && !args->unmap };

  return call_graph (mon, &call, error);
}

static bool
take_backup_sync (VmJobOptions *o, VmqMirrorSyncMode sync, const char *name, bool has_mode, VmqBitmapSyncMode mode,
                  GError **error)
{
  o->sync = sync;
  o->bitmap_mode = has_mode ? mode : VMQ_BITMAP_SYNC_MODE_ON_SUCCESS;
  if (sync == VMQ_MIRROR_SYNC_MODE_TOP && !vm_node_backing (o->node))
    o->sync = VMQ_MIRROR_SYNC_MODE_FULL;
  if (sync != VMQ_MIRROR_SYNC_MODE_BITMAP && sync != VMQ_MIRROR_SYNC_MODE_INCREMENTAL)
    return !name || vm_fail (error, "Cannot specify bitmap with sync mode '%s'", vmq_type_mirrorsyncmode.names[sync]);
  if (!name)
    return vm_fail (error, "must provide a valid bitmap name for '%s' sync mode", vmq_type_mirrorsyncmode.names[sync]);
  if (sync == VMQ_MIRROR_SYNC_MODE_BITMAP && !has_mode)
    return vm_fail (error, "Bitmap sync mode must be given when providing a bitmap");
  VmNode *node = vm_node_skip_filters (o->node);
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len && !o->bitmap; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (bitmap->name && !strcmp (bitmap->name, name))
        o->bitmap = bitmap;
    }
  if (!o->bitmap)
    return vm_fail (error, "Bitmap '%s' could not be found", name);
  if (o->bitmap->busy)
    return vm_fail (error, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
  return !o->bitmap->inconsistent || vm_fail (error, "Bitmap '%s' is inconsistent and cannot be used", name);
}

static bool
do_blockdev_backup (Call *call, GError **error)
{
  const VmqBlockdevBackupArg *a = call->args;
  VmNode *node = find_device (call, error);
  VmJobOptions o = { .node = node,
                     .compress = a->has_compress && a->compress,
                     .on_source_error = POLICY (a, on_source_error),
                     .on_target_error = POLICY (a, on_target_error) };

  return node && (o.target = find_node (call, a->target, error)) && take_common (call, &o, COMMON (a), error)
         && take_backup_sync (&o, a->sync, a->bitmap, a->has_bitmap_mode, a->bitmap_mode, error)
         && start (vm_job_backup (&o, error));
}

bool
vm_qmp_blockdev_backup (VmMonitor *mon, const VmqBlockdevBackupArg *args, GError **error)
{
  Call call = { .func = do_blockdev_backup, .args = args, .device = args->device, .filter = args->filter_node_name };

  return call_graph (mon, &call, error);
}

static bool
do_drive_backup (Call *call, GError **error)
{
  const VmqDriveBackupArg *a = call->args;
  VmNode *node = find_device (call, error);
  VmJobOptions o = { .node = node,
                     .compress = a->has_compress && a->compress,
                     .on_source_error = POLICY (a, on_source_error),
                     .on_target_error = POLICY (a, on_target_error) };
  Target t = { a->target, a->format, NULL, a->has_mode && a->mode == VMQ_NEW_IMAGE_MODE_EXISTING, false };
  bool ok;

  if (!node || !take_common (call, &o, COMMON (a), error)
      || !take_backup_sync (&o, a->sync, a->bitmap, a->has_bitmap_mode, a->bitmap_mode, error))
    return false;
  t.top = o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !t.existing;
  o.target = open_target (call, &t, node, error);
  if (!o.target)
    return false;
  ok = start (vm_job_backup (&o, error));
  vm_node_unref (o.target);
  return ok;
}

bool
vm_qmp_drive_backup (VmMonitor *mon, const VmqDriveBackupArg *args, GError **error)
{
  Call call = { .func = do_drive_backup, .args = args, .device = args->device, .filter = args->filter_node_name };

  return call_graph (mon, &call, error);
}

static bool
do_create (Call *call, GError **error)
{
  const VmqBlockdevCreateArg *a = call->args;

  return start (vm_job_create (call->graph, a->job_id, a->options, error));
}

bool
vm_qmp_blockdev_create (VmMonitor *mon, const VmqBlockdevCreateArg *args, GError **error)
{
  Call call = { .func = do_create, .args = args };

  return call_graph (mon, &call, error);
}
