/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about drives and the media in them. */
#include "block/drives.h"
#include "block/bitmap.h"
#include "block/info.h"
#include "block/latency.h"
#include "block/machine.h"
#include "engine/monitor/qmp-handlers.h"

/* --- finding ------------------------------------------------------------------------------------------- */

static GPtrArray *
all_drives (VmObject *root)
{
  VmObject *folder = vm_object_child (root, "drives");

  return folder ? folder->children : NULL;
}

VmDrive *
vm_drive_find_named (VmMachine *machine, const char *device, const char *id, GError **error)
{
  VmObject *root = machine->env.root;
  GPtrArray *drives = all_drives (root);
  VmDrive *drive = device ? vm_drive_find (root, device) : NULL;

  if ((device != NULL) == (id != NULL))
    {
      vm_fail (error, "Need exactly one of 'device' and 'id'");
      return NULL;
    }
  /* A drive may have the id of its device. */
  VmObject *target = id ? vm_object_child (machine->peripheral, id) : NULL;
  if (id && !target)
    target = vm_object_resolve (root, id);
  for (guint i = 0; target && drives && i < drives->len && !drive; i++)
    {
      VmDrive *d = g_ptr_array_index (drives, i);
      VmObject *user = vm_drive_user (machine, d);
      if (user == target || (user && vm_object_child (target, "virtio-backend") == user))
        drive = d;
    }
  if (!drive)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device ? device : id);
  return drive;
}

/* --- queries --------------------------------------------------------------------------------------------- */

/* The chain of images below NODE counts those under it. */
static unsigned
depth_of (VmNode *node)
{
  unsigned depth = 0;

  while ((node = vm_node_backing (node)))
    depth++;
  return depth;
}

static void
describe_throttle (VmqBlockDeviceInfo *info, const VmThrottleMember *member)
{
  const VmThrottleConfig *c = vm_throttle_group_config (vm_throttle_member_group (member));
  const VmThrottleLimit *l;

#define LIMIT(kind, field)                                                                                             \
  l = &c->limits[kind];                                                                                                \
  info->field = (int64_t) l->avg;                                                                                      \
  info->has_##field##_max = info->has_##field##_max_length = l->max != 0;                                              \
  info->field##_max = (int64_t) l->max;                                                                                \
  info->field##_max_length = (int64_t) l->burst_length
  LIMIT (VM_THROTTLE_BPS_TOTAL, bps);
  LIMIT (VM_THROTTLE_BPS_READ, bps_rd);
  LIMIT (VM_THROTTLE_BPS_WRITE, bps_wr);
  LIMIT (VM_THROTTLE_OPS_TOTAL, iops);
  LIMIT (VM_THROTTLE_OPS_READ, iops_rd);
  LIMIT (VM_THROTTLE_OPS_WRITE, iops_wr);
#undef LIMIT
  info->has_iops_size = c->op_size != 0;
  info->iops_size = (int64_t) c->op_size;
  info->group = g_strdup (vm_throttle_group_name (vm_throttle_member_group (member)));
}

/* Also those of jobs, which have no name. NULL: none. */
static GPtrArray *
describe_bitmaps (const VmNode *node)
{
  GPtrArray *list = node->bitmaps && node->bitmaps->len ? g_ptr_array_new () : NULL;

  for (guint i = 0; list && i < node->bitmaps->len; i++)
    {
      const VmDirtyBitmap *b = g_ptr_array_index (node->bitmaps, i);
      VmqBlockDirtyInfo *info = g_new0 (VmqBlockDirtyInfo, 1);
      info->name = g_strdup (b->name);
      info->count = (int64_t) vm_bitmap_count (b);
      info->granularity = (int64_t) vm_bitmap_granularity (b);
      info->recording = b->recording;
      info->busy = b->busy || !b->name;
      info->persistent = b->persistent;
      info->has_inconsistent = info->inconsistent = b->inconsistent;
      g_ptr_array_add (list, info);
    }
  return list;
}

