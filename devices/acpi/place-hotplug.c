/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hot-plug of processors and memory modules by ACPI: a selector chooses a place, the other registers are about it. */
#include "devices/acpi/hotplug.h"

#include "engine/machine/machine.h"

/* --- places ------------------------------------------------------------------------------------------------ */

static uint8_t
place_status (const VmAcpiPlace *p)
{
  return (uint8_t) ((p->dev ? VM_ACPI_PLACE_ENABLED : 0) | (p->inserting ? VM_ACPI_PLACE_INSERTING : 0)
                    | (p->removing ? VM_ACPI_PLACE_REMOVING : 0));
}

/* Events that were seen are cleared by ones. */
static void
place_control (VmAcpiPlace *p, uint8_t value)
{
  if (value & VM_ACPI_PLACE_INSERTING)
    p->inserting = false;
  if (value & VM_ACPI_PLACE_REMOVING)
    p->removing = false;
}

static void
place_report (const VmAcpiPlace *p, VmEnv *env, unsigned slot, const char *kind)
{
  const char *id = p->dev ? vm_device_user_id (p->dev) : NULL;
  g_autofree char *named = id ? g_strdup_printf ("\"device\": \"%s\", ", id) : g_strdup ("");

  vm_machine_emit (env->machine, "ACPI_DEVICE_OST",
                   "{\"info\": {%s\"slot\": \"%u\", \"slot-type\": \"%s\", \"source\": %u, \"status\": %u}}", named,
                   slot, kind, p->ost_source, p->ost_status);
}

static void
place_reset (VmAcpiPlace *p)
{
  p->inserting = p->removing = false;
  p->ost_source = p->ost_status = 0;
}

void
vm_acpi_place_insert (VmAcpiPlace *place, VmDevice *dev, const VmIrq *event)
{
  place->dev = dev;
  if (!dev->hotplugged)
    return;
  place->inserting = true;
  vm_irq_raise (event);
}

bool
vm_acpi_place_request_removal (VmAcpiPlace *place, const VmIrq *event, GError **error)
{
  if (place->removing)
    return vm_fail (error, "Device %s is already in the process of unplug", vm_device_path (place->dev));
  place->removing = true;
  vm_irq_raise (event);
  return true;
}

static const VmField place_state[] = {
  VM_FIELD (VmAcpiPlace, inserting), VM_FIELD (VmAcpiPlace, removing), VM_FIELD (VmAcpiPlace, ost_source),
  VM_FIELD (VmAcpiPlace, ost_status),
  { 0 }
};

/* --- processors -------------------------------------------------------------------------------------------- */

static VmAcpiPlace *
cpu_place (VmAcpiCpuHotplug *self)
{
  return self->selector < self->n ? &self->places[self->selector] : NULL;
}

static uint32_t
cpu_data (const VmAcpiCpuHotplug *self)
{
  switch (self->command)
    {
    case VM_ACPI_CPU_NEXT_EVENT:
      return self->selector;
    case VM_ACPI_CPU_ARCH_ID:
      return self->apic_ids[self->selector];
    default:
      return 0;
    }
}

static uint64_t
cpu_read (void *opaque, uint64_t offset, unsigned size)
{
  VmAcpiCpuHotplug *self = opaque;
  const VmAcpiPlace *place = cpu_place (self);

  if (!place)
    return 0;
  if (offset == VM_ACPI_CPU_CONTROL)
    return place_status (place);
  return offset >= VM_ACPI_CPU_DATA ? cpu_data (self) >> (offset - VM_ACPI_CPU_DATA) * 8 : 0;
}

/* The selector goes to the next place with an event; it stays when there is none. */
static void
cpu_find_event (VmAcpiCpuHotplug *self)
{
  for (unsigned i = 0; i < self->n; i++)
    {
      unsigned at = (self->selector + i) % self->n;

      if (self->places[at].inserting || self->places[at].removing)
        {
          self->selector = at;
          return;
        }
    }
}

static void
cpu_write_data (VmAcpiCpuHotplug *self, VmAcpiPlace *place, uint32_t value)
{
  if (self->command == VM_ACPI_CPU_OST_SOURCE)
    place->ost_source = value;
  else if (self->command == VM_ACPI_CPU_OST_STATUS)
    {
      place->ost_status = value;
      place_report (place, self->env, self->selector, "CPU");
    }
}

static void
cpu_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmAcpiCpuHotplug *self = opaque;
  VmAcpiPlace *place;

  if (offset == VM_ACPI_CPU_SELECTOR && size == 4)
    self->selector = (uint32_t) value;
  if (!(place = cpu_place (self)))
    return;
  if (offset == VM_ACPI_CPU_CONTROL)
    {
      place_control (place, (uint8_t) value);
      if ((value & VM_ACPI_PLACE_EJECT) && place->dev && self->eject)
        self->eject (self->opaque, place->dev);
    }
  else if (offset == VM_ACPI_CPU_COMMAND)
    {
      self->command = (uint8_t) value;
      if (self->command == VM_ACPI_CPU_NEXT_EVENT)
        cpu_find_event (self);
    }
  else if (offset == VM_ACPI_CPU_DATA && size == 4)
    cpu_write_data (self, place, (uint32_t) value);
}

