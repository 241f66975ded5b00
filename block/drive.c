/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives: what -drive makes, what devices claim by id and media are put into. */
#include "block/drives.h"
#include "block/latency.h"

#include "engine/schema/types.h"

#include <errno.h>

/* --- the folder --------------------------------------------------------------------------------------- */

static void
drives_finalize (VmObject *obj)
{
  VmDrives *drives = (VmDrives *) obj;

  vm_graph_free (drives->graph);
  g_clear_pointer (&drives->events, g_async_queue_unref);
}

static const VmType vm_drives_type = {
  .name = "drives",
  .parent = &vm_object_type,
  .size = sizeof (VmDrives),
  .help = "All drives, and the graph of images",
  .finalize = drives_finalize,
};

VmDrives *
vm_drives_find (VmObject *root)
{
  return (VmDrives *) vm_object_child (root, "drives");
}

VmDrives *
vm_drives_get (VmObject *root, VmLoop *loop)
{
  VmDrives *drives = vm_drives_find (root);

  if (drives)
    return drives;
  drives = (VmDrives *) vm_object_new (&vm_drives_type);
  drives->loop = loop;
  drives->graph = vm_graph_new (vm_block_drivers, root);
  vm_object_add_child (root, "drives", &drives->parent);
  vm_object_unref (&drives->parent);
  return drives;
}

VmBlockGraph *
vm_drives_graph (VmObject *root, VmLoop *loop)
{
  return vm_drives_get (root, loop)->graph;
}

/* --- media ------------------------------------------------------------------------------------------------ */

/* What the policy of the drive says to an error of the medium. */
static VmBlockErrorAction
drive_failed (void *opaque, bool read, int status)
{
  VmDrive *drive = opaque;
  int policy = read ? drive->rerror : drive->werror;
  VmBlockErrorAction action = VM_BLOCK_ERROR_REPORT;

  if (policy == VM_ON_ERROR_IGNORE)
    action = VM_BLOCK_ERROR_IGNORE;
  else if (drive->drives->failed
           && (policy == VM_ON_ERROR_STOP
               || (!read && status == -ENOSPC && (policy == VM_ON_ERROR_ENOSPC || policy == VM_ON_ERROR_AUTO))))
    action = VM_BLOCK_ERROR_STOP;
  if (action == VM_BLOCK_ERROR_STOP)
    drive->io_status = status == -ENOSPC ? VMQ_BLOCK_DEVICE_IO_STATUS_NOSPACE : VMQ_BLOCK_DEVICE_IO_STATUS_FAILED;
  if (drive->drives->failed)
    drive->drives->failed (drive->drives->opaque, drive, read, action, status);
  return action;
}

static void
drive_resized (void *opaque)
{
  VmDrive *drive = opaque;

  if (drive->resized && drive->device)
    drive->resized (drive->device);
}

VmBlock *
vm_drive_block_of (VmDrive *drive, VmNode *node)
{
  VmBlock *block = vm_block_new (drive->loop, node);

  block->owner = drive;
  block->failed = drive_failed;
  block->resized = drive_resized;
  block->write_through = drive->write_through;
  return block;
}

typedef struct OpenMedium
{
  VmDrive *drive;
  const VmDriveOptions *options;
  GError **error;
  VmNode *node;
} OpenMedium;

static VmNode *
put_on_top (VmBlockGraph *graph, VmNode *node, const char *driver, GError **error)
{
  json_object *options = json_object_new_object ();
  VmNode *filter;

  json_object_object_add (options, "driver", json_object_new_string (driver));
  json_object_object_add (options, "file", json_object_new_string (node->name));
  filter = vm_node_open (graph, options, VM_SCHEMA_TEXT, node->readonly ? VM_OPEN_READONLY : 0, error);
  json_object_put (options);
  vm_node_unref (node);
  return filter;
}

static void
set_default (json_object *options, const char *name, const char *value)
{
  if (!json_object_object_get_ex (options, name, NULL))
    json_object_object_add (options, name, json_object_new_string (value));
}

static void
open_medium (void *opaque)
{
  OpenMedium *o = opaque;
  const VmDriveOptions *given = o->options;
  VmBlockGraph *graph = o->drive->drives->graph;
  bool readonly = given->readonly || given->cdrom;
  json_object *options = NULL;

  if (given->options)
    json_object_deep_copy (given->options, &options, NULL);
  else
    options = json_object_new_object ();
  /* With an overlay the image itself is only read. */
  set_default (options, "read-only", readonly || given->snapshot ? "on" : "off");
  set_default (options, "auto-read-only", "on");
  o->node = vm_node_open_name (graph, given->file, given->format, options, 0, o->error);
  json_object_put (options);
  if (o->node && given->snapshot && !readonly)
    {
      VmNode *base = o->node;
      o->node = vm_drive_overlay (base, o->error);
      vm_node_unref (base);
    }
  if (o->node && given->copy_on_read)
    o->node = put_on_top (graph, o->node, "copy-on-read", o->error);
}

static void
unref_node (void *node)
{
  vm_node_unref (node);
}

