/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network as people read it: "info network". */
#include "engine/machine/machine.h"
#include "net/net-private.h"

static void
add_netdev (GString *out, const VmNetdev *netdev, const char *lead)
{
  for (guint i = 0; i < netdev->ports->len; i++)
    g_string_append_printf (out, "%s%s: index=%u,type=%s,%s\n", lead, netdev->parent.id, i, netdev->klass->name,
                            netdev->info ? netdev->info : "");
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
