/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PCI functions: configuration header, base address registers, capabilities, INTx, DMA (PCI Local Bus 3.0,
 * chapter 6; PCI Bus Power Management 1.2). */
#include <stdlib.h>

#include "devices/pci/pci-private.h"
#include "engine/machine/machine.h"

#define PCI_ROM_MAX (16 * VM_MIB)

static const VmPciClass *
pci_class (const VmPciDevice *dev)
{
  return (const VmPciClass *) vm_device_class (&dev->parent);
}

static unsigned
pci_bar_offset (const VmPciDevice *dev, unsigned n)
{
  if (n == VM_PCI_ROM_BAR)
    return pci_class (dev)->is_bridge ? PCI_BRIDGE_ROM_ADDRESS : PCI_ROM_ADDRESS;
  return PCI_BAR0 + 4 * n;
}

/* --- mappings ------------------------------------------------------------------------------------ */

static uint64_t
pci_bar_wanted_address (const VmPciDevice *dev, unsigned n, uint16_t command)
{
  const VmPciBar *bar = &dev->bar[n];
  unsigned reg = pci_bar_offset (dev, n);
  uint64_t limit = UINT32_MAX, addr;

  if (!(command & (bar->flags & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
    return UINT64_MAX;
  if (n == VM_PCI_ROM_BAR && !(dev->config[reg] & PCI_ROM_ADDRESS_ENABLE))
    return UINT64_MAX;
  if (bar->flags & PCI_BAR_IO)
    limit = 0x10000;
  if ((bar->flags & (PCI_BAR_IO | PCI_BAR_MEM64)) == PCI_BAR_MEM64)
    {
      addr = vm_load_le64 (dev->config + reg);
      limit = UINT64_MAX;
    }
  else
    addr = vm_load_le32 (dev->config + reg);
  addr &= ~(bar->size - 1);
  /* Zero means not yet assigned; the topmost place is where all-ones of a size probe would put it. */
  if (addr == 0 || addr >= limit || bar->size > limit - addr)
    return UINT64_MAX;
  return addr;
}

static void
pci_bar_map (VmPciDevice *dev, VmPciBar *bar, uint64_t addr)
{
  if (bar->addr == addr)
    return;
  if (bar->addr != UINT64_MAX)
    vm_region_remove (bar->region);
  bar->addr = addr;
  if (addr != UINT64_MAX)
    vm_region_add_overlap (bar->flags & PCI_BAR_IO ? vm_pci_bus (dev)->io : vm_pci_bus (dev)->memory, addr,
                           bar->region, 1);
}

/* In D1..D3hot the function answers configuration cycles only. */
static bool
pci_powered (const VmPciDevice *dev)
{
  uint8_t pm = vm_pci_find_capability (dev, PCI_CAP_PM);

  return pm == 0 || (dev->config[pm + 4] & 3) == 0;
}

static void
pci_update_irq (VmPciDevice *dev)
{
  bool level = dev->irq_level && !(vm_load_le16 (dev->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

  if (level == dev->irq_asserted)
    return;
  dev->irq_asserted = level;
  pci_bus_pin_changed (dev, level);
}

void
vm_pci_update_mappings (VmPciDevice *dev)
{
  VmMemory *memory = dev->parent.env->memory;
  uint16_t command = pci_powered (dev) ? vm_load_le16 (dev->config + PCI_COMMAND) : 0;

  vm_memory_begin (memory);
  for (unsigned n = 0; n < VM_PCI_N_BARS; n++)
    if (dev->bar[n].region)
      pci_bar_map (dev, &dev->bar[n], pci_bar_wanted_address (dev, n, command));
  vm_region_set_enabled (&dev->dma_window, (command & PCI_COMMAND_MASTER) != 0);
  vm_memory_commit (memory);
}

/* --- configuration space --------------------------------------------------------------------------- */

uint32_t
vm_pci_default_config_read (VmPciDevice *dev, uint32_t addr, unsigned size)
{
  return (uint32_t) vm_load_le (dev->config + addr, size);
}

void
vm_pci_default_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  uint16_t msix_flags = pci_msix_flags (dev);
  uint8_t pm;

  for (unsigned i = 0; i < size; i++, value >>= 8)
    {
      uint8_t byte = (uint8_t) value, mask = dev->wmask[addr + i], clear = dev->w1cmask[addr + i];

      dev->config[addr + i] = (uint8_t) (((dev->config[addr + i] & ~mask) | (byte & mask)) & ~(byte & clear));
    }
  pm = vm_pci_find_capability (dev, PCI_CAP_PM);
  if (vm_pci_range_touched (addr, size, PCI_COMMAND, 2) || vm_pci_range_touched (addr, size, PCI_BAR0, 24)
      || vm_pci_range_touched (addr, size, pci_bar_offset (dev, VM_PCI_ROM_BAR), 4)
      || (pm != 0 && vm_pci_range_touched (addr, size, pm + 4u, 1)))
    vm_pci_update_mappings (dev);
  if (vm_pci_range_touched (addr, size, PCI_COMMAND, 2))
    pci_update_irq (dev);
  pci_msi_written (dev, addr, size);
  pci_msix_written (dev, addr, size, msix_flags);
}

static void
pci_config_init_header (VmPciDevice *dev)
{
  const VmPciClass *klass = pci_class (dev);
  uint8_t *c = dev->config;

  vm_store_le16 (c + PCI_VENDOR_ID, klass->vendor);
  vm_store_le16 (c + PCI_DEVICE_ID, klass->device);
  c[PCI_REVISION_ID] = klass->revision;
  c[PCI_CLASS_PROG] = klass->prog_if;
  vm_store_le16 (c + PCI_CLASS_DEVICE, klass->class_id);
  c[PCI_HEADER_TYPE] = (uint8_t) ((klass->is_bridge ? PCI_HEADER_TYPE_BRIDGE : PCI_HEADER_TYPE_NORMAL)
                                  | (dev->multifunction ? PCI_HEADER_TYPE_MULTI : 0));
  if (!klass->is_bridge)
    {
      bool given = klass->subsystem_vendor != 0 || klass->subsystem != 0;

      vm_store_le16 (c + PCI_SUBSYSTEM_VENDOR_ID, given ? klass->subsystem_vendor : PCI_VENDOR_REDHAT_QUMRANET);
      vm_store_le16 (c + PCI_SUBSYSTEM_ID, given ? klass->subsystem : 0x1100);
    }
}

static void
pci_config_init_masks (VmPciDevice *dev)
{
  vm_store_le16 (dev->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER
                 | PCI_COMMAND_SERR | PCI_COMMAND_PARITY | PCI_COMMAND_INTX_DISABLE);
  vm_store_le16 (dev->w1cmask + PCI_STATUS, PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT
                 | PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT
                 | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY);
  dev->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
  dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
  memset (dev->wmask + PCI_CONFIG_HEADER_SIZE, 0xff, dev->config_size - PCI_CONFIG_HEADER_SIZE);
  memset (dev->used, 0xff, PCI_CONFIG_HEADER_SIZE);
}

/* --- what a function is made of ----------------------------------------------------------------------- */

void
vm_pci_add_bar (VmPciDevice *dev, unsigned n, uint8_t flags, VmRegion *region)
{
  unsigned reg = pci_bar_offset (dev, n);
  uint64_t size = region->size, mask = ~(size - 1);

  g_assert (n < VM_PCI_N_BARS && !dev->bar[n].region && vm_is_pow2 (size));
  g_assert (size >= (flags & PCI_BAR_IO ? 4 : 16));
  if (!region->reentry_owner)
    region->reentry_owner = dev;
  dev->bar[n] = (VmPciBar) { .region = region, .size = size, .addr = UINT64_MAX, .flags = flags };
  if (n == VM_PCI_ROM_BAR)
    mask |= PCI_ROM_ADDRESS_ENABLE;
  else
    dev->config[reg] = flags;
  if ((flags & (PCI_BAR_IO | PCI_BAR_MEM64)) == PCI_BAR_MEM64)
    vm_store_le64 (dev->wmask + reg, mask);
  else
    vm_store_le32 (dev->wmask + reg, (uint32_t) mask);
}

uint64_t
vm_pci_bar_address (const VmPciDevice *dev, unsigned n)
{
  return dev->bar[n].region ? dev->bar[n].addr : UINT64_MAX;
}

uint8_t
vm_pci_find_capability (const VmPciDevice *dev, uint8_t id)
{
  uint8_t at = dev->config[PCI_CAPABILITY_LIST];

  /* The list is ours, the guest cannot write links; the bound is for loaded state. */
  for (int i = 0; i < 48 && at >= PCI_CONFIG_HEADER_SIZE; i++, at = dev->config[at + 1])
    if (dev->config[at] == id)
      return at;
  return 0;
}

uint8_t
vm_pci_add_capability (VmPciDevice *dev, uint8_t id, uint8_t offset, uint8_t size, GError **error)
{
  unsigned at = offset ? offset : PCI_CONFIG_HEADER_SIZE;

  size = (uint8_t) VM_ALIGN_UP (size, 4);
  for (;; at += 4)
    {
      unsigned free = 0;

      while (free < size && at + free < 256 && !dev->used[at + free])
        free++;
      if (free == size)
        break;
      if (offset || at + size >= 256)
        {
          vm_fail (error, "%s: no room for capability %#x of %u bytes at offset %#x",
                   vm_device_path (&dev->parent), id, size, offset);
          return 0;
        }
    }
  memset (dev->used + at, 0xff, size);
  memset (dev->config + at, 0, size);
  memset (dev->wmask + at, 0, size);
  dev->config[at] = id;
  dev->config[at + 1] = dev->config[PCI_CAPABILITY_LIST];
  dev->config[PCI_CAPABILITY_LIST] = (uint8_t) at;
  dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
  return (uint8_t) at;
}

uint8_t
vm_pci_add_pm_capability (VmPciDevice *dev, uint8_t offset, GError **error)
{
  uint8_t at = vm_pci_add_capability (dev, PCI_CAP_PM, offset, 8, error);

  if (at == 0)
    return 0;
  vm_store_le16 (dev->config + at + 2, 3);  /* version 1.2 */
  vm_store_le16 (dev->config + at + 4, 8);  /* no soft reset on leaving D3hot */
  vm_store_le16 (dev->wmask + at + 4, 0x0103);
  vm_store_le16 (dev->w1cmask + at + 4, 0x8000);
  return at;
}

void
vm_pci_set_interrupt_pin (VmPciDevice *dev, uint8_t pin)
{
  dev->config[PCI_INTERRUPT_PIN] = pin;
}

void
vm_pci_set_irq (VmPciDevice *dev, int level)
{
  dev->irq_level = level != 0;
  if (dev->irq_level)
    dev->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
  else
    dev->config[PCI_STATUS] &= (uint8_t) ~PCI_STATUS_INTERRUPT;
  pci_update_irq (dev);
}

static void
pci_irq_set (void *opaque, int n, int level)
{
  vm_pci_set_irq (opaque, level);
}

VmIrq
vm_pci_irq (VmPciDevice *dev)
{
  return (VmIrq) { .func = pci_irq_set, .opaque = dev };
}

/* --- DMA ---------------------------------------------------------------------------------------------- */

uint16_t
vm_pci_requester (const VmPciDevice *dev)
{
  return (uint16_t) (vm_pci_bus_number (vm_pci_bus (dev)) << 8 | dev->addr);
}

VmMemAttrs
vm_pci_attrs (const VmPciDevice *dev)
{
  return (VmMemAttrs) { .requester = vm_pci_requester (dev), .dma = true };
}

/* Also where no register of its own is being accessed, at the end of a request or of a time, it does not reach itself. */
VmMemResult
vm_pci_dma_read (VmPciDevice *dev, uint64_t addr, void *buf, uint64_t len)
{
  VmMemory *memory = dev->parent.env->memory;
  VmMemResult result;
  VmReentry mark;

  vm_memory_owner_enter (memory, &mark, dev);
  result = vm_as_read (&dev->dma_as, addr, vm_pci_attrs (dev), buf, len);
  vm_memory_owner_leave (memory, &mark);
  return result;
}

VmMemResult
vm_pci_dma_write (VmPciDevice *dev, uint64_t addr, const void *buf, uint64_t len)
{
  VmMemory *memory = dev->parent.env->memory;
  VmMemResult result;
  VmReentry mark;

  vm_memory_owner_enter (memory, &mark, dev);
  result = vm_as_write (&dev->dma_as, addr, vm_pci_attrs (dev), buf, len);
  vm_memory_owner_leave (memory, &mark);
  return result;
}

void
vm_pci_dma_write_iov (VmPciDevice *dev, uint64_t addr, const struct iovec *iov, unsigned n, size_t offset, size_t len)
{
  for (unsigned i = 0; i < n && len; i++)
    {
      if (offset >= iov[i].iov_len)
        {
          offset -= iov[i].iov_len;
          continue;
        }
      size_t part = MIN (iov[i].iov_len - offset, len);
      vm_pci_dma_write (dev, addr, (const uint8_t *) iov[i].iov_base + offset, part);
      addr += part;
      len -= part;
      offset = 0;
    }
}

/* --- expansion ROM ------------------------------------------------------------------------------------ */

/* The file that a type brings is for a family of cards: firmware takes the one image of it for its own whose identity is
 * the function's (PCI Firmware Specification 3.0, 5.1.2). The bytes of a legacy image still sum up to zero. */
static void
pci_name_rom (VmPciDevice *dev)
{
  uint8_t *rom = dev->has_rom ? vm_region_ram_ptr (&dev->rom) : NULL;
  size_t at = 0, size = dev->romsize;

  while (rom && dev->default_rom && at + 0x1a <= size && vm_load_le16 (rom + at) == 0xaa55)
    {
      size_t pcir = at + vm_load_le16 (rom + at + 0x18), len;
      if (pcir + 0x18 > size || memcmp (rom + pcir, "PCIR", 4))
        return;
      for (unsigned i = 0; i < 4; i++) /* vendor and device lie alike in both */
        {
          if (rom[pcir + 0x14] == 0)
            rom[at + 6] = (uint8_t) (rom[at + 6] + rom[pcir + 4 + i] - dev->config[PCI_VENDOR_ID + i]);
          rom[pcir + 4 + i] = dev->config[PCI_VENDOR_ID + i];
        }
      len = 512u * vm_load_le16 (rom + pcir + 0x10);
      if (!len || rom[pcir + 0x15] & 0x80)
        return;
      at += len;
    }
}

void
vm_pci_set_id (VmPciDevice *dev, uint16_t vendor, uint16_t device)
{
  vm_store_le16 (dev->config + PCI_VENDOR_ID, vendor);
  vm_store_le16 (dev->config + PCI_DEVICE_ID, device);
  pci_name_rom (dev);
}

static bool
pci_load_rom (VmPciDevice *dev, GError **error)
{
  VmEnv *env = dev->parent.env;
  g_autofree char *path = NULL, *data = NULL;
  uint64_t size;
  gsize len;

  if (!dev->romfile || !*dev->romfile || dev->rombar == 0)
    return true;
  path = env->machine ? vm_machine_find_file (env->machine, dev->romfile) : g_strdup (dev->romfile);
  if (!path)
    return vm_fail (error, "failed to find romfile \"%s\"", dev->romfile);
  if (!g_file_get_contents (path, &data, &len, error))
    return false;
  if (len == 0)
    return vm_fail (error, "romfile \"%s\" is empty", dev->romfile);
  if (len > PCI_ROM_MAX)
    return vm_fail (error, "romfile \"%s\" too large (option ROMs hold at most 16 MiB)", dev->romfile);
  for (size = 2 * VM_KIB; size < len; size <<= 1)
    ;
  if (dev->romsize != UINT32_MAX)
    {
      if (!vm_is_pow2 (dev->romsize))
        return vm_fail (error, "ROM size %u is not a power of two", dev->romsize);
      if (dev->romsize < len)
        return vm_fail (error, "romfile \"%s\" (%zu bytes) is too large for ROM size %u", dev->romfile,
                        (size_t) len, dev->romsize);
      size = MAX (dev->romsize, 2 * VM_KIB);
    }
  dev->romsize = (uint32_t) size;
  if (!vm_region_init_rom (&dev->rom, env->memory, "pci.rom", size, error))
    return false;
  dev->has_rom = true;
  memcpy (vm_region_ram_ptr (&dev->rom), data, len);
  pci_name_rom (dev);
  vm_pci_add_bar (dev, VM_PCI_ROM_BAR, PCI_BAR_MEM, &dev->rom);
  return true;
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void
pci_free_config (VmPciDevice *dev)
{
  g_clear_pointer (&dev->config, g_free);
  g_clear_pointer (&dev->wmask, g_free);
  g_clear_pointer (&dev->w1cmask, g_free);
  g_clear_pointer (&dev->used, g_free);
}

static void
pci_bus_unrealize (VmDevice *vmdev)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);

  if (!dev->config)
    return;
  vm_pci_set_irq (dev, 0);
  for (unsigned n = 0; n < VM_PCI_N_BARS; n++)
    if (dev->bar[n].region)
      pci_bar_map (dev, &dev->bar[n], UINT64_MAX);
  pci_msix_free (dev);
  memset (dev->bar, 0, sizeof dev->bar);
  if (dev->has_rom)
    vm_region_destroy (&dev->rom);
  dev->has_rom = false;
  dev->msi_cap = dev->msix_cap = 0;
  vm_address_space_destroy (&dev->dma_as);
  vm_region_destroy (&dev->dma_window);
  vm_region_destroy (&dev->dma_root);
  pci_free_config (dev);
}

static bool
pci_bus_realize (VmDevice *vmdev, GError **error)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);
  VmEnv *env = vmdev->env;

  if (dev->failover_pair_id && *dev->failover_pair_id && (dev->multifunction || VM_PCI_FUNC (dev->addr)))
    return vm_fail (error, "failover: primary device must be in its own PCI slot");
  dev->config_size = pci_class (dev)->express ? 4096 : 256;
  dev->config = g_malloc0 (dev->config_size);
  dev->wmask = g_malloc0 (dev->config_size);
  dev->w1cmask = g_malloc0 (dev->config_size);
  dev->used = g_malloc0 (dev->config_size);
  pci_config_init_header (dev);
  pci_config_init_masks (dev);
  vm_region_init (&dev->dma_root, env->memory, "bus master container", 0);
  vm_region_init_alias (&dev->dma_window, "bus master", vm_pci_bus (dev)->dma_memory, 0, 0);
  vm_region_set_enabled (&dev->dma_window, false);
  vm_region_add (&dev->dma_root, 0, &dev->dma_window);
  vm_address_space_init (&dev->dma_as, env->memory, &dev->dma_root, vmdev->parent.type->name);
  if (!dev->romfile && pci_class (dev)->romfile)
    {
      dev->romfile = g_strdup (pci_class (dev)->romfile);
      dev->default_rom = true;
    }
  if (!pci_load_rom (dev, error))
    {
      pci_bus_unrealize (vmdev);
      return false;
    }
  return true;
}

/* PCI Local Bus 3.0, 4.3.1 and 6.2: what RST# does to the header. */
static void
pci_reset (VmDevice *vmdev, VmResetKind kind)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);
  uint8_t pm = vm_pci_find_capability (dev, PCI_CAP_PM);

  vm_pci_set_irq (dev, 0);
  for (unsigned i = 0; i < 2; i++)
    {
      dev->config[PCI_COMMAND + i] &= (uint8_t) ~dev->wmask[PCI_COMMAND + i];
      dev->config[PCI_STATUS + i] &= (uint8_t) ~dev->w1cmask[PCI_STATUS + i];
    }
  dev->config[PCI_CACHE_LINE_SIZE] = 0;
  dev->config[PCI_INTERRUPT_LINE] &= (uint8_t) ~dev->wmask[PCI_INTERRUPT_LINE];
  for (unsigned n = 0; n < VM_PCI_N_BARS; n++)
    {
      VmPciBar *bar = &dev->bar[n];
      uint8_t *reg = dev->config + pci_bar_offset (dev, n);

      if (!bar->region)
        continue;
      vm_store_le32 (reg, n == VM_PCI_ROM_BAR ? 0 : bar->flags);
      if ((bar->flags & (PCI_BAR_IO | PCI_BAR_MEM64)) == PCI_BAR_MEM64)
        vm_store_le32 (reg + 4, 0);
    }
  if (pm != 0)
    dev->config[pm + 4] &= (uint8_t) ~3;
  pci_msi_reset (dev);
  pci_msix_reset (dev);
  vm_pci_update_mappings (dev);
}

