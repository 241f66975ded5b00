/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helper of the kvm-unit-tests guests: ports that keep what is written (E0h-E3h), flush a page (E4h-E7h), drive
 * interrupt lines (2000h-2017h), and a window of memory-mapped bytes (FF000000h). */
#include "devices/isa/isa.h"

#define TESTDEV_MEMORY_BASE UINT64_C (0xff000000)
#define TESTDEV_MEMORY_SIZE 0x10000u
#define TESTDEV_IRQ_BASE    0x2000
#define TESTDEV_IRQS        24

typedef struct PcTestdev {
  VmIsaDevice parent;
  VmRegion data_io, flush_io, irq_io, memory, cover;
  uint32_t data; /* guest state */
  uint8_t  bytes[TESTDEV_MEMORY_SIZE];
} PcTestdev;

static uint64_t
testdev_data_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((PcTestdev *) opaque)->data >> offset * 8;
}

static void
testdev_data_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  PcTestdev *self = opaque;
  unsigned shift = (unsigned) offset * 8;
  uint32_t mask = (size >= 4 ? UINT32_MAX : (1u << size * 8) - 1) << shift;

  self->data = (self->data & ~mask) | ((uint32_t) value << shift & mask);
}

static uint64_t
testdev_flush_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

/* Takes the page away for a moment, so that an accelerator must forget and map it anew. */
static void
testdev_flush_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  PcTestdev *self = opaque;
  VmEnv *env = self->parent.parent.env;

  vm_region_add_overlap (env->system_memory, value & VM_PAGE_MASK & UINT32_MAX, &self->cover, 5);
  vm_region_remove (&self->cover);
}

static uint64_t
testdev_irq_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0;
}

static void
testdev_irq_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  PcTestdev *self = opaque;
  VmIrq irq = vm_isa_irq (&self->parent.parent, (unsigned) offset);

  vm_irq_set (&irq, value != 0);
}

static uint64_t
testdev_memory_read (void *opaque, uint64_t offset, unsigned size)
{
  return vm_load_le (((PcTestdev *) opaque)->bytes + offset, size);
}

static void
testdev_memory_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  vm_store_le (((PcTestdev *) opaque)->bytes + offset, value, size);
}

static const VmRegionOps testdev_data_ops = {
  .read = testdev_data_read, .write = testdev_data_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};
static const VmRegionOps testdev_flush_ops = {
  .read = testdev_flush_read, .write = testdev_flush_write,
  .valid = { .min = 4, .max = 4 }, .impl = { .min = 4, .max = 4 },
};
static const VmRegionOps testdev_irq_ops = {
  .read = testdev_irq_read, .write = testdev_irq_write, .impl = { .min = 1, .max = 1 },
};
static const VmRegionOps testdev_memory_ops = {
  .read = testdev_memory_read, .write = testdev_memory_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 1, .max = 8 },
};

static void
testdev_unrealize (VmDevice *dev)
{
  PcTestdev *self = (PcTestdev *) dev;

  vm_region_destroy (&self->memory);
  vm_region_destroy (&self->cover);
}

static bool
testdev_realize (VmDevice *dev, GError **error)
{
  PcTestdev *self = (PcTestdev *) dev;
  VmEnv *env = dev->env;

  vm_region_init_io (&self->data_io, env->memory, &testdev_data_ops, self, "pc-testdev-ioport", 4);
  vm_region_init_io (&self->flush_io, env->memory, &testdev_flush_ops, self, "pc-testdev-flush-page", 4);
  vm_region_init_io (&self->irq_io, env->memory, &testdev_irq_ops, self, "pc-testdev-irq-line", TESTDEV_IRQS);
  vm_region_init_io (&self->memory, env->memory, &testdev_memory_ops, self, "pc-testdev-iomem", TESTDEV_MEMORY_SIZE);
  vm_region_init_io (&self->cover, env->memory, &testdev_irq_ops, self, "pc-testdev-cover", VM_PAGE_SIZE);
  if (!vm_isa_add_io (dev, 0xe0, &self->data_io, error) || !vm_isa_add_io (dev, 0xe4, &self->flush_io, error)
      || !vm_isa_add_io (dev, TESTDEV_IRQ_BASE, &self->irq_io, error))
    {
      testdev_unrealize (dev);
      return false;
    }
  vm_region_add_overlap (env->system_memory, TESTDEV_MEMORY_BASE, &self->memory, 1);
  return true;
}

static void
testdev_reset (VmDevice *dev, VmResetKind kind)
{
  PcTestdev *self = (PcTestdev *) dev;

  self->data = 0;
  memset (self->bytes, 0, sizeof self->bytes);
}

static const VmField testdev_state[] = {
  VM_FIELD (PcTestdev, data), VM_FIELD_ARRAY (PcTestdev, bytes),
  { 0 }
};

static const VmDeviceClass testdev_class = {
  .realize = testdev_realize, .unrealize = testdev_unrealize, .reset = testdev_reset,
  .bus_type = VM_ISA_BUS_TYPE, .category = "Misc", .user_creatable = true,
};

const VmType vm_pc_testdev_type = {
  .name = "pc-testdev", .parent = &vm_isa_device_type, .size = sizeof (PcTestdev),
  .help = "Helper for test guests", .state = testdev_state, .klass = &testdev_class,
};
