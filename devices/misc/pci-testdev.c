/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PCI device for tests of register access (the published specification "pci-testdev"): a memory and an I/O BAR,
 * each with a table that tells which write counts, with and without eventfds. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/pci/pci.h"

#define TESTDEV_BAR_SIZE 2048u
#define TESTDEV_IO_SIZE  128u
#define TESTDEV_TESTS    3    /* per BAR */
#define TESTDEV_DATA     0xfa /* what must be written to be counted */
#define TESTDEV_NAME_MAX 32

enum { TEST_NO_EVENTFD, TEST_WILDCARD_EVENTFD, TEST_MATCH_EVENTFD };
enum { HDR_TEST = 0, HDR_WIDTH = 1, HDR_OFFSET = 4, HDR_DATA = 8, HDR_COUNT = 12, HDR_NAME = 16 };

typedef struct PciTestdev {
  VmPciDevice parent;
  uint64_t membar_size;  /* property */
  VmRegion memory, io, membar;
  int      event[2 * TESTDEV_TESTS]; /* eventfds; -1 for those without */
  int32_t  current;      /* guest state: selected test, -1 none */
  uint32_t count;
} PciTestdev;

static const char *const testdev_names[2 * TESTDEV_TESTS] = {
  "mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd",
  "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd",
};

static bool
testdev_is_io (int test)
{
  return test >= TESTDEV_TESTS;
}

/* Each test counts at a place of its own, behind the table. */
static uint32_t
testdev_offset (int test)
{
  return (testdev_is_io (test) ? TESTDEV_IO_SIZE / 2 : TESTDEV_BAR_SIZE / 2) + (uint32_t) (test % TESTDEV_TESTS) * 4;
}

static uint8_t
testdev_table_byte (const PciTestdev *self, int test, uint32_t at)
{
  uint8_t head[HDR_NAME] = { 0 };

  if (test < 0)
    return at == HDR_TEST ? 0xff : 0;
  if (at >= HDR_NAME)
    return at - HDR_NAME < strlen (testdev_names[test]) ? (uint8_t) testdev_names[test][at - HDR_NAME] : 0;
  head[HDR_TEST] = (uint8_t) test;
  head[HDR_WIDTH] = 1;
  vm_store_le32 (head + HDR_OFFSET, testdev_offset (test));
  vm_store_le32 (head + HDR_DATA, test % TESTDEV_TESTS == TEST_WILDCARD_EVENTFD ? 0 : TESTDEV_DATA);
  vm_store_le32 (head + HDR_COUNT, self->count);
  return head[at];
}

static uint64_t
testdev_read (PciTestdev *self, bool io, uint32_t offset, unsigned size)
{
  uint64_t value = 0;
  int test = self->current >= 0 && testdev_is_io (self->current) == io ? self->current : -1;

  /* Signals of eventfds count too, once somebody asks. */
  if (test >= 0 && self->event[test] >= 0)
    {
      uint64_t fired;

      if (read (self->event[test], &fired, sizeof fired) == sizeof fired)
        self->count += (uint32_t) fired;
    }
  for (unsigned i = 0; i < size; i++)
    if (offset + i < HDR_NAME + TESTDEV_NAME_MAX)
      value |= (uint64_t) testdev_table_byte (self, test, offset + i) << i * 8;
  return value;
}

static void
testdev_watch (PciTestdev *self, int test, bool on)
{
  VmRegion *region = testdev_is_io (test) ? &self->io : &self->memory;
  bool match = test % TESTDEV_TESTS == TEST_MATCH_EVENTFD;

  if (test < 0 || self->event[test] < 0)
    return;
  if (on)
    vm_region_add_eventfd (region, testdev_offset (test), 1, match, TESTDEV_DATA, self->event[test]);
  else
    vm_region_del_eventfd (region, testdev_offset (test), 1, match, TESTDEV_DATA, self->event[test]);
}

static void
testdev_select (PciTestdev *self, bool io, uint8_t n)
{
  testdev_watch (self, self->current, false);
  self->current = n < TESTDEV_TESTS ? n + (io ? TESTDEV_TESTS : 0) : -1;
  self->count = 0;
  testdev_watch (self, self->current, true);
}

static void
testdev_write (PciTestdev *self, bool io, uint32_t offset, uint64_t value, unsigned size)
{
  int test = self->current;

  if (offset == HDR_TEST)
    {
      testdev_select (self, io, (uint8_t) value);
      return;
    }
  if (test < 0 || testdev_is_io (test) != io || offset != testdev_offset (test) || size != 1)
    return;
  if (test % TESTDEV_TESTS == TEST_WILDCARD_EVENTFD || value == TESTDEV_DATA)
    self->count++;
}

