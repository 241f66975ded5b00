/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands that start jobs: stream, commit and mirror. */
#include "block/jobs/qmp-start.h"

#include "block/create.h"
#include "engine/monitor/qmp-handlers.h"

bool
vm_job_take_common (VmBlockCall *call, VmJobOptions *o, VmJobCommon c, GError **error)
{
  o->id = c.id ? c.id : vm_block_call_is_drive (call, c.device) ? c.device : NULL;
  o->filter = c.filter;
  o->no_auto_finalize = c.has_finalize && !c.finalize;
  o->no_auto_dismiss = c.has_dismiss && !c.dismiss;
  if (c.has_speed && c.speed < 0)
    return vm_fail (error, "Parameter 'speed' expects a non-negative value");
  o->speed = c.has_speed ? (uint64_t) c.speed : 0;
  if (!o->id)
    return vm_fail (error, "An explicit job ID is required for this node");
  return true;
}

bool
vm_job_begin (VmJob *job)
{
  if (job)
    vm_job_start (job);
  return job != NULL;
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

static bool
do_stream (VmBlockCall *call, GError **error)
{
  const VmqBlockStreamArg *a = call->args;
  VmNode *node = vm_block_call_device (call, a->device, error);
  VmJobOptions o = { .node = node ? vm_node_skip_filters (node) : NULL,
                     .backing_file = a->backing_file,
                     .on_source_error = VM_JOB_POLICY (a, on_error) };

  if (!node || !vm_job_take_common (call, &o, VM_JOB_COMMON (a, a->filter_node_name), error))
    return false;
  if ((a->base != NULL) + (a->base_node != NULL) + (a->bottom != NULL) > 1)
    return vm_fail (error, "'base' and 'base-node' cannot be specified at the same time");
  if (a->base && !(o.base = find_in_chain (vm_node_backing (o.node), a->base)))
    return vm_fail (error, "Can't find '%s' in the backing chain", a->base);
  if (a->base_node && !(o.base = vm_block_call_node (call, a->base_node, error)))
    return false;
  if (a->bottom)
    {
      VmNode *bottom = vm_block_call_node (call, a->bottom, error);
      if (!bottom)
        return false;
      o.base = vm_node_backing (bottom);
    }
  if (o.base && (o.base == o.node || !vm_node_chain_contains (o.node, o.base)))
    return vm_fail (error, "Node '%s' is not a backing image of '%s'", o.base->name, a->device);
  return vm_job_begin (vm_job_stream (&o, error));
}

bool
vm_qmp_block_stream (VmMonitor *mon, const VmqBlockStreamArg *args, GError **error)
{
  VmBlockCall call = { .func = do_stream, .args = args };

  return vm_block_call (mon, &call, error);
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
do_commit (VmBlockCall *call, GError **error)
{
  const VmqBlockCommitArg *a = call->args;
  VmNode *device = vm_block_call_device (call, a->device, error),
         *active = device ? vm_node_skip_filters (device) : NULL, *top = active;
  VmJobOptions o = { .backing_file = a->backing_file,
                     .on_source_error = VM_JOB_POLICY (a, on_error),
                     .on_target_error = VM_JOB_POLICY (a, on_error) };
  VmNode *overlay;

  if (!device || !vm_job_take_common (call, &o, VM_JOB_COMMON (a, a->filter_node_name), error))
    return false;
  if (a->top_node ? !(top = vm_block_call_node (call, a->top_node, error)) : false)
    return false;
  if (a->top && !(top = find_in_chain (active, a->top)))
    return vm_fail (error, "Top image file %s not found", a->top);
  if (top != active && !vm_node_chain_contains (active, top))
    return vm_fail (error, "'%s' is not in this backing file chain", top->name);
  o.base = a->base_node ? vm_block_call_node (call, a->base_node, error)
           : a->base    ? find_in_chain (top, a->base)
                        : lowest (top);
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
  return vm_job_begin (vm_job_commit (&o, overlay, error));
}

bool
vm_qmp_block_commit (VmMonitor *mon, const VmqBlockCommitArg *args, GError **error)
{
  VmBlockCall call = { .func = do_commit, .args = args };

  return vm_block_call (mon, &call, error);
}

/* --- targets that are made for it -----------------------------------------------------------------------------------
 */

static bool
make_target (VmBlockCall *call, const VmJobTarget *t, const char *format, VmNode *source, VmNode *below, GError **error)
{
  VmImageCreate create = { .name = t->name,
                           .format = format,
                           .size = source->size,
                           .has_size = true,
                           .backing = below ? below->filename : NULL,
                           .backing_format = below ? below->driver->name : NULL };

  return vm_image_create (call->graph, &create, error);
}

VmNode *
vm_job_open_target (VmBlockCall *call, const VmJobTarget *t, VmNode *source, GError **error)
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
  o->write_blocking = has_mode && mode == VMQ_MIRROR_COPY_MODE_WRITE_BLOCKING;
  return true;
}

static bool
do_blockdev_mirror (VmBlockCall *call, GError **error)
{
  const VmqBlockdevMirrorArg *a = call->args;
  VmNode *node = vm_block_call_device (call, a->device, error);
  VmJobOptions o = { .node = node,
                     .replaces = a->replaces,
                     .granularity = a->has_granularity ? (uint64_t) a->granularity : 0,
                     .buffer = a->has_buf_size && a->buf_size > 0 ? (uint64_t) a->buf_size : 0,
                     .on_source_error = VM_JOB_POLICY (a, on_source_error),
                     .on_target_error = VM_JOB_POLICY (a, on_target_error) };

  return node && (o.target = vm_block_call_node (call, a->target, error))
         && vm_job_take_common (call, &o, VM_JOB_COMMON (a, a->filter_node_name), error)
         && take_mirror_sync (&o, a->sync, a->has_copy_mode, a->copy_mode, error)
         && vm_job_begin (vm_job_mirror (&o, error));
}

bool
vm_qmp_blockdev_mirror (VmMonitor *mon, const VmqBlockdevMirrorArg *args, GError **error)
{
  VmBlockCall call = { .func = do_blockdev_mirror, .args = args };

  return vm_block_call (mon, &call, error);
}

static bool
do_drive_mirror (VmBlockCall *call, GError **error)
{
  const VmqDriveMirrorArg *a = call->args;
  VmNode *node = vm_block_call_device (call, a->device, error);
  VmJobOptions o = { .node = node,
                     .replaces = a->replaces,
                     .granularity = a->has_granularity ? (uint64_t) a->granularity : 0,
                     .keep_zeroes = a->has_unmap && !a->unmap,
                     .buffer = a->has_buf_size && a->buf_size > 0 ? (uint64_t) a->buf_size : 0,
                     .on_source_error = VM_JOB_POLICY (a, on_source_error),
                     .on_target_error = VM_JOB_POLICY (a, on_target_error) };
  VmJobTarget t = { a->target, a->format, a->node_name, a->has_mode && a->mode == VMQ_NEW_IMAGE_MODE_EXISTING, false };
  bool ok;

  if (!node || !vm_job_take_common (call, &o, VM_JOB_COMMON (a, NULL), error)
      || !take_mirror_sync (&o, a->sync, a->has_copy_mode, a->copy_mode, error))
    return false;
  if (o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !vm_node_backing (o.node))
    o.sync = VMQ_MIRROR_SYNC_MODE_FULL;
  t.top = o.sync == VMQ_MIRROR_SYNC_MODE_TOP && !t.existing;
  o.target = vm_job_open_target (call, &t, node, error);
  if (!o.target)
    return false;
  o.target_is_zero = !t.existing;
  ok = vm_job_begin (vm_job_mirror (&o, error));
  vm_node_unref (o.target); /* the job has it */
  return ok;
}

bool
vm_qmp_drive_mirror (VmMonitor *mon, const VmqDriveMirrorArg *args, GError **error)
{
  VmBlockCall call = { .func = do_drive_mirror, .args = args };

  return vm_block_call (mon, &call, error);
}
