/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The human monitor: drives, dumps of memory, migration, what a machine may be fitted with. */
#include "engine/monitor/hmp.h"

static json_object *
member (json_object *object, const char *key)
{
  json_object *value = NULL;

  json_object_object_get_ex (object, key, &value);
  return value;
}

static bool
is_true (json_object *object, const char *key)
{
  return json_object_get_boolean (member (object, key));
}

static void
run (VmMonitor *mon, const char *command, json_object *arguments)
{
  g_autoptr (GError) error = NULL;

  json_object_put (vm_monitor_execute (mon, command, arguments, &error));
  json_object_put (arguments);
  if (error)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}

static json_object *
one (const char *key, json_object *value)
{
  json_object *arguments = json_object_new_object ();

  json_object_object_add (arguments, key, value);
  return arguments;
}

static void
add_text (json_object *arguments, const char *key, const char *text)
{
  if (text)
    json_object_object_add (arguments, key, json_object_new_string (text));
}

/* --- drives --- */

static void
print_image (VmMonitor *mon, json_object *image, bool verbose)
{
  json_object *cache = member (image, "cache"), *info = member (image, "image");

  vm_monitor_printf (mon, "%s (%s%s)\n", vm_hmp_member (image, "file"), vm_hmp_member (image, "drv"),
                     is_true (image, "ro") ? ", read-only" : "");
  vm_monitor_printf (mon, "    Cache mode:       %s%s%s\n", is_true (cache, "writeback") ? "writeback" : "writethrough",
                     is_true (cache, "direct") ? ", direct" : "",
                     is_true (cache, "no-flush") ? ", ignore flushes" : "");
  if (!verbose)
    return;
  vm_monitor_printf (mon, "\nimage: %s\nfile format: %s\nvirtual size: %s bytes\ndisk size: %s bytes\n",
                     vm_hmp_member (info, "filename"), vm_hmp_member (info, "format"),
                     vm_hmp_member (info, "virtual-size"), vm_hmp_member (info, "actual-size"));
}

static void
print_drive (VmMonitor *mon, json_object *drive, bool verbose)
{
  json_object *inserted = member (drive, "inserted");

  vm_monitor_printf (mon, "%s: ", vm_hmp_member (drive, "device"));
  if (inserted)
    vm_monitor_printf (mon, "%s (%s%s)\n", vm_hmp_member (inserted, "file"), vm_hmp_member (inserted, "drv"),
                       is_true (inserted, "ro") ? ", read-only" : "");
  else
    vm_monitor_puts (mon, "[not inserted]\n");
  if (*vm_hmp_member (drive, "qdev"))
    vm_monitor_printf (mon, "    Attached to:      %s\n", vm_hmp_member (drive, "qdev"));
  if (is_true (drive, "removable"))
    vm_monitor_printf (mon, "    Removable device: %slocked, tray %s\n", is_true (drive, "locked") ? "" : "not ",
                       is_true (drive, "tray_open") ? "open" : "closed");
  if (!inserted)
    return;
  json_object *cache = member (inserted, "cache"), *info = member (inserted, "image");
  vm_monitor_printf (mon, "    Cache mode:       %s%s\n", is_true (cache, "writeback") ? "writeback" : "writethrough",
                     is_true (cache, "direct") ? ", direct" : "");
  if (verbose)
    vm_monitor_printf (mon, "\nImages:\nimage: %s\nfile format: %s\nvirtual size: %s bytes\ndisk size: %s bytes\n",
                       vm_hmp_member (info, "filename"), vm_hmp_member (info, "format"),
                       vm_hmp_member (info, "virtual-size"), vm_hmp_member (info, "actual-size"));
}

void
vm_hmp_info_block (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *device = vm_hmp_text (args, "device");
  bool nodes = vm_hmp_flag (args, "nodes"), verbose = vm_hmp_flag (args, "verbose"), any = false;
  json_object *list = vm_hmp_qmp (mon, nodes ? "query-named-block-nodes" : "query-block", NULL);

  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    {
      json_object *item = json_object_array_get_idx (list, i);
      if (device && strcmp (device, vm_hmp_member (item, nodes ? "node-name" : "device")) != 0)
        continue;
      if (any)
        vm_monitor_puts (mon, "\n");
      any = true;
      if (nodes)
        {
          vm_monitor_printf (mon, "%s: ", vm_hmp_member (item, "node-name"));
          print_image (mon, item, verbose);
        }
      else
        {
          print_drive (mon, item, verbose);
        }
    }
  json_object_put (list);
}

