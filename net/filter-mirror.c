/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object filter-mirror: copies of packets go to a character back end. -object filter-redirector: packets themselves go
 * to one, or come from one. Both as the streams that COLO's other half and other machines read. */
#include "net/filter-stream.h"
#include "net/filter.h"

#include <string.h>

typedef struct FilterMirror
{
  VmNetFilter parent;
  char *indev, *outdev; /* properties */
  bool header;
  VmNetStream in, out;
} FilterMirror;

/* --- both ------------------------------------------------------------------------------------------------------ */

static bool
open_out (FilterMirror *self, const char *who, GError **error)
{
  self->out.header = self->header;
  if (!self->outdev || vm_net_stream_open (&self->out, vm_object_root (&self->parent.parent), self->outdev, who, error))
    return true;
  vm_net_stream_close (&self->out);
  return false;
}

static void
mirror_stop (VmNetFilter *filter)
{
  FilterMirror *self = (FilterMirror *) filter;

  vm_net_stream_close (&self->in);
  vm_net_stream_close (&self->out);
}

/* --- mirror ---------------------------------------------------------------------------------------------------- */

static bool
mirror_start (VmNetFilter *filter, GError **error)
{
  FilterMirror *self = (FilterMirror *) filter;

  if (!self->outdev)
    return vm_fail (error, "filter mirror needs 'outdev' property set");
  return open_out (self, "", error);
}

static bool
mirror_receive (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  vm_net_stream_send (&((FilterMirror *) filter)->out, packet);
  return false;
}

static const VmProp mirror_props[] = {
  VM_PROP ("outdev", FilterMirror, outdev, 0, "character back end that gets the packets"),
  VM_PROP ("vnet_hdr_support", FilterMirror, header, 0, "with virtio headers"),
  { 0 },
};

static const VmNetFilterClass mirror_class = {
  VM_NET_FILTER_USER,
  .start = mirror_start,
  .stop = mirror_stop,
  .receive = mirror_receive,
};

const VmType vm_net_filter_mirror_type = {
  .name = "filter-mirror",
  .parent = &vm_net_filter_type,
  .size = sizeof (FilterMirror),
  .help = "Sends copies of packets to a character back end",
  .props = mirror_props,
  .klass = &mirror_class,
};

/* --- redirector ------------------------------------------------------------------------------------------------- */

/* What comes goes on behind the filter, in each direction that it is for. */
static void
redirected (void *opaque, const VmNetPacket *packet)
{
  FilterMirror *self = opaque;
  VmNetFilter *filter = &self->parent;
  VmNetdev *netdev = filter->netdev;
  VmNetPort *port = netdev && netdev->ports->len ? g_ptr_array_index (netdev->ports, 0) : NULL;

  if (!port || !filter->on)
    return;
  vm_object_ref (&filter->parent);
  if (filter->queue != VM_NET_RX)
    vm_net_filter_pass (filter, port, packet);
  if (filter->queue != VM_NET_TX && filter->netdev == netdev && netdev->ports->len && port->peer)
    vm_net_filter_pass (filter, port->peer, packet);
  vm_object_unref (&filter->parent);
}

static bool
redirector_start (VmNetFilter *filter, GError **error)
{
  FilterMirror *self = (FilterMirror *) filter;
  VmObject *root = vm_object_root (&filter->parent);

  if (!self->indev && !self->outdev)
    return vm_fail (error, "filter redirector needs 'indev' or 'outdev' at least one property set");
  if (!g_strcmp0 (self->indev, self->outdev))
    return vm_fail (error, "'indev' and 'outdev' could not be same for filter redirector");
  self->in = (VmNetStream){ .header = self->header, .got = redirected, .opaque = self };
  if ((!self->indev || vm_net_stream_open (&self->in, root, self->indev, "IN ", error))
      && open_out (self, "OUT ", error))
    return true;
  vm_net_stream_close (&self->in);
  return false;
}

static bool
redirector_receive (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  FilterMirror *self = (FilterMirror *) filter;

  if (!self->outdev)
    return false;
  vm_net_stream_send (&self->out, packet);
  return true;
}

static const VmProp redirector_props[] = {
  VM_PROP ("indev", FilterMirror, indev, 0, "character back end that packets come from"),
  VM_PROP ("outdev", FilterMirror, outdev, 0, "character back end that packets go to"),
  VM_PROP ("vnet_hdr_support", FilterMirror, header, 0, "with virtio headers"),
  { 0 },
};

static const VmNetFilterClass redirector_class = {
  VM_NET_FILTER_USER,
  .start = redirector_start,
  .stop = mirror_stop,
  .receive = redirector_receive,
};

const VmType vm_net_filter_redirector_type = {
  .name = "filter-redirector",
  .parent = &vm_net_filter_type,
  .size = sizeof (FilterMirror),
  .help = "Sends packets to a character back end, or takes them from one",
  .props = redirector_props,
  .klass = &redirector_class,
};