static const VmRegionOps cpu_ops = {
  .read = cpu_read, .write = cpu_write, .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

void
vm_acpi_cpu_hotplug_init (VmAcpiCpuHotplug *self, VmEnv *env, uint16_t base)
{
  self->env = env;
  vm_region_init_io (&self->io, env->memory, &cpu_ops, self, "acpi-cpu-hotplug", VM_ACPI_CPU_LENGTH);
  vm_region_add (env->system_io, base, &self->io);
}

void
vm_acpi_cpu_hotplug_destroy (VmAcpiCpuHotplug *self)
{
  vm_region_destroy (&self->io);
}

void
vm_acpi_cpu_hotplug_reset (VmAcpiCpuHotplug *self)
{
  self->selector = 0;
  self->command = 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (self->places); i++)
    place_reset (&self->places[i]);
}

const VmField vm_acpi_cpu_hotplug_state[] = {
  VM_FIELD (VmAcpiCpuHotplug, selector), VM_FIELD (VmAcpiCpuHotplug, command),
  VM_FIELD_EMBED_ARRAY (VmAcpiCpuHotplug, places, place_state),
  { 0 }
};

/* --- memory modules ------------------------------------------------------------------------------------------ */

static VmAcpiPlace *
memory_place (VmAcpiMemoryHotplug *self)
{
  return self->selector < self->n ? &self->places[self->selector] : NULL;
}

static uint64_t
memory_read (void *opaque, uint64_t offset, unsigned size)
{
  VmAcpiMemoryHotplug *self = opaque;
  const VmAcpiPlace *place = memory_place (self);
  uint64_t addr = 0, bytes = 0, value = 0;
  uint32_t node = 0;

  if (!place)
    return 0;
  if (place->dev)
    self->describe (place->dev, &addr, &bytes, &node);
  switch (offset & ~UINT64_C (3))
    {
    case VM_ACPI_MEMORY_ADDR_LOW:
      value = addr;
      break;
    case VM_ACPI_MEMORY_ADDR_HIGH:
      value = addr >> 32;
      break;
    case VM_ACPI_MEMORY_SIZE_LOW:
      value = bytes;
      break;
    case VM_ACPI_MEMORY_SIZE_HIGH:
      value = bytes >> 32;
      break;
    case VM_ACPI_MEMORY_NODE:
      value = node;
      break;
    case VM_ACPI_MEMORY_CONTROL:
      value = place_status (place);
      break;
    }
  return (value & UINT32_MAX) >> (offset & 3) * 8;
}

static void
memory_eject (VmAcpiMemoryHotplug *self, VmAcpiPlace *place)
{
  g_autofree char *id = g_strdup (vm_device_user_id (place->dev));
  g_autoptr (GError) error = NULL;

  if (self->eject (self->opaque, place->dev, &error))
    return;
  vm_machine_emit (self->env->machine, "MEMORY_UNPLUG_ERROR", "{\"device\": \"%s\", \"msg\": \"%s\"}", id ? id : "",
                   error->message);
}

static void
memory_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmAcpiMemoryHotplug *self = opaque;
  VmAcpiPlace *place;

  if (offset == VM_ACPI_MEMORY_SELECTOR && size == 4)
    self->selector = (uint32_t) value;
  if (!(place = memory_place (self)))
    return;
  if (offset == VM_ACPI_MEMORY_OST_SOURCE && size == 4)
    place->ost_source = (uint32_t) value;
  else if (offset == VM_ACPI_MEMORY_OST_STATUS && size == 4)
    {
      place->ost_status = (uint32_t) value;
      place_report (place, self->env, self->selector, "DIMM");
    }
  else if (offset == VM_ACPI_MEMORY_CONTROL)
    {
      place_control (place, (uint8_t) value);
      if ((value & VM_ACPI_PLACE_EJECT) && place->dev)
        memory_eject (self, place);
    }
}

static const VmRegionOps memory_ops = {
  .read = memory_read, .write = memory_write, .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

void
vm_acpi_memory_hotplug_init (VmAcpiMemoryHotplug *self, VmEnv *env, uint16_t base)
{
  self->env = env;
  vm_region_init_io (&self->io, env->memory, &memory_ops, self, "acpi-mem-hotplug", VM_ACPI_MEMORY_LENGTH);
  vm_region_add (env->system_io, base, &self->io);
}

void
vm_acpi_memory_hotplug_destroy (VmAcpiMemoryHotplug *self)
{
  vm_region_destroy (&self->io);
}

void
vm_acpi_memory_hotplug_reset (VmAcpiMemoryHotplug *self)
{
  self->selector = 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (self->places); i++)
    place_reset (&self->places[i]);
}

const VmField vm_acpi_memory_hotplug_state[] = {
  VM_FIELD (VmAcpiMemoryHotplug, selector), VM_FIELD_EMBED_ARRAY (VmAcpiMemoryHotplug, places, place_state),
  { 0 }
};
