/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TAP interfaces of the host (Linux' Documentation/networking/tuntap.rst), opened here, inherited, or joined to a bridge
 * by a helper with privileges. Packets travel with struct virtio_net_hdr, so the kernel does what the guest left undone
 * and leaves to the guest what it can do better. */
#include "engine/base/fdset.h"
#include "engine/base/log.h"
#include "engine/machine/machine.h"
#include "engine/schema/types.h"
#include "net/helper.h"
#include "net/net-private.h"
#include "net/vhost-kernel.h"

#include <errno.h>
#include <glib-unix.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER    12  /* struct virtio_net_hdr_mrg_rxbuf: the count is not used here */
#define BURST     64  /* packets in one round of the loop */
#define UP_SCRIPT   "/etc/qemu-ifup"
#define DOWN_SCRIPT "/etc/qemu-ifdown"

typedef struct TapQueue
{
  struct Tap *tap;
  VmNetPort *port;
  int fd;
  GSource *readable, *writable;
  bool held;         /* a packet waits for the card: nothing more is read */
  uint8_t buffer[HEADER + VM_NET_FRAME_MAX];
} TapQueue;

typedef struct Tap
{
  VmNetdev *netdev;
  char ifname[IFNAMSIZ];
  char *down_script; /* NULL: none */
  bool vnet_hdr;
  GPtrArray *queues; /* TapQueue * */
  VmVhostKernel *kernel; /* serves the rings of a virtio card; NULL: nobody but us */
} Tap;

/* --- to the host --------------------------------------------------------------------------------------------- */

static bool
writable_again (int fd, GIOCondition condition, void *opaque)
{
  TapQueue *q = opaque;

  vm_source_clear (&q->writable);
  vm_net_port_ready (q->port);
  return true;
}

static bool
tap_receive (void *opaque, const VmNetPacket *packet)
{
  TapQueue *q = opaque;
  Tap *tap = q->tap;
  struct { VmNetHeader header; uint16_t buffers; } head = { packet->header, 0 };
  struct iovec iov[VM_NET_IOV_MAX + 1];
  unsigned n = 0;
  ssize_t done;

  if (packet->n > VM_NET_IOV_MAX)
    return true;
  if (tap->vnet_hdr)
    iov[n++] = (struct iovec){ &head, HEADER };
  memcpy (iov + n, packet->iov, packet->n * sizeof *iov);
  n += packet->n;
  do
    done = writev (q->fd, iov, n);
  while (done < 0 && errno == EINTR);
  if (done >= 0 || errno != EAGAIN)
    return true; /* what the kernel does not like is lost, as on a wire */
  if (!q->writable)
    q->writable = vm_loop_watch_fd (tap->netdev->net->loop, q->fd, G_IO_OUT, writable_again, q);
  return false;
}

/* --- to the guest ---------------------------------------------------------------------------------------------- */

static bool readable_again (int fd, GIOCondition condition, void *opaque);

static void
watch (TapQueue *q)
{
  if (!q->readable)
    q->readable = vm_loop_watch_fd (q->tap->netdev->net->loop, q->fd, G_IO_IN, readable_again, q);
}

static void
packet_taken (void *opaque)
{
  TapQueue *q = opaque;

  q->held = false;
  watch (q);
}

static bool
readable_again (int fd, GIOCondition condition, void *opaque)
{
  TapQueue *q = opaque;
  size_t head = q->tap->vnet_hdr ? HEADER : 0;

  for (int i = 0; i < BURST && !q->held; i++)
    {
      ssize_t n = read (q->fd, q->buffer, sizeof q->buffer);
      struct iovec iov;
      VmNetPacket packet = { &iov, 1, 0, { 0 } };

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= (ssize_t) head)
        {
          if (n < 0 && errno != EAGAIN)
            vm_source_clear (&q->readable); /* the interface is gone */
          break;
        }
      if (head)
        memcpy (&packet.header, q->buffer, sizeof packet.header);
      packet.len = n - head;
      iov = (struct iovec){ q->buffer + head, packet.len };
      q->held = !vm_net_send (q->port, &packet, packet_taken);
    }
  if (q->held)
    vm_source_clear (&q->readable);
  return true;
}

