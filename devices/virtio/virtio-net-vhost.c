/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A virtio network card whose rings another process or the kernel serves: it gets guest memory, the places of the rings
 * and eventfds while driver, machine and link all are up, and gives the rings back when one of them is not. The control
 * queue stays here. */
#include "devices/virtio/virtio-net.h"
#include "devices/virtio/virtio-private.h"
#include "engine/base/log.h"
#include "engine/machine/machine.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define REGIONS_MAX 64
#define REGIONS 8 /* that partners have room for */

/* Bits that say something about the rings or what is in them: both sides must know them. */
#define RING_BITS                                                                                                      \
  (VM_BIT (VIRTIO_NET_F_CSUM) | VM_BIT (VIRTIO_NET_F_GUEST_CSUM) | VM_BIT (VIRTIO_NET_F_GSO)                           \
   | VM_BIT (VIRTIO_NET_F_GUEST_TSO4) | VM_BIT (VIRTIO_NET_F_GUEST_TSO6) | VM_BIT (VIRTIO_NET_F_GUEST_ECN)             \
   | VM_BIT (VIRTIO_NET_F_GUEST_UFO) | VM_BIT (VIRTIO_NET_F_HOST_TSO4) | VM_BIT (VIRTIO_NET_F_HOST_TSO6)               \
   | VM_BIT (VIRTIO_NET_F_HOST_ECN) | VM_BIT (VIRTIO_NET_F_HOST_UFO) | VM_BIT (VIRTIO_NET_F_MRG_RXBUF))
