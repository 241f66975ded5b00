/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An NVMe controller on PCI (NVM Express 1.4, chapters 2, 3 and 7): registers, doorbells, memory buffer, life. */
#include "devices/nvme/nvme.h"

#include "engine/base/log.h"
#include "engine/machine/machine.h"
#include "engine/machine/memory-backend.h"

enum
{
  REG_CAP = 0x00,
  REG_VS = 0x08,
  REG_INTMS = 0x0c,
  REG_INTMC = 0x10,
  REG_CC = 0x14,
  REG_CSTS = 0x1c,
  REG_AQA = 0x24,
  REG_ASQ = 0x28,
  REG_ACQ = 0x30,
  REG_CMBLOC = 0x38,
  REG_CMBSZ = 0x3c,
  REG_CMBMSC = 0x50,
  REG_CMBSTS = 0x58,
  REG_DOORBELLS = 0x1000
};
enum
{
  CC_EN = 1 << 0,
  CSTS_RDY = 1 << 0,
  CSTS_CFS = 1 << 1,
  CSTS_SHST_DONE = 2 << 2,
  CSTS_SHST_BUSY = 1 << 2
};
enum
{
  CMBMSC_CRE = 1 << 0,
  CMBMSC_CMSE = 1 << 1
};
enum
{
  EVENT_UNKNOWN_DOORBELL = 0,
  EVENT_BAD_DOORBELL = 1
};
enum
{
  CMB_BAR = 2,
  MSIX_BAR = 4
};
enum
{
  PM_AT = 0x60,
  EXPRESS_AT = 0x80,
  EXPRESS_SIZE = 0x3c,
  EXPRESS_CONTROL = 8,
  EXPRESS_FLR = 1 << 15
};
#define PAGES_MAX 4u /* of 64 KiB */
#define VERSION 0x00010400u
#define TIMEOUT 15u    /* half seconds */
#define CMBSZ_UNITS 2u /* MiB */

int64_t
nvme_now_ms (VmNvme *n)
{
  return vm_clock_now (n->parent.parent.env->clocks, VM_CLOCK_VIRTUAL) / VM_NS_PER_MS;
}

/* --- namespaces come and go ------------------------------------------------------------------- */

static void
tell_change (VmNvme *n, uint32_t nsid)
{
  n->changed[(nsid - 1) / 32] |= UINT32_C (1) << (nsid - 1) % 32;
  nvme_event (n, NVME_EVENT_NOTICE, 0, 4);
}

bool
nvme_attach (VmNvme *n, NvmeNamespace *ns)
{
  if (n->namespaces[ns->nsid])
    return false;
  n->namespaces[ns->nsid] = ns;
  if (nvme_is_ready (n))
    tell_change (n, ns->nsid);
  return true;
}

void
nvme_detach (VmNvme *n, NvmeNamespace *ns)
{
  if (n->namespaces[ns->nsid] != ns)
    return;
  vm_block_drain (ns->conf.drive->block);
  n->namespaces[ns->nsid] = NULL;
  if (nvme_is_ready (n))
    tell_change (n, ns->nsid);
}

/* --- start, stop, shutdown -------------------------------------------------------------------- */

static void
nvme_free_queues (VmNvme *n)
{
  for (unsigned i = 0; i < n->sq_limit; i++)
    if (n->sqs[i])
      nvme_sq_free (n->sqs[i]);
  for (unsigned i = 0; i < n->cq_limit; i++)
    if (n->cqs[i])
      nvme_cq_free (n->cqs[i]);
  n->sq_limit = n->cq_limit = 0;
}

