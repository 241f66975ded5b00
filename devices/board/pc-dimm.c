/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory modules that a user plugs: checks, slot and address, and the module itself. */
#include "devices/board/pc-dimm.h"

#include "devices/board/pc.h"
#include "engine/machine/numa.h"

#define MODULE_ALIGN UINT64_C (0x200000)

/* --- the module ------------------------------------------------------------------------------------------ */

static bool
dimm_realize (VmDevice *dev, GError **error)
{
  VmPcDimm *self = (VmPcDimm *) dev;

  vm_region_init_ram_block (&self->region, dev->env->memory, self->memdev->parent.id, self->memdev->block);
  vm_region_set_readonly (&self->region, vm_memory_backend_is_rom (self->memdev));
  self->memdev->in_use = true;
  return true;
}

static void
dimm_unrealize (VmDevice *dev)
{
  VmPcDimm *self = (VmPcDimm *) dev;

  vm_region_destroy (&self->region);
  vm_memory_backend_release (self->memdev);
}

static char *
dimm_size_get (VmObject *obj, const void *field)
{
  const VmPcDimm *self = (VmPcDimm *) obj;

  return g_strdup_printf ("%" G_GUINT64_FORMAT, self->memdev ? self->memdev->size : 0);
}

static bool
dimm_size_set (VmObject *obj, void *field, const char *text, GError **error)
{
  return vm_fail (error, "Property 'pc-dimm.size' is read-only");
}

static void
dimm_size_clear (VmObject *obj, void *field)
{
}

static const VmPropCustom dimm_size
    = { .type_name = "uint64", .set = dimm_size_set, .get = dimm_size_get, .clear = dimm_size_clear };

static const VmProp dimm_props[] = {
  VM_PROP ("addr", VmPcDimm, addr, 0, "where it begins in the address space; 0: the first fitting place"),
  VM_PROP ("node", VmPcDimm, node, 0, "NUMA node"),
  VM_PROP ("slot", VmPcDimm, slot, -1, "slot; -1: the first free one"),
  VM_PROP_LINK_TO ("memdev", VmPcDimm, memdev, &vm_memory_backend_type, "memory object"),
  { .name = "size", .help = "bytes", .kind = VM_PROP_CUSTOM, .custom = &dimm_size, .flags = VM_PROP_READONLY,
    VM_PROP_COMMON (VmPcDimm, memdev) },
  { 0 }
};

static const VmDeviceClass dimm_class = {
  .realize = dimm_realize, .unrealize = dimm_unrealize, .category = "Memory", .user_creatable = true,
  .hotpluggable = true,
};

const VmType vm_pc_dimm_type = {
  .name = "pc-dimm", .parent = &vm_device_type, .size = sizeof (VmPcDimm), .help = "DIMM memory module",
  .props = dimm_props, .klass = &dimm_class,
};

/* --- the slots ------------------------------------------------------------------------------------------- */

bool
vm_pc_make_device_memory (VmPc *pc, GError **error)
{
  const VmSettings *s = pc->parent.settings;
  uint64_t room = s->max_ram_size - MIN (s->max_ram_size, pc->parent.ram_size);

  if (s->ram_slots > VM_ACPI_MAX_MEMORY_SLOTS)
    return vm_fail (error, "unsupported amount of memory slots: %u", s->ram_slots);
  if (s->ram_slots && room == 0)
    return vm_fail (error,
                    "invalid value of maxmem: memory slots were specified but maximum memory size (0x%" G_GINT64_MODIFIER
                    "x) is equal to the initial memory size (0x%" G_GINT64_MODIFIER "x)",
                    s->max_ram_size, pc->parent.ram_size);
  if (room == 0)
    return true;
  if (room > UINT64_C (1) << 46)
    return vm_fail (error, "unsupported amount of maximum memory: 0x%" G_GINT64_MODIFIER "x", s->max_ram_size);
  pc->device_memory_limit = room;
  pc->device_memory_start = VM_ALIGN_UP (4 * VM_GIB + pc->above_4g, VM_GIB);
  /* Modules begin at multiples of their alignment: each slot may leave a gap. */
  uint64_t size = VM_ALIGN_UP (room, VM_GIB) + s->ram_slots * VM_GIB;
  vm_region_init (&pc->device_memory, pc->parent.env.memory, "device-memory", size);
  vm_region_add (pc->parent.env.system_memory, pc->device_memory_start, &pc->device_memory);
  return true;
}

