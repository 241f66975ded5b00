/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buses: names, finding them in the machine. */
#include "engine/bus/device.h"

const VmType vm_bus_type = {
  .name = "bus",
  .parent = &vm_object_type,
  .size = sizeof (VmBus),
  .help = "what devices sit on",
};

typedef struct Search {
  const char *name, *type_name;
  bool        with_room;
  VmBus      *found;
} Search;

static bool
bus_matches (const VmBus *bus, const Search *search)
{
  if (search->name && strcmp (search->name, bus->name) != 0)
    return false;
  if (search->type_name && strcmp (search->type_name, bus->type_name) != 0)
    return false;
  return !search->with_room || !bus->max_devices || bus->devices->len < bus->max_devices;
}

/* Depth first, in the order things were made: the bus nearest to the root comes before those of
 * bridges on it only because bridges are made later. Buses are found as children of their
 * owners, so that those of a device that is being realized count too. */
static bool
search_bus (VmObject *root, Search *search)
{
  if (vm_object_is_a (root, &vm_bus_type) && bus_matches ((VmBus *) root, search))
    search->found = (VmBus *) root;
  for (guint i = 0; root->children && i < root->children->len && !search->found; i++)
    search_bus (g_ptr_array_index (root->children, i), search);
  return search->found != NULL;
}

VmBus *
vm_bus_find (VmEnv *env, const char *name)
{
  Search search = { .name = name };

  if (*name == '/')
    {
      VmObject *obj = vm_object_resolve (env->root, name);

      return vm_object_is_a (obj, &vm_bus_type) ? (VmBus *) obj : NULL;
    }
  search_bus (env->root, &search);
  return search.found;
}

VmBus *
vm_bus_find_type (VmEnv *env, const char *type_name)
{
  Search search = { .type_name = type_name, .with_room = true };

  if (!search_bus (env->root, &search))
    {
      /* A full one lets the caller say "full" instead of "none". */
      search.with_room = false;
      search_bus (env->root, &search);
    }
  return search.found;
}

/* "net0.1" below a device with an id; else the family with the lowest number that is free,
 * "ide.1". */
static char *
make_name (const char *type_name, VmDevice *owner)
{
  const char *id = vm_device_user_id (owner);
  g_autofree char *family = g_ascii_strdown (type_name, -1);

  if (id)
    return g_strdup_printf ("%s.%u", id, owner->buses->len);
  for (unsigned n = 0;; n++)
    {
      g_autofree char *name = g_strdup_printf ("%s.%u", family, n);

      if (!vm_bus_find (owner->env, name))
        return g_steal_pointer (&name);
    }
}

void
vm_bus_init (VmBus *bus, const char *type_name, VmDevice *owner, const char *name)
{
  vm_object_init_embedded (&bus->parent, &vm_bus_type);
  if (!owner->buses)
    owner->buses = g_ptr_array_new ();
  bus->name = name ? g_strdup (name) : make_name (type_name, owner);
  bus->type_name = type_name;
  bus->owner = owner;
  bus->devices = g_ptr_array_new ();
  g_ptr_array_add (owner->buses, bus);
  vm_object_add_child (&owner->parent, bus->name, &bus->parent);
}

void
vm_bus_destroy (VmBus *bus)
{
  if (!bus->owner)
    return;
  while (bus->devices->len)
    {
      VmDevice *dev = g_ptr_array_index (bus->devices, bus->devices->len - 1);

      g_assert (dev->realized);
      vm_device_unrealize (dev);
    }
  g_ptr_array_remove (bus->owner->buses, bus);
  bus->owner = NULL;
  vm_object_remove_child (&bus->parent);
  g_clear_pointer (&bus->devices, g_ptr_array_unref);
  g_clear_pointer (&bus->name, g_free);
  vm_object_unref (&bus->parent);
}
