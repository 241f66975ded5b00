/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about the network, and announcements of where the guest's addresses are. */
#include "engine/monitor/qmp-handlers.h"
#include "engine/options/keyvals.h"
#include "net/net-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* --- back ends ---------------------------------------------------------------------------------------------- */

bool
vm_qmp_netdev_add (VmMonitor *mon, const VmqNetdevAddArg *args, GError **error)
{
  json_object *json = vm_schema_write (&vmq_type_netdev_add_arg, &args);
  VmqNetdev *options = vm_schema_read (&vmq_type_netdev, json, VM_SCHEMA_JSON, NULL, error);
  VmNet *net = vm_net_get (&vm_monitor_machine (mon)->env);
  bool ok;

  json_object_put (json);
  if (options && !vm_id_well_formed (options->id))
    {
      vm_schema_free (&vmq_type_netdev, options);
      return vm_fail (error, "Parameter 'id' expects an identifier");
    }
  net->monitor = mon;
  ok = options && vm_netdev_new (net->machine, options, error);
  net->monitor = NULL;
  return ok;
}

int
vm_net_take_fd (VmNet *net, const char *name, GError **error)
{
  guint64 fd;
  int flags;

  if (net->monitor && !g_ascii_isdigit (*name))
    return vm_monitor_take_fd (net->monitor, name, error);
  if (!g_ascii_string_to_unsigned (name, 10, 0, INT_MAX, &fd, NULL))
    {
      vm_fail (error, "Invalid file descriptor number '%s'", name);
      return -1;
    }
  flags = fcntl ((int) fd, F_GETFD);
  if (flags < 0)
    vm_fail (error, "Can't use file descriptor %s: %s", name, g_strerror (errno));
  else if (flags & FD_CLOEXEC) /* what came from outside is not */
    vm_fail (error, "Can't use file descriptor %s: it is in use by this program", name);
  else
    {
      fcntl ((int) fd, F_SETFD, FD_CLOEXEC);
      return (int) fd;
    }
  return -1;
}

bool
vm_qmp_netdev_del (VmMonitor *mon, const VmqNetdevDelArg *args, GError **error)
{
  return vm_netdev_delete (vm_monitor_machine (mon), args->id, error);
}

static VmNetCard *
find_card (const VmNet *net, const char *name)
{
  for (guint i = 0; i < net->cards->len; i++)
    {
      VmNetCard *card = g_ptr_array_index (net->cards, i);
      if (!strcmp (card->name, name))
        return card;
    }
  return NULL;
}

