/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -drive says, in terms of nodes; temporary overlays. */
#include "block/create.h"
#include "block/drives.h"
#include "engine/options/settings.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* --- keys that mean other keys ---------------------------------------------------------------------------- */

typedef struct CacheMode
{
  const char *name;
  bool direct, no_flush, writeback;
} CacheMode;

static const CacheMode cache_modes[] = {
  { "none", true, false, true },   { "off", true, false, true },         { "writeback", false, false, true },
  { "unsafe", false, true, true }, { "directsync", true, false, false }, { "writethrough", false, false, false },
};

static void
put_text (json_object *options, const char *key, const char *value)
{
  json_object_object_add (options, key, json_object_new_string (value));
}

static bool
take_cache (const VmKeyVals *list, json_object *options, VmDriveOptions *to, GError **error)
{
  const char *mode = vm_keyvals_get (list, "cache");
  bool direct = false, no_flush = false, writeback = true;

  for (size_t i = 0; mode && i < G_N_ELEMENTS (cache_modes); i++)
    if (!strcmp (cache_modes[i].name, mode))
      {
        direct = cache_modes[i].direct;
        no_flush = cache_modes[i].no_flush;
        writeback = cache_modes[i].writeback;
      }
  if (!vm_keyvals_bool (list, "cache.direct", &direct, error)
      || !vm_keyvals_bool (list, "cache.no-flush", &no_flush, error)
      || !vm_keyvals_bool (list, "cache.writeback", &writeback, error))
    return false;
  to->write_through = !writeback;
  if (direct)
    put_text (options, "cache.direct", "on");
  if (no_flush)
    put_text (options, "cache.no-flush", "on");
  return true;
}

static int
on_error (const char *name)
{
  for (int i = 0; name && vm_on_error_names[i]; i++)
    if (!strcmp (vm_on_error_names[i], name))
      return i;
  return VM_ON_ERROR_AUTO;
}

/* Old names without a dot are the same. */
static const char *const old_throttle_names[VM_THROTTLE_BUCKET_N]
    = { "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr" };

static bool
throttle_number (const VmKeyVals *list, const char *prefix, const char *name, const char *suffix, uint64_t *value,
                 GError **error)
{
  g_autofree char *key = g_strconcat (prefix, name, suffix, NULL);

  return vm_keyvals_uint (list, key, value, UINT64_MAX, error);
}

static bool
take_throttle (const VmKeyVals *list, VmThrottleConfig *config, GError **error)
{
  vm_throttle_config_init (config);
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    {
      VmThrottleLimit *l = &config->limits[i];
      if (!throttle_number (list, "throttling.", vm_throttle_names[i], "", &l->avg, error)
          || !throttle_number (list, "throttling.", vm_throttle_names[i], "-max", &l->max, error)
          || !throttle_number (list, "throttling.", vm_throttle_names[i], "-max-length", &l->burst_length, error)
          || !throttle_number (list, "", old_throttle_names[i], "", &l->avg, error)
          || !throttle_number (list, "", old_throttle_names[i], "_max", &l->max, error)
          || !throttle_number (list, "", old_throttle_names[i], "_max_length", &l->burst_length, error))
        return false;
    }
  return throttle_number (list, "throttling.", "iops-size", "", &config->op_size, error)
         && throttle_number (list, "", "iops_size", "", &config->op_size, error)
         && vm_throttle_config_check (config, error);
}

/* Those that are not members of nodes. */
static bool
is_of_drive (const char *key)
{
  static const char *const keys[] = { "cache",
                                      "cache.direct",
                                      "cache.no-flush",
                                      "cache.writeback",
                                      "aio",
                                      "discard",
                                      "werror",
                                      "rerror",
                                      "copy-on-read",
                                      "group",
                                      "iops_size",
                                      "stats-account-invalid",
                                      "stats-account-failed",
                                      NULL };

  if (g_strv_contains (keys, key) || g_str_has_prefix (key, "throttling.")
      || g_str_has_prefix (key, "stats-intervals."))
    return true;
  for (unsigned i = 0; i < VM_THROTTLE_BUCKET_N; i++)
    {
      size_t n = strlen (old_throttle_names[i]);
      if (!strncmp (key, old_throttle_names[i], n)
          && (!key[n] || !strcmp (key + n, "_max") || !strcmp (key + n, "_max_length")))
        return true;
    }
  return false;
}

static bool
take_discard (const VmKeyVals *list, json_object *options, GError **error)
{
  const char *discard = vm_keyvals_get (list, "discard");

  if (!discard)
    return true;
  if (strcmp (discard, "ignore") && strcmp (discard, "off") && strcmp (discard, "unmap") && strcmp (discard, "on"))
    return vm_fail (error, "Invalid discard option");
  put_text (options, "discard", !strcmp (discard, "unmap") || !strcmp (discard, "on") ? "unmap" : "ignore");
  return true;
}