static void
nvme_stop (VmNvme *n)
{
  n->csts &= ~(uint32_t) CSTS_RDY;
  vm_timer_cancel (&n->work);
  nvme_drain (n);
  nvme_free_queues (n);
  g_array_set_size (n->events, 0);
  memset (n->changed, 0, sizeof n->changed);
  memset (n->host_behaviour, 0, sizeof n->host_behaviour);
  n->events_masked = 0;
  n->event_config = 0;
  n->temperature_over = 0x157;
  n->temperature_under = 0;
  n->doorbells = n->event_indexes = 0;
  n->csts = 0;
  nvme_update_irq (n);
}

static bool
nvme_may_start (const VmNvme *n)
{
  unsigned pages = n->cc >> 7 & 15, css = n->cc >> 4 & 7;
  uint64_t page = (UINT64_C (1) << (12 + pages)) - 1;

  return pages <= PAGES_MAX && (css == 0 || css >= 6) && (n->cc >> 11 & 7) == 0 && !((n->asq | n->acq) & page)
         && (n->aqa & 0xfff) && (n->aqa >> 16 & 0xfff);
}

static void
nvme_start (VmNvme *n)
{
  if (!nvme_may_start (n))
    {
      vm_guest_error ("nvme",
                      "cannot start: CC %08x, AQA %08x, ASQ %" G_GINT64_MODIFIER "x, ACQ %" G_GINT64_MODIFIER "x",
                      n->cc, n->aqa, n->asq, n->acq);
      n->csts = CSTS_CFS;
      return;
    }
  n->page_shift = (uint8_t) (12 + (n->cc >> 7 & 15));
  nvme_cq_new (n, 0, n->acq, (n->aqa >> 16 & 0xfff) + 1, 0, true);
  nvme_sq_new (n, 0, 0, n->asq, (n->aqa & 0xfff) + 1);
  n->csts = CSTS_RDY;
}

static void
shutdown_flushed (void *opaque, int status)
{
  VmNvme *n = opaque;

  if (--n->flushing == 0)
    n->csts = (n->csts & ~(uint32_t) (3 << 2)) | CSTS_SHST_DONE;
}

/* Everything promised is on the medium when the state says that it is done. */
static void
nvme_shutdown (VmNvme *n)
{
  if (n->flushing)
    return;
  n->csts = (n->csts & ~(uint32_t) (3 << 2)) | CSTS_SHST_BUSY;
  n->flushing = 1;
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && !vm_block_readonly (n->namespaces[i]->conf.drive->block))
      {
        n->flushing++;
        vm_block_flush (n->namespaces[i]->conf.drive->block, shutdown_flushed, n);
      }
  shutdown_flushed (n, 0);
}

static void
nvme_write_cc (VmNvme *n, uint32_t value)
{
  uint32_t old = n->cc;

  n->cc = value & 0x00fffff1;
  if ((old & CC_EN) && !(value & CC_EN))
    nvme_stop (n);
  else if (!(old & CC_EN) && (value & CC_EN))
    nvme_start (n);
  if ((value >> 14 & 3) && !(old >> 14 & 3))
    nvme_shutdown (n);
  else if (!(value >> 14 & 3) && (old >> 14 & 3) && !n->flushing)
    n->csts &= ~(uint32_t) (3 << 2);
}

/* --- memory buffer ---------------------------------------------------------------------------- */

static void
cmb_update (VmNvme *n)
{
  bool map = (n->cmbmsc & (CMBMSC_CRE | CMBMSC_CMSE)) == (CMBMSC_CRE | CMBMSC_CMSE);
  uint64_t base = n->cmbmsc & ~UINT64_C (0xfff);

  if (n->cmb_mapped)
    vm_region_remove (&n->cmb_window);
  n->cmb_mapped = n->cmb_size_mb && map && base <= UINT64_MAX - n->cmb.size;
  /* What the controller sees there, wherever processors see it. */
  if (n->cmb_mapped)
    vm_region_add_overlap (&n->parent.dma_root, base, &n->cmb_window, 1);
}

static uint32_t
cmb_size_register (const VmNvme *n)
{
  if (!n->cmb_size_mb || !(n->cmbmsc & CMBMSC_CRE))
    return 0;
  return 0x1f | CMBSZ_UNITS << 8 | n->cmb_size_mb << 12; /* queues, lists and data */
}

