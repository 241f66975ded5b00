/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -netdev, -nic and -net say becomes back ends, and cards for the board to make. */
#include "app/app.h"
#include "engine/schema/types.h"
#include "net/net.h"

#include <string.h>

/* Keys of a card rather than of a back end. */
static const char *const card_keys[] = { "model", "mac", "macaddr", "addr", "vectors", "name", NULL };
/* What LIST says of the back end alone. */
static VmKeyVals *
without_card (const VmKeyVals *list)
{
  VmKeyVals *rest = vm_keyvals_copy (list);

  for (const char *const *key = card_keys; *key; key++)
    vm_keyvals_remove (rest, *key);
  return rest;
}

/* For back ends without a name: "#net0", which nobody can type. */
static char *
make_name (VmMachine *machine)
{
  for (unsigned n = 0;; n++)
    {
      char *id = g_strdup_printf ("#net%u", n);
      if (!vm_netdev_find (machine->env.root, id))
        return id;
      g_free (id);
    }
}

static VmNetdev *
make_hub_port (VmMachine *machine, VmNetdev *other, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autofree char *id = NULL;

  for (unsigned n = 0; !id || vm_netdev_find (machine->env.root, id); n++)
    {
      g_free (id);
      id = g_strdup_printf ("hub0port%u", n);
    }
  vm_keyvals_add (list, "type", "hubport");
  vm_keyvals_add (list, "hubid", "0");
  if (other)
    vm_keyvals_add (list, "netdev", other->parent.id);
  return vm_netdev_new_from_list (machine, list, id, error);
}

static void
add_card (VmMachine *machine, const VmKeyVals *list, const VmNetdev *netdev, const char *text)
{
  VmNicSpec *nic = g_new0 (VmNicSpec, 1);
  const char *mac = list ? vm_keyvals_get (list, "mac") : NULL;

  if (list)
    {
      nic->model = g_strdup (vm_keyvals_get (list, "model"));
      nic->mac = g_strdup (mac ? mac : vm_keyvals_get (list, "macaddr"));
      nic->addr = g_strdup (vm_keyvals_get (list, "addr"));
      nic->vectors = g_strdup (vm_keyvals_get (list, "vectors"));
      nic->name = g_strdup (vm_keyvals_get (list, "name"));
    }
  nic->netdev = netdev ? g_strdup (netdev->parent.id) : NULL;
  nic->text = g_strdup (text);
  g_ptr_array_add (machine->nics, nic);
}

/* A back end, and in the same breath its card. */
static bool
open_nic (VmMachine *machine, const VmNetSpec *spec, GError **error)
{
  g_autoptr (VmKeyVals) rest = without_card (spec->options);
  g_autofree char *name = make_name (machine);
  const char *other = vm_keyvals_get (rest, "netdev");
  if (other && g_strcmp0 (vm_keyvals_get (rest, "type"), "hubport") != 0)
    {
      const VmNetdev *given = vm_netdev_find (machine->env.root, other);
      if (given)
        add_card (machine, spec->options, given, spec->text);
      return given || vm_fail (error, "netdev '%s' not found", other);
    }
  if (!vm_keyvals_has (rest, "type"))
    vm_keyvals_add (rest, "type", "user");
  VmNetdev *netdev = vm_netdev_new_from_list (machine, rest, name, error);

  if (netdev)
    add_card (machine, spec->options, netdev, spec->text);
  return netdev != NULL;
}

/* The older way: cards and back ends meet at hub 0. */
static bool
open_net (VmMachine *machine, const VmNetSpec *spec, GError **error)
{
  const char *netdev = vm_keyvals_get (spec->options, "netdev");
  VmNetdev *other;

  if (!g_strcmp0 (vm_keyvals_get (spec->options, "type"), "hubport"))
    return vm_fail (error, "network backend 'hubport' is only supported with -netdev/-nic");
  if (!strcmp (vm_keyvals_get (spec->options, "type"), "nic"))
    {
      other = netdev ? vm_netdev_find (machine->env.root, netdev) : make_hub_port (machine, NULL, error);
      if (!other && netdev)
        return vm_fail (error, "netdev '%s' not found", netdev);
      if (other)
        add_card (machine, spec->options, other, spec->text);
      return other != NULL;
    }
  const char *label = vm_keyvals_get (spec->options, "name");
  g_autofree char *name = label ? g_strdup (label) : make_name (machine);
  g_autoptr (VmKeyVals) rest = without_card (spec->options);
  other = vm_netdev_new_from_list (machine, rest, name, error);
  return other && make_hub_port (machine, other, error);
}

static bool
open_spec (VmMachine *machine, const VmNetSpec *spec, GError **error)
{
  switch (spec->option)
    {
    case VM_NET_SPEC_NETDEV:
      if (spec->json)
        return vm_netdev_new_from_json (machine, json_tokener_parse (spec->json), VM_SCHEMA_JSON, error) != NULL;
      return vm_netdev_new_from_list (machine, spec->options, NULL, error) != NULL;
    case VM_NET_SPEC_NIC:
      return open_nic (machine, spec, error);
    default:
      return open_net (machine, spec, error);
    }
}

bool
app_open_networks (VmMachine *machine, GError **error)
{
  const VmSettings *settings = machine->settings;

  for (guint i = 0; i < settings->nets->len; i++)
    {
      const VmNetSpec *spec = g_ptr_array_index (settings->nets, i);
      if (open_spec (machine, spec, error))
        continue;
      g_prefix_error (error, "%s: ", spec->text);
      return false;
    }
  if (settings->default_nic && machine->board->default_nic)
    {
      /* The one that comes by itself. */
      g_autoptr (VmKeyVals) list = vm_keyvals_new ();
      g_autofree char *name = make_name (machine);
      vm_keyvals_add (list, "type", "user");
      VmNetdev *netdev = vm_netdev_new_from_list (machine, list, name, error);
      if (!netdev)
        return false;
      add_card (machine, NULL, netdev, NULL);
    }
  return true;
}
