/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The chain of filters of a netdev: what the netdev sends goes through it from head to tail, what it gets from tail to
 * head. */
#include "net/filter.h"

#include "net/net-private.h"

static const VmNetFilterClass *
class_of (const VmNetFilter *filter)
{
  return vm_type_klass (filter->parent.type);
}

static VmNetdev *
netdev_of (const VmNetPort *from)
{
  return from->netdev ? from->netdev : from->peer ? from->peer->netdev : NULL;
}

static bool
sees (const VmNetFilter *filter, VmNetDirection direction)
{
  return filter->on && (filter->queue == VM_NET_ALL || filter->queue == (int) direction);
}

bool
vm_net_filtered (const VmNetPort *from)
{
  const VmNetdev *netdev = netdev_of (from);

  for (guint i = 0; netdev && netdev->filters && i < netdev->filters->len; i++)
    if (sees (g_ptr_array_index (netdev->filters, i), from->netdev ? VM_NET_TX : VM_NET_RX))
      return true;
  return false;
}

/* From the filter at INDEX on, in the packet's direction. */
static bool
run_chain (VmNetdev *netdev, int index, VmNetPort *from, const VmNetPacket *packet)
{
  bool sent = from->netdev != NULL;

  while (index >= 0 && index < (int) netdev->filters->len)
    {
      VmNetFilter *filter = g_ptr_array_index (netdev->filters, index);
      if (sees (filter, sent ? VM_NET_TX : VM_NET_RX) && class_of (filter)->receive (filter, from, packet))
        return true;
      index += sent ? 1 : -1;
    }
  return false;
}

bool
vm_net_filter (VmNetPort *from, const VmNetPacket *packet)
{
  VmNetdev *netdev = netdev_of (from);

  if (!netdev || !netdev->filters || !netdev->filters->len)
    return false;
  return run_chain (netdev, from->netdev ? 0 : (int) netdev->filters->len - 1, from, packet);
}

void
vm_net_filter_pass (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  guint at;

  if (!filter->netdev || !g_ptr_array_find (filter->netdev->filters, filter, &at))
    return;
  if (!run_chain (filter->netdev, from->netdev ? (int) at + 1 : (int) at - 1, from, packet))
    vm_net_deliver (from, packet, NULL);
}

/* --- making and removing --------------------------------------------------------------------------------------- */

/* Where POSITION ("head", "tail", "id=f1" with INSERT) is. */
static bool
find_place (VmNetFilter *filter, const GPtrArray *filters, guint *place, GError **error)
{
  const char *position = filter->position ? filter->position : "tail", *insert = filter->insert;
  bool before = false;

  if (insert && strcmp (insert, "behind") != 0 && strcmp (insert, "before") != 0)
    return vm_fail (error, "Parameter 'insert' does not accept value '%s'", insert);
  before = insert && !strcmp (insert, "before");
  if (!strcmp (position, "tail"))
    *place = filters->len;
  else if (!strcmp (position, "head"))
    *place = 0;
  else if (g_str_has_prefix (position, "id="))
    {
      for (*place = 0; *place < filters->len; (*place)++)
        {
          const VmNetFilter *other = g_ptr_array_index (filters, *place);
          if (!strcmp (other->parent.id, position + 3))
            {
              *place += !before;
              return true;
            }
        }
      return vm_fail (error, "filter '%s' not found", position + 3);
    }
  else
    return vm_fail (error, "Parameter 'position' expects 'head', 'tail' or 'id=<id>'");
  return true;
}

bool
vm_net_filter_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  VmNetFilter *filter = (VmNetFilter *) obj;
  VmObject *root = vm_object_root (obj);
  guint place = 0;

  if (!filter->netdev_id)
    return vm_fail (error, "Parameter 'netdev' is missing");
  VmNetdev *netdev = vm_netdev_find (root, filter->netdev_id);
  if (!netdev)
    return vm_fail (error, "Parameter 'netdev' expects a network backend id");
  if (netdev->klass->vhost || netdev->vhost)
    return vm_fail (error, "vhost is not supported");
  if (!netdev->filters)
    netdev->filters = g_ptr_array_new ();
  if (!find_place (filter, netdev->filters, &place, error))
    return false;
  filter->netdev = netdev;
  if (class_of (filter)->start && !class_of (filter)->start (filter, error))
    {
      filter->netdev = NULL;
      return false;
    }
  g_ptr_array_insert (netdev->filters, place, filter);
  return true;
}

void
vm_net_filters_drop (VmNetdev *netdev)
{
  for (guint i = 0; netdev->filters && i < netdev->filters->len; i++)
    {
      VmNetFilter *filter = g_ptr_array_index (netdev->filters, i);
      if (class_of (filter)->stop)
        class_of (filter)->stop (filter);
      filter->netdev = NULL;
    }
  g_clear_pointer (&netdev->filters, g_ptr_array_unref);
}

static void
filter_finalize (VmObject *obj)
{
  VmNetFilter *filter = (VmNetFilter *) obj;

  if (!filter->netdev)
    return;
  g_ptr_array_remove (filter->netdev->filters, filter);
  if (class_of (filter)->stop)
    class_of (filter)->stop (filter);
  filter->netdev = NULL;
}

static bool
set_status (VmObject *obj, void *field, const char *text, GError **error)
{
  VmNetFilter *filter = (VmNetFilter *) obj;
  bool on = !strcmp (text, "on");

  if (!on && strcmp (text, "off") != 0)
    return vm_fail (error, "Invalid value for netfilter status, should be 'on' or 'off'");
  if (filter->on == on)
    return true;
  filter->on = on;
  if (filter->netdev && class_of (filter)->switched)
    class_of (filter)->switched (filter);
  return true;
}

static char *
get_status (VmObject *obj, const void *field)
{
  return g_strdup (*(const bool *) field ? "on" : "off");
}

static const VmPropCustom status_kind = { .type_name = "string", .set = set_status, .get = get_status };
static const char *const queues[] = { "all", "rx", "tx", NULL };

static const VmProp filter_props[] = {
  VM_PROP ("netdev", VmNetFilter, netdev_id, 0, "whose packets"),
  VM_PROP_ENUMERATED ("queue", VmNetFilter, queue, VM_NET_ALL, queues, "rx: what the netdev gets, tx: what it sends"),
  { .name = "status", .help = "off: packets pass by", .kind = VM_PROP_CUSTOM, .flags = VM_PROP_RUNTIME,
    .custom = &status_kind, .def = (uint64_t) (uintptr_t) "on", VM_PROP_COMMON (VmNetFilter, on) },
  VM_PROP ("position", VmNetFilter, position, 0, "head, tail or id=ID of another filter"),
  VM_PROP ("insert", VmNetFilter, insert, 0, "before or behind that one"),
  { 0 },
};

const VmType vm_net_filter_type = {
  .name = "netfilter",
  .parent = &vm_user_object_type,
  .size = sizeof (VmNetFilter),
  .help = "sees the packets of a network back end",
  .abstract = true,
  .props = filter_props,
  .finalize = filter_finalize,
};