static uint64_t
dimm_size_of (const VmPcDimm *dimm)
{
  return dimm->memdev->size;
}

static uint64_t
used_bytes (const VmPc *pc, int node)
{
  uint64_t used = 0;

  for (unsigned i = 0; i < G_N_ELEMENTS (pc->dimms); i++)
    if (pc->dimms[i] && (node < 0 || pc->dimms[i]->node == (unsigned) node))
      used += dimm_size_of (pc->dimms[i]);
  return used;
}

static uint64_t
plugged_memory (VmMachine *machine, int node)
{
  return used_bytes (VM_PC (machine), node);
}

static bool
choose_slot (VmPc *pc, VmPcDimm *dimm, GError **error)
{
  unsigned n = pc->parent.settings->ram_slots;

  if (dimm->slot >= 0)
    {
      if ((unsigned) dimm->slot >= n)
        return vm_fail (error, "invalid slot number %d, valid range is [0-%u]", dimm->slot, n - 1);
      return !pc->dimms[dimm->slot] || vm_fail (error, "slot %d is busy", dimm->slot);
    }
  for (unsigned i = 0; i < n; i++)
    if (!pc->dimms[i])
      {
        dimm->slot = (int32_t) i;
        return true;
      }
  return vm_fail (error, "no free slots available");
}

/* Another module that SIZE bytes at ADDR would touch. */
static const VmPcDimm *
find_conflict (const VmPc *pc, uint64_t addr, uint64_t size)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (pc->dimms); i++)
    {
      const VmPcDimm *other = pc->dimms[i];

      if (other && addr < other->addr + dimm_size_of (other) && other->addr < addr + size)
        return other;
    }
  return NULL;
}

static bool
choose_address (VmPc *pc, VmPcDimm *dimm, GError **error)
{
  uint64_t size = dimm_size_of (dimm), start = pc->device_memory_start, end = start + pc->device_memory.size;
  uint64_t align = MAX (MODULE_ALIGN, dimm->memdev->align), used = used_bytes (pc, -1);
  const VmPcDimm *other;

  if (size > pc->device_memory_limit - used)
    return vm_fail (error,
                    "not enough space, currently 0x%" G_GINT64_MODIFIER "x in use of total space for memory devices "
                    "0x%" G_GINT64_MODIFIER "x",
                    used, pc->device_memory_limit);
  if (dimm->addr % align)
    return vm_fail (error, "address must be aligned to 0x%" G_GINT64_MODIFIER "x bytes", align);
  if (size % align)
    return vm_fail (error, "backend memory size must be multiple of 0x%" G_GINT64_MODIFIER "x", align);
  if (dimm->addr)
    {
      if (dimm->addr < start || dimm->addr > end || size > end - dimm->addr)
        return vm_fail (error,
                        "can't add memory device [0x%" G_GINT64_MODIFIER "x:0x%" G_GINT64_MODIFIER
                        "x], usable range for memory devices [0x%" G_GINT64_MODIFIER "x:0x%" G_GINT64_MODIFIER "x]",
                        dimm->addr, size, start, pc->device_memory.size);
      other = find_conflict (pc, dimm->addr, size);
      if (other)
        return vm_fail (error, "address range conflicts with memory device id='%s'",
                        vm_device_user_id ((VmDevice *) other) ? other->parent.parent.id : "(unnamed)");
      return true;
    }
  dimm->addr = VM_ALIGN_UP (start, align);
  while ((other = find_conflict (pc, dimm->addr, size)))
    dimm->addr = VM_ALIGN_UP (other->addr + dimm_size_of (other), align);
  if (size <= end - MIN (dimm->addr, end))
    return true;
  dimm->addr = 0;
  return vm_fail (error, "could not find position in guest address space for memory device - memory fragmented due to "
                         "alignments");
}