/* --- registers -------------------------------------------------------------------------------- */

static uint64_t
nvme_capabilities (const VmNvme *n)
{
  return (NVME_MAX_QUEUE - 1) | 1 << 16 | TIMEOUT << 24 | UINT64_C (0xc1) << 37 | (uint64_t) PAGES_MAX << 52
         | (uint64_t) (n->cmb_size_mb != 0) << 57;
}

static uint32_t
nvme_register (const VmNvme *n, uint64_t offset)
{
  switch (offset)
    {
    case REG_CAP:
      return (uint32_t) nvme_capabilities (n);
    case REG_CAP + 4:
      return nvme_capabilities (n) >> 32;
    case REG_VS:
      return VERSION;
    case REG_INTMS:
    case REG_INTMC:
      return n->intms;
    case REG_CC:
      return n->cc;
    case REG_CSTS:
      return n->csts;
    case REG_AQA:
      return n->aqa;
    case REG_ASQ:
      return (uint32_t) n->asq;
    case REG_ASQ + 4:
      return n->asq >> 32;
    case REG_ACQ:
      return (uint32_t) n->acq;
    case REG_ACQ + 4:
      return n->acq >> 32;
    case REG_CMBLOC:
      return n->cmb_size_mb && (n->cmbmsc & CMBMSC_CRE) ? CMB_BAR | 1 << 3 | 1 << 4 | 1 << 5 : 0; /* anything mixes */
    case REG_CMBSZ:
      return cmb_size_register (n);
    case REG_CMBMSC:
      return (uint32_t) n->cmbmsc;
    case REG_CMBMSC + 4:
      return n->cmbmsc >> 32;
    case REG_CMBSTS:
      return (n->cmbmsc & CMBMSC_CMSE) && n->cmb_size_mb && !n->cmb_mapped;
    default:
      return 0;
    }
}

static uint64_t
nvme_read (void *opaque, uint64_t offset, unsigned size)
{
  VmNvme *n = opaque;
  uint64_t low = nvme_register (n, offset & ~UINT64_C (3));

  return size == 8 ? low | (uint64_t) nvme_register (n, offset + 4) << 32 : low;
}

static void
set_half (uint64_t *reg, bool high, uint32_t value)
{
  *reg = high ? (uint32_t) *reg | (uint64_t) value << 32 : (*reg & VM_MASK (63, 32)) | value;
}

static void
nvme_write_register (VmNvme *n, uint64_t offset, uint32_t value)
{
  switch (offset)
    {
    case REG_INTMS:
    case REG_INTMC:
      n->intms = offset == REG_INTMS ? n->intms | value : n->intms & ~value;
      nvme_update_irq (n);
      break;
    case REG_CC:
      nvme_write_cc (n, value);
      break;
    case REG_AQA:
      if (!(n->cc & CC_EN))
        n->aqa = value & 0x0fff0fff;
      break;
    case REG_ASQ:
    case REG_ASQ + 4:
      if (!(n->cc & CC_EN))
        set_half (&n->asq, offset & 4, offset & 4 ? value : value & ~0xfffu);
      break;
    case REG_ACQ:
    case REG_ACQ + 4:
      if (!(n->cc & CC_EN))
        set_half (&n->acq, offset & 4, offset & 4 ? value : value & ~0xfffu);
      break;
    case REG_CMBMSC:
    case REG_CMBMSC + 4:
      if (n->cmb_size_mb)
        {
          set_half (&n->cmbmsc, offset & 4, offset & 4 ? value : value & 0xfffff003);
          cmb_update (n);
        }
      break;
    }
}

