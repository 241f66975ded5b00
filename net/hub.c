/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hubs: what comes in at one port goes out at all others (IEEE 802.3, clause 27, without collisions). "-netdev hubport",
 * and the hub 0 of "-net". */
#include "engine/base/log.h"
#include "engine/schema/types.h"
#include "net/net-private.h"

typedef struct VmNetHub
{
  int id;
  GPtrArray *ports; /* HubPort * */
} VmNetHub;

typedef struct HubPort
{
  VmNetHub *hub;
  VmNet *net;
  VmNetPort *port;
} HubPort;

static bool
hub_receive (void *opaque, const VmNetPacket *packet)
{
  HubPort *from = opaque;

  /* One slow port must not hold up the others: each keeps copies of its own. */
  for (guint i = 0; i < from->hub->ports->len; i++)
    {
      HubPort *to = g_ptr_array_index (from->hub->ports, i);
      if (to != from)
        vm_net_send (to->port, packet, NULL);
    }
  return true;
}

static const VmNetPortOps hub_ops = { .receive = hub_receive };

static bool
hubport_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevHubPortOptions *o = options;
  HubPort *self = netdev->state;
  VmNetHub *hub = NULL;
  VmNetdev *other = o->netdev ? vm_netdev_find (netdev->net->root, o->netdev) : NULL;

  if (o->hubid < INT32_MIN || o->hubid > INT32_MAX)
    return vm_fail (error, "Parameter 'hubid' expects int32_t");
  if (o->netdev && !other)
    return vm_fail (error, "netdev '%s' not found", o->netdev);
  if (other && (other->ports->len != 1 || vm_netdev_in_use (other)))
    return vm_fail (error, "netdev '%s' is already in use", o->netdev);
  if (other && other->klass->vhost)
    return vm_fail (error, "%s requires frontend driver virtio-net-*", other->klass->name);
  for (guint i = 0; i < netdev->net->hubs->len; i++)
    if (((VmNetHub *) netdev->net->hubs->pdata[i])->id == o->hubid)
      hub = netdev->net->hubs->pdata[i];
  if (!hub)
    {
      hub = g_new0 (VmNetHub, 1);
      hub->id = o->hubid;
      hub->ports = g_ptr_array_new ();
      g_ptr_array_add (netdev->net->hubs, hub);
    }
  g_ptr_array_add (hub->ports, self);
  *self = (HubPort){ hub, netdev->net, vm_netdev_add_port (netdev, &hub_ops, self) };
  /* What the other ports cannot take is made when it leaves by them. */
  vm_net_port_set_takes (self->port, VM_NET_TAKES_ALL);
  vm_netdev_set_info (netdev, "hubport,hubid=%d", hub->id);
  if (other)
    vm_net_port_connect (self->port, g_ptr_array_index (other->ports, 0));
  return true;
}

static void
hubport_close (VmNetdev *netdev)
{
  HubPort *self = netdev->state;
  VmNetHub *hub = self->hub;

  if (!hub)
    return;
  g_ptr_array_remove (hub->ports, self);
  if (!hub->ports->len)
    {
      g_ptr_array_remove (netdev->net->hubs, hub);
      g_ptr_array_unref (hub->ports);
      g_free (hub);
    }
  self->hub = NULL;
}

const VmNetdevClass vm_netdev_hubport_class = {
  .name = "hubport",
  .help = "port of an emulated hub",
  .state_size = sizeof (HubPort),
  .open = hubport_open,
  .close = hubport_close,
};

/* A hub without cards, or without a way out. */
void
vm_net_warn_hubs (const VmNet *net)
{
  for (guint i = 0; i < net->hubs->len; i++)
    {
      const VmNetHub *hub = g_ptr_array_index (net->hubs, i);
      bool cards = false, hosts = false;
      for (guint j = 0; j < hub->ports->len; j++)
        {
          const VmNetPort *port = ((HubPort *) g_ptr_array_index (hub->ports, j))->port;
          if (!port->peer)
            vm_report_warning ("hub port %s has no peer", port->netdev->parent.id);
          cards |= port->peer && port->peer->card;
          hosts |= port->peer && port->peer->netdev;
        }
      if (cards && !hosts)
        vm_report_warning ("hub %d is not connected to host network", hub->id);
      if (hosts && !cards)
        vm_report_warning ("hub %d with no nics", hub->id);
    }
}

int
vm_net_hub_of (const VmNetPort *port)
{
  return port && port->ops == &hub_ops ? ((const HubPort *) port->opaque)->hub->id : -1;
}

void
vm_net_describe_hubs (const VmNet *net, GString *out)
{
  for (guint i = 0; i < net->hubs->len; i++)
    {
      const VmNetHub *hub = g_ptr_array_index (net->hubs, i);
      g_string_append_printf (out, "hub %d\n", hub->id);
      for (guint j = 0; j < hub->ports->len; j++)
        {
          const VmNetPort *port = ((HubPort *) g_ptr_array_index (hub->ports, j))->port, *peer = port->peer;
          g_string_append_printf (out, " \\ %s", port->netdev->parent.id);
          if (peer && peer->card)
            g_string_append_printf (out, ": %s: index=0,type=nic,%s", peer->card->name, peer->card->info);
          else if (peer && peer->netdev)
            g_string_append_printf (out, ": %s: index=0,type=%s,%s", peer->netdev->parent.id, peer->netdev->klass->name,
                                    peer->netdev->info ? peer->netdev->info : "");
          g_string_append_c (out, '\n');
        }
    }
}