/* In a fiber. FLAT: without the images below. */
static VmqBlockDeviceInfo *
describe_node (VmNode *node, bool flat)
{
  VmqBlockDeviceInfo *info = g_new0 (VmqBlockDeviceInfo, 1);
  json_object *image = vm_node_info (node, flat ? 0 : VM_INFO_BACKING);

  info->file = g_strdup (node->filename);
  info->node_name = g_strdup (node->name);
  info->ro = node->readonly;
  info->drv = g_strdup (node->driver->name);
  info->backing_file = g_strdup (node->backing ? node->backing->node->filename : NULL);
  info->backing_file_depth = depth_of (node);
  info->encrypted = node->encrypted;
  info->detect_zeroes = node->detect_zeroes;
  info->write_threshold = (int64_t) node->write_threshold;
  info->image = vm_schema_read (&vmq_type_imageinfo, image, VM_SCHEMA_JSON, NULL, NULL);
  if (!info->image) /* never: what is written is what is read */
    info->image = g_new0 (VmqImageInfo, 1);
  json_object_put (image);
  info->dirty_bitmaps = describe_bitmaps (node);
  info->cache = g_new0 (VmqBlockdevCacheInfo, 1);
  info->cache->writeback = true;
  info->cache->direct = node->cache_direct;
  info->cache->no_flush = node->cache_no_flush;
  return info;
}

typedef struct Describe
{
  VmBlockGraph *graph;
  VmBlock *block;
  bool flat;
  VmqBlockDeviceInfo *info;
  GPtrArray *list;
} Describe;

static void
describe_block (void *opaque)
{
  Describe *d = opaque;

  d->info = describe_node (d->block->root->node, false);
  if (d->block->throttle)
    describe_throttle (d->info, d->block->throttle);
}

static VmqBlockDeviceInfo *
describe_image (const VmDrive *drive)
{
  Describe d = { .block = drive->block };

  vm_graph_call (drive->drives->graph, describe_block, &d);
  d.info->cache->writeback = !drive->block->write_through;
  return d.info;
}

/* A drive whose user is told of other media takes them out, and one that nobody has. */
static bool
is_removable (const VmDrive *drive)
{
  return drive->cdrom || drive->changed || !drive->device;
}

GPtrArray *
vm_qmp_query_block (VmMonitor *mon, GError **error)
{
  VmObject *root = vm_monitor_machine (mon)->env.root;
  GPtrArray *list = g_ptr_array_new (), *drives = all_drives (root);

  for (guint i = 0; drives && i < drives->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives, i);
      VmqBlockInfo *info = g_new0 (VmqBlockInfo, 1);
      VmObject *user = vm_drive_user (vm_monitor_machine (mon), drive);

      info->device = g_strdup (drive->anonymous ? "" : drive->parent.id);
      info->qdev = user ? vm_drive_user_name (user) : NULL;
      info->type = g_strdup ("unknown");
      info->removable = is_removable (drive);
      info->locked = drive->locked;
      info->inserted = drive->block ? describe_image (drive) : NULL;
      info->has_tray_open = drive->cdrom && drive->device;
      info->tray_open = drive->tray_open;
      info->has_io_status = drive->device != NULL && user;
      info->io_status = drive->io_status;
      g_ptr_array_add (list, info);
    }
  return list;
}

static void
describe_nodes (void *opaque)
{
  Describe *d = opaque;
  const GPtrArray *nodes = vm_graph_nodes (d->graph);

  /* The latest first, as clients know it. */
  for (guint i = nodes->len; i-- > 0;)
    {
      VmNode *node = g_ptr_array_index (nodes, i);
      if (!node->implicit)
        g_ptr_array_add (d->list, describe_node (node, d->flat));
    }
}