static void
ring_cq (VmNvme *n, unsigned id, uint32_t value)
{
  NvmeCq *cq = id < n->cq_limit ? n->cqs[id] : NULL;

  if (!cq)
    nvme_event (n, NVME_EVENT_ERROR, EVENT_UNKNOWN_DOORBELL, 1);
  else if (value >= cq->s->size)
    nvme_event (n, NVME_EVENT_ERROR, EVENT_BAD_DOORBELL, 1);
  else
    {
      cq->s->head = value;
      nvme_cq_room (cq);
    }
}

static void
ring_sq (VmNvme *n, unsigned id, uint32_t value)
{
  NvmeSq *sq = id < n->sq_limit ? n->sqs[id] : NULL;

  if (!sq)
    nvme_event (n, NVME_EVENT_ERROR, EVENT_UNKNOWN_DOORBELL, 1);
  else if (value >= sq->s->size)
    nvme_event (n, NVME_EVENT_ERROR, EVENT_BAD_DOORBELL, 1);
  else
    {
      sq->s->tail = value;
      nvme_queues_process (n);
    }
}

static void
nvme_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmNvme *n = opaque;

  if (offset < REG_DOORBELLS)
    {
      if (size < 4 || offset & 3)
        return;
      nvme_write_register (n, offset, (uint32_t) value);
      if (size == 8)
        nvme_write_register (n, offset + 4, value >> 32);
    }
  else if (nvme_is_ready (n) && !(offset & 3) && offset - REG_DOORBELLS < 8 * (n->max_ioqpairs + UINT64_C (1)))
    {
      unsigned id = (unsigned) ((offset - REG_DOORBELLS) / 8);

      if (offset & 4)
        ring_cq (n, id, (uint32_t) value & 0xffff);
      else
        ring_sq (n, id, (uint32_t) value & 0xffff);
    }
}

static const VmRegionOps nvme_ops = {
  .read = nvme_read,
  .write = nvme_write,
  .valid = { .min = 1, .max = 8 },
  .impl = { .min = 4, .max = 8 },
};

/* --- configuration space ---------------------------------------------------------------------- */

static void
nvme_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  uint16_t control;

  vm_pci_default_config_write (dev, addr, value, size);
  control = vm_load_le16 (dev->config + EXPRESS_AT + EXPRESS_CONTROL);
  if (!(control & EXPRESS_FLR))
    return;
  vm_store_le16 (dev->config + EXPRESS_AT + EXPRESS_CONTROL, control & ~EXPRESS_FLR);
  vm_device_reset (&dev->parent, VM_RESET_BUS);
}

static bool
add_capabilities (VmNvme *n, GError **error)
{
  VmPciDevice *pci = &n->parent;
  uint8_t *express = pci->config + EXPRESS_AT, *wmask = pci->wmask + EXPRESS_AT;

  vm_pci_set_interrupt_pin (pci, 1);
  pci->config[PCI_CLASS_PROG] = 2;
  if (n->use_intel_id)
    vm_pci_set_id (pci, PCI_VENDOR_INTEL, 0x5845);
  if (!vm_pci_add_pm_capability (pci, PM_AT, error)
      || !vm_pci_add_capability (pci, PCI_CAP_EXPRESS, EXPRESS_AT, EXPRESS_SIZE, error))
    return false;
  express[2] = 2;                                  /* an endpoint, version 2 */
  vm_store_le32 (express + 4, 1u << 28 | 1 << 15); /* resets by itself; tells errors by role */
  vm_store_le16 (wmask + EXPRESS_CONTROL, 0xffff);
  vm_store_le16 (express + 12, 0x411); /* a link of 2.5 GT/s, one lane */
  vm_store_le16 (express + 18, 0x11);
  return true;
}

