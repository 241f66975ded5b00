/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices: realize with undo, unrealize, reset. */
#include "engine/bus/device.h"

#include "engine/base/trace.h"

const VmType vm_device_type = {
  .name = "device",
  .parent = &vm_object_type,
  .size = sizeof (VmDevice),
  .help = "a device of a machine",
  .abstract = true,
};

VmDevice *
vm_device_new (const VmType *type)
{
  g_assert (vm_type_is_a (type, &vm_device_type));
  return (VmDevice *) vm_object_new (type);
}

const VmDeviceClass *
vm_device_class (const VmDevice *dev)
{
  return vm_type_klass (dev->parent.type);
}

const char *
vm_device_bus_type (const VmType *type)
{
  for (; type && type != &vm_device_type; type = type->parent)
    {
      const VmDeviceClass *klass = type->klass;

      if (klass && klass->bus_type)
        return klass->bus_type;
    }
  return NULL;
}

const char *
vm_device_user_id (VmDevice *dev)
{
  const VmObject *folder = dev->parent.parent;

  return folder && g_strcmp0 (folder->id, "peripheral") == 0 ? dev->parent.id : NULL;
}

const char *
vm_device_path (VmDevice *dev)
{
  const char *id = vm_device_user_id (dev);

  return id ? id : dev->parent.type->name;
}

/* --- what classes say, from the base type to the leaf ----------------------------------------- */

typedef struct Chain {
  const VmDeviceClass *klass[16];
  unsigned             n;
} Chain;

static Chain
class_chain (const VmDevice *dev)
{
  Chain chain = { .n = 0 };
  const VmDeviceClass *up[G_N_ELEMENTS (chain.klass)];

  for (const VmType *type = dev->parent.type; type && type != &vm_device_type; type = type->parent)
    if (type->klass && (chain.n == 0 || up[chain.n - 1] != type->klass))
      {
        g_assert (chain.n < G_N_ELEMENTS (up));
        up[chain.n++] = type->klass;
      }
  for (unsigned i = 0; i < chain.n; i++)
    chain.klass[i] = up[chain.n - 1 - i];
  return chain;
}

/* Whether class I brings a MEMBER of its own, not just its parent's again. */
#define OWN(chain, i, member)                                                                    \
  ((chain)->klass[i]->member &&                                                                  \
   ((i) == 0 || (chain)->klass[i]->member != (chain)->klass[(i) - 1]->member))

static void
undo_realize (VmDevice *dev, const Chain *chain, unsigned n)
{
  while (n-- > 0)
    if (OWN (chain, n, unrealize))
      chain->klass[n]->unrealize (dev);
}

static void
undo_bus_realize (VmDevice *dev, const Chain *chain, unsigned n)
{
  while (n-- > 0)
    if (OWN (chain, n, bus_unrealize))
      chain->klass[n]->bus_unrealize (dev);
}

static bool
run_realize (VmDevice *dev, const Chain *chain, GError **error)
{
  for (unsigned i = 0; i < chain->n; i++)
    if (OWN (chain, i, realize) && !chain->klass[i]->realize (dev, error))
      {
        undo_realize (dev, chain, i);
        return false;
      }
  return true;
}

static bool
run_bus_realize (VmDevice *dev, const Chain *chain, GError **error)
{
  for (unsigned i = 0; i < chain->n; i++)
    if (OWN (chain, i, bus_realize) && !chain->klass[i]->bus_realize (dev, error))
      {
        undo_bus_realize (dev, chain, i);
        return false;
      }
  return true;
}

static void
destroy_buses (VmDevice *dev)
{
  while (dev->buses && dev->buses->len)
    vm_bus_destroy (g_ptr_array_index (dev->buses, dev->buses->len - 1));
  g_clear_pointer (&dev->buses, g_ptr_array_unref);
}

/* Who works on a bus without the machine lock stands still while something about its devices changes. */
static bool
bus_enter (const VmBus *bus)
{
  return bus && bus->lock && vm_lock_enter (bus->lock);
}

