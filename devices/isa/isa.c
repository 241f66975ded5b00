/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ISA bus: see isa.h. */
#include "devices/isa/isa.h"

/* "fdc@03f0", as firmware knows it: the first port. */
static char *
isa_device_path (VmBus *bus, VmDevice *dev)
{
  static const char *const names[][2] = {
    { "isa-fdc", "fdc" }, { "isa-ide", "ide" }, { "isa-serial", "serial" }, { "isa-parallel", "parallel" },
    { "ne2k_isa", "ethernet" },
  };
  VmIsaDevice *self = (VmIsaDevice *) dev;
  const char *name = dev->parent.type->name;
  uint64_t port = UINT64_MAX;

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i][0]) == 0)
      name = names[i][1];
  for (guint i = 0; self->mapped && i < self->mapped->len; i++)
    port = MIN (port, ((VmRegion *) g_ptr_array_index (self->mapped, i))->addr);
  if (port == UINT64_MAX)
    return g_strdup (name);
  return g_strdup_printf ("%s@%04x", name, (unsigned) port);
}

void
vm_isa_bus_init (VmIsaBus *bus, VmDevice *owner, const char *name, VmRegion *memory, VmRegion *io)
{
  vm_bus_init (&bus->parent, VM_ISA_BUS_TYPE, owner, name);
  bus->parent.device_path = isa_device_path;
  bus->memory = memory;
  bus->io = io;
}

void
vm_isa_bus_destroy (VmIsaBus *bus)
{
  vm_bus_destroy (&bus->parent);
}

void
vm_isa_bus_set_irqs (VmIsaBus *bus, const VmIrq irqs[VM_ISA_IRQS])
{
  memcpy (bus->irq, irqs, sizeof bus->irq);
}

void
vm_isa_bus_set_dma (VmIsaBus *bus, unsigned controller, const VmIsaDmaOps *ops, void *dma)
{
  bus->dma_ops[controller] = ops;
  bus->dma[controller] = dma;
}

/* --- interrupts -------------------------------------------------------------------------------- */

/* Devices that share a line are few: their levels are or-ed anew at each change, so that a load of state
 * needs no counters. */
static bool
isa_line_level (VmIsaBus *bus, unsigned n)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmObject *obj = g_ptr_array_index (bus->parent.devices, i);

      if (vm_object_is_a (obj, &vm_isa_device_type) && (((VmIsaDevice *) obj)->irq_levels & VM_BIT (n)))
        return true;
    }
  return false;
}

static void
isa_irq_set (void *opaque, int n, int level)
{
  VmIsaDevice *self = opaque;
  VmIsaBus *bus = vm_isa_bus (&self->parent);

  if (level)
    self->irq_levels |= (uint16_t) VM_BIT (n);
  else
    self->irq_levels &= (uint16_t) ~VM_BIT (n);
  if (bus)
    vm_irq_set (&bus->irq[n], level || isa_line_level (bus, (unsigned) n));
}

VmIrq
vm_isa_irq (VmDevice *dev, unsigned n)
{
  if (n >= VM_ISA_IRQS)
    return (VmIrq) { 0 };
  return (VmIrq) { .func = isa_irq_set, .opaque = dev, .n = (int) n };
}

/* --- ports --------------------------------------------------------------------------------------- */

bool
vm_isa_add_io (VmDevice *dev, uint32_t port, VmRegion *region, GError **error)
{
  VmIsaDevice *self = (VmIsaDevice *) dev;

  if (region->size == 0 || port > 0xffff || region->size > 0x10000 - port)
    return vm_fail (error, "%s: I/O ports 0x%x to 0x%" G_GINT64_MODIFIER "x do not exist",
                    vm_device_path (dev), port, port + region->size - 1);
  vm_region_add (vm_isa_bus (dev)->io, port, region);
  g_ptr_array_add (self->mapped, region);
  return true;
}

