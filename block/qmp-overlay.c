/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands that put overlays over nodes, make snapshots inside images and change what lies below: most are actions
 * of transactions, too. */
#include "block/create.h"
#include "block/info.h"
#include "block/qmp-call.h"
#include "engine/base/log.h"
#include "engine/clock/clock.h"
#include "engine/monitor/qmp-handlers.h"

/* --- overlays ----------------------------------------------------------------------------------------------- */

typedef struct OverlayState
{
  VmNode *node, *overlay; /* referenced */
  bool was_readonly;
} OverlayState;

static void
undo (OverlayState *s)
{
  if (!s->was_readonly)
    vm_node_set_readonly (s->node, false, NULL); /* it was possible before */
  vm_node_set_backing (s->overlay, NULL, NULL);
  vm_node_replace (s->overlay, s->node, NULL);
}

/* All who use NODE use OVERLAY then, which reads from it what it does not have. */
static bool
put_over (OverlayState *s, GError **error)
{
  VmNode *node = s->node, *overlay = s->overlay;

  if (overlay->parents->len)
    return vm_fail (error, "The overlay is already in use");
  if (!overlay->driver->has_backing)
    return vm_fail (error, "The overlay does not support backing images");
  if (overlay->backing)
    return vm_fail (error, "The overlay already has a backing image");
  s->was_readonly = node->readonly;
  if (!vm_node_replace (node, overlay, error))
    return false;
  if (!vm_node_set_backing (overlay, node, error))
    {
      vm_node_replace (overlay, node, NULL); /* as it was */
      return false;
    }
  vm_node_set_readonly (node, true, NULL); /* what cannot change that is not written all the same */
  return true;
}

static void
overlay_abort (VmAction *action)
{
  undo (action->state);
}

static void
overlay_clean (VmAction *action)
{
  OverlayState *s = action->state;

  /* Those who use them hold them. */
  if (s->overlay)
    vm_node_unref (s->overlay);
  if (s->node)
    vm_node_unref (s->node);
}

static bool
snapshot_prepare (VmAction *action, GError **error)
{
  const VmqBlockdevSnapshot *a = action->args;
  OverlayState *s = action->state;
  VmNode *node = vm_block_call_device (action->call, a->node, error);
  VmNode *overlay = node ? vm_block_call_device (action->call, a->overlay, error) : NULL;

  if (!overlay)
    return false;
  s->node = vm_node_ref (node);
  s->overlay = vm_node_ref (overlay);
  vm_action_drain (action, node);
  return put_over (s, error);
}

const VmActionKind vm_action_snapshot
    = { .size = sizeof (OverlayState), .prepare = snapshot_prepare, .abort = overlay_abort, .clean = overlay_clean };

static bool
create_overlay (VmNode *node, const VmqBlockdevSnapshotSync *a, const char *format, GError **error)
{
  g_autofree char *backing = NULL;
  VmImageCreate spec = { .name = a->snapshot_file, .format = format, .size = node->size, .has_size = true };

  if (a->has_mode && a->mode == VMQ_NEW_IMAGE_MODE_EXISTING)
    return true;
  backing = g_str_has_prefix (node->filename, "json:") || strstr (node->filename, "://")
                ? g_strdup (node->filename)
                : g_canonicalize_filename (node->filename, NULL);
  spec.backing = backing;
  spec.backing_format = vm_node_skip_filters (node)->driver->name;
  spec.unsafe = true; /* it is in use: by us */
  return vm_image_create (node->graph, &spec, error);
}

static VmNode *
open_overlay (VmNode *node, const VmqBlockdevSnapshotSync *a, const char *format, GError **error)
{
  json_object *options = json_object_new_object ();
  VmNode *overlay;

  json_object_object_add (options, "driver", json_object_new_string (format));
  if (a->snapshot_node_name)
    json_object_object_add (options, "node-name", json_object_new_string (a->snapshot_node_name));
  if (node->cache_direct)
    json_object_object_add (options, "cache.direct", json_object_new_string ("on"));
  if (node->cache_no_flush)
    json_object_object_add (options, "cache.no-flush", json_object_new_string ("on"));
  json_object_object_add (options, "discard", json_object_new_string (node->discard_unmap ? "unmap" : "ignore"));
  overlay = vm_node_open_name (node->graph, a->snapshot_file, format, options, VM_OPEN_NO_BACKING, error);
  json_object_put (options);
  return overlay;
}

