/* SPDX-License-Identifier: GPL-3.0-or-later */
/* NVMe namespaces: "nvme-ns", and those that a controller makes of its own drive. */
#include "devices/nvme/nvme.h"

#include "engine/machine/machine.h"

#define ZONE_SIZE (128 * VM_MIB)

static bool
parse_uuid (NvmeNamespace *ns, GError **error)
{
  const char *text = ns->uuid_text;
  unsigned digits = 0;

  if (!text || !*text)
    return true;
  if (strcmp (text, "auto") == 0)
    {
      for (unsigned i = 0; i < 16; i++)
        ns->uuid[i] = (uint8_t) g_random_int ();
      ns->uuid[6] = 0x40 | (ns->uuid[6] & 15);
      ns->uuid[8] = 0x80 | (ns->uuid[8] & 0x3f);
    }
  else
    {
      if (!g_uuid_string_is_valid (text))
        return vm_fail (error, "Property 'nvme-ns.uuid' doesn't take value '%s'", text);
      for (const char *p = text; *p; p++)
        if (*p != '-')
          {
            ns->uuid[digits / 2] = (uint8_t) (ns->uuid[digits / 2] << 4 | g_ascii_xdigit_value (*p));
            digits++;
          }
    }
  for (unsigned i = 0; i < 16; i++)
    ns->has_uuid |= ns->uuid[i] != 0;
  return true;
}

unsigned
nvme_namespace_formats (const NvmeNamespace *ns, uint8_t *shifts)
{
  uint8_t own = (uint8_t) g_bit_nth_lsf (ns->conf.logical_block_size, -1);

  shifts[0] = 9;
  shifts[1] = 12;
  shifts[2] = own;
  return own == 9 || own == 12 ? 2 : 3;
}

/* What the user said about zones; NULL: nothing. A controller's own namespace has no such properties. */
static const char *
zoned_property (const NvmeNamespace *ns)
{
  const struct
  {
    const char *name;
    bool said;
  } all[] = {
    { "zoned", ns->zoned },
    { "zoned.cross_read", ns->cross_read },
    { "zoned.zone_size", ns->zone_size && ns->zone_size != ZONE_SIZE },
    { "zoned.zone_capacity", ns->zone_capacity },
    { "zoned.zrwas", ns->zrwas },
    { "zoned.zrwafg", ns->zrwafg && ns->zrwafg != UINT64_MAX },
    { "zoned.descr_ext_size", ns->descr_ext_size },
    { "zoned.max_open", ns->max_open },
    { "zoned.max_active", ns->max_active },
    { "zoned.numzrwa", ns->numzrwa },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i].said)
      return all[i].name;
  return NULL;
}

static bool
refuse (const NvmeNamespace *ns, GError **error)
{
  if (zoned_property (ns))
    return vm_fail (error, "%s: zoned namespaces are not available in this build", zoned_property (ns));
  if (ns->ms || ns->mset)
    return vm_fail (error, "%s: metadata is not available in this build", ns->ms ? "ms" : "mset");
  if (ns->pi || ns->pil || ns->pif)
    return vm_fail (error, "%s: protection information is not available in this build",
                    ns->pi    ? "pi"
                    : ns->pil ? "pil"
                              : "pif");
  if (!ns->mssrl || !ns->mcl)
    return vm_fail (error, "%s must be non-zero", ns->mssrl ? "mcl" : "mssrl");
  return true;
}

bool
nvme_namespace_open (NvmeNamespace *ns, VmDevice *owner, GError **error)
{
  bool default_granularity = ns->conf.discard_granularity == UINT32_MAX;

  if (!ns->conf.drive)
    return vm_fail (error, "block backend not configured");
  if (!refuse (ns, error) || !parse_uuid (ns, error))
    return false;
  if (!vm_block_conf_claim (&ns->conf, &owner->parent,
                            ns->conf.drive->block && vm_block_readonly (ns->conf.drive->block), NULL, error))
    return false;
  if (default_granularity)
    ns->conf.discard_granularity = MAX (ns->conf.logical_block_size, 4096);
  ns->owner = owner;
  nvme_namespace_reset (ns);
  return true;
}

/* Formats last: only the first time they are the user's. */
void
nvme_namespace_reset (NvmeNamespace *ns)
{
  uint8_t shifts[NVME_LBA_FORMATS + 1];
  unsigned n = nvme_namespace_formats (ns, shifts);

  ns->error_recovery = 0;
  if (ns->lba_shift)
    return;
  for (unsigned i = 0; i < n; i++)
    if (UINT64_C (1) << shifts[i] == ns->conf.logical_block_size)
      ns->lba_format = (uint8_t) i;
  ns->lba_shift = shifts[ns->lba_format];
}

