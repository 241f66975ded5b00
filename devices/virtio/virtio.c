/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all virtio devices share (OASIS Virtual I/O Device 1.2, chapters 2 and 3): status, features, configuration,
 * their bus, what is saved. */
#include "devices/virtio/virtio-private.h"

#include "engine/base/log.h"

static const VmVirtioClass *
klass_of (const VmVirtio *v)
{
  return (const VmVirtioClass *) vm_device_class (&v->parent);
}

VmVirtio *
vm_virtio_of (VmObject *obj)
{
  return VM_VIRTIO (vm_object_is_a (obj, &vm_virtio_type) ? obj : vm_object_child (obj, "virtio-backend"));
}

void
vm_virtio_bus_init (VmVirtioBus *bus, VmDevice *owner, const VmVirtioBusOps *ops, void *opaque)
{
  vm_bus_init (&bus->parent, VM_VIRTIO_BUS_TYPE, owner, "virtio-bus");
  bus->parent.max_devices = 1;
  bus->parent.hotplug = true; /* with its owner */
  bus->ops = ops;
  bus->opaque = opaque;
}

/* --- interrupts from iothreads --------------------------------------------------------------------------- */

/* What posts to the engine hold instead of the device, which may be gone when they run. */
struct VmVirtioLink {
  VmVirtio *v; /* under the machine lock; NULL: gone */
};

typedef struct Notice {
  struct VmVirtioLink *link;
  VmVirtqueue *q; /* NULL: the configuration */
} Notice;

struct VmVirtioLink *
virtio_link_new (VmVirtio *v)
{
  struct VmVirtioLink *link = g_atomic_rc_box_new (struct VmVirtioLink);

  link->v = v;
  return link;
}

void
virtio_link_cut (struct VmVirtioLink *link)
{
  link->v = NULL;
  g_atomic_rc_box_release (link);
}

static void
interrupt (VmVirtio *v, const VmVirtqueue *q)
{
  VmVirtioBus *bus = vm_virtio_bus (v);

  if (bus && q)
    bus->ops->notify (bus->opaque, q->s->vector);
  else if (bus)
    bus->ops->config_changed (bus->opaque);
}

static void
on_notice (void *opaque)
{
  Notice *notice = opaque;

  if (notice->link->v)
    interrupt (notice->link->v, notice->q);
  g_atomic_rc_box_release (notice->link);
  g_free (notice);
}

void
virtio_interrupt (VmVirtio *v, VmVirtqueue *queue)
{
  VmLoop *engine = v->parent.env->loop;
  VmLock *machine = vm_loop_lock (engine);
  Notice *notice;

  if (!v->lock || vm_lock_held (machine))
    interrupt (v, queue);
  else if (vm_lock_try (machine))
    {
      interrupt (v, queue);
      vm_lock_leave (machine, true);
    }
  else
    {
      notice = g_new (Notice, 1);
      *notice = (Notice) { g_atomic_rc_box_acquire (v->link), queue };
      vm_loop_post (engine, on_notice, notice);
    }
}

void
vm_virtio_config_changed (VmVirtio *v)
{
  bool taken = vm_virtio_enter (v);

  v->generation++;
  if (vm_virtio_bus (v) && (v->status & VIRTIO_STATUS_DRIVER_OK))
    virtio_interrupt (v, NULL);
  vm_virtio_leave (v, taken);
}

void
vm_virtio_break (VmVirtio *v, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list ap;

  if (v->broken)
    return;
  va_start (ap, format);
  text = g_strdup_vprintf (format, ap);
  va_end (ap);
  vm_guest_error (v->parent.parent.type->name, "%s", text);
  v->broken = true;
  if (vm_virtio_has (v, VIRTIO_F_VERSION_1))
    {
      v->status |= VIRTIO_STATUS_NEEDS_RESET;
      vm_virtio_config_changed (v);
    }
}

/* --- features -------------------------------------------------------------------------------------------- */

static uint64_t
common_features (const VmVirtio *v)
{
  return (v->indirect_desc ? VM_BIT (VIRTIO_F_INDIRECT_DESC) : 0) | (v->event_idx ? VM_BIT (VIRTIO_F_EVENT_IDX) : 0)
         | (v->notify_on_empty ? VM_BIT (VIRTIO_F_NOTIFY_ON_EMPTY) : 0)
         | (v->any_layout ? VM_BIT (VIRTIO_F_ANY_LAYOUT) : 0)
         | (v->iommu_platform ? VM_BIT (VIRTIO_F_ACCESS_PLATFORM) : 0)
         | (v->packed ? VM_BIT (VIRTIO_F_RING_PACKED) : 0) | (v->queue_reset ? VM_BIT (VIRTIO_F_RING_RESET) : 0)
         | VM_BIT (VIRTIO_F_VERSION_1);
}