static bool
snapshot_sync_prepare (VmAction *action, GError **error)
{
  const VmqBlockdevSnapshotSync *a = action->args;
  OverlayState *s = action->state;
  const char *format = a->format ? a->format : "qcow2";
  VmNode *node;
  int status;

  if (!a->device == !a->node_name)
    return vm_fail (error, "Need exactly one of 'device' and 'node-name'");
  if (!(node = vm_block_call_device (action->call, a->device ? a->device : a->node_name, error)))
    return false;
  if (a->node_name && !a->snapshot_node_name)
    return vm_fail (error, "New overlay node-name missing");
  s->node = vm_node_ref (node);
  vm_action_drain (action, node);
  if ((status = vm_node_flush (node)) < 0)
    return vm_fail (error, "Could not flush '%s': %s", node->filename, g_strerror (-status));
  return create_overlay (node, a, format, error) && (s->overlay = open_overlay (node, a, format, error))
         && put_over (s, error);
}

const VmActionKind vm_action_snapshot_sync = {
  .size = sizeof (OverlayState), .prepare = snapshot_sync_prepare, .abort = overlay_abort, .clean = overlay_clean
};

bool
vm_qmp_blockdev_snapshot (VmMonitor *mon, const VmqBlockdevSnapshotArg *args, GError **error)
{
  return vm_action_run (mon, &vm_action_snapshot, args, error);
}

bool
vm_qmp_blockdev_snapshot_sync (VmMonitor *mon, const VmqBlockdevSnapshotSyncArg *args, GError **error)
{
  return vm_action_run (mon, &vm_action_snapshot_sync, args, error);
}

/* --- snapshots inside images ---------------------------------------------------------------------------------- */

typedef struct InternalState
{
  VmNode *node;
  VmSnapshotInfo info;
} InternalState;

static const VmSnapshotInfo *
find_snapshot (const GPtrArray *list, const char *id, const char *name)
{
  for (guint i = 0; list && i < list->len; i++)
    {
      const VmSnapshotInfo *info = g_ptr_array_index (list, i);
      if ((!id || !g_strcmp0 (info->id, id)) && (!name || !g_strcmp0 (info->name, name)))
        return info;
    }
  return NULL;
}

static VmNode *
snapshot_node (VmBlockCall *call, const char *device, GError **error)
{
  VmNode *node = vm_block_call_device (call, device, error);

  if (!(node = vm_node_skip_filters (node)))
    return NULL;
  if (node->readonly)
    return vm_fail (error, "Device '%s' is read only", device), NULL;
  if (!node->driver->snapshot_create || !node->driver->snapshot_delete || !node->driver->snapshot_list)
    return vm_fail (error, "Block format '%s' used by device '%s' does not support feature 'internal snapshots'",
                    node->driver->name, device),
           NULL;
  return node;
}

static bool
internal_prepare (VmAction *action, GError **error)
{
  const VmqBlockdevSnapshotInternal *a = action->args;
  InternalState *s = action->state;
  g_autoptr (GPtrArray) list = NULL;
  gint64 now = g_get_real_time ();
  VmNode *node = snapshot_node (action->call, a->device, error);

  if (!node)
    return false;
  if (!*a->name)
    return vm_fail (error, "Name is empty");
  vm_action_drain (action, node);
  list = node->driver->snapshot_list (node);
  if (find_snapshot (list, NULL, a->name))
    return vm_fail (error, "Snapshot with name '%s' already exists on device '%s'", a->name, a->device);
  s->info = (VmSnapshotInfo){ .name = (char *) a->name, .icount = UINT64_MAX, .disk_size = node->size };
  s->info.date_sec = now / G_USEC_PER_SEC;
  s->info.date_nsec = (uint32_t) (now % G_USEC_PER_SEC * 1000);
  s->info.vm_clock_ns = (uint64_t) vm_clock_now (action->call->machine->env.clocks, VM_CLOCK_VIRTUAL);
  if (!node->driver->snapshot_create (node, &s->info, error))
    return false;
  s->node = node;
  return true;
}

static void
internal_abort (VmAction *action)
{
  InternalState *s = action->state;
  g_autoptr (GError) why = NULL;

  if (!s->node->driver->snapshot_delete (s->node, s->info.id, s->info.name, &why))
    vm_report_error ("Failed to delete snapshot with id '%s' and name '%s' on device '%s' in abort: %s", s->info.id,
                     s->info.name, s->node->name, why->message);
}

static void
internal_clean (VmAction *action)
{
  g_free (((InternalState *) action->state)->info.id);
}

const VmActionKind vm_action_snapshot_internal
    = { .size = sizeof (InternalState), .prepare = internal_prepare, .abort = internal_abort, .clean = internal_clean };

bool
vm_qmp_blockdev_snapshot_internal_sync (VmMonitor *mon, const VmqBlockdevSnapshotInternalSyncArg *args, GError **error)
{
  return vm_action_run (mon, &vm_action_snapshot_internal, args, error);
}