static void
tap_offload_changed (void *opaque, unsigned takes)
{
  TapQueue *q = opaque;
  unsigned flags = 0;

  if (!q->tap->vnet_hdr || !(takes & VM_NET_TAKES_CSUM))
    takes = 0;
  flags |= takes & VM_NET_TAKES_CSUM ? TUN_F_CSUM : 0;
  flags |= takes & VM_NET_TAKES_TSO4 ? TUN_F_TSO4 : 0;
  flags |= takes & VM_NET_TAKES_TSO6 ? TUN_F_TSO6 : 0;
  if (flags & (TUN_F_TSO4 | TUN_F_TSO6) && takes & VM_NET_TAKES_ECN)
    flags |= TUN_F_TSO_ECN;
  flags |= takes & VM_NET_TAKES_UFO ? TUN_F_UFO : 0;
  /* Kernels that do not know the last kind refuse all. */
  if (ioctl (q->fd, TUNSETOFFLOAD, (unsigned long) flags) < 0)
    ioctl (q->fd, TUNSETOFFLOAD, (unsigned long) (flags & ~(unsigned) TUN_F_UFO));
}

static const VmNetPortOps tap_ops = { .receive = tap_receive, .offload_changed = tap_offload_changed };

/* --- opening ------------------------------------------------------------------------------------------------------ */

static bool
run_script (const Tap *tap, const char *script, GError **error)
{
  char *argv[] = { (char *) script, (char *) tap->ifname, NULL };
  g_autoptr (GError) why = NULL;
  int status;

  if (!g_spawn_sync (NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status, &why))
    return vm_fail (error, "could not launch network script %s: %s", script, why->message);
  if (!g_spawn_check_wait_status (status, NULL))
    return vm_fail (error, "network script %s failed with status %d", script,
                    WIFEXITED (status) ? WEXITSTATUS (status) : status);
  return true;
}

/* Of a descriptor that somebody else set up: its name and whether there are headers. */
static bool
look_at (Tap *tap, int fd, GError **error)
{
  struct ifreq ifr = { 0 };

  if (ioctl (fd, TUNGETIFF, &ifr) < 0)
    return vm_fail (error, "Unable to query TUNGETIFF on FD %d: %s", fd, g_strerror (errno));
  tap->vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
  memcpy (tap->ifname, ifr.ifr_name, IFNAMSIZ - 1);
  return true;
}

static bool
add_queue (Tap *tap, int fd, GError **error)
{
  int size = HEADER;
  TapQueue *q;

  if (!g_unix_set_fd_nonblocking (fd, TRUE, error))
    {
      close (fd);
      return false;
    }
  if (tap->vnet_hdr && ioctl (fd, TUNSETVNETHDRSZ, &size) < 0)
    {
      vm_fail (error, "cannot set the size of packets' headers of %s: %s", tap->ifname, g_strerror (errno));
      close (fd);
      return false;
    }
  q = g_new0 (TapQueue, 1);
  q->tap = tap;
  q->fd = fd;
  q->port = vm_netdev_add_port (tap->netdev, &tap_ops, q);
  if (tap->vnet_hdr)
    vm_net_port_set_takes (q->port, VM_NET_TAKES_CSUM | VM_NET_TAKES_TSO4 | VM_NET_TAKES_TSO6 | VM_NET_TAKES_ECN
                                      | VM_NET_TAKES_UFO);
  tap_offload_changed (q, 0);
  g_ptr_array_add (tap->queues, q);
  watch (q);
  return true;
}

