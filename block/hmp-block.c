/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the human monitor about disks: those of QMP by other names, and the two that only people have. */
#include "block/jobs/copy.h"
#include "block/qmp-call.h"
#include "engine/monitor/hmp.h"
#include "engine/options/options.h"

#include <errno.h>

static void
add_text (json_object *to, const char *key, const char *text)
{
  if (text)
    json_object_object_add (to, key, json_object_new_string (text));
}

static json_object *
device_of (const VmHmpArgs *args)
{
  json_object *arguments = json_object_new_object ();

  add_text (arguments, "device", vm_hmp_text (args, "device"));
  return arguments;
}

static void
run (VmMonitor *mon, const char *command, json_object *arguments)
{
  g_autofree char *text = vm_json_to_string (arguments, false);

  json_object_put (arguments);
  json_object_put (vm_hmp_qmp (mon, command, "%s", text));
}

static void
add_bool (json_object *to, const char *key, bool value)
{
  json_object_object_add (to, key, json_object_new_boolean (value));
}

/* --- jobs ------------------------------------------------------------------------------------------------- */

void
vm_hmp_block_job_cancel (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_bool (arguments, "force", vm_hmp_flag (args, "force"));
  run (mon, "block-job-cancel", arguments);
}

void
vm_hmp_block_job_complete (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "block-job-complete", device_of (args));
}

void
vm_hmp_block_job_pause (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "block-job-pause", device_of (args));
}

void
vm_hmp_block_job_resume (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "block-job-resume", device_of (args));
}

static void
add_number (json_object *to, const char *key, const VmHmpArgs *args, const char *name)
{
  if (vm_hmp_arg (args, name))
    json_object_object_add (to, key, json_object_new_int64 (vm_hmp_number (args, name, 0)));
}

void
vm_hmp_block_job_set_speed (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_number (arguments, "speed", args, "speed");
  run (mon, "block-job-set-speed", arguments);
}

void
vm_hmp_block_stream (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_number (arguments, "speed", args, "speed");
  add_text (arguments, "base", vm_hmp_text (args, "base"));
  run (mon, "block-stream", arguments);
}

/* "-n": the image is there; "-f": all of the disk, not only what its top has. */
static json_object *
copy_arguments (const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_text (arguments, "target", vm_hmp_text (args, "target"));
  add_text (arguments, "format", vm_hmp_text (args, "format"));
  add_text (arguments, "mode", vm_hmp_flag (args, "reuse") ? "existing" : "absolute-paths");
  add_text (arguments, "sync", vm_hmp_flag (args, "full") ? "full" : "top");
  return arguments;
}

void
vm_hmp_drive_mirror (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "drive-mirror", copy_arguments (args));
}

