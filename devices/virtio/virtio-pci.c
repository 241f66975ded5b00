/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PCI function of a virtio device (OASIS Virtual I/O Device 1.2, 4.1): identity, capabilities, BARs, interrupts,
 * doorbells. */
#include "devices/virtio/virtio-pci-private.h"
#include "devices/virtio/virtio-private.h"

#include "engine/base/log.h"
#include "engine/machine/machine.h"

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { CAP_LEN = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_EXTRA = 16, CAP_SIZE = 16 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
#define MSIX_MAX 2048

static const VmVirtioPciClass *
klass_of (const VmVirtioPci *p)
{
  return (const VmVirtioPciClass *) vm_device_class (&p->parent.parent);
}

unsigned
vm_virtio_pci_processors (const VmVirtioPci *p, unsigned max)
{
  const VmMachine *machine = p->parent.parent.env->machine;
  unsigned n = machine && machine->settings ? machine->settings->smp.cpus : 1;

  return CLAMP (n, 1, max);
}

/* --- interrupts ------------------------------------------------------------------------------------------ */

static void
interrupt (VmVirtioPci *p, uint16_t vector, uint8_t why)
{
  if (vm_pci_msix_enabled (&p->parent))
    {
      if (vector < p->n_vectors)
        vm_pci_msix_notify (&p->parent, vector);
      return;
    }
  p->isr |= why;
  vm_pci_set_irq (&p->parent, 1);
}

static void
on_notify (void *opaque, uint16_t vector)
{
  interrupt (opaque, vector, ISR_QUEUE);
}

static void
on_config_changed (void *opaque)
{
  VmVirtioPci *p = opaque;

  interrupt (p, p->config_vector, ISR_QUEUE | ISR_CONFIG);
}

uint8_t
virtio_pci_read_isr (VmVirtioPci *p)
{
  uint8_t isr = p->isr;

  p->isr = 0;
  vm_pci_set_irq (&p->parent, 0);
  return isr;
}

uint16_t
virtio_pci_vector (const VmVirtioPci *p, uint64_t value)
{
  return value < p->n_vectors ? (uint16_t) value : VM_VIRTIO_NO_VECTOR;
}

/* --- doorbells ------------------------------------------------------------------------------------------- */

VmVirtqueue *
virtio_pci_selected (const VmVirtioPci *p)
{
  return p->queue_select < p->vdev->n_queues ? p->vdev->queues[p->queue_select] : NULL;
}

void
virtio_pci_ring (VmVirtioPci *p, unsigned queue)
{
  if (queue < p->vdev->n_queues)
    vm_virtqueue_kick (p->vdev->queues[queue]);
}

typedef void (*EventfdFunc) (VmRegion *r, uint64_t offset, unsigned size, bool match, uint64_t data, int fd);

static void
doorbells_change (VmVirtioPci *p, bool on)
{
  EventfdFunc change = on ? vm_region_add_eventfd : vm_region_del_eventfd;

  if (p->doorbells == on)
    return;
  p->doorbells = on;
  vm_memory_begin (p->parent.parent.env->memory);
  for (unsigned i = 0; i < p->vdev->n_queues; i++)
    {
      VmVirtqueue *q = p->vdev->queues[i];
      int fd = !on ? q->eventfd : q->s->enabled ? vm_virtqueue_doorbell (q) : -1;

      if (fd < 0)
        continue;
      if (p->bus.modern)
        change (&p->modern, MODERN_NOTIFY + (uint64_t) p->notify_step * i, 2, false, 0, fd);
      if (p->bus.modern && p->modern_pio_notify)
        change (&p->pio, 0, 2, true, i, fd);
      if (p->bus.legacy)
        change (&p->legacy, LEGACY_NOTIFY, 2, true, i, fd);
    }
  vm_memory_commit (p->parent.parent.env->memory);
  for (unsigned i = 0; !on && i < p->vdev->n_queues; i++)
    vm_virtqueue_close_doorbell (p->vdev->queues[i]);
}

static void
update_doorbells (VmVirtioPci *p)
{
  doorbells_change (p, p->ioeventfd && (p->vdev->status & VIRTIO_STATUS_DRIVER_OK));
}

static void
on_shut_down (void *opaque)
{
  doorbells_change (opaque, false);
}

static const VmVirtioBusOps bus_ops = {
  .notify = on_notify, .config_changed = on_config_changed, .shut_down = on_shut_down,
};

static bool
is_master (const VmVirtioPci *p)
{
  return vm_load_le16 (p->parent.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void
update_master (VmVirtioPci *p)
{
  bool was_disabled = p->bus.disabled;

  p->bus.disabled = !is_master (p);
  if (was_disabled && !p->bus.disabled)
    for (unsigned i = 0; i < p->vdev->n_queues; i++)
      vm_virtqueue_kick (p->vdev->queues[i]);
}

/* Old drivers forget to turn bus mastering on. */
static void
help_master (VmVirtioPci *p)
{
  if (!(p->vdev->status & VIRTIO_STATUS_DRIVER_OK) || vm_virtio_has (p->vdev, VIRTIO_F_VERSION_1) || is_master (p))
    return;
  p->parent.config[PCI_COMMAND] |= PCI_COMMAND_MASTER;
  vm_pci_update_mappings (&p->parent);
  update_master (p);
}

static void
reset_registers (VmVirtioPci *p)
{
  p->config_vector = VM_VIRTIO_NO_VECTOR;
  p->queue_select = 0;
  p->device_feature_select = p->driver_feature_select = 0;
  memset (p->driver_features, 0, sizeof p->driver_features);
  p->isr = 0;
}

void
virtio_pci_write_status (VmVirtioPci *p, uint8_t status)
{
  vm_virtio_set_status (p->vdev, status);
  if (status == 0)
    {
      reset_registers (p);
      vm_pci_set_irq (&p->parent, 0);
    }
  help_master (p);
  update_doorbells (p);
}

/* --- configuration space --------------------------------------------------------------------------------- */

static void
write_cap (VmPciDevice *dev, uint8_t at, uint8_t type, uint8_t size, uint8_t bar, uint32_t offset, uint32_t length)
{
  dev->config[at + CAP_LEN] = size;
  dev->config[at + CAP_TYPE] = type;
  dev->config[at + CAP_BAR] = bar;
  vm_store_le32 (dev->config + at + CAP_OFFSET, offset);
  vm_store_le32 (dev->config + at + CAP_LENGTH, length);
}

static uint8_t
add_cap (VmVirtioPci *p, uint8_t type, uint8_t size, uint8_t bar, uint32_t offset, uint32_t length, GError **error)
{
  uint8_t at = vm_pci_add_capability (&p->parent, PCI_CAP_VENDOR, 0, size, error);

  if (at)
    write_cap (&p->parent, at, type, size, bar, offset, length);
  return at;
}

static bool
add_notify_cap (VmVirtioPci *p, uint8_t bar, uint32_t offset, uint32_t length, uint32_t step, GError **error)
{
  uint8_t at = add_cap (p, CAP_NOTIFY, CAP_SIZE + 4, bar, offset, length, error);

  if (at)
    vm_store_le32 (p->parent.config + at + CAP_EXTRA, step);
  return at != 0;
}

static bool
add_caps (VmVirtioPci *p, GError **error)
{
  uint8_t bar = p->modern_bar;
  uint32_t at = p->modern_offset;

  if (!add_cap (p, CAP_COMMON, CAP_SIZE, bar, at + MODERN_COMMON, MODERN_PART, error)
      || !add_cap (p, CAP_ISR, CAP_SIZE, bar, at + MODERN_ISR, MODERN_PART, error)
      || !add_cap (p, CAP_DEVICE, CAP_SIZE, bar, at + MODERN_DEVICE, MODERN_PART, error)
      || !add_notify_cap (p, bar, at + MODERN_NOTIFY, p->notify_step * VM_VIRTIO_QUEUES, p->notify_step, error)
      || (p->modern_pio_notify && !add_notify_cap (p, p->pio_bar, 0, 4, 0, error)))
    return false;
  p->cfg_cap = add_cap (p, CAP_PCI, CAP_SIZE + 4, 0, 0, 0, error);
  if (!p->cfg_cap)
    return false;
  p->parent.wmask[p->cfg_cap + CAP_BAR] = 0xff;
  memset (p->parent.wmask + p->cfg_cap + CAP_OFFSET, 0xff, 12);
  return true;
}

/* The window of the configuration space into the BAR (4.1.4.9): what it points to, when that makes sense. */
static bool
window (const VmVirtioPci *p, uint32_t addr, unsigned size, uint32_t *offset, unsigned *len)
{
  const uint8_t *cap = p->parent.config + p->cfg_cap;

  if (!p->cfg_cap || !vm_pci_range_touched (addr, size, p->cfg_cap + CAP_EXTRA, 4) || cap[CAP_BAR] != p->modern_bar)
    return false;
  *offset = vm_load_le32 (cap + CAP_OFFSET) - p->modern_offset;
  *len = vm_load_le32 (cap + CAP_LENGTH);
  return (*len == 1 || *len == 2 || *len == 4) && *offset % *len == 0 && *offset < p->modern.size;
}

uint32_t
vm_virtio_pci_config_read (VmPciDevice *dev, uint32_t addr, unsigned size)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;
  uint32_t offset;
  unsigned len;

  if (window (p, addr, size, &offset, &len))
    vm_store_le (dev->config + p->cfg_cap + CAP_EXTRA, virtio_pci_modern_read (p, offset, len), len);
  return vm_pci_default_config_read (dev, addr, size);
}

void
vm_virtio_pci_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;
  uint32_t offset;
  unsigned len;

  vm_pci_default_config_write (dev, addr, value, size);
  if (vm_pci_range_touched (addr, size, PCI_COMMAND, 2))
    update_master (p);
  if (window (p, addr, size, &offset, &len))
    virtio_pci_modern_write (p, offset, vm_load_le (dev->config + p->cfg_cap + CAP_EXTRA, len), len);
}

/* --- life ------------------------------------------------------------------------------------------------ */

void
vm_virtio_pci_init (VmVirtioPci *p, VmVirtio *vdev, const VmType *type)
{
  vm_object_init_embedded (&vdev->parent.parent, type);
  vm_object_add_child (&p->parent.parent.parent, "virtio-backend", &vdev->parent.parent);
  p->vdev = vdev;
}

static void
virtio_pci_finalize (VmObject *obj)
{
  vm_object_unref (&((VmVirtioPci *) obj)->vdev->parent.parent);
}

static bool
choose_interfaces (VmVirtioPci *p, GError **error)
{
  const VmVirtioPciClass *klass = klass_of (p);
  const VmVirtioClass *vclass = (const VmVirtioClass *) vm_device_class (&p->vdev->parent);

  /* Types that came with the standard have no legacy interface, whatever is said. */
  if (vclass->modern_only)
    {
      p->disable_legacy = VM_ONOFFAUTO_ON;
      p->disable_modern = false;
    }
  p->bus.modern = klass->kind != VM_VIRTIO_PCI_GENERIC || !p->disable_modern;
  p->bus.legacy = klass->kind == VM_VIRTIO_PCI_TRANSITIONAL
                  || (klass->kind == VM_VIRTIO_PCI_GENERIC && p->disable_legacy != VM_ONOFFAUTO_ON);
  if (!p->bus.modern && !p->bus.legacy)
    return vm_fail (error, "Set either disable-modern or disable-legacy to off");
  return true;
}

static void
set_identity (VmVirtioPci *p)
{
  static const uint16_t transitional[] = { [VIRTIO_ID_NET] = 0x1000, [VIRTIO_ID_BLOCK] = 0x1001,
    [VIRTIO_ID_BALLOON] = 0x1002, [VIRTIO_ID_CONSOLE] = 0x1003, [VIRTIO_ID_SCSI] = 0x1004, [VIRTIO_ID_RNG] = 0x1005,
    [VIRTIO_ID_9P] = 0x1009 };
  uint16_t id = ((const VmVirtioClass *) vm_device_class (&p->vdev->parent))->id;
  uint8_t *config = p->parent.config;
  bool old = p->bus.legacy && id < G_N_ELEMENTS (transitional) && transitional[id];

  vm_pci_set_id (&p->parent, PCI_VENDOR_REDHAT_QUMRANET, old ? transitional[id] : (uint16_t) (0x1040 + id));
  config[PCI_REVISION_ID] = old ? 0 : 1;
  if (old)
    {
      vm_store_le16 (config + PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_REDHAT_QUMRANET);
      vm_store_le16 (config + PCI_SUBSYSTEM_ID, id);
    }
  if (p->class_code)
    vm_store_le16 (config + PCI_CLASS_DEVICE, (uint16_t) p->class_code);
  vm_pci_set_interrupt_pin (&p->parent, 1);
}

static uint64_t
round_up (uint64_t size)
{
  uint64_t power = 32;

  while (power < size)
    power <<= 1;
  return power;
}

static bool
make_registers (VmVirtioPci *p, GError **error)
{
  VmMemory *memory = p->parent.parent.env->memory;
  uint64_t size = round_up (MODERN_NOTIFY + (uint64_t) p->notify_step * VM_VIRTIO_QUEUES);

  p->modern_offset = p->beside ? (uint32_t) size : 0;
  if (p->bus.modern && !add_caps (p, error))
    return false;
  if (p->n_vectors && !vm_pci_msix_init_exclusive_bar (&p->parent, p->n_vectors, p->msix_bar, error))
    return false;
  if (p->bus.modern)
    vm_region_init_io (&p->modern, memory, &virtio_pci_modern_ops, p, "virtio-pci-modern", size);
  if (p->beside)
    {
      vm_region_init (&p->shared, memory, "virtio-pci-shared", 2 * size);
      vm_region_add (&p->shared, 0, p->beside);
      if (p->bus.modern)
        vm_region_add (&p->shared, size, &p->modern);
    }
  if (p->bus.modern || p->beside)
    vm_pci_add_bar (&p->parent, p->modern_bar, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, p->beside ? &p->shared : &p->modern);
  if (p->bus.modern && p->modern_pio_notify)
    {
      vm_region_init_io (&p->pio, memory, &virtio_pci_pio_ops, p, "virtio-pci-notify-pio", 4);
      vm_pci_add_bar (&p->parent, p->pio_bar, PCI_BAR_IO, &p->pio);
    }
  if (p->bus.legacy)
    {
      vm_region_init_io (&p->legacy, memory, &virtio_pci_legacy_ops, p, "virtio-pci",
                         round_up ((p->n_vectors ? 24 : 20) + p->vdev->config_size));
      vm_pci_add_bar (&p->parent, BAR_LEGACY, PCI_BAR_IO, &p->legacy);
    }
  return true;
}

static void
virtio_pci_unrealize (VmDevice *dev)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;

  vm_device_unrealize (&p->vdev->parent); /* unless it went with its bus */
  if (p->modern.memory)
    vm_region_destroy (&p->modern);
  if (p->beside)
    vm_region_destroy (p->beside);
  if (p->shared.memory)
    vm_region_destroy (&p->shared);
  if (p->pio.memory)
    vm_region_destroy (&p->pio);
  if (p->legacy.memory)
    vm_region_destroy (&p->legacy);
}