void
nvme_namespace_close (NvmeNamespace *ns)
{
  if (ns->owner)
    vm_drive_release (ns->conf.drive);
  ns->owner = NULL;
}

const VmProp nvme_namespace_props[] = {
  VM_BLOCK_CONF_PROPS (NvmeNamespace, conf),
  { 0 },
};

const VmField nvme_namespace_state[] = {
  VM_FIELD (NvmeNamespace, lba_shift),      VM_FIELD (NvmeNamespace, lba_format),
  VM_FIELD (NvmeNamespace, error_recovery), VM_FIELD (NvmeNamespace, bytes_read),
  VM_FIELD (NvmeNamespace, bytes_written),  VM_FIELD (NvmeNamespace, reads),
  VM_FIELD (NvmeNamespace, writes),         { 0 },
};

/* --- the device ------------------------------------------------------------------------------- */

static NvmeNamespace **
ns_places (VmNvme *ctrl)
{
  return ctrl->subsys ? ctrl->subsys->namespaces : ctrl->namespaces;
}

static bool
ns_take_id (VmNvmeNs *self, VmNvme *ctrl, GError **error)
{
  NvmeNamespace **places = ns_places (ctrl);
  uint32_t id = self->ns.nsid;

  if (id > NVME_NAMESPACES)
    return vm_fail (error, "invalid namespace id (must be between 0 and %u)", NVME_NAMESPACES);
  if (!id)
    for (id = 1; id <= NVME_NAMESPACES && (places[id] || ctrl->namespaces[id]); id++)
      ;
  if (id > NVME_NAMESPACES)
    return vm_fail (error, "no free namespace id");
  if (places[id] || ctrl->namespaces[id])
    return vm_fail (error, "namespace id '%u' already allocated", id);
  self->ns.nsid = id;
  return true;
}

static bool
ns_realize (VmDevice *dev, GError **error)
{
  VmNvmeNs *self = (VmNvmeNs *) dev;
  VmNvme *ctrl = (VmNvme *) dev->bus->owner;
  VmMachine *machine = dev->env->machine;

  if (self->ns.detached && !ctrl->subsys)
    return vm_fail (error, "detached requires that the nvme device is linked to an nvme-subsys device");
  if (!ctrl->subsys)
    self->ns.shared = false;
  if (!ns_take_id (self, ctrl, error) || !nvme_namespace_open (&self->ns, dev, error))
    return false;
  if (self->ns.eui64_default && !self->ns.eui64)
    self->ns.eui64 = UINT64_C (0x5254000000000000) + self->ns.nsid;
  if (self->bootindex >= 0 && machine && !vm_machine_add_boot_device (machine, self->bootindex, dev, NULL, error))
    {
      nvme_namespace_close (&self->ns);
      return false;
    }
  if (ctrl->subsys)
    ctrl->subsys->namespaces[self->ns.nsid] = &self->ns;
  if (self->ns.detached)
    return true;
  nvme_attach (ctrl, &self->ns);
  for (unsigned i = 0; ctrl->subsys && self->ns.shared && i < NVME_CONTROLLERS; i++)
    if (ctrl->subsys->controllers[i] && ctrl->subsys->controllers[i] != ctrl)
      nvme_attach (ctrl->subsys->controllers[i], &self->ns);
  return true;
}

static void
ns_unrealize (VmDevice *dev)
{
  VmNvmeNs *self = (VmNvmeNs *) dev;
  VmNvme *ctrl = (VmNvme *) dev->bus->owner;

  if (self->bootindex >= 0 && dev->env->machine)
    vm_machine_remove_boot_device (dev->env->machine, dev);
  vm_block_drain (self->ns.conf.drive->block);
  for (unsigned i = 0; ctrl->subsys && i < NVME_CONTROLLERS; i++)
    if (ctrl->subsys->controllers[i])
      nvme_detach (ctrl->subsys->controllers[i], &self->ns);
  nvme_detach (ctrl, &self->ns);
  if (ctrl->subsys)
    ctrl->subsys->namespaces[self->ns.nsid] = NULL;
  nvme_namespace_close (&self->ns);
}

static void
ns_reset (VmDevice *dev, VmResetKind kind)
{
  nvme_namespace_reset (&((VmNvmeNs *) dev)->ns);
}

