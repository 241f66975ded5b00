/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plug in a Virtual Distributed Ethernet switch, through libvdeplug, which a module knows. */
#include "net/vde.h"

#include "engine/base/module.h"
#include "engine/schema/types.h"
#include "net/frames.h"
#include "net/net-private.h"

#include <errno.h>
#include <grp.h>
#include <string.h>

#define BURST 64 /* frames in one round of the loop */

typedef struct Vde
{
  VmNetdev *netdev;
  VmNetPort *port;
  const VmVdeApi *api;
  void *plug;
  GSource *readable, *writable, *control;
  bool held; /* a frame waits for the card: nothing more is read */
  uint8_t in[VM_NET_FRAME_MAX], out[VM_NET_FRAME_MAX];
} Vde;

/* --- to the switch ---------------------------------------------------------------------------------------------- */

static bool
writable_again (int fd, GIOCondition condition, void *opaque)
{
  Vde *v = opaque;

  vm_source_clear (&v->writable);
  vm_net_port_ready (v->port);
  return true;
}

static bool
vde_receive (void *opaque, const VmNetPacket *packet)
{
  Vde *v = opaque;
  const void *frame = packet->iov[0].iov_base;

  if (!v->plug || packet->len > sizeof v->out)
    return true;
  if (packet->n != 1) /* the library takes one piece */
    {
      vm_net_packet_copy (packet, 0, v->out, packet->len);
      frame = v->out;
    }
  if (v->api->send (v->plug, frame, packet->len) >= 0 || errno != EAGAIN)
    return true;
  if (!v->writable)
    v->writable = vm_loop_watch_fd (v->netdev->net->loop, v->api->data_fd (v->plug), G_IO_OUT, writable_again, v);
  return false;
}

/* --- to the guest ------------------------------------------------------------------------------------------------ */

static bool readable_again (int fd, GIOCondition condition, void *opaque);

static void
watch (Vde *v)
{
  if (!v->readable)
    v->readable = vm_loop_watch_fd (v->netdev->net->loop, v->api->data_fd (v->plug), G_IO_IN, readable_again, v);
}

static void
frame_taken (void *opaque)
{
  Vde *v = opaque;

  v->held = false;
  if (v->plug)
    watch (v);
}

static void
unplug (Vde *v)
{
  vm_net_port_forget (v->port);
  vm_source_clear (&v->readable);
  vm_source_clear (&v->writable);
  vm_source_clear (&v->control);
  v->api->close (g_steal_pointer (&v->plug));
}

static bool
readable_again (int fd, GIOCondition condition, void *opaque)
{
  Vde *v = opaque;

  for (int i = 0; i < BURST && !v->held; i++)
    {
      ssize_t n = v->api->receive (v->plug, v->in, sizeof v->in);

      if (n <= 0)
        break;
      v->held = !vm_net_send_bytes (v->port, v->in, (size_t) n, frame_taken);
    }
  if (v->held)
    vm_source_clear (&v->readable);
  return true;
}

/* The switch never says anything here: it has gone. */
static bool
switch_gone (int fd, GIOCondition condition, void *opaque)
{
  Vde *v = opaque;

  unplug (v);
  vm_netdev_set_info (v->netdev, "connection error");
  vm_netdev_set_carrier (v->netdev, false);
  vm_net_port_ready (v->port);
  return true;
}

static const VmNetPortOps ops = { .receive = vde_receive };

/* --- the type ------------------------------------------------------------------------------------------------------
 */

static bool
is_group (const char *name)
{
  struct group entry, *found = NULL;
  char buffer[8192];

  return getgrnam_r (name, &entry, buffer, sizeof buffer, &found) == ERANGE || found;
}

static bool
vde_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevVdeOptions *o = options;
  Vde *v = netdev->state;
  int control;

  v->netdev = netdev;
  if (o->has_port && (o->port < 0 || o->port > UINT16_MAX))
    return vm_fail (error, "Parameter 'port' expects uint16_t");
  if (o->has_mode && (o->mode < 0 || o->mode > 07777))
    return vm_fail (error, "Parameter 'mode' expects file permissions, 0 to 07777");
  if (o->group && !is_group (o->group)) /* the library would not say so */
    return vm_fail (error, "group '%s' is not known on this host", o->group);
  v->api = vm_module_symbol ("net", "vitrine-vde", "vm_vde_plug", error);
  if (!v->api)
    return false;
  v->plug
      = v->api->open (o->sock, o->has_port ? (unsigned) o->port : 0, o->group, o->has_mode ? (unsigned) o->mode : 0700);
  if (!v->plug)
    return vm_fail (error, "Could not open vde: %s", g_strerror (errno));
  v->port = vm_netdev_add_port (netdev, &ops, v);
  vm_netdev_set_info (netdev, "sock=%s,fd=%d", o->sock ? o->sock : "", v->api->data_fd (v->plug));
  control = v->api->control_fd (v->plug);
  if (control >= 0)
    v->control = vm_loop_watch_fd (netdev->net->loop, control, G_IO_IN | G_IO_HUP | G_IO_ERR, switch_gone, v);
  watch (v);
  return true;
}

static void
vde_close (VmNetdev *netdev)
{
  Vde *v = netdev->state;

  if (v->plug)
    unplug (v);
}

const VmNetdevClass vm_netdev_vde_class = {
  .name = "vde",
  .help = "plug in a Virtual Distributed Ethernet switch",
  .state_size = sizeof (Vde),
  .open = vde_open,
  .close = vde_close,
};