uint64_t
vm_virtio_offered (const VmVirtio *v, bool legacy)
{
  uint64_t old = VM_BIT (VIRTIO_F_NOTIFY_ON_EMPTY) | VM_BIT (VIRTIO_F_ANY_LAYOUT) | klass_of (v)->legacy_features;

  return legacy ? (v->host_features & UINT32_MAX) | VM_BIT (VIRTIO_F_BAD_FEATURE) : v->host_features & ~old;
}

void
vm_virtio_set_features (VmVirtio *v, uint64_t features, bool legacy)
{
  if (v->status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK))
    return;
  v->features = features & vm_virtio_offered (v, legacy);
  /* Known bits only: this one finds drivers that take all (2.2.1 of the legacy interface). */
  v->features &= ~VM_BIT (VIRTIO_F_BAD_FEATURE);
}

/* May the driver go on with what it took (3.1.1, step 6)? */
static bool
features_fit (const VmVirtio *v)
{
  return vm_virtio_has (v, VIRTIO_F_VERSION_1) && (!v->iommu_platform || vm_virtio_has (v, VIRTIO_F_ACCESS_PLATFORM));
}

/* --- status ---------------------------------------------------------------------------------------------- */

static void
stop (VmVirtio *v)
{
  const VmVirtioClass *klass = klass_of (v);

  if (klass->stop)
    klass->stop (v);
  for (unsigned i = 0; i < v->n_queues; i++)
    vm_virtqueue_reset (v->queues[i]);
}

void
vm_virtio_reset (VmVirtio *v)
{
  const VmVirtioClass *klass = klass_of (v);
  bool taken = vm_virtio_enter (v);
  uint8_t old = v->status;

  stop (v);
  v->status = 0;
  v->features = 0;
  v->broken = false;
  if (klass->status_set)
    klass->status_set (v, old);
  vm_virtio_leave (v, taken);
}

void
vm_virtio_set_loops (VmVirtio *v, VmLoop *const *loops, unsigned n_loops, unsigned batch)
{
  v->lock = vm_lock_new ();
  v->link = virtio_link_new (v);
  for (unsigned i = 0; i < v->n_queues; i++)
    {
      v->queues[i]->loop = loops[i % n_loops];
      v->queues[i]->batch = batch;
    }
}

static void
do_nothing (void *opaque)
{
}

void
vm_virtio_leave_loops (VmVirtio *v)
{
  if (!v->lock)
    return;
  for (unsigned i = 0; i < v->n_queues; i++)
    {
      vm_loop_call (v->queues[i]->loop, do_nothing, NULL);
      v->queues[i]->loop = v->parent.env->loop;
    }
  virtio_link_cut (g_steal_pointer (&v->link));
  g_clear_pointer (&v->lock, vm_lock_free);
}

void
vm_virtio_shut_down (VmVirtio *v)
{
  VmVirtioBus *bus = vm_virtio_bus (v);

  bus->ops->shut_down (bus->opaque);
  vm_virtio_reset (v);
}

void
vm_virtqueue_restart (VmVirtqueue *q)
{
  const VmVirtioClass *klass = klass_of (q->v);
  bool taken = vm_virtio_enter (q->v);
  uint16_t vector = q->s->vector;

  if (klass->stop_queue)
    klass->stop_queue (q->v, q);
  else if (klass->stop)
    klass->stop (q->v);
  vm_virtqueue_reset (q);
  q->s->vector = vector;
  vm_virtio_leave (q->v, taken);
}

static void
set_status (VmVirtio *v, uint8_t status)
{
  const VmVirtioClass *klass = klass_of (v);
  uint8_t old = v->status, comes = status & ~old, final;

  if (status == 0)
    {
      vm_virtio_reset (v);
      return;
    }
  if ((comes & VIRTIO_STATUS_FEATURES_OK) && !features_fit (v))
    status &= (uint8_t) ~VIRTIO_STATUS_FEATURES_OK;
  v->status = status | (old & VIRTIO_STATUS_NEEDS_RESET);
  /* The legacy interface has no FEATURES_OK. */
  final = vm_virtio_has (v, VIRTIO_F_VERSION_1) ? VIRTIO_STATUS_FEATURES_OK : VIRTIO_STATUS_DRIVER_OK;
  if (klass->features_set && (comes & status & final))
    klass->features_set (v);
  if (klass->status_set)
    klass->status_set (v, old);
  if (comes & VIRTIO_STATUS_DRIVER_OK)
    for (unsigned i = 0; i < v->n_queues; i++)
      vm_virtqueue_kick (v->queues[i]);
}

void
vm_virtio_set_status (VmVirtio *v, uint8_t status)
{
  bool taken = vm_virtio_enter (v);

  set_status (v, status);
  vm_virtio_leave (v, taken);
}

