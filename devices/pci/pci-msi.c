/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Message-signalled interrupts of PCI functions (PCI Local Bus 3.0, 6.8). */
#include "devices/pci/pci-private.h"

static void
pci_send_message (VmPciDevice *dev, uint64_t address, uint32_t data)
{
  uint8_t bytes[4];

  vm_store_le32 (bytes, data);
  vm_pci_dma_write (dev, address, bytes, sizeof bytes);
}

/* --- MSI ----------------------------------------------------------------------------------------- */

static uint16_t
msi_flags (const VmPciDevice *dev)
{
  return vm_load_le16 (dev->config + dev->msi_cap + PCI_MSI_FLAGS);
}

static uint8_t *
msi_data (const VmPciDevice *dev)
{
  return dev->config + dev->msi_cap + (msi_flags (dev) & PCI_MSI_FLAGS_64BIT ? 12 : 8);
}

/* Mask bits; the pending bits follow. */
static uint8_t *
msi_mask (const VmPciDevice *dev)
{
  return msi_data (dev) + 4;
}

static unsigned
msi_allocated (const VmPciDevice *dev)
{
  uint16_t flags = msi_flags (dev);

  return 1u << MIN (VM_FIELD_GET (flags, 6, 4), VM_FIELD_GET (flags, 3, 1));
}

bool
vm_pci_msi_init (VmPciDevice *dev, uint8_t offset, unsigned vectors, bool is64, bool maskable, GError **error)
{
  uint8_t size = (uint8_t) (maskable ? (is64 ? 24 : 20) : (is64 ? 14 : 10));
  uint16_t flags = (uint16_t) (g_bit_storage (vectors) - 1) << 1;
  uint8_t at;

  g_assert (vm_is_pow2 (vectors) && vectors <= 32);
  at = vm_pci_add_capability (dev, PCI_CAP_MSI, offset, size, error);
  if (at == 0)
    return false;
  dev->msi_cap = at;
  flags |= (is64 ? PCI_MSI_FLAGS_64BIT : 0) | (maskable ? PCI_MSI_FLAGS_MASKBIT : 0);
  vm_store_le16 (dev->config + at + PCI_MSI_FLAGS, flags);
  vm_store_le16 (dev->wmask + at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 7 << 4);
  vm_store_le32 (dev->wmask + at + PCI_MSI_ADDRESS_LO, ~3u);
  if (is64)
    vm_store_le32 (dev->wmask + at + PCI_MSI_ADDRESS_HI, UINT32_MAX);
  vm_store_le16 (dev->wmask + (msi_data (dev) - dev->config), 0xffff);
  if (maskable)
    vm_store_le32 (dev->wmask + (msi_mask (dev) - dev->config),
                   vectors == 32 ? UINT32_MAX : (1u << vectors) - 1);
  return true;
}

bool
vm_pci_msi_enabled (const VmPciDevice *dev)
{
  return dev->msi_cap != 0 && (msi_flags (dev) & PCI_MSI_FLAGS_ENABLE);
}

static void
msi_message (const VmPciDevice *dev, unsigned vector, uint64_t *address, uint32_t *data)
{
  unsigned n = msi_allocated (dev);

  *address = vm_load_le32 (dev->config + dev->msi_cap + PCI_MSI_ADDRESS_LO);
  if (msi_flags (dev) & PCI_MSI_FLAGS_64BIT)
    *address |= (uint64_t) vm_load_le32 (dev->config + dev->msi_cap + PCI_MSI_ADDRESS_HI) << 32;
  *data = (vm_load_le16 (msi_data (dev)) & ~(n - 1)) | (vector & (n - 1));
}