static bool
pci_post_load (VmDevice *vmdev, GError **error)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vmdev);
  const VmPciClass *klass = pci_class (dev);

  if (vm_load_le16 (dev->config + PCI_VENDOR_ID) != klass->vendor)
    return vm_fail (error, "%s: the saved configuration space is of another device", vm_device_path (vmdev));
  vm_pci_update_mappings (dev);
  return true;
}

VmPciDevice *
vm_pci_new (const VmType *type, int devfn, bool multifunction)
{
  VmPciDevice *dev = VM_PCI_DEVICE (vm_device_new (type));

  dev->addr = devfn;
  dev->multifunction = multifunction;
  return dev;
}

/* --- properties ------------------------------------------------------------------------------------------- */

static bool
devfn_set (VmObject *obj, void *field, const char *text, GError **error)
{
  unsigned long slot, func = 0;
  char *end;

  if (strcmp (text, "-1") == 0)
    {
      *(int32_t *) field = -1;
      return true;
    }
  if (!g_ascii_isxdigit (*text))
    goto bad;
  slot = strtoul (text, &end, 16);
  if (*end == '.' && g_ascii_isxdigit (end[1]))
    func = strtoul (end + 1, &end, 16);
  if (*end || slot >= VM_PCI_SLOTS || func > 7)
    goto bad;
  *(int32_t *) field = (int32_t) VM_PCI_DEVFN (slot, func);
  return true;
bad:
  return vm_fail (error, "Property '%s.addr' doesn't take value '%s'", obj->type->name, text);
}