/* --- configuration --------------------------------------------------------------------------------------- */

static void
config_get (VmVirtio *v, uint8_t *config)
{
  const VmVirtioClass *klass = klass_of (v);

  memset (config, 0, VM_VIRTIO_CONFIG_MAX);
  if (klass->config_get)
    klass->config_get (v, config);
}

uint64_t
vm_virtio_config_read (VmVirtio *v, uint32_t offset, unsigned size)
{
  uint8_t config[VM_VIRTIO_CONFIG_MAX + 8];

  if (offset >= v->config_size || size > v->config_size - offset)
    return UINT64_MAX;
  config_get (v, config);
  return vm_load_le (config + offset, size);
}

void
vm_virtio_config_write (VmVirtio *v, uint32_t offset, uint64_t value, unsigned size)
{
  const VmVirtioClass *klass = klass_of (v);
  uint8_t config[VM_VIRTIO_CONFIG_MAX + 8];

  if (!klass->config_set || offset >= v->config_size || size > v->config_size - offset)
    return;
  bool taken = vm_virtio_enter (v);
  config_get (v, config);
  vm_store_le (config + offset, value, size);
  klass->config_set (v, config, offset, size);
  vm_virtio_leave (v, taken);
}

/* --- queues ---------------------------------------------------------------------------------------------- */

VmVirtqueue *
vm_virtio_add_queue (VmVirtio *v, unsigned max, void (*handle) (VmVirtio *v, VmVirtqueue *q))
{
  VmVirtqueue *q = g_new0 (VmVirtqueue, 1);
  unsigned n = v->n_queues++;

  g_assert (n < VM_VIRTIO_QUEUES && max <= VM_VIRTQUEUE_MAX);
  v->queues = g_renew (VmVirtqueue *, v->queues, n + 1);
  v->queue_state = g_renew (VmVirtqueueState, v->queue_state, n + 1);
  v->queue_state_size = (n + 1) * (uint32_t) sizeof *v->queue_state;
  v->queues[n] = q;
  *q = (VmVirtqueue) { .v = v, .index = (uint16_t) n, .max = (uint16_t) max, .handle = handle, .eventfd = -1,
                       .loop = v->parent.env->loop };
  for (unsigned i = 0; i <= n; i++)
    v->queues[i]->s = &v->queue_state[i];
  vm_virtqueue_reset (q);
  return q;
}

static void
free_queues (VmVirtio *v)
{
  for (unsigned i = 0; i < v->n_queues; i++)
    {
      VmVirtqueue *q = v->queues[i];

      vm_virtqueue_close_doorbell (q);
      q->v = NULL;
      if (!q->posted) /* else the post does it */
        g_free (q);
    }
  g_clear_pointer (&v->queues, g_free);
  g_clear_pointer (&v->queue_state, g_free);
  v->n_queues = v->queue_state_size = 0;
}

/* --- life ------------------------------------------------------------------------------------------------ */

/* A doorbell may have been on its way when the state was saved. */
static void
on_loaded (void *opaque)
{
  VmVirtio *v = opaque;

  for (unsigned i = 0; i < v->n_queues; i++)
    vm_virtqueue_kick (v->queues[i]);
}

static bool
virtio_bus_realize (VmDevice *dev, GError **error)
{
  VmVirtio *v = VM_VIRTIO (dev);
  const VmVirtioBus *bus = vm_virtio_bus (v);

  vm_timer_init (&v->loaded, dev->env->clocks, VM_CLOCK_VIRTUAL, on_loaded, v);
  if (v->iommu_platform && bus->legacy)
    return vm_fail (error, "VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device");
  if (v->packed && !bus->modern)
    return vm_fail (error, "packed=on: the legacy interface has no packed queues");
  return true;
}

/* Once the type's own realize made it what it is. */
void
virtio_realized (VmVirtio *v)
{
  const VmVirtioClass *klass = klass_of (v);

  v->host_features = common_features (v) | (klass->features ? klass->features (v) : 0);
}

static void
virtio_bus_unrealize (VmDevice *dev)
{
  VmVirtio *v = VM_VIRTIO (dev);

  vm_timer_cancel (&v->loaded);
  free_queues (v);
}

static void
virtio_reset (VmDevice *dev, VmResetKind kind)
{
  VmVirtio *v = VM_VIRTIO (dev);

  vm_virtio_reset (v);
  v->generation = 0;
}

static bool
queue_fits (const VmVirtio *v, const VmVirtqueue *q)
{
  const VmVirtqueueState *s = q->s;
  bool packed = vm_virtio_has (v, VIRTIO_F_RING_PACKED);

  if (s->num > q->max || s->enabled > 1 || s->avail_wrap > 1 || s->used_wrap > 1)
    return false;
  if (!s->enabled)
    return true;
  return packed ? s->next_avail < s->num && s->next_used < s->num : vm_is_pow2 (s->num);
}