void
vm_pci_msi_notify (VmPciDevice *dev, unsigned vector)
{
  uint64_t address;
  uint32_t data;

  if (!vm_pci_msi_enabled (dev))
    return;
  vector &= msi_allocated (dev) - 1;
  if ((msi_flags (dev) & PCI_MSI_FLAGS_MASKBIT) && (vm_load_le32 (msi_mask (dev)) >> vector & 1))
    {
      vm_store_le32 (msi_mask (dev) + 4, vm_load_le32 (msi_mask (dev) + 4) | 1u << vector);
      return;
    }
  msi_message (dev, vector, &address, &data);
  pci_send_message (dev, address, data);
}

void
pci_msi_written (VmPciDevice *dev, uint32_t addr, unsigned size)
{
  uint32_t ready;

  if (dev->msi_cap == 0 || !vm_pci_range_touched (addr, size, dev->msi_cap, 24) || !vm_pci_msi_enabled (dev))
    return;
  /* With messages on, the pin is not used (6.8.1.3). */
  if (dev->irq_level)
    vm_pci_set_irq (dev, 0);
  if (!(msi_flags (dev) & PCI_MSI_FLAGS_MASKBIT))
    return;
  ready = vm_load_le32 (msi_mask (dev) + 4) & ~vm_load_le32 (msi_mask (dev));
  vm_store_le32 (msi_mask (dev) + 4, vm_load_le32 (msi_mask (dev) + 4) & ~ready);
  for (unsigned vector = 0; ready; vector++, ready >>= 1)
    if (ready & 1)
      vm_pci_msi_notify (dev, vector);
}

void
pci_msi_reset (VmPciDevice *dev)
{
  uint8_t *cap = dev->config + dev->msi_cap;

  if (dev->msi_cap == 0)
    return;
  vm_store_le16 (cap + PCI_MSI_FLAGS, (uint16_t) (msi_flags (dev) & ~(PCI_MSI_FLAGS_ENABLE | 7 << 4)));
  vm_store_le32 (cap + PCI_MSI_ADDRESS_LO, 0);
  if (msi_flags (dev) & PCI_MSI_FLAGS_64BIT)
    vm_store_le32 (cap + PCI_MSI_ADDRESS_HI, 0);
  vm_store_le16 (msi_data (dev), 0);
  if (msi_flags (dev) & PCI_MSI_FLAGS_MASKBIT)
    vm_store_le64 (msi_mask (dev), 0);
}

/* --- MSI-X --------------------------------------------------------------------------------------- */

uint16_t
pci_msix_flags (const VmPciDevice *dev)
{
  return dev->msix_cap ? vm_load_le16 (dev->config + dev->msix_cap + PCI_MSIX_FLAGS) : 0;
}

static unsigned
msix_count (const VmPciDevice *dev)
{
  return dev->msix_table_size / PCI_MSIX_ENTRY_SIZE;
}

bool
vm_pci_msix_enabled (const VmPciDevice *dev)
{
  return (pci_msix_flags (dev) & PCI_MSIX_FLAGS_ENABLE) != 0;
}

static bool
msix_masked_by (const VmPciDevice *dev, unsigned vector, uint16_t flags, uint32_t control)
{
  return !(flags & PCI_MSIX_FLAGS_ENABLE) || (flags & PCI_MSIX_FLAGS_MASKALL)
         || (control & PCI_MSIX_ENTRY_MASKED);
}

static uint32_t
msix_control (const VmPciDevice *dev, unsigned vector)
{
  return vm_load_le32 (dev->msix_table + vector * PCI_MSIX_ENTRY_SIZE + 12);
}

bool
vm_pci_msix_masked (const VmPciDevice *dev, unsigned vector)
{
  return vector >= msix_count (dev)
         || msix_masked_by (dev, vector, pci_msix_flags (dev), msix_control (dev, vector));
}

static bool
msix_pending (const VmPciDevice *dev, unsigned vector)
{
  return dev->msix_pba[vector / 8] >> vector % 8 & 1;
}

void
vm_pci_msix_clear_pending (VmPciDevice *dev, unsigned vector)
{
  if (vector < msix_count (dev))
    dev->msix_pba[vector / 8] &= (uint8_t) ~(1 << vector % 8);
}