/* Nobody else spreads packets by a hash, or is told about offloads afterwards. */
#define OWN_BITS                                                                                                       \
  (VM_BIT (VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VM_BIT (VIRTIO_NET_F_RSS) | VM_BIT (VIRTIO_NET_F_HASH_REPORT))

typedef struct Ring
{
  VmVirtioNet *s;
  VmVirtqueue *q;
  GSource *watch;
} Ring;

struct VmVirtioNetVhost
{
  bool started, updating;
  unsigned n;
  VmVhostRing *rings; /* two for each pair */
  Ring *watched;
  VmMemoryListener listener;
  VmVirtioNet *s;
  VmVhostRegion regions[REGIONS];
  unsigned n_regions;
};

/* --- memory ---------------------------------------------------------------------------------------------------- */

static int
by_size (const void *a, const void *b)
{
  const VmVhostRegion *x = a, *y = b;

  return x->size > y->size ? -1 : x->size < y->size;
}

/* The guest's RAM in few pieces: what lies in one file in the same order is one, with the holes that devices make. */
static unsigned
find_regions (const VmVirtioNet *s, VmVhostRegion *regions)
{
  bool anonymous = s->card.netdev->vhost->in_process;
  VmVhostRegion all[REGIONS_MAX];
  VmFlatView *view = vm_address_space_view (s->parent.parent.env->memory_as);
  unsigned n = 0;

  for (size_t i = 0; i < view->n; i++)
    {
      const VmFlatRange *r = &view->ranges[i];
      if (!r->host || r->readonly || !r->block || (!anonymous && (r->block->fd < 0 || !r->block->shared)))
        continue;
      VmVhostRegion new = { .guest = r->start,
                            .size = r->last - r->start + 1,
                            .host = r->host,
                            .fd = r->block->fd,
                            .offset = r->block->fd_offset + (uint64_t) (r->host - r->block->host) };
      unsigned k = 0;
      while (k < n
             && !(all[k].fd == new.fd && new.guest - all[k].guest == new.offset - all[k].offset
                  && new.guest - all[k].guest == (uint64_t) (new.host - all[k].host)))
        k++;
      if (k < n)
        all[k].size = new.guest + new.size - all[k].guest;
      else if (n < REGIONS_MAX)
        all[n++] = new;
    }
  vm_flat_view_unref (view);
  qsort (all, n, sizeof *all, by_size);
  n = MIN (n, REGIONS);
  memcpy (regions, all, n * sizeof *all);
  return n;
}

static void
memory_changed (VmMemoryListener *l)
{
  struct VmVirtioNetVhost *vhost
      = (struct VmVirtioNetVhost *) (void *) ((char *) l - offsetof (struct VmVirtioNetVhost, listener));
  VmVirtioNet *s = vhost->s;
  VmVhostRegion regions[REGIONS] = { 0 };
  unsigned n;

  if (!vhost->started || !s->card.netdev)
    return;
  n = find_regions (s, regions);
  if (n == vhost->n_regions && !memcmp (regions, vhost->regions, n * sizeof *regions))
    return;
  memcpy (vhost->regions, regions, sizeof regions);
  vhost->n_regions = n;
  s->card.netdev->vhost->set_memory (s->card.netdev, regions, n, NULL); /* says itself what is wrong */
}

/* --- rings ------------------------------------------------------------------------------------------------------- */

static bool
called (int fd, GIOCondition condition, void *opaque)
{
  Ring *ring = opaque;
  uint64_t count;

  if (read (fd, &count, sizeof count) == sizeof count)
    virtio_interrupt (&ring->s->parent, ring->q);
  return true;
}

static void
drop_rings (struct VmVirtioNetVhost *vhost)
{
  for (unsigned i = 0; i < vhost->n; i++)
    {
      vm_source_clear (&vhost->watched[i].watch);
      if (vhost->rings[i].kick >= 0)
        close (vhost->rings[i].kick);
      if (vhost->rings[i].call >= 0)
        close (vhost->rings[i].call);
    }
  g_clear_pointer (&vhost->rings, g_free);
  g_clear_pointer (&vhost->watched, g_free);
  vhost->n = 0;
}

static bool
make_ring (VmVirtioNet *s, unsigned i, GError **error)
{
  struct VmVirtioNetVhost *vhost = s->vhost;
  VmVirtqueue *q = s->parent.queues[i];
  VmVhostRing *ring = &vhost->rings[i];

  vm_virtqueue_empty (q); /* makes its memory accessible */
  if (!q->mapped || !vm_virtqueue_ready (q))
    return true;
  ring->kick = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  ring->call = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (ring->kick < 0 || ring->call < 0)
    return vm_fail (error, "no eventfd: %s", g_strerror (errno));
  ring->num = q->s->num;
  ring->base = q->s->next_avail;
  ring->desc = q->desc.host;
  ring->driver = q->driver.host;
  ring->device = q->device.host;
  ring->enabled = i / 2 < s->active_pairs;
  vhost->watched[i] = (Ring){ s, q, vm_loop_watch_fd (q->loop, ring->call, G_IO_IN, called, &vhost->watched[i]) };
  return true;
}

static void
kick (const VmVhostRing *ring)
{
  const uint64_t one = 1;

  if (ring->num && write (ring->kick, &one, sizeof one) < 0)
    return; /* it is full of kicks: that is one */
}

static bool
start (VmVirtioNet *s, GError **error)
{
  struct VmVirtioNetVhost *vhost = s->vhost;
  VmNetdev *netdev = s->card.netdev;
  unsigned n = 2 * vm_virtio_net_max_pairs (s);

  vhost->n_regions = find_regions (s, vhost->regions);
  vhost->rings = g_new0 (VmVhostRing, n);
  vhost->watched = g_new0 (Ring, n);
  vhost->n = n;
  for (unsigned i = 0; i < n; i++)
    vhost->rings[i].kick = vhost->rings[i].call = -1;
  for (unsigned i = 0; i < n; i++)
    if (!make_ring (s, i, error))
      return false;
  if (!netdev->vhost->start (netdev, s->parent.features, vhost->regions, vhost->n_regions, vhost->rings, n, error))
    return false;
  vhost->started = true;
  for (unsigned i = 0; i < n; i++)
    kick (&vhost->rings[i]);
  return true;
}

/* The driver's view of the rings is in guest memory: what of it nobody has dealt with comes again when a partner left
 * without a word. */
static void
stop (VmVirtioNet *s)
{
  struct VmVirtioNetVhost *vhost = s->vhost;
  VmNetdev *netdev = s->card.netdev;
  bool told = netdev && netdev->vhost && netdev->vhost->stop (netdev, vhost->rings, vhost->n);

  vhost->started = false;
  for (unsigned i = 0; i < vhost->n; i++)
    {
      VmVirtqueue *q = s->parent.queues[i];
      if (!vhost->rings[i].num)
        continue;
      uint16_t used = ring_load16 (vhost->rings[i].device + 2);
      q->s->next_used = used;
      q->s->next_avail = told ? vhost->rings[i].base : used;
      virtio_interrupt (&s->parent, q);
    }
  drop_rings (vhost);
}

/* --- for the card ---------------------------------------------------------------------------------------------------
 */

void
vm_virtio_net_vhost_update (VmVirtioNet *s)
{
  struct VmVirtioNetVhost *vhost = s->vhost;
  const VmMachine *machine = s->parent.parent.env->machine;
  g_autoptr (GError) error = NULL;

  if (!vhost || vhost->updating)
    return;
  bool wanted = s->card.netdev && vm_virtio_running (&s->parent) && vm_net_card_link_up (&s->card)
                && (!machine || vm_machine_is_running (machine));
  if (wanted == vhost->started)
    return;
  vhost->updating = true;
  if (vhost->started)
    stop (s);
  else if (!start (s, &error))
    {
      vm_report_warning ("vhost of %s: %s", s->card.name, error->message);
      drop_rings (vhost);
    }
  vhost->updating = false;
}

void
vm_virtio_net_vhost_stop (VmVirtioNet *s)
{
  if (s->vhost && s->vhost->started)
    stop (s);
}

bool
vm_virtio_net_vhost_kick (VmVirtioNet *s, const VmVirtqueue *q)
{
  struct VmVirtioNetVhost *vhost = s->vhost;

  if (!vhost || !vhost->started || q->index >= vhost->n)
    return false;
  kick (&vhost->rings[q->index]);
  return true;
}

void
vm_virtio_net_vhost_pairs (VmVirtioNet *s)
{
  struct VmVirtioNetVhost *vhost = s->vhost;

  for (unsigned i = 0; vhost && vhost->started && i < vhost->n && s->card.netdev; i++)
    if (vhost->rings[i].num && vhost->rings[i].enabled != (i / 2 < s->active_pairs))
      {
        vhost->rings[i].enabled = i / 2 < s->active_pairs;
        s->card.netdev->vhost->enable (s->card.netdev, i, vhost->rings[i].enabled);
      }
}

uint64_t
vm_virtio_net_vhost_features (const VmVirtioNet *s, uint64_t bits)
{
  VmNetdev *netdev = s->card.netdev;

  if (!s->vhost || !netdev || !netdev->vhost)
    return bits;
  return bits & ~OWN_BITS & (netdev->vhost->features (netdev) | ~RING_BITS);
}

static void
state_changed (VmMachine *machine, void *opaque)
{
  vm_virtio_net_vhost_update (opaque);
}

bool
vm_virtio_net_vhost_attach (VmVirtioNet *s, GError **error)
{
  VmVirtio *v = &s->parent;
  VmNetdev *netdev = s->card.netdev;
  VmVhostRegion regions[REGIONS];
  VmMachine *machine = v->parent.env->machine;
  uint64_t features;

  if (!netdev || !netdev->vhost)
    return true;
  if (!find_regions (s, regions))
    return vm_fail (error,
                    "%s needs guest memory that others can map: -object memory-backend-memfd,share=on (or -file)",
                    netdev->klass->name);
  features = netdev->vhost->features (netdev);
  v->packed = v->queue_reset = false;
  v->event_idx = v->event_idx && features >> VIRTIO_F_EVENT_IDX & 1;
  v->indirect_desc = v->indirect_desc && features >> VIRTIO_F_INDIRECT_DESC & 1;
  v->notify_on_empty = v->notify_on_empty && features >> VIRTIO_F_NOTIFY_ON_EMPTY & 1;
  v->any_layout = v->any_layout && features >> VIRTIO_F_ANY_LAYOUT & 1;
  s->vhost = g_new0 (struct VmVirtioNetVhost, 1);
  s->vhost->s = s;
  s->vhost->listener.commit = memory_changed;
  vm_memory_listener_add (&s->vhost->listener, v->parent.env->memory_as);
  if (machine)
    vm_machine_watch (machine, VM_MACHINE_STATE, state_changed, s);
  return true;
}

void
vm_virtio_net_vhost_detach (VmVirtioNet *s)
{
  VmMachine *machine = s->parent.parent.env->machine;

  if (!s->vhost)
    return;
  vm_virtio_net_vhost_stop (s);
  if (machine)
    vm_machine_unwatch (machine, VM_MACHINE_STATE, state_changed, s);
  vm_memory_listener_remove (&s->vhost->listener);
  g_clear_pointer (&s->vhost, g_free);
}