/* Of files: others have no use for it. */
static bool
take_aio (const VmKeyVals *list, const VmDriveSpec *spec, json_object *options, GError **error)
{
  const char *aio = vm_keyvals_get (list, "aio");
  static const char *const names[] = { "threads", "native", "io_uring", NULL };

  if (!aio)
    return true;
  if (!g_strv_contains (names, aio))
    return vm_fail (error, "invalid aio option");
  if (spec->file && strchr (spec->file, ':') && !g_str_has_prefix (spec->file, "file:"))
    return true;
  put_text (options,
            spec->format && (!strcmp (spec->format, "file") || g_str_has_prefix (spec->format, "host_")) ? "aio"
                                                                                                         : "file.aio",
            aio);
  return true;
}

/* "stats-intervals.0=60,stats-intervals.1=3600" */
static bool
take_intervals (const VmKeyVals *list, GArray **intervals, GError **error)
{
  for (guint i = 0;; i++)
    {
      g_autofree char *key = g_strdup_printf ("stats-intervals.%u", i);
      const char *text = vm_keyvals_get (list, key);
      guint64 seconds;
      if (!text)
        break;
      if (!g_ascii_string_to_unsigned (text, 10, 1, UINT32_MAX, &seconds, NULL))
        {
          g_clear_pointer (intervals, g_array_unref);
          return vm_fail (error, "Invalid interval length: '%s'", text);
        }
      uint32_t value = seconds;
      if (!*intervals)
        *intervals = g_array_new (FALSE, FALSE, sizeof value);
      g_array_append_val (*intervals, value);
    }
  return true;
}

bool
vm_drive_options_of (const VmDriveSpec *spec, VmDriveOptions *to, VmThrottleConfig *throttle, GError **error)
{
  const VmKeyVals *list = spec->options;
  json_object *options = json_object_new_object ();
  bool copy_on_read = false, count_invalid = true, count_failed = true;

  *to = (VmDriveOptions){
    .id = spec->id, .file = spec->file, .format = spec->format, .readonly = spec->readonly, .snapshot = spec->snapshot
  };
  to->cdrom = spec->media == VM_MEDIA_CDROM;
  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      if (!is_of_drive (pair->key))
        put_text (options, pair->key, pair->value);
    }
  bool has_medium = spec->file || spec->format || json_object_object_length (options);
  if (!take_cache (list, options, to, error) || !take_discard (list, options, error)
      || !take_aio (list, spec, options, error) || !take_throttle (list, throttle, error)
      || !vm_keyvals_bool (list, "copy-on-read", &copy_on_read, error)
      || !vm_keyvals_bool (list, "stats-account-invalid", &count_invalid, error)
      || !vm_keyvals_bool (list, "stats-account-failed", &count_failed, error)
      || !take_intervals (list, &to->stats_intervals, error))
    {
      json_object_put (options);
      return false;
    }
  to->copy_on_read = copy_on_read && !spec->readonly;
  to->ignore_invalid = !count_invalid;
  to->ignore_failed = !count_failed;
  to->rerror = on_error (vm_keyvals_get (list, "rerror"));
  to->werror = on_error (vm_keyvals_get (list, "werror"));
  to->throttle = throttle;
  to->throttle_group = vm_keyvals_get (list, "throttling.group");
  if (!to->throttle_group)
    to->throttle_group = vm_keyvals_get (list, "group");
  if (!has_medium)
    g_clear_pointer (&options, json_object_put);
  to->options = options;
  return true;
}

/* --- overlays ---------------------------------------------------------------------------------------------------- */

static char *
temporary_name (GError **error)
{
  const char *dir = g_getenv ("TMPDIR");
  char *path = g_build_filename (dir && *dir ? dir : "/var/tmp", "vitrine-XXXXXX", NULL);
  int fd = g_mkstemp (path);

  if (fd < 0)
    {
      vm_fail (error, "Could not create the temporary overlay '%s': %s", path, g_strerror (errno));
      g_clear_pointer (&path, g_free);
    }
  else
    close (fd);
  return path;
}

static VmNode *
open_overlay (VmNode *base, const char *path, GError **error)
{
  VmBlockGraph *graph = base->graph;
  const VmBlockDriver *format = vm_graph_find_driver (graph, "qcow2"), *protocol = vm_graph_find_driver (graph, "file");
  g_autoptr (VmCreateValues) values = NULL;
  json_object *options = json_object_new_object (), *file = json_object_new_object ();
  VmNode *node = NULL;

  put_text (options, "driver", "qcow2");
  json_object_object_add (options, "file", file);
  put_text (file, "driver", "file");
  put_text (file, "filename", path);
  put_text (options, "backing", base->name);
  put_text (options, "discard", "unmap");
  if (base->cache_direct)
    put_text (options, "cache.direct", "on");
  put_text (options, "cache.no-flush", "on"); /* it ends with the program: nothing has to reach the disk */
  if (!format || !format->create)
    vm_fail (error, "snapshot=on: not available in this build");
  else
    {
      values = vm_create_values_new (format, protocol, false);
      if (vm_image_create_values (graph, path, format, protocol, base->size, values, VM_OPEN_UNSAFE, error))
        node = vm_node_open (graph, options, VM_SCHEMA_TEXT, 0, error);
    }
  json_object_put (options);
  return node;
}

VmNode *
vm_drive_overlay (VmNode *base, GError **error)
{
  g_autofree char *path = temporary_name (error);
  VmNode *node = path ? open_overlay (base, path, error) : NULL;

  if (path)
    g_unlink (path);
  return node;
}