static void
msix_message (const VmPciDevice *dev, unsigned vector, uint64_t *address, uint32_t *data)
{
  const uint8_t *entry = dev->msix_table + vector * PCI_MSIX_ENTRY_SIZE;

  *address = vm_load_le64 (entry);
  *data = vm_load_le32 (entry + 8);
}

void
vm_pci_msix_notify (VmPciDevice *dev, unsigned vector)
{
  uint64_t address;
  uint32_t data;

  if (vector >= msix_count (dev) || !vm_pci_msix_enabled (dev))
    return;
  if (vm_pci_msix_masked (dev, vector))
    {
      dev->msix_pba[vector / 8] |= (uint8_t) (1 << vector % 8);
      return;
    }
  msix_message (dev, vector, &address, &data);
  pci_send_message (dev, address, data);
}

/* The mask of VECTOR may have changed from WAS. */
static void
msix_mask_changed (VmPciDevice *dev, unsigned vector, bool was)
{
  bool now = vm_pci_msix_masked (dev, vector);

  if (was == now)
    return;
  if (dev->msix_changed)
    dev->msix_changed (dev, vector, now);
  if (!now && msix_pending (dev, vector))
    {
      vm_pci_msix_clear_pending (dev, vector);
      vm_pci_msix_notify (dev, vector);
    }
}

void
pci_msix_written (VmPciDevice *dev, uint32_t addr, unsigned size, uint16_t old_flags)
{
  uint16_t flags = pci_msix_flags (dev);

  if (flags == old_flags)
    return;
  if ((flags & PCI_MSIX_FLAGS_ENABLE) && dev->irq_level)
    vm_pci_set_irq (dev, 0);
  for (unsigned vector = 0; vector < msix_count (dev); vector++)
    msix_mask_changed (dev, vector, msix_masked_by (dev, vector, old_flags, msix_control (dev, vector)));
}

static uint64_t
msix_table_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPciDevice *dev = opaque;

  return vm_load_le (dev->msix_table + offset, size);
}

static void
msix_table_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPciDevice *dev = opaque;
  unsigned vector = (unsigned) (offset / PCI_MSIX_ENTRY_SIZE);
  bool was = vm_pci_msix_masked (dev, vector);

  vm_store_le (dev->msix_table + offset, value, size);
  msix_mask_changed (dev, vector, was);
}

static uint64_t
msix_pba_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPciDevice *dev = opaque;

  return vm_load_le (dev->msix_pba + offset, size);
}

static void
msix_pba_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  /* Software that writes pending bits gets what the specification promises it: nothing defined. */
}

static const VmRegionOps msix_table_ops = {
  .read = msix_table_read, .write = msix_table_write,
  .valid = { .min = 4, .max = 8 }, .impl = { .min = 4, .max = 8 },
};
static const VmRegionOps msix_pba_ops = {
  .read = msix_pba_read, .write = msix_pba_write,
  .valid = { .min = 4, .max = 8 }, .impl = { .min = 4, .max = 8 },
};