typedef struct SetThrottle
{
  VmBlock *block;
  const char *group;
  const VmThrottleConfig *config;
} SetThrottle;

static void
set_throttle (void *opaque)
{
  SetThrottle *s = opaque;
  VmThrottleGroup *group = vm_throttle_group_get (s->block->graph, s->group);

  vm_throttle_group_configure (group, s->config);
  s->block->throttle = vm_throttle_member_new (group);
  vm_throttle_group_unref (group);
}

VmBlock *
vm_drive_open (VmDrive *drive, const VmDriveOptions *options, GError **error)
{
  OpenMedium o = { drive, options, error, NULL };
  VmBlock *block;

  vm_graph_call (drive->drives->graph, open_medium, &o);
  if (!o.node)
    return NULL;
  block = vm_drive_block_of (drive, o.node);
  vm_graph_call (drive->drives->graph, unref_node, o.node);
  if (options->throttle && vm_throttle_config_is_set (options->throttle))
    vm_graph_call (drive->drives->graph, set_throttle,
                   &(SetThrottle){ block, options->throttle_group ? options->throttle_group : drive->parent.id,
                                   options->throttle });
  return block;
}

/* --- drives ------------------------------------------------------------------------------------------------ */

static VmDrive *
drive_new (VmDrives *drives)
{
  VmDrive *drive = (VmDrive *) vm_object_new (&vm_drive_type);

  drive->drives = drives;
  drive->loop = drives->loop;
  drive->account_invalid = drive->account_failed = true;
  drive->spec_account_invalid = drive->spec_account_failed = true;
  return drive;
}

VmDrive *
vm_drive_new (VmObject *root, VmLoop *loop, const VmDriveOptions *options, GError **error)
{
  VmDrives *drives = vm_drives_get (root, loop);
  VmDrive *drive = drive_new (drives);

  drive->cdrom = options->cdrom;
  drive->readonly = options->readonly;
  drive->write_through = options->write_through;
  drive->rerror = drive->spec_rerror = options->rerror;
  drive->werror = drive->spec_werror = options->werror;
  drive->account_invalid = drive->spec_account_invalid = !options->ignore_invalid;
  drive->account_failed = drive->spec_account_failed = !options->ignore_failed;
  drive->timed = vm_timed_stats_list (options->stats_intervals);
  drive->parent.id = g_strdup (options->id);
  if ((options->file || options->options) && !(drive->block = vm_drive_open (drive, options, error)))
    {
      vm_object_unref (&drive->parent);
      return NULL;
    }
  g_clear_pointer (&drive->parent.id, g_free);
  vm_object_add_child (&drives->parent, options->id, &drive->parent);
  vm_object_unref (&drive->parent);
  return drive;
}

VmDrive *
vm_drive_find (VmObject *root, const char *id)
{
  VmDrives *drives = vm_drives_find (root);
  VmDrive *drive = drives ? (VmDrive *) vm_object_child (&drives->parent, id) : NULL;

  return drive && !drive->anonymous ? drive : NULL;
}

void
vm_drive_remove (VmDrive *drive)
{
  vm_object_remove_child (&drive->parent);
}

static const char *
user_of (const VmDrive *drive)
{
  const VmObject *device = drive->device;

  return device && device->id ? device->id : drive->parent.id ? drive->parent.id : "";
}

static bool
attach (VmDrive *drive, VmBlock *block, GError **error)
{
  unsigned perm = VM_PERM_READ | (drive->cdrom || drive->only_reads || vm_block_readonly (block) ? 0 : VM_PERM_WRITE);
  unsigned shared = VM_PERM_ALL & ~(drive->share_rw ? 0u : VM_PERM_WRITE);

  return vm_block_attach (block, user_of (drive), perm, shared, error);
}

void
vm_drive_set_loop (VmDrive *drive, VmLoop *loop, VmLock *lock)
{
  drive->served_loop = loop;
  drive->served_lock = lock;
  if (drive->block)
    vm_block_set_loop (drive->block, loop ? loop : drive->loop, lock);
}

void
vm_drive_set_block (VmDrive *drive, VmBlock *block)
{
  VmLock *lock = drive->served_lock;
  bool taken = lock && vm_lock_enter (lock);

  if (drive->block)
    {
      vm_block_drain (drive->block);
      vm_block_close (drive->block);
    }
  vm_block_unref (drive->block);
  drive->block = block;
  drive->io_status = VMQ_BLOCK_DEVICE_IO_STATUS_OK;
  if (block)
    {
      block->owner = drive;
      /* A medium that others write cannot be put in; who puts it has asked before. */
      if (drive->device)
        attach (drive, block, NULL);
    }
  if (block && drive->served_loop)
    vm_block_set_loop (block, drive->served_loop, lock);
  if (drive->changed)
    drive->changed (drive->device);
  if (lock)
    vm_lock_leave (lock, taken);
}

bool
vm_drive_settle (VmDrive *drive, VmObject *device, GError **error)
{
  unsigned held = drive && drive->block ? vm_block_settle (drive->block) : 0;
  g_autofree char *path = held ? vm_object_path (device) : NULL;

  return !held
         || vm_fail (error, "%s: %u requests wait for the end of an I/O error, and cannot be saved: 'cont' tries them "
                            "again", path, held);
}