static bool
add_bars (VmNvme *n, GError **error)
{
  VmPciDevice *pci = &n->parent;
  VmMemory *memory = pci->parent.env->memory;
  uint64_t table = VM_ALIGN_UP (REG_DOORBELLS + 8 * (n->max_ioqpairs + UINT64_C (1)), 4096);
  uint64_t pba = VM_ALIGN_UP (table + n->msix_qsize * PCI_MSIX_ENTRY_SIZE, 4096), size = 1;
  bool ok;

  while (size < pba + 4096)
    size <<= 1;
  vm_region_init (&n->bar, memory, "nvme-bar0", size);
  vm_region_init_io (&n->registers, memory, &nvme_ops, n, "nvme", table);
  vm_region_add (&n->bar, 0, &n->registers);
  ok = n->msix_exclusive_bar
           ? vm_pci_msix_init_exclusive_bar (pci, n->msix_qsize, MSIX_BAR, error)
           : vm_pci_msix_init (pci, n->msix_qsize, &n->bar, 0, (uint32_t) table, &n->bar, 0, (uint32_t) pba, 0, error);
  if (!ok)
    return false;
  vm_pci_add_bar (pci, 0, PCI_BAR_MEM64, &n->bar);
  if (!n->cmb_size_mb)
    return true;
  if (!vm_region_init_ram (&n->cmb, memory, "nvme-cmb", n->cmb_size_mb * VM_MIB, error))
    return false;
  vm_region_init_alias (&n->cmb_window, "nvme-cmb-window", &n->cmb, 0, n->cmb.size);
  vm_pci_add_bar (pci, CMB_BAR, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &n->cmb);
  return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool
refuse (VmNvme *n, GError **error)
{
  const struct
  {
    const char *name;
    bool said;
  } all[] = {
    { "pmrdev", n->pmrdev != NULL },
    { "ioeventfd", n->ioeventfd },
    { "sriov_max_vfs", n->sriov_max_vfs },
    { "sriov_vq_flexible", n->sriov_vq_flexible },
    { "sriov_vi_flexible", n->sriov_vi_flexible },
    { "sriov_max_vq_per_vf", n->sriov_max_vq_per_vf },
    { "sriov_max_vi_per_vf", n->sriov_max_vi_per_vf },
    { "zoned.zasl", n->zasl },
    { "zoned.auto_transition", !n->auto_transition },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i].said)
      return vm_fail (error, "%s: not available in this build", all[i].name);
  return true;
}

static bool
nvme_check (VmNvme *n, GError **error)
{
  if (!refuse (n, error))
    return false;
  if (n->num_queues)
    {
      vm_report_warning ("num_queues is deprecated; please use max_ioqpairs instead");
      n->max_ioqpairs = n->num_queues - 1;
    }
  if (n->max_ioqpairs < 1 || n->max_ioqpairs > 65535)
    return vm_fail (error, "max_ioqpairs must be between 1 and 65535");
  if (n->msix_qsize < 1 || n->msix_qsize > 2048)
    return vm_fail (error, "msix_qsize must be between 1 and 2048");
  if (!n->serial)
    return vm_fail (error, "serial property not set");
  if (n->cmb_size_mb && (!vm_is_pow2 (n->cmb_size_mb) || n->cmb_size_mb > 65536))
    return vm_fail (error, "cmb_size_mb must be a power of two up to 65536");
  if (!n->vsl)
    return vm_fail (error, "vsl must be non-zero");
  if (n->critical_warning & 0xe0)
    return vm_fail (error, "unsupported smart critical warning bits: 0x%x", n->critical_warning & 0xe0);
  return true;
}

/* A place in the subsystem, and its namespaces. */
static bool
join_subsystem (VmNvme *n, GError **error)
{
  VmNvmeSubsystem *subsys = n->subsys;
  unsigned id = 0;

  if (!subsys)
    return true;
  if (subsys->serial && strcmp (subsys->serial, n->serial) != 0)
    return vm_fail (error, "invalid controller serial");
  while (id < NVME_CONTROLLERS && subsys->controllers[id])
    id++;
  if (id == NVME_CONTROLLERS)
    return vm_fail (error, "no more free controller id");
  if (!subsys->serial)
    subsys->serial = g_strdup (n->serial);
  n->id = (uint16_t) id;
  subsys->controllers[id] = n;
  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (subsys->namespaces[i] && subsys->namespaces[i]->shared && !subsys->namespaces[i]->detached)
      nvme_attach (n, subsys->namespaces[i]);
  return true;
}