static void
bus_leave (const VmBus *bus, bool taken)
{
  if (bus && bus->lock)
    vm_lock_leave (bus->lock, taken);
}

/* --- realize ---------------------------------------------------------------------------------- */

static bool
join_bus (VmDevice *dev, VmBus *bus, GError **error)
{
  const char *wanted = vm_device_bus_type (dev->parent.type);

  if (wanted && strcmp (wanted, bus->type_name) != 0)
    return vm_fail (error, "Device '%s' can't go on %s bus", dev->parent.type->name, bus->type_name);
  if (dev->hotplugged && !bus->hotplug)
    return vm_fail (error, "Bus '%s' does not support hotplugging", bus->name);
  if (bus->max_devices && bus->devices->len >= bus->max_devices)
    return vm_fail (error, "Bus '%s' is full", bus->name);
  dev->bus = bus;
  if (bus->attach && !bus->attach (bus, dev, error))
    {
      dev->bus = NULL;
      return false;
    }
  g_ptr_array_add (bus->devices, dev);
  return true;
}

static void
leave_bus (VmDevice *dev)
{
  VmBus *bus = dev->bus;

  if (!bus)
    return;
  if (bus->detach)
    bus->detach (bus, dev);
  g_ptr_array_remove (bus->devices, dev);
  dev->bus = NULL;
}

static bool
join_tree (VmDevice *dev, VmEnv *env, GError **error)
{
  const char *id = dev->parent.id;

  if (dev->parent.parent)
    return true;
  VmObject *folder =
    vm_object_container (env->root, id ? "machine/peripheral" : "machine/unattached");
  if (id && vm_object_child (folder, id))
    return vm_fail (error, "Duplicate device ID '%s'", id);
  g_autofree char *own = g_strdup (id);
  for (unsigned n = 0; !own; n++)
    {
      g_autofree char *numbered = g_strdup_printf ("device[%u]", n);

      if (!vm_object_child (folder, numbered))
        own = g_steal_pointer (&numbered);
    }
  vm_object_add_child (folder, own, &dev->parent);
  return true;
}

bool
vm_device_realize (VmDevice *dev, VmEnv *env, VmBus *bus, GError **error)
{
  Chain chain = class_chain (dev);

  g_assert (!dev->realized);
  dev->env = env;
  if (!bus && vm_device_bus_type (dev->parent.type))
    return vm_fail (error, "No '%s' bus found for device '%s'", vm_device_bus_type (dev->parent.type),
                    dev->parent.type->name);
  vm_object_ref (&dev->parent); /* leaving the tree must not free what the caller may still hold */
  bool taken = bus_enter (bus);
  bool ok = join_tree (dev, env, error);
  if (ok && (ok = !bus || join_bus (dev, bus, error)))
    {
      ok = run_bus_realize (dev, &chain, error);
      if (ok && !(ok = run_realize (dev, &chain, error)))
        undo_bus_realize (dev, &chain, chain.n);
      if (!ok)
        {
          destroy_buses (dev);
          leave_bus (dev);
        }
    }
  if (ok)
    {
      dev->realized = true;
      dev->parent.frozen = true;
      if (dev->hotplugged)
        vm_device_reset (dev, VM_RESET_COLD);
      if (dev->hotplugged && bus && bus->plugged)
        bus->plugged (bus, dev);
    }
  else
    vm_object_remove_child (&dev->parent);
  bus_leave (bus, taken);
  vm_object_unref (&dev->parent);
  return ok;
}

void
vm_device_unrealize (VmDevice *dev)
{
  Chain chain = class_chain (dev);

  if (!dev->realized)
    return;
  vm_object_ref (&dev->parent);
  const VmBus *on = dev->bus;
  bool taken = bus_enter (on);
  for (guint i = dev->buses ? dev->buses->len : 0; i-- > 0;)
    {
      VmBus *bus = g_ptr_array_index (dev->buses, i);

      while (bus->devices->len)
        vm_device_unrealize (g_ptr_array_index (bus->devices, bus->devices->len - 1));
    }
  undo_realize (dev, &chain, chain.n);
  undo_bus_realize (dev, &chain, chain.n);
  destroy_buses (dev);
  leave_bus (dev);
  dev->realized = false;
  dev->parent.frozen = false;
  bus_leave (on, taken);
  vm_object_remove_child (&dev->parent);
  vm_object_unref (&dev->parent);
}

