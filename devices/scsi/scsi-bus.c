/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SCSI bus and what all logical units have in common: addresses, resets, boot paths. */
#include "devices/scsi/scsi.h"
#include "engine/machine/machine.h"

static const VmScsiClass *
scsi_class (const VmScsiDevice *dev)
{
  return vm_type_klass (dev->parent.parent.type);
}

/* --- addresses ------------------------------------------------------------------------------------- */

VmScsiDevice *
vm_scsi_bus_find (VmScsiBus *bus, unsigned channel, unsigned target, unsigned lun)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (bus->parent.devices, i);

      if (dev->parent.realized && dev->channel == channel && dev->scsi_id == target
          && (lun == VM_SCSI_LUN_NONE || dev->lun == lun))
        return dev;
    }
  return NULL;
}

static VmScsiDevice *
scsi_bus_occupant (VmScsiBus *bus, unsigned channel, unsigned target, unsigned lun)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (bus->parent.devices, i);

      if (dev->channel == channel && dev->scsi_id == target && dev->lun == lun)
        return dev;
    }
  return NULL;
}

static bool
scsi_bus_choose_target (VmScsiBus *bus, VmScsiDevice *dev, GError **error)
{
  unsigned lun = dev->lun == UINT32_MAX ? 0 : dev->lun;

  for (unsigned id = 0; id <= bus->ops->max_target; id++)
    if (id != bus->ops->host_id && !scsi_bus_occupant (bus, dev->channel, id, lun))
      {
        dev->scsi_id = id;
        dev->lun = lun;
        return true;
      }
  return vm_fail (error, "no free target");
}

static bool
scsi_bus_choose_lun (VmScsiBus *bus, VmScsiDevice *dev, GError **error)
{
  for (unsigned lun = 0; lun <= bus->ops->max_lun; lun++)
    if (!scsi_bus_occupant (bus, dev->channel, dev->scsi_id, lun))
      {
        dev->lun = lun;
        return true;
      }
  return vm_fail (error, "no free lun");
}

static bool
scsi_bus_attach (VmBus *parent, VmDevice *device, GError **error)
{
  VmScsiBus *bus = VM_SCSI_BUS (parent);
  VmScsiDevice *dev = VM_SCSI_DEVICE (device), *other;

  if (dev->channel > bus->ops->max_channel)
    return vm_fail (error, "bad scsi channel id: %u", dev->channel);
  if (dev->scsi_id != UINT32_MAX && dev->scsi_id > bus->ops->max_target)
    return vm_fail (error, "bad scsi device id: %u", dev->scsi_id);
  if (dev->scsi_id != UINT32_MAX && dev->scsi_id == bus->ops->host_id)
    return vm_fail (error, "bad scsi device id: %u is the adapter's own", dev->scsi_id);
  if (dev->lun != UINT32_MAX && dev->lun > bus->ops->max_lun)
    return vm_fail (error, "bad scsi device lun: %u", dev->lun);
  if (dev->scsi_id == UINT32_MAX)
    return scsi_bus_choose_target (bus, dev, error);
  if (dev->lun == UINT32_MAX)
    return scsi_bus_choose_lun (bus, dev, error);
  other = scsi_bus_occupant (bus, dev->channel, dev->scsi_id, dev->lun);
  return !other || vm_fail (error, "lun already used by '%s'", vm_device_path (&other->parent));
}

/* --- come and go ----------------------------------------------------------------------------------- */

/* The other units of DEV's target have something new to say of REPORT LUNS. */
static void
scsi_bus_luns_changed (VmScsiBus *bus, VmScsiDevice *dev)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmScsiDevice *other = g_ptr_array_index (bus->parent.devices, i);

      if (other != dev && other->channel == dev->channel && other->scsi_id == dev->scsi_id)
        vm_scsi_device_attention (other, VM_SCSI_UA_LUNS);
    }
}

static void
scsi_bus_plugged (VmBus *parent, VmDevice *device)
{
  VmScsiBus *bus = VM_SCSI_BUS (parent);

  scsi_bus_luns_changed (bus, VM_SCSI_DEVICE (device));
  if (bus->ops->changed)
    bus->ops->changed (bus, VM_SCSI_DEVICE (device), true);
}

static void
scsi_bus_detach (VmBus *parent, VmDevice *device)
{
  VmScsiBus *bus = VM_SCSI_BUS (parent);

  if (!device->realized)
    return; /* it never was there */
  scsi_bus_luns_changed (bus, VM_SCSI_DEVICE (device));
  if (bus->ops->changed)
    bus->ops->changed (bus, VM_SCSI_DEVICE (device), false);
}

