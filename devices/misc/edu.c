/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The educational PCI device (its published specification, "EDU device"): identification, inversion, factorial,
 * interrupts, DMA to a 4 KiB buffer. */
#include "devices/pci/pci.h"

#define EDU_BUFFER      0x40000u
#define EDU_BUFFER_SIZE 4096u
#define EDU_DMA_NS      (100 * VM_NS_PER_MS)
#define EDU_FACTORIAL_NS (100 * VM_NS_PER_US)

enum {
  EDU_ID = 0x00, EDU_LIVENESS = 0x04, EDU_FACTORIAL = 0x08, EDU_STATUS = 0x20, EDU_IRQ_STATUS = 0x24,
  EDU_IRQ_RAISE = 0x60, EDU_IRQ_ACK = 0x64, EDU_DMA_SOURCE = 0x80, EDU_DMA_DESTINATION = 0x88,
  EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98,
};
enum { STATUS_COMPUTING = 1 << 0, STATUS_IRQ = 1 << 7 };
enum { DMA_START = 1 << 0, DMA_FROM_EDU = 1 << 1, DMA_IRQ = 1 << 2 };
enum { IRQ_FACTORIAL = 1 << 0, IRQ_DMA = 1 << 8 };

typedef struct Edu {
  VmPciDevice parent;
  uint64_t dma_mask;  /* property */
  VmRegion mmio;
  uint32_t liveness, factorial, status, irq_status; /* guest state */
  uint64_t dma_source, dma_destination, dma_count, dma_command;
  uint8_t  buffer[EDU_BUFFER_SIZE];
  VmTimer  dma_timer, factorial_timer;
} Edu;

static void
edu_raise (Edu *self, uint32_t bits)
{
  self->irq_status |= bits;
  if (self->irq_status == 0)
    return;
  if (vm_pci_msi_enabled (&self->parent))
    vm_pci_msi_notify (&self->parent, 0);
  else
    vm_pci_set_irq (&self->parent, 1);
}

static void
edu_acknowledge (Edu *self, uint32_t bits)
{
  self->irq_status &= ~bits;
  if (self->irq_status == 0 && !vm_pci_msi_enabled (&self->parent))
    vm_pci_set_irq (&self->parent, 0);
}

/* --- work done later ------------------------------------------------------------------------------- */

static void
edu_compute (void *opaque)
{
  Edu *self = opaque;
  uint32_t result = 1;

  /* Modulo 2^32 all factorials from 34 on are zero. */
  for (uint32_t n = MIN (self->factorial, 34); n > 1; n--)
    result *= n;
  self->factorial = result;
  self->status &= ~(uint32_t) STATUS_COMPUTING;
  if (self->status & STATUS_IRQ)
    edu_raise (self, IRQ_FACTORIAL);
}

/* The part of the buffer at device address ADDR, when the whole of it lies inside. */
static uint8_t *
edu_buffer (Edu *self, uint64_t addr)
{
  if (addr < EDU_BUFFER || self->dma_count > EDU_BUFFER_SIZE
      || addr - EDU_BUFFER > EDU_BUFFER_SIZE - self->dma_count)
    return NULL;
  return self->buffer + (addr - EDU_BUFFER);
}

static void
edu_dma (void *opaque)
{
  Edu *self = opaque;
  bool from_edu = (self->dma_command & DMA_FROM_EDU) != 0;
  uint8_t *at = edu_buffer (self, from_edu ? self->dma_source : self->dma_destination);

  if (at && from_edu)
    vm_pci_dma_write (&self->parent, self->dma_destination & self->dma_mask, at, self->dma_count);
  else if (at)
    vm_pci_dma_read (&self->parent, self->dma_source & self->dma_mask, at, self->dma_count);
  self->dma_command &= ~(uint64_t) DMA_START;
  if (self->dma_command & DMA_IRQ)
    edu_raise (self, IRQ_DMA);
}

static int64_t
edu_now (const Edu *self)
{
  return vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);
}

/* --- registers ----------------------------------------------------------------------------------------- */

static uint64_t
edu_read (void *opaque, uint64_t offset, unsigned size)
{
  Edu *self = opaque;

  if (offset < 0x80 && size != 4)
    return ~UINT64_C (0);
  switch (offset)
    {
    case EDU_ID:
      return 0x010000edu;
    case EDU_LIVENESS:
      return self->liveness;
    case EDU_FACTORIAL:
      return self->factorial;
    case EDU_STATUS:
      return self->status;
    case EDU_IRQ_STATUS:
      return self->irq_status;
    case EDU_DMA_SOURCE:
      return self->dma_source;
    case EDU_DMA_DESTINATION:
      return self->dma_destination;
    case EDU_DMA_COUNT:
      return self->dma_count;
    case EDU_DMA_COMMAND:
      return self->dma_command;
    default:
      return ~UINT64_C (0);
    }
}