static void
print_stats (VmMonitor *mon, json_object *item)
{
  static const char *const keys[]
      = { "rd_bytes",         "wr_bytes",         "rd_operations",       "wr_operations", "flush_operations",
          "wr_total_time_ns", "rd_total_time_ns", "flush_total_time_ns", "rd_merged",     "wr_merged" };
  json_object *stats = member (item, "stats");

  vm_monitor_printf (mon, "%s:", vm_hmp_member (item, "device"));
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    vm_monitor_printf (mon, " %s=%s", keys[i], vm_hmp_member (stats, keys[i]));
  vm_monitor_puts (mon, "\n");
}

void
vm_hmp_info_blockstats (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_hmp_each (mon, "query-blockstats", print_stats);
}

void
vm_hmp_info_block_jobs (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *list = vm_hmp_qmp (mon, "query-block-jobs", NULL);

  for (size_t i = 0; list && i < json_object_array_length (list); i++)
    {
      json_object *job = json_object_array_get_idx (list, i);
      vm_monitor_printf (mon, "Type %s, device %s: Completed %s of %s bytes, speed limit %s bytes/s\n",
                         vm_hmp_member (job, "type"), vm_hmp_member (job, "device"), vm_hmp_member (job, "offset"),
                         vm_hmp_member (job, "len"), vm_hmp_member (job, "speed"));
    }
  if (list && !json_object_array_length (list))
    vm_monitor_puts (mon, "No active jobs\n");
  json_object_put (list);
}

void
vm_hmp_eject (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = one ("force", json_object_new_boolean (vm_hmp_flag (args, "force")));

  add_text (arguments, "device", vm_hmp_text (args, "device"));
  run (mon, "eject", arguments);
}

void
vm_hmp_change (VmMonitor *mon, const VmHmpArgs *args)
{
  if (!strcmp (vm_hmp_text (args, "device"), "vnc"))
    {
      vm_hmp_change_vnc (mon, vm_hmp_text (args, "target"), vm_hmp_text (args, "arg"));
      return;
    }
  json_object *arguments = one ("force", json_object_new_boolean (vm_hmp_flag (args, "force")));

  add_text (arguments, "device", vm_hmp_text (args, "device"));
  add_text (arguments, "filename", vm_hmp_text (args, "target"));
  add_text (arguments, "format", vm_hmp_text (args, "arg"));
  add_text (arguments, "read-only-mode", vm_hmp_text (args, "read-only-mode"));
  run (mon, "blockdev-change-medium", arguments);
}

/* --- dumps --- */

void
vm_hmp_dump_guest_memory (VmMonitor *mon, const VmHmpArgs *args)
{
  static const struct
  {
    const char *flag, *format;
  } formats[]
      = { { "windmp", "win-dmp" }, { "zlib", "kdump-zlib" }, { "lzo", "kdump-lzo" }, { "snappy", "kdump-snappy" } };
  json_object *arguments = one ("paging", json_object_new_boolean (vm_hmp_flag (args, "paging")));
  g_autofree char *protocol = g_strconcat ("file:", vm_hmp_text (args, "filename"), NULL);
  unsigned n = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++)
    if (vm_hmp_flag (args, formats[i].flag))
      {
        add_text (arguments, "format", formats[i].format);
        n++;
      }
  if (n > 1)
    {
      json_object_put (arguments);
      vm_monitor_puts (mon, "Error: only one of '-z|-l|-s|-w' can be set\n");
      return;
    }
  add_text (arguments, "protocol", protocol);
  json_object_object_add (arguments, "detach", json_object_new_boolean (vm_hmp_flag (args, "detach")));
  for (int i = 0; i < 2; i++)
    {
      const char *key = i ? "length" : "begin";
      if (vm_hmp_arg (args, key))
        json_object_object_add (arguments, key, json_object_new_int64 (vm_hmp_number (args, key, 0)));
    }
  run (mon, "dump-guest-memory", arguments);
}

void
vm_hmp_info_dump (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-dump", NULL);
  double total = json_object_get_double (member (info, "total"));

  vm_monitor_printf (mon, "Status: %s\n", vm_hmp_member (info, "status"));
  if (!strcmp (vm_hmp_member (info, "status"), "active") && total > 0)
    vm_monitor_printf (mon, "Finished: %.2f %%\n", 100.0 * json_object_get_double (member (info, "completed")) / total);
  json_object_put (info);
}

