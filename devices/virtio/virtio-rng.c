/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The entropy device (OASIS Virtual I/O Device 1.2, 5.4), with its front on PCI. */
#include "devices/virtio/virtio-pci.h"

#include "engine/rng/rng.h"

#define QUEUE_SIZE 8

typedef struct VirtioRng {
  VmVirtio parent;
  /* properties */
  VmObject *backend;
  uint64_t  max_bytes;     /* a period */
  uint32_t  period;        /* in ms */
  /* wiring */
  VmRng        *source;    /* the back end, or one of its own */
  VmVirtqueue  *queue;
  VmRngRequest *request;   /* under way */
  /* guest state */
  uint64_t quota;          /* bytes left until the timer */
  VmTimer  timer;
} VirtioRng;

static void rng_ask (VirtioRng *s);

static void
on_entropy (void *opaque, const uint8_t *buf, size_t len)
{
  VirtioRng *s = opaque;
  VmVirtqElement *e;

  s->request = NULL;
  s->quota -= MIN (s->quota, len);
  while (len && (e = vm_virtqueue_pop (s->queue, sizeof *e)))
    {
      size_t n = vm_iov_put (vm_virtq_in (e), e->n_in, 0, buf, len);

      buf += n;
      len -= n;
      vm_virtqueue_push (e, (uint32_t) n);
    }
  rng_ask (s);
}

/* Elements are taken when there is something to put in: what is waiting is the guest's state alone. */
static void
rng_ask (VirtioRng *s)
{
  VmVirtqElement *e;
  size_t room;

  if (s->request || !(e = vm_virtqueue_pop (s->queue, sizeof *e)))
    return;
  room = vm_iov_size (vm_virtq_in (e), e->n_in);
  if (!room)
    {
      vm_virtqueue_push (e, 0);
      vm_virtqueue_kick (s->queue);
      return;
    }
  vm_virtqueue_unpop (e);
  if (!vm_timer_pending (&s->timer))
    {
      VmClocks *clocks = s->parent.parent.env->clocks;

      s->quota = s->max_bytes;
      vm_timer_set (&s->timer, vm_clock_now (clocks, VM_CLOCK_VIRTUAL) + s->period * VM_NS_PER_MS);
    }
  room = MIN (room, s->quota);
  if (room)
    s->request = vm_rng_request (s->source, s->parent.parent.env->loop, MIN (room, VM_RNG_REQUEST_MAX), on_entropy, s);
}

static void
on_period (void *opaque)
{
  rng_ask (opaque);
}

static void
rng_handle (VmVirtio *v, VmVirtqueue *q)
{
  rng_ask ((VirtioRng *) v);
}

static void
rng_stop (VmVirtio *v)
{
  VirtioRng *s = (VirtioRng *) v;

  if (s->request)
    vm_rng_cancel (g_steal_pointer (&s->request));
}

/* --- life ------------------------------------------------------------------------------------------------ */

static bool
rng_realize (VmDevice *dev, GError **error)
{
  VirtioRng *s = (VirtioRng *) dev;

  if (s->period == 0)
    return vm_fail (error, "'period' parameter expects a positive integer");
  if (s->max_bytes > INT64_MAX)
    return vm_fail (error, "'max-bytes' parameter must be non-negative, and less than 2^63");
  s->source = (VmRng *) (s->backend ? vm_object_ref (s->backend) : vm_object_new (&vm_rng_builtin_type));
  vm_timer_init (&s->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, on_period, s);
  s->queue = vm_virtio_add_queue (&s->parent, QUEUE_SIZE, rng_handle);
  return true;
}

static void
rng_unrealize (VmDevice *dev)
{
  VirtioRng *s = (VirtioRng *) dev;

  vm_virtio_shut_down (&s->parent);
  vm_timer_cancel (&s->timer);
  vm_object_unref ((VmObject *) s->source);
  s->source = NULL;
}

static const VmProp rng_props[] = {
  VM_PROP_LINK_TO ("rng", VirtioRng, backend, &vm_rng_type, "source of entropy"),
  VM_PROP ("max-bytes", VirtioRng, max_bytes, INT64_MAX, "bytes a period"),
  VM_PROP ("period", VirtioRng, period, 1 << 16, "in milliseconds"),
  { 0 }
};

static const VmField rng_state[] = {
  VM_FIELD (VirtioRng, quota),
  VM_FIELD_TIMER_OF (VirtioRng, timer),
  { 0 }
};

static const VmVirtioClass rng_class = {
  .parent = { .realize = rng_realize, .unrealize = rng_unrealize, .category = "Misc", .user_creatable = true,
              .hotpluggable = true },
  .id = VIRTIO_ID_RNG, .stop = rng_stop,
};

const VmType vm_virtio_rng_type = {
  .name = "virtio-rng-device", .parent = &vm_virtio_type, .size = sizeof (VirtioRng),
  .help = "Virtio source of random bytes", .props = rng_props, .state = rng_state, .klass = &rng_class,
};

/* --- on PCI ---------------------------------------------------------------------------------------------- */

typedef struct RngPci {
  VmVirtioPci parent;
  VirtioRng   rng;
} RngPci;

static void
rng_pci_init (VmObject *obj)
{
  RngPci *self = (RngPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->rng.parent, &vm_virtio_rng_type);
}

static const VmProp rng_pci_props[] = {
  VM_VIRTIO_PCI_IOEVENTFD_PROP,
  VM_VIRTIO_PCI_VECTORS_PROP (UINT32_MAX),
  VM_PROP_EMBED (RngPci, rng, vm_virtio_props),
  VM_PROP_EMBED (RngPci, rng, rng_props),
  { 0 }
};

const VmType vm_virtio_rng_pci_base_type = {
  .name = "virtio-rng-pci-base", .parent = &vm_virtio_pci_type, .size = sizeof (RngPci), .abstract = true,
  .help = "Virtio source of random bytes on PCI", .props = rng_pci_props, .init = rng_pci_init,
};

static const VmVirtioPciClass generic_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_GENERIC, NULL, "Misc");
static const VmVirtioPciClass transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_TRANSITIONAL, NULL, "Misc");
static const VmVirtioPciClass non_transitional_class
  = VM_VIRTIO_PCI_CLASS (PCI_CLASS_OTHERS, VM_VIRTIO_PCI_NON_TRANSITIONAL, NULL, "Misc");

const VmType vm_virtio_rng_pci_type = {
  .name = "virtio-rng-pci", .parent = &vm_virtio_rng_pci_base_type, .size = sizeof (RngPci),
  .help = "Virtio source of random bytes on PCI", .props = vm_virtio_pci_generic_props, .klass = &generic_class,
};

const VmType vm_virtio_rng_pci_transitional_type = {
  .name = "virtio-rng-pci-transitional", .parent = &vm_virtio_rng_pci_base_type, .size = sizeof (RngPci),
  .help = "Virtio source of random bytes on PCI, both interfaces", .klass = &transitional_class,
};

const VmType vm_virtio_rng_pci_non_transitional_type = {
  .name = "virtio-rng-pci-non-transitional", .parent = &vm_virtio_rng_pci_base_type, .size = sizeof (RngPci),
  .help = "Virtio source of random bytes on PCI, modern interface only", .klass = &non_transitional_class,
};