bool
vm_isa_map_io (VmDevice *dev, uint32_t port, uint32_t len, const VmRegionOps *ops, void *opaque,
               GError **error)
{
  VmIsaDevice *self = (VmIsaDevice *) dev;
  VmRegion *region = g_new0 (VmRegion, 1);

  g_ptr_array_add (self->owned, region);
  vm_region_init_io (region, dev->env->memory, ops, opaque, dev->parent.type->name, len);
  region->reentry_owner = dev;
  return vm_isa_add_io (dev, port, region, error);
}

/* --- DMA ------------------------------------------------------------------------------------------- */

static const VmIsaDmaOps *
isa_dma (VmDevice *dev, unsigned channel, void **dma)
{
  VmIsaBus *bus = vm_isa_bus (dev);

  if (channel > 7 || !bus)
    return NULL;
  *dma = bus->dma[channel / 4];
  return bus->dma_ops[channel / 4];
}

bool
vm_isa_dma_attach (VmDevice *dev, unsigned channel, VmIsaDmaClient client, GError **error)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);

  if (!ops)
    return vm_fail (error, "%s: there is no DMA channel %u", vm_device_path (dev), channel);
  if (!ops->attach (dma, channel, client))
    return vm_fail (error, "%s: DMA channel %u is in use", vm_device_path (dev), channel);
  return true;
}

void
vm_isa_dma_detach (VmDevice *dev, unsigned channel)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);

  if (ops)
    ops->attach (dma, channel, (VmIsaDmaClient) { 0 });
}

void
vm_isa_dma_request (VmDevice *dev, unsigned channel, bool dreq)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);

  if (ops)
    ops->request (dma, channel, dreq);
}

uint32_t
vm_isa_dma_move (VmDevice *dev, unsigned channel, void *buf, uint32_t len, bool *terminal)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);
  bool unused;

  if (!terminal)
    terminal = &unused;
  *terminal = false;
  return ops ? ops->move (dma, channel, buf, len, terminal) : 0;
}

VmIsaDmaMode
vm_isa_dma_mode (VmDevice *dev, unsigned channel)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);

  return ops ? ops->mode (dma, channel) : VM_ISA_DMA_ILLEGAL;
}

bool
vm_isa_dma_autoinit (VmDevice *dev, unsigned channel)
{
  void *dma;
  const VmIsaDmaOps *ops = isa_dma (dev, channel, &dma);

  return ops && ops->autoinit (dma, channel);
}

/* --- the family ------------------------------------------------------------------------------------ */

static bool
isa_bus_realize (VmDevice *dev, GError **error)
{
  VmIsaDevice *self = (VmIsaDevice *) dev;

  self->owned = g_ptr_array_new ();
  self->mapped = g_ptr_array_new ();
  return true;
}

static void
isa_bus_unrealize (VmDevice *dev)
{
  VmIsaDevice *self = (VmIsaDevice *) dev;

  for (int n = 0; n < VM_ISA_IRQS; n++)
    if (self->irq_levels & VM_BIT (n))
      isa_irq_set (self, n, 0);
  if (!self->owned)
    return;
  for (guint i = 0; i < self->mapped->len; i++)
    {
      VmRegion *region = g_ptr_array_index (self->mapped, i);

      if (region->memory) /* unless the device has done it already */
        vm_region_destroy (region);
    }
  for (guint i = 0; i < self->owned->len; i++)
    g_free (g_ptr_array_index (self->owned, i));
  g_clear_pointer (&self->owned, g_ptr_array_unref);
  g_clear_pointer (&self->mapped, g_ptr_array_unref);
}

static const VmField isa_device_state[] = {
  VM_FIELD (VmIsaDevice, irq_levels),
  { 0 }
};

static const VmDeviceClass isa_device_class = {
  .bus_type = VM_ISA_BUS_TYPE,
  .bus_realize = isa_bus_realize,
  .bus_unrealize = isa_bus_unrealize,
};

const VmType vm_isa_device_type = {
  .name = "isa-device", .parent = &vm_device_type, .size = sizeof (VmIsaDevice), .abstract = true,
  .help = "A device on the ISA bus", .state = isa_device_state, .klass = &isa_device_class,
};
