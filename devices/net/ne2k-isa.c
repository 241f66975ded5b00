/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Novell's NE2000 on the ISA bus. */
#include "devices/isa/isa.h"
#include "devices/net/dp8390.h"

typedef struct Ne2kIsa
{
  VmIsaDevice parent;
  uint32_t iobase, irq; /* properties */
  Dp8390 chip;
} Ne2kIsa;

static bool
rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  dp8390_rx_filter (&((Ne2kIsa *) device)->chip, filter);
  return true;
}

static const VmNetCardOps card_ops = { .port = { .receive = dp8390_receive }, .rx_filter = rx_filter };

static void
ne2k_isa_reset (VmDevice *dev, VmResetKind kind)
{
  dp8390_reset (&((Ne2kIsa *) dev)->chip);
}

static void
ne2k_isa_unrealize (VmDevice *dev)
{
  dp8390_detach (&((Ne2kIsa *) dev)->chip);
}

static bool
ne2k_isa_realize (VmDevice *dev, GError **error)
{
  Ne2kIsa *self = (Ne2kIsa *) dev;

  if (self->irq >= VM_ISA_IRQS)
    return vm_fail (error, "ne2k_isa: the ISA bus has no interrupt line %u", self->irq);
  if (!dp8390_attach (&self->chip, dev, &card_ops, vm_isa_irq (dev, self->irq), error))
    return false;
  if (vm_isa_map_io (dev, self->iobase, DP8390_PORTS, &dp8390_ops, &self->chip, error))
    return true;
  dp8390_detach (&self->chip);
  return false;
}

static bool
ne2k_isa_post_load (VmDevice *dev, GError **error)
{
  dp8390_post_load (&((Ne2kIsa *) dev)->chip);
  return true;
}

static const VmField ne2k_isa_state[] = { VM_FIELD_EMBED (Ne2kIsa, chip, dp8390_state), { 0 } };

static const VmProp ne2k_isa_props[] = {
  VM_PROP ("iobase", Ne2kIsa, iobase, 0x300, "first I/O port"),
  VM_PROP ("irq", Ne2kIsa, irq, 9, "ISA interrupt line"),
  VM_NET_CARD_PROPS (Ne2kIsa, chip.card),
  { 0 },
};

static const VmDeviceClass ne2k_isa_class = {
  .realize = ne2k_isa_realize,
  .unrealize = ne2k_isa_unrealize,
  .reset = ne2k_isa_reset,
  .post_load = ne2k_isa_post_load,
  .bus_type = VM_ISA_BUS_TYPE,
  .category = "Network",
  .user_creatable = true,
};

const VmType vm_ne2k_isa_type = {
  .name = "ne2k_isa",
  .parent = &vm_isa_device_type,
  .size = sizeof (Ne2kIsa),
  .help = "NE2000 on the ISA bus",
  .props = ne2k_isa_props,
  .state = ne2k_isa_state,
  .klass = &ne2k_isa_class,
};