static char *
devfn_get (VmObject *obj, const void *field)
{
  int32_t devfn = *(const int32_t *) field;

  if (devfn < 0)
    return g_strdup ("-1");
  return g_strdup_printf ("%02x.%x", VM_PCI_SLOT (devfn), VM_PCI_FUNC (devfn));
}

const VmPropCustom vm_prop_pci_devfn = { .type_name = "int32", .set = devfn_set, .get = devfn_get };

/* A primary is a network card. */
static bool
pair_set (VmObject *obj, void *field, const char *text, GError **error)
{
  const VmPciClass *klass = vm_type_klass (obj->type);

  if (*text && (!klass || klass->class_id != PCI_CLASS_NETWORK_ETHERNET))
    return vm_fail (error, "failover primary device is not an Ethernet device");
  g_free (*(char **) field);
  *(char **) field = g_strdup (text);
  return true;
}

static char *
pair_get (VmObject *obj, const void *field)
{
  const char *text = *(char *const *) field;

  return g_strdup (text ? text : "");
}

static void
pair_clear (VmObject *obj, void *field)
{
  g_clear_pointer ((char **) field, g_free);
}

static const VmPropCustom pair_prop = { .type_name = "str", .set = pair_set, .get = pair_get, .clear = pair_clear };

static const VmProp pci_props[] = {
  VM_PROP_CUSTOM_KIND ("addr", VmPciDevice, addr, &vm_prop_pci_devfn, "-1",
                       "Slot and optional function number, example: 06.0 or 06"),
  VM_PROP_STRING ("romfile", VmPciDevice, romfile, NULL, "file with the expansion ROM"),
  VM_PROP ("romsize", VmPciDevice, romsize, UINT32_MAX, "size of the expansion ROM's register"),
  VM_PROP ("rombar", VmPciDevice, rombar, 1, "0: without an expansion ROM register"),
  VM_PROP ("multifunction", VmPciDevice, multifunction, false, "on/off"),
  VM_PROP ("x-pcie-lnksta-dllla", VmPciDevice, x_pcie_lnksta_dllla, true, "on/off"),
  VM_PROP ("x-pcie-extcap-init", VmPciDevice, x_pcie_extcap_init, true, "on/off"),
  VM_PROP_CUSTOM_KIND ("failover_pair_id", VmPciDevice, failover_pair_id, &pair_prop, NULL,
                       "virtio-net that stands by for this card"),
  VM_PROP ("acpi-index", VmPciDevice, acpi_index, 0, "number the firmware tells, for stable names"),
  { 0 }
};

static const VmField pci_state[] = {
  VM_FIELD_HEAP (VmPciDevice, config, config_size),
  VM_FIELD_HEAP (VmPciDevice, msix_table, msix_table_size),
  VM_FIELD_HEAP (VmPciDevice, msix_pba, msix_pba_size),
  VM_FIELD (VmPciDevice, irq_level),
  VM_FIELD (VmPciDevice, irq_asserted),
  { 0 }
};

static const VmDeviceClass pci_device_class = {
  .bus_type = VM_PCI_BUS_TYPE,
  .bus_realize = pci_bus_realize,
  .bus_unrealize = pci_bus_unrealize,
  .reset = pci_reset,
  .post_load = pci_post_load,
};

const VmType vm_pci_device_type = {
  .name = "pci-device", .parent = &vm_device_type, .size = sizeof (VmPciDevice), .abstract = true,
  .help = "A function on a PCI bus", .props = pci_props, .state = pci_state, .klass = &pci_device_class,
};
