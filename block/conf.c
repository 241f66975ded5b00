/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the user can say of every disk device. */
#include "block/block.h"

const char *const vm_on_error_names[] = { "auto", "report", "ignore", "enospc", "stop", NULL };

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
  drive->cdrom |= readonly; /* it has a tray */
  drive->rerror = conf->rerror != VM_ON_ERROR_AUTO ? conf->rerror : drive->spec_rerror;
  drive->werror = conf->werror != VM_ON_ERROR_AUTO ? conf->werror : drive->spec_werror;
  if (!check_sizes (conf, error) || !vm_drive_claim (drive, device, changed, error))
    return false;
  if (conf->account_invalid != VM_ONOFFAUTO_AUTO)
    drive->account_invalid = conf->account_invalid == VM_ONOFFAUTO_ON;
  if (conf->account_failed != VM_ONOFFAUTO_AUTO)
    drive->account_failed = conf->account_failed == VM_ONOFFAUTO_ON;
  if (conf->discard_granularity == UINT32_MAX)
    conf->discard_granularity = conf->logical_block_size;
  /* Left open, it is what -drive's cache= says; devices that tell the guest ask the field. */
  if (conf->write_cache == VM_ONOFFAUTO_AUTO && drive->write_through)
    conf->write_cache = VM_ONOFFAUTO_OFF;
  if (drive->block && conf->write_cache != VM_ONOFFAUTO_AUTO)
    vm_block_set_write_cache (drive->block, conf->write_cache == VM_ONOFFAUTO_ON);
  return true;
}