static uint64_t
testdev_memory_read (void *opaque, uint64_t offset, unsigned size)
{
  return testdev_read (opaque, false, (uint32_t) offset, size);
}

static void
testdev_memory_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  testdev_write (opaque, false, (uint32_t) offset, value, size);
}

static uint64_t
testdev_io_read (void *opaque, uint64_t offset, unsigned size)
{
  return testdev_read (opaque, true, (uint32_t) offset, size);
}

static void
testdev_io_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  testdev_write (opaque, true, (uint32_t) offset, value, size);
}

static const VmRegionOps testdev_memory_ops = {
  .read = testdev_memory_read, .write = testdev_memory_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};
static const VmRegionOps testdev_io_ops = {
  .read = testdev_io_read, .write = testdev_io_write,
  .valid = { .min = 1, .max = 4 }, .impl = { .min = 1, .max = 4 },
};

/* --- life ------------------------------------------------------------------------------------------------ */

static void
testdev_reset (VmDevice *dev, VmResetKind kind)
{
  testdev_select ((PciTestdev *) dev, false, 0xff);
}

static void
testdev_unrealize (VmDevice *dev)
{
  PciTestdev *self = (PciTestdev *) dev;

  testdev_watch (self, self->current, false);
  self->current = -1;
  for (int i = 0; i < 2 * TESTDEV_TESTS; i++)
    if (self->event[i] >= 0)
      close (self->event[i]);
  vm_region_destroy (&self->memory);
  vm_region_destroy (&self->io);
  if (self->membar_size)
    vm_region_destroy (&self->membar);
}

static bool
testdev_make_events (PciTestdev *self, GError **error)
{
  for (int i = 0; i < 2 * TESTDEV_TESTS; i++)
    self->event[i] = -1;
  for (int i = 0; i < 2 * TESTDEV_TESTS; i++)
    {
      if (i % TESTDEV_TESTS == TEST_NO_EVENTFD)
        continue;
      self->event[i] = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
      if (self->event[i] >= 0)
        continue;
      vm_fail (error, "pci-testdev: cannot create an eventfd: %s", g_strerror (errno));
      while (i-- > 0)
        if (self->event[i] >= 0)
          close (self->event[i]);
      return false;
    }
  return true;
}

static bool
testdev_realize (VmDevice *dev, GError **error)
{
  PciTestdev *self = (PciTestdev *) dev;
  VmMemory *memory = dev->env->memory;

  self->current = -1;
  if (self->membar_size != 0 && (!vm_is_pow2 (self->membar_size) || self->membar_size < VM_PAGE_SIZE))
    return vm_fail (error, "pci-testdev: membar must be a power of two of at least 4 KiB");
  if (!testdev_make_events (self, error))
    return false;
  vm_region_init_io (&self->memory, memory, &testdev_memory_ops, self, "pci-testdev-mmio", TESTDEV_BAR_SIZE * 2);
  vm_region_init_io (&self->io, memory, &testdev_io_ops, self, "pci-testdev-portio", TESTDEV_IO_SIZE * 2);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_MEM, &self->memory);
  vm_pci_add_bar (&self->parent, 1, PCI_BAR_IO, &self->io);
  if (self->membar_size != 0)
    {
      /* Only address space, to see how firmware places it: no memory behind. */
      vm_region_init (&self->membar, memory, "pci-testdev-membar", self->membar_size);
      vm_pci_add_bar (&self->parent, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &self->membar);
    }
  return true;
}

static const VmProp testdev_props[] = {
  VM_PROP_BYTES ("membar", PciTestdev, membar_size, 0, "size of an additional memory BAR"),
  { 0 }
};

static const VmField testdev_state[] = { VM_FIELD (PciTestdev, current), VM_FIELD (PciTestdev, count), { 0 } };

static const VmPciClass testdev_class = {
  .parent = {
    .realize = testdev_realize, .unrealize = testdev_unrealize, .reset = testdev_reset, .category = "Misc",
    .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_REDHAT, .device = 0x0005, .class_id = PCI_CLASS_OTHERS,
};

const VmType vm_pci_testdev_type = {
  .name = "pci-testdev", .parent = &vm_pci_device_type, .size = sizeof (PciTestdev),
  .help = "PCI device for tests of register access", .props = testdev_props, .state = testdev_state,
  .klass = &testdev_class,
};
