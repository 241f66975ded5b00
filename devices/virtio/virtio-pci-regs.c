/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Registers of virtio PCI functions: the modern ones (OASIS Virtual I/O Device 1.2, 4.1.4) and the legacy ones
 * (4.1.4.10). */
#include "devices/virtio/virtio-pci-private.h"

/* --- modern: common configuration ------------------------------------------------------------------------ */

enum {
  COMMON_DFSELECT = 0x00, COMMON_DF = 0x04, COMMON_GFSELECT = 0x08, COMMON_GF = 0x0c, COMMON_MSIX = 0x10,
  COMMON_NUMQ = 0x12, COMMON_STATUS = 0x14, COMMON_GENERATION = 0x15, COMMON_Q_SELECT = 0x16, COMMON_Q_SIZE = 0x18,
  COMMON_Q_MSIX = 0x1a, COMMON_Q_ENABLE = 0x1c, COMMON_Q_NOFF = 0x1e, COMMON_Q_DESC = 0x20, COMMON_Q_DRIVER = 0x28,
  COMMON_Q_DEVICE = 0x30, COMMON_Q_NOTIFY_DATA = 0x38, COMMON_Q_RESET = 0x3a,
};

static uint64_t
queue_read (const VmVirtioPci *p, uint64_t reg)
{
  const VmVirtqueue *q = virtio_pci_selected (p);

  if (!q)
    return 0;
  switch (reg)
    {
    case COMMON_Q_SIZE:
      return q->s->num;
    case COMMON_Q_MSIX:
      return q->s->vector;
    case COMMON_Q_ENABLE:
      return q->s->enabled;
    case COMMON_Q_NOFF: case COMMON_Q_NOTIFY_DATA:
      return q->index;
    case COMMON_Q_DESC:
      return (uint32_t) q->s->desc;
    case COMMON_Q_DESC + 4:
      return q->s->desc >> 32;
    case COMMON_Q_DRIVER:
      return (uint32_t) q->s->driver;
    case COMMON_Q_DRIVER + 4:
      return q->s->driver >> 32;
    case COMMON_Q_DEVICE:
      return (uint32_t) q->s->device;
    case COMMON_Q_DEVICE + 4:
      return q->s->device >> 32;
    default: /* a reset is over at once */
      return 0;
    }
}

static uint64_t
common_read (VmVirtioPci *p, uint64_t reg)
{
  const VmVirtio *v = p->vdev;

  switch (reg)
    {
    case COMMON_DFSELECT:
      return p->device_feature_select;
    case COMMON_DF:
      if (p->device_feature_select > 1)
        return 0;
      return (uint32_t) (vm_virtio_offered (v, false) >> 32 * p->device_feature_select);
    case COMMON_GFSELECT:
      return p->driver_feature_select;
    case COMMON_GF:
      return p->driver_feature_select < 2 ? p->driver_features[p->driver_feature_select] : 0;
    case COMMON_MSIX:
      return p->config_vector;
    case COMMON_NUMQ:
      return v->n_queues;
    case COMMON_STATUS:
      return v->status;
    case COMMON_GENERATION:
      return v->generation;
    case COMMON_Q_SELECT:
      return p->queue_select;
    default:
      return queue_read (p, reg);
    }
}

static void
set_half (uint64_t *address, uint64_t reg, uint64_t value)
{
  if (reg & 4)
    *address = (*address & UINT32_MAX) | value << 32;
  else
    *address = (*address & ~(uint64_t) UINT32_MAX) | (uint32_t) value;
}

static void
queue_write (VmVirtioPci *p, uint64_t reg, uint64_t value)
{
  VmVirtqueue *q = virtio_pci_selected (p);
  VmVirtqueueState *s;

  if (!q)
    return;
  s = q->s;
  if (reg == COMMON_Q_MSIX)
    s->vector = virtio_pci_vector (p, value);
  else if (reg == COMMON_Q_RESET)
    {
      if (value == 1 && vm_virtio_has (p->vdev, VIRTIO_F_RING_RESET))
        vm_virtqueue_restart (q);
    }
  if (s->enabled) /* what follows is fixed then */
    return;
  if (reg == COMMON_Q_SIZE)
    {
      if (value <= q->max && (vm_is_pow2 (value) || (value && vm_virtio_has (p->vdev, VIRTIO_F_RING_PACKED))))
        s->num = (uint16_t) value;
    }
  else if (reg == COMMON_Q_ENABLE)
    {
      if (value == 1)
        vm_virtqueue_enable (q);
    }
  else if ((reg & ~(uint64_t) 4) == COMMON_Q_DESC)
    set_half (&s->desc, reg, value);
  else if ((reg & ~(uint64_t) 4) == (COMMON_Q_DRIVER & ~4))
    set_half (&s->driver, reg, value);
  else if ((reg & ~(uint64_t) 4) == COMMON_Q_DEVICE)
    set_half (&s->device, reg, value);
}

static void
common_write (VmVirtioPci *p, uint64_t reg, uint64_t value)
{
  switch (reg)
    {
    case COMMON_DFSELECT:
      p->device_feature_select = (uint32_t) value;
      break;
    case COMMON_GFSELECT:
      p->driver_feature_select = (uint32_t) value;
      break;
    case COMMON_GF:
      if (p->driver_feature_select < 2)
        p->driver_features[p->driver_feature_select] = (uint32_t) value;
      vm_virtio_set_features (p->vdev, p->driver_features[0] | (uint64_t) p->driver_features[1] << 32, false);
      break;
    case COMMON_MSIX:
      p->config_vector = virtio_pci_vector (p, value);
      break;
    case COMMON_STATUS:
      virtio_pci_write_status (p, (uint8_t) value);
      break;
    case COMMON_Q_SELECT:
      p->queue_select = (uint16_t) value;
      break;
    default:
      queue_write (p, reg, value);
      break;
    }
}

