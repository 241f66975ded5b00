/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The IDE bus and its two kinds of device, "ide-hd" and "ide-cd". */
#include "devices/scsi/mmc.h"
#include "devices/storage/ide.h"

#include <stdlib.h>

static const char *const chs_trans_names[] = { "auto", "none", "lba", "large", "rechs", NULL };

/* --- bus -------------------------------------------------------------------------------------- */

static bool
ide_bus_attach (VmBus *bus, VmDevice *dev, GError **error)
{
  VmIdeBus *ide = (VmIdeBus *) bus;
  VmIdeDevice *unit = (VmIdeDevice *) dev;

  if (unit->unit_number == UINT32_MAX)
    unit->unit_number = ide->unit[0] ? 1 : 0;
  if (unit->unit_number >= ide->n_units)
    return vm_fail (error, "Can't create IDE unit %u, bus supports only %u units", unit->unit_number, ide->n_units);
  if (ide->unit[unit->unit_number])
    return vm_fail (error, "IDE unit %u is in use", unit->unit_number);
  ide->unit[unit->unit_number] = unit;
  unit->bus = ide;
  return true;
}

static void
ide_bus_detach (VmBus *bus, VmDevice *dev)
{
  VmIdeBus *ide = (VmIdeBus *) bus;

  for (unsigned i = 0; i < 2; i++)
    if (ide->unit[i] == (VmIdeDevice *) dev)
      ide->unit[i] = NULL;
}

static char *
ide_bus_device_path (VmBus *bus, VmDevice *dev)
{
  return g_strdup_printf ("drive@%x", ((VmIdeBus *) bus)->number);
}

void
vm_ide_bus_init (VmIdeBus *bus, VmDevice *owner, const char *name, unsigned number, unsigned n_units)
{
  vm_bus_init (&bus->parent, VM_IDE_BUS_TYPE, owner, name);
  bus->number = number;
  bus->n_units = n_units;
  bus->parent.max_devices = n_units;
  bus->parent.attach = ide_bus_attach;
  bus->parent.detach = ide_bus_detach;
  bus->parent.device_path = ide_bus_device_path;
}

void
vm_ide_bus_destroy (VmIdeBus *bus)
{
  vm_bus_destroy (&bus->parent);
  vm_dma_sg_clear (&bus->sg);
}

/* --- devices ---------------------------------------------------------------------------------- */

/* The geometry BIOSes expect of a disk of this size when the partition table tells no other. */
static void
ide_guess_geometry (VmIdeDevice *dev, uint64_t sectors)
{
  if (!dev->cyls)
    {
      dev->heads = 16;
      dev->secs = 63;
      dev->cyls = CLAMP (sectors / (16 * 63), 2, 16383);
    }
  if (!dev->lcyls)
    {
      dev->lcyls = dev->cyls;
      dev->lheads = dev->heads;
      dev->lsecs = dev->secs;
    }
}

/* All of it or nothing. */
static bool
check_geometry (const char *prefix, uint32_t cyls, uint32_t heads, uint32_t secs, GError **error)
{
  if (!cyls && !heads && !secs)
    return true;
  if (cyls < 1 || cyls > 65535)
    return vm_fail (error, "%scyls must be between 1 and 65535", prefix);
  if (heads < 1 || heads > 16)
    return vm_fail (error, "%sheads must be between 1 and 16", prefix);
  if (secs < 1 || secs > 255)
    return vm_fail (error, "%ssecs must be between 1 and 255", prefix);
  return true;
}

static bool
ide_device_check (VmIdeDevice *dev, GError **error)
{
  if (dev->conf.logical_block_size && dev->conf.logical_block_size != VM_IDE_SECTOR)
    return vm_fail (error, "logical_block_size must be 512 for IDE");
  if (dev->serial && strlen (dev->serial) > 20)
    return vm_fail (error, "serial '%s' is longer than 20 characters", dev->serial);
  if (dev->version && strlen (dev->version) > 8)
    return vm_fail (error, "ver '%s' is longer than 8 characters", dev->version);
  if (dev->model && strlen (dev->model) > 40)
    return vm_fail (error, "model '%s' is longer than 40 characters", dev->model);
  return check_geometry ("", dev->cyls, dev->heads, dev->secs, error)
         && check_geometry ("l", dev->lcyls, dev->lheads, dev->lsecs, error);
}

