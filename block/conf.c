/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the user can say of every disk device. */
#include "block/block.h"
#include "block/latency.h"

#include <json-c/json.h>

const char *const vm_on_error_names[] = { "auto", "report", "ignore", "enospc", "stop", NULL };

/* --- intervals of statistics: "[60, 3600]" --------------------------------------------------------------- */

static bool
set_intervals (VmObject *obj, void *field, const char *text, GError **error)
{
  json_object *list = json_tokener_parse (text);
  g_autoptr (GArray) seconds = g_array_new (FALSE, FALSE, sizeof (uint32_t));
  bool ok = list && json_object_is_type (list, json_type_array);

  for (size_t i = 0; ok && i < json_object_array_length (list); i++)
    {
      /* Numbers of the command line are text. */
      const char *number = json_object_get_string (json_object_array_get_idx (list, i));
      guint64 n;
      ok = number && g_ascii_string_to_unsigned (number, 10, 1, UINT32_MAX, &n, NULL);
      uint32_t value = ok ? n : 0;
      g_array_append_val (seconds, value);
    }
  json_object_put (list);
  if (!ok)
    return vm_fail (error, "stats-intervals expects a list of seconds, each from 1");
  g_clear_pointer ((GArray **) field, g_array_unref);
  *(GArray **) field = g_steal_pointer (&seconds);
  return true;
}

static char *
get_intervals (VmObject *obj, const void *field)
{
  const GArray *seconds = *(GArray *const *) field;
  GString *text = g_string_new ("[");

  for (guint i = 0; seconds && i < seconds->len; i++)
    g_string_append_printf (text, "%s%u", i ? "," : "", g_array_index (seconds, uint32_t, i));
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

static void
clear_intervals (VmObject *obj, void *field)
{
  g_clear_pointer ((GArray **) field, g_array_unref);
}

const VmPropCustom vm_prop_stats_intervals = {
  .type_name = "list",
  .set = set_intervals,
  .get = get_intervals,
  .clear = clear_intervals,
  .json = true,
};

/* --- sizes ------------------------------------------------------------------------------------------------- */

#define MIN_BLOCK_SIZE 512
#define MAX_BLOCK_SIZE (2 * VM_MIB)

static bool
check_block_size (const char *name, uint64_t size, GError **error)
{
  if (size && (size < MIN_BLOCK_SIZE || size > MAX_BLOCK_SIZE))
    return vm_fail (error, "parameter %s must be between %d and %" G_GUINT64_FORMAT, name, MIN_BLOCK_SIZE,
                    MAX_BLOCK_SIZE);
  if (size & (size - 1))
    return vm_fail (error, "parameter %s must be a power of 2", name);
  return true;
}

static bool
check_sizes (VmBlockConf *conf, GError **error)
{
  if (!check_block_size ("logical_block_size", conf->logical_block_size, error)
      || !check_block_size ("physical_block_size", conf->physical_block_size, error))
    return false;
  if (!conf->logical_block_size)
    conf->logical_block_size = 512;
  if (!conf->physical_block_size)
    conf->physical_block_size = MAX (512, conf->logical_block_size);
  if (conf->logical_block_size > conf->physical_block_size)
    return vm_fail (error, "logical_block_size > physical_block_size not supported");
  if (conf->min_io_size % conf->logical_block_size)
    return vm_fail (error, "min_io_size must be a multiple of logical_block_size");
  if (conf->min_io_size / conf->logical_block_size > UINT16_MAX)
    return vm_fail (error, "min_io_size must not exceed %u logical blocks", UINT16_MAX);
  if (conf->opt_io_size % conf->logical_block_size)
    return vm_fail (error, "opt_io_size must be a multiple of logical_block_size");
  if (conf->discard_granularity != UINT32_MAX && conf->discard_granularity % conf->logical_block_size)
    return vm_fail (error, "discard_granularity must be a multiple of logical_block_size");
  return true;
}

bool
vm_block_conf_claim (VmBlockConf *conf, VmObject *device, bool readonly, void (*changed) (void *device), GError **error)
{
  VmDrive *drive = conf->drive;

  if (!drive)
    return vm_fail (error, "drive property not set");
  if (!drive->block && !changed)
    return vm_fail (error, "Device needs media, but drive is empty");
  if (drive->block && !readonly && !changed && vm_block_readonly (drive->block))
    return vm_fail (error, "Block node is read-only");
  drive->share_rw = conf->share_rw;
  drive->only_reads = readonly;
  drive->rerror = conf->rerror != VM_ON_ERROR_AUTO ? conf->rerror : drive->spec_rerror;
  drive->werror = conf->werror != VM_ON_ERROR_AUTO ? conf->werror : drive->spec_werror;
  if (!check_sizes (conf, error) || !vm_drive_claim (drive, device, changed, error))
    return false;
  if (conf->account_invalid != VM_ONOFFAUTO_AUTO)
    drive->account_invalid = conf->account_invalid == VM_ONOFFAUTO_ON;
  if (conf->account_failed != VM_ONOFFAUTO_AUTO)
    drive->account_failed = conf->account_failed == VM_ONOFFAUTO_ON;
  if (conf->stats_intervals)
    {
      drive->spec_timed = drive->timed;
      drive->timed = vm_timed_stats_list (conf->stats_intervals);
      drive->own_timed = true;
    }
  if (conf->discard_granularity == UINT32_MAX)
    conf->discard_granularity = conf->logical_block_size;
  /* Left open, it is what -drive's cache= says; devices that tell the guest ask the field. */
  if (conf->write_cache == VM_ONOFFAUTO_AUTO && drive->write_through)
    conf->write_cache = VM_ONOFFAUTO_OFF;
  if (drive->block && conf->write_cache != VM_ONOFFAUTO_AUTO)
    vm_block_set_write_cache (drive->block, conf->write_cache == VM_ONOFFAUTO_ON);
  return true;
}