static bool
open_tun (Tap *tap, const VmqNetdevTapOptions *o, unsigned queues, GError **error)
{
  bool want_header = !o->has_vnet_hdr || o->vnet_hdr;

  if (o->ifname && strlen (o->ifname) >= IFNAMSIZ)
    return vm_fail (error, "interface name '%s' is too long", o->ifname);
  g_strlcpy (tap->ifname, o->ifname ? o->ifname : "", IFNAMSIZ);
  tap->vnet_hdr = want_header;
  for (unsigned i = 0; i < queues; i++)
    {
      struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | (want_header ? IFF_VNET_HDR : 0)
                                        | (queues > 1 ? IFF_MULTI_QUEUE : 0) };
      int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC);

      if (fd < 0)
        return vm_fail (error, "could not open /dev/net/tun: %s", g_strerror (errno));
      g_strlcpy (ifr.ifr_name, *tap->ifname ? tap->ifname : "tap%d", IFNAMSIZ);
      if (ioctl (fd, TUNSETIFF, &ifr) < 0)
        {
          vm_fail (error, "could not configure /dev/net/tun (%s): %s", ifr.ifr_name, g_strerror (errno));
          close (fd);
          return false;
        }
      g_strlcpy (tap->ifname, ifr.ifr_name, IFNAMSIZ);
      if (!add_queue (tap, fd, error))
        return false;
    }
  if (o->has_sndbuf && o->sndbuf)
    {
      int size = MIN (o->sndbuf, INT32_MAX);
      if (ioctl (((TapQueue *) tap->queues->pdata[0])->fd, TUNSETSNDBUF, &size) < 0)
        return vm_fail (error, "TUNSETSNDBUF ioctl failed: %s", g_strerror (errno));
    }
  const char *up = o->script ? o->script : UP_SCRIPT, *down = o->downscript ? o->downscript : DOWN_SCRIPT;
  if (*up && strcmp (up, "no") != 0 && !run_script (tap, up, error))
    return false;
  tap->down_script = *down && strcmp (down, "no") != 0 ? g_strdup (down) : NULL;
  return true;
}

/* "5:6:net3": numbers, or names that "getfd" gave. */
static bool
open_inherited (Tap *tap, const char *list, GError **error)
{
  g_auto (GStrv) names = g_strsplit (list, ":", -1);
  bool header = false;

  for (int i = 0; names[i]; i++)
    {
      int fd = vm_net_take_fd (tap->netdev->net, names[i], error);
      if (fd < 0)
        return false;
      if (!look_at (tap, fd, error) || (i && header != tap->vnet_hdr && !vm_fail (error, "vnet_hdr not consistent across given tap fds")))
        {
          close (fd);
          return false;
        }
      header = tap->vnet_hdr;
      if (!add_queue (tap, fd, error))
        return false;
    }
  return true;
}

static bool
open_by_helper (Tap *tap, const char *helper, const char *bridge, bool header, GError **error)
{
  int fd = vm_net_bridge_helper (helper, bridge ? bridge : "br0", header, error);

  if (fd < 0)
    return false;
  if (look_at (tap, fd, error))
    return add_queue (tap, fd, error);
  close (fd);
  return false;
}

/* --- the kernel as the card's partner ----------------------------------------------------------------------------- */

static uint64_t
kernel_features (VmNetdev *netdev)
{
  return vm_vhost_kernel_features (((Tap *) netdev->state)->kernel);
}

/* While the kernel has the rings nobody else reads packets, and their headers are as the driver wants them. */
static void
hand_over (Tap *tap, bool to_kernel, int header)
{
  for (guint i = 0; i < tap->queues->len; i++)
    {
      TapQueue *q = g_ptr_array_index (tap->queues, i);
      ioctl (q->fd, TUNSETVNETHDRSZ, &header);
      if (to_kernel)
        vm_source_clear (&q->readable);
      else if (!q->held)
        watch (q);
    }
}