/* --- modern: the BAR ------------------------------------------------------------------------------------- */

uint64_t
virtio_pci_modern_read (void *opaque, uint64_t offset, unsigned size)
{
  VmVirtioPci *p = opaque;

  switch (VM_ALIGN_DOWN (offset, MODERN_PART))
    {
    case MODERN_COMMON:
      return common_read (p, offset);
    case MODERN_ISR:
      return offset == MODERN_ISR ? virtio_pci_read_isr (p) : 0;
    case MODERN_DEVICE:
      return vm_virtio_config_read (p->vdev, (uint32_t) (offset - MODERN_DEVICE), size);
    default:
      return 0;
    }
}

void
virtio_pci_modern_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmVirtioPci *p = opaque;

  if (offset >= MODERN_NOTIFY)
    virtio_pci_ring (p, (unsigned) ((offset - MODERN_NOTIFY) / p->notify_step));
  else if (offset >= MODERN_DEVICE)
    vm_virtio_config_write (p->vdev, (uint32_t) (offset - MODERN_DEVICE), value, size);
  else if (offset < MODERN_ISR)
    common_write (p, offset, value);
}

const VmRegionOps virtio_pci_modern_ops = {
  .read = virtio_pci_modern_read, .write = virtio_pci_modern_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 1, .max = 4 },
};

static uint64_t
pio_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

static void
pio_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  virtio_pci_ring (opaque, (unsigned) (value & 0xffff));
}

const VmRegionOps virtio_pci_pio_ops = { .read = pio_read, .write = pio_write };

/* --- legacy ---------------------------------------------------------------------------------------------- */

enum {
  LEGACY_HOST_FEATURES = 0, LEGACY_GUEST_FEATURES = 4, LEGACY_PFN = 8, LEGACY_QUEUE_NUM = 12, LEGACY_QUEUE_SEL = 14,
  LEGACY_STATUS = 18, LEGACY_ISR = 19, LEGACY_CONFIG_VECTOR = 20, LEGACY_QUEUE_VECTOR = 22,
};

/* Where the device's own registers begin: two more are there with MSI-X on. */
static unsigned
legacy_config (const VmVirtioPci *p)
{
  return vm_pci_msix_enabled (&p->parent) ? 24 : 20;
}

static uint64_t
legacy_read (void *opaque, uint64_t offset, unsigned size)
{
  VmVirtioPci *p = opaque;
  VmVirtio *v = p->vdev;
  const VmVirtqueue *q = virtio_pci_selected (p);

  if (offset >= legacy_config (p))
    return vm_virtio_config_read (v, (uint32_t) offset - legacy_config (p), size);
  switch (offset)
    {
    case LEGACY_HOST_FEATURES:
      return vm_virtio_offered (v, true);
    case LEGACY_GUEST_FEATURES:
      return (uint32_t) v->features;
    case LEGACY_PFN:
      return q ? q->s->desc >> VM_PAGE_SHIFT : 0;
    case LEGACY_QUEUE_NUM:
      return q ? q->s->num : 0;
    case LEGACY_QUEUE_SEL:
      return p->queue_select;
    case LEGACY_STATUS:
      return v->status;
    case LEGACY_ISR:
      return virtio_pci_read_isr (p);
    case LEGACY_CONFIG_VECTOR:
      return p->config_vector;
    case LEGACY_QUEUE_VECTOR:
      return q ? q->s->vector : VM_VIRTIO_NO_VECTOR;
    default:
      return UINT64_MAX;
    }
}

/* Page number 0 is how old drivers reset a device. */
static void
legacy_write_pfn (VmVirtioPci *p, uint32_t pfn)
{
  VmVirtqueue *q = virtio_pci_selected (p);

  if (pfn == 0)
    virtio_pci_write_status (p, 0);
  else if (q && !q->s->enabled)
    vm_virtqueue_set_pfn (q, pfn);
}

static void
legacy_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmVirtioPci *p = opaque;
  VmVirtio *v = p->vdev;
  VmVirtqueue *q = virtio_pci_selected (p);

  if (offset >= legacy_config (p))
    {
      vm_virtio_config_write (v, (uint32_t) offset - legacy_config (p), value, size);
      return;
    }
  switch (offset)
    {
    case LEGACY_GUEST_FEATURES:
      /* A driver that takes this bit takes what it does not know: it gets the least. */
      vm_virtio_set_features (v, value & VM_BIT (VIRTIO_F_BAD_FEATURE) ? 0 : value, true);
      break;
    case LEGACY_PFN:
      legacy_write_pfn (p, (uint32_t) value);
      break;
    case LEGACY_QUEUE_SEL:
      p->queue_select = (uint16_t) value;
      break;
    case LEGACY_NOTIFY:
      virtio_pci_ring (p, (unsigned) (value & 0xffff));
      break;
    case LEGACY_STATUS:
      virtio_pci_write_status (p, (uint8_t) value);
      break;
    case LEGACY_CONFIG_VECTOR:
      p->config_vector = virtio_pci_vector (p, value);
      break;
    case LEGACY_QUEUE_VECTOR:
      if (q)
        q->s->vector = virtio_pci_vector (p, value);
      break;
    default:
      break;
    }
}

const VmRegionOps virtio_pci_legacy_ops = {
  .read = legacy_read, .write = legacy_write, .valid = { .min = 1, .max = 8 }, .impl = { .min = 1, .max = 4 },
};
