/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives of the settings become drives of the block layer. */
#include "app/app.h"
#include "block/block.h"

/* What the block layer does anyway may be asked for; anything else is refused, not forgotten. */
static bool
is_given (const VmKeyValue *pair)
{
  static const struct
  {
    const char *key, *values;
  } given[] = {
    { "cache", "writeback" },    { "cache.writeback", "on" },    { "cache.direct", "off" },
    { "cache.no-flush", "off" }, { "aio", "threads" },           { "discard", "ignore|off|unmap|on" },
    { "detect-zeroes", "off" },  { "werror", "enospc|report" },  { "rerror", "report" },
    { "copy-on-read", "off" },   { "force-share", "off" },       { "auto-read-only", "on|off" },
    { "file.driver", "file" },   { "file.locking", "auto|off" },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (given); i++)
    {
      g_auto (GStrv) values = g_strsplit (given[i].values, "|", -1);
      if (!strcmp (pair->key, given[i].key))
        return g_strv_contains ((const char *const *) values, pair->value);
    }
  return false;
}

static bool
check (const VmDriveSpec *d, GError **error)
{
  for (guint i = 0; i < d->options->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (d->options->pairs, i);
      if (!is_given (pair) && strcmp (pair->key, "file.filename") != 0)
        return vm_fail (error, "%s=%s: not available in this build", pair->key, pair->value);
    }
  if (d->snapshot)
    return vm_fail (error, "snapshot=on: not available in this build");
  return true;
}

bool
app_open_drives (VmMachine *machine, GError **error)
{
  const GPtrArray *drives = machine->settings->drives;

  for (guint i = 0; i < drives->len; i++)
    {
      const VmDriveSpec *d = g_ptr_array_index (drives, i);
      const char *file = d->file ? d->file : vm_keyvals_get (d->options, "file.filename");
      VmDriveOptions options = {
        .id = d->id, .file = file, .format = d->format, .readonly = d->readonly, .cdrom = d->media == VM_MEDIA_CDROM
      };
      bool taken = vm_lock_enter (machine->lock);
      bool ok = check (d, error) && vm_drive_new (machine->env.root, machine->env.loop, &options, error);
      vm_lock_leave (machine->lock, taken);
      if (!ok)
        {
          if (d->text)
            g_prefix_error (error, "%s: ", d->text);
          return false;
        }
    }
  return true;
}