static bool
open_own (VmNvme *n, GError **error)
{
  VmDevice *dev = &n->parent.parent;
  VmMachine *machine = dev->env->machine;
  NvmeNamespace **places = n->subsys ? n->subsys->namespaces : n->namespaces;

  if (!n->own.conf.drive)
    return n->bootindex < 0 || vm_fail (error, "bootindex needs a drive");
  n->own.nsid = 1;
  n->own.mssrl = 128;
  n->own.mcl = 128;
  n->own.msrc = 127;
  n->own.shared = n->subsys != NULL;
  if (places[1] || n->namespaces[1])
    return vm_fail (error, "namespace id '1' already allocated");
  if (!nvme_namespace_open (&n->own, dev, error))
    return false;
  if (n->bootindex >= 0 && machine && !vm_machine_add_boot_device (machine, n->bootindex, dev, "/namespace@1,0", error))
    {
      nvme_namespace_close (&n->own);
      return false;
    }
  places[1] = n->namespaces[1] = &n->own;
  return true;
}

static void
nvme_unrealize (VmDevice *dev)
{
  VmNvme *n = (VmNvme *) dev;
  VmNvmeSubsystem *subsys = n->subsys;

  nvme_stop (n);
  if (n->has_bus)
    vm_bus_destroy (&n->bus);
  n->has_bus = false;
  if (n->own.owner)
    {
      if (n->bootindex >= 0 && dev->env->machine)
        vm_machine_remove_boot_device (dev->env->machine, dev);
      for (unsigned i = 0; subsys && i < NVME_CONTROLLERS; i++)
        if (subsys->controllers[i])
          nvme_detach (subsys->controllers[i], &n->own);
      if (subsys)
        subsys->namespaces[1] = NULL;
      n->namespaces[1] = NULL;
      nvme_namespace_close (&n->own);
    }
  if (subsys && subsys->controllers[n->id] == n)
    subsys->controllers[n->id] = NULL;
  if (n->cmb_mapped)
    vm_region_remove (&n->cmb_window);
  n->cmb_mapped = false;
  if (n->cmb.memory)
    {
      vm_region_destroy (&n->cmb_window);
      vm_region_destroy (&n->cmb);
    }
  vm_region_destroy (&n->registers);
  vm_region_destroy (&n->bar);
  g_clear_pointer (&n->sqs, g_free);
  g_clear_pointer (&n->cqs, g_free);
  g_clear_pointer (&n->queue_states, g_free);
  g_clear_pointer (&n->events, g_array_unref);
}

static char *
nvme_bus_device_path (VmBus *bus, VmDevice *dev)
{
  const NvmeNamespace *ns = &((VmNvmeNs *) dev)->ns;

  return g_strdup_printf ("namespace@%x,%" G_GINT64_MODIFIER "x", ns->nsid, ns->eui64);
}

static bool
nvme_realize (VmDevice *dev, GError **error)
{
  VmNvme *n = (VmNvme *) dev;
  unsigned queues;

  if (!nvme_check (n, error))
    return false;
  queues = n->max_ioqpairs + 1;
  n->sqs = g_new0 (NvmeSq *, queues);
  n->cqs = g_new0 (NvmeCq *, queues);
  n->queue_states = g_new0 (NvmeQueueState, 2 * queues);
  n->queue_states_size = 2 * queues * (uint32_t) sizeof (NvmeQueueState);
  n->events = g_array_new (FALSE, FALSE, sizeof (NvmeEvent));
  n->temperature = 0x143;
  n->starts = 1;
  vm_timer_init (&n->work, dev->env->clocks, VM_CLOCK_VIRTUAL, nvme_work_fired, n);
  if (!add_capabilities (n, error) || !add_bars (n, error) || !join_subsystem (n, error) || !open_own (n, error))
    {
      nvme_unrealize (dev);
      return false;
    }
  vm_bus_init (&n->bus, VM_NVME_BUS_TYPE, dev, vm_device_user_id (dev));
  n->bus.device_path = nvme_bus_device_path;
  n->bus.hotplug = true;
  n->has_bus = true;
  return true;
}

