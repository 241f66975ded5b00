/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host back ends as a whole: made by name, found, taken away. */
#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"
#include "engine/schema/types.h"
#include "net/net-private.h"

#include <string.h>

/* In the order of "-netdev help". */
static const VmNetdevClass *const classes[] = {
  &vm_netdev_bridge_class, &vm_netdev_dgram_class, &vm_netdev_hubport_class, &vm_netdev_l2tpv3_class,
  &vm_netdev_socket_class, &vm_netdev_stream_class, &vm_netdev_tap_class, &vm_netdev_user_class, &vm_netdev_vde_class,
  &vm_netdev_vhost_user_class,
};

char *
vm_netdev_kinds (void)
{
  GString *out = g_string_new (NULL);

  for (size_t i = 0; i < G_N_ELEMENTS (classes); i++)
    g_string_append_printf (out, "%s\n", classes[i]->name);
  return g_string_free (out, FALSE);
}

static void
net_init (VmObject *obj)
{
  VmNet *net = (VmNet *) obj;

  net->cards = g_ptr_array_new ();
  net->netdevs = g_ptr_array_new ();
  net->hubs = g_ptr_array_new ();
}

static void
net_finalize (VmObject *obj)
{
  VmNet *net = (VmNet *) obj;

  g_ptr_array_unref (net->cards);
  g_ptr_array_unref (net->netdevs);
  g_ptr_array_unref (net->hubs);
  g_clear_pointer (&net->announcements, g_ptr_array_unref);
}

const VmType vm_net_type = {
  .name = "network",
  .parent = &vm_object_type,
  .size = sizeof (VmNet),
  .help = "the network back ends of a machine",
  .init = net_init,
  .finalize = net_finalize,
};

VmNet *
vm_net_get (VmEnv *env)
{
  VmObject *obj = vm_object_child (env->root, "netdevs");

  if (!obj)
    {
      obj = vm_object_new (&vm_net_type);
      VmNet *net = (VmNet *) obj;
      net->machine = env->machine;
      net->loop = env->loop;
      net->clocks = env->clocks;
      net->root = env->root;
      vm_object_add_child (env->root, "netdevs", obj);
      vm_object_unref (obj);
    }
  return (VmNet *) obj;
}

static void
netdev_init (VmObject *obj)
{
  ((VmNetdev *) obj)->ports = g_ptr_array_new ();
}

static void
netdev_finalize (VmObject *obj)
{
  VmNetdev *netdev = (VmNetdev *) obj;

  vm_netdev_close (netdev);
  g_ptr_array_unref (netdev->ports);
  g_free (netdev->info);
}

/* Whether anything gets through: nobody has pulled the cable, at either end. */
static char *
netdev_get_link (VmObject *obj, const void *field)
{
  const VmNetdev *netdev = (const VmNetdev *) obj;
  bool up = !netdev->link_down && !(netdev->card && netdev->card->link_down);

  return g_strdup (up ? "true" : "false");
}

static const VmPropCustom link_kind = { .type_name = "bool", .get = netdev_get_link, .json = true };

/* Bytes that came by here; none do where the kernel or another process serves the rings. */
static char *
netdev_get_traffic (VmObject *obj, const void *field)
{
  const VmNetdev *netdev = (const VmNetdev *) obj;
  uint64_t in = 0, out = 0;

  for (guint i = 0; i < netdev->ports->len; i++)
    {
      const VmNetPort *port = netdev->ports->pdata[i];

      in += port->sent;
      out += port->peer ? port->peer->sent : 0;
    }
  return g_strdup_printf ("{\"to-guest\": %" PRIu64 ", \"from-guest\": %" PRIu64 "}", in, out);
}

static const VmPropCustom traffic_kind = { .type_name = "dict", .get = netdev_get_traffic, .json = true };

static const VmProp netdev_props[] = {
  { .name = "link",
    .help = "whether the cable is in: see set_link",
    .kind = VM_PROP_CUSTOM,
    .flags = VM_PROP_READONLY,
    .custom = &link_kind,
    VM_PROP_COMMON (VmNetdev, link_down) },
  { .name = "traffic",
    .help = "bytes to and from the guest so far",
    .kind = VM_PROP_CUSTOM,
    .flags = VM_PROP_READONLY,
    .custom = &traffic_kind,
    VM_PROP_COMMON (VmNetdev, ports) },
  { 0 },
};

const VmType vm_netdev_type = {
  .name = "netdev",
  .parent = &vm_object_type,
  .size = sizeof (VmNetdev),
  .help = "a network back end",
  .props = netdev_props,
  .init = netdev_init,
  .finalize = netdev_finalize,
};

VmNetdev *
vm_netdev_find (VmObject *root, const char *id)
{
  VmObject *net = vm_object_child (root, "netdevs");

  return net ? (VmNetdev *) vm_object_child (net, id) : NULL;
}

bool
vm_netdev_in_use (const VmNetdev *netdev)
{
  return netdev->card || (netdev->ports->len && ((VmNetPort *) g_ptr_array_index (netdev->ports, 0))->peer);
}

VmNetPort *
vm_netdev_add_port (VmNetdev *netdev, const VmNetPortOps *ops, void *opaque)
{
  VmNetPort *port = g_new0 (VmNetPort, 1);

  vm_net_port_init (port, ops, opaque);
  port->netdev = netdev;
  port->index = netdev->ports->len;
  g_ptr_array_add (netdev->ports, port);
  return port;
}

void
vm_netdev_set_info (VmNetdev *netdev, const char *format, ...)
{
  va_list args;

  g_free (netdev->info);
  va_start (args, format);
  netdev->info = g_strdup_vprintf (format, args);
  va_end (args);
}

