/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The IDE bus and its two kinds of device, "ide-hd" and "ide-cd". */
#include "devices/storage/ide.h"

static const char *const on_error_names[] = { "auto", "report", "ignore", "enospc", "stop", NULL };
static const char *const chs_trans_names[] = { "auto", "none", "lba", "large", "rechs", NULL };

/* --- bus ------------------------------------------------------------------------------------------ */

static bool
ide_bus_attach (VmBus *bus, VmDevice *dev, GError **error)
{
  VmIdeBus *ide = (VmIdeBus *) bus;
  VmIdeDevice *unit = (VmIdeDevice *) dev;

  if (unit->unit_number == UINT32_MAX)
    unit->unit_number = ide->unit[0] ? 1 : 0;
  if (unit->unit_number > 1)
    return vm_fail (error, "Can't create IDE unit %u, bus supports only 2 units", unit->unit_number);
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
  return g_strdup_printf ("drive@%u", ((VmIdeDevice *) dev)->unit_number);
}

void
vm_ide_bus_init (VmIdeBus *bus, VmDevice *owner, const char *name)
{
  vm_bus_init (&bus->parent, VM_IDE_BUS_TYPE, owner, name);
  bus->parent.max_devices = 2;
  bus->parent.attach = ide_bus_attach;
  bus->parent.detach = ide_bus_detach;
  bus->parent.device_path = ide_bus_device_path;
}

void
vm_ide_bus_destroy (VmIdeBus *bus)
{
  vm_bus_destroy (&bus->parent);
}

bool
vm_ide_create_drives (VmMachine *machine, VmIdeBus *bus, int bus_number, GError **error)
{
  for (int unit = 0; unit < 2; unit++)
    {
      VmDriveSpec *spec = vm_settings_find_drive (machine->settings, VM_IF_IDE, bus_number, unit);

      if (!spec)
        continue;

      VmDevice *dev = vm_machine_new_device (machine, spec->media == VM_MEDIA_CDROM ? &vm_ide_cd_type : &vm_ide_hd_type);
      bool ok;

      dev->parent.scope = machine->env.root;
      spec->claimed = true;
      vm_object_set_uint (&dev->parent, "unit", unit);
      ok = vm_object_set (&dev->parent, "drive", spec->id, error)
           && vm_device_realize (dev, &machine->env, &bus->parent, error);
      vm_object_unref (&dev->parent);
      if (!ok)
        return false;
    }
  return true;
}

/* --- devices ---------------------------------------------------------------------------------------- */

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
  dev->lcyls = dev->cyls;
  dev->lheads = dev->heads;
  dev->lsecs = dev->secs;
}

static bool
ide_device_check (VmIdeDevice *dev, GError **error)
{
  if (!dev->drive)
    return vm_fail (error, "No drive specified");
  if (!dev->is_cd && !dev->drive->block)
    return vm_fail (error, "Device needs media, but drive is empty");
  if (!dev->is_cd && vm_block_readonly (dev->drive->block))
    return vm_fail (error, "Block node is read-only");
  if (dev->logical_block_size && dev->logical_block_size != VM_IDE_SECTOR)
    return vm_fail (error, "logical_block_size must be 512 for IDE");
  if (dev->physical_block_size && !vm_is_pow2 (dev->physical_block_size))
    return vm_fail (error, "physical_block_size must be a power of two");
  if (dev->cyls || dev->heads || dev->secs)
    {
      if (dev->cyls < 1 || dev->cyls > 65535)
        return vm_fail (error, "cyls must be between 1 and 65535");
      if (dev->heads < 1 || dev->heads > 16)
        return vm_fail (error, "heads must be between 1 and 16");
      if (dev->secs < 1 || dev->secs > 255)
        return vm_fail (error, "secs must be between 1 and 255");
    }
  return true;
}

static bool
ide_device_realize (VmDevice *device, GError **error)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;
  VmMachine *machine = device->env->machine;

  dev->is_cd = vm_object_is_a (&device->parent, &vm_ide_cd_type);
  if (!ide_device_check (dev, error)
      || !vm_drive_claim (dev->drive, dev, dev->is_cd ? atapi_medium_changed : NULL, error))
    return false;
  if (!dev->model)
    dev->model = g_strdup (dev->is_cd ? "VITRINE DVD-ROM" : "VITRINE HARDDISK");
  if (!dev->version)
    dev->version = g_strdup ("2.5+");
  if (!dev->serial)
    dev->serial = g_strdup_printf ("VM%05u", 1 + dev->unit_number + 2 * (unsigned) (dev->bus->parent.name
                                               ? g_ascii_digit_value (dev->bus->parent.name[strlen (dev->bus->parent.name) - 1])
                                               : 0));
  if (!dev->is_cd)
    ide_guess_geometry (dev, vm_block_size (dev->drive->block) / VM_IDE_SECTOR);
  dev->write_cache_on = dev->write_cache != VM_ONOFFAUTO_OFF;
  dev->buffer_size = VM_IDE_BUFFER;
  dev->buffer = g_malloc0 (VM_IDE_BUFFER);
  if (dev->bootindex >= 0 && machine && !vm_machine_add_boot_device (machine, dev->bootindex, device, "/disk@0", error))
    {
      g_clear_pointer (&dev->buffer, g_free);
      vm_drive_release (dev->drive);
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
  vm_drive_release (dev->drive);
  g_clear_pointer (&dev->buffer, g_free);
}