static char *
scsi_bus_device_path (VmBus *bus, VmDevice *device)
{
  const VmScsiDevice *dev = VM_SCSI_DEVICE (device);

  return g_strdup_printf ("channel@%x/disk@%x,%x", dev->channel, dev->scsi_id, dev->lun);
}

static char *
scsi_bus_describe (VmBus *bus, VmDevice *device)
{
  const VmScsiDevice *dev = VM_SCSI_DEVICE (device);

  return g_strdup_printf ("address %u:%u:%u\n", dev->channel, dev->scsi_id, dev->lun);
}

void
vm_scsi_bus_init (VmScsiBus *bus, VmDevice *owner, const char *name, const VmScsiBusOps *ops, void *opaque)
{
  vm_bus_init (&bus->parent, VM_SCSI_BUS_TYPE, owner, name);
  bus->parent.hotplug = true;
  bus->parent.attach = scsi_bus_attach;
  bus->parent.detach = scsi_bus_detach;
  bus->parent.plugged = scsi_bus_plugged;
  bus->parent.device_path = scsi_bus_device_path;
  bus->parent.describe = scsi_bus_describe;
  bus->ops = ops;
  bus->opaque = opaque;
}

void
vm_scsi_bus_destroy (VmScsiBus *bus)
{
  vm_bus_destroy (&bus->parent);
}

static bool
scsi_create_drive (VmScsiBus *bus, VmMachine *machine, VmDriveSpec *spec, GError **error)
{
  bool cd = spec->media == VM_MEDIA_CDROM;
  VmDevice *dev = vm_machine_new_device (machine, cd ? &vm_scsi_cd_type : &vm_scsi_hd_type);
  bool ok;

  dev->parent.scope = machine->env.root;
  spec->claimed = true;
  vm_object_set_uint (&dev->parent, "scsi-id", spec->unit);
  ok = vm_object_set (&dev->parent, "drive", spec->id, error)
       && vm_device_realize (dev, &machine->env, &bus->parent, error);
  vm_object_unref (&dev->parent);
  return ok;
}

/* Of the drives that nobody has taken; INT_MAX: there are none. */
static int
lowest_bus (const VmMachine *machine)
{
  int lowest = INT_MAX;

  for (guint i = 0; machine && i < machine->settings->drives->len; i++)
    {
      const VmDriveSpec *spec = g_ptr_array_index (machine->settings->drives, i);

      if (spec->interface == VM_IF_SCSI && !spec->claimed)
        lowest = MIN (lowest, spec->bus);
    }
  return lowest;
}

bool
vm_scsi_create_drives (VmScsiBus *bus, int bus_number, GError **error)
{
  VmMachine *machine = bus->parent.owner->env->machine;

  if (bus_number < 0)
    bus_number = lowest_bus (machine);
  for (guint i = 0; machine && i < machine->settings->drives->len; i++)
    {
      VmDriveSpec *spec = g_ptr_array_index (machine->settings->drives, i);

      if (spec->interface == VM_IF_SCSI && spec->bus == bus_number && !spec->claimed
          && !scsi_create_drive (bus, machine, spec, error))
        return false;
    }
  return true;
}

/* --- task management ------------------------------------------------------------------------------- */

VmScsiRequest *
vm_scsi_device_find_request (VmScsiDevice *dev, uint64_t tag)
{
  for (guint i = 0; i < dev->requests->len; i++)
    {
      VmScsiRequest *req = g_ptr_array_index (dev->requests, i);

      if (req->tag == tag && !req->cancelled)
        return req;
    }
  return NULL;
}

void
vm_scsi_device_abort_all (VmScsiDevice *dev)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_scsi_request_unref);

  for (guint i = 0; i < dev->requests->len; i++)
    g_ptr_array_add (all, vm_scsi_request_ref (g_ptr_array_index (dev->requests, i)));
  for (guint i = 0; i < all->len; i++)
    vm_scsi_request_cancel (g_ptr_array_index (all, i));
}

void
vm_scsi_device_reset (VmScsiDevice *dev, VmScsiAttention why)
{
  vm_scsi_device_abort_all (dev);
  dev->descriptor_sense = false;
  dev->sense_len = 0;
  dev->attentions |= why;
  if (scsi_class (dev)->unit_reset)
    scsi_class (dev)->unit_reset (dev);
}