/* Nobody hears from it any more; what it has of the host is given back. */
void
vm_netdev_close (VmNetdev *netdev)
{
  VmNetCard *card = netdev->card;
  bool was = card && vm_net_card_link_up (card);

  if (!netdev->klass)
    return;
  vm_net_filters_drop (netdev);
  for (guint i = 0; i < netdev->ports->len; i++)
    vm_net_port_close (g_ptr_array_index (netdev->ports, i));
  if (netdev->klass->close)
    netdev->klass->close (netdev);
  for (guint i = 0; i < netdev->ports->len; i++)
    g_free (g_ptr_array_index (netdev->ports, i));
  g_ptr_array_set_size (netdev->ports, 0);
  g_free (netdev->state);
  netdev->state = NULL;
  netdev->klass = NULL;
  vm_schema_free (&vmq_type_netdev, netdev->options);
  netdev->options = NULL;
  if (card)
    {
      card->netdev = NULL;
      netdev->card = NULL;
      card->unplugged = true;
      vm_net_card_link_told (card, was);
    }
}

void
vm_netdev_remove (VmNetdev *netdev)
{
  vm_netdev_close (netdev);
  g_ptr_array_remove (netdev->net->netdevs, netdev);
  vm_object_remove_child (&netdev->parent);
}

VmNetdev *
vm_netdev_new (VmMachine *machine, VmqNetdev *options, GError **error)
{
  VmNet *net = vm_net_get (&machine->env);
  const char *kind = vmq_type_netclientdriver.names[options->type];
  const VmNetdevClass *klass = NULL;

  for (size_t i = 0; i < G_N_ELEMENTS (classes); i++)
    if (!strcmp (classes[i]->name, kind))
      klass = classes[i];
  if (vm_object_child (&net->parent, options->id))
    vm_fail (error, "Duplicate ID '%s' for netdev", options->id);
  else if (!klass && (options->type == VMQ_NET_CLIENT_DRIVER_NONE || options->type == VMQ_NET_CLIENT_DRIVER_NIC))
    vm_fail (error, "Parameter 'type' expects a netdev backend type");
  else if (!klass)
    vm_fail (error, "network backend '%s': not available in this build", kind);
  else
    {
      VmNetdev *netdev = (VmNetdev *) vm_object_new (&vm_netdev_type);
      netdev->net = net;
      netdev->klass = klass;
      netdev->options = options;
      netdev->state = g_malloc0 (klass->state_size);
      vm_object_set_id (&netdev->parent, options->id);
      if (klass->open (netdev, options->u.any, error))
        {
          g_ptr_array_add (net->netdevs, netdev);
          vm_object_add_child (&net->parent, netdev->parent.id, &netdev->parent);
        }
      else
        vm_netdev_close (netdev); /* takes the options along */
      VmNetdev *made = netdev->klass ? netdev : NULL;
      vm_object_unref (&netdev->parent);
      return made;
    }
  vm_schema_free (&vmq_type_netdev, options);
  return NULL;
}

VmNetdev *
vm_netdev_new_from_json (VmMachine *machine, json_object *json, int source, GError **error)
{
  json_object *nested = vm_json_nest (json, error);
  VmqNetdev *options = nested ? vm_schema_read (&vmq_type_netdev, nested, source, NULL, error) : NULL;

  json_object_put (nested);
  json_object_put (json);
  return options ? vm_netdev_new (machine, options, error) : NULL;
}

VmNetdev *
vm_netdev_new_from_list (VmMachine *machine, const VmKeyVals *list, const char *id, GError **error)
{
  /* May be given several times: each is one more of a list. */
  static const char *const list_keys[] = { "hostfwd", "guestfwd", "dnssearch", NULL };
  json_object *json = json_object_new_object ();

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      json_object *values, *item;
      if (!strcmp (pair->key, "ipv6-net"))
        {
          /* "fec0::/64": the two others in one. */
          g_auto (GStrv) parts = g_strsplit (pair->value, "/", 2);
          json_object_object_add (json, "ipv6-prefix", json_object_new_string (parts[0] ? parts[0] : ""));
          if (parts[0] && parts[1])
            json_object_object_add (json, "ipv6-prefixlen", json_object_new_string (parts[1]));
          continue;
        }
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
  if (id && !vm_keyvals_has (list, "id"))
    json_object_object_add (json, "id", json_object_new_string (id));
  return vm_netdev_new_from_json (machine, json, VM_SCHEMA_TEXT, error);
}

/* After LINK_DOWN or NO_CARRIER changed; WAS: how the card's link was before. */
static void
link_told (VmNetdev *netdev, bool was)
{
  for (guint i = 0; i < netdev->ports->len; i++)
    ((VmNetPort *) g_ptr_array_index (netdev->ports, i))->link_down = netdev->link_down || netdev->no_carrier;
  if (netdev->card)
    vm_net_card_link_told (netdev->card, was);
}

void
vm_netdev_set_link (VmNetdev *netdev, bool up)
{
  bool was = netdev->card && vm_net_card_link_up (netdev->card);

  netdev->link_down = !up;
  if (netdev->klass->set_link)
    netdev->klass->set_link (netdev, up);
  link_told (netdev, was);
}

void
vm_netdev_set_carrier (VmNetdev *netdev, bool there)
{
  bool was = netdev->card && vm_net_card_link_up (netdev->card);

  netdev->no_carrier = !there;
  link_told (netdev, was);
}

bool
vm_netdev_delete (VmMachine *machine, const char *id, GError **error)
{
  VmNetdev *netdev = vm_netdev_find (machine->env.root, id);

  if (!netdev)
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
      return false;
    }
  vm_netdev_remove (netdev);
  return true;
}