bool
vm_qmp_set_link (VmMonitor *mon, const VmqSetLinkArg *args, GError **error)
{
  VmMachine *machine = vm_monitor_machine (mon);
  VmNetCard *card = find_card (vm_net_get (&machine->env), args->name);
  VmNetdev *netdev = vm_netdev_find (machine->env.root, args->name);

  if (card)
    vm_net_card_set_link (card, args->up);
  else if (netdev)
    vm_netdev_set_link (netdev, args->up);
  else
    {
      g_set_error (error, VM_ERROR, VM_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", args->name);
      return false;
    }
  return true;
}

/* --- filters of cards ---------------------------------------------------------------------------------------- */

static char *
mac_text (const uint8_t *b)
{
  return g_strdup_printf ("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

static GPtrArray *
mac_list (const uint8_t (*table)[6], unsigned n)
{
  GPtrArray *list = g_ptr_array_new ();

  for (unsigned i = 0; i < n; i++)
    g_ptr_array_add (list, mac_text (table[i]));
  return list;
}

static VmqRxFilterInfo *
describe_filter (VmNetCard *card, const VmNetRxFilter *f)
{
  VmqRxFilterInfo *info = g_new0 (VmqRxFilterInfo, 1);

  info->name = g_strdup (card->name);
  info->promiscuous = f->promiscuous;
  info->multicast = f->multicast;
  info->unicast = f->unicast;
  info->vlan = f->vlan;
  info->broadcast_allowed = f->broadcast_allowed;
  info->multicast_overflow = f->multicast_overflow;
  info->unicast_overflow = f->unicast_overflow;
  info->main_mac = mac_text (card->mac.byte);
  info->unicast_table = mac_list (f->unicast_table, f->n_unicast);
  info->multicast_table = mac_list (f->multicast_table, f->n_multicast);
  info->vlan_table = g_array_new (FALSE, FALSE, sizeof (int64_t));
  for (int64_t i = 0; f->vlan_bits && i < 4096; i++)
    if (f->vlan_bits[i >> 5] >> (i & 31) & 1)
      g_array_append_val (info->vlan_table, i);
  return info;
}

GPtrArray *
vm_qmp_query_rx_filter (VmMonitor *mon, const VmqQueryRxFilterArg *args, GError **error)
{
  VmMachine *machine = vm_monitor_machine (mon);
  const VmNet *net = vm_net_get (&machine->env);
  GPtrArray *list = g_ptr_array_new ();
  bool found = false;

  for (guint i = 0; i < net->cards->len; i++)
    {
      VmNetCard *card = g_ptr_array_index (net->cards, i);
      VmNetRxFilter filter = { 0 };
      if (args->name && strcmp (args->name, card->name) != 0)
        continue;
      found = true;
      if (card->ops->rx_filter && card->ops->rx_filter (card->device, &filter))
        {
          g_ptr_array_add (list, describe_filter (card, &filter));
          card->rx_filter_told = false;
        }
      else if (args->name)
        {
          g_ptr_array_unref (list);
          vm_fail (error, "net client(%s) doesn't support rx-filter querying", args->name);
          return NULL;
        }
    }
  if (args->name && !found)
    {
      bool is_netdev = vm_netdev_find (machine->env.root, args->name) != NULL;
      g_ptr_array_unref (list);
      if (is_netdev)
        vm_fail (error, "net client(%s) isn't a NIC", args->name);
      else
        vm_fail (error, "invalid net client name: %s", args->name);
      return NULL;
    }
  return list;
}

/* --- announcements ---------------------------------------------------------------------------------------------- */

typedef struct Announce
{
  VmNet *net;
  char *id;
  GPtrArray *interfaces; /* char *; NULL: all */
  int64_t step, max, wait, rounds; /* ms */
  VmTimer timer;
} Announce;

/* A reverse ARP request (RFC 903) with the card's own address on both sides: switches learn where it is. */
static void
announce_card (VmNetCard *card)
{
  uint8_t frame[VM_NET_FRAME_MIN] = { 0 };
  const uint8_t *mac = card->mac.byte;

  if (card->ops->announce)
    card->ops->announce (card->device);
  memset (frame, 0xff, 6);
  memcpy (frame + 6, mac, 6);
  memcpy (frame + 12, (const uint8_t[]){ 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3 }, 10);
  memcpy (frame + 22, mac, 6);
  memcpy (frame + 32, mac, 6);
  vm_net_send_bytes (&card->ports[0], frame, sizeof frame, NULL);
}

static void
announce_free (void *opaque)
{
  Announce *a = opaque;

  vm_timer_cancel (&a->timer);
  g_clear_pointer (&a->interfaces, g_ptr_array_unref);
  g_free (a->id);
  g_free (a);
}

static void
announce_round (void *opaque)
{
  Announce *a = opaque;

  for (guint i = 0; i < a->net->cards->len; i++)
    {
      VmNetCard *card = g_ptr_array_index (a->net->cards, i);
      if (!a->interfaces || g_ptr_array_find_with_equal_func (a->interfaces, card->name, g_str_equal, NULL))
        announce_card (card);
    }
  if (--a->rounds <= 0)
    {
      g_ptr_array_remove (a->net->announcements, a);
      return;
    }
  vm_timer_set (&a->timer, vm_clock_now (a->net->clocks, VM_CLOCK_REALTIME) + a->wait * VM_NS_PER_MS);
  a->wait = MIN (a->wait + a->step, a->max);
}

/* One at a time by ID; a new one takes its place. */
bool
vm_qmp_announce_self (VmMonitor *mon, const VmqAnnounceSelfArg *args, GError **error)
{
  VmNet *net = vm_net_get (&vm_monitor_machine (mon)->env);
  const char *id = args->id ? args->id : "";
  Announce *a;

  if (args->initial < 1 || args->initial > 100000)
    return vm_fail (error, "Parameter 'announce_initial' expects a value between 1 and 100000");
  if (args->max < 1 || args->max > 100000)
    return vm_fail (error, "Parameter 'announce_max' expects a value between 1 and 100000");
  if (args->rounds < 1 || args->rounds > 1000)
    return vm_fail (error, "Parameter 'announce_rounds' expects a value between 1 and 1000");
  if (args->step < 0 || args->step > 10000)
    return vm_fail (error, "Parameter 'announce_step' expects a value between 0 and 10000");
  if (!net->announcements)
    net->announcements = g_ptr_array_new_with_free_func (announce_free);
  for (guint i = 0; i < net->announcements->len; i++)
    if (!strcmp (((Announce *) g_ptr_array_index (net->announcements, i))->id, id))
      g_ptr_array_remove_index (net->announcements, i--);
  a = g_new0 (Announce, 1);
  a->net = net;
  a->id = g_strdup (id);
  a->wait = args->initial;
  a->step = args->step;
  a->max = args->max;
  a->rounds = args->rounds;
  if (args->interfaces)
    {
      a->interfaces = g_ptr_array_new_with_free_func (g_free);
      for (guint i = 0; i < args->interfaces->len; i++)
        g_ptr_array_add (a->interfaces, g_strdup (g_ptr_array_index (args->interfaces, i)));
    }
  vm_timer_init (&a->timer, net->clocks, VM_CLOCK_REALTIME, announce_round, a);
  g_ptr_array_add (net->announcements, a);
  announce_round (a);
  return true;
}