static bool
ns_pre_save (VmDevice *dev, GError **error)
{
  return vm_drive_settle (((VmNvmeNs *) dev)->ns.conf.drive, &dev->parent, error);
}

static bool
ns_post_load (VmDevice *dev, GError **error)
{
  NvmeNamespace *ns = &((VmNvmeNs *) dev)->ns;
  uint8_t shifts[NVME_LBA_FORMATS + 1];

  if (ns->lba_format >= nvme_namespace_formats (ns, shifts) || ns->lba_shift != shifts[ns->lba_format])
    return vm_fail (error, "%s: impossible format", vm_device_path (dev));
  return true;
}

static const VmProp ns_props[] = {
  VM_PROP_EMBED (VmNvmeNs, ns, nvme_namespace_props),
  VM_PROP ("nsid", VmNvmeNs, ns.nsid, 0, "namespace id; 0: the first free one"),
  VM_PROP ("shared", VmNvmeNs, ns.shared, true, "of all controllers of the subsystem"),
  VM_PROP ("detached", VmNvmeNs, ns.detached, false, "of no controller until the guest attaches it"),
  VM_PROP_STRING ("uuid", VmNvmeNs, ns.uuid_text, NULL, "UUID, or \"auto\""),
  VM_PROP ("eui64", VmNvmeNs, ns.eui64, 0, "extended unique identifier"),
  VM_PROP ("eui64-default", VmNvmeNs, ns.eui64_default, false, "make one of the namespace id"),
  VM_PROP ("mssrl", VmNvmeNs, ns.mssrl, 128, "blocks of one range of a copy"),
  VM_PROP ("mcl", VmNvmeNs, ns.mcl, 128, "blocks of a copy"),
  VM_PROP ("msrc", VmNvmeNs, ns.msrc, 127, "ranges of a copy, less one"),
  VM_PROP ("ms", VmNvmeNs, ns.ms, 0, "bytes of metadata"),
  VM_PROP ("mset", VmNvmeNs, ns.mset, 0, "metadata follows its data"),
  VM_PROP ("pi", VmNvmeNs, ns.pi, 0, "protection information"),
  VM_PROP ("pil", VmNvmeNs, ns.pil, 0, "protection information comes first"),
  VM_PROP ("pif", VmNvmeNs, ns.pif, 0, "format of protection information"),
  VM_PROP ("zoned", VmNvmeNs, ns.zoned, false, "zoned namespace"),
  VM_PROP ("zoned.zone_size", VmNvmeNs, ns.zone_size, ZONE_SIZE, "bytes of a zone"),
  VM_PROP ("zoned.zone_capacity", VmNvmeNs, ns.zone_capacity, 0, "bytes of it that can be written"),
  VM_PROP ("zoned.cross_read", VmNvmeNs, ns.cross_read, false, "reads may cross zones"),
  VM_PROP ("zoned.max_active", VmNvmeNs, ns.max_active, 0, "zones active at once"),
  VM_PROP ("zoned.max_open", VmNvmeNs, ns.max_open, 0, "zones open at once"),
  VM_PROP ("zoned.descr_ext_size", VmNvmeNs, ns.descr_ext_size, 0, "bytes of a zone's descriptor extension"),
  VM_PROP ("zoned.numzrwa", VmNvmeNs, ns.numzrwa, 0, "random write areas"),
  VM_PROP ("zoned.zrwas", VmNvmeNs, ns.zrwas, 0, "bytes of a random write area"),
  VM_PROP ("zoned.zrwafg", VmNvmeNs, ns.zrwafg, UINT64_MAX, "its flush granularity"),
  VM_PROP ("bootindex", VmNvmeNs, bootindex, -1, "place in the boot order"),
  { 0 },
};

static const VmField ns_state[] = {
  VM_FIELD_EMBED (VmNvmeNs, ns, nvme_namespace_state),
  { 0 },
};

static const VmDeviceClass ns_class = {
  .realize = ns_realize,
  .unrealize = ns_unrealize,
  .reset = ns_reset,
  .pre_save = ns_pre_save,
  .post_load = ns_post_load,
  .bus_type = VM_NVME_BUS_TYPE,
  .category = "Storage",
  .user_creatable = true,
  .hotpluggable = true,
};

const VmType vm_nvme_ns_type = {
  .name = "nvme-ns",
  .parent = &vm_device_type,
  .size = sizeof (VmNvmeNs),
  .help = "Virtual NVMe namespace",
  .props = ns_props,
  .state = ns_state,
  .klass = &ns_class,
};