static void
edu_write_dma (Edu *self, uint64_t *reg, uint64_t value)
{
  if (!(self->dma_command & DMA_START))
    *reg = value;
}

static void
edu_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Edu *self = opaque;

  if (offset < 0x80 && size != 4)
    return;
  switch (offset)
    {
    case EDU_LIVENESS:
      self->liveness = ~(uint32_t) value;
      break;
    case EDU_FACTORIAL:
      if (self->status & STATUS_COMPUTING)
        break;
      self->factorial = (uint32_t) value;
      self->status |= STATUS_COMPUTING;
      vm_timer_set (&self->factorial_timer, edu_now (self) + EDU_FACTORIAL_NS);
      break;
    case EDU_STATUS:
      self->status = (self->status & ~(uint32_t) STATUS_IRQ) | ((uint32_t) value & STATUS_IRQ);
      break;
    case EDU_IRQ_RAISE:
      edu_raise (self, (uint32_t) value);
      break;
    case EDU_IRQ_ACK:
      edu_acknowledge (self, (uint32_t) value);
      break;
    case EDU_DMA_SOURCE:
      edu_write_dma (self, &self->dma_source, value);
      break;
    case EDU_DMA_DESTINATION:
      edu_write_dma (self, &self->dma_destination, value);
      break;
    case EDU_DMA_COUNT:
      edu_write_dma (self, &self->dma_count, value);
      break;
    case EDU_DMA_COMMAND:
      if (!(value & DMA_START) || (self->dma_command & DMA_START))
        break;
      self->dma_command = value;
      vm_timer_set (&self->dma_timer, edu_now (self) + EDU_DMA_NS);
      break;
    default:
      break;
    }
}

static const VmRegionOps edu_ops = {
  .read = edu_read, .write = edu_write,
  .valid = { .min = 4, .max = 8 }, .impl = { .min = 4, .max = 8 },
};

/* --- life -------------------------------------------------------------------------------------------------- */

static void
edu_reset (VmDevice *dev, VmResetKind kind)
{
  Edu *self = (Edu *) dev;

  vm_timer_cancel (&self->dma_timer);
  vm_timer_cancel (&self->factorial_timer);
  self->liveness = self->factorial = self->status = self->irq_status = 0;
  self->dma_source = self->dma_destination = self->dma_count = self->dma_command = 0;
  memset (self->buffer, 0, sizeof self->buffer);
}

static bool
edu_realize (VmDevice *dev, GError **error)
{
  Edu *self = (Edu *) dev;

  vm_pci_set_interrupt_pin (&self->parent, 1);
  if (!vm_pci_msi_init (&self->parent, 0, 1, true, false, error))
    return false;
  vm_timer_init (&self->dma_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, edu_dma, self);
  vm_timer_init (&self->factorial_timer, dev->env->clocks, VM_CLOCK_VIRTUAL, edu_compute, self);
  vm_region_init_io (&self->mmio, dev->env->memory, &edu_ops, self, "edu-mmio", VM_MIB);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_MEM, &self->mmio);
  return true;
}

static void
edu_unrealize (VmDevice *dev)
{
  Edu *self = (Edu *) dev;

  vm_timer_cancel (&self->dma_timer);
  vm_timer_cancel (&self->factorial_timer);
  vm_region_destroy (&self->mmio);
}

static const VmProp edu_props[] = {
  VM_PROP ("dma_mask", Edu, dma_mask, (1u << 28) - 1, "address bits DMA can use"),
  { 0 }
};

static const VmField edu_state[] = {
  VM_FIELD (Edu, liveness), VM_FIELD (Edu, factorial), VM_FIELD (Edu, status), VM_FIELD (Edu, irq_status),
  VM_FIELD (Edu, dma_source), VM_FIELD (Edu, dma_destination), VM_FIELD (Edu, dma_count),
  VM_FIELD (Edu, dma_command), VM_FIELD_ARRAY (Edu, buffer), VM_FIELD_TIMER_OF (Edu, dma_timer),
  VM_FIELD_TIMER_OF (Edu, factorial_timer),
  { 0 }
};

static const VmPciClass edu_class = {
  .parent = {
    .realize = edu_realize, .unrealize = edu_unrealize, .reset = edu_reset, .category = "Misc",
    .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_QEMU, .device = 0x11e8, .revision = 0x10, .class_id = PCI_CLASS_OTHERS,
};

const VmType vm_edu_type = {
  .name = "edu", .parent = &vm_pci_device_type, .size = sizeof (Edu),
  .help = "Device for learning how to write drivers", .props = edu_props, .state = edu_state, .klass = &edu_class,
};