/* Serial numbers count from one over the machine's parallel channels. */
static char *
ide_make_serial (const VmIdeDevice *dev)
{
  const char *name = dev->bus->parent.name;
  size_t digits = strlen (name);

  while (digits && g_ascii_isdigit (name[digits - 1]))
    digits--;
  return g_strdup_printf ("VM%05u", 1 + dev->unit_number + 2 * (unsigned) strtoul (name + digits, NULL, 10));
}

static void
ide_device_fill_in (VmIdeDevice *dev)
{
  if (!dev->model)
    dev->model = g_strdup (dev->is_cd ? "VITRINE DVD-ROM" : "VITRINE HARDDISK");
  if (!dev->version)
    dev->version = g_strdup ("2.5+");
  if (!dev->serial)
    dev->serial = ide_make_serial (dev);
  if (!dev->is_cd)
    ide_guess_geometry (dev, vm_block_size (dev->conf.drive->block) / VM_IDE_SECTOR);
  dev->write_cache_on = dev->conf.write_cache != VM_ONOFFAUTO_OFF;
  dev->look_ahead_on = dev->smart_on = dev->smart_autosave = true;
  dev->starts = 1;
  dev->ncq_error[0] = 0x80;
  dev->buffer_size = VM_IDE_BUFFER + 8; /* an odd end is read by double words, too */
  dev->buffer = g_malloc0 (dev->buffer_size);
}

/* A CD drive comes without a disc, too. */
static bool
ide_make_empty_drive (VmIdeDevice *dev, GError **error)
{
  VmEnv *env = dev->parent.env;
  g_autofree char *id = g_strdup_printf ("%s-cd%u", dev->bus->parent.name, dev->unit_number);
  VmDriveOptions options = { .id = id, .cdrom = true, .readonly = true };

  dev->conf.drive = vm_drive_new (env->root, env->loop, &options, error);
  if (dev->conf.drive)
    dev->conf.drive->anonymous = true;
  return dev->conf.drive != NULL;
}

static bool
ide_device_realize (VmDevice *device, GError **error)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;
  VmMachine *machine = device->env->machine;
  g_autofree char *disk = NULL;

  dev->is_cd = vm_object_is_a (&device->parent, &vm_ide_cd_type);
  if (!ide_device_check (dev, error) || (dev->is_cd && !dev->conf.drive && !ide_make_empty_drive (dev, error))
      || !vm_block_conf_claim (&dev->conf, &device->parent, dev->is_cd, dev->is_cd ? atapi_medium_changed : NULL,
                               error))
    return false;
  dev->conf.drive->cdrom |= dev->is_cd; /* it has a tray */
  ide_device_fill_in (dev);
  vm_timer_init (&dev->standby, device->env->clocks, VM_CLOCK_VIRTUAL, ide_standby_expired, dev);
  disk = g_strdup_printf ("/disk@%x", dev->unit_number);
  if (dev->bootindex >= 0 && machine && !vm_machine_add_boot_device (machine, dev->bootindex, device, disk, error))
    {
      g_clear_pointer (&dev->buffer, g_free);
      vm_drive_release (dev->conf.drive);
      return false;
    }
  return true;
}

static void
ide_device_unrealize (VmDevice *device)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;

  if (dev->bootindex >= 0 && device->env->machine)
    vm_machine_remove_boot_device (device->env->machine, device);
  vm_drive_release (dev->conf.drive);
  vm_timer_cancel (&dev->standby);
  vm_dma_map_clear (&dev->map);
  g_clear_pointer (&dev->buffer, g_free);
}

