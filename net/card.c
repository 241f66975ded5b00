/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all network cards share: address, back end, link, and their place in the lists people see. */
#include "engine/machine/machine.h"
#include "net/net-private.h"

#include <stdio.h>
#include <string.h>

/* Of the addresses 52:54:00:12:34:56 and up, which cards get when nobody says more. */
#define FIRST_MAC 0x56

/* --- properties ------------------------------------------------------------------------------------------- */

static bool
bad_mac (const VmObject *obj, const char *text, GError **error)
{
  return vm_fail (error, "Property '%s.mac' doesn't take value '%s'", obj->type->name, text);
}

static bool
mac_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmMac mac = { .set = true };
  const char *p = text;

  for (int i = 0; i < 6; i++)
    {
      if (!g_ascii_isxdigit (p[0]) || !g_ascii_isxdigit (p[1]))
        return bad_mac (obj, text, error);
      mac.byte[i] = g_ascii_xdigit_value (p[0]) << 4 | g_ascii_xdigit_value (p[1]);
      p += 2;
      if (i < 5 && *p != ':' && *p != '-')
        return bad_mac (obj, text, error);
      if (i < 5)
        p++;
    }
  if (*p)
    return bad_mac (obj, text, error);
  *(VmMac *) field = mac;
  return true;
}