GPtrArray *
vm_qmp_query_named_block_nodes (VmMonitor *mon, const VmqQueryNamedBlockNodesArg *args, GError **error)
{
  VmDrives *drives = vm_drives_find (vm_monitor_machine (mon)->env.root);
  Describe d = { .flat = args->has_flat && args->flat, .list = g_ptr_array_new () };

  if (!drives)
    return d.list;
  d.graph = drives->graph;
  vm_graph_call (drives->graph, describe_nodes, &d);
  return d.list;
}

static VmqBlockDeviceStats *
describe_stats (const VmBlockStats *s, const VmDrive *drive)
{
  VmqBlockDeviceStats *out = g_new0 (VmqBlockDeviceStats, 1);

  out->rd_bytes = s->bytes[VM_BLOCK_READ];
  out->wr_bytes = s->bytes[VM_BLOCK_WRITE];
  out->unmap_bytes = s->bytes[VM_BLOCK_DISCARD];
  out->rd_operations = s->operations[VM_BLOCK_READ];
  out->wr_operations = s->operations[VM_BLOCK_WRITE];
  out->flush_operations = s->operations[VM_BLOCK_FLUSH];
  out->unmap_operations = s->operations[VM_BLOCK_DISCARD];
  out->rd_total_time_ns = s->time_ns[VM_BLOCK_READ];
  out->wr_total_time_ns = s->time_ns[VM_BLOCK_WRITE];
  out->flush_total_time_ns = s->time_ns[VM_BLOCK_FLUSH];
  out->unmap_total_time_ns = s->time_ns[VM_BLOCK_DISCARD];
  out->wr_highest_offset = s->highest;
  out->failed_rd_operations = s->failed[VM_BLOCK_READ];
  out->failed_wr_operations = s->failed[VM_BLOCK_WRITE];
  out->failed_flush_operations = s->failed[VM_BLOCK_FLUSH];
  out->failed_unmap_operations = s->failed[VM_BLOCK_DISCARD];
  out->invalid_rd_operations = s->invalid[VM_BLOCK_READ];
  out->invalid_wr_operations = s->invalid[VM_BLOCK_WRITE];
  out->invalid_flush_operations = s->invalid[VM_BLOCK_FLUSH];
  out->invalid_unmap_operations = s->invalid[VM_BLOCK_DISCARD];
  out->timed_stats = g_ptr_array_new ();
  for (guint i = 0; drive && drive->timed && i < drive->timed->len; i++)
    g_ptr_array_add (out->timed_stats,
                     vm_timed_stats_describe (g_ptr_array_index (drive->timed, i), g_get_monotonic_time ()));
  out->has_idle_time_ns = s->last_us != 0;
  out->idle_time_ns = s->last_us ? (g_get_monotonic_time () - s->last_us) * 1000 : 0;
  if (drive)
    {
      out->rd_latency_histogram = vm_histogram_describe (&drive->histograms[VM_BLOCK_READ]);
      out->wr_latency_histogram = vm_histogram_describe (&drive->histograms[VM_BLOCK_WRITE]);
      out->flush_latency_histogram = vm_histogram_describe (&drive->histograms[VM_BLOCK_FLUSH]);
    }
  out->account_failed = !drive || drive->account_failed;
  out->account_invalid = !drive || drive->account_invalid;
  return out;
}

/* In a fiber: what lies below is told, too. */
static VmqBlockStats *
node_stats (VmNode *node, bool with_children)
{
  VmqBlockStats *info = g_new0 (VmqBlockStats, 1);
  VmNode *backing = vm_node_backing (node);

  info->node_name = g_strdup (node->name);
  info->stats = describe_stats (&node->stats, NULL);
  if (with_children && node->file)
    info->parent = node_stats (node->file->node, true);
  if (with_children && backing)
    info->backing = node_stats (backing, true);
  return info;
}

static void
all_node_stats (void *opaque)
{
  Describe *d = opaque;
  const GPtrArray *nodes = vm_graph_nodes (d->graph);

  for (guint i = nodes->len; i-- > 0;)
    g_ptr_array_add (d->list, node_stats (g_ptr_array_index (nodes, i), false));
}