static bool
ide_device_post_load (VmDevice *device, GError **error)
{
  VmIdeDevice *dev = (VmIdeDevice *) device;

  if (dev->data_at > dev->data_end || dev->data_end > VM_IDE_BUFFER || dev->cd_left > dev->chunk
      || dev->chunk > VM_IDE_BUFFER || dev->multiple > 16 || !dev->lheads != !dev->lsecs)
    return vm_fail (error, "%s: impossible state", vm_device_path (device));
  return true;
}

#define COMMON_PROPS                                                                                               \
  VM_PROP_CUSTOM_KIND ("drive", VmIdeDevice, drive, &vm_prop_drive, NULL, "id of the drive"),                        \
    VM_PROP ("unit", VmIdeDevice, unit_number, UINT32_MAX, "0 master, 1 slave"),                                     \
    VM_PROP_BYTES ("logical_block_size", VmIdeDevice, logical_block_size, 0, "must be 512"),                         \
    VM_PROP_BYTES ("physical_block_size", VmIdeDevice, physical_block_size, 0, "reported to the guest"),             \
    VM_PROP_BYTES ("min_io_size", VmIdeDevice, min_io_size, 0, "reported where the interface has a place for it"),   \
    VM_PROP_BYTES ("opt_io_size", VmIdeDevice, opt_io_size, 0, "reported where the interface has a place for it"),   \
    VM_PROP_BYTES ("discard_granularity", VmIdeDevice, discard_granularity, UINT32_MAX, "of TRIM"),                  \
    VM_PROP_AUTO ("write-cache", VmIdeDevice, write_cache, VM_ONOFFAUTO_AUTO, "volatile write cache"),               \
    VM_PROP ("share-rw", VmIdeDevice, share_rw, false, "others may write the image too"),                            \
    VM_PROP_AUTO ("backend_defaults", VmIdeDevice, backend_defaults, VM_ONOFFAUTO_AUTO, "take limits of the host"),  \
    VM_PROP_AUTO ("account-invalid", VmIdeDevice, account_invalid, VM_ONOFFAUTO_AUTO, "count invalid requests"),     \
    VM_PROP_AUTO ("account-failed", VmIdeDevice, account_failed, VM_ONOFFAUTO_AUTO, "count failed requests"),        \
    VM_PROP_ENUMERATED ("rerror", VmIdeDevice, rerror, 0, on_error_names, "on read errors"),                         \
    VM_PROP_ENUMERATED ("werror", VmIdeDevice, werror, 0, on_error_names, "on write errors"),                        \
    VM_PROP ("bootindex", VmIdeDevice, bootindex, -1, "place in the boot order"),                                    \
    VM_PROP ("wwn", VmIdeDevice, wwn, 0, "world wide name"),                                                         \
    VM_PROP_STRING ("serial", VmIdeDevice, serial, NULL, "serial number"),                                           \
    VM_PROP_STRING ("ver", VmIdeDevice, version, NULL, "firmware version"),                                          \
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
  VM_FIELD (VmIdeDevice, multiple),
  VM_FIELD (VmIdeDevice, xfer_mode),
  VM_FIELD (VmIdeDevice, write_cache_on),
  VM_FIELD (VmIdeDevice, lheads),
  VM_FIELD (VmIdeDevice, lsecs),
  VM_FIELD_HEAP (VmIdeDevice, buffer, buffer_size),
  VM_FIELD (VmIdeDevice, data_at),
  VM_FIELD (VmIdeDevice, data_end),
  VM_FIELD (VmIdeDevice, lba),
  VM_FIELD (VmIdeDevice, sectors),
  VM_FIELD (VmIdeDevice, chunk),
  VM_FIELD (VmIdeDevice, dma_wanted),
  VM_FIELD (VmIdeDevice, dma_to_memory),
  VM_FIELD_ARRAY (VmIdeDevice, packet),
  VM_FIELD (VmIdeDevice, sense_key),
  VM_FIELD (VmIdeDevice, asc),
  VM_FIELD (VmIdeDevice, ascq),
  VM_FIELD (VmIdeDevice, medium_changed),
  VM_FIELD (VmIdeDevice, event_pending),
  VM_FIELD (VmIdeDevice, tray_locked),
  VM_FIELD (VmIdeDevice, cd_block),
  VM_FIELD (VmIdeDevice, cd_left),
  VM_FIELD (VmIdeDevice, byte_limit),
  { 0 },
};

static const VmDeviceClass ide_device_class = {
  .realize = ide_device_realize,
  .unrealize = ide_device_unrealize,
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