void
vm_hmp_drive_backup (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = copy_arguments (args);

  add_bool (arguments, "compress", vm_hmp_flag (args, "compress"));
  run (mon, "drive-backup", arguments);
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

void
vm_hmp_block_resize (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_number (arguments, "size", args, "size");
  run (mon, "block_resize", arguments);
}

void
vm_hmp_block_set_io_throttle (VmMonitor *mon, const VmHmpArgs *args)
{
  static const char *const names[] = { "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr" };
  json_object *arguments = device_of (args);

  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    add_number (arguments, names[i], args, names[i]);
  run (mon, "block_set_io_throttle", arguments);
}

void
vm_hmp_snapshot_blkdev (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  if (!vm_hmp_text (args, "snapshot-file"))
    {
      json_object_put (arguments);
      vm_monitor_puts (mon, "Error: Parameter 'snapshot-file' is missing\n");
      return;
    }
  add_text (arguments, "snapshot-file", vm_hmp_text (args, "snapshot-file"));
  add_text (arguments, "format", vm_hmp_text (args, "format"));
  add_text (arguments, "mode", vm_hmp_flag (args, "reuse") ? "existing" : "absolute-paths");
  run (mon, "blockdev-snapshot-sync", arguments);
}

void
vm_hmp_snapshot_blkdev_internal (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_text (arguments, "name", vm_hmp_text (args, "name"));
  run (mon, "blockdev-snapshot-internal-sync", arguments);
}

void
vm_hmp_snapshot_delete_blkdev_internal (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = device_of (args);

  add_text (arguments, "name", vm_hmp_text (args, "name"));
  add_text (arguments, "id", vm_hmp_text (args, "id"));
  run (mon, "blockdev-snapshot-delete-internal-sync", arguments);
}

/* --- commit ------------------------------------------------------------------------------------------------ */

static int
commit_data (VmNode *top, VmNode *base)
{
  g_autofree void *buffer = g_malloc (VM_JOB_CHUNK);
  int status = 0;
  bool read;

  if (base->size < top->size && (status = vm_node_truncate (base, top->size, true, VM_PREALLOC_OFF, 0, NULL)) < 0)
    return status;
  for (uint64_t at = 0, len; at < top->size && status >= 0; at += len)
    {
      len = top->size - at;
      status = vm_job_allocated (top, base, at, &len);
      if (status <= 0)
        continue;
      len = MIN (len, VM_JOB_CHUNK);
      status = vm_job_copy (top, base, at, len, buffer, 0, VM_REQ_UNMAP, &read);
    }
  return status < 0 ? status : vm_node_flush (base);
}

static int
empty (VmNode *top)
{
  int status = top->driver->make_empty ? top->driver->make_empty (top) : -ENOTSUP;

  return status < 0 ? status : vm_node_flush (top);
}

static const VmRootClass commit_root = { .kind = "commit" };

/* The layer goes down into the one below, and is empty then. */
static bool
commit_one (VmBlockCall *call, GError **error)
{
  const char *device = call->args;
  VmNode *node = vm_block_call_device (call, device, error), *top = node ? vm_node_skip_filters (node) : NULL;
  VmNode *base = top ? vm_node_backing (top) : NULL;
  VmEdge *root = NULL;
  bool was_readonly;
  int status;

  if (!top)
    return false;
  if (!base || !top->driver->make_empty)
    return vm_fail (error, "'commit' error for '%s': %s", device, g_strerror (ENOTSUP));
  was_readonly = base->readonly;
  vm_node_drain_begin (top);
  vm_job_share_backing (top, true);
  if (vm_node_set_readonly (base, false, error))
    root = vm_node_attach_root (base, "commit", &commit_root, NULL, VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE,
                                VM_PERM_ALL, error);
  status = root ? commit_data (top, base) : 0;
  if (root && status >= 0)
    status = empty (top);
  if (root)
    vm_node_detach (root);
  vm_job_share_backing (top, false);
  if (was_readonly)
    vm_node_set_readonly (base, true, NULL);
  vm_node_drain_end (top);
  return status < 0 ? vm_fail (error, "'commit' error for '%s': %s", device, g_strerror (-status)) : root != NULL;
}

static bool
run_commit (VmMonitor *mon, const char *device)
{
  g_autoptr (GError) error = NULL;
  VmBlockCall call = { .func = commit_one, .args = device };
  bool ok = vm_block_call (mon, &call, &error);

  if (!ok)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
  return ok;
}

void
vm_hmp_commit (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *device = vm_hmp_text (args, "device");
  VmDrives *drives = vm_drives_find (vm_monitor_machine (mon)->env.root);

  if (strcmp (device, "all"))
    {
      run_commit (mon, device);
      return;
    }
  for (guint i = 0; drives && drives->parent.children && i < drives->parent.children->len; i++)
    {
      const VmDrive *drive = g_ptr_array_index (drives->parent.children, i);
      if (drive->block && !drive->anonymous && !vm_block_readonly (drive->block))
        run_commit (mon, drive->parent.id);
    }
}

/* --- drives ------------------------------------------------------------------------------------------------- */

/* The guest's disk has no medium from now on; a drive that nobody uses goes. */
static bool
add_drive (VmMachine *machine, VmDriveSpec *spec, GError **error)
{
  for (unsigned n = 0; !spec->id; n++)
    {
      g_autofree char *id = g_strdup_printf ("none%u", n);
      if (!vm_drive_find (machine->env.root, id))
        spec->id = g_steal_pointer (&id);
    }
  if (spec->interface != VM_IF_NONE)
    return vm_fail (error, "Can't hot-add drives to an interface: if=none, and device_add");
  if (vm_drive_find (machine->env.root, spec->id))
    return vm_fail (error, "Duplicate ID '%s' for drive", spec->id);
  return vm_drive_add (machine, spec, error);
}

static bool
add_blockdev (VmMachine *machine, const char *text, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  json_object *json = json_object_new_object ();
  bool ok = vm_keyvals_parse (list, text, "driver", VM_KEYVALS_STRICT, error);

  for (guint i = 0; ok && i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      add_text (json, pair->key, pair->value);
    }
  vm_drives_bind (machine);
  ok = ok && vm_graph_add_node (vm_drives_find (machine->env.root)->graph, json, VM_SCHEMA_TEXT, error);
  json_object_put (json);
  return ok;
}

/* A drive that no device has yet, or a node; the address is of times when it said which adapter it was for. */
void
vm_hmp_drive_add (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *text = vm_hmp_text (args, "opts");
  char *argv[] = { (char *) "vitrine", (char *) "-no-user-config", (char *) "-nodefaults", (char *) "-drive",
                   (char *) (uintptr_t) text };
  VmMachine *machine = vm_monitor_machine (mon);
  g_autoptr (GError) error = NULL;

  if (vm_hmp_flag (args, "node"))
    add_blockdev (machine, text, &error);
  else
    {
      g_autoptr (VmSettings) settings = vm_settings_new ();
      if (vm_options_parse (G_N_ELEMENTS (argv), argv, settings, &error) == VM_OPTIONS_RUN && settings->drives->len
          && add_drive (machine, g_ptr_array_index (settings->drives, 0), &error))
        vm_monitor_puts (mon, "OK\n");
    }
  if (error)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}

void
vm_hmp_drive_del (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *id = vm_hmp_text (args, "id");
  VmDrive *drive = vm_drive_find (vm_monitor_machine (mon)->env.root, id);

  if (!drive)
    vm_monitor_printf (mon, "Error: Device '%s' not found\n", id);
  else if (drive->device)
    vm_drive_set_block (drive, NULL);
  else
    vm_drive_remove (drive);
}