static bool
delete_internal (VmBlockCall *call, GError **error)
{
  const VmqBlockdevSnapshotDeleteInternalSyncArg *a = call->args;
  VmNode *node = snapshot_node (call, a->device, error);
  g_autoptr (GPtrArray) list = NULL;
  const VmSnapshotInfo *found;
  json_object *json;
  bool ok;

  if (!node)
    return false;
  if (!a->id && !a->name)
    return vm_fail (error, "Name or id must be provided");
  list = node->driver->snapshot_list (node);
  if (!(found = find_snapshot (list, a->id, a->name)))
    return vm_fail (error, "Snapshot with id '%s' and name '%s' does not exist on device '%s'",
                    a->id ? a->id : "(null)", a->name ? a->name : "(null)", a->device);
  vm_node_ref (node);
  vm_node_drain_begin (node);
  ok = node->driver->snapshot_delete (node, found->id, found->name, error);
  vm_node_drain_end (node);
  vm_node_unref (node);
  if (ok)
    {
      json = vm_snapshot_info (found);
      call->result = vm_schema_read (&vmq_type_snapshotinfo, json, VM_SCHEMA_JSON, NULL, error);
      json_object_put (json);
    }
  return ok && call->result;
}

VmqSnapshotInfo *
vm_qmp_blockdev_snapshot_delete_internal_sync (VmMonitor *mon, const VmqBlockdevSnapshotDeleteInternalSyncArg *args,
                                               GError **error)
{
  VmBlockCall call = { .func = delete_internal, .args = args };

  return vm_block_call (mon, &call, error) ? call.result : NULL;
}

/* --- what lies below -------------------------------------------------------------------------------------------- */

static bool
change_backing (VmBlockCall *call, GError **error)
{
  const VmqChangeBackingFileArg *a = call->args;
  VmNode *top = vm_block_call_device (call, a->device, error);
  VmNode *node = top ? vm_node_find (call->graph, a->image_node_name) : NULL, *below;
  bool was_readonly, ok;

  if (!top)
    return false;
  if (!node)
    return vm_fail (error, "Cannot find device='' nor node-name='%s'", a->image_node_name);
  if (!vm_node_chain_contains (top, node))
    return vm_fail (error, "'%s' and image file are not in the same chain", a->device);
  below = vm_node_backing (node);
  if (!below)
    return vm_fail (error, "not allowing backing file change on an image without a backing file");
  if (!node->driver->change_backing)
    return vm_fail (error, "Could not change backing file to '%s': format '%s' has none that could be changed",
                    a->backing_file, node->driver->name);
  was_readonly = node->readonly;
  vm_node_drain_begin (node);
  ok = (!was_readonly || vm_node_set_readonly (node, false, error))
       && node->driver->change_backing (node, a->backing_file, below->driver->name, error);
  if (was_readonly)
    vm_node_set_readonly (node, true, NULL);
  vm_node_drain_end (node);
  return ok;
}

bool
vm_qmp_change_backing_file (VmMonitor *mon, const VmqChangeBackingFileArg *args, GError **error)
{
  VmBlockCall call = { .func = change_backing, .args = args };

  return vm_block_call (mon, &call, error);
}

static VmEdge *
find_child (const VmNode *parent, const char *name)
{
  for (guint i = 0; i < parent->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (parent->children, i);
      if (!strcmp (edge->name, name))
        return edge;
    }
  return NULL;
}

static bool
change_children (VmBlockCall *call, GError **error)
{
  const VmqXBlockdevChangeArg *a = call->args;
  VmNode *parent = vm_block_call_device (call, a->parent, error), *node = NULL;
  VmEdge *edge = NULL;
  bool ok;

  if (!parent)
    return false;
  if (!a->child == !a->node)
    return vm_fail (error, a->child ? "The parameters child and node are in conflict"
                                    : "Either child or node must be specified");
  if (a->child && !(edge = find_child (parent, a->child)))
    return vm_fail (error, "Node '%s' does not have child '%s'", a->parent, a->child);
  if (a->node && !(node = vm_node_find (call->graph, a->node)))
    return vm_fail (error, "Node '%s' not found", a->node);
  if (edge ? !parent->driver->remove_child : !parent->driver->add_child)
    return vm_fail (error, "The node %s does not support %s a child", parent->name, edge ? "removing" : "adding");
  vm_node_ref (parent);
  vm_node_drain_begin (parent);
  ok = edge ? parent->driver->remove_child (parent, edge, error) : parent->driver->add_child (parent, node, error);
  vm_node_drain_end (parent);
  vm_node_unref (parent);
  return ok;
}

bool
vm_qmp_x_blockdev_change (VmMonitor *mon, const VmqXBlockdevChangeArg *args, GError **error)
{
  VmBlockCall call = { .func = change_children, .args = args };

  return vm_block_call (mon, &call, error);
}