static void
nvme_reset (VmDevice *dev, VmResetKind kind)
{
  VmNvme *n = (VmNvme *) dev;

  nvme_stop (n);
  n->cc = n->aqa = n->intms = 0;
  n->asq = n->acq = n->cmbmsc = 0;
  n->timestamp = 0;
  n->timestamp_at = 0;
  n->timestamp_origin = 0;
  if (n->own.owner)
    nvme_namespace_reset (&n->own);
  cmb_update (n);
}

static bool
nvme_pre_save (VmDevice *dev, GError **error)
{
  VmNvme *n = (VmNvme *) dev;

  for (unsigned i = 1; i <= NVME_NAMESPACES; i++)
    if (n->namespaces[i] && !vm_drive_settle (n->namespaces[i]->conf.drive, &dev->parent, error))
      return false;
  return true;
}

static bool
nvme_post_load (VmDevice *dev, GError **error)
{
  VmNvme *n = (VmNvme *) dev;
  uint8_t shifts[NVME_LBA_FORMATS + 1];

  if (n->page_shift > 12 + PAGES_MAX || (n->page_shift < 12 && nvme_is_ready (n))
      || (n->own.owner
          && (n->own.lba_format >= nvme_namespace_formats (&n->own, shifts)
              || n->own.lba_shift != shifts[n->own.lba_format])))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  nvme_free_queues (n);
  if (!nvme_queues_load (n, error))
    return false;
  cmb_update (n);
  if (nvme_is_ready (n)) /* goes on when the machine does, whatever time it is then */
    vm_timer_set (&n->work, 0);
  return true;
}

/* A warning that was not there before is told. */
static void
critical_warning_changed (VmObject *obj)
{
  VmNvme *n = (VmNvme *) obj;

  n->critical_warning &= 0x1f;
  if (n->events && n->critical_warning)
    nvme_event (n, NVME_EVENT_SMART, n->critical_warning & 1 ? 2 : n->critical_warning & 2 ? 1 : 0, 2);
}

