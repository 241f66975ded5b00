/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network as people read it: "info network". */
#include "engine/base/log.h"
#include "engine/machine/failover.h"
#include "net/net-private.h"

static void
add_netdev (GString *out, const VmNetdev *netdev, const char *lead)
{
  for (guint i = 0; i < netdev->ports->len; i++)
    g_string_append_printf (out, "%s%s: index=%u,type=%s,%s\n", lead, netdev->parent.id, i, netdev->klass->name,
                            netdev->info ? netdev->info : "");
}

void
vm_net_warn (VmMachine *machine)
{
  const VmNet *net = vm_net_get (&machine->env);

  vm_net_warn_hubs (net);
  for (guint i = 0; i < net->netdevs->len; i++)
    {
      const VmNetdev *netdev = g_ptr_array_index (net->netdevs, i);
      if (!vm_netdev_in_use (netdev) && !vm_failover_waits_with (machine, "netdev", netdev->parent.id))
        vm_report_warning ("netdev %s has no peer", netdev->parent.id);
    }
  for (guint i = 0; i < net->cards->len; i++)
    {
      const VmNetCard *card = g_ptr_array_index (net->cards, i);
      if (!card->netdev)
        vm_report_warning ("nic %s has no peer", card->name);
    }
}

char *
vm_net_describe (VmMachine *machine)
{
  const VmNet *net = vm_net_get (&machine->env);
  GString *out = g_string_new (NULL);

  vm_net_describe_hubs (net, out);
  for (guint i = 0; i < net->cards->len; i++)
    {
      const VmNetCard *card = g_ptr_array_index (net->cards, i);
      if (vm_net_hub_of (card->ports[0].peer) >= 0)
        continue; /* it stands there */
      for (unsigned j = 0; j < card->n; j++)
        g_string_append_printf (out, "%s: index=%u,type=nic,%s\n", card->name, j, card->info);
      if (card->netdev)
        add_netdev (out, card->netdev, " \\ ");
    }
  for (guint i = 0; i < net->netdevs->len; i++)
    {
      const VmNetdev *netdev = g_ptr_array_index (net->netdevs, i);
      const VmNetPort *first = netdev->ports->len ? g_ptr_array_index (netdev->ports, 0) : NULL;
      /* Those at a hub stand there. */
      if (!netdev->card && !(first && first->peer))
        add_netdev (out, netdev, "");
    }
  return g_string_free (out, FALSE);
}