bool
vm_pci_msix_init (VmPciDevice *dev, unsigned n, VmRegion *table, unsigned table_bar, uint32_t table_offset,
                  VmRegion *pba, unsigned pba_bar, uint32_t pba_offset, uint8_t cap_offset, GError **error)
{
  VmMemory *memory = dev->parent.env->memory;
  uint8_t at;

  g_assert (n >= 1 && n <= 2048 && !((table_offset | pba_offset) & 7));
  at = vm_pci_add_capability (dev, PCI_CAP_MSIX, cap_offset, PCI_MSIX_CAP_SIZE, error);
  if (at == 0)
    return false;
  dev->msix_cap = at;
  dev->msix_table_size = n * PCI_MSIX_ENTRY_SIZE;
  dev->msix_pba_size = (uint32_t) VM_ALIGN_UP (n, 64) / 8;
  dev->msix_table = g_malloc0 (dev->msix_table_size);
  dev->msix_pba = g_malloc0 (dev->msix_pba_size);
  vm_store_le16 (dev->config + at + PCI_MSIX_FLAGS, (uint16_t) (n - 1));
  vm_store_le16 (dev->wmask + at + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
  vm_store_le32 (dev->config + at + PCI_MSIX_TABLE, table_offset | table_bar);
  vm_store_le32 (dev->config + at + PCI_MSIX_PBA, pba_offset | pba_bar);
  vm_region_init_io (&dev->msix_table_region, memory, &msix_table_ops, dev, "msix-table", dev->msix_table_size);
  vm_region_init_io (&dev->msix_pba_region, memory, &msix_pba_ops, dev, "msix-pba", dev->msix_pba_size);
  vm_region_add_overlap (table, table_offset, &dev->msix_table_region, 1);
  vm_region_add_overlap (pba, pba_offset, &dev->msix_pba_region, 1);
  pci_msix_reset (dev);
  return true;
}

bool
vm_pci_msix_init_exclusive_bar (VmPciDevice *dev, unsigned n, unsigned bar, GError **error)
{
  uint32_t table = n * PCI_MSIX_ENTRY_SIZE, pba = (uint32_t) VM_ALIGN_UP (n, 64) / 8;
  uint32_t half = 2048, size;

  /* Table in the lower half, pending bits at the upper: what drivers of existing devices have seen. */
  while (half < MAX (table, pba))
    half <<= 1;
  size = MAX (half * 2, 4096u);
  vm_region_init (&dev->msix_bar, dev->parent.env->memory, "msix", size);
  dev->has_msix_bar = true;
  if (!vm_pci_msix_init (dev, n, &dev->msix_bar, bar, 0, &dev->msix_bar, bar, half, 0, error))
    {
      vm_region_destroy (&dev->msix_bar);
      dev->has_msix_bar = false;
      return false;
    }
  vm_pci_add_bar (dev, bar, PCI_BAR_MEM, &dev->msix_bar);
  return true;
}

void
vm_pci_msix_set_notify (VmPciDevice *dev, void (*changed) (VmPciDevice *dev, unsigned vector, bool masked))
{
  dev->msix_changed = changed;
}

void
pci_msix_reset (VmPciDevice *dev)
{
  uint16_t flags = pci_msix_flags (dev);

  if (dev->msix_cap == 0)
    return;
  vm_store_le16 (dev->config + dev->msix_cap + PCI_MSIX_FLAGS, flags & 0x07ff);
  pci_msix_written (dev, 0, 0, flags);
  memset (dev->msix_table, 0, dev->msix_table_size);
  memset (dev->msix_pba, 0, dev->msix_pba_size);
  for (unsigned vector = 0; vector < msix_count (dev); vector++)
    vm_store_le32 (dev->msix_table + vector * PCI_MSIX_ENTRY_SIZE + 12, PCI_MSIX_ENTRY_MASKED);
}

void
pci_msix_free (VmPciDevice *dev)
{
  if (dev->msix_cap == 0)
    return;
  vm_region_destroy (&dev->msix_table_region);
  vm_region_destroy (&dev->msix_pba_region);
  if (dev->has_msix_bar)
    vm_region_destroy (&dev->msix_bar);
  dev->has_msix_bar = false;
  dev->msix_cap = 0;
  dev->msix_table_size = dev->msix_pba_size = 0;
  dev->msix_changed = NULL;
  g_clear_pointer (&dev->msix_table, g_free);
  g_clear_pointer (&dev->msix_pba, g_free);
}

bool
vm_pci_message (const VmPciDevice *dev, unsigned vector, uint64_t *address, uint32_t *data)
{
  if (vm_pci_msix_enabled (dev) && vector < msix_count (dev))
    msix_message (dev, vector, address, data);
  else if (vm_pci_msi_enabled (dev))
    msi_message (dev, vector, address, data);
  else
    return false;
  return true;
}