static void
block_stats (void *opaque)
{
  Describe *d = opaque;
  VmqBlockStats *info = node_stats (d->block->root->node, true);

  g_ptr_array_add (d->list, info);
}

static VmqBlockStats *
drive_stats (const VmDrive *drive)
{
  static const VmBlockStats none;
  Describe d = { .block = drive->block };
  VmqBlockStats *info;

  if (drive->block)
    {
      d.list = g_ptr_array_new ();
      vm_graph_call (drive->drives->graph, block_stats, &d);
      info = g_ptr_array_index (d.list, 0);
      g_ptr_array_unref (d.list);
      vm_schema_free (&vmq_type_blockdevicestats, info->stats);
    }
  else
    info = g_new0 (VmqBlockStats, 1);
  info->stats = describe_stats (drive->block ? vm_block_stats (drive->block) : &none, drive);
  return info;
}

GPtrArray *
vm_qmp_query_blockstats (VmMonitor *mon, const VmqQueryBlockstatsArg *args, GError **error)
{
  VmMachine *machine = vm_monitor_machine (mon);
  VmDrives *folder = vm_drives_find (machine->env.root);
  GPtrArray *list = g_ptr_array_new (), *drives = all_drives (machine->env.root);

  if (folder && args->has_query_nodes && args->query_nodes)
    {
      Describe d = { .graph = folder->graph, .list = list };
      vm_graph_call (folder->graph, all_node_stats, &d);
      return list;
    }
  for (guint i = 0; drives && i < drives->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives, i);
      VmObject *user = vm_drive_user (machine, drive);
      VmqBlockStats *info = drive_stats (drive);
      info->device = g_strdup (drive->anonymous ? "" : drive->parent.id);
      info->qdev = user ? vm_drive_user_name (user) : NULL;
      g_ptr_array_add (list, info);
    }
  return list;
}

/* --- media ------------------------------------------------------------------------------------------------- */

static void
move_tray (VmMonitor *mon, VmDrive *drive, bool open)
{
  VmMachine *machine = vm_monitor_machine (mon);
  VmObject *user = vm_drive_user (machine, drive);

  if (!drive->cdrom || !drive->device || drive->tray_open == open)
    return;
  drive->tray_open = open;
  g_autofree char *id = user ? vm_drive_user_name (user) : g_strdup ("");
  vm_machine_emit (machine, "DEVICE_TRAY_MOVED", "{\"device\": \"%s\", \"id\": \"%s\", \"tray-open\": %s}",
                   drive->parent.id, id, open ? "true" : "false");
}

static bool
open_tray (VmMonitor *mon, VmDrive *drive, bool force, GError **error)
{
  if (!is_removable (drive))
    return vm_fail (error, "Device '%s' is not removable", drive->parent.id);
  if (drive->locked && !drive->tray_open && !force)
    return vm_fail (error, "Device '%s' is locked and force was not specified, wait for tray to open and try again",
                    drive->parent.id);
  move_tray (mon, drive, true);
  return true;
}

static void
take_out (VmDrive *drive)
{
  if (drive->block)
    vm_drive_set_block (drive, NULL);
}

bool
vm_qmp_eject (VmMonitor *mon, const VmqEjectArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), args->device, args->id, error);

  if (!drive || !open_tray (mon, drive, args->has_force && args->force, error))
    return false;
  take_out (drive);
  return true;
}

bool
vm_qmp_blockdev_open_tray (VmMonitor *mon, const VmqBlockdevOpenTrayArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), args->device, args->id, error);

  return drive && open_tray (mon, drive, args->has_force && args->force, error);
}

bool
vm_qmp_blockdev_close_tray (VmMonitor *mon, const VmqBlockdevCloseTrayArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), args->device, args->id, error);

  if (!drive)
    return false;
  if (!is_removable (drive))
    return vm_fail (error, "Device '%s' is not removable", drive->parent.id);
  move_tray (mon, drive, false);
  return true;
}