static bool
virtio_pci_realize (VmDevice *dev, GError **error)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;
  const VmVirtioPciClass *klass = klass_of (p);

  if (p->ats || p->aer) /* no machine here has PCI Express yet */
    return vm_fail (error, "%s=on: only functions on a PCI Express bus have that", p->ats ? "ats" : "aer");
  if (p->class_code > 0xffff)
    return vm_fail (error, "class=%#x: PCI class codes have 16 bits", p->class_code);
  if (!choose_interfaces (p, error))
    return false;
  p->modern_bar = BAR_MODERN;
  p->msix_bar = BAR_MSIX;
  p->pio_bar = BAR_PIO;
  if (klass->prepare)
    klass->prepare (p);
  if (p->vectors == UINT32_MAX)
    p->vectors = 2;
  p->n_vectors = p->vectors;
  if (p->n_vectors > MSIX_MAX)
    {
      vm_report_warning ("unable to init msix vectors to %u", p->vectors);
      p->n_vectors = 0;
    }
  p->notify_step = p->page_per_vq ? VM_PAGE_SIZE : 4;
  set_identity (p);
  vm_virtio_bus_init (&p->bus, dev, &bus_ops, p);
  p->bus.as = &p->parent.dma_as;
  p->bus.owner = p;
  p->bus.disabled = true;
  p->vdev->parent.hotplugged = false; /* its reset is the function's */
  if (!vm_device_realize (&p->vdev->parent, dev->env, &p->bus.parent, error))
    return false;
  virtio_realized (p->vdev);
  p->bus.attrs = vm_pci_attrs (&p->parent);
  reset_registers (p);
  if (make_registers (p, error))
    return true;
  virtio_pci_unrealize (dev);
  return false;
}