static const VmProp nvme_props[] = {
  VM_PROP_EMBED (VmNvme, own, nvme_namespace_props),
  VM_PROP_LINK_TO ("subsys", VmNvme, subsys, &vm_nvme_subsys_type, "the subsystem it belongs to"),
  VM_PROP_LINK_TO ("pmrdev", VmNvme, pmrdev, &vm_memory_backend_type, "persistent memory region"),
  VM_PROP_STRING ("serial", VmNvme, serial, NULL, "serial number"),
  VM_PROP ("cmb_size_mb", VmNvme, cmb_size_mb, 0, "memory buffer of the controller, in MiB"),
  VM_PROP ("num_queues", VmNvme, num_queues, 0, "deprecated: one more than max_ioqpairs"),
  VM_PROP ("max_ioqpairs", VmNvme, max_ioqpairs, 64, "pairs of I/O queues"),
  VM_PROP ("msix_qsize", VmNvme, msix_qsize, 65, "MSI-X vectors"),
  VM_PROP ("msix-exclusive-bar", VmNvme, msix_exclusive_bar, false, "MSI-X has a BAR of its own"),
  VM_PROP ("aerl", VmNvme, aerl, 3, "asynchronous event requests at once, less one"),
  VM_PROP ("aer_max_queued", VmNvme, aer_max_queued, 64, "events that wait for a request"),
  VM_PROP ("mdts", VmNvme, mdts, 7, "largest transfer, a power of two of pages; 0: any"),
  VM_PROP ("vsl", VmNvme, vsl, 7, "largest Verify, a power of two of pages"),
  VM_PROP ("use-intel-id", VmNvme, use_intel_id, false, "vendor and device of a controller of Intel's"),
  VM_PROP ("ioeventfd", VmNvme, ioeventfd, false, "doorbells by event descriptors"),
  VM_PROP_RT ("smart_critical_warning", VmNvme, critical_warning, 0, "warnings of the SMART log",
              critical_warning_changed),
  VM_PROP ("zoned.zasl", VmNvme, zasl, 0, "largest zone append"),
  VM_PROP ("zoned.auto_transition", VmNvme, auto_transition, true, "zones close by themselves"),
  VM_PROP ("sriov_max_vfs", VmNvme, sriov_max_vfs, 0, "virtual functions"),
  VM_PROP ("sriov_vq_flexible", VmNvme, sriov_vq_flexible, 0, "queues for virtual functions"),
  VM_PROP ("sriov_vi_flexible", VmNvme, sriov_vi_flexible, 0, "vectors for virtual functions"),
  VM_PROP ("sriov_max_vi_per_vf", VmNvme, sriov_max_vi_per_vf, 0, "vectors of one virtual function"),
  VM_PROP ("sriov_max_vq_per_vf", VmNvme, sriov_max_vq_per_vf, 0, "queues of one virtual function"),
  VM_PROP ("bootindex", VmNvme, bootindex, -1, "place in the boot order"),
  { 0 },
};

static const VmField nvme_state[] = {
  VM_FIELD_EMBED (VmNvme, own, nvme_namespace_state),
  VM_FIELD_HEAP (VmNvme, queue_states, queue_states_size),
  VM_FIELD (VmNvme, asq),
  VM_FIELD (VmNvme, acq),
  VM_FIELD (VmNvme, cmbmsc),
  VM_FIELD (VmNvme, doorbells),
  VM_FIELD (VmNvme, event_indexes),
  VM_FIELD (VmNvme, cc),
  VM_FIELD (VmNvme, csts),
  VM_FIELD (VmNvme, aqa),
  VM_FIELD (VmNvme, intms),
  VM_FIELD (VmNvme, page_shift),
  VM_FIELD (VmNvme, n_aers),
  VM_FIELD_ARRAY (VmNvme, aer_cids),
  VM_FIELD (VmNvme, events_masked),
  VM_FIELD_ARRAY (VmNvme, changed),
  VM_FIELD (VmNvme, temperature_over),
  VM_FIELD (VmNvme, temperature_under),
  VM_FIELD (VmNvme, event_config),
  VM_FIELD_ARRAY (VmNvme, host_behaviour),
  VM_FIELD (VmNvme, timestamp),
  VM_FIELD (VmNvme, timestamp_at),
  VM_FIELD (VmNvme, timestamp_origin),
  VM_FIELD (VmNvme, starts),
  { 0 },
};

static const VmPciClass nvme_class = {
  .parent = {
    .realize = nvme_realize,
    .unrealize = nvme_unrealize,
    .reset = nvme_reset,
    .pre_save = nvme_pre_save,
    .post_load = nvme_post_load,
    .category = "Storage",
    .user_creatable = true,
    .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_REDHAT,
  .device = 0x0010,
  .class_id = PCI_CLASS_STORAGE_EXPRESS,
  .prog_if = 2,
  .revision = 2,
  .config_write = nvme_config_write,
};

const VmType vm_nvme_type = {
  .name = "nvme",
  .parent = &vm_pci_device_type,
  .size = sizeof (VmNvme),
  .help = "Non-Volatile Memory Express",
  .props = nvme_props,
  .state = nvme_state,
  .klass = &nvme_class,
};