static bool
ide_device_pre_save (VmDevice *device, GError **error)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;

  if (!vm_drive_settle (dev->conf.drive, &device->parent, error))
    return false;
  ide_name_steps (dev);
  dev->tray_open = dev->conf.drive->tray_open;
  return true;
}

static bool
ide_device_post_load (VmDevice *device, GError **error)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;
  bool cd = dev->is_cd;

  if (dev->data_at > dev->data_end || dev->data_end > VM_IDE_BUFFER || dev->cd_left > dev->chunk
      || dev->chunk > VM_IDE_BUFFER || dev->multiple > IDE_MAX_MULTIPLE || (dev->multiple & (dev->multiple - 1))
      || (!cd && (!dev->lheads || !dev->lsecs)) || (cd && dev->cd_block > VM_MMC_RAW_BLOCK)
      || (cd && dev->data_step_number && dev->cd_left && dev->byte_limit < 2)
      || !ide_find_steps (dev))
    return vm_fail (error, "%s: impossible state", vm_device_path (device));
  dev->conf.drive->locked = dev->tray_locked;
  dev->conf.drive->tray_open = cd && dev->tray_open;
  if (!cd)
    vm_block_set_write_cache (dev->conf.drive->block, dev->write_cache_on);
  return true;
}

#define COMMON_PROPS                                                                                               \
  VM_BLOCK_CONF_PROPS (VmIdeDevice, conf), VM_BLOCK_ERROR_PROPS (VmIdeDevice, conf),                               \
    VM_PROP ("unit", VmIdeDevice, unit_number, UINT32_MAX, "0 master, 1 slave"),                                   \
    VM_PROP ("bootindex", VmIdeDevice, bootindex, -1, "place in the boot order"),                                  \
    VM_PROP ("wwn", VmIdeDevice, wwn, 0, "world wide name"),                                                       \
    VM_PROP_STRING ("serial", VmIdeDevice, serial, NULL, "serial number"),                                         \
    VM_PROP_STRING ("ver", VmIdeDevice, version, NULL, "firmware version"),                                        \
    VM_PROP_STRING ("model", VmIdeDevice, model, NULL, "model name")

static const VmProp ide_hd_props[] = {
  COMMON_PROPS,
  VM_PROP ("cyls", VmIdeDevice, cyls, 0, "cylinders"),
  VM_PROP ("heads", VmIdeDevice, heads, 0, "heads"),
  VM_PROP ("secs", VmIdeDevice, secs, 0, "sectors a track"),
  VM_PROP ("lcyls", VmIdeDevice, lcyls, 0, "logical cylinders"),
  VM_PROP ("lheads", VmIdeDevice, lheads, 0, "logical heads"),
  VM_PROP ("lsecs", VmIdeDevice, lsecs, 0, "logical sectors a track"),
  VM_PROP_ENUMERATED ("bios-chs-trans", VmIdeDevice, bios_chs_trans, 0, chs_trans_names, "for the CMOS"),
  VM_PROP ("rotation_rate", VmIdeDevice, rotation_rate, 0, "1: solid state"),
  { 0 },
};

static const VmProp ide_cd_props[] = {
  COMMON_PROPS,
  { 0 },
};

static const VmField regs_state[] = {
  VM_FIELD (VmIdeRegs, feature),
  VM_FIELD (VmIdeRegs, count),
  VM_FIELD (VmIdeRegs, lba_low),
  VM_FIELD (VmIdeRegs, lba_mid),
  VM_FIELD (VmIdeRegs, lba_high),
  VM_FIELD (VmIdeRegs, device),
  { 0 },
};

