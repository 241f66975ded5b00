/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network cards that a board makes: of -nic, -net nic, and its own. */
#include "devices/board/pc.h"

#include "net/net.h"

#include <string.h>

/* Where ISA cards go, one after the other. */
static const struct { uint16_t iobase; uint8_t irq; } isa_places[]
  = { { 0x300, 9 }, { 0x320, 10 }, { 0x340, 11 }, { 0x360, 3 }, { 0x280, 4 }, { 0x380, 5 } };

static bool
fill (VmDevice *dev, const VmNicSpec *nic, GError **error)
{
  const struct { const char *name, *value; } all[] = {
    { "netdev", nic->netdev }, { "mac", nic->mac }, { "addr", nic->addr }, { "vectors", nic->vectors },
  };

  uint32_t offset;

  /* Multicast addresses are for groups. */
  if (nic->mac && g_ascii_xdigit_value (nic->mac[0]) >= 0 && g_ascii_xdigit_value (nic->mac[1]) & 1)
    return vm_fail (error, "NIC cannot have multicast MAC address");
  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    /* Vectors of a card that has none are a wish, not an order. */
    if (all[i].value
        && (strcmp (all[i].name, "vectors") != 0 || vm_type_find_prop (dev->parent.type, "vectors", &offset))
        && !vm_object_set (&dev->parent, all[i].name, all[i].value, error))
      return false;
  return true;
}

static bool
make_nic (VmPc *pc, const VmNicSpec *nic, VmBus *pci, VmBus *isa, unsigned *n_isa, GError **error)
{
  VmMachine *machine = &pc->parent;
  const char *model = nic->model ? nic->model : machine->board->default_nic;
  const VmType *type = model ? vm_pc_type (pc, !strcmp (model, "virtio") ? "virtio-net-pci" : model) : NULL;
  const VmDeviceClass *klass = type ? vm_type_klass (type) : NULL;
  VmBus *bus = !klass || !klass->category || strcmp (klass->category, "Network") != 0 ? NULL
               : !g_strcmp0 (vm_device_bus_type (type), "ISA")                        ? isa
               : !g_strcmp0 (vm_device_bus_type (type), "PCI")                        ? pci
                                                                                      : NULL;
  bool ok;

  if (!bus)
    {
      vm_fail (error, "%s: Unsupported NIC model: %s", nic->text ? nic->text : "-nic", model ? model : "none");
      return false;
    }
  VmDevice *dev = vm_machine_new_device (machine, type);
  ok = fill (dev, nic, error);
  if (ok && bus == isa && !strcmp (type->name, "ne2k_isa"))
    {
      if (*n_isa == G_N_ELEMENTS (isa_places))
        ok = vm_fail (error, "too many ISA network cards");
      else
        {
          vm_object_set_uint (&dev->parent, "iobase", isa_places[*n_isa].iobase);
          vm_object_set_uint (&dev->parent, "irq", isa_places[*n_isa].irq);
          (*n_isa)++;
        }
    }
  ok = ok && vm_device_realize (dev, &machine->env, bus, error);
  if (ok && nic->name)
    vm_net_card_rename (&machine->env, &dev->parent, nic->name);
  if (!ok && nic->text)
    g_prefix_error (error, "%s: ", nic->text);
  vm_object_unref (&dev->parent);
  return ok;
}

bool
vm_pc_make_nics (VmPc *pc, VmBus *pci, VmBus *isa, GError **error)
{
  GPtrArray *nics = pc->parent.nics;
  unsigned n_isa = 0;

  for (guint i = 0; i < nics->len; i++)
    if (!make_nic (pc, g_ptr_array_index (nics, i), pci, isa, &n_isa, error))
      return false;
  return true;
}