static bool
kernel_start (VmNetdev *netdev, uint64_t features, const VmVhostRegion *regions, unsigned n_regions,
              const VmVhostRing *rings, unsigned n_rings, GError **error)
{
  Tap *tap = netdev->state;
  const uint64_t long_header = 1ull << 32 | 1ull << 15; /* virtio 1, mergeable buffers */

  hand_over (tap, true, features & long_header ? HEADER : (int) sizeof (VmNetHeader));
  if (vm_vhost_kernel_start (tap->kernel, features, regions, n_regions, rings, n_rings, error))
    return true;
  hand_over (tap, false, HEADER);
  return false;
}

static bool
kernel_set_memory (VmNetdev *netdev, const VmVhostRegion *regions, unsigned n, GError **error)
{
  return vm_vhost_kernel_set_memory (((Tap *) netdev->state)->kernel, regions, n, error);
}

static void
kernel_enable (VmNetdev *netdev, unsigned ring, bool on)
{
  vm_vhost_kernel_enable (((Tap *) netdev->state)->kernel, ring, on);
}

/* The core's own packets go out by the interface. */
static void
kernel_announce (VmNetdev *netdev, const uint8_t mac[6])
{
}

static bool
kernel_stop (VmNetdev *netdev, VmVhostRing *rings, unsigned n_rings)
{
  Tap *tap = netdev->state;

  vm_vhost_kernel_stop (tap->kernel, rings, n_rings);
  hand_over (tap, false, HEADER);
  return true;
}

static const VmVhostOps kernel_ops = {
  .in_process = true,
  .features = kernel_features,
  .start = kernel_start,
  .set_memory = kernel_set_memory,
  .enable = kernel_enable,
  .announce = kernel_announce,
  .stop = kernel_stop,
};

/* Descriptors of /dev/vhost-net, given or opened: one for each queue. NULL with ERROR set. */
static GArray *
kernel_fds (Tap *tap, const char *given, GError **error)
{
  g_auto (GStrv) names = g_strsplit (given ? given : "", ":", -1);
  GArray *fds = g_array_new (false, false, sizeof (int));
  guint n = given ? g_strv_length (names) : tap->queues->len;
  bool ok = n == tap->queues->len || vm_fail (error, "the number of fds passed does not match the number of vhostfds passed");

  for (guint i = 0; i < n && ok; i++)
    {
      int fd = given ? vm_net_take_fd (tap->netdev->net, names[i], error) : open ("/dev/vhost-net", O_RDWR | O_CLOEXEC);
      ok = fd >= 0 || given || vm_fail (error, "tap: open vhost char device failed: %s", g_strerror (errno));
      if (fd >= 0)
        g_array_append_val (fds, fd);
      else
        ok = false;
    }
  if (ok)
    return fds;
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
  return NULL;
}

/* Without the kernel's help packets go by us, unless that was forced. */
static bool
ask_kernel (Tap *tap, const VmqNetdevTapOptions *o, GError **error)
{
  const char *given = o->vhostfd ? o->vhostfd : o->vhostfds;
  bool forced = o->has_vhostforce && o->vhostforce;
  g_autoptr (GError) why = NULL;

  if (o->has_vhost ? !o->vhost : !given && !forced)
    return !given || vm_fail (error, "vhostfd(s)= is not valid without vhost");
  if (!tap->vnet_hdr)
    return vm_fail (error, "vhost-net requested but the interface has no packet headers");
  GArray *fds = kernel_fds (tap, given, &why);
  if (fds)
    {
      g_autofree int *taps = g_new (int, fds->len);
      for (guint i = 0; i < fds->len; i++)
        taps[i] = ((TapQueue *) g_ptr_array_index (tap->queues, i))->fd;
      tap->kernel = vm_vhost_kernel_new (fds, taps, fds->len, o->has_poll_us ? o->poll_us : 0, &why);
      g_array_unref (fds);
    }
  if (tap->kernel)
    tap->netdev->vhost = &kernel_ops;
  else if (forced || given)
    return vm_fail (error, "%s", why->message);
  else
    vm_report_warning ("%s", why->message);
  return true;
}