/* What is posted to iothreads runs, and what is signalled there. */
static void
catch_up (VmVirtio *v)
{
  for (unsigned i = 0; v->lock && i < v->n_queues; i++)
    for (int round = 0; round < 2; round++) /* whatever was ready in the first has been dispatched in the second */
      vm_loop_call (v->queues[i]->loop, do_nothing, NULL);
}

static bool
is_restless (VmVirtio *v)
{
  bool taken = vm_virtio_enter (v), restless = false;

  for (unsigned i = 0; v->lock && i < v->n_queues; i++)
    restless |= v->queues[i]->posted;
  vm_virtio_leave (v, taken);
  return restless;
}

/* What was given back is made visible. Types hold no elements but those of requests, which have ended. */
static bool
virtio_pre_save (VmDevice *dev, GError **error)
{
  VmVirtio *v = VM_VIRTIO (dev);
  const VmVirtioClass *klass = klass_of (v);

  do
    {
      catch_up (v);
      if (klass->settle && !klass->settle (v, error))
        return false;
    }
  while (is_restless (v));
  for (unsigned i = 0; i < v->n_queues; i++)
    {
      vm_virtqueue_flush (v->queues[i]);
      if (v->queues[i]->in_flight)
        return vm_fail (error, "%s: %u requests of queue %u are under way", vm_device_path (dev),
                        v->queues[i]->in_flight, i);
    }
  return true;
}

static bool
virtio_post_load (VmDevice *dev, GError **error)
{
  VmVirtio *v = VM_VIRTIO (dev);

  if (v->features & ~v->host_features)
    return vm_fail (error, "%s: the saved driver uses features %#" G_GINT64_MODIFIER "x, which this device lacks",
                    vm_device_path (dev), v->features & ~v->host_features);
  for (unsigned i = 0; i < v->n_queues; i++)
    {
      VmVirtqueue *q = v->queues[i];

      if (!queue_fits (v, q))
        return vm_fail (error, "%s: queue %u has an impossible state", vm_device_path (dev), i);
      bool taken = vm_virtio_enter (v);
      virtqueue_loaded (q);
      vm_virtio_leave (v, taken);
    }
  if (klass_of (v)->features_set && v->features)
    klass_of (v)->features_set (v);
  /* Nothing moves before the machine does. */
  vm_timer_set (&v->loaded, vm_clock_now (dev->env->clocks, VM_CLOCK_VIRTUAL));
  return true;
}

const VmProp vm_virtio_props[] = {
  VM_PROP ("indirect_desc", VmVirtio, indirect_desc, true, "chains may lie in tables of their own"),
  VM_PROP ("event_idx", VmVirtio, event_idx, true, "notifications are wanted by index"),
  VM_PROP ("notify_on_empty", VmVirtio, notify_on_empty, true, "legacy: an interrupt when a queue runs empty"),
  VM_PROP ("any_layout", VmVirtio, any_layout, true, "legacy: headers may be split as the driver likes"),
  VM_PROP ("iommu_platform", VmVirtio, iommu_platform, false, "addresses go through the platform's IOMMU"),
  VM_PROP ("packed", VmVirtio, packed, false, "packed queues"),
  VM_PROP ("queue_reset", VmVirtio, queue_reset, true, "queues can be reset one by one"),
  VM_PROP ("use-started", VmVirtio, use_started, true, "legacy: a doorbell starts the device"),
  VM_PROP ("use-disabled-flag", VmVirtio, use_disabled_flag, true, "without bus mastering queues rest"),
  VM_PROP ("x-disable-legacy-check", VmVirtio, x_disable_legacy_check, false,
           "kept for old command lines: types that came with the standard have no legacy interface"),
  { 0 }
};

static const VmField virtio_state[] = {
  VM_FIELD (VmVirtio, features),
  VM_FIELD (VmVirtio, status),
  VM_FIELD (VmVirtio, generation),
  VM_FIELD (VmVirtio, broken),
  VM_FIELD_HEAP (VmVirtio, queue_state, queue_state_size),
  { 0 }
};

static const VmDeviceClass virtio_class = {
  .bus_type = VM_VIRTIO_BUS_TYPE, .bus_realize = virtio_bus_realize, .bus_unrealize = virtio_bus_unrealize,
  .reset = virtio_reset, .pre_save = virtio_pre_save, .post_load = virtio_post_load,
};

const VmType vm_virtio_type = {
  .name = "virtio-device", .parent = &vm_device_type, .size = sizeof (VmVirtio), .abstract = true,
  .help = "A virtio device", .props = vm_virtio_props, .state = virtio_state, .klass = &virtio_class,
};