static void
virtio_pci_reset (VmDevice *dev, VmResetKind kind)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;

  reset_registers (p);
  if (p->cfg_cap)
    {
      p->parent.config[p->cfg_cap + CAP_BAR] = 0;
      memset (p->parent.config + p->cfg_cap + CAP_OFFSET, 0, 12);
    }
  update_doorbells (p);
  update_master (p);
}

static bool
virtio_pci_post_load (VmDevice *dev, GError **error)
{
  VmVirtioPci *p = (VmVirtioPci *) dev;

  if (p->config_vector != VM_VIRTIO_NO_VECTOR && p->config_vector >= p->n_vectors)
    return vm_fail (error, "%s: the saved vector %u is too big", vm_device_path (dev), p->config_vector);
  p->bus.disabled = !is_master (p);
  if (p->bus_master_bug)
    help_master (p);
  update_doorbells (p);
  return true;
}

static const VmProp virtio_pci_props[] = {
  VM_PROP ("virtio-pci-bus-master-bug-migration", VmVirtioPci, bus_master_bug, false,
           "legacy drivers in saved states may lack bus mastering"),
  VM_PROP ("migrate-extra", VmVirtioPci, migrate_extra, true,
           "kept for old machine types: all state is always saved"),
  VM_PROP ("modern-pio-notify", VmVirtioPci, modern_pio_notify, false, "one doorbell for all queues at an I/O port"),
  VM_PROP ("x-disable-pcie", VmVirtioPci, x_disable_pcie, false, "a conventional function even on PCI Express"),
  VM_PROP ("page-per-vq", VmVirtioPci, page_per_vq, false, "a page for each doorbell"),
  VM_PROP ("x-ignore-backend-features", VmVirtioPci, x_ignore_backend_features, false,
           "kept for old machine types: no back end hides features"),
  VM_PROP ("ats", VmVirtioPci, ats, false, "on PCI Express: address translation services"),
  VM_PROP ("x-ats-page-aligned", VmVirtioPci, x_ats_page_aligned, true, "on PCI Express: what ATS says of addresses"),
  VM_PROP ("x-pcie-deverr-init", VmVirtioPci, x_pcie_deverr_init, true, "on PCI Express: error reporting bits"),
  VM_PROP ("x-pcie-lnkctl-init", VmVirtioPci, x_pcie_lnkctl_init, true, "on PCI Express: link control bits"),
  VM_PROP ("x-pcie-pm-init", VmVirtioPci, x_pcie_pm_init, true, "on PCI Express: power management bits"),
  VM_PROP ("x-pcie-flr-init", VmVirtioPci, x_pcie_flr_init, true, "on PCI Express: function level reset"),
  VM_PROP ("aer", VmVirtioPci, aer, false, "on PCI Express: advanced error reporting"),
  { 0 }
};

const VmProp vm_virtio_pci_generic_props[] = {
  VM_VIRTIO_PCI_GENERIC_PROPS,
  { 0 }
};

static const VmField virtio_pci_state[] = {
  VM_FIELD (VmVirtioPci, config_vector),
  VM_FIELD (VmVirtioPci, queue_select),
  VM_FIELD (VmVirtioPci, device_feature_select),
  VM_FIELD (VmVirtioPci, driver_feature_select),
  VM_FIELD_ARRAY (VmVirtioPci, driver_features),
  VM_FIELD (VmVirtioPci, isr),
  { 0 }
};

static const VmPciClass virtio_pci_class = {
  .parent = {
    .realize = virtio_pci_realize, .unrealize = virtio_pci_unrealize, .reset = virtio_pci_reset,
    .post_load = virtio_pci_post_load,
  },
  .vendor = PCI_VENDOR_REDHAT_QUMRANET,
};

const VmType vm_virtio_pci_type = {
  .name = "virtio-pci", .parent = &vm_pci_device_type, .size = sizeof (VmVirtioPci), .abstract = true,
  .help = "A virtio device on PCI", .props = virtio_pci_props, .state = virtio_pci_state, .klass = &virtio_pci_class,
  .finalize = virtio_pci_finalize,
};
