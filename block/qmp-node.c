/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about nodes: made, closed, changed, limited. */
#include "block/drives.h"
#include "block/job.h"
#include "block/machine.h"
#include "engine/monitor/qmp-handlers.h"

#include <errno.h>

/* Each command is carried out in a fiber of the graph. */
typedef struct Call
{
  VmBlockGraph *graph;
  VmBlock *block; /* of the drive that was named; NULL: NAME is a node */
  const char *name;
  const void *args;
  bool (*func) (struct Call *call, GError **error);
  GError **error;
  bool ok;
} Call;

static void
enter (void *opaque)
{
  Call *call = opaque;

  call->ok = call->func (call, call->error);
}

static VmBlockGraph *
graph_of (VmMonitor *mon)
{
  VmMachine *machine = vm_monitor_machine (mon);

  vm_drives_bind (machine);
  return vm_drives_find (machine->env.root)->graph;
}

static bool
call_graph (VmMonitor *mon, bool (*func) (Call *call, GError **error), const char *device, const char *node,
            const void *args, GError **error)
{
  VmDrive *drive = device ? vm_drive_find (vm_monitor_machine (mon)->env.root, device) : NULL;
  Call call = { .graph = graph_of (mon), .name = device ? device : node, .args = args, .func = func, .error = error };

  if (drive && !drive->block)
    return vm_fail (error, "Device '%s' has no medium", device);
  call.block = drive ? drive->block : NULL;
  vm_graph_call (call.graph, enter, &call);
  return call.ok;
}

static VmNode *
find_node (const Call *call, const char *name, GError **error)
{
  VmNode *node = call->block && name == call->name ? call->block->root->node : vm_node_find (call->graph, name);

  if (!node)
    g_set_error (error, VM_ERROR, VM_ERROR_FAILED, "Cannot find device='%s' nor node-name='%s'", name, name);
  return node;
}

/* --- made and closed ---------------------------------------------------------------------------------------- */

bool
vm_qmp_blockdev_add (VmMonitor *mon, const VmqBlockdevAddArg *args, GError **error)
{
  json_object *options = vm_schema_write (&vmq_type_blockdev_add_arg, &args);
  bool ok = vm_graph_add_node (graph_of (mon), options, VM_SCHEMA_JSON, error);

  json_object_put (options);
  return ok;
}

bool
vm_qmp_blockdev_del (VmMonitor *mon, const VmqBlockdevDelArg *args, GError **error)
{
  return vm_graph_remove_node (graph_of (mon), args->node_name, error);
}

/* --- other options -------------------------------------------------------------------------------------------- */

static json_object *
member (json_object *options, const char *name)
{
  json_object *value = NULL;

  json_object_object_get_ex (options, name, &value);
  return value;
}

/* A node in change, and what it was. */
typedef struct Reopen
{
  VmNode *node; /* referenced, drained */
  const VmqBlockdevOptions *o;
  json_object *options;
  VmNode *backing, *file; /* before; referenced, may be NULL */
  bool readonly, discard_unmap, cache_no_flush, auto_readonly;
  uint8_t detect_zeroes;
} Reopen;

static const char *
text_of (json_object *value)
{
  return json_object_is_type (value, json_type_string) ? json_object_get_string (value) : NULL;
}

/* Filters and raw do not care what they lie on. */
static bool
may_move (const VmNode *node)
{
  return node->file && (node->driver->kind == VM_DRIVER_FILTER || !strcmp (node->driver->name, "raw"));
}

/* What opening it again would be needed for is refused: those are the options of the driver. */
static bool
check_driver_options (VmNode *node, json_object *options, GError **error)
{
  static const char *const changeable[] = { "node-name", "read-only",   "auto-read-only", "discard", "detect-zeroes",
                                            "cache",     "force-share", "backing",        NULL };

  if (strcmp (json_object_get_string (member (options, "driver")), node->driver->name) != 0)
    return vm_fail (error, "Cannot change the option 'driver'");
  json_object_object_foreach (options, key, value)
  {
    json_object *before = member (node->options, key);
    const char *name = text_of (value);
    const VmEdge *edge = !strcmp (key, "file") ? node->file : NULL;
    if (g_strv_contains (changeable, key) || !strcmp (key, "driver") || (before && json_object_equal (before, value)))
      continue;
    if (!edge || !name || (strcmp (edge->node->name, name) && !may_move (node)))
      return vm_fail (error, "Cannot change the option '%s'", key);
  }
  return true;
}

static bool
set_file (VmNode *node, VmNode *file, GError **error)
{
  VmNode *old = vm_node_ref (node->file->node);
  unsigned role = node->file->role;
  bool ok;

  vm_node_detach (node->file);
  ok = vm_node_attach (node, "file", file, role, error) != NULL;
  if (!ok)
    vm_node_attach (node, "file", old, role, NULL); /* was possible a moment ago */
  vm_node_unref (old);
  if (node->driver->refresh_size)
    node->driver->refresh_size (node);
  else
    node->size = node->file->node->size;
  return ok;
}

