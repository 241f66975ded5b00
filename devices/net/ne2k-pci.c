/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Realtek RTL8029AS: an NE2000 on the PCI bus (data sheet, chapter 6). */
#include "devices/net/ne2k-pci.h"

#define IO_SIZE 256

static bool
rx_filter (VmObject *device, VmNetRxFilter *filter)
{
  dp8390_rx_filter (&((Ne2kPci *) device)->chip, filter);
  return true;
}

static const VmNetCardOps card_ops = { .port = { .receive = dp8390_receive }, .rx_filter = rx_filter };

/* Ports behind the card's own are empty. */
static uint64_t
io_read (void *opaque, uint64_t offset, unsigned size)
{
  return offset < DP8390_PORTS ? dp8390_ops.read (opaque, offset, size) : UINT32_MAX;
}

static void
io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  if (offset < DP8390_PORTS)
    dp8390_ops.write (opaque, offset, value, size);
}

static const VmRegionOps io_ops = {
  .read = io_read,
  .write = io_write,
  .valid = { .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 4 },
};

static void
ne2k_pci_reset (VmDevice *dev, VmResetKind kind)
{
  dp8390_reset (&((Ne2kPci *) dev)->chip);
}

static void
ne2k_pci_unrealize (VmDevice *dev)
{
  Ne2kPci *self = (Ne2kPci *) dev;

  dp8390_detach (&self->chip);
  if (self->io.memory)
    vm_region_destroy (&self->io);
}

static bool
ne2k_pci_realize (VmDevice *dev, GError **error)
{
  Ne2kPci *self = (Ne2kPci *) dev;
  VmPciDevice *pci = &self->parent;

  self->chip.realtek = true;
  if (!dp8390_attach (&self->chip, dev, &card_ops, vm_pci_irq (pci), error))
    return false;
  vm_region_init_io (&self->io, dev->env->memory, &io_ops, &self->chip, "ne2k_pci", IO_SIZE);
  vm_pci_add_bar (pci, 0, PCI_BAR_IO, &self->io);
  vm_pci_set_interrupt_pin (pci, 1);
  return true;
}

static bool
ne2k_pci_post_load (VmDevice *dev, GError **error)
{
  dp8390_post_load (&((Ne2kPci *) dev)->chip);
  return true;
}

static const VmField ne2k_pci_state[] = { VM_FIELD_EMBED (Ne2kPci, chip, dp8390_state), { 0 } };

static const VmProp ne2k_pci_props[] = { VM_NET_CARD_PROPS (Ne2kPci, chip.card), { 0 } };

static const VmPciClass ne2k_pci_class = {
  .parent = { .realize = ne2k_pci_realize,
              .unrealize = ne2k_pci_unrealize,
              .reset = ne2k_pci_reset,
              .post_load = ne2k_pci_post_load,
              .bus_type = VM_PCI_BUS_TYPE,
              .category = "Network",
              .user_creatable = true,
              .hotpluggable = true },
  .vendor = 0x10ec,
  .device = 0x8029,
  .class_id = 0x0200,
  .romfile = "efi-ne2k_pci.rom",
};

const VmType vm_ne2k_pci_type = {
  .name = "ne2k_pci",
  .parent = &vm_pci_device_type,
  .size = sizeof (Ne2kPci),
  .help = "Realtek RTL8029AS, an NE2000 on PCI",
  .props = ne2k_pci_props,
  .state = ne2k_pci_state,
  .klass = &ne2k_pci_class,
};