/* --- the two types ------------------------------------------------------------------------------------------------- */

static void
tap_close (VmNetdev *netdev)
{
  Tap *tap = netdev->state;

  g_clear_pointer (&tap->kernel, vm_vhost_kernel_free);
  for (guint i = 0; tap->queues && i < tap->queues->len; i++)
    {
      TapQueue *q = g_ptr_array_index (tap->queues, i);
      vm_source_clear (&q->readable);
      vm_source_clear (&q->writable);
    }
  /* While the interface is still there. */
  if (tap->down_script)
    run_script (tap, tap->down_script, NULL);
  for (guint i = 0; tap->queues && i < tap->queues->len; i++)
    {
      TapQueue *q = g_ptr_array_index (tap->queues, i);
      close (q->fd);
      g_free (q);
    }
  g_clear_pointer (&tap->queues, g_ptr_array_unref);
  g_clear_pointer (&tap->down_script, g_free);
}

static bool
check_tap (const VmqNetdevTapOptions *o, GError **error)
{
  bool given = o->fd || o->fds;

  if (o->fd && o->fds)
    return vm_fail (error, "fd= and fds= are mutually exclusive");
  if (given && (o->ifname || o->script || o->downscript || o->has_vnet_hdr || o->helper || o->has_queues))
    return vm_fail (error, "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, and vhostfds= are invalid with %s=",
                    o->fd ? "fd" : "fds");
  if (o->helper && (o->ifname || o->script || o->downscript || o->has_vnet_hdr || o->has_queues))
    return vm_fail (error, "ifname=, script=, downscript=, vnet_hdr=, queues=, and vhostfds= are invalid with helper=");
  if (o->has_queues && (o->queues < 1 || o->queues > 256))
    return vm_fail (error, "queues must be between 1 and 256");
  return true;
}

static bool
tap_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevTapOptions *o = options;
  Tap *tap = netdev->state;
  bool ok;

  tap->netdev = netdev;
  tap->queues = g_ptr_array_new ();
  if (!check_tap (o, error))
    return false;
  if (o->fd || o->fds)
    ok = open_inherited (tap, o->fd ? o->fd : o->fds, error);
  else if (o->helper)
    ok = open_by_helper (tap, o->helper, o->br, true, error);
  else
    ok = open_tun (tap, o, o->has_queues ? o->queues : 1, error);
  if (!ok || !ask_kernel (tap, o, error))
    return false;
  if (o->fd || o->fds)
    vm_netdev_set_info (netdev, "fd=%s", o->fd ? o->fd : o->fds);
  else if (o->helper)
    vm_netdev_set_info (netdev, "helper=%s", o->helper);
  else
    vm_netdev_set_info (netdev, "ifname=%s,script=%s,downscript=%s", tap->ifname, o->script ? o->script : UP_SCRIPT,
                        o->downscript ? o->downscript : DOWN_SCRIPT);
  return true;
}

static bool
bridge_open (VmNetdev *netdev, const void *options, GError **error)
{
  const VmqNetdevBridgeOptions *o = options;
  Tap *tap = netdev->state;

  tap->netdev = netdev;
  tap->queues = g_ptr_array_new ();
  if (!open_by_helper (tap, o->helper, o->br, true, error))
    return false;
  vm_netdev_set_info (netdev, "helper=%s,br=%s", o->helper ? o->helper : "", o->br ? o->br : "br0");
  return true;
}

const VmNetdevClass vm_netdev_tap_class = {
  .name = "tap",
  .help = "TAP interface of the host",
  .state_size = sizeof (Tap),
  .open = tap_open,
  .close = tap_close,
};

const VmNetdevClass vm_netdev_bridge_class = {
  .name = "bridge",
  .help = "TAP interface that a helper joins to a bridge of the host",
  .state_size = sizeof (Tap),
  .open = bridge_open,
  .close = tap_close,
};