static bool
reopen_file (Reopen *r, GError **error)
{
  const char *name = text_of (member (r->options, "file"));
  VmNode *file = name && r->node->file ? vm_node_find (r->node->graph, name) : NULL;

  if (!name || !r->node->file || !strcmp (r->node->file->node->name, name))
    return true;
  if (!file)
    return vm_fail (error, "Cannot find device='%s' nor node-name='%s'", name, name);
  return set_file (r->node, file, error);
}

static bool
reopen_backing (Reopen *r, GError **error)
{
  json_object *value = NULL;
  VmNode *node = r->node, *backing;
  const char *name;

  if (!json_object_object_get_ex (r->options, "backing", &value)) /* null is NULL */
    return true;
  name = text_of (value);
  backing = name && *name ? vm_node_find (node->graph, name) : NULL;
  if (json_object_is_type (value, json_type_object))
    return vm_fail (error, "Cannot change the option 'backing'");
  if (name && *name && !backing)
    return vm_fail (error, "Cannot find device='%s' nor node-name='%s'", name, name);
  if (r->backing == backing)
    return true;
  if (!node->driver->has_backing)
    return vm_fail (error, "'%s' format driver does not support backing files", node->driver->name);
  return vm_node_set_backing (node, backing, error);
}

static bool
reopen_begin (Reopen *r, const Call *call, const VmqBlockdevOptions *o, GError **error)
{
  VmNode *node;

  if (!o->node_name)
    return vm_fail (error, "node-name not specified");
  if (!(node = vm_node_find (call->graph, o->node_name)))
    return vm_fail (error, "Failed to find node with node-name='%s'", o->node_name);
  if (o->cache && o->cache->has_direct && o->cache->direct != node->cache_direct)
    return vm_fail (error, "Cannot change the option 'cache.direct'");
  r->options = vm_schema_write (&vmq_type_blockdevoptions, &o);
  if (!check_driver_options (node, r->options, error))
    return false;
  r->o = o;
  r->node = vm_node_ref (node);
  r->backing = node->backing ? vm_node_ref (node->backing->node) : NULL;
  r->file = node->file ? vm_node_ref (node->file->node) : NULL;
  r->readonly = node->readonly;
  r->discard_unmap = node->discard_unmap;
  r->detect_zeroes = node->detect_zeroes;
  r->cache_no_flush = node->cache_no_flush;
  r->auto_readonly = node->auto_readonly;
  vm_node_drain_begin (node);
  return true;
}

static bool
reopen_apply (Reopen *r, GError **error)
{
  const VmqBlockdevOptions *o = r->o;
  VmNode *node = r->node;

  node->discard_unmap = o->has_discard && o->discard == VMQ_BLOCKDEV_DISCARD_OPTIONS_UNMAP;
  node->detect_zeroes = o->has_detect_zeroes ? o->detect_zeroes : VMQ_BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
  node->cache_no_flush = o->cache && o->cache->has_no_flush && o->cache->no_flush;
  node->auto_readonly = o->has_auto_read_only && o->auto_read_only;
  return vm_node_set_readonly (node, o->has_read_only && o->read_only, error) && reopen_file (r, error)
         && reopen_backing (r, error);
}

/* As it was: all of this was possible before. */
static void
reopen_undo (Reopen *r)
{
  VmNode *node = r->node;

  node->discard_unmap = r->discard_unmap;
  node->detect_zeroes = r->detect_zeroes;
  node->cache_no_flush = r->cache_no_flush;
  node->auto_readonly = r->auto_readonly;
  if ((node->backing ? node->backing->node : NULL) != r->backing)
    vm_node_set_backing (node, r->backing, NULL);
  if (r->file && node->file && node->file->node != r->file)
    set_file (node, r->file, NULL);
  vm_node_set_readonly (node, r->readonly, NULL);
}

static void
reopen_end (Reopen *r)
{
  json_object_put (r->options);
  if (!r->node)
    return;
  vm_node_drain_end (r->node);
  if (r->backing)
    vm_node_unref (r->backing);
  if (r->file)
    vm_node_unref (r->file);
  vm_node_unref (r->node);
}

/* All of them or none. */
static bool
reopen (Call *call, GError **error)
{
  const VmqBlockdevReopenArg *args = call->args;
  guint n = args->options->len, done = 0;
  g_autofree Reopen *all = g_new0 (Reopen, n + 1);
  bool ok = true;

  for (guint i = 0; ok && i < n; i++)
    ok = reopen_begin (&all[i], call, g_ptr_array_index (args->options, i), error);
  while (ok && done < n)
    ok = reopen_apply (&all[done++], error);
  while (!ok && done-- > 0)
    reopen_undo (&all[done]);
  for (guint i = n; i-- > 0;)
    reopen_end (&all[i]);
  return ok;
}