static const VmField ide_device_state[] = {
  VM_FIELD_EMBED (VmIdeDevice, regs, regs_state),
  VM_FIELD_EMBED (VmIdeDevice, previous, regs_state),
  VM_FIELD (VmIdeDevice, status),
  VM_FIELD (VmIdeDevice, error),
  VM_FIELD (VmIdeDevice, command),
  VM_FIELD (VmIdeDevice, last_command),
  VM_FIELD (VmIdeDevice, multiple),
  VM_FIELD (VmIdeDevice, xfer_mode),
  VM_FIELD (VmIdeDevice, write_cache_on),
  VM_FIELD (VmIdeDevice, look_ahead_on),
  VM_FIELD (VmIdeDevice, apm),
  VM_FIELD (VmIdeDevice, max_sectors),
  VM_FIELD (VmIdeDevice, standby_code),
  VM_FIELD (VmIdeDevice, standing_by),
  VM_FIELD_TIMER_OF (VmIdeDevice, standby),
  VM_FIELD (VmIdeDevice, smart_on),
  VM_FIELD (VmIdeDevice, smart_autosave),
  VM_FIELD (VmIdeDevice, starts),
  VM_FIELD (VmIdeDevice, n_self_tests),
  VM_FIELD_ARRAY (VmIdeDevice, self_test),
  VM_FIELD_ARRAY (VmIdeDevice, self_test_hour),
  VM_FIELD_ARRAY (VmIdeDevice, ncq_error),
  VM_FIELD (VmIdeDevice, lcyls),
  VM_FIELD (VmIdeDevice, lheads),
  VM_FIELD (VmIdeDevice, lsecs),
  VM_FIELD_HEAP (VmIdeDevice, buffer, buffer_size),
  VM_FIELD (VmIdeDevice, data_at),
  VM_FIELD (VmIdeDevice, data_end),
  VM_FIELD (VmIdeDevice, data_out),
  VM_FIELD (VmIdeDevice, lba),
  VM_FIELD (VmIdeDevice, sectors),
  VM_FIELD (VmIdeDevice, chunk),
  VM_FIELD (VmIdeDevice, transferred),
  VM_FIELD (VmIdeDevice, dma_wanted),
  VM_FIELD (VmIdeDevice, dma_to_memory),
  VM_FIELD (VmIdeDevice, data_step_number),
  VM_FIELD (VmIdeDevice, dma_step_number),
  VM_FIELD_ARRAY (VmIdeDevice, packet),
  VM_FIELD (VmIdeDevice, sense_key),
  VM_FIELD (VmIdeDevice, asc),
  VM_FIELD (VmIdeDevice, ascq),
  VM_FIELD (VmIdeDevice, medium_changed),
  VM_FIELD (VmIdeDevice, event_pending),
  VM_FIELD (VmIdeDevice, tray_locked),
  VM_FIELD (VmIdeDevice, tray_open),
  VM_FIELD (VmIdeDevice, cd_block),
  VM_FIELD (VmIdeDevice, cd_left),
  VM_FIELD (VmIdeDevice, byte_limit),
  { 0 },
};

static const VmDeviceClass ide_device_class = {
  .realize = ide_device_realize,
  .unrealize = ide_device_unrealize,
  .pre_save = ide_device_pre_save,
  .post_load = ide_device_post_load,
  .bus_type = VM_IDE_BUS_TYPE,
  .category = "Storage",
};

static const VmDeviceClass ide_drive_class = {
  .bus_type = VM_IDE_BUS_TYPE,
  .category = "Storage",
  .user_creatable = true,
};

const VmType vm_ide_device_type = {
  .name = "ide-device",
  .parent = &vm_device_type,
  .size = sizeof (VmIdeDevice),
  .help = "Device on an IDE channel",
  .abstract = true,
  .state = ide_device_state,
  .klass = &ide_device_class,
};

const VmType vm_ide_hd_type = {
  .name = "ide-hd",
  .parent = &vm_ide_device_type,
  .size = sizeof (VmIdeDevice),
  .help = "virtual IDE disk",
  .props = ide_hd_props,
  .klass = &ide_drive_class,
};

const VmType vm_ide_cd_type = {
  .name = "ide-cd",
  .parent = &vm_ide_device_type,
  .size = sizeof (VmIdeDevice),
  .help = "virtual IDE CD-ROM",
  .props = ide_cd_props,
  .klass = &ide_drive_class,
};
