/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about drives and the media in them. */
#include "block/block.h"
#include "engine/monitor/qmp-handlers.h"

/* --- finding ------------------------------------------------------------------------------------------- */

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

  if (prop && prop->custom == &vm_prop_drive && *(VmDrive **) ((char *) obj + offset) == s->drive)
    s->found = obj;
  for (guint i = 0; obj->children && i < obj->children->len && !s->found; i++)
    search_user (g_ptr_array_index (obj->children, i), s);
}

static VmObject *
user_of (VmObject *root, const VmDrive *drive)
{
  Search s = { drive, NULL };

  search_user (root, &s);
  return s.found;
}

/* What clients call it: the id the user gave, else the path. */
static char *
user_name (VmObject *user)
{
  bool named = user->parent && user->id && g_strcmp0 (user->parent->id, "peripheral") == 0;

  return named ? g_strdup (user->id) : vm_object_path (user);
}

static GPtrArray *
all_drives (VmObject *root)
{
  VmObject *folder = vm_object_child (root, "drives");

  return folder ? folder->children : NULL;
}

static VmDrive *
find_drive (VmObject *root, const char *device, const char *id, GError **error)
{
  GPtrArray *drives = all_drives (root);
  VmDrive *drive = device ? vm_drive_find (root, device) : NULL;

  if ((device != NULL) == (id != NULL))
    {
      vm_fail (error, "Need exactly one of 'device' and 'id'");
      return NULL;
    }
  for (guint i = 0; id && drives && i < drives->len && !drive; i++)
    {
      VmDrive *d = g_ptr_array_index (drives, i);
      VmObject *user = user_of (root, d);
      if (user && user == vm_object_resolve (root, id))
        drive = d;
    }
  if (!drive)
    g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device ? device : id);
  return drive;
}

/* --- queries --------------------------------------------------------------------------------------------- */

static VmqBlockDeviceInfo *
describe_image (const VmDrive *drive)
{
  VmqBlockDeviceInfo *info = g_new0 (VmqBlockDeviceInfo, 1);
  const VmBlock *block = drive->block;

  info->file = g_strdup (vm_block_path (block));
  info->node_name = g_strdup_printf ("#%s", drive->parent.id);
  info->ro = vm_block_readonly (block);
  info->drv = g_strdup ("raw");
  info->detect_zeroes = VMQ_BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
  info->image = g_new0 (VmqImageInfo, 1);
  info->image->filename = g_strdup (vm_block_path (block));
  info->image->format = g_strdup ("raw");
  info->image->has_actual_size = true;
  info->image->actual_size = vm_block_allocated (block);
  info->image->virtual_size = vm_block_size (block);
  info->cache = g_new0 (VmqBlockdevCacheInfo, 1);
  info->cache->writeback = true;
  return info;
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
      VmObject *user = user_of (root, drive);

      info->device = g_strdup (drive->parent.id);
      info->qdev = user ? user_name (user) : NULL;
      info->type = g_strdup ("unknown");
      info->removable = is_removable (drive);
      info->locked = drive->locked;
      info->inserted = drive->block ? describe_image (drive) : NULL;
      info->has_tray_open = drive->cdrom && drive->device;
      info->tray_open = drive->tray_open;
      info->has_io_status = drive->device != NULL && user;
      g_ptr_array_add (list, info);
    }
  return list;
}

GPtrArray *
vm_qmp_query_named_block_nodes (VmMonitor *mon, const VmqQueryNamedBlockNodesArg *args, GError **error)
{
  GPtrArray *list = g_ptr_array_new (), *drives = all_drives (vm_monitor_machine (mon)->env.root);

  for (guint i = 0; drives && i < drives->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives, i);
      if (drive->block)
        g_ptr_array_add (list, describe_image (drive));
    }
  return list;
}

static VmqBlockDeviceStats *
describe_stats (const VmBlock *block)
{
  static const VmBlockStats none;
  const VmBlockStats *s = block ? vm_block_stats (block) : &none;
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
  out->account_failed = true;
  return out;
}

GPtrArray *
vm_qmp_query_blockstats (VmMonitor *mon, const VmqQueryBlockstatsArg *args, GError **error)
{
  VmObject *root = vm_monitor_machine (mon)->env.root;
  GPtrArray *list = g_ptr_array_new (), *drives = all_drives (root);
  bool nodes = args->has_query_nodes && args->query_nodes;

  for (guint i = 0; drives && i < drives->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives, i);
      VmObject *user = user_of (root, drive);
      if (nodes && !drive->block)
        continue;
      VmqBlockStats *info = g_new0 (VmqBlockStats, 1);
      info->device = nodes ? NULL : g_strdup (drive->parent.id);
      info->qdev = nodes || !user ? NULL : user_name (user);
      info->node_name = drive->block ? g_strdup_printf ("#%s", drive->parent.id) : NULL;
      info->stats = describe_stats (drive->block);
      g_ptr_array_add (list, info);
    }
  return list;
}

GPtrArray *
vm_qmp_query_jobs (VmMonitor *mon, GError **error)
{
  return g_ptr_array_new (); /* no command of this build starts one */
}

GPtrArray *
vm_qmp_query_block_jobs (VmMonitor *mon, GError **error)
{
  return g_ptr_array_new ();
}

/* --- media ------------------------------------------------------------------------------------------------- */

static void
move_tray (VmMonitor *mon, VmDrive *drive, bool open)
{
  VmMachine *machine = vm_monitor_machine (mon);
  VmObject *user = user_of (machine->env.root, drive);

  if (!drive->cdrom || !drive->device || drive->tray_open == open)
    return;
  drive->tray_open = open;
  g_autofree char *id = user ? user_name (user) : g_strdup ("");
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
  VmDrive *drive = find_drive (vm_monitor_machine (mon)->env.root, args->device, args->id, error);

  if (!drive || !open_tray (mon, drive, args->has_force && args->force, error))
    return false;
  take_out (drive);
  return true;
}

bool
vm_qmp_blockdev_open_tray (VmMonitor *mon, const VmqBlockdevOpenTrayArg *args, GError **error)
{
  VmDrive *drive = find_drive (vm_monitor_machine (mon)->env.root, args->device, args->id, error);

  return drive && open_tray (mon, drive, args->has_force && args->force, error);
}

bool
vm_qmp_blockdev_close_tray (VmMonitor *mon, const VmqBlockdevCloseTrayArg *args, GError **error)
{
  VmDrive *drive = find_drive (vm_monitor_machine (mon)->env.root, args->device, args->id, error);

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
  VmDrive *drive = find_drive (vm_monitor_machine (mon)->env.root, NULL, args->id, error);

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
  VmDrive *drive = find_drive (vm_monitor_machine (mon)->env.root, args->device, args->id, error);
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
  vm_drive_set_block (drive, block);
  move_tray (mon, drive, false);
  return true;
}