bool
vm_qmp_blockdev_reopen (VmMonitor *mon, const VmqBlockdevReopenArg *args, GError **error)
{
  return call_graph (mon, reopen, NULL, NULL, args, error);
}

static bool
resize (Call *call, GError **error)
{
  const VmqBlockResizeArg *args = call->args;
  VmNode *node = find_node (call, call->name, error);
  int status;

  if (!node)
    return false;
  if (args->size < 0)
    return vm_fail (error, "Parameter 'size' expects a >0 size");
  /* It copies what was there when it began, and in the end the disk would have the old size again. */
  if (vm_node_has_job (node))
    return vm_fail (error, "Node '%s' is busy: block device is in use by a block job", node->name);
  vm_node_ref (node);
  vm_node_drain_begin (node);
  status = vm_node_truncate (node, (uint64_t) args->size, false, VM_PREALLOC_OFF, 0, error);
  vm_node_drain_end (node);
  vm_node_unref (node);
  return status >= 0;
}

bool
vm_qmp_block_resize (VmMonitor *mon, const VmqBlockResizeArg *args, GError **error)
{
  if (!args->device == !args->node_name)
    return vm_fail (error, "Need exactly one of 'device' and 'node-name'");
  return call_graph (mon, resize, args->device, args->node_name, args, error);
}

static bool
set_threshold (Call *call, GError **error)
{
  const VmqBlockSetWriteThresholdArg *args = call->args;
  VmNode *node = vm_node_find (call->graph, args->node_name);

  if (!node)
    return vm_fail (error, "Device '%s' not found", args->node_name);
  node->write_threshold = args->write_threshold;
  return true;
}

bool
vm_qmp_block_set_write_threshold (VmMonitor *mon, const VmqBlockSetWriteThresholdArg *args, GError **error)
{
  return call_graph (mon, set_threshold, NULL, NULL, args, error);
}

/* --- limits ----------------------------------------------------------------------------------------------------------
 */

#define LIMIT(kind, name)                                                                                              \
  config->limits[kind] = (VmThrottleLimit)                                                                             \
  {                                                                                                                    \
    (uint64_t) a->name, a->has_##name##_max ? (uint64_t) a->name##_max : 0,                                            \
        a->has_##name##_max_length ? (uint64_t) a->name##_max_length : 1                                               \
  }

static void
take_limits (const VmqBlockSetIoThrottleArg *a, VmThrottleConfig *config)
{
  vm_throttle_config_init (config);
  LIMIT (VM_THROTTLE_BPS_TOTAL, bps);
  LIMIT (VM_THROTTLE_BPS_READ, bps_rd);
  LIMIT (VM_THROTTLE_BPS_WRITE, bps_wr);
  LIMIT (VM_THROTTLE_OPS_TOTAL, iops);
  LIMIT (VM_THROTTLE_OPS_READ, iops_rd);
  LIMIT (VM_THROTTLE_OPS_WRITE, iops_wr);
  config->op_size = a->has_iops_size ? (uint64_t) a->iops_size : 0;
}

typedef struct SetLimits
{
  const VmqBlockSetIoThrottleArg *args;
  const VmThrottleConfig *config;
} SetLimits;

static bool
set_limits (Call *call, GError **error)
{
  const SetLimits *s = call->args;
  VmThrottleMember *before = call->block->throttle;
  const char *name = s->args->group ? s->args->group
                     : before       ? vm_throttle_group_name (vm_throttle_member_group (before))
                                    : call->name;
  VmThrottleGroup *group = vm_throttle_group_get (call->graph, name);

  vm_throttle_group_configure (group, s->config);
  vm_node_drain_begin (call->block->root->node); /* nobody waits in the group that is left */
  call->block->throttle = vm_throttle_config_is_set (s->config) ? vm_throttle_member_new (group) : NULL;
  if (before)
    vm_throttle_member_free (before);
  for (unsigned i = 0; call->block->throttle && i < call->block->quiesced; i++)
    vm_throttle_member_drain (call->block->throttle, true);
  vm_node_drain_end (call->block->root->node);
  vm_throttle_group_unref (group);
  return true;
}

bool
vm_qmp_block_set_io_throttle (VmMonitor *mon, const VmqBlockSetIoThrottleArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), args->device, args->id, error);
  VmThrottleConfig config;
  Call call = { .args = &(SetLimits){ args, &config }, .func = set_limits, .error = error };

  if (!drive)
    return false;
  if (!drive->block)
    return vm_fail (error, "Device '%s' has no medium", args->device ? args->device : args->id);
  take_limits (args, &config);
  if (!vm_throttle_config_check (&config, error))
    return false;
  call.graph = drive->drives->graph;
  call.block = drive->block;
  call.name = drive->anonymous ? args->id : drive->parent.id;
  vm_graph_call (call.graph, enter, &call);
  return call.ok;
}
