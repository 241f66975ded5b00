/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fw_cfg file into which the guest's kernel writes where its notes for crash dumps are. */
#include "devices/firmware/fw-cfg.h"

enum { FORMAT_ELF = 1, INFO_SIZE = 16 };

typedef struct VmCoreInfo {
  VmDevice parent;
  uint8_t  info[INFO_SIZE]; /* guest state: host format, guest format, size, address of the notes */
} VmCoreInfo;

static bool
count_device (VmDevice *dev, void *opaque)
{
  return strcmp (dev->parent.type->name, "vmcoreinfo") != 0 || !++*(unsigned *) opaque;
}

static void
info_written (void *opaque, const uint8_t *data, size_t size)
{
  VmCoreInfo *self = opaque;

  memcpy (self->info, data, MIN (size, sizeof self->info));
}

static void
core_info_reset (VmDevice *dev, VmResetKind kind)
{
  memset (((VmCoreInfo *) dev)->info, 0, INFO_SIZE);
}

static bool
core_info_realize (VmDevice *dev, GError **error)
{
  VmFwCfg *fw = vm_fw_cfg_find (dev->env->machine);
  uint8_t info[INFO_SIZE] = { FORMAT_ELF };
  unsigned others = 0;

  vm_device_foreach (dev->env->root, count_device, &others);
  if (others)
    return vm_fail (error, "at most one vmcoreinfo device is permitted");
  if (!fw)
    return vm_fail (error, "vmcoreinfo needs a machine with fw_cfg");
  return vm_fw_cfg_add_writable_file (fw, "etc/vmcoreinfo", info, sizeof info, info_written, dev, error);
}

static const VmField core_info_state[] = { VM_FIELD_ARRAY (VmCoreInfo, info), { 0 } };

static const VmDeviceClass core_info_class = {
  .realize = core_info_realize, .reset = core_info_reset, .category = "Misc", .user_creatable = true,
};

const VmType vm_core_info_type = {
  .name = "vmcoreinfo", .parent = &vm_device_type, .size = sizeof (VmCoreInfo),
  .help = "Where the guest's crash notes are", .state = core_info_state, .klass = &core_info_class,
};