/* --- migration --- */

void
vm_hmp_migrate (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *arguments = one ("uri", json_object_new_string (vm_hmp_text (args, "uri")));

  for (int i = 0; i < 4; i++)
    {
      static const char *const flags[] = { "detach", "blk", "inc", "resume" };
      if (vm_hmp_flag (args, flags[i]))
        json_object_object_add (arguments, flags[i], json_object_new_boolean (true));
    }
  run (mon, "migrate", arguments);
}

void
vm_hmp_migrate_cancel (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "migrate_cancel", NULL);
}

void
vm_hmp_migrate_incoming (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "migrate-incoming", one ("uri", json_object_new_string (vm_hmp_text (args, "uri"))));
}

void
vm_hmp_migrate_set_capability (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *capability = one ("state", json_object_new_boolean (vm_hmp_number (args, "state", 0)));
  json_object *list = json_object_new_array ();

  add_text (capability, "capability", vm_hmp_text (args, "capability"));
  json_object_array_add (list, capability);
  run (mon, "migrate-set-capabilities", one ("capabilities", list));
}

void
vm_hmp_info_migrate (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-migrate", NULL);

  if (*vm_hmp_member (info, "status"))
    vm_monitor_printf (mon, "Migration status: %s\n", vm_hmp_member (info, "status"));
  json_object_put (info);
}

static void
print_capability (VmMonitor *mon, json_object *item)
{
  vm_monitor_printf (mon, "%s: %s\n", vm_hmp_member (item, "capability"), is_true (item, "state") ? "on" : "off");
}

void
vm_hmp_info_migrate_capabilities (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_hmp_each (mon, "query-migrate-capabilities", print_capability);
}

/* --- memory --- */

void
vm_hmp_balloon (VmMonitor *mon, const VmHmpArgs *args)
{
  run (mon, "balloon", one ("value", json_object_new_int64 (vm_hmp_number (args, "value", 0))));
}

void
vm_hmp_info_balloon (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-balloon", NULL);

  if (info)
    vm_monitor_printf (mon, "balloon: actual=%" G_GINT64_FORMAT "\n",
                       (gint64) json_object_get_int64 (member (info, "actual")) >> 20);
  json_object_put (info);
}

static void
print_module (VmMonitor *mon, json_object *item)
{
  static const char *const keys[] = { "addr", "slot", "node", "size", "memdev", "hotplugged", "hotpluggable" };
  json_object *data = member (item, "data");

  vm_monitor_printf (mon, "Memory device [%s]: \"%s\"\n", vm_hmp_member (item, "type"), vm_hmp_member (data, "id"));
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    vm_monitor_printf (mon, "  %s: %s\n", keys[i], vm_hmp_member (data, keys[i]));
}

void
vm_hmp_info_memory_devices (VmMonitor *mon, const VmHmpArgs *args)
{
  vm_hmp_each (mon, "query-memory-devices", print_module);
}

/* --- other parts --- */

void
vm_hmp_info_generation_id (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-vm-generation-id", NULL);

  if (info)
    vm_monitor_printf (mon, "%s\n", vm_hmp_member (info, "guid"));
  json_object_put (info);
}

void
vm_hmp_info_sev (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *info = vm_hmp_qmp (mon, "query-sev", NULL);

  if (is_true (info, "enabled"))
    vm_monitor_printf (mon, "handle: %s\nstate: %s\nbuild: %s\n", vm_hmp_member (info, "handle"),
                       vm_hmp_member (info, "state"), vm_hmp_member (info, "build-id"));
  else
    vm_monitor_puts (mon, "SEV is not enabled\n");
  json_object_put (info);
}

void
vm_hmp_info_sgx (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;
  json_object *info = vm_monitor_execute (mon, "query-sgx", NULL, &error);

  if (info)
    vm_monitor_printf (mon, "SGX support: %s\nsize: %s\n", is_true (info, "sgx") ? "enabled" : "disabled",
                       vm_hmp_member (info, "section-size"));
  else
    vm_monitor_printf (mon, "%s\n", error->message);
  json_object_put (info);
}

/* No TPM device is in this build: there are none to show. */
void
vm_hmp_info_tpm (VmMonitor *mon, const VmHmpArgs *args)
{
  json_object *models = vm_hmp_qmp (mon, "query-tpm-models", NULL);

  if (models && json_object_array_length (models))
    vm_monitor_puts (mon, "TPM device:\n");
  json_object_put (models);
}