bool
vm_qmp_blockdev_remove_medium (VmMonitor *mon, const VmqBlockdevRemoveMediumArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), NULL, args->id, error);

  if (!drive)
    return false;
  if (!is_removable (drive))
    return vm_fail (error, "Device '%s' is not removable", args->id);
  if (drive->cdrom && drive->device && !drive->tray_open)
    return vm_fail (error, "Tray of device '%s' is not open", args->id);
  take_out (drive);
  return true;
}

bool
vm_qmp_blockdev_change_medium (VmMonitor *mon, const VmqBlockdevChangeMediumArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), args->device, args->id, error);
  VmqBlockdevChangeReadOnlyMode mode
      = args->has_read_only_mode ? args->read_only_mode : VMQ_BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN;

  if (!drive)
    return false;
  bool readonly = mode == VMQ_BLOCKDEV_CHANGE_READ_ONLY_MODE_RETAIN
                      ? drive->readonly
                      : mode == VMQ_BLOCKDEV_CHANGE_READ_ONLY_MODE_READ_ONLY;
  VmDriveOptions options = { .file = args->filename, .format = args->format, .readonly = readonly || drive->cdrom };
  VmBlock *block = vm_drive_open (drive, &options, error);
  if (!block)
    return false;
  if (!open_tray (mon, drive, args->has_force && args->force, error))
    {
      vm_block_unref (block);
      return false;
    }
  take_out (drive);
  drive->readonly = readonly;
  if (!vm_drive_insert (drive, block, error))
    {
      vm_block_unref (block);
      return false;
    }
  move_tray (mon, drive, false);
  return true;
}

typedef struct BlockOfNode
{
  VmDrive *drive;
  const char *name;
  VmBlock *block;
  GError **error;
} BlockOfNode;

static void
block_of_node (void *opaque)
{
  BlockOfNode *b = opaque;
  VmNode *node = vm_node_find (b->drive->drives->graph, b->name);

  if (node)
    b->block = vm_drive_block_of (b->drive, node);
  else
    vm_fail (b->error, "Node '%s' not found", b->name);
}

bool
vm_qmp_blockdev_insert_medium (VmMonitor *mon, const VmqBlockdevInsertMediumArg *args, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), NULL, args->id, error);
  BlockOfNode b = { drive, args->node_name, NULL, error };

  if (!drive)
    return false;
  if (!is_removable (drive))
    return vm_fail (error, "Device '%s' is not removable", args->id);
  if (drive->cdrom && drive->device && !drive->tray_open)
    return vm_fail (error, "Tray of device '%s' is not open", args->id);
  if (drive->block)
    return vm_fail (error, "There already is a medium in device '%s'", args->id);
  vm_graph_call (drive->drives->graph, block_of_node, &b);
  if (!b.block)
    return false;
  if (vm_drive_insert (drive, b.block, error))
    return true;
  vm_block_unref (b.block);
  return false;
}

bool
vm_qmp_block_latency_histogram_set (VmMonitor *mon, const VmqBlockLatencyHistogramSetArg *a, GError **error)
{
  VmDrive *drive = vm_drive_find_named (vm_monitor_machine (mon), NULL, a->id, error);
  const GArray *given[] = { a->boundaries_read, a->boundaries_write, a->boundaries_flush };
  static const VmBlockRequestKind kinds[] = { VM_BLOCK_READ, VM_BLOCK_WRITE, VM_BLOCK_FLUSH };
  bool all = !given[0] && !given[1] && !given[2];

  if (!drive)
    return false;
  for (unsigned i = 0; i < 3; i++)
    {
      const GArray *bounds = given[i] ? given[i] : a->boundaries;
      /* Without any, what is there goes. */
      if ((bounds || all) && !vm_histogram_set (&drive->histograms[kinds[i]], bounds, error))
        return false;
    }
  return true;
}
