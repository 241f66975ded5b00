/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands that start backups, which are actions of transactions, too; and those that make and change images. */
#include "block/bitmap.h"
#include "block/jobs/qmp-start.h"
#include "engine/monitor/qmp-handlers.h"

#define MAX_WORKERS 1024

typedef struct BackupState
{
  VmJob *job;
} BackupState;

static VmDirtyBitmap *
find_bitmap (VmNode *node, const char *name)
{
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    {
      VmDirtyBitmap *bitmap = g_ptr_array_index (node->bitmaps, i);
      if (bitmap->name && !strcmp (bitmap->name, name))
        return bitmap;
    }
  return NULL;
}

static bool
take_sync (VmJobOptions *o, VmqMirrorSyncMode sync, const char *name, bool has_mode, VmqBitmapSyncMode mode,
           GError **error)
{
  o->sync = sync;
  o->bitmap_mode = has_mode ? mode : VMQ_BITMAP_SYNC_MODE_ON_SUCCESS;
  if (sync != VMQ_MIRROR_SYNC_MODE_BITMAP && sync != VMQ_MIRROR_SYNC_MODE_INCREMENTAL)
    return !name || vm_fail (error, "Cannot specify bitmap with sync mode '%s'", vmq_type_mirrorsyncmode.names[sync]);
  if (!name)
    return vm_fail (error, "must provide a valid bitmap name for '%s' sync mode", vmq_type_mirrorsyncmode.names[sync]);
  if (sync == VMQ_MIRROR_SYNC_MODE_BITMAP && !has_mode)
    return vm_fail (error, "Bitmap sync mode must be given when providing a bitmap");
  if (sync == VMQ_MIRROR_SYNC_MODE_INCREMENTAL && has_mode && mode != VMQ_BITMAP_SYNC_MODE_ON_SUCCESS)
    return vm_fail (error, "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'");
  o->bitmap = find_bitmap (o->node, name);
  if (!o->bitmap)
    o->bitmap = find_bitmap (vm_node_skip_filters (o->node), name);
  if (!o->bitmap)
    return vm_fail (error, "Bitmap '%s' could not be found", name);
  if (o->bitmap->busy)
    return vm_fail (error, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
  return !o->bitmap->inconsistent || vm_fail (error, "Bitmap '%s' is inconsistent and cannot be used", name);
}

static bool
take_perf (VmJobOptions *o, const VmqBackupPerf *perf, GError **error)
{
  if (!perf)
    return true;
  if (perf->has_max_workers && (perf->max_workers < 1 || perf->max_workers > MAX_WORKERS))
    return vm_fail (error, "max-workers must be between 1 and %d", MAX_WORKERS);
  if (perf->has_max_chunk && perf->max_chunk < 0)
    return vm_fail (error, "max-chunk must be zero (which means no limit) or positive");
  if (perf->has_use_copy_range && perf->use_copy_range)
    return vm_fail (error, "use-copy-range=on: not available in this build");
  o->max_workers = perf->has_max_workers ? (unsigned) perf->max_workers : 0;
  o->max_chunk = perf->has_max_chunk ? (uint64_t) perf->max_chunk : 0;
  return true;
}

/* The moment of the backup is that of the transaction: nobody writes until its end. */
static bool
make_job (VmAction *action, const VmJobOptions *o, GError **error)
{
  BackupState *s = action->state;

  s->job = vm_job_backup (o, error);
  if (s->job)
    vm_job_join (s->job, action->group);
  return s->job != NULL;
}

static bool
blockdev_prepare (VmAction *action, GError **error)
{
  const VmqBlockdevBackup *a = action->args;
  VmBlockCall *call = action->call;
  VmNode *node = vm_block_call_device (call, a->device, error);
  VmJobOptions o = { .node = node,
                     .compress = a->has_compress && a->compress,
                     .on_source_error = VM_JOB_POLICY (a, on_source_error),
                     .on_target_error = VM_JOB_POLICY (a, on_target_error) };

  if (!node || !(o.target = vm_block_call_node (call, a->target, error)))
    return false;
  vm_action_drain (action, node);
  return vm_job_take_common (call, &o, VM_JOB_COMMON (a, a->filter_node_name), error)
         && take_sync (&o, a->sync, a->bitmap, a->has_bitmap_mode, a->bitmap_mode, error)
         && take_perf (&o, a->x_perf, error) && make_job (action, &o, error);
}

static bool
drive_prepare (VmAction *action, GError **error)
{
  const VmqDriveBackup *a = action->args;
  VmBlockCall *call = action->call;
  VmNode *node = vm_block_call_device (call, a->device, error);
  VmJobOptions o = { .node = node,
                     .compress = a->has_compress && a->compress,
                     .on_source_error = VM_JOB_POLICY (a, on_source_error),
                     .on_target_error = VM_JOB_POLICY (a, on_target_error) };
  VmJobTarget t = { a->target, a->format, NULL, a->has_mode && a->mode == VMQ_NEW_IMAGE_MODE_EXISTING, false };
  bool ok;

  if (!node)
    return false;
  vm_action_drain (action, node);
  if (!vm_job_take_common (call, &o, VM_JOB_COMMON (a, a->filter_node_name), error)
      || !take_sync (&o, a->sync, a->bitmap, a->has_bitmap_mode, a->bitmap_mode, error)
      || !take_perf (&o, a->x_perf, error))
    return false;
  if (o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !vm_node_backing (o.node))
    o.sync = VMQ_MIRROR_SYNC_MODE_FULL;
  t.top = o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !t.existing;
  if (!(o.target = vm_job_open_target (call, &t, node, error)))
    return false;
  ok = make_job (action, &o, error);
  vm_node_unref (o.target); /* the job has it */
  return ok;
}

static void
backup_commit (VmAction *action)
{
  vm_job_start (((BackupState *) action->state)->job);
}

static void
backup_abort (VmAction *action)
{
  vm_job_free (((BackupState *) action->state)->job);
}

const VmActionKind vm_action_blockdev_backup
    = { .size = sizeof (BackupState), .prepare = blockdev_prepare, .commit = backup_commit, .abort = backup_abort };
const VmActionKind vm_action_drive_backup
    = { .size = sizeof (BackupState), .prepare = drive_prepare, .commit = backup_commit, .abort = backup_abort };

bool
vm_qmp_blockdev_backup (VmMonitor *mon, const VmqBlockdevBackupArg *args, GError **error)
{
  return vm_action_run (mon, &vm_action_blockdev_backup, args, error);
}

bool
vm_qmp_drive_backup (VmMonitor *mon, const VmqDriveBackupArg *args, GError **error)
{
  return vm_action_run (mon, &vm_action_drive_backup, args, error);
}

/* --- images -------------------------------------------------------------------------------------------------- */

static bool
do_create (VmBlockCall *call, GError **error)
{
  const VmqBlockdevCreateArg *a = call->args;

  return vm_job_begin (vm_job_create (call->graph, a->job_id, a->options, error));
}

bool
vm_qmp_blockdev_create (VmMonitor *mon, const VmqBlockdevCreateArg *args, GError **error)
{
  VmBlockCall call = { .func = do_create, .args = args };

  return vm_block_call (mon, &call, error);
}

static bool
do_amend (VmBlockCall *call, GError **error)
{
  const VmqXBlockdevAmendArg *a = call->args;
  VmNode *node = vm_node_find (call->graph, a->node_name);

  if (!node)
    return vm_fail (error, "Failed to find node with node-name='%s'", a->node_name);
  return vm_job_begin (vm_job_amend (node, a->job_id, a->options, a->has_force && a->force, error));
}

bool
vm_qmp_x_blockdev_amend (VmMonitor *mon, const VmqXBlockdevAmendArg *args, GError **error)
{
  VmBlockCall call = { .func = do_amend, .args = args };

  return vm_block_call (mon, &call, error);
}
