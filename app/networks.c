/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -netdev, -nic and -net say becomes back ends, and cards for the board to make. */
#include "app/app.h"
#include "engine/schema/types.h"
#include "net/net.h"

#include <string.h>

/* Keys of a card rather than of a back end. */
static const char *const card_keys[] = { "model", "mac", "macaddr", "addr", "vectors", "name", NULL };
/* May be given several times: each is one more of a list. */
static const char *const list_keys[] = { "hostfwd", "guestfwd", "dnssearch", NULL };

static json_object *
options_of (const VmKeyVals *list, bool with_card)
{
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      json_object *values, *item;
      if (!with_card && g_strv_contains (card_keys, pair->key))
        continue;
      if (!g_strv_contains (list_keys, pair->key))
        {
          json_object_object_add (json, pair->key, json_object_new_string (pair->value));
          continue;
        }
      if (!json_object_object_get_ex (json, pair->key, &values))
        {
          values = json_object_new_array ();
          json_object_object_add (json, pair->key, values);
        }
      item = json_object_new_object ();
      json_object_object_add (item, "str", json_object_new_string (pair->value));
      json_object_array_add (values, item);
    }
  return json;
}

/* Takes JSON. */
static VmNetdev *
make_netdev (VmMachine *machine, json_object *json, VmSchemaSource source, const char *id, GError **error)
{
  json_object *nested;
  VmqNetdev *options = NULL;

  if (id)
    json_object_object_add (json, "id", json_object_new_string (id));
  nested = vm_json_nest (json, error);
  if (nested)
    options = vm_schema_read (&vmq_type_netdev, nested, source, NULL, error);
  json_object_put (nested);
  json_object_put (json);
  return options ? vm_netdev_new (machine, options, error) : NULL;
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
  g_autofree char *id = make_name (machine);
  json_object *json = json_object_new_object ();

  json_object_object_add (json, "type", json_object_new_string ("hubport"));
  json_object_object_add (json, "hubid", json_object_new_string ("0"));
  if (other)
    json_object_object_add (json, "netdev", json_object_new_string (other->parent.id));
  return make_netdev (machine, json, VM_SCHEMA_TEXT, id, error);
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
  const char *id = vm_keyvals_get (spec->options, "id");
  g_autofree char *name = id ? g_strdup (id) : make_name (machine);
  VmNetdev *netdev = make_netdev (machine, options_of (spec->options, false), VM_SCHEMA_TEXT, name, error);

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

  if (!strcmp (vm_keyvals_get (spec->options, "type"), "nic"))
    {
      other = netdev ? vm_netdev_find (machine->env.root, netdev) : make_hub_port (machine, NULL, error);
      if (!other && netdev)
        return vm_fail (error, "netdev '%s' not found", netdev);
      if (other)
        add_card (machine, spec->options, other, spec->text);
      return other != NULL;
    }
  const char *id = vm_keyvals_get (spec->options, "id");
  const char *label = vm_keyvals_get (spec->options, "name");
  g_autofree char *name = id ? g_strdup (id) : label ? g_strdup (label) : make_name (machine);
  other = make_netdev (machine, options_of (spec->options, false), VM_SCHEMA_TEXT, name, error);
  return other && make_hub_port (machine, other, error);
}

static bool
open_spec (VmMachine *machine, const VmNetSpec *spec, GError **error)
{
  switch (spec->option)
    {
    case VM_NET_SPEC_NETDEV:
      return make_netdev (machine, spec->json ? json_tokener_parse (spec->json) : options_of (spec->options, true),
                          spec->json ? VM_SCHEMA_JSON : VM_SCHEMA_TEXT, NULL, error)
             != NULL;
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
      json_object *json = json_object_new_object ();
      json_object_object_add (json, "type", json_object_new_string ("user"));
      VmNetdev *netdev = make_netdev (machine, json, VM_SCHEMA_TEXT, "#net0", error);
      if (!netdev)
        return false;
      add_card (machine, NULL, netdev, NULL);
    }
  return true;
}