bool
vm_drive_insert (VmDrive *drive, VmBlock *block, GError **error)
{
  block->owner = drive;
  if (drive->device && !attach (drive, block, error))
    return false;
  vm_drive_set_block (drive, block);
  return true;
}

bool
vm_drive_claim (VmDrive *drive, void *device, void (*changed) (void *device), GError **error)
{
  if (drive->device)
    return vm_fail (error, "Drive '%s' is already in use by another device", drive->parent.id);
  drive->device = device;
  if (drive->block && !attach (drive, drive->block, error))
    {
      drive->device = NULL;
      return false;
    }
  drive->changed = changed;
  return true;
}

void
vm_drive_release (VmDrive *drive)
{
  if (drive->block)
    {
      vm_block_drain (drive->block);
      vm_block_attach (drive->block, drive->parent.id ? drive->parent.id : "", 0, VM_PERM_ALL, NULL);
    }
  if (drive->served_loop)
    vm_drive_set_loop (drive, NULL, NULL);
  drive->device = NULL;
  drive->changed = NULL;
  drive->resized = NULL;
  drive->locked = drive->tray_open = false;
  drive->rerror = drive->spec_rerror;
  drive->werror = drive->spec_werror;
  drive->account_invalid = drive->spec_account_invalid;
  drive->account_failed = drive->spec_account_failed;
  if (drive->own_timed)
    {
      g_clear_pointer (&drive->timed, g_ptr_array_unref);
      drive->timed = g_steal_pointer (&drive->spec_timed);
      drive->own_timed = false;
    }
}

/* --- property ------------------------------------------------------------------------------------- */

typedef struct FindNode
{
  VmDrive *drive;
  const char *name;
  VmNode *node;
} FindNode;

static void
find_node (void *opaque)
{
  FindNode *f = opaque;

  f->node = vm_node_find (f->drive->drives->graph, f->name);
  if (f->node)
    vm_node_ref (f->node);
}

/* A drive of its own for a device that names a node. */
static VmDrive *
drive_of_node (VmDrives *drives, const char *name)
{
  VmDrive *drive = drive_new (drives);
  FindNode f = { drive, name, NULL };

  vm_graph_call (drives->graph, find_node, &f);
  if (!f.node)
    {
      vm_object_unref (&drive->parent);
      return NULL;
    }
  drive->anonymous = true;
  drive->block = vm_drive_block_of (drive, f.node);
  vm_graph_call (drives->graph, unref_node, f.node);
  vm_object_add_child (&drives->parent, NULL, &drive->parent);
  vm_object_unref (&drive->parent);
  return drive;
}

static void
prop_drive_clear (VmObject *obj, void *field)
{
  VmDrive **place = field, *drive = *place;

  *place = NULL;
  if (drive && drive->anonymous && drive->parent.parent)
    vm_object_remove_child (&drive->parent);
}

static bool
prop_drive_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmDrive **place = field;
  VmObject *root = obj->scope ? obj->scope : vm_object_root (obj);
  VmDrives *drives = vm_drives_find (root);
  VmDrive *drive = *text ? vm_drive_find (root, text) : NULL;

  if (*text && !drive && drives)
    drive = drive_of_node (drives, text);
  if (*text && !drive)
    return vm_fail (error, "Property '%s.drive' can't find value '%s'", obj->type->name, text);
  prop_drive_clear (obj, field);
  *place = drive;
  return true;
}

typedef struct NodeName
{
  VmBlock *block;
  char *name;
} NodeName;

static void
get_node_name (void *opaque)
{
  NodeName *n = opaque;

  n->name = g_strdup (n->block->root->node->name);
}

static char *
prop_drive_get (VmObject *obj, const void *field)
{
  VmDrive *const *place = field;

  if (!*place)
    return NULL;
  if ((*place)->anonymous && (*place)->block)
    {
      NodeName n = { (*place)->block, NULL };
      vm_graph_call ((*place)->drives->graph, get_node_name, &n);
      return n.name;
    }
  return g_strdup ((*place)->parent.id);
}

const VmPropCustom vm_prop_drive = {
  .type_name = "str",
  .set = prop_drive_set,
  .get = prop_drive_get,
  .clear = prop_drive_clear,
};

/* --- type ------------------------------------------------------------------------------------------ */

static void
drive_finalize (VmObject *obj)
{
  VmDrive *drive = (VmDrive *) obj;

  if (drive->block)
    {
      vm_block_drain (drive->block);
      vm_block_close (drive->block);
    }
  vm_block_unref (drive->block);
  for (unsigned i = 0; i < VM_BLOCK_REQUEST_N; i++)
    vm_histogram_set (&drive->histograms[i], NULL, NULL);
  g_clear_pointer (&drive->timed, g_ptr_array_unref);
  g_clear_pointer (&drive->spec_timed, g_ptr_array_unref);
}

const VmType vm_drive_type = {
  .name = "drive",
  .parent = &vm_object_type,
  .size = sizeof (VmDrive),
  .help = "A place for a medium",
  .finalize = drive_finalize,
};
