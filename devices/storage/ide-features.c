/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ATA commands about the device itself: features, power, host protected area (ATA8-ACS, 4.7, 4.18, 7.47). */
#include "devices/storage/ide.h"

/* --- features --------------------------------------------------------------------------------- */

enum
{
  FEATURE_CACHE_ON = 0x02,
  FEATURE_TRANSFER_MODE = 0x03,
  FEATURE_APM_ON = 0x05,
  FEATURE_ACOUSTIC_ON = 0x42,
  FEATURE_LOOK_AHEAD_OFF = 0x55,
  FEATURE_REVERT_OFF = 0x66,
  FEATURE_CACHE_OFF = 0x82,
  FEATURE_APM_OFF = 0x85,
  FEATURE_LOOK_AHEAD_ON = 0xaa,
  FEATURE_ACOUSTIC_OFF = 0xc2,
  FEATURE_REVERT_ON = 0xcc
};

/* PIO flow control 0-4, multiword DMA 0-2, ultra DMA 0-5. */
static bool
ide_mode_is_known (uint8_t mode)
{
  return mode <= 0x01 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x20 && mode <= 0x22)
         || (mode >= 0x40 && mode <= 0x45);
}

static void
ide_set_disk_feature (VmIdeDevice *dev, uint8_t feature)
{
  uint8_t value = dev->regs.count;

  switch (feature)
    {
    case FEATURE_CACHE_ON:
      dev->write_cache_on = true;
      vm_block_set_write_cache (dev->conf.drive->block, true);
      break;
    case FEATURE_CACHE_OFF:
      dev->write_cache_on = false;
      vm_block_set_write_cache (dev->conf.drive->block, false);
      ide_flush (dev);
      return;
    case FEATURE_APM_ON:
      if (value == 0 || value == 0xff)
        {
          ide_abort (dev);
          return;
        }
      dev->apm = value;
      break;
    case FEATURE_APM_OFF:
      dev->apm = 0;
      break;
    case FEATURE_LOOK_AHEAD_ON:
    case FEATURE_LOOK_AHEAD_OFF:
      dev->look_ahead_on = feature == FEATURE_LOOK_AHEAD_ON;
      break;
    case FEATURE_ACOUSTIC_ON: /* nothing to hear, nothing to lose: accepted, as old drivers expect */
    case FEATURE_ACOUSTIC_OFF:
    case FEATURE_REVERT_ON:
    case FEATURE_REVERT_OFF:
      break;
    default:
      ide_abort (dev);
      return;
    }
  ide_finish (dev, 0);
}

void
ide_set_features (VmIdeDevice *dev)
{
  if (dev->regs.feature == FEATURE_TRANSFER_MODE && ide_mode_is_known (dev->regs.count))
    {
      dev->xfer_mode = dev->regs.count;
      ide_finish (dev, 0);
    }
  else if (dev->is_cd || dev->regs.feature == FEATURE_TRANSFER_MODE)
    ide_abort (dev);
  else
    ide_set_disk_feature (dev, dev->regs.feature);
}

/* --- host protected area ---------------------------------------------------------------------- */

static uint64_t
ide_native_sectors (const VmIdeDevice *dev)
{
  return vm_block_size (dev->conf.drive->block) / VM_IDE_SECTOR;
}

void
ide_read_native_max (VmIdeDevice *dev)
{
  uint64_t sectors = ide_native_sectors (dev);

  ide_put_lba (dev, MIN (MAX (sectors, 1) - 1, 0x0fffffff), false);
  ide_finish (dev, 0);
}

void
ide_read_native_max_ext (VmIdeDevice *dev)
{
  ide_put_lba (dev, MAX (ide_native_sectors (dev), 1) - 1, true);
  ide_finish (dev, 0);
}

/* Only right after READ NATIVE MAX ADDRESS; all of the disk again is all of it, whatever it grows to. */
static void
ide_set_max_sectors (VmIdeDevice *dev, uint8_t after)
{
  uint64_t native = ide_native_sectors (dev);

  if (dev->last_command != after || dev->lba >= native)
    {
      ide_abort (dev);
      return;
    }
  dev->max_sectors = dev->lba + 1 == native ? 0 : dev->lba + 1;
  ide_finish (dev, 0);
}

void
ide_set_max (VmIdeDevice *dev)
{
  if (dev->regs.feature) /* passwords and locks are a feature set of their own */
    {
      ide_abort (dev);
      return;
    }
  ide_take_lba (dev, false);
  ide_set_max_sectors (dev, 0xf8);
}

void
ide_set_max_ext (VmIdeDevice *dev)
{
  ide_take_lba (dev, true);
  ide_set_max_sectors (dev, 0x27);
}

/* --- power ------------------------------------------------------------------------------------ */

enum
{
  POWER_STANDBY_NOW = 0xe0,
  POWER_IDLE_NOW = 0xe1,
  POWER_STANDBY = 0xe2,
  POWER_IDLE = 0xe3,
  POWER_SLEEP = 0xe6
};

/* Codes of the standby timer (ATA8-ACS, table 11), in seconds; 0: never. */
static unsigned
standby_seconds (uint8_t code)
{
  switch (code)
    {
    case 0 ... 240:
      return code * 5u;
    case 241 ... 251:
      return (code - 240u) * 30 * 60;
    case 252:
      return 21 * 60;
    case 253:
      return 8 * 3600;
    case 254:
      return 0;
    default:
      return 21 * 60 + 15;
    }
}

static void
standby_restart (VmIdeDevice *dev)
{
  unsigned seconds = standby_seconds (dev->standby_code);

  if (seconds)
    vm_timer_set (&dev->standby, vm_clock_now (dev->parent.env->clocks, VM_CLOCK_VIRTUAL) + seconds * VM_NS_PER_SEC);
  else
    vm_timer_cancel (&dev->standby);
}

void
ide_standby_expired (void *opaque)
{
  ((VmIdeDevice *) opaque)->standing_by = true;
}

void
ide_touch (VmIdeDevice *dev)
{
  dev->standing_by = false;
  if (dev->standby_code)
    standby_restart (dev);
}

void
ide_power_command (VmIdeDevice *dev)
{
  if (dev->command == POWER_STANDBY || dev->command == POWER_IDLE)
    {
      dev->standby_code = dev->regs.count;
      standby_restart (dev);
    }
  dev->standing_by = dev->command == POWER_STANDBY_NOW || dev->command == POWER_STANDBY || dev->command == POWER_SLEEP;
  ide_finish (dev, 0);
}

void
ide_check_power (VmIdeDevice *dev)
{
  dev->regs.count = dev->standing_by ? 0x00 : 0xff; /* active or idle */
  ide_finish (dev, 0);
}