void
vm_scsi_target_reset (VmScsiBus *bus, unsigned channel, unsigned target)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (bus->parent.devices, i);

      if (dev->parent.realized && dev->channel == channel && dev->scsi_id == target)
        vm_scsi_device_reset (dev, VM_SCSI_UA_DEVICE_RESET);
    }
}

void
vm_scsi_bus_reset (VmScsiBus *bus)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmScsiDevice *dev = g_ptr_array_index (bus->parent.devices, i);

      if (dev->parent.realized)
        vm_scsi_device_reset (dev, VM_SCSI_UA_BUS_RESET);
    }
}

void
vm_scsi_device_attention (VmScsiDevice *dev, VmScsiAttention why)
{
  VmScsiBus *bus = vm_scsi_device_bus (dev);

  dev->attentions |= why;
  if (bus && bus->ops->attention && dev->parent.realized)
    bus->ops->attention (bus, dev, vm_scsi_attention_sense (why));
}

/* --- the base of all units ------------------------------------------------------------------------- */

static bool
scsi_device_bus_realize (VmDevice *device, GError **error)
{
  VmScsiDevice *dev = VM_SCSI_DEVICE (device);

  dev->requests = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_scsi_request_unref);
  dev->peripheral = scsi_class (dev)->peripheral;
  dev->attentions = VM_SCSI_UA_POWER_ON;
  return true;
}

/* Types have let go of their media before. */
static void
scsi_device_bus_unrealize (VmDevice *device)
{
  g_clear_pointer (&VM_SCSI_DEVICE (device)->requests, g_ptr_array_unref);
}

static bool
scsi_device_realize (VmDevice *device, GError **error)
{
  VmScsiDevice *dev = VM_SCSI_DEVICE (device);
  VmMachine *machine = device->env->machine;

  return dev->bootindex < 0 || !machine || vm_machine_add_boot_device (machine, dev->bootindex, device, NULL, error);
}

static void
scsi_device_unrealize (VmDevice *device)
{
  if (VM_SCSI_DEVICE (device)->bootindex >= 0 && device->env->machine)
    vm_machine_remove_boot_device (device->env->machine, device);
}

static void
scsi_device_reset (VmDevice *device, VmResetKind kind)
{
  VmScsiDevice *dev = VM_SCSI_DEVICE (device);

  if (scsi_class (dev)->drain)
    scsi_class (dev)->drain (dev);
  dev->attentions = 0;
  vm_scsi_device_reset (dev, kind == VM_RESET_BUS ? VM_SCSI_UA_BUS_RESET : VM_SCSI_UA_POWER_ON);
}

static bool
scsi_device_post_load (VmDevice *device, GError **error)
{
  if (VM_SCSI_DEVICE (device)->sense_len > VM_SCSI_SENSE_MAX)
    return vm_fail (error, "%s: impossible state", vm_device_path (device));
  return true;
}

static const VmProp scsi_device_props[] = {
  VM_PROP ("channel", VmScsiDevice, channel, 0, "bus of the adapter"),
  VM_PROP ("scsi-id", VmScsiDevice, scsi_id, UINT32_MAX, "target number"),
  VM_PROP ("lun", VmScsiDevice, lun, UINT32_MAX, "logical unit number"),
  VM_PROP ("bootindex", VmScsiDevice, bootindex, -1, "place in the boot order"),
  { 0 },
};

static const VmField scsi_device_state[] = {
  VM_FIELD (VmScsiDevice, descriptor_sense),
  VM_FIELD (VmScsiDevice, attentions),
  VM_FIELD_ARRAY (VmScsiDevice, sense),
  VM_FIELD (VmScsiDevice, sense_len),
  { 0 },
};

static const VmScsiClass scsi_device_class = {
  .parent = {
    .bus_realize = scsi_device_bus_realize, .bus_unrealize = scsi_device_bus_unrealize,
    .realize = scsi_device_realize, .unrealize = scsi_device_unrealize, .reset = scsi_device_reset,
    .post_load = scsi_device_post_load, .bus_type = VM_SCSI_BUS_TYPE, .category = "Storage",
  },
};

const VmType vm_scsi_device_type = {
  .name = "scsi-device", .parent = &vm_device_type, .size = sizeof (VmScsiDevice),
  .help = "Logical unit on a SCSI bus", .abstract = true, .props = scsi_device_props, .state = scsi_device_state,
  .klass = &scsi_device_class,
};