static char *
mac_text (const uint8_t *b)
{
  return g_strdup_printf ("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

static char *
mac_get (VmObject *obj, const void *field)
{
  return mac_text (((const VmMac *) field)->byte);
}

const VmPropCustom vm_prop_mac = { .type_name = "str", .set = mac_set, .get = mac_get };

static bool
netdev_set (VmObject *obj, void *field, const char *text, GError **error)
{
  VmObject *root = vm_object_root (obj);
  VmNetdev *netdev = root ? vm_netdev_find (root, text) : NULL;

  if (root && !netdev)
    return vm_fail (error, "Property '%s.netdev' can't find value '%s'", obj->type->name, text);
  if (netdev && vm_netdev_in_use (netdev))
    return vm_fail (error, "Property '%s.netdev' can't take value '%s', it's in use", obj->type->name, text);
  g_free (*(char **) field);
  *(char **) field = g_strdup (text);
  return true;
}

static char *
netdev_get (VmObject *obj, const void *field)
{
  return g_strdup (*(char *const *) field ? *(char *const *) field : "");
}

static void
netdev_clear (VmObject *obj, void *field)
{
  g_clear_pointer ((char **) field, g_free);
}

const VmPropCustom vm_prop_netdev = {
  .type_name = "str",
  .set = netdev_set,
  .get = netdev_get,
  .clear = netdev_clear,
};

/* --- addresses ----------------------------------------------------------------------------------------------- */

static bool
is_default_mac (const uint8_t *b)
{
  return !memcmp (b, "\x52\x54\x00\x12\x34", 5);
}

static void
use_mac (VmNet *net, const uint8_t *b, int change)
{
  if (is_default_mac (b))
    net->mac_users[b[5]] += change;
}

static void
pick_mac (VmNet *net, VmMac *mac)
{
  *mac = (VmMac){ { 0x52, 0x54, 0x00, 0x12, 0x34, FIRST_MAC }, true };
  for (int i = FIRST_MAC; i < 256; i++)
    if (!net->mac_users[i])
      {
        mac->byte[5] = i;
        return;
      }
}

/* --- attach --------------------------------------------------------------------------------------------------- */

static char *
pick_name (const VmNet *net, VmObject *device, const char *model)
{
  unsigned n = 0;

  /* A virtio card lies inside the PCI function that has the name. */
  for (const VmObject *obj = device; obj->parent; obj = obj->parent)
    if (!g_strcmp0 (obj->parent->id, "peripheral"))
      return g_strdup (obj->id);
  for (guint i = 0; i < net->cards->len; i++)
    n += vm_net_card_is_model (g_ptr_array_index (net->cards, i), model);
  return g_strdup_printf ("%s.%u", model, n);
}

bool
vm_net_card_is_model (const VmNetCard *card, const char *model)
{
  return !strcmp (card->model, model);
}

static void
set_info (VmNetCard *card)
{
  g_autofree char *mac = mac_text (card->mac.byte);

  g_free (card->info);
  card->info = g_strdup_printf ("model=%s,macaddr=%s", card->model, mac);
}

bool
vm_net_card_attach (VmNetCard *card, VmObject *device, const char *model, const VmNetCardOps *ops, unsigned n,
                    void *const *opaques, GError **error)
{
  VmDevice *dev = VM_DEVICE (device);
  VmMachine *machine = dev->env->machine;
  VmNet *net = vm_net_get (dev->env);
  VmNetdev *netdev = NULL;

  g_assert (n > 0 && n <= VM_NET_QUEUES);
  if (card->netdev_id && *card->netdev_id)
    {
      netdev = vm_netdev_find (dev->env->root, card->netdev_id);
      if (!netdev)
        return vm_fail (error, "Property '%s.netdev' can't find value '%s'", device->type->name, card->netdev_id);
      if (vm_netdev_in_use (netdev))
        return vm_fail (error, "Property '%s.netdev' can't take value '%s', it's in use", device->type->name,
                        card->netdev_id);
    }
  if (netdev && netdev->klass->vhost && !ops->vhost)
    return vm_fail (error, "%s requires frontend driver virtio-net-*", netdev->klass->name);
  if (card->bootindex >= 0 && machine && !vm_machine_add_boot_device (machine, card->bootindex, dev, "/ethernet-phy@0", error))
    return false;
  if (!card->mac.set)
    pick_mac (net, &card->mac);
  use_mac (net, card->mac.byte, 1);
  memcpy (card->permanent, card->mac.byte, 6);
  card->permanent_last = is_default_mac (card->mac.byte) ? card->mac.byte[5] : -1;
  card->device = device;
  card->model = model;
  card->ops = ops;
  card->net = net;
  card->name = pick_name (net, device, model);
  card->ports = g_new0 (VmNetPort, n);
  card->n = n;
  g_ptr_array_add (net->cards, card);
  set_info (card);
  for (unsigned i = 0; i < n; i++)
    {
      vm_net_port_init (&card->ports[i], &ops->port, opaques ? opaques[i] : (void *) device);
      card->ports[i].card = card;
      card->ports[i].index = i;
    }
  if (netdev)
    {
      netdev->card = card;
      card->netdev = netdev;
      for (unsigned i = 0; i < MIN (n, netdev->ports->len); i++)
        vm_net_port_connect (g_ptr_array_index (netdev->ports, i), &card->ports[i]);
    }
  return true;
}

void
vm_net_card_detach (VmNetCard *card)
{
  VmNetdev *netdev = card->netdev;

  if (!card->device)
    return;
  if (card->bootindex >= 0 && card->net->machine)
    vm_machine_remove_boot_device (card->net->machine, VM_DEVICE (card->device));
  for (unsigned i = 0; i < card->n; i++)
    vm_net_port_close (&card->ports[i]);
  g_ptr_array_remove (card->net->cards, card);
  if (card->permanent_last >= 0)
    card->net->mac_users[card->permanent_last]--;
  g_clear_pointer (&card->ports, g_free);
  g_clear_pointer (&card->name, g_free);
  g_clear_pointer (&card->info, g_free);
  card->netdev = NULL;
  card->device = NULL;
  card->n = 0;
  if (netdev)
    {
      netdev->card = NULL;
      if (netdev->implicit)
        vm_netdev_remove (netdev);
    }
}

void
vm_net_card_rename (VmEnv *env, VmObject *device, const char *name)
{
  const VmNet *net = vm_net_get (env);

  for (guint i = 0; i < net->cards->len; i++)
    {
      VmNetCard *card = g_ptr_array_index (net->cards, i);
      const VmObject *obj = card->device;
      while (obj && obj != device)
        obj = obj->parent;
      if (!obj)
        continue;
      g_free (card->name);
      card->name = g_strdup (name);
      return;
    }
}

bool
vm_net_card_link_up (const VmNetCard *card)
{
  return card->device && !card->link_down && !card->unplugged && !(card->netdev && (card->netdev->link_down || card->netdev->no_carrier));
}

void
vm_net_card_set_link (VmNetCard *card, bool up)
{
  bool was = vm_net_card_link_up (card);

  card->link_down = !up;
  for (unsigned i = 0; i < card->n; i++)
    card->ports[i].link_down = !up;
  vm_net_card_link_told (card, was);
  if (card->netdev && card->netdev->klass->set_link)
    card->netdev->klass->set_link (card->netdev, up);
}

void
vm_net_card_link_told (VmNetCard *card, bool was)
{
  bool is = vm_net_card_link_up (card);

  if (is != was && card->ops->link_changed)
    card->ops->link_changed (card->device, is);
}

void
vm_net_card_set_mac (VmNetCard *card, const uint8_t mac[6])
{
  memcpy (card->mac.byte, mac, 6);
  card->mac.set = true;
  if (card->device)
    set_info (card);
}

void
vm_net_card_rx_filter_changed (VmNetCard *card)
{
  VmObject *device = card->device;

  if (!device || !card->net->machine || card->rx_filter_told)
    return;
  card->rx_filter_told = true;
  g_autofree char *path = vm_object_path (device);
  bool named = device->parent && !g_strcmp0 (device->parent->id, "peripheral");
  if (named)
    vm_machine_emit (card->net->machine, "NIC_RX_FILTER_CHANGED", "{\"name\": \"%s\", \"path\": \"%s\"}", device->id,
                     path);
  else
    vm_machine_emit (card->net->machine, "NIC_RX_FILTER_CHANGED", "{\"path\": \"%s\"}", path);
}
