/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands of the human monitor about the network. */
#include "engine/monitor/hmp.h"
#include "net/net-private.h"
#include "net/user.h"

#include <string.h>

static void
report (VmMonitor *mon, const GError *error)
{
  if (error)
    vm_monitor_printf (mon, "Error: %s\n", error->message);
}

static VmNet *
net_of (VmMonitor *mon)
{
  return vm_net_get (&vm_monitor_machine (mon)->env);
}

/* --- back ends ---------------------------------------------------------------------------------------------- */

void
vm_hmp_netdev_add (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;
  const char *id;
  VmNet *net = net_of (mon);

  if (vm_keyvals_parse (list, vm_hmp_text (args, "netdev"), "type", VM_KEYVALS_STRICT, &error))
    {
      id = vm_keyvals_get (list, "id");
      net->monitor = mon;
      if (!id || vm_id_well_formed (id))
        vm_netdev_new_from_list (net->machine, list, NULL, &error);
      else
        vm_fail (&error, "Parameter 'id' expects an identifier");
      net->monitor = NULL;
    }
  report (mon, error);
}

void
vm_hmp_netdev_del (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;

  vm_netdev_delete (vm_monitor_machine (mon), vm_hmp_text (args, "id"), &error);
  report (mon, error);
}

void
vm_hmp_set_link (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *name = vm_hmp_quote (vm_hmp_text (args, "name"));

  json_object_put (vm_hmp_qmp (mon, "set_link", "{\"name\": %s, \"up\": %s}", name,
                               vm_hmp_number (args, "up", 0) ? "true" : "false"));
}

/* With the pauses that are usual after a migration. */
void
vm_hmp_announce_self (VmMonitor *mon, const VmHmpArgs *args)
{
  const char *interfaces = vm_hmp_text (args, "interfaces"), *id = vm_hmp_text (args, "id");
  json_object *request = json_tokener_parse ("{\"initial\": 50, \"max\": 550, \"rounds\": 5, \"step\": 100}");
  g_auto (GStrv) names = g_strsplit (interfaces ? interfaces : "", ",", -1);
  json_object *list = *names ? json_object_new_array () : NULL;
  g_autoptr (GError) error = NULL;

  for (char **name = names; *name; name++)
    json_object_array_add (list, json_object_new_string (*name));
  if (list)
    json_object_object_add (request, "interfaces", list);
  if (id)
    json_object_object_add (request, "id", json_object_new_string (id));
  json_object_put (vm_monitor_execute (mon, "announce-self", request, &error));
  json_object_put (request);
  report (mon, error);
}

void
vm_hmp_info_network (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autofree char *text = vm_net_describe (vm_monitor_machine (mon));

  vm_monitor_puts (mon, text);
}

/* --- user-mode networks -------------------------------------------------------------------------------------- */

void
vm_hmp_info_usernet (VmMonitor *mon, const VmHmpArgs *args)
{
  const VmNet *net = net_of (mon);

  for (guint i = 0; i < net->netdevs->len; i++)
    {
      VmNetUser *user = vm_net_user_of (g_ptr_array_index (net->netdevs, i));
      g_autofree char *text = user ? vm_net_user_describe (user) : NULL;
      if (text)
        vm_monitor_puts (mon, text);
    }
}

/* "[NETDEV] RULE": which network, and *RULE. */
static VmNetUser *
find_user (VmMonitor *mon, const VmHmpArgs *args, const char **rule)
{
  const VmNet *net = net_of (mon);
  const char *first = vm_hmp_text (args, "arg1"), *second = vm_hmp_text (args, "arg2");

  *rule = second ? second : first;
  if (second)
    {
      VmNetdev *netdev = vm_netdev_find (net->root, first);
      VmNetUser *user = netdev ? vm_net_user_of (netdev) : NULL;
      if (!user)
        vm_monitor_printf (mon, "unrecognized netdev id '%s'\n", first);
      return user;
    }
  for (guint i = 0; i < net->netdevs->len; i++)
    {
      VmNetUser *user = vm_net_user_of (g_ptr_array_index (net->netdevs, i));
      if (user)
        return user;
    }
  vm_monitor_puts (mon, "user mode network stack not in use\n");
  return NULL;
}

void
vm_hmp_hostfwd_add (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;
  const char *rule;
  VmNetUser *user = find_user (mon, args, &rule);

  if (user && !vm_net_user_add_hostfwd (user, rule, &error))
    vm_monitor_printf (mon, "%s\n", error->message);
}

void
vm_hmp_hostfwd_remove (VmMonitor *mon, const VmHmpArgs *args)
{
  g_autoptr (GError) error = NULL;
  const char *rule;
  VmNetUser *user = find_user (mon, args, &rule);

  if (!user)
    return;
  if (vm_net_user_remove_hostfwd (user, rule, &error))
    vm_monitor_printf (mon, "host forwarding rule for %s removed\n", rule);
  else
    vm_monitor_printf (mon, "%s\n", error->message);
}

/* --- completion -------------------------------------------------------------------------------------------------- */

static void
add_if (GStrvBuilder *out, const char *name, const char *start)
{
  if (g_str_has_prefix (name, start))
    g_strv_builder_add (out, name);
}

char **
vm_complete_netdev_kind (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  g_autofree char *kinds = vm_netdev_kinds ();
  g_auto (GStrv) names = g_strsplit (kinds, "\n", -1);

  for (char **name = names; n == 0 && **name; name++)
    add_if (out, *name, start);
  return g_strv_builder_end (out);
}

static void
add_netdevs (GStrvBuilder *out, const VmNet *net, const char *start)
{
  for (guint i = 0; i < net->netdevs->len; i++)
    add_if (out, ((VmNetdev *) g_ptr_array_index (net->netdevs, i))->parent.id, start);
}

char **
vm_complete_netdev (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();

  if (n == 0)
    add_netdevs (out, net_of (mon), start);
  return g_strv_builder_end (out);
}

char **
vm_complete_link (VmMonitor *mon, unsigned n, const char *start)
{
  g_autoptr (GStrvBuilder) out = g_strv_builder_new ();
  const VmNet *net = net_of (mon);

  if (n == 0)
    {
      for (guint i = 0; i < net->cards->len; i++)
        add_if (out, ((VmNetCard *) g_ptr_array_index (net->cards, i))->name, start);
      add_netdevs (out, net, start);
    }
  else if (n == 1)
    {
      add_if (out, "on", start);
      add_if (out, "off", start);
    }
  return g_strv_builder_end (out);
}
