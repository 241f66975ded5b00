/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives and the machine they belong to. */
#include "block/machine.h"

#include "block/drives.h"
#include "block/qmp-yank.h"
#include "engine/schema/types.h"

#include <errno.h>

/* --- users ------------------------------------------------------------------------------------------------ */

typedef struct Search
{
  const VmDrive *drive;
  VmObject *found;
} Search;

/* The device whose "drive" property names it. */
static void
search_user (VmObject *obj, Search *s)
{
  uint32_t offset;
  const VmProp *prop = vm_type_find_prop (obj->type, "drive", &offset);

  if (prop && prop->custom == &vm_prop_drive && *(VmDrive **) (void *) ((char *) obj + offset) == s->drive)
    s->found = obj;
  for (guint i = 0; obj->children && i < obj->children->len && !s->found; i++)
    search_user (g_ptr_array_index (obj->children, i), s);
}

VmObject *
vm_drive_user (VmMachine *machine, const VmDrive *drive)
{
  Search s = { drive, NULL };

  search_user (machine->env.root, &s);
  return s.found;
}

char *
vm_drive_user_name (VmObject *user)
{
  bool named = user->parent && user->id && g_strcmp0 (user->parent->id, "peripheral") == 0;
  VmObject *behind = vm_object_child (user, "virtio-backend");

  /* Clients know a virtio disk by the device behind its transport. */
  if (behind)
    return vm_object_path (behind);
  return named ? g_strdup (user->id) : vm_object_path (user);
}

/* --- events -------------------------------------------------------------------------------------------------- */

typedef struct GraphEvent
{
  char *name;
  json_object *data;
} GraphEvent;

static void
event_free (void *data)
{
  GraphEvent *e = data;

  json_object_put (e->data);
  g_free (e->name);
  g_free (e);
}

static void
emit_event (void *opaque)
{
  VmDrives *drives = opaque;
  GraphEvent *e = g_async_queue_pop (drives->events);
  g_autofree char *text = vm_json_to_string (e->data, false);

  vm_machine_emit (drives->opaque, e->name, "%s", text);
  event_free (e);
}

/* Those that come when the machine has ended stay in the queue. */
static void
graph_event (void *opaque, const char *name, json_object *data)
{
  VmDrives *drives = opaque;
  GraphEvent *e = g_new (GraphEvent, 1);

  *e = (GraphEvent){ g_strdup (name), data };
  g_async_queue_push (drives->events, e);
  vm_loop_post (drives->loop, emit_event, drives);
}

/* --- errors of media -------------------------------------------------------------------------------------------- */

typedef struct NodeName
{
  VmBlock *block;
  char *name;
} NodeName;

static void
get_node_name (void *opaque)
{
  NodeName *n = opaque;

  n->name = n->block->root->node->named ? g_strdup (n->block->root->node->name) : NULL;
}

static void
stop_machine (void *opaque)
{
  vm_machine_stop (opaque, VM_RUN_IO_ERROR);
}

static void
tell_failure (VmMachine *machine, VmDrive *drive, bool read, VmBlockErrorAction action, int status)
{
  static const char *const actions[] = { "report", "ignore", "stop" };
  NodeName node = { drive->block, NULL };
  json_object *data = json_object_new_object ();
  g_autofree char *text = NULL;

  vm_graph_call (drive->drives->graph, get_node_name, &node);
  json_object_object_add (data, "device", json_object_new_string (drive->anonymous ? "" : drive->parent.id));
  if (node.name)
    json_object_object_add (data, "node-name", json_object_new_string (node.name));
  json_object_object_add (data, "operation", json_object_new_string (read ? "read" : "write"));
  json_object_object_add (data, "action", json_object_new_string (actions[action]));
  json_object_object_add (data, "nospace", json_object_new_boolean (status == -ENOSPC));
  json_object_object_add (data, "reason", json_object_new_string (g_strerror (-status)));
  text = vm_json_to_string (data, false);
  vm_machine_emit (machine, "BLOCK_IO_ERROR", "%s", text);
  json_object_put (data);
  g_free (node.name);
  if (action == VM_BLOCK_ERROR_STOP)
    vm_loop_post (machine->env.loop, stop_machine, machine);
}

typedef struct Failure
{
  VmMachine *machine;
  VmDrive *drive;
  bool read;
  VmBlockErrorAction action;
  int status;
} Failure;

static void
tell_posted_failure (void *opaque)
{
  Failure *f = opaque;

  if (f->drive->block)
    tell_failure (f->machine, f->drive, f->read, f->action, f->status);
  vm_object_unref (&f->drive->parent);
  g_free (f);
}

/* On the loop of the drive's device, which may be another than the engine's. */
static void
drive_failed (void *opaque, VmDrive *drive, bool read, VmBlockErrorAction action, int status)
{
  VmMachine *machine = opaque;
  Failure *f;

  if (vm_lock_held (machine->lock))
    {
      tell_failure (machine, drive, read, action, status);
      return;
    }
  f = g_new (Failure, 1);
  *f = (Failure){ machine, (VmDrive *) vm_object_ref (&drive->parent), read, action, status };
  vm_loop_post (machine->env.loop, tell_posted_failure, f);
}

/* What was held is tried again when the machine goes on. */
static void
state_changed (VmMachine *machine, void *opaque)
{
  VmDrives *drives = opaque;

  if (!vm_machine_is_running (machine))
    return;
  for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
    {
      VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      drive->io_status = VMQ_BLOCK_DEVICE_IO_STATUS_OK;
      if (drive->block)
        vm_block_retry (drive->block);
    }
}

/* A fiber of the graph. */
static void
rest (void *opaque)
{
  const VmDrives *drives = opaque;

  for (guint i = 0; drives->parent.children && i < drives->parent.children->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      VmNode *node = drive->block ? drive->block->root->node : NULL;
      if (!node)
        continue;
      vm_node_ref (node);
      vm_node_drain_begin (node);
      vm_node_flush (node);
      vm_node_drain_end (node);
      vm_node_unref (node);
    }
}

/* Who stops a machine may copy its images next: what the guest has written is in them. A debugger's stops are many, and
 * short. */
static void
stopped (VmMachine *machine, void *opaque)
{
  VmDrives *drives = opaque;

  if (machine->state != VM_RUN_DEBUG)
    vm_graph_call (drives->graph, rest, drives);
}

void
vm_drives_bind (VmMachine *machine)
{
  VmDrives *drives = vm_drives_get (machine->env.root, machine->env.loop);

  if (drives->opaque)
    return;
  drives->opaque = machine;
  drives->events = g_async_queue_new_full (event_free);
  drives->failed = drive_failed;
  vm_graph_set_event_func (drives->graph, graph_event, drives);
  vm_machine_watch (machine, VM_MACHINE_STATE, state_changed, drives);
  vm_machine_watch (machine, VM_MACHINE_STOPPED, stopped, drives);
  vm_drives_bind_yank (machine->env.root, drives);
}

bool
vm_drive_add (VmMachine *machine, const VmDriveSpec *spec, GError **error)
{
  VmThrottleConfig throttle;
  VmDriveOptions options;
  bool ok;

  vm_drives_bind (machine);
  if (!vm_drive_options_of (spec, &options, &throttle, error))
    return false;
  ok = vm_drive_new (machine->env.root, machine->env.loop, &options, error) != NULL;
  json_object_put (options.options);
  g_clear_pointer (&options.stats_intervals, g_array_unref);
  return ok;
}