bool
vm_device_post_load (VmDevice *dev, GError **error)
{
  Chain chain = class_chain (dev);
  bool taken = bus_enter (dev->bus), ok = true;

  for (unsigned i = 0; i < chain.n && ok; i++)
    if (OWN (&chain, i, post_load))
      ok = chain.klass[i]->post_load (dev, error);
  bus_leave (dev->bus, taken);
  return ok;
}

/* --- all of them ------------------------------------------------------------------------------ */

bool
vm_device_foreach (VmObject *root, bool (*func) (VmDevice *dev, void *opaque), void *opaque)
{
  if (vm_object_is_a (root, &vm_device_type) && VM_DEVICE (root)->realized &&
      !func (VM_DEVICE (root), opaque))
    return false;
  for (guint i = 0; root->children && i < root->children->len; i++)
    if (!vm_device_foreach (g_ptr_array_index (root->children, i), func, opaque))
      return false;
  return true;
}

void
vm_bus_reset (VmBus *bus, VmResetKind kind)
{
  for (guint i = 0; i < bus->devices->len; i++)
    vm_device_reset (g_ptr_array_index (bus->devices, i), kind);
}

void
vm_device_reset (VmDevice *dev, VmResetKind kind)
{
  Chain chain = class_chain (dev);

  if (!dev->realized)
    return;
  vm_trace (QDEV_RESET, "%s type %s", vm_device_path (dev), dev->parent.type->name);
  for (guint i = 0; dev->buses && i < dev->buses->len; i++)
    vm_bus_reset (g_ptr_array_index (dev->buses, i), kind);
  bool taken = bus_enter (dev->bus);
  for (unsigned i = 0; i < chain.n; i++)
    if (OWN (&chain, i, reset))
      chain.klass[i]->reset (dev, kind);
  bus_leave (dev->bus, taken);
}

static bool
collect_system_device (VmDevice *dev, void *opaque)
{
  if (!dev->bus)
    g_ptr_array_add (opaque, dev);
  return true;
}

void
vm_devices_reset (VmEnv *env, VmResetKind kind)
{
  g_autoptr (GPtrArray) system = g_ptr_array_new ();

  vm_device_foreach (env->root, collect_system_device, system);
  /* A device made later may be part of one made earlier. */
  for (guint i = system->len; i-- > 0;)
    vm_device_reset (g_ptr_array_index (system, i), kind);
}

bool
vm_device_pre_save (VmDevice *dev, GError **error)
{
  Chain chain = class_chain (dev);

  for (guint i = 0; dev->buses && i < dev->buses->len; i++)
    {
      const VmBus *bus = g_ptr_array_index (dev->buses, i);

      for (guint k = 0; k < bus->devices->len; k++)
        if (!vm_device_pre_save (g_ptr_array_index (bus->devices, k), error))
          return false;
    }
  if (dev->realized && vm_device_class (dev)->unmigratable)
    return vm_fail (error, "%s: the state of '%s' cannot be saved", vm_device_path (dev), dev->parent.type->name);
  bool taken = bus_enter (dev->bus), ok = true;
  for (unsigned i = chain.n; dev->realized && ok && i-- > 0;)
    if (OWN (&chain, i, pre_save))
      ok = chain.klass[i]->pre_save (dev, error);
  bus_leave (dev->bus, taken);
  return ok;
}

bool
vm_devices_pre_save (const VmEnv *env, GError **error)
{
  g_autoptr (GPtrArray) system = g_ptr_array_new ();

  vm_device_foreach (env->root, collect_system_device, system);
  for (guint i = system->len; i-- > 0;)
    if (!vm_device_pre_save (g_ptr_array_index (system, i), error))
      return false;
  return true;
}
