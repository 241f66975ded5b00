/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /dev/vhost-net: one descriptor for each pair of rings, and calls that say where everything is. */
#include "net/vhost-kernel.h"

#include <errno.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the TAP interface does rather than the rings (virtio 1.2, 5.1.3: check sums and segments). */
#define TAP_BITS 0x7fc3ull
#define FEATURE_LOG_ALL (1ull << VHOST_F_LOG_ALL)
#define FEATURE_OWN_HEADER (1ull << VHOST_NET_F_VIRTIO_NET_HDR)

typedef struct Queue
{
  int fd, tap;
  bool on; /* packets go there */
} Queue;

struct VmVhostKernel
{
  unsigned n, poll_us;
  uint64_t features;
  Queue *queues;
};

static bool
call (const Queue *q, unsigned long request, const void *argument, const char *what, GError **error)
{
  return ioctl (q->fd, request, argument) >= 0 || vm_fail (error, "vhost: %s: %s", what, g_strerror (errno));
}

VmVhostKernel *
vm_vhost_kernel_new (GArray *fds, const int *taps, unsigned n, unsigned poll_us, GError **error)
{
  VmVhostKernel *self = g_new0 (VmVhostKernel, 1);
  bool ok = true;

  self->n = n;
  self->poll_us = poll_us;
  self->features = UINT64_MAX;
  self->queues = g_new0 (Queue, n);
  for (unsigned i = 0; i < n; i++)
    self->queues[i] = (Queue){ g_array_index (fds, int, i), taps[i], false };
  for (unsigned i = 0; i < n && ok; i++)
    {
      uint64_t features = 0;
      ok = call (&self->queues[i], VHOST_SET_OWNER, NULL, "it has an owner", error)
           && call (&self->queues[i], VHOST_GET_FEATURES, &features, "features", error);
      self->features &= features;
    }
  if (ok)
    return self;
  vm_vhost_kernel_free (self);
  return NULL;
}

void
vm_vhost_kernel_free (VmVhostKernel *self)
{
  for (unsigned i = 0; self && i < self->n; i++)
    close (self->queues[i].fd);
  if (self)
    g_free (self->queues);
  g_free (self);
}

uint64_t
vm_vhost_kernel_features (const VmVhostKernel *self)
{
  return (self->features & ~(FEATURE_LOG_ALL | FEATURE_OWN_HEADER)) | TAP_BITS;
}

bool
vm_vhost_kernel_set_memory (VmVhostKernel *self, const VmVhostRegion *regions, unsigned n, GError **error)
{
  g_autofree struct vhost_memory *memory = g_malloc0 (sizeof *memory + n * sizeof *memory->regions);
  bool ok = true;

  memory->nregions = n;
  for (unsigned i = 0; i < n; i++)
    memory->regions[i] = (struct vhost_memory_region){ .guest_phys_addr = regions[i].guest,
                                                       .memory_size = regions[i].size,
                                                       .userspace_addr = (uintptr_t) regions[i].host };
  for (unsigned i = 0; i < self->n && ok; i++)
    ok = call (&self->queues[i], VHOST_SET_MEM_TABLE, memory, "memory", error);
  return ok;
}

static bool
start_ring (VmVhostKernel *self, unsigned index, const VmVhostRing *ring, GError **error)
{
  const Queue *q = &self->queues[index / 2];
  const struct vhost_vring_addr addr = { .index = index % 2,
                                         .desc_user_addr = (uintptr_t) ring->desc,
                                         .used_user_addr = (uintptr_t) ring->device,
                                         .avail_user_addr = (uintptr_t) ring->driver };
  struct vhost_vring_state busy = { index % 2, self->poll_us };

  return call (q, VHOST_SET_VRING_NUM, &(struct vhost_vring_state){ index % 2, ring->num }, "size of a ring", error)
         && call (q, VHOST_SET_VRING_BASE, &(struct vhost_vring_state){ index % 2, ring->base }, "place in a ring",
                  error)
         && call (q, VHOST_SET_VRING_ADDR, &addr, "address of a ring", error)
         && call (q, VHOST_SET_VRING_KICK, &(struct vhost_vring_file){ index % 2, ring->kick }, "doorbell", error)
         && call (q, VHOST_SET_VRING_CALL, &(struct vhost_vring_file){ index % 2, ring->call }, "interrupt", error)
         && (!self->poll_us || call (q, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &busy, "poll-us", error));
}

static bool
connect_tap (Queue *q, bool on, GError **error)
{
  bool ok = true;

  for (unsigned i = 0; i < 2 && ok; i++)
    ok = call (q, VHOST_NET_SET_BACKEND, &(struct vhost_vring_file){ i, on ? q->tap : -1 }, "the interface", error);
  q->on = on;
  return ok;
}

void
vm_vhost_kernel_enable (VmVhostKernel *self, unsigned ring, bool on)
{
  if (ring / 2 < self->n && self->queues[ring / 2].on != on)
    connect_tap (&self->queues[ring / 2], on, NULL); /* what does not go has no packets */
}

bool
vm_vhost_kernel_start (VmVhostKernel *self, uint64_t features, const VmVhostRegion *regions, unsigned n_regions,
                       const VmVhostRing *rings, unsigned n_rings, GError **error)
{
  uint64_t acked = features & self->features;
  bool ok = true;

  for (unsigned i = 0; i < self->n && ok; i++)
    ok = call (&self->queues[i], VHOST_SET_FEATURES, &acked, "features", error);
  ok = ok && vm_vhost_kernel_set_memory (self, regions, n_regions, error);
  for (unsigned i = 0; i < n_rings && i < 2 * self->n && ok; i++)
    ok = !rings[i].num || start_ring (self, i, &rings[i], error);
  for (unsigned i = 0; 2 * i + 1 < n_rings && i < self->n && ok; i++)
    ok = !rings[2 * i].num || !rings[2 * i + 1].num || !rings[2 * i].enabled
         || connect_tap (&self->queues[i], true, error);
  for (unsigned i = 0; i < self->n && !ok; i++)
    connect_tap (&self->queues[i], false, NULL);
  return ok;
}

void
vm_vhost_kernel_stop (VmVhostKernel *self, VmVhostRing *rings, unsigned n_rings)
{
  for (unsigned i = 0; i < self->n; i++)
    connect_tap (&self->queues[i], false, NULL);
  for (unsigned i = 0; i < n_rings && i < 2 * self->n; i++)
    {
      struct vhost_vring_state state = { i % 2, rings[i].base };
      if (rings[i].num && ioctl (self->queues[i / 2].fd, VHOST_GET_VRING_BASE, &state) >= 0)
        rings[i].base = state.num;
    }
}