static bool
check_dimm (VmPc *pc, VmPcDimm *dimm, GError **error)
{
  unsigned nodes = MAX (pc->parent.numa->n, 1);

  if (!dimm->memdev)
    return vm_fail (error, "'memdev' property must be set");
  if (!pc->memory_hotplug)
    return vm_fail (error, pc->parent.settings->ram_slots
                             ? "memory hotplug is not enabled: missing acpi device or acpi disabled"
                             : "no slots where allocated, please specify the 'slots' option");
  if (dimm->node >= nodes)
    return vm_fail (error, "'DIMM property node has value %u' which exceeds the number of numa nodes: %u", dimm->node,
                    nodes);
  return !dimm->memdev->in_use || vm_fail (error, "can't use already busy memdev: %s", dimm->memdev->parent.id);
}

bool
vm_pc_plug_dimm (VmPc *pc, VmDevice *dev, GError **error)
{
  VmPcDimm *dimm = (VmPcDimm *) dev;

  if (!check_dimm (pc, dimm, error) || !choose_slot (pc, dimm, error) || !choose_address (pc, dimm, error)
      || !vm_device_realize (dev, &pc->parent.env, NULL, error))
    return false;
  vm_region_add (&pc->device_memory, dimm->addr - pc->device_memory_start, &dimm->region);
  pc->dimms[dimm->slot] = dimm;
  vm_acpi_place_insert (&pc->memory_hotplug->places[dimm->slot], dev, &pc->memory_hotplug->event);
  return true;
}

static bool
eject_dimm (void *opaque, VmDevice *dev, GError **error)
{
  VmPc *pc = opaque;
  VmPcDimm *dimm = (VmPcDimm *) dev;

  pc->dimms[dimm->slot] = NULL;
  pc->memory_hotplug->places[dimm->slot].dev = NULL;
  vm_machine_unplug (&pc->parent, dev);
  return true;
}

bool
vm_pc_request_dimm_unplug (VmPc *pc, VmDevice *dev, GError **error)
{
  VmAcpiMemoryHotplug *chip = pc->memory_hotplug;

  return vm_acpi_place_request_removal (&chip->places[((VmPcDimm *) dev)->slot], &chip->event, error);
}

static void
describe_dimm (VmDevice *dev, uint64_t *addr, uint64_t *size, uint32_t *node)
{
  const VmPcDimm *dimm = (VmPcDimm *) dev;

  *addr = dimm->addr;
  *size = dimm_size_of (dimm);
  *node = dimm->node;
}

static void
foreach_dimm (VmMachine *machine, void (*func) (const VmMemoryDeviceInfo *info, void *opaque), void *opaque)
{
  VmPc *pc = VM_PC (machine);

  for (unsigned i = 0; i < G_N_ELEMENTS (pc->dimms); i++)
    {
      VmPcDimm *dimm = pc->dimms[i];
      if (!dimm)
        continue;
      VmMemoryDeviceInfo info = { .dev = &dimm->parent, .addr = dimm->addr, .size = dimm_size_of (dimm),
                                  .slot = dimm->slot, .node = dimm->node, .memdev = &dimm->memdev->parent };
      func (&info, opaque);
    }
}

void
vm_pc_serve_dimms (VmPc *pc, VmAcpiMemoryHotplug *chip)
{
  pc->parent.plugged_memory = plugged_memory;
  pc->parent.foreach_memory_device = foreach_dimm;
  if (!pc->parent.settings->ram_slots || !pc->device_memory.memory)
    return;
  pc->memory_hotplug = chip;
  chip->n = pc->parent.settings->ram_slots;
  chip->describe = describe_dimm;
  chip->eject = eject_dimm;
  chip->opaque = pc;
}
